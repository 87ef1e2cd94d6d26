"""Being a component of another server (XEP-0114): one stream for each of our names, always up, or coming
back."""

from __future__ import annotations

import asyncio
import random
import secrets
from typing import Any, ClassVar

import structlog

from rialto.core.network import LinkState, Peer
from rialto.model.errors import Reason, Unreachable
from rialto.net.dns import DnsError
from rialto.net.link import Link, LinkError, LinkLimits, connect
from rialto.networks.xmpp.channel import Channel, Parcel
from rialto.networks.xmpp.live import Desk, LiveStream
from rialto.networks.xmpp.wire import events
from rialto.networks.xmpp.wire.component import Component
from rialto.networks.xmpp.wire.element import Element
from rialto.networks.xmpp.wire.namespaces import COMPONENT

log = structlog.get_logger(__name__)

_FIRST_S, _MOST_S = 0.5, 30.0


class ComponentStream(LiveStream):
    """The stream of one component."""

    direction: ClassVar[str] = "component"
    machine: Component

    def __init__(self, desk: Desk, link: Link[Any], machine: Component, login: Login) -> None:
        super().__init__(desk, link, machine)
        self._login = login
        self.over: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def _name(self) -> str:
        return self._login.peer.name

    def peer_of(self, domain: str) -> Peer | None:
        """The server vouches for everybody."""
        return self._login.peer

    def reply(self, local: str, remote: str, stanza: Element) -> None:
        """The server passes it on."""
        self._login.send(stanza.encode(COMPONENT))

    def _on_authenticated(self, event: events.Authenticated) -> None:
        super()._on_authenticated(event)
        login = self._login
        target = next((domain for domain in login.peer.domains if "*" not in domain), "")
        self.channels.clear()
        self.channels[event.local, ""] = Channel(
            self.link,
            self.machine,
            local=event.local,
            remote=target,
            pings=self.desk.pings,
            hop=self.hop,
        )
        login.is_up(self)

    def _on_lost(self, error: LinkError | None) -> None:
        first = not self.closed
        self.why = self.why or str(error or "closed by the server")
        super()._on_lost(error)
        if first:
            self.give_back()
        if not self.over.done():
            self.over.set_result(self.why)


class Login:
    """One of our names at one server; reconnects for as long as it runs."""

    def __init__(self, desk: Desk, peer: Peer, component: str) -> None:
        self.desk = desk
        self.peer = peer
        self.component = component
        self.stream: ComponentStream | None = None
        self.why = "not connected yet"
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Log in, and stay logged in."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    def stop(self) -> None:
        """Log out."""
        if self._task is not None:
            self._task.cancel()
        if self.stream is not None:
            self.stream.close()

    @property
    def is_open(self) -> bool:
        """Whether stanzas can be sent."""
        return self.channel() is not None

    def send(self, data: bytes, delivery: Parcel | None = None) -> None:
        """Write a stanza; a delivery is given back if we are not logged in."""
        channel = self.channel()
        if channel is not None:
            channel.write(data, delivery)
        elif delivery is not None:
            delivery.failed(self.absence())

    def absence(self) -> Unreachable:
        """Why nothing can be sent."""
        text = f"not logged in at {self.peer.name} as {self.component}"
        return Unreachable(Reason.UNREACHABLE, text, detail=self.why)

    def is_up(self, stream: ComponentStream) -> None:
        """Logged in."""
        self.stream = stream
        self.desk.hub.reachable(self.peer.name, self.desk.name)

    def state(self) -> LinkState:
        """As `rialto peers` shows a login that is not up."""
        settings = self.peer.settings
        remote = f"{settings.host}:{settings.port or 5347}"
        return LinkState(self.desk.name, self.peer.name, remote, "down", "component", detail=self.why)

    def channel(self) -> Channel | None:
        """The way, while we are logged in."""
        channel = self.stream.channels.get((self.component, "")) if self.stream is not None else None
        return channel if channel is not None and channel.is_open else None

    async def _run(self) -> None:
        delay = _FIRST_S
        while True:
            try:
                stream = await self._open()
                self.why = await stream.over
                if stream.proofs:
                    delay = _FIRST_S
            except (LinkError, DnsError) as error:
                self.why = str(error)
            self.stream = None
            log.warning("xmpp.component-down", peer=self.peer.name, us=self.component, why=self.why)
            await asyncio.sleep(delay * (0.75 + random.random() / 2))
            delay = min(delay * 2, _MOST_S)

    async def _open(self) -> ComponentStream:
        settings, own = self.peer.settings, self.desk.settings
        addresses = (await self.desk.context.dns.addresses(settings.host)).records
        error: LinkError | None = None
        for address in addresses:
            try:
                link = await connect(
                    address,
                    settings.port or 5347,
                    limits=LinkLimits(handshake_s=own.negotiation_s),
                    timeout_s=own.connect_timeout_s,
                    label=f"xmpp component {self.component}",
                )
                break
            except LinkError as failure:
                error = failure
        else:
            raise error or LinkError("connect", f"{settings.host} has no address")
        timing = own.timing()._replace(idle_s=None)
        machine = Component(
            self.component,
            secret=settings.component_secret(),
            make_id=lambda: secrets.token_hex(16),
            now=asyncio.get_running_loop().time(),
            limits=own.limits(),
            timing=timing,
        )
        stream = ComponentStream(self.desk, link, machine, self)
        stream.attach()
        return stream
