"""Connections on the loopback device: who connects, who shares, who proves what, what is left of a break."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from net.pki import dns as names
from net.pki import make
from networks.sip.msrp.talk import request
from rialto.model.errors import ConfigError
from rialto.net.certificates import Trust
from rialto.net.dns import Resolver
from rialto.net.tls import CertificateStore, KeyPair
from rialto.networks.sip.msrp import connections
from rialto.networks.sip.msrp import links as module
from rialto.networks.sip.msrp.connections import parse_msrp_listen
from rialto.networks.sip.msrp.leg import Leg
from rialto.networks.sip.msrp.links import MsrpLinks
from rialto.networks.sip.msrp.wire.relay import Granted
from rialto.networks.sip.sessions.seam import DISCARD, Outcome, Place, Result, Terms
from rialto.networks.sip.settings import Settings
from rialto.networks.sip.wire.message_media import Kind, MessageMedia


class Talker:
    """An owner that remembers what it is told."""

    def __init__(self) -> None:
        self.told: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()
        self.accepts = True

    def opened(self) -> None:
        self.told.put_nowait(("opened",))

    def received(self, incoming: Any) -> None:
        self.told.put_nowait(("received", incoming.body, incoming.content_type))
        if self.accepts:
            incoming.accept()
        else:
            incoming.refuse(403, "no")

    def outcome(self, token: object, outcome: Outcome) -> None:
        self.told.put_nowait(("outcome", token, outcome.result, outcome.status, outcome.sent))

    def reported(self, message_id: str, status: int, comment: str) -> None:
        self.told.put_nowait(("reported", message_id, status))

    def closed(self, error: str) -> None:
        self.told.put_nowait(("closed", error))

    async def hears(self, *expected: Any) -> tuple[Any, ...]:
        """The next that it is told, which begins with this."""
        async with asyncio.timeout(5):
            told = await self.told.get()
        assert told[: len(expected)] == expected, told
        return told


class House:
    """One gateway's links."""

    def __init__(self, links: MsrpLinks, counts: Counter[tuple[str, str]]) -> None:
        self.links = links
        self.counts = counts

    def place(self, *, secure: bool = False) -> Place:
        place = self.links.reserve(secure=secure)
        assert place is not None
        return place

    def open(
        self, place: Place, other: Place, *, active: bool, owner: Talker | None = None, **more: Any
    ) -> tuple[Leg, Talker]:
        talker = owner or Talker()
        terms = Terms(
            place=place,
            media=MessageMedia(
                kind=Kind.MSRP,
                path=other.path,
                secure=other.secure,
                fingerprints=more.pop("fingerprints", ()),
            ),
            active=active,
            trunk=trunk(**more),
            max_bytes_in=100_000,
        )
        return self.links.open(terms, talker), talker


def trunk(*, verify_tls: bool = True, trust: Trust | None = None, tls_name: str = "") -> Any:
    return SimpleNamespace(
        settings=SimpleNamespace(tls_name=tls_name, verify_tls=verify_tls),
        trust=trust or Trust(),
        peer=SimpleNamespace(name="office"),
    )


@pytest.fixture(scope="module")
def certificates(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[CertificateStore, CertificateStore, Trust]:
    """Those of a.example, those of b.example, and whom to trust."""
    folder: Path = tmp_path_factory.mktemp("pki")
    now = datetime.now(UTC)
    root = make("root", ca=True, start=now - timedelta(days=1), end=now + timedelta(days=9))
    stores = [
        CertificateStore(
            [
                KeyPair(
                    *make(
                        name,
                        issuer=root,
                        names=names(f"{name}.example"),
                        start=now - timedelta(days=1),
                        end=now + timedelta(days=9),
                    ).write(folder, name)
                )
            ]
        )
        for name in ("a", "b")
    ]
    return stores[0], stores[1], Trust((root.certificate,))


class FixedNames(Resolver):
    """Every name is this machine."""

    async def addresses(self, name: str) -> Any:
        return SimpleNamespace(records=("127.0.0.1",))


MakeHouse = Callable[..., Awaitable[House]]


@pytest.fixture
async def house() -> AsyncIterator[MakeHouse]:
    """Make one: `await house("a.example", "tcp:127.0.0.1:0")`."""
    made: list[MsrpLinks] = []

    async def build(
        name: str = "a.example", *listens: str, store: CertificateStore | None = None, **settings: Any
    ) -> House:
        counts: Counter[tuple[str, str]] = Counter()
        links = MsrpLinks(
            Settings(msrp=listens, **settings),
            name="sip",
            server_name=name,
            certificates=store or CertificateStore(),
            dns=FixedNames([("127.0.0.1", 1)]),
            trust=settings.pop("trust", Trust()),
            clock=lambda: datetime.now(UTC).timestamp(),
            count=lambda what, why: counts.update([(what, why)]),
        )
        await links.start()
        made.append(links)
        return House(links, counts)

    yield build
    for links in made:
        await links.stop()


TCP = "tcp:127.0.0.1:0"
TLS = "tls:127.0.0.1:0"


async def pair(house: MakeHouse) -> tuple[House, House, tuple[Leg, Talker], tuple[Leg, Talker]]:
    """Two houses, and a session between them that is open."""
    one, other = await house(), await house("b.example", TCP)
    here, there = one.place(), other.place()
    answered = other.open(there, here, active=False)
    offered = one.open(here, there, active=True)
    await offered[1].hears("opened")
    await answered[1].hears("opened")
    return one, other, offered, answered


async def test_two_ends_talk(house: MakeHouse) -> None:
    one, other, (alice, at_alice), (bob, at_bob) = await pair(house)
    alice.send(b"hello", "text/plain", message_id="id12", token="t1", success_report=True)
    await at_bob.hears("received", b"hello", "text/plain")
    await at_alice.hears("outcome", "t1", Result.ACCEPTED)
    bob.report("id12", 200, 5)
    await at_alice.hears("reported", "id12", 200)
    at_alice.accepts = False
    bob.send(b"and you?", "text/plain", message_id="id34", token="t2")
    await at_alice.hears("received", b"and you?")
    await at_bob.hears("outcome", "t2", Result.REFUSED, 403)
    (state,) = one.links.links()
    assert (state.peer, state.direction, state.detail) == ("office", "out", "1 sessions")
    assert other.counts["msrp", "accepted"] == one.counts["msrp", "connected"] == 1
    assert not alice.secured


async def test_five_megabytes_pass(house: MakeHouse) -> None:
    _, _, (alice, at_alice), (bob, at_bob) = await pair(house)
    bob.session.max_bytes = None
    body = bytes(range(256)) * 20_000
    alice.send(body, "application/octet-stream", message_id="id12", token="t1")
    told = await at_bob.hears("received")
    assert told[1] == body
    await at_alice.hears("outcome", "t1", Result.ACCEPTED)


async def test_ses_15_what_is_above_the_announced_size_is_refused(house: MakeHouse) -> None:
    _, _, (alice, at_alice), _ = await pair(house)
    alice.send(b"x" * 100_001, "text/plain", message_id="id12", token="t1")
    await at_alice.hears("outcome", "t1", Result.REFUSED, 413)


async def test_what_is_sent_too_early_waits_for_the_other_end(house: MakeHouse) -> None:
    one, other = await house(), await house("b.example", TCP)
    here, there = one.place(), other.place()
    _, at_bob = other.open(there, here, active=False)
    alice, at_alice = one.open(here, there, active=True)
    alice.send(b"hello", "text/plain", message_id="id12", token="t1")
    await at_alice.hears("opened")
    await at_bob.hears("opened")
    await at_bob.hears("received", b"hello")
    await at_alice.hears("outcome", "t1", Result.ACCEPTED)


async def test_sessions_share_a_connection(house: MakeHouse) -> None:
    one, other, _, _ = await pair(house)
    here, there = one.place(), other.place()
    _, at_bob = other.open(there, here, active=False)
    alice, at_alice = one.open(here, there, active=True)
    await at_alice.hears("opened")
    await at_bob.hears("opened")
    assert one.counts["msrp", "connected"] == 1
    assert one.links.links()[0].detail == "2 sessions"
    alice.send(b"second", "text/plain", message_id="id12", token="t1")
    await at_bob.hears("received", b"second")


async def test_when_a_session_ends_the_others_go_on(house: MakeHouse) -> None:
    one, other, (first, at_first), _ = await pair(house)
    here, there = one.place(), other.place()
    _, at_bob = other.open(there, here, active=False)
    alice, at_alice = one.open(here, there, active=True)
    await at_alice.hears("opened")
    await at_bob.hears("opened")
    first.close()
    alice.send(b"still here", "text/plain", message_id="id12", token="t1")
    await at_bob.hears("received", b"still here")
    first.send(b"x", "text/plain", message_id="id34", token="t2")
    await at_first.hears("outcome", "t2", Result.LOST, 0, False)
    assert at_first.told.empty()


async def test_a_cut_ends_every_session_and_says_what_is_in_doubt(house: MakeHouse) -> None:
    _, other, (alice, at_alice), (_, at_bob) = await pair(house)
    at_bob.accepts = None  # type: ignore[assignment]
    at_bob.received = lambda incoming: at_bob.told.put_nowait(("received", incoming.body))  # type: ignore[method-assign]
    alice.send(b"hello", "text/plain", message_id="id12", token="t1")
    await at_bob.hears("received", b"hello")
    for flow in list(other.links.connections.flows):
        flow.link.abort()
    await at_bob.hears("closed")
    await at_alice.hears("outcome", "t1", Result.LOST, 0, True)
    await at_alice.hears("closed")
    assert alice.over


async def test_where_nobody_listens_the_session_is_over(house: MakeHouse) -> None:
    one = await house(connect_timeout_s=1.0)
    place = Place(("msrp://127.0.0.1:1/x;tcp",), "127.0.0.1", 1)
    alice, at_alice = one.open(one.place(), place, active=True)
    alice.send(b"hello", "text/plain", message_id="id12", token="t1")
    await at_alice.hears("outcome", "t1", Result.LOST, 0, False)
    await at_alice.hears("closed")
    assert one.counts["msrp", "unreachable"] == 1


async def test_a_session_that_nobody_comes_for_is_over(
    house: MakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "COMING_S", 0.01)
    other = await house("b.example", TCP)
    _, at_bob = other.open(other.place(), other.place(), active=False)
    await at_bob.hears("closed", "timeout")
    assert other.counts["msrp", "nobody-came"] == 1


async def test_a_stranger_is_told_481_and_sent_away(
    house: MakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "STRANGER_S", 0.05)
    other = await house("b.example", TCP)
    _, _, port = other.links.connections.bound()[0]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = [
        "MSRP abcd SEND",
        f"To-Path: msrp://127.0.0.1:{port}/guess;tcp",
        "From-Path: msrp://x:1/y;tcp",
        "Message-ID: id12",
    ]
    writer.write(request(lines))
    async with asyncio.timeout(5):
        assert b"MSRP abcd 481" in await reader.read()  # to the end: the connection is closed
    assert other.counts["msrp", "unmatched"] == 1
    writer.close()


async def test_nobody_else_comes_by_the_session_of_one_that_we_connect(house: MakeHouse) -> None:
    other = await house("b.example", TCP)
    place = other.place()
    other.open(place, Place(("msrp://127.0.0.1:1/x;tcp",), "127.0.0.1", 1), active=True)
    reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
    writer.write(
        request(
            ["MSRP abcd SEND", f"To-Path: {place.path[0]}", "From-Path: msrp://x:1/y;tcp", "Message-ID: id12"]
        )
    )
    async with asyncio.timeout(5):
        assert b"MSRP abcd 403" in await reader.readuntil(b"$\r\n")
    writer.close()


async def test_nonsense_ends_its_connection(house: MakeHouse) -> None:
    other = await house("b.example", TCP)
    reader, writer = await asyncio.open_connection("127.0.0.1", other.links.connections.bound()[0][2])
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    async with asyncio.timeout(5):
        assert await reader.read() == b""
    assert other.counts["bad_input", "msrp-not-msrp"] == 1
    writer.close()


async def test_who_cannot_share_is_given_a_connection_for_each_session(house: MakeHouse) -> None:
    connections: list[asyncio.StreamWriter] = []

    async def single(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        bound = b""
        while data := await reader.read(65536):
            for name, to in re.findall(rb"MSRP (\S+) SEND\r\nTo-Path: (\S+)", data):
                bound = bound or to
                status = b"200" if to == bound else b"481"
                writer.write(
                    request(
                        [
                            f"MSRP {name.decode()} {status.decode()}",
                            "To-Path: msrp://x:1/y;tcp",
                            f"From-Path: {to.decode()}",
                        ]
                    )
                )
        writer.close()

    server = await asyncio.start_server(single, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    one = await house()
    for number in range(3):
        _, talker = one.open(
            one.place(), Place((f"msrp://127.0.0.1:{port}/s{number};tcp",), "127.0.0.1", port), active=True
        )
        await talker.hears("opened")
    assert len(connections) == 3
    assert one.counts["msrp", "not-shared"] == 1
    for writer in connections:
        writer.close()
    server.close()


async def test_a_peer_that_does_not_read_costs_a_buffer_and_no_more(house: MakeHouse) -> None:
    connected: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    server = await asyncio.start_server(lambda *ends: connected.put_nowait(ends), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    one = await house()
    leg, talker = one.open(
        one.place(), Place((f"msrp://127.0.0.1:{port}/s;tcp",), "127.0.0.1", port), active=True
    )
    reader, writer = await connected.get()
    greeting = await reader.readuntil(b"$\r\n")
    name = greeting.split()[1].decode()
    writer.write(request([f"MSRP {name} 200 OK", "To-Path: msrp://x:1/y;tcp", "From-Path: msrp://x:1/y;tcp"]))
    await talker.hears("opened")
    leg.send(bytes(30_000_000), "application/octet-stream", message_id="id12", token="t")
    link = leg.flow.link  # type: ignore[union-attr]
    await until(lambda: not link.writable)
    assert link._transport.get_write_buffer_size() < 1_000_000
    assert not link.closed
    got = 0
    while got < 30_000_000:
        got += len(await reader.read(1_000_000))
    assert link.writable
    writer.close()
    server.close()


# -- TLS ---------------------------------------------------------------------------------------------------


async def test_ses_24_a_name_is_proven_by_its_certificate(house: MakeHouse, certificates: Any) -> None:
    ours, theirs, trust = certificates
    one = await house("a.example", store=ours, advertise="a.example")
    other = await house("b.example", TLS, store=theirs, advertise="b.example")
    here, there = one.place(secure=True), other.place(secure=True)
    assert there.path[0].startswith("msrps://b.example:")
    other.open(there, here, active=False)
    alice, at_alice = one.open(here, there, active=True, trust=trust)
    await at_alice.hears("opened")
    assert alice.secured
    assert one.links.links()[0].security.startswith("TLSv1.3")


async def test_ses_24_who_cannot_prove_its_name_is_not_talked_to(house: MakeHouse, certificates: Any) -> None:
    ours, theirs, trust = certificates
    one = await house("a.example", store=ours)
    other = await house("c.example", TLS, store=theirs, advertise="c.example")
    here, there = one.place(secure=True), other.place(secure=True)
    other.open(there, here, active=False)
    _, at_alice = one.open(here, there, active=True, trust=trust)
    assert "b.example" in (await at_alice.hears("closed"))[1]
    assert one.counts["unproven", "msrp"] == 1
    _, at_alice = one.open(one.place(secure=True), there, active=True, verify_tls=False)
    await at_alice.hears("opened")


async def test_ses_24_a_fingerprint_is_as_good_as_a_name(house: MakeHouse, certificates: Any) -> None:
    ours, theirs, _ = certificates
    one = await house("a.example", store=ours)
    other = await house("b.example", TLS, store=theirs)
    here, there = one.place(secure=True), other.place(secure=True)
    assert re.fullmatch(r"([0-9A-F]{2}:){31}[0-9A-F]{2}", there.fingerprints[0][1])
    other.open(there, here, active=False, fingerprints=here.fingerprints)
    _, at_alice = one.open(here, there, active=True, fingerprints=there.fingerprints)
    await at_alice.hears("opened")


async def test_ses_24_another_fingerprint_is_another_person_on_either_side(
    house: MakeHouse, certificates: Any
) -> None:
    ours, theirs, _ = certificates
    wrong = (("sha-256", ":".join(["AB"] * 32)), ("md5", hashlib.md5(b"").hexdigest()))
    one = await house("a.example", store=ours)
    other = await house("b.example", TLS, store=theirs)
    here, there = one.place(secure=True), other.place(secure=True)
    other.open(there, here, active=False, fingerprints=wrong)
    _, at_alice = one.open(here, there, active=True, fingerprints=wrong)
    assert "announced" in (await at_alice.hears("closed"))[1]
    _, at_alice = one.open(one.place(secure=True), there, active=True, fingerprints=there.fingerprints)
    await at_alice.hears("closed", "403")


# -- places ------------------------------------------------------------------------------------------------


async def test_who_does_not_listen_can_only_connect(house: MakeHouse) -> None:
    one = await house()
    assert one.place().port == DISCARD
    assert not one.place().can_listen
    assert one.links.reserve(secure=True) is None


async def test_places_cannot_be_guessed(house: MakeHouse) -> None:
    other = await house("b.example", TCP)
    ids = {other.place().path[0].split("/")[-1].split(";")[0] for _ in range(50)}
    assert len(ids) == 50
    assert {len(name) for name in ids} == {24}
    other.links.release(other.place())


async def test_tls_needs_a_certificate(house: MakeHouse) -> None:
    with pytest.raises(ConfigError, match="certificate"):
        await house("b.example", TLS)


async def test_a_port_that_is_taken_is_an_error(house: MakeHouse) -> None:
    other = await house("b.example", TCP)
    with pytest.raises(ConfigError, match="free"):
        await house("c.example", f"tcp:127.0.0.1:{other.links.connections.bound()[0][2]}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tcp:192.0.2.1:2855", (False, "192.0.2.1", 2855)),
        ("tls:[2001:db8::1]:2856", (True, "2001:db8::1", 2856)),
        ("tls:192.0.2.1", (True, "192.0.2.1", 2855)),
    ],
)
def test_where_to_listen_is_read(text: str, expected: tuple[bool, str, int]) -> None:
    assert parse_msrp_listen(text) == expected


@pytest.mark.parametrize("text", ["udp:192.0.2.1:1", "192.0.2.1:2855", "tcp:", "tcp:a:b"])
def test_where_not_to_listen_is_an_error(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_msrp_listen(text)


# -- relays ------------------------------------------------------------------------------------------------


class Relay:
    """A relay that asks for a password and hands out paths."""

    def __init__(self) -> None:
        self.asked = 0
        self.writers: list[asyncio.StreamWriter] = []
        self.server: asyncio.Server
        self.expires = ""

    async def start(self) -> None:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    @property
    def uri(self) -> str:
        return f"msrp://127.0.0.1:{self.server.sockets[0].getsockname()[1]};tcp"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        while True:
            try:
                data = await reader.readuntil(b"$\r\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                break
            text = data.decode()
            name, back = text.split()[1], text.split("From-Path: ")[1].split("\r\n")[0]
            paths = [f"To-Path: {back}", f"From-Path: {self.uri}"]
            if " AUTH" not in text:
                continue
            if "Authorization:" not in text:
                challenge = f'WWW-Authenticate: Digest realm="r", qop="auth", nonce="n{self.asked}"'
                writer.write(request([f"MSRP {name} 401 Unauthorized", *paths, challenge]))
                continue
            self.asked += 1
            granted = self.uri.replace(";", f"/s{self.asked};")
            more = [f"Expires: {self.expires}"] if self.expires else []
            writer.write(request([f"MSRP {name} 200 OK", *paths, f"Use-Path: {granted}", *more]))
        writer.close()

    def stop(self) -> None:
        for writer in self.writers:
            writer.close()
        self.server.close()


@pytest.fixture
async def relay() -> AsyncIterator[Relay]:
    made = Relay()
    await made.start()
    yield made
    made.stop()


async def until(what: Callable[[], Any]) -> Any:
    """Let the loop turn until something is so."""
    for _ in range(5000):
        if found := what():
            return found
        await asyncio.sleep(0.001)
    raise AssertionError("it never was so")


async def test_paths_are_asked_of_a_relay_ahead(house: MakeHouse, relay: Relay) -> None:
    one = await house(msrp_relays=(relay.uri,), msrp_username="we", msrp_password="secret")
    place = await until(lambda: one.links.reserve(secure=False))
    assert len(place.path) == 2
    assert place.path[0].startswith(relay.uri.split(";")[0] + "/s")
    assert place.port == int(relay.uri.split(":")[2].split(";")[0])
    await until(lambda: relay.asked >= 9)  # the stock is filled again
    assert one.links.reserve(secure=True) is None
    assert len(relay.writers) == 1


async def test_a_session_over_a_relay_names_both_in_to_path_and_waits_on_its_connection(
    house: MakeHouse, relay: Relay
) -> None:
    one = await house(msrp_relays=(relay.uri,), msrp_username="we", msrp_password="secret")
    place = await until(lambda: one.links.reserve(secure=False))
    leg, talker = one.open(place, Place(("msrp://b.example:1/bob;tcp",), "b.example", 1), active=False)
    assert [uri.host for uri in leg.session.path] == ["127.0.0.1", "b.example"]
    assert leg.session.chunk_bytes == 2048
    relay.writers[0].write(
        request(
            [
                "MSRP abcd SEND",
                f"To-Path: {place.path[-1]}",
                f"From-Path: {place.path[0]} msrp://b.example:1/bob;tcp",
                "Message-ID: id12",
            ]
        )
    )
    await talker.hears("opened")
    relay.writers[0].close()
    await talker.hears("closed")


async def test_when_the_relay_is_lost_so_are_its_paths_and_we_ask_again(
    house: MakeHouse, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rialto.networks.sip.msrp.relays.RETRY_S", 0.01)
    one = await house(msrp_relays=(relay.uri,), msrp_username="we", msrp_password="secret")
    await until(lambda: one.links.reserve(secure=False))
    relay.writers[0].close()
    await until(lambda: len(relay.writers) == 2)
    assert await until(lambda: one.links.reserve(secure=False))


async def test_a_path_that_is_about_to_end_is_not_handed_out(house: MakeHouse, relay: Relay) -> None:
    relay.expires = "20"
    one = await house(msrp_relays=(relay.uri,), msrp_username="we", msrp_password="secret")
    await until(lambda: relay.asked >= 8)
    assert one.links.reserve(secure=False) is None
    assert Granted((), (), None).expires_s is None


async def test_a_relay_needs_a_uri(house: MakeHouse) -> None:
    with pytest.raises(ConfigError, match="msrp_relays"):
        await house(msrp_relays=("relay.example.org",))
