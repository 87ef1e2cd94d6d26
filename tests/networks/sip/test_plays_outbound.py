"""What happens to messages that go out: Romeo, on XMPP, writes to Juliet, whose SIP servers come and go."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from networks.sip.plays import FAST, Caller, Person, Records, Stage, message, outgoing
from rialto.model.address import Address
from rialto.model.errors import Busy, DeliveryError, Reason, Refused, Unreachable
from rialto.model.message import Report
from rialto.net.srv import NaptrRecord, SrvRecord
from rialto.networks.sip.settings import PeerSettings, Settings
from rialto.networks.sip.wire import Request, parse_message, response_to
from rialto.networks.sip.wire.digest import Challenger


def to(person: Any, **changes: Any) -> PeerSettings:
    transport = "udp" if isinstance(person, Person) else "tcp"
    return PeerSettings(
        proxy=f"sip:127.0.0.1:{person.port};transport={transport}",
        trust=("address",),
        addresses=("127.0.0.1",),
        **changes,
    )


class Server(Person):
    """Juliet's SIP server, over UDP: answers whoever asked."""

    def __init__(self) -> None:
        super().__init__(0)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._to = addr
        self.inbox.put_nowait(parse_message(data))


async def udp_server() -> Server:
    server = Server()
    await asyncio.get_running_loop().create_datagram_endpoint(lambda: server, local_addr=("127.0.0.1", 0))
    return server


class TcpServer:
    """Juliet's SIP server, over TCP: `calls` are the connections it got."""

    def __init__(self) -> None:
        self.calls: asyncio.Queue[Caller] = asyncio.Queue()
        self.all: list[Caller] = []

    async def open(self, port: int = 0) -> TcpServer:
        self.server = await asyncio.get_running_loop().create_server(self._caller, "127.0.0.1", port)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    def _caller(self) -> Caller:
        caller = Caller()
        self.calls.put_nowait(caller)
        self.all.append(caller)
        return caller

    async def call(self) -> Caller:
        return await asyncio.wait_for(self.calls.get(), 5)

    def close(self) -> None:
        self.server.close()
        for caller in self.all:
            caller.close()


@pytest.fixture
async def server() -> Any:
    server = await udp_server()
    yield server
    server.close()


@pytest.fixture
async def tcp() -> Any:
    server = await TcpServer().open()
    yield server
    server.close()


async def test_romeos_message_is_a_message_request_and_200_is_delivery(server: Server) -> None:
    async with Stage(peer=to(server)) as stage:
        delivery = stage.deliver(outgoing(subject="Saints", language="en", hops=("a", "b"), thread="balcony"))
        request = await server.answers(200)
        assert await delivery.end == "delivered 200 OK"
        assert (request.method, request.uri) == ("MESSAGE", "sip:juliet@sip.example")
        assert str(request.from_.uri) == "sip:romeo@xmpp.example;gr=orchard"  # ADR-19, ADR-21
        assert request.call_id == "balcony"
        assert request.get("Subject") == "Saints"
        assert request.get("Content-Language") == "en"
        assert request.get("Rialto-Hop") == "a, b"
        assert request.get("Content-Type") == "text/plain;charset=UTF-8"
        assert request.get("Max-Forwards") == "70"
        assert request.get("Contact") is None  # MSG-16
        assert request.body == b"Neither, fair saint"
        assert request.top_via.param("rport") is not None


async def test_202_is_no_more_than_sent(server: Server) -> None:
    async with Stage(peer=to(server)) as stage:
        delivery = stage.deliver(outgoing())
        await server.answers(202)
        assert await delivery.end == "sent"


async def test_an_unanswered_message_is_repeated_as_it_was_then_may_have_arrived(server: Server) -> None:
    async with Stage(settings=FAST, peer=to(server)) as stage:
        delivery = stage.deliver(outgoing())
        first = await server.hears()
        assert (await server.hears()).encode() == first.encode()
        error = await delivery.error()
        assert isinstance(error, Unreachable)
        assert (error.reason, error.certain) == (Reason.TIMEOUT, False)


async def test_the_same_message_after_a_crash_is_the_same_request(server: Server) -> None:
    """A retransmission, as far as Juliet's server can see: the same branch, Call-ID, CSeq and From tag."""
    said = []
    for _ in range(2):
        async with Stage(
            peer=to(server), settings=Settings(listen=("udp:127.0.0.1:0",), advertise="gw.example")
        ) as stage:
            stage.deliver(outgoing())
            request = await server.hears()
            said.append(
                (request.top_via.branch, request.call_id, request.cseq, request.from_.tag, request.body)
            )
        while not server.inbox.empty():
            server.inbox.get_nowait()
    assert said[0] == said[1]


async def test_after_an_answer_another_try_is_another_transaction(server: Server) -> None:
    async with Stage(peer=to(server)) as stage:
        delivery = stage.deliver(outgoing())
        first = await server.answers(480, (("Retry-After", "5"),))
        error = await delivery.error()
        assert isinstance(error, Busy)
        assert error.retry_after_s == 5
        delivery = stage.deliver(outgoing(), attempt=1)
        second = await server.answers(200)
        assert first.top_via.branch != second.top_via.branch
        assert (first.call_id, first.cseq, first.from_.tag) == (second.call_id, second.cseq, second.from_.tag)
        assert await delivery.end == "delivered 200 OK"


async def test_messages_of_one_thread_differ_in_their_tags(server: Server) -> None:  # MSG-26
    async with Stage(peer=to(server)) as stage:
        tags = set()
        for number in (1, 2):
            stage.deliver(outgoing("again", number, thread="balcony"))
            request = await server.answers(200)
            assert request.call_id == "balcony"
            tags.add(request.from_.tag)
        assert len(tags) == 2


@pytest.mark.parametrize(
    ("status", "kind", "reason", "certain"),
    [
        (404, Refused, Reason.NOT_FOUND, True),
        (403, Refused, Reason.FORBIDDEN, True),
        (480, Refused, Reason.UNAVAILABLE, True),
        (408, Refused, Reason.TIMEOUT, False),
        (477, Refused, Reason.BAD_REQUEST, True),
        (500, Refused, Reason.INTERNAL, True),
        (503, Unreachable, Reason.CONGESTION, True),
        (599, Refused, Reason.INTERNAL, True),
        (603, Refused, Reason.DECLINED, True),
        (699, Refused, Reason.UNAVAILABLE, True),
        (401, Refused, Reason.NOT_AUTHENTICATED, True),
    ],
)
async def test_a_refusal_is_told_in_our_words(
    server: Server, status: int, kind: type[DeliveryError], reason: Reason, certain: bool
) -> None:
    async with Stage(peer=to(server)) as stage:
        delivery = stage.deliver(outgoing())
        await server.answers(status)
        error = await delivery.error()
        assert type(error) is kind
        assert (error.reason, error.certain) == (reason, certain)
        assert str(status) in error.detail


async def test_a_moved_recipient_leaves_an_address(server: Server) -> None:
    async with Stage(peer=to(server)) as stage:
        delivery = stage.deliver(outgoing())
        await server.answers(301, (("Contact", "<sip:juliet@verona.example>"),))
        error = await delivery.error()
        assert (error.reason, error.redirect) == (Reason.GONE, "sip:juliet@verona.example")


async def test_her_name_is_written_as_she_writes_it(server: Server) -> None:  # ADR-14
    async with Stage(peer=to(server)) as stage:
        stage.hub.memory["juliet@sip.example"] = "Juliet"
        stage.deliver(outgoing())
        assert (await server.answers(200)).uri == "sip:Juliet@sip.example"


async def test_a_challenge_is_answered_once_and_then_ahead_of_time(server: Server) -> None:
    async with Stage(peer=to(server, username="gw", password="secret")) as stage:
        challenger = Challenger("sip.example", b"k" * 32)
        delivery = stage.deliver(outgoing())
        request: Request = await server.hears()
        assert request.get("Proxy-Authorization") is None
        challenges = tuple(("Proxy-Authenticate", text) for text in challenger.challenges(stage.now))
        server.say(response_to(request, 407, to_tag="x", headers=challenges))
        again: Request = await server.hears()
        assert again.cseq == (request.cseq[0] + 1, "MESSAGE")
        assert (again.call_id, again.from_.tag) == (request.call_id, request.from_.tag)
        assert again.top_via.branch != request.top_via.branch
        passwords = {"gw": "secret"}
        verdict, name = challenger.check(
            again.get_all("Proxy-Authorization"), "MESSAGE", stage.now, passwords.get
        )
        assert (verdict.value, name) == ("good", "gw")
        server.say(response_to(again, 200, to_tag="x"))
        assert await delivery.end == "delivered 200 OK"
        stage.deliver(outgoing("next", 2))
        following = await server.answers(200)
        verdict, _ = challenger.check(
            following.get_all("Proxy-Authorization"), "MESSAGE", stage.now, passwords.get
        )
        assert verdict.value == "good"


async def test_a_wrong_password_is_not_tried_for_ever(server: Server) -> None:
    async with Stage(peer=to(server, username="gw", password="wrong")) as stage:
        challenger = Challenger("sip.example", b"k" * 32)
        delivery = stage.deliver(outgoing())
        for _ in range(2):
            request = await server.hears()
            challenges = tuple(("WWW-Authenticate", text) for text in challenger.challenges(stage.now))
            server.say(response_to(request, 401, to_tag="x", headers=challenges))
        assert (await delivery.error()).reason is Reason.NOT_AUTHENTICATED


# Fail-over (RFC 3263 section 4.3)


def srv(*ports: int, transport: str = "udp") -> dict[tuple[str, str], tuple[Any, ...]]:
    records = tuple(SrvRecord(priority, 0, port, "127.0.0.1") for priority, port in enumerate(ports))
    return {("srv", f"_sip._{transport}.sip.example"): records}


def by_dns(**changes: Any) -> PeerSettings:
    return PeerSettings(trust=("address",), addresses=("127.0.0.1",), **changes)


async def test_when_the_first_server_says_503_the_second_gets_the_same_message() -> None:
    first, second = await udp_server(), await udp_server()
    async with Stage(peer=by_dns(), records=Records(srv(first.port, second.port))) as stage:
        delivery = stage.deliver(outgoing())
        one = await first.answers(503, (("Retry-After", "60"),))
        two = await second.answers(200)
        assert await delivery.end == "delivered 200 OK"
        assert one.top_via.branch != two.top_via.branch
        assert (one.call_id, one.cseq, one.from_.tag) == (two.call_id, two.cseq, two.from_.tag)
        stage.deliver(outgoing("next", 2))
        await second.answers(200)  # the first is left alone for a minute
        assert first.inbox.empty()
    first.close()
    second.close()


async def test_when_the_first_server_is_silent_the_second_is_asked_and_first_from_then_on() -> None:
    first, second = await udp_server(), await udp_server()
    async with Stage(settings=FAST, peer=by_dns(), records=Records(srv(first.port, second.port))) as stage:
        delivery = stage.deliver(outgoing())
        await second.answers(200)
        assert await delivery.end == "delivered 200 OK"
        while not first.inbox.empty():
            first.inbox.get_nowait()
        stage.deliver(outgoing("next", 2))
        await second.answers(200)
        assert first.inbox.empty()
    first.close()
    second.close()


async def test_when_everybody_says_503_the_hub_hears_when_to_come_back(server: Server) -> None:
    async with Stage(peer=to(server)) as stage:
        delivery = stage.deliver(outgoing())
        await server.answers(503, (("Retry-After", "20"),))
        error = await delivery.error()
        assert isinstance(error, Unreachable)
        assert error.retry_after_s == pytest.approx(20, abs=1)
        delivery = stage.deliver(outgoing(), attempt=1)  # too early: nobody is disturbed
        error = await delivery.error()
        assert error.retry_after_s == pytest.approx(20, abs=1)
        assert server.inbox.empty()


async def test_a_port_without_a_server_is_noticed_by_icmp() -> None:
    silent = await udp_server()
    port = silent.port
    silent.close()
    await asyncio.sleep(0)
    peer = PeerSettings(
        proxy=f"sip:127.0.0.1:{port};transport=udp", trust=("address",), addresses=("127.0.0.1",)
    )
    async with Stage(peer=peer, settings=Settings(listen=("udp:127.0.0.1:0",))) as stage:
        error = await stage.deliver(outgoing()).error()  # at once, not after Timer F's 32 s
        assert isinstance(error, Unreachable)
        assert error.certain


async def test_a_domain_that_does_not_exist_is_a_final_answer() -> None:
    async with Stage(peer=by_dns()) as stage:
        error = await stage.deliver(outgoing()).error()
        assert isinstance(error, Refused)
        assert (error.reason, error.certain) == (Reason.DOMAIN_NOT_FOUND, True)


async def test_many_messages_cost_one_lookup() -> None:
    server = await udp_server()
    records = Records(srv(server.port))
    async with Stage(peer=by_dns(), records=records) as stage:
        deliveries = [stage.deliver(outgoing(str(n), n)) for n in range(1, 6)]
        for _ in deliveries:
            await server.answers(200)
        assert {await delivery.end for delivery in deliveries} == {"delivered 200 OK"}
        assert records.asked.count(("naptr", "sip.example")) == 1
    server.close()


async def test_naptr_chooses_the_transport(tcp: TcpServer) -> None:
    known: dict[tuple[str, str], tuple[Any, ...]] = {
        ("naptr", "sip.example"): (NaptrRecord(1, 1, "s", "SIP+D2T", "", "_sip._tcp.other.example"),),
        ("srv", "_sip._tcp.other.example"): (SrvRecord(0, 0, tcp.port, "127.0.0.1"),),
    }
    async with Stage(peer=by_dns(), records=Records(known)) as stage:
        delivery = stage.deliver(outgoing())
        await (await tcp.call()).answers(200)
        assert await delivery.end == "delivered 200 OK"


# TCP


async def test_one_connection_serves_many_messages_both_ways(tcp: TcpServer) -> None:
    async with Stage(peer=to(tcp)) as stage:
        deliveries = [stage.deliver(outgoing(str(n), n)) for n in range(1, 4)]
        juliet = await tcp.call()
        for _ in deliveries:
            await juliet.answers(200)
        assert {await delivery.end for delivery in deliveries} == {"delivered 200 OK"}
        assert tcp.calls.empty()
        ((remote, *_),) = [(link.remote, link.state) for link in stage.network.links()]
        assert remote == f"tcp:127.0.0.1:{tcp.port}"


async def test_a_connection_that_the_peer_had_closed_is_made_anew(tcp: TcpServer) -> None:
    async with Stage(peer=to(tcp)) as stage:
        delivery = stage.deliver(outgoing())
        juliet = await tcp.call()
        await juliet.answers(200)
        await delivery.end
        delivery = stage.deliver(outgoing("next", 2))
        first = await juliet.hears()
        juliet.transport.abort()  # before the answer
        again = await (await tcp.call()).answers(200)
        assert again.top_via.branch == first.top_via.branch
        assert await delivery.end == "delivered 200 OK"


async def test_nobody_listening_is_certain_and_worth_another_try() -> None:
    gone = await TcpServer().open()
    gone.close()
    await asyncio.sleep(0)
    async with Stage(peer=to(gone)) as stage:
        error = await stage.deliver(outgoing()).error()
        assert isinstance(error, Unreachable)
        assert error.certain


async def test_a_long_message_leaves_by_tcp_though_dns_says_udp(tcp: TcpServer) -> None:  # section 18.1.1
    peer = PeerSettings(
        proxy=f"sip:127.0.0.1:{tcp.port}", trust=("address",), addresses=("127.0.0.1",), max_bytes=0
    )
    async with Stage(peer=peer) as stage:
        delivery = stage.deliver(outgoing("x" * 2000))
        request = await (await tcp.call()).answers(200)
        assert request.top_via.transport == "TCP"
        assert await delivery.end == "delivered 200 OK"


async def test_a_long_message_falls_back_to_udp_where_there_is_no_tcp(server: Server) -> None:
    peer = PeerSettings(
        proxy=f"sip:127.0.0.1:{server.port}", trust=("address",), addresses=("127.0.0.1",), max_bytes=0
    )
    async with Stage(peer=peer) as stage:
        delivery = stage.deliver(outgoing("x" * 2000))
        assert (await server.answers(200)).top_via.transport == "UDP"
        assert await delivery.end == "delivered 200 OK"


# Size (MSG-12, MSG-13)


async def test_the_measure_is_what_goes_on_the_wire(server: Server) -> None:
    async with Stage(peer=to(server)) as stage:
        said = outgoing(
            "Ünïcödé " * 20,
            subject="Größe",
            thread="t 1",
            hops=("abc",),
            language="de",
            expires_at=1.8e9 + 60,
        )
        measured = stage.network.measure(said, stage.peer)
        stage.deliver(said)
        written = len((await server.answers(200)).encode())
        assert written <= measured <= written + 12  # the target and further tries lengthen the branch


async def test_a_short_message_surely_fits_as_the_hub_believes(server: Server) -> None:
    from rialto.core.adapt import adapt

    async with Stage(peer=to(server)) as stage:
        said = outgoing("x" * 100)
        empty = outgoing("")
        frame = stage.network.measure(empty, stage.peer)
        people = sum(map(len, (empty.sender.local, empty.sender.instance, empty.recipient.local)))
        assert frame - people <= 520
        parts, lost = adapt(said, stage.peer.features, lambda m: stage.network.measure(m, stage.peer))
        assert (parts, lost) == ((said,), ())


async def test_a_long_message_is_split_into_parts_that_each_fit(server: Server) -> None:
    from rialto.core.adapt import adapt

    async with Stage(peer=to(server)) as stage:
        said = outgoing("Parting is such sweet sorrow, that I shall say good night till it be morrow. " * 40)
        parts, _ = adapt(said, stage.peer.features, lambda m: stage.network.measure(m, stage.peer))
        assert len(parts) > 2
        branches = set()
        for part in parts:
            stage.deliver(part)
            request = await server.answers(200)
            assert len(request.encode()) <= 1300
            branches.add(request.top_via.branch)
        assert len(branches) == len(parts)


# Reports home


def report(**changes: Any) -> Report:
    fields: dict[str, Any] = {
        "id": "0190000000000000000000r",
        "sender": Address("romeo", "xmpp.example"),
        "recipient": Address("juliet", "sip.example"),
        "about": "x",
        "reason": Reason.NOT_FOUND,
        "received_at": 1_800_000_000.0,
        "excerpt": "Art thou not Romeo?",
    }
    return Report(**(fields | changes))


async def test_juliet_reads_in_one_sentence_what_became_of_her_message(server: Server) -> None:
    async with Stage(peer=to(server)) as stage:
        delivery = stage.deliver(report())
        request = await server.answers(200)
        assert await delivery.end == "delivered 200 OK"
        text = request.body.decode()
        assert text == "Your message “Art thou not Romeo?” was not delivered: there is nobody of that name."
        assert request.get("Rialto-Automatic") == "failure-notice"
        assert str(request.from_.uri) == "sip:romeo@xmpp.example"


async def test_what_may_have_arrived_is_said_so(server: Server) -> None:
    async with Stage(peer=to(server)) as stage:
        stage.deliver(report(certain=False, reason=Reason.TIMEOUT))
        assert b"may not have been delivered" in (await server.answers(200)).body


async def test_a_peer_that_wants_no_notices_gets_none(server: Server) -> None:
    async with Stage(peer=to(server, failure_notice=False)) as stage:
        error = await stage.deliver(report()).error()
        assert error.reason is Reason.POLICY
        assert server.inbox.empty()


# Probing


async def test_a_probe_asks_with_options(server: Server) -> None:
    async with Stage(peer=to(server)) as stage:
        asking = asyncio.create_task(stage.network.probe(stage.peer))
        assert (await server.answers(200)).method == "OPTIONS"
        reached, text = await asking
        assert reached
        assert "200 OK" in text


async def test_a_probe_of_nobody_says_why() -> None:
    async with Stage(peer=by_dns()) as stage:
        reached, text = await stage.network.probe(stage.peer)
        assert not reached
        assert "can not be found" in text


async def test_hearing_from_a_server_that_was_down_flushes_what_waits_for_it(server: Server) -> None:
    async with Stage(peer=to(server)) as stage:
        delivery = stage.deliver(outgoing())
        await server.answers(503)
        await delivery.error()
        juliet = await stage.udp()
        for number in (1, 2):
            juliet.say(message(branch=f"z9hG4bK{number}", cseq=number))
            await juliet.hears()
        assert stage.hub.reached == [stage.network.destination(stage.peer, "sip.example")]


async def test_a_connection_without_a_sound_is_given_up_with_the_message(tcp: TcpServer) -> None:
    async with Stage(settings=FAST, peer=to(tcp)) as stage:
        delivery = stage.deliver(outgoing())
        first = await tcp.call()
        await first.hears()
        error = await delivery.error()
        assert (error.reason, error.certain) == (Reason.TIMEOUT, False)
        await asyncio.wait_for(first.lost.wait(), 5)
        delivery = stage.deliver(outgoing(), attempt=1)
        await (await tcp.call()).answers(200)
        assert await delivery.end == "delivered 200 OK"


async def test_a_lookup_that_fails_unheard_of_keeps_nobody_waiting() -> None:
    records = Records({("naptr", "sip.example"): RuntimeError("what is this")})  # type: ignore[dict-item]
    async with Stage(peer=by_dns(), records=records) as stage:
        for _ in range(2):
            error = await stage.deliver(outgoing()).error()
            assert (error.reason, error.retry) == (Reason.INTERNAL, True)


async def test_all_of_it_works_over_ipv6() -> None:
    loop, juliet, caller = asyncio.get_running_loop(), Server(), Caller()
    await loop.create_datagram_endpoint(lambda: juliet, local_addr=("::1", 0))
    peer = PeerSettings(
        proxy=f"sip:[::1]:{juliet.port};transport=udp", trust=("address",), addresses=("::1",)
    )
    async with Stage(peer=peer, settings=Settings(listen=("udp:[::1]:0", "tcp:[::1]:0"))) as stage:
        delivery = stage.deliver(outgoing())
        request = await juliet.answers(200)
        assert (request.top_via.host, request.top_via.port) == ("::1", stage.port("udp"))
        assert await delivery.end == "delivered 200 OK"
        juliet.say(message(via=f"SIP/2.0/UDP [::1]:{juliet.port}"))
        assert (await juliet.hears()).status == 200
        await loop.create_connection(lambda: caller, "::1", stage.port("tcp"))
        caller.say(message(via="SIP/2.0/TCP [::1]:1", branch="z9hG4bK2", cseq=2))
        assert (await caller.hears()).status == 200
        caller.close()
    juliet.close()
