"""A server is stopped while messages are sent to its users, and started again: all arrive once, in order.

The outage lasts 5 s; RIALTO_OUTAGE_S says otherwise.
"""

import asyncio
import os

import pytest

from interop.gateway import sip_peer, xmpp_peer
from interop.peers.xmpp_client import eventually

from .test_thousand_messages import COUNT, texts

OUTAGE_S = float(os.environ.get("RIALTO_OUTAGE_S", "5"))


@pytest.mark.timeout(240)
async def test_prosody_is_stopped_while_sip_sends_a_thousand(prosody, kamailio, gateway, sipp, log_in):
    server = prosody("xa.example", "external")
    kamailio("tcp")
    # The answer does not wait for a server that is away; that a 202 is kept is what this shows.
    gateway(xmpp_peer("xa.example", "external"), sip_peer("tcp", answer_wait_s=0.02))
    said = texts("sip")
    sender = sipp.sender("bob", "alice@xa.example", said, 6090)
    sender.start()
    await eventually(lambda: len(sender.results()) > 50, "some were sent", 20)
    await asyncio.to_thread(server.stop)
    stopped = len(sender.results())
    await asyncio.sleep(OUTAGE_S)
    during = len(sender.results())
    await asyncio.to_thread(server.start)
    alice = await log_in("alice@xa.example")  # the server has kept for her what came before
    sent = await sender.finish()
    assert during > stopped, "messages were accepted while the server was away"
    assert {one.status for one in sent} <= {200, 202}
    await eventually(lambda: len(set(alice.texts())) == COUNT, "all have arrived", 90)
    assert list(dict.fromkeys(alice.texts())) == said
    # What the server took and did not confirm before it stopped is sent again, under the same id.
    assert len(alice.texts()) <= COUNT + 2
    assert len({one.id for one in alice.inbox if one.text}) == COUNT


@pytest.mark.timeout(240)
async def test_kamailio_is_stopped_while_xmpp_sends_a_thousand(prosody, kamailio, gateway, sipp, log_in):
    prosody("xa.example", "dialback")
    proxy = kamailio("tcp")
    gateway(xmpp_peer("xa.example", "dialback"), sip_peer("tcp"))
    alice = await log_in("alice@xa.example")
    await sipp.register("bob", 6080)
    listener = sipp.listen("bob", 6080)
    said = texts("xmpp")
    alice.say("bob@sip.example", said[0])
    await listener.hears(1)  # the stream is up
    for text in said[1:100]:
        alice.say("bob@sip.example", text)
    await eventually(lambda: len(listener.texts()) > 10, "some have arrived")
    await asyncio.to_thread(proxy.stop)
    for text in said[100:]:
        alice.say("bob@sip.example", text)
        await asyncio.sleep(OUTAGE_S / COUNT)
    await asyncio.to_thread(proxy.start)
    await eventually(lambda: len(set(listener.texts())) == COUNT, "all have arrived", 90)
    assert list(dict.fromkeys(listener.texts())) == said
    assert alice.errors() == []
    # Whether the one that was on the wire had arrived, nobody knows; a copy of it carries the same id.
    assert len(listener.texts()) <= COUNT + 1
    assert len({message["call-id"] for message in listener.received()}) == COUNT
