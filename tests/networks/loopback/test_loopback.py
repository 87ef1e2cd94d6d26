"""The people of loopback."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from rialto.core.hub import Hub
from rialto.core.network import Context, Features, Network, Origin, Peer
from rialto.core.settings import QueueSettings
from rialto.model.errors import Reason, Refused
from rialto.model.message import Disposition, Report
from rialto.networks.loopback import PeerSettings, Settings, create, features
from rialto.networks.loopback import network as loopback_network
from rialto.store.store import Store
from rialto.testing import NOW, Recorder, ScriptedNetwork, deliver_at_once, message, peer

ME = "juliet@xa.example"
HOME = Features(rich=True, receipts=tuple(Disposition), composing=True)


class Town:
    """A hub between a scripted network and loopback."""

    def __init__(self, folder: Path, **settings: float) -> None:
        self.peer = Peer(
            "loop.example", "loopback", ("loop.example",), PeerSettings(), features(PeerSettings())
        )
        self.home = peer("xa.example", "xmpp", features=HOME)
        self.xmpp = ScriptedNetwork("xmpp", deliver_at_once)
        context = Context("loopback", "gw.example", b"", (self.peer,), None, None, None, lambda: NOW)
        self.loopback: Network = create(Settings(**settings), context)
        self.hub = Hub(
            store=Store(folder),
            peers=(self.peer, self.home),
            settings=QueueSettings(),
            server_name="gw.example",
            clock=lambda: NOW,
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

    def say(self, whom: str, text: str = "hello", **more: object) -> Recorder:
        heard = Recorder(waiting=True)
        content = message(self.hub.new_id(), ME, f"{whom}@loop.example", text, **more)
        self.hub.accept(content, Origin(self.home, "xa.example", "tls"), heard)
        return heard


async def test_echo_says_it_back_once(tmp_path: Path) -> None:
    async with Town(tmp_path) as town:
        heard = town.say("echo", "ciao", thread="t")
        town.say("echo", "beep", automatic=True)
        await town.hub.store.writer.drain()
        assert heard.steps == ["stored", "settled"]
        assert town.xmpp.texts() == ["ciao"]
        echo = town.xmpp.log[0]
        assert (str(echo.sender), str(echo.recipient)) == ("echo@loop.example", ME)
        assert echo.automatic


async def test_refuse_declines_and_a_stranger_is_not_found(tmp_path: Path) -> None:
    async with Town(tmp_path) as town:
        refused, stranger = town.say("refuse"), town.say("nobody")
        await town.hub.store.writer.drain()
        assert refused.error is not None
        assert refused.error.reason is Reason.DECLINED
        assert stranger.error is not None
        assert stranger.error.reason is Reason.NOT_FOUND


async def test_busy_takes_it_at_the_second_try(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loopback_network, "BUSY_S", 0.01)
    async with Town(tmp_path) as town:
        told = asyncio.Event()
        heard = town.say("busy")
        heard.settled = lambda outcome, error: told.set() is None  # type: ignore[method-assign]
        await asyncio.wait_for(told.wait(), 5)


async def test_slow_takes_its_time_and_what_it_has_not_answered_waits_for_the_next_run(
    tmp_path: Path,
) -> None:
    async with Town(tmp_path, slow_s=3600.0) as town:
        heard = town.say("slow")
        await town.hub.store.writer.drain()
        assert heard.steps == ["stored"]
    began = time.monotonic()
    async with Town(tmp_path, slow_s=0.0) as town:
        while town.hub.under_way():
            await asyncio.sleep(0)
            assert time.monotonic() - began < 10
        await town.hub.store.writer.drain()
        assert [row.state for row in town.hub.store.latest(most=9)] == ["delivered"]


async def test_a_report_is_noted_and_nobody_lives_elsewhere(tmp_path: Path) -> None:
    async with Town(tmp_path) as town:
        town.xmpp.answer = lambda delivery: delivery.failed(Refused(Reason.GONE, "moved out"))
        content = message(town.hub.new_id(), "slow@loop.example", ME, "hello")
        town.hub.accept(content, Origin(town.peer, "loop.example", "local"), Recorder())
        await town.hub.store.writer.drain()
        rows = town.hub.store.latest(most=9)
        assert [(row.type, row.state) for row in rows] == [("report", "delivered"), ("message", "failed")]
        assert isinstance(content, Report) is False
