"""Agreements as a file says they shall be, and the steps from what is written down to there.

A plan is made from the file and from what is written now; when it has been carried out, the plan for the same
file is empty. It adds and changes; what a file does not speak of it leaves alone, and nothing is ever ended.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from rialto.clearing.agreements import document
from rialto.clearing.agreements.life import NotPossible
from rialto.clearing.agreements.names import holder_of, label
from rialto.clearing.agreements.registry import IMPORT_AT_ONCE, Registry
from rialto.model.agreement import (
    Agreement,
    Effect,
    Federation,
    Item,
    Kind,
    Metric,
    Operator,
    Price,
    Rule,
    Scope,
    State,
    Tier,
    Traffic,
    holds,
)

T = TypeVar("T")

NANO = 1_000_000_000


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class OperatorTable(_Table, frozen=True):
    """An operator; what is left out stays as it is, or is what a new one has."""

    name: str
    ioi: str = ""
    kind: Kind | UnsetType = UNSET
    federation: Federation | UnsetType = UNSET
    allowed: tuple[str, ...] | UnsetType = UNSET
    domains: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    """Public keys that it shall have, besides those that it has."""
    make_key: bool = False
    """It shall have a key in the data folder."""


class PriceTable(_Table, frozen=True):
    """The price of a unit on a list."""

    list: str
    service: Traffic
    unit: str
    network: str = ""
    currency: str = "EUR"
    begin: str = msgspec.field(name="from", default="")


class OfferTable(_Table, frozen=True):
    """A reference offer."""

    name: str
    operator: str
    items: tuple[dict[str, Any], ...]
    regulatory: str = ""


class AgreementTable(_Table, frozen=True):
    """An agreement; `sign` names the parties whose keys are in the data folder."""

    name: str
    a: str
    b: str
    items: tuple[dict[str, Any], ...]
    begin: str = msgspec.field(name="from", default="")
    to: str = ""
    regulatory: str = ""
    sign: tuple[str, ...] = ()
    order: bool = False
    """The first party orders all items."""


class EntitlementTable(_Table, frozen=True):
    """Licences for the items of an agreement, or for one of them."""

    item: str
    holders: tuple[str, ...]
    metric: Metric = Metric.NAMED_USER
    quantity: int = 1


class GroupTable(_Table, frozen=True):
    """Who belongs to a group."""

    name: str
    members: tuple[str, ...]


class RuleTable(_Table, frozen=True):
    """A rule of policy."""

    name: str
    scope: Scope
    effect: Effect
    subject: str = "*"
    peer: str = "*"
    service: Traffic | None = None
    priority: int = 0
    shadow: bool = False
    max_rate_per_s: float | None = None
    text: str = ""


class Declared(_Table, frozen=True):
    """A whole file."""

    operators: tuple[OperatorTable, ...] = ()
    prices: tuple[PriceTable, ...] = ()
    offers: tuple[OfferTable, ...] = ()
    agreements: tuple[AgreementTable, ...] = ()
    entitlements: tuple[EntitlementTable, ...] = ()
    groups: tuple[GroupTable, ...] = ()
    rules: tuple[RuleTable, ...] = ()


class Step(msgspec.Struct, frozen=True):
    """One step of a plan."""

    text: str
    size: int
    """How much of it there is to do."""
    do: Callable[[str], Iterator[int]]
    """With the name of the actor: does it, and yields how much is done each time. Raises NotPossible."""


def read(text: str) -> Declared:
    """Read a file. Raises NotPossible, with the place of what is wrong."""
    try:
        return msgspec.convert(tomllib.loads(text), Declared)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise NotPossible(str(error)) from error


def read_item(said: dict[str, Any]) -> Item:
    """An item, not yet of any agreement. Raises NotPossible."""
    known = set(Item.__struct_fields__) - {"id", "agreement_id", "version", "from_ns", "to_ns"}
    for name in said:
        if name not in known:
            raise NotPossible(f"{name!r} is no term of an item; there are: {', '.join(sorted(known))}")
    try:
        return msgspec.convert({**said, "id": "", "agreement_id": ""}, Item, strict=False)
    except msgspec.ValidationError as error:
        raise NotPossible(f"{said}: {error}") from error


def nano(text: str) -> int:
    """A price as people write it, in billionths. Raises NotPossible."""
    whole, _, part = text.partition(".")
    if not (whole + part).isdecimal() or not (whole + part).isascii() or not whole or len(part) > 9:
        raise NotPossible(f"{text!r} is no price; write 1.50, with nine digits at most behind the point")
    return int(whole) * NANO + int(part.ljust(9, "0"))


def plan(declared: Declared, registry: Registry) -> list[Step]:
    """The steps from what is written now. Raises NotPossible for what the file says wrong."""
    now = _Now(registry)
    return [
        *_each(now, _operator, declared.operators),
        *_each(now, _price, declared.prices),
        *_each(now, _offer, declared.offers),
        *_each(now, _agreement, declared.agreements),
        *_each(now, _entitlement, declared.entitlements),
        *_each(now, _group, declared.groups),
        *_each(now, _rule, declared.rules),
    ]


def _each(now: _Now, of: Callable[[_Now, T], Iterator[Step]], tables: Iterable[T]) -> Iterator[Step]:
    for table in tables:
        yield from of(now, table)


class _Now:
    """What is written, looked up by name."""

    def __init__(self, registry: Registry) -> None:
        written = registry.written
        self.registry = registry
        self.at = registry.now()
        self.operators = {one.name: one for one in written.operators()}
        self.holdings = [one for one in written.holdings() if one.to_ns is None or one.to_ns > self.at]
        self.agreements = {one.name: one for one in written.versions()}
        self.prices = written.prices()
        self.offers = {one.name: one for one in written.offers() if holds(one, self.at)}
        self.rules = {one.name: one for one in written.rules()}
        self.members = {(one.name, one.member) for one in written.snapshot().groups() if holds(one, self.at)}


def _once(text: str, do: Callable[[str], object]) -> Step:
    def run(actor: str) -> Iterator[int]:
        do(actor)
        yield 1

    return Step(text, 1, run)


def _operator(now: _Now, said: OperatorTable) -> Iterator[Step]:
    registry, name = now.registry, said.name
    fields = {
        field: value
        for field in ("kind", "federation", "allowed")
        if (value := getattr(said, field)) is not UNSET
    }
    old = now.operators.get(name)
    if old is None:
        one = Operator(id="", name=name, ioi=said.ioi or name, keys=said.keys, **fields)
        domains = ", ".join(said.domains) or "no domain"
        yield _once(
            f"add operator {name} with {domains}", lambda by: registry.add_operator(by, one, said.domains)
        )
    else:
        changes = {field: value for field, value in fields.items() if getattr(old, field) != value}
        if said.ioi and said.ioi != old.ioi:
            changes["ioi"] = said.ioi
        if missing := tuple(key for key in said.keys if key not in old.keys):
            changes["keys"] = (*old.keys, *missing)
        if changes:
            text = f"change operator {name}: {', '.join(sorted(changes))}"
            yield _once(text, lambda by: registry.change_operator(by, name, **changes))
        held = {one.domain for one in now.holdings if one.operator_id == old.id}
        for domain in said.domains:
            if domain not in held:
                yield _once(
                    f"give domain {domain} to {name}",
                    partial(registry.add_domain, name=name, domain=domain),
                )
    if said.make_key and (old is None or not registry.key_file(old).exists()):
        yield _once(f"make a key for {name}", lambda by: registry.make_key(by, name))


def _price(now: _Now, said: PriceTable) -> Iterator[Step]:
    at = document.parse_instant(said.begin) if said.begin else None
    unit = nano(said.unit)

    def there(one: Price) -> bool:
        key = (one.price_list, one.service, one.network) == (said.list, said.service, said.network)
        begins = holds(one, now.at) if at is None else one.from_ns == at != one.to_ns
        return key and begins and (one.tiers, one.currency) == ((Tier(unit_nano=unit),), said.currency)

    if not any(there(one) for one in now.prices):
        since = f" from {said.begin}" if said.begin else ""
        yield _once(
            f"price {said.service} on {said.list} at {said.unit} {said.currency}{since}",
            lambda by: now.registry.price(
                by,
                said.list,
                said.service,
                [Tier(unit_nano=unit)],
                network=said.network,
                currency=said.currency,
                at=at,
            ),
        )


def _offer(now: _Now, said: OfferTable) -> Iterator[Step]:
    items = [read_item(item) for item in said.items]
    old = now.offers.get(said.name)
    if old is not None:
        body = msgspec.json.decode(old.body)
        if (body["items"], body["regulatory"]) == ([document.terms(one) for one in items], said.regulatory):
            return
    yield _once(
        f"publish offer {said.name} of {said.operator}",
        lambda by: now.registry.publish(by, said.name, said.operator, items, said.regulatory),
    )


def _agreement(now: _Now, said: AgreementTable) -> Iterator[Step]:
    registry, items = now.registry, [read_item(item) for item in said.items]
    at = document.parse_instant(said.begin) if said.begin else None
    to = document.parse_instant(said.to) if said.to else None
    old: Agreement | None = now.agreements.get(said.name)
    fresh = old is None or not (
        (said.regulatory, to) == (old.regulatory, old.to_ns)
        and (at is None or at == old.from_ns)
        and _terms(registry.items_of(old)) == _terms(items)
    )
    if fresh:
        yield _once(
            f"draft {'agreement' if old is None else 'a new version of'} {said.name}",
            lambda by: registry.draft(
                by, said.name, said.a, said.b, items, at=at, to=to, regulatory=said.regulatory
            ),
        )
    signed = set() if fresh or old is None else {one.operator_id for one in old.signatures}
    for name in said.sign:
        operator = now.operators.get(name)
        if operator is None or operator.id not in signed:
            yield _once(
                f"sign {said.name} for {name}",
                partial(registry.sign_here, name=said.name, operator=name),
            )
    if said.order:
        known = {} if old is None else {label(item): item.id for item in registry.items_of(old)}
        wanted = [
            label(item)
            for item in items
            if label(item) not in known or registry.state(known[label(item)]) is State.DRAFT
        ]
        if wanted:
            which = [f"{said.name}/{name}" for name in wanted]
            yield _once(f"order {', '.join(which)}", lambda by: registry.order(by, said.a, which))


def _terms(items: Iterable[Item]) -> dict[str, dict[str, Any]]:
    return {label(item): document.terms(replace(item, id="")) for item in items}


def _entitlement(now: _Now, said: EntitlementTable) -> Iterator[Step]:
    registry, holders = now.registry, list(dict.fromkeys(holder_of(one) for one in said.holders))
    if said.item.partition("/")[0] in now.agreements:
        try:
            wanted = [(item.id, label(item)) for item in registry.items(said.item)]
        except NotPossible:
            wanted = [(said.item, said.item)]  # it comes with a version that is drafted first
    else:
        wanted = [(said.item, said.item)]
    for item, name in wanted:
        missing = _missing(registry, item, said, holders)
        if missing:
            of = said.item if name == said.item else f"{said.item.partition('/')[0]}/{name}"
            what = f"{said.metric}, {len(missing)} holders"
            yield Step(f"license {of}: {what}", len(missing), _granting(registry, item, said, missing))


def _missing(registry: Registry, item: str, said: EntitlementTable, holders: list[str]) -> list[str]:
    if said.metric.named:
        return registry.unlicensed(item, holders)
    at = registry.now()
    has = {
        one.holder
        for one in registry.written.entitlements(item)
        if (one.metric, one.quantity) == (said.metric, said.quantity) and holds(one, at)
    }
    return [holder for holder in holders if holder not in has]


def _granting(
    registry: Registry, item: str, said: EntitlementTable, holders: list[str]
) -> Callable[[str], Iterator[int]]:
    def run(actor: str) -> Iterator[int]:
        for first in range(0, len(holders), IMPORT_AT_ONCE):
            some = holders[first : first + IMPORT_AT_ONCE]
            registry.grant(actor, item, some, metric=said.metric, quantity=said.quantity)
            yield len(some)

    return run


def _group(now: _Now, said: GroupTable) -> Iterator[Step]:
    missing = [one for one in said.members if (said.name, holder_of(one)) not in now.members]
    if missing:
        yield _once(
            f"let {len(missing)} join {said.name}", lambda by: now.registry.join(by, said.name, missing)
        )


def _rule(now: _Now, said: RuleTable) -> Iterator[Step]:
    wanted = Rule(id="", **msgspec.structs.asdict(said))
    old = now.rules.get(said.name)
    ended = old is not None and old.to_ns is not None and old.to_ns <= now.at
    if old is None or ended or replace(old, id="", version=1, from_ns=0, to_ns=None) != wanted:
        how = "in shadow" if said.shadow else "in force"
        yield _once(f"put rule {said.name} {how}", lambda by: now.registry.rule(by, wanted))
