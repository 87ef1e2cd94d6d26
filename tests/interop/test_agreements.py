"""Agreements between real servers: refused without one, through with one, and stopped when it is revoked."""

import asyncio

from interop.gateway import Gateway, sip_peer, table, xmpp_peer
from interop.peers.sipp import Sipp
from interop.peers.sipp_presence import pidf
from interop.peers.xmpp_client import XmppClient, eventually
from interop.test_presence_xmpp import Screen
from rialto.clearing.agreements.registry import LEGS, Leg, opened
from rialto.control import ask

REQUIRED = table("[policy]", agreements="required")
FREE = ("--item", "message", "--item", "presence")


async def done(one: Gateway, *words: str) -> None:
    status, output = await asyncio.to_thread(one.command, *words)
    assert status == 0, output


async def operators(one: Gateway) -> None:
    await done(one, "operator", "add", "verona", "-d", "xa.example", "--key")
    await done(one, "operator", "add", "carrier", "-d", "sip.example", "--key")


async def agree(one: Gateway) -> None:
    """Both sign, and what a probe would have seen is written down: what it sees is another test's."""
    await done(one, "agreement", "draft", "vc", "verona", "carrier", *FREE)
    for name in ("verona", "carrier"):
        await done(one, "agreement", "sign", "vc", name)
    await done(one, "order", "place", "verona", "vc")
    with opened(one.data) as registry:
        legs = [Leg(what=what, side=side, address="", ok=True, text="seen") for what, side in sorted(LEGS)]
        assert registry.probed("test", "vc", legs)
    ask(one.data / "control.sock", "agreements")


async def alice_hears_why(alice: XmppClient, condition: str, why: str) -> None:
    before = len(alice.errors())
    alice.say("bob@sip.example", "may I?")
    await eventually(lambda: len(alice.errors()) > before, "alice hears that she may not")
    error = alice.errors()[-1]
    assert error.condition == condition
    assert why in str(error.stanza)


async def bob_hears_why(sipp: Sipp, port: int, why: str) -> None:
    [sent] = await sipp.send("bob", "alice@xa.example", ["may I?"], port)
    assert sent.status == 403
    assert sent.answer is not None
    assert why in str(sent.answer)


async def test_messages_pass_from_the_agreement_to_its_suspension(prosody, kamailio, gateway, sipp, log_in):
    prosody("xa.example", "dialback")
    kamailio()
    one = gateway(xmpp_peer("xa.example", "dialback"), sip_peer(), REQUIRED)
    await sipp.register("bob", 6080)
    bob = sipp.listen("bob", 6080)
    alice = await log_in("alice@xa.example")

    nobody = "neither xa.example nor sip.example belongs to an operator"
    await alice_hears_why(alice, "not-allowed", nobody)
    await operators(one)
    await alice_hears_why(alice, "not-allowed", "verona has no agreement on messages with carrier")
    await bob_hears_why(sipp, 6090, "carrier has no agreement on messages with verona")

    await agree(one)
    alice.say("bob@sip.example", "at last")
    assert await bob.hears(1) == ["at last"]
    [sent] = await sipp.send("bob", "alice@xa.example", ["indeed"], 6091)
    assert sent.status in (200, 202)
    assert await alice.hears(1) == ["indeed"]

    await done(one, "order", "suspend", "vc", "security")
    await alice_hears_why(alice, "not-allowed", "agreement vc/1 is suspended (security)")
    await bob_hears_why(sipp, 6092, "agreement vc/1 is suspended (security)")
    assert bob.texts() == ["at last"]
    assert alice.texts() == ["indeed"]


async def test_presence_is_shown_for_as_long_as_it_is_agreed(
    prosody, kamailio, gateway, log_in, sipp_presence
):
    prosody("xa.example", "dialback")
    kamailio(presence="open")
    one = gateway(xmpp_peer("xa.example", "dialback"), sip_peer(), REQUIRED)
    await operators(one)
    alice = await log_in("alice@xa.example")
    screen = Screen(alice)
    alice.send_presence(pto="bob@sip.example", ptype="subscribe")
    await screen.shows("unsubscribed bob@sip.example")
    await agree(one)
    await sipp_presence.publish("bob", pidf("bob", ("desk", "open", "", "at my desk")), 6080)
    alice.send_presence(pto="bob@sip.example", ptype="subscribe")
    await eventually(lambda: bool(screen.online), "bob is on the screen")
    await done(one, "order", "suspend", "vc", "security")
    await eventually(lambda: not screen.online, "bob is off the screen")
