"""The sentence that a SIP user reads when a message has failed after its answer was given."""

from __future__ import annotations

from rialto.model.errors import Reason
from rialto.model.message import Report

WHY: dict[Reason, str] = {
    Reason.BAD_REQUEST: "the other side did not understand it",
    Reason.NOT_AUTHENTICATED: "the other side does not accept us",
    Reason.FORBIDDEN: "the other side does not allow it",
    Reason.POLICY: "it is against a policy",
    Reason.NO_AGREEMENT: "the two sides have no agreement on it",
    Reason.NOT_ENTITLED: "there is no licence for it",
    Reason.NOT_FOUND: "there is nobody of that name",
    Reason.DOMAIN_NOT_FOUND: "there is no such domain",
    Reason.GONE: "that address is no longer in use",
    Reason.MOVED: "that address has moved",
    Reason.UNAVAILABLE: "the recipient is not available",
    Reason.DECLINED: "the recipient declined it",
    Reason.NOT_ACCEPTABLE: "the other side could not accept it",
    Reason.NOT_SUPPORTED: "the other side can not receive messages",
    Reason.TOO_LARGE: "it is too long",
    Reason.UNSECURED: "the way there is not secure",
    Reason.LOOP: "it was going in circles",
    Reason.CONFLICT: "it was in conflict with another",
    Reason.RATE: "too many messages were sent",
    Reason.CONGESTION: "the other side is overloaded",
    Reason.TIMEOUT: "the other side did not answer in time",
    Reason.UNREACHABLE: "the other side could not be reached",
    Reason.EXPIRED: "it could not be delivered in time",
    Reason.INTERNAL: "something went wrong on the way",
    Reason.OTHER: "the other side refused it",
}

MAX_TEXT = 160
MAX_EXCERPT = 40


def sentence(report: Report) -> str:
    """One sentence: which message, whether it is certain, why; and what the other side said."""
    verdict = "was not delivered" if report.certain else "may not have been delivered"
    why = WHY[report.reason]
    said = " ".join(report.text.split())[:MAX_TEXT]
    if said and said.lower() != why:
        why = f"{why} ({said})"
    if report.redirect:
        why = f"{why}; the new address is {report.redirect[:MAX_TEXT]}"
    excerpt = " ".join(report.excerpt.split())
    if len(excerpt) > MAX_EXCERPT:
        excerpt = excerpt[:MAX_EXCERPT].rstrip() + "…"
    quoted = f" “{excerpt}”" if excerpt else ""
    return f"Your message{quoted} {verdict}: {why}."
