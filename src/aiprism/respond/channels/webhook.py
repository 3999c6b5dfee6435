"""Webhook: Alertmanager's JSON, version 4, so that whatever took Alertmanager's posts takes ours.

An additional `incident` object tells what Alertmanager has no words for. A `Message` comes in, a `Letter` goes out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from aiprism.httpconfig import HttpOptions, Secret, secret
from aiprism.model.alerts import Alert, AlertState
from aiprism.respond.channels.post import Globals, Letter
from aiprism.respond.known import NEVER, alert_fingerprint, rfc3339
from aiprism.respond.message import Message, shared
from aiprism.respond.template import quoted_name
from aiprism.yamlfile import Node


@dataclass(frozen=True, slots=True)
class Webhook:
    """One entry of `webhook_configs`."""

    url: Secret
    receiver: str
    send_resolved: bool
    max_alerts: int
    http: HttpOptions
    timeout: float = 0.0
    channel: str = "webhook"

    def wants(self, message: Message) -> bool:
        return self.send_resolved or not message.over

    def letter(self, message: Message, key: str) -> Letter:
        body = build(message, self.receiver, self.max_alerts)
        return Letter(self.url, body, key, self.http, timeout=self.timeout)


def read(node: Node, receiver: str, defaults: Globals) -> Webhook:
    """The integration an entry of `webhook_configs` describes."""
    node.fields("send_resolved", "http_config", "url", "url_file", "max_alerts", "timeout")
    url = secret(node, "url")
    if not url:
        raise node.error("url or url_file is required")
    return Webhook(
        url=url,
        receiver=receiver,
        send_resolved=node["send_resolved"].flag(True),
        max_alerts=node["max_alerts"].integer(0),
        http=defaults.options(node),
        timeout=node["timeout"].seconds(0.0),
    )


def build(message: Message, receiver: str, max_alerts: int = 0) -> Mapping[str, Any]:
    """Alertmanager's webhook JSON v4 with an `incident` object; `max_alerts` of 0 means all."""
    shown = message.alerts[:max_alerts] if max_alerts > 0 else message.alerts
    return {
        "receiver": quoted_name(receiver),
        "status": "firing" if any(alert.state is AlertState.FIRING for alert in shown) else "resolved",
        "alerts": [_alert(alert) for alert in shown],
        "groupLabels": message.group_labels.to_dict(),
        "commonLabels": shared(shown, "labels").to_dict(),
        "commonAnnotations": shared(shown, "annotations").to_dict(),
        "externalURL": message.external_url,
        "version": "4",
        "groupKey": message.group_key,
        "truncatedAlerts": len(message.alerts) - len(shown),
        "incident": _incident(message),
        **({"digest": message.digest} if message.digest else {}),
    }


def _alert(alert: Alert) -> dict[str, Any]:
    over = alert.state is AlertState.RESOLVED and alert.resolved_at is not None
    return {
        "status": "resolved" if over else "firing",
        "labels": alert.labels.to_dict(),
        "annotations": alert.annotations.to_dict(),
        "startsAt": rfc3339(alert.fired_at if alert.fired_at is not None else alert.active_at),
        "endsAt": rfc3339(alert.resolved_at) if over and alert.resolved_at is not None else NEVER,
        "generatorURL": alert.source,
        "fingerprint": alert_fingerprint(alert.labels),
    }


def _incident(message: Message) -> dict[str, Any]:
    if message.is_incident:
        return {
            "id": message.subject_id,
            "event": message.event,
            "text": message.text,
            "title": message.title,
            "description": message.description,
            "priority": message.priority.value,
            "status": message.status,
            "services": list(message.services),
            "created_at": message.created_at,
            "resolved_at": message.resolved_at,
            "acknowledged_by": message.acknowledged_by,
            "url": message.url,
        }
    said = {"event": message.event, "text": message.text}
    return {**(asdict(message.incident) if message.incident else {"id": None}), **said}
