"""The chunks of one message, put in order (RFC 4975 section 7.3.1).

What comes in order is handed on at once. What comes early is held, up to a limit; where held chunks overlap,
the last to come counts. What has been handed on can't be taken back: there the first counts, as the RFC
allows to those who render as they receive.
"""

from __future__ import annotations

from bisect import bisect_right


class Inconsistent(Exception):
    """Chunks that contradict one another: content behind the end, or two ends."""


class TooMuch(Exception):
    """More would have to be held than may be."""


class Assembly:
    """Positions here count from 0.

    `handed_on`: how much of the message has been handed on. `total`: its length, None until its last chunk
    has come, which alone defines it.
    """

    __slots__ = (
        "_held",
        "_held_bytes",
        "_max_held_bytes",
        "_max_held_pieces",
        "_starts",
        "handed_on",
        "total",
    )

    def __init__(self, *, max_held_bytes: int, max_held_pieces: int = 1024) -> None:
        self.handed_on = 0
        self.total: int | None = None
        self._max_held_bytes = max_held_bytes
        self._max_held_pieces = max_held_pieces
        self._starts: list[int] = []  # where the held pieces begin, in order; they do not overlap
        self._held: list[bytearray] = []
        self._held_bytes = 0

    @property
    def complete(self) -> bool:
        """Whether all of it has been handed on."""
        return self.handed_on == self.total

    @property
    def held_bytes(self) -> int:
        """What waits for something before it."""
        return self._held_bytes

    def add(self, start: int, data: bytes) -> list[bytes]:
        """Take content; what can be handed on now. Raises TooMuch, Inconsistent."""
        end = start + len(data)
        if self.total is not None and end > self.total:
            raise Inconsistent
        if start == self.handed_on and not self._held:
            self.handed_on = end
            return [data] if data else []
        if start < self.handed_on:
            data = data[self.handed_on - start :]
            start = self.handed_on
        if data:
            self._hold(start, data)
        return self._ready()

    def finish(self, end: int, *, empty: bool = False) -> None:
        """The last chunk ended here. Raises Inconsistent.

        Where it was empty, its position means nothing (RFC 4975 section 7.1.1): all has come already.
        """
        reached = max([self.handed_on, *(self._starts[-1:] and [self._starts[-1] + len(self._held[-1])])])
        if empty:
            end = max(end, reached)
        if end < reached or (self.total is not None and self.total != end):
            raise Inconsistent
        self.total = end

    def _hold(self, start: int, data: bytes) -> None:
        starts, held = self._starts, self._held
        at = bisect_right(starts, start)
        if at > 0 and at == len(starts) and starts[-1] + len(held[-1]) == start:
            held[-1] += data  # the common case: a chunk that goes on
            self._held_bytes += len(data)
        else:
            self._make_room(start, start + len(data))
            at = bisect_right(starts, start)
            if at > 0 and starts[at - 1] + len(held[at - 1]) == start:
                held[at - 1] += data
            else:
                starts.insert(at, start)
                held.insert(at, bytearray(data))
            self._held_bytes += len(data)
        if self._held_bytes > self._max_held_bytes or len(starts) > self._max_held_pieces:
            raise TooMuch

    def _make_room(self, start: int, end: int) -> None:
        """Cut what is about to be replaced out of what is held."""
        starts, held = self._starts, self._held
        first = max(0, bisect_right(starts, start) - 1)
        last = first
        kept: list[tuple[int, bytearray]] = []
        while last < len(starts) and starts[last] < end:
            begins, piece = starts[last], held[last]
            stops = begins + len(piece)
            if stops <= start:
                kept.append((begins, piece))
            else:
                self._held_bytes -= min(stops, end) - max(begins, start)
                if begins < start:
                    kept.append((begins, piece[: start - begins]))
                if stops > end:
                    kept.append((end, piece[end - begins :]))
            last += 1
        starts[first:last] = [begins for begins, _ in kept]
        held[first:last] = [piece for _, piece in kept]

    def _ready(self) -> list[bytes]:
        ready = []
        count = 0
        for begins, piece in zip(self._starts, self._held, strict=True):
            if begins != self.handed_on:
                break
            ready.append(bytes(piece))
            self.handed_on += len(piece)
            self._held_bytes -= len(piece)
            count += 1
        if count:
            del self._starts[:count], self._held[:count]
        return ready
