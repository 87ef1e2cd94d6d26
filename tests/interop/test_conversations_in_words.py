"""What a SIP telephone cannot show is said to it in words; what cannot even be said so is refused plainly."""

import pytest

from interop.gateway import sip_peer, xmpp_peer
from interop.peers.xmpp_chat import ChatClient
from interop.peers.xmpp_client import eventually

BOB = "bob@sip.example"
URL = "https://files.xa.example/upload/1234/sun%20rise.png"
OMEMO = (
    "<body>I sent you an OMEMO encrypted message.</body>"
    "<encrypted xmlns='eu.siacs.conversations.axolotl'><header sid='1'><key rid='2'>AA==</key></header>"
    "<payload>c2VjcmV0</payload></encrypted>"
    "<encryption xmlns='urn:xmpp:eme:0' namespace='eu.siacs.conversations.axolotl' name='OMEMO'/>"
)


@pytest.fixture
async def alice(prosody, kamailio, gateway, authority):
    """alice@xa.example at Prosody, whose client knows everything; the gateway; Kamailio at the other end."""
    prosody("xa.example", "external")
    kamailio()
    gateway(xmpp_peer("xa.example", "external"), sip_peer())
    client = ChatClient("alice@xa.example/desk", authority.ca_file)
    await client.log_in()
    yield client
    await client.log_out()


@pytest.fixture
async def bob(alice, sipp):
    """bob@sip.example, who listens."""
    await sipp.register("bob", 6080)
    return sipp.listen("bob", 6080)


async def test_what_speaks_of_an_earlier_message_is_said_in_words(alice, bob):
    first = alice.send_chat(BOB, "see you at three")
    await bob.hears(1, 20)
    alice.send_chat(BOB, "see you at four", replace={"id": first})
    alice.send_xml(
        BOB,
        f"<reactions xmlns='urn:xmpp:reactions:0' id='{first}'><reaction>👍</reaction></reactions>",
    )
    alice.send_xml(
        BOB,
        "<body>&gt; see you at three\nbring wine</body>"
        f"<reply xmlns='urn:xmpp:reply:0' to='alice@xa.example' id='{first}'/>"
        "<fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:reply:0'><body start='0' end='19'/></fallback>",
    )
    alice.send_xml(
        BOB,
        f"<retract xmlns='urn:xmpp:message-retract:1' id='{first}'/><body>/me retracted a message</body>"
        "<fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:message-retract:1'/>",
    )
    _, corrected, reaction, reply, retracted = await bob.hears(5)
    assert "see you at four" in corrected
    assert corrected != "see you at four"
    assert "👍" in reaction
    assert reply.endswith("bring wine")
    assert "see you at three" in reply
    assert "/me" not in retracted
    assert "taken back" in retracted
    assert alice.errors() == []


async def test_files_and_form_are_readable_as_text(alice, bob):
    alice.send_xml(
        BOB,
        "<file-sharing xmlns='urn:xmpp:sfs:0'><file xmlns='urn:xmpp:file:metadata:0'><name>sunrise.png</name>"
        "<size>3000000</size></file><sources><url-data xmlns='http://jabber.org/protocol/url-data'"
        f" target='{URL}'/></sources></file-sharing><body>look</body>",
    )
    [text] = await bob.hears(1, 20)
    assert text.startswith("look")
    assert URL in text
    assert "sunrise.png" in text
    alice.send_xml(BOB, f"<body>{URL}</body><x xmlns='jabber:x:oob'><url>{URL}</url></x>")
    assert (await bob.hears(2))[1].count(URL) == 1


async def test_an_encrypted_message_is_refused_in_plain_words_and_keys_alone_are_not(alice, bob):
    alice.send_xml(BOB, "<encrypted xmlns='eu.siacs.conversations.axolotl'><header sid='1'/></encrypted>")
    asked = alice.send_xml(BOB, OMEMO)
    await eventually(lambda: bool(alice.errors()), "the refusal came home", 20)
    alice.send_chat(BOB, "in the clear then")
    assert await bob.hears(1, 20) == ["in the clear then"]
    [error] = alice.errors()
    assert error.id == asked
    assert "OMEMO" in error.stanza["error"]["text"]


async def test_nothing_without_words_becomes_an_empty_message(alice, bob):
    # ejabberd's Matrix gateway made empty messages of typing notices and receipts (ejabberd#4385, #4420),
    # SylkServer woke its users up with a blank, and carbons have doubled messages everywhere.
    alice.show(BOB, "composing")
    alice.show(BOB, "gone")
    for inside in (
        "<received xmlns='urn:xmpp:receipts' id='whatever'/>",
        "<displayed xmlns='urn:xmpp:chat-markers:0' id='whatever'/>",
        "<markable xmlns='urn:xmpp:chat-markers:0'/><request xmlns='urn:xmpp:receipts'/>",
        "<nick xmlns='http://jabber.org/protocol/nick'>Alice</nick>",
        "<sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>"
        "<message xmlns='jabber:client'><body>copy</body></message></forwarded></sent>",
        "<store xmlns='urn:xmpp:hints'/>",
    ):
        alice.send_xml(BOB, inside)
    alice.send_chat(BOB, "the real one")
    assert await bob.hears(1, 20) == ["the real one"]
    assert alice.errors() == []
