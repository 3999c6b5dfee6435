"""What a notification says, before a channel gives it its form.

A `Message` is a snapshot of an incident at one event, or of an aggregation group at one flush. It is kept as JSON in the
outbox row, so what is sent after a restart is what was true when people were to be told. It never holds addresses or
secrets. Alertmanager's notification templates find here all they speak of: receiver, group key and labels, external URL.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from aiprism.model.alerts import Alert, AlertState, Priority
from aiprism.model.labels import Labels
from aiprism.respond.incident import Incident
from aiprism.respond.subject import service_of
from aiprism.respond.wording import description_of, title_of


@dataclass(frozen=True, slots=True)
class About:
    """The incident that holds what a group's notification tells of."""

    id: str
    title: str
    priority: str
    status: str
    created_at: float
    url: str = ""
    acknowledged_by: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """One thing to tell one receiver. `event` is a Notice value; of a group `firing` or `resolved`; of a tier's day `digest`."""

    event: str
    text: str
    at: float
    subject_id: str  # the incident's id; of a group the hash of its key: what is told of the same has the same
    is_incident: bool
    title: str
    description: str
    priority: Priority
    status: str
    created_at: float
    services: tuple[str, ...]
    alerts: tuple[Alert, ...]  # a group's in Alertmanager's order; those that fire have no `resolved_at`
    url: str = ""  # where a person looks
    acknowledged_by: str = ""
    resolved_at: float | None = None
    receiver: str = ""  # the name in alertmanager.yml
    integration: int = 0  # which of the receiver's, by number; known to whoever sends it, not to the outbox's payload
    group_key: str = ""  # Alertmanager's text, such as {}/{severity="critical"}:{alertname="Down"}
    group_labels: Labels = field(default_factory=Labels)
    external_url: str = ""  # where the platform is found
    incident: About | None = None  # of a group whose alerts are in one
    digest: Mapping[str, Any] | None = None  # of a daily digest: the facts (`respond.digest`)
    acknowledgeable: bool = False  # whether a button may be shown that acknowledges it

    @property
    def firing(self) -> bool:
        """True while any of its alerts fires."""
        return any(alert.state is AlertState.FIRING for alert in self.alerts)

    @property
    def over(self) -> bool:
        """True for the messages that `send_resolved: false` holds back."""
        return self.event in ("monitoring", "resolved")

    def annotated(self, name: str) -> tuple[str, ...]:
        """What the alerts' annotations of that name say, each once."""
        said = (alert.annotations.get(name, "") for alert in self.alerts)
        return tuple(dict.fromkeys(text for text in said if text))

    def shared(self, *, annotations: bool = False) -> Labels:
        """The labels (or annotations) that all alerts have in common."""
        return shared(self.alerts, "annotations" if annotations else "labels")


def shared(alerts: Sequence[Alert], what: Literal["labels", "annotations"]) -> Labels:
    """What all of `alerts` have in common."""
    sets = [set((alert.annotations if what == "annotations" else alert.labels).pairs) for alert in alerts]
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
        url=_below(external_url, f"incidents/{incident.id}"),
        acknowledged_by=incident.acknowledged_by,
        resolved_at=incident.resolved_at,
        group_key=f'{{}}:{{incident="{incident.id}"}}',
        group_labels=Labels({"incident": incident.id}),
        external_url=external_url,
    )


def of_group(
    key: str,
    labels: Labels,
    alerts: Sequence[Alert],
    *,
    at: float,
    external_url: str,
    incident: Incident | None = None,
) -> Message:
    """What to say about an aggregation group with these alerts, at least one, in this order."""
    firing = [alert for alert in alerts if alert.state is AlertState.FIRING]
    about = _about(incident, external_url) if incident else None
    services = [service_of(alert.labels) for alert in alerts]
    return Message(
        event="firing" if firing else "resolved",
        text=_count(len(firing), len(alerts)),
        at=at,
        subject_id=hashlib.sha256(key.encode()).hexdigest(),
        is_incident=False,
        title=title_of(alerts),
        description=description_of(alerts),
        priority=min((alert.priority for alert in firing or alerts), key=lambda tier: tier.urgency),
        status="firing" if firing else "resolved",
        created_at=min(alert.active_at for alert in alerts),
        services=tuple(dict.fromkeys(service for service in services if service)),
        alerts=tuple(alerts),
        url=about.url if about else _below(external_url, "alerts"),
        resolved_at=None if firing else max((alert.resolved_at or at for alert in alerts), default=at),
        group_key=key,
        group_labels=labels,
        external_url=external_url,
        incident=about,
    )


def _count(firing: int, all_: int) -> str:
    fires = "1 alert fires" if firing == 1 else f"{firing} alerts fire"
    over = all_ - firing
    if not over:
        return fires
    cleared = "1 is over" if over == 1 else f"{over} are over"
    return f"{fires}, {cleared}" if firing else f"no alert fires any more, {cleared}"


def _about(incident: Incident, external_url: str) -> About:
    return About(
        id=incident.id,
        title=incident.title,
        priority=incident.priority.value,
        status=incident.status.value,
        created_at=incident.created_at,
        url=_below(external_url, f"incidents/{incident.id}"),
        acknowledged_by=incident.acknowledged_by,
    )


def _below(external_url: str, path: str) -> str:
    return f"{external_url.rstrip('/')}/{path}" if external_url else ""


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
        "receiver": message.receiver,
        "group_key": message.group_key,
        "group_labels": message.group_labels.to_dict(),
        "external_url": message.external_url,
        "incident": asdict(message.incident) if message.incident else None,
        "digest": message.digest,
        "acknowledgeable": message.acknowledgeable,
    }


def from_payload(payload: Mapping[str, Any]) -> Message:
    """The message of a row."""
    plain = {
        **payload,
        "priority": Priority(payload["priority"]),
        "services": tuple(payload["services"]),
        "alerts": tuple(_alert(alert) for alert in payload["alerts"]),
        # Rows of an earlier version say nothing of these.
        "group_labels": Labels(payload.get("group_labels", {})),
        "incident": About(**payload["incident"]) if payload.get("incident") else None,
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
