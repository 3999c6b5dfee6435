"""How alerts come and go, so that one that flaps is told once, also over a restart."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "alert_flaps",
        sa.Column("fingerprint", sa.String, nullable=False),
        sa.Column("firing", sa.Boolean, nullable=False),
        sa.Column("changes", sa.JSON, nullable=False),
        sa.Column("changed_at", sa.Float, nullable=False),
        sa.Column("since", sa.Float),
        sa.Column("until", sa.Float),
        sa.Column("count", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("fingerprint", name="pk_alert_flaps"),
    )
    op.create_index("ix_alert_flaps_until", "alert_flaps", ["until"])
