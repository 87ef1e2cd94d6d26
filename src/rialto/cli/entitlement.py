"""`rialto entitlement`: which users are licensed for what, and have said yes to it."""

from __future__ import annotations

import csv
from pathlib import Path

import click
from rich.progress import Progress

from rialto.cli import agreed, frame, show

METRICS = ("named_user", "assigned_seat", "active_user", "high_water_mark", "pool")
NAMED = METRICS[:2]
USUAL = METRICS[0]


@click.group(epilog=frame.examples("rialto entitlement grant cy ann@contoso.example"))
def entitlement() -> None:
    """Grant, revoke, import and list licences of users."""


@entitlement.command(
    epilog=frame.examples(
        "rialto entitlement grant cy ann@contoso.example",
        "rialto entitlement grant cy/message '*@contoso.example' --metric pool --quantity 50",
    )
)
@frame.instance_options
@agreed.actor_option
@agreed.from_option
@click.option("--to", "end", metavar="INSTANT", help="Until when; default: until it is revoked.")
@click.option("--metric", type=click.Choice(METRICS), default=USUAL, show_default=True, help="What counts.")
@click.option("--quantity", default=1, show_default=True, help="How many seats.")
@click.argument("item")
@click.argument("holders", nargs=-1, required=True, metavar="HOLDER...")
def grant(
    config_path: Path,
    data_dir: Path | None,
    actor: str,
    begin: str | None,
    end: str | None,
    metric: str,
    quantity: int,
    item: str,
    holders: tuple[str, ...],
) -> None:
    """License holders for items of an agreement."""
    from rialto.model.agreement import Metric

    with agreed.registry(config_path, data_dir) as registry:
        count = registry.grant(
            actor, item, holders, metric=Metric(metric), quantity=quantity,
            at=agreed.instant(begin), to=agreed.instant(end),
        )  # fmt: skip
        click.echo(f"granted: {count}")


@entitlement.command(epilog=frame.examples("rialto entitlement revoke cy ann@contoso.example"))
@frame.instance_options
@agreed.actor_option
@agreed.from_option
@click.argument("item")
@click.argument("holders", nargs=-1, required=True, metavar="HOLDER...")
def revoke(
    config_path: Path,
    data_dir: Path | None,
    actor: str,
    begin: str | None,
    item: str,
    holders: tuple[str, ...],
) -> None:
    """End licences, now or at an instant."""
    with agreed.registry(config_path, data_dir) as registry:
        click.echo(f"revoked: {registry.revoke(actor, item, holders, agreed.instant(begin))}")


@entitlement.command("import", epilog=frame.examples("rialto entitlement import cy users.csv"))
@frame.instance_options
@agreed.actor_option
@agreed.from_option
@click.option("--metric", type=click.Choice(NAMED), default=USUAL, show_default=True, help="What counts.")
@click.argument("item")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def import_(
    config_path: Path,
    data_dir: Path | None,
    actor: str,
    begin: str | None,
    metric: str,
    item: str,
    file: Path,
) -> None:
    """License everybody in the first column of a CSV file.

    Who is licensed already stays so: the same file can be imported again.
    """
    from rialto.clearing.agreements.names import holder_of
    from rialto.clearing.agreements.registry import IMPORT_AT_ONCE
    from rialto.model.agreement import Metric

    with file.open(newline="", encoding="utf-8-sig") as lines:
        found = [row[0].strip() for row in csv.reader(lines) if row and "@" in row[0]]
    wanted = list(dict.fromkeys(holder_of(text) for text in found))
    with agreed.registry(config_path, data_dir) as registry:
        at = agreed.instant(begin)
        count = 0
        with Progress(console=frame.console(stderr=True), transient=True) as progress:
            for one in registry.items(item):
                fresh = registry.unlicensed(one.id, wanted, at)
                task = progress.add_task(one.service.value, total=len(fresh))
                for first in range(0, len(fresh), IMPORT_AT_ONCE):
                    some = fresh[first : first + IMPORT_AT_ONCE]
                    count += registry.grant(actor, one.id, some, metric=Metric(metric), at=at)
                    progress.advance(task, len(some))
        click.echo(f"granted: {count}")


@entitlement.command("list", epilog=frame.examples("rialto entitlement list cy --json"))
@frame.instance_options
@frame.json_option
@click.argument("item")
def list_(config_path: Path, data_dir: Path | None, as_json: bool, item: str) -> None:
    """List who is licensed, and from when to when."""
    from rialto.clearing.agreements.names import label

    with agreed.registry(config_path, data_dir) as registry:
        rows = [
            {
                "item": label(one),
                "holder": held.holder,
                "metric": held.metric.value,
                "quantity": held.quantity,
                "from": agreed.show_instant(held.from_ns),
                "to": agreed.show_instant(held.to_ns),
            }
            for one in registry.items(item)
            for held in registry.written.entitlements(one.id)
        ]
    if as_json:
        frame.write_json(rows)
        return
    for row in rows:
        until = f" to {row['to']}" if row["to"] else ""
        click.echo(show.plain(f"{row['item']}  {row['holder']}  {row['metric']}  from {row['from']}{until}"))
    if not rows:
        click.echo("nobody is licensed")


@entitlement.command(epilog=frame.examples("rialto entitlement consent ann@contoso.example yahoo yes"))
@frame.instance_options
@agreed.actor_option
@click.option(
    "--service",
    "services",
    type=click.Choice(("message", "presence", "session", "file")),
    multiple=True,
    help="Only for this service; may come again.",
)
@click.argument("user")
@click.argument("operator")
@click.argument("answer", type=click.Choice(("yes", "no")))
def consent(
    config_path: Path,
    data_dir: Path | None,
    actor: str,
    services: tuple[str, ...],
    user: str,
    operator: str,
    answer: str,
) -> None:
    """Write down that a user wants an operator's users, or not.

    It counts where an agreement asks its users (`opt_in`).
    """
    from rialto.model.agreement import Traffic

    with agreed.registry(config_path, data_dir) as registry:
        chosen = [Traffic(one) for one in services] or list(Traffic)
        registry.consent(actor, user, operator, chosen, given=answer == "yes")
        click.echo(f"{answer}: {user} with {operator}")
