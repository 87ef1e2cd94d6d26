"""`rialto files`: what is kept for people to fetch."""

from __future__ import annotations

import time
from pathlib import Path

import click
import msgspec
from rich.table import Table

from rialto.cli import frame, show
from rialto.control import ask
from rialto.core.files import StoredFile


@click.group(epilog=frame.examples("rialto files list", "rialto files remove TOKEN"))
def files() -> None:
    """List the files that can be fetched by a link, or remove one."""


@files.command("list", epilog=frame.examples("rialto files list", "rialto files list --peer kamailio --json"))
@frame.instance_options
@frame.json_option
@click.option("--peer", default=None, help="Only those that users of this peer sent.")
@click.option("--most", type=click.IntRange(1, 1000), default=100, show_default=True, help="How many.")
def list_(config_path: Path, data_dir: Path | None, as_json: bool, peer: str | None, most: int) -> None:
    """List the newest, oldest first, with the link of each."""
    answer = ask(frame.socket_of(frame.folder(config_path, data_dir)), "files", peer=peer, most=most)
    found = [msgspec.convert(entry["file"], StoredFile) for entry in answer["files"]]
    links = {entry["file"]["token"]: entry["url"] for entry in answer["files"]}
    if as_json:
        frame.write_json([{**msgspec.to_builtins(stored), "url": links[stored.token]} for stored in found])
        return
    out = frame.console()
    if not found:
        out.print("no files are kept")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("size", "type", "from", "expires in", "link"):
        table.add_column(name, overflow="fold")
    for stored in found:
        table.add_row(
            show.size(stored.size_bytes),
            show.safe(stored.media_type),
            show.safe(stored.peer),
            show.span(stored.expires_at - time.time()),
            show.safe(links[stored.token]),
        )
    out.print(table)
    if answer["more"]:
        out.print(f"and {answer['more']} older ones")


@files.command("remove", epilog=frame.examples("rialto files remove 0123456789abcdef0123456789abcdef"))
@frame.instance_options
@click.argument("token")
def remove(config_path: Path, data_dir: Path | None, token: str) -> None:
    """Remove a file before its time.

    TOKEN is the long part of its link.
    """
    answer = ask(frame.socket_of(frame.folder(config_path, data_dir)), "remove_file", token=token)
    if not answer["removed"]:
        raise click.ClickException("no such file")
    frame.console().print("removed")
