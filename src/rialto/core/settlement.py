"""When a delivery has ended: its outcome goes to the store, and the news to whoever waits for it.

A good outcome is told at once: a crash before its commit repeats the message under the same id. A failure is
written before it is told, so that it is told once: to the sender that still waits for the answer; or, where
nobody does, by a `Report`, which is written in the same commit as the outcome and travels home through the
same queues as every message. About what is automatic there is no report: two machines could go on for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from rialto.core import records
from rialto.core.chorus import tell_settled
from rialto.core.composing import Notices
from rialto.core.item import Item
from rialto.core.metrics import Metrics
from rialto.core.network import Inbound, Outcome, Peer
from rialto.core.register import Register
from rialto.core.settings import QueueSettings
from rialto.core.trail import Event, Stop
from rialto.model.errors import DeliveryError
from rialto.model.message import Content, Message, Report, encode
from rialto.store import units
from rialto.store.writer import StoreError, Writer

EXCERPT_CHARACTERS = 40
AGAIN_MOST_S = 60.0
WRITTEN_WITHIN_S = 0.02
"""So long an outcome of which the sender has heard may wait for a commit that is made anyway."""

Home = Callable[[Content, str], tuple[Peer, ...]]


class Settlement:
    """Writes down how deliveries end, and sees that their senders hear of failures, once.

    `home(content, origin_peer)` are the peers through which the sender is reached, best first; `put` begins
    to deliver a report. `notices` are told as well.
    """

    def __init__(
        self,
        *,
        writer: Writer,
        register: Register,
        metrics: Metrics,
        settings: QueueSettings,
        clock: Callable[[], float],
        new_id: Callable[[], str],
        home: Home,
        put: Callable[[Item], None],
        notices: Notices,
    ) -> None:
        self._writer = writer
        self._register = register
        self._count = metrics.count
        self._settings = settings
        self._clock = clock
        self._new_id = new_id
        self._home = home
        self._put = put
        self._notices = notices
        self._parked = notices.parked

    def tried(self, item: Item, error: DeliveryError) -> None:
        """An attempt has failed, and there will be another."""
        self._count("retries", item.peer.name, error.reason)
        events, item.events = item.events, []
        self.write(records.attempt(item, events))

    def settled(self, item: Item, outcome: Outcome, error: DeliveryError | None) -> None:
        """The delivery has ended."""
        self._settle(item, outcome.value, outcome, error)

    def dropped(self, item: Item, error: DeliveryError) -> None:
        """The operator has given it up."""
        self._settle(item, "dropped", Outcome.FAILED, error)

    def _settle(self, item: Item, state: str, outcome: Outcome, error: DeliveryError | None) -> None:
        self._register.settle(item, outcome, error)
        if self._parked:
            self._notices.heard(item.whole.recipient)
        self._count("settled", item.peer.name, state)
        inbound, item.inbound = item.inbound, None
        unit = records.settlement(item, state, error, self._clock(), keep_body=self._settings.keep_bodies)
        if error is None:
            if inbound is not None:
                tell_settled(inbound, outcome, None)
            self.write(unit)
        elif inbound is not None and inbound.waiting:
            self.write(unit, lambda: self._tell(item, error, inbound))
        else:
            self.report(item.whole, item.origin_peer, error, unit)

    def _tell(self, item: Item, error: DeliveryError, inbound: Inbound) -> None:
        if not tell_settled(inbound, Outcome.FAILED, error):
            self.report(item.whole, item.origin_peer, error, [])

    def report(
        self,
        content: Content,
        origin_peer: str,
        error: DeliveryError,
        unit: units.Unit,
        then: Callable[[], None] | None = None,
    ) -> None:
        """Write `unit`, and with it the news for the sender, if it can be said; then call `then`."""
        home = self._home(content, origin_peer)
        if content.automatic or not home or not isinstance(content, Message):
            self.write(unit, then)
            return
        now = self._clock()
        report = Report(
            id=self._new_id(),
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
            wants=content.wants,
            sent_at=content.received_at if content.sent_at is None else content.sent_at,
        )
        data = encode(report)
        item = Item(
            report,
            peers=home,
            origin_peer="",
            size_bytes=len(data),
            expires_at=now + self._settings.max_age_s,
        )
        text = f"to {report.recipient} by {item.peer.name}"
        events = [Event(now, Stop.REPORTED, text, {"about": content.id})]
        self._count("reports", item.peer.name)
        self._register.add(item)

        def written() -> None:
            item.written = True
            self._put(item)
            if then is not None:
                then()

        self.write([*unit, records.insertion(item, data, events)], written)

    def write(self, unit: units.Unit, then: Callable[[], None] | None = None, again_s: float = 1.0) -> None:
        """Write what must not be lost: again and again, until the disk takes it; then call `then`."""

        def done(error: StoreError | None) -> None:
            if error is None:
                if then is not None:
                    then()
                return
            self._count("store_errors")
            if self._writer.open:  # else it is found as it was, after the next start
                later_s = min(AGAIN_MOST_S, again_s * 2)
                asyncio.get_running_loop().call_later(again_s, self.write, unit, then, later_s)

        if unit:
            self._writer.submit(unit, done, within_s=WRITTEN_WITHIN_S if then is None else 0.0)
        elif then is not None:
            then()
