"""The writer: groups, order, and what happens when the disk says no."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from rialto.store import units
from rialto.store.store import Store
from rialto.store.writer import StoreError, Writer, connect

Told = list[tuple[str, str]]


def remember(key: str, value: Any = "x") -> units.Unit:
    """A unit that is easy to find again."""
    return [(units.REMEMBER, ("n", key, value, 1.0))]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database with its tables."""
    store = Store(tmp_path)
    store.close()
    return store.path


def kept(path: Path) -> list[str]:
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT key FROM memory ORDER BY key").fetchall()
    connection.close()
    return [row[0] for row in rows]


class Disk:
    """A connection whose disk can be made to fail: `broken` is the start of the statements that do."""

    def __init__(self, path: Path) -> None:
        self._connection = connect(path)
        self.broken = ""
        self.commits = 0

    def _check(self, sql: str) -> None:
        self.commits += sql == "COMMIT"
        if self.broken and sql.startswith(self.broken):
            raise sqlite3.OperationalError("database or disk is full")

    def execute(self, sql: str, *parameters: Any) -> Any:
        self._check(sql)
        return self._connection.execute(sql, *parameters)

    def executemany(self, sql: str, parameters: Any) -> Any:
        self._check(sql)
        return self._connection.executemany(sql, parameters)

    def close(self) -> None:
        self._connection.close()


def writer_on(path: Path) -> tuple[Writer, list[Disk]]:
    disks: list[Disk] = []

    def broken_connect(path: Path) -> Any:
        disks.append(Disk(path))
        return disks[0]

    return Writer(path, connect=broken_connect), disks


def note(told: Told, name: str) -> Any:
    return lambda error: told.append((name, "failed" if error else "written"))


async def test_what_is_submitted_together_shares_one_commit_and_is_told_in_order(path: Path) -> None:
    writer = Writer(path)
    writer.start()
    told: Told = []
    for number in range(100):
        writer.submit(remember(f"{number:03}"), note(told, f"{number:03}"))
    await writer.flush()
    assert writer.commits == 1
    assert told == [(f"{number:03}", "written") for number in range(100)]
    await writer.stop()
    assert kept(path) == [name for name, _ in told]


async def test_what_comes_while_a_commit_is_under_way_goes_into_the_next(path: Path) -> None:
    writer = Writer(path)
    writer.start()
    told: Told = []
    for number in range(5000):
        writer.submit(remember(f"{number:04}"), note(told, f"{number:04}"))
        if number % 500 == 0:
            await asyncio.sleep(0)
    await writer.flush()
    assert writer.commits < 20
    assert [name for name, _ in told] == sorted(name for name, _ in told)
    assert len(told) == 5000
    await writer.stop()


async def test_what_has_time_goes_with_what_has_none(path: Path) -> None:
    writer = Writer(path)
    writer.start()
    told: Told = []
    writer.submit(remember("patient"), note(told, "patient"), within_s=3600.0)
    await asyncio.sleep(0)
    assert writer.backlog == 1
    await writer.write(remember("urgent"))
    assert (writer.commits, told) == (1, [("patient", "written")])
    await writer.stop()


async def test_what_has_time_is_written_if_nothing_else_comes(path: Path) -> None:
    writer = Writer(path)
    writer.start()
    for number in range(2):  # and again, when that is over
        written = asyncio.Event()
        writer.submit(remember(f"{number}"), lambda error, written=written: written.set(), within_s=0.001)
        await written.wait()
    assert kept(path) == ["0", "1"]
    await writer.stop()


async def test_one_bad_unit_harms_no_other(path: Path) -> None:
    writer = Writer(path)
    writer.start()
    told: Told = []
    writer.submit(remember("a"), note(told, "a"))
    writer.submit([*remember("half"), *remember("bad", None)], note(told, "bad"))
    writer.submit(remember("surrogate", "\ud800"), note(told, "surrogate"))
    writer.submit(remember("huge", 2**70), note(told, "huge"))
    writer.submit(remember("z"), note(told, "z"))
    await writer.flush()
    assert told == [
        ("a", "written"),
        ("bad", "failed"),
        ("surrogate", "failed"),
        ("huge", "failed"),
        ("z", "written"),
    ]
    await writer.stop()
    assert kept(path) == ["a", "z"]


@pytest.mark.parametrize("broken", ["BEGIN", "INSERT", "COMMIT"])
async def test_a_full_disk_fails_everything_and_then_it_works_again(path: Path, broken: str) -> None:
    writer, disks = writer_on(path)
    writer.start()
    told: Told = []
    disks[0].broken = broken
    writer.submit(remember("a"), note(told, "a"))
    writer.submit(remember("b"), note(told, "b"))
    await writer.flush()
    assert told == [("a", "failed"), ("b", "failed")]
    disks[0].broken = ""
    writer.submit(remember("c"), note(told, "c"))
    await writer.flush()
    await writer.stop()
    assert told[2:] == [("c", "written")]
    assert kept(path) == ["c"]


async def test_a_disk_that_fails_in_the_middle_of_a_batch_leaves_nothing_behind(path: Path) -> None:
    writer, disks = writer_on(path)
    writer.start()
    told: Told = []
    disks[0].broken = "ROLLBACK TO"  # what SQLite says when the failure has undone the whole transaction
    writer.submit(remember("a"), note(told, "a"))
    writer.submit(remember("bad", None), note(told, "bad"))
    await writer.flush()
    assert told == [("a", "failed"), ("bad", "failed")]
    disks[0].broken = ""
    await writer.stop()
    assert kept(path) == []


async def test_a_callback_that_raises_harms_no_other(path: Path) -> None:
    writer = Writer(path)
    writer.start()
    told: Told = []

    def raises(error: object) -> None:
        raise ZeroDivisionError

    writer.submit(remember("a"), raises)
    writer.submit(remember("b"), note(told, "b"))
    await writer.flush()
    assert told == [("b", "written")]
    await writer.stop()


async def test_write_raises_what_went_wrong(path: Path) -> None:
    writer = Writer(path)
    writer.start()
    with pytest.raises(StoreError, match="NOT NULL"):
        await writer.write(remember("bad", None))
    await writer.stop()


async def test_flush_waits_for_what_is_there_and_drain_for_what_follows(path: Path) -> None:
    writer = Writer(path)
    writer.start()
    told: Told = []

    def again(left: int) -> Any:
        def done(error: object) -> None:
            told.append((str(left), "written"))
            if left:
                writer.submit(remember(str(left)), again(left - 1))

        return done

    writer.submit(remember("first"), again(5))
    await writer.flush()
    assert told[0] == ("5", "written")
    assert len(told) < 6  # under a steady stream of messages it would never end otherwise
    await writer.drain()
    assert len(told) == 6
    await writer.stop()


async def test_after_the_end_nothing_is_said_to_be_written(path: Path) -> None:
    writer = Writer(path)
    writer.start()
    await writer.stop()
    await writer.stop()
    with pytest.raises(StoreError, match="closed"):
        await writer.write(remember("late"))
    await writer.flush()
    assert kept(path) == []


async def test_in_one_batch_a_row_is_inserted_before_it_is_changed(path: Path) -> None:
    writer = Writer(path)
    writer.start()
    row = (
        "1",
        "message",
        "a@x",
        "b@y",
        "x",
        "",
        "",
        "sip",
        "y",
        "queued",
        "",
        1,
        0,
        1,
        1.0,
        2.0,
        None,
        None,
        b"",
        "1\n",
    )
    settle: units.Unit = [(units.SETTLE, ("sent", "", 1, 1, 3.0, 0, "3\n", "1"))]
    for unit in (settle, [(units.NOTE, ("sip", "y", 1, "2\n", "1"))], [(units.INSERT_MESSAGE, row)]):
        writer.submit(unit, lambda error: None)  # type: ignore[arg-type]
    await writer.flush()
    await writer.stop()
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT state, content, trail FROM message").fetchall() == [
        ("sent", None, "1\n2\n3\n")
    ]
    connection.close()


@pytest.mark.parametrize("count", [1, units.ROWS_AT_ONCE, 3 * units.ROWS_AT_ONCE - 1])
async def test_rows_that_go_in_together_all_go_in(path: Path, count: int) -> None:
    writer = Writer(path)
    writer.start()
    told: Told = []
    for number in range(count):
        row = (f"{number:03}/message", f"{number:03}", "message", 1.0, "x", "y", "x", "y", "sent", number, 1)
        row += ("item", 1, "decision")
        writer.submit([(units.INSERT_USAGE, row)], note(told, f"{number:03}"))
    await writer.flush()
    await writer.stop()
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT message_id, size_bytes FROM usage ORDER BY event_id").fetchall()
    connection.close()
    assert rows == [(f"{number:03}", number) for number in range(count)]
    assert told == [(name, "written") for name, _ in rows]
