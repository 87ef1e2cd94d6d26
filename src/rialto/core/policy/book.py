"""All that is written down, with a dictionary for each question that a decision asks.

Made anew whenever something is written down. Its size costs memory and the time to make it, never the time
to answer: that depends on how much is said of the two who are asked about, in all of time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

import msgspec

from rialto.core.policy.intervals import Course, Span
from rialto.model.address import Address
from rialto.model.agreement import (
    Agreement,
    Direction,
    Entitlement,
    Item,
    Nanos,
    Operator,
    Rule,
    Scope,
    Snapshot,
    Standing,
    Traffic,
)

T = TypeVar("T")

EVERYBODY = "*"

Person = tuple[str, str]
"""Local part and domain."""


class Terms(NamedTuple):
    """An item as it is for one who begins."""

    item: Item
    agreement: Agreement
    licensed: str
    """Who of the two needs an entitlement: `sender`, `recipient` or empty."""


class Traits(msgspec.Struct, frozen=True):
    """What sets a person apart from others of the domain, at one instant: two with equal traits are equal."""

    tags: frozenset[str] = frozenset()
    """Groups, and the address where a rule names it."""
    seats: frozenset[str] = frozenset()
    """Items that this very person is licensed for."""
    consents: frozenset[tuple[str, str, bool]] = frozenset()
    """(operator of the far side, service, yes or no)."""


NOBODY_IN_PARTICULAR = Traits()


class Known:
    """All that is written down about one person; there may be hundreds of thousands."""

    __slots__ = ("consents", "groups", "named", "seats")

    def __init__(self) -> None:
        self.named = ""
        """The address, where a rule names it."""
        self.groups: Course[str] | None = None
        self.seats: Course[str] | None = None
        self.consents: Course[tuple[str, str, bool]] | None = None


class Book:
    """The indices of one snapshot. Raises AddressError for a person whose address is none."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.epoch = snapshot.epoch
        self.operators: dict[str, Course[Operator]] = defaultdict(Course)
        """By id."""
        self.owners: dict[str, Course[str]] = defaultdict(Course)
        """Domain -> id of its operator."""
        self.terms: dict[tuple[str, str, Traffic], Course[Terms]] = defaultdict(Course)
        """(id of who begins, id of the other, service)."""
        self.standings: dict[str, Course[Standing]] = defaultdict(Course)
        """By item."""
        self.held: dict[tuple[str, str], Course[Entitlement]] = defaultdict(Course)
        """(item, holder), for holders that are no single person."""
        self.rules: dict[Scope, dict[str, dict[str, Course[Rule]]]] = {scope: {} for scope in Scope}
        """Scope -> subject -> peer."""
        self.shared: dict[str, Course[str]] = defaultdict(Course)
        """Domain -> the groups that all of it belong to."""
        self.people: dict[Person, Known] = defaultdict(Known)
        for version in snapshot.operators():
            self.operators[version.id].append((version.from_ns, version.to_ns, version))
        for holding in snapshot.holdings():
            self.owners[holding.domain].append((holding.from_ns, holding.to_ns, holding.operator_id))
        self._add_items({(one.id, one.version): one for one in snapshot.agreements()}, snapshot.items())
        for standing in snapshot.standings():
            self.standings[standing.item_id].append((standing.from_ns, standing.to_ns, standing))
        wanted: set[str] = set()
        for rule in snapshot.rules():
            wanted |= {rule.subject, rule.peer}
            self._add_rule(rule)
        for entitlement in snapshot.entitlements():
            wanted.add(entitlement.holder)
            self._add_entitlement(entitlement)
        for member in snapshot.groups():
            name = member.name if member.name.startswith("@") else f"@{member.name}"
            if name in wanted:
                self._group_of(member.member).append((member.from_ns, member.to_ns, name))
        for consent in snapshot.consents():
            what = consent.operator_id, consent.service.value, consent.given
            known = self._person(consent.user)
            if known.consents is None:
                known.consents = Course()
            known.consents.append((consent.from_ns, consent.to_ns, what))
        self._boundaries = sorted(self._all_boundaries())
        # A question about somebody unknown must not leave anything behind.
        for index in (self.operators, self.owners, self.terms, self.standings, self.held, self.shared):
            index.default_factory = None
        self.people.default_factory = None

    # -- making ----------------------------------------------------------------------------------------

    def _add_items(self, agreements: dict[tuple[str, int], Agreement], items: Iterable[Item]) -> None:
        for item in items:
            agreement = agreements.get((item.agreement_id, item.version))
            if agreement is None:
                continue  # its version was not signed by all
            from_ns = max(item.from_ns, agreement.from_ns)
            to_ns = _earlier(item.to_ns, agreement.to_ns)
            a, b, licensed = agreement.a, agreement.b, item.licensed
            if item.direction in (Direction.A_TO_B, Direction.BOTH):
                side = {"a": "sender", "b": "recipient"}.get(licensed, "")
                self.terms[a, b, item.service].append((from_ns, to_ns, Terms(item, agreement, side)))
            if item.direction in (Direction.B_TO_A, Direction.BOTH):
                side = {"b": "sender", "a": "recipient"}.get(licensed, "")
                self.terms[b, a, item.service].append((from_ns, to_ns, Terms(item, agreement, side)))

    def _add_rule(self, rule: Rule) -> None:
        ends = {(rule.subject, rule.peer)}
        if rule.scope is Scope.GROUP:  # a wall has two sides
            ends.add((rule.peer, rule.subject))
        for subject, peer in ends:
            courses = self.rules[rule.scope].setdefault(self._tag(subject), {})
            courses.setdefault(self._tag(peer), Course()).append((rule.from_ns, rule.to_ns, rule))

    def _tag(self, text: str) -> str:
        if "@" not in text[1:]:
            return text
        person = Address.parse(text).bare
        known = self.people[person.local, person.domain]
        known.named = str(person)
        return known.named

    def _add_entitlement(self, entitlement: Entitlement) -> None:
        holder = entitlement.holder
        if holder.startswith(("@", "*@")):
            course = self.held[entitlement.item_id, holder]
            course.append((entitlement.from_ns, entitlement.to_ns, entitlement))
        else:
            known = self._person(holder)
            if known.seats is None:
                known.seats = Course()
            known.seats.append((entitlement.from_ns, entitlement.to_ns, entitlement.item_id))

    def _group_of(self, member: str) -> Course[str]:
        if member.startswith("*@"):
            return self.shared[member[2:]]
        known = self._person(member)
        if known.groups is None:
            known.groups = Course()
        return known.groups

    def _person(self, text: str) -> Known:
        address = Address.parse(text)
        return self.people[address.local, address.domain]

    def _all_boundaries(self) -> set[Nanos]:
        courses: list[Course[Any]] = [
            course
            for index in (self.operators, self.owners, self.terms, self.standings, self.held, self.shared)
            for course in index.values()
        ]
        courses += [
            course
            for subjects in self.rules.values()
            for peers in subjects.values()
            for course in peers.values()
        ]
        for known in self.people.values():
            courses += (one for one in (known.groups, known.seats, known.consents) if one is not None)
        found: set[Nanos] = set()
        for course in courses:
            for from_ns, to_ns, _ in course:
                found.add(from_ns)
                if to_ns is not None:
                    found.add(to_ns)
        return found

    # -- asking ----------------------------------------------------------------------------------------

    def next_change(self, at_ns: Nanos) -> Nanos | None:
        """The next instant at which anything begins or ends."""
        place = bisect_right(self._boundaries, at_ns)
        return self._boundaries[place] if place < len(self._boundaries) else None

    def operator_of(self, domain: str, span: Span) -> Operator | None:
        """Whose domain it is."""
        owners = self.owners.get(domain)
        owner = owners.one(span) if owners is not None else None
        versions = self.operators.get(owner) if owner is not None else None
        return versions.one(span) if versions is not None else None

    def groups_of(self, domain: str, span: Span) -> list[str]:
        """The groups that everybody of the domain belongs to."""
        course = self.shared.get(domain)
        return course.within(span) if course is not None else []

    def traits(self, person: Person, span: Span) -> Traits:
        """What sets that person apart."""
        known = self.people.get(person)
        if known is None:
            return NOBODY_IN_PARTICULAR
        tags = set(_within(known.groups, span))
        if known.named:
            tags.add(known.named)
        return Traits(
            frozenset(tags),
            frozenset(_within(known.seats, span)),
            frozenset(_within(known.consents, span)),
        )

    def matching(
        self, scope: Scope, subjects: set[str], peers: set[str], service: Traffic, span: Span
    ) -> Iterator[Rule]:
        """The rules of a scope that concern these two, in no particular order."""
        index = self.rules[scope]
        for subject in _both(subjects, index):
            course_of = index[subject]
            for peer in _both(peers, course_of):
                for from_ns, to_ns, rule in course_of[peer]:
                    if rule.service in (None, service) and span.includes(from_ns, to_ns):
                        yield rule


def _both(tags: set[str], index: Mapping[str, object]) -> Iterable[str]:
    """What is in both; it costs as much as the smaller one."""
    if len(tags) <= len(index):
        return [tag for tag in tags if tag in index]
    return [tag for tag in index if tag in tags]


def _within(course: Course[T] | None, span: Span) -> Iterable[T]:
    return course.within(span) if course is not None else ()


def _earlier(one: Nanos | None, other: Nanos | None) -> Nanos | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)
