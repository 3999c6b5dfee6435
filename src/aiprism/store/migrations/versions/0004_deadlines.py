"""How far the steps after missed deadlines have gone, when time alone changes an incident next, and when work on it began."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("incidents", sa.Column("responded_at", sa.Float))
    op.add_column("incidents", sa.Column("due_at", sa.Float))
    op.add_column("incidents", sa.Column("progress", sa.JSON))
    op.create_index("ix_incidents_due_at", "incidents", ["due_at"])
