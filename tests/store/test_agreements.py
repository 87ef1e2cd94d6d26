"""What the database itself does not allow, whoever writes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from rialto.model.agreement import (
    Agreement,
    Change,
    Consent,
    Effect,
    Entitlement,
    Holding,
    Item,
    Metric,
    Operator,
    Price,
    Rule,
    Scope,
    Signature,
    State,
    Tier,
    Traffic,
)
from rialto.store.agreements import Agreements, NotAllowed
from rialto.store.store import Store


@pytest.fixture
def written(tmp_path: Path) -> Iterator[Agreements]:
    Store(tmp_path).close()
    agreements = Agreements(tmp_path / "rialto.db")
    yield agreements
    agreements.close()


def operator(one: str, version: int = 1, at: int = 0) -> Operator:
    return Operator(id=one, version=version, name=one, ioi=f"{one}.example", from_ns=at)


def agreement(one: str = "g", a: str = "a", b: str = "b", version: int = 1, at: int = 0) -> Agreement:
    return Agreement(id=one, version=version, name=one, a=a, b=b, from_ns=at, document_hash=f"hash of {one}")


def item(one: str = "i", of: str = "g", version: int = 1, **terms: object) -> Item:
    return Item(id=one, agreement_id=of, version=version, service=Traffic.MESSAGE, **terms)  # type: ignore[arg-type]


def signature(who: str) -> Signature:
    return Signature(operator_id=who, key="k", signature="s", at_ns=1)


def change(seq: int, new: State, at: int, old: State = State.DRAFT, of: str = "i", seen: str = "") -> Change:
    return Change(item_id=of, seq=seq, event="e", old=old, new=new, at_ns=at, effective_ns=at, evidence=seen)


def do(written: Agreements, *steps: object) -> None:
    with written.deed("test", "nobody", 0, {}):
        for step in steps:
            step()  # type: ignore[operator]


def signed(written: Agreements, one: Agreement, *items: Item) -> None:
    with written.deed("test", "nobody", 0, {}):
        written.add_agreement(one, "{}", items)
        for who in (one.a, one.b):
            written.add_signature(one, signature(who))


def test_a_domain_belongs_to_one_operator_at_any_instant(written: Agreements) -> None:
    do(written, lambda: written.add_holding(Holding(domain="x", operator_id="a", from_ns=0, to_ns=10)))
    do(written, lambda: written.add_holding(Holding(domain="x", operator_id="b", from_ns=10)))
    with pytest.raises(NotAllowed, match="another operator has this domain"):
        do(written, lambda: written.add_holding(Holding(domain="x", operator_id="c", from_ns=9, to_ns=10)))


def test_what_is_not_allowed_has_not_happened_at_all(written: Agreements) -> None:
    with pytest.raises(NotAllowed):
        do(
            written,
            lambda: written.add_operator(operator("a")),
            lambda: written.add_operator(operator("a", version=3, at=5)),
        )
    assert (written.operators(), written.epoch, written.deeds()) == ([], 0, [])


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("operator", "UPDATE operator SET name = 'z'"),
        ("operator", "DELETE FROM operator"),
        ("agreement", "UPDATE agreement SET document = ''"),
        ("signature", "DELETE FROM signature"),
        ("item", "UPDATE item SET body = ''"),
        ("item_change", "UPDATE item_change SET new = 'active'"),
        ("deed", "DELETE FROM deed"),
        ("entitlement", "UPDATE entitlement SET to_ns = NULL"),
        ("entitlement", "UPDATE entitlement SET holder = 'z', to_ns = 3"),
    ],
)
def test_nothing_is_ever_edited(written: Agreements, tmp_path: Path, table: str, change: str) -> None:
    signed(written, agreement(), item())
    with written.deed("test", "nobody", 0, {}):
        written.add_operator(operator("a"))
        written.add_change(globals()["change"](1, State.ACKNOWLEDGED, 1))
        written.add_entitlements([Entitlement(id="e", item_id="i", holder="h", from_ns=0, to_ns=9)])
    connection = sqlite3.connect(tmp_path / "rialto.db")
    with pytest.raises(sqlite3.IntegrityError, match=f"^{table}: "):
        connection.execute(change)
    connection.close()


def test_a_version_ends_where_the_next_begins(written: Agreements) -> None:
    do(
        written,
        lambda: written.add_operator(operator("a")),
        lambda: written.add_operator(operator("a", version=2, at=7)),
    )
    assert [(one.version, one.from_ns, one.to_ns) for one in written.snapshot().operators()] == [
        (1, 0, 7),
        (2, 7, None),
    ]


def test_only_a_party_signs_and_only_the_document_of_its_agreement(written: Agreements) -> None:
    do(written, lambda: written.add_agreement(agreement(), "{}", [item()]))
    with pytest.raises(NotAllowed, match="no party"):
        do(written, lambda: written.add_signature(agreement(), signature("c")))
    other = Agreement(id="g", a="a", b="b", from_ns=0, document_hash="another")
    with pytest.raises(NotAllowed, match="another document"):
        do(written, lambda: written.add_signature(other, signature("a")))


def test_an_item_cannot_slip_into_a_version_that_is_signed(written: Agreements) -> None:
    signed(written, agreement(), item())
    with pytest.raises(NotAllowed, match="signed already"):
        do(written, lambda: written._insert("item", id="j", version=1, agreement_id="g", service="file",
                                            direction="both", body="{}"))  # fmt: skip


def test_without_both_signatures_nothing_becomes_active(written: Agreements) -> None:
    with written.deed("test", "nobody", 0, {}):
        written.add_agreement(agreement(), "{}", [item()])
        written.add_signature(agreement(), signature("a"))
    with pytest.raises(NotAllowed, match="not every party has signed"):
        do(written, lambda: written.add_change(change(1, State.PENDING_ACTIVE, 1)))
    assert list(written.snapshot().agreements()) == []


def test_without_evidence_nothing_becomes_active(written: Agreements) -> None:
    signed(written, agreement(), item())
    do(written, lambda: written.add_change(change(1, State.PENDING_ACTIVE, 1)))
    with pytest.raises(NotAllowed, match="nobody has seen it work"):
        do(written, lambda: written.add_change(change(2, State.ACTIVE, 2, State.PENDING_ACTIVE)))
    do(written, lambda: written.add_change(change(2, State.ACTIVE, 2, State.PENDING_ACTIVE, seen="{}")))
    assert [one.state for one in written.snapshot().standings()] == [State.PENDING_ACTIVE, State.ACTIVE]


@pytest.mark.parametrize("swapped", [False, True])
def test_one_agreement_at_most_speaks_of_a_service_between_two_operators(
    written: Agreements, swapped: bool
) -> None:
    signed(written, agreement("g"), item("i", "g"))
    signed(written, agreement("h", *("ba" if swapped else "ab")), item("j", "h"))
    do(written, lambda: written.add_change(change(1, State.PENDING_ACTIVE, 1)))
    with pytest.raises(NotAllowed, match="another agreement speaks"):
        do(written, lambda: written.add_change(change(1, State.PENDING_ACTIVE, 1, of="j")))
    do(written, lambda: written.add_change(change(2, State.TERMINATED, 5)))
    do(written, lambda: written.add_change(change(1, State.PENDING_ACTIVE, 5, of="j")))


def test_two_people_who_change_one_item_at_once_do_not_both_succeed(written: Agreements) -> None:
    signed(written, agreement(), item())
    do(written, lambda: written.add_change(change(1, State.ACKNOWLEDGED, 1)))
    with pytest.raises(NotAllowed, match="changed meanwhile"):
        do(written, lambda: written.add_change(change(1, State.REJECTED, 1)))


def test_a_person_has_one_licence_at_any_instant_and_a_pool_as_many_as_it_likes(written: Agreements) -> None:
    one = Entitlement(id="1", item_id="i", holder="ann@x", from_ns=0)
    do(written, lambda: written.add_entitlements([one]))
    again = Entitlement(id="2", item_id="i", holder="ann@x", metric=Metric.ASSIGNED_SEAT, from_ns=5)
    with pytest.raises(NotAllowed, match="has an entitlement"):
        do(written, lambda: written.add_entitlements([again]))
    do(written, lambda: written.end("entitlement", 5, id="1"))
    do(written, lambda: written.add_entitlements([again]))
    pools = [Entitlement(id=n, item_id="i", holder="*@x", metric=Metric.POOL, from_ns=0) for n in "34"]
    do(written, lambda: written.add_entitlements(pools))


def price(one: str, tiers: tuple[Tier, ...] = (Tier(),), at: int = 0) -> Price:
    return Price(id=one, price_list="l", service=Traffic.MESSAGE, tiers=tiers, from_ns=at)


def test_there_is_one_price_at_any_instant(written: Agreements) -> None:
    do(written, lambda: written.add_price(price("1")))
    with pytest.raises(NotAllowed, match="a price for this"):
        do(written, lambda: written.add_price(price("2", at=5)))
    do(written, lambda: written.end("price", 5, id="1"), lambda: written.add_price(price("2", at=5)))
    assert [(one.from_ns, one.to_ns) for one in written.prices("l")] == [(0, 5), (5, None)]


@pytest.mark.parametrize(
    "tiers",
    [(), (Tier(up_to=5),), (Tier(), Tier()), (Tier(up_to=5), Tier(up_to=5), Tier()), (Tier(), Tier(up_to=5))],
    ids=repr,
)
def test_tiers_rise_and_the_last_has_no_end(written: Agreements, tiers: tuple[Tier, ...]) -> None:
    with pytest.raises(NotAllowed, match="tiers rise"):
        do(written, lambda: written.add_price(price("1", tiers)))
    good = (Tier(up_to=5, unit_nano=3), Tier(up_to=6), Tier(flat_nano=1))
    do(written, lambda: written.add_price(price("1", good)))
    assert written.prices()[0].tiers == good


def test_what_is_scheduled_is_void_when_something_else_is_decided(written: Agreements) -> None:
    signed(written, agreement(), item())
    for number, (state, at) in enumerate(
        [(State.PENDING_ACTIVE, 1), (State.ACTIVE, 2), (State.SUSPENDED, 10), (State.ACTIVE, 20),
         (State.TERMINATED, 15)], 1
    ):  # fmt: skip
        do(written, lambda n=number, s=state, t=at: written.add_change(
            change(n, s, t, State.PENDING_ACTIVE, seen="{}")))  # fmt: skip
    assert [(one.state, one.from_ns, one.to_ns) for one in written.snapshot().standings()] == [
        (State.PENDING_ACTIVE, 1, 2),
        (State.ACTIVE, 2, 10),
        (State.SUSPENDED, 10, 15),
        (State.TERMINATED, 15, None),
    ]


def test_what_a_user_says_ends_what_the_user_said_before(written: Agreements) -> None:
    for at, given in ((1, True), (5, False)):
        one = Consent(user="u@x", operator_id="b", service=Traffic.MESSAGE, given=given, from_ns=at)
        do(written, lambda one=one: written.add_consent(one))
    assert [(one.given, one.from_ns, one.to_ns) for one in written.snapshot().consents()] == [
        (True, 1, 5),
        (False, 5, None),
    ]


def test_the_epoch_rises_with_every_deed_and_each_is_written_down(written: Agreements) -> None:
    wall = Rule(id="r", name="wall", scope=Scope.GROUP, effect=Effect.DENY, from_ns=3)
    with written.deed("rule.add", "ann", 9, {"name": "wall"}):
        written.add_rule(wall)
    snapshot = written.snapshot()
    assert (snapshot.epoch, list(snapshot.rules())) == (1, [wall])
    assert [(one.what, one.actor, one.at_ns, one.data) for one in written.deeds()] == [
        ("rule.add", "ann", 9, {"name": "wall"})
    ]
