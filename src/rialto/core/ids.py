"""Names for messages: unique for ever, and in the order of arrival."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator

_COUNTER_LIMIT = 0x10000
_CHANCE_BYTES = 4096
"""How much chance the kernel is asked for at a time: each asking costs more than all the rest of an id."""


class Ids:
    """Makes ids of 23 hexadecimal digits: milliseconds since 1970 (11), a counter (4), chance (8).

    They sort by the time at which they were made, also when the clock steps back and after a restart
    (`last` is the highest id ever given out).
    """

    def __init__(self, clock: Callable[[], float], last: str = "") -> None:
        self._clock = clock
        self._milliseconds = int(last[:11], 16) if last else 0
        self._counter = int(last[11:15], 16) if last else 0
        self._chance = _chance()

    def __call__(self) -> str:
        milliseconds = int(self._clock() * 1000)
        if milliseconds > self._milliseconds:
            self._milliseconds, self._counter = milliseconds, 0
        else:
            self._counter += 1
            if self._counter == _COUNTER_LIMIT:
                self._milliseconds, self._counter = self._milliseconds + 1, 0
        return f"{self._milliseconds:011x}{self._counter:04x}{next(self._chance)}"


def _chance() -> Iterator[str]:
    """Eight random digits, again and again."""
    while True:
        digits = secrets.token_hex(_CHANCE_BYTES)
        for place in range(0, len(digits), 8):
            yield digits[place : place + 8]


def floor_id(at: float) -> str:
    """What is lower than every id made at or after that time (seconds since 1970)."""
    return f"{max(0, int(at * 1000)):011x}"
