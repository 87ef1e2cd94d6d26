"""Accepts messages as fast as it can and prints the id of each once it is on disk; made to be killed."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from rialto.testing import House, Recorder, ScriptedNetwork, peer


class Says(Recorder):
    """Prints the id when the message is on disk."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def stored(self) -> None:
        sys.stdout.write(f"stored {self.number}\n")
        sys.stdout.flush()


async def main(folder: Path, first: int) -> None:
    """Half of the messages are delivered, with their outcome on its way to the disk, when the end comes."""
    sip = ScriptedNetwork("sip")
    wire = open(folder / "wire", "a", buffering=1)  # noqa: SIM115, ASYNC230 - the far side, which outlives us

    def far_side(delivery: object) -> None:
        wire.write(f"{delivery.content.stable_id} {delivery.content.id}\n")  # type: ignore[attr-defined]
        asyncio.get_running_loop().call_soon(delivery.delivered)  # type: ignore[attr-defined]

    sip.answer = far_side
    peers = peer("xa.example", "xmpp"), peer("sip.example", "sip")
    async with House(folder, peers, [ScriptedNetwork("xmpp"), sip], clock=time.time) as here:
        number = first
        while number < first + 100_000:
            for _ in range(20):
                number += 1
                here.hand_in(
                    f"text {number}",
                    "juliet@xa.example",
                    f"user{number % 7}@sip.example",
                    "xa.example",
                    inbound=Says(number),
                    stable_id=str(number),
                )
            await asyncio.sleep(0.001)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
