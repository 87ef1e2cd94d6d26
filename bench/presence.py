"""How much a watched person costs: memory for each pair, time to restart, CPU for each change.

    python bench/presence.py [--pairs 200000]

Half of the pairs watch one way, half the other; everybody is granted, listening and shown online from one
instance with a status, and each side keeps as much as a SIP dialog needs. Everything is real but the
networks, which do nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import random
import resource
import sqlite3
import tempfile
import time
from pathlib import Path

from rialto.core.metrics import Metrics
from rialto.core.network import Origin, PairView, Peer, Side, Verb
from rialto.core.policy.gate import Gate
from rialto.core.policy.settings import PolicySettings
from rialto.core.presence import Presence, PresenceSettings
from rialto.core.presence.records import written
from rialto.core.presence.watch import Watch
from rialto.core.routing import Routes
from rialto.model.address import Address
from rialto.model.message import Text
from rialto.model.presence import Document, Grant, Pair, Show, State
from rialto.store.store import Store
from rialto.store.units import STATEMENTS
from rialto.testing import peer

XMPP = peer("xmpp.example", "xmpp", "xmpp.example")
SIP = peer("sip.example", "sip", "sip.example")
CONTACTS = 20
"""How many people each watches."""


class Silent:
    """A network without a wire."""

    pushes = True

    def __init__(self) -> None:
        self.left = 0
        self.done = asyncio.Event()

    def expect(self, count: int) -> None:
        """Set `done` after so many calls."""
        self.left = count
        self.done.clear()

    def called(self) -> None:
        """One of them."""
        self.left -= 1
        if not self.left:
            self.done.set()

    def destination(self, peer: Peer, domain: str) -> str:
        return domain

    def resume(self, view: PairView, side: Side) -> None:
        pass

    def watch(self, view: PairView, verb: Verb) -> None:
        self.called()

    def tell(self, view: PairView) -> None:
        self.called()


def open_gate() -> Gate:
    """Everybody may talk."""
    return Gate(PolicySettings(), own_domain="gw.example", clock=time.time, count=lambda *_: None)


def resident_bytes() -> int:
    """What the process has in memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def document(number: int, at: float, show: Show = Show.AVAILABLE) -> Document:
    """Somebody online."""
    notes = (Text(f"at work, room {number % 1000}", "en"),)
    return Document((State(f"desk-{number:08x}", show, notes, priority=5),), as_of=at)


def pairs(count: int) -> list[Pair]:
    """Half one way, half the other."""
    found = []
    for number in range(count // 2):
        one = Address(f"user{number // CONTACTS}", "xmpp.example")
        other = Address(f"+4930{number:08d}", "sip.example")
        found += [Pair(one, other), Pair(other, one)]
    return found


def fill(folder: Path, count: int) -> None:
    """Write the database as a run of the server would have left it."""
    Store(folder).close()
    connection = sqlite3.connect(folder / "rialto.db")
    now = time.time()
    for number, one in enumerate(pairs(count)):
        watch = Watch(one, one.watcher.domain, one.presentity.domain, now)
        watch.grant = watch.told_grant = Grant.GRANTED
        watch.listening, watch.until = True, now + 3600 + number % 3600
        watch.document = watch.told_document = document(number, now)
        watch.fresh_data = {"watcher": bytes(300), "presentity": bytes(300)}
        watch.entries = [(now, "ask", ""), (now, "granted", ""), (now, "shown", "online")]
        for statement, parameters in written(watch):
            connection.execute(STATEMENTS[statement], parameters)
    connection.commit()
    connection.close()


async def run(folder: Path, count: int) -> None:
    """Restart, then change."""
    store = Store(folder)
    store.writer.start()
    loop = asyncio.get_running_loop()
    routes, network = Routes((XMPP, SIP)), Silent()
    metrics = Metrics()
    presence = Presence(
        settings=PresenceSettings(opens_per_s=1e9),
        metrics=metrics,
        clock=time.time,
        candidates=routes.candidates,
        gate=Gate(PolicySettings(), own_domain="gw.example", clock=time.time, count=metrics.count),
    )
    gc.collect()
    before = resident_bytes()
    began = time.perf_counter()
    presence.start(
        {"xmpp": network, "sip": network},  # type: ignore[dict-item]
        store.watches(),
        submit=store.writer.submit,
        call_soon=loop.call_soon,
        call_later=loop.call_later,
        monotonic=loop.time,
        random=random.random,
    )
    loaded = time.perf_counter()
    gc.collect()
    held = resident_bytes() - before
    asked = time.perf_counter()
    network.expect(count)
    presence.go()
    await network.done.wait()
    all_asked = time.perf_counter()
    print(f"pairs                     {len(presence):>12,}")
    print(f"memory for each           {held / len(presence):>12,.0f} bytes")
    print(f"restart: read and resume  {loaded - began:>12.2f} s")
    print(f"restart: ask about all    {all_asked - asked:>12.2f} s without a budget")
    some = random.sample(pairs(count), min(count, 20_000))
    origins = {one.name: Origin(one, one.name, "tls") for one in (XMPP, SIP)}
    network.expect(len(some))
    began, cpu = time.perf_counter(), time.process_time()
    for number, one in enumerate(some):
        presence.show(one, document(number, time.time(), Show.AWAY), origins[one.presentity.domain])
    await network.done.wait()
    took, cpu = time.perf_counter() - began, time.process_time() - cpu
    print(f"a storm of {len(some):,} changes  {len(some) / took:>12,.0f} told a second, on disk first")
    print(f"CPU for each change       {cpu / len(some) * 1e6:>12.0f} us, both threads")
    began = time.perf_counter()
    until = time.time() + 7200
    for one in some:
        presence.open(one, origins[one.watcher.domain], until)
    print(f"refresh of a session      {(time.perf_counter() - began) / len(some) * 1e6:>12.1f} us")
    presence.stop()
    await store.writer.stop()
    store.close()


def main() -> None:
    """Fill, restart, change."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=200_000)
    count = parser.parse_args().pairs
    with tempfile.TemporaryDirectory() as folder:
        fill(Path(folder), count)
        asyncio.run(run(Path(folder), count))


if __name__ == "__main__":
    main()
