"""Pushover: its message API, a form. Messages of priority 2 ring until someone acknowledges them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aiprism.httpconfig import Secret, secret
from aiprism.respond.channels.post import Entry, Globals, Letter, cut, said
from aiprism.respond.message import Message
from aiprism.respond.template import Words, seen
from aiprism.yamlfile import Node

_LIMITS = {"title": 250, "message": 1024, "url": 512, "url_title": 100}
_TEXTS = {
    "title": '{{ template "pushover.default.title" . }}',
    "message": '{{ template "pushover.default.message" . }}',
    "url": '{{ template "pushover.default.url" . }}',
    "url_title": "", "device": "", "sound": "",
    "priority": '{{ if eq .Status "firing" }}2{{ else }}0{{ end }}',
}  # fmt: skip
_FIELDS = (
    "send_resolved", "http_config", "user_key", "user_key_file", "token", "token_file", "retry", "expire", "ttl", "html",
    "monospace", *_TEXTS,
)  # fmt: skip
_SHORTEST, _LONGEST = 30.0, 10800.0  # seconds that `retry` at least and `expire` at most can be


@dataclass(frozen=True, slots=True)
class Pushover(Entry):
    """One entry of `pushover_configs`."""

    user_key: Secret
    token: Secret
    texts: Mapping[str, Words]
    retry: float = 60.0
    expire: float = 3600.0
    ttl: float = 0.0
    style: str = ""
    channel: str = "pushover"

    def letter(self, message: Message, key: str) -> Letter:
        texts = {name: cut(text, _LIMITS.get(name, 1024)) for name, text in said(self.texts, seen(message)).items()}
        body = {"token": self.token.reveal(), "user": self.user_key.reveal(), **texts}
        body.setdefault("message", "(no details)")  # it refuses a message without text
        if texts.get("priority") == "2":
            body |= {"retry": f"{self.retry:.0f}", "expire": f"{self.expire:.0f}"}
        if self.ttl:
            body["ttl"] = f"{self.ttl:.0f}"
        if self.style:
            body[self.style] = "1"
        return Letter(self.url, body, key, self.http, secrets=(self.token, self.user_key), form=True)


def read(node: Node, receiver: str, defaults: Globals) -> Pushover:
    """The integration an entry of `pushover_configs` describes."""
    node.fields(*_FIELDS)
    token, user_key = secret(node, "token"), secret(node, "user_key")
    if not token or not user_key:
        raise node.error("pushover_configs needs user_key and token (or their files)")
    html, monospace = node["html"].flag(False), node["monospace"].flag(False)
    if html and monospace:
        raise node["monospace"].error("give html or monospace, not both")
    return Pushover(
        Secret("https://api.pushover.net/1/messages.json"),
        *defaults.usual(node),
        user_key=user_key,
        token=token,
        texts=defaults.texts(node, _TEXTS),
        retry=max(node["retry"].seconds(60.0), _SHORTEST),
        expire=min(node["expire"].seconds(3600.0), _LONGEST),
        ttl=node["ttl"].seconds(0.0),
        style="html" if html else "monospace" if monospace else "",
    )
