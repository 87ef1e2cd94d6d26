"""Two XMPP networks on one machine, each with a hub that does as it is told."""

from __future__ import annotations

import asyncio
import itertools
import socket
import time
from collections.abc import Callable
from typing import Any

from net import pki
from rialto.core.faces import Faces
from rialto.core.network import NOTHING_KNOWN, Context, Delivery, Hop, Inbound, Origin, Outcome, Peer
from rialto.model.address import Address
from rialto.model.errors import DeliveryError
from rialto.model.message import Composing, Content, Message
from rialto.net.dns import Answer, NoSuchDomain
from rialto.net.tls import CertificateStore
from rialto.networks.xmpp.network import XmppNetwork
from rialto.networks.xmpp.settings import PeerSettings, Settings, features

ROME, VERONA = "montague.example", "capulet.example"
PLAIN = PeerSettings(authentication=("dialback",), tls="off")


def free_port() -> int:
    """A port that nobody uses just now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class NoDns:
    """Knows IP addresses only."""

    async def addresses(self, name: str) -> Answer[str]:
        if name[0].isdigit():
            return Answer((name,))
        raise NoSuchDomain(name, "no such name")

    async def srv(self, name: str) -> Answer[Any]:
        raise NoSuchDomain(name, "no such name")


class NoPresence:
    """The presence of a hub that nobody watches through."""

    def missed(self, destination: str, network: str) -> None:
        pass

    def view(self, pair: object) -> None:
        pass


class FakeHub:
    """Takes every message; `refuse` and `hold` change that."""

    def __init__(self, ours: str, peers: tuple[Peer, ...]) -> None:
        self.ours = ours
        self.peers = peers
        self.presence: Any = NoPresence()
        self.faces = Faces(time.time)
        self.congested = False
        self.accepted: list[tuple[Message, Origin]] = []
        self.held: list[Inbound] = []
        self.given: list[dict[str, Any]] = []
        self.composed: list[Composing] = []
        self.hold = False
        self.refuse: DeliveryError | None = None
        self.back: list[tuple[str, DeliveryError, Origin]] = []
        self.counted: list[tuple[str, ...]] = []
        self.reached: list[str] = []
        self.relief: list[Callable[[], None]] = []
        self.ids = (f"{ours[:1]}{number}" for number in itertools.count(1))

    def accept(self, message: Message, origin: Origin, inbound: Inbound) -> None:
        if self.refuse is not None:
            raise self.refuse
        self.accepted.append((message, origin))
        if self.hold:
            self.held.append(inbound)
        else:
            inbound.stored()

    def receipt(self, origin: Origin, *, inbound: Inbound, **told: Any) -> None:
        if self.refuse is not None:
            raise self.refuse
        self.given.append(told)
        if self.hold:
            self.held.append(inbound)
        else:
            inbound.stored()

    def compose(self, composing: Composing, origin: Origin) -> None:
        self.composed.append(composing)

    def texts(self) -> list[str]:
        return [message.text for message, _ in self.accepted]

    def new_id(self) -> str:
        return next(self.ids)

    def returned(self, message_id: str, error: DeliveryError, origin: Origin) -> None:
        self.back.append((message_id, error, origin))

    def peer_for(self, network: str, domain: str) -> Peer | None:
        named = (peer for peer in self.peers if domain in peer.domains)
        return next(named, next((peer for peer in self.peers if "*" in peer.domains), None))

    def projects(self, network: str, domain: str) -> bool:
        return domain == self.ours

    def projected(self, network: str) -> frozenset[str]:
        return frozenset({self.ours})

    def count(self, name: str, *labels: str) -> None:
        self.counted.append((name, *labels))

    def reachable(self, destination: str, network: str) -> None:
        self.reached.append(destination)

    def on_relief(self, callback: Callable[[], None]) -> None:
        self.relief.append(callback)


class FakeDelivery:
    """One delivery; `end` is its outcome, once there is one."""

    def __init__(self, content: Content, peer: Peer) -> None:
        self.content = content
        self.peer = peer
        self.attempt = 0
        self.hop: Hop = NOTHING_KNOWN
        self.domain = content.recipient.domain
        self.end: asyncio.Future[str | DeliveryError] = asyncio.get_running_loop().create_future()

    def sent(self, hop: Hop = NOTHING_KNOWN) -> None:
        self.hop = hop
        self.end.set_result("sent")

    def delivered(self, detail: str = "", hop: Hop = NOTHING_KNOWN) -> None:
        self.hop = hop
        self.end.set_result(f"delivered: {detail}")

    def failed(self, error: DeliveryError) -> None:
        self.end.set_result(error)


class House:
    """One XMPP network that speaks for `ours`, and its hub."""

    def __init__(
        self,
        ours: str,
        peers: tuple[Peer, ...],
        *,
        port: int,
        certificates: CertificateStore | None = None,
        anchors: tuple[Any, ...] = (),
        settings: dict[str, Any] | None = None,
    ) -> None:
        self.hub = FakeHub(ours, peers)
        self.network = XmppNetwork(
            Settings(**{"listen": (f"127.0.0.1:{port}",), "confirm_s": 2.0, **(settings or {})}),
            Context(
                name="xmpp",
                server_name=f"gw.{ours}",
                secret=ours.encode(),
                peers=peers,
                dns=NoDns(),
                certificates=certificates or CertificateStore([]),
                anchors=anchors,
                clock=pki.NOW.timestamp,
            ),
        )

    async def start(self) -> None:
        await self.network.start(self.hub)  # type: ignore[arg-type]

    def send(self, text: str, to: str, *, sender: str = "", **more: Any) -> FakeDelivery:
        """Hand a message to the network, as the hub does."""
        recipient = Address.parse(to)
        content = Message(
            id=f"out-{text}",
            sender=Address.parse(sender or f"somebody@{self.hub.ours}"),
            recipient=recipient,
            text=text,
            received_at=pki.NOW.timestamp(),
            **more,
        )
        return self.hand(content)

    def hand(self, content: Content) -> FakeDelivery:
        """Hand anything to the network that a hub hands on."""
        peer = self.hub.peer_for("xmpp", content.recipient.domain)
        assert peer is not None
        delivery = FakeDelivery(content, peer)
        as_delivery: Delivery = delivery
        self.network.deliver(as_delivery)
        return delivery


def peer(domain: str, settings: PeerSettings) -> Peer:
    """A peer of the network."""
    return Peer(
        name=domain, network="xmpp", domains=(domain,), settings=settings, features=features(settings)
    )


async def until(true: Callable[[], object]) -> None:
    """Wait for what must become true within a moment."""
    async with asyncio.timeout(5):
        while not true():  # noqa: ASYNC110 - many small things are waited for here
            await asyncio.sleep(0.002)


__all__ = [
    "PLAIN",
    "ROME",
    "VERONA",
    "FakeDelivery",
    "FakeHub",
    "House",
    "Outcome",
    "free_port",
    "peer",
    "until",
]
