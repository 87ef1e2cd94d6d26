"""Takes messages on, has their receipts given, and prints of each when it is on disk; made to be killed."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from rialto.core.network import Delivery, Features
from rialto.model.address import Address
from rialto.model.message import Disposition, Message, Receipt
from rialto.testing import House, Recorder, ScriptedNetwork, peer

JULIET, ROMEO = Address("juliet", "xa.example"), Address("romeo", "sip.example")
FEATURES = Features(receipts=tuple(Disposition), in_flight_per_recipient=100)


class Says(Recorder):
    """Prints the message's id when its receipt is on disk."""

    def __init__(self, message_id: str) -> None:
        super().__init__()
        self.message_id = message_id

    def stored(self) -> None:
        sys.stdout.write(f"taken {self.message_id}\n")
        sys.stdout.flush()


def house(folder: Path) -> House:
    """Where Romeo confirms all that he gets; Juliet's end of the wire is a file, which outlives us."""

    def at_home(delivery: Delivery) -> None:
        if isinstance(delivery.content, Receipt):
            with (folder / "wire").open("a") as wire:
                wire.write(f"{delivery.content.about} {delivery.content.id}\n")
        asyncio.get_running_loop().call_soon(delivery.delivered)

    def abroad(delivery: Delivery) -> None:
        if isinstance(delivery.content, Message):
            for _ in ("telephone", "desk"):
                give(here, delivery.content.id)
        asyncio.get_running_loop().call_soon(delivery.delivered)

    here = House(
        folder,
        (peer("xa.example", "xmpp", features=FEATURES), peer("sip.example", "sip", features=FEATURES)),
        [ScriptedNetwork("xmpp", at_home), ScriptedNetwork("sip", abroad)],
        clock=time.time,
    )
    return here


def give(here: House, message_id: str) -> None:
    """Romeo has it."""
    here.hub.receipt(
        here.origin("sip.example"),
        sender=ROMEO,
        recipient=JULIET,
        about=message_id,
        disposition=Disposition.DELIVERED,
        inbound=Says(message_id),
    )


async def main(folder: Path) -> None:
    """Until the end comes."""
    async with house(folder) as here:
        while True:
            for _ in range(20):
                here.hand_in("text", str(JULIET), str(ROMEO), "xa.example", wants=(Disposition.DELIVERED,))
            await asyncio.sleep(0.001)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
