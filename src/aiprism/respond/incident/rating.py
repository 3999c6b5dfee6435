"""How urgent an incident is: impact × urgency → priority (R21). Pure.

Urgency is the tier of its most urgent alert, so an incident of usual impact has the priority its alerts' severities say (the
plan, L712). Impact is what is affected: it lifts the priority by one where much is, and lowers it by one where only services
are that matter little. People may say either, or the priority itself; their word holds until alerts say that it got worse.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum

from aiprism.model.alerts import Alert, Priority
from aiprism.respond.enrich import TIER
from aiprism.respond.subject import service_of

USERS = "users_affected"  # the annotation in which a rule says how many users suffer


class Impact(Enum):
    """How much is affected."""

    EXTENSIVE = "extensive"
    MODERATE = "moderate"
    MINOR = "minor"


class Urgency(Enum):
    """How soon it has to be answered."""

    IMMEDIATE = "immediate"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


_ROWS = {Impact.EXTENSIVE: "P0 P0 P1 P2", Impact.MODERATE: "P0 P1 P2 P3", Impact.MINOR: "P1 P2 P3 P3"}
MATRIX: Mapping[tuple[Impact, Urgency], Priority] = {
    (impact, urgency): Priority(name)
    for impact, row in _ROWS.items()
    for urgency, name in zip(Urgency, row.split(), strict=True)
}


@dataclass(frozen=True, slots=True)
class Limits:
    """From where on the impact is extensive, and from which tier of services.yml on a service matters little."""

    services: int = 5
    users: int = 1000
    minor_tier: int = 3


@dataclass(frozen=True, slots=True)
class Reach:
    """What the alerts of an incident, firing or not, have reached so far. Kept beside them and grown alert by alert: a storm
    would otherwise look at all of them at each."""

    services: tuple[str, ...] = ()  # first seen first
    urgency: int = Priority.P3.urgency
    users: int = 0
    tier: int | None = None  # the lowest number (what matters most) of a service; None: of one whose tier nobody said
    alerts: bool = False

    def grown(self, alert: Alert) -> Reach:
        """It with one more alert."""
        service, tier, users = service_of(alert.labels), _number(alert, TIER), _number(alert, USERS) or 0
        least = tier if not self.alerts else None if tier is None or self.tier is None else min(tier, self.tier)
        known = not service or service in self.services
        return Reach(
            self.services if known else (*self.services, service),
            min(self.urgency, alert.priority.urgency),
            max(self.users, users),
            least,
            alerts=True,
        )

    def impact(self, limits: Limits) -> Impact:
        """How much that is."""
        if len(self.services) >= limits.services or self.users >= limits.users:
            return Impact.EXTENSIVE
        return Impact.MINOR if self.tier is not None and self.tier >= limits.minor_tier else Impact.MODERATE

    def priority(self, limits: Limits) -> Priority:
        """What the alerts alone say."""
        return MATRIX[self.impact(limits), self.most_urgent]

    @property
    def most_urgent(self) -> Urgency:
        """That of the most urgent alert."""
        return tuple(Urgency)[self.urgency]


def reach_of(alerts: Iterable[Alert]) -> Reach:
    """What these alerts reach, in any order."""
    reach = Reach()
    for alert in alerts:
        reach = reach.grown(alert)
    return reach


@dataclass(frozen=True, slots=True)
class Said:
    """What people said about it; None where they left it to the alerts."""

    impact: Impact | None = None
    urgency: Urgency | None = None
    priority: Priority | None = None

    def over(self, before: Said) -> Said:
        """This on top of what was said before: a new impact or urgency ends an old word on the priority itself."""
        both = replace(before, impact=self.impact or before.impact, urgency=self.urgency or before.urgency)
        return replace(both, priority=self.priority)

    def rated(self, reach: Reach, limits: Limits) -> Priority:
        """The priority by these words and, where they are silent, by the alerts."""
        impact = self.impact or reach.impact(limits)
        return self.priority or MATRIX[impact, self.urgency or reach.most_urgent]


def _number(alert: Alert, annotation: str) -> int | None:
    """The whole number that stands there; None when none does. What rules write there is text like `1.2e+03`."""
    try:
        value = float(alert.annotations.get(annotation, ""))
    except ValueError:
        return None
    return int(value) if math.isfinite(value) else None
