"""What a message stanza may carry besides its words, and in which order that is read and written.

| element | field | where |
|---|---|---|
| OMEMO, OpenPGP, OTR, `<encryption/>` | `sealed` | `sealed` |
| `<replace/>`, `<retract/>`, `<reactions/>`, `<reply/>`, `<fallback/>` | `relation` | `relations` |
| `<html/>`, marks in the text | `rich` | `formatting` |
| `<x/>` of XEP-0066, `<file-sharing/>`, `<reference/>` | `files` | `attachments` |
| `<nick/>` | `nick` | here; written by `translate` |
| `<forwarded/>` | quoted in the text | here |

A sealed message is not looked into any further: whatever stands beside the payload is for those who cannot
open it, but that it corrects an earlier one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from rialto.model.errors import AddressError
from rialto.model.face import tidy_name
from rialto.model.message import Message, RelationKind
from rialto.networks.xmpp import attachments, formatting, relations, sealed
from rialto.networks.xmpp.settings import Formatting
from rialto.networks.xmpp.wire import jid
from rialto.networks.xmpp.wire.element import Element
from rialto.networks.xmpp.wire.namespaces import FORWARD, NICK

NICK_ELEMENT: Final = f"{NICK}}}nick"
_FORWARDED: Final = f"{FORWARD}}}forwarded"

ELEMENTS: Final = (
    sealed.ELEMENTS
    | relations.ELEMENTS
    | formatting.ELEMENTS
    | attachments.ELEMENTS
    | frozenset({NICK_ELEMENT, _FORWARDED})
)
"""The elements that are read here."""


def read(message: Message, stanza: Element, elements: Sequence[Element], styling: bool) -> Message | None:
    """`message` with all that the elements say; None where nobody says anything."""
    names = {element.name for element in elements}
    if names & sealed.ELEMENTS:
        opened = sealed.read_sealed(message, elements, stanza)
        if opened is None:
            return None
        if opened.sealed:
            return relations.read_correction(opened, elements)
    if message.text.startswith(sealed.OTR_BEGINS):
        return sealed.read_otr(message)
    if NICK_ELEMENT in names:
        message = replace(message, nick=_nick(elements))
    if _FORWARDED in names:
        message = replace(message, text=_with_forwarded(message.text, elements))
    # Bounds count in the body as it was written: what stands at its end goes first.
    if names & attachments.ELEMENTS:
        message = attachments.read_files(message, elements)
    if names & relations.ELEMENTS:
        message = relations.read_relation(message, elements)
    if styling or names & formatting.ELEMENTS:
        message = formatting.read_form(message, elements, styling=styling)
    spoken = message.text or (message.relation is not None and message.relation.kind in _WORDLESS)
    return message if spoken else None


_WORDLESS: Final = frozenset({RelationKind.RETRACT, RelationKind.REACT})


def _nick(elements: Sequence[Element]) -> str:
    return next((tidy_name(element.text) for element in elements if element.name == NICK_ELEMENT), "")


def _with_forwarded(text: str, elements: Sequence[Element]) -> str:
    """The words, and below them what somebody else is said to have said (XEP-0297 section 5).

    It is a quotation, and nobody's word but the sender's own.
    """
    parts = [text] if text else []
    for element in elements:
        message = element.find("message") or element.find("jabber:client}message")
        if element.name != _FORWARDED or message is None:
            continue
        body = message.find("body") or message.find("jabber:client}body")
        if body is None or not body.text:
            continue
        try:
            who = f"{jid.parse(message.get('from')).bare}:\n"
        except AddressError:
            who = ""
        parts.append("\n".join(f"> {line}" for line in f"{who}{body.text}".split("\n")))
    return "\n".join(parts)


def write(message: Message, attributes: dict[str, str], how: Formatting) -> tuple[str, list[Element | str]]:
    """(the text to write, the elements behind it). Raises Refused for what XMPP cannot carry."""
    if message.sealed:
        text, elements = sealed.write_sealed(message)
        if message.relation is not None and message.relation.kind is RelationKind.REPLACE:
            elements += relations.write_relation(message, text)[1]
        return text, elements
    text, elements = formatting.write_form(message, how)
    if message.relation is not None:
        text, about = relations.write_relation(message, text)
        elements += about
        if message.relation.kind is RelationKind.REACT:
            attributes["type"] = attributes.get("type", "chat")  # XEP-0444 section 4
    if message.files:
        text, about = attachments.write_files(message.files, text)
        elements += about
    return text, elements
