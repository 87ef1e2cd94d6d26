"""Session timers (RFC 4028): how long a session lives without a sign, and whose task the sign is.

Whoever refreshes does so at half of the interval; whoever has not seen it in time ends the session a little
before the interval does. A peer that does not know of this leaves the session without an end of its own.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from rialto.networks.sip.wire.errors import BadMessage
from rialto.networks.sip.wire.message import Request, Response, SipMessage

LEAST_S: Final = 90  # section 4: the smallest that may be
TAG: Final = "timer"

_DELTA: Final = re.compile(r"\s*([0-9]{1,9})\s*(?:;.*)?", re.ASCII | re.DOTALL)
_REFRESHER: Final = re.compile(r";\s*refresher\s*=\s*(uac|uas)\b", re.ASCII | re.IGNORECASE)


class SessionTimer(msgspec.Struct, frozen=True):
    """An agreed interval in seconds, and whether it is for us to refresh."""

    interval_s: int
    ours: bool

    @property
    def refresh_after_s(self) -> float:
        """Section 7.2: half of it."""
        return self.interval_s / 2

    @property
    def end_after_s(self) -> float:
        """Section 10: a third of it, but at most 32 s, before it is over."""
        return self.interval_s - min(32.0, self.interval_s / 3)


def asked(interval_s: int, least_s: int) -> tuple[tuple[str, str], ...]:
    """The headers of a request of ours that would have a timer (section 7.1)."""
    return (
        ("Supported", TAG),
        ("Session-Expires", str(max(interval_s, least_s, LEAST_S))),
        ("Min-SE", str(max(least_s, LEAST_S))),
    )


def agreed(response: Response) -> SessionTimer | None:
    """What a 2xx to a request of ours says (section 7.2); None for no timer."""
    interval, refresher = _read(response)
    if interval is None:
        return None
    return SessionTimer(max(interval, LEAST_S), refresher != "uas")


def too_brief(request: Request, least_s: int) -> int | None:
    """The Min-SE to answer a 422 with, where the request asks for less and would understand (section 9)."""
    interval, _ = _read(request)
    least_s = max(least_s, LEAST_S)
    return least_s if interval is not None and interval < least_s and supports(request) else None


def granted(
    request: Request, interval_s: int, least_s: int
) -> tuple[SessionTimer | None, tuple[tuple[str, str], ...]]:
    """What we answer a request with: the timer, and the headers of the 2xx that say so (section 9).

    A peer that knows timers refreshes itself unless it says otherwise; one that does not leaves it to us, and
    then nobody has a timer that has not asked for one.
    """
    asked_s, refresher = _read(request)
    if asked_s is None:
        if not supports(request):
            return None, ()
        asked_s = max(interval_s, least_s, LEAST_S, _least(request))
    interval = max(min(asked_s, max(interval_s, _least(request))), least_s, LEAST_S)
    if not supports(request):
        return SessionTimer(interval, True), (("Session-Expires", f"{interval};refresher=uas"),)
    ours = refresher == "uas"
    headers = [("Session-Expires", f"{interval};refresher={'uas' if ours else 'uac'}")]
    if not ours:
        headers.append(("Require", TAG))
    return SessionTimer(interval, ours), tuple(headers)


def least_of(response: Response) -> int | None:
    """The Min-SE of a 422; None where there is none, or one that is longer than anybody waits."""
    least = _least(response)
    return least if LEAST_S <= least <= 86_400 else None


def supports(message: SipMessage) -> bool:
    """Whether its sender knows session timers."""
    try:
        tags = [*message.get_list("Supported"), *message.get_list("Require")]
    except BadMessage:
        return False
    return TAG in (tag.lower() for tag in tags)


def _read(message: SipMessage) -> tuple[int | None, str]:
    text = message.get("Session-Expires")
    match = _DELTA.fullmatch(text) if text is not None else None
    if text is None or match is None:
        return None, ""
    refresher = _REFRESHER.search(text)
    return int(match[1]), refresher[1].lower() if refresher is not None else ""


def _least(message: SipMessage) -> int:
    match = _DELTA.fullmatch(message.get("Min-SE") or "")
    return int(match[1]) if match is not None else 0
