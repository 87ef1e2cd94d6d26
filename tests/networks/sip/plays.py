"""The stage for plays: a SIP network on loopback sockets, a hub that does as it is told, people by hand."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable
from typing import Any

from rialto.core.faces import Faces
from rialto.core.network import NOTHING_KNOWN, Context, Delivery, Hop, Inbound, Origin, Outcome, Peer
from rialto.model.address import Address
from rialto.model.agreement import Traffic
from rialto.model.errors import DeliveryError
from rialto.model.message import Composing, Content, Message
from rialto.net.dns import NoSuchDomain
from rialto.net.tls import CertificateStore
from rialto.networks.sip.network import SipNetwork
from rialto.networks.sip.settings import PeerSettings, Settings, features
from rialto.networks.sip.wire import Request, Response, StreamFramer, parse_message, response_to

FAST = Settings(listen=("udp:127.0.0.1:0", "tcp:127.0.0.1:0"), t1_s=0.02)
"""For plays in which somebody waits in vain; elsewhere a slow machine must not look like a lossy network."""

XMPP_DOMAIN = "xmpp.example"
SIP_DOMAIN = "sip.example"


class Records:
    """A resolver that knows what it was given: {(kind, name): records}."""

    def __init__(self, known: dict[tuple[str, str], tuple[Any, ...]] | None = None) -> None:
        self.known = known or {}
        self.asked: list[tuple[str, str]] = []

    async def _answer(self, kind: str, name: str) -> Any:
        self.asked.append((kind, name))
        found = self.known.get((kind, name))
        if found is None:
            raise NoSuchDomain(name, "no such name")
        if isinstance(found, Exception):
            raise found
        return type("Answer", (), {"records": found, "secure": False})()

    async def srv(self, name: str) -> Any:
        return await self._answer("srv", name)

    async def naptr(self, name: str) -> Any:
        return await self._answer("naptr", name)

    async def addresses(self, name: str) -> Any:
        return await self._answer("addresses", name)


class FakeHub:
    """Takes every message, and lets the test decide what becomes of it."""

    def __init__(self, peers: tuple[Peer, ...]) -> None:
        self.peers = peers
        self.congested = False
        self.accepted: list[tuple[Message, Origin, Inbound]] = []
        self.refuse: DeliveryError | None = None
        self.asked_for: list[Traffic] = []
        self.at_once: Outcome | None = Outcome.DELIVERED
        self.memory: dict[str, str] = {}
        self.faces = Faces(time.time)
        self.receipts: list[dict[str, Any]] = []
        self.composed: list[Composing] = []
        self.came_back: list[tuple[str, DeliveryError]] = []
        self.counted: list[tuple[str, ...]] = []
        self.reached: list[str] = []
        self.ids = (f"0190{number:019x}" for number in itertools.count(1))
        self.arrived = asyncio.Event()

    def accept(self, message: Message, origin: Origin, inbound: Inbound) -> None:
        if self.refuse is not None:
            raise self.refuse
        self.accepted.append((message, origin, inbound))
        self.arrived.set()
        if self.at_once is not None:
            inbound.stored()
            inbound.settled(self.at_once, None)

    def would_refuse(
        self, sender: Address, recipient: Address, origin: Origin, service: Traffic
    ) -> DeliveryError | None:
        self.asked_for.append(service)
        return self.refuse

    def new_id(self) -> str:
        return next(self.ids)

    def peer_for(self, network: str, domain: str) -> Peer | None:
        return next((peer for peer in self.peers if domain in peer.domains), None)

    def projects(self, network: str, domain: str) -> bool:
        return domain == XMPP_DOMAIN

    def projected(self, network: str) -> frozenset[str]:
        return frozenset({XMPP_DOMAIN})

    def count(self, name: str, *labels: str) -> None:
        self.counted.append((name, *labels))

    def receipt(self, origin: Origin, *, inbound: Inbound | None = None, **told: Any) -> None:
        if self.refuse is not None:
            raise self.refuse
        self.receipts.append(told)
        self.arrived.set()
        if inbound is not None:
            inbound.stored()
            inbound.settled(Outcome.DELIVERED, None)

    def compose(self, composing: Composing, origin: Origin) -> None:
        self.composed.append(composing)
        self.arrived.set()

    def returned(self, message_id: str, error: DeliveryError, origin: Origin) -> None:
        self.came_back.append((message_id, error))

    def remember(self, network: str, key: str, value: str) -> None:
        self.memory[key] = value

    def recall(self, network: str, key: str) -> str | None:
        return self.memory.get(key)

    def recall_all(self, network: str, prefix: str) -> list[tuple[str, str]]:
        return [(key, value) for key, value in self.memory.items() if key.startswith(prefix)]

    def reachable(self, destination: str, network: str) -> None:
        self.reached.append(destination)


class FakeDelivery:
    """One delivery; `end` is its outcome, once there is one."""

    def __init__(self, content: Content, peer: Peer, attempt: int = 0) -> None:
        self.content = content
        self.peer = peer
        self.attempt = attempt
        self.domain = content.recipient.domain
        self.end: asyncio.Future[str | DeliveryError] = asyncio.get_running_loop().create_future()

    def sent(self, hop: Hop = NOTHING_KNOWN) -> None:
        self.end.set_result("sent")

    def delivered(self, detail: str = "", hop: Hop = NOTHING_KNOWN) -> None:
        self.end.set_result(f"delivered {detail}")

    def again(self, why: str = "") -> None:
        self.end.set_result(f"again: {why}" if why else "again")

    def failed(self, error: DeliveryError) -> None:
        self.end.set_result(error)

    async def error(self) -> DeliveryError:
        end = await asyncio.wait_for(self.end, 5)
        assert isinstance(end, DeliveryError), end
        return end


class Stage:
    """A running SIP network with one peer, `sip.example`."""

    def __init__(
        self,
        *,
        settings: Settings | None = None,
        peer: PeerSettings | None = None,
        records: Records | None = None,
        certificates: CertificateStore | None = None,
        anchors: tuple[Any, ...] = (),
        tap: Callable[[str, str, str, bytes], None] | None = None,
    ) -> None:
        peer = peer or PeerSettings(trust=("address",), addresses=("127.0.0.1",))
        self.peer = Peer("bobs", "sip", (SIP_DOMAIN,), peer, features(peer))
        self.now = 1_800_000_000.0
        self.network = SipNetwork(
            settings or Settings(listen=("udp:127.0.0.1:0", "tcp:127.0.0.1:0")),
            Context(
                name="sip",
                server_name="gw.example",
                secret=b"s" * 32,
                peers=(self.peer,),
                dns=records or Records(),
                certificates=certificates or CertificateStore(),
                anchors=anchors,
                clock=lambda: self.now,
                tap=tap,
            ),
        )
        self.hub = FakeHub((self.peer,))
        self.people: list[Person] = []

    async def __aenter__(self) -> Stage:
        await self.network.start(self.hub)  # type: ignore[arg-type]
        return self

    async def __aexit__(self, *_: object) -> None:
        for person in self.people:
            person.close()
        await self.network.stop(0)

    def port(self, transport: str) -> int:
        return next(port for bound, _, port in self.network.transports.bound() if bound == transport)

    async def udp(self) -> Person:
        """Somebody who speaks UDP from 127.0.0.1."""
        loop = asyncio.get_running_loop()
        person = Person(self.port("udp"))
        await loop.create_datagram_endpoint(lambda: person, local_addr=("127.0.0.1", 0))
        self.people.append(person)
        return person

    async def tcp(self) -> Caller:
        """Somebody who has connected over TCP."""
        caller = Caller()
        await asyncio.get_running_loop().create_connection(lambda: caller, "127.0.0.1", self.port("tcp"))
        self.people.append(caller)
        return caller

    def deliver(self, content: Content, attempt: int = 0) -> FakeDelivery:
        delivery = FakeDelivery(content, self.peer, attempt)
        cast_delivery: Delivery = delivery
        self.network.deliver(cast_delivery)
        return delivery


class Person(asyncio.DatagramProtocol):
    """A SIP user agent by hand, over UDP."""

    def __init__(self, port: int) -> None:
        self._to = ("127.0.0.1", port)
        self.inbox: asyncio.Queue[Request | Response] = asyncio.Queue()
        self.port = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._from = addr
        self.inbox.put_nowait(parse_message(data))

    def say(self, message: Request | Response | bytes) -> None:
        self.transport.sendto(message if isinstance(message, bytes) else message.encode(), self._to)

    async def hears(self) -> Any:
        return await asyncio.wait_for(self.inbox.get(), 5)

    async def hears_nothing(self, seconds: float = 0.05) -> None:
        await asyncio.sleep(seconds)
        assert self.inbox.empty(), self.inbox.get_nowait()

    async def answers(self, status: int, headers: tuple[tuple[str, str], ...] = ()) -> Request:
        """Hear a request, answer it."""
        request: Request = await self.hears()
        assert isinstance(request, Request)
        self.say(response_to(request, status, to_tag="bob", headers=headers))
        return request

    def close(self) -> None:
        self.transport.close()


class Caller(asyncio.Protocol):
    """A SIP user agent by hand, over TCP (either side)."""

    say = Person.say
    hears = Person.hears
    hears_nothing = Person.hears_nothing
    answers = Person.answers
    close = Person.close

    def __init__(self) -> None:
        self.inbox: asyncio.Queue[Any] = asyncio.Queue()
        self.framer = StreamFramer()
        self.lost = asyncio.Event()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.framer.receive_data(data)
        while (event := self.framer.next_event()) is not None:
            self.inbox.put_nowait(event)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()

    def say(self, message: Request | Response | bytes) -> None:  # type: ignore[no-redef]  # noqa: F811
        self.transport.write(message if isinstance(message, bytes) else message.encode())


def message(
    text: str = "Art thou not Romeo?",
    *,
    method: str = "MESSAGE",
    uri: str = "sip:romeo@xmpp.example",
    sender: str = "<sip:juliet@sip.example>;tag=1",
    to: str = "<sip:romeo@xmpp.example>",
    branch: str = "z9hG4bKone",
    call_id: str = "call-1",
    cseq: int = 1,
    via: str = "SIP/2.0/UDP 127.0.0.1:1;rport",
    content_type: str = "text/plain",
    headers: tuple[tuple[str, str], ...] = (),
    body: bytes | None = None,
) -> Request:
    return Request(
        method,
        uri,
        [
            ("Via", f"{via};branch={branch}"),
            ("Max-Forwards", "70"),
            ("From", sender),
            ("To", to),
            ("Call-ID", call_id),
            ("CSeq", f"{cseq} {method}"),
            *([("Content-Type", content_type)] if content_type else []),
            *headers,
        ],
        text.encode() if body is None else body,
    )


def outgoing(text: str = "Neither, fair saint", number: int = 1, **changes: Any) -> Message:
    fields: dict[str, Any] = {
        "id": f"0190{number:019x}",
        "sender": Address("romeo", XMPP_DOMAIN, "orchard"),
        "recipient": Address("juliet", SIP_DOMAIN),
        "text": text,
        "received_at": 1_800_000_000.0,
    }
    return Message(**(fields | changes))
