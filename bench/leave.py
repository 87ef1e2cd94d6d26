#!/usr/bin/env python3
"""What leave costs, with ten and with a hundred thousand operators, agreements, licences and rules."""

from __future__ import annotations

import gc
import statistics
import sys
import time
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench.report import machine
from rialto.core.metrics import Metrics
from rialto.core.policy import Book, Leave, PolicySettings, Sheet
from rialto.model.address import Address
from rialto.model.agreement import (
    Agreement,
    Effect,
    Entitlement,
    Holding,
    Item,
    Operator,
    Regime,
    Rule,
    Scope,
    Standing,
    State,
    Traffic,
)

AT = 1_700_000_000
ROUNDS = 7
ASKED = 20_000
PAIRS = 5
"""So many pairs of operators are asked about; the same, whatever there is besides."""


def written(number: int) -> Sheet:
    """As many operators, agreements, licensed users and rules; each agreement is with the next operator."""
    sheet = Sheet(epoch=1)
    for n in range(number):
        sheet.all_operators.append(Operator(id=f"o{n}", name=f"operator-{n}", ioi=f"o{n}"))
        sheet.all_holdings.append(Holding(domain=f"d{n}.example", operator_id=f"o{n}", from_ns=0))
        sheet.all_agreements.append(
            Agreement(
                id=f"a{n}", name=f"a{n}", a=f"o{n}", b=f"o{(n + 1) % number}", from_ns=0, document_hash=""
            )
        )
        sheet.all_items.append(
            Item(id=f"i{n}", agreement_id=f"a{n}", service=Traffic.MESSAGE, regime=Regime.PER_USER_MONTH)
        )
        sheet.all_standings.append(Standing(item_id=f"i{n}", state=State.ACTIVE, from_ns=0))
        sheet.all_entitlements.append(
            Entitlement(id=f"e{n}", item_id=f"i{n}", holder=f"ann@d{n}.example", from_ns=0)
        )
        sheet.all_rules.append(
            Rule(
                id=f"r{n}",
                name=f"r{n}",
                scope=Scope.OPERATOR,
                effect=Effect.DENY,
                subject=f"spam@d{n}.example",
                peer=f"operator-{(n + 1) % number}",
            )
        )
    return sheet


def measured(number: int) -> tuple[float, float, float]:
    """(seconds to make the book, µs for a decision that is kept, µs for one that isn't)."""
    sheet = written(number)
    begun = time.perf_counter()
    book = Book(sheet)
    made_s = time.perf_counter() - begun
    leave = Leave(PolicySettings(agreements="required"), book, Metrics().count)
    asked = [(Address("ann", f"d{n}.example"), Address("bob", f"d{n + 1}.example")) for n in range(PAIRS)]
    for sender, recipient in asked:
        if not leave.decide(sender, recipient, Traffic.MESSAGE, AT).allowed:
            raise AssertionError("it was not allowed")
    gc.collect()
    gc.freeze()
    kept, fresh = [], []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        for n in range(ASKED):
            sender, recipient = asked[n % PAIRS]
            leave.ask(sender, recipient, Traffic.MESSAGE, AT)
        kept.append((time.perf_counter() - begun) / ASKED * 1e6)
        begun = time.perf_counter()
        for n in range(ASKED // 10):
            if n % PAIRS == 0:
                leave.use(book)
            sender, recipient = asked[n % PAIRS]
            leave.decide(sender, recipient, Traffic.MESSAGE, AT)
        fresh.append((time.perf_counter() - begun) / (ASKED // 10) * 1e6)
    gc.unfreeze()
    return made_s, statistics.median(kept), statistics.median(fresh)


@click.command()
@click.option("--number", "numbers", multiple=True, default=(10, 1000, 100_000), help="How many of each.")
def main(numbers: tuple[int, ...]) -> None:
    """Print a table."""
    console = Console()
    table = Table(title="Leave for one message")
    for column in ("of each", "made in s", "kept, µs", "decided anew, µs"):
        table.add_column(column, justify="right")
    for number in numbers:
        made_s, kept, fresh = measured(number)
        table.add_row(f"{number:,}", f"{made_s:.2f}", f"{kept:.2f}", f"{fresh:.1f}")
    console.print(table)
    console.print(machine())


if __name__ == "__main__":
    main()
