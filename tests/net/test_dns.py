"""The resolver against a name server of the test's own, on a port that the kernel chose."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from rialto.net.dns import Answer, NoSuchDomain, Resolver, TemporaryFailure, TlsaRecord, find_xmpp
from rialto.net.srv import Candidate, NaptrRecord, SrvRecord

ZONE = """
host.example 300 A 192.0.2.1
host.example 300 A 192.0.2.2
host.example 300 AAAA 2001:db8::1
four.example 300 A 192.0.2.4
alias.example 300 CNAME four.example.
empty.example 300 TXT "nothing else"
x.example 300 A 192.0.2.9
_xmpp-server._tcp.x.example 60 SRV 10 5 5269 One.example.
_xmpps-server._tcp.x.example 60 SRV 5 5 5270 two.example.
_xmpp-server._tcp.none.example 60 SRV 0 0 0 .
sip.example 60 NAPTR 10 20 "S" "SIPS+d2t" "" _sips._tcp.sip.example.
_5269._tcp.one.example 60 TLSA 3 1 0 00ff
brief.example 0 A 192.0.2.7
xn--mller-kva.example 60 A 192.0.2.8
"""
SOA = "example 30 SOA ns.example. admin.example. 1 3600 600 86400 20"


class NameServer(asyncio.DatagramProtocol):
    """Answers from the zone above; `deaf` names get no answer, `broken` ones SERVFAIL."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], list[str]] = {}
        for line in ZONE.strip().splitlines():
            name, ttl, kind, data = line.split(None, 3)
            self.records.setdefault((name, kind), []).append(f"{ttl} {data}")
        self.asked: list[str] = []
        self.deaf: set[str] = set()
        self.broken: set[tuple[str, str]] = set()
        self.flags = 0
        self.port = 0

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self.transport = transport
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        question = query.question[0]
        name, kind = question.name.to_text(omit_final_dot=True), question.rdtype.name
        self.asked.append(f"{name} {kind}")
        assert query.flags & dns.flags.AD
        if name in self.deaf:
            return
        reply = dns.message.make_response(query)
        reply.flags |= self.flags
        if (name, kind) in self.broken:
            reply.set_rcode(dns.rcode.SERVFAIL)
        else:
            self._answer(reply, name, kind)
        self.transport.sendto(reply.to_wire(), addr)

    def _answer(self, reply: dns.message.Message, name: str, kind: str) -> None:
        if alias := self.records.get((name, "CNAME")):
            ttl, target = alias[0].split()
            reply.answer.append(dns.rrset.from_text(name + ".", int(ttl), "IN", "CNAME", target))
            name = target.rstrip(".")
        if found := self.records.get((name, kind)):
            ttl = found[0].split()[0]
            data = [record.split(None, 1)[1] for record in found]
            reply.answer.append(dns.rrset.from_text(name + ".", int(ttl), "IN", kind, *data))
            return
        soa = SOA.split(None, 3)
        reply.authority.append(dns.rrset.from_text("example.", int(soa[1]), "IN", "SOA", soa[3]))
        if not any(owner == name for owner, _ in self.records):
            reply.set_rcode(dns.rcode.NXDOMAIN)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def server() -> AsyncIterator[NameServer]:
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(NameServer, local_addr=("127.0.0.1", 0))
    yield server
    transport.close()
    await asyncio.sleep(0)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def resolver(server: NameServer, clock: Clock) -> Resolver:
    return Resolver([("127.0.0.1", server.port)], timeout_s=5.0, clock=clock)


async def test_both_kinds_of_address_come_by_turns(resolver: Resolver) -> None:
    answer = await resolver.addresses("Host.example.")
    assert answer.records[0] == "2001:db8::1"
    assert set(answer.records[1:]) == {"192.0.2.1", "192.0.2.2"}


async def test_one_kind_of_address_is_enough(resolver: Resolver, server: NameServer) -> None:
    assert (await resolver.addresses("four.example")).records == ("192.0.2.4",)
    server.broken.add(("four.example", "AAAA"))
    resolver.forget()
    assert (await resolver.addresses("four.example")).records == ("192.0.2.4",)


async def test_an_alias_is_followed(resolver: Resolver) -> None:
    assert (await resolver.addresses("alias.example")).records == ("192.0.2.4",)


async def test_an_address_needs_no_name_server(resolver: Resolver, server: NameServer) -> None:
    assert (await resolver.addresses("192.0.2.77")).records == ("192.0.2.77",)
    assert (await resolver.addresses("[2001:DB8::1]")).records == ("2001:db8::1",)
    assert (await resolver.addresses("localhost")).records == ("::1", "127.0.0.1")
    assert server.asked == []


async def test_a_domain_in_its_own_script_is_found(resolver: Resolver) -> None:
    assert (await resolver.addresses("Müller.example")).records == ("192.0.2.8",)


async def test_records_are_read(resolver: Resolver) -> None:
    srv = await resolver.srv("_xmpp-server._tcp.x.example")
    assert srv.records == (SrvRecord(10, 5, 5269, "one.example"),)
    assert (await resolver.srv("_xmpp-server._tcp.none.example")).records == (SrvRecord(0, 0, 0, ""),)
    naptr = await resolver.naptr("sip.example")
    assert naptr.records == (NaptrRecord(10, 20, "s", "SIPS+D2T", "", "_sips._tcp.sip.example"),)
    assert (await resolver.tlsa("_5269._tcp.one.example")).records == (TlsaRecord(3, 1, 0, b"\x00\xff"),)


async def test_does_not_exist_and_does_not_have_are_two_answers(resolver: Resolver) -> None:
    assert (await resolver.addresses("empty.example")) == Answer(())
    assert (await resolver.srv("empty.example")).records == ()
    with pytest.raises(NoSuchDomain, match=r"nowhere\.example"):
        await resolver.addresses("nowhere.example")
    with pytest.raises(NoSuchDomain):
        await resolver.addresses("not..a..name")


async def test_a_broken_server_is_no_answer(resolver: Resolver, server: NameServer) -> None:
    server.broken |= {("host.example", "A"), ("host.example", "AAAA")}
    with pytest.raises(TemporaryFailure):
        await resolver.addresses("host.example")
    server.broken.clear()
    assert (await resolver.addresses("host.example")).records  # a failure is not remembered


async def test_a_half_broken_server_does_not_prove_that_nothing_is_there(
    resolver: Resolver, server: NameServer
) -> None:
    server.broken.add(("nowhere.example", "A"))
    with pytest.raises(TemporaryFailure):
        await resolver.addresses("nowhere.example")


async def test_a_silent_server_is_no_answer(server: NameServer) -> None:
    server.deaf.add("host.example")
    resolver = Resolver([("127.0.0.1", server.port)], timeout_s=0.05)
    with pytest.raises(TemporaryFailure, match="in time"):
        await resolver.srv("host.example")


async def test_the_flag_of_a_checked_answer_is_passed_on(resolver: Resolver, server: NameServer) -> None:
    assert not (await resolver.addresses("host.example")).secure
    server.flags = dns.flags.AD
    resolver.forget()
    assert (await resolver.addresses("host.example")).secure
    assert (await resolver.srv("_xmpp-server._tcp.x.example")).secure


async def test_answers_live_as_long_as_they_say(resolver: Resolver, server: NameServer, clock: Clock) -> None:
    name = "_xmpp-server._tcp.x.example"
    first = await resolver.srv(name)
    clock.now += 59
    assert await resolver.srv(name) == first
    assert (resolver.asked, resolver.cached) == (1, 1)
    clock.now += 2
    await resolver.srv(name)
    assert server.asked == [f"{name} SRV"] * 2


async def test_no_is_remembered_too(resolver: Resolver, server: NameServer, clock: Clock) -> None:
    for name, wait in (("nowhere.example", 0), ("nowhere.example", 19)):
        clock.now += wait
        with pytest.raises(NoSuchDomain):
            await resolver.srv(name)
    assert len(server.asked) == 1
    clock.now += 2  # RFC 2308: the SOA's minimum is 20 s
    with pytest.raises(NoSuchDomain):
        await resolver.srv("nowhere.example")
    assert len(server.asked) == 2
    await resolver.srv("empty.example")
    await resolver.srv("empty.example")
    assert len(server.asked) == 3


async def test_what_lives_for_no_time_is_not_remembered(resolver: Resolver, server: NameServer) -> None:
    await resolver.addresses("brief.example")
    await resolver.addresses("brief.example")
    assert server.asked.count("brief.example A") == 2


async def test_the_memory_is_bounded(server: NameServer, clock: Clock) -> None:
    resolver = Resolver([("127.0.0.1", server.port)], clock=clock, max_cached=3)
    for number in range(6):
        with pytest.raises(NoSuchDomain):
            await resolver.srv(f"n{number}.example")
    assert len(resolver._cache) == 3
    with pytest.raises(NoSuchDomain):
        await resolver.srv("n5.example")
    assert len(server.asked) == 6


async def test_many_who_ask_the_same_ask_once(resolver: Resolver, server: NameServer) -> None:
    name = "_xmpp-server._tcp.x.example"
    impatient = asyncio.ensure_future(resolver.srv(name))
    others = [asyncio.ensure_future(resolver.srv(name)) for _ in range(10)]
    await asyncio.sleep(0)
    impatient.cancel()
    answers = await asyncio.gather(*others)
    assert len(set(answers)) == 1
    assert len(server.asked) == 1
    assert impatient.cancelled()


async def test_an_xmpp_server_is_found(resolver: Resolver) -> None:
    assert await find_xmpp(resolver, "x.example", lambda: 0.5) == [
        Candidate("two.example", 5270, direct_tls=True),
        Candidate("one.example", 5269),
    ]
    assert await find_xmpp(resolver, "none.example", lambda: 0.5) == []
    assert await find_xmpp(resolver, "host.example", lambda: 0.5) == [Candidate("host.example", 5269)]


async def test_whether_there_are_records_must_be_known(resolver: Resolver, server: NameServer) -> None:
    server.broken.add(("_xmpp-server._tcp.x.example", "SRV"))
    with pytest.raises(TemporaryFailure):
        await find_xmpp(resolver, "x.example", lambda: 0.5)
