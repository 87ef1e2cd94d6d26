"""The sockets of this network: listeners, datagram endpoints, and connections that are used again (RFC 3261
section 18).

A connection that we made is found again by its target; one that a peer made over TLS is used for our requests
as well when its Via asks for it with `alias` and its certificate proves the name that we would have asked for
(RFC 5923).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import structlog

from rialto.model.errors import ConfigError, Reason, Unreachable
from rialto.net.endpoint import Endpoint, open_endpoint
from rialto.net.hostport import join_host_port
from rialto.net.link import Link, LinkError, LinkLimits, connect
from rialto.net.listen import Listener, ListenLimits, serve
from rialto.net.tls import CertificateStore
from rialto.networks.sip.flows import Flow, StreamFlow, Tap, UdpFlow
from rialto.networks.sip.locate import Target
from rialto.networks.sip.settings import DEFAULT_PORTS, Listen, Settings
from rialto.networks.sip.trunk import Trunk
from rialto.networks.sip.wire import BadMessage, Garbled, Limits, Request, Response, Via, parse_message
from rialto.networks.sip.wire.stream import Stalled, StreamEvent, StreamMachine

_log = structlog.get_logger(__name__)

_WILDCARDS = ("0.0.0.0", "::", "")
_MAX_UDP_FLOWS = 10_000
STRANGER_S = 30.0
"""How long a connection may stand without anybody proven behind it."""
ALPN = ("sip",)

OnMessage = Callable[[Request | Response, Flow], None]
OnGarbled = Callable[[BadMessage, Flow], None]
OnLost = Callable[[Flow], None]


class Transports:
    """All sockets.

    `on_message` gets what could be parsed (not validated), `on_garbled` what could not be, `on_lost` each
    flow that has broken. `known` tells peers' addresses, whose connections may be idle; `count` takes a
    counter and a label.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        server_name: str,
        certificates: CertificateStore,
        clock: Callable[[], float],
        on_message: OnMessage,
        on_garbled: OnGarbled,
        on_lost: OnLost,
        known: Callable[[str], bool],
        count: Callable[[str, str], None],
        tap: Tap | None = None,
    ) -> None:
        self.settings = settings
        self._server_name = server_name
        self._certificates = certificates
        self._clock = clock
        self._on_message = on_message
        self._on_garbled = on_garbled
        self._on_lost = on_lost
        self._known = known
        self._count = count
        self._tap = tap
        self._limits = Limits(max_body_bytes=settings.max_message_bytes)
        self._link_limits = LinkLimits(handshake_s=STRANGER_S, idle_s=settings.idle_s)
        self._endpoints: list[Endpoint] = []
        self._listeners: list[tuple[str, Listener]] = []
        self._udp: dict[tuple[Endpoint, str, int], UdpFlow] = {}
        self._pool: dict[Target, StreamFlow] = {}
        self._connecting: dict[Target, asyncio.Task[StreamFlow]] = {}
        self.flows: set[StreamFlow] = set()

    async def start(self, listens: Sequence[Listen]) -> None:
        """Open every listener. Raises ConfigError."""
        for entry in listens:
            try:
                await self._listen(entry)
            except OSError as error:
                raise ConfigError(
                    "networks.sip.listen",
                    f"{join_host_port(entry.host, entry.port)} free for {entry.transport}: {error.strerror}",
                    "choose an address of this machine and a port that nobody else uses",
                ) from error

    async def _listen(self, entry: Listen) -> None:
        if entry.transport == "udp":
            self._endpoints.append(await self._open_endpoint(entry))
            return
        if entry.transport == "tls" and not self._certificates:
            raise ConfigError(
                "networks.sip.listen",
                "a certificate, for tls:",
                "name one under [tls] certificates, or listen without tls",
            )
        transport = entry.transport

        def accept(link: Link[Any]) -> None:
            self._adopt(transport, link, keepalive_s=0.0)
            if self._known(link.remote[0]):
                link.establish()

        listener = await serve(
            entry.host,
            entry.port,
            accept,
            tls=(lambda: self._certificates.server(alpn=ALPN)) if transport == "tls" else None,
            limits=ListenLimits(max_connections=self.settings.max_connections),
            link_limits=self._link_limits,
            label=f"sip {transport}",
        )
        self._listeners.append((transport, listener))

    async def _open_endpoint(self, entry: Listen) -> Endpoint:
        endpoint: Endpoint | None = None

        def on_datagram(data: bytes, remote: tuple[str, int]) -> None:
            assert endpoint is not None
            self._datagram(endpoint, data, remote)

        def on_unreachable(remote: tuple[str, int]) -> None:
            flow = self._udp.get((endpoint, *remote)) if endpoint is not None else None
            if flow is not None:
                self._on_lost(flow)

        endpoint = await open_endpoint(entry.host, entry.port, on_datagram, on_unreachable=on_unreachable)
        return endpoint

    async def stop(self) -> None:
        """Close everything."""
        for _, listener in self._listeners:
            listener.close()
        for task in self._connecting.values():
            task.cancel()
        for flow in list(self.flows):
            flow.link.close()
        for endpoint in self._endpoints:
            endpoint.close()
        self._listeners.clear()
        self._endpoints.clear()
        self._udp.clear()

    def establish(self, flow: Flow) -> None:
        """The peer has proven who it is: it no longer counts among the strangers."""
        if isinstance(flow, StreamFlow) and not flow.link.established:
            flow.link.establish()

    # Names for ourselves

    def bound(self) -> list[tuple[str, str, int]]:
        """(transport, host, port) of everything that listens."""
        udp = [("udp", endpoint.host, endpoint.port) for endpoint in self._endpoints]
        return udp + [(transport, listener.host, listener.port) for transport, listener in self._listeners]

    def sent_by(self, transport: str, family_of: str = "") -> str:
        """What Via says for requests over this transport to that address (RFC 3261 section 18.1.1)."""
        host, port = "", DEFAULT_PORTS[transport]
        for bound_transport, bound_host, bound_port in self.bound():
            if bound_transport == transport and (not family_of or (":" in bound_host) == (":" in family_of)):
                host, port = bound_host, bound_port
                break
        name = self.settings.advertise or (self._server_name if host in _WILDCARDS else host)
        return join_host_port(name, port)

    def own_names(self) -> frozenset[str]:
        """Every sent-by of ours."""
        names = {self.sent_by(transport) for transport in DEFAULT_PORTS}
        for _, host, port in self.bound():
            name = self.settings.advertise or (self._server_name if host in _WILDCARDS else host)
            names.add(join_host_port(name, port))
        return frozenset(names)

    # Flows

    def flow_to(self, target: Target, trunk: Trunk) -> Flow | None:
        """A flow that this peer may use at once; None where one has to be made. Raises Unreachable."""
        if target.transport == "udp":
            for endpoint in self._endpoints:
                if (":" in endpoint.host) == (":" in target.host):
                    return self._udp_flow(endpoint, (target.host, target.port))
            raise Unreachable(
                Reason.UNREACHABLE,
                "no way to send there",
                detail=f"no UDP endpoint for {target}",
                certain=True,
            )
        flow = self._pool.get(target)
        if flow is None or not flow.alive or flow.link.closed or _doubt(flow, target, trunk) is not None:
            return None
        return flow

    def answer_flow(self, flow: UdpFlow, via: Via) -> UdpFlow:
        """Where the answer to a datagram goes (RFC 3261 section 18.2.2, RFC 3581 section 4).

        Back to where it came from, if its sender asks for that with `rport`; else to the same address, at the
        port in sent-by. `maddr` is ignored: it would let a stranger choose whom we send to.
        """
        if via.param("rport") is not None:
            return flow
        port = via.port or DEFAULT_PORTS["udp"]
        return flow if port == flow.remote[1] else self._udp_flow(flow.endpoint, (flow.remote[0], port))

    async def connect(self, target: Target, trunk: Trunk, own_domain: str) -> StreamFlow:
        """A connection to the target, shared by all who ask for it; each judges it by its own settings.

        Raises Unreachable.
        """
        task = self._connecting.get(target)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._connect(target, own_domain))
            self._connecting[target] = task
            task.add_done_callback(lambda _: self._connecting.pop(target, None))
        flow = await asyncio.shield(task)
        doubt = _doubt(flow, target, trunk)
        if doubt is not None:
            self._count("unproven", "tls-server")
            if not flow.used:
                flow.link.close()
            raise Unreachable(
                Reason.UNREACHABLE,
                f"the server of {target.name} could not prove its name",
                detail=f"{target}: {doubt}",
            )
        return flow

    async def _connect(self, target: Target, own_domain: str) -> StreamFlow:
        tls = None
        if target.transport == "tls":
            tls = self._certificates.client(target.name, own_domain=own_domain, alpn=ALPN)
        try:
            link = await connect(
                target.host,
                target.port,
                tls=tls,
                limits=LinkLimits(handshake_s=None, idle_s=self.settings.idle_s),
                timeout_s=self.settings.connect_timeout_s,
                local_host=self._local_host(target),
                label=f"sip {target}",
            )
        except LinkError as error:
            raise Unreachable(
                Reason.UNREACHABLE, "the other side could not be reached", detail=str(error)
            ) from error
        flow = self._pool[target] = self._adopt(target.transport, link, keepalive_s=self.settings.keepalive_s)
        return flow

    def alias(self, flow: Flow, port: int, name: str) -> None:
        """RFC 5923 section 5: a proven TLS peer that said `alias` may be reached over its own connection."""
        if isinstance(flow, StreamFlow) and flow.transport == "tls" and not flow.link.outgoing:
            self._pool[Target("tls", flow.remote[0], port, name)] = flow

    def _local_host(self, target: Target) -> str | None:
        """Leave from the address that we listen on, if it is a certain one: peers know us by it."""
        for _, host, _ in self.bound():
            if host not in _WILDCARDS and (":" in host) == (":" in target.host):
                return host
        return None

    def _adopt(self, transport: str, link: Link[Any], *, keepalive_s: float) -> StreamFlow:
        machine = StreamMachine(
            asyncio.get_running_loop().time(), keepalive_s=keepalive_s, limits=self._limits
        )
        flow = StreamFlow(transport, link, machine, self._clock)
        self.flows.add(flow)

        def on_event(event: StreamEvent) -> None:
            if isinstance(event, Garbled):
                self._on_garbled(event.error, flow)
                if event.fatal:
                    link.close()
            elif isinstance(event, Stalled):
                self._count("bad_input", event.code)
                link.abort(LinkError("idle", event.code))
            else:
                self._on_message(event, flow)

        def on_lost(error: LinkError | None) -> None:
            flow.alive = False
            self.flows.discard(flow)
            for target in [target for target, pooled in self._pool.items() if pooled is flow]:
                del self._pool[target]
            if error is not None:
                _log.info("connection lost", remote=join_host_port(*flow.remote), why=str(error))
            self._on_lost(flow)

        tap: Callable[[Any, bytes], None] | None = None
        if self._tap is not None:
            outer, remote = self._tap, f"{transport}:{join_host_port(*link.remote)}"
            tap = lambda direction, data: outer(remote, direction, data)  # noqa: E731
        link.attach(machine, on_event, on_lost=on_lost, tap=tap)
        return flow

    def _datagram(self, endpoint: Endpoint, data: bytes, remote: tuple[str, int]) -> None:
        flow = self._udp_flow(endpoint, remote)
        if self._tap is not None:
            self._tap(f"udp:{join_host_port(*remote)}", "in", data)
        try:
            message = parse_message(data, self._limits)
        except BadMessage as error:
            if data.strip(
                b"\r\n\0 "
            ):  # keep-alives (RFC 5626 section 3.5.2, and older habits) are no messages
                self._on_garbled(error, flow)
            return
        self._on_message(message, flow)

    def _udp_flow(self, endpoint: Endpoint, remote: tuple[str, int]) -> UdpFlow:
        key = (endpoint, *remote)
        flow = self._udp.get(key)
        if flow is None:
            if len(self._udp) >= _MAX_UDP_FLOWS:
                self._udp.clear()  # strangers' addresses: open transactions keep their own flow
            flow = self._udp[key] = UdpFlow(endpoint, remote, self._tap)
        return flow


def _doubt(flow: StreamFlow, target: Target, trunk: Trunk) -> str | None:
    """Why a connection is not good enough for this peer; None when it is (RFC 5922 section 7.3)."""
    if not trunk.settings.verify_tls:
        return None
    verdict = flow.certified(target.name, trunk.trust)
    return None if verdict is None or verdict.ok else verdict.reason
