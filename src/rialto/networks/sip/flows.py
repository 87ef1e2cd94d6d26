"""Flows: where a message came from, or goes to (RFC 5626 section 2): a remote address over UDP, or a
connection."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from rialto.net.certificates import NameKind, Trust, Verdict, judge
from rialto.net.endpoint import Endpoint
from rialto.net.link import Link
from rialto.networks.sip.wire.stream import StreamEvent, StreamMachine

Tap = Callable[[str, str, bytes], None]
"""(remote, `in` or `out`, bytes)."""

_MAX_VERDICTS = 256


class UdpFlow:
    """Datagrams to and from one address. Nothing can break it: `alive` is always True."""

    __slots__ = ("_tap", "endpoint", "remote")

    reliable = False
    alive = True
    secured = False
    transport = "udp"

    def __init__(self, endpoint: Endpoint, remote: tuple[str, int], tap: Tap | None = None) -> None:
        self.endpoint = endpoint
        self.remote = remote
        self._tap = tap

    def send(self, data: bytes) -> None:
        """Send one message."""
        if self._tap is not None:
            self._tap(f"udp:{self.remote[0]}:{self.remote[1]}", "out", data)
        self.endpoint.send(data, self.remote)

    def certified(self, domain: str, trust: Trust) -> Verdict | None:
        """See `Source`: there is no TLS here."""
        return None


class StreamFlow:
    """One TCP or TLS connection. `alive` until it is lost or closed; `used` counts what was sent on it."""

    __slots__ = (
        "_clock",
        "_verdicts",
        "alive",
        "link",
        "machine",
        "opened_at",
        "remote",
        "transport",
        "used",
    )

    reliable = True

    def __init__(
        self, transport: str, link: Link[StreamEvent], machine: StreamMachine, clock: Callable[[], float]
    ) -> None:
        self.transport = transport
        self.link = link
        self.machine = machine
        self.remote = link.remote
        self.alive = True
        self.used = 0
        self.opened_at = clock()
        self._clock = clock
        self._verdicts: dict[tuple[str, int], tuple[Trust, Verdict]] = {}

    @property
    def secured(self) -> bool:
        """Whether it is encrypted."""
        return self.link.tls is not None

    def send(self, data: bytes) -> None:
        """Send one message, with whatever else is sent in this turn of the loop."""
        self.used += 1
        self.machine.send(data)
        self.link.wake()

    def certified(self, domain: str, trust: Trust) -> Verdict | None:
        """What the peer's certificate is worth for a domain, judged once for each."""
        tls = self.link.tls
        if tls is None:
            return None
        key = (domain, id(trust))  # the trust is kept with the verdict, so that its id stays its own
        known = self._verdicts.get(key)
        if known is None:
            if len(self._verdicts) >= _MAX_VERDICTS:
                self._verdicts.clear()
            now = datetime.fromtimestamp(self._clock(), UTC)
            known = self._verdicts[key] = (trust, judge(tls.chain, NameKind.SIP, domain, trust, now))
        return known[1]

    def describe(self) -> dict[str, Any]:
        """For people: security and counters."""
        tls = self.link.tls
        security = f"{tls.version} {tls.cipher}" if tls is not None else ""
        return {"security": security, "bytes_in": self.link.bytes_in, "bytes_out": self.link.bytes_out}


Flow = UdpFlow | StreamFlow
