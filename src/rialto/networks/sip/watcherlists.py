"""Who watches me: the watcher information that SIP users subscribe to (RFC 3857).

Each subscription to `presence.winfo` is told of everybody who watches its owner over the gateway, whatever
their network: first and after each refresh the whole list, between them only those who have changed (section
4.3). Nobody but the owner may see it. The dialogs outlive a restart; after it the whole list comes first, and
so does it when a NOTIFY may have been lost.

    the hub says           listening    not listening
    pending                pending      waiting
    granted                active       not in the list
    refused                not in the list

Who leaves the list is in it once more, as `terminated`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
import structlog

from rialto.core.agenda import Agenda
from rialto.core.network import Origin, Watcher
from rialto.model.address import Address
from rialto.model.errors import AddressError, DeliveryError
from rialto.model.presence import Grant
from rialto.networks.sip.addresses import address_of, uri_of
from rialto.networks.sip.conditions import retry_after
from rialto.networks.sip.identity import Sender
from rialto.networks.sip.wire import BadMessage, Request, Response, parse_uri
from rialto.networks.sip.wire.dialogs import shared
from rialto.networks.sip.wire.eventing import WINFO, Substate, accepts, event_of
from rialto.networks.sip.wire.notifications import KeptNotifier, Notifier
from rialto.networks.sip.wire.transaction import ServerTransaction
from rialto.wire.watcherinfo import MAX_WATCHERS, MEDIA_TYPE, Listed, Status, WatcherInfo, write

if TYPE_CHECKING:
    from rialto.networks.sip.presence import SipPresence

MAX_DIALOGS = 8
"""Of one owner."""
_KEY = "winfo "
_log = structlog.get_logger(__name__)

_Standing = tuple[Status, str]

STANDINGS: dict[tuple[Grant, bool], _Standing] = {
    (Grant.PENDING, True): ("pending", "subscribe"),
    (Grant.PENDING, False): ("waiting", "timeout"),
    (Grant.GRANTED, True): ("active", "approved"),
}
"""(grant, listening) -> status and event (RFC 3857 section 4.7.1); all others are not in the list."""


class _Kept(msgspec.Struct, array_like=True):
    """What outlives a restart, of one dialog."""

    notifier: KeptNotifier
    version: int


_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[tuple[str, list[_Kept]]] = msgspec.json.Decoder(tuple[str, list[_Kept]])


class _Told:
    """What one dialog has been told; `whole`: the next is to be the whole list."""

    __slots__ = ("standings", "version", "whole")

    def __init__(self, version: int = -1) -> None:
        self.version = version
        self.standings: dict[Address, _Standing] = {}
        self.whole = True


class WatcherList:
    """One owner, and each dialog in which it is told."""

    __slots__ = ("alarm_at", "end", "notifiers", "owner", "peer", "watchers")

    def __init__(self, owner: Address, peer: str) -> None:
        self.owner = owner
        self.peer = peer
        self.notifiers: list[Notifier] = []
        self.watchers: tuple[Watcher, ...] = ()
        self.end: Callable[[], None] | None = None
        self.alarm_at = 0.0

    def next_timer(self) -> float | None:
        """See `Appointed`."""
        return min((at for one in self.notifiers if (at := one.next_timer()) is not None), default=None)


class _Leg:
    """A NOTIFY under way."""

    __slots__ = ("_all", "_list", "_notifier")

    def __init__(self, all_: WatcherLists, list_: WatcherList, notifier: Notifier) -> None:
        self._all = all_
        self._list = list_
        self._notifier = notifier

    def responded(self, request: Request, response: Response) -> None:
        if response.status >= 300:
            _told(self._notifier).whole = True
        self._notifier.receive_response(response.status, self._all.now(), retry_after(response))
        self._all.pump(self._list)

    def failed(self, request: Request, error: DeliveryError | None) -> None:
        _told(self._notifier).whole = True
        self._notifier.request_failed(self._all.now())
        self._all.pump(self._list)


class WatcherLists:
    """All of them."""

    def __init__(self, desk: SipPresence) -> None:
        self._desk = desk
        self._by_owner: dict[Address, WatcherList] = {}
        self._agenda: Agenda[WatcherList] | None = None

    def __len__(self) -> int:
        return len(self._by_owner)

    def now(self) -> float:
        """Seconds since 1970."""
        return self._desk.clock()

    def start(self) -> None:
        """Take up the dialogs of an earlier run."""
        self._agenda = Agenda(self._desk.clock, self._desk.call_later, self._ring)
        for key, value in self._desk.hub.recall_all(self._desk.context.name, _KEY):
            if value:
                self._resume(key.removeprefix(_KEY), value)

    def stop(self) -> None:
        """No more."""
        if self._agenda is not None:
            self._agenda.stop()
        for one in self._by_owner.values():
            if one.end is not None:
                one.end()
                one.end = None

    def _resume(self, owner: str, value: str) -> None:
        try:
            peer, kept = _decoder.decode(value)
            found = WatcherList(address_of(parse_uri(owner)).bare, peer)
        except (msgspec.DecodeError, AddressError):
            _log.warning("a dialog of an earlier run cannot be read", owner=owner)
            return
        trunk = self._desk.trunk_of(peer)
        if trunk is None or not trunk.settings.presence:
            return
        contact = self._desk.contact(found.owner, self._desk.transport_to(trunk))
        for one in kept[:MAX_DIALOGS]:
            dialog = one.notifier.dialog
            if one.notifier.expires_at > self.now():
                dialog.routes = shared(dialog.routes)
                notifier = Notifier(
                    dialog,
                    contact=contact,
                    event_id=one.notifier.event_id,
                    every_s=trunk.settings.notify_every_s,
                    package=WINFO,
                )
                notifier.resume(one.notifier)
                notifier.sent = _Told(one.version)
                notifier.tell(Substate.ACTIVE, self.now())
                found.notifiers.append(notifier)
        if found.notifiers:
            self._by_owner[found.owner] = found
            found.watchers = self._desk.hub.presence.watchers(found.owner, None)
            self._attend(found)
            self.pump(found)

    # -- from the wire ---------------------------------------------------------------------------------

    def receive_subscribe(
        self, transaction: ServerTransaction, request: Request, sender: Sender, origin: Origin
    ) -> None:
        """A SUBSCRIBE for presence.winfo. Raises BadMessage."""
        settings = sender.trunk.settings
        if not accepts(request, MEDIA_TYPE):  # RFC 3857 section 4.5
            self._desk.answer(transaction, 406, (("Accept", MEDIA_TYPE),))
            return
        expires_s = self._desk.granted_s(transaction, request, settings)
        if expires_s is None:
            return
        if request.to.tag:
            self._refresh(transaction, request, sender, expires_s)
            return
        try:
            owner = address_of(request.request_uri).bare
        except AddressError as error:
            raise BadMessage(404, str(error), request) from None
        if owner != sender.address.bare:  # section 4.6: only the owner, and only if that is proven
            self._desk.hub.count("presence_refused", sender.trunk.peer.name, "forbidden")
            self._desk.answer(transaction, 403)
            return
        if not request.contacts:
            raise BadMessage(400, "Missing Contact", request)
        self._begin(transaction, request, sender, origin, owner, expires_s)

    def _begin(
        self,
        transaction: ServerTransaction,
        request: Request,
        sender: Sender,
        origin: Origin,
        owner: Address,
        expires_s: int,
    ) -> None:
        found = self._by_owner.get(owner)
        if found is not None and len(found.notifiers) >= MAX_DIALOGS:
            self._desk.answer(transaction, 480, (("Retry-After", "60"),), "Too Many Subscriptions")
            return
        if found is None or found.peer != sender.trunk.peer.name:
            if found is not None and found.end is not None:
                found.end()
            found = WatcherList(owner, sender.trunk.peer.name)
        found.watchers = self._desk.hub.presence.watchers(owner, origin)
        transport = transaction.flow.transport  # type: ignore[attr-defined]
        notifier = Notifier(
            self._desk.admit(request),
            contact=self._desk.contact(owner, transport),
            event_id=event_of(request)[1],
            every_s=sender.trunk.settings.notify_every_s,
            look=not expires_s,
            package=WINFO,
        )
        notifier.sent = _Told()
        notifier.state = Substate.ACTIVE
        notifier.subscribed(expires_s, self.now())
        found.notifiers.append(notifier)
        self._desk.welcome(transaction, request, notifier.contact, expires_s)
        if expires_s:
            self._by_owner[owner] = found
            self._attend(found)
        self.pump(found)

    def _refresh(
        self, transaction: ServerTransaction, request: Request, sender: Sender, expires_s: int
    ) -> None:
        found = self._by_owner.get(sender.address.bare)
        notifier = None if found is None else _notifier_of(found, request)
        if found is None or notifier is None or notifier.state is Substate.TERMINATED or notifier.gone:
            self._desk.answer(transaction, 481)
        elif sender.trunk.peer.name != found.peer:
            self._desk.answer(transaction, 403)
        elif not notifier.dialog.in_order(request):
            self._desk.answer(transaction, 500, text="Out Of Order")
        else:
            notifier.dialog.aim(request)
            notifier.subscribed(expires_s, self.now())
            _told(notifier).whole = True
            self._desk.welcome(transaction, request, notifier.contact, expires_s)
            self.pump(found)

    # -- the engine ------------------------------------------------------------------------------------

    def _attend(self, found: WatcherList) -> None:
        if found.end is None:

            def news(watchers: tuple[Watcher, ...]) -> None:
                found.watchers = watchers
                standings = _standings(watchers)
                for notifier in found.notifiers:
                    if _told(notifier).standings != standings:
                        notifier.tell(Substate.ACTIVE, self.now())
                self.pump(found)
                self._desk.turn()

            found.end = self._desk.hub.presence.attend(found.owner, news)

    def pump(self, found: WatcherList) -> None:
        """Send what is to be sent, and forget what is over."""
        now, trunk = self.now(), self._desk.trunk_of(found.peer)
        for notifier in list(found.notifiers):
            request = notifier.next_request(now, lambda one, _: self._compose(found, one))
            if request is None:
                continue
            if trunk is None:
                notifier.gone = True
            else:
                leg = _Leg(self, found, notifier)
                self._desk.send(request, notifier.dialog, trunk, found.owner.domain, leg)
        changed = any(notifier.changed or notifier.gone for notifier in found.notifiers)
        found.notifiers = [notifier for notifier in found.notifiers if not notifier.gone]
        if self._by_owner.get(found.owner) is not found:
            return
        if changed:
            self._keep(found)
        if found.notifiers:
            if self._agenda is not None:
                self._agenda.set(found)
            return
        del self._by_owner[found.owner]
        if found.end is not None:
            found.end()
            found.end = None

    def _keep(self, found: WatcherList) -> None:
        kept = []
        for notifier in found.notifiers:
            notifier.changed = False
            one = notifier.kept()
            if one is not None:
                kept.append(_Kept(one, _told(notifier).version))
        value = _encoder.encode((found.peer, kept)).decode() if kept else ""
        self._desk.hub.remember(self._desk.context.name, _KEY + str(uri_of(found.owner)), value)

    def _ring(self, found: WatcherList, now: float) -> None:
        for notifier in found.notifiers:
            notifier.handle_timer(now)
        self.pump(found)

    def _compose(self, found: WatcherList, notifier: Notifier) -> tuple[bytes, tuple[tuple[str, str], ...]]:
        """The list, or what is new in it; nothing where nothing is."""
        told = _told(notifier)
        watchers = {one.address: one for one in found.watchers}
        now = _standings(found.watchers)
        if told.whole:
            listed = now
        else:
            listed = {address: one for address, one in now.items() if told.standings.get(address) != one}
            for address, (was, _) in told.standings.items():
                if address not in now:
                    listed[address] = "terminated", _farewell(was, watchers.get(address))
            if not listed:
                return b"", ()
        told.version += 1
        told.standings = now
        whole, told.whole = told.whole, False
        notifier.changed = True
        info = WatcherInfo(
            resource=str(uri_of(found.owner)),
            version=told.version,
            full=whole,
            watchers=tuple(
                self._listed(found.owner, address, standing, watchers.get(address))
                for address, standing in listed.items()
            ),
        )
        return write(info), (("Content-Type", MEDIA_TYPE),)

    def _listed(
        self, owner: Address, address: Address, standing: _Standing, watcher: Watcher | None
    ) -> Listed:
        both = f"{address}\0{owner}".encode("utf-8", "replace")
        return Listed(
            # The same in every document; nothing can be read from it (RFC 3858 section 4.3).
            id="w" + hashlib.blake2s(both, digest_size=8).hexdigest(),
            uri=str(uri_of(address)),
            status=standing[0],
            event=standing[1],
            subscribed_s=None if watcher is None else max(0, int(self.now() - watcher.since)),
        )


def _standings(watchers: tuple[Watcher, ...]) -> dict[Address, _Standing]:
    """Who is in the list, and how."""
    found = {
        one.address: standing
        for one in watchers
        if (standing := STANDINGS.get((one.grant, one.listening))) is not None
    }
    if len(found) > MAX_WATCHERS:  # those who wait for a decision first
        first = sorted(found, key=lambda address: found[address][0] == "active")[:MAX_WATCHERS]
        found = {address: found[address] for address in first}
    return found


def _farewell(was: Status, watcher: Watcher | None) -> str:
    """The event that ended it (RFC 3857 section 4.7.1)."""
    if watcher is not None and watcher.grant is Grant.REFUSED:
        return "rejected"
    return "approved" if was == "waiting" and watcher is not None else "timeout"


def _told(notifier: Notifier) -> _Told:
    assert isinstance(notifier.sent, _Told)
    return notifier.sent


def _notifier_of(found: WatcherList, request: Request) -> Notifier | None:
    """Whose dialog it is."""
    for notifier in found.notifiers:
        dialog = notifier.dialog
        if (dialog.local_tag, dialog.call_id, dialog.remote_tag) == (
            request.to.tag,
            request.call_id,
            request.from_.tag,
        ) and event_of(request)[1] == notifier.event_id:
            return notifier
    return None
