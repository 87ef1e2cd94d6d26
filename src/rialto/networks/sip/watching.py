"""Pairs whose presentity is on SIP: what the hub wants, and what the subscriber's machine makes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import structlog

from rialto.core.agenda import Agenda
from rialto.core.network import Origin, PairView, Verb
from rialto.model.errors import AddressError, DeliveryError, Reason, Unreachable
from rialto.model.errors import Refused as RefusedError
from rialto.model.presence import Document, Grant, Pair
from rialto.networks.sip.addresses import address_of, uri_of
from rialto.networks.sip.conditions import meaning
from rialto.networks.sip.documents import from_pidf
from rialto.networks.sip.dormant import Dormant, PackedDialog
from rialto.networks.sip.faces import face_in
from rialto.networks.sip.profiles import from_numbers
from rialto.networks.sip.trunk import Trunk
from rialto.networks.sip.wire import BadMessage, Request, Response
from rialto.networks.sip.wire.dialogs import Dialog, shared
from rialto.networks.sip.wire.subscriptions import Kept, Resting, State, Subscriber
from rialto.networks.sip.wire.verdicts import Active, Ended, Event, News, Pending, Refused, Silent
from rialto.wire import msrtc
from rialto.wire.pidf import MEDIA_TYPE, PidfError, Presence, parse
from rialto.wire.pidf_diff import MEDIA_TYPE as PARTIAL_TYPE
from rialto.wire.pidf_diff import OutOfStep, Reader

if TYPE_CHECKING:
    from rialto.networks.sip.presence import SipPresence

_log = structlog.get_logger(__name__)
_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Kept] = msgspec.msgpack.Decoder(Kept)

ACCEPT_PARTIAL = f"{PARTIAL_TYPE}, {MEDIA_TYPE};q=0.5"
"""RFC 5263 section 4.2: both, and which is the better."""


class _Packed(msgspec.Struct, array_like=True):
    """A pair at rest."""

    peer: int
    dialog: PackedDialog
    machine: Resting


_packer = msgspec.msgpack.Encoder()
_unpacker: msgspec.msgpack.Decoder[_Packed] = msgspec.msgpack.Decoder(_Packed)

_Answer = tuple[int, tuple[tuple[str, str], ...]]


class Watching:
    """One pair: its subscription, and a look beside it where there is one."""

    __slots__ = (
        "_desk",
        "alarm_at",
        "appointment",
        "giving_back",
        "looker",
        "pair",
        "peer",
        "reader",
        "subscriber",
        "tags",
    )

    def __init__(self, desk: SipPresence, pair: Pair, trunk: Trunk) -> None:
        self._desk = desk
        self.pair = pair
        self.peer = trunk.peer.name
        self.subscriber = self.machine(trunk)
        self.looker: Subscriber | None = None
        self.reader: tuple[str, Reader] | None = None
        """Of partial documents, where they come, and in which dialog (our tag)."""
        self.giving_back = False
        self.tags: tuple[str, ...] = ()
        """Of ours, by which it is found."""
        self.alarm_at = 0.0
        self.appointment = 0
        """In force among those at rest."""

    def machine(self, trunk: Trunk) -> Subscriber:
        """Another subscription of this pair."""
        accept = ACCEPT_PARTIAL if trunk.settings.partial_presence else MEDIA_TYPE
        if trunk.settings.profile == "microsoft":
            accept = f"{msrtc.MEDIA_TYPE}, {accept}"
        return Subscriber(self, accept=accept, ask_s=trunk.settings.max_expires_s)

    def fresh_dialog(self) -> Dialog:
        """See `Owner`. Raises AddressError."""
        return self._desk.fresh_dialog(self.pair.watcher, self.pair.presentity)

    def contact(self) -> str:
        """See `Owner`."""
        trunk = self._desk.trunk_of(self.peer)
        return self._desk.contact(self.pair.watcher, self._desk.transport_to(trunk))

    def spread(self) -> float:
        """See `Owner`."""
        return self._desk.spread()

    @property
    def machines(self) -> tuple[Subscriber, ...]:
        """All there are."""
        return (self.subscriber,) if self.looker is None else (self.subscriber, self.looker)

    def next_timer(self) -> float | None:
        """See `Appointed`."""
        return min(
            (at for machine in self.machines if (at := machine.next_timer()) is not None), default=None
        )


class _Leg:
    """A SUBSCRIBE under way, and whose it is."""

    __slots__ = ("_all", "_dialog", "_machine", "_watching")

    def __init__(self, all_: Watchings, watching: Watching, machine: Subscriber, dialog: Dialog) -> None:
        self._all = all_
        self._watching = watching
        self._machine = machine
        self._dialog = dialog

    def responded(self, request: Request, response: Response) -> None:
        if self._machine.dialog is self._dialog:  # else it has come to an end meanwhile
            self._machine.receive_response(response, self._all.now())
            self._all.pump(self._watching, None)

    def failed(self, request: Request, error: DeliveryError | None) -> None:
        if self._machine.dialog is self._dialog:
            text = "no answer" if error is None else error.text or error.detail
            wait = None if error is None else error.retry_after_s
            self._machine.request_failed(text, self._all.now(), wait)
            self._all.pump(self._watching, None)


class Watchings:
    """All of them."""

    def __init__(self, desk: SipPresence) -> None:
        self._desk = desk
        self._by_pair: dict[Pair, Watching] = {}
        self._by_tag: dict[str, Watching] = {}
        self._resting = Dormant(self._wake_up)
        self._agenda: Agenda[Watching] | None = None
        self._unsettled: list[tuple[Watching, Origin]] = []
        self._parsed: Presence | None = None
        """What the NOTIFY that is being settled shows."""

    def __len__(self) -> int:
        return len(self._by_pair) + len(self._resting)

    def now(self) -> float:
        """Seconds since 1970."""
        return self._desk.clock()

    def start(self) -> None:
        """Timers may ring."""
        self._agenda = Agenda(self._desk.clock, self._desk.call_later, self._ring)
        for watching in self._by_pair.values():
            self._resting.watch_over(watching, self._agenda, self.now())
        self._resting.start(self._desk.clock, self._desk.call_later)

    def stop(self) -> None:
        """No more."""
        self._resting.stop()
        if self._agenda is not None:
            self._agenda.stop()

    def resume(self, view: PairView) -> None:
        """Take up a dialog of an earlier run."""
        trunk = self._desk.trunk_of(view.presentity_peer.name)
        if trunk is None or view.presentity_data is None:
            return
        try:
            kept = _decoder.decode(view.presentity_data)
            kept.dialog.routes = shared(kept.dialog.routes)
            watching = Watching(self._desk, view.pair, trunk)
            machine = watching.subscriber
            machine.granted = view.grant is Grant.GRANTED
            wanted = view.listening or view.grant is Grant.PENDING
            if not machine.resume(kept, self.now(), wanted=wanted):
                return
        except (msgspec.DecodeError, ValueError):
            _log.warning("a dialog of an earlier run cannot be read", pair=str(view.pair))
            return
        machine.changed = False
        if not self._rest(watching):
            self._by_pair[view.pair] = watching
            self._index(watching)

    # -- what the hub wants ----------------------------------------------------------------------------

    def watch(self, view: PairView, verb: Verb) -> None:
        """Carry it out."""
        pair, now, presence = view.pair, self.now(), self._desk.hub.presence
        trunk = self._desk.trunk_of(view.presentity_peer.name)
        known = self._find(pair)
        if verb is Verb.CLOSE and known is None:
            return
        if verb is Verb.GIVE_BACK and known is None:
            presence.done(pair, None)  # PRS-54: a SUBSCRIBE now would only be a look
            return
        if trunk is None or not trunk.settings.presence:
            error = RefusedError(Reason.NOT_SUPPORTED, "presence is not exchanged with that peer")
            presence.refused(pair, None, error, for_good=verb is Verb.ASK)
            return
        if known is None or known.peer != trunk.peer.name:
            known = self._by_pair[pair] = Watching(self._desk, pair, trunk)
        machine = known.subscriber
        machine.granted = view.grant is Grant.GRANTED
        try:
            self._carry_out(known, verb, trunk, now)
        except AddressError as error:
            refused = RefusedError(Reason.NOT_FOUND, "no SIP address can be written", detail=str(error))
            presence.refused(pair, None, refused, for_good=verb is Verb.ASK)
        self.pump(known, None)

    def _carry_out(self, watching: Watching, verb: Verb, trunk: Trunk, now: float) -> None:
        machine = watching.subscriber
        match verb:
            case Verb.ASK | Verb.OPEN:
                watching.giving_back = False
                machine.subscribe(now)
            case Verb.GIVE_BACK:
                watching.giving_back = True
                machine.unsubscribe(now)
            case Verb.CLOSE:
                machine.unsubscribe(now)
            case Verb.FETCH:
                if machine.state in (State.PENDING, State.ACTIVE):
                    machine.subscribe(now)  # PRS-141: a refresh says as much and costs less
                elif watching.looker is None:
                    watching.looker = watching.machine(trunk)
                    watching.looker.look(now)

    # -- from the wire ---------------------------------------------------------------------------------

    def receive_notify(self, request: Request, origin: Origin) -> _Answer:
        """The answer to a NOTIFY; `settle` does what follows from it. Raises BadMessage."""
        watching = self._by_tag.get(request.to.tag or "") or self._find_resting(request)
        machine = None if watching is None else _machine_of(watching, request)
        if watching is None or machine is None:
            return 481, ()
        status = 403
        if origin.peer.name == watching.peer:
            try:
                status = machine.receive_notify(request, self.now())
            except BadMessage:
                self._tidy(watching)
                raise
        if status != 200:
            self._tidy(watching)
            return status, ()
        self._unsettled.append((watching, origin))
        self._parsed = None
        if request.body:
            try:
                if not self._read(watching, machine, request):  # PRS-126
                    return 415, (("Accept", MEDIA_TYPE),)
            except PidfError as error:
                self._desk.hub.count("bad_input", self._desk.context.name, "pidf")
                _log.info("a presence document cannot be read", pair=str(watching.pair), why=str(error))
                return 400, (("Warning", f'399 rialto "{error}"'),)
        return 200, ()

    def _read(self, watching: Watching, machine: Subscriber, request: Request) -> bool:
        """Take the document of a NOTIFY; False for a kind that nobody asked for. Raises PidfError."""
        media = request.content_type
        charset = (media.param("charset") or "") if media is not None else ""
        language = (request.get("Content-Language") or "").split(",")[0].strip()
        tag = request.to.tag or ""
        reader = watching.reader[1] if watching.reader is not None and watching.reader[0] == tag else None
        if media is not None and media.essence == MEDIA_TYPE:
            if reader is not None:
                reader.forget()
            self._parsed = parse(request.body, charset, language)
            return True
        if media is not None and media.essence == msrtc.MEDIA_TYPE:
            try:
                self._parsed = from_numbers(
                    msrtc.parse(request.body, charset), str(uri_of(watching.pair.presentity, scheme="pres"))
                )
            except msrtc.MsrtcError as error:
                raise PidfError(str(error)) from None
            return True
        if media is None or media.essence != PARTIAL_TYPE:
            return False
        if reader is None:
            reader = Reader()
            watching.reader = tag, reader
        try:
            self._parsed = reader.read(request.body, charset, language)
        except OutOfStep as error:
            _log.info("a partial document does not fit", pair=str(watching.pair), why=str(error))
            # RFC 5263 section 4.5: ask for all of it, and for nothing partial in this dialog any more.
            return machine.accept_only(MEDIA_TYPE, self.now())
        return True

    def settle(self) -> None:
        """The NOTIFY is answered: tell the hub."""
        while self._unsettled:
            watching, origin = self._unsettled.pop()
            self.pump(watching, origin)
        self._parsed = None

    def _ring(self, watching: Watching, now: float) -> None:
        for machine in watching.machines:
            # RFC 8048 section 8.1: nobody refreshes for somebody who is not there.
            if machine.is_due(now) and self._desk.hub.presence.confirm(watching.pair):
                machine.put_off(now)
            machine.handle_timer(now)
        self.pump(watching, None)

    # -- the engine ------------------------------------------------------------------------------------

    def pump(self, watching: Watching, origin: Origin | None) -> None:
        """Hand out what has happened, send what is to be sent."""
        trunk = self._desk.trunk_of(watching.peer)
        for machine in watching.machines:
            while (event := machine.next_event()) is not None:
                try:
                    self._happened(watching, machine, event, origin)
                except DeliveryError as error:
                    self._desk.hub.count("presence_refused", watching.peer, error.reason)
            request, dialog = machine.next_request(), machine.dialog
            if request is not None and dialog is not None:
                if trunk is None:
                    machine.request_failed("the peer is no longer configured", self.now())
                else:
                    leg = _Leg(self, watching, machine, dialog)
                    self._index(watching)
                    self._desk.send(request, dialog, trunk, watching.pair.presentity.domain, leg)
        self._tidy(watching)

    def _happened(self, watching: Watching, machine: Subscriber, event: Event, origin: Origin | None) -> None:
        presence, pair = self._desk.hub.presence, watching.pair
        looking = machine is watching.looker
        match event:
            case Pending():
                presence.pending(pair, origin)
            case Active(first=first, has_body=has_body, fresh=fresh):
                if fresh or self._parsed is None:  # else what is shown says it
                    presence.granted(pair, origin)
                if not has_body:
                    self._blank(pair, origin, first=first)
                view = presence.view(pair) if fresh else None
                if view is not None and not view.listening:
                    # Decided while the watcher was away: nobody may be refreshed for (RFC 8048 section 8.1).
                    machine.unsubscribe(self.now())
            case News():
                if self._parsed is not None:
                    trunk = self._desk.trunk_of(watching.peer)
                    self._desk.learn(pair, face_in(self._parsed), "document", trunk)
                    presence.show(pair, from_pidf(self._parsed, pair.presentity, self.now()), origin)
            case Silent(since=since):
                presence.silent(pair, None, since)
            case Refused():
                presence.refused(pair, origin, _error(event), for_good=event.for_good)
            case Ended():
                if looking or watching.giving_back or event.stands:
                    presence.done(pair, origin)

    def _blank(self, pair: Pair, origin: Origin | None, *, first: bool) -> None:
        """Granted, and nothing to see: in a new dialog that means unknown or closed (RFC 8048 section 5.2.1);
        in one that goes on, that what was said stands (RFC 3856 section 6.8)."""
        presence = self._desk.hub.presence
        view = presence.view(pair)
        if first and view is not None and view.document is not None and view.document.online:
            presence.show(pair, Document(as_of=self.now()), origin)
        else:
            presence.done(pair, origin)

    def _index(self, watching: Watching) -> None:
        """By which dialogs it is found now."""
        tags = tuple(
            [machine.dialog.local_tag for machine in watching.machines if machine.dialog is not None]
        )
        if tags == watching.tags:
            return
        for tag in watching.tags:
            self._by_tag.pop(tag, None)
        for tag in tags:
            self._by_tag[tag] = watching
        watching.tags = tags

    def _tidy(self, watching: Watching) -> None:
        if watching.looker is not None and watching.looker.state is State.IDLE:
            watching.looker = None
        machine = watching.subscriber
        self._index(watching)
        if machine.changed:
            machine.changed = False
            kept = machine.kept()
            self._desk.hub.presence.keep(
                watching.pair, "presentity", None if kept is None else _encoder.encode(kept)
            )
        if machine.state is State.IDLE:
            watching.reader = None
        if machine.state is State.IDLE and watching.looker is None:
            if self._by_pair.get(watching.pair) is watching:
                del self._by_pair[watching.pair]
        elif not self._rest(watching):
            self._resting.watch_over(watching, self._agenda, self.now())

    # -- at rest ---------------------------------------------------------------------------------------

    def _rest(self, watching: Watching) -> bool:
        """Let it rest, if nothing is going on; it may not be used after that."""
        machine = watching.subscriber
        resting = machine.rest()
        if resting is None or watching.looker is not None or watching.giving_back or watching.reader:
            return False
        assert machine.dialog is not None
        pair, packing = watching.pair, self._desk.packing
        packed = _Packed(
            packing.number_of(watching.peer),
            packing.pack(machine.dialog, pair.watcher, pair.presentity),
            resting,
        )
        self._resting.put(pair, _packer.encode(packed), machine.next_timer(), watching.appointment)
        watching.alarm_at = 0.0  # what the agenda still has of it is void
        for tag in watching.tags:
            self._by_tag.pop(tag, None)
        if self._by_pair.get(pair) is watching:
            del self._by_pair[pair]
        return True

    def _find(self, pair: Pair) -> Watching | None:
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
        watching = self._by_pair[pair] = Watching(self._desk, pair, trunk)
        watching.appointment = taken[1]
        watching.subscriber.wake(packing.unpack(packed.dialog, pair.watcher, pair.presentity), packed.machine)
        self._index(watching)
        return watching

    def _find_resting(self, request: Request) -> Watching | None:
        """Whose dialog a NOTIFY may belong to, by who says it to whom."""
        try:
            pair = Pair(address_of(request.to.uri).bare, address_of(request.from_.uri).bare)
        except AddressError:
            return None
        found = self._find(pair) if pair in self._resting else None
        if found is not None and _machine_of(found, request) is None:
            self._rest(found)
            return None
        return found

    def _wake_up(self, pair: Pair, now: float) -> None:
        watching = self._find(pair)
        if watching is not None:
            self._ring(watching, now)


def _machine_of(watching: Watching, request: Request) -> Subscriber | None:
    """Whose dialog it is."""
    for machine in watching.machines:
        dialog = machine.dialog
        if dialog is not None and dialog.local_tag == request.to.tag and dialog.call_id == request.call_id:
            return machine
    return None


def _error(event: Refused) -> DeliveryError:
    """What a refusal means to people."""
    reason = meaning(event.status)[0] if event.status >= 300 else Reason.TIMEOUT
    if event.for_good:
        return RefusedError(reason, event.text)
    return Unreachable(reason, event.text, retry_after_s=event.retry_after_s)
