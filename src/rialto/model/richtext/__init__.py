"""Text with form: the small model between all the ways in which networks write bold, links and colours.

A rich text is a sequence of blocks (paragraphs, list items, preformatted text), each a sequence of runs of
one style (`tree`). Whatever comes from outside is read into this (`read`) and written anew from it
(`write`), so that nothing can get through that is not in the model: no script, no image, no link but to a
page, a mailbox or a person. What form cannot be kept is dropped; words never are.

In a message it stands as canonical XHTML, which is also valid XHTML-IM (XEP-0071): the blocks, one after the
other, without anything around them. `sanitise` makes it of any HTML.
"""

from __future__ import annotations

from html import escape

from rialto.model.richtext.read import MAX_CHARACTERS, parse, safe_link
from rialto.model.richtext.tree import Block, Rich, Run, Style, has_form, paragraphs, words
from rialto.model.richtext.write import write

__all__ = [
    "MAX_CHARACTERS", "Block", "Rich", "Run", "Style", "document", "framed", "has_form", "paragraphs",
    "parse", "plain", "safe_link", "sanitise", "words", "write",
]  # fmt: skip


def sanitise(source: str) -> str:
    """Canonical XHTML of any HTML; empty where there is no form in it, only words.

    Raises RemoteProtocolError for more than `MAX_CHARACTERS`.
    """
    blocks = parse(source)
    return write(blocks) if has_form(blocks) else ""


def plain(rich: str) -> str:
    """The words of canonical XHTML (or any HTML), as they are written where there is no form at all."""
    return words(parse(rich))


def framed(rich: str, before: str = "", after: str = "") -> str:
    """Canonical XHTML with words before and after it; empty where it was."""
    if not rich:
        return ""
    opening = write(paragraphs(before)) if before else ""
    return opening + rich + (write(paragraphs(after)) if after else "")


def document(rich: str, language: str = "") -> str:
    """A whole `text/html` document with that in it."""
    spoken = f' lang="{escape(language)}"' if language else ""
    return f"<!DOCTYPE html><html{spoken}><head><title></title></head><body>{rich}</body></html>"
