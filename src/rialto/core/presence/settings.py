"""What can be set about presence."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class PresenceSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who may watch how many, and how eagerly the gateway asks."""

    max_watched: Annotated[
        int, Meta(ge=0, description="How many people the users of one domain may watch; more are refused.")
    ] = 10_000
    max_pairs: Annotated[
        int, Meta(ge=0, description="How many pairs of watcher and watched are kept in all.")
    ] = 1_000_000
    asks_per_s: Annotated[
        float, Meta(gt=0, description="New authorizations a second that one domain may ask for, on average.")
    ] = 20.0
    opens_per_s: Annotated[
        float,
        Meta(gt=0, description="How many people a second are asked about after a restart or an outage."),
    ] = 200.0
    audit_every_s: Annotated[
        float,
        Meta(
            ge=60, description="How often what is known of each watched person is compared with its server."
        ),
    ] = 21_600.0
    stale_after_s: Annotated[
        float,
        Meta(gt=0, description="How long a server may fail to answer before its users are shown as stale."),
    ] = 300.0
    keep_refused_days: Annotated[
        float, Meta(gt=0, description="How long a refusal is remembered, for `rialto why`.")
    ] = 30.0
