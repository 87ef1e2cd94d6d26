"""Message stanzas and the canonical `Message`, both ways (RFC 7572, RFC 6121 section 5, XEP-0203, XEP-0359).

What has no words in it (typing notices, receipts, markers) is nothing to carry, and never becomes an empty
message; a copy of a message meant for another device (XEP-0280) or quoted whole (XEP-0297) is not for
third networks. Both come out as None.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from rialto.model.address import Address
from rialto.model.errors import AddressError, DeliveryError, Reason, Refused
from rialto.model.message import Kind, Message, Report, Text
from rialto.networks.xmpp.conditions import report_error, to_error
from rialto.networks.xmpp.wire import jid
from rialto.networks.xmpp.wire.element import Element
from rialto.networks.xmpp.wire.namespaces import CARBONS, DELAY, FORWARD, STANZA_IDS, XML

HOPS: Final = "urn:rialto:hops:0"
"""The gateways that a message has passed; Max-Forwards does not survive XMPP (RFC 7247 section 8)."""

DELAY_WORTH_TELLING_S: Final = 10.0
"""What waited longer with us gets a time stamp (XEP-0203)."""

_MAX_HOPS: Final = 32
_MAX_TRANSLATIONS: Final = 16
_LANGUAGE: Final = re.compile(r"[A-Za-z0-9]{1,8}(-[A-Za-z0-9]{1,8}){0,7}\Z")
_XML_LANG: Final = f"{XML}}}lang"
_ORIGIN_ID: Final = f"{STANZA_IDS}}}origin-id"
_DELAY: Final = f"{DELAY}}}delay"
_HOPS: Final = f"{HOPS}}}hops"
_COPIES: Final = frozenset({f"{CARBONS}}}sent", f"{CARBONS}}}received", f"{FORWARD}}}forwarded"})
_KINDS: Final = {"chat": Kind.CHAT, "headline": Kind.HEADLINE}


def to_model(
    stanza: Element, sender: Address, recipient: Address, *, new_id: str, received_at: float
) -> Message | None:
    """The message that a stanza carries, or None where it carries none.

    Raises Refused for what cannot be carried: `groupchat`, or a message to a domain instead of a person.
    """
    kind = stanza.attributes.get("type", "")
    body: Element | None = None
    bodies = 0
    subject: Element | None = None
    thread = origin_id = ""
    delay: Element | None = None
    hops: Element | None = None
    language = stanza.attributes.get(_XML_LANG, "")
    for child in stanza.content:
        if type(child) is not Element:
            continue
        name = child.name
        if name == "body":
            bodies += 1
            if body is None or _better(child, body, language):
                body = child
        elif name == "thread":
            thread = child.text
        elif name == _ORIGIN_ID:
            origin_id = child.attributes.get("id", "")
        elif name == "subject":
            if subject is None or _better(child, subject, language):
                subject = child
        elif name == _DELAY:
            delay = child
        elif name == _HOPS:
            hops = child
        elif name in _COPIES:
            return None
    text = body.text if body is not None else ""
    title = subject.text if subject is not None else ""
    if not text:
        if not title or kind == "groupchat":
            return None
        text, title = title, ""  # a message of which only the subject was written
    if kind == "groupchat":
        raise Refused(Reason.NOT_SUPPORTED, "rooms are not carried")
    if not recipient.local:
        raise Refused(Reason.NOT_FOUND, "a message needs a person, not only a domain")
    spoken = body.attributes.get(_XML_LANG, language) if body is not None else language
    return Message(
        id=new_id,
        sender=sender,
        recipient=recipient,
        text=text,
        received_at=received_at,
        language=spoken if spoken and _LANGUAGE.match(spoken) else "",
        translations=_translations(stanza, body, language) if bodies > 1 else (),
        subject=title,
        thread=thread,
        kind=_KINDS.get(kind, Kind.NORMAL),
        origin_id=stanza.attributes.get("id", ""),
        # Only what XEP-0359 promises to be unique: plain ids repeat when a client starts again.
        stable_id=origin_id,
        sent_at=_stamp(delay) if delay is not None else None,
        hops=_hops(hops) if hops is not None else (),
        # Servers speak as their domain; nothing should answer what they announce.
        automatic=not sender.local or (hops is not None and hops.get("automatic") == "true"),
    )


def _better(new: Element, old: Element, language: str) -> bool:
    """Whether `new` rather than `old` is the one in the stanza's own language (RFC 6121 section 5.2.3)."""
    own = new.attributes.get(_XML_LANG, language)
    return own == language and old.attributes.get(_XML_LANG, language) != language


def _translations(stanza: Element, body: Element | None, language: str) -> tuple[Text, ...]:
    texts = [
        Text(other.text, spoken)
        for other in stanza.find_all("body")
        if other is not body
        and other.text
        and _LANGUAGE.match(spoken := other.attributes.get(_XML_LANG, language))
    ]
    return tuple(texts[:_MAX_TRANSLATIONS])


def _hops(element: Element) -> tuple[str, ...]:
    return tuple([hop.text[:64] for hop in element.find_all(f"{HOPS}}}hop")][:_MAX_HOPS])


def _stamp(delay: Element) -> float | None:
    """XEP-0082: `2002-09-10T23:08:25Z`."""
    try:
        moment = datetime.fromisoformat(delay.get("stamp"))
    except ValueError:
        return None
    return moment.timestamp() if moment.tzinfo is not None else None


def from_model(message: Message, *, now: float | None = None) -> Element:
    """The stanza for a message; with `now`, stamped if it has been waiting. Raises Refused."""
    recipient, sender = _jids(message)
    attributes = {"from": sender, "to": recipient, "id": message.id}
    if message.kind is not Kind.NORMAL:  # RFC 7572 section 5: `normal` is better left out
        attributes["type"] = message.kind.value
    if message.language:
        attributes[_XML_LANG] = message.language
    content: list[Element | str] = []
    if message.subject:
        content.append(Element("subject", {}, [message.subject]))
    content.append(Element("body", {}, [message.text]))
    for text in message.translations:
        content.append(Element("body", {_XML_LANG: text.language}, [text.text]))
    if message.thread:
        content.append(Element("thread", {}, [message.thread]))
    content.append(Element(_ORIGIN_ID, {"id": message.id}))
    written = message.sent_at
    if written is None and now is not None and now - message.received_at > DELAY_WORTH_TELLING_S:
        written = message.received_at
    if written is not None:
        stamp = datetime.fromtimestamp(written, UTC).isoformat(timespec="milliseconds")
        content.append(
            Element(_DELAY, {"from": message.sender.domain, "stamp": stamp.removesuffix("+00:00") + "Z"})
        )
    if message.hops or message.automatic:
        hops: list[Element | str] = [Element(f"{HOPS}}}hop", {}, [hop]) for hop in message.hops]
        content.append(Element(_HOPS, {"automatic": "true"} if message.automatic else {}, hops))
    return Element("message", attributes, content)


def from_report(report: Report) -> Element:
    """The error stanza that tells a sender what became of a message. Raises Refused."""
    recipient, sender = _jids(report)
    attributes = {"from": sender, "to": recipient, "type": "error"}
    if report.origin_id:
        attributes["id"] = report.origin_id
    error = report_error(report.reason, report.text, certain=report.certain, redirect=report.redirect)
    content: list[Element | str] = [Element("thread", {}, [report.thread])] if report.thread else []
    content.append(error)
    return Element("message", attributes, content)


def _jids(content: Message | Report) -> tuple[str, str]:
    try:
        return jid.write(content.recipient), jid.write(content.sender)
    except AddressError as error:
        raise Refused(Reason.BAD_REQUEST, f"an address that XMPP cannot write: {error}") from None


def error_reply(stanza: Element, error: DeliveryError) -> Element | None:
    """The stanza turned around with what is wrong; None for what must not be answered (RFC 6120 section
    8.3.1)."""
    attributes = stanza.attributes
    if attributes.get("type") == "error" or (stanza.name == "iq" and attributes.get("type") == "result"):
        return None
    reply = {"from": attributes["to"], "to": attributes["from"], "type": "error"}
    if "id" in attributes:
        reply["id"] = attributes["id"]
    return Element(stanza.name, reply, [to_error(error)])
