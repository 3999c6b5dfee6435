"""What was pinned in war rooms is pinned on their incidents."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

_LINES = sa.table(
    "war_room_lines",
    sa.column("id"), sa.column("incident_id"), sa.column("at"), sa.column("kind"), sa.column("author"), sa.column("text"),
    sa.column("data", sa.JSON),
)  # fmt: skip
_INCIDENTS = sa.table("incidents", sa.column("id"), sa.column("work", sa.JSON))
_NOTHING: dict[str, Any] = {
    "said": {"impact": None, "urgency": None, "priority": None}, "assignee": "", "roles": {}, "tasks": [], "pins": [],
    "merged_into": "", "absorbed": [], "split_from": "", "parted": [],
}  # fmt: skip


def upgrade() -> None:
    connection = op.get_bind()
    pinned: dict[str, dict[int, dict[str, object]]] = {}
    for line in connection.execute(
        sa.select(_LINES).where(_LINES.c.kind.in_(["pinned", "unpinned"])).order_by(_LINES.c.id)
    ):
        of_incident = pinned.setdefault(line.incident_id, {})
        if line.kind == "unpinned":
            of_incident.pop(line.data.get("pin", 0), None)
            continue
        kept = {name: line.data.get(name, "") for name in ("evidence", "ref", "url")}
        of_incident[line.id] = {"what": line.text, "text": "", "by": line.author, "at": line.at, **kept}
    for incident_id, pins in pinned.items():
        where = _INCIDENTS.c.id == incident_id
        work: dict[str, Any] = connection.execute(sa.select(_INCIDENTS.c.work).where(where)).scalar_one() or _NOTHING
        number = max((int(pin["id"][1:]) for pin in work["pins"]), default=0)
        named = [{"id": f"E{number + place}", **pin} for place, pin in enumerate(pins.values(), start=1)]
        after = {**work, "pins": [*work["pins"], *named], "last_pin": number + len(named)}
        connection.execute(sa.update(_INCIDENTS).where(where).values(work=after))
