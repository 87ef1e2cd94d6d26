"""A message of theirs, from its last chunk to its end: what MSRP is answered, and what is reported later."""

from __future__ import annotations

from typing import Final, Protocol

from rialto.core.network import Outcome
from rialto.model.errors import DeliveryError, Reason
from rialto.networks.sip.sessions.seam import Incoming


class Reporter(Protocol):
    """The session that it came over."""

    def failed(self, error: DeliveryError) -> None:
        """A message of theirs did not arrive."""

    def report(self, message_id: str, status: int, size: int | None = None, comment: str = "") -> bool:
        """Report on a message of theirs; False where that can't be done any more."""


_MSRP_STATUS: Final = {
    Reason.BAD_REQUEST: 400,
    Reason.TOO_LARGE: 413,
    Reason.NOT_ACCEPTABLE: 415,
    Reason.TIMEOUT: 408,
    Reason.UNREACHABLE: 408,
    Reason.CONGESTION: 408,
    Reason.RATE: 408,
    Reason.EXPIRED: 408,
}
"""RFC 4975 section 10: it knows few; whatever is not here is 403."""


def msrp_status(error: DeliveryError) -> int:
    """The MSRP status that tells of an error."""
    return _MSRP_STATUS.get(error.reason, 403)


class Said:
    """The network's `Inbound` for a message that came over MSRP: its last chunk is answered when it is on
    disk, and what becomes of it later is a REPORT (SES-11)."""

    __slots__ = ("_incoming", "_open", "_session", "_size", "_stored")

    def __init__(self, session: Reporter, incoming: Incoming) -> None:
        self._session = session
        self._incoming = incoming
        self._size = len(incoming.body)
        self._open = True
        self._stored = False

    @property
    def waiting(self) -> bool:
        """See `Inbound`."""
        return self._open

    def stored(self) -> None:
        """See `Inbound`."""
        if not self._stored:
            self._stored = True
            self._incoming.accept()

    def refused(self, error: DeliveryError) -> None:
        """See `Inbound`."""
        self._open = False
        if not self._stored:
            self._stored = True
            self._incoming.refuse(msrp_status(error), error.text)

    def settled(self, outcome: Outcome, error: DeliveryError | None) -> bool:
        """See `Inbound`."""
        if not self._open:
            return False
        self._open = False
        if error is not None:
            self._session.failed(error)
        if error is None or self._incoming.failure_report == "no":
            return error is None
        return self._session.report(self._incoming.message_id, msrp_status(error), self._size, error.text)


class Uttered:
    """An `Incoming` that has been answered with the INVITE that brought it."""

    __slots__ = ("body", "content_type", "failure_report", "message_id", "success_report")

    def __init__(self, message_id: str, content_type: str, body: bytes) -> None:
        self.message_id = message_id
        self.content_type = content_type
        self.body = body
        self.success_report = False
        self.failure_report = "no"

    def accept(self) -> None:
        """Nobody waits."""

    def refuse(self, status: int, comment: str = "") -> None:
        """Nobody waits."""
