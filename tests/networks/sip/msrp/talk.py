"""Two ends of an MSRP connection, without a network: bytes are carried by hand, cut as a test wants them."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from rialto.networks.sip.msrp.wire.connection import DEFAULT_LIMITS, DEFAULT_TIMING, Connection
from rialto.networks.sip.msrp.wire.events import ContentReceived, MessageReceived, MsrpEvent
from rialto.networks.sip.msrp.wire.incoming import Incoming
from rialto.networks.sip.msrp.wire.session import Session, SessionBook
from rialto.networks.sip.msrp.wire.terms import Limits, Timing
from rialto.networks.sip.msrp.wire.uri import parse_path, parse_uri

ALICE = "msrp://alice.example.com:7777/iau39soe2843z;tcp"
BOB = "msrp://bob.example.com:8888/9di4eae923wzd;tcp"

E = TypeVar("E")


def cuts(data: bytes, how: str, seed: int = 5) -> Iterator[bytes]:
    """The bytes `whole`, one by one (`bytes`), or in pieces of any length (`random`)."""
    if how == "whole":
        yield data
        return
    dice = random.Random(seed)
    at = 0
    while at < len(data):
        size = 1 if how == "bytes" else dice.randint(1, 60)
        yield data[at : at + size]
        at += size


class End:
    """One end: a connection, its sessions, and everything that it was told."""

    def __init__(
        self, name: str = "x", *, limits: Limits = DEFAULT_LIMITS, timing: Timing = DEFAULT_TIMING
    ) -> None:
        self.now = 0.0
        self.book = SessionBook()
        numbers = itertools.count(1)
        self.connection = Connection(
            find=self.book.find,
            make_id=lambda: f"{name}{next(numbers):07d}",
            clock=lambda: self.now,
            limits=limits,
            timing=timing,
        )
        self.events: list[MsrpEvent] = []
        self.content: dict[str, bytes] = {}
        self.whole: dict[str, bytes] = {}
        self.decide: Callable[[Incoming], None] | None = self.connection.accept

    def expect(self, local: str, *path: str, **more: object) -> Session:
        """A session that the other end will bind."""
        session = Session(parse_uri(local), parse_path(" ".join(path)) if path else (), **more)  # type: ignore[arg-type]
        self.book.add(session)
        return session

    def hear(self, data: bytes, how: str = "whole") -> list[MsrpEvent]:
        """Take bytes; what happened."""
        seen: list[MsrpEvent] = []
        for piece in cuts(data, how) if data else [b""]:
            self.connection.receive_data(piece, self.now)
            seen += self.drain()
        return seen

    def drain(self) -> list[MsrpEvent]:
        """What happened; messages that are whole are decided on."""
        seen: list[MsrpEvent] = []
        while (event := self.connection.next_event()) is not None:
            seen.append(event)
            if isinstance(event, ContentReceived):
                key = event.message.message_id
                self.content[key] = self.content.get(key, b"") + event.data
            elif isinstance(event, MessageReceived):
                self.whole[event.message.message_id] = self.content.get(event.message.message_id, b"")
                if self.decide is not None:
                    self.decide(event.message)
        self.events += seen
        return seen

    def say(self) -> bytes:
        """Everything that it wants to say, slice by slice."""
        said = b""
        while piece := self.connection.data_to_send():
            said += piece
        return said

    def wait(self, seconds: float) -> list[MsrpEvent]:
        """Let time pass, ringing whenever something is due."""
        until = self.now + seconds
        while (due := self.connection.next_timer()) is not None and due <= until and due > 0:
            self.now = max(self.now, due)
            self.connection.handle_timer(self.now)
        self.now = until
        return self.drain()

    def saw(self, kind: type[E]) -> list[E]:
        """All events of one kind so far."""
        return [event for event in self.events if isinstance(event, kind)]


class Pair:
    """Alice, who has connected, and Bob, who was connected to, in one session."""

    def __init__(self, *, how: str = "whole", **more: object) -> None:
        self.how = how
        self.alice, self.bob = End("a", **more), End("b", **more)  # type: ignore[arg-type]
        self.at_alice = self.alice.expect(ALICE, BOB)
        self.at_bob = self.bob.expect(BOB, ALICE)
        self.alice.connection.add(self.at_alice, greet=True)
        self.talk()

    def another(self, number: int) -> tuple[Session, Session]:
        """One more session on the same connection."""
        local, remote = ALICE.replace("7777/", f"7777/{number}"), BOB.replace("8888/", f"8888/{number}")
        at_alice, at_bob = self.alice.expect(local, remote), self.bob.expect(remote, local)
        self.alice.connection.add(at_alice, greet=True)
        self.talk()
        return at_alice, at_bob

    def talk(self) -> None:
        """Carry what each says to the other, until both are silent."""
        for _ in range(10_000):
            said, answered = self.alice.connection.data_to_send(), self.bob.connection.data_to_send()
            if not said and not answered:
                return
            if said:
                self.bob.hear(said, self.how)
            if answered:
                self.alice.hear(answered, self.how)
        raise AssertionError("they never stop")


def request(lines: Sequence[str], body: str | bytes | None = None, *, flag: str = "$") -> bytes:
    """A request or response from its start line and header fields, with its end line."""
    head = "\r\n".join(lines) + "\r\n"
    transaction = lines[0].split()[1]
    data = body.encode() if isinstance(body, str) else body
    middle = b"" if data is None else b"\r\n" + data + b"\r\n"
    return head.encode() + middle + f"-------{transaction}{flag}\r\n".encode()


def send(
    transaction: str,
    message_id: str,
    body: str | bytes | None,
    *more: str,
    to: str = BOB,
    back: str = ALICE,
    span: str = "",
    kind: str = "text/plain",
    flag: str = "$",
) -> bytes:
    """A SEND."""
    lines = [f"MSRP {transaction} SEND", f"To-Path: {to}", f"From-Path: {back}", f"Message-ID: {message_id}"]
    if span:
        lines.append(f"Byte-Range: {span}")
    lines += more
    if body is not None and kind:
        lines.append(f"Content-Type: {kind}")
    return request(lines, body, flag=flag)
