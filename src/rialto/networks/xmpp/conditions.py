"""Stanza errors and our reasons: one table each way (RFC 7247 section 7 by way of
`rialto.model.errors.Reason`)."""

from __future__ import annotations

from typing import Final

from rialto.model.errors import Busy, DeliveryError, Reason, Refused
from rialto.networks.xmpp.wire.conditions import condition_of, error_element
from rialto.networks.xmpp.wire.element import Element

RIALTO_ERRORS: Final = "urn:rialto:errors:0"
"""Our own, application-specific condition (RFC 6120 section 8.3.4): the stable code, and whether it is
certain."""

TO_XMPP: Final[dict[Reason, tuple[str, str]]] = {
    Reason.BAD_REQUEST: ("bad-request", "modify"),
    Reason.NOT_AUTHENTICATED: ("not-authorized", "auth"),
    Reason.FORBIDDEN: ("forbidden", "auth"),
    Reason.POLICY: ("policy-violation", "modify"),
    Reason.NO_AGREEMENT: ("not-allowed", "cancel"),
    # RFC 6120 section 8.3.3.15: a registration that was to be made before, by whoever asks.
    Reason.NOT_ENTITLED: ("registration-required", "auth"),
    Reason.NOT_FOUND: ("item-not-found", "cancel"),
    Reason.DOMAIN_NOT_FOUND: ("remote-server-not-found", "cancel"),
    Reason.GONE: ("gone", "cancel"),
    Reason.MOVED: ("redirect", "modify"),
    Reason.UNAVAILABLE: ("recipient-unavailable", "wait"),
    Reason.DECLINED: ("recipient-unavailable", "wait"),  # RFC 7247 table 3: 603
    Reason.NOT_ACCEPTABLE: ("not-acceptable", "modify"),
    Reason.NOT_SUPPORTED: ("feature-not-implemented", "cancel"),
    Reason.TOO_LARGE: ("policy-violation", "modify"),  # RFC 7247 table 3: 413, 513; RFC 7572 section 6
    Reason.UNSECURED: ("policy-violation", "modify"),
    Reason.LOOP: ("not-acceptable", "cancel"),  # RFC 7247 table 3: 482, 483
    Reason.CONFLICT: ("conflict", "cancel"),
    Reason.RATE: ("resource-constraint", "wait"),
    Reason.CONGESTION: ("resource-constraint", "wait"),
    Reason.TIMEOUT: ("remote-server-timeout", "wait"),
    Reason.UNREACHABLE: ("remote-server-timeout", "wait"),
    Reason.EXPIRED: ("remote-server-timeout", "wait"),
    Reason.INTERNAL: ("internal-server-error", "cancel"),
    Reason.OTHER: ("undefined-condition", "cancel"),
}

FROM_XMPP: Final[dict[str, Reason]] = {
    "bad-request": Reason.BAD_REQUEST,
    "conflict": Reason.CONFLICT,
    "feature-not-implemented": Reason.NOT_SUPPORTED,
    "forbidden": Reason.FORBIDDEN,
    "gone": Reason.GONE,
    "internal-server-error": Reason.INTERNAL,
    "item-not-found": Reason.NOT_FOUND,
    "jid-malformed": Reason.BAD_REQUEST,
    "not-acceptable": Reason.NOT_ACCEPTABLE,
    "not-allowed": Reason.FORBIDDEN,
    "not-authorized": Reason.NOT_AUTHENTICATED,
    "policy-violation": Reason.POLICY,
    "recipient-unavailable": Reason.UNAVAILABLE,
    "redirect": Reason.MOVED,
    "registration-required": Reason.NOT_AUTHENTICATED,
    "remote-server-not-found": Reason.DOMAIN_NOT_FOUND,
    "remote-server-timeout": Reason.TIMEOUT,
    "resource-constraint": Reason.CONGESTION,
    # RFC 7247 section 7.1 note 5 wants 403 or 405 out of this, and never 503.
    "service-unavailable": Reason.FORBIDDEN,
    "subscription-required": Reason.BAD_REQUEST,
    "undefined-condition": Reason.OTHER,
    "unexpected-request": Reason.BAD_REQUEST,
}

_COME_BACK: Final = frozenset({"resource-constraint"})
"""With type `wait`, worth another try of ours; the rest of `wait` is for the sender to decide."""


def to_error(error: DeliveryError) -> Element:
    """The `<error/>` that tells a sender of a failure."""
    return _error(error.reason, error.text, error.certain, error.redirect)


def _error(reason: Reason, text: str, certain: bool, redirect: str) -> Element:
    condition, kind = TO_XMPP[reason]
    if condition == "gone" and not redirect:
        redirect = ""  # RFC 7247 section 7.2 note 1: without an address, for 410
    if not certain:
        text = f"It may not have been delivered: {text}" if text else "It may not have been delivered."
    element = error_element(condition, text, kind=kind, address=redirect)
    attributes = {} if certain else {"certain": "false"}
    element.content.append(Element(f"{RIALTO_ERRORS}}}reason", attributes, [reason.value]))
    return element


def report_error(reason: Reason, text: str, *, certain: bool, redirect: str) -> Element:
    """The same, for a `Report`."""
    return _error(reason, text, certain, redirect)


def from_error(stanza: Element) -> DeliveryError:
    """What a stanza of type `error` says."""
    error = stanza.find("error")
    condition, text, address = condition_of(error)
    reason = FROM_XMPP.get(condition, Reason.OTHER)
    if error is not None and (ours := error.find(f"{RIALTO_ERRORS}}}reason")) is not None:
        try:
            reason = Reason(ours.text)
        except ValueError:
            pass
    kind = error.get("type") if error is not None else ""
    detail = f"{condition} ({kind or 'no type'})"
    if kind == "wait" and condition in _COME_BACK:
        return Busy(reason, text, detail=detail)
    redirect = address if condition in {"gone", "redirect"} else ""
    return Refused(reason, text, detail=detail, redirect=redirect)
