"""A message of theirs on its way to us."""

from __future__ import annotations

from typing import Any, Final

from rialto.networks.sip.msrp.wire.assembly import Assembly
from rialto.networks.sip.msrp.wire.session import Session

REPORTS: Final = frozenset({"yes", "no", "partial"})


class Incoming:
    """What is known of it; its content is handed on, and not kept.

    `media_type` is in lower case and without parameters, `content_type` as it came. `total_bytes`: what the
    sender says that it will have, None where it doesn't say. `received_bytes`: what has been handed on.
    `wants_success` and `failure` ("yes", "no", "partial") are how it wants to hear of its fate. `owner` is
    free for whoever receives it.
    """

    __slots__ = (
        "answer_due",
        "assembly",
        "content_type",
        "disposition",
        "failure",
        "message_id",
        "moved",
        "owner",
        "refusal",
        "reply_path",
        "session",
        "settled",
        "total_bytes",
        "wants_success",
    )

    def __init__(
        self,
        session: Session,
        message_id: str,
        *,
        content_type: str,
        disposition: str,
        wants_success: bool,
        failure: str,
        reply_path: str,
        assembly: Assembly,
    ) -> None:
        self.session = session
        self.message_id = message_id
        self.content_type = content_type
        self.disposition = disposition
        self.wants_success = wants_success
        self.failure = failure
        self.reply_path = reply_path
        self.assembly = assembly
        self.total_bytes: int | None = None
        self.moved = 0.0
        """When a chunk of it came last."""
        self.answer_due: tuple[str, str] | None = None
        """Transaction id and To-Path of the chunk that made it whole, while nobody has decided."""
        self.refusal: tuple[int, str] | None = None
        self.settled = False
        self.owner: Any = None

    @property
    def media_type(self) -> str:
        """Such as `text/plain`."""
        return self.content_type.partition(";")[0].strip().lower()

    @property
    def received_bytes(self) -> int:
        """How much has been handed on."""
        return self.assembly.handed_on

    def __repr__(self) -> str:
        return f"<Incoming {self.message_id} {self.media_type} {self.received_bytes}/{self.total_bytes}>"
