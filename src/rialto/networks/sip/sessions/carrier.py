"""What a session needs of whatever carries its messages."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from rialto.core.network import Delivery
    from rialto.wire.iscomposing import IsComposing


class Parcel(msgspec.Struct, frozen=True):
    """One thing to be said: a body, and how to call it. `delivery` is told what became of it."""

    delivery: Delivery
    message_id: str
    content_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    wants_report: bool = False
    has_form: bool = False


class Fate(enum.Enum):
    """What became of a parcel."""

    TAKEN = "taken"
    REFUSED = "refused"
    LOST = "lost"
    """Nobody knows whether it arrived."""
    UNSENT = "unsent"


class Carrier(Protocol):
    """One way of carrying, under one call."""

    name: str
    ready: bool
    """Whether something can be sent now."""

    @property
    def secured(self) -> bool:
        """Whether it is encrypted."""

    def write(self, delivery: Delivery) -> Parcel | None:
        """As this carrier's other side takes it; None where it can't be said there. Raises DeliveryError."""

    def without_form(self) -> None:
        """It takes plain words only, whatever it said."""

    def send(self, parcel: Parcel) -> None:
        """Send it; the session's `fate` follows, in a later turn."""

    def compose(self, status: IsComposing) -> bool:
        """Say that somebody is writing, or no more; False where that can't be said."""

    def close(self) -> list[Parcel]:
        """Carry no more; what nobody has confirmed is given back."""
