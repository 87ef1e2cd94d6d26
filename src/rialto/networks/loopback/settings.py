"""What can be set for loopback."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from rialto.core.network import Features
from rialto.model.message import Disposition


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[networks.loopback]`."""

    slow_s: Annotated[float, Meta(ge=0, description="How long `slow@` takes, and stays.")] = 2.0


class PeerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One `[[peers]]` with `network = "loopback"`: a domain whose people answer by rule."""

    in_flight_per_recipient: Annotated[
        int, Meta(ge=1, description="Messages to one person that may be unanswered at a time.")
    ] = 16


def features(peer: PeerSettings) -> Features:
    """What the peer can carry."""
    return Features(
        in_flight_per_recipient=peer.in_flight_per_recipient,
        encrypted=True,  # it never leaves the process
        rich=True,
        receipts=tuple(Disposition),
        composing=True,
    )
