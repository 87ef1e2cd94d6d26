"""Messages out of a TCP or TLS stream (RFC 3261 section 18.3), and the keep-alives between them (RFC 5626)."""

from __future__ import annotations

from dataclasses import dataclass

from rialto.networks.sip.wire.errors import BadMessage
from rialto.networks.sip.wire.message import Request, Response
from rialto.networks.sip.wire.parse import DEFAULT_LIMITS, Limits


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

PONG = b"\r\n"


class StreamFramer:
    """Cuts one direction of a stream into messages."""

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        raise NotImplementedError

    def receive_data(self, data: bytes) -> None:
        """Take bytes as they came; b"" says that the peer closed its side."""
        raise NotImplementedError

    def next_event(self) -> FrameEvent | None:
        """The next whole thing, oldest first; None when there is none yet.

        A Request or Response is parsed but not validated.
        """
        raise NotImplementedError

    def ping(self) -> bytes:
        """What to write to ask for a `Pong`: from now on a single CRLF is one.

        Without this, a single CRLF between messages is the tolerated noise of RFC 3261 section 7.5.
        """
        raise NotImplementedError

    @property
    def mid_message(self) -> bool:
        """Whether the stream stands inside a message: what a timeout against slow senders looks at."""
        raise NotImplementedError
