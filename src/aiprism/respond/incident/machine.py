"""The machine: (incident, event, now) → the next incident and its effects.

Time comes first, so that an answer that comes late counts as late; then the event, answered in the module that knows its
kind; then pages, for whoever is to be paged as things stand now.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from aiprism.model.alerts import Alert
from aiprism.respond import deadlines
from aiprism.respond.deadlines import Progress
from aiprism.respond.incident import alerts, lateness, merging, people, tasks, updating
from aiprism.respond.incident.effects import Entry, Notice, Remediate, Step, Tell
from aiprism.respond.incident.events import (
    Acknowledged,
    AlertCleared,
    AlertFired,
    Assigned,
    Event,
    Identified,
    Merged,
    MergedInto,
    Noted,
    OriginSeen,
    Parted,
    Pinned,
    PriorityChanged,
    ReopenedByHand,
    ResolvedByHand,
    Responded,
    RoleReleased,
    RoleTaken,
    TaskAdded,
    TaskAssigned,
    TaskDone,
    TaskReopened,
    Tick,
    Unacknowledged,
    Unpinned,
)
from aiprism.respond.incident.moves import Move, closed, settled
from aiprism.respond.incident.rating import reach_of
from aiprism.respond.incident.values import MACHINE, Incident, Periods, Status

_BEGUN = "runbook_started"  # with which a runbook has begun to work on an incident
_ENDED = ("runbook_succeeded", "runbook_failed", "runbook_rolled_back", "runbook_aborted")  # and has ended


def incident_id(now: float, alert: Alert, *, digits: int = 4) -> str:
    """The id of the incident that `alert` opens at `now`: the same alert and moment give the same id.

    >>> from aiprism.model.alerts import AlertState
    >>> from aiprism.model.labels import Labels
    >>> incident_id(1795443300.0, Alert(Labels({"alertname": "Down"}), Labels(), AlertState.FIRING, 1.0, 0.0))[:19]
    'INC_20261123_141500'
    """
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%d_%H%M%S")
    return f"INC_{stamp}_{alert.fingerprint[-digits:]}"


def opened(alert: Alert, now: float, periods: Periods, *, id: str = "") -> Step:  # noqa: A002 - the field's word
    """The incident that a firing `alert` opens."""
    begun = Incident(
        id=id or incident_id(now, alert),
        priority=reach_of([alert]).priority(periods.limits),
        status=Status.INVESTIGATING,
        created_at=now,
        updated_at=now,
        alerts=(alert,),
        progress=Progress(first=alert.fingerprint),
    )
    text = f"{alert.name} fires with priority {begun.priority.value}{alerts.whose(alert)}"
    entry = Entry(
        now, "incident_created", MACHINE, text, {**alerts.alert_data(alert), "priority": begun.priority.value}
    )
    paged, pages = lateness.paged(begun, now, periods)
    incident = replace(paged, target_at=lateness.target(paged, periods))
    return incident, (entry, Tell(Notice.OPENED, text), Remediate((alert,)), *pages)


def advance(incident: Incident, event: Event, now: float, periods: Periods) -> Step:
    """The incident after `event` at `now`, and what follows from it; Conflict when the move is not legal.

    A deterministic function: the same three arguments give the same answer, so a timeline can be replayed. Time never
    runs backwards for an incident: a `now` before its last change counts as that change's time.
    """
    now = max(now, incident.updated_at)
    # What was missed comes first: an acknowledgement that comes only now is late.
    asked, reminder = updating.reminded(incident, now, periods)
    late, overdue = lateness.late(asked, now, periods)
    after, effects = _ANSWERS[type(event)](late, event, now, periods)
    raised, more = (after, ()) if after.priority is late.priority else lateness.late(after, now, periods)
    paged, pages = lateness.paged(raised, now, periods)
    if paged == incident and not (effects or reminder or overdue or more or pages):
        return incident, ()
    told = (*reminder, *overdue, *effects, *more, *pages)
    return replace(paged, updated_at=now, target_at=lateness.target(paged, periods)), told


def next_due(incident: Incident, periods: Periods) -> float | None:
    """When time alone will change this incident or have people told; None when it will not."""
    if incident.status is Status.MONITORING and incident.progress.acting:
        return None  # until they have ended, which is an event
    if incident.status is Status.MONITORING:
        return (incident.monitoring_since or incident.updated_at) + periods.validation
    step = deadlines.next_due(incident, periods.tiers.of[incident.priority])
    climbs = incident.progress.climbs if incident.acknowledgeable else ()
    told = updating.due_at(incident, periods)
    return min((at for at in (step, told, *(each.next_due for each in climbs)) if at is not None), default=None)


def _ticked(incident: Incident, _event: Tick, now: float, periods: Periods) -> Step:
    if incident.status is not Status.MONITORING:
        return settled(incident, now)
    if now - (incident.monitoring_since or now) < periods.validation:
        return incident, ()
    if incident.progress.acting:  # what it changes, or takes back, may be heard of yet
        return incident, ()
    text = "Monitoring period completed successfully: no recurring alerts"
    if incident.firing:
        names = ", ".join(dict.fromkeys(each.name for each in incident.firing))
        text = f"{text} of a tier that opens incidents; firing still: {names}"
    return closed(incident, Move.VALIDATE, MACHINE, text, now)


def _noted(incident: Incident, event: Noted, now: float, _periods: Periods) -> Step:
    if event.event == _BEGUN and incident.responded_at is None:
        incident = replace(incident, responded_at=now)
    if event.event == _BEGUN or event.event in _ENDED:
        incident = _acting(incident, str(event.data.get("run", "")), begins=event.event == _BEGUN)
    if event.event == updating.TOLD:
        incident = updating.told(incident, now)
    return incident, (Entry(now, event.event, event.actor, event.text, event.data),)


def _acting(incident: Incident, run: str, *, begins: bool) -> Incident:
    """It once a run of a runbook has begun, or ended."""
    others = tuple(each for each in incident.progress.acting if each != run)
    return replace(incident, progress=replace(incident.progress, acting=(*others, run) if begins and run else others))


_ANSWERS: Mapping[type, Callable[..., Step]] = {
    AlertFired: alerts.fired,
    AlertCleared: alerts.cleared,
    OriginSeen: alerts.traced,
    Tick: _ticked,
    Acknowledged: people.acknowledged,
    Unacknowledged: people.unacknowledged,
    Responded: people.responded,
    Identified: people.identified,
    ResolvedByHand: people.resolved_by_hand,
    ReopenedByHand: people.reopened_by_hand,
    Noted: _noted,
    PriorityChanged: people.rated,
    Assigned: tasks.assigned,
    RoleTaken: tasks.role_taken,
    RoleReleased: tasks.role_released,
    TaskAdded: tasks.added,
    TaskAssigned: tasks.handed,
    TaskDone: tasks.done,
    TaskReopened: tasks.undone,
    Pinned: tasks.pinned,
    Unpinned: tasks.unpinned,
    Merged: merging.merged,
    MergedInto: merging.merged_into,
    Parted: merging.parted,
}
