"""Presence between the hub and the streams: who is asked, who is looked at, and what waits for a way.

```
      hub ── watch ──► Watching ── subscribe, unsubscribe, probe ──►   their server
          ◄─ show ──              ◄── one stanza for each resource ──
      hub ── tell ───► Watching ── subscribed, presence, ... ──────►   the watcher's server
```

Theory of operation. Nothing is remembered here that matters: what was told, what is known and what is owed
stand in the hub's pairs. There are only three things in passing. *Looks*: probes whose answers are being
collected. *News in hand*: what is to be told while a stream is being made; of each pair only the newest, as
if told once. *News on the way*: written, but not yet proven to be read; what is lost with its stream is given
back to the hub (`untold`), which tells again what is true by then.

A user's presence session is seen from outside only: it begins with a probe (RFC 6121 section 4.3), goes on
while the user's own presence comes in, and ends when, as far as that is shown to the contact, the user's last
resource has gone. A user who shows nothing to the contact is not known to have left: then the user's server
is asked (`presence_roll`), and if it does not say, the session stays.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, Protocol

import structlog
from msgspec.structs import replace

from rialto.core.hub import Hub
from rialto.core.network import NOTHING_KNOWN, Context, Hop, PairView, Peer, Side, Verb
from rialto.model.errors import AddressError, DeliveryError, Reason, Refused, Unreachable
from rialto.model.presence import Document, Grant, Pair, State
from rialto.networks.xmpp.channel import Parcel
from rialto.networks.xmpp.faces import Faces
from rialto.networks.xmpp.presence_look import Look, Result, ordered
from rialto.networks.xmpp.presence_news import news, request
from rialto.networks.xmpp.presence_roll import Roll
from rialto.networks.xmpp.wire.element import Element
from rialto.networks.xmpp.wire.namespaces import PING

log = structlog.get_logger(__name__)

MISSED_AFTER_S = 1.0
"""So long after a stream was lost its domain is asked again: a lost stream seldom comes alone."""

MAX_EARLY = 10_000
RECALL_EVERY_S = 0.1
"""After a restart, how often one of those is looked at who may have come or gone meanwhile."""
RECALL_FROM = 100
"""Among so many it is searched for."""

PONG_WITHIN_S = 15.0

Write = Callable[[Element, Parcel | None], None]


class Ways(Protocol):
    """What is needed of the network."""

    name: str
    context: Context
    faces: Faces

    @property
    def hub(self) -> Hub:
        """The hub."""

    def attend(
        self, peer: Peer, local: str, remote: str, call: Callable[[Write | None, DeliveryError | None], None]
    ) -> None:
        """Call back with the way from one domain to another when there is one, or with what is wrong."""

    def destination(self, peer: Peer, domain: str) -> str:
        """See `Network`."""


class _Label(NamedTuple):
    id: str


class _Stanza:
    """A stanza on its way: what to do when it has been read, and when it is lost."""

    __slots__ = ("_lost", "_read", "content")

    def __init__(
        self, stanza_id: str, read: Callable[[], None], lost: Callable[[DeliveryError], None]
    ) -> None:
        self.content = _Label(stanza_id)
        self._read = read
        self._lost = lost

    def sent(self, hop: Hop = NOTHING_KNOWN) -> None:
        """See `Delivery`: as much proof as is to be had."""
        self._read()

    def delivered(self, detail: str = "", hop: Hop = NOTHING_KNOWN) -> None:
        """See `Delivery`."""
        self._read()

    def failed(self, error: DeliveryError) -> None:
        """See `Delivery`."""
        self._lost(error)


class Watching:
    """The presence side of one XMPP network."""

    def __init__(self, ways: Ways) -> None:
        self._ways = ways
        self._numbers = itertools.count(1)
        token = secrets.token_hex(4)
        self._asking, self._telling = f"ask-{token}-", f"tell-{token}-"
        self._looks: dict[Pair, Look] = {}
        self._in_hand: dict[tuple[str, str, str], dict[Pair, PairView]] = {}
        self._lost: dict[Pair, tuple[PairView, DeliveryError]] = {}
        self._missed: set[str] = set()
        self._silences: dict[tuple[str, str], tuple[str, list[Pair]]] = {}
        """Our domain and theirs -> the ping under way, and whose silence it explains."""
        self._recall: deque[Pair] = deque()
        self._timers: set[asyncio.TimerHandle] = set()
        self.roll = Roll(ways, self.new_ask_id, self._later)
        self.early: set[Pair] = set()
        """Whose first presence came before the decision that lets it be seen."""
        self._stopped = False

    @property
    def _hub(self) -> Hub:
        return self._ways.hub

    # -- life ------------------------------------------------------------------------------------------

    def resume(self, view: PairView, side: Side) -> None:
        """See `PresenceNetwork`: who may have come or gone while we were away is looked at later."""
        carried = view.presentity_peer.settings.presence
        if side == "presentity" and carried and view.grant is Grant.GRANTED and not view.listening:
            self._recall.append(view.pair)

    def start(self) -> None:
        """The streams may be used."""
        if self._recall:
            self._later(RECALL_EVERY_S, self._remember)

    def stop(self) -> None:
        """Say nothing more."""
        self._stopped = True
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        self._looks.clear()
        self._in_hand.clear()

    def _remember(self) -> None:
        """Whoever watches a user without listening has no use for the answer; the user, who watches in
        return and may have come while we were away, does."""
        for _ in range(min(RECALL_FROM, len(self._recall))):
            pair = self._recall.popleft()
            view = self._hub.presence.view(pair)
            back = self._hub.presence.view(Pair(pair.presentity, pair.watcher))
            if view is not None and back is not None and back.grant is Grant.GRANTED:
                self.look(view)
                break
        if self._recall:
            self._later(RECALL_EVERY_S, self._remember)

    # -- towards the watched -----------------------------------------------------------------------------

    def watch(self, view: PairView, verb: Verb) -> None:
        """See `PresenceNetwork`."""
        pair, presence = view.pair, self._hub.presence
        if not view.presentity_peer.settings.presence:
            if verb is Verb.GIVE_BACK:
                presence.done(pair, None)
            elif verb is not Verb.CLOSE:
                no = Refused(Reason.NOT_SUPPORTED, f"presence is not carried to {pair.presentity.domain}")
                presence.refused(pair, None, no, for_good=True)
        elif verb is Verb.ASK:
            self._send(view, "subscribe", self._asked, view.note)
        elif verb is Verb.GIVE_BACK:
            self._looks.pop(pair, None)
            self._send(view, "unsubscribe", lambda pair: presence.done(pair, None))
        elif verb is Verb.CLOSE:
            self._looks.pop(pair, None)
            self._take_leave(view)
        else:
            self.look(view)

    def look(
        self, view: PairView, first: tuple[str, State | None] | None = None, *, asked: bool = True
    ) -> None:
        """Find out what is so now: by a probe, or (`asked` False) from what the server sends by itself.

        `first` is a stanza that has come already.
        """
        now = asyncio.get_running_loop().time()
        look = self._looks.get(view.pair)
        if look is None:
            look = self._looks[view.pair] = Look(now, asked=asked)
            self._wake(view.pair, look)
        elif asked and not look.asked:
            look.ask(now)
        elif asked:
            return  # there is a probe under way
        if first is not None:
            look.take(*first, now)
        if asked:
            self._probe(view, look)

    def _probe(self, view: PairView, look: Look) -> None:
        def read(pair: Pair) -> None:
            look.prove(asyncio.get_running_loop().time())
            if self._looks.get(pair) is look:
                self._wake(pair, look)

        self._send(view, "probe", read)

    def _asked(self, pair: Pair) -> None:
        view = self._hub.presence.view(pair)
        if view is not None and view.grant is Grant.PENDING:  # the answer may have been faster than the proof
            self._hub.presence.pending(pair, None)

    def _take_leave(self, view: PairView) -> None:
        """RFC 8048 section 5.3.3: the watcher is seen to go, unless its presence is shown by itself."""
        pair = view.pair
        back = self._hub.presence.view(Pair(pair.presentity, pair.watcher))
        if back is None or back.grant is not Grant.GRANTED:
            self._send(view, "unavailable", None)

    def _send(self, view: PairView, kind: str, read: Callable[[Pair], None] | None, text: str = "") -> None:
        pair = view.pair
        stanza_id = self.new_ask_id()
        try:
            stanza = request(kind, pair.watcher, pair.presentity, stanza_id, text)
        except AddressError as error:
            self._not_asked(pair, kind, Refused(Reason.BAD_REQUEST, f"XMPP cannot write that: {error}"))
            return
        if kind == "subscribe":
            self._ways.faces.introduce(stanza, pair)
        parcel = None
        if read is not None:
            parcel = _Stanza(stanza_id, lambda: read(pair), lambda error: self._not_asked(pair, kind, error))

        def call(write: Write | None, error: DeliveryError | None) -> None:
            if write is not None:
                write(stanza, parcel)
            elif error is not None and parcel is not None:
                self._not_asked(pair, kind, error)

        self._ways.attend(view.presentity_peer, pair.watcher.domain, pair.presentity.domain, call)

    def _not_asked(self, pair: Pair, kind: str, error: DeliveryError) -> None:
        self._looks.pop(pair, None)
        for_good = kind == "subscribe" and not error.retry
        self._hub.presence.refused(pair, None, error, for_good=for_good)

    # -- looks -----------------------------------------------------------------------------------------

    def answered(self, pair: Pair, instance: str, state: State | None) -> bool:
        """A stanza for a look that is under way; False where there is none."""
        look = self._looks.get(pair)
        if look is None:
            return False
        look.take(instance, state, asyncio.get_running_loop().time())
        self._wake(pair, look)
        return True

    def drop(self, pair: Pair) -> None:
        """Whatever comes now, it is no document."""
        self._looks.pop(pair, None)

    def _wake(self, pair: Pair, look: Look) -> None:
        now = asyncio.get_running_loop().time()
        self._later(max(0.0, look.due() - now), lambda: self._see(pair, look))

    def _see(self, pair: Pair, look: Look) -> None:
        if self._looks.get(pair) is not look:
            return
        result = look.result(asyncio.get_running_loop().time())
        if result is Result.WAIT:
            return  # it was put off, and woke somebody else for it
        view = self._hub.presence.view(pair)
        if result is Result.ASK and view is not None:
            look.ask(asyncio.get_running_loop().time())
            self._wake(pair, look)
            self._probe(view, look)
            return
        del self._looks[pair]
        if result is Result.SILENT and view is not None:
            self._silent(view)
        if result is not Result.COMPLETE or view is None:
            return
        if look.left_out:
            self._hub.count("ignored", self._ways.name, "presence of too many resources")
        self.show(pair, look.states())

    def _silent(self, view: PairView) -> None:
        """QUIRK(ejabberd): of users who are offline it says nothing. If the server answers a ping, and on the
        way on which it would have answered the probe, its silence was an answer."""
        local, remote = view.pair.watcher.domain, view.pair.presentity.domain
        waiting = self._silences.get((local, remote))
        if waiting is not None:
            waiting[1].append(view.pair)
            return
        ping_id = self.new_ask_id()
        self._silences[local, remote] = ping_id, [view.pair]
        attributes = {"from": local, "to": remote, "id": ping_id, "type": "get"}
        ping = Element("iq", attributes, [Element(f"{PING}}}ping")])
        self._ways.attend(
            view.presentity_peer, local, remote, lambda write, _: write(ping, None) if write else None
        )
        self._later(PONG_WITHIN_S, lambda: self._no_pong(local, remote, ping_id))

    def pong(self, ping_id: str, local: str, remote: str) -> bool:
        """The answer to an IQ; True where it is one of these."""
        if self._silences.get((local, remote), ("", []))[0] != ping_id:
            return False
        for pair in self._silences.pop((local, remote))[1]:
            if pair not in self._looks:
                self.show(pair, ())
        return True

    def _no_pong(self, local: str, remote: str, ping_id: str) -> None:
        """Nothing is known that was not known before; who is shown as online may not stay so."""
        if self._silences.get((local, remote), ("", []))[0] != ping_id:
            return
        presence = self._hub.presence
        error = Unreachable(Reason.TIMEOUT, f"{remote} does not answer probes")
        for pair in self._silences.pop((local, remote))[1]:
            view = presence.view(pair)
            if view is not None and view.document is not None and view.document.online:
                presence.refused(pair, None, error, for_good=False)
            else:
                presence.done(pair, None)

    def show(self, pair: Pair, states: tuple[State, ...]) -> None:
        """The hub is told the whole, and what follows from it for the user's own watching."""
        presence = self._hub.presence
        back = Pair(pair.presentity, pair.watcher)
        try:
            presence.show(pair, Document(states, as_of=self._ways.context.clock()), None)
            if states:
                presence.open(back, None, None)
            else:
                presence.close(back, None)
        except DeliveryError as error:
            self._hub.count("ignored", self._ways.name, f"presence: {error.reason}"[:40])

    def changed(self, view: PairView, instance: str, state: State | None) -> None:
        """One resource has said something new, and the rest stands; where the rest is not known, all of it is
        asked for, if anybody wants to know."""
        if view.document is None or view.document.stale:
            presence = self._hub.presence
            back = presence.view(Pair(view.pair.presentity, view.pair.watcher))
            if view.listening or (state is None and back is not None and back.listening):
                self.look(view, (instance, state))
            elif state is not None and back is not None:
                presence.open(back.pair, None, None)
            return
        states = {one.instance: one for one in view.document.states}
        if state is not None:
            states[instance] = state
        elif instance:
            states.pop(instance, None)
        else:
            states.clear()
        self.show(view.pair, ordered(states))

    # -- towards the watcher ---------------------------------------------------------------------------

    def tell(self, view: PairView) -> None:
        """See `PresenceNetwork`."""
        if not view.watcher_peer.settings.presence or self._stopped:
            return
        peer, pair = view.watcher_peer, view.pair
        key = peer.name, pair.presentity.domain, pair.watcher.domain
        waiting = self._in_hand.get(key)
        if waiting is not None:
            waiting[pair] = _both(waiting.get(pair), view)
            return
        self._in_hand[key] = {pair: view}

        def call(write: Write | None, error: DeliveryError | None) -> None:
            for one in self._in_hand.pop(key, {}).values():
                if write is not None:
                    self._write(write, one)
                elif error is not None:
                    self._untold(one, error)

        self._ways.attend(peer, key[1], key[2], call)

    def _write(self, write: Write, view: PairView) -> None:
        try:
            stanzas = news(view, self._ways.context.clock(), self.new_tell_id)
        except AddressError as error:
            log.info("xmpp.presence-unwritable", pair=str(view.pair), why=str(error))
            self._hub.count("ignored", self._ways.name, "presence XMPP cannot write")
            return
        for number, stanza in enumerate(self._ways.faces.dress(stanzas, view.pair), 1):
            last = number == len(stanzas)  # who has read it has read the others
            parcel = _Stanza(stanza.get("id"), _nothing, lambda error: self._untold(view, error))
            write(stanza, parcel if last else None)

    def _untold(self, view: PairView, error: DeliveryError) -> None:
        """Several of one pair may be lost together: then nothing since the first was told."""
        known = self._lost.get(view.pair)
        if known is None and not self._lost and not self._stopped:
            asyncio.get_running_loop().call_soon(self._give_back)
        self._lost[view.pair] = (_both(known[0] if known is not None else None, view), error)

    def _give_back(self) -> None:
        lost, self._lost = self._lost, {}
        for view, error in lost.values():
            self._hub.presence.untold(view, error)

    # -- outages ---------------------------------------------------------------------------------------

    def missed(self, peer: Peer, domain: str) -> None:
        """A stream on which their news came was lost: what was on it, nobody knows."""
        if self._stopped or not peer.settings.presence:
            return
        if not self._missed:
            self._later(MISSED_AFTER_S, self._ask_again)
        self._missed.add(self._ways.destination(peer, domain))

    def _ask_again(self) -> None:
        missed, self._missed = self._missed, set()
        for destination in missed:
            self._hub.presence.missed(destination, self._ways.name)

    # -- small things ----------------------------------------------------------------------------------

    def new_ask_id(self) -> str:
        """For what asks."""
        return f"{self._asking}{next(self._numbers)}"

    def new_tell_id(self) -> str:
        """For what tells."""
        return f"{self._telling}{next(self._numbers)}"

    def has_told(self, stanza_id: str) -> bool:
        """Whether this is the id of something that was told."""
        return stanza_id.startswith("tell-")

    def _later(self, delay_s: float, call: Callable[[], None]) -> None:
        def run() -> None:
            self._timers.discard(timer)
            call()

        timer = asyncio.get_running_loop().call_later(delay_s, run)
        self._timers.add(timer)


def _both(first: PairView | None, then: PairView) -> PairView:
    """Two pieces of news as one: from what was told before the first, to what is so with the last."""
    if first is None:
        return then
    return replace(then, told_grant=first.told_grant, told_document=first.told_document)


def _nothing() -> None:
    pass
