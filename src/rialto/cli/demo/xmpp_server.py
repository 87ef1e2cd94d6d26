"""A small XMPP server for one domain: streams to and from other servers, TLS, SASL EXTERNAL.

What comes for its domain is handed to `on_event`, what its people say goes out.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import msgspec

from rialto.model.address import Address
from rialto.net.certificates import NameKind, Trust, judge
from rialto.net.link import Link, LinkError, connect
from rialto.net.listen import Listener, serve
from rialto.net.tls import CertificateStore, HandshakeDone
from rialto.networks.xmpp.wire import jid
from rialto.networks.xmpp.wire.conditions import condition_of, error_element
from rialto.networks.xmpp.wire.element import Element
from rialto.networks.xmpp.wire.events import (
    Authenticated,
    StanzaReceived,
    StartTls,
    StreamClosed,
    XmppEvent,
)
from rialto.networks.xmpp.wire.initiating import Initiating
from rialto.networks.xmpp.wire.receiving import Receiving
from rialto.networks.xmpp.wire.s2s import Policy, ServerStream

PING = "urn:xmpp:ping}ping"


class Received(msgspec.Struct, frozen=True):
    """A message for somebody here. `error` is the condition of one that comes back."""

    sender: Address
    recipient: Address
    text: str
    id: str
    error: str = ""


class _Way:
    """The stream to one remote domain, and what waits for it to open."""

    def __init__(self) -> None:
        self.stream: Initiating | None = None
        self.link: Link[XmppEvent] | None = None
        self.waiting: list[Element] = []


class XmppServer:
    """The server of `domain`. It reaches every other domain at `gateway` (address, port)."""

    def __init__(
        self,
        domain: str,
        gateway: tuple[str, int],
        certificates: CertificateStore,
        trust: Trust,
        on_event: Callable[[Received], None],
    ) -> None:
        self.domain = domain
        self._gateway = gateway
        self._certificates = certificates
        self._trust = trust
        self._on_event = on_event
        self._secret = secrets.token_bytes(32)
        self._ways: dict[str, _Way] = {}
        self._listener: Listener
        self._loop: asyncio.AbstractEventLoop
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._listener.port

    async def start(self, port: int) -> None:
        """Listen. Raises OSError."""
        self._loop = asyncio.get_running_loop()
        self._listener = await serve("127.0.0.1", port, self._accept, label="demo xmpp")

    async def stop(self) -> None:
        """Close every stream, in peace."""
        self._listener.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for way in self._ways.values():
            if way.stream is not None and way.link is not None:
                way.stream.close()
                way.link.flush()
        for link in self._listener.links:
            link.close()

    def say(self, sender: Address, recipient: Address, text: str, subject: str = "") -> str:
        """Send a message; returns the stanza's id. Raises AddressError."""
        name = secrets.token_hex(6)
        content: list[Element | str] = [Element("body", content=[text])]
        if subject:
            content.insert(0, Element("subject", content=[subject]))
        content.append(Element("thread", content=[f"{sender.local}-{recipient.local}"]))
        attributes = {"from": jid.write(sender), "to": jid.write(recipient), "type": "chat", "id": name}
        self._send(Element("message", attributes, content), recipient.domain)
        return name

    # -- streams that we open --------------------------------------------------------------------------

    def _send(self, stanza: Element, remote: str) -> None:
        way = self._ways.setdefault(remote, _Way())
        if way.stream is not None and way.link is not None and way.stream.may_send(self.domain, remote):
            way.stream.send_encoded(stanza.encode())
            way.link.wake()
            return
        way.waiting.append(stanza)
        if way.stream is None:
            way.stream = self._stream(remote)
            task = self._loop.create_task(self._open(remote, way, way.stream))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _stream(self, remote: str) -> Initiating:
        return Initiating(
            self.domain,
            remote,
            secret=self._secret,
            make_id=lambda: secrets.token_hex(8),
            now=self._loop.time(),
            methods=("external",),
            bidirectional=False,
        )

    async def _open(self, remote: str, way: _Way, stream: Initiating) -> None:
        try:
            link = await connect(*self._gateway, label=f"demo xmpp to {remote}")
        except LinkError:
            way.stream = None
            return
        way.link = link

        def on_event(event: XmppEvent) -> None:
            if isinstance(event, StartTls):
                tls = self._certificates.client(remote, own_domain=self.domain)
                link.start_tls(tls, trailing=event.trailing, on_tls=partial(self._on_tls, stream))
            elif isinstance(event, Authenticated):
                link.establish()
                waiting, way.waiting = way.waiting, []
                for stanza in waiting:
                    stream.send_encoded(stanza.encode())
            elif isinstance(event, StreamClosed):
                link.close()

        def on_lost(_: LinkError | None) -> None:
            way.stream = way.link = None

        link.attach(stream, on_event, on_lost=on_lost)

    # -- streams that are opened to us -----------------------------------------------------------------

    def _accept(self, link: Link[Any]) -> None:
        stream = Receiving(
            is_ours=lambda domain: domain == self.domain,
            policy_for=lambda _: Policy(bidirectional=False),
            secret=self._secret,
            make_id=lambda: secrets.token_hex(8),
            now=self._loop.time(),
        )

        def on_event(event: XmppEvent) -> None:
            if isinstance(event, StartTls):
                tls = self._certificates.server(domain=event.domain)
                link.start_tls(tls, trailing=event.trailing, on_tls=partial(self._on_tls, stream))
            elif isinstance(event, Authenticated):
                link.establish()
            elif isinstance(event, StanzaReceived):
                self._take(event)
                stream.mark_handled(event.number)
            elif isinstance(event, StreamClosed):
                link.close()

        link.attach(stream, on_event)

    def _on_tls(self, stream: ServerStream, done: HandshakeDone) -> None:
        def proves(domain: str) -> bool:
            return judge(done.chain, NameKind.XMPP, domain, self._trust, datetime.now(UTC)).ok

        stream.tls_established(self._loop.time(), proves)

    def _take(self, event: StanzaReceived) -> None:
        stanza = event.stanza
        if stanza.name == "iq" and stanza.get("type") in ("get", "set"):
            self._answer(stanza, event.sender)
        elif stanza.name == "message":
            body = stanza.find("body")
            failed = stanza.get("type") == "error"
            condition = condition_of(stanza.find("error"))[0] if failed else ""
            text = body.text if body is not None else ""
            if text or failed:
                self._on_event(Received(event.sender, event.recipient, text, stanza.get("id"), condition))

    def _answer(self, stanza: Element, sender: Address) -> None:
        """Every question gets an answer (RFC 6120 section 8.2.3)."""
        ping = stanza.find(PING) is not None
        attributes = {
            "from": stanza.get("to"),
            "to": stanza.get("from"),
            "id": stanza.get("id"),
            "type": "result" if ping else "error",
        }
        content: list[Element | str] = [] if ping else [error_element("service-unavailable")]
        self._send(Element("iq", attributes, content), sender.domain)
