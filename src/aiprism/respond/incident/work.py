"""What people keep about an incident beside its status: who has it, roles, tasks, evidence, and what it was one with.

Frozen, and all of it JSON in one column (`journal`). Who may change what, and when, is in `people`, `tasks` and `merging`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from aiprism.respond.incident.rating import Said

MOST_PINS = 200
ROLES = ("commander", "scribe", "communications", "operations", "expert")


@dataclass(frozen=True, slots=True)
class Task:
    """Something to be done. `key` is the sender's own name for it, by which one said twice is known."""

    id: str
    text: str
    by: str
    at: float
    assignee: str = ""
    due: float | None = None
    done_at: float | None = None
    done_by: str = ""
    key: str = ""


class Evidence(Enum):
    """What can be pinned."""

    ENTRY = "entry"  # a line of the timeline, by its id
    MESSAGE = "message"  # a line of the war room, by its id
    QUERY = "query"
    LOG = "log"
    TRACE = "trace"
    LINK = "link"

    @classmethod
    def of(cls, what: str) -> Evidence:
        """What words by themselves are most likely.

        >>> Evidence.of("4bf92f3577b34da6a3ce929d0e0e4736"), Evidence.of("https://wiki.example.com/pool")
        (<Evidence.TRACE: 'trace'>, <Evidence.LINK: 'link'>)
        """
        return cls.TRACE if re.fullmatch(r"[0-9a-fA-F]{16}|[0-9a-fA-F]{32}", what.strip()) else cls.LINK


@dataclass(frozen=True, slots=True)
class Pin:
    """A piece of evidence worth coming back to, as it was when it was pinned: `what` is a link, a query, a trace id, or any words,
    `ref` the id of a line that was pinned."""

    id: str
    what: str
    text: str
    by: str
    at: float
    evidence: str = Evidence.LINK.value
    ref: str = ""
    url: str = ""

    def is_of(self, what: str, evidence: Evidence, ref: str) -> bool:
        """Whether this is what it keeps: of lines their ids count, of all else the words."""
        return (self.evidence, self.ref) == (evidence.value, ref) if ref else self.what == what


@dataclass(frozen=True, slots=True)
class Work:
    """All of it. `roles` are role → person; `parted` are fingerprints of alerts that people took out of it."""

    said: Said = field(default_factory=Said)
    assignee: str = ""
    roles: Mapping[str, str] = field(default_factory=dict)
    tasks: tuple[Task, ...] = ()
    pins: tuple[Pin, ...] = ()
    last_pin: int = 0  # the number of the last one, which no other will have
    merged_into: str = ""
    absorbed: tuple[str, ...] = ()
    split_from: str = ""
    parted: frozenset[str] = frozenset()

    def task(self, task_id: str) -> Task | None:
        """The task of that id, if there is one."""
        return next((task for task in self.tasks if task.id == task_id), None)

    def with_task(self, task: Task) -> Work:
        """It with this task, in place of the one of its id."""
        if self.task(task.id) is None:
            return replace(self, tasks=(*self.tasks, task))
        return replace(self, tasks=tuple(task if each.id == task.id else each for each in self.tasks))
