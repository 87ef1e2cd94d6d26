"""kill -9 of the gateway, restarts of Prosody and of Kamailio: no user sees a change or has to do anything.

Five hundred people watch somebody on the other side, both ways, and all that any of them is sent is kept.
"""

import asyncio
import contextlib
import itertools
from collections.abc import Sequence

import pytest

from interop.gateway import Gateway, sip_peer, table, xmpp_peer
from interop.peers import addresses
from interop.peers.sipp_presence import Notified, SippWatcher, pidf
from interop.peers.xmpp_client import eventually
from interop.peers.xmpp_roster import RosterClient

ALICE = "alice@xa.example"
PAIRS = 500
"""Each way: a thousand authorizations."""
PEOPLE = [f"user{number:03}" for number in range(PAIRS)]
CUE = "good-bye"


@pytest.fixture
async def alice(prosody, log_in_roster):
    """alice@xa.example at Prosody, at her desk."""
    prosody("xa.example", "external")
    return await log_in_roster(f"{ALICE}/desk")


PLENTY = table("[presence]", asks_per_s=1000.0, opens_per_s=1000.0)


def bridge(gateway, transport="udp"):
    rialto = gateway(PLENTY, xmpp_peer("xa.example", "external"), sip_peer(transport, notify_every_s=0.1))
    return linked(rialto, 1)


def linked(rialto: Gateway, times: int) -> Gateway:
    """Wait until it has greeted Prosody, for the `times`-th time.

    A stanza that Prosody 0.12 sends in the very moment between <success/> and its new stream header is lost
    with the stream: XEP-0288 and SASL EXTERNAL together.
    """
    rialto.program.wait_for(
        lambda: rialto.program.read_log().count('"up": "xa.example"') >= times, "has greeted Prosody"
    )
    return rialto


async def all_watch_all(alice: RosterClient, sipp_presence, people: Sequence[str]) -> SippWatcher:
    """alice watches all of them, and all of them watch alice; everybody sees everybody when this returns."""
    alice.show("", "here")
    for person in people:
        alice.ask(f"{person}@sip.example")
    await eventually(lambda: sees_all(alice, people), "she sees all of them", 30)
    watcher: SippWatcher = sipp_presence.watcher(people, ALICE, 6090, cue=CUE, a_second=100)
    approved: set[str] = set()

    def approve() -> bool:
        asking = {one.bare for one in alice.seen if one.type == "subscribe"} - approved
        for person in asking:
            alice.say_to(person, "subscribed")
        approved.update(asking)
        return len(approved) == len(people)

    await eventually(approve, "all of them have asked", 30)
    await eventually(lambda: len(last_of_each(watcher)) == len(people), "all of them see her", 30)
    return watcher


def sees_all(alice: RosterClient, people: Sequence[str]) -> bool:
    return all(alice.screen(f"{person}@sip.example") for person in people)


def last_of_each(watcher: SippWatcher, note: str = "here") -> dict[str, Notified]:
    """The users who see alice with `note`, and how."""
    found: dict[str, Notified] = {}
    for one in watcher.notifies():
        if one.open and next(iter(one.open.values())).notes == (note,):
            found[one.request["call-id"]] = one
    return found


async def everything_changes(
    alice: RosterClient, watcher: SippWatcher, sipp_presence, people, note, *, published_for_s: float = 60
) -> None:
    """What happens now is seen by everybody: what was to be seen before has been seen.

    Telephones publish again before what they have published runs out.
    """
    alice.show("away", note)
    document = pidf("[field0]", ("t2", "open", "", note))
    await sipp_presence.publish_all(people, document, 6085)
    publishing = asyncio.create_task(_publish_on(sipp_presence, people, document, published_for_s / 2))
    try:
        await eventually(lambda: len(last_of_each(watcher, note)) == len(people), f"all see her {note}", 30)
        await eventually(lambda: sees_note(alice, people, note), f"she sees all of them {note}", 30)
    finally:
        publishing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await publishing


async def _publish_on(sipp_presence, people, document, every_s: float) -> None:
    for port in itertools.cycle((6086, 6087)):
        await asyncio.sleep(every_s)
        await sipp_presence.publish_all(people, document, port)


def sees_note(alice: RosterClient, people: Sequence[str], note: str) -> bool:
    screens = [alice.screen(f"{person}@sip.example").values() for person in people]
    return all(any(one.status == note for one in screen) for screen in screens)


async def test_nobody_sees_that_the_gateway_was_killed(alice, kamailio, gateway, sipp_presence):
    agent = kamailio(presence="open")
    rialto = bridge(gateway)
    await sipp_presence.publish_all(PEOPLE, pidf("[field0]", ("t1", "open", "", "here")), 6080)
    watcher = await all_watch_all(alice, sipp_presence, PEOPLE)
    seen, notified, asked = len(alice.seen), len(watcher.notifies()), len(initial(agent))
    assert asked == len(PEOPLE)
    rialto.kill()
    rialto.start()
    linked(rialto, 2)
    await everything_changes(alice, watcher, sipp_presence, PEOPLE, "later")

    since = [one for one in alice.seen[seen:] if one.bare.endswith("@sip.example")]
    assert {one.type for one in since} == {"available"}
    assert {(one.sender.rpartition("/")[2], one.status) for one in since} <= {("t1", "here"), ("t2", "later")}
    told = watcher.notifies()[notified:]
    assert {one.state for one in told} == {"active"}
    assert {news(one) for one in told} <= {(("", "here"),), (("away", "later"),)}
    assert len(initial(agent)) == asked, "every dialog was taken up where it was"


@pytest.mark.parametrize("transport", ["udp", "tls"])
async def test_what_happens_while_the_gateway_is_dead_is_seen_when_it_lives(
    transport, alice, kamailio, gateway, sipp_presence
):
    kamailio(transport, presence="open")
    rialto = bridge(gateway, transport)
    people = PEOPLE[:20]
    await sipp_presence.publish_all(people, pidf("[field0]", ("t1", "open", "", "here")), 6080)
    watcher = await all_watch_all(alice, sipp_presence, people)
    seen, notified = len(alice.seen), len(watcher.notifies())
    rialto.kill()
    alice.show("away", "meanwhile")
    await sipp_presence.publish_all(people, pidf("[field0]", ("t2", "open", "", "meanwhile")), 6085)
    rialto.start()
    await eventually(lambda: sees_note(alice, people, "meanwhile"), "she sees all of them", 30)
    await eventually(lambda: len(last_of_each(watcher, "meanwhile")) == len(people), "all see her", 30)
    since = [one for one in alice.seen[seen:] if one.bare.endswith("@sip.example") and one.type != "error"]
    assert {one.type for one in since} == {"available"}
    assert {one.state for one in watcher.notifies()[notified:]} == {"active"}
    assert all(one.open for one in watcher.notifies()[notified:])


async def test_prosody_restarts_and_nobody_has_to_do_anything(
    prosody, log_in_roster, kamailio, gateway, sipp_presence
):
    server = prosody("xa.example", "external")
    alice = await log_in_roster(f"{ALICE}/desk")
    kamailio(presence="open")
    bridge(gateway)
    people = PEOPLE[:5]
    await sipp_presence.publish_all(people, pidf("[field0]", ("t1", "open", "", "here")), 6080)
    watcher = await all_watch_all(alice, sipp_presence, people)
    asked = [one for one in alice.seen if one.type == "subscribe"]
    server.stop()
    await watcher.told("that she has gone", lambda one: one.state == "active" and not one.open and one.tuples)
    server.start()
    back = await log_in_roster(f"{ALICE}/desk")  # as every client does by itself
    await eventually(lambda: sees_all(back, people), "she sees all of them again", 30)
    await everything_changes(back, watcher, sipp_presence, people, "later")
    assert {one.type for one in back.seen if one.bare.endswith("@sip.example")} == {"available"}
    assert len(asked) == len(people)
    assert not [one for one in watcher.notifies() if one.state not in ("pending", "active")]


async def test_kamailio_restarts_without_its_memory_and_nobody_has_to_do_anything(
    alice, kamailio, gateway, sipp_presence
):
    agent = kamailio(presence="open", presence_expires_s=8)
    bridge(gateway)
    people = PEOPLE[:5]
    await sipp_presence.publish_all(people, pidf("[field0]", ("t1", "open", "", "here")), 6080)
    watcher = await all_watch_all(alice, sipp_presence, people)
    seen = len(alice.seen)
    agent.stop()
    agent.start()
    await everything_changes(alice, watcher, sipp_presence, people, "later", published_for_s=8)
    since = [one for one in alice.seen[seen:] if one.bare.endswith("@sip.example")]
    assert not {"unsubscribed", "subscribe", "error"} & {one.type for one in since}
    assert not [one for one in watcher.notifies() if one.state not in ("pending", "active")]


def news(notified: Notified) -> tuple[tuple[str, str], ...]:
    """What a screen shows of it."""
    return tuple((one.show, *one.notes) for one in notified.tuples if one.basic == "open")


def initial(agent) -> list[str]:
    """The SUBSCRIBEs of the gateway that made dialogs, to people and not to the agent's own address."""
    return [
        one
        for one in agent.requests("SUBSCRIBE")
        if f"{addresses.GATEWAY}:" in one and "@sip.ex" in one.split(" from=")[0]
    ]
