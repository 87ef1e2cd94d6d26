"""What was taken on lately, by stable id: so that a message that is sent again is not delivered again."""

from __future__ import annotations

from rialto.core.item import Item
from rialto.core.network import Outcome
from rialto.model.errors import DeliveryError

Known = Item | tuple[Outcome, DeliveryError | None]
"""An item that is under way, or how it ended."""


class Recent:
    """The last `capacity` to twice that many keys; two generations, so that forgetting costs nothing."""

    def __init__(self, capacity: int) -> None:
        self._capacity = max(1, capacity)
        self._young: dict[bytes, Known] = {}
        self._old: dict[bytes, Known] = {}

    def get(self, key: bytes) -> Known | None:
        """The message of that key, if it is still known."""
        return self._young.get(key) or self._old.get(key)

    def put(self, key: bytes, known: Known) -> None:
        """Remember it, or how it ended."""
        if key in self._old:
            self._old[key] = known
            return
        if len(self._young) >= self._capacity:
            self._old, self._young = self._young, {}
        self._young[key] = known

    def forget(self, key: bytes) -> None:
        """It was not taken on after all."""
        self._young.pop(key, None)
        self._old.pop(key, None)
