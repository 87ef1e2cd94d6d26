"""A registry on a database of its own, with a clock that is set by hand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rialto.clearing.agreements.document import parse_instant
from rialto.clearing.agreements.registry import LEGS, Leg, Registry
from rialto.model.agreement import Item, Kind, Operator, Traffic
from rialto.store.agreements import Agreements
from rialto.store.store import Store

START = parse_instant("2026-06-01")


class Desk(Registry):
    """`clock_ns` is what the clock says."""

    def __init__(self, folder: Path) -> None:
        Store(folder).close()
        self.clock_ns = START
        super().__init__(Agreements(folder / "rialto.db"), lambda: self.clock_ns, folder / "keys")

    def found(self, name: str, *domains: str, kind: Kind = Kind.ENTERPRISE) -> None:
        """An operator with domains and a key."""
        self.add_operator("test", Operator(id="", name=name, ioi=name, kind=kind), domains)
        self.make_key("test", name)

    def at(self, text: str) -> int:
        """Set the clock; the instant."""
        self.clock_ns = parse_instant(text)
        return self.clock_ns


@contextmanager
def desk(folder: Path) -> Iterator[Desk]:
    """For one test."""
    one = Desk(folder)
    yield one
    one.written.close()


def item(service: Traffic = Traffic.MESSAGE, **terms: object) -> Item:
    """Not yet of any agreement."""
    return Item(id="", agreement_id="", service=service, **terms)  # type: ignore[arg-type]


def legs(*, but: str = "") -> list[Leg]:
    """What a probe saw that went well, but for one kind."""
    return [
        Leg(what=what, side=side, address=f"probe@{side}", ok=what != but, text="" if what != but else "no")
        for what, side in sorted(LEGS)
    ]
