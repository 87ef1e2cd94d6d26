"""What becomes of a request: the inspection of RFC 3261 section 8.2, as a table of rules in its order.

Each rule looks at the facts and objects with a `Refusal`, or lets pass. What passes them all is answered by
`ANSWERS` (OPTIONS, CANCEL, what a peer does not have with us), or goes on: a MESSAGE to the hub, SUBSCRIBE
and NOTIFY to `presence`, INVITE and what comes in its dialog to `sessions`.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from rialto.networks.sip.bodies import ACCEPT
from rialto.networks.sip.identity import Doubt, Sender
from rialto.networks.sip.wire import BadMessage, Request, unsupported_extensions

ALLOW = "MESSAGE, OPTIONS, SUBSCRIBE, NOTIFY, INVITE, ACK, BYE, CANCEL, INFO, UPDATE"
ALLOW_EVENTS = "presence, presence.winfo"
SUPPORTED: tuple[str, ...] = ("timer",)
KNOWN = frozenset(
    [
        "ACK",
        "BYE",
        "CANCEL",
        "INFO",
        "INVITE",
        "MESSAGE",
        "NOTIFY",
        "OPTIONS",
        "PRACK",
        "PUBLISH",
        "REFER",
        "REGISTER",
        "SUBSCRIBE",
        "UPDATE",
    ]
)
"""Methods that have a standard; any other is not implemented (501) rather than not allowed (405)."""

MAX_VIAS = 70


class Refusal(msgspec.Struct, frozen=True):
    """The no (or the yes) to a request: status, phrase (None: the usual), headers; `code` for counting."""

    status: int
    code: str
    phrase: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    detail: str = ""


class Facts(msgspec.Struct, frozen=True, gc=False):
    """What a rule may depend on."""

    request: Request
    sender: Sender | Doubt
    merged: bool = False
    cancels: bool = False
    """Of a CANCEL: whether the transaction that it means is known."""
    own_sent_by: frozenset[str] = frozenset()
    """What our own Via headers say."""


Rule = Callable[[Facts], "Refusal | None"]


def _sender(facts: Facts) -> Refusal | None:
    """Section 8.2 begins with authentication. OPTIONS tells nothing that a stranger could not try out."""
    sender = facts.sender
    if type(sender) is Sender or facts.request.method in ("OPTIONS", "CANCEL"):
        return None
    assert isinstance(sender, Doubt)
    return Refusal(sender.status, sender.code, sender.phrase, sender.headers, sender.detail)


def _method(facts: Facts) -> Refusal | None:
    """Section 8.2.1."""
    method = facts.request.method
    if method in ANSWERS or method == "MESSAGE":
        return None
    if method in KNOWN:
        return Refusal(405, "method", headers=(("Allow", ALLOW),), detail=method)
    return Refusal(501, "method", headers=(("Allow", ALLOW),), detail=method)


def _scheme(facts: Facts) -> Refusal | None:
    """Section 8.2.2.1, and RFC 7247 section 8: sips: can't be promised beyond this gateway (ARC-10)."""
    request = facts.request
    uri = request.request_uri
    if uri.scheme == "sip" and request.to.uri.scheme != "sips":
        return None
    if uri.scheme not in ("sip", "sips", "im", "pres"):
        return Refusal(416, "scheme", detail=uri.scheme)
    if uri.scheme != "sips" and request.to.uri.scheme != "sips":
        return None
    sender = facts.sender
    if isinstance(sender, Sender) and sender.trunk.settings.allow_sips:
        return None
    return Refusal(403, "sips", "SIPS Not Possible Beyond This Gateway", detail=str(uri.scheme))


def _merged(facts: Facts) -> Refusal | None:
    """Section 8.2.2.2."""
    return Refusal(482, "merged", "Request Merged") if facts.merged else None


def _require(facts: Facts) -> Refusal | None:
    """Section 8.2.2.3."""
    if "Require" not in facts.request.firsts:
        return None
    try:
        unsupported_extensions(facts.request, SUPPORTED)
    except BadMessage as error:
        return Refusal(error.status, "extension", error.text, error.headers)
    return None


def _max_forwards(facts: Facts) -> Refusal | None:
    """Section 16.3: we forward, if not as a proxy. OPTIONS at 0 is for us (section 11)."""
    if facts.request.method in ("MESSAGE", "SUBSCRIBE") and facts.request.max_forwards == 0:
        return Refusal(483, "max-forwards")
    return None


def _loop(facts: Facts) -> Refusal | None:
    """RFC 5393 in our role: a request that has our own Via in it has come back. (Beyond SIP, hop tokens
    tell.)"""
    request = facts.request
    one_line = len(request.firsts) == len(request.headers) or "Via" not in request.repeated()
    if one_line and "," not in request.firsts["Via"]:
        return None
    vias = request.vias
    if len(vias) > MAX_VIAS:
        return Refusal(483, "max-forwards", detail=f"{len(vias)} hops")
    if any(via.sent_by in facts.own_sent_by for via in vias[1:]):
        return Refusal(482, "loop")
    return None


RULES: tuple[Rule, ...] = (_sender, _method, _scheme, _merged, _require, _max_forwards, _loop)


def _options(facts: Facts) -> Refusal:
    """Section 11.2."""
    headers = (
        ("Allow", ALLOW),
        ("Accept", ACCEPT),
        ("Accept-Encoding", "identity"),
        ("Accept-Language", "en"),
        ("Allow-Events", ALLOW_EVENTS),
    )
    return Refusal(200, "options", headers=(*headers, ("Supported", ", ".join(SUPPORTED))))


def _invite(facts: Facts) -> Refusal | None:
    """Without sessions: 488 to an offer, as for any description that we can't take (section 21.4.26)."""
    if _carries_sessions(facts):
        return None
    if facts.request.to.tag:
        return Refusal(481, "no-dialog")
    return Refusal(488, "session", headers=(("Warning", '399 rialto "Messages only, outside of sessions"'),))


def _within(facts: Facts) -> Refusal | None:
    """What only a session can mean."""
    return None if facts.request.to.tag and _carries_sessions(facts) else _no_dialog(facts)


def _no_dialog(facts: Facts) -> Refusal:
    """Section 12.2.2: there is no dialog that it could belong to."""
    return Refusal(481, "no-dialog")


def _cancel(facts: Facts) -> Refusal:
    """Section 9.2: by now everything that can be cancelled has been answered."""
    return Refusal(200, "cancel") if facts.cancels else Refusal(481, "no-transaction")


def _event(facts: Facts) -> Refusal:
    """RFC 6665 section 4.2.1.1: no event package is carried."""
    if facts.request.to.tag:
        return Refusal(481, "no-dialog")
    return Refusal(489, "event", headers=(("Allow-Events", ""),))


def _subscribe(facts: Facts) -> Refusal | None:
    """For `presence`, where the peer has it."""
    return None if _carries_presence(facts) else _event(facts)


def _notify(facts: Facts) -> Refusal | None:
    return None if _carries_presence(facts) else _no_dialog(facts)


def _carries_sessions(facts: Facts) -> bool:
    return isinstance(facts.sender, Sender) and facts.sender.trunk.settings.sessions != "never"


def _carries_presence(facts: Facts) -> bool:
    return isinstance(facts.sender, Sender) and facts.sender.trunk.settings.presence


ANSWERS: dict[str, Callable[[Facts], Refusal | None]] = {
    "OPTIONS": _options,
    "INVITE": _invite,
    "BYE": _within,
    "INFO": _within,
    "UPDATE": _within,
    "PRACK": _no_dialog,
    "NOTIFY": _notify,
    "CANCEL": _cancel,
    "SUBSCRIBE": _subscribe,
    "PUBLISH": _event,
}


def inspect(facts: Facts) -> Refusal | None:
    """None for what may go on; else what to answer."""
    for rule in RULES:
        refusal = rule(facts)
        if refusal is not None:
            return refusal
    answer = ANSWERS.get(facts.request.method)
    return None if answer is None else answer(facts)
