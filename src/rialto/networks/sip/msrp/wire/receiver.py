"""The receiving half: requests of theirs, whose they are, and how they are answered.

Who may speak is decided by To-Path alone: it must be a session of ours that lives on this connection, or on
none yet (RFC 4975 sections 5.4, 7.3; SES-22). What is refused is refused as soon as that is known, in the
middle of a chunk if need be, so that its sender can stop; the rest of the chunk is thrown away.

A chunk that leaves its message incomplete is answered at its end. The one that makes it complete is answered
when the owner has decided: then a 200 means that the message is safe.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from rialto.model.errors import LocalProtocolError
from rialto.networks.sip.msrp.wire.assembly import Assembly, Inconsistent, TooMuch
from rialto.networks.sip.msrp.wire.events import (
    ContentReceived,
    DuplicateReceived,
    Fault,
    MessageAborted,
    MessageBegan,
    MessageReceived,
)
from rialto.networks.sip.msrp.wire.framing import Flag
from rialto.networks.sip.msrp.wire.heads import WHOLE, BadHead, Head, clean, write_request, write_response
from rialto.networks.sip.msrp.wire.incoming import REPORTS, Incoming
from rialto.networks.sip.msrp.wire.session import Session
from rialto.networks.sip.msrp.wire.terms import Shared
from rialto.networks.sip.msrp.wire.uri import MsrpUri

MAX_BODY_BYTES: Final = 10240
"""Of requests other than SEND (RFC 4975 section 7.1)."""
_MAX_REFUSED: Final = 64
_YES_NO: Final = frozenset({"yes", "no"})

_CODES: Final = {
    400: "bad-request",
    403: "forbidden",
    413: "too-large",
    415: "bad-type",
    481: "no-session",
    501: "bad-method",
    506: "session-in-use",
}


class _Chunk:
    """The request that is being received."""

    __slots__ = ("discard", "failure", "from_text", "message", "position", "start", "to_text", "transaction")

    def __init__(self, transaction: str) -> None:
        self.transaction = transaction
        self.to_text = ""  # what the answer's To-Path says; empty where nobody can be answered
        self.from_text = ""
        self.failure = "yes"
        self.message: Incoming | None = None
        self.start = 0
        self.position = 0
        self.discard = False  # answered already, or not to be answered: its content is thrown away


class Receiver:
    """What the other end says on one connection, other than answers.

    `claim` finds the session that a To-Path means, and binds it to this connection; where it may not, it says
    by which status that is refused. `on_report` gets the REPORTs.
    """

    def __init__(
        self,
        shared: Shared,
        claim: Callable[[MsrpUri], Session | int],
        on_report: Callable[[Session, Head], None],
    ) -> None:
        self._shared = shared
        self._claim = claim
        self._on_report = on_report
        self._chunk: _Chunk | None = None
        self._incoming: OrderedDict[tuple[Session, str], Incoming] = OrderedDict()  # longest silent first
        self._refused: OrderedDict[tuple[Session, str], int] = OrderedDict()

    # -- heard -------------------------------------------------------------------------------------------

    def begun(self, head: Head) -> None:
        """The head of a request has come."""
        chunk = self._chunk = _Chunk(head.transaction)
        try:
            self._consider(head, chunk)
        except BadHead as error:
            self._refuse_chunk(chunk, int(error.condition), error.text)

    def bad(self, head: Head, error: BadHead) -> None:
        """A request has come whose fields can't be read: there is nobody to answer."""
        chunk = self._chunk = _Chunk(head.transaction)
        self._refuse_chunk(chunk, int(error.condition), error.text)

    def content(self, data: bytes) -> None:
        """A piece of its content has come."""
        chunk = self._chunk
        if chunk is None or chunk.discard:
            return
        message = chunk.message
        if message is None:
            self._refuse_chunk(chunk, 400, "content without a type")
            return
        at = chunk.position
        chunk.position += len(data)
        limit = message.session.max_bytes
        if limit is not None and chunk.position > limit:
            self._give_up(message, chunk, 413, "too-large")
            return
        try:
            ready = message.assembly.add(at, data)
        except Inconsistent:
            self._give_up(message, chunk, 400, "inconsistent")
        except TooMuch:
            self._give_up(message, chunk, 413, "too-large")
        else:
            self._shared.events.extend([ContentReceived(message, piece) for piece in ready])

    def ended(self, flag: Flag) -> None:
        """The request is over."""
        chunk, self._chunk = self._chunk, None
        if chunk is None or chunk.discard:
            return
        message = chunk.message
        if message is None or message.refusal is not None:
            self._answer(chunk, 200)
            return
        if flag is Flag.ABORTED:
            self._forget(message, "sender")
            self._answer(chunk, 200)
            return
        message.moved = self._shared.clock()
        if flag is Flag.LAST:
            try:
                message.assembly.finish(chunk.position, empty=chunk.position == chunk.start)
            except Inconsistent:
                self._give_up(message, chunk, 400, "inconsistent")
                return
        if not message.assembly.complete:
            self._answer(chunk, 200)
            return
        del self._incoming[message.session, message.message_id]
        message.answer_due = (chunk.transaction, chunk.to_text)
        self._shared.events.append(MessageReceived(message))

    def _consider(self, head: Head, chunk: _Chunk) -> None:
        """Who asks for what. Raises BadHead with the status that it is refused with."""
        send = head.method == "SEND"
        head.path("from-path")
        back = head.one("from-path") or ""
        # RFC 4975 section 7.2: to the previous hop for SEND, the whole way back for others.
        chunk.to_text = back.split()[0] if send else back
        chunk.from_text = head.one("to-path") or ""
        if head.method == "REPORT":
            chunk.to_text = ""  # RFC 4975 section 7.1.2: never answered
        elif send:
            chunk.failure = head.choice("failure-report", REPORTS, "yes")
        to = head.path("to-path")
        if len(to) != 1:
            raise BadHead("481", "")
        session = self._claim(to[0])
        if isinstance(session, int):
            raise BadHead(str(session), "")
        chunk.from_text = session.local_text
        if send:
            self._send(head, chunk, session, back)
            return
        chunk.discard = True
        if head.method == "REPORT":
            self._on_report(session, head)
        else:
            raise BadHead("501", "")  # RFC 4975 section 10.9

    def _send(self, head: Head, chunk: _Chunk, session: Session, reply_path: str) -> None:
        message_id = head.message_id()
        content_type = head.one("content-type")
        key = (session, message_id)
        message = self._incoming.get(key)
        if content_type is None and message is None:
            return  # a SEND without content: a greeting, or a sign of life
        span = head.byte_range() or WHOLE
        if (status := self._refused.get(key)) is not None:
            raise BadHead(str(status), "")
        limit = session.max_bytes
        if limit is not None and span.total is not None and span.total > limit:
            if message is not None:
                self._forget(message, "too-large")
            self._remember_refusal(key, 413)
            raise BadHead("413", f"at most {limit} bytes")  # SES-15
        wants_success = head.choice("success-report", _YES_NO, "no") == "yes"
        if message is None:
            assert content_type is not None
            message = Incoming(
                session,
                message_id,
                content_type=content_type,
                disposition=head.one("content-disposition") or "",
                wants_success=wants_success,
                failure=chunk.failure,
                reply_path=reply_path,
                assembly=Assembly(max_held_bytes=self._shared.limits.max_held_bytes),
            )
            if message_id in session.seen:
                # RFC 4975 section 5.4: sent again, because our answer was lost. It is answered all the same.
                message.settled = True
                message.refusal = (200, "")
                chunk.message = message
                self._shared.events.append(DuplicateReceived(message))
                return
            if not session.accepts(message.media_type):
                raise BadHead("415", "")  # SES-19
            if self._too_many(session):
                raise BadHead("413", "too many messages at once")
            self._incoming[key] = message
            self._shared.events.append(MessageBegan(message))
        else:
            self._incoming.move_to_end(key)
        message.moved = self._shared.clock()
        if span.total is not None:
            message.total_bytes = span.total
        chunk.message = message
        chunk.start = chunk.position = span.start - 1

    def _too_many(self, session: Session) -> bool:
        limits = self._shared.limits
        if len(self._incoming) < limits.max_incoming:
            return False
        ours = sum(1 for whose, _ in self._incoming if whose is session)
        return ours >= limits.max_incoming or len(self._incoming) >= limits.max_all_incoming

    # -- decided -----------------------------------------------------------------------------------------

    def accept(self, message: Incoming) -> None:
        """The message is safe: its last chunk is answered with 200."""
        if message.settled or message.answer_due is None:
            raise LocalProtocolError("nobody waits for a decision on this message")
        message.settled = True
        message.session.seen.add(message.message_id)
        if message.failure == "yes":
            transaction, to_text = message.answer_due
            self._write_answer(transaction, to_text, message.session.local_text, 200, "")

    def refuse(self, message: Incoming, status: int, comment: str) -> None:
        """The message is not wanted, or can't be kept: its sender is told now, or when its next chunk
        comes."""
        if message.settled:
            raise LocalProtocolError("this message was decided on")
        message.settled = True
        message.refusal = (status, comment)
        key = (message.session, message.message_id)
        if message.answer_due is not None:
            if message.failure != "no":
                transaction, to_text = message.answer_due
                self._write_answer(transaction, to_text, message.session.local_text, status, comment)
            return
        self._incoming.pop(key, None)
        self._remember_refusal(key, status)
        chunk = self._chunk
        if chunk is not None and chunk.message is message:
            self._answer(chunk, status, comment)
            chunk.discard = True

    def report(self, message: Incoming, status: int, comment: str) -> None:
        """Say what became of a message that was accepted (RFC 4975 sections 7.1.3, 7.1.4)."""
        if (status == 200 and not message.wants_success) or (status != 200 and message.failure == "no"):
            return  # MUST NOT
        length = message.received_bytes
        words = clean(comment)
        self._shared.control.append(
            write_request(
                self._shared.make_id(),
                "REPORT",
                [
                    ("To-Path", message.reply_path),
                    ("From-Path", message.session.local_text),
                    ("Message-ID", message.message_id),
                    ("Byte-Range", f"1-{length}/{length}"),
                    ("Status", f"000 {status:03d}{' ' + words if words else ''}"),
                ],
            )
        )

    def drop(self, session: Session) -> None:
        """The session ended: what has not arrived whole never will."""
        for message in [message for message in self._incoming.values() if message.session is session]:
            self._forget(message, "gone")
        for key in [key for key in self._refused if key[0] is session]:
            del self._refused[key]

    # -- time --------------------------------------------------------------------------------------------

    def next_timer(self) -> float | None:
        """When a message will have been silent for too long."""
        for message in self._incoming.values():
            return message.moved + self._shared.timing.message_s
        return None

    def handle_timer(self, now: float) -> None:
        """Wait no longer for messages that do not go on."""
        while (due := self.next_timer()) is not None and due <= now:
            message = next(iter(self._incoming.values()))
            if self._chunk is not None and self._chunk.message is message:
                message.moved = now  # it is going on, slowly
                self._incoming.move_to_end((message.session, message.message_id))
                continue
            self._remember_refusal((message.session, message.message_id), 413)
            self._forget(message, "stalled")

    # -- answers -----------------------------------------------------------------------------------------

    def _give_up(self, message: Incoming, chunk: _Chunk, status: int, why: str) -> None:
        self._forget(message, why)
        self._remember_refusal((message.session, message.message_id), status)
        self._refuse_chunk(chunk, status, "")

    def _forget(self, message: Incoming, why: str) -> None:
        """It will never be whole."""
        if self._incoming.pop((message.session, message.message_id), None) is not None:
            message.settled = True
            self._shared.events.append(MessageAborted(message, why))

    def _remember_refusal(self, key: tuple[Session, str], status: int) -> None:
        self._refused[key] = status
        if len(self._refused) > _MAX_REFUSED:
            self._refused.popitem(last=False)

    def _refuse_chunk(self, chunk: _Chunk, status: int, text: str) -> None:
        self._shared.events.append(Fault(_CODES.get(status, "bad-request")))
        self._answer(chunk, status, text)
        chunk.discard = True

    def _answer(self, chunk: _Chunk, status: int, comment: str = "") -> None:
        """Answer a request, as far as its sender wants to hear of it (RFC 4975 sections 7.1.4, 7.2)."""
        if not chunk.to_text or chunk.failure == "no" or (status == 200 and chunk.failure == "partial"):
            return
        self._write_answer(chunk.transaction, chunk.to_text, chunk.from_text, status, comment)

    def _write_answer(self, name: str, to_text: str, from_text: str, status: int, comment: str) -> None:
        fields = [("To-Path", to_text), ("From-Path", from_text)]
        self._shared.control.append(write_response(name, status, comment, fields))
