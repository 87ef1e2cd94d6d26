"""What goes out: by which way, as what, and what became of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import structlog
from msgspec.structs import replace

from rialto.core.network import Features, Peer, hop
from rialto.model.address import Address
from rialto.model.errors import Busy, DeliveryError, Reason, Refused
from rialto.model.message import Kind, Message, Report
from rialto.networks.sip.conditions import meaning
from rialto.networks.sip.sessions.carrier import Fate, Parcel
from rialto.networks.sip.sessions.learnt import NOBODY
from rialto.networks.sip.sessions.policy import Facts, Way, way
from rialto.networks.sip.trunk import Trunk

if TYPE_CHECKING:
    from rialto.core.network import Delivery
    from rialto.networks.sip.sessions.desk import SipSessions
    from rialto.networks.sip.sessions.session import Session

MAX_HELD: Final = 100
MAX_FEATURES: Final = 1_000
ANEW_S: Final = 0.05
AGAIN_S: Final = 5.0
"""When a message is tried again whose session has broken: the first time, and from then on."""

_log = structlog.get_logger(__name__)


class Outgoing:
    """See the module. `measure` says how long a message would be as a page."""

    def __init__(self, desk: SipSessions, measure: Callable[[Message, Peer], int]) -> None:
        self._desk = desk
        self._measure = measure
        self._features: dict[tuple[str, int | None], tuple[Features, Features]] = {}

    def features(self, peer: Peer, recipient: Address, features: Features) -> Features:
        """What a recipient can carry, if a session can be had: `features` but for the length."""
        settings = peer.settings
        if features.max_bytes is None or settings.sessions == "never" or self._desk.stopping:
            return features
        if (settings.session_kind == "msrp" and self._desk.links is None) or self._desk.full:
            return features
        person = recipient.bare
        if self._desk.learnt.declines(person):
            return features
        limit = self._desk.learnt.limit(person, settings.session_max_bytes)
        if limit <= features.max_bytes:
            return features
        key = (peer.name, limit)
        known = self._features.get(key)
        if known is None or known[0] is not features:
            if len(self._features) > MAX_FEATURES:
                self._features.clear()
            known = self._features[key] = (features, replace(features, max_bytes=limit))
        return known[1]

    def deliver(self, delivery: Delivery, trunk: Trunk) -> bool:
        """Take it over a session; False where it goes page by page."""
        settings, content = trunk.settings, delivery.content
        if settings.sessions == "never":
            return False
        if isinstance(content, Report) and content.reason in NOBODY:
            self._desk.learnt.nobody(content.sender.bare)
        is_message = isinstance(content, Message)
        key = (content.sender.bare, content.recipient.bare)
        conversation = self._desk.conversations.get(key)
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
                declined=self._desk.learnt.declines(person)
                or (settings.session_kind == "msrp" and self._desk.links is None),
                full=self._desk.full,
            )
        )
        if decision is Way.SESSION and session is not None:
            return self.say(session, delivery, fits=fits)
        if decision is Way.PAGE:
            if not fits:
                delivery.again(why)  # it was made for a session, and there is none
                return True
            return False
        if conversation is None:
            conversation = self._desk.conversation(content.sender, content.recipient, trunk)
        if len(conversation.held) >= MAX_HELD:
            delivery.failed(Busy(Reason.CONGESTION, "too many messages wait for the session"))
            return True
        conversation.local_device = content.sender
        conversation.held.append(delivery)
        if decision is Way.OPEN:
            _log.debug("a session is opened", network=self._desk.name, why=why)
            self._desk.calling.open(conversation, trunk, delivery)
        return True

    def _fits(self, message: Message, peer: Peer, page_bytes: int | None) -> bool:
        if page_bytes is None or 6 * (len(message.text) + len(message.subject) + len(message.rich)) < (
            page_bytes - 500
        ):
            return True
        return self._measure(message, peer) <= page_bytes

    def say(self, session: Session, delivery: Delivery, *, fits: bool) -> bool:
        """Over this session, if its other side takes such a thing."""
        if not session.is_taken_by(delivery):
            self._desk.learnt.takes_at_most(delivery.content.recipient.bare, session.carrier.max_bytes)
            delivery.again("longer than the other side of the session takes")
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
        if isinstance(delivery.content, Message):
            session.conversation.local_device = delivery.content.sender  # SES-7
        session.send(parcel)
        return True

    def fate(self, session: Session, parcel: Parcel, fate: Fate, status: int, text: str) -> None:
        """What became of a parcel: told to its delivery."""
        delivery = parcel.delivery
        if fate is Fate.TAKEN:
            self._desk.learnt.arrived(delivery.content.id)
            proof = session.origin.proof
            delivery.delivered(f"{status} over {session.carrier.name}", hop(proof, session.carrier.secured))
        elif fate is Fate.REFUSED:
            self._refused(session, parcel, status, text)
        else:
            self.give_back(delivery, sent=fate is Fate.LOST)

    def _refused(self, session: Session, parcel: Parcel, status: int, text: str) -> None:
        delivery, content = parcel.delivery, parcel.delivery.content
        if status == 413 and isinstance(content, Message):  # SES-16: not again as it was
            page = delivery.peer.features.max_bytes or 1300
            self._desk.learnt.takes_at_most(
                content.recipient.bare, max(page, len(content.text.encode()) // 2)
            )
            delivery.again(f"{status} {text}".strip())
        elif status in (481, 506):
            self._desk.broke(session, f"{status} {text}")
            self.give_back(delivery, sent=False)
        elif status == 415 and parcel.has_form and isinstance(content, Message):
            session.carrier.without_form()  # it said that it takes form, and does not
            self.say(session, delivery, fits=False)
        else:
            reason, _ = meaning(status)
            delivery.failed(
                Refused(reason, text or "the other side did not take it", detail=f"MSRP {status}")
            )

    def give_back(self, delivery: Delivery, *, sent: bool) -> None:
        """Its session has broken: sent anew nearly at once, and a while later if that breaks as well."""
        wait_s = ANEW_S if self._desk.learnt.broke(delivery.content.id) else AGAIN_S
        error = Busy(Reason.UNAVAILABLE, "the session broke", certain=not sent, retry_after_s=wait_s)
        delivery.failed(error)

    def flush(self, session: Session) -> None:
        """What has waited for a session goes over it."""
        conversation = session.conversation
        held, conversation.held = list(conversation.held), type(conversation.held)()
        for delivery in held:
            if not self.say(session, delivery, fits=False):
                delivery.again("the other side of the session takes nothing like that")
