"""Mattermost: an incoming webhook, with attachments, priority and a card where the entry words them.

A `Message` comes in, a `Letter` goes out. What an attachment says may also stand in the entry itself: that is one attachment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiprism.httpconfig import secret
from aiprism.respond.channels.post import Entry, Globals, Letter, cut, said
from aiprism.respond.message import Message
from aiprism.respond.template import Seen, Words, seen
from aiprism.yamlfile import Node

_TEXT = 16_383  # characters, "Tips and best practices" of Mattermost's page on incoming webhooks
_SAID = {
    "text": '{{ template "mattermost.default.text" . }}',
    "username": '{{ template "mattermost.default.username" . }}',
    "channel": "", "icon_url": "", "icon_emoji": "", "type": "",
}  # fmt: skip
# Of an attachment; in the entry itself, too, but for the text.
_WORDED = ("fallback", "color", "pretext", "author_name", "author_link", "author_icon", "title", "title_link", "thumb_url",
           "footer", "footer_icon", "image_url")  # fmt: skip
_URGENT, _STANDARD = "urgent", "standard"
_PRIORITIES = (_URGENT, "important", _STANDARD)


@dataclass(frozen=True, slots=True)
class Attachment:
    """What one attachment says."""

    texts: Mapping[str, Words]
    fields: tuple[Mapping[str, Words], ...] = ()
    short: tuple[bool | None, ...] = ()

    def shown(self, what: Seen) -> dict[str, Any]:
        """It for one message."""
        fields = [
            {**said(each, what), **({} if short is None else {"short": short})}
            for each, short in zip(self.fields, self.short, strict=True)
        ]
        return {**said(self.texts, what), **({"fields": fields} if fields else {})}


@dataclass(frozen=True, slots=True)
class Urgency:
    """The priority of a message, and what Mattermost does about it."""

    priority: Words
    requested_ack: bool
    persistent: bool

    def shown(self, what: Seen) -> dict[str, Any]:
        """It for one message: an unknown priority is standard, of which Mattermost takes no request for an answer."""
        given = self.priority.of(what).lower()
        priority = given if given in _PRIORITIES else _STANDARD
        return {
            "priority": priority,
            "requested_ack": self.requested_ack and priority != _STANDARD,
            "persistent_notifications": self.persistent and priority == _URGENT,
        }


@dataclass(frozen=True, slots=True)
class Mattermost(Entry):
    """One entry of `mattermost_configs`."""

    texts: Mapping[str, Words]
    attachments: tuple[Attachment, ...] = ()
    card: Words | None = None
    urgency: Urgency | None = None
    channel: str = "mattermost"

    def letter(self, message: Message, key: str) -> Letter:
        what = seen(message)
        body: dict[str, Any] = {"text": "", **said(self.texts, what)}
        body["text"] = cut(body["text"], _TEXT)
        if self.attachments:
            body["attachments"] = [each.shown(what) for each in self.attachments]
        if self.card is not None:
            body["props"] = {"card": self.card.of(what)}
        if self.urgency is not None:
            body["priority"] = self.urgency.shown(what)
        return Letter(self.url, body, key, self.http)


def read(node: Node, receiver: str, defaults: Globals) -> Mattermost:
    """The integration an entry of `mattermost_configs` describes."""
    node.fields(
        "send_resolved", "http_config", "webhook_url", "webhook_url_file", "attachments", "fields", "props", "priority",
        *_SAID, *_WORDED,
    )  # fmt: skip
    url = secret(node, "webhook_url") or secret(defaults.given, "mattermost_webhook_url")
    if not url:
        raise node.error("mattermost_configs needs webhook_url or webhook_url_file, here or in global")
    attachments = [_attachment(item, defaults) for item in node["attachments"].items()]
    if node["fields"] or any(node[key] for key in _WORDED):
        attachments.append(_of(node, defaults, _WORDED))
    card = node["props"].fields("card")["card"]
    return Mattermost(
        url,
        *defaults.usual(node),
        texts=defaults.texts(node, _SAID),
        attachments=tuple(attachments),
        card=defaults.words(card) if card else None,
        urgency=_urgency(node["priority"], defaults),
    )


def _attachment(node: Node, defaults: Globals) -> Attachment:
    return _of(node.fields("text", "fields", *_WORDED), defaults, ("text", *_WORDED))


def _of(node: Node, defaults: Globals, keys: tuple[str, ...]) -> Attachment:
    fields = [item.fields("title", "value", "short") for item in node["fields"].items()]
    for item in fields:
        if not (item["title"] and item["value"]):
            raise item.error("a field needs a title and a value")
    return Attachment(
        defaults.texts(node, dict.fromkeys(keys, "")),
        tuple({key: defaults.words(item[key]) for key in ("title", "value")} for item in fields),
        tuple(None if item["short"].missing else item["short"].flag(False) for item in fields),
    )


def _urgency(node: Node, defaults: Globals) -> Urgency | None:
    node.fields("priority", "requested_ack", "persistent_notifications")
    if not node["priority"]:
        return None
    return Urgency(
        defaults.words(node["priority"]),
        node["requested_ack"].flag(False),
        node["persistent_notifications"].flag(False),
    )
