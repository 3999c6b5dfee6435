"""What follows from the changes of incidents: runbooks called for, people told, everything written.

In: a batch whose `changes` say what became of each incident. Out: rows in the control database: incidents with their
timelines, planned runs (`remediate.py` carries them out), letters in the outbox (`deliver` sends them). What was called
for before is not called for again: the ids of runs and letters tell.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain

from aiprism.model.alerts import Priority
from aiprism.respond import audience, episodes, journal, message
from aiprism.respond.channels.post import Integration
from aiprism.respond.desk import Batch, Change, Desk
from aiprism.respond.incident import MACHINE, Entry, Incident, Notice, Tell, next_due
from aiprism.respond.keeping import flap_row, group_row, known_row
from aiprism.respond.runs import planned
from aiprism.store import alerting
from aiprism.store import held as held_store
from aiprism.store import incidents as store


def remediate(batch: Batch, desk: Desk) -> Batch:
    """Call for every runbook that answers an alert, once for each of its episodes and each time the incident was
    reopened."""
    runs: dict[str, store.RunRow] = {}
    for change in batch.changes.values():
        for alert in change.remediate:
            for order, runbook in enumerate(desk.policy.runbooks):
                if runbook.answers(alert, change.incident.priority):
                    run = planned(runbook, order, change.incident, alert)
                    runs.setdefault(run["id"], run)
    return replace(batch, runs=tuple(runs.values()))


def address(batch: Batch, desk: Desk) -> Batch:
    """A letter to each integration of each receiver of incidents, for everything people are to be told and were not told
    before."""
    drafts: list[_Draft] = []
    changes = dict(batch.changes)
    heard = store.receivers_told(desk.connection, [key for key, change in changes.items() if change.tells])
    for key, change in batch.changes.items():
        tells = _said_once(change)
        known = list(heard.get(key, ()))
        named = [*known, *(name for tell in tells for name in tell.receivers)]
        lost = "" if _reachable(change.incident, named, desk) else "no receiver of its routes has a channel for it"
        for tell in tells:
            written = _about_incident(change.incident, tell, known, batch.now, desk)
            drafts += written
            known += tell.receivers  # what comes after in the same batch they hear, too
            if tell.notice is Notice.OVERDUE and not written:  # routes tell of alerts, not of deadlines
                lost = lost or "no receiver is told of incidents of its tier (tiers.yml, respond.incident_receivers)"
            if tell.notice is Notice.PAGED and not written:
                lost = lost or f"{', '.join(tell.receivers)} has no channel (alertmanager.yml)"
        if tells and lost:
            text = f"nobody is told that it is {tells[-1].notice.value}: {lost}"
            entry = Entry(batch.now, "nobody_told", MACHINE, text)
            changes[key] = replace(change, entries=(*change.entries, entry))
    return replace(batch, changes=changes, letters=_new(drafts, desk))


@dataclass(frozen=True, slots=True)
class _Draft:
    """A letter about an incident that is not written out yet."""

    said: message.Message
    integration: Integration
    number: int
    occasion: str
    good_for: float | None

    @property
    def id(self) -> str:
        return _letter_id(
            self.said.subject_id, self.said.receiver, self.integration.channel, self.number, self.occasion
        )

    def row(self) -> store.NotificationRow:
        return letter_row(self.said, self.integration, self.number, self.occasion, self.said.subject_id, self.good_for)


def _new(drafts: Sequence[_Draft], desk: Desk) -> tuple[store.NotificationRow, ...]:
    """Those that are not in the outbox: a storm has an incident told as open with each alert that joins, and writing out all
    its alerts each time to learn that it was told costs more than everything else."""
    wanted = {draft.id: draft for draft in drafts}
    known = store.known_notifications(desk.connection, [*wanted])
    return tuple(draft.row() for key, draft in wanted.items() if key not in known)


def _said_once(change: Change) -> list[Tell]:
    """What is still worth saying when one batch did several things: an incident just opened need not escalate. One that
    was open before does, although an alert that joined it may have it told as opened to new receivers."""
    said: dict[tuple[Notice, str], Tell] = {}
    for tell in change.tells:
        key = (tell.notice, tell.occasion)
        if tell.notice is Notice.OPENED:
            said.setdefault(key, tell)  # the first alert is what opened it; the others joined
        else:
            said[key] = tell
    if any(entry.event in ("incident_created", "reopened") for entry in change.entries):
        said.pop((Notice.ESCALATED, ""), None)
    return list(said.values())


def _reachable(incident: Incident, heard: Sequence[str], desk: Desk) -> bool:
    """Whether anybody hears of it, by its alerts' routes or as a receiver of incidents, in a channel we speak."""
    routing, policy = desk.policy.routing, desk.policy
    routed = (name for alert in incident.alerts for name in routing.receivers_for(alert.labels))
    named = chain(
        policy.receivers_of(incident.priority), heard, routed
    )  # a storm has a thousand alerts, and one is enough
    return any(routing.integrations(name) for name in named)


def _about_incident(incident: Incident, tell: Tell, heard: Sequence[str], now: float, desk: Desk) -> list[_Draft]:
    said = message.of_incident(incident, tell.notice.value, tell.text, now, desk.policy.external_url)
    said = replace(said, acknowledgeable=desk.policy.buttons and incident.acknowledgeable)
    occasion = _occasion(tell, incident)
    return [
        _Draft(replace(said, receiver=receiver), integration, number, occasion, tell.good_for)
        for receiver in audience.listeners(tell, desk.policy.receivers_of(incident.priority), heard)
        for number, integration in audience.addressed(receiver, desk.policy.routing, tell.origin)
        if integration.wants(said)
    ]


def _occasion(tell: Tell, incident: Incident) -> str:
    """The event as the outbox tells occasions apart: what happens again after a reopening is a new event."""
    notice = tell.notice
    if tell.occasion:
        return notice.value if tell.occasion == "1" else f"{notice.value}#{tell.occasion}"
    if notice is Notice.ESCALATED and incident.priority is not Priority.P0:
        return f"{notice.value}#{incident.priority.value}"
    counted = notice in (Notice.MONITORING, Notice.RESOLVED)
    number = incident.reopened + 1 if counted else incident.reopened if notice is Notice.REOPENED else 1
    return f"{notice.value}#{number}" if number > 1 else notice.value


def letter_row(
    said: message.Message,
    integration: Integration,
    number: int,
    occasion: str,
    incident: str | None = None,
    good_for: float | None = None,
) -> store.NotificationRow:
    """A letter for the outbox: `said` to an integration of its receiver, the one of that number, at this occasion. It is tried for
    `good_for` seconds at most, if that is said."""
    return {
        "id": _letter_id(said.subject_id, said.receiver, integration.channel, number, occasion),
        "incident_id": incident,
        "receiver": said.receiver,
        "channel": integration.channel,
        "integration": number,
        "event": occasion,
        "state": "pending",
        "attempts": 0,
        "next_at": said.at,
        "created_at": said.at,
        "sent_at": None,
        "error": "",
        "payload": message.to_payload(said),
        "dedup_key": said.subject_id,
        "group_id": None,
        "deadline": None if good_for is None else said.at + good_for,
        "tells": None,
    }


def _letter_id(*parts: object) -> str:
    """The same for the same letter, so that it cannot be put into the outbox twice."""
    return "N_" + hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:32]


def record(batch: Batch, desk: Desk) -> Batch:
    """Write everything. What was called for before is not called for again."""
    periods = desk.periods
    changed = [
        journal.Written(change.incident, change.entries, next_due(change.incident, periods), change.before)
        for change in batch.changes.values()
        if change.entries
    ]
    with desk.standing.writing(desk.connection, [each.incident for each in changed]):
        journal.write(desk.connection, changed)
    letters = tuple(store.enqueue(desk.connection, batch.letters))
    runs = tuple(run for run in batch.runs if store.plan_run(desk.connection, run))
    held_store.put_flaps(desk.connection, [flap_row(each, batch.now) for each in batch.flaps])
    alerting.put_alerts(desk.connection, [known_row(alert, batch.now) for alert in batch.known])
    episodes.note(desk.connection, desk.policy.periods.tiers, batch.known, batch.now)
    alerting.put_groups(desk.connection, [group_row(each) for each in batch.groups])
    alerting.join(desk.connection, batch.members)
    return replace(batch, letters=letters, runs=runs)
