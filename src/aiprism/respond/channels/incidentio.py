"""incident.io: an alert source that takes Alertmanager's data as JSON, with a token of its own.

A `Message` comes in, a `Letter` goes out. What it takes is bounded: of more than 512 KiB only the first alert is told.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiprism.httpconfig import NO_SECRET, Authorization, Secret, secret
from aiprism.respond.channels import webhook
from aiprism.respond.channels.post import Entry, Globals, Letter
from aiprism.respond.message import Message
from aiprism.yamlfile import Node

_MOST_BYTES = 512 * 1024
_FIELDS = (
    "send_resolved", "http_config", "url", "url_file", "alert_source_token", "alert_source_token_file", "max_alerts", "timeout",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class IncidentIo(Entry):
    """One entry of `incidentio_configs`."""

    receiver: str
    token: Secret = NO_SECRET
    max_alerts: int = 0
    timeout: float = 0.0
    channel: str = "incidentio"

    def letter(self, message: Message, key: str) -> Letter:
        body = self._body(message, self.max_alerts)
        if len(json.dumps(body)) > _MOST_BYTES:
            body = self._body(message, 1)
        return Letter(self.url, body, key, self.http, (self.token,), timeout=self.timeout)

    def _body(self, message: Message, max_alerts: int) -> Mapping[str, Any]:
        told = webhook.build(message, self.receiver, max_alerts)
        return {**{name: value for name, value in told.items() if name != "incident"}, "version": "1"}


def read(node: Node, receiver: str, defaults: Globals) -> IncidentIo:
    """The integration an entry of `incidentio_configs` describes."""
    node.fields(*_FIELDS)
    url, token = secret(node, "url"), secret(node, "alert_source_token")
    if not url:
        raise node.error("incidentio_configs needs url or url_file")
    if not token and defaults.options(node).auth is None:
        raise node.error("incidentio_configs needs alert_source_token, or an authorization in http_config")
    return IncidentIo(
        url,
        *defaults.usual(node, auth=Authorization("Bearer", token) if token else None),
        receiver=receiver,
        token=token,
        max_alerts=node["max_alerts"].integer(0),
        timeout=node["timeout"].seconds(0.0),
    )
