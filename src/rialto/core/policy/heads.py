"""How many different people: places that are taken, each by one person, and kept in memory alone."""

from __future__ import annotations

from rialto.core.policy.book import Person
from rialto.core.policy.decision import Headcount

MOST_KEYS = 4096
"""Keys have domains of strangers in them; the least recently used are forgotten, as empty."""


class Heads:
    """The places of every headcount. A restart frees them all."""

    __slots__ = ("_places",)

    def __init__(self) -> None:
        self._places: dict[str, dict[Person, float]] = {}

    def take(self, head: Headcount, person: Person, now: float) -> bool:
        """Whether the person has a place, from now on at the latest."""
        places = self._places.pop(head.key, None)
        if places is None:
            places = {}
            if len(self._places) >= MOST_KEYS:
                del self._places[next(iter(self._places))]
        self._places[head.key] = places
        if places.pop(person, None) is None:
            if head.idle_s is not None:
                while places and now - next(iter(places.values())) > head.idle_s:
                    del places[next(iter(places))]  # the first is the one that was not used for longest
            if len(places) >= head.most:
                return False
        places[person] = now
        return True
