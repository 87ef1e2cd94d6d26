"""A list server of the SIP side between a telephone and the gateway, which knows nothing of lists."""

from interop.gateway import sip_peer, xmpp_peer
from interop.peers.xmpp_client import eventually

ALICE, BOB = "alice@xa.example", "bob@xa.example"
CAROL = "carol@sip.example"
ACCEPT = "multipart/related, application/rlmi+xml, application/pidf+xml\nSupported: eventlist"


async def test_a_telephone_sees_everybody_on_a_list_in_one_dialog(
    prosody, kamailio, gateway, log_in_roster, sipp_presence
):
    # RFC 4662: Kamailio subscribes at the gateway for each of them, and puts together what it is told.
    prosody("xa.example", "external")
    agent = kamailio(presence="open", lists=True)
    agent.write_list("carol", ALICE, BOB)
    gateway(xmpp_peer("xa.example", "external"), sip_peer(notify_every_s=0.1))
    people = [await log_in_roster(f"{ALICE}/desk"), await log_in_roster(f"{BOB}/sofa")]
    watcher = sipp_presence.watcher(["carol"], "carol-list@sip.example", 6090, accept=ACCEPT)
    for person, status in zip(people, ("lunch", "reading"), strict=True):
        person.show("away", status)
        await person.gets(CAROL, "subscribe")
        person.say_to(CAROL, "subscribed")

    def told() -> str:
        return "".join(one.text for one in watcher.requests("NOTIFY"))

    try:
        await eventually(lambda: "lunch" in told() and "reading" in told(), "she is told of both", 20)
        people[0].show("dnd", "writing")
        await eventually(lambda: "writing" in told(), "she is told of what changes", 20)
    finally:
        watcher.stop()
    assert {one["require"] for one in watcher.requests("NOTIFY")} == {"eventlist"}
    assert len({one["call-id"] for one in watcher.requests("NOTIFY")}) == 1
