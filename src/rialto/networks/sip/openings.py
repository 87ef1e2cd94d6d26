"""What an envelope says: the headers of message/cpim (RFC 3862), with those of RFC 5438.

All of it is its writer's word; who believes what of it is decided elsewhere (`translate`).
"""

from __future__ import annotations

import re
from datetime import datetime

import msgspec

from rialto.model.address import Address
from rialto.model.errors import AddressError
from rialto.model.face import tidy_name
from rialto.model.message import Disposition
from rialto.networks.sip.addresses import address_of
from rialto.networks.sip.wire import parse_uri
from rialto.wire import cpim

MAX_ROUTES = 4

WANTED = {
    "positive-delivery": Disposition.DELIVERED,
    "display": Disposition.DISPLAYED,
    "processing": Disposition.PROCESSED,
}
"""What RFC 5438 section 7.1.1.3 calls the receipts that one can ask for."""

UNDERSTOOD = (
    "From", "To", "cc", "DateTime", "Subject", "NS", "Require",
    "Message-ID", "Disposition-Notification", "Original-To", "IMDN-Record-Route", "IMDN-Route",
)  # fmt: skip
_TOKEN = re.compile(r"[!-~]{1,255}\Z", re.ASCII)


class Envelope(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What stood around it: the headers of message/cpim, as its writer says them."""

    sender: Address | None = None
    nick: str = ""
    subject: str = ""
    message_id: str = ""
    """`imdn.Message-ID`."""
    datetime: str = ""
    """As written; empty for what is no RFC 3339."""
    sent_at: float | None = None
    wants: tuple[Disposition, ...] = ()
    wants_failure: bool = False
    """`negative-delivery` was asked for."""
    original_to: str = ""
    routes: tuple[str, ...] = ()
    """IMDN-Record-Route, in order (RFC 5438 section 6.5)."""


def envelope_of(opened: cpim.Cpim) -> Envelope:
    """The headers that anybody here asks for."""
    get = opened.get
    sender, nick = _person(get("From"))
    subject, stamp, name = get("Subject"), get("DateTime"), get("Message-ID", cpim.IMDN)
    asked = get("Disposition-Notification", cpim.IMDN)
    tokens = [] if asked is None else [one.partition(";")[0].strip() for one in asked.value.split(",")]
    original = get("Original-To", cpim.IMDN)
    sent_at = None if stamp is None else time_of(stamp.value)
    routes = [
        _uri(one) for one in opened.headers if one.name == "IMDN-Record-Route" and one.namespace == cpim.IMDN
    ]
    return Envelope(
        sender=sender,
        nick=nick,
        subject=subject.value if subject is not None else "",
        message_id=name.value if name is not None and _TOKEN.match(name.value) else "",
        datetime=stamp.value.strip() if stamp is not None and sent_at is not None else "",
        sent_at=sent_at,
        wants=tuple(WANTED[token] for token in dict.fromkeys(tokens) if token in WANTED),
        wants_failure="negative-delivery" in tokens,
        original_to=_uri(original) if original is not None else "",
        routes=tuple(route for route in routes[:MAX_ROUTES] if route),
    )


def _person(header: cpim.Header | None) -> tuple[Address | None, str]:
    """Who From names, and what they call themselves."""
    if header is None:
        return None, ""
    try:
        nick, uri = cpim.parse_address(header.value)
    except cpim.CpimError:
        return None, ""
    try:
        return address_of(parse_uri(uri)), tidy_name(nick)
    except AddressError:
        return None, tidy_name(nick)


def _uri(header: cpim.Header) -> str:
    try:
        uri = cpim.parse_address(header.value)[1]
    except cpim.CpimError:
        return ""
    return uri if _TOKEN.match(uri) else ""


def time_of(value: str) -> float | None:
    """RFC 3339; None for anything else."""
    try:
        moment = datetime.fromisoformat(value.strip())
        return moment.timestamp() if moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None
