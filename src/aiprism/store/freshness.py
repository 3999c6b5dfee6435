"""What of the control database has changed: a token for each topic that pages show, another one after every change.

In: a connection. Out: tokens to compare. A change of another process is seen too, as all of them write to one database.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from aiprism.store.records import alert_states, alerts, incident_events, incidents, silences

# Each is one row of figures from an index or from a table of at most some thousand rows.
_TOPICS: Mapping[str, tuple[sa.Select[*tuple[Any, ...]], ...]] = {
    "incidents": (
        sa.select(sa.func.max(incident_events.c.id)),
        sa.select(sa.func.count(), sa.func.max(incidents.c.updated_at)).select_from(incidents),
    ),
    "alerts": (
        sa.select(sa.func.count(), sa.func.sum(alert_states.c.active_at), sa.func.sum(alert_states.c.fired_at)),
        # Not when they were heard of last: what fires is told again and again.
        sa.select(sa.func.count(), sa.func.sum(alerts.c.starts_at)).where(alerts.c.open),
    ),
    "silences": (sa.select(sa.func.count(), sa.func.max(silences.c.updated_at)).select_from(silences),),
}


def tokens(connection: Connection) -> Mapping[str, str]:
    """The token of each topic."""
    return {
        topic: repr([tuple(connection.execute(question).one()) for question in questions])
        for topic, questions in _TOPICS.items()
    }
