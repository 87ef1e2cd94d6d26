"""Presence with a SIP client that many people have: libpurple (Pidgin, Finch, bitlbee), behind Kamailio."""

import pytest

from interop.gateway import sip_peer, xmpp_peer
from interop.peers.xmpp_client import eventually

BOB = "bob@sip.example"
ALICE = "alice@xa.example"


@pytest.fixture
async def alice(prosody, log_in_roster):
    prosody("xa.example", "external")
    return await log_in_roster(f"{ALICE}/home")


@pytest.fixture
async def bob(kamailio, gateway, alice, purple):
    kamailio(challenged="registrations")
    gateway(xmpp_peer("xa.example", "external"), sip_peer(notify_every_s=0.1))
    return await purple("bob")


async def test_he_sees_her_come_and_go(alice, bob):
    # RFC 8048 section 5.3
    bob.command(f"add simple sip:{ALICE} ally")
    await alice.gets(BOB, "subscribe")
    alice.say_to(BOB, "subscribed")
    # Whom it has added it shows when it looks at its contacts next, every ten seconds.
    await eventually(lambda: bob.is_online("ally"), "he sees her", timeout_s=25)
    alice.send_presence(ptype="unavailable")
    await eventually(lambda: not bob.is_online("ally"), "and that she has gone")


async def test_she_sees_him(alice, bob):
    # RFC 8048 section 5.2: libpurple is its own presence agent
    alice.ask(BOB)
    await alice.gets(BOB, "subscribed")
    await alice.sees(BOB, "him online", lambda one: one.type == "available")
