"""The subscriber's side of one subscription (RFC 6665 section 4.1), sans-I/O.

             subscribe()                    NOTIFY pending         NOTIFY active
    idle ──────────────────► trying ─────────────────► pending ──────────────────► active ◄─┐ refresh,
     ▲                         │                          │                           │ └───┘ any NOTIFY
     │     refused, no NOTIFY  │            unsubscribe() │                           │
     ├─────────────────────────┘                          ▼                           │
     └──────────────── NOTIFY terminated, Timer N ──── closing ◄──────────────────────┘

It is the NOTIFY that makes the dialog, not the 2xx (section 4.4.1): it may come first, and where a SUBSCRIBE
has forked, the first one wins and all others are told 481 (RFC 3856 section 6.9). A subscription is as long
as the last word of the notifier says, and is refreshed before that while it is wanted; one that can not be
refreshed stays good until then. What a refusal or an ending means is in the tables of `verdicts`.

`now` is in seconds since 1970, because what is remembered has to outlive a restart. A look (`look`) is a
subscription of no length (section 4.4.3).
"""

from __future__ import annotations

import enum
from math import ceil
from typing import Final, Protocol

import msgspec

from rialto.networks.sip.wire.dialogs import Dialog
from rialto.networks.sip.wire.errors import BadMessage
from rialto.networks.sip.wire.eventing import (
    PRESENCE,
    SubscriptionState,
    Substate,
    event_of,
    expires_of,
    subscription_state,
)
from rialto.networks.sip.wire.message import Request, Response
from rialto.networks.sip.wire.verdicts import (
    ENDINGS,
    RESPONSES,
    Active,
    Ended,
    Ending,
    Event,
    Means,
    News,
    Pending,
    Refused,
    Silent,
)

TIMER_N_S: Final = 32.0  # 64*T1
RETRY_REFRESH_S: Final = 60.0
PUT_OFF_S: Final = 10.0
REFRESH_LEAST_S: Final = 5.0
MAX_BRIEF: Final = 3
"""How often 423 is taken for an answer."""


class State(enum.StrEnum):
    """Of the machine."""

    IDLE = "idle"
    TRYING = "trying"
    PENDING = "pending"
    ACTIVE = "active"
    CLOSING = "closing"


class Owner(Protocol):
    """Whose subscription it is."""

    def fresh_dialog(self) -> Dialog:
        """A new dialog, with nothing but our side in it."""

    def contact(self) -> str:
        """Our Contact."""

    def spread(self) -> float:
        """A number from 0 to 1, to spread refreshes."""


class Kept(msgspec.Struct, array_like=True):
    """What outlives a restart."""

    dialog: Dialog
    state: str
    expires_at: float
    heard_at: float


class Resting(msgspec.Struct, array_like=True):
    """Beside its dialog, all of a machine that waits for nothing but its next appointment. Times are whole
    seconds."""

    active: bool
    wanted: bool
    granted: bool
    asked_s: int
    expires_at: int
    refresh_at: int
    heard_at: int


class Subscriber:
    """See the module. `ask_s` is how long a subscription is asked for."""

    __slots__ = (
        "_accept",
        "_ask_s",
        "_asked_s",
        "_brief",
        "_events",
        "_expires_at",
        "_heard_at",
        "_looking",
        "_notify_by",
        "_out",
        "_owes_answer",
        "_owner",
        "_put_off",
        "_refresh_at",
        "_under_way",
        "_wanted",
        "changed",
        "dialog",
        "granted",
        "state",
    )

    def __init__(
        self,
        owner: Owner,
        *,
        accept: str,
        ask_s: int,
    ) -> None:
        self._owner = owner
        self._accept = accept
        self._ask_s = ask_s
        self.dialog: Dialog | None = None
        self.state = State.IDLE
        self.granted = False
        """Whether the watcher has the authorization, whatever becomes of this subscription."""
        self.changed = False
        """Whether there is something to be written down; whoever does so sets it to False."""
        self._wanted = False
        self._looking = False
        self._owes_answer = False
        """Whether somebody waits to hear what became of `subscribe`."""
        self._under_way = False
        self._asked_s = 0
        self._brief = 0
        self._expires_at = 0.0
        self._refresh_at = 0.0
        self._put_off = False
        self._notify_by = 0.0
        self._heard_at = 0.0
        self._events: list[Event] | None = None
        self._out: Request | None = None

    # -- what is wanted --------------------------------------------------------------------------------

    def subscribe(self, now: float) -> None:
        """Begin, or bring the present state: a refresh makes the notifier say everything again."""
        self._wanted, self._looking, self._owes_answer = True, False, True
        if self.state is State.IDLE:
            self._begin(now)
        elif self.state in (State.PENDING, State.ACTIVE) and not self._under_way and not self._notify_by:
            self._ask(now, self._asked_s or self._ask_s)

    def accept_only(self, accept: str, now: float) -> bool:
        """From now on ask for these kinds of documents, and for the present one again; False if that is so
        already."""
        if accept == self._accept:
            return False
        self._accept = accept
        if self._wanted:
            self.subscribe(now)
        return True

    def unsubscribe(self, now: float) -> None:
        """End it (RFC 8048 section 5.2.3); `Ended` follows, at once where there is nothing to end."""
        self._wanted = self._owes_answer = False
        if self.state is State.IDLE:
            self._happened(Ended())
        elif self.state in (State.PENDING, State.ACTIVE) and not self._under_way:
            self._close(now)

    def look(self, now: float) -> None:
        """One look, in a dialog of its own (RFC 8048 section 7.1)."""
        if self.state is State.IDLE:
            self._looking = self._owes_answer = True
            self._wanted = False
            self._begin(now)

    # -- what comes ------------------------------------------------------------------------------------

    def receive_response(self, response: Response, now: float) -> None:
        """The final response to the SUBSCRIBE under way; challenges have been met before. 202 is as good as
        200 (RFC 6665 section 8.3.1)."""
        self._under_way = False
        status = response.status
        if status < 300:
            self._accepted(response, now)
        elif self.state is State.CLOSING:
            self._end(now)
        else:
            self._refused(response, now)

    def request_failed(self, text: str, now: float, retry_after_s: float | None = None) -> None:
        """No final response came, or the SUBSCRIBE could not be sent."""
        self._under_way = False
        if self.state is State.CLOSING:
            self._end(now)
        else:
            self._later(0, text, now, retry_after_s)

    def receive_notify(self, request: Request, now: float) -> int:
        """A NOTIFY with our tag; the status to answer with. Raises BadMessage."""
        dialog = self.dialog
        tag = request.from_.tag or ""
        package, _ = event_of(request)
        if package != PRESENCE:
            return 489
        if dialog is None or self.state is State.IDLE or (dialog.remote_tag and dialog.remote_tag != tag):
            return 481  # RFC 3856 section 6.9: no second dialog; RFC 6665 section 5.4.9
        says = subscription_state(request)
        if not dialog.remote_tag:
            if not tag:
                raise BadMessage(400, "Missing From Tag", request)
            dialog.remote_tag = tag
            dialog.route_by(request)
        if not dialog.in_order(request):
            return 500  # RFC 3261 section 12.2.2; RFC 3856 section 6.8: never an older one over a newer one
        dialog.aim(request)
        self._notify_by = 0.0
        self._heard_at = now
        self.changed = True
        if says.state is Substate.TERMINATED:
            self._terminated(request, says, now)
        elif self.state is not State.CLOSING:
            self._told(request, says, now)
        return 200

    # -- what is to be done ----------------------------------------------------------------------------

    def next_event(self) -> Event | None:
        """The next thing that happened, oldest first."""
        if self._events is None:
            return None
        event = self._events.pop(0)
        if not self._events:
            self._events = None
        return event

    def next_request(self) -> Request | None:
        """A SUBSCRIBE to send, without Via; one at a time."""
        request, self._out = self._out, None
        return request

    def next_timer(self) -> float | None:
        """When `handle_timer` must be called at the latest."""
        if self.state is State.IDLE:
            return None
        refresh_at = self._refresh_at if self._wanted and not self._under_way else 0.0
        return min((at for at in (self._notify_by, refresh_at, self._expires_at) if at), default=None)

    def is_due(self, now: float) -> bool:
        """Whether `handle_timer` would refresh, and nobody has put that off."""
        return (
            self.state in (State.PENDING, State.ACTIVE)
            and self._wanted
            and not (self._under_way or self._put_off)
            and 0 < self._refresh_at <= now < self._expires_at
        )

    def put_off(self, now: float) -> None:
        """Refresh a little later: it may turn out to be wanted no longer. Once, and in good time."""
        self._put_off = True
        self._refresh_at = now + min(PUT_OFF_S, (self._expires_at - now) / 4)

    def handle_timer(self, now: float) -> None:
        """Let time pass."""
        if self.state is State.IDLE:
            return
        if self._notify_by and self._notify_by <= now:
            self._unheard(now)
        elif self._expires_at and self._expires_at <= now:
            self._lapsed(now)
        elif self._wanted and not self._under_way and self._refresh_at and self._refresh_at <= now:
            self._ask(now, self._asked_s or self._ask_s)

    # -- what outlives a restart -----------------------------------------------------------------------

    def kept(self) -> Kept | None:
        """What to write down; None where there is nothing worth it."""
        if self.dialog is None or self.state not in (State.PENDING, State.ACTIVE) or self._looking:
            return None
        return Kept(self.dialog, self.state.value, self._expires_at, self._heard_at)

    def resume(self, kept: Kept, now: float, *, wanted: bool) -> bool:
        """Take up what was written down; False if it has run out since."""
        if kept.expires_at <= now:
            return False
        self.dialog = kept.dialog
        self.state = State(kept.state)
        self._wanted = wanted
        self._refresh_at = now + (kept.expires_at - now) * (0.5 + 0.4 * self._owner.spread())
        self._expires_at = kept.expires_at
        self._heard_at = kept.heard_at
        return True

    # -- what may rest ---------------------------------------------------------------------------------

    def rest(self) -> Resting | None:
        """All there is to remember beside `dialog`; None while something is going on."""
        busy = self._under_way or self._put_off or self._notify_by or self._out or self._events
        if (
            busy
            or self._looking
            or self.changed
            or self.dialog is None
            or self.state not in (State.PENDING, State.ACTIVE)
        ):
            return None
        return Resting(
            self.state is State.ACTIVE,
            self._wanted,
            self.granted,
            self._asked_s,
            ceil(self._expires_at),  # in whole seconds it must not end before it is refreshed
            int(self._refresh_at),
            int(self._heard_at),
        )

    def wake(self, dialog: Dialog, resting: Resting) -> None:
        """The inverse of `rest`, for a machine that is new."""
        self.dialog = dialog
        self.state = State.ACTIVE if resting.active else State.PENDING
        self._wanted, self.granted = resting.wanted, resting.granted
        self._asked_s = resting.asked_s
        self._expires_at, self._refresh_at = float(resting.expires_at), float(resting.refresh_at)
        self._heard_at = float(resting.heard_at)

    # -- the engine ------------------------------------------------------------------------------------

    def _begin(self, now: float) -> None:
        self.dialog = self._owner.fresh_dialog()
        self.state = State.TRYING
        self._brief = 0
        self._expires_at = self._refresh_at = 0.0
        self._ask(now, 0 if self._looking else self._ask_s)

    def _ask(self, now: float, expires_s: int) -> None:
        dialog = self.dialog
        assert dialog is not None
        self._under_way = True
        self._put_off = False
        self._refresh_at = 0.0
        if expires_s:
            self._asked_s = expires_s
        self._notify_by = now + TIMER_N_S  # section 4.1.2.4
        self._out = dialog.request(
            "SUBSCRIBE",
            now,
            (
                ("Contact", self._owner.contact()),
                ("Event", PRESENCE),
                ("Expires", str(expires_s)),
                ("Accept", self._accept),
            ),
        )

    def _close(self, now: float) -> None:
        self.state = State.CLOSING
        self._ask(now, 0)
        self.changed = True

    def _accepted(self, response: Response, now: float) -> None:
        dialog = self.dialog
        if dialog is None or self.state in (State.IDLE, State.CLOSING) or self._looking:
            return
        try:
            expires_s = expires_of(response)
            if dialog.remote_tag and response.to.tag == dialog.remote_tag:
                dialog.aim(response)
        except BadMessage:
            expires_s = None
        lasts_s: float = self._asked_s if expires_s is None else expires_s
        if self._notify_by == 0.0:  # the NOTIFY came before the 2xx, and its word counts
            self._lasts(min(lasts_s, self._expires_at - now), now)
            self._after_notify(now)
        else:
            self._lasts(lasts_s, now)

    def _refused(self, response: Response, now: float) -> None:
        status, text = response.status, f"{response.status} {response.reason}".strip()
        means = RESPONSES.get(status, Means.LATER)
        retry_after_s = _retry_after(response)
        if means is Means.BRIEF:
            least = _least(response)
            self._brief += 1
            if self._brief <= MAX_BRIEF and least > self._asked_s and not self._looking:
                self._ask(now, least)
                return
            means = Means.LATER
        if means is Means.LATER:
            self._later(status, text, now, retry_after_s)
            return
        had_dialog = self.state in (State.PENDING, State.ACTIVE)
        for_good = means is Means.FOR_GOOD or (means is Means.NOBODY and not self.granted and not had_dialog)
        self._forget()
        if retry_after_s is None and had_dialog and not for_good:
            retry_after_s = 0.0  # a new dialog, at once
        self._happened(Refused(status, text, for_good, retry_after_s))

    def _later(self, status: int, text: str, now: float, retry_after_s: float | None) -> None:
        """It failed, but nothing is lost that there was."""
        self._notify_by = 0.0
        if self.state is State.TRYING:
            self._forget()
            self._happened(Refused(status, text, False, retry_after_s))
            return
        left_s = max(0.0, self._expires_at - now)
        self._refresh_at = now + min(max(retry_after_s or 0.0, RETRY_REFRESH_S), max(1.0, left_s / 2))
        if self._owes_answer:
            self._owes_answer = False
            self._happened(Refused(status, text, False, retry_after_s))

    def _told(self, request: Request, says: SubscriptionState, now: float) -> None:
        first = self.state is State.TRYING or (self.state is State.PENDING and says.state is Substate.ACTIVE)
        self.state = State.ACTIVE if says.state is Substate.ACTIVE else State.PENDING
        self._owes_answer = False
        if says.expires_s is not None:
            self._lasts(says.expires_s, now)
        elif not self._expires_at:
            self._lasts(self._asked_s, now)  # section 4.1.3: it should have said
        if says.state is Substate.PENDING:
            # RFC 8048 section 5.2.1: not a word to the watcher, whatever the body says.
            self._happened(Pending())
        else:
            fresh, self.granted = not self.granted, True
            self._happened(Active(first, bool(request.body), fresh))
            if request.body:
                self._happened(News(request))
        if not self._under_way:
            self._after_notify(now)

    def _after_notify(self, now: float) -> None:
        """It was ended while it was being made."""
        if not self._wanted and self.state in (State.PENDING, State.ACTIVE):
            self._close(now)

    def _terminated(self, request: Request, says: SubscriptionState, now: float) -> None:
        closing, looking, wanted = self.state is State.CLOSING, self._looking, self._wanted
        self._forget()
        if closing or (not wanted and not looking):
            self._over(now)
            return
        ending = ENDINGS.get(says.reason, Ending())
        if request.body and not ending.for_good:
            self._happened(News(request))
        if ending.for_good:
            self._happened(Refused(ending.for_good, f"ended by the other side: {says.reason}", True))
        elif looking or ending.stands:
            self._happened(Ended(stands=ending.stands))
        else:
            wait = says.retry_after_s
            if wait is None and ending.at_once:
                wait = 0
            text = f"ended by the other side: {says.reason or 'no reason given'}"
            self._happened(Refused(0, text, False, None if wait is None else float(wait)))

    def _unheard(self, now: float) -> None:
        """Timer N: no NOTIFY, no subscription (section 4.1.2.4)."""
        self._notify_by = 0.0
        if self.state is State.CLOSING:
            self._end(now)
            return
        had_dialog = self.state is not State.TRYING
        since = self._heard_at
        self._forget()
        if had_dialog:
            self._happened(Silent(since))
            self._happened(Refused(0, "no NOTIFY came after the refresh", False, 0.0))
        else:
            self._happened(Refused(0, "no NOTIFY came", False))

    def _lapsed(self, now: float) -> None:
        closing, wanted, since = self.state is State.CLOSING, self._wanted, self._heard_at
        self._forget()
        if closing:
            self._over(now)
        elif wanted:
            self._happened(Silent(since))
            self._happened(Refused(0, "the subscription ran out and could not be refreshed", False))
        else:
            self._happened(Ended())

    def _end(self, now: float) -> None:
        """The SUBSCRIBE that ends it was refused or is lost: it is over for us in any case."""
        self._forget()
        self._over(now)

    def _over(self, now: float) -> None:
        if self._wanted:
            self._begin(now)  # somebody has changed their mind meanwhile
        else:
            self._happened(Ended())

    def _lasts(self, expires_s: float, now: float) -> None:
        """The notifier's word on how long it is; refreshed at 75 to 90 % of it, but nobody makes us hurry."""
        self._expires_at = now + expires_s
        self._refresh_at = now + max(REFRESH_LEAST_S, expires_s * (0.75 + 0.15 * self._owner.spread()))
        self.changed = True

    def _happened(self, event: Event) -> None:
        if self._events is None:
            self._events = []
        self._events.append(event)

    def _forget(self) -> None:
        self.state = State.IDLE
        self.dialog = None
        self._looking = self._under_way = self._owes_answer = False
        self._expires_at = self._refresh_at = self._notify_by = 0.0
        self._out = None
        self.changed = True


def _least(response: Response) -> int:
    """Min-Expires of a 423; 0 where it can not be read."""
    try:
        return expires_of(response, "Min-Expires") or 0
    except BadMessage:
        return 0


def _retry_after(response: Response) -> float | None:
    text = (response.get("Retry-After") or "").split(";")[0].split("(")[0].strip()
    return float(text[:9]) if text.isascii() and text.isdigit() else None
