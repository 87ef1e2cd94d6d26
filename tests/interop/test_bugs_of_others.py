"""Bugs of gateways before this one, one test each: what they did to messages shall not happen here.

The bugs are those of SylkServer's xmppgateway and of Kamailio's xmpp, imc and msilo modules.
"""

import asyncio
import re

import pytest

from interop.gateway import sip_peer, xmpp_peer
from interop.peers.xmpp_client import eventually
from interop.peers.xmpp_stream import XmppStream


@pytest.fixture
async def alice(prosody, kamailio, log_in):
    """alice@xa.example at Prosody, with Kamailio at the other end."""
    prosody("xa.example", "external")
    kamailio()
    return await log_in("alice@xa.example")


@pytest.fixture
async def bob(kamailio, sipp, alice):
    """bob@sip.example, who listens."""
    await sipp.register("bob", 6080)
    return sipp.listen("bob", 6080)


@pytest.fixture
def bridge(gateway, alice):
    """The gateway between them."""
    return gateway(xmpp_peer("xa.example", "external"), sip_peer(answer_wait_s=3.0))


async def test_a_long_text_is_split_and_not_multiplied(bridge, alice, bob):
    # SylkServer: a body of 2,500 characters was sent three times, whole; characters were counted, not bytes.
    text = "".join(f"{number:04}ж" for number in range(500))
    alice.say("bob@sip.example", text)
    await eventually(lambda: joined(bob.texts()) == text, "the parts make the text")
    for message in bob.received():
        assert len(message.body) < 1300


def joined(parts: list[str]) -> str:
    """The text behind parts that say `[2/3] ...`, or `(2/3) ...`, in front."""
    return "".join(re.sub(r"^[\[(]?\d+/\d+[\])]? ?", "", part) for part in parts)


async def test_a_refusal_comes_home_to_the_xmpp_user(bridge, alice, sipp):
    # SylkServer: "TODO report back an error stanza"; Kamailio: replies but 2xx were counted and forgotten.
    asked = alice.say("nobody@sip.example", "are you there?")
    await eventually(lambda: bool(alice.errors()), "an error came")
    [error] = alice.errors()
    assert (error.id, error.condition) == (asked, "item-not-found")
    assert error.sender == "nobody@sip.example"


async def test_a_bounce_of_the_xmpp_side_comes_home_to_the_sip_user(bridge, alice, sipp):
    # Kamailio: a stanza of type error was logged at debug level and dropped, after a 200.
    [sent] = await sipp.send("bob", "nobody@xa.example", ["are you there?"], 6090)
    assert sent.status >= 400
    assert sent.status != 503, "which would take the whole gateway out of service"


async def test_no_answer_comes_before_the_message_is_somewhere(bridge, alice, sipp, gateway):
    # SylkServer: 200 before the stanza was handed over, so that a failure was never told.
    [sent] = await sipp.send("bob", "alice@xb.example", ["is anybody at home?"], 6090)
    assert sent.status not in (200, 202)


async def test_no_blank_message_comes_first(bridge, alice, bob, sipp):
    # SylkServer: each new session woke the XMPP user with a visible blank.
    await sipp.send("bob", "alice@xa.example", ["hello"], 6090)
    assert await alice.hears(1) == ["hello"]
    assert [one.text for one in alice.inbox if one.type != "error"] == ["hello"]


async def test_typing_and_receipts_are_no_empty_messages(bridge, alice, bob):
    # ejabberd's Matrix gateway: typing notices and receipts arrived as empty messages.
    typing = alice.make_message(mto="bob@sip.example", mtype="chat")
    typing["chat_state"] = "composing"
    typing.send()
    receipt = alice.make_message(mto="bob@sip.example", mtype="chat")
    receipt["receipt"] = "some-id"
    receipt.send()
    alice.say("bob@sip.example", "the real one")
    assert await bob.hears(1) == ["the real one"]
    assert alice.errors() == []


async def test_the_text_of_a_cpim_message_is_passed_without_its_wrapping(bridge, alice, sipp):
    # Kamailio: the XMPP user read the CPIM headers.
    cpim = (
        "From: <sip:bob@sip.example>\nTo: <sip:alice@xa.example>\nDateTime: 2026-01-01T00:00:00Z\n\n"
        "Content-Type: text/plain; charset=utf-8\n\n[field1]"
    )
    sender = sipp.sender(
        "bob", "alice@xa.example", ["unwrapped ☃"], 6090, content_type="message/cpim", body=cpim
    )
    sender.start()
    [sent] = await sender.finish()
    assert sent.status in (200, 202)
    assert await alice.hears(1) == ["unwrapped ☃"]


async def test_a_text_says_its_character_set(bridge, alice, bob):
    # Kamailio: always `text/plain` without charset.
    alice.say("bob@sip.example", "ünïcödé")
    await bob.hears(1)
    [message] = bob.received()
    assert re.fullmatch(r"text/plain; ?charset=\"?utf-8\"?", message["content-type"], re.IGNORECASE)
    assert message.text == "ünïcödé"


@pytest.mark.parametrize(
    "local", ["star*light", "a_b-c~d", "o\\27neill", "x" * 200, "100%25", "a;b?c", "жук", "a\\40b.example"]
)
async def test_no_letter_of_an_address_is_a_separator(local, bridge, alice):
    # Kamailio: `*` in a user part was mangled, and long ones met a buffer of 512 bytes.
    # Nobody of that name is registered: the proxy's 404 comes home from the very address that was written to.
    alice.say(f"{local}@sip.example", "hello")
    await eventually(lambda: bool(alice.errors()), "the refusal came home")
    [error] = alice.errors()
    assert (error.sender, error.condition) == (f"{local}@sip.example", "item-not-found")


async def test_a_stream_that_proved_nothing_delivers_nothing(bridge, alice, bob, authority):
    # Kamailio in server mode: a message was forwarded before dialback had finished.
    stream = XmppStream("xa.example")
    await stream.connect()
    await stream.start_tls(authority.ca_file)
    await stream.send("<message from='alice@xa.example' to='bob@sip.example'><body>forged</body></message>")
    answer = await stream.until_closed()
    assert "not-authorized" in answer or "invalid-from" in answer
    assert bob.texts() == []


async def test_notices_about_notices_do_not_go_round(bridge, alice, bob, sipp):
    # Kamailio's msilo answered a room's message with "user is offline", which the room sent on, for ever.
    # An error is never answered with an error.
    error = alice.make_message(mto="nobody@sip.example", mtype="error")
    error["body"] = "I am an error myself"
    error["error"]["condition"] = "service-unavailable"
    error.send()
    alice.say("bob@sip.example", "after it")
    assert await bob.hears(1) == ["after it"]
    await asyncio.sleep(0.3)
    assert alice.errors() == []


async def test_equal_texts_are_all_delivered(bridge, alice, bob, sipp):
    # Bifrost: duplicates were found by their text, so that the second "ok" of two was lost.
    for _ in range(3):
        alice.say("bob@sip.example", "ok")
    assert await bob.hears(3) == ["ok"] * 3
    await sipp.send("bob", "alice@xa.example", ["ok"] * 3, 6090)
    assert await alice.hears(3) == ["ok"] * 3


async def test_a_subject_is_a_subject(bridge, alice, bob):
    # SylkServer: the subject became a line of chat.
    message = alice.make_message(
        mto="bob@sip.example", mbody="the body", msubject="the subject", mtype="normal"
    )
    message.send()
    assert await bob.hears(1) == ["the body"]
    assert bob.received()[0]["subject"] == "the subject"


async def test_every_question_is_answered(bridge, alice):
    # ejabberd's Matrix gateway: unanswered disco requests held up clients for 10 to 20 s at login.
    info = await alice.plugin["xep_0030"].get_info(jid="sip.example", timeout=5)
    assert info["disco_info"]["identities"]
    version = await alice.plugin["xep_0092"].get_version("sip.example", timeout=5)
    assert version["software_version"]["name"]
    assert await alice.plugin["xep_0199"].ping("sip.example", timeout=5) is not None
