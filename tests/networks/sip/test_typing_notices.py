"""The clocks of typing notices: RFC 3994, without any network."""

from __future__ import annotations

import pytest

from rialto.model.address import Address
from rialto.model.message import ChatState
from rialto.networks.sip.typing_notices import AGAIN_S, LONGEST_S, REFRESH_S, Reader, Writer
from rialto.wire.iscomposing import IsComposing

ROMEO = Address("romeo", "xmpp.example")
JULIET = Address("juliet", "sip.example")


def writer() -> Writer:
    return Writer(ROMEO, JULIET, "")


def test_who_is_writing_is_said_again_before_the_term_is_over() -> None:  # TYP-7, TYP-8
    one = writer()
    one.changed(ChatState.COMPOSING, 0.0)
    assert one.unsaid
    assert one.say(0.0) == IsComposing(active=True, refresh_s=REFRESH_S, content_type="text/plain")
    assert 60 <= AGAIN_S < REFRESH_S
    assert not one.unsaid
    assert one.next_timer() == AGAIN_S
    one.changed(ChatState.COMPOSING, 5.0)
    assert not one.unsaid, "nothing new"
    one.handle_timer(AGAIN_S)
    assert one.unsaid
    assert one.say(AGAIN_S).active
    assert one.next_timer() == 2 * AGAIN_S


@pytest.mark.parametrize("state", [ChatState.PAUSED, ChatState.ACTIVE, ChatState.INACTIVE, ChatState.GONE])
def test_whatever_is_not_writing_is_idle(state: ChatState) -> None:  # TYP-1, TYP-2
    one = writer()
    one.changed(ChatState.COMPOSING, 0.0)
    one.say(0.0)
    one.changed(state, 1.0)
    assert one.unsaid
    assert one.say(1.0) == IsComposing(active=False, content_type="text/plain")
    assert one.next_timer() is None
    assert one.done


@pytest.mark.parametrize("state", [ChatState.PAUSED, ChatState.ACTIVE, ChatState.GONE])
def test_nobody_hears_the_end_of_what_they_never_heard_of(state: ChatState) -> None:  # TYP-4
    one = writer()
    one.changed(state, 0.0)
    assert one.done
    one.changed(ChatState.COMPOSING, 0.0)
    one.changed(state, 0.1)
    assert one.done, "it was over before there was room to say it"


def test_a_message_says_that_its_writing_is_over() -> None:
    one = writer()
    one.changed(ChatState.COMPOSING, 0.0)
    one.say(0.0)
    one.ended()
    assert one.done
    one.handle_timer(AGAIN_S)
    assert one.done


def test_who_never_stops_is_gone() -> None:
    one = writer()
    one.changed(ChatState.COMPOSING, 0.0)
    now, said = 0.0, 0
    one.say(now)
    while (due := one.next_timer()) is not None:
        now, said = due, said + 1
        one.handle_timer(now)
        one.say(now)
        assert now <= LONGEST_S + AGAIN_S
    assert one.done
    assert said >= LONGEST_S // AGAIN_S


def test_a_reader_believes_until_the_term_is_over() -> None:  # TYP-6
    one = Reader(JULIET, ROMEO)
    assert one.told(IsComposing(active=True, refresh_s=60), 0.0) is ChatState.COMPOSING
    assert one.told(IsComposing(active=True, refresh_s=60), 30.0) is None, "several in a row are no news"
    assert one.next_timer() == 90.0
    assert one.handle_timer(80.0) is None
    assert one.handle_timer(90.0) is ChatState.PAUSED  # TYP-8
    assert one.next_timer() is None
    assert one.handle_timer(91.0) is None


def test_a_term_that_nobody_named_is_two_minutes() -> None:  # TYP-6
    one = Reader(JULIET, ROMEO)
    one.told(IsComposing(active=True), 0.0)
    assert one.next_timer() == 120.0


def test_idle_is_news_only_after_active() -> None:
    one = Reader(JULIET, ROMEO)
    assert one.told(IsComposing(active=False), 0.0) is None
    one.told(IsComposing(active=True), 1.0)
    assert one.told(IsComposing(active=False), 2.0) is ChatState.ACTIVE
    one.told(IsComposing(active=True), 3.0)
    one.ended()
    assert one.told(IsComposing(active=False), 4.0) is None, "the message said it already"
