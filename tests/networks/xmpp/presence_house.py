"""A gateway with the real pairs of the hub between two scripted worlds.

Romeo's server is a second XMPP network, whose part the test plays: it keeps every presence stanza that
reaches it, and says what the test says. Juliet lives on a network that is no wire at all.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from networks.xmpp.stage import ROME, VERONA, FakeHub, House
from rialto.core.metrics import Metrics
from rialto.core.network import PairView, Peer, Side, Verb
from rialto.core.policy.gate import Gate
from rialto.core.policy.settings import PolicySettings
from rialto.core.presence import Presence, PresenceSettings
from rialto.model.address import Address
from rialto.model.presence import Document, Pair, Show, State
from rialto.networks.xmpp.wire.element import Element
from rialto.networks.xmpp.wire.events import StanzaReceived
from rialto.store.store import WatchRow
from rialto.store.units import Unit
from rialto.store.writer import Done

ROMEO, JULIET = Address("romeo", ROME), Address("juliet", VERONA)
SEEING = Pair(ROMEO, JULIET)
"""Romeo watches Juliet."""
SEEN = Pair(JULIET, ROMEO)
"""Juliet watches Romeo."""


class FarSide:
    """Juliet's network: says nothing by itself."""

    pushes = False

    def __init__(self) -> None:
        self.told: list[PairView] = []
        self.said: list[tuple[Pair, Verb]] = []

    def resume(self, view: PairView, side: Side) -> None:
        pass

    def watch(self, view: PairView, verb: Verb) -> None:
        self.said.append((view.pair, verb))

    def tell(self, view: PairView) -> None:
        self.told.append(view)

    def destination(self, peer: Peer, domain: str) -> str:
        return domain


class Between(FakeHub):
    """The hub of the gateway, with real presence; `disk` is what a restart finds."""

    def __init__(self, ours: str, peers: tuple[Peer, ...], far: FarSide) -> None:
        super().__init__(ours, peers)
        self.far = far
        self.slow_disk = False
        self.waiting: list[Done] = []
        """What the slow disk has yet to write."""
        self.far_peer = Peer(name=ours, network="far", domains=(ours,), settings=None)
        metrics = Metrics()
        self.presence = Presence(
            settings=PresenceSettings(),
            metrics=metrics,
            clock=time.time,
            candidates=self._candidates,
            gate=Gate(PolicySettings(), own_domain=ours, clock=time.time, count=metrics.count),
        )

    def _candidates(self, domain: str, network: str) -> tuple[Peer, ...]:
        return tuple(peer for peer in (*self.peers, self.far_peer) if domain in peer.domains)

    def begin(self, network: Any, rows: list[WatchRow]) -> None:
        loop = asyncio.get_running_loop()
        self.presence.start(
            {"xmpp": network, "far": self.far},  # type: ignore[dict-item]
            rows,
            submit=self._submit,
            call_soon=loop.call_soon,
            call_later=loop.call_later,
            monotonic=loop.time,
            random=lambda: 0.5,
        )

    def _submit(self, unit: Unit, done: Done) -> None:
        if self.slow_disk:
            self.waiting.append(done)
        else:
            asyncio.get_running_loop().call_soon(done, None)

    def commit(self) -> None:
        """The slow disk has written."""
        waiting, self.waiting = self.waiting, []
        for done in waiting:
            done(None)

    def reachable(self, destination: str, network: str) -> None:
        super().reachable(destination, network)
        self.presence.reachable(destination, network)


class Gateway(House):
    """The gateway, which speaks for Juliet's domain."""

    def __init__(self, peers: tuple[Peer, ...], *, port: int, ours: str = VERONA, **more: Any) -> None:
        super().__init__(ours, peers, port=port, **more)
        self.far = FarSide()
        self.hub: Between = Between(ours, peers, self.far)
        self.network.context = _with_clock(self.network.context)

    async def start(self) -> None:
        self.hub.begin(self.network, [])
        await self.network.start(self.hub)  # type: ignore[arg-type]
        self.hub.presence.go()

    async def stop(self) -> None:
        self.hub.presence.stop()
        await self.network.stop(1.0)

    def show(self, *states: State, stale: bool = False, at: float | None = None) -> None:
        """Juliet is seen like this from now on."""
        document = Document(states, as_of=time.time() if at is None else at, stale=stale)
        self.hub.presence.show(SEEING, document, None)


class Server(House):
    """Romeo's server."""

    def __init__(self, peers: tuple[Peer, ...], *, port: int) -> None:
        super().__init__(ROME, peers, port=port)
        self.heard: list[Element] = []
        self.answers: dict[str, list[Element]] = {}
        """What it says to a presence of that type."""
        whole = self.network.on_stanza

        def on_stanza(stream: Any, event: StanzaReceived) -> None:
            if event.stanza.name != "presence":
                whole(stream, event)
                return
            self.heard.append(event.stanza)
            for answer in self.answers.get(event.stanza.get("type"), ()):
                self.says(answer)
            stream.handled(event.number)

        self.network.on_stanza = on_stanza  # type: ignore[method-assign]

    async def stop(self) -> None:
        await self.network.stop(1.0)

    def says(self, stanza: Element) -> None:
        """One stanza to the gateway."""
        self.network.say(ROME, VERONA, stanza)

    def lines(self) -> list[str]:
        """What it heard, as `type from to`, or `show` where there is no type."""
        found = []
        for stanza in self.heard:
            show = stanza.find("show")
            kind = stanza.get("type") or (show.text if show is not None else "available")
            found.append(f"{kind} {_short(stanza.get('from'))} {_short(stanza.get('to'))}")
        return found


def presence(kind: str = "", *content: Element, resource: str = "", **attributes: str) -> Element:
    """Romeo's server says this of Romeo to Juliet."""
    whole = {"from": f"{ROMEO}/{resource}" if resource else str(ROMEO), "to": str(JULIET)}
    return Element("presence", whole | ({"type": kind} if kind else {}) | attributes, list(content))


def shown(name: str) -> Element:
    """A `<show/>`."""
    return Element("show", {}, [name])


def state(instance: str, show: Show = Show.AVAILABLE, **more: Any) -> State:
    return State(instance, show, **more)


def _short(address: str) -> str:
    return address.replace(f"@{ROME}", "").replace(f"@{VERONA}", "")


def _with_clock(context: Any) -> Any:
    from msgspec.structs import replace

    return replace(context, clock=time.time)
