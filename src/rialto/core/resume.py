"""After a restart: what an earlier run had not finished is taken up again, in order.

Every message found queued may have been on the wire when the process ended: nothing will be said about it
with certainty, and its next attempt is not its first. What cannot be read or reached any more goes home as a
failure; it never keeps the rest from starting.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import structlog

from rialto.core import records
from rialto.core.ids import floor_id
from rialto.core.item import Item
from rialto.core.network import Outcome, Peer
from rialto.core.register import Register
from rialto.core.settlement import Settlement
from rialto.core.trail import Event, Stop
from rialto.model.errors import DeliveryError, Reason, Refused
from rialto.model.message import Message
from rialto.store.store import Row, Store

_log = structlog.get_logger(__name__)


def resume(
    store: Store,
    register: Register,
    settlement: Settlement,
    candidates: Callable[[str], tuple[Peer, ...]],
    now: float,
    *,
    window_s: float,
    most_keys: int,
) -> Iterator[Item]:
    """The items to deliver, in order; `candidates(domain)` are the peers that reach it.

    When it is exhausted, `register` also knows the messages of the last `window_s` by their stable keys.
    """
    for row in _queued(store):
        item = _taken_up(row, settlement, candidates, now)
        if item is not None:
            register.add(item)
            yield item
    failed = Refused(Reason.OTHER, "the message had failed before")
    for key, message_id, state in store.stable_keys(floor_id(now - window_s), most=most_keys):
        if register.get(message_id) is not None:
            continue
        if state in ("sent", "delivered"):
            register.recall(key, Outcome(state), None, message_id)
        else:
            register.recall(key, Outcome.FAILED, failed, message_id)


def _queued(store: Store) -> Iterator[Row]:
    after = ""
    while rows := store.queued(after=after):
        after = rows[-1].id
        yield from rows


def _taken_up(
    row: Row, settlement: Settlement, candidates: Callable[[str], tuple[Peer, ...]], now: float
) -> Item | None:
    content = records.readable(row)
    if content is None:
        _log.error("a message on disk cannot be read", message=row.id)
        text = "the gateway cannot read the message any more"
        _give_up(row, settlement, Refused(Reason.INTERNAL, text, certain=False), now)
        return None
    domain = content.recipient.domain
    peers = tuple(sorted(candidates(domain), key=lambda peer: peer.name != row.peer))
    if not peers:
        text = f"nobody here can reach {domain} any more"
        _give_up(row, settlement, Refused(Reason.DOMAIN_NOT_FOUND, text, certain=False), now)
        return None
    item = Item(
        content,
        peers=peers,
        origin_peer=row.origin_peer,
        size_bytes=row.size_bytes,
        expires_at=row.expires_at,
        stable_key=row.stable_key,
        attempt=row.attempts + 1,
    )
    item.grounds = records.grounds(row.trail)
    item.written = True
    item.uncertain = True
    item.events.append(Event(now, Stop.RESUMED, "found on disk after a restart"))
    return item


def _give_up(row: Row, settlement: Settlement, error: DeliveryError, now: float) -> None:
    event = Event(now, Stop.FAILED, error.text, {"reason": error.reason})
    unit = records.failure(row, error, event, keep_body=error.reason is Reason.INTERNAL)
    left = records.what_is_left(row)
    if row.type == "message" and isinstance(left, Message):
        settlement.report(left, row.origin_peer, error, unit)
    else:
        settlement.write(unit)
