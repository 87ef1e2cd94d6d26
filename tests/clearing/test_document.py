"""Canonical documents, instants and signatures."""

from __future__ import annotations

import pytest

from rialto.clearing.agreements import document
from rialto.clearing.agreements.life import NotPossible

HASH = document.fingerprint("{}")


def test_the_order_of_keys_does_not_change_the_document() -> None:
    assert (
        document.canonical({"b": 1, "a": "é"}) == document.canonical({"a": "é", "b": 1}) == '{"a":"é","b":1}'
    )


def test_what_has_no_canonical_form_is_refused() -> None:
    with pytest.raises(NotPossible):
        document.canonical({"number": 2**60})


def test_a_signature_holds_for_one_key_one_document_and_one_purpose() -> None:
    key, other = document.new_key(), document.new_key()
    signature = document.sign(key, "agreement", HASH)
    document.verify(document.public(key), "agreement", HASH, signature)
    for wrong in (
        (document.public(other), "agreement", HASH, signature),
        (document.public(key), "offer", HASH, signature),
        (document.public(key), "agreement", document.fingerprint("[]"), signature),
        (document.public(key), "agreement", HASH, signature[:-2]),
        ("no key", "agreement", HASH, signature),
    ):
        with pytest.raises(NotPossible):
            document.verify(*wrong)


def test_a_key_is_read_as_it_was_written_and_others_are_refused() -> None:
    key = document.new_key()
    assert document.public(document.read_key(document.write_key(key))) == document.public(key)
    with pytest.raises(NotPossible):
        document.read_key(b"-----BEGIN PRIVATE KEY-----\n")


@pytest.mark.parametrize(
    ("text", "again"),
    [
        ("1970-01-01", "1970-01-01T00:00:00Z"),
        ("2026-06-16T02:00:00+02:00", "2026-06-16T00:00:00Z"),
        ("2026-06-16T00:00:00.000000001Z", "2026-06-16T00:00:00.000000001Z"),
        ("2026-06-16T00:00:00.5+00:00", "2026-06-16T00:00:00.500000000Z"),
    ],
)
def test_an_instant_is_read_to_the_nanosecond(text: str, again: str) -> None:
    assert document.instant(document.parse_instant(text)) == again
    assert document.parse_instant(again) == document.parse_instant(text)


@pytest.mark.parametrize(
    "text", ["", "soon", "2026-13-01", "2026-06-16T00:00:00.1234567890Z", "2026-06-16T00:00:00.Z"]
)
def test_what_is_no_instant_is_refused(text: str) -> None:
    with pytest.raises(NotPossible, match="no instant"):
        document.parse_instant(text)
