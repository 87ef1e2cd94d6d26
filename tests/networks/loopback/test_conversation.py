"""Whole conversations with the people of loopback: receipts, typing, text with form."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from networks.loopback.test_loopback import ME, Town
from rialto.core.network import Origin
from rialto.model.address import Address
from rialto.model.message import (
    ChatState,
    Composing,
    Disposition,
    File,
    Message,
    Receipt,
    Relation,
    RelationKind,
    Sealed,
)
from rialto.networks.loopback import network as loopback_network
from rialto.testing import Recorder

BOTH = (Disposition.DELIVERED, Disposition.DISPLAYED)
RICH = "<p><em>ciao</em></p>"


async def until_quiet(town: Town) -> None:
    async with asyncio.timeout(5):
        while town.hub.under_way():
            await town.hub.store.writer.drain()
            await town.hub._receipts.finish()
            await asyncio.sleep(0)


def receipts(town: Town) -> list[tuple[str, str, Disposition]]:
    return [
        (one.sender.local, one.origin_id, one.disposition)
        for one in town.xmpp.log
        if isinstance(one, Receipt)
    ]


async def test_echo_confirms_and_answers_with_all_that_was_in_it(tmp_path: Path) -> None:
    file = File(url="https://f.example/1", name="one")
    async with Town(tmp_path) as town:
        town.say("echo", "ciao", wants=BOTH, chat_states=True, rich=RICH, files=(file,), origin_id="o")
        await until_quiet(town)
        assert receipts(town) == [("echo", "o", one) for one in BOTH]
        (echo,) = [one for one in town.xmpp.log if isinstance(one, Message)]
        assert (echo.text, echo.rich, echo.wants, echo.chat_states) == (
            "ciao\none: https://f.example/1", f"{RICH}<p>one: https://f.example/1</p>", BOTH, True,
        )  # fmt: skip
        assert town.xmpp.composed == []  # it answers at once


@pytest.mark.parametrize("who", ["busy", "slow"])
async def test_whoever_takes_a_message_confirms_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, who: str
) -> None:
    monkeypatch.setattr(loopback_network, "BUSY_S", 0.01)
    async with Town(tmp_path, slow_s=0.0) as town:
        town.say(who, wants=BOTH, origin_id="o")
        await until_quiet(town)
        assert receipts(town) == [(who, "o", one) for one in BOTH]


@pytest.mark.parametrize("who", ["refuse", "nobody"])
async def test_whoever_does_not_take_it_confirms_nothing(tmp_path: Path, who: str) -> None:
    async with Town(tmp_path) as town:
        town.say(who, wants=BOTH)
        await until_quiet(town)
        assert receipts(town) == []


async def test_typing_comes_back_from_echo_and_from_nobody_else(tmp_path: Path) -> None:
    async with Town(tmp_path) as town:
        for who in ("echo", "slow"):
            for state in (ChatState.COMPOSING, ChatState.PAUSED):
                town.hub.compose(
                    Composing(
                        sender=Address.parse(ME), recipient=Address.parse(f"{who}@loop.example"), state=state
                    ),
                    Origin(town.home, "xa.example", "tls"),
                )
        assert [(one.sender.local, one.state) for one in town.xmpp.composed] == [
            ("echo", "composing"),
            ("echo", "paused"),
        ]


async def test_a_reaction_comes_back_in_the_words_in_which_it_came(tmp_path: Path) -> None:
    reaction = Relation(kind=RelationKind.REACT, target="o", reactions=("👍",))
    async with Town(tmp_path) as town:
        town.say("echo", "", relation=reaction)
        await town.hub.store.writer.drain()
        await town.hub._relations.finish()
        await until_quiet(town)
        assert town.xmpp.texts() == ["👍 (to an earlier message)"]


async def test_nobody_here_can_open_what_is_sealed(tmp_path: Path) -> None:
    async with Town(tmp_path) as town:
        heard: Recorder = town.say("echo", "", sealed=(Sealed("openpgp", "urn:xmpp:openpgp:0", b"<x/>"),))
        await until_quiet(town)
        assert heard.error is not None
        assert "OpenPGP" in heard.error.text
