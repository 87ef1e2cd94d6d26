"""One session: a call, and what carries its messages; its own end of both, and what it tells the hub."""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

import structlog
from msgspec.structs import replace

from rialto.core.network import Origin
from rialto.model.errors import DeliveryError, LocalProtocolError, Refused
from rialto.model.message import ChatState, Composing, Disposition, Message
from rialto.networks.sip import bodies
from rialto.networks.sip.conditions import meaning
from rialto.networks.sip.fates import Fates
from rialto.networks.sip.sessions.carrier import Fate, Parcel
from rialto.networks.sip.sessions.dialog_carrier import (
    TYPING_LASTS_S,
    DialogCarrier,
    typing_of,
)
from rialto.networks.sip.sessions.file_carrier import FileCarrier
from rialto.networks.sip.sessions.learnt import NOBODY
from rialto.networks.sip.sessions.msrp_carrier import MsrpCarrier
from rialto.networks.sip.sessions.seam import Incoming
from rialto.networks.sip.sessions.spoken import Said, Uttered, msrp_status
from rialto.networks.sip.sessions.words import message_from, read
from rialto.networks.sip.typing_notices import Reader, Writer
from rialto.networks.sip.wire import MediaType
from rialto.networks.sip.wire.call import Call
from rialto.networks.sip.wire.message_media import MessageMedia
from rialto.networks.sip.wire.sdp import Description
from rialto.wire.iscomposing import IsComposing

if TYPE_CHECKING:
    from rialto.core.network import Delivery
    from rialto.networks.sip.sessions.conversation import Conversation
    from rialto.networks.sip.sessions.desk import SipSessions
    from rialto.networks.sip.sessions.lines import Invitation
    from rialto.networks.sip.wire import Request
    from rialto.networks.sip.wire.transaction import ServerTransaction

MAX_REPORTS: Final = 256

_log = structlog.get_logger(__name__)


class Session:
    """See the module. `origin` is who the other side was proven to be; of a session that we opened, by what
    it was reached."""

    def __init__(
        self,
        desk: SipSessions,
        conversation: Conversation,
        call: Call,
        *,
        thread: str,
        outgoing: bool,
        opened_at: float,
    ) -> None:
        self.desk = desk
        self.conversation = conversation
        self.call = call
        self.thread = thread
        self.outgoing = outgoing
        self._carrier: MsrpCarrier | DialogCarrier | FileCarrier | None = None
        self.ours: MessageMedia | None = None
        self.theirs: MessageMedia | None = None
        self.description: Description | None = None
        """What we said last of our side."""
        self.their_description: Description | None = None
        self.invitation: Invitation | None = None
        self.origin: Origin
        self.signalling_secured = False
        self.opened_at = opened_at
        self.last_activity = opened_at
        self.over = False
        self.leaving = False
        """It is being closed, or not even wanted any more."""
        self.broken = False
        """Its carrier was lost."""
        self.was_ready = False
        """Messages could be sent over it at some time."""
        self.superseded = False
        """The other side has called meanwhile (SES-27)."""
        self.alarm_at = 0.0
        self.tags: tuple[str, ...] = ()
        self._reports: OrderedDict[str, str] = OrderedDict()
        """Of what we have sent: MSRP Message-ID to our id, where a report was asked for."""
        self._owed: OrderedDict[str, int] = OrderedDict()
        """Of what they have sent: Message-ID to its size, where they asked for a report."""
        self._writer = Writer(conversation.local, conversation.remote, thread)
        self._reader = Reader(conversation.remote, conversation.local)

    def __repr__(self) -> str:
        return f"<Session {self.conversation.local} {self.conversation.remote} {self.call.state}>"

    @property
    def has_carrier(self) -> bool:
        """Whether it came so far."""
        return self._carrier is not None

    @property
    def carrier(self) -> MsrpCarrier | DialogCarrier | FileCarrier:
        """What carries its messages. Raises LocalProtocolError before there is any."""
        if self._carrier is None:
            raise LocalProtocolError("a session without a carrier")
        return self._carrier

    @carrier.setter
    def carrier(self, carrier: MsrpCarrier | DialogCarrier | FileCarrier) -> None:
        self._carrier = carrier

    @property
    def for_file(self) -> bool:
        """Whether it is for a file, and for nothing else."""
        return isinstance(self._carrier, FileCarrier)

    @property
    def ready(self) -> bool:
        """Whether messages can be sent over it now."""
        return not self.over and not self.leaving and self._carrier is not None and self._carrier.ready

    def uris(self) -> tuple[str, str]:
        """Ours and theirs, as in From and To."""
        return self.call.dialog.local, self.call.dialog.remote

    # -- timers -------------------------------------------------------------------------------------------

    @property
    def _idle_at(self) -> float:
        return self.last_activity + self.desk.idle_s(self.conversation)

    def next_timer(self) -> float | None:
        """See `Appointed`."""
        if self.over:
            return None
        timers = [self.call.next_timer(), self._writer.next_timer(), self._reader.next_timer()]
        if self.ready:
            timers.append(self._idle_at)
        return min((at for at in timers if at is not None), default=None)

    def handle_timer(self, now: float) -> None:
        """Let time pass."""
        self.call.handle_timer(now)
        lapsed = self._reader.handle_timer(now)
        if lapsed is not None:
            self._tell(lapsed)  # what they promised to repeat has not been repeated
        self._writer.handle_timer(now)
        self._say()
        if self.ready and self._idle_at <= now:
            self.desk.count("idle")
            self.gone()
            self.leaving = True
            self.call.bye(now, "nothing was said for long")

    def active(self) -> None:
        """Something was said."""
        self.last_activity = self.desk.now()

    # -- out ----------------------------------------------------------------------------------------------

    def send(self, parcel: Parcel) -> None:
        """Send a parcel."""
        self.active()
        if isinstance(parcel.delivery.content, Message):
            self._writer.ended()
        if parcel.wants_report:
            self._reports[parcel.message_id] = parcel.delivery.content.id
            if len(self._reports) > MAX_REPORTS:
                self._reports.popitem(last=False)
        self.carrier.send(parcel)

    def ask(self, method: str, kind: str, headers: tuple[tuple[str, str], ...], body: bytes) -> None:
        """Send a request within the dialog."""
        self.call.request(method, self.desk.now(), headers, body, kind=kind)
        self.desk.pump(self)

    def compose(self, composing: Composing) -> None:
        """Say that somebody is writing, or no more."""
        self._writer.changed(composing.state, self.desk.now())
        self._say()

    def _say(self) -> None:
        if self._writer.unsaid and self.ready:
            if self.carrier.compose(self._writer.say(self.desk.now())):
                self.active()
            else:
                self._writer.ended()
            self.desk.watch(self)

    def fate(self, parcel: Parcel, fate: Fate, status: int, text: str) -> None:
        """What became of a parcel."""
        self.desk.fate(self, parcel, fate, status, text)

    def owes_report(self, message_id: str) -> bool:
        """Whether they wait for a report on that message."""
        return message_id in self._owed

    def report(self, message_id: str, status: int, size: int | None = None, comment: str = "") -> bool:
        """Report on a message of theirs; False where that can't be done any more."""
        owed = self._owed.pop(message_id, None)
        size = owed if size is None else size
        if (
            self.over
            or not (self.carrier.ready or self.for_file)
            or size is None
            or isinstance(self.carrier, DialogCarrier)
        ):
            return False
        self.carrier.report(message_id, status, size, comment)
        return True

    def failed(self, error: DeliveryError) -> None:
        """A message of theirs did not arrive."""
        if error.reason in NOBODY:
            self.desk.learnt.nobody(self.conversation.local)

    # -- in -----------------------------------------------------------------------------------------------

    def heard(self, incoming: Incoming) -> None:
        """A message of theirs, over MSRP."""
        self.active()
        desk = self.desk
        try:
            said = read(incoming.content_type, incoming.body)
        except bodies.BodyError as error:
            desk.count("unread")
            incoming.refuse(415 if isinstance(error, bodies.Unsupported) else 400, str(error))
            return
        self.heard_of(said, incoming)

    def heard_of(self, said: bodies.Said, incoming: Incoming) -> None:
        """What a message of theirs says."""
        desk = self.desk
        try:
            self._meet(said, incoming)
        except DeliveryError as error:
            incoming.refuse(msrp_status(error), error.text)
        except Exception:
            # The sender must hear something, and the next message must not suffer from this one.
            _log.exception("a message could not be taken", network=desk.name)
            incoming.refuse(403, "the gateway failed")

    def _meet(self, said: bodies.Said, incoming: Incoming) -> None:
        conversation, desk = self.conversation, self.desk
        if said.composing is not None:
            self.typed(said.composing)
        if said.imdns:
            fates = Fates(desk.hub, desk.context.secret, desk.name)
            at = said.envelope.sent_at if said.envelope is not None else None
            fates.take(
                said.imdns,
                self._proven(),
                sender=conversation.remote,
                recipient=conversation.local,
                at=at,
                inbound=Said(self, incoming),
            )
            return
        if not (said.text or said.files or said.sealed):
            incoming.accept()
            return
        message = message_from(
            said,
            hub_id=desk.hub.new_id(),
            sender=conversation.remote_device,
            recipient=conversation.local_device,
            thread=self.thread,
            message_id=incoming.message_id,
            wants_report=incoming.success_report,
            now=desk.context.clock(),
        )
        if incoming.success_report:
            self._owed[incoming.message_id] = len(incoming.body)
            if len(self._owed) > MAX_REPORTS:
                self._owed.popitem(last=False)
        self._reader.ended()
        desk.hub.accept(message, self._proven(), Said(self, incoming))

    def _proven(self) -> Origin:
        """Who speaks over the session: as proven by the call, as safe as the carrier."""
        return replace(self.origin, secured=self.carrier.secured)

    def said_in_invite(self, media: MediaType, body: bytes, call_id: str) -> None:
        """The INVITE brought a message along (Microsoft's `ms-text-format`)."""
        desk = self.desk
        try:
            self._meet(bodies.read(media, body), Uttered(f"invite {call_id}", str(media), body))
        except (bodies.BodyError, DeliveryError) as error:
            desk.count("unread")
            _log.info("the words of an INVITE were not taken", network=desk.name, why=str(error))

    def typed(self, status: IsComposing) -> None:
        """They are writing, or no more."""
        self.active()
        news = self._reader.told(status, self.desk.now())
        if news is not None:
            self._tell(news)
        self.desk.watch(self)

    def gone(self) -> None:
        """Tell our side that theirs has left (SES-8, SES-9)."""
        if self.for_file:
            return
        self._reader.ended()
        self._tell(ChatState.GONE)

    def _tell(self, state: ChatState) -> None:
        conversation = self.conversation
        composing = Composing(
            sender=conversation.remote, recipient=conversation.local_device, state=state, thread=self.thread
        )
        self.desk.hub.compose(composing, self.origin)

    def reported(self, message_id: str, status: int, comment: str) -> None:
        """What became of a message of ours, end to end."""
        content_id = self._reports.pop(message_id, None)
        if content_id is None:
            return
        conversation, desk = self.conversation, self.desk
        if status >= 300:
            error = Refused(meaning(status).reason, comment or "the other side did not take it")
            desk.hub.returned(content_id, error, self.origin)
            return
        with contextlib.suppress(DeliveryError):  # it is counted there
            desk.hub.receipt(
                self._proven(),
                sender=conversation.remote,
                recipient=conversation.local,
                about=content_id,
                disposition=Disposition.DELIVERED,
            )

    def asked(self, transaction: ServerTransaction, request: Request) -> tuple[int, bool]:
        """A request within the dialog that is not the call's: (status, False), or (0, True) for a MESSAGE
        that is to be taken like any other."""
        self.active()
        if request.method == "MESSAGE":
            return 0, True
        if request.method != "INFO":
            return 405, False
        typing = typing_of(request)
        if typing is not None:
            self.typed(IsComposing(active=typing, refresh_s=TYPING_LASTS_S))
        elif request.body:
            return 415, False
        return 200, False

    # -- the carrier's life --------------------------------------------------------------------------------

    def carrier_ready(self) -> None:
        """Messages can be sent from now on."""
        self.active()
        self.desk.ready(self)

    def carrier_lost(self, error: str) -> None:
        """It broke: the session goes with it (SES-28)."""
        self.desk.broke(self, error)

    def is_taken_by(self, delivery: Delivery) -> bool:
        """Whether the other side takes something of that length."""
        limit = self.carrier.max_bytes
        content = delivery.content
        return limit is None or not isinstance(content, Message) or len(content.text.encode()) <= limit
