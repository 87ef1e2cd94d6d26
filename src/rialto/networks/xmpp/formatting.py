"""The form of a text: XHTML-IM, and marks in the text (XEP-0071, XEP-0393).

XHTML-IM is what RFC 7572 section 7 asks for; most of today's clients read marks instead. So both can be
written: the body with marks, readable by everybody, and XHTML-IM beside it. What is read goes through
`rialto.model.richtext`, which lets words, emphasis, colours, lists, quotations and links through, and nothing
else: no script, no image, no style that could cover the screen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from rialto.model import richtext
from rialto.model.errors import RemoteProtocolError
from rialto.model.message import Message
from rialto.model.richtext.styling import styled
from rialto.networks.xmpp.settings import Formatting
from rialto.networks.xmpp.styling import may_have_form, read_styling
from rialto.networks.xmpp.wire.element import Element
from rialto.networks.xmpp.wire.fragment import read_fragment
from rialto.networks.xmpp.wire.namespaces import STYLING, XHTML, XHTML_IM

__all__ = ["ELEMENTS", "may_have_form", "read_form", "write_form"]

_HTML: Final = f"{XHTML_IM}}}html"
_BODY: Final = f"{XHTML}}}body"
_UNSTYLED: Final = f"{STYLING}}}unstyled"
ELEMENTS: Final = frozenset({_HTML, _UNSTYLED})
"""What in a stanza is about form."""


def read_form(message: Message, elements: Sequence[Element], *, styling: bool) -> Message:
    """`message` with its form, if it has any."""
    for element in elements:
        if element.name == _HTML and (body := element.find(_BODY)) is not None:
            source = body.encode(XHTML).decode()
            try:
                rich = richtext.sanitise(source)
                text = message.text or richtext.plain(source)
            except RemoteProtocolError:
                continue  # so long that only its words count
            return replace(message, text=text, rich=rich)
    if not styling or not may_have_form(message.text) or any(one.name == _UNSTYLED for one in elements):
        return message
    blocks = read_styling(message.text)
    return replace(message, rich=richtext.write(blocks)) if richtext.has_form(blocks) else message


def write_form(message: Message, how: Formatting) -> tuple[str, list[Element | str]]:
    """(the text to write, the elements behind it)."""
    text, elements = message.text, list[Element | str]()
    if not message.rich or how == "plain":
        return text, elements
    if how != "xhtml":
        text = _with_marks(message)
    if how != "styling":
        body = read_fragment(f"<body xmlns='{XHTML}'>{message.rich}</body>".encode())
        if body is not None:
            elements.append(Element(_HTML, {}, [body]))
    return text, elements


def _with_marks(message: Message) -> str:
    """The text as it was, where its own marks already say what its form is."""
    if may_have_form(message.text) and richtext.write(read_styling(message.text)) == message.rich:
        return message.text
    try:
        return styled(message.rich)
    except RemoteProtocolError:
        return message.text
