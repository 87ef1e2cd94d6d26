"""However a message is chunked, cut, reordered and interleaved, what was sent is what is received."""

from __future__ import annotations

import itertools
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from networks.sip.msrp.talk import ALICE, BOB, Pair, cuts, request, send
from networks.sip.msrp.test_msrp_receiving import bob
from rialto.networks.sip.msrp.wire.assembly import Assembly, Inconsistent, TooMuch
from rialto.networks.sip.msrp.wire.events import MessageTaken
from rialto.networks.sip.msrp.wire.terms import Limits

_CONTENT = st.binary(max_size=6000) | st.lists(
    st.sampled_from([b"\r\n", b"-------", b"a0000002", b"a0000003", b"$", b"+", b"#", b"MSRP ", b"x" * 700]),
    max_size=60,
).map(b"".join)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(_CONTENT, st.booleans(), st.booleans(), st.sampled_from([None, 2048, 100])),
        min_size=1,
        max_size=5,
    ),
    st.integers(1, 5000),
    st.integers(1, 5000),
    st.sampled_from(["whole", "random"]),
)
def test_whatever_is_sent_arrives(
    messages: list[tuple[bytes, bool, bool, int | None]], slice_bytes: int, turn_bytes: int, how: str
) -> None:
    pair = Pair(how=how, limits=Limits(slice_bytes=slice_bytes, turn_bytes=turn_bytes))
    others = pair.another(2)
    sent = {}
    for number, (content, other, urgent, chunk_bytes) in enumerate(messages):
        session = others[0] if other else pair.at_alice
        session.chunk_bytes = chunk_bytes
        name = f"id{number:02d}"
        pair.alice.connection.send(session, "text/plain", content, message_id=name, urgent=urgent)
        pair.bob.connection.send(pair.at_bob, "text/plain", content[:100], message_id=name)
        sent[name] = content
        if slice_bytes % 2:
            pair.bob.hear(pair.alice.connection.data_to_send(), how)
    pair.talk()
    assert pair.bob.whole == sent
    assert pair.alice.whole == {name: content[:100] for name, content in sent.items()}
    assert len(pair.alice.saw(MessageTaken)) == len(messages)
    assert pair.alice.connection.backlog_bytes == 0


@settings(max_examples=100, deadline=None)
@given(
    st.binary(min_size=1, max_size=400),
    st.lists(st.integers(0, 400), max_size=12),
    st.randoms(use_true_random=False),
)
def test_chunks_in_any_order_make_the_message(content: bytes, marks: list[int], dice: random.Random) -> None:
    borders = sorted({0, len(content), *(mark for mark in marks if mark < len(content))})
    pieces = list(itertools.pairwise(borders))
    dice.shuffle(pieces)
    end = bob()
    for number, (start, stop) in enumerate(pieces):
        flag = "$" if stop == len(content) else "+"
        data = send(f"t{number:03d}", "id12", content[start:stop], span=f"{start + 1}-*/*", flag=flag)
        for piece in cuts(data, "random", number):
            end.hear(piece)
    assert end.whole == {"id12": content}


@given(st.lists(st.tuples(st.integers(0, 60), st.binary(max_size=30)), max_size=30))
def test_an_assembly_is_what_writing_each_piece_in_its_place_would_be(
    pieces: list[tuple[int, bytes]],
) -> None:
    assembly = Assembly(max_held_bytes=1000)
    model: dict[int, int] = {}
    done = bytearray()
    for start, data in pieces:
        for at, byte in enumerate(data, start):
            if at >= len(done):
                model[at] = byte
        done += b"".join(assembly.add(start, data))
        expected = bytearray()
        while len(expected) in model:
            expected.append(model[len(expected)])
        assert done == expected
        assert assembly.handed_on == len(done)
        assert assembly.held_bytes == len([at for at in model if at >= len(done)])


@given(st.integers(0, 50), st.integers(0, 50), st.integers(1, 50))
def test_an_assembly_has_one_end(first: int, second: int, length: int) -> None:
    assembly = Assembly(max_held_bytes=1000, max_held_pieces=5)
    assembly.add(first, b"x" * length)
    try:
        assembly.finish(second)
    except Inconsistent:
        assert second < first + length
        return
    try:
        assembly.add(second, b"y")
    except Inconsistent:
        return
    raise AssertionError("content behind the end")


def test_an_assembly_does_not_hold_pieces_without_end() -> None:
    assembly = Assembly(max_held_bytes=1000, max_held_pieces=5)
    try:
        for number in range(6):
            assembly.add(10 + 2 * number, b"x")
    except TooMuch:
        return
    raise AssertionError("it holds more than it may")


_PIECES = [
    send("t001", "id12", b"abc", span="1-3/9", flag="+"),
    send("t002", "id12", b"def", span="4-6/9", flag="+"),
    send("t003", "id12", b"ghi", span="7-9/9"),
    send("t004", "id34", b"x" * 5000, "Success-Report: yes", span="1-*/*"),
    send("t005", "id56", b"", "Failure-Report: no"),
    send("t006", "id56", None),
    send("t007", "id78", b"far", span="999999999999-*/*", flag="+"),
    request(
        ["MSRP t008 REPORT", f"To-Path: {BOB}", f"From-Path: {ALICE}", "Message-ID: id90", "Status: 000 413"]
    ),
    request(["MSRP b0000001 200 OK", f"To-Path: {BOB}", f"From-Path: {ALICE}"]),
    request(["MSRP b0000002 481 No", f"To-Path: {BOB}", f"From-Path: {ALICE}"]),
    request(["MSRP t009 AUTH", f"To-Path: {BOB}", f"From-Path: {ALICE}"]),
]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(_PIECES), st.integers(0, 9), st.integers(0, 10_000), st.binary(max_size=4)),
        max_size=25,
    ),
    st.sampled_from(["accept", "refuse", "neither"]),
)
def test_nothing_that_a_peer_says_makes_the_machine_raise(
    said: list[tuple[bytes, int, int, bytes]], decision: str
) -> None:
    """Requests whole, cut short, with bytes put in or taken out, on a session that also sends."""
    end = bob(max_bytes=100_000, limits=Limits(slice_bytes=1000, turn_bytes=500))
    if decision == "refuse":
        end.decide = lambda message: end.connection.refuse(message, 413)
    elif decision == "neither":
        end.decide = None
    for data, how, at, junk in said:
        at = at % (len(data) + 1)
        broken = (data[:at], data[:at] + junk + data[at:], data[:at] + data[at + 3 :])
        end.hear(broken[how] if how < 3 else data)
        if end.connection.sessions:
            session = next(iter(end.connection.sessions))
            end.connection.send(session, "text/plain", junk * 400)
        end.connection.data_to_send()
        end.now += how * 7
        end.connection.handle_timer(end.now)
        end.drain()
    end.hear(b"")
    assert not end.connection.sessions
    assert end.connection.data_to_send() == b""
