"""The sending half: our messages, their transactions, and the reports on them."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Any, Final

from rialto.model.errors import LocalProtocolError
from rialto.networks.sip.msrp.wire.events import (
    Fault,
    MessageConfirmed,
    MessageFailed,
    MessageTaken,
    Responded,
    SessionAnswered,
    SessionFailed,
)
from rialto.networks.sip.msrp.wire.framing import Flag
from rialto.networks.sip.msrp.wire.heads import ByteRange, Head, write_request
from rialto.networks.sip.msrp.wire.lanes import Lanes
from rialto.networks.sip.msrp.wire.outgoing import Outgoing, Stage
from rialto.networks.sip.msrp.wire.session import Session
from rialto.networks.sip.msrp.wire.terms import Shared

_SESSION_OVER: Final = frozenset({481, 506})
"""Answers that speak of the session, whatever was asked (RFC 4975 sections 10.8, 10.10)."""
_NOT_GREETED: Final = frozenset({403, 408, 481, 506})
"""Answers to a SEND without content that mean no. QUIRK(anybody): others are from those who miss the content,
and know the session."""
_NOT_RECEIVED: Final = frozenset({408, 481, 506})
"""Reports that a part of a message was lost: the session has failed (RFC 4975 section 7.3.2). Others speak of
the message alone: too large, of a kind that isn't wanted, forbidden."""


class Transaction:
    """A request of ours that may be answered: a chunk of `message`, a sign of life, or anything else of
    `token`'s owner."""

    __slots__ = ("greeting", "keepalive", "message", "session", "token")

    def __init__(
        self,
        *,
        message: Outgoing | None = None,
        session: Session | None = None,
        token: Any = None,
        greeting: bool = False,
        keepalive: bool = False,
    ) -> None:
        self.message = message
        self.session = session
        self.token = token
        self.greeting = greeting
        self.keepalive = keepalive


class Sender:
    """What we say on one connection, other than answers."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self.lanes = Lanes(shared, self._chunk_begun, self._chunk_ended)
        self._transactions: dict[str, Transaction] = {}
        self._dues: deque[tuple[float, str]] = deque()  # all wait equally long: in order
        self._messages: OrderedDict[tuple[Session, str], Outgoing] = OrderedDict()

    # -- asked for ---------------------------------------------------------------------------------------

    def send(self, message: Outgoing) -> None:
        """Take a message on."""
        key = (message.session, message.message_id)
        if key in self._messages:
            raise LocalProtocolError("two messages with one Message-ID")
        self._messages[key] = message
        if len(self._messages) > self._shared.limits.max_sent:
            self._forget()
        self.lanes.add(message)

    def feed(self, message: Outgoing, data: bytes, *, last: bool) -> None:
        """More content of a message that is sent in pieces."""
        if message.whole:
            if message.over:  # it failed while its content was being read
                return
            raise LocalProtocolError("content behind the end of a message")
        known = message.known_bytes + len(data)
        total = message.total_bytes
        if total is not None and (known > total or (last and known != total)):
            raise LocalProtocolError(f"{known} bytes for a message of {total}")
        message.put(data, last=last or known == total)
        self.lanes.fed(message)

    def abort(self, message: Outgoing) -> None:
        """Break a message off; nothing more is heard of it."""
        if message.over:
            return
        between = message.stage is Stage.SENDING and not self.lanes.is_open(message)
        self._end(message, Stage.FAILED)
        if between:
            self._shared.control.append(self._abortion(message))

    def greet(self, session: Session, *, keepalive: bool = False) -> None:
        """A SEND without content: it binds the session to the connection, or is a sign of life (SES-17)."""
        name = self._shared.make_id()
        fields = [
            ("To-Path", session.to_path),
            ("From-Path", session.local_text),
            ("Message-ID", name),
            ("Byte-Range", "1-0/0"),
        ]
        self._request(name, "SEND", fields, Transaction(session=session, greeting=True, keepalive=keepalive))

    def request(self, method: str, fields: list[tuple[str, str]], token: Any) -> None:
        """Any other request without content."""
        self._request(self._shared.make_id(), method, fields, Transaction(token=token))

    def _request(
        self, name: str, method: str, fields: list[tuple[str, str]], transaction: Transaction
    ) -> None:
        self._shared.control.append(write_request(name, method, fields))
        self._transactions[name] = transaction
        self._await(name)

    def drop(self, session: Session) -> None:
        """The session ended here: what it had to send is lost."""
        for message in [m for (whose, _), m in self._messages.items() if whose is session]:
            if message.stage in (Stage.QUEUED, Stage.SENDING, Stage.SENT):
                certain = message.sent_bytes == 0 and message.stage is Stage.QUEUED
                self._fail(message, 0, "the session ended", certain=certain)
            del self._messages[session, message.message_id]
        for name in [n for n, t in self._transactions.items() if t.session is session and t.message is None]:
            del self._transactions[name]

    # -- heard -------------------------------------------------------------------------------------------

    def responded(self, head: Head) -> None:
        """A response came."""
        transaction = self._transactions.pop(head.transaction, None)
        events = self._shared.events
        if transaction is None:
            events.append(Fault("stray-response"))
            return
        message, session = transaction.message, transaction.session
        if message is not None:
            if head.status == 200:
                self._answered(message)
            else:
                self._fail(message, head.status, head.comment, certain=head.status != 408)
        elif not transaction.greeting:
            events.append(Responded(transaction.token, head))
        elif session is not None and head.status not in _NOT_GREETED and not transaction.keepalive:
            events.append(SessionAnswered(session))
        over = _NOT_GREETED if transaction.greeting else _SESSION_OVER
        if session is not None and head.status in over:
            events.append(SessionFailed(session, head.status))

    def reported(self, session: Session, head: Head) -> None:
        """A REPORT came, on one of our sessions. Raises BadHead."""
        namespace, status, text = head.reported()
        span = head.byte_range()
        message = self._messages.get((session, head.message_id()))
        if message is None or namespace != "000":
            self._shared.events.append(Fault("stray-report"))  # RFC 4975 section 7.1.2: silently ignored
            return
        if status != 200:
            self._fail(message, status, text, certain=status != 408)
            if status in _NOT_RECEIVED:
                self._shared.events.append(SessionFailed(session, status))
        elif message.stage not in (Stage.FAILED, Stage.CONFIRMED) and message.wants_success:
            start, end = _span(span, message.sent_bytes)
            if message.confirm(start, end):
                self._end(message, Stage.CONFIRMED)
                self._shared.events.append(MessageConfirmed(message))

    # -- time --------------------------------------------------------------------------------------------

    def next_timer(self) -> float | None:
        """When something must have been answered."""
        dues = self._dues
        while dues and dues[0][1] not in self._transactions:
            dues.popleft()
        return dues[0][0] if dues else None

    def handle_timer(self, now: float) -> bool:
        """Give up on what was not answered; whether there was any that should have been."""
        unanswered = False
        while (due := self.next_timer()) is not None and due <= now:
            _, name = self._dues.popleft()
            transaction = self._transactions.pop(name)
            message = transaction.message
            # RFC 4975 section 7.1.1: with `partial`, silence is good news.
            unanswered = unanswered or message is None or message.failure == "yes"
            self._unanswered(transaction)
        return unanswered

    def _unanswered(self, transaction: Transaction) -> None:
        message, session = transaction.message, transaction.session
        events = self._shared.events
        if message is not None:
            if message.failure == "yes":
                self._fail(message, 408, "no answer", certain=False)
        elif transaction.keepalive:
            pass  # whether that is the end is for the connection to say
        elif session is not None:
            events.append(SessionFailed(session, 408))
        else:
            events.append(Responded(transaction.token, None))

    # -- chunks ------------------------------------------------------------------------------------------

    def _chunk_begun(self, message: Outgoing, name: str) -> None:
        if message.failure != "no":
            self._transactions[name] = Transaction(message=message, session=message.session)
        if message.failure == "yes":
            message.answers_due += 1

    def _chunk_ended(self, message: Outgoing, name: str, flag: Flag) -> None:
        if message.failure != "no" and name in self._transactions:
            self._await(name)
        if flag is Flag.LAST:
            message.stage = Stage.SENT
            message.written = True
            self._settle(message)

    def _await(self, name: str) -> None:
        self._dues.append((self._shared.clock() + self._shared.timing.transaction_s, name))

    def _answered(self, message: Outgoing) -> None:
        message.answers_due -= 1
        self._settle(message)

    def _settle(self, message: Outgoing) -> None:
        if message.stage is Stage.SENT and message.answers_due <= 0:
            message.stage = Stage.TAKEN
            self._shared.events.append(MessageTaken(message))

    def _fail(self, message: Outgoing, status: int, text: str, *, certain: bool) -> None:
        if message.stage not in (Stage.FAILED, Stage.CONFIRMED):
            # RFC 4975 section 10.5: nothing more is sent of it, and an open chunk is interrupted (SES-16).
            self._end(message, Stage.FAILED)
            self._shared.events.append(MessageFailed(message, status, text, certain))

    def _end(self, message: Outgoing, stage: Stage) -> None:
        message.stage = stage
        self.lanes.remove(message)

    def _abortion(self, message: Outgoing) -> bytes:
        """An empty chunk that ends a message between two chunks; nobody waits for its answer."""
        name = self._shared.make_id()
        self._transactions[name] = Transaction(message=message, session=message.session)
        self._await(name)
        span = ByteRange(1, 0, message.total_bytes)  # RFC 4975 section 7.1.1: so for nothing
        fields = [
            ("To-Path", message.session.to_path),
            ("From-Path", message.session.local_text),
            ("Message-ID", message.message_id),
            ("Byte-Range", str(span)),
            ("Content-Type", message.content_type),
        ]
        request = write_request(name, "SEND", fields)
        ending = f"-------{name}$\r\n".encode()
        return request.removesuffix(ending) + b"\r\n\r\n" + ending.replace(b"$", b"#")

    def _forget(self) -> None:
        """Of messages that are over, the oldest are remembered no more; the others come up again later."""
        for _ in range(2):
            key, message = next(iter(self._messages.items()))
            if message.stage in (Stage.TAKEN, Stage.CONFIRMED, Stage.FAILED):
                del self._messages[key]
            else:
                self._messages.move_to_end(key)


def _span(span: ByteRange | None, length: int) -> tuple[int, int]:
    """What a success report covers, [start, end); all of it, where it doesn't say."""
    if span is None:
        return 0, length
    return span.start - 1, length if span.end is None else span.end
