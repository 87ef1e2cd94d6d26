"""The verbs: who may do what when, and that there is no way around signatures and the probe."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from clearing.desk import START, Desk, desk, item, legs
from rialto.clearing.agreements import document
from rialto.clearing.agreements.life import PROBES, TABLE, Event, NotPossible, order_state
from rialto.clearing.agreements.registry import Leg
from rialto.model.agreement import (
    STILL_FLOWS,
    Metric,
    Operator,
    OrderState,
    Regime,
    State,
    Suspension,
    Tier,
    Traffic,
    holds,
)
from rialto.store.agreements import NotAllowed

HOUR = 3600 * 10**9


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[Desk]:
    with desk(tmp_path) as one:
        one.found("contoso", "contoso.example")
        one.found("yahoo", "yahoo.example")
        yield one


def agree(ours: Desk, *items: object, name: str = "cy", sign: str = "contoso yahoo") -> None:
    ours.draft("ann", name, "contoso", "yahoo", items or [item()])  # type: ignore[arg-type]
    for who in sign.split():
        ours.sign_here("ann", name, who)


def running(ours: Desk) -> str:
    agree(ours)
    ours.order("ann", "contoso", ["cy"])
    assert ours.probed("probe", "cy", legs())
    return ours.items("cy")[0].id


def test_an_order_is_completed_after_signatures_and_probe(ours: Desk) -> None:
    agree(ours, sign="contoso")
    order = ours.order("ann", "contoso", ["cy/message"])
    states = [ours.orders()[0][1]]
    ours.sign_here("yves", "cy", "yahoo")
    states.append(ours.orders()[0][1])
    ours.probed("probe", "cy", legs())
    states.append(ours.orders()[0][1])
    assert states == [OrderState.IN_PROGRESS, OrderState.PENDING, OrderState.COMPLETED]
    assert uuid.UUID(order.id).version == 7
    assert uuid.UUID(order.id).variant == uuid.RFC_4122


def test_a_signature_with_somebody_elses_key_does_not_count(ours: Desk) -> None:
    agree(ours, sign="contoso")
    key = document.new_key()
    signature = document.sign(key, "agreement", ours.agreement("cy").document_hash)
    with pytest.raises(NotPossible, match="not one of yahoo's"):
        ours.sign("eve", "cy", "yahoo", document.public(key), signature)


@pytest.mark.parametrize("but", ["message", "receipt", "presence"])
def test_a_probe_that_did_not_see_everything_makes_nothing_active(ours: Desk, but: str) -> None:
    agree(ours)
    ours.order("ann", "contoso", ["cy"])
    for _ in range(PROBES - 1):
        assert not ours.probed("probe", "cy", legs(but=but))
        assert ours.state(ours.items("cy")[0].id) is State.PENDING_ACTIVE
    ours.probed("probe", "cy", [leg for leg in legs() if leg.what != but])
    assert ours.state(ours.items("cy")[0].id) is State.FAILED
    ours.retry("ann", "cy")
    assert ours.probed("probe", "cy", legs())


def test_an_item_without_a_price_is_held_until_there_is_one(ours: Desk) -> None:
    agree(ours, item(regime=Regime.PER_USER_MONTH, price_list="list"))
    ours.order("ann", "contoso", ["cy"])
    assert ours.orders()[0][1] is OrderState.HELD
    with pytest.raises(NotPossible, match="no price"):
        ours.resume("ann", "cy")
    ours.price("ann", "list", Traffic.MESSAGE, [Tier(unit_nano=10**9)])
    ours.resume("ann", "cy")
    assert ours.orders()[0][1] is OrderState.PENDING


@pytest.mark.parametrize(
    ("asked", "due"), [("2026-06-01", "2026-09-01"), ("2026-11-30T12:00:00Z", "2027-02-28T12:00:00Z")]
)
def test_a_gatekeeper_has_three_months(ours: Desk, asked: str, due: str) -> None:
    ours.draft("ann", "cy", "contoso", "yahoo", [item()], regulatory="dma")
    ours.at(asked)
    ours._last = 0
    order = ours.order("ann", "contoso", ["cy"])
    assert order.due_ns == document.parse_instant(due) + order.at_ns - document.parse_instant(asked)


def test_only_a_party_orders(ours: Desk) -> None:
    agree(ours)
    ours.found("eve", "eve.example")
    with pytest.raises(NotPossible, match="no party"):
        ours.order("eve", "eve", ["cy"])


def standing(ours: Desk, at: int) -> tuple[State, bool, bool]:
    one = next(one for one in ours.written.snapshot().standings() if holds(one, at))
    return one.state, one.carries(Traffic.MESSAGE), one.carries(Traffic.PRESENCE)


def test_a_suspension_says_what_still_flows_and_ends_at_its_instant(ours: Desk) -> None:
    running(ours)
    begin, end = START + HOUR, START + 2 * HOUR
    ours.suspend("ann", "cy", Suspension.CREDIT_LIMIT, at=begin, to=end)
    assert standing(ours, begin - 1) == (State.ACTIVE, True, True)
    assert standing(ours, begin) == standing(ours, end - 1) == (State.SUSPENDED, True, False)
    assert standing(ours, end) == (State.ACTIVE, True, True)


def test_every_suspension_says_what_still_flows() -> None:
    assert set(STILL_FLOWS) == set(Suspension)


def test_notice_is_given_now_and_ends_it_then(ours: Desk) -> None:
    running(ours)
    end = START + HOUR
    ours.notice("ann", "cy", end)
    assert standing(ours, end - 1) == (State.PENDING_TERMINATE, True, True)
    assert standing(ours, end) == (State.TERMINATED, False, False)
    ours.clock_ns = end
    ours.archive("ann", "cy")
    assert ours.state(ours.items("cy")[0].id) is State.ARCHIVED


def test_a_version_counts_from_its_last_signature_at_the_earliest(ours: Desk) -> None:
    running(ours)
    ours.draft("ann", "cy", "contoso", "yahoo", [item(regime=Regime.BILL_AND_KEEP)])
    ours.sign_here("ann", "cy", "contoso")
    ours.clock_ns += HOUR
    assert [one.version for one in ours.written.snapshot().agreements()] == [1]
    ours.sign_here("ann", "cy", "yahoo")
    first, second = sorted(ours.written.snapshot().items(), key=lambda one: one.version)
    assert first.id == second.id
    assert first.to_ns == second.from_ns >= ours.clock_ns
    assert ours.state(first.id) is State.ACTIVE


def test_the_past_stays_as_it_was(ours: Desk) -> None:
    running(ours)
    with pytest.raises(NotPossible, match="is past"):
        ours.suspend("ann", "cy", Suspension.MUTUAL, at=START - 1)
    with pytest.raises(NotPossible, match="is past"):
        ours.revoke("ann", "cy", ["ann@contoso.example"], START - 1)


def test_what_was_revoked_ends_there_and_can_be_granted_again(ours: Desk) -> None:
    running(ours)
    ours.grant("ann", "cy", ["ann@contoso.example"])
    with pytest.raises(NotAllowed):
        ours.grant("ann", "cy", ["ann@contoso.example"])
    ours.revoke("ann", "cy", ["ANN@Contoso.Example".replace("ANN", "ann")])
    ours.grant("ann", "cy", ["ann@contoso.example"])
    first, second = ours.written.entitlements()
    assert first.to_ns is not None
    assert first.to_ns < second.from_ns
    with pytest.raises(NotPossible, match="none of them"):
        ours.revoke("ann", "cy", ["bob@contoso.example"])


@pytest.mark.parametrize("holder", ["*@contoso.example", "@sales", "contoso.example", "a b@"])
def test_a_named_licence_is_somebodys(ours: Desk, holder: str) -> None:
    agree(ours)
    with pytest.raises(NotPossible):
        ours.grant("ann", "cy", [holder])


def test_a_pool_is_a_domains_or_a_groups(ours: Desk) -> None:
    agree(ours)
    assert ours.grant("ann", "cy", ["*@contoso.example", "@sales"], metric=Metric.POOL, quantity=50) == 2


def test_an_offer_that_was_tampered_with_is_not_accepted(ours: Desk, tmp_path: Path) -> None:
    ours.publish("yves", "open", "yahoo", [item()])
    ours.written._connection.execute("DROP TRIGGER offer_ends")
    ours.written._connection.execute("UPDATE offer SET body = replace(body, 'message', 'file')")
    with pytest.raises(NotPossible, match="not what was signed"):
        ours.accept("ann", "open", "contoso", "cy")


def test_a_withdrawn_offer_is_not_accepted_and_a_new_version_replaces_the_old(ours: Desk) -> None:
    ours.publish("yves", "open", "yahoo", [item()])
    ours.publish("yves", "open", "yahoo", [item(regime=Regime.BILL_AND_KEEP)])
    ours.accept("ann", "open", "contoso", "cy")
    assert ours.agreement("cy").offer == "open/2"
    ours.withdraw_offer("yves", "open")
    with pytest.raises(NotPossible, match="no offer"):
        ours.accept("ann", "open", "contoso", "again")


def test_a_domain_moves_at_an_instant(ours: Desk) -> None:
    moves = START + HOUR
    ours.end_domain("ann", "contoso", "contoso.example", moves)
    ours.add_domain("ann", "yahoo", "contoso.example", moves)
    assert ours.operator("contoso.example", moves - 1).name == "contoso"
    assert ours.operator("contoso.example", moves).name == "yahoo"


def test_a_domain_is_ended_by_whose_it_is(ours: Desk) -> None:
    with pytest.raises(NotPossible, match="not yahoo's"):
        ours.end_domain("ann", "yahoo", "contoso.example")


def test_a_price_lasts_until_the_next_that_is_set(ours: Desk) -> None:
    later = START + HOUR
    for unit, at in ((1, None), (3, later), (2, None)):
        ours.price("ann", "list", Traffic.MESSAGE, [Tier(unit_nano=unit)], at=at)
    prices = {one.tiers[0].unit_nano: one for one in ours.written.prices("list")}
    assert prices[1].to_ns == prices[2].from_ns
    assert prices[2].to_ns == prices[3].from_ns == later
    assert prices[3].to_ns is None


def test_two_operators_have_two_names(ours: Desk) -> None:
    with pytest.raises(NotAllowed):
        ours.add_operator("ann", Operator(id="", name="contoso", ioi="other"))


def test_every_state_but_the_archive_has_an_exit() -> None:
    assert [state for state in State if not TABLE[state]] == [State.ARCHIVED]


def test_the_only_ways_to_active_begin_with_a_probe() -> None:
    ways = {(old, event) for old, row in TABLE.items() for event, new in row.items() if new is State.ACTIVE}
    assert ways == {(State.PENDING_ACTIVE, Event.PROBE_OK), (State.SUSPENDED, Event.REINSTATE)}


@pytest.mark.parametrize("state", State)
def test_an_order_is_completed_only_when_every_item_is_active(state: State) -> None:
    found = order_state([State.ACTIVE, state])
    assert (found is OrderState.COMPLETED) == (state is State.ACTIVE)
    assert state is State.ACTIVE or found is OrderState.PARTIAL


VERBS = (
    lambda one: one.draft("x", "cy", "contoso", "yahoo", [item()]),
    lambda one: one.sign_here("x", "cy", "contoso"),
    lambda one: one.sign_here("x", "cy", "yahoo"),
    lambda one: one.order("x", "contoso", ["cy"]),
    lambda one: one.hold("x", "cy", "why"),
    lambda one: one.resume("x", "cy"),
    lambda one: one.reject("x", "cy", "why"),
    lambda one: one.withdraw("x", "cy"),
    lambda one: one.probed("x", "cy", legs()),
    lambda one: one.probed("x", "cy", legs(but="receipt")),
    lambda one: one.probed("x", "cy", [Leg(what="message", side="a", address="", ok=True, text="")]),
    lambda one: one.retry("x", "cy"),
    lambda one: one.suspend("x", "cy", Suspension.ABUSE),
    lambda one: one.reinstate("x", "cy"),
    lambda one: one.notice("x", "cy", one.clock_ns + HOUR),
)


class AnyOrder(RuleBasedStateMachine):
    """Everything that anybody may do, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.ours = Desk(Path(self.folder.name))
        self.ours.found("contoso", "contoso.example")
        self.ours.found("yahoo", "yahoo.example")

    @rule(verb=st.sampled_from(VERBS), wait=st.sampled_from([1, HOUR]))
    def do(self, verb: object, wait: int) -> None:
        self.ours.clock_ns += wait
        try:
            verb(self.ours)  # type: ignore[operator]
        except (NotPossible, NotAllowed):
            pass

    @invariant()
    def nothing_is_active_without_signatures_and_probe(self) -> None:
        written = self.ours.written
        signed = [one for one in written.versions() if len({by.operator_id for by in one.signatures}) == 2]
        for one in written.snapshot().standings():
            if one.carries(Traffic.MESSAGE):
                assert signed
                changes = written.changes(one.item_id)
                probes = [change for change in changes if change.event == Event.PROBE_OK]
                assert probes
                assert probes[0].effective_ns <= one.from_ns
                assert probes[0].effective_ns > max(by.at_ns for by in signed[0].signatures)

    def teardown(self) -> None:
        self.ours.written.close()
        self.folder.cleanup()


def test_no_path_reaches_active_without_both_signatures_and_the_probe() -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        AnyOrder,
        settings=settings(
            max_examples=6, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
