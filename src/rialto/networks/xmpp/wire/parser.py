"""Bytes of a stream into its header, its stanzas and its end; everything XMPP forbids is refused where it
begins.

Theory of operation. One expat parser reads one stream, in slices. A DTD, an entity, a processing
instruction or a comment ends the stream at that byte (RFC 6120 section 11.1), so nothing is ever expanded.
How deep, how wide and how long a stanza may be is checked while it is being read: after each slice, what has
been read of an unfinished stanza is measured, so a stanza of any size costs us no more than the limit and a
slice.

Two things in expat grow for as long as a parser lives: its tables of names, and pyexpat's interning of
them. A peer that invents names could fill memory, so after `renew_after_bytes` the parser is replaced by a
fresh one, primed with the same stream header, at the next boundary between two stanzas.

Where a stream begins anew (after SASL), a peer may still have said something in the old one before it heard
so. `expect_restart` reads on in the old one, tag by tag, until a stanza is whole and the next tag is a stream
header; that and what follows goes to a fresh parser, because XML knows no second declaration in a document.
"""

from __future__ import annotations

import re
from collections import deque
from typing import Final, NamedTuple
from xml.parsers import expat

from rialto.networks.xmpp.wire.element import Element, escape_attribute
from rialto.networks.xmpp.wire.namespaces import STREAMS

_STREAM: Final = f"{STREAMS}}}stream"
_SLICE_BYTES: Final = 16 * 1024


class StreamRule(Exception):
    """The peer broke a rule of streams: `condition` is a stream error condition."""

    def __init__(self, condition: str, text: str = "") -> None:
        self.condition = condition
        self.text = text
        super().__init__(f"{condition}: {text}")


class Limits(NamedTuple):
    """What one stanza may cost. RFC 6120 section 13.12 asks for at least 10,000 bytes."""

    max_bytes: int = 256 * 1024
    max_depth: int = 64
    max_elements: int = 5_000
    max_attributes: int = 64
    renew_after_bytes: int = 8 * 1024 * 1024


class Header(NamedTuple):
    """A stream header: its attributes, the content namespace, and the prefixes declared on it."""

    attributes: dict[str, str]
    content_namespace: str
    prefixes: dict[str, str]


class End(NamedTuple):
    """The closing tag of the stream."""


class StreamParser:
    """Reads one stream; a restarted stream (after TLS or SASL) is a new one, save for `expect_restart`.

    `feed` takes bytes and `items` gives what they made, oldest first: a `Header`, then `Element`s, then
    `End`. `feed` raises `StreamRule` once, after the items that came before the fault.
    """

    def __init__(self, limits: Limits = Limits()) -> None:  # noqa: B008 - immutable
        self.items: deque[Header | Element | End] = deque()
        self._limits = limits
        self._header: Header | None = None
        self._ended = False
        self._fed = 0
        self._total = 0
        self._start = 0  # where the stanza being read began
        self._depth = 0
        self._in_pieces = False  # a text arrived in several pieces
        self._elements = 0
        self._stack: list[list[Element | str]] = []
        self._home = ""
        self._prefixes: dict[str, str] = {}
        self._tag: bytes | None = None  # while a new header may come: the tag of which the end is awaited
        self._begin()

    def feed(self, data: bytes) -> None:
        """Read `data`. Raises `StreamRule`."""
        if self._tag is not None:
            data = self._read_to_header(data)
        elif self._total > self._limits.renew_after_bytes and self._header is not None and not self._ended:
            data = self._renew(data)
        if len(data) <= _SLICE_BYTES:
            self._parse(data)
        else:
            view = memoryview(data)
            for start in range(0, len(data), _SLICE_BYTES):
                self._parse(view[start : start + _SLICE_BYTES])

    def expect_restart(self) -> None:
        """A new header will come, and stanzas of the stream so far may come before it."""
        self._tag = b""

    @property
    def unread(self) -> bool:
        """Whether more than whitespace has come behind the last item."""
        return self._depth > 1 or self._parser.CurrentByteIndex != self._fed

    # -- expat -----------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Await a header, at the beginning of a document."""
        self._header = None
        self._prefixes = {}
        self._fed = self._total = 0
        self._depth = 0
        self._parser = self._fresh()
        self._parser.XmlDeclHandler = self._on_declaration
        self._parser.StartNamespaceDeclHandler = self._on_namespace
        self._parser.StartElementHandler = self._on_header

    def _fresh(self) -> expat.XMLParserType:
        parser = expat.ParserCreate("UTF-8", "}")  # RFC 6120 section 11.6: UTF-8, whatever is declared
        parser.buffer_text = True
        # A token in several pieces is to be seen when it is complete, not when more has come (expat >= 2.6).
        if hasattr(parser, "SetReparseDeferralEnabled"):
            parser.SetReparseDeferralEnabled(False)
        parser.StartDoctypeDeclHandler = self._forbidden_doctype
        parser.EntityDeclHandler = self._forbidden_entity
        parser.ProcessingInstructionHandler = self._forbidden
        parser.CommentHandler = self._forbidden
        return parser

    def _parse(self, data: bytes | memoryview) -> None:
        if self._ended:
            return  # RFC 6120 section 4.4: nothing after the closing tag matters
        self._fed += len(data)
        self._total += len(data)
        try:
            self._parser.Parse(data, False)
        except expat.ExpatError as error:
            # expat names an undeclared entity by a syntax error of its own; to XMPP it is restricted-xml.
            if error.code in _ENTITY_ERRORS:
                raise StreamRule("restricted-xml", "entity references are not allowed") from None
            raise StreamRule("not-well-formed", expat.ErrorString(error.code)) from None
        except UnicodeDecodeError:
            raise StreamRule("not-well-formed", "not UTF-8") from None
        pending_from = self._start if self._depth > 1 else self._parser.CurrentByteIndex
        if self._fed - pending_from > self._limits.max_bytes:
            raise StreamRule("policy-violation", f"a stanza may have {self._limits.max_bytes} bytes")

    @property
    def _between_stanzas(self) -> bool:
        return self._depth == 1 and self._parser.CurrentByteIndex == self._fed

    def _read_to_header(self, data: bytes) -> bytes:
        """Read tag by tag what comes before the new header; the bytes from that on."""
        assert self._tag is not None
        data = self._tag + data
        self._tag = b""
        while data and not self._ended:
            if self._between_stanzas:
                data = data.lstrip()
                tag, closed, _ = data.partition(b">")
                if not closed:
                    if len(data) > self._limits.max_bytes:
                        raise StreamRule("policy-violation", f"a tag of over {self._limits.max_bytes} bytes")
                    self._tag = data
                    return b""
                if _HEADER.match(tag + closed):
                    self._tag = None
                    self._begin()
                    return data
            cut = data.find(b">") + 1 or len(data)
            self._parse(data[:cut])
            data = data[cut:]
        return b""

    def _renew(self, data: bytes) -> bytes:
        """Replace the parser at the next boundary between stanzas; the bytes still to be read."""
        while True:
            if self._between_stanzas:
                break
            cut = data.find(b">") + 1
            if not cut:
                return data
            self._parse(data[:cut])
            data = data[cut:]
            if self._ended:
                return b""
        assert self._header is not None
        self._parser = self._fresh()
        self._fed = self._total = 0
        self._depth = 1
        self._parser.Parse(_primer(self._header), False)
        self._fed = self._parser.CurrentByteIndex
        self._read_stanzas()
        return data

    # -- the header ------------------------------------------------------------------------------------

    def _on_declaration(self, version: str, encoding: str | None, _standalone: int) -> None:
        if encoding is not None and encoding.upper() not in {"UTF-8", "UTF8"}:
            raise StreamRule("unsupported-encoding", "UTF-8 only")  # RFC 6120 section 11.6

    def _on_namespace(self, prefix: str | None, uri: str | None) -> None:
        if self._header is None:
            self._prefixes[prefix or ""] = uri or ""

    def _on_header(self, name: str, attributes: dict[str, str]) -> None:
        if name != _STREAM:
            if name.rpartition("}")[2] == "stream":
                raise StreamRule("invalid-namespace", f"a stream is in {STREAMS}")
            raise StreamRule("bad-format", "a stream begins with <stream:stream>")
        if len(attributes) > self._limits.max_attributes:
            raise StreamRule("policy-violation", "too many attributes")
        self._home = self._prefixes.get("", "")
        self._header = Header(attributes, self._home, self._prefixes)
        self.items.append(self._header)
        self._depth = 1
        self._parser.StartNamespaceDeclHandler = None
        self._read_stanzas()

    # -- stanzas ---------------------------------------------------------------------------------------

    def _read_stanzas(self) -> None:
        """Set the handlers that build stanzas; closures, because they run for every tag of the day."""
        parser = self._parser
        limits = self._limits
        max_depth, max_elements, max_attributes = limits.max_depth, limits.max_elements, limits.max_attributes
        home = self._home + "}"
        home_length = len(home)
        stack: list[list[Element | str]] = []
        self._stack = stack
        push, pop = stack.append, stack.pop
        items = self.items

        def start(name: str, attributes: dict[str, str]) -> None:
            if name.startswith(home):
                name = name[home_length:]
            elif "}" not in name:
                name = "}" + name
            if len(attributes) > max_attributes:
                raise StreamRule("policy-violation", f"an element may have {max_attributes} attributes")
            element = Element(name, attributes)
            if stack:
                stack[-1].append(element)
                self._elements += 1
                if len(stack) >= max_depth or self._elements > max_elements:
                    raise StreamRule("policy-violation", "a stanza too deep or with too many elements")
            else:
                self._start = parser.CurrentByteIndex
                self._elements = 1
                self._depth = 2
                self._stanza = element
            push(element.content)

        def end(_name: str) -> None:
            if not stack:
                self._ended = True
                self._depth = 0
                items.append(_END)
                return
            pop()
            if not stack:
                self._depth = 1
                if parser.CurrentByteIndex - self._start > limits.max_bytes:
                    raise StreamRule("policy-violation", f"a stanza may have {limits.max_bytes} bytes")
                if self._in_pieces:
                    _join(self._stanza)
                    self._in_pieces = False
                items.append(self._stanza)

        def text(data: str) -> None:
            if stack:
                content = stack[-1]
                if content and type(content[-1]) is str:
                    self._in_pieces = True
                content.append(data)
            elif not data.isspace():
                raise StreamRule("bad-format", "text between stanzas")  # only whitespace: section 4.6.1

        parser.StartElementHandler = start
        parser.EndElementHandler = end
        parser.CharacterDataHandler = text

    # -- what is forbidden -----------------------------------------------------------------------------

    def _forbidden_doctype(self, *_: object) -> None:
        raise StreamRule("restricted-xml", "no document type declarations")

    def _forbidden_entity(self, *_: object) -> None:
        raise StreamRule("restricted-xml", "no entity declarations")

    def _forbidden(self, *_: object) -> None:
        raise StreamRule("restricted-xml", "no comments and no processing instructions")


_END: Final = End()

_HEADER: Final = re.compile(rb"<(\?xml\s|([^\s:/>]+:)?stream[\s/>])")
"""How a new document begins: by its declaration, or at once by the header."""


def _join(element: Element) -> None:
    """Make one text of neighbouring ones; once for a stanza, so that no way of cutting it is costly."""
    content: list[Element | str] = []
    pieces: list[str] = []
    for node in element.content:
        if type(node) is str:
            pieces.append(node)
            continue
        if pieces:
            content.append("".join(pieces))
            pieces.clear()
        content.append(node)
        _join(node)  # type: ignore[arg-type]
    if pieces:
        content.append("".join(pieces))
    element.content[:] = content


_ENTITY_ERRORS: Final = {
    expat.errors.codes[expat.errors.XML_ERROR_UNDEFINED_ENTITY],
    expat.errors.codes[expat.errors.XML_ERROR_RECURSIVE_ENTITY_REF],
    expat.errors.codes[expat.errors.XML_ERROR_PARAM_ENTITY_REF],
}


def _primer(header: Header) -> bytes:
    """A stream header that declares what the real one declared, with the same prefix on its name."""
    declared = "".join(
        f" xmlns{':' if prefix else ''}{prefix}='{escape_attribute(uri)}'"
        for prefix, uri in header.prefixes.items()
    )
    prefixes = [prefix for prefix, uri in header.prefixes.items() if uri == STREAMS]
    prefix = "stream" if "stream" in prefixes else prefixes[0]
    return f"<{prefix}{':' if prefix else ''}stream{declared}>".encode()
