"""Incidents as the state machine knows them ↔ rows of the control database.

In: a connection inside a transaction. Out: frozen `Incident`s, and the rows that keep them and their timelines. The
statements themselves stand in `store/incidents.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection

from aiprism.errors import NotFound
from aiprism.model.alerts import Alert, AlertState, Priority
from aiprism.model.labels import Labels
from aiprism.respond.deadlines import Progress
from aiprism.respond.incident import Entry, Impact, Incident, Pin, Said, Status, Task, Urgency, Work
from aiprism.respond.oncall import escalation
from aiprism.store import incidents as store

_PLAIN = frozenset({str, int, bool, type(None)})


def open_incidents(connection: Connection) -> list[Incident]:
    """Every incident that is not resolved, oldest first."""
    return _read(connection, store.incident_rows(connection, without_status=Status.RESOLVED.value))[::-1]


def listed(connection: Connection, status: str, limit: int) -> list[Incident]:
    """The youngest incidents, newest first; `status` is open, all, or one of the four."""
    if status == "open":
        rows = store.incident_rows(connection, without_status=Status.RESOLVED.value, limit=limit)
    else:
        rows = store.incident_rows(connection, status="" if status == "all" else status, limit=limit)
    return _read(connection, rows)


def during(connection: Connection, start: float, end: float) -> list[Incident]:
    """The incidents that were open at any time from `start` to `end`, newest first."""
    return _read(connection, store.incident_rows(connection, during=(start, end)))


def read(connection: Connection, incident_id: str) -> Incident:
    """One incident; NotFound when there is none of that id."""
    found = _read(connection, store.incident_rows(connection, ids=[incident_id]))
    if not found:
        raise NotFound(f"no incident {incident_id!r}")
    return found[0]


def current_id(connection: Connection, incident_id: str) -> str:
    """The id of the incident that this one goes on as; its own if it was not merged. NotFound when there is none."""
    return _current_row(connection, incident_id)["id"]


def work_of(connection: Connection, incident_id: str) -> Work:
    """What people keep about an incident, or about the one it goes on as a part of, without its alerts; NotFound."""
    return _work(_current_row(connection, incident_id)["work"] or {})


def _current_row(connection: Connection, incident_id: str) -> store.IncidentRow:
    row = _row_of(connection, incident_id)
    while row["merged_into"]:
        row = _row_of(connection, row["merged_into"])
    return row


def _row_of(connection: Connection, incident_id: str) -> store.IncidentRow:
    found = store.incident_rows(connection, ids=[incident_id])
    if not found:
        raise NotFound(f"no incident {incident_id!r}")
    return found[0]


def these(connection: Connection, ids: Sequence[str]) -> list[Incident]:
    """The incidents of these ids."""
    return _read(connection, store.incident_rows(connection, ids=ids))


def last_incidents_of(
    connection: Connection, fingerprints: Sequence[str], known: Iterable[Incident] = ()
) -> dict[str, Incident]:
    """For each of these alerts that ever was in an incident: the one that holds its latest episode. Those that are known need
    not be read."""
    ids = store.newest_incidents_of(connection, fingerprints)
    incidents = {each.id: each for each in known}
    incidents |= {each.id: each for each in these(connection, sorted({*ids.values()} - incidents.keys()))}
    return {fingerprint: incidents[incident_id] for fingerprint, incident_id in ids.items()}


@dataclass(frozen=True, slots=True)
class Written:
    """An incident as it is now, the lines to append to its timeline, and when time alone changes it next."""

    incident: Incident
    entries: Sequence[Entry]
    due_at: float | None
    before: Incident | None = None  # as it is kept

    @property
    def alerts(self) -> list[Alert]:
        """Those that are not kept as they are now."""
        alerts, before = self.incident.alerts, self.before
        if before is None:
            return list(alerts)
        if alerts[: len(before.alerts)] == before.alerts:  # it has more, and nothing else: so it is in a storm
            return list(alerts[len(before.alerts) :])
        return [alert for alert in alerts if before.alert(alert.fingerprint) is not alert]


def write(connection: Connection, changes: Sequence[Written]) -> None:
    """Keep what became of incidents, with few statements however many there are."""
    rows = [_row(each.incident, each.due_at) for each in changes]
    store.put_incidents(
        connection, rows, [_alert_row(each.incident, alert) for each in changes for alert in each.alerts]
    )
    lines = [_line(each.incident.id, entry) for each in changes for entry in each.entries]
    store.append_events(connection, lines)


def _line(incident_id: str, entry: Entry) -> dict[str, object]:
    return {
        "incident_id": incident_id,
        "at": entry.at,
        "event": entry.event,
        "actor": entry.actor,
        "text": entry.text,
        "data": storable(entry.data),
    }


def storable(value: object) -> object:
    """`value` with what JSON cannot say (NaN, ±Inf) as text, so that SQLite and PostgreSQL keep the same."""
    if type(value) in _PLAIN:  # nearly all there is, and a storm has hundreds of thousands
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    if isinstance(value, Mapping):
        return {str(key): inner if type(inner) in _PLAIN else storable(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [inner if type(inner) in _PLAIN else storable(inner) for inner in value]
    return value


def _read(connection: Connection, rows: Sequence[store.IncidentRow]) -> list[Incident]:
    ids = [row["id"] for row in rows]
    alerts: dict[str, list[Alert]] = {}
    for alert in store.alert_rows(connection, ids):
        alerts.setdefault(alert["incident_id"], []).append(_alert(alert))
    reopened: dict[str, list[float]] = {}
    for event in store.event_rows(connection, ids, event="reopened"):
        reopened.setdefault(event["incident_id"], []).append(event["at"])
    return [_incident(row, alerts.get(row["id"], []), reopened.get(row["id"], [])) for row in rows]


def _incident(row: store.IncidentRow, alerts: Iterable[Alert], reopened: Sequence[float]) -> Incident:
    return Incident(
        id=row["id"],
        priority=Priority(row["priority"]),
        status=Status(row["status"]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        alerts=tuple(alerts),
        target_at=row["target_at"],
        identified_at=row["identified_at"],
        monitoring_since=row["monitoring_since"],
        resolved_at=row["resolved_at"],
        acknowledged_at=row["acknowledged_at"],
        acknowledged_by=row["acknowledged_by"] or "",
        reopened=len(reopened),
        reopened_at=max(reopened, default=None),
        responded_at=row["responded_at"],
        progress=_progress(row["progress"] or {}),
        work=_work(row["work"] or {}),
        origin=row["origin"] or "",
    )


def _stored(progress: Progress) -> dict[str, Any]:
    climbs = [each.stored() for each in progress.climbs]
    return {**asdict(progress), "taken": list(progress.taken), "climbs": climbs, "acting": list(progress.acting)}


def _progress(kept: Mapping[str, Any]) -> Progress:
    climbs = tuple(escalation.kept(each) for each in kept.get("climbs", ()))
    acting = tuple(kept.get("acting", ()))
    return Progress(**{**kept, "taken": tuple(kept.get("taken", ())), "climbs": climbs, "acting": acting})


def _kept_work(work: Work) -> dict[str, Any] | None:
    if work == Work():
        return None
    said = {name: value.value if value else None for name, value in asdict(work.said).items()}
    return {**asdict(work), "said": said, "parted": sorted(work.parted)}


def _work(kept: Mapping[str, Any]) -> Work:
    if not kept:
        return Work()
    said = kept["said"]
    return Work(
        **{
            **kept,
            "said": Said(
                impact=Impact(said["impact"]) if said["impact"] else None,
                urgency=Urgency(said["urgency"]) if said["urgency"] else None,
                priority=Priority(said["priority"]) if said["priority"] else None,
            ),
            "tasks": tuple(Task(**each) for each in kept["tasks"]),
            "pins": tuple(Pin(**each) for each in kept["pins"]),
            "absorbed": tuple(kept["absorbed"]),
            "parted": frozenset(kept["parted"]),
        }
    )


def _alert(row: store.AlertRow) -> Alert:
    return Alert(
        labels=Labels(row["labels"]),
        annotations=Labels(row["annotations"]),
        state=AlertState(row["state"]),
        value=row["value"],
        active_at=row["active_at"],
        fired_at=row["fired_at"],
        resolved_at=row["resolved_at"],
    )


def _row(incident: Incident, due_at: float | None) -> store.IncidentRow:
    return {
        "id": incident.id,
        "title": incident.title,
        "description": incident.description,
        "priority": incident.priority.value,
        "status": incident.status.value,
        "created_at": incident.created_at,
        "updated_at": incident.updated_at,
        "identified_at": incident.identified_at,
        "monitoring_since": incident.monitoring_since,
        "resolved_at": incident.resolved_at,
        "acknowledged_at": incident.acknowledged_at,
        "acknowledged_by": incident.acknowledged_by or None,
        "target_at": incident.target_at,
        "responded_at": incident.responded_at,
        "due_at": due_at,
        "progress": _stored(incident.progress),
        "work": _kept_work(incident.work),
        "merged_into": incident.work.merged_into or None,
        "origin": incident.origin or None,
        "services": list(incident.services),
        "labels": incident.labels.to_dict(),
    }


def _alert_row(incident: Incident, alert: Alert) -> store.AlertRow:
    return {
        "incident_id": incident.id,
        "fingerprint": alert.fingerprint,
        "name": alert.name,
        "labels": alert.labels.to_dict(),
        "annotations": alert.annotations.to_dict(),
        "state": alert.state.value,
        "value": alert.value,
        "active_at": alert.active_at,
        "fired_at": alert.fired_at,
        "resolved_at": alert.resolved_at,
    }
