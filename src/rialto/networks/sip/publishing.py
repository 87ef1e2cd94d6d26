"""People whose presence is published at a peer's presence server (RFC 3903), where its settings say so.

Whom the server shows it to is its own affair. So nobody is published there who has not let one of the peer's
users watch, and what is published is what that one may see: no document is made of several (RFC 8048 section
8.2). That pair is the `host` of the publication. It counts as listening as long as it is one, and what has
to outlive a restart is kept with it; where its authorization ends, another one takes its place, and with the
last one the publication ends.

Somebody who is offline is not published: what is not there needs no refresh.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from rialto.core.agenda import Agenda
from rialto.core.network import PairView
from rialto.model.address import Address
from rialto.model.errors import AddressError, DeliveryError
from rialto.model.presence import Document, Grant, Pair
from rialto.networks.sip.addresses import uri_of
from rialto.networks.sip.conditions import retry_after
from rialto.networks.sip.documents import to_pidf
from rialto.networks.sip.trunk import Trunk
from rialto.networks.sip.wire import Request, Response
from rialto.networks.sip.wire.publications import KeptPublication, Publisher
from rialto.wire.pidf import MEDIA_TYPE, write

if TYPE_CHECKING:
    from rialto.networks.sip.presence import SipPresence


class Publication:
    """One person at one peer. `granted` are the pairs for which it may be; `host` is one of them."""

    __slots__ = ("alarm_at", "granted", "host", "peer", "person", "publisher")

    def __init__(self, person: Address, peer: str, publisher: Publisher) -> None:
        self.person = person
        self.peer = peer
        self.publisher = publisher
        self.granted: dict[Pair, None] = {}
        self.host: Pair | None = None
        self.alarm_at = 0.0

    def next_timer(self) -> float | None:
        """See `Appointed`."""
        return self.publisher.next_timer()


class _Leg:
    """A PUBLISH under way."""

    __slots__ = ("_all", "_publication")

    def __init__(self, all_: Publications, publication: Publication) -> None:
        self._all = all_
        self._publication = publication

    def responded(self, request: Request, response: Response) -> None:
        self._all.count(self._publication, response.status)
        self._publication.publisher.receive_response(response, self._all.now(), retry_after(response))
        self._all.pump(self._publication)

    def failed(self, request: Request, error: DeliveryError | None) -> None:
        self._all.count(self._publication, 408)
        wait = None if error is None else error.retry_after_s
        self._publication.publisher.request_failed(self._all.now(), wait)
        self._all.pump(self._publication)


class Publications:
    """All of them."""

    def __init__(self, desk: SipPresence) -> None:
        self._desk = desk
        self._found: dict[tuple[str, Address], Publication] = {}
        self._hosts: dict[Pair, Publication] = {}
        self._agenda: Agenda[Publication] | None = None

    def __len__(self) -> int:
        return len(self._found)

    def now(self) -> float:
        """Seconds since 1970."""
        return self._desk.clock()

    def start(self) -> None:
        """Go on with those of an earlier run, and begin those that are new."""
        self._agenda = Agenda(self._desk.clock, self._desk.call_later, self._ring)
        for publication in list(self._found.values()):
            if publication.host not in publication.granted:
                self._choose(publication)
            self.pump(publication)

    def stop(self) -> None:
        """No more; what is published stays, for the next run."""
        if self._agenda is not None:
            self._agenda.stop()

    def count(self, publication: Publication, status: int) -> None:
        """For the metrics."""
        self._desk.hub.count("published", publication.peer, f"{status // 100}xx")

    def needs(self, pair: Pair) -> bool:
        """Whether this pair is a host."""
        return pair in self._hosts

    def kept(self, pair: Pair) -> KeptPublication | None:
        """What to write down with that pair."""
        publication = self._hosts.get(pair)
        return None if publication is None else publication.publisher.kept()

    # -- what the hub says -----------------------------------------------------------------------------

    def resume(self, view: PairView, kept: KeptPublication | None) -> None:
        """Take note of a pair of an earlier run; nothing goes on the wire yet."""
        trunk = self._desk.trunk_of(view.watcher_peer.name)
        if trunk is None or view.grant is not Grant.GRANTED or not (_publishes(trunk) or kept is not None):
            return
        publication = self._of(view.pair.presentity, trunk)
        if publication is None:
            return
        if _publishes(trunk):
            publication.granted[view.pair] = None
        if kept is not None and publication.host is None and publication.publisher.resume(kept, self.now()):
            self._host(publication, view.pair)

    def tell(self, view: PairView) -> None:
        """The authorization or the document is news."""
        trunk = self._desk.trunk_of(view.watcher_peer.name)
        if trunk is None:
            return
        key = (trunk.peer.name, view.pair.presentity)
        publication = self._found.get(key)
        if view.grant is not Grant.GRANTED or not _publishes(trunk):
            if publication is not None and view.pair in publication.granted:
                del publication.granted[view.pair]
                if publication.host == view.pair:
                    self._choose(publication)
                self.pump(publication)
            return
        publication = publication or self._of(view.pair.presentity, trunk)
        if publication is None:
            return
        publication.granted[view.pair] = None
        if publication.host is None:
            self._choose(publication)
        elif publication.host == view.pair:
            self._shown(publication, view.document)
        self.pump(publication)

    # -- the engine ------------------------------------------------------------------------------------

    def _of(self, person: Address, trunk: Trunk) -> Publication | None:
        key = (trunk.peer.name, person)
        found = self._found.get(key)
        if found is None:
            try:
                uri = str(uri_of(person))
            except AddressError:
                return None
            publisher = Publisher(
                uri,
                call_id=f"{secrets.token_hex(12)}@{self._desk.context.server_name}",
                tag=secrets.token_hex(8),
                ask_s=trunk.settings.max_expires_s,
                every_s=trunk.settings.notify_every_s,
                spread=self._desk.spread,
            )
            found = self._found[key] = Publication(person, trunk.peer.name, publisher)
        return found

    def _choose(self, publication: Publication) -> None:
        """Another host; without one there is nothing to publish."""
        last = publication.host
        self._host(publication, next(iter(publication.granted), None))
        if last is not None:
            self._desk.audiences.note(last)
        if publication.host is None:
            publication.publisher.withdraw(self.now())
            return
        self._desk.audiences.note(publication.host)
        view = self._desk.hub.presence.view(publication.host)
        self._shown(publication, None if view is None else view.document)

    def _host(self, publication: Publication, pair: Pair | None) -> None:
        if publication.host is not None:
            del self._hosts[publication.host]
        publication.host = pair
        if pair is not None:
            self._hosts[pair] = publication

    def _shown(self, publication: Publication, document: Document | None) -> None:
        if document is None:
            return  # nothing is known; what was said stands
        if document.online:
            publication.publisher.publish(self.now())
        else:
            publication.publisher.withdraw(self.now())

    def pump(self, publication: Publication) -> None:
        """Send what is to be sent, write down what has changed, forget what is over."""
        publisher, now = publication.publisher, self.now()
        trunk = self._desk.trunk_of(publication.peer)
        if publication.host is None and not publication.granted:
            publisher.withdraw(now)
        request = publisher.next_request(now, lambda: self._compose(publication))
        if request is not None:
            if trunk is None:
                publisher.request_failed(now)
            else:
                domain = publication.host.watcher.domain if publication.host is not None else ""
                self._desk.send_alone(
                    request,
                    trunk,
                    domain or _home(trunk),
                    _Leg(self, publication),
                    lambda: publisher.next_cseq(self.now()),
                )
        if publisher.changed:
            publisher.changed = False
            if publication.host is not None:
                self._desk.audiences.note(publication.host)
        if publication.host is None and publisher.over:
            self._found.pop((publication.peer, publication.person), None)
        elif self._agenda is not None:
            self._agenda.set(publication)

    def _compose(self, publication: Publication) -> tuple[bytes, str]:
        if publication.host is None:
            return b"", ""
        view = self._desk.hub.presence.view(publication.host)
        if view is None or view.document is None or not view.document.online:
            return b"", ""
        return write(to_pidf(view.document, publication.person)), MEDIA_TYPE

    def _ring(self, publication: Publication, now: float) -> None:
        publication.publisher.handle_timer(now)
        self.pump(publication)


def _publishes(trunk: Trunk) -> bool:
    return trunk.settings.presence and trunk.settings.publish


def _home(trunk: Trunk) -> str:
    """A domain of the peer's."""
    return next((domain for domain in trunk.peer.domains if "*" not in domain), "")
