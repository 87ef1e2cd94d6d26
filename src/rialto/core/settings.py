"""The hub's own settings."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class QueueSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much may wait, and for how long."""

    max_age_s: Annotated[
        float, Meta(gt=0, description="How long a message is tried before its sender hears that it failed.")
    ] = 86400.0
    max_messages: Annotated[
        int, Meta(gt=0, description="How many messages may wait in all; more are refused as busy.")
    ] = 100_000
    max_bytes: Annotated[int, Meta(gt=0, description="How much they may take in memory.")] = 256 * 1024 * 1024
    max_messages_per_recipient: Annotated[
        int, Meta(gt=0, description="How many messages may wait for one person.")
    ] = 5000
    keep_days: Annotated[float, Meta(gt=0, description="How long trails of finished messages are kept.")] = (
        30.0
    )
    keep_bodies: Annotated[
        bool, Meta(description="Whether texts are kept after delivery (otherwise only the trail is).")
    ] = False
