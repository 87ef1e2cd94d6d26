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
from sqlalchemy.dialects.sqlite import insert

from rialto.store.schema import memory, message, usage, watch

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
    "outcome", "size_bytes", "parts", "agreement_item_id", "agreement_version", "policy_decision_id",
)  # fmt: skip
MEMORY_COLUMNS = ("network", "key", "value", "at")
WATCH_KEY = ("watcher_local", "watcher_domain", "presentity_local", "presentity_domain")
WATCH_COLUMNS = tuple(column.name for column in watch.columns)
HISTORY_CHARACTERS = 3000
"""What is kept of a pair's history; its first line may be cut."""

_more_trail = message.c.trail + bindparam("more")
_this_one = message.c.id == bindparam("which")

_write_watch = insert(watch)
_new = _write_watch.excluded
_write_watch = _write_watch.on_conflict_do_update(
    index_elements=WATCH_KEY,
    set_={
        **{name: _new[name] for name in WATCH_COLUMNS if name not in WATCH_KEY},
        "watcher_data": func.coalesce(_new.watcher_data, watch.c.watcher_data),
        "presentity_data": func.coalesce(_new.presentity_data, watch.c.presentity_data),
        "history": func.substr(watch.c.history + _new.history, literal_column(f"-{HISTORY_CHARACTERS}")),
    },
)

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
    # NULL leaves what a network keeps as it is.
    _compiled(_write_watch, WATCH_COLUMNS),
    _compiled(watch.delete().where(*(watch.c[name] == bindparam(name) for name in WATCH_KEY)), WATCH_KEY),
)
(
    INSERT_MESSAGE, NOTE, SETTLE, INSERT_USAGE, REMEMBER, FORGET, WRITE_WATCH, REMOVE_WATCH,
) = range(len(STATEMENTS))  # fmt: skip

ROWS_AT_ONCE = 8
"""So many rows go in by one statement where there are as many: a statement costs as much as a few rows."""

AT_ONCE: dict[int, str] = {
    number: STATEMENTS[number] + f", ({', '.join('?' * len(columns))})" * (ROWS_AT_ONCE - 1)
    for number, columns in ((INSERT_MESSAGE, MESSAGE_COLUMNS), (INSERT_USAGE, USAGE_COLUMNS))
}
"""The statements that put in rows, for `ROWS_AT_ONCE` of them."""
