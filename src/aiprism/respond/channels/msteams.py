"""Microsoft Teams: a connector's card (`msteams_configs`), or an adaptive card to a workflow (`msteamsv2_configs`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiprism.httpconfig import Secret, secret
from aiprism.respond.channels.post import Entry, Globals, Letter, cut_bytes, said
from aiprism.respond.message import Message
from aiprism.respond.template import Words, seen
from aiprism.yamlfile import Node

_TEXT = 20_000  # Teams refuses bodies of more than 28 KB
_OLD = {
    "title": '{{ template "msteams.default.title" . }}',
    "summary": '{{ template "msteams.default.summary" . }}',
    "text": '{{ template "msteams.default.text" . }}',
}
_NEW = {
    "title": '{{ template "msteamsv2.default.title" . }}',
    "text": '{{ template "msteamsv2.default.text" . }}',
}


@dataclass(frozen=True, slots=True)
class Teams(Entry):
    """One entry of `msteams_configs`."""

    texts: Mapping[str, Words]
    channel: str = "msteams"

    def letter(self, message: Message, key: str) -> Letter:
        texts = said(self.texts, seen(message))
        body = {
            "@context": "https://schema.org/extensions",
            "@type": "MessageCard",
            "themeColor": "b42318" if message.firing else "1a7f4b",
            "title": texts.get("title", ""),
            "summary": texts.get("summary", "") or texts.get("title", "") or message.title,
            "text": cut_bytes(texts.get("text", ""), _TEXT),
        }
        return Letter(self.url, body, key, self.http)


@dataclass(frozen=True, slots=True)
class TeamsWorkflow(Entry):
    """One entry of `msteamsv2_configs`."""

    texts: Mapping[str, Words]
    channel: str = "msteamsv2"

    def letter(self, message: Message, key: str) -> Letter:
        texts = said(self.texts, seen(message))
        color = "Attention" if message.firing else "Good"
        title = {
            "type": "TextBlock",
            "text": texts.get("title", ""),
            "wrap": True,
            "weight": "Bolder",
            "size": "Medium",
        }
        card: dict[str, Any] = {
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "type": "AdaptiveCard",
            "version": "1.4",
            "msteams": {"width": "Full"},
            "body": [
                {**title, "style": "heading", "color": color},
                {"type": "TextBlock", "text": cut_bytes(texts.get("text", ""), _TEXT), "wrap": True},
            ],
        }
        if message.url:
            card["actions"] = [{"type": "Action.OpenUrl", "title": "Look at it", "url": message.url}]
        shown = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
        return Letter(self.url, {"type": "message", "attachments": [shown]}, key, self.http)


def read(node: Node, receiver: str, defaults: Globals) -> Teams:
    """The integration an entry of `msteams_configs` describes."""
    return Teams(_url(node, _OLD), *defaults.usual(node), texts=defaults.texts(node, _OLD))


def read_workflow(node: Node, receiver: str, defaults: Globals) -> TeamsWorkflow:
    """The integration an entry of `msteamsv2_configs` describes."""
    return TeamsWorkflow(_url(node, _NEW), *defaults.usual(node), texts=defaults.texts(node, _NEW))


def _url(node: Node, texts: Mapping[str, str]) -> Secret:
    node.fields("send_resolved", "http_config", "webhook_url", "webhook_url_file", *texts)
    url = secret(node, "webhook_url")
    if not url:
        raise node.error("Microsoft Teams needs webhook_url or webhook_url_file")
    return url
