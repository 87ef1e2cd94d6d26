"""Times in stanzas (XEP-0082, XEP-0203)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from rialto.networks.xmpp.wire.element import Element
from rialto.networks.xmpp.wire.namespaces import DELAY

DELAY_ELEMENT: Final = f"{DELAY}}}delay"

DELAY_WORTH_TELLING_S: Final = 10.0
"""What waited longer with us gets a time stamp (XEP-0203)."""


def stamp_of(element: Element) -> float | None:
    """Seconds since 1970 of a `<delay/>`; None where it says no time (XEP-0082: `2002-09-10T23:08:25Z`)."""
    try:
        moment = datetime.fromisoformat(element.get("stamp"))
    except ValueError:
        return None
    return moment.timestamp() if moment.tzinfo is not None else None


def delay(domain: str, at: float) -> Element:
    """The `<delay/>` of something that was said at `at`."""
    stamp = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    return Element(DELAY_ELEMENT, {"from": domain, "stamp": stamp.removesuffix("+00:00") + "Z"})
