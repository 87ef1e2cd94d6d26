"""The order of servers: RFC 2782 lots, RFC 3403 preferences, XEP-0368 merging."""

from __future__ import annotations

import random
from collections import Counter

from rialto.net.srv import (
    Candidate,
    NaptrRecord,
    SrvRecord,
    not_offered,
    order_naptr,
    order_srv,
    sip_services,
    xmpp_candidates,
)

A, B, C = SrvRecord(10, 60, 1, "a"), SrvRecord(10, 20, 2, "b"), SrvRecord(20, 0, 3, "c")
NONE = SrvRecord(0, 0, 0, "")


def test_a_lower_priority_number_comes_first() -> None:
    for draw in (0.0, 0.5, 0.999):
        assert order_srv([C, B, A], lambda draw=draw: draw)[2] == C


def test_the_lot_falls_by_weight() -> None:
    lots = random.Random(7)
    first = Counter(order_srv([A, B], lots.random)[0].target for _ in range(4000))
    assert 0.70 < first["a"] / 4000 < 0.80  # 60 of 80


def test_a_weight_of_nought_is_drawn_only_by_the_smallest_lot() -> None:
    idle = SrvRecord(10, 0, 4, "idle")
    assert order_srv([A, idle], lambda: 0.0)[0] == idle
    assert order_srv([A, idle], lambda: 0.5)[0] == A


def test_every_record_is_in_the_order_once() -> None:
    lots = random.Random(1)
    for _ in range(100):
        assert Counter(order_srv([A, B, C, A], lots.random)) == Counter([A, A, B, C])


def test_a_target_of_the_root_is_no_server() -> None:
    assert order_srv([NONE], lambda: 0.0) == []
    assert not_offered([NONE])
    assert not not_offered([])
    assert not not_offered([A, NONE])


def test_starttls_and_direct_tls_are_one_set() -> None:
    direct = SrvRecord(5, 0, 5270, "d")
    assert xmpp_candidates("x.example", [A, C], [direct], lambda: 0.9) == [
        Candidate("d", 5270, direct_tls=True),
        Candidate("a", 1),
        Candidate("c", 3),
    ]


def test_a_domain_without_records_is_tried_itself() -> None:
    assert xmpp_candidates("x.example", [], [], lambda: 0.0) == [Candidate("x.example", 5269)]
    # "No direct TLS" says nothing of STARTTLS.
    assert xmpp_candidates("x.example", [], [NONE], lambda: 0.0) == [Candidate("x.example", 5269)]


def test_a_domain_that_says_no_is_not_tried() -> None:
    assert xmpp_candidates("x.example", [NONE], [], lambda: 0.0) == []
    assert xmpp_candidates("x.example", [NONE], [NONE], lambda: 0.0) == []


def test_a_domain_may_offer_direct_tls_only() -> None:
    direct = SrvRecord(5, 0, 5270, "d")
    assert xmpp_candidates("x.example", [NONE], [direct], lambda: 0.0) == [Candidate("d", 5270, True)]


def naptr(order: int, preference: int, service: str, target: str, flags: str = "s") -> NaptrRecord:
    return NaptrRecord(order, preference, flags, service, "", target)


def test_naptr_goes_by_order_and_then_by_preference() -> None:
    records = [naptr(2, 1, "X", "c"), naptr(1, 9, "X", "b"), naptr(1, 2, "X", "a")]
    assert [record.replacement for record in order_naptr(records)] == ["a", "b", "c"]


def test_sip_takes_the_services_that_it_knows() -> None:
    records = [
        naptr(90, 50, "SIP+D2U", "_sip._udp.example.com"),
        naptr(50, 50, "SIPS+D2T", "_sips._tcp.example.com"),
        naptr(60, 50, "SIP+D2T", "_sip._tcp.example.com"),
        naptr(1, 1, "SIP+D2S", "_sip._sctp.example.com"),
        naptr(1, 1, "E2U+SIP", "x.example.com", flags="u"),
    ]
    assert sip_services(records) == [
        ("tls", "_sips._tcp.example.com"),
        ("tcp", "_sip._tcp.example.com"),
        ("udp", "_sip._udp.example.com"),
    ]
