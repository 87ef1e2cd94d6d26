"""The peers among themselves, without the gateway: what fails here is the test bed's fault."""

import pytest

from interop.peers.xmpp_client import eventually

SNOW = "grüße ☃ № 1"


@pytest.mark.parametrize("mode", ["dialback", "external"])
async def test_prosody_and_ejabberd_federate(mode, prosody, ejabberd, log_in):
    xa, xb = prosody("xa.example", mode), ejabberd("xb.example", mode)
    alice, bob = await log_in("alice@xa.example"), await log_in("bob@xb.example")
    alice.say("bob@xb.example", SNOW)
    assert await bob.hears(1) == [SNOW]
    bob.say("alice@xa.example", SNOW)
    assert await alice.hears(1) == [SNOW]
    for server in xa, xb:
        await eventually(
            lambda s=server: s.how_streams_were_authenticated() == {mode}, f"{server.domain} used {mode}"
        )


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_two_baresips_talk_through_kamailio(transport, kamailio, baresip):
    kamailio()
    bob = baresip("bob", "carol@sip.example", 6060, transport)
    carol = baresip("carol", "bob@sip.example", 6070, transport)
    bob.say(SNOW)
    await eventually(lambda: carol.heard() == [SNOW], "carol hears bob")
    carol.say(SNOW)
    await eventually(lambda: bob.heard() == [SNOW], "bob hears carol")


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_sipp_sends_a_hundred_texts_to_sipp_through_kamailio(transport, kamailio, sipp):
    kamailio()
    texts = [f"{number:04} {SNOW}" for number in range(100)]
    await sipp.register("bob", 6080, transport)
    listener = sipp.listen("bob", 6080, transport)
    sent = await sipp.send("carol", "bob@sip.example", texts, 6090, transport)
    assert [one.status for one in sent] == [200] * 100
    assert await listener.hears(100) == texts


async def test_a_refusal_reaches_sipp(kamailio, sipp):
    kamailio()
    [sent] = await sipp.send("carol", "nobody@sip.example", [SNOW], 6090)
    assert sent.status == 404


async def test_a_contact_outlives_a_restart_of_kamailio(kamailio, sipp):
    proxy = kamailio()
    await sipp.register("bob", 6080)
    listener = sipp.listen("bob", 6080)
    proxy.stop()
    proxy.start()
    [sent] = await sipp.send("carol", "bob@sip.example", [SNOW], 6090)
    assert sent.status == 200
    assert await listener.hears(1) == [SNOW]
