"""All watches, and what is counted over them; finding one costs the same however many there are."""

from __future__ import annotations

from collections.abc import Iterator

from rialto.core.presence.watch import Watch
from rialto.model.address import Address
from rialto.model.presence import Pair


class Book:
    """The watches of one instance."""

    def __init__(self) -> None:
        self._watches: dict[Pair, Watch] = {}
        self._of: dict[str, dict[Address, Watch]] = {}
        """The presentity's domain -> presentity -> the watch added last; the others follow it."""
        self._watched: dict[str, dict[Address, int]] = {}
        """The watchers' domain -> who is watched from there, and by how many."""

    def __len__(self) -> int:
        return len(self._watches)

    def __iter__(self) -> Iterator[Watch]:
        return iter(self._watches.values())

    def find(self, pair: Pair) -> Watch | None:
        """The watch of that pair."""
        return self._watches.get(pair)

    def add(self, watch: Watch) -> None:
        """Take a new one in."""
        pair = watch.pair
        self._watches[pair] = watch
        there = self._of.setdefault(pair.presentity.domain, {})
        first = there.get(pair.presentity)
        if first is not None:
            watch.next, first.previous = first, watch
        there[pair.presentity] = watch
        watched = self._watched.setdefault(pair.watcher.domain, {})
        watched[pair.presentity] = watched.get(pair.presentity, 0) + 1

    def remove(self, watch: Watch) -> None:
        """Forget one."""
        pair = watch.pair
        if self._watches.get(pair) is not watch:
            return
        del self._watches[pair]
        self._unlink(watch)
        watched = self._watched[pair.watcher.domain]
        watched[pair.presentity] -= 1
        if not watched[pair.presentity]:
            del watched[pair.presentity]
            if not watched:
                del self._watched[pair.watcher.domain]

    def _unlink(self, watch: Watch) -> None:
        presentity = watch.pair.presentity
        if watch.next is not None:
            watch.next.previous = watch.previous
        if watch.previous is not None:
            watch.previous.next = watch.next
        else:
            there = self._of[presentity.domain]
            if watch.next is not None:
                there[presentity] = watch.next
            else:
                del there[presentity]
                if not there:
                    del self._of[presentity.domain]
        watch.next = watch.previous = None

    def watched_with(self, pair: Pair) -> int:
        """How many people the watcher's domain watches when it watches this one as well."""
        watched = self._watched.get(pair.watcher.domain, {})
        return len(watched) + (pair.presentity not in watched)

    def of(self, presentity: Address) -> tuple[Watch, ...]:
        """Those who watch this person."""
        return tuple(_chain(self._of.get(presentity.domain, {}).get(presentity)))

    def domains(self) -> list[str]:
        """Where people are watched."""
        return list(self._of)

    def at(self, domain: str) -> list[Watch]:
        """Those of that domain who are watched."""
        return [watch for first in self._of.get(domain, {}).values() for watch in _chain(first)]


def _chain(watch: Watch | None) -> Iterator[Watch]:
    while watch is not None:
        yield watch
        watch = watch.next
