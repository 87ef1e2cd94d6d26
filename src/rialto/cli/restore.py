"""`rialto restore`: put a backup back in its place, and never lose what was there."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import time
from pathlib import Path

import click

from rialto.cli import frame, show
from rialto.cli.backup import unsound
from rialto.store.lock import Lock


@click.command(
    epilog=frame.examples(
        "systemctl stop rialto && rialto restore /var/backups/rialto.db && systemctl start rialto"
    )
)
@frame.instance_options
@click.option("--force", is_flag=True, help="Also where a database is; that one is kept under another name.")
@click.argument("source", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def restore(config_path: Path, data_dir: Path | None, force: bool, source: Path) -> None:
    """Put a backup back in its place.

    The server must be stopped. FILE, written by `rialto backup`, is checked first. Messages that were
    waiting when the backup was made are delivered again at the next start, under the ids that they had,
    so peers that know stable ids drop the copies.
    """
    from rialto.store.store import FILE_NAME

    folder = frame.folder(config_path, data_dir)
    _check(source)
    folder.mkdir(parents=True, exist_ok=True, mode=0o750)
    target = folder / FILE_NAME
    with Lock(folder):
        if target.exists() and not force:
            frame.no(f"{target} is there already", "--force keeps it under another name, and goes on")
        fresh = folder / (FILE_NAME + ".new")
        shutil.copyfile(source, fresh)
        fresh.chmod(0o640)
        owner = folder.stat()
        if os.geteuid() == 0:  # the server must be able to write what root restores
            os.chown(fresh, owner.st_uid, owner.st_gid)
        with open(fresh, "rb") as file:
            os.fsync(file.fileno())
        kept = _set_aside(target)
        fresh.replace(target)
    click.echo(f"{target}: {show.size(target.stat().st_size)}, restored")
    if kept is not None:
        click.echo(f"what was there is kept as {kept}")


def _check(source: Path) -> None:
    from rialto.store.schema import SCHEMA_VERSION

    problem = unsound(source)
    if problem:
        frame.no(f"{source} is not sound: {problem}", "take another backup")
    with contextlib.closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as connection:
        try:
            versions = dict(
                connection.execute("SELECT key, value FROM meta WHERE key IN ('schema', 'compat')")
            )
        except sqlite3.Error:
            versions = {}
    if "schema" not in versions:
        frame.no(f"{source} is no database of Rialto", "give a file that `rialto backup` has written")
    if int(versions.get("compat", 0)) > SCHEMA_VERSION:
        frame.no(f"{source} was written by a later release", "install that release, then restore")


def _set_aside(target: Path) -> Path | None:
    """Keep the old database with its journal under another name."""
    if not target.exists():
        return None
    # Whatever is still in the journal goes into the file first, so that one file is the whole of it.
    with contextlib.closing(sqlite3.connect(target, timeout=30.0)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    for ending in ("-wal", "-shm"):
        target.with_name(target.name + ending).unlink(missing_ok=True)
    kept = target.with_name(f"{target.name}.before-{time.strftime('%Y%m%d-%H%M%S')}")
    return target.rename(kept)
