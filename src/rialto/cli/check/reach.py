"""The peers: is each of them there? Asked by the running server, or by an instance made for the question."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import msgspec

from rialto.app import App
from rialto.cli import frame
from rialto.cli.check.findings import Finding, error, ok
from rialto.config import Config
from rialto.control import ControlError, ask
from rialto.core.network import Peer

PROBE_S = 40.0
REMEDY = "see `rialto peers`, the peer's own log, and whether a firewall is between"


def is_running(config: Config) -> bool:
    """Whether a server answers for this configuration's data folder."""
    try:
        ask(_socket(config), "status", timeout_s=5.0)
    except ControlError:
        return False
    return True


def by_server(config: Config) -> Iterable[Finding]:
    """Ask through the running server."""
    for peer in config.peers:
        try:
            answer = ask(_socket(config), "probe", timeout_s=PROBE_S, peer=peer.name)
        except ControlError as problem:
            yield error("peers", peer.name, str(problem), "`systemctl reload rialto`, then try again")
        else:
            yield _finding(peer, bool(answer["reached"]), str(answer["text"]))


async def by_ourselves(config: Config) -> list[Finding]:
    """Ask from an instance with a database and ports of its own, so that nothing real can come to it."""
    with tempfile.TemporaryDirectory(prefix="rialto-check-") as folder:
        app = App(_elsewhere(config, Path(folder)))
        await app.start()
        try:
            return list(await asyncio.gather(*(_probe(app, peer) for peer in app.peers)))
        finally:
            await app.stop()


async def _probe(app: App, peer: Peer) -> Finding:
    began = time.monotonic()
    try:
        async with asyncio.timeout(PROBE_S):
            reached, text = await app.networks[peer.network].probe(peer)
    except TimeoutError:
        reached, text = False, f"no answer within {time.monotonic() - began:.0f} s"
    return _finding(peer, reached, text)


def _elsewhere(config: Config, folder: Path) -> Config:
    """The same, with another data folder, and every port chosen by the kernel."""
    networks = {}
    for name, network in config.networks.items():
        changes = {
            key: [f"{text.rpartition(':')[0]}:0" for text in getattr(network.settings, key)]
            for key in ("listen", "listen_tls")
            if getattr(network.settings, key, None)
        }
        settings = msgspec.structs.replace(network.settings, **changes) if changes else network.settings
        networks[name] = msgspec.structs.replace(network, settings=settings)
    server = msgspec.structs.replace(config.server, data_dir=str(folder), metrics="", grace_s=0.5)
    web = msgspec.structs.replace(config.web, listen="")
    return msgspec.structs.replace(config, server=server, networks=networks, web=web)


def _socket(config: Config) -> Path:
    return frame.socket_of(Path(config.server.data_dir))


def _finding(peer: Peer, reached: bool, text: str) -> Finding:
    about = f"{peer.network}: {peer.name}"
    return ok("peers", about, text) if reached else error("peers", about, text, REMEDY)
