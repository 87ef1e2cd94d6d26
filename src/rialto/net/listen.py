"""A listening socket, and how many strangers it entertains at once."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog

from rialto.net.channel import TlsMachine
from rialto.net.link import DEFAULT_LIMITS, Link, LinkError, LinkLimits

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ListenLimits:
    """How much one listener takes on.

    `max_connections` in all; `max_per_address` from one IPv4 address or IPv6 /64; `max_half_open` links that
    have not called `Link.establish()` yet, and of these `max_half_open_per_address`: where that is full, the
    oldest half-open link makes room, so that whoever is quick gets in even under a flood.
    """

    max_connections: int = 10_000
    max_per_address: int = 1_000
    max_half_open: int = 1_000
    max_half_open_per_address: int = 200


DEFAULT_LISTEN_LIMITS = ListenLimits()


class _Caller:
    """What one address has open; dicts, because they keep the order of arrival and remove in O(1)."""

    __slots__ = ("half_open", "open")

    def __init__(self) -> None:
        self.open = 0
        self.half_open: dict[Link[Any], None] = {}


class Listener:
    """An open listening socket. `host` and `port` are what it is bound to.

    Counters: `accepted`, `refused` (over a limit), `evicted` (half-open, made room), `tls_failed`.
    """

    def __init__(
        self,
        accept: Callable[[Link[Any]], None],
        *,
        tls: Callable[[], TlsMachine] | None = None,
        limits: ListenLimits = DEFAULT_LISTEN_LIMITS,
        link_limits: LinkLimits = DEFAULT_LIMITS,
        label: str = "",
    ) -> None:
        """Made by `serve`."""
        self.host = ""
        self.port = 0
        self.accepted = 0
        self.refused = 0
        self.evicted = 0
        self.tls_failed = 0
        self._accept = accept
        self._make_tls = tls
        self._limits = limits
        self._link_limits = link_limits
        self._label = label
        self._server: asyncio.Server | None = None
        self._links: dict[Link[Any], str] = {}
        self._half_open: dict[Link[Any], None] = {}
        self._callers: dict[str, _Caller] = {}

    @property
    def links(self) -> frozenset[Link[Any]]:
        """The links that are open now."""
        return frozenset(self._links)

    @property
    def half_open(self) -> int:
        """How many of them have not been established."""
        return len(self._half_open)

    def close(self) -> None:
        """Accept no more; the links stay."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _open(self, host: str, port: int) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: self._new_link(loop), host, port, backlog=1024)
        self.host, self.port = self._server.sockets[0].getsockname()[:2]

    def _new_link(self, loop: asyncio.AbstractEventLoop) -> Link[Any]:
        return _Incoming(self, loop)

    def _admit(self, link: Link[Any]) -> bool:
        """Whether the link may stay; enters it into the books if so, and makes room among the half-open."""
        key = address_key(link.remote[0])
        caller = self._callers.get(key)
        if len(self._links) >= self._limits.max_connections or (
            caller is not None and caller.open >= self._limits.max_per_address
        ):
            self.refused += 1
            return False
        if caller is None:
            caller = self._callers[key] = _Caller()
        if len(caller.half_open) >= self._limits.max_half_open_per_address:
            self._evict(next(iter(caller.half_open)))
        elif len(self._half_open) >= self._limits.max_half_open:
            self._evict(next(iter(self._half_open)))
        caller.open += 1
        caller.half_open[link] = None
        self._half_open[link] = None
        self._links[link] = key
        self.accepted += 1
        return True

    def _evict(self, link: Link[Any]) -> None:
        self.evicted += 1
        self._established(link)
        link.abort(LinkError("evicted", "too many half-open connections"))

    def _established(self, link: Link[Any]) -> None:
        self._half_open.pop(link, None)
        if (key := self._links.get(link)) is not None:
            self._callers[key].half_open.pop(link, None)

    def _gone(self, link: Link[Any], error: LinkError | None) -> None:
        if error is not None and error.code == "tls":
            self.tls_failed += 1
            log.info("listen.tls_failed", listener=self._label, remote=link.remote, reason=error.text)
        self._established(link)
        key = self._links.pop(link, None)
        if key is None:
            return
        caller = self._callers[key]
        caller.open -= 1
        if caller.open == 0:
            del self._callers[key]


class _Incoming(Link[Any]):
    """A link that asks its listener for admission before anything else."""

    def __init__(self, listener: Listener, loop: asyncio.AbstractEventLoop) -> None:
        make_tls = listener._make_tls
        super().__init__(
            loop,
            outgoing=False,
            limits=listener._link_limits,
            label=listener._label,
            tls=None if make_tls is None else make_tls(),
            on_ready=listener._accept,
            on_established=listener._established,
            on_gone=listener._gone,
        )
        self._listener = listener

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        remote = transport.get_extra_info("peername")
        if remote:
            self.remote = tuple(remote[:2])
        if not remote or not self._listener._admit(self):
            self.closed = True
        super().connection_made(transport)


def address_key(host: str) -> str:
    """What counts as one caller: an IPv4 address, or an IPv6 /64, which is what one household is given."""
    if ":" not in host:
        return host
    address = ipaddress.IPv6Address(host.partition("%")[0])
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(address) >> 64 << 64, 64)))


async def serve(
    host: str,
    port: int,
    accept: Callable[[Link[Any]], None],
    *,
    tls: Callable[[], TlsMachine] | None = None,
    limits: ListenLimits = DEFAULT_LISTEN_LIMITS,
    link_limits: LinkLimits = DEFAULT_LIMITS,
    label: str = "",
) -> Listener:
    """Listen on an IP address (port 0: the kernel chooses).

    `accept(link)` is called for each connection, after the TLS handshake where `tls` makes a machine for it
    (direct TLS); it must `attach` the link before it returns. Raises `OSError` where the address can't be
    had."""
    listener = Listener(accept, tls=tls, limits=limits, link_limits=link_limits, label=label)
    await listener._open(host, port)
    return listener
