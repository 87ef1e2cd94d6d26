"""By what leave something was used."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name, kind, default in (
        ("agreement_item_id", sa.Text, "''"),
        ("agreement_version", sa.Integer, "0"),
        ("policy_decision_id", sa.Text, "''"),
    ):
        op.add_column("usage", sa.Column(name, kind, nullable=False, server_default=sa.text(default)))
