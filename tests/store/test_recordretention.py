"""What is over for long enough leaves the control database, with what belongs to it; nothing else does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from aiprism.clock import FakeClock
from aiprism.config import RetentionConfig
from aiprism.store import recordretention
from aiprism.store.engine import Engine
from aiprism.store.housekeeping import Housekeeping
from aiprism.store.recordretention import Forgotten, forget
from aiprism.store.records import Records, control_commands, incident_events, incidents, notifications, runbook_runs
from aiprism.store.rollups import Rollups
from aiprism.telemetry import Telemetry
from tests.lab.servers import postgresql

DAY = 86_400.0


@pytest.fixture(params=["sqlite", "postgresql"])
def records(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Records]:
    if request.param == "sqlite":
        opened = Records.open(f"sqlite:///{tmp_path / 'control.db'}")
        yield opened
        opened.close()
        return
    with postgresql() as url:
        opened = Records.open(url)
        yield opened
        opened.close()


def stock(records: Records) -> None:
    """Things of each kind that were over at 10, 30, or are not."""
    with records.begin() as connection:
        for name, status, at in (("old", "resolved", 10.0), ("new", "resolved", 30.0), ("open", "investigating", None)):
            connection.execute(
                incidents.insert(),
                {
                    "id": name,
                    "priority": "P1",
                    "status": status,
                    "created_at": 1.0,
                    "updated_at": 1.0,
                    "resolved_at": at,
                },
            )
            connection.execute(incident_events.insert(), {"incident_id": name, "at": 1.0, "event": "created"})
            connection.execute(notifications.insert(), letter(f"of {name}", name, "sent"))
        connection.execute(notifications.insert(), letter("alone", None, "sent"))
        connection.execute(notifications.insert(), letter("waiting", None, "pending"))
        for name, at in (("done", 10.0), ("running", None)):
            run = {"id": name, "runbook": "r", "state": "x", "started_at": 1.0, "finished_at": at}
            connection.execute(runbook_runs.insert(), run)
        for name, expires, revoked in (("expired", 10.0, None), ("revoked", None, 10.0), ("in force", None, None)):
            command = {"id": name, "service": "s", "control": "c", "kind": "k", "action": "a", "issued_at": 1.0}
            connection.execute(control_commands.insert(), {**command, "expires_at": expires, "revoked_at": revoked})


def letter(name: str, incident: str | None, state: str) -> dict[str, object]:
    of = {"receiver": name, "channel": "slack", "event": "opened", "state": state, "created_at": 1.0}
    return {"id": name, "incident_id": incident, **of}


def left(records: Records, table: sa.Table) -> set[str]:
    with records.reading() as connection:
        return set(connection.scalars(sa.select(table.c.incident_id if table is incident_events else table.c.id)))


def test_what_is_over_leaves_with_what_belongs_to_it_and_what_is_not_stays(records: Records) -> None:
    stock(records)
    assert list(forget(records, 20.0)) == [
        Forgotten("incidents", 1),
        Forgotten("notifications", 1),
        Forgotten("runbook_runs", 1),
        Forgotten("control_commands", 2),
    ]
    assert left(records, incidents) == left(records, incident_events) == {"new", "open"}
    assert left(records, notifications) == {"of new", "of open", "waiting"}
    assert left(records, runbook_runs) == {"running"}
    assert left(records, control_commands) == {"in force"}
    assert list(forget(records, 20.0)) == []


def test_it_goes_slice_by_slice(records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recordretention, "SLICE", 1)
    stock(records)
    assert [each.rows for each in forget(records, 40.0)] == [1, 1, 1, 1, 1, 1]


def test_housekeeping_forgets_after_the_period_of_records_and_counts(engine: Engine, tmp_path: Path) -> None:
    records = Records.open(f"sqlite:///{tmp_path / 'control.db'}")
    stock(records)
    telemetry = Telemetry()
    for days, period, expected in ((9, 0, 3), (9, 10 * DAY, 3), (11, 10 * DAY, 1)):
        clock = FakeClock(days * DAY)
        keeping = Housekeeping(
            engine,
            replace(RetentionConfig(), records=period),
            clock,
            telemetry,
            rollups=Rollups(engine, clock.now),
            free_bytes=lambda: 10**12,
            records=records,
        )
        keeping.run_once()
        assert len(left(records, incidents)) == expected
    assert 'dropped_total{reason="expired",stage="control.incidents"} 2.0' in telemetry.exposition().decode()
    records.close()


def test_while_it_looks_others_write(tmp_path: Path) -> None:
    records = Records.open(f"sqlite:///{tmp_path / 'control.db'}")
    with records.begin():  # somebody else's write takes as long as it takes
        assert list(forget(records, 20.0)) == []
    records.close()
