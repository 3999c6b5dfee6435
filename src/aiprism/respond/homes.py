"""Which incident each alert of a batch belongs to.

`recognise` finds the incident that holds an alert, and drops what says nothing new to it; `correlate` gives what is left
to that incident, to one it resembles, to a new one, or to none. How alike two alerts are is `correlate.py`'s, what an
event makes of an incident `incident`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from aiprism.model.alerts import Alert, AlertState
from aiprism.respond import journal
from aiprism.respond.correlate import Neighbourhood
from aiprism.respond.desk import Batch, Change, Desk
from aiprism.respond.incident import (
    AlertCleared,
    AlertFired,
    Event,
    Incident,
    advance,
    incident_id,
    opened,
    same_episode,
)
from aiprism.store import incidents as store


def recognise(batch: Batch, desk: Desk) -> Batch:
    """Drop what was taken before; for the rest, find the incident that holds it already."""
    last = journal.last_incidents_of(desk.connection, [alert.fingerprint for alert in batch.alerts])
    kept, dropped = [], list(batch.dropped)
    for alert in batch.alerts:
        reason = _known(alert, last.get(alert.fingerprint))
        if reason:
            dropped.append((alert, reason))
        else:
            kept.append(alert)
    open_ones = {incident.id: Change(incident) for incident in journal.open_incidents(desk.connection)} if kept else {}
    held = {incident.id: Change(incident) for incident in last.values()}
    homes = {fingerprint: incident.id for fingerprint, incident in last.items()}
    return replace(batch, alerts=tuple(kept), dropped=tuple(dropped), homes=homes, changes={**held, **open_ones})


def _known(alert: Alert, home: Incident | None) -> str:
    """Why `alert` says nothing new to the incident that last held it, or an empty string."""
    held = home.alert(alert.fingerprint) if home is not None else None
    if held is None or home is None:
        return ""
    if alert.state is AlertState.FIRING and same_episode(held, alert):
        return "repeated" if home.open else "answered"  # a person closed the incident although it fires
    if alert.state is AlertState.RESOLVED and held.state is AlertState.RESOLVED:
        return "repeated"
    return "late" if alert.active_at < held.active_at else ""  # the end of an episode before the one that fires


def correlate(batch: Batch, desk: Desk) -> Batch:
    """Each alert to its incident: the one that holds it, one it resembles, a new one, or none."""
    changes = dict(batch.changes)
    open_ones = (change.incident for change in changes.values())
    neighbours = Neighbourhood(open_ones, desk.policy.ways(), desk.policy.weights)
    for alert in batch.alerts:
        change = _changed(alert, changes, neighbours, batch, desk)
        if change is not None:
            changes[change.incident.id] = change
        if change is not None and alert.state is AlertState.FIRING:
            neighbours.add(change.incident, alert)
    return replace(batch, changes=changes)


def _changed(
    alert: Alert, changes: Mapping[str, Change], neighbours: Neighbourhood, batch: Batch, desk: Desk
) -> Change | None:
    def after(change: Change, event: Event) -> Change:
        return change.then(advance(change.incident, event, batch.now, desk.periods))

    home = changes.get(batch.homes.get(alert.fingerprint, ""))
    if alert.state is AlertState.RESOLVED:
        return after(home, AlertCleared(alert)) if home else None
    if home is not None and home.incident.open:
        return after(home, AlertFired(alert))
    found = neighbours.joined(alert)
    if found is not None:
        return after(changes[found.home.incident_id], AlertFired(alert, found.home.why.evidence()))
    if not desk.policy.periods.tiers.of[alert.priority].opens_incident:
        return None
    incident = _free_id(alert, changes, batch, desk)
    step = opened(alert, batch.now, desk.periods, id=incident)
    return Change(step[0]).then(step)


def _free_id(alert: Alert, changes: Mapping[str, Change], batch: Batch, desk: Desk) -> str:
    """Four digits of the fingerprint tell most incidents of one second apart; more are taken when they do not."""
    for digits in (4, 8, 16):
        name = incident_id(batch.now, alert, digits=digits)
        if name not in changes and not store.known_incidents(desk.connection, [name]):
            break
    return name
