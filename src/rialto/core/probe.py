"""Does it work? A message, its receipt, and presence, with one person, over the wire that all others use.

The gateway's own operator writes to somebody who lives at the far side, asks for a receipt, and asks to
watch. What comes back has gone both ways. Nothing of it stays: the authorization is given back.
"""

from __future__ import annotations

import asyncio
import time
from typing import TypeVar

import msgspec

from rialto.core.hub import Hub
from rialto.core.local import OPERATOR, LocalNetwork
from rialto.core.network import Outcome, PairView
from rialto.model.address import Address
from rialto.model.errors import DeliveryError
from rialto.model.message import Disposition, Kind, Message, Receipt
from rialto.model.presence import Grant, Pair

_T = TypeVar("_T")

TEXT = "This is a test by {server}: please confirm it, and let yourself be watched. Nothing else is needed."


class Seen(msgspec.Struct, frozen=True):
    """One thing that was tried."""

    what: str
    """`message`, `receipt`, `presence`."""
    ok: bool
    text: str
    took_ms: float


async def probe(hub: Hub, local: LocalNetwork, person: Address, wait_s: float) -> list[Seen]:
    """Try all three with that person, each for so long at most; what was seen. Never raises DeliveryError."""
    ours = Address(OPERATOR, hub.server_name)
    both = await asyncio.gather(
        _message(hub, local, ours, person.bare, wait_s), _presence(hub, local, ours, person.bare, wait_s)
    )
    return [seen for some in both for seen in some]


async def _message(
    hub: Hub, local: LocalNetwork, ours: Address, person: Address, wait_s: float
) -> list[Seen]:
    begun = time.monotonic()
    message = Message(
        id=hub.new_id(),
        sender=ours,
        recipient=person,
        text=TEXT.format(server=hub.server_name),
        received_at=time.time(),
        kind=Kind.CHAT,
        wants=(Disposition.DELIVERED,),
    )
    sent, confirmed = _Sent(), asyncio.get_running_loop().create_future()

    def receipt(one: Receipt) -> None:
        if not confirmed.done():
            confirmed.set_result(f"{one.disposition} says {one.sender}")

    local.receipts[message.id] = receipt
    try:
        try:
            hub.accept(message, local.origin, sent)
        except DeliveryError as error:
            return [_seen("message", begun, error), _seen("receipt", begun, "there was no message")]
        ended = await _within(sent.settled_future, wait_s)
        if ended is None:
            return [_seen("message", begun, "no answer"), _seen("receipt", begun, "there was no answer")]
        outcome, why = ended
        if why is not None:
            return [_seen("message", begun, why), _seen("receipt", begun, "the message failed")]
        arrived = _seen("message", begun, outcome.value, ok=True)
        text = await _within(confirmed, wait_s)
        return [arrived, _seen("receipt", begun, text or "none has come", ok=text is not None)]
    finally:
        del local.receipts[message.id]


async def _presence(
    hub: Hub, local: LocalNetwork, ours: Address, person: Address, wait_s: float
) -> list[Seen]:
    begun, pair = time.monotonic(), Pair(ours, person)
    shown: asyncio.Future[PairView] = asyncio.get_running_loop().create_future()
    last = ["no answer"]

    def told(view: PairView) -> None:
        if shown.done():
            return
        if view.grant is Grant.REFUSED or (view.grant is Grant.GRANTED and view.document is not None):
            shown.set_result(view)
        last[0] = "nobody has decided" if view.grant is Grant.PENDING else f"{view.grant}, and nothing shown"

    local.views[pair] = told
    try:
        hub.presence.ask(pair, local.origin)
        hub.presence.open(pair, local.origin)
        view = await _within(shown, wait_s)
        if view is None:
            return [_seen("presence", begun, last[0])]
        if view.grant is Grant.REFUSED or view.document is None:
            return [_seen("presence", begun, view.text or "refused")]
        return [_seen("presence", begun, "online" if view.document.online else "offline", ok=True)]
    except DeliveryError as error:
        return [_seen("presence", begun, error)]
    finally:
        del local.views[pair]
        try:
            hub.presence.give_back(pair, local.origin)
        except DeliveryError:
            pass


def _seen(what: str, begun: float, why: DeliveryError | str, *, ok: bool = False) -> Seen:
    text = why if isinstance(why, str) else why.text or why.reason.value
    return Seen(what, ok, text, round((time.monotonic() - begun) * 1000, 1))


async def _within(future: asyncio.Future[_T], wait_s: float) -> _T | None:
    done, _ = await asyncio.wait([future], timeout=wait_s)
    return future.result() if done else None


class _Sent:
    """Waits for what becomes of the message."""

    waiting = True

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.settled_future: asyncio.Future[tuple[Outcome, DeliveryError | None]] = loop.create_future()

    def stored(self) -> None:
        """See `Inbound`."""

    def refused(self, error: DeliveryError) -> None:
        """See `Inbound`."""
        self.settled(Outcome.FAILED, error)

    def settled(self, outcome: Outcome, error: DeliveryError | None) -> bool:
        """See `Inbound`."""
        if not self.settled_future.done():
            self.settled_future.set_result((outcome, error))
        return True
