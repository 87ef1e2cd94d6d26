"""How a message belongs to an earlier one: corrections, retractions, reactions, replies (XEP-0308, XEP-0424,
XEP-0444, XEP-0461), and the words that stand in for them (XEP-0428).

A client writes such a stanza twice: as elements, and as words for clients that do not know those. The words
go on the way in, because the other side gets its own (`rialto.core.adapt`), and come back on the way out.
Where the elements cannot be believed (no target, a correction without text) the words alone count.

An earlier message goes by the `id` of its stanza (XEP-0308 section 4, XEP-0424 section 5.1), or by its
`<origin-id/>` (XEP-0444, XEP-0461), which clients make the same.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from rialto.model.address import Address
from rialto.model.message import Message, Relation, RelationKind
from rialto.networks.xmpp.wire import jid
from rialto.networks.xmpp.wire.element import Element
from rialto.networks.xmpp.wire.namespaces import (
    CORRECTION,
    FALLBACK,
    FASTEN,
    HINTS,
    REACTIONS,
    REPLY,
    RETRACTION,
    RETRACTION_OF_OLD,
)

MAX_REACTIONS: Final = 20
MAX_REACTION_CHARACTERS: Final = 32
"""A family of emoji with joiners and skin tones has fewer."""
MAX_TARGET_CHARACTERS: Final = 256
MAX_REGIONS: Final = 16
"""So many stretches of a text may stand in for one thing."""

_REPLACE: Final = f"{CORRECTION}}}replace"
_RETRACT: Final = f"{RETRACTION}}}retract"
_RETRACT_OF_OLD: Final = f"{RETRACTION_OF_OLD}}}retract"
_FASTENED: Final = f"{FASTEN}}}apply-to"
_REACTIONS: Final = f"{REACTIONS}}}reactions"
_REACTION: Final = f"{REACTIONS}}}reaction"
_REPLY: Final = f"{REPLY}}}reply"
FALLBACK_ELEMENT: Final = f"{FALLBACK}}}fallback"
_REGION: Final = f"{FALLBACK}}}body"
_STORE: Final = f"{HINTS}}}store"

ELEMENTS: Final = frozenset({_REPLACE, _RETRACT, _FASTENED, _REACTIONS, _REPLY, FALLBACK_ELEMENT})
"""What in a stanza is about an earlier message."""

_WHOSE_WORDS: Final = re.compile(r"> *(\S.{0,79}?) (?:wrote|said):\n(?=>)")
_TAKEN_BACK: Final = "(An earlier message was retracted.)"


def read_relation(message: Message, elements: Sequence[Element]) -> Message:
    """`message` with what the elements say of an earlier one; as it is where they say nothing."""
    found = {element.name: element for element in elements}
    if (element := found.get(_REACTIONS)) is not None and (target := _target(element)):
        text = without_fallback(message.text, elements, REACTIONS)
        if not text.strip():
            relation = Relation(kind=RelationKind.REACT, target=target, reactions=_reactions(element))
            return replace(message, text="", relation=relation)
        # Words of the sender's own: they answer, and must not be lost for a symbol.
        return replace(message, text=text, relation=Relation(kind=RelationKind.REPLY, target=target))
    if target := _retracted(found):
        return replace(message, text="", relation=Relation(kind=RelationKind.RETRACT, target=target))
    if message.text and _REPLACE in found:
        return read_correction(message, elements)
    if (element := found.get(_REPLY)) is not None and (target := _target(element)):
        return _read_reply(message, elements, target)
    return message


def read_correction(message: Message, elements: Sequence[Element]) -> Message:
    """The same for corrections alone, which are the only thing to stand beside a sealed payload."""
    for element in elements:
        if element.name == _REPLACE and (target := _target(element)):
            return replace(message, relation=Relation(kind=RelationKind.REPLACE, target=target))
    return message


def _read_reply(message: Message, elements: Sequence[Element], target: str) -> Message:
    text = without_fallback(message.text, elements, REPLY)
    quote, quoted = "", ""
    if not text.strip() and message.files:
        quote, quoted = _quotation(message.text)
        text = "\n".join(file.url for file in message.files)
    elif not text.strip():  # all of it is marked as a quotation: then it is what was said
        return replace(message, relation=Relation(kind=RelationKind.REPLY, target=target))
    elif len(text) < len(message.text) and message.text.endswith(text):
        quote, quoted = _quotation(message.text[: -len(text)])
    relation = Relation(kind=RelationKind.REPLY, target=target, quote=quote, quoted=quoted)
    return replace(message, text=text, relation=relation)


def _quotation(words: str) -> tuple[str, str]:
    """(what was quoted, who said it) of the lines with `>` in front."""
    quoted = ""
    if (match := _WHOSE_WORDS.match(words)) is not None:
        quoted, words = match[1], words[match.end() :]
    lines = [line.removeprefix(">").removeprefix(" ") for line in words.strip("\n").split("\n")]
    return "\n".join(lines).strip(), quoted


def _target(element: Element) -> str:
    target = element.attributes.get("id", "")
    return target if len(target) <= MAX_TARGET_CHARACTERS else ""


def _retracted(found: dict[str, Element]) -> str:
    if (element := found.get(_RETRACT)) is not None:
        return _target(element)
    if (element := found.get(_FASTENED)) is not None and element.find(_RETRACT_OF_OLD) is not None:
        return _target(element)
    return ""


def _reactions(element: Element) -> tuple[str, ...]:
    """XEP-0444 section 4: each once; what is no symbol may be ignored."""
    symbols = dict.fromkeys(one.text.strip() for one in element.find_all(_REACTION))
    kept = [one for one in symbols if one and len(one) <= MAX_REACTION_CHARACTERS and "\n" not in one]
    return tuple(kept[:MAX_REACTIONS])


def without_fallback(text: str, elements: Sequence[Element], instead_of: str) -> str:
    """`text` without the words that stand in for what the namespace `instead_of` says (XEP-0428)."""
    for element in elements:
        if element.name != FALLBACK_ELEMENT or element.get("for") != instead_of:
            continue
        regions = element.elements
        if not regions:
            return ""
        bounds = [_region(one, text) for one in regions[:MAX_REGIONS] if one.name == _REGION]
        for start, end in sorted(bounds, reverse=True):
            text = text[:start] + text[end:]
        break
    return text


def _region(element: Element, text: str) -> tuple[int, int]:
    """Counted in code points (XEP-0426); a region that is none is empty."""
    start, end = element.get("start", "0"), element.get("end", str(len(text)))
    if not (start.isascii() and start.isdigit() and end.isascii() and end.isdigit()) or len(start + end) > 18:
        return (0, 0)
    first, last = int(start), min(int(end), len(text))
    return (first, last) if first < last else (0, 0)


def fallback(instead_of: str, start: int | None = None, end: int | None = None) -> Element:
    """The mark of words that stand in for `instead_of`; without bounds all of them."""
    attributes = {} if start is None else {"start": str(start), "end": str(end)}
    return Element(FALLBACK_ELEMENT, {"for": instead_of}, [Element(_REGION, attributes)])


def write_relation(message: Message, text: str) -> tuple[str, list[Element | str]]:
    """(the text to write, the elements behind it) for a message with a relation.

    `text` is the message's own, as it would be written without one.
    """
    relation = message.relation
    if relation is None or not relation.target:
        return text, []
    match relation.kind:
        case RelationKind.REPLACE:
            return text, [Element(_REPLACE, {"id": relation.target})]
        case RelationKind.RETRACT:
            words = text or _TAKEN_BACK
            return words, [Element(_RETRACT, {"id": relation.target}), fallback(RETRACTION), Element(_STORE)]
        case RelationKind.REACT:
            symbols: list[Element | str] = [Element(_REACTION, {}, [one]) for one in relation.reactions]
            return "", [Element(_REACTIONS, {"id": relation.target}, symbols), Element(_STORE)]
        case RelationKind.REPLY:
            return _write_reply(message, relation, text)


def _write_reply(message: Message, relation: Relation, text: str) -> tuple[str, list[Element | str]]:
    # Whose the earlier message is: what our side wrote goes by our own ids.
    ours = bool(relation.about) and relation.target.partition(".")[0] == relation.about
    author = _write_jid(message.sender if ours else message.recipient)
    elements: list[Element | str] = [Element(_REPLY, {"to": author, "id": relation.target})]
    if relation.quote:
        head = f"> {relation.quoted} wrote:\n" if relation.quoted else ""
        quotation = head + "".join(f"> {line}\n" for line in relation.quote.split("\n"))
        elements.append(fallback(REPLY, 0, len(quotation)))
        text = quotation + text
    return text, elements


def _write_jid(address: Address) -> str:
    return jid.write(address.bare)
