"""One MSRP connection, with all sessions on it: what its machine tells is handed to the legs it is for."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import structlog

from rialto.net.certificates import NameKind, Trust, judge
from rialto.net.hostport import join_host_port
from rialto.net.link import Link, LinkError
from rialto.networks.sip.msrp.wire.connection import Connection
from rialto.networks.sip.msrp.wire.events import (
    Broken,
    Fault,
    MsrpEvent,
    Responded,
    SessionAnswered,
    SessionBound,
    SessionFailed,
)
from rialto.networks.sip.msrp.wire.session import Session, SessionBook
from rialto.networks.sip.msrp.wire.terms import Timing
from rialto.networks.sip.msrp.wire.uri import MsrpUri

if TYPE_CHECKING:
    from rialto.networks.sip.msrp.leg import Leg

_log = structlog.get_logger(__name__)

EMPTY_S = 30.0
"""How long a connection without sessions is kept: somebody may want it again."""

Tap = Callable[[str, str, bytes], None]
"""(remote, `in` or `out`, bytes)."""

_OF_SESSIONS = (SessionBound, SessionAnswered, SessionFailed)
_HASHES = {"sha-256": "sha256", "sha-384": "sha384", "sha-512": "sha512"}
"""RFC 8122 section 5, without those that are broken."""


def new_id() -> str:
    """An ident with 96 random bits (SES-6)."""
    return secrets.token_hex(12)


class MsrpFlow:
    """A connection that we made or accepted. `legs` are the sessions on it; `shared` says whether it has had
    more than one; `opened_at` is seconds since 1970."""

    def __init__(
        self,
        link: Link[MsrpEvent],
        book: SessionBook,
        *,
        now: Callable[[], float],
        clock: Callable[[], float],
        timing: Timing,
        idle_s: float,
        count: Callable[[str, str], None],
        on_lost: Callable[[MsrpFlow], None],
        tap: Tap | None = None,
    ) -> None:
        """`now` is the loop's clock, `clock` the world's; `idle_s` the silence after which a connection with
        sessions is given up. `count` takes a counter and a label."""
        self.link = link
        self.remote = link.remote
        self.legs: dict[Leg, None] = {}
        self.shared = False
        self.alive = True
        self.opened_at = clock()
        self.error = ""
        self._clock = clock
        self._idle_s = idle_s
        self._count = count
        self._on_lost = on_lost
        self._book = book
        self.machine = Connection(find=self._find, make_id=new_id, clock=now, timing=timing)
        link.set_idle_limit(EMPTY_S)
        link.attach(
            self.machine,
            self._on_event,
            on_lost=self._lost,
            on_writable=self._on_writable,
            tap=None if tap is None else self._tapped(tap),
        )

    @property
    def secured(self) -> bool:
        """Whether it is encrypted."""
        return self.link.tls is not None

    @property
    def security(self) -> str:
        """TLS version and cipher, for people."""
        tls = self.link.tls
        return f"{tls.version} {tls.cipher}" if tls is not None else ""

    def join(self, leg: Leg) -> None:
        """A session lives here now."""
        self.shared = self.shared or any(other is not leg for other in self.legs)
        self.legs[leg] = None
        if not self.link.established:
            self.link.establish()
        self.link.set_idle_limit(self._idle_s)

    def leave(self, leg: Leg) -> None:
        """It does so no more."""
        if self.legs.pop(leg, leg) is None:
            self.machine.remove(leg.session)
            self.wake()
            if not self.legs:
                self.link.set_idle_limit(EMPTY_S)

    def wake(self) -> None:
        """Something was asked of the machine."""
        if self.alive:
            self.link.wake()

    def close(self, why: str = "") -> None:
        """Let everything end here."""
        self.error = self.error or why
        self.link.close()

    def proves(self, name: str, trust: Trust) -> str:
        """Why its certificate does not prove a name; empty where it does."""
        tls = self.link.tls
        if tls is None:
            return "there is no TLS"
        verdict = judge(tls.chain, NameKind.SIP, name, trust, datetime.fromtimestamp(self._clock(), UTC))
        return "" if verdict.ok else verdict.reason

    def shows(self, fingerprints: tuple[tuple[str, str], ...]) -> bool:
        """Whether its certificate has one of these fingerprints (RFC 8122 section 5)."""
        tls = self.link.tls
        if tls is None or not tls.chain:
            return False
        for algorithm, digest in fingerprints:
            name = _HASHES.get(algorithm.lower())
            wanted = digest.replace(":", "").lower()
            if name and hashlib.new(name, tls.chain[0]).hexdigest() == wanted:
                return True
        return False

    # -- from the link -----------------------------------------------------------------------------------

    def _find(self, uri: MsrpUri) -> Session | int | None:
        session = self._book.find(uri)
        if session is None:
            self._count("msrp", "unmatched")
            return None
        leg: Leg = session.owner
        if session.connection is None and not leg.may_come_by(self):
            self._count("msrp", "unproven")
            return 403
        return session

    def _on_event(self, event: MsrpEvent) -> None:
        if isinstance(event, Fault):
            self._count("bad_input", f"msrp-{event.code}")
        elif isinstance(event, Broken):
            self._count("bad_input", f"msrp-{event.code}")
            self.error = event.code
            if event.code == "not-msrp":
                self.link.close()
            else:  # nobody would take a goodbye
                self.link.abort(LinkError("idle", event.code))
        elif isinstance(event, Responded):
            event.token(event.response)
        else:
            session = event.session if isinstance(event, _OF_SESSIONS) else event.message.session
            leg: Leg = session.owner
            if isinstance(event, SessionBound):
                self.join(leg)
                leg.came_by(self)
            leg.on_event(event)

    def _on_writable(self, writable: bool) -> None:
        self.machine.hold(not writable)
        self.wake()

    def _lost(self, error: LinkError | None) -> None:
        self.alive = False
        if error is not None:
            _log.info("msrp connection lost", remote=join_host_port(*self.remote), why=str(error))
        self.error = self.error or ("lost" if error is None else error.code)
        legs, self.legs = list(self.legs), {}
        for leg in legs:
            leg.flow_lost(self.error)
        self.machine.receive_data(b"", 0.0)  # whoever holds a session of it sees that it is over
        self._on_lost(self)

    def _tapped(self, tap: Tap) -> Any:
        remote = f"msrp:{join_host_port(*self.remote)}"
        return lambda direction, data: tap(remote, direction, data)
