"""When to look at something again: one heap and one timer, however much there is to look at.

Each item has one appointment in force, `alarm_at`. An earlier one replaces it; a later one leaves it where it
is and is found when its time has come. So what is put off every hour costs one entry, and no search.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

LOOK_AT_LEAST_EVERY_S = 30.0
"""Appointments are times of the calendar, which may be set; timers run by a clock that may not."""

NOT_BEFORE_S = 0.001
"""What is due again while it is being met, waits so long: the others have their turn."""


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
        self._number = 0
        self._timer: Timer | None = None
        self._timer_at = 0.0
        self._met_until = 0.0
        """While items are being met: those due by then are."""

    def __len__(self) -> int:
        return len(self._heap)

    def set(self, item: Item) -> None:
        """Its appointments may have changed."""
        at = item.next_timer()
        if at is None or (item.alarm_at and item.alarm_at <= at):
            return
        if at <= self._met_until:
            at = self._met_until + NOT_BEFORE_S
        item.alarm_at = at
        self._number += 1
        heapq.heappush(self._heap, (at, self._number, item))
        if not self._met_until:
            self._arm()

    def stop(self) -> None:
        """Ring no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._heap.clear()

    def _arm(self) -> None:
        if not self._heap:
            return
        at = self._heap[0][0]
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
