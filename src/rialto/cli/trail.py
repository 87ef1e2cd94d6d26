"""`rialto trail`: what became of a message, stop by stop; read from the database, server or no server."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from rialto.cli import frame, show
from rialto.core.trail import Event, Stop, decode

if TYPE_CHECKING:
    from rialto.store.store import Row

COLOURS = {"queued": "yellow", "sent": "green", "delivered": "green", "failed": "red", "dropped": "red"}


@click.command(
    epilog=frame.examples(
        "rialto trail 019aa5c2e700000a1b2c3d4",
        "rialto trail --last 5",
        "rialto trail --last 20 --state failed",
    )
)
@frame.instance_options
@frame.json_option
@click.option("--last", type=click.IntRange(1, 1000), metavar="N", help="List the newest messages instead.")
@click.option("--state", type=click.Choice(list(COLOURS)), help="With --last: only those in this state.")
@click.argument("message_id", metavar="ID", required=False)
def trail(
    config_path: Path,
    data_dir: Path | None,
    as_json: bool,
    last: int | None,
    state: str | None,
    message_id: str | None,
) -> None:
    """Show what became of a message, stop by stop.

    Each stop with its time, what was decided there, and why; which hops were encrypted, and how the far side
    was proven; and the reports and receipts that went home about it. ID is ours, or what the sender's side
    called the message: the id of its stanza, the branch of its Via.

    Exit code: 1 if there is no such message.
    """
    if (message_id is None) == (last is None):
        raise click.UsageError("give the ID of a message, or --last N")
    store = frame.open_store(frame.folder(config_path, data_dir))
    try:
        if message_id is None:
            _list(store.latest(most=last or 1, state=state or ""), as_json)
        else:
            _tell(message_id, store.find(message_id), as_json)
    finally:
        store.close()


def as_data(row: Row) -> dict[str, Any]:
    """A message or report as JSON has it."""
    data = {
        name: getattr(row, name)
        for name in row.__struct_fields__
        if name not in ("content", "stable_key", "trail", "certain")
    }
    return data | {
        "certain": bool(row.certain),
        "hops": [
            {"peer": peer, "proof": (noted or {}).get("proof"), "secured": (noted or {}).get("secured")}
            for peer, noted in hops(row)
        ],
        "trail": [
            {"at": event.at, "stop": event.stop.value, "text": event.text, "data": event.data}
            for event in decode(row.trail)
        ],
    }


def hops(row: Row) -> list[tuple[str, dict[str, Any] | None]]:
    """(peer, how the hop to it was secured): from the sender's peer to the recipient's, as far as it came.

    None where nothing was noted. `sealed` in the first names the schemes of end-to-end encryption.
    """
    events = decode(row.trail)
    came = next((event.data for event in events if event.stop is Stop.RECEIVED), None)
    way = (
        [(row.origin_peer, came if came is not None and "proof" in came else None)] if row.origin_peer else []
    )
    went = [event.data for event in events if event.stop in (Stop.SENT, Stop.DELIVERED)]
    if went:
        way.append((row.peer, went[-1] if "proof" in went[-1] else None))
    return way


def _hops(row: Row) -> str:
    """The same as a line for people; empty where there is nothing to say."""
    way = hops(row)
    if all(noted is None for _, noted in way):
        return ""
    sealed = [scheme for _, noted in way[:1] if noted is not None for scheme in noted.get("sealed", ())]
    said = [
        f"{peer}: "
        + (
            "not known"
            if noted is None
            else f"{'encrypted' if noted.get('secured') else 'not encrypted'}, proven by {noted['proof']}"
        )
        for peer, noted in way
    ]
    return " > ".join(said) + (f"; end to end: {', '.join(sealed)}" if sealed else "")


def _list(rows: list[Row], as_json: bool) -> None:
    if as_json:
        frame.write_json([as_data(row) for row in rows])
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("ID", "received", "from", "to", "over", "state", "why"):
        table.add_column(name, overflow="fold", no_wrap=name in ("ID", "received", "state"))
    for row in rows:
        table.add_row(
            row.id,
            show.clock(row.received_at),
            show.safe(row.sender),
            show.safe(row.recipient),
            show.safe(f"{row.origin_peer or 'here'} > {row.peer}"),
            _state(row),
            row.reason,
        )
    frame.console().print(table if rows else "no messages")


def _tell(message_id: str, rows: list[Row], as_json: bool) -> None:
    if as_json:
        frame.write_json([as_data(row) for row in rows])
    if not rows:
        frame.no(
            f"no message is known as {message_id}",
            "`rialto trail --last 20` lists the newest; finished ones are kept for queue.keep_days",
        )
    if as_json:
        return
    out = frame.console()
    for number, row in enumerate(rows):
        if number:
            out.print()
        subject = f"{row.type} about {row.about}" if row.about else row.type
        out.print(f"[bold]{subject} {row.id}[/bold]  {_state(row)}{_doubt(row)}")
        out.print(
            f"  from   {show.safe(row.sender)}  [dim]by {show.safe(row.origin_peer or 'this server')}[/dim]"
        )
        way = f"by {row.peer} over {row.network}"
        out.print(f"  to     {show.safe(row.recipient)}  [dim]{show.safe(way)}[/dim]")
        if row.origin_id:
            out.print(f"  their  {show.safe(row.origin_id)}")
        if secured := _hops(row):
            out.print(f"  hops   {show.safe(secured)}")
        out.print(stops(decode(row.trail)))


def stops(events: Iterable[Event]) -> Table:
    """A trail as a table: time, how long after the one before, stop, what happened."""
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 1, 0, 1))
    for column in ("right", "left", "right", "left", "left"):
        table.add_column(justify="right" if column == "right" else "left", overflow="fold")
    before: float | None = None
    for event in events:
        known = {key: value for key, value in event.data.items() if value not in ("", None)}
        data = ", ".join(f"{key}={_plain(value)}" for key, value in known.items())
        table.add_row(
            "",
            show.clock(event.at),
            "" if before is None else f"+{show.span(event.at - before)}",
            f"[bold]{event.stop.value}[/bold]",
            show.safe(event.text) + (f"  [dim]{show.safe(data)}[/dim]" if data else ""),
        )
        before = event.at
    return table


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _state(row: Row) -> str:
    return f"[{COLOURS[row.state]}]{row.state}[/]"


def _doubt(row: Row) -> str:
    if not row.reason:
        return ""
    return f" [red]{row.reason}[/red]" + ("" if row.certain else ", but it may have arrived all the same")
