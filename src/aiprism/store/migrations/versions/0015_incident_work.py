"""What people keep about an incident: roles, tasks, evidence; and where one goes on that was merged."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("incidents", sa.Column("work", sa.JSON))
    op.add_column("incidents", sa.Column("merged_into", sa.String))
