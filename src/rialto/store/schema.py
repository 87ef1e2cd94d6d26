"""The tables: what each column means, and which releases can read them.

`SCHEMA_VERSION` counts every change; `COMPAT_VERSION` is the oldest schema whose code can still work on
this one, so that a release can be rolled back as long as it stays above it. Both stand in `meta`.
Times are seconds since 1970 UTC (REAL); identifiers are `Message.id`.
"""

from __future__ import annotations

from sqlalchemy import (
    BLOB,
    REAL,
    CheckConstraint,
    Column,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    text,
)

SCHEMA_VERSION = 2
COMPAT_VERSION = 1

metadata = MetaData()

STATES = ("queued", "sent", "delivered", "failed", "dropped")
"""`queued` is the only one that is not final; `sent` is final where the far side tells no more."""

meta = Table(
    "meta",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

message = Table(
    "message",
    metadata,
    Column("id", Text, nullable=False, unique=True, comment="of the content; sorts by arrival"),
    Column("type", Text, nullable=False, comment="message, report or receipt"),
    Column("sender", Text, nullable=False),
    Column("recipient", Text, nullable=False),
    Column("origin_peer", Text, nullable=False, comment="who handed it in; empty for our own reports"),
    Column("origin_id", Text, nullable=False, comment="what the sender's protocol calls it"),
    Column("about", Text, nullable=False, comment="of a report or receipt: the message it speaks of"),
    Column("network", Text, nullable=False, comment="where it goes"),
    Column("peer", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False, comment="stable code of a failure; empty otherwise"),
    Column("certain", Integer, nullable=False, comment="0: may have arrived all the same"),
    Column("attempts", Integer, nullable=False),
    Column("size_bytes", Integer, nullable=False, comment="of the content, while it was kept"),
    Column("received_at", REAL, nullable=False),
    Column("expires_at", REAL, nullable=False),
    Column("settled_at", REAL),
    Column("stable_key", BLOB, comment="digest of peer and stable id; NULL where there is none"),
    Column("content", BLOB, comment="the canonical form; NULL once settled, unless bodies are kept"),
    Column("trail", Text, nullable=False, comment="one JSON array a line: time, stop, what happened, data"),
    CheckConstraint("state IN ({})".format(", ".join(f"'{state}'" for state in STATES)), name="state"),
    sqlite_strict=True,
)
Index("message_queued", message.c.id, sqlite_where=text("state = 'queued'"))
Index("message_origin_id", message.c.origin_id, sqlite_where=text("origin_id <> ''"))
Index("message_about", message.c.about, sqlite_where=text("about <> ''"))

usage = Table(
    "usage",
    metadata,
    Column("event_id", Text, primary_key=True, comment="<message id>/<what>: the same event is the same row"),
    Column("message_id", Text, nullable=False),
    Column("what", Text, nullable=False, comment="message"),
    Column("at", REAL, nullable=False),
    Column("origin_peer", Text, nullable=False),
    Column("peer", Text, nullable=False),
    Column("sender_domain", Text, nullable=False),
    Column("recipient_domain", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("size_bytes", Integer, nullable=False),
    Column("parts", Integer, nullable=False),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

memory = Table(
    "memory",
    metadata,
    Column("network", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
    Column("at", REAL, nullable=False),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

watch = Table(
    "watch",
    metadata,
    Column("watcher_local", Text, primary_key=True),
    Column("watcher_domain", Text, primary_key=True),
    Column("presentity_local", Text, primary_key=True),
    Column("presentity_domain", Text, primary_key=True),
    Column("watcher_peer", Text, nullable=False, comment="by which peer the watcher was last heard"),
    Column("presentity_peer", Text, nullable=False),
    Column("state", Text, nullable=False, comment="the authorization: none, pending, granted, refused"),
    Column("reason", Text, nullable=False, comment="stable code of a refusal; empty otherwise"),
    Column("text", Text, nullable=False, comment="why it was refused, or what fails"),
    Column("note", Text, nullable=False, comment="what the watcher said when it asked"),
    Column("changed_at", REAL, nullable=False, comment="when the authorization last changed"),
    Column("listening", Integer, nullable=False, comment="1: the watcher has a notification session"),
    Column("until", REAL, comment="when that ends; NULL where it has no end of its own"),
    Column("owed", Text, nullable=False, comment="what the far side has not answered; empty for nothing"),
    Column("document", BLOB, comment="what is known; NULL for nothing"),
    Column("told_state", Text, nullable=False, comment="what the watcher was told last"),
    Column("told", BLOB, comment="what it was shown last; empty: the same as document; NULL: nothing"),
    Column("watcher_data", BLOB, comment="what the watcher's network keeps"),
    Column("presentity_data", BLOB, comment="what the presentity's network keeps"),
    Column("history", Text, nullable=False, comment="the last events, one JSON array a line"),
    sqlite_strict=True,
)
