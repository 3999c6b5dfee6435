"""What war-room.yml says: which incidents get a war room by themselves.

In: the file, or nothing. Out: a frozen `RoomPlan`. What happens in a room is known in `warroom`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aiprism import yamlfile
from aiprism.model.alerts import Priority
from aiprism.yamlfile import Node

_PRIORITIES = tuple(each.value for each in Priority)


@dataclass(frozen=True, slots=True)
class RoomPlan:
    """What is configured of war rooms: the tiers whose incidents get one by themselves."""

    tiers: frozenset[Priority] = frozenset()


def usual() -> RoomPlan:
    """The plan of who configured none: incidents of P0 get a room (the plan, L2595)."""
    return RoomPlan(frozenset({Priority.P0}))


def load(path: Path) -> RoomPlan:
    """The plan in a file; ConfigError with file:line and the fix."""
    return read(yamlfile.read(path))


def read(root: Node) -> RoomPlan:
    """The plan of a document."""
    root.fields("war_room")
    room = root["war_room"].fields("tiers")
    if not room["tiers"]:
        return usual()
    named = [item.one_of(*_PRIORITIES) for item in room["tiers"].items()]
    return RoomPlan(frozenset(Priority(name) for name in named))
