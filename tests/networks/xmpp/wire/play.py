"""A stage for two stream machines: what one says, the other hears, in pieces of any size."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from rialto.networks.xmpp.wire.element import Element
from rialto.networks.xmpp.wire.events import StartTls
from rialto.networks.xmpp.wire.initiating import Initiating
from rialto.networks.xmpp.wire.receiving import Receiving
from rialto.networks.xmpp.wire.s2s import Policy
from rialto.networks.xmpp.wire.stream import Stream

CAPULET = "capulet.example"
MONTAGUE = "montague.example"
SECRETS = {CAPULET: b"s3cr3tf0rd14lb4ck", MONTAGUE: b"d14lb4ck43v3r"}


def ids(prefix: str) -> Callable[[], str]:
    """Ids that a reader of a failed test can follow."""
    numbers = itertools.count(1)
    return lambda: f"{prefix}{next(numbers)}"


def whole(data: bytes) -> Iterator[bytes]:
    yield data


def byte_by_byte(data: bytes) -> Iterator[bytes]:
    for index in range(len(data)):
        yield data[index : index + 1]


def random_cuts(data: bytes) -> Iterator[bytes]:
    dice = random.Random(len(data))
    while data:
        size = dice.randint(1, 40)
        yield data[:size]
        data = data[size:]


CUTS = [whole, byte_by_byte, random_cuts]


class Play:
    """Romeo's server (`montague.example`) opens a stream to Juliet's (`capulet.example`).

    Each certificate proves the domains in `certificates`. What happens is kept in `romeo` and `juliet`.
    """

    def __init__(
        self,
        *,
        cut: Callable[[bytes], Iterable[bytes]] = whole,
        certificates: dict[str, set[str]] | None = None,
        initiating: dict[str, Any] | None = None,
        receiving: dict[str, Any] | None = None,
        policy: Policy = Policy(dialback=True),  # noqa: B008
    ) -> None:
        self.now = 100.0
        self.cut = cut
        self.certificates = certificates if certificates is not None else {}
        self.a = Initiating(
            MONTAGUE,
            CAPULET,
            **{
                "secret": SECRETS[MONTAGUE],
                "make_id": ids("a"),
                "now": self.now,
                "policy": policy,
                **(initiating or {}),
            },
        )
        self.b = Receiving(
            **{
                "is_ours": lambda domain: domain == CAPULET or domain.endswith("." + CAPULET),
                "policy_for": lambda _remote: policy,
                "secret": SECRETS[CAPULET],
                "make_id": ids("b"),
                "now": self.now,
                **(receiving or {}),
            }
        )
        self.romeo: list[Any] = []
        self.juliet: list[Any] = []
        self.wire: list[tuple[str, bytes]] = []

    def run(self) -> Play:
        """Until nobody has anything to say."""
        while self._step():
            pass
        return self

    def _step(self) -> bool:
        moved = False
        for name, speaker, hearer, log in (
            ("romeo", self.a, self.b, self.romeo),
            ("juliet", self.b, self.a, self.juliet),
        ):
            log.extend(drain(speaker))
            data = speaker.data_to_send()
            if data:
                moved = True
                self.wire.append((name, data))
                for piece in self.cut(data):
                    hearer.receive_data(piece, self.now)
        self.juliet.extend(drain(self.b))
        self.romeo.extend(drain(self.a))
        if starts(self.romeo) and starts(self.juliet) and not self.a.secure:
            romeos = self.certificates.get("romeo", set())
            juliets = self.certificates.get("juliet", set())
            self.b.tls_established(self.now, romeos.__contains__)
            self.a.tls_established(self.now, juliets.__contains__)
            return True
        return moved

    def said(self, who: str) -> bytes:
        return b"".join(data for name, data in self.wire if name == who)


def drain(machine: Stream) -> list[Any]:
    events = []
    while (event := machine.next_event()) is not None:
        events.append(event)
    return events


def starts(events: list[Any]) -> bool:
    return any(isinstance(event, StartTls) for event in events)


def kinds(events: list[Any]) -> list[str]:
    return [type(event).__name__ for event in events]


def of(events: list[Any], kind: type[Any]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def speech(
    text: str = "But, soft!",
    *,
    sender: str = "romeo@montague.example/orchard",
    to: str = "juliet@capulet.example",
) -> Element:
    return Element("message", {"from": sender, "to": to, "id": "m1"}, [Element("body", {}, [text])])
