"""PagerDuty: Events API v2. One PagerDuty alert per incident or group, whose id is the dedup key.

A `Message` comes in, a trigger, acknowledge or resolve goes out. `service_key` of the old API v1 is used as the routing
key: PagerDuty takes integration keys of either age on v2. Where `pagerduty_configs` words nothing, our own words go out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiprism.httpconfig import HttpOptions, Secret, secret
from aiprism.model.alerts import AlertState, Priority
from aiprism.respond.channels.post import Globals, Letter, cut
from aiprism.respond.enrich import OWNER, RUNBOOK, TEAM, TIER
from aiprism.respond.message import Message
from aiprism.respond.template import Seen, Words, seen
from aiprism.yamlfile import Node

_SUMMARY = 1024  # characters the Events API keeps
_SHOWN = 50
_RUNBOOKS = 5
_DETAILS = 60_000  # characters of all worded details, which are at most six bytes each in JSON
_WORDED = ("client", "client_url", "description", "severity", "class", "component", "group", "source")
_FIELDS = (
    "send_resolved", "http_config", "service_key", "service_key_file", "routing_key", "routing_key_file", "url",
    "details", "images", "links", "timeout", *_WORDED,
)  # fmt: skip
_OWNERS = {"owner": OWNER, "team": TEAM, "tier": TIER}
_IMAGE, _LINK = ("href", "src", "alt"), ("href", "text")
_ACTIONS = {
    "opened": "trigger", "escalated": "trigger", "reopened": "trigger", "firing": "trigger",
    "overdue": "trigger", "reminded": "trigger", "unacknowledged": "trigger", "flapping": "trigger", "paged": "trigger",
    "acknowledged": "acknowledge", "resolved": "resolve", "cleared": "resolve",
}  # fmt: skip
_SEVERITIES = {Priority.P0: "critical", Priority.P1: "error", Priority.P2: "warning", Priority.P3: "info"}
_KNOWN = frozenset(_SEVERITIES.values())


@dataclass(frozen=True, slots=True)
class PagerDuty:
    """One entry of `pagerduty_configs`: the texts it words by their keys, the others are ours."""

    url: Secret
    routing_key: Secret
    send_resolved: bool
    http: HttpOptions
    texts: Mapping[str, Words] = field(default_factory=dict)
    details: Mapping[str, Words] = field(default_factory=dict)
    images: tuple[Mapping[str, Words], ...] = ()
    links: tuple[Mapping[str, Words], ...] = ()
    timeout: float = 0.0
    channel: str = "pagerduty"

    def wants(self, message: Message) -> bool:
        # It has no state between triggered and resolved: "quiet, being watched" is nothing it could show.
        return message.event in _ACTIONS and (self.send_resolved or not message.over)

    def letter(self, message: Message, key: str) -> Letter:
        body = {"routing_key": self.routing_key.reveal(), **build(message, self)}
        return Letter(self.url, body, key, self.http, secrets=(self.routing_key,), timeout=self.timeout)


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
        http=defaults.options(node),
        timeout=node["timeout"].seconds(0.0),
        texts={key: defaults.words(node[key]) for key in _WORDED if node[key]},
        details=defaults.library.mapping(node["details"]),
        images=tuple(defaults.library.mapping(item.fields(*_IMAGE)) for item in node["images"].items()),
        links=tuple(defaults.library.mapping(item.fields(*_LINK)) for item in node["links"].items()),
    )


def build(message: Message, pagerduty: PagerDuty) -> Mapping[str, Any]:
    """The event without its routing key."""
    action, what = _ACTIONS[message.event], seen(message)
    event: dict[str, Any] = {"event_action": action, "dedup_key": message.subject_id}
    if action != "trigger":
        return event
    said = {key: text for key, words in pagerduty.texts.items() if (text := words.of(what))}
    event["payload"] = {
        "summary": said.get("description", f"[{message.priority.value}] {message.title}")[:_SUMMARY],
        "source": said.get("source", message.services[0] if message.services else "aiprism"),
        "severity": _severity(said.get("severity", ""), message),
        "timestamp": datetime.fromtimestamp(message.created_at, UTC).isoformat(timespec="milliseconds"),
        "component": said.get("component", ", ".join(message.services)),
        "class": said.get("class", message.alerts[0].name if message.alerts else ""),
        "custom_details": {**_details(message), **_cut_details(_said(pagerduty.details, what))},
    }
    if "group" in said:
        event["payload"]["group"] = said["group"]
    event["client"] = said.get("client", "aiprism")
    client_url = said.get("client_url", message.url)
    links = [_said(link, what) for link in pagerduty.links]
    if client_url:
        event["client_url"] = client_url
        links.insert(0, {"href": client_url, "text": message.subject_id})
    links += [{"href": url, "text": "runbook"} for url in message.annotated(RUNBOOK)[:_RUNBOOKS]]
    images = [_said(image, what) for image in pagerduty.images]
    # An entry whose template gave nothing would make PagerDuty refuse the whole event.
    return event | _unless_empty("links", links, "href") | _unless_empty("images", images, "src")


def _cut_details(details: Mapping[str, str]) -> dict[str, str]:
    """PagerDuty refuses events of more than 512 KB, and then nobody is called."""
    return {key: cut(text, _DETAILS // len(details)) for key, text in details.items()}


def _severity(said: str, message: Message) -> str:
    """The Events API refuses other words than its four."""
    return said.lower() if said.lower() in _KNOWN else _SEVERITIES[message.priority]


def _said(texts: Mapping[str, Words], what: Seen) -> dict[str, str]:
    return {key: words.of(what) for key, words in texts.items()}


def _unless_empty(key: str, items: list[dict[str, str]], needed: str) -> dict[str, list[dict[str, str]]]:
    whole = [item for item in items if item.get(needed)]
    return {key: whole} if whole else {}


def _details(message: Message) -> dict[str, Any]:
    firing = [alert for alert in message.alerts if alert.state is AlertState.FIRING]
    return {
        "event": message.event,
        "text": message.text,
        "description": message.description,
        "status": message.status,
        **{word: ", ".join(said) for word, name in _OWNERS.items() if (said := message.annotated(name))},
        "num_firing": len(firing),
        "num_resolved": len(message.alerts) - len(firing),
        "firing": [{"labels": alert.labels.to_dict(), "value": str(alert.value)} for alert in firing[:_SHOWN]],
    }
