"""Rocket.Chat: chat.postMessage of its REST API, with one attachment."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from aiprism.httpconfig import Secret
from aiprism.respond.channels.post import Answer, Entry, Globals, Letter, Verdict, said
from aiprism.respond.message import Message
from aiprism.respond.template import Words, seen
from aiprism.yamlfile import Node

_SHOWN = {
    "title": '{{ template "rocketchat.default.title" . }}',
    "title_link": '{{ template "rocketchat.default.titlelink" . }}',
    "text": '{{ template "rocketchat.default.text" . }}',
    "color": '{{ if eq .Status "firing" }}red{{ else }}green{{ end }}',
    "image_url": "", "thumb_url": "",
}  # fmt: skip
_SENDER = {"alias": '{{ template "rocketchat.default.alias" . }}', "emoji": "", "avatar": "", "channel": ""}
_FIELDS = (
    "send_resolved", "http_config", "api_url", "token", "token_file", "token_id", "token_id_file", "channel", "color", "title",
    "title_link", "text", "fields", "short_fields", "emoji", "icon_url", "image_url", "thumb_url", "link_names", "actions",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class RocketChat(Entry):
    """One entry of `rocketchat_configs`."""

    token: Secret
    token_id: Secret
    sender: Mapping[str, Words]
    shown: Mapping[str, Words]
    fields: tuple[Mapping[str, Words], ...] = ()
    short: tuple[bool, ...] = ()
    channel: str = "rocketchat"

    def letter(self, message: Message, key: str) -> Letter:
        what = seen(message)
        attachment: dict[str, object] = {**said(self.shown, what)}
        if self.fields:
            pairs = zip(self.fields, self.short, strict=True)
            attachment["fields"] = [{**said(each, what), "short": short} for each, short in pairs]
        return Letter(
            url=Secret(f"{self.url.reveal()}/api/v1/chat.postMessage"),
            body={**said(self.sender, what), "attachments": [attachment]},
            key=key,
            http=self.http,
            secrets=(self.token, self.token_id),
            headers={"X-Auth-Token": self.token.reveal(), "X-User-Id": self.token_id.reveal()},
            judge=_judge,
        )


def _judge(text: str) -> Answer | None:
    try:
        answer = json.loads(text)
    except ValueError:
        return None
    if not isinstance(answer, dict) or answer.get("success", True):
        return None
    return Answer(Verdict.REFUSED, f"Rocket.Chat says {str(answer.get('error', 'no'))[:100]}")


def read(node: Node, receiver: str, defaults: Globals) -> RocketChat:
    """The integration an entry of `rocketchat_configs` describes."""
    node.fields(*_FIELDS)
    if not node["channel"]:
        raise node.error("rocketchat_configs needs a channel")
    fields = [item.fields("title", "value", "short") for item in node["fields"].items()]
    short = node["short_fields"].flag(False)
    sender = {key: defaults.words(node["icon_url" if key == "avatar" else key], text) for key, text in _SENDER.items()}
    return RocketChat(
        Secret(defaults.address(node["api_url"], "rocketchat_api_url", "https://open.rocket.chat")),
        *defaults.usual(node, good_news=False),
        token=defaults.key(node, "token", "rocketchat_token"),
        token_id=defaults.key(node, "token_id", "rocketchat_token_id"),
        sender=sender,
        shown=defaults.texts(node, _SHOWN),
        fields=tuple({key: defaults.words(item[key]) for key in ("title", "value")} for item in fields),
        short=tuple(item["short"].flag(short) for item in fields),
    )
