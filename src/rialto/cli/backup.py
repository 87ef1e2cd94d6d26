"""`rialto backup`: a consistent copy of the database, while the server works on."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from rialto.cli import frame, show


@click.command(
    epilog=frame.examples(
        "rialto backup /var/backups/rialto.db", 'rialto backup "rialto-$(date +%F).db" && rclone copy ...'
    )
)
@frame.instance_options
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@click.argument("target", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path))
def backup(config_path: Path, data_dir: Path | None, force: bool, target: Path) -> None:
    """Copy the database while the server works on.

    FILE gets it as it was at one instant. In it are the waiting messages, the trails and the instance's
    secret, so keep it as safe as the server. The configuration and the certificates are not in it. FILE
    appears only when the copy is complete and has been found sound. `rialto restore` brings it back.
    """
    if target.exists() and not force:
        frame.no(f"{target} is there already", "another name, or --force")
    store = frame.open_store(frame.folder(config_path, data_dir))
    part = target.with_name(target.name + ".part")
    try:
        os.close(os.open(part, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600))
        with _progress() as progress:
            task = progress.add_task("copying", total=None)
            for left, total in store.backup(part):
                size = store.page_bytes
                progress.update(task, total=total * size, completed=(total - left) * size)
        problem = unsound(part)
        if problem:
            frame.no(f"the copy is not sound: {problem}", "look at the disk, then try again")
        with open(part, "rb") as file:
            os.fsync(file.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
        store.close()
    click.echo(f"{target}: {show.size(target.stat().st_size)}")


def unsound(path: Path) -> str:
    """What is wrong with a database file; empty if nothing is."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            found = [row[0] for row in connection.execute("PRAGMA integrity_check(10)")]
    except sqlite3.Error as error:
        return str(error)
    return "" if found == ["ok"] else "; ".join(found)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
