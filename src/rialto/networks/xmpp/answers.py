"""What we answer ourselves: every IQ, because an unanswered one leaves somebody waiting; and presence.

| asked of | ping | disco#info | disco#items | version | anything else |
|---|---|---|---|---|---|
| a domain | yes | gateway, with contact addresses | nothing inside | yes | `service-unavailable` |
| a person | `service-unavailable` | a person behind a gateway | nothing inside | `service-unavailable` |
their face (`rialto.networks.xmpp.faces`), else `service-unavailable` |

A ping to a person is not answered with "yes", because we do not know whether they are there. Where a peer has
`presence = false` we do not pretend otherwise: a `subscribe` is answered with `unsubscribed` (RFC 6121
section 3.1.3 lets a server refuse at once, and it takes the request out of the asker's list of things to wait
for); a `probe` is left unanswered, because `unsubscribed` would undo what both people agreed on earlier (RFC
6121 section 4.3.2 makes it no more than a SHOULD), and everything else has nothing to be told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from rialto.model.address import Address
from rialto.networks.xmpp.capabilities import NODE, verification
from rialto.networks.xmpp.wire.conditions import error_element
from rialto.networks.xmpp.wire.element import Element
from rialto.networks.xmpp.wire.namespaces import (
    CHAT_MARKERS,
    CHAT_STATES,
    CONTACT_ADDRESSES,
    CORRECTION,
    DATA_FORMS,
    DISCO_INFO,
    DISCO_ITEMS,
    FILE_SHARING,
    NICK,
    OOB,
    PING,
    REACTIONS,
    RECEIPTS,
    REPLY,
    RETRACTION,
    STANZA_IDS,
    STYLING,
    URL_DATA,
    VCARD,
    VERSION,
    XHTML_IM,
)

_FEATURES: Final = (DISCO_INFO, DISCO_ITEMS, PING, VERSION)
_OF_A_PERSON: Final = (
    DISCO_INFO,
    DISCO_ITEMS,
    VCARD,
    CHAT_STATES,
    RECEIPTS,
    CHAT_MARKERS,
    CORRECTION,
    RETRACTION,
    REACTIONS,
    REPLY,
    XHTML_IM,
    STYLING,
    OOB,
    FILE_SHARING,
    URL_DATA,
    NICK,
    STANZA_IDS,
)
"""What clients may send to people behind us; what the far side has no way to show is said to it in words."""


class Self(NamedTuple):
    """What we say of ourselves."""

    gateway_type: str = "simple"
    name: str = "Rialto"
    version: str = ""
    contacts: Mapping[str, Sequence[str]] = {}


def answer_iq(stanza: Element, recipient: Address, about: Self) -> tuple[Element | None, str]:
    """The answer to an IQ, and what it was about (for the counters); None for what is itself an answer."""
    kind = stanza.get("type")
    if kind in {"result", "error"}:
        return None, kind
    if kind not in {"get", "set"} or len(stanza.elements) != 1 or not stanza.get("id"):
        return _refuse(stanza, "bad-request"), "bad-request"  # RFC 6120 section 8.2.3
    (child,) = stanza.elements
    if kind == "get":
        if child.name == f"{DISCO_INFO}}}query":
            info = _info(recipient, about)
            if node := child.get("node"):
                if not recipient.local or node != f"{NODE}#{verification(info)}":  # XEP-0115 section 6.2
                    return _refuse(stanza, "item-not-found"), "disco"
                info.attributes["node"] = node
            return _reply(stanza, info), "disco"
        if child.name == f"{DISCO_ITEMS}}}query":
            if child.get("node"):
                return _refuse(stanza, "item-not-found"), "disco"
            return _reply(stanza, Element(child.name)), "disco"
        if not recipient.local and child.name == f"{PING}}}ping":
            return _reply(stanza), "ping"
        if not recipient.local and child.name == f"{VERSION}}}query" and about.version:
            name = Element(f"{VERSION}}}name", {}, [about.name])
            version = Element(f"{VERSION}}}version", {}, [about.version])
            return _reply(stanza, Element(child.name, {}, [name, version])), "version"
    return _refuse(stanza, "service-unavailable"), "service-unavailable"


def capabilities_of_people(about: Self) -> str:
    """The `ver` of what a person behind us is said to be able to do (XEP-0115)."""
    return verification(_info(Address("anybody", "domain.invalid"), about))


_KINDS = frozenset(
    {"available", "unavailable", "subscribed", "unsubscribe", "unsubscribed", "probe", "error"}
)
"""What RFC 6121 section 4.7.1 knows besides `subscribe`; strangers name no metrics."""


def answer_presence(stanza: Element) -> tuple[Element | None, str]:
    """The answer to a presence stanza where presence is not carried, if it needs one, and what it was."""
    kind = stanza.get("type") or "available"
    if kind != "subscribe":
        return None, kind if kind in _KINDS else "of no known type"
    # RFC 6121 section 3.1.3: bare addresses.
    bare = {"from": stanza.get("to").partition("/")[0], "to": stanza.get("from").partition("/")[0]}
    reply = bare | {"type": "unsubscribed"}
    if stanza.get("id"):
        reply["id"] = stanza.get("id")
    return Element("presence", reply), kind


def _turned(stanza: Element, kind: str, content: list[Element | str]) -> Element:
    attributes = {"from": stanza.get("to"), "to": stanza.get("from"), "type": kind}
    if stanza.get("id"):
        attributes["id"] = stanza.get("id")
    return Element("iq", attributes, content)


def _reply(stanza: Element, payload: Element | None = None) -> Element:
    return _turned(stanza, "result", [] if payload is None else [payload])


def _refuse(stanza: Element, condition: str) -> Element:
    return _turned(stanza, "error", [error_element(condition)])


def _info(recipient: Address, about: Self) -> Element:
    identity = Element(
        f"{DISCO_INFO}}}identity", {"category": "gateway", "type": about.gateway_type, "name": about.name}
    )
    if recipient.local:
        known = (_feature(feature) for feature in _OF_A_PERSON)
        return Element(f"{DISCO_INFO}}}query", {}, [identity, *known])
    content: list[Element | str] = [identity]
    content += [_feature(feature) for feature in _FEATURES if feature != VERSION or about.version]
    if about.contacts:
        content.append(_contacts(about.contacts))
    return Element(f"{DISCO_INFO}}}query", {}, content)


def _feature(name: str) -> Element:
    return Element(f"{DISCO_INFO}}}feature", {"var": name})


def _contacts(contacts: Mapping[str, Sequence[str]]) -> Element:
    """XEP-0157: a form of fields `KIND-addresses`."""

    def field(name: str, kind: str, values: Sequence[str]) -> Element:
        attributes = {"var": name, "type": kind} if kind else {"var": name}
        return Element(
            f"{DATA_FORMS}}}field",
            attributes,
            [Element(f"{DATA_FORMS}}}value", {}, [value]) for value in values],
        )

    fields: list[Element | str] = [field("FORM_TYPE", "hidden", [CONTACT_ADDRESSES])]
    fields += [field(f"{kind}-addresses", "list-multi", uris) for kind, uris in contacts.items()]
    return Element(f"{DATA_FORMS}}}x", {"type": "result"}, fields)
