"""Whose turn it is to send: messages of one session one after the other, sessions side by side.

Long content goes out in turns of `turn_bytes`, in chunks that are interrupted only when somebody else wants
to write (RFC 4975 section 7.1.1), and hand-outs of `slice_bytes`, so that neither a file nor a slow peer
fills the memory. A chunk stays open between two hand-outs; what is written in between ends it first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from rialto.networks.sip.msrp.wire.events import ContentWanted
from rialto.networks.sip.msrp.wire.framing import Flag
from rialto.networks.sip.msrp.wire.heads import ByteRange
from rialto.networks.sip.msrp.wire.outgoing import SHORT_BYTES, Outgoing, Stage
from rialto.networks.sip.msrp.wire.session import Session
from rialto.networks.sip.msrp.wire.terms import Shared

_NO_LIMIT = 1 << 62


class Lane:
    """Messages that go one after the other; `ready` says whether it stands in the row of those that may
    write."""

    __slots__ = ("messages", "ready")

    def __init__(self, message: Outgoing) -> None:
        self.messages = deque([message])
        self.ready = False


class Lanes:
    """All content of ours that waits for one connection.

    `on_begun(message, transaction)` and `on_ended(message, transaction, flag)` hear of each chunk.
    """

    def __init__(
        self,
        shared: Shared,
        on_begun: Callable[[Outgoing, str], None],
        on_ended: Callable[[Outgoing, str, Flag], None],
    ) -> None:
        self.held = False
        """The peer takes no more: content waits, control does not."""
        self._shared = shared
        self._on_begun = on_begun
        self._on_ended = on_ended
        self._by_session: dict[Session, Lane] = {}
        self._of: dict[Outgoing, Lane] = {}
        self._ready: deque[Lane] = deque()  # lanes whose first message has something to send
        self._open: Outgoing | None = None  # the message whose chunk has begun, and not ended
        self._transaction = ""
        self._mark = b""  # what would end the open chunk, and must not be in it
        self._tail = b""  # the last bytes of its content, which may be the beginning of the mark
        self._in_chunk = 0
        self._room = 0  # how much more the open chunk may have
        self._promised = 0  # how long it is, where its Byte-Range says so

    @property
    def ready(self) -> bool:
        """Whether there is content that could be written now."""
        return bool(self._ready) and not self.held

    @property
    def wants_to_write(self) -> bool:
        """Whether there is anything to write but control: content, or the end of a chunk that was given
        up."""
        return self.ready or (self._open is not None and self._open.over)

    @property
    def backlog_bytes(self) -> int:
        """Content that is here and not written."""
        return sum(message.buffered for message in self._of)

    def is_open(self, message: Outgoing) -> bool:
        """Whether a chunk of it has begun, and not ended."""
        return self._open is message

    def add(self, message: Outgoing) -> None:
        """Put a message at the end of its session's lane; an urgent one in a lane of its own."""
        lane = None if message.urgent else self._by_session.get(message.session)
        if lane is not None:
            lane.messages.append(message)
            self._of[message] = lane
            return
        lane = self._of[message] = Lane(message)
        if not message.urgent:
            self._by_session[message.session] = lane
        self._arrange(lane)

    def fed(self, message: Outgoing) -> None:
        """More of its content has come, or its end is known."""
        lane = self._of.get(message)
        if lane is not None and lane.messages[0] is message and not lane.ready:
            self._arrange(lane)

    def remove(self, message: Outgoing) -> None:
        """It will send nothing more; if its chunk is open, that will end as an abortion."""
        message.drop()
        lane = self._of.pop(message, None)
        if lane is None:
            return
        first = lane.messages[0] is message
        lane.messages.remove(message)
        if first:
            if lane.ready:
                self._ready.remove(lane)
            self._go_on(lane, message)

    def write(self, out: list[bytes]) -> None:
        """Append what is to be written now."""
        control = self._shared.control
        if self._open is not None and self._open.over:
            self._end(out, Flag.ABORTED)
        if control:
            self._interrupt(out)
            out.extend(control)
            control.clear()
        budget = 0 if self.held else self._shared.limits.slice_bytes
        while budget > 0 and self._ready:
            budget -= self._turn(out, min(budget, self._shared.limits.turn_bytes))

    # -- one turn ----------------------------------------------------------------------------------------

    def _turn(self, out: list[bytes], max_bytes: int) -> int:
        """Let the first lane write; how much it wrote."""
        lane = self._ready[0]
        message = lane.messages[0]
        if self._open is not message:
            self._interrupt(out)
            self._begin(out, message)
        written = 0
        while message.buffered and self._open is message and written < max(max_bytes, self._promised):
            written += self._content(out, message, max(max_bytes, self._promised) - written)
        if message.done:
            if self._open is not message:  # its chunk had to end with its last byte
                self._begin(out, message)
            self._complete(out, message)
        elif not message.buffered:
            self._ready.popleft()
            lane.ready = False
            self._want(message)
        else:
            self._ready.rotate(-1)
        return max(written, 1)

    def _complete(self, out: list[bytes], message: Outgoing) -> None:
        """Its last byte is written."""
        lane = self._of.pop(message)
        lane.messages.popleft()
        if lane.ready:
            self._ready.remove(lane)
        self._end(out, Flag.LAST)
        self._go_on(lane, message)

    def _go_on(self, lane: Lane, behind: Outgoing) -> None:
        """The first message of a lane, which is no longer in the row, has gone."""
        lane.ready = False
        if lane.messages:
            self._arrange(lane)
        elif not behind.urgent:
            del self._by_session[behind.session]

    def _arrange(self, lane: Lane) -> None:
        """Give a lane its place in the row, if its first message has something to say."""
        message = lane.messages[0]
        if message.buffered or message.whole:
            lane.ready = True
            self._ready.append(lane)
        else:
            self._want(message)

    def _want(self, message: Outgoing) -> None:
        if not message.asked:
            message.asked = True
            self._shared.events.append(ContentWanted(message))

    # -- chunks ------------------------------------------------------------------------------------------

    def _begin(self, out: list[bytes], message: Outgoing) -> None:
        """Begin a chunk with the next byte of a message."""
        transaction = self._shared.make_id()
        start = message.sent_bytes + 1
        total = message.total_bytes
        if message.whole:
            total = message.sent_bytes + message.buffered
        limit = message.session.chunk_bytes
        self._room = limit or message.buffered + _NO_LIMIT
        self._promised = 0
        end: int | None = None
        length = min(message.buffered, self._room)
        if length <= SHORT_BYTES and (message.whole or length == limit):
            self._promised = length  # it will not be interrupted
            end = message.sent_bytes + length
        fields = "".join(f"{name}: {value}\r\n" for name, value in message.fields)
        session = message.session
        success = "Success-Report: yes\r\n" if message.wants_success else ""
        failure = f"Failure-Report: {message.failure}\r\n" if message.failure != "yes" else ""
        out.append(
            f"MSRP {transaction} SEND\r\nTo-Path: {session.to_path}\r\nFrom-Path: {session.local_text}\r\n"
            f"Message-ID: {message.message_id}\r\nByte-Range: {ByteRange(start, end, total)}\r\n"
            f"{success}{failure}{fields}Content-Type: {message.content_type}\r\n\r\n".encode()
        )
        message.stage = Stage.SENDING
        self._open = message
        self._transaction = transaction
        self._mark = b"-------" + transaction.encode()
        self._tail = b""
        self._in_chunk = 0
        self._on_begun(message, transaction)

    def _content(self, out: list[bytes], message: Outgoing, max_bytes: int) -> int:
        """Write the next piece of the open chunk; how much that was."""
        data = message.take(min(max_bytes, self._room))
        window = self._tail + data
        at = window.find(self._mark)
        if at >= 0:  # RFC 4975 section 7.1: the end line must not be in the content
            cut = max(0, at + 1 - len(self._tail))
            if cut < len(data):
                message.put_back(data[cut:])
                data = data[:cut]
            out.append(data)
            self._end(out, Flag.MORE)
            return len(data)
        out.append(data)
        self._in_chunk += len(data)
        self._tail = window[1 - len(self._mark) :]
        self._room -= len(data)
        if self._room == 0 and not message.done:
            self._end(out, Flag.MORE)
        return len(data)

    def _interrupt(self, out: list[bytes]) -> None:
        """End the open chunk, because somebody else is to write; not before it is worth its head."""
        message = self._open
        if message is None:
            return
        if message.over:
            self._end(out, Flag.ABORTED)
            return
        while self._open is message and message.buffered and self._in_chunk < SHORT_BYTES:
            self._content(out, message, SHORT_BYTES - self._in_chunk)
        if self._open is not message:
            return
        if message.done:
            self._complete(out, message)
        else:
            self._end(out, Flag.MORE)

    def _end(self, out: list[bytes], flag: Flag) -> None:
        message, transaction = self._open, self._transaction
        assert message is not None
        self._open = None
        out.append(f"\r\n-------{transaction}{flag.value}\r\n".encode())
        self._on_ended(message, transaction, flag)
