"""What is in force at an instant, and for how long that is so."""

from __future__ import annotations

from typing import TypeVar

from rialto.model.agreement import Nanos

T = TypeVar("T")

BEGINNING: Nanos = -(1 << 63)
END: Nanos = (1 << 63) - 1


class Span:
    """The time in which an answer holds, `since <= at < until`; what it depends on makes it shorter."""

    __slots__ = ("at", "since", "until")

    def __init__(self, at: Nanos) -> None:
        self.at = at
        self.since = BEGINNING
        self.until = END

    def includes(self, from_ns: Nanos, to_ns: Nanos | None) -> bool:
        """Whether an interval is in force; its ends may end the answer."""
        at = self.at
        if from_ns > at:
            self.until = min(self.until, from_ns)
            return False
        if to_ns is None:
            self.since = max(self.since, from_ns)
            return True
        if to_ns <= at:
            # Of what is over, only the end matters.
            self.since = max(self.since, to_ns)
            return False
        self.since = max(self.since, from_ns)
        self.until = min(self.until, to_ns)
        return to_ns > from_ns


class Course(list[tuple[Nanos, Nanos | None, T]]):
    """All that was, is and will be in one place: (from, to, what), as many as there are for that place."""

    __slots__ = ()

    def within(self, span: Span) -> list[T]:
        """What is in force at `span.at`."""
        return [what for from_ns, to_ns, what in self if span.includes(from_ns, to_ns)]

    def one(self, span: Span) -> T | None:
        """The same, where there is one at most."""
        found = self.within(span)
        return found[-1] if found else None
