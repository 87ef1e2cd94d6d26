"""Who is writing to whom, with the clocks of RFC 3994: sans-I/O, one object for each pair and direction.

    XMPP says `composing` once, for as long as it may take     a SIP user says `active` with a term
                    │                                                       │
         `Writer`: active, again before each term ends           `Reader`: until idle, a message, or the end
                    │      idle when it is over                             │      of the term
                    ▼                                                       ▼
             application/im-iscomposing+xml                        composing, active; paused when it lapses

The machines only know what is to be said and when; who says it, and when there is room for it on the wire, is
`talks`' affair. Times are of any clock that never steps.
"""

from __future__ import annotations

from rialto.model.address import Address
from rialto.model.message import ChatState
from rialto.wire.iscomposing import IsComposing

REFRESH_S = 120
"""The term that we promise (RFC 3994 section 3.2: not below 60)."""
AGAIN_S = 100.0
"""Said again so soon, so that it does not lapse on its way."""
LONGEST_S = 900.0
"""Nobody writes for longer; whoever never said that they have stopped, is gone."""


class Writer:
    """Somebody beyond us who writes to a SIP user."""

    __slots__ = ("active", "again_at", "alarm_at", "due", "recipient", "sender", "since", "thread", "told")

    def __init__(self, sender: Address, recipient: Address, thread: str) -> None:
        self.sender = sender
        self.recipient = recipient
        self.thread = thread
        self.active = False
        self.told = False
        """What the SIP user believes."""
        self.due = False
        """The SIP user's belief is about to lapse."""
        self.since = 0.0
        self.again_at: float | None = None
        self.alarm_at = 0.0

    def changed(self, state: ChatState, now: float) -> None:
        """The hub says so (TYP-1: what is not writing is idle)."""
        active = state is ChatState.COMPOSING
        if active and not self.active:
            self.since = now
        self.active = active

    def ended(self) -> None:
        """A message was sent: that says it (RFC 3994 section 3.3), nothing else has to."""
        self.active = self.told = self.due = False
        self.again_at = None

    @property
    def unsaid(self) -> bool:
        """Whether there is something to tell: nobody is told that something is over which they never heard
        of (TYP-4)."""
        return self.active != self.told or self.due

    def next_timer(self) -> float | None:
        """When to say it again."""
        return self.again_at

    def handle_timer(self, now: float) -> None:
        """The term is about to end (TYP-8)."""
        if self.again_at is None or now < self.again_at:
            return
        self.again_at = None
        self.active = self.active and now - self.since < LONGEST_S
        self.due = self.active

    def say(self, now: float) -> IsComposing:
        """What to tell the SIP user now; counts as told."""
        self.told, self.due = self.active, False
        self.again_at = now + AGAIN_S if self.active else None
        return IsComposing(
            active=self.active, refresh_s=REFRESH_S if self.active else None, content_type="text/plain"
        )

    @property
    def done(self) -> bool:
        """Nothing more to be said."""
        return not self.active and not self.unsaid


class Reader:
    """A SIP user who writes to somebody beyond us."""

    __slots__ = ("alarm_at", "recipient", "sender", "until")

    def __init__(self, sender: Address, recipient: Address) -> None:
        self.sender = sender
        self.recipient = recipient
        self.until: float | None = None
        self.alarm_at = 0.0

    def told(self, status: IsComposing, now: float) -> ChatState | None:
        """The SIP user says so; what is news of it (TYP-1, TYP-6)."""
        was = self.until is not None
        self.until = now + status.lasts_s if status.active else None
        if status.active:
            return None if was else ChatState.COMPOSING
        return ChatState.ACTIVE if was else None

    def ended(self) -> None:
        """A message came."""
        self.until = None

    def next_timer(self) -> float | None:
        """When it lapses."""
        return self.until

    def handle_timer(self, now: float) -> ChatState | None:
        """It has lapsed: on XMPP that must be said (TYP-8)."""
        if self.until is None or now < self.until:
            return None
        self.until = None
        return ChatState.PAUSED
