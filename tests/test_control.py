"""A running instance, and what may be asked of it over its socket."""

from __future__ import annotations

import asyncio
import json
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from rialto.app import App
from rialto.config import parse
from rialto.control import ControlError, ask
from rialto.model.errors import ConfigError


def app_in(folder: Path, **server: Any) -> App:
    return App(
        parse(
            {
                "server": {"name": "gw.example", "data_dir": str(folder), "grace_s": 0.0, **server},
                "networks": {"loopback": {"slow_s": 3600.0}},
                "peers": [{"network": "loopback", "domains": ["loop.example"]}],
            }
        )
    )


@pytest_asyncio.fixture
async def app(tmp_path: Path) -> AsyncIterator[App]:
    """An instance with loopback alone."""
    running = app_in(tmp_path)
    await running.start()
    yield running
    await running.stop()


async def tell(app: App, command: str, **arguments: Any) -> dict[str, Any]:
    return await asyncio.to_thread(ask, app.data_dir / "control.sock", command, **arguments)


async def test_a_message_is_sent_and_its_outcome_told(app: App) -> None:
    answer = await tell(app, "send", to="echo@loop.example", text="hello")
    assert answer["outcome"] == "delivered"
    answer = await tell(app, "send", to="refuse@loop.example", text="hello")
    assert (answer["outcome"], answer["reason"], answer["certain"]) == ("failed", "declined", True)


async def test_what_waits_can_be_counted_retried_and_dropped(app: App) -> None:
    answer = await tell(app, "send", to="busy@loop.example", text="hello", wait_s=0)
    assert answer["outcome"] == "queued"
    while not (await tell(app, "status"))["queue_messages"]:
        pass
    assert await tell(app, "drop", id=answer["id"]) == {"dropped": True}
    assert await tell(app, "drop", id=answer["id"]) == {"dropped": False}
    assert await tell(app, "retry") == {"retried": 0}
    assert (await tell(app, "status"))["server"] == "gw.example"


async def test_peers_are_listed_and_probed(app: App) -> None:
    answer = await tell(app, "peers")
    assert [peer["name"] for peer in answer["peers"]] == ["loop.example"]
    assert (await tell(app, "probe", peer="loop.example"))["reached"]
    with pytest.raises(ControlError, match="there is no peer 'x'"):
        await tell(app, "probe", peer="x")


@pytest.mark.parametrize(
    ("command", "arguments", "says"),
    [
        ("dance", {}, "not a command; there are: status"),
        ("send", {"text": "x"}, "to"),
        ("send", {"to": "@", "text": "x"}, "nothing before the @"),
        ("send", {"to": "a@nowhere.example", "text": "x"}, "nobody here can reach"),
        ("send", {"to": "a@loop.example", "text": "x", "kind": "shout"}, "shout"),
        ("send", {"to": "a@loop.example", "text": "\ud800"}, "not Unicode"),
    ],
)
async def test_a_mistake_is_answered(app: App, command: str, arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(ControlError, match=says):
        await tell(app, command, **arguments)


@pytest.mark.parametrize("line", [b"hello\n", b"[]\n", b"{}\n", b"\xff\n", b"[" * 100_000 + b"\n"])
async def test_what_is_no_request_is_answered_too(app: App, line: bytes) -> None:
    def talk() -> Any:
        with socket.socket(socket.AF_UNIX) as channel:
            channel.connect(str(app.data_dir / "control.sock"))
            channel.sendall(line)
            with channel.makefile("rb") as answers:
                return json.loads(answers.readline())

    assert (await asyncio.to_thread(talk))["ok"] is False


async def test_the_socket_is_for_its_owner_and_goes_with_the_server(tmp_path: Path) -> None:
    running = app_in(tmp_path)
    await running.start()
    path = tmp_path / "control.sock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    await running.stop()
    assert not path.exists()
    with pytest.raises(ControlError, match="is `rialto serve` running here"):
        await tell(running, "status")


async def test_a_second_server_in_the_same_folder_does_not_start(app: App) -> None:
    with pytest.raises(ConfigError):
        await app_in(app.data_dir).start()
    assert (await tell(app, "status"))["server"] == "gw.example"


async def test_a_start_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        failing = app_in(tmp_path, metrics=f"127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(ConfigError, match="metrics"):
            await failing.start()
    assert not failing.store.writer.open
    again = app_in(tmp_path, metrics="127.0.0.1:0")
    await again.start()
    await again.stop()


async def test_a_folder_whose_name_is_too_long_for_a_socket_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="shorter data_dir"):
        await app_in(tmp_path / ("x" * 100)).start()
