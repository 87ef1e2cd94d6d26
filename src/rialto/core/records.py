"""What the store is told of a message, and what a message was, from what the store has: pure functions."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from rialto.core import metering, trail
from rialto.core.item import Item
from rialto.core.network import Peer
from rialto.core.policy.decision import NO_GROUNDS, Grounds, noted_grounds
from rialto.core.trail import Event, Stop
from rialto.model.address import Address
from rialto.model.errors import AddressError, DeliveryError
from rialto.model.message import Content, Disposition, Message, Receipt, Report, decode
from rialto.store import units
from rialto.store.store import Row


def stable_key(peer: Peer, message: Message) -> bytes | None:
    """What is equal for two copies of one message, and for nothing else; None where there is no telling."""
    if not message.stable_id:
        return None
    return name_key(peer, message.sender, message.recipient, message.stable_id)


def name_key(peer: Peer, sender: Address, recipient: Address, name: str) -> bytes:
    """The stable key of the message that the sender's side calls so."""
    text = "\0".join((peer.name, sender.local, sender.domain, recipient.local, recipient.domain, name))
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def insertion(item: Item, data: bytes, events: list[Event]) -> tuple[int, units.Parameters]:
    """The statement that puts an item on disk."""
    content = item.whole
    if isinstance(content, Report):
        kind, origin_id, about = "report", "", content.about
    elif isinstance(content, Receipt):
        kind, origin_id, about = "receipt", "", content.about
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
    received = _first(row.trail)
    return Message(
        id=row.id,
        sender=_address(row.sender),
        recipient=_address(row.recipient),
        text="",
        received_at=row.received_at,
        origin_id=row.origin_id,
        sent_at=_number(received.get("sent_at")),
        automatic=received.get("automatic") is True,
        wants=tuple(one for name in _texts(received.get("wants")) if (one := _disposition(name)) is not None),
    )


def note(message: Message, seen: dict[str, Any]) -> None:
    """Add to what is noted of a message when it is received what is wanted after its content is gone."""
    if message.automatic:
        seen["automatic"] = True
    if message.wants:
        seen["wants"] = list(message.wants)
        if message.sent_at is not None:
            seen["sent_at"] = message.sent_at
    if message.sealed:
        seen["sealed"] = [one.scheme for one in message.sealed]


def disposition(text: str) -> Disposition | None:
    """What a receipt said, from its trail."""
    return _disposition(_first(text).get("disposition"))


def grounds(text: str) -> Grounds:
    """By what leave a message passes, from its trail."""
    if f'"{Stop.ALLOWED.value}"' not in text:
        return NO_GROUNDS
    allowed = [event for event in trail.decode(text) if event.stop is Stop.ALLOWED]
    return noted_grounds(allowed[0].data) if allowed else NO_GROUNDS


def parts(row: Row) -> int:
    """In how many parts a message went, the last time that it was adapted."""
    adapted = [event for event in trail.decode(row.trail) if event.stop is Stop.ADAPTED]
    number = adapted[-1].data.get("parts", 1) if adapted else 1
    return number if isinstance(number, int) else 1


def _first(text: str) -> dict[str, Any]:
    events = trail.decode(text)
    return events[0].data if events else {}


def _disposition(name: object) -> Disposition | None:
    return next((one for one in Disposition if one == name), None)


def _texts(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _address(text: str) -> Address:
    try:
        return Address.parse(text)
    except AddressError:  # written by an earlier release with other rules
        return Address("", "invalid")
