"""What a notification says, before a channel gives it its form.

A `Message` is a snapshot of an incident (or of a lone alert) at one event. It is kept as JSON in the outbox row, so
what is sent after a restart is what was true when people were to be told. It never holds addresses or secrets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiprism.model.alerts import Alert, AlertState, Priority
from aiprism.model.labels import Labels
from aiprism.respond.incident import Incident
from aiprism.respond.subject import description_of, service_of, title_of


@dataclass(frozen=True, slots=True)
class Message:
    """One thing to tell one receiver. `event` is a Notice value; a lone alert has `firing` or `cleared`."""

    event: str
    text: str
    at: float
    subject_id: str  # the incident's id; of a lone alert ALERT_<fingerprint>
    is_incident: bool
    title: str
    description: str
    priority: Priority
    status: str
    created_at: float
    services: tuple[str, ...]
    alerts: tuple[Alert, ...]
    url: str = ""
    acknowledged_by: str = ""
    resolved_at: float | None = None

    @property
    def firing(self) -> bool:
        """True while any of its alerts fires."""
        return any(alert.state is AlertState.FIRING for alert in self.alerts)

    @property
    def over(self) -> bool:
        """True for the messages that `send_resolved: false` holds back."""
        return self.event in ("monitoring", "resolved", "cleared")

    def shared(self, *, annotations: bool = False) -> Labels:
        """The labels (or annotations) that all alerts have in common."""
        sets = [set((alert.annotations if annotations else alert.labels).pairs) for alert in self.alerts]
        return Labels(set.intersection(*sets)) if sets else Labels()


def of_incident(incident: Incident, event: str, text: str, at: float, external_url: str) -> Message:
    """What to say about `incident` at `event`."""
    return Message(
        event=event,
        text=text,
        at=at,
        subject_id=incident.id,
        is_incident=True,
        title=incident.title,
        description=incident.description,
        priority=incident.priority,
        status=incident.status.value,
        created_at=incident.created_at,
        services=incident.services,
        alerts=incident.alerts,
        url=f"{external_url.rstrip('/')}/incidents/{incident.id}" if external_url else "",
        acknowledged_by=incident.acknowledged_by,
        resolved_at=incident.resolved_at,
    )


def of_alert(alert: Alert, at: float, external_url: str) -> Message:
    """What to say about an alert that opens no incident."""
    fires = alert.state is AlertState.FIRING
    service = service_of(alert.labels)
    return Message(
        event="firing" if fires else "cleared",
        text=f"{alert.name} {'fires' if fires else 'is no longer firing'}",
        at=at,
        subject_id=f"ALERT_{alert.fingerprint}",
        is_incident=False,
        title=title_of([alert]),
        description=description_of([alert]),
        priority=alert.priority,
        status="firing" if fires else "resolved",
        created_at=alert.active_at,
        services=(service,) if service else (),
        alerts=(alert,),
        url=f"{external_url.rstrip('/')}/alerts" if external_url else "",
        resolved_at=alert.resolved_at,
    )


def to_payload(message: Message) -> dict[str, Any]:
    """The message as JSON for its row."""
    return {
        "event": message.event,
        "text": message.text,
        "at": message.at,
        "subject_id": message.subject_id,
        "is_incident": message.is_incident,
        "title": message.title,
        "description": message.description,
        "priority": message.priority.value,
        "status": message.status,
        "created_at": message.created_at,
        "services": list(message.services),
        "alerts": [_alert_payload(alert) for alert in message.alerts],
        "url": message.url,
        "acknowledged_by": message.acknowledged_by,
        "resolved_at": message.resolved_at,
    }


def from_payload(payload: Mapping[str, Any]) -> Message:
    """The message of a row."""
    plain = {
        **payload,
        "priority": Priority(payload["priority"]),
        "services": tuple(payload["services"]),
        "alerts": tuple(_alert(alert) for alert in payload["alerts"]),
    }
    return Message(**plain)


def _alert_payload(alert: Alert) -> dict[str, Any]:
    return {
        "labels": alert.labels.to_dict(),
        "annotations": alert.annotations.to_dict(),
        "state": alert.state.value,
        "value": repr(alert.value),  # as text: JSON has no NaN
        "active_at": alert.active_at,
        "fired_at": alert.fired_at,
        "resolved_at": alert.resolved_at,
        "source": alert.source,
    }


def _alert(payload: Mapping[str, Any]) -> Alert:
    plain = {
        **payload,
        "labels": Labels(payload["labels"]),
        "annotations": Labels(payload["annotations"]),
        "state": AlertState(payload["state"]),
        "value": float(payload["value"]),
    }
    return Alert(**plain)
