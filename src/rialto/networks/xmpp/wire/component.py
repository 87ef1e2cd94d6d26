"""An external component of another server (XEP-0114): we connect, and prove that we know the secret.

The server vouches for every sender, so stanzas may come from any domain; they must be for ours.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha1
from typing import ClassVar

from rialto.model.address import Address
from rialto.networks.xmpp.wire.element import Element
from rialto.networks.xmpp.wire.events import Authenticated, StreamOpened
from rialto.networks.xmpp.wire.namespaces import COMPONENT
from rialto.networks.xmpp.wire.parser import Header, Limits, StreamRule
from rialto.networks.xmpp.wire.stream import State, Stream, Timing


class Component(Stream):
    """The component `domain`, logging in with `secret`."""

    content_namespace: ClassVar[str] = COMPONENT
    _NONZAS: ClassVar[dict[str, str]] = {**Stream._NONZAS, "handshake": "_on_handshake"}

    def __init__(
        self,
        domain: str,
        *,
        secret: str,
        make_id: Callable[[], str],
        now: float,
        limits: Limits = Limits(),  # noqa: B008 - immutable
        timing: Timing = Timing(),  # noqa: B008
        secure: bool = False,
    ) -> None:
        super().__init__(make_id=make_id, now=now, limits=limits, timing=timing, secure=secure)
        self.domain = domain
        self._component_secret = secret
        self._send_header(None)

    def _send_header(self, header: Header | None) -> None:
        self._write_header({"to": self.domain})

    def _on_header(self, header: Header) -> None:
        self._check_header(header)
        self.stream_id = header.attributes.get("id", "")
        self.state = State.NEGOTIATING
        self._emit(StreamOpened(self.domain, header.attributes.get("from", ""), self.stream_id))
        if not self.stream_id:
            return  # QUIRK(Prosody 0.12): so begins the stream that will say that it does not know us
        digest = sha1(f"{self.stream_id}{self._component_secret}".encode(), usedforsecurity=False).hexdigest()
        self._out.append(f"<handshake>{digest}</handshake>".encode())  # XEP-0114 section 3

    def _on_handshake(self, _element: Element) -> None:
        if self.state is not State.NEGOTIATING:
            raise StreamRule("unsupported-stanza-type", "handshake")
        self.state = State.OPEN
        self._negotiate_until = None
        self._last_stanza = self._now
        self._incoming[self.domain, ""] = "component"
        self._emit(Authenticated(self.domain, "", "component", outgoing=True, incoming=True))

    def may_send(self, local: str, remote: str) -> bool:
        """Only as ourselves, to anybody."""
        return self.state is State.OPEN and local == self.domain

    def _proof(self, sender: Address, recipient: Address) -> str:
        if self.state is State.NEGOTIATING:
            raise StreamRule("not-authorized", "not yet")
        if recipient.domain != self.domain:
            raise StreamRule("improper-addressing", f"{recipient.domain} is not this component")
        return "component"
