"""Making a message fit the far side, in one place, and saying what was lost.

`adapt` is a pure function of the message and the declared features; it returns the messages to send, in
order, and the fidelity: a sentence for each thing that did not get through as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache

import regex
from msgspec.structs import replace

from rialto.core.network import Features
from rialto.core.wording import in_words, plainer
from rialto.model.address import Address
from rialto.model.errors import Reason, Refused
from rialto.model.message import Message

MAX_PARTS = 40
"""More than that is a document, not a message."""

_GRAPHEME = regex.compile(r"\X")
_ESCAPED_NOWHERE = regex.compile(r"[A-Za-z0-9._-]*")
_ESCAPED_IN_XML = "&<>\"'"
_ROOM_FOR_HEADERS_BYTES = 800
_ROOM_FOR_WANTS_BYTES = 500
"""Asking for receipts takes an envelope with headers of its own (RFC 3862, RFC 5438)."""


def adapt(
    message: Message, features: Features, measure: Callable[[Message], int]
) -> tuple[tuple[Message, ...], tuple[str, ...]]:
    """(the messages to send, the fidelity). `measure` counts the bytes that a message takes on the wire.

    Raises Refused where the message cannot be made to fit.
    """
    lost: list[str] = []
    more = bool(
        message.wants or message.rich or message.files or message.sealed or message.relation is not None
    )
    if more:
        message = plainer(message, features, lost)
    if not features.subject and message.subject:
        message = replace(message, subject="")
        lost.append("subject left out")
    if not features.thread and message.thread:
        message = replace(message, thread="")
        lost.append("thread left out")
    if not features.language and (message.language or message.translations):
        message = replace(message, language="", translations=())
        lost.append("language left out")
    if features.max_bytes is None or _surely_fits(message, features.max_bytes, more):
        return (message,), tuple(lost)
    if measure(message) <= features.max_bytes:
        return (message,), tuple(lost)
    if message.translations:
        message = replace(message, translations=())
        lost.append("translations left out")
        if measure(message) <= features.max_bytes:
            return (message,), tuple(lost)
    if message.rich:
        message = replace(message, rich="")
        lost.append("form left out")
        if measure(message) <= features.max_bytes:
            return (message,), tuple(lost)
    if features.long_messages != "split":
        raise Refused(
            Reason.TOO_LARGE,
            f"the message is longer than the {features.max_bytes} bytes that its way allows",
            detail=f"{measure(message)} bytes",
        )
    if message.sealed:
        raise Refused(
            Reason.TOO_LARGE,
            f"an encrypted message cannot be cut, and its way allows no more than {features.max_bytes} bytes",
        )
    if message.relation is not None:
        message = in_words(message, message.relation, features, lost)
    parts = split(message, features.max_bytes, measure)
    lost.append(f"split in {len(parts)}")
    return parts, tuple(lost)


def _surely_fits(message: Message, max_bytes: int, more: bool) -> bool:
    """A cheap bound, so that a message of usual length need not be written twice to be measured.

    Each person may be written three times (SIP: From, Contact and an asserted identity; To and the request's
    URI). `more` says whether there may be more in it than words.
    """
    if message.translations:
        return False
    if more and (message.rich or message.files or message.sealed or message.relation is not None):
        return False
    people = _widest_address(message.sender) + _widest_address(message.recipient)
    others = _widest(message.thread) + 66 * len(message.hops) + 3 * len(message.language)
    if message.nick:
        others += 2 * _widest(message.nick)
    if more and message.wants:
        others += 2 * people + _ROOM_FOR_WANTS_BYTES
    room = max_bytes - 3 * people - others - _ROOM_FOR_HEADERS_BYTES
    text, subject = message.text, message.subject
    return 6 * (len(text) + len(subject)) <= room or _longest(text) + _longest(subject) <= room


@lru_cache(maxsize=8192)
def _widest_address(address: Address) -> int:
    domain = len(address.domain) if address.domain.isascii() else 12 * len(address.domain)
    return _widest(address.local) + domain + _widest(address.instance)


def _widest(part: str) -> int:
    """The most bytes that a name takes in any protocol's escaping: percent, XML's and XEP-0106's together."""
    if not part:
        return 0
    return len(part) if _ESCAPED_NOWHERE.fullmatch(part) else 12 * len(part)


def _longest(text: str) -> int:
    """The most bytes that a text takes: XML escapes five characters, SIP writes a line's end as two."""
    if not text.replace("\n", "").isprintable():
        return 6 * len(text)
    return len(text.encode()) + text.count("\n") + 5 * sum([text.count(mark) for mark in _ESCAPED_IN_XML])


def split(message: Message, max_bytes: int, measure: Callable[[Message], int]) -> tuple[Message, ...]:
    """Numbered parts that each fit, broken between words where there are any, never inside a character.

    Files go with the last part, and only that one asks for receipts: when it has arrived, all have.

    Raises Refused when the frame alone leaves no room, or the parts would be too many.
    """
    bare = replace(message, translations=())
    frame = replace(bare, id=f"{message.id}.00", text="")
    room = max_bytes - measure(frame) - len("(00/00) ") - 3  # Content-Length may grow by three digits
    while room > 0:
        if len(message.text) > room * MAX_PARTS:
            raise Refused(Reason.TOO_LARGE, f"the message would take more than {MAX_PARTS} parts")
        parts = _numbered(bare, room)
        excess = max(measure(part) for part in parts) - max_bytes
        if excess <= 0:
            return parts
        room -= max(excess, room // 8)  # a network that escapes the text: smaller pieces
    raise Refused(Reason.TOO_LARGE, f"no room for any text in {max_bytes} bytes")


def _numbered(message: Message, room_bytes: int) -> tuple[Message, ...]:
    pieces = list(_pieces(message.text, room_bytes)) or [""]
    if len(pieces) > MAX_PARTS:
        raise Refused(Reason.TOO_LARGE, f"the message would take more than {MAX_PARTS} parts")
    return tuple(
        replace(
            message,
            id=f"{message.id}.{number}",
            text=f"({number}/{len(pieces)}) {piece}",
            subject=message.subject if number == 1 else "",
            wants=message.wants if number == len(pieces) else (),
            files=message.files if number == len(pieces) else (),
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
        if size > room_bytes:
            raise Refused(Reason.TOO_LARGE, f"a single character takes more than {room_bytes} bytes")
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
