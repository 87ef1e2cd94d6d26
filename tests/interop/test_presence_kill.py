"""kill -9 of the gateway while people ask: no request that was acknowledged is lost.

Prosody counts what the gateway has acknowledged (XEP-0198), and tells its user by an error of what it has
not. So whoever was asked, and has neither answered nor come back as an error, was lost by the gateway.
"""

import asyncio

from interop.gateway import sip_peer, table, xmpp_peer
from interop.peers.xmpp_client import eventually
from interop.peers.xmpp_roster import RosterClient

PEOPLE = [f"user{number:03}@sip.example" for number in range(100)]
KILLED_AFTER = 60
PAUSE_S = 0.015


async def test_no_acknowledged_request_is_lost_by_a_kill(
    prosody, log_in_roster, kamailio, gateway, record_property
):
    prosody("xa.example", "external")
    alice: RosterClient = await log_in_roster("alice@xa.example/desk")
    agent = kamailio(presence="open")
    plenty = table("[presence]", asks_per_s=1000.0, opens_per_s=1000.0)
    rialto = gateway(plenty, xmpp_peer("xa.example", "external"), sip_peer("udp"))
    alice.ask("first@sip.example")  # the stream stands, and is counted on
    await alice.gets("first@sip.example", "subscribed")

    for number, person in enumerate(PEOPLE):
        if number == KILLED_AFTER:
            rialto.kill()
        alice.ask(person)
        await asyncio.sleep(PAUSE_S)
    await asyncio.to_thread(rialto.start)

    def heard_of(person: str) -> set[str]:
        return {one.type for one in alice.seen_of(person)} & {"subscribed", "error"}

    def missing() -> list[str]:
        return [person for person in PEOPLE if not heard_of(person)]

    await eventually(lambda: not missing(), "each has been asked, or has come back", 30)
    allowed = [person for person in PEOPLE if "subscribed" in heard_of(person)]
    record_property("asked before the kill and allowed", len(allowed))
    assert len(allowed) > 5, "there were some under way"
    for person in PEOPLE:
        if "subscribed" not in heard_of(person):
            alice.ask(person)
    await eventually(
        lambda: all("subscribed" in heard_of(person) for person in PEOPLE),
        "whoever came back is asked again",
        30,
    )
    refused = [one for one in alice.seen if one.type == "unsubscribed"]
    assert not refused
    assert agent.requests("SUBSCRIBE")
