"""`rialto why`: why somebody is shown as they are; from the server, or without one from the database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.table import Table

from rialto.cli import frame, show
from rialto.control import ControlError, ask


@click.command(
    epilog=frame.examples(
        "rialto why romeo@montague.example juliet@capulet.example",
        "rialto why romeo@montague.example juliet@capulet.example --json",
    )
)
@frame.instance_options
@frame.json_option
@click.argument("watcher")
@click.argument("presentity")
def why(config_path: Path, data_dir: Path | None, as_json: bool, watcher: str, presentity: str) -> None:
    """Say why somebody is shown to a watcher as they are.

    One sentence about what WATCHER sees of PRESENTITY, and under it what led to that, step by step. The other
    direction is a pair of its own: ask with the two exchanged.

    Exit code: 1 if WATCHER has never asked.
    """
    folder = frame.folder(config_path, data_dir)
    try:
        answer = ask(frame.socket_of(folder), "why", watcher=watcher, presentity=presentity)
    except ControlError:
        if frame.socket_of(folder).exists():
            raise
        answer = _from_disk(folder, watcher, presentity)
    if as_json:
        frame.write_json(answer)
    if not answer["known"]:
        frame.no(show.plain(answer["sentence"]))
    if as_json:
        return
    out = frame.console()
    out.print(show.safe(answer["sentence"]))
    if answer["history"]:
        out.print(_history(answer["history"]))


def _history(entries: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 1, 0, 1))
    for _ in range(3):
        table.add_column(overflow="fold")
    for entry in entries:
        table.add_row(
            show.clock(entry["at"]), f"[bold]{show.safe(entry['what'])}[/bold]", show.safe(entry["text"])
        )
    return table


def _from_disk(folder: Path, watcher: str, presentity: str) -> dict[str, Any]:
    from rialto.core.presence.why import account, key
    from rialto.model.address import Address
    from rialto.model.presence import Pair

    pair = Pair(Address.parse(watcher).bare, Address.parse(presentity).bare)
    store = frame.open_store(folder)
    try:
        return account(pair, None, store.watch(*key(pair)))
    finally:
        store.close()
