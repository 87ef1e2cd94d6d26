"""URIs, heads and framing: what stands on the wire, however it is cut."""

from __future__ import annotations

import random
import time

import pytest

from networks.sip.msrp.rfc_examples import RFC_4975, RFC_4976, wire
from networks.sip.msrp.talk import ALICE, BOB, cuts, request, send
from rialto.model.errors import AddressError
from rialto.networks.sip.msrp.wire.framing import Bad, End, Flag, Frame, Framer
from rialto.networks.sip.msrp.wire.heads import BadHead, ByteRange, Head, parse_fields, parse_start
from rialto.networks.sip.msrp.wire.uri import MAX_PATH, parse_path, parse_uri, write_path

HOWS = ["whole", "bytes", "random"]


def frames(data: bytes, how: str = "whole", framer: Framer | None = None) -> list[Frame]:
    """What the framer says, with the pieces of each content put together."""
    framer = framer or Framer()
    found: list[Frame] = []
    for piece in cuts(data, how):
        framer.receive_data(piece)
        while (frame := framer.next_event()) is not None:
            if isinstance(frame, bytes) and found and isinstance(found[-1], bytes):
                frame = found.pop() + frame  # type: ignore[operator]
            found.append(frame)
    return found


# -- URIs --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "msrp://host.example.com:8493/asfd34;tcp",
        "msrps://alice@intra.example.com;tcp",
        "msrp://[2001:db8::1]:2855/s.1.2c=+/x;tcp;a=b",
        "msrps://192.0.2.1:9000/jui787s2f;tcp",
    ],
)
def test_a_uri_is_written_as_it_was_read(text: str) -> None:
    assert str(parse_uri(text)) == text


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("MSRP://Host:1/a;tcp", "msrp://host:1/a;TCP", True),
        ("msrp://host:1/a;tcp", "msrps://host:1/a;tcp", False),
        ("msrp://user@host:1/a;tcp", "msrp://host:1/a;tcp", True),
        ("msrp://h%6fst:1/a;tcp", "msrp://host:1/a;tcp", True),
        ("msrp://[2001:DB8:0::1]:1/a;tcp", "msrp://[2001:db8::1]:1/a;tcp", True),
        ("msrp://host:1/a;tcp", "msrp://host/a;tcp", False),
        ("msrp://host:1/a;tcp", "msrp://host:2/a;tcp", False),
        ("msrp://host:1/A;tcp", "msrp://host:1/a;tcp", False),
        ("msrp://host:1;tcp", "msrp://host:1/a;tcp", False),
        ("msrp://host:1/a;tcp", "msrp://host:1/a;sctp", False),
        ("msrp://host:1/a;tcp;x=y", "msrp://host:1/a;tcp", True),
        ("msrp://host:1/a/../b;tcp", "msrp://host:1/b;tcp", False),
    ],
)
def test_uris_are_compared_as_section_6_1_says(one: str, other: str, same: bool) -> None:
    assert (parse_uri(one).key == parse_uri(other).key) is same


@pytest.mark.parametrize(
    "text",
    ["", "msrp:", "sip://host:1/a;tcp", "msrp://host:0/a;tcp", "msrp://host:99999/a;tcp", "msrp:///a;tcp",
     "msrp://[::zz]:1/a;tcp", "msrp://ho st:1/a;tcp", "msrp://" + "a" * 2000 + ":1/a;tcp",
     "msrp://h:1/a;tcp\r\nX: y"],
)  # fmt: skip
def test_what_is_no_uri_is_refused(text: str) -> None:
    with pytest.raises(AddressError):
        parse_uri(text)


def test_a_path_leads_over_relays_and_has_an_end() -> None:
    text = "msrps://a.example.org:9000/k;tcp msrps://bob.example.net:8145/foo;tcp"
    assert write_path(parse_path(text)) == text
    with pytest.raises(AddressError):
        parse_path(" ".join(["msrp://h:1/a;tcp"] * (MAX_PATH + 1)))
    with pytest.raises(AddressError):
        parse_path("")


# -- heads -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1-16/16", ByteRange(1, 16, 16)),
        ("1-*/8", ByteRange(1, None, 8)),
        ("5-*/*", ByteRange(5, None, None)),
        ("1-0/0", ByteRange(1, 0, 0)),
    ],
)
def test_a_byte_range_is_read_and_written(text: str, expected: ByteRange) -> None:
    head = Head("t", "SEND", fields={"byte-range": text})
    assert head.byte_range() == expected
    assert str(expected) == text


@pytest.mark.parametrize(
    "text", ["", "0-1/1", "1-2", "-1-2/3", "1 - 2/3", "1-2/" + "9" * 16, "*-2/3", "1-2/3\n1-2/3"]
)
def test_what_is_no_byte_range_is_refused(text: str) -> None:
    with pytest.raises(BadHead):
        Head("t", "SEND", fields={"byte-range": text}).byte_range()


def test_header_names_are_read_in_any_case_and_values_that_repeat_are_kept_apart() -> None:
    fields = parse_fields(b"to-PATH: x\r\nWWW-Authenticate: Digest a\r\nWWW-Authenticate: Digest b")
    head = Head("t", status=401, fields=fields)
    assert head.one("to-path") == "x"
    assert head.values("www-authenticate") == ["Digest a", "Digest b"]
    with pytest.raises(BadHead):
        head.one("www-authenticate")


@pytest.mark.parametrize(
    "line", [b"MSRP", b"MSRP a", b"MSRP abcd send", b"MSRP -bcd SEND", b"MSRP abcd 20", b"msrp abcd SEND"]
)
def test_what_is_no_start_line_is_refused(line: bytes) -> None:
    with pytest.raises(BadHead):
        parse_start(line)


def test_a_report_says_how_it_went() -> None:
    assert Head("t", "REPORT", fields={"status": "000 200 OK"}).reported() == ("000", 200, "OK")
    assert Head("t", "REPORT", fields={"status": "000 413"}).reported() == ("000", 413, "")
    with pytest.raises(BadHead):
        Head("t", "REPORT", fields={}).reported()


# -- framing -----------------------------------------------------------------------------------------------

COMPLETE = {name: lines for name, lines in (RFC_4975 | RFC_4976).items() if lines[-1].startswith("-------")}


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("name", COMPLETE)
def test_every_example_is_framed_however_it_is_cut(name: str, how: str) -> None:
    lines = COMPLETE[name]
    head, *content, end = frames(wire(lines) + b"MSRP next", how)
    assert isinstance(head, Head)
    assert head.transaction == lines[0].split()[1]
    assert head.path("to-path")
    assert head.path("from-path")
    blank = lines.index("") if "" in lines else None
    body = "\r\n".join(lines[blank + 1 : -1]).encode() if blank is not None else b""
    assert b"".join(piece for piece in content if isinstance(piece, bytes)) == body
    assert end == End(Flag(lines[-1][-1]))


@pytest.mark.parametrize("how", HOWS)
def test_all_examples_pass_in_one_stream(how: str) -> None:
    stream = b"".join(map(wire, COMPLETE.values()))
    found = frames(stream, how)
    assert [frame.transaction for frame in found if isinstance(frame, Head)] == [
        lines[0].split()[1] for lines in COMPLETE.values()
    ]


def test_an_example_without_an_end_line_waits_for_one() -> None:
    framer = Framer()
    assert frames(wire(RFC_4976["relayed_3_ok"]), framer=framer) == []
    assert framer.in_head


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize(
    "body",
    [b"", b"\r\n", b"-------abcd", b"x\r\n-------abcd?\r\ny", b"\r\n-------abcX$\r\n",
     b"x\r\n-------abcd$ \r\n", b"\r\n-------abcd$\r", b"\r\n\r\n\r\n", bytes(range(256)), b"-" * 500],
)  # fmt: skip
def test_content_that_looks_like_an_end_is_content(body: bytes, how: str) -> None:
    found = frames(send("abcd", "id12", body), how)
    assert [type(frame) for frame in found] == [Head, bytes, End] if body else [Head, End]
    if body:
        assert found[1] == body


@pytest.mark.parametrize("how", HOWS)
def test_empty_content_may_lack_its_line_end(how: str) -> None:
    data = request(["MSRP abcd SEND", "Content-Type: text/plain"]).replace(b"-------", b"\r\n-------", 1)
    head, end = frames(data + send("efgh", "id12", "x"), how)[:2]
    assert isinstance(head, Head)
    assert end == End(Flag.LAST)


@pytest.mark.parametrize("how", HOWS)
def test_line_ends_between_messages_are_noise(how: str) -> None:
    found = frames(b"\r\n\r\n" + send("abcd", "id12", "x") + b"\r\n\r\n" + send("efgh", "id34", "y"), how)
    assert [frame.transaction for frame in found if isinstance(frame, Head)] == ["abcd", "efgh"]


@pytest.mark.parametrize("how", HOWS)
def test_a_bad_field_costs_its_request_and_not_the_stream(how: str) -> None:
    found = frames(request(["MSRP abcd SEND", "no colon here"], "x") + send("efgh", "id34", "y"), how)
    assert isinstance(found[0], Bad)
    assert found[0].head is not None
    assert found[0].head.transaction == "abcd"
    assert isinstance(found[-3], Head)


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize(
    "data",
    [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00", b"MSRP abcd\r\n", b"MSRP " + b"a" * 2000,
     b"MSRP abcd SEND\r\n" + b"X: y\r\n" * 20_000, b"MSRP abcd SEND\r\n" + b"x" * 20_000,
     b"MSRP abcd SEND\r\nTo-Path: x\r\n-------abcd?\r\n", b"MSRP abcd SEND\r\n-------abcd$xx"],
)  # fmt: skip
def test_what_cannot_be_framed_ends_the_stream(data: bytes, how: str) -> None:
    framer = Framer()
    found = frames(data, how, framer)
    assert isinstance(found[-1], Bad)
    assert found[-1].head is None
    framer.receive_data(send("efgh", "id34", "y"))
    assert framer.next_event() is None


def test_no_more_is_held_back_than_an_end_line_has() -> None:
    framer = Framer()
    framer.receive_data(send("abcd", "id12", "")[: -len("\r\n-------abcd$\r\n")])
    handed = 0
    for _ in range(100):
        framer.receive_data(b"\r\n-------ab" * 100)
        while isinstance(frame := framer.next_event(), Head | bytes):
            handed += len(frame) if isinstance(frame, bytes) else 0
    assert 100 * 1100 - handed < 40


def test_content_is_framed_in_linear_time() -> None:
    def cost(size: int) -> float:
        dice = random.Random(1)
        data = send("abcd", "id12", dice.randbytes(size // 2) + b"\r\n-------abc" * (size // 26))
        best = 9.9
        for _ in range(3):
            start = time.process_time()
            framer = Framer()
            for at in range(0, len(data), 1000):
                framer.receive_data(data[at : at + 1000])
                while framer.next_event() is not None:
                    pass
            best = min(best, time.process_time() - start)
        return best

    assert cost(1_600_000) < 16 * 4 * max(cost(100_000), 0.001)


@pytest.mark.parametrize("seed", range(40))
def test_noise_never_breaks_the_framer(seed: int) -> None:
    dice = random.Random(seed)
    parts = [
        send("abcd", "id12", dice.randbytes(50)),
        b"\r\n",
        b"MSRP ",
        b"-------abcd",
        b"$\r\n",
        ALICE.encode(),
        BOB.encode(),
    ]
    data = b"".join(dice.choice([*parts, dice.randbytes(3)]) for _ in range(60))
    whole = repr(frames(data))
    assert repr(frames(data, "random")) == whole
    assert repr(frames(data, "bytes")) == whole
