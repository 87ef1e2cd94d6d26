"""SIP codec and transactions, sans-I/O.

From bytes to meaning, inside to outside:

    headers      names, lists, parameters, media types      uri, address, via    what stands in them
    message      Request, Response: text until a typed view is asked for
    parse        one datagram or one head -> message        framing              a stream -> messages, pings
    validation   may it be worked on?                       digest               who sent it?
    errors       BadMessage: which status says what was wrong, and to whom

Transactions stand on top of these and are not imported here.
"""

from __future__ import annotations

from rialto.networks.sip.wire.address import NameAddr, parse_name_addr, parse_name_addrs
from rialto.networks.sip.wire.errors import BadMessage
from rialto.networks.sip.wire.framing import PONG, FrameEvent, Garbled, Ping, Pong, StreamFramer
from rialto.networks.sip.wire.headers import MediaType, canonical, parse_media_type
from rialto.networks.sip.wire.message import Request, Response, SipMessage, response_to
from rialto.networks.sip.wire.parse import DEFAULT_LIMITS, Limits, parse_message
from rialto.networks.sip.wire.uri import Uri, escape_user, parse_uri, sip_uri, unescape
from rialto.networks.sip.wire.validation import unsupported_extensions, validate
from rialto.networks.sip.wire.via import MAGIC_COOKIE, Via, parse_via, parse_vias

__all__ = [
    "DEFAULT_LIMITS",
    "MAGIC_COOKIE",
    "PONG",
    "BadMessage",
    "FrameEvent",
    "Garbled",
    "Limits",
    "MediaType",
    "NameAddr",
    "Ping",
    "Pong",
    "Request",
    "Response",
    "SipMessage",
    "StreamFramer",
    "Uri",
    "Via",
    "canonical",
    "escape_user",
    "parse_media_type",
    "parse_message",
    "parse_name_addr",
    "parse_name_addrs",
    "parse_uri",
    "parse_via",
    "parse_vias",
    "response_to",
    "sip_uri",
    "unescape",
    "unsupported_extensions",
    "validate",
]
