"""Blocks and runs: what a rich text is, whoever wrote it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

import msgspec


class Style(msgspec.Struct, frozen=True, gc=False):
    """How a run looks."""

    bold: bool = False
    italic: bool = False
    underline: bool = False
    strike: bool = False
    code: bool = False
    colour: str = ""
    """`#rrggbb`; empty for that of the surroundings."""
    font: str = ""
    size_pt: int = 0
    link: str = ""


class Run(msgspec.Struct, frozen=True, gc=False):
    """Some characters of one style; `\\n` begins a new line."""

    text: str
    style: Style = Style()


class Block(msgspec.Struct, frozen=True):
    """What stands on lines of its own."""

    runs: tuple[Run, ...] = ()
    quote: int = 0
    """How often it is quoted."""
    lists: tuple[str, ...] = ()
    """The lists that it is an item of, `ul` or `ol`, the outermost first."""
    preformatted: bool = False

    @property
    def text(self) -> str:
        """Its characters alone."""
        return "".join([run.text for run in self.runs])


Rich = tuple[Block, ...]

PLAIN: Final = Style()

_ONLY_XML: Final = re.compile(r"[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]*")
_NOT_XML: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def clean(text: str) -> str:
    """The text without the characters that XML cannot carry, and without controls."""
    return text if _ONLY_XML.fullmatch(text) else _NOT_XML.sub("", text)


def has_form(blocks: Rich) -> bool:
    """Whether there is more in it than words and the ends of lines."""
    return any(
        block.quote or block.lists or block.preformatted or any(run.style != PLAIN for run in block.runs)
        for block in blocks
    )


def paragraphs(text: str) -> Rich:
    """Words without form, as rich text: a block for each line."""
    lines = clean(text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " ")).split("\n")
    return tuple([Block((Run(line),) if line else ()) for line in lines])


def merged(runs: Iterable[Run]) -> tuple[Run, ...]:
    """The runs, those of one style that follow one another as one."""
    whole: list[Run] = []
    for run in runs:
        if whole and whole[-1].style == run.style:
            whole[-1] = Run(whole[-1].text + run.text, run.style)
        elif run.text:
            whole.append(run)
    return tuple(whole)


def words(blocks: Rich) -> str:
    """The words of a rich text: quotes with `>`, items with a mark, links after what they stand under."""
    lines: list[str] = []
    numbers: list[int] = []
    for block in blocks:
        numbers = numbers[: len(block.lists)] + [0] * (len(block.lists) - len(numbers))
        head = indent = ""
        if block.lists:
            numbers[-1] += 1
            mark = f"{numbers[-1]}." if block.lists[-1] == "ol" else "•"
            head = "  " * (len(block.lists) - 1) + mark + " "
            indent = " " * len(head)
        for number, line in enumerate("".join([run.text for run in with_links(block)]).split("\n")):
            lines.append("> " * block.quote + (indent if number else head) + line)
    return "\n".join(lines)


def with_links(block: Block) -> list[Run]:
    """The runs, and after the words of each link where it leads, if those do not say so themselves."""
    runs: list[Run] = []
    label = link = ""
    for run in (*block.runs, Run("")):
        if link and run.style.link != link:
            if label.strip() not in (link, link.partition(":")[2], link.partition("://")[2].rstrip("/")):
                runs.append(Run(f" <{link}>"))
            label = ""
        link = run.style.link
        label = label + run.text if link else ""
        runs.append(run)
    return runs[:-1]
