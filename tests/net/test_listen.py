"""Links over real sockets of the loopback, with asyncio's loop and with uvloop's."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import structlog
import uvloop

from net.pki import dns, make
from net.toy import End, Line, LineMachine
from rialto.net.link import Link, LinkError, LinkLimits, connect
from rialto.net.listen import Listener, ListenLimits, serve
from rialto.net.tls import CertificateStore, KeyPair

Run = Callable[[Callable[[], Awaitable[None]]], None]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a coroutine function in one of the loops that we support."""

    def run(play: Callable[[], Awaitable[None]]) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(20):
                await play()

        factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(bounded())

    return run


class Person:
    """One end of a link, with its events in a queue."""

    def __init__(self, link: Link[Any]) -> None:
        self.link = link
        self.machine = LineMachine()
        self.heard: asyncio.Queue[Any] = asyncio.Queue()
        link.attach(self.machine, self.heard.put_nowait, on_lost=self.lost)
        self.ended: asyncio.Future[LinkError | None] = asyncio.get_running_loop().create_future()

    def lost(self, error: LinkError | None) -> None:
        self.ended.set_result(error)

    def say(self, text: str) -> None:
        self.machine.say(text)
        self.link.wake()


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until something is so; no time is waited for."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0)


class House:
    """A listener and the people who came."""

    def __init__(self) -> None:
        self.people: asyncio.Queue[Person] = asyncio.Queue()
        self.listener: Listener

    def accept(self, link: Link[Any]) -> None:
        self.people.put_nowait(Person(link))

    async def open(self, host: str = "127.0.0.1", **more: Any) -> House:
        self.listener = await serve(host, 0, self.accept, **more)
        return self

    async def close(self) -> None:
        self.listener.close()
        for link in self.listener.links:
            link.abort()
        await until(lambda: not self.listener.links)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> CertificateStore:
    folder: Path = tmp_path_factory.mktemp("pki")
    return CertificateStore([KeyPair(*make("a", names=dns("a.example")).write(folder, "a"))])


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_two_ends_talk(run: Run, host: str) -> None:
    async def play() -> None:
        house = await House().open(host)
        romeo = Person(await connect(host, house.listener.port))
        juliet = await house.people.get()
        romeo.say("who's there")
        assert await juliet.heard.get() == Line("who's there")
        juliet.say("guess")
        assert await romeo.heard.get() == Line("guess")
        assert juliet.link.remote == romeo.link.local
        assert romeo.link.remote == (host, house.listener.port)
        assert (romeo.link.outgoing, juliet.link.outgoing) == (True, False)
        romeo.say("bye")
        romeo.link.close()
        assert [await juliet.heard.get(), await juliet.heard.get()] == [Line("bye"), End()]
        assert await romeo.ended is None
        assert await juliet.ended is None
        assert house.listener.links == frozenset()
        await house.close()

    run(play)


def test_two_ends_talk_in_tls_from_the_first_byte(run: Run, store: CertificateStore) -> None:
    async def play() -> None:
        house = await House().open(tls=lambda: store.server(alpn=["xmpp-server"]))
        tls = store.client("a.example", own_domain="a.example", alpn=["xmpp-server"])
        link = await connect("127.0.0.1", house.listener.port, tls=tls)
        assert link.tls is not None
        assert link.tls.alpn == "xmpp-server"
        juliet = await house.people.get()
        juliet.say("x" * 500_000)  # before the other end has got its machine
        await asyncio.sleep(0)
        romeo = Person(link)
        assert await romeo.heard.get() == Line("x" * 500_000)
        romeo.say("enough")
        assert await juliet.heard.get() == Line("enough")
        assert juliet.link.tls is not None
        assert len(juliet.link.tls.chain) == 1
        juliet.link.close()
        assert await romeo.heard.get() == End()
        assert await romeo.ended is None
        assert await juliet.ended is None
        await house.close()

    run(play)


def test_the_standard_librarys_client_is_served(run: Run, store: CertificateStore) -> None:
    async def play() -> None:
        house = await House().open(tls=store.server)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", house.listener.port, ssl=context, server_hostname="a.example"
        )
        writer.write(b"hello\n")
        juliet = await house.people.get()
        assert await juliet.heard.get() == Line("hello")
        juliet.say("welcome")
        assert await reader.readline() == b"welcome\n"
        juliet.link.close()
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
        assert await juliet.ended is None
        await house.close()

    run(play)


def test_a_caller_who_speaks_no_tls_is_counted_and_dropped(run: Run, store: CertificateStore) -> None:
    async def play() -> None:
        house = await House().open(tls=store.server)
        reader, writer = await asyncio.open_connection("127.0.0.1", house.listener.port)
        writer.write(b"<?xml version='1.0'?>" * 10)
        await reader.read()  # to its end
        writer.close()
        await until(lambda: not house.listener.links)
        assert house.listener.tls_failed == 1
        assert house.people.empty()
        await house.close()

    with structlog.testing.capture_logs() as logs:
        run(play)
    assert logs[0]["reason"]


def test_a_server_that_speaks_no_tls_is_an_error(run: Run, store: CertificateStore) -> None:
    async def play() -> None:
        house = await House().open()
        connecting = asyncio.ensure_future(
            connect("127.0.0.1", house.listener.port, tls=store.client("a.example"))
        )
        juliet = await house.people.get()
        juliet.say("220 hello, I speak no such thing, and not even XMPP")
        with pytest.raises(LinkError) as caught:
            await connecting
        assert caught.value.code == "tls"
        assert caught.value.text
        await house.close()

    run(play)


def test_where_nobody_listens_there_is_no_link(run: Run) -> None:
    async def play() -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            with pytest.raises(LinkError, match="refused") as caught:
                await connect("127.0.0.1", taken.getsockname()[1])
        assert caught.value.code == "connect"

    run(play)


def test_an_answer_is_not_waited_for_for_ever(run: Run, store: CertificateStore) -> None:
    async def play() -> None:
        house = await House().open()  # accepts, and then says nothing that TLS could use
        with pytest.raises(LinkError, match="no answer within") as caught:
            await connect("127.0.0.1", house.listener.port, tls=store.client("a.example"), timeout_s=0.05)
        assert caught.value.code == "connect"
        await house.close()

    run(play)


def test_a_link_may_come_from_an_address_of_our_choice(run: Run) -> None:
    async def play() -> None:
        house = await House().open()
        link = await connect("127.0.0.1", house.listener.port, local_host="127.0.0.7")
        juliet = await house.people.get()
        assert juliet.link.remote[0] == "127.0.0.7"
        link.abort()
        assert await juliet.heard.get() == End()
        await house.close()

    run(play)


def test_a_peer_that_stops_reading_is_dropped_at_the_limit(run: Run) -> None:
    async def play() -> None:
        house = await House().open(link_limits=LinkLimits(max_write_bytes=200_000, high_write_bytes=10_000))
        caller = socket.create_connection(("127.0.0.1", house.listener.port))
        juliet = await house.people.get()
        said = 0
        while not juliet.ended.done():
            juliet.say("x" * 50_000)
            said += 50_000
            await asyncio.sleep(0)
            assert said < 100_000_000
        error = await juliet.ended
        assert error is not None
        assert error.code == "not-reading"
        caller.close()
        await house.close()

    run(play)


def test_the_error_reaches_a_peer_that_is_still_sending(run: Run) -> None:
    """Closed at once, with its bytes unread, the socket would send a reset, and the error would be lost."""

    async def play() -> None:
        house = await House().open()
        reader, writer = await asyncio.open_connection("127.0.0.1", house.listener.port)
        juliet = await house.people.get()
        writer.write(b"x" * 3_000_000)
        await asyncio.sleep(0)
        juliet.machine.say("policy-violation")
        juliet.link.close()
        assert await reader.readline() == b"policy-violation\n"
        writer.close()
        await writer.wait_closed()
        assert await juliet.ended is None
        await house.close()

    run(play)


def test_a_pause_stops_the_peer(run: Run) -> None:
    async def play() -> None:
        house = await House().open()
        romeo = Person(
            await connect("127.0.0.1", house.listener.port, limits=LinkLimits(max_write_bytes=1 << 30))
        )
        juliet = await house.people.get()
        juliet.link.pause_reading()
        for number in range(1000):
            romeo.say(f"{number} " + "x" * 30_000)
        await until(lambda: not romeo.link.writable)
        assert juliet.heard.empty()
        juliet.link.resume_reading()
        for number in range(1000):
            line = await juliet.heard.get()
            assert line.text.startswith(f"{number} ")
        await house.close()

    run(play)


def test_what_is_accepted_without_a_machine_is_our_own_fault(run: Run) -> None:
    async def play() -> None:
        listener = await serve("127.0.0.1", 0, lambda link: None)
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()
        listener.close()

    with structlog.testing.capture_logs() as logs:
        run(play)
    assert [entry["event"] for entry in logs] == ["link.bug"]


# -- crowds ---------------------------------------------------------------------------------------------


async def callers(house: House, number: int, host: str = "127.0.0.1") -> AsyncIterator[socket.socket]:
    """Connect one by one, each in its turn."""
    for _ in range(number):
        known = house.listener.accepted + house.listener.refused + 1
        caller = socket.socket()
        caller.bind((host, 0))
        caller.connect(("127.0.0.1", house.listener.port))
        await until(lambda known=known: house.listener.accepted + house.listener.refused == known)
        yield caller


def test_a_full_house_refuses(run: Run) -> None:
    async def play() -> None:
        house = await House().open(limits=ListenLimits(max_connections=3))
        crowd = [caller async for caller in callers(house, 5)]
        assert (house.listener.accepted, house.listener.refused) == (3, 2)
        assert len(house.listener.links) == 3
        crowd[0].close()
        first = await house.people.get()
        await first.ended
        crowd += [caller async for caller in callers(house, 1)]
        assert house.listener.accepted == 4
        for caller in crowd:
            caller.close()
        await house.close()

    run(play)


def test_one_address_cannot_fill_the_house(run: Run) -> None:
    async def play() -> None:
        house = await House().open(limits=ListenLimits(max_per_address=2))
        crowd = [caller async for caller in callers(house, 5)]
        assert (house.listener.accepted, house.listener.refused) == (2, 3)
        crowd += [caller async for caller in callers(house, 1, "127.0.0.2")]
        assert house.listener.accepted == 3
        for caller in crowd:
            caller.close()
        await house.close()

    run(play)


@pytest.mark.parametrize(
    "limits", [ListenLimits(max_half_open=10), ListenLimits(max_half_open_per_address=10, max_half_open=15)]
)
def test_the_oldest_half_open_link_makes_room_for_the_quick(run: Run, limits: ListenLimits) -> None:
    async def play() -> None:
        house = await House().open(limits=limits)
        crowd = [caller async for caller in callers(house, 3)]
        settled = [await house.people.get() for _ in range(2)]
        for person in settled:
            person.link.establish()
        oldest = await house.people.get()
        crowd += [caller async for caller in callers(house, 300)]
        assert house.listener.evicted == 301 - 10
        assert house.listener.half_open == 10
        error = await oldest.ended
        assert error is not None
        assert error.code == "evicted"
        assert not any(person.ended.done() for person in settled)
        romeo = Person(await connect("127.0.0.1", house.listener.port, local_host="127.0.0.2"))
        romeo.say("still room for me")
        while (juliet := await house.people.get()).link.remote[0] != "127.0.0.2":
            pass
        assert await juliet.heard.get() == Line("still room for me")
        for caller in crowd:
            caller.close()
        await house.close()
        assert house.listener.half_open == 0
        assert house.listener._callers == {}

    run(play)


def test_a_closed_listener_keeps_its_links(run: Run) -> None:
    async def play() -> None:
        house = await House().open()
        romeo = Person(await connect("127.0.0.1", house.listener.port))
        juliet = await house.people.get()
        house.listener.close()
        house.listener.close()
        romeo.say("still here")
        assert await juliet.heard.get() == Line("still here")
        with pytest.raises(LinkError):
            await connect("127.0.0.1", house.listener.port)
        await house.close()

    run(play)
