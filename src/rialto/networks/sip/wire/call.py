"""One session by INVITE, from either side, sans-I/O (RFC 3261 sections 12 to 15, with RFC 6026 and RFC 4028).

    calling      invite() ─► CALLING ──2xx──► UP ──bye()──► CLOSING ──► OVER
                               │ │ cancel() ► CANCELLING ──487──────────► OVER
                               │ └─3xx-6xx, no answer────────────────────► OVER
    called       receive_invite ► OFFERED ──accept()──► ANSWERED ──ACK──► UP
                               └─reject(), CANCEL ─► OVER   └─no ACK: BYE ─► CLOSING

Below it stand the transactions, which repeat what has to be repeated; here is what RFC 3261 leaves to the
core: the ACK of a 2xx and its repetition (13.2.2.4), the 2xx repeated until it is acknowledged (13.3.1.4),
the answers of other branches of a forked INVITE, which are acknowledged and ended at once, the glare of two
offers (14.1, 14.2), how long somebody may ring, and session timers.

What is to be done comes out of `next_output`, what has happened out of `next_event`. `now` is in seconds of
any clock that does not run backwards; whoever drives this calls `handle_timer` at `next_timer`. Bodies pass
through unread: offers and answers are the business of `offer_answer`.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import msgspec

from rialto.model.errors import LocalProtocolError
from rialto.networks.sip.wire import session_timer
from rialto.networks.sip.wire.dialogs import Dialog
from rialto.networks.sip.wire.errors import BadMessage
from rialto.networks.sip.wire.message import Request, Response
from rialto.networks.sip.wire.session_timer import SessionTimer
from rialto.networks.sip.wire.timers import RFC_TIMING, Timing

MAX_FORKS: Final = 16
STRAY: Final = "stray bye"
"""The kind of a BYE in a dialog that is not ours any more: nothing follows from its answer."""
RETRY_GLARE_S: Final = 10.0
RETRY_REFRESH_S: Final = 30.0

Headers = tuple[tuple[str, str], ...]


class State(enum.StrEnum):
    """Of a call."""

    IDLE = "idle"
    CALLING = "calling"
    CANCELLING = "cancelling"
    OFFERED = "offered"
    ANSWERED = "answered"
    UP = "up"
    CLOSING = "closing"
    OVER = "over"


class Ringing(msgspec.Struct, frozen=True):
    """A provisional response other than 100: the other side has been reached."""

    status: int


class Answered(msgspec.Struct, frozen=True):
    """Our INVITE was taken: the session is up. `body` is the answer to our offer."""

    response: Response
    body: bytes


class Acknowledged(msgspec.Struct, frozen=True):
    """The caller has our 2xx: the session is up. `body` is its answer, where the offer was ours."""

    body: bytes


class Refused(msgspec.Struct, frozen=True):
    """Our INVITE was not taken. `response` is None where nobody answered; `cancelled` where we took it
    back."""

    status: int
    text: str
    response: Response | None = None
    cancelled: bool = False


class Reoffered(msgspec.Struct, frozen=True):
    """The peer sends another offer (or asks for one, with no body): answer by `accept` or `reject`."""

    request: Request


class Over(msgspec.Struct, frozen=True):
    """The session has ended. `by_peer` where the other side said so; `why` in words, for the log."""

    why: str
    by_peer: bool = False


Event = Ringing | Answered | Acknowledged | Refused | Reoffered | Over


class Send(msgspec.Struct, frozen=True):
    """A request to send, without Via, in `dialog`; its final response comes back with the same `kind`."""

    kind: str
    request: Request
    dialog: Dialog


class Acknowledge(msgspec.Struct, frozen=True):
    """An ACK for a 2xx: sent once, outside of any transaction."""

    request: Request
    dialog: Dialog


class Cancel(msgspec.Struct, frozen=True):
    """Ask that our INVITE be given up (section 9.1)."""


class Answer(msgspec.Struct, frozen=True):
    """A response to give in that transaction; `again` for the repetition of a 2xx."""

    transaction: Any
    status: int
    headers: Headers = ()
    body: bytes = b""
    again: bool = False


Output = Send | Acknowledge | Cancel | Answer


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What a call is made with. `ring_s` is how long somebody may ring; `headers` go into every offer and
    every answer that makes or changes the session."""

    contact: str
    headers: Headers = ()
    session_s: int = 1800
    least_s: int = session_timer.LEAST_S
    ring_s: float = 180.0
    timing: Timing = RFC_TIMING


class _Question(msgspec.Struct):
    """A request of theirs that is not answered yet."""

    transaction: Any
    request: Request


class Call:
    """See the module. `spread` gives numbers from 0 to 1."""

    def __init__(self, dialog: Dialog, terms: Terms, spread: Callable[[], float]) -> None:
        self.dialog = dialog
        self.state = State.IDLE
        self.timer: SessionTimer | None = None
        self.alarm_at = 0.0
        """Of whoever drives this."""
        self.confirmed_at = 0.0
        self._terms = terms
        self._spread = spread
        self._least_s = terms.least_s
        self._body = b""
        """Our side of the session as it was said last."""
        self._body_type = ""
        self._initiator = False
        self._provisional = False
        self._allows_update = False
        self._acks: dict[str, Request] = {}
        self._question: _Question | None = None
        self._answer: Answer | None = None
        self._awaits_ack = False
        self._under_way = ""
        """The kind of our offer in the session that is not answered yet."""
        self._closing_why: str | None = None
        self._events: deque[Event] = deque()
        self._out: deque[Output] = deque()
        # Timers, 0.0 for none
        self._ring_until = 0.0
        self._final_until = 0.0
        self._again_at = 0.0
        self._again_every = 0.0
        self._ack_until = 0.0
        self._refresh_at = 0.0
        self._end_at = 0.0

    # -- our side ---------------------------------------------------------------------------------------

    def invite(self, body: bytes, media_type: str, now: float, headers: Headers = ()) -> None:
        """Call them."""
        self._expect(State.IDLE)
        self.state = State.CALLING
        self._initiator = True
        self._body, self._body_type = body, media_type
        self._ring_until = now + self._terms.ring_s
        self._invite("invite", now, headers)

    def cancel(self, now: float) -> None:
        """We would rather not: `Refused` follows, or `Over` if it was taken in the same moment."""
        if self.state is not State.CALLING:
            return
        self.state = State.CANCELLING
        self._ring_until = 0.0
        self._final_until = now + 64 * self._terms.timing.t1_s  # section 9.1
        if self._provisional:
            self._out.append(Cancel())

    def bye(self, now: float, why: str = "", headers: Headers = ()) -> None:
        """End it, from whatever state; `Over` follows."""
        if self.state is State.CALLING:
            self.cancel(now)
        elif self.state is State.OFFERED:
            self.reject(480, now)
        elif self.state is State.ANSWERED and self._awaits_ack:
            self._closing_why = why or "ended"  # section 15: not before the ACK
        elif self.state in (State.ANSWERED, State.UP):
            self._close(now, why or "ended", headers)

    def request(
        self, method: str, now: float, headers: Headers, body: bytes = b"", *, kind: str = ""
    ) -> None:
        """Send something else within the session (MESSAGE, INFO); its response is nothing to the call, unless
        it says that there is no such dialog: see `receive_response`."""
        if self.state is not State.UP:
            raise LocalProtocolError(f"{method} in a call that is {self.state}")
        self._out.append(
            Send(kind or method.lower(), self.dialog.request(method, now, headers, body), self.dialog)
        )

    def ring(self) -> None:
        """Tell the caller that somebody is being asked."""
        if self.state is State.OFFERED and self._question is not None:
            contact = (("Contact", self._terms.contact),)
            self._out.append(Answer(self._question.transaction, 180, contact))

    def accept(self, body: bytes, media_type: str, now: float, headers: Headers = ()) -> None:
        """Take what was offered, with our answer to it (or our offer, if there was none)."""
        question = self._take_question()
        timer, timing = session_timer.granted(question.request, self._terms.session_s, self._least_s)
        if body:
            self._body, self._body_type = body, media_type
        supported = ("Supported", session_timer.TAG)
        said = (("Contact", self._terms.contact), *self._terms.headers, supported, *timing, *headers)
        if body:
            said = (*said, ("Content-Type", media_type))
        answer = Answer(question.transaction, 200, said, body)
        self._out.append(answer)
        self._set_timer(timer, now)
        if question.request.method == "INVITE":
            if self.state is State.OFFERED:
                self.state = State.ANSWERED
            self._answer = msgspec.structs.replace(answer, again=True)
            self._awaits_ack = True
            self._again_every = self._terms.timing.t1_s
            self._again_at = now + self._again_every  # section 13.3.1.4, over every transport
            self._ack_until = now + 64 * self._terms.timing.t1_s

    def reject(self, status: int, now: float, headers: Headers = ()) -> None:
        """Do not take what was offered. A session that was up before stays as it was (section 14.2)."""
        question = self._take_question()
        self._out.append(Answer(question.transaction, status, headers))
        if self.state is State.OFFERED:
            self._end(Over("refused by us"))

    # -- their side -------------------------------------------------------------------------------------

    def receive_invite(self, transaction: Any, request: Request, now: float) -> None:
        """The INVITE that makes the dialog, whose local tag is that of our answers."""
        self._expect(State.IDLE)
        self.dialog.in_order(request)
        self._note(request)
        least_s = session_timer.too_brief(request, self._least_s)
        if least_s is not None:
            self._out.append(Answer(transaction, 422, (("Min-SE", str(least_s)),)))
            self.state = State.OVER
            return
        self.state = State.OFFERED
        self._question = _Question(transaction, request)

    def receive_cancel(self, now: float) -> bool:
        """A CANCEL of the INVITE; False if it comes too late (section 9.2)."""
        if self.state is not State.OFFERED or self._question is None:
            return False
        question, self._question = self._question, None
        self._out.append(Answer(question.transaction, 487))
        self._end(Over("taken back by the caller", by_peer=True))
        return True

    def receive_ack(self, request: Request, now: float) -> None:
        """An ACK for a 2xx of ours."""
        if not self._awaits_ack or self._answer is None or request.cseq[0] != self.dialog.remote_cseq:
            return
        self._awaits_ack = False
        self._answer = None
        self._again_at = self._ack_until = 0.0
        if self.state is State.ANSWERED:
            self.state = State.UP
            self.confirmed_at = now
            self._events.append(Acknowledged(request.body))
        if self._closing_why is not None:
            self._close(now, self._closing_why, ())

    def receive_request(self, transaction: Any, request: Request, now: float) -> bool:
        """A request within the dialog; True if it is one of those that are answered from here. Any other is
        the shell's, which answers by itself."""
        if not self.dialog.in_order(request):
            self._out.append(Answer(transaction, 500))  # section 12.2.2
            return True
        if request.method == "BYE":
            self._hung_up(transaction, now)
            return True
        if self.state in (State.CLOSING, State.OVER):
            self._out.append(Answer(transaction, 481))
            return True
        if request.method in ("INVITE", "UPDATE"):
            self._offered_again(transaction, request, now)
            return True
        return False

    def receive_response(self, kind: str, response: Response, now: float) -> None:
        """A response to what `Send` has sent: all of them to an INVITE, and the final one to all else."""
        status = response.status
        if kind == "invite":
            self._invited(response, now)
        elif kind == "bye":
            self._end(Over(self._closing_why or "ended"))
        elif kind in ("reinvite", "update"):
            self._refreshed(kind, response, now)
        elif kind != STRAY and status in (408, 481):
            self._gone(f"{status} to {kind}", now)

    def request_failed(self, kind: str, text: str, now: float) -> None:
        """No final response came, or it could not be sent: as if 408 had come (section 8.1.3.1)."""
        if kind == "invite":
            if self.state is State.CALLING:
                self._end(Refused(0, text))
            elif self.state is State.CANCELLING:
                self._end(Refused(0, text, cancelled=True))
        elif kind == "bye":
            self._end(Over(self._closing_why or "ended"))
        elif kind != STRAY:
            self._gone(text, now)

    # -- what is to be done -----------------------------------------------------------------------------

    def next_event(self) -> Event | None:
        """The next thing that happened, oldest first."""
        return self._events.popleft() if self._events else None

    def next_output(self) -> Output | None:
        """The next thing to do, oldest first."""
        return self._out.popleft() if self._out else None

    def next_timer(self) -> float | None:
        """When `handle_timer` must be called at the latest."""
        if self.state is State.OVER:
            return None
        timers = (
            self._ring_until, self._final_until, self._again_at, self._ack_until, self._refresh_at,
            self._end_at,
        )  # fmt: skip
        return min((at for at in timers if at), default=None)

    def handle_timer(self, now: float) -> None:
        """Let time pass."""
        if self.state is State.OVER:
            return
        if self._ring_until and self._ring_until <= now:
            self.cancel(now)
        if self._final_until and self._final_until <= now:
            self._end(Refused(408, "no answer", cancelled=True))
        elif self._ack_until and self._ack_until <= now:
            self._awaits_ack, self._answer = False, None
            self._again_at = self._ack_until = 0.0
            self._close(now, "our answer was never acknowledged", ())  # section 13.3.1.4
        elif self._again_at and self._again_at <= now and self._answer is not None:
            self._out.append(self._answer)
            self._again_every = min(2 * self._again_every, self._terms.timing.t2_s)
            self._again_at = now + self._again_every
        elif self._end_at and self._end_at <= now:
            self._close(now, "the session timer ran out", ())  # RFC 4028 section 10
        elif self._refresh_at and self._refresh_at <= now:
            self._refresh_at = 0.0
            self._refresh(now)

    # -- the engine -------------------------------------------------------------------------------------

    def _expect(self, state: State) -> None:
        if self.state is not state:
            raise LocalProtocolError(f"a call that is {self.state}, not {state}")

    def _take_question(self) -> _Question:
        if self._question is None:
            raise LocalProtocolError("nothing was offered")
        question, self._question = self._question, None
        return question

    def _invite(self, kind: str, now: float, headers: Headers = ()) -> None:
        said: Headers = (
            ("Contact", self._terms.contact),
            *self._terms.headers,
            *session_timer.asked(self._terms.session_s, self._least_s),
            *headers,
        )
        if self._body:
            said = (*said, ("Content-Type", self._body_type))
        self._out.append(Send(kind, self.dialog.request("INVITE", now, said, self._body), self.dialog))

    def _invited(self, response: Response, now: float) -> None:
        status = response.status
        if status < 200:
            if not self._provisional:
                self._provisional = True
                if self.state is State.CANCELLING:
                    self._out.append(Cancel())
            if status > 100 and self.state is State.CALLING:
                self._events.append(Ringing(status))
        elif status < 300:
            self._taken(response, now)
        elif self.state is State.CALLING and status == 422 and (least := session_timer.least_of(response)):
            if least > self._least_s:
                self._least_s = least  # RFC 4028 section 7.3
                self._provisional = False
                self._invite("invite", now)
            else:
                self._end(Refused(status, response.reason, response))
        elif self.state in (State.CALLING, State.CANCELLING):
            self._end(Refused(status, response.reason, response, cancelled=self.state is State.CANCELLING))

    def _taken(self, response: Response, now: float) -> None:
        """A 2xx to the INVITE: the first one makes the session, another of the same dialog is repeated, one
        of another dialog is a second person who has answered (section 13.2.2.4)."""
        tag = response.to.tag or ""
        known = self._acks.get(tag)
        if known is not None:
            self._out.append(Acknowledge(known, self.dialog))
            return
        if len(self._acks) >= MAX_FORKS:
            return
        first = not self._acks and self.state in (State.CALLING, State.CANCELLING)
        dialog = self.dialog if first else msgspec.structs.replace(self.dialog, remote_cseq=-1)
        number = response.cseq[0]
        try:
            dialog.answered_by(response)
        except BadMessage:
            dialog.target = dialog.target or dialog.remote
        dialog.remote_tag = tag
        ack = self._acks[tag] = dialog.acknowledgement(number)
        self._out.append(Acknowledge(ack, dialog))
        if not first:
            self._out.append(Send(STRAY, dialog.request("BYE", now), dialog))
            return
        cancelled = self.state is State.CANCELLING
        self._ring_until = self._final_until = 0.0
        self.state = State.UP
        self.confirmed_at = now
        self._note(response)
        self._set_timer(session_timer.agreed(response), now)
        if cancelled:
            self._close(now, "answered after it was taken back", ())
        else:
            self._events.append(Answered(response, response.body))

    def _note(self, message: Request | Response) -> None:
        try:
            self._allows_update = "UPDATE" in message.get_list("Allow")
        except BadMessage:
            self._allows_update = False

    def _offered_again(self, transaction: Any, request: Request, now: float) -> None:
        if request.method == "INVITE" and (self._awaits_ack or self.state is State.OFFERED):
            wait = str(int(self._spread() * RETRY_GLARE_S))
            self._out.append(Answer(transaction, 500, (("Retry-After", wait),)))  # section 14.2
            return
        if self._under_way == "reinvite" or self._question is not None:
            self._out.append(Answer(transaction, 491))  # section 14.2
            return
        least_s = session_timer.too_brief(request, self._least_s)
        if least_s is not None:
            self._out.append(Answer(transaction, 422, (("Min-SE", str(least_s)),)))
            return
        try:
            self.dialog.aim(request)
        except BadMessage as error:
            self._out.append(Answer(transaction, error.status))
            return
        self._question = _Question(transaction, request)
        if request.method == "UPDATE" and not request.body:
            self.accept(b"", "", now)  # a refresh, and no more (RFC 4028 section 7.4)
            return
        self._events.append(Reoffered(request))

    def _hung_up(self, transaction: Any, now: float) -> None:
        if self._question is not None:  # section 15.1.2
            question, self._question = self._question, None
            self._out.append(Answer(question.transaction, 487))
        self._out.append(Answer(transaction, 200))
        self._end(Over("ended by the other side", by_peer=True))

    def _refresh(self, now: float) -> None:
        if self.state is not State.UP or self._under_way or self._question is not None or self._awaits_ack:
            self._refresh_at = now + RETRY_REFRESH_S
        elif self._allows_update:
            self._under_way = "update"
            said = (
                ("Contact", self._terms.contact),
                *session_timer.asked(self._terms.session_s, self._least_s),
            )
            self._out.append(Send("update", self.dialog.request("UPDATE", now, said), self.dialog))
        else:
            self._under_way = "reinvite"
            self._invite("reinvite", now)

    def _refreshed(self, kind: str, response: Response, now: float) -> None:
        status = response.status
        if status < 200:
            return
        if 200 <= status < 300 and kind == "reinvite":
            # Each 2xx, repeated or not, has its ACK.
            self._out.append(Acknowledge(self.dialog.acknowledgement(response.cseq[0]), self.dialog))
        if self._under_way != kind or self.state is not State.UP:
            return
        self._under_way = ""
        if status < 300:
            try:
                self.dialog.aim(response)
            except BadMessage:
                pass  # the target that it had is as good as any
            self._set_timer(session_timer.agreed(response), now)
        elif status == 491:
            # Section 14.1: in units of 10 ms, so that two who meet do not meet again.
            low, high = (2.1, 4.0) if self._initiator else (0.0, 2.0)
            self._refresh_at = now + round(low + (high - low) * self._spread(), 2)
        elif status in (408, 481):
            self._gone(f"{status} to a refresh", now)
        elif status == 422 and (least := session_timer.least_of(response)) and least > self._least_s:
            self._least_s = least
            self._refresh_at = now
        elif status in (405, 501) and kind == "update":
            self._allows_update = False
            self._refresh_at = now
        else:
            self._refresh_at = now + RETRY_REFRESH_S

    def _set_timer(self, timer: SessionTimer | None, now: float) -> None:
        self.timer = timer
        self._refresh_at = self._end_at = 0.0
        if timer is not None:
            self._end_at = now + timer.end_after_s
            if timer.ours:
                self._refresh_at = now + timer.refresh_after_s

    def _gone(self, why: str, now: float) -> None:
        """The peer knows no such dialog, or does not answer in it (section 12.2.1.2): a BYE ends what may be
        left on its way, and nothing waits for that."""
        if self.state in (State.UP, State.ANSWERED):
            self._out.append(Send(STRAY, self.dialog.request("BYE", now), self.dialog))
            self._end(Over(why, by_peer=True))

    def _close(self, now: float, why: str, headers: Headers) -> None:
        if self._question is not None:
            question, self._question = self._question, None
            self._out.append(Answer(question.transaction, 487))
        self.state = State.CLOSING
        self._closing_why = why
        self._refresh_at = self._end_at = 0.0
        self._out.append(Send("bye", self.dialog.request("BYE", now, headers), self.dialog))

    def _end(self, event: Event) -> None:
        if self.state is not State.OVER:
            self.state = State.OVER
            self._events.append(event)
