"""Messages, reports and errors."""

from __future__ import annotations

import msgspec
import pytest

from rialto.model.address import Address
from rialto.model.errors import Busy, ConfigError, Reason
from rialto.model.message import (
    Disposition,
    File,
    Kind,
    Message,
    Receipt,
    Relation,
    RelationKind,
    Report,
    Sealed,
    Text,
    decode,
    encode,
)

PEOPLE = {"sender": Address("a", "x"), "recipient": Address("b", "y", "i")}


def test_what_is_stored_is_read_back() -> None:
    whole = Message(
        id="1", **PEOPLE, text="t", received_at=1.5, language="en", subject="s",
        translations=(Text("u", "it"),),
        thread="h", kind=Kind.CHAT, origin_id="o", stable_id="z", sent_at=1.0, expires_at=2.0, hops=("p",),
        automatic=True, nick="Al", wants=(Disposition.DELIVERED, Disposition.DISPLAYED),
        rich="<p><em>t</em></p>", chat_states=True,
        files=(File(url="https://f.example/1", name="f", size_bytes=3, expires_at=4.0, sha256="00"),),
        relation=Relation(kind=RelationKind.REACT, target="n", about="0", reactions=("👍",), quote="q"),
        sealed=(Sealed("omemo", "eu.siacs.conversations.axolotl", b"<encrypted/>"),),
    )  # fmt: skip
    receipt = Receipt(
        id="3", **PEOPLE, about="1", disposition=Disposition.DISPLAYED, at=1.0, received_at=2.0,
        origin_id="o",
    )  # fmt: skip
    report = Report(id="2", **PEOPLE, about="1", reason=Reason.GONE, received_at=1.0, certain=False)
    for content in (whole, report, receipt):
        assert decode(encode(content)) == content


def test_a_later_release_may_have_added_something() -> None:
    raw = msgspec.msgpack.decode(encode(Message(id="1", **PEOPLE, text="t", received_at=1.0)))
    raw["mood"] = "merry"
    assert decode(msgspec.msgpack.encode(raw)).id == "1"


def test_what_the_first_release_wrote_is_read_as_it_was() -> None:
    message = (
        b"\xde\x00\x11\xa4type\xa7message\xa2id\xa11\xa6sender\x93\xa1a\xa1x\xa0\xa9recipient\x93\xa1b\xa1y"
        b"\xa1i\xa4text\xa1t\xabreceived_at\xcb?\xf8\x00\x00\x00\x00\x00\x00\xa8language\xa2en\xactranslations"
        b"\x91\x92\xa1u\xa2it\xa7subject\xa1s\xa6thread\xa1h\xa4kind\xa4chat\xa9origin_id\xa1o\xa9stable_id"
        b"\xa1z\xa7sent_at\xcb?\xf0\x00\x00\x00\x00\x00\x00\xaaexpires_at\xcb@\x00\x00\x00\x00\x00\x00\x00"
        b"\xa4hops\x91\xa1p\xa9automatic\xc3"
    )
    assert decode(message) == Message(
        id="1", **PEOPLE, text="t", received_at=1.5, language="en", subject="s",
        translations=(Text("u", "it"),), thread="h", kind=Kind.CHAT, origin_id="o", stable_id="z",
        sent_at=1.0, expires_at=2.0, hops=("p",), automatic=True,
    )  # fmt: skip
    report = (
        b"\x8a\xa4type\xa6report\xa2id\xa12\xa6sender\x93\xa1a\xa1x\xa0\xa9recipient\x93\xa1b\xa1y\xa1i\xa5about"
        b"\xa11\xa6reason\xa4gone\xabreceived_at\xcb?\xf0\x00\x00\x00\x00\x00\x00\xa4text\xa2no\xa7certain\xc2"
        b"\xa9origin_id\xa1o"
    )
    assert decode(report) == Report(
        id="2", **PEOPLE, about="1", reason=Reason.GONE, received_at=1.0, certain=False, text="no",
        origin_id="o",
    )  # fmt: skip


def test_a_plain_message_is_written_as_ever() -> None:
    plain = Message(id="1", **PEOPLE, text="t", received_at=1.0)
    assert msgspec.msgpack.decode(encode(plain)).keys() == {
        "type", "id", "sender", "recipient", "text", "received_at",
    }  # fmt: skip


@pytest.mark.parametrize("data", [b"", b"\xff\x00", b"\x80"])
def test_anything_else_is_an_error(data: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode(data)


def test_an_error_in_doubt_is_the_same_error_otherwise() -> None:
    error = Busy(Reason.RATE, "slow", detail="d", retry_after_s=3.0, redirect="r")
    doubt = error.in_doubt()
    assert error.certain
    assert not doubt.certain
    assert doubt.in_doubt() is doubt
    assert isinstance(doubt, Busy)
    assert (doubt.reason, doubt.text, doubt.detail, doubt.retry_after_s, doubt.redirect) == (
        Reason.RATE, "slow", "d", 3.0, "r",
    )  # fmt: skip


def test_a_config_error_says_where_what_and_how() -> None:
    assert str(ConfigError("f: k", "a number", "write one")) == "f: k: a number (write one)"
