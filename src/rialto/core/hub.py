"""The hub: from one network to another, one message at a time.

What happens to a message here, in order:

1. `accept`: known already (a retransmission)? allowed (`policy`)? where to (`routing`)? is there room?
   A no is raised, and the network says it in its sender's words. Nothing has been kept.
2. The message goes to the store, and from its commit on it is ours: `inbound.stored()`.
3. The queue (`delivery`) gives it to the network it goes to, as often as it takes.
4. Its outcome goes to the store, and the news to its sender (`settlement`); what comes back later is in
   `returns`.

After a restart the queue is filled again from the store, in order (`resume`).

What a sender is told is never ahead of the disk, except the good news of a delivery: a crash before its
commit repeats the message under the same id.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import structlog
from msgspec.structs import replace

from rialto.core import records
from rialto.core.chorus import Chorus, tell_refused, tell_settled, tell_stored
from rialto.core.composing import Notices
from rialto.core.delivery import KEPT_ATTEMPTS, Queue
from rialto.core.faces import Faces
from rialto.core.ids import Ids, floor_id
from rialto.core.item import Item
from rialto.core.limits import Buckets
from rialto.core.memory import Memory
from rialto.core.metrics import Metrics
from rialto.core.network import Inbound, Network, Origin, Peer
from rialto.core.policy import Decision, Facts, PolicySettings, decide
from rialto.core.policy.gate import Gate
from rialto.core.presence import Presence, PresenceSettings
from rialto.core.receipts import Given, Receipts
from rialto.core.recent import Known
from rialto.core.register import Register
from rialto.core.relations import Relations
from rialto.core.resume import resume
from rialto.core.returns import Returns
from rialto.core.routing import Routes
from rialto.core.settings import QueueSettings
from rialto.core.settlement import Settlement
from rialto.core.trail import Event, Stop
from rialto.model.address import Address
from rialto.model.agreement import Traffic
from rialto.model.errors import Busy, DeliveryError, Reason, Refused
from rialto.model.message import Composing, Content, Disposition, Message, encode
from rialto.store import units
from rialto.store.store import Store
from rialto.store.writer import StoreError

DUPLICATE_WINDOW_S = 3600.0
"""For how long a stable id is remembered: well above any retransmission, fail-over or reconnection."""

MAX_BACKLOG_UNITS = 4000
"""More waiting for the disk than this, and the networks stop reading."""

RETRY_AFTER_S = 10.0

REFUSALS_EVERY_S = 10.0
"""How often refusals of one peer by one rule are logged; all are counted."""

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
        presence: PresenceSettings | None = None,
        policy: PolicySettings | None = None,
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
        self._memory = Memory(store, clock)
        self._register = Register(settings.max_messages)
        self._refusal_logged_at: dict[tuple[str, str], float] = {}
        self._relief: list[Callable[[], None]] = []
        self._token = hashlib.sha256(b"hop " + store.secret("hop")).hexdigest()[:16]
        self.new_id = Ids(clock, store.last_id())
        self._receipts = Receipts(
            store=store,
            register=self._register,
            metrics=self.metrics,
            clock=clock,
            new_id=self.new_id,
            home=self._back,
            put=self._put,
            confirmed=self._confirmed,
            max_age_s=settings.max_age_s,
        )
        self._relations = Relations(store, self._register, self._now_ready)
        self._notices = Notices(
            register=self._register,
            metrics=self.metrics,
            clock=clock,
            ways=self._ways,
            owned=self._speaks_for,
        )
        self._said = self._notices.said
        self._settlement = Settlement(
            writer=store.writer,
            register=self._register,
            metrics=self.metrics,
            settings=settings,
            clock=clock,
            new_id=self.new_id,
            home=self._home,
            put=self._put,
            notices=self._notices,
        )
        self._returns = Returns(
            store=store,
            register=self._register,
            settlement=self._settlement,
            metrics=self.metrics,
            clock=clock,
        )
        self.gate = Gate(
            policy or PolicySettings(), own_domain=server_name, clock=clock, count=self.metrics.count
        )
        self.presence = Presence(
            settings=presence or PresenceSettings(),
            metrics=self.metrics,
            clock=clock,
            candidates=self._candidates,
            gate=self.gate,
        )
        self.faces = Faces(clock, self._candidates, self.gate)
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
            settled=self._settlement.settled,
            tried=self._settlement.tried,
            clock=self._clock,
            monotonic=loop.time,
            call_later=loop.call_later,
            random=random.random,
            cut=self._receipts.cut,
        )
        self._queue.networks = self.networks
        self.store.writer.after_batch = self._relieve
        self.store.writer.start()
        for name in self.networks:
            self._memory.load(name)
        self._queue.hold()
        resumed = list(
            resume(
                self.store,
                self._register,
                self._settlement,
                lambda domain: self._routes.candidates(domain, ""),
                self._clock(),
                window_s=DUPLICATE_WINDOW_S,
                most_keys=self.settings.max_messages,
            )
        )
        for item in resumed:
            self._relations.look_up(item)
            self._queue.put(item)
        if resumed:
            _log.info("taken up again", messages=len(resumed))
        self.presence.start(
            self.networks,
            self.store.watches(),
            submit=self.store.writer.submit,
            call_soon=loop.call_soon,
            call_later=loop.call_later,
            monotonic=loop.time,
            random=random.random,
        )
        self._notices.start(self.networks)
        self.faces.start(self.networks, loop.call_soon)
        self.gate.on_change(self.presence.review)
        self.gate.start(loop.call_later)

    def go(self) -> None:
        """The networks are up: begin to deliver."""
        self.queue.release()
        self.presence.go()

    async def stop(self, grace_s: float) -> None:
        """Put nothing more on the wire, wait for the answers that are due, write everything down."""
        if self._queue is None:
            return  # it never came so far
        self.gate.stop()
        self.presence.stop()
        quiet = asyncio.Event()
        self._queue.hold(quiet.set)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await quiet.wait()
        await self.store.writer.flush()

    async def close(self) -> None:
        """Write what is still to be written, and let the store go."""
        await self._relations.finish()
        await self._receipts.finish()
        await self._returns.finish()
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
        key = records.stable_key(peer, message)
        if key is not None and (known := self._register.known(key)) is not None:
            self._duplicate(known, peer, inbound)
            return
        candidates, same_destination = self._ways(message.recipient.domain, origin)
        owned = self._routes.speaks_for(peer, message.sender.domain)
        refusal = decide(
            Facts(
                message=message,
                origin=origin,
                candidates=candidates,
                owned=owned,
                same_destination=same_destination,
                token=self._token,
                peer_wait_s=self._buckets.take(peer.name, peer.rate_per_s, now),
                # Whoever speaks in somebody else's name shall not use up what that person may send.
                sender_wait_s=self._buckets.take(
                    f"{message.sender.local}@{message.sender.domain}", peer.sender_rate_per_s, now
                )
                if owned
                else 0.0,
            )
        )
        if refusal is not None:
            self.count("refused", peer.name, refusal[1].reason)
            self._say_refused(message, origin, *refusal)
            raise refusal[1]
        leave = self._leave(message, origin) if self.gate.leave is not None else None
        if message.relation is not None:
            message = self._relations.known(message, peer)
        message = replace(message, hops=(*message.hops, self._token), nick=self.faces.heard(message))
        try:
            data = encode(message)
        except UnicodeEncodeError:
            self.count("refused", peer.name, Reason.BAD_REQUEST)
            raise Refused(
                Reason.BAD_REQUEST, "there is something in the message that is not Unicode"
            ) from None
        self._make_room(message, peer, len(data))
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
        seen: dict[str, Any] = {"proof": origin.proof, "secured": origin.secured}
        if message.automatic or message.wants or message.sealed:
            records.note(message, seen)
            self._receipts.asked(message, peer.name)
        if self._said:
            self._notices.spoken(message.sender, message.recipient)
        events = [
            Event(now, Stop.RECEIVED, f"from {peer.name} over {peer.network}", seen),
            Event(now, Stop.ROUTED, f"to {item.peer.name} over {item.peer.network}"),
        ]
        if leave is not None:
            item.grounds = leave.grounds
            events.append(Event(now, Stop.ALLOWED, leave.text, leave.noted))
        if message.relation is not None:
            item.ready = False
        self._register.add(item)
        writer = self.store.writer
        writer.submit([records.insertion(item, data, events)], lambda error: self._on_stored(item, error))
        if writer.backlog > MAX_BACKLOG_UNITS:
            self.congested = True

    def would_refuse(
        self, sender: Address, recipient: Address, origin: Origin, service: Traffic = Traffic.MESSAGE
    ) -> DeliveryError | None:
        """What `accept` would say now to a message between these two, or to something else if leave is asked
        for another service; nobody's rate is charged for asking."""
        candidates, same_destination = self._ways(recipient.domain, origin)
        refusal = decide(
            Facts(
                message=Message(id="", sender=sender, recipient=recipient, text="", received_at=0.0),
                origin=origin,
                candidates=candidates,
                owned=self._routes.speaks_for(origin.peer, sender.domain),
                same_destination=same_destination,
                token=self._token,
                peer_wait_s=0.0,
                sender_wait_s=0.0,
            )
        )
        if refusal is not None:
            return refusal[1]
        return self.gate.refusal(sender, recipient, service, origin)

    def receipt(
        self,
        origin: Origin,
        *,
        sender: Address,
        recipient: Address,
        about: str,
        disposition: Disposition,
        at: float | None = None,
        inbound: Inbound | None = None,
    ) -> None:
        """A message has arrived at its recipient, or was looked at: `sender`, who got it, tells `recipient`.

        `about` is what we called the message when it went out, `at` when it happened (seconds since 1970).
        What nobody asked for, or has been told, is taken and let be: `inbound` hears that it is stored and
        settled all the same. Raises Refused where the origin does not speak for the sender, and Busy.
        """
        peer, now = origin.peer, self._clock()
        if not self._routes.speaks_for(peer, sender.domain):
            self.count("ignored", peer.network, "receipt")
            raise Refused(Reason.FORBIDDEN, f"{origin.domain} does not speak for {sender.domain}")
        wait_s = self._buckets.take(f"{peer.name} receipts", peer.rate_per_s, now)
        if wait_s or not self.store.writer.open or len(self._register) >= self.settings.max_messages:
            self.count("ignored", peer.network, "receipt")
            raise Busy(Reason.CONGESTION, "too many receipts", retry_after_s=wait_s or RETRY_AFTER_S)
        at = now if at is None else min(at, now)
        self._receipts.give(about, Given(origin, sender, recipient, disposition, at, inbound))

    def compose(self, composing: Composing, origin: Origin) -> None:
        """Somebody is writing, or has stopped: passed on if that can be done now. Never raises."""
        if self.gate.refusal(composing.sender, composing.recipient, Traffic.MESSAGE, origin) is not None:
            self.count("ignored", origin.peer.network, "typing")
            return
        self._notices.compose(composing, origin)

    def returned(self, message_id: str, error: DeliveryError, origin: Origin) -> None:
        """A message that we had put on the wire has come back (an error stanza, a failure notice)."""
        self._returns.returned(self.queue, message_id, error, origin)

    def reachable(self, destination: str, network: str) -> None:
        """A link to that destination came up: what waits for it may go at once."""
        self.queue.reachable(destination, network)
        self.presence.reachable(destination, network)

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

    def recall_all(self, network: str, prefix: str) -> list[tuple[str, str]]:
        """Keys that begin so, and what was remembered; for when a network starts."""
        return self._memory.starting(network, prefix)

    # -- for people ------------------------------------------------------------------------------------

    def live(self, message_id: str) -> Item | None:
        """An item under way."""
        return self._register.get(message_id)

    def under_way(self) -> list[str]:
        """The ids of all that is under way."""
        return self._register.ids()

    def retry(self, message_id: str) -> bool:
        """Try this one now, and whatever waits for the same destination; False when it is not waiting."""
        item = self._register.get(message_id)
        if item is None or item.lane is None:
            return False
        self.queue.wake(item.lane)
        return True

    async def drop(self, message_id: str, why: str) -> bool:
        """Give up a waiting message for good; its sender is told. False when it is not waiting."""
        item = self._register.get(message_id)
        if item is None or not self.queue.withdraw(item):
            return False
        error = Refused(Reason.OTHER, why, certain=not item.uncertain)
        item.events.append(Event(self._clock(), Stop.DROPPED, why))
        self._settlement.dropped(item, error)
        await self.store.writer.flush()
        return True

    async def forget_old(self) -> None:
        """Remove the trails of what was finished longer ago than `keep_days`. Raises StoreError."""
        before = floor_id(self._clock() - self.settings.keep_days * 86400)
        while await asyncio.to_thread(self.store.finished_before, before):
            await self.store.writer.write([(units.FORGET, (before,))])  # some at a time

    def gauge(self) -> None:
        """Bring the gauges up to date."""
        self.metrics.gauges["queue_messages"].set(self.queue.count)
        self.metrics.gauges["queue_bytes"].set(self.queue.size_bytes)
        self.metrics.gauges["commit_backlog"].set(self.store.writer.backlog)
        self.presence.gauge()

    # -- taking on -------------------------------------------------------------------------------------

    def _candidates(self, domain: str, network: str) -> tuple[Peer, ...]:
        return self._routes.candidates(domain, network)

    def _speaks_for(self, peer: Peer, domain: str) -> bool:
        return self._routes.speaks_for(peer, domain)

    def _ways(self, domain: str, origin: Origin) -> tuple[tuple[Peer, ...], bool]:
        """The peers through which a message may go on; and whether all would send it back whence it came."""
        found = self._routes.candidates(domain, origin.peer.network)
        if len(found) == 1:
            return found, self._goes_back(found[0], domain, origin)
        onward = tuple(peer for peer in found if not self._goes_back(peer, domain, origin))
        return onward or found, bool(found) and not onward

    def _goes_back(self, peer: Peer, domain: str, origin: Origin) -> bool:
        if peer.name != origin.peer.name:
            return False
        if domain == origin.domain:
            return True
        network = self.networks.get(peer.network)
        return network is not None and network.destination(peer, domain) == network.destination(
            peer, origin.domain
        )

    def _home(self, content: Content, origin_peer: str) -> tuple[Peer, ...]:
        """The peers through which the sender of a message is reached, best first."""
        return self._back(content.sender, origin_peer)

    def _back(self, person: Address, origin_peer: str) -> tuple[Peer, ...]:
        candidates = self._routes.candidates(person.domain, "")
        return tuple(sorted(candidates, key=lambda peer: peer.name != origin_peer))

    def _leave(self, message: Message, origin: Origin) -> Decision | None:
        """By what it may pass. Raises DeliveryError."""
        try:
            return self.gate.take(message, origin)
        except DeliveryError as error:
            self.count("refused", origin.peer.name, error.reason)
            self._say_refused(message, origin, "leave", error)
            raise

    def _say_refused(self, message: Message, origin: Origin, rule: str, error: DeliveryError) -> None:
        """Log it; of each peer and rule once in a while, for it can happen at any rate."""
        now, key = self._clock(), (origin.peer.name, rule)
        if abs(now - self._refusal_logged_at.get(key, 0.0)) < REFUSALS_EVERY_S:
            return
        self._refusal_logged_at[key] = now
        _log.warning(
            "message.refused",
            peer=origin.peer.name,
            rule=rule,
            sender=str(message.sender),
            recipient=str(message.recipient),
            reason=error.reason.value,
            text=error.text,
            detail=error.detail,
        )

    def _make_room(self, content: Content, origin: Peer, size_bytes: int) -> None:
        settings, register = self.settings, self._register
        if not self.store.writer.open:
            text = "this server is stopping"
        elif len(register) >= settings.max_messages or register.size_bytes + size_bytes > settings.max_bytes:
            text = "too many messages are waiting here"
        elif register.waiting_for(content.recipient) >= settings.max_messages_per_recipient:
            text = f"too many messages are waiting for {content.recipient.bare}"
        else:
            return
        self.count("refused", origin.name, Reason.CONGESTION)
        raise Busy(Reason.CONGESTION, text, retry_after_s=RETRY_AFTER_S)

    def _put(self, item: Item) -> None:
        self.queue.put(item)

    def _now_ready(self, item: Item) -> None:
        self.queue.now_ready(item)

    def _confirmed(self, message_id: str) -> None:
        item = self._register.get(message_id)
        if item is not None:
            self.queue.confirmed(item)

    def _on_stored(self, item: Item, error: StoreError | None) -> None:
        inbound = item.inbound
        if error is not None:
            self.count("store_errors")
            self._register.remove(item)
            if inbound is not None:
                text = "the message could not be stored"
                tell_refused(inbound, Busy(Reason.INTERNAL, text, retry_after_s=RETRY_AFTER_S))
            return
        item.written = True
        self.count("accepted", item.origin_peer)
        if inbound is not None:
            tell_stored(inbound)
        if not item.ready:
            self._relations.look_up(item)
        self.queue.put(item)

    def _relieve(self) -> None:
        """After every batch: whoever stopped reading because of the backlog may read on."""
        if not self.congested or self.store.writer.backlog >= MAX_BACKLOG_UNITS // 2:
            return
        self.congested = False
        for callback in self._relief:
            try:
                callback()
            except Exception:
                _log.exception("a network failed to read on")

    def _duplicate(self, known: Known, peer: Peer, inbound: Inbound) -> None:
        """Answer for the message that this one repeats."""
        self.count("duplicates", peer.name)
        if isinstance(known, tuple):
            tell_stored(inbound)
            tell_settled(inbound, known[0], known[1])
            return
        if len(known.events) < KEPT_ATTEMPTS:
            known.events.append(Event(self._clock(), Stop.DUPLICATE, "sent again by its sender"))
        chorus = known.inbound if isinstance(known.inbound, Chorus) else Chorus(known.inbound)
        chorus.join(inbound, stored=known.written)
        known.inbound = chorus
        if known.written:
            tell_stored(inbound)
