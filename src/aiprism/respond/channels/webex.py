"""Webex: a message in Markdown to a room, as the bot whose token is in `http_config`."""

from __future__ import annotations

from dataclasses import dataclass

from aiprism.httpconfig import Authorization, Secret
from aiprism.respond.channels.post import Entry, Globals, Letter, cut_bytes
from aiprism.respond.message import Message
from aiprism.respond.template import Words, seen
from aiprism.yamlfile import Node

_BYTES = 7439  # of one message


@dataclass(frozen=True, slots=True)
class Webex(Entry):
    """One entry of `webex_configs`."""

    room: Words
    text: Words
    channel: str = "webex"

    def letter(self, message: Message, key: str) -> Letter:
        what = seen(message)
        text = cut_bytes(self.text.of(what), _BYTES)
        return Letter(self.url, {"roomId": self.room.of(what), "markdown": text}, key, self.http)


def read(node: Node, receiver: str, defaults: Globals) -> Webex:
    """The integration an entry of `webex_configs` describes."""
    node.fields("send_resolved", "http_config", "api_url", "room_id", "message")
    if not node["room_id"]:
        raise node.error("webex_configs needs a room_id")
    if not isinstance(defaults.options(node).auth, Authorization):
        raise node.error("webex_configs needs the bot's token: http_config with authorization and its credentials")
    return Webex(
        Secret(defaults.address(node["api_url"], "webex_api_url", "https://webexapis.com/v1/messages")),
        *defaults.usual(node),
        room=defaults.words(node["room_id"]),
        text=defaults.words(node["message"], '{{ template "webex.default.message" . }}'),
    )
