"""What a receiver gave back for a letter it took, so that the next one about the same can go on from it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("notifications", sa.Column("receipt", sa.JSON))
    op.create_index("ix_notifications_dedup_key", "notifications", ["dedup_key"])
