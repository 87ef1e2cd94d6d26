"""Messages over MSRP (RFC 4975), under a call: what was sent and not yet confirmed, and what comes in."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec.structs import replace

from rialto.core.network import Delivery
from rialto.model.message import Disposition, Message, Receipt
from rialto.networks.sip.sessions.carrier import Fate, Parcel
from rialto.networks.sip.sessions.seam import Incoming, MsrpLink, MsrpLinks, Outcome, Place, Result, Terms
from rialto.networks.sip.sessions.words import composing_body, ident, reported_id, written

if TYPE_CHECKING:
    from rialto.networks.sip.sessions.session import Session
    from rialto.wire.iscomposing import IsComposing


class MsrpCarrier:
    """See `Carrier`, and `Owner` for the link."""

    name = "MSRP"

    def __init__(
        self, session: Session, links: MsrpLinks, place: Place, secret: bytes, clock: Callable[[], float]
    ) -> None:
        self.place: Place | None = place
        self.ready = False
        self._session = session
        self._links = links
        self._secret = secret
        self._clock = clock
        self._link: MsrpLink | None = None
        self._terms: Terms | None = None
        self._unconfirmed: dict[str, Parcel] = {}
        self._typing = 0

    @property
    def secured(self) -> bool:
        """See `Carrier`."""
        return self._link is not None and self._link.secured

    def open(self, terms: Terms) -> None:
        """The other side is known."""
        if self._link is not None:
            self._link.close()
        self.ready = False
        self._terms = terms
        self.place = None  # it is the link's now
        self._link = self._links.open(terms, self)

    def move(self, place: Place) -> None:
        """The other side is somewhere else from now on, and so are we: `open` follows."""
        if self._link is not None:
            self._link.close()
            self._link = None
        if self.place is not None:
            self._links.release(self.place)
        self.place = place
        self.ready = False

    def without_form(self) -> None:
        """It takes plain words only, whatever it said."""
        terms = self._terms
        if terms is not None:
            kept = tuple(one for one in terms.media.accept_types if one in ("message/cpim", "text/plain"))
            media = replace(terms.media, accept_types=kept or ("text/plain",), wrapped_types=("text/plain",))
            self._terms = replace(terms, media=media)

    def write(self, delivery: Delivery) -> Parcel | None:
        """See `Carrier`."""
        terms, content = self._terms, delivery.content
        if terms is None:
            return None
        local, remote = self._session.uris()
        if isinstance(content, Receipt) and content.disposition is Disposition.DELIVERED:
            about = reported_id(content.origin_id)
            if about is not None and self._session.owes_report(about):
                return Parcel(delivery, about, "", b"")
        found = written(content, terms.media, secret=self._secret, local=local, remote=remote)
        if found is None:
            return None
        content_type, body, has_form = found
        wants = isinstance(content, Message) and Disposition.DELIVERED in content.wants
        return Parcel(
            delivery,
            ident(content.id),
            content_type,
            body,
            wants_report=wants,
            has_form=has_form,
        )

    @property
    def max_bytes(self) -> int | None:
        """What the other side would take at most."""
        return None if self._terms is None else self._terms.media.max_size

    def send(self, parcel: Parcel) -> None:
        """See `Carrier`."""
        link = self._link
        assert link is not None
        if not parcel.content_type:  # a receipt that MSRP says by itself
            self._session.report(parcel.message_id, 200)
            self._session.fate(parcel, Fate.TAKEN, 200, "")
            return
        self._unconfirmed[parcel.message_id] = parcel
        link.send(
            parcel.body,
            parcel.content_type,
            message_id=parcel.message_id,
            token=parcel.message_id,
            success_report=parcel.wants_report,
        )

    def report(self, message_id: str, status: int, total_bytes: int, comment: str) -> None:
        """What became of a message of theirs."""
        if self._link is not None:
            self._link.report(message_id, status, total_bytes, comment)

    def compose(self, status: IsComposing) -> bool:
        """See `Carrier`."""
        if self._link is None or self._terms is None or not self.ready:
            return False
        local, remote = self._session.uris()
        found = composing_body(status, self._terms.media, local=local, remote=remote, at=self._clock())
        if found is None:
            return False
        self._typing += 1
        name = ident(f"typing {self._typing} {self._clock()}")
        self._link.send(found[1], found[0], message_id=name, token=None, failure_report="no")
        return True

    def close(self) -> list[Parcel]:
        """See `Carrier`."""
        self.ready = False
        if self._link is not None:
            self._link.close()
            self._link = None
        if self.place is not None:
            self._links.release(self.place)
            self.place = None
        unconfirmed = list(self._unconfirmed.values())
        self._unconfirmed.clear()
        return unconfirmed

    # -- from the link ------------------------------------------------------------------------------------

    def opened(self) -> None:
        """See `Owner`."""
        self.ready = True
        self._session.carrier_ready()

    def received(self, incoming: Incoming) -> None:
        """See `Owner`."""
        self._session.heard(incoming)

    def outcome(self, token: object, outcome: Outcome) -> None:
        """See `Owner`."""
        parcel = self._unconfirmed.pop(token, None) if isinstance(token, str) else None
        if parcel is None:
            return
        if outcome.result is Result.ACCEPTED:
            fate = Fate.TAKEN
        elif outcome.result is Result.REFUSED:
            fate = Fate.REFUSED
        else:
            fate = Fate.LOST if outcome.sent else Fate.UNSENT
        self._session.fate(parcel, fate, outcome.status, outcome.comment)

    def reported(self, message_id: str, status: int, comment: str) -> None:
        """See `Owner`."""
        self._session.reported(message_id, status, comment)

    def closed(self, error: str) -> None:
        """See `Owner`."""
        self.ready = False
        self._link = None
        self._session.carrier_lost(error)
