"""Dashboards that were saved or imported, each with its versions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "dashboards",
        sa.Column("uid", sa.String, nullable=False),
        sa.Column("version", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("author", sa.String, nullable=False),
        sa.Column("message", sa.String, nullable=False),
        sa.Column("folder", sa.String, nullable=False),
        sa.Column("title", sa.String, nullable=False),
        sa.Column("tags", sa.JSON, nullable=False),
        sa.Column("document", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("uid", "version", name=op.f("pk_dashboards")),
    )
