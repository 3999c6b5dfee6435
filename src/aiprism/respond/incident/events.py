"""What may happen to an incident: the first argument of the machine after the incident itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from aiprism.model.alerts import Alert, Priority
from aiprism.respond.incident.rating import Impact, Urgency
from aiprism.respond.incident.values import MACHINE, Incident
from aiprism.respond.incident.work import Evidence


@dataclass(frozen=True, slots=True)
class AlertFired:
    """An alert that belongs here fires; `evidence` says why it belongs (empty for one that was here before)."""

    alert: Alert
    evidence: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AlertCleared:
    """An alert of this incident went quiet."""

    alert: Alert


@dataclass(frozen=True, slots=True)
class OriginSeen:
    """Who calls whom shows from which service all others of it suffer; empty when it does not."""

    service: str


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed: the progress check."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The channel a person spoke through, and receiver and number of the integration if they are known: it need not be
    told what it told us."""

    channel: str
    receiver: str = ""
    integration: int | None = None


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A person has seen it."""

    actor: str
    text: str = ""
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class Unacknowledged:
    """Whoever acknowledged it does not take care of it after all."""

    actor: str
    text: str = ""
    origin: Origin | None = None
    at: float | None = None  # when they did so, where that is not now


@dataclass(frozen=True, slots=True)
class Responded:
    """A person begins to work on it; who does so has seen it."""

    actor: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Identified:
    """The cause is known, to a person or to a runbook whose repair was verified."""

    actor: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class ResolvedByHand:
    """A person closes it."""

    actor: str
    text: str = ""
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class ReopenedByHand:
    """A person opens it again."""

    actor: str
    text: str = ""
    origin: Origin | None = None
    at: float | None = None  # as of Unacknowledged


@dataclass(frozen=True, slots=True)
class Noted:
    """Something to keep on the timeline that moves nothing: a comment, a step of a runbook, a delivery that failed."""

    event: str
    actor: str
    text: str
    data: Mapping[str, object] = field(default_factory=dict)


# -- who has it, and how urgent it is


@dataclass(frozen=True, slots=True)
class PriorityChanged:
    """A person says how much is affected, how soon it must be answered, or the priority itself, and why. Nothing said gives
    it back to the alerts."""

    actor: str
    text: str
    impact: Impact | None = None
    urgency: Urgency | None = None
    priority: Priority | None = None


@dataclass(frozen=True, slots=True)
class Assigned:
    """Somebody is to take care of it; nobody when `to` is empty."""

    actor: str
    to: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class RoleTaken:
    """A person has a role from now on: whoever had it has it no longer."""

    actor: str
    role: str
    person: str


@dataclass(frozen=True, slots=True)
class RoleReleased:
    """Nobody has that role any more."""

    actor: str
    role: str


# -- tasks and evidence


@dataclass(frozen=True, slots=True)
class TaskAdded:
    """Something is to be done; `key` is the sender's name for it, so that saying it twice adds it once."""

    actor: str
    text: str
    assignee: str = ""
    due: float | None = None
    key: str = ""


@dataclass(frozen=True, slots=True)
class TaskAssigned:
    """Who does a task, and by when; what is None stays as it is."""

    actor: str
    task: str
    assignee: str | None = None
    due: float | None = None


@dataclass(frozen=True, slots=True)
class TaskDone:
    """A task is done."""

    actor: str
    task: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class TaskReopened:
    """A task is not done after all."""

    actor: str
    task: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Pinned:
    """Evidence worth coming back to; the same again changes nothing."""

    actor: str
    what: str
    text: str = ""
    evidence: Evidence | None = None  # what the words look like, where nobody says it
    ref: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class Unpinned:
    """Evidence is taken away, by its id."""

    actor: str
    pin: str


# -- one and two


@dataclass(frozen=True, slots=True)
class Merged:
    """It takes in `other`: alerts, tasks, evidence. `told` are the receivers who heard of the other one."""

    other: Incident
    actor: str = MACHINE
    text: str = ""
    evidence: Mapping[str, object] = field(default_factory=dict)
    told: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MergedInto:
    """It goes on as part of the incident `into`."""

    into: str
    actor: str = MACHINE
    text: str = ""


@dataclass(frozen=True, slots=True)
class Parted:
    """A person takes these alerts out of it: they are an incident of their own, `into`."""

    fingerprints: frozenset[str]
    into: str
    actor: str
    text: str = ""


Event: TypeAlias = (
    AlertFired
    | OriginSeen
    | AlertCleared
    | Tick
    | Acknowledged
    | Unacknowledged
    | Responded
    | Identified
    | ResolvedByHand
    | ReopenedByHand
    | Noted
    | PriorityChanged
    | Assigned
    | RoleTaken
    | RoleReleased
    | TaskAdded
    | TaskAssigned
    | TaskDone
    | TaskReopened
    | Pinned
    | Unpinned
    | Merged
    | MergedInto
    | Parted
)
