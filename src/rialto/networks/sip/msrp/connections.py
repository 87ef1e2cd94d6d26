"""The connections themselves: those that others make to us, and ours, which all who go to one place share
(RFC 4975 section 5.4)."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import structlog

from rialto.model.errors import ConfigError
from rialto.net.dns import DnsError, Resolver
from rialto.net.hostport import join_host_port, split_host_port
from rialto.net.link import Link, LinkError, LinkLimits, connect
from rialto.net.listen import Listener, ListenLimits, serve
from rialto.net.tls import CertificateStore
from rialto.networks.sip.msrp.flow import MsrpFlow, Tap
from rialto.networks.sip.msrp.wire.session import SessionBook
from rialto.networks.sip.msrp.wire.terms import Timing
from rialto.networks.sip.settings import Settings

_log = structlog.get_logger(__name__)

PORT = 2855
STRANGER_S = 30.0
"""How long a connection may stand that nobody's session has come by."""
STOP_S = 1.0
"""How long connections have for their goodbyes."""
_MAX_LONERS = 1000

Where = tuple[bool, str, int]
"""(whether over TLS, host, port): what a connection is shared by."""


class MsrpConnections:
    """All of them. `book` has the sessions that may come by one; `on_lost` hears of each that is gone."""

    def __init__(
        self,
        settings: Settings,
        book: SessionBook,
        *,
        name: str,
        server_name: str,
        certificates: CertificateStore,
        dns: Resolver,
        clock: Callable[[], float],
        count: Callable[[str, str], None],
        on_lost: Callable[[MsrpFlow], None],
        tap: Tap | None,
    ) -> None:
        """Raises ConfigError for a place that can't be listened at."""
        self.flows: set[MsrpFlow] = set()
        self._settings = settings
        self._book = book
        self._name = name
        self._server_name = server_name
        self._certificates = certificates
        self._dns = dns
        self._clock = clock
        self._count = count
        self._on_lost = on_lost
        self._tap = tap
        self._listens = [parse_msrp_listen(text) for text in settings.msrp]
        self._timing = Timing(keepalive_s=settings.keepalive_s)
        self._listeners: list[tuple[bool, Listener]] = []
        self._shared: dict[Where, MsrpFlow] = {}
        self._connecting: dict[Where, asyncio.Task[MsrpFlow]] = {}
        self._loners: OrderedDict[Where, None] = OrderedDict()
        self._emptied: asyncio.Event | None = None

    async def start(self) -> None:
        """Open every listener. Raises ConfigError."""
        for secure, host, port in self._listens:
            if secure and not self._certificates:
                raise ConfigError(
                    "networks.sip.msrp",
                    "a certificate, for tls:",
                    "name one under [tls] certificates, or listen without tls",
                )
            try:
                listener = await serve(
                    host,
                    port,
                    self._accept,
                    tls=(lambda: self._certificates.server(domain=self._server_name)) if secure else None,
                    limits=ListenLimits(max_connections=self._settings.max_connections),
                    link_limits=LinkLimits(handshake_s=STRANGER_S),
                    label="msrps" if secure else "msrp",
                )
            except OSError as error:
                raise ConfigError(
                    "networks.sip.msrp",
                    f"{join_host_port(host, port)} free: {error.strerror}",
                    "choose an address of this machine and a port that nobody else uses",
                ) from error
            self._listeners.append((secure, listener))
            address = join_host_port(listener.host, listener.port)
            _log.info(
                "listening", network=self._name, transport="msrps" if secure else "msrp", address=address
            )

    async def stop(self) -> None:
        """Close everything."""
        for _, listener in self._listeners:
            listener.close()
        for task in self._connecting.values():
            task.cancel()
        for flow in list(self.flows):
            flow.close()
        self._listeners.clear()
        if self.flows:
            self._emptied = asyncio.Event()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_S):
                    await self._emptied.wait()
        for flow in list(self.flows):
            flow.link.abort()

    def bound(self) -> list[tuple[bool, str, int]]:
        """(whether over TLS, host, port) of everything that listens."""
        return [(secure, listener.host, listener.port) for secure, listener in self._listeners]

    async def flow_to(self, where: Where, name: str) -> MsrpFlow:
        """A connection to there: the one that there is, or a new one, for all who want one. Raises
        LinkError."""
        if where in self._loners:
            return await self.connect(where, name)
        flow = self._shared.get(where)
        if flow is not None and flow.alive and not flow.link.closed:
            return flow
        task = self._connecting.get(where)
        if task is None:
            task = asyncio.get_running_loop().create_task(self.connect(where, name))
            self._connecting[where] = task
            task.add_done_callback(lambda _: self._connecting.pop(where, None))
        flow = await asyncio.shield(task)
        self._shared[where] = flow
        return flow

    async def connect(self, where: Where, name: str) -> MsrpFlow:
        """A connection of our own. RFC 4975 section 6.2: to the addresses of a name, one after the other.
        Raises LinkError."""
        secure, host, port = where
        try:
            addresses = (await self._dns.addresses(host)).records
        except DnsError as error:
            raise LinkError("connect", str(error)) from None
        failure = LinkError("connect", f"{host} has no address")
        for address in addresses:
            try:
                link = await connect(
                    address,
                    port,
                    tls=self._certificates.client(name, own_domain=self._server_name) if secure else None,
                    limits=LinkLimits(handshake_s=None),
                    timeout_s=self._settings.connect_timeout_s,
                    label=f"msrp {join_host_port(host, port)}",
                )
            except LinkError as error:
                failure = error
            else:
                self._count("msrp", "connected")
                return self.adopt(link)
        raise failure

    def _accept(self, link: Link[Any]) -> None:
        self._count("msrp", "accepted")
        self.adopt(link)

    def adopt(self, link: Link[Any]) -> MsrpFlow:
        """A connection has been made, by us or to us."""
        loop = asyncio.get_running_loop()
        flow = MsrpFlow(
            link,
            self._book,
            now=loop.time,
            clock=self._clock,
            timing=self._timing,
            idle_s=self._settings.idle_s,
            count=self._count,
            on_lost=self._lost,
            tap=self._tap,
        )
        self.flows.add(flow)
        return flow

    def _lost(self, flow: MsrpFlow) -> None:
        self.flows.discard(flow)
        if self._emptied is not None and not self.flows:
            self._emptied.set()
        for where in [where for where, shared in self._shared.items() if shared is flow]:
            del self._shared[where]
        self._on_lost(flow)

    def part(self, flow: MsrpFlow) -> bool:
        """A further session was refused on a connection: from now on, each has its own there. False where it
        is nobody's to share."""
        where = next((where for where, shared in self._shared.items() if shared is flow), None)
        if where is None:
            return False
        self._count("msrp", "not-shared")
        self._loners[where] = None
        if len(self._loners) > _MAX_LONERS:
            self._loners.popitem(last=False)
        return True


def parse_msrp_listen(text: str) -> tuple[bool, str, int]:
    """Read `tcp:address:port` or `tls:address:port`; (whether over TLS, address, port). Raises
    ConfigError."""
    transport, _, rest = text.partition(":")
    try:
        if transport not in ("tcp", "tls"):
            raise ValueError("expected tcp: or tls: in front")
        host, port = split_host_port(rest, PORT)
    except ValueError as error:
        raise ConfigError(
            "networks.sip.msrp", f"{text!r}: {error}", "write for example tls:192.0.2.1:2855"
        ) from None
    return transport == "tls", host, port
