"""All MSRP connections of one network: where others connect to, and where we do (RFC 4975 section 5.4).

    reserve ──► Place, for the description ──► open(Terms) ──► Leg ──┬─ active: a flow that is there, or a new
    one
                                                                     └─ passive: the book waits for its first
                                                                     SEND

A connection is used by all sessions that go to the same place. Whoever can't bear that (481 or 506 to the
first SEND of a further session) gets a connection for each from then on.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from rialto.core.network import LinkState
from rialto.model.errors import AddressError, ConfigError
from rialto.net.certificates import NameKind, Trust, describe, proves
from rialto.net.dns import DnsError, Resolver
from rialto.net.hostport import join_host_port, split_host_port
from rialto.net.link import Link, LinkError, LinkLimits, connect
from rialto.net.listen import Listener, ListenLimits, serve
from rialto.net.tls import CertificateStore
from rialto.networks.sip.msrp.flow import EMPTY_S, MsrpFlow, Tap, new_id
from rialto.networks.sip.msrp.leg import Leg
from rialto.networks.sip.msrp.relays import RelayDesk
from rialto.networks.sip.msrp.wire.relay import Granted
from rialto.networks.sip.msrp.wire.session import Session, SessionBook
from rialto.networks.sip.msrp.wire.terms import Timing
from rialto.networks.sip.msrp.wire.uri import MsrpUri, parse_path
from rialto.networks.sip.sessions.seam import DISCARD, Owner, Place, Terms
from rialto.networks.sip.settings import Settings

_log = structlog.get_logger(__name__)

PORT = 2855
STRANGER_S = 30.0
"""How long a connection may stand that nobody's session has come by, and a session may wait for its
connection."""
STOP_S = 1.0
"""How long connections have for their goodbyes."""
RELAY_CHUNK_BYTES = 2048
"""QUIRK(Kamailio): its relay takes a chunk only as a whole, into a buffer of 4096 bytes by default."""
_WILDCARDS = ("0.0.0.0", "::", "")
_MAX_LONERS = 1000

Where = tuple[bool, str, int]
"""(whether over TLS, host, port): what a connection is shared by."""


class MsrpLinks:
    """See `sessions.seam.MsrpLinks`.

    `count` takes a counter (`msrp`, `bad_input`) and a label.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        name: str,
        server_name: str,
        certificates: CertificateStore,
        dns: Resolver,
        trust: Trust,
        clock: Callable[[], float],
        count: Callable[[str, str], None],
        tap: Tap | None = None,
    ) -> None:
        """`name` is the network's; `trust` judges our relays. Raises ConfigError."""
        self.settings = settings
        self.name = name
        self._server_name = server_name
        self._certificates = certificates
        self._dns = dns
        self._clock = clock
        self._count = count
        self._tap = tap
        self._listens = [parse_msrp_listen(text) for text in settings.msrp]
        self._timing = Timing(keepalive_s=settings.keepalive_s)
        self._book = SessionBook()
        self._listeners: list[tuple[bool, Listener]] = []
        self._flows: set[MsrpFlow] = set()
        self._pool: dict[Where, MsrpFlow] = {}
        self._connecting: dict[Where, asyncio.Task[MsrpFlow]] = {}
        self._loners: OrderedDict[Where, None] = OrderedDict()
        self._waiting: dict[Leg, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._legs: set[Leg] = set()
        self._emptied: asyncio.Event | None = None
        self._granted: dict[tuple[str, ...], Granted] = {}
        self._relays = RelayDesk(settings, self, trust) if settings.msrp_relays else None

    async def start(self) -> None:
        """Open every listener, and ask the relays. Raises ConfigError."""
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
                    limits=ListenLimits(max_connections=self.settings.max_connections),
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
                "listening", network=self.name, transport="msrps" if secure else "msrp", address=address
            )
        if self._relays is not None:
            await self._relays.start()

    async def stop(self) -> None:
        """Close everything; nobody is told."""
        if self._relays is not None:
            self._relays.stop()
        for _, listener in self._listeners:
            listener.close()
        for task in [*self._tasks, *self._connecting.values()]:
            task.cancel()
        for leg in list(self._legs):
            leg.close()
        for flow in list(self._flows):
            flow.close()
        self._listeners.clear()
        if self._flows:
            self._emptied = asyncio.Event()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_S):
                    await self._emptied.wait()
        for flow in list(self._flows):
            flow.link.abort()

    def bound(self) -> list[tuple[bool, str, int]]:
        """(whether over TLS, host, port) of everything that listens."""
        return [(secure, listener.host, listener.port) for secure, listener in self._listeners]

    def links(self) -> list[LinkState]:
        """For `rialto peers`."""
        states = []
        for flow in self._flows:
            peers = sorted({leg.terms.trunk.peer.name for leg in flow.legs})
            states.append(
                LinkState(
                    self.name,
                    ", ".join(peers),
                    f"msrp:{join_host_port(*flow.remote)}",
                    "up",
                    "out" if flow.link.outgoing else "in",
                    flow.security,
                    flow.opened_at,
                    f"{len(flow.legs)} sessions",
                )
            )
        return states

    # -- sessions ----------------------------------------------------------------------------------------

    def reserve(self, *, secure: bool, family_of: str = "") -> Place | None:
        """Our end of a session that is to be offered or answered: at our relay, or at a listener, or (where
        we have neither) at none, so that we can only connect. None where TLS is asked for and we have no
        certificate, or no relay is ready."""
        if self._relays is not None:
            return self._at_relay(secure)
        for over_tls, listener in self._listeners:
            if over_tls is secure and (not family_of or (":" in listener.host) == (":" in family_of)):
                return self._at(listener.host, listener.port, secure)
        if secure and not self._certificates:
            return None
        return self._at("", DISCARD, secure)

    def release(self, place: Place) -> None:
        """It came to nothing."""
        self._granted.pop(place.path, None)

    def open(self, terms: Terms, owner: Owner) -> Leg:
        """A session was agreed on."""
        local = parse_path(terms.place.path[-1])[0]
        granted = self._granted.pop(terms.place.path, None)
        wrong = ""
        try:
            theirs = parse_path(" ".join(terms.media.path))
        except AddressError as error:
            theirs, wrong = (), str(error)
        path = (*granted.use_path, *theirs) if granted is not None else theirs
        session = Session(
            local,
            path,
            max_bytes=terms.max_bytes_in,
            chunk_bytes=RELAY_CHUNK_BYTES if len(path) > 1 else None,
        )
        loop = asyncio.get_running_loop()
        leg = Leg(
            session,
            terms,
            owner,
            call_soon=loop.call_soon,
            on_over=self._over,
            retry=self._retry,
            relayed=granted is not None,
        )
        self._book.add(session)
        self._legs.add(leg)
        self._waiting[leg] = loop.call_later(STRANGER_S, self._late, leg)
        if wrong:
            loop.call_soon(leg.fail, wrong)
        elif granted is not None:
            assert self._relays is not None
            flow = self._relays.flow
            if flow is None:
                loop.call_soon(leg.fail, "the relay is gone")
            else:
                leg.go_by(flow)
        elif terms.active:
            self._spawn(self._reach(leg))
        return leg

    def _late(self, leg: Leg) -> None:
        self._waiting.pop(leg, None)
        if not leg.opened:
            self._count("msrp", "nobody-came")
            leg.fail("timeout")

    def _over(self, leg: Leg) -> None:
        self._book.remove(leg.session)
        self._legs.discard(leg)
        timer = self._waiting.pop(leg, None)
        if timer is not None:
            timer.cancel()

    def _at(self, host: str, port: int, secure: bool) -> Place:
        name = self.settings.advertise or (self._server_name if host in _WILDCARDS else host)
        uri = MsrpUri(secure=secure, host=name, port=port, session_id=new_id())
        return Place((str(uri),), name, port, secure, self._fingerprints() if secure else ())

    def _at_relay(self, secure: bool) -> Place | None:
        assert self._relays is not None
        granted = self._relays.take()
        if granted is None or granted.path[0].secure is not secure:
            self._count("msrp", "no-relay")
            return None
        place = Place(
            tuple(str(uri) for uri in granted.path),
            granted.path[0].host,
            granted.path[0].port or PORT,
            secure,
        )
        self._granted[place.path] = granted
        return place

    def _fingerprints(self) -> tuple[tuple[str, str], ...]:
        """Of the certificate that is shown for our name (RFC 8122 section 5)."""
        found = ""
        for pair in self._certificates.pairs:
            described = describe(pair.certificate.read_bytes())
            if proves(described.identities, NameKind.SIP, self._server_name):
                found = described.fingerprint
                break
            found = found or described.fingerprint
        digest = found.upper().replace(":", "")
        octets = [digest[at : at + 2] for at in range(0, len(digest), 2)]
        return (("sha-256", ":".join(octets)),) if octets else ()

    # -- connections -------------------------------------------------------------------------------------

    async def _reach(self, leg: Leg) -> None:
        """Get a session its connection."""
        terms = leg.terms
        first = leg.session.path[0]
        host, port = terms.connect_to or (first.host, first.port or PORT)
        where = (terms.media.secure, host, port)
        name = terms.trunk.settings.tls_name or first.host
        try:
            flow = await self._flow_to(where, name)
        except LinkError as error:
            self._count("msrp", "unreachable")
            leg.fail(str(error))
            return
        doubt = self._doubt(flow, leg, name)
        if leg.over:
            return
        if doubt:
            self._count("unproven", "msrp")
            if not flow.legs:
                flow.close("unproven")
            leg.fail(doubt)
            return
        leg.go_by(flow)

    def _doubt(self, flow: MsrpFlow, leg: Leg, name: str) -> str:
        """Why a connection is not good enough for a session (RFC 4975 section 14.4; SES-24)."""
        terms = leg.terms
        if not flow.alive:
            return "the connection broke at once"
        if not terms.media.secure:
            return ""
        if terms.media.fingerprints:
            shown = flow.shows(terms.media.fingerprints)
            return "" if shown else "the certificate is not the one that was announced"
        if not terms.trunk.settings.verify_tls:
            return ""
        return flow.proves(name, terms.trunk.trust)

    async def _flow_to(self, where: Where, name: str) -> MsrpFlow:
        """A connection to there: the one that there is, or a new one, for all who want one. Raises
        LinkError."""
        if where in self._loners:
            return await self.connect(where, name)
        flow = self._pool.get(where)
        if flow is not None and flow.alive and not flow.link.closed:
            return flow
        task = self._connecting.get(where)
        if task is None:
            task = asyncio.get_running_loop().create_task(self.connect(where, name))
            self._connecting[where] = task
            task.add_done_callback(lambda _: self._connecting.pop(where, None))
        flow = await asyncio.shield(task)
        self._pool[where] = flow
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
                    timeout_s=self.settings.connect_timeout_s,
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
            idle_s=self.settings.idle_s,
            count=self._count,
            on_lost=self._lost,
            tap=self._tap,
        )
        self._flows.add(flow)
        return flow

    def _lost(self, flow: MsrpFlow) -> None:
        self._flows.discard(flow)
        if self._emptied is not None and not self._flows:
            self._emptied.set()
        for where in [where for where, pooled in self._pool.items() if pooled is flow]:
            del self._pool[where]
        if self._relays is not None:
            self._relays.lost(flow)

    def _retry(self, leg: Leg) -> bool:
        """A further session was refused on a connection: from now on, each has its own there."""
        where = next((where for where, flow in self._pool.items() if flow is leg.flow), None)
        if where is None:
            return False
        self._count("msrp", "not-shared")
        self._loners[where] = None
        if len(self._loners) > _MAX_LONERS:
            self._loners.popitem(last=False)
        leg.leave_flow()
        self._spawn(self._reach(leg))
        return True

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


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


__all__ = ["EMPTY_S", "MsrpLinks", "parse_msrp_listen"]
