"""A message of ours on its way: content that waits, chunks that were sent, answers that are due.

    QUEUED ──first chunk──► SENDING ──last byte──► SENT ──all answered──► TAKEN ──reports──► CONFIRMED
       └──────────┴────────────────────────────────┴────────an error────────┴──► FAILED

What has been sent of it is not kept.
"""

from __future__ import annotations

import enum
from collections import deque
from typing import Any, Final

from rialto.networks.sip.msrp.wire.session import Session

SHORT_BYTES: Final = 2048
"""RFC 4975 section 7.1.1: a chunk of more must be interruptible, and none is interrupted before that."""

MAX_RANGES: Final = 64
"""How many gaps between success reports are remembered."""


class Stage(enum.Enum):
    """How far it has come."""

    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    TAKEN = "taken"
    CONFIRMED = "confirmed"
    FAILED = "failed"


class Outgoing:
    """One message of ours. `total_bytes` is None while nobody knows. `token` is free for whoever sends it."""

    __slots__ = (
        "_kept",
        "_pieces",
        "_position",
        "answers_due",
        "asked",
        "buffered",
        "content_type",
        "failure",
        "fields",
        "message_id",
        "reported",
        "sent_bytes",
        "session",
        "stage",
        "token",
        "total_bytes",
        "urgent",
        "wants_success",
        "whole",
        "written",
    )

    def __init__(
        self,
        session: Session,
        message_id: str,
        content_type: str,
        *,
        total_bytes: int | None,
        wants_success: bool,
        failure: str,
        fields: tuple[tuple[str, str], ...],
        urgent: bool,
        token: Any,
    ) -> None:
        self.session = session
        self.message_id = message_id
        self.content_type = content_type
        self.total_bytes = total_bytes
        self.wants_success = wants_success
        self.failure = failure
        self.fields = fields
        self.urgent = urgent
        self.token = token
        self.stage = Stage.QUEUED
        self.sent_bytes = 0
        self.buffered = 0
        """Bytes that are here and not sent."""
        self.whole = False
        """No more content will come."""
        self.written = False
        """The last chunk was written: nothing of it is still here."""
        self.asked = False
        """More content was asked for, and has not come."""
        self.answers_due = 0
        """Chunks that must be answered, and were not."""
        self.reported: list[tuple[int, int]] = []
        """What success reports have covered: [start, end), in order, without touching."""
        self._pieces: deque[bytes] = deque()
        self._kept = b""
        self._position = 0  # in the first piece

    def __repr__(self) -> str:
        return f"<Outgoing {self.message_id} {self.stage.value} {self.sent_bytes}/{self.total_bytes}>"

    @property
    def done(self) -> bool:
        """Whether all that there will be has been sent."""
        return self.whole and not self.buffered

    @property
    def known_bytes(self) -> int:
        """How much of it has come so far, sent or not."""
        return self.sent_bytes + self.buffered + len(self._kept)

    @property
    def over(self) -> bool:
        """Whether nothing more will be sent of it."""
        return self.stage not in (Stage.QUEUED, Stage.SENDING)

    def put(self, data: bytes, *, last: bool) -> None:
        """More content. Of a message whose length nobody knows, what came last is kept until something
        follows or the end is known, so that it does not have to end with an empty chunk."""
        kept, self._kept = self._kept, b""
        if not last and self.total_bytes is None:
            self._kept, data = data, b""
        for piece in (kept, data):
            if piece:
                self._pieces.append(piece)
                self.buffered += len(piece)
        self.whole = last
        self.asked = False

    def take(self, max_bytes: int) -> bytes:
        """The next content, at most that much; it counts as sent."""
        piece = self._pieces[0]
        start = self._position
        data = piece[start : start + max_bytes] if start or len(piece) > max_bytes else piece
        if start + len(data) == len(piece):
            self._pieces.popleft()
            self._position = 0
        else:
            self._position = start + len(data)
        self.buffered -= len(data)
        self.sent_bytes += len(data)
        return data

    def put_back(self, data: bytes) -> None:
        """What was taken last was not sent after all."""
        if self._position:
            self._pieces[0] = self._pieces[0][self._position :]
            self._position = 0
        self._pieces.appendleft(data)
        self.buffered += len(data)
        self.sent_bytes -= len(data)

    def drop(self) -> None:
        """Nothing more of it will be sent."""
        self._pieces.clear()
        self._kept = b""
        self.buffered = self._position = 0
        self.whole = True

    def confirm(self, start: int, end: int) -> bool:
        """A success report covers [start, end); whether all of the message is covered now (RCT-8)."""
        merged: list[tuple[int, int]] = []
        for known in sorted([*self.reported, (start, end)]):
            if merged and known[0] <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(merged[-1][1], known[1]))
            else:
                merged.append(known)
        self.reported = merged[:MAX_RANGES]
        return self.written and bool(merged) and merged[0][0] <= 0 and merged[0][1] >= self.sent_bytes
