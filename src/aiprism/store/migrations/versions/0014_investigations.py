"""Investigations: what was asked to be looked into, and what was found."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "investigations",
        sa.Column("incident_id", sa.String, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("actor", sa.String, nullable=False),
        sa.Column("asked_at", sa.Float, nullable=False),
        sa.Column("started_at", sa.Float),
        sa.Column("finished_at", sa.Float),
        sa.Column("conclusion", sa.String, nullable=False),
        sa.Column("findings", sa.JSON),
        sa.PrimaryKeyConstraint("incident_id", "number", name=op.f("pk_investigations")),
        sa.ForeignKeyConstraint(
            ["incident_id"], ["incidents.id"], name=op.f("fk_investigations_incident_id_incidents"), ondelete="CASCADE"
        ),
    )
    op.create_index(op.f("ix_investigations_state"), "investigations", ["state"])
