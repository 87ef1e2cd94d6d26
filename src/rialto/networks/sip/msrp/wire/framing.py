"""Requests and responses out of a stream (RFC 4975 section 7.1): heads, content in pieces, ends.

Content ends at a line that repeats the transaction id of its own start line, and has no other sign of its
length. Nothing is searched twice: what can't be the beginning of that line is handed on, so that only as many
bytes are held back as the line has.

    START ──start line──► FIELDS ──blank line──► CONTENT ──end line──► START
                             └──────────end line──────────────────────►┘
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from rialto.networks.sip.msrp.wire.heads import BadHead, Head, parse_fields, parse_start

_START: Final = b"MSRP "
_LINE: Final = b"\r\n"
_FLAGS: Final = frozenset(b"+$#")


class Flag(enum.Enum):
    """How a request ends."""

    MORE = "+"
    LAST = "$"
    ABORTED = "#"


_FLAG_OF: Final = {ord(flag.value): flag for flag in Flag}


@dataclass(frozen=True, slots=True)
class End:
    """The request or response that was begun is over."""

    flag: Flag


@dataclass(frozen=True, slots=True)
class Bad:
    """What came can't be used. With `head` (its start line alone) the stream goes on behind its `End`;
    without it, nothing is known of what follows, and nothing more is given."""

    error: BadHead
    head: Head | None


Frame = Head | bytes | End | Bad


class _State(enum.Enum):
    START = "start"
    FIELDS = "fields"
    CONTENT = "content"
    ENDING = "ending"
    OVER = "over"


class Framer:
    """Cuts one direction of a stream."""

    def __init__(self, *, max_head_bytes: int = 16384, max_line_bytes: int = 1024) -> None:
        self._max_head_bytes = max_head_bytes
        self._max_line_bytes = max_line_bytes
        self._buffer = bytearray()
        self._state = _State.START
        self._searched = 0  # nothing that we look for begins before here
        self._head = Head("")
        self._end = b""  # the line that ends this request, without its flag
        self._fields_at = 0
        self._lead = 0  # bytes in front of the content: the line end of the blank line
        self._ended: End | None = None

    @property
    def in_head(self) -> bool:
        """Whether a head has begun, and not ended."""
        return self._state is _State.FIELDS or (self._state is _State.START and bool(self._buffer))

    @property
    def between(self) -> bool:
        """Whether nothing has begun."""
        return self._state in (_State.START, _State.OVER) and not self._buffer

    def receive_data(self, data: bytes) -> None:
        """Take bytes as they came."""
        if self._state is not _State.OVER:
            self._buffer += data

    def next_event(self) -> Frame | None:
        """A head, a piece of its content, or its end; None when nothing more can be said yet."""
        state = self._state
        if state is _State.CONTENT:
            return self._content()
        if state is _State.START:
            return self._start()
        if state is _State.FIELDS:
            return self._fields()
        if state is _State.ENDING:
            ended, self._ended = self._ended, None
            self._state = _State.START
            return ended
        return None

    def _start(self) -> Frame | None:
        buffer = self._buffer
        while buffer[:2] == _LINE:  # keep-alives of those who know SIP's
            del buffer[:2]
        if buffer == b"\r" or not buffer:
            return None
        if not buffer.startswith(_START) and not _START.startswith(buffer):
            return self._break(BadHead("400", "this is not MSRP"))
        at = buffer.find(_LINE, self._searched)
        if at < 0 or at > self._max_line_bytes:
            if len(buffer) > self._max_line_bytes:
                return self._break(BadHead("400", "start line"))
            self._searched = max(0, len(buffer) - 1)
            return None
        try:
            self._head = parse_start(bytes(buffer[:at]))
        except BadHead as error:
            return self._break(error)
        self._end = b"\r\n-------" + self._head.transaction.encode()
        self._state = _State.FIELDS
        self._fields_at = self._searched = at
        return self._fields()

    def _fields(self) -> Frame | None:
        buffer, end = self._buffer, self._end
        ends_at = buffer.find(end, self._searched)
        blank_at = buffer.find(b"\r\n\r\n", self._searched)
        if blank_at >= 0 and (ends_at < 0 or blank_at < ends_at):
            if blank_at > self._max_head_bytes:
                return self._break(BadHead("400", "head too long"))
            frame = self._finished_head(blank_at)
            del buffer[: blank_at + 2]
            self._lead = 2
            self._searched = 0
            self._state = _State.CONTENT
            return frame
        if ends_at >= 0:
            behind = ends_at + len(end)
            if len(buffer) < behind + 3:
                return None
            flag = _FLAG_OF.get(buffer[behind])
            if flag is None or buffer[behind + 1 : behind + 3] != _LINE or ends_at > self._max_head_bytes:
                return self._break(BadHead("400", "end line"))
            frame = self._finished_head(ends_at)
            del buffer[: behind + 3]
            self._searched = 0
            self._ended = End(flag)
            self._state = _State.ENDING
            return frame
        if len(buffer) > self._max_head_bytes:
            return self._break(BadHead("400", "head too long"))
        self._searched = max(self._fields_at, len(buffer) - len(end))
        return None

    def _finished_head(self, at: int) -> Head | Bad:
        try:
            self._head.fields = parse_fields(bytes(self._buffer[self._fields_at + 2 : at]))
        except BadHead as error:
            return Bad(error, self._head)
        return self._head

    def _content(self) -> Frame | None:
        buffer, end, lead = self._buffer, self._end, self._lead
        at = buffer.find(end, self._searched)
        while at >= 0:
            behind = at + len(end)
            tail = buffer[behind : behind + 3]
            if len(tail) < 3:
                # Perhaps it is the end line: all in front of it is content.
                return self._hand_on(at)
            if tail[0] in _FLAGS and tail[1:] == _LINE:
                if at > lead:
                    return self._hand_on(at)
                # RFC 4975 section 9: a line end in front, which is missing where somebody has nothing to say.
                del buffer[: behind + 3]
                self._searched = 0
                self._state = _State.START
                return End(_FLAG_OF[tail[0]])
            at = buffer.find(end, at + 1)
        return self._hand_on(len(buffer) - len(end) + 1)

    def _hand_on(self, until: int) -> bytes | None:
        """Content up to there; what stays will be looked at again."""
        lead = self._lead
        self._searched = 0
        if until <= lead:
            return None
        piece = bytes(self._buffer[lead:until])
        del self._buffer[:until]
        self._lead = 0
        return piece

    def _break(self, error: BadHead) -> Bad:
        self._state = _State.OVER
        self._buffer.clear()
        return Bad(error, None)
