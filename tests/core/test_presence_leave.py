"""Presence asks for leave: before anybody watches, and for as long as they do."""

from __future__ import annotations

import pytest

from core.agreed import NOW_NS, SECOND, agreement, item, operator, stands
from core.presence_stage import Stage, Verb, document, pair
from rialto.core.policy import Book, PolicySettings, Sheet
from rialto.core.presence import PresenceSettings
from rialto.core.presence.review import AT_ONCE
from rialto.model.agreement import State, Traffic
from rialto.model.errors import Reason, Refused
from rialto.model.presence import Grant

ROMEO_TO_JULIET = pair("romeo@xmpp.example", "juliet@sip.example")


def sheet_with(*standings: tuple[State, int, int | None]) -> Sheet:
    sheet = Sheet()
    operator(sheet, "verona", "xmpp.example")
    operator(sheet, "mantua", "sip.example")
    made = item(sheet, agreement(sheet, "verona", "mantua"), Traffic.PRESENCE)
    sheet.all_standings.clear()
    for state, from_ns, to_ns in standings or ((State.ACTIVE, 0, None),):
        stands(sheet, made, state, from_ns, to_ns)
    return sheet


@pytest.fixture
def stage() -> Stage:
    """Where agreements are required, and there are none."""
    one = Stage(policy=PolicySettings(agreements="required"))
    one.gate.on_change(one.presence.review)
    one.gate.start(one.time.call_later)
    return one


def watching(stage: Stage, until: float | None = None) -> None:
    """Romeo sees Juliet."""
    stage.presence.ask(ROMEO_TO_JULIET, stage.by("xmpp.example"))
    stage.presence.open(ROMEO_TO_JULIET, stage.by("xmpp.example"), until)
    stage.settle(0.1)
    stage.presence.granted(ROMEO_TO_JULIET, stage.by("sip.example"))
    stage.presence.show(ROMEO_TO_JULIET, document("balcony"), stage.by("sip.example"))
    stage.settle(0.1)
    assert stage.xmpp.told[-1].document == document("balcony")


def test_without_an_agreement_nobody_may_even_ask(stage: Stage) -> None:
    with pytest.raises(Refused) as caught:
        stage.presence.ask(ROMEO_TO_JULIET, stage.by("xmpp.example"))
    assert caught.value.reason is Reason.NO_AGREEMENT
    assert len(stage.presence) == 0
    with pytest.raises(Refused):
        stage.presence.fetch(ROMEO_TO_JULIET, stage.by("xmpp.example"))
    stage.settle()
    assert stage.sip.said == []


def test_with_an_agreement_somebody_is_watched(stage: Stage) -> None:
    stage.gate.use(Book(sheet_with()))
    watching(stage)


def test_a_session_ends_at_the_instant_of_the_revocation_and_the_authorization_stays(stage: Stage) -> None:
    at = NOW_NS + 10 * SECOND
    stage.gate.use(Book(sheet_with((State.ACTIVE, 0, at), (State.TERMINATED, at, None))))
    watching(stage)
    told = len(stage.xmpp.told)
    stage.settle(9.0)
    assert len(stage.xmpp.told) == told
    stage.settle(1.0)
    last = stage.xmpp.told[-1]
    assert (last.listening, last.grant) == (False, Grant.GRANTED)
    assert stage.sip.said[-1] == (ROMEO_TO_JULIET, Verb.CLOSE)
    stage.presence.show(ROMEO_TO_JULIET, document("crypt"), stage.by("sip.example"))
    stage.settle()
    assert stage.xmpp.told[-1] is last, "nothing is shown any more"
    with pytest.raises(Refused):
        stage.presence.ask(ROMEO_TO_JULIET, stage.by("xmpp.example"))
    with pytest.raises(Refused):
        stage.presence.fetch(ROMEO_TO_JULIET, stage.by("xmpp.example"))
    assert not stage.presence.open(ROMEO_TO_JULIET, stage.by("xmpp.example"))


def test_a_session_without_an_end_comes_back_with_the_leave(stage: Stage) -> None:
    stage.gate.use(Book(sheet_with()))
    watching(stage)
    stage.gate.use(Book(sheet_with((State.SUSPENDED, 0, None))))
    stage.settle()
    assert not stage.xmpp.told[-1].listening
    stage.gate.use(Book(sheet_with()))
    stage.settle()
    assert stage.sip.said[-1] == (ROMEO_TO_JULIET, Verb.OPEN)
    assert stage.xmpp.told[-1].listening


def test_a_session_whose_watcher_has_gone_meanwhile_stays_away(stage: Stage) -> None:
    stage.gate.use(Book(sheet_with()))
    watching(stage)
    stage.gate.use(Book(Sheet()))
    stage.settle()
    stage.presence.close(ROMEO_TO_JULIET, stage.by("xmpp.example"))
    told = len(stage.xmpp.told)
    stage.gate.use(Book(sheet_with()))
    stage.settle()
    assert len(stage.xmpp.told) == told


def test_a_dialog_that_has_an_end_is_for_its_watcher_to_begin_anew(stage: Stage) -> None:
    stage.gate.use(Book(sheet_with()))
    watching(stage, until=stage.time.now + 3600.0)
    stage.gate.use(Book(Sheet()))
    stage.settle()
    stage.gate.use(Book(sheet_with()))
    stage.settle()
    assert not stage.xmpp.told[-1].listening


def test_what_was_only_asked_for_is_refused(stage: Stage) -> None:
    stage.gate.use(Book(sheet_with()))
    stage.presence.ask(ROMEO_TO_JULIET, stage.by("xmpp.example"))
    stage.settle(0.2)
    stage.gate.use(Book(Sheet()))
    stage.settle(0.2)
    last = stage.xmpp.told[-1]
    assert (last.grant, last.reason) == (Grant.REFUSED, Reason.NO_AGREEMENT)


def test_many_are_looked_at_some_at_a_time(stage: Stage) -> None:
    stage.gate.use(Book(sheet_with()))
    number = AT_ONCE + 3
    stage.presence.settings = PresenceSettings(asks_per_s=number)
    for who in range(number):
        stage.presence.ask(pair(f"u{who}@xmpp.example", "juliet@sip.example"), stage.by("xmpp.example"))
    stage.settle()
    stage.gate.use(Book(Sheet()))
    stage.settle()
    assert stage.metrics.value("presence_decided", "sip.example", "refused") == number
