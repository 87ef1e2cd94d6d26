"""Which of a destination's targets to use now: fail-over, and how long a bad one is left alone (RFC 3263
section 4.3)."""

from __future__ import annotations

from collections.abc import Container, Sequence

from rialto.networks.sip.locate import Target

BAD_FOR_S = 30.0
"""How long a target that did not answer is tried last."""
FRESH_FOR_S = 60.0
"""How long found targets are used without asking DNS again (whose own cache knows the TTL)."""


class Route:
    """The targets of one destination, best first, and the standing of each."""

    __slots__ = ("_avoid", "fresh_until", "targets")

    def __init__(self) -> None:
        self.targets: tuple[Target, ...] = ()
        self.fresh_until = 0.0
        self._avoid: dict[Target, tuple[float, bool]] = {}

    def found(self, targets: Sequence[Target], now: float) -> None:
        """DNS has answered."""
        self.targets = tuple(targets)
        self.fresh_until = now + FRESH_FOR_S
        self._avoid = {t: entry for t, entry in self._avoid.items() if t in self.targets and entry[0] > now}

    def choose(self, now: float, tried: Container[Target] = ()) -> Target | None:
        """The next target that has not been tried.

        One that asked to be left alone (503 with Retry-After) is left alone; one that did not answer is only
        put behind those that do.
        """
        if not self._avoid:
            for target in self.targets:
                if target not in tried:
                    return target
            return None
        second: Target | None = None
        for target in self.targets:
            if target in tried:
                continue
            until, asked = self._avoid.get(target, (0.0, False))
            if until <= now:
                return target
            if not asked and second is None:
                second = target
        return second

    def avoid(self, target: Target, now: float, retry_after_s: float | None = None) -> None:
        """It did not answer; or it said 503, and perhaps when to come back."""
        if retry_after_s is None:
            self._avoid[target] = (now + BAD_FOR_S, False)
        else:
            self._avoid[target] = (now + retry_after_s, True)

    def good(self, target: Target) -> None:
        """It has answered."""
        if self._avoid:
            self._avoid.pop(target, None)

    @property
    def troubled(self) -> bool:
        """Whether any target has failed lately."""
        return bool(self._avoid)

    def wait_s(self, now: float) -> float | None:
        """Until the first target that asked to be left alone may be asked again; None if none has."""
        waits = [until - now for until, asked in self._avoid.values() if asked and until > now]
        return min(waits) if waits else None
