"""What comes back after it was put on the wire: an error stanza, a failure notice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from rialto.core import records
from rialto.core.delivery import Queue
from rialto.core.metrics import Metrics
from rialto.core.network import Origin
from rialto.core.register import Register
from rialto.core.settlement import Settlement
from rialto.core.trail import Event, Stop
from rialto.model.errors import DeliveryError, Refused
from rialto.store.store import Store

MAX_LOOKUPS = 1000
"""More bounces than this are not looked for at a time; a peer that sends so many makes them up."""

_ID_CHARACTERS = 23

_log = structlog.get_logger(__name__)


class Returns:
    """Bounces, of what is still on the wire and of what had been taken for sent."""

    def __init__(
        self,
        *,
        store: Store,
        register: Register,
        settlement: Settlement,
        metrics: Metrics,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._register = register
        self._settlement = settlement
        self._count = metrics.count
        self._clock = clock
        self._handled: set[tuple[str, str]] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def returned(self, queue: Queue, message_id: str, error: DeliveryError, origin: Origin) -> None:
        """The message of that id, or the part `id.number` of it, has come back from there."""
        message_id, _, part = message_id.partition(".")
        # Of one part alone it cannot be said that nothing has arrived.
        certain = error.certain and not part
        bounce = Refused(
            error.reason, error.text, detail=error.detail, certain=certain, redirect=error.redirect
        )
        item = self._register.get(message_id)
        if item is not None:
            if item.peer.name == origin.peer.name and item.on_wire:
                self._count("returned", origin.peer.name, error.reason)
                queue.bounced(item, bounce)
            return
        # Of several bounces of one message at once, the first is looked into; later ones find what it wrote.
        if (
            len(message_id) != _ID_CHARACTERS
            or len(self._tasks) >= MAX_LOOKUPS
            or (origin.peer.name, message_id) in self._handled
        ):
            self._count("ignored", origin.peer.network, "bounce")
            return
        self._handled.add((origin.peer.name, message_id))
        task = asyncio.get_running_loop().create_task(self._look_up(message_id, bounce, origin))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def finish(self) -> None:
        """Wait until all that was begun has been done."""
        await asyncio.gather(*self._tasks)

    async def _look_up(self, message_id: str, bounce: DeliveryError, origin: Origin) -> None:
        def done() -> None:
            self._handled.discard((origin.peer.name, message_id))

        await self._store.writer.flush()  # that it was sent may not be on disk yet
        try:
            row, receipts = await asyncio.to_thread(self._store.with_receipts, message_id)
        except Exception as error:
            _log.error("a bounce could not be looked up", message=message_id, error=str(error))
            done()
            return
        peer = origin.peer
        if row is None or row.peer != peer.name or row.state not in ("sent", "delivered"):
            self._count("ignored", peer.network, "bounce")
            done()
            return
        if receipts:
            bounce = bounce.in_doubt()  # one of its recipient's devices has it
        self._count("returned", peer.name, bounce.reason)
        event = Event(
            self._clock(), Stop.RETURNED, bounce.text, {"reason": bounce.reason, "by": origin.domain}
        )
        unit = records.failure(row, bounce, event, keep_body=True)
        if row.type == "report":
            self._settlement.write(unit, done)
        else:
            self._settlement.report(records.what_is_left(row), row.origin_peer, bounce, unit, done)
