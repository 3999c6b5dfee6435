"""Opsgenie: the Alert API v2. One Opsgenie alert per incident or group, whose id is the alias.

A `Message` comes in; a new alert, an acknowledgement or a close goes out, and with `update_alerts` the new texts after it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiprism.httpconfig import Authorization, Secret
from aiprism.model.alerts import Priority
from aiprism.respond.channels.post import Entry, Globals, Letter, cut, said
from aiprism.respond.message import Message
from aiprism.respond.template import Seen, Words, seen
from aiprism.yamlfile import Node

# What the Alert API keeps of each (its "Create Alert" page).
_MESSAGE, _DESCRIPTION, _TAGS, _NOTE = 130, 15000, 20, 25000
_TEXTS = {
    "message": '{{ template "opsgenie.default.message" . }}',
    "description": '{{ template "opsgenie.default.description" . }}',
    "source": '{{ template "opsgenie.default.source" . }}',
    "tags": "", "note": "", "priority": "", "entity": "", "actions": "",
}  # fmt: skip
_FIELDS = (
    "send_resolved",
    "http_config",
    "api_key",
    "api_key_file",
    "api_url",
    "details",
    "responders",
    "update_alerts",
    *_TEXTS,
)
_RESPONDER = ("id", "name", "username", "type")
_PRIORITIES = {Priority.P0: "P1", Priority.P1: "P2", Priority.P2: "P3", Priority.P3: "P4"}


@dataclass(frozen=True, slots=True)
class Opsgenie(Entry):
    """One entry of `opsgenie_configs`."""

    texts: Mapping[str, Words]
    details: Mapping[str, Words] = field(default_factory=dict)
    responders: tuple[Mapping[str, Words], ...] = ()
    update_alerts: bool = False
    channel: str = "opsgenie"

    def letter(self, message: Message, key: str) -> Letter:
        what = seen(message)
        texts = said(self.texts, what)
        short = {name: text for name, text in texts.items() if name in ("source", "note")}
        if message.event in ("resolved", "cleared"):
            return self._letter(key, f"{message.subject_id}/close", short)
        if message.event == "acknowledged":
            return self._letter(key, f"{message.subject_id}/acknowledge", short)
        body = self._alert(message, texts, what)
        changes = [(name, body[name]) for name in ("message", "description") if self.update_alerts and name in body]
        then = tuple(self._letter(key, f"{message.subject_id}/{name}", {name: text}, "PUT") for name, text in changes)
        return self._letter(key, "", body, then=then)

    def _letter(
        self, key: str, path: str, body: Mapping[str, Any], method: str = "POST", then: tuple[Letter, ...] = ()
    ) -> Letter:
        return Letter(
            url=Secret(f"{self.url.reveal()}/v2/alerts" + (f"/{path}?identifierType=alias" if path else "")),
            body=body,
            key=key,
            http=self.http,
            method=method,
            then=then,
        )

    def _alert(self, message: Message, texts: Mapping[str, str], what: Seen) -> dict[str, Any]:
        details = {**message.shared().to_dict(), **said(self.details, what)}
        body: dict[str, Any] = {
            **texts,
            "alias": message.subject_id,
            "message": cut(texts.get("message", message.title), _MESSAGE),
            "description": cut(texts.get("description", ""), _DESCRIPTION),
            "priority": texts.get("priority", _PRIORITIES[message.priority]),
            "details": details,
            "responders": [_responder(said(each, what)) for each in self.responders],
        }
        for name in ("tags", "actions"):
            if name in texts:
                body[name] = [item.strip() for item in texts[name].split(",") if item.strip()][:_TAGS]
        if "note" in body:
            body["note"] = cut(body["note"], _NOTE)
        return {name: value for name, value in body.items() if value}


def _responder(given: Mapping[str, str]) -> Mapping[str, str]:
    return {**given, "type": given.get("type", "team").lower()}


def read(node: Node, receiver: str, defaults: Globals) -> Opsgenie:
    """The integration an entry of `opsgenie_configs` describes."""
    node.fields(*_FIELDS)
    for item in node["responders"].items():
        item.fields(*_RESPONDER)
        if not any(item[key] for key in ("id", "name", "username")):
            raise item.error("a responder needs an id, a name or a username")
    key = defaults.key(node, "api_key", "opsgenie_api_key")
    return Opsgenie(
        Secret(defaults.address(node["api_url"], "opsgenie_api_url", "https://api.opsgenie.com")),
        *defaults.usual(node, auth=Authorization("GenieKey", key)),
        texts=defaults.texts(node, _TEXTS),
        details=defaults.library.mapping(node["details"]),
        responders=tuple(defaults.library.mapping(item) for item in node["responders"].items()),
        update_alerts=node["update_alerts"].flag(False),
    )
