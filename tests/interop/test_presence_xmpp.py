"""Presence with a real XMPP server: alice watches the built-in people of the gateway, at sip.example."""

import asyncio
from collections.abc import Callable

import pytest
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatchXPath

from interop.gateway import table, xmpp_peer
from interop.peers.xmpp_client import XmppClient, eventually

PEOPLE = table("[networks.loopback]", slow_s=3600.0) + table(network="loopback", domains=["sip.example"])
ECHO, BUSY, REFUSE = "echo@sip.example", "busy@sip.example", "refuse@sip.example"


class Screen:
    """What a user sees of others: every presence stanza, and who is online where."""

    def __init__(self, client: XmppClient) -> None:
        self.lines: list[str] = []
        self.online: dict[str, str] = {}
        client.auto_authorize = None
        client.auto_subscribe = False
        client.register_handler(
            Callback("screen", MatchXPath("{jabber:client}presence"), lambda stanza: self._see(stanza))
        )

    def _see(self, stanza: object) -> None:
        xml = stanza.xml  # type: ignore[attr-defined]
        kind, sender = xml.get("type", "available"), xml.get("from")
        if not sender.partition("/")[0].endswith("@sip.example"):
            return
        show = xml.findtext("{jabber:client}show", "available")
        self.lines.append(f"{show if kind == 'available' else kind} {sender}")
        if kind == "available":
            self.online[sender] = show
        elif kind == "unavailable":
            for one in [sender] if "/" in sender else list(self.online):
                if one.partition("/")[0] == sender.partition("/")[0]:
                    self.online.pop(one, None)

    async def shows(self, *wanted: str) -> None:
        await eventually(
            lambda: all(one in self.lines for one in wanted), f"{wanted} on the screen: {self.lines}"
        )


def granted(client: XmppClient, contact: str) -> Callable[[], bool]:
    return lambda: client.client_roster[contact]["subscription"] in ("to", "both")


@pytest.mark.parametrize("mode", ["external", "dialback", "component"])
async def test_an_authorization_lives_from_request_to_end(mode, prosody, gateway, log_in):
    prosody("xa.example", mode)
    gateway(PEOPLE, xmpp_peer("xa.example", mode))
    alice = await log_in("alice@xa.example")
    screen = Screen(alice)
    alice.send_presence(pto=ECHO, ptype="subscribe")
    await screen.shows(f"subscribed {ECHO}", f"available {ECHO}/loopback")
    await eventually(granted(alice, ECHO), "the roster says that it was granted")
    alice.send_presence(pto=BUSY, ptype="subscribe")
    await screen.shows(f"dnd {BUSY}/loopback")
    alice.send_presence(pto=REFUSE, ptype="subscribe")
    await screen.shows(f"unsubscribed {REFUSE}")
    assert not granted(alice, REFUSE)()
    alice.send_presence(pto=ECHO, ptype="unsubscribe")
    await eventually(lambda: f"{ECHO}/loopback" not in screen.online, "echo is off the screen")
    assert f"{BUSY}/loopback" in screen.online
    before = len(screen.lines)
    await asyncio.sleep(1.0)
    assert screen.lines[before:] == []


@pytest.mark.parametrize("server", ["prosody", "ejabberd"])
async def test_who_logs_in_again_sees_again_and_from_a_second_device_too(server, request, gateway, log_in):
    request.getfixturevalue(server)("xa.example", "external")
    gateway(PEOPLE, xmpp_peer("xa.example", "external"))
    alice = await log_in("alice@xa.example")
    screen = Screen(alice)
    alice.send_presence(pto=BUSY, ptype="subscribe")
    await screen.shows(f"dnd {BUSY}/loopback")
    await alice.log_out()
    second = XmppClient("alice@xa.example/second", alice.ca_certs)
    later = Screen(second)
    await second.log_in()
    await later.shows(f"dnd {BUSY}/loopback")
    third = XmppClient("alice@xa.example/third", alice.ca_certs)
    latest = Screen(third)
    await third.log_in()
    await latest.shows(f"dnd {BUSY}/loopback")
    for client in (second, third):
        await client.log_out()


@pytest.mark.parametrize("server", ["prosody", "ejabberd"])
async def test_a_kill_and_restart_changes_nothing_that_anybody_sees(server, request, gateway, log_in):
    request.getfixturevalue(server)("xa.example", "external")
    one = gateway(PEOPLE, xmpp_peer("xa.example", "external"))
    alice = await log_in("alice@xa.example")
    screen = Screen(alice)
    for contact in (ECHO, BUSY):
        alice.send_presence(pto=contact, ptype="subscribe")
    await screen.shows(f"available {ECHO}/loopback", f"dnd {BUSY}/loopback")
    await asyncio.sleep(1.5)
    before = list(screen.lines)
    for _ in range(2):
        one.kill()
        await asyncio.to_thread(one.start)
        await asyncio.sleep(1.5)
    assert screen.lines == before
    alice.send_presence(pto=ECHO, ptype="unsubscribe")
    await eventually(lambda: f"{ECHO}/loopback" not in screen.online, "echo is off the screen")


async def test_without_presence_a_request_is_refused(prosody, gateway, log_in):
    prosody("xa.example", "external")
    gateway(PEOPLE, xmpp_peer("xa.example", "external", presence=False))
    alice = await log_in("alice@xa.example")
    screen = Screen(alice)
    alice.send_presence(pto=ECHO, ptype="subscribe")
    await screen.shows(f"unsubscribed {ECHO}")
