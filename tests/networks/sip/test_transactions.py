"""Transactions, with a clock of our own: Alice and Bob over networks that lose, repeat and break."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rialto.model.errors import LocalProtocolError
from rialto.networks.sip.wire import Request, Response, parse_message, response_to
from rialto.networks.sip.wire.lanes import Lanes
from rialto.networks.sip.wire.tables import CLIENT, INVITE_CLIENT, INVITE_SERVER, SERVER, ack_for
from rialto.networks.sip.wire.timers import Durations, Timing
from rialto.networks.sip.wire.transaction import (
    AckReceived,
    RequestReceived,
    ResponseReceived,
    ServerTransaction,
    State,
    TimedOut,
    TransportFailed,
)
from rialto.networks.sip.wire.transactions import TransactionLayer, server_key

FINAL = {State.TERMINATED}


@dataclasses.dataclass(eq=False)
class Flow:
    reliable: bool = False
    alive: bool = True
    remote: tuple[str, int] = ("192.0.2.7", 5060)


UDP = "udp"
TCP = "tcp"


def request(
    method: str = "MESSAGE", branch: str = "z9hG4bK1", cseq: int = 1, to: str = "<sip:bob@b.example>"
) -> Request:
    headers = [
        ("Via", f"SIP/2.0/UDP a.example;branch={branch}"),
        ("Max-Forwards", "70"),
        ("From", "<sip:alice@a.example>;tag=1"),
        ("To", to),
        ("Call-ID", "c1"),
        ("CSeq", f"{cseq} {method}"),
    ]
    return Request(method, "sip:bob@b.example", headers)


class Stage:
    """One layer, one clock, and what it wrote."""

    def __init__(self, transport: str = UDP) -> None:
        self.layer = TransactionLayer()
        self.flow = Flow(reliable=transport == TCP)
        self.now = 1000.0

    def sent(self) -> list[Request | Response]:
        return [parse_message(data) for _, data in self.layer.data_to_send()]

    def heard(self) -> list[object]:
        events = []
        while (event := self.layer.next_event()) is not None:
            events.append(event)
        return events

    def run(self, seconds: float) -> list[tuple[float, Request | Response]]:
        """Let time pass; (seconds since now, message) of everything that was sent meanwhile."""
        end, start, sent = self.now + seconds, self.now, []
        while (due := self.layer.next_timer()) is not None and due <= end:
            self.now = max(self.now, due)
            self.layer.handle_timer(self.now)
            sent += [(round(self.now - start, 3), message) for message in self.sent()]
        self.now = end
        return sent

    def receive(self, message: Request, flow: Flow | None = None) -> None:
        self.layer.receive_request(message, flow or self.flow, self.now)

    def arrives(self, message: Request) -> ServerTransaction:
        self.receive(message)
        (event,) = self.heard()
        assert isinstance(event, RequestReceived)
        assert isinstance(event.transaction, ServerTransaction)
        return event.transaction

    def answer(self, transaction: ServerTransaction, status: int) -> None:
        self.layer.respond(transaction, response_to(transaction.request, status, to_tag="b"), self.now)

    def respond(self, to: Request, status: int) -> None:
        self.layer.receive_response(response_to(to, status, to_tag="b"), self.now)


# Client, non-INVITE (RFC 3261 figure 6)


def test_alice_repeats_her_message_until_t2_and_gives_up_after_32_seconds() -> None:
    stage = Stage()
    stage.layer.request(request(), stage.flow, stage.now)
    assert len(stage.sent()) == 1
    times = [at for at, _ in stage.run(40)]
    assert times == [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    (event,) = stage.heard()
    assert isinstance(event, TimedOut)
    assert stage.layer.client_count == 0


def test_over_tcp_alice_says_it_once_and_gives_up_after_32_seconds() -> None:
    stage = Stage(TCP)
    stage.layer.request(request(), stage.flow, stage.now)
    assert len(stage.sent()) == 1
    assert stage.run(31.9) == []
    assert stage.heard() == []
    stage.run(0.2)
    assert isinstance(stage.heard()[0], TimedOut)


def test_a_provisional_answer_slows_the_repetitions_to_t2() -> None:
    stage = Stage()
    message = request()
    stage.layer.request(message, stage.flow, stage.now)
    stage.sent()
    stage.respond(message, 100)
    assert [at for at, _ in stage.run(9)] == [0.5, 4.5, 8.5]
    assert len(stage.heard()) == 1


def test_the_answer_is_told_once_and_its_repetitions_are_absorbed() -> None:
    stage = Stage()
    message = request()
    stage.layer.request(message, stage.flow, stage.now)
    stage.sent()
    stage.respond(message, 200)
    stage.respond(message, 200)
    (event,) = stage.heard()
    assert isinstance(event, ResponseReceived)
    assert event.response.status == 200
    assert stage.run(4.9) == []
    assert stage.layer.client_count == 1
    stage.run(0.2)  # timer K
    assert stage.layer.client_count == 0
    stage.respond(message, 200)
    assert stage.layer.strays == 1


def test_over_tcp_a_finished_transaction_is_gone_at_once() -> None:
    stage = Stage(TCP)
    message = request()
    stage.layer.request(message, stage.flow, stage.now)
    stage.respond(message, 486)
    assert stage.layer.client_count == 0
    assert stage.layer.next_timer() is None


def test_a_broken_flow_is_told_to_whoever_waits_for_an_answer() -> None:
    stage = Stage(TCP)
    stage.layer.request(request(), stage.flow, stage.now, owner="me")
    stage.layer.flow_failed(stage.flow, stage.now)
    (event,) = stage.heard()
    assert isinstance(event, TransportFailed)
    assert event.transaction.owner == "me"
    assert stage.layer.client_count == 0


def test_a_response_to_another_method_is_a_stray() -> None:
    stage = Stage()
    stage.layer.request(request(), stage.flow, stage.now)
    stage.respond(request("OPTIONS"), 200)
    assert stage.heard() == []
    assert stage.layer.strays == 1


def test_a_branch_in_use_is_refused() -> None:
    stage = Stage()
    stage.layer.request(request(), stage.flow, stage.now)
    with pytest.raises(LocalProtocolError):
        stage.layer.request(request(), stage.flow, stage.now)


# Client, INVITE (figure 5, RFC 6026)


def test_an_unanswered_invite_is_repeated_at_doubling_intervals() -> None:
    stage = Stage()
    stage.layer.request(request("INVITE"), stage.flow, stage.now)
    stage.sent()
    assert [at for at, _ in stage.run(33)] == [0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert isinstance(stage.heard()[0], TimedOut)


def test_a_refused_invite_is_acknowledged_and_so_is_every_repetition_of_the_refusal() -> None:
    stage = Stage()
    invite = request("INVITE")
    stage.layer.request(invite, stage.flow, stage.now)
    stage.sent()
    stage.respond(invite, 488)
    (ack,) = stage.sent()
    assert isinstance(ack, Request)
    assert (ack.method, ack.cseq, ack.to.tag, ack.top_via) == ("ACK", (1, "ACK"), "b", invite.top_via)
    stage.respond(invite, 488)
    assert len(stage.sent()) == 1
    assert len(stage.heard()) == 1
    stage.run(32.1)  # timer D
    assert stage.layer.client_count == 0


def test_a_2xx_to_an_invite_is_handed_up_every_time_until_timer_m() -> None:
    stage = Stage(TCP)
    invite = request("INVITE")
    stage.layer.request(invite, stage.flow, stage.now)
    stage.sent()
    stage.respond(invite, 180)
    stage.respond(invite, 200)
    stage.respond(invite, 200)
    assert [event.response.status for event in stage.heard() if isinstance(event, ResponseReceived)] == [
        180,
        200,
        200,
    ]
    assert stage.sent() == []
    stage.run(32.1)
    assert stage.layer.client_count == 0


def test_an_invite_can_be_cancelled_once_it_is_proceeding() -> None:
    stage = Stage()
    invite = request("INVITE")
    transaction = stage.layer.request(invite, stage.flow, stage.now)
    assert stage.layer.cancel(transaction, stage.now) is None
    stage.respond(invite, 180)
    stage.sent()
    cancelling = stage.layer.cancel(transaction, stage.now)
    assert cancelling is not None
    (cancel,) = stage.sent()
    assert isinstance(cancel, Request)
    assert (cancel.method, cancel.top_via.branch, cancel.cseq) == ("CANCEL", "z9hG4bK1", (1, "CANCEL"))


# Server, non-INVITE (figure 8, RFC 4320)


def test_a_retransmission_gets_the_same_answer_and_is_told_to_nobody() -> None:
    stage = Stage()
    transaction = stage.arrives(request())
    stage.receive(request())
    assert stage.sent() == []  # nothing to say yet: RFC 4320 forbids an early 100
    stage.answer(transaction, 200)
    (first,) = stage.sent()
    stage.receive(request())
    (again,) = stage.sent()
    assert again.encode() == first.encode()
    assert stage.heard() == []
    assert stage.layer.absorbed == 2


@pytest.mark.parametrize("transport", [UDP, TCP])
def test_a_late_answer_is_announced_by_100_only_when_timer_e_has_reached_t2(transport: str) -> None:
    stage = Stage(transport)
    stage.arrives(request())
    ((at, trying),) = stage.run(20)
    assert at == 3.5
    assert isinstance(trying, Response)
    assert (trying.status, trying.to.tag) == (100, None)


def test_an_answered_request_is_remembered_for_32_seconds_over_udp() -> None:
    stage = Stage()
    transaction = stage.arrives(request())
    stage.answer(transaction, 202)
    stage.sent()
    stage.run(31.9)
    assert stage.layer.server_count == 1
    stage.run(0.2)
    assert stage.layer.server_count == 0
    assert transaction.terminated


def test_over_tcp_an_answered_request_is_forgotten_at_once() -> None:
    stage = Stage(TCP)
    transaction = stage.arrives(request())
    stage.answer(transaction, 200)
    assert stage.layer.server_count == 0
    assert stage.layer.next_timer() is None


@pytest.mark.parametrize("status", [180, 183, 408])
def test_what_rfc_4320_forbids_can_not_be_said(status: int) -> None:
    stage = Stage()
    transaction = stage.arrives(request())
    with pytest.raises(LocalProtocolError):
        stage.answer(transaction, status)


def test_an_answered_request_lets_go_of_what_it_no_longer_needs() -> None:
    stage = Stage()
    transaction = stage.arrives(request())
    transaction.owner = "somebody"
    stage.answer(transaction, 200)
    assert transaction.owner is None
    with pytest.raises(LocalProtocolError):
        _ = transaction.request
    stage.sent()
    stage.receive(request())
    assert len(stage.sent()) == 1


def test_nobody_gets_two_final_answers() -> None:
    stage = Stage()
    transaction = stage.arrives(request())
    stage.answer(transaction, 200)
    with pytest.raises(LocalProtocolError):
        stage.layer.respond(transaction, response_to(request(), 500, to_tag="b"), stage.now)


def test_a_request_that_nobody_answers_is_forgotten_when_its_client_gives_up() -> None:
    stage = Stage()
    transaction = stage.arrives(request())
    stage.run(32.1)
    (event,) = stage.heard()
    assert isinstance(event, TimedOut)
    assert stage.layer.server_count == 0
    stage.answer(transaction, 200)
    assert stage.sent() == []


def test_alice_comes_back_on_a_new_connection_and_is_answered_there() -> None:
    stage = Stage(TCP)
    transaction = stage.arrives(request())
    stage.flow.alive = False
    second = Flow(reliable=True)
    stage.receive(request(), second)
    stage.answer(transaction, 200)
    ((flow, _),) = stage.layer.data_to_send()
    assert flow is second


def test_a_stranger_who_guesses_a_branch_gets_nothing() -> None:
    stage = Stage()
    transaction = stage.arrives(request())
    stage.receive(request(), Flow(remote=("203.0.113.9", 5060)))
    stage.answer(transaction, 200)
    ((flow, _),) = stage.layer.data_to_send()
    assert flow is stage.flow


# Server, INVITE (figure 7, RFC 6026)


def test_a_refusal_is_repeated_until_it_is_acknowledged() -> None:
    stage = Stage()
    invite = request("INVITE")
    transaction = stage.arrives(invite)
    stage.answer(transaction, 488)
    (refusal,) = stage.sent()
    assert [at for at, _ in stage.run(4)] == [0.5, 1.5, 3.5]
    assert isinstance(refusal, Response)
    stage.receive(ack_for(invite, refusal))
    assert stage.run(4.9) == []
    assert transaction.state is State.CONFIRMED
    stage.run(0.2)  # timer I
    assert stage.layer.server_count == 0
    assert stage.heard() == []


def test_a_refusal_that_is_never_acknowledged_ends_after_32_seconds() -> None:
    stage = Stage()
    transaction = stage.arrives(request("INVITE"))
    stage.answer(transaction, 603)
    stage.sent()
    times = [at for at, _ in stage.run(33)]
    assert times == [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert isinstance(stage.heard()[0], TimedOut)
    assert stage.layer.server_count == 0


def test_an_invite_is_told_to_wait_after_200_milliseconds() -> None:
    stage = Stage()
    stage.arrives(request("INVITE"))
    ((at, trying),) = stage.run(1)
    assert at == 0.2
    assert isinstance(trying, Response)
    assert trying.status == 100


def test_after_a_2xx_invites_are_absorbed_and_acks_handed_up() -> None:
    stage = Stage()
    invite = request("INVITE")
    transaction = stage.arrives(invite)
    stage.answer(transaction, 200)
    stage.sent()
    stage.receive(request("INVITE"))
    assert stage.sent() == []
    stage.receive(ack_for(invite, response_to(invite, 200, to_tag="b")))
    (event,) = stage.heard()
    assert isinstance(event, AckReceived)
    stage.run(32.1)  # timer L
    assert stage.layer.server_count == 0


def test_an_ack_for_nothing_is_never_answered() -> None:
    stage = Stage()
    stage.receive(ack_for(request("INVITE"), response_to(request("INVITE"), 200, to_tag="x")))
    assert stage.heard() == []
    assert stage.sent() == []
    assert stage.layer.strays == 1


def test_a_cancel_finds_what_it_cancels() -> None:
    stage = Stage()
    transaction = stage.arrives(request("INVITE"))
    assert stage.layer.cancelled_by(request("CANCEL")) is transaction
    assert stage.layer.cancelled_by(request("CANCEL", branch="z9hG4bKother")) is None


# Matching (section 17.2.3) and merging (section 8.2.2.2)


def test_the_same_request_by_another_way_is_merged() -> None:
    stage = Stage()
    stage.arrives(request(branch="z9hG4bKone"))
    stage.receive(request(branch="z9hG4bKtwo"))
    (event,) = stage.heard()
    assert isinstance(event, RequestReceived)
    assert event.merged


def test_a_request_within_a_dialog_is_never_merged() -> None:
    stage = Stage()
    stage.arrives(request(branch="z9hG4bKone", to="<sip:bob@b.example>;tag=9"))
    stage.receive(request(branch="z9hG4bKtwo", to="<sip:bob@b.example>;tag=9"))
    (event,) = stage.heard()
    assert isinstance(event, RequestReceived)
    assert not event.merged


def test_another_cseq_is_another_request() -> None:
    stage = Stage()
    stage.arrives(request(branch="z9hG4bKone"))
    stage.receive(request(branch="z9hG4bKtwo", cseq=2))
    (event,) = stage.heard()
    assert isinstance(event, RequestReceived)
    assert not event.merged


def test_old_peers_without_the_cookie_are_known_by_their_headers() -> None:
    stage = Stage()
    invite = request("INVITE", branch="old")
    transaction = stage.arrives(invite)
    stage.receive(request("INVITE", branch="old"))
    assert stage.heard() == []
    stage.answer(transaction, 486)
    refusal = [message for message in stage.sent() if isinstance(message, Response)][-1]
    stage.receive(ack_for(invite, refusal))
    assert transaction.state is State.CONFIRMED
    stage.run(6)
    assert stage.layer.server_count == 0


@pytest.mark.parametrize("branch", ["z9hG4bKx", "old"])
def test_methods_tell_transactions_apart(branch: str) -> None:
    assert server_key(request("MESSAGE", branch)) != server_key(request("OPTIONS", branch))
    assert server_key(request("ACK", "z9hG4bKx")) == server_key(request("INVITE", "z9hG4bKx"))


# The tables, and the timers


@pytest.mark.parametrize("table", [CLIENT, INVITE_CLIENT, SERVER, INVITE_SERVER])
def test_every_state_that_can_be_reached_has_a_way_out(table: dict) -> None:  # type: ignore[type-arg]
    for state, rows in table.items():
        for step in rows.values():
            if step.state is not None:
                assert step.state in table
        if state not in FINAL:
            assert any(step.state is State.TERMINATED or step.limit for step in rows.values())


def test_the_timers_are_those_of_table_4() -> None:
    unreliable = Durations(Timing(), reliable=False).first
    reliable = Durations(Timing(), reliable=True).first
    assert {name: unreliable[name] for name in "ABDEFGHIJKLM"} == {
        "A": 0.5, "B": 32, "D": 32, "E": 0.5, "F": 32, "G": 0.5, "H": 32, "I": 5, "J": 32, "K": 5, "L": 32,
        "M": 32,
    }  # fmt: skip
    assert {name: reliable[name] for name in "BDFHIJKLM"} == {
        "B": 32, "D": 0, "F": 32, "H": 32, "I": 0, "J": 0, "K": 0, "L": 32, "M": 32,
    }  # fmt: skip
    assert not {"A", "E", "G"} & set(reliable)


@given(st.lists(st.tuples(st.sampled_from([0.5, 1.0, 5.0, 32.0]), st.booleans()), max_size=40))
def test_lanes_ring_in_order_and_only_what_was_not_cancelled(plan: list[tuple[float, bool]]) -> None:
    lanes: Lanes[int] = Lanes()
    expected = []
    for number, (seconds, kept) in enumerate(plan):
        timer = lanes.start(seconds, float(number), number)
        if kept:
            expected.append((number + seconds, number))
        else:
            timer.cancel()
    assert len(lanes) == len(expected)
    assert lanes.next() == (min(expected)[0] if expected else None)
    rung = [number for number, _ in lanes.due(1e9)]
    assert [at for at, _ in sorted(expected)] == [number + plan[number][0] for number in rung]
    assert lanes.next() is None


@given(st.lists(st.sampled_from(["again", "answer", "time", "other"]), max_size=30), st.booleans())
def test_whatever_happens_each_request_is_told_once_and_nothing_is_left_behind(
    story: list[str], tcp: bool
) -> None:
    stage = Stage(TCP if tcp else UDP)
    told = 0
    open_: list[ServerTransaction] = []
    for number, step in enumerate(story):
        if step == "other":
            stage.receive(request(branch=f"z9hG4bKn{number}", cseq=number + 10))
        elif step == "again":
            stage.receive(request())
        elif step == "time":
            stage.run(1)  # in all less than timer J
        elif open_ and not open_[0].terminated and not open_[0].answered:
            stage.answer(open_.pop(0), 200)
        for event in stage.heard():
            if isinstance(event, RequestReceived):
                told += 1
                open_.append(event.transaction)
    asked = sum(step == "other" for step in story) + ("again" in story)
    # over TCP an answered request is forgotten, so that it may be told again
    assert told >= asked if tcp else told == asked
    stage.run(100)
    assert stage.layer.server_count == 0
    assert stage.layer.next_timer() is None


def test_a_broken_flow_concerns_only_what_was_sent_on_it() -> None:
    stage = Stage()
    other = Flow()
    stage.layer.request(request(branch="z9hG4bKa"), stage.flow, stage.now)
    stage.layer.request(request(branch="z9hG4bKb"), other, stage.now)
    stage.arrives(request(branch="z9hG4bKtheirs"))
    stage.layer.flow_failed(stage.flow, stage.now)
    (event,) = stage.heard()
    assert isinstance(event, TransportFailed)
    assert event.transaction.key[0] == "z9hG4bKa"
    assert (stage.layer.client_count, stage.layer.server_count) == (1, 1)
    stage.layer.flow_failed(stage.flow, stage.now)
    assert stage.heard() == []
