"""Appointments: one timer, one entry in force for each item."""

from __future__ import annotations

from rialto.core.agenda import LOOK_AT_LEAST_EVERY_S, Agenda
from rialto.testing import FakeTime


class Item:
    def __init__(self, at: float | None = None) -> None:
        self.alarm_at = 0.0
        self.at = at

    def next_timer(self) -> float | None:
        return self.at


class Play:
    def __init__(self) -> None:
        self.time = FakeTime()
        self.rung: list[Item] = []
        self.again_s: float | None = None
        self.agenda: Agenda[Item] = Agenda(self.time.clock, self.time.call_later, self.ring)

    def ring(self, item: Item, now: float) -> None:
        assert item.at is not None
        assert item.at <= now
        self.rung.append(item)
        item.at = None if self.again_s is None else now + self.again_s
        self.agenda.set(item)

    def item(self, in_s: float) -> Item:
        one = Item(self.time.clock() + in_s)
        self.agenda.set(one)
        return one


def test_everything_is_met_in_its_time() -> None:
    play = Play()
    late, soon = play.item(20), play.item(10)
    play.time.advance(9.9)
    assert play.rung == []
    play.time.advance(0.2)
    assert play.rung == [soon]
    play.time.advance(10)
    assert play.rung == [soon, late]
    assert len(play.agenda) == 0


def test_what_is_put_off_costs_no_new_entry() -> None:
    play = Play()
    one = play.item(10)
    for _ in range(100):
        assert one.at is not None
        one.at += 10
        play.agenda.set(one)
    assert len(play.agenda) == 1
    play.time.advance(1005)
    assert play.rung == []
    play.time.advance(10)
    assert play.rung == [one]


def test_what_is_far_away_is_met_in_its_order_and_not_before() -> None:
    play = Play()
    second = int(play.time.clock()) + 100 - play.time.clock()
    late, soon, other = play.item(second + 0.75), play.item(second + 0.25), play.item(second + 0.5)
    play.time.advance(second + 0.2)
    assert play.rung == []
    play.time.advance(0.1)
    assert play.rung == [soon]
    play.time.advance(1)
    assert play.rung == [soon, other, late]


def test_what_returns_to_an_appointment_that_was_replaced_is_met_once() -> None:
    play = Play()
    one = play.item(100)
    home = one.at
    for second in (10, 20, 30):
        one.at = play.time.clock() + 10
        play.agenda.set(one)
        one.at = home
        play.time.advance(10.5)
        assert play.rung == [], second
    play.time.advance(100)
    assert play.rung == [one]
    assert len(play.agenda) == 0


def test_what_is_brought_forward_is_met_once() -> None:
    play = Play()
    one = play.item(100)
    one.at = play.time.clock() + 1
    play.agenda.set(one)
    play.time.advance(2)
    assert play.rung == [one]
    play.time.advance(200)
    assert play.rung == [one]


def test_what_is_always_due_lets_the_others_have_their_turn() -> None:
    play = Play()
    play.again_s = -1.0
    first, other = play.item(1), play.item(1)
    play.time.advance(1.0)
    assert play.rung == [first, other]
    play.time.advance(0.0015)
    assert play.rung == [first, other, first, other]


def test_what_is_withdrawn_is_not_met() -> None:
    play = Play()
    one = play.item(10)
    one.at = None
    play.time.advance(100)
    assert play.rung == []
    assert len(play.agenda) == 0


def test_a_calendar_that_is_set_forward_is_noticed() -> None:
    play = Play()
    clock = play.time.clock
    ahead = 0.0
    play.agenda = Agenda(lambda: clock() + ahead, play.time.call_later, play.ring)
    one = play.item(3600)
    ahead = 3600.0
    play.time.advance(LOOK_AT_LEAST_EVERY_S + 1)
    assert play.rung == [one]


def test_nothing_is_met_after_the_end() -> None:
    play = Play()
    play.item(10)
    play.agenda.stop()
    play.time.advance(100)
    assert play.rung == []
