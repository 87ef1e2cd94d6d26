"""When to look at a watch again: one heap, one timer, however many watches.

Each watch has one alarm in force (`Watch.alarm_at`). An earlier deadline replaces it; a later one leaves it
where it is, and is found when the alarm goes off. So a session that is refreshed every hour costs one entry.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any, Protocol

from rialto.core.presence.watch import Watch

LOOK_AT_LEAST_EVERY_S = 30.0
"""Deadlines are times of the calendar, which may be set; timers run by a clock that may not."""


class Timer(Protocol):
    """What `call_later` returns."""

    def cancel(self) -> None:
        """Do not call."""


CallLater = Callable[[float, Callable[[], None]], Timer]


class Alarms:
    """Calls `ring(watch, now)` when one of its deadlines has passed; `ring` may set new ones."""

    def __init__(
        self, clock: Callable[[], float], call_later: CallLater, ring: Callable[[Watch, float], None]
    ) -> None:
        self._clock = clock
        self._call_later = call_later
        self._ring = ring
        self._heap: list[tuple[float, int, Watch]] = []
        self._number = 0
        self._timer: Timer | None = None
        self._timer_at = 0.0

    def __len__(self) -> int:
        return len(self._heap)

    def set(self, watch: Watch) -> None:
        """Its deadlines have changed."""
        at = watch.next_deadline()
        if not at or (watch.alarm_at and watch.alarm_at <= at):
            return
        self._push(watch, at)
        self._arm()

    def stop(self) -> None:
        """Ring no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._heap.clear()

    def _push(self, watch: Watch, at: float) -> None:
        watch.alarm_at = at
        self._number += 1
        heapq.heappush(self._heap, (at, self._number, watch))

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

    def _tick(self, _: Any = None) -> None:
        self._timer = None
        now = self._clock()
        try:
            while self._heap and self._heap[0][0] <= now:
                at, _number, watch = heapq.heappop(self._heap)
                if watch.alarm_at != at:
                    continue  # replaced by an earlier one
                watch.alarm_at = 0.0
                deadline = watch.next_deadline()
                if deadline and deadline <= now:
                    self._ring(watch, now)
                    deadline = watch.next_deadline()
                if deadline and not watch.alarm_at:
                    self._push(watch, max(deadline, now + 0.001))
        finally:
            self._arm()
