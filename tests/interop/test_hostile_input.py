"""Hostile input from outside: it costs its sender the connection, and nobody else anything."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from interop.gateway import Gateway, sip_peer, xmpp_peer
from interop.peers import addresses
from interop.peers.sip_socket import SipSocket
from interop.peers.sip_text import read_sip
from interop.peers.xmpp_stream import StreamEnded, XmppStream

TORTURE = Path(__file__).parent.parent / "networks" / "sip" / "torture"
MEGABYTE = 1024 * 1024
MOST_GROWTH = 64 * MEGABYTE
NEGOTIATION_S = 3.0

LAUGHS = (
    "<!DOCTYPE lolz [<!ENTITY lol0 'lol'>"
    + "".join(f"<!ENTITY lol{n} '{f'&lol{n - 1};' * 10}'>" for n in range(1, 10))
    + "]>"
)


@pytest.fixture
async def town(prosody, kamailio, gateway, sipp, log_in) -> "Town":
    """A gateway with two people who are not to be disturbed."""
    prosody("xa.example", "external")
    kamailio()
    peers = xmpp_peer("xa.example", "external"), xmpp_peer("xb.example", "external"), sip_peer()
    one = gateway(*peers, xmpp={"negotiation_s": NEGOTIATION_S})
    await sipp.register("bob", 6080)
    return Town(one, await log_in("alice@xa.example"), sipp, sipp.listen("bob", 6080))


class Town:
    """Alice and Bob, who look whether they can still talk."""

    def __init__(self, gateway: Gateway, alice, sipp, listener) -> None:
        self.gateway = gateway
        self.alice = alice
        self.sipp = sipp
        self.listener = listener
        self._count = 0
        self._port = 6200

    async def talks(self) -> None:
        """One text each way, within three seconds."""
        self._count += 1
        self._port += 1
        self.alice.say("bob@sip.example", f"still there {self._count}?")
        await self.listener.hears(self._count, 3)
        [sent] = await self.sipp.send("bob", "alice@xa.example", [f"yes {self._count}"], self._port)
        assert sent.status in (200, 202)
        await self.alice.hears(self._count, 3)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_the_torture_messages_hurt_nobody(transport, town):
    await town.talks()
    before = town.gateway.resident_bytes()
    files = sorted(path for folder in ("rfc4475", "rfc5118") for path in (TORTURE / folder).iterdir())
    assert len(files) == 61
    with contextlib.closing(SipSocket(addresses.STRANGER)) as prober:
        for number, path in enumerate(files):
            await (throw_udp if transport == "udp" else throw_tcp)(path.read_bytes())
            probe = prober.message("probe@elsewhere.example", "gw.example", "", number=number)
            answer = await prober.ask(probe.replace(b"MESSAGE", b"OPTIONS"))
            assert answer.status >= 200, path.name
    await town.talks()
    assert town.gateway.resident_bytes() - before < MOST_GROWTH


async def throw_udp(raw: bytes) -> None:
    with contextlib.closing(SipSocket(addresses.STRANGER)) as thrower, contextlib.suppress(TimeoutError):
        await thrower.ask(raw, timeout_s=0.05)


async def throw_tcp(raw: bytes) -> None:
    reader, writer = await asyncio.open_connection(
        addresses.GATEWAY, 5060, local_addr=(addresses.STRANGER, 0)
    )
    writer.write(raw)
    with contextlib.suppress(TimeoutError, OSError):
        async with asyncio.timeout(0.05):
            read_sip(await reader.read(65536))
    writer.transport.abort()


async def hostile_stream(authority) -> XmppStream:
    """An authenticated stream of xb.example: it is the peer itself that has gone mad."""
    stream = XmppStream("xb.example")
    await stream.connect()
    await stream.prove_by_certificate(authority.ca_file, authority.issue("xb.example", file_name="mad"))
    return stream


HEAD = "<message from='eve@xb.example' to='bob@sip.example'>"
STANZAS = {
    "a billion laughs": (f"{LAUGHS}{HEAD}<body>&lol9;</body></message>", "not-well-formed"),
    "a comment": (f"{HEAD}<!-- --></message>", "restricted-xml"),
    "a processing instruction": (f"{HEAD}<?php x ?></message>", "restricted-xml"),
    "no XML at all": ("GET / HTTP/1.1\r\n\r\n<<<", "not-well-formed"),
    "ten megabytes": (f"{HEAD}<body>{'x' * 10 * MEGABYTE}</body></message>", "policy-violation"),
    "ten megabytes in an attribute": (f"<message to='{'x' * 10 * MEGABYTE}'/>", "policy-violation"),
    "ten thousand deep": (HEAD + "<a>" * 10_000 + "</a>" * 10_000 + "</message>", "policy-violation"),
    "a hundred thousand elements": (HEAD + "<a/>" * 100_000 + "</message>", "policy-violation"),
    "bytes that are no UTF-8": (b"<message><body>\xff\xfe\xc3</body></message>", "not-well-formed"),
}


@pytest.mark.parametrize("name", STANZAS)
async def test_a_mad_stanza_ends_its_stream_only(name, town, authority):
    data, condition = STANZAS[name]
    await town.talks()
    before = town.gateway.resident_bytes()
    stream = await hostile_stream(authority)
    with contextlib.suppress(StreamEnded):
        await stream.send(data)
    assert condition in await stream.until_closed()
    assert town.gateway.resident_bytes() - before < MOST_GROWTH
    await town.talks()


async def test_a_billion_laughs_in_front_of_a_stream_are_not_heard(town):
    await town.talks()
    before = town.gateway.resident_bytes()
    stream = XmppStream("xb.example")
    await stream.connect()
    await stream.send(f"<?xml version='1.0'?>{LAUGHS}<stream:stream to='&lol9;'")
    assert "restricted-xml" in await stream.until_closed()
    assert town.gateway.resident_bytes() - before < MOST_GROWTH
    await town.talks()


async def test_slow_writers_hold_nobody_up_and_are_sent_away(town, authority):
    await town.talks()
    streams = [XmppStream("xa.example") for _ in range(50)]
    for stream in streams:
        await stream.connect()
    for byte in "<?xml version='1.0'?><stream:stream xm":
        for stream in streams:
            await stream.send(byte)
        await asyncio.sleep(0.01)
    await town.talks()
    for stream in streams:
        await stream.until_closed(NEGOTIATION_S * 3)
    await town.talks()


@pytest.mark.timeout(180)
@pytest.mark.parametrize("port", [5269, 5060])
async def test_ten_thousand_half_open_connections_leave_room_for_others(port, town):
    await town.talks()
    before = town.gateway.resident_bytes()
    writers = []
    for number in range(10_000):
        source = f"127.1.{number // 100}.{1 + number % 3}"
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(addresses.GATEWAY, port, local_addr=(source, 0))
            writers.append(writer)
    assert len(writers) == 10_000, "the kernel took them all"
    assert town.gateway.resident_bytes() - before < 400 * MEGABYTE
    await town.talks()
    for writer in writers:
        writer.transport.abort()
    await town.talks()
