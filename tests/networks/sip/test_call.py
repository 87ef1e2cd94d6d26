"""A session by INVITE, with a clock of our own: Romeo calls, Juliet answers, and what can go wrong does."""

from __future__ import annotations

import pytest

from rialto.model.errors import LocalProtocolError
from rialto.networks.sip.wire import Request, Response, response_to
from rialto.networks.sip.wire.call import (
    Acknowledge,
    Acknowledged,
    Answer,
    Answered,
    Call,
    Cancel,
    Event,
    Output,
    Over,
    Refused,
    Reoffered,
    Ringing,
    Send,
    State,
    Terms,
)
from rialto.networks.sip.wire.dialogs import Dialog

SDP = "application/sdp"
OFFER, ANSWER = b"v=0 offer", b"v=0 answer"


class Caller:
    """One call of ours, and what the far side says to it."""

    def __init__(self, **terms: float) -> None:
        dialog = Dialog("thread-1", "sip:romeo@a.example", "sip:juliet@b.example", "ours")
        self.call = Call(dialog, Terms(contact="<sip:romeo@192.0.2.1>", **terms), lambda: 0.5)  # type: ignore[arg-type]
        self.now = 100.0

    def outputs(self) -> list[Output]:
        found = []
        while (output := self.call.next_output()) is not None:
            found.append(output)
        return found

    def events(self) -> list[Event]:
        found = []
        while (event := self.call.next_event()) is not None:
            found.append(event)
        return found

    def run(self, seconds: float) -> list[tuple[float, Output]]:
        """Let time pass; (seconds since now, output)."""
        end, start, found = self.now + seconds, self.now, []
        while (due := self.call.next_timer()) is not None and due <= end:
            self.now = max(self.now, due)
            self.call.handle_timer(self.now)
            found += [(round(self.now - start, 3), output) for output in self.outputs()]
        self.now = end
        return found

    # as the one who calls

    def invite(self) -> Request:
        self.call.invite(OFFER, SDP, self.now)
        (sent,) = self.outputs()
        assert isinstance(sent, Send)
        assert sent.kind == "invite"
        return sent.request

    def answers(
        self,
        request: Request,
        status: int,
        *headers: tuple[str, str],
        tag: str = "theirs",
        kind: str = "invite",
        body: bytes = b"",
    ) -> Response:
        response = response_to(with_via(request), status, to_tag=tag, headers=headers, body=body)
        self.call.receive_response(kind, response, self.now)
        return response

    def picked_up(self, *headers: tuple[str, str]) -> Request:
        """Up to the ACK; the INVITE."""
        invite = self.invite()
        self.answers(invite, 200, ("Contact", "<sip:juliet@198.51.100.7>"), *headers, body=ANSWER)
        (ack,) = self.outputs()
        assert isinstance(ack, Acknowledge)
        (event,) = self.events()
        assert isinstance(event, Answered)
        return invite

    # as the one who is called

    def called(self, *headers: tuple[str, str], body: bytes = OFFER) -> Request:
        request = from_juliet("INVITE", 7, *headers, body=body)
        self.call.dialog = Dialog(
            "thread-1", "sip:romeo@a.example", "sip:juliet@b.example", "ours", "theirs", "sip:juliet@there"
        )
        self.call.receive_invite("t-invite", request, self.now)
        return request

    def up(self, *headers: tuple[str, str]) -> None:
        """Called, taken, acknowledged."""
        self.called(*headers)
        self.call.accept(ANSWER, SDP, self.now)
        self.outputs()
        self.call.receive_ack(from_juliet("ACK", 7), self.now)
        self.events()

    def hears(self, method: str, number: int, *headers: tuple[str, str], body: bytes = b"") -> bool:
        request = from_juliet(method, number, *headers, body=body)
        return self.call.receive_request(f"t-{method.lower()}", request, self.now)


def with_via(request: Request) -> Request:
    if "Via" in request.firsts:
        return request
    headers = [("Via", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1"), *request.headers]
    return Request(request.method, request.uri, headers, request.body)


def from_juliet(method: str, number: int, *headers: tuple[str, str], body: bytes = b"") -> Request:
    return Request(
        method,
        "sip:romeo@192.0.2.1",
        [
            ("Via", f"SIP/2.0/UDP b.example;branch=z9hG4bK{number}{method}"),
            ("Max-Forwards", "70"),
            ("From", "<sip:juliet@b.example>;tag=theirs"),
            ("To", "<sip:romeo@a.example>;tag=ours"),
            ("Call-ID", "thread-1"),
            ("CSeq", f"{number} {method}"),
            ("Contact", "<sip:juliet@198.51.100.7>"),
            *headers,
        ],
        body,
    )


def one(outputs: list[Output]) -> Output:
    (output,) = outputs
    return output


# Calling


def test_romeo_calls_and_juliet_picks_up() -> None:
    romeo = Caller()
    invite = romeo.invite()
    assert invite.method == "INVITE"
    assert invite.body == OFFER
    assert invite.get("Content-Type") == SDP
    assert invite.get("Contact") == "<sip:romeo@192.0.2.1>"
    assert invite.get("Session-Expires") == "1800"
    romeo.answers(invite, 100)
    romeo.answers(invite, 180)
    assert romeo.events() == [Ringing(180)]
    routes = ("Record-Route", "<sip:p2.example;lr>, <sip:p1.example;lr>")
    response = romeo.answers(invite, 200, ("Contact", "<sip:juliet@198.51.100.7>"), routes, body=ANSWER)
    assert romeo.events() == [Answered(response, ANSWER)]
    ack = one(romeo.outputs())
    assert isinstance(ack, Acknowledge)
    # RFC 3261 sections 12.1.2 and 13.2.2.4
    assert ack.request.method == "ACK"
    assert ack.request.uri == "sip:juliet@198.51.100.7"
    assert ack.request.get_all("Route") == ["<sip:p1.example;lr>", "<sip:p2.example;lr>"]
    assert ack.request.cseq == (invite.cseq[0], "ACK")
    assert ack.request.to.tag == "theirs"
    assert romeo.call.state is State.UP


def test_a_repeated_answer_is_acknowledged_again_and_told_once() -> None:
    romeo = Caller()
    invite = romeo.picked_up()
    romeo.answers(invite, 200, ("Contact", "<sip:juliet@198.51.100.7>"))
    assert isinstance(one(romeo.outputs()), Acknowledge)
    assert romeo.events() == []


def test_a_second_phone_that_answers_is_acknowledged_and_hung_up() -> None:
    # RFC 3261 section 13.2.2.4
    romeo = Caller()
    invite = romeo.picked_up()
    romeo.answers(invite, 200, ("Contact", "<sip:juliet@tablet>"), tag="tablet")
    ack, bye = romeo.outputs()
    assert isinstance(ack, Acknowledge)
    assert isinstance(bye, Send)
    assert ack.request.uri == bye.request.uri == "sip:juliet@tablet"
    assert ack.request.to.tag == bye.request.to.tag == "tablet"
    assert (bye.request.method, bye.kind) == ("BYE", "stray bye")
    assert romeo.events() == []
    assert romeo.call.dialog.remote_tag == "theirs"
    romeo.answers(invite, 200, tag="tablet")
    assert isinstance(one(romeo.outputs()), Acknowledge)


def test_what_the_second_phone_says_to_that_is_nothing_to_the_session() -> None:
    romeo = Caller()
    invite = romeo.picked_up()
    romeo.answers(invite, 200, ("Contact", "<sip:juliet@tablet>"), tag="tablet")
    _, bye = romeo.outputs()
    assert isinstance(bye, Send)
    romeo.answers(bye.request, 481, kind=bye.kind)
    romeo.call.request_failed(bye.kind, "no answer", romeo.now)
    assert romeo.events() == []
    assert romeo.call.state is State.UP


def test_no_more_phones_than_can_be_counted_are_hung_up() -> None:
    romeo = Caller()
    invite = romeo.picked_up()
    for number in range(100):
        romeo.answers(invite, 200, tag=f"fork{number}")
    assert len([output for output in romeo.outputs() if isinstance(output, Send)]) == 15


@pytest.mark.parametrize("status", [302, 404, 480, 486, 488, 503, 603])
def test_juliet_says_no(status: int) -> None:
    romeo = Caller()
    response = romeo.answers(romeo.invite(), status)
    (event,) = romeo.events()
    assert event == Refused(status, response.reason, response)
    assert romeo.outputs() == []  # its ACK is the transaction's
    assert romeo.call.next_timer() is None


def test_nobody_answers_at_all() -> None:
    romeo = Caller()
    romeo.invite()
    romeo.call.request_failed("invite", "no answer", romeo.now)
    assert romeo.events() == [Refused(0, "no answer")]


def test_whoever_rings_too_long_is_let_alone() -> None:
    romeo = Caller(ring_s=30)
    invite = romeo.invite()
    romeo.answers(invite, 180)
    romeo.events()
    assert romeo.run(31) == [(30.0, Cancel())]
    response = romeo.answers(invite, 487)
    assert romeo.events() == [Refused(487, response.reason, response, cancelled=True)]


def test_a_cancel_waits_for_the_first_word() -> None:
    # RFC 3261 section 9.1
    romeo = Caller()
    invite = romeo.invite()
    romeo.call.cancel(romeo.now)
    assert romeo.outputs() == []
    romeo.answers(invite, 100)
    assert romeo.outputs() == [Cancel()]


def test_nobody_waits_for_ever_for_the_end_of_what_was_cancelled() -> None:
    romeo = Caller()
    romeo.answers(romeo.invite(), 180)
    romeo.events()
    romeo.call.cancel(romeo.now)
    romeo.run(31.9)
    assert romeo.events() == []
    romeo.run(0.2)
    assert romeo.events() == [Refused(408, "no answer", cancelled=True)]


def test_whoever_answers_while_we_cancel_is_acknowledged_and_hung_up() -> None:
    romeo = Caller()
    invite = romeo.invite()
    romeo.answers(invite, 180)
    romeo.call.cancel(romeo.now)
    romeo.outputs(), romeo.events()
    romeo.answers(invite, 200, ("Contact", "<sip:juliet@198.51.100.7>"))
    ack, bye = romeo.outputs()
    assert isinstance(ack, Acknowledge)
    assert isinstance(bye, Send)
    assert bye.kind == "bye"
    assert romeo.events() == []
    romeo.answers(bye.request, 200, kind="bye")
    (over,) = romeo.events()
    assert isinstance(over, Over)


def test_an_answer_without_contact_is_spoken_to_by_name() -> None:
    romeo = Caller()
    invite = romeo.invite()
    romeo.answers(invite, 200)
    ack = one(romeo.outputs())
    assert isinstance(ack, Acknowledge)
    assert ack.request.uri == "sip:juliet@b.example"


# Called


def test_juliet_calls_and_is_answered() -> None:
    romeo = Caller()
    romeo.called()
    romeo.call.ring()
    romeo.call.accept(ANSWER, SDP, romeo.now)
    ringing, answer = romeo.outputs()
    assert isinstance(ringing, Answer)
    assert isinstance(answer, Answer)
    assert ringing.status == 180
    assert (answer.transaction, answer.status, answer.body) == ("t-invite", 200, ANSWER)
    assert dict(answer.headers)["Content-Type"] == SDP
    assert romeo.events() == []
    romeo.call.receive_ack(from_juliet("ACK", 7), romeo.now)
    assert romeo.events() == [Acknowledged(b"")]
    assert romeo.call.state is State.UP
    assert romeo.run(100) == []


def test_the_answer_is_repeated_until_it_is_acknowledged_and_then_given_up() -> None:
    # RFC 3261 section 13.3.1.4
    romeo = Caller()
    romeo.called()
    romeo.call.accept(ANSWER, SDP, romeo.now)
    romeo.outputs()
    found = romeo.run(40)
    times = [at for at, output in found if isinstance(output, Answer)]
    assert times == [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert all(output.again for _, output in found if isinstance(output, Answer))
    at, bye = found[-1]
    assert at == 32.0
    assert isinstance(bye, Send)
    assert bye.request.method == "BYE"


def test_an_ack_of_another_invite_means_nothing() -> None:
    romeo = Caller()
    romeo.called()
    romeo.call.accept(ANSWER, SDP, romeo.now)
    romeo.call.receive_ack(from_juliet("ACK", 6), romeo.now)
    assert romeo.events() == []
    assert romeo.call.state is State.ANSWERED


def test_a_caller_without_an_offer_gets_ours_and_answers_it_in_the_ack() -> None:
    romeo = Caller()
    romeo.called(body=b"")
    romeo.call.accept(OFFER, SDP, romeo.now)
    romeo.call.receive_ack(from_juliet("ACK", 7, body=ANSWER), romeo.now)
    assert romeo.events() == [Acknowledged(ANSWER)]


def test_what_is_refused_is_over() -> None:
    romeo = Caller()
    romeo.called()
    romeo.call.reject(488, romeo.now, (("Warning", "x"),))
    assert romeo.outputs() == [Answer("t-invite", 488, (("Warning", "x"),))]
    (over,) = romeo.events()
    assert isinstance(over, Over)


def test_a_caller_may_take_it_back_before_the_answer_but_not_after() -> None:
    # RFC 3261 section 9.2
    romeo = Caller()
    romeo.called()
    assert romeo.call.receive_cancel(romeo.now)
    assert romeo.outputs() == [Answer("t-invite", 487)]
    assert romeo.events() == [Over("taken back by the caller", by_peer=True)]
    late = Caller()
    late.called()
    late.call.accept(ANSWER, SDP, late.now)
    assert not late.call.receive_cancel(late.now)


def test_whoever_hangs_up_before_the_ack_is_still_heard() -> None:
    romeo = Caller()
    romeo.called()
    romeo.call.accept(ANSWER, SDP, romeo.now)
    romeo.outputs()
    assert romeo.hears("BYE", 8)
    assert romeo.outputs() == [Answer("t-bye", 200)]
    assert romeo.run(60) == []


def test_we_do_not_hang_up_before_the_ack() -> None:
    # RFC 3261 section 15
    romeo = Caller()
    romeo.called()
    romeo.call.accept(ANSWER, SDP, romeo.now)
    romeo.outputs()
    romeo.call.bye(romeo.now, "changed our mind")
    assert romeo.outputs() == []
    romeo.call.receive_ack(from_juliet("ACK", 7), romeo.now)
    bye = one(romeo.outputs())
    assert isinstance(bye, Send)
    assert bye.request.method == "BYE"


# The end


def test_we_hang_up() -> None:
    romeo = Caller()
    romeo.picked_up()
    romeo.call.bye(romeo.now, "idle", (("Reason", "x"),))
    bye = one(romeo.outputs())
    assert isinstance(bye, Send)
    assert bye.request.get("Reason") == "x"
    assert romeo.call.state is State.CLOSING
    romeo.answers(bye.request, 481, kind="bye")
    assert romeo.events() == [Over("idle")]


def test_a_bye_that_nobody_answers_ends_it_all_the_same() -> None:
    romeo = Caller()
    romeo.picked_up()
    romeo.call.bye(romeo.now)
    romeo.outputs()
    romeo.call.request_failed("bye", "no answer", romeo.now)
    assert romeo.events() == [Over("ended")]


def test_both_hang_up_in_the_same_moment() -> None:
    romeo = Caller()
    romeo.up()
    romeo.call.bye(romeo.now)
    bye = one(romeo.outputs())
    assert isinstance(bye, Send)
    assert romeo.hears("BYE", 8)
    assert romeo.outputs() == [Answer("t-bye", 200)]
    assert not romeo.hears("BYE", 8) or romeo.outputs() == [Answer("t-bye", 500)]
    romeo.answers(bye.request, 481, kind="bye")
    assert len(romeo.events()) == 1


def test_a_request_out_of_order_is_refused() -> None:
    # RFC 3261 section 12.2.2
    romeo = Caller()
    romeo.up()
    assert romeo.hears("MESSAGE", 7)
    assert romeo.outputs() == [Answer("t-message", 500)]


def test_what_is_no_business_of_the_call_is_left_to_others() -> None:
    romeo = Caller()
    romeo.up()
    assert not romeo.hears("MESSAGE", 8)
    assert romeo.outputs() == []
    romeo.call.bye(romeo.now)
    romeo.outputs()
    assert romeo.hears("MESSAGE", 9)
    assert romeo.outputs() == [Answer("t-message", 481)]


@pytest.mark.parametrize("status", [408, 481])
def test_a_message_that_is_told_there_is_no_dialog_ends_it(status: int) -> None:
    # RFC 3261 section 12.2.1.2
    romeo = Caller()
    romeo.picked_up()
    romeo.call.request("MESSAGE", romeo.now, (), b"hi")
    sent = one(romeo.outputs())
    assert isinstance(sent, Send)
    assert sent.request.body == b"hi"
    romeo.answers(sent.request, status, kind="message")
    (over,) = romeo.events()
    assert isinstance(over, Over)
    bye = one(romeo.outputs())
    assert isinstance(bye, Send)
    assert bye.kind == "stray bye"


def test_a_message_that_is_refused_for_another_reason_leaves_the_session() -> None:
    romeo = Caller()
    romeo.picked_up()
    romeo.call.request("MESSAGE", romeo.now, (), b"hi")
    sent = one(romeo.outputs())
    assert isinstance(sent, Send)
    romeo.answers(sent.request, 415, kind="message")
    assert romeo.events() == []


def test_nothing_is_sent_in_a_session_that_is_not_up() -> None:
    romeo = Caller()
    with pytest.raises(LocalProtocolError):
        romeo.call.request("MESSAGE", romeo.now, ())
    with pytest.raises(LocalProtocolError):
        romeo.call.accept(b"", "", romeo.now)
    romeo.invite()
    with pytest.raises(LocalProtocolError):
        romeo.call.invite(OFFER, SDP, romeo.now)


# Offers in a session, and their glare


def test_another_offer_is_told_and_answered() -> None:
    romeo = Caller()
    romeo.up()
    assert romeo.hears("INVITE", 9, ("Content-Type", SDP), body=OFFER)
    (event,) = romeo.events()
    assert isinstance(event, Reoffered)
    assert event.request.body == OFFER
    romeo.call.accept(ANSWER, SDP, romeo.now)
    answer = one(romeo.outputs())
    assert isinstance(answer, Answer)
    assert answer.status == 200
    assert [type(output) for _, output in romeo.run(2)] == [Answer, Answer]  # repeated, as the first was
    romeo.call.receive_ack(from_juliet("ACK", 9), romeo.now)
    assert romeo.events() == []
    assert romeo.run(40) == []


def test_an_offer_that_is_refused_leaves_the_session_as_it_was() -> None:
    # RFC 3261 section 14.2
    romeo = Caller()
    romeo.up()
    romeo.hears("INVITE", 9, body=OFFER)
    romeo.call.reject(488, romeo.now)
    assert romeo.outputs() == [Answer("t-invite", 488)]
    assert romeo.call.state is State.UP


def test_an_offer_on_top_of_an_unacknowledged_one_must_wait() -> None:
    # RFC 3261 section 14.2
    romeo = Caller()
    romeo.called()
    romeo.call.accept(ANSWER, SDP, romeo.now)
    romeo.outputs()
    romeo.hears("INVITE", 8, body=OFFER)
    assert romeo.outputs() == [Answer("t-invite", 500, (("Retry-After", "5"),))]


def test_two_offers_that_meet_are_both_told_so_and_ours_comes_again_later() -> None:
    # RFC 3261 sections 14.1 and 14.2: the owner of the Call-ID waits longer
    romeo = Caller()
    romeo.picked_up(("Session-Expires", "100;refresher=uac"), ("Supported", "timer"))
    ((at, refresh),) = romeo.run(50)
    assert at == 50.0
    assert isinstance(refresh, Send)
    assert refresh.kind == "reinvite"
    romeo.hears("INVITE", 20, body=OFFER)
    assert romeo.outputs() == [Answer("t-invite", 491)]
    romeo.answers(refresh.request, 491, kind="reinvite")
    ((at, again),) = romeo.run(4)
    assert 2.1 <= at <= 4.0
    assert isinstance(again, Send)
    assert again.request.cseq[0] > refresh.request.cseq[0]


def test_who_was_called_waits_less_after_a_glare() -> None:
    romeo = Caller()
    romeo.up(("Session-Expires", "100;refresher=uas"), ("Supported", "timer"))
    ((_, refresh),) = romeo.run(50)
    assert isinstance(refresh, Send)
    romeo.answers(refresh.request, 491, kind="reinvite")
    ((at, _),) = romeo.run(2)
    assert at <= 2.0


# Session timers (RFC 4028)


def test_the_caller_refreshes_at_half_time_with_the_same_description() -> None:
    romeo = Caller()
    invite = romeo.picked_up(("Session-Expires", "200;refresher=uac"), ("Require", "timer"))
    ((at, refresh),) = romeo.run(100)
    assert at == 100.0
    assert isinstance(refresh, Send)
    assert refresh.request.body == OFFER
    assert refresh.request.to.tag == "theirs"
    romeo.answers(refresh.request, 200, ("Session-Expires", "200;refresher=uac"), kind="reinvite")
    ack = one(romeo.outputs())
    assert isinstance(ack, Acknowledge)
    assert ack.request.cseq[0] == refresh.request.cseq[0] > invite.cseq[0]
    assert romeo.run(99) == []


def test_update_refreshes_where_the_other_side_has_it() -> None:
    romeo = Caller()
    romeo.picked_up(("Session-Expires", "200;refresher=uac"), ("Allow", "INVITE, ACK, BYE, UPDATE"))
    ((_, refresh),) = romeo.run(100)
    assert isinstance(refresh, Send)
    assert (refresh.kind, refresh.request.method, refresh.request.body) == ("update", "UPDATE", b"")
    romeo.answers(refresh.request, 501, kind="update")
    ((_, refresh),) = romeo.run(1)
    assert isinstance(refresh, Send)
    assert refresh.kind == "reinvite"


def test_a_session_that_nobody_refreshes_ends_a_little_early() -> None:
    # RFC 4028 section 10
    romeo = Caller()
    romeo.up(("Session-Expires", "200;refresher=uac"), ("Supported", "timer"))
    ((at, bye),) = romeo.run(300)
    assert at == 168.0
    assert isinstance(bye, Send)
    assert bye.request.method == "BYE"


def test_a_refresh_of_theirs_lets_the_session_live() -> None:
    romeo = Caller()
    romeo.up(("Session-Expires", "200;refresher=uac"), ("Supported", "timer"))
    romeo.run(100)
    timer = (("Session-Expires", "200;refresher=uac"), ("Supported", "timer"))
    assert romeo.hears("UPDATE", 9, *timer)
    answer = one(romeo.outputs())
    assert isinstance(answer, Answer)
    assert answer.status == 200
    assert ("Session-Expires", "200;refresher=uac") in answer.headers
    assert romeo.run(150) == []


def test_too_brief_a_session_is_told_the_least() -> None:
    # RFC 4028 section 9
    romeo = Caller()
    romeo.called(("Session-Expires", "30"), ("Supported", "timer"))
    assert romeo.outputs() == [Answer("t-invite", 422, (("Min-SE", "90"),))]
    assert romeo.call.state is State.OVER


def test_who_is_told_that_it_is_too_brief_asks_for_more() -> None:
    romeo = Caller(session_s=200)
    invite = romeo.invite()
    romeo.answers(invite, 422, ("Min-SE", "500"))
    again = one(romeo.outputs())
    assert isinstance(again, Send)
    assert again.request.get("Session-Expires") == "500"
    assert again.request.get("Min-SE") == "500"
    assert again.request.cseq[0] > invite.cseq[0]
    romeo.answers(again.request, 422, ("Min-SE", "500"))
    (event,) = romeo.events()
    assert isinstance(event, Refused)


@pytest.mark.parametrize("status", [408, 481])
def test_a_refresh_that_is_told_there_is_no_dialog_ends_it(status: int) -> None:
    romeo = Caller()
    romeo.picked_up(("Session-Expires", "200;refresher=uac"))
    ((_, refresh),) = romeo.run(100)
    assert isinstance(refresh, Send)
    romeo.answers(refresh.request, status, kind="reinvite")
    (over,) = romeo.events()
    assert isinstance(over, Over)
    assert over.by_peer


def test_a_refresh_that_fails_otherwise_is_tried_again_until_the_session_runs_out() -> None:
    romeo = Caller()
    romeo.picked_up(("Session-Expires", "200;refresher=uac"))
    romeo_sends = []
    for _ in range(10):
        for _, output in romeo.run(30):
            assert isinstance(output, Send)
            romeo_sends.append(output.kind)
            if output.kind == "reinvite":
                romeo.answers(output.request, 500, kind="reinvite")
    assert romeo_sends == ["reinvite", "reinvite", "bye"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ((), None),
        ((("Supported", "timer"),), "1800;refresher=uac"),
        ((("Supported", "timer"), ("Session-Expires", "600")), "600;refresher=uac"),
        ((("Supported", "timer"), ("x", "600;refresher=uas")), "600;refresher=uas"),
        ((("Supported", "timer"), ("Session-Expires", "7200")), "1800;refresher=uac"),
        ((("Supported", "timer"), ("Session-Expires", "7200"), ("Min-SE", "3600")), "3600;refresher=uac"),
        ((("Session-Expires", "60"),), "90;refresher=uas"),
        ((("Session-Expires", "nonsense"),), None),
    ],
)
def test_what_is_asked_for_is_granted_within_reason(
    asked: tuple[tuple[str, str], ...], said: str | None
) -> None:
    romeo = Caller()
    romeo.called(*asked)
    romeo.call.accept(ANSWER, SDP, romeo.now)
    answer = one(romeo.outputs())
    assert isinstance(answer, Answer)
    assert dict(answer.headers).get("Session-Expires") == said
