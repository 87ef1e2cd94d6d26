"""Reading any HTML into blocks and runs."""

from __future__ import annotations

import re
from html import unescape
from typing import Final

from msgspec.structs import replace

from rialto.model.errors import RemoteProtocolError
from rialto.model.richtext import css, html
from rialto.model.richtext.tree import PLAIN, Block, Rich, Run, Style, clean, merged

MAX_CHARACTERS: Final = 65_536
"""So long may rich text be, as it comes in."""
MAX_DEPTH: Final = 64
"""What is nested deeper keeps its words and loses its form."""
MAX_BLOCKS: Final = 4000
MAX_QUOTES: Final = 8
MAX_LISTS: Final = 6
MAX_LINK_CHARACTERS: Final = 2048

_BLANKS: Final = re.compile(r"[ \t\r\n\f]+")
_LINK: Final = re.compile(r"(?:https?|mailto|xmpp|sips?):[^\s<>\"\x00-\x20]+\Z", re.IGNORECASE)
_NBSP: Final = "\u00a0"

_BLOCKS: Final = frozenset((
    "address", "article", "aside", "blockquote", "body", "center", "dd", "div", "dl", "dt", "fieldset",
    "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "html", "li", "main",
    "nav", "ol", "p", "pre", "section", "table", "tbody", "tfoot", "thead", "tr", "ul",
))  # fmt: skip
_LISTS: Final = frozenset(("ul", "ol"))
_UNSEEN: Final = frozenset(("head", "title", "template", "noscript", "object", "select"))
_STYLES: Final[dict[str, dict[str, bool]]] = {
    "b": {"bold": True},
    "strong": {"bold": True},
    "th": {"bold": True},
    **{f"h{level}": {"bold": True} for level in range(1, 7)},
    "i": {"italic": True},
    "em": {"italic": True},
    "cite": {"italic": True},
    "dfn": {"italic": True},
    "var": {"italic": True},
    "u": {"underline": True},
    "ins": {"underline": True},
    "s": {"strike": True},
    "strike": {"strike": True},
    "del": {"strike": True},
    "code": {"code": True},
    "kbd": {"code": True},
    "samp": {"code": True},
    "tt": {"code": True},
}


def parse(source: str) -> Rich:
    """Read any HTML, well-formed or not, in time proportional to its length.

    Raises RemoteProtocolError for more than `MAX_CHARACTERS`.
    """
    if len(source) > MAX_CHARACTERS:
        raise RemoteProtocolError(
            "not-acceptable", f"formatted text of more than {MAX_CHARACTERS} characters"
        )
    reader = _Reader()
    for token in html.tokens(source):
        if isinstance(token, html.Start):
            reader.start(token)
        elif isinstance(token, html.End):
            reader.end(token.name)
        else:
            reader.text(token)
    reader.flush()
    return tuple(reader.blocks)


class _Reader:
    """Puts tokens together."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self._runs: list[Run] = []
        self._style = PLAIN
        self._stack: list[tuple[str, Style]] = []
        self._deeper = 0
        """How many elements are open that are nested too deep to be looked at."""
        self._unseen = 0
        self._quote = 0
        self._lists: list[str] = []
        self._pre = 0
        self._new_item = False

    def start(self, tag: html.Start) -> None:
        name = tag.name
        if name in html.VOID:
            self._void(tag)
            return
        if len(self._stack) >= MAX_DEPTH:
            self._deeper += 1
            return
        if name in ("p", "li") and any(one == name for one, _ in self._stack[-1:]):
            self.end(name)  # an end tag that HTML lets one omit
        if name in _BLOCKS:
            self.flush()
        self._stack.append((name, self._style))
        if name in _UNSEEN:
            self._unseen += 1
        elif name == "blockquote":
            self._quote += 1
        elif name in _LISTS:
            self._lists.append(name)
        elif name == "li":
            self._new_item = True
        elif name == "pre":
            self._pre += 1
        elif name in ("td", "th") and self._runs:
            self.text(" ")
        style = _STYLES.get(name)
        if style is not None:
            self._style = replace(self._style, **style)
        if tag.attributes:
            self._style = _dressed(self._style, tag)

    def end(self, name: str) -> None:
        if self._deeper:
            self._deeper -= 1
            return
        if all(one != name for one, _ in self._stack):
            return
        if name in _BLOCKS:
            self.flush()
        while True:
            one, style = self._stack.pop()
            self._style = style
            if one in _UNSEEN:
                self._unseen -= 1
            elif one == "blockquote":
                self.flush()
                self._quote -= 1
            elif one in _LISTS:
                self.flush()
                self._lists.pop()
            elif one == "pre":
                self.flush()
                self._pre -= 1
            if one == name:
                return

    def text(self, text: str) -> None:
        if self._unseen:
            return
        text = clean(unescape(text) if "&" in text else text)
        if not self._pre:
            text = _BLANKS.sub(" ", text)
            if text[:1] == " " and (not self._runs or self._runs[-1].text[-1] in " \n"):
                text = text[1:]
        if text:
            self._add(text)

    def flush(self) -> None:
        """The end of a block."""
        runs, self._runs = self._runs, []
        if not runs:
            return
        if not self._pre:
            last = runs[-1]
            words = last.text.removesuffix(" ").removesuffix("\n").rstrip(" ")
            if words or len(runs) > 1:
                runs[-1] = replace(last, text=words)
            else:
                runs[-1] = replace(last, text="")
        runs = [replace(run, text=run.text.replace(_NBSP, " ")) for run in runs if run.text]
        if not runs and not self.blocks:
            return
        block = Block(
            tuple(runs),
            min(self._quote, MAX_QUOTES),
            tuple(self._lists[:MAX_LISTS]),
            bool(self._pre),
        )
        before = self.blocks[-1] if self.blocks else None
        goes_on = bool(self._lists) and not self._new_item
        self._new_item = False
        if before is not None and (goes_on or len(self.blocks) >= MAX_BLOCKS) and before.lists:
            # An item's second paragraph: a line of the same item.
            joined = merged([*before.runs, Run("\n"), *runs])
            self.blocks[-1] = replace(before, runs=joined)
        elif len(self.blocks) >= MAX_BLOCKS and before is not None:
            self.blocks[-1] = replace(before, runs=merged([*before.runs, Run("\n"), *runs]))
        else:
            self.blocks.append(replace(block, runs=merged(block.runs)))

    def _void(self, tag: html.Start) -> None:
        if self._unseen:
            return
        if tag.name == "br":
            if self._runs and self._runs[-1].text.endswith(" ") and not self._pre:
                last = self._runs[-1]
                self._runs[-1] = replace(last, text=last.text[:-1] + "\n")
            else:
                self._add("\n")
        elif tag.name == "hr":
            self.flush()
        elif tag.name == "img":
            # Never fetched, and not passed on: whoever shows it would tell a stranger that it was read.
            words = " ".join(tag.attributes.get("alt", "").split())
            if words:
                self._add(clean(words))

    def _add(self, text: str) -> None:
        runs = self._runs
        if runs and runs[-1].style == self._style:
            self._runs[-1] = Run(runs[-1].text + text, self._style)
        else:
            runs.append(Run(text, self._style))


def _dressed(style: Style, tag: html.Start) -> Style:
    """The style with what an element's attributes add."""
    attributes = tag.attributes
    changes: dict[str, object] = {}
    if tag.name == "a":
        link = safe_link(attributes.get("href", ""))
        if link:
            changes["link"] = link
    elif tag.name == "font":
        changes["colour"] = css.colour(attributes.get("color", ""))
        changes["font"] = css.font(attributes.get("face", ""))
        changes["size_pt"] = css.FONT_SIZES_PT.get(attributes.get("size", ""), 0)
    for declaration in attributes.get("style", "").split(";")[:32]:
        name, _, value = declaration.partition(":")
        changes.update(css.declared(name.strip().lower(), value.strip()))
    changes = {name: value for name, value in changes.items() if value not in ("", 0) or value is False}
    return replace(style, **changes) if changes else style


def safe_link(address: str) -> str:
    """The address, if it leads to a page, a mailbox or a person; else nothing."""
    address = address.strip()
    if len(address) > MAX_LINK_CHARACTERS or not _LINK.match(address) or clean(address) != address:
        return ""
    return address
