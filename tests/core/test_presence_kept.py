"""What may be acknowledged, and when; what happens between the start of the networks and that of the hub."""

from __future__ import annotations

import pytest

from core.presence_stage import Screen, Stage, document, later, no, pair
from rialto.core.network import PairView, Verb
from rialto.model.presence import Grant

ROMEO_TO_JULIET = pair("romeo@xmpp.example", "juliet@sip.example")


@pytest.fixture
def stage() -> Stage:
    return Stage()


def granted(stage: Stage, *instances: str) -> None:
    """Romeo may see Juliet, listens, and sees these."""
    stage.presence.ask(ROMEO_TO_JULIET, stage.by("xmpp.example"))
    stage.presence.open(ROMEO_TO_JULIET, stage.by("xmpp.example"))
    stage.presence.granted(ROMEO_TO_JULIET, stage.by("sip.example"))
    stage.presence.show(ROMEO_TO_JULIET, document(*instances), stage.by("sip.example"))
    stage.settle(3)


def states_on_disk(stage: Stage) -> list[str]:
    return [row.state for row in stage.disk.rows()]


# -- acknowledging ---------------------------------------------------------------------------------------


def test_a_request_may_be_acknowledged_when_it_is_on_disk(stage: Stage) -> None:
    found: list[list[str]] = []
    stage.presence.ask(ROMEO_TO_JULIET, stage.by("xmpp.example"))
    stage.presence.when_kept(ROMEO_TO_JULIET, lambda: found.append(states_on_disk(stage)))
    for callback in stage.soon:
        callback()
    assert found == [], "it is written, but there is no commit yet"
    stage.disk.commit()
    assert found == [["pending"]]


def test_what_is_on_disk_may_be_acknowledged_at_once(stage: Stage) -> None:
    granted(stage, "balcony")
    called: list[str] = []
    stage.presence.when_kept(ROMEO_TO_JULIET, lambda: called.append("kept"))
    stage.presence.when_kept(pair("nobody@xmpp.example", "juliet@sip.example"), lambda: called.append("none"))
    assert called == ["kept", "none"]


def test_what_comes_during_a_write_waits_for_the_next_one(stage: Stage) -> None:
    found: list[str] = []
    stage.presence.ask(ROMEO_TO_JULIET, stage.by("xmpp.example"))
    stage.presence.when_kept(ROMEO_TO_JULIET, lambda: found.append(f"asked: {states_on_disk(stage)[0]}"))
    stage.soon.pop()()  # the write is under way
    stage.presence.when_kept(ROMEO_TO_JULIET, lambda: found.append(f"still: {states_on_disk(stage)[0]}"))
    stage.presence.granted(ROMEO_TO_JULIET, stage.by("sip.example"))
    stage.presence.when_kept(ROMEO_TO_JULIET, lambda: found.append(f"granted: {states_on_disk(stage)[0]}"))
    stage.disk.commit()
    assert found == ["asked: pending", "still: pending"]
    stage.settle(0.2)
    assert found[2:] == ["granted: granted"]


def test_what_was_given_back_may_be_acknowledged_when_its_row_says_so(stage: Stage) -> None:
    granted(stage, "balcony")
    found: list[list[str]] = []
    stage.presence.give_back(ROMEO_TO_JULIET, stage.by("xmpp.example"))
    stage.presence.when_kept(ROMEO_TO_JULIET, lambda: found.append(states_on_disk(stage)))
    assert found == []
    stage.settle(0.2)
    assert found == [["none"]]
    stage.presence.done(ROMEO_TO_JULIET, stage.by("sip.example"))
    stage.presence.when_kept(ROMEO_TO_JULIET, lambda: found.append(states_on_disk(stage)))
    stage.settle(0.2)
    assert found[1:] == [[]]
    assert states_on_disk(stage) == []


def test_nothing_is_acknowledged_while_the_disk_is_full(stage: Stage) -> None:
    found: list[list[str]] = []
    stage.disk.broken = True
    stage.presence.ask(ROMEO_TO_JULIET, stage.by("xmpp.example"))
    stage.presence.when_kept(ROMEO_TO_JULIET, lambda: found.append(states_on_disk(stage)))
    stage.turn()
    stage.presence.when_kept(ROMEO_TO_JULIET, lambda: found.append(states_on_disk(stage)))
    stage.settle(5)
    assert found == []
    stage.disk.broken = False
    stage.settle(3)
    assert found == [["pending"], ["pending"]]


def test_who_waits_and_fails_harms_nobody_else(stage: Stage) -> None:
    found: list[str] = []

    def fail() -> None:
        raise RuntimeError("a bug")

    stage.presence.ask(ROMEO_TO_JULIET, stage.by("xmpp.example"))
    stage.presence.when_kept(ROMEO_TO_JULIET, fail)
    stage.presence.when_kept(ROMEO_TO_JULIET, lambda: found.append("kept"))
    stage.settle(0.2)
    assert found == ["kept"]
    assert stage.sip.said == [(ROMEO_TO_JULIET, Verb.ASK)]


# -- before `go` -----------------------------------------------------------------------------------------


def crashed_while_telling(stage: Stage) -> Screen:
    """Romeo's screen has the orchard, of which the disk does not know that he was told."""
    granted(stage, "balcony")
    screen = Screen()
    stage.presence.show(ROMEO_TO_JULIET, document("orchard"), stage.by("sip.example"))
    stage.turn()
    for view in stage.xmpp.told:
        screen.apply(view)
    assert list(screen.shown) == ["orchard"]
    told = stage.disk.rows()[0].told
    assert told is not None
    assert b"balcony" in told
    stage.crash()
    stage.xmpp.told.clear()
    stage.sip.said.clear()
    return screen


def arrives(stage: Stage, screen: Screen, start: int = 0) -> None:
    for view in stage.xmpp.told[start:]:
        screen.apply(view)


def test_what_happens_before_the_start_leaves_no_ghost(stage: Stage) -> None:
    """PRS-123: an instance that was announced in the last instant before a crash is taken back."""
    screen = crashed_while_telling(stage)
    stage.start(go=False)
    stage.presence.show(ROMEO_TO_JULIET, document("crypt"), stage.by("sip.example"))
    stage.settle(1)
    assert stage.xmpp.told == [], "nobody is told, and nothing is written, before the networks are up"
    assert stage.disk.pending == []
    stage.presence.go()
    stage.settle(1)
    arrives(stage, screen)
    assert list(screen.shown) == ["crypt"]


@pytest.mark.parametrize("end", ["refused", "given back"])
def test_an_authorization_that_ends_before_the_start_takes_everything_off_the_screen(
    stage: Stage, end: str
) -> None:
    screen = crashed_while_telling(stage)
    stage.start(go=False)
    if end == "refused":
        stage.presence.refused(ROMEO_TO_JULIET, stage.by("sip.example"), no(), for_good=True)
    else:
        stage.presence.give_back(ROMEO_TO_JULIET, stage.by("xmpp.example"))
    stage.presence.go()
    stage.settle(1)
    arrives(stage, screen)
    assert screen.shown == {}
    assert screen.grant is (Grant.REFUSED if end == "refused" else Grant.NONE)


def test_nothing_is_acknowledged_before_the_start_and_all_of_it_after(stage: Stage) -> None:
    stage.crash()
    stage.start(go=False)
    kept: list[list[str]] = []
    stage.presence.ask(ROMEO_TO_JULIET, stage.by("xmpp.example"))
    stage.presence.when_kept(ROMEO_TO_JULIET, lambda: kept.append(states_on_disk(stage)))
    stage.settle(1)
    assert (kept, stage.sip.said) == ([], [])
    stage.presence.go()
    stage.settle(1)
    assert kept == [["pending"]]
    assert stage.sip.said == [(ROMEO_TO_JULIET, Verb.ASK)]


def test_a_look_before_the_start_is_answered_after_it(stage: Stage) -> None:
    stage.crash()
    stage.start(go=False)
    views: list[PairView] = [stage.presence.fetch(ROMEO_TO_JULIET, stage.by("xmpp.example"))]
    assert views[0].document is None
    stage.settle(1)
    stage.presence.go()
    stage.settle(1)
    assert stage.sip.said == [(ROMEO_TO_JULIET, Verb.FETCH)]


def test_a_second_crash_before_the_start_changes_nothing(stage: Stage) -> None:
    screen = crashed_while_telling(stage)
    stage.start(go=False)
    stage.presence.show(ROMEO_TO_JULIET, document("crypt"), stage.by("sip.example"))
    stage.settle(3)
    stage.crash()
    stage.start()
    stage.presence.show(ROMEO_TO_JULIET, document("crypt"), stage.by("sip.example"))
    stage.settle(3)
    arrives(stage, screen)
    assert list(screen.shown) == ["crypt"]


# -- asked to wait ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("chance", [0.0, 0.999])
def test_a_far_side_that_says_when_to_come_again_is_not_asked_earlier(stage: Stage, chance: float) -> None:
    """PRS-38: at least as long as it says, and not all at once."""
    granted(stage, "balcony")
    stage.random = lambda: chance
    asked = len(stage.sip.said)
    stage.presence.refused(ROMEO_TO_JULIET, stage.by("sip.example"), later(60.0), for_good=False)
    stage.settle(60)
    assert len(stage.sip.said) == asked
    stage.settle(31)
    assert stage.sip.said[asked:] == [(ROMEO_TO_JULIET, Verb.OPEN)]
