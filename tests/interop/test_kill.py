"""kill -9 of the gateway at random instants under load: all that was acknowledged arrives.

A SIP message is acknowledged by its 200 or 202. An XMPP message is acknowledged to the sending server by
XEP-0198; that server tells its user by an error of what was never acknowledged, so that whatever was neither
delivered nor returned is lost. Only what the server wrote before it began to count is nobody's promise.
"""

import asyncio
import os
import random
from collections import Counter

import pytest

from interop.gateway import Gateway, sip_peer, xmpp_peer
from interop.peers.sipp import SippListener
from interop.peers.xmpp_client import XmppClient, eventually

KILLS = 20
SENDERS = 10
SEED = int(os.environ.get("RIALTO_KILL_SEED", "1"))


async def kill_again_and_again(gateway: Gateway, chance: random.Random) -> None:
    for _ in range(KILLS):
        await asyncio.sleep(chance.uniform(0.05, 1.5))
        gateway.kill()
        await asyncio.sleep(chance.uniform(0.0, 0.3))
        await asyncio.to_thread(gateway.start)


@pytest.mark.timeout(300)
async def test_no_acknowledged_sip_message_is_lost_by_kills(
    prosody, kamailio, gateway, sipp, log_in, record_property, capsys
):
    prosody("xa.example", "external")
    kamailio("udp")
    one = gateway(xmpp_peer("xa.example", "external"), sip_peer("udp", answer_wait_s=0.2))
    alice = await log_in("alice@xa.example")
    users = [f"user{number}" for number in range(SENDERS)]
    said = {user: [f"{user} {number:04} ☃" for number in range(3000)] for user in users}
    senders = {
        user: sipp.sender(user, "alice@xa.example", said[user], 6100 + number)
        for number, user in enumerate(users)
    }
    for sender in senders.values():
        sender.start()
    await kill_again_and_again(one, random.Random(SEED))
    for sender in senders.values():
        sender.program.stop()
    acknowledged = {
        user: [sent.text for sent in sender.results() if sent.status in (200, 202)]
        for user, sender in senders.items()
    }
    count = sum(map(len, acknowledged.values()))
    assert count > 200, "there was load"

    def missing() -> set[str]:
        return {text for texts in acknowledged.values() for text in texts} - set(alice.texts())

    await eventually(lambda: not missing(), "all that was acknowledged has arrived", 60)
    report(capsys, record_property, "SIP to XMPP", count, ids_of(alice), alice.texts())
    for user in users:
        heard = first_of_each(alice.texts(f"{user}@sip.example"))
        assert heard == sorted(heard), "a conversation keeps its order"


@pytest.mark.timeout(300)
async def test_no_xmpp_message_is_lost_by_kills(
    prosody, kamailio, gateway, sipp, log_in, record_property, capsys
):
    server = prosody("xa.example", "external")
    kamailio("udp")
    one = gateway(xmpp_peer("xa.example", "external"), sip_peer("udp"))
    alice = await log_in("alice@xa.example")
    users = [f"user{number}" for number in range(SENDERS)]
    listeners: dict[str, SippListener] = {}
    for number, user in enumerate(users):
        await sipp.register(user, 6100 + number)
        listeners[user] = sipp.listen(user, 6100 + number)
    said: dict[str, str] = {}

    async def talk() -> None:
        number = 0
        while True:
            for user in users:
                text = f"{user} {number:04} ☃"
                said[alice.say(f"{user}@sip.example", text)] = text
            number += 1
            await asyncio.sleep(0.05)

    talking = asyncio.create_task(talk())
    await kill_again_and_again(one, random.Random(SEED + 1))
    await asyncio.sleep(1)
    talking.cancel()

    def heard() -> list[str]:
        return [text for listener in listeners.values() for text in listener.texts()]

    def missing() -> set[str]:
        returned = {said[error.id] for error in alice.errors() if error.id in said}
        return set(said.values()) - set(heard()) - returned

    def not_promised() -> set[str]:
        return {said[message_id] for message_id in server.sent_beyond_recall() if message_id in said}

    await eventually(lambda: not missing() - not_promised(), "all has arrived, or has come back", 60)
    uncounted = len(missing())
    record_property("XMPP to SIP: gone with streams on which the server did not count yet", uncounted)
    ids = [message["call-id"] for listener in listeners.values() for message in listener.received()]
    report(capsys, record_property, "XMPP to SIP", len(set(heard())), ids, heard())
    assert len(set(heard())) > 200, "there was load"


def ids_of(client: XmppClient) -> list[str]:
    return [one.id for one in client.inbox if one.text]


def first_of_each(texts: list[str]) -> list[str]:
    return list(dict.fromkeys(texts))


def report(capsys, record_property, direction: str, count: int, ids: list[str], texts: list[str]) -> None:
    """Print and record what came more than once, under the same id and under another one."""
    same_id = sum(times - 1 for times in Counter(ids).values())
    all_copies = sum(times - 1 for times in Counter(texts).values())
    record_property(f"{direction}: duplicates with the same id", same_id)
    with capsys.disabled():
        print(
            f"\n{direction}, {KILLS} kills: {count} acknowledged, 0 lost, "
            f"{same_id} came twice under the same id, {all_copies - same_id} under another"
        )
    assert all_copies == same_id, "a copy carries the id of its original"
