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
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import structlog

from rialto.core.agenda import Agenda
from rialto.core.network import Context, Features, Peer
from rialto.model.address import Address
from rialto.model.errors import DeliveryError
from rialto.model.message import ChatState, Composing, Message
from rialto.net.hostport import split_host_port
from rialto.networks.sip.identity import Sender
from rialto.networks.sip.sessions.answering import Answering
from rialto.networks.sip.sessions.calling import Calling
from rialto.networks.sip.sessions.carrier import Fate, Parcel
from rialto.networks.sip.sessions.conversation import Conversation, Key
from rialto.networks.sip.sessions.dialog_carrier import DialogCarrier
from rialto.networks.sip.sessions.learnt import Learnt
from rialto.networks.sip.sessions.outgoing import Outgoing
from rialto.networks.sip.sessions.requests import Requests
from rialto.networks.sip.sessions.seam import MsrpLinks, Terms
from rialto.networks.sip.sessions.session import Session
from rialto.networks.sip.trunk import Trunk
from rialto.networks.sip.wire import Request, Response
from rialto.networks.sip.wire.call import (
    Acknowledged,
    Answered,
    Call,
    Event,
    Over,
    Refused,
    Reoffered,
    Ringing,
    State,
)
from rialto.networks.sip.wire.call import Terms as CallTerms
from rialto.networks.sip.wire.dialogs import Dialog
from rialto.networks.sip.wire.message_media import MessageMedia
from rialto.networks.sip.wire.offer_answer import Unacceptable, we_connect
from rialto.networks.sip.wire.sdp import MEDIA_TYPE, SdpError, address_type
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
        self.trunk_of = trunk_of
        self.spell = spell
        self.max_sessions = max_sessions
        self._timing = Timing(t1_s=t1_s, t2_s=8 * t1_s, t4_s=10 * t1_s)
        self.dispatch: Dispatch
        self.reception: Reception
        self.presence: SipPresence
        self._transports: Transports
        self.layer: TransactionLayer
        self._later: Callable[[], None]
        self._loop: asyncio.AbstractEventLoop
        self._agenda: Agenda[Session] | None = None
        self.conversations: dict[Key, Conversation] = {}
        self.sessions: set[Session] = set()
        self._by_tag: dict[str, Session] = {}
        self.learnt = Learnt(self.now)
        self.outgoing = Outgoing(self, measure)
        self.calling = Calling(self)
        self._answering = Answering(self)
        self._requests = Requests(self)
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
        self.dispatch = dispatch
        self.reception = reception
        self.presence = presence
        self._transports = transports
        self.layer = layer
        self._later = later
        self._loop = asyncio.get_running_loop()
        self._agenda = Agenda(self.now, self._call_later, self._ring)

    def stop(self) -> None:
        """Hang up everywhere; nothing waits for the answers. Connections end with their own network: what
        has not been confirmed is for the next run."""
        self.stopping = True
        for session in list(self.sessions):
            session.leaving = True
            session.call.bye(self.now(), "this gateway is going down")
            self.pump(session)
        if self._agenda is not None:
            self._agenda.stop()
        for session in self.sessions:
            session.over = True

    @property
    def full(self) -> bool:
        """Whether there may be no more sessions."""
        return self.stopping or len(self.sessions) >= self.max_sessions

    def __len__(self) -> int:
        return len(self.sessions)

    def now(self) -> float:
        """The loop's time: nothing here outlives a restart."""
        return self._loop.time()

    def count(self, what: str) -> None:
        """For the metrics."""
        self.hub.count("sessions", self.name, what)

    def idle_s(self, conversation: Conversation) -> float:
        """After how long a silence its sessions are ended."""
        trunk = self.trunk_of(conversation.peer)
        return trunk.settings.session_idle_s if trunk is not None else 0.0

    # -- for the hub ---------------------------------------------------------------------------------------

    def features(self, peer: Peer, recipient: Address, features: Features) -> Features:
        """See `Outgoing`."""
        return self.outgoing.features(peer, recipient, features)

    def deliver(self, delivery: Delivery, trunk: Trunk) -> bool:
        """See `Outgoing`."""
        return self.outgoing.deliver(delivery, trunk)

    def fate(self, session: Session, parcel: Parcel, fate: Fate, status: int, text: str) -> None:
        """See `Outgoing`."""
        self.outgoing.fate(session, parcel, fate, status, text)

    def compose(self, composing: Composing) -> bool:
        """Say over a session that somebody is writing; False where there is none. Whoever is gone ends it
        (SES-9)."""
        conversation = self.conversations.get((composing.sender.bare, composing.recipient.bare))
        session = conversation.ready() if conversation is not None else None
        if conversation is None or session is None:
            return False
        if composing.state is ChatState.GONE:
            for one in [one for one in conversation.sessions if not one.for_file]:
                self.hang_up(one, "our side has left")
        else:
            session.compose(composing)
        return True

    def conversation(self, local: Address, remote: Address, trunk: Trunk) -> Conversation:
        """The one of these two, which may have to be made."""
        key = (local.bare, remote.bare)
        conversation = self.conversations.get(key)
        if conversation is None:
            conversation = self.conversations[key] = Conversation(local, remote, trunk.peer.name)
        return conversation

    def some_links(self) -> MsrpLinks:
        """Where it is known that there are some."""
        assert self.links is not None
        return self.links

    def session(
        self, conversation: Conversation, trunk: Trunk, dialog: Dialog, *, thread: str, outgoing: bool
    ) -> Session:
        """Another one, under a call that has not begun."""
        settings = trunk.settings
        transport = self.presence.transport_to(trunk)
        terms = CallTerms(
            contact=self.presence.contact(conversation.local, transport),
            headers=(("Allow", ALLOW),),
            session_s=settings.session_expires_s,
            ring_s=settings.session_ring_s,
            timing=self._timing,
        )
        call = Call(dialog, terms, random.random)
        session = Session(self, conversation, call, thread=thread, outgoing=outgoing, opened_at=self.now())
        conversation.sessions.append(session)
        self.sessions.add(session)
        self._by_tag[dialog.local_tag] = session
        return session

    def host(self, trunk: Trunk) -> str:
        """Ours, as that peer reaches it."""
        sent_by = self._transports.sent_by(self.presence.transport_to(trunk))
        return split_host_port(sent_by, 5060)[0]

    def sdp_origin(self, host: str) -> SdpOrigin:
        """The `o=` line of a session that begins."""
        number = int(self.context.clock()) * 1000 + secrets.randbelow(1000)
        return SdpOrigin("-", number, number, host, address_type(host))

    def receive(self, transaction: ServerTransaction, request: Request, sender: Sender) -> bool:
        """An INVITE, or anything within a dialog. False for a MESSAGE that is to be taken like a page (its
        recipient is put into its Request-URI). Raises BadMessage."""
        if request.to.tag:
            return self._within(transaction, request, sender)
        if request.method != "INVITE":
            self.reception.answer(transaction, 481)
            return True
        try:
            self._answering.invited(transaction, request, sender)
        except SdpError as error:
            headers: tuple[tuple[str, str], ...] = ()
            if isinstance(error, Unacceptable):
                headers = (("Warning", f'{error.warn_code} rialto "{error.text}"'),)
            elif error.condition == "415":
                headers = (("Accept", MEDIA_TYPE),)
            self.count("refused")
            self.reception.answer(transaction, int(error.condition), None, headers)
        return True

    def _within(self, transaction: ServerTransaction, request: Request, sender: Sender) -> bool:
        session = self._find(request)
        if session is None or session.conversation.peer != sender.trunk.peer.name:
            if request.method == "MESSAGE" and sender.trunk.settings.session_kind != "microsoft":
                return False  # QUIRK(old user agents): a page may come with a tag that means nothing to us
            self.reception.answer(transaction, 481)
            return True
        taken = True
        if not session.call.receive_request(transaction, request, self.now()):
            status, page = session.asked(transaction, request)
            if page:
                request.uri = session.call.dialog.local
                taken = False
            else:
                headers = (("Allow", ALLOW),) if status == 405 else ()
                self.reception.answer(transaction, status, None, headers)
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
        session = self._by_tag.get(self.reception.tag(invite))
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

    def connect(self, session: Session, media: MessageMedia, *, we_offered: bool) -> None:
        """Both sides have spoken: let the carrier work."""
        trunk, carrier, ours = self.trunk_of(session.conversation.peer), session.carrier, session.ours
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
                    self._requests.do(session, output)
                    continue
                event = call.next_event()
                if event is None:
                    break
                self._happened(session, event)
        finally:
            self._pumping.discard(session)
        if call.state is State.OVER:
            self.end(session)
        self.watch(session)
        self._later()

    def watch(self, session: Session) -> None:
        """Its timers may have changed."""
        if self._agenda is not None and not session.over and not self.stopping:
            self._agenda.set(session)

    def _happened(self, session: Session, event: Event) -> None:
        match event:
            case Answered(body=body):
                self.calling.answered(session, body)
            case Acknowledged(body=body):
                self.calling.acknowledged(session, body)
            case Refused(response=response, status=status, cancelled=cancelled, text=text):
                self.calling.refused(session, status, response, cancelled=cancelled, text=text)
            case Reoffered(request=request):
                self._answering.reoffered(session, request)
            case Over(why=why, by_peer=by_peer):
                self._over(session, why, by_peer=by_peer)
            case Ringing():
                pass

    def decline(self, conversation: Conversation, status: int, why: str) -> None:
        """There will be no session: what waited for it goes page by page."""
        self.learnt.declined(conversation.remote, status)
        self._release(conversation, why)

    def _release(self, conversation: Conversation, why: str) -> None:
        held, conversation.held = list(conversation.held), type(conversation.held)()
        for delivery in held:
            delivery.again(why)
        self._tidy(conversation)

    def fail_held(self, conversation: Conversation, error: DeliveryError) -> None:
        """What waited for a session fails."""
        held, conversation.held = list(conversation.held), type(conversation.held)()
        for delivery in held:
            delivery.failed(error)
        self._tidy(conversation)

    def _tidy(self, conversation: Conversation) -> None:
        """Forget a conversation in which there is nothing."""
        if conversation.sessions or conversation.held:
            return
        if self.conversations.get(conversation.key) is conversation:
            del self.conversations[conversation.key]

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
        session.was_ready = True
        self.outgoing.flush(session)
        self.watch(session)

    def broke(self, session: Session, error: str) -> None:
        """Its carrier is gone: so is the session (SES-28)."""
        if session.over:
            return
        _log.info("a session broke", network=self.name, why=error)
        self.count("broken")
        session.leaving = session.broken = True
        session.call.bye(self.now(), error)
        self._lay_down(session)
        if not session.was_ready:  # it would break again
            self.decline(session.conversation, 0, error)
        self.pump(session)

    def hang_up(self, session: Session, why: str) -> None:
        """End it."""
        session.leaving = True
        session.call.bye(self.now(), why)
        self._lay_down(session)
        self.pump(session)

    def _over(self, session: Session, why: str, *, by_peer: bool) -> None:
        self.count("ended")
        if by_peer and (session.broken or not session.leaving):
            session.gone()  # SES-8

    def _lay_down(self, session: Session) -> None:
        """Its carrier carries no more; what is unconfirmed goes another way."""
        if not session.has_carrier:
            return
        for parcel in session.carrier.close():
            self.outgoing.give_back(parcel.delivery, sent=True)

    def end(self, session: Session) -> None:
        """Forget it."""
        if session.over:
            return
        session.over = True
        conversation = session.conversation
        self._lay_down(session)
        self.sessions.discard(session)
        self._by_tag.pop(session.call.dialog.local_tag, None)
        if session in conversation.sessions:
            conversation.sessions.remove(session)
        if not conversation.sessions:
            self._release(conversation, "the session has ended")

    def _call_later(self, delay_s: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        return self._loop.call_later(delay_s, callback)

    def _ring(self, session: Session, now: float) -> None:
        session.handle_timer(now)
        self.pump(session)
