"""What war-room.yml says: which incidents get a war room by themselves, where else it is heard, and who is told status updates in
which words.

In: the file, or nothing. Out: a frozen `RoomPlan`. What happens in a room is known in `warroom`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from aiprism import yamlfile
from aiprism.httpconfig import NO_SECRET, Secret, is_web_address
from aiprism.model.alerts import Priority
from aiprism.respond.template import Words, library
from aiprism.yamlfile import Node

STATUSES = ("investigating", "identified", "monitoring", "resolved")
# What is said where the file says nothing. Nothing of it names what is ours: a service, an alert, a label.
_WORDS = {
    "investigating": "We are looking into a problem and will tell you more as soon as we know more.",
    "identified": "We know the cause of the problem and are at work on it.",
    "monitoring": "The problem is repaired. We are watching whether it stays so.",
    "resolved": "The problem is over.",
}
_MINUTE = 60.0
_EVERY = {Priority.P0: 30 * _MINUTE, Priority.P1: 60 * _MINUTE}  # between updates, where there is anybody to tell
_PRIORITIES = tuple(each.value for each in Priority)


@dataclass(frozen=True, slots=True)
class Audience:
    """Who is told together: receivers of alertmanager.yml. What a public one is told stands in the status feed, too."""

    name: str
    receivers: tuple[str, ...] = ()
    public: bool = False
    title: str = ""  # instead of the incident's; a public audience always has one


@dataclass(frozen=True, slots=True)
class Slack:
    """The channel that a room has in Slack, as soon as there is a bot's token."""

    tiers: frozenset[Priority] = frozenset({Priority.P0})
    prefix: str = "inc"  # of its name
    private: bool = False
    invite: tuple[str, ...] = ()  # people of oncall.yml, or mail addresses, besides who is on call or takes part
    archive_after: float = 0.0  # seconds after the incident was resolved; 0: never
    api_url: str = "https://slack.com/api"
    token: Secret = NO_SECRET  # of aiprism.yml


@cache
def _usual_words() -> Mapping[str, Words]:
    return {status: Words(text) for status, text in _WORDS.items()}


@dataclass(frozen=True, slots=True)
class RoomPlan:
    """What is configured of war rooms: the tiers whose incidents get one by themselves."""

    tiers: frozenset[Priority] = frozenset()
    audiences: Mapping[str, Audience] = field(default_factory=dict)
    templates: Mapping[str, Words] = field(default_factory=_usual_words)  # by status, or by a name of one's own
    updates_every: Mapping[Priority, float] = field(default_factory=dict)  # seconds between updates, before one is due
    receivers: tuple[str, ...] = ()  # of alertmanager.yml: what is said in a room is told there, too
    slack: Slack = field(default_factory=Slack)

    def with_token(self, token: Secret) -> RoomPlan:
        """The same with the token that Slack's channels are made with."""
        return replace(self, slack=replace(self.slack, token=token))


def usual() -> RoomPlan:
    """The plan of who configured none: incidents of P0 get a room (the plan, L2595)."""
    return RoomPlan(frozenset({Priority.P0}))


def load(path: Path, receivers: Collection[str] | None = None, people: Collection[str] | None = None) -> RoomPlan:
    """The plan in a file, which names only these `receivers` and `people`; ConfigError with file:line and the fix."""
    return read(yamlfile.read(path), receivers, people)


def read(root: Node, receivers: Collection[str] | None = None, people: Collection[str] | None = None) -> RoomPlan:
    """The plan of a document. None: which receivers or people there are is not known, and not looked for."""
    root.fields("war_room", "slack", "audiences", "templates", "updates_every")
    room, found = root["war_room"].fields("tiers", "receivers"), usual()
    words = library().mapping(root["templates"])
    audiences = {name: _audience(name, node, receivers) for name, node in root["audiences"].entries().items()}
    every = _every(root["updates_every"])
    return RoomPlan(
        _tiers(room["tiers"], found.tiers),
        audiences,
        {**found.templates, **words},
        every if audiences else {},
        _known(room["receivers"], receivers),
        _slack(root["slack"], people),
    )


def _tiers(node: Node, usual: frozenset[Priority]) -> frozenset[Priority]:
    return frozenset(Priority(item.one_of(*_PRIORITIES)) for item in node.items()) if node else usual


def _known(node: Node, known: Collection[str] | None) -> tuple[str, ...]:
    """The receivers in `node`, each once."""
    for each in node.texts():
        if known is not None and each not in known:
            raise node.error(f"{each!r} is no receiver of alertmanager.yml; known: {', '.join(known) or 'none'}")
    return tuple(dict.fromkeys(node.texts()))


def _slack(node: Node, people: Collection[str] | None) -> Slack:
    node.fields("tiers", "prefix", "private", "invite", "archive_after", "api_url")
    usual_ = Slack()
    prefix, url = node["prefix"].text(usual_.prefix), node["api_url"].text(usual_.api_url)
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,30}", prefix):
        raise node["prefix"].error("a channel's name begins with small letters, digits and hyphens, such as inc")
    if not is_web_address(url):
        raise node["api_url"].error("expected the http(s) address of Slack's Web API, such as https://slack.com/api")
    for each in node["invite"].texts() if people is not None else ():
        if "@" not in each and people is not None and each not in people:
            known = ", ".join(people) or "none"
            raise node["invite"].error(f"{each!r} is nobody of oncall.yml (known: {known}), and no mail address")
    return Slack(
        _tiers(node["tiers"], usual_.tiers),
        prefix,
        node["private"].flag(usual_.private),
        tuple(dict.fromkeys(node["invite"].texts())),
        node["archive_after"].seconds(usual_.archive_after),
        url,
    )


def _every(node: Node) -> Mapping[Priority, float]:
    """How often is told of which priority. 0s: nobody is reminded of its updates."""
    said = {Priority(name): each.seconds() for name, each in node.fields(*_PRIORITIES).entries().items()}
    for name, each in node.entries().items():
        if 0 < said[Priority(name)] < _MINUTE:
            raise each.error("nobody can tell more often than once in a minute: give 1m or more, or 0s for never")
    return {priority: seconds for priority, seconds in {**_EVERY, **said}.items() if seconds}


def _audience(name: str, node: Node, known: Collection[str] | None) -> Audience:
    node.fields("receivers", "public", "title")
    public = node["public"].flag(False)
    return Audience(
        name, _known(node["receivers"], known), public, node["title"].text("Service disruption" if public else "")
    )
