"""Presence in numbers: `text/xml+msrtc.pidf` of Live Communications Server (MS-SIP section 2.2.1).

A document says how likely somebody can be reached (`availability`, 0 to 399) and would like to be
(`activity`, 0 to 999), both for all of their devices together. What else is in it is passed over.
"""

from __future__ import annotations

from typing import Final

import msgspec

from rialto.wire.xml import Node, XmlError, escape, read_document

MEDIA_TYPE: Final = "text/xml+msrtc.pidf"
MAX_NOTE_CHARACTERS: Final = 2_000
_LEAST_REACHABLE: Final = 100


class MsrtcError(ValueError):
    """A body that is no such document."""


class Aggregate(msgspec.Struct, frozen=True):
    """Somebody in numbers; `note` is what they say."""

    availability: int
    activity: int = 0
    note: str = ""

    @property
    def online(self) -> bool:
        """Whether they may be reached at all."""
        return self.availability >= _LEAST_REACHABLE


def parse(data: bytes, charset: str = "") -> Aggregate:
    """Read a document. Raises MsrtcError."""
    try:
        root = read_document(data, charset)
    except XmlError as error:
        raise MsrtcError(str(error)) from None
    if _local(root) != "presentity":
        raise MsrtcError("no presentity")
    found = {_local(child): child for child in reversed(root.children)}
    availability, activity = found.get("availability"), found.get("activity")
    if availability is None:
        raise MsrtcError("no availability")
    note = "" if activity is None else activity.attributes.get("note", "").strip()
    return Aggregate(
        _number(availability), 0 if activity is None else _number(activity), note[:MAX_NOTE_CHARACTERS]
    )


def write(address: str, aggregate: Aggregate) -> bytes:
    """A document about `user@domain`."""
    note = f' note="{escape(aggregate.note)}"' if aggregate.note else ""
    return (
        f'<presentity uri="{escape(address)}"><availability aggregate="{aggregate.availability}"'
        f' description=""/><activity aggregate="{aggregate.activity}" description=""{note}/>'
        "<devices/></presentity>"
    ).encode()


def _local(node: Node) -> str:
    return node.name.rpartition("}")[2]


def _number(node: Node) -> int:
    text = node.attributes.get("aggregate", "").strip()
    if not (text.isascii() and text.isdigit() and len(text) <= 5):
        raise MsrtcError("an aggregate that is no number")
    return int(text)
