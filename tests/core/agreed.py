"""What operators have agreed on, for tests: Contoso and Yahoo, with one agreement between them."""

from __future__ import annotations

from rialto.core.policy import Sheet
from rialto.model.agreement import (
    Agreement,
    Direction,
    Effect,
    Entitlement,
    Federation,
    Holding,
    Item,
    Operator,
    OptIn,
    Regime,
    Rule,
    Scope,
    Standing,
    State,
    Traffic,
)
from rialto.testing import NOW

NOW_NS = int(NOW * 1e9)
SECOND = 1_000_000_000


def operator(
    sheet: Sheet, name: str, *domains: str, federation: Federation = Federation.CLOSED, **more: object
) -> None:
    """An operator with its domains; its id is its name in capitals."""
    sheet.all_operators.append(
        Operator(id=name.upper(), name=name, ioi=name, federation=federation, **more)  # type: ignore[arg-type]
    )
    sheet.all_holdings += [Holding(domain=one, operator_id=name.upper(), from_ns=0) for one in domains]


def agreement(
    sheet: Sheet, a: str, b: str, *, version: int = 1, from_ns: int = 0, to_ns: int | None = None
) -> Agreement:
    """One version of what two have agreed on."""
    made = Agreement(
        id=f"{a}-{b}", name=f"{a}-{b}", version=version, a=a.upper(), b=b.upper(), from_ns=from_ns,
        to_ns=to_ns, document_hash="0" * 64,
    )  # fmt: skip
    sheet.all_agreements.append(made)
    return made


def item(
    sheet: Sheet,
    of: Agreement,
    service: Traffic = Traffic.MESSAGE,
    *,
    state: State = State.ACTIVE,
    reason: str = "",
    direction: Direction = Direction.BOTH,
    regime: Regime = Regime.FREE,
    opt_in: OptIn = OptIn.NONE,
    **more: object,
) -> Item:
    """An item of it, in one state for good."""
    made = Item(
        id=f"{of.id} {service.value}", agreement_id=of.id, version=of.version, service=service,
        direction=direction, regime=regime, opt_in=opt_in, **more,  # type: ignore[arg-type]
    )  # fmt: skip
    sheet.all_items.append(made)
    stands(sheet, made, state, reason=reason)
    return made


def stands(
    sheet: Sheet, one: Item, state: State, from_ns: int = 0, to_ns: int | None = None, *, reason: str = ""
) -> None:
    """The state of an item, for a time."""
    sheet.all_standings.append(
        Standing(item_id=one.id, state=state, reason=reason, from_ns=from_ns, to_ns=to_ns)
    )


def entitle(
    sheet: Sheet, one: Item, holder: str, from_ns: int = 0, to_ns: int | None = None, **more: object
) -> None:
    """A licence."""
    number = len(sheet.all_entitlements)
    sheet.all_entitlements.append(
        Entitlement(id=f"e{number}", item_id=one.id, holder=holder, from_ns=from_ns, to_ns=to_ns, **more)  # type: ignore[arg-type]
    )


def rule(sheet: Sheet, scope: Scope, effect: Effect, subject: str, peer: str, **more: object) -> None:
    """A rule; its name says which it is."""
    number = len(sheet.all_rules)
    made: dict[str, object] = {"name": f"rule-{number}", **more}
    sheet.all_rules.append(
        Rule(id=f"r{number}", scope=scope, effect=effect, subject=subject, peer=peer, **made)  # type: ignore[arg-type]
    )


def contoso_and_yahoo(*services: Traffic) -> Sheet:
    """They have agreed on these services (default: messages), free and both ways."""
    sheet = Sheet(epoch=1)
    operator(sheet, "contoso", "contoso.example")
    operator(sheet, "yahoo", "yahoo.example")
    made = agreement(sheet, "contoso", "yahoo")
    for service in services or (Traffic.MESSAGE,):
        item(sheet, made, service)
    return sheet
