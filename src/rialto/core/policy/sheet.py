"""A snapshot in memory: what has no database behind it, and what might be written down next."""

from __future__ import annotations

import msgspec

from rialto.model.agreement import (
    Agreement,
    Consent,
    Entitlement,
    Group,
    Holding,
    Item,
    Operator,
    Rule,
    Snapshot,
    Standing,
)


class Sheet:
    """See `Snapshot`; the lists may be added to until a book is made of it."""

    def __init__(self, epoch: int = 0) -> None:
        self.epoch = epoch
        self.all_operators: list[Operator] = []
        self.all_holdings: list[Holding] = []
        self.all_agreements: list[Agreement] = []
        self.all_items: list[Item] = []
        self.all_standings: list[Standing] = []
        self.all_entitlements: list[Entitlement] = []
        self.all_rules: list[Rule] = []
        self.all_groups: list[Group] = []
        self.all_consents: list[Consent] = []

    @classmethod
    def of(cls, snapshot: Snapshot) -> Sheet:
        """A copy that may be added to."""
        sheet = cls(snapshot.epoch)
        sheet.all_operators += snapshot.operators()
        sheet.all_holdings += snapshot.holdings()
        sheet.all_agreements += snapshot.agreements()
        sheet.all_items += snapshot.items()
        sheet.all_standings += snapshot.standings()
        sheet.all_entitlements += snapshot.entitlements()
        sheet.all_rules += snapshot.rules()
        sheet.all_groups += snapshot.groups()
        sheet.all_consents += snapshot.consents()
        return sheet

    def switched_on(self, name: str) -> Sheet:
        """The same, with the rule of that name in force where it only counted."""
        sheet = Sheet.of(self)
        sheet.all_rules = [
            msgspec.structs.replace(rule, shadow=False) if rule.name == name else rule
            for rule in self.all_rules
        ]
        return sheet

    def operators(self) -> list[Operator]:
        """See `Snapshot`."""
        return self.all_operators

    def holdings(self) -> list[Holding]:
        """See `Snapshot`."""
        return self.all_holdings

    def agreements(self) -> list[Agreement]:
        """See `Snapshot`."""
        return self.all_agreements

    def items(self) -> list[Item]:
        """See `Snapshot`."""
        return self.all_items

    def standings(self) -> list[Standing]:
        """See `Snapshot`."""
        return self.all_standings

    def entitlements(self) -> list[Entitlement]:
        """See `Snapshot`."""
        return self.all_entitlements

    def rules(self) -> list[Rule]:
        """See `Snapshot`."""
        return self.all_rules

    def groups(self) -> list[Group]:
        """See `Snapshot`."""
        return self.all_groups

    def consents(self) -> list[Consent]:
        """See `Snapshot`."""
        return self.all_consents
