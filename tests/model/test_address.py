"""Addresses: what people write, and what comes from outside."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rialto.model.address import MAX_PART_BYTES, Address, ascii_domain, canonical_domain
from rialto.model.errors import AddressError

PART = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=30)
DOMAIN = st.sampled_from(["xa.example", "bücher.example", "[2001:db8::1]", "192.0.2.1", "localhost"])


@given(PART, DOMAIN, PART)
def test_the_text_form_can_be_read_back(local: str, domain: str, instance: str) -> None:
    address = Address.checked(local, domain, instance)
    assert Address.parse(str(address)) == address


@pytest.mark.parametrize("local", ["im:x", "sip:", "xmpp:a@b", "pres:/", "sips:x", " x", "x ", "a%40b", "%"])
def test_what_looks_like_something_else_is_read_back_too(local: str) -> None:
    address = Address(local, "xa.example", " x ")
    assert Address.parse(str(address)) == address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("romeo@sip.example", Address("romeo", "sip.example")),
        ("im:romeo@SIP.example.", Address("romeo", "sip.example")),
        ("o'malley@xa.example/a/b", Address("o'malley", "xa.example", "a/b")),
        (" xa.example ", Address("", "xa.example")),
        ("a%40b@xa.example", Address("a@b", "xa.example")),
        ("ü@XN--BCHER-KVA.example", Address("ü", "bücher.example")),
    ],
)
def test_people_may_write_it_in_several_ways(text: str, address: Address) -> None:
    assert Address.parse(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "@xa.example",
        "a@",
        "a@b..c",
        "a@" + "x" * 300,
        "%ff@x.example",
        "a\x00b@x.example",
        "a@b c",
        "a@[1::g]",
    ],
)
def test_what_is_no_address_is_said_to_be_none(text: str) -> None:
    with pytest.raises(AddressError):
        Address.parse(text)


def test_no_part_is_longer_than_its_limit() -> None:
    Address.checked("ä" * (MAX_PART_BYTES // 2), "x.example")
    for local, instance in (("ä" * 512, ""), ("", "x" * 1024)):
        with pytest.raises(AddressError):
            Address.checked(local, "x.example", instance)


@pytest.mark.parametrize("character", ["\x00", "\n", "\x7f", "\x85", "\ud800"])
def test_control_characters_and_halves_of_characters_are_refused(character: str) -> None:
    with pytest.raises(AddressError):
        Address.checked(f"a{character}", "x.example")


def test_a_domain_has_one_form_inside_and_one_on_the_wire() -> None:
    assert canonical_domain("BÜCHER.example") == canonical_domain("xn--bcher-kva.example") == "bücher.example"
    assert ascii_domain("bücher.example") == "xn--bcher-kva.example"
    assert canonical_domain("[2001:DB8:0::1]") == "[2001:db8::1]"


def test_the_bare_address_is_the_person() -> None:
    assert Address("a", "b", "c").bare == Address("a", "b")
    assert Address("a", "b").bare is not None
