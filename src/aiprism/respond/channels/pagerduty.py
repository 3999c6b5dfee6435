"""PagerDuty: Events API v2. One PagerDuty alert per incident, because the incident's id is the dedup key.

A `Message` comes in, a trigger, acknowledge or resolve goes out. `service_key` of the old API v1 is used as the routing
key: PagerDuty takes integration keys of either age on v2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aiprism.httpconfig import HttpOptions, Secret, http_options, secret
from aiprism.model.alerts import AlertState, Priority
from aiprism.respond.channels.post import Globals, Letter, plain
from aiprism.respond.message import Message
from aiprism.yamlfile import Node

_SUMMARY = 1024  # characters the Events API keeps
_SHOWN = 50
_FIELDS = (
    "send_resolved", "http_config", "service_key", "service_key_file", "routing_key", "routing_key_file", "url",
    "client", "client_url", "description", "details", "images", "links", "severity", "class", "component", "group",
    "source",
)  # fmt: skip
_ACTIONS = {
    "opened": "trigger", "escalated": "trigger", "reopened": "trigger", "firing": "trigger",
    "acknowledged": "acknowledge", "resolved": "resolve", "cleared": "resolve",
}  # fmt: skip
_SEVERITIES = {Priority.P0: "critical", Priority.P1: "error", Priority.P2: "warning", Priority.P3: "info"}


@dataclass(frozen=True, slots=True)
class PagerDuty:
    """One entry of `pagerduty_configs`."""

    url: Secret
    routing_key: Secret
    send_resolved: bool
    http: HttpOptions
    client: str = "aiprism"
    client_url: str = ""
    severity: str = ""
    channel: str = "pagerduty"

    def wants(self, message: Message) -> bool:
        # It has no state between triggered and resolved: "quiet, being watched" is nothing it could show.
        return message.event in _ACTIONS and (self.send_resolved or not message.over)

    def letter(self, message: Message, key: str) -> Letter:
        body = {"routing_key": self.routing_key.reveal(), **build(message, self)}
        return Letter(self.url, body, key, self.http, secrets=(self.routing_key,))


def read(node: Node, receiver: str, defaults: Globals) -> PagerDuty:
    """The integration an entry of `pagerduty_configs` describes."""
    node.fields(*_FIELDS)
    key = secret(node, "routing_key") or secret(node, "service_key")
    if not key:
        raise node.error(f"receiver {receiver!r} has no PagerDuty key: give routing_key or service_key")
    return PagerDuty(
        url=Secret(node["url"].text(defaults.pagerduty_url)),
        routing_key=key,
        send_resolved=node["send_resolved"].flag(True),
        http=http_options(node["http_config"]) if node["http_config"] else defaults.http,
        client=plain(node["client"]) or "aiprism",
        client_url=plain(node["client_url"]),
        severity=plain(node["severity"]),
    )


def build(message: Message, pagerduty: PagerDuty) -> Mapping[str, Any]:
    """The event without its routing key."""
    action = _ACTIONS[message.event]
    event: dict[str, Any] = {"event_action": action, "dedup_key": message.subject_id}
    if action != "trigger":
        return event
    event["payload"] = {
        "summary": f"[{message.priority.value}] {message.title}"[:_SUMMARY],
        "source": message.services[0] if message.services else "aiprism",
        "severity": pagerduty.severity or _SEVERITIES[message.priority],
        "timestamp": datetime.fromtimestamp(message.created_at, UTC).isoformat(timespec="milliseconds"),
        "component": ", ".join(message.services),
        "class": message.alerts[0].name if message.alerts else "",
        "custom_details": _details(message),
    }
    event["client"] = pagerduty.client
    client_url = pagerduty.client_url or message.url
    if client_url:
        event["client_url"] = client_url
        event["links"] = [{"href": client_url, "text": message.subject_id}]
    return event


def _details(message: Message) -> dict[str, Any]:
    firing = [alert for alert in message.alerts if alert.state is AlertState.FIRING]
    return {
        "event": message.event,
        "text": message.text,
        "description": message.description,
        "status": message.status,
        "num_firing": len(firing),
        "num_resolved": len(message.alerts) - len(firing),
        "firing": [{"labels": alert.labels.to_dict(), "value": str(alert.value)} for alert in firing[:_SHOWN]],
    }
