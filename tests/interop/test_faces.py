"""People have names on the other network: Prosody or ejabberd here, Kamailio and phones there."""

import pytest

from interop.gateway import sip_peer, xmpp_peer
from interop.peers.sipp_presence import pidf
from interop.peers.xmpp_client import eventually

BOB = "bob@sip.example"
NAMED = pidf("bob", ("desk", "open", "", "at my desk")).replace(
    "</presence>",
    '<dm:person id="p2" xmlns:c="urn:ietf:params:xml:ns:pidf:cipid">'
    "<c:display-name>Bob Builder</c:display-name><c:homepage>https://sip.example/~bob</c:homepage>"
    "</dm:person></presence>",
)
NICK = "{http://jabber.org/protocol/nick}nick"
CAPS = "{http://jabber.org/protocol/caps}c"
CIPID_NAME = "<c:display-name>Alice Liddell</c:display-name>"


@pytest.fixture(params=[("prosody", "xa.example"), ("ejabberd", "xb.example")], ids=lambda one: one[0])
async def alice(request, log_in_roster):
    """alice at home, whose server is Prosody or ejabberd."""
    server, domain = request.param
    request.getfixturevalue(server)(domain, "external")
    one = await log_in_roster(f"alice@{domain}/home")
    for plugin in ("xep_0054", "xep_0115"):
        one.register_plugin(plugin)
    return one


async def names_herself(alice):
    card = alice.plugin["xep_0054"].make_vcard()
    card["FN"], card["NICKNAME"] = "Alice Liddell", "ally"
    await alice.plugin["xep_0054"].publish_vcard(card)


async def test_a_contact_has_the_name_of_its_presence_document(alice, kamailio, gateway, sipp_presence):
    # RFC 4482 section 3.2 -> XEP-0054; XEP-0115 section 5.4: what is announced is what is answered
    kamailio(presence="open")
    gateway(xmpp_peer(alice.boundjid.domain, "external"), sip_peer())
    await sipp_presence.publish("bob", NAMED, 6080)
    alice.ask(BOB)
    desk = await alice.sees(BOB, "his desk", lambda one: one.status == "at my desk")

    card = (await alice.plugin["xep_0054"].get_vcard(BOB, cached=False))["vcard_temp"]
    assert card["FN"] == "Bob Builder"
    assert card.xml.findtext("{vcard-temp}URL") == "https://sip.example/~bob"

    caps = desk.stanza.xml.find(CAPS)
    node = f"{caps.get('node')}#{caps.get('ver')}"
    info = (await alice.plugin["xep_0030"].get_info(desk.sender, node=node))["disco_info"]
    assert "vcard-temp" in info["features"]
    assert alice.plugin["xep_0115"].generate_verstring(info, "sha-1") == caps.get("ver")


async def test_a_watcher_is_told_her_name(alice, kamailio, gateway, sipp_presence):
    # XEP-0054 -> the display name of From, and RFC 4482 section 3.2
    kamailio()
    gateway(xmpp_peer(alice.boundjid.domain, "external"), sip_peer(notify_every_s=0.1))
    await names_herself(alice)
    watcher = sipp_presence.watcher(["bob"], alice.boundjid.bare, 6090)
    await alice.gets(BOB, "subscribe")
    alice.say_to(BOB, "subscribed")
    told = await watcher.told("her name", lambda one: CIPID_NAME in one.body)
    assert told.request["from"].startswith('"Alice Liddell" <sip:alice@')


async def test_a_message_tells_her_his_name(alice, kamailio, gateway, sipp):
    # RFC 3261 section 20.20 -> XEP-0172 section 4.2
    kamailio("tcp")
    gateway(xmpp_peer(alice.boundjid.domain, "external"), sip_peer("tcp"))
    sender = sipp.sender("bob", alice.boundjid.bare, ["hello"], 6090, name="Bob Builder")
    sender.start()
    await sender.finish()
    await alice.hears(1)
    assert alice.inbox[0].stanza.xml.findtext(NICK) == "Bob Builder"
    card = await alice.plugin["xep_0054"].get_vcard(BOB, cached=False)
    assert card["vcard_temp"]["FN"] == "Bob Builder"


async def test_a_telephone_is_told_her_name(alice, kamailio, gateway, baresip):
    # XEP-0054 -> RFC 3261 section 20.20
    kamailio("tcp")
    gateway(xmpp_peer(alice.boundjid.domain, "external"), sip_peer("tcp"))
    await names_herself(alice)
    bob = baresip("bob", alice.boundjid.bare, 6060, "tcp")
    for number in range(1, 6):  # nobody waits for a name: the first message may go without
        alice.say(BOB, "hello?")
        await eventually(lambda: len(bob.heard()) == number, "bob hears her")  # noqa: B023
        if bob.names()[-1]:
            break
    assert bob.names()[-1] == "Alice Liddell"
