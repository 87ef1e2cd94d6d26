"""`rialto backup` and `rialto restore`: nothing is lost on the way out, nor on the way back."""

from __future__ import annotations

import os
import sqlite3
import threading
from pathlib import Path

import pytest

from cli.running import Server, run
from rialto.model.errors import ConfigError
from rialto.store.lock import Lock
from rialto.store.store import Store


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    """A data folder with one message in it, and no server."""
    server = Server(tmp_path)
    server.run("send", "--wait", "10", "echo@test.example", "Hello")
    assert server.stop() == 0
    return tmp_path


def test_a_backup_of_a_running_server_brings_its_messages_back(server: Server, tmp_path: Path) -> None:
    message_id = server.run("send", "--wait", "10", "--json", "echo@test.example", "Hello").data["id"]
    target = tmp_path / "copy.db"
    result = server.run("backup", target)
    assert result.code == 0
    assert str(target) in result.out
    assert target.stat().st_mode & 0o077 == 0
    folder = tmp_path / "elsewhere"
    assert run("restore", target, "--data-dir", folder).code == 0
    assert message_id in run("trail", message_id, "--data-dir", folder).out


def test_a_backup_replaces_nothing_unless_forced(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    target.write_text("precious")
    result = server.run("backup", target)
    assert result.code == 1
    assert target.read_text() == "precious"
    assert server.run("backup", "--force", target).code == 0
    assert target.read_bytes().startswith(b"SQLite format 3")


def test_a_backup_is_of_one_instant_while_the_server_writes(tmp_path: Path) -> None:
    Store(tmp_path).close()
    source = sqlite3.connect(tmp_path / "rialto.db", check_same_thread=False, isolation_level=None)
    source.execute("CREATE TABLE filler (n INTEGER, text TEXT)")
    source.execute(
        "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 3000)"
        " INSERT INTO filler SELECT n, hex(zeroblob(500)) FROM n"
    )
    steps = []
    store = Store(tmp_path, read_only=True)
    for left, total in store.backup(tmp_path / "copy.db", pages=50):
        # The server goes on writing between two steps, which would start a naive copy over again.
        source.execute("INSERT INTO filler VALUES (0, 'late')")
        steps.append((left, total))
    store.close()
    source.close()
    assert len(steps) > 5
    assert steps[-1][0] == 0
    with sqlite3.connect(tmp_path / "copy.db") as copy:
        assert copy.execute("SELECT count(*) FROM filler").fetchone() == (3000,)
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    copy.close()


def test_a_backup_that_fails_says_so_and_leaves_no_thread(tmp_path: Path) -> None:
    Store(tmp_path).close()
    store = Store(tmp_path, read_only=True)
    with pytest.raises((sqlite3.Error, OSError)):
        list(store.backup(tmp_path / "no" / "such" / "folder.db"))
    store.close()
    assert "backup" not in [thread.name for thread in threading.enumerate()]


def test_a_restore_keeps_its_hands_off_a_running_server(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    server.run("backup", target)
    result = server.run("restore", "--force", target)
    assert result.code == 1
    assert "no other server is using" in result.err
    assert server.run("peers").code == 0


def test_a_restore_replaces_nothing_unless_forced_and_keeps_what_was_there(stopped: Path) -> None:
    config, copy = stopped / "rialto.toml", stopped / "copy.db"
    assert run("backup", copy, "--config", config).code == 0
    refused = run("restore", copy, "--config", config)
    assert refused.code == 1
    assert "is there already" in refused.err
    before = run("trail", "--last", "5", "--json", "--config", config).data
    forced = run("restore", "--force", copy, "--config", config)
    assert forced.code == 0
    kept = list((stopped / "data").glob("rialto.db.before-*"))
    assert len(kept) == 1
    assert str(kept[0]) in forced.out
    assert run("trail", "--last", "5", "--json", "--config", config).data == before
    with sqlite3.connect(kept[0]) as old:
        assert old.execute("SELECT count(*) FROM message").fetchone() == (len(before),)
    old.close()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"not a database at all, but long enough to be one" * 100, "is not sound"),
        (b"", "is no database of Rialto"),
    ],
)
def test_what_is_no_backup_is_not_restored(tmp_path: Path, content: bytes, words: str) -> None:
    source = tmp_path / "copy.db"
    source.write_bytes(content)
    result = run("restore", source, "--data-dir", tmp_path / "data")
    assert result.code == 1
    assert words in result.err
    assert not (tmp_path / "data").exists()


def test_a_damaged_backup_is_not_restored(stopped: Path) -> None:
    copy = stopped / "copy.db"
    run("backup", copy, "--config", stopped / "rialto.toml")
    data = bytearray(copy.read_bytes())
    data[8192:16384] = b"\xff" * 8192
    copy.write_bytes(data)
    result = run("restore", copy, "--data-dir", stopped / "elsewhere")
    assert result.code == 1
    assert "is not sound" in result.err


def test_a_backup_of_a_later_release_is_not_restored(stopped: Path) -> None:
    copy = stopped / "copy.db"
    run("backup", copy, "--config", stopped / "rialto.toml")
    with sqlite3.connect(copy) as later:
        later.execute("UPDATE meta SET value = '999' WHERE key = 'compat'")
    later.close()
    result = run("restore", copy, "--data-dir", stopped / "elsewhere")
    assert result.code == 1
    assert "written by a later release" in result.err


def test_a_lock_is_for_one_and_ends_with_its_holder(tmp_path: Path) -> None:
    first, second = Lock(tmp_path), Lock(tmp_path)
    first.take()
    with pytest.raises(ConfigError, match="no other server"):
        second.take()
    first.release()
    with second:
        pass


def test_what_root_locks_and_restores_stays_the_servers(
    stopped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy, folder = stopped / "copy.db", stopped / "elsewhere"
    run("backup", copy, "--config", stopped / "rialto.toml")
    folder.mkdir()
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "chown", lambda _, *owner: given.append(owner))
    monkeypatch.setattr(os, "fchown", lambda _, *owner: given.append(owner))
    assert run("restore", copy, "--data-dir", folder).code == 0
    assert given == [(folder.stat().st_uid, folder.stat().st_gid)] * 2
