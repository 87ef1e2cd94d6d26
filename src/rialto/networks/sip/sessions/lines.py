"""How the requests of a call travel: whose they are, and INVITE with all its responses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from rialto.model.errors import DeliveryError
from rialto.networks.sip.course import Course
from rialto.networks.sip.wire import Request, Response

if TYPE_CHECKING:
    from rialto.networks.sip.sessions.session import Session


class Desk(Protocol):
    """Who is told."""

    def responded(self, session: Session, kind: str, response: Response) -> None:
        """A response to a request of that kind."""

    def failed(self, session: Session, kind: str, error: DeliveryError | None) -> None:
        """None came."""


class Leg:
    """Whose request it is."""

    __slots__ = ("_desk", "_kind", "_session")

    def __init__(self, desk: Desk, session: Session, kind: str) -> None:
        self._desk = desk
        self._session = session
        self._kind = kind

    def responded(self, request: Request, response: Response) -> None:
        """See `Traveller`; of an INVITE every response, in the order in which they come."""
        self._desk.responded(self._session, self._kind, response)

    def failed(self, request: Request, error: DeliveryError | None) -> None:
        """See `Traveller`."""
        self._desk.failed(self._session, self._kind, error)


class Invitation(Course):
    """An INVITE under way: it hears of every response, and each 2xx as often as it comes (RFC 3261 section
    13.2.2.4)."""

    __slots__ = ()

    def heard(self, response: Response) -> None:
        """A response; those of 300 and above come once."""
        if response.status < 300:
            self._traveller.responded(self._request, response)
        else:
            self.responded(response)
