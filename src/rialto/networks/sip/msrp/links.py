"""The sessions of one network over MSRP: where their ends are, and how they come by their connections.

    reserve ──► Place, for the description ──► open(Terms) ──► Leg
                                                                ├─ active: a flow that is there, or a new one
                                                                └─ passive: the book waits for its first SEND

A connection is used by all sessions that go to the same place. Whoever can't bear that (481 or 506 to the
first SEND of a further session) gets a connection for each from then on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from rialto.core.network import LinkState
from rialto.model.errors import AddressError
from rialto.net.certificates import NameKind, Trust, describe, proves
from rialto.net.dns import Resolver
from rialto.net.hostport import join_host_port
from rialto.net.link import LinkError
from rialto.net.tls import CertificateStore
from rialto.networks.sip.msrp.connections import PORT, MsrpConnections
from rialto.networks.sip.msrp.flow import MsrpFlow, Tap, new_id
from rialto.networks.sip.msrp.leg import Leg
from rialto.networks.sip.msrp.relays import RelayDesk
from rialto.networks.sip.msrp.wire.relay import Granted
from rialto.networks.sip.msrp.wire.session import Session, SessionBook
from rialto.networks.sip.msrp.wire.uri import MsrpUri, parse_path
from rialto.networks.sip.sessions.seam import DISCARD, Owner, Place, Terms
from rialto.networks.sip.settings import Settings

_log = structlog.get_logger(__name__)

COMING_S = 30.0
"""How long a session may wait for its other end."""
RELAY_CHUNK_BYTES = 2048
"""QUIRK(Kamailio): its relay takes a chunk only as a whole, into a buffer of 4096 bytes by default."""
_WILDCARDS = ("0.0.0.0", "::", "")


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
        self._count = count
        self._book = SessionBook()
        self.connections = MsrpConnections(
            settings,
            self._book,
            name=name,
            server_name=server_name,
            certificates=certificates,
            dns=dns,
            clock=clock,
            count=count,
            on_lost=self._lost,
            tap=tap,
        )
        self._waiting: dict[Leg, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._legs: set[Leg] = set()
        self._granted: dict[tuple[str, ...], Granted] = {}
        self._relays = RelayDesk(settings, self.connections, trust) if settings.msrp_relays else None

    async def start(self) -> None:
        """Open every listener, and ask the relays. Raises ConfigError."""
        await self.connections.start()
        if self._relays is not None:
            await self._relays.start()

    async def stop(self) -> None:
        """Close everything; nobody is told."""
        if self._relays is not None:
            self._relays.stop()
        for task in self._tasks:
            task.cancel()
        for leg in list(self._legs):
            leg.close()
        await self.connections.stop()

    def _lost(self, flow: MsrpFlow) -> None:
        if self._relays is not None:
            self._relays.lost(flow)

    def links(self) -> list[LinkState]:
        """For `rialto peers`."""
        states = []
        for flow in self.connections.flows:
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
        for over_tls, host, port in self.connections.bound():
            if over_tls is secure and (not family_of or (":" in host) == (":" in family_of)):
                return self._at(host, port, secure)
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
        self._waiting[leg] = loop.call_later(COMING_S, self._late, leg)
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
            flow = await self.connections.flow_to(where, name)
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

    def _retry(self, leg: Leg) -> bool:
        """A further session was refused on a shared connection: it is given one of its own."""
        if leg.flow is None or not self.connections.part(leg.flow):
            return False
        leg.leave_flow()
        self._spawn(self._reach(leg))
        return True

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
