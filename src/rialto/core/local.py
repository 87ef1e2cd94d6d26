"""The gateway itself as a sender and a recipient: what an operator sends, and what is said to the gateway."""

from __future__ import annotations

from collections.abc import Callable

from rialto.core.hub import Hub
from rialto.core.network import (
    Delivery,
    Features,
    LinkState,
    Network,
    Origin,
    PairView,
    Peer,
    Side,
    Verb,
)
from rialto.model.errors import Reason, Refused
from rialto.model.message import Disposition, Message, Receipt, Report
from rialto.model.presence import Pair

NAME = "local"

OPERATOR = "operator"
"""Whom `rialto send` speaks for, and who may be answered."""


def peer(server_name: str) -> Peer:
    """The peer that stands for the gateway's own domain."""
    return Peer(
        name=NAME,
        network=NAME,
        domains=(server_name,),
        settings=None,
        features=Features(in_flight_per_recipient=256, receipts=tuple(Disposition)),
        rate_per_s=1e6,
        sender_rate_per_s=1e6,
    )


class LocalNetwork:
    """A network without a wire: what arrives for the operator is in the trail, and nobody else lives here."""

    name = NAME
    pushes = False

    def __init__(self, server_name: str) -> None:
        self.peer = peer(server_name)
        self.origin = Origin(self.peer, server_name, "local", secured=True)
        self.receipts: dict[str, Callable[[Receipt], None]] = {}
        """Who waits for a receipt for which message of ours."""
        self.views: dict[Pair, Callable[[PairView], None]] = {}
        """Who waits for whose presence."""
        self._hub: Hub | None = None

    async def start(self, hub: Hub) -> None:
        """See `Network`."""
        self._hub = hub

    async def stop(self, grace_s: float) -> None:
        """See `Network`."""

    async def reload(self, network: Network) -> None:
        """See `Network`."""

    def destination(self, peer: Peer, domain: str) -> str:
        """See `Network`."""
        return NAME

    def measure(self, message: Message, peer: Peer) -> int:
        """See `Network`."""
        return len(message.text.encode())

    def deliver(self, delivery: Delivery) -> None:
        """See `Network`."""
        content = delivery.content
        if isinstance(content, Receipt) and (call := self.receipts.get(content.about)) is not None:
            call(content)
        if isinstance(content, Report) or content.recipient.local == OPERATOR:
            delivery.delivered("kept in the trail")
        else:
            delivery.failed(Refused(Reason.NOT_FOUND, f"nobody lives at {delivery.domain}"))

    def resume(self, view: PairView, side: Side) -> None:
        """See `PresenceNetwork`: whoever waited has gone."""

    def watch(self, view: PairView, verb: Verb) -> None:
        """See `PresenceNetwork`: nobody here can be watched."""
        if self._hub is None:
            return
        if verb in (Verb.CLOSE, Verb.GIVE_BACK):
            self._hub.presence.done(view.pair, self.origin)
        else:
            error = Refused(Reason.NOT_FOUND, f"nobody lives at {view.pair.presentity.domain}")
            self._hub.presence.refused(view.pair, self.origin, error, for_good=True)

    def tell(self, view: PairView) -> None:
        """See `PresenceNetwork`."""
        if (call := self.views.get(view.pair)) is not None:
            call(view)

    def links(self) -> list[LinkState]:
        """See `Network`."""
        return []

    async def probe(self, peer: Peer) -> tuple[bool, str]:
        """See `Network`."""
        return True, "it is here"
