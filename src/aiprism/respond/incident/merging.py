"""Two incidents become one, and one becomes two.

The one that goes on decides: its status and acknowledgement stay, and its people are told. It takes over the other's alerts,
tasks and evidence, whoever has the other or a role in it where nobody has that here, its priority where that is more urgent,
and what its people were promised where that is earlier.
The other is resolved and points to it; its timeline stays where it is. What people parted is never joined by a machine:
each of the two keeps which alerts are not its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from aiprism.errors import Conflict, NotFound
from aiprism.model.alerts import Alert, AlertState
from aiprism.respond.deadlines import Progress, waited_since
from aiprism.respond.incident import lateness
from aiprism.respond.incident.alerts import alert_data, escalated, with_alert
from aiprism.respond.incident.effects import Effect, Entry, Notice, Remediate, Step, Tell
from aiprism.respond.incident.events import Merged, MergedInto, Parted
from aiprism.respond.incident.moves import Move, closed, reopened, settled
from aiprism.respond.incident.rating import Reach
from aiprism.respond.incident.tasks import next_id
from aiprism.respond.incident.values import Incident, Periods, Status
from aiprism.respond.incident.work import Evidence, Work

MERGED, MERGED_INTO, PARTED = "merged", "merged_into", "alerts_parted"
_RESOLUTION = "resolution"


def merged(incident: Incident, event: Merged, now: float, periods: Periods) -> Step:
    """It holds what the other held; one taken in before changes nothing."""
    other = event.other
    if other.id in incident.work.absorbed:
        return incident, ()
    if other.id == incident.id or not incident.open:
        why = "is resolved: reopen it first" if not incident.open else "cannot be merged with itself"
        raise Conflict(f"incident {incident.id} {why}")
    held = _taking(incident, other)
    work = _works(incident.work, other)
    held = replace(held, work=replace(work, parted=work.parted - held.places.keys()))
    acting = tuple(dict.fromkeys((*held.progress.acting, *other.progress.acting)))  # runs go on as its own
    held = replace(held, progress=replace(held.progress, acting=acting))
    text = event.text or f"{other.id} is part of this: {other.title}"
    entry = Entry(now, MERGED, event.actor, text, {**_data(other), **event.evidence})
    coming = tuple(_coming(incident.work, other, event.actor, now))
    promised = _promised(held, other, periods)
    grown, effects = _raised(promised, incident, other, now, periods)
    told = Tell(Notice.OPENED, text, receivers=event.told)
    if grown.status is not Status.MONITORING:
        # What the other called for goes on here: only for what it held itself may a higher priority call for more.
        more = (Remediate(incident.firing),) if grown.priority is not incident.priority else ()
        return grown, (entry, *coming, told, *effects, *more)
    if not grown.firing or not other.working:  # what fires in one that is quiet opens nothing
        quiet = max(grown.monitoring_since or now, other.monitoring_since or now)
        return replace(grown, monitoring_since=min(quiet, now)), (entry, *coming, told, *effects)
    again, calls = reopened(grown, event.actor, text, now, now)
    return again, (entry, *coming, told, *effects, *(each for each in calls if not isinstance(each, Remediate)))


def _taking(incident: Incident, other: Incident) -> Incident:
    """Of an alert that both hold, the later episode counts; of one episode, its end."""
    for alert in other.alerts:
        known = incident.alert(alert.fingerprint)
        if known is None or _later(alert) > _later(known):
            incident = with_alert(incident, alert)
    return incident


def _later(alert: Alert) -> tuple[float, bool, float]:
    return alert.active_at, alert.state is AlertState.RESOLVED, alert.resolved_at or 0.0


def _works(mine: Work, other: Incident) -> Work:
    work = mine
    for task in other.work.tasks:
        work = work.with_task(replace(task, id=next_id("T", [each.id for each in work.tasks])))
    for pin in other.work.pins:
        if not any(each.is_of(pin.what, Evidence(pin.evidence), pin.ref) for each in work.pins):
            name = next_id("E", [f"E{work.last_pin}", *(each.id for each in work.pins)])
            work = replace(work, pins=(*work.pins, replace(pin, id=name)), last_pin=int(name[1:]))
    return replace(
        work,
        assignee=mine.assignee or other.work.assignee,
        roles={**other.work.roles, **mine.roles},
        absorbed=(*mine.absorbed, other.id, *other.work.absorbed),
        parted=mine.parted | other.work.parted,
    )


def _coming(mine: Work, other: Incident, actor: str, now: float) -> Iterator[Entry]:
    """What the timeline tells of people of the other who have here what nobody had."""
    theirs = other.work
    if theirs.assignee and not mine.assignee:
        text = f"assigned to {theirs.assignee}, as {other.id} was"
        yield Entry(now, "assigned", actor, text, {"to": theirs.assignee, "from": "", "of": other.id})
    for role, person in theirs.roles.items():
        if role not in mine.roles:
            data = {"role": role, "person": person, "from": "", "of": other.id}
            yield Entry(now, "role_taken", actor, f"{person} is {role}, as in {other.id}", data)


def _promised(incident: Incident, other: Incident, periods: Periods) -> Incident:
    """It, no later than the other's people were promised, and waiting for an acknowledgement as long as either of them."""
    progress = incident.progress
    target = lateness.target(other, periods)
    if (
        target is not None
        and _RESOLUTION not in other.progress.taken
        and target < (lateness.target(incident, periods) or math.inf)
    ):
        progress = replace(progress, no_later=target)
    if incident.acknowledgeable and other.acknowledgeable and waited_since(other) < waited_since(incident):
        progress = replace(progress, since=waited_since(other))
    return replace(incident, progress=progress)


def _raised(held: Incident, before: Incident, other: Incident, now: float, periods: Periods) -> Step:
    """In the most urgent of three priorities: its own, the other's, and what all its alerts together say."""
    raised, effects = escalated(held, before, now, periods)
    if other.priority.urgency >= raised.priority.urgency:
        return raised, effects
    text = f"priority raised from {before.priority.value} to {other.priority.value}: that of {other.id}"
    data = {"from": before.priority.value, "to": other.priority.value}
    effect: tuple[Effect, ...] = (Entry(now, "escalated", "automated_system", text, data), Tell(Notice.ESCALATED, text))
    return replace(raised, priority=other.priority), effect


def merged_into(incident: Incident, event: MergedInto, now: float, _periods: Periods) -> Step:
    """It is over as an incident of its own; who heard of it hears where it goes on."""
    if incident.work.merged_into == event.into:
        return incident, ()
    text = event.text or f"goes on as part of {event.into}"
    after, (entry, tell) = closed(incident, Move.MERGE, event.actor, text, now)
    entry = Entry(now, MERGED_INTO, event.actor, text, {"into": event.into})
    return replace(after, work=replace(after.work, merged_into=event.into)), (entry, tell)


def parted(incident: Incident, event: Parted, now: float, periods: Periods) -> Step:
    """It without these alerts, which stay out; it is monitored when nothing of what is left fires."""
    moving = [alert for alert in incident.alerts if alert.fingerprint in event.fingerprints]
    _check_parting(incident, event.fingerprints, moving)
    staying = tuple(alert for alert in incident.alerts if alert.fingerprint not in event.fingerprints)
    first = incident.progress.first
    first = first if first not in event.fingerprints else staying[0].fingerprint
    after = replace(
        incident,
        alerts=staying,
        places={},
        reach=Reach(),
        gist=None,
        origin="",  # of whoever is left it may not be
        progress=replace(incident.progress, first=first),
        work=replace(incident.work, parted=incident.work.parted | event.fingerprints),
    )
    text = event.text or f"{_names(moving)} went to an incident of its own, {event.into}"
    entry = Entry(now, PARTED, event.actor, text, {"into": event.into, "alerts": [_state(each) for each in moving]})
    quiet, effects = settled(after, now)
    return quiet, (entry, *effects)


def _check_parting(incident: Incident, wanted: Iterable[str], found: Sequence[Alert]) -> None:
    if not incident.open:
        raise Conflict(f"incident {incident.id} is resolved: reopen it first")
    lacking = sorted(set(wanted) - {alert.fingerprint for alert in found})
    if lacking:
        raise NotFound(f"incident {incident.id} has no alert {', '.join(lacking)}")
    if not found or len(found) == len(incident.alerts):
        raise Conflict(f"incident {incident.id} has {len(incident.alerts)} alerts: name some of them, not all or none")


def split_off(source: Incident, event: Parted, now: float, periods: Periods) -> Step:
    """The incident that alerts parted from `source` are from now on: `source` as it was before."""
    alerts = tuple(alert for alert in source.alerts if alert.fingerprint in event.fingerprints)
    stayed = frozenset(alert.fingerprint for alert in source.alerts) - event.fingerprints
    begun = Incident(
        id=event.into,
        priority=source.priority,
        status=Status.INVESTIGATING,
        created_at=now,
        updated_at=now,
        alerts=alerts,
        progress=Progress(first=alerts[0].fingerprint),
        work=Work(split_from=source.id, parted=stayed),
    )
    begun = replace(begun, priority=begun.reach.priority(periods.limits))
    text = event.text or f"{_names(alerts)} {'was' if len(alerts) == 1 else 'were'} part of {source.id}"
    data = {"from": source.id, "alerts": [_state(each) for each in alerts], "priority": begun.priority.value}
    quiet, effects = settled(begun, now)
    paged, pages = lateness.paged(quiet, now, periods)
    incident = replace(paged, target_at=lateness.target(paged, periods))
    opening = (Entry(now, "incident_split", event.actor, text, data), Tell(Notice.OPENED, text))
    return incident, (*opening, *effects, Remediate(incident.firing), *pages)


def _names(alerts: Sequence[Alert]) -> str:
    return ", ".join(dict.fromkeys(alert.name for alert in alerts))


def _data(other: Incident) -> dict[str, object]:
    return {
        "other": other.id,
        "title": other.title,
        "priority": other.priority.value,
        "status": other.status.value,
        "created_at": other.created_at,
        "acknowledged_by": other.acknowledged_by,
        "alerts": [_state(each) for each in other.alerts],
    }


def _state(alert: Alert) -> dict[str, object]:
    return {**alert_data(alert), "state": alert.state.value, "resolved_at": alert.resolved_at}
