"""Making a message fit the far side, in one place, and saying what was lost.

`adapt` is a pure function of the message and the declared features; it returns the messages to send, in
order, and the fidelity: a sentence for each thing that did not get through as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import regex
from msgspec.structs import replace

from rialto.core.network import Features
from rialto.model.errors import Reason, Refused
from rialto.model.message import Message

MAX_PARTS = 40
"""More than that is a document, not a message."""

_GRAPHEME = regex.compile(r"\X")
_ROOM_FOR_HEADERS_BYTES = 400


def adapt(
    message: Message, features: Features, measure: Callable[[Message], int]
) -> tuple[tuple[Message, ...], tuple[str, ...]]:
    """(the messages to send, the fidelity). `measure` counts the bytes that a message takes on the wire.

    Raises Refused where the message cannot be made to fit.
    """
    lost: list[str] = []
    if not features.subject and message.subject:
        message = replace(message, subject="")
        lost.append("subject left out")
    if not features.thread and message.thread:
        message = replace(message, thread="")
        lost.append("thread left out")
    if not features.language and (message.language or message.translations):
        message = replace(message, language="", translations=())
        lost.append("language left out")
    if features.max_bytes is None or _surely_fits(message, features.max_bytes):
        return (message,), tuple(lost)
    if measure(message) <= features.max_bytes:
        return (message,), tuple(lost)
    if features.long_messages != "split":
        raise Refused(
            Reason.TOO_LARGE,
            f"the message is longer than the {features.max_bytes} bytes that its way allows",
            detail=f"{measure(message)} bytes",
        )
    parts = split(message, features.max_bytes, measure)
    if message.translations:
        lost.append("translations left out")
    lost.append(f"split in {len(parts)}")
    return parts, tuple(lost)


def _surely_fits(message: Message, max_bytes: int) -> bool:
    """A cheap bound, so that a short message need not be written twice to be measured.

    A character takes at most 4 bytes in a text, and 12 in an address (four percent-encoded bytes).
    """
    people = 12 * (
        len(message.sender.local)
        + len(message.sender.instance)
        + len(message.recipient.local)
        + len(message.recipient.instance)
    ) + 8 * (len(message.sender.domain) + len(message.recipient.domain))
    texts = 4 * (len(message.text) + len(message.subject) + 3 * len(message.thread))
    hops = 66 * len(message.hops)
    return texts + people + hops + _ROOM_FOR_HEADERS_BYTES <= max_bytes and not message.translations


def split(message: Message, max_bytes: int, measure: Callable[[Message], int]) -> tuple[Message, ...]:
    """Numbered parts that each fit, broken between words where there are any, never inside a character.

    Raises Refused when the frame alone leaves no room, or the parts would be too many.
    """
    bare = replace(message, translations=())
    frame = replace(bare, id=f"{message.id}.00", text="")
    room = max_bytes - measure(frame) - len("(00/00) ") - 3  # Content-Length may grow by three digits
    longest = max((len(cluster.encode()) for cluster in _GRAPHEME.findall(message.text)), default=1)
    if room < longest:
        raise Refused(Reason.TOO_LARGE, f"no room for any text in {max_bytes} bytes")
    pieces = []
    for piece in _pieces(message.text, room):
        pieces.append(piece)
        if len(pieces) > MAX_PARTS:
            raise Refused(Reason.TOO_LARGE, f"the message would take more than {MAX_PARTS} parts")
    return tuple(
        replace(
            bare,
            id=f"{message.id}.{number}",
            text=f"({number}/{len(pieces)}) {piece}",
            subject=message.subject if number == 1 else "",
        )
        for number, piece in enumerate(pieces, 1)
    )


def _pieces(text: str, room_bytes: int) -> Iterator[str]:
    """Cut the text so that each piece takes at most that many bytes in UTF-8."""
    piece: list[str] = []
    used = 0
    last_space = -1  # where in `piece` it could be cut between words
    for cluster in _GRAPHEME.findall(text):
        size = len(cluster.encode())
        if used + size > room_bytes:
            cut = last_space + 1 or len(piece)
            yield "".join(piece[:cut])
            piece = piece[cut:]
            used = sum(len(kept.encode()) for kept in piece)
            if used + size > room_bytes:
                yield "".join(piece)
                piece, used = [], 0
            last_space = -1
        if cluster.isspace():
            last_space = len(piece)
        piece.append(cluster)
        used += size
    if piece:
        yield "".join(piece)
