"""Presence on the SIP side: the desk between the hub and the two machines (RFC 8048 sections 5 to 7).

    hub.watch(view, verb) ─► `watching`: a Subscriber for each pair whose presentity is here
    hub.tell(view)        ─► `audience`: a Notifier for each dialog of a watcher who is here
                             `publishing`: a Publisher for each person, where the peer wants that
    hub.attend            ─► `watcherlists`: a Notifier for each who asks by whom they are watched
    SUBSCRIBE, NOTIFY     ─► by dialog (Call-ID and our tag) to its machine; a SUBSCRIBE without one makes it

Both write through `course`. What outlives a restart is given to `hub.presence.keep` and comes back by
`resume`, before anything is on the wire.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import structlog

from rialto.core.faces import Source
from rialto.core.network import Context, Origin, PairView, Side, Verb
from rialto.model.address import Address
from rialto.model.errors import AddressError
from rialto.model.face import Face
from rialto.model.presence import Pair
from rialto.net.fetch import fetch
from rialto.networks.sip.addresses import uri_of
from rialto.networks.sip.audience import Audiences
from rialto.networks.sip.conditions import phrase
from rialto.networks.sip.course import Course, Traveller
from rialto.networks.sip.dormant import Packing
from rialto.networks.sip.faces import introduce, shown_by
from rialto.networks.sip.icons import MAX_BYTES, TIMEOUT_S, Icons
from rialto.networks.sip.identity import Sender
from rialto.networks.sip.publishing import Publications
from rialto.networks.sip.settings import PeerSettings
from rialto.networks.sip.trunk import Trunk
from rialto.networks.sip.ua import ALLOW_EVENTS
from rialto.networks.sip.watcherlists import WatcherLists
from rialto.networks.sip.watching import Watchings
from rialto.networks.sip.wire import Request, Uri
from rialto.networks.sip.wire.dialogs import Dialog
from rialto.networks.sip.wire.eventing import DEFAULT_EXPIRES_S, PRESENCE, WINFO, event_of, expires_of
from rialto.networks.sip.wire.transaction import ServerTransaction

if TYPE_CHECKING:
    from rialto.core.hub import Hub
    from rialto.networks.sip.dispatch import Dispatch
    from rialto.networks.sip.reception import Reception
    from rialto.networks.sip.transport import Transports

GRUU = "gw"
"""`gr` of our Contacts: this gateway is the instance (RFC 6665 section 4.5.1, RFC 5627)."""

_log = structlog.get_logger(__name__)


class SipPresence:
    """See the module. `trunk_of` finds a peer by its name, None where it is no longer configured."""

    def __init__(
        self,
        context: Context,
        trunk_of: Callable[[str], Trunk | None],
        spell: Callable[[Address], str],
    ) -> None:
        self.context = context
        self.clock = context.clock
        self.trunk_of = trunk_of
        self.spell = spell
        self.spread = random.random
        self.hub: Hub
        self._dispatch: Dispatch
        self._reception: Reception
        self._transports: Transports
        self._later: Callable[[], None]
        self._loop: asyncio.AbstractEventLoop
        self._contact_hosts: dict[str, tuple[str, str]] = {}
        self.icons = Icons(
            context.clock,
            lambda url: fetch(url, anchors=context.anchors, max_bytes=MAX_BYTES, timeout_s=TIMEOUT_S),
        )
        self.packing = Packing(context.server_name)
        self.watchings = Watchings(self)
        self.audiences = Audiences(self)
        self.publications = Publications(self)
        self.watcher_lists = WatcherLists(self)

    def start(
        self,
        hub: Hub,
        dispatch: Dispatch,
        reception: Reception,
        transports: Transports,
        later: Callable[[], None],
    ) -> None:
        """The sockets are there; from now on things may go on the wire."""
        self.hub = hub
        self._dispatch = dispatch
        self._reception = reception
        self._transports = transports
        self._later = later
        self._loop = asyncio.get_running_loop()
        self.watchings.start()
        self.audiences.start()
        self.publications.start()
        self.watcher_lists.start()

    def stop(self) -> None:
        """No timer rings any more; dialogs stay, for the next run."""
        self.watchings.stop()
        self.audiences.stop()
        self.publications.stop()
        self.watcher_lists.stop()

    # -- for the hub -----------------------------------------------------------------------------------

    def resume(self, view: PairView, side: Side) -> None:
        """See `PresenceNetwork`."""
        if side == "watcher":
            self.publications.resume(view, self.audiences.resume(view))
        else:
            self.watchings.resume(view)

    def watch(self, view: PairView, verb: Verb) -> None:
        """See `PresenceNetwork`."""
        self.watchings.watch(view, verb)
        self._later()

    def tell(self, view: PairView) -> None:
        """See `PresenceNetwork`."""
        self.audiences.tell(view)
        self.publications.tell(view)
        self._later()

    # -- from the wire ---------------------------------------------------------------------------------

    def receive(self, transaction: ServerTransaction, request: Request, sender: Sender) -> None:
        """A SUBSCRIBE or NOTIFY from a proven sender. Raises BadMessage."""
        flow: Any = transaction.flow
        shown = shown_by(request, sender.address)
        if shown is not None:
            self.learn(*shown, "said", sender.trunk)
        secure_only = "sips" in (request.request_uri.scheme, request.to.uri.scheme)
        origin = Origin(sender.trunk.peer, sender.address.domain, sender.proof, flow.secured, secure_only)
        if request.method == "NOTIFY":
            status, headers = self.watchings.receive_notify(request, origin)
            self.answer(transaction, status, headers)
            self.watchings.settle()
            return
        package, _ = event_of(request)
        if package == PRESENCE:
            self.audiences.receive_subscribe(transaction, request, sender, origin)
        elif package == WINFO:
            self.watcher_lists.receive_subscribe(transaction, request, sender, origin)
        else:  # RFC 6665 section 4.2.1.1
            self.answer(transaction, 489, (("Allow-Events", ALLOW_EVENTS),))

    def answer(
        self,
        transaction: ServerTransaction,
        status: int,
        headers: tuple[tuple[str, str], ...] = (),
        text: str | None = None,
    ) -> None:
        """Give the final response."""
        self._reception.answer(transaction, status, phrase(text) if text else None, headers)
        self.hub.count("answered", self.context.name, transaction.method)

    def admit(self, request: Request) -> Dialog:
        """The dialog that this SUBSCRIBE makes; its To tag is that of our answer. Raises BadMessage."""
        dialog = Dialog(
            call_id=request.call_id,
            local=str(request.to.uri),
            remote=str(request.from_.uri),
            local_tag=self._reception.tag(request),
            remote_tag=request.from_.tag or "",
            remote_cseq=request.cseq[0],
        )
        dialog.aim(request)
        dialog.route_by(request)
        return dialog

    def granted_s(
        self, transaction: ServerTransaction, request: Request, settings: PeerSettings
    ) -> int | None:
        """For how long this SUBSCRIBE may be; None where it was told 423. Raises BadMessage."""
        asked_s = expires_of(request)
        expires_s = min(DEFAULT_EXPIRES_S if asked_s is None else asked_s, settings.max_expires_s)
        if 0 < expires_s < settings.min_expires_s:  # RFC 6665 section 4.2.1.1
            self.answer(transaction, 423, (("Min-Expires", str(settings.min_expires_s)),))
            return None
        return expires_s

    def welcome(self, transaction: ServerTransaction, request: Request, contact: str, expires_s: int) -> None:
        """200 to a SUBSCRIBE (RFC 6665 section 4.2.1.1, RFC 3261 section 12.1.1)."""
        routes = tuple(("Record-Route", line) for line in request.get_all("Record-Route"))
        self.answer(transaction, 200, (*routes, ("Contact", contact), ("Expires", str(expires_s))))

    def learn(self, pair: Pair, face: Face, source: Source, trunk: Trunk | None) -> None:
        """Note what the presentity shows the watcher; the picture only where its peer may have one."""
        hosts = () if trunk is None else trunk.settings.icon_hosts
        faces = self.hub.faces
        faces.learn(pair, self.icons.admit(face, hosts, faces, self._dispatch.spawn), source)

    # -- for both sides --------------------------------------------------------------------------------

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        """Of the loop; what the callback has to say goes out in a turn of the network."""

        def ring() -> None:
            callback()
            self._later()

        return self._loop.call_later(delay_s, ring)

    def turn(self) -> None:
        """Something was asked of the network outside of its turn."""
        self._later()

    def fresh_dialog(self, pair_local: Address, pair_remote: Address) -> Dialog:
        """A dialog that we are about to make. Raises AddressError."""
        spelling = self.spell(pair_remote)
        return Dialog(
            call_id=f"{secrets.token_hex(12)}@{self.context.server_name}",
            local=str(uri_of(pair_local)),
            remote=str(uri_of(pair_remote, spelling)),
            local_tag=secrets.token_hex(8),
        )

    def contact(self, person: Address, transport: str) -> str:
        """Our Contact for somebody, to be reached by that transport."""
        known = self._contact_hosts.get(transport)
        if known is None:
            parameter = "" if transport == "udp" else f";transport={transport}"
            known = self._contact_hosts[transport] = (self._transports.sent_by(transport), parameter)
        host, parameter = known
        user = uri_of(person).user
        return f"<sip:{user}@{host}{parameter};gr={GRUU}>"

    def transport_to(self, trunk: Trunk | None) -> str:
        """The transport that our Contact names to that peer: the one by which its proxy is reached, or the
        best of its own that we listen on."""
        bound = [transport for transport, _, _ in self._transports.bound()]
        allowed = trunk.settings.transports if trunk is not None else ()
        if trunk is not None and trunk.proxy is not None:
            said = "tls" if trunk.proxy.scheme == "sips" else (trunk.proxy.param("transport") or "").lower()
            if said in bound:
                return said
            if "udp" in allowed and "udp" in bound:  # RFC 3263 section 4.1
                return "udp"
        return next((one for one in allowed if one in bound), bound[0] if bound else "udp")

    def send_alone(
        self, request: Request, trunk: Trunk, domain: str, traveller: Traveller, renumber: Callable[[], int]
    ) -> None:
        """Let a request go that is in no dialog."""
        course = Course(
            self._dispatch, traveller, trunk, request, self._dispatch.route(trunk, domain), renumber
        )
        self._dispatch.begin(course, domain)

    def send(self, request: Request, dialog: Dialog, trunk: Trunk, domain: str, traveller: Traveller) -> None:
        """Let a request go. In a dialog it goes where the dialog says (RFC 3261 section 12.2.1.1), unless all
        for this peer goes to its proxy."""
        introduce(self.hub.faces, request, dialog)
        uri: Uri | None = None
        if dialog.remote_tag and trunk.proxy is None:
            uri = allowed(dialog, trunk)
        route = self._dispatch.route(trunk, domain, uri)
        course = Course(
            self._dispatch, traveller, trunk, request, route, lambda: dialog.next_cseq(self.clock())
        )
        self._dispatch.begin(course, domain, uri)


def allowed(dialog: Dialog, trunk: Trunk) -> Uri | None:
    """Where a dialog wants its requests to go; None where the peer's settings do not allow that transport, or
    could not prove who answers there: then it is the peer's domain, as for everything else."""
    try:
        hop = dialog.next_hop()
    except AddressError:
        return None
    transports = trunk.settings.transports
    wanted = "tls" if hop.scheme == "sips" else (hop.param("transport") or "").lower()
    if wanted and wanted not in transports:
        return None
    if transports == ("tls",) and hop.host.replace(".", "").isdigit():
        return None
    return hop.without("lr", "gr", "ob")
