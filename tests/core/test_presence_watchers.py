"""Who watches somebody: PRS-70, and RFC 3857 in the words of the hub."""

from __future__ import annotations

import pytest

from core.presence_stage import Address, Stage, document, no, pair
from rialto.core.network import Watcher
from rialto.model.errors import Reason, Refused
from rialto.model.presence import Grant

JULIET = Address.parse("juliet@sip.example")
ROMEO_TO_JULIET = pair("romeo@xmpp.example", "juliet@sip.example")
PARIS_TO_JULIET = pair("paris@xmpp.example", "juliet@sip.example")


@pytest.fixture
def stage() -> Stage:
    return Stage()


def names(watchers: tuple[Watcher, ...]) -> list[tuple[str, Grant, bool]]:
    return [(one.address.local, one.grant, one.listening) for one in watchers]


def test_a_presentity_learns_who_waits_and_who_watches(stage: Stage) -> None:
    stage.presence.ask(ROMEO_TO_JULIET, stage.by("xmpp.example"), note="It is the east")
    stage.presence.open(ROMEO_TO_JULIET, stage.by("xmpp.example"))
    stage.presence.ask(PARIS_TO_JULIET, stage.by("xmpp.example"))
    stage.presence.fetch(pair("nurse@xmpp.example", "juliet@sip.example"), stage.by("xmpp.example"))
    found = stage.presence.watchers(JULIET, stage.by("sip.example"))
    assert names(found) == [("paris", Grant.PENDING, False), ("romeo", Grant.PENDING, True)]
    assert found[1].note == "It is the east"
    assert found[1].since == stage.time.clock()
    assert stage.presence.watchers(Address.parse("tybalt@sip.example"), stage.by("sip.example")) == ()


def test_a_presentity_learns_only_of_its_own_watchers(stage: Stage) -> None:
    stage.presence.ask(ROMEO_TO_JULIET, stage.by("xmpp.example"))
    with pytest.raises(Refused) as refused:
        stage.presence.watchers(JULIET, stage.by("xmpp.example"))
    assert refused.value.reason is Reason.FORBIDDEN


def test_who_attends_hears_of_every_change_that_is_on_disk(stage: Stage) -> None:
    heard: list[list[tuple[str, Grant, bool]]] = []
    end = stage.presence.attend(
        Address.parse("juliet@sip.example/phone"), lambda now: heard.append(names(now))
    )
    stage.presence.ask(ROMEO_TO_JULIET, stage.by("xmpp.example"))
    assert heard == []
    stage.settle(0.2)
    assert heard == [[("romeo", Grant.PENDING, False)]]
    stage.presence.granted(ROMEO_TO_JULIET, stage.by("sip.example"))
    stage.settle(0.2)
    assert heard[1:] == [[("romeo", Grant.GRANTED, False)]]
    stage.presence.open(ROMEO_TO_JULIET, stage.by("xmpp.example"))
    stage.presence.show(ROMEO_TO_JULIET, document("balcony"), stage.by("sip.example"))
    stage.settle(0.2)
    assert heard[2:] == [[("romeo", Grant.GRANTED, True)]]
    stage.presence.show(ROMEO_TO_JULIET, document("crypt"), stage.by("sip.example"))
    stage.settle(0.2)
    assert len(heard) == 3, "what she shows is no news of who watches"
    stage.presence.refused(ROMEO_TO_JULIET, stage.by("sip.example"), no(), for_good=True)
    stage.settle(0.2)
    assert heard[3:] == [[("romeo", Grant.REFUSED, False)]]
    end()
    end()
    stage.presence.ask(ROMEO_TO_JULIET, stage.by("xmpp.example"))
    stage.settle(0.2)
    assert len(heard) == 4


def test_a_decision_of_a_presentity_reaches_the_watcher(stage: Stage) -> None:
    decided: list[Grant] = []

    def decide(now: tuple[Watcher, ...]) -> None:
        for one in now:
            if one.grant is Grant.PENDING:
                stage.presence.granted(pair(str(one.address), str(JULIET)), stage.by("sip.example"))

    stage.presence.attend(JULIET, decide)
    stage.xmpp.on_tell = lambda view: decided.append(view.grant)
    stage.presence.ask(ROMEO_TO_JULIET, stage.by("xmpp.example"))
    stage.settle(0.5)
    assert decided[-1] is Grant.GRANTED


def test_one_that_fails_to_listen_harms_no_other(stage: Stage) -> None:
    heard: list[int] = []

    def fail(_: tuple[Watcher, ...]) -> None:
        raise RuntimeError("a bug")

    stage.presence.attend(JULIET, fail)
    stage.presence.attend(JULIET, lambda now: heard.append(len(now)))
    stage.presence.ask(ROMEO_TO_JULIET, stage.by("xmpp.example"))
    stage.settle(0.2)
    assert heard == [1]
    assert stage.sip.said


def test_watchers_come_and_go_one_by_one(stage: Stage) -> None:
    pairs = [pair(f"user{number}@xmpp.example", str(JULIET)) for number in range(5)]
    for one in pairs:
        stage.presence.ask(one, stage.by("xmpp.example"))
    stage.settle(0.5)
    assert len(stage.presence.watchers(JULIET, None)) == 5
    for number, one in enumerate(pairs, 1):
        stage.presence.give_back(one, stage.by("xmpp.example"))
        stage.settle(0.2)
        stage.presence.done(one, stage.by("sip.example"))
        stage.settle(0.2)
        assert len(stage.presence.watchers(JULIET, None)) == 5 - number
    assert len(stage.presence) == 0
