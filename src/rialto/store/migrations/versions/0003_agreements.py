"""Operators, agreements, entitlements, rules; and what holds them to their own rules."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_INTERVAL = "to_ns IS NULL OR to_ns >= from_ns"

_FOR_EVER = 9223372036854775807

_FIXED = ("agreement", "signature", "item", "item_change", "provisioning_order", "deed")
"""A row of these stays as it is."""

_ENDING = {
    "operator": ("id", "version", "name", "ioi", "from_ns", "body"),
    "holding": ("domain", "from_ns", "operator_id"),
    "offer": ("name", "version", "operator_id", "body", "hash", "key", "signature", "from_ns"),
    "price": ("id", "price_list", "service", "network", "currency", "tiers", "from_ns"),
    "entitlement": ("id", "item_id", "holder", "metric", "quantity", "from_ns", "order_id"),
    "rule": ("id", "version", "name", "from_ns", "body"),
    "member": ("name", "member", "from_ns"),
    "consent": ("user", "operator_id", "service", "from_ns", "given"),
}
"""A row of these may end, or end sooner; and what stays as it is."""

_VERSIONED = ("operator", "agreement", "rule")


def _overlap(table: str) -> str:
    """The interval of NEW and that of a row of this table have an instant in common."""
    return (
        f"{table}.from_ns < coalesce(NEW.to_ns, {_FOR_EVER})"
        f" AND NEW.from_ns < coalesce({table}.to_ns, {_FOR_EVER})"
    )


_LIVE = "('pendingActive', 'active', 'suspended', 'pendingTerminate')"

_SAME_WAY = """(
    ia.a = ib.a AND (i.direction = 'both' OR j.direction = 'both' OR i.direction = j.direction)
    OR ia.a = ib.b AND (i.direction = 'both' OR j.direction = 'both' OR i.direction <> j.direction)
)"""

_RULES = {
    # A domain belongs to one operator at most at any instant.
    "holding": (
        "another operator has this domain then",
        f"SELECT 1 FROM holding WHERE domain = NEW.domain AND {_overlap('holding')}",
    ),
    # A name and an identifier are one operator's.
    "operator": (
        "another operator has this name or identifier",
        "SELECT 1 FROM operator WHERE (name = NEW.name OR ioi = NEW.ioi) AND id <> NEW.id",
    ),
    "rule": ("another rule has this name", "SELECT 1 FROM rule WHERE name = NEW.name AND id <> NEW.id"),
    "agreement": (
        "another agreement has this name, or the parties have changed",
        "SELECT 1 FROM agreement WHERE name = NEW.name AND id <> NEW.id"
        " OR id = NEW.id AND (a <> NEW.a OR b <> NEW.b)",
    ),
    # A party signs the document of its agreement, and no other.
    "signature": (
        "who signs is no party, or signs another document",
        "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM agreement WHERE id = NEW.agreement_id"
        " AND version = NEW.version AND document_hash = NEW.document_hash"
        " AND NEW.operator_id IN (a, b))",
    ),
    # An item has the terms of a version that is not signed yet, and one service in one direction for ever.
    "item": (
        "the version is signed already, is not there, or the item is of another kind",
        "SELECT 1 WHERE NOT EXISTS"
        " (SELECT 1 FROM agreement WHERE id = NEW.agreement_id AND version = NEW.version)"
        " OR EXISTS (SELECT 1 FROM signature WHERE agreement_id = NEW.agreement_id"
        " AND version = NEW.version)"
        " OR EXISTS (SELECT 1 FROM item WHERE id = NEW.id AND (agreement_id <> NEW.agreement_id"
        " OR service <> NEW.service OR direction <> NEW.direction))",
    ),
    # One person has one licence for an item at any instant.
    "entitlement": (
        "the holder has an entitlement for this item then",
        "SELECT 1 FROM entitlement WHERE item_id = NEW.item_id AND holder = NEW.holder"
        " AND NEW.metric IN ('named_user', 'assigned_seat')"
        f" AND metric IN ('named_user', 'assigned_seat') AND {_overlap('entitlement')}",
    ),
    # There is one price at any instant.
    "price": (
        "there is a price for this then",
        "SELECT 1 FROM price WHERE price_list = NEW.price_list AND service = NEW.service"
        f" AND network = NEW.network AND {_overlap('price')}",
    ),
}
"""For each table what may not be, as a query that finds it before the row is there."""

_MORE = {
    "price_tiers": (
        "price",
        "tiers rise strictly, and the last has no end",
        "SELECT 1 FROM json_each(NEW.tiers) AS one WHERE"
        " (json_extract(one.value, '$.up_to') IS NULL) <> (one.key = json_array_length(NEW.tiers) - 1)"
        " OR one.key > 0 AND json_extract(one.value, '$.up_to')"
        " <= json_extract(NEW.tiers, '$[' || max(one.key - 1, 0) || '].up_to')"
        " UNION ALL SELECT 1 WHERE json_array_length(NEW.tiers) = 0",
    ),
    "item_change_order": (
        "item_change",
        "the item has changed meanwhile",
        "SELECT 1 WHERE NEW.seq <> 1 + (SELECT coalesce(max(seq), 0) FROM item_change"
        " WHERE item_id = NEW.item_id)",
    ),
    # Active only what every party has signed, and what was seen to work.
    "item_change_signed": (
        "item_change",
        "not every party has signed",
        "SELECT 1 WHERE NEW.new IN ('pendingActive', 'active') AND NOT EXISTS ("
        "SELECT 1 FROM item AS i JOIN signature AS s ON s.agreement_id = i.agreement_id"
        " AND s.version = i.version WHERE i.id = NEW.item_id GROUP BY i.version HAVING count(*) = 2)",
    ),
    "item_change_seen": (
        "item_change",
        "nobody has seen it work",
        "SELECT 1 WHERE NEW.new = 'active' AND NOT EXISTS (SELECT 1 FROM item_change"
        " WHERE item_id = NEW.item_id AND new = 'active')"
        " AND (NEW.old <> 'pendingActive' OR NEW.evidence = '')",
    ),
    # One agreement at most speaks of what goes from one operator to another.
    "item_change_alone": (
        "item_change",
        "another agreement speaks of this service between these operators",
        "SELECT 1 FROM item AS i JOIN agreement AS ia ON ia.id = i.agreement_id AND ia.version = i.version"
        " JOIN agreement AS ib ON (ib.a = ia.a AND ib.b = ia.b OR ib.a = ia.b AND ib.b = ia.a)"
        " JOIN item AS j ON j.agreement_id = ib.id AND j.version = ib.version AND j.service = i.service"
        " AND j.id <> i.id"
        " JOIN item_change AS c ON c.item_id = j.id"
        " AND c.seq = (SELECT max(seq) FROM item_change WHERE item_id = j.id)"
        f" WHERE i.id = NEW.item_id AND NEW.new = 'pendingActive' AND {_SAME_WAY}"
        f" AND (c.new IN {_LIVE} OR c.new = 'terminated' AND c.effective_ns > NEW.effective_ns)",
    ),
}


def upgrade() -> None:
    op.create_table(
        "operator",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("ioi", sa.Text, nullable=False),
        sa.Column("from_ns", sa.Integer, nullable=False),
        sa.Column("to_ns", sa.Integer),
        sa.Column("body", sa.Text, nullable=False),
        sa.CheckConstraint(_INTERVAL, name="interval"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index("operator_name", "operator", ["name"])
    op.create_index("operator_ioi", "operator", ["ioi"])

    op.create_table(
        "holding",
        sa.Column("domain", sa.Text, primary_key=True),
        sa.Column("from_ns", sa.Integer, primary_key=True),
        sa.Column("to_ns", sa.Integer),
        sa.Column("operator_id", sa.Text, nullable=False),
        sa.CheckConstraint(_INTERVAL, name="interval"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )

    op.create_table(
        "offer",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("operator_id", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("signature", sa.Text, nullable=False),
        sa.Column("from_ns", sa.Integer, nullable=False),
        sa.Column("to_ns", sa.Integer),
        sa.CheckConstraint(_INTERVAL, name="interval"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )

    op.create_table(
        "agreement",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("a", sa.Text, nullable=False),
        sa.Column("b", sa.Text, nullable=False),
        sa.Column("from_ns", sa.Integer, nullable=False),
        sa.Column("to_ns", sa.Integer),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("document_hash", sa.Text, nullable=False),
        sa.Column("offer", sa.Text, nullable=False),
        sa.Column("regulatory", sa.Text, nullable=False),
        sa.CheckConstraint(_INTERVAL, name="interval"),
        sa.CheckConstraint("a <> b", name="two_parties"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index("agreement_name", "agreement", ["name"])

    op.create_table(
        "signature",
        sa.Column("agreement_id", sa.Text, primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("operator_id", sa.Text, primary_key=True),
        sa.Column("document_hash", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("signature", sa.Text, nullable=False),
        sa.Column("at_ns", sa.Integer, nullable=False),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )

    op.create_table(
        "item",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("agreement_id", sa.Text, nullable=False),
        sa.Column("service", sa.Text, nullable=False),
        sa.Column("direction", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.CheckConstraint("service IN ('message', 'presence', 'session', 'file')", name="service"),
        sa.CheckConstraint("direction IN ('a_to_b', 'b_to_a', 'both')", name="direction"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index("item_agreement", "item", ["agreement_id", "version"])

    op.create_table(
        "item_change",
        sa.Column("item_id", sa.Text, primary_key=True),
        sa.Column("seq", sa.Integer, primary_key=True),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("old", sa.Text, nullable=False),
        sa.Column("new", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("at_ns", sa.Integer, nullable=False),
        sa.Column("effective_ns", sa.Integer, nullable=False),
        sa.Column("evidence", sa.Text, nullable=False),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )

    op.create_table(
        "provisioning_order",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("requester", sa.Text, nullable=False),
        sa.Column("item_ids", sa.Text, nullable=False),
        sa.Column("form", sa.Text, nullable=False),
        sa.Column("at_ns", sa.Integer, nullable=False),
        sa.Column("due_ns", sa.Integer),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )

    op.create_table(
        "price",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("price_list", sa.Text, nullable=False),
        sa.Column("service", sa.Text, nullable=False),
        sa.Column("network", sa.Text, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("tiers", sa.Text, nullable=False),
        sa.Column("from_ns", sa.Integer, nullable=False),
        sa.Column("to_ns", sa.Integer),
        sa.CheckConstraint(_INTERVAL, name="interval"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index("price_key", "price", ["price_list", "service", "network"])

    op.create_table(
        "entitlement",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("item_id", sa.Text, nullable=False),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("metric", sa.Text, nullable=False),
        sa.Column("quantity", sa.Integer, nullable=False),
        sa.Column("from_ns", sa.Integer, nullable=False),
        sa.Column("to_ns", sa.Integer),
        sa.Column("order_id", sa.Text, nullable=False),
        sa.CheckConstraint(_INTERVAL, name="interval"),
        sa.CheckConstraint("quantity > 0", name="quantity"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index("entitlement_holder", "entitlement", ["item_id", "holder"])

    op.create_table(
        "rule",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("from_ns", sa.Integer, nullable=False),
        sa.Column("to_ns", sa.Integer),
        sa.Column("body", sa.Text, nullable=False),
        sa.CheckConstraint(_INTERVAL, name="interval"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index("rule_name", "rule", ["name"])

    op.create_table(
        "member",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("member", sa.Text, primary_key=True),
        sa.Column("from_ns", sa.Integer, primary_key=True),
        sa.Column("to_ns", sa.Integer),
        sa.CheckConstraint(_INTERVAL, name="interval"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )

    op.create_table(
        "consent",
        sa.Column("user", sa.Text, primary_key=True),
        sa.Column("operator_id", sa.Text, primary_key=True),
        sa.Column("service", sa.Text, primary_key=True),
        sa.Column("from_ns", sa.Integer, primary_key=True),
        sa.Column("to_ns", sa.Integer),
        sa.Column("given", sa.Integer, nullable=False),
        sa.CheckConstraint(_INTERVAL, name="interval"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )

    op.create_table(
        "deed",
        sa.Column("seq", sa.Integer, primary_key=True),
        sa.Column("at_ns", sa.Integer, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("what", sa.Text, nullable=False),
        sa.Column("data", sa.Text, nullable=False),
        sqlite_strict=True,
    )

    for table in (*_FIXED, *_ENDING):
        _trigger(f"{table}_stays", "DELETE", table, "rows stay", "SELECT 1")
    for table in _FIXED:
        _trigger(f"{table}_fixed", "UPDATE", table, "rows stay as they are", "SELECT 1")
    for table, columns in _ENDING.items():
        same = " AND ".join(f"OLD.{column} IS NEW.{column}" for column in columns)
        sooner = f"NEW.to_ns IS NOT NULL AND NEW.to_ns <= coalesce(OLD.to_ns, {_FOR_EVER})"
        _trigger(
            f"{table}_ends",
            "UPDATE",
            table,
            "nothing can change but that it ends sooner",
            f"SELECT 1 WHERE NOT ({same} AND {sooner})",
        )
    for table in _VERSIONED:
        _trigger(
            f"{table}_version",
            "INSERT",
            table,
            "versions count from 1 without a gap, and each begins after the one before",
            f"SELECT 1 WHERE NEW.version <> 1 + (SELECT coalesce(max(version), 0) FROM {table}"
            f" WHERE id = NEW.id) OR EXISTS (SELECT 1 FROM {table} WHERE id = NEW.id"
            " AND from_ns >= NEW.from_ns)",
        )
    for table, (text, query) in _RULES.items():
        _trigger(f"{table}_rule", "INSERT", table, text, query)
    for name, (table, text, query) in _MORE.items():
        _trigger(name, "INSERT", table, text, query)


def _trigger(name: str, verb: str, table: str, text: str, query: str) -> None:
    op.execute(
        f"CREATE TRIGGER {name} BEFORE {verb} ON {table} WHEN EXISTS ({query})"
        f" BEGIN SELECT RAISE(ABORT, '{table}: {text}'); END"
    )


def downgrade() -> None:
    for table in (*_FIXED, *_ENDING):
        op.drop_table(table)
