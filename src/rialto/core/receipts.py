"""Receipts: who asked for which, which were given, and each one home once.

A receipt counts where the one who gives it was the message's recipient, the writer asked for it, and it is
the first of its kind: of several devices the first counts. It is on disk before the giver is told that it was
taken, as a row of its own that speaks of the message, so that neither a crash nor a repetition makes two of
it. Everything else is counted and let be.

What was asked lately is in memory; after a restart, or much later, it is read from the trail.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from rialto.core import records
from rialto.core.chorus import tell_refused, tell_settled, tell_stored
from rialto.core.item import Item
from rialto.core.metrics import Metrics
from rialto.core.network import Inbound, Origin, Outcome, Peer, same_person
from rialto.core.register import Register
from rialto.core.trail import Event, Stop
from rialto.model.address import Address
from rialto.model.errors import Busy, Reason
from rialto.model.message import Disposition, Message, Receipt, encode
from rialto.store.store import Store
from rialto.store.writer import StoreError

CAPACITY = 20_000
"""So many messages at least whose receipts are awaited are in memory."""

MAX_LOOKUPS = 500
"""So many are looked up on disk at a time; more are told to come again."""

RETRY_AFTER_S = 10.0
_ID_CHARACTERS = 23

_log = structlog.get_logger(__name__)


class Asked:
    """What is to be known of one message whose writer asked for receipts."""

    __slots__ = (
        "id",
        "origin_id",
        "origin_peer",
        "parts",
        "recipient",
        "sender",
        "sent_at",
        "state",
        "thread",
        "wants",
    )

    def __init__(
        self,
        message: Message,
        origin_peer: str,
        *,
        given: tuple[Disposition, ...] = (),
        parts: int = 1,
    ) -> None:
        self.id = message.id
        self.sender = message.sender
        self.recipient = message.recipient
        self.origin_id = message.origin_id
        self.origin_peer = origin_peer
        self.thread = message.thread
        self.sent_at = message.received_at if message.sent_at is None else message.sent_at
        self.wants = message.wants
        self.parts = parts
        self.state: dict[Disposition, list[Inbound] | None] = dict.fromkeys(given)
        """Those that were given: None when on disk, else who waits for that."""


class Given:
    """One receipt as it came in."""

    __slots__ = ("at", "disposition", "inbound", "number", "origin", "recipient", "sender")

    def __init__(
        self,
        origin: Origin,
        sender: Address,
        recipient: Address,
        disposition: Disposition,
        at: float,
        inbound: Inbound | None,
    ) -> None:
        self.origin = origin
        self.sender = sender
        self.recipient = recipient
        self.number = ""
        """Of the part that arrived."""
        self.disposition = disposition
        self.at = at
        self.inbound = inbound


class Receipts:
    """All receipts of one instance.

    `home(content, origin_peer)` are the peers through which a message's sender is reached, best first; `put`
    begins to deliver; `confirmed(id)` hears of a message that has arrived; `max_age_s` is for how long a
    receipt is tried.
    """

    def __init__(
        self,
        *,
        store: Store,
        register: Register,
        metrics: Metrics,
        clock: Callable[[], float],
        new_id: Callable[[], str],
        home: Callable[[Address, str], tuple[Peer, ...]],
        put: Callable[[Item], None],
        confirmed: Callable[[str], None],
        max_age_s: float,
    ) -> None:
        self._store = store
        self._register = register
        self._count = metrics.count
        self._clock = clock
        self._new_id = new_id
        self._home = home
        self._put = put
        self._confirmed = confirmed
        self._max_age_s = max_age_s
        self._young: dict[str, Asked] = {}
        self._old: dict[str, Asked] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def asked(self, message: Message, origin_peer: str) -> None:
        """A message was taken on; perhaps it asks for receipts."""
        if message.wants:
            self._keep(Asked(message, origin_peer))

    def cut(self, message_id: str, parts: int) -> None:
        """It went in so many parts; only the last of them asks."""
        asked = self._known(message_id)
        if asked is not None:
            asked.parts = parts

    def give(self, about: str, given: Given) -> None:
        """A receipt for the message of that id, or its part `id.number`, whose giver is who it says.

        Raises Busy when it cannot be looked into now.
        """
        message_id, _, given.number = about.partition(".")
        asked = self._known(message_id)
        if asked is not None:
            self._weigh(asked, given)
        elif len(message_id) != _ID_CHARACTERS:
            self._ignore(given)
        elif len(self._tasks) >= MAX_LOOKUPS:
            raise Busy(Reason.CONGESTION, "too many receipts at once", retry_after_s=RETRY_AFTER_S)
        else:
            task = asyncio.get_running_loop().create_task(self._look_up(message_id, given))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def finish(self) -> None:
        """Wait until all that was begun has been done."""
        await asyncio.gather(*self._tasks)

    # -- what was asked --------------------------------------------------------------------------------

    def _keep(self, asked: Asked) -> None:
        if len(self._young) >= CAPACITY:
            self._old, self._young = self._young, {}
        self._young[asked.id] = asked

    def _known(self, message_id: str) -> Asked | None:
        return self._young.get(message_id) or self._old.get(message_id)

    async def _look_up(self, message_id: str, given: Given) -> None:
        await self._store.writer.flush()  # receipts that are being written count
        try:
            row, about = await asyncio.to_thread(self._store.with_receipts, message_id)
        except Exception as error:
            _log.error("a receipt could not be looked into", message=message_id, error=str(error))
            self._refuse(given.inbound)
            return
        asked = self._known(message_id)  # another one may have been quicker
        if asked is None:
            message = records.what_is_left(row) if row is not None and row.type == "message" else None
            if row is None or message is None or not message.wants:
                self._ignore(given)
                return
            asked = Asked(
                message,
                row.origin_peer,
                given=tuple(one for trail in about if (one := records.disposition(trail)) is not None),
                parts=records.parts(row),
            )
            self._keep(asked)
        self._weigh(asked, given)

    # -- what was given --------------------------------------------------------------------------------

    def _weigh(self, asked: Asked, given: Given) -> None:
        disposition = given.disposition
        if (
            disposition not in asked.wants
            or not same_person(given.sender, asked.recipient)
            or not same_person(given.recipient, asked.sender)
            or (given.number and given.number != str(asked.parts))
        ):
            self._ignore(given)
            return
        if disposition in asked.state:
            self._count("ignored", given.origin.peer.network, "receipt")
            waiting = asked.state[disposition]
            if waiting is None:
                _acknowledge(given.inbound)
            elif given.inbound is not None:
                waiting.append(given.inbound)
            return
        self._confirmed(asked.id)
        peers = self._home(asked.sender, asked.origin_peer)
        if not peers or disposition not in peers[0].features.receipts:
            self._ignore(given)
            return
        asked.state[disposition] = [given.inbound] if given.inbound is not None else []
        self._send(asked, given, peers)

    def _send(self, asked: Asked, given: Given, peers: tuple[Peer, ...]) -> None:
        now = self._clock()
        disposition = given.disposition
        receipt = Receipt(
            id=self._new_id(),
            sender=given.sender,
            recipient=asked.sender,
            about=asked.id,
            disposition=disposition,
            at=given.at,
            received_at=now,
            origin_id=asked.origin_id,
            thread=asked.thread,
            sent_at=asked.sent_at,
        )
        data = encode(receipt)
        item = Item(
            receipt,
            peers=peers,
            origin_peer=given.origin.peer.name,
            size_bytes=len(data),
            expires_at=now + self._max_age_s,
        )
        event = Event(
            now,
            Stop.RECEIVED,
            f"{disposition}, from {given.origin.peer.name}",
            {"about": asked.id, "disposition": disposition.value},
        )
        self._register.add(item)

        def done(error: StoreError | None) -> None:
            waiting = asked.state[disposition] or []
            if error is not None:
                self._count("store_errors")
                self._register.remove(item)
                del asked.state[disposition]
                for inbound in waiting:
                    self._refuse(inbound)
                return
            asked.state[disposition] = None
            item.written = True
            self._count("receipts", item.peer.name, disposition.value)
            for inbound in waiting:
                _acknowledge(inbound)
            self._put(item)

        self._store.writer.submit([records.insertion(item, data, [event])], done)

    def _ignore(self, given: Given) -> None:
        self._count("ignored", given.origin.peer.network, "receipt")
        _acknowledge(given.inbound)

    def _refuse(self, inbound: Inbound | None) -> None:
        if inbound is not None:
            text = "the receipt could not be stored"
            tell_refused(inbound, Busy(Reason.INTERNAL, text, retry_after_s=RETRY_AFTER_S))


def _acknowledge(inbound: Inbound | None) -> None:
    if inbound is not None:
        tell_stored(inbound)
        tell_settled(inbound, Outcome.DELIVERED, None)
