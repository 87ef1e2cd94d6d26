"""XEP-0198: who has answered for what, and how a lost stream goes on in another."""

from __future__ import annotations

from rialto.networks.xmpp.wire.events import (
    Acknowledged,
    Resumed,
    ResumptionFailed,
    StanzaReceived,
    StreamClosed,
    StreamManagementEnabled,
)
from rialto.networks.xmpp.wire.ledger import Ledger

from .play import CAPULET, MONTAGUE, Play, drain, of, speech

BOTH_PROVEN = {"romeo": {MONTAGUE}, "juliet": {CAPULET}}


def counted() -> Play:
    play = Play(certificates=BOTH_PROVEN).run()
    assert of(play.romeo, StreamManagementEnabled)
    play.romeo.clear()
    play.juliet.clear()
    return play


def heard(play: Play) -> list[str]:
    return [event.stanza.find("body").text for event in of(play.juliet, StanzaReceived)]


def test_a_stanza_is_acknowledged_when_it_was_handled_and_not_before() -> None:
    play = counted()
    play.a.send(speech("one"), "token one")
    play.a.send(speech("two"), "token two")
    play.run()
    assert heard(play) == ["one", "two"]
    assert not of(play.romeo, Acknowledged)
    first, second = of(play.juliet, StanzaReceived)
    play.b.mark_handled(second.number)
    play.run()
    assert not of(play.romeo, Acknowledged)  # the first is not on disk yet
    play.b.mark_handled(first.number)
    play.run()
    assert of(play.romeo, Acknowledged) == [Acknowledged(("token one", "token two"))]


def test_one_request_answers_for_many() -> None:
    play = counted()
    play.wire.clear()
    for number in range(50):
        play.a.send(speech(str(number)), number)
    play.run()
    assert play.said("romeo").count(b"<r ") == 1


def test_who_is_slow_to_handle_is_asked_again_in_a_while() -> None:
    play = counted()
    play.a.send(speech(), 1)
    play.run()
    play.wire.clear()
    due = play.a.next_timer()
    assert due == play.now + 2.0
    play.now = due
    play.a.handle_timer(due)
    play.run()
    assert play.said("romeo") == b"<r xmlns='urn:xmpp:sm:3'/>"


def test_after_a_silence_the_peer_has_all_its_time_to_answer() -> None:
    play = counted()
    play.now += 59.0  # longer than an answer may take, shorter than the keep-alive
    play.a.send_encoded(speech().encode(), 1, now=play.now)
    assert b"<r " in play.a.data_to_send()
    due = play.a.next_timer()
    assert due is not None
    assert due > play.now
    play.a.handle_timer(play.now + 1.0)
    assert not [event for event in drain(play.a) if isinstance(event, StreamClosed)]


def test_a_peer_that_does_not_answer_is_gone() -> None:
    play = counted()
    play.a.send(speech(), 1)
    assert play.a.data_to_send().endswith(b"<r xmlns='urn:xmpp:sm:3'/>")
    play.a.handle_timer(play.now + 60.0)
    assert of(drain(play.a), StreamClosed)[0].condition == "connection-timeout"


def test_counting_further_than_was_sent_ends_the_stream() -> None:
    play = counted()
    play.a.receive_data(b"<a xmlns='urn:xmpp:sm:3' h='1'/>", 1.0)
    assert of(drain(play.a), StreamClosed)[0].condition == "undefined-condition"


def test_a_lost_stream_goes_on_in_another_with_nothing_lost_and_nothing_twice() -> None:
    first = counted()
    for text in ("one", "two"):
        first.a.send(speech(text), text)
    first.run()
    for event in of(first.juliet, StanzaReceived):
        first.b.mark_handled(event.number)
    first.b.data_to_send()  # the acknowledgement is lost with the connection
    first.a.send(speech("three"), "three")
    first.a.data_to_send()  # and so is this
    kept = {first.b.ledger.id: first.b.ledger}  # type: ignore[union-attr]

    second = Play(
        certificates=BOTH_PROVEN,
        initiating={"resume": first.a.ledger},
        receiving={"find_ledger": kept.get},
    ).run()
    assert Resumed() in second.romeo
    assert Resumed() in second.juliet
    assert of(second.romeo, Acknowledged)[0] == Acknowledged(("one", "two"))
    assert heard(second) == ["three"]
    for event in of(second.juliet, StanzaReceived):
        second.b.mark_handled(event.number)
    second.run()
    assert of(second.romeo, Acknowledged)[-1] == Acknowledged(("three",))


def test_what_was_received_but_not_on_disk_is_sent_again() -> None:
    first = counted()
    first.a.send(speech("one"), "one")
    first.run()
    assert heard(first) == ["one"]
    kept = {first.b.ledger.id: first.b.ledger}  # type: ignore[union-attr]
    second = Play(
        certificates=BOTH_PROVEN, initiating={"resume": first.a.ledger}, receiving={"find_ledger": kept.get}
    ).run()
    assert heard(second) == ["one"]


def test_a_forgotten_stream_begins_afresh_and_says_what_is_uncertain() -> None:
    first = counted()
    first.a.send(speech("one"), "one")
    first.run()
    second = Play(certificates=BOTH_PROVEN, initiating={"resume": first.a.ledger}).run()
    assert of(second.romeo, ResumptionFailed) == [ResumptionFailed(("one",))]
    assert of(second.romeo, StreamManagementEnabled)
    second.a.send(speech("two"))
    assert heard(second.run()) == ["two"]


def test_another_domain_cannot_resume_the_stream() -> None:
    first = counted()
    ledger = first.b.ledger
    assert ledger is not None
    ledger.pairs = frozenset({(CAPULET, "verona.example")})
    second = Play(
        certificates=BOTH_PROVEN,
        initiating={"resume": first.a.ledger},
        receiving={"find_ledger": {ledger.id: ledger}.get},
    ).run()
    assert of(second.romeo, ResumptionFailed)


def test_the_counter_wraps() -> None:
    ledger = Ledger()
    ledger.acknowledged = 2**32 - 1
    ledger.handled = 2**32 + 4
    ledger.send(b"", "a")
    ledger.send(b"", "b")
    assert ledger.h == 4
    assert ledger.acknowledge(1) == ("a", "b")
