"""message/cpim: what RFC 3862 asks of those who write it, and what those who read it must bear."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rialto.wire.cpim import (
    IMDN,
    NAMESPACE,
    Cpim,
    CpimError,
    Header,
    build,
    escape,
    parse,
    parse_address,
    unescape,
    write_address,
)

EXAMPLE = (
    b"From: MR SANDERS <im:piglet@100akerwood.com>\r\n"
    b"To: Depressed Donkey <im:eeyore@100akerwood.com>\r\n"
    b"DateTime: 2000-12-13T13:40:00-08:00\r\n"
    b"Subject: the weather will be fine today\r\n"
    b"Subject:;lang=fr beau temps prevu pour aujourd'hui\r\n"
    b"NS: MyFeatures <mid:MessageFeatures@id.foo.com>\r\n"
    b"Require: MyFeatures.VitalMessageOption\r\n"
    b"MyFeatures.VitalMessageOption: Confirmation-requested\r\n"
    b"MyFeatures.WackyMessageOption: Use-silly-font\r\n"
    b"\r\n"
    b"Content-type: text/xml; charset=utf-8\r\n"
    b"Content-ID: <1234567890@foo.com>\r\n"
    b"\r\n"
    b"<body>\r\nHere is the text of my message.\r\n</body>"
)


def test_the_example_of_the_standard_is_read() -> None:  # RFC 3862 section 5.1
    cpim = parse(EXAMPLE, ["VitalMessageOption"])
    sender = cpim.get("From")
    assert sender is not None
    assert parse_address(sender.value) == ("MR SANDERS", "im:piglet@100akerwood.com")
    assert [h.language for h in cpim.headers if h.name == "Subject"] == ["", "fr"]  # CPM-8
    assert cpim.get("WackyMessageOption", "mid:MessageFeatures@id.foo.com") is not None  # CPM-9
    assert cpim.content_header("Content-Type") == "text/xml; charset=utf-8"
    assert cpim.content.startswith(b"<body>")


def test_what_is_required_and_unknown_is_refused() -> None:  # CPM-10
    with pytest.raises(CpimError):
        parse(EXAMPLE)


def test_what_was_read_can_be_written_and_read_again() -> None:
    cpim = parse(EXAMPLE, ["VitalMessageOption"])
    assert parse(build(cpim), ["VitalMessageOption"]) == cpim


def test_the_forgotten_empty_line_of_rfc_7702_is_forgiven() -> None:  # CPM-1, CPM-13
    cpim = parse(b"From: <sip:a@b>;gr=x\r\nTo: <sip:c@d>\r\nContent-Type: text/plain\r\n\r\nhi")
    assert cpim.content_header("content-type") == "text/plain"
    assert cpim.content == b"hi"
    sender = cpim.get("From")
    assert sender is not None
    assert parse_address(sender.value) == ("", "sip:a@b")  # CPM-6


def test_names_in_the_wrong_case_and_bare_line_feeds_are_forgiven() -> None:
    cpim = parse(b"from: <sip:a@b>\nDATETIME: x\n\nContent-Type: text/plain\n\nhi")
    assert cpim.get("From") is not None
    assert cpim.get("DateTime") is not None


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("a\\tb", "a\tb"),
        ("a\\\\b", "a\\b"),
        ("\\u0007", "\x07"),
        ("\\x", "x"),
        ("end\\", "end"),
        ('\\"', '"'),
    ],
)
def test_escapes_are_resolved(written: str, meant: str) -> None:  # CPM-5
    assert unescape(written) == meant


@given(st.text(max_size=60))
def test_every_value_survives_escaping(text: str) -> None:
    assert unescape(escape(text)) == text
    assert not {"\r", "\n", "\0"} & set(escape(text))


@given(st.text(st.characters(min_codepoint=0x20, exclude_categories=("Cc", "Cs")), max_size=30))
def test_every_name_survives_the_way_there_and_back(name: str) -> None:  # CPM-6
    written = f"From: {write_address(name, 'sip:a@b')}\r\n\r\nContent-Type: text/plain\r\n\r\n"
    sender = parse(written.encode()).get("From")
    assert sender is not None
    assert parse_address(sender.value) == (name, "sip:a@b")


def test_headers_of_other_namespaces_get_their_prefix_declared() -> None:
    written = build(Cpim((Header("Message-ID", "1", IMDN),), (("content-type", "text/plain"),), b"x"))
    assert (
        written
        == b"NS: imdn <urn:ietf:params:imdn>\r\nimdn.Message-ID: 1\r\n\r\nContent-Type: text/plain\r\n\r\nx"
    )


@pytest.mark.parametrize(
    "bad", [Cpim((Header("a b", "x", NAMESPACE),), (), b""), Cpim((), (("x", "a\r\nb"),), b"")]
)
def test_nothing_can_be_smuggled_into_what_we_write(bad: Cpim) -> None:
    with pytest.raises(CpimError):
        build(bad)


@pytest.mark.parametrize(
    "data",
    [b"", b"From: <sip:a@b>\r\n", b"no header\r\n\r\n", b"From: \xff\r\n\r\n", b"NS: x\r\n\r\n\r\n",
     b"A: b\r\n" * 70 + b"\r\n\r\n"],
)  # fmt: skip
def test_what_is_no_cpim_is_refused(data: bytes) -> None:
    with pytest.raises(CpimError):
        parse(data)


@given(st.binary(max_size=300))
def test_no_input_does_worse_than_being_refused(data: bytes) -> None:
    try:
        parse(data)
    except CpimError:
        return
