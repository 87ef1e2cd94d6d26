"""One connection, one machine: the shell that moves bytes, events and time between a socket and a protocol.

    socket --bytes--> [TLS] --bytes--> machine --events--> on_event     (the owner: a network)
    socket <--bytes-- [TLS] <--bytes-- machine <--asks---- the owner, who then calls `wake()` (or `flush()`)
    loop   --time---> machine (`next_timer`, `handle_timer`)

Theory of operation. A link has a life of five stages:

    connected -> (TLS handshake) -> ready -> attached -> closing -> lost

Nothing is read before the owner has attached its machine. From then on everything goes through `_pump`: it
hands out the machine's events until there are none, the owner has paused, or the link is closing; then it
writes what the machine wants written and arms the one timer for whatever is due first: the machine's timer
or one of the link's own limits. The timer is lazy: when something moves its due time back, the old alarm
rings, finds nothing due, and is set anew; so the common case (a byte came in, the idle limit moves) costs
nothing.

Closing is patient: our side is shut, then the peer has `close_s` to take what was written and to close its
own; what it still says is thrown away. A socket closed with unread bytes in it would send a reset, which
destroys the very error that we were sending."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

import structlog

from rialto.model.errors import LocalProtocolError
from rialto.net.channel import HandshakeDone, HandshakeFailed, TlsMachine
from rialto.net.terms import DEFAULT_LIMITS, Clockwork, LinkError, LinkLimits, Tap
from rialto.wire.machine import Machine

__all__ = ["DEFAULT_LIMITS", "Link", "LinkError", "LinkLimits", "Tap", "connect"]

log = structlog.get_logger(__name__)

E = TypeVar("E")


class Link(asyncio.Protocol, Generic[E]):
    """One TCP connection that drives one machine.

    `connect` and `rialto.net.listen.serve` make links; the owner then calls `attach` with its machine and
    callbacks. All callbacks are synchronous and run in the loop; an exception out of one is logged with its
    stack and ends this link only.

    Attributes: `remote` and `local` are (host, port); `outgoing` says who connected; `tls` is the finished
    handshake, or None on plain TCP; `writable` is False while the peer reads too slowly; `closed` is True
    from `close()`, `abort()` or loss on; `bytes_in` and `bytes_out` count what passed on the socket;
    `last_received` is the loop's time of the last byte in; `label` goes into log lines."""

    def __init__(
        self,
        loop: Clockwork,
        *,
        outgoing: bool,
        limits: LinkLimits = DEFAULT_LIMITS,
        label: str = "",
        tls: TlsMachine | None = None,
        on_ready: Callable[[Link[E]], None] | None = None,
        on_established: Callable[[Link[E]], None] | None = None,
        on_gone: Callable[[Link[E], LinkError | None], None] | None = None,
    ) -> None:
        """Made by `connect` and `serve`. `tls` begins with the first byte; `on_ready` is called when the
        owner can attach, `on_established` and `on_gone` keep the books of who made the link."""
        self.remote: tuple[str, int] = ("", 0)
        self.local: tuple[str, int] = ("", 0)
        self.outgoing = outgoing
        self.label = label
        self.tls: HandshakeDone | None = None
        self.writable = True
        self.closed = False
        self.established = False
        self.bytes_in = 0
        self.bytes_out = 0
        self.last_received = 0.0

        self._loop = loop
        self._limits = limits
        self._on_ready = on_ready
        self._on_established = on_established
        self._on_gone = on_gone
        self._transport: asyncio.Transport | None = None
        self._tls = tls
        self._on_tls: Callable[[HandshakeDone], None] | None = None

        self._machine: Machine[E] | None = None
        self._on_event: Callable[[E], None] | None = None
        self._on_lost: Callable[[LinkError | None], None] | None = None
        self._on_writable: Callable[[bool], None] | None = None
        self._tap: Tap | None = None

        self._held = bytearray()  # plaintext from before `attach`
        self._ready = False
        self._paused = False
        self._pumping = False
        self._waking = False
        self._peer_closed = False
        self._end_told = False  # the machine has got its b""
        self._lost = False
        self._error: LinkError | None = None

        self._idle_s = limits.idle_s
        self._handshake_due: float | None = None
        self._close_due: float | None = None
        self._alarm: Any = None
        self._alarm_at = 0.0

    def __repr__(self) -> str:
        arrow = "->" if self.outgoing else "<-"
        return (
            f"<Link {self.label} {self.local[0]}:{self.local[1]} {arrow} {self.remote[0]}:{self.remote[1]}>"
        )

    # -- for the owner -------------------------------------------------------------------------------------

    def attach(
        self,
        machine: Machine[E],
        on_event: Callable[[E], None],
        *,
        on_lost: Callable[[LinkError | None], None] | None = None,
        on_writable: Callable[[bool], None] | None = None,
        tap: Tap | None = None,
    ) -> None:
        """Give the connection its machine, and begin, in the next turn of the loop.

        `on_event(event)` gets the machine's events in order. `on_lost(error)` is called exactly once, when
        the connection is gone, with None if it ended in peace. `on_writable(writable)` says when the peer
        stops and starts taking our bytes. Bytes that the machine wants to send at birth are written."""
        if self._machine is not None:
            raise LocalProtocolError("a link has one machine")
        self._machine, self._on_event = machine, on_event
        self._on_lost, self._on_writable, self._tap = on_lost, on_writable, tap
        self._loop.call_soon(self._begin)

    def wake(self) -> None:
        """The owner asked the machine for something: flush, once, at the end of this turn of the loop."""
        if not self._waking and not self._pumping:
            self._waking = True
            self._loop.call_soon(self._woken)

    def flush(self) -> None:
        """Deliver the machine's events, write what it wants sent, and re-arm its timer, now."""
        if self._machine is not None and not self._pumping:
            self._pump()

    def start_tls(
        self, tls: TlsMachine, *, trailing: bytes, on_tls: Callable[[HandshakeDone], None] | None = None
    ) -> None:
        """Change to TLS here: what the machine has to say goes out in plain, the next byte is TLS, both ways.

        `trailing` is what the machine had received behind the command that brought us here, and has not
        read: it must be empty, else somebody put plaintext behind STARTTLS, and the link is aborted with
        `injection` (RFC 6120 section 5.3.3, CVE-2011-0411). `on_tls(done)` is called after the handshake; a
        failed one ends the link, with `tls` as the code of its error."""
        if self._machine is None or self._tls is not None:
            raise LocalProtocolError("TLS cannot begin here")
        if self.closed:
            return
        if trailing:
            self.abort(LinkError("injection", f"{len(trailing)} bytes of plaintext behind STARTTLS"))
            return
        self._write(self._machine.data_to_send())
        self._tls, self._on_tls = tls, on_tls
        self._write_socket(tls.data_to_send())

    def establish(self) -> None:
        """The peer has proven who it is: its time limit, and its place among the half-open, end."""
        if self.established:
            return
        self.established = True
        self._handshake_due = None
        if self._on_established is not None:
            self._on_established(self)

    def set_idle_limit(self, idle_s: float | None) -> None:
        """Change how long the peer may be silent; the silence so far counts."""
        self._idle_s = idle_s
        self._arm()

    def pause_reading(self) -> None:
        """Back-pressure: no more events and no more reading until `resume_reading`."""
        if not self._paused:
            self._paused = True
            if self._transport is not None and not self.closed:
                self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Deliver events and read again, from the next turn of the loop on."""
        if self._paused:
            self._paused = False
            self.last_received = self._loop.time()  # our silence was not the peer's
            self._arm()
            if self._transport is not None and not self._lost and not self._peer_closed:
                self._transport.resume_reading()
            self.wake()

    def close(self) -> None:
        """Write what the machine has to say, then end the connection; no more events are delivered."""
        if not self.closed:
            self._say_the_rest()
            self._shut()

    def abort(self, error: LinkError | None = None) -> None:
        """End the connection now; nothing more is written. `error` is handed to `on_lost`."""
        if self._error is None:
            self._error = error
        self.closed = True
        if self._transport is not None and not self._lost:
            self._transport.abort()

    # -- for the loop --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport = cast(asyncio.Transport, transport)  # uvloop's are no subclass
        remote, local = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        if not remote or not local or self.closed:  # it was gone before we looked
            self.abort(LinkError("reset", "gone before it began"))
            return
        self.remote, self.local = tuple(remote[:2]), tuple(local[:2])
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        high = self._limits.high_write_bytes
        transport.set_write_buffer_limits(high=high, low=high // 4)
        self.last_received = now = self._loop.time()
        if self._limits.handshake_s is not None:
            self._handshake_due = now + self._limits.handshake_s
        self._arm()
        if self._tls is None:
            self._become_ready()
        else:
            self._write_socket(self._tls.data_to_send())

    def data_received(self, data: bytes) -> None:
        self.bytes_in += len(data)
        if self.closed:
            return
        self.last_received = now = self._loop.time()
        if self._tls is None:
            self._take(data, now)
        else:
            self._take_tls(data, now)

    def eof_received(self) -> bool:
        if self.closed:
            self._peer_closed = True
            return False  # both sides are shut: the transport closes
        self._peer_closed = True
        if self._tls is not None:
            self._take_tls(b"", self._loop.time())
        else:
            self._take_end()
        return True  # we close it ourselves, when everything is said

    def pause_writing(self) -> None:
        self.writable = False
        self._tell_writable()

    def resume_writing(self) -> None:
        self.writable = True
        self._tell_writable()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._lost:
            return
        self._lost = self.closed = True
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self._error is None and exc is not None and self._close_due is None:
            self._error = LinkError("reset", str(exc) or type(exc).__name__)
        if self._on_gone is not None:
            self._on_gone(self, self._error)
        if self._machine is not None:
            self._tell_lost()
        # Break the cycles, so that a flood of short links leaves nothing for the garbage collector.
        self._tls = self._on_tls = None

    # -- inside --------------------------------------------------------------------------------------------

    def _become_ready(self) -> None:
        self._ready = True
        if self._on_ready is not None:
            try:
                self._on_ready(self)
                if self._machine is None and not self.outgoing and not self.closed:
                    raise LocalProtocolError("the link was accepted, but not given a machine")
            except Exception:
                self._bug("accept")
                return
        if self._machine is None and self._transport is not None and not self.closed:
            self._transport.pause_reading()

    def _begin(self) -> None:
        if self._lost:
            self._tell_lost()
            return
        if self.closed or self._transport is None or self._machine is None:
            return
        if not self._paused:
            self._transport.resume_reading()
        if self._held:
            data, self._held = bytes(self._held), bytearray()
            self._take(data, self._loop.time())
        else:
            self._pump()

    def _woken(self) -> None:
        self._waking = False
        if not self.closed and self._machine is not None:
            self._pump()

    def _take(self, data: bytes, now: float) -> None:
        if self._machine is None or self._held:
            self._held += data  # bounded: reading is paused until there is a machine
            return
        try:
            if self._tap is not None:
                self._tap("in", data)
            self._machine.receive_data(data, now)
        except Exception:
            self._bug("receive_data")
            return
        self._pump()

    def _take_tls(self, data: bytes, now: float) -> None:
        tls = self._tls
        assert tls is not None
        tls.receive_data(data, now)
        ended = False
        while (event := tls.next_event()) is not None:
            if isinstance(event, HandshakeDone):
                self._write_socket(tls.data_to_send())
                self._tls_done(event)
            elif isinstance(event, HandshakeFailed):
                self._tls_failed(event)
                return
            else:
                ended = True
        if self.closed:
            return
        plaintext = tls.plaintext()
        self._write_socket(tls.data_to_send())
        if plaintext:
            self._take(plaintext, now)
        if ended and not self.closed:
            self._take_end()

    def _tls_done(self, event: HandshakeDone) -> None:
        self.tls = event
        if not self._ready:
            self._become_ready()
        elif self._on_tls is not None:
            on_tls, self._on_tls = self._on_tls, None
            try:
                on_tls(event)
            except Exception:
                self._bug("on_tls")
                return
            self._pump()

    def _tls_failed(self, event: HandshakeFailed) -> None:
        self._error = LinkError("tls", event.reason)
        if self._tls is not None:
            self._write_socket(self._tls.data_to_send())  # the alert
        self._shut(patiently=False)

    def _take_end(self) -> None:
        """The peer will say no more: it closed TLS, or the connection, or one after the other."""
        if not self._end_told:
            self._end_told = True
            if self._machine is None:
                self.close()
                return
            try:
                self._machine.receive_data(b"", self._loop.time())
            except Exception:
                self._bug("receive_data")
                return
        self._pump()

    def _finish(self) -> None:
        """The peer has said its last, and the owner has heard it: close, at once or a little later."""
        if self._close_due is not None:
            return
        if self._limits.half_closed_s > 0:
            self._close_due = self._loop.time() + self._limits.half_closed_s
            self._arm()
        else:
            self.close()

    def _pump(self) -> None:
        """Hand out events, write, arm the timer: what follows whenever anything has happened to the
        machine."""
        machine, on_event = self._machine, self._on_event
        if machine is None or on_event is None:
            return
        self._pumping = True
        try:
            while not self._paused and not self.closed and (event := machine.next_event()) is not None:
                on_event(event)
            if self.closed:
                return
            data = machine.data_to_send()
            due = machine.next_timer()
        except Exception:
            self._bug("on_event")
            return
        finally:
            self._pumping = False
        if data:
            self._write(data)
        if due is not None and (self._alarm is None or due < self._alarm_at):
            self._arm()
        if self._end_told and not self._paused:
            self._finish()

    def _say_the_rest(self) -> None:
        if self._machine is not None:
            self._write(self._machine.data_to_send())
        if self._tls is not None:
            self._tls.close()
            self._write_socket(self._tls.data_to_send())

    def _shut(self, *, patiently: bool = True) -> None:
        """Close our side, and give the peer its time to take the rest and close its own."""
        transport = self._transport
        if self.closed or transport is None:
            self.closed = True
            return
        self.closed = True
        self._close_due = self._loop.time() + self._limits.close_s
        self._arm()
        if self._peer_closed or not patiently:
            transport.close()
            return
        transport.resume_reading()  # to see the peer's end, and to throw away what comes before it
        try:
            transport.write_eof()
        except OSError:  # the connection is broken already
            transport.abort()

    def _write(self, data: bytes) -> None:
        """Write plaintext, through TLS where there is TLS."""
        if not data or self.closed:
            return
        try:
            if self._tap is not None:
                self._tap("out", data)
            if self._tls is not None:
                self._tls.send(data)
                data = self._tls.data_to_send()
        except Exception:
            self._bug("write")
            return
        self._write_socket(data)

    def _write_socket(self, data: bytes) -> None:
        transport = self._transport
        if not data or self.closed or transport is None:
            return
        self.bytes_out += len(data)
        transport.write(data)
        unsent = transport.get_write_buffer_size()
        if unsent > self._limits.max_write_bytes:
            self.abort(LinkError("not-reading", f"{unsent} bytes wait for a peer that does not read"))

    def _arm(self) -> None:
        """Set the alarm for whatever is due first; one that rings too early is left alone."""
        if self._lost or self._transport is None:
            return
        due = self._first_due()
        if due is None or (self._alarm is not None and self._alarm_at <= due):
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_at = due
        self._alarm = self._loop.call_at(due, self._ring)

    def _first_due(self) -> float | None:
        dues = [due for due in (self._handshake_due, self._close_due) if due is not None]
        if not self.closed:
            if self._idle_s is not None and not self._paused:
                dues.append(self.last_received + self._idle_s)
            if self._machine is not None and (due := self._machine.next_timer()) is not None:
                dues.append(due)
        return min(dues) if dues else None

    def _ring(self) -> None:
        self._alarm = None
        now = self._loop.time()
        # A loop may ring a little early, by the resolution of its clock; the alarm's own time is what counts.
        now = max(now, self._alarm_at)
        if self._close_due is not None and now >= self._close_due:
            self._close_is_due()
        elif self.closed:
            pass
        elif self._handshake_due is not None and now >= self._handshake_due:
            self.abort(LinkError("handshake-timeout", f"no proof within {self._limits.handshake_s:g} s"))
        elif self._idle_s is not None and not self._paused and now >= self.last_received + self._idle_s:
            self.abort(LinkError("idle", f"silent for {self._idle_s:g} s"))
        elif self._machine is not None and (due := self._machine.next_timer()) is not None and due <= now:
            try:
                self._machine.handle_timer(now)
            except Exception:
                self._bug("handle_timer")
                return
            self._pump()
        self._arm()

    def _close_is_due(self) -> None:
        self._close_due = None
        if not self.closed:  # the half-closed time is over
            self.close()
            return
        transport = self._transport
        unsent = 0 if transport is None else transport.get_write_buffer_size()
        self.abort(LinkError("linger", f"{unsent} bytes were not taken") if unsent else None)

    def _tell_writable(self) -> None:
        if self._on_writable is not None and not self.closed:
            try:
                self._on_writable(self.writable)
            except Exception:
                self._bug("on_writable")

    def _tell_lost(self) -> None:
        on_lost, self._on_lost = self._on_lost, None
        if on_lost is not None:
            try:
                on_lost(self._error)
            except Exception:
                self._bug("on_lost")
        self._on_event = self._on_writable = None

    def _bug(self, where: str) -> None:
        """Our own fault: it is logged with its stack, and costs this link only."""
        log.exception("link.bug", link=self.label, remote=self.remote, where=where)
        self.abort(LinkError("internal", f"a fault in {where}"))


async def connect(
    host: str,
    port: int,
    *,
    tls: TlsMachine | None = None,
    limits: LinkLimits = DEFAULT_LIMITS,
    timeout_s: float = 10.0,
    local_host: str | None = None,
    label: str = "",
) -> Link[Any]:
    """Open a connection to an IP address; with `tls`, from byte 0 (and `link.tls` is set on return).

    The link waits, unread, to be attached. `limits.handshake_s` runs on until `Link.establish()`. Raises
    `LinkError`: `connect` or `tls`.
    """
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def on_ready(_: Link[Any]) -> None:
        if not ready.done():
            ready.set_result(None)

    def on_gone(_: Link[Any], error: LinkError | None) -> None:
        if not ready.done():
            ready.set_exception(error or LinkError("connect", "closed at once"))

    link: Link[Any] = Link(
        loop, outgoing=True, limits=limits, label=label, tls=tls, on_ready=on_ready, on_gone=on_gone
    )
    try:
        async with asyncio.timeout(timeout_s):
            await loop.create_connection(
                lambda: link, host, port, local_addr=None if local_host is None else (local_host, 0)
            )
            await ready
    except TimeoutError:
        link.abort()
        raise LinkError("connect", f"{host} port {port}: no answer within {timeout_s:g} s") from None
    except OSError as error:
        link.abort()
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise LinkError("connect", f"{host} port {port}: {reason}") from error
    except BaseException:
        link.abort()
        raise
    finally:
        if not ready.cancel() and not ready.cancelled():
            ready.exception()  # told already, by what was raised
    return link
