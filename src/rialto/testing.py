"""The published test kit: for those who write a network, and for Rialto's own tests.

`FakeTime` is a clock with timers that move only when told to. `ScriptedNetwork` answers deliveries as its
script says, or keeps them until the test answers. `Recorder` is an `Inbound` that notes what it was told.
`Desk` is a queue and `House` a hub with such networks. Nothing here sleeps.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from rialto.core.delivery import Queue
from rialto.core.hub import Hub
from rialto.core.item import Item
from rialto.core.network import Delivery, Features, LinkState, Network, Origin, Outcome, Peer
from rialto.core.policy import PolicySettings
from rialto.core.settings import QueueSettings
from rialto.model.address import Address
from rialto.model.errors import DeliveryError
from rialto.model.message import Composing, Content, Message, Receipt
from rialto.store.store import Store

NOW = 1_700_000_000.0


class FakeTimer:
    """What `FakeTime.call_later` returns."""

    def __init__(self, at: float, callback: Callable[[], None]) -> None:
        self.at = at
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        """Do not call."""
        self.cancelled = True


class FakeTime:
    """A calendar (`clock`) and a clock that never steps (`monotonic`); both stand until `advance`."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now
        self.ticks = 1000.0
        self._timers: list[tuple[float, int, FakeTimer]] = []
        self._number = 0

    def clock(self) -> float:
        """Seconds since 1970."""
        return self.now

    def monotonic(self) -> float:
        """Seconds since whenever."""
        return self.ticks

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> FakeTimer:
        """Like that of an event loop."""
        timer = FakeTimer(self.ticks + delay_s, callback)
        self._number += 1
        heapq.heappush(self._timers, (timer.at, self._number, timer))
        return timer

    def advance(self, seconds: float) -> None:
        """Let time pass; every timer that falls due on the way is called at its own moment."""
        until = self.ticks + seconds
        while self._timers and self._timers[0][0] <= until:
            at, _, timer = heapq.heappop(self._timers)
            if timer.cancelled:
                continue
            self._move_to(max(at, self.ticks))
            timer.callback()
        self._move_to(until)

    def step(self, seconds: float) -> None:
        """Set the calendar, as an operator or NTP would; no time passes."""
        self.now += seconds

    def timers(self) -> int:
        """How many timers are still to come."""
        return sum(not timer.cancelled for _, _, timer in self._timers)

    def _move_to(self, ticks: float) -> None:
        self.now += ticks - self.ticks
        self.ticks = ticks


def text_of(content: Content) -> str:
    """The text of a message or report; of a receipt what it says."""
    return content.disposition.value if isinstance(content, Receipt) else content.text


Answer = Callable[[Delivery], None]


def deliver_at_once(delivery: Delivery) -> None:
    """The answer of a far side where everything works."""
    delivery.delivered("200 OK")


def fail_with(error: DeliveryError) -> Answer:
    """The answer of a far side that always says this."""
    return lambda delivery: delivery.failed(error)


class ScriptedNetwork:
    """A network whose far side is the test.

    `answer` is called with each delivery; without one they stay in `open`, oldest first. `log` has the
    content of everything that was put on the wire, in order, and `composed` every typing notice. `carries`
    says what single people can carry, where that is not what their peer can.
    """

    def __init__(
        self,
        name: str,
        answer: Answer | None = None,
        *,
        destination: Callable[[Peer, str], str] = lambda peer, domain: domain,
    ) -> None:
        self.name = name
        self.answer = answer
        self.open: list[Delivery] = []
        self.log: list[Content] = []
        self.composed: list[Composing] = []
        self.carries: dict[Address, Features] = {}
        self._destination = destination

    async def start(self, hub: Hub) -> None:
        """See `Network`."""

    async def stop(self, grace_s: float) -> None:
        """See `Network`."""

    async def reload(self, network: Network) -> None:
        """See `Network`."""

    def destination(self, peer: Peer, domain: str) -> str:
        """See `Network`."""
        return self._destination(peer, domain)

    def measure(self, message: Message, peer: Peer) -> int:
        """See `Network`: the text, and a hundred bytes around it."""
        return 100 + len(message.text.encode()) + len(message.subject.encode())

    def deliver(self, delivery: Delivery) -> None:
        """See `Network`."""
        self.log.append(delivery.content)
        if self.answer is None:
            self.open.append(delivery)
        else:
            self.answer(delivery)

    def features(self, peer: Peer, recipient: Address) -> Features:
        """See `FeaturedNetwork`."""
        return self.carries.get(recipient.bare, peer.features)

    def compose(self, peer: Peer, composing: Composing) -> None:
        """See `ConversationNetwork`."""
        self.composed.append(composing)

    def links(self) -> list[LinkState]:
        """See `Network`."""
        return []

    async def probe(self, peer: Peer) -> tuple[bool, str]:
        """See `Network`."""
        return True, "it is a test"

    def next(self) -> Delivery:
        """The oldest delivery that has not been answered."""
        return self.open.pop(0)

    def texts(self) -> list[str]:
        """The texts of all that was put on the wire, in order."""
        return [text_of(content) for content in self.log]


class Recorder:
    """An `Inbound` that notes what it is told; `waiting` says whether its sender still waits."""

    def __init__(self, *, waiting: bool = False, tells: bool | None = None) -> None:
        self.waiting = waiting
        self.told: list[tuple[str, Outcome | None, DeliveryError | None]] = []
        self._tells = tells

    def stored(self) -> None:
        """See `Inbound`."""
        self.told.append(("stored", None, None))

    def refused(self, error: DeliveryError) -> None:
        """See `Inbound`."""
        self.told.append(("refused", None, error))

    def settled(self, outcome: Outcome, error: DeliveryError | None) -> bool:
        """See `Inbound`: told if the sender waits, unless the test says otherwise."""
        self.told.append(("settled", outcome, error))
        return self.waiting if self._tells is None else self._tells

    @property
    def steps(self) -> list[str]:
        """What it was told, without the details."""
        return [step for step, _, _ in self.told]

    @property
    def error(self) -> DeliveryError | None:
        """The last error it was told."""
        return next((error for _, _, error in reversed(self.told) if error is not None), None)


def peer(name: str, network: str, *domains: str, features: Features | None = None, **more: float) -> Peer:
    """A peer for tests: its domains default to its name, and its users may send as fast as they like."""
    rates = {"rate_per_s": 1e9, "sender_rate_per_s": 1e9, **more}
    return Peer(
        name=name,
        network=network,
        domains=domains or (name,),
        settings=None,
        features=features or Features(),
        **rates,
    )


def message(
    id: str,  # noqa: A002
    sender: str,
    recipient: str,
    text: str,
    **more: object,
) -> Message:
    """A message for tests."""
    return Message(
        id=id,
        sender=Address.parse(sender),
        recipient=Address.parse(recipient),
        text=text,
        received_at=NOW,
        **more,  # type: ignore[arg-type]
    )


class Desk:
    """A `Queue` with a fake clock, and the list of what came out of it."""

    def __init__(self, *networks: ScriptedNetwork, random: Callable[[], float] = lambda: 0.5) -> None:
        self.time = FakeTime()
        self.settled: list[tuple[Item, Outcome, DeliveryError | None]] = []
        self.tried: list[tuple[Item, DeliveryError]] = []
        self.queue = Queue(
            settled=lambda *what: self.settled.append(what),
            tried=lambda *what: self.tried.append(what),
            clock=self.time.clock,
            monotonic=self.time.monotonic,
            call_later=self.time.call_later,
            random=random,
        )
        self.queue.networks = {network.name: network for network in networks}
        self._number = 0

    def put(
        self, text: str, recipient: str, *peers: Peer, expires_in_s: float = 86400.0, **more: object
    ) -> Item:
        """Queue a message for somebody, and return its item."""
        self._number += 1
        content = message(f"{self._number:023x}", "juliet@xa.example", recipient, text, **more)
        item = Item(
            content,
            peers=peers,
            origin_peer="xa.example",
            size_bytes=len(text),
            expires_at=self.time.now + expires_in_s,
        )
        self.queue.put(item)
        return item

    def outcomes(self) -> list[tuple[str, str]]:
        """(text, outcome or reason) of everything that was settled, in order."""
        return [
            (text_of(item.whole), outcome.value if error is None else error.reason.value)
            for item, outcome, error in self.settled
        ]


class House:
    """A hub with a real store and scripted networks; `async with` starts and stops it."""

    def __init__(
        self,
        folder: Path,
        peers: Iterable[Peer],
        networks: Iterable[ScriptedNetwork],
        *,
        settings: QueueSettings | None = None,
        clock: Callable[[], float] | None = None,
        store: Store | None = None,
        policy: PolicySettings | None = None,
    ) -> None:
        self.time = FakeTime()
        self.store = store or Store(folder)
        self.networks: Mapping[str, ScriptedNetwork] = {network.name: network for network in networks}
        self.peers = {one.name: one for one in peers}
        self.hub = Hub(
            store=self.store,
            peers=self.peers.values(),
            settings=settings or QueueSettings(),
            server_name="gw.example",
            clock=clock or self.time.clock,
            policy=policy,
        )

    async def __aenter__(self) -> House:
        """Start, and deliver."""
        await self.hub.start(self.networks)
        self.hub.go()
        return self

    async def __aexit__(self, *error: object) -> None:
        """Stop in good order."""
        await self.hub.stop(0.0)
        await self.hub.close()

    def origin(self, peer_name: str, domain: str = "") -> Origin:
        """A proven origin at that peer."""
        one = self.peers[peer_name]
        return Origin(one, domain or one.domains[0], "tls", secured=True)

    def hand_in(
        self,
        text: str,
        sender: str,
        recipient: str,
        by: str,
        *,
        inbound: Recorder | None = None,
        **more: object,
    ) -> tuple[Message, Recorder]:
        """Let the hub accept a message; raises what it raises."""
        recorder = inbound or Recorder()
        content = message(self.hub.new_id(), sender, recipient, text, **more)
        self.hub.accept(content, self.origin(by), recorder)
        return content, recorder

    async def settle_down(self) -> None:
        """Wait until everything that was begun has been written, with all that followed from it."""
        await self.store.writer.drain()
