"""What a link may cost, why it ended, and what it needs of its loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from rialto.model.errors import RialtoError

Tap = Callable[[Literal["in", "out"], bytes], None]
"""Sees the plaintext of a link, each way, for a person to read."""


class LinkError(RialtoError):
    """Why a link ended, when it was not closed in peace.

    `code` is stable: `connect` (it never began), `tls` (the handshake failed), `injection` (plaintext
    behind STARTTLS), `handshake-timeout`, `idle`, `not-reading` (the peer takes no more and our buffer is
    full), `linger` (closed by us, but the peer never took the rest), `evicted` (made room among the
    half-open), `reset` (broken by the network or the peer), `internal` (a bug of ours, logged with its
    stack)."""

    def __init__(self, code: str, text: str = "") -> None:
        self.code = code
        self.text = text
        super().__init__(f"{code}: {text}" if text else code)


@dataclass(frozen=True, slots=True)
class LinkLimits:
    """What one connection may cost.

    `handshake_s`: from the connection to `Link.establish()`; None for no limit.
    `idle_s`: without one byte from the peer; None for no limit.
    `close_s`: from `close()` until the peer must have taken what was written, and closed its side.
    `max_write_bytes`: unsent bytes above which the link is aborted.
    `high_write_bytes`: unsent bytes above which `Link.writable` is False (until a quarter of it).
    `half_closed_s`: how long we may go on writing after the peer has closed its side; 0 closes at once.
    """

    handshake_s: float | None = 30.0
    idle_s: float | None = None
    close_s: float = 5.0
    max_write_bytes: int = 4 * 1024 * 1024
    high_write_bytes: int = 256 * 1024
    half_closed_s: float = 0.0


DEFAULT_LIMITS = LinkLimits()


class Clockwork(Protocol):
    """What a link needs of its loop: `asyncio.AbstractEventLoop`, or a test's own time."""

    def time(self) -> float: ...
    def call_soon(self, callback: Callable[[], None]) -> Any: ...
    def call_at(self, when: float, callback: Callable[[], None]) -> Any: ...
