"""Presence with a real XMPP server the other way round: juliet@sip.example watches alice.

The gateway runs in the test, and what its hub knows of alice is what the watcher would be told.
"""

import asyncio
from collections.abc import Callable

import pytest

from interop.peers import addresses
from interop.peers.xmpp_client import XmppClient, eventually
from networks.xmpp.presence_house import Gateway
from networks.xmpp.stage import peer
from rialto.core.network import Verb
from rialto.model.address import Address
from rialto.model.presence import Document, Grant, Pair, Show
from rialto.net.tls import CertificateStore, KeyPair
from rialto.networks.xmpp.settings import PeerSettings

SEEN = Pair(Address("juliet", "sip.example"), Address("alice", "xa.example"))
SEEING = Pair(SEEN.presentity, SEEN.watcher)


@pytest.fixture
async def inside(sip_certificate, dns):
    made: list[Gateway] = []

    async def make() -> Gateway:
        settings = PeerSettings(authentication=("dialback",), host=addresses.XA)
        one = Gateway(
            (peer("xa.example", settings),),
            port=0,
            ours="sip.example",
            certificates=CertificateStore([KeyPair(sip_certificate.certificate, sip_certificate.key)]),
            settings={"listen": (f"{addresses.GATEWAY}:5269",)},
        )
        made.append(one)
        await one.start()
        return one

    yield make
    for one in made:
        await one.stop()


def known(gateway: Gateway) -> dict[str, Show] | None:
    """Where alice is online, as far as the hub knows."""
    view = gateway.hub.presence.view(SEEN)
    if view is None or view.document is None:
        return None
    return {state.instance.partition(".")[0]: state.show for state in view.document.states}


def grant(gateway: Gateway) -> Grant:
    view = gateway.hub.presence.view(SEEN)
    return view.grant if view is not None else Grant.NONE


async def asked(gateway: Gateway, alice: XmppClient) -> None:
    """Juliet asks, and alice's client shows it."""
    alice.auto_authorize = None
    alice.auto_subscribe = False
    requests: list[object] = []
    alice.add_event_handler("presence_subscribe", requests.append)
    gateway.hub.presence.ask(SEEN, None)
    gateway.hub.presence.open(SEEN, None)
    await eventually(lambda: bool(requests), "alice is asked")


async def another(alice: XmppClient, resource: str) -> XmppClient:
    second = XmppClient(f"alice@xa.example/{resource}", alice.ca_certs)
    await second.log_in()
    return second


@pytest.fixture(params=["prosody", "ejabberd"])
def server(request, prosody, ejabberd) -> Callable[[], object]:
    make = {"prosody": prosody, "ejabberd": ejabberd}[request.param]
    return lambda: make("xa.example")


async def test_two_devices_come_and_go(server, inside, log_in):
    server()
    gateway = await inside()
    alice = await log_in("alice@xa.example/first")
    await asked(gateway, alice)
    assert grant(gateway) is Grant.PENDING
    alice.send_presence(pto="juliet@sip.example", ptype="subscribed")
    await eventually(lambda: known(gateway) == {"first": Show.AVAILABLE}, "alice is seen")
    alice.send_presence(pshow="away", pstatus="zu Tisch", ppriority=3)
    await eventually(lambda: known(gateway) == {"first": Show.AWAY}, "alice is away")
    view = gateway.hub.presence.view(SEEN)
    assert view is not None
    assert view.document is not None
    (state,) = view.document.states
    assert (state.priority, [note.text for note in state.notes]) == (3, ["zu Tisch"])
    second = await another(alice, "second")
    await eventually(
        lambda: known(gateway) == {"first": Show.AWAY, "second": Show.AVAILABLE}, "both are seen"
    )
    await alice.log_out()
    await eventually(lambda: known(gateway) == {"second": Show.AVAILABLE}, "one remains")
    await second.log_out()
    await eventually(lambda: known(gateway) == {}, "alice is offline")


def sizes(gateway) -> set[int]:
    """How many instances there were in what was told."""
    return {len(view.document.states) for view in gateway.far.told if view.document is not None}


async def test_a_probe_brings_all_of_it_at_once(server, inside, log_in):
    server()
    gateway = await inside()
    alice = await log_in("alice@xa.example/first")
    await asked(gateway, alice)
    alice.send_presence(pto="juliet@sip.example", ptype="subscribed")
    await eventually(lambda: known(gateway) == {"first": Show.AVAILABLE}, "alice is seen")
    second = await another(alice, "second")
    await eventually(lambda: len(known(gateway) or {}) == 2, "both are seen")
    await gateway.stop()
    again = await inside()  # it remembers nothing
    again.hub.presence.ask(SEEN, None)  # and is told at once what alice had decided
    again.hub.presence.open(SEEN, None)
    await eventually(lambda: len(known(again) or {}) == 2, "both are seen again", 20)
    await eventually(lambda: bool(sizes(again)), "and that is told")
    assert sizes(again) == {2}
    await second.log_out()
    await alice.log_out()
    await eventually(lambda: known(again) == {}, "alice is offline")
    again.hub.presence.fetch(SEEN, None)
    again.hub.presence.close(SEEN, None)
    again.hub.presence.open(SEEN, None)  # a probe of somebody who is offline
    await asyncio.sleep(0.5)
    assert known(again) == {}


async def test_a_probe_of_somebody_who_is_offline_says_so(server, inside, log_in):
    server()
    gateway = await inside()
    alice = await log_in("alice@xa.example/first")
    await asked(gateway, alice)
    alice.send_presence(pto="juliet@sip.example", ptype="subscribed")
    await eventually(lambda: known(gateway) == {"first": Show.AVAILABLE}, "alice is seen")
    await alice.log_out()
    await eventually(lambda: known(gateway) == {}, "alice is seen to go")
    await gateway.stop()
    again = await inside()  # it remembers nothing
    again.hub.presence.ask(SEEN, None)
    again.hub.presence.open(SEEN, None)
    await eventually(lambda: known(again) == {}, "alice is offline", 25)  # ejabberd answers no such probe


async def test_a_refusal_and_a_change_of_mind(server, inside, log_in):
    server()
    gateway = await inside()
    alice = await log_in("alice@xa.example/first")
    await asked(gateway, alice)
    alice.send_presence(pto="juliet@sip.example", ptype="unsubscribed")
    await eventually(lambda: grant(gateway) is Grant.REFUSED, "alice has refused")
    await asked(gateway, alice)
    alice.send_presence(pto="juliet@sip.example", ptype="subscribed")
    await eventually(lambda: known(gateway) == {"first": Show.AVAILABLE}, "alice is seen")
    alice.send_presence(pto="juliet@sip.example", ptype="unsubscribed")
    await eventually(lambda: grant(gateway) is Grant.REFUSED, "alice has taken it back")
    view = gateway.hub.presence.view(SEEN)
    assert view is not None
    assert view.document is None


async def test_giving_back_leaves_nothing(server, inside, log_in):
    server()
    gateway = await inside()
    alice = await log_in("alice@xa.example/first")
    await asked(gateway, alice)
    alice.send_presence(pto="juliet@sip.example", ptype="subscribed")
    await eventually(lambda: known(gateway) == {"first": Show.AVAILABLE}, "alice is seen")
    gone: list[object] = []
    alice.add_event_handler("presence_unsubscribe", gone.append)
    gateway.hub.presence.give_back(SEEN, None)
    await eventually(lambda: bool(gone), "alice is told that juliet watches no longer")
    await eventually(lambda: len(gateway.hub.presence) == 0, "nothing is left")


async def test_her_session_follows_what_she_shows(server, inside, log_in):
    server()
    gateway = await inside()
    alice = await log_in("alice@xa.example/first")
    await asked(gateway, alice)
    alice.send_presence(pto="juliet@sip.example", ptype="subscribed")
    alice.send_presence(pto="juliet@sip.example", ptype="subscribe")
    await eventually(lambda: (SEEING, Verb.ASK) in gateway.far.said, "juliet is asked")
    gateway.hub.presence.granted(SEEING, None)
    gateway.hub.presence.show(SEEING, Document((), as_of=1.0), None)
    await eventually(
        lambda: alice.client_roster["juliet@sip.example"]["subscription"] == "both", "both may see each other"
    )
    await eventually(lambda: known(gateway) == {"first": Show.AVAILABLE}, "alice is seen")
    await alice.log_out()
    await eventually(lambda: gateway.far.said[-1] == (SEEING, Verb.CLOSE), "her session has ended")
    await log_in("alice@xa.example/second")
    await eventually(lambda: gateway.far.said[-1] == (SEEING, Verb.OPEN), "another has begun")


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_a_server_that_restarts_leaves_no_ghost(how, prosody, inside, log_in):
    server = prosody("xa.example")
    gateway = await inside()
    alice = await log_in("alice@xa.example/first")
    await asked(gateway, alice)
    alice.send_presence(pto="juliet@sip.example", ptype="subscribed")
    await eventually(lambda: known(gateway) == {"first": Show.AVAILABLE}, "alice is seen")
    await asyncio.to_thread(server.program.kill if how == "kill" else server.stop)
    await asyncio.to_thread(server.start)
    await log_in("alice@xa.example/second")
    await eventually(lambda: known(gateway) == {"second": Show.AVAILABLE}, "only her new device is seen", 30)
