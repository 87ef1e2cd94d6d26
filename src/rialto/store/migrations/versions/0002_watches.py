"""Who watches whom."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "watch",
        sa.Column("watcher_local", sa.Text, primary_key=True),
        sa.Column("watcher_domain", sa.Text, primary_key=True),
        sa.Column("presentity_local", sa.Text, primary_key=True),
        sa.Column("presentity_domain", sa.Text, primary_key=True),
        sa.Column("watcher_peer", sa.Text, nullable=False),
        sa.Column("presentity_peer", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("changed_at", sa.REAL, nullable=False),
        sa.Column("listening", sa.Integer, nullable=False),
        sa.Column("until", sa.REAL),
        sa.Column("owed", sa.Text, nullable=False),
        sa.Column("document", sa.BLOB),
        sa.Column("told_state", sa.Text, nullable=False),
        sa.Column("told", sa.BLOB),
        sa.Column("watcher_data", sa.BLOB),
        sa.Column("presentity_data", sa.BLOB),
        sa.Column("history", sa.Text, nullable=False),
        sqlite_strict=True,
    )


def downgrade() -> None:
    op.drop_table("watch")
