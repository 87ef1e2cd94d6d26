"""A thousand messages each way between an XMPP user and a SIP user: in order, none lost, none changed."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from interop.gateway import sip_peer, xmpp_peer
from interop.peers.sipp import Sipp
from interop.peers.xmpp_client import XmppClient, eventually

COUNT = 1000
ALPHABETS = ("Grüße", "Привет", "こんにちは", "שלום", "👩‍👩‍👧‍👦 & <b>", "ﬁn — \u00a0\u200d«…»")


def texts(origin: str, count: int = COUNT) -> list[str]:
    """Numbered texts, each told from every other, in many scripts."""
    return [f"{origin} {number:04} {ALPHABETS[number % len(ALPHABETS)]}" for number in range(count)]


async def exchange(alice: XmppClient, sipp: Sipp, *, count: int = COUNT) -> dict[str, float]:
    """Send `count` texts each way at the same time, check what arrived, and give messages per second."""
    domain = alice.boundjid.domain
    await sipp.register("bob", 6080)
    listener = sipp.listen("bob", 6080)
    # QUIRK(Prosody 0.12): what its user sends while a stream is being set up, it can send in another order.
    alice.say("bob@sip.example", "hello")
    await listener.hears(1)
    to_sip, to_xmpp = texts("xmpp", count), texts("sip", count)
    began = time.monotonic()
    sender = sipp.sender("bob", f"alice@{domain}", to_xmpp, 6090)
    sender.start()
    for text in to_sip:
        alice.say("bob@sip.example", text)

    async def until_heard(heard: Awaitable[list[str]]) -> float:
        await heard
        return count / (time.monotonic() - began)

    speeds = await asyncio.gather(
        until_heard(listener.hears(count + 1, 90)),
        until_heard(alice.hears(count, 90, sender="bob@sip.example")),
    )
    sent = await sender.finish()
    assert {one.status for one in sent} <= {200, 202}
    assert [one.text for one in sent] == to_xmpp
    assert alice.texts() == to_xmpp
    assert listener.texts() == ["hello", *to_sip]
    assert alice.errors() == []
    return {"to SIP": speeds[0], "to XMPP": speeds[1]}


def tell(record: Callable[[str, object], None], speeds: dict[str, float]) -> None:
    for direction, per_s in speeds.items():
        record(f"messages per second {direction}", round(per_s))


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("mode", "transport"), [("dialback", "tcp"), ("external", "tls"), ("component", "udp")]
)
async def test_a_thousand_each_way_through_prosody_and_kamailio(
    mode, transport, prosody, kamailio, gateway, sipp, log_in, record_property
):
    server = prosody("xa.example", mode)
    kamailio(transport)
    trust = ["tls"] if transport == "tls" else ["address"]
    gateway(xmpp_peer("xa.example", mode), sip_peer(transport, trust=trust))
    tell(record_property, await exchange(await log_in("alice@xa.example"), sipp))
    if mode != "component":
        assert server.how_streams_were_authenticated() == {mode}


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("mode", "transport"), [("dialback", "udp"), ("external", "tcp"), ("component", "tls")]
)
async def test_a_thousand_each_way_through_ejabberd_and_kamailio(
    mode, transport, ejabberd, kamailio, gateway, sipp, log_in, record_property
):
    server = ejabberd("xb.example", mode)
    kamailio(transport)
    gateway(xmpp_peer("xb.example", mode), sip_peer(transport))
    tell(record_property, await exchange(await log_in("alice@xb.example"), sipp))
    if mode != "component":
        await eventually(lambda: server.how_streams_were_authenticated() == {mode}, f"used {mode}")


async def test_two_people_talk_with_baresip(prosody, kamailio, gateway, baresip, log_in):
    prosody("xa.example", "dialback")
    kamailio("tcp")
    gateway(xmpp_peer("xa.example", "dialback"), sip_peer("tcp"))
    alice = await log_in("alice@xa.example")
    bob = baresip("bob", "alice@xa.example", 6060, "tcp")
    said = texts("alice", 20)
    for text in said:
        alice.say("bob@sip.example", text)
    await eventually(lambda: bob.heard() == said, "bob has read all that alice wrote", 15)
    for number in range(3):
        bob.say(f"bob {number} grüßt")
    assert await alice.hears(3) == [f"bob {number} grüßt" for number in range(3)]


async def test_an_xmpp_user_of_each_server_talks_to_the_same_sip_user(
    prosody, ejabberd, kamailio, gateway, sipp, log_in
):
    prosody("xa.example", "external")
    ejabberd("xb.example", "external")
    kamailio()
    gateway(xmpp_peer("xa.example", "external"), xmpp_peer("xb.example", "external"), sip_peer())
    alice, bella = await log_in("alice@xa.example"), await log_in("bob@xb.example")
    await sipp.register("bob", 6080)
    listener = sipp.listen("bob", 6080)
    alice.say("bob@sip.example", "from prosody")
    bella.say("bob@sip.example", "from ejabberd")
    assert sorted(await listener.hears(2)) == ["from ejabberd", "from prosody"]
    froms = sorted(message["from"].partition(";")[0] for message in listener.received())
    assert [name.strip("<>").partition(";")[0] for name in froms] == [
        "sip:alice@xa.example",
        "sip:bob@xb.example",
    ]
    await sipp.send("bob", "alice@xa.example", ["to prosody"], 6090)
    await sipp.send("bob", "bob@xb.example", ["to ejabberd"], 6090)
    assert await alice.hears(1) == ["to prosody"]
    assert await bella.hears(1) == ["to ejabberd"]


async def test_streams_whose_tls_begins_with_the_first_byte(prosody, kamailio, gateway, sipp, log_in):
    server = prosody("xt.example", "external")
    kamailio()
    gateway(xmpp_peer("xt.example", "external"), sip_peer(domains=["sip.example", "secure.example"]))
    alice = await log_in("alice@xt.example")
    await sipp.register("bob", 6080)
    listener = sipp.listen("bob", 6080)
    alice.say("bob@secure.example", "there is no other way to you")
    assert await listener.hears(1) == ["there is no other way to you"]
    sender = sipp.sender("bob", "alice@xt.example", ["nor to you"], 6090, sender="bob@secure.example")
    sender.start()
    await sender.finish()
    assert await alice.hears(1) == ["nor to you"]
    assert server.how_streams_were_authenticated() == {"external"}
