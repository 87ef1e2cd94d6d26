"""kill -9 at random instants: nothing that was acknowledged is lost, and what comes twice has the same id."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

from core import receipts_child
from rialto.core.network import Delivery
from rialto.testing import House, ScriptedNetwork, peer

CHILD = Path(__file__).with_name("crash_child.py")
ROUNDS = 4


def killed(child: Path, after_s: float, *arguments: str) -> list[list[str]]:
    """Run the child, kill it that long after its first words, and return what it said, word by word."""
    with subprocess.Popen([sys.executable, str(child), *arguments], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        time.sleep(after_s)
        process.kill()
        said += process.stdout.read()
    *lines, _ = said.decode().split("\n")  # the last may be half a line
    return [line.split() for line in lines]


async def test_nothing_acknowledged_is_lost_when_the_process_is_killed(tmp_path: Path) -> None:
    chance = random.Random(1596)
    acknowledged: list[int] = []
    for number in range(ROUNDS):
        said = killed(CHILD, chance.uniform(0.0, 0.3), str(tmp_path), str(number * 1_000_000))
        numbers = [int(line[1]) for line in said if line[0] == "stored"]  # others are the log's
        assert numbers == sorted(numbers)
        acknowledged += numbers
    assert len(acknowledged) > 20 * ROUNDS
    on_wire = [line.split() for line in (tmp_path / "wire").read_text().splitlines()]

    sip = ScriptedNetwork("sip")

    def far_side(delivery: Delivery) -> None:
        on_wire.append([delivery.content.stable_id, delivery.content.id])  # type: ignore[union-attr]
        delivery.delivered()

    sip.answer = far_side
    peers = peer("xa.example", "xmpp"), peer("sip.example", "sip")
    async with House(tmp_path, peers, [ScriptedNetwork("xmpp"), sip]) as here:
        await here.settle_down()
        assert here.hub.under_way() == []
        assert here.store.queued() == []

    ids: dict[str, set[str]] = {}
    for name, message_id in on_wire:
        ids.setdefault(name, set()).add(message_id)
    assert {str(number) for number in acknowledged} <= ids.keys()  # nothing is lost
    assert all(len(one) == 1 for one in ids.values())  # what came twice had the same id
    seen = list(dict.fromkeys(name for name, _ in on_wire))
    for user in range(7):
        numbers = [int(name) for name in seen if int(name) % 7 == user]
        assert numbers == sorted(numbers)  # in order, over every crash


async def test_every_receipt_comes_home_once_when_the_process_is_killed(tmp_path: Path) -> None:
    chance = random.Random(1597)
    taken: set[str] = set()
    for _ in range(2):
        said = killed(Path(receipts_child.__file__), chance.uniform(0.0, 0.2), str(tmp_path))
        taken |= {line[1] for line in said if line[0] == "taken"}
    assert len(taken) > 40

    async with receipts_child.house(tmp_path) as here:
        while here.hub.under_way():
            await here.settle_down()
            await here.hub._receipts.finish()
        for message_id in sorted(taken)[:200]:  # and all of it again
            receipts_child.give(here, message_id)
        await here.hub._receipts.finish()
        await here.settle_down()
        while here.hub.under_way():
            await here.settle_down()

    came: dict[str, set[str]] = {}
    for line in (tmp_path / "wire").read_text().splitlines():
        about, receipt_id = line.split()
        came.setdefault(about, set()).add(receipt_id)
    assert taken <= came.keys()  # nothing that was acknowledged is lost
    assert all(len(ids) == 1 for ids in came.values())  # and none is given twice
