"""The trail: every stop of one message, with its time, what was decided, and why.

A trail is text, one JSON array a line, so that it can be appended to in the same statement that changes the
message's state, and read with nothing but a database shell:

    [1700000000.123, "received", "from xa.example over xmpp", {"proof": "external"}]
"""

from __future__ import annotations

import enum
from typing import Any

import msgspec


class Stop(enum.StrEnum):
    """Where a message can be."""

    RECEIVED = "received"
    DUPLICATE = "duplicate"
    ROUTED = "routed"
    ALLOWED = "allowed"
    """By what agreement or rule it may pass."""
    RESUMED = "resumed"
    """Found on disk after a restart."""
    ADAPTED = "adapted"
    TRIED = "tried"
    """Put on the wire without success; another try follows."""
    SENT = "sent"
    DELIVERED = "delivered"
    FAILED = "failed"
    RETURNED = "returned"
    """It came back after it had been sent."""
    REPORTED = "reported"
    DROPPED = "dropped"
    """By the operator."""


class Event(msgspec.Struct, frozen=True, array_like=True):
    """One stop; `data` holds what a program may want to read (peer, attempt, fidelity, reason)."""

    at: float
    stop: Stop
    text: str
    data: dict[str, Any] = {}


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Event)


def encode(events: list[Event]) -> str:
    """The lines to append."""
    try:
        return _encoder.encode_lines(events).decode()
    except UnicodeEncodeError:  # half a character, in what a peer has said
        return _encoder.encode_lines([_whole(event) for event in events]).decode()


def _whole(event: Event) -> Event:
    data = {key: _mended(value) if isinstance(value, str) else value for key, value in event.data.items()}
    return Event(event.at, event.stop, _mended(event.text), data)


def _mended(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def decode(trail: str) -> list[Event]:
    """Read a whole trail."""
    return _decoder.decode_lines(trail)
