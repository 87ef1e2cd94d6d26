"""The stage for plays about presence: the SIP stage, and a hub whose presence does as the test says."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from networks.sip.plays import SIP_DOMAIN, XMPP_DOMAIN, Person, Stage
from rialto.core.network import Origin, PairView, Verb, Watcher
from rialto.model.address import Address
from rialto.model.errors import DeliveryError
from rialto.model.presence import Document, Grant, Pair
from rialto.networks.sip.settings import PeerSettings
from rialto.networks.sip.wire import Request, Response, response_to

JULIET = Address("juliet", SIP_DOMAIN)
ROMEO = Address("romeo", XMPP_DOMAIN)
WATCHES_JULIET = Pair(ROMEO, JULIET)
"""The watcher is on XMPP, the presentity here."""
WATCHES_ROMEO = Pair(JULIET, ROMEO)
"""The watcher is here, the presentity on XMPP."""

PIDF = """<?xml version='1.0' encoding='UTF-8'?>
<presence xmlns='urn:ietf:params:xml:ns:pidf' entity='pres:juliet@sip.example'>
  <tuple id='ID-balcony'><status><basic>{basic}</basic></status></tuple>
</presence>"""


class FakePresence:
    """Notes what it is told, in order, and shows what the test has put there."""

    def __init__(self, stage: PresenceStage) -> None:
        self._stage = stage
        self.said: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()
        self.kept: dict[tuple[Pair, str], bytes | None] = {}
        self.refuse: DeliveryError | None = None
        self.grant = Grant.PENDING
        self.document: Document | None = None
        self.open_ = True
        self.listening = True
        self.in_doubt = False
        self.confirmed: list[Pair] = []
        self.watched_by: tuple[Watcher, ...] = ()
        self.attending: dict[Address, Callable[[tuple[Watcher, ...]], None]] = {}

    def view(self, pair: Pair, **changes: Any) -> PairView:
        fields: dict[str, Any] = {
            "pair": pair,
            "watcher_peer": self._stage.peer,
            "presentity_peer": self._stage.peer,
            "grant": self.grant,
            "document": self.document,
            "listening": self.listening,
        }
        return PairView(**(fields | changes))

    def _note(self, *said: Any) -> None:
        self.said.put_nowait(said)

    async def hears(self) -> tuple[Any, ...]:
        return await asyncio.wait_for(self.said.get(), 5)

    def ask(self, pair: Pair, origin: Origin | None, *, note: str = "") -> None:
        if self.refuse is not None:
            raise self.refuse
        self._note("ask", pair)

    def open(self, pair: Pair, origin: Origin | None, until: float | None = None) -> bool:
        self._note("open", pair, until)
        return self.open_

    def close(self, pair: Pair, origin: Origin | None) -> None:
        self._note("close", pair)

    def fetch(self, pair: Pair, origin: Origin | None) -> PairView:
        if self.refuse is not None:
            raise self.refuse
        self._note("fetch", pair)
        return self.view(pair)

    def granted(self, pair: Pair, origin: Origin | None) -> None:
        self._note("granted", pair)

    def pending(self, pair: Pair, origin: Origin | None) -> None:
        self._note("pending", pair)

    def refused(self, pair: Pair, origin: Origin | None, error: DeliveryError, *, for_good: bool) -> None:
        self._note("refused", pair, error, for_good)

    def show(self, pair: Pair, document: Document, origin: Origin | None) -> bool:
        self._note("show", pair, document)
        return True

    def silent(self, pair: Pair, origin: Origin | None, since: float) -> None:
        self._note("silent", pair, since)

    def done(self, pair: Pair, origin: Origin | None) -> None:
        self._note("done", pair)

    def confirm(self, pair: Pair) -> bool:
        self.confirmed.append(pair)
        return self.in_doubt

    def watchers(self, presentity: Address, origin: Origin | None) -> tuple[Watcher, ...]:
        return self.watched_by

    def attend(self, presentity: Address, call: Callable[[tuple[Watcher, ...]], None]) -> Callable[[], None]:
        self.attending[presentity] = call

        def end() -> None:
            del self.attending[presentity]

        return end

    def keep(self, pair: Pair, side: str, data: bytes | None, *, at_once: bool = False) -> None:
        self.kept[(pair, side)] = data


class PresenceStage(Stage):
    """A SIP network whose peer sends everything to one telephone."""

    presence: FakePresence

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.presence = FakePresence(self)
        self.hub.presence = self.presence  # type: ignore[attr-defined]

    def watch(self, verb: Verb, **changes: Any) -> None:
        self.network.watch(self.presence.view(WATCHES_JULIET, **changes), verb)

    def tell(self, **changes: Any) -> None:
        self.network.tell(self.presence.view(WATCHES_ROMEO, **changes))


def peer(person_port: int, **changes: Any) -> PeerSettings:
    """A peer at that port."""
    fields: dict[str, Any] = {
        "proxy": f"sip:127.0.0.1:{person_port};transport=udp",
        "transports": ("udp", "tcp"),
        "trust": ("address",),
        "addresses": ("127.0.0.1",),
        "notify_every_s": 0.0,
    }
    return PeerSettings(**(fields | changes))


_branches = itertools.count(1)


def subscribe(
    *,
    expires: int | None = 600,
    to_tag: str = "",
    cseq: int = 1,
    call_id: str = "sub-1",
    event: str = "presence",
    contact: str = "<sip:juliet@127.0.0.1:{port}>",
    headers: tuple[tuple[str, str], ...] = (),
    port: int = 5060,
    method: str = "SUBSCRIBE",
    to: str = "sip:romeo@xmpp.example",
) -> Request:
    """Juliet's telephone asks for Romeo."""
    return Request(
        method,
        to,
        [
            ("Via", f"SIP/2.0/UDP 127.0.0.1:1;rport;branch=z9hG4bKs{next(_branches)}"),
            ("Max-Forwards", "70"),
            ("From", "<sip:juliet@sip.example>;tag=bi54"),
            ("To", f"<{to}>" + (f";tag={to_tag}" if to_tag else "")),
            ("Call-ID", call_id),
            ("CSeq", f"{cseq} {method}"),
            *((("Event", event),) if event else ()),
            *((("Contact", contact.format(port=port)),) if contact else ()),
            *((("Expires", str(expires)),) if expires is not None else ()),
            *headers,
        ],
    )


def notify(
    asked: Request,
    state: str,
    *,
    cseq: int = 1,
    body: str = "",
    tag: str = "j89d",
    content_type: str = "application/pidf+xml",
    port: int = 5060,
) -> Request:
    """Juliet's telephone answers a SUBSCRIBE of ours with this."""
    return Request(
        "NOTIFY",
        "sip:gw",
        [
            ("Via", f"SIP/2.0/UDP 127.0.0.1:1;rport;branch=z9hG4bKn{next(_branches)}"),
            ("Max-Forwards", "70"),
            ("From", f"<sip:juliet@sip.example>;tag={tag}"),
            ("To", str(asked.from_)),
            ("Call-ID", asked.call_id),
            ("CSeq", f"{cseq} NOTIFY"),
            ("Event", "presence"),
            ("Subscription-State", state),
            ("Contact", f"<sip:juliet@127.0.0.1:{port}>"),
            *((("Content-Type", content_type),) if body else ()),
        ],
        body.encode(),
    )


class Telephone:
    """A `Person`, who hears requests and responses apart."""

    def __init__(self, person: Person) -> None:
        self._person = person
        self._aside: list[Any] = []
        self.port = person.port

    async def _next(self, kind: type) -> Any:
        for at, one in enumerate(self._aside):
            if isinstance(one, kind):
                return self._aside.pop(at)
        while not isinstance(one := await self._person.hears(), kind):
            self._aside.append(one)
        return one

    async def asks(self, request: Request) -> Response:
        """Send a request, hear its answer."""
        self._person.say(request)
        response = await self._next(Response)
        assert isinstance(response, Response)
        return response

    async def hears(self, method: str) -> Request:
        """The next request."""
        request = await self._next(Request)
        assert isinstance(request, Request)
        assert request.method == method, request
        return request

    def answers(self, request: Request, status: int = 200, *headers: tuple[str, str]) -> None:
        """Answer one."""
        self._person.say(response_to(request, status, to_tag="j89d", headers=headers))

    async def is_told(self, method: str = "NOTIFY", status: int = 200) -> Request:
        """Hear a request and answer it."""
        request = await self.hears(method)
        self.answers(request, status)
        return request

    async def hears_nothing(self) -> None:
        """Not a word."""
        assert not self._aside
        await self._person.hears_nothing()


@asynccontextmanager
async def play(
    settings: Any = None,
    *,
    memory: dict[str, str] | None = None,
    resumes: dict[str, Any] | None = None,
    **changes: Any,
) -> AsyncIterator[tuple[PresenceStage, Telephone]]:
    """A gateway, and one telephone to which its peer sends everything; `memory` is what is remembered of an
    earlier run, `resumes` what the hub knows of Juliet watching Romeo."""
    loop = asyncio.get_running_loop()
    probe, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))
    port = probe.get_extra_info("sockname")[1]
    probe.close()
    await asyncio.sleep(0)
    stage = PresenceStage(peer=peer(port, **changes), settings=settings)
    stage.hub.memory |= memory or {}
    if resumes is not None:
        stage.network.resume(stage.presence.view(WATCHES_ROMEO, **resumes), "watcher")
    async with stage:
        person = Person(stage.port("udp"))
        await loop.create_datagram_endpoint(lambda: person, local_addr=("127.0.0.1", port))
        stage.people.append(person)
        yield stage, Telephone(person)
