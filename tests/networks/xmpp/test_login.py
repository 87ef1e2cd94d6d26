"""Rialto as a component of somebody else's server, which is played by hand."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator

import pytest

from networks.xmpp.stage import House, free_port, peer, until
from rialto.core.network import Peer
from rialto.model.errors import ConfigError, Reason, Refused, Unreachable
from rialto.networks.xmpp.settings import PeerSettings, features

OURS, THEIRS = "sip.example", "xa.example"


class Server:
    """A server that lets components in which know that the secret is `s3cret`, and answers their pings."""

    def __init__(self) -> None:
        self.port = free_port()
        self.heard = b""
        self.logins = 0
        self.answers_pings = True
        self._writers: list[asyncio.StreamWriter] = []

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def close(self) -> None:
        self._server.close()
        self.hang_up()

    def hang_up(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    def say(self, text: str) -> None:
        self._writers[-1].write(text.encode())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        stream_id = f"id{len(self._writers)}"
        await reader.readuntil(b">")
        await reader.readuntil(b">")
        writer.write(
            b"<?xml version='1.0'?><stream:stream xmlns:stream='http://etherx.jabber.org/streams'"
            b" xmlns='jabber:component:accept' from='%s' id='%s'>" % (OURS.encode(), stream_id.encode())
        )
        proof = await reader.readuntil(b"</handshake>")
        if hashlib.sha1(f"{stream_id}s3cret".encode()).hexdigest().encode() not in proof:
            writer.write(
                b"<stream:error><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"
            )
            writer.close()
            return
        writer.write(b"<handshake/>")
        self.logins += 1
        while data := await reader.read(65536):
            self.heard += data
            if b"</stream:stream>" in data:
                writer.close()
                return
            if self.answers_pings:
                for ping in re.findall(rb"id='(ping-[^']*)'", data):
                    writer.write(
                        f"<iq type='result' from='{THEIRS}' to='{OURS}' id='{ping.decode()}'/>".encode()
                    )


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    one = Server()
    await one.open()
    yield one
    await one.close()


@pytest.fixture
async def house(server: Server) -> AsyncIterator[House]:
    settings = PeerSettings(link="component", host="127.0.0.1", port=server.port, secret="s3cret")
    one = House(OURS, (peer(THEIRS, settings),), port=free_port(), settings={"confirm_s": 0.2})
    await one.start()
    yield one
    await one.network.stop(1.0)


async def test_a_component_logs_in_under_every_name_that_lives_here(server: Server, house: House) -> None:
    await until(lambda: THEIRS in house.hub.reached)
    (link,) = house.network.links()
    assert (link.state, link.direction, link.peer) == ("up", "component", THEIRS)
    assert await house.network.probe(house.hub.peers[0]) == (True, f"logged in as {OURS}")


async def test_messages_go_both_ways(server: Server, house: House) -> None:
    await until(lambda: house.hub.reached)
    delivery = house.send("soft", f"juliet@{THEIRS}")
    assert await asyncio.wait_for(delivery.end, 5) == "delivered: read by the server"
    assert b"<body>soft</body>" in server.heard
    server.say(f"<message from='juliet@{THEIRS}/b' to='romeo@{OURS}' id='1'><body>aye</body></message>")
    await until(lambda: house.hub.accepted)
    message, origin = house.hub.accepted[0]
    assert (message.text, origin.proof, origin.peer.name) == ("aye", "component", THEIRS)


async def test_a_refusal_goes_back_the_way_the_message_came(server: Server, house: House) -> None:
    await until(lambda: house.hub.reached)
    house.hub.refuse = Refused(Reason.NOT_FOUND, "nobody")
    server.say(
        f"<message from='juliet@elsewhere.example/b' to='romeo@{OURS}' id='7'><body>aye</body></message>"
    )
    await until(lambda: b"item-not-found" in server.heard)
    assert b"to='juliet@elsewhere.example/b' type='error' id='7'" in server.heard


async def test_a_server_that_does_not_answer_pings_is_not_held_to_it(server: Server, house: House) -> None:
    server.answers_pings = False
    await until(lambda: house.hub.reached)
    first = house.send("soft", f"juliet@{THEIRS}")
    assert await asyncio.wait_for(first.end, 5) == "sent"
    pings = server.heard.count(b"urn:xmpp:ping")
    second = house.send("softer", f"juliet@{THEIRS}")
    assert await asyncio.wait_for(second.end, 5) == "sent"
    assert server.heard.count(b"urn:xmpp:ping") == pings == 1


async def test_a_server_that_stops_answering_pings_is_left(server: Server, house: House) -> None:
    await until(lambda: house.hub.reached)
    await asyncio.wait_for(house.send("soft", f"juliet@{THEIRS}").end, 5)
    server.answers_pings = False
    error = await asyncio.wait_for(house.send("softer", f"juliet@{THEIRS}").end, 5)
    assert isinstance(error, Unreachable)
    assert not error.certain
    server.answers_pings = True
    await until(lambda: server.logins == 2)


async def test_a_server_whose_answers_never_come_again_gets_nothing_more_than_twice(
    server: Server, house: House
) -> None:
    await until(lambda: house.hub.reached)
    await asyncio.wait_for(house.send("soft", f"juliet@{THEIRS}").end, 5)
    server.answers_pings = False
    assert isinstance(await asyncio.wait_for(house.send("softer", f"juliet@{THEIRS}").end, 5), Unreachable)
    await until(lambda: server.logins == 2 and len(house.hub.reached) == 2)
    assert await asyncio.wait_for(house.send("softer", f"juliet@{THEIRS}").end, 5) == "sent"


async def test_the_answer_to_a_ping_must_come_from_who_was_asked(server: Server, house: House) -> None:
    await until(lambda: house.hub.reached)
    await asyncio.wait_for(house.send("soft", f"juliet@{THEIRS}").end, 5)
    server.answers_pings = False
    delivery = house.send("softer", f"juliet@{THEIRS}")
    await until(lambda: server.heard.count(b"urn:xmpp:ping") == 2)
    ping = re.findall(r"id='(ping-[^']*)'", server.heard.decode())[-1]
    server.say(f"<iq type='result' from='elsewhere.example' to='{OURS}' id='{ping}'/>")
    await until(lambda: ("ignored", "xmpp", "iq") in house.hub.counted)
    assert not delivery.end.done()


async def test_after_a_loss_the_component_logs_in_again(server: Server, house: House) -> None:
    await until(lambda: house.hub.reached)
    server.hang_up()
    await until(lambda: server.logins == 2)
    assert await asyncio.wait_for(house.send("soft", f"juliet@{THEIRS}").end, 5)


async def test_while_it_is_not_logged_in_the_hub_keeps_the_messages(server: Server, house: House) -> None:
    await until(lambda: house.hub.reached)
    await server.close()
    await until(lambda: house.network.links() and house.network.links()[0].state == "down")
    error = await asyncio.wait_for(house.send("soft", f"juliet@{THEIRS}").end, 5)
    assert isinstance(error, Unreachable)
    reached, why = await house.network.probe(house.hub.peers[0])
    assert not reached
    assert OURS in why


async def test_another_name_than_ours_cannot_be_used(server: Server, house: House) -> None:
    error = await asyncio.wait_for(
        house.send("soft", f"juliet@{THEIRS}", sender="x@elsewhere.example").end, 5
    )
    assert isinstance(error, Refused)


async def test_a_wrong_secret_is_told_to_the_operator(server: Server) -> None:
    settings = PeerSettings(link="component", host="127.0.0.1", port=server.port, secret="wrong")
    one = House(OURS, (peer(THEIRS, settings),), port=free_port())
    await one.start()
    await until(lambda: one.network.links() and "not-authorized" in one.network.links()[0].detail)
    await one.network.stop(1.0)


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        (PeerSettings(link="component", secret="x"), "host"),
        (PeerSettings(link="component", host="127.0.0.1"), "secret_file"),
        (PeerSettings(link="component", host="127.0.0.1", secret_file="/nowhere"), "secret_file"),
        (PeerSettings(link="component", host="127.0.0.1", secret_env="NO_SUCH_VARIABLE"), "secret_env"),
        (PeerSettings(tls="off"), "authentication"),
    ],
)
def test_settings_that_do_not_go_together_are_told_by_their_key(settings: PeerSettings, key: str) -> None:
    with pytest.raises(ConfigError) as wrong:
        features(settings)
    assert wrong.value.where == key


def test_secrets_are_never_shown() -> None:
    settings = PeerSettings(link="component", host="h", secret="s3cret")
    assert "s3cret" not in repr(settings)
    assert "s3cret" not in repr(Peer(name="x", network="xmpp", domains=("x",), settings=settings))
