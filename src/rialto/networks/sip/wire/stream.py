"""SIP on one stream connection, as a machine: messages in, messages out, and signs of life (RFC 5626).

A ping (CRLF CRLF) goes out on a connection of ours that was silent for `keepalive_s`. Only a peer that has
answered pings before must go on doing so: RFC 5626 is not everybody's, and TCP itself will notice the rest. A
message that has begun must end within `message_s`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from rialto.networks.sip.wire.framing import PONG, Garbled, Ping, Pong, StreamFramer
from rialto.networks.sip.wire.message import Request, Response
from rialto.networks.sip.wire.parse import DEFAULT_LIMITS, Limits

PONG_WITHIN_S = 10.0  # RFC 5626 section 4.4.1
MESSAGE_S = 30.0


@dataclass(frozen=True, slots=True)
class Stalled:
    """The connection is good for nothing any more: `slow` (a message that does not end) or `no-pong`."""

    code: str


StreamEvent = Request | Response | Garbled | Stalled


class StreamMachine:
    """One end of one TCP or TLS connection."""

    def __init__(
        self,
        now: float,
        *,
        keepalive_s: float = 0.0,
        message_s: float = MESSAGE_S,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        """`keepalive_s`: silence after which we ping; 0 for never."""
        self._framer = StreamFramer(limits)
        self._out: list[bytes] = []
        self._events: deque[StreamEvent] = deque()
        self._keepalive_s = keepalive_s
        self._message_s = message_s
        self._active = now
        self._begun: float | None = None
        self._pong_due: float | None = None
        self._ponged = False

    def send(self, data: bytes) -> None:
        """Write one message."""
        self._out.append(data)

    def receive_data(self, data: bytes, now: float) -> None:
        """See `Machine`."""
        self._active = now
        framer = self._framer
        framer.receive_data(data)
        while (event := framer.next_event()) is not None:
            if isinstance(event, Ping):
                self._out.append(PONG)
            elif isinstance(event, Pong):
                self._pong_due = None
                self._ponged = True
            else:
                self._events.append(event)
                self._begun = None
        if not framer.mid_message:
            self._begun = None
        elif self._begun is None:
            self._begun = now

    def next_event(self) -> StreamEvent | None:
        """See `Machine`."""
        return self._events.popleft() if self._events else None

    def data_to_send(self) -> bytes:
        """See `Machine`."""
        if not self._out:
            return b""
        data = self._out[0] if len(self._out) == 1 else b"".join(self._out)
        self._out.clear()
        return data

    def next_timer(self) -> float | None:
        """See `Machine`."""
        soonest = self._pong_due
        if soonest is None and self._keepalive_s:
            soonest = self._active + self._keepalive_s
        if self._begun is not None:
            end = self._begun + self._message_s
            soonest = end if soonest is None else min(soonest, end)
        return soonest

    def handle_timer(self, now: float) -> None:
        """See `Machine`."""
        if self._begun is not None and now >= self._begun + self._message_s:
            self._events.append(Stalled("slow"))
            self._begun = None
        if self._pong_due is not None:
            if now >= self._pong_due:
                self._pong_due = None
                if self._ponged:
                    self._events.append(Stalled("no-pong"))
                else:
                    self._active = now
        elif self._keepalive_s and now >= self._active + self._keepalive_s:
            self._out.append(self._framer.ping())
            self._pong_due = now + PONG_WITHIN_S
