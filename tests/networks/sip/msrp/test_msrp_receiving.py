"""What the other end says: whose it is, in which order it comes, and how it is answered."""

from __future__ import annotations

import pytest

from networks.sip.msrp.rfc_examples import RFC_4975, RFC_4976, wire
from networks.sip.msrp.talk import ALICE, BOB, End, Pair, request, send
from rialto.model.errors import LocalProtocolError
from rialto.networks.sip.msrp.wire.connection import Connection
from rialto.networks.sip.msrp.wire.events import (
    Broken,
    DuplicateReceived,
    Fault,
    MessageAborted,
    MessageBegan,
    MessageReceived,
    SessionBound,
)
from rialto.networks.sip.msrp.wire.incoming import Incoming
from rialto.networks.sip.msrp.wire.session import Seen, Session
from rialto.networks.sip.msrp.wire.terms import Limits, Timing
from rialto.networks.sip.msrp.wire.uri import parse_uri

HOWS = ["whole", "bytes", "random"]


def bob(**more: object) -> End:
    """Bob, who expects Alice."""
    end = End("b", **{name: more.pop(name) for name in ("limits", "timing") if name in more})  # type: ignore[arg-type]
    end.expect(BOB, ALICE, **more)
    return end


def answers(end: End) -> list[tuple[str, str]]:
    """(transaction, status) of what it answers."""
    lines = [line for line in end.say().decode().split("\r\n") if line.startswith("MSRP ")]
    return [(line.split()[1], line.split()[2]) for line in lines]


# -- the examples ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", HOWS)
def test_hi_from_alice_is_received_and_answered_as_the_rfc_shows(how: str) -> None:
    end = bob()
    end.hear(wire(RFC_4975["hi_alice"]), how)
    assert end.whole == {"12339sdqwer": b"Hi, I'm Alice!"}
    assert end.say() == wire(RFC_4975["hi_alice_ok"])
    assert [session.local for session in (event.session for event in end.saw(SessionBound))] == [
        parse_uri(BOB)
    ]


@pytest.mark.parametrize("how", HOWS)
def test_hi_from_bob_is_received_and_answered_as_the_rfc_shows(how: str) -> None:
    end = End("a")
    end.expect(ALICE.replace("alice.", "alicepc."), BOB)
    end.hear(wire(RFC_4975["hi_bob"]), how)
    assert end.whole == {"456s9wlk3": b"Hi, Alice!  I'm Bob!"}
    assert end.say() == wire(RFC_4975["hi_bob_ok"])


@pytest.mark.parametrize("how", HOWS)
def test_a_cpim_message_in_two_chunks_is_one(how: str) -> None:
    end = End("b")
    end.expect(
        "msrp://bobpc.example.com:8888/9di4eae923wzd;tcp", "msrp://alicepc.example.com:7654/iau39soe2843z;tcp"
    )
    first = wire(RFC_4975["chunk_one"])
    content = first.split(b"\r\n\r\n", 1)[1].removesuffix(b"\r\n-------d93kswow+\r\n")
    # The example's own count does not fit its own text.
    second = wire(RFC_4975["chunk_two"]).replace(
        b"138-148/148", b"%d-%d/%d" % (len(content) + 1, *[len(content) + 10] * 2)
    )
    end.hear(first, how)
    assert end.whole == {}
    assert answers(end) == [("d93kswow", "200")]
    end.hear(second, how)
    assert end.whole == {"12339sdqwer": content + b"1234567890"}
    assert answers(end) == [("op2nc9a", "200")]


def test_nobody_answers_a_message_that_wants_no_answer() -> None:
    end = End("a")
    end.expect(
        "msrp://alicepc.example.com:8888/9di4eae923wzd;tcp", "msrp://example.com:7777/iau39soe2843z;tcp"
    )
    end.hear(wire(RFC_4975["system"]))
    assert end.whole == {"12339sdqwer": b"This conference will end in 5 minutes"}
    assert end.say() == b""


def test_a_success_report_is_sent_as_the_rfc_shows() -> None:
    end = bob()
    end.hear(wire(RFC_4975["important"]))
    message = end.saw(MessageReceived)[0].message
    assert end.say() == b""  # Failure-Report: no
    end.connection.report(message, 200, "OK")
    shown = wire(RFC_4975["important_report"]).replace(b"dkei38sd", b"b0000001")
    length = message.received_bytes
    assert end.say() == shown.replace(b"1-106/106", b"1-%d/%d" % (length, length))


def test_what_came_through_relays_is_reported_back_through_them() -> None:
    end = End("b")
    end.expect("msrps://bob.example.net:8145/foo;tcp", "msrps://b.example.net:9000/aeiug;tcp")
    end.hear(wire(RFC_4976["relayed_3"]))
    assert end.say() == wire(RFC_4976["relayed_3_ok"][:-1]) + b"-------xght6$\r\n"
    end.connection.report(end.saw(MessageReceived)[0].message, 200, "OK")
    assert end.say() == wire(RFC_4976["report_1"]).replace(b"yh67", b"b0000001")


# -- whose it is -------------------------------------------------------------------------------------------


def test_ses_22_a_request_for_no_session_is_told_481() -> None:
    end = bob()
    end.hear(send("abcd", "id12", "x", to="msrp://bob.example.com:8888/other;tcp"))
    assert answers(end) == [("abcd", "481")]
    assert end.events == [Fault("no-session")]


def test_ses_22_a_session_that_lives_elsewhere_is_told_506() -> None:
    end = bob()
    end.hear(send("abcd", "id12", "x"))
    other = Connection(find=end.book.find, make_id=lambda: "other000", clock=lambda: 0.0)
    other.receive_data(send("efgh", "id34", "y"), 0.0)
    assert b"MSRP efgh 506" in other.data_to_send()
    assert not other.sessions


def test_a_session_that_this_connection_may_not_have_is_refused() -> None:
    connection = Connection(find=lambda uri: 403, make_id=lambda: "other000", clock=lambda: 0.0)
    connection.receive_data(send("efgh", "id34", "y"), 0.0)
    assert b"MSRP efgh 403 Forbidden" in connection.data_to_send()


def test_a_path_that_goes_on_is_not_ours_to_go() -> None:
    end = bob()
    end.hear(send("abcd", "id12", "x", to=f"{BOB} msrp://c.example.com:1/c;tcp"))
    assert answers(end) == [("abcd", "481")]


def test_a_refusal_is_not_told_to_those_who_want_no_answer() -> None:
    end = bob()
    end.hear(send("abcd", "id12", "x", "Failure-Report: no", to="msrp://bob.example.com:8888/other;tcp"))
    assert end.say() == b""


def test_a_send_without_content_binds_the_session_and_is_answered() -> None:
    end = bob()
    end.hear(send("abcd", "id12", None))
    assert answers(end) == [("abcd", "200")]
    assert [type(event) for event in end.events] == [SessionBound]


def test_an_unknown_method_is_told_501_all_the_way_back() -> None:
    end = bob()
    back = f"msrp://relay.example.com:9/r;tcp {ALICE}"
    end.hear(request(["MSRP abcd NICKNAME", f"To-Path: {BOB}", f"From-Path: {back}", 'Use-Nickname: "A"']))
    said = end.say()
    assert b"MSRP abcd 501 Unknown Method\r\nTo-Path: " + back.encode() in said


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (send("abcd", "id 12", "x"), "400"),
        (send("abcd", "id12", "x", span="0-1/1"), "400"),
        (send("abcd", "id12", "x", "Failure-Report: maybe"), "400"),
        (send("abcd", "id12", "x", "Success-Report: maybe"), "400"),
        (send("abcd", "id12", "x", "Message-ID: other"), "400"),
        (send("abcd", "id12", "x", kind=""), "400"),
        (send("abcd", "id12", "x", to="sip:bob@example.com"), "400"),
        (send("abcd", "id12", "x", f"To-Path: {BOB}"), "400"),
    ],
)
def test_a_request_that_breaks_the_rules_is_told_so(data: bytes, status: str) -> None:
    end = bob()
    end.hear(data)
    assert answers(end) == [("abcd", status)]
    assert not end.whole


@pytest.mark.parametrize(
    "data",
    [
        request(["MSRP abcd SEND", f"To-Path: {BOB}"], "x"),
        request(["MSRP abcd SEND", f"To-Path: {BOB}", "From-Path: nobody"], "x"),
        request(["MSRP abcd SEND", "no colon"], "x"),
        request(["MSRP abcd 200 OK", "no colon"]),
        request(["MSRP abcd REPORT", f"To-Path: {BOB}", f"From-Path: {ALICE}"]),
    ],
)
def test_where_nobody_can_be_answered_nobody_is(data: bytes) -> None:
    end = bob()
    end.hear(data)
    assert end.say() == b""
    assert Fault("bad-request") in end.events
    end.hear(send("efgh", "id34", "y"))
    assert answers(end) == [("efgh", "200")]


def test_what_is_not_msrp_breaks_the_connection() -> None:
    end = bob()
    end.hear(send("abcd", "id12", "begun", flag="+"))
    end.hear(b"SSH-2.0-client\r\n")
    assert [event.code for event in end.saw(Broken)] == ["not-msrp"]
    assert [event.why for event in end.saw(MessageAborted)] == ["gone"]
    assert end.connection.next_timer() is None


# -- chunks ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", HOWS)
def test_chunks_that_come_out_of_order_are_put_in_order(how: str) -> None:
    end = bob()
    for transaction, body, span, flag in (
        ("t001", "ghi", "7-9/9", "$"),
        ("t002", "def", "4-*/9", "+"),
        ("t003", "abc", "1-3/9", "+"),
    ):
        end.hear(send(transaction, "id12", body, span=span, flag=flag), how)
    assert end.whole == {"id12": b"abcdefghi"}
    assert answers(end) == [("t001", "200"), ("t002", "200"), ("t003", "200")]


def test_where_held_chunks_overlap_the_last_to_come_counts() -> None:
    end = bob()
    end.hear(send("t001", "id12", "BCDEF", span="2-6/8", flag="+"))
    end.hear(send("t002", "id12", "cde", span="3-5/8", flag="+"))
    end.hear(send("t003", "id12", "fgh", span="6-8/8", flag="$"))
    end.hear(send("t004", "id12", "ab", span="1-2/8", flag="+"))
    assert end.whole == {"id12": b"abcdefgh"}


def test_what_was_handed_on_stays() -> None:
    end = bob()
    end.hear(send("t001", "id12", "abcd", span="1-4/6", flag="+"))
    end.hear(send("t002", "id12", "XXef", span="3-6/6", flag="$"))
    assert end.whole == {"id12": b"abcdef"}


def test_a_chunk_is_as_long_as_it_is_whatever_it_says() -> None:
    end = bob()
    end.hear(send("t001", "id12", "abc", span="1-500/500", flag="+"))
    end.hear(send("t002", "id12", "def", span="4-500/500", flag="$"))
    assert end.whole == {"id12": b"abcdef"}


def test_an_empty_last_chunk_ends_a_message() -> None:
    for span in ("1-0/6", "7-6/6"):
        end = bob()
        end.hear(send("t001", "id12", "abcdef", span="1-*/6", flag="+"))
        end.hear(send("t002", "id12", "", span=span, flag="$"))
        assert end.whole == {"id12": b"abcdef"}


def test_a_message_may_be_empty() -> None:
    end = bob()
    end.hear(send("t001", "id12", "", span="1-0/0"))
    assert end.whole == {"id12": b""}


def test_later_chunks_may_leave_out_what_the_first_said() -> None:
    end = bob()
    end.hear(send("t001", "id12", "abc", span="1-*/6", flag="+"))
    end.hear(send("t002", "id12", "def", span="4-6/6", kind=""))
    assert end.whole == {"id12": b"abcdef"}


@pytest.mark.parametrize("second", [("def", "4-*/6", "$"), ("", "2-*/6", "$"), ("defg", "4-*/6", "+")])
def test_chunks_that_contradict_one_another_end_their_message(second: tuple[str, str, str]) -> None:
    body, span, flag = second
    end = bob()
    end.hear(send("t001", "id12", "ef", span="5-6/6", flag="$"))
    end.hear(send("t002", "id12", body * 2 or "x", span=span, flag=flag))
    end.hear(send("t003", "id12", "abcd", span="1-*/6", flag="+"))
    assert [event.why for event in end.saw(MessageAborted)] == ["inconsistent"]
    assert answers(end)[1:] == [("t002", "400"), ("t003", "400")]
    assert end.whole == {}


def test_an_aborted_message_never_arrives() -> None:
    end = bob()
    end.hear(send("t001", "id12", "abc", span="1-*/6", flag="+"))
    end.hear(send("t002", "id12", "d", span="4-*/6", flag="#"))
    assert [event.why for event in end.saw(MessageAborted)] == ["sender"]
    assert answers(end) == [("t001", "200"), ("t002", "200")]


def test_messages_may_be_interleaved() -> None:
    end = bob()
    end.hear(send("t001", "id12", "abc", span="1-*/6", flag="+"))
    end.hear(send("t002", "id34", "one"))
    end.hear(send("t003", "id12", "def", span="4-*/6", flag="$"))
    assert end.whole == {"id34": b"one", "id12": b"abcdef"}


# -- limits ------------------------------------------------------------------------------------------------


def test_ses_15_a_message_that_says_it_is_too_large_is_refused_at_once() -> None:
    end = bob(max_bytes=100)
    end.hear(send("t001", "id12", "abc", span="1-*/101", flag="+")[:-5])
    assert answers(end) == [("t001", "413")]  # before its end: the sender can stop
    end.hear(b"01+\r\n")
    end.hear(send("t002", "id12", "abc", span="4-*/101", flag="+"))
    assert answers(end) == [("t002", "413")]
    assert end.content == {}


def test_ses_15_a_message_that_turns_out_too_large_is_refused_when_it_does() -> None:
    end = bob(max_bytes=100)
    end.hear(send("t001", "id12", "x" * 90, span="1-*/*", flag="+"))
    end.hear(send("t002", "id12", "x" * 11, span="91-*/*", flag="+"))
    assert answers(end) == [("t001", "200"), ("t002", "413")]
    assert [event.why for event in end.saw(MessageAborted)] == ["too-large"]


def test_no_more_than_so_much_is_held_for_a_message() -> None:
    end = bob(limits=Limits(max_held_bytes=1000))
    end.hear(send("t001", "id12", "x" * 1001, span="10-*/*", flag="+"))
    assert answers(end) == [("t001", "413")]


def test_a_sender_cannot_begin_messages_without_end() -> None:
    end = bob(limits=Limits(max_incoming=3))
    for number in range(4):
        end.hear(send(f"t00{number}", f"id1{number}", "x", span="1-*/*", flag="+"))
    assert [status for _, status in answers(end)] == ["200", "200", "200", "413"]


def test_one_session_cannot_use_up_what_all_may_begin() -> None:
    end = bob(limits=Limits(max_incoming=2, max_all_incoming=3))
    other = BOB.replace("8888/", "8888/2")
    end.expect(other, ALICE)
    for number in range(4):
        to = BOB if number < 2 else other
        end.hear(send(f"t00{number}", f"id1{number}", "x", to=to, span="1-*/*", flag="+"))
    assert [status for _, status in answers(end)] == ["200", "200", "200", "413"]


def test_ses_19_a_type_that_was_not_announced_is_told_415() -> None:
    end = bob(accept_types=("message/cpim", "text/*"))
    end.hear(send("t001", "id12", "x", kind="Text/Plain;charset=utf-8"))
    end.hear(send("t002", "id34", "x", kind="image/png"))
    end.hear(send("t003", "id56", "x", "Failure-Report: no", kind="image/png"))
    end.hear(send("t004", "id78", "x", "Failure-Report: partial", kind="image/png"))
    assert answers(end) == [("t001", "200"), ("t002", "415"), ("t004", "415")]
    assert list(end.whole) == ["id12"]


# -- decisions ---------------------------------------------------------------------------------------------


def test_a_whole_message_is_answered_when_it_is_decided_on_and_not_before() -> None:
    end = bob()
    end.decide = None
    end.hear(send("t001", "id12", "x"))
    assert end.say() == b""
    end.connection.accept(end.saw(MessageReceived)[0].message)
    assert answers(end) == [("t001", "200")]
    with pytest.raises(LocalProtocolError):
        end.connection.accept(end.saw(MessageReceived)[0].message)


@pytest.mark.parametrize(
    ("failure", "answered"), [("", True), ("Failure-Report: partial", True), ("Failure-Report: no", False)]
)
def test_a_refusal_says_why_unless_nobody_wants_to_know(failure: str, answered: bool) -> None:
    end = bob()
    end.decide = lambda message: end.connection.refuse(message, 403, "not\r\nhere")
    end.hear(send("t001", "id12", "x", *([failure] if failure else [])))
    assert (b"MSRP t001 403 not  here\r\n" in end.say()) is answered


def test_partial_is_silent_about_success() -> None:
    end = bob()
    end.hear(send("t001", "id12", "x", "Failure-Report: partial"))
    assert end.whole == {"id12": b"x"}
    assert end.say() == b""


def test_a_message_can_be_refused_in_the_middle_of_a_chunk() -> None:
    end = bob()
    whole = send("t001", "id12", "x" * 5000, span="1-*/90000", flag="+")
    end.hear(whole[:3000])
    end.connection.refuse(end.saw(MessageBegan)[0].message, 413)
    assert answers(end) == [("t001", "413")]
    got = len(end.content["id12"])
    end.hear(whole[3000:])
    end.hear(send("t002", "id12", "y", span="5001-*/90000", flag="+"))
    assert answers(end) == [("t002", "413")]
    assert len(end.content["id12"]) == got


def test_a_message_can_be_refused_between_two_chunks() -> None:
    end = bob()
    end.hear(send("t001", "id12", "x", span="1-*/9", flag="+"))
    end.connection.refuse(end.saw(MessageBegan)[0].message, 415)
    end.hear(send("t002", "id12", "y", span="2-*/9", flag="+"))
    assert answers(end) == [("t001", "200"), ("t002", "415")]


def test_what_was_accepted_is_not_accepted_again() -> None:
    end = bob()
    end.hear(send("t001", "id12", "x"))
    end.hear(send("t002", "id12", "x"))
    assert answers(end) == [("t001", "200"), ("t002", "200")]
    assert len(end.saw(MessageReceived)) == 1
    assert len(end.saw(DuplicateReceived)) == 1


def test_what_was_accepted_in_an_earlier_session_is_known_in_the_next() -> None:
    seen = Seen()
    first, second = bob(seen=seen), bob(seen=seen)
    first.hear(send("t001", "id12", "x"))
    second.hear(send("t002", "id12", "x"))
    assert second.whole == {}
    assert answers(second) == [("t002", "200")]


def test_what_was_refused_may_be_sent_again_whole() -> None:
    end = bob()
    end.decide = lambda message: end.connection.refuse(message, 403)
    end.hear(send("t001", "id12", "x"))
    end.decide = end.connection.accept
    end.hear(send("t002", "id12", "x"))
    assert answers(end) == [("t001", "403"), ("t002", "200")]


# -- reports -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "status", "sent"),
    [
        ((), 200, False),
        (("Success-Report: yes",), 200, True),
        ((), 408, True),
        (("Failure-Report: partial",), 403, True),
        (("Failure-Report: no",), 403, False),
        (("Failure-Report: no", "Success-Report: yes"), 200, True),
    ],
)
def test_rct_10_reports_are_sent_to_those_who_asked(asked: tuple[str, ...], status: int, sent: bool) -> None:
    end = bob()
    end.hear(send("t001", "id12", "x", *asked))
    end.say()
    end.connection.report(end.saw(MessageReceived)[0].message, status, "")
    said = end.say().decode()
    assert (f"Status: 000 {status}\r\n" in said) is sent
    assert "Report:" not in said


def test_a_report_needs_its_session() -> None:
    end = bob()
    end.hear(send("t001", "id12", "x", "Success-Report: yes"))
    message = end.saw(MessageReceived)[0].message
    end.connection.remove(message.session)
    with pytest.raises(LocalProtocolError):
        end.connection.report(message, 200)


# -- time --------------------------------------------------------------------------------------------------


def test_a_message_that_does_not_go_on_is_forgotten() -> None:
    end = bob(timing=Timing(message_s=540))
    end.hear(send("t001", "id12", "x", span="1-*/9", flag="+"))
    end.wait(539)
    assert not end.saw(MessageAborted)
    end.wait(2)
    assert [event.why for event in end.saw(MessageAborted)] == ["stalled"]
    end.hear(send("t002", "id12", "y", span="2-*/9", flag="+"))
    assert answers(end) == [("t001", "200"), ("t002", "413")]


def test_a_head_that_does_not_end_breaks_the_connection_however_busy_it_looks() -> None:
    end = bob(timing=Timing(head_s=30))
    for byte in send("abcd", "id12", "x")[:40]:
        end.hear(bytes([byte]))
        end.wait(1)
    assert [event.code for event in end.saw(Broken)] == ["slow"]


def test_a_chunk_that_stands_still_breaks_the_connection() -> None:
    end = bob(timing=Timing(chunk_s=60))
    end.hear(send("abcd", "id12", "x" * 500)[:-100])
    end.wait(59)
    assert not end.saw(Broken)
    end.wait(2)
    assert [event.code for event in end.saw(Broken)] == ["slow"]
    assert [event.why for event in end.saw(MessageAborted)] == ["gone"]


def test_when_the_connection_ends_everything_ends() -> None:
    pair = Pair()
    pair.bob.hear(send("t001", "id12", "x", span="1-*/9", flag="+"))
    pair.bob.hear(b"")
    assert [event.why for event in pair.bob.saw(MessageAborted)] == ["gone"]
    assert pair.at_bob.connection is None
    assert pair.bob.hear(send("t002", "id34", "x")) == []
    with pytest.raises(LocalProtocolError):
        pair.bob.connection.add(pair.at_bob, greet=False)


def test_secrets_of_a_session_are_not_shown() -> None:
    session = Session(parse_uri(BOB))
    assert "9di4eae923wzd" not in repr(session)
    assert isinstance(repr(bob()), str)
    assert Incoming.__slots__
