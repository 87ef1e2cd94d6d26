"""The headers of SIP events (RFC 6665 section 8.2): Event, Subscription-State, Expires, Accept."""

from __future__ import annotations

import enum
from typing import Final

import msgspec

from rialto.networks.sip.wire.errors import BadMessage
from rialto.networks.sip.wire.headers import param, parse_media_type, parse_params, split_commas
from rialto.networks.sip.wire.message import Request, SipMessage

PRESENCE: Final = "presence"
WINFO: Final = "presence.winfo"  # RFC 3857 section 4.1
DEFAULT_EXPIRES_S: Final = 3600  # RFC 3856 section 6.4
MAX_EXPIRES_S: Final = 2**31


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
    lines = request.get_all("Accept")
    if not lines:
        return True
    kind = media_type.partition("/")[0]
    try:
        offered = {parse_media_type(element).essence for line in lines for element in split_commas(line)}
    except ValueError as error:
        raise BadMessage(400, f"Malformed Accept: {error}", request) from None
    return bool(offered & {media_type, f"{kind}/*", "*/*"})


def _seconds(text: str) -> int | None:
    text = text.strip()
    if not (text.isascii() and text.isdigit()):
        return None
    return int(text) if len(text) <= 10 and int(text) < MAX_EXPIRES_S else MAX_EXPIRES_S


def _whole(message: SipMessage) -> Request | None:
    return message if isinstance(message, Request) else None
