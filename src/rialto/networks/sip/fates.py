"""What SIP users tell of the fate of messages (RFC 5438), for the hub: one table.

| notification | status | for the hub |
|---|---|---|
| delivery | `delivered` | a receipt: it has arrived |
| delivery | `failed` | it has come back |
| delivery | `error` | it may not have arrived |
| display | `displayed` | a receipt: it was looked at |
| processing | `processed`, `stored` | a receipt: a program has worked on it |
| any | anything else | nothing: `forbidden` speaks of the notification (RFC 5438 section 11.1.7) |

The message is known by its Message-ID, which we gave it; one that nobody could know who has not seen it. Who
was to get it is for the hub to compare.
"""

from __future__ import annotations

from typing import Protocol

from rialto.core.network import Inbound, Origin, Outcome
from rialto.model.address import Address
from rialto.model.errors import DeliveryError, Reason, Refused
from rialto.model.message import Disposition
from rialto.networks.sip.envelopes import content_id_of
from rialto.wire.imdn import DELIVERY, DISPLAY, PROCESSING, Imdn

GIVEN = {
    (DELIVERY, "delivered"): Disposition.DELIVERED,
    (DISPLAY, "displayed"): Disposition.DISPLAYED,
    (PROCESSING, "processed"): Disposition.PROCESSED,
    (PROCESSING, "stored"): Disposition.PROCESSED,
}
FAILED = {(DELIVERY, "failed"): True, (DELIVERY, "error"): False}
"""What has not arrived, and whether that is certain."""


class Listener(Protocol):
    """The hub, as far as it hears of fates."""

    def receipt(
        self,
        origin: Origin,
        *,
        sender: Address,
        recipient: Address,
        about: str,
        disposition: Disposition,
        at: float | None = None,
        inbound: Inbound | None = None,
    ) -> None:
        """It has arrived, or was looked at. Raises DeliveryError."""

    def returned(self, message_id: str, error: DeliveryError, origin: Origin) -> None:
        """It has come back."""

    def count(self, name: str, *labels: str) -> None:
        """Count something."""


class Fates:
    """Hands notifications on. `secret` is that with which Message-IDs are made, `network` our name."""

    def __init__(self, hub: Listener, secret: bytes, network: str) -> None:
        self._hub = hub
        self._secret = secret
        self._network = network

    def take(
        self,
        imdns: tuple[Imdn, ...],
        origin: Origin,
        *,
        sender: Address,
        recipient: Address,
        at: float | None,
        inbound: Inbound | None,
    ) -> None:
        """Take what one body tells. `inbound` hears when the last of it is on disk. Raises DeliveryError."""
        told: list[tuple[str, Disposition]] = []
        for imdn in imdns:
            about = content_id_of(imdn.message_id, self._secret)
            said = (imdn.kind, imdn.status)
            if about is None:
                self._hub.count("ignored", self._network, "receipt")
            elif said in GIVEN:
                told.append((about, GIVEN[said]))
            elif said in FAILED:
                text, detail = "the other side could not deliver it", f"IMDN {imdn.status}"
                error = Refused(Reason.UNAVAILABLE, text, detail=detail, certain=FAILED[said])
                self._hub.returned(about, error, origin)
        for number, (about, disposition) in enumerate(told, 1):
            self._hub.receipt(
                origin,
                sender=sender,
                recipient=recipient,
                about=about,
                disposition=disposition,
                at=at,
                inbound=inbound if number == len(told) else None,
            )
        if inbound is not None and not told:
            inbound.stored()
            inbound.settled(Outcome.DELIVERED, None)
