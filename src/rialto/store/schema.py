"""The tables: what each column means, and which releases can read them.

`SCHEMA_VERSION` counts every change; `COMPAT_VERSION` is the oldest schema whose code can still work on
this one, so that a release can be rolled back as long as it stays above it. Both stand in `meta`.
Times are seconds since 1970 UTC (REAL), and identifiers `Message.id`.

In the tables of agreements, which begin with `operator`, times are nanoseconds (INTEGER), identifiers are
UUIDs, and an interval is half-open, without an end where `to_ns` is NULL. Their rows stay as they were
written, but for `to_ns`, which may be drawn nearer; the triggers that see to it stand in the migration.
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

SCHEMA_VERSION = 4
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
    Column(
        "agreement_item_id",
        Text,
        nullable=False,
        server_default=text("''"),
        comment="what it passed under; empty where no leave is asked",
    ),
    Column("agreement_version", Integer, nullable=False, server_default=text("0")),
    Column("policy_decision_id", Text, nullable=False, server_default=text("''"), comment="as in the trail"),
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

INTERVAL = "to_ns IS NULL OR to_ns >= from_ns"

operator = Table(
    "operator",
    metadata,
    Column("id", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("ioi", Text, nullable=False),
    Column("from_ns", Integer, nullable=False, comment="a version ends where the next begins"),
    Column("to_ns", Integer),
    Column("body", Text, nullable=False, comment="all of it, as JSON"),
    CheckConstraint(INTERVAL, name="interval"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)
Index("operator_name", operator.c.name)
Index("operator_ioi", operator.c.ioi)

holding = Table(
    "holding",
    metadata,
    Column("domain", Text, primary_key=True),
    Column("from_ns", Integer, primary_key=True),
    Column("to_ns", Integer),
    Column("operator_id", Text, nullable=False),
    CheckConstraint(INTERVAL, name="interval"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

offer = Table(
    "offer",
    metadata,
    Column("name", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("operator_id", Text, nullable=False, comment="who offers"),
    Column("body", Text, nullable=False, comment="the canonical document"),
    Column("hash", Text, nullable=False, comment="SHA-256 of it"),
    Column("key", Text, nullable=False),
    Column("signature", Text, nullable=False),
    Column("from_ns", Integer, nullable=False, comment="when it was published"),
    Column("to_ns", Integer, comment="when it was, or will be, withdrawn"),
    CheckConstraint(INTERVAL, name="interval"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

agreement = Table(
    "agreement",
    metadata,
    Column("id", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("a", Text, nullable=False),
    Column("b", Text, nullable=False),
    Column("from_ns", Integer, nullable=False),
    Column("to_ns", Integer),
    Column("document", Text, nullable=False, comment="what is signed: canonical JSON"),
    Column("document_hash", Text, nullable=False, comment="SHA-256 of it"),
    Column("offer", Text, nullable=False, comment="name/version of the offer that it accepts, or empty"),
    Column("regulatory", Text, nullable=False),
    CheckConstraint(INTERVAL, name="interval"),
    CheckConstraint("a <> b", name="two_parties"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)
Index("agreement_name", agreement.c.name)

signature = Table(
    "signature",
    metadata,
    Column("agreement_id", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("operator_id", Text, primary_key=True),
    Column("document_hash", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("signature", Text, nullable=False),
    Column("at_ns", Integer, nullable=False),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

item = Table(
    "item",
    metadata,
    Column("id", Text, primary_key=True),
    Column("version", Integer, primary_key=True, comment="of the agreement"),
    Column("agreement_id", Text, nullable=False),
    Column("service", Text, nullable=False),
    Column("direction", Text, nullable=False),
    Column("body", Text, nullable=False, comment="all of it, as JSON"),
    CheckConstraint("service IN ('message', 'presence', 'session', 'file')", name="service"),
    CheckConstraint("direction IN ('a_to_b', 'b_to_a', 'both')", name="direction"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)
Index("item_agreement", item.c.agreement_id, item.c.version)

item_change = Table(
    "item_change",
    metadata,
    Column("item_id", Text, primary_key=True),
    Column("seq", Integer, primary_key=True, comment="counts from 1 without a gap"),
    Column("event", Text, nullable=False),
    Column("old", Text, nullable=False),
    Column("new", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("at_ns", Integer, nullable=False, comment="when it was decided"),
    Column("effective_ns", Integer, nullable=False, comment="what was scheduled for then or later is void"),
    Column("evidence", Text, nullable=False, comment="what was seen, as JSON"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

provisioning_order = Table(
    "provisioning_order",
    metadata,
    Column("id", Text, primary_key=True),
    Column("requester", Text, nullable=False),
    Column("item_ids", Text, nullable=False, comment="a JSON array"),
    Column("form", Text, nullable=False, comment="a JSON object"),
    Column("at_ns", Integer, nullable=False),
    Column("due_ns", Integer, comment="the deadline"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

price = Table(
    "price",
    metadata,
    Column("id", Text, primary_key=True),
    Column("price_list", Text, nullable=False),
    Column("service", Text, nullable=False),
    Column("network", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("tiers", Text, nullable=False, comment="a JSON array: up_to, unit_nano, flat_nano"),
    Column("from_ns", Integer, nullable=False),
    Column("to_ns", Integer),
    CheckConstraint(INTERVAL, name="interval"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)
Index("price_key", price.c.price_list, price.c.service, price.c.network)

entitlement = Table(
    "entitlement",
    metadata,
    Column("id", Text, primary_key=True),
    Column("item_id", Text, nullable=False),
    Column("holder", Text, nullable=False),
    Column("metric", Text, nullable=False),
    Column("quantity", Integer, nullable=False),
    Column("from_ns", Integer, nullable=False),
    Column("to_ns", Integer, comment="when it was, or will be, revoked"),
    Column("order_id", Text, nullable=False),
    CheckConstraint(INTERVAL, name="interval"),
    CheckConstraint("quantity > 0", name="quantity"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)
Index("entitlement_holder", entitlement.c.item_id, entitlement.c.holder)

rule = Table(
    "rule",
    metadata,
    Column("id", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("from_ns", Integer, nullable=False, comment="a version ends where the next begins"),
    Column("to_ns", Integer),
    Column("body", Text, nullable=False, comment="all of it, as JSON"),
    CheckConstraint(INTERVAL, name="interval"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)
Index("rule_name", rule.c.name)

member = Table(
    "member",
    metadata,
    Column("name", Text, primary_key=True, comment="of the group"),
    Column("member", Text, primary_key=True),
    Column("from_ns", Integer, primary_key=True),
    Column("to_ns", Integer),
    CheckConstraint(INTERVAL, name="interval"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

consent = Table(
    "consent",
    metadata,
    Column("user", Text, primary_key=True),
    Column("operator_id", Text, primary_key=True, comment="of the far side"),
    Column("service", Text, primary_key=True),
    Column("from_ns", Integer, primary_key=True),
    Column("to_ns", Integer),
    Column("given", Integer, nullable=False),
    CheckConstraint(INTERVAL, name="interval"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

deed = Table(
    "deed",
    metadata,
    Column("seq", Integer, primary_key=True, comment="the epoch that it began"),
    Column("at_ns", Integer, nullable=False),
    Column("actor", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("data", Text, nullable=False, comment="a JSON object"),
    sqlite_strict=True,
)
