"""Alerts as Alertmanager knows them, silences, aggregation groups and what receivers were told of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _notifications()
    _alerts()
    _silences()
    _groups()
    _log()


def _notifications() -> None:
    op.add_column("notifications", sa.Column("group_id", sa.String))
    op.add_column("notifications", sa.Column("deadline", sa.Float))
    op.add_column("notifications", sa.Column("tells", sa.JSON))
    op.create_index("ix_notifications_group_id", "notifications", ["group_id"])


def _alerts() -> None:
    op.create_table(
        "alerts",
        sa.Column("fingerprint", sa.String, nullable=False),
        sa.Column("labels", sa.JSON, nullable=False),
        sa.Column("annotations", sa.JSON, nullable=False),
        sa.Column("starts_at", sa.Float, nullable=False),
        sa.Column("ends_at", sa.Float),
        sa.Column("updated_at", sa.Float, nullable=False),
        sa.Column("presumed", sa.Boolean, nullable=False),
        sa.Column("source", sa.String, nullable=False),
        sa.Column("value", sa.Float),
        sa.Column("open", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("fingerprint", name="pk_alerts"),
    )
    op.create_index("ix_alerts_ends_at", "alerts", ["ends_at"])


def _silences() -> None:
    op.create_table(
        "silences",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("matchers", sa.JSON, nullable=False),
        sa.Column("starts_at", sa.Float, nullable=False),
        sa.Column("ends_at", sa.Float, nullable=False),
        sa.Column("updated_at", sa.Float, nullable=False),
        sa.Column("created_by", sa.String, nullable=False),
        sa.Column("comment", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_silences"),
    )


def _groups() -> None:
    op.create_table(
        "aggregation_groups",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("route", sa.String, nullable=False),
        sa.Column("key", sa.String, nullable=False),
        sa.Column("labels", sa.JSON, nullable=False),
        sa.Column("next_at", sa.Float, nullable=False),
        sa.Column("flushed", sa.Boolean, nullable=False),
        sa.Column("late", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_aggregation_groups"),
    )
    op.create_index("ix_aggregation_groups_next_at", "aggregation_groups", ["next_at"])
    op.create_table(
        "group_members",
        sa.Column("group_id", sa.String, nullable=False),
        sa.Column("fingerprint", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("group_id", "fingerprint", name="pk_group_members"),
        sa.ForeignKeyConstraint(
            ["group_id"],
            ["aggregation_groups.id"],
            name="fk_group_members_group_id_aggregation_groups",
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_group_members_fingerprint", "group_members", ["fingerprint"])


def _log() -> None:
    op.create_table(
        "notification_log",
        sa.Column("group_key", sa.String, nullable=False),
        sa.Column("receiver", sa.String, nullable=False),
        sa.Column("channel", sa.String, nullable=False),
        sa.Column("integration", sa.Integer, nullable=False),
        sa.Column("firing", sa.JSON, nullable=False),
        sa.Column("resolved", sa.JSON, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("expires_at", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("group_key", "receiver", "channel", "integration", name="pk_notification_log"),
    )
