"""Where an accepted alert goes: one literal tuple of stages, all of them inside one transaction.

In come alerts from the detectors (`accept`), what people say (`happen`) and the passing of time (`check`). Out come
incidents with their timelines, runbook runs to carry out and notifications to send, all as rows: when these calls
return, a killed process loses nothing. If a stage fails, nothing of the batch is kept, the error goes to the sender,
and the detector sends again. Sending is `deliver`'s work, acting `remediate`'s.

Which alerts open an incident: P0 and P1 (the plan, L917), less urgent ones only join an open incident they resemble.
A P2 or P3 alert that resembles none is told to its receivers by itself, once when it fires and once when it clears.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import structlog
from sqlalchemy import Connection

from aiprism.clock import Clock
from aiprism.model.alerts import Alert, AlertState, Priority
from aiprism.respond import journal, message
from aiprism.respond.correlate import Neighbourhood, Related, unrelated
from aiprism.respond.incident import (
    MACHINE,
    AlertCleared,
    AlertFired,
    Entry,
    Event,
    Incident,
    Notice,
    Periods,
    Remediate,
    Step,
    Tell,
    Tick,
    advance,
    incident_id,
    opened,
    same_episode,
)
from aiprism.respond.route import Routing, nobody
from aiprism.respond.runbook import Runbook
from aiprism.store import incidents as store
from aiprism.store.records import Records
from aiprism.telemetry import Telemetry

log = structlog.get_logger()

PLANNED = "planned"  # a run that has been called for and not looked at yet


@dataclass(frozen=True, slots=True)
class Policy:
    """Everything configured that decides what follows from an alert; replaced as a whole on reload."""

    routing: Routing = field(default_factory=nobody)
    runbooks: tuple[Runbook, ...] = ()
    periods: Periods = field(default_factory=Periods)
    related: Related = unrelated
    external_url: str = ""
    opens: Priority = Priority.P1  # the least urgent tier that opens an incident


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to one incident in one batch."""

    incident: Incident
    entries: tuple[Entry, ...] = ()
    tells: tuple[Tell, ...] = ()
    remediate: tuple[Alert, ...] = ()

    def then(self, step: Step) -> Change:
        """This change with one more step of the state machine after it."""
        incident, effects = step
        return Change(
            incident,
            (*self.entries, *(effect for effect in effects if isinstance(effect, Entry))),
            (*self.tells, *(effect for effect in effects if isinstance(effect, Tell))),
            (
                *self.remediate,
                *(alert for effect in effects if isinstance(effect, Remediate) for alert in effect.alerts),
            ),
        )


@dataclass(frozen=True, slots=True)
class Batch:
    """Alerts on their way, and what has become of them so far."""

    now: float
    alerts: tuple[Alert, ...] = ()
    homes: Mapping[str, str] = field(default_factory=dict)  # fingerprint → the open or last incident that holds it
    changes: Mapping[str, Change] = field(default_factory=dict)  # incident id → what happens to it
    lone: tuple[Alert, ...] = ()
    dropped: tuple[tuple[Alert, str], ...] = ()
    letters: tuple[store.NotificationRow, ...] = ()
    runs: tuple[store.RunRow, ...] = ()


@dataclass(slots=True)
class Desk:
    """One transaction: the policy in force, and the connection everything is read and written through."""

    connection: Connection
    policy: Policy
    now: float
    made_work: bool = False

    def happen(self, incident_id: str, event: Event) -> Incident:
        """Let `event` happen to an incident, with all that follows; NotFound or Conflict when it cannot."""
        incident = journal.read(self.connection, incident_id)
        step = advance(incident, event, self.now, self.policy.periods)
        if not step[1]:
            return incident
        self.run(Batch(self.now, changes={incident_id: Change(incident).then(step)}), CONSEQUENCES)
        return step[0]

    def run(self, batch: Batch, stages: Sequence[Stage]) -> Batch:
        """The batch after these stages."""
        for stage in stages:
            batch = stage(batch, self)
        self.made_work = self.made_work or bool(batch.letters or batch.runs)
        return batch


Stage: TypeAlias = Callable[[Batch, Desk], Batch]


class Respond:
    """The entrance of the room. Thread-safe: one batch at a time."""

    def __init__(
        self, records: Records, clock: Clock, policy: Policy | None = None, telemetry: Telemetry | None = None
    ) -> None:
        self.policy = policy or Policy()
        self._records, self._clock, self._telemetry = records, clock, telemetry or Telemetry()
        self._lock = threading.Lock()
        self._listeners: list[Callable[[], None]] = []

    def accept(self, alerts: Sequence[Alert]) -> None:
        """Take alerts from a detector. When this returns they are kept, with everything that follows from them;
        alerts that were taken before change nothing."""
        if not alerts:
            return
        with self.desk() as desk:
            batch = desk.run(Batch(desk.now, tuple(alerts)), STAGES)
        self._telemetry.passed("respond.accept", len(alerts) - len(batch.dropped))
        for alert, reason in batch.dropped:
            self._telemetry.dropped("respond.accept", reason)
            log.debug("alert.dropped", alert=alert.name, reason=reason)
        for change in batch.changes.values():
            for entry in change.entries:
                log.info(f"incident.{entry.event}", incident=change.incident.id, text=entry.text)

    def happen(self, incident_id: str, event: Event) -> Incident:
        """Let an event happen to an incident; NotFound or Conflict when it cannot."""
        with self.desk() as desk:
            return desk.happen(incident_id, event)

    def check(self) -> None:
        """Let time pass for every open incident: validation periods, deadlines."""
        with self.desk() as desk:
            for incident in journal.open_incidents(desk.connection):
                desk.happen(incident.id, Tick())

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection to look at what is kept, beside whoever writes."""
        with self._records.reading() as connection:
            yield connection

    @contextmanager
    def desk(self) -> Iterator[Desk]:
        """A transaction on the response room's state; what it called for is set going after it was committed."""
        with self._lock, self._records.begin(alone="desk") as connection:
            desk = Desk(connection, self.policy, self._clock.now())
            yield desk
        if desk.made_work:
            self.ring()

    def ring(self) -> None:
        """Have those who wait for work look again."""
        for listener in self._listeners:
            listener()

    def on_work(self, listener: Callable[[], None]) -> None:
        """`listener` is called, from any thread, when there is something new to send or to carry out."""
        self._listeners.append(listener)


# -- stages, in order ------------------------------------------------------------------------------------------------


def settle(batch: Batch, _desk: Desk) -> Batch:
    """Drop what is not for us; the most urgent and earliest come first, what fires before what clears."""
    ours = [alert for alert in batch.alerts if alert.state is not AlertState.PENDING]
    pending = [(alert, "pending") for alert in batch.alerts if alert.state is AlertState.PENDING]

    def order(alert: Alert) -> tuple[bool, int, float, str]:
        return alert.state is AlertState.RESOLVED, alert.priority.urgency, alert.active_at, alert.fingerprint

    return replace(batch, alerts=tuple(sorted(ours, key=order)), dropped=(*batch.dropped, *pending))


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
    changes, lone = dict(batch.changes), []
    neighbours = Neighbourhood((change.incident for change in changes.values()), desk.policy.related)
    for alert in batch.alerts:
        change = _changed(alert, changes, neighbours, batch, desk)
        if change is not None:
            changes[change.incident.id] = change
        if change is not None and alert.state is AlertState.FIRING:
            neighbours.add(change.incident, alert)
        # Cleared ones too: an alert may have been told by itself before the incident it is in was opened.
        if change is None or alert.state is AlertState.RESOLVED:
            lone.append(alert)
    return replace(batch, changes=changes, lone=tuple(lone))


def _changed(
    alert: Alert, changes: Mapping[str, Change], neighbours: Neighbourhood, batch: Batch, desk: Desk
) -> Change | None:
    def after(change: Change, event: Event) -> Change:
        return change.then(advance(change.incident, event, batch.now, desk.policy.periods))

    home = changes.get(batch.homes.get(alert.fingerprint, ""))
    if alert.state is AlertState.RESOLVED:
        return after(home, AlertCleared(alert)) if home else None
    if home is not None and home.incident.open:
        return after(home, AlertFired(alert))
    found = neighbours.joined(alert)
    if found is not None:
        incident, why = found
        return after(changes[incident], AlertFired(alert, why.evidence()))
    if alert.priority.urgency > desk.policy.opens.urgency:
        return None
    incident = _free_id(alert, changes, batch, desk)
    step = opened(alert, batch.now, desk.policy.periods, id=incident)
    return Change(step[0]).then(step)


def _free_id(alert: Alert, changes: Mapping[str, Change], batch: Batch, desk: Desk) -> str:
    """Four digits of the fingerprint tell most incidents of one second apart; more are taken when they do not."""
    for digits in (4, 8, 16):
        name = incident_id(batch.now, alert, digits=digits)
        if name not in changes and not store.incident_rows(desk.connection, ids=[name]):
            break
    return name


def remediate(batch: Batch, desk: Desk) -> Batch:
    """Call for every runbook that answers an alert, once for each of its episodes and each time the incident was
    reopened."""
    runs: dict[str, store.RunRow] = {}
    for change in batch.changes.values():
        for alert in change.remediate:
            for order, runbook in enumerate(desk.policy.runbooks):
                if runbook.answers(alert, change.incident.priority):
                    run = _planned(runbook, order, change.incident, alert)
                    runs.setdefault(run["id"], run)
    return replace(batch, runs=tuple(runs.values()))


def episode_of(incident: Incident, alert: Alert) -> str:
    """What a runbook runs once for: an alert, because another instance wants its own repair, from one onset, because a
    repair may not last, in one round of its incident."""
    return f"{incident.reopened}_{alert.fingerprint}_{alert.active_at * 1000:.0f}"


def _planned(runbook: Runbook, order: int, incident: Incident, alert: Alert) -> store.RunRow:
    episode = episode_of(incident, alert)
    return {
        "id": f"RUN_{incident.id.removeprefix('INC_')}_{runbook.name}_{episode}",
        "incident_id": incident.id,
        "runbook": runbook.name,
        "state": PLANNED,
        "started_at": None,
        "finished_at": None,
        "outcome": "",
        "data": {
            "digest": runbook.digest,
            "order": order,
            "episode": episode,
            "fingerprint": alert.fingerprint,
            "alertname": alert.name,
            "labels": alert.labels.to_dict(),
            "annotations": alert.annotations.to_dict(),
        },
    }


def address(batch: Batch, desk: Desk) -> Batch:
    """A letter to each integration of each receiver, for everything people are to be told."""
    letters: list[store.NotificationRow] = []
    changes = dict(batch.changes)
    for key, change in batch.changes.items():
        tells = _said_once(change)
        if tells and not _reachable(change.incident, desk):
            text = f"nobody is told that it is {tells[-1].notice.value}: no receiver of its routes has a channel for it"
            entry = Entry(batch.now, "nobody_told", MACHINE, text)
            changes[key] = replace(change, entries=(*change.entries, entry))
        letters += [letter for tell in tells for letter in _about_incident(change.incident, tell, batch.now, desk)]
    lone = [letter for alert in batch.lone for letter in _about_alert(alert, batch.now, desk)]
    return replace(batch, changes=changes, letters=(*letters, *lone))


def _said_once(change: Change) -> list[Tell]:
    """What is still worth saying when one batch did several things: an incident just opened need not escalate. One that
    was open before does, although an alert that joined it may have it told as opened to new receivers."""
    said: dict[Notice, Tell] = {}
    for tell in change.tells:
        if tell.notice is Notice.OPENED:
            said.setdefault(tell.notice, tell)  # the first alert is what opened it; the others joined
        else:
            said[tell.notice] = tell
    if any(entry.event in ("incident_created", "reopened") for entry in change.entries):
        said.pop(Notice.ESCALATED, None)
    return list(said.values())


def _reachable(incident: Incident, desk: Desk) -> bool:
    """Whether any of its receivers has a channel we speak, whatever that channel wants to hear."""
    return any(desk.policy.routing.integrations(receiver) for receiver in _receivers(incident, desk))


def _receivers(incident: Incident, desk: Desk) -> Sequence[str]:
    return desk.policy.routing.receivers_of(alert.labels for alert in incident.alerts)


def _about_incident(incident: Incident, tell: Tell, now: float, desk: Desk) -> list[store.NotificationRow]:
    said = message.of_incident(incident, tell.notice.value, tell.text, now, desk.policy.external_url)
    return _letters(said, _receivers(incident, desk), incident.id, _occasion(tell.notice, incident), desk)


def _occasion(notice: Notice, incident: Incident) -> str:
    """The event as the outbox tells occasions apart: what happens again after a reopening is a new event."""
    if notice is Notice.ESCALATED and incident.priority is not Priority.P0:
        return f"{notice.value}#{incident.priority.value}"
    counted = notice in (Notice.ACKNOWLEDGED, Notice.MONITORING, Notice.RESOLVED)
    number = incident.reopened + 1 if counted else incident.reopened if notice is Notice.REOPENED else 1
    return f"{notice.value}#{number}" if number > 1 else notice.value


def _about_alert(alert: Alert, now: float, desk: Desk) -> list[store.NotificationRow]:
    said = message.of_alert(alert, now, desk.policy.external_url)
    receivers = desk.policy.routing.receivers_for(alert.labels)
    letters = _letters(said, receivers, None, f"{said.event}@{alert.active_at:.3f}", desk)
    if alert.state is AlertState.FIRING:
        return letters
    # All-clear goes to those who were told that it fires.
    fired = {letter["id"]: _letter_id(*_address(letter), f"firing@{alert.active_at:.3f}") for letter in letters}
    told = store.known_notifications(desk.connection, [*fired.values()])
    return [letter for letter in letters if fired[letter["id"]] in told]


def _address(letter: store.NotificationRow) -> tuple[object, ...]:
    return letter["dedup_key"], letter["receiver"], letter["channel"], letter["integration"]


def _letters(
    said: message.Message, receivers: Sequence[str], incident: str | None, occasion: str, desk: Desk
) -> list[store.NotificationRow]:
    return [
        {
            "id": _letter_id(said.subject_id, receiver, integration.channel, number, occasion),
            "incident_id": incident,
            "receiver": receiver,
            "channel": integration.channel,
            "integration": number,
            "event": occasion,
            "state": "pending",
            "attempts": 0,
            "next_at": said.at,
            "created_at": said.at,
            "sent_at": None,
            "error": "",
            "payload": message.to_payload(replace(said, receiver=receiver)),
            "dedup_key": said.subject_id,
        }
        for receiver in dict.fromkeys(receivers)
        for number, integration in enumerate(desk.policy.routing.integrations(receiver))
        if integration.wants(said)
    ]


def _letter_id(*parts: object) -> str:
    """The same for the same letter, so that it cannot be put into the outbox twice."""
    return "N_" + hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:32]


def record(batch: Batch, desk: Desk) -> Batch:
    """Write everything. What was called for before is not called for again."""
    for change in batch.changes.values():
        if change.entries:
            journal.write(desk.connection, change.incident, change.entries)
    letters = tuple(store.enqueue(desk.connection, batch.letters))
    runs = tuple(run for run in batch.runs if store.plan_run(desk.connection, run))
    return replace(batch, letters=letters, runs=runs)


STAGES: tuple[Stage, ...] = (settle, recognise, correlate, remediate, address, record)
# What follows from a change, whoever made it: an alert, a person, a runbook, or time.
CONSEQUENCES: tuple[Stage, ...] = STAGES[3:]
