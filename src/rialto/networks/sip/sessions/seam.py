"""What sessions need of MSRP links, and links of sessions."""

from __future__ import annotations

import enum
from typing import Protocol

import msgspec

from rialto.networks.sip.trunk import Trunk
from rialto.networks.sip.wire.message_media import MessageMedia


class Place(msgspec.Struct, frozen=True):
    """Our end of a session before there is one: URIs as they stand in `path` (relays first), and what `c=`,
    `m=` and `fingerprint` say of it. Port 9 where nobody can connect to it (RFC 6135 section 4.2)."""

    path: tuple[str, ...]
    host: str
    port: int
    secure: bool = False
    fingerprints: tuple[tuple[str, str], ...] = ()

    @property
    def can_listen(self) -> bool:
        """Whether the other side can connect."""
        return self.port != DISCARD


DISCARD = 9


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What was agreed on: `media` is the other side. `connect_to` is where to connect, if not to its path
    (RFC 6714)."""

    place: Place
    media: MessageMedia
    active: bool
    trunk: Trunk
    max_bytes_in: int
    connect_to: tuple[str, int] | None = None


class Result(enum.Enum):
    """What became of a message that was sent."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    LOST = "lost"


class Outcome(msgspec.Struct, frozen=True):
    """`sent`: of LOST, whether all of it was written."""

    result: Result
    status: int = 200
    comment: str = ""
    sent: bool = True


class Incoming(Protocol):
    """One whole message of theirs, whose last chunk waits for an answer."""

    message_id: str
    content_type: str
    body: bytes
    success_report: bool
    failure_report: str

    def accept(self) -> None:
        """200."""

    def refuse(self, status: int, comment: str = "") -> None:
        """Anything else."""


class Owner(Protocol):
    """Who is told of what happens to a session. Never called from within a call of the session's own."""

    def opened(self) -> None:
        """Both sides are there."""

    def received(self, incoming: Incoming) -> None:
        """A message; not the empty ones that are mere signs of life."""

    def outcome(self, token: object, outcome: Outcome) -> None:
        """Exactly one for each message that was sent."""

    def reported(self, message_id: str, status: int, comment: str) -> None:
        """A REPORT, end to end."""

    def closed(self, error: str) -> None:
        """It is over; every message without an outcome has had one before."""


class MsrpLink(Protocol):
    """One session's leg."""

    @property
    def secured(self) -> bool:
        """Whether its connection is encrypted."""

    def send(
        self,
        body: bytes,
        content_type: str,
        *,
        message_id: str,
        token: object,
        success_report: bool = False,
        failure_report: str = "yes",
    ) -> None:
        """Send a message."""

    def report(self, message_id: str, status: int, total_bytes: int, comment: str = "") -> None:
        """Report on a message of theirs."""

    def close(self) -> None:
        """Nothing more is to be told."""


class MsrpLinks(Protocol):
    """All of them."""

    def reserve(self, *, secure: bool, family_of: str = "") -> Place | None:
        """A place for a session that is to be; None where there can be none of that security."""

    def release(self, place: Place) -> None:
        """It came to nothing."""

    def open(self, terms: Terms, owner: Owner) -> MsrpLink:
        """The session is there."""
