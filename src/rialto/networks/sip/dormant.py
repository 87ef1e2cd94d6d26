"""Dialogs in which nothing happens, as a few bytes each: most of them rest for almost an hour at a time.

A machine that waits for nothing but its next appointment is packed, and unpacked when it comes, or when
somebody speaks of that pair. What can be had from elsewhere is left out: our own URIs, the server's name in a
Call-ID, route sets and peers that many dialogs share. Appointments are kept to the second, in buckets of one
second each, so that a dialog at rest costs its bytes, its entry here, and its place in a bucket.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import ceil
from typing import Final, Protocol, TypeVar

import msgspec

from rialto.core.agenda import Agenda, Appointed, CallLater
from rialto.model.address import Address
from rialto.model.errors import AddressError
from rialto.model.presence import Pair
from rialto.networks.sip.addresses import uri_of
from rialto.networks.sip.wire.dialogs import Dialog, shared

NEAR_S: Final = 60.0
"""What is due sooner, of a pair that is awake, is the affair of an agenda, which is exact, but which would
keep the whole pair in memory until then."""

MAX_SHARED: Final = 10_000
"""Route sets beyond that many are kept with each dialog."""
_SERIAL_BYTES: Final = 4
_SERIALS: Final = 2 ** (8 * _SERIAL_BYTES)


class PackedDialog(msgspec.Struct, array_like=True):
    """A dialog with everything left out that `Packing` can put back."""

    call_id: bytes
    local: str
    remote: str
    local_tag: bytes
    remote_tag: str
    target: str
    routes: int | tuple[str, ...]
    local_cseq: int
    remote_cseq: int


class Packing:
    """How dialogs of this server are packed. `server_name` is what our Call-IDs end with."""

    def __init__(self, server_name: str) -> None:
        self._end = f"@{server_name}"
        self._routes: list[tuple[str, ...]] = [()]
        self._number: dict[tuple[str, ...], int] = {(): 0}
        self._names: list[str] = []

    def number_of(self, name: str) -> int:
        """A small number for a peer's name."""
        if name not in self._names:
            self._names.append(name)
        return self._names.index(name)

    def name_of(self, number: int) -> str:
        """The inverse."""
        return self._names[number]

    def pack(self, dialog: Dialog, ours: Address, theirs: Address) -> PackedDialog:
        """`ours` is who we speak for in it."""
        call_id = dialog.call_id
        ending = call_id.endswith(self._end)
        return PackedDialog(
            b"@" + _bytes(call_id.removesuffix(self._end)) if ending else _bytes(call_id),
            "" if dialog.local == _uri(ours) else dialog.local,
            "" if dialog.remote == _uri(theirs) else dialog.remote,
            _bytes(dialog.local_tag),
            dialog.remote_tag,
            dialog.target,
            self._pack_routes(dialog.routes),
            dialog.local_cseq,
            dialog.remote_cseq,
        )

    def unpack(self, packed: PackedDialog, ours: Address, theirs: Address) -> Dialog:
        """The inverse of `pack`."""
        call_id, routes = packed.call_id, packed.routes
        return Dialog(
            _text(call_id[1:]) + self._end if call_id[:1] == b"@" else _text(call_id),
            packed.local or _uri(ours),
            packed.remote or _uri(theirs),
            _text(packed.local_tag),
            packed.remote_tag,
            packed.target,
            self._routes[routes] if isinstance(routes, int) else shared(routes),
            packed.local_cseq,
            packed.remote_cseq,
        )

    def _pack_routes(self, routes: tuple[str, ...]) -> int | tuple[str, ...]:
        number = self._number.get(routes)
        if number is None:
            if len(self._routes) >= MAX_SHARED:
                return routes
            number = self._number[routes] = len(self._routes)
            self._routes.append(routes)
        return number


def _bytes(text: str) -> bytes:
    """What is written in hexadecimal takes half the space; the first byte says which it is."""
    try:
        data = bytes.fromhex(text)
    except ValueError:
        data = b""
    return b"#" + data if data.hex() == text else b"=" + text.encode("utf-8", "surrogateescape")


def _text(data: bytes) -> str:
    """The inverse."""
    return data[1:].hex() if data[:1] == b"#" else data[1:].decode("utf-8", "surrogateescape")


def _uri(address: Address) -> str:
    try:
        return str(uri_of(address))
    except AddressError:
        return ""


class _Bucket:
    """Those who have an appointment in one second."""

    __slots__ = ("alarm_at", "at", "pairs", "serial")

    def __init__(self, at: int, serial: int) -> None:
        self.at = at
        self.serial = serial
        self.pairs: list[Pair] = []
        self.alarm_at = 0.0

    def next_timer(self) -> float | None:
        """See `Appointed`."""
        return float(self.at)


class Awake(Appointed, Protocol):
    """A pair that does not rest."""

    appointment: int
    """In force among those at rest; 0 for none."""

    @property
    def pair(self) -> Pair:
        """Which."""


One = TypeVar("One", bound=Awake)


class Dormant:
    """The pairs at rest. `ring(pair, now)` is called when an appointment has come, and may find that there is
    nothing to do.

    A pair has one appointment in force, known by the serial number of its bucket: it is handed out by `take`
    and given back to `put`, where one that is early enough is left as it is.
    """

    def __init__(self, ring: Callable[[Pair, float], None]) -> None:
        self._ring = ring
        self._data: dict[Pair, bytes] = {}
        self._by_second: dict[int, _Bucket] = {}
        self._by_serial: dict[int, _Bucket] = {}
        self._serial = 0
        self._agenda: Agenda[_Bucket] | None = None

    def __len__(self) -> int:
        return len(self._data)

    def __contains__(self, pair: Pair) -> bool:
        return pair in self._data

    def __iter__(self) -> Iterator[Pair]:
        return iter(self._data)

    def start(self, clock: Callable[[], float], call_later: CallLater) -> None:
        """Appointments are kept from now on."""
        self._agenda = Agenda(clock, call_later, self._meet)
        for bucket in self._by_second.values():
            self._agenda.set(bucket)

    def stop(self) -> None:
        """No more."""
        if self._agenda is not None:
            self._agenda.stop()

    def put(self, pair: Pair, data: bytes, due: float | None, in_force: int = 0) -> None:
        """Let it rest until `due` (seconds since 1970; None for no end)."""
        serial = 0 if due is None else self.appoint(pair, due, in_force)
        self._data[pair] = serial.to_bytes(_SERIAL_BYTES, "big") + data

    def appoint(self, pair: Pair, due: float, in_force: int) -> int:
        """Ring for a pair that is awake, where that is a while from now; the appointment that is in force."""
        second = ceil(due)
        known = self._by_serial.get(in_force)
        if known is not None and known.at <= second:
            return in_force
        bucket = self._bucket(second)
        bucket.pairs.append(pair)
        return bucket.serial

    def watch_over(self, awake: One, agenda: Agenda[One] | None, now: float) -> None:
        """Have somebody who is awake called in time: by the agenda if that is soon, else from here."""
        at = awake.next_timer()
        if at is None or agenda is None:
            return
        if at <= now + NEAR_S:
            agenda.set(awake)
        else:
            awake.appointment = self.appoint(awake.pair, at, awake.appointment)

    def take(self, pair: Pair) -> tuple[bytes, int] | None:
        """Its data, and the appointment in force; it rests no longer."""
        data = self._data.pop(pair, None)
        if data is None:
            return None
        return data[_SERIAL_BYTES:], int.from_bytes(data[:_SERIAL_BYTES], "big")

    def _bucket(self, second: int) -> _Bucket:
        found = self._by_second.get(second)
        if found is None:
            self._serial = self._serial % (_SERIALS - 1) + 1
            found = self._by_second[second] = _Bucket(second, self._serial)
            self._by_serial[found.serial] = found
            if self._agenda is not None:
                self._agenda.set(found)
        return found

    def _meet(self, bucket: _Bucket, now: float) -> None:
        del self._by_second[bucket.at]
        del self._by_serial[bucket.serial]
        serial = bucket.serial.to_bytes(_SERIAL_BYTES, "big")
        for pair in bucket.pairs:
            data = self._data.get(pair)
            if data is None or data[:_SERIAL_BYTES] == serial:
                self._ring(pair, now)
