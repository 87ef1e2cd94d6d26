"""kill -9 at random instants: nothing that was acknowledged is lost, and what comes twice has the same id."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

from rialto.core.network import Delivery
from rialto.testing import House, ScriptedNetwork, peer

CHILD = Path(__file__).with_name("crash_child.py")
ROUNDS = 4


def killed(folder: Path, first: int, after_s: float) -> list[int]:
    """Run the child, kill it that long after its first words, and return the numbers it acknowledged."""
    with subprocess.Popen(
        [sys.executable, str(CHILD), str(folder), str(first)], stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        said = child.stdout.readline()
        time.sleep(after_s)
        child.kill()
        said += child.stdout.read()
    *lines, _ = said.split(b"\n")  # the last may be half a line
    return [int(line.split()[1]) for line in lines if line.startswith(b"stored ")]  # others are the log's


async def test_nothing_acknowledged_is_lost_when_the_process_is_killed(tmp_path: Path) -> None:
    chance = random.Random(1596)
    acknowledged: list[int] = []
    for number in range(ROUNDS):
        numbers = killed(tmp_path, number * 1_000_000, chance.uniform(0.0, 0.3))
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
