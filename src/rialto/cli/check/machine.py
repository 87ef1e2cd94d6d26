"""This machine: the data folder and its disk, the clock, and the ports."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from rialto.cli import show
from rialto.cli.check.findings import Finding, error, ok, warning
from rialto.config import Config
from rialto.model.errors import ConfigError
from rialto.net.hostport import join_host_port, split_host_port
from rialto.store.schema import SCHEMA_VERSION
from rialto.store.store import FILE_NAME, Store

FULL_BYTES = 64 * 1024 * 1024
SCARCE_BYTES = 1024 * 1024 * 1024
BUILT_IN = 2026
"""No clock that is right shows an earlier year than that of this release."""

_UNSYNCHRONISED = 0x40  # STA_UNSYNC of linux/timex.h


def disk(config: Config) -> Iterator[Finding]:
    """The data folder: there, ours, roomy, and with a database that this release can read."""
    folder = Path(config.server.data_dir)
    about = str(folder)
    if not folder.exists():
        parent = next(parent for parent in folder.parents if parent.exists())
        if os.access(parent, os.W_OK | os.X_OK):
            yield ok("disk", about, "not there yet; the server will make it")
        else:
            yield warning(
                "disk",
                about,
                f"not there, and this account may not make it in {parent}",
                f"install -d -o rialto -g rialto -m 0750 {folder}, or let systemd do so (StateDirectory=)",
            )
        folder = parent
    elif not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        yield warning(
            "disk",
            about,
            "this account may not write there",
            "run the check as the server does (sudo -u rialto ...)",
        )
    else:
        yield from _database(folder)
    free = shutil.disk_usage(folder).free
    if free < FULL_BYTES:
        yield error(
            "disk", about, f"only {show.size(free)} free", "make room: what cannot be written is refused"
        )
    elif free < SCARCE_BYTES:
        yield warning("disk", about, f"only {show.size(free)} free", "make room before it is full")
    else:
        yield ok("disk", about, f"{show.size(free)} free")


def _database(folder: Path) -> Iterator[Finding]:
    about = str(folder / FILE_NAME)
    if not (folder / FILE_NAME).exists():
        yield ok("disk", about, "no database yet; the server will make it")
        return
    try:
        store = Store(folder, read_only=True)
        versions = store.versions()
        store.close()
    except Exception as problem:  # SQLite's, SQLAlchemy's or the system's: the operator needs the words only
        yield error("disk", about, f"cannot be read: {problem}", "restore a backup (rialto restore)")
        return
    schema, compat = int(versions.get("schema", 0)), int(versions.get("compat", 0))
    if compat > SCHEMA_VERSION:
        yield error(
            "disk", about, "written by a later release", "install that release again, or restore a backup"
        )
    elif schema < SCHEMA_VERSION:
        yield ok("disk", about, f"schema {schema}; the server will bring it to {SCHEMA_VERSION}")
    else:
        yield ok("disk", about, f"schema {schema}")


def clock(config: Config, *, now: float, synchronised: Callable[[], bool | None]) -> Iterator[Finding]:
    """Certificates, trails and expiry live by it."""
    year = datetime.fromtimestamp(now, UTC).year
    if year < BUILT_IN or year > BUILT_IN + 30:
        yield error("clock", "time", f"the clock says {year}", "set it: timedatectl set-ntp true")
        return
    database = Path(config.server.data_dir) / FILE_NAME
    try:
        newest = database.stat().st_mtime
    except OSError:
        newest = 0.0
    if newest > now + 60:
        yield error(
            "clock",
            "time",
            f"the database was written {show.span(newest - now)} in the future",
            "the clock was set back: set it right (timedatectl set-ntp true)",
        )
    elif synchronised() is False:
        yield warning(
            "clock", "time", "the kernel says that nobody keeps the clock right", "timedatectl set-ntp true"
        )
    else:
        yield ok("clock", "time", show.clock(now))


def kernel_synchronised() -> bool | None:
    """Whether the kernel's clock is disciplined by anybody (adjtimex(2)); None where it cannot be asked."""
    if sys.platform != "linux" or ctypes.sizeof(ctypes.c_long) != 8:
        return None
    buffer = ctypes.create_string_buffer(512)  # struct timex, and more than enough of it
    try:
        if ctypes.CDLL(None).adjtimex(buffer) < 0:
            return None
    except (OSError, AttributeError):
        return None
    (status,) = struct.unpack_from("=i", buffer, 40)  # behind modes, offset, freq, maxerror, esterror
    return not status & _UNSYNCHRONISED


def listens(config: Config) -> Iterator[tuple[str, str, str, int]]:
    """(network, `udp`, `tcp` or `tls`, host, port) of everything that is to be listened on."""
    for name, network in config.networks.items():
        for key, usual in (("listen", "tcp"), ("listen_tls", "tls")):
            for text in getattr(network.settings, key, ()):
                transport, _, rest = text.partition(":")
                if transport not in ("udp", "tcp", "tls"):
                    transport, rest = usual, text
                try:
                    host, port = split_host_port(rest, 5061 if transport == "tls" else 5060)
                except ValueError as problem:
                    raise ConfigError(f"networks.{name}.{key}", str(problem)) from None
                yield name, transport, host, port
    if config.server.metrics:
        yield "metrics", "tcp", *split_host_port(config.server.metrics)


def ports(config: Config, *, running: bool) -> Iterator[Finding]:
    """Free for the server; or, while it runs, taken by it."""
    for name, transport, host, port in listens(config):
        about = f"{name}: {transport} {join_host_port(host, port)}"
        taken = _taken(transport, host, port)
        if taken is None:
            if running:
                yield error(
                    "ports",
                    about,
                    "the server runs, but does not listen there",
                    "restart it: systemctl restart rialto",
                )
            else:
                yield ok("ports", about, "free")
        elif taken.errno == errno.EADDRINUSE and running:
            yield ok("ports", about, "the server listens")
        elif taken.errno == errno.EADDRINUSE:
            yield error(
                "ports",
                about,
                "somebody else listens there",
                f"see who: ss -lpn 'sport = :{port}'; or choose another",
            )
        elif taken.errno in (errno.EACCES, errno.EPERM):
            yield error(
                "ports",
                about,
                "ports below 1024 need a privilege",
                "AmbientCapabilities=CAP_NET_BIND_SERVICE in the unit",
            )
        else:
            yield error(
                "ports",
                about,
                taken.strerror or str(taken),
                "choose an address of this machine (ip address show)",
            )


def _taken(transport: str, host: str, port: int) -> OSError | None:
    """Why we cannot listen there; None if we can."""
    if not port:
        return None
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
    try:
        with socket.socket(family, kind) as probe:
            if kind == socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind((host, port))
            if kind == socket.SOCK_STREAM:
                probe.listen(1)
    except OSError as problem:
        return problem
    return None


def wall_clock() -> float:
    """Seconds since 1970."""
    return time.time()
