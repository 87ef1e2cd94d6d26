"""Writing blocks and runs as canonical XHTML, and only that."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Final

from rialto.model.richtext.tree import Block, Rich, Style, clean

_NBSP: Final = "\u00a0"


def write(blocks: Rich) -> str:
    """Canonical XHTML: what `parse` reads back the same."""
    parts: list[str] = []
    quote = 0
    lists: tuple[str, ...] = ()
    for block in blocks:
        if block.quote != quote:
            parts.extend(_lists_between(lists, (), False))
            lists = ()
        parts.append("<blockquote>" * (block.quote - quote) + "</blockquote>" * (quote - block.quote))
        quote = block.quote
        parts.extend(_lists_between(lists, block.lists, True))
        lists = block.lists
        content = _inside(block)
        if lists:
            parts.append(content if not block.preformatted else f"<pre>{content}</pre>")
        elif block.preformatted:
            parts.append(f"<pre>{content}</pre>")
        else:
            parts.append(f"<p>{content or '<br/>'}</p>")
    parts.extend(_lists_between(lists, (), False))
    parts.append("</blockquote>" * quote)
    return "".join(parts)


def _lists_between(old: tuple[str, ...], new: tuple[str, ...], item: bool) -> Iterable[str]:
    """The tags between an item of `old` and one of `new`, whose `<li>` is opened if there is one."""
    same = 0
    while same < min(len(old), len(new)) and old[same] == new[same]:
        same += 1
    for name in reversed(old[same:]):
        yield f"</li></{name}>"
    if same == len(new) and same and item:
        yield "</li><li>"  # the next item of the same list
    for name in new[same:]:
        yield f"<{name}><li>"


def _inside(block: Block) -> str:
    parts: list[str] = []
    after_space = True
    link = ""
    runs = block.runs
    for number, run in enumerate(runs):
        if run.style.link != link:
            parts.append("</a>" * bool(link))
            link = run.style.link
            if link:
                parts.append(f'<a href="{escape(link)}">')
        text = clean(run.text)
        if not block.preformatted:
            text, after_space = _spaced(text, after_space, last=number == len(runs) - 1)
        opening, closing = _tags(run.style)
        shown = escape(text, quote=False)
        if not block.preformatted:
            shown = shown.replace("\n", "<br/>")
        parts.append(f"{opening}{shown}{closing}")
    parts.append("</a>" * bool(link))
    return "".join(parts)


def _spaced(text: str, after_space: bool, *, last: bool) -> tuple[str, bool]:
    """The text with such spaces made hard as HTML would swallow; and whether it ends in a soft one."""
    text = text.replace("\t", " ").replace(_NBSP, " ")
    if "  " in text or " \n" in text or "\n " in text or text[:1] == " " or text[-1:] == " ":
        spaced: list[str] = []
        for number, character in enumerate(text):
            if character == " " and (
                after_space or text[number + 1 : number + 2] == "\n" or (last and number == len(text) - 1)
            ):
                character = _NBSP
            after_space = character in " \n"
            spaced.append(character)
        return "".join(spaced), after_space
    return text, text[-1:] == "\n" if text else after_space


def _tags(style: Style) -> tuple[str, str]:
    """What stands around a run, but for the link."""
    declarations = []
    if style.colour:
        declarations.append(f"color:{style.colour}")
    if style.font:
        declarations.append(f"font-family:{style.font}")
    if style.size_pt:
        declarations.append(f"font-size:{style.size_pt}pt")
    drawn = [name for name, on in (("underline", style.underline), ("line-through", style.strike)) if on]
    if drawn:
        declarations.append(f"text-decoration:{' '.join(drawn)}")
    opening = f'<span style="{";".join(declarations)}">' if declarations else ""
    closing = "</span>" if declarations else ""
    for on, name in ((style.bold, "strong"), (style.italic, "em"), (style.code, "code")):
        if on:
            opening, closing = f"{opening}<{name}>", f"</{name}>{closing}"
    return opening, closing
