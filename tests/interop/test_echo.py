"""SIP alone: people at Kamailio talk with the built-in partners of the gateway, who sit at xb.example."""

import pytest

from interop.gateway import sip_peer, table

LOOPBACK = table("[networks.loopback]") + table(network="loopback", domains=["xb.example"])


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
async def test_echo_answers_a_hundred_texts_in_order(transport, kamailio, gateway, sipp):
    kamailio(transport)
    gateway(LOOPBACK, sip_peer(transport))
    await sipp.register("bob", 6080)
    listener = sipp.listen("bob", 6080)
    texts = [f"{number:03} grüßt ☃" for number in range(100)]
    sent = await sipp.send("bob", "echo@xb.example", texts, 6090)
    assert {one.status for one in sent} == {200}
    assert await listener.hears(100) == texts


async def test_refuse_refuses(kamailio, gateway, sipp):
    kamailio()
    gateway(LOOPBACK, sip_peer())
    [sent] = await sipp.send("bob", "refuse@xb.example", ["please"], 6090)
    assert 400 <= sent.status < 700


async def test_the_proxy_is_found_in_the_dns_and_a_dead_server_is_passed_over(kamailio, gateway, sipp):
    proxy = kamailio("udp")
    gateway(LOOPBACK, sip_peer("udp", proxy=""))
    await sipp.register("bob", 6080)
    listener = sipp.listen("bob", 6080)
    await sipp.send("bob", "echo@xb.example", ["by NAPTR and SRV"], 6090)
    assert await listener.hears(1) == ["by NAPTR and SRV"]
    [echo] = [request for request in proxy.requests("MESSAGE") if "sip:bob@sip.example from" in request]
    assert echo.startswith("tcp "), "NAPTR prefers TCP, whose first server is dead"


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
async def test_the_gateway_proves_itself_when_the_proxy_challenges_it(algorithm, kamailio, gateway, sipp):
    kamailio("udp", challenged="gateway", algorithm=algorithm)
    gateway(LOOPBACK, sip_peer("tcp", username="gateway", password="pw"))
    await sipp.register("bob", 6080, is_challenged=False)
    listener = sipp.listen("bob", 6080)
    texts = [f"prove it {number}" for number in range(10)]
    sender = sipp.sender("bob", "echo@xb.example", texts, 6090, is_challenged=False)
    sender.start()
    await sender.finish()
    assert await listener.hears(10) == texts


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_echo_answers_over_ipv6(transport, gateway, sipp):
    gateway(
        LOOPBACK,
        sip_peer(transport, proxy=f"sip:[::1]:6080;transport={transport}", addresses=["::1"]),
        sip={"listen": ["udp:[::1]:5060", "tcp:[::1]:5060"]},
    )
    listener = sipp.listen("bob", 6080, transport, host="[::1]")
    texts = [f"{number} ☃" for number in range(20)]
    sender = sipp.sender(
        *("bob", "echo@xb.example", texts, 6090, transport),
        via="[::1]:5060",
        source="[::1]",
        is_challenged=False,
    )
    sender.start()
    assert {sent.status for sent in await sender.finish()} == {200}
    assert await listener.hears(20) == texts
