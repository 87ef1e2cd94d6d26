"""The MSRP machine: one connection, and all sessions that share it (RFC 4975 section 5.4).

Theory of operation. Bytes go through the framer; heads and content go on to the receiving half, responses and
REPORTs to the sending half. The halves know nothing of one another: they share a row of events, and a row of
requests and responses without content, which are written before any content.

`data_to_send` hands out a slice of the content that waits, and no more. While there is more, `next_timer` is
due at once, so that whoever drives the machine comes back in its next turn; `hold` stops that while the peer
does not read. So a file of any size passes through a buffer of one slice.

Time: what is not answered within `transaction_s` has failed; a head must end within `head_s`, and a request
go on within `chunk_s`; a message whose next chunk does not come within `message_s` is forgotten; a silence of
ours is broken by a SEND without content, which must be answered like any other. Where something was not
answered, and nothing at all was heard meanwhile, nobody is there any more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rialto.model.errors import LocalProtocolError
from rialto.networks.sip.msrp.wire.events import Broken, MsrpEvent, SessionBound
from rialto.networks.sip.msrp.wire.framing import Bad, End, Framer
from rialto.networks.sip.msrp.wire.heads import IDENT, BadHead, Head
from rialto.networks.sip.msrp.wire.incoming import REPORTS, Incoming
from rialto.networks.sip.msrp.wire.outgoing import Outgoing
from rialto.networks.sip.msrp.wire.receiver import Receiver
from rialto.networks.sip.msrp.wire.sender import Sender
from rialto.networks.sip.msrp.wire.session import Session
from rialto.networks.sip.msrp.wire.terms import Limits, Shared, Timing
from rialto.networks.sip.msrp.wire.uri import MsrpUri

DEFAULT_LIMITS = Limits()
DEFAULT_TIMING = Timing()
_AT_ONCE = 0.0


class Connection:
    """One end of one connection. See `rialto.wire.machine.Machine`.

    `find(uri)` gives the session of ours that a URI means, None where there is none, or a status by which
    this connection may not have it (403). `make_id` makes idents (RFC 4975 section 9) with at least 64 random
    bits, `clock` is the clock of `now`.
    """

    def __init__(
        self,
        *,
        find: Callable[[MsrpUri], Session | int | None],
        make_id: Callable[[], str],
        clock: Callable[[], float],
        limits: Limits = DEFAULT_LIMITS,
        timing: Timing = DEFAULT_TIMING,
    ) -> None:
        self.sessions: dict[Session, None] = {}
        """Those that live here, oldest first."""
        self._find = find
        self._timing = timing
        self._shared = Shared(make_id, clock, limits, timing)
        self._sender = Sender(self._shared)
        self._receiver = Receiver(self._shared, self._claim, self._sender.reported)
        self._framer = Framer(max_head_bytes=limits.max_head_bytes)
        self._response: Head | None = None
        self._head_due: float | None = None
        self._heard = clock()
        self._said = self._heard
        self._over = False

    # -- the machine -------------------------------------------------------------------------------------

    def receive_data(self, data: bytes, now: float) -> None:
        """Take what arrived; with `b""` every session here ends."""
        if self._over:
            return
        if not data:
            self._over = True
            for session in list(self.sessions):
                self.remove(session)
            return
        self._heard = now
        framer, receiver = self._framer, self._receiver
        framer.receive_data(data)
        while (frame := framer.next_event()) is not None:
            if type(frame) is bytes:
                if self._response is None:
                    receiver.content(frame)
            elif type(frame) is End:
                if self._response is None:
                    receiver.ended(frame.flag)
                else:
                    response, self._response = self._response, None
                    self._sender.responded(response)
            elif type(frame) is Bad:
                self._on_bad(frame)
            elif type(frame) is Head:
                if frame.is_request:
                    receiver.begun(frame)
                else:
                    self._response = frame
        if not framer.in_head:
            self._head_due = None
        elif self._head_due is None:
            self._head_due = now + self._timing.head_s

    def next_event(self) -> MsrpEvent | None:
        """The next thing that happened, oldest first."""
        events = self._shared.events
        return events.popleft() if events else None

    def data_to_send(self) -> bytes:
        """What must be written now: all answers and reports, and a slice of the content."""
        if self._over or not (self._shared.control or self._sender.lanes.wants_to_write):
            return b""
        out: list[bytes] = []
        self._sender.lanes.write(out)
        if out:
            self._said = self._shared.clock()
        return b"".join(out)

    def next_timer(self) -> float | None:
        """When `handle_timer` is due; at once, while there is content that could be written, or news of what
        was."""
        if self._sender.lanes.ready or self._shared.events:
            return None if self._over else _AT_ONCE
        if self._over:
            return None
        due = self._sender.next_timer()
        for other in (self._receiver.next_timer(), self._head_due, self._chunk_due(), self._keepalive_due()):
            if other is not None and (due is None or other < due):
                due = other
        return due

    def handle_timer(self, now: float) -> None:
        """Let time pass."""
        if self._over:
            return
        unanswered = self._sender.handle_timer(now)
        self._receiver.handle_timer(now)
        if unanswered and self._heard <= now - self._timing.transaction_s:
            self._break(Broken("no-answer"))
            return
        slow = (self._head_due, self._chunk_due())
        if any(due is not None and now >= due for due in slow):
            self._break(Broken("slow"))
            return
        due = self._keepalive_due()
        if due is not None and now >= due:
            self._said = now
            self._sender.greet(next(iter(self.sessions)), keepalive=True)

    # -- sessions ----------------------------------------------------------------------------------------

    def add(self, session: Session, *, greet: bool) -> None:
        """Let a session live here that we have connected for. With `greet`, say so to the other end at once
        by a SEND without content (SES-17); the answer to that is `SessionAnswered` or `SessionFailed`."""
        if session.connection is not None:
            raise LocalProtocolError("the session has a connection")
        if self._over:
            raise LocalProtocolError("the connection is over")
        session.connection = self
        self.sessions[session] = None
        if greet:
            self._sender.greet(session)

    def remove(self, session: Session) -> None:
        """End a session: what it has sent, and what is unanswered, fails; what it began to receive is
        aborted."""
        if self.sessions.pop(session, self) is self:
            return
        session.connection = None
        self._sender.drop(session)
        self._receiver.drop(session)

    # -- messages of ours --------------------------------------------------------------------------------

    def send(
        self,
        session: Session,
        content_type: str,
        content: bytes | None,
        *,
        message_id: str = "",
        total_bytes: int | None = None,
        wants_success: bool = False,
        failure: str = "yes",
        fields: tuple[tuple[str, str], ...] = (),
        urgent: bool = False,
        token: Any = None,
    ) -> Outgoing:
        """Send a message. With `content` None it is sent in pieces: `feed` it when `ContentWanted` asks for
        more.

        Messages of one session go one after the other, unless one is `urgent`; those of several take turns.
        `failure` "yes": every chunk must be answered; "partial": only failures are; "no": nothing is.
        `fields` are other header fields (`Content-Disposition`).
        """
        if session not in self.sessions:
            raise LocalProtocolError("the session does not live on this connection")
        if failure not in REPORTS or (message_id and IDENT.fullmatch(message_id) is None):
            raise LocalProtocolError(f"{failure!r}, {message_id!r}")
        if any(
            "\r" in text or "\n" in text for text in (content_type, *(text for f in fields for text in f))
        ):
            raise LocalProtocolError("a line end in a header field")
        message = Outgoing(
            session,
            message_id or self._shared.make_id(),
            content_type,
            total_bytes=len(content) if content is not None else total_bytes,
            wants_success=wants_success,
            failure=failure,
            fields=fields,
            urgent=urgent,
            token=token,
        )
        _ = session.to_path  # now, rather than in the middle of writing
        if content is not None:
            message.put(content, last=True)
        self._sender.send(message)
        return message

    def feed(self, message: Outgoing, data: bytes, *, last: bool = False) -> None:
        """More content of a message that is sent in pieces; `last` ends it."""
        self._sender.feed(message, data, last=last)

    def abort(self, message: Outgoing) -> None:
        """Break a message off (`#`), without another word about it."""
        self._sender.abort(message)

    def hold(self, held: bool) -> None:
        """Whether the peer reads so slowly that content must wait; answers are written all the same."""
        self._sender.lanes.held = held

    @property
    def backlog_bytes(self) -> int:
        """Content that waits to be written."""
        return self._sender.lanes.backlog_bytes

    def request(self, method: str, fields: list[tuple[str, str]], token: Any) -> None:
        """Ask for something else (AUTH); `Responded` brings the answer."""
        self._sender.request(method, fields, token)

    # -- messages of theirs ------------------------------------------------------------------------------

    def accept(self, message: Incoming) -> None:
        """A message that was received is safe here: answer it."""
        self._receiver.accept(message)

    def refuse(self, message: Incoming, status: int, comment: str = "") -> None:
        """A message is not wanted (RFC 4975 section 10), whole or not."""
        self._receiver.refuse(message, status, comment)

    def report(self, message: Incoming, status: int, comment: str = "") -> None:
        """Say what became of a message that was accepted, if its sender wants to hear that: 200 when the
        person has it, or what went wrong. Raises LocalProtocolError where its session does not live here any
        more."""
        if message.session not in self.sessions:
            raise LocalProtocolError("the session is over")
        self._receiver.report(message, status, comment)

    # -- inside ------------------------------------------------------------------------------------------

    def _claim(self, uri: MsrpUri) -> Session | int:
        """The session that a request means, from now on bound to this connection; or why not."""
        session = self._find(uri)
        if session is None:
            return 481
        if isinstance(session, int):
            return session
        if session.connection is None:
            session.connection = self
            self.sessions[session] = None
            self._shared.events.append(SessionBound(session))
        return session if session.connection is self else 506

    def _on_bad(self, frame: Bad) -> None:
        if frame.head is None:
            self._break(Broken("not-msrp", frame.error.text))
        elif frame.head.is_request:
            self._receiver.bad(frame.head, frame.error)
        else:
            self._response = None
            self._receiver.bad(frame.head, BadHead("400"))

    def _break(self, why: Broken) -> None:
        self._shared.events.append(why)
        self._over = True
        for session in list(self.sessions):
            self.remove(session)

    def _chunk_due(self) -> float | None:
        return None if self._framer.between else self._heard + self._timing.chunk_s

    def _keepalive_due(self) -> float | None:
        if not self._timing.keepalive_s or not self.sessions:
            return None
        return self._said + self._timing.keepalive_s
