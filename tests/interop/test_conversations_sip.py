"""Whole conversations, page by page, between an XMPP user at Prosody and SIP users behind Kamailio: receipts,
typing notices, form.

SIPp is Bob where it matters what stands in a request; baresip is a telephone that takes plain text alone.
"""

import re

import pytest

from interop.gateway import sip_peer, xmpp_peer
from interop.peers.xmpp_chat import ChatClient
from interop.peers.xmpp_client import eventually

ALICE, BOB = "alice@xa.example", "bob@sip.example"
BOBS_PORT = 6080
CPIM, WRITING = "message/cpim", "application/im-iscomposing+xml"

ASKING = """From: Bob <sip:bob@sip.example>
To: <sip:{to}>
DateTime: 2026-04-04T12:16:49-05:00
NS: imdn <urn:ietf:params:imdn>
imdn.Message-ID: 34jk324j
imdn.Disposition-Notification: positive-delivery, negative-delivery, display

Content-Type: text/plain;charset=utf-8

[field1]"""
TELLING = """From: <sip:bob@sip.example>
To: <sip:alice@xa.example>
NS: imdn <urn:ietf:params:imdn>
imdn.Message-ID: {own}

Content-Type: message/imdn+xml
Content-Disposition: notification

<?xml version="1.0" encoding="UTF-8"?>
<imdn xmlns="urn:ietf:params:xml:ns:imdn"><message-id>{about}</message-id>
<datetime>2026-04-04T12:16:49Z</datetime><recipient-uri>sip:bob@sip.example</recipient-uri>
<{kind}-notification><status><{status}/></status></{kind}-notification></imdn>"""
COMPOSING = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<isComposing xmlns="urn:ietf:params:xml:ns:im-iscomposing"><state>{}</state>{}</isComposing>'
)


@pytest.fixture
async def alice(prosody, kamailio, authority):
    """alice@xa.example at Prosody, with Kamailio at the other end; her client knows all of this."""
    prosody("xa.example", "external")
    kamailio()
    client = ChatClient(f"{ALICE}/desk", authority.ca_file)
    await client.log_in()
    yield client
    await client.log_out()


@pytest.fixture
def bridge(gateway, alice):
    return gateway(xmpp_peer("xa.example", "external"), sip_peer(answer_wait_s=3.0))


@pytest.fixture
async def bob(kamailio, sipp, alice):
    """bob@sip.example, who listens."""
    await sipp.register("bob", BOBS_PORT)
    return sipp.listen("bob", BOBS_PORT)


@pytest.fixture
def say(sipp):
    """Let Bob send one body: `await say("text", content_type, body)`; its final status."""
    port = 6090

    async def send(
        text: str = "", content_type: str = "text/plain", body: str = "[field1]", to: str = ALICE
    ) -> int:
        nonlocal port
        port += 1
        sender = sipp.sender("bob", to, [text], port, content_type=content_type, body=body)
        sender.start()
        [sent] = await sender.finish()
        return sent.status

    return send


def imdn(about: str, kind: str, status: str) -> str:
    return TELLING.format(own=f"own{kind}{status}", about=about, kind=kind, status=status)


def found(pattern: str, text: str) -> str:
    match = re.search(pattern, text, re.MULTILINE)
    assert match is not None, f"{pattern} is not in {text!r}"
    return match[1].strip()


async def test_what_a_sip_user_confirms_is_what_the_xmpp_user_sent(bridge, alice, bob, say):
    # RCT-11 to RCT-13; SylkServer confirmed the id of another stanza.
    first = alice.send_chat(BOB, "did you get it?", wants=True)
    await bob.hears(1)
    [asked] = bob.received()
    assert asked["content-type"] == CPIM
    assert asked.text.endswith("\r\n\r\ndid you get it?")
    wanted = found(r"^imdn\.Disposition-Notification: (.*)$", asked.text)
    assert wanted == "positive-delivery, display, negative-delivery"
    about = found(r"^imdn\.Message-ID: (.*)$", asked.text)
    assert await say(content_type=CPIM, body=imdn(about, "delivery", "delivered")) == 200
    await alice.sees("a receipt", lambda: alice.receipts(BOB) == [first])
    assert await say(content_type=CPIM, body=imdn(about, "display", "displayed")) == 200
    await alice.sees("a read mark", lambda: alice.marks(BOB) == [first])
    # Another device of his says the same, and somebody makes one up.
    assert await say(content_type=CPIM, body=imdn(about, "delivery", "delivered")) == 200
    assert await say(content_type=CPIM, body=imdn(f"{about[:-1]}x", "display", "displayed")) == 200
    assert await say("the end") == 200
    await alice.gets(BOB, "the end")
    assert (alice.receipts(BOB), alice.marks(BOB)) == ([first], [first])
    assert alice.texts(BOB) == ["the end"], "no receipt was a message"


async def test_a_sip_user_is_told_of_the_message_that_asked(bridge, alice, bob, say):
    assert await say("did you?", CPIM, ASKING.format(to=ALICE)) == 200
    stanza = await alice.gets(BOB, "did you?")
    assert stanza.xml.find("{urn:xmpp:receipts}request") is not None
    assert stanza.xml.find("{urn:xmpp:chat-markers:0}markable") is not None
    alice.plugin["xep_0184"].ack(stanza)
    alice.mark(stanza)
    await bob.hears(2)
    told = bob.received()
    for request, kind, status in zip(told, ("delivery", "display"), ("delivered", "displayed"), strict=True):
        assert request["content-type"] == CPIM
        assert found("<message-id>(.*)</message-id>", request.text) == "34jk324j"
        assert found("<datetime>(.*)</datetime>", request.text) == "2026-04-04T12:16:49-05:00"
        assert f"<{kind}-notification><status><{status}/>" in request.text
        assert "Content-Disposition: notification\r\n" in request.text
        assert "Disposition-Notification:" not in request.text, "none for a notification"


async def test_what_was_asked_before_a_crash_is_told_after_it(bridge, alice, bob, say):
    assert await say("did you?", CPIM, ASKING.format(to=ALICE)) == 200
    stanza = await alice.gets(BOB, "did you?")
    sent = alice.send_chat(BOB, "I ask as well", wants=True)
    await bob.hears(1)
    about = found(r"^imdn\.Message-ID: (.*)$", bob.received()[0].text)
    bridge.kill()
    bridge.start()
    alice.plugin["xep_0184"].ack(stanza)
    await bob.hears(2, 20)
    assert found("<message-id>(.*)</message-id>", bob.received()[1].text) == "34jk324j"
    assert await say(content_type=CPIM, body=imdn(about, "display", "displayed")) == 200
    await alice.sees("a read mark", lambda: alice.marks(BOB) == [sent])


async def test_a_failure_after_the_answer_is_told_as_it_was_asked_for(gateway, alice, bob, say):
    gateway(xmpp_peer("xa.example", "external"), sip_peer(answer="202"))  # RCT-14
    nobody = "nobody@xa.example"
    assert await say("are you there?", CPIM, ASKING.format(to=nobody), nobody) == 202
    await bob.hears(1)
    [told] = bob.received()
    assert found("<message-id>(.*)</message-id>", told.text) == "34jk324j"
    assert "<delivery-notification><status><failed/>" in told.text


async def test_a_failure_that_a_sip_user_tells_later_comes_home(bridge, alice, bob, say):
    sent = alice.send_chat(BOB, "did you get it?", wants=True)
    await bob.hears(1)
    about = found(r"^imdn\.Message-ID: (.*)$", bob.received()[0].text)
    assert await say(content_type=CPIM, body=imdn(about, "delivery", "failed")) == 200
    await eventually(lambda: [error.id for error in alice.errors()] == [sent], "the failure came home")


async def test_each_sees_the_other_typing(bridge, alice, bob, say):
    # TYP-1, TYP-6 to TYP-11
    alice.show(BOB, "composing")  # not told: nobody has written yet (RFC 3994 section 7)
    alice.show(BOB, "paused")
    assert await say("hello") == 200
    stanza = await alice.gets(BOB, "hello")
    assert stanza["chat_state"] == "active"
    alice.show(BOB, "composing")
    await bob.hears(1)
    alice.show(BOB, "paused")
    await bob.hears(2)
    alice.send_chat(BOB, "hi")
    await bob.hears(3)
    writing, idle, text = bob.received()
    assert writing["content-type"] == idle["content-type"] == WRITING
    assert "<state>active</state>" in writing.text
    assert int(found("<refresh>(.*)</refresh>", writing.text)) >= 60
    assert "<state>idle</state>" in idle.text
    assert text.text == "hi"
    assert await say(content_type=WRITING, body=COMPOSING.format("active", "<refresh>60</refresh>")) == 200
    assert await say(content_type=WRITING, body=COMPOSING.format("active", "<refresh>60</refresh>")) == 200
    await alice.sees("typing", lambda: alice.states(BOB) == ["composing"])
    assert await say(content_type=WRITING, body=COMPOSING.format("idle", "")) == 200
    await alice.sees("no more", lambda: alice.states(BOB) == ["composing", "active"])
    assert await say(content_type=WRITING, body=COMPOSING.format("active", "<refresh>1</refresh>")) == 200
    await alice.sees("that it lapsed", lambda: alice.states(BOB)[2:] == ["composing", "paused"])
    assert alice.texts(BOB) == ["hello"], "no notice was a message"


async def test_who_refuses_an_envelope_is_remembered(gateway, bridge, alice, kamailio, sipp):
    # liblinphone#215: 415 to every message/cpim, for ever.
    await sipp.register("bob", BOBS_PORT)
    bob = sipp.listen("bob", BOBS_PORT, takes="text/plain")
    alice.send_chat(BOB, "one", wants=True)
    await bob.hears(2)
    alice.send_chat(BOB, "two", wants=True)
    await bob.hears(3)
    bridge.stop()
    bridge.start()
    alice.send_chat(BOB, "three", wants=True)
    await bob.hears(4, 20)
    types = [request["content-type"].partition(";")[0] for request in bob.received()]
    assert types == [CPIM, "text/plain", "text/plain", "text/plain"]
    assert bob.texts()[1:] == ["one", "two", "three"]
    assert alice.errors() == []


async def test_a_telephone_that_knows_plain_text_alone_reads_and_is_read(bridge, alice, kamailio, baresip):
    phone = baresip("bob", "alice@xa.example", port=6060)
    alice.send_chat(BOB, "did you get it?", wants=True)
    await eventually(lambda: len(phone.heard()) == 2, "the telephone has refused one and taken one", 20)
    refused, shown = phone.heard()
    assert "imdn.Message-ID" in refused, "Kamailio showed such headers to its users"
    assert shown == "did you get it?"
    phone.say("I did")
    await alice.gets(BOB, "I did")
    alice.show(BOB, "composing")  # refused, and let be
    alice.send_chat(BOB, "good", wants=True)
    await eventually(lambda: phone.heard()[-1] == "good", "the telephone shows that too")
    assert [text for text in phone.heard() if "imdn" in text] == [refused]
    assert alice.errors() == []


async def test_one_receipt_for_all_the_parts_of_a_long_message(gateway, alice, bob, say):
    # SylkServer sent the whole text once for each part.
    gateway(xmpp_peer("xa.example", "external"), sip_peer(sessions="never"))
    text = " ".join(f"word{number:04}" for number in range(250))
    sent = alice.send_chat(BOB, text, wants=True)
    await eventually(lambda: "word0249" in "".join(bob.texts()), "all parts have come")
    requests = bob.received()
    words = re.findall(r"word\d{4}", "".join(request.text for request in requests))
    assert words == text.split()
    asking = [request for request in requests if "imdn.Disposition-Notification" in request.text]
    assert asking == requests[-1:], "only the last one asks"
    for request in requests:
        assert len(request.body) < 1300
    about = found(r"^imdn\.Message-ID: (.*)$", asking[0].text)
    assert await say(content_type=CPIM, body=imdn(about, "delivery", "delivered")) == 200
    await alice.sees("one receipt", lambda: alice.receipts(BOB) == [sent])


async def test_form_is_read_whoever_wrote_it(bridge, alice, bob, say):
    # MSG-10; the pictures of strangers are not fetched.
    page = "<html><body>Hello <b>Alice</b><img src='http://spy.example/x.png'/></body></html>"
    assert await say(content_type="text/html", body=page) == 200
    stanza = await alice.gets(BOB, "Hello *Alice*")
    assert "<strong>Alice</strong>" in str(stanza["html"]["body"]).replace("xhtml:", "")
    assert "spy.example" not in str(stanza)
    parts = ("text/plain\n\na page", "text/html\n\n<p>a <i>page</i></p>")
    both = "".join(f"--b\nContent-Type: {part}\n" for part in parts) + "--b--\n"
    assert await say(content_type="multipart/alternative;boundary=b", body=both) == 200
    stanza = await alice.gets(BOB, "a _page_")
    assert "<em>page</em>" in str(stanza["html"]["body"]).replace("xhtml:", "")
