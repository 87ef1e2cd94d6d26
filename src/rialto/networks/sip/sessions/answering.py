"""Sessions that others open: their offers are judged, and answered for those they call (RFC 7573 section
5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from rialto.core.network import Origin
from rialto.model.address import Address
from rialto.model.agreement import Traffic
from rialto.model.errors import AddressError, Reason, Refused
from rialto.networks.sip.addresses import address_of
from rialto.networks.sip.identity import Sender
from rialto.networks.sip.sessions import offers
from rialto.networks.sip.sessions.dialog_carrier import DialogCarrier, first_words
from rialto.networks.sip.sessions.file_carrier import FileCarrier
from rialto.networks.sip.sessions.msrp_carrier import MsrpCarrier
from rialto.networks.sip.sessions.session import Session
from rialto.networks.sip.threads import thread_from
from rialto.networks.sip.trunk import Trunk
from rialto.networks.sip.wire import BadMessage, Request
from rialto.networks.sip.wire.call import State
from rialto.networks.sip.wire.dialogs import Dialog
from rialto.networks.sip.wire.message_media import Kind, MessageMedia, Setup
from rialto.networks.sip.wire.offer_answer import (
    Chosen,
    Unacceptable,
    answer,
    choose,
    offer,
    same_session,
    setup_for,
)
from rialto.networks.sip.wire.sdp import MEDIA_TYPE, Description, SdpError

if TYPE_CHECKING:
    from rialto.networks.sip.sessions.desk import SipSessions
    from rialto.networks.sip.wire.transaction import ServerTransaction


MAX_OF_TWO: Final = 8
"""How many sessions the same two people may have at a time (SES-26)."""


class Answering:
    """See the module."""

    def __init__(self, desk: SipSessions) -> None:
        self._desk = desk

    def invited(self, transaction: ServerTransaction, request: Request, sender: Sender) -> None:
        """Somebody calls one of ours: we answer for them (SES-10). Raises SdpError and BadMessage."""
        trunk, now = sender.trunk, self._desk.now()
        flow: Any = transaction.flow
        try:
            recipient = address_of(request.request_uri)
        except AddressError as error:
            raise BadMessage(404, f"{error}", request) from None
        if not recipient.local:
            raise BadMessage(404, "Nobody Named In Request-URI", request)
        origin = Origin(trunk.peer, sender.address.domain, sender.proof, flow.secured)
        if self._desk.full:
            self._desk.reception.answer(transaction, 503, None, (("Retry-After", "60"),))
            return
        refusal = self._desk.hub.would_refuse(sender.address, recipient, origin, Traffic.SESSION)
        if refusal is None and self._desk.learnt.is_nobody(recipient.bare):
            refusal = Refused(Reason.NOT_FOUND, "there is nobody of that name")
        if refusal is not None:  # SES-11
            self._desk.reception.refuse(transaction, refusal)
            return
        description = offers.description_in(request)
        chosen: Chosen | None = None
        if description is not None:
            chosen = choose(description, lambda media: self._objection(media, trunk))
        dialog = _dialog_of(request, self._desk.reception.tag(request), recipient)
        conversation = self._desk.conversation(recipient, sender.address, trunk)
        if len(conversation.sessions) >= MAX_OF_TWO:
            self._desk.reception.answer(transaction, 486)
            return
        conversation.remote_device = sender.address
        thread = thread_from(request.call_id)
        session = self._desk.session(conversation, trunk, dialog, thread=thread, outgoing=False)
        session.origin = origin
        session.signalling_secured = flow.secured
        session.call.receive_invite(transaction, request, now)
        try:
            if session.call.state is State.OFFERED:
                self._answer_offer(session, trunk, description, chosen)
                self._desk.count("accepted")
        except SdpError:
            session.call.state = State.OVER
            self._desk.end(session)
            raise
        self._desk.pump(session)
        words = first_words(request)
        if words is not None and session.has_carrier:
            session.said_in_invite(*words, request.call_id)

    def _answer_offer(
        self, session: Session, trunk: Trunk, description: Description | None, chosen: Chosen | None
    ) -> None:
        media = chosen.media if chosen is not None else None
        call, now = session.call, self._desk.now()
        headers: tuple[tuple[str, str], ...] = ()
        if media is not None and media.kind is Kind.MICROSOFT:
            session.carrier = carrier = DialogCarrier(session)
            carrier.media = session.theirs = media
            host = self._desk.host(trunk)
            ours = replace(offers.own_media(None, trunk, answering=media, user=call.dialog.local), host=host)
            headers = (("Supported", "ms-text-format"),)
        else:
            links = self._desk.links
            if links is None:
                raise Unacceptable(304, "no MSRP is spoken here")
            secure = media.secure if media is not None else False
            place = links.reserve(secure=secure)
            if place is None:
                raise Unacceptable(
                    305, "no MSRP over TLS is spoken here" if secure else "no MSRP is spoken here"
                )
            files, context = self._desk.context.files, self._desk.context
            if media is not None and media.file is not None and media.file.selected and files is not None:
                session.carrier = FileCarrier(session, links, place, files, media.file)
            else:
                session.carrier = MsrpCarrier(session, links, place, context.secret, context.clock)
            if media is None:
                setup: Setup | None = Setup.ACTPASS if place.can_listen else Setup.ACTIVE
            else:
                setup = setup_for(media.setup, can_listen=place.can_listen)
            ours = offers.own_media(place, trunk, setup=setup, answering=media)
            if isinstance(session.carrier, FileCarrier):
                ours = session.carrier.media(ours)
            host = place.host
        session.ours = ours
        if description is None or chosen is None:
            session.description = offer(self._desk.sdp_origin(host), ours)
        else:
            session.their_description = description
            session.description = answer(description, chosen, ours, self._desk.sdp_origin(host))
        call.accept(session.description.encode(), MEDIA_TYPE, now, headers)
        if media is not None and media.kind is Kind.MSRP:
            self._desk.connect(session, media, we_offered=False)

    def _objection(self, media: MessageMedia, trunk: Trunk) -> str:
        return offers.objection(media, trunk, self._desk.links, files=self._desk.context.files is not None)

    def reoffered(self, session: Session, request: Request) -> None:
        """Another offer: mostly the same one again (RFC 4975 section 8.4)."""
        now, call = self._desk.now(), session.call
        assert session.description is not None
        try:
            description = offers.description_in(request)
            known = session.their_description
            if description is None or (known is not None and same_session(known, description)):
                call.accept(session.description.encode(), MEDIA_TYPE, now)
                return
            trunk = self._desk.trunk_of(session.conversation.peer)
            if trunk is None:
                raise Unacceptable(399, "this peer is no longer configured")
            self._change(session, trunk, description)
        except Unacceptable as error:
            call.reject(488, now, (("Warning", f'{error.warn_code} rialto "{error.text}"'),))
        except SdpError as error:
            call.reject(int(error.condition), now)

    def _change(self, session: Session, trunk: Trunk, description: Description) -> None:
        chosen = choose(description, lambda media: self._objection(media, trunk))
        media, old, ours = chosen.media, session.theirs, session.ours
        assert session.description is not None
        assert ours is not None
        if old is not None and media.kind is not old.kind:
            raise Unacceptable(305, "a session does not change its kind")
        carrier = session.carrier
        moved = isinstance(carrier, MsrpCarrier) and (old is None or media.path != old.path)
        if moved and isinstance(carrier, MsrpCarrier):
            place = self._desk.some_links().reserve(secure=media.secure)
            if place is None:
                raise Unacceptable(305, "no such MSRP is spoken here")
            carrier.move(place)
            setup = setup_for(media.setup, can_listen=place.can_listen)
            ours = offers.own_media(place, trunk, setup=setup, answering=media)
        session.ours, session.their_description = ours, description
        before = session.description.origin
        origin = replace(before, version=before.version + 1)  # RFC 3264 section 8
        session.description = answer(description, chosen, ours, origin)
        session.call.accept(session.description.encode(), MEDIA_TYPE, self._desk.now())
        if moved:
            self._desk.connect(session, media, we_offered=False)
        else:
            session.theirs = media


def _dialog_of(request: Request, tag: str, recipient: Address) -> Dialog:
    """The dialog that an INVITE of theirs makes (RFC 3261 section 12.1.1). Raises BadMessage."""
    dialog = Dialog(
        call_id=request.call_id,
        local=str(request.to.uri),
        remote=str(request.from_.uri),
        local_tag=tag,
        remote_tag=request.from_.tag or "",
    )
    dialog.aim(request)
    dialog.route_by(request)
    return dialog
