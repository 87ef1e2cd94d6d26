"""Presence between a real XMPP server and a real SIP presence agent, through the gateway."""

import asyncio
import json
import socket
from pathlib import Path

from interop.gateway import sip_peer, xmpp_peer
from interop.peers.baresip import Baresip
from interop.peers.sipp_presence import pidf
from interop.peers.xmpp_client import eventually

ALICE, BOB = "alice@xa.example", "bob@sip.example"


class WatchingBaresip(Baresip):
    """One that watches its contact, and may be watched."""

    def __init__(self, folder: Path, user: str, partner: str, port: int) -> None:
        super().__init__(folder, user, partner, port)
        config = self.folder / "config"
        config.write_text(f"{config.read_text()}module_app presence.so\n")
        (self.folder / "contacts").write_text(f"<sip:{partner}>;presence=p2p\n")

    async def told(self, command: str) -> str:
        """Give a command; its answer."""
        return await asyncio.to_thread(self._tell, command)

    def _tell(self, command: str) -> str:
        data = json.dumps({"command": command, "params": "", "token": "x"}).encode()
        with socket.create_connection(("127.0.0.1", self._control), timeout=5) as control:
            control.sendall(b"%d:%s," % (len(data), data))
            return control.recv(65536).decode(errors="replace")


async def test_a_telephone_and_an_xmpp_user_watch_one_another(
    prosody, kamailio, gateway, log_in_roster, tmp_path
):
    prosody("xa.example", "external")
    kamailio()
    gateway(xmpp_peer("xa.example", "external"), sip_peer(notify_every_s=0.2))
    alice = await log_in_roster(f"{ALICE}/desk")
    alice.show("dnd", "at work")
    bob = WatchingBaresip(tmp_path, "bob", ALICE, 6060)
    bob.start()
    try:
        await alice.gets(BOB, "subscribe")
        alice.say_to(BOB, "subscribed")
        await eventually(lambda: "ID-desk" in bob.program.read_log(), "the telephone is told")
        alice.ask(BOB)
        await alice.gets(BOB, "subscribed")
        await bob.told("presence_online")
        # Before anybody has said how he is, its document says `<basic>?</basic>`.
        await alice.sees(BOB, "that he is there", lambda one: one.type == "available")
        assert "Busy" in await bob.told("contacts")  # it has never heard of `show`, but of RPID
        await bob.told("presence_offline")
        await eventually(lambda: not alice.screen(BOB), "he is off the screen")
    finally:
        bob.stop()


async def test_an_xmpp_user_watches_somebody_who_publishes(
    prosody, kamailio, gateway, log_in_roster, sipp_presence
):
    prosody("xa.example", "external")
    kamailio(presence="open")
    gateway(xmpp_peer("xa.example", "external"), sip_peer())
    alice = await log_in_roster(f"{ALICE}/desk")
    etag = await sipp_presence.publish("bob", pidf("bob", ("t1", "open", "", "here")), 6080)
    alice.show()
    alice.ask(BOB)
    await alice.gets(BOB, "subscribed")
    seen = await alice.sees(BOB, "that he is there", lambda one: one.type == "available")
    assert (seen.sender, seen.status) == (f"{BOB}/t1", "here")
    etag = await sipp_presence.publish("bob", pidf("bob", ("t1", "open", "busy", "not now")), 6081, etag)
    await alice.sees(BOB, "that he is busy", lambda one: (one.show, one.status) == ("dnd", "not now"))
    await sipp_presence.publish("bob", "", 6082, etag, expires_s=0)
    await alice.sees(BOB, "that he has gone", lambda one: one.type == "unavailable")


async def test_a_decision_of_the_presence_agent_reaches_the_xmpp_user(
    prosody, kamailio, gateway, log_in_roster, sipp_presence
):
    prosody("xa.example", "external")
    agent = kamailio(presence="asks")
    gateway(xmpp_peer("xa.example", "external"), sip_peer("tcp"))
    alice = await log_in_roster(f"{ALICE}/desk")
    await sipp_presence.publish("bob", pidf("bob", ("t1", "open", "", "here")), 6080)
    alice.show()
    alice.ask(BOB)
    await eventually(lambda: bool(agent.requests("SUBSCRIBE")), "the presence agent is asked")
    assert not alice.seen_of(BOB)
    agent.decide("bob", ALICE, "allow")
    await alice.gets(BOB, "subscribed")
    await alice.sees(BOB, "that he is there", lambda one: one.type == "available")
    agent.decide("bob", ALICE, "block")
    await alice.gets(BOB, "unsubscribed")
    assert not alice.screen(BOB)


async def test_a_sip_user_watches_an_xmpp_user(prosody, kamailio, gateway, log_in_roster, sipp_presence):
    prosody("xa.example", "external")
    kamailio()
    gateway(xmpp_peer("xa.example", "external"), sip_peer(notify_every_s=0.2))
    alice = await log_in_roster(f"{ALICE}/desk")
    alice.show("away", "lunch", 5)
    watcher = sipp_presence.watcher(["bob"], ALICE, 6090, cue="good-bye")
    await watcher.told("to wait", lambda one: one.state == "pending")
    await alice.gets(BOB, "subscribe")
    alice.say_to(BOB, "subscribed")
    told = await watcher.told("that she is there", lambda one: bool(one.open))
    (one,) = told.open.values()
    assert (one.id, one.show, one.notes, one.priority) == ("ID-desk", "away", ("lunch",), "0.039")
    alice.show("", "good-bye")
    await watcher.ended()
    assert watcher.notifies()[-1].state == "terminated;reason=timeout"


async def test_a_restart_of_the_gateway_shows_nothing(
    prosody, kamailio, gateway, log_in_roster, sipp_presence
):
    prosody("xa.example", "external")
    agent = kamailio(presence="open")
    rialto = gateway(xmpp_peer("xa.example", "external"), sip_peer(notify_every_s=0.2))
    alice = await log_in_roster(f"{ALICE}/desk")
    etag = await sipp_presence.publish("bob", pidf("bob", ("t1", "open", "", "here")), 6080)
    alice.show()
    alice.ask(BOB)
    await alice.sees(BOB, "that he is there", lambda one: one.type == "available")
    before = len(alice.seen_of(BOB))
    rialto.kill()
    rialto.start()
    await sipp_presence.publish("bob", pidf("bob", ("t1", "open", "", "again")), 6081, etag)
    await alice.sees(BOB, "what is new", lambda one: one.status == "again")
    # After a crash somebody may be told again what is true; nobody may be told anything else.
    since = [one for one in alice.seen_of(BOB)[before:] if one.type != "subscribed"]
    assert {(one.sender, one.type) for one in since} == {(f"{BOB}/t1", "available")}
    assert [one.status for one in since if one.status != "here"] == ["again"]
    await eventually(lambda: len(agent.requests("SUBSCRIBE")) > 1, "the agent is asked again")
    first, *later = agent.requests("SUBSCRIBE")
    assert "SUBSCRIBE sip:bob@sip.example" in first
    # In the dialog that was there, and so to the agent's Contact.
    assert all("SUBSCRIBE sip:127.0.0.5" in one for one in later)


async def test_a_presence_agent_that_has_forgotten_everything_is_asked_anew(
    prosody, kamailio, gateway, log_in_roster, sipp_presence
):
    prosody("xa.example", "external")
    agent = kamailio(presence="open")
    gateway(xmpp_peer("xa.example", "external"), sip_peer(max_expires_s=60))
    alice = await log_in_roster(f"{ALICE}/desk")
    await sipp_presence.publish("bob", pidf("bob", ("t1", "open", "", "here")), 6080)
    alice.show()
    alice.ask(BOB)
    await alice.sees(BOB, "that he is there", lambda one: one.type == "available")
    agent.stop()
    agent.start()
    await sipp_presence.publish("bob", pidf("bob", ("t1", "open", "", "again")), 6081)
    await alice.sees(BOB, "what is new", lambda one: one.status == "again", 75)
    assert not [one for one in alice.seen_of(BOB) if one.type in ("unsubscribed", "unavailable")]
