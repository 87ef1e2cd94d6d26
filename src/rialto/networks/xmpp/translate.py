"""Message stanzas and the canonical `Message`, both ways (RFC 7572, RFC 6121 section 5, XEP-0203, XEP-0359).

A stanza of which nothing but its words is to be carried takes the short way through here; what else a message
may have (form, files, an earlier message that it belongs to, a sealed payload, a name) is in `extensions`.
What has no words in it (typing notices, receipts, markers) is told aside, see `conversation`, and never
becomes an empty message; a copy of what a user's own other device said or got (XEP-0280), and what comes out
of an archive (XEP-0313), is nothing new to anybody. All these come out as None.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec.structs import replace

from rialto.model.address import Address
from rialto.model.errors import AddressError, DeliveryError, Reason, Refused
from rialto.model.message import Disposition, Kind, Message, Report, Text
from rialto.networks.xmpp import extensions
from rialto.networks.xmpp.conditions import report_error, to_error
from rialto.networks.xmpp.conversation import (
    ACTIVE,
    CONFIRMATIONS,
    MARKABLE,
    REQUEST,
    STATES,
    write_wishes,
)
from rialto.networks.xmpp.sealed import OTR_BEGINS
from rialto.networks.xmpp.settings import Formatting
from rialto.networks.xmpp.stamps import DELAY_ELEMENT, DELAY_WORTH_TELLING_S, delay, stamp_of
from rialto.networks.xmpp.wire import jid
from rialto.networks.xmpp.wire.element import Element
from rialto.networks.xmpp.wire.namespaces import ARCHIVE, CARBONS, STANZA_IDS, XML

HOPS: Final = "urn:rialto:hops:0"
"""The gateways that a message has passed; Max-Forwards does not survive XMPP (RFC 7247 section 8)."""

_MAX_HOPS: Final = 32
_MAX_TRANSLATIONS: Final = 16
_LANGUAGE: Final = re.compile(r"[A-Za-z0-9]{1,8}(-[A-Za-z0-9]{1,8}){0,7}\Z")
_XML_LANG: Final = f"{XML}}}lang"
_ORIGIN_ID: Final = f"{STANZA_IDS}}}origin-id"
_HOPS: Final = f"{HOPS}}}hops"
_COPIES: Final = frozenset({f"{CARBONS}}}sent", f"{CARBONS}}}received", f"{ARCHIVE}}}result"})
_NORMAL: Final = Kind.NORMAL
_KINDS: Final = {"chat": Kind.CHAT, "headline": Kind.HEADLINE}
_RECEIPT: Final = (Disposition.DELIVERED,)
_MARKER: Final = (Disposition.DISPLAYED,)
_MAX_CONFIRMATIONS: Final = 16
_BOTH: Final = (Disposition.DELIVERED, Disposition.DISPLAYED)


def to_model(
    stanza: Element,
    sender: Address,
    recipient: Address,
    *,
    new_id: str,
    received_at: float,
    styling: bool = False,
    aside: list[Element] | None = None,
) -> Message | None:
    """The message that a stanza carries, or None where it carries none.

    Typing notices, receipts and markers, with words or without, are put `aside` (one typing notice at most).
    With `styling`, marks in the text (XEP-0393) are read as its form. Raises Refused for what cannot be
    carried: `groupchat`, or a message to a domain instead of a person.
    """
    attributes = stanza.attributes
    kind = attributes.get("type", "")
    body: Element | None = None
    bodies = 0  # besides that one
    subject: Element | None = None
    thread = origin_id = ""
    state: Element | None = None
    wants: tuple[Disposition, ...] = ()
    time: Element | None = None
    hops: Element | None = None
    more: list[Element] | None = None
    said: list[Element] | None = None
    rare = False
    language = attributes.get(_XML_LANG, "")
    for child in stanza.content:
        if type(child) is not Element:
            continue
        name = child.name
        if name == "body":
            if body is None:
                body = child
            else:
                bodies += 1
                rare = True
                if _better(child, body, language):
                    body = child
        elif name == "thread":
            thread = child.text
        elif name == ACTIVE:
            state = child
        elif name == REQUEST:
            wants = _RECEIPT if not wants else _BOTH
        elif name == _ORIGIN_ID:
            origin_id = child.attributes.get("id", "")
        elif name == MARKABLE:
            wants = _MARKER if not wants else _BOTH
        elif name == "subject":
            if subject is None or _better(child, subject, language):
                subject = child
        elif name == DELAY_ELEMENT:
            time = child
            rare = True
        elif name == _HOPS:
            hops = child
            rare = True
        elif name in extensions.ELEMENTS:
            if more is None:
                more = [child]
            else:
                more.append(child)
        elif name in CONFIRMATIONS:
            if said is None:
                said = [child]
            elif len(said) < _MAX_CONFIRMATIONS:
                said.append(child)
        elif name in STATES:
            state = child
        elif name in _COPIES:
            return None
    text = body.text if body is not None else ""
    title = subject.text if subject is not None else ""
    if kind == "groupchat":
        if not text:
            return None
        raise Refused(Reason.NOT_SUPPORTED, "rooms are not carried")
    if said is not None and aside is not None:
        aside.extend(said)
    if not text and more is None:
        if not title:
            if state is not None and aside is not None:
                aside.append(state)
            return None
        text, title = title, ""  # a message of which only the subject was written
    if not recipient.local:
        raise Refused(Reason.NOT_FOUND, "a message needs a person, not only a domain")
    spoken = body.attributes.get(_XML_LANG, language) if body is not None and body.attributes else language
    name = attributes.get("id", "")
    # No more than 15 names here: CPython 3.11 and 3.12 make a dictionary first for a call with more.
    message = Message(
        id=new_id,
        sender=sender,
        recipient=recipient,
        text=text,
        received_at=received_at,
        language=spoken if spoken and _LANGUAGE.match(spoken) else "",
        subject=title,
        thread=thread,
        kind=_KINDS.get(kind, _NORMAL),
        origin_id=name,
        # Only what XEP-0359 promises to be unique: plain ids repeat when a client starts again.
        stable_id=origin_id,
        # Servers speak as their domain; nothing should answer what they announce.
        automatic=not sender.local or (hops is not None and hops.get("automatic") == "true"),
        wants=wants if name else (),  # XEP-0184 section 5.3: a receipt needs an id to name
        chat_states=state is not None,
    )
    if rare:
        message = replace(
            message,
            translations=_translations(stanza, body, language) if bodies else (),
            sent_at=stamp_of(time) if time is not None else None,
            hops=_hops(hops) if hops is not None else (),
        )
    rich: Message | None = message
    if (
        more is not None
        or (styling and ("*" in text or "_" in text or ">" in text or "`" in text or "~" in text))
        or (text[0] == "?" and text.startswith(OTR_BEGINS))
    ):
        rich = extensions.read(message, stanza, more or (), styling)
    if state is not None and aside is not None and (rich is None or state.name != ACTIVE):
        aside.append(state)
    return rich


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


def from_model(
    message: Message, *, now: float | None = None, how: Formatting = "both", introduce: bool = False
) -> Element:
    """The stanza for a message. Raises Refused.

    With `now`, stamped if it has been waiting; with `introduce`, the sender's name goes with it.
    """
    recipient, sender = _jids(message)
    attributes = {"from": sender, "to": recipient, "id": message.id}
    if message.kind is not _NORMAL:  # RFC 7572 section 5: `normal` is better left out
        attributes["type"] = message.kind.value
    if message.language:
        attributes[_XML_LANG] = message.language
    content: list[Element | str] = []
    if message.subject:
        content.append(Element("subject", {}, [message.subject]))
    text = message.text
    more: list[Element | str] | None = None
    if message.rich or message.files or message.sealed or message.relation is not None:
        text, more = extensions.write(message, attributes, how)
    if text:
        content.append(Element("body", {}, [text]))
    for other in message.translations:
        content.append(Element("body", {_XML_LANG: other.language}, [other.text]))
    if message.thread:
        content.append(Element("thread", {}, [message.thread]))
    content.append(Element(_ORIGIN_ID, {"id": message.id}))
    if more is not None:
        content += more
    if introduce and message.nick:
        content.append(Element(extensions.NICK_ELEMENT, {}, [message.nick]))
    if message.wants or message.chat_states:
        write_wishes(message, content)
    written = message.sent_at
    if written is None and now is not None and now - message.received_at > DELAY_WORTH_TELLING_S:
        written = message.received_at
    if written is not None:
        content.append(delay(message.sender.domain, written))
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
