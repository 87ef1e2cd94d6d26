"""Bugs of gateways before this one, one test each: what they did to presence shall not happen here.

The bugs are those of SylkServer's xmppgateway and of Kamailio's xmpp and pua_xmpp modules. Others of them
stand beside what they spoil: a 403 that nobody hears of, and one device for all, in `test_presence_of_sip_*`.
"""

import pytest

from interop.gateway import sip_peer, xmpp_peer
from interop.peers.sipp_presence import pidf
from interop.peers.xmpp_client import eventually

ALICE, BOB = "alice@xa.example", "bob@sip.example"
ODD = "ж ☃ <b>&amp;</b> 'q' \"q\""


@pytest.fixture
async def alice(prosody, log_in_roster):
    """alice@xa.example at Prosody, at her desk."""
    prosody("xa.example", "external")
    return await log_in_roster(f"{ALICE}/desk")


def bridge(gateway):
    return gateway(xmpp_peer("xa.example", "external"), sip_peer(notify_every_s=0.1))


@pytest.mark.parametrize(
    "reason", ["deactivated", "timeout", "probation;retry-after=1", "giveup;retry-after=1"]
)
async def test_what_ends_a_subscription_for_a_while_ends_no_authorization(
    reason, alice, kamailio, gateway, sipp, sipp_presence
):
    # Kamailio: any reason but `timeout` sent `unsubscribed`, and the contact was gone for good.
    kamailio()
    bridge(gateway)
    await sipp.register("bob", 6080)
    bob = sipp_presence.notifier("bob", 6080, ("first", f"terminated;reason={reason}"), ("again", "active"))
    alice.ask(BOB)
    await alice.sees(BOB, "him again", lambda one: one.status == "again")
    first, second = bob.requests("SUBSCRIBE")[:2]
    assert first["call-id"] != second["call-id"]
    assert {one.type for one in alice.seen_of(BOB)} <= {"subscribed", "available"}
    assert alice.subscription(BOB) == "to"


async def test_a_look_makes_no_subscription(alice, kamailio, gateway, sipp, sipp_presence):
    # Kamailio: a probe made a long-lived subscription instead of one with Expires: 0 (RFC 8048 section 7.1).
    kamailio()
    bridge(gateway)
    await sipp.register("bob", 6080)
    bob = sipp_presence.notifier("bob", 6080, ("here", "terminated;reason=timeout"))
    alice.say_to(BOB, "probe")
    await alice.sees(BOB, "what the look showed", lambda one: one.status == "here")
    assert {one["expires"] for one in bob.requests("SUBSCRIBE")} == {"0"}
    assert alice.subscription(BOB) == "none"


async def test_a_login_asks_nobody_twice(alice, kamailio, gateway, sipp_presence, log_in_roster):
    # Kamailio: every probe of the user's server made one more subscription.
    agent = kamailio(presence="open")
    bridge(gateway)
    await sipp_presence.publish("bob", pidf("bob", ("t1", "open", "", "here")), 6080)
    alice.ask(BOB)
    await alice.sees(BOB, "him", lambda one: one.status == "here")
    phone = await log_in_roster(f"{ALICE}/phone")
    await phone.sees(BOB, "him", lambda one: one.status == "here")
    made = [one for one in agent.requests("SUBSCRIBE") if f" sip:{BOB} " in one]
    assert len(made) == 1


async def test_every_tuple_has_an_id_of_its_own(alice, kamailio, gateway, sipp_presence, log_in_roster):
    # Kamailio: no id, and one device overwrote another.
    kamailio()
    bridge(gateway)
    names = ["a b", "ü<&>", "1", "ID-1"]
    for name in names:
        (await log_in_roster(f"{ALICE}/{name}")).show("", f"I am {name}")
    alice.show(type="unavailable")
    watcher = sipp_presence.watcher(["carol"], ALICE, 6090)
    await alice_approves(log_in_roster, watcher)
    told = await watcher.told("of all", lambda one: len(one.open) >= len(names))
    assert all(one.id for one in told.tuples)
    assert len({one.id for one in told.tuples}) == len(told.tuples)


async def alice_approves(log_in_roster, watcher) -> None:
    at_home = await log_in_roster(f"{ALICE}/home")
    await at_home.gets("carol@sip.example", "subscribe")
    at_home.say_to("carol@sip.example", "subscribed")
    await watcher.told("that she may watch", lambda one: one.state == "active")


async def test_words_stay_words_on_the_way_to_sip(alice, kamailio, gateway, sipp_presence):
    # Kamailio: the status text was lost.
    kamailio()
    bridge(gateway)
    alice.show("away", ODD)
    watcher = sipp_presence.watcher(["carol"], ALICE, 6090)
    await alice.gets("carol@sip.example", "subscribe")
    alice.say_to("carol@sip.example", "subscribed")
    told = await watcher.told("how she is", lambda one: bool(one.open))
    assert [one.notes for one in told.tuples] == [(ODD,)]


async def test_words_stay_words_on_the_way_to_xmpp(alice, kamailio, gateway, sipp_presence):
    kamailio(presence="open")
    bridge(gateway)
    await sipp_presence.publish("bob", pidf("bob", ("t1", "open", "away", "ж ☃ &lt;b&gt; &amp;amp;")), 6080)
    alice.ask(BOB)
    seen = await alice.sees(BOB, "him", lambda one: one.type == "available")
    assert (seen.show, seen.status) == ("away", "ж ☃ <b> &amp;")


async def test_an_approval_arrives(alice, kamailio, gateway, sipp_presence):
    # Kamailio: `subscribed` and `unsubscribed` of the XMPP user were ignored.
    kamailio()
    bridge(gateway)
    watcher = sipp_presence.watcher(["carol"], ALICE, 6090)
    await watcher.told("to wait", lambda one: one.state == "pending")
    await alice.gets("carol@sip.example", "subscribe")
    alice.say_to("carol@sip.example", "subscribed")
    await watcher.told("that she may watch", lambda one: one.state == "active")
    await eventually(lambda: alice.subscription("carol@sip.example") == "from", "her roster has it")
