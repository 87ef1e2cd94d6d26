"""The headers of SIP events (RFC 6665 section 8.2): Event, Subscription-State, Expires, Accept."""

from __future__ import annotations

import enum
import re
from typing import Final

import msgspec

from rialto.networks.sip.wire.errors import BadMessage
from rialto.networks.sip.wire.headers import param, parse_media_type, parse_params, split_commas
from rialto.networks.sip.wire.message import Request, SipMessage

PRESENCE: Final = "presence"
WINFO: Final = "presence.winfo"  # RFC 3857 section 4.1
DEFAULT_EXPIRES_S: Final = 3600  # RFC 3856 section 6.4
MAX_EXPIRES_S: Final = 2**31
_QUALITY: Final = re.compile(r"[01](?:\.[0-9]{0,3})?", re.ASCII)


class Substate(enum.StrEnum):
    """How far a subscription has come (RFC 6665 section 4.1.3)."""

    PENDING = "pending"
    ACTIVE = "active"
    TERMINATED = "terminated"


class SubscriptionState(msgspec.Struct, frozen=True):
    """The header. `expires_s` and `retry_after_s` are None where it does not say; so is the reason "" ."""

    state: Substate
    expires_s: int | None = None
    reason: str = ""
    retry_after_s: int | None = None

    def __str__(self) -> str:
        text = self.state.value
        if self.expires_s is not None:
            text += f";expires={self.expires_s}"
        if self.reason:
            text += f";reason={self.reason}"
        return text


def event_of(message: SipMessage) -> tuple[str, str]:
    """The package and the `id` of Event, both "" where there is none; raises BadMessage."""
    value = message.get("Event")
    if value is None:
        return "", ""
    package, semicolon, rest = value.partition(";")
    try:
        identifier = param(parse_params(semicolon + rest), "id") or ""
    except ValueError as error:
        raise BadMessage(400, f"Malformed Event: {error}", _whole(message)) from None
    return package.strip().lower(), identifier


def expires_of(message: SipMessage, name: str = "Expires") -> int | None:
    """Seconds; None where it is absent. Raises BadMessage."""
    value = message.get(name)
    if value is None:
        return None
    number = _seconds(value)
    if number is None:
        raise BadMessage(400, f"Malformed {name}", _whole(message))
    return number


def subscription_state(request: Request) -> SubscriptionState:
    """Subscription-State of a NOTIFY. Raises BadMessage: it must be there (section 4.1.3)."""
    value = request.get("Subscription-State")
    if value is None and request.body:
        # QUIRK(libpurple): Pidgin and its kin never write it; who shows a document lets it be seen.
        return SubscriptionState(Substate.ACTIVE)
    if value is None:
        raise BadMessage(400, "Missing Subscription-State", request)
    name, semicolon, rest = value.partition(";")
    try:
        params = parse_params(semicolon + rest)
    except ValueError as error:
        raise BadMessage(400, f"Malformed Subscription-State: {error}", request) from None
    name = name.strip().lower()
    try:
        state = Substate(name)
    except ValueError:
        state = Substate.ACTIVE  # an extension (section 4.1.3): the subscription is there
    return SubscriptionState(
        state,
        _seconds(param(params, "expires") or ""),
        (param(params, "reason") or "").lower(),
        _seconds(param(params, "retry-after") or ""),
    )


def accepts(request: Request, media_type: str) -> bool:
    """Whether a SUBSCRIBE takes this kind of document; without Accept it does. Raises BadMessage."""
    if "Accept" not in request.firsts:
        return True
    kind = media_type.partition("/")[0]
    return any(preference(request, one) for one in (media_type, f"{kind}/*", "*/*"))


def preference(request: Request, media_type: str) -> float:
    """How much a SUBSCRIBE says it likes this kind: 0 to 1, and 0 where it does not name it. Raises
    BadMessage."""
    best = 0.0
    try:
        for line in request.get_all("Accept"):
            for element in split_commas(line):
                media = parse_media_type(element)
                if media.essence == media_type:
                    best = max(best, _quality(media.param("q")))
    except ValueError as error:
        raise BadMessage(400, f"Malformed Accept: {error}", request) from None
    return best


def _quality(text: str | None) -> float:
    """RFC 3261 section 20.1; what cannot be read is 1."""
    if text is None or not _QUALITY.fullmatch(text.strip()):
        return 1.0
    return min(1.0, float(text))


def _seconds(text: str) -> int | None:
    text = text.strip()
    if not (text.isascii() and text.isdigit()):
        return None
    return int(text) if len(text) <= 10 and int(text) < MAX_EXPIRES_S else MAX_EXPIRES_S


def _whole(message: SipMessage) -> Request | None:
    return message if isinstance(message, Request) else None
