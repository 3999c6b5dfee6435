"""VictorOps (Splunk On-Call): its REST integration. One VictorOps entity per incident or group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from aiprism.httpconfig import Secret
from aiprism.respond.channels.post import Entry, Globals, Letter, cut, said
from aiprism.respond.message import Message
from aiprism.respond.template import Words, seen
from aiprism.yamlfile import Node

_STATE_MESSAGE = 20480  # characters the integration keeps
_TEXTS = {
    "message_type": "CRITICAL",
    "state_message": '{{ template "victorops.default.state_message" . }}',
    "entity_display_name": '{{ template "victorops.default.entity_display_name" . }}',
    "monitoring_tool": '{{ template "victorops.default.monitoring_tool" . }}',
}
_FIELDS = (
    "send_resolved", "http_config", "api_key", "api_key_file", "api_url", "routing_key", "custom_fields", *_TEXTS,
)  # fmt: skip
_OWN = {"message_type", "entity_id", "entity_display_name", "state_message", "monitoring_tool"}
_TYPES = {"resolved": "RECOVERY", "cleared": "RECOVERY", "acknowledged": "ACKNOWLEDGEMENT"}
_KNOWN = {"CRITICAL", "WARNING", "INFO"}


@dataclass(frozen=True, slots=True)
class VictorOps(Entry):
    """One entry of `victorops_configs`."""

    api_key: Secret
    routing_key: Words
    texts: Mapping[str, Words]
    custom: Mapping[str, Words] = field(default_factory=dict)
    channel: str = "victorops"

    def letter(self, message: Message, key: str) -> Letter:
        what = seen(message)
        texts = said(self.texts, what)
        worded = texts.get("message_type", "").upper()
        body = {
            **said(self.custom, what),
            **texts,
            "message_type": _TYPES.get(message.event) or (worded if worded in _KNOWN else "CRITICAL"),
            "entity_id": message.subject_id,
            "state_message": cut(texts.get("state_message", ""), _STATE_MESSAGE),
        }
        url = f"{self.url.reveal()}/{self.api_key.reveal()}/{self.routing_key.of(what)}"
        return Letter(Secret(url), body, key, self.http, secrets=(self.api_key,))


def read(node: Node, receiver: str, defaults: Globals) -> VictorOps:
    """The integration an entry of `victorops_configs` describes."""
    node.fields(*_FIELDS)
    if not node["routing_key"]:
        raise node.error("victorops_configs needs a routing_key")
    for name, value in node["custom_fields"].entries().items():
        if name in _OWN:
            raise value.error(f"custom_fields cannot set {name}, which has a key of its own")
    default = "https://alert.victorops.com/integrations/generic/20131114/alert"
    return VictorOps(
        Secret(defaults.address(node["api_url"], "victorops_api_url", default)),
        *defaults.usual(node),
        api_key=defaults.key(node, "api_key", "victorops_api_key"),
        routing_key=defaults.words(node["routing_key"]),
        texts=defaults.texts(node, _TEXTS),
        custom=defaults.library.mapping(node["custom_fields"]),
    )
