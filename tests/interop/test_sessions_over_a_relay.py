"""An XMPP user at Prosody and a SIP user, whose sessions go over Kamailio as MSRP relay; a file of his."""

import asyncio
import hashlib
import random
import re
import urllib.request

import pytest

from interop.gateway import sip_peer, table, xmpp_peer
from interop.peers import addresses
from interop.peers.msrp_relay import MsrpRelay
from interop.peers.msrp_socket import MsrpSocket
from interop.peers.sip_phone import SipPhone
from interop.peers.xmpp_chat import ChatClient
from interop.peers.xmpp_client import eventually

ALICE, BOB = "alice@xa.example", "bob@sip.example"
PORT = 6140
WEB = f"{addresses.GATEWAY}:8080"
FILM = random.Random(3).randbytes(5_000_000)


@pytest.fixture
async def alice(prosody, kamailio, authority):
    """alice@xa.example at Prosody, with Kamailio as proxy at the other end."""
    prosody("xa.example", "external")
    kamailio()
    client = ChatClient(f"{ALICE}/desk", authority.ca_file)
    await client.log_in()
    yield client
    await client.log_out()


@pytest.fixture
def relay(tmp_path):
    """Kamailio once more, as MSRP relay."""
    made = MsrpRelay(tmp_path)
    made.start()
    yield made
    made.stop()


@pytest.fixture
async def bob(sipp, alice):
    """bob@sip.example."""
    await sipp.register("bob", PORT)
    phone = SipPhone("bob", PORT)
    yield phone
    phone.close()


@pytest.fixture
def at_relay(relay):
    """Make an end of a session at the relay."""
    made = []

    def make():
        made.append(MsrpSocket(relay.uri))
        return made[-1]

    yield make
    for media in made:
        media.close()


@pytest.fixture
def bridge(gateway, alice):
    def make(sip, *more, **peer):
        return gateway(
            xmpp_peer("xa.example", "external"), sip_peer(answer_wait_s=3.0, **peer), *more, sip=sip
        )

    return make


def over(relay):
    return {"msrp_relays": [relay.uri], "msrp_username": "gateway", "msrp_password": "pw"}


def path_in(text):
    return re.search(r"a=path:(.+?)\r\n", text)[1].split()


async def test_bob_calls_over_the_relay_and_a_thousand_messages_pass_each_way(
    bridge, relay, alice, bob, at_relay
) -> None:
    bridge(over(relay))
    media = at_relay()
    answer, talk = await bob.invite(ALICE, bob.sdp(" ".join(media.path)))
    assert answer.status == 200
    path = path_in(answer.text)
    assert len(path) == 2  # the relay's, and the gateway's own
    media.greet(path)
    for number in range(1000):
        media.send(path, f"bob {number}".encode())
    await alice.hears(1000, 60)
    assert alice.texts(BOB) == [f"bob {number}" for number in range(1000)]
    for number in range(1000):
        alice.send_chat(BOB, f"alice {number}")
    await eventually(
        lambda: sum(b"alice" in one for one in media.received.values()) == 1000, "a thousand answers"
    )
    said = [one.rpartition(b"\r\n\r\n")[2] for one in media.received.values() if b"alice" in one]
    assert said == [f"alice {number}".encode() for number in range(1000)]
    assert (await talk.hang_up()).status == 200


async def test_alice_calls_over_the_relay_and_is_told_when_bob_has_it(
    bridge, relay, alice, bob, at_relay
) -> None:
    bridge(over(relay), sessions="always")
    media = at_relay()
    asked = alice.send_chat(BOB, "Wherefore art thou Romeo?", wants=True)
    invite = await bob.hears("INVITE")
    bob.answer(invite, "200 OK", bob.sdp(" ".join(media.path)))
    await bob.hears("ACK")
    await eventually(lambda: len(media.received) == 1, "her words")
    await alice.sees("the receipt", lambda: alice.receipts(BOB) == [asked])


async def test_when_the_relay_goes_the_call_ends_and_the_next_message_goes_another_way(
    bridge, relay, alice, bob, at_relay
) -> None:
    bridge(over(relay))
    media = at_relay()
    answer, _ = await bob.invite(ALICE, bob.sdp(" ".join(media.path)))
    media.greet(path_in(answer.text))
    media.send(path_in(answer.text), b"hello")
    await alice.gets(BOB, "hello")
    relay.stop()
    bye = await bob.hears("BYE")
    bob.answer(bye, "200 OK")
    alice.say(BOB, "are you there?")
    page = await bob.hears("MESSAGE")
    bob.answer(page, "200 OK")
    assert "are you there?" in page.text


async def test_bob_sends_a_file_of_five_megabytes_and_alice_fetches_it(bridge, alice, bob) -> None:
    bridge({"msrp": [f"tcp:{addresses.GATEWAY}:2855"]}, table("[web]", listen=WEB))
    uri = f"msrp://{bob.host}:7394/film;tcp"
    offer = (
        f'{bob.sdp(uri)}a=setup:active\r\na=sendonly\r\na=file-selector:name:"film.bin" '
        f"type:application/octet-stream size:{len(FILM)} "
        f"hash:sha-1:{hashlib.sha1(FILM).digest().hex(':').upper()}\r\na=file-transfer-id:film1\r\n"
    )
    answer, talk = await bob.invite(ALICE, offer)
    assert answer.status == 200, answer.text
    path = path_in(answer.text)
    media = await asyncio.to_thread(MsrpSocket, "", (addresses.GATEWAY, 2855))
    media.uri = uri
    media.greet(path)
    name = await asyncio.to_thread(
        media.send, path, FILM, kind="application/octet-stream", chunk_bytes=100_000
    )
    await alice.hears(1, 20)
    [text] = alice.texts(BOB)
    link = re.search(r"http://\S+", text)[0]
    assert await asyncio.to_thread(lambda: urllib.request.urlopen(link, timeout=10).read()) == FILM
    assert media.statuses[media.last] == 200
    assert name
    assert (await talk.hang_up()).status == 200
    media.close()
