"""Everything that wants to pass asks here. What was decided once is kept for all of the same class."""

from __future__ import annotations

from collections.abc import Callable

from rialto.core.limits import Buckets
from rialto.core.policy.book import NOBODY_IN_PARTICULAR, Book, Person, Traits
from rialto.core.policy.decision import Decision, Explanation, Step
from rialto.core.policy.heads import Heads
from rialto.core.policy.intervals import Span
from rialto.core.policy.judge import judge
from rialto.core.policy.settings import PolicySettings
from rialto.model.address import Address
from rialto.model.agreement import Nanos, Traffic
from rialto.model.errors import Busy, DeliveryError, Reason, Refused

CACHE_LIMIT = 65_536
"""Decisions, and classes of people; the domains of strangers are in the keys."""

_Key = tuple[str, str, Traffic, int, int]


class Leave:
    """Decisions by one book, and what was counted under them, which outlives it.

    `count` is `Metrics.count`.
    """

    def __init__(self, settings: PolicySettings, book: Book, count: Callable[..., None]) -> None:
        self.settings = settings
        self._count = count
        self._buckets = Buckets()
        self._heads = Heads()
        self.use(book)

    def use(self, book: Book) -> None:
        """Decide by this book from now on."""
        self.book = book
        self._people = book.people
        self._decisions: dict[_Key, Decision] = {}
        self._classes: dict[Person, tuple[int, Nanos, Nanos]] = {}
        self._forget_classes()

    @property
    def epoch(self) -> int:
        """Of the book."""
        return self.book.epoch

    # -- asking ----------------------------------------------------------------------------------------

    def ask(self, sender: Address, recipient: Address, service: Traffic, now: float) -> Decision:
        """Let this pass, once, at `now` (seconds since 1970): it counts against every limit.

        Raises Refused and Busy, each with the sentence for the sender, where it may not; where refusals are
        only counted it returns the decision all the same.
        """
        decision = self.decide(sender, recipient, service, int(now * 1e9))
        for would in decision.would:
            self._count("policy_would", would.rule, would.effect)
        error = self._refusal(decision)
        if error is None and (decision.limits or decision.heads):
            error = self._counted(decision, sender, recipient, now)
        if error is None:
            return decision
        if self.settings.agreements == "shadow":
            self._count("policy_would", decision.rule or decision.step, "deny")
            return decision
        self._count("policy_refused", decision.step, service.value)
        raise error

    def refusal(
        self, sender: Address, recipient: Address, service: Traffic, now: float
    ) -> DeliveryError | None:
        """What `ask` would raise, but for limits; nothing is counted."""
        if self.settings.agreements == "shadow":
            return None
        return self._refusal(self.decide(sender, recipient, service, int(now * 1e9)))

    def decide(self, sender: Address, recipient: Address, service: Traffic, at_ns: Nanos) -> Decision:
        """What is decided at that instant, as far as it is written down."""
        one, other = (sender.local, sender.domain), (recipient.local, recipient.domain)
        people = self._people
        key = (
            sender.domain,
            recipient.domain,
            service,
            self._class(one, at_ns) if one in people else 0,
            self._class(other, at_ns) if other in people else 0,
        )
        known = self._decisions.get(key)
        if known is not None and known.since_ns <= at_ns < known.until_ns:
            return known
        return self._decide_anew(key, at_ns)

    def explain(self, sender: Address, recipient: Address, service: Traffic, at_ns: Nanos) -> Explanation:
        """The same from nothing, with every step."""
        steps: list[Step] = []
        sides = [
            (one.domain, self.book.traits((one.local, one.domain), Span(at_ns)))
            for one in (sender, recipient)
        ]
        decision = judge(self.book, sides[0], sides[1], service, Span(at_ns), self.settings, steps)
        return Explanation(
            sender=str(sender.bare),
            recipient=str(recipient.bare),
            service=service.value,
            at_ns=at_ns,
            decision=decision,
            steps=tuple(steps),
        )

    # -- what is kept ----------------------------------------------------------------------------------

    def _class(self, person: Person, at_ns: Nanos) -> int:
        """The number of all who are like that person at the instant."""
        known = self._classes.get(person)
        if known is not None and known[1] <= at_ns < known[2]:
            return known[0]
        span = Span(at_ns)
        traits = self.book.traits(person, span)
        if len(self._classes) >= CACHE_LIMIT:
            self._forget_classes()
        number = self._numbers.setdefault(traits, len(self._traits))
        if number == len(self._traits):
            self._traits.append(traits)
        self._classes[person] = (number, span.since, span.until)
        return number

    def _forget_classes(self) -> None:
        self._decisions.clear()  # their keys have numbers of classes in them
        self._classes.clear()
        self._numbers: dict[Traits, int] = {NOBODY_IN_PARTICULAR: 0}
        self._traits: list[Traits] = [NOBODY_IN_PARTICULAR]

    def _decide_anew(self, key: _Key, at_ns: Nanos) -> Decision:
        sender, recipient, service, one, other = key
        sides = (sender, self._traits[one]), (recipient, self._traits[other])
        decision = judge(self.book, *sides, service, Span(at_ns), self.settings)
        if len(self._decisions) >= CACHE_LIMIT:
            self._decisions.clear()
        self._decisions[key] = decision
        return decision

    # -- what is counted -------------------------------------------------------------------------------

    def _refusal(self, decision: Decision) -> DeliveryError | None:
        if decision.allowed:
            return None
        return Refused(decision.reason or Reason.POLICY, decision.text, detail=_detail(decision))

    def _counted(
        self, decision: Decision, sender: Address, recipient: Address, now: float
    ) -> DeliveryError | None:
        for limit in decision.limits:
            wait_s = self._buckets.take(limit.key, limit.rate_per_s, now)
            if wait_s and limit.shadow:
                self._count("policy_would", limit.shadow, "rate_limit")
            elif wait_s:
                return Busy(Reason.RATE, limit.text, retry_after_s=wait_s, detail=_detail(decision))
        for head in decision.heads:
            who = sender if head.whose == "sender" else recipient
            if not self._heads.take(head, (who.local, who.domain), now):
                return Refused(Reason.POLICY, head.text, detail=_detail(decision))
        return None


def _detail(decision: Decision) -> str:
    """For the operator: what decided, and by what name it is found again."""
    parts = [decision.rule or decision.step]
    if decision.agreement:
        parts.append(f"{decision.agreement}/{decision.agreement_version}")
    return f"{' of '.join(parts)}, decision {decision.id}"
