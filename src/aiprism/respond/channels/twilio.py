"""Twilio: a text message, or a call that reads the news out. `twilio_configs` is aiprism's own.

One entry is one number: a try that is repeated then bothers nobody who was reached already.
"""

from __future__ import annotations

from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from aiprism.httpconfig import Basic, Secret, secret
from aiprism.respond.channels.post import Entry, Globals, Letter, cut
from aiprism.respond.message import Message
from aiprism.respond.template import Words, seen
from aiprism.yamlfile import Node

_TEXT, _SPEECH = 1600, 3000  # characters Twilio takes for one message, and that anybody would listen to
_FIELDS = (
    "send_resolved", "http_config", "api_url", "account_sid", "auth_token", "auth_token_file", "from", "to", "text",
    "call", "speech", "language", "repeat",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Twilio(Entry):
    """One entry of `twilio_configs`."""

    account: str
    sender: str
    to: Words
    words: Words
    call: bool = False
    language: str = "en-US"
    repeat: int = 2  # how often a call says it
    channel: str = "twilio"

    def letter(self, message: Message, key: str) -> Letter:
        what = seen(message)
        text, form = self.words.of(what), {"From": self.sender, "To": self.to.of(what)}
        form |= {"Twiml": self._twiml(text)} if self.call else {"Body": cut(text, _TEXT)}
        return Letter(
            url=Secret(
                f"{self.url.reveal()}/2010-04-01/Accounts/{self.account}/{'Calls' if self.call else 'Messages'}.json"
            ),
            body=form,
            key=key,
            http=self.http,
            form=True,
        )

    def _twiml(self, text: str) -> str:
        say = f"<Say language={quoteattr(self.language)}>{escape(cut(text, _SPEECH))}</Say>"
        pause = '<Pause length="1"/>'
        return f"<Response>{pause.join([say] * self.repeat)}</Response>"


def read(node: Node, receiver: str, defaults: Globals) -> Twilio:
    """The integration an entry of `twilio_configs` describes."""
    node.fields(*_FIELDS)
    token, call = secret(node, "auth_token"), node["call"].flag(False)
    if not token or not all(node[key] for key in ("account_sid", "from", "to")):
        raise node.error("twilio_configs needs account_sid, auth_token (or auth_token_file), from and to")
    default = "speech" if call else "text"
    return Twilio(
        Secret(node["api_url"].text("https://api.twilio.com").rstrip("/")),
        *defaults.usual(node, auth=Basic(Secret(node["account_sid"].text()), token)),
        account=node["account_sid"].text(),
        sender=node["from"].text(),
        to=defaults.words(node["to"]),
        words=defaults.words(node[default], f'{{{{ template "twilio.default.{default}" . }}}}'),
        call=call,
        language=node["language"].text("en-US"),
        repeat=max(1, node["repeat"].integer(2)),
    )
