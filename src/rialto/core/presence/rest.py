"""How little a watch can be in which nothing is going on.

A `Rare` attribute takes no place as long as it has its usual value. A document is kept as bytes: what it says
(`NEWS` on), behind how old it is. Reading one costs microseconds, and few are read in a second.
"""

from __future__ import annotations

import struct
from typing import Any, Generic, Protocol, Self, TypeVar, overload

import msgspec

from rialto.model.message import Text
from rialto.model.presence import Document, Show, State

T = TypeVar("T")

NEWS = 8
"""Where in a packed document that begins which makes it news (`Document.same_news`)."""

_AS_OF = struct.Struct(">d")
_FRESH, _STALE = b"\0", b"\1"
_State = tuple[
    str, Show, tuple[Text, ...], int | None, float | None, tuple[str, ...], str, str
]  # as in `State`
_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[tuple[_State, ...]] = msgspec.msgpack.Decoder(tuple[_State, ...])


def pack(document: Document) -> bytes:
    """The inverse of `unpack`."""
    states = _encoder.encode([msgspec.structs.astuple(state) for state in document.states])
    return _AS_OF.pack(document.as_of) + (_STALE if document.stale else _FRESH) + states


def unpack(data: bytes) -> Document:
    """What `pack` has made."""
    states = tuple([State(*fields) for fields in _decoder.decode(memoryview(data)[NEWS + 1 :])])
    return Document(states, _AS_OF.unpack_from(data)[0], data[NEWS] == 1)


class Roomy(Protocol):
    """What can have rare attributes: None while all have their usual values."""

    rare: dict[str, Any] | None


class Rare(Generic[T]):
    """An attribute that has `usual` almost always."""

    def __init__(self, usual: T) -> None:
        self._usual = usual

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, one: None, owner: type) -> Self: ...
    @overload
    def __get__(self, one: Roomy, owner: type) -> T: ...
    def __get__(self, one: Roomy | None, owner: type) -> T | Self:
        if one is None:
            return self
        if one.rare is None:
            return self._usual
        found: T = one.rare.get(self._name, self._usual)
        return found

    def __set__(self, one: Roomy, value: T) -> None:
        if value != self._usual:
            if one.rare is None:
                one.rare = {}
            one.rare[self._name] = value
        elif one.rare is not None:
            one.rare.pop(self._name, None)
            if not one.rare:
                one.rare = None
