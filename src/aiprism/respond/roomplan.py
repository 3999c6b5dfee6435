"""What war-room.yml says: which incidents get a war room by themselves, and who is told status updates in which words.

In: the file, or nothing. Out: a frozen `RoomPlan`. What happens in a room is known in `warroom`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from aiprism import yamlfile
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


def usual() -> RoomPlan:
    """The plan of who configured none: incidents of P0 get a room (the plan, L2595)."""
    return RoomPlan(frozenset({Priority.P0}))


def load(path: Path, receivers: Collection[str] | None = None) -> RoomPlan:
    """The plan in a file, which names only these `receivers`; ConfigError with file:line and the fix."""
    return read(yamlfile.read(path), receivers)


def read(root: Node, receivers: Collection[str] | None = None) -> RoomPlan:
    """The plan of a document. None: which receivers there are is not known, and not looked for."""
    root.fields("war_room", "audiences", "templates", "updates_every")
    room, found = root["war_room"].fields("tiers"), usual()
    named = frozenset(Priority(item.one_of(*_PRIORITIES)) for item in room["tiers"].items())
    words = library().mapping(root["templates"])
    audiences = {name: _audience(name, node, receivers) for name, node in root["audiences"].entries().items()}
    every = _every(root["updates_every"])
    return RoomPlan(
        named if room["tiers"] else found.tiers, audiences, {**found.templates, **words}, every if audiences else {}
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
    receivers = tuple(dict.fromkeys(node["receivers"].texts()))
    for each in receivers if known is not None else ():
        if known is not None and each not in known:
            raise node["receivers"].error(
                f"{each!r} is no receiver of alertmanager.yml; known: {', '.join(known) or 'none'}"
            )
    public = node["public"].flag(False)
    return Audience(name, receivers, public, node["title"].text("Service disruption" if public else ""))
