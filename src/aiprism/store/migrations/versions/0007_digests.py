"""What alerts of tiers with a daily digest did, and until when digests have told of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "alert_episodes",
        sa.Column("fingerprint", sa.String, nullable=False),
        sa.Column("starts_at", sa.Float, nullable=False),
        sa.Column("ends_at", sa.Float, nullable=True),
        sa.Column("heard_at", sa.Float, nullable=False),
        sa.Column("closed_at", sa.Float, nullable=True),
        sa.Column("tier", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("service", sa.String, nullable=False),
        sa.Column("summary", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("fingerprint", "starts_at", name="pk_alert_episodes"),
    )
    op.create_index("ix_alert_episodes_heard_at", "alert_episodes", ["heard_at"])
    op.create_index("ix_alert_episodes_closed_at", "alert_episodes", ["closed_at"])
    op.create_table(
        "digests",
        sa.Column("tier", sa.String, nullable=False),
        sa.Column("since", sa.Float, nullable=False),
        sa.Column("told_until", sa.Float, nullable=False),
        sa.Column("day", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("tier", name="pk_digests"),
    )
