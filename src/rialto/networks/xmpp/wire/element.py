"""An XML element in memory, and how it is written.

A name is the local name alone where the element is in the stream's content namespace (`message`, `body`:
`jabber:server` on one stream, `jabber:component:accept` on another), so that what stands above the stream
need not care which it was; any other name is `namespace}local`, Clark's notation without its first brace, as
expat gives it (`}local` for an element in no namespace). Attribute names: local, or `namespace}local`.

Writing never fails and never writes what XML 1.0 forbids: a character that may not stand in a document
becomes U+FFFD (CHECKLIST MSG-29).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Final

from rialto.networks.xmpp.wire.namespaces import SERVER, XML

XML_LANG: Final = f"{XML}}}lang"

# XML 1.0 section 2.2: Char. Everything else must not be written, not even as a reference.
_ILLEGAL: Final = re.compile("[^\\t\\n\\r\\u0020-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")
_MARKUP: Final = re.compile("[&<>\\r]")
_ATTRIBUTE_MARKUP: Final = re.compile("[&<>\"'\\t\\n\\r]")
_REFERENCES: Final = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
    "'": "&apos;",
    "\t": "&#9;",
    "\n": "&#10;",
    "\r": "&#13;",  # a bare CR would be read back as LF (XML 1.0 section 2.11)
}


def _reference(match: re.Match[str]) -> str:
    return _REFERENCES[match[0]]


def legal(text: str) -> str:
    """`text` with every character that XML 1.0 cannot carry replaced by U+FFFD."""
    # isprintable() runs in C and holds for nearly every text; what it refuses is only looked at more closely.
    return text if text.isprintable() else _ILLEGAL.sub("\ufffd", text)


def escape(text: str) -> str:
    """`text` as character data."""
    if not text.isprintable():
        text = _ILLEGAL.sub("\ufffd", text)
    elif "<" not in text and "&" not in text and ">" not in text:
        return text
    return _MARKUP.sub(_reference, text)


def escape_attribute(text: str) -> str:
    """`text` as an attribute value, between quotes of either kind."""
    if not text.isprintable():
        text = _ILLEGAL.sub("\ufffd", text)
    elif "'" not in text and "&" not in text and "<" not in text and ">" not in text and '"' not in text:
        return text
    return _ATTRIBUTE_MARKUP.sub(_reference, text)


class Element:
    """A name, attributes, and what is inside, in order: elements and texts."""

    __slots__ = ("attributes", "content", "name")

    def __init__(
        self,
        name: str,
        attributes: dict[str, str] | None = None,
        content: list[Element | str] | None = None,
    ) -> None:
        self.name = name
        self.attributes: dict[str, str] = {} if attributes is None else attributes
        self.content: list[Element | str] = [] if content is None else content

    def __repr__(self) -> str:
        return f"<Element {self.name} {self.attributes.get('id', '')!r}>"  # never what people said

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Element):
            return NotImplemented
        return (self.name, self.attributes, self.content) == (other.name, other.attributes, other.content)

    __hash__ = None  # type: ignore[assignment]

    def get(self, name: str, default: str = "") -> str:
        """An attribute's value."""
        return self.attributes.get(name, default)

    @property
    def namespace(self) -> str:
        """The namespace; empty for the content namespace of the stream, and for none."""
        return self.name.rpartition("}")[0]

    @property
    def local_name(self) -> str:
        """The name without its namespace."""
        return self.name.rpartition("}")[2]

    @property
    def language(self) -> str:
        """`xml:lang` as written on this very element."""
        return self.attributes.get(XML_LANG, "")

    @property
    def text(self) -> str:
        """The texts directly inside, joined."""
        content = self.content
        if len(content) == 1 and type(content[0]) is str:
            return content[0]
        return "".join([node for node in content if type(node) is str])

    @property
    def elements(self) -> list[Element]:
        """The elements directly inside."""
        return [node for node in self.content if type(node) is Element]

    def find(self, name: str) -> Element | None:
        """The first element inside with this name."""
        for node in self.content:
            if type(node) is Element and node.name == name:
                return node
        return None

    def find_all(self, name: str) -> Iterator[Element]:
        """Every element directly inside with this name."""
        for node in self.content:
            if type(node) is Element and node.name == name:
                yield node

    def encode(self, content_namespace: str = SERVER) -> bytes:
        """The element as bytes of a stream whose root declares `content_namespace` as its default."""
        parts: list[str] = []
        _write(self, content_namespace, content_namespace, parts.append)
        return "".join(parts).encode()


@lru_cache(maxsize=2048)
def _opening(name: str, within: str, home: str) -> tuple[str, str, str]:
    """How an element named `name` begins, its local name, and the namespace that holds inside it."""
    namespace, brace, local = name.rpartition("}")
    if not brace:
        namespace = home
    if namespace == within:
        return "<" + local, local, namespace
    return f"<{local} xmlns='{escape_attribute(namespace)}'", local, namespace


def _write(element: Element, within: str, home: str, put: Callable[[str], None]) -> None:
    """Write `element`, which stands where `within` is the default namespace; `home` is the stream's."""
    tag, name, namespace = _opening(element.name, within, home)
    attributes = element.attributes
    if attributes:
        values = "".join(attributes.values())  # one look at all of them instead of one at each
        clean = values.isprintable() and not (
            "'" in values or "&" in values or "<" in values or ">" in values or '"' in values
        )
        number = 0
        for key, value in attributes.items():
            if "}" in key:
                if key == XML_LANG:
                    tag = f"{tag} xml:lang='{value if clean else escape_attribute(value)}'"
                    continue
                uri, _, key = key.rpartition("}")
                if uri == XML:
                    key = "xml:" + key
                else:
                    number += 1
                    tag = f"{tag} xmlns:a{number}='{escape_attribute(uri)}'"
                    key = f"a{number}:{key}"
            tag = f"{tag} {key}='{value if clean else escape_attribute(value)}'"
    content = element.content
    if not content:
        put(tag + "/>")
    elif len(content) == 1 and type(content[0]) is str:
        put(f"{tag}>{escape(content[0])}</{name}>")
    else:
        put(tag + ">")
        for node in content:
            if type(node) is str:
                put(escape(node))
            else:
                _write(node, namespace, home, put)  # type: ignore[arg-type]
        put(f"</{name}>")
