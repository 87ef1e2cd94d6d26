"""How much one sender may send: token buckets, as many as there are senders, and no more memory than said."""

from __future__ import annotations

BURST_S = 10.0
"""A bucket holds what may be sent in this time, so that a person can paste ten lines at once."""


class Buckets:
    """One token bucket for each key; the least recently used are forgotten (as full) beyond `capacity`."""

    __slots__ = ("_buckets", "_capacity")

    def __init__(self, capacity: int = 100_000) -> None:
        self._buckets: dict[str, tuple[float, float]] = {}
        self._capacity = capacity

    def take(self, key: str, rate_per_s: float, now: float) -> float:
        """Take one token: 0.0 when there was one, else how many seconds until there is."""
        most = max(1.0, rate_per_s * BURST_S)
        known = self._buckets.pop(key, None)
        tokens = (
            most
            if known is None
            else min(
                most,
                known[0] + max(0.0, now - known[1]) * rate_per_s,  # the clock may have been set back
            )
        )
        wait_s = 0.0
        if tokens >= 1.0:
            tokens -= 1.0
        else:
            wait_s = (1.0 - tokens) / rate_per_s if rate_per_s > 0 else 3600.0
        if len(self._buckets) >= self._capacity:
            del self._buckets[next(iter(self._buckets))]
        self._buckets[key] = (tokens, now)
        return wait_s
