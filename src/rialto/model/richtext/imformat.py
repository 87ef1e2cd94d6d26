"""`X-MMS-IM-Format`: how Microsoft's clients say the font, the effects and the colour of a whole message.

    FN=MS%20Shell%20Dlg; EF=BI; CO=ff; CS=0; PF=0

`EF` is any of B, I, U, S; `CO` a hexadecimal number whose lowest byte is red, the next green, then blue. The
same text, in UTF-16 and Base64, stands in the parameter `msgr` of a Content-Type (MS-SIP).
"""

from __future__ import annotations

import base64
import binascii
import re
from urllib.parse import quote, unquote

from msgspec.structs import replace

from rialto.model.richtext.css import font
from rialto.model.richtext.read import parse
from rialto.model.richtext.tree import PLAIN, Style, paragraphs
from rialto.model.richtext.write import write

MAX_CHARACTERS = 1024
DEFAULT_FONTS = frozenset(("MS Shell Dlg", "MS Shell Dlg 2", "MS Sans Serif", "Segoe UI", "Tahoma"))
"""What clients write whose user has chosen nothing."""

_HEXADECIMAL = re.compile(r"[0-9a-fA-F]{1,6}\Z")
_NAME = "X-MMS-IM-Format:"
_EFFECTS = (("B", "bold"), ("I", "italic"), ("U", "underline"), ("S", "strike"))


def style_of(value: str) -> Style:
    """What the header's value says; whatever cannot be read says nothing."""
    if len(value) > MAX_CHARACTERS:
        return PLAIN
    fields = {
        name.strip().upper(): text.strip()
        for name, _, text in (field.partition("=") for field in value.split(";"))
    }
    effects = fields.get("EF", "").upper()
    named = font(unquote(fields.get("FN", "")))
    return Style(
        bold="B" in effects,
        italic="I" in effects,
        underline="U" in effects,
        strike="S" in effects,
        colour=_colour(fields.get("CO", "")),
        font="" if named in DEFAULT_FONTS else named,
    )


def rich_of(text: str, value: str) -> str:
    """Canonical XHTML of a text and the header's value; empty where that says nothing."""
    style = style_of(value)
    if style == PLAIN:
        return ""
    blocks = paragraphs(text)
    return write(
        tuple(
            [
                replace(block, runs=tuple([replace(run, style=style) for run in block.runs]))
                for block in blocks
            ]
        )
    )


def value_of(rich: str) -> str:
    """The header's value for canonical XHTML: what all of its words have in common; empty for nothing."""
    styles = [run.style for block in parse(rich) for run in block.runs if run.text.strip()]
    if not styles:
        return ""
    first = styles[0]
    effects = "".join(letter for letter, name in _EFFECTS if all(getattr(style, name) for style in styles))
    colour = first.colour if all(style.colour == first.colour for style in styles) else ""
    named = first.font if all(style.font == first.font for style in styles) else ""
    if not effects and not colour and not named:
        return ""
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5)) if colour else (0, 0, 0)
    return (
        f"FN={quote(named or 'MS Shell Dlg')}; EF={effects}; CO={blue << 16 | green << 8 | red:x}; CS=0; PF=0"
    )


def unpacked(msgr: str) -> str:
    """The header's value in a `msgr` parameter; empty where there is none."""
    if len(msgr) > 4 * MAX_CHARACTERS:
        return ""
    try:
        text = base64.b64decode(msgr + "=" * (-len(msgr) % 4), validate=True).decode("utf-16-le")
    except (binascii.Error, ValueError):
        return ""
    for line in text.lstrip("\ufeff").splitlines():
        if line[: len(_NAME)].lower() == _NAME.lower():
            return line[len(_NAME) :].strip()
    return ""


def packed(value: str) -> str:
    """The `msgr` parameter with that value."""
    return base64.b64encode(f"{_NAME} {value}\r\n\r\n".encode("utf-16-le")).decode("ascii").rstrip("=")


def _colour(value: str) -> str:
    number = int(value, 16) if _HEXADECIMAL.match(value) else 0
    if not number:
        return ""  # black is what everybody has
    return f"#{number & 255:02x}{number >> 8 & 255:02x}{number >> 16:02x}"
