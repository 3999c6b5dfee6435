"""War rooms: that an incident has one, and the lines written in it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "war_rooms",
        sa.Column("incident_id", sa.String, nullable=False),
        sa.Column("opened_at", sa.Float, nullable=False),
        sa.Column("opened_by", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("incident_id", name=op.f("pk_war_rooms")),
        sa.ForeignKeyConstraint(
            ["incident_id"], ["incidents.id"], ondelete="CASCADE", name=op.f("fk_war_rooms_incident_id_incidents")
        ),
    )
    op.create_table(
        "war_room_lines",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), autoincrement=True, nullable=False),
        sa.Column("incident_id", sa.String, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("author", sa.String, nullable=False),
        sa.Column("text", sa.String, nullable=False),
        sa.Column("data", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_war_room_lines")),
        sa.ForeignKeyConstraint(
            ["incident_id"], ["incidents.id"], ondelete="CASCADE", name=op.f("fk_war_room_lines_incident_id_incidents")
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_war_room_lines_incident_id_id"), "war_room_lines", ["incident_id", "id"])
