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
        self._at: dict[str, set[Watch]] = {}
        """By the presentity's domain."""
        self._of: dict[Address, Watch | set[Watch]] = {}
        """By the presentity; most have one."""
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
        self._at.setdefault(pair.presentity.domain, set()).add(watch)
        before = self._of.setdefault(pair.presentity, watch)
        if isinstance(before, set):
            before.add(watch)
        elif before is not watch:
            self._of[pair.presentity] = {before, watch}
        watched = self._watched.setdefault(pair.watcher.domain, {})
        watched[pair.presentity] = watched.get(pair.presentity, 0) + 1

    def remove(self, watch: Watch) -> None:
        """Forget one."""
        pair = watch.pair
        if self._watches.get(pair) is not watch:
            return
        del self._watches[pair]
        there = self._at[pair.presentity.domain]
        there.discard(watch)
        if not there:
            del self._at[pair.presentity.domain]
        found = self._of[pair.presentity]
        if isinstance(found, set):
            found.discard(watch)
        if not found or found is watch:
            del self._of[pair.presentity]
        watched = self._watched[pair.watcher.domain]
        watched[pair.presentity] -= 1
        if not watched[pair.presentity]:
            del watched[pair.presentity]
            if not watched:
                del self._watched[pair.watcher.domain]

    def watched_with(self, pair: Pair) -> int:
        """How many people the watcher's domain watches when it watches this one as well."""
        watched = self._watched.get(pair.watcher.domain, {})
        return len(watched) + (pair.presentity not in watched)

    def of(self, presentity: Address) -> tuple[Watch, ...]:
        """Those who watch this person."""
        found = self._of.get(presentity)
        if found is None:
            return ()
        return tuple(found) if isinstance(found, set) else (found,)

    def domains(self) -> list[str]:
        """Where people are watched."""
        return list(self._at)

    def at(self, domain: str) -> list[Watch]:
        """Those of that domain who are watched."""
        return list(self._at.get(domain, ()))
