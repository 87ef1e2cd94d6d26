"""What is under way, by id and by stable name, and what was settled lately."""

from __future__ import annotations

from rialto.core.item import Item
from rialto.core.network import Outcome
from rialto.core.recent import Known, Recent
from rialto.model.address import Address
from rialto.model.errors import DeliveryError


class Register:
    """Every item from `accept` to its outcome; and the outcomes of the last `capacity` with a stable name.

    An item is found by its name for as long as it is under way, however long that takes.
    """

    def __init__(self, capacity: int) -> None:
        self._items: dict[str, Item] = {}
        self._named: dict[bytes, Item] = {}
        self._recent = Recent(capacity)
        self._for: dict[tuple[str, str], int] = {}
        self.size_bytes = 0
        """The size of what is under way."""

    def __len__(self) -> int:
        return len(self._items)

    def ids(self) -> list[str]:
        """Of everything under way."""
        return list(self._items)

    def get(self, message_id: str) -> Item | None:
        """What is under way with that id."""
        return self._items.get(message_id)

    def known(self, key: bytes) -> Known | None:
        """The message of that stable key: under way, or how it ended."""
        return self._named.get(key) or self._recent.get(key)

    def waiting_for(self, person: Address) -> int:
        """How much is under way to one person, what is still being written included."""
        return self._for.get((person.local, person.domain), 0)

    def add(self, item: Item) -> None:
        """It is under way."""
        self._items[item.id] = item
        person = item.whole.recipient
        key = (person.local, person.domain)
        self._for[key] = self._for.get(key, 0) + 1
        self.size_bytes += item.size_bytes
        if item.stable_key is not None:
            self._named[item.stable_key] = item

    def remove(self, item: Item) -> None:
        """It is not, and perhaps never was."""
        if self._items.pop(item.id, None) is None:
            return
        self.size_bytes -= item.size_bytes
        person = item.whole.recipient
        key = (person.local, person.domain)
        left = self._for[key] - 1
        if left:
            self._for[key] = left
        else:
            del self._for[key]
        if item.stable_key is not None:
            self._named.pop(item.stable_key, None)

    def settle(self, item: Item, outcome: Outcome, error: DeliveryError | None) -> None:
        """It has ended; who repeats it will hear how."""
        self.remove(item)
        if item.stable_key is not None:
            self._recent.put(item.stable_key, (outcome, error, item.id))

    def recall(self, key: bytes, outcome: Outcome, error: DeliveryError | None, message_id: str) -> None:
        """A message of that name has ended so."""
        self._recent.put(key, (outcome, error, message_id))
