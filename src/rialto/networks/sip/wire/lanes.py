"""Many timers of few durations: one queue per duration, so that starting and stopping cost next to nothing.

Time does not run backwards, so timers of equal duration fall due in the order in which they were started: a
queue per duration is always sorted, and what is due next is among the heads. A cancelled timer lets go of its
target at once and leaves its queue when it comes to the head.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Timer(Generic[T]):
    """One timer: `due` in seconds, for whom (None once it was cancelled or has rung), and its name."""

    __slots__ = ("due", "letter", "target")

    def __init__(self, due: float, target: T, letter: str) -> None:
        self.due = due
        self.target: T | None = target
        self.letter = letter

    def cancel(self) -> None:
        """It will not ring; may be called twice."""
        self.target = None


class Lanes(Generic[T]):
    """All timers of one owner."""

    __slots__ = ("_lanes",)

    def __init__(self) -> None:
        self._lanes: dict[float, deque[Timer[T]]] = {}

    def start(self, seconds: float, now: float, target: T, letter: str = "") -> Timer[T]:
        """A timer that rings `seconds` after `now`; few distinct values of `seconds`, please."""
        timer = Timer(now + seconds, target, letter)
        lane = self._lanes.get(seconds)
        if lane is None:
            lane = self._lanes[seconds] = deque()
        else:
            while lane and lane[0].target is None:
                lane.popleft()
        lane.append(timer)
        return timer

    def next(self) -> float | None:
        """When the next one rings."""
        soonest: float | None = None
        for lane in self._lanes.values():
            while lane and lane[0].target is None:
                lane.popleft()
            if lane and (soonest is None or lane[0].due < soonest):
                soonest = lane[0].due
        return soonest

    def due(self, now: float) -> list[tuple[T, str]]:
        """Take out what rings by `now`, oldest due time first."""
        rung: list[Timer[T]] = []
        for lane in self._lanes.values():
            while lane and (lane[0].target is None or lane[0].due <= now):
                timer = lane.popleft()
                if timer.target is not None:
                    rung.append(timer)
        if len(rung) > 1:
            rung.sort(key=_by_due)
        return [(target, timer.letter) for timer in rung if (target := timer.target) is not None]

    def __len__(self) -> int:
        """How many are running; for tests and diagnostics, not cheap."""
        return sum(timer.target is not None for lane in self._lanes.values() for timer in lane)


def _by_due(timer: Timer[T]) -> float:
    return timer.due
