"""Stanzas from text, and what becomes of them; for the tests of what messages may carry."""

from __future__ import annotations

from rialto.model.address import Address
from rialto.model.message import Message
from rialto.networks.xmpp.translate import from_model, to_model
from rialto.networks.xmpp.wire import jid
from rialto.networks.xmpp.wire.element import Element
from rialto.networks.xmpp.wire.namespaces import SERVER, STREAMS
from rialto.networks.xmpp.wire.parser import StreamParser

HEADER = f"<stream:stream xmlns='{SERVER}' xmlns:stream='{STREAMS}'>".encode()
ROMEO = Address("romeo", "montague.example", "orchard")
JULIET = Address("juliet", "sip.capulet.example")


def parsed(text: str) -> Element:
    """The element that a text is."""
    parser = StreamParser()
    parser.feed(HEADER + text.encode())
    element = parser.items[1]
    assert isinstance(element, Element)
    return element


def stanza(inside: str, attributes: str = "") -> Element:
    """A message from Romeo to Juliet."""
    return parsed(
        "<message from='romeo@montague.example/orchard' to='juliet@sip.capulet.example' id='s1' type='chat'"
        f" {attributes}>{inside}</message>"
    )


def read(
    inside: str, *, aside: list[Element] | None = None, styling: bool = False, attributes: str = ""
) -> Message | None:
    """What is understood of it."""
    element = stanza(inside, attributes)
    return to_model(
        element,
        jid.parse(element.get("from")),
        jid.parse(element.get("to")),
        new_id="m1",
        received_at=1000.0,
        styling=styling,
        aside=aside,
    )


def heard(inside: str, *, styling: bool = False) -> Message:
    """The same, where there must be something."""
    message = read(inside, styling=styling)
    assert message is not None
    return message


def message(**more: object) -> Message:
    """A message from Juliet to Romeo, as the hub would have it written."""
    fields: dict[str, object] = {
        "id": "m1",
        "sender": JULIET,
        "recipient": ROMEO,
        "text": "But, soft!",
        "received_at": 1000.0,
    }
    return Message(**(fields | more))  # type: ignore[arg-type]


def there_and_back(content: Message, *, styling: bool = False, how: str = "both") -> Message:
    """What another gateway reads of what this one writes."""
    data = from_model(content, how=how, introduce=True).encode()  # type: ignore[arg-type]
    again = to_model(
        parsed(data.decode()),
        content.sender,
        content.recipient,
        new_id=content.id,
        received_at=content.received_at,
        styling=styling,
    )
    assert again is not None
    return again
