"""Whether a person can be reached, and who may know.

A `Document` is all that one watcher may see of one presentity at one time: one `State` for each of the
presentity's instances that is online (RFC 3863 calls them tuples, RFC 6121 resources). It is always
complete: an instance that is not in it is offline, and a document without states says that the person is
offline. Documents belong to a pair, watcher and presentity, and are never shared between watchers
(RFC 8048 section 8.2).
"""

from __future__ import annotations

import enum

import msgspec

from rialto.model.address import Address
from rialto.model.message import Text


class Show(enum.StrEnum):
    """How willing an instance that is online is to be spoken to (RFC 6121 section 4.7.2.1)."""

    CHAT = "chat"
    AVAILABLE = "available"
    AWAY = "away"
    XA = "xa"
    DND = "dnd"


class State(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One instance that is online."""

    instance: str
    """What tells it apart from the person's others; stable while it lasts. Empty where the far side has
    only one."""
    show: Show = Show.AVAILABLE
    notes: tuple[Text, ...] = ()
    """What the person says about it, once for each language."""
    priority: int | None = None
    """-128 to 127 (RFC 6121 section 4.7.2.3); None where nothing was said."""
    idle_since: float | None = None
    """Seconds since 1970: when the person last touched this instance (XEP-0319, RFC 4480)."""
    activities: tuple[str, ...] = ()
    """RPID activities (RFC 4480 section 3.2) that `show` does not tell already."""
    contact: str = ""
    """Where the instance wants to be spoken to, where that is not its address."""
    capabilities: str = ""
    """`node#ver` of XEP-0115, carried but not understood."""


class Document(msgspec.Struct, frozen=True, omit_defaults=True):
    """All that a watcher may see of a presentity.

    `as_of` is when the presentity's side last said so (seconds since 1970), and `stale` is True when it has
    been silent for longer than it promised: what is shown may be wrong by now.
    """

    states: tuple[State, ...] = ()
    as_of: float = 0.0
    stale: bool = False

    @property
    def online(self) -> bool:
        """Whether any instance is."""
        return bool(self.states)

    def same_news(self, other: Document) -> bool:
        """Whether both tell the same; when they were told does not matter."""
        return self.states == other.states and self.stale == other.stale


class Grant(enum.StrEnum):
    """What the presentity (or its operator) has decided about a watcher: the presence authorization."""

    NONE = "none"
    """Nobody has asked, or it was given back."""
    PENDING = "pending"
    """Asked, not decided."""
    GRANTED = "granted"
    REFUSED = "refused"
    """Said no, or took it back; whoever asks again is asked about again."""


class Pair(msgspec.Struct, frozen=True, cache_hash=True, gc=False, array_like=True):
    """Who watches whom; both bare."""

    watcher: Address
    presentity: Address

    def __str__(self) -> str:
        return f"{self.watcher} watching {self.presentity}"
