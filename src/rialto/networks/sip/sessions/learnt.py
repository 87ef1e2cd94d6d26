"""What has been learnt of people: who takes no session, how long a message may be, who is not there."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from rialto.model.address import Address
from rialto.model.errors import Reason
from rialto.networks.sip.sessions.policy import remembered_s

MAX_REMEMBERED = 10_000
NOBODY = (Reason.NOT_FOUND, Reason.GONE)
NOBODY_S = 300.0
"""For so long somebody who did not exist is taken not to."""


class Learnt:
    """Forgotten with a restart: it costs one INVITE to learn it again. `now` is a clock that never steps."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._declined: OrderedDict[Address, float] = OrderedDict()
        self._limits: OrderedDict[Address, int] = OrderedDict()
        self._broken: OrderedDict[str, None] = OrderedDict()
        self._nobody: OrderedDict[Address, float] = OrderedDict()

    def declined(self, person: Address, status: int) -> None:
        """They have turned a session down, with that status (0: they did not even answer)."""
        self._declined[person] = self._now() + remembered_s(status)
        self._declined.move_to_end(person)
        if len(self._declined) > MAX_REMEMBERED:
            self._declined.popitem(last=False)

    def declines(self, person: Address) -> bool:
        """Whether they would turn one down."""
        until = self._declined.get(person)
        if until is None:
            return False
        if until <= self._now():
            del self._declined[person]
            return False
        return True

    def takes_at_most(self, person: Address, limit: int | None) -> None:
        """They take no longer message; None for nothing learnt."""
        if limit is not None:
            self._limits[person] = limit
            self._limits.move_to_end(person)
            if len(self._limits) > MAX_REMEMBERED:
                self._limits.popitem(last=False)

    def limit(self, person: Address, otherwise: int) -> int:
        """How long a message to them may be."""
        return min(otherwise, self._limits.get(person, otherwise))

    def nobody(self, person: Address) -> None:
        """The other network says that there is no such person."""
        self._nobody[person] = self._now() + NOBODY_S
        self._nobody.move_to_end(person)
        if len(self._nobody) > MAX_REMEMBERED:
            self._nobody.popitem(last=False)

    def is_nobody(self, person: Address) -> bool:
        """Whether it has said so lately."""
        until = self._nobody.get(person)
        return until is not None and until > self._now()

    def broke(self, content_id: str) -> bool:
        """A session broke under that content; whether it was the first time."""
        first = content_id not in self._broken
        self._broken[content_id] = None
        if len(self._broken) > MAX_REMEMBERED:
            self._broken.popitem(last=False)
        return first

    def arrived(self, content_id: str) -> None:
        """It has arrived after all."""
        self._broken.pop(content_id, None)
