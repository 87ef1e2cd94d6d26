"""A stage for presence: the real machine and the real SQL, with networks and a clock that the test moves.

`Wire` is a network whose far side is a play: the people of `sip.example` and `xmpp.example`, who decide, come
and go as the test says. What the hub tells its watchers is applied to `screens`, as a client would: that is
what a user sees, and all that may be compared.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from rialto.core.metrics import Metrics
from rialto.core.network import Origin, PairView, Peer, Side, Verb
from rialto.core.policy import PolicySettings
from rialto.core.policy.gate import Gate
from rialto.core.presence import Presence, PresenceSettings
from rialto.core.routing import Routes
from rialto.model.address import Address
from rialto.model.errors import DeliveryError, Reason, Refused, Unreachable
from rialto.model.presence import Document, Grant, Pair, Show, State
from rialto.store.store import Store, WatchRow
from rialto.store.units import STATEMENTS, Unit
from rialto.store.writer import Done, StoreError
from rialto.testing import FakeTime, ScriptedNetwork, peer

XMPP = peer("xmpp.example", "xmpp", "xmpp.example")
SIP = peer("sip.example", "sip", "sip.example")
PEERS = (XMPP, SIP)


def pair(watcher: str, presentity: str) -> Pair:
    """A pair from two texts."""
    return Pair(Address.parse(watcher), Address.parse(presentity))


def document(*instances: str, show: Show = Show.AVAILABLE, at: float = 0.0) -> Document:
    """Online with these instances; offline without any."""
    return Document(tuple(State(name, show) for name in instances), as_of=at)


class Screen:
    """What one watcher sees of one presentity."""

    def __init__(self) -> None:
        self.grant = Grant.NONE
        self.shown: dict[str, State] = {}
        self.stale = False
        self.changes = 0
        """How often the user saw anything change."""

    def apply(self, view: PairView) -> None:
        """As an XMPP network does it: the news against what was told; what disappears is taken off."""
        before = (self.grant, dict(self.shown), self.stale)
        told = view.told_document.states if view.told_document is not None else ()
        if view.grant is not Grant.GRANTED:
            for state in told:
                self.shown.pop(state.instance, None)
            self.stale = False
        elif view.document is not None:
            now = {state.instance: state for state in view.document.states}
            for state in told:
                if state.instance not in now:
                    self.shown.pop(state.instance, None)
            self.shown.update(now)
            self.stale = view.document.stale
        self.grant = view.grant
        if not view.listening:
            self.shown.clear()
            self.stale = False
        if before != (self.grant, self.shown, self.stale):
            self.changes += 1


class Wire(ScriptedNetwork):
    """A network that carries presence. It remembers nothing of its own, but who was told of what."""

    def __init__(self, name: str, *, pushes: bool) -> None:
        super().__init__(name)
        self.pushes = pushes
        self.told: list[PairView] = []
        self.said: list[tuple[Pair, Verb]] = []
        self.resumed: list[tuple[PairView, Side]] = []
        self.faults: list[Exception] = []
        self.on_watch: Callable[[PairView, Verb], None] | None = None
        self.on_tell: Callable[[PairView], None] | None = None

    def resume(self, view: PairView, side: Side) -> None:
        self.resumed.append((view, side))

    def watch(self, view: PairView, verb: Verb) -> None:
        self.said.append((view.pair, verb))
        if self.on_watch is not None:
            self._try(lambda: self.on_watch and self.on_watch(view, verb))

    def tell(self, view: PairView) -> None:
        self.told.append(view)
        if self.on_tell is not None:
            self._try(lambda: self.on_tell and self.on_tell(view))

    def _try(self, call: Callable[[], object]) -> None:
        """The hub survives a network that raises; the test shall not."""
        try:
            call()
        except Exception as error:
            self.faults.append(error)
            raise


class Disk:
    """The store's tables and statements in memory; commits when told to, or at once."""

    def __init__(self) -> None:
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        with template() as source:
            source.backup(self.connection)
        self.pending: list[tuple[Unit, Done]] = []
        self.broken = False
        self.commits = 0

    def submit(self, unit: Unit, done: Done) -> None:
        self.pending.append((unit, done))

    def commit(self) -> None:
        """Like the writer: statement by statement, then everybody is told."""
        batch, self.pending = self.pending, []
        if not batch:
            return
        error = StoreError("the disk is full") if self.broken else None
        if error is None:
            rows: list[list[tuple[object, ...]]] = [[] for _ in STATEMENTS]
            for unit, _ in batch:
                for statement, parameters in unit:
                    rows[statement].append(parameters)
            for sql, parameters_list in zip(STATEMENTS, rows, strict=True):
                if parameters_list:
                    self.connection.executemany(sql, parameters_list)
        self.commits += bool(error is None)
        for _, done in batch:
            done(error)

    def rows(self) -> list[WatchRow]:
        names = ", ".join(WatchRow.__struct_fields__)
        return [WatchRow(*row) for row in self.connection.execute(f"SELECT {names} FROM watch")]


_templates: list[sqlite3.Connection] = []


@contextlib.contextmanager
def template() -> Iterator[sqlite3.Connection]:
    """An empty database as the migrations make it; made once."""
    if not _templates:
        folder = Path(tempfile.mkdtemp())
        Store(folder).close()
        connection = sqlite3.connect(":memory:")
        with contextlib.closing(sqlite3.connect(folder / "rialto.db")) as source:
            source.backup(connection)
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
        _templates.append(connection)
    yield _templates[0]


class Stage:
    """One hub's presence between two wires; `restart` is a crash and a new process on the same disk."""

    def __init__(
        self, settings: PresenceSettings | None = None, policy: PolicySettings | None = None
    ) -> None:
        self.policy = policy or PolicySettings()
        self.settings = settings or PresenceSettings()
        self.time = FakeTime()
        self.disk = Disk()
        self.xmpp = Wire("xmpp", pushes=True)
        self.sip = Wire("sip", pushes=False)
        self.routes = Routes(PEERS)
        self.soon: list[Callable[[], None]] = []
        self.origins = {one.name: Origin(one, one.name, "tls") for one in PEERS}
        self.random = lambda: 0.5
        self.start()

    def start(self, *, go: bool = True) -> None:
        self.metrics = Metrics()
        self.gate = Gate(
            self.policy, own_domain="gw.example", clock=self.time.clock, count=self.metrics.count
        )
        self.presence = Presence(
            settings=self.settings,
            metrics=self.metrics,
            clock=self.time.clock,
            candidates=self.routes.candidates,
            gate=self.gate,
        )
        self.presence.start(
            {"xmpp": self.xmpp, "sip": self.sip},
            self.disk.rows(),
            submit=self.disk.submit,
            call_soon=lambda callback: self.soon.append(callback),
            call_later=self.time.call_later,
            monotonic=self.time.monotonic,
            random=lambda: self.random(),
        )
        if go:
            self.presence.go()

    def crash(self) -> None:
        """The process is gone; what was not committed is lost."""
        self.soon.clear()
        self.disk.pending.clear()
        self.time = FakeTime(self.time.now)

    def restart(self) -> None:
        self.crash()
        self.start()

    def turn(self) -> None:
        """One turn of the loop, and the commit after it."""
        soon, self.soon = self.soon, []
        for callback in soon:
            callback()
        self.disk.commit()

    def settle(self, seconds: float = 3.0) -> None:
        """Let everything happen that can, and a little time pass."""
        for _ in range(20):
            while self.soon or self.disk.pending:
                self.turn()
            self.time.advance(seconds / 20)
        while self.soon or self.disk.pending:
            self.turn()

    def by(self, domain: str) -> Origin:
        return self.origins[domain]

    def wire(self, domain: str) -> Wire:
        return self.xmpp if domain == "xmpp.example" else self.sip


def no(reason: Reason = Reason.FORBIDDEN, text: str = "no") -> Refused:
    return Refused(reason, text)


def later(retry_after_s: float | None = None) -> DeliveryError:
    return Unreachable(Reason.UNREACHABLE, "nobody answers", retry_after_s=retry_after_s)


__all__ = ["Address", "Document", "Grant", "Pair", "Peer", "Screen", "Stage", "Verb", "Wire", "asyncio"]
