"""Payloads that only the recipient can open: OMEMO, OpenPGP, OTR (XEP-0384, XEP-0373, XEP-0027, XEP-0364,
XEP-0380).

We cannot open them and do not try. To another XMPP network they pass as they are; where the far side has no
way to open them the hub refuses, and the sender reads in plain words why. The body beside such a payload is
what the sender's client says to those who cannot read it; it is never taken for the message.

A payload without content only renews keys (XEP-0384 section 4.6: no `<payload/>`): nobody said anything, and
nobody has to hear of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from rialto.model.errors import Reason, Refused
from rialto.model.message import Message, Sealed
from rialto.networks.xmpp.settings import SEALED
from rialto.networks.xmpp.wire.element import Element
from rialto.networks.xmpp.wire.fragment import read_fragment, write_fragment
from rialto.networks.xmpp.wire.namespaces import (
    ENCRYPTION,
    OMEMO_1,
    OMEMO_2,
    OMEMO_OF_OLD,
    OPENPGP,
    OPENPGP_OF_OLD,
    OTR,
)

SCHEMES: Final = {
    f"{OMEMO_OF_OLD}}}encrypted": "omemo",
    f"{OMEMO_1}}}encrypted": "omemo",
    f"{OMEMO_2}}}encrypted": "omemo",
    f"{OPENPGP}}}openpgp": "openpgp",
    f"{OPENPGP_OF_OLD}}}x": "openpgp",
}
"""The element of each scheme."""

_MARK: Final = f"{ENCRYPTION}}}encryption"
ELEMENTS: Final = frozenset(SCHEMES) | {_MARK}
"""What in a stanza says that it is encrypted."""

OTR_BEGINS: Final = "?OTR"
UNNAMED: Final = "another scheme"
"""The scheme of what only its own specification knows."""


def read_sealed(message: Message, elements: Sequence[Element], stanza: Element) -> Message | None:
    """`message` with its sealed payloads; None where they have no content."""
    payloads = [
        Sealed(SCHEMES[element.name], element.namespace, write_fragment(element))
        for element in elements
        if element.name in SCHEMES and _has_content(element)
    ]
    if not payloads:
        if any(element.name in SCHEMES for element in elements):
            return None
        payloads = _unnamed(elements, stanza, message)
    if not payloads:
        return message
    return replace(message, sealed=tuple(payloads), translations=())


def _has_content(element: Element) -> bool:
    if SCHEMES[element.name] == "omemo":
        return element.find(f"{element.namespace}}}payload") is not None
    return bool(element.text.strip())


def _unnamed(elements: Sequence[Element], stanza: Element, message: Message) -> list[Sealed]:
    """XEP-0380 section 3: the mark names the namespace of a payload that we do not know."""
    mark = next((element for element in elements if element.name == _MARK), None)
    namespace = mark.get("namespace") if mark is not None else ""
    if not namespace:
        return []
    if namespace == OTR:
        return [Sealed("otr", OTR, message.text.encode())] if message.text.startswith(OTR_BEGINS) else []
    for child in stanza.elements:
        if child.namespace == namespace:
            return [Sealed(UNNAMED, namespace, write_fragment(child))]
    return []


def read_otr(message: Message) -> Message:
    """A text of OTR as what it is, with the mark or without (XEP-0364 section 3)."""
    return replace(message, sealed=(Sealed("otr", OTR, message.text.encode()),))


def write_sealed(message: Message) -> tuple[str, list[Element | str]]:
    """(the text to write, the elements behind it). Raises Refused for what XMPP cannot carry."""
    elements: list[Element | str] = []
    text = message.text
    for sealed in message.sealed:
        if sealed.scheme == "otr":
            text = sealed.data.decode("utf-8", "replace")
        elif (payload := _payload(sealed)) is not None:
            elements.append(payload)
        else:
            raise Refused(
                Reason.NOT_SUPPORTED,
                f"the message is encrypted ({sealed.scheme}), and its recipient has no way to read that",
            )
        elements.append(Element(_MARK, {"namespace": sealed.media_type}))
    return text, elements


def _payload(sealed: Sealed) -> Element | None:
    if sealed.scheme not in SEALED:
        return None
    element = read_fragment(sealed.data)
    return element if element is not None and element.namespace == sealed.media_type else None
