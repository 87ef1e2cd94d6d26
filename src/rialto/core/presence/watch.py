"""One pair: what was allowed, what is known, what the watcher was told. As small as it can be."""

from __future__ import annotations

import enum

from rialto.core.network import PairView, Peer, Verb
from rialto.model.errors import Reason
from rialto.model.presence import Document, Grant, Pair


class Look(enum.Enum):
    """How far a single look (`fetch`) has come."""

    NONE = 0
    ASKED = 1
    ANSWERED = 2


class Watch:
    """The state of one pair in memory. There may be hundreds of thousands."""

    __slots__ = (
        "again",
        "alarm_at",
        "answer_by",
        "auditing",
        "changed_at",
        "document",
        "durable",
        "entries",
        "failing_since",
        "failures",
        "fresh_data",
        "grant",
        "listening",
        "live",
        "looking",
        "note",
        "opened",
        "owed",
        "pair",
        "presentity_peer",
        "queued",
        "reason",
        "retry_at",
        "say",
        "tell_at",
        "text",
        "told_document",
        "told_grant",
        "until",
        "watcher_peer",
        "writing",
    )

    def __init__(self, pair: Pair, watcher_peer: str, presentity_peer: str, at: float) -> None:
        self.pair = pair
        self.watcher_peer = watcher_peer
        """By which peer the watcher was last heard."""
        self.presentity_peer = presentity_peer
        self.grant = Grant.NONE
        self.changed_at = at
        """When the grant last changed."""
        self.document: Document | None = None
        self.live = False
        """Whether somebody promises to tell when the document is no longer true."""
        self.told_grant = Grant.NONE
        self.told_document: Document | None = None
        self.again = False
        """To be told even if it is no news."""
        self.listening = False
        self.until: float | None = None
        self.reason: Reason | None = None
        self.text = ""
        """Why it was refused, or what fails."""
        self.note = ""
        self.owed: Verb | None = None
        """What the far side has not answered yet."""
        self.say: Verb | None = None
        """What it is to be told next."""
        self.opened = False
        """Whether it knows of the session."""
        self.queued = False
        """Whether this waits in the pace."""
        self.looking = Look.NONE
        self.auditing = False
        self.failures = 0
        self.failing_since = 0.0
        self.retry_at = 0.0
        self.answer_by = 0.0
        self.tell_at = 0.0
        """When to tell again what did not arrive."""
        self.alarm_at = 0.0
        """The alarm in force; 0 for none."""
        self.durable = False
        """Whether it is, or shall be, on disk: a mere look is not."""
        self.writing = False
        """Whether a write is under way."""
        self.entries: list[tuple[float, str, str]] | None = None
        """Of the history, what is not yet on disk."""
        self.fresh_data: dict[str, bytes] | None = None
        """What networks want kept, and what is not yet on disk; empty bytes for nothing."""

    def visible(self) -> Document | None:
        """What the watcher may see now.

        A document without a promise behind it is not shown as if there were one: it was true when the last
        session ended, and the far side is being asked.
        """
        if self.looking is Look.ANSWERED:
            return self.document
        if self.document is None or self.grant is not Grant.GRANTED:
            return None
        return self.document if self.live or self.document.stale else None

    def news(self) -> bool:
        """Whether the watcher has something to be told."""
        if self.again or self.grant is not self.told_grant:
            return True
        if not self.listening:
            return False
        document = self.visible()
        if document is None:
            return False
        return self.told_document is None or not document.same_news(self.told_document)

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


def clean(text: str) -> str:
    """What a database can write: a text from outside may have half a surrogate pair in it."""
    return text.encode("utf-8", "replace").decode()
