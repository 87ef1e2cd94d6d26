"""Messages out of a TCP or TLS stream (RFC 3261 section 18.3), and the keep-alives between them (RFC 5626).

A message ends where its Content-Length says. If that is missing, malformed or there twice, nobody can know
where the next message starts, so the stream is over (RFC 4475 sections 3.1.2.3, 3.3.9); any other fault
costs only the message that has it, for a trunk carries the messages of many users.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from rialto.networks.sip.wire.errors import BadMessage
from rialto.networks.sip.wire.message import Request, Response
from rialto.networks.sip.wire.parse import DEFAULT_LIMITS, Limits, head_separator, parse_head


@dataclass(frozen=True, slots=True)
class Ping:
    """CRLF CRLF came between messages: answer it with `PONG` (RFC 5626 section 3.5.1)."""


@dataclass(frozen=True, slots=True)
class Pong:
    """A single CRLF came after `StreamFramer.ping` (RFC 5626 section 4.4.1)."""


@dataclass(frozen=True, slots=True)
class Garbled:
    """A message that cannot be used: answer `error.request` if there is one.

    `fatal`: its end cannot be known, so close the stream after the answer; the framer gives no more
    events. Otherwise the stream goes on with the next message.
    """

    error: BadMessage
    fatal: bool


FrameEvent = Request | Response | Ping | Pong | Garbled

PING: Final = b"\r\n\r\n"
PONG: Final = b"\r\n"

_CR: Final = 0x0D
_LF: Final = 0x0A


class StreamFramer:
    """Cuts one direction of a stream into messages."""

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._buffer = bytearray()
        self._searched = 0  # no head ends before here
        self._pending: Request | Response | None = None  # its head has come, its body has not
        self._awaited = 0  # bytes of that body
        self._skipped = 0  # bytes still to come of a body that nobody wants
        self._pongs_due = 0
        self._over = False

    def receive_data(self, data: bytes) -> None:
        """Take bytes as they came; b"" says that the peer closed its side."""
        if self._skipped:
            unwanted = min(self._skipped, len(data))
            self._skipped -= unwanted
            data = data[unwanted:]
        if not self._over:
            self._buffer += data

    def next_event(self) -> FrameEvent | None:
        """The next whole thing, oldest first; None when there is none yet.

        A Request or Response is parsed but not validated.
        """
        if self._pending is not None:
            return self._body()
        if self._buffer and self._buffer[0] in (_CR, _LF):
            event = self._keep_alive()
            if event is not None:
                return event
        if not self._buffer or self._buffer[0] in (_CR, _LF):
            return None
        return self._head()

    def ping(self) -> bytes:
        """What to write to ask for a `Pong`: from now on a single CRLF is one.

        Without this, a single CRLF between messages is the tolerated noise of RFC 3261 section 7.5.
        """
        self._pongs_due += 1
        return PING

    @property
    def mid_message(self) -> bool:
        """Whether the stream stands inside a message: what a timeout against slow senders looks at."""
        return self._pending is not None or self._skipped > 0 or bool(self._buffer.strip(b"\r\n"))

    def _keep_alive(self) -> Ping | Pong | None:
        """What the line ends at the start of the buffer mean; None when nothing, or nothing yet."""
        buffer = self._buffer
        while buffer and buffer[0] in (_CR, _LF):
            if buffer[0] == _LF or (len(buffer) > 1 and buffer[1] != _LF):
                del buffer[:1]  # noise
            elif len(buffer) == 1:
                return None
            elif self._pongs_due:
                self._pongs_due -= 1
                del buffer[:2]
                return Pong()
            elif buffer.startswith(PING):
                del buffer[:4]
                return Ping()
            elif PING.startswith(buffer):
                return None
            else:
                del buffer[:2]
        return None

    def _head(self) -> FrameEvent | None:
        separator = head_separator(self._buffer)
        end = -1 if separator is None else self._buffer.find(separator, max(0, self._searched - 3))
        limit = self._limits.max_head_bytes
        if end > limit or (end < 0 and len(self._buffer) > limit + len(PING)):
            return self._close(parse_head(bytes(self._buffer[: limit + 1]), self._limits).error)
        if separator is None or end < 0:
            self._searched = len(self._buffer)
            return None
        head = parse_head(bytes(self._buffer[:end]), self._limits)
        del self._buffer[: end + len(separator)]
        self._searched = 0
        message = head.message
        if message is None or not head.framed:
            return self._close(head.error)
        try:
            length = message.content_length
        except BadMessage as error:
            return self._close(head.error or error)
        if length is None:
            # RFC 3261 section 20.14: mandatory on streams.
            return self._close(head.error or BadMessage(400, "Missing Content-Length", message))
        if head.error is not None:
            return self._skip(head.error, length)
        if length > self._limits.max_body_bytes:
            return self._skip(BadMessage(413, "Request Entity Too Large", message), length)
        self._pending = message
        self._awaited = length
        return self._body()

    def _body(self) -> Request | Response | None:
        message = self._pending
        if message is None or len(self._buffer) < self._awaited:
            return None
        message.body = bytes(self._buffer[: self._awaited])
        del self._buffer[: self._awaited]
        self._pending = None
        return message

    def _skip(self, error: BadMessage, length: int) -> Garbled:
        """Go on behind the body of a message that is refused, without keeping it."""
        here = min(length, len(self._buffer))
        del self._buffer[:here]
        self._skipped = length - here
        return Garbled(error, fatal=False)

    def _close(self, error: BadMessage | None) -> Garbled:
        self._over = True
        self._buffer.clear()
        return Garbled(error or BadMessage(400, "Malformed Start Line"), fatal=True)
