"""What happened to a pair: its last events, one JSON array a line.

    [1700000000.123, "refused", "user@sip.example does not want to be watched"]

Memory has only what is not yet on disk; the database keeps the last `units.HISTORY_CHARACTERS` of each pair,
so that the first line may be cut, and `decode` passes over it.
"""

from __future__ import annotations

import msgspec

MAX_ENTRIES = 20
MAX_TEXT_CHARACTERS = 200

Entry = tuple[float, str, str]
"""When, what (an event's name), and a sentence."""

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Entry)


def encode(entries: list[Entry]) -> str:
    """The lines to append."""
    return _encoder.encode_lines(entries[-MAX_ENTRIES:]).decode()


def decode(text: str) -> list[Entry]:
    """The last events, oldest first."""
    entries = []
    for line in text.split("\n"):
        try:
            entries.append(_decoder.decode(line))
        except msgspec.DecodeError:
            continue
    return entries[-MAX_ENTRIES:]
