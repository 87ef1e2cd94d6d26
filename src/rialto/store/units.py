"""What is written together: a unit is all or nothing.

A unit is a list of (statement, parameters). Statements are compiled once, here, from the schema; the
writer runs the units of a batch statement by statement, in the order of `STATEMENTS`, so that many units
cost a few calls of the driver. That order is part of the contract: within one batch a row is inserted
before it is changed, and removed last.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ClauseElement, bindparam, func, literal_column, text, update
from sqlalchemy.dialects import sqlite

from rialto.store.schema import memory, message, usage

Parameters = tuple[Any, ...]
Unit = list[tuple[int, Parameters]]

_DIALECT = sqlite.dialect(paramstyle="qmark")


def _compiled(statement: ClauseElement, order: tuple[str, ...]) -> str:
    """The SQL text, whose question marks stand in this order."""
    compiled = statement.compile(dialect=_DIALECT, column_keys=order)
    if tuple(compiled.positiontup or ()) != order:  # type: ignore[attr-defined]
        raise AssertionError(f"parameters stand as {compiled.positiontup}, not {order}")  # type: ignore[attr-defined]
    return str(compiled)


MESSAGE_COLUMNS = (
    "id", "type", "sender", "recipient", "origin_peer", "origin_id", "about", "network", "peer", "state",
    "reason", "certain", "attempts", "size_bytes", "received_at", "expires_at", "settled_at", "stable_key",
    "content", "trail",
)  # fmt: skip
NOTE_COLUMNS = ("network", "peer", "attempts", "more", "which")
SETTLE_COLUMNS = ("state", "reason", "certain", "attempts", "settled_at", "keep", "more", "which")
USAGE_COLUMNS = (
    "event_id", "message_id", "what", "at", "origin_peer", "peer", "sender_domain", "recipient_domain",
    "outcome", "size_bytes", "parts",
)  # fmt: skip
MEMORY_COLUMNS = ("network", "key", "value", "at")

_more_trail = message.c.trail + bindparam("more")
_this_one = message.c.id == bindparam("which")

STATEMENTS: tuple[str, ...] = (
    _compiled(message.insert(), MESSAGE_COLUMNS),
    _compiled(
        update(message)
        .where(_this_one)
        .values(
            network=bindparam("network"),
            peer=bindparam("peer"),
            attempts=bindparam("attempts"),
            trail=_more_trail,
        ),
        NOTE_COLUMNS,
    ),
    _compiled(
        update(message)
        .where(_this_one)
        .values(
            state=bindparam("state"),
            reason=bindparam("reason"),
            certain=bindparam("certain"),
            attempts=bindparam("attempts"),
            settled_at=bindparam("settled_at"),
            content=func.iif(bindparam("keep"), message.c.content, literal_column("NULL")),
            trail=_more_trail,
        ),
        SETTLE_COLUMNS,
    ),
    _compiled(usage.insert().prefix_with("OR IGNORE"), USAGE_COLUMNS),
    _compiled(memory.insert().prefix_with("OR REPLACE"), MEMORY_COLUMNS),
    _compiled(
        message.delete().where(
            text("id IN (SELECT id FROM message WHERE id < :before AND state <> 'queued' LIMIT 1000)")
        ),
        ("before",),
    ),
)
INSERT_MESSAGE, NOTE, SETTLE, INSERT_USAGE, REMEMBER, FORGET = range(len(STATEMENTS))
