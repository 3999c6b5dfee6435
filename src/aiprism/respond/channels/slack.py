"""Slack: incoming webhooks. A `Message` comes in, a text with one coloured attachment of blocks goes out.

Titles and texts with Go templates are not rendered: `route` warns about them by name, and our own words are used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aiprism.errors import ConfigError
from aiprism.httpconfig import HttpOptions, Secret, http_options, secret
from aiprism.model.alerts import Alert, AlertState, Priority
from aiprism.model.timerange import format_duration
from aiprism.respond.channels.post import Globals, Letter, plain
from aiprism.respond.message import Message
from aiprism.respond.subject import service_of
from aiprism.yamlfile import Node

# Limits of Block Kit: a header holds 150 characters, a section 3000, a field of one 2000.
_HEADER, _SECTION, _FIELD, _ALERTS = 150, 3000, 2000, 10
_FIELDS = (
    "send_resolved", "http_config", "api_url", "api_url_file", "channel", "username", "color", "title", "title_link",
    "pretext", "text", "fields", "short_fields", "footer", "fallback", "callback_id", "icon_emoji", "icon_url",
    "image_url", "thumb_url", "link_names", "mrkdwn_in", "actions",
)  # fmt: skip

_COLORS = {Priority.P0: "#a30200", Priority.P1: "#e8590c", Priority.P2: "#daa038", Priority.P3: "#5b7083"}
_CALM = "#2eb886"
_WORDS = {
    "opened": ("🚨", "Incident"),
    "escalated": ("⏫", "Escalated"),
    "acknowledged": ("👀", "Acknowledged"),
    "monitoring": ("🩺", "Quiet, being watched"),
    "reopened": ("🔁", "Reopened"),
    "resolved": ("✅", "Resolved"),
    "firing": ("⚠️", "Alert"),
    "cleared": ("✅", "Cleared"),
}


@dataclass(frozen=True, slots=True)
class Slack:
    """One entry of `slack_configs`. `title` and `text` are empty unless they are plain words."""

    url: Secret
    send_resolved: bool
    http: HttpOptions
    to: str = ""
    username: str = ""
    icon_emoji: str = ""
    icon_url: str = ""
    title: str = ""
    text: str = ""
    channel: str = "slack"

    def wants(self, message: Message) -> bool:
        return self.send_resolved or not message.over

    def letter(self, message: Message, key: str) -> Letter:
        return Letter(self.url, build(message, self), key, self.http)


def read(node: Node, receiver: str, defaults: Globals) -> Slack:
    """The integration an entry of `slack_configs` describes. Slack's `send_resolved` is off by default, as there."""
    node.fields(*_FIELDS)
    url = secret(node, "api_url") or defaults.slack_api_url
    if not url:
        raise _no_url(node, receiver)
    return Slack(
        url=url,
        send_resolved=node["send_resolved"].flag(False),
        http=http_options(node["http_config"]) if node["http_config"] else defaults.http,
        to=plain(node["channel"]),
        username=plain(node["username"]),
        icon_emoji=plain(node["icon_emoji"]),
        icon_url=plain(node["icon_url"]),
        title=plain(node["title"]),
        text=plain(node["text"]),
    )


def _no_url(node: Node, receiver: str) -> ConfigError:
    return node.error(f"receiver {receiver!r} has no Slack URL: give api_url here, or global.slack_api_url")


def build(message: Message, slack: Slack) -> Mapping[str, Any]:
    """An incoming-webhook body: `text` for notifications and plain clients, blocks for the rest."""
    icon, word = _WORDS.get(message.event, ("ℹ️", message.event))
    title = slack.title or message.title
    headline = f"{icon} {word}: [{message.priority.value}] {title}"
    body: dict[str, Any] = {
        "text": _cut(_escaped(headline), _SECTION),
        "attachments": [
            {
                "color": _CALM if message.over else _COLORS[message.priority],
                "fallback": _cut(headline, _SECTION),
                "blocks": _blocks(message, headline, slack),
            }
        ],
    }
    names = {
        "channel": slack.to,
        "username": slack.username,
        "icon_emoji": slack.icon_emoji,
        "icon_url": slack.icon_url,
    }
    return body | {key: value for key, value in names.items() if value}


def _blocks(message: Message, headline: str, slack: Slack) -> list[dict[str, Any]]:
    facts = {
        "Status": message.status,
        "Priority": message.priority.value,
        "Services": _escaped(", ".join(message.services)) or "not named",
        "Since": datetime.fromtimestamp(message.created_at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
    }
    if message.resolved_at is not None:
        facts["Lasted"] = format_duration(max(0.0, round(message.resolved_at - message.created_at)))
    if message.acknowledged_by:
        facts["Acknowledged by"] = _escaped(message.acknowledged_by)
    blocks = [
        {"type": "header", "text": {"type": "plain_text", "text": _cut(headline, _HEADER), "emoji": True}},
        _section(_escaped(slack.text or message.text)),
        {"type": "section", "fields": [_markdown(_cut(f"*{name}*\n{value}", _FIELD)) for name, value in facts.items()]},
        _section("\n".join(_lines(message))),
    ]
    tail = f"<{message.url}|{message.subject_id}>" if message.url else message.subject_id
    return [*blocks, {"type": "context", "elements": [_markdown(tail)]}]


def _lines(message: Message) -> list[str]:
    lines = [_line(alert) for alert in message.alerts[:_ALERTS]]
    hidden = len(message.alerts) - len(lines)
    return [*lines, f"… and {hidden} more alerts"] if hidden > 0 else lines


def _line(alert: Alert) -> str:
    mark = "🔴" if alert.state is AlertState.FIRING else "🟢"
    service = service_of(alert.labels)
    told = alert.annotations.get("summary") or alert.annotations.get("description", "")
    runbook = alert.annotations.get("runbook_url", "")
    line = f"{mark} *{_escaped(alert.name)}*{f' ({_escaped(service)})' if service else ''}"
    line += f": {_escaped(told)}" if told else ""
    return line + (f" <{_escaped(runbook)}|runbook>" if runbook else "")


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": _markdown(_cut(text or "no details", _SECTION))}


def _markdown(text: str) -> dict[str, str]:
    return {"type": "mrkdwn", "text": text}


def _escaped(text: str) -> str:
    """Slack's three control characters (its "Formatting text" page)."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _cut(text: str, size: int) -> str:
    return text if len(text) <= size else text[: size - 1] + "…"
