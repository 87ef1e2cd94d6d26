"""What the store is told of a message, and what a message was, from what the store has: pure functions."""

from __future__ import annotations

import hashlib

import msgspec

from rialto.core import metering, trail
from rialto.core.item import Item
from rialto.core.network import Peer
from rialto.core.trail import Event
from rialto.model.address import Address
from rialto.model.errors import AddressError, DeliveryError
from rialto.model.message import Content, Message, Report, decode
from rialto.store import units
from rialto.store.store import Row


def stable_key(peer: Peer, message: Message) -> bytes | None:
    """What is equal for two copies of one message, and for nothing else; None where there is no telling."""
    if not message.stable_id:
        return None
    sender, recipient = message.sender, message.recipient
    text = "\0".join(
        (peer.name, sender.local, sender.domain, recipient.local, recipient.domain, message.stable_id)
    )
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def insertion(item: Item, data: bytes, events: list[Event]) -> tuple[int, units.Parameters]:
    """The statement that puts an item on disk."""
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


def attempt(item: Item, events: list[Event]) -> units.Unit:
    """What is written after an attempt that failed and will be repeated."""
    note = (item.peer.network, item.peer.name, item.attempt, trail.encode(events), item.id)
    return [(units.NOTE, note)]


def settlement(
    item: Item, state: str, error: DeliveryError | None, now: float, *, keep_body: bool
) -> units.Unit:
    """What is written when a delivery has ended: its outcome, and its use."""
    reason, certain = (error.reason.value, error.certain) if error is not None else ("", True)
    unit: units.Unit = [
        (
            units.SETTLE,
            (
                state, reason, int(certain), item.attempt + 1, now, int(keep_body),
                trail.encode(item.events), item.id,
            ),
        )
    ]  # fmt: skip
    if isinstance(item.whole, Message):
        unit.append(metering.usage(item, state, now))
    return unit


def failure(row: Row, error: DeliveryError, event: Event, *, keep_body: bool) -> units.Unit:
    """What is written when a message of which there is only the row has failed after all."""
    parameters = (
        "failed", error.reason.value, int(error.certain), row.attempts, event.at, int(keep_body),
        trail.encode([event]), row.id,
    )  # fmt: skip
    return [(units.SETTLE, parameters)]


def readable(row: Row) -> Content | None:
    """The content, if there is one that this release can read."""
    if row.content is None:
        return None
    try:
        return decode(row.content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def what_is_left(row: Row) -> Message:
    """As much of a message as a report about it needs."""
    content = readable(row)
    if isinstance(content, Message):
        return content
    return Message(
        id=row.id,
        sender=_address(row.sender),
        recipient=_address(row.recipient),
        text="",
        received_at=row.received_at,
        origin_id=row.origin_id,
        automatic='"automatic":true' in row.trail,  # noted when it was received
    )


def _address(text: str) -> Address:
    try:
        return Address.parse(text)
    except AddressError:  # written by an earlier release with other rules
        return Address("", "invalid")
