"""What we say: chunks, turns, answers that are due, and reports."""

from __future__ import annotations

import itertools
import random
import re
import time

import pytest

from networks.sip.msrp.rfc_examples import RFC_4975, RFC_4976, wire
from networks.sip.msrp.talk import ALICE, BOB, End, Pair, request
from rialto.model.errors import LocalProtocolError
from rialto.networks.sip.msrp.wire.connection import Connection
from rialto.networks.sip.msrp.wire.events import (
    Broken,
    ContentWanted,
    Fault,
    MessageAborted,
    MessageConfirmed,
    MessageFailed,
    MessageReceived,
    MessageTaken,
    SessionAnswered,
    SessionFailed,
)
from rialto.networks.sip.msrp.wire.outgoing import SHORT_BYTES, Outgoing, Stage
from rialto.networks.sip.msrp.wire.session import Session, SessionBook
from rialto.networks.sip.msrp.wire.terms import Limits, Timing
from rialto.networks.sip.msrp.wire.uri import parse_path, parse_uri

_CHUNK = re.compile(rb"MSRP (\S+) SEND\r\n(.*?)\r\n\r\n(.*?)\r\n-------\1([$+#])\r\n", re.DOTALL)


def chunks(said: bytes) -> list[tuple[str, str, int, str]]:
    """(Message-ID, Byte-Range, length, flag) of every chunk with content."""
    found = []
    for match in _CHUNK.finditer(said):
        fields = dict(line.split(": ", 1) for line in match[2].decode().split("\r\n"))
        found.append((fields["Message-ID"], fields["Byte-Range"], len(match[3]), match[4].decode()))
    return found


def alice(**more: object) -> tuple[End, Session]:
    """Alice, whose greeting was answered."""
    end = End("a", **more)  # type: ignore[arg-type]
    session = end.expect(ALICE, BOB)
    end.connection.add(session, greet=True)
    end.say()
    answer(end, "a0000001")
    return end, session


def answer(end: End, transaction: str, status: str = "200 OK") -> None:
    """Bob answers one of her requests."""
    end.hear(request([f"MSRP {transaction} {status}", f"To-Path: {ALICE}", f"From-Path: {BOB}"]))


def report(end: End, message: Outgoing, status: str, span: str = "", message_id: str = "") -> None:
    """Bob reports."""
    lines = ["MSRP rep1 REPORT", f"To-Path: {ALICE}", f"From-Path: {BOB}"]
    lines += [f"Message-ID: {message_id or message.message_id}", f"Status: {status}"]
    if span:
        lines.append(f"Byte-Range: {span}")
    end.hear(request(lines))


# -- the examples ------------------------------------------------------------------------------------------


def speaker(*ids: str, local: str = ALICE, path: str = BOB) -> tuple[Connection, Session]:
    """Somebody whose ids are those of an example."""
    names = itertools.chain(ids, (f"more{number}" for number in itertools.count()))
    connection = Connection(find=SessionBook().find, make_id=names.__next__, clock=lambda: 0.0)
    session = Session(parse_uri(local), parse_path(path))
    connection.add(session, greet=False)
    return connection, session


def test_hi_from_alice_is_sent_as_the_rfc_shows() -> None:
    connection, session = speaker("d93kswow")
    connection.send(session, "text/plain", b"Hi, I'm Alice!", message_id="12339sdqwer")
    # The example counts two bytes too many.
    expected = wire(RFC_4975["hi_alice"]).replace(b"1-16/16", b"1-14/14")
    assert connection.data_to_send() == expected.replace(b"alicepc", b"alice")


def test_an_important_message_is_sent_as_the_rfc_shows() -> None:
    connection, session = speaker("d93kswow", local=ALICE.replace("alice.", "alicepc."))
    shown = wire(RFC_4975["important"])
    body = shown.split(b"\r\n\r\n", 1)[1].removesuffix(b"\r\n-------d93kswow$\r\n")
    connection.send(session, "text/html", body, message_id="12339sdqwer", wants_success=True, failure="no")
    assert connection.data_to_send() == shown.replace(b"1-106/106", b"1-%d/%d" % (len(body), len(body)))


def test_what_goes_over_relays_names_them_all() -> None:
    path = "msrps://a.example.org:9000/kjfjan;tcp msrps://b.example.net:9000/aeiug;tcp msrps://bob.example.net:8145/foo;tcp"
    connection, session = speaker("6aef", local="msrps://alice.example.org:7965/bar;tcp", path=path)
    connection.send(
        session,
        "text/plain",
        b"Hi Bob, I'm about to send you file.mpeg",
        message_id="87652",
        wants_success=True,
    )
    shown = wire(RFC_4976["relayed_1"]).replace(b"1-*/*", b"1-39/39").split(b"\r\n")
    assert sorted(connection.data_to_send().split(b"\r\n")) == sorted(shown)


# -- chunks ------------------------------------------------------------------------------------------------


def test_ses_20_a_short_message_is_one_chunk_that_says_how_long_it_is() -> None:
    end, session = alice()
    end.connection.send(session, "text/plain", b"x" * SHORT_BYTES, message_id="id12")
    said = end.say()
    assert chunks(said) == [("id12", "1-2048/2048", 2048, "$")]
    names = [line.split(b":")[0] for line in said.split(b"\r\n\r\n")[0].split(b"\r\n")[1:]]
    assert names == [b"To-Path", b"From-Path", b"Message-ID", b"Byte-Range", b"Content-Type"]


def test_ses_21_a_long_message_is_one_chunk_that_may_be_interrupted() -> None:
    end, session = alice()
    end.connection.send(session, "text/plain", b"x" * 300_000, message_id="id12")
    assert chunks(end.say()) == [("id12", "1-*/300000", 300_000, "$")]


def test_ses_21_an_answer_that_is_due_interrupts_a_chunk() -> None:
    pair = Pair(limits=Limits(slice_bytes=5000, turn_bytes=5000))
    alice, bob = pair.alice, pair.bob
    alice.connection.send(pair.at_alice, "text/plain", b"x" * 20_000, message_id="id12")
    first = alice.connection.data_to_send()
    bob.connection.send(pair.at_bob, "text/plain", b"hello")
    alice.hear(bob.say())
    said = first + alice.say()
    assert chunks(said) == [("id12", "1-*/20000", 5000, "+"), ("id12", "5001-*/20000", 15_000, "$")]
    assert said.index(b" 200 OK") > said.index(b"+\r\n")


def test_no_chunk_is_interrupted_before_it_is_worth_it() -> None:
    pair = Pair(limits=Limits(slice_bytes=100, turn_bytes=100))
    pair.alice.connection.send(pair.at_alice, "text/plain", b"x" * 20_000, message_id="id12")
    first = pair.alice.connection.data_to_send()
    pair.bob.connection.send(pair.at_bob, "text/plain", b"hello")
    pair.alice.hear(pair.bob.say())
    assert chunks(first + pair.alice.say())[0] == ("id12", "1-*/20000", SHORT_BYTES, "+")


def test_sessions_take_turns_and_messages_of_one_do_not() -> None:
    pair = Pair()
    second_alice, _ = pair.another(2)
    connection = pair.alice.connection
    connection.send(pair.at_alice, "text/plain", b"1" * 40_000, message_id="one1")
    connection.send(pair.at_alice, "text/plain", b"2" * 10, message_id="one2")
    connection.send(second_alice, "text/plain", b"3" * 40_000, message_id="two1")
    said = pair.alice.say()
    assert [(name, flag) for name, _, _, flag in chunks(said)] == [
        *[("one1", "+"), ("two1", "+")] * 2, ("one1", "$"), ("two1", "$"), ("one2", "$"),
    ]  # fmt: skip
    pair.bob.hear(said)
    assert {name: len(content) for name, content in pair.bob.whole.items()} == {
        "one1": 40_000,
        "one2": 10,
        "two1": 40_000,
    }


def test_an_urgent_message_overtakes_those_of_its_session() -> None:
    end, session = alice()
    end.connection.send(session, "text/plain", b"1" * 40_000, message_id="one1")
    end.connection.send(session, "text/plain", b"2" * 10, message_id="now1", urgent=True)
    assert [name for name, _, _, _ in chunks(end.say())] == ["one1", "now1", "one1"]


def test_for_relays_chunks_stay_small() -> None:
    end, session = alice()
    session.chunk_bytes = 2048
    end.connection.send(session, "text/plain", b"x" * 5000, message_id="id12")
    assert chunks(end.say()) == [
        ("id12", "1-2048/5000", 2048, "+"),
        ("id12", "2049-4096/5000", 2048, "+"),
        ("id12", "4097-5000/5000", 904, "$"),
    ]


def test_a_chunk_ends_before_its_own_end_line() -> None:
    """RFC 4975 section 7.1: wherever the content has the end line, also where a hand-out ends in it."""
    for lead in range(1, 120):
        pair = Pair(limits=Limits(slice_bytes=50, turn_bytes=50))
        body = b"x" * lead + b"-------a0000002$\r\n-------a0000003+" + b"y" * 3000 + b"-------a0000004"
        pair.alice.connection.send(pair.at_alice, "text/plain", body, message_id="id12")
        said = pair.alice.say()
        for match in re.finditer(rb"MSRP (\S+) SEND", said):
            assert (
                said.count(b"-------" + match[1] + b"$\r\n") + said.count(b"-------" + match[1] + b"+\r\n")
                == 1
            )
        pair.bob.hear(said)
        assert pair.bob.whole == {"id12": body}


def test_an_empty_message_has_content_and_a_greeting_has_none() -> None:
    end, session = alice()
    end.connection.send(session, "text/plain", b"", message_id="id12")
    said = end.say()
    assert b"Byte-Range: 1-0/0\r\nContent-Type: text/plain\r\n\r\n\r\n-------" in said
    end.connection.add(other := end.expect(ALICE.replace("iau", "abc"), BOB), greet=True)
    assert other.connection is end.connection
    greeting = end.say()
    assert b"Content-Type" not in greeting
    assert b"\r\n\r\n" not in greeting


def test_a_message_in_pieces_is_asked_for_and_never_stands_whole_in_memory() -> None:
    pair = Pair()
    body = random.Random(1).randbytes(1_000_000)
    message = pair.alice.connection.send(
        pair.at_alice, "application/octet-stream", None, message_id="id12", total_bytes=len(body)
    )
    at, most = 0, 0
    while not message.over:
        for event in pair.alice.drain():
            if isinstance(event, ContentWanted):
                pair.alice.connection.feed(message, body[at : at + 30_000])
                at += 30_000
        most = max(most, pair.alice.connection.backlog_bytes)
        if said := pair.alice.connection.data_to_send():
            pair.bob.hear(said)
        if answered := pair.bob.connection.data_to_send():
            pair.alice.hear(answered)
    assert pair.bob.whole == {"id12": body}
    assert most <= 60_000


def test_a_message_whose_length_nobody_knows_ends_with_content() -> None:
    pair = Pair()
    message = pair.alice.connection.send(pair.at_alice, "text/plain", None, message_id="id12")
    said = b""
    for data, last in ((b"abc", False), (b"def", False), (b"", True)):
        pair.alice.connection.feed(message, data, last=last)
        said += pair.alice.say()
    assert chunks(said) == [("id12", "1-*/*", 6, "$")]
    pair.bob.hear(said)
    assert pair.bob.whole == {"id12": b"abcdef"}


def test_content_must_fit_what_was_said_of_it() -> None:
    end, session = alice()
    message = end.connection.send(session, "text/plain", None, total_bytes=5)
    with pytest.raises(LocalProtocolError):
        end.connection.feed(message, b"123456")
    with pytest.raises(LocalProtocolError):
        end.connection.feed(message, b"123", last=True)
    end.connection.feed(message, b"12345")
    with pytest.raises(LocalProtocolError):
        end.connection.feed(message, b"6")


def test_a_peer_that_does_not_read_is_not_written_to() -> None:
    end, session = alice()
    end.connection.send(session, "text/plain", b"x" * 300_000)
    assert end.connection.next_timer() == 0
    assert len(end.connection.data_to_send()) < 70_000
    end.connection.hold(True)
    assert end.connection.data_to_send() == b""
    assert end.connection.next_timer() != 0
    end.connection.hold(False)
    assert end.connection.data_to_send()


def test_five_megabytes_pass_in_linear_time() -> None:
    def cost(size: int) -> float:
        pair = Pair()
        body = random.Random(1).randbytes(size)
        start = time.process_time()
        pair.alice.connection.send(pair.at_alice, "text/plain", body, message_id="id12")
        while data := pair.alice.connection.data_to_send():
            pair.bob.connection.receive_data(data, 0.0)
            while pair.bob.connection.next_event() is not None:
                pass
        return time.process_time() - start

    small, large = min(cost(500_000) for _ in range(3)), min(cost(5_000_000) for _ in range(3))
    assert large < 10 * 4 * max(small, 0.002)


# -- answers -----------------------------------------------------------------------------------------------


def test_ses_17_the_greeting_says_when_the_session_is_up() -> None:
    end, session = alice()
    assert end.events == [SessionAnswered(session)]


@pytest.mark.parametrize("status", ["481 No", "506 Elsewhere", "403 Go away"])
def test_a_greeting_that_is_refused_fails_the_session(status: str) -> None:
    end = End("a")
    session = end.expect(ALICE, BOB)
    end.connection.add(session, greet=True)
    end.say()
    answer(end, "a0000001", status)
    assert end.events == [SessionFailed(session, int(status[:3]))]


def test_a_greeting_that_nobody_answers_fails_the_session() -> None:
    end = End("a")
    session = end.expect(ALICE, BOB)
    end.connection.add(session, greet=True)
    end.say()
    assert end.wait(29) == []
    assert end.wait(2) == [SessionFailed(session, 408), Broken("no-answer")]


def test_a_message_is_taken_when_all_its_chunks_were_answered() -> None:
    end, session = alice()
    session.chunk_bytes = 2048
    message = end.connection.send(session, "text/plain", b"x" * 4000, message_id="id12")
    end.say()
    answer(end, "a0000003")
    assert not end.saw(MessageTaken)
    answer(end, "a0000002")
    assert end.saw(MessageTaken) == [MessageTaken(message)]


@pytest.mark.parametrize("failure", ["partial", "no"])
def test_where_only_failures_are_answered_a_message_is_taken_when_it_is_written(failure: str) -> None:
    end, session = alice()
    message = end.connection.send(session, "text/plain", b"x", failure=failure)
    said = end.say()
    assert f"Failure-Report: {failure}\r\n".encode() in said
    assert end.connection.next_timer() == 0  # there is news, and nobody has been told yet
    assert end.drain() == [MessageTaken(message)]
    assert end.wait(60) == []


def test_partial_still_hears_of_failures() -> None:
    end, session = alice()
    message = end.connection.send(session, "text/plain", b"x", failure="partial")
    end.say()
    answer(end, "a0000003", "415 No such type")
    assert end.saw(MessageFailed) == [MessageFailed(message, 415, "No such type", True)]


def test_a_chunk_that_is_not_answered_within_30_s_fails_its_message_in_doubt() -> None:
    end, session = alice()
    end.wait(100)
    message = end.connection.send(session, "text/plain", b"x")
    end.say()
    end.wait(10)
    end.hear(b"\r\n")  # somebody is there
    assert end.wait(19.9) == []
    assert end.wait(0.2) == [MessageFailed(message, 408, "no answer", False)]
    answer(end, "a0000003")
    assert end.saw(Fault) == [Fault("stray-response")]


def test_where_nobody_is_heard_either_the_connection_is_dead() -> None:
    end, session = alice()
    first = end.connection.send(session, "text/plain", b"x")
    end.say()
    end.wait(10)
    second = end.connection.send(session, "text/plain", b"y")
    end.say()
    assert end.wait(20.1) == [
        MessageFailed(first, 408, "no answer", False),
        Broken("no-answer"),
        MessageFailed(second, 0, "the session ended", False),
    ]


def test_partial_takes_silence_for_good_news() -> None:
    end, session = alice()
    end.connection.send(session, "text/plain", b"x", failure="partial")
    end.say()
    end.wait(100)
    assert not end.saw(Broken)


def test_who_misses_the_content_of_a_greeting_knows_the_session() -> None:
    end = End("a")
    session = end.expect(ALICE, BOB)
    end.connection.add(session, greet=True)
    end.say()
    answer(end, "a0000001", "415 What is this")
    assert end.events == [SessionAnswered(session)]


def test_ses_16_after_413_nothing_more_is_sent_and_the_open_chunk_is_interrupted() -> None:
    pair = Pair(limits=Limits(slice_bytes=10_000))
    pair.at_bob.max_bytes = 50_000
    message = pair.alice.connection.send(pair.at_alice, "text/plain", b"x" * 90_000, message_id="id12")
    pair.talk()
    assert pair.alice.saw(MessageFailed) == [MessageFailed(message, 413, "at most 50000 bytes", True)]
    assert message.sent_bytes <= 20_000
    assert pair.bob.content == {}
    pair.alice.connection.send(pair.at_alice, "text/plain", b"next", message_id="id34")
    pair.talk()
    assert pair.bob.whole == {"id34": b"next"}


def test_ses_16_a_refusal_in_the_middle_stops_the_sender() -> None:
    pair = Pair(limits=Limits(slice_bytes=10_000))
    message = pair.alice.connection.send(pair.at_alice, "text/plain", None, total_bytes=90_000)
    pair.alice.connection.feed(message, b"x" * 30_000)
    pair.bob.hear(pair.alice.connection.data_to_send())
    pair.bob.connection.refuse(next(iter(pair.bob.events[-1:])).message, 413)  # type: ignore[union-attr]
    pair.alice.hear(pair.bob.say())
    assert message.stage is Stage.FAILED
    assert pair.alice.say().endswith(b"#\r\n")
    pair.alice.connection.feed(message, b"more")  # what was being read is of no use, and no fault
    assert pair.alice.say() == b""


def test_481_fails_the_session_as_well() -> None:
    end, session = alice()
    end.connection.send(session, "text/plain", b"x", message_id="id12")
    waiting = end.connection.send(session, "text/plain", b"y")
    end.say()
    answer(end, "a0000003", "481 Gone")
    assert end.saw(SessionFailed) == [SessionFailed(session, 481)]
    end.connection.remove(session)
    failed = end.drain()
    assert failed == [MessageFailed(waiting, 0, "the session ended", False)]


def test_what_was_never_begun_surely_did_not_arrive() -> None:
    end, session = alice()
    message = end.connection.send(session, "text/plain", b"x")
    end.connection.remove(session)
    assert end.drain() == [MessageFailed(message, 0, "the session ended", True)]
    with pytest.raises(LocalProtocolError):
        end.connection.send(session, "text/plain", b"x")


def test_an_answer_to_nothing_is_counted() -> None:
    end, _ = alice()
    answer(end, "nobody")
    assert end.saw(Fault) == [Fault("stray-response")]


# -- breaking off ------------------------------------------------------------------------------------------


def test_a_message_is_broken_off_in_the_middle_of_a_chunk() -> None:
    pair = Pair(limits=Limits(slice_bytes=10_000))
    message = pair.alice.connection.send(pair.at_alice, "text/plain", b"x" * 90_000)
    pair.bob.hear(pair.alice.connection.data_to_send())
    pair.alice.connection.abort(message)
    pair.talk()
    assert [event.why for event in pair.bob.saw(MessageAborted)] == ["sender"]
    assert not pair.alice.saw(MessageFailed)


def test_a_message_is_broken_off_between_two_chunks() -> None:
    pair = Pair()
    pair.at_alice.chunk_bytes = 2048
    message = pair.alice.connection.send(pair.at_alice, "text/plain", None, total_bytes=90_000)
    pair.alice.connection.feed(message, b"x" * 2048)
    pair.alice.connection.feed(message, b"y")
    pair.talk()
    pair.alice.connection.abort(message)
    pair.talk()
    assert [event.why for event in pair.bob.saw(MessageAborted)] == ["sender"]
    pair.alice.connection.abort(message)
    assert pair.alice.say() == b""


def test_a_message_that_was_not_begun_is_broken_off_without_a_word() -> None:
    end, session = alice()
    end.connection.abort(end.connection.send(session, "text/plain", b"x"))
    assert end.say() == b""


# -- reports -----------------------------------------------------------------------------------------------


def test_rct_8_a_message_is_confirmed_when_reports_cover_all_of_it() -> None:
    end, session = alice()
    message = end.connection.send(session, "text/plain", b"x" * 10, wants_success=True)
    end.say()
    answer(end, "a0000003")
    report(end, message, "000 200 OK", "6-10/10")
    report(end, message, "000 200 OK", "1-3/10")
    assert not end.saw(MessageConfirmed)
    report(end, message, "000 200 OK", "4-5/10")
    report(end, message, "000 200 OK", "4-5/10")
    assert end.saw(MessageConfirmed) == [MessageConfirmed(message)]


def test_a_report_without_a_range_covers_everything() -> None:
    end, session = alice()
    message = end.connection.send(session, "text/plain", b"x" * 10, wants_success=True)
    end.say()
    report(end, message, "000 200")
    assert end.saw(MessageConfirmed) == [MessageConfirmed(message)]


@pytest.mark.parametrize(
    ("status", "session_fails"), [("413", False), ("403", False), ("408", True), ("481", True)]
)
def test_a_relay_may_report_a_failure_after_it_took_the_message(status: str, session_fails: bool) -> None:
    end, session = alice()
    message = end.connection.send(session, "text/plain", b"x")
    end.say()
    answer(end, "a0000003")
    report(end, message, f"000 {status} no", "1-1/1")
    assert end.saw(MessageFailed) == [MessageFailed(message, int(status), "no", status != "408")]
    assert bool(end.saw(SessionFailed)) is session_fails


def test_rct_10_reports_on_nothing_and_in_other_namespaces_are_ignored() -> None:
    end, session = alice()
    message = end.connection.send(session, "text/plain", b"x")
    end.say()
    report(end, message, "001 500 what")
    report(end, message, "000 413", message_id="other")
    assert end.say() == b""
    assert end.saw(Fault) == [Fault("stray-report")] * 2
    assert message.stage is not Stage.FAILED


def test_old_messages_are_forgotten() -> None:
    pair = Pair(limits=Limits(max_sent=2))
    first = pair.alice.connection.send(
        pair.at_alice, "text/plain", b"x", message_id="id00", wants_success=True
    )
    for number in range(1, 4):
        pair.talk()
        pair.alice.connection.send(pair.at_alice, "text/plain", b"x", message_id=f"id0{number}")
    pair.talk()
    pair.bob.connection.report(pair.bob.saw(MessageReceived)[0].message, 200)
    pair.talk()
    assert first.stage is Stage.TAKEN
    with pytest.raises(LocalProtocolError):
        pair.alice.connection.send(pair.at_alice, "text/plain", b"x", message_id="id03")


# -- signs of life -----------------------------------------------------------------------------------------


def test_ses_28_silence_is_broken_and_must_be_answered() -> None:
    pair = Pair(timing=Timing(keepalive_s=60))
    assert pair.alice.wait(59) == []
    assert pair.alice.say() == b""
    pair.alice.wait(1)
    said = pair.alice.say()
    assert b" SEND" in said
    pair.bob.hear(said)
    pair.alice.hear(pair.bob.say())
    assert pair.alice.wait(50) == []
    pair.alice.wait(10)
    pair.alice.say()
    pair.alice.wait(30)
    assert pair.alice.saw(Broken) == [Broken("no-answer")]


@pytest.mark.parametrize(
    "bad",
    [
        {"message_id": "-abc"}, {"message_id": "a b c"}, {"failure": "maybe"},
        {"fields": (("X", "a\r\nb"),)}, {"content_type": "a\r\nb"},
    ],
)  # fmt: skip
def test_ses_6_what_would_break_the_protocol_is_not_sent(bad: dict[str, object]) -> None:
    end, session = alice()
    kind = str(bad.pop("content_type", "text/plain"))
    with pytest.raises(LocalProtocolError):
        end.connection.send(session, kind, b"x", **bad)  # type: ignore[arg-type]
    assert end.say() == b""


def test_a_session_without_a_path_cannot_send() -> None:
    end = End("a")
    session = end.expect(ALICE)
    with pytest.raises(LocalProtocolError):
        end.connection.add(session, greet=True)


def test_two_sessions_cannot_share_a_uri() -> None:
    end = End("a")
    end.expect(ALICE, BOB)
    with pytest.raises(LocalProtocolError):
        end.expect(ALICE.upper().replace("IAU39SOE2843Z", "iau39soe2843z").replace("MSRP", "msrp"), BOB)
