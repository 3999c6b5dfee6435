"""Everything else that Apprise speaks to (`pip install 'aiprism[apprise]'`): one of its addresses per entry.

`apprise_configs` is aiprism's own. An address of Apprise is a secret as a whole: `gotify://host/token`.
"""

from __future__ import annotations

import asyncio
import functools
import importlib.util
import logging
from collections.abc import Mapping
from dataclasses import dataclass

from aiprism.httpconfig import HttpOptions, Secret, secret
from aiprism.respond.channels.post import Answer, Globals, Letter, Verdict, said
from aiprism.respond.message import Message
from aiprism.respond.template import Words, seen
from aiprism.yamlfile import Node

_TEXTS = {"title": '{{ template "apprise.default.title" . }}', "body": '{{ template "apprise.default.body" . }}'}


@dataclass(frozen=True, slots=True)
class Apprise:
    """One entry of `apprise_configs`."""

    url: Secret
    send_resolved: bool
    texts: Mapping[str, Words]
    channel: str = "apprise"

    def wants(self, message: Message) -> bool:
        return self.send_resolved or not message.over

    def letter(self, message: Message, key: str) -> Letter:
        texts = said(self.texts, seen(message))
        kind = "failure" if message.firing else "success"
        carry = functools.partial(
            _carry, title=texts.get("title", ""), body=texts.get("body", message.title), kind=kind
        )
        return Letter(self.url, {}, key, HttpOptions(), carry=carry)


async def _carry(letter: Letter, now: float, *, title: str, body: str, kind: str) -> Answer:
    return await asyncio.to_thread(_told, letter.url.reveal(), title, body, kind)


def _told(url: str, title: str, body: str, kind: str) -> Answer:
    import apprise

    logging.getLogger("apprise").setLevel(logging.CRITICAL)  # it writes addresses, which are secrets
    teller = apprise.Apprise()
    if not teller.add(url):
        return Answer(Verdict.REFUSED, "its address is none that Apprise knows")
    # Apprise tells whether, not why not.
    if not teller.notify(title=title, body=body, notify_type=kind):
        return Answer(Verdict.AGAIN, "Apprise could not deliver it")
    return Answer(Verdict.DELIVERED)


def read(node: Node, receiver: str, defaults: Globals) -> Apprise:
    """The integration an entry of `apprise_configs` describes."""
    node.fields("send_resolved", "url", "url_file", *_TEXTS)
    url = secret(node, "url")
    if not url:
        raise node.error("apprise_configs needs url or url_file")
    if importlib.util.find_spec("apprise") is None:
        raise node.error("apprise_configs needs Apprise: pip install 'aiprism[apprise]'")
    return Apprise(url, node["send_resolved"].flag(True), defaults.texts(node, _TEXTS))
