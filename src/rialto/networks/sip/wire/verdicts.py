"""What the answers of a notifier mean for a subscription: two tables, and the events that tell of it."""

from __future__ import annotations

import enum
from typing import Final, NamedTuple

import msgspec

from rialto.networks.sip.wire.message import Request


class Means(enum.Enum):
    """What a final response to SUBSCRIBE means."""

    FOR_GOOD = enum.auto()
    """The authorization is at an end (RFC 8048 section 5.2.2)."""
    NOBODY = enum.auto()
    """The dialog is dead; and if nothing was ever granted, it never will be."""
    DEAD = enum.auto()
    """The dialog is dead (RFC 6665 section 4.1.2.2); a new one may live."""
    BRIEF = enum.auto()
    """Ask for longer."""
    LATER = enum.auto()
    """The dialog lives on until it expires."""


RESPONSES: Final[dict[int, Means]] = {
    403: Means.FOR_GOOD,
    489: Means.FOR_GOOD,
    603: Means.FOR_GOOD,
    404: Means.NOBODY,
    405: Means.NOBODY,
    410: Means.NOBODY,
    416: Means.NOBODY,
    484: Means.NOBODY,
    485: Means.NOBODY,
    501: Means.NOBODY,
    604: Means.NOBODY,
    480: Means.DEAD,
    481: Means.DEAD,
    482: Means.DEAD,
    483: Means.DEAD,
    423: Means.BRIEF,
}
"""RFC 8048 section 5.2.2, RFC 6665 section 4.1.2.2; everything else is LATER."""


class Ending(NamedTuple):
    """What a `terminated` asks for. `at_once` where the notifier does not say when to come again."""

    for_good: int = 0
    """The status that would have said so at once; 0 where it is not for good."""
    at_once: bool = False
    stands: bool = False
    """What was said last stays true; there is nothing to ask for."""


ENDINGS: Final[dict[str, Ending]] = {
    "deactivated": Ending(at_once=True),
    "probation": Ending(),
    "rejected": Ending(for_good=403),
    "timeout": Ending(at_once=True),
    "giveup": Ending(),
    "noresource": Ending(for_good=404),
    "invariant": Ending(stands=True),
}
"""RFC 6665 section 4.1.3; any other, and none, is `Ending()`."""


class Pending(msgspec.Struct, frozen=True):
    """The notifier has the request and has not decided."""


class Active(msgspec.Struct, frozen=True):
    """The subscription is granted. `first` in its dialog; `has_body` where news follows; `fresh` where the
    watcher did not have the authorization before."""

    first: bool
    has_body: bool
    fresh: bool = False


class News(msgspec.Struct, frozen=True):
    """A document came, in `request`."""

    request: Request


class Refused(msgspec.Struct, frozen=True):
    """It was refused, has ended, or failed (`status` 0 where no response said so).

    `retry_after_s` is 0 for "at once", None where nobody said.
    """

    status: int
    text: str
    for_good: bool
    retry_after_s: float | None = None


class Silent(msgspec.Struct, frozen=True):
    """The subscription ran out and could not be refreshed; `since` is when the notifier was last heard."""

    since: float


class Ended(msgspec.Struct, frozen=True):
    """It is over, as we wanted, or (`stands`) because nothing will ever change."""

    stands: bool = False


Event = Pending | Active | News | Refused | Silent | Ended
