"""How peers of different kinds say how somebody is: one table for each kind (`profile` of a peer).

    standard     PIDF with the show of XMPP and RPID activities (`documents`)
    microsoft    numbers in ranges of a hundred (MS-SIP section 2.2.1); PIDF is understood as well

What goes out and comes back is what it was: every show has a number of its own, and reading goes by ranges.
"""

from __future__ import annotations

import bisect
from typing import Final

from rialto.model.presence import Document, Show
from rialto.networks.sip.documents import rank
from rialto.wire.msrtc import Aggregate
from rialto.wire.pidf import Note, Presence, Tuple

REACHABLE: Final = 300
UNREACHABLE: Final = 0

ACTIVITY_NUMBERS: Final[dict[Show, int]] = {
    Show.CHAT: 800,
    Show.AVAILABLE: 400,
    Show.AWAY: 100,
    Show.XA: 700,
    Show.DND: 600,
}
"""What is written."""

ACTIVITY_RANGES: Final[tuple[tuple[int, Show], ...]] = (
    (0, Show.AVAILABLE),  # nothing is known of what they do
    (100, Show.AWAY),
    (150, Show.AWAY),  # out to lunch
    (200, Show.AWAY),  # idle
    (300, Show.AWAY),  # be right back
    (400, Show.AVAILABLE),
    (500, Show.DND),  # in a call
    (600, Show.DND),  # busy
    (700, Show.XA),
    (800, Show.CHAT),
)
"""What is read: from this number on, up to the next."""

_STARTS: Final = [start for start, _ in ACTIVITY_RANGES]


def to_numbers(document: Document) -> Aggregate:
    """All devices together: that of the most available one."""
    if not document.states:
        return Aggregate(UNREACHABLE)
    best = min(document.states, key=rank)
    note = best.notes[0].text if best.notes else ""
    return Aggregate(REACHABLE, ACTIVITY_NUMBERS[best.show], note)


def from_numbers(numbers: Aggregate, entity: str) -> Presence:
    """The same as a presence document of one tuple, which has no name of its own."""
    if not numbers.online:
        return Presence(entity=entity, tuples=(Tuple(basic=False),))
    show = ACTIVITY_RANGES[bisect.bisect_right(_STARTS, numbers.activity) - 1][1]
    return Presence(
        entity=entity,
        tuples=(
            Tuple(
                basic=True,
                show="" if show is Show.AVAILABLE else show.value,
                notes=(Note(numbers.note),) if numbers.note else (),
            ),
        ),
    )
