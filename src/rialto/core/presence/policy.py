"""May this watcher ask? The rules, in order; the first that objects decides.

The rules of messages (`rialto.core.policy`) as far as they have a meaning here, and two that a message does
not need: how many people one domain may watch, and how fast it may ask (RFC 8048 section 8.1).
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from rialto.core.network import Peer
from rialto.core.policy.passing import not_encrypted
from rialto.model.errors import Busy, DeliveryError, Reason, Refused
from rialto.model.presence import Pair

BUSY_RETRY_AFTER_S = 60.0


class Facts(msgspec.Struct, frozen=True):
    """What a decision may depend on."""

    pair: Pair
    presentity_peer: Peer | None
    """Who speaks for the presentity."""
    carries: bool
    """Whether that peer's network and the watcher's know presence at all."""
    same_destination: bool
    """Whether the request would go straight back to where it came from."""
    unencrypted: bool
    """Whether the watcher demands security on every hop, and this one may not have it."""
    wait_s: float
    """0 when the watcher's domain is within its rate; else how long until it is."""
    watched: int
    """How many people the watcher's domain watches, this one included."""
    max_watched: int
    pairs: int
    """How many pairs there are in all."""
    max_pairs: int


Rule = Callable[[Facts], DeliveryError | None]


def _has_a_route(facts: Facts) -> DeliveryError | None:
    if facts.presentity_peer is not None:
        return None
    return Refused(Reason.DOMAIN_NOT_FOUND, f"nobody here can reach {facts.pair.presentity.domain}")


def _is_somebody(facts: Facts) -> DeliveryError | None:
    if facts.pair.presentity.local:
        return None
    return Refused(Reason.NOT_FOUND, f"{facts.pair.presentity} is a domain, and nobody's presence")


def _goes_elsewhere(facts: Facts) -> DeliveryError | None:
    if not facts.same_destination:
        return None
    domain = facts.pair.presentity.domain
    return Refused(Reason.LOOP, f"{domain} is reached through the very server that asks")


def _carries_presence(facts: Facts) -> DeliveryError | None:
    if facts.carries:
        return None
    return Refused(Reason.NOT_SUPPORTED, f"presence is not carried to {facts.pair.presentity.domain}")


def _stays_encrypted(facts: Facts) -> DeliveryError | None:
    return not_encrypted(facts.pair.presentity.domain) if facts.unencrypted else None


def _within_rate(facts: Facts) -> DeliveryError | None:
    if not facts.wait_s:
        return None
    domain = facts.pair.watcher.domain
    return Busy(Reason.RATE, f"{domain} asks too fast", retry_after_s=facts.wait_s, detail="presence rate")


def _watches_not_too_many(facts: Facts) -> DeliveryError | None:
    if facts.watched <= facts.max_watched:
        return None
    text = f"{facts.pair.watcher.domain} watches {facts.max_watched} people already"
    return Refused(Reason.POLICY, text, detail="presence.max_watched")


def _there_is_room(facts: Facts) -> DeliveryError | None:
    if facts.pairs < facts.max_pairs:
        return None
    text = "too many people are watched here already"
    return Busy(Reason.CONGESTION, text, retry_after_s=BUSY_RETRY_AFTER_S, detail="presence.max_pairs")


RULES: tuple[tuple[str, Rule], ...] = (
    ("route", _has_a_route),
    ("somebody", _is_somebody),
    ("elsewhere", _goes_elsewhere),
    ("presence", _carries_presence),
    ("encryption", _stays_encrypted),
    ("rate", _within_rate),
    ("watched", _watches_not_too_many),
    ("room", _there_is_room),
)


def decide(facts: Facts) -> tuple[str, DeliveryError] | None:
    """None when the watcher may ask; else the rule that objects, and the error for the watcher."""
    for name, rule in RULES:
        error = rule(facts)
        if error is not None:
            return name, error
    return None
