"""What may happen to an incident: the first argument of the machine after the incident itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from aiprism.model.alerts import Alert


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


Event: TypeAlias = (
    AlertFired
    | AlertCleared
    | Tick
    | Acknowledged
    | Unacknowledged
    | Responded
    | Identified
    | ResolvedByHand
    | ReopenedByHand
    | Noted
)
