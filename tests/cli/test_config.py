"""`rialto config`: what may stand in the file, and what is wrong with it."""

from __future__ import annotations

import tomllib
from pathlib import Path

from cli.running import LOOPBACK, run
from rialto import config
from rialto.cli.describe import tables


def test_one_table_is_described_with_type_default_and_reason() -> None:
    result = run("config", "describe", "server")
    assert result.code == 0
    assert "grace_s" in result.out
    assert "number, at least 0" in result.out
    assert "= 10.0" in result.out
    assert "How long a stopping server waits" in result.out
    assert "[[peers]]" not in result.out


def test_tables_inside_tables_are_described_too() -> None:
    names = list(tables())
    assert "tls.certificates" in names
    assert "peers.sip.accounts" in names


def test_everything_is_described_for_programs() -> None:
    data = run("config", "describe", "--json").data
    key = next(key for key in data["peers"]["keys"] if key["name"] == "domains")
    assert key["required"]
    assert key["type"] == "list of text"
    assert set(data) == set(tables())


def test_the_commented_file_is_toml_and_says_nothing_but_defaults() -> None:
    result = run("config", "describe", "--toml")
    data = tomllib.loads(result.out)
    assert data["server"] == {}
    uncommented = [line.removeprefix("# ") for line in result.out.splitlines() if " = " in line]
    assert 'data_dir = "/var/lib/rialto"' in uncommented


def test_a_table_that_is_not_there_is_named() -> None:
    result = run("config", "describe", "sever")
    assert result.code == 2
    assert "there is no table sever; there are: server" in result.err


def test_a_file_in_order_is_said_to_be(tmp_path: Path) -> None:
    path = tmp_path / "rialto.toml"
    path.write_text(LOOPBACK.format(folder=tmp_path))
    assert "in order (networks: loopback; peers: 1)" in run("config", "check", path).out


def test_a_mistake_is_told_with_place_expectation_and_remedy(tmp_path: Path) -> None:
    path = tmp_path / "rialto.toml"
    path.write_text(LOOPBACK.format(folder=tmp_path).replace("grace_s", "grace"))
    result = run("config", "check", path)
    assert result.code == 1
    assert result.err.splitlines() == [
        f"error: {path}: server.grace",
        "  expected  one of data_dir, grace_s, metrics, name",
        "  remedy    did you mean `grace_s`?",
    ]


def test_a_missing_file_is_no_traceback(tmp_path: Path) -> None:
    result = run("config", "check", tmp_path / "none.toml")
    assert result.code == 1
    assert "No such file" in result.err
    assert "rialto quickstart DOMAIN" in result.err


def test_the_environment_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "other.toml"
    path.write_text(LOOPBACK.format(folder=tmp_path))
    assert str(path) in run("config", "check", env={"RIALTO_CONFIG": str(path)}).out


def test_the_defaults_that_are_described_are_those_that_hold(tmp_path: Path) -> None:
    path = tmp_path / "rialto.toml"
    path.write_text(LOOPBACK.format(folder=tmp_path))
    loaded = config.load(path)
    for key in tables()["queue"].keys:
        assert tomllib.loads(f"x = {key.default}")["x"] == getattr(loaded.queue, key.name)
