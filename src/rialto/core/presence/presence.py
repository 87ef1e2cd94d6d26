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

import math
from collections.abc import Callable, Iterable, Mapping

import structlog
from msgspec.structs import replace

from rialto.core.limits import Buckets
from rialto.core.metrics import Metrics
from rialto.core.network import Network, Origin, PairView, Peer, Side, Verb
from rialto.core.presence import history, records
from rialto.core.presence.alarms import Alarms, CallLater, Timer
from rialto.core.presence.book import Book
from rialto.core.presence.ledger import Ledger
from rialto.core.presence.machine import Act, Event, step
from rialto.core.presence.pace import Pace
from rialto.core.presence.policy import Facts, decide
from rialto.core.presence.settings import PresenceSettings
from rialto.core.presence.voice import Candidates, Voice
from rialto.core.presence.watch import Look, Watch
from rialto.model.address import Address
from rialto.model.errors import DeliveryError, Reason, Refused, Unreachable
from rialto.model.presence import Document, Grant, Pair
from rialto.store.store import WatchRow
from rialto.store.units import Unit
from rialto.store.writer import Done

ANSWER_WITHIN_S = 120.0
"""No answer by then is a failure."""

RETRY_FIRST_S = 5.0
RETRY_MOST_S = 900.0
RETRY_AFTER_MOST_S = 86_400.0
"""A far side that says when to come again is believed up to this."""

TELL_AGAIN_AFTER_S = 60.0

GIVE_BACK_TRIES = 12
"""A far side that will not hear that an authorization was given back is left alone after these."""

AUDIT_EVERY_S = 10.0
"""How often a few are taken for the audit."""

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
    ) -> None:
        self.settings = settings
        self._metrics = metrics
        self._count = metrics.count
        self._clock = clock
        self._candidates = candidates
        self._book = Book()
        self._buckets = Buckets()
        self._failing: dict[Watch, None] = {}
        """Whose far side does not answer."""
        self._untold: dict[Watch, None] = {}
        """Whose watcher could not be told."""
        self._round: list[Watch] = []
        """Who is still to be audited in this round."""
        self._share = 1
        self._audit_timer: Timer | None = None
        self._stopped = False
        self._voice = Voice({}, candidates)

    # -- life ------------------------------------------------------------------------------------------

    def start(
        self,
        networks: Mapping[str, Network],
        rows: Iterable[WatchRow],
        *,
        submit: Callable[[Unit, Done], None],
        call_soon: Callable[[Callable[[], None]], object],
        call_later: CallLater,
        monotonic: Callable[[], float],
        random: Callable[[], float],
    ) -> None:
        """Take up what an earlier run left, and give it back to the networks; nothing is said yet."""
        self._call_later = call_later
        self._random = random
        self._voice = Voice(networks, self._candidates)
        self._alarms = Alarms(self._clock, call_later, self._ring)
        self._pace = Pace(self.settings.opens_per_s, monotonic, call_later, self._say)
        self._ledger = Ledger(
            submit, call_soon, call_later, self._act, self._gone, lambda: self._count("store_errors")
        )
        for watch, watcher_data, presentity_data in records.read(rows):
            watch.opened = watch.listening
            self._book.add(watch)
            self._voice.resume(watch, watcher_data, presentity_data)
        if len(self._book):
            _log.info("watches taken up again", pairs=len(self._book))

    def go(self) -> None:
        """The networks are up: make true what is wanted, little by little and in no order."""
        waiting: list[Watch] = []
        for watch in self._book:
            if watch.owed is not Verb.GIVE_BACK or watch.grant is not Grant.NONE:
                # What was asked before the restart and answered meanwhile is lost; so all is asked again,
                # but for an ASK that the far side has: its user would be asked twice.
                watch.owed = (
                    watch.wanted() if watch.owed is not None or watch.grant is Grant.GRANTED else None
                )
            if watch.owed is not None:
                watch.say = watch.owed
                waiting.append(watch)
            if watch.news() or watch.over():
                self._ledger.touch(watch)
            self._alarms.set(watch)
        self._shuffle(waiting)
        self._pace.slowly(waiting)
        self._audit_timer = self._call_later(AUDIT_EVERY_S, self._audit)

    def stop(self) -> None:
        """Say nothing more, and hand over what is to be written."""
        self._stopped = True
        if self._audit_timer is None:
            return
        self._audit_timer.cancel()
        self._alarms.stop()
        self._pace.stop()
        self._ledger.flush()

    # -- from the watcher's network --------------------------------------------------------------------

    def ask(self, pair: Pair, origin: Origin | None, *, note: str = "") -> None:
        """The watcher wants the authorization (XMPP `subscribe`; SIP: the SUBSCRIBE that begins a dialog).

        Where it has it already it is told so again, and nobody else is asked. Call `open` as well if the
        watcher listens. Raises DeliveryError to refuse at once, and then nothing is kept: Refused (no route,
        a loop, no presence there, too many watched), Busy (too fast).
        """
        self._prove(pair, "watcher", origin)
        watch = self._book.find(pair)
        if watch is None or watch.grant in (Grant.NONE, Grant.REFUSED):
            watch = self._admit(pair, origin, watch)
            self._count("presence_asks", watch.watcher_peer)
            watch.durable = True
            watch.looking = Look.NONE  # the answer would be taken for that to the request
            watch.note = _clean(note[:MAX_NOTE_CHARACTERS])
        self._happen(watch, Event.ASK, note)

    def give_back(self, pair: Pair, origin: Origin | None) -> None:
        """The watcher wants it no longer (XMPP `unsubscribe`). `tell` follows with Grant.NONE."""
        self._prove(pair, "watcher", origin)
        watch = self._book.find(pair)
        if watch is not None:
            self._happen(watch, Event.GIVE_BACK)

    def open(self, pair: Pair, origin: Origin | None, until: float | None = None) -> bool:
        """A session begins or goes on (XMPP: a probe or initial presence; SIP: a dialog made or refreshed).

        False: there is no authorization that is granted or pending, and nothing was opened. A new session is
        told what is known in any case (`tell`, in a later turn); one that goes on only what changes: a
        network that owes an answer of its own (a NOTIFY for each refresh, an answer to each probe) takes it
        from `view`. `until`: seconds since 1970; at that time the session ends by itself and `tell` says so.
        """
        self._prove(pair, "watcher", origin)
        watch = self._book.find(pair)
        if watch is None or watch.grant not in (Grant.PENDING, Grant.GRANTED):
            return False
        if origin is not None:
            watch.watcher_peer = origin.peer.name
        watch.until = until
        if watch.listening:
            self._ledger.note(watch)
            self._alarms.set(watch)
        else:
            self._happen(watch, Event.OPEN)
        return True

    def close(self, pair: Pair, origin: Origin | None) -> None:
        """The session ends; the authorization stays (XMPP: the user has gone; SIP: in-dialog Expires 0)."""
        self._prove(pair, "watcher", origin)
        watch = self._book.find(pair)
        if watch is not None and watch.listening:
            self._happen(watch, Event.CLOSE)

    def fetch(self, pair: Pair, origin: Origin | None) -> PairView:
        """One look (XMPP: a probe without authorization; SIP: out-of-dialog Expires 0).

        Returned is what is known now. Where that is no document the far side is asked once, unless it has
        yet to decide about this watcher, and what it answers comes by `tell`: with a document, or without
        one where it showed none. Raises DeliveryError like `ask`.
        """
        self._prove(pair, "watcher", origin)
        watch = self._book.find(pair)
        if watch is None or (watch.grant is not Grant.PENDING and watch.visible() is None):
            watch = self._admit(pair, origin, watch)
            if watch.looking is Look.NONE and watch.owed is None:
                watch.looking = Look.ASKED
                watch.say = watch.owed = Verb.FETCH
                self._ledger.touch(watch)
        return self._viewed(watch)

    def untold(self, view: PairView, error: DeliveryError) -> None:
        """This, given to `tell`, has not arrived: what was told before it stands, and it comes again."""
        watch = self._book.find(view.pair)
        if watch is None or watch.told_grant is not view.grant:
            return
        self._note(watch, "untold", error.text or error.detail)
        self._count("presence_failed", view.watcher_peer.name, error.reason)
        if watch.told_document is view.document:
            watch.told_document = view.told_document
        watch.told_grant = view.told_grant
        watch.again = True
        self._untold[watch] = None
        wait_s = error.retry_after_s or TELL_AGAIN_AFTER_S
        watch.tell_at = self._clock() + wait_s * (0.75 + self._random() / 2)
        self._ledger.note(watch)
        self._alarms.set(watch)

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
        watch = self._book.find(pair)
        if watch is None:
            return
        if not for_good:
            self._fail(watch, error)
            return
        if error.reason is Reason.DOMAIN_NOT_FOUND and self._divert(watch):
            return
        watch.reason, watch.text = error.reason, _clean(error.text or error.detail)
        self._happen(watch, Event.REFUSED, watch.text)

    def show(self, pair: Pair, document: Document, origin: Origin | None) -> bool:
        """The complete state for this watcher; False where nobody has asked for it.

        Raises Refused for a document that nobody could keep.
        """
        self._prove(pair, "presentity", origin)
        records.check(document)
        watch = self._book.find(pair)
        if watch is None or (watch.grant is not Grant.GRANTED and watch.looking is not Look.ASKED):
            self._ignored(pair, "presence nobody asked for")
            return False
        self._count("presence_shown", watch.presentity_peer)
        known = watch.document
        if watch.auditing:
            watch.auditing = False
            same = known is not None and known.same_news(document)
            self._count("presence_audits", watch.presentity_peer, "same" if same else "corrected")
            if not same:
                self._note(watch, "corrected", "the audit found what had not been told")
        if known is None or known.online != document.online or known.stale:
            self._note(watch, "shown", "online" if document.online else "offline")
        if watch.looking is Look.ASKED:
            watch.looking, watch.again = Look.ANSWERED, True
        watch.document = document
        if watch.grant is Grant.GRANTED:
            self._happen(watch, Event.SHOW)
        else:
            self._take_answer(watch)
            self._ledger.touch(watch)
        return True

    def silent(self, pair: Pair, origin: Origin | None, since: float) -> None:
        """The far side has not kept its promise since then: what was shown last is stale."""
        self._prove(pair, "presentity", origin)
        watch = self._book.find(pair)
        if watch is not None and watch.document is not None and not watch.document.stale:
            watch.document = replace(watch.document, as_of=max(watch.document.as_of, since))
            self._happen(watch, Event.SILENT, "the far side has gone silent")

    def done(self, pair: Pair, origin: Origin | None) -> None:
        """The last `watch` was carried out, and what is known stands."""
        self._answered(pair, origin, Event.DONE)

    def missed(self, destination: str, network: str) -> None:
        """News from that destination (as in `Network.destination`) may have been lost: everybody there who is
        watched now is asked about again, little by little (OPEN)."""
        waiting: list[Watch] = []
        for domain in self._book.domains():
            for watch in self._book.at(domain):
                peer = self._voice.presentity_peer(watch)
                if peer is None or peer.network != network:
                    continue
                if self._voice.destination(peer, domain) != destination:
                    break  # all of one domain and peer fail together
                if not watch.listening:
                    watch.live = False
                elif watch.grant is Grant.GRANTED and watch.owed is None:
                    watch.say = watch.owed = Verb.OPEN
                    waiting.append(watch)
        self._shuffle(waiting)
        self._pace.slowly(waiting)

    # -- from both -------------------------------------------------------------------------------------

    def keep(self, pair: Pair, side: Side, data: bytes | None) -> None:
        """Write down what the network of that side wants back with `resume`; None for nothing more.

        Costs little, and may be called with every change. Pairs that are unknown are passed over.
        """
        watch = self._book.find(pair)
        if watch is not None:
            watch.fresh_data = {**(watch.fresh_data or {}), side: data or b""}
            self._ledger.note(watch)

    def view(self, pair: Pair) -> PairView | None:
        """The pair as it is; None where there is none."""
        watch = self._book.find(pair)
        return self._voice.view(watch) if watch is not None else None

    # -- from the hub and from people ------------------------------------------------------------------

    def reachable(self, destination: str, network: str) -> None:
        """A link to that destination came up: what failed there is tried again, little by little."""
        there = destination, network
        waiting = []
        for watch in list(self._failing):
            if watch.retry_at and self._is_at(
                self._voice.presentity_peer(watch), watch.pair.presentity, there
            ):
                watch.retry_at = 0.0
                watch.say = watch.wanted()
                waiting.append(watch)
        self._shuffle(waiting)
        self._pace.slowly(waiting)
        for watch in list(self._untold):
            if self._is_at(self._voice.watcher_peer(watch), watch.pair.watcher, there):
                self._tell_again(watch)

    def _is_at(self, peer: Peer | None, address: Address, there: tuple[str, str]) -> bool:
        return peer is not None and there == (self._voice.destination(peer, address.domain), peer.network)

    def find(self, pair: Pair) -> Watch | None:
        """The watch of that pair, for those who explain."""
        return self._book.find(pair)

    def __len__(self) -> int:
        return len(self._book)

    def gauge(self) -> None:
        """Bring the gauges up to date."""
        gauges = self._metrics.gauges
        gauges["presence_pairs"].set(len(self._book))
        gauges["presence_failing"].set(len(self._failing))
        gauges["presence_waiting"].set(len(self._pace) if self._audit_timer is not None else 0)

    # -- what comes in ---------------------------------------------------------------------------------

    def _prove(self, pair: Pair, side: Side, origin: Origin | None) -> None:
        domain = (pair.watcher if side == "watcher" else pair.presentity).domain
        if origin is None or origin.peer in self._candidates(domain, origin.peer.network):
            return
        self._count("presence_refused", origin.peer.name, Reason.FORBIDDEN)
        raise Refused(
            Reason.FORBIDDEN,
            f"{origin.domain} does not speak for {domain}",
            detail=f"proven as {origin.domain} by {origin.proof}",
        )

    def _admit(self, pair: Pair, origin: Origin | None, watch: Watch | None) -> Watch:
        """The watch, new or known, of somebody who may ask. Raises DeliveryError."""
        voice, settings = self._voice, self.settings
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
                wait_s=self._buckets.take(domain, settings.asks_per_s, self._clock()),
                watched=self._book.watched_with(pair),
                max_watched=settings.max_watched,
                pairs=len(self._book) - (watch is not None),
                max_pairs=settings.max_pairs,
            )
        )
        if refusal is not None or watcher_peer is None or presentity_peer is None:
            error = refusal[1] if refusal is not None else Refused(Reason.DOMAIN_NOT_FOUND)
            self._count("presence_refused", watcher_peer.name if watcher_peer else "", error.reason)
            raise error
        if watch is None:
            watch = Watch(pair, watcher_peer.name, presentity_peer.name, self._clock())
            self._book.add(watch)
        watch.watcher_peer, watch.presentity_peer = watcher_peer.name, presentity_peer.name
        return watch

    def _answered(self, pair: Pair, origin: Origin | None, event: Event) -> None:
        self._prove(pair, "presentity", origin)
        watch = self._book.find(pair)
        if watch is None:
            self._ignored(pair, f"{event.value} without a request")
        else:
            self._happen(watch, event)

    def _ignored(self, pair: Pair, what: str) -> None:
        found = self._candidates(pair.presentity.domain, "")
        self._count("ignored", found[0].network if found else "", what)

    def _divert(self, watch: Watch) -> bool:
        """RFC 7247 section 5: the other protocol is asked when the first has no such domain."""
        found = self._candidates(watch.pair.presentity.domain, "")
        names = [peer.name for peer in found]
        at = names.index(watch.presentity_peer) + 1 if watch.presentity_peer in names else len(names)
        if watch.grant is not Grant.PENDING or at >= len(names):
            return False
        watch.presentity_peer = names[at]
        self._note(watch, "routed", f"now to {names[at]}")
        self._do(watch, Act.SAY_ASK, Event.ASK)
        self._ledger.touch(watch)
        return True

    # -- what follows ----------------------------------------------------------------------------------

    def _happen(self, watch: Watch, event: Event, text: str = "") -> None:
        """Let the table decide."""
        found = step(event, watch.grant)
        if found is None:
            self._ignored(watch.pair, f"{event.value} while {watch.grant.value}")
            return
        if found.grant is not watch.grant or event in _ALWAYS_NOTED:
            self._note(watch, event.value, text)
        if found.grant is not watch.grant:
            watch.grant, watch.changed_at = found.grant, self._clock()
            if found.grant is not Grant.REFUSED:
                watch.reason, watch.text = None, ""
            if found.grant in (Grant.GRANTED, Grant.REFUSED):
                self._count("presence_decided", watch.presentity_peer, found.grant.value)
        for act in found.acts:
            self._do(watch, act, event)
        if event is Event.SHOW and not watch.news():
            self._ledger.note(watch)
        else:
            self._ledger.touch(watch)
        self._alarms.set(watch)

    def _do(self, watch: Watch, act: Act, event: Event) -> None:
        match act:
            case Act.SAY_ASK:
                self._want(watch, Verb.ASK)
            case Act.SAY_GIVE_BACK:
                self._want(watch, Verb.GIVE_BACK)
            case Act.SAY_OPEN:
                self._want(watch, Verb.OPEN)
            case Act.SAY_CLOSE:
                self._unlisten(watch)
            case Act.LISTEN:
                if watch.listening and not watch.opened:
                    self._want(watch, Verb.OPEN)
            case Act.HURRY:
                if watch.retry_at:
                    self._want(watch, Verb.ASK)
            case Act.ANSWERED:
                self._take_answer(watch)
            case Act.LATER:
                self._again_later(watch)
            case Act.BEGIN:
                watch.listening = True
            case Act.END:
                watch.listening, watch.until = False, None
                if event is Event.CLOSE:  # its screen has gone; otherwise `tell` still clears it
                    watch.told_document = None
            case Act.TELL_AGAIN:
                watch.again = True
            case Act.DECIDED_AGAIN:
                watch.told_grant = Grant.PENDING
            case Act.TAKE:
                watch.live = watch.listening or self._voice.pushes(watch)
            case Act.BLANK:
                watch.document, watch.live, watch.auditing = None, False, False
                watch.say = None
            case Act.STALE:
                if watch.document is not None:
                    watch.document = replace(watch.document, stale=True)
                watch.live = False

    def _want(self, watch: Watch, verb: Verb) -> None:
        watch.say = watch.owed = verb
        watch.retry_at = watch.answer_by = 0.0

    def _unlisten(self, watch: Watch) -> None:
        """The far side need not tell any more."""
        if watch.owed is Verb.OPEN:
            watch.owed = None
            watch.retry_at = watch.answer_by = 0.0
            self._failing.pop(watch, None)
        if watch.say is Verb.OPEN:
            watch.say = None
        if watch.opened and watch.say is None:
            watch.say = Verb.CLOSE
        watch.live = watch.live and self._voice.pushes(watch)

    def _take_answer(self, watch: Watch) -> None:
        if watch.owed is Verb.OPEN and watch.document is not None and watch.listening:
            watch.live = True
        watch.owed = None
        watch.retry_at = watch.answer_by = 0.0
        watch.failing_since = 0.0
        watch.auditing = False
        if watch.failures:
            watch.failures = 0
            self._failing.pop(watch, None)
            self._note(watch, "recovered", "")
            if watch.grant is not Grant.REFUSED:
                watch.text = ""
        if watch.looking is Look.ASKED:  # answered, but with nothing to show
            watch.looking, watch.again = Look.NONE, True

    def _fail(self, watch: Watch, error: DeliveryError) -> None:
        """It did not work, and may later."""
        self._count("presence_failed", watch.presentity_peer, error.reason)
        if watch.owed is Verb.FETCH and watch.wanted() is None:
            self._take_answer(watch)
            self._ledger.touch(watch)
            return
        if watch.grant is Grant.REFUSED:
            return
        now = self._clock()
        watch.text = _clean(error.text or error.detail)
        if not watch.failures:
            watch.failing_since = now
            self._note(watch, Event.FAILED.value, watch.text)
        watch.failures += 1
        wait_s = _back_off_s(watch.failures)
        if error.retry_after_s is not None and (error.retry_after_s or watch.failures == 1):
            wait_s = min(error.retry_after_s, RETRY_AFTER_MOST_S)
        watch.retry_at = now + wait_s * (0.75 + self._random() / 2)
        self._happen(watch, Event.FAILED)
        document = watch.document
        if (
            document is not None
            and not document.stale
            and watch.failing_since
            and now - watch.failing_since >= self.settings.stale_after_s
        ):
            self._happen(watch, Event.SILENT, watch.text)

    def _again_later(self, watch: Watch) -> None:
        watch.owed = verb = watch.wanted()
        watch.answer_by = 0.0
        watch.opened = False
        if verb is None or (verb is Verb.GIVE_BACK and watch.failures >= GIVE_BACK_TRIES):
            watch.failures = 0  # nobody has recovered; it just does not matter any more
            self._failing.pop(watch, None)
            self._take_answer(watch)
        else:
            self._failing[watch] = None

    # -- what goes out ---------------------------------------------------------------------------------

    def _act(self, watch: Watch) -> None:
        """It is on disk as it is: tell the watcher, then the far side."""
        if self._stopped:
            return
        if watch.news():
            view = self._voice.view(watch)
            if view is not None:
                self._count("presence_told", watch.watcher_peer)
                watch.noted()
                self._ledger.note(watch)
                self._voice.tell(watch, view)
            else:
                watch.noted()
        if watch.say in _PACED:
            self._pace.soon(watch)
        elif watch.say is not None:
            self._say(watch)

    def _say(self, watch: Watch) -> None:
        verb, watch.say = watch.say, None
        if verb is None or self._stopped:
            return
        if verb in (Verb.ASK, Verb.OPEN) and watch.wanted() is not verb:
            if watch.owed is verb:  # things have changed while it waited for its turn
                watch.owed = None
            return
        watch.opened = watch.listening and verb in (Verb.ASK, Verb.OPEN, Verb.FETCH)
        if verb is not Verb.CLOSE:
            watch.owed = verb
            watch.answer_by = self._clock() + ANSWER_WITHIN_S
            self._alarms.set(watch)
        view = self._voice.view(watch)
        self._count("presence_said", watch.presentity_peer, verb.value)
        if view is None or not self._voice.say(watch, view, verb):
            domain = watch.pair.presentity.domain
            self._fail(watch, Unreachable(Reason.UNREACHABLE, f"nobody here can reach {domain}"))

    def _gone(self, watch: Watch) -> None:
        self._book.remove(watch)
        self._failing.pop(watch, None)
        self._untold.pop(watch, None)

    def _viewed(self, watch: Watch) -> PairView:
        view = self._voice.view(watch)
        if view is None:
            raise Refused(Reason.DOMAIN_NOT_FOUND, f"nobody here can reach {watch.pair.presentity.domain}")
        return view

    # -- time ------------------------------------------------------------------------------------------

    def _ring(self, watch: Watch, now: float) -> None:
        """A deadline of this watch has passed."""
        if watch.listening and watch.until is not None and watch.until <= now:
            self._happen(watch, Event.RUN_OUT)
        if watch.answer_by and watch.answer_by <= now:
            watch.answer_by = 0.0
            if watch.owed is not None:
                self._fail(watch, Unreachable(Reason.TIMEOUT, "no answer"))
        if watch.retry_at and watch.retry_at <= now:
            watch.retry_at = 0.0
            watch.say = watch.wanted()
            self._pace.slowly([watch])
        if watch.tell_at and watch.tell_at <= now:
            self._tell_again(watch)

    def _tell_again(self, watch: Watch) -> None:
        watch.tell_at = 0.0
        self._untold.pop(watch, None)
        self._ledger.touch(watch)

    def _audit(self) -> None:
        """Compare a few with what their far side says; forget refusals that nobody remembers."""
        self._audit_timer = self._call_later(AUDIT_EVERY_S, self._audit)
        if not self._round:
            self._round = list(self._book)
            self._shuffle(self._round)
            self._share = max(1, math.ceil(len(self._round) * AUDIT_EVERY_S / self.settings.audit_every_s))
        few, self._round = self._round[-self._share :], self._round[: -self._share]
        before = self._clock() - self.settings.keep_refused_days * 86_400
        for watch in few:
            if self._book.find(watch.pair) is not watch:
                continue
            if watch.grant is Grant.REFUSED and watch.changed_at < before:
                watch.grant = watch.told_grant = Grant.NONE
                self._ledger.touch(watch)
            elif watch.grant is Grant.GRANTED and watch.listening and watch.owed is None:
                watch.auditing = True
                watch.say = watch.owed = Verb.FETCH
                self._pace.slowly([watch])

    def _note(self, watch: Watch, what: str, text: str) -> None:
        if watch.durable:
            if watch.entries is None:
                watch.entries = []
            watch.entries.append((self._clock(), what, _clean(text[: history.MAX_TEXT_CHARACTERS])))

    def _shuffle(self, watches: list[Watch]) -> None:
        watches.sort(key=lambda watch: self._random())


_PACED = (Verb.OPEN, Verb.FETCH)
"""What asks about people, and could come from many at once."""

_ALWAYS_NOTED = (Event.OPEN, Event.CLOSE, Event.RUN_OUT, Event.SILENT)


def _clean(text: str) -> str:
    """What a database can write: a text from outside may have half a surrogate pair in it."""
    return text.encode("utf-8", "replace").decode()


def _back_off_s(failures: int) -> float:
    return min(RETRY_MOST_S, RETRY_FIRST_S * 2.0 ** min(failures - 1, 16))
