"""Small texts that a network wants to find again after a restart, such as how a peer spells a user's name."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from rialto.store import units
from rialto.store.store import Store

CAPACITY = 50_000

_log = structlog.get_logger(__name__)


class Memory:
    """The newest `CAPACITY` entries of each network, in memory; every change goes to the store."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._entries: dict[str, dict[str, str]] = {}

    def load(self, network: str) -> None:
        """Read what earlier runs remembered."""
        newest_first = self._store.memories(network, most=CAPACITY)
        self._entries[network] = dict(reversed(newest_first.items()))

    def get(self, network: str, key: str) -> str | None:
        """What was remembered under the key."""
        return self._entries.get(network, {}).get(key)

    def starting(self, network: str, prefix: str) -> list[tuple[str, str]]:
        """All whose key begins so; looks at every entry of the network."""
        entries = self._entries.get(network, {})
        return [(key, value) for key, value in entries.items() if key.startswith(prefix)]

    def put(self, network: str, key: str, value: str) -> None:
        """Remember; writes only when it is news."""
        entries = self._entries.setdefault(network, {})
        if entries.get(key) == value:
            return
        if len(entries) >= CAPACITY:
            del entries[next(iter(entries))]
        entries[key] = value
        self._store.writer.submit([(units.REMEMBER, (network, key, value, self._clock()))], _written)


def _written(error: Exception | None) -> None:
    if error is not None:
        _log.warning("could not be remembered", error=str(error))
