"""Rich Text Format, as instant messengers write it: the words, and the simplest of their form.

RTF is groups in braces, control words behind backslashes, and text. What a messenger needs of it is little:
characters (by code page, `\\'e9`, or by number, `\\u8364?`), ends of lines, bold, italics, underlining,
striking out and colour. Everything else is passed over, and whole groups of it (fonts, styles, pictures,
whatever is marked `\\*`) are not looked into. `to_html` gives HTML that still has to be cleaned.
"""

from __future__ import annotations

import html
import re
from typing import Final

import msgspec

MAX_DEPTH: Final = 100
MAX_COLOURS: Final = 256

_TOKEN: Final = re.compile(
    rb"\\([a-zA-Z]{1,32})(-?[0-9]{1,9})? ?|\\'([0-9a-fA-F]{2})|\\([^a-zA-Z'])|([{}])|[\r\n]+|([^\\{}\r\n]+)",
    re.DOTALL,
)
_SKIPPED: Final = frozenset({
    "author", "colortbl", "company", "fonttbl", "footer", "generator", "header", "info", "listtable",
    "listoverridetable", "object", "operator", "pict", "revtbl", "rsidtbl", "stylesheet", "themedata",
    "title", "xmlnstbl",
})  # fmt: skip
_CHARACTERS: Final = {
    "par": "\n", "line": "\n", "sect": "\n", "page": "\n", "row": "\n", "cell": "\t", "tab": "\t",
    "emdash": "—", "endash": "–", "lquote": "‘", "rquote": "’", "ldblquote": "“", "rdblquote": "”",
    "bullet": "•", "emspace": "\u2003", "enspace": "\u2002",
}  # fmt: skip
_SYMBOLS: Final = {
    "~": "\u00a0", "_": "\u2011", "-": "", "\\": "\\", "{": "{", "}": "}", "\r": "\n", "\n": "\n",
}  # fmt: skip
_TOGGLES: Final = {"b": "bold", "i": "italic", "ul": "underline", "strike": "strike"}
_CODE_PAGES: Final = frozenset({437, 850, 852, 866, 874, 932, 936, 949, 950, *range(1250, 1259), 10000})


class RtfError(ValueError):
    """What is no RTF."""


class _Style(msgspec.Struct, frozen=True):
    bold: bool = False
    italic: bool = False
    underline: bool = False
    strike: bool = False
    colour: int = 0
    skipped_after: int = 1  # `\\uc`: so many characters stand behind `\\u` for those who do not know it


def to_text(data: bytes) -> str:
    """The words alone; raises RtfError."""
    return "".join(text for text, _ in _runs(data)).strip("\n")


def to_html(data: bytes) -> str:
    """The same with its form; raises RtfError."""
    colours = _colours(data)
    parts: list[str] = []
    runs = _runs(data)
    while runs and not runs[-1][0].strip("\n"):
        runs.pop()
    for text, style in runs:
        inner = html.escape(text, quote=False).replace("\n", "<br/>")
        if style.colour and style.colour < len(colours) and colours[style.colour]:
            inner = f'<span style="color: {colours[style.colour]}">{inner}</span>'
        for name, is_set in (
            ("s", style.strike), ("u", style.underline), ("em", style.italic), ("strong", style.bold),
        ):  # fmt: skip
            if is_set:
                inner = f"<{name}>{inner}</{name}>"
        parts.append(inner)
    return "".join(parts).removesuffix("<br/>")


def _runs(data: bytes) -> list[tuple[str, _Style]]:
    """Pieces of text, each with its form."""
    if not data.lstrip()[:5].startswith(b"{\\rtf"):
        raise RtfError("no RTF")
    runs: list[tuple[str, _Style]] = []
    style, stack = _Style(), list[_Style]()
    code_page = "cp1252"
    skip_depth = 0  # how deep the group is that is not looked into; 0: none
    to_skip = 0  # characters behind a `\u`
    pending = bytearray()  # bytes in the code page: one character may be two of them
    high = 0  # the first half of a surrogate pair

    def say(text: str) -> None:
        if text and not skip_depth:
            if runs and runs[-1][1] == style:
                runs[-1] = (runs[-1][0] + text, style)
            else:
                runs.append((text, style))

    def flush() -> None:
        if pending:
            say(pending.decode(code_page, "replace"))
            pending.clear()

    for found in _TOKEN.finditer(data):
        word, number, byte, symbol, brace, text = found.groups()
        if byte is not None:
            if to_skip:
                to_skip -= 1
            elif not skip_depth:
                pending.append(int(byte, 16))
            continue
        if text is not None:
            if to_skip:
                text, to_skip = text[to_skip:], max(0, to_skip - len(text))
            pending += b"" if skip_depth else text
            continue
        flush()
        if brace == b"{":
            to_skip = 0
            stack.append(style)
            if len(stack) > MAX_DEPTH:
                raise RtfError("too deep")
        elif brace == b"}":
            to_skip = 0
            if not stack:
                break
            if skip_depth == len(stack):
                skip_depth = 0
            style = stack.pop()
            if not stack:
                break
        elif symbol is not None:
            if symbol == b"*":
                skip_depth = skip_depth or len(stack)
            elif to_skip:
                to_skip -= 1
            else:
                say(_SYMBOLS.get(symbol.decode("latin-1"), ""))
        elif word is not None:
            name = word.decode("ascii")
            value = int(number) if number is not None else None
            if name in _SKIPPED:
                skip_depth = skip_depth or len(stack)
            elif name in _CHARACTERS:
                say(_CHARACTERS[name])
            elif name in _TOGGLES:
                style = msgspec.structs.replace(style, **{_TOGGLES[name]: value != 0})
            elif name == "ulnone":
                style = msgspec.structs.replace(style, underline=False)
            elif name == "plain":
                style = _Style(skipped_after=style.skipped_after)
            elif name == "cf":
                style = msgspec.structs.replace(style, colour=max(0, value or 0))
            elif name == "uc":
                style = msgspec.structs.replace(style, skipped_after=min(max(0, value or 0), 16))
            elif name == "u" and value is not None:
                unit = value & 0xFFFF
                if 0xD800 <= unit < 0xDC00:
                    high = unit
                elif 0xDC00 <= unit < 0xE000:
                    say(chr(0x10000 + ((high - 0xD800) << 10) + unit - 0xDC00) if high else "\ufffd")
                    high = 0
                else:
                    say(chr(unit) if unit else "")
                to_skip = style.skipped_after
            elif name == "ansicpg" and value in _CODE_PAGES:
                code_page = "mac_roman" if value == 10000 else f"cp{value}"
            elif name == "bin" and value:
                raise RtfError("binary data")  # nothing that a message needs, and a way to hide anything
    flush()
    return runs


def _colours(data: bytes) -> list[str]:
    """`#rrggbb` for each colour of the table, in order; empty for the reader's own."""
    table = re.search(rb"\{\\colortbl([^{}]*)\}", data)
    if table is None:
        return []
    colours = []
    for entry in table[1].split(b";")[:MAX_COLOURS]:
        found = dict(re.findall(rb"\\(red|green|blue)([0-9]{1,3})", entry))
        known = len(found) == 3
        levels = [min(int(found[name]), 255) for name in (b"red", b"green", b"blue")] if known else []
        colours.append("#" + "".join(f"{level:02x}" for level in levels) if known else "")
    return colours
