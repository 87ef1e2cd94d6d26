"""One pair: what was allowed, what is known, what the watcher was told. As small as it can be."""

from __future__ import annotations

import enum
from typing import Any, Final

from rialto.core.network import PairView, Peer, Verb
from rialto.core.presence.rest import NEWS, Rare, pack, unpack
from rialto.model.errors import Reason
from rialto.model.presence import Document, Grant, Pair


class Look(enum.Enum):
    """How far a single look (`fetch`) has come."""

    NONE = 0
    ASKED = 1
    ANSWERED = 2


_SAME: Final = b""


class Watch:
    """The state of one pair in memory. There may be hundreds of thousands."""

    __slots__ = (
        "_document",
        "_told",
        "alarm_at",
        "changed_at",
        "durable",
        "grant",
        "listening",
        "live",
        "next",
        "opened",
        "pair",
        "presentity_peer",
        "previous",
        "rare",
        "told_grant",
        "until",
        "watcher_peer",
    )

    again = Rare(False)
    """To be told even if it is no news."""
    reason: Rare[Reason | None] = Rare(None)
    text = Rare("")
    """Why it was refused, or what fails."""
    note = Rare("")
    owed: Rare[Verb | None] = Rare(None)
    """What the far side has not answered yet."""
    say: Rare[Verb | None] = Rare(None)
    """What it is to be told next."""
    queued = Rare(False)
    """Whether this waits in the pace."""
    looking = Rare(Look.NONE)
    auditing = Rare(False)
    failures = Rare(0)
    failing_since = Rare(0.0)
    retry_at = Rare(0.0)
    answer_by = Rare(0.0)
    tell_at = Rare(0.0)
    """When to tell again what did not arrive."""
    writing = Rare(False)
    """Whether a write is under way."""
    entries: Rare[list[tuple[float, str, str]] | None] = Rare(None)
    """Of the history, what is not yet on disk."""
    fresh_data: Rare[dict[str, bytes] | None] = Rare(None)
    """What networks want kept, and what is not yet on disk; empty bytes for nothing."""

    def __init__(self, pair: Pair, watcher_peer: str, presentity_peer: str, at: float) -> None:
        self.pair = pair
        self.watcher_peer = watcher_peer
        """By which peer the watcher was last heard."""
        self.presentity_peer = presentity_peer
        self.grant = Grant.NONE
        self.changed_at = at
        """When the grant last changed."""
        self.live = False
        """Whether somebody promises to tell when the document is no longer true."""
        self.told_grant = Grant.NONE
        self.listening = False
        self.until: float | None = None
        self.opened = False
        """Whether the far side knows of the session."""
        self.alarm_at = 0.0
        """The alarm in force; 0 for none."""
        self.durable = False
        """Whether it is, or shall be, on disk: a mere look is not."""
        self.rare: dict[str, Any] | None = None
        self.next: Watch | None = None
        """Another watch of the same presentity; and `previous`: the book's."""
        self.previous: Watch | None = None
        self._document: bytes | None = None
        self._told: bytes | None = None
        """Empty for what `_document` says."""

    @property
    def document(self) -> Document | None:
        """What was shown last."""
        return None if self._document is None else unpack(self._document)

    @document.setter
    def document(self, document: Document | None) -> None:
        before, self._document = self._document, None if document is None else pack(document)
        told = before if self._told == _SAME else self._told
        self._told = _SAME if _same_news(self._document, told) else told

    @property
    def told_document(self) -> Document | None:
        """What the watcher has on the screen; as old as `document`, where both say the same."""
        told = self._document if self._told == _SAME else self._told
        return None if told is None else unpack(told)

    @told_document.setter
    def told_document(self, told: Document | None) -> None:
        packed = None if told is None else pack(told)
        self._told = _SAME if packed is not None and _same_news(packed, self._document) else packed

    @property
    def told_all(self) -> bool:
        """Whether the watcher was told what `document` says."""
        return self._told == _SAME

    def visible(self) -> Document | None:
        """What the watcher may see now.

        A document without a promise behind it is not shown as if there were one: it was true when the last
        session ended, and the far side is being asked.
        """
        if self.looking is Look.ANSWERED:
            return self.document
        document = self.document if self.grant is Grant.GRANTED else None
        return document if document is not None and (self.live or document.stale) else None

    def news(self) -> bool:
        """Whether the watcher has something to be told."""
        if self.again or self.grant is not self.told_grant:
            return True
        if not self.listening:
            return False
        return self.visible() is not None and not self.told_all

    def noted(self) -> None:
        """The watcher has been told."""
        self.again = False
        self.told_grant = self.grant
        if self.looking is Look.ANSWERED:
            self.looking = Look.NONE
            if self.grant is not Grant.GRANTED:
                self.document = None
        if not self.listening or self.grant is not Grant.GRANTED:
            self.told_document = None
        elif (document := self.visible()) is not None:
            self.told_document = document

    def wanted(self) -> Verb | None:
        """What the far side would have to be asked now, if it had forgotten everything."""
        if self.grant is Grant.PENDING:
            return Verb.ASK
        if self.grant is Grant.GRANTED and self.listening:
            return Verb.OPEN
        return Verb.GIVE_BACK if self.grant is Grant.NONE and self.owed is Verb.GIVE_BACK else None

    def next_timer(self) -> float | None:
        """See `Appointed`: the earliest of what has a time."""
        until = self.until if self.listening and self.until is not None else 0.0
        return min((at for at in (until, self.retry_at, self.answer_by, self.tell_at) if at), default=None)

    def over(self) -> bool:
        """Whether nothing is left that anybody wants to know."""
        return (
            self.grant is Grant.NONE
            and self.looking is Look.NONE
            and self.owed is None
            and self.say is None
            and not self.news()
        )

    def view(self, watcher_peer: Peer, presentity_peer: Peer) -> PairView:
        """For a network."""
        return PairView(
            pair=self.pair,
            watcher_peer=watcher_peer,
            presentity_peer=presentity_peer,
            grant=self.grant,
            document=self.visible(),
            listening=self.listening,
            until=self.until,
            told_grant=self.told_grant,
            told_document=self.told_document,
            reason=self.reason,
            text=self.text,
            note=self.note,
        )


def _same_news(one: bytes | None, other: bytes | None) -> bool:
    """Whether two packed documents say the same."""
    return one is not None and other is not None and one[NEWS:] == other[NEWS:]


def clean(text: str) -> str:
    """What a database can write: a text from outside may have half a surrogate pair in it."""
    return text.encode("utf-8", "replace").decode()
