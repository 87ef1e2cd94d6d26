"""However a message is chunked, cut, reordered and interleaved, what was sent is what is received."""

from __future__ import annotations

import itertools
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from networks.sip.msrp.talk import Pair, cuts, send
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
