"""A file that is sent to one of ours (RFC 5547): a session that carries nothing else, and ends with it.

What arrives is in the store of files, and its link goes on as a message; the file is answered when that is
safe.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, cast

import structlog
from msgspec.structs import replace

from rialto.core.files import Files
from rialto.core.wording import link
from rialto.model.errors import DeliveryError, LocalProtocolError
from rialto.networks.sip import bodies
from rialto.networks.sip.msrp.files import ArrivedFile, FileReceiver, take_file
from rialto.networks.sip.sessions.carrier import Parcel
from rialto.networks.sip.sessions.seam import MsrpLinks, Place, Terms
from rialto.networks.sip.wire.file_offer import FileOffer
from rialto.networks.sip.wire.message_media import MessageMedia
from rialto.networks.sip.wire.offer_answer import Unacceptable

if TYPE_CHECKING:
    from rialto.core.network import Delivery
    from rialto.networks.sip.msrp.leg import Leg
    from rialto.networks.sip.sessions.session import Session
    from rialto.wire.iscomposing import IsComposing

STALLED_S: Final = 60.0
"""How long nothing of a file may come."""
PARTING_S: Final = 20.0
"""How long its sender has to hang up, when all has come."""

_log = structlog.get_logger(__name__)


class FileCarrier:
    """See `Carrier`: nothing is ever sent over it."""

    name = "file"
    ready = False
    max_bytes: int | None = 0

    def __init__(
        self, session: Session, links: MsrpLinks, place: Place, files: Files, offer: FileOffer
    ) -> None:
        """Raises Unacceptable for a file that is not taken."""
        try:
            self._writing = take_file(files, offer, session.conversation.peer)
        except DeliveryError as error:
            links.release(place)
            raise Unacceptable(399, error.text) from None
        self.place: Place | None = place
        self._session = session
        self._links = links
        self._files = files
        self._offer = offer
        self._receiver: FileReceiver | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._seen_bytes = 0

    @property
    def secured(self) -> bool:
        """See `Carrier`."""
        return self._receiver is not None and self._receiver.leg.secured

    def media(self, ours: MessageMedia) -> MessageMedia:
        """Our side, as the answer says it (RFC 5547 section 8.3)."""
        file = replace(self._offer, sending=False, description="")
        return replace(
            ours, file=file, accept_types=("*",), wrapped_types=(), max_size=self._files.settings.max_bytes
        )

    def open(self, terms: Terms) -> None:
        """The other side is known."""
        self.place = None  # it is the link's now
        self._receiver = receiver = FileReceiver(
            self._files, self._writing, self._offer, arrived=self._arrived, failed=self._failed
        )
        terms = replace(terms, max_bytes_in=self._files.settings.max_bytes)
        receiver.leg = cast("Leg", self._links.open(terms, receiver))
        self._wait(STALLED_S)

    def _wait(self, delay_s: float) -> None:
        self._alarm = asyncio.get_running_loop().call_later(delay_s, self._overdue)

    def _overdue(self) -> None:
        receiver = self._receiver
        if receiver is None:
            return
        if receiver.done:
            self._session.desk.hang_up(self._session, "the file has come")
        elif receiver.received_bytes == self._seen_bytes:
            self._failed("nothing of the file came for long")
        else:
            self._seen_bytes = receiver.received_bytes
            self._wait(STALLED_S)

    def _arrived(self, file: ArrivedFile) -> None:
        shown = self._files.link(file.stored)
        if file.description:
            shown = replace(shown, description=file.description)
        self._session.desk.count("file")
        if self._alarm is not None:
            self._alarm.cancel()
        self._wait(PARTING_S)
        self._session.heard_of(bodies.Said(text=link(shown), files=(shown,)), file)

    def _failed(self, why: str) -> None:
        session = self._session
        _log.info("a file did not come", network=session.desk.name, why=why)
        session.desk.count("file-failed")
        if not session.over and not session.leaving:
            session.desk.hang_up(session, why)

    def report(self, message_id: str, status: int, total_bytes: int, comment: str) -> None:
        """What became of the file."""
        if self._receiver is not None:
            self._receiver.leg.report(message_id, status, total_bytes, comment)

    def write(self, delivery: Delivery) -> Parcel | None:
        """See `Carrier`."""
        return None

    def without_form(self) -> None:
        """See `Carrier`."""

    def send(self, parcel: Parcel) -> None:
        """See `Carrier`."""
        raise LocalProtocolError("a session for a file carries nothing else")

    def compose(self, status: IsComposing) -> bool:
        """See `Carrier`."""
        return False

    def close(self) -> list[Parcel]:
        """See `Carrier`: what has not come whole is forgotten."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.stop()
        else:
            self._writing.abort()
        if self.place is not None:
            self._links.release(self.place)
            self.place = None
        return []
