"""May this pass? Rules that need nothing but the message (`passing`), and leave, that people have agreed on.

## Leave

Operators write down with whom their users may exchange what (`rialto.model.agreement`); every message, every
presence subscription and every session asks. Nothing is searched for: a `Book` is made of all that is written
down whenever that changes, and has a dictionary for each question. What it answers (`verdict`) is the same
for everybody of one class, and until an instant that it names, so `Leave` asks it once for each.

    Snapshot ──Book()──► Book ──judge(question)──► Decision ──► Leave: kept until `until_ns`, or the next book

The steps of `judge` stand in the order in which they decide; the first that says no, or that says yes for
good, is named in the decision, with the agreement's version and the sentence for whoever asked.
"""

from __future__ import annotations

from rialto.core.policy.book import Book
from rialto.core.policy.decision import Decision, Explanation, Step
from rialto.core.policy.intervals import Span
from rialto.core.policy.leave import Leave
from rialto.core.policy.passing import MAX_HOPS, RULES, Facts, Rule, decide, not_encrypted
from rialto.core.policy.settings import PolicySettings
from rialto.core.policy.sheet import Sheet

__all__ = [
    "MAX_HOPS",
    "RULES",
    "Book",
    "Decision",
    "Explanation",
    "Facts",
    "Leave",
    "PolicySettings",
    "Rule",
    "Sheet",
    "Span",
    "Step",
    "decide",
    "not_encrypted",
]
