"""Presence, scene by scene: what each side does, and what the other hears of it."""

from __future__ import annotations

import pytest

from core.presence_stage import Stage, document, later, no, pair
from rialto.core.network import Verb
from rialto.core.presence import PresenceSettings, machine, why
from rialto.core.presence.machine import TABLE, Act, Event
from rialto.model.errors import Busy, DeliveryError, Reason, Refused
from rialto.model.presence import Grant, Show

ROMEO_TO_JULIET = pair("romeo@xmpp.example", "juliet@sip.example")
JULIET_TO_ROMEO = pair("juliet@sip.example", "romeo@xmpp.example")


@pytest.fixture
def stage() -> Stage:
    return Stage()


def asked(stage: Stage, one: object = ROMEO_TO_JULIET) -> None:
    """Romeo has asked, listens, and Juliet's server has it."""
    stage.presence.ask(ROMEO_TO_JULIET, stage.by("xmpp.example"), note="It is the east")
    stage.presence.open(ROMEO_TO_JULIET, stage.by("xmpp.example"))
    stage.settle(0.2)
    stage.presence.pending(ROMEO_TO_JULIET, stage.by("sip.example"))
    stage.settle(0.2)


def granted(stage: Stage, *instances: str) -> None:
    """And she has allowed it."""
    asked(stage)
    stage.presence.granted(ROMEO_TO_JULIET, stage.by("sip.example"))
    stage.presence.show(ROMEO_TO_JULIET, document(*instances), stage.by("sip.example"))
    stage.settle(0.2)


def said(stage: Stage) -> list[Verb]:
    return [verb for _, verb in stage.sip.said]


def test_romeo_asks_and_juliet_allows_it(stage: Stage) -> None:
    """PRS-10, 12, 13, 15, 16, 17."""
    asked(stage)
    assert said(stage) == [Verb.ASK]
    assert [view.grant for view in stage.xmpp.told] == [Grant.PENDING]
    stage.presence.granted(ROMEO_TO_JULIET, stage.by("sip.example"))
    stage.presence.show(ROMEO_TO_JULIET, document("balcony"), stage.by("sip.example"))
    stage.settle(0.2)
    last = stage.xmpp.told[-1]
    assert last.grant is Grant.GRANTED
    assert last.told_grant is Grant.PENDING
    assert last.document == document("balcony")
    assert last.told_document is None
    assert last.note == "It is the east"
    stage.presence.granted(ROMEO_TO_JULIET, stage.by("sip.example"))
    stage.settle(0.2)
    assert stage.xmpp.told[-1] is last, "told once for each authorization"
    assert said(stage) == [Verb.ASK], "whoever was asked by a listener knows of the session"


def test_romeo_asks_and_juliet_refuses(stage: Stage) -> None:
    """PRS-18, 64."""
    asked(stage)
    stage.presence.refused(
        ROMEO_TO_JULIET, stage.by("sip.example"), no(Reason.DECLINED, "a Montague"), for_good=True
    )
    stage.settle(0.2)
    last = stage.xmpp.told[-1]
    assert (last.grant, last.reason, last.text) == (Grant.REFUSED, Reason.DECLINED, "a Montague")
    stage.settle(4000)
    assert said(stage) == [Verb.ASK], "never asked again by ourselves"


def test_what_is_shown_before_the_decision_reaches_nobody(stage: Stage) -> None:
    """PRS-13."""
    asked(stage)
    assert not stage.presence.show(ROMEO_TO_JULIET, document("balcony"), stage.by("sip.example"))
    stage.settle(0.2)
    assert all(view.document is None for view in stage.xmpp.told)


def test_juliet_takes_it_back_and_everything_shown_can_be_taken_off(stage: Stage) -> None:
    """PRS-95, 96, 97."""
    granted(stage, "balcony", "orchard")
    stage.presence.refused(ROMEO_TO_JULIET, stage.by("sip.example"), no(), for_good=True)
    stage.settle(0.2)
    last = stage.xmpp.told[-1]
    assert last.grant is Grant.REFUSED
    assert last.document is None
    assert last.told_document == document("balcony", "orchard")
    assert not stage.presence.show(ROMEO_TO_JULIET, document("balcony"), stage.by("sip.example"))


def test_romeo_gives_it_back_and_the_row_goes_when_juliets_server_knows(stage: Stage) -> None:
    """PRS-50, 53, 55."""
    granted(stage, "balcony")
    stage.presence.give_back(ROMEO_TO_JULIET, stage.by("xmpp.example"))
    stage.settle(0.2)
    last = stage.xmpp.told[-1]
    assert last.grant is Grant.NONE
    assert last.told_document == document("balcony")
    assert said(stage)[-1] is Verb.GIVE_BACK
    assert len(stage.disk.rows()) == 1
    stage.presence.done(ROMEO_TO_JULIET, stage.by("sip.example"))
    stage.settle(0.2)
    assert stage.disk.rows() == []
    assert len(stage.presence) == 0


def test_giving_back_is_said_after_a_crash_too(stage: Stage) -> None:
    granted(stage, "balcony")
    stage.presence.give_back(ROMEO_TO_JULIET, stage.by("xmpp.example"))
    stage.turn()
    stage.restart()
    stage.sip.said.clear()
    stage.settle(1.0)
    assert said(stage) == [Verb.GIVE_BACK]


def test_the_two_directions_know_nothing_of_each_other(stage: Stage) -> None:
    """PRS-4."""
    granted(stage, "balcony")
    stage.presence.ask(JULIET_TO_ROMEO, stage.by("sip.example"))
    stage.presence.give_back(ROMEO_TO_JULIET, stage.by("xmpp.example"))
    stage.settle(0.2)
    view = stage.presence.view(JULIET_TO_ROMEO)
    assert view is not None
    assert view.grant is Grant.PENDING


def test_a_session_ends_without_touching_the_authorization(stage: Stage) -> None:
    """PRS-33, 92."""
    granted(stage, "balcony")
    stage.presence.close(ROMEO_TO_JULIET, stage.by("xmpp.example"))
    stage.settle(0.2)
    assert said(stage)[-1] is Verb.CLOSE
    stage.presence.open(ROMEO_TO_JULIET, stage.by("xmpp.example"))
    stage.settle(0.2)
    assert said(stage)[-1] is Verb.OPEN
    last = stage.xmpp.told[-1]
    assert last.grant is Grant.GRANTED
    assert last.document is None, "what was true before may be so no longer"
    stage.presence.show(ROMEO_TO_JULIET, document("balcony"), stage.by("sip.example"))
    stage.settle(0.2)
    assert stage.xmpp.told[-1].document == document("balcony")


def test_a_session_that_is_not_refreshed_runs_out_and_says_so(stage: Stage) -> None:
    """PRS-83."""
    granted(stage, "balcony")
    stage.presence.open(ROMEO_TO_JULIET, stage.by("xmpp.example"), stage.time.now + 60)
    stage.settle(30)
    stage.presence.open(ROMEO_TO_JULIET, stage.by("xmpp.example"), stage.time.now + 60)
    stage.settle(50)
    assert stage.xmpp.told[-1].listening
    stage.settle(20)
    assert not stage.xmpp.told[-1].listening
    assert stage.xmpp.told[-1].grant is Grant.GRANTED
    assert said(stage)[-1] is Verb.CLOSE


def test_nobody_opens_a_session_without_an_authorization(stage: Stage) -> None:
    assert not stage.presence.open(ROMEO_TO_JULIET, stage.by("xmpp.example"))
    assert stage.presence.view(ROMEO_TO_JULIET) is None


def test_the_same_news_is_told_once(stage: Stage) -> None:
    granted(stage, "balcony")
    told = len(stage.xmpp.told)
    for at in range(5):
        stage.presence.show(ROMEO_TO_JULIET, document("balcony", at=at), stage.by("sip.example"))
        stage.settle(0.2)
    assert len(stage.xmpp.told) == told
    stage.presence.show(ROMEO_TO_JULIET, document("balcony", show=Show.AWAY), stage.by("sip.example"))
    stage.presence.show(ROMEO_TO_JULIET, document("balcony", show=Show.DND), stage.by("sip.example"))
    stage.settle(0.2)
    assert len(stage.xmpp.told) == told + 1, "changes of one turn are one"
    assert stage.xmpp.told[-1].document == document("balcony", show=Show.DND)


def test_asking_for_what_one_has_is_answered_here(stage: Stage) -> None:
    """RFC 6121 section 3.1.3."""
    granted(stage, "balcony")
    stage.presence.ask(ROMEO_TO_JULIET, stage.by("xmpp.example"))
    stage.settle(0.2)
    last = stage.xmpp.told[-1]
    assert (last.grant, last.told_grant) == (Grant.GRANTED, Grant.PENDING)
    assert said(stage) == [Verb.ASK]


def test_a_far_side_that_fails_is_asked_again_with_patience(stage: Stage) -> None:
    """PRS-35, 36."""
    stage.presence.ask(ROMEO_TO_JULIET, stage.by("xmpp.example"))
    stage.sip.on_watch = lambda view, verb: stage.presence.refused(view.pair, None, later(), for_good=False)
    stage.settle(60)
    assert 3 <= len(said(stage)) <= 6
    assert set(said(stage)) == {Verb.ASK}
    before = len(said(stage))
    stage.settle(1000)
    assert len(said(stage)) - before <= 8
    stage.sip.on_watch = lambda view, verb: stage.presence.granted(view.pair, None)
    stage.presence.reachable("sip.example", "sip")
    stage.settle(1)
    assert stage.xmpp.told[-1].grant is Grant.GRANTED


def test_the_far_side_says_when_to_come_again(stage: Stage) -> None:
    """PRS-38: retry-after."""
    stage.presence.ask(ROMEO_TO_JULIET, stage.by("xmpp.example"))
    stage.settle(0.2)
    stage.presence.refused(ROMEO_TO_JULIET, stage.by("sip.example"), later(300), for_good=False)
    stage.settle(300)
    assert said(stage) == [Verb.ASK]
    stage.settle(150)
    assert said(stage) == [Verb.ASK, Verb.ASK]


def test_no_answer_is_a_failure_and_in_the_end_the_document_is_stale(stage: Stage) -> None:
    granted(stage, "balcony")
    stage.presence.missed("sip.example", "sip")
    stage.settle(100)
    assert stage.xmpp.told[-1].document == document("balcony")
    stage.settle(1200)
    shown = stage.xmpp.told[-1].document
    assert shown is not None
    assert shown.stale
    assert shown.states == document("balcony").states
    stage.presence.show(ROMEO_TO_JULIET, document("balcony"), stage.by("sip.example"))
    stage.settle(1)
    shown = stage.xmpp.told[-1].document
    assert shown is not None
    assert not shown.stale


def test_silence_makes_a_document_stale_as_of_then(stage: Stage) -> None:
    granted(stage, "balcony")
    since = stage.time.now
    stage.presence.silent(ROMEO_TO_JULIET, None, since)
    stage.settle(0.2)
    shown = stage.xmpp.told[-1].document
    assert shown is not None
    assert shown.stale
    assert shown.as_of == since


def test_a_restart_asks_everybody_who_is_watched_and_tells_nobody_what_they_know(stage: Stage) -> None:
    granted(stage, "balcony")
    stage.presence.keep(ROMEO_TO_JULIET, "presentity", b"dialog")
    stage.presence.keep(ROMEO_TO_JULIET, "watcher", b"screen")
    stage.settle(2)
    told = len(stage.xmpp.told)
    stage.sip.said.clear()
    stage.restart()
    resumed = {side: view for view, side in (*stage.sip.resumed, *stage.xmpp.resumed)}
    assert resumed["presentity"].presentity_data == b"dialog"
    assert resumed["presentity"].watcher_data is None, "each its own"
    assert resumed["watcher"].watcher_data == b"screen"
    assert resumed["watcher"].told_document == document("balcony")
    stage.sip.on_watch = lambda view, verb: stage.presence.show(view.pair, document("balcony"), None)
    stage.settle(1)
    assert said(stage) == [Verb.OPEN]
    assert len(stage.xmpp.told) == told


def test_a_restart_goes_little_by_little() -> None:
    stage = Stage(PresenceSettings(opens_per_s=10, asks_per_s=1e9))
    for number in range(100):
        one = pair(f"u{number}@xmpp.example", "juliet@sip.example")
        stage.presence.ask(one, stage.by("xmpp.example"))
        stage.presence.open(one, stage.by("xmpp.example"))
        stage.settle(0.0)
        stage.presence.granted(one, stage.by("sip.example"))
    stage.settle(1)
    stage.sip.said.clear()
    stage.restart()
    stage.sip.on_watch = lambda view, verb: stage.presence.done(view.pair, None)
    stage.settle(2.0)
    assert 15 <= len(said(stage)) <= 35
    stage.settle(15)
    assert said(stage).count(Verb.OPEN) == 100


def test_the_audit_finds_what_was_not_told() -> None:
    stage = Stage(PresenceSettings(audit_every_s=60))
    granted(stage, "balcony")
    stage.sip.on_watch = lambda view, verb: stage.presence.show(view.pair, document("orchard"), None)
    stage.settle(70)
    assert Verb.FETCH in said(stage)
    assert stage.xmpp.told[-1].document == document("orchard")
    assert stage.metrics.value("presence_audits", "sip.example", "corrected") == 1
    stage.settle(70)
    assert stage.metrics.value("presence_audits", "sip.example", "same") >= 1


def test_one_look_is_told_and_forgotten(stage: Stage) -> None:
    """PRS-140, 142, 154."""
    view = stage.presence.fetch(ROMEO_TO_JULIET, stage.by("xmpp.example"))
    assert view.document is None
    assert view.grant is Grant.NONE
    stage.settle(0.2)
    assert said(stage) == [Verb.FETCH]
    assert stage.presence.show(ROMEO_TO_JULIET, document("balcony"), stage.by("sip.example"))
    stage.settle(0.2)
    assert [view.document for view in stage.xmpp.told] == [document("balcony")]
    assert len(stage.presence) == 0
    assert stage.disk.rows() == []


def test_a_look_at_somebody_who_shows_nothing_is_answered(stage: Stage) -> None:
    stage.presence.fetch(ROMEO_TO_JULIET, stage.by("xmpp.example"))
    stage.settle(0.2)
    stage.presence.refused(ROMEO_TO_JULIET, stage.by("sip.example"), no(), for_good=True)
    stage.settle(0.2)
    assert [(view.grant, view.document) for view in stage.xmpp.told] == [(Grant.NONE, None)]
    assert len(stage.presence) == 0


def test_a_look_that_nobody_answers_is_forgotten(stage: Stage) -> None:
    stage.presence.fetch(ROMEO_TO_JULIET, stage.by("xmpp.example"))
    stage.settle(200)
    assert len(stage.presence) == 0


def test_a_look_at_what_is_known_costs_the_far_side_nothing(stage: Stage) -> None:
    """PRS-141."""
    granted(stage, "balcony")
    assert stage.presence.fetch(ROMEO_TO_JULIET, stage.by("xmpp.example")).document == document("balcony")
    stage.settle(0.2)
    assert said(stage) == [Verb.ASK]


def test_news_that_did_not_arrive_is_told_again(stage: Stage) -> None:
    granted(stage, "balcony")
    last = stage.xmpp.told[-1]
    stage.presence.untold(last, later())
    stage.presence.reachable("xmpp.example", "xmpp")
    stage.settle(0.2)
    again = stage.xmpp.told[-1]
    assert again is not last
    assert (again.told_grant, again.document) == (last.told_grant, last.document)


def refusal(stage: Stage, watcher: str, presentity: str, by: str = "xmpp.example") -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        stage.presence.ask(pair(watcher, presentity), stage.by(by))
    assert stage.presence.view(pair(watcher, presentity)) is None
    return caught.value


def test_whoever_speaks_for_others_is_not_believed(stage: Stage) -> None:
    assert refusal(stage, "juliet@sip.example", "romeo@xmpp.example").reason is Reason.FORBIDDEN


def test_nobody_can_be_watched_where_there_is_no_way(stage: Stage) -> None:
    assert refusal(stage, "romeo@xmpp.example", "x@nowhere.example").reason is Reason.DOMAIN_NOT_FOUND


def test_nobody_watches_back_over_the_same_link(stage: Stage) -> None:
    assert refusal(stage, "romeo@xmpp.example", "nurse@xmpp.example").reason is Reason.LOOP


def test_a_domain_has_no_presence(stage: Stage) -> None:
    assert refusal(stage, "romeo@xmpp.example", "sip.example").reason is Reason.NOT_FOUND


def test_a_domain_that_watches_everybody_is_slowed_then_refused() -> None:
    """RFC 8048 section 8.1."""
    stage = Stage(PresenceSettings(asks_per_s=1.0, max_watched=15))
    for number in range(10):
        stage.presence.ask(pair("spy@xmpp.example", f"u{number}@sip.example"), stage.by("xmpp.example"))
    slowed = refusal(stage, "spy@xmpp.example", "one-more@sip.example")
    assert isinstance(slowed, Busy)
    assert slowed.reason is Reason.RATE
    assert slowed.retry_after_s
    stage.settle(20)
    for number in range(10, 15):
        stage.presence.ask(pair("spy@xmpp.example", f"u{number}@sip.example"), stage.by("xmpp.example"))
    refused = refusal(stage, "spy@xmpp.example", "one-more@sip.example")
    assert isinstance(refused, Refused)
    assert refused.reason is Reason.POLICY
    stage.presence.ask(pair("other@xmpp.example", "u1@sip.example"), stage.by("xmpp.example"))


def test_there_is_an_end_to_how_many_pairs_are_kept() -> None:
    stage = Stage(PresenceSettings(max_pairs=1))
    stage.presence.ask(ROMEO_TO_JULIET, stage.by("xmpp.example"))
    assert refusal(stage, "nurse@xmpp.example", "juliet@sip.example").reason is Reason.CONGESTION


@pytest.mark.parametrize(
    "bad", [document(*map(str, range(65))), document("half \ud800")], ids=["too many", "no Unicode"]
)
def test_a_document_that_nobody_could_keep_is_refused(stage: Stage, bad: object) -> None:
    granted(stage, "balcony")
    with pytest.raises(Refused):
        stage.presence.show(ROMEO_TO_JULIET, bad, stage.by("sip.example"))  # type: ignore[arg-type]
    stage.settle(1)
    assert stage.xmpp.told[-1].document == document("balcony")


def test_nobody_is_told_while_the_disk_is_full_and_everybody_afterwards(stage: Stage) -> None:
    asked(stage)
    told = len(stage.xmpp.told)
    stage.disk.broken = True
    stage.presence.granted(ROMEO_TO_JULIET, stage.by("sip.example"))
    stage.settle(5)
    assert len(stage.xmpp.told) == told
    stage.disk.broken = False
    stage.settle(5)
    assert stage.xmpp.told[-1].grant is Grant.GRANTED
    assert "granted" in stage.disk.rows()[0].history


def test_a_network_that_raises_harms_nobody_else(stage: Stage) -> None:
    def raise_it(*_: object) -> None:
        raise RuntimeError("a bug")

    stage.sip.on_watch = raise_it
    stage.presence.ask(ROMEO_TO_JULIET, stage.by("xmpp.example"))
    stage.settle(0.2)
    stage.sip.on_watch = None
    stage.settle(20)
    assert said(stage) == [Verb.ASK, Verb.ASK]


def test_history_is_bounded_on_disk(stage: Stage) -> None:
    granted(stage, "balcony")
    for number in range(100):
        stage.presence.show(ROMEO_TO_JULIET, document(*["x"][: number % 2]), stage.by("sip.example"))
        stage.settle(0.1)
    stage.settle(3)
    row = stage.disk.rows()[0]
    assert len(row.history) <= 3000
    account = why.account(ROMEO_TO_JULIET, stage.presence.find(ROMEO_TO_JULIET), row)
    assert len(account["history"]) == 20
    assert account["history"][-1]["what"] == "shown"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (asked, "has not decided"),
        (lambda stage: granted(stage, "balcony"), "juliet@sip.example is online"),
        (lambda stage: granted(stage), "juliet@sip.example is offline"),
    ],
)
def test_why_says_in_a_sentence_how_it_is(stage: Stage, make: object, words: str) -> None:
    make(stage)  # type: ignore[operator]
    stage.settle(2)
    live = why.account(ROMEO_TO_JULIET, stage.presence.find(ROMEO_TO_JULIET), None)
    on_disk = why.account(ROMEO_TO_JULIET, None, stage.disk.rows()[0])
    assert words in live["sentence"]
    assert on_disk["sentence"] == live["sentence"]


def test_why_names_the_refusal_the_failure_and_the_silence(stage: Stage) -> None:
    def sentence() -> str:
        return str(why.account(ROMEO_TO_JULIET, stage.presence.find(ROMEO_TO_JULIET), None)["sentence"])

    assert "never asked" in sentence()
    stage.presence.ask(ROMEO_TO_JULIET, stage.by("xmpp.example"))
    stage.settle(0.2)
    stage.presence.refused(ROMEO_TO_JULIET, None, later(), for_good=False)
    assert "does not have the request yet" in sentence()
    assert "nobody answers" in sentence()
    stage.settle(0.2)
    granted(stage, "balcony")
    stage.presence.silent(ROMEO_TO_JULIET, None, 0.0)
    assert "stale" in sentence()
    stage.presence.refused(ROMEO_TO_JULIET, None, no(text="a Montague"), for_good=True)
    assert "a Montague (forbidden)" in sentence()


def test_the_table_leads_nowhere_by_itself() -> None:
    """Only the presentity grants; only the watcher's asking leads to a request."""
    for (event, grant), step in TABLE.items():
        if step.grant is Grant.GRANTED:
            assert grant is Grant.GRANTED or event is Event.GRANTED
        if grant in (Grant.NONE, Grant.REFUSED) and step.grant is not grant:
            assert event in (Event.ASK, Event.GIVE_BACK)
        if Act.TAKE in step.acts:
            assert grant is Grant.GRANTED
        if (
            step.grant in (Grant.NONE, Grant.REFUSED)
            and step.grant is not grant
            and grant is not Grant.REFUSED
        ):
            assert {Act.BLANK, Act.END} <= set(step.acts)
    assert machine.step(Event.SHOW, Grant.PENDING) is None
