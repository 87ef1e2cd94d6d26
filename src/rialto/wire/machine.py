"""What every protocol machine looks like from outside.

A machine turns bytes into events and decisions into bytes. It does no I/O and reads no clock: whoever
drives it (`rialto.net.link`, or a test) gives it bytes and the time, asks for its events, sends what it
wants sent, and wakes it when its timer is due:

    machine.receive_data(data, now)          b"" says that the peer closed its side
    while (event := machine.next_event()) is not None: ...
    transport.write(machine.data_to_send())
    wake at machine.next_timer(), then machine.handle_timer(now)

`now` is in seconds, from one clock for all calls of one machine. A machine never raises for what the
peer sent: that is an event, and usually bytes that tell the peer. It raises `LocalProtocolError` when it
is asked to do what its protocol forbids.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

Event = TypeVar("Event", covariant=True)


class Machine(Protocol[Event]):
    """One end of one connection, speaking one protocol."""

    def receive_data(self, data: bytes, now: float) -> None:
        """Take what arrived; `b""` means that the peer will send no more."""

    def next_event(self) -> Event | None:
        """The next thing that happened, oldest first; None when there is nothing (yet)."""

    def data_to_send(self) -> bytes:
        """What must be written now; each byte is handed out once."""

    def next_timer(self) -> float | None:
        """When `handle_timer` must be called at the latest; None for never."""

    def handle_timer(self, now: float) -> None:
        """Let time pass: whatever was due by `now` happens."""
