"""What waits is bounded in number and time, survives every stop, and its senders hear what became of it."""

import asyncio

from interop.gateway import sip_peer, table, xmpp_peer
from interop.peers import addresses
from interop.peers.xmpp_client import eventually


async def test_a_full_queue_says_503_and_when_to_come_back(gateway, sipp):
    # Straight to the gateway: a proxy makes 500 of what it is told by 503 (RFC 3261 section 16.7).
    one = gateway(
        table("[queue]", max_messages_per_recipient=5),
        xmpp_peer("xa.example", "external"),  # nobody is there
        sip_peer(answer_wait_s=0.05, addresses=[addresses.CLIENTS]),
    )
    texts = [f"text {number}" for number in range(8)]
    sender = sipp.sender(
        "bob", "alice@xa.example", texts, 6090, via=f"{addresses.GATEWAY}:5060", is_challenged=False
    )
    sender.start()
    sent = await sender.finish()
    assert [one.status for one in sent] == [202] * 5 + [503] * 3
    assert all(int(refused.answer["retry-after"].split()[0]) > 0 for refused in sent[5:])
    assert one.queue_length() == 5


async def test_a_full_queue_is_told_to_xmpp_senders(prosody, gateway, log_in):
    prosody("xa.example", "external")
    one = gateway(
        table("[queue]", max_messages_per_recipient=5), xmpp_peer("xa.example", "external"), sip_peer()
    )
    alice = await log_in("alice@xa.example")
    for number in range(5):
        alice.say("bob@sip.example", f"text {number}")
    await eventually(lambda: one.queue_length() == 5, "five wait")
    asked = {alice.say("bob@sip.example", f"text {number}") for number in range(5, 8)}
    await eventually(lambda: len(alice.errors()) == 3, "three are refused")
    assert {error.condition for error in alice.errors()} == {"resource-constraint"}
    assert {error.id for error in alice.errors()} == asked


async def test_what_expires_goes_home_to_the_xmpp_sender(prosody, gateway, log_in):
    prosody("xa.example", "external")
    gateway(table("[queue]", max_age_s=1.0), xmpp_peer("xa.example", "external"), sip_peer())
    alice = await log_in("alice@xa.example")
    asked = alice.say("bob@sip.example", "before it is too late")
    await eventually(lambda: bool(alice.errors()), "it came home", 20)
    [error] = alice.errors()
    assert (error.id, error.condition) == (asked, "remote-server-timeout")


async def test_what_expires_is_told_to_the_sip_sender(kamailio, gateway, sipp):
    kamailio()
    gateway(
        table("[queue]", max_age_s=1.0), xmpp_peer("xa.example", "external"), sip_peer(answer_wait_s=0.05)
    )
    await sipp.register("bob", 6080)
    listener = sipp.listen("bob", 6080)
    [sent] = await sipp.send("bob", "alice@xa.example", ["before it is too late"], 6090)
    assert sent.status == 202
    await listener.hears(1, 20)
    [notice] = listener.received()
    assert "alice@xa.example" in notice["from"]
    assert "before it is too late" in notice.text


async def test_what_waits_outlives_a_stop_and_a_start(prosody, kamailio, gateway, sipp, log_in):
    prosody("xa.example", "external")
    one = gateway(xmpp_peer("xa.example", "external"), sip_peer("tcp"))
    alice = await log_in("alice@xa.example")
    texts = [f"text {number}" for number in range(20)]
    for text in texts:
        alice.say("bob@sip.example", text)
    await eventually(lambda: one.queue_length() == 20, "all wait: there is no proxy yet")
    assert await asyncio.to_thread(one.stop) == 0
    waiting = one.command_json("queue", "list")
    assert len(waiting) == 20, "the list can be read while no server runs"
    kamailio()
    await sipp.register("bob", 6080)
    listener = sipp.listen("bob", 6080)
    await asyncio.to_thread(one.start)
    assert await listener.hears(20) == texts
    await eventually(lambda: one.queue_length() == 0, "nothing waits any more")
