"""The queues, with a clock that stands and networks that answer when they are told to."""

from __future__ import annotations

import pytest

from rialto.core.delivery import BACK_OFF_MOST_S, RETRY_AFTER_MOST_S
from rialto.core.network import Features
from rialto.model.errors import Busy, DeliveryError, Reason, Refused, Unreachable
from rialto.testing import Desk, ScriptedNetwork, deliver_at_once, fail_with, peer

DOWN = Unreachable(Reason.UNREACHABLE, "nobody there")
NO_DOMAIN = Refused(Reason.DOMAIN_NOT_FOUND, "no such domain")


def test_one_message_to_a_person_is_on_the_wire_at_a_time() -> None:
    sip = ScriptedNetwork("sip")
    desk, one = Desk(sip), peer("sip.example", "sip")
    for text in "abc":
        desk.put(text, "romeo@sip.example", one)
    assert sip.texts() == ["a"]  # RFC 3428 section 8
    sip.next().delivered()
    assert sip.texts() == ["a", "b"]
    sip.next().delivered()
    sip.next().delivered()
    assert desk.outcomes() == [("a", "delivered"), ("b", "delivered"), ("c", "delivered")]
    assert desk.queue.count == desk.queue.size_bytes == 0


def test_a_peer_that_allows_more_gets_more_at_a_time() -> None:
    xmpp = ScriptedNetwork("xmpp")
    desk = Desk(xmpp)
    one = peer("x.example", "xmpp", features=Features(in_flight_per_recipient=2))
    for text in "abc":
        desk.put(text, "romeo@x.example", one)
    assert xmpp.texts() == ["a", "b"]


def test_the_window_of_a_destination_is_shared_by_its_recipients() -> None:
    sip = ScriptedNetwork("sip")
    desk, one = Desk(sip), peer("sip.example", "sip", features=Features(in_flight=3))
    for number in range(5):
        desk.put(str(number), f"user{number}@sip.example", one)
    assert sip.texts() == ["0", "1", "2"]
    sip.next().delivered()
    assert sip.texts() == ["0", "1", "2", "3"]


def test_a_busy_conversation_does_not_hold_up_the_others() -> None:
    sip = ScriptedNetwork("sip")
    desk, one = Desk(sip), peer("sip.example", "sip", features=Features(in_flight=1))
    for number in range(4):
        desk.put(f"talk {number}", "talker@sip.example", one)
    desk.put("hello", "other@sip.example", one)
    sip.next().delivered()
    assert sip.texts() == ["talk 0", "hello"]


def test_in_an_outage_one_message_knocks_and_all_follow_in_order() -> None:
    sip = ScriptedNetwork("sip", fail_with(DOWN))
    desk, one = Desk(sip), peer("sip.example", "sip")
    for text in "abc":
        desk.put(text, "romeo@sip.example", one)
    desk.put("x", "mercutio@sip.example", one)
    assert sip.texts() == ["a"]
    desk.time.advance(0.9)
    assert len(sip.log) == 1
    desk.time.advance(0.2)  # 1 s, with jitter in the middle
    assert len(sip.log) == 2
    desk.time.advance(29)
    assert len(sip.log) == 5  # after 2, 4, 8 more seconds
    sip.log.clear()
    sip.answer = deliver_at_once
    desk.time.advance(BACK_OFF_MOST_S * 1.25)
    assert [text for text in sip.texts() if text != "x"] == ["a", "b", "c"]
    assert [name for name, _ in desk.outcomes() if name != "x"] == ["a", "b", "c"]
    assert desk.queue.count == 0


def test_the_back_off_never_grows_beyond_a_minute_and_a_quarter() -> None:
    sip = ScriptedNetwork("sip", fail_with(DOWN))
    desk, one = Desk(sip, random=lambda: 0.999), peer("sip.example", "sip")
    desk.put("a", "romeo@sip.example", one)
    desk.time.advance(3600)
    before = len(sip.log)
    desk.time.advance(750)
    assert len(sip.log) - before >= 9


def test_a_window_that_fails_together_is_one_outage() -> None:
    sip = ScriptedNetwork("sip")
    desk, one = Desk(sip), peer("sip.example", "sip")
    for number in range(10):
        desk.put(str(number), f"user{number}@sip.example", one)
    for delivery in list(sip.open):
        delivery.failed(DOWN)
    sip.open.clear()
    desk.time.advance(1.1)
    assert len(sip.log) == 11  # a single probe
    assert [outage[1] for outage in desk.queue.outages()] == ["sip.example"]


def test_messages_of_a_broken_window_go_again_in_their_order() -> None:
    xmpp = ScriptedNetwork("xmpp")
    desk = Desk(xmpp)
    one = peer("x.example", "xmpp", features=Features(in_flight_per_recipient=4))
    for text in "abcdef":
        desk.put(text, "romeo@x.example", one)
    for delivery in reversed(xmpp.open):
        delivery.failed(Unreachable(Reason.UNREACHABLE, "the link broke", certain=False))
    xmpp.open.clear()
    xmpp.log.clear()
    xmpp.answer = deliver_at_once
    desk.time.advance(2)
    assert xmpp.texts() == list("abcdef")


def test_a_link_that_comes_up_ends_the_waiting() -> None:
    sip = ScriptedNetwork("sip", fail_with(DOWN))
    desk, one = Desk(sip), peer("sip.example", "sip")
    desk.put("a", "romeo@sip.example", one)
    sip.answer = deliver_at_once
    desk.queue.reachable("elsewhere.example", "sip")
    assert desk.outcomes() == []
    desk.queue.reachable("sip.example", "sip")
    assert desk.outcomes() == [("a", "delivered")]
    assert list(desk.queue.outages()) == []


def test_a_busy_recipient_holds_up_nobody_else_and_keeps_its_order() -> None:
    sip = ScriptedNetwork("sip")
    desk, one = Desk(sip), peer("sip.example", "sip")
    desk.put("a", "romeo@sip.example", one)
    desk.put("b", "romeo@sip.example", one)
    sip.next().failed(Busy(Reason.UNAVAILABLE, "in a meeting", retry_after_s=30))
    desk.put("x", "mercutio@sip.example", one)
    assert sip.texts() == ["a", "x"]
    sip.next().delivered()
    desk.time.advance(29)
    assert sip.texts() == ["a", "x"]
    sip.answer = deliver_at_once
    desk.time.advance(2)
    assert sip.texts() == ["a", "x", "a", "b"]


@pytest.mark.parametrize("error", [Busy, Unreachable])
def test_nobody_can_make_us_wait_for_a_year(error: type[DeliveryError]) -> None:
    sip = ScriptedNetwork("sip", fail_with(error(Reason.UNAVAILABLE, "later", retry_after_s=3e7)))
    desk, one = Desk(sip), peer("sip.example", "sip")
    desk.put("a", "romeo@sip.example", one)
    desk.time.advance(RETRY_AFTER_MOST_S + 1)
    assert len(sip.log) == 2


@pytest.mark.parametrize("step_s", [-86400.0, 86400.0 * 365])
def test_a_clock_that_steps_changes_no_back_off(step_s: float) -> None:
    sip = ScriptedNetwork("sip", fail_with(DOWN))
    desk, one = Desk(sip), peer("sip.example", "sip")
    desk.put("a", "romeo@sip.example", one, expires_in_s=86400.0 * 3650)
    desk.time.step(step_s)
    sip.answer = deliver_at_once
    desk.time.advance(1.1)
    assert desk.outcomes() == [("a", "delivered")]


def test_what_waits_too_long_fails_and_says_why() -> None:
    sip = ScriptedNetwork("sip", fail_with(DOWN))
    desk, one = Desk(sip), peer("sip.example", "sip")
    desk.put("a", "romeo@sip.example", one, expires_in_s=100)
    desk.put("b", "romeo@sip.example", one, expires_in_s=10)
    desk.time.advance(16)
    assert desk.outcomes() == [("b", "expired")]
    desk.time.advance(100)
    assert desk.outcomes() == [("b", "expired"), ("a", "expired")]
    error = desk.settled[1][2]
    assert error is not None
    assert "nobody there" in error.text
    assert error.certain


def test_what_has_expired_is_not_put_on_the_wire() -> None:
    sip = ScriptedNetwork("sip")
    desk, one = Desk(sip), peer("sip.example", "sip")
    desk.put("a", "romeo@sip.example", one)
    desk.put("b", "romeo@sip.example", one, expires_in_s=1)
    desk.time.step(2)
    sip.next().delivered()
    assert desk.outcomes() == [("a", "delivered"), ("b", "expired")]
    assert sip.texts() == ["a"]


def test_a_message_that_may_have_arrived_is_never_said_not_to_have() -> None:
    sip = ScriptedNetwork("sip", fail_with(Unreachable(Reason.TIMEOUT, "no answer", certain=False)))
    desk, one = Desk(sip), peer("sip.example", "sip")
    desk.put("a", "romeo@sip.example", one)
    sip.answer = fail_with(no := Refused(Reason.NOT_FOUND, "never heard of him"))
    desk.time.advance(2)
    error = desk.settled[0][2]
    assert error is not None
    assert error.reason is Reason.NOT_FOUND
    assert not error.certain
    assert no.certain  # the network's own object may be shared with others


SPLIT = Features(max_bytes=160, long_messages="split")
LONG = "word " * 20


def test_a_long_message_goes_in_parts_with_one_outcome() -> None:
    sip = ScriptedNetwork("sip")
    desk, one = Desk(sip), peer("sip.example", "sip", features=SPLIT)
    item = desk.put(LONG, "romeo@sip.example", one)
    desk.put("next", "romeo@sip.example", one)
    while sip.open:
        assert len(sip.open) == 1
        sip.next().delivered()
    assert item.part_count > 1
    assert [text[:5] for text in sip.texts()] == [
        f"({n + 1}/{item.part_count})" for n in range(item.part_count)
    ] + ["next"]
    assert [outcome for _, outcome in desk.outcomes()] == ["delivered", "delivered"]


def test_after_an_outage_only_the_missing_parts_are_sent() -> None:
    sip = ScriptedNetwork("sip")
    desk, one = Desk(sip), peer("sip.example", "sip", features=SPLIT)
    item = desk.put(LONG, "romeo@sip.example", one)
    sip.next().delivered()
    sip.next().failed(DOWN)
    sip.answer = deliver_at_once
    desk.time.advance(2)
    ids = [content.id.partition(".")[2] for content in sip.log]
    assert ids == ["1", "2", *(str(number) for number in range(2, item.part_count + 1))]


def test_when_a_part_has_arrived_the_failure_is_not_certain() -> None:
    sip = ScriptedNetwork("sip")
    desk, one = Desk(sip), peer("sip.example", "sip", features=SPLIT)
    desk.put(LONG, "romeo@sip.example", one)
    sip.next().delivered()
    sip.next().failed(Refused(Reason.DECLINED, "enough"))
    error = desk.settled[0][2]
    assert error is not None
    assert not error.certain


def test_a_message_that_cannot_be_split_is_refused() -> None:
    sip = ScriptedNetwork("sip")
    desk, one = Desk(sip), peer("sip.example", "sip", features=Features(max_bytes=160))
    desk.put(LONG, "romeo@sip.example", one)
    assert desk.outcomes() == [(LONG, "too-large")]
    assert sip.log == []


def test_the_other_network_is_asked_when_the_first_has_no_such_domain() -> None:
    sip, xmpp = ScriptedNetwork("sip", fail_with(NO_DOMAIN)), ScriptedNetwork("xmpp", deliver_at_once)
    desk = Desk(sip, xmpp)
    peers = peer("sip any", "sip", "*"), peer("xmpp any", "xmpp", "*")
    desk.put("a", "romeo@both.example", *peers)
    desk.put("b", "romeo@both.example", *peers)
    assert xmpp.texts() == ["a", "b"]  # RFC 7247 section 5
    assert desk.outcomes() == [("a", "delivered"), ("b", "delivered")]


def test_who_stood_behind_a_diverted_message_is_not_forgotten() -> None:
    sip, xmpp = ScriptedNetwork("sip"), ScriptedNetwork("xmpp")
    desk = Desk(sip, xmpp)
    one, other = peer("sip any", "sip", "*"), peer("xmpp any", "xmpp", "*")
    desk.put("a", "romeo@both.example", one, other)
    desk.put("b", "romeo@both.example", one)
    sip.next().failed(NO_DOMAIN)
    assert xmpp.texts() == ["a"]
    assert sip.texts() == ["a", "b"]


def test_parts_that_have_arrived_are_not_sent_again_over_another_network() -> None:
    sip, xmpp = ScriptedNetwork("sip"), ScriptedNetwork("xmpp")
    desk = Desk(sip, xmpp)
    desk.put(LONG, "romeo@both.example", peer("one", "sip", "*", features=SPLIT), peer("other", "xmpp", "*"))
    sip.next().delivered()
    sip.next().failed(NO_DOMAIN)
    assert xmpp.log == []
    assert desk.outcomes() == [(LONG, "domain-not-found")]


def test_a_late_answer_does_not_count_for_a_later_attempt() -> None:
    sip, xmpp = ScriptedNetwork("sip"), ScriptedNetwork("xmpp")
    desk = Desk(sip, xmpp)
    item = desk.put("a", "romeo@both.example", peer("one", "sip", "*"), peer("other", "xmpp", "*"))
    early = sip.next()
    desk.queue.bounced(item, NO_DOMAIN)
    assert xmpp.texts() == ["a"]
    early.delivered("200 OK")
    early.failed(DOWN)
    assert desk.outcomes() == []
    xmpp.next().delivered()
    assert desk.outcomes() == [("a", "delivered")]


def test_an_answer_counts_once() -> None:
    sip = ScriptedNetwork("sip")
    desk, one = Desk(sip), peer("sip.example", "sip", features=SPLIT)
    desk.put(LONG, "romeo@sip.example", one)
    delivery = sip.next()
    for _ in range(5):
        delivery.delivered()
        delivery.sent()
    assert [content.id.partition(".")[2] for content in sip.log] == ["1", "2"]


def test_a_network_that_raises_fails_the_message_in_doubt() -> None:
    def broken(delivery: object) -> None:
        raise ZeroDivisionError

    sip = ScriptedNetwork("sip", broken)
    desk, one = Desk(sip), peer("sip.example", "sip")
    desk.put("a", "romeo@sip.example", one)
    sip.answer = deliver_at_once
    desk.put("b", "romeo@sip.example", one)
    assert desk.outcomes() == [("a", "internal"), ("b", "delivered")]
    error = desk.settled[0][2]
    assert error is not None
    assert not error.certain


def test_a_network_that_knows_no_destination_stops_nobody() -> None:
    def broken(peer: object, domain: str) -> str:
        raise KeyError(domain)

    sip = ScriptedNetwork("sip", deliver_at_once, destination=broken)
    desk = Desk(sip)
    desk.put("a", "romeo@sip.example", peer("sip.example", "sip"))
    assert desk.outcomes() == [("a", "delivered")]


def test_held_back_nothing_begins_and_quiet_comes_with_the_last_answer() -> None:
    sip = ScriptedNetwork("sip")
    desk, one = Desk(sip), peer("sip.example", "sip", features=SPLIT)
    desk.put(LONG, "romeo@sip.example", one)
    desk.put("b", "romeo@sip.example", one)
    quiet: list[bool] = []
    desk.queue.hold(lambda: quiet.append(True))
    assert not quiet
    while sip.open:  # what has begun is finished, all its parts
        assert not quiet
        sip.next().delivered()
    assert quiet == [True]
    assert "b" not in sip.texts()
    desk.queue.release()
    assert sip.texts()[-1] == "b"


def test_held_back_with_nothing_under_way_it_is_quiet_at_once() -> None:
    quiet: list[bool] = []
    Desk(ScriptedNetwork("sip")).queue.hold(lambda: quiet.append(True))
    assert quiet == [True]


def test_a_waiting_message_can_be_withdrawn_and_one_on_the_wire_cannot() -> None:
    sip = ScriptedNetwork("sip")
    desk, one = Desk(sip), peer("sip.example", "sip")
    first = desk.put("a", "romeo@sip.example", one)
    second = desk.put("b", "romeo@sip.example", one)
    assert not desk.queue.withdraw(first)
    assert desk.queue.withdraw(second)
    assert not desk.queue.withdraw(second)
    sip.next().delivered()
    assert sip.texts() == ["a"]
    assert desk.queue.count == 0


def test_an_operator_can_have_it_tried_now() -> None:
    sip = ScriptedNetwork("sip", fail_with(Busy(Reason.UNAVAILABLE, "later", retry_after_s=600)))
    desk, one = Desk(sip), peer("sip.example", "sip")
    item = desk.put("a", "romeo@sip.example", one)
    assert item.lane is not None
    sip.answer = deliver_at_once
    desk.queue.wake(item.lane)
    assert desk.outcomes() == [("a", "delivered")]


@pytest.mark.parametrize(
    "answer",
    [
        deliver_at_once,
        fail_with(DOWN),
        fail_with(NO_DOMAIN),
        fail_with(Busy(Reason.RATE, "", retry_after_s=5)),
    ],
)
def test_nothing_remains_of_strangers(answer: object) -> None:
    sip = ScriptedNetwork("sip", answer)  # type: ignore[arg-type]
    desk, everybody = Desk(sip), peer("any", "sip", "*")
    for number in range(200):
        desk.put("spam", f"user@host{number}.example", everybody, expires_in_s=60)
    desk.time.advance(300)
    assert desk.queue.count == desk.queue.size_bytes == desk.queue.in_flight() == 0
    assert len(desk.settled) == 200
    assert not desk.queue._lanes
    assert not desk.queue._destinations
    assert not desk.queue._alarms
    assert desk.time.timers() == 0


def test_attempts_are_noted_ever_more_rarely() -> None:
    sip = ScriptedNetwork("sip", fail_with(DOWN))
    desk, one = Desk(sip), peer("sip.example", "sip")
    desk.put("a", "romeo@sip.example", one)
    desk.time.advance(86000)
    assert len(sip.log) > 1000
    assert len(desk.tried) < 20
