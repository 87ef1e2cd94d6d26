"""What can be set about leave."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class PolicySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether operators must have agreed before their users may speak, and what strangers may do."""

    agreements: Annotated[
        str,
        Meta(
            pattern="^(off|shadow|required)$",
            description="off: every peer that is configured may talk. required: operators must have agreed. "
            "shadow: everything passes, and what would not is counted.",
        ),
    ] = "off"
    tier_contacts: Annotated[
        int,
        Meta(
            gt=0,
            description="How many people of an operator that federates as `discovered` one domain may reach "
            "until it is on the allow list.",
        ),
    ] = 1000
    tier_rate_per_s: Annotated[
        float, Meta(gt=0, description="Messages a second that such a domain may send there, on average.")
    ] = 20.0
