"""What was decided once and kept is always what would be decided now, whatever is written down in between."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from core.agreed import NOW_NS, agreement, operator
from rialto.core.metrics import Metrics
from rialto.core.policy import Book, Leave, PolicySettings, Sheet
from rialto.model.address import Address
from rialto.model.agreement import (
    Consent,
    Direction,
    Effect,
    Entitlement,
    Federation,
    Group,
    Item,
    Metric,
    OptIn,
    Regime,
    Rule,
    Scope,
    Standing,
    State,
    Suspension,
    Traffic,
)

OPERATORS = ("contoso", "yahoo", "aol")
DOMAINS = ("contoso.example", "yahoo.example", "aol.example", "nobody.example")
PEOPLE = tuple(Address(local, domain) for local in ("ann", "bob") for domain in DOMAINS)
GROUPS = ("@one", "@other")
TAGS = ("*", *OPERATORS, *DOMAINS, *GROUPS, *map(str, PEOPLE[:4]))

instants = st.integers(0, 20).map(lambda step: NOW_NS + step)
ends = st.none() | instants
people = st.sampled_from(PEOPLE)


def ordered(from_ns: int, to_ns: int | None) -> tuple[int, int | None]:
    return (from_ns, to_ns) if to_ns is None or to_ns >= from_ns else (to_ns, from_ns)


class Kept(RuleBasedStateMachine):
    """Things are written down, time moves either way, and every now and then everybody asks."""

    def __init__(self) -> None:
        super().__init__()
        self.sheet = Sheet(epoch=1)
        self.at = NOW_NS
        self.leave = Leave(PolicySettings(agreements="required"), Book(self.sheet), Metrics().count)

    @initialize(modes=st.lists(st.sampled_from(Federation), min_size=3, max_size=3))
    def found(self, modes: list[Federation]) -> None:
        for name, mode in zip(OPERATORS, modes, strict=True):
            operator(self.sheet, name, f"{name}.example", federation=mode)
        for a, b in (("contoso", "yahoo"), ("aol", "contoso"), ("yahoo", "aol")):
            agreement(self.sheet, a, b)
        self.write()

    def write(self) -> None:
        self.sheet.epoch += 1
        self.leave.use(Book(self.sheet))

    @rule(
        which=st.integers(0, 2),
        service=st.sampled_from(Traffic),
        direction=st.sampled_from(Direction),
        regime=st.sampled_from((Regime.FREE, Regime.PER_USER_MONTH)),
        side=st.sampled_from(("", "a", "b")),
        opt_in=st.sampled_from(OptIn),
        turns=st.lists(
            st.tuples(st.sampled_from(State), st.sampled_from(Suspension)), min_size=3, max_size=3
        ),
        at=st.lists(instants, min_size=2, max_size=2).map(sorted),
    )
    def agree(self, which, service, direction, regime, side, opt_in, turns, at) -> None:  # type: ignore[no-untyped-def]
        of = self.sheet.all_agreements[which]
        name = f"i{len(self.sheet.all_items)}"
        self.sheet.all_items.append(
            Item(
                id=name,
                agreement_id=of.id,
                service=service,
                direction=direction,
                regime=regime,
                licence_side=side,
                opt_in=opt_in,
            )
        )
        for (state, reason), from_ns, to_ns in zip(turns, (0, *at), (*at, None), strict=True):
            self.sheet.all_standings.append(
                Standing(item_id=name, state=state, reason=reason, from_ns=from_ns, to_ns=to_ns)
            )
        self.write()

    @rule(
        which=st.integers(0, 5),
        holder=st.sampled_from(("*@contoso.example", "*@aol.example", *GROUPS, *map(str, PEOPLE))),
        metric=st.sampled_from(Metric),
        from_ns=instants,
        to_ns=ends,
    )
    def entitle(self, which: int, holder: str, metric: Metric, from_ns: int, to_ns: int | None) -> None:
        from_ns, to_ns = ordered(from_ns, to_ns)
        self.sheet.all_entitlements.append(
            Entitlement(
                id=f"e{len(self.sheet.all_entitlements)}",
                item_id=f"i{which}",
                holder=holder,
                metric=metric,
                from_ns=from_ns,
                to_ns=to_ns,
            )
        )
        self.write()

    @rule(
        scope=st.sampled_from(Scope),
        effect=st.sampled_from(Effect),
        subject=st.sampled_from(TAGS),
        peer=st.sampled_from(TAGS),
        service=st.none() | st.sampled_from(Traffic),
        priority=st.integers(0, 1),
        shadow=st.booleans(),
        from_ns=instants,
        to_ns=ends,
    )
    def lay_down(self, scope, effect, subject, peer, service, priority, shadow, from_ns, to_ns) -> None:  # type: ignore[no-untyped-def]
        from_ns, to_ns = ordered(from_ns, to_ns)
        name = f"r{len(self.sheet.all_rules)}"
        self.sheet.all_rules.append(
            Rule(
                id=name,
                name=name,
                scope=scope,
                effect=effect,
                subject=subject,
                peer=peer,
                service=service,
                priority=priority,
                shadow=shadow,
                max_rate_per_s=1.0,
                from_ns=from_ns,
                to_ns=to_ns,
            )
        )
        self.write()

    @rule(
        name=st.sampled_from(GROUPS),
        member=st.sampled_from(("*@contoso.example", "*@yahoo.example", *map(str, PEOPLE))),
        from_ns=instants,
        to_ns=ends,
    )
    def join(self, name: str, member: str, from_ns: int, to_ns: int | None) -> None:
        from_ns, to_ns = ordered(from_ns, to_ns)
        self.sheet.all_groups.append(Group(name=name, member=member, from_ns=from_ns, to_ns=to_ns))
        self.write()

    @rule(
        user=people,
        far=st.sampled_from(OPERATORS),
        service=st.sampled_from(Traffic),
        given=st.booleans(),
        from_ns=instants,
        to_ns=ends,
    )
    def say(self, user, far, service, given, from_ns, to_ns) -> None:  # type: ignore[no-untyped-def]
        from_ns, to_ns = ordered(from_ns, to_ns)
        self.sheet.all_consents.append(
            Consent(
                user=str(user),
                operator_id=far.upper(),
                service=service,
                given=given,
                from_ns=from_ns,
                to_ns=to_ns,
            )
        )
        self.write()

    @rule(at=instants)
    def move(self, at: int) -> None:
        self.at = at

    @rule(sender=people, recipient=people, service=st.sampled_from(Traffic))
    def asked(self, sender: Address, recipient: Address, service: Traffic) -> None:
        """From nothing, and by somebody who has forgotten everything: the same in every respect."""
        decision = self.leave.decide(sender, recipient, service, self.at)
        fresh = self.leave.explain(sender, recipient, service, self.at)
        assert decision == fresh.decision
        assert decision.since_ns <= self.at < decision.until_ns
        assert fresh.steps[-1].passed is decision.allowed
        assert all(step.passed for step in fresh.steps[:-1])

    @rule(sender=people, recipient=people, service=st.sampled_from(Traffic))
    def asked_all_the_time(self, sender: Address, recipient: Address, service: Traffic) -> None:
        """A decision holds as long as it says, for this person too, if nothing of this person changes."""
        before = None
        for at in range(NOW_NS - 1, NOW_NS + 22):
            decision = self.leave.decide(sender, recipient, service, at)
            assert decision == self.leave.explain(sender, recipient, service, at).decision
            changes = self.leave.book.next_change(at - 1)
            if before is not None and (changes is None or changes > at):
                assert decision.allowed is before.allowed, "nothing begins or ends here"
            before = decision

    @invariant()
    def nothing_passes_that_nobody_answers_for(self) -> None:
        decision = self.leave.decide(PEOPLE[3], Address("x", "unheard-of.example"), Traffic.MESSAGE, self.at)
        assert not decision.allowed


Kept.TestCase.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
TestKept = Kept.TestCase
