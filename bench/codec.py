#!/usr/bin/env python3
"""What reading and writing one message costs, each step by itself, in one process without sockets."""

from __future__ import annotations

import gc
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench import samples
from bench.report import machine
from rialto.model.address import Address
from rialto.model.message import decode, encode
from rialto.networks.sip.addresses import address_of_header
from rialto.networks.sip.drafts import draft, request_for
from rialto.networks.sip.translate import to_message
from rialto.networks.sip.wire import parse_message, response_to, validate
from rialto.networks.xmpp.translate import from_model, to_model
from rialto.networks.xmpp.wire.component import Component
from rialto.networks.xmpp.wire.namespaces import COMPONENT
from rialto.networks.xmpp.wire.parser import StreamParser

ROUND = 2000
MESSAGE_ID = "0000000000000000000000"


def steps() -> Iterator[tuple[str, Callable[[], Callable[[int], Any]]]]:
    """Name, and what makes a function of the message's number; what is made ready for it isn't counted."""
    requests = [samples.sip_request(number) for number in range(ROUND)]
    stanzas = [samples.stanza(number) for number in range(ROUND)]

    def read_sip() -> Callable[[int], Any]:
        def step(number: int) -> None:
            validate(parse_message(requests[number]))

        return step

    def understand_sip() -> Callable[[int], Any]:
        parsed = [parse_message(request) for request in requests]
        for one in parsed:
            validate(one)

        def step(number: int) -> None:
            request: Any = parsed[number]
            to_message(request, address_of_header(request.from_), MESSAGE_ID, 1e9)

        return step

    def answer_sip() -> Callable[[int], Any]:
        parsed: list[Any] = [parse_message(request) for request in requests]
        for one in parsed:
            validate(one)

        def step(number: int) -> None:
            response_to(parsed[number], 200, to_tag="abcdef0123456789").encode()

        return step

    def read_answer() -> Callable[[int], Any]:
        answers = []
        for request in requests:
            parsed: Any = parse_message(request)
            answers.append(response_to(parsed, 200, to_tag="abcdef0123456789").encode())

        def step(number: int) -> None:
            validate(parse_message(answers[number]))

        return step

    def read_stanza() -> Callable[[int], Any]:
        parser = StreamParser()
        parser.feed(samples.HEADER)
        parser.items.clear()

        def step(number: int) -> None:
            parser.feed(stanzas[number])
            parser.items.clear()

        return step

    def stream_stanza() -> Callable[[int], Any]:
        machine = Component("sip.test", secret="secret", make_id=lambda: "1", now=0.0)
        machine.receive_data(samples.HEADER, 0.0)
        machine.receive_data(b"<handshake/>", 0.0)
        while machine.next_event() is not None:
            pass

        def step(number: int) -> None:
            machine.receive_data(stanzas[number], 0.0)
            if machine.next_event() is None:
                raise AssertionError("no stanza")

        return step

    def understand_stanza() -> Callable[[int], Any]:
        parser = StreamParser()
        parser.feed(samples.HEADER)
        parser.items.clear()
        for one in stanzas:
            parser.feed(one)
        elements: list[Any] = list(parser.items)
        sender, recipient = Address("v0001", "xmpp.test", "res-1"), Address("u0001", "sip.test")

        def step(number: int) -> None:
            to_model(elements[number], sender, recipient, new_id=MESSAGE_ID, received_at=1e9)

        return step

    def messages() -> list[Any]:
        found = []
        for one in requests:
            request: Any = parse_message(one)
            found.append(to_message(request, address_of_header(request.from_), MESSAGE_ID, 1e9))
        return found

    def write_stanza() -> Callable[[int], Any]:
        ready = messages()

        def step(number: int) -> None:
            from_model(ready[number], now=1e9).encode(COMPONENT)

        return step

    def write_sip() -> Callable[[int], Any]:
        ready = messages()
        via = "SIP/2.0/UDP 127.0.0.1:5060;rport;branch=z9hG4bK0123456789"

        def step(number: int) -> None:
            ready_draft = draft(ready[number], server_name="gw.test", spell=lambda _: "")
            request_for(ready_draft, via).encode()

        return step

    def store() -> Callable[[int], Any]:
        ready = messages()

        def step(number: int) -> None:
            encode(ready[number])

        return step

    def restore() -> Callable[[int], Any]:
        ready = [encode(message) for message in messages()]

        def step(number: int) -> None:
            decode(ready[number])

        return step

    yield "SIP request: read, validate", read_sip
    yield "SIP request -> message", understand_sip
    yield "SIP 200: make, write", answer_sip
    yield "message -> SIP request, written", write_sip
    yield "SIP 200: read, validate", read_answer
    yield "stanza: read", read_stanza
    yield "stanza: read, checked by the stream", stream_stanza
    yield "stanza -> message", understand_stanza
    yield "message -> stanza, written", write_stanza
    yield "message -> the journal's form", store
    yield "the journal's form -> message", restore


def measure(make: Callable[[], Callable[[int], Any]], rounds: int) -> float:
    """Microseconds a message: the median of the rounds."""
    step = make()
    times = []
    for _ in range(rounds):
        gc.collect()
        gc.disable()
        began = time.process_time()
        for number in range(ROUND):
            step(number)
        times.append((time.process_time() - began) / ROUND * 1e6)
        gc.enable()
        step = make()  # what is read lazily is kept by the message: fresh ones for each round
    return statistics.median(times)


@click.command(help=__doc__, epilog="Example: bench/codec.py --rounds 9")
@click.option(
    "--rounds", default=7, show_default=True, help=f"Rounds of {ROUND} messages; the median counts."
)
@click.option("--only", default="", help="Only steps whose name contains this.")
def main(rounds: int, only: str) -> None:
    about = machine()
    table = Table(
        title=f"{about['cpu']}, Python {about['python']}; medians of {rounds}", title_justify="left"
    )
    table.add_column("step")
    table.add_column("µs", justify="right")
    for name, make in steps():
        if only in name:
            table.add_row(name, f"{measure(make, rounds):.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
