"""What things are called: items, holders of entitlements, groups; and the day on which a deadline ends."""

from __future__ import annotations

from datetime import UTC, datetime

from rialto.clearing.agreements.life import NotPossible
from rialto.model.address import Address, canonical_domain
from rialto.model.agreement import Direction, Item, Metric, Nanos
from rialto.model.errors import AddressError


def label(item: Item) -> str:
    """How an item is called within its agreement: `message`, `message@yahoo`, `file@yahoo:a_to_b`."""
    network = f"@{item.network}" if item.network else ""
    way = "" if item.direction is Direction.BOTH else f":{item.direction}"
    return f"{item.service}{network}{way}"


def domain_of(text: str) -> str:
    """A domain as it is written everywhere. Raises NotPossible."""
    try:
        return canonical_domain(text)
    except AddressError as error:
        raise NotPossible(str(error)) from error


def one_holder(text: str, metric: Metric) -> str:
    """Who is licensed, in the form that the metric asks for. Raises NotPossible."""
    holder = holder_of(text)
    if metric.named and holder.startswith(("*@", "@")):
        raise NotPossible(f"{text!r} is nobody in particular, which {metric} asks for")
    return holder


def holder_of(text: str) -> str:
    """`user@domain`, `*@domain` or `@group` as it is written everywhere. Raises NotPossible."""
    if text.startswith("@"):
        return group_of(text)
    if text.startswith("*@"):
        return f"*@{domain_of(text[2:])}"
    try:
        address = Address.parse(text).bare
    except AddressError as error:
        raise NotPossible(str(error)) from error
    if not address.local:
        raise NotPossible(f"{text!r} is a domain; write *@{text} for all of its users")
    return str(address)


def group_of(text: str) -> str:
    """The name of a group. Raises NotPossible."""
    if not text.startswith("@") or len(text) < 2:
        raise NotPossible(f"{text!r} is no group; those begin with @")
    return text


def check_key(text: str) -> None:
    """Raises NotPossible for what is no public key."""
    if len(text) != 64 or set(text) - set("0123456789abcdef"):
        raise NotPossible("a public key is 64 hexadecimal digits")


def months_later(at: Nanos, months: int) -> Nanos:
    """The same day so many months on, or the last of that month."""
    day = datetime.fromtimestamp(at // 1_000_000_000, UTC)
    years, month = divmod(day.month - 1 + months, 12)
    for last in (day.day, 30, 29, 28):
        try:
            then = day.replace(year=day.year + years, month=month + 1, day=last)
        except ValueError:
            continue
        return int(then.timestamp()) * 1_000_000_000 + at % 1_000_000_000
    raise AssertionError("a month has 28 days at least")
