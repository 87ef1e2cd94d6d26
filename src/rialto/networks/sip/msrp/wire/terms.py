"""How much a connection takes on, how long it waits, and what its two halves share."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from rialto.networks.sip.msrp.wire.events import MsrpEvent


class Timing(NamedTuple):
    """How long things may take.

    `transaction_s`: until a request is answered (RFC 4975 section 7.1.1). `head_s`: from the first byte of a
    head to its last. `chunk_s`: without a byte, in the middle of a request. `message_s`: between two chunks
    of a message. `keepalive_s`: silence of ours that is broken; 0 for never.
    """

    transaction_s: float = 30.0
    head_s: float = 30.0
    chunk_s: float = 120.0
    message_s: float = 540.0
    keepalive_s: float = 0.0


class Limits(NamedTuple):
    """How much one connection may cost.

    `max_head_bytes`: of one head. `max_incoming`: messages that have begun and not ended, of one session;
    `max_all_incoming` of all. `max_held_bytes`: of one message, content that came too early. `slice_bytes`:
    content handed out by one `data_to_send`. `turn_bytes`: what one message may send before the next has its
    turn. `max_sent`: messages of ours that are remembered for their reports.
    """

    max_head_bytes: int = 16384
    max_incoming: int = 16
    max_all_incoming: int = 256
    max_held_bytes: int = 256 * 1024
    slice_bytes: int = 64 * 1024
    turn_bytes: int = 16 * 1024
    max_sent: int = 1024


class Shared:
    """What the sending and the receiving half of one connection have in common.

    `control` is written before any content: responses, reports, requests without content.
    """

    __slots__ = ("clock", "control", "events", "limits", "make_id", "timing")

    def __init__(
        self, make_id: Callable[[], str], clock: Callable[[], float], limits: Limits, timing: Timing
    ) -> None:
        self.make_id = make_id
        self.clock = clock
        self.limits = limits
        self.timing = timing
        self.control: list[bytes] = []
        self.events: deque[MsrpEvent] = deque()
