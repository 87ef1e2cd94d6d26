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

Pair = tuple[Address, Address]


class Company:
    """Pairs of a contact of ours and a user of the other side, with the device that took part last."""

    def __init__(self, max_pairs: int = MAX_PAIRS) -> None:
        self._max_pairs = max_pairs
        self._present: dict[Pair, Pair] = {}
        """Both bare -> contact and device, as they were last heard of."""
        self._heard: set[Pair] = set()
        """The values of that: so that one look is enough for those who go on as they were."""
        self._names: dict[Pair, str] = {}

    def __len__(self) -> int:
        return len(self._present)

    def heard(self, user: Address, contact: Address, *, takes_part: bool) -> None:
        """`user`, on this device, has written to our `contact`, with a chat state or without."""
        heard = (contact, user)
        if takes_part and heard in self._heard:
            return
        if not takes_part:
            self.left(user, contact)  # another device of theirs may still take part
            return
        pair = (contact.bare, user.bare)
        self._forget(pair)
        self._present[pair] = heard  # last, so that whom nothing was heard of for longest is forgotten first
        self._heard.add(heard)
        if len(self._present) > self._max_pairs:
            self._forget(next(iter(self._present)))

    def left(self, user: Address, contact: Address) -> None:
        """The conversation is over (`gone`), or that device cannot be reached."""
        if not self._present:
            return
        pair = (contact.bare, user.bare)
        if self.device_of(user, contact) == user:
            self._forget(pair)

    def device_of(self, user: Address, contact: Address) -> Address | None:
        """Where `user` wants to see that `contact` is typing; None for nowhere."""
        heard = self._present.get((contact.bare, user.bare))
        return heard[1] if heard is not None else None

    def _forget(self, pair: Pair) -> None:
        heard = self._present.pop(pair, None)
        if heard is not None:
            self._heard.discard(heard)

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
