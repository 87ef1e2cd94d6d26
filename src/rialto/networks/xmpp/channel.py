"""A stream that stands, and the deliveries written to it that nobody has answered for yet.

Theory of operation. XMPP has no answer to a message, so we ask for proof. Where the stream counts (XEP-0198)
the peer's acknowledgement is the proof. Elsewhere a ping (XEP-0199) is sent behind what was written, at most
one at a time: a server reads a stream in order, so its answer, be it a result or an error, proves that
it has read everything before. One ping answers for whatever was written in one turn of the loop, or while the
last one was under way.

A peer that has never answered a ping is not held to it: after the wait its deliveries count as `sent`, and it
is not asked again for a while. A peer that used to answer and stops is gone: the link is cut, and what was
not proven is tried again. With the error of a message that came back the message is `forget`-ed here first,
because it always comes before the answer to the ping behind it.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any, Protocol

from rialto.core.network import NOTHING_KNOWN, Hop
from rialto.model.errors import DeliveryError, Reason, Unreachable
from rialto.net.link import Link, LinkError
from rialto.networks.xmpp.wire.element import Element
from rialto.networks.xmpp.wire.namespaces import PING
from rialto.networks.xmpp.wire.s2s import ServerStream
from rialto.networks.xmpp.wire.stream import Stream

SILENT_FOR_S = 3600.0


class Named(Protocol):
    """What has an id that comes back with its error."""

    @property
    def id(self) -> str:
        """The stanza's id."""


class Parcel(Protocol):
    """What is written, and answered for exactly once: a `Delivery` of the hub, or news of presence."""

    @property
    def content(self) -> Named:
        """What is in it."""

    def sent(self, hop: Hop = NOTHING_KNOWN) -> None:
        """See `Delivery`."""

    def delivered(self, detail: str = "", hop: Hop = NOTHING_KNOWN) -> None:
        """See `Delivery`."""

    def failed(self, error: DeliveryError) -> None:
        """See `Delivery`."""


class Pings:
    """The pings of all channels of one network: their answers come back on whatever stream the peer
    chooses."""

    def __init__(self, prefix: str, wait_s: float, now: Callable[[], float]) -> None:
        self.wait_s = wait_s
        self._prefix = prefix
        self._now = now
        self._numbers = itertools.count(1)
        self._waiting: dict[str, Channel] = {}
        self._answering: set[str] = set()
        self._silent: dict[str, float] = {}

    def new_id(self, channel: Channel) -> str:
        """An id that leads back to this channel."""
        ping_id = f"{self._prefix}{next(self._numbers)}"
        self._waiting[ping_id] = channel
        return ping_id

    def answered(self, ping_id: str, by: str) -> bool:
        """The answer to a ping has come; False where it is none of ours, or somebody else's to give."""
        channel = self._waiting.get(ping_id)
        if channel is None or channel.remote != by:
            return False
        del self._waiting[ping_id]
        self._answering.add(by)
        self._silent.pop(by, None)
        channel.ping_answered(ping_id)
        return True

    def forget(self, ping_id: str) -> None:
        """Nobody waits for this one any more."""
        self._waiting.pop(ping_id, None)

    def answers(self, remote: str) -> bool:
        """Whether this domain has ever answered."""
        return remote in self._answering

    def disappointed(self, remote: str) -> None:
        """It did not answer this time; if it does not on its next stream either, it counts as silent.

        Else a peer whose own way to us is broken would be sent the same messages again and again.
        """
        self._answering.discard(remote)

    def is_silent(self, remote: str) -> bool:
        """Whether this domain is known not to answer pings."""
        return bool(self._silent) and self._silent.get(remote, 0.0) > self._now()

    def was_silent(self, remote: str) -> None:
        """It did not answer."""
        self._silent[remote] = self._now() + SILENT_FOR_S


class Channel:
    """One stream for stanzas from `local` to `remote`; `remote` is also who is pinged ("" for nobody)."""

    def __init__(
        self, link: Link[Any], machine: Stream, *, local: str, remote: str, pings: Pings, hop: Hop
    ) -> None:
        self.link = link
        self.machine = machine
        self.local = local
        self.remote = remote
        self.hop = hop
        """How the peer was proven, and whether the stream is encrypted."""
        self._pings = pings
        self._fresh: list[Parcel] = []
        self._covered: list[Parcel] = []
        self._ping_id = ""
        self._alarm: asyncio.TimerHandle | None = None
        self._scheduled = False

    @property
    def is_open(self) -> bool:
        """Whether stanzas can be written."""
        return not self.link.closed and self.machine.may_send(self.local, self.remote)

    def write(self, data: bytes, delivery: Parcel | None) -> None:
        """Put a stanza on the wire; the delivery hears of it when there is proof."""
        machine = self.machine
        loop = asyncio.get_running_loop()
        machine.send_encoded(data, delivery, now=loop.time())
        if delivery is not None and not self._counted():
            self._fresh.append(delivery)
            if not self._scheduled and not self._ping_id:
                self._scheduled = True
                loop.call_soon(self._ask)
        self.link.wake()

    def forget(self, message_id: str) -> bool:
        """This message has come back: nothing more will be said of it here. False if it is not known."""
        for deliveries in (self._covered, self._fresh):
            for index, delivery in enumerate(deliveries):
                if delivery.content.id == message_id:
                    del deliveries[index]
                    return True
        return False

    def lost(self) -> list[Parcel]:
        """The stream is gone: what was not proven, oldest first."""
        self._calm()
        unproven = self._covered + self._fresh
        self._covered, self._fresh = [], []
        return unproven

    def _counted(self) -> bool:
        return isinstance(self.machine, ServerStream) and self.machine.ledger is not None

    # -- the ping --------------------------------------------------------------------------------------

    def _ask(self) -> None:
        self._scheduled = False
        if not self._fresh or self._ping_id or not self.is_open:
            return
        if not self.remote or self._pings.is_silent(self.remote):
            deliveries, self._fresh = self._fresh, []
            self.link.flush()
            for delivery in deliveries:
                delivery.sent(self.hop)
            return
        self._covered, self._fresh = self._fresh, []
        self._ping_id = self._pings.new_id(self)
        attributes = {"type": "get", "from": self.local, "to": self.remote, "id": self._ping_id}
        self.machine.send(Element("iq", attributes, [Element(f"{PING}}}ping")]))
        self._alarm = asyncio.get_running_loop().call_later(self._pings.wait_s, self._unanswered)
        self.link.wake()

    def ping_answered(self, ping_id: str) -> None:
        """The peer has read everything up to this ping."""
        if ping_id != self._ping_id:
            return
        self._calm()
        deliveries, self._covered = self._covered, []
        for delivery in deliveries:
            delivery.delivered("read by the server", self.hop)
        self._ask()

    def _unanswered(self) -> None:
        if self._pings.answers(self.remote):
            self._pings.disappointed(self.remote)
            self.link.abort(LinkError("idle", "the server no longer answers pings"))
            return
        self._pings.was_silent(self.remote)
        self._calm()
        deliveries, self._covered = self._covered, []
        for delivery in deliveries:
            delivery.sent(self.hop)
        self._ask()

    def _calm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self._ping_id:
            self._pings.forget(self._ping_id)
            self._ping_id = ""


def unproven(delivery: Parcel, why: str) -> None:
    """Give a delivery back to the hub: it may have arrived, and is to be tried again under the same id."""
    delivery.failed(Unreachable(Reason.UNREACHABLE, f"the link was lost: {why}", certain=False))
