"""An incident as it is told: everything kept about it, as JSON for the API, the command line and the pages.

In: a connection and an incident's id. Out: plain dicts; times are Unix seconds. Nothing here decides or changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection

from aiprism.model.alerts import Alert
from aiprism.respond import changes, journal, roomkeeping, wording
from aiprism.respond.incident import Incident, Limits
from aiprism.respond.runs import PLANNED, SUCCEEDED, WAITS
from aiprism.store import incidents as store

_CHANGES = 2  # that a description tells; the others stand on the timeline
_USUAL = Limits()


def summary(incident: Incident, limits: Limits = _USUAL) -> dict[str, Any]:
    """What a list of incidents shows of one; `limits` say how much is affected from when on."""
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
        "responded_at": incident.responded_at,
        "target_at": incident.target_at,
        "reopened": incident.reopened,
        **_work(incident, limits),
        "origin": incident.origin or None,
        "services": list(incident.services),
        "labels": incident.labels.to_dict(),
        "alerts": [_alert(alert) for alert in incident.alerts],
    }


def _work(incident: Incident, limits: Limits) -> dict[str, Any]:
    work = incident.work
    return {
        "impact": (work.said.impact or incident.reach.impact(limits)).value,
        "urgency": (work.said.urgency or incident.reach.most_urgent).value,
        "said": {name: value.value if value else None for name, value in asdict(work.said).items()},
        "assignee": work.assignee,
        "roles": dict(work.roles),
        "tasks": [asdict(task) for task in work.tasks],
        "pins": [asdict(pin) for pin in work.pins],
        "merged_into": work.merged_into or None,
        "absorbed": list(work.absorbed),
        "split_from": work.split_from or None,
    }


def dossier(connection: Connection, incident_id: str, limits: Limits = _USUAL) -> dict[str, Any]:
    """One incident with its timeline, notifications, runbook runs and durations; NotFound when there is none."""
    incident = journal.read(connection, incident_id)
    notifications = store.notification_rows(connection, [incident_id])
    runs = store.run_rows(connection, [incident_id])
    steps = store.step_rows(connection, [run["id"] for run in runs])
    timeline = store.event_rows(connection, [incident_id])
    changed = [
        wording.changed(each["title"], each["kind"], each["before"], each["way"] or "")
        for each in changes.shortly(incident, timeline)
    ]
    return {
        **summary(incident, limits),
        "description": "\n".join([incident.description, *changed[:_CHANGES]]),
        "timeline": [_without(event, "incident_id") for event in timeline],
        "notifications": [
            _without(row, "incident_id", "payload", "dedup_key", "next_at", "deadline", "tells")
            for row in notifications
        ],
        "runs": [_run(run, [step for step in steps if step["run_id"] == run["id"]]) for run in runs],
        "durations": durations(incident, notifications, runs),
        "channel": roomkeeping.channel_of(connection, incident_id),
    }


def durations(
    incident: Incident, notifications: Sequence[store.NotificationRow], runs: Sequence[store.RunRow]
) -> dict[str, float]:
    """Seconds: `detect` from the first alert's onset to the incident, and from the incident's opening until someone was
    told (`notify`), it was acknowledged, somebody or a runbook began to work on it (`respond`, in whichever round), a runbook's
    repair was done (`remediate`), and it was resolved."""
    onset = min((alert.active_at for alert in incident.alerts), default=incident.created_at)
    told = [
        row["sent_at"]
        for row in notifications
        if row["event"].partition("#")[0] in ("opened", "firing", "paged") and row["sent_at"] is not None
    ]
    repaired = [run["finished_at"] for run in runs if run["state"] == SUCCEEDED and run["finished_at"] is not None]
    begun = [run["started_at"] for run in runs if run["started_at"] is not None]
    begun += [incident.responded_at] if incident.responded_at is not None else []
    ends = {
        "notify": min(told, default=None),
        "acknowledge": incident.acknowledged_at,
        "respond": max(min(begun), incident.created_at) if begun else None,
        "remediate": min(repaired, default=None),
        "resolve": incident.resolved_at,
    }
    spans = {name: end - incident.created_at for name, end in ends.items() if end is not None}
    return {"detect": max(0.0, incident.created_at - onset), **spans}


def _alert(alert: Alert) -> dict[str, Any]:
    return {
        "fingerprint": alert.fingerprint,
        "name": alert.name,
        "state": alert.state.value,
        "value": journal.storable(alert.value),
        "labels": alert.labels.to_dict(),
        "annotations": alert.annotations.to_dict(),
        "active_at": alert.active_at,
        "fired_at": alert.fired_at,
        "resolved_at": alert.resolved_at,
    }


def _run(run: store.RunRow, steps: Sequence[store.StepRow]) -> dict[str, Any]:
    return {
        **_without(run, "incident_id", "data"),
        "before": run["data"].get("before"),
        "after": run["data"].get("after"),
        "waits": run["data"].get(WAITS) if run["state"] == PLANNED else None,
        "steps": [_without(step, "run_id") for step in steps],
    }


def _without(row: store.EventRow | store.NotificationRow | store.RunRow | store.StepRow, *names: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in names}
