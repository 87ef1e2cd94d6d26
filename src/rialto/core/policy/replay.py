"""What a rule that only counts would do to traffic that was recorded, if that came now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec

from rialto.core.policy.book import Book
from rialto.core.policy.leave import Leave
from rialto.core.policy.settings import PolicySettings
from rialto.core.policy.sheet import Sheet
from rialto.model.address import Address
from rialto.model.agreement import Nanos, Snapshot, Traffic

SHOWN = 20
"""So many pairs of people are named."""


class Tally(msgspec.Struct, frozen=True):
    """What would change, and for whom."""

    asked: int
    refused: int
    """What would be refused, and is allowed without the rule."""
    allowed: int
    """The reverse."""
    pairs: tuple[tuple[str, str, int], ...]
    """Sender, recipient and how often: of those for whom something would change, the most frequent first."""


def replay(
    snapshot: Snapshot,
    name: str,
    traffic: Iterable[tuple[Address, Address, Traffic]],
    at_ns: Nanos,
    settings: PolicySettings,
) -> Tally:
    """Ask about each with the rule of that name as it is, and switched on; rates are not played."""
    sheet = Sheet.of(snapshot)
    before = Leave(settings, Book(sheet), _uncounted)
    after = Leave(settings, Book(sheet.switched_on(name)), _uncounted)
    asked = refused = allowed = 0
    pairs: Counter[tuple[str, str]] = Counter()
    for sender, recipient, service in traffic:
        asked += 1
        old = before.decide(sender, recipient, service, at_ns).allowed
        new = after.decide(sender, recipient, service, at_ns).allowed
        if old is not new:
            refused, allowed = refused + (not new), allowed + new
            pairs[str(sender.bare), str(recipient.bare)] += 1
    most = tuple((*pair, count) for pair, count in pairs.most_common(SHOWN))
    return Tally(asked, refused, allowed, most)


def _uncounted(*key: str) -> None:
    """Nothing of this has happened."""
