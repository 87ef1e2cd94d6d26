"""Two gateways that hold a session with one another, over MSRP connections that are there."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from net.pki import dns as names
from net.pki import make
from networks.sip.plays import SIP_DOMAIN, XMPP_DOMAIN, FakeDelivery, FakeHub, Records, outgoing
from rialto.core.network import Context, Peer
from rialto.model.address import Address
from rialto.model.message import ChatState, Composing, Content, Disposition, Kind, Message, Receipt
from rialto.net.tls import CertificateStore, KeyPair
from rialto.networks.sip.network import SipNetwork
from rialto.networks.sip.settings import PeerSettings, Settings, features
from rialto.networks.sip.wire import parse_uri

ROMEO, JULIET = Address("romeo", XMPP_DOMAIN), Address("juliet", SIP_DOMAIN)
NOW = 1_800_000_000.0


class House:
    """One gateway, whose peer is the other one's domain."""

    def __init__(self, theirs: str, certificates: CertificateStore | None = None, **settings: Any) -> None:
        self.theirs = theirs
        self.certificates = certificates
        self.settings = settings
        self.hub: FakeHub
        self.network: SipNetwork
        self.peer: Peer

    async def start(self, proxy: str = "") -> None:
        peer = PeerSettings(
            trust=("address",),
            addresses=("127.0.0.1",),
            transports=("tcp",),
            sessions="always",
            proxy=proxy,
            **self.settings,
        )
        self.peer = Peer("them", "sip", (self.theirs,), peer, features(peer))
        self.network = SipNetwork(
            Settings(
                listen=("tcp:127.0.0.1:0",),
                msrp=("tcp:127.0.0.1:0",) if self.certificates is None else ("tls:127.0.0.1:0",),
            ),
            Context(
                name="sip",
                server_name="gw.example",
                secret=b"s" * 32,
                peers=(self.peer,),
                dns=Records({("addresses", "127.0.0.1"): ("127.0.0.1",)}),
                certificates=self.certificates or CertificateStore(),
                anchors=(),
                clock=lambda: NOW,
            ),
        )
        self.hub = FakeHub((self.peer,))
        self.hub.projects = lambda network, domain: domain != self.theirs  # type: ignore[method-assign]
        await self.network.start(self.hub)  # type: ignore[arg-type]

    @property
    def uri(self) -> str:
        return f"sip:127.0.0.1:{self.network.transports.bound()[0][2]};transport=tcp"

    def reach(self, uri: str) -> None:
        self.network.trunks["them"].proxy = parse_uri(uri)

    def deliver(self, content: Content) -> FakeDelivery:
        delivery = FakeDelivery(content, self.peer)
        self.network.deliver(delivery)
        return delivery

    @property
    def texts(self) -> list[str]:
        return [message.text for message, _, _ in self.hub.accepted]


@contextlib.asynccontextmanager
async def two_houses(**settings: Any) -> AsyncIterator[tuple[House, House]]:
    montague, capulet = House(SIP_DOMAIN, **settings), House(XMPP_DOMAIN, **settings)
    await montague.start()
    await capulet.start()
    montague.reach(capulet.uri)
    capulet.reach(montague.uri)
    try:
        yield montague, capulet
    finally:
        await montague.network.stop(0)
        await capulet.network.stop(0)


async def told(delivery: FakeDelivery) -> Any:
    return await asyncio.wait_for(delivery.end, 5)


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def said(text: str, number: int = 1, **changes: Any) -> Message:
    return outgoing(text, number, kind=Kind.CHAT, thread="balcony", **changes)


def answered(text: str, number: int = 1) -> Message:
    return said(text, number, sender=JULIET, recipient=ROMEO)


async def test_a_conversation_goes_both_ways_over_one_session() -> None:
    async with two_houses() as (montague, capulet):
        assert await told(montague.deliver(said("one"))) == "delivered 200 over MSRP"
        assert await told(capulet.deliver(answered("two"))) == "delivered 200 over MSRP"
        assert await told(montague.deliver(said("three", 2))) == "delivered 200 over MSRP"
        assert (capulet.texts, montague.texts) == (["one", "three"], ["two"])
        assert {message.thread for message, _, _ in capulet.hub.accepted} == {"balcony"}
        assert len(montague.network.sessions) == len(capulet.network.sessions) == 1


async def test_many_messages_keep_their_order() -> None:
    async with two_houses() as (montague, capulet):
        deliveries = [montague.deliver(said(str(number), number)) for number in range(1, 90)]
        for delivery in deliveries:
            await told(delivery)
        assert capulet.texts == [str(number) for number in range(1, 90)]


async def test_a_long_message_arrives_whole() -> None:
    async with two_houses(session_max_bytes=6_000_000) as (montague, capulet):
        text = "O Romeo, Romeo! " * 20_000
        assert await told(montague.deliver(said(text))) == "delivered 200 over MSRP"
        assert capulet.texts == [text]


async def test_receipts_find_the_message_that_they_are_about() -> None:
    async with two_houses() as (montague, capulet):
        message = said("one", wants=(Disposition.DELIVERED, Disposition.DISPLAYED))
        await told(montague.deliver(message))
        heard = capulet.hub.accepted[0][0]
        assert heard.wants == (Disposition.DELIVERED, Disposition.DISPLAYED)
        receipt = Receipt(
            id="0190r",
            sender=JULIET,
            recipient=ROMEO,
            about=heard.id,
            disposition=Disposition.DISPLAYED,
            at=NOW,
            received_at=NOW,
            origin_id=heard.origin_id,
        )
        await told(capulet.deliver(receipt))
        (one,) = montague.hub.receipts
        assert (one["about"], one["disposition"]) == (message.id, Disposition.DISPLAYED)
        assert (one["sender"], one["recipient"]) == (JULIET, ROMEO)


async def test_typing_and_leaving_are_seen() -> None:
    async with two_houses() as (montague, capulet):
        await told(montague.deliver(said("one")))
        montague.network.compose(
            montague.peer, Composing(sender=ROMEO, recipient=JULIET, state=ChatState.COMPOSING)
        )
        await until(lambda: capulet.hub.composed)
        montague.network.compose(
            montague.peer, Composing(sender=ROMEO, recipient=JULIET, state=ChatState.GONE)
        )
        await until(lambda: len(capulet.hub.composed) == 2)
        assert [one.state for one in capulet.hub.composed] == [ChatState.COMPOSING, ChatState.GONE]
        await until(lambda: not capulet.network.sessions and not montague.network.sessions)


async def test_both_write_at_once() -> None:
    # SES-27
    async with two_houses() as (montague, capulet):
        one, two = montague.deliver(said("one")), capulet.deliver(answered("two"))
        await told(one)
        await told(two)
        assert (capulet.texts, montague.texts) == (["one"], ["two"])
        three = montague.deliver(said("three", 2))
        assert await told(three) == "delivered 200 over MSRP"
        assert capulet.texts == ["one", "three"]


async def test_a_cut_connection_ends_the_session_on_both_sides_and_the_next_message_opens_another() -> None:
    # SES-28
    async with two_houses() as (montague, capulet):
        await told(montague.deliver(said("one")))
        (flow,) = montague.network.msrp.connections.flows
        flow.link.abort()
        await until(lambda: not capulet.network.sessions and not montague.network.sessions)
        assert await told(montague.deliver(said("two", 2))) == "delivered 200 over MSRP"
        assert capulet.texts == ["one", "two"]


async def test_going_down_ends_the_session_for_the_other_side() -> None:
    async with two_houses() as (montague, capulet):
        await told(montague.deliver(said("one")))
        await montague.network.stop(1)
        await until(lambda: not capulet.network.sessions)
        assert [one.state for one in capulet.hub.composed] == [ChatState.GONE]


async def test_with_certificates_it_is_all_encrypted_and_the_trail_may_say_so(tmp_path: Path) -> None:
    # SES-24: nobody trusts these certificates, but their fingerprints were agreed on
    now = datetime.now(UTC)
    made = make("gw", names=names("gw.example"), start=now - timedelta(days=1), end=now + timedelta(days=9))
    store = CertificateStore([KeyPair(*made.write(tmp_path, "gw"))])
    async with two_houses(certificates=store, session_security="tls") as (montague, capulet):
        assert await told(montague.deliver(said("one"))) == "delivered 200 over MSRP"
        await told(capulet.deliver(answered("two")))
        assert (capulet.texts, montague.texts) == (["one"], ["two"])
        assert capulet.hub.accepted[0][1].secured
        (session,) = montague.network.sessions.sessions
        assert session.carrier.secured


async def test_within_the_dialog_of_microsofts_kind_all_is_the_same() -> None:
    async with two_houses(session_kind="microsoft") as (montague, capulet):
        assert await told(montague.deliver(said("one"))) == "delivered 200 over MESSAGE in its dialog"
        assert await told(capulet.deliver(answered("two"))) == "delivered 200 over MESSAGE in its dialog"
        assert (capulet.texts, montague.texts) == (["one"], ["two"])
        capulet.network.compose(
            capulet.peer, Composing(sender=JULIET, recipient=ROMEO, state=ChatState.COMPOSING)
        )
        await until(lambda: montague.hub.composed)
