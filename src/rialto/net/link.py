"""One connection, one machine: the shell that moves bytes, events and time between a socket and a protocol.

socket --bytes--> [TLS] --bytes--> machine --events--> on_event     (the owner: a network)
socket <--bytes-- [TLS] <--bytes-- machine <--asks---- the owner, who then calls `wake()` (or `flush()`)
loop   --time---> machine (`next_timer`, `handle_timer`)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from rialto.model.errors import RialtoError
from rialto.net.tls import HandshakeDone, TlsMachine
from rialto.wire.machine import Machine

E = TypeVar("E")

Tap = Callable[[Literal["in", "out"], bytes], None]
"""Sees the plaintext of a link, each way, for a person to read."""


class LinkError(RialtoError):
    """Why a link ended, when it was not closed in peace.

    `code` is stable: `handshake-timeout`, `idle`, `not-reading` (the peer takes no more and our buffer is
    full), `tls` (the handshake failed), `injection` (plaintext behind STARTTLS), `reset`, `linger`
    (closed by us, but the peer never took the rest), `internal` (a bug of ours, logged), `connect`.
    """

    def __init__(self, code: str, text: str = "") -> None:
        self.code = code
        self.text = text
        super().__init__(f"{code}: {text}" if text else code)


@dataclass(frozen=True, slots=True)
class LinkLimits:
    """What one connection may cost.

    `handshake_s`: from the connection to `Link.establish()`; None for no limit.
    `idle_s`: without one byte from the peer; None for no limit.
    `close_s`: from `close()` until the peer must have taken what was written.
    `max_write_bytes`: unsent bytes at which the link is aborted.
    `high_write_bytes`: unsent bytes above which `Link.writable` is False (until a quarter of it).
    `half_closed_s`: how long we may go on writing after the peer has closed its side; 0 closes at once.
    """

    handshake_s: float | None = 30.0
    idle_s: float | None = None
    close_s: float = 5.0
    max_write_bytes: int = 4 * 1024 * 1024
    high_write_bytes: int = 256 * 1024
    half_closed_s: float = 0.0


class Link(asyncio.Protocol, Generic[E]):
    """One TCP connection that drives one machine.

    `connect` and `serve` make links; the owner then calls `attach` with its machine and callbacks (at once:
    nothing is read before). All callbacks are synchronous and run in the loop; an exception out of one is
    logged with its stack and ends this link only.

    Attributes: `remote` and `local` are (host, port); `outgoing` says who connected; `tls` is the finished
    handshake or None on plain TCP; `writable` is False while the peer reads too slowly; `closed` is True from
    `close()`/`abort()`/loss on; `bytes_in`, `bytes_out` count what passed on the socket; `last_received` is the
    loop time of the last byte in; `label` goes into log lines.
    """

    remote: tuple[str, int]
    local: tuple[str, int]
    outgoing: bool
    tls: HandshakeDone | None
    writable: bool
    closed: bool
    bytes_in: int
    bytes_out: int
    last_received: float
    label: str

    def attach(
        self,
        machine: Machine[E],
        on_event: Callable[[E], None],
        *,
        on_lost: Callable[[LinkError | None], None] | None = None,
        on_writable: Callable[[bool], None] | None = None,
        tap: Tap | None = None,
    ) -> None:
        """Give the connection its machine, and begin.

        `on_event(event)` gets the machine's events in order. `on_lost(error)` is called exactly once, when the
        connection is gone, with None if it ended in peace. `on_writable(writable)` says when the peer stops and
        starts taking our bytes. Bytes that the machine wants to send at birth are written.
        """
        raise NotImplementedError

    def wake(self) -> None:
        """The owner asked the machine for something: flush, once, at the end of this turn of the loop."""
        raise NotImplementedError

    def flush(self) -> None:
        """Deliver the machine's events, write what it wants sent, and re-arm its timer, now."""
        raise NotImplementedError

    def start_tls(
        self,
        tls: TlsMachine,
        *,
        trailing: bytes,
        on_tls: Callable[[HandshakeDone], None],
    ) -> None:
        """Change to TLS here: what the machine has to say is written in plain, the next byte is TLS, both ways.

        `trailing` is what the machine had received behind the command that brought us here, and has not
        read: it must be empty, else somebody put plaintext behind STARTTLS, and the link is aborted with
        `injection` (RFC 6120 section 5.4.3.3). `on_tls(done)` is called after the handshake; a failed one ends the
        link, with `tls` as the code of its error.
        """
        raise NotImplementedError

    def establish(self) -> None:
        """The peer has proven who it is: the handshake's time limit, and its place among the half-open, end."""
        raise NotImplementedError

    def set_idle_limit(self, idle_s: float | None) -> None:
        """Change how long the peer may be silent."""
        raise NotImplementedError

    def pause_reading(self) -> None:
        """Back-pressure: no more events and no more reading until `resume_reading`."""
        raise NotImplementedError

    def resume_reading(self) -> None:
        """Deliver events again (in the next turn of the loop)."""
        raise NotImplementedError

    def close(self) -> None:
        """Write what the machine has to say, then end the connection."""
        raise NotImplementedError

    def abort(self, error: LinkError | None = None) -> None:
        """End the connection now; nothing more is written. `error` is handed to `on_lost`."""
        raise NotImplementedError


async def connect(
    host: str,
    port: int,
    *,
    tls: TlsMachine | None = None,
    limits: LinkLimits = LinkLimits(),
    timeout_s: float = 10.0,
    local_host: str | None = None,
    label: str = "",
) -> Link[Any]:
    """Open a connection to an IP address; with `tls`, from byte 0 (and `link.tls` is set on return).

    The link must be attached without awaiting anything in between. Raises `LinkError` (`connect`, `tls`).
    """
    raise NotImplementedError
