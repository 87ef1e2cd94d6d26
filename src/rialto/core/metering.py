"""What was used: one row for each message whose delivery ended, written in the same commit as its outcome.

By what agreement and decision it passed is that of the moment in which it was taken on. The event's id is
derived from the message's, so that writing it again changes nothing.
"""

from __future__ import annotations

from rialto.core.item import Item
from rialto.store import units


def usage(item: Item, outcome: str, now: float) -> tuple[int, units.Parameters]:
    """The statement that records the use of one message."""
    content = item.whole
    return (
        units.INSERT_USAGE,
        (
            f"{item.id}/message", item.id, "message", now, item.origin_peer, item.peer.name,
            content.sender.domain, content.recipient.domain, outcome, item.size_bytes,
            item.part_count, item.grounds.item_id, item.grounds.agreement_version,
            item.grounds.decision_id,
        ),
    )  # fmt: skip
