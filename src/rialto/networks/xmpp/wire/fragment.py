"""One element by itself, as bytes: what is kept of a payload that nobody in between may look into."""

from __future__ import annotations

from typing import Final

from rialto.networks.xmpp.wire.element import Element
from rialto.networks.xmpp.wire.namespaces import SERVER, STREAMS
from rialto.networks.xmpp.wire.parser import Limits, StreamParser, StreamRule

_HEADER: Final = f"<stream:stream xmlns='{SERVER}' xmlns:stream='{STREAMS}'>".encode()


def read_fragment(data: bytes, limits: Limits | None = None) -> Element | None:
    """The one element that `data` is; None where it is anything else, or more than the limits allow."""
    parser = StreamParser(limits or Limits())
    try:
        parser.feed(_HEADER + data)
    except StreamRule:
        return None
    found = list(parser.items)[1:]
    if len(found) != 1 or not isinstance(found[0], Element) or parser.unread:
        return None
    return found[0]


def write_fragment(element: Element) -> bytes:
    """What `read_fragment` reads."""
    return element.encode(SERVER)
