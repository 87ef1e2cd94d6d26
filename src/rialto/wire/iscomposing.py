"""Somebody is writing: application/im-iscomposing+xml (RFC 3994).

Reading is lenient: a document without the namespace, a state that nobody knows (idle: section 3.5), a refresh
that is no number (none).
"""

from __future__ import annotations

from typing import Final

import msgspec

from rialto.wire.xml import Node, XmlError, escape, read_document

MEDIA_TYPE: Final = "application/im-iscomposing+xml"
NAMESPACE: Final = "urn:ietf:params:xml:ns:im-iscomposing"

DEFAULT_REFRESH_S: Final = 120
"""For so long a writer without `refresh` is believed to be writing (section 3.3)."""
MAX_REFRESH_S: Final = 3_600
"""Nobody writes a line for longer than that without a word in between."""
MAX_BYTES: Final = 8_192


class ComposingError(ValueError):
    """A body that says nothing about writing."""


class IsComposing(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One status. `refresh_s`: within what time it will be said again, None where nobody said."""

    active: bool
    refresh_s: int | None = None
    content_type: str = ""
    last_active: str = ""

    @property
    def lasts_s(self) -> int:
        """For how long this is to be believed, when it is `active`."""
        return DEFAULT_REFRESH_S if self.refresh_s is None else min(self.refresh_s, MAX_REFRESH_S)


def parse(data: bytes, charset: str = "") -> IsComposing:
    """Read a document; raises ComposingError."""
    try:
        root = read_document(data, charset, max_bytes=MAX_BYTES)
    except XmlError as error:
        raise ComposingError(str(error)) from None
    # QUIRK(small clients): the namespace is left out, or written as in the examples' schemaLocation.
    if root.name.rpartition("}")[2] != "isComposing":
        raise ComposingError("nothing about writing")
    inside = {child.name.rpartition("}")[2]: child for child in root.children}
    if "state" not in inside:
        raise ComposingError("no state in it")
    refresh = _text(inside.get("refresh"))
    seconds = int(refresh) if refresh.isascii() and refresh.isdigit() and len(refresh) <= 9 else 0
    return IsComposing(
        active=_text(inside["state"]) == "active",  # section 3.5: whatever else is idle
        refresh_s=seconds or None,
        content_type=_text(inside.get("contenttype")),
        last_active=_text(inside.get("lastactive")),
    )


def write(status: IsComposing) -> bytes:
    """A document, in the order that the schema wants."""
    parts = [
        f'<?xml version="1.0" encoding="UTF-8"?>\r\n<isComposing xmlns="{NAMESPACE}">'
        f"<state>{'active' if status.active else 'idle'}</state>"
    ]
    if status.last_active:
        parts.append(f"<lastactive>{escape(status.last_active)}</lastactive>")
    if status.content_type:
        parts.append(f"<contenttype>{escape(status.content_type)}</contenttype>")
    if status.refresh_s is not None:
        parts.append(f"<refresh>{max(1, status.refresh_s)}</refresh>")
    parts.append("</isComposing>")
    return "".join(parts).encode()


def _text(node: Node | None) -> str:
    return "" if node is None else node.text.strip()
