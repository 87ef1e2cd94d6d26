"""Every torture message of RFC 4475 and RFC 5118 has the outcome that its section describes."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from networks.sip.torture_table import FOLDER, TABLE, Row
from rialto.networks.sip.wire import (
    BadMessage,
    Garbled,
    Request,
    Response,
    StreamFramer,
    parse_message,
    response_to,
    unescape,
    unsupported_extensions,
    validate,
)


def rows(*outcomes: str) -> pytest.MarkDecorator:
    chosen = [row for row in TABLE if row.outcome in outcomes]
    return pytest.mark.parametrize("row", chosen, ids=[row.name for row in chosen])


def accept(data: bytes) -> Request | Response:
    message = parse_message(data)
    validate(message)
    return message


def row_named(name: str) -> Row:
    return next(row for row in TABLE if row.name == name)


def test_the_table_holds_every_message() -> None:
    files = {path.name.removesuffix(".dat") for path in FOLDER.glob("*/*")}
    assert files == {row.name for row in TABLE}
    assert len(TABLE) == len(files) == 61


@rows("accept")
def test_a_well_formed_message_is_read_as_it_was_meant(row: Row) -> None:
    message = accept(row.data)
    for expression, value in row.facts.items():
        assert eval(expression, {"unescape": unescape}, {"m": message}) == value, expression


@rows("reject")
def test_a_malformed_request_is_refused_and_can_be_answered(row: Row) -> None:
    with pytest.raises(BadMessage) as caught:
        accept(row.data)
    error = caught.value
    assert error.status == row.status
    assert error.request is not None
    answer = response_to(error.request, error.status, error.text, to_tag="ours", headers=error.headers)
    for name in ("Via", "From", "Call-ID", "CSeq"):
        assert answer.get(name) == error.request.get(name)
    assert answer.encode().startswith(b"SIP/2.0 %d " % row.status)


@rows("drop")
def test_a_malformed_response_is_answered_by_nothing(row: Row) -> None:
    with pytest.raises(BadMessage) as caught:
        accept(row.data)
    assert caught.value.request is None


@rows("accept")
def test_a_well_formed_message_survives_being_written_again(row: Row) -> None:
    message = accept(row.data)
    again = accept(message.encode())
    assert again.encode() == message.encode()
    assert again.body == message.body
    kept = [header for header in message.headers if header[0] != "Content-Length"]
    assert again.headers[:-1] == kept


def pieces(data: bytes, how: str) -> list[bytes]:
    if how == "whole":
        return [data]
    if how == "byte by byte":
        return [data[i : i + 1] for i in range(len(data))]
    rng = random.Random(len(data))
    cuts = sorted({0, len(data), *(rng.randrange(len(data)) for _ in range(20))})
    return [data[a:b] for a, b in pairwise(cuts)]


NEXT = (
    b"OPTIONS sip:gw.example SIP/2.0\r\nVia: SIP/2.0/TCP a.example;branch=z9hG4bKnext\r\n"
    b"From: <sip:a@a.example>;tag=1\r\nTo: <sip:gw.example>\r\nCall-ID: next\r\nCSeq: 1 OPTIONS\r\n"
    b"Content-Length: 0\r\n\r\n"
)


@pytest.mark.parametrize("how", ["whole", "byte by byte", "random cuts"])
@pytest.mark.parametrize("row", TABLE, ids=[row.name for row in TABLE])
def test_over_a_stream_only_lost_framing_ends_it(row: Row, how: str) -> None:
    framer = StreamFramer()
    events = []
    for piece in pieces(row.data + NEXT, how):
        framer.receive_data(piece)
        while (event := framer.next_event()) is not None:
            events.append(event)
    if row.stream == "waits":
        assert events == []
        assert framer.mid_message
    elif row.stream == "closes":
        assert len(events) == 1
        assert isinstance(events[0], Garbled)
        assert events[0].fatal
        assert not framer.mid_message
    elif row.stream == "falls apart":
        first, *_, last = events
        assert isinstance(first, Request)
        assert first.encode() == accept(row.data).encode()
        assert isinstance(last, Garbled)
        assert last.fatal
    else:
        first, last = events
        assert isinstance(last, Request)
        assert last.call_id == "next"
        if row.outcome == "accept":
            assert isinstance(first, Request | Response)
            assert first.encode() == accept(row.data).encode()
        else:
            assert not isinstance(first, Garbled) or not first.fatal


def test_unknown_extensions_are_named_in_the_refusal() -> None:
    message = accept(row_named("bext01").data)
    assert isinstance(message, Request)
    with pytest.raises(BadMessage) as caught:
        unsupported_extensions(message, {"gruu"})
    assert caught.value.status == 420
    assert caught.value.headers == (("Unsupported", "nothingSupportsThis, nothingSupportsThisEither"),)
    with pytest.raises(BadMessage) as caught:
        unsupported_extensions(message, (), "Proxy-Require")
    assert caught.value.headers == (("Unsupported", "noProxiesSupportThis, norDoAnyProxiesSupportThis"),)


def test_two_registered_contacts_with_escaped_nulls_are_not_the_same() -> None:
    one, two = accept(row_named("escnull").data).contacts
    assert not one.uri.equivalent(two.uri)
