"""What follows from an event: one table, event and grant to the next grant and what is to be done.

The rows of RFC 8048 section 5 and RFC 6665 section 4.1, without either protocol. What is not in the table
has no consequence: a decision that nobody waits for, a state that nobody may see.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

from rialto.model.presence import Grant


class Event(enum.StrEnum):
    """What can happen to a pair."""

    ASK = "ask"
    GIVE_BACK = "give back"
    OPEN = "open"
    """A session begins; one that goes on is no event."""
    CLOSE = "close"
    RUN_OUT = "run out"
    """The session's time is over."""
    GRANTED = "granted"
    PENDING = "pending"
    REFUSED = "refused"
    FAILED = "failed"
    """A refusal that is not for good, or no answer."""
    SHOW = "show"
    SILENT = "silent"
    DONE = "done"


class Act(enum.Enum):
    """What is to be done."""

    SAY_ASK = enum.auto()
    SAY_GIVE_BACK = enum.auto()
    SAY_OPEN = enum.auto()
    SAY_CLOSE = enum.auto()
    LISTEN = enum.auto()
    """SAY_OPEN, if there is a session that the far side has not heard of."""
    HURRY = enum.auto()
    """If it waits for its next try, try now."""
    ANSWERED = enum.auto()
    """The far side owes us nothing more."""
    LATER = enum.auto()
    """Try again after a while."""
    BEGIN = enum.auto()
    """The session is there."""
    END = enum.auto()
    """It is no more."""
    TELL_AGAIN = enum.auto()
    """Tell the watcher, news or not. (What is news is told in any case.)"""
    DECIDED_AGAIN = enum.auto()
    """Tell the watcher of the decision as if it had just been taken."""
    TAKE = enum.auto()
    """The document is what is known now."""
    BLANK = enum.auto()
    """Nothing is known now."""
    STALE = enum.auto()
    """What is known is old."""


class Step(NamedTuple):
    """One cell of the table."""

    grant: Grant
    acts: tuple[Act, ...] = ()


_N, _P, _G, _R = Grant.NONE, Grant.PENDING, Grant.GRANTED, Grant.REFUSED

TABLE: dict[tuple[Event, Grant], Step] = {
    (Event.ASK, _N): Step(_P, (Act.SAY_ASK,)),
    (Event.ASK, _P): Step(_P, (Act.HURRY,)),  # RFC 6121 section 3.1.2: asked twice is asked once
    (Event.ASK, _G): Step(_G, (Act.DECIDED_AGAIN,)),  # RFC 6121 section 3.1.3: `subscribed` at once
    (Event.ASK, _R): Step(_P, (Act.SAY_ASK,)),
    #
    (Event.GIVE_BACK, _P): Step(_N, (Act.BLANK, Act.END, Act.SAY_GIVE_BACK)),
    (Event.GIVE_BACK, _G): Step(_N, (Act.BLANK, Act.END, Act.SAY_GIVE_BACK)),
    (Event.GIVE_BACK, _R): Step(_N, (Act.BLANK, Act.END)),
    #
    # RFC 8048 section 5.2.2: the watcher's presence session begins.
    (Event.OPEN, _P): Step(_P, (Act.BEGIN, Act.SAY_ASK, Act.TELL_AGAIN)),
    (Event.OPEN, _G): Step(_G, (Act.BEGIN, Act.SAY_OPEN, Act.TELL_AGAIN)),
    # RFC 8048 section 5.3.3: ending it is not giving the authorization back.
    (Event.CLOSE, _P): Step(_P, (Act.END, Act.SAY_CLOSE)),
    (Event.CLOSE, _G): Step(_G, (Act.END, Act.SAY_CLOSE)),
    (Event.RUN_OUT, _P): Step(_P, (Act.END, Act.SAY_CLOSE, Act.TELL_AGAIN)),
    (Event.RUN_OUT, _G): Step(_G, (Act.END, Act.SAY_CLOSE, Act.TELL_AGAIN)),
    #
    (Event.GRANTED, _P): Step(_G, (Act.ANSWERED, Act.LISTEN)),
    (Event.GRANTED, _G): Step(_G, (Act.ANSWERED,)),
    (Event.PENDING, _P): Step(_P, (Act.ANSWERED,)),
    (Event.PENDING, _G): Step(_G, (Act.ANSWERED,)),  # a new dialog's first NOTIFY takes nothing away
    #
    # RFC 8048 section 5.2.2, RFC 6665 section 4.1.3: no for good.
    (Event.REFUSED, _N): Step(_N, (Act.ANSWERED,)),
    (Event.REFUSED, _P): Step(_R, (Act.ANSWERED, Act.BLANK, Act.END)),
    (Event.REFUSED, _G): Step(_R, (Act.ANSWERED, Act.BLANK, Act.END)),
    (Event.REFUSED, _R): Step(_R, (Act.ANSWERED,)),
    # No for now: 423, 481, 5xx, nobody there.
    (Event.FAILED, _N): Step(_N, (Act.LATER,)),
    (Event.FAILED, _P): Step(_P, (Act.LATER,)),
    (Event.FAILED, _G): Step(_G, (Act.LATER,)),
    #
    (Event.SHOW, _G): Step(_G, (Act.ANSWERED, Act.TAKE)),
    (Event.SILENT, _G): Step(_G, (Act.STALE,)),
    (Event.DONE, _N): Step(_N, (Act.ANSWERED,)),
    (Event.DONE, _P): Step(_P, (Act.ANSWERED,)),
    (Event.DONE, _G): Step(_G, (Act.ANSWERED,)),
    (Event.DONE, _R): Step(_R, (Act.ANSWERED,)),
}


def step(event: Event, grant: Grant) -> Step | None:
    """What follows; None for nothing at all."""
    return TABLE.get((event, grant))
