"""Addresses of XMPP: RFC 7622, and XEP-0106 between them and everybody else's."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rialto.model.address import Address
from rialto.model.errors import AddressError
from rialto.networks.xmpp.wire import jid


@pytest.mark.parametrize(
    ("text", "local", "domain", "instance"),
    [
        ("juliet@example.com", "juliet", "example.com", ""),
        ("juliet@example.com/foo bar", "juliet", "example.com", "foo bar"),
        ("juliet@example.com/foo@bar/baz", "juliet", "example.com", "foo@bar/baz"),
        ("example.com", "", "example.com", ""),
        ("Juliet@EXAMPLE.com./Balcony", "juliet", "example.com", "Balcony"),
        ("o\\27malley@sip.example", "o'malley", "sip.example", ""),  # CHECKLIST section 2.4
        ("m\\26m@xmpp.example", "m&m", "xmpp.example", ""),
        ("tschüss@xmpp.example", "tschüss", "xmpp.example", ""),
        ("a\\40b@h.example", "a@b", "h.example", ""),
        ("a\\20b@h.example", "a b", "h.example", ""),
        ("a\\5c27b@h.example", "a\\27b", "h.example", ""),
        ("a\\b@h.example", "a\\b", "h.example", ""),
        ("c\\3a\\cool\\20stuff@h.example", "c:\\cool stuff", "h.example", ""),
        ("c\\3a\\5c5commas@h.example", "c:\\5commas", "h.example", ""),
        ("\\20lead@h.example", "\\20lead", "h.example", ""),
        ("fußball@example.com", "fußball", "example.com", ""),
        ("a@bücher.example", "a", "bücher.example", ""),
    ],
)
def test_addresses_are_read_and_unescaped_and_written_back(
    text: str, local: str, domain: str, instance: str
) -> None:
    address = jid.parse(text)
    assert address == Address(local, domain, instance)
    assert jid.parse(jid.write(address)) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "@example.com",
        "a@",
        "a@b@c.example",
        "juliet@example.com/",
        "a b@example.com",
        "a@exa mple.com",
        "henry\u2163@example.com",  # RFC 7622 section 3.5
        "\u265a@example.com",
        "a\x00@example.com",
        "x" * 1024 + "@example.com",
        "a@example.com/" + "x" * 1024,
        "a<b@example.com",
        "a@example.com/\x07",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(AddressError):
        jid.parse(text)


LOCALS = st.text(st.sampled_from("aé1\\ @/:<>&'\"25c7\\0"), min_size=1, max_size=12)


@given(LOCALS)
def test_every_local_part_that_can_be_written_is_read_back(local: str) -> None:
    address = Address(local, "example.com")
    try:
        text = jid.write(address)
    except AddressError:
        assert local[0] == " " or local[-1] == " "
        return
    assert jid.parse(text) == address


@given(st.text(st.sampled_from("aé1\\25c7\\0f"), min_size=1, max_size=12))
def test_every_jid_is_written_back_as_it_was_read(local: str) -> None:
    # XEP-0106 section 4 lets nobody write an escaped backslash where none was needed.
    assume(not re.search(r"\\5c(?!20|22|26|27|2f|3a|3c|3e|40|5c)", local))
    assert jid.write(jid.parse(f"{local}@example.com")) == f"{local}@example.com"


def test_a_name_that_xmpp_cannot_write_is_refused() -> None:
    for local in (" a", "a ", "\u265a"):
        with pytest.raises(AddressError):
            jid.write(Address(local, "example.com"))


def test_capitals_are_folded_on_the_way_in_to_xmpp() -> None:  # CHECKLIST ADR-14
    assert jid.write(Address("Alice", "example.com")) == "alice@example.com"
