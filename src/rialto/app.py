"""One running instance: built from a configuration, started, reloaded, stopped.

The order matters. Starting: the store and what it still holds, then the networks, then delivery. Stopping:
delivery, so that nothing new goes on the wire; the networks, which answer what they have taken; the store.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIServer

import structlog
from prometheus_client import start_http_server

from rialto import config as configuration
from rialto.config import Config
from rialto.control import Control
from rialto.core.files import Files
from rialto.core.hub import Hub
from rialto.core.local import LocalNetwork
from rialto.core.metrics import Metrics
from rialto.core.network import Context, Network, Peer
from rialto.core.policy import Book
from rialto.model.errors import ConfigError
from rialto.net.certificates import load_anchors
from rialto.net.dns import Resolver
from rialto.net.hostport import split_host_port
from rialto.net.tls import CertificateStore, KeyPair
from rialto.store.agreements import Agreements
from rialto.store.lock import Lock
from rialto.store.store import Store

if TYPE_CHECKING:
    from rialto.web.server import Web

HOUSEKEEPING_EVERY_S = 5.0
FORGET_EVERY_S = 600.0
COLLECT_AFTER = (20_000, 20, 100)
"""Allocations before the youngest, and collections before the older generations are collected."""

Tap = Callable[[str, str, str, bytes], None]

_log = structlog.get_logger(__name__)


class App:
    """An instance; `start`, then `stop`, on one event loop. Raises ConfigError for what cannot be started."""

    def __init__(self, config: Config, *, tap: Tap | None = None) -> None:
        self.config = config
        self._tap = tap
        self.data_dir = Path(config.server.data_dir)
        self.store = Store(self.data_dir)
        self._lock = Lock(self.data_dir)
        self._secret = self.store.secret("instance")
        self._certificates = CertificateStore(_pairs(config))
        self.metrics = Metrics()
        self.files = (
            Files(
                self.data_dir / "files",
                config.files,
                url=config.web.url,
                clock=time.time,
                metrics=self.metrics,
            )
            if config.web.listen
            else None
        )
        self.networks = self._create(config)
        self.local = LocalNetwork(config.server.name)
        self.hub = Hub(
            store=self.store,
            peers=(*config.peers, self.local.peer),
            settings=config.queue,
            presence=config.presence,
            policy=config.policy,
            server_name=config.server.name,
            clock=time.time,
            metrics=self.metrics,
        )
        self.web = _web(config, self.files) if self.files is not None else None
        self.control = Control(self)
        self._tasks: list[asyncio.Task[None]] = []
        self._metrics: WSGIServer | None = None
        self.started_at = 0.0

    @property
    def peers(self) -> tuple[Peer, ...]:
        """The peers, as configured now."""
        return self.config.peers

    async def start(self) -> None:
        """Take up what is on disk, listen, connect, deliver. Raises ConfigError; then nothing runs."""
        self._lock.take()
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise
        self.started_at = time.time()
        # What lives now lives until the end: full collections need not look at it. What a message leaves
        # behind is freed by counting references; collections find next to nothing, and cost more the more
        # is under way, so they come seldom.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*COLLECT_AFTER)
        notify("READY=1")
        _log.info("ready", server=self.config.server.name, peers=len(self.peers))

    async def _start(self) -> None:
        if self.files is not None:
            self._open_files(self.files)
        await self.look_at_agreements()
        await self.hub.start({**self.networks, self.local.name: self.local})
        await self.local.start(self.hub)
        for network in self.networks.values():
            await network.start(self.hub)
        if self.web is not None:
            await self.web.start()
        self.hub.go()
        await self.control.start(self.data_dir / "control.sock")
        if self.config.server.metrics:
            host, port = split_host_port(self.config.server.metrics)
            try:
                self._metrics, _ = start_http_server(port, host, registry=self.hub.metrics.registry)
            except OSError as error:
                raise ConfigError(
                    f"{self.config.path}: server.metrics",
                    f"an address that is free ({error.strerror or error})",
                    "choose another port, or leave it empty",
                ) from error
        self._tasks.append(asyncio.create_task(self._keep_house()))

    def _open_files(self, files: Files) -> None:
        try:
            files.start()
        except OSError as error:
            raise ConfigError(
                f"{self.data_dir}/files", f"a folder that can be used ({error})", "see who owns it"
            ) from error

    async def stop(self) -> None:
        """Stop in good order, within the grace that is configured (and a little more to write)."""
        notify("STOPPING=1")
        grace_s = self.config.server.grace_s
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.control.stop()
        if self._metrics is not None:
            self._metrics.shutdown()
            self._metrics.server_close()
            self._metrics = None
        if self.web is not None:
            await self.web.stop()
        await self.hub.stop(grace_s)
        await asyncio.gather(*(network.stop(grace_s) for network in self.networks.values()))
        if self.files is not None:
            self.files.close()
        await self.hub.close()
        self._lock.release()
        _log.info("stopped")

    async def reload(self) -> None:
        """Read the configuration and the certificates again.

        Peers, certificates and what networks can change while they run take effect at once. A network that
        is new or gone, the data folder and the server's name need a restart. Raises ConfigError; then nothing
        has changed.
        """
        notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            fresh = configuration.load(Path(self.config.path))
            if (
                fresh.server.name != self.config.server.name
                or fresh.server.data_dir != self.config.server.data_dir
            ):
                raise ConfigError(f"{fresh.path}: server", "the same name and data_dir", "restart for that")
            if set(fresh.networks) != set(self.config.networks):
                raise ConfigError(f"{fresh.path}: networks", "the same networks", "restart for that")
            if bool(fresh.web.listen) != (self.web is not None) or (
                self.web is not None
                and (fresh.web.listen, fresh.web.url) != (self.config.web.listen, self.config.web.url)
            ):
                raise ConfigError(f"{fresh.path}: web", "the same listen and url", "restart for that")
            self._certificates.reload(_pairs(fresh))
            if self.web is not None and self.files is not None:
                self.web.reload(fresh.web)
                self.files.settings = fresh.files
            created = self._create(fresh)
            for name, network in self.networks.items():
                await network.reload(created[name])
            self.hub.reroute((*fresh.peers, self.local.peer))
            self.config = fresh
            await self.look_at_agreements()
            self.hub.gate.configure(fresh.policy)
            _log.info("reloaded", peers=len(self.peers))
        finally:
            notify("READY=1")

    async def look_at_agreements(self) -> None:
        """Decide by what operators have written down by now, if that is asked at all.

        Raises RialtoError and sqlite3.Error; then it is decided as before.
        """
        if self.config.policy.agreements == "off":
            return
        book = await asyncio.to_thread(_book, self.store.path, self.hub.gate.epoch)
        if book is not None:
            self.hub.gate.use(book)
            _log.info("agreements taken up", epoch=book.epoch, next_change=book.next_change(time.time_ns()))

    def _create(self, config: Config) -> dict[str, Network]:
        resolver = Resolver(
            [split_host_port(server, 53) for server in config.dns.servers], timeout_s=config.dns.timeout_s
        )
        anchors = load_anchors(Path(config.tls.ca_file) if config.tls.ca_file else None)
        return {
            name: network.module.create(
                network.settings,
                Context(
                    name=name,
                    server_name=config.server.name,
                    secret=self._secret,
                    peers=network.peers,
                    dns=resolver,
                    certificates=self._certificates,
                    anchors=anchors,
                    clock=time.time,
                    tap=self._tap,
                    files=self.files,
                ),
            )
            for name, network in config.networks.items()
        }

    async def _keep_house(self) -> None:
        forget_at = 0.0
        while True:
            self.hub.gauge()
            notify("WATCHDOG=1")
            try:
                await self.look_at_agreements()  # another process may have written some down
            except Exception as error:
                _log.error("agreements could not be read", error=str(error))
            if time.monotonic() >= forget_at:
                forget_at = time.monotonic() + FORGET_EVERY_S
                if self.files is not None:
                    self.files.sweep()
                try:
                    await self.hub.forget_old()
                except Exception as error:  # a full disk; the watchdog must not end us for it
                    _log.error("old trails could not be forgotten", error=str(error))
            await asyncio.sleep(HOUSEKEEPING_EVERY_S)


def _book(path: Path, epoch: int) -> Book | None:
    """All that is written down of agreements; None where that is what is known already."""
    with contextlib.closing(Agreements(path)) as written:
        return Book(written.snapshot()) if written.epoch != epoch else None


def _web(config: Config, files: Files) -> Web:
    # The framework is slow to import, and not everybody wants it.
    from rialto.web.application import application
    from rialto.web.server import Web

    return Web(config.web, application(files), grace_s=config.server.grace_s)


async def serve(config: Config) -> None:
    """Run until SIGTERM or SIGINT; SIGHUP reloads."""
    app = App(config)
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    reloading = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    loop.add_signal_handler(signal.SIGHUP, reloading.set)

    async def reload_when_told() -> None:
        while True:
            await reloading.wait()
            reloading.clear()
            try:
                await app.reload()
            except ConfigError as error:
                _log.error("not reloaded; everything stays as it was", error=str(error))
            except Exception:
                _log.exception("not reloaded")

    await app.start()
    reloader = asyncio.create_task(reload_when_told())
    try:
        await stopping.wait()
    finally:
        reloader.cancel()
        await app.stop()


def notify(state: str) -> None:
    """Tell systemd, if it wants to hear (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        channel.setblocking(False)  # a manager that does not read must not stop the loop
        try:
            channel.sendto(state.encode(), address)
        except OSError as error:
            _log.warning("systemd does not listen", error=str(error))


def _pairs(config: Config) -> list[KeyPair]:
    return [KeyPair(Path(pair.certificate), Path(pair.key)) for pair in config.tls.certificates]
