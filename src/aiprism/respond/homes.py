"""Which incident each alert of a batch belongs to.

`recognise` finds the incident that holds an alert, and drops what says nothing new to it; `correlate` gives what is left
to that incident, to one it resembles, to a new one, or to none. How alike two alerts are is `correlate.py`'s, what an
event makes of an incident `incident`'s.
"""

from __future__ import annotations

from dataclasses import replace

from aiprism.model.alerts import Alert, AlertState
from aiprism.respond import joining, journal
from aiprism.respond.correlate import Link, Neighbourhood
from aiprism.respond.desk import Batch, Change, Desk
from aiprism.respond.incident import (
    AlertCleared,
    AlertFired,
    Event,
    Incident,
    OriginSeen,
    advance,
    incident_id,
    opened,
    same_episode,
)
from aiprism.store import incidents as store


def recognise(batch: Batch, desk: Desk) -> Batch:
    """Drop what was taken before; for the rest, find the incident that holds it already."""
    standing = desk.standing.open_incidents(desk.connection)
    last = journal.last_incidents_of(desk.connection, [alert.fingerprint for alert in batch.alerts], standing)
    kept, dropped = [], list(batch.dropped)
    for alert in batch.alerts:
        reason = _known(alert, last.get(alert.fingerprint))
        if reason:
            dropped.append((alert, reason))
        else:
            kept.append(alert)
    open_ones = {incident.id: Change.of(incident) for incident in standing} if kept else {}
    held = {incident.id: Change.of(incident) for incident in last.values()}
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
    return _Round(batch, desk).done()


class _Round:
    """One batch on its way into incidents, alert by alert."""

    def __init__(self, batch: Batch, desk: Desk) -> None:
        self._batch, self._desk = batch, desk
        self._changes = dict(batch.changes)
        self._neighbours: Neighbourhood | None = None
        self._ids: set[str] | None = None

    def done(self) -> Batch:
        """The batch with what becomes of each incident."""
        grown: set[str] = set()
        for alert in self._batch.alerts:
            change = self._changed(alert)
            if change is None:
                continue
            self._changes[change.incident.id] = change
            if alert.state is AlertState.FIRING and self._neighbours is not None:
                self._neighbours.add(change.incident, alert)
                grown.add(change.incident.id)
        for each in sorted(grown):
            self._trace(self._changes[each])
        return replace(self._batch, changes=self._changes)

    def _changed(self, alert: Alert) -> Change | None:
        home = self._home(alert)
        if alert.state is AlertState.RESOLVED:
            return self._after(home, AlertCleared(alert)) if home else None
        if home is not None and home.incident.open:
            return self._after(home, AlertFired(alert))
        found = self._around.joined(alert, lambda incident: self._taken_out_of(incident, alert))
        if found is not None:
            change = self._after(self._changes[found.home.incident_id], AlertFired(alert, found.home.why.evidence()))
            for link in found.others:
                change = self._one_with(change, link, alert)
            return change
        if not self._desk.policy.periods.tiers.of[alert.priority].opens_incident:
            return None
        step = opened(alert, self._batch.now, self._desk.periods, id=self._free_id(alert))
        return Change(step[0]).then(step)

    def _home(self, alert: Alert) -> Change | None:
        home = self._changes.get(self._batch.homes.get(alert.fingerprint, ""))
        while home is not None and home.incident.work.merged_into in self._changes:  # earlier in this batch
            home = self._changes[home.incident.work.merged_into]
        return home

    def _one_with(self, into: Change, link: Link, alert: Alert) -> Change:
        """`into` once it has taken in the incident that this edge of `alert` leads to, unless a person parted them."""
        other = self._changes[link.incident_id]
        if into.incident.kept_apart(other.incident):  # for what it took in for this very alert, or for the alert itself
            return into
        text = f"{alert.name} shows that {link.incident_id} has the same origin"
        evidence = {**link.why.evidence(), "by": {"fingerprint": alert.fingerprint, "alertname": alert.name}}
        survivor, given = joining.merged(into, other, self._desk, text=text, evidence=evidence)
        # Of what was opened in this very batch nobody has heard, and nobody is to.
        self._changes[link.incident_id] = given if given.before else replace(given, tells=())
        self._around.merge(into.incident.id, link.incident_id)
        return survivor

    def _trace(self, change: Change) -> None:
        """Have an incident that grew know where it began, for those who are told of it."""
        if change.incident.open:
            origin = OriginSeen(self._around.origin(change.incident.id))
            self._changes[change.incident.id] = self._after(change, origin)

    def _taken_out_of(self, incident: str, alert: Alert) -> bool:
        return alert.fingerprint in self._changes[incident].incident.work.parted

    def _parted(self, one: str, other: str) -> bool:
        return self._changes[one].incident.kept_apart(self._changes[other].incident)

    def _after(self, change: Change, event: Event) -> Change:
        return change.then(advance(change.incident, event, self._batch.now, self._desk.periods))

    @property
    def _around(self) -> Neighbourhood:
        """The alerts of open incidents: looked at only for a batch that has something new, and kept for the next one."""
        if self._neighbours is None:
            incidents = (change.incident for change in self._changes.values())
            policy, standing = self._desk.policy, self._desk.standing
            self._neighbours = standing.neighbours.current(incidents, policy.ways(), policy.weights, self._parted)
            standing.neighbours = self._neighbours
        return self._neighbours

    def _free_id(self, alert: Alert) -> str:
        """Four digits of the fingerprint tell most incidents of one second apart; more are taken when they do not."""
        for digits in (4, 8, 16):
            name = incident_id(self._batch.now, alert, digits=digits)
            if self._ids is None:
                self._ids = store.incidents_at(self._desk.connection, name.rpartition("_")[0])
            if name not in self._changes and name not in self._ids:
                break
        return name
