"""Maintenance windows that people asked for, and the notifications that were held back."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "maintenance_windows",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("matchers", sa.JSON, nullable=False),
        sa.Column("start", sa.String, nullable=False),
        sa.Column("duration", sa.Float, nullable=False),
        sa.Column("zone", sa.String, nullable=False),
        sa.Column("recurrence", sa.String, nullable=False),
        sa.Column("comment", sa.String, nullable=False),
        sa.Column("author", sa.String, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("ended_at", sa.Float),
        sa.PrimaryKeyConstraint("id", name="pk_maintenance_windows"),
    )
    op.create_table(
        "held_notifications",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("group_id", sa.String, nullable=False),
        sa.Column("fingerprint", sa.String, nullable=False),
        sa.Column("labels", sa.JSON, nullable=False),
        sa.Column("receiver", sa.String, nullable=False),
        sa.Column("route", sa.String, nullable=False),
        sa.Column("stage", sa.String, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("since", sa.Float, nullable=False),
        sa.Column("until", sa.Float),
        sa.PrimaryKeyConstraint("id", name="pk_held_notifications"),
    )
    op.create_index("ix_held_notifications_group_id", "held_notifications", ["group_id"])
    op.create_index("ix_held_notifications_until", "held_notifications", ["until"])
