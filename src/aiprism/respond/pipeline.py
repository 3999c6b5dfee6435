"""Where an alert goes: two literal tuples of stages, each inside one transaction.

`STAGES` is the way of alerts that come in (`accept`): merged with what is known of them, then to the incident they belong
to and to the aggregation groups of the routes that take them. `FLUSH` is the way of groups whose time has come (`flush`):
what is inhibited, out of hours, silenced, in maintenance, suppressed or told already is held back, the rest becomes
letters. What people say (`happen`) and the passing of time (`check`) enter at `CONSEQUENCES`. All of it is rows: when these
calls return, a killed process loses nothing. If a stage fails, nothing of the batch is kept, the error goes to the sender,
and the detector sends again. Sending is `deliver`'s work, acting `remediate`'s.

Which alerts open an incident: those of the tiers that say so, usually P0 and P1 (the plan, L917); others only join an open
incident they resemble; one that is inhibited, silenced, in maintenance or suppressed does neither until that is over.
Incidents are told to the receivers of their tier (`audience`), groups to the receivers of their routes.
"""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import structlog
from sqlalchemy import Connection

from aiprism.clock import Clock
from aiprism.errors import Conflict, NotFound
from aiprism.model.alerts import Alert, AlertState, Priority
from aiprism.respond import audience, episodes, flapping, held, holding, journal, message, notify
from aiprism.respond import group as groups
from aiprism.respond.channels.post import Integration
from aiprism.respond.correlate import Neighbourhood, Related, unrelated
from aiprism.respond.enrich import enriched
from aiprism.respond.holding import Holding, Planned
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
    next_due,
    opened,
    same_episode,
)
from aiprism.respond.keeping import (
    flap_of,
    flap_row,
    group_of,
    group_row,
    known_of,
    known_row,
    silence_of,
    silence_row,
    window_of,
    window_row,
)
from aiprism.respond.known import Known, reported
from aiprism.respond.maintenance import Window
from aiprism.respond.route import Routing, nobody
from aiprism.respond.runbook import Runbook
from aiprism.respond.silences import RETENTION, Silence, expired, kept_after
from aiprism.services import Catalogue
from aiprism.store import alerting
from aiprism.store import held as held_store
from aiprism.store import incidents as store
from aiprism.store.records import Records
from aiprism.telemetry import Telemetry

log = structlog.get_logger()

_TIDY = 30.0  # seconds between looks for what is empty or old, as Alertmanager's dispatcher
_OVER = 1800.0  # seconds an alert is known after it was over, as Alertmanager's --alerts.gc-interval
_CHANGES_KEPT = 86_400.0  # seconds an alert's changes are remembered: no window is longer
PLANNED = "planned"  # a run that has been called for and not looked at yet


@dataclass(frozen=True, slots=True)
class Policy:
    """Everything configured that decides what follows from an alert; replaced as a whole on reload."""

    routing: Routing = field(default_factory=nobody)
    runbooks: tuple[Runbook, ...] = ()
    periods: Periods = field(default_factory=Periods)
    related: Related = unrelated
    services: Catalogue = field(default_factory=Catalogue)
    flapping: flapping.Limits = field(default_factory=flapping.Limits)
    planned: Planned = field(default_factory=Planned)  # maintenance windows and suppression rules of maintenance.yml
    external_url: str = ""
    incident_receivers: tuple[str, ...] = ()  # who is told how incidents go, of tiers that name nobody
    buttons: bool = False  # whether messages may carry buttons: somebody hears when one is pressed

    def receivers_of(self, priority: Priority) -> tuple[str, ...]:
        """Who is told how incidents of this tier go."""
        return audience.receivers(self.periods.tiers.of[priority], self.incident_receivers)


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
    known: tuple[Known, ...] = ()  # what is known of them after this report
    groups: tuple[groups.Group, ...] = ()  # begun, or due earlier
    members: tuple[alerting.Member, ...] = ()
    dropped: tuple[tuple[Alert, str], ...] = ()
    was_firing: Mapping[str, bool] = field(default_factory=dict)  # fingerprint → what it was before this report
    flaps: tuple[flapping.Flap, ...] = ()  # those that came or went
    holding: Holding | None = None  # what holds alerts back, once a stage has asked
    letters: tuple[store.NotificationRow, ...] = ()
    runs: tuple[store.RunRow, ...] = ()


@dataclass(slots=True)
class Desk:
    """One transaction: the policy in force, and the connection everything is read and written through."""

    connection: Connection
    policy: Policy
    now: float
    made_work: bool = False

    def happen(self, incident_id: str, *events: Event) -> Incident:
        """Let `events` happen to an incident, with all that follows; NotFound or Conflict when one cannot."""
        change = Change(journal.read(self.connection, incident_id))
        effects = 0
        for event in events:
            step = advance(change.incident, event, self.now, self.policy.periods)
            if step[1]:
                change, effects = change.then(step), effects + 1
        if effects:
            self.run(Batch(self.now, changes={incident_id: change}), CONSEQUENCES)
        return change.incident

    def run(self, batch: Batch, stages: Sequence[Stage]) -> Batch:
        """The batch after these stages."""
        for stage in stages:
            batch = stage(batch, self)
        told = any(change.tells for change in batch.changes.values())
        self.made_work = self.made_work or told or bool(batch.letters or batch.runs or batch.groups)
        return batch

    def holding(self, coming: Sequence[Known] = ()) -> Holding:
        """What holds alerts back now; `coming` are alerts that are not written yet."""
        return _holding(self.connection, self.policy, self.now, coming)

    def flush(self) -> Counter[str]:
        """Tell what is due to be told of groups; how many alerts each reason held back."""
        policy = self.policy
        round_ = notify.gathered(
            self.connection,
            policy.routing,
            tiers=policy.periods.tiers,
            external_url=policy.external_url,
            buttons=policy.buttons,
            now=self.now,
            holding=self.holding,
        )
        for stage in FLUSH:
            round_ = stage(round_, self.connection)
        self.made_work = self.made_work or bool(round_.letters)
        return round_.held


def _holding(connection: Connection, policy: Policy, now: float, coming: Sequence[Known] = ()) -> Holding:
    return holding.gathered(connection, policy.routing, policy.planned, policy.services, now, coming=coming)


Stage: TypeAlias = Callable[[Batch, Desk], Batch]


class Respond:
    """The entrance of the room. Thread-safe: one batch at a time."""

    def __init__(
        self, records: Records, clock: Clock, policy: Policy | None = None, telemetry: Telemetry | None = None
    ) -> None:
        self.policy = policy or Policy()
        self._records, self._clock, self._telemetry = records, clock, telemetry or Telemetry()
        self._lock = threading.Lock()
        self._tidied = self._looked = clock.now()
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
        _log_changes(batch)

    def flush(self) -> float:
        """Tell what is due to be told of groups, let alerts end whose time is over, and forget what is old; when to come
        again."""
        with self.reading() as connection:  # mostly there is nothing yet, and nobody is kept waiting for that
            due = self._due(connection)
        if due > self._clock.now():
            return due
        with self.desk() as desk:
            ended = [known_of(row) for row in alerting.ended_alerts(desk.connection, desk.now)]
            batch = desk.run(_ending(ended, desk.now), ENDINGS)
            alerting.close_alerts(desk.connection, [alert.fingerprint for alert in ended])
            over = _ended_since(desk, self._looked)
            released, self._looked = _release(desk, over), desk.now
            rested = _come_to_rest(desk)
            held = desk.flush()
            if desk.now - self._tidied >= _TIDY:
                self._tidied = desk.now
                _tidy(desk)
            due = self._due(desk.connection)
        for each in (batch, released, rested):
            _log_changes(each)
        for reason, count in held.items():
            self._telemetry.dropped("respond.notify", reason, count)
        return due

    def _due(self, connection: Connection) -> float:
        windows = holding.windows(connection, self.policy.planned)
        ends = (period.end for each in windows if (period := each.holding(self._looked)))
        groups_due, alerts_end = alerting.next_group(connection), alerting.next_end(connection)
        rests = held_store.next_rest(connection)
        times = (self._tidied + _TIDY, groups_due, alerts_end, rests, min(ends, default=None))
        return min(time for time in times if time is not None)

    def put_silence(self, wanted: Silence, fresh_id: str) -> str:
        """Make a silence, or change the one that has the id of `wanted`; the id it has now. BadInput or NotFound when that
        cannot be."""
        with self.desk() as desk:
            rows = alerting.silence_rows(desk.connection, ids=[wanted.id]) if wanted.id else []
            if wanted.id and not rows:
                raise NotFound(f"no silence {wanted.id!r}")
            kept = kept_after(wanted, silence_of(rows[0]) if rows else None, desk.now, fresh_id)
            for each in kept:
                alerting.put_silence(desk.connection, silence_row(each))
        return kept[0].id

    def end_silence(self, silence_id: str) -> None:
        """End a silence; one that is over stays as it is. NotFound when there is none of that id."""
        with self.desk() as desk:
            rows = alerting.silence_rows(desk.connection, ids=[silence_id])
            if not rows:
                raise NotFound(f"no silence {silence_id!r}")
            alerting.put_silence(desk.connection, silence_row(expired(silence_of(rows[0]), desk.now)))

    def put_window(self, window: Window) -> Window:
        """Keep a maintenance window, which has an id of its own. Conflict when another one of its name is not over."""
        with self.desk() as desk:
            for each in holding.windows(desk.connection, self.policy.planned):
                if each.name == window.name and not each.over(desk.now):
                    raise Conflict(
                        f"there is a maintenance window {window.name!r}; end it first, or choose another name"
                    )
            held_store.put_window(desk.connection, window_row(window, desk.now))
        return window

    def end_window(self, window_id: str) -> Window:
        """End a maintenance window now, by id or name: what fires on is told. NotFound when there is none; Conflict for one
        that stands in maintenance.yml."""
        with self.desk() as desk:
            rows = reversed(held_store.window_rows(desk.connection))
            row = next((row for row in rows if window_id in (row["id"], row["name"])), None)
            if row is None and any(each.name == window_id for each in self.policy.planned.windows):
                raise Conflict(
                    f"maintenance window {window_id!r} stands in maintenance.yml: change it there, and reload"
                )
            if row is None:
                raise NotFound(f"no maintenance window {window_id!r}")
            before = window_of(row)
            if before.ended_at is not None:
                return before
            after = replace(before, ended_at=desk.now)
            held_store.put_window(desk.connection, window_row(after, row["created_at"]))
            batch = _release(desk, [before] if before.holding(desk.now) else [])
            desk.made_work = True
        _log_changes(batch)
        return after

    def holding(self, connection: Connection) -> Holding:
        """What holds alerts back now."""
        return _holding(connection, self.policy, self._clock.now())

    def regroup(self) -> None:
        """Put every alert into the groups of the routes there are now; groups of routes that are no more are gone."""
        with self.desk() as desk:
            _regroup(desk)
            desk.made_work = True

    def happen(self, incident_id: str, event: Event) -> Incident:
        """Let an event happen to an incident; NotFound or Conflict when it cannot."""
        with self.desk() as desk:
            return desk.happen(incident_id, event)

    def check(self) -> None:
        """Let time pass for every open incident: validation periods, deadlines."""
        with self.desk() as desk:
            self._tick(desk, [incident.id for incident in journal.open_incidents(desk.connection)])

    def check_due(self) -> float | None:
        """Let time pass for the incidents it changes now; when it changes one next, None when never."""
        with self.reading() as connection:  # mostly there is none, and nobody is kept waiting for that
            due = store.next_due_incident(connection)
        if due is None or due > self._clock.now():
            return due
        with self.desk() as desk:
            self._tick(desk, store.due_incidents(desk.connection, desk.now))
            return store.next_due_incident(desk.connection)

    def _tick(self, desk: Desk, incidents: Sequence[str]) -> None:
        after = [desk.happen(incident, Tick()) for incident in incidents]
        # Also of those nothing happened to: the deadlines of a tier may have been changed.
        store.put_due(desk.connection, {each.id: next_due(each, desk.policy.periods) for each in after})

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


def settle(batch: Batch, desk: Desk) -> Batch:
    """Drop what is not for us and merge the rest with what is known; the most urgent and earliest come first, what fires
    before what clears."""
    ours = [alert for alert in batch.alerts if alert.state is not AlertState.PENDING]
    pending = [(alert, "pending") for alert in batch.alerts if alert.state is AlertState.PENDING]
    rows = alerting.alert_rows(desk.connection, sorted({alert.fingerprint for alert in ours}))
    known, settled = {row["fingerprint"]: known_of(row) for row in rows}, []
    for alert in ours:
        after = reported(alert, batch.now).after(known.get(alert.fingerprint), batch.now)
        known[alert.fingerprint] = after
        # A detector knows the onset of its alert better; for others it is what is known from all they said.
        said = alert if alert.ends_at is None else after.as_alert(batch.now)
        settled.append(desk.policy.periods.tiers.placed(said))

    def order(alert: Alert) -> tuple[bool, int, float, str]:
        return alert.state is AlertState.RESOLVED, alert.priority.urgency, alert.active_at, alert.fingerprint

    return replace(
        batch,
        alerts=tuple(sorted(settled, key=order)),
        known=tuple(known.values()),
        was_firing={row["fingerprint"]: row["open"] for row in rows},
        dropped=(*batch.dropped, *pending),
    )


def enrich(batch: Batch, desk: Desk) -> Batch:
    """Write beside each alert what its service's entry in the catalogue says and its sender did not."""
    services = desk.policy.services
    if not len(services):
        return batch
    return replace(
        batch,
        alerts=tuple(
            replace(alert, annotations=enriched(alert.labels, alert.annotations, services)) for alert in batch.alerts
        ),
        known=tuple(
            replace(alert, annotations=enriched(alert.labels, alert.annotations, services)) for alert in batch.known
        ),
    )


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


def steady(batch: Batch, desk: Desk) -> Batch:
    """Drop what an alert says that flaps: its incident has it firing until it comes to rest. When it begins to, that is
    told, and stands on the timeline."""
    limits = {alert.fingerprint: desk.policy.flapping.of(alert) for alert in batch.known}
    if not any(each.changes for each in limits.values()):
        return batch
    before = {row["fingerprint"]: flap_of(row) for row in held_store.flap_rows(desk.connection, sorted(limits))}
    after: dict[str, flapping.Flap] = {}
    for known in batch.known:
        name, firing = known.fingerprint, not known.over(batch.now)
        was = batch.was_firing.get(name, firing)
        seen = flapping.changed(
            before.get(name), name, was_firing=was, firing=firing, limits=limits[name], now=batch.now
        )
        after |= {name: seen} if seen else {}
    flaps = {name: each for name, each in after.items() if each.flaps(batch.now)}
    began = {name for name in flaps if name not in before or not before[name].flaps(batch.now)}
    kept, dropped = [], list(batch.dropped)
    for alert in batch.alerts:
        passes = alert.fingerprint not in flaps or (alert.fingerprint in began and alert.state is AlertState.FIRING)
        kept += [alert] if passes else []
        dropped += [] if passes else [(alert, "flapping")]
    return replace(
        batch,
        alerts=tuple(kept),
        dropped=tuple(dropped),
        flaps=tuple(each for name, each in after.items() if before.get(name) != each),
        changes=_told_as_flapping(batch, [flaps[name] for name in sorted(began)]),
    )


def _told_as_flapping(batch: Batch, began: Sequence[flapping.Flap]) -> Mapping[str, Change]:
    changes = dict(batch.changes)
    names = {alert.fingerprint: alert.labels.get("alertname", "") for alert in batch.known}
    for flap in began:
        home = changes.get(batch.homes.get(flap.fingerprint, ""))
        if home is None or not home.incident.open:
            continue
        text = f"{names[flap.fingerprint]} flaps: {flap.said()}"
        entry = Entry(
            batch.now, "alert_flapping", MACHINE, text, {"fingerprint": flap.fingerprint, "changes": flap.count}
        )
        tell = Tell(Notice.FLAPPING, text, occasion=f"{flap.fingerprint}@{batch.now:.0f}")
        changes[home.incident.id] = home.then((home.incident, (entry, tell)))
    return changes


def inhibit(batch: Batch, desk: Desk) -> Batch:
    """Drop alerts that fire while another one inhibits them: they open no incident and join none."""
    return _held(batch, desk, "inhibited", Holding.inhibited)


def silence(batch: Batch, desk: Desk) -> Batch:
    """Drop alerts that fire while they are silenced, likewise."""
    return _held(batch, desk, "silenced", Holding.silenced)


def maintain(batch: Batch, desk: Desk) -> Batch:
    """Drop alerts that fire about what is worked on, likewise."""
    return _held(batch, desk, "maintenance", Holding.maintained)


def suppress(batch: Batch, desk: Desk) -> Batch:
    """Drop alerts that fire and that a suppression rule has a reason for, likewise."""
    return _held(batch, desk, "suppressed", Holding.suppressed)


def _held(batch: Batch, desk: Desk, stage: str, why: Callable[[Holding, Known], str]) -> Batch:
    """The batch without what fires and is held; what is in an open incident already stays with it."""
    if not any(alert.state is AlertState.FIRING for alert in batch.alerts):
        return batch
    now_held = batch.holding or desk.holding(batch.known)
    known = {alert.fingerprint: alert for alert in batch.known}
    kept, dropped = [], list(batch.dropped)
    for alert in batch.alerts:
        home = batch.changes.get(batch.homes.get(alert.fingerprint, ""))
        settled = alert.state is AlertState.RESOLVED or (home is not None and home.incident.open)
        if not settled and why(now_held, known[alert.fingerprint]):
            dropped.append((alert, stage))
        else:
            kept.append(alert)
    return replace(batch, alerts=tuple(kept), dropped=tuple(dropped), holding=now_held)


def correlate(batch: Batch, desk: Desk) -> Batch:
    """Each alert to its incident: the one that holds it, one it resembles, a new one, or none."""
    changes = dict(batch.changes)
    neighbours = Neighbourhood((change.incident for change in changes.values()), desk.policy.related)
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
    if not desk.policy.periods.tiers.of[alert.priority].opens_incident:
        return None
    incident = _free_id(alert, changes, batch, desk)
    step = opened(alert, batch.now, desk.policy.periods, id=incident)
    return Change(step[0]).then(step)


def _free_id(alert: Alert, changes: Mapping[str, Change], batch: Batch, desk: Desk) -> str:
    """Four digits of the fingerprint tell most incidents of one second apart; more are taken when they do not."""
    for digits in (4, 8, 16):
        name = incident_id(batch.now, alert, digits=digits)
        if name not in changes and not store.known_incidents(desk.connection, [name]):
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
    """A letter to each integration of each receiver of incidents, for everything people are to be told."""
    letters: list[store.NotificationRow] = []
    changes = dict(batch.changes)
    heard = store.receivers_told(desk.connection, [key for key, change in changes.items() if change.tells])
    for key, change in batch.changes.items():
        tells = _said_once(change)
        known = list(heard.get(key, ()))
        lost = "" if _reachable(change.incident, known, desk) else "no receiver of its routes has a channel for it"
        for tell in tells:
            written = _about_incident(change.incident, tell, known, batch.now, desk)
            letters += written
            known += tell.receivers  # what comes after in the same batch they hear, too
            if tell.notice is Notice.OVERDUE and not written:  # routes tell of alerts, not of deadlines
                lost = lost or "no receiver is told of incidents of its tier (tiers.yml, respond.incident_receivers)"
        if tells and lost:
            text = f"nobody is told that it is {tells[-1].notice.value}: {lost}"
            entry = Entry(batch.now, "nobody_told", MACHINE, text)
            changes[key] = replace(change, entries=(*change.entries, entry))
    return replace(batch, changes=changes, letters=tuple(letters))


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
    routed = routing.receivers_of(alert.labels for alert in incident.alerts)
    return any(routing.integrations(name) for name in (*policy.receivers_of(incident.priority), *heard, *routed))


def _about_incident(
    incident: Incident, tell: Tell, heard: Sequence[str], now: float, desk: Desk
) -> list[store.NotificationRow]:
    said = message.of_incident(incident, tell.notice.value, tell.text, now, desk.policy.external_url)
    said = replace(said, acknowledgeable=desk.policy.buttons and incident.acknowledgeable)
    occasion = _occasion(tell, incident)
    return [
        letter_row(replace(said, receiver=receiver), integration, number, occasion, incident.id)
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
    said: message.Message, integration: Integration, number: int, occasion: str, incident: str | None = None
) -> store.NotificationRow:
    """A letter for the outbox: `said` to an integration of its receiver, the one of that number, at this occasion."""
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
        "deadline": None,
        "tells": None,
    }


def _letter_id(*parts: object) -> str:
    """The same for the same letter, so that it cannot be put into the outbox twice."""
    return "N_" + hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:32]


def group(batch: Batch, desk: Desk) -> Batch:
    """Each alert into the group of each route that takes it, also one that repeats what it said."""
    routing = desk.policy.routing
    places = [
        (groups.group_id(route, labels), route, labels, alert)
        for alert in batch.known
        for route in routing.root.matching(alert.labels)
        for labels in [groups.labels_of(route, alert.labels)]
    ]
    rows = alerting.group_rows(desk.connection, sorted({group_id for group_id, *_ in places}))
    before = {row["id"]: group_of(row) for row in rows}
    after = dict(before)
    for group_id, route, labels, alert in places:
        begun = after.get(group_id) or groups.begun(route, labels, batch.now)
        after[group_id] = groups.joined(begun, alert, route, batch.now)
    return replace(
        batch,
        groups=tuple(each for each in after.values() if before.get(each.id) != each),
        members=tuple(alerting.Member(group_id, alert.fingerprint) for group_id, _, _, alert in places),
    )


def record(batch: Batch, desk: Desk) -> Batch:
    """Write everything. What was called for before is not called for again."""
    periods = desk.policy.periods
    changed = [
        journal.Written(change.incident, change.entries, next_due(change.incident, periods))
        for change in batch.changes.values()
        if change.entries
    ]
    journal.write(desk.connection, changed)
    letters = tuple(store.enqueue(desk.connection, batch.letters))
    runs = tuple(run for run in batch.runs if store.plan_run(desk.connection, run))
    held_store.put_flaps(desk.connection, [flap_row(each, batch.now) for each in batch.flaps])
    alerting.put_alerts(desk.connection, [known_row(alert, batch.now) for alert in batch.known])
    episodes.note(desk.connection, desk.policy.periods.tiers, batch.known, batch.now)
    alerting.put_groups(desk.connection, [group_row(each) for each in batch.groups])
    alerting.join(desk.connection, batch.members)
    return replace(batch, letters=letters, runs=runs)


# The way of an alert that comes in.
STAGES: tuple[Stage, ...] = (
    settle, enrich, recognise, steady, inhibit, silence, maintain, suppress, correlate, group, remediate, address, record,
)  # fmt: skip
# What follows from a change, whoever made it: an alert, a person, a runbook, or time.
CONSEQUENCES: tuple[Stage, ...] = STAGES[10:]
# The way of an alert that ended because nobody said it again: its groups see by themselves that it is over.
ENDINGS: tuple[Stage, ...] = (recognise, steady, correlate, *CONSEQUENCES)
# The way of an alert that nothing holds back any more, and that fires on: its groups know it already.
RELEASES: tuple[Stage, ...] = (recognise, inhibit, silence, maintain, suppress, correlate, *CONSEQUENCES)
# The way of groups that are due, to the outbox.
FLUSH: tuple[notify.Stage, ...] = (
    notify.inhibit, notify.hours, notify.silence, notify.maintain, notify.suppress, notify.dedup, notify.enrich,
    notify.tell_once, notify.compose, notify.record,
)  # fmt: skip


# -- when nothing holds any more -------------------------------------------------------------------------------------


def _ended_since(desk: Desk, before: float) -> list[Window]:
    windows = holding.windows(desk.connection, desk.policy.planned)
    return [each for each in windows if each.ended_between(before, desk.now)]


def _ending(ended: Sequence[Known], now: float) -> Batch:
    return Batch(
        now,
        tuple(alert.as_alert(now) for alert in ended),
        known=tuple(ended),
        was_firing={alert.fingerprint: True for alert in ended},
    )


def _come_to_rest(desk: Desk) -> Batch:
    """What does not flap any more goes to its incident as it is, and its groups are looked at now."""
    rows = held_store.flapping_rows(desk.connection, rested_by=desk.now)
    if not rows:
        return Batch(desk.now)
    names = [row["fingerprint"] for row in rows]
    held_store.put_flaps(desk.connection, [flap_row(flapping.rested(flap_of(row)), desk.now) for row in rows])
    alerting.hasten_groups(desk.connection, names, desk.now)
    known = [known_of(row) for row in alerting.alert_rows(desk.connection, names)]
    alerts = tuple(alert.as_alert(desk.now) for alert in known)
    return desk.run(Batch(desk.now, alerts, known=tuple(known)), RELEASES)


def _release(desk: Desk, over: Sequence[Window]) -> Batch:
    """What fires on after these windows goes to its incident, and its groups are looked at now."""
    if not over:
        return Batch(desk.now)
    lasting = [known_of(row) for row in alerting.unfinished_alerts(desk.connection, desk.now)]
    known = [alert for alert in lasting if any(each.accepts(alert.labels) for each in over)]
    alerting.hasten_groups(desk.connection, [alert.fingerprint for alert in known], desk.now)
    alerts = tuple(alert.as_alert(desk.now) for alert in known)
    return desk.run(Batch(desk.now, alerts, known=tuple(known)), RELEASES)


# -- upkeep ----------------------------------------------------------------------------------------------------------


def _tidy(desk: Desk) -> None:
    alerting.drop_empty_groups(desk.connection)
    alerting.drop_ended_alerts(desk.connection, desk.now - _OVER)
    alerting.drop_silences(desk.connection, desk.now - RETENTION)
    alerting.drop_log(desk.connection, desk.now)
    held_store.let_go_of_gone(desk.connection, desk.now)
    held_store.drop_held(desk.connection, desk.now - held.RETENTION, held.MOST)
    held_store.drop_flaps(desk.connection, desk.now - _CHANGES_KEPT)
    windows = [window_of(row) for row in held_store.window_rows(desk.connection)]
    held_store.drop_windows(
        desk.connection, [each.id for each in windows if each.over(desk.now - held.RETENTION) and each.over(desk.now)]
    )


def _regroup(desk: Desk) -> None:
    """As if every alert that is known came in anew; what a group waits for goes on where there is still such a group."""
    inside = alerting.members(desk.connection)
    lasting = {row["fingerprint"] for row in alerting.unfinished_alerts(desk.connection, desk.now)}
    rows = alerting.alert_rows(desk.connection, sorted(lasting | {member.fingerprint for member in inside}))
    batch = group(Batch(desk.now, known=tuple(known_of(row) for row in rows)), desk)
    alerting.put_groups(desk.connection, [group_row(each) for each in batch.groups])
    fitting = set(batch.members)
    alerting.join(desk.connection, [member for member in batch.members if member.fingerprint in lasting])
    alerting.leave(desk.connection, [member for member in inside if member not in fitting])
    alerting.drop_empty_groups(desk.connection)


def _log_changes(batch: Batch) -> None:
    for change in batch.changes.values():
        for entry in change.entries:
            log.info(f"incident.{entry.event}", incident=change.incident.id, text=entry.text)
