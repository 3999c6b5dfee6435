"""Aggregation groups: which alerts are told together, when, and whether there is anything to tell.

In: a route, alerts, what a receiver was last told, the moment. Out: groups with the time of their next flush, and the
reason to notify or none. Pure; `notify` gathers and writes.
Source: dispatch/dispatch.go (aggrGroup) and notify/notify.go (DedupStage) of Alertmanager 0.25.
"""

from __future__ import annotations

import hashlib
from collections.abc import Set
from dataclasses import dataclass, replace
from enum import Enum

from aiprism.model.labels import Labels
from aiprism.respond.known import Known, label_text
from aiprism.respond.route import Route

_ALL = "..."
# A notification is tried at least this long, although the group would flush again before (notify.MinTimeout).
_PATIENCE = 10.0
_LOG_RETENTION = 120 * 3600.0


@dataclass(frozen=True, slots=True)
class Group:
    """One group of one route. `next_at` is when it is looked at next, in Unix seconds."""

    id: str
    route: str  # Route.id
    key: str  # Alertmanager's text of it
    labels: Labels
    next_at: float
    flushed: bool = False  # after its first flush it keeps to its interval
    late: bool = False  # due, but a notification of its is still on its way


class Why(Enum):
    """What makes a notification worth sending."""

    FIRST = "first"
    FIRING = "firing"
    RESOLVED = "resolved"
    REPEAT = "repeat"


@dataclass(frozen=True, slots=True)
class Told:
    """What an integration was last told of a group: fingerprints that fired and were resolved, and when."""

    firing: frozenset[str]
    resolved: frozenset[str]
    at: float


def labels_of(route: Route, labels: Labels) -> Labels:
    """The labels that name the group of an alert."""
    return labels if route.group_by == (_ALL,) else labels.only(*route.group_by)


def group_id(route: Route, labels: Labels) -> str:
    """The same for the same group of the same route, across restarts."""
    return hashlib.sha256(f"{route.id}\0{label_text(labels)}".encode()).hexdigest()[:32]


def begun(route: Route, labels: Labels, now: float) -> Group:
    """The group that an alert opens."""
    key = f"{route.key}:{label_text(labels)}"
    return Group(group_id(route, labels), route.id, key, labels, now + route.group_wait)


def joined(group: Group, alert: Known, route: Route, now: float) -> Group:
    """The group once `alert` is in it: one that has waited long enough elsewhere is told at once."""
    waited = not group.flushed and alert.starts_at + route.group_wait < now
    return replace(group, next_at=now) if waited else group


def after_flush(group: Group, route: Route, now: float) -> Group:
    """The group waits for its next interval. The beat is kept, unless it was missed by a whole one."""
    following = group.next_at + route.group_interval
    if group.late or following <= now:
        following = now + route.group_interval
    return replace(group, next_at=following, flushed=True, late=False)


def deadline(route: Route, now: float) -> float:
    """How long what is sent at `now` is tried."""
    return now + max(route.group_interval, _PATIENCE)


def log_expiry(route: Route, now: float) -> float:
    """When it is forgotten what was told at `now`."""
    return now + min(2 * route.repeat_interval, _LOG_RETENTION)


def reason(
    told: Told | None, firing: Set[str], resolved: Set[str], *, send_resolved: bool, repeat: float, now: float
) -> Why | None:
    """Why an integration is to be notified of a group with these alerts, or None."""
    if told is None:
        return Why.FIRST if firing else None
    if not firing <= told.firing:
        return Why.FIRING
    if not firing:  # also where good news is not sent: what was told is noted as over
        return Why.RESOLVED if told.firing else None
    if send_resolved and not resolved <= told.resolved:
        return Why.RESOLVED
    return Why.REPEAT if told.at < now - repeat else None
