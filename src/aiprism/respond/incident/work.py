"""What people keep about an incident beside its status: who has it, roles, tasks, evidence, and what it was one with.

Frozen, and all of it JSON in one column (`journal`). Who may change what, and when, is in `people`, `tasks` and `merging`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from aiprism.respond.incident.rating import Said

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


@dataclass(frozen=True, slots=True)
class Pin:
    """A piece of evidence worth coming back to: `what` is a link, a query, a trace id, or any words."""

    id: str
    what: str
    text: str
    by: str
    at: float


@dataclass(frozen=True, slots=True)
class Work:
    """All of it. `roles` are role → person; `parted` are fingerprints of alerts that people took out of it."""

    said: Said = field(default_factory=Said)
    assignee: str = ""
    roles: Mapping[str, str] = field(default_factory=dict)
    tasks: tuple[Task, ...] = ()
    pins: tuple[Pin, ...] = ()
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
