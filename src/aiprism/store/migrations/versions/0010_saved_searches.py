"""Searches that somebody has given a name."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "saved_searches",
        sa.Column("name", sa.String, nullable=False),
        sa.Column("signal", sa.String, nullable=False),
        sa.Column("query", sa.String, nullable=False),
        sa.Column("columns", sa.JSON, nullable=False),
        sa.Column("seconds", sa.Float),
        sa.Column("description", sa.String, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("updated_at", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_saved_searches")),
    )
