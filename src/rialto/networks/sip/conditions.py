"""SIP status codes and our reasons: one table each way.

The SIP side of RFC 7247 section 7; the XMPP side of the same tables is in that network. Where the tables meet
in the middle they give what the RFC's give, except that a MESSAGE is never answered with 408 (RFC 4320
section 4.2), nor with 401 or 407 for a failure beyond us (a client would repeat it with a password for us),
and 503 is kept for ourselves (RFC 3261 section 21.5.4: it condemns the whole server).
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from rialto.model.errors import Busy, DeliveryError, Reason, Refused, Unreachable
from rialto.networks.sip.wire import Response

MAX_TEXT = 200
MAX_RETRY_AFTER_S = 3600.0


class Then(Enum):
    """What a status code asks of the sender."""

    END = "end"
    """It will not work, and the sender hears so."""
    LATER = "later"
    """The same server may take it later."""
    NEXT = "next"
    """This server is out of order: the next one of RFC 3263, then later."""
    UNSURE = "unsure"
    """It may have arrived; asking again would not tell."""
    CREDENTIALS = "credentials"
    """Once more, with an answer to the challenge."""


class Meaning(NamedTuple):
    """A status code in our words."""

    reason: Reason
    then: Then = Then.END


_FAMILIES = {
    3: Meaning(Reason.MOVED),
    4: Meaning(Reason.BAD_REQUEST),
    5: Meaning(Reason.INTERNAL),
    6: Meaning(Reason.UNAVAILABLE),
}

# RFC 7247 section 7.2; a redirect that names a new address is `gone` (301) or `moved`.
MEANINGS: dict[int, Meaning] = {
    301: Meaning(Reason.GONE),
    380: Meaning(Reason.NOT_ACCEPTABLE),
    401: Meaning(Reason.NOT_AUTHENTICATED, Then.CREDENTIALS),
    403: Meaning(Reason.FORBIDDEN),
    404: Meaning(Reason.NOT_FOUND),
    405: Meaning(Reason.NOT_SUPPORTED),
    406: Meaning(Reason.NOT_ACCEPTABLE),
    407: Meaning(Reason.NOT_AUTHENTICATED, Then.CREDENTIALS),
    408: Meaning(Reason.TIMEOUT, Then.UNSURE),
    410: Meaning(Reason.GONE),
    413: Meaning(Reason.TOO_LARGE),
    414: Meaning(Reason.TOO_LARGE),
    415: Meaning(Reason.NOT_ACCEPTABLE),
    416: Meaning(Reason.NOT_ACCEPTABLE),
    420: Meaning(Reason.NOT_SUPPORTED),
    421: Meaning(Reason.NOT_ACCEPTABLE),
    423: Meaning(Reason.CONGESTION),
    430: Meaning(Reason.UNAVAILABLE),  # RFC 5626
    433: Meaning(Reason.FORBIDDEN),  # RFC 5079
    439: Meaning(Reason.NOT_SUPPORTED),  # RFC 5626
    440: Meaning(Reason.POLICY),  # RFC 5393
    480: Meaning(Reason.UNAVAILABLE),
    481: Meaning(Reason.NOT_FOUND),
    482: Meaning(Reason.LOOP),
    483: Meaning(Reason.LOOP),
    484: Meaning(Reason.NOT_FOUND),
    485: Meaning(Reason.NOT_FOUND),
    486: Meaning(Reason.UNAVAILABLE),
    487: Meaning(Reason.UNAVAILABLE),
    488: Meaning(Reason.NOT_ACCEPTABLE),
    489: Meaning(Reason.POLICY),
    491: Meaning(Reason.CONFLICT),
    501: Meaning(Reason.NOT_SUPPORTED),
    502: Meaning(Reason.DOMAIN_NOT_FOUND),
    503: Meaning(Reason.CONGESTION, Then.NEXT),
    504: Meaning(Reason.TIMEOUT, Then.UNSURE),
    505: Meaning(Reason.NOT_ACCEPTABLE),
    513: Meaning(Reason.TOO_LARGE),
    603: Meaning(Reason.DECLINED),
    604: Meaning(Reason.NOT_FOUND),
    606: Meaning(Reason.NOT_ACCEPTABLE),
}

# RFC 7247 section 7.1 seen from the middle; 6xx only for what the recipient's own side has said of the
# person.
STATUSES: dict[Reason, int] = {
    Reason.BAD_REQUEST: 400,
    Reason.NOT_AUTHENTICATED: 403,
    Reason.FORBIDDEN: 403,
    Reason.POLICY: 403,
    Reason.NO_AGREEMENT: 403,
    Reason.NOT_ENTITLED: 403,
    Reason.NOT_FOUND: 404,
    Reason.DOMAIN_NOT_FOUND: 404,
    Reason.GONE: 410,
    Reason.MOVED: 302,
    Reason.UNAVAILABLE: 480,
    Reason.DECLINED: 603,
    Reason.NOT_ACCEPTABLE: 406,
    Reason.NOT_SUPPORTED: 501,
    Reason.TOO_LARGE: 513,
    Reason.UNSECURED: 403,
    Reason.LOOP: 482,
    Reason.CONFLICT: 400,
    Reason.RATE: 480,  # one user's matter: 503 would stop all of the peer's
    Reason.CONGESTION: 503,
    Reason.TIMEOUT: 504,
    Reason.UNREACHABLE: 504,
    Reason.EXPIRED: 504,
    Reason.INTERNAL: 500,
    Reason.OTHER: 400,
}


def meaning(status: int) -> Meaning:
    """What a final status of 300 and above says."""
    return MEANINGS.get(status) or _FAMILIES.get(status // 100, _FAMILIES[4])


def error_from(response: Response, redirect: str = "") -> DeliveryError:
    """The error that a refusing response (300 to 699) stands for.

    `redirect` is the new address that it names, if any. A 500 or 480 that says when to come back is not the
    end.
    """
    status = response.status
    reason, then = meaning(status)
    text = _text(response)
    detail = f"{status} {response.reason}"
    wait = retry_after(response)
    if then in (Then.NEXT, Then.LATER) or (status in (480, 500) and wait is not None and wait <= 60):
        return Busy(reason, text, detail=detail, retry_after_s=wait)
    if redirect and reason is not Reason.GONE:
        reason = Reason.MOVED
    return Refused(
        reason,
        text,
        detail=detail,
        certain=then is not Then.UNSURE,
        redirect=redirect if status // 100 == 3 else "",
    )


def status_for(error: DeliveryError) -> int:
    """The status that tells a SIP sender of this error."""
    if error.reason is Reason.GONE and error.redirect:
        return 301  # RFC 7247 section 7.1 note 3
    if error.reason is Reason.MOVED and not error.redirect:
        return 480  # a 302 without Contact tells nobody anything
    return STATUSES[error.reason]


def retry_after(response: Response) -> float | None:
    """Seconds from Retry-After (`18000;duration=3600 (meeting)`); None if there is none."""
    value = response.get("Retry-After")
    if value is None:
        return None
    digits = value.strip().split(";")[0].split("(")[0].strip()
    if not (digits.isascii() and digits.isdigit()):
        return None
    return min(float(digits[:10]), MAX_RETRY_AFTER_S)


def unreachable(text: str, *, detail: str = "", certain: bool = True) -> Unreachable:
    """Nobody there, or nobody who answers."""
    reason = Reason.UNREACHABLE if certain else Reason.TIMEOUT
    return Unreachable(reason, text, detail=detail, certain=certain)


def phrase(text: str) -> str | None:
    """A text as a reason phrase: one line, not too long; None for nothing to say (the usual phrase then)."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line[:MAX_TEXT] or None


def _text(response: Response) -> str:
    return phrase(response.reason) or ""
