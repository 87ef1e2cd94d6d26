"""A decision: whether something may pass, what decided, and the sentence for whoever asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from rialto.core.policy.intervals import BEGINNING, END
from rialto.model.agreement import Nanos
from rialto.model.errors import Reason


class Limit(msgspec.Struct, frozen=True):
    """How much may pass by a decision: what is counted together, and how much of it a second."""

    key: str
    rate_per_s: float
    text: str
    """What the sender hears when it is too much."""
    shadow: str = ""
    """The rule that only counts how often it would have been too much; empty for one that refuses."""


class Headcount(msgspec.Struct, frozen=True):
    """How many people there may be: in contact with, or in the seats of a pool."""

    key: str
    most: int
    whose: str
    """`sender` or `recipient`: which of the two is counted."""
    idle_s: float | None
    """A place that was not used for so long is free again; None: it never is."""
    text: str
    """What the sender hears when there is no place."""


class Step(msgspec.Struct, frozen=True):
    """One step of a decision, as it is explained."""

    name: str
    passed: bool
    text: str


class Would(msgspec.Struct, frozen=True):
    """What a rule that only counts would have done."""

    rule: str
    effect: str
    """`allow`, `deny` or `rate_limit`."""


class Grounds(NamedTuple):
    """What is noted of a decision with all that passed by it."""

    decision_id: str = ""
    item_id: str = ""
    agreement_version: int = 0


NO_GROUNDS = Grounds()


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """Whether something may pass, for everybody of one class."""

    id: str = ""
    """The same for all that was decided together; changes with every cause."""
    allowed: bool
    step: str
    """What decided: the name of a step of `judge`, or of the rule."""
    text: str
    """The sentence for the human."""
    reason: Reason | None = None
    """Of a refusal."""
    rule: str = ""
    """The name and version of the rule that decided, as `name/version`; empty where none did."""
    item_id: str = ""
    """The item of the agreement that it passes under, or that refuses it."""
    agreement: str = ""
    """Its agreement."""
    agreement_version: int = 0
    limits: tuple[Limit, ...] = ()
    heads: tuple[Headcount, ...] = ()
    would: tuple[Would, ...] = ()
    since_ns: Nanos = BEGINNING
    until_ns: Nanos = END
    """It would be the same at every instant of `since_ns <= at < until_ns`, if nothing is written down."""

    @property
    def grounds(self) -> Grounds:
        """What is noted with all that passes by it."""
        return Grounds(self.id, self.item_id, self.agreement_version)

    @property
    def noted(self) -> dict[str, Any]:
        """The same for a trail."""
        note: dict[str, Any] = {"decision": self.id, "leave": self.rule or self.step}
        if self.item_id:
            note |= {"agreement": f"{self.agreement}/{self.agreement_version}", "item": self.item_id}
            note["version"] = self.agreement_version
        if not self.allowed:
            note["would"] = "deny"
        return note


def noted_grounds(note: Mapping[str, object]) -> Grounds:
    """What a trail has of a decision."""
    texts = [value if isinstance(value := note.get(key), str) else "" for key in ("decision", "item")]
    version = note.get("version")
    return Grounds(texts[0], texts[1], version if isinstance(version, int) else 0)


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """A decision with all of its steps."""

    sender: str
    recipient: str
    service: str
    at_ns: Nanos
    decision: Decision
    steps: tuple[Step, ...]
