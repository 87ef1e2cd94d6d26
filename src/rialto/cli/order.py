"""`rialto order`: asking for what was agreed, probing it, suspending it, ending it.

An item is written AGREEMENT/LABEL, as `rialto agreement list` shows it; AGREEMENT alone means all of them.
"""

from __future__ import annotations

import time
from pathlib import Path

import click
from rich.table import Table

from rialto.cli import agreed, frame, show
from rialto.control import ask

REASONS = ("non_payment", "credit_limit", "security", "abuse", "regulatory", "maintenance", "mutual")

DAY_NS = 86400 * agreed.NANO


@click.group(epilog=frame.examples("rialto order place contoso cy", "rialto order list"))
def order() -> None:
    """Ask for what was agreed, and see it become active."""


@order.command(epilog=frame.examples("rialto order place contoso cy/message cy/presence"))
@frame.instance_options
@agreed.actor_option
@click.option("--form", multiple=True, metavar="KEY=VALUE", help="What a network wants to know.")
@click.argument("operator")
@click.argument("items", nargs=-1, required=True, metavar="ITEM...")
def place(
    config_path: Path,
    data_dir: Path | None,
    actor: str,
    form: tuple[str, ...],
    operator: str,
    items: tuple[str, ...],
) -> None:
    """Order items of agreements, for a party."""
    with agreed.registry(config_path, data_dir) as registry:
        one = registry.order(actor, operator, items, dict(entry.partition("=")[::2] for entry in form))
        state = registry.orders()[-1][1]
        click.echo(f"ordered: {one.id}, {state}")
        if one.due_ns is not None:
            click.echo(f"due: {agreed.show_instant(one.due_ns)}")


@order.command("list", epilog=frame.examples("rialto order list", "rialto order list --json"))
@frame.instance_options
@frame.json_option
def list_(config_path: Path, data_dir: Path | None, as_json: bool) -> None:
    """List orders, where each stands, and what is due."""
    from rialto.clearing.agreements.names import label

    with agreed.registry(config_path, data_dir) as registry:
        operators = {one.id: one.name for one in registry.written.operators()}
        agreements = {one.id: one.name for one in registry.written.versions()}
        items = {one.id: f"{agreements[one.agreement_id]}/{label(one)}" for one in registry.written.items()}
        rows = [
            {
                "id": one.id,
                "requester": operators.get(one.requester, one.requester),
                "state": state.value,
                "placed": agreed.show_instant(one.at_ns),
                "due": agreed.show_instant(one.due_ns),
                "days_left": None if one.due_ns is None else (one.due_ns - time.time_ns()) // DAY_NS,
                "form": one.form,
                "items": {items[item_id]: stands.value for item_id, stands in states.items()},
                "why": {items[item_id]: reason for item_id in states if (reason := registry.why(item_id))},
            }
            for one, state, states in registry.orders()
        ]
    if as_json:
        frame.write_json(rows)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("ID", "for", "state", "placed", "due", "items"):
        table.add_column(name, overflow="fold", no_wrap=name == "ID")
    for row in rows:
        stands, why = row["items"], row["why"]
        assert isinstance(stands, dict)
        assert isinstance(why, dict)
        due = f"{row['due']} ({row['days_left']} days)" if row["due"] else ""
        lines = [f"{name}: {state} {why.get(name, '')}".rstrip() for name, state in stands.items()]
        table.add_row(
            str(row["id"]),
            show.safe(str(row["requester"])),
            str(row["state"]),
            str(row["placed"]),
            due,
            show.safe("\n".join(lines)),
        )
    frame.console().print(table if rows else "there is no order")


@order.command(epilog=frame.examples("rialto order probe cy --a test@contoso.example --b test@yahoo.example"))
@frame.instance_options
@agreed.actor_option
@click.option("--a", "person_a", required=True, metavar="ADDRESS", help="Who answers at the first party.")
@click.option("--b", "person_b", required=True, metavar="ADDRESS", help="Who answers at the second.")
@click.option("--wait", "wait_s", default=10.0, show_default=True, help="Seconds for each answer.")
@click.argument("item")
def probe(
    config_path: Path,
    data_dir: Path | None,
    actor: str,
    person_a: str,
    person_b: str,
    wait_s: float,
    item: str,
) -> None:
    """Try it over the wire with both sides, and make it active.

    The running server writes to somebody at either side, waits for the receipt, and asks for presence; both
    must let themselves be watched. What was seen is kept as evidence, and only if all of it was does the
    item become active.

    Exit code: 1 if something was not seen.
    """
    answer = ask(
        frame.socket_of(frame.folder(config_path, data_dir)),
        "try_agreement",
        timeout_s=4 * wait_s + 30,
        which=item,
        actor=actor,
        a=person_a,
        b=person_b,
        wait_s=wait_s,
    )
    for leg in answer["legs"]:
        mark = "yes" if leg["ok"] else "NO "
        click.echo(
            show.plain(f"{mark} {leg['what']:<8} {leg['address']}: {leg['text']} ({leg['took_ms']} ms)")
        )
    if not answer["active"]:
        frame.no(f"{item} is not active", "see to what was not seen, and probe again")
    click.echo(f"active: {item}")


@order.command(epilog=frame.examples("rialto order suspend cy credit_limit --to 2027-02-01"))
@frame.instance_options
@agreed.actor_option
@agreed.from_option
@click.option("--to", "end", metavar="INSTANT", help="Until when; default: until it is reinstated.")
@click.argument("item")
@click.argument("reason", type=click.Choice(REASONS))
def suspend(
    config_path: Path,
    data_dir: Path | None,
    actor: str,
    begin: str | None,
    end: str | None,
    item: str,
    reason: str,
) -> None:
    """Stop an item for a while; the reason says what still flows."""
    from rialto.model.agreement import STILL_FLOWS, Suspension

    with agreed.registry(config_path, data_dir) as registry:
        registry.suspend(actor, item, Suspension(reason), at=agreed.instant(begin), to=agreed.instant(end))
        flows = ", ".join(sorted(STILL_FLOWS[reason])) or "nothing"
        click.echo(f"suspended: {item}; still flows: {flows}")


@order.command(epilog=frame.examples("rialto order notice cy 2027-12-31"))
@frame.instance_options
@agreed.actor_option
@click.option("--why", default="", help="What was said.")
@click.argument("item")
@click.argument("end", metavar="INSTANT")
def notice(config_path: Path, data_dir: Path | None, actor: str, why: str, item: str, end: str) -> None:
    """Give notice: an item goes on until an instant, then ends."""
    with agreed.registry(config_path, data_dir) as registry:
        registry.notice(actor, item, agreed.instant(end) or 0, why)
        click.echo(f"ends: {item}")


@order.command(epilog=frame.examples("rialto order step cy reinstate"))
@frame.instance_options
@agreed.actor_option
@click.option("--why", default="", help="What is said of it; for hold and reject.")
@click.argument("item")
@click.argument(
    "verb", type=click.Choice(("hold", "resume", "reject", "withdraw", "retry", "reinstate", "archive"))
)
def step(config_path: Path, data_dir: Path | None, actor: str, why: str, item: str, verb: str) -> None:
    """Take an item a step on in its life."""
    with agreed.registry(config_path, data_dir) as registry:
        match verb:
            case "hold":
                registry.hold(actor, item, why)
            case "reject":
                registry.reject(actor, item, why)
            case _:
                getattr(registry, verb)(actor, item)
        click.echo(f"{verb}: {item}")
