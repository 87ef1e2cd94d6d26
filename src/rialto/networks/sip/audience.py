"""Watchers on SIP: the dialogs in which they are told, and what they are told in them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec
import structlog

from rialto.core.agenda import Agenda
from rialto.core.network import Origin, PairView
from rialto.model.errors import AddressError, DeliveryError, Reason
from rialto.model.presence import Document, Grant, Pair
from rialto.networks.sip.addresses import address_of
from rialto.networks.sip.conditions import retry_after
from rialto.networks.sip.documents import to_pidf
from rialto.networks.sip.dormant import Dormant, PackedDialog
from rialto.networks.sip.faces import with_face
from rialto.networks.sip.identity import Sender
from rialto.networks.sip.inbound import refusal
from rialto.networks.sip.profiles import to_numbers
from rialto.networks.sip.settings import PeerSettings
from rialto.networks.sip.wire import BadMessage, Request, Response
from rialto.networks.sip.wire.dialogs import Dialog, shared
from rialto.networks.sip.wire.eventing import Substate, accepts, event_of, preference
from rialto.networks.sip.wire.notifications import KeptNotifier, Notifier, RestingNotifier
from rialto.networks.sip.wire.publications import KeptPublication
from rialto.networks.sip.wire.transaction import ServerTransaction
from rialto.wire import msrtc
from rialto.wire.pidf import MEDIA_TYPE, write
from rialto.wire.pidf_diff import MEDIA_TYPE as PARTIAL_TYPE
from rialto.wire.pidf_diff import Writer

if TYPE_CHECKING:
    from rialto.networks.sip.presence import SipPresence

MAX_DIALOGS = 16
"""Of one watcher with one presentity: nobody has more devices."""

_log = structlog.get_logger(__name__)
_TRANSPORT = re.compile(r";transport=([a-z]+)")
_encoder = msgspec.msgpack.Encoder()


class _Kept(msgspec.Struct, array_like=True):
    """What outlives a restart, of one pair."""

    notifiers: list[KeptNotifier]
    publication: KeptPublication | None = None


_decoder: msgspec.msgpack.Decoder[_Kept] = msgspec.msgpack.Decoder(_Kept)
_old_decoder: msgspec.msgpack.Decoder[list[KeptNotifier]] = msgspec.msgpack.Decoder(list[KeptNotifier])


class _PackedNotifier(msgspec.Struct, array_like=True):
    """One dialog at rest; `transport` is that of our Contact."""

    dialog: PackedDialog
    transport: str
    machine: RestingNotifier


class _Packed(msgspec.Struct, array_like=True):
    """A pair at rest."""

    peer: int
    notifiers: list[_PackedNotifier]


_unpacker: msgspec.msgpack.Decoder[_Packed] = msgspec.msgpack.Decoder(_Packed)

_Headers = tuple[tuple[str, str], ...]

_REASONS: dict[Reason, str] = {
    Reason.NOT_FOUND: "noresource",
    Reason.DOMAIN_NOT_FOUND: "noresource",
    Reason.GONE: "noresource",
}
"""RFC 6665 section 4.1.3; every other refusal is a decision about the watcher: `rejected`."""


class Audience:
    """One pair: a notifier for each dialog that the watcher has."""

    __slots__ = ("alarm_at", "appointment", "notifiers", "pair", "peer")

    def __init__(self, pair: Pair, peer: str) -> None:
        self.pair = pair
        self.peer = peer
        self.notifiers: list[Notifier] = []
        self.alarm_at = 0.0
        self.appointment = 0
        """In force among those at rest."""

    def next_timer(self) -> float | None:
        """See `Appointed`."""
        return min(
            (at for notifier in self.notifiers if (at := notifier.next_timer()) is not None), default=None
        )

    def until(self) -> float | None:
        """When the last subscription ends; None where there is none."""
        return max(
            (n.expires_at for n in self.notifiers if not n.gone and n.state is not Substate.TERMINATED),
            default=None,
        )


class _Leg:
    """A NOTIFY under way, and whose it is."""

    __slots__ = ("_all", "_audience", "_notifier")

    def __init__(self, all_: Audiences, audience: Audience, notifier: Notifier) -> None:
        self._all = all_
        self._audience = audience
        self._notifier = notifier

    def responded(self, request: Request, response: Response) -> None:
        self._notifier.receive_response(response.status, self._all.now(), retry_after(response))
        self._all.pump(self._audience)

    def failed(self, request: Request, error: DeliveryError | None) -> None:
        self._notifier.request_failed(self._all.now())
        self._all.pump(self._audience)


class Audiences:
    """All of them."""

    def __init__(self, desk: SipPresence) -> None:
        self._desk = desk
        self._by_pair: dict[Pair, Audience] = {}
        self._by_tag: dict[str, Audience] = {}
        self._resting = Dormant(self._wake_up)
        self._agenda: Agenda[Audience] | None = None

    def __len__(self) -> int:
        return len(self._by_pair) + len(self._resting)

    def now(self) -> float:
        """Seconds since 1970."""
        return self._desk.clock()

    def start(self) -> None:
        """Timers may ring."""
        self._agenda = Agenda(self._desk.clock, self._desk.call_later, self._ring)
        for audience in self._by_pair.values():
            for notifier in audience.notifiers:
                notifier.contact = self._contact(audience, "")
            self._resting.watch_over(audience, self._agenda, self.now())
        self._resting.start(self._desk.clock, self._desk.call_later)

    def stop(self) -> None:
        """No more."""
        self._resting.stop()
        if self._agenda is not None:
            self._agenda.stop()

    def resume(self, view: PairView) -> KeptPublication | None:
        """Take up the dialogs of an earlier run; returned is what is published for this pair."""
        trunk = self._desk.trunk_of(view.watcher_peer.name)
        if trunk is None or view.watcher_data is None:
            return None
        try:
            kept = _read(view.watcher_data)
        except msgspec.DecodeError:
            _log.warning("a dialog of an earlier run cannot be read", pair=str(view.pair))
            return None
        audience = Audience(view.pair, trunk.peer.name)
        for one in kept.notifiers[:MAX_DIALOGS]:
            if one.expires_at > self.now():
                one.dialog.routes = shared(one.dialog.routes)
                # Which Contact, is known when the sockets are there.
                self._notifier(audience, trunk.settings, one.dialog, one.event_id, "").resume(one)
        if audience.notifiers and not self._rest(audience):
            self._by_pair[view.pair] = audience
        return kept.publication

    # -- what the hub says -----------------------------------------------------------------------------

    def tell(self, view: PairView) -> None:
        """The authorization or the document is news."""
        audience = self._find(view.pair)
        if audience is None:
            return
        now = self.now()
        for notifier in audience.notifiers:
            if notifier.sent is True and view.told_document is not None:
                notifier.sent = view.told_document  # it has been at rest
            match view.grant:
                case Grant.GRANTED:
                    if notifier.state is not Substate.ACTIVE or not _seen(notifier, view.document):
                        notifier.tell(Substate.ACTIVE, now)
                case Grant.REFUSED:
                    reason = Reason.FORBIDDEN if view.reason is None else view.reason
                    notifier.end(_REASONS.get(reason, "rejected"))
                case Grant.NONE:
                    notifier.end("deactivated")
                case Grant.PENDING:
                    pass  # they know
        self.pump(audience)

    # -- from the wire ---------------------------------------------------------------------------------

    def receive_subscribe(
        self, transaction: ServerTransaction, request: Request, sender: Sender, origin: Origin
    ) -> None:
        """A SUBSCRIBE for presence. Raises BadMessage."""
        settings = sender.trunk.settings
        if not accepts(request, MEDIA_TYPE) and not _likes_numbers(request, settings):
            # RFC 3856 section 6.5
            self._desk.answer(transaction, 406, (("Accept", MEDIA_TYPE),))
            return
        expires_s = self._desk.granted_s(transaction, request, settings)
        if expires_s is None:
            return
        if request.to.tag:
            self._refresh(transaction, request, sender, origin, expires_s)
        else:
            try:
                pair = Pair(sender.address.bare, address_of(request.request_uri).bare)
            except AddressError as error:
                raise BadMessage(404, str(error), request) from None
            if not pair.presentity.local:
                raise BadMessage(404, "Nobody Named In Request-URI", request)
            if not request.contacts:
                raise BadMessage(400, "Missing Contact", request)
            if expires_s:
                self._begin(transaction, request, sender, origin, pair, expires_s)
            else:
                self._look(transaction, request, sender, origin, pair)

    def _begin(
        self,
        transaction: ServerTransaction,
        request: Request,
        sender: Sender,
        origin: Origin,
        pair: Pair,
        expires_s: int,
    ) -> None:
        """RFC 8048 section 5.3.1: 200 at once, and a NOTIFY behind it, whatever the contact says later."""
        presence = self._desk.hub.presence
        audience = self._find(pair)
        if audience is not None and len(audience.notifiers) >= MAX_DIALOGS:
            self.pump(audience)
            self._desk.answer(transaction, 480, (("Retry-After", "60"),), "Too Many Subscriptions")
            return
        try:
            presence.ask(pair, origin)
        except DeliveryError as error:
            if audience is not None:
                self.pump(audience)
            self._refuse(transaction, error)
            return
        if audience is None or audience.peer != sender.trunk.peer.name:
            audience = self._by_pair[pair] = Audience(pair, sender.trunk.peer.name)
        notifier = self._admit(transaction, request, sender, audience, look=False)
        view = presence.view(pair)
        if view is not None and view.grant is Grant.GRANTED:
            notifier.state = Substate.ACTIVE
        notifier.subscribed(expires_s, self.now())
        self._desk.welcome(transaction, request, notifier.contact, expires_s)
        presence.open(pair, origin, self._until(audience))
        self.pump(audience)

    def _look(
        self,
        transaction: ServerTransaction,
        request: Request,
        sender: Sender,
        origin: Origin,
        pair: Pair,
    ) -> None:
        """RFC 8048 section 7.2: what is known, at once."""
        try:
            self._desk.hub.presence.fetch(pair, origin)
        except DeliveryError as error:
            self._refuse(transaction, error)
            return
        audience = Audience(pair, sender.trunk.peer.name)
        notifier = self._admit(transaction, request, sender, audience, look=True)
        notifier.end("timeout")
        self._desk.welcome(transaction, request, notifier.contact, 0)
        self.pump(audience)

    def _refresh(
        self,
        transaction: ServerTransaction,
        request: Request,
        sender: Sender,
        origin: Origin,
        expires_s: int,
    ) -> None:
        """RFC 8048 sections 5.3.2 and 5.3.3: nobody on the other side hears of it."""
        audience = self._by_tag.get(request.to.tag or "") or self._find_resting(request)
        notifier = None if audience is None else _notifier_of(audience, request)
        status = _objection(audience, notifier, request, sender, origin)
        if status or audience is None or notifier is None:
            if audience is not None:
                self.pump(audience)
            self._desk.answer(transaction, status, text="Out Of Order" if status == 500 else None)
            return
        notifier.dialog.aim(request)
        _choose_kind(notifier, request, sender.trunk.settings)
        notifier.subscribed(expires_s, self.now())
        self._desk.welcome(transaction, request, notifier.contact, expires_s)
        if expires_s and not self._desk.hub.presence.open(audience.pair, origin, self._until(audience)):
            notifier.end("deactivated")
        self.pump(audience)

    # -- the engine ------------------------------------------------------------------------------------

    def pump(self, audience: Audience) -> None:
        """Send what is to be sent, and forget what is over."""
        now, trunk = self.now(), self._desk.trunk_of(audience.peer)
        before = len(audience.notifiers)
        for notifier in list(audience.notifiers):
            request = notifier.next_request(now, lambda one, by: self._compose(audience.pair, one, by))
            if request is not None:
                if trunk is None:
                    notifier.gone = True
                else:
                    leg = _Leg(self, audience, notifier)
                    self._desk.send(request, notifier.dialog, trunk, audience.pair.watcher.domain, leg)
        changed = False
        for notifier in list(audience.notifiers):
            changed, notifier.changed = changed or notifier.changed, False
            if notifier.gone:
                audience.notifiers.remove(notifier)
                self._by_tag.pop(notifier.dialog.local_tag, None)
        if self._by_pair.get(audience.pair) is audience:
            if changed or len(audience.notifiers) != before:
                self.note(audience.pair)
            if not audience.notifiers:
                del self._by_pair[audience.pair]
        if audience.notifiers and not self._rest(audience):
            self._resting.watch_over(audience, self._agenda, self.now())

    # -- at rest ---------------------------------------------------------------------------------------

    def _rest(self, audience: Audience) -> bool:
        """Let it rest, if nothing is going on; it may not be used after that."""
        pair, packing, packed = audience.pair, self._desk.packing, []
        if self._by_pair.get(pair) not in (audience, None):
            return False
        for notifier in audience.notifiers:
            resting = notifier.rest()
            if resting is None:
                return False
            dialog = packing.pack(notifier.dialog, pair.presentity, pair.watcher)
            packed.append(_PackedNotifier(dialog, _transport_of(notifier.contact), resting))
        data = _encoder.encode(_Packed(packing.number_of(audience.peer), packed))
        self._resting.put(pair, data, audience.next_timer(), audience.appointment)
        audience.alarm_at = 0.0  # what the agenda still has of it is void
        for notifier in audience.notifiers:
            self._by_tag.pop(notifier.dialog.local_tag, None)
        self._by_pair.pop(pair, None)
        return True

    def _find(self, pair: Pair) -> Audience | None:
        """Wherever it is; one at rest is woken."""
        found = self._by_pair.get(pair)
        if found is not None:
            return found
        taken = self._resting.take(pair)
        if taken is None:
            return None
        packed, packing = _unpacker.decode(taken[0]), self._desk.packing
        trunk = self._desk.trunk_of(packing.name_of(packed.peer))
        if trunk is None:
            return None  # no longer configured; it runs out by itself
        audience = self._by_pair[pair] = Audience(pair, trunk.peer.name)
        audience.appointment = taken[1]
        for one in packed.notifiers:
            dialog = packing.unpack(one.dialog, pair.presentity, pair.watcher)
            contact = self._contact(audience, one.transport)
            self._notifier(audience, trunk.settings, dialog, one.machine.event_id, contact).wake(one.machine)
        return audience

    def _find_resting(self, request: Request) -> Audience | None:
        """Whose dialog a SUBSCRIBE may belong to, by who asks for whom."""
        try:
            pair = Pair(address_of(request.from_.uri).bare, address_of(request.to.uri).bare)
        except AddressError:
            return None
        return self._find(pair) if pair in self._resting else None

    def _wake_up(self, pair: Pair, now: float) -> None:
        audience = self._find(pair)
        if audience is not None:
            self._ring(audience, now)

    def _contact(self, audience: Audience, transport: str) -> str:
        trunk = self._desk.trunk_of(audience.peer)
        return self._desk.contact(audience.pair.presentity, transport or self._desk.transport_to(trunk))

    def _until(self, audience: Audience) -> float | None:
        return None if self._desk.publications.needs(audience.pair) else audience.until()

    def note(self, pair: Pair) -> None:
        """Tell the hub how long the watcher listens, and what to write down."""
        resting, publications = pair in self._resting, self._desk.publications
        audience = self._find(pair)
        notifiers = () if audience is None else audience.notifiers
        presence, until = self._desk.hub.presence, None if audience is None else audience.until()
        if publications.needs(pair):
            presence.open(pair, None)  # somebody listens as long as it is published
        elif until is None:
            presence.close(pair, None)
        else:
            presence.open(pair, None, until)
        kept = _Kept(
            [one for notifier in notifiers if (one := notifier.kept()) is not None], publications.kept(pair)
        )
        empty = not kept.notifiers and kept.publication is None
        # An entity tag that is lost cannot be taken back.
        presence.keep(
            pair, "watcher", None if empty else _encoder.encode(kept), at_once=publications.needs(pair)
        )
        if resting and audience is not None:
            self._rest(audience)

    def _ring(self, audience: Audience, now: float) -> None:
        for notifier in audience.notifiers:
            notifier.handle_timer(now)
        self.pump(audience)

    def _compose(self, pair: Pair, notifier: Notifier, by_watcher: bool) -> tuple[bytes, _Headers]:
        """The document for a NOTIFY; nothing where nothing is known, never an invented `closed` (PRS-82)."""
        document: Document | None = None
        if by_watcher:
            # RFC 8048 section 5.3.3: for this dialog everybody is offline from now on.
            document = Document(as_of=self.now()) if notifier.sent is not None else None
        elif notifier.state is Substate.ACTIVE or notifier.look:
            view = self._desk.hub.presence.view(pair)
            if view is not None and view.grant is Grant.GRANTED:
                document = view.document
        if document is None:
            return b"", ()
        presence = to_pidf(document, pair.presentity, gone=notifier.shown)
        presence = with_face(presence, self._desk.hub.faces.seen(pair))
        shown = tuple(state.instance for state in document.states)
        if shown != notifier.shown:
            notifier.shown = shown
            notifier.changed = True
        notifier.sent = document
        if notifier.numbers:
            address = f"{pair.presentity.local}@{pair.presentity.domain}"
            return msrtc.write(address, to_numbers(document)), (("Content-Type", msrtc.MEDIA_TYPE),)
        if notifier.partial is not None:
            notifier.changed = True
            return notifier.partial.write(presence), (("Content-Type", PARTIAL_TYPE),)
        return write(presence), (("Content-Type", MEDIA_TYPE),)

    def _admit(
        self,
        transaction: ServerTransaction,
        request: Request,
        sender: Sender,
        audience: Audience,
        *,
        look: bool,
    ) -> Notifier:
        """A notifier in the dialog that this SUBSCRIBE makes."""
        dialog = self._desk.admit(request)
        transport = transaction.flow.transport  # type: ignore[attr-defined]
        contact = self._desk.contact(audience.pair.presentity, transport)
        notifier = self._notifier(
            audience, sender.trunk.settings, dialog, event_of(request)[1], contact, look=look
        )
        _choose_kind(notifier, request, sender.trunk.settings)
        return notifier

    def _notifier(
        self,
        audience: Audience,
        settings: PeerSettings,
        dialog: Dialog,
        event_id: str,
        contact: str,
        *,
        look: bool = False,
    ) -> Notifier:
        notifier = Notifier(
            dialog, contact=contact, event_id=event_id, every_s=settings.notify_every_s, look=look
        )
        audience.notifiers.append(notifier)
        self._by_tag[dialog.local_tag] = audience
        return notifier

    def _refuse(self, transaction: ServerTransaction, error: DeliveryError) -> None:
        status, text, headers = refusal(error)
        self._desk.answer(transaction, status, headers, text)


def _likes_numbers(request: Request, settings: PeerSettings) -> bool:
    """Whether a SUBSCRIBE prefers the documents of Microsoft's servers, from a peer that is one."""
    liked = settings.profile == "microsoft" and preference(request, msrtc.MEDIA_TYPE)
    return bool(liked) and liked >= preference(request, MEDIA_TYPE)


def _choose_kind(notifier: Notifier, request: Request, settings: PeerSettings) -> None:
    """Whole or partial documents: what the last SUBSCRIBE prefers, and whole ones where it does not say
    (RFC 5263 section 4.3)."""
    notifier.numbers = _likes_numbers(request, settings)
    liked = 0.0 if notifier.numbers else preference(request, PARTIAL_TYPE)
    if not liked or liked < preference(request, MEDIA_TYPE):
        notifier.partial = None
    elif notifier.partial is None:
        notifier.partial = Writer()


def _read(data: bytes) -> _Kept:
    """Raises msgspec.DecodeError."""
    try:
        return _decoder.decode(data)
    except msgspec.ValidationError:
        return _Kept(_old_decoder.decode(data))  # as it was before anything was published


def _objection(
    audience: Audience | None, notifier: Notifier | None, request: Request, sender: Sender, origin: Origin
) -> int:
    """The status with which a SUBSCRIBE in a dialog is refused; 0 for none."""
    if audience is None or notifier is None or notifier.state is Substate.TERMINATED or notifier.gone:
        return 481
    if origin.peer.name != audience.peer or sender.address.bare != audience.pair.watcher:
        return 403
    if request.from_.tag != notifier.dialog.remote_tag or event_of(request)[1] != notifier.event_id:
        return 481
    return 0 if notifier.dialog.in_order(request) else 500


def _transport_of(contact: str) -> str:
    """The transport that a Contact of ours names."""
    found = _TRANSPORT.search(contact)
    return found[1] if found is not None else "udp" if contact else ""


def _seen(notifier: Notifier, document: Document | None) -> bool:
    """Whether the watcher has this on the screen."""
    if document is None:
        return True
    return isinstance(notifier.sent, Document) and document.same_news(notifier.sent)


def _notifier_of(audience: Audience, request: Request) -> Notifier | None:
    """Whose dialog it is."""
    for notifier in audience.notifiers:
        dialog = notifier.dialog
        if dialog.local_tag == request.to.tag and dialog.call_id == request.call_id:
            return notifier
    return None
