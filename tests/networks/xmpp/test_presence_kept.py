"""What is about an authorization counts as handled when it is on disk, and not before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from msgspec.structs import replace

from networks.xmpp.presence_house import SEEN, Gateway, Server, presence
from networks.xmpp.stage import PLAIN, ROME, VERONA, free_port, peer, until
from rialto.networks.xmpp.settings import PeerSettings

Raise = Callable[[PeerSettings], Awaitable[tuple[Server, Gateway]]]

PINGED = replace(PLAIN, stream_management=False, bidirectional=False)


@pytest.fixture
async def stand() -> AsyncIterator[Raise]:
    made: list[Server | Gateway] = []

    async def make(settings: PeerSettings) -> tuple[Server, Gateway]:
        ports = free_port(), free_port()
        server = Server((peer(VERONA, replace(settings, host="127.0.0.1", port=ports[1])),), port=ports[0])
        gateway = Gateway((peer(ROME, replace(settings, host="127.0.0.1", port=ports[0])),), port=ports[1])
        made.extend((server, gateway))
        await gateway.start()
        await server.start()
        for line in gateway.network._lines.values():
            line._rest_until = 0.0  # it knocked before the server was there
        return server, gateway

    yield make
    for one in made:
        await one.stop()


@pytest.mark.parametrize("kind", ["subscribe", "unsubscribe", "subscribed", "unsubscribed"])
@pytest.mark.parametrize("settings", [PLAIN, PINGED], ids=["counted", "pinged"])
async def test_a_server_is_told_that_it_was_read_when_it_is_on_disk(
    stand: Raise, kind: str, settings: PeerSettings
) -> None:
    """XEP-0198 section 4; where a server does not count, its ping is what tells it."""
    server, gateway = await stand(settings)
    if kind == "unsubscribe":
        server.says(presence("subscribe"))
    elif kind != "subscribe":
        gateway.hub.presence.ask(SEEN, None)
    await asyncio.wait_for(server.send("warm", f"juliet@{VERONA}").end, 5)
    await until(lambda: (len(gateway.hub.presence) == 1) == (kind != "subscribe"))
    await asyncio.sleep(0.05)

    gateway.hub.slow_disk = True
    server.says(presence(kind))
    proof = server.send("behind it", f"juliet@{VERONA}").end
    await until(lambda: gateway.hub.waiting and "behind it" in gateway.hub.texts())
    await asyncio.sleep(0.1)
    assert not proof.done()
    gateway.hub.commit()
    gateway.hub.slow_disk = False
    assert await asyncio.wait_for(proof, 5) in (
        "delivered: acknowledged by the server",
        "delivered: read by the server",
    )


async def test_what_is_kept_late_holds_back_what_was_kept_early(stand: Raise) -> None:
    """A message behind a `subscribe` is on disk before it; both are answered for together."""
    server, gateway = await stand(PINGED)
    await asyncio.wait_for(server.send("warm", f"juliet@{VERONA}").end, 5)
    gateway.hub.slow_disk = gateway.hub.hold = True
    server.says(presence("subscribe"))
    proof = server.send("behind it", f"juliet@{VERONA}").end
    await until(lambda: gateway.hub.waiting and gateway.hub.held)
    gateway.hub.held[0].stored()
    await asyncio.sleep(0.05)
    assert not proof.done()
    gateway.hub.commit()
    assert await asyncio.wait_for(proof, 5) == "delivered: read by the server"
