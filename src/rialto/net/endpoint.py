"""A UDP socket: datagrams in, datagrams out, and who was unreachable."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from rialto.net.link import Tap

Remote = tuple[str, int]
"""(IP address without brackets or scope, port)."""


class Endpoint(asyncio.DatagramProtocol):
    """One bound UDP socket. `host` and `port` are what it is bound to.

    Counters: `datagrams_in`, `datagrams_out`, `bytes_in`, `bytes_out`, `dropped` (our own buffer was full, or
    the datagram too large), `unreachable` (ICMP).
    """

    host: str
    port: int
    datagrams_in: int
    datagrams_out: int
    bytes_in: int
    bytes_out: int
    dropped: int
    unreachable: int

    def send(self, data: bytes, remote: Remote) -> None:
        """Send one datagram; never blocks, never raises for the network's sake: UDP may lose it anyway."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the socket; no callback comes afterwards."""
        raise NotImplementedError


async def open_endpoint(
    host: str,
    port: int,
    on_datagram: Callable[[bytes, Remote], None],
    *,
    on_unreachable: Callable[[Remote], None] | None = None,
    buffer_bytes: int = 4 * 1024 * 1024,
    tap: Tap | None = None,
) -> Endpoint:
    """Bind a UDP socket (port 0: the kernel chooses). `on_unreachable(remote)` hears of ICMP errors (RFC 3261
    section 18.4: treat as a transport failure). Raises `OSError` where the address can't be had.
    """
    raise NotImplementedError
