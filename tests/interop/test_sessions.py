"""Sessions between an XMPP user at Prosody and a SIP user behind Kamailio: who calls whom, what goes over the
session, and how it ends. Bob's phone is a socket that knows nothing of the gateway; baresip declines."""

import asyncio

import pytest

from interop.gateway import sip_peer, xmpp_peer
from interop.peers import addresses
from interop.peers.sip_phone import MICROSOFT, SipPhone
from interop.peers.sipp_calls import calls
from interop.peers.xmpp_chat import ChatClient
from interop.peers.xmpp_client import eventually

ALICE, BOB = "alice@xa.example", "bob@sip.example"
PORT = 6120
LONG = "".join(f"{number:06d} " for number in range(12_000))  # 84,000 octets


@pytest.fixture
async def alice(prosody, kamailio, authority):
    """alice@xa.example at Prosody, with Kamailio at the other end."""
    prosody("xa.example", "external")
    kamailio()
    client = ChatClient(f"{ALICE}/desk", authority.ca_file)
    await client.log_in()
    yield client
    await client.log_out()


@pytest.fixture
def bridge(gateway, alice):
    def make(**peer):
        return gateway(
            xmpp_peer("xa.example", "external"),
            sip_peer(answer_wait_s=3.0, **peer),
            sip={"msrp": [f"tcp:{addresses.GATEWAY}:2855"]},
        )

    return make


@pytest.fixture
async def bob(sipp, alice):
    """bob@sip.example, whose phone takes sessions."""
    await sipp.register("bob", PORT)
    phone = SipPhone("bob", PORT)
    yield phone
    phone.close()


async def received(media, count):
    await eventually(lambda: len(media.received) >= count, f"{count} messages over MSRP")
    return list(media.received.values())


async def test_alice_writes_and_a_session_carries_the_conversation(bridge, alice, bob) -> None:
    bridge(sessions="always")
    asked = alice.send_chat(BOB, "Wherefore art thou Romeo?", wants=True)
    _, media = await bob.picks_up()
    [first] = await received(media, 1)
    assert b"Wherefore art thou Romeo?" in first
    assert b"imdn.Disposition-Notification: positive-delivery" in first
    name = first.decode().split("imdn.Message-ID: ")[1].split("\r\n")[0]
    path = media_path(bob)
    media.send(path, imdn(name).encode(), kind="message/cpim")
    await alice.sees("the receipt", lambda: alice.receipts(BOB) == [asked])
    media.send(path, b"Neither, fair saint")
    answer = await alice.gets(BOB, "Neither, fair saint")
    assert answer["thread"] == bob.heard[0]["call-id"]
    alice.show(BOB, "composing")
    await eventually(
        lambda: b"<state>active</state>" in b"".join(media.received.values()), "typing over MSRP"
    )
    alice.show(BOB, "gone")  # SES-9
    bye = await bob.hears("BYE")
    bob.answer(bye, "200 OK")
    assert bob.methods().count("INVITE") == 1


async def test_a_long_message_opens_a_session_and_arrives_whole(bridge, alice, bob) -> None:
    bridge()
    alice.say(BOB, "short")
    page = await bob.hears("MESSAGE")
    bob.answer(page, "200 OK")
    alice.say(BOB, LONG)
    _, media = await bob.picks_up()
    [message] = await received(media, 1)
    assert LONG.strip().encode() in message
    alice.say(BOB, "and a short one")
    assert b"and a short one" in (await received(media, 2))[1]


async def test_a_thousand_messages_each_way_keep_their_order(bridge, alice, bob) -> None:
    bridge()
    talk, media, path = await bob.call(ALICE)
    for number in range(1000):
        media.send(path, f"bob {number}".encode())
    await alice.hears(1000, 60)
    assert alice.texts(BOB) == [f"bob {number}" for number in range(1000)]
    for number in range(1000):
        alice.send_chat(BOB, f"alice {number}")
    bodies = await received_in(media, 1000)
    assert [body.rpartition(b"\r\n\r\n")[2] for body in bodies] == [
        f"alice {number}".encode() for number in range(1000)
    ]
    assert (await talk.hang_up()).status == 200
    await alice.sees("bob gone", lambda: alice.states(BOB)[-1:] == ["gone"])  # SES-8


async def received_in(media, count):
    await eventually(lambda: len(media.received) >= count, f"{count} messages over MSRP", 60)
    return list(media.received.values())


async def test_a_cut_connection_ends_the_call_and_the_next_message_opens_another(bridge, alice, bob) -> None:
    # SES-28
    bridge(sessions="always")
    alice.say(BOB, "one")
    _, media = await bob.picks_up()
    await received(media, 1)
    media.close()
    bob.answer(await bob.hears("BYE"), "200 OK")
    alice.say(BOB, "two")
    _, again = await bob.picks_up()
    assert b"two" in (await received(again, 1))[0]


async def test_a_session_in_which_nobody_speaks_ends_and_she_sees_him_go(bridge, alice, bob) -> None:
    # SES-9, TYP-5
    bridge(sessions="always", session_idle_s=10)
    alice.send_chat(BOB, "Is the day so young?")
    _, media = await bob.picks_up()
    await received(media, 1)
    media.send(media_path(bob), b"But new struck nine")
    await alice.gets(BOB, "But new struck nine")
    bye = await bob.hears("BYE", 20)
    bob.answer(bye, "200 OK")
    await alice.sees("bob gone", lambda: alice.states(BOB)[-1:] == ["gone"])


async def test_who_declines_gets_pages(bridge, alice, bob) -> None:
    # SES-4
    bridge(sessions="always")
    alice.say(BOB, "one")
    bob.answer(await bob.hears("INVITE"), "603 Decline")
    page = await bob.hears("MESSAGE")
    assert page.text == "one"
    bob.answer(page, "200 OK")
    alice.say(BOB, "two")
    page = await bob.hears("MESSAGE")
    assert page.text == "two"
    bob.answer(page, "200 OK")
    assert bob.methods() == ["INVITE", "ACK", "MESSAGE", "MESSAGE"]


async def test_who_declines_gets_a_long_message_in_parts_and_the_trail_says_why(bridge, alice, bob) -> None:
    gateway = bridge()
    text = LONG[:4000].strip()
    alice.say(BOB, text)
    bob.answer(await bob.hears("INVITE"), "488 Not Acceptable Here")
    parts = []
    while not parts or not parts[-1].startswith(f"({len(parts)}/{len(parts)})"):
        page = await bob.hears("MESSAGE")
        bob.answer(page, "200 OK")
        parts.append(page.text)
    assert "".join(part.partition(") ")[2] for part in parts) == text
    [last] = gateway.command_json("trail", "--last", "1")
    assert "no session: 488 Not Acceptable Here" in str(gateway.command_json("trail", last["id"]))


async def test_after_a_kill_the_session_is_gone_and_the_next_message_opens_another(
    bridge, alice, bob
) -> None:
    gateway = bridge(sessions="always")
    alice.say(BOB, "one")
    talk, media = await bob.picks_up()
    await received(media, 1)
    gateway.kill()
    gateway.start()
    assert (await talk.hang_up()).status == 481
    alice.say(BOB, "two")
    _, again = await bob.picks_up()
    # What was not known to have arrived comes once more, under its old name, and before that.
    await eventually(lambda: any(b"two" in body for body in again.received.values()), "the second message")
    assert set(again.received) & set(media.received) <= {next(iter(again.received))}


async def test_a_real_telephone_that_takes_no_sessions_gets_pages(bridge, alice, baresip) -> None:
    # SES-4: baresip answers an offer without audio with a refusal of its own
    bridge(sessions="always")
    phone = baresip("bob", ALICE, PORT + 1)
    alice.say(BOB, "hello telephone")
    await asyncio.to_thread(
        phone.program.wait_for, lambda: "hello telephone" in phone.program.read_log(), "shows it"
    )


async def test_nobody_of_that_name_is_told_so(bridge, alice, bob) -> None:
    bridge(sessions="always")
    alice.say("nobody@sip.example", "hello?")
    await eventually(lambda: bool(alice.errors()), "an error")
    assert alice.errors()[0].condition == "item-not-found"


async def test_bob_calls_with_audio_only_and_is_refused(bridge, alice, bob) -> None:
    bridge()
    audio = (
        "v=0\r\no=- 1 1 IN IP4 127.0.0.6\r\ns=-\r\nc=IN IP4 127.0.0.6\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
    )
    answer, _ = await bob.invite(ALICE, audio)
    assert answer.status == 488
    assert "only messages" in answer["warning"]


async def test_sipp_calls_and_hangs_up_a_hundred_times(bridge, alice, sipp) -> None:
    gateway = bridge()
    assert await calls(sipp, "carol", PORT + 2, 100) == 100
    await eventually(lambda: gateway.queue_length() == 0, "nothing is left")
    assert not gateway.says('"level": "error"')


async def test_bob_on_lync_writes_within_the_dialog(bridge, alice, bob) -> None:
    bridge(session_kind="microsoft")
    answer, talk = await bob.invite(ALICE, MICROSOFT.format(host=bob.host, port=bob.port))
    assert answer.status == 200
    assert "m=message 5060 sip" in answer.text
    said = await talk.ask("MESSAGE", "hello from Lync", "text/plain; charset=UTF-8")
    assert said.status in (200, 202)
    await alice.gets(BOB, "hello from Lync")
    alice.send_chat(BOB, "hello back")
    heard = await bob.hears("MESSAGE")
    assert (heard.text, heard["call-id"]) == ("hello back", talk.call_id)
    bob.answer(heard, "200 OK")
    typing = '<KeyboardActivity><status status="type"/></KeyboardActivity>'
    assert (await talk.ask("INFO", typing, "application/xml")).status == 200
    await alice.sees("typing", lambda: "composing" in alice.states(BOB))
    alice.show(BOB, "composing")
    heard = await bob.hears("INFO")
    assert 'status="type"' in heard.text
    bob.answer(heard, "200 OK")
    assert (await talk.hang_up()).status == 200
    await alice.sees("bob gone", lambda: alice.states(BOB)[-1:] == ["gone"])


def media_path(phone):
    """The path that the last INVITE offered."""
    invite = next(text for text in reversed(phone.heard) if text.method == "INVITE" and not text.status)
    line = next(line for line in invite.text.split("\r\n") if line.startswith("a=path:"))
    return line.removeprefix("a=path:").split()


def imdn(about):
    return (
        "From: <sip:bob@sip.example>\r\nTo: <sip:alice@xa.example>\r\nNS: imdn <urn:ietf:params:imdn>\r\n"
        "imdn.Message-ID: own1\r\n\r\n"
        "Content-Type: message/imdn+xml\r\nContent-Disposition: notification\r\n\r\n"
        '<?xml version="1.0" encoding="UTF-8"?>\r\n<imdn xmlns="urn:ietf:params:xml:ns:imdn">'
        f"<message-id>{about}</message-id><datetime>2026-04-04T12:16:49Z</datetime>"
        "<recipient-uri>sip:bob@sip.example</recipient-uri><delivery-notification><status><delivered/></status>"
        "</delivery-notification></imdn>"
    )
