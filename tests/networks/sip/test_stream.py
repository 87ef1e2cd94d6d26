"""One stream connection as a machine: messages however the bytes are cut, pings, and those who dawdle."""

from __future__ import annotations

import random

import pytest

from networks.sip.plays import message
from rialto.networks.sip.wire import Garbled, Request
from rialto.networks.sip.wire.framing import PING, PONG
from rialto.networks.sip.wire.stream import MESSAGE_S, PONG_WITHIN_S, Stalled, StreamMachine


def events(machine: StreamMachine) -> list[object]:
    found = []
    while (event := machine.next_event()) is not None:
        found.append(event)
    return found


def cuts(data: bytes, how: str) -> list[bytes]:
    if how == "whole":
        return [data]
    if how == "bytes":
        return [data[i : i + 1] for i in range(len(data))]
    dice, pieces = random.Random(5), []
    while data:
        size = dice.randint(1, 40)
        pieces.append(data[:size])
        data = data[size:]
    return pieces


@pytest.mark.parametrize("how", ["whole", "bytes", "random"])
def test_messages_and_pings_come_out_in_order_however_they_are_cut(how: str) -> None:
    machine = StreamMachine(0.0)
    data = message("one").encode() + PING + message("two").encode() + PING + b"nonsense\r\n\r\n"
    found: list[object] = []
    for piece in cuts(data, how):
        machine.receive_data(piece, 1.0)
        found += events(machine)
    assert [event.body for event in found[:2] if isinstance(event, Request)] == [b"one", b"two"]
    assert isinstance(found[2], Garbled)
    assert machine.data_to_send() == PONG * 2


def test_what_is_sent_is_handed_out_once() -> None:
    machine = StreamMachine(0.0)
    machine.send(b"a")
    machine.send(b"b")
    assert machine.data_to_send() == b"ab"
    assert machine.data_to_send() == b""


def test_silence_is_pinged_and_a_peer_that_has_answered_must_go_on_answering() -> None:
    machine = StreamMachine(0.0, keepalive_s=95)
    assert machine.next_timer() == 95
    machine.handle_timer(95)
    assert machine.data_to_send() == PING
    machine.receive_data(PONG, 96)
    assert events(machine) == []
    assert machine.next_timer() == 96 + 95
    machine.handle_timer(191)
    assert machine.data_to_send() == PING
    machine.handle_timer(191 + PONG_WITHIN_S)
    assert events(machine) == [Stalled("no-pong")]


def test_a_peer_that_never_answered_pings_is_left_in_peace() -> None:
    machine = StreamMachine(0.0, keepalive_s=95)
    machine.handle_timer(95)
    machine.handle_timer(95 + PONG_WITHIN_S)
    assert events(machine) == []
    assert machine.next_timer() == 95 + PONG_WITHIN_S + 95


def test_traffic_is_a_sign_of_life() -> None:
    machine = StreamMachine(0.0, keepalive_s=95)
    machine.receive_data(message().encode(), 50)
    machine.handle_timer(95)
    assert machine.data_to_send() == b""


def test_a_message_that_does_not_end_is_not_waited_for() -> None:
    machine = StreamMachine(0.0)
    assert machine.next_timer() is None
    data = message().encode()
    for number, byte in enumerate(data[:20]):
        machine.receive_data(bytes([byte]), float(number))
    assert machine.next_timer() == MESSAGE_S
    machine.handle_timer(MESSAGE_S)
    assert events(machine) == [Stalled("slow")]


def test_a_message_in_time_stops_the_clock() -> None:
    machine = StreamMachine(0.0)
    data = message().encode()
    machine.receive_data(data[:20], 1.0)
    machine.receive_data(data[20:], 2.0)
    assert len(events(machine)) == 1
    assert machine.next_timer() is None


def test_the_end_of_the_stream_is_no_event() -> None:
    machine = StreamMachine(0.0)
    machine.receive_data(b"", 1.0)
    assert events(machine) == []
