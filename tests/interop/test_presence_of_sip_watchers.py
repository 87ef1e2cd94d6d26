"""A SIP user watches an XMPP user: SIPp behind Kamailio at one end, an XMPP server at the other."""

import pytest

from interop.gateway import sip_peer, xmpp_peer

CAROL = "carol@sip.example"
CUE = "good-bye"


@pytest.fixture(params=[("prosody", "xa.example"), ("ejabberd", "xb.example")], ids=lambda one: one[0])
async def alice(request, log_in_roster):
    """alice at her desk, whose server is Prosody or ejabberd."""
    server, domain = request.param
    request.getfixturevalue(server)(domain, "external")
    return await log_in_roster(f"alice@{domain}/desk")


@pytest.fixture
def address(alice):
    """Hers."""
    return alice.boundjid.bare


@pytest.fixture
def bridge(gateway, kamailio, alice):
    """The gateway, and the proxy that sends it what SIP users ask for."""
    transport = "udp" if alice.boundjid.domain == "xa.example" else "tcp"
    kamailio(transport)
    return gateway(xmpp_peer(alice.boundjid.domain, "external"), sip_peer(transport, notify_every_s=0.1))


async def approved(alice, watcher):
    """She lets carol watch."""
    await watcher.told("to wait", lambda one: one.state == "pending")
    await alice.gets(CAROL, "subscribe")
    alice.say_to(CAROL, "subscribed")
    await watcher.told("that she may watch", lambda one: one.state == "active")


async def test_he_waits_and_sees_every_device_come_and_go(
    bridge, alice, address, log_in_roster, sipp_presence
):
    # RFC 8048 section 5.3 and 6.2; PRS-81, PRS-102, PRS-105, PRS-108 (AMB-3: one document of all devices)
    watcher = sipp_presence.watcher(["carol"], address, 6090, cue=CUE)
    alice.show("away", "lunch", 5)
    await approved(alice, watcher)
    assert watcher.notifies()[0].body == "", "who waits sees nothing"
    told = await watcher.told("that she is away", lambda one: bool(one.open))
    assert [(one.show, one.notes) for one in told.tuples] == [("away", ("lunch",))]
    alice.show("dnd", "writing")
    await watcher.told("that she is busy", lambda one: shows(one) == [("dnd", ("writing",))])

    phone = await log_in_roster(f"{address}/phone")
    phone.show("chat", "in the train")
    both = await watcher.told(
        "of both", lambda one: shows(one) == [("chat", ("in the train",)), ("dnd", ("writing",))]
    )
    ids = {one.show: one.id for one in both.tuples}
    assert len(set(ids.values())) == 2
    phone.show(type="unavailable")
    one_left = await watcher.told(
        "that one has gone",
        lambda one: [ids["dnd"]] == list(one.open) and "closed" in [each.basic for each in one.tuples],
    )
    assert {one.id: one.basic for one in one_left.tuples} == {ids["dnd"]: "open", ids["chat"]: "closed"}

    alice.show("", CUE)  # he reads it, and un-SUBSCRIBEs
    await watcher.ended()
    last = watcher.notifies()[-1]
    assert (last.state, list(last.open)) == ("terminated;reason=timeout", [])
    # RFC 8048 section 5.3.3. SylkServer told her nothing of the end.
    await alice.gets(CAROL, "unavailable")
    assert [one.type for one in alice.seen_of(CAROL)] == ["subscribe", "unavailable"]

    again = sipp_presence.watcher(["carol"], address, 6091, cue=CUE)
    await again.ended()
    assert again.notifies()[0].state == "active", "what was allowed stays allowed (PRS-90)"
    assert "subscribe" not in [one.type for one in alice.seen_of(CAROL)[1:]], "and she is not asked again"


def shows(notified) -> list[tuple[str, tuple[str, ...]]]:
    return sorted((one.show, one.notes) for one in notified.tuples if one.basic == "open")


async def test_one_look_shows_him_what_he_may_see(bridge, alice, address, sipp_presence):
    # RFC 8048 section 7.2: 200, one NOTIFY, no dialog (PRS-142, PRS-143); nobody is asked for a look.
    stranger = sipp_presence.watcher(["carol"], address, 6090, expires_s=0)
    await stranger.ended()
    assert [(one.state, one.body) for one in stranger.notifies()] == [("terminated;reason=timeout", "")]
    assert alice.seen_of(CAROL) == []

    alice.show("away", "lunch")
    watcher = sipp_presence.watcher(["carol"], address, 6091)
    await approved(alice, watcher)
    await watcher.told("that she is there", lambda one: bool(one.open))
    look = sipp_presence.watcher(["carol"], address, 6092, expires_s=0)
    await look.ended()
    [seen] = look.notifies()
    assert (seen.state, shows(seen)) == ("terminated;reason=timeout", [("away", ("lunch",))])


async def test_she_says_no(bridge, alice, address, sipp_presence):
    # RFC 6665 section 4.1.3: `rejected` tells his telephone not to come again (PRS-92)
    watcher = sipp_presence.watcher(["carol"], address, 6090)
    await watcher.told("to wait", lambda one: one.state == "pending")
    await alice.gets(CAROL, "subscribe")
    alice.say_to(CAROL, "unsubscribed")
    await watcher.ended()
    assert [one.state for one in watcher.notifies()] == ["pending", "terminated;reason=rejected"]
    assert all(not one.open for one in watcher.notifies())


async def test_she_takes_it_back(bridge, alice, address, sipp_presence):
    watcher = sipp_presence.watcher(["carol"], address, 6090)
    alice.show("", "here")
    await approved(alice, watcher)
    await watcher.told("that she is there", lambda one: bool(one.open))
    alice.say_to(CAROL, "unsubscribed")
    await watcher.ended()
    last = watcher.notifies()[-1]
    assert (last.state, list(last.open)) == ("terminated;reason=rejected", [])


async def test_a_telephone_that_prefers_changes_is_sent_changes(
    bridge, alice, address, log_in_roster, sipp_presence
):
    # RFC 5263 section 4.4: the whole first, then what changes
    accept = "application/pidf-diff+xml, application/pidf+xml;q=0.5"
    watcher = sipp_presence.watcher(["carol"], address, 6090, cue=CUE, accept=accept)
    phone = await log_in_roster(f"{address}/phone")
    phone.show("dnd", "in the train, and the train is in a long and dark tunnel")
    alice.show("away", "lunch, with all of the family and most of the neighbours")
    await approved(alice, watcher)
    whole = await watcher.told("of both", lambda one: len(one.open) == 2)
    assert "<p:pidf-full " in whole.body
    alice.show("", CUE)
    await watcher.ended()
    changed = next(one for one in watcher.notifies() if CUE in one.body)
    assert "<p:pidf-diff " in changed.body
    assert len(changed.open) == 1
    assert changed.request["content-type"] == "application/pidf-diff+xml"
