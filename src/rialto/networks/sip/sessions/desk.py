"""Sessions on the SIP side: the desk between the hub, the calls and their carriers.

    deliver ─► a session, the queue of one that is being opened, or False: page by page
    INVITE  ─► its offer is judged, and answered; BYE, INFO, UPDATE, MESSAGE, ACK ─► by dialog to their
    session

Everything that a call has to say goes out in `pump`. A session that ends gives back what nobody has
confirmed, which is sent once more under the same names, over another session or page by page.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import structlog
from msgspec.structs import replace

from rialto.core.agenda import Agenda
from rialto.core.network import Context, Features, Origin, Peer, hop
from rialto.model.address import Address
from rialto.model.errors import AddressError, Busy, DeliveryError, LocalProtocolError, Reason, Refused
from rialto.model.message import ChatState, Composing, Kind, Message
from rialto.net.hostport import split_host_port
from rialto.networks.sip.addresses import address_of, uri_of
from rialto.networks.sip.conditions import error_from, meaning
from rialto.networks.sip.course import Course
from rialto.networks.sip.identity import Sender
from rialto.networks.sip.presence import allowed
from rialto.networks.sip.sessions import offers
from rialto.networks.sip.sessions.carrier import Fate, Parcel
from rialto.networks.sip.sessions.conversation import Conversation, Key
from rialto.networks.sip.sessions.dialog_carrier import DialogCarrier, first_words
from rialto.networks.sip.sessions.lines import Invitation, Leg
from rialto.networks.sip.sessions.msrp_carrier import MsrpCarrier
from rialto.networks.sip.sessions.policy import NOBODY, Facts, Way, remembered_s, way
from rialto.networks.sip.sessions.seam import MsrpLinks, Place, Terms
from rialto.networks.sip.sessions.session import Session
from rialto.networks.sip.shot import Shot
from rialto.networks.sip.threads import call_id_from, thread_from
from rialto.networks.sip.trunk import Trunk
from rialto.networks.sip.wire import BadMessage, Request, Response, Uri, response_to
from rialto.networks.sip.wire.call import (
    Acknowledge,
    Acknowledged,
    Answer,
    Answered,
    Call,
    Cancel,
    Event,
    Output,
    Over,
    Reoffered,
    Ringing,
    Send,
    State,
)
from rialto.networks.sip.wire.call import (
    Refused as CallRefused,
)
from rialto.networks.sip.wire.call import (
    Terms as CallTerms,
)
from rialto.networks.sip.wire.dialogs import Dialog
from rialto.networks.sip.wire.message_media import Kind as MediaKind
from rialto.networks.sip.wire.message_media import MessageMedia, Setup
from rialto.networks.sip.wire.offer_answer import (
    Chosen,
    Unacceptable,
    answer,
    choose,
    offer,
    read_answer,
    same_session,
    setup_for,
    we_connect,
)
from rialto.networks.sip.wire.sdp import MEDIA_TYPE, Description, SdpError, address_type, parse_sdp
from rialto.networks.sip.wire.sdp import Origin as SdpOrigin
from rialto.networks.sip.wire.timers import Timing

if TYPE_CHECKING:
    from rialto.core.hub import Hub
    from rialto.core.network import Delivery
    from rialto.networks.sip.dispatch import Dispatch
    from rialto.networks.sip.presence import SipPresence
    from rialto.networks.sip.reception import Reception
    from rialto.networks.sip.transport import Transports
    from rialto.networks.sip.wire.transaction import ServerTransaction
    from rialto.networks.sip.wire.transactions import TransactionLayer

MAX_REMEMBERED: Final = 10_000
MAX_HELD: Final = 100
AGAIN_S: Final = 5.0
"""When a message is tried again whose session has broken twice."""
ALLOW: Final = "INVITE, ACK, BYE, CANCEL, MESSAGE, INFO, UPDATE, OPTIONS"

_log = structlog.get_logger(__name__)


class SipSessions:
    """See the module. `measure` says how long a message would be as a page."""

    def __init__(
        self,
        context: Context,
        trunk_of: Callable[[str], Trunk | None],
        spell: Callable[[Address], str],
        measure: Callable[[Message, Peer], int],
        *,
        max_sessions: int,
        t1_s: float,
    ) -> None:
        self.context = context
        self.name = context.name
        self.hub: Hub
        self.links: MsrpLinks | None = None
        self._trunk_of = trunk_of
        self._spell = spell
        self._measure = measure
        self._max_sessions = max_sessions
        self._timing = Timing(t1_s=t1_s, t2_s=8 * t1_s, t4_s=10 * t1_s)
        self._dispatch: Dispatch
        self._reception: Reception
        self._presence: SipPresence
        self._transports: Transports
        self._layer: TransactionLayer
        self._later: Callable[[], None]
        self._loop: asyncio.AbstractEventLoop
        self._agenda: Agenda[Session] | None = None
        self._conversations: dict[Key, Conversation] = {}
        self._sessions: set[Session] = set()
        self._by_tag: dict[str, Session] = {}
        self._declined: OrderedDict[Address, float] = OrderedDict()
        self._limits: OrderedDict[Address, int] = OrderedDict()
        self._broken: OrderedDict[str, None] = OrderedDict()
        self._features: dict[tuple[str, int | None], tuple[Features, Features]] = {}
        self._pumping: set[Session] = set()
        self.stopping = False

    def start(
        self,
        hub: Hub,
        dispatch: Dispatch,
        reception: Reception,
        presence: SipPresence,
        transports: Transports,
        layer: TransactionLayer,
        later: Callable[[], None],
        links: MsrpLinks | None,
    ) -> None:
        """The sockets are there."""
        self.hub = hub
        self.links = links
        self._dispatch = dispatch
        self._reception = reception
        self._presence = presence
        self._transports = transports
        self._layer = layer
        self._later = later
        self._loop = asyncio.get_running_loop()
        self._agenda = Agenda(self.now, self._call_later, self._ring)

    def stop(self) -> None:
        """Hang up everywhere; nothing waits for the answers."""
        self.stopping = True
        for session in list(self._sessions):
            session.leaving = True
            session.call.bye(self.now(), "this gateway is going down")
            self.pump(session)
        if self._agenda is not None:
            self._agenda.stop()
        for session in list(self._sessions):
            self._end(session)

    def __len__(self) -> int:
        return len(self._sessions)

    def now(self) -> float:
        """The loop's time: nothing here outlives a restart."""
        return self._loop.time()

    def count(self, what: str) -> None:
        """For the metrics."""
        self.hub.count("sessions", self.name, what)

    def idle_s(self, conversation: Conversation) -> float:
        """After how long a silence its sessions are ended."""
        trunk = self._trunk_of(conversation.peer)
        return trunk.settings.session_idle_s if trunk is not None else 0.0

    # -- for the hub ---------------------------------------------------------------------------------------

    def features(self, peer: Peer, recipient: Address, features: Features) -> Features:
        """What a recipient can carry, if a session can be had: `features` but for the length."""
        settings = peer.settings
        if features.max_bytes is None or settings.sessions == "never" or self.stopping:
            return features
        if settings.session_kind == "msrp" and self.links is None:
            return features
        person = recipient.bare
        if self._declines(person):
            return features
        limit = min(settings.session_max_bytes, self._limits.get(person, settings.session_max_bytes))
        if limit <= features.max_bytes:
            return features
        key = (peer.name, limit)
        known = self._features.get(key)
        if known is None or known[0] is not features:
            if len(self._features) > MAX_REMEMBERED:
                self._features.clear()
            known = self._features[key] = (features, replace(features, max_bytes=limit))
        return known[1]

    def deliver(self, delivery: Delivery, trunk: Trunk) -> bool:
        """Take it over a session; False where it goes page by page."""
        settings, content = trunk.settings, delivery.content
        if settings.sessions == "never":
            return False
        is_message = isinstance(content, Message)
        key = (content.sender.bare, content.recipient.bare)
        conversation = self._conversations.get(key)
        if conversation is None and not is_message:
            return False
        page_bytes = delivery.peer.features.max_bytes
        fits = not isinstance(content, Message) or self._fits(content, delivery.peer, page_bytes)
        if conversation is None and fits and settings.sessions == "auto":
            return False  # nearly all
        session = conversation.ready() if conversation is not None else None
        person = content.recipient.bare
        decision, why = way(
            Facts(
                setting=settings.sessions,
                is_message=is_message,
                is_conversation=isinstance(content, Message)
                and content.kind is not Kind.HEADLINE
                and not content.automatic,
                has_session=session is not None,
                is_opening=conversation is not None and conversation.opening(),
                fits=fits,
                declined=self._declines(person) or (settings.session_kind == "msrp" and self.links is None),
                full=len(self._sessions) >= self._max_sessions or self.stopping,
            )
        )
        if decision is Way.SESSION and session is not None:
            return self._say(session, delivery, fits=fits)
        if decision is Way.PAGE:
            if not fits:
                delivery.again()  # it was made for a session, and there is none
                return True
            return False
        if conversation is None:
            conversation = self._conversation(content.sender, content.recipient, trunk)
        if len(conversation.held) >= MAX_HELD:
            delivery.failed(Busy(Reason.CONGESTION, "too many messages wait for the session"))
            return True
        conversation.local_device = content.sender
        conversation.held.append(delivery)
        if decision is Way.OPEN:
            _log.debug("a session is opened", network=self.name, why=why)
            self._open(conversation, trunk, delivery)
        return True

    def compose(self, composing: Composing) -> bool:
        """Say over a session that somebody is writing; False where there is none. Whoever is gone ends it
        (SES-9)."""
        conversation = self._conversations.get((composing.sender.bare, composing.recipient.bare))
        session = conversation.ready() if conversation is not None else None
        if conversation is None or session is None:
            return False
        if composing.state is ChatState.GONE:
            for one in list(conversation.sessions):
                self.hang_up(one, "our side has left")
        else:
            session.compose(composing)
        return True

    def _fits(self, message: Message, peer: Peer, page_bytes: int | None) -> bool:
        if page_bytes is None or 6 * (len(message.text) + len(message.subject) + len(message.rich)) < (
            page_bytes - 500
        ):
            return True
        return self._measure(message, peer) <= page_bytes

    def _say(self, session: Session, delivery: Delivery, *, fits: bool) -> bool:
        """Over this session, if its other side takes such a thing."""
        if not session.is_taken_by(delivery):
            self._learn_limit(delivery.content.recipient.bare, session.carrier.max_bytes)
            delivery.again()
            return True
        try:
            parcel = session.carrier.write(delivery)
        except DeliveryError as error:
            delivery.failed(error)
            return True
        if parcel is None:
            if fits:
                return False
            delivery.failed(Refused(Reason.NOT_ACCEPTABLE, "the other side takes nothing like that"))
            return True
        session.send(parcel)
        return True

    def fate(self, session: Session, parcel: Parcel, fate: Fate, status: int, text: str) -> None:
        """What became of a parcel: told to its delivery."""
        delivery = parcel.delivery
        if fate is Fate.TAKEN:
            self._broken.pop(delivery.content.id, None)
            proof = session.origin.proof
            delivery.delivered(f"{status} over {session.carrier.name}", hop(proof, session.carrier.secured))
        elif fate is Fate.REFUSED:
            self._refused(session, parcel, status, text)
        else:
            self._give_back(delivery, sent=fate is Fate.LOST)

    def _refused(self, session: Session, parcel: Parcel, status: int, text: str) -> None:
        delivery, content = parcel.delivery, parcel.delivery.content
        if status == 413 and isinstance(content, Message):  # SES-16: not again as it was
            page = delivery.peer.features.max_bytes or 1300
            self._learn_limit(content.recipient.bare, max(page, len(content.text.encode()) // 2))
            delivery.again()
        elif status in (481, 506):
            self.broke(session, f"{status} {text}")
            self._give_back(delivery, sent=False)
        elif status == 415 and parcel.has_form and isinstance(content, Message):
            session.carrier.without_form()  # it said that it takes form, and does not
            self._say(session, delivery, fits=False)
        else:
            reason, _ = meaning(status)
            delivery.failed(
                Refused(reason, text or "the other side did not take it", detail=f"MSRP {status}")
            )

    def _give_back(self, delivery: Delivery, *, sent: bool) -> None:
        """Its session has broken: sent anew at once, and later if that breaks as well."""
        name = delivery.content.id
        if name not in self._broken:
            self._broken[name] = None
            if len(self._broken) > MAX_REMEMBERED:
                self._broken.popitem(last=False)
            delivery.again()
            return
        delivery.failed(
            Busy(Reason.UNAVAILABLE, "the session broke", certain=not sent, retry_after_s=AGAIN_S)
        )

    def _learn_limit(self, person: Address, limit: int | None) -> None:
        if limit is not None:
            self._limits[person] = limit
            self._limits.move_to_end(person)
            if len(self._limits) > MAX_REMEMBERED:
                self._limits.popitem(last=False)

    def _declines(self, person: Address) -> bool:
        until = self._declined.get(person)
        if until is None:
            return False
        if until <= self.now():
            del self._declined[person]
            return False
        return True

    # -- opening -------------------------------------------------------------------------------------------

    def _conversation(self, local: Address, remote: Address, trunk: Trunk) -> Conversation:
        key = (local.bare, remote.bare)
        conversation = self._conversations.get(key)
        if conversation is None:
            conversation = self._conversations[key] = Conversation(local, remote, trunk.peer.name)
        return conversation

    def _open(self, conversation: Conversation, trunk: Trunk, delivery: Delivery) -> None:
        """Call the other side, on behalf of the first message (SES-3)."""
        content, now = delivery.content, self.now()
        try:
            local, remote = (
                str(uri_of(content.sender)),
                str(uri_of(conversation.remote, self._spell(conversation.remote))),
            )
        except AddressError as error:
            failure = Refused(Reason.NOT_FOUND, "no SIP address can be written", detail=str(error))
            self._fail_held(conversation, failure)
            return
        place: Place | None = None
        if trunk.settings.session_kind == "msrp":
            place = self._reserve(trunk)
            if place is None:
                self._decline(conversation, 501)
                return
        thread = content.thread
        call_id = (
            call_id_from(thread) if thread else None
        ) or f"{secrets.token_hex(12)}@{self.context.server_name}"
        dialog = Dialog(call_id=call_id, local=local, remote=remote, local_tag=secrets.token_hex(8))
        session = self._session(
            conversation, trunk, dialog, thread=thread or thread_from(call_id), outgoing=True
        )
        session.signalling_secured = trunk.settings.transports == ("tls",)
        session.origin = Origin(trunk.peer, conversation.remote.domain, "dialog", session.signalling_secured)
        if place is None:
            session.carrier = DialogCarrier(session)
            session.ours = offers.own_media(None, trunk)
            host = self._host(trunk)
        else:
            session.carrier = MsrpCarrier(
                session, self._some_links(), place, self.context.secret, self.context.clock
            )
            setup = Setup.ACTPASS if place.can_listen else Setup.ACTIVE
            session.ours = offers.own_media(place, trunk, setup=setup)
            host = place.host
        session.ours = replace(session.ours, host=host)
        session.description = offer(self._sdp_origin(host), session.ours)
        session.call.invite(session.description.encode(), MEDIA_TYPE, now)
        self.count("opened")
        self.pump(session)

    def _reserve(self, trunk: Trunk) -> Place | None:
        links, security = self.links, trunk.settings.session_security
        if links is None:
            return None
        if security == "tls" or (security == "auto" and trunk.settings.transports == ("tls",)):
            return links.reserve(secure=True)
        return links.reserve(secure=False)

    def _some_links(self) -> MsrpLinks:
        assert self.links is not None
        return self.links

    def _session(
        self, conversation: Conversation, trunk: Trunk, dialog: Dialog, *, thread: str, outgoing: bool
    ) -> Session:
        settings = trunk.settings
        transport = self._presence.transport_to(trunk)
        terms = CallTerms(
            contact=self._presence.contact(conversation.local, transport),
            headers=(("Allow", ALLOW),),
            session_s=settings.session_expires_s,
            ring_s=settings.session_ring_s,
            timing=self._timing,
        )
        call = Call(dialog, terms, random.random)
        session = Session(self, conversation, call, thread=thread, outgoing=outgoing, opened_at=self.now())
        conversation.sessions.append(session)
        self._sessions.add(session)
        self._by_tag[dialog.local_tag] = session
        return session

    def _host(self, trunk: Trunk) -> str:
        """Ours, as that peer reaches it."""
        sent_by = self._transports.sent_by(self._presence.transport_to(trunk))
        return split_host_port(sent_by, 5060)[0]

    def _sdp_origin(self, host: str) -> SdpOrigin:
        number = int(self.context.clock()) * 1000 + secrets.randbelow(1000)
        return SdpOrigin("-", number, number, host, address_type(host))

    # -- from the wire -------------------------------------------------------------------------------------

    def receive(self, transaction: ServerTransaction, request: Request, sender: Sender) -> bool:
        """An INVITE, or anything within a dialog. False for a MESSAGE that is to be taken like a page (its
        recipient is put into its Request-URI). Raises BadMessage."""
        if request.to.tag:
            return self._within(transaction, request, sender)
        if request.method != "INVITE":
            self._reception.answer(transaction, 481)
            return True
        try:
            self._invited(transaction, request, sender)
        except SdpError as error:
            headers: tuple[tuple[str, str], ...] = ()
            if isinstance(error, Unacceptable):
                headers = (("Warning", f'{error.warn_code} rialto "{error.text}"'),)
            elif error.condition == "415":
                headers = (("Accept", MEDIA_TYPE),)
            self.count("refused")
            self._reception.answer(transaction, int(error.condition), None, headers)
        return True

    def _within(self, transaction: ServerTransaction, request: Request, sender: Sender) -> bool:
        session = self._find(request)
        if session is None or session.conversation.peer != sender.trunk.peer.name:
            if request.method == "MESSAGE" and sender.trunk.settings.session_kind != "microsoft":
                return False  # QUIRK(old user agents): a page may come with a tag that means nothing to us
            self._reception.answer(transaction, 481)
            return True
        taken = True
        if not session.call.receive_request(transaction, request, self.now()):
            status, page = session.asked(transaction, request)
            if page:
                request.uri = session.call.dialog.local
                taken = False
            else:
                headers = (("Allow", ALLOW),) if status == 405 else ()
                self._reception.answer(transaction, status, None, headers)
        self.pump(session)
        return taken

    def acknowledged(self, request: Request) -> bool:
        """An ACK that belongs to no transaction; whether it belongs to a session."""
        session = self._find(request)
        if session is None:
            return False
        session.call.receive_ack(request, self.now())
        self.pump(session)
        return True

    def acknowledged_by_branch(self, invite: Request) -> None:
        """An ACK that was known by the branch of the INVITE, as RFC 2543 had it."""
        session = self._by_tag.get(self._reception.tag(invite))
        if session is not None:
            session.call.receive_ack(invite, self.now())
            self.pump(session)

    def _find(self, request: Request) -> Session | None:
        session = self._by_tag.get(request.to.tag or "")
        if session is None:
            return None
        dialog = session.call.dialog
        if dialog.call_id != request.call_id or (
            dialog.remote_tag and dialog.remote_tag != request.from_.tag
        ):
            return None
        return session

    def _invited(self, transaction: ServerTransaction, request: Request, sender: Sender) -> None:
        """Somebody calls one of ours: we answer for them (SES-10). Raises SdpError and BadMessage."""
        trunk, now = sender.trunk, self.now()
        flow: Any = transaction.flow
        try:
            recipient = address_of(request.request_uri)
        except AddressError as error:
            raise BadMessage(404, f"{error}", request) from None
        if not recipient.local:
            raise BadMessage(404, "Nobody Named In Request-URI", request)
        origin = Origin(trunk.peer, sender.address.domain, sender.proof, flow.secured)
        if self.stopping or len(self._sessions) >= self._max_sessions:
            self._reception.answer(transaction, 503, None, (("Retry-After", "60"),))
            return
        refusal = self.hub.would_refuse(sender.address, recipient, origin)
        if refusal is not None:  # SES-11
            self._reception.refuse(transaction, refusal)
            return
        description = offers.description_in(request)
        chosen: Chosen | None = None
        if description is not None:
            chosen = choose(description, lambda media: offers.objection(media, trunk, self.links))
        conversation = self._conversation(recipient, sender.address, trunk)
        conversation.remote_device = sender.address
        dialog = _dialog_of(request, self._reception.tag(request), recipient)
        thread = thread_from(request.call_id)
        session = self._session(conversation, trunk, dialog, thread=thread, outgoing=False)
        session.origin = origin
        session.signalling_secured = flow.secured
        session.call.receive_invite(transaction, request, now)
        try:
            if session.call.state is State.OFFERED:
                self._answer_offer(session, trunk, description, chosen)
                self.count("accepted")
        except SdpError:
            session.call.state = State.OVER
            self._end(session)
            raise
        self.pump(session)
        words = first_words(request)
        if words is not None and session.has_carrier:
            session.said_in_invite(*words, request.call_id)

    def _answer_offer(
        self, session: Session, trunk: Trunk, description: Description | None, chosen: Chosen | None
    ) -> None:
        media = chosen.media if chosen is not None else None
        call, now = session.call, self.now()
        headers: tuple[tuple[str, str], ...] = ()
        if media is not None and media.kind is MediaKind.MICROSOFT:
            session.carrier = carrier = DialogCarrier(session)
            carrier.media = session.theirs = media
            host = self._host(trunk)
            ours = replace(offers.own_media(None, trunk, answering=media, user=call.dialog.local), host=host)
            headers = (("Supported", "ms-text-format"),)
        else:
            links = self.links
            if links is None:
                raise Unacceptable(304, "no MSRP is spoken here")
            secure = media.secure if media is not None else False
            place = links.reserve(secure=secure)
            if place is None:
                raise Unacceptable(
                    305, "no MSRP over TLS is spoken here" if secure else "no MSRP is spoken here"
                )
            session.carrier = MsrpCarrier(session, links, place, self.context.secret, self.context.clock)
            if media is None:
                setup: Setup | None = Setup.ACTPASS if place.can_listen else Setup.ACTIVE
            else:
                setup = setup_for(media.setup, can_listen=place.can_listen)
            ours = offers.own_media(place, trunk, setup=setup, answering=media)
            host = place.host
        session.ours = ours
        if description is None or chosen is None:
            session.description = offer(self._sdp_origin(host), ours)
        else:
            session.their_description = description
            session.description = answer(description, chosen, ours, self._sdp_origin(host))
        call.accept(session.description.encode(), MEDIA_TYPE, now, headers)
        if media is not None and media.kind is MediaKind.MSRP:
            self._connect(session, media, we_offered=False)

    def _connect(self, session: Session, media: MessageMedia, *, we_offered: bool) -> None:
        """Both sides have spoken: let the carrier work."""
        trunk, carrier, ours = self._trunk_of(session.conversation.peer), session.carrier, session.ours
        session.theirs = media
        if isinstance(carrier, DialogCarrier):
            carrier.media = media
            return
        assert ours is not None
        assert carrier.place is not None
        if trunk is None:
            return
        cema = ours.cema and media.cema
        carrier.open(
            Terms(
                place=carrier.place,
                media=media,
                active=we_connect(ours.setup, media.setup, we_offered=we_offered),
                trunk=trunk,
                max_bytes_in=trunk.settings.session_max_bytes,
                connect_to=(media.host, media.port) if cema and media.moved else None,
            )
        )

    # -- from the calls ------------------------------------------------------------------------------------

    def responded(self, session: Session, kind: str, response: Response) -> None:
        """See `lines.Desk`."""
        session.call.receive_response(kind, response, self.now())
        if (
            response.status >= 200
            and kind.startswith("message")
            and isinstance(session.carrier, DialogCarrier)
        ):
            session.carrier.answered(kind, response)
        self.pump(session)

    def failed(self, session: Session, kind: str, error: DeliveryError | None) -> None:
        """See `lines.Desk`."""
        text = "no answer" if error is None else error.text or error.detail
        session.call.request_failed(kind, text, self.now())
        if kind.startswith("message") and isinstance(session.carrier, DialogCarrier):
            session.carrier.unanswered(kind, error)
        self.pump(session)

    def pump(self, session: Session) -> None:
        """Hand out what has happened, do what is to be done."""
        if session in self._pumping:
            return
        self._pumping.add(session)
        call = session.call
        try:
            while True:
                output = call.next_output()
                if output is not None:
                    self._do(session, output)
                    continue
                event = call.next_event()
                if event is None:
                    break
                self._happened(session, event)
        finally:
            self._pumping.discard(session)
        if call.state is State.OVER:
            self._end(session)
        self.watch(session)
        self._later()

    def watch(self, session: Session) -> None:
        """Its timers may have changed."""
        if self._agenda is not None and not session.over and not self.stopping:
            self._agenda.set(session)

    def _do(self, session: Session, output: Output) -> None:
        trunk = self._trunk_of(session.conversation.peer)
        if isinstance(output, Answer):
            self._respond(output)
        elif isinstance(output, Cancel):
            transaction = session.invitation.transaction if session.invitation is not None else None
            if transaction is not None:
                self._layer.cancel(transaction, self.now())
        elif trunk is None:
            if isinstance(output, Send):
                session.call.request_failed(output.kind, "the peer is no longer configured", self.now())
        elif isinstance(output, Send):
            self._send(session, output, trunk)
        else:
            self._acknowledge(session, output, trunk)

    def _send(self, session: Session, output: Send, trunk: Trunk) -> None:
        dialog, dispatch, domain = output.dialog, self._dispatch, session.conversation.remote.domain
        uri = _hop_of(dialog, trunk)
        route = dispatch.route(trunk, domain, uri)
        leg = Leg(self, session, output.kind)
        kind: type[Course] = Invitation if output.request.method == "INVITE" else Course
        course = kind(dispatch, leg, trunk, output.request, route, lambda: dialog.next_cseq(self.now()))
        if isinstance(course, Invitation) and output.kind == "invite":
            session.invitation = course
        dispatch.begin(course, domain, uri)

    def _acknowledge(self, session: Session, output: Acknowledge, trunk: Trunk) -> None:
        dialog, dispatch, domain = output.dialog, self._dispatch, session.conversation.remote.domain
        uri = _hop_of(dialog, trunk)
        request = output.request
        credentials = session.invitation.credentials if session.invitation is not None else None
        if credentials is not None:  # RFC 3261 section 22.1: the same as those of the INVITE
            request = Request("ACK", request.uri, [*request.headers, credentials], request.body)
        dispatch.begin(Shot(dispatch, trunk, request, dispatch.route(trunk, domain, uri)), domain, uri)

    def _respond(self, output: Answer) -> None:
        transaction: ServerTransaction = output.transaction
        if transaction.terminated:
            return
        request = transaction.request
        headers = list(output.headers)
        if output.status < 300:  # RFC 3261 section 12.1.1
            headers = [("Record-Route", line) for line in request.get_all("Record-Route")] + headers
        response = response_to(
            request, output.status, to_tag=self._reception.tag(request), headers=headers, body=output.body
        )
        try:
            self._layer.respond(transaction, response, self.now())
        except LocalProtocolError:
            _log.exception("an answer that can not be given", network=self.name, status=output.status)
        if output.status >= 200 and not output.again:
            self.hub.count("answered", self.name, transaction.method)

    def _happened(self, session: Session, event: Event) -> None:
        match event:
            case Answered(body=body):
                self._answered(session, body)
            case Acknowledged(body=body):
                self._acked(session, body)
            case CallRefused(response=response, status=status, cancelled=cancelled, text=text):
                self._call_refused(session, status, response, cancelled=cancelled, text=text)
            case Reoffered(request=request):
                self._reoffered(session, request)
            case Over(why=why, by_peer=by_peer):
                self._over(session, why, by_peer=by_peer)
            case Ringing():
                pass

    def _answered(self, session: Session, body: bytes) -> None:
        assert session.ours is not None
        try:
            description = parse_sdp(body)
            media = read_answer(session.ours, description)
        except SdpError as error:
            _log.info("an answer that is none", network=self.name, why=error.text)
            session.leaving = True
            self._decline(session.conversation, int(error.condition))
            session.call.bye(self.now(), error.text)
            return
        session.their_description = description
        self._connect(session, media, we_offered=True)
        if isinstance(session.carrier, DialogCarrier):
            self.ready(session)

    def _acked(self, session: Session, body: bytes) -> None:
        if session.theirs is None and session.ours is not None:  # the offer was ours
            try:
                media = read_answer(session.ours, parse_sdp(body))
            except SdpError as error:
                self.hang_up(session, error.text)
                return
            self._connect(session, media, we_offered=True)
        if isinstance(session.carrier, DialogCarrier):
            self.ready(session)

    def _reoffered(self, session: Session, request: Request) -> None:
        """Another offer: mostly the same one again (RFC 4975 section 8.4)."""
        now, call = self.now(), session.call
        assert session.description is not None
        try:
            description = offers.description_in(request)
            known = session.their_description
            if description is None or (known is not None and same_session(known, description)):
                call.accept(session.description.encode(), MEDIA_TYPE, now)
                return
            trunk = self._trunk_of(session.conversation.peer)
            if trunk is None:
                raise Unacceptable(399, "this peer is no longer configured")
            self._change(session, trunk, description)
        except Unacceptable as error:
            call.reject(488, now, (("Warning", f'{error.warn_code} rialto "{error.text}"'),))
        except SdpError as error:
            call.reject(int(error.condition), now)

    def _change(self, session: Session, trunk: Trunk, description: Description) -> None:
        chosen = choose(description, lambda media: offers.objection(media, trunk, self.links))
        media, old, ours = chosen.media, session.theirs, session.ours
        assert session.description is not None
        assert ours is not None
        if old is not None and media.kind is not old.kind:
            raise Unacceptable(305, "a session does not change its kind")
        carrier = session.carrier
        moved = isinstance(carrier, MsrpCarrier) and (old is None or media.path != old.path)
        if moved and isinstance(carrier, MsrpCarrier):
            place = self._some_links().reserve(secure=media.secure)
            if place is None:
                raise Unacceptable(305, "no such MSRP is spoken here")
            carrier.move(place)
            setup = setup_for(media.setup, can_listen=place.can_listen)
            ours = offers.own_media(place, trunk, setup=setup, answering=media)
        session.ours, session.their_description = ours, description
        before = session.description.origin
        origin = replace(before, version=before.version + 1)  # RFC 3264 section 8
        session.description = answer(description, chosen, ours, origin)
        session.call.accept(session.description.encode(), MEDIA_TYPE, self.now())
        if moved:
            self._connect(session, media, we_offered=False)
        else:
            session.theirs = media

    def _call_refused(
        self, session: Session, status: int, response: Response | None, *, cancelled: bool, text: str
    ) -> None:
        conversation = session.conversation
        session.leaving = True
        if cancelled and session.superseded:
            return
        self.count("declined")
        if status in NOBODY and response is not None:
            self._fail_held(conversation, error_from(response, _redirect(response)))
            return
        self._decline(conversation, 480 if cancelled else status)

    def _decline(self, conversation: Conversation, status: int) -> None:
        """There will be no session: what waited for it goes page by page."""
        person = conversation.remote
        self._declined[person] = self.now() + remembered_s(status)
        self._declined.move_to_end(person)
        if len(self._declined) > MAX_REMEMBERED:
            self._declined.popitem(last=False)
        self._release(conversation)

    def _release(self, conversation: Conversation) -> None:
        held, conversation.held = list(conversation.held), type(conversation.held)()
        for delivery in held:
            delivery.again()

    def _fail_held(self, conversation: Conversation, error: DeliveryError) -> None:
        held, conversation.held = list(conversation.held), type(conversation.held)()
        for delivery in held:
            delivery.failed(error)

    # -- the life of a session -----------------------------------------------------------------------------

    def ready(self, session: Session) -> None:
        """Messages can go over it: those that wait do. One that we are still calling for is called off
        (SES-27)."""
        if not session.ready:
            return
        conversation = session.conversation
        for other in conversation.sessions:
            if other is not session and other.call.state is State.CALLING:
                other.leaving = other.superseded = True
                other.call.cancel(self.now())
                self._loop.call_soon(self.pump, other)
        held, conversation.held = list(conversation.held), type(conversation.held)()
        for delivery in held:
            if not self._say(session, delivery, fits=False):
                delivery.again()
        self.watch(session)

    def broke(self, session: Session, error: str) -> None:
        """Its carrier is gone: so is the session (SES-28)."""
        if session.over:
            return
        _log.info("a session broke", network=self.name, why=error)
        self.count("broken")
        session.leaving = True
        session.call.bye(self.now(), error)
        self._lay_down(session)
        self.pump(session)

    def hang_up(self, session: Session, why: str) -> None:
        """End it."""
        session.leaving = True
        session.call.bye(self.now(), why)
        self._lay_down(session)
        self.pump(session)

    def _over(self, session: Session, why: str, *, by_peer: bool) -> None:
        self.count("ended")
        if by_peer and not session.leaving:
            session.gone()  # SES-8

    def _lay_down(self, session: Session) -> None:
        """Its carrier carries no more; what is unconfirmed goes another way."""
        if not session.has_carrier:
            return
        for parcel in session.carrier.close():
            self._give_back(parcel.delivery, sent=True)

    def _end(self, session: Session) -> None:
        """Forget it."""
        if session.over:
            return
        session.over = True
        conversation = session.conversation
        self._lay_down(session)
        self._sessions.discard(session)
        self._by_tag.pop(session.call.dialog.local_tag, None)
        if session in conversation.sessions:
            conversation.sessions.remove(session)
        if not conversation.sessions:
            self._release(conversation)
            if not conversation.sessions and self._conversations.get(conversation.key) is conversation:
                del self._conversations[conversation.key]

    def _call_later(self, delay_s: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        return self._loop.call_later(delay_s, callback)

    def _ring(self, session: Session, now: float) -> None:
        session.handle_timer(now)
        self.pump(session)


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


def _hop_of(dialog: Dialog, trunk: Trunk) -> Uri | None:
    """Where a dialog wants its requests to go (RFC 3261 section 12.2.1.1), unless all for this peer goes to
    its proxy, or there is no dialog yet."""
    return allowed(dialog, trunk) if dialog.remote_tag and trunk.proxy is None else None


def _redirect(response: Response) -> str:
    if response.status // 100 != 3:
        return ""
    try:
        contacts = response.contacts
    except BadMessage:
        return ""
    return str(contacts[0].uri) if contacts else ""
