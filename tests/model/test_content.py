"""Messages, reports and errors."""

from __future__ import annotations

import msgspec
import pytest

from rialto.model.address import Address
from rialto.model.errors import Busy, ConfigError, Reason
from rialto.model.message import Kind, Message, Report, Text, decode, encode

PEOPLE = {"sender": Address("a", "x"), "recipient": Address("b", "y", "i")}


def test_what_is_stored_is_read_back() -> None:
    whole = Message(
        id="1", **PEOPLE, text="t", received_at=1.5, language="en", subject="s",
        translations=(Text("u", "it"),),
        thread="h", kind=Kind.CHAT, origin_id="o", stable_id="z", sent_at=1.0, expires_at=2.0, hops=("p",),
        automatic=True,
    )  # fmt: skip
    report = Report(id="2", **PEOPLE, about="1", reason=Reason.GONE, received_at=1.0, certain=False)
    for content in (whole, report):
        assert decode(encode(content)) == content


def test_a_later_release_may_have_added_something() -> None:
    raw = msgspec.msgpack.decode(encode(Message(id="1", **PEOPLE, text="t", received_at=1.0)))
    raw["mood"] = "merry"
    assert decode(msgspec.msgpack.encode(raw)).id == "1"


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
