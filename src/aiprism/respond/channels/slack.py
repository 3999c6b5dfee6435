"""Slack: incoming webhooks, and the Web API with a bot's token. A `Message` comes in, a text or attachment goes out.

What `slack_configs` words goes out as the attachment that Alertmanager sends. An entry that words nothing gets ours: a
headline with one coloured attachment of blocks.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from aiprism.errors import ConfigError
from aiprism.httpconfig import Authorization, HttpOptions, Secret, secret
from aiprism.model.alerts import Alert, AlertState, Priority
from aiprism.model.timerange import format_duration
from aiprism.respond.channels.post import Answer, Globals, Letter, Verdict, cut, post, said
from aiprism.respond.enrich import OWNER, TEAM, TIER
from aiprism.respond.hooks import ACKNOWLEDGE, button_value
from aiprism.respond.message import Message
from aiprism.respond.subject import service_of
from aiprism.respond.template import Seen, Words, seen
from aiprism.yamlfile import Node

# Limits of Block Kit: a header holds 150 characters, a section 3000, a field of one 2000.
_HEADER, _SECTION, _FIELD, _ALERTS = 150, 3000, 2000, 10
_LONG = 30_000  # of a text in an attachment; Slack refuses much longer ones
_NAMES = ("channel", "username", "icon_emoji", "icon_url")
_TEXTS = {
    "title": '{{ template "slack.default.title" . }}',
    "title_link": '{{ template "slack.default.titlelink" . }}',
    "pretext": '{{ template "slack.default.pretext" . }}',
    "text": '{{ template "slack.default.text" . }}',
    "fallback": '{{ template "slack.default.fallback" . }}',
    "callback_id": '{{ template "slack.default.callbackid" . }}',
    "footer": '{{ template "slack.default.footer" . }}',
    "color": '{{ template "slack.default.color" . }}',
    "image_url": "",
    "thumb_url": "",
}
_FIELDS = (
    "send_resolved", "http_config", "api_url", "api_url_file", "bot_token", "bot_token_file",
    "app_token", "app_token_file", "app_url", "timeout", *_NAMES, *_TEXTS,
    "fields", "short_fields", "link_names", "mrkdwn_in", "actions",
)  # fmt: skip
_POST_MESSAGE = "https://slack.com/api/chat.postMessage"
_POST = "chat.postMessage"
# The first message cannot be changed any more: another one takes its place.
_GONE = {f"Slack says {why}" for why in ("message_not_found", "cant_update_message", "edit_window_closed")}
_LOUD = {"opened", "escalated", "reopened", "firing", "overdue", "reminded", "paged", "update_due"}
_BUSY = {"ratelimited", "rate_limited", "internal_error", "fatal_error", "request_timeout", "service_unavailable"}

_COLORS = {Priority.P0: "#a30200", Priority.P1: "#e8590c", Priority.P2: "#daa038", Priority.P3: "#5b7083"}
_CALM = "#2eb886"
_WORDS = {
    "opened": ("🚨", "Incident"),
    "escalated": ("⏫", "Escalated"),
    "acknowledged": ("👀", "Acknowledged"),
    "unacknowledged": ("🙈", "No longer acknowledged"),
    "overdue": ("⏰", "Overdue"),
    "flapping": ("🎢", "Flapping"),
    "paged": ("📟", "Page"),
    "reminded": ("🔔", "Still not acknowledged"),
    "monitoring": ("🩺", "Quiet, being watched"),
    "reopened": ("🔁", "Reopened"),
    "resolved": ("✅", "Resolved"),
    "firing": ("⚠️", "Alert"),
    "cleared": ("✅", "Cleared"),
    "update_due": ("🕰️", "Update due"),
    "digest": ("🗞️", "Digest"),
    "update": ("📣", "Update"),
    "room": ("💬", "War room"),
}


async def _follow(reply: Letter, now: float, *, edit: Letter, anew: Letter) -> Answer:
    """Change the first message, then answer it: a try that is repeated may change again, and answers once."""
    edited = await post(edit, now)
    if edited.reason in _GONE:
        return await post(anew, now)
    if edited.verdict is not Verdict.DELIVERED:
        return edited
    answered = await post(replace(reply, carry=None), now)
    return replace(answered, receipt=edited.receipt) if answered.verdict is Verdict.DELIVERED else answered


@dataclass(frozen=True, slots=True)
class Attachment:
    """What an entry of `slack_configs` words: texts by Slack's names, fields and buttons."""

    texts: Mapping[str, Words]
    fields: tuple[Mapping[str, Words], ...] = ()
    short: tuple[bool, ...] = ()  # of each field
    actions: tuple[Mapping[str, Words | Mapping[str, Words]], ...] = ()
    mrkdwn_in: tuple[str, ...] = ("fallback", "pretext", "text")

    def of(self, what: Seen) -> dict[str, Any]:
        """The attachment for one message."""
        texts = {name: cut(text, _LONG) for name, text in said(self.texts, what).items()}
        shown: dict[str, Any] = {**texts, "mrkdwn_in": list(self.mrkdwn_in)}
        if self.fields:
            pairs = zip(self.fields, self.short, strict=True)
            shown["fields"] = [{**said(each, what), "short": short} for each, short in pairs]
        if self.actions:
            shown["actions"] = [_action_said(action, what) for action in self.actions]
        return shown


@dataclass(frozen=True, slots=True)
class Slack:
    """One entry of `slack_configs`. Without `attachment` it is told in our own form."""

    url: Secret
    send_resolved: bool
    http: HttpOptions
    names: Mapping[str, Words] = field(default_factory=dict)
    attachment: Attachment | None = None
    link_names: bool = False
    threads: bool = False  # a bot changes its first message and answers it; a webhook cannot
    timeout: float = 0.0
    channel: str = "slack"

    def wants(self, message: Message) -> bool:
        return self.send_resolved or not message.over

    def letter(self, message: Message, key: str) -> Letter:
        return Letter(self.url, build(message, self), key, self.http, judge=judge, timeout=self.timeout)

    def follow(self, message: Message, key: str, earlier: Mapping[str, str]) -> Letter:
        """The first message as things stand now, and an answer below it that says what happened."""
        anew = self.letter(message, key)
        place = {"channel": earlier["channel"], "ts": earlier["ts"]}
        body = {name: part for name, part in anew.body.items() if name not in _NAMES}
        url = Secret(f"{self.url.reveal().removesuffix(_POST)}chat.update")
        edit = replace(anew, url=url, body={**body, **place}, key=f"{key}-edit")
        reply = {
            "channel": earlier["channel"],
            "thread_ts": earlier["ts"],
            "text": cut(escaped(f"{_headline(message)}: {message.text}"), _SECTION),
            "reply_broadcast": message.event in _LOUD,  # into the channel, too
        }
        return replace(anew, body=reply, carry=functools.partial(_follow, edit=edit, anew=anew))


def read(node: Node, receiver: str, defaults: Globals) -> Slack:
    """The integration an entry of `slack_configs` describes. Slack's `send_resolved` is off by default, as there,
    but for a bot: what it opened it closes."""
    node.fields(*_FIELDS)
    token = _token(node, defaults.given)
    bot = bool(token) or node["api_url"].text("").endswith(_POST)
    url = secret(node, "api_url") or (_app_url(node, defaults) if token else defaults.slack_api_url)
    if not url:
        raise _no_url(node, receiver)
    if token and not node["channel"]:
        raise node.error("a bot_token needs a channel: a bot may write in many")
    return Slack(
        url,
        *defaults.usual(node, good_news=bot, auth=Authorization("Bearer", token) if token else None),
        names={name: defaults.words(node[name]) for name in _NAMES if node[name]},
        attachment=_attachment(node, defaults),
        link_names=node["link_names"].flag(False),
        threads=bot,
        timeout=node["timeout"].seconds(0.0),
    )


def _token(node: Node, given: Node) -> Secret:
    """A bot's token under our name or Alertmanager's; that of `global` is for entries that name no webhook."""
    own = secret(node, "bot_token") or secret(node, "app_token")
    return own if own or node["api_url"] or node["api_url_file"] else secret(given, "slack_app_token")


def _app_url(node: Node, defaults: Globals) -> Secret:
    return Secret(defaults.address(node["app_url"], "slack_app_url", _POST_MESSAGE))


def _no_url(node: Node, receiver: str) -> ConfigError:
    return node.error(
        f"receiver {receiver!r} has no Slack URL: give api_url or bot_token here, or global.slack_api_url"
    )


def _attachment(node: Node, defaults: Globals) -> Attachment | None:
    if not any(node[key] for key in (*_TEXTS, "fields", "actions")):
        return None
    texts = defaults.texts(node, _TEXTS)
    short = node["short_fields"].flag(False)
    fields = [item.fields("title", "value", "short") for item in node["fields"].items()]
    return Attachment(
        texts=texts,
        fields=tuple({key: _required(item, key, defaults) for key in ("title", "value")} for item in fields),
        short=tuple(item["short"].flag(short) for item in fields),
        actions=tuple(_action(item, defaults) for item in node["actions"].items()),
        mrkdwn_in=tuple(node["mrkdwn_in"].texts()) if node["mrkdwn_in"] else ("fallback", "pretext", "text"),
    )


def _required(item: Node, key: str, defaults: Globals) -> Words:
    words = defaults.words(item[key])
    if not words:
        raise item.error(f"{key} is required")
    return words


def _action(item: Node, defaults: Globals) -> Mapping[str, Words | Mapping[str, Words]]:
    item.fields("type", "text", "url", "style", "name", "value", "confirm")
    action: dict[str, Words | Mapping[str, Words]] = {key: _required(item, key, defaults) for key in ("type", "text")}
    if not item["url"] and not item["name"]:
        raise item.error("an action needs a url, or a name and a value")
    action |= {key: defaults.words(item[key]) for key in ("url", "style", "name", "value") if item[key]}
    if item["confirm"]:
        asked = item["confirm"].fields("title", "text", "ok_text", "dismiss_text")
        _required(asked, "text", defaults)
        action["confirm"] = defaults.library.mapping(asked)
    return action


def _action_said(action: Mapping[str, Words | Mapping[str, Words]], what: Seen) -> dict[str, Any]:
    return {key: part.of(what) if isinstance(part, Words) else said(part, what) for key, part in action.items()}


def judge(text: str) -> Answer | None:
    """Slack's Web API says 200 to what it refuses: `{"ok": false, "error": "channel_not_found"}`."""
    try:
        answer = json.loads(text)
    except ValueError:
        return None  # an incoming webhook says "ok"
    if not isinstance(answer, dict):
        return None
    if answer.get("ok", True):
        place = {key: str(answer.get(key, "")) for key in ("channel", "ts")}
        return Answer(Verdict.DELIVERED, receipt=place) if all(place.values()) else None
    why = str(answer.get("error", "unknown error"))
    return Answer(Verdict.AGAIN if why in _BUSY else Verdict.REFUSED, f"Slack says {why}")


def build(message: Message, slack: Slack) -> Mapping[str, Any]:
    """The body of a post: our own form, or the attachment that alertmanager.yml words."""
    what = seen(message)
    worded = slack.attachment is not None and not message.digest
    body: dict[str, Any] = (
        {"attachments": [slack.attachment.of(what)]} if worded and slack.attachment else _own(message)
    )
    if message.acknowledgeable:
        body["attachments"].append({"blocks": [_button(message)], "fallback": "Acknowledge"})
    if slack.link_names:
        body["link_names"] = True
    return body | said(slack.names, what)


# -- our own form ----------------------------------------------------------------------------------------------------


def _own(message: Message) -> dict[str, Any]:
    """`text` for notifications and plain clients, blocks for the rest."""
    if message.digest:
        return _digest(message, message.digest)
    if message.event in ("update", "room"):
        return _update(message)
    headline = f"{_headline(message)}: [{message.priority.value}] {message.title}"
    return {
        "text": cut(escaped(headline), _SECTION),
        "attachments": [
            {
                "color": _CALM if message.over else _COLORS[message.priority],
                "fallback": cut(headline, _SECTION),
                "blocks": _blocks(message, headline),
            }
        ],
    }


def _button(message: Message) -> dict[str, Any]:
    button = {
        "type": "button",
        "action_id": ACKNOWLEDGE,
        "text": {"type": "plain_text", "text": "Acknowledge"},
        "style": "primary",
        "value": button_value(message.subject_id, message.receiver, message.integration),
    }
    return {"type": "actions", "elements": [button]}


def _digest(message: Message, facts: Mapping[str, Any]) -> dict[str, Any]:
    """A day in short: the mail has all of it."""
    lines = [
        f"{'🔴' if row['firing'] else '🟢'} *{escaped(row['name'])}*"
        f"{' (' + escaped(row['service']) + ')' if row['service'] else ''}: {row['fired']} fired, longest {row['longest']}"
        for row in facts["alerts"][:_ALERTS]
    ]
    left = len(facts["alerts"]) + facts["hidden"] - len(lines)
    lines += [f"… and {left} more"] if left > 0 else []
    headline = f"{_headline(message)}: {message.title}"
    blocks = [
        {"type": "header", "text": {"type": "plain_text", "text": cut(headline, _HEADER), "emoji": True}},
        _section(escaped(message.text)),
        *([_section("\n".join(lines))] if lines else []),
    ]
    shown = {"color": _COLORS[message.priority], "fallback": cut(headline, _SECTION), "blocks": blocks}
    return {"text": cut(escaped(f"{headline}: {message.text}"), _SECTION), "attachments": [shown]}


def _update(message: Message) -> dict[str, Any]:
    """A status update says what somebody wrote, and nothing else: it may go to people who know nothing of us."""
    header = {"type": "header", "text": {"type": "plain_text", "text": cut(message.title, _HEADER), "emoji": True}}
    shown = {"color": "#2f6db3", "fallback": message.title, "blocks": [header, _section(escaped(message.text))]}
    return {"text": cut(escaped(f"{message.title}: {message.text}"), _SECTION), "attachments": [shown]}


def _headline(message: Message) -> str:
    return " ".join(_WORDS.get(message.event, ("ℹ️", message.event)))


def _blocks(message: Message, headline: str) -> list[dict[str, Any]]:
    facts = {
        "Status": message.status,
        "Priority": message.priority.value,
        "Services": escaped(", ".join(message.services)) or "not named",
        "Since": datetime.fromtimestamp(message.created_at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
    }
    for name, annotation in (("Owner", OWNER), ("Team", TEAM), ("Tier", TIER)):
        if told := message.annotated(annotation):
            facts[name] = escaped(", ".join(told))
    if message.resolved_at is not None:
        facts["Lasted"] = format_duration(max(0.0, round(message.resolved_at - message.created_at)))
    if message.acknowledged_by:
        facts["Acknowledged by"] = escaped(message.acknowledged_by)
    blocks = [
        {"type": "header", "text": {"type": "plain_text", "text": cut(headline, _HEADER), "emoji": True}},
        _section(escaped(message.text)),
        {"type": "section", "fields": [_markdown(cut(f"*{name}*\n{value}", _FIELD)) for name, value in facts.items()]},
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
    line = f"{mark} *{escaped(alert.name)}*{f' ({escaped(service)})' if service else ''}"
    line += f": {escaped(told)}" if told else ""
    return line + (f" <{escaped(runbook)}|runbook>" if runbook else "")


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": _markdown(cut(text or "no details", _SECTION))}


def _markdown(text: str) -> dict[str, str]:
    return {"type": "mrkdwn", "text": text}


def escaped(text: str) -> str:
    """Text in which Slack's three control characters are none (its "Formatting text" page)."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def escaped_within(text: str, size: int) -> str:
    """Escaped text in at most `size` characters, none of which is half of an escape.

    >>> escaped_within("a&b&c", 20), escaped_within("a&b&c", 10), escaped_within("a&b&c", 8)
    ('a&amp;b&amp;c', 'a&amp;b…', 'a&amp;b…')
    """
    return shortened(escaped(text), size)


def shortened(text: str, size: int) -> str:
    """Text that is escaped already in at most `size` characters, none of which is half of an escape."""
    short = cut(text, size)
    return short if short == text else re.sub(r"&[a-z]{0,4}…$", "…", short)
