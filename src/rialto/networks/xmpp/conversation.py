"""What is said about a conversation without a word in it: typing notices, receipts, markers (XEP-0085,
XEP-0184, XEP-0333).

| stanza | canonical |
|---|---|
| `<active/>`, `<composing/>`, `<paused/>`, `<inactive/>`, `<gone/>` | `Composing` |
| any of these beside a text | `chat_states` of that message |
| `<request/>` beside a text, in a stanza with an id | `wants` DELIVERED |
| `<markable/>` likewise | `wants` DISPLAYED |
| `<received id=.../>` | `Receipt` DELIVERED |
| `<displayed id=.../>` | `Receipt` DISPLAYED |

A receipt names the `id` of the *stanza* that it confirms (XEP-0184 section 5.4): of what we sent that is our
message's id, of what a user sent it is `origin_id`. Nothing here makes a receipt by itself: it comes from the
client that has the message, or not at all (CHECKLIST RCT-9, RCT-15).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from rialto.model.address import Address
from rialto.model.errors import AddressError, Reason, Refused
from rialto.model.message import ChatState, Composing, Disposition, Message, Receipt
from rialto.networks.xmpp.stamps import DELAY_ELEMENT, DELAY_WORTH_TELLING_S, delay, stamp_of
from rialto.networks.xmpp.wire import jid
from rialto.networks.xmpp.wire.element import Element
from rialto.networks.xmpp.wire.namespaces import CHAT_MARKERS, CHAT_STATES, HINTS, RECEIPTS

ACTIVE: Final = f"{CHAT_STATES}}}active"
REQUEST: Final = f"{RECEIPTS}}}request"
MARKABLE: Final = f"{CHAT_MARKERS}}}markable"

STATES: Final = {f"{CHAT_STATES}}}{state}": state for state in ChatState}
"""The element of each state."""

CONFIRMATIONS: Final = {
    f"{RECEIPTS}}}received": Disposition.DELIVERED,
    f"{CHAT_MARKERS}}}displayed": Disposition.DISPLAYED,
    # Drafts of XEP-0333 had these two as well, and clients still send them.
    f"{CHAT_MARKERS}}}received": Disposition.DELIVERED,
    f"{CHAT_MARKERS}}}acknowledged": Disposition.DISPLAYED,
}
"""The element of each confirmation, and what it says."""

_ELEMENT_OF: Final = {
    Disposition.DELIVERED: f"{RECEIPTS}}}received",
    Disposition.DISPLAYED: f"{CHAT_MARKERS}}}displayed",
}
_MAX_ID_CHARACTERS: Final = 256
_NO_STORE: Final = f"{HINTS}}}no-store"


class Confirmed(NamedTuple):
    """A message of ours that somebody's client has got, or shown."""

    about: str
    """Our name for it, or for a part of it."""
    disposition: Disposition
    at: float


def read_confirmation(element: Element, stanza: Element, now: float) -> Confirmed | None:
    """What a confirmation says; None where it confirms nothing."""
    about = element.attributes.get("id", "")
    if not about or len(about) > _MAX_ID_CHARACTERS:
        return None
    waited = stanza.find(DELAY_ELEMENT)  # it was sent while we were away, say
    at = stamp_of(waited) if waited is not None else None
    return Confirmed(about, CONFIRMATIONS[element.name], now if at is None else min(at, now))


def read_state(element: Element, stanza: Element, sender: Address, recipient: Address) -> Composing:
    """A typing notice."""
    thread = stanza.find("thread")
    return Composing(
        sender=sender,
        recipient=recipient,
        state=STATES[element.name],
        thread=thread.text if thread is not None else "",
    )


def from_composing(composing: Composing, to: Address) -> Element:
    """The stanza for a typing notice, to one device. Raises Refused."""
    content: list[Element | str] = [Element(f"{CHAT_STATES}}}{composing.state}")]
    if composing.thread:  # XEP-0085 section 5.6: no other child but this one
        content.append(Element("thread", {}, [composing.thread]))
    content.append(Element(_NO_STORE))
    try:
        attributes = {"from": jid.write(composing.sender), "to": jid.write(to), "type": "chat"}
    except AddressError as error:
        raise Refused(Reason.BAD_REQUEST, f"an address that XMPP cannot write: {error}") from None
    return Element("message", attributes, content)


def from_receipt(receipt: Receipt, *, now: float) -> Element:
    """The stanza for a receipt. Raises Refused for what XMPP has no word for."""
    name = _ELEMENT_OF.get(receipt.disposition)
    if name is None or not receipt.origin_id:
        raise Refused(Reason.NOT_SUPPORTED, f"XMPP has no way to say `{receipt.disposition}` of this message")
    try:
        attributes = {
            "from": jid.write(receipt.sender),
            "to": jid.write(receipt.recipient),
            "id": receipt.id,
            "type": "chat",
        }
    except AddressError as error:
        raise Refused(Reason.BAD_REQUEST, f"an address that XMPP cannot write: {error}") from None
    # XEP-0184 section 5.4: one child; what intermediaries add (a stamp) may stand beside it.
    content: list[Element | str] = [Element(name, {"id": receipt.origin_id})]
    if now - receipt.at > DELAY_WORTH_TELLING_S:
        content.append(delay(receipt.sender.domain, receipt.at))
    return Element("message", attributes, content)


def write_wishes(message: Message, content: list[Element | str]) -> None:
    """What a message asks for, behind its text."""
    for wish in message.wants:
        if wish is Disposition.DELIVERED:
            content.append(Element(REQUEST))
        elif wish is Disposition.DISPLAYED:
            content.append(Element(MARKABLE))
    if message.chat_states:
        content.append(Element(ACTIVE))  # XEP-0085 section 5.2: the only state to go with a text
