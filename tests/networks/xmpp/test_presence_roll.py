"""Before anything is refreshed for a watcher of whom nothing is heard, the watcher's server is asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace

from networks.xmpp.presence_house import SEEING, Gateway, Server, presence
from networks.xmpp.stage import PLAIN, ROME, VERONA, free_port, peer, until
from rialto.core.network import Verb
from rialto.networks.xmpp import presence_roll
from rialto.networks.xmpp.wire.conditions import error_element

CALL = f"probe {VERONA} romeo"


@pytest.fixture
async def stand() -> AsyncIterator[tuple[Server, Gateway]]:
    """Romeo watches Juliet, and shows her nothing."""
    ports = free_port(), free_port()
    server = Server((peer(VERONA, replace(PLAIN, host="127.0.0.1", port=ports[1])),), port=ports[0])
    gateway = Gateway((peer(ROME, replace(PLAIN, host="127.0.0.1", port=ports[0])),), port=ports[1])
    await gateway.start()
    await server.start()
    for line in gateway.network._lines.values():
        line._rest_until = 0.0  # it knocked before the server was there
    server.says(presence("subscribe"))
    await until(lambda: (SEEING, Verb.ASK) in gateway.far.said)
    gateway.hub.presence.granted(SEEING, None)
    await until(lambda: "subscribed juliet romeo" in server.lines())
    yield server, gateway
    await server.stop()
    await gateway.stop()


def listening(gateway: Gateway) -> bool:
    view = gateway.hub.presence.view(SEEING)
    return view is not None and view.listening


async def called(server: Server, gateway: Gateway) -> None:
    assert gateway.hub.presence.confirm(SEEING)
    await until(lambda: CALL in server.lines())


async def test_whoever_is_not_there_is_no_longer_watched_for(stand: tuple[Server, Gateway]) -> None:
    """PRS-39, RFC 8048 section 8.1."""
    server, gateway = stand
    await called(server, gateway)
    assert gateway.hub.presence.confirm(SEEING), "while it is being found out"
    assert server.lines().count(CALL) == 1
    server.says(presence("unavailable", resource="orchard", to=VERONA))
    server.says(presence("unavailable", to=VERONA))
    await until(lambda: (SEEING, Verb.CLOSE) in gateway.far.said)
    assert not listening(gateway)
    assert not gateway.hub.presence.confirm(SEEING), "there is no session"


async def test_whoever_is_there_is_asked_about_each_time(stand: tuple[Server, Gateway]) -> None:
    server, gateway = stand
    roll = gateway.network._watching.roll
    for number in range(2):
        assert gateway.hub.presence.confirm(SEEING)
        await until(lambda n=number: server.lines().count(CALL) == n + 1)
        server.says(presence("", resource="orchard", to=VERONA))
        await until(lambda: not roll._called)
    assert listening(gateway)


@pytest.mark.parametrize("answer", ["unsubscribed", "error"])
async def test_a_server_that_tells_strangers_nothing_is_left_in_peace(
    stand: tuple[Server, Gateway], answer: str
) -> None:
    """PRS-40: it is no decision about Juliet."""
    server, gateway = stand
    await called(server, gateway)
    content = [error_element("forbidden", "auth")] if answer == "error" else []
    server.says(presence(answer, *content, to=VERONA))
    await until(lambda: not gateway.hub.presence.confirm(SEEING))
    assert listening(gateway)
    assert server.lines().count(CALL) == 1


async def test_no_answer_is_taken_for_none(
    stand: tuple[Server, Gateway], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence_roll, "ANSWER_WITHIN_S", 0.02)
    server, gateway = stand
    await called(server, gateway)
    await until(lambda: not gateway.hub.presence.confirm(SEEING))
    assert listening(gateway)


async def test_whoever_shows_presence_is_not_asked_about(stand: tuple[Server, Gateway]) -> None:
    server, gateway = stand
    back = type(SEEING)(SEEING.presentity, SEEING.watcher)
    gateway.hub.presence.ask(back, None)
    await until(lambda: "subscribe juliet romeo" in server.lines())
    server.says(presence("subscribed"))
    server.says(presence("", resource="orchard"))
    await until(lambda: (view := gateway.hub.presence.view(back)) and view.grant.value == "granted")
    assert not gateway.hub.presence.confirm(SEEING)
    assert CALL not in server.lines()


async def test_an_answer_that_nobody_asked_for_is_none(stand: tuple[Server, Gateway]) -> None:
    server, gateway = stand
    server.says(presence("unavailable", to=VERONA))
    await asyncio.wait_for(server.send("behind it", f"juliet@{VERONA}").end, 5)
    assert listening(gateway)


async def test_of_how_many_it_is_remembered_has_an_end(
    stand: tuple[Server, Gateway], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence_roll, "MAX_IN_PEACE", 0)
    server, gateway = stand
    await called(server, gateway)
    server.says(presence("unsubscribed", to=VERONA))
    await until(lambda: not gateway.network._watching.roll._called)
    assert gateway.hub.presence.confirm(SEEING)
