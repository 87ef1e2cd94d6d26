"""XMPP users are published at Kamailio's presence server, where SIP users watch them (RFC 3903)."""

from interop.gateway import sip_peer, xmpp_peer
from interop.peers.xmpp_client import eventually

ALICE, CAROL = "alice@xa.example", "carol@sip.example"


def shows(notified) -> list[tuple[str, tuple[str, ...]]]:
    return sorted((one.show, one.notes) for one in notified.tuples if one.basic == "open")


async def test_the_presence_server_shows_who_lets_one_of_its_users_watch(
    gateway, kamailio, prosody, log_in_roster, sipp_presence
):
    prosody("xa.example", "external")
    proxy = kamailio("udp", presence="open")
    bridge = gateway(xmpp_peer("xa.example", "external"), sip_peer("udp", notify_every_s=0.1, publish=True))
    alice = await log_in_roster(f"{ALICE}/desk")
    alice.show("away", "lunch", 5)
    server = sipp_presence.watcher(["dave"], ALICE, 6089, cue="good-bye")
    await server.told("that nothing is known", lambda one: one.state == "active")

    asks = sipp_presence.watcher(["carol"], ALICE, 6090, cue="dessert")
    await asks.told("to wait", lambda one: one.state == "pending")
    await alice.gets(CAROL, "subscribe")
    assert proxy.requests("PUBLISH") == [], "nobody is published who has let nobody watch"
    alice.say_to(CAROL, "subscribed")
    await server.told("how she is", lambda one: shows(one) == [("away", ("lunch",))])
    alice.show("", "dessert")
    await server.told("that it has changed", lambda one: shows(one) == [("", ("dessert",))])
    await asks.ended()  # and carol watches no more herself

    bridge.kill()
    bridge.start()
    alice.show("dnd", "back to work")
    told = await server.told("by the next run", lambda one: shows(one) == [("dnd", ("back to work",))])
    assert len(told.open) == 1, "the document of the run before it is the one that was changed"

    alice.say_to(CAROL, "unsubscribed")
    await eventually(lambda: not server.notifies()[-1].open, "she is not seen any more")
    server.stop()
