"""May this message pass? The rules, in order; the first that objects decides.

Every rule is a pure function of the facts. It returns None, or the error that the sender gets; the name of
the rule goes into the trail and the metrics with it.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from rialto.core.network import Origin, Peer
from rialto.model.errors import Busy, DeliveryError, Reason, Refused
from rialto.model.message import Message

MAX_HOPS = 16


class Facts(msgspec.Struct, frozen=True):
    """What a decision may depend on."""

    message: Message
    origin: Origin
    candidates: tuple[Peer, ...]
    """Where it could go, best first."""
    owned: bool
    """Whether the origin's peer speaks for the sender's domain."""
    same_destination: bool
    """Whether it would go straight back over the link it came from."""
    token: str
    """Our own hop token."""
    peer_wait_s: float
    """0 when the peer is within its rate; else how long until it is."""
    sender_wait_s: float


Rule = Callable[[Facts], DeliveryError | None]


def _sender_is_the_peers(facts: Facts) -> DeliveryError | None:
    if facts.owned:
        return None
    return Refused(
        Reason.FORBIDDEN,
        f"{facts.origin.domain} does not speak for {facts.message.sender.domain}",
        detail=f"proven as {facts.origin.domain} by {facts.origin.proof}",
    )


def _no_loop(facts: Facts) -> DeliveryError | None:
    # RFC 7247 section 8: a gateway is a back-to-back user agent, and Max-Forwards does not survive XMPP.
    if facts.token in facts.message.hops:
        return Refused(Reason.LOOP, "the message has been here before")
    if len(facts.message.hops) >= MAX_HOPS:
        return Refused(Reason.LOOP, f"the message has passed {len(facts.message.hops)} gateways")
    return None


def _has_a_route(facts: Facts) -> DeliveryError | None:
    if facts.candidates:
        return None
    return Refused(Reason.DOMAIN_NOT_FOUND, f"nobody here can reach {facts.message.recipient.domain}")


def _goes_elsewhere(facts: Facts) -> DeliveryError | None:
    if not facts.same_destination:
        return None
    return Refused(
        Reason.LOOP,
        f"{facts.message.recipient.domain} is reached through the very server that sent this message",
    )


def _stays_encrypted(facts: Facts) -> DeliveryError | None:
    """Every way that it could take must be encrypted: which one it will be, an outage decides."""
    if not facts.origin.secure_only or all(peer.features.encrypted for peer in facts.candidates):
        return None
    return not_encrypted(facts.message.recipient.domain)


def not_encrypted(domain: str) -> Refused:
    """For whoever demands security on every hop (RFC 3261 section 26.2.2)."""
    return Refused(Reason.UNSECURED, f"{domain} may be reached without encryption, which you do not allow")


def _peer_within_rate(facts: Facts) -> DeliveryError | None:
    if not facts.peer_wait_s:
        return None
    return Busy(
        Reason.RATE,
        f"{facts.origin.domain} sends too fast",
        retry_after_s=facts.peer_wait_s,
        detail="peer rate",
    )


def _sender_within_rate(facts: Facts) -> DeliveryError | None:
    if not facts.sender_wait_s:
        return None
    return Busy(
        Reason.RATE, "you are sending too fast", retry_after_s=facts.sender_wait_s, detail="sender rate"
    )


RULES: tuple[tuple[str, Rule], ...] = (
    ("sender", _sender_is_the_peers),
    ("loop", _no_loop),
    ("route", _has_a_route),
    ("elsewhere", _goes_elsewhere),
    ("encryption", _stays_encrypted),
    ("peer-rate", _peer_within_rate),
    ("sender-rate", _sender_within_rate),
)


def decide(facts: Facts) -> tuple[str, DeliveryError] | None:
    """None when the message may pass; else the rule that objects, and the error for the sender."""
    for name, rule in RULES:
        error = rule(facts)
        if error is not None:
            return name, error
    return None
