"""How much presence with a SIP peer costs in all: memory for each pair with its dialog, CPU to refresh.

    python bench/dialogs.py [--pairs 200000] [--json bench/figures.json]

As `presence.py`, but with the SIP side as it is in the server: half of the pairs are dialogs of ours at a
presence agent, half are dialogs of telephones with us. They are taken up as after a restart; then an hour
passes by a clock that is turned by hand, in which everybody refreshes once: SUBSCRIBE, 200, NOTIFY with the
whole document, 200, each written and parsed. Sockets and transactions are left out, and the far side's work
is in it. With `--json` the figures take their place among those of that file.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import heapq
import itertools
import json
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1]))

import msgspec

from bench.presence import SIP, XMPP, Silent, document, open_gate, pairs, resident_bytes
from bench.report import presence_table
from rialto.core.faces import Faces
from rialto.core.metrics import Metrics
from rialto.core.network import Context, Origin, Peer
from rialto.core.presence import Presence, PresenceSettings
from rialto.core.presence.records import written
from rialto.core.presence.watch import Watch
from rialto.core.routing import Routes
from rialto.model.presence import Grant, Pair
from rialto.net.certificates import Trust
from rialto.net.tls import CertificateStore
from rialto.networks.sip.addresses import address_of, uri_of
from rialto.networks.sip.documents import to_pidf
from rialto.networks.sip.identity import Sender
from rialto.networks.sip.presence import SipPresence
from rialto.networks.sip.settings import PeerSettings
from rialto.networks.sip.trunk import Trunk
from rialto.networks.sip.wire import Request, parse_message, response_to
from rialto.networks.sip.wire.dialogs import Dialog
from rialto.networks.sip.wire.notifications import KeptNotifier
from rialto.networks.sip.wire.subscriptions import Kept
from rialto.store.store import Store
from rialto.store.units import STATEMENTS
from rialto.wire.pidf import write

HOUR_S = 3600
ROUTE = ("<sip:proxy.sip.example;lr>",)
SIP_PEER = Peer(
    SIP.name,
    "sip",
    SIP.domains,
    PeerSettings(trust=("address",), addresses=("192.0.2.1",), notify_every_s=0.0),
)


class Clock:
    """Turned by hand; and what is to be called, when it has come so far."""

    def __init__(self) -> None:
        self.now = time.time()
        self._calls: list[tuple[float, int, Callable[[], None]]] = []
        self._number = itertools.count()

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Any:
        heapq.heappush(self._calls, (self.now + delay_s, next(self._number), callback))
        return self

    def cancel(self) -> None:
        """What is called in vain does nothing."""

    def turn(self, seconds: float) -> None:
        end = self.now + seconds
        while self._calls and self._calls[0][0] <= end:
            self.now, _, call = heapq.heappop(self._calls)
            call()
        self.now = end


class Desk(SipPresence):
    """The SIP side, whose far side answers at once."""

    pushes = False

    def __init__(self, context: Context, clock: Clock) -> None:
        trunk = Trunk(SIP_PEER, Trust(()))
        super().__init__(context, lambda _: trunk, lambda _: "")
        self.trunk = trunk
        self._timer = clock
        self.refreshed = 0
        self._answers: list[tuple[Request, Any]] = []

    def begin(self, hub: Any) -> None:
        self.hub = hub
        self.watchings.start()
        self.audiences.start()

    def watch(self, view: Any, verb: Any) -> None:
        self.watchings.watch(view, verb)

    def tell(self, view: Any) -> None:
        self.audiences.tell(view)

    def destination(self, peer: Peer, domain: str) -> str:
        return domain

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Any:
        return self._timer.call_later(delay_s, callback)

    def learn(self, *_: Any) -> None:
        """Nobody has a name here."""

    def transport_to(self, trunk: Trunk | None) -> str:
        return "udp"

    def contact(self, person: Any, transport: str) -> str:
        return f"<sip:{uri_of(person).user}@gw.example;gr=gw>"

    def answer(self, transaction: Any, status: int, headers: Any = (), text: str | None = None) -> None:
        assert status == 200, status
        response_to(transaction, status, text, to_tag="x", headers=headers).encode()

    def send(self, request: Request, dialog: Dialog, trunk: Trunk, domain: str, traveller: Any) -> None:
        self._answers.append((request, traveller))

    def play(self) -> None:
        """The far side's turn, until nothing is left to say."""
        while self._answers:
            request, traveller = self._answers.pop()
            arrived = parse_message(
                Request(request.method, request.uri, [VIA, *request.headers], request.body).encode()
            )
            assert isinstance(arrived, Request)
            response = response_to(arrived, 200, to_tag="agent", headers=(("Expires", "3600"),))
            traveller.responded(request, parse_message(response.encode()))
            if request.method == "SUBSCRIBE":
                self.refreshed += 1
                self._notify(request)

    def _notify(self, asked: Request) -> None:
        """The presence agent shows everything again."""
        tag = asked.to.tag or ""
        number = int(tag)
        body = write(to_pidf(document(number, 0.0), address_of(asked.to.uri)))
        head = [
            VIA,
            ("From", str(asked.to)),
            ("To", str(asked.from_)),
            ("Call-ID", asked.call_id),
            ("CSeq", f"{asked.cseq[0]} NOTIFY"),
            ("Contact", f"<sip:agent{number}@192.0.2.1;transport=udp>"),
            ("Event", "presence"),
            ("Subscription-State", "active;expires=3600"),
            ("Content-Type", "application/pidf+xml"),
        ]
        request = parse_message(Request("NOTIFY", "sip:gw.example", head, body).encode())
        assert isinstance(request, Request)
        status, _ = self.watchings.receive_notify(request, ORIGIN)
        assert status == 200, status
        self.watchings.settle()

    def refresh(self, pair: Pair, number: int, cseq: int) -> None:
        """A telephone refreshes."""
        dialog = of_telephone(pair, number)
        head = [
            VIA,
            ("From", f"<{dialog.remote}>;tag={dialog.remote_tag}"),
            ("To", f"<{dialog.local}>;tag={dialog.local_tag}"),
            ("Call-ID", dialog.call_id),
            ("CSeq", f"{cseq} SUBSCRIBE"),
            ("Contact", f"<{dialog.target}>"),
            ("Event", "presence"),
            ("Accept", "application/pidf+xml"),
            ("Expires", "3600"),
        ]
        request = parse_message(Request("SUBSCRIBE", dialog.local, head).encode())
        assert isinstance(request, Request)
        sender = Sender(pair.watcher, self.trunk, "address")
        self.audiences.receive_subscribe(request, request, sender, ORIGIN)  # type: ignore[arg-type]
        self.refreshed += 1


class Prompt(Silent):
    """The XMPP side, whose far side has nothing new to say, and says so."""

    presence: Presence

    def watch(self, view: Any, verb: Any) -> None:
        self.presence.done(view.pair, None)

    def tell(self, view: Any) -> None:
        """Nobody looks."""


VIA = ("Via", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKbench")
ORIGIN = Origin(SIP_PEER, SIP.name, "address")


def of_agent(pair: Pair, number: int) -> Dialog:
    """A dialog of ours with a presence agent."""
    return Dialog(
        f"{random.randbytes(12).hex()}@gw.example",
        str(uri_of(pair.watcher)),
        str(uri_of(pair.presentity)),
        random.randbytes(8).hex(),
        f"{number:016d}",
        f"sip:agent{number}@192.0.2.1;transport=udp",
        ROUTE,
        200_000_000,
        1,
    )


def of_telephone(pair: Pair, number: int) -> Dialog:
    """A telephone's dialog with us; the same whenever it is asked for."""
    return Dialog(
        f"{number:032x}@192.0.2.77",
        str(uri_of(pair.presentity)),
        str(uri_of(pair.watcher)),
        f"{number:016x}",
        f"{number:012x}",
        f"{uri_of(pair.watcher).scheme}:{uri_of(pair.watcher).user}@192.0.2.77:5060;transport=udp",
        ROUTE,
        200_000_000,
        1,
    )


def fill(folder: Path, everybody: list[Pair], now: float) -> None:
    """Write the database as a run of the server would have left it."""
    Store(folder).close()
    connection = sqlite3.connect(folder / "rialto.db")
    encode = msgspec.msgpack.encode
    for number, one in enumerate(everybody):
        watch = Watch(one, one.watcher.domain, one.presentity.domain, now)
        watch.grant = watch.told_grant = Grant.GRANTED
        until = now + HOUR_S * (0.3 + 0.7 * random.random())
        watch.listening = True
        watch.document = watch.told_document = shown = document(number, now)
        if one.presentity.domain == SIP.name:
            kept: Any = Kept(of_agent(one, number), "active", until, now)
            watch.fresh_data = {"presentity": encode(kept)}
        else:
            watch.until = now + 2 * HOUR_S
            instances = tuple(state.instance for state in shown.states)
            kept = [[KeptNotifier(of_telephone(one, number), "active", now + 2 * HOUR_S, "", instances)]]
            watch.fresh_data = {"watcher": encode(kept)}
        watch.entries = [(now, "ask", ""), (now, "granted", ""), (now, "shown", "online")]
        for statement, parameters in written(watch):
            connection.execute(STATEMENTS[statement], parameters)
    connection.commit()
    connection.close()


class Hub:
    """As much of it as the SIP side asks for."""

    def __init__(self, presence: Presence) -> None:
        self.presence = presence
        self.faces = Faces(time.time, lambda domain, network: ())

    def count(self, *key: str) -> None:
        """Nothing is counted here."""


async def turn(store: Store, desk: Desk, clock: Clock) -> None:
    """A second passes, and all that is due in it is done."""
    clock.turn(1)
    desk.play()
    await asyncio.sleep(0)
    await store.writer.drain()


async def run(folder: Path, everybody: list[Pair], clock: Clock) -> dict[str, float]:
    """Take up, then let an hour pass; returned are the figures (bytes, seconds)."""
    found: dict[str, float] = {"pairs": len(everybody)}

    def memory(when: str) -> None:
        gc.collect()
        found[when] = round((resident_bytes() - before) / len(everybody))

    store = Store(folder)
    store.writer.start()
    loop = asyncio.get_running_loop()
    context = Context(
        name="sip",
        server_name="gw.example",
        secret=bytes(32),
        peers=(SIP_PEER,),
        dns=None,
        certificates=CertificateStore(),
        anchors=(),
        clock=lambda: clock.now,
    )
    desk, network = Desk(context, clock), Prompt()
    presence = Presence(
        settings=PresenceSettings(),
        metrics=Metrics(),
        clock=lambda: clock.now,
        candidates=Routes((XMPP, SIP_PEER)).candidates,
        gate=open_gate(),
    )
    network.presence = presence
    gc.collect()
    before = resident_bytes()
    began, used = time.perf_counter(), time.process_time()
    presence.start(
        {"xmpp": network, "sip": desk},  # type: ignore[dict-item]
        store.watches(),
        submit=store.writer.submit,
        call_soon=loop.call_soon,
        call_later=clock.call_later,
        monotonic=lambda: clock.now,
        random=random.random,
    )
    desk.begin(Hub(presence))
    presence.go()
    found["restart_s"] = round(time.perf_counter() - began, 1)
    found["restart_cpu_s"] = round(time.process_time() - used, 1)
    assert len(desk.watchings) + len(desk.audiences) == len(presence) == len(everybody)
    memory("taken_up_bytes")
    while desk.refreshed < len(desk.watchings):  # everybody is asked about
        await turn(store, desk, clock)
    for _ in range(120):  # what was waited for is over
        await turn(store, desk, clock)
    memory("asked_bytes")
    desk.refreshed = 0
    telephones = [(n, one) for n, one in enumerate(everybody) if one.watcher.domain == SIP.name]
    random.shuffle(telephones)
    cpu = time.process_time()
    for second in range(HOUR_S):
        for number, one in telephones[second::HOUR_S]:
            desk.refresh(one, number, 2)
        await turn(store, desk, clock)
    cpu = time.process_time() - cpu
    memory("hour_bytes")
    found["refreshed"] = desk.refreshed
    found["refresh_us"] = round(cpu / desk.refreshed * 1e6)
    found["core_percent"] = round(cpu / HOUR_S * 100, 1)
    presence.stop()
    await store.writer.stop()
    store.close()
    return found


def main() -> None:
    """Fill, take up, let an hour pass."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=200_000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    everybody = pairs(options.pairs)
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        fill(Path(folder), everybody, clock.now)
        found = asyncio.run(run(Path(folder), everybody, clock))
    print(presence_table(found), end="")
    if options.json is not None:
        known = json.loads(options.json.read_text(encoding="utf-8"))
        text = json.dumps({**known, "presence": found}, indent=1) + "\n"
        options.json.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
