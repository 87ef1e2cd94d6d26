"""Marks in a text that are its form: *strong*, _emphasis_, ~struck~, `code`, quotations, fences (XEP-0393).

Reading takes the marks away and keeps what they mean; what is no mark by the standard's rules stays. They are
written by `rialto.model.richtext.styling`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from msgspec.structs import replace

from rialto.model.richtext import Block, Rich, Run, Style

MAX_CHARACTERS: Final = 20_000
"""A longer text is read without form."""
MAX_QUOTES: Final = 8

_FENCE: Final = "```"
_MARKS: Final = {
    "*": Style(bold=True),
    "_": Style(italic=True),
    "~": Style(strike=True),
    "`": Style(code=True),
}
_MAX_DEPTH: Final = len(_MARKS)


def may_have_form(text: str) -> bool:
    """A cheap look: False where there is none for certain."""
    return "*" in text or "_" in text or "`" in text or "~" in text or ">" in text


def read_styling(text: str) -> Rich:
    """The blocks of a text with marks."""
    return tuple(_blocks(text.split("\n"), 0)) if len(text) <= MAX_CHARACTERS else (Block((Run(text),)),)


def _blocks(lines: Sequence[str], quote: int) -> Iterator[Block]:
    """Section 5.1: each line is one, but for fences and quotations."""
    place = 0
    while place < len(lines):
        line = lines[place]
        place += 1
        if line.startswith(_FENCE):
            start = place
            while place < len(lines) and lines[place] != _FENCE:
                place += 1
            yield Block((Run("\n".join(lines[start:place])),), quote=quote, preformatted=True)
            place += 1
        elif line.startswith(">") and quote < MAX_QUOTES:
            start = place - 1
            while place < len(lines) and lines[place].startswith(">"):
                place += 1
            yield from _blocks([_unquoted(one) for one in lines[start:place]], quote + 1)
        else:
            runs = tuple(_spans(line, Style(), 0))
            yield Block(runs, quote=quote)


def _unquoted(line: str) -> str:
    return line[2:] if line[1:2].isspace() else line[1:]


def _spans(text: str, style: Style, depth: int) -> Iterator[Run]:
    """Section 5.2: from the left, the shortest match first."""
    hopeless: set[str] = set()  # marks that are closed nowhere behind the present place
    begun = place = 0
    while place < len(text):
        mark = text[place]
        opens = (
            mark in _MARKS
            and mark not in hopeless
            and depth < _MAX_DEPTH
            and (place == 0 or text[place - 1].isspace())
            and not text[place + 1 : place + 2].isspace()
        )
        if not opens:
            place += 1
            continue
        end = _closing(text, mark, place + 1)
        if end < 0:
            hopeless.add(mark)
            place += 1
        elif end == place + 1:  # nothing between: neither is a mark
            place += 2
        else:
            if begun < place:
                yield Run(text[begun:place], style)
            inner = text[place + 1 : end]
            within = _with(style, mark)
            if mark == "`":
                yield Run(inner, within)
            else:
                yield from _spans(inner, within, depth + 1)
            begun = place = end + 1
    if begun < len(text):
        yield Run(text[begun:], style)


def _closing(text: str, mark: str, place: int) -> int:
    while (place := text.find(mark, place)) >= 0 and text[place - 1].isspace():
        place += 1
    return place


def _with(style: Style, mark: str) -> Style:
    match mark:
        case "*":
            return replace(style, bold=True)
        case "_":
            return replace(style, italic=True)
        case "~":
            return replace(style, strike=True)
        case _:
            return replace(style, code=True)
