"""The command line against a gateway at work: it tells what is so, and what to do about what is wrong."""

import asyncio

import pytest

from interop.gateway import sip_peer, xmpp_peer
from interop.peers.xmpp_client import eventually


@pytest.fixture
async def bridge(prosody, kamailio, gateway, sipp):
    """Prosody, Kamailio, the gateway between them, and bob who listens."""
    prosody("xa.example", "dialback")
    kamailio()
    one = gateway(xmpp_peer("xa.example", "dialback"), sip_peer())
    await sipp.register("bob", 6080)
    return one, sipp.listen("bob", 6080)


async def test_the_operator_can_write_to_both_sides(bridge, log_in):
    one, bob = bridge
    alice = await log_in("alice@xa.example")
    for to in ("alice@xa.example", "bob@sip.example"):
        status, output = await asyncio.to_thread(one.command, "send", "--wait", "10", to, "maintenance ☃")
        assert status == 0, output
    assert await alice.hears(1) == ["maintenance ☃"]
    assert await bob.hears(1) == ["maintenance ☃"]


async def test_the_trail_of_a_message_is_found_by_the_id_of_its_stanza(bridge, log_in):
    one, bob = bridge
    alice = await log_in("alice@xa.example")
    alice.say("bob@sip.example", "where are you?", id="my-stanza-id")
    await bob.hears(1)
    await asyncio.sleep(0.2)
    status, output = await asyncio.to_thread(one.command, "trail", "my-stanza-id")
    assert status == 0
    for word in ("received", "dialback", "routed", "delivered", "200"):
        assert word in output
    assert "where are you?" not in output, "a text is nobody's business"


async def test_check_is_content_with_a_gateway_that_works(bridge):
    one, _ = bridge
    status, output = await asyncio.to_thread(one.command, "check")
    assert status in (0, 1), output
    assert "xa.example" in output
    assert "sip.example" in output


async def test_check_names_the_peer_that_is_down(gateway, dns):
    one = gateway(xmpp_peer("xa.example", "external"), sip_peer("tcp"))
    status, output = await asyncio.to_thread(one.command, "check", "--problems")
    assert status == 2, output
    assert "xa.example" in output
    assert "sip.example" in output
    assert "refused" in output


async def test_peers_and_queue_show_an_outage(prosody, gateway, log_in):
    prosody("xa.example", "external")
    one = gateway(xmpp_peer("xa.example", "external"), sip_peer("tcp"))
    alice = await log_in("alice@xa.example")
    alice.say("bob@sip.example", "anybody?")
    await eventually(lambda: one.queue_length() == 1, "it waits")
    await asyncio.sleep(0.3)
    _, output = await asyncio.to_thread(one.command, "peers")
    assert "sip.example" in output
    assert "could not be reached" in output
    [waiting] = await asyncio.to_thread(one.command_json, "queue", "list")
    assert waiting["recipient"] == "bob@sip.example"
