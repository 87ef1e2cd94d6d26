"""A person's face as XMPP writes it: vCards, nicknames, pictures and their hashes.

| of a face | vcard-temp (XEP-0054) | vCard4 (XEP-0292) | elsewhere |
|---|---|---|---|
| `name` | `FN` | `fn` | |
| `nick` | `NICKNAME` | `nickname` | `<nick/>` (XEP-0172) |
| `homepage` | `URL` | `url` | |
| picture | `PHOTO` | | hash in presence (XEP-0153), metadata and data (XEP-0084) |

Of what is read, a picture is never kept: there is nobody it could be shown to.
"""

from __future__ import annotations

import base64
from typing import Final

from rialto.model.face import Face, Picture, tidy_name, tidy_url
from rialto.networks.xmpp.wire.conditions import error_element
from rialto.networks.xmpp.wire.element import Element
from rialto.networks.xmpp.wire.namespaces import (
    AVATAR_DATA,
    AVATAR_METADATA,
    NICK,
    PUBSUB,
    VCARD,
    VCARD4,
    VCARD_UPDATE,
)

NICK_ELEMENT: Final = f"{NICK}}}nick"
VCARD_ELEMENT: Final = f"{VCARD}}}vCard"

_VCARD4_NODE: Final = "urn:xmpp:vcard4"


# -- nicknames -----------------------------------------------------------------------------------------


def nick_of(stanza: Element) -> str:
    """What the sender wants to be called (XEP-0172); empty where nothing fit to be shown was said."""
    nick = stanza.find(NICK_ELEMENT)
    return tidy_name(nick.text) if nick is not None else ""


def nickname(name: str) -> Element:
    """The same, written."""
    return Element(NICK_ELEMENT, {}, [name])


# -- asked of us ---------------------------------------------------------------------------------------


def answer_card(stanza: Element, face: Face, picture: Picture | None) -> tuple[Element, str] | None:
    """The answer to a question about somebody's face, and what it was about; None for other questions."""
    if stanza.get("type") != "get" or len(stanza.elements) != 1 or not stanza.get("id"):
        return None
    (child,) = stanza.elements
    payload: Element | None
    if child.name == VCARD_ELEMENT:
        payload, what = write_vcard(face, picture), "vcard"
    elif child.name == f"{VCARD4}}}vcard":
        payload, what = write_vcard4(face), "vcard"
    elif child.name == f"{PUBSUB}}}pubsub" and (items := child.find(f"{PUBSUB}}}items")) is not None:
        payload, what = _published(items, face, picture), "pubsub"
    else:
        return None
    attributes = {"from": stanza.get("to"), "to": stanza.get("from"), "id": stanza.get("id")}
    if payload is None:
        error = error_element("item-not-found")
        return Element("iq", attributes | {"type": "error"}, [error]), what
    return Element("iq", attributes | {"type": "result"}, [payload]), what


def write_vcard(face: Face, picture: Picture | None) -> Element | None:
    """A `vCard` (XEP-0054); None where there is nothing to put into one."""
    content: list[Element | str] = []
    if face.called:
        content.append(_leaf(VCARD, "FN", face.called))
    if face.nick:
        content.append(_leaf(VCARD, "NICKNAME", face.nick))
    if face.homepage:
        content.append(_leaf(VCARD, "URL", face.homepage))
    if picture is not None:  # XEP-0153 section 4.1: of what type, and in which order
        photo: list[Element | str] = [
            _leaf(VCARD, "TYPE", picture.media_type),
            _leaf(VCARD, "BINVAL", base64.b64encode(picture.data).decode()),
        ]
        content.append(Element(f"{VCARD}}}PHOTO", {}, photo))
    return Element(VCARD_ELEMENT, {}, content) if content else None


def write_vcard4(face: Face) -> Element | None:
    """A `vcard` (XEP-0292, in the form of RFC 6351); None where there is nothing to put into one."""
    fields = [("fn", "text", face.called), ("nickname", "text", face.nick), ("url", "uri", face.homepage)]
    content: list[Element | str] = [
        Element(f"{VCARD4}}}{name}", {}, [_leaf(VCARD4, kind, value)])
        for name, kind, value in fields
        if value
    ]
    return Element(f"{VCARD4}}}vcard", {}, content) if content else None


def _published(items: Element, face: Face, picture: Picture | None) -> Element | None:
    """An item of a node of somebody's (XEP-0060 section 6.5), as if published there (XEP-0163)."""
    node, item_id = items.get("node"), "current"
    payload: Element | None = None
    if node == NICK and face.called:
        payload = nickname(face.nick or face.name)
    elif node == _VCARD4_NODE:
        payload = write_vcard4(face)
    elif node in (AVATAR_METADATA, AVATAR_DATA) and picture is not None:
        item_id = picture.sha1
        if node == AVATAR_DATA:
            payload = _leaf(AVATAR_DATA, "data", base64.b64encode(picture.data).decode())
        else:
            about = {"bytes": str(len(picture.data)), "id": item_id, "type": picture.media_type}
            payload = Element(
                f"{AVATAR_METADATA}}}metadata", {}, [Element(f"{AVATAR_METADATA}}}info", about)]
            )
    wanted = [one.get("id") for one in items.find_all(f"{PUBSUB}}}item")]
    if payload is None or (wanted and item_id not in wanted):
        return None
    item = Element(f"{PUBSUB}}}item", {"id": item_id}, [payload])
    return Element(f"{PUBSUB}}}pubsub", {}, [Element(f"{PUBSUB}}}items", {"node": node}, [item])])


def hash_of(picture: Picture | None, *, expected: bool) -> Element:
    """What presence says of a picture (XEP-0153 section 3.1): its hash; that there is none; or, where it is
    `expected`, nothing yet."""
    photo: list[Element | str] = [picture.sha1] if picture is not None else []
    content: list[Element | str] = []
    if picture is not None or not expected:
        content.append(Element(f"{VCARD_UPDATE}}}photo", {}, photo))
    return Element(f"{VCARD_UPDATE}}}x", {}, content)


# -- asked by us ---------------------------------------------------------------------------------------


def ask_vcard() -> Element:
    """The first question about somebody."""
    return Element(VCARD_ELEMENT)


def ask_nick() -> Element:
    """The second, where the vCard has no name."""
    items = Element(f"{PUBSUB}}}items", {"node": NICK, "max_items": "1"})
    return Element(f"{PUBSUB}}}pubsub", {}, [items])


def read_answer(stanza: Element) -> Face:
    """What an answer to either says; an empty face for an error, and for what cannot be understood."""
    if stanza.get("type") != "result":
        return Face()
    card = stanza.find(VCARD_ELEMENT)
    if card is not None:
        return Face(
            name=tidy_name(_text(card, f"{VCARD}}}FN")),
            nick=tidy_name(_text(card, f"{VCARD}}}NICKNAME")),
            homepage=tidy_url(_text(card, f"{VCARD}}}URL")),
        )
    pubsub = stanza.find(f"{PUBSUB}}}pubsub")
    items = pubsub.find(f"{PUBSUB}}}items") if pubsub is not None else None
    item = items.find(f"{PUBSUB}}}item") if items is not None else None
    return Face(nick=nick_of(item)) if item is not None else Face()


def _text(card: Element, name: str) -> str:
    found = card.find(name)
    return found.text if found is not None else ""


def _leaf(namespace: str, name: str, text: str) -> Element:
    return Element(f"{namespace}}}{name}", {}, [text])
