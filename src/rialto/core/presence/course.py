"""What follows from an event, and sees that it does follow: written, told, asked, asked again.

The table in `machine` decides; here its acts are carried out on a `Watch`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import structlog
from msgspec.structs import replace

from rialto.core.agenda import Agenda, CallLater, Timer
from rialto.core.metrics import Metrics
from rialto.core.network import Network, PairView, Verb
from rialto.core.presence import history, records
from rialto.core.presence.book import Book
from rialto.core.presence.ledger import Ledger
from rialto.core.presence.machine import Act, Event, step
from rialto.core.presence.pace import Pace
from rialto.core.presence.settings import PresenceSettings
from rialto.core.presence.voice import Candidates, Voice
from rialto.core.presence.watch import Look, Watch, clean
from rialto.core.presence.watchers import Attendance
from rialto.model.errors import DeliveryError, Reason, Unreachable
from rialto.model.presence import Grant, Pair
from rialto.store.store import WatchRow
from rialto.store.units import Unit
from rialto.store.writer import Done

ANSWER_WITHIN_S = 120.0
"""No answer by then is a failure."""

RETRY_FIRST_S = 5.0
RETRY_MOST_S = 900.0
RETRY_AFTER_MOST_S = 86_400.0
"""A far side that says when to come again is believed up to this."""

GIVE_BACK_TRIES = 12
"""A far side that will not hear that an authorization was given back is left alone after these."""

AUDIT_EVERY_S = 10.0
"""How often a few are taken for the audit."""

_log = structlog.get_logger(__name__)


class Course:
    """All watches of one instance, and what becomes of them."""

    def __init__(
        self,
        *,
        settings: PresenceSettings,
        metrics: Metrics,
        clock: Callable[[], float],
        candidates: Candidates,
    ) -> None:
        self.settings = settings
        self.count = metrics.count
        self.clock = clock
        self.book = Book()
        self.voice = Voice({}, candidates)
        self.failing: dict[Watch, None] = {}
        """Whose far side does not answer."""
        self.untold: dict[Watch, None] = {}
        """Whose watcher could not be told."""
        self.attendance = Attendance(self.book.of)
        self._candidates = candidates
        self._first: list[tuple[Watch, PairView]] = []
        """What was being told when the process ended."""
        self._round: list[Watch] = []
        """Who is still to be audited in this round."""
        self._share = 0.0
        self._due = 0.0
        """How many are to be audited now, fractions included."""
        self._audit_timer: Timer | None = None
        self._stopped = False

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
        """Take up what an earlier run left, and give it back to the networks; nothing is said yet.

        What networks have to say from now on is taken, and has its consequences after `go`.
        """
        self._call_later = call_later
        self.random = random
        self.voice = Voice(networks, self._candidates)
        self.agenda: Agenda[Watch] = Agenda(self.clock, call_later, self._ring)
        self.pace = Pace(self.settings.opens_per_s, monotonic, call_later, self._say)
        self.ledger = Ledger(
            submit, call_soon, call_later, self._act, self._gone, lambda: self.count("store_errors")
        )
        self.ledger.held = True
        for watch, watcher_data, presentity_data in records.read(rows):
            watch.opened = watch.listening
            self.book.add(watch)
            self.voice.resume(watch, watcher_data, presentity_data)
            self._take_up(watch)
        if len(self.book):
            _log.info("watches taken up again", pairs=len(self.book))

    def go(self) -> None:
        """The networks are up: make true what is wanted, little by little and in no order."""
        for watch, view in self._first:
            self._pass_on(watch, view)
        self._first.clear()
        self.ledger.release()
        waiting: list[Watch] = []
        for watch in self.book:
            if watch.over():
                self.ledger.touch(watch)
            elif watch.say is not None and not self.ledger.pending(watch):
                waiting.append(watch)
            self.agenda.set(watch)
        self.shuffle(waiting)
        self.pace.slowly(waiting)
        self._audit_timer = self._call_later(AUDIT_EVERY_S, self._audit)

    def _take_up(self, watch: Watch) -> None:
        """One of an earlier run: what is to be asked, and what is to be told before anything else."""
        if watch.owed is not Verb.GIVE_BACK or watch.grant is not Grant.NONE:
            # What was asked before the restart and answered meanwhile is lost; so all is asked again,
            # but for an ASK that the far side has: its user would be asked twice.
            watch.owed = watch.wanted() if watch.owed is not None or watch.grant is Grant.GRANTED else None
        watch.say = watch.owed
        # What was being told when the process ended may be on a screen, whatever the disk says of it. It
        # counts as told from here on, and is told by `go` before anything that has happened meanwhile.
        view = self._news(watch)
        if view is not None:
            self._first.append((watch, view))

    def stop(self) -> None:
        """Say nothing more, and hand over what is to be written."""
        self._stopped = True
        if self._audit_timer is None:
            return
        self._audit_timer.cancel()
        self.agenda.stop()
        self.pace.stop()
        self.ledger.flush()

    def waiting(self) -> int:
        """How many questions wait for their turn."""
        return len(self.pace) if self._audit_timer is not None else 0

    def ignored(self, pair: Pair, what: str) -> None:
        """Something came in that has no consequence; count it."""
        found = self._candidates(pair.presentity.domain, "")
        self.count("ignored", found[0].network if found else "", what)

    # -- what follows ----------------------------------------------------------------------------------

    def happen(self, watch: Watch, event: Event, text: str = "") -> None:
        """Let the table decide."""
        found = step(event, watch.grant)
        if found is None:
            self.ignored(watch.pair, f"{event.value} while {watch.grant.value}")
            return
        if found.grant is not watch.grant or event in _ALWAYS_NOTED:
            self.note(watch, event.value, text)
        if found.grant is not watch.grant:
            watch.grant, watch.changed_at = found.grant, self.clock()
            if found.grant is not Grant.REFUSED:
                watch.reason, watch.text = None, ""
            if found.grant in (Grant.GRANTED, Grant.REFUSED):
                self.count("presence_decided", watch.presentity_peer, found.grant.value)
        for act in found.acts:
            self.do(watch, act, event)
        if event is Event.SHOW and not watch.news():
            self.ledger.note(watch)
        else:
            self.ledger.touch(watch)
        self.agenda.set(watch)

    def do(self, watch: Watch, act: Act, event: Event) -> None:
        """Carry out one act."""
        match act:
            case Act.SAY_ASK:
                self.want(watch, Verb.ASK)
            case Act.SAY_GIVE_BACK:
                self.want(watch, Verb.GIVE_BACK)
            case Act.SAY_OPEN:
                self.want(watch, Verb.OPEN)
            case Act.SAY_CLOSE:
                self._unlisten(watch)
            case Act.LISTEN:
                if watch.listening and not watch.opened:
                    self.want(watch, Verb.OPEN)
            case Act.HURRY:
                if watch.retry_at:
                    self.want(watch, Verb.ASK)
            case Act.ANSWERED:
                self.take_answer(watch)
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
                watch.live = watch.listening or self.voice.pushes(watch)
            case Act.BLANK:
                watch.document, watch.live, watch.auditing = None, False, False
                watch.say = None
            case Act.STALE:
                if watch.document is not None:
                    watch.document = replace(watch.document, stale=True)
                watch.live = False

    def want(self, watch: Watch, verb: Verb) -> None:
        """Ask the far side for this, until it has answered."""
        watch.say = watch.owed = verb
        watch.retry_at = watch.answer_by = 0.0

    def _unlisten(self, watch: Watch) -> None:
        """The far side need not tell any more."""
        if watch.owed is Verb.OPEN:
            watch.owed = None
            watch.retry_at = watch.answer_by = 0.0
            self.failing.pop(watch, None)
        if watch.say is Verb.OPEN:
            watch.say = None
        if watch.opened and watch.say is None:
            watch.say = Verb.CLOSE
        watch.live = watch.live and self.voice.pushes(watch)

    def take_answer(self, watch: Watch) -> None:
        """The far side has answered."""
        if watch.owed is Verb.OPEN and watch.document is not None and watch.listening:
            watch.live = True
        watch.owed = None
        watch.retry_at = watch.answer_by = 0.0
        watch.failing_since = 0.0
        watch.auditing = False
        if watch.failures:
            watch.failures = 0
            self.failing.pop(watch, None)
            self.note(watch, "recovered", "")
            if watch.grant is not Grant.REFUSED:
                watch.text = ""
        if watch.looking is Look.ASKED:  # answered, but with nothing to show
            watch.looking, watch.again = Look.NONE, True

    def fail(self, watch: Watch, error: DeliveryError) -> None:
        """It did not work, and may later."""
        self.count("presence_failed", watch.presentity_peer, error.reason)
        if watch.owed is Verb.FETCH and watch.wanted() is None:
            self.take_answer(watch)
            self.ledger.touch(watch)
            return
        if watch.grant is Grant.REFUSED:
            return
        now = self.clock()
        watch.text = clean(error.text or error.detail)
        if not watch.failures:
            watch.failing_since = now
            self.note(watch, Event.FAILED.value, watch.text)
        watch.failures += 1
        wait_s, earliest = _back_off_s(watch.failures), 0.75
        if error.retry_after_s is not None and (error.retry_after_s or watch.failures == 1):
            # RFC 6665 section 4.1.3, RFC 3261 section 20.33: at least as long as they say.
            wait_s, earliest = min(error.retry_after_s, RETRY_AFTER_MOST_S), 1.0
        watch.retry_at = now + wait_s * (earliest + self.random() / 2)
        self.happen(watch, Event.FAILED)
        document = watch.document
        if (
            document is not None
            and not document.stale
            and watch.failing_since
            and now - watch.failing_since >= self.settings.stale_after_s
        ):
            self.happen(watch, Event.SILENT, watch.text)

    def _again_later(self, watch: Watch) -> None:
        watch.owed = verb = watch.wanted()
        watch.answer_by = 0.0
        watch.opened = False
        if verb is None or (verb is Verb.GIVE_BACK and watch.failures >= GIVE_BACK_TRIES):
            watch.failures = 0  # nobody has recovered; it just does not matter any more
            self.failing.pop(watch, None)
            self.take_answer(watch)
        else:
            self.failing[watch] = None

    # -- what goes out ---------------------------------------------------------------------------------

    def _act(self, watch: Watch) -> None:
        """It is on disk as it is: tell the watcher, then the far side."""
        if self._stopped:
            return
        view = self._news(watch)
        if view is not None:
            self._pass_on(watch, view)
        self.attendance.look(watch.pair.presentity)
        if watch.say in _PACED:
            self.pace.soon(watch)
        elif watch.say is not None:
            self._say(watch)

    def _news(self, watch: Watch) -> PairView | None:
        """What the watcher is to be told; from here on it counts as told."""
        if not watch.news():
            return None
        view = self.voice.view(watch)
        watch.noted()
        return view

    def _pass_on(self, watch: Watch, view: PairView) -> None:
        """Tell the watcher; it must be on disk."""
        self.count("presence_told", watch.watcher_peer)
        self.ledger.note(watch)
        self.voice.tell(watch, view)

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
            watch.answer_by = self.clock() + ANSWER_WITHIN_S
            self.agenda.set(watch)
        view = self.voice.view(watch)
        self.count("presence_said", watch.presentity_peer, verb.value)
        if view is None or not self.voice.say(watch, view, verb):
            domain = watch.pair.presentity.domain
            self.fail(watch, Unreachable(Reason.UNREACHABLE, f"nobody here can reach {domain}"))

    def _gone(self, watch: Watch) -> None:
        self.book.remove(watch)
        self.failing.pop(watch, None)
        self.untold.pop(watch, None)
        self.attendance.look(watch.pair.presentity)

    # -- time ------------------------------------------------------------------------------------------

    def _ring(self, watch: Watch, now: float) -> None:
        """A deadline of this watch has passed."""
        if watch.listening and watch.until is not None and watch.until <= now:
            self.happen(watch, Event.RUN_OUT)
        if watch.answer_by and watch.answer_by <= now:
            watch.answer_by = 0.0
            if watch.owed is not None:
                self.fail(watch, Unreachable(Reason.TIMEOUT, "no answer"))
        if watch.retry_at and watch.retry_at <= now:
            watch.retry_at = 0.0
            watch.say = watch.wanted()
            self.pace.slowly([watch])
        if watch.tell_at and watch.tell_at <= now:
            self.tell_again(watch)
        self.agenda.set(watch)

    def tell_again(self, watch: Watch) -> None:
        """What did not arrive may go once more."""
        watch.tell_at = 0.0
        self.untold.pop(watch, None)
        self.ledger.touch(watch)

    def _audit(self) -> None:
        """Compare a few with what their far side says; forget refusals that nobody remembers."""
        self._audit_timer = self._call_later(AUDIT_EVERY_S, self._audit)
        if not self._round:
            self._round = list(self.book)
            self.shuffle(self._round)
            self._share = len(self._round) * AUDIT_EVERY_S / self.settings.audit_every_s
        self._due += self._share
        number = int(self._due)
        self._due -= number
        kept = max(0, len(self._round) - number)
        few, self._round = self._round[kept:], self._round[:kept]
        before = self.clock() - self.settings.keep_refused_days * 86_400
        for watch in few:
            if self.book.find(watch.pair) is not watch:
                continue
            if watch.grant is Grant.REFUSED and watch.changed_at < before:
                watch.grant = watch.told_grant = Grant.NONE
                self.ledger.touch(watch)
            elif watch.grant is Grant.GRANTED and watch.listening and watch.owed is None:
                watch.auditing = True
                watch.say = watch.owed = Verb.FETCH
                self.pace.slowly([watch])

    def later(self, delay_s: float, call: Callable[[], None]) -> None:
        """Call it after a while, unless everything stops before."""
        self._call_later(delay_s, lambda: None if self._stopped else call())

    def note(self, watch: Watch, what: str, text: str) -> None:
        """Add to the history."""
        if watch.durable:
            if watch.entries is None:
                watch.entries = []
            watch.entries.append((self.clock(), what, clean(text[: history.MAX_TEXT_CHARACTERS])))

    def shuffle(self, watches: list[Watch]) -> None:
        """In no order, so that not all of one server come at once."""
        watches.sort(key=lambda watch: self.random())


_PACED = (Verb.OPEN, Verb.FETCH)
"""What asks about people, and could come from many at once."""

_ALWAYS_NOTED = (Event.OPEN, Event.CLOSE, Event.RUN_OUT, Event.SILENT)


def _back_off_s(failures: int) -> float:
    return min(RETRY_MOST_S, RETRY_FIRST_S * 2.0 ** min(failures - 1, 16))
