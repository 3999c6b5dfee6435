"""What Slack's Events API tells of channels: somebody wrote, changed or deleted a message, or reacted to one.

In: headers, body, and the secret that Slack signs with. Out: what was done by a person, a challenge, or None for all else. Pure
but for a secret that lives in a file. What follows is `roomhearing`'s.
Sources: Slack's pages "Using the Slack Events API", "message_changed", "message_deleted", "reaction_added", and of threads
"Retrieving messages".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from aiprism.httpconfig import Secret
from aiprism.respond.hooks import slack_signed
from aiprism.respond.signed import json_object


@dataclass(frozen=True, slots=True)
class Challenge:
    """What Slack has us say to see that the door is ours."""

    text: str


@dataclass(frozen=True, slots=True)
class Told:
    """Something that a person did. `id` is the same when it is told again, `user` Slack's name for who it was (empty where it does
    not say), `ts` its name in the channel for the message that it is about."""

    id: str
    channel: str
    user: str
    ts: str


@dataclass(frozen=True, slots=True)
class Written(Told):
    """A message; `thread` is the `ts` of the one that it answers."""

    text: str
    thread: str = ""


@dataclass(frozen=True, slots=True)
class Changed(Written):
    """A message has other words from now on."""


@dataclass(frozen=True, slots=True)
class Deleted(Told):
    """A message was taken away."""


@dataclass(frozen=True, slots=True)
class Reacted(Told):
    """A sign was put on a message, at that time by Slack's clock: one of `SIGNS`."""

    sign: str
    at: float


Event: TypeAlias = Written | Changed | Deleted | Reacted

EYES, PUSHPIN = "eyes", "pushpin"
SIGNS = (EYES, PUSHPIN)  # which mean something here
_BY_PEOPLE = (None, "file_share", "thread_broadcast", "me_message")  # the other subtypes tell of joins, topics, bots
_LINK = re.compile(r"<(?P<where>[^|>]+)(?:\|(?P<name>[^>]*))?>")


def slack_event(headers: Mapping[str, str], body: bytes, secret: Secret, now: float) -> Event | Challenge | None:
    """What was done, or a challenge; None for what no person did, and what is nothing to us. Forbidden unless Slack signed it just
    now."""
    slack_signed(headers, body, secret, now)
    said = json_object(body, "the body")
    if said.get("type") == "url_verification":
        return Challenge(str(said.get("challenge", "")))
    event = said.get("event")
    if said.get("type") != "event_callback" or not isinstance(event, dict):
        return None
    name, channel = f"slack:{said.get('event_id')}", str(event.get("channel") or "")
    match event.get("type"), event.get("subtype"):
        case "reaction_added", _:
            return _reacted(name, event, now)
        case "message", "message_changed":
            return _changed(name, channel, _part(event, "message"), _part(event, "previous_message"))
        case "message", "message_deleted":
            return Deleted(name, channel, "", str(event.get("deleted_ts") or ""))
        case "message", _:
            return _written(name, channel, event)
    return None


def _written(name: str, channel: str, message: Mapping[str, Any]) -> Written | None:
    text = slack_text(str(message.get("text") or ""))
    if not _by_person(message) or not text.strip():
        return None
    ts, thread = str(message.get("ts") or ""), str(message.get("thread_ts") or "")
    return Written(name, channel, str(message["user"]), ts, text, "" if thread == ts else thread)


def _changed(
    name: str, channel: str, message: Mapping[str, Any], before: Mapping[str, Any]
) -> Changed | Deleted | None:
    """Of a message that has answers, Slack tells its end as a change into a tombstone, and each preview of a link as a change of
    nothing that was written."""
    if message.get("subtype") == "tombstone":
        return Deleted(name, channel, "", str(message.get("ts") or ""))
    said = _written(name, channel, message)
    if said is None or message.get("text") == before.get("text"):
        return None
    return Changed(name, channel, said.user, said.ts, said.text, said.thread)


def _reacted(name: str, event: Mapping[str, Any], now: float) -> Reacted | None:
    item, user, sign = _part(event, "item"), event.get("user"), str(event.get("reaction"))
    if item.get("type") != "message" or not user or sign not in SIGNS:
        return None
    stamp = str(event.get("event_ts") or "")
    at = float(stamp) if re.fullmatch(r"\d{1,12}(\.\d{1,9})?", stamp) else now
    return Reacted(name, str(item.get("channel") or ""), str(user), str(item.get("ts") or ""), sign, at)


def _by_person(message: Mapping[str, Any]) -> bool:
    return message.get("subtype") in _BY_PEOPLE and bool(message.get("user")) and not message.get("bot_id")


def _part(event: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = event.get(name)
    return found if isinstance(found, dict) else {}


def slack_text(text: str) -> str:
    """A message as people read it: links by their names and addresses, Slack's escapes undone.

    >>> slack_text("see <https://a.example|the page>, <@U1> &amp; <!here>")
    'see the page (https://a.example), @U1 & @here'
    """

    def plain(link: re.Match[str]) -> str:
        where, name = link["where"], link["name"]
        if where[0] in "@#!":
            return f"{'#' if where[0] == '#' else '@'}{name or where[1:]}"
        return where if not name or name == where else f"{name} ({where})"

    return _LINK.sub(plain, text).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
