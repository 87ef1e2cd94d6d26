"""The gateway itself as a sender and a recipient: what an operator sends, and what is said to the gateway."""

from __future__ import annotations

from rialto.core.hub import Hub
from rialto.core.network import Delivery, Features, LinkState, Network, Origin, Peer
from rialto.model.errors import Reason, Refused
from rialto.model.message import Message, Report

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
        features=Features(in_flight_per_recipient=256),
        rate_per_s=1e6,
        sender_rate_per_s=1e6,
    )


class LocalNetwork:
    """A network without a wire: what arrives for the operator is in the trail, and nobody else lives here."""

    name = NAME

    def __init__(self, server_name: str) -> None:
        self.peer = peer(server_name)
        self.origin = Origin(self.peer, server_name, "local", secured=True)

    async def start(self, hub: Hub) -> None:
        """See `Network`."""

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
        if isinstance(content, Report) or content.recipient.local == OPERATOR:
            delivery.delivered("kept in the trail")
        else:
            delivery.failed(Refused(Reason.NOT_FOUND, f"nobody lives at {delivery.domain}"))

    def links(self) -> list[LinkState]:
        """See `Network`."""
        return []

    async def probe(self, peer: Peer) -> tuple[bool, str]:
        """See `Network`."""
        return True, "it is here"
