"""Watching the people of loopback, through a whole hub and a real store."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from core.presence_stage import Wire
from rialto.core.hub import Hub
from rialto.core.network import Context, Network, Origin, PairView, Peer
from rialto.core.presence import why
from rialto.core.settings import QueueSettings
from rialto.model.address import Address
from rialto.model.errors import Reason
from rialto.model.presence import Grant, Pair, Show
from rialto.networks.loopback import PeerSettings, Settings, create, features
from rialto.store.store import Store
from rialto.testing import peer


class Town:
    """A hub between a watcher's network and loopback."""

    def __init__(self, folder: Path, **settings: float) -> None:
        self.peer = Peer(
            "loop.example", "loopback", ("loop.example",), PeerSettings(), features(PeerSettings())
        )
        self.home = peer("xmpp.example", "xmpp")
        self.xmpp = Wire("xmpp", pushes=True)
        self.views: asyncio.Queue[PairView] = asyncio.Queue()
        self.xmpp.on_tell = self.views.put_nowait
        context = Context("loopback", "gw.example", b"", (self.peer,), None, None, None, time.time)
        self.loopback: Network = create(Settings(**settings), context)
        self.store = Store(folder)
        self.hub = Hub(
            store=self.store,
            peers=(self.peer, self.home),
            settings=QueueSettings(),
            server_name="gw.example",
            clock=time.time,
        )

    async def __aenter__(self) -> Town:
        await self.hub.start({"xmpp": self.xmpp, "loopback": self.loopback})
        await self.loopback.start(self.hub)
        self.hub.go()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.hub.stop(0.0)
        await self.loopback.stop(0.0)
        await self.hub.close()

    def watch(self, whom: str) -> Pair:
        one = Pair(Address("romeo", "xmpp.example"), Address(whom, "loop.example"))
        origin = Origin(self.home, "xmpp.example", "tls")
        self.hub.presence.ask(one, origin)
        self.hub.presence.open(one, origin)
        return one

    async def until(self, grant: Grant) -> PairView:
        async with asyncio.timeout(5):
            while True:
                view = await self.views.get()
                if view.grant is grant and (view.document is not None or grant is not Grant.GRANTED):
                    return view


@pytest.mark.parametrize(("whom", "show"), [("echo", Show.AVAILABLE), ("busy", Show.DND)])
async def test_people_let_themselves_be_watched(tmp_path: Path, whom: str, show: Show) -> None:
    async with Town(tmp_path) as town:
        town.watch(whom)
        view = await town.until(Grant.GRANTED)
        assert view.document is not None
        assert [state.show for state in view.document.states] == [show]


@pytest.mark.parametrize(("whom", "reason"), [("refuse", Reason.DECLINED), ("nobody", Reason.NOT_FOUND)])
async def test_others_do_not(tmp_path: Path, whom: str, reason: Reason) -> None:
    async with Town(tmp_path) as town:
        town.watch(whom)
        assert (await town.until(Grant.REFUSED)).reason is reason


async def test_slow_comes_and_goes(tmp_path: Path) -> None:
    async with Town(tmp_path, slow_s=0.02) as town:
        town.watch("slow")
        seen = set()
        while seen != {True, False}:
            view = await town.until(Grant.GRANTED)
            assert view.document is not None
            seen.add(view.document.online)


async def test_after_a_restart_the_hub_knows_it_all_and_tells_nobody_again(tmp_path: Path) -> None:
    async with Town(tmp_path) as town:
        one = town.watch("echo")
        await town.until(Grant.GRANTED)
    async with Town(tmp_path) as town:
        assert [side for _, side in town.xmpp.resumed] == ["watcher"]
        view = town.hub.presence.view(one)
        assert view is not None
        assert view.grant is Grant.GRANTED
        assert view.document is not None
        assert view.document.online
        await town.store.writer.drain()
        assert town.xmpp.told == []
        account = why.account(one, None, town.store.watch(*why.key(one)))
        assert "echo@loop.example is online" in account["sentence"]
        assert [entry["what"] for entry in account["history"]][:2] == ["ask", "open"]
