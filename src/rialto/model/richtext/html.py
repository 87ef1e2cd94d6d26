"""HTML as it comes, cut into tags and text: every input is one, and none takes more than one look at it.

This is no browser: what is malformed is cut somehow. It must only never be slow, and never mistake text of a
script for words. What may pass is decided by whoever reads the tokens (`read`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from typing import Final

import msgspec

MAX_ATTRIBUTES: Final = 32

VOID: Final = frozenset((
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track",
    "wbr",
))  # fmt: skip
"""Elements that have no end."""

_RAW: Final = frozenset((
    "iframe", "math", "noembed", "noframes", "plaintext", "script", "style", "svg", "textarea", "xmp",
))  # fmt: skip
"""Elements whose content is not for reading."""

_TAG: Final = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]{0,30})")
_ATTRIBUTE: Final = re.compile(
    r"""[\s/]*([^\s/>=][^\s/>=]*)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>"']*)))?""", re.DOTALL
)
_REST: Final = re.compile(r"[^>]*>?")


class Start(msgspec.Struct, frozen=True):
    """`<name ...>`, in lower case; of an attribute that is given twice the first counts."""

    name: str
    attributes: dict[str, str]


class End(msgspec.Struct, frozen=True):
    """`</name>`."""

    name: str


def tokens(source: str) -> Iterator[Start | End | str]:
    """Tags, and text whose character references are still as they were."""
    place = 0
    lower = ""
    while place < len(source):
        found = source.find("<", place)
        if found < 0:
            yield source[place:]
            return
        if found > place:
            yield source[place:found]
        if source.startswith(("<!", "<?"), found):
            comment = source.startswith("<!--", found)
            end = source.find("-->" if comment else ">", found + 2)
            if end < 0:
                return
            place = end + (3 if comment else 1)
            continue
        tag = _TAG.match(source, found)
        if tag is None:
            yield "<"
            place = found + 1
            continue
        name = tag[2].lower()
        attributes, place = _attributes(source, tag.end())
        if tag[1]:
            yield End(name)
        elif name in _RAW:
            lower = lower or source.lower()
            place = lower.find(f"</{name}", place)
            if place < 0 or len(lower) != len(source):
                return
            place = _rest(source, place)
        else:
            yield Start(name, attributes)
            if name not in VOID and source[place - 2 : place] == "/>":
                yield End(name)  # XHTML


def _attributes(source: str, place: int) -> tuple[dict[str, str], int]:
    """The attributes that begin there, and where the tag has ended."""
    found: dict[str, str] = {}
    while True:
        one = _ATTRIBUTE.match(source, place)
        if one is None or one.end() == place:
            return found, _rest(source, place)
        place = one.end()
        name = one[1].lower()
        if name not in found and len(found) < MAX_ATTRIBUTES:
            found[name] = unescape(one[2] or one[3] or one[4] or "")


def _rest(source: str, place: int) -> int:
    rest = _REST.match(source, place)
    return rest.end() if rest is not None else len(source)
