"""An incident as a frozen value: where it stands, what it holds, what it expects of people.

Nothing here changes one: `moves`, `alerts` and `people` give the next incident for an event, `lateness` for the time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from aiprism.model.alerts import Alert, AlertState, Priority
from aiprism.model.labels import Labels
from aiprism.respond.deadlines import Progress
from aiprism.respond.incident.rating import Limits, Reach, reach_of
from aiprism.respond.incident.work import Work
from aiprism.respond.oncall.rota import Rota
from aiprism.respond.tiers import Tiers, usual
from aiprism.respond.wording import Gist, gist_of

MACHINE = "automated_system"  # the plan's name for "nobody in particular did this" (L2595)


class Status(Enum):
    """Where an incident stands. A reopened one is investigating again."""

    INVESTIGATING = "investigating"
    IDENTIFIED = "identified"
    MONITORING = "monitoring"
    RESOLVED = "resolved"


# Where people are expected to be at work on it.
_WORKING = frozenset({Status.INVESTIGATING, Status.IDENTIFIED})


@dataclass(frozen=True, slots=True)
class Periods:
    """How long things may take: seconds of quiet before an incident is over, what each tier expects of people, who of them
    is on call, and how often they are to tell others how it stands.

    The usual deadlines to acknowledge and respond are the plan's (L712). It asks for resolution targets (L2595) without
    giving them; the usual ones are four times its response deadlines.
    """

    validation: float = 1800.0
    tiers: Tiers = field(default_factory=usual)
    rota: Rota = field(default_factory=Rota)
    limits: Limits = field(default_factory=Limits)
    updates: Mapping[Priority, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Incident:
    """One incident. Times are Unix seconds; `alerts` stand in the order they joined, each with its latest state.

    `places` says where in `alerts` each fingerprint stands, so that the thousandth alert of a storm is found as quickly
    as the first. `reach` and `gist` are what all its alerts come to: they grow with each that joins, and the second is there
    once someone has read a title.
    """

    id: str
    priority: Priority
    status: Status
    created_at: float
    updated_at: float
    alerts: tuple[Alert, ...]
    target_at: float | None = None  # as its tier had it when it changed last; `deadlines` knows what holds now
    identified_at: float | None = None
    monitoring_since: float | None = None
    resolved_at: float | None = None
    acknowledged_at: float | None = None
    acknowledged_by: str = ""
    reopened: int = 0
    reopened_at: float | None = None
    responded_at: float | None = None  # when a person or a runbook began to work on it, in this round
    progress: Progress = field(default_factory=Progress)
    work: Work = field(default_factory=Work)
    # The service from which all others of it suffer, as the topology had it when its last alert joined; one that it does not
    # have raises no alert. Empty while it has one service only, and where nobody can tell.
    origin: str = ""
    places: Mapping[str, int] = field(default_factory=dict, compare=False, repr=False)
    reach: Reach = field(default_factory=Reach, compare=False, repr=False)
    gist: Gist | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if len(self.places) != len(self.alerts):
            places = {alert.fingerprint: place for place, alert in enumerate(self.alerts)}
            object.__setattr__(self, "places", places)
        if self.alerts and not self.reach.alerts:
            object.__setattr__(self, "reach", reach_of(self.alerts))

    @property
    def title(self) -> str:
        """One line over its alerts."""
        return self._said.title(self.origin)

    @property
    def description(self) -> str:
        """What the rules say about its alerts."""
        return self._said.description()

    @property
    def labels(self) -> Labels:
        """The labels all its alerts share."""
        return self._said.labels

    @property
    def _said(self) -> Gist:
        if self.gist is None:
            object.__setattr__(self, "gist", gist_of(self.alerts))
        assert self.gist is not None
        return self.gist

    @property
    def open(self) -> bool:
        return self.status is not Status.RESOLVED

    @property
    def working(self) -> bool:
        """Whether people are expected to be at work on it: something fires."""
        return self.status in _WORKING

    @property
    def acknowledgeable(self) -> bool:
        """Whether somebody has yet to say that they have seen it."""
        return self.working and self.acknowledged_at is None

    @property
    def begun_at(self) -> float:
        """When its round began: opened, or reopened the last time."""
        return self.created_at if self.reopened_at is None else self.reopened_at

    @property
    def firing(self) -> tuple[Alert, ...]:
        """The alerts that still fire."""
        return tuple(alert for alert in self.alerts if alert.state is AlertState.FIRING)

    @property
    def services(self) -> tuple[str, ...]:
        """The services its alerts speak of, first seen first."""
        return self.reach.services

    def kept_apart(self, other: Incident) -> bool:
        """Whether a person parted what is in the one from what is in the other: only a person may make them one again."""
        mine, theirs = self.work.parted, other.work.parted
        return any(name in other.places for name in mine) or any(name in self.places for name in theirs)

    def alert(self, fingerprint: str) -> Alert | None:
        """Its alert of that fingerprint, if it holds one."""
        place = self.places.get(fingerprint)
        return None if place is None else self.alerts[place]
