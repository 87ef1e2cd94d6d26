"""Sessions that we open: the call, its answer, and its refusal (RFC 7573 section 4)."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import structlog
from msgspec.structs import replace

from rialto.core.network import Origin
from rialto.model.errors import AddressError, Reason, Refused
from rialto.networks.sip.addresses import uri_of
from rialto.networks.sip.conditions import error_from
from rialto.networks.sip.sessions import offers
from rialto.networks.sip.sessions.conversation import Conversation
from rialto.networks.sip.sessions.dialog_carrier import DialogCarrier
from rialto.networks.sip.sessions.msrp_carrier import MsrpCarrier
from rialto.networks.sip.sessions.policy import NOBODY
from rialto.networks.sip.sessions.seam import Place
from rialto.networks.sip.sessions.session import Session
from rialto.networks.sip.threads import call_id_from, thread_from
from rialto.networks.sip.trunk import Trunk
from rialto.networks.sip.wire import BadMessage, Response
from rialto.networks.sip.wire.dialogs import Dialog
from rialto.networks.sip.wire.message_media import Setup
from rialto.networks.sip.wire.offer_answer import offer, read_answer
from rialto.networks.sip.wire.sdp import MEDIA_TYPE, SdpError, parse_sdp

if TYPE_CHECKING:
    from rialto.core.network import Delivery
    from rialto.networks.sip.sessions.desk import SipSessions

_log = structlog.get_logger(__name__)


class Calling:
    """See the module."""

    def __init__(self, desk: SipSessions) -> None:
        self._desk = desk

    def open(self, conversation: Conversation, trunk: Trunk, delivery: Delivery) -> None:
        """Call the other side, on behalf of the first message (SES-3)."""
        content, now = delivery.content, self._desk.now()
        try:
            local, remote = (
                str(uri_of(content.sender)),
                str(uri_of(conversation.remote, self._desk.spell(conversation.remote))),
            )
        except AddressError as error:
            failure = Refused(Reason.NOT_FOUND, "no SIP address can be written", detail=str(error))
            self._desk.fail_held(conversation, failure)
            return
        place: Place | None = None
        if trunk.settings.session_kind == "msrp":
            place = self._reserve(trunk)
            if place is None:
                self._desk.decline(conversation, 0, "no MSRP of that security can be had")
                return
        thread = content.thread
        call_id = (
            call_id_from(thread) if thread else None
        ) or f"{secrets.token_hex(12)}@{self._desk.context.server_name}"
        dialog = Dialog(call_id=call_id, local=local, remote=remote, local_tag=secrets.token_hex(8))
        session = self._desk.session(
            conversation, trunk, dialog, thread=thread or thread_from(call_id), outgoing=True
        )
        session.signalling_secured = trunk.settings.transports == ("tls",)
        session.origin = Origin(trunk.peer, conversation.remote.domain, "dialog", session.signalling_secured)
        if place is None:
            session.carrier = DialogCarrier(session)
            session.ours = offers.own_media(None, trunk)
            host = self._desk.host(trunk)
        else:
            session.carrier = MsrpCarrier(
                session, self._desk.some_links(), place, self._desk.context.secret, self._desk.context.clock
            )
            setup = Setup.ACTPASS if place.can_listen else Setup.ACTIVE
            session.ours = offers.own_media(place, trunk, setup=setup)
            host = place.host
        session.ours = replace(session.ours, host=host)
        session.description = offer(self._desk.sdp_origin(host), session.ours)
        session.call.invite(session.description.encode(), MEDIA_TYPE, now)
        self._desk.count("opened")
        self._desk.pump(session)

    def _reserve(self, trunk: Trunk) -> Place | None:
        links = self._desk.links
        if links is None:
            return None
        return links.reserve(secure=offers.must_be_secure(trunk))

    def answered(self, session: Session, body: bytes) -> None:
        """Our offer was answered."""
        assert session.ours is not None
        try:
            description = parse_sdp(body)
            media = read_answer(session.ours, description)
        except SdpError as error:
            _log.info("an answer that is none", network=self._desk.name, why=error.text)
            session.leaving = True
            self._desk.decline(session.conversation, int(error.condition), error.text)
            session.call.bye(self._desk.now(), error.text)
            return
        session.their_description = description
        self._desk.connect(session, media, we_offered=True)
        if isinstance(session.carrier, DialogCarrier):
            self._desk.ready(session)

    def acknowledged(self, session: Session, body: bytes) -> None:
        """Theirs was answered, and they know it; `body` answers ours, where they had none."""
        if session.theirs is None and session.ours is not None:  # the offer was ours
            try:
                media = read_answer(session.ours, parse_sdp(body))
            except SdpError as error:
                self._desk.hang_up(session, error.text)
                return
            self._desk.connect(session, media, we_offered=True)
        if isinstance(session.carrier, DialogCarrier):
            self._desk.ready(session)

    def refused(
        self, session: Session, status: int, response: Response | None, *, cancelled: bool, text: str
    ) -> None:
        """Our INVITE was not taken."""
        conversation = session.conversation
        session.leaving = True
        if cancelled and session.superseded:
            return
        self._desk.count("declined")
        if status in NOBODY and response is not None:
            self._desk.fail_held(conversation, error_from(response, _redirect(response)))
            return
        said = "nobody answered" if cancelled or not status else f"{status} {text}"
        self._desk.decline(conversation, 480 if cancelled else status, f"no session: {said}")


def _redirect(response: Response) -> str:
    if response.status // 100 != 3:
        return ""
    try:
        contacts = response.contacts
    except BadMessage:
        return ""
    return str(contacts[0].uri) if contacts else ""
