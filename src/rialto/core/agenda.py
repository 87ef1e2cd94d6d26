"""When to look at something again: one timer, however much there is to look at.

Each item has one appointment in force, `alarm_at`. An earlier one replaces it; a later one leaves it where it
is and is found when its time has come. So what is put off every hour costs one entry, and no search.

What is more than a few seconds away lies in the list of its second: a reference, which is all that a
replaced appointment costs until then. When its second is near, it goes to a heap, which is exact.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

LOOK_AT_LEAST_EVERY_S = 30.0
"""Appointments are times of the calendar, which may be set; timers run by a clock that may not."""

NOT_BEFORE_S = 0.001
"""What is due again while it is being met, waits so long: the others have their turn."""


NEAR_S = 2
"""So long before, appointments are put in order."""


class Timer(Protocol):
    """What `call_later` returns."""

    def cancel(self) -> None:
        """Do not call."""


CallLater = Callable[[float, Callable[[], None]], Timer]


class Appointed(Protocol):
    """What has appointments. `alarm_at` belongs to the agenda; 0 is none."""

    alarm_at: float

    def next_timer(self) -> float | None:
        """When to be called at the latest, seconds since 1970."""


Item = TypeVar("Item", bound=Appointed)


class Agenda(Generic[Item]):
    """Calls `ring(item, now)` when the item's time has come; `ring` sets it again."""

    def __init__(
        self, clock: Callable[[], float], call_later: CallLater, ring: Callable[[Item, float], None]
    ) -> None:
        self._clock = clock
        self._call_later = call_later
        self._ring = ring
        self._heap: list[tuple[float, int, Item]] = []
        """What is near."""
        self._far: dict[int, list[Item]] = {}
        """What is not, by the second it is due in."""
        self._seconds: list[int] = []
        """A heap of those."""
        self._number = 0
        self._timer: Timer | None = None
        self._timer_at = 0.0
        self._met_until = 0.0
        """While items are being met: those due by then are."""

    def __len__(self) -> int:
        """How many entries there are, with those that were replaced."""
        return len(self._heap) + sum(map(len, self._far.values()))

    def set(self, item: Item) -> None:
        """Its appointments may have changed."""
        at = item.next_timer()
        if at is None or (item.alarm_at and item.alarm_at <= at):
            return
        if at <= self._met_until:
            at = self._met_until + NOT_BEFORE_S
        item.alarm_at = at
        if at < (self._met_until or self._clock()) + 2 * NEAR_S:
            self._put_near(at, item)
        else:
            self._put_far(int(at), item)
        if not self._met_until:
            self._arm()

    def stop(self) -> None:
        """Ring no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._heap.clear()
        self._far.clear()
        self._seconds.clear()

    def _put_near(self, at: float, item: Item) -> None:
        self._number += 1
        heapq.heappush(self._heap, (at, self._number, item))

    def _put_far(self, second: int, item: Item) -> None:
        there = self._far.get(second)
        if there is None:
            self._far[second] = [item]
            heapq.heappush(self._seconds, second)
        else:
            there.append(item)

    def _bring_near(self, now: float) -> None:
        while self._seconds and self._seconds[0] <= now + NEAR_S:
            second = heapq.heappop(self._seconds)
            for item in self._far.pop(second):
                if int(item.alarm_at) == second:  # else replaced by an earlier one
                    self._put_near(item.alarm_at, item)

    def _arm(self) -> None:
        at = min(
            self._heap[0][0] if self._heap else math.inf,
            self._seconds[0] - NEAR_S if self._seconds else math.inf,
        )
        if at == math.inf:
            return
        if self._timer is not None:
            if self._timer_at <= at:
                return
            self._timer.cancel()
        now = self._clock()
        self._timer_at = min(at, now + LOOK_AT_LEAST_EVERY_S)
        self._timer = self._call_later(max(0.0, self._timer_at - now), self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._met_until = now = self._clock()
        try:
            self._bring_near(now)
            while self._heap and self._heap[0][0] <= now:
                at, _, item = heapq.heappop(self._heap)
                if item.alarm_at != at:
                    continue  # replaced by an earlier one
                item.alarm_at = 0.0
                due = item.next_timer()
                if due is not None and due <= now:
                    self._ring(item, now)
                else:
                    self.set(item)
        finally:
            self._met_until = 0.0
            self._arm()
