"""One XML document from somebody who is not believed, as a small tree.

For the documents that travel inside other protocols (PIDF and its kin); streams have a parser of their own.
A DTD, and with it every entity, ends the reading at that byte; how deep, how wide and how long a document may
be is bounded. Comments and processing instructions are passed over: they mean nothing to whoever reads data.
"""

from __future__ import annotations

import re
from typing import Final
from xml.parsers import expat

XML_LANG: Final = "http://www.w3.org/XML/1998/namespace}lang"

MAX_DEPTH: Final = 32
MAX_ELEMENTS: Final = 2_000
MAX_BYTES: Final = 65_536

_ENCODINGS: Final = {"utf8": "utf-8", "latin1": "iso-8859-1", "ascii": "us-ascii"}
_KNOWN: Final = frozenset({"utf-8", "utf-16", "iso-8859-1", "us-ascii"})
_ILLEGAL: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_REFERENCES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\r": "&#13;"}
_MARKUP: Final = re.compile('[&<>"\r]')


class XmlError(ValueError):
    """What cannot be read, or is more than anybody needs."""


class Node:
    """An element: `name` as `namespace}local` (or `local`), its attributes, the elements inside, its text."""

    __slots__ = ("attributes", "children", "name", "text")

    def __init__(self, name: str, attributes: dict[str, str]) -> None:
        self.name = name
        self.attributes = attributes
        self.children: list[Node] = []
        self.text = ""

    def __repr__(self) -> str:
        return f"<Node {self.name}>"  # never what people said

    def find(self, name: str) -> Node | None:
        """The first element directly inside with this name."""
        return next((child for child in self.children if child.name == name), None)

    def find_all(self, name: str) -> list[Node]:
        """Every element directly inside with this name."""
        return [child for child in self.children if child.name == name]


Scope = dict[str, str]
"""Prefix -> namespace, as declared around an element; the default namespace is under ""."""


def read_document(
    data: bytes,
    charset: str = "",
    *,
    max_bytes: int = MAX_BYTES,
    scopes: dict[Node, Scope] | None = None,
) -> Node:
    """The root of a document; `charset` is what its carrier said, which wins over the document's own word.

    `scopes` is filled with the scope of each element. Raises XmlError, with a text that repeats nothing of
    the document.
    """
    if len(data) > max_bytes:
        raise XmlError(f"more than {max_bytes} bytes")
    name = charset.strip("\"' ").lower()
    name = _ENCODINGS.get(name, name)
    if name and name not in _KNOWN:
        raise XmlError("an encoding that is not read here")
    parser = expat.ParserCreate(name or None, namespace_separator="}")
    parser.buffer_text = True
    root: list[Node] = []
    open_: list[Node] = []
    declared: Scope = {}
    count = 0

    def started(tag: str, attributes: dict[str, str]) -> None:
        nonlocal count
        count += 1
        if count > MAX_ELEMENTS or len(open_) >= MAX_DEPTH:
            raise XmlError("too many elements, or too deep")
        node = Node(tag, attributes)
        (open_[-1].children if open_ else root).append(node)
        open_.append(node)
        if scopes is not None:
            around = scopes[open_[-2]] if len(open_) > 1 else {}
            scopes[node] = {**around, **declared} if declared else around
            declared.clear()

    def named(prefix: str | None, uri: str | None) -> None:
        declared[prefix or ""] = uri or ""

    def ended(tag: str) -> None:
        open_.pop()

    def said(text: str) -> None:
        open_[-1].text += text

    def refused(*_: object) -> None:
        raise XmlError("a document type declaration")

    parser.StartElementHandler = started
    parser.EndElementHandler = ended
    if scopes is not None:
        parser.StartNamespaceDeclHandler = named
    parser.CharacterDataHandler = said
    parser.StartDoctypeDeclHandler = refused
    parser.EntityDeclHandler = refused
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise XmlError(expat.ErrorString(error.code)) from None
    except XmlError:
        raise
    except (ValueError, LookupError):
        raise XmlError("an encoding that is not read here") from None
    return root[0]


def escape(text: str) -> str:
    """A text as character data or as an attribute in double quotes; what XML cannot carry becomes U+FFFD."""
    if not text.isprintable():
        text = _ILLEGAL.sub("\ufffd", text)
    return _MARKUP.sub(lambda found: _REFERENCES[found[0]], text)
