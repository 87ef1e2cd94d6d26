"""Who takes part in typing notices, and on which device; whose name is known (XEP-0085, XEP-0172).

A client is sent chat states only after it has sent one itself, alone or with a text; a text without any says
that it takes no part (CHECKLIST TYP-11). A name goes with the first message only, and with the first after it
has changed (XEP-0172 section 4.2). What is remembered is bounded and lost at a restart: the next text says it
again.
"""

from __future__ import annotations

from typing import Final

from rialto.model.address import Address

MAX_PAIRS: Final = 20_000


class Company:
    """Pairs of a contact of ours and a user of the other side, with the device that took part last."""

    def __init__(self, max_pairs: int = MAX_PAIRS) -> None:
        self._max_pairs = max_pairs
        self._devices: dict[tuple[Address, Address], Address] = {}
        self._names: dict[tuple[Address, Address], str] = {}

    def __len__(self) -> int:
        return len(self._devices)

    def heard(self, user: Address, contact: Address, *, takes_part: bool) -> None:
        """`user`, on this device, has written to our `contact`, with a chat state or without."""
        pair = (contact.bare, user.bare)
        if not takes_part:
            if self._devices.get(pair) == user:  # another device of theirs may still take part
                del self._devices[pair]
        elif self._devices.get(pair) is not user:
            self._devices.pop(pair, None)  # so that whom nothing was heard of for longest is forgotten first
            self._devices[pair] = user
            if len(self._devices) > self._max_pairs:
                del self._devices[next(iter(self._devices))]

    def left(self, user: Address, contact: Address) -> None:
        """The conversation is over (`gone`), or that device cannot be reached."""
        pair = (contact.bare, user.bare)
        if self._devices.get(pair) == user:
            del self._devices[pair]

    def device_of(self, user: Address, contact: Address) -> Address | None:
        """Where `user` wants to see that `contact` is typing; None for nowhere."""
        return self._devices.get((contact.bare, user.bare))

    def introduces(self, contact: Address, user: Address, name: str) -> bool:
        """Whether `user` is to be told now what `contact` is called; from then on it is known."""
        pair = (contact, user)
        if self._names.get(pair) == name:
            return False
        self._names.pop(pair, None)
        self._names[pair] = name
        if len(self._names) > self._max_pairs:
            del self._names[next(iter(self._names))]
        return True
