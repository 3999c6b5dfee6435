"""What other tools told us: so that it is not taken twice, and to know what they call an incident of ours."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "hook_events",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("theirs", sa.String, nullable=False),
        sa.Column("incident_id", sa.String, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_hook_events"),
        sa.ForeignKeyConstraint(
            ["incident_id"], ["incidents.id"], name="fk_hook_events_incident_id_incidents", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_hook_events_theirs", "hook_events", ["theirs"])
    op.create_index("ix_hook_events_at", "hook_events", ["at"])
