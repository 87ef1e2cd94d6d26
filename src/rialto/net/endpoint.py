"""A UDP socket: datagrams in, datagrams out, and who was unreachable.

The socket is read and written directly, in the loop's readiness callback, rather than through a datagram
transport: one wake-up drains many datagrams, nothing is queued behind our back, and the kernel's error
queue (Linux: IP_RECVERR) tells *which* remote was unreachable, which a plain ECONNREFUSED does not."""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
import sys
from collections.abc import Callable

import structlog

from rialto.net.terms import Tap

log = structlog.get_logger(__name__)

Remote = tuple[str, int]
"""(IP address without brackets, port)."""

_MAX_DATAGRAM_BYTES = 65535
_MAX_PER_TURN = 128  # datagrams read before the rest of the loop gets its turn
_IP_RECVERR, _IPV6_RECVERR = 11, 25  # linux/in.h, linux/in6.h; not in the socket module before Python 3.14
_MSG_ERRQUEUE = getattr(socket, "MSG_ERRQUEUE", 0)
_EXTENDED_ERROR = struct.Struct("=IBBBBII")  # struct sock_extended_err of linux/errqueue.h
_ORIGIN_LOCAL = 1
_UNREACHABLE = frozenset({errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN})


class Endpoint:
    """One bound UDP socket. `host` and `port` are what it is bound to.

    Counters: `datagrams_in`, `datagrams_out`, `bytes_in`, `bytes_out`, `dropped` (the kernel's buffer was
    full, or the datagram too large, or refused by a local rule), `unreachable` (ICMP, or no route)."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        on_datagram: Callable[[bytes, Remote], None],
        on_unreachable: Callable[[Remote], None] | None = None,
        tap: Tap | None = None,
    ) -> None:
        """Made by `open_endpoint`."""
        self.host, self.port = sock.getsockname()[:2]
        self.datagrams_in = 0
        self.datagrams_out = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self.dropped = 0
        self.unreachable = 0
        self._loop = loop
        self._socket = sock
        self._on_datagram = on_datagram
        self._on_unreachable = on_unreachable
        self._tap = tap
        self._closed = False
        loop.add_reader(sock.fileno(), self._readable)

    def send(self, data: bytes, remote: Remote) -> None:
        """Send one datagram to an IP address; never blocks, never raises for the network's sake."""
        if self._closed:
            return
        if self._tap is not None:
            self._tap("out", data)
        try:
            self._socket.sendto(data, remote)
        except OSError as error:
            self._not_sent(error, data, remote)
        else:
            self.datagrams_out += 1
            self.bytes_out += len(data)

    def close(self) -> None:
        """Close the socket; no callback comes afterwards."""
        if not self._closed:
            self._closed = True
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()

    def _readable(self) -> None:
        recvfrom, on_datagram = self._socket.recvfrom, self._on_datagram
        for count in range(_MAX_PER_TURN):
            try:
                data, address = recvfrom(_MAX_DATAGRAM_BYTES)
            except BlockingIOError:
                if count == 0:  # woken by an error that is no longer there
                    self._listen_again()
                break
            except OSError:  # somebody we wrote to is not there; the error queue knows who
                self._read_errors()
                self._listen_again()
                continue
            self.datagrams_in += 1
            self.bytes_in += len(data)
            try:
                if self._tap is not None:
                    self._tap("in", data)
                on_datagram(data, address[:2])
            except Exception:
                log.exception("endpoint.bug", remote=address[:2], local=(self.host, self.port))
            if self._closed:
                return
        self._read_errors()

    def _not_sent(self, error: OSError, data: bytes, remote: Remote) -> None:
        """What `sendto` complains of is not always this datagram: ECONNREFUSED is an older one's answer."""
        if error.errno == errno.ECONNREFUSED:
            self._loop.call_soon(self._read_errors)
            try:
                self._socket.sendto(data, remote)
            except OSError as second:
                error = second
            else:
                self.datagrams_out += 1
                self.bytes_out += len(data)
                return
        if error.errno in _UNREACHABLE:
            self._loop.call_soon(self._tell_unreachable, remote)
        else:
            self.dropped += 1
            log.warning("endpoint.dropped", remote=remote, bytes=len(data), reason=str(error))

    def _read_errors(self) -> None:
        """Drain the kernel's error queue: each entry has the address that our datagram was meant for."""
        if not _MSG_ERRQUEUE:
            return
        for count in range(_MAX_PER_TURN):
            if self._closed:
                return
            try:
                _, ancillary, _, address = self._socket.recvmsg(0, 512, _MSG_ERRQUEUE)
            except OSError:  # BlockingIOError: there is no more
                if count > 0:
                    self._listen_again()
                return
            if _is_unreachable(ancillary) and address:
                self._tell_unreachable(address[:2])

    def _listen_again(self) -> None:
        """QUIRK(libuv): after an error on the socket it polls no more until it is asked anew."""
        if not self._closed:
            self._loop.remove_reader(self._socket.fileno())
            self._loop.add_reader(self._socket.fileno(), self._readable)

    def _tell_unreachable(self, remote: Remote) -> None:
        self.unreachable += 1
        if self._on_unreachable is None or self._closed:
            return
        try:
            self._on_unreachable(remote)
        except Exception:
            log.exception("endpoint.bug", remote=remote, local=(self.host, self.port))


def _is_unreachable(ancillary: list[tuple[int, int, bytes]]) -> bool:
    for _, _, data in ancillary:
        if len(data) >= _EXTENDED_ERROR.size:
            number, origin, *_ = _EXTENDED_ERROR.unpack_from(data)
            if origin > _ORIGIN_LOCAL and number in _UNREACHABLE | {
                errno.EACCES,
                errno.EPROTO,
                errno.ENOPROTOOPT,
            }:
                return True
    return False


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
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            sock.setsockopt(socket.SOL_SOCKET, option, buffer_bytes)  # the kernel gives what it allows
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if sys.platform == "linux":
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
            else:
                sock.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
        sock.bind((host, port))
    except BaseException:
        sock.close()
        raise
    return Endpoint(asyncio.get_running_loop(), sock, on_datagram, on_unreachable, tap)
