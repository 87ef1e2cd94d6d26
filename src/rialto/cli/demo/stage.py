"""The play of `rialto try`: the first two messages, then whatever is typed or comes in from outside."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from rialto.cli import show
from rialto.cli.demo import view
from rialto.cli.demo.prompt import HELP, Order, Say, Speakers, Unclear, understand
from rialto.cli.demo.wire import Recorder
from rialto.cli.demo.world import (
    JULIET,
    LOOPBACK,
    ROMEO,
    SIP_DOMAIN,
    TEST_DOMAIN,
    TEST_PEOPLE,
    XMPP_DOMAIN,
    Heard,
    News,
    Told,
    World,
)
from rialto.model.address import Address
from rialto.model.errors import AddressError
from rialto.store.store import Row

QUIET_S = 0.1
"""So long nothing must pass before what passed is shown."""

SPEAKERS = Speakers(
    partners={"juliet": ROMEO, "romeo": JULIET.bare},
    names={
        "juliet": JULIET.bare,
        "romeo": ROMEO,
        **{name: Address(name, TEST_DOMAIN) for name in TEST_PEOPLE},
    },
)


class Stage:
    """A world, and somebody who watches it.

    `stays`: it goes on after the first messages, so what is printed can still be tried. `everything` also
    shows what servers say to one another.
    """

    def __init__(self, folder: Path, out: Console, *, stays: bool, everything: bool = False) -> None:
        self._out = out
        self._stays = stays
        self._everything = everything
        self._began = time.monotonic()
        self._recorder = Recorder(self._on_chunk)
        self.world = World(folder, self._recorder, self._on_news)
        self._loop: asyncio.AbstractEventLoop
        self._quiet: asyncio.TimerHandle | None = None
        self._silence = asyncio.Event()
        self._awaited: tuple[Address, str, asyncio.Future[None]] | None = None
        self._last: Say | None = None
        self._end = asyncio.Event()
        self._aside: list[str] = []

    async def start(self) -> None:
        """Raise the curtain. Raises ConfigError and OSError."""
        self._loop = asyncio.get_running_loop()
        await self.world.start()

    async def stop(self) -> None:
        """And let it fall."""
        if self._quiet is not None:
            self._quiet.cancel()
        await self.world.stop()

    # -- what is said ----------------------------------------------------------------------------------

    def introduce(self) -> None:
        """Who is where."""
        ports, out = self.world.ports, self._out
        table = Table(box=None, show_header=False, pad_edge=False)
        at = f"{LOOPBACK}:{{}}".format
        table.add_row(
            "[bold]juliet[/bold]", str(JULIET), f"an XMPP server at {at(ports.server)}, s2s with TLS"
        )
        table.add_row(
            "[bold]Rialto[/bold]", "", f"XMPP at {at(ports.xmpp)}, SIP at {at(ports.sip)} (UDP and TCP)"
        )
        table.add_row("[bold]romeo[/bold]", str(ROMEO), f"a SIP phone at {at(ports.phone)}, UDP")
        out.print(f"A whole gateway, ready after {show.span(time.monotonic() - self._began)}:")
        out.print(table)
        out.print(view.legend())

    async def cross(self, sender: str, text: str, *, within_s: float) -> bool:
        """Let somebody say something to the other, and wait until it was heard and shown."""
        recipient = SPEAKERS.partners[sender]
        heard: asyncio.Future[None] = self._loop.create_future()
        self._awaited = (recipient.bare, text, heard)
        self._silence.clear()
        self._say(Say(sender, recipient, text))
        try:
            async with asyncio.timeout(within_s):
                await heard
        except TimeoutError:
            self._show()
            self._out.print(f"[red]{recipient.local} has not heard it within {show.span(within_s)}[/red]")
            return False
        await self._silence.wait()
        return True

    def invite(self) -> None:
        """What can be done now."""
        out, port = self._out, self.world.ports.sip
        out.print()
        out.print("[bold]Now you.[/bold] Type here:")
        out.print(HELP, markup=False)
        out.print("In another terminal:")
        for line in (
            f"rialto trail --last 10 --data-dir {self.world.folder}",
            f'rialto send {JULIET.bare} "Hello" --data-dir {self.world.folder}',
            f"sipp -sf {self.world.folder}/message.xml -s juliet -m 3 -r 1 {LOOPBACK}:{port}",
        ):
            out.print(f"  {line}", markup=False, soft_wrap=True)
        out.print(
            f"Any SIP client will do that sends MESSAGE to sip:{JULIET.bare} by way of {LOOPBACK}:{port} "
            f"and calls itself somebody@{SIP_DOMAIN} or somebody@{LOOPBACK}."
        )

    async def stay(self, stay_s: float | None) -> None:
        """Until the time is over, or the user has had enough."""
        listening = sys.stdin.isatty()
        if listening:
            os.set_blocking(sys.stdin.fileno(), False)
            self._loop.add_reader(sys.stdin.fileno(), self._typed)
        try:
            async with asyncio.timeout(stay_s):
                await self._end.wait()
        except TimeoutError:
            pass
        finally:
            if listening:
                self._loop.remove_reader(sys.stdin.fileno())
                os.set_blocking(sys.stdin.fileno(), True)

    def _typed(self) -> None:
        # A terminal gives whole lines, one at a time.
        line = sys.stdin.readline()
        if not line:
            self._end.set()
            return
        match understand(line, SPEAKERS, self._last):
            case Say() as say:
                self._say(say)
            case Order(name="quit" | "exit" | "q"):
                self._end.set()
            case Order(name="wire"):
                self._everything = not self._everything
                self._out.print(
                    "everything is shown" if self._everything else "only what people say is shown"
                )
            case Order(name="peers"):
                for network in self.world.app.networks.values():
                    for link in network.links():
                        known = (link.network, link.peer, link.remote, link.state, link.security)
                        self._out.print("  " + "  ".join(known), markup=False)
            case Order():
                self._out.print(HELP, markup=False)
            case Unclear(why=why):
                self._out.print(why, markup=False)

    def _say(self, say: Say) -> None:
        try:
            self.world.say(say.sender, say.recipient, say.text)
        except AddressError as error:
            self._out.print(str(error), markup=False)
        else:
            self._last = say

    # -- what is heard ---------------------------------------------------------------------------------

    def _on_news(self, news: News) -> None:
        match news:
            case Heard(error="") as heard:
                who, whom = show.safe(str(heard.sender)), show.safe(str(heard.recipient.bare))
                self._aside.append(
                    f"[bold]{whom}[/bold] hears from [bold]{who}[/bold]: "
                    f"[bold green]{show.safe(heard.text)}[/bold green]"
                )
                awaited = self._awaited
                if awaited is not None and (heard.recipient.bare, heard.text) == awaited[:2]:
                    self._awaited = None
                    awaited[2].set_result(None)
            case Heard() as heard:
                self._aside.append(
                    f"[bold]{show.safe(str(heard.recipient.bare))}[/bold] learns that "
                    f"{show.safe(str(heard.sender.bare))} did not get it: [bold red]{heard.error}[/bold red]"
                )
            case Told(status=status, reason=reason):
                colour = "green" if 200 <= status < 300 else "red"
                self._aside.append(f"the phone is told [{colour}]{status} {show.safe(reason)}[/]")

    def _on_chunk(self) -> None:
        if self._quiet is not None:
            self._quiet.cancel()
        self._quiet = self._loop.call_later(QUIET_S, self._show)

    def _show(self) -> None:
        self._quiet = None
        burst = self._recorder.take()
        aside, self._aside = self._aside, []
        view.print_burst(
            self._out,
            burst,
            self._rows(burst.chunks[0].at if burst.chunks else time.time()),
            {"xmpp": XMPP_DOMAIN, "sip": SIP_DOMAIN},
            f"rialto trail {{id}} --data-dir {self.world.folder}" if self._stays else "",
            everything=self._everything,
        )
        if not burst.lost:
            for line in aside:
                self._out.print(line)
        self._silence.set()

    def _rows(self, since: float) -> list[Row]:
        """The messages that have changed since then, oldest first."""
        rows = self.world.app.store.latest(most=10)
        return [
            row
            for row in reversed(rows)
            if row.received_at >= since - 0.05 or (row.settled_at or 0.0) >= since
        ]
