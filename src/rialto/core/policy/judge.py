"""A decision, step by step; the first that decides is the last that is asked.

Every step is a function of the case before it. It returns what it found, and whether that is the end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import NamedTuple

from msgspec.structs import replace

from rialto.core.policy.book import EVERYBODY, Book, Terms, Traits
from rialto.core.policy.decision import Decision, Headcount, Limit, Step, Would
from rialto.core.policy.intervals import Span
from rialto.core.policy.settings import PolicySettings
from rialto.model.agreement import (
    Effect,
    Federation,
    Metric,
    Operator,
    OptIn,
    Rule,
    Scope,
    State,
    Traffic,
)
from rialto.model.errors import Reason

POOL_IDLE_S = 86_400.0
"""Who has not used a seat of a pool for so long has given it up."""

WORDS: dict[Traffic, str] = {
    Traffic.MESSAGE: "messages",
    Traffic.PRESENCE: "presence",
    Traffic.SESSION: "sessions",
    Traffic.FILE: "files",
}


class Side:
    """One of the two, as far as a decision goes."""

    __slots__ = ("domain", "operator", "tags", "traits")

    def __init__(self, book: Book, domain: str, traits: Traits, span: Span) -> None:
        self.domain = domain
        self.traits = traits
        self.operator: Operator | None = book.operator_of(domain, span)
        self.tags: set[str] = {EVERYBODY, domain, *book.groups_of(domain, span), *traits.tags}
        if self.operator is not None:
            self.tags.add(self.operator.name)

    @property
    def name(self) -> str:
        """For people."""
        return self.operator.name if self.operator is not None else self.domain


class Case:
    """Who asks for what, and what was found so far."""

    __slots__ = (
        "book", "heads", "inside", "limits", "recipient", "rule", "sender", "service", "settings", "span",
        "terms", "would",
    )  # fmt: skip

    def __init__(
        self,
        book: Book,
        sender: tuple[str, Traits],
        recipient: tuple[str, Traits],
        service: Traffic,
        span: Span,
        settings: PolicySettings,
    ) -> None:
        self.book = book
        self.service = service
        self.span = span
        self.settings = settings
        self.sender = Side(book, *sender, span)
        self.recipient = Side(book, *recipient, span)
        self.limits: list[Limit] = []
        self.heads: list[Headcount] = []
        self.would: list[Would] = []
        self.rule = ""
        self.terms: Terms | None = None
        self.inside = False
        """Both are of one operator."""


class Found(NamedTuple):
    """What a step says."""

    text: str
    reason: Reason | None = None
    """Of a refusal; None where it goes on."""


def _rules(*scopes: Scope) -> Callable[[Case], Found]:
    """The rules of these scopes, the more specific first; inside one the higher priority, then a denial."""

    def step(case: Case) -> Found:
        found = [
            rule
            for scope in scopes
            for rule in case.book.matching(
                scope, case.sender.tags, case.recipient.tags, case.service, case.span
            )
        ]
        for rule in sorted(found, key=_order):
            if rule.effect is Effect.RATE_LIMIT and rule.max_rate_per_s is not None:
                text = rule.text or f"{case.sender.name} sends more than {rule.name} allows"
                key = f"rule {rule.name} {case.sender.domain}"
                case.limits.append(Limit(key, rule.max_rate_per_s, text, _id(rule) if rule.shadow else ""))
        verdicts = sorted((rule for rule in found if rule.effect is not Effect.RATE_LIMIT), key=_order)
        real = next((rule for rule in verdicts if not rule.shadow), None)
        denied = real is not None and real.effect is Effect.DENY
        first = verdicts[0] if verdicts else None
        if first is not None and first.shadow and (first.effect is Effect.DENY) is not denied:
            case.would.append(Would(_id(first), first.effect.value))
        if real is None:
            return Found("no rule concerns the two")
        case.rule = _id(real) if denied else ""
        if not denied:
            return Found(f"{real.name}: allowed")
        return Found(
            real.text or f"{real.name} does not allow {WORDS[case.service]} between you", Reason.POLICY
        )

    return step


def _order(rule: Rule) -> tuple[int, int, bool, str]:
    return _SPECIFIC.index(rule.scope), -rule.priority, rule.effect is not Effect.DENY, rule.id


_SPECIFIC = (Scope.USER, Scope.AGREEMENT, Scope.GROUP, Scope.OPERATOR, Scope.HUB)


def _id(rule: Rule) -> str:
    return f"{rule.name}/{rule.version}"


def _agreement(case: Case) -> Found:
    """An item that is active for this service and direction."""
    one, other = case.sender.operator, case.recipient.operator
    if one is None or other is None:
        stranger = case.sender if one is None else case.recipient
        return Found(f"{stranger.domain} belongs to no operator")
    if one.id == other.id:
        case.inside = True
        return Found(f"both are of {one.name}")
    course = case.book.terms.get((one.id, other.id, case.service))
    offered = sorted(course.within(case.span), key=_preferred) if course is not None else []
    carrying, suspended, waiting = [], "", ""
    for terms in offered:
        standings = case.book.standings.get(terms.item.id)
        standing = standings.one(case.span) if standings is not None else None
        if standing is not None and standing.carries(case.service):
            carrying.append(terms)
        elif standing is not None and standing.state is State.SUSPENDED:
            case.terms = terms
            suspended = f"{_called(terms)} is suspended ({standing.reason.replace('_', ' ')})"
        elif not waiting:
            waiting = f"{_called(terms)} is {_STATES.get(standing.state if standing else State.DRAFT)}"
    if carrying:
        case.terms = next((terms for terms in carrying if _licence(case, terms)), carrying[0])
        return Found(f"{_called(case.terms)} carries {WORDS[case.service]}")
    if suspended:
        return Found(f"{suspended}: no {WORDS[case.service]} for now", Reason.NO_AGREEMENT)
    return Found(waiting or f"{one.name} and {other.name} have agreed on nothing about {WORDS[case.service]}")


_STATES: dict[State | None, str] = {
    State.PENDING_ACTIVE: "signed, but not active yet",
    State.TERMINATED: "terminated",
    State.ARCHIVED: "terminated",
    State.FAILED: "signed, but its probe has failed",
    State.REJECTED: "rejected",
    State.CANCELLED: "cancelled",
    None: "not active",
}


def _called(terms: Terms) -> str:
    agreement = terms.agreement
    return f"agreement {agreement.name or agreement.id}/{agreement.version}"


def _preferred(terms: Terms) -> tuple[bool, str, int]:
    return bool(terms.licensed), terms.item.id, -terms.agreement.version


def _licence(case: Case, terms: Terms) -> str:
    """By what the person who needs it is licensed; empty for not at all."""
    if not terms.licensed:
        return "nobody needs one"
    item = terms.item
    side = case.sender if terms.licensed == "sender" else case.recipient
    if item.id in side.traits.seats:
        return "a seat"
    for holder in (f"*@{side.domain}", *sorted(tag for tag in side.tags if tag.startswith("@"))):
        held = case.book.held.get((item.id, holder))
        for entitlement in held.within(case.span) if held is not None else ():
            if entitlement.metric is Metric.POOL:
                text = (
                    f"all {entitlement.quantity} seats for {WORDS[case.service]} are taken: try again later"
                )
                case.heads.append(
                    Headcount(
                        f"pool {entitlement.id}", entitlement.quantity, terms.licensed, POOL_IDLE_S, text
                    )
                )
            return f"the entitlement of {holder}"
    return "it is allowed without" if item.overage_allowed else ""


def _entitlement(case: Case) -> Found:
    """Where users are licensed one by one: this one is."""
    terms = case.terms
    if terms is None:
        return Found("there is no agreement that asks for one")
    case.heads.clear()  # of terms that were looked at, and not taken
    licence = _licence(case, terms)
    if licence:
        return Found(licence)
    what = (
        f"{WORDS[case.service]} with {(case.recipient if terms.licensed == 'sender' else case.sender).name}"
    )
    if terms.licensed == "sender":
        text = f"you have no licence for {what}: ask the administrator of {case.sender.domain} for one"
    else:
        text = (
            f"the other has no licence for {what}: the administrator of {case.recipient.domain} can give one"
        )
    return Found(text, Reason.NOT_ENTITLED)


def _consent(case: Case) -> Found:
    """Where users are asked: nobody of the two has said no, or both have said yes."""
    mode = case.terms.item.opt_in if case.terms is not None else OptIn.NONE
    if mode is OptIn.NONE:
        return Found("nobody is asked")
    for side, far in ((case.sender, case.recipient), (case.recipient, case.sender)):
        who, verb = ("you", "have") if side is case.sender else ("the other", "has")
        operator = far.operator.id if far.operator is not None else ""
        said = {
            given for of, service, given in side.traits.consents if (of, service) == (operator, case.service)
        }
        if False in said:
            return Found(f"{who} {verb} said no to {WORDS[case.service]} with {far.name}", Reason.POLICY)
        if mode is OptIn.OPT_IN and True not in said:
            return Found(f"{who} {verb} not said yes to {WORDS[case.service]} with {far.name}", Reason.POLICY)
    return Found("nobody has said no" if mode is OptIn.OPT_OUT else "both have said yes")


def _federation(case: Case) -> Found:
    """Without an agreement: whether each side speaks with those that it has none with."""
    if case.terms is not None or case.inside:
        return Found("it was agreed")
    if case.sender.operator is None and case.recipient.operator is None:
        text = f"neither {case.sender.domain} nor {case.recipient.domain} belongs to an operator"
        return Found(text, Reason.NO_AGREEMENT)
    for side, far in ((case.sender, case.recipient), (case.recipient, case.sender)):
        operator = side.operator
        if operator is None or not {far.domain, far.name}.isdisjoint(operator.allowed):
            continue
        if operator.federation is Federation.CLOSED:
            text = f"{operator.name} has no agreement on {WORDS[case.service]} with {far.name}"
            return Found(text, Reason.NO_AGREEMENT)
        if operator.federation is Federation.DISCOVERED and side is case.recipient:
            _trust(case, operator)
    return Found("both federate with those that they have no agreement with")


def _trust(case: Case, operator: Operator) -> None:
    """The tier of those who were discovered, and not yet put on the allow list."""
    settings, domain = case.settings, case.sender.domain
    key = f"tier {operator.id} {domain}"
    case.limits.append(
        Limit(
            key,
            settings.tier_rate_per_s,
            f"{domain} sends faster than {operator.name} lets those whom it does not know yet",
        )
    )
    case.heads.append(
        Headcount(
            key,
            settings.tier_contacts,
            "recipient",
            None,
            f"{domain} has reached as many people of {operator.name} as those may whom it does not know yet",
        )
    )


def _limits(case: Case) -> Found:
    """What the agreement bounds; whether it is too much is counted when it passes."""
    if case.terms is not None:
        item, side = case.terms.item, case.sender.name
        if item.max_rate_per_s is not None:
            text = f"{side} sends more than {_called(case.terms)} allows"
            case.limits.append(Limit(f"item {item.id} {side}", item.max_rate_per_s, text))
        if item.max_contacts is not None:
            text = f"{side} has reached as many people as {_called(case.terms)} allows"
            key = f"item {item.id} {side}"
            case.heads.append(Headcount(key, item.max_contacts, "recipient", None, text))
    said = [f"{limit.rate_per_s:g} a second" for limit in case.limits if not limit.shadow]
    said += [f"{head.most} people" for head in case.heads]
    return Found(", ".join(said) or "none")


STEPS: tuple[tuple[str, Callable[[Case], Found]], ...] = (
    ("hub-rule", _rules(Scope.HUB)),
    ("operator-rule", _rules(Scope.OPERATOR)),
    ("wall", _rules(Scope.GROUP)),
    ("rule", _rules(Scope.USER, Scope.AGREEMENT)),
    ("agreement", _agreement),
    ("entitlement", _entitlement),
    ("consent", _consent),
    ("federation", _federation),
    ("limits", _limits),
)


def judge(
    book: Book,
    sender: tuple[str, Traits],
    recipient: tuple[str, Traits],
    service: Traffic,
    span: Span,
    settings: PolicySettings,
    steps: list[Step] | None = None,
) -> Decision:
    """Decide; each of the two is given as domain and traits, `span` says when and hears for how long."""
    case = Case(book, sender, recipient, service, span, settings)
    decided, found = "", Found("")
    for name, step in STEPS:
        found = step(case)
        if steps is not None:
            steps.append(Step(name, found.reason is None, found.text))
        if found.reason is not None:
            decided = name
            break
    terms = case.terms
    if not decided:
        decided = "inside" if case.inside else "agreement" if terms is not None else "federation"
        found = Found(_ALLOWED[decided])
    decision = Decision(
        allowed=found.reason is None,
        step=decided,
        text=found.text,
        reason=found.reason,
        rule=case.rule,
        item_id=terms.item.id if terms is not None else "",
        agreement=(terms.agreement.name or terms.agreement.id) if terms is not None else "",
        agreement_version=terms.agreement.version if terms is not None else 0,
        limits=tuple(case.limits),
        heads=tuple(case.heads),
        would=tuple(case.would),
        since_ns=span.since,
        until_ns=span.until,
    )
    return _identified(decision, book.epoch, sender, recipient, service)


_ALLOWED = {
    "inside": "both are of one operator",
    "agreement": "the operators have agreed on it",
    "federation": "both sides federate with those that they have no agreement with",
}


def _identified(
    decision: Decision,
    epoch: int,
    sender: tuple[str, Traits],
    recipient: tuple[str, Traits],
    service: Traffic,
) -> Decision:
    who = [
        (domain, sorted(traits.tags), sorted(traits.seats), sorted(traits.consents))
        for domain, traits in (sender, recipient)
    ]
    text = repr(
        (epoch, who, service.value, decision.since_ns, decision.step, decision.rule, decision.item_id)
    )
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    return replace(decision, id=digest)
