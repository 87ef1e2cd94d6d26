"""A listening socket, and how many strangers it entertains at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rialto.net.link import Link, LinkLimits
from rialto.net.tls import TlsMachine


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


class Listener:
    """An open listening socket. `host` and `port` are what it is bound to.

    Counters: `accepted`, `refused` (over a limit), `evicted` (half-open, made room), `tls_failed`.
    """

    host: str
    port: int
    accepted: int
    refused: int
    evicted: int
    tls_failed: int

    @property
    def links(self) -> frozenset[Link[Any]]:
        """The links that are open now."""
        raise NotImplementedError

    def close(self) -> None:
        """Accept no more; the links stay."""
        raise NotImplementedError


async def serve(
    host: str,
    port: int,
    accept: Callable[[Link[Any]], None],
    *,
    tls: Callable[[], TlsMachine] | None = None,
    limits: ListenLimits = ListenLimits(),
    link_limits: LinkLimits = LinkLimits(),
    label: str = "",
) -> Listener:
    """Listen on an IP address (port 0: the kernel chooses).

    `accept(link)` is called for each connection, after the TLS handshake where `tls` makes a machine for it
    (direct TLS); it must `attach` the link before it returns. Raises `OSError` where the address can't be had.
    """
    raise NotImplementedError
