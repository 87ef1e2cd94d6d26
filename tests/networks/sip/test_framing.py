"""Messages and keep-alives are found in a stream, however it is cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rialto.networks.sip.wire import (
    PONG,
    FrameEvent,
    Garbled,
    Limits,
    Ping,
    Pong,
    Request,
    Response,
    StreamFramer,
)


def message(call_id: str = "1", body: bytes = b"hello", length: str | None = None, extra: str = "") -> bytes:
    stated = f"Content-Length: {len(body)}\r\n" if length is None else length
    return (
        "MESSAGE sip:b@b.example SIP/2.0\r\nVia: SIP/2.0/TCP a.example;branch=z9hG4bK1\r\n"
        "From: <sip:a@a.example>;tag=1\r\nTo: <sip:b@b.example>\r\n"
        f"Call-ID: {call_id}\r\nCSeq: 1 MESSAGE\r\n{extra}{stated}\r\n"
    ).encode() + body


RESPONSE = (
    b"SIP/2.0 200 OK\r\nv: SIP/2.0/TCP a.example;branch=z9hG4bK1\r\nf: <sip:a@a.example>;tag=1\r\n"
    b"t: <sip:b@b.example>;tag=2\r\ni: 2\r\nCSeq: 1 MESSAGE\r\nl: 0\r\n\r\n"
)


def feed(framer: StreamFramer, *pieces: bytes) -> list[FrameEvent]:
    events: list[FrameEvent] = []
    for piece in pieces:
        framer.receive_data(piece)
        while (event := framer.next_event()) is not None:
            events.append(event)
    return events


def told(events: list[FrameEvent]) -> list[object]:
    """What a person would say of these events."""
    return [
        (event.call_id, event.body)
        if isinstance(event, Request | Response)
        else (event.error.status, event.fatal)
        if isinstance(event, Garbled)
        else type(event).__name__
        for event in events
    ]


STREAM = b"\r\n\r\n".join(
    [message("1"), RESPONSE + message("3", b"\r\n\r\n"), message("4", b"x" * 3000), message("5", b"")]
)
MEANING = [
    ("1", b"hello"), "Ping", ("2", b""), ("3", b"\r\n\r\n"), "Ping", ("4", b"x" * 3000), "Ping", ("5", b"")
]  # fmt: skip


def test_a_stream_is_cut_into_messages_whole() -> None:
    assert told(feed(StreamFramer(), STREAM)) == MEANING


def test_a_stream_is_cut_into_messages_byte_by_byte() -> None:
    assert told(feed(StreamFramer(), *(bytes([byte]) for byte in STREAM))) == MEANING


@given(st.lists(st.integers(0, len(STREAM)), max_size=30))
def test_a_stream_is_cut_into_messages_in_random_cuts(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    pieces = [STREAM[a:b] for a, b in pairwise(edges)]
    assert told(feed(StreamFramer(), *pieces)) == MEANING


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_a_single_line_end_is_a_pong_only_when_we_asked(size: int) -> None:
    framer = StreamFramer()
    assert framer.ping() == b"\r\n\r\n"
    data = PONG + message("1") + PONG + message("2") + b"\r\n\r\n"
    events = feed(framer, *(data[i : i + size] for i in range(0, len(data), size)))
    assert told(events) == ["Pong", ("1", b"hello"), ("2", b"hello"), "Ping"]
    assert isinstance(events[0], Pong)
    assert isinstance(events[-1], Ping)


def test_line_ends_before_a_message_are_noise() -> None:
    assert told(feed(StreamFramer(), b"\n\n\r\n" + message() + b"\n\r")) == [("1", b"hello")]


def test_lines_may_end_in_lf_alone() -> None:
    head, _, body = message().partition(b"\r\n\r\n")
    data = head.replace(b"\r\n", b"\n") + b"\n\n" + body
    assert told(feed(StreamFramer(), data + data)) == [("1", b"hello")] * 2


@pytest.mark.parametrize(
    ("length", "status"),
    [
        ("", 400),
        ("Content-Length: -1\r\n", 400),
        ("Content-Length: five\r\n", 400),
        ("Content-Length: 5 5\r\n", 400),
        ("Content-Length: +5\r\n", 400),
        ("Content-Length: \u0665\r\n", 400),
        ("Content-Length: 99999999999999999999\r\n", 400),
        ("Content-Length: 5\r\nl: 5\r\n", 400),
        ("Content-Length: 5\r\nX: y\r\nContent-Length: 6\r\nl: 5\r\n", 400),
        ("Content-Length: 5, 5\r\n", 400),
        ("X: a\nContent-Length: 0\r\nContent-Length: 5\r\n", 400),
    ],
)
def test_a_message_without_a_certain_end_ends_the_stream(length: str, status: int) -> None:
    framer = StreamFramer()
    events = feed(framer, message(length=length) + message("2"))
    assert told(events) == [(status, True)]
    assert isinstance(events[0], Garbled)
    assert events[0].error.request is not None
    assert feed(framer, message("3")) == []


def test_a_fault_inside_a_message_costs_that_message_only() -> None:
    bad = message("1", extra="this is no header\r\n")
    assert told(feed(StreamFramer(), bad + message("2"))) == [(400, False), ("2", b"hello")]
    cut = bad[:-3]
    assert told(feed(StreamFramer(), cut, bad[-3:-1], bad[-1:] + message("2"))) == [
        (400, False),
        ("2", b"hello"),
    ]


def test_a_body_that_is_too_large_is_refused_before_it_came_and_never_kept() -> None:
    framer = StreamFramer(Limits(max_body_bytes=100))
    large = message("1", b"x" * 1000)
    head = large[:-1000]
    events = feed(framer, head)
    assert told(events) == [(413, False)]
    assert framer.mid_message
    assert told(feed(framer, b"x" * 600, b"x" * 400 + message("2"))) == [("2", b"hello")]
    assert not framer.mid_message


def test_a_head_that_does_not_end_ends_the_stream() -> None:
    framer = StreamFramer(Limits(max_head_bytes=1000))
    events = feed(framer, message()[:-30].replace(b"\r\n\r\n", b"\r\n"), b"X: y\r\n" * 200)
    assert told(events) == [(513, True)]
    assert isinstance(events[0], Garbled)
    assert events[0].error.request is not None
    assert events[0].error.request.call_id == "1"


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_the_limit_of_a_head_does_not_depend_on_how_it_came(size: int) -> None:
    data = message()
    limit = data.index(b"\r\n\r\n")
    pieces = [data[i : i + size] for i in range(0, len(data), size)]
    assert told(feed(StreamFramer(Limits(max_head_bytes=limit)), *pieces)) == [("1", b"hello")]
    assert told(feed(StreamFramer(Limits(max_head_bytes=limit - 1)), *pieces)) == [(513, True)]


def test_another_protocol_ends_the_stream() -> None:
    events = feed(StreamFramer(), b"GET / HTTP/1.1\r\nHost: x.example\r\n\r\n")
    assert told(events) == [(400, True)]
    assert isinstance(events[0], Garbled)
    assert events[0].error.request is None


def test_a_stream_knows_whether_it_stands_inside_a_message() -> None:
    framer = StreamFramer()
    assert not framer.mid_message
    feed(framer, b"\r\n")
    assert not framer.mid_message
    feed(framer, message()[:-1])
    assert framer.mid_message
    feed(framer, b"o")
    assert not framer.mid_message
    feed(framer, b"MESS", b"")
    assert framer.mid_message


def test_a_second_message_is_not_taken_for_the_body_of_the_first() -> None:
    events = feed(StreamFramer(), message("1", b"") + message("2", b"xyz"))
    assert told(events) == [("1", b""), ("2", b"xyz")]
