"""Telegram: a bot's sendMessage. Its token is part of the address, which is why that is a secret."""

from __future__ import annotations

from dataclasses import dataclass

from aiprism.httpconfig import Secret
from aiprism.respond.channels.post import Entry, Globals, Letter, cut
from aiprism.respond.message import Message
from aiprism.respond.template import Words, seen
from aiprism.yamlfile import Node

_MESSAGE = 4096  # characters of one message
_FIELDS = (
    "send_resolved", "http_config", "api_url", "bot_token", "bot_token_file", "chat_id", "chat_id_file", "message",
    "message_thread_id", "disable_notifications", "parse_mode",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Telegram(Entry):
    """One entry of `telegram_configs`."""

    bot_token: Secret
    chat_id: int
    text: Words
    parse_mode: str = "HTML"
    thread: int = 0
    silent: bool = False
    channel: str = "telegram"

    def letter(self, message: Message, key: str) -> Letter:
        body: dict[str, object] = {
            "chat_id": self.chat_id,
            "text": self._text(self.text.of(seen(message))),
            "disable_notification": self.silent,
            "link_preview_options": {"is_disabled": True},
        }
        if self.parse_mode:
            body["parse_mode"] = self.parse_mode
        if self.thread:
            body["message_thread_id"] = self.thread
        url = f"{self.url.reveal()}/bot{self.bot_token.reveal()}/sendMessage"
        return Letter(Secret(url), body, key, self.http, secrets=(self.bot_token,))

    def _text(self, text: str) -> str:
        short = cut(text, _MESSAGE)
        # A cut may go through a tag or an entity, for which Telegram would refuse the whole message.
        return short if len(text) <= _MESSAGE or self.parse_mode != "HTML" else _whole(short)


def _whole(text: str) -> str:
    tag, entity = text.rfind("<"), text.rfind("&")
    at = min((at for at, end in ((tag, ">"), (entity, ";")) if at >= 0 and end not in text[at:]), default=len(text))
    return text[:at]


def read(node: Node, receiver: str, defaults: Globals) -> Telegram:
    """The integration an entry of `telegram_configs` describes."""
    node.fields(*_FIELDS)
    mode = node["parse_mode"].one_of("", "HTML", "Markdown", "MarkdownV2", default="HTML")
    if not node["chat_id"]:
        raise node.error("telegram_configs needs a chat_id")
    default = '{{ template "telegram.default.message" . }}'
    return Telegram(
        Secret(defaults.address(node["api_url"], "telegram_api_url", "https://api.telegram.org")),
        *defaults.usual(node),
        bot_token=defaults.key(node, "bot_token", "telegram_bot_token"),
        chat_id=node["chat_id"].integer(),
        text=defaults.library.words(node["message"], default, html=mode == "HTML"),
        parse_mode=mode,
        thread=node["message_thread_id"].integer(0),
        silent=node["disable_notifications"].flag(False),
    )
