"""An XMPP user watches a SIP user: an XMPP server at one end, Kamailio and SIPp at the other."""

import pytest

from interop.gateway import sip_peer, xmpp_peer
from interop.peers.sipp_presence import pidf
from interop.peers.xmpp_client import eventually

BOB = "bob@sip.example"
DESK = ("desk", "open", "", "at my desk")
PHONE = ("phone", "open", "", "on the road")


@pytest.fixture(params=[("prosody", "xa.example"), ("ejabberd", "xb.example")], ids=lambda one: one[0])
async def alice(request, log_in_roster):
    """alice at home, whose server is Prosody or ejabberd."""
    server, domain = request.param
    request.getfixturevalue(server)(domain, "external")
    return await log_in_roster(f"alice@{domain}/home")


def bridge(gateway, alice):
    return gateway(xmpp_peer(alice.boundjid.domain, "external"), sip_peer())


async def test_she_asks_and_sees_all_that_he_publishes(alice, kamailio, gateway, sipp_presence):
    # RFC 8048 section 5.2 (PRS-10 to PRS-15) and section 6.3
    agent = kamailio(presence="open")
    bridge(gateway, alice)
    etag = await sipp_presence.publish("bob", pidf("bob", DESK), 6080)
    alice.ask(BOB)
    approved = await alice.gets(BOB, "subscribed")
    assert approved.sender == BOB, "from bare to bare"
    desk = await alice.sees(BOB, "his desk", lambda one: one.status == "at my desk")
    assert (desk.sender, desk.type, desk.show) == (f"{BOB}/desk", "available", "")
    await eventually(lambda: alice.subscription(BOB) == "to", "the roster has it")

    etag = await sipp_presence.publish(
        "bob", pidf("bob", ("desk", "open", "busy", "in a meeting")), 6081, etag
    )
    busy = await alice.sees(BOB, "busy", lambda one: one.show == "dnd")
    assert busy.news == (f"{BOB}/desk", "available", "dnd", "in a meeting", 0)

    etag = await sipp_presence.publish("bob", pidf("bob", DESK, PHONE), 6082, etag)
    await alice.sees(BOB, "his telephone", lambda one: one.sender == f"{BOB}/phone")
    assert set(alice.screen(BOB)) == {f"{BOB}/desk", f"{BOB}/phone"}

    etag = await sipp_presence.publish("bob", pidf("bob", PHONE), 6083, etag)
    gone = await alice.gets(BOB, "unavailable")
    assert gone.sender == f"{BOB}/desk", "the instance that was announced, and no other"
    assert set(alice.screen(BOB)) == {f"{BOB}/phone"}

    await sipp_presence.publish("bob", pidf("bob", ("phone", "closed", "", "")), 6084, etag)
    await eventually(lambda: not alice.screen(BOB), "nobody is there any more")

    alice.say_to(BOB, "unsubscribe")
    await eventually(lambda: agent_has_no_watcher(agent), "the agent was told")
    assert alice.subscription(BOB) == "none"
    assert not [one for one in alice.seen_of(BOB) if one.type == "error"]


def agent_has_no_watcher(agent) -> bool:
    """The last request of the gateway's was a SUBSCRIBE in a dialog, which the agent then had to end."""
    subscribes = agent.requests("SUBSCRIBE")
    return len(subscribes) >= 2 and "sip:127.0.0.5" in subscribes[-1]


async def test_she_waits_is_approved_and_loses_it_again(alice, kamailio, gateway, sipp_presence):
    # RFC 8048 section 5.2.1: pending is silence; RFC 6665 section 4.1.3: rejected is final (PRS-18).
    agent = kamailio(presence="asks")
    bridge(gateway, alice)
    await sipp_presence.publish("bob", pidf("bob", DESK), 6080)
    alice.ask(BOB)
    await eventually(lambda: bool(agent.requests("SUBSCRIBE")), "he was asked")
    agent.decide("bob", alice.boundjid.bare, "allow")
    await alice.gets(BOB, "subscribed")
    await alice.sees(BOB, "his desk", lambda one: one.sender == f"{BOB}/desk")
    before = [one.type for one in alice.seen_of(BOB)]
    assert before[0] == "subscribed", "nothing is said while he has not decided"

    agent.decide("bob", alice.boundjid.bare, "block")
    await alice.gets(BOB, "unsubscribed")
    await eventually(lambda: alice.subscription(BOB) == "none", "the roster has it")
    assert not alice.screen(BOB), "no ghost stays behind"


@pytest.mark.parametrize("status", ["403 Forbidden", "603 Decline", "489 Bad Event"])
async def test_a_refusal_for_good_ends_with_unsubscribed(
    status, alice, kamailio, gateway, sipp, sipp_presence
):
    # RFC 8048 section 5.2.2 (PRS-34). SylkServer: 403 ended the wait and told the user nothing.
    kamailio()
    bridge(gateway, alice)
    await sipp.register("bob", 6080)
    bob = sipp_presence.refuser("bob", 6080, status)
    alice.ask(BOB)
    await alice.gets(BOB, "unsubscribed")
    await eventually(lambda: alice.subscription(BOB) == "none", "the roster has it")
    assert len(bob.requests("SUBSCRIBE")) == 1, "and he is left in peace"
