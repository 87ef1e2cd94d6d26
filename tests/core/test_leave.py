"""Leave, step by step: who may exchange what with whom, and what they hear who may not."""

from __future__ import annotations

import pytest

from core.agreed import (
    NOW_NS,
    SECOND,
    agreement,
    contoso_and_yahoo,
    entitle,
    item,
    operator,
    rule,
    stands,
)
from rialto.core.metrics import Metrics
from rialto.core.policy import Book, Decision, Leave, PolicySettings, Sheet
from rialto.model.address import Address
from rialto.model.agreement import (
    Consent,
    Direction,
    Effect,
    Federation,
    Group,
    Holding,
    Metric,
    OptIn,
    Regime,
    Rule,
    Scope,
    State,
    Traffic,
)
from rialto.model.errors import Busy, Reason, Refused
from rialto.testing import NOW

ANN = Address("ann", "contoso.example")
BOB = Address("bob", "contoso.example")
YAN = Address("yan", "yahoo.example")


def leave(sheet: Sheet, agreements: str = "required", metrics: Metrics | None = None) -> Leave:
    return Leave(PolicySettings(agreements=agreements), Book(sheet), (metrics or Metrics()).count)


def decided(
    sheet: Sheet,
    sender: Address = ANN,
    recipient: Address = YAN,
    service: Traffic = Traffic.MESSAGE,
    at_ns: int = NOW_NS,
) -> Decision:
    return leave(sheet).decide(sender, recipient, service, at_ns)


def test_what_was_agreed_passes_and_the_decision_names_it() -> None:
    decision = decided(contoso_and_yahoo())
    assert decision.allowed
    assert (decision.step, decision.agreement, decision.agreement_version) == (
        "agreement",
        "contoso-yahoo",
        1,
    )
    assert decision.item_id == "contoso-yahoo message"
    assert decision.id


def test_what_was_not_agreed_is_refused_in_words() -> None:
    decision = decided(contoso_and_yahoo(), service=Traffic.PRESENCE)
    assert (decision.allowed, decision.step, decision.reason) == (False, "federation", Reason.NO_AGREEMENT)
    assert decision.text == "contoso has no agreement on presence with yahoo"


def test_those_of_one_operator_need_no_agreement() -> None:
    decision = decided(contoso_and_yahoo(), ANN, BOB)
    assert (decision.allowed, decision.step) == (True, "inside")


def test_a_direction_is_not_the_other() -> None:
    sheet = Sheet()
    operator(sheet, "contoso", "contoso.example")
    operator(sheet, "yahoo", "yahoo.example")
    item(sheet, agreement(sheet, "contoso", "yahoo"), direction=Direction.A_TO_B)
    assert decided(sheet, ANN, YAN).allowed
    assert not decided(sheet, YAN, ANN).allowed


@pytest.mark.parametrize(
    ("state", "passes"),
    [
        (State.DRAFT, False),
        (State.PENDING_ACTIVE, False),
        (State.ACTIVE, True),
        (State.PENDING_TERMINATE, True),
        (State.TERMINATED, False),
        (State.FAILED, False),
    ],
)
def test_only_what_is_active_passes(state: State, passes: bool) -> None:
    sheet = contoso_and_yahoo()
    sheet.all_standings.clear()
    stands(sheet, sheet.all_items[0], state)
    assert decided(sheet).allowed is passes


def test_a_suspension_says_why_and_lets_pass_what_still_flows() -> None:
    sheet = Sheet()
    for name in ("contoso", "yahoo"):
        operator(sheet, name, f"{name}.example", federation=Federation.OPEN)
    made = agreement(sheet, "contoso", "yahoo")
    item(sheet, made, Traffic.MESSAGE, state=State.SUSPENDED, reason="credit_limit")
    item(sheet, made, Traffic.SESSION, state=State.SUSPENDED, reason="credit_limit")
    assert decided(sheet).allowed
    refused = decided(sheet, service=Traffic.SESSION)
    assert refused.reason is Reason.NO_AGREEMENT
    assert refused.text == "agreement contoso-yahoo/1 is suspended (credit limit): no sessions for now"


def test_what_is_scheduled_takes_effect_at_its_instant() -> None:
    sheet = contoso_and_yahoo()
    sheet.all_standings.clear()
    begin, end = NOW_NS, NOW_NS + 10 * SECOND
    stands(sheet, sheet.all_items[0], State.PENDING_ACTIVE, 0, begin)
    stands(sheet, sheet.all_items[0], State.ACTIVE, begin, end)
    stands(sheet, sheet.all_items[0], State.TERMINATED, end)
    one = leave(sheet)
    seen = [one.decide(ANN, YAN, Traffic.MESSAGE, at) for at in (begin - 1, begin, end - 1, end, begin)]
    assert [decision.allowed for decision in seen] == [False, True, True, False, True]
    assert (seen[1].since_ns, seen[1].until_ns) == (begin, end)
    assert seen[1] is seen[2], "it was decided once"


def test_a_domain_that_changes_hands_takes_the_agreements_of_its_new_owner() -> None:
    sheet = contoso_and_yahoo()
    operator(sheet, "fabrikam")
    sheet.all_holdings[1] = Holding(domain="yahoo.example", operator_id="YAHOO", from_ns=0, to_ns=NOW_NS)
    sheet.all_holdings.append(Holding(domain="yahoo.example", operator_id="FABRIKAM", from_ns=NOW_NS))
    assert decided(sheet, at_ns=NOW_NS - 1).allowed
    assert decided(sheet, at_ns=NOW_NS).text == "contoso has no agreement on messages with fabrikam"


# -- licences ----------------------------------------------------------------------------------------------


def licensed(**more: object) -> Sheet:
    sheet = Sheet()
    operator(sheet, "contoso", "contoso.example")
    operator(sheet, "yahoo", "yahoo.example")
    item(sheet, agreement(sheet, "contoso", "yahoo"), regime=Regime.PER_USER_MONTH, **more)
    return sheet


def test_a_user_without_a_licence_hears_whom_to_ask() -> None:
    sheet = licensed()
    entitle(sheet, sheet.all_items[0], "ann@contoso.example")
    assert decided(sheet, ANN).allowed
    refused = decided(sheet, BOB)
    assert (refused.step, refused.reason) == ("entitlement", Reason.NOT_ENTITLED)
    assert refused.text == (
        "you have no licence for messages with yahoo: ask the administrator of contoso.example for one"
    )


def test_whoever_writes_to_a_user_without_a_licence_hears_who_lacks_it() -> None:
    sheet = licensed()
    entitle(sheet, sheet.all_items[0], "ann@contoso.example")
    assert decided(sheet, YAN, ANN).allowed
    refused = decided(sheet, YAN, BOB)
    assert refused.reason is Reason.NOT_ENTITLED
    assert refused.text.startswith("the other has no licence for messages with yahoo")


def test_a_licence_begins_and_ends_at_its_instants() -> None:
    sheet = licensed()
    entitle(sheet, sheet.all_items[0], "ann@contoso.example", NOW_NS, NOW_NS + SECOND)
    one = leave(sheet)
    at = (NOW_NS - 1, NOW_NS, NOW_NS + SECOND - 1, NOW_NS + SECOND)
    assert [one.decide(ANN, YAN, Traffic.MESSAGE, when).allowed for when in at] == [False, True, True, False]


def test_a_domain_or_a_group_may_be_licensed_as_a_whole() -> None:
    sheet = licensed()
    entitle(sheet, sheet.all_items[0], "@sales", metric=Metric.ACTIVE_USER)
    sheet.all_groups.append(Group(name="@sales", member="bob@contoso.example", from_ns=0))
    assert [decided(sheet, one).allowed for one in (ANN, BOB)] == [False, True]
    entitle(sheet, sheet.all_items[0], "*@contoso.example", metric=Metric.ACTIVE_USER)
    assert [decided(sheet, one).allowed for one in (ANN, BOB)] == [True, True]


def test_a_pool_has_as_many_seats_as_were_bought_and_unused_ones_are_free_again() -> None:
    sheet = licensed()
    entitle(sheet, sheet.all_items[0], "*@contoso.example", metric=Metric.POOL, quantity=1)
    one = leave(sheet)
    one.ask(ANN, YAN, Traffic.MESSAGE, NOW)
    one.ask(ANN, YAN, Traffic.MESSAGE, NOW + 1)
    with pytest.raises(Refused, match="all 1 seats for messages are taken"):
        one.ask(BOB, YAN, Traffic.MESSAGE, NOW + 2)
    one.ask(BOB, YAN, Traffic.MESSAGE, NOW + 86_402)


def test_overage_lets_those_pass_who_have_no_licence() -> None:
    assert decided(licensed(overage_allowed=True), BOB).allowed


# -- consent -----------------------------------------------------------------------------------------------


def asked(mode: OptIn, *said: tuple[str, str, bool]) -> Decision:
    sheet = Sheet()
    operator(sheet, "contoso", "contoso.example")
    operator(sheet, "yahoo", "yahoo.example")
    item(sheet, agreement(sheet, "contoso", "yahoo"), opt_in=mode)
    for user, far, given in said:
        sheet.all_consents.append(
            Consent(user=user, operator_id=far, service=Traffic.MESSAGE, given=given, from_ns=0)
        )
    return decided(sheet)


def test_opting_in_takes_a_yes_of_both() -> None:
    ann, yan = ("ann@contoso.example", "YAHOO", True), ("yan@yahoo.example", "CONTOSO", True)
    assert asked(OptIn.OPT_IN, ann, yan).allowed
    assert asked(OptIn.OPT_IN, yan).text == "you have not said yes to messages with yahoo"
    assert asked(OptIn.OPT_IN, ann).text == "the other has not said yes to messages with contoso"


def test_opting_out_takes_a_no_of_one() -> None:
    assert asked(OptIn.OPT_OUT).allowed
    assert asked(OptIn.OPT_OUT, ("yan@yahoo.example", "CONTOSO", False)).step == "consent"


# -- federation --------------------------------------------------------------------------------------------


def strangers(federation: Federation, **more: object) -> Sheet:
    sheet = Sheet()
    operator(sheet, "yahoo", "yahoo.example", federation=federation, **more)
    return sheet


def test_the_closed_speak_only_with_those_on_their_allow_list() -> None:
    assert not decided(strangers(Federation.CLOSED)).allowed
    assert decided(strangers(Federation.CLOSED, allowed=("contoso.example",))).step == "federation"
    assert decided(strangers(Federation.CLOSED, allowed=("contoso.example",))).allowed


def test_the_open_speak_with_everybody() -> None:
    assert decided(strangers(Federation.OPEN)).limits == ()


def test_where_nobody_answers_for_either_side_nothing_passes() -> None:
    refused = decided(Sheet())
    assert refused.text == "neither contoso.example nor yahoo.example belongs to an operator"


def test_the_discovered_are_held_to_a_tier_until_they_are_on_the_allow_list() -> None:
    """1,000 people and 20 messages a second, unless it is set otherwise."""
    decision = decided(strangers(Federation.DISCOVERED))
    assert [limit.rate_per_s for limit in decision.limits] == [20.0]
    assert [head.most for head in decision.heads] == [1000]
    assert decided(strangers(Federation.DISCOVERED, allowed=("contoso.example",))).limits == ()
    assert decided(strangers(Federation.DISCOVERED), YAN, ANN).limits == (), "who goes out is known here"


def test_the_thousand_and_first_contact_of_a_discovered_domain_is_refused() -> None:
    one = leave(strangers(Federation.DISCOVERED))
    for number in range(1000):
        one.ask(ANN, Address(f"u{number}", "yahoo.example"), Traffic.MESSAGE, NOW + number)
    one.ask(BOB, Address("u7", "yahoo.example"), Traffic.MESSAGE, NOW + 1000)
    with pytest.raises(Refused, match="has reached as many people of yahoo"):
        one.ask(BOB, Address("one-more", "yahoo.example"), Traffic.MESSAGE, NOW + 1001)


def test_a_discovered_domain_that_is_too_fast_hears_when_to_come_again() -> None:
    one = leave(strangers(Federation.DISCOVERED))
    for _ in range(200):
        one.ask(ANN, YAN, Traffic.MESSAGE, NOW)
    with pytest.raises(Busy) as caught:
        one.ask(ANN, YAN, Traffic.MESSAGE, NOW)
    assert caught.value.reason is Reason.RATE
    assert caught.value.retry_after_s == pytest.approx(0.05)


# -- rules -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scope", [Scope.HUB, Scope.OPERATOR])
@pytest.mark.parametrize("subject", ["*", "contoso", "contoso.example", "ann@contoso.example"])
def test_a_block_names_its_rule_and_its_sentence(scope: Scope, subject: str) -> None:
    sheet = contoso_and_yahoo()
    rule(sheet, scope, Effect.DENY, subject, "yahoo", name="embargo", text="there is an embargo")
    refused = decided(sheet)
    assert (refused.rule, refused.text, refused.reason) == ("embargo/1", "there is an embargo", Reason.POLICY)
    assert decided(sheet, YAN, ANN).allowed, "it is for one direction"


def test_a_wall_stands_in_both_directions_and_for_its_groups_alone() -> None:
    sheet = contoso_and_yahoo()
    sheet.all_groups += [
        Group(name="@traders", member="ann@contoso.example", from_ns=0),
        Group(name="@analysts", member="*@yahoo.example", from_ns=0),
    ]
    rule(sheet, Scope.GROUP, Effect.DENY, "@traders", "@analysts")
    assert decided(sheet, ANN, YAN).step == "wall"
    assert decided(sheet, YAN, ANN).step == "wall"
    assert decided(sheet, BOB, YAN).allowed


def test_a_wall_stands_inside_an_operator_too() -> None:
    sheet = contoso_and_yahoo()
    for name, member in (("@traders", "ann"), ("@analysts", "bob")):
        sheet.all_groups.append(Group(name=name, member=f"{member}@contoso.example", from_ns=0))
    rule(sheet, Scope.GROUP, Effect.DENY, "@traders", "@analysts")
    assert decided(sheet, ANN, BOB).step == "wall"


def test_at_equal_priority_a_denial_wins_and_a_higher_priority_is_an_exception() -> None:
    sheet = contoso_and_yahoo()
    rule(sheet, Scope.HUB, Effect.DENY, "contoso", "yahoo")
    rule(sheet, Scope.HUB, Effect.ALLOW, "ann@contoso.example", "yahoo")
    assert not decided(sheet, ANN).allowed
    rule(sheet, Scope.HUB, Effect.ALLOW, "ann@contoso.example", "yahoo", priority=1)
    assert [decided(sheet, one).allowed for one in (ANN, BOB)] == [True, False]


def test_a_users_rule_goes_before_an_agreements_and_not_before_a_wall() -> None:
    sheet = contoso_and_yahoo()
    rule(sheet, Scope.AGREEMENT, Effect.DENY, "contoso", "yahoo", priority=9)
    rule(sheet, Scope.USER, Effect.ALLOW, "ann@contoso.example", "*")
    assert [decided(sheet, one).allowed for one in (ANN, BOB)] == [True, False]
    rule(sheet, Scope.OPERATOR, Effect.DENY, "contoso", "yahoo")
    assert not decided(sheet, ANN).allowed


def test_an_allowance_is_no_agreement() -> None:
    sheet = contoso_and_yahoo()
    rule(sheet, Scope.USER, Effect.ALLOW, "*", "*")
    assert not decided(sheet, service=Traffic.FILE).allowed


def test_a_rule_for_one_service_leaves_the_others_alone() -> None:
    sheet = contoso_and_yahoo(Traffic.MESSAGE, Traffic.FILE)
    rule(sheet, Scope.HUB, Effect.DENY, "*", "*", service=Traffic.FILE)
    assert [decided(sheet, service=one).allowed for one in (Traffic.MESSAGE, Traffic.FILE)] == [True, False]


def test_a_rule_may_bound_a_rate() -> None:
    sheet = contoso_and_yahoo()
    rule(sheet, Scope.OPERATOR, Effect.RATE_LIMIT, "contoso", "yahoo", max_rate_per_s=0.1, text="slowly")
    one = leave(sheet)
    one.ask(ANN, YAN, Traffic.MESSAGE, NOW)
    with pytest.raises(Busy, match="slowly"):
        one.ask(BOB, YAN, Traffic.MESSAGE, NOW)
    one.ask(YAN, ANN, Traffic.MESSAGE, NOW)


# -- shadow ------------------------------------------------------------------------------------------------


def test_a_shadow_rule_counts_what_it_would_have_done_and_does_nothing() -> None:
    sheet, metrics = contoso_and_yahoo(), Metrics()
    rule(sheet, Scope.HUB, Effect.DENY, "ann@contoso.example", "yahoo", name="new", shadow=True)
    one = leave(sheet, metrics=metrics)
    for sender in (ANN, ANN, BOB):
        one.ask(sender, YAN, Traffic.MESSAGE, NOW)
    assert metrics.value("policy_would", "new/1", "deny") == 2
    one.use(Book(sheet.switched_on("new")))
    with pytest.raises(Refused, match="new does not allow"):
        one.ask(ANN, YAN, Traffic.MESSAGE, NOW)
    one.use(Book(sheet))  # rolled back
    one.ask(ANN, YAN, Traffic.MESSAGE, NOW)


def test_a_shadow_rule_that_would_change_nothing_is_not_counted() -> None:
    sheet = contoso_and_yahoo()
    rule(sheet, Scope.HUB, Effect.ALLOW, "*", "*", shadow=True, priority=5)
    assert decided(sheet).would == ()
    rule(sheet, Scope.HUB, Effect.DENY, "*", "*")
    assert [would.effect for would in decided(sheet).would] == ["allow"]
    assert not decided(sheet).allowed


def test_a_shadow_rate_counts_and_lets_pass() -> None:
    sheet, metrics = contoso_and_yahoo(), Metrics()
    rule(sheet, Scope.HUB, Effect.RATE_LIMIT, "*", "*", name="slow", max_rate_per_s=0.1, shadow=True)
    one = leave(sheet, metrics=metrics)
    for _ in range(3):
        one.ask(ANN, YAN, Traffic.MESSAGE, NOW)
    assert metrics.value("policy_would", "slow/1", "rate_limit") == 2


def test_the_whole_policy_may_be_a_shadow() -> None:
    metrics = Metrics()
    one = leave(Sheet(), "shadow", metrics)
    assert not one.ask(ANN, YAN, Traffic.MESSAGE, NOW).allowed
    assert one.refusal(ANN, YAN, Traffic.MESSAGE, NOW) is None
    assert metrics.value("policy_would", "federation", "deny") == 1


# -- explaining --------------------------------------------------------------------------------------------


def test_an_explanation_has_every_step_up_to_the_one_that_decided() -> None:
    sheet = licensed()
    told = leave(sheet).explain(Address("bob", "contoso.example", "desk"), YAN, Traffic.MESSAGE, NOW_NS)
    assert told.sender == "bob@contoso.example"
    assert [(step.name, step.passed) for step in told.steps] == [
        ("hub-rule", True),
        ("operator-rule", True),
        ("wall", True),
        ("rule", True),
        ("agreement", True),
        ("entitlement", False),
    ]
    assert told.steps[4].text == "agreement contoso-yahoo/1 carries messages"
    assert told.decision == decided(sheet, BOB)


def test_a_decision_that_was_kept_is_forgotten_with_the_book() -> None:
    sheet = contoso_and_yahoo()
    one = leave(sheet)
    before = one.decide(ANN, YAN, Traffic.MESSAGE, NOW_NS)
    sheet.epoch = 2
    sheet.all_rules.append(
        Rule(id="r", name="stop", scope=Scope.HUB, effect=Effect.DENY, subject="*", peer="*")
    )
    one.use(Book(sheet))
    after = one.decide(ANN, YAN, Traffic.MESSAGE, NOW_NS)
    assert (before.allowed, after.allowed, one.epoch) == (True, False, 2)
    assert before.id != after.id


def test_who_is_unknown_leaves_nothing_behind_in_the_book() -> None:
    book = Book(contoso_and_yahoo())
    one = Leave(PolicySettings(agreements="required"), book, Metrics().count)
    for number in range(10):
        one.decide(Address("x", f"d{number}.example"), YAN, Traffic.MESSAGE, NOW_NS)
    assert len(book.owners) == 2
    assert len(book.people) == 0


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rialto.core.policy.leave.CACHE_LIMIT", 3)
    sheet = licensed()
    for number in range(10):
        entitle(sheet, sheet.all_items[0], f"u{number}@contoso.example", NOW_NS + number)
    one = leave(sheet)
    for number in range(10):
        for at in (NOW_NS, NOW_NS + 100):
            allowed = one.decide(Address(f"u{number}", "contoso.example"), YAN, Traffic.MESSAGE, at).allowed
            assert allowed is (number == 0 or at > NOW_NS)
    assert len(one._decisions) <= 3
    assert len(one._classes) <= 3
