"""MIME entities: RFC 2045 and RFC 2046, with what instant messages need of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rialto.wire.mime import (
    MAX_PARTS,
    MimeError,
    Part,
    UnknownCharset,
    decode_text,
    decode_transfer,
    read_multipart,
    write_multipart,
)

# RFC 2046 section 5.1.1
EXAMPLE = (
    b"This is the preamble.  It is to be ignored, though it\r\n"
    b"is a handy place for composition agents to include an\r\n"
    b"explanatory note to non-MIME conformant readers.\r\n"
    b"\r\n--simple boundary\r\n\r\n"
    b"This is implicitly typed plain US-ASCII text.\r\n"
    b"It does NOT end with a linebreak.\r\n"
    b"--simple boundary\r\n"
    b"Content-type: text/plain; charset=us-ascii\r\n\r\n"
    b"This is explicitly typed plain US-ASCII text.\r\n"
    b"It DOES end with a linebreak.\r\n"
    b"\r\n--simple boundary--\r\n\r\n"
    b"This is the epilogue.  It is also to be ignored.\r\n"
)


def test_the_example_of_the_standard_is_read() -> None:
    one, two = read_multipart(EXAMPLE, "simple boundary")
    assert one.headers == ()
    assert one.content.endswith(b"It does NOT end with a linebreak.")
    assert two.header("content-type") == "text/plain; charset=us-ascii"
    assert two.content.endswith(b"It DOES end with a linebreak.\r\n")


def test_bare_line_feeds_and_a_missing_end_are_forgiven() -> None:
    parts = read_multipart(b"--b\nA: 1\n  2\n\none\n--b\n\ntwo", "b")
    assert parts == [Part((("a", "1 2"),), b"one"), Part((), b"two")]


def test_a_longer_boundary_is_another_one() -> None:
    [part] = read_multipart(b"--b\r\n\r\none\r\n--bc\r\ntwo\r\n--b--", "b")
    assert part.content == b"one\r\n--bc\r\ntwo"


def test_empty_parts_are_parts() -> None:
    assert [part.content for part in read_multipart(b"--b\r\n\r\n\r\n--b\r\n--b--", "b")] == [b"", b""]


@given(
    st.lists(
        st.tuples(st.sampled_from([(), (("content-type", "text/plain"),)]), st.binary(max_size=60)),
        min_size=1,
        max_size=5,
    )
)
def test_every_multipart_survives_the_way_there_and_back(
    made: list[tuple[tuple[tuple[str, str], ...], bytes]],
) -> None:
    parts = [Part(headers, content) for headers, content in made]
    assert read_multipart(write_multipart(parts, "=_b"), "=_b") == parts


def test_a_boundary_in_the_content_is_not_written() -> None:
    with pytest.raises(MimeError):
        write_multipart([Part((), b"x--b")], "b")


@pytest.mark.parametrize(
    ("data", "boundary"),
    [
        (b"", "b"),
        (b"--b--", "b"),
        (b"--b\r\nno header\r\n--b--", "b"),
        (b"--b\r\n\r\nx\r\n" * (MAX_PARTS + 2), "b"),
        (b"--b\r\n" + b"A: x\r\n" * 40 + b"\r\n--b--", "b"),
        (b"--b\r\nA: " + b"x" * 9000 + b"\r\n\r\n--b--", "b"),
        (b"--b\r\n\r\n", ""),
        (b"--b\r\n\r\n", "b\r\nx"),
        (b"--b\r\n\r\n", "b" * 71),
    ],
)
def test_what_is_no_multipart_is_refused(data: bytes, boundary: str) -> None:
    with pytest.raises(MimeError):
        read_multipart(data, boundary)


@given(st.binary(max_size=300))
def test_no_input_does_worse_than_being_refused(data: bytes) -> None:
    try:
        read_multipart(b"--b" + data, "b")
    except MimeError:
        return


def test_transfer_encodings_are_undone() -> None:
    assert decode_transfer(b"ab", None) == decode_transfer(b"ab", " 8BIT ") == b"ab"
    assert decode_transfer(b"Z3L8\r\nw58=", "Base64") == b"gr\xfc\xc3\x9f"
    assert decode_transfer(b"gr=C3=BC=\r\n=C3=9F", "quoted-printable") == "grüß".encode()
    for bad in ("base64", "x-uuencode"):
        with pytest.raises(MimeError):
            decode_transfer(b"!", bad)


@pytest.mark.parametrize(
    ("data", "charset", "text"),
    [
        ("grüß".encode(), None, "grüß"),
        ("grüß".encode(), "US-ASCII", "grüß"),
        ("grüß".encode("latin-1"), "utf-8", "grüß"),
        ("grüß".encode("latin-1"), "ISO-8859-1", "grüß"),
        ("жук".encode("koi8-r"), '"KOI8-R"', "жук"),
        ("\ufeffhi".encode(), "utf-8", "hi"),
        ("hi".encode("utf-16"), "utf-16", "hi"),
        ("中".encode("gb2312"), "gb2312", "中"),
        ("日".encode("shift_jis"), "Shift_JIS", "日"),
        (b"a\r\nb", "utf-8", "a\nb"),
    ],
)
def test_texts_are_read_in_their_character_set(data: bytes, charset: str | None, text: str) -> None:  # MSG-29
    assert decode_text(data, charset) == text


@pytest.mark.parametrize("charset", ["punycode", "idna", "unicode_escape", "rot13", "zip", "x", "base64", ""])
def test_what_is_no_character_set_is_not_tried(charset: str) -> None:
    if charset:
        with pytest.raises(UnknownCharset):
            decode_text(b"x", charset)
    else:
        assert decode_text(b"x", charset) == "x"
