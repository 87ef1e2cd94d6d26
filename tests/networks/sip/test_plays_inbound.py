"""What happens to requests that come in: Juliet, at a SIP server, writes to Romeo."""

from __future__ import annotations

import asyncio

import pytest

from networks.sip.plays import FAST, Caller, FakeHub, Stage, message
from rialto.core.network import Outcome
from rialto.model.address import Address
from rialto.model.errors import Busy, Reason, Refused
from rialto.networks.sip.bodies import ACCEPT
from rialto.networks.sip.settings import PeerSettings, Settings
from rialto.networks.sip.wire import Request, Response

TRUSTED = PeerSettings(trust=("address",), addresses=("127.0.0.1",))


async def test_juliets_message_reaches_the_hub_and_she_hears_200() -> None:
    async with Stage() as stage:
        juliet = await stage.udp()
        juliet.say(message(headers=(("Subject", "Balcony"), ("Content-Language", "en"))))
        response = await juliet.hears()
        assert (response.status, response.to.tag is not None, response.body) == (200, True, b"")
        ((said, origin, _),) = stage.hub.accepted
        assert said.sender == Address("juliet", "sip.example")
        assert said.recipient == Address("romeo", "xmpp.example")
        assert (said.text, said.subject, said.language, said.thread) == (
            "Art thou not Romeo?",
            "Balcony",
            "en",
            "call-1",
        )
        assert (origin.domain, origin.proof, origin.secured) == ("sip.example", "address", False)
        assert response.top_via.rport == juliet.port


async def test_her_retransmission_is_answered_again_and_accepted_once() -> None:
    async with Stage() as stage:
        juliet = await stage.udp()
        juliet.say(message())
        first = await juliet.hears()
        juliet.say(message())
        assert (await juliet.hears()).encode() == first.encode()
        assert len(stage.hub.accepted) == 1


async def test_the_same_words_twice_are_two_messages() -> None:
    async with Stage() as stage:
        juliet = await stage.udp()
        for cseq in (1, 2):
            juliet.say(message("ok", branch=f"z9hG4bK{cseq}", cseq=cseq))
            await juliet.hears()
        one, two = (said for said, _, _ in stage.hub.accepted)
        assert one.stable_id != two.stable_id


async def test_a_message_resent_by_another_way_keeps_its_name() -> None:
    async with Stage(settings=Settings(listen=("udp:127.0.0.1:0", "tcp:127.0.0.1:0"))) as stage:
        juliet = await stage.tcp()
        for branch in ("z9hG4bKa", "z9hG4bKb"):
            juliet.say(message(branch=branch, via="SIP/2.0/TCP 127.0.0.1:1"))
            assert (await juliet.hears()).status == 200
        one, two = (said for said, _, _ in stage.hub.accepted)
        assert one.stable_id == two.stable_id


async def test_over_tcp_several_messages_in_one_segment_are_all_taken_in_order() -> None:
    async with Stage() as stage:
        juliet = await stage.tcp()
        said = [
            message(str(n), branch=f"z9hG4bK{n}", cseq=n, via="SIP/2.0/TCP 127.0.0.1:1") for n in range(1, 6)
        ]
        juliet.say(b"".join(one.encode() for one in said))
        for n in range(1, 6):
            assert (await juliet.hears()).cseq[0] == n
        assert [one.text for one, _, _ in stage.hub.accepted] == list("12345")


async def test_an_honest_answer_waits_for_the_far_side() -> None:
    async with Stage() as stage:
        stage.hub.at_once = None
        juliet = await stage.udp()
        juliet.say(message())
        await stage.hub.arrived.wait()
        _, _, inbound = stage.hub.accepted[0]
        inbound.stored()
        assert inbound.waiting
        await juliet.hears_nothing(0.01)
        assert inbound.settled(Outcome.DELIVERED, None)
        assert (await juliet.hears()).status == 200
        assert not inbound.waiting


async def test_an_honest_answer_is_202_when_the_far_side_tells_no_more() -> None:
    async with Stage() as stage:
        stage.hub.at_once = Outcome.SENT
        juliet = await stage.udp()
        juliet.say(message())
        assert (await juliet.hears()).status == 202


async def test_an_honest_answer_is_202_when_the_wait_is_over_and_then_failures_go_home_as_reports() -> None:
    peer = PeerSettings(trust=("address",), addresses=("127.0.0.1",), answer_wait_s=0.05)
    async with Stage(peer=peer) as stage:
        stage.hub.at_once = None
        juliet = await stage.udp()
        juliet.say(message())
        await stage.hub.arrived.wait()
        _, _, inbound = stage.hub.accepted[0]
        inbound.stored()
        responses = [await juliet.hears()]
        while responses[-1].status == 100:
            responses.append(await juliet.hears())
        assert responses[-1].status == 202
        assert not inbound.waiting
        assert not inbound.settled(Outcome.FAILED, Refused(Reason.NOT_FOUND))


@pytest.mark.parametrize("mode", ["200", "202"])
async def test_a_peer_may_want_its_answer_as_soon_as_the_message_is_on_disk(mode: str) -> None:
    peer = PeerSettings(trust=("address",), addresses=("127.0.0.1",), answer=mode)  # type: ignore[arg-type]
    async with Stage(peer=peer) as stage:
        stage.hub.at_once = None
        juliet = await stage.udp()
        juliet.say(message())
        await stage.hub.arrived.wait()
        await juliet.hears_nothing(0.01)
        _, _, inbound = stage.hub.accepted[0]
        inbound.stored()
        assert (await juliet.hears()).status == int(mode)
        assert not inbound.settled(Outcome.FAILED, Refused(Reason.NOT_FOUND))


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Refused(Reason.NOT_FOUND), 404),
        (Refused(Reason.DECLINED), 603),
        (Refused(Reason.TIMEOUT, certain=False), 504),  # never 408 (RFC 4320)
        (Refused(Reason.GONE, redirect="xmpp:new@x.example"), 301),
        (Refused(Reason.GONE), 410),
        (Refused(Reason.MOVED), 480),
        (Busy(Reason.CONGESTION, retry_after_s=7.0), 503),
        (Busy(Reason.RATE, retry_after_s=2.0), 480),
    ],
)
async def test_a_failure_within_the_wait_is_the_answer(error: Refused, status: int) -> None:
    async with Stage() as stage:
        stage.hub.at_once = None
        juliet = await stage.udp()
        juliet.say(message())
        await stage.hub.arrived.wait()
        _, _, inbound = stage.hub.accepted[0]
        inbound.stored()
        assert inbound.settled(Outcome.FAILED, error)
        response = await juliet.hears()
        assert response.status == status
        assert response.get("Rialto-Reason") == error.reason.value
        if status == 301:
            assert response.get("Contact") == "<sip:new@x.example>"  # RFC 7247 section 7.1 note 3
        if error.retry:
            assert response.get("Retry-After") is not None


async def test_what_the_hub_refuses_is_refused() -> None:
    async with Stage() as stage:
        stage.hub.refuse = Refused(Reason.DOMAIN_NOT_FOUND, "nobody here can reach nowhere.example")
        juliet = await stage.udp()
        juliet.say(message(uri="sip:x@nowhere.example"))
        response = await juliet.hears()
        assert (response.status, response.reason) == (404, "nobody here can reach nowhere.example")


async def test_under_congestion_new_messages_are_put_off_and_known_ones_still_answered() -> None:
    async with Stage() as stage:
        juliet = await stage.udp()
        juliet.say(message())
        await juliet.hears()
        stage.hub.congested = True
        juliet.say(message(branch="z9hG4bKnew", cseq=2))
        response = await juliet.hears()
        assert (response.status, response.get("Retry-After")) == (503, "10")
        juliet.say(message())
        assert (await juliet.hears()).status == 200


async def test_a_bug_beyond_is_answered_500_and_the_next_message_passes() -> None:
    class Broken(FakeHub):
        def accept(self, *_: object) -> None:
            raise RuntimeError("no")

    async with Stage() as stage:
        reception = stage.network.reception
        whole, reception._hub = reception._hub, Broken((stage.peer,))  # type: ignore[assignment]
        juliet = await stage.udp()
        juliet.say(message())
        assert (await juliet.hears()).status == 500
        reception._hub = whole
        juliet.say(message(branch="z9hG4bKnext", cseq=2))
        assert (await juliet.hears()).status == 200


# Who is believed (DEP-13)


async def test_a_sender_from_an_unknown_domain_is_refused_and_costs_no_state() -> None:
    async with Stage() as stage:
        mallory = await stage.udp()
        mallory.say(message(sender="<sip:juliet@elsewhere.example>;tag=1"))
        assert (await mallory.hears()).status == 403
        assert stage.network.layer.server_count == 0
        assert ("unproven", "sip", "unknown-domain") in stage.hub.counted


async def test_the_right_domain_from_the_wrong_address_is_refused() -> None:
    async with Stage(peer=PeerSettings(trust=("address",), addresses=("192.0.2.0/24",))) as stage:
        mallory = await stage.udp()
        mallory.say(message())
        assert (await mallory.hears()).status == 403
        assert ("unproven", "sip", "unproven") in stage.hub.counted
        assert stage.hub.accepted == []


async def test_nobody_speaks_for_a_domain_that_lives_here() -> None:
    async with Stage() as stage:
        mallory = await stage.udp()
        mallory.say(message(sender="<sip:romeo@xmpp.example>;tag=1"))
        assert (await mallory.hears()).status == 403
        assert ("unproven", "sip", "own-domain") in stage.hub.counted


async def test_two_from_headers_are_one_too_many() -> None:  # GHSA-8j9p-hpfg-5cg3
    async with Stage() as stage:
        mallory = await stage.udp()
        mallory.say(message(headers=(("From", "<sip:romeo@sip.example>;tag=2"),)))
        assert (await mallory.hears()).status == 400
        assert stage.hub.accepted == []


async def test_an_anonymous_sender_is_told_that_nobody_could_answer() -> None:
    async with Stage() as stage:
        juliet = await stage.udp()
        juliet.say(message(sender='"Anonymous" <sip:anonymous@anonymous.invalid>;tag=1'))
        assert (await juliet.hears()).status == 433


async def test_an_asserted_identity_counts_only_from_a_peer_that_is_trusted_with_it() -> None:
    asserted = (("P-Asserted-Identity", '"Capulet" <sip:nurse@sip.example>'),)
    for trusted, expected in ((False, "juliet"), (True, "nurse")):
        peer = PeerSettings(trust=("address",), addresses=("127.0.0.1",), trust_asserted_identity=trusted)
        async with Stage(peer=peer) as stage:
            juliet = await stage.udp()
            juliet.say(message(headers=asserted))
            assert (await juliet.hears()).status == 200
            assert stage.hub.accepted[0][0].sender.local == expected


async def test_an_asserted_identity_that_wants_privacy_is_not_shown() -> None:  # DEP-14
    peer = PeerSettings(trust=("address",), addresses=("127.0.0.1",), trust_asserted_identity=True)
    async with Stage(peer=peer) as stage:
        juliet = await stage.udp()
        juliet.say(message(headers=(("P-Asserted-Identity", "<sip:nurse@sip.example>"), ("Privacy", "id"))))
        assert (await juliet.hears()).status == 200
        assert stage.hub.accepted[0][0].sender.local == "juliet"


async def test_an_asserted_identity_of_another_domain_is_not_believed() -> None:
    peer = PeerSettings(trust=("address",), addresses=("127.0.0.1",), trust_asserted_identity=True)
    async with Stage(peer=peer) as stage:
        juliet = await stage.udp()
        juliet.say(message(headers=(("P-Asserted-Identity", "<sip:romeo@xmpp.example>"),)))
        await juliet.hears()
        assert stage.hub.accepted[0][0].sender == Address("juliet", "sip.example")


# What else may be asked (RFC 3261 sections 8.2, 11, 12)


async def test_options_tells_what_we_can() -> None:
    async with Stage() as stage:
        juliet = await stage.udp()
        juliet.say(message(method="OPTIONS", uri="sip:gw.example", content_type=""))
        response = await juliet.hears()
        assert response.status == 200
        assert "MESSAGE" in response.get("Allow")
        assert response.get("Accept") == ACCEPT
        assert response.get("Supported") is not None


async def test_a_refused_invite_is_repeated_until_juliets_ack() -> None:
    async with Stage(settings=FAST) as stage:
        juliet = await stage.udp()
        audio = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
        invite = message(audio, method="INVITE", content_type="application/sdp")
        juliet.say(invite)
        refusal = await juliet.hears()
        assert refusal.status == 488
        assert (await juliet.hears()).encode() == refusal.encode()
        ack = Request("ACK", invite.uri, [h for h in invite.headers if h[0] not in ("To", "CSeq")])
        ack.add("To", refusal.get("To"))
        ack.add("CSeq", "1 ACK")
        juliet.say(ack)
        while not juliet.inbox.empty():
            juliet.inbox.get_nowait()
        await juliet.hears_nothing(0.2)


@pytest.mark.parametrize(
    ("method", "status", "header"),
    [
        ("BYE", 481, ""),
        ("CANCEL", 481, ""),
        ("NOTIFY", 481, ""),
        ("SUBSCRIBE", 489, "Allow-Events"),
        ("PUBLISH", 489, "Allow-Events"),
        ("REGISTER", 405, "Allow"),
        ("REFER", 405, "Allow"),
        ("NEWMETHOD", 501, "Allow"),
    ],
)
async def test_what_we_do_not_do_is_refused_properly(method: str, status: int, header: str) -> None:
    async with Stage() as stage:
        juliet = await stage.udp()
        juliet.say(message(method=method, content_type=""))
        response = await juliet.hears()
        assert response.status == status
        assert not header or response.get(header) is not None


@pytest.mark.parametrize(
    ("changes", "status", "header"),
    [
        ({"headers": (("Require", "100rel, precondition"),)}, 420, ("Unsupported", "100rel, precondition")),
        ({"content_type": "image/png"}, 415, ("Accept", ACCEPT)),
        ({"content_type": "application/im-iscomposing+xml"}, 400, None),
        ({"content_type": "text/plain;charset=klingon"}, 415, ("Accept", ACCEPT)),
        ({"headers": (("Content-Encoding", "gzip"),)}, 415, ("Accept-Encoding", "identity")),
        ({"uri": "tel:+15551234567"}, 416, None),
        ({"uri": "http://xmpp.example/"}, 416, None),
        ({"uri": "sip:xmpp.example"}, 404, None),
        ({"uri": "sips:romeo@xmpp.example"}, 403, None),  # ARC-10
        ({"to": "<sips:romeo@xmpp.example>"}, 403, None),
        ({"sender": "<tel:+1555>;tag=1"}, 403, None),
        ({"headers": (("Content-Disposition", "session"),)}, 415, ("Accept", ACCEPT)),
    ],
)
async def test_a_message_that_can_not_be_taken_is_refused_with_what_the_sender_must_know(
    changes: dict[str, object], status: int, header: tuple[str, str] | None
) -> None:
    async with Stage() as stage:
        juliet = await stage.udp()
        juliet.say(message(**changes))  # type: ignore[arg-type]
        response = await juliet.hears()
        assert response.status == status
        if header is not None:
            assert response.get(header[0]) == header[1]
        assert stage.hub.accepted == []


async def test_a_message_out_of_hops_is_refused() -> None:
    async with Stage() as stage:
        juliet = await stage.udp()
        tired = message()
        tired.set("Max-Forwards", "0")
        juliet.say(tired)
        assert (await juliet.hears()).status == 483


async def test_a_request_that_passed_here_before_is_a_loop() -> None:  # RFC 5393, ARC-11
    async with Stage() as stage:
        juliet = await stage.udp()
        ours = f"SIP/2.0/UDP 127.0.0.1:{stage.port('udp')};branch=z9hG4bKours"
        juliet.say(message(headers=(("Via", ours),)))
        assert (await juliet.hears()).status == 482


async def test_a_forked_message_is_taken_once() -> None:
    async with Stage() as stage:
        juliet = await stage.udp()
        juliet.say(message(branch="z9hG4bKa"))
        assert (await juliet.hears()).status == 200
        juliet.say(message(branch="z9hG4bKb"))
        assert (await juliet.hears()).status == 482
        assert len(stage.hub.accepted) == 1


async def test_a_peer_with_an_agreement_may_send_sips() -> None:
    peer = PeerSettings(trust=("address",), addresses=("127.0.0.1",), allow_sips=True)
    async with Stage(peer=peer) as stage:
        juliet = await stage.udp()
        juliet.say(message(uri="sips:romeo@xmpp.example"))
        assert (await juliet.hears()).status == 200
        assert stage.hub.accepted[0][1].secure_only


async def test_an_empty_message_is_answered_and_goes_no_further() -> None:  # MSG-28
    async with Stage() as stage:
        juliet = await stage.udp()
        juliet.say(message(""))
        assert (await juliet.hears()).status == 200
        assert stage.hub.accepted == []


async def test_noise_and_keepalives_are_not_answered() -> None:
    async with Stage() as stage:
        juliet = await stage.udp()
        for noise in (b"\r\n\r\n", b"\0\0\0\0", b"hello", b"SIP/2.0 200 OK\r\n\r\n"):
            juliet.say(noise)
        await juliet.hears_nothing()


async def test_a_garbled_request_over_tcp_is_answered_and_the_connection_lives() -> None:
    async with Stage() as stage:
        juliet = await stage.tcp()
        bad = message(via="SIP/2.0/TCP 127.0.0.1:1")
        bad.set("CSeq", "x MESSAGE")
        juliet.say(bad)
        assert (await juliet.hears()).status == 400
        juliet.say(message(via="SIP/2.0/TCP 127.0.0.1:1"))
        assert (await juliet.hears()).status == 200


async def test_a_ping_is_answered_by_a_pong() -> None:  # RFC 5626
    async with Stage() as stage:
        juliet = await stage.tcp()
        juliet.say(juliet.framer.ping())
        assert type(await juliet.hears()).__name__ == "Pong"


async def test_how_she_writes_her_name_is_remembered() -> None:  # ADR-14
    async with Stage() as stage:
        juliet = await stage.udp()
        juliet.say(message(sender="<sip:Juliet.C@sip.example>;tag=1"))
        await juliet.hears()
        assert stage.hub.memory == {"juliet.c@sip.example": "Juliet.C"}


async def test_a_lost_connection_does_not_lose_the_answer() -> None:
    """RFC 3261 section 18.2.2: it goes to where the request says that it came from."""
    async with Stage() as stage:
        stage.hub.at_once = None
        heard: list[Response] = []
        server = await asyncio.get_running_loop().create_server(lambda: back, "127.0.0.1", 0)
        back = Caller()
        port = server.sockets[0].getsockname()[1]
        juliet = await stage.tcp()
        juliet.say(message(via=f"SIP/2.0/TCP 127.0.0.1:{port}"))
        await stage.hub.arrived.wait()
        juliet.transport.abort()
        for _ in range(100):
            await asyncio.sleep(0)
            if not stage.network.transports.flows:
                break
        _, _, inbound = stage.hub.accepted[0]
        inbound.stored()
        assert inbound.settled(Outcome.DELIVERED, None)
        heard.append(await back.hears())
        assert heard[0].status == 200
        server.close()


async def test_without_rport_the_answer_goes_to_the_port_that_via_names() -> None:  # section 18.2.2
    async with Stage() as stage:
        juliet, her_other_port = await stage.udp(), await stage.udp()
        juliet.say(message(via=f"SIP/2.0/UDP 127.0.0.1:{her_other_port.port}"))
        assert (await her_other_port.hears()).status == 200
        assert juliet.inbox.empty()


async def test_what_via_says_of_maddr_leads_nowhere() -> None:
    async with Stage() as stage:
        juliet = await stage.udp()
        juliet.say(message(via="SIP/2.0/UDP 127.0.0.1:1;rport;maddr=127.0.0.77"))
        assert (await juliet.hears()).status == 200


async def test_the_wire_can_be_shown_to_a_person() -> None:
    seen: list[tuple[str, str, str, bytes]] = []
    async with Stage(tap=lambda *what: seen.append(what)) as stage:
        for juliet, via in ((await stage.udp(), "UDP"), (await stage.tcp(), "TCP")):
            juliet.say(message(via=f"SIP/2.0/{via} 127.0.0.1:1;rport", branch=f"z9hG4bK{via}", call_id=via))
            await juliet.hears()
    assert [(network, remote.partition(":")[0], direction) for network, remote, direction, _ in seen] == [
        ("sip", "udp", "in"), ("sip", "udp", "out"), ("sip", "tcp", "in"), ("sip", "tcp", "out"),
    ]  # fmt: skip
    assert seen[0][3].startswith(b"MESSAGE")


async def test_new_settings_of_a_peer_take_effect_without_a_restart() -> None:
    async with Stage() as stage:
        fresh = Stage(peer=PeerSettings(trust=("address",), addresses=("192.0.2.1",)))
        fresh.network.settings = stage.network.settings
        await stage.network.reload(fresh.network)
        juliet = await stage.udp()
        juliet.say(message())
        assert (await juliet.hears()).status == 403


async def test_a_stopping_gateway_puts_new_messages_off_and_answers_what_it_took() -> None:
    async with Stage() as stage:
        stage.hub.at_once = None
        juliet = await stage.udp()
        juliet.say(message())
        await stage.hub.arrived.wait()
        stopping = asyncio.create_task(stage.network.stop(5))
        await asyncio.sleep(0)
        juliet.say(message(branch="z9hG4bKlate", cseq=2))
        assert (await juliet.hears()).status == 503
        _, _, inbound = stage.hub.accepted[0]
        inbound.stored()
        inbound.settled(Outcome.DELIVERED, None)
        assert (await juliet.hears()).status == 200
        await stopping


async def test_a_sender_who_gave_up_is_not_told_and_failures_go_home_as_reports() -> None:
    async with Stage(settings=Settings(listen=("udp:127.0.0.1:0",), t1_s=0.002)) as stage:
        stage.hub.at_once = None
        juliet = await stage.udp()
        juliet.say(message())
        await stage.hub.arrived.wait()
        _, _, inbound = stage.hub.accepted[0]
        while inbound.waiting:
            await asyncio.wait_for(
                juliet.inbox.get(), 1
            ) if not juliet.inbox.empty() else await asyncio.sleep(0.01)
        assert not inbound.settled(Outcome.FAILED, Refused(Reason.NOT_FOUND))


@pytest.mark.parametrize(
    ("redirect", "status", "contact"),
    [
        ("xmpp:new@x.example", 301, "<sip:new@x.example>"),
        ("sip:new@x.example", 301, "<sip:new@x.example>"),
        ("new@x.example", 301, "<sip:new@x.example>"),
        ("new@x.example>\r\nVia: evil", 410, None),
    ],
)
async def test_a_new_address_is_told_if_it_is_one(redirect: str, status: int, contact: str | None) -> None:
    async with Stage() as stage:
        stage.hub.refuse = Refused(Reason.GONE, redirect=redirect)
        juliet = await stage.udp()
        juliet.say(message())
        response = await juliet.hears()
        assert (response.status, response.get("Contact")) == (status, contact)


async def test_a_strangers_options_is_answered_and_costs_no_state() -> None:
    async with Stage(peer=PeerSettings(trust=("address",), addresses=("192.0.2.1",))) as stage:
        stranger = await stage.udp()
        stranger.say(message(method="OPTIONS", content_type=""))
        assert (await stranger.hears()).status == 200
        assert stage.network.layer.server_count == 0


async def test_a_known_peer_may_leave_its_connection_idle_and_a_stranger_may_not() -> None:
    for addresses, established in ((("127.0.0.1",), True), (("192.0.2.1",), False)):
        async with Stage(peer=PeerSettings(trust=("address",), addresses=addresses)) as stage:
            juliet = await stage.tcp()
            juliet.say(message(method="OPTIONS", content_type="", via="SIP/2.0/TCP 127.0.0.1:1"))
            await juliet.hears()
            (flow,) = stage.network.transports.flows
            assert flow.link.established is established
