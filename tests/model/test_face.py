"""Names of strangers are made fit to stand beside an address that was proven."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rialto.model.face import (
    MAX_NAME_BYTES,
    MAX_NAME_CHARACTERS,
    Face,
    picture_of,
    tidy_name,
    tidy_url,
)


@pytest.mark.parametrize(
    "name",
    [
        "Juliet Capulet",
        'O\'Malley, "Big" Tom',
        "Σωκράτης",
        "山田 太郎",
        "محمد علی",
        "👩‍🚀 Ada",
        "@home",
        "Bob @ work",
        "4711",
        "می‌خواهم",
    ],
)
def test_a_name_of_somebody_honest_stays_as_it_is(name: str) -> None:
    assert tidy_name(name) == unicodedata.normalize("NFC", name)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("  Alice\t\r\n  Liddell ", "Alice Liddell"),
        ("Alice\r\nTo: everybody", "Alice To: everybody"),
        ("\x00A\x1bl\x9cice", "A l ice"),
        ("Al\u202eice\u2066\u200f", "Alice"),
        ("A\u200bl\ufeffi\u00adce", "Alice"),
        ("e" + "\u0301" * 50, "\u00e9" + "\u0301" * 4),
        ("e\u200b\u0301", "\u00e9"),
        ("Alice\u200d", "Alice"),
        ("\u200d \u200c", ""),
        ("\u3164\u2800", ""),
        ("\ud800Alice", "Alice"),
        ("", ""),
    ],
)
def test_what_moves_or_hides_is_taken_out(name: str, shown: str) -> None:
    assert tidy_name(name) == shown


@pytest.mark.parametrize(
    "name",
    [
        "alice@bank.example",
        "Your bank <alice@bank.example>",
        "alice\uff20bank.example",
        "alice\ufe6bbank.example",
        "ali\u200bce@ba\u202enk",
        "alice @ bank.example",
        "sip:alice",
        "SIPS:4711",
        "xmpp:romeo",
        "https://bank.example",
        "tel:+4930",
    ],
)
def test_what_looks_like_an_address_is_no_name(name: str) -> None:
    assert tidy_name(name) == ""


@given(st.text(max_size=200))
def test_whatever_comes_is_one_line_within_bounds_and_stays_so(text: str) -> None:
    name = tidy_name(text)
    assert len(name) <= MAX_NAME_CHARACTERS
    assert len(name.encode()) <= MAX_NAME_BYTES
    assert not any(unicodedata.category(one) in ("Cc", "Cs", "Zl", "Zp") for one in name)
    assert not any(unicodedata.bidirectional(one) in ("RLO", "LRO", "RLE", "LRE", "PDF") for one in name)
    assert tidy_name(name) == name


def test_a_long_name_is_cut_between_characters() -> None:
    assert tidy_name("x" * 500) == "x" * MAX_NAME_CHARACTERS
    assert tidy_name("\U0001f600" * 500) == "\U0001f600" * (MAX_NAME_BYTES // 4)


@pytest.mark.parametrize("url", ["http://www.example.com/~alice", "https://example.com/a%20b?c=d&e"])
def test_pages_of_the_web_are_addresses_to_show(url: str) -> None:
    assert tidy_url(f" {url}\n") == url


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "file:///etc/passwd",
        "https://a b",
        'https://a"b',
        "",
        "https://a/" + "x" * 1000,
    ],
)
def test_nothing_else_is(url: str) -> None:
    assert tidy_url(url) == ""


def test_a_picture_is_known_by_its_bytes() -> None:
    types = {
        b"\x89PNG\r\n\x1a\nx": "image/png",
        b"\xff\xd8\xff\xe0": "image/jpeg",
        b"GIF89a": "image/gif",
        b"RIFF\x00\x00\x00\x00WEBPVP8 ": "image/webp",
    }
    for data, media_type in types.items():
        picture = picture_of(data)
        assert picture is not None
        assert picture.media_type == media_type
    assert picture_of(b"<svg onload='alert(1)'/>") is None
    assert picture_of(b"") is None


def test_the_better_source_has_its_say_and_the_other_fills_up() -> None:
    card, said = Face(name="Alice Liddell"), Face(nick="ally", name="A")
    assert card.over(said) == Face(name="Alice Liddell", nick="ally")
    assert Face(nick="ally").called == "ally"
    assert card.called == "Alice Liddell"
