"""Messages, usage, and what networks remember."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "meta",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "message",
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("sender", sa.Text, nullable=False),
        sa.Column("recipient", sa.Text, nullable=False),
        sa.Column("origin_peer", sa.Text, nullable=False),
        sa.Column("origin_id", sa.Text, nullable=False),
        sa.Column("about", sa.Text, nullable=False),
        sa.Column("network", sa.Text, nullable=False),
        sa.Column("peer", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("certain", sa.Integer, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("size_bytes", sa.Integer, nullable=False),
        sa.Column("received_at", sa.REAL, nullable=False),
        sa.Column("expires_at", sa.REAL, nullable=False),
        sa.Column("settled_at", sa.REAL),
        sa.Column("stable_key", sa.BLOB),
        sa.Column("content", sa.BLOB),
        sa.Column("trail", sa.Text, nullable=False),
        sa.CheckConstraint("state IN ('queued', 'sent', 'delivered', 'failed', 'dropped')", name="state"),
        sqlite_strict=True,
    )
    op.create_index("message_queued", "message", ["id"], sqlite_where=sa.text("state = 'queued'"))
    op.create_index("message_origin_id", "message", ["origin_id"], sqlite_where=sa.text("origin_id <> ''"))
    op.create_index("message_about", "message", ["about"], sqlite_where=sa.text("about <> ''"))
    op.create_table(
        "usage",
        sa.Column("event_id", sa.Text, primary_key=True),
        sa.Column("message_id", sa.Text, nullable=False),
        sa.Column("what", sa.Text, nullable=False),
        sa.Column("at", sa.REAL, nullable=False),
        sa.Column("origin_peer", sa.Text, nullable=False),
        sa.Column("peer", sa.Text, nullable=False),
        sa.Column("sender_domain", sa.Text, nullable=False),
        sa.Column("recipient_domain", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("size_bytes", sa.Integer, nullable=False),
        sa.Column("parts", sa.Integer, nullable=False),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "memory",
        sa.Column("network", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("at", sa.REAL, nullable=False),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    for table in ("memory", "usage", "message", "meta"):
        op.drop_table(table)
