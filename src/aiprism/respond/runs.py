"""A run of a runbook: how one is called for, by an alert or by a person, and where it may stand.

    planned ─┬─▶ running ─▶ verifying ─▶ succeeded
             ├─▶ waiting_approval ─▶ planned           running, verifying ─▶ rolling_back ─┬─▶ rolled_back, aborted
             └─▶ skipped, dry_run, failed                                                 └─▶ failed

Rows of the control database stand behind it; `remediate` moves them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from aiprism.model.alerts import Alert
from aiprism.respond.guards import Touch
from aiprism.respond.incident import Incident
from aiprism.respond.placeholders import Subject, filled_query
from aiprism.respond.runbook import Runbook, filled_params
from aiprism.respond.subject import service_of
from aiprism.store import incidents as store

PLANNED = "planned"  # called for and not looked at yet
WAITING, RUNNING, VERIFYING, ROLLING_BACK = "waiting_approval", "running", "verifying", "rolling_back"
SUCCEEDED, FAILED, ROLLED_BACK, SKIPPED, DRY_RUN = "succeeded", "failed", "rolled_back", "skipped", "dry_run"
ABORTED = "aborted"  # a person ended it while it acted
UNDER_WAY = (RUNNING, VERIFYING, ROLLING_BACK)
# Runs that acted and are over. The others never touched anything.
OVER = (SUCCEEDED, FAILED, ROLLED_BACK, ABORTED)
WAITS = "waits"  # why a planned run may not begin yet, and until when, in its data
_INSTANCE_LABELS = ("instance", "pod")


@dataclass(frozen=True, slots=True)
class Run:
    """A run as it is carried out: its row, what it follows, and whom it is about."""

    row: store.RunRow
    runbook: Runbook
    subject: Subject

    @property
    def id(self) -> str:
        return self.row["id"]

    @property
    def incident_id(self) -> str:
        return self.subject.incident_id

    @property
    def actor(self) -> str:
        return f"runbook:{self.runbook.name}"

    @property
    def service(self) -> str:
        """The service its alert speaks of."""
        return service_of(self.subject.labels)

    def query(self, text: str) -> str:
        """A query of its runbook with this alert's values."""
        return filled_query(text, self.subject)

    def rehearse(self) -> None:
        """BadInput when any step or query has a placeholder this alert cannot fill: before the first one acts."""
        for step in (*self.runbook.steps, *self.runbook.rollback):
            filled_params(step, self.subject)
        for query in self.runbook.queries:
            self.query(query)

    def told_steps(self) -> str:
        """What it would do, in one line."""
        return "would do: " + ", ".join(f"{step.name} ({step.kind})" for step in self.runbook.steps)

    def changed(self, row: store.RunRow) -> Run:
        """The same run as its row is now."""
        return replace(self, row=row)


def of_row(row: store.RunRow, runbooks: Sequence[Runbook]) -> Run | None:
    """The run of a row; None when its runbook is gone or was changed since it was called for."""
    data = row["data"]
    runbook = next((item for item in runbooks if item.name == row["runbook"]), None)
    if runbook is None or runbook.digest != data.get("digest"):
        return None
    subject = Subject(
        labels=data["labels"],
        annotations=data["annotations"],
        incident_id=row["incident_id"] or "",
        alertname=data["alertname"],
        fingerprint=data["fingerprint"],
    )
    return Run(row, runbook, subject)


def touch_of(row: store.RunRow, at: float) -> Touch:
    """What a run that begins or began at that time is about, by the labels of its alert."""
    labels: Mapping[str, str] = row["data"]["labels"]
    instance = next((labels[name] for name in _INSTANCE_LABELS if labels.get(name)), "")
    return Touch(row["runbook"], service_of(labels), instance, at)


def episode_of(incident: Incident, alert: Alert) -> str:
    """What a runbook runs once for: an alert, because another instance wants its own repair, from one onset, because a
    repair may not last, in one round of its incident."""
    return f"{incident.reopened}_{alert.fingerprint}_{alert.active_at * 1000:.0f}"


def planned(runbook: Runbook, order: int, incident: Incident, alert: Alert) -> store.RunRow:
    """A run that an alert calls for; the same for the same episode, so that it is called for once."""
    episode = episode_of(incident, alert)
    return {
        "id": f"RUN_{incident.id.removeprefix('INC_')}_{runbook.name}_{episode}",
        "incident_id": incident.id,
        "runbook": runbook.name,
        "state": PLANNED,
        "started_at": None,
        "finished_at": None,
        "outcome": "",
        "data": {
            "digest": runbook.digest,
            "order": order,
            "episode": episode,
            "fingerprint": alert.fingerprint,
            "alertname": alert.name,
            "labels": alert.labels.to_dict(),
            "annotations": alert.annotations.to_dict(),
        },
    }


def by_hand(row: store.RunRow, number: int, actor: str, reason: str) -> store.RunRow:
    """The run of that row as one that a person asks for, beside those that alerts call for."""
    data = {**row["data"], "asked_by": actor, "reason": reason}
    return {**row, "id": f"{row['id']}_hand{number}", "data": data}
