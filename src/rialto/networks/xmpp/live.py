"""One connection with its stream: what both directions have in common between the link and the network.

A `LiveStream` turns the events of its machine into calls of the network (`Desk`), judges certificates when it
is asked whom they prove, and holds back a peer that is faster than it may be, or than we can write to disk.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, ClassVar, Protocol

import structlog

from rialto.core.hub import Hub
from rialto.core.network import NOTHING_KNOWN, Context, Hop, LinkState, Origin, Peer, hop
from rialto.net.certificates import NameKind, Trust, judge
from rialto.net.channel import HandshakeDone
from rialto.net.link import Link, LinkError
from rialto.networks.xmpp.channel import Channel, Pings, unproven
from rialto.networks.xmpp.company import Company
from rialto.networks.xmpp.faces import Faces
from rialto.networks.xmpp.settings import Settings
from rialto.networks.xmpp.wire import events
from rialto.networks.xmpp.wire.element import Element
from rialto.networks.xmpp.wire.ledger import Ledger
from rialto.networks.xmpp.wire.s2s import Policy, ServerStream
from rialto.networks.xmpp.wire.stream import Stream

log = structlog.get_logger(__name__)

_MAX_RETURNED = 1000
_MAX_ANSWERS = 1000


class Desk(Protocol):
    """What a stream needs of its network."""

    name: str
    settings: Settings
    context: Context
    pings: Pings
    faces: Faces
    company: Company

    @property
    def hub(self) -> Hub:
        """The hub."""

    def peer_for(self, remote: str) -> Peer | None:
        """Who speaks for a domain."""

    def policy_for(self, remote: str) -> Policy:
        """What it may use to prove itself."""

    def is_ours(self, domain: str) -> bool:
        """Whether we speak for a domain."""

    def find_ledger(self, ledger_id: str) -> Ledger | None:
        """The ledger of a lost stream."""

    def keep_ledger(self, ledger: Ledger) -> None:
        """A stream that can be resumed was lost."""

    def on_stanza(self, stream: LiveStream, event: events.StanzaReceived) -> None:
        """A stanza from somebody who is proven."""

    def on_dialback(self, stream: LiveStream, event: events.DialbackRequested) -> None:
        """Somebody shows a dialback key."""

    def say(self, local: str, remote: str, stanza: Element) -> None:
        """Send an answer, on whatever stream leads there."""

    def forget(self, local: str, remote: str, message_id: str) -> None:
        """A message of ours has come back."""

    def opened(self, stream: LiveStream) -> None:
        """A stream begins."""

    def proven(self, stream: LiveStream, local: str, remote: str) -> None:
        """Stanzas may be sent on this stream."""

    def gone(self, stream: LiveStream) -> None:
        """A stream is over."""

    def unreachable(self, peer: Peer, remote: str) -> None:
        """No stream to that domain could be made."""


class LiveStream:
    """One link, its machine, and what is known of the peer."""

    direction: ClassVar[str] = ""

    def __init__(self, desk: Desk, link: Link[Any], machine: Stream) -> None:
        self.desk = desk
        self.link = link
        self.machine = machine
        self.closed = False
        self.why = ""
        """Why it ended, in words."""
        self.since = 0.0
        self.was_acknowledged = False
        self._taken = 0
        self._kept = 0
        """All up to this ticket are on disk."""
        self._kept_beyond: set[int] = set()
        self._answers: deque[tuple[int, Callable[[], None]]] = deque()
        self.proofs: dict[tuple[str, str], str] = {}
        self.channels: dict[tuple[str, str], Channel] = {}
        self.hop: Hop = NOTHING_KNOWN
        """What is to be told of the way out."""
        self._origins: dict[str, Origin] = {}
        self._count = 0
        self._window = 0.0
        self._holding = False
        self._returned: set[str] = set()
        self._reactions: dict[type[Any], Callable[[Any], None]] = {
            events.StanzaReceived: self._on_stanza,
            events.StartTls: self._on_start_tls,
            events.StreamOpened: self._on_opened,
            events.Authenticated: self._on_authenticated,
            events.Acknowledged: self._on_acknowledged,
            events.PairRefused: self._on_pair_refused,
            events.StrangerRefused: self._on_stranger_refused,
            events.DialbackRequested: self._on_dialback,
            events.KeyVerified: self._on_key_verified,
            events.ResumptionFailed: self._on_resumption_failed,
            events.Ready: self._on_ready,
            events.StreamClosed: self._on_closed,
        }

    def attach(self) -> None:
        """Begin."""
        tap, remote = self.desk.context.tap, f"{self.link.remote[0]}:{self.link.remote[1]}"
        name = self.desk.name
        self.since = self.desk.context.clock()
        self.desk.opened(self)
        self.link.attach(
            self.machine,
            self._on_event,
            on_lost=self._on_lost,
            tap=None if tap is None else lambda way, data: tap(name, remote, way, data),
        )

    def reply(self, local: str, remote: str, stanza: Element) -> None:
        """Answer something that came on this stream."""
        self.desk.say(local, remote, stanza)

    def close(self) -> None:
        """End in peace."""
        if not self.closed:
            self.machine.close()
            self.link.wake()

    def forget(self, message_id: str) -> None:
        """This message has come back: its proof of having been read says no more."""
        if any(channel.forget(message_id) for channel in self.channels.values()):
            return
        if len(self._returned) < _MAX_RETURNED:
            self._returned.add(message_id)

    def give_back(self) -> None:
        """The stream is gone, and will not be resumed: what was not proven is tried again, in order."""
        why = self.why or "closed"
        for channel in self.channels.values():
            for delivery in channel.lost():
                unproven(delivery, why)
        if isinstance(self.machine, ServerStream) and self.machine.ledger is not None:
            for token in self.machine.ledger.abandon():
                if token is not None:
                    unproven(token, why)

    @property
    def secured(self) -> bool:
        """Whether the stream is encrypted."""
        return self.machine.secure

    def origin(self, domain: str, proof: str) -> Origin | None:
        """Where messages of this domain on this stream come from; None if nobody speaks for it."""
        origin = self._origins.get(domain)
        if origin is None:
            peer = self.peer_of(domain)
            if peer is None:
                return None
            origin = self._origins[domain] = Origin(peer, domain, proof, self.secured)
        return origin

    def peer_of(self, domain: str) -> Peer | None:
        """Whose stream this is, for messages of that domain."""
        return self.desk.peer_for(domain)

    def taken(self) -> int:
        """The hub has got something of this stream that is not on disk yet; a ticket for it."""
        self._taken += 1
        return self._taken

    def kept(self, ticket: int, number: int) -> None:
        """It is on disk now, or refused: the stanza of that number is handled."""
        if ticket == self._kept + 1:
            self._kept = ticket
            while self._kept_beyond and self._kept + 1 in self._kept_beyond:
                self._kept += 1
                self._kept_beyond.remove(self._kept)
        else:
            self._kept_beyond.add(ticket)
        self.handled(number)
        while self._answers and self._answers[0][0] <= self._kept:
            self._answers.popleft()[1]()

    def when_kept(self, answer: Callable[[], None]) -> None:
        """Do this when everything that has come so far and is to be kept is on disk.

        So our answer to a ping tells the peer what its answer tells us: see `channel`.
        """
        if self._kept >= self._taken:
            answer()
        elif len(self._answers) < _MAX_ANSWERS:
            self._answers.append((self._taken, answer))

    def handled(self, number: int) -> None:
        """A stanza needs no more care."""
        if number:
            self.machine.mark_handled(number)
            if not self.closed:
                self.link.wake()

    def state(self) -> LinkState:
        """As `rialto peers` shows it."""
        remotes = sorted({remote for _, remote in self.proofs if remote}) or [self._name() or "?"]
        peer = self.peer_of(remotes[0])
        tls = self.link.tls
        proofs = "+".join(sorted(set(self.proofs.values())))
        extras = []
        if isinstance(self.machine, ServerStream):
            extras += ["counted"] if self.machine.ledger is not None else []
            extras += ["bidirectional"] if self.machine.bidirectional else []
        return LinkState(
            network=self.desk.name,
            peer=peer.name if peer is not None else ", ".join(remotes),
            remote=f"{self.link.remote[0]}:{self.link.remote[1]}",
            state="up" if self.proofs else "connecting",
            direction=self.direction,
            security=" ".join(
                word for word in (f"{tls.version} {tls.cipher}" if tls else "plain", proofs) if word
            ),
            since=self.since,
            detail=", ".join(extras),
        )

    def _name(self) -> str:
        return ""

    # -- events ----------------------------------------------------------------------------------------

    def _on_event(self, event: Any) -> None:
        reaction = self._reactions.get(type(event))
        if reaction is not None:
            reaction(event)

    def _on_opened(self, event: events.StreamOpened) -> None:
        pass

    def _on_ready(self, event: events.Ready) -> None:
        pass

    def _on_key_verified(self, event: events.KeyVerified) -> None:
        pass

    def _on_resumption_failed(self, event: events.ResumptionFailed) -> None:
        pass

    def _on_start_tls(self, event: events.StartTls) -> None:
        raise NotImplementedError

    def _on_authenticated(self, event: events.Authenticated) -> None:
        pair = (event.local, event.remote)
        if not self.proofs:
            self.link.establish()
            log.info(
                "xmpp.stream",
                up=event.remote or event.local,
                to=event.local,
                by=event.proof,
                way=self.direction,
            )
        self.proofs[pair] = event.proof
        if event.outgoing and pair not in self.channels:
            self.hop = hop(self._proof_of_peer(event), self.secured)
            self.channels[pair] = Channel(
                self.link,
                self.machine,
                local=event.local,
                remote=event.remote,
                pings=self.desk.pings,
                hop=self.hop,
            )
            self.desk.proven(self, event.local, event.remote)

    def _proof_of_peer(self, event: events.Authenticated) -> str:
        """How those were proven to whom we send."""
        return event.proof

    def _on_acknowledged(self, event: events.Acknowledged) -> None:
        self.was_acknowledged = True
        for delivery in event.tokens:
            if delivery is not None and delivery.content.id not in self._returned:
                delivery.delivered("acknowledged by the server", self.hop)
        self._returned.clear()

    def _on_pair_refused(self, event: events.PairRefused) -> None:
        log.warning(
            "xmpp.refused-by", peer=event.remote, us=event.local, condition=event.condition, text=event.text
        )

    def _on_stranger_refused(self, event: events.StrangerRefused) -> None:
        self.desk.hub.count("unproven", self.desk.name, event.condition)
        log.warning(
            "xmpp.unproven",
            who=event.remote,
            to=event.local,
            condition=event.condition,
            text=event.text,
            address=self.link.remote[0],
        )

    def _on_dialback(self, event: events.DialbackRequested) -> None:
        self.desk.on_dialback(self, event)

    def _on_stanza(self, event: events.StanzaReceived) -> None:
        self.desk.on_stanza(self, event)
        self._count += 1
        if self.desk.hub.congested:
            self.hold()
        elif self._count >= self.desk.settings.stanzas_per_s:
            self._too_fast()

    def _on_closed(self, event: events.StreamClosed) -> None:
        self.why = ": ".join(word for word in (event.condition, event.text) if word) or "closed"
        if event.condition and not event.by_peer:
            self.desk.hub.count("bad_input", self.desk.name, event.condition)
        if event.condition:
            log.warning(
                "xmpp.stream-error",
                peer=self._name(),
                address=self.link.remote[0],
                condition=event.condition,
                text=event.text,
                by="them" if event.by_peer else "us",
            )
        self.link.close()

    def _on_lost(self, error: LinkError | None) -> None:
        if self.closed:
            return
        self.closed = True
        if error is not None and not self.why:
            self.why = str(error)
            log.info("xmpp.lost", peer=self._name(), address=self.link.remote[0], why=self.why)
        self.desk.gone(self)

    # -- certificates ----------------------------------------------------------------------------------

    def _on_tls(self, done: HandshakeDone) -> None:
        self.machine.tls_established(asyncio.get_running_loop().time(), self._judge_of(done))

    def _judge_of(self, done: HandshakeDone) -> Callable[[str], bool]:
        """Whom this certificate proves; judged once for each domain that is asked about."""
        known: dict[str, bool] = {}
        context = self.desk.context

        def proves(domain: str) -> bool:
            if domain not in known and len(known) < 1000:
                peer = self.desk.peer_for(domain)
                pins = (
                    frozenset(pin.replace(":", "").lower() for pin in peer.settings.tls_pins)
                    if peer
                    else frozenset()
                )
                now = datetime.fromtimestamp(context.clock(), UTC)
                verdict = judge(done.chain, NameKind.XMPP, domain, Trust(context.anchors, pins), now)
                known[domain] = verdict.ok
                if not verdict.ok:
                    log.warning(
                        "xmpp.certificate",
                        domain=domain,
                        address=self.link.remote[0],
                        reason=verdict.reason,
                        codes=sorted(verdict.codes),
                    )
            return known.get(domain, False)

        return proves

    # -- back-pressure ---------------------------------------------------------------------------------

    def hold(self) -> None:
        """Read no more, until `go_on`."""
        if not self._holding:
            self._holding = True
            self.link.pause_reading()

    def go_on(self) -> None:
        """Read again."""
        if self._holding and not self.desk.hub.congested:
            self._holding = False
            self.link.resume_reading()

    def _too_fast(self) -> None:
        """So many stanzas since the last look: rest until the second is over."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._count = 0
        left = self._window + 1.0 - now
        self._window = max(now, self._window + 1.0)
        if left > 0:
            self.hold()
            loop.call_later(left, self.go_on)
