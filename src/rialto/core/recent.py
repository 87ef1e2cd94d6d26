"""How messages ended lately, by stable key: so that one that is sent again is not delivered again."""

from __future__ import annotations

from rialto.core.item import Item
from rialto.core.network import Outcome
from rialto.model.errors import DeliveryError

Ended = tuple[Outcome, DeliveryError | None, str]
"""The outcome, its error, and the message's id."""
Known = Item | Ended
"""A message that is under way, or how it ended."""


class Recent:
    """The last `capacity` to twice that many keys; two generations, so that forgetting costs nothing."""

    def __init__(self, capacity: int) -> None:
        self._capacity = max(1, capacity)
        self._young: dict[bytes, Ended] = {}
        self._old: dict[bytes, Ended] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def get(self, key: bytes) -> Ended | None:
        """How the message of that key ended, if it is still known."""
        return self._young.get(key) or self._old.get(key)

    def put(self, key: bytes, ended: Ended) -> None:
        """Remember how it ended."""
        if len(self._young) >= self._capacity:
            self._old, self._young = self._young, {}
        self._young[key] = ended
