"""Datagrams over the loopback, with asyncio's loop and with uvloop's."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest
import structlog
import uvloop

from rialto.net.endpoint import Endpoint, Remote, open_endpoint

Run = Callable[[Callable[[], Awaitable[None]]], None]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    def run(play: Callable[[], Awaitable[None]]) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(5):
                await play()

        factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(bounded())

    return run


class Mailbox:
    """One endpoint and what came to it."""

    def __init__(self) -> None:
        self.came: asyncio.Queue[tuple[bytes, Remote]] = asyncio.Queue()
        self.unreachable: asyncio.Queue[Remote] = asyncio.Queue()
        self.endpoint: Endpoint

    async def open(self, host: str = "127.0.0.1") -> Mailbox:
        self.endpoint = await open_endpoint(
            host,
            0,
            lambda data, remote: self.came.put_nowait((data, remote)),
            on_unreachable=self.unreachable.put_nowait,
        )
        return self

    @property
    def address(self) -> Remote:
        return self.endpoint.host, self.endpoint.port


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
    return port


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_datagrams_go_both_ways(run: Run, host: str) -> None:
    async def play() -> None:
        one, two = await Mailbox().open(host), await Mailbox().open(host)
        one.endpoint.send(b"question", two.address)
        assert await two.came.get() == (b"question", one.address)
        two.endpoint.send(b"answer", one.address)
        assert await one.came.get() == (b"answer", two.address)
        assert (one.endpoint.datagrams_in, one.endpoint.datagrams_out) == (1, 1)
        assert (one.endpoint.bytes_in, one.endpoint.bytes_out) == (6, 8)
        one.endpoint.close()
        two.endpoint.close()

    run(play)


def test_many_datagrams_arrive_in_order(run: Run) -> None:
    async def play() -> None:
        one, two = await Mailbox().open(), await Mailbox().open()
        for number in range(300):  # more than one turn takes
            one.endpoint.send(b"%d" % number, two.address)
        for number in range(300):
            assert (await two.came.get())[0] == b"%d" % number
        one.endpoint.close()
        two.endpoint.close()

    run(play)


def test_who_is_not_there_is_named_and_the_others_go_on(run: Run) -> None:
    async def play() -> None:
        one, two = await Mailbox().open(), await Mailbox().open()
        nobody = ("127.0.0.1", free_port())
        for _ in range(3):
            one.endpoint.send(b"anybody?", nobody)
            one.endpoint.send(b"hello", two.address)
            assert await one.unreachable.get() == nobody
            assert await two.came.get() == (b"hello", one.address)
            two.endpoint.send(b"hello yourself", one.address)
            assert await one.came.get() == (b"hello yourself", two.address)
        assert one.endpoint.unreachable >= 3
        one.endpoint.close()
        two.endpoint.close()

    run(play)


def test_what_is_too_large_is_dropped_and_counted(run: Run) -> None:
    async def play() -> None:
        one = await Mailbox().open()
        one.endpoint.send(b"x" * 70_000, one.address)
        assert one.endpoint.dropped == 1
        one.endpoint.close()

    with structlog.testing.capture_logs() as logs:
        run(play)
    assert [entry["event"] for entry in logs] == ["endpoint.dropped"]


def test_a_fault_of_ours_costs_one_datagram(run: Run) -> None:
    async def play() -> None:
        came: asyncio.Queue[bytes] = asyncio.Queue()

        def on_datagram(data: bytes, remote: Remote) -> None:
            came.put_nowait(data)
            raise ValueError("a bug")

        endpoint = await open_endpoint("127.0.0.1", 0, on_datagram)
        for data in (b"one", b"two"):
            endpoint.send(data, (endpoint.host, endpoint.port))
            assert await came.get() == data
        endpoint.close()

    with structlog.testing.capture_logs() as logs:
        run(play)
    assert [entry["event"] for entry in logs] == ["endpoint.bug", "endpoint.bug"]


def test_a_closed_endpoint_is_silent(run: Run) -> None:
    async def play() -> None:
        one, two = await Mailbox().open(), await Mailbox().open()
        two.endpoint.send(b"late", one.address)
        one.endpoint.close()
        one.endpoint.close()
        one.endpoint.send(b"later", two.address)
        await asyncio.sleep(0)
        assert one.came.empty()
        assert two.came.empty()
        two.endpoint.close()

    run(play)


def test_an_address_that_is_taken_is_an_error(run: Run) -> None:
    async def play() -> None:
        one = await Mailbox().open()
        with pytest.raises(OSError, match="in use"):
            await open_endpoint(*one.address, lambda data, remote: None)
        one.endpoint.close()

    run(play)


def test_the_tap_shows_both_ways(run: Run) -> None:
    async def play() -> None:
        seen: list[tuple[str, bytes]] = []
        came: asyncio.Queue[bytes] = asyncio.Queue()
        endpoint = await open_endpoint(
            "127.0.0.1",
            0,
            lambda data, _: came.put_nowait(data),
            tap=lambda way, data: seen.append((way, data)),
        )
        endpoint.send(b"x", (endpoint.host, endpoint.port))
        await came.get()
        assert seen == [("out", b"x"), ("in", b"x")]
        endpoint.close()

    run(play)
