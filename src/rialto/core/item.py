"""One message on its way out, and one attempt to put it (or a part of it) on the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rialto.core.network import NOTHING_KNOWN, Hop, Inbound, Outcome, Peer
from rialto.core.policy.decision import NO_GROUNDS
from rialto.core.trail import Event
from rialto.model.errors import DeliveryError
from rialto.model.message import Content

if TYPE_CHECKING:
    from rialto.core.delivery import Lane, Queue


class Item:
    """One message or report under way, from its commit to its outcome."""

    __slots__ = (
        "adapted", "alternatives", "attempt", "current", "domain", "events", "expires_at", "fidelity",
        "grounds", "id",
        "inbound", "lane", "origin_peer", "part_count", "parts", "peer", "ready", "received_at", "size_bytes",
        "stable_key", "uncertain", "whole", "written",
    )  # fmt: skip

    def __init__(
        self,
        content: Content,
        *,
        peers: tuple[Peer, ...],
        origin_peer: str,
        size_bytes: int,
        expires_at: float,
        stable_key: bytes | None = None,
        inbound: Inbound | None = None,
        attempt: int = 0,
    ) -> None:
        self.id = content.id
        self.whole = content
        self.peer = peers[0]
        self.alternatives = peers[1:]
        self.domain = content.recipient.domain
        self.origin_peer = origin_peer
        self.received_at = content.received_at
        self.expires_at = expires_at
        self.size_bytes = size_bytes
        self.stable_key = stable_key
        self.inbound = inbound
        self.attempt = attempt
        self.events: list[Event] = []
        self.parts: tuple[Content, ...] = ()
        """What is still to be put on the wire, oldest first; empty before it was adapted."""
        self.part_count = 0
        self.fidelity: tuple[str, ...] = ()
        self.adapted = 0
        """How often its recipient turned out to carry less than was thought."""
        self.ready = True
        """False while it is still looked up what it speaks of; it keeps its place meanwhile."""
        self.current: Attempt | None = None
        """What is on the wire now."""
        self.written = False
        """It is on disk."""
        self.grounds = NO_GROUNDS
        """By what leave it passes."""
        self.uncertain = False
        """It has been on the wire, and may have arrived."""
        self.lane: Lane | None = None

    @property
    def on_wire(self) -> bool:
        """Whether an answer of the network is awaited."""
        return self.current is not None

    @property
    def partly_delivered(self) -> bool:
        """Whether some of its parts have arrived."""
        return 0 < len(self.parts) < self.part_count

    def divert(self) -> None:
        """Go by the next best peer, and be adapted to it anew."""
        self.peer, self.alternatives = self.alternatives[0], self.alternatives[1:]
        self.begin_anew()

    def begin_anew(self) -> None:
        """Nothing of it has arrived: it will be adapted anew."""
        self.parts, self.part_count, self.fidelity = (), 0, ()


class Attempt:
    """The `Delivery` that a network gets: one try of one part; deaf once it has been answered."""

    __slots__ = ("_item", "_queue", "attempt", "content", "domain", "peer")

    def __init__(self, queue: Queue, item: Item, content: Content) -> None:
        self._queue = queue
        self._item = item
        self.content = content
        self.peer = item.peer
        self.attempt = item.attempt
        self.domain = item.domain

    def sent(self, hop: Hop = NOTHING_KNOWN) -> None:
        """See `Delivery`."""
        if self._item.current is self:
            self._queue.succeeded(self._item, Outcome.SENT, "", hop)

    def delivered(self, detail: str = "", hop: Hop = NOTHING_KNOWN) -> None:
        """See `Delivery`."""
        if self._item.current is self:
            self._queue.succeeded(self._item, Outcome.DELIVERED, detail, hop)

    def again(self, why: str = "") -> None:
        """See `Delivery`."""
        if self._item.current is self:
            self._queue.again(self._item, why)

    def failed(self, error: DeliveryError) -> None:
        """See `Delivery`."""
        if self._item.current is self:
            self._queue.failed(self._item, error)
