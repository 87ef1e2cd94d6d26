"""`rialto queue`: what waits, why, and what to do with it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table

from rialto.cli import frame, show
from rialto.cli.trail import as_data
from rialto.control import ask
from rialto.core.trail import Stop, decode

if TYPE_CHECKING:
    from rialto.store.store import Row, Store


@click.group(epilog=frame.examples("rialto queue list", "rialto queue retry --all"))
def queue() -> None:
    """List what waits, try it now, or give it up."""


@queue.command("list", epilog=frame.examples("rialto queue list", "rialto queue list --peer kamailio --json"))
@frame.instance_options
@frame.json_option
@click.option("--peer", default="", help="Only what waits for this peer.")
@click.option("--most", type=click.IntRange(1, 100_000), default=100, show_default=True, help="How many.")
def list_(config_path: Path, data_dir: Path | None, as_json: bool, peer: str, most: int) -> None:
    """List what waits, oldest first; server or no server."""
    store = frame.open_store(frame.folder(config_path, data_dir))
    try:
        rows = _waiting(store, peer, most + 1)
    finally:
        store.close()
    more, rows = len(rows) > most, rows[:most]
    if as_json:
        frame.write_json([as_data(row) for row in rows])
        return
    out = frame.console()
    if not rows:
        out.print("nothing waits")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("ID", "waits", "expires in", "from", "to", "peer", "tries", "size", "last"):
        table.add_column(name, overflow="fold", no_wrap=name == "ID")
    now = time.time()
    for row in rows:
        table.add_row(
            row.id,
            show.span(now - row.received_at),
            show.span(row.expires_at - now),
            show.safe(row.sender),
            show.safe(row.recipient),
            show.safe(row.peer),
            str(row.attempts),
            show.size(row.size_bytes),
            show.safe(_last(row)),
        )
    out.print(table)
    if more:
        out.print(f"[dim]there are more: --most {most * 10}[/dim]")


@queue.command(
    epilog=frame.examples("rialto queue retry 019aa5c2e700000a1b2c3d4", "rialto queue retry --all")
)
@frame.instance_options
@frame.json_option
@click.option("--all", "every", is_flag=True, help="Everything that waits.")
@click.argument("message_ids", metavar="[ID]...", nargs=-1)
def retry(
    config_path: Path, data_dir: Path | None, as_json: bool, every: bool, message_ids: tuple[str, ...]
) -> None:
    """Try these messages now.

    What waits for the same destination is tried with them.

    Exit code: 1 if one of them was not waiting.
    """
    if every == bool(message_ids):
        raise click.UsageError("give IDs, or --all")
    socket = frame.socket_of(frame.folder(config_path, data_dir))
    if every:
        tried, missing = int(ask(socket, "retry")["retried"]), []
    else:
        results = {one: bool(ask(socket, "retry", id=one)["retried"]) for one in message_ids}
        tried, missing = sum(results.values()), [one for one, done in results.items() if not done]
    _done("retried", tried, missing, as_json)


@queue.command(epilog=frame.examples('rialto queue drop 019aa5c2e700000a1b2c3d4 --why "wrong number"'))
@frame.instance_options
@frame.json_option
@click.option("--why", default="dropped by the operator", show_default=True, help="What the sender is told.")
@click.argument("message_ids", metavar="ID...", nargs=-1, required=True)
def drop(
    config_path: Path, data_dir: Path | None, as_json: bool, why: str, message_ids: tuple[str, ...]
) -> None:
    """Give these messages up for good; their senders are told.

    Exit code: 1 if one of them was not waiting.
    """
    socket = frame.socket_of(frame.folder(config_path, data_dir))
    results = {one: bool(ask(socket, "drop", id=one, why=why)["dropped"]) for one in message_ids}
    _done("dropped", sum(results.values()), [one for one, done in results.items() if not done], as_json)


def _waiting(store: Store, peer: str, most: int) -> list[Row]:
    rows: list[Row] = []
    after = ""
    while len(rows) < most and (page := store.queued(after=after)):
        after = page[-1].id
        rows += [row for row in page if not peer or row.peer == peer]
    return rows[:most]


def _last(row: Row) -> str:
    """The last thing that went wrong; empty where nothing did."""
    tries = [event for event in decode(row.trail) if event.stop is Stop.TRIED]
    return tries[-1].text if tries else ""


def _done(what: str, count: int, missing: list[str], as_json: bool) -> None:
    if as_json:
        frame.write_json({what: count, "missing": missing})
    else:
        click.echo(f"{what}: {count}")
    if missing:
        frame.no(
            f"not waiting: {', '.join(missing)}",
            "`rialto queue list` shows what waits; what is on the wire cannot be stopped",
        )
