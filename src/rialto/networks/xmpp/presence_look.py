"""Making one document of the stanzas that answer a probe: a server sends one for each resource, and no end.

Theory of operation. A server reads a stream in order, so its answer cannot be complete before it has read
the probe; that it has is proven as for messages (`channel`). From then on the document is complete when
nothing more has come for `QUIET_S`, or at once when all that is known is that nobody is there. A server that
has read the probe and says nothing may have nobody to show, or no way to say it: which, a ping tells
(`presence`). One that neither proves nor answers is left to the hub, which asks again.

After a `subscribed` servers send the present state unasked (RFC 6121 section 3.1.5); where one does not, it
is asked after `UNASKED_S`.
"""

from __future__ import annotations

import enum

from rialto.model.presence import State

QUIET_S = 0.2
SILENCE_S = 10.0
"""So long after it has read the probe a server may take for its first answer."""
UNPROVEN_S = 2.0
"""So long after its first answer we wait for the proof."""
UNASKED_S = 1.0
GIVE_UP_S = 60.0
EARLY_S = 0.002
"""A timer may ring so much early: loops count in milliseconds, and sums of times are not exact."""
MAX_STATES = 64
"""As many as the hub keeps."""


class Result(enum.Enum):
    """What has become of a look."""

    WAIT = enum.auto()
    COMPLETE = enum.auto()
    ASK = enum.auto()
    """Nothing came by itself: probe."""
    SILENT = enum.auto()
    """It was read, and there is no answer."""
    NOTHING = enum.auto()
    """No proof, no answer."""


class Look:
    """One look at one presentity for one watcher; times are those of the loop."""

    __slots__ = ("_asked_at", "_first_at", "_last_at", "_proven_at", "_states", "left_out")

    def __init__(self, now: float, *, asked: bool) -> None:
        self._states: dict[str, State] = {}
        self._asked_at = now
        self._proven_at: float | None = None if asked else now
        self._first_at: float | None = None
        self._last_at = now
        self.left_out = 0
        if not asked:
            self._asked_at = 0.0

    @property
    def asked(self) -> bool:
        """Whether the server was probed."""
        return self._asked_at > 0.0

    def ask(self, now: float) -> None:
        """It is probed now."""
        self._asked_at = now
        self._proven_at = None

    def prove(self, now: float) -> None:
        """The server has read the probe."""
        if self.asked and self._proven_at is None:
            self._proven_at = now

    def take(self, instance: str, state: State | None, now: float) -> None:
        """One stanza; None for `unavailable`, which from a bare JID is everybody's."""
        if self._first_at is None:
            self._first_at = now
        self._last_at = now
        if state is None:
            if instance:
                self._states.pop(instance, None)
            else:
                self._states.clear()
        elif instance in self._states or len(self._states) < MAX_STATES:
            self._states[instance] = state
        else:
            self.left_out += 1

    def states(self) -> tuple[State, ...]:
        """What is online, in an order of its own."""
        return ordered(self._states)

    def due(self) -> float:
        """When `result` will be another than WAIT, if nothing more comes."""
        if self._first_at is None:
            if not self.asked:
                return (self._proven_at or 0.0) + UNASKED_S
            return self._asked_at + GIVE_UP_S if self._proven_at is None else self._proven_at + SILENCE_S
        if self._proven_at is None:
            return self._first_at + UNPROVEN_S
        if self.asked and not self._states:
            return max(self._last_at, self._proven_at)
        return max(self._last_at, self._proven_at) + QUIET_S

    def result(self, now: float) -> Result:
        """What has become of it by now."""
        if now < self.due() - EARLY_S:
            return Result.WAIT
        if self._first_at is not None:
            return Result.COMPLETE
        if not self.asked:
            return Result.ASK
        return Result.SILENT if self._proven_at is not None else Result.NOTHING


def ordered(states: dict[str, State]) -> tuple[State, ...]:
    """By instance: equal documents are equal whatever came first."""
    return tuple([states[instance] for instance in sorted(states)])
