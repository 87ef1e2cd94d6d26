"""Whole conversations between two XMPP users whose servers know one another only through the gateway.

Prosody and ejabberd each take the gateway in as a component with the name of the other's domain; the gateway
has two XMPP networks, so that all that is said goes through its own form of a message, there and back.
"""

import pytest
from slixmpp.stanza import Message as Stanza

from interop.gateway import Gateway, table, xmpp_peer
from interop.peers.ejabberd import Ejabberd
from interop.peers.prosody import Prosody
from interop.peers.xmpp_chat import ChatClient

ALICE, BOB = "alice@xa.example", "bob@xb.example"
URL = "https://files.xa.example/upload/1234/sun%20rise.png"
OMEMO = (
    "<body>I sent you an OMEMO encrypted message.</body>"
    "<encrypted xmlns='eu.siacs.conversations.axolotl'><header sid='1'><key rid='2'>AA==</key></header>"
    "<payload>c2VjcmV0</payload></encrypted>"
    "<encryption xmlns='urn:xmpp:eme:0' namespace='eu.siacs.conversations.axolotl' name='OMEMO'/>"
)


@pytest.fixture
async def chat(dns, authority):
    """Log a user in whose client knows all of this: `await chat("alice@xa.example/desk")`."""
    made: list[ChatClient] = []

    async def make(jid: str) -> ChatClient:
        client = ChatClient(jid, authority.ca_file)
        made.append(client)
        await client.log_in()
        return client

    yield make
    for client in made:
        await client.log_out()


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory, dns, authority, other_authority, sip_certificate):
    """Two servers, and the gateway between them; for all tests here, because none of them harms it."""
    folder = tmp_path_factory.mktemp("conversations")
    xa, xb = "xa.example", "xb.example"
    ca_files = (authority.ca_file, other_authority.ca_file)
    servers = [
        Prosody(folder, xa, "component", authority.issue(xa), ca_files[0], component=xb),
        Ejabberd(folder, xb, "component", authority.issue(xb), *ca_files, component=xa),
    ]
    gateway = Gateway(
        folder,
        authority.ca_file,
        [sip_certificate],
        table("[networks.other]", protocol="xmpp", listen=[]),
        xmpp_peer(xa, "component", name="xa", components=[xb]),
        xmpp_peer(xb, "component", name="xb", network="other", components=[xa]),
    )
    for one in (*servers, gateway):
        one.start()
    yield gateway
    for one in (gateway, *servers):
        one.stop()
    assert "Traceback" not in gateway.program.read_log()


@pytest.fixture
async def alice(bridge, chat):
    return await chat(f"{ALICE}/desk")


@pytest.fixture
async def bob(bridge, chat):
    return await chat(f"{BOB}/phone")


async def meet(alice: ChatClient, bob: ChatClient) -> tuple[Stanza, Stanza]:
    """They say hello; each one's client learns that the other's shows typing. The two hellos as received."""
    await said(alice, BOB, bob, "hello Bob")
    await said(bob, ALICE, alice, "hello Alice")
    return bob.of(ALICE)[-1], alice.of(BOB)[-1]


async def said(one: ChatClient, to: str, other: ChatClient, text: str, **more) -> str:
    """Say something and see it arrive; its id."""
    sent = one.send_chat(to, text, **more)
    await other.gets(str(one.boundjid.bare), text, 20)
    return sent


async def test_each_sees_the_other_typing_and_no_blank(alice, bob):
    await meet(alice, bob)
    for one, to, other in ((alice, BOB, bob), (bob, ALICE, alice)):
        sender = str(one.boundjid.bare)
        for state in ("composing", "paused", "composing", "gone"):
            one.show(to, state)
            await other.sees(state, lambda: other.states(sender)[-1:] == [state])  # noqa: B023
        assert other.states(sender) == ["composing", "paused", "composing", "gone"]
        one.send_chat(to, "hello again")
        await other.gets(sender, "hello again")
    for other, sender in ((alice, BOB), (bob, ALICE)):
        assert [len(text) > 0 for text in other.texts(sender)] == [True, True]
        assert other.errors() == []


async def test_who_takes_no_part_sees_nobody_typing(alice, bob):
    await said(alice, BOB, bob, "hello", state="")
    bob.show(ALICE, "composing")
    await said(bob, ALICE, alice, "here I am")
    assert alice.states(BOB) == []


async def test_receipts_and_read_marks_name_the_writers_own_id_and_come_once(alice, bob, chat):
    # SylkServer confirmed the id of the receipt's stanza, so that no client ever found its message.
    # Two of Bob's devices confirm: the first counts.
    tablet = await chat(f"{BOB}/tablet")
    first = alice.send_chat(BOB, "did you get it?", wants=True)
    stanza = await bob.gets(ALICE, "did you get it?", 20)
    bob.plugin["xep_0184"].ack(stanza)
    tablet.plugin["xep_0184"].ack(await tablet.gets(ALICE, "did you get it?"))
    await alice.sees("a receipt", lambda: alice.receipts(BOB) == [first])
    bob.mark(stanza)
    tablet.mark(tablet.of(ALICE)[-1])
    await alice.sees("a read mark", lambda: alice.marks(BOB) == [first])
    second = alice.send_chat(BOB, "and this?", wants=True)
    bob.plugin["xep_0184"].ack(await bob.gets(ALICE, "and this?"))
    await alice.sees("the next receipt", lambda: second in alice.receipts(BOB))
    assert alice.receipts(BOB) == [first, second]
    assert alice.marks(BOB) == [first]
    assert alice.errors() == bob.errors() == []
    asked = [one for one in alice.of(BOB) if one.xml.find("{urn:xmpp:receipts}request") is not None]
    assert asked == [], "a receipt asks for none"


async def test_nobody_is_told_what_nobody_asked_for(alice, bob):
    hello, _ = await meet(alice, bob)
    bob.plugin["xep_0184"].ack(hello)
    bob.mark(hello)
    await said(bob, ALICE, alice, "the end")
    assert (alice.receipts(BOB), alice.marks(BOB)) == ([], [])


async def test_corrections_retractions_reactions_and_replies_find_their_message(alice, bob):
    hello, answer = await meet(alice, bob)
    mine, his = alice.sent_ids[0], bob.sent_ids[0]
    sent = await said(alice, BOB, bob, "helo")
    helo = bob.of(ALICE)[-1]
    await said(alice, BOB, bob, "hello!", replace={"id": sent})
    assert bob.of(ALICE)[-1]["replace"]["id"] == helo["id"]
    alice.send_xml(BOB, f"<retract xmlns='urn:xmpp:message-retract:1' id='{sent}'/>")
    await bob.sees("a retraction", lambda: bob.of(ALICE)[-1]["retract"]["id"] == helo["id"])
    bob.send_xml(
        ALICE,
        f"<reactions xmlns='urn:xmpp:reactions:0' id='{hello['id']}'><reaction>👋</reaction></reactions>",
    )
    await alice.sees("a reaction", lambda: alice.of(BOB)[-1]["reactions"]["id"] == mine)
    assert alice.of(BOB)[-1]["reactions"]["values"] == {"👋"}
    assert alice.of(BOB)[-1]["body"] == ""
    quote = "> hello Alice\n"
    alice.send_xml(
        BOB,
        f"<body>{quote.replace('>', '&gt;')}how are you?</body>"
        f"<reply xmlns='urn:xmpp:reply:0' to='{BOB}' id='{answer['id']}'/>"
        f"<fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:reply:0'><body start='0' end='{len(quote)}'/>"
        "</fallback>",
    )
    await bob.gets(ALICE, f"{quote}how are you?")
    reply = bob.of(ALICE)[-1]["reply"]
    assert (reply["id"], reply["to"]) == (his, BOB)


async def test_form_files_and_names_arrive(alice, bob):
    form = "<html xmlns='http://jabber.org/protocol/xhtml-im'><body xmlns='http://www.w3.org/1999/xhtml'>{}</body></html>"
    alice.send_xml(
        BOB,
        "<body>But, soft!</body>"
        + form.format("<p>But, <strong>soft</strong>!<img src='https://spy.example/x'/></p>")
        + "<nick xmlns='http://jabber.org/protocol/nick'>Alice L.</nick>",
    )
    stanza = await bob.gets(ALICE, "But, *soft*!", 20)
    assert "<strong>soft</strong>" in str(stanza["html"]["body"]).replace("xhtml:", "")
    assert "spy.example" not in str(stanza)
    assert stanza.xml.findtext("{http://jabber.org/protocol/nick}nick") == "Alice L."
    alice.send_xml(BOB, f"<body>{URL}</body><x xmlns='jabber:x:oob'><url>{URL}</url></x>")
    stanza = await bob.gets(ALICE, URL)
    assert stanza["oob"]["url"] == URL
    shared = stanza.xml.find(".//{urn:xmpp:file:metadata:0}name")
    assert shared is not None
    assert shared.text == "sun rise.png"


async def test_what_is_sealed_passes_untouched(alice, bob):
    alice.send_xml(BOB, OMEMO)
    stanza = await bob.gets(ALICE, "I sent you an OMEMO encrypted message.", 20)
    payload = stanza.xml.find(
        "{eu.siacs.conversations.axolotl}encrypted/{eu.siacs.conversations.axolotl}payload"
    )
    assert payload is not None
    assert payload.text == "c2VjcmV0"
    mark = stanza.xml.find("{urn:xmpp:eme:0}encryption")
    assert mark is not None
    assert mark.get("namespace") == "eu.siacs.conversations.axolotl"


async def test_what_ones_other_device_said_or_got_is_nothing_new(alice, bob, chat):
    # Carbons: Bob's tablet sees what his phone says. Nobody else may see it twice.
    tablet = await chat(f"{BOB}/tablet")
    for client in (bob, tablet):
        await client.plugin["xep_0280"].enable(timeout=10)
    await meet(alice, bob)
    await tablet.sees("a carbon copy", lambda: any("carbons" in str(one) for one in tablet.stanzas))
    await said(bob, ALICE, alice, "the end")
    assert alice.texts(BOB) == ["hello Alice", "the end"]
    assert bob.texts(ALICE) == ["hello Bob"]


async def test_contacts_behind_the_gateway_say_what_may_be_sent_to_them(alice, bob):
    info = await alice.plugin["xep_0030"].get_info(jid=BOB, timeout=10)
    # Prosody answers for a bare address of its own users only; Bob's is the component's.
    features = info["disco_info"]["features"]
    for feature in (
        "http://jabber.org/protocol/chatstates",
        "urn:xmpp:receipts",
        "urn:xmpp:chat-markers:0",
        "urn:xmpp:message-correct:0",
        "urn:xmpp:reply:0",
    ):
        assert feature in features
