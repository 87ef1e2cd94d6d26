"""The database file: its schema, its versions, what is found in it, and its backup."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path

import pytest
from alembic import op
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, inspect

from rialto.model.errors import ConfigError
from rialto.store import units
from rialto.store.schema import COMPAT_VERSION, SCHEMA_VERSION, metadata
from rialto.store.store import Store


def insert(
    number: int, state: str = "queued", origin_id: str = "", about: str = "", key: bytes | None = None
) -> units.Unit:
    row = (
        f"{number:023}", "report" if about else "message", "a@x", "b@y", "x", origin_id, about, "sip", "y",
        state, "", 1, 0, 5, 1.0, 2.0, None, key, b"body", "",
    )  # fmt: skip
    return [(units.INSERT_MESSAGE, row)]


def change(path: Path, sql: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute(sql)
    connection.commit()
    connection.close()


def test_the_migrations_make_what_the_schema_says(tmp_path: Path) -> None:
    store = Store(tmp_path)
    engine = create_engine(f"sqlite:///{store.path}")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        migrated = {
            row[0]: row[1] for row in connection.exec_driver_sql("SELECT name, sql FROM sqlite_master")
        }
        assert set(metadata.tables) <= set(inspect(connection).get_table_names())
    engine.dispose()
    store.close()
    fresh = create_engine("sqlite://")
    metadata.create_all(fresh)
    with fresh.connect() as connection:
        for name, sql in connection.exec_driver_sql(
            "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"
        ):
            assert _words(migrated[name]) == _words(sql), name
    fresh.dispose()


def _words(sql: str) -> list[str]:
    return sorted(sql.replace("(", " ( ").replace(")", " ) ").replace(",", " ").split())


def test_the_versions_are_recorded_and_a_second_opening_changes_nothing(tmp_path: Path) -> None:
    for _ in range(2):
        store = Store(tmp_path)
        assert store.versions() == {"schema": str(SCHEMA_VERSION), "compat": str(COMPAT_VERSION)}
        store.close()


def test_a_database_of_a_later_release_is_opened_while_it_is_compatible(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.close()
    change(store.path, f"UPDATE meta SET value = '{SCHEMA_VERSION + 1}' WHERE key = 'schema'")
    Store(tmp_path).close()
    change(store.path, f"UPDATE meta SET value = '{SCHEMA_VERSION + 1}' WHERE key = 'compat'")
    with pytest.raises(ConfigError) as refusal:
        Store(tmp_path)
    assert "later release" in refusal.value.remedy


def test_what_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "rialto.db").write_bytes(b"this is a letter to the editor" * 100)
    with pytest.raises(ConfigError, match=r"rialto\.db"):
        Store(tmp_path)


def test_reading_needs_a_database(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        Store(tmp_path, read_only=True)


def test_a_secret_is_made_once(tmp_path: Path) -> None:
    store = Store(tmp_path)
    secret = store.secret("x")
    assert len(secret) == 32
    assert store.secret("x") == secret
    assert store.secret("y") != secret
    store.close()


async def test_what_was_written_is_found_by_what_people_know_of_it(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.writer.start()
    first, second, third = (f"{number:023}" for number in (1, 2, 3))
    for unit in (
        insert(1, origin_id="m1", key=b"k1"),
        insert(2, "failed", key=b"k2"),
        insert(3, about=first),
        insert(4, "sent"),
    ):
        await store.writer.write(unit)
    assert [row.id for row in store.find("m1")] == [first, third]
    assert [row.id for row in store.find(first)] == [first, third]
    assert store.find("") == []
    assert [row.id for row in store.queued()] == [first, third]
    assert [row.id for row in store.queued(after=first)] == [third]
    assert store.stable_keys("", most=9) == [(b"k1", first, "queued"), (b"k2", second, "failed")]
    assert store.stable_keys("", most=1) == [(b"k2", second, "failed")]
    assert store.last_id() == f"{4:023}"
    assert [row.id for row in store.latest(most=1, state="failed")] == [second]
    assert store.finished_before(third)
    assert not store.finished_before(second)
    await store.writer.stop()
    store.close()


@pytest.mark.parametrize(
    "condition",
    [
        "origin_id = ? AND origin_id != ''",
        "about IN (?) AND about != ''",
        "id = ?",
        "id < ? AND state != 'queued'",
    ],
)
def test_no_question_reads_the_whole_table(tmp_path: Path, condition: str) -> None:
    store = Store(tmp_path)
    connection = sqlite3.connect(store.path)
    plan = connection.execute(
        f"EXPLAIN QUERY PLAN SELECT id FROM message WHERE {condition}", ("x",)
    ).fetchall()
    connection.close()
    store.close()
    assert all("SEARCH" in row[3] for row in plan)


async def test_a_backup_of_a_live_database_is_whole(tmp_path: Path) -> None:
    store = Store(tmp_path / "live")
    store.writer.start()
    for number in range(500):
        store.writer.submit(insert(number), lambda error: None)
    await store.writer.flush()
    (tmp_path / "copy").mkdir()
    target = tmp_path / "copy" / "rialto.db"
    for number, _ in enumerate(store.backup(target)):
        store.writer.submit(insert(1000 + number), lambda error: None)
    await store.writer.stop()
    store.close()
    assert not stat.S_IMODE(target.stat().st_mode) & 0o007
    copy = Store(tmp_path / "copy")
    assert len(copy.latest(most=2000)) >= 500
    copy.close()


def test_an_upgrade_that_is_interrupted_has_not_happened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:

        def power_cut(*arguments: object, **more: object) -> None:
            raise sqlite3.OperationalError("the light went out")

        patch.setattr(op, "create_index", power_cut)
        with pytest.raises(ConfigError, match="the light went out"):
            Store(tmp_path)
    store = Store(tmp_path)
    assert store.last_id() == ""
    store.close()
