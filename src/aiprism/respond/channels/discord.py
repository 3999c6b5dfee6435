"""Discord: an incoming webhook, with one embed whose colour tells how things stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aiprism.httpconfig import secret
from aiprism.respond.channels.post import Entry, Globals, Letter, cut, said
from aiprism.respond.message import Message
from aiprism.respond.template import Words, seen
from aiprism.yamlfile import Node

_TITLE, _DESCRIPTION, _CONTENT = 256, 4096, 2000
_RED, _GREEN = 0xB42318, 0x1A7F4B
_TEXTS = {
    "title": '{{ template "discord.default.title" . }}',
    "message": '{{ template "discord.default.message" . }}',
    "content": '{{ template "discord.default.content" . }}',
    "username": "", "avatar_url": "",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Discord(Entry):
    """One entry of `discord_configs`."""

    texts: Mapping[str, Words]
    channel: str = "discord"

    def letter(self, message: Message, key: str) -> Letter:
        texts = said(self.texts, seen(message))
        embed: dict[str, object] = {
            "title": cut(texts.get("title", ""), _TITLE),
            "description": cut(texts.get("message", ""), _DESCRIPTION),
            "color": _RED if message.firing else _GREEN,
        }
        if message.url:
            embed["url"] = message.url
        body: dict[str, object] = {"content": cut(texts.get("content", ""), _CONTENT), "embeds": [embed]}
        # Nobody is called by an "@everyone" in a label.
        body["allowed_mentions"] = {"parse": ["users", "roles", "everyone"] if texts.get("content") else []}
        body |= {name: texts[name] for name in ("username", "avatar_url") if name in texts}
        return Letter(self.url, body, key, self.http)


def read(node: Node, receiver: str, defaults: Globals) -> Discord:
    """The integration an entry of `discord_configs` describes."""
    node.fields("send_resolved", "http_config", "webhook_url", "webhook_url_file", *_TEXTS)
    url = secret(node, "webhook_url")
    if not url:
        raise node.error("discord_configs needs webhook_url or webhook_url_file")
    return Discord(url, *defaults.usual(node), texts=defaults.texts(node, _TEXTS))
