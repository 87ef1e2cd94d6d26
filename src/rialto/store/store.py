"""The database file of one instance: opening, upgrading, reading, backing up.

Reading is for start-up, the command line and the rare bounce; it uses its own connections and never blocks
the writer (write-ahead log). Whoever is on the event loop calls the reading methods in a thread.
"""

from __future__ import annotations

import contextlib
import queue
import secrets
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, Select, create_engine, literal_column, select

from rialto.model.errors import ConfigError
from rialto.store.schema import COMPAT_VERSION, SCHEMA_VERSION, message, meta, watch
from rialto.store.writer import Writer

FILE_NAME = "rialto.db"


class Row(msgspec.Struct, frozen=True):
    """One message or report as the store has it; the columns are explained in `schema`."""

    id: str
    type: str
    sender: str
    recipient: str
    origin_peer: str
    origin_id: str
    about: str
    network: str
    peer: str
    state: str
    reason: str
    certain: int
    attempts: int
    size_bytes: int
    received_at: float
    expires_at: float
    settled_at: float | None
    stable_key: bytes | None
    content: bytes | None
    trail: str


class WatchRow(msgspec.Struct, frozen=True, gc=False):
    """One pair of watcher and presentity as the store has it; the columns are explained in `schema`."""

    watcher_local: str
    watcher_domain: str
    presentity_local: str
    presentity_domain: str
    watcher_peer: str
    presentity_peer: str
    state: str
    reason: str
    text: str
    note: str
    changed_at: float
    listening: int
    until: float | None
    owed: str
    document: bytes | None
    told_state: str
    told: bytes | None
    watcher_data: bytes | None
    presentity_data: bytes | None
    history: str


_COLUMNS = [message.c[name] for name in Row.__struct_fields__]
_WATCH_COLUMNS = [watch.c[name] for name in WatchRow.__struct_fields__]


class Store:
    """One instance's database below `folder`.

    Raises ConfigError when it is of a later, incompatible release.
    """

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        self.path = folder / FILE_NAME
        if read_only:
            if not self.path.exists():
                raise ConfigError(
                    str(self.path), "a database of Rialto", "start the server once, or name its data_dir"
                )
        else:
            try:
                folder.mkdir(parents=True, exist_ok=True, mode=0o750)
                self._upgrade()
            except (OSError, sqlite3.Error) as error:
                raise ConfigError(
                    str(self.path), f"a database that can be opened ({error})", "see who owns it, or restore"
                ) from error
        self._engine = create_engine(f"sqlite:///{self.path}")
        self.writer = Writer(self.path)

    def close(self) -> None:
        """Let the file go; the writer must have been stopped."""
        self._engine.dispose()

    # -- versions --------------------------------------------------------------------------------------

    def _upgrade(self) -> None:
        with contextlib.closing(sqlite3.connect(self.path)) as connection:
            self.path.chmod(0o640)
            known = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone()
            versions = dict(connection.execute("SELECT key, value FROM meta").fetchall()) if known else {}
        found, compat = int(versions.get("schema", 0)), int(versions.get("compat", 0))
        if compat > SCHEMA_VERSION:
            raise ConfigError(
                str(self.path),
                f"a schema that release {SCHEMA_VERSION} can read, not one that needs {compat}",
                "install the later release again, or restore the backup made before the upgrade",
            )
        if found >= SCHEMA_VERSION:
            return
        # Alembic is slow to import, and wanted once in the life of a release.
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", "rialto.store:migrations")
        config.set_main_option("path_separator", "os")
        config.set_main_option("sqlalchemy.url", f"sqlite:///{self.path}")
        command.upgrade(config, "head")
        with contextlib.closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute("PRAGMA journal_mode=WAL").fetchall()
            connection.executemany(
                "INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)",
                [("schema", str(SCHEMA_VERSION)), ("compat", str(COMPAT_VERSION))],
            )

    def secret(self, name: str) -> bytes:
        """32 random bytes, made at first use and the same for ever after."""
        with contextlib.closing(sqlite3.connect(self.path, timeout=30.0)) as connection, connection:
            connection.execute(
                "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT DO NOTHING",
                (f"secret:{name}", secrets.token_hex(32)),
            )
            row = connection.execute("SELECT value FROM meta WHERE key = ?", (f"secret:{name}",)).fetchone()
        return bytes.fromhex(row[0])

    # -- reading ---------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self._engine.connect() as connection:
            yield connection

    def _rows(self, query: Select[Any]) -> list[Row]:
        with self._reading() as connection:
            return [Row(*row) for row in connection.execute(query)]

    def queued(self, *, after: str = "", most: int = 1000) -> list[Row]:
        """What is still to be delivered, oldest first, beginning after that id."""
        return self._rows(
            select(*_COLUMNS)
            .where(message.c.state == "queued", message.c.id > after)
            .order_by(message.c.id)
            .limit(most)
        )

    def row(self, message_id: str) -> Row | None:
        """The message of that id of ours."""
        rows = self._rows(select(*_COLUMNS).where(message.c.id == message_id))
        return rows[0] if rows else None

    def find(self, which: str) -> list[Row]:
        """The message of that id, ours or its sender's, and the reports about it; oldest first."""
        # Each condition has its index; that the partial ones may be used is said in so many words.
        named = message.c.origin_id == which, message.c.origin_id != literal_column("''")
        with self._reading() as connection:
            ids = set(connection.scalars(select(message.c.id).where(message.c.id == which)))
            ids |= set(connection.scalars(select(message.c.id).where(*named).limit(100)))
        speaks_of = message.c.about.in_(ids), message.c.about != literal_column("''")
        found = self._rows(select(*_COLUMNS).where(message.c.id.in_(ids)))
        found += self._rows(select(*_COLUMNS).where(*speaks_of))
        return sorted({row.id: row for row in found}.values(), key=lambda row: row.id)

    def with_receipts(self, message_id: str) -> tuple[Row | None, list[str]]:
        """The message of that id of ours, and the trails of the receipts for it."""
        given = (
            select(message.c.trail)
            .where(message.c.about == message_id, message.c.about != literal_column("''"))
            .where(message.c.type == "receipt")
            .limit(16)
        )
        with self._reading() as connection:
            return self.row(message_id), list(connection.scalars(given))

    def by_origin_id(self, origin_id: str, *, most: int = 50) -> list[Row]:
        """The messages that their senders called so, newest first."""
        named = message.c.origin_id == origin_id, message.c.origin_id != literal_column("''")
        return self._rows(select(*_COLUMNS).where(*named).order_by(message.c.id.desc()).limit(most))

    def latest(self, *, most: int, state: str = "") -> list[Row]:
        """The newest messages, newest first."""
        query = select(*_COLUMNS).order_by(message.c.id.desc()).limit(most)
        return self._rows(query.where(message.c.state == state) if state else query)

    def stable_keys(self, since: str, *, most: int) -> list[tuple[bytes, str, str]]:
        """(key, id, state) of the newest that came after that id and had a stable name, oldest first."""
        query = (
            select(message.c.stable_key, message.c.id, message.c.state)
            .where(message.c.id > since, message.c.stable_key.is_not(None))
            .order_by(message.c.id.desc())
            .limit(most)
        )
        with self._reading() as connection:
            return [(row[0], row[1], row[2]) for row in connection.execute(query)][::-1]

    def finished_before(self, before: str) -> bool:
        """Whether anything that is finished has a lower id."""
        query = select(message.c.id).where(message.c.id < before, message.c.state != "queued").limit(1)
        with self._reading() as connection:
            return connection.scalar(query) is not None

    def last_id(self) -> str:
        """The highest id ever given; empty for a new database."""
        with self._reading() as connection:
            return connection.scalar(select(message.c.id).order_by(message.c.id.desc()).limit(1)) or ""

    def memories(self, network: str, *, most: int) -> dict[str, str]:
        """The newest of what a network wanted remembered."""
        from rialto.store.schema import memory

        query = (
            select(memory.c.key, memory.c.value)
            .where(memory.c.network == network)
            .order_by(memory.c.at.desc())
            .limit(most)
        )
        with self._reading() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def watches(self) -> Iterator[WatchRow]:
        """Every pair, without its history."""
        query = select(*_WATCH_COLUMNS[:-1], literal_column("''"))
        with self._reading() as connection:
            for row in connection.execution_options(yield_per=1000).execute(query):
                yield WatchRow(*tuple(row))

    def watch(self, watcher: tuple[str, str], presentity: tuple[str, str]) -> WatchRow | None:
        """One pair, each as (local part, domain); None where there is none."""
        query = select(*_WATCH_COLUMNS).where(
            watch.c.watcher_local == watcher[0],
            watch.c.watcher_domain == watcher[1],
            watch.c.presentity_local == presentity[0],
            watch.c.presentity_domain == presentity[1],
        )
        with self._reading() as connection:
            row = connection.execute(query).first()
        return WatchRow(*tuple(row)) if row is not None else None

    def versions(self) -> dict[str, str]:
        """The schema's version and compat version, as recorded."""
        with self._reading() as connection:
            rows = connection.execute(
                select(meta.c.key, meta.c.value).where(meta.c.key.in_(("schema", "compat")))
            )
            return {row[0]: row[1] for row in rows}

    # -- backup ----------------------------------------------------------------------------------------

    @property
    def page_bytes(self) -> int:
        """The size of a page, the unit of `backup`'s progress."""
        with contextlib.closing(sqlite3.connect(self.path)) as connection:
            return int(connection.execute("PRAGMA page_size").fetchone()[0])

    def backup(self, target: Path, *, pages: int = 2000) -> Iterator[tuple[int, int]]:
        """Copy the live database to `target`, consistently; yields (pages left, pages in all) as it goes.

        The source is held in one read transaction, so it is copied as it was at one instant and the copy need
        not begin again whenever the server writes. Copying happens in a thread of its own.
        """
        target.touch(mode=0o640)  # it holds secrets and what people wrote
        progress: queue.SimpleQueue[tuple[int, int] | BaseException | None] = queue.SimpleQueue()

        def copy_all() -> None:
            try:
                with (
                    contextlib.closing(sqlite3.connect(self.path, timeout=30.0)) as source,
                    contextlib.closing(sqlite3.connect(target)) as copy,
                ):
                    source.execute("BEGIN")
                    source.execute("SELECT count(*) FROM meta").fetchone()
                    source.backup(copy, pages=pages, progress=lambda _, *step: progress.put(step))
                progress.put(None)
            except BaseException as error:
                progress.put(error)

        copying = threading.Thread(target=copy_all, name="backup")
        copying.start()
        try:
            while (step := progress.get()) is not None:
                if isinstance(step, BaseException):
                    raise step
                yield step
        finally:
            copying.join()
