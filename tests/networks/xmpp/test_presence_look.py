"""When is an answer that has no end complete?"""

from __future__ import annotations

from rialto.model.presence import State
from rialto.networks.xmpp.presence_look import (
    GIVE_UP_S,
    MAX_STATES,
    QUIET_S,
    SILENCE_S,
    UNASKED_S,
    UNPROVEN_S,
    Look,
    Result,
)

START = 100.0
A, B = State("a"), State("b")


def test_it_is_complete_when_it_has_been_quiet_for_a_while() -> None:
    look = Look(START, asked=True)
    look.prove(START + 1)
    look.take("b", B, START + 1.1)
    look.take("a", A, START + 1.2)
    assert look.result(START + 1.2 + QUIET_S / 2) is Result.WAIT
    assert look.result(look.due()) is Result.COMPLETE
    assert look.due() == START + 1.2 + QUIET_S
    assert look.states() == (A, B)


def test_what_comes_before_the_probe_was_read_is_no_answer_yet() -> None:
    look = Look(START, asked=True)
    look.take("a", A, START + 0.1)
    assert look.result(START + 1.0) is Result.WAIT
    look.prove(START + 1.0)
    look.take("b", B, START + 1.1)
    assert look.result(START + 1.1 + QUIET_S) is Result.COMPLETE


def test_a_server_that_proves_nothing_is_waited_for_a_while() -> None:
    look = Look(START, asked=True)
    look.take("a", A, START + 0.1)
    assert look.due() == START + 0.1 + UNPROVEN_S
    assert look.result(look.due()) is Result.COMPLETE


def test_nobody_there_needs_no_waiting() -> None:
    look = Look(START, asked=True)
    look.prove(START + 0.1)
    look.take("", None, START + 0.2)
    assert look.result(START + 0.2) is Result.COMPLETE
    assert look.states() == ()


def test_a_server_that_has_read_it_and_is_silent_has_not_said_that_nobody_is_there() -> None:
    look = Look(START, asked=True)
    look.prove(START + 1)
    assert look.due() == START + 1 + SILENCE_S
    assert look.result(look.due()) is Result.SILENT


def test_without_proof_and_answer_there_is_nothing() -> None:
    look = Look(START, asked=True)
    assert look.result(START + GIVE_UP_S - 1) is Result.WAIT
    assert look.result(START + GIVE_UP_S) is Result.NOTHING


def test_what_should_come_by_itself_is_asked_for_when_it_does_not() -> None:
    look = Look(START, asked=False)
    assert look.result(START + UNASKED_S) is Result.ASK
    look.ask(START + UNASKED_S)
    assert look.result(START + UNASKED_S) is Result.WAIT
    came = Look(START, asked=False)
    came.take("a", A, START + 0.1)
    assert came.result(START + 0.1 + QUIET_S) is Result.COMPLETE


def test_a_resource_may_leave_meanwhile_and_a_bare_unavailable_is_everybody() -> None:
    look = Look(START, asked=True)
    look.take("a", A, START)
    look.take("b", B, START)
    look.take("a", None, START)
    assert look.states() == (B,)
    look.take("", None, START)
    assert look.states() == ()


def test_there_is_an_end_to_what_is_kept() -> None:
    look = Look(START, asked=True)
    for number in range(MAX_STATES + 3):
        look.take(str(number), State(str(number)), START)
    assert (len(look.states()), look.left_out) == (MAX_STATES, 3)


def test_a_timer_that_rings_a_hair_early_has_rung() -> None:
    look = Look(START, asked=True)
    look.prove(START + 1)
    look.take("a", A, START + 1.1)
    assert look.result(look.due() - 0.0005) is Result.COMPLETE
