"""Rich text as message styling (XEP-0393): plain text in which `*` and its like mean what they look like.

Only what a reader of XEP-0393 would take for the same is marked; where the rules leave no room for a mark
(inside a word, around blanks) the words stand alone.
"""

from __future__ import annotations

from rialto.model.richtext.read import parse
from rialto.model.richtext.tree import Block, Rich, Run, Style, with_links


def styled(rich: str) -> str:
    """Canonical XHTML as styled text."""
    return styled_words(parse(rich))


def styled_words(blocks: Rich) -> str:
    """A rich text as styled text."""
    lines: list[str] = []
    numbers: list[int] = []
    fenced = -1  # the depth of quotation at which preformatted text goes on
    for block in blocks:
        if fenced >= 0 and not (block.preformatted and block.quote == fenced):
            lines.append("> " * fenced + "```")
            fenced = -1
        quote = "> " * block.quote
        if block.preformatted and not block.lists:
            if fenced < 0:
                lines.append(quote + "```")  # XEP-0393 section 5.1.2
                fenced = block.quote
            text = "".join([run.text for run in with_links(block)])
            lines.extend(quote + line for line in text.strip("\n").split("\n"))
            continue
        numbers = numbers[: len(block.lists)] + [0] * (len(block.lists) - len(numbers))
        head = ""
        if block.lists:
            numbers[-1] += 1
            mark = f"{numbers[-1]}." if block.lists[-1] == "ol" else "•"
            head = "  " * (len(block.lists) - 1) + mark + " "
        for number, line in enumerate(_lines(block)):
            lines.append(quote + (" " * len(head) if number else head) + _marked(line))
    if fenced >= 0:
        lines.append("> " * fenced + "```")
    return "\n".join(lines)


def _lines(block: Block) -> list[list[Run]]:
    """The runs of each line."""
    lines: list[list[Run]] = [[]]
    for run in with_links(block):
        for number, piece in enumerate(run.text.split("\n")):
            if number:
                lines.append([])
            if piece:
                lines[-1].append(Run(piece, run.style))
    return lines


def _marked(runs: list[Run]) -> str:
    parts: list[str] = []
    before = ""
    for run in runs:
        words = run.text.strip(" ")
        leading = run.text[: len(run.text) - len(run.text.lstrip(" "))]
        trailing = run.text[len(leading) + len(words) :]
        before = leading[-1:] or before
        marks = _marks(run.style) if words and before in ("", " ") else ""
        if any(mark in words for mark in marks):
            marks = ""
        shown = leading + marks + words + marks[::-1] + trailing
        parts.append(shown)
        before = shown[-1:] or before
    return "".join(parts)


def _marks(style: Style) -> str:
    if style.code:
        return "`"  # nothing inside is looked at
    marks = (("*", style.bold), ("_", style.italic), ("~", style.strike))
    return "".join(mark for mark, on in marks if on)
