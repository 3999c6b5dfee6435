"""What follows from an event beside the next incident: lines of the timeline, people to tell, runbooks to consider.

Values only; `desk` gathers them, `consequences` writes them and puts letters into the outbox.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias

from aiprism.model.alerts import Alert
from aiprism.respond.incident.events import Origin
from aiprism.respond.incident.values import Incident


class Notice(Enum):
    """What people are told about."""

    OPENED = "opened"
    ESCALATED = "escalated"
    ACKNOWLEDGED = "acknowledged"
    MONITORING = "monitoring"
    REOPENED = "reopened"
    RESOLVED = "resolved"
    OVERDUE = "overdue"  # a deadline was missed, or a step after one is due
    REMINDED = "reminded"  # nobody has acknowledged it yet
    UNACKNOWLEDGED = "unacknowledged"
    FLAPPING = "flapping"  # an alert of it comes and goes
    UPDATE_DUE = "update_due"  # an audience is to hear how it stands
    PAGED = "paged"  # somebody is on call and is to acknowledge it


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the timeline."""

    at: float
    event: str
    actor: str
    text: str
    data: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tell:
    """Tell the receivers of this incident: those of its tier, those who heard of it, and `receivers` beside them; or `only`
    those.

    `occasion` tells one notice from another of the same kind in one round; `origin` is who knows it already.
    """

    notice: Notice
    text: str
    occasion: str = ""
    receivers: tuple[str, ...] = ()
    origin: Origin | None = None
    good_for: float | None = None  # seconds until it is not worth telling any more
    only: bool = False


@dataclass(frozen=True, slots=True)
class Remediate:
    """Consider runbooks for these alerts."""

    alerts: tuple[Alert, ...]


Effect: TypeAlias = Entry | Tell | Remediate
Step: TypeAlias = tuple[Incident, tuple[Effect, ...]]
