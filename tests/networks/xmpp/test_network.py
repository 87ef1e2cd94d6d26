"""Two gateways federate over real sockets: Romeo lives behind one, Juliet behind the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from net import pki
from networks.xmpp.stage import PLAIN, ROME, VERONA, House, free_port, peer, until
from rialto.core.network import Peer
from rialto.model.errors import ConfigError, DeliveryError, Reason, Refused, Unreachable
from rialto.net.tls import CertificateStore, KeyPair
from rialto.networks.xmpp.outbound import OutgoingStream
from rialto.networks.xmpp.settings import PeerSettings

Raise = Callable[..., Awaitable[tuple[House, House]]]


@pytest.fixture
async def stand() -> AsyncIterator[Raise]:
    """Two houses that know of one another."""
    houses: list[House] = []

    async def make(
        settings: PeerSettings = PLAIN,
        *,
        certificates: tuple[CertificateStore | None, CertificateStore | None] = (None, None),
        anchors: tuple[Any, ...] = (),
        theirs: PeerSettings | None = None,
        start: bool = True,
        **network: Any,
    ) -> tuple[House, House]:
        ports = free_port(), free_port()
        romeo = House(
            ROME,
            (peer(VERONA, replace(settings, host="127.0.0.1", port=ports[1])),),
            port=ports[0],
            certificates=certificates[0],
            anchors=anchors,
            settings=network,
        )
        juliet = House(
            VERONA,
            (peer(ROME, replace(theirs or settings, host="127.0.0.1", port=ports[0])),),
            port=ports[1],
            certificates=certificates[1],
            anchors=anchors,
            settings=network,
        )
        houses.extend((romeo, juliet))
        if start:
            await juliet.start()
            await romeo.start()
        return romeo, juliet

    yield make
    for house in houses:
        if house.network._hub is not None:
            await house.network.stop(1.0)


def certified(folder: Path, domain: str, root: pki.Cert) -> CertificateStore:
    certificate = pki.make(domain, names=pki.dns(domain), issuer=root)
    crt, key = certificate.write(folder, domain)
    return CertificateStore([KeyPair(crt, key)])


async def test_a_message_arrives_and_is_acknowledged(stand: Raise) -> None:
    romeo, juliet = await stand()
    ends = [romeo.send(str(number), f"juliet@{VERONA}").end for number in range(50)]
    assert await asyncio.wait_for(asyncio.gather(*ends), 5) == ["delivered: acknowledged by the server"] * 50
    assert juliet.hub.texts() == [str(number) for number in range(50)]
    message, origin = juliet.hub.accepted[0]
    assert (origin.domain, origin.proof, origin.secured) == (ROME, "dialback", False)
    assert message.stable_id == "out-0"


async def test_it_is_acknowledged_only_when_it_is_on_disk(stand: Raise) -> None:
    romeo, juliet = await stand()
    juliet.hub.hold = True
    delivery = romeo.send("soft", f"juliet@{VERONA}")
    await until(lambda: juliet.hub.held)
    await asyncio.sleep(0.05)
    assert not delivery.end.done()
    juliet.hub.held[0].stored()
    assert await asyncio.wait_for(delivery.end, 5) == "delivered: acknowledged by the server"


async def test_servers_with_certificates_speak_tls_and_prove_themselves_by_them(
    stand: Raise, tmp_path: Path
) -> None:
    root = pki.make("Root", ca=True)
    stores = certified(tmp_path, ROME, root), certified(tmp_path, VERONA, root)
    romeo, juliet = await stand(PeerSettings(), certificates=stores, anchors=(root.certificate,))
    delivery = romeo.send("soft", f"juliet@{VERONA}")
    assert await asyncio.wait_for(delivery.end, 5)
    assert delivery.hop == {"proof": "external", "secured": True}
    _, origin = juliet.hub.accepted[0]
    assert (origin.proof, origin.secured) == ("external", True)
    assert "external" in juliet.network.links()[0].security
    reached, found = await romeo.network.probe(romeo.hub.peers[0])
    assert reached, found
    assert "TLSv1.3" in found


async def test_tls_may_begin_with_the_first_byte(stand: Raise, tmp_path: Path) -> None:  # XEP-0368
    root = pki.make("Root", ca=True)
    stores = certified(tmp_path, ROME, root), certified(tmp_path, VERONA, root)
    port = free_port()
    romeo, juliet = await stand(
        PeerSettings(direct_tls=True, port=port, bidirectional=False),
        certificates=stores,
        anchors=(root.certificate,),
        start=False,
    )
    juliet.network.settings = replace(juliet.network.settings, listen_tls=(f"127.0.0.1:{port}",))
    romeo.hub.peers = (replace(romeo.hub.peers[0], settings=replace(romeo.hub.peers[0].settings, port=port)),)
    await juliet.start()
    await romeo.start()
    delivery = romeo.send("soft", f"juliet@{VERONA}")
    assert await asyncio.wait_for(delivery.end, 5)
    assert delivery.hop == {"proof": "external", "secured": True}
    _, origin = juliet.hub.accepted[0]
    assert (origin.proof, origin.secured) == ("external", True)


async def test_a_server_whose_certificate_nobody_vouches_for_gets_nothing(
    stand: Raise, tmp_path: Path
) -> None:
    root, stranger = pki.make("Root", ca=True), pki.make("Stranger", ca=True)
    stores = certified(tmp_path, ROME, root), certified(tmp_path, VERONA, stranger)
    romeo, juliet = await stand(PeerSettings(), certificates=stores, anchors=(root.certificate,))
    error = await asyncio.wait_for(romeo.send("soft", f"juliet@{VERONA}").end, 5)
    assert isinstance(error, Unreachable)
    assert "peer-unproven" in error.detail
    assert juliet.hub.accepted == []


async def test_a_pinned_certificate_needs_no_ca(stand: Raise, tmp_path: Path) -> None:
    from rialto.net.certificates import fingerprint

    settings = {}
    stores = {}
    for domain in (ROME, VERONA):
        alone = pki.make(domain, names=pki.dns(domain))
        crt, key = alone.write(tmp_path, domain)
        stores[domain] = CertificateStore([KeyPair(crt, key)])
        settings[domain] = PeerSettings(tls_pins=(fingerprint(alone.certificate),))
    romeo, juliet = await stand(
        settings[VERONA], theirs=settings[ROME], certificates=(stores[ROME], stores[VERONA])
    )
    assert await asyncio.wait_for(romeo.send("soft", f"juliet@{VERONA}").end, 5)
    assert juliet.hub.accepted[0][1].proof == "external"


async def test_without_stream_management_a_ping_proves_that_it_was_read(stand: Raise) -> None:
    romeo, juliet = await stand(replace(PLAIN, stream_management=False, bidirectional=False))
    ends = [romeo.send(str(number), f"juliet@{VERONA}").end for number in range(20)]
    assert set(await asyncio.wait_for(asyncio.gather(*ends), 5)) == {"delivered: read by the server"}
    assert juliet.hub.texts() == [str(number) for number in range(20)]


async def test_a_refusal_comes_home_as_an_error(stand: Raise) -> None:
    romeo, juliet = await stand()
    juliet.hub.refuse = Refused(Reason.NOT_FOUND, "no such person")
    romeo.send("soft", f"juliet@{VERONA}")
    await until(lambda: romeo.hub.back)
    message_id, error, origin = romeo.hub.back[0]
    assert (message_id, error.reason, error.text) == ("out-soft", Reason.NOT_FOUND, "no such person")
    assert origin.domain == VERONA


async def test_what_came_back_is_not_said_to_have_been_delivered(stand: Raise) -> None:
    romeo, juliet = await stand(replace(PLAIN, stream_management=False))
    juliet.hub.refuse = Refused(Reason.NOT_FOUND, "no such person")
    delivery = romeo.send("soft", f"juliet@{VERONA}")
    await until(lambda: romeo.hub.back)
    juliet.hub.refuse = None
    after = romeo.send("softer", f"juliet@{VERONA}")
    assert await asyncio.wait_for(after.end, 5) == "delivered: read by the server"
    assert not delivery.end.done()


async def test_both_ways_go_over_one_stream_where_both_can(stand: Raise) -> None:
    romeo, juliet = await stand()
    await asyncio.wait_for(romeo.send("soft", f"juliet@{VERONA}").end, 5)
    await asyncio.wait_for(juliet.send("aye me", f"romeo@{ROME}").end, 5)
    assert romeo.hub.texts() == ["aye me"]
    assert any("bidirectional" in link.detail for link in romeo.network.links())


async def test_a_lost_stream_is_resumed_and_nothing_comes_twice(stand: Raise) -> None:
    romeo, juliet = await stand(replace(PLAIN, bidirectional=False))
    await asyncio.wait_for(romeo.send("zero", f"juliet@{VERONA}").end, 5)
    juliet.hub.hold = True
    ends = [romeo.send(str(number), f"juliet@{VERONA}").end for number in range(10)]
    await until(lambda: len(juliet.hub.accepted) == 11)
    for inbound in juliet.hub.held[:5]:
        inbound.stored()
    juliet.hub.hold = False
    (stream,) = [stream for stream in romeo.network._streams if isinstance(stream, OutgoingStream)]
    stream.link.abort()
    assert set(await asyncio.wait_for(asyncio.gather(*ends), 5)) == {"delivered: acknowledged by the server"}
    texts = juliet.hub.texts()
    assert texts[:11] == ["zero", *map(str, range(10))]
    assert texts[11:] == [str(number) for number in range(5, 10)]  # what was not on disk, under the same ids


async def test_a_server_that_is_not_there_is_tried_again_by_the_hub(stand: Raise) -> None:
    romeo, juliet = await stand(start=False)
    await romeo.start()
    error = await asyncio.wait_for(romeo.send("soft", f"juliet@{VERONA}").end, 5)
    assert isinstance(error, Unreachable)
    assert error.certain
    await juliet.start()
    assert await asyncio.wait_for(romeo.send("again", f"juliet@{VERONA}").end, 5)
    await until(lambda: VERONA in romeo.hub.reached)


async def test_a_domain_that_does_not_exist_is_refused_at_once() -> None:
    anybody = PeerSettings(authentication=("dialback",), tls="off")
    everybody = Peer(name="*", network="xmpp", domains=("*",), settings=anybody)
    romeo = House(ROME, (everybody,), port=free_port())
    await romeo.start()
    error = await asyncio.wait_for(romeo.send("soft", "juliet@nowhere.example").end, 5)
    assert isinstance(error, Refused)
    assert error.reason is Reason.DOMAIN_NOT_FOUND
    await romeo.network.stop(1.0)


async def test_a_server_that_loses_its_stream_gives_back_what_nobody_proved(stand: Raise) -> None:
    romeo, _ = await stand(replace(PLAIN, stream_management=False, bidirectional=False))
    await asyncio.wait_for(romeo.send("zero", f"juliet@{VERONA}").end, 5)
    delivery = romeo.send("one", f"juliet@{VERONA}")
    (stream,) = [
        one
        for one in romeo.network._streams
        if isinstance(one, OutgoingStream) and not one.machine._verify_only
    ]
    stream.link.abort()
    error = await asyncio.wait_for(delivery.end, 5)
    assert isinstance(error, Unreachable)
    assert not error.certain


async def test_a_ping_is_answered_when_what_came_before_it_is_on_disk(stand: Raise) -> None:
    romeo, juliet = await stand(replace(PLAIN, stream_management=False, bidirectional=False))
    juliet.hub.hold = True
    delivery = romeo.send("soft", f"juliet@{VERONA}")
    await until(lambda: ("answered", "xmpp", "ping") in juliet.hub.counted)
    assert not delivery.end.done()
    juliet.hub.held[0].stored()
    assert await asyncio.wait_for(delivery.end, 5) == "delivered: read by the server"


async def test_a_peer_that_counts_but_never_tells_is_pinged_instead(stand: Raise) -> None:
    romeo, juliet = await stand(replace(PLAIN, bidirectional=False), confirm_s=0.1)
    juliet.hub.hold = True  # nothing is ever on disk, so `h` stays 0
    ledgers = []
    for number in range(2):
        delivery = romeo.send(str(number), f"juliet@{VERONA}")
        await until(lambda n=number: len(juliet.hub.accepted) > n)
        (stream,) = [
            one
            for one in romeo.network._streams
            if isinstance(one, OutgoingStream) and one.line is not None and one.proofs
        ]
        ledgers.append(stream.machine.ledger)
        assert stream.machine.ledger is not None
        stream.machine.ledger.id = ""  # not to be resumed
        stream.machine.fail("connection-timeout", "no acknowledgement")
        stream.link.wake()
        assert isinstance(await asyncio.wait_for(delivery.end, 5), Unreachable)
    delivery = romeo.send("2", f"juliet@{VERONA}")
    await until(lambda: len(juliet.hub.accepted) == 3)
    for inbound in juliet.hub.held:
        inbound.stored()
    assert await asyncio.wait_for(delivery.end, 5) == "delivered: read by the server"


async def test_while_the_hub_is_congested_nothing_is_read(stand: Raise) -> None:
    romeo, juliet = await stand()
    await asyncio.wait_for(romeo.send("zero", f"juliet@{VERONA}").end, 5)
    juliet.hub.congested = True
    for number in range(5):
        romeo.send(str(number), f"juliet@{VERONA}")
        await asyncio.sleep(0.02)
    read = len(juliet.hub.accepted)
    assert read < 6
    juliet.hub.congested = False
    for callback in juliet.hub.relief:
        callback()
    await until(lambda: len(juliet.hub.accepted) == 6)


async def test_who_sends_too_fast_is_read_more_slowly_and_loses_nothing(stand: Raise) -> None:
    romeo, juliet = await stand(stanzas_per_s=20)
    for number in range(30):
        romeo.send(str(number), f"juliet@{VERONA}")
    await until(lambda: len(juliet.hub.accepted) >= 19)
    await until(lambda: len(juliet.hub.accepted) == 30)
    assert juliet.hub.texts() == [str(number) for number in range(30)]


async def test_a_network_that_stops_closes_its_streams_in_peace(stand: Raise) -> None:
    romeo, juliet = await stand()
    await asyncio.wait_for(romeo.send("soft", f"juliet@{VERONA}").end, 5)
    await romeo.network.stop(2.0)
    await until(lambda: not juliet.network._streams)
    assert not any(counted[0] == "bad_input" for counted in juliet.hub.counted)


async def test_an_address_that_is_taken_is_a_mistake_in_the_configuration(stand: Raise) -> None:
    romeo, _ = await stand()
    taken = romeo.network._listeners[0].port
    with pytest.raises(ConfigError, match="listen"):
        await House(VERONA, (), port=taken).start()


async def test_what_a_domain_offers_can_be_asked_over_the_wire(stand: Raise) -> None:
    from rialto.networks.xmpp.wire.element import Element
    from rialto.networks.xmpp.wire.namespaces import DISCO_INFO

    romeo, juliet = await stand()
    question = {"from": f"romeo@{ROME}", "to": VERONA, "id": "q", "type": "get"}
    romeo.network.say(ROME, VERONA, Element("iq", question, [Element(f"{DISCO_INFO}}}query")]))
    await until(lambda: ("answered", "xmpp", "disco") in juliet.hub.counted)
    await until(lambda: ("ignored", "xmpp", "iq") in romeo.hub.counted)  # the answer, which nobody waited for


async def test_a_peer_that_was_removed_is_served_no_more(stand: Raise) -> None:
    romeo, _ = await stand()
    await asyncio.wait_for(romeo.send("soft", f"juliet@{VERONA}").end, 5)
    gone = House(ROME, (), port=free_port())
    romeo.hub.peers = ()
    await romeo.network.reload(gone.network)
    await until(lambda: not any(isinstance(stream, OutgoingStream) for stream in romeo.network._streams))


async def test_an_address_that_xmpp_cannot_write_is_refused(stand: Raise) -> None:
    romeo, _ = await stand()
    error = await asyncio.wait_for(romeo.send("soft", f"%20juliet@{VERONA}").end, 5)
    assert isinstance(error, DeliveryError)
    assert error.reason is Reason.BAD_REQUEST
