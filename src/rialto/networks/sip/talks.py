"""What belongs to a conversation besides its messages, in page mode: typing notices, both ways.

    hub.compose  ─► `Writer` ─► MESSAGE application/im-iscomposing+xml, again before its term ends
    such a MESSAGE ─► `Reader` ─► hub.compose, and `paused` when its term is over

There is one MESSAGE at a time to one person (RFC 3428 section 8), and the hub sees to it among those that it
hands over. Notices are ours alone, so where one is on the wire a message waits for its answer, and where a
message is on the wire a notice waits; the newest counts. For people to whom nobody is writing just now none
of this costs anything.

A notice that is refused for its type is the last to that contact (TYP-9); one that is lost is lost.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from rialto.core.agenda import Agenda
from rialto.core.network import NOTHING_KNOWN, Context, Delivery, Hop, Origin, Peer
from rialto.model.address import Address
from rialto.model.errors import DeliveryError
from rialto.model.message import ChatState, Composing, Content
from rialto.networks.sip.abilities import COMPOSING, REFUSED, Abilities
from rialto.networks.sip.course import Course
from rialto.networks.sip.drafts import notice
from rialto.networks.sip.trunk import Trunk
from rialto.networks.sip.typing_notices import Reader, Writer
from rialto.networks.sip.wire import Request, Response
from rialto.wire.iscomposing import IsComposing

if TYPE_CHECKING:
    from rialto.core.hub import Hub
    from rialto.networks.sip.dispatch import Dispatch

MAX_PAIRS = 10_000
"""So many people write at a time to (and of) SIP users; more are not told of."""
MAX_HEARD = 50_000
"""So many pairs of whom the SIP user has written are remembered; the oldest are forgotten first."""
MAX_EARLY = 1_000
EARLY_S = 60.0
"""Who began to write so shortly before the other's message came, goes on with an answer."""
MAX_DEAF = 10_000
DEAF_FOR_S = 3600.0
"""Who lets a notice go unanswered (some drop what they don't know) gets none for so long."""

Person = tuple[str, str]


class Line:
    """One SIP user to whom somebody is writing."""

    __slots__ = ("messages", "noticing", "waiting", "writers")

    def __init__(self) -> None:
        self.writers: dict[Person, Writer] = {}
        self.noticing: Writer | None = None
        """Whose notice is on the wire."""
        self.messages = 0
        """How many messages are."""
        self.waiting: deque[Callable[[], None]] = deque()
        """Messages that wait for the notice's answer."""


class Talks:
    """The typing notices of one network. `trunk_of` finds a peer, `later` asks for a turn."""

    def __init__(
        self,
        context: Context,
        hub: Hub,
        dispatch: Dispatch,
        abilities: Abilities,
        trunk_of: Callable[[str], Trunk | None],
        spell: Callable[[Address], str],
        later: Callable[[], None],
    ) -> None:
        self._context = context
        self._hub = hub
        self._dispatch = dispatch
        self._abilities = abilities
        self._trunk_of = trunk_of
        self._spell = spell
        self._later = later
        loop = asyncio.get_running_loop()
        self._now = loop.time
        self._agenda: Agenda[Writer | Reader] = Agenda(loop.time, loop.call_later, self._ring)
        self.lines: dict[Person, Line] = {}
        """Those to whom somebody is writing just now."""
        self._readers: dict[tuple[Person, Person], tuple[Reader, Origin]] = {}
        self._heard: OrderedDict[tuple[Person, Person], None] = OrderedDict()
        self._early: dict[tuple[Person, Person], tuple[float, Peer, Composing]] = {}
        """Who is writing to SIP users who have not written to them."""
        self._deaf: OrderedDict[Person, float] = OrderedDict()
        self._writers = 0

    def stop(self) -> None:
        """Say nothing more."""
        self._agenda.stop()

    # -- from SIP users --------------------------------------------------------------------------------

    def heard(self, sender: Address, recipient: Address) -> None:
        """A SIP user has sent a message, or a receipt: whoever it was for may be shown to write an answer."""
        pair = (_person(sender), _person(recipient))
        if self._readers and (known := self._readers.pop(pair, None)) is not None:
            known[0].ended()
        if pair not in self._heard:
            self._heard[pair] = None
            if len(self._heard) > MAX_HEARD:
                self._heard.popitem(last=False)
            if self._early and (early := self._early.pop(pair, None)) is not None:
                at, peer, composing = early
                if self._now() - at < EARLY_S:  # it is an answer now
                    self.compose(peer, composing)

    def read(self, status: IsComposing, sender: Address, recipient: Address, origin: Origin) -> None:
        """A SIP user is writing, or has stopped."""
        self._abilities.shown(sender, COMPOSING)
        pair = (_person(sender), _person(recipient))
        known = self._readers.get(pair)
        if known is None:
            if not status.active:
                return
            if len(self._readers) >= MAX_PAIRS:
                self._hub.count("ignored", self._context.name, "typing")
                return
            known = self._readers[pair] = (Reader(sender, recipient), origin)
        reader = known[0]
        news = reader.told(status, self._now())
        if reader.until is None:
            del self._readers[pair]
        self._agenda.set(reader)
        if news is not None:
            self._hub.compose(Composing(sender=sender, recipient=recipient, state=news), origin)

    # -- to SIP users ----------------------------------------------------------------------------------

    def compose(self, peer: Peer, composing: Composing) -> None:
        """See `ConversationNetwork`."""
        sender, recipient = _person(composing.sender), _person(composing.recipient)
        self._early.pop((recipient, sender), None)
        line = self.lines.get(recipient)
        writer = line.writers.get(sender) if line is not None else None
        if writer is None:
            if not self._may(peer, composing, sender, recipient):
                return
            writer = Writer(composing.sender, composing.recipient, composing.thread)
        writer.changed(composing.state, self._now())
        if writer.done:
            return
        if line is None:
            line = self.lines[recipient] = Line()
        if sender not in line.writers:
            line.writers[sender] = writer
            self._writers += 1
        self._next(recipient, line)

    def _may(self, peer: Peer, composing: Composing, sender: Person, recipient: Person) -> bool:
        trunk = self._trunk_of(peer.name)
        if trunk is None or trunk.settings.composing == "never" or self._writers >= MAX_PAIRS:
            return False
        if not self._abilities.can(composing.recipient, COMPOSING):
            return False
        if self._deaf.get(recipient, 0.0) > self._now():
            return False
        if trunk.settings.composing == "always" or (recipient, sender) in self._heard:
            return True
        # RFC 3994 section 7: only who has written is told that an answer is being written.
        if composing.state is ChatState.COMPOSING:
            if len(self._early) >= MAX_EARLY:
                del self._early[next(iter(self._early))]
            self._early[recipient, sender] = (self._now(), peer, composing)
        return False

    def begin(self, content: Content, delivery: Delivery, begin: Callable[[Delivery], None]) -> None:
        """A message is to go: now, or as soon as the notice on the wire is answered."""
        person = _person(content.recipient)
        line = self.lines.get(person)
        if line is None:
            begin(delivery)
            return
        writer = line.writers.get(_person(content.sender))
        if writer is not None:
            writer.ended()
        watched = _Watched(delivery, lambda: self._message_ended(person, line))

        def go() -> None:
            line.messages += 1
            begin(watched)

        if line.noticing is not None:
            line.waiting.append(go)
        else:
            go()

    def _message_ended(self, person: Person, line: Line) -> None:
        line.messages -= 1
        self._next(person, line)

    def notice_ended(self, person: Person, response: Response | None, *, heard: bool = True) -> None:
        """The notice on the wire has been answered, or never will be; `heard`: it was sent at least."""
        line = self.lines.get(person)
        if line is None or line.noticing is None:
            return
        writer, line.noticing = line.noticing, None
        if response is None and heard:
            self._deaf[person] = self._now() + DEAF_FOR_S
            if len(self._deaf) > MAX_DEAF:
                self._deaf.popitem(last=False)
        elif response is not None and response.status in REFUSED:
            self._abilities.refused(writer.recipient, COMPOSING, response)
        if response is None or response.status >= 300:
            for one in line.writers.values():  # it was nobody's fault who wrote
                one.ended()
        waiting, line.waiting = line.waiting, deque()
        for go in waiting:
            go()
        self._next(person, line)

    def _next(self, person: Person, line: Line) -> None:
        """Say what is to be said, if there is room; forget what is over."""
        busy = line.noticing is not None or line.messages > 0
        for name, writer in list(line.writers.items()):
            if writer.unsaid and not busy:
                busy = True
                self._say(person, line, writer)
            if writer.done:
                del line.writers[name]
                self._writers -= 1
        if not line.writers and line.noticing is None and not line.messages and not line.waiting:
            self.lines.pop(person, None)

    def _say(self, person: Person, line: Line, writer: Writer) -> None:
        peer = self._hub.peer_for(self._context.name, writer.recipient.domain)
        trunk = self._trunk_of(peer.name) if peer is not None else None
        status = writer.say(self._now())
        if trunk is None:
            writer.ended()
            return
        try:
            request = notice(
                status,
                writer.sender,
                writer.recipient,
                thread=writer.thread,
                tag=secrets.token_hex(8),
                now=self._context.clock(),
                server_name=self._context.server_name,
                spell=self._spell,
                form=trunk.form,
            )
        except DeliveryError:
            writer.ended()
            return
        line.noticing = writer
        self._agenda.set(writer)
        domain = writer.recipient.domain
        route = self._dispatch.route(trunk, domain)
        traveller = _Traveller(self, person)
        course = Course(self._dispatch, traveller, trunk, request, route, lambda: _number(request) + 1)
        self._dispatch.begin(course, domain)
        self._later()

    def _ring(self, item: Writer | Reader, now: float) -> None:
        if isinstance(item, Writer):
            item.handle_timer(now)
            person = _person(item.recipient)
            line = self.lines.get(person)
            if line is not None:
                self._next(person, line)
            return
        pair = (_person(item.sender), _person(item.recipient))
        known = self._readers.get(pair)
        state = item.handle_timer(now)
        if known is not None and known[0] is item and state is not None:
            del self._readers[pair]
            self._hub.compose(Composing(sender=item.sender, recipient=item.recipient, state=state), known[1])


class _Traveller:
    """Hears what becomes of one notice."""

    __slots__ = ("_person", "_talks")

    def __init__(self, talks: Talks, person: Person) -> None:
        self._talks = talks
        self._person = person

    def responded(self, request: Request, response: Response) -> None:
        """See `Traveller` of `course`."""
        self._talks.notice_ended(self._person, response)

    def failed(self, request: Request, error: DeliveryError | None) -> None:
        """See `Traveller` of `course`."""
        self._talks.notice_ended(self._person, None, heard=error is None)


class _Watched:
    """A delivery whose end is heard here too."""

    __slots__ = ("_delivery", "_ended", "attempt", "content", "domain", "peer")

    def __init__(self, delivery: Delivery, ended: Callable[[], None]) -> None:
        self._delivery = delivery
        self._ended = ended
        self.content = delivery.content
        self.peer = delivery.peer
        self.attempt = delivery.attempt
        self.domain = delivery.domain

    def sent(self, hop: Hop = NOTHING_KNOWN) -> None:
        """See `Delivery`."""
        self._delivery.sent(hop)
        self._ended()

    def delivered(self, detail: str = "", hop: Hop = NOTHING_KNOWN) -> None:
        """See `Delivery`."""
        self._delivery.delivered(detail, hop)
        self._ended()

    def again(self, why: str = "") -> None:
        """See `Delivery`."""
        self._delivery.again(why)
        self._ended()

    def failed(self, error: DeliveryError) -> None:
        """See `Delivery`."""
        self._delivery.failed(error)
        self._ended()


def _person(address: Address) -> Person:
    return address.local, address.domain


def _number(request: Request) -> int:
    return request.cseq[0]
