"""A toy protocol of lines, a loop whose time stands still, and a transport that only remembers."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Line:
    """One line came in."""

    text: str


@dataclass(frozen=True)
class End:
    """The peer will say no more."""


@dataclass(frozen=True)
class Rang:
    """The machine's timer was due."""

    at: float


class LineMachine:
    """Lines in, lines out; behind a line `STARTTLS` it reads no further until told to."""

    def __init__(self) -> None:
        self.events: deque[Line | End | Rang] = deque()
        self.out: list[bytes] = []
        self.timer: float | None = None
        self.trailing = b""
        self._buffer = b""
        self._stopped = False

    def say(self, text: str) -> None:
        self.out.append(text.encode() + b"\n")

    def go_on(self) -> None:
        self._stopped = False

    def receive_data(self, data: bytes, now: float) -> None:
        if not data:
            self.events.append(End())
            return
        if self._stopped:
            self.trailing += data
            return
        self._buffer += data
        while b"\n" in self._buffer and not self._stopped:
            line, _, self._buffer = self._buffer.partition(b"\n")
            self.events.append(Line(line.decode(errors="replace")))
            if line == b"STARTTLS":
                self._stopped = True
                self.trailing, self._buffer = self._buffer, b""

    def next_event(self) -> Line | End | Rang | None:
        return self.events.popleft() if self.events else None

    def data_to_send(self) -> bytes:
        data = b"".join(self.out)
        self.out.clear()
        return data

    def next_timer(self) -> float | None:
        return self.timer

    def handle_timer(self, now: float) -> None:
        self.timer = None
        self.events.append(Rang(now))


class Alarm:
    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class StillLoop:
    """The part of a loop that a link needs; time passes only when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._soon: deque[Callable[[], None]] = deque()
        self._alarms: list[tuple[float, int, Alarm, Callable[[], None]]] = []
        self._order = itertools.count()
        self.alarms_set = 0

    def time(self) -> float:
        return self.now

    def call_soon(self, callback: Callable[[], None]) -> None:
        self._soon.append(callback)

    def call_at(self, when: float, callback: Callable[[], None]) -> Alarm:
        self.alarms_set += 1
        alarm = Alarm()
        heapq.heappush(self._alarms, (when, next(self._order), alarm, callback))
        return alarm

    def turn(self) -> None:
        while self._soon:
            self._soon.popleft()()

    def wait(self, seconds: float) -> None:
        """Let time pass, with every alarm at its time."""
        end = self.now + seconds
        self.turn()
        while self._alarms and self._alarms[0][0] <= end:
            when, _, alarm, callback = heapq.heappop(self._alarms)
            self.now = max(self.now, when)
            if not alarm.cancelled:
                callback()
            self.turn()
        self.now = end


class Transport:
    """What asyncio would give a protocol; `takes` is how many bytes the peer is still willing to read."""

    def __init__(self, protocol: Any, loop: StillLoop, remote: tuple[str, int] = ("192.0.2.1", 5269)) -> None:
        self.protocol = protocol
        self.loop = loop
        self.written = b""
        self.buffered = 0
        self.takes = 1 << 30
        self.reading = True
        self.eof = False
        self.aborted = False
        self.gone = False
        self._remote = remote
        self._limits = (1 << 16, 1 << 14)
        self._paused = False

    def get_extra_info(self, name: str) -> Any:
        return {"peername": self._remote, "sockname": ("192.0.2.9", 5269)}.get(name)

    def set_write_buffer_limits(self, high: int, low: int) -> None:
        self._limits = (high, low)

    def get_write_buffer_size(self) -> int:
        return self.buffered

    def write(self, data: bytes) -> None:
        assert not self.gone
        self.written += data
        taken = min(self.takes, len(data))
        self.takes -= taken
        self.buffered += len(data) - taken
        if self.buffered > self._limits[0] and not self._paused:
            self._paused = True
            self.protocol.pause_writing()

    def read_by_peer(self, number: int) -> None:
        """The peer reads some of what waits for it."""
        self.buffered -= min(number, self.buffered)
        if self._paused and self.buffered <= self._limits[1]:
            self._paused = False
            self.protocol.resume_writing()

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def write_eof(self) -> None:
        self.eof = True

    def close(self) -> None:
        if not self.gone:
            self.gone = True
            self.loop.call_soon(lambda: self.protocol.connection_lost(None))

    def abort(self) -> None:
        self.aborted = True
        self.close()

    def peer_closes(self) -> None:
        if not self.protocol.eof_received():
            self.close()
