"""What contacts have turned out not to take: envelopes, form, typing notices.

A user agent that does not know a media type says 415 (RFC 3428 section 4), some say 406. It is asked once:
what it refused is remembered of it, over restarts, and from then on it gets less. Whoever sends such a thing
themselves can take it after all; then it is forgotten.
"""

from __future__ import annotations

from typing import Protocol

from rialto.model.address import Address
from rialto.networks.sip.addresses import folded
from rialto.networks.sip.wire import BadMessage, Response
from rialto.networks.sip.wire.headers import parse_media_type
from rialto.wire import cpim, iscomposing

CPIM = "cpim"
FORM = "form"
COMPOSING = "composing"

REFUSED = (406, 415)
_TYPES = {CPIM: cpim.MEDIA_TYPE, COMPOSING: iscomposing.MEDIA_TYPE, FORM: ""}


class Memory(Protocol):
    """The hub's memory of small texts."""

    def remember(self, network: str, key: str, value: str) -> None:
        """Keep it over restarts."""

    def recall(self, network: str, key: str) -> str | None:
        """What was kept."""


class Abilities:
    """What is known of the contacts of one network."""

    def __init__(self, network: str, memory: Memory) -> None:
        self._network = network
        self._memory = memory

    def lacking(self, person: Address) -> str:
        """What this one has refused: words from above, in order; mostly none."""
        return self._memory.recall(self._network, _key(person)) or ""

    def can(self, person: Address, what: str) -> bool:
        """Whether it has never refused that."""
        return what not in self.lacking(person)

    def refused(self, person: Address, what: str, response: Response) -> bool:
        """It has refused something in which `what` (words from above) was; whether less would do."""
        if response.status not in REFUSED:
            return False
        accepted = _accepted(response)
        for one in what.split():
            # What it lists among what it takes was not the trouble.
            if _TYPES[one] in accepted and one != FORM:
                continue
            known = set(self.lacking(person).split())
            if one not in known:
                self._memory.remember(self._network, _key(person), " ".join(sorted(known | {one})))
            return True
        return False

    def shown(self, person: Address, what: str) -> None:
        """It has sent such a thing itself."""
        lacking = self.lacking(person)
        if what in lacking:
            rest = " ".join(one for one in lacking.split() if one != what)
            self._memory.remember(self._network, _key(person), rest)


def _key(person: Address) -> str:
    local = person.local
    return f"lacks {local if local.islower() else folded(local)}@{person.domain}"


def _accepted(response: Response) -> frozenset[str]:
    """The media types that an answer lists."""
    try:
        return frozenset(parse_media_type(one).essence for one in response.get_list("Accept"))
    except (BadMessage, ValueError):
        return frozenset()
