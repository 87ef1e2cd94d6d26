"""Names of domains and of listening sockets, as people write them."""

from __future__ import annotations

import pytest

from rialto.net.hostport import join_host_port, split_host_port
from rialto.net.listen import address_key
from rialto.net.names import to_a_labels, wildcard_match


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:53", ("127.0.0.1", 53)),
        ("[::1]:5060", ("::1", 5060)),
        ("[::1]", ("::1", 9)),
        ("::1", ("::1", 9)),
        ("example.org", ("example.org", 9)),
        (" example.org:0 ", ("example.org", 0)),
    ],
)
def test_a_host_and_port_are_told_apart(text: str, expected: tuple[str, int]) -> None:
    assert split_host_port(text, 9) == expected


@pytest.mark.parametrize("text", ["", ":5060", "a:b", "a:65536", "[::1:5060", "[::1]5060", "a:-1", "a:٣"])
def test_what_is_no_host_and_port_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        split_host_port(text, 9)


def test_a_port_is_asked_for_where_there_is_no_default() -> None:
    with pytest.raises(ValueError, match="expected a port"):
        split_host_port("example.org")


def test_a_host_and_port_survive_the_way_there_and_back() -> None:
    assert split_host_port(join_host_port("::1", 5061)) == ("::1", 5061)
    assert join_host_port("192.0.2.1", 53) == "192.0.2.1:53"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("Example.ORG.", "example.org"),
        ("Müller.example", "xn--mller-kva.example"),
        ("_sip._udp.example.org", "_sip._udp.example.org"),
        ("::1", "::1"),
        ("192.0.2.1", "192.0.2.1"),
    ],
)
def test_a_domain_has_one_form(written: str, meant: str) -> None:
    assert to_a_labels(written) == meant


@pytest.mark.parametrize(
    "text", ["", ".", "a..b", ".a", "a" * 64 + ".example", "a." * 127 + "toolong", "\u200b.example"]
)
def test_what_is_no_domain_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no domain name"):
        to_a_labels(text)


def test_a_star_stands_for_one_whole_first_label() -> None:
    assert wildcard_match(["*.example.org"], "a.example.org")
    assert not wildcard_match(["*.example.org"], "example.org")
    assert not wildcard_match(["*.example.org"], "a.b.example.org")
    assert not wildcard_match(["a*.example.org", "*a.example.org"], "aa.example.org")


def test_a_star_never_stands_for_everybody_below_a_top_level_domain() -> None:
    assert not wildcard_match(["*.org"], "example.org")


def test_a_household_of_ipv6_counts_as_one_caller() -> None:
    assert address_key("2001:db8::1") == address_key("2001:db8:0:0:ffff::2")
    assert address_key("2001:db8::1") != address_key("2001:db8:0:1::1")
    assert address_key("192.0.2.1") != address_key("192.0.2.2")
    assert address_key("::ffff:192.0.2.1") == "192.0.2.1"
    assert address_key("fe80::1%eth0") == "fe80::/64"
