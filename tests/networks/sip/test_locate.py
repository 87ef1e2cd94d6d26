"""Where requests go: RFC 3263 asked of a resolver that knows only what a test tells it."""

from __future__ import annotations

from typing import Any

import pytest

from networks.sip.plays import Records
from rialto.model.errors import DeliveryError, Reason, Refused, Unreachable
from rialto.net.dns import TemporaryFailure
from rialto.net.srv import NaptrRecord, SrvRecord
from rialto.networks.sip.locate import Target, locate
from rialto.networks.sip.routes import BAD_FOR_S, Route
from rialto.networks.sip.wire import Uri, parse_uri

ALL = ("tls", "tcp", "udp")
Known = dict[tuple[str, str], Any]


def naptr(order: int, service: str, replacement: str) -> NaptrRecord:
    return NaptrRecord(order, 0, "s", service, "", replacement)


async def found(uri: str, known: Known, transports: tuple[str, ...] = ALL, name: str = "") -> list[str]:
    targets = await locate(Records(known), parse_uri(uri), transports, lambda: 0.0, name)  # type: ignore[arg-type]
    return [f"{target} as {target.name}" for target in targets]


SIP_SRV: Known = {
    ("srv", "_sip._udp.b.example"): (SrvRecord(1, 0, 5060, "u.b.example"),),
    ("srv", "_sip._tcp.b.example"): (SrvRecord(1, 0, 5070, "t.b.example"),),
    ("srv", "_sips._tcp.b.example"): (SrvRecord(1, 0, 5061, "s.b.example"),),
    ("addresses", "u.b.example"): ("192.0.2.1",),
    ("addresses", "t.b.example"): ("192.0.2.2",),
    ("addresses", "s.b.example"): ("2001:db8::3", "192.0.2.3"),
    ("addresses", "b.example"): ("192.0.2.9",),
}


async def test_an_address_needs_no_dns() -> None:
    assert await found("sip:192.0.2.1", {}) == ["udp:192.0.2.1:5060 as 192.0.2.1"]
    assert await found("sip:[2001:db8::1]:5070;transport=tcp", {}) == [
        "tcp:[2001:db8::1]:5070 as 2001:db8::1"
    ]
    assert await found("sips:192.0.2.1", {}) == ["tls:192.0.2.1:5061 as 192.0.2.1"]


async def test_a_port_means_no_srv() -> None:
    assert await found("sip:b.example:5099", SIP_SRV) == ["udp:192.0.2.9:5099 as b.example"]


async def test_without_naptr_srv_is_asked_for_every_transport_best_first() -> None:
    assert await found("sip:b.example", SIP_SRV) == [
        "tls:[2001:db8::3]:5061 as b.example",
        "tls:192.0.2.3:5061 as b.example",
        "tcp:192.0.2.2:5070 as b.example",
        "udp:192.0.2.1:5060 as b.example",
    ]


async def test_a_transport_that_may_not_be_used_is_not_asked_for() -> None:
    assert await found("sip:b.example", SIP_SRV, ("udp",)) == ["udp:192.0.2.1:5060 as b.example"]


async def test_naptr_decides_the_order() -> None:
    known = SIP_SRV | {
        ("naptr", "b.example"): (
            naptr(2, "SIPS+D2T", "_sips._tcp.b.example"),
            naptr(1, "SIP+D2U", "_sip._udp.b.example"),
        )
    }
    assert [target.partition(" ")[0] for target in await found("sip:b.example", known)] == [
        "udp:192.0.2.1:5060", "tls:[2001:db8::3]:5061", "tls:192.0.2.3:5061",
    ]  # fmt: skip


async def test_sips_is_tls_whatever_dns_says() -> None:
    known = SIP_SRV | {("naptr", "b.example"): (naptr(1, "SIP+D2U", "_sip._udp.b.example"),)}
    targets = await found("sips:b.example", known)
    assert {target[:3] for target in targets} == {"tls"}


async def test_the_name_for_tls_is_never_what_dns_answered() -> None:  # RFC 5922 section 4
    known: Known = {
        ("naptr", "b.example"): (naptr(1, "SIPS+D2T", "_sips._tcp.evil.example"),),
        ("srv", "_sips._tcp.evil.example"): (SrvRecord(0, 0, 5061, "192.0.2.66"),),
    }
    assert await found("sip:b.example", known) == ["tls:192.0.2.66:5061 as b.example"]
    assert await found("sip:b.example", known, name="proxy.b.example") == [
        "tls:192.0.2.66:5061 as proxy.b.example"
    ]


async def test_a_transport_parameter_asks_for_its_own_srv() -> None:
    assert await found("sip:b.example;transport=tcp", SIP_SRV) == ["tcp:192.0.2.2:5070 as b.example"]
    assert await found("sip:b.example;transport=TLS", SIP_SRV) == [
        "tls:[2001:db8::3]:5061 as b.example", "tls:192.0.2.3:5061 as b.example",
    ]  # fmt: skip


async def test_maddr_leads_nobody_astray() -> None:
    assert await found("sip:b.example;maddr=198.51.100.1", SIP_SRV, ("udp",)) == [
        "udp:192.0.2.1:5060 as b.example"
    ]


async def test_without_any_record_the_host_itself_is_asked_over_udp() -> None:
    known: Known = {("addresses", "b.example"): ("192.0.2.9",)}
    assert await found("sip:b.example", known) == ["udp:192.0.2.9:5060 as b.example"]
    assert await found("sip:b.example", known, ("tls", "tcp")) == ["tls:192.0.2.9:5061 as b.example"]
    assert await found("sips:b.example", known) == ["tls:192.0.2.9:5061 as b.example"]


async def test_a_domain_in_unicode_is_asked_for_in_a_labels() -> None:
    records = Records({("addresses", "xn--bcher-kva.example"): ("192.0.2.9",)})
    targets = await locate(records, Uri(scheme="sip", host="bücher.example"), ALL, lambda: 0.0)  # type: ignore[arg-type]
    assert targets == [Target("udp", "192.0.2.9", 5060, "bücher.example")]


NOT_HERE = {("srv", "_sip._udp.b.example"): (SrvRecord(0, 0, 0, ""),)}
NO_HOST = {("srv", "_sip._udp.b.example"): (SrvRecord(0, 0, 5060, "x.example"),)}
BROKEN = {("srv", "_sips._tcp.b.example"): TemporaryFailure("b", "timeout")}


@pytest.mark.parametrize(
    ("uri", "known", "kind", "reason"),
    [
        ("sip:no.example", {}, Refused, Reason.DOMAIN_NOT_FOUND),
        ("sip:b.example", NOT_HERE, Refused, Reason.DOMAIN_NOT_FOUND),
        ("sip:b.example;transport=sctp", {}, Refused, Reason.NOT_SUPPORTED),
        ("sips:b.example;transport=udp", {}, Refused, Reason.NOT_SUPPORTED),
        ("sip:b.example", NO_HOST, Unreachable, Reason.UNREACHABLE),
        ("sip:b.example", BROKEN, Unreachable, Reason.UNREACHABLE),
    ],
)
async def test_where_nothing_is_found_it_is_known_why(
    uri: str, known: Known, kind: type[DeliveryError], reason: Reason
) -> None:
    with pytest.raises(kind) as caught:
        await found(uri, known)
    assert caught.value.reason is reason


async def test_a_resolver_that_fails_at_naptr_only_is_forgiven() -> None:
    known = SIP_SRV | {("naptr", "b.example"): TemporaryFailure("b.example", "SERVFAIL")}
    assert len(await found("sip:b.example", known)) == 4


# Fail-over


ONE, TWO = Target("udp", "192.0.2.1", 5060, "b"), Target("udp", "192.0.2.2", 5060, "b")


def route() -> Route:
    made = Route()
    made.found([ONE, TWO], 0.0)
    return made


def test_the_first_target_is_used_while_it_answers() -> None:
    assert route().choose(0.0) == ONE
    assert route().choose(0.0, [ONE]) == TWO
    assert route().choose(0.0, [ONE, TWO]) is None


def test_a_silent_target_comes_last_for_a_while() -> None:
    made = route()
    made.avoid(ONE, 0.0)
    assert made.choose(1.0) == TWO
    assert made.choose(1.0, [TWO]) == ONE
    assert made.choose(BAD_FOR_S + 1) == ONE
    made.good(ONE)
    assert made.choose(1.0) == ONE


def test_a_target_that_asked_for_rest_is_left_alone_until_then() -> None:
    made = route()
    made.avoid(ONE, 0.0, 10.0)
    made.avoid(TWO, 0.0, 20.0)
    assert made.choose(5.0) is None
    assert made.wait_s(5.0) == 5.0
    assert made.choose(11.0) == ONE


def test_new_records_keep_the_standing_of_those_that_stay() -> None:
    made = route()
    made.avoid(ONE, 0.0)
    made.found([ONE, TWO], 1.0)
    assert made.choose(2.0) == TWO
    made.found([TWO], 3.0)
    assert not made.troubled
