"""A SIP user is told who of the XMPP users watches: SIPp behind Kamailio asks the gateway (RFC 3857)."""

from xml.etree import ElementTree

from interop.gateway import sip_peer, xmpp_peer
from interop.peers.xmpp_client import eventually

ALICE, BOB = "alice@xa.example", "bob@sip.example"
WATCHERINFO = "{urn:ietf:params:xml:ns:watcherinfo}"


def watchers(notified) -> tuple[str, str, list[tuple[str, str, str]]]:
    """(version, state, [(address, status, event)])."""
    root = ElementTree.fromstring(notified.body)
    found = [
        (one.text or "", one.get("status", ""), one.get("event", ""))
        for one in root.iter(f"{WATCHERINFO}watcher")
    ]
    return root.get("version", ""), root.get("state", ""), found


async def test_a_sip_user_sees_who_waits_and_who_watches(
    gateway, kamailio, prosody, log_in_roster, sipp_presence
):
    prosody("xa.example", "external")
    agent = kamailio("udp", presence="asks", winfo="gateway")
    gateway(xmpp_peer("xa.example", "external"), sip_peer("udp", notify_every_s=0.1))
    alice = await log_in_roster(f"{ALICE}/desk")
    kind = {"event": "presence.winfo", "accept": "application/watcherinfo+xml"}
    curious = sipp_presence.watcher(["carol"], BOB, 6089, **kind)
    own = sipp_presence.watcher(["bob"], BOB, 6090, cue="terminated", **kind)
    first = await own.told("that nobody watches", lambda one: bool(one.body))
    assert (first.state, watchers(first)) == ("active", ("0", "full", []))

    alice.say_to(BOB, "subscribe")
    waits = await own.told("that she waits", lambda one: "pending" in one.body)
    assert watchers(waits) == ("1", "partial", [(f"sip:{ALICE}", "pending", "subscribe")])
    agent.decide("bob", ALICE, "allow")
    watches = await own.told("that she watches", lambda one: '"active"' in one.body)
    assert watchers(watches)[2] == [(f"sip:{ALICE}", "active", "approved")]
    alice.say_to(BOB, "unsubscribe")
    gone = await own.told("that she has gone", lambda one: '"terminated"' in one.body)
    assert watchers(gone)[2] == [(f"sip:{ALICE}", "terminated", "timeout")]
    await own.ended()
    assert own.notifies()[-1].state == "terminated;reason=timeout"

    await eventually(lambda: 403 in curious.answers("SUBSCRIBE"), "a stranger is refused")
    await curious.ended()
    assert curious.notifies() == []
