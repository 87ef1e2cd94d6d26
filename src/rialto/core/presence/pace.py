"""Not all at once: a budget a second for what asks the far side about people.

What people do goes first (`soon`), and at once while the budget lasts; what we do ourselves (a restart, an
outage that is over, retries, the audit) waits behind it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from rialto.core.agenda import CallLater, Timer
from rialto.core.presence.watch import Watch

DRIP_EVERY_S = 0.1
BURST_S = 1.0
"""What may go at once after a quiet time, in seconds of the budget."""


class Pace:
    """Calls `go(watch)` for each watch, at most `per_s` a second; one that is waiting already waits on."""

    def __init__(
        self,
        per_s: float,
        monotonic: Callable[[], float],
        call_later: CallLater,
        go: Callable[[Watch], None],
    ) -> None:
        self._per_s = per_s
        self._most = max(1.0, per_s * BURST_S)
        self._tokens = self._most
        self._at = monotonic()
        self._monotonic = monotonic
        self._call_later = call_later
        self._go = go
        self._soon: deque[Watch] = deque()
        self._slow: deque[Watch] = deque()
        self._timer: Timer | None = None

    def __len__(self) -> int:
        return len(self._soon) + len(self._slow)

    def soon(self, watch: Watch) -> None:
        """Before everything that is not urgent."""
        if not watch.queued:
            watch.queued = True
            self._soon.append(watch)
            self._drip()

    def slowly(self, watches: Iterable[Watch]) -> None:
        """When nothing else is to be done; the order is the caller's."""
        for watch in watches:
            if not watch.queued:
                watch.queued = True
                self._slow.append(watch)
        self._arm()

    def stop(self) -> None:
        """Let nothing more go."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._soon.clear()
        self._slow.clear()

    def _arm(self) -> None:
        if self._timer is None and (self._soon or self._slow):
            self._timer = self._call_later(DRIP_EVERY_S, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._drip()

    def _drip(self) -> None:
        now = self._monotonic()
        self._tokens = min(self._most, self._tokens + (now - self._at) * self._per_s)
        self._at = now
        while self._tokens >= 1.0 and (waiting := self._soon or self._slow):
            watch = waiting.popleft()
            watch.queued = False
            self._tokens -= 1.0
            self._go(watch)
        self._arm()
