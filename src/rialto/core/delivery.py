"""The queues: who gets what next, how often it is tried, and when it is given up.

## Theory of operation

An `Item` (see `item`) is one message or report on its way out. Items stand in *lanes*, one for each
recipient of a peer, in the order in which they were stored; a lane has at most `in_flight_per_recipient`
items on the wire (SIP allows one: RFC 3428 section 8). Lanes belong to a *destination*: what the network
says fails together, a server or a domain. A destination has a window of items on the wire, and takes from
its ready lanes in turn, so that one busy conversation does not hold up the others.

    put ──► lane ──► destination.ready ──► deliver ──┬─► sent / delivered ──► settled
             ▲                                       ├─► failed, for good ──► settled
             └───── back to its place, by id ◄───────┴─► failed, try again

When a destination is unreachable everything for it waits, without a timer of its own: after a back-off
(doubling from 1 s to 60 s, with jitter so that many do not come back at once) a single item goes first,
and only its success opens the window again. A network that notices earlier that a link is up says so with
`reachable`. A recipient that is busy holds up only its own lane.

What is tried again returns to its place in the lane, so a conversation keeps its order over any number of
outages. Nothing is tried for ever: an item that has expired is settled as such, found by a sweep over the
waiting lanes every few seconds, which costs something only while there is an outage.

One timer serves all of this. Waiting is measured by a clock that never steps (`monotonic`), expiry by the
calendar (`clock`). Everything happens on the event loop's thread.

The network gets an `Attempt`, a new one for every try and every part. Its answer counts only while it is the
item's current one: whatever comes late, or twice, speaks of something that is over, and is not heard.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

import structlog

from rialto.core.adapt import adapt
from rialto.core.item import Attempt, Item
from rialto.core.network import FeaturedNetwork, Hop, Network, Outcome
from rialto.core.trail import Event, Stop
from rialto.model.errors import DeliveryError, Expired, Reason, Refused, Unreachable
from rialto.model.message import Message

BACK_OFF_FIRST_S = 1.0
BACK_OFF_MOST_S = 60.0
RETRY_AFTER_MOST_S = 900.0
"""However long a peer asks us to wait, we look again after this: it may have been wrong."""

SWEEP_EVERY_S = 5.0
ADAPTED_AGAIN_MOST = 3
KEPT_ATTEMPTS = 8
"""So many failed attempts are written into the trail; later ones only when their number is a power of two."""

_log = structlog.get_logger(__name__)


class Timer(Protocol):
    """What `call_at` of an event loop returns."""

    def cancel(self) -> None:
        """Do not call."""


class Lane:
    """What waits for one recipient, oldest first."""

    __slots__ = ("blocked_until", "destination", "in_flight", "key", "listed", "waiting")

    def __init__(self, key: tuple[str, str, str], destination: Destination) -> None:
        self.key = key
        self.destination = destination
        self.waiting: deque[Item] = deque()
        self.in_flight = 0
        self.blocked_until = 0.0
        self.listed = False


class Destination:
    """What fails together, with one window and one back-off."""

    __slots__ = (
        "down_since",
        "failures",
        "in_flight",
        "key",
        "lanes",
        "last_error",
        "pumping",
        "ready",
        "retry_at",
    )

    def __init__(self, key: tuple[str, str]) -> None:
        self.key = key
        self.ready: deque[Lane] = deque()
        self.lanes = 0
        self.in_flight = 0
        self.failures = 0
        self.retry_at = 0.0
        self.down_since = 0.0
        self.last_error: DeliveryError | None = None
        self.pumping = False


Settled = Callable[[Item, Outcome, "DeliveryError | None"], None]


class Queue:
    """All items under way in one instance.

    `settled(item, outcome, error)` is called once for each item that was put in. `tried(item)` is called
    after a failed attempt, for the trail, `cut(id, parts)` when one goes in parts. `clock` is seconds since
    1970, `monotonic` any clock that never steps (`call_later` counts in it), and `random()` gives the jitter,
    in [0, 1).
    """

    def __init__(
        self,
        *,
        settled: Settled,
        tried: Callable[[Item, DeliveryError], None],
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        call_later: Callable[[float, Callable[[], None]], Timer],
        random: Callable[[], float],
        cut: Callable[[str, int], None] | None = None,
    ) -> None:
        self._networks: Mapping[str, Network] = {}
        self._featured: dict[str, FeaturedNetwork] = {}
        self._settled = settled
        self._tried = tried
        self._clock = clock
        self._monotonic = monotonic
        self._call_later = call_later
        self._random = random
        self._cut = cut
        self._lanes: dict[tuple[str, str, str], Lane] = {}
        self._destinations: dict[tuple[str, str], Destination] = {}
        self._alarms: list[tuple[float, int, Lane | Destination]] = []
        self._alarm_number = 0
        self._timer: Timer | None = None
        self._timer_at = 0.0
        self._next_sweep = 0.0
        self._holding = False
        self._quiet: Callable[[], None] | None = None
        self.count = 0
        """Items under way."""
        self.size_bytes = 0
        """The size of their contents."""

    @property
    def networks(self) -> Mapping[str, Network]:
        """Whom it delivers to, by name."""
        return self._networks

    @networks.setter
    def networks(self, networks: Mapping[str, Network]) -> None:
        self._networks = networks
        self._featured = {name: one for name, one in networks.items() if isinstance(one, FeaturedNetwork)}

    # -- from the hub ----------------------------------------------------------------------------------

    def put(self, item: Item) -> None:
        """Deliver this item, after all that was put in before for the same recipient."""
        self.count += 1
        self.size_bytes += item.size_bytes
        self._enter(item)
        if self._timer is None:
            self._arm()

    def hold(self, quiet: Callable[[], None] | None = None) -> None:
        """Begin nothing more; `quiet` is called once nothing is on the wire."""
        self._holding = True
        self._quiet = quiet
        self._see_if_quiet()

    def release(self) -> None:
        """Begin (again) to deliver."""
        self._holding = False
        self._quiet = None
        for destination in list(self._destinations.values()):
            self._pump(destination)

    def in_flight(self) -> int:
        """How many items are on the wire."""
        return sum(destination.in_flight for destination in self._destinations.values())

    def reachable(self, destination: str, network: str) -> None:
        """A link to that destination is up: what waits for it may go."""
        known = self._destinations.get((network, destination))
        if known is not None and known.failures:
            self._up(known)
            self._pump(known)
            self._forget_if_unused(known)

    def bounced(self, item: Item, error: DeliveryError) -> None:
        """What is on the wire has come back: that is its answer, whatever the network says later."""
        if item.on_wire:
            item.uncertain = item.uncertain or item.part_count > 1  # the other parts may have arrived
            self.failed(item, error)

    def now_ready(self, item: Item) -> None:
        """What it speaks of has been looked up."""
        item.ready = True
        lane = item.lane
        if lane is not None:
            self._list(lane)
            self._pump(lane.destination)

    def confirmed(self, item: Item) -> None:
        """Its recipient says that it has all arrived: what waits to be tried again need not be."""
        if item.attempt and len(item.parts) == 1 and self.withdraw(item):
            item.events.append(Event(self._clock(), Stop.DELIVERED, "its recipient has confirmed it"))
            self._settled(item, Outcome.DELIVERED, None)

    def withdraw(self, item: Item) -> bool:
        """Take an item out that is not on the wire; False when it is."""
        lane = item.lane
        if item.on_wire or lane is None:
            return False
        lane.waiting.remove(item)
        self._leave(item, lane)
        return True

    def wake(self, lane: Lane) -> None:
        """Try what waits in this lane now, whatever the back-off says."""
        lane.blocked_until = 0.0
        lane.destination.retry_at = 0.0
        self._list(lane)
        self._pump(lane.destination)

    def outages(self) -> Iterator[tuple[str, str, float, float, str]]:
        """(network, destination, down since, next attempt, last error) of what cannot be reached."""
        now, ticks = self._clock(), self._monotonic()
        for (network, name), destination in self._destinations.items():
            error = destination.last_error
            if destination.failures and error is not None:
                retry_at = now + max(0.0, destination.retry_at - ticks)
                text = ": ".join(part for part in (error.text, error.detail) if part)
                yield network, name, destination.down_since, retry_at, text

    # -- lanes and destinations ------------------------------------------------------------------------

    def _enter(self, item: Item) -> None:
        """Into its lane, at the place that its id gives it."""
        recipient = item.whole.recipient
        key = (item.peer.name, recipient.local, recipient.domain)
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane(key, self._destination(item))
            lane.destination.lanes += 1
        item.lane = lane
        waiting = lane.waiting
        if not waiting or waiting[-1].id < item.id:
            waiting.append(item)
        else:
            place = next(index for index, other in enumerate(waiting) if other.id > item.id)
            waiting.insert(place, item)
        self._list(lane)
        self._pump(lane.destination)

    def _destination(self, item: Item) -> Destination:
        name = item.peer.network
        try:
            key = (name, self._networks[name].destination(item.peer, item.domain))
        except Exception:
            _log.exception("the network knows no destination", network=name, message=item.id)
            key = (name, item.domain)
        destination = self._destinations.get(key)
        if destination is None:
            destination = self._destinations[key] = Destination(key)
        return destination

    def _list(self, lane: Lane) -> None:
        """Among the ready lanes of its destination, if it is ready."""
        if lane.listed or not lane.waiting:
            return
        first = lane.waiting[0]
        if not first.ready or lane.in_flight >= first.peer.features.in_flight_per_recipient:
            return
        if lane.blocked_until and lane.blocked_until > self._monotonic():
            return
        lane.listed = True
        lane.destination.ready.append(lane)

    def _pump(self, destination: Destination) -> None:
        """Put on the wire whatever may go."""
        if destination.pumping or self._holding:
            return
        if destination.retry_at and destination.retry_at > self._monotonic():
            return
        destination.pumping = True
        try:
            while destination.ready:
                lane = destination.ready[0]
                if not lane.waiting:  # its items were dropped, or have expired
                    destination.ready.popleft().listed = False
                    self._forget_if_idle(lane)
                    continue
                first = lane.waiting[0]
                if not first.ready:
                    destination.ready.popleft().listed = False
                    continue
                window = 1 if destination.failures else first.peer.features.in_flight
                if destination.in_flight >= window or (
                    destination.retry_at and destination.retry_at > self._monotonic()
                ):
                    break
                destination.ready.popleft()
                lane.listed = False
                item = lane.waiting.popleft()
                lane.in_flight += 1
                destination.in_flight += 1
                self._list(lane)
                self._start(item)
        finally:
            destination.pumping = False

    def _start(self, item: Item) -> None:
        if item.expires_at <= self._clock():
            self.failed(item, Expired(Reason.EXPIRED, "it waited too long"))
            return
        network = self._networks[item.peer.network]
        if not item.parts:
            try:
                if isinstance(item.whole, Message):
                    peer = item.peer
                    featured = self._featured.get(peer.network)
                    item.parts, item.fidelity = adapt(
                        item.whole,
                        peer.features if featured is None else featured.features(peer, item.whole.recipient),
                        lambda message: network.measure(message, peer),
                    )
                    if item.fidelity:
                        self._adapted(item)
                else:
                    item.parts = (item.whole,)
            except DeliveryError as error:
                self.failed(item, error)
                return
            except Exception:
                _log.exception("could not be adapted", message=item.id)
                self.failed(item, Refused(Reason.INTERNAL, "the gateway could not translate the message"))
                return
        item.part_count = item.part_count or len(item.parts)
        self._hand_over(item)

    def _adapted(self, item: Item) -> None:
        """Note what it has lost."""
        parts = len(item.parts)
        text = "; ".join(item.fidelity)
        item.events.append(Event(self._clock(), Stop.ADAPTED, text, {"parts": parts} if parts > 1 else {}))
        if parts > 1 and self._cut is not None:
            self._cut(item.id, parts)

    def _hand_over(self, item: Item) -> None:
        item.current = attempt = Attempt(self, item, item.parts[0])
        try:
            self._networks[item.peer.network].deliver(attempt)
        except Exception:
            _log.exception("could not be handed over", message=item.id, network=item.peer.network)
            attempt.failed(Refused(Reason.INTERNAL, "the gateway failed", certain=False))

    # -- what the network answers ----------------------------------------------------------------------

    def succeeded(self, item: Item, outcome: Outcome, detail: str, hop: Hop) -> None:
        """The current attempt of the item has arrived, over that hop."""
        lane = item.lane
        if lane is None:
            return
        destination = lane.destination
        if destination.failures:
            self._up(destination)
        if len(item.parts) > 1:
            item.uncertain = True  # whatever becomes of the rest, something has arrived
            item.parts = item.parts[1:]
            self._hand_over(item)
            return
        stop = Stop.SENT if outcome is Outcome.SENT else Stop.DELIVERED
        data = {"attempt": item.attempt, **hop} if item.attempt else hop
        item.events.append(Event(self._clock(), stop, detail, data))
        self._off_wire(item, lane)
        self._leave(item, lane)
        self._settled(item, outcome, None)
        self._list(lane)
        self._pump(destination)

    def again(self, item: Item, why: str) -> None:
        """The recipient turned out to carry less than what was tried; nothing of it has arrived."""
        if why:
            item.events.append(Event(self._clock(), Stop.TRIED, why))
        item.current = None
        item.adapted += 1
        if item.adapted > ADAPTED_AGAIN_MOST or item.partly_delivered:
            item.current = attempt = Attempt(self, item, item.parts[0])
            attempt.failed(Refused(Reason.NOT_ACCEPTABLE, "the recipient takes no such message"))
            return
        item.begin_anew()
        self._start(item)

    def failed(self, item: Item, error: DeliveryError) -> None:
        """The current attempt of the item has not arrived, or may not have."""
        lane = item.lane
        if lane is None:
            return
        now = self._clock()
        destination = lane.destination
        self._off_wire(item, lane)
        item.uncertain = item.uncertain or not error.certain
        if error.retry and now < item.expires_at:
            item.attempt += 1
            if isinstance(error, Unreachable):
                self._down(destination, error, now)
            else:
                lane.blocked_until = self._monotonic() + self._wait_s(error, item.attempt)
                self._alarm(lane.blocked_until, lane)
            if item.attempt <= KEPT_ATTEMPTS or not item.attempt & (item.attempt - 1):
                item.events.append(
                    Event(
                        now,
                        Stop.TRIED,
                        error.text or error.detail,
                        {"attempt": item.attempt - 1, "reason": error.reason},
                    )
                )
                self._tried(item, error)
            self._enter(item)
            return
        if error.reason is Reason.DOMAIN_NOT_FOUND and item.alternatives and not item.partly_delivered:
            # RFC 7247 section 5: the other protocol is asked when the first has no such domain.
            item.events.append(
                Event(now, Stop.ROUTED, f"{item.peer.name}: {error.text}; now {item.alternatives[0].name}")
            )
            item.divert()
            self._enter(item)
            self._forget_if_idle(lane)
            self._list(lane)
            self._pump(destination)
            return
        if error.retry:
            error = Expired(Reason.EXPIRED, f"given up: {error.text or error.detail}", detail=error.detail)
        self._give_up(item, lane, error)
        self._list(lane)
        self._pump(destination)

    def _give_up(self, item: Item, lane: Lane, error: DeliveryError) -> None:
        if item.uncertain:
            error = error.in_doubt()
        item.events.append(
            Event(
                self._clock(),
                Stop.FAILED,
                error.text or error.detail,
                {"reason": error.reason, "certain": error.certain, "detail": error.detail},
            )
        )
        self._leave(item, lane)
        self._settled(item, Outcome.FAILED, error)

    def _off_wire(self, item: Item, lane: Lane) -> None:
        item.current = None
        lane.in_flight -= 1
        lane.destination.in_flight -= 1
        if self._holding:
            self._see_if_quiet()

    def _see_if_quiet(self) -> None:
        if self._quiet is not None and not self.in_flight():
            self._quiet()
            self._quiet = None

    def _leave(self, item: Item, lane: Lane) -> None:
        """Out of the queue altogether."""
        item.lane = None
        self.count -= 1
        self.size_bytes -= item.size_bytes
        self._forget_if_idle(lane)

    def _forget_if_idle(self, lane: Lane) -> None:
        if lane.waiting or lane.in_flight or self._lanes.get(lane.key) is not lane:
            return
        if lane.blocked_until > self._monotonic():
            return  # a recipient that asked us to wait is remembered until then
        del self._lanes[lane.key]
        lane.destination.lanes -= 1
        self._forget_if_unused(lane.destination)

    def _forget_if_unused(self, destination: Destination) -> None:
        if destination.lanes or self._destinations.get(destination.key) is not destination:
            return
        if destination.retry_at > self._monotonic():
            return  # what could not be reached is remembered until its next try is due
        del self._destinations[destination.key]

    # -- outages and time ------------------------------------------------------------------------------

    def _down(self, destination: Destination, error: Unreachable, now: float) -> None:
        destination.last_error = error
        ticks = self._monotonic()
        if destination.retry_at > ticks:
            return  # another item of the same window has failed: one outage is counted once
        if not destination.failures:
            destination.down_since = now
        destination.failures += 1
        destination.retry_at = ticks + self._wait_s(error, destination.failures)
        self._alarm(destination.retry_at, destination)

    def _up(self, destination: Destination) -> None:
        destination.failures = 0
        destination.retry_at = 0.0
        destination.last_error = None

    def _wait_s(self, error: DeliveryError, failures: int) -> float:
        if error.retry_after_s:
            return min(error.retry_after_s, RETRY_AFTER_MOST_S)
        return self._back_off(failures)

    def _back_off(self, failures: int) -> float:
        longest_s = min(BACK_OFF_MOST_S, BACK_OFF_FIRST_S * 2.0 ** min(failures - 1, 16))
        return longest_s * (0.75 + self._random() / 2)

    def _alarm(self, at: float, what: Lane | Destination) -> None:
        self._alarm_number += 1
        heapq.heappush(self._alarms, (at, self._alarm_number, what))
        self._arm()

    def _arm(self) -> None:
        if not self._next_sweep:
            self._next_sweep = self._monotonic() + SWEEP_EVERY_S
        if self._alarms:
            at = min(self._alarms[0][0], self._next_sweep)
        elif self.count:
            at = self._next_sweep
        else:
            return
        if self._timer is not None:
            if self._timer_at <= at:
                return
            self._timer.cancel()
        self._timer_at = at
        self._timer = self._call_later(max(0.0, at - self._monotonic()), self._tick)

    def _tick(self) -> None:
        self._timer = None
        ticks = self._monotonic()
        try:
            if ticks >= self._next_sweep:
                self._next_sweep = ticks + SWEEP_EVERY_S
                self._sweep(self._clock())
            while self._alarms and self._alarms[0][0] <= ticks:
                what = heapq.heappop(self._alarms)[2]
                if isinstance(what, Lane):
                    self._list(what)
                    self._forget_if_idle(what)
                    what = what.destination
                self._pump(what)
                self._forget_if_unused(what)
        finally:
            self._arm()

    def _sweep(self, now: float) -> None:
        """Settle what has waited too long."""
        for lane in list(self._lanes.values()):
            for item in [item for item in lane.waiting if item.expires_at <= now]:
                lane.waiting.remove(item)
                why = lane.destination.last_error
                text = "it waited too long" + (f": {why.text or why.detail}" if why is not None else "")
                self._give_up(item, lane, Expired(Reason.EXPIRED, text))
