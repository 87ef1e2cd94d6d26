"""`X-MMS-IM-Format`: how Microsoft's messengers say the look of a plain text, beside it.

    FN=MS%20Shell%20Dlg; EF=BI; CO=800000; CS=0; PF=22

Font name, effects (bold, italic, struck out, underlined), colour (blue, green, red, leading zeros left out),
character set and pitch of the font, and `RL=1` for a text from right to left. Inside SIP it travels
as `msgr`, a parameter of Content-Type: base64 of the whole line in UTF-16LE.
"""

from __future__ import annotations

import base64
import binascii
import html
import re
from typing import Final
from urllib.parse import quote, unquote

import msgspec

NAME: Final = "X-MMS-IM-Format"
MAX_CHARACTERS: Final = 1_000

_FONT: Final = re.compile(r"[\w .-]{1,60}")
_COLOUR: Final = re.compile(r"[0-9A-Fa-f]{1,6}")


class Look(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The look of one message. `colour` is `#rrggbb`, empty for the reader's own."""

    font: str = ""
    bold: bool = False
    italic: bool = False
    underline: bool = False
    strike: bool = False
    colour: str = ""
    right_to_left: bool = False


def parse(value: str) -> Look:
    """Read the value; what is not understood is the reader's own. Never raises."""
    fields = {}
    for field in value[:MAX_CHARACTERS].split(";"):
        name, _, text = field.partition("=")
        fields[name.strip().upper()] = text.strip()
    effects = fields.get("EF", "").upper()
    font = unquote(fields.get("FN", ""))
    colour = fields.get("CO", "")
    bgr = colour.zfill(6) if _COLOUR.fullmatch(colour) and colour.strip("0") else ""
    return Look(
        font=font if _FONT.fullmatch(font) else "",
        bold="B" in effects,
        italic="I" in effects,
        underline="U" in effects,
        strike="S" in effects,
        colour=f"#{bgr[4:6]}{bgr[2:4]}{bgr[0:2]}".lower() if bgr else "",
        right_to_left=fields.get("RL", "") == "1",
    )


def write(look: Look) -> str:
    """The value."""
    effects = "".join(
        letter
        for letter, is_set in (
            ("B", look.bold), ("I", look.italic), ("S", look.strike), ("U", look.underline),
        )
        if is_set
    )  # fmt: skip
    bgr = look.colour[5:7] + look.colour[3:5] + look.colour[1:3]
    fields = [f"FN={quote(look.font)}", f"EF={effects}", f"CO={bgr.lstrip('0') or '0'}", "CS=0", "PF=0"]
    if look.right_to_left:
        fields.append("RL=1")
    return "; ".join(fields)


def from_parameter(value: str) -> Look:
    """Read `msgr`; what cannot be read is no look at all. Never raises."""
    if len(value) > 4 * MAX_CHARACTERS:
        return Look()
    try:
        # QUIRK(Communicator 2007): the padding is left out.
        line = base64.b64decode(value + "=" * (-len(value) % 4), validate=True).decode("utf-16-le")
    except (binascii.Error, ValueError):
        return Look()
    name, _, rest = line.partition(":")
    return parse(rest.partition("\r")[0]) if name.strip().lower() == NAME.lower() else Look()


def to_parameter(look: Look) -> str:
    """Write `msgr`."""
    return base64.b64encode(f"{NAME}: {write(look)}\r\n\r\n".encode("utf-16-le")).decode("ascii")


def to_html(text: str, look: Look) -> str:
    """The text in its look, as HTML that still has to be cleaned; empty where it has none."""
    if look == Look():
        return ""
    styles = []
    if look.font:
        styles.append(f"font-family: {look.font}")
    if look.colour:
        styles.append(f"color: {look.colour}")
    inner = html.escape(text, quote=False).replace("\n", "<br/>")
    if styles:
        inner = f'<span style="{html.escape("; ".join(styles))}">{inner}</span>'
    for name, is_set in (
        ("s", look.strike), ("u", look.underline), ("em", look.italic), ("strong", look.bold),
    ):  # fmt: skip
        if is_set:
            inner = f"<{name}>{inner}</{name}>"
    return inner
