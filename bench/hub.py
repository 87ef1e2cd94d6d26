#!/usr/bin/env python3
"""What the middle costs by itself: accept, journal, deliver, settle, between two networks that do nothing.

One process, one event loop, a real journal; the messages come ready made, and every delivery succeeds at once
(or after a while, with --later).
"""

from __future__ import annotations

import asyncio
import cProfile
import gc
import pstats
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench.report import machine
from bench.samples import TEXT
from bench.systems import BUILD, PEOPLE
from rialto.core.hub import Hub
from rialto.core.network import Delivery, Features, LinkState, Network, Origin, Outcome, Peer
from rialto.core.settings import QueueSettings
from rialto.model.address import Address
from rialto.model.errors import DeliveryError
from rialto.model.message import Kind, Message
from rialto.store.store import Store


class Prompt:
    """A network whose other end takes everything."""

    def __init__(self, name: str, later: bool) -> None:
        self.name = name
        self._later = later

    async def start(self, hub: Hub) -> None:
        """See `Network`."""

    async def stop(self, grace_s: float) -> None:
        """See `Network`."""

    async def reload(self, network: Network) -> None:
        """See `Network`."""

    def destination(self, peer: Peer, domain: str) -> str:
        """See `Network`."""
        return domain

    def measure(self, message: Message, peer: Peer) -> int:
        """See `Network`."""
        return 600

    def deliver(self, delivery: Delivery) -> None:
        """See `Network`."""
        if self._later:
            asyncio.get_running_loop().call_soon(delivery.delivered, "200 OK")
        else:
            delivery.delivered("200 OK")

    def links(self) -> list[LinkState]:
        """See `Network`."""
        return []

    async def probe(self, peer: Peer) -> tuple[bool, str]:
        """See `Network`."""
        return True, "here"


class Waiting:
    """What the origin keeps of a message; it tells the source when one more may come."""

    __slots__ = ("source",)
    waiting = True

    def __init__(self, source: Source) -> None:
        self.source = source

    def stored(self) -> None:
        """See `Inbound`."""

    def refused(self, error: DeliveryError) -> None:
        """See `Inbound`."""
        raise error

    def settled(self, outcome: Outcome, error: DeliveryError | None) -> bool:
        """See `Inbound`."""
        self.source.one_settled()
        return True


class Source:
    """Keeps `window` messages under way until `count` have been settled."""

    def __init__(self, hub: Hub, origin: Origin, count: int, window: int) -> None:
        self._hub = hub
        self._origin = origin
        self._left = count
        self._pending = 0
        self._window = window
        self._free = 0
        self._due = False
        self.done = asyncio.Event()
        self._people = [
            (Address(f"u{number:04}", "sip.test"), Address(f"v{number:04}", "xmpp.test"))
            for number in range(PEOPLE)
        ]

    def go(self) -> None:
        """Begin."""
        self._free = self._window
        self._send()

    def one_settled(self) -> None:
        """One is through."""
        self._free += 1
        self._pending -= 1
        if not self._due:
            self._due = True
            asyncio.get_running_loop().call_soon(self._send)

    def _send(self) -> None:
        self._due = False
        while self._free and self._left:
            self._free -= 1
            self._left -= 1
            self._pending += 1
            sender, recipient = self._people[self._left % PEOPLE]
            message = Message(
                id=self._hub.new_id(),
                sender=sender,
                recipient=recipient,
                text=TEXT,
                received_at=time.time(),
                kind=Kind.CHAT,
                origin_id=f"{self._left:010}",
                stable_id=f"{self._left:010}",
            )
            self._hub.accept(message, self._origin, Waiting(self))
        if not self._left and not self._pending:
            self.done.set()


async def round_of(
    count: int, window: int, folder: Path, later: bool, profile: cProfile.Profile | None
) -> dict[str, float]:
    """One round with a fresh journal."""
    networks = {name: Prompt(name, later) for name in ("sip", "xmpp")}
    peers = [
        Peer(
            name=name,
            network=name,
            domains=(f"{name}.test",),
            settings=None,
            features=Features(max_bytes=1300 if name == "sip" else None),
            rate_per_s=1e6,
            sender_rate_per_s=1e6,
        )
        for name in networks
    ]
    store = Store(folder)
    hub = Hub(store=store, peers=peers, settings=QueueSettings(), server_name="gw.test", clock=time.time)
    await hub.start(networks)
    hub.go()
    source = Source(hub, Origin(peers[0], "sip.test", "address"), count, window)
    gc.collect()
    gc.freeze()
    began, used = time.perf_counter(), time.process_time()
    thread_used = time.thread_time()
    if profile is not None:
        profile.enable()
    source.go()
    await source.done.wait()
    if profile is not None:
        profile.disable()
    await store.writer.flush()
    figures = {
        "cpu_us": (time.process_time() - used) / count * 1e6,
        "loop_us": (time.thread_time() - thread_used) / count * 1e6,
        "per_second": count / (time.perf_counter() - began),
        "batch": store.writer.units / max(1, store.writer.commits),
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    await hub.stop(5.0)
    await hub.close()
    return figures


@click.command(help=__doc__, epilog="Example: bench/hub.py --window 128 --profile")
@click.option("--messages", default=20_000, show_default=True, help="Messages of one round.")
@click.option("--window", default=128, show_default=True, help="How many are under way at a time.")
@click.option("--rounds", default=5, show_default=True, help="The medians of so many rounds are shown.")
@click.option("--later", is_flag=True, help="Deliveries succeed in the next turn of the loop, not at once.")
@click.option("--profile", is_flag=True, help="Also a profile of one more round (which costs time itself).")
@click.option("--data-dir", default=BUILD / "data", type=click.Path(path_type=Path), help="A real disk.")
def main(messages: int, window: int, rounds: int, later: bool, profile: bool, data_dir: Path) -> None:
    data_dir.mkdir(parents=True, exist_ok=True)

    def one(profiler: cProfile.Profile | None = None) -> dict[str, float]:
        with tempfile.TemporaryDirectory(prefix="hub-", dir=data_dir) as folder:
            return asyncio.run(round_of(messages, window, Path(folder), later, profiler))

    results = [one() for _ in range(rounds)]
    about = machine()
    table = Table(
        title=f"{about['cpu']}, Python {about['python']}; medians of {rounds}, window {window}",
        title_justify="left",
    )
    figures: list[tuple[str, str, str]] = [
        ("CPU a message, all threads", "cpu_us", "µs"),
        ("of that on the loop's thread", "loop_us", "µs"),
        ("messages a second", "per_second", ""),
        ("units in one commit", "batch", ""),
        ("most memory of the process", "memory_mb", "MB"),
    ]
    table.add_column("figure")
    table.add_column("median", justify="right")
    for title, key, unit in figures:
        table.add_row(title, f"{statistics.median(result[key] for result in results):,.1f} {unit}")
    Console().print(table)
    if profile:
        profiler: Any = cProfile.Profile()
        one(profiler)
        pstats.Stats(profiler).sort_stats("tottime").print_stats(35)


if __name__ == "__main__":
    main()
