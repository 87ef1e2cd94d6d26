"""The hub: from one network to another, one message at a time.

What happens to a message here, in order:

1. `accept`: known already (a retransmission)? allowed (`policy`)? where to (`routing`)? is there room?
   A no is raised, and the network says it in its sender's words. Nothing has been kept.
2. The message goes to the store, and from its commit on it is ours: `inbound.stored()`.
3. The queue (`delivery`) gives it to the network it goes to, as often as it takes.
4. Its outcome goes to the store together with its usage. Whoever still waits for the answer hears it; if
   nobody does, a failure goes home as a `Report`, which is written in the same commit and travels through
   the same queue.

After a restart the queue is filled again from the store, in order.

Two rules make this safe: what a sender is told is never ahead of the disk, except the good news of a
delivery (a crash before its commit repeats the message under the same id); and a failure is written before
it is told, so that it is told once.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
from collections.abc import Callable, Iterable, Mapping

import structlog
from msgspec.structs import replace

from rialto.core import metering, trail
from rialto.core.delivery import Queue
from rialto.core.ids import Ids, floor_id
from rialto.core.item import Item
from rialto.core.limits import Buckets
from rialto.core.memory import Memory
from rialto.core.metrics import Metrics
from rialto.core.network import Inbound, Network, Origin, Outcome, Peer
from rialto.core.policy import Facts, decide
from rialto.core.recent import Known, Recent
from rialto.core.routing import Routes
from rialto.core.settings import QueueSettings
from rialto.core.trail import Event, Stop
from rialto.model.address import Address
from rialto.model.errors import AddressError, Busy, DeliveryError, Reason, Refused
from rialto.model.message import Content, Message, Report, decode, encode
from rialto.store import units
from rialto.store.store import Row, Store
from rialto.store.writer import StoreError

DUPLICATE_WINDOW_S = 3600.0
"""For how long a stable id is remembered: well above any retransmission, fail-over or reconnection."""

MAX_BACKLOG_UNITS = 4000
"""More waiting for the disk than this, and the networks stop reading."""

RETRY_AFTER_S = 10.0
EXCERPT_CHARACTERS = 40

_log = structlog.get_logger(__name__)


class Hub:
    """The middle of one instance; everything in it happens on the event loop's thread."""

    def __init__(
        self,
        *,
        store: Store,
        peers: Iterable[Peer],
        settings: QueueSettings,
        server_name: str,
        clock: Callable[[], float],
        metrics: Metrics | None = None,
    ) -> None:
        self.store = store
        self.settings = settings
        self.server_name = server_name
        self.metrics = metrics or Metrics()
        self.count = self.metrics.count
        self.congested = False
        """While True, networks stop reading from their links."""
        self.networks: dict[str, Network] = {}
        self._clock = clock
        self._routes = Routes(peers)
        self._buckets = Buckets()
        self._recent = Recent(settings.max_messages)
        self._memory = Memory(store, clock)
        self._live: dict[str, Item] = {}
        self._bounced: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._relief: list[Callable[[], None]] = []
        self._token = hashlib.sha256(b"hop " + store.secret("hop")).hexdigest()[:16]
        self.new_id = Ids(clock, store.last_id())
        self._queue: Queue | None = None

    @property
    def queue(self) -> Queue:
        """The queues. Raises RuntimeError before `start`."""
        if self._queue is None:
            raise RuntimeError("the hub has not been started")
        return self._queue

    # -- life ------------------------------------------------------------------------------------------

    async def start(self, networks: Mapping[str, Network]) -> None:
        """Open the store for writing and take up what an earlier run left; then the networks may start."""
        loop = asyncio.get_running_loop()
        self.networks = dict(networks)
        self._queue = Queue(
            settled=self._on_settled,
            tried=self._on_tried,
            clock=self._clock,
            monotonic=loop.time,
            call_later=loop.call_later,
            random=random.random,
        )
        self._queue.networks = self.networks
        self.store.writer.start()
        for name in self.networks:
            self._memory.load(name)
        self._queue.hold()
        self._resume()

    def go(self) -> None:
        """The networks are up: begin to deliver."""
        self.queue.release()

    async def stop(self, grace_s: float) -> None:
        """Put nothing more on the wire, wait for the answers that are due, write everything down."""
        quiet = asyncio.Event()
        self.queue.hold(quiet.set)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await quiet.wait()
        await self.store.writer.flush()

    async def close(self) -> None:
        """Write what is still to be written, and let the store go."""
        await self.store.writer.stop()
        self.store.close()

    def reroute(self, peers: Iterable[Peer]) -> None:
        """Use another set of peers from now on; what is queued keeps the way it has."""
        self._routes = Routes(peers)

    # -- for the networks ------------------------------------------------------------------------------

    def accept(self, message: Message, origin: Origin, inbound: Inbound) -> None:
        """Take a message on, or raise the DeliveryError that its sender shall hear."""
        now = self._clock()
        peer = origin.peer
        key = _stable_key(peer, message)
        if key is not None and (known := self._recent.get(key)) is not None:
            self._duplicate(known, peer, inbound)
            return
        candidates = self._routes.candidates(message.recipient.domain, peer.network)
        refusal = decide(
            Facts(
                message=message,
                origin=origin,
                candidates=candidates,
                owned=peer in self._routes.candidates(message.sender.domain, peer.network),
                same_destination=self._same_destination(origin, candidates, message.recipient.domain),
                token=self._token,
                peer_wait_s=self._buckets.take(peer.name, peer.rate_per_s, now),
                sender_wait_s=self._buckets.take(
                    f"{message.sender.local}@{message.sender.domain}", peer.sender_rate_per_s, now
                ),
            )
        )
        if refusal is not None:
            self.count("refused", peer.name, refusal[1].reason)
            raise refusal[1]
        message = replace(message, hops=(*message.hops, self._token))
        data = encode(message)
        self._make_room(message, candidates[0], peer, len(data))
        latest = now + self.settings.max_age_s
        item = Item(
            message,
            peers=candidates,
            origin_peer=peer.name,
            size_bytes=len(data),
            expires_at=min(latest, message.expires_at) if message.expires_at is not None else latest,
            stable_key=key,
            inbound=inbound,
        )
        events = [
            Event(
                now,
                Stop.RECEIVED,
                f"from {peer.name} over {peer.network}",
                {"proof": origin.proof, "secured": origin.secured},
            ),
            Event(now, Stop.ROUTED, f"to {item.peer.name} over {item.peer.network}"),
        ]
        if key is not None:
            self._recent.put(key, item)
        self._live[item.id] = item
        self.store.writer.submit([_insertion(item, data, events)], lambda error: self._on_stored(item, error))
        if self.store.writer.backlog > MAX_BACKLOG_UNITS:
            self.congested = True

    def returned(self, message_id: str, error: DeliveryError, origin: Origin) -> None:
        """A message that we had put on the wire has come back (an error stanza, a failure notice)."""
        message_id = message_id.partition(".")[0]
        item = self._live.get(message_id)
        if item is not None:
            if item.peer is origin.peer and item.on_wire:
                self.count("returned", origin.peer.name, error.reason)
                self.queue.bounced(
                    item, Refused(error.reason, error.text, detail=error.detail, redirect=error.redirect)
                )
            return
        task = asyncio.get_running_loop().create_task(self._return_settled(message_id, error, origin))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def reachable(self, destination: str, network: str) -> None:
        """A link to that destination came up: what waits for it may go at once."""
        self.queue.reachable(destination, network)

    def peer_for(self, network: str, domain: str) -> Peer | None:
        """The peer of this network that speaks for a remote domain."""
        return self._routes.peer(network, domain)

    def projects(self, network: str, domain: str) -> bool:
        """Whether this network has to speak for the domain, because it lives elsewhere."""
        return self._routes.projects(network, domain)

    def projected(self, network: str) -> frozenset[str]:
        """All domains, configured by name, that this network has to speak for."""
        return self._routes.projected(network)

    def on_relief(self, callback: Callable[[], None]) -> None:
        """Call this whenever congestion has ended."""
        self._relief.append(callback)

    def remember(self, network: str, key: str, value: str) -> None:
        """Keep a small text over restarts; the newest few ten thousand of each network are kept."""
        self._memory.put(network, key, value)

    def recall(self, network: str, key: str) -> str | None:
        """What was remembered."""
        return self._memory.get(network, key)

    # -- for people ------------------------------------------------------------------------------------

    def live(self, message_id: str) -> Item | None:
        """An item under way."""
        return self._live.get(message_id)

    def retry(self, message_id: str) -> bool:
        """Try this one now, and whatever waits for the same destination; False when it is not waiting."""
        item = self._live.get(message_id)
        if item is None or item.lane is None:
            return False
        self.queue.wake(item.lane)
        return True

    async def drop(self, message_id: str, why: str) -> bool:
        """Give up a waiting message for good; its sender is told. False when it is not waiting."""
        item = self._live.get(message_id)
        if item is None or not self.queue.withdraw(item):
            return False
        error = Refused(Reason.OTHER, why, certain=not item.uncertain)
        item.events.append(Event(self._clock(), Stop.DROPPED, why))
        self._settle(item, "dropped", error)
        await self.store.writer.flush()
        return True

    async def forget_old(self) -> None:
        """Remove the trails of what was finished longer ago than `keep_days`."""
        before = floor_id(self._clock() - self.settings.keep_days * 86400)
        await self.store.writer.write([(units.FORGET, (before,))])

    def gauge(self) -> None:
        """Bring the gauges up to date."""
        self.metrics.gauges["queue_messages"].set(self.queue.count)
        self.metrics.gauges["queue_bytes"].set(self.queue.size_bytes)
        self.metrics.gauges["commit_backlog"].set(self.store.writer.backlog)

    # -- taking on -------------------------------------------------------------------------------------

    def _same_destination(self, origin: Origin, candidates: tuple[Peer, ...], domain: str) -> bool:
        peer = origin.peer
        if peer not in candidates or domain == origin.domain:
            return peer in candidates
        network = self.networks.get(peer.network)
        return network is not None and network.destination(peer, domain) == network.destination(
            peer, origin.domain
        )

    def _make_room(self, content: Content, peer: Peer, origin: Peer, size_bytes: int) -> None:
        settings, queue = self.settings, self.queue
        if len(self._live) >= settings.max_messages or queue.size_bytes + size_bytes > settings.max_bytes:
            text = "too many messages are waiting here"
        elif queue.lane_length(peer, content) >= settings.max_messages_per_recipient:
            text = f"too many messages are waiting for {content.recipient.bare}"
        else:
            return
        self.count("refused", origin.name, Reason.CONGESTION)
        raise Busy(Reason.CONGESTION, text, retry_after_s=RETRY_AFTER_S)

    def _on_stored(self, item: Item, error: StoreError | None) -> None:
        if self.congested and self.store.writer.backlog < MAX_BACKLOG_UNITS // 2:
            self.congested = False
            for callback in self._relief:
                callback()
        inbound = item.inbound
        if error is not None:
            self.count("store_errors")
            _log.error("a message could not be stored", message=item.id, error=str(error))
            del self._live[item.id]
            if item.stable_key is not None:
                self._recent.forget(item.stable_key)
            if inbound is not None:
                inbound.refused(
                    Busy(Reason.INTERNAL, "the message could not be stored", retry_after_s=RETRY_AFTER_S)
                )
            return
        item.written = True
        self.count("accepted", item.origin_peer)
        if inbound is not None:
            inbound.stored()
        self.queue.put(item)

    def _duplicate(self, known: Known, peer: Peer, inbound: Inbound) -> None:
        """Answer for the message that this one repeats."""
        self.count("duplicates", peer.name)
        if isinstance(known, tuple):
            inbound.stored()
            inbound.settled(*known)
            return
        known.events.append(Event(self._clock(), Stop.DUPLICATE, "sent again by its sender"))
        known.inbound = Chorus(known.inbound, inbound)
        if known.written:
            inbound.stored()

    # -- settling --------------------------------------------------------------------------------------

    def _on_tried(self, item: Item, error: DeliveryError) -> None:
        self.count("retries", item.peer.name, error.reason)
        events, item.events = item.events, []
        note = (item.peer.network, item.peer.name, item.attempt, trail.encode(events), item.id)
        self._write([(units.NOTE, note)])

    def _on_settled(self, item: Item, outcome: Outcome, error: DeliveryError | None) -> None:
        self._settle(item, outcome.value, error)

    def _settle(self, item: Item, state: str, error: DeliveryError | None) -> None:
        outcome = Outcome.FAILED if error is not None else Outcome(state)
        self._live.pop(item.id, None)
        if item.stable_key is not None:
            self._recent.put(item.stable_key, (outcome, error))
        self.count("settled", item.peer.name, state)
        inbound, item.inbound = item.inbound, None
        if error is None:
            if inbound is not None:
                inbound.settled(outcome, None)
            self._write(self._settlement(item, state, None))
        elif inbound is not None and inbound.waiting:
            # The sender is waiting for this very answer: it is told once the disk knows.
            self._write(self._settlement(item, state, error), lambda: self._tell(item, error, inbound))
        else:
            self._report(item.whole, item.origin_peer, error, self._settlement(item, state, error))

    def _settlement(self, item: Item, state: str, error: DeliveryError | None) -> units.Unit:
        now = self._clock()
        reason, certain = (error.reason.value, error.certain) if error is not None else ("", True)
        unit: units.Unit = [
            (
                units.SETTLE,
                (
                    state, reason, int(certain), item.attempt + 1, now, int(self.settings.keep_bodies),
                    trail.encode(item.events), item.id,
                ),
            )
        ]  # fmt: skip
        if isinstance(item.whole, Message):
            unit.append(metering.usage(item, state, now))
        return unit

    def _tell(self, item: Item, error: DeliveryError, inbound: Inbound) -> None:
        if not inbound.settled(Outcome.FAILED, error):
            self._report(item.whole, item.origin_peer, error, [])

    def _report(self, content: Content, origin_peer: str, error: DeliveryError, unit: units.Unit) -> None:
        """Write `unit`, and with it the news for the sender, if there is a way to say it."""
        candidates = self._routes.candidates(content.sender.domain, "")
        home = tuple(sorted(candidates, key=lambda peer: peer.name != origin_peer))
        # Nothing automatic is answered: two machines could go on for ever.
        if content.automatic or not home or not isinstance(content, Message):
            self._write(unit)
            return
        now = self._clock()
        report = Report(
            id=self.new_id(),
            sender=content.recipient,
            recipient=content.sender,
            about=content.id,
            reason=error.reason,
            received_at=now,
            text=error.text,
            certain=error.certain,
            origin_id=content.origin_id,
            kind=content.kind,
            thread=content.thread,
            redirect=error.redirect,
            excerpt=content.text[:EXCERPT_CHARACTERS],
        )
        data = encode(report)
        item = Item(
            report, peers=home, origin_peer="", size_bytes=len(data), expires_at=now + self.settings.max_age_s
        )
        events = [
            Event(now, Stop.REPORTED, f"to {report.recipient} by {item.peer.name}", {"about": content.id})
        ]
        self.count("reports", item.peer.name)
        self._live[item.id] = item

        def written() -> None:
            item.written = True
            self.queue.put(item)

        self._write([*unit, _insertion(item, data, events)], written)

    async def _return_settled(self, message_id: str, error: DeliveryError, origin: Origin) -> None:
        """A bounce of what we had taken for sent."""
        rows = await asyncio.to_thread(self.store.find, message_id)
        row = next((row for row in rows if row.id == message_id), None)
        if row is None or row.peer != origin.peer.name or row.state not in ("sent", "delivered"):
            self.count("ignored", origin.peer.network, "bounce")
            return
        if row.id in self._bounced:
            return
        self._bounced.add(row.id)
        self.count("returned", origin.peer.name, error.reason)
        now = self._clock()
        event = Event(now, Stop.RETURNED, error.text, {"reason": error.reason, "by": origin.domain})
        unit: units.Unit = [
            (
                units.SETTLE,
                ("failed", error.reason.value, 1, row.attempts, now, 1, trail.encode([event]), row.id),
            )
        ]
        if row.type == "report":
            self._write(unit)
            return
        self._report(_what_is_left(row), row.origin_peer, error, unit)
        await self.store.writer.flush()
        self._bounced.discard(row.id)

    def _write(self, unit: units.Unit, then: Callable[[], None] | None = None) -> None:
        """Write what must not be lost: again and again, until the disk takes it."""

        def done(error: StoreError | None) -> None:
            if error is None:
                if then is not None:
                    then()
                return
            self.count("store_errors")
            _log.error("an outcome could not be stored; trying again", error=str(error))
            asyncio.get_running_loop().call_later(1.0, self._write, unit, then)

        if unit:
            self.store.writer.submit(unit, done)
        elif then is not None:
            then()

    # -- after a restart -------------------------------------------------------------------------------

    def _resume(self) -> None:
        now = self._clock()
        known: dict[str, Item] = {}
        after = ""
        while rows := self.store.queued(after=after):
            after = rows[-1].id
            for row in rows:
                item = self._resumed(row, now)
                if item is not None:
                    known[item.id] = item
        for key, message_id, state in self.store.stable_keys(floor_id(now - DUPLICATE_WINDOW_S)):
            if message_id in known:
                self._recent.put(key, known[message_id])
            elif state in ("sent", "delivered"):
                self._recent.put(key, (Outcome(state), None))
            else:
                error = Refused(Reason.OTHER, "the message had failed before")
                self._recent.put(key, (Outcome.FAILED, error))
        for item in known.values():
            self.queue.put(item)
        if known:
            _log.info("taken up again", messages=len(known))

    def _resumed(self, row: Row, now: float) -> Item | None:
        content = decode(row.content or b"")
        candidates = self._routes.candidates(content.recipient.domain, "")
        chosen = tuple(sorted(candidates, key=lambda peer: peer.name != row.peer))
        if not chosen:
            error = Refused(
                Reason.DOMAIN_NOT_FOUND,
                f"nobody here can reach {content.recipient.domain} any more",
                certain=row.attempts == 0,
            )
            event = Event(now, Stop.FAILED, error.text, {"reason": error.reason})
            settle = ("failed", error.reason.value, int(error.certain), row.attempts, now, 0)
            unit: units.Unit = [(units.SETTLE, (*settle, trail.encode([event]), row.id))]
            self._report(content, row.origin_peer, error, unit)
            return None
        item = Item(
            content,
            peers=chosen,
            origin_peer=row.origin_peer,
            size_bytes=row.size_bytes,
            expires_at=row.expires_at,
            stable_key=row.stable_key,
            attempt=row.attempts,
        )
        item.written = True
        item.uncertain = True  # it may have been on the wire when the process ended
        item.events.append(Event(now, Stop.RESUMED, "found on disk after a restart"))
        self._live[item.id] = item
        return item


class Chorus:
    """Several who wait for the answer to one message: its sender, sending again."""

    def __init__(self, *members: Inbound | None) -> None:
        self._members = [member for member in members if member is not None]

    @property
    def waiting(self) -> bool:
        """See `Inbound`."""
        return any(member.waiting for member in self._members)

    def stored(self) -> None:
        """See `Inbound`."""
        for member in self._members:
            member.stored()

    def refused(self, error: DeliveryError) -> None:
        """See `Inbound`."""
        for member in self._members:
            member.refused(error)

    def settled(self, outcome: Outcome, error: DeliveryError | None) -> bool:
        """See `Inbound`."""
        told = [member.settled(outcome, error) for member in self._members]  # every one of them
        return any(told)


def _stable_key(peer: Peer, message: Message) -> bytes | None:
    """What is equal for two copies of one message, and for nothing else."""
    if not message.stable_id:
        return None
    sender, recipient = message.sender, message.recipient
    text = "\0".join(
        (peer.name, sender.local, sender.domain, recipient.local, recipient.domain, message.stable_id)
    )
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _insertion(item: Item, data: bytes, events: list[Event]) -> tuple[int, units.Parameters]:
    content = item.whole
    if isinstance(content, Report):
        kind, origin_id, about = "report", "", content.about
    else:
        kind, origin_id, about = "message", content.origin_id, ""
    return (
        units.INSERT_MESSAGE,
        (
            item.id, kind, str(content.sender), str(content.recipient), item.origin_peer, origin_id, about,
            item.peer.network, item.peer.name, "queued", "", 1, item.attempt, item.size_bytes,
            item.received_at, item.expires_at, None, item.stable_key, data, trail.encode(events),
        ),
    )  # fmt: skip


def _what_is_left(row: Row) -> Message:
    """As much of a finished message as a report about it needs."""
    if row.content is not None:
        content = decode(row.content)
        if isinstance(content, Message):
            return content
    return Message(
        id=row.id,
        sender=_address(row.sender),
        recipient=_address(row.recipient),
        text="",
        received_at=row.received_at,
        origin_id=row.origin_id,
    )


def _address(text: str) -> Address:
    try:
        return Address.parse(text)
    except AddressError:  # written by an earlier release with other rules
        return Address("", "invalid")
