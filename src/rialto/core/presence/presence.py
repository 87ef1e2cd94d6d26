"""What networks say to the hub about presence.

Everything is about a pair, watcher and presentity, both bare. Its *authorization* (`Grant`) lasts until one
of them takes it back; a *session* is the time in which the watcher wants to hear (a SIP dialog, an XMPP
presence session). The words are those of RFC 8048 section 2.

    watcher's network             hub.presence             presentity's network
      ask give_back open   ───────►         ───watch(verb)──────►
      close fetch                                    granted pending refused
                       ◄──────tell───────   ◄───────  show silent done

Nothing here blocks, and nothing calls back before it has returned. `origin` is who was proven to speak: the
watcher's side for the verbs of the watcher's network, the presentity's for the others; None where the
network speaks of its own accord (a timer, an outage). Where origin and pair do not fit, `Refused(FORBIDDEN)`
is raised.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog
from msgspec.structs import replace

from rialto.core.limits import Buckets
from rialto.core.metrics import Metrics
from rialto.core.network import Origin, PairView, Peer, Side, Verb, Watcher
from rialto.core.policy.gate import Gate
from rialto.core.presence import records
from rialto.core.presence.course import Course
from rialto.core.presence.machine import Act, Event
from rialto.core.presence.policy import Facts, decide
from rialto.core.presence.review import Review
from rialto.core.presence.settings import PresenceSettings
from rialto.core.presence.voice import Candidates
from rialto.core.presence.watch import Look, Watch, clean
from rialto.core.presence.watchers import watchers
from rialto.model.address import Address
from rialto.model.agreement import Traffic
from rialto.model.errors import DeliveryError, Reason, Refused
from rialto.model.presence import Document, Grant, Pair

TELL_AGAIN_AFTER_S = 60.0

MAX_NOTE_CHARACTERS = 500

_log = structlog.get_logger(__name__)


class Presence:
    """`hub.presence`; everything on the event loop's thread."""

    def __init__(
        self,
        *,
        settings: PresenceSettings,
        metrics: Metrics,
        clock: Callable[[], float],
        candidates: Candidates,
        gate: Gate,
    ) -> None:
        self.settings = settings
        self._metrics = metrics
        self._gate = gate
        self._candidates = candidates
        self._buckets = Buckets()
        self._course = Course(settings=settings, metrics=metrics, clock=clock, candidates=candidates)
        self._review = Review(self._course, gate)
        self.review = self._review.begin
        self.start = self._course.start
        self.go = self._course.go
        self.stop = self._course.stop

    # -- from the watcher's network --------------------------------------------------------------------

    def ask(self, pair: Pair, origin: Origin | None, *, note: str = "") -> None:
        """The watcher wants the authorization (XMPP `subscribe`; SIP: the SUBSCRIBE that begins a dialog).

        Where it has it already it is told so again, and nobody else is asked. Call `open` as well if the
        watcher listens. Raises DeliveryError to refuse at once, and then nothing is kept: Refused (no route,
        a loop, no presence there, too many watched), Busy (too fast).
        """
        self._prove(pair, "watcher", origin)
        watch = self._course.book.find(pair)
        if watch is None or watch.grant in (Grant.NONE, Grant.REFUSED):
            watch = self._admit(pair, origin, watch)
            self._course.count("presence_asks", watch.watcher_peer)
            watch.durable = True
            watch.looking = Look.NONE  # the answer would be taken for that to the request
            watch.note = clean(note[:MAX_NOTE_CHARACTERS])
        elif (
            refusal := self._gate.refusal(pair.watcher, pair.presentity, Traffic.PRESENCE, origin)
        ) is not None:
            self._course.count("presence_refused", watch.watcher_peer, refusal.reason)
            raise refusal
        self._course.happen(watch, Event.ASK, note)

    def give_back(self, pair: Pair, origin: Origin | None) -> None:
        """The watcher wants it no longer (XMPP `unsubscribe`). `tell` follows with Grant.NONE."""
        self._prove(pair, "watcher", origin)
        watch = self._course.book.find(pair)
        if watch is not None:
            self._course.happen(watch, Event.GIVE_BACK)

    def open(self, pair: Pair, origin: Origin | None, until: float | None = None) -> bool:
        """A session begins or goes on (XMPP: a probe or initial presence; SIP: a dialog made or refreshed).

        False: there is no authorization that is granted or pending, and nothing was opened. A new session is
        told what is known in any case (`tell`, in a later turn); one that goes on only what changes: a
        network that owes an answer of its own (a NOTIFY for each refresh, an answer to each probe) takes it
        from `view`. `until`: seconds since 1970; at that time the session ends by itself and `tell` says so.
        """
        self._prove(pair, "watcher", origin)
        watch = self._course.book.find(pair)
        if watch is None or watch.grant not in (Grant.PENDING, Grant.GRANTED):
            return False
        if self._gate.refusal(pair.watcher, pair.presentity, Traffic.PRESENCE, origin) is not None:
            return False
        if origin is not None:
            watch.watcher_peer = origin.peer.name
        watch.until = until
        if watch.listening:
            self._course.ledger.note(watch)
            self._course.agenda.set(watch)
        else:
            self._course.happen(watch, Event.OPEN)
        return True

    def close(self, pair: Pair, origin: Origin | None) -> None:
        """The session ends; the authorization stays (XMPP: the user has gone; SIP: in-dialog Expires 0)."""
        self._prove(pair, "watcher", origin)
        watch = self._course.book.find(pair)
        if watch is None:
            return
        self._review.forget(watch)
        if watch.listening:
            self._course.happen(watch, Event.CLOSE)

    def fetch(self, pair: Pair, origin: Origin | None) -> PairView:
        """One look (XMPP: a probe without authorization; SIP: out-of-dialog Expires 0).

        Returned is what is known now. Where that is no document the far side is asked once, unless it has
        yet to decide about this watcher, and what it answers comes by `tell`: with a document, or without
        one where it showed none. Raises DeliveryError like `ask`.
        """
        self._prove(pair, "watcher", origin)
        watch = self._course.book.find(pair)
        if self._gate.refusal(pair.watcher, pair.presentity, Traffic.PRESENCE, origin) is not None:
            watch = None
        if watch is None or (watch.grant is not Grant.PENDING and watch.visible() is None):
            watch = self._admit(pair, origin, watch)
            if watch.looking is Look.NONE and watch.owed is None:
                watch.looking = Look.ASKED
                watch.say = watch.owed = Verb.FETCH
                self._course.ledger.touch(watch)
        return self._viewed(watch)

    def untold(self, view: PairView, error: DeliveryError) -> None:
        """This, given to `tell`, has not arrived: what was told before it stands, and it comes again."""
        watch = self._course.book.find(view.pair)
        if watch is None or watch.told_grant is not view.grant:
            return
        self._course.note(watch, "untold", error.text or error.detail)
        self._course.count("presence_failed", view.watcher_peer.name, error.reason)
        if _say_the_same(watch.told_document, view.document):
            watch.told_document = view.told_document
        watch.told_grant = view.told_grant
        watch.again = True
        self._course.untold[watch] = None
        wait_s = error.retry_after_s or TELL_AGAIN_AFTER_S
        watch.tell_at = self._course.clock() + wait_s * (1.0 + self._course.random() / 2)
        self._course.ledger.note(watch)
        self._course.agenda.set(watch)

    # -- from the presentity's network -----------------------------------------------------------------

    def granted(self, pair: Pair, origin: Origin | None) -> None:
        """The presentity allows it (XMPP `subscribed`; SIP: `active`). Welcome any number of times."""
        self._answered(pair, origin, Event.GRANTED)

    def pending(self, pair: Pair, origin: Origin | None) -> None:
        """The far side has the request, but has not decided (SIP `pending`; XMPP: `subscribe` is written)."""
        self._answered(pair, origin, Event.PENDING)

    def refused(self, pair: Pair, origin: Origin | None, error: DeliveryError, *, for_good: bool) -> None:
        """The far side says no.

        `for_good`: the authorization is at an end (XMPP `unsubscribed`; SIP 403, 489, 603, `rejected`,
        `noresource`). Otherwise it stays, and the hub comes again by itself with ASK or OPEN as long as they
        are wanted, after `error.retry_after_s` (0 for at once) or with back-off.
        """
        self._prove(pair, "presentity", origin)
        watch = self._course.book.find(pair)
        if watch is None:
            return
        if not for_good:
            self._course.fail(watch, error)
            return
        if error.reason is Reason.DOMAIN_NOT_FOUND and self._divert(watch):
            return
        watch.reason, watch.text = error.reason, clean(error.text or error.detail)
        self._course.happen(watch, Event.REFUSED, watch.text)

    def show(self, pair: Pair, document: Document, origin: Origin | None) -> bool:
        """The complete state for this watcher; False where nobody has asked for it.

        Raises Refused for a document that nobody could keep.
        """
        self._prove(pair, "presentity", origin)
        records.check(document)
        watch = self._course.book.find(pair)
        if watch is None or (watch.grant is not Grant.GRANTED and watch.looking is not Look.ASKED):
            self._course.ignored(pair, "presence nobody asked for")
            return False
        self._course.count("presence_shown", watch.presentity_peer)
        known = watch.document
        if watch.auditing:
            watch.auditing = False
            same = known is not None and known.same_news(document)
            self._course.count("presence_audits", watch.presentity_peer, "same" if same else "corrected")
            if not same:
                self._course.note(watch, "corrected", "the audit found what had not been told")
        if known is None or known.online != document.online or known.stale:
            self._course.note(watch, "shown", "online" if document.online else "offline")
        if watch.looking is Look.ASKED:
            watch.looking, watch.again = Look.ANSWERED, True
        watch.document = document
        if watch.grant is Grant.GRANTED:
            self._course.happen(watch, Event.SHOW)
        else:
            self._course.take_answer(watch)
            self._course.ledger.touch(watch)
        return True

    def silent(self, pair: Pair, origin: Origin | None, since: float) -> None:
        """The far side has not kept its promise since then: what was shown last is stale."""
        self._prove(pair, "presentity", origin)
        watch = self._course.book.find(pair)
        if watch is not None and watch.document is not None and not watch.document.stale:
            watch.document = replace(watch.document, as_of=max(watch.document.as_of, since))
            self._course.happen(watch, Event.SILENT, "the far side has gone silent")

    def done(self, pair: Pair, origin: Origin | None) -> None:
        """The last `watch` was carried out, and what is known stands."""
        self._answered(pair, origin, Event.DONE)

    def watchers(self, presentity: Address, origin: Origin | None) -> tuple[Watcher, ...]:
        """All who watch this person, or have asked to, by address; it costs as much as there are of them.

        Raises Refused where `origin` does not speak for the person.
        """
        person = presentity.bare
        self._prove(Pair(person, person), "presentity", origin)
        return watchers(self._course.book.of(person))

    def attend(self, presentity: Address, call: Callable[[tuple[Watcher, ...]], None]) -> Callable[[], None]:
        """Call, in a later turn and when it is on disk, whenever `watchers` would return something else.

        Returned is what ends it. Nothing of this outlives the process.
        """
        return self._course.attendance.attend(presentity.bare, call)

    def confirm(self, pair: Pair) -> bool:
        """Before anything is asked again for the watcher's sake alone (a refresh, say): is the session still
        there? True: that is being found out, and CLOSE follows if it is not, so wait a little. False: there
        is nobody who could find out."""
        watch = self._course.book.find(pair)
        return watch is not None and watch.listening and self._course.voice.confirm(watch)

    def missed(self, destination: str, network: str) -> None:
        """News from that destination (as in `Network.destination`) may have been lost: everybody there who is
        watched now is asked about again, little by little (OPEN)."""
        waiting: list[Watch] = []
        for domain in self._course.book.domains():
            for watch in self._course.book.at(domain):
                peer = self._course.voice.presentity_peer(watch)
                if peer is None or peer.network != network:
                    continue
                if self._course.voice.destination(peer, domain) != destination:
                    break  # all of one domain and peer fail together
                if not watch.listening:
                    watch.live = False
                elif watch.grant is Grant.GRANTED and watch.owed is None:
                    watch.say = watch.owed = Verb.OPEN
                    waiting.append(watch)
        self._course.shuffle(waiting)
        self._course.pace.slowly(waiting)

    # -- from both -------------------------------------------------------------------------------------

    def keep(self, pair: Pair, side: Side, data: bytes | None, *, at_once: bool = False) -> None:
        """Write down what the network of that side wants back with `resume`; None for nothing more.

        Costs little, and may be called with every change: it waits a second for company, but where it is
        wanted `at_once`. Pairs that are unknown are passed over.
        """
        watch = self._course.book.find(pair)
        if watch is not None:
            watch.fresh_data = {**(watch.fresh_data or {}), side: data or b""}
            ledger = self._course.ledger
            (ledger.touch if at_once else ledger.note)(watch)

    def when_kept(self, pair: Pair, call: Callable[[], None]) -> None:
        """Call when all that has been said of this pair so far is on disk, and so may be acknowledged: at
        once, if it is. Where the disk fails, that is when it works again."""
        watch = self._course.book.find(pair)
        if watch is None:
            call()
        else:
            self._course.ledger.when_kept(watch, call)

    def view(self, pair: Pair) -> PairView | None:
        """The pair as it is; None where there is none."""
        watch = self._course.book.find(pair)
        return self._course.voice.view(watch) if watch is not None else None

    # -- from the hub and from people ------------------------------------------------------------------

    def reachable(self, destination: str, network: str) -> None:
        """A link to that destination came up: what failed there is tried again, little by little."""
        there = destination, network
        waiting = []
        for watch in list(self._course.failing):
            if watch.retry_at and self._is_at(
                self._course.voice.presentity_peer(watch), watch.pair.presentity, there
            ):
                watch.retry_at = 0.0
                watch.say = watch.wanted()
                waiting.append(watch)
        self._course.shuffle(waiting)
        self._course.pace.slowly(waiting)
        for watch in list(self._course.untold):
            if self._is_at(self._course.voice.watcher_peer(watch), watch.pair.watcher, there):
                self._course.tell_again(watch)

    def _is_at(self, peer: Peer | None, address: Address, there: tuple[str, str]) -> bool:
        voice = self._course.voice
        return peer is not None and there == (voice.destination(peer, address.domain), peer.network)

    def find(self, pair: Pair) -> Watch | None:
        """The watch of that pair, for those who explain."""
        return self._course.book.find(pair)

    def __len__(self) -> int:
        return len(self._course.book)

    def gauge(self) -> None:
        """Bring the gauges up to date."""
        gauges = self._metrics.gauges
        gauges["presence_pairs"].set(len(self._course.book))
        gauges["presence_failing"].set(len(self._course.failing))
        gauges["presence_waiting"].set(self._course.waiting())

    # -- what comes in ---------------------------------------------------------------------------------

    def _prove(self, pair: Pair, side: Side, origin: Origin | None) -> None:
        domain = (pair.watcher if side == "watcher" else pair.presentity).domain
        if origin is None or origin.peer in self._candidates(domain, origin.peer.network):
            return
        self._course.count("presence_refused", origin.peer.name, Reason.FORBIDDEN)
        raise Refused(
            Reason.FORBIDDEN,
            f"{origin.domain} does not speak for {domain}",
            detail=f"proven as {origin.domain} by {origin.proof}",
        )

    def _admit(self, pair: Pair, origin: Origin | None, watch: Watch | None) -> Watch:
        """The watch, new or known, of somebody who may ask. Raises DeliveryError."""
        voice, settings = self._course.voice, self.settings
        network = origin.peer.network if origin is not None else ""
        watchers = self._candidates(pair.watcher.domain, network)
        presentities = self._candidates(pair.presentity.domain, network)
        watcher_peer = origin.peer if origin is not None else watchers[0] if watchers else None
        presentity_peer = presentities[0] if presentities else None
        domain = pair.watcher.domain
        back = (
            presentity_peer is not None
            and watcher_peer is not None
            and presentity_peer.network == watcher_peer.network
            and voice.destination(presentity_peer, pair.presentity.domain)
            == voice.destination(watcher_peer, origin.domain if origin is not None else domain)
        )
        refusal = decide(
            Facts(
                pair=pair,
                presentity_peer=presentity_peer,
                carries=voice.carries(presentity_peer) and voice.carries(watcher_peer),
                same_destination=back,
                unencrypted=origin is not None
                and origin.secure_only
                and not all(peer.features.encrypted for peer in presentities),
                wait_s=self._buckets.take(domain, settings.asks_per_s, self._course.clock()),
                watched=self._course.book.watched_with(pair),
                max_watched=settings.max_watched,
                pairs=len(self._course.book) - (watch is not None),
                max_pairs=settings.max_pairs,
            )
        )
        if refusal is not None or watcher_peer is None or presentity_peer is None:
            error = refusal[1] if refusal is not None else Refused(Reason.DOMAIN_NOT_FOUND)
            self._course.count("presence_refused", watcher_peer.name if watcher_peer else "", error.reason)
            raise error
        try:
            self._gate.ask(pair.watcher, pair.presentity, Traffic.PRESENCE, origin)
        except DeliveryError as error:
            self._course.count("presence_refused", watcher_peer.name, error.reason)
            raise
        if watch is None:
            watch = Watch(pair, watcher_peer.name, presentity_peer.name, self._course.clock())
            self._course.book.add(watch)
        watch.watcher_peer, watch.presentity_peer = watcher_peer.name, presentity_peer.name
        return watch

    def _answered(self, pair: Pair, origin: Origin | None, event: Event) -> None:
        self._prove(pair, "presentity", origin)
        watch = self._course.book.find(pair)
        if watch is None:
            self._course.ignored(pair, f"{event.value} without a request")
        else:
            self._course.happen(watch, event)

    def _divert(self, watch: Watch) -> bool:
        """RFC 7247 section 5: the other protocol is asked when the first has no such domain."""
        found = self._candidates(watch.pair.presentity.domain, "")
        names = [peer.name for peer in found]
        at = names.index(watch.presentity_peer) + 1 if watch.presentity_peer in names else len(names)
        if watch.grant is not Grant.PENDING or at >= len(names):
            return False
        watch.presentity_peer = names[at]
        self._course.note(watch, "routed", f"now to {names[at]}")
        self._course.do(watch, Act.SAY_ASK, Event.ASK)
        self._course.ledger.touch(watch)
        return True

    def _viewed(self, watch: Watch) -> PairView:
        view = self._course.voice.view(watch)
        if view is None:
            raise Refused(Reason.DOMAIN_NOT_FOUND, f"nobody here can reach {watch.pair.presentity.domain}")
        return view


def _say_the_same(one: Document | None, other: Document | None) -> bool:
    return one is other if one is None or other is None else one.same_news(other)
