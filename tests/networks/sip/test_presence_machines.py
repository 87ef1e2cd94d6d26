"""Whatever happens in whatever order, neither machine gets stuck, and neither hurries."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from networks.sip.test_presence_notifier import Play as Notifying
from networks.sip.test_presence_subscriber import Play as Subscribing
from rialto.networks.sip.wire.eventing import Substate
from rialto.networks.sip.wire.notifications import MAX_FAILURES
from rialto.networks.sip.wire.subscriptions import State
from rialto.networks.sip.wire.verdicts import Active, Ended, Event, Pending, Refused

_STATUSES = [200, 202, 301, 403, 404, 408, 423, 480, 481, 489, 500, 503, 603]
_SUBSTATES = [
    "active;expires=600", "active;expires=1", "active;expires=0", "active", "pending;expires=60",
    "terminated;reason=timeout", "terminated;reason=deactivated", "terminated;reason=rejected", "terminated",
]  # fmt: skip
_STEPS = st.one_of(
    st.sampled_from(["subscribe", "unsubscribe", "look", "fail"]).map(lambda name: (name, None)),
    st.sampled_from(_STATUSES).map(lambda status: ("answer", status)),
    st.tuples(st.sampled_from(_SUBSTATES), st.sampled_from(["romeo", "fork"])).map(
        lambda one: ("notify", one)
    ),
    st.sampled_from([0.5, 5.0, 33.0, 500.0, 4000.0]).map(lambda seconds: ("wait", seconds)),
)


def _do(play: Subscribing, name: str, what: Any) -> list[Event]:
    machine = play.machine
    match name:
        case "subscribe":
            machine.subscribe(play.now)
        case "unsubscribe":
            machine.unsubscribe(play.now)
        case "look":
            machine.look(play.now)
        case "answer" if machine._under_way:
            return play.answers(what, ("Expires", "600"), ("Min-Expires", "900"))
        case "fail" if machine._under_way:
            machine.request_failed("no answer", play.now)
        case "notify" if machine.dialog is not None:
            status = play.notify(what[0], tag=what[1], body=b"<presence/>")
            assert status in (200, 481)
        case "wait":
            return play.waits(what)
    return play.events()


def _take(play: Subscribing) -> int:
    """Send what is to be sent; how much that was."""
    if play.waiting is not None:
        play.sent()
        return 1
    request = play.machine.next_request()
    if request is None:
        return 0
    play.last = request
    return 1


@settings(max_examples=300)
@given(st.lists(_STEPS, max_size=25))
def test_a_subscriber_always_comes_to_an_end_or_has_a_time_for_it(steps: list[tuple[str, Any]]) -> None:
    play = Subscribing()
    for name, what in steps:
        _do(play, name, what)
        _take(play)
        machine = play.machine
        if machine.state is not State.IDLE:
            assert machine.next_timer() is not None
            assert machine.dialog is not None
        else:
            assert machine.dialog is None
    # And now nobody says anything any more.
    play.machine.unsubscribe(play.now)
    for _ in range(8):
        _take(play)
        if play.machine._under_way:
            play.machine.request_failed("no answer", play.now)
        play.waits(5000)
    play.machine.unsubscribe(play.now)
    assert play.machine.state is State.IDLE


@settings(max_examples=200)
@given(st.lists(_STEPS, max_size=15))
def test_who_asks_always_hears(steps: list[tuple[str, Any]]) -> None:
    """Granted, pending, refused or over: something, and not later than the timers say."""
    play = Subscribing()
    for name, what in steps:
        _do(play, name, what)
        _take(play)
    play.machine.subscribe(play.now)
    found: list[Event] = []
    for _ in range(6):
        _take(play)
        if play.machine._under_way:
            play.machine.request_failed("no answer", play.now)
        found += play.waits(5000)
    assert any(isinstance(event, Active | Pending | Refused | Ended) for event in found)


def test_a_notifier_that_grants_a_second_does_not_make_us_hurry() -> None:
    play = Subscribing()
    play.machine.subscribe(play.now)
    start, sent = play.now, 0
    while play.now < start + 60:
        sent += _take(play)
        if play.machine._under_way:
            play.answers(200, ("Expires", "1"))
            play.notify("active;expires=1")
        play.events()
        if play.machine.state is State.IDLE:
            break
        play.waits(1)
    assert sent <= 12


@settings(max_examples=200)
@given(
    st.lists(
        st.one_of(
            st.sampled_from(["tell", "end", "refresh", "stop", "fail"]).map(lambda name: (name, 0)),
            st.sampled_from(_STATUSES).map(lambda status: ("answer", status)),
            st.sampled_from([0.5, 5.0, 31.0, 700.0]).map(lambda seconds: ("wait", seconds)),
        ),
        max_size=25,
    )
)
def test_a_notifier_has_one_notify_under_way_and_always_ends(steps: list[tuple[str, Any]]) -> None:
    play = Notifying()
    machine = play.machine
    under_way = 0
    for name, what in steps:
        match name:
            case "tell":
                machine.tell(Substate.ACTIVE, play.now)
            case "end":
                machine.end("rejected")
            case "refresh" | "stop" if machine.state is not Substate.TERMINATED:
                machine.subscribed(600 if name == "refresh" else 0, play.now)
            case "answer" if under_way:
                under_way -= 1
                play.answers(what)
            case "fail" if under_way:
                under_way -= 1
                machine.request_failed(play.now)
            case "wait":
                play.waits(what)
        if play.sent() is not None:
            under_way += 1
        assert under_way <= 1
        assert machine.gone or under_way or machine.next_timer() is not None
    for _ in range(2 * MAX_FAILURES + 2):
        if under_way:
            under_way -= 1
            machine.request_failed(play.now)
        play.waits(700)
        if play.sent() is not None:
            under_way += 1
    assert machine.gone
