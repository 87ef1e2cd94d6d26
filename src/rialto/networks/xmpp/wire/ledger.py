"""Who has answered for what: the two counters of stream management (XEP-0198), which outlive a stream.

Inbound, a stanza counts as handled only when the caller has said so, and `h` is the length of the unbroken
run of handled stanzas, so the peer never forgets one that is not on our disk. Outbound, what the peer has not
acknowledged is kept, in order, to be written again when another stream resumes this one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, Final

_MODULUS: Final = 1 << 32  # XEP-0198 section 4: h wraps


class Ledger:
    """The state of stream management; it can be handed from a lost stream to the one that resumes it.

    `id` is what the receiving side called the session ("" if it cannot be resumed); `max_s` for how long it
    is kept.
    """

    __slots__ = (
        "_done",
        "_given_up",
        "_unacknowledged",
        "acknowledged",
        "handled",
        "id",
        "location",
        "max_s",
        "pairs",
        "received",
    )

    def __init__(self) -> None:
        self.id = ""
        self.location = ""
        self.max_s = 0.0
        self.pairs: frozenset[tuple[str, str]] = frozenset()
        self.received = 0
        self.handled = 0
        self.acknowledged = 0
        self._done: set[int] = set()
        self._given_up = 0  # sent, never acknowledged, and never to be written again
        self._unacknowledged: deque[tuple[bytes, Any]] = deque()

    @property
    def h(self) -> int:
        """What we say when asked."""
        return self.handled % _MODULUS

    @property
    def waiting(self) -> int:
        """How many of our stanzas the peer has not acknowledged."""
        return len(self._unacknowledged)

    def receive(self) -> int:
        """A stanza came in; its number."""
        self.received += 1
        return self.received

    def handle(self, number: int) -> None:
        """The stanza with this number needs no more care."""
        if number == self.handled + 1:
            self.handled = number
            while self._done and self.handled + 1 in self._done:
                self.handled += 1
                self._done.remove(self.handled)
        elif number > self.handled:
            self._done.add(number)

    def send(self, data: bytes, token: Any) -> None:
        """A stanza went out."""
        self._unacknowledged.append((data, token))

    def acknowledge(self, h: int) -> tuple[Any, ...]:
        """The peer's count; the tokens of what it newly answers for. Raises ValueError if it counts too
        far."""
        number = (h - self.acknowledged) % _MODULUS
        if number > self._given_up + len(self._unacknowledged):
            raise ValueError("handled-count-too-high")
        self.acknowledged += number
        forgotten = min(number, self._given_up)
        self._given_up -= forgotten
        return tuple([self._unacknowledged.popleft()[1] for _ in range(number - forgotten)])

    def unacknowledged(self) -> Iterator[tuple[bytes, Any]]:
        """What would have to be written again, oldest first."""
        return iter(self._unacknowledged)

    def abandon(self) -> tuple[Any, ...]:
        """Nobody will ever answer for these any more: their tokens."""
        tokens = tuple([token for _, token in self._unacknowledged])
        self._given_up += len(tokens)
        self._unacknowledged.clear()
        return tokens

    def go_on(self) -> None:
        """The stream was resumed: the peer counts on from what it said, without what was given up."""
        self._given_up = 0

    def rewind(self) -> None:
        """The stream was lost: the peer will send again whatever we have not said to have handled."""
        self.received = self.handled
        self._done.clear()
