"""Our MSRP endpoint, Kamailio's relay, and an endpoint of another make behind it."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from interop.peers.msrp_relay import MsrpRelay
from interop.peers.msrp_socket import MsrpSocket
from rialto.net.certificates import Trust
from rialto.net.dns import Resolver
from rialto.net.tls import CertificateStore
from rialto.networks.sip.msrp.links import MsrpLinks
from rialto.networks.sip.sessions.seam import Outcome, Place, Result, Terms
from rialto.networks.sip.settings import Settings
from rialto.networks.sip.wire.message_media import Kind, MessageMedia

FIVE_MB = random.Random(5).randbytes(5_000_000)

At = Callable[[MsrpRelay], MsrpSocket]


class Talker:
    """An owner that remembers what it is told."""

    def __init__(self) -> None:
        self.told: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()

    def opened(self) -> None:
        self.told.put_nowait(("opened",))

    def received(self, incoming: Any) -> None:
        incoming.accept()
        self.told.put_nowait(("received", incoming.message_id, incoming.body))

    def outcome(self, token: object, outcome: Outcome) -> None:
        self.told.put_nowait(("outcome", token, outcome.result))

    def reported(self, message_id: str, status: int, comment: str) -> None:
        self.told.put_nowait(("reported", message_id, status))

    def closed(self, error: str) -> None:
        self.told.put_nowait(("closed",))

    async def hears(self, *expected: Any, timeout_s: float = 30.0) -> tuple[Any, ...]:
        async with asyncio.timeout(timeout_s):
            told = await self.told.get()
        assert told[: len(expected)] == expected
        return told


class Ours:
    """Our links, at the relay."""

    def __init__(self, links: MsrpLinks) -> None:
        self.links = links
        self.talker = Talker()
        self.place: Place

    async def open(self, path: tuple[str, ...], *, active: bool) -> Any:
        """A session with who has that path."""
        self.place = await self.reserve()
        media = MessageMedia(kind=Kind.MSRP, path=path)
        trunk: Any = SimpleNamespace(
            settings=SimpleNamespace(tls_name="", verify_tls=True),
            trust=Trust(),
            peer=SimpleNamespace(name="x"),
        )
        terms = Terms(place=self.place, media=media, active=active, trunk=trunk, max_bytes_in=10_000_000)
        leg = self.links.open(terms, self.talker)
        if active:
            await self.talker.hears("opened")
        return leg

    async def reserve(self) -> Place:
        """A place at the relay, as soon as it grants one."""
        for _ in range(1000):
            if (place := self.links.reserve(secure=False)) is not None:
                return place
            await asyncio.sleep(0.01)
        raise AssertionError("the relay grants nothing")


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[MsrpRelay]:
    """Kamailio, as a relay."""
    made = MsrpRelay(tmp_path)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def theirs_at() -> Iterator[Callable[[MsrpRelay], MsrpSocket]]:
    """Make an endpoint of another make, at the relay."""
    made: list[MsrpSocket] = []

    def make(relay: MsrpRelay) -> MsrpSocket:
        made.append(MsrpSocket(relay.uri))
        return made[-1]

    yield make
    for one in made:
        one.close()


def links(*relays: str) -> MsrpLinks:
    """Our links."""
    counts: Counter[tuple[str, str]] = Counter()
    return MsrpLinks(
        Settings(msrp_relays=relays, msrp_username="gateway", msrp_password="pw"),
        name="sip",
        server_name="gateway.example",
        certificates=CertificateStore(),
        dns=Resolver([("127.0.0.1", 53)]),
        trust=Trust(),
        clock=time.time,
        count=lambda what, why: counts.update([(what, why)]),
    )


@pytest.fixture
async def ours(relay: MsrpRelay) -> AsyncIterator[Ours]:
    """Our links, whose sessions all go over the relay."""
    made = links(relay.uri)
    await made.start()
    yield Ours(made)
    await made.stop()


async def test_messages_pass_the_relay_both_ways_and_are_reported(
    ours: Ours, relay: MsrpRelay, theirs_at: At
) -> None:
    theirs = theirs_at(relay)
    leg = await ours.open(theirs.path, active=True)
    leg.send(b"hello over the relay", "text/plain", message_id="hello1", token="t1", success_report=True)
    await asyncio.to_thread(theirs.wait_for, "hello1")
    assert theirs.received["hello1"] == b"hello over the relay"
    told = [await ours.talker.hears(), await ours.talker.hears()]
    assert ("outcome", "t1", Result.ACCEPTED) in told
    assert ("reported", "hello1", 200) in told
    name = theirs.send(ours.place.path, b"hello back", success=True)
    assert (await ours.talker.hears("received"))[2] == b"hello back"
    leg.report(name, 200, 10)
    await asyncio.to_thread(theirs.wait_for, name)
    assert theirs.reports == [(name, "000 200", "1-10/10")]
    assert len(relay.requests("AUTH")) >= 2 * 2


async def test_a_thousand_messages_pass_the_relay_in_order(
    ours: Ours, relay: MsrpRelay, theirs_at: At
) -> None:
    theirs = theirs_at(relay)
    leg = await ours.open(theirs.path, active=True)
    for number in range(1000):
        leg.send(f"number {number}".encode(), "text/plain", message_id=f"id{number:04d}", token=number)
    await asyncio.to_thread(theirs.wait_for, "id0999")
    assert list(theirs.received.values()) == [f"number {number}".encode() for number in range(1000)]
    for number in range(1000):
        await ours.talker.hears("outcome", number, Result.ACCEPTED)


async def test_five_megabytes_pass_the_relay_both_ways(ours: Ours, relay: MsrpRelay, theirs_at: At) -> None:
    theirs = theirs_at(relay)
    leg = await ours.open(theirs.path, active=True)
    leg.send(FIVE_MB, "application/octet-stream", message_id="large1", token="t1")
    await asyncio.to_thread(theirs.wait_for, "large1", 60)
    assert theirs.received["large1"] == FIVE_MB
    assert theirs.chunks == -(-len(FIVE_MB) // 2048)
    await ours.talker.hears("outcome", "t1", Result.ACCEPTED)
    await asyncio.to_thread(theirs.send, ours.place.path, FIVE_MB)
    assert (await ours.talker.hears("received"))[2] == FIVE_MB


async def test_a_message_that_is_broken_off_never_arrives_and_the_session_goes_on(
    ours: Ours, relay: MsrpRelay, theirs_at: At
) -> None:
    theirs = theirs_at(relay)
    await ours.open(theirs.path, active=True)
    theirs.send(ours.place.path, FIVE_MB, stop_after=100)
    theirs.send(ours.place.path, b"after that")
    assert (await ours.talker.hears("received"))[2] == b"after that"


async def test_who_is_passive_is_found_over_the_relay(ours: Ours, relay: MsrpRelay, theirs_at: At) -> None:
    theirs = theirs_at(relay)
    leg = await ours.open(theirs.path, active=False)
    theirs.greet(ours.place.path)
    await ours.talker.hears("opened")
    leg.send(b"here we are", "text/plain", message_id="here1", token="t1")
    await asyncio.to_thread(theirs.wait_for, "here1")


async def test_when_the_relay_goes_the_session_is_over_and_a_new_one_can_be_made(
    ours: Ours, relay: MsrpRelay, theirs_at: At
) -> None:
    theirs = theirs_at(relay)
    leg = await ours.open(theirs.path, active=True)
    relay.stop()
    await ours.talker.hears("closed")
    assert leg.over
    relay.start()
    again = theirs_at(relay)
    leg = await ours.open(again.path, active=True)
    leg.send(b"there again", "text/plain", message_id="again1", token="t1")
    await asyncio.to_thread(again.wait_for, "again1")


async def test_without_a_relay_five_megabytes_pass_in_chunks_as_long_as_nobody_interrupts() -> None:
    made = links()
    await made.start()
    ours, theirs = Ours(made), MsrpSocket(wait=True)
    waiting = asyncio.create_task(asyncio.to_thread(theirs.accept))
    leg = await ours.open(theirs.path, active=True)
    await waiting
    leg.send(FIVE_MB, "application/octet-stream", message_id="large1", token="t1")
    theirs.send(ours.place.path, b"in the middle of it", message_id="small1")
    await asyncio.to_thread(theirs.wait_for, "large1")
    assert theirs.received["large1"] == FIVE_MB
    assert theirs.chunks <= 4
    assert (await ours.talker.hears("received"))[2] == b"in the middle of it"
    theirs.close()
    await ours.talker.hears("outcome", "t1")
    await ours.talker.hears("closed")
    await made.stop()
