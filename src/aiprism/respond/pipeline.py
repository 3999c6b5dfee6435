"""Where an alert goes, and what happens if a step fails: literal tuples of stages, each run inside one transaction.

`STAGES` is the way of alerts that come in (`accept`): merged with what is known of them, then to the incident they belong
to and to the aggregation groups of the routes that take them. `FLUSH` is the way of groups whose time has come (`flush`):
what is inhibited, out of hours, silenced, in maintenance, suppressed or told already is held back, the rest becomes
letters. What people say (`happen`) and the passing of time (`check`) enter at `CONSEQUENCES`. Each stage stands in the
module it is named with.

All of it is rows: when these calls return, a killed process loses nothing. If a stage fails, nothing of the batch is kept,
the error goes to the sender, and the detector sends again. Sending is `deliver`'s work, acting `remediate`'s.

Which alerts open an incident: those of the tiers that say so, usually P0 and P1 (the plan, L917); others only join an open
incident they resemble; one that is inhibited, silenced, in maintenance or suppressed does neither until that is over.
Incidents are told to the receivers of their tier (`audience`), groups to the receivers of their routes.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import structlog
from sqlalchemy import Connection

from aiprism.clock import Clock
from aiprism.model.alerts import Alert
from aiprism.respond import (
    arrival,
    consequences,
    homes,
    joining,
    membership,
    notify,
    quiet,
    roomkeeping,
    upkeep,
)
from aiprism.respond.desk import Batch, Desk, Policy, Stage
from aiprism.respond.incident import Event, Incident, Tick, next_due
from aiprism.respond.mute import holding
from aiprism.respond.mute.holding import Holding
from aiprism.respond.mute.maintenance import Window
from aiprism.respond.mute.silences import Silence
from aiprism.respond.oncall import overrides
from aiprism.respond.oncall.schedule import Override
from aiprism.respond.standing import Standing
from aiprism.store import alerting
from aiprism.store import held as held_store
from aiprism.store import incidents as store
from aiprism.store.records import Records
from aiprism.telemetry import Telemetry

log = structlog.get_logger()

_TIDY = 30.0  # seconds between looks for what is empty or old, as Alertmanager's dispatcher

# What follows from a change, whoever made it: an alert, a person, a runbook, or time.
CONSEQUENCES: tuple[Stage, ...] = (
    consequences.remediate, consequences.address, consequences.record,
    roomkeeping.open_wanted, roomkeeping.bring_people, roomkeeping.tell_pins,
)  # fmt: skip
# What keeps an alert from an incident, in the order of `holding.HOLDS`; the hours of a route keep it from letters only.
HELD: tuple[Stage, ...] = (arrival.inhibit, arrival.silence, arrival.maintain, arrival.suppress)
# The way of an alert that comes in.
STAGES: tuple[Stage, ...] = (
    arrival.settle, arrival.enrich, homes.recognise, arrival.steady,
    *HELD, homes.correlate, membership.group, *CONSEQUENCES,
)  # fmt: skip
# The way of an alert that ended because nobody said it again: its groups see by themselves that it is over.
ENDINGS: tuple[Stage, ...] = (homes.recognise, arrival.steady, homes.correlate, *CONSEQUENCES)
# The way of an alert that nothing holds back any more, and that fires on: its groups know it already.
RELEASES: tuple[Stage, ...] = (homes.recognise, *HELD, homes.correlate, *CONSEQUENCES)
# The way of groups that are due, to the outbox.
FLUSH: tuple[notify.Stage, ...] = (
    notify.inhibit, notify.hours, notify.silence, notify.maintain, notify.suppress, notify.dedup, notify.find_homes,
    notify.tell_once, notify.compose, notify.record,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Looked:
    """When maintenance windows were last looked at, and under which policy: a reload may take some away."""

    policy: Policy
    at: float


class Respond:
    """The entrance of the room. Thread-safe: one batch at a time."""

    def __init__(
        self, records: Records, clock: Clock, policy: Policy | None = None, telemetry: Telemetry | None = None
    ) -> None:
        self.policy = policy or Policy()
        self._records, self._clock, self._telemetry = records, clock, telemetry or Telemetry()
        self._lock = threading.Lock()
        self._tidied = clock.now()
        self._looked: _Looked | None = None
        self._standing = Standing()
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
            due = self._due(connection, self._seen(self.policy), self._tidied)
        if due > self._clock.now():
            return due
        with self.desk() as desk:
            ended = upkeep.ended(desk)
            batch = desk.run(ended, ENDINGS)
            alerting.close_alerts(desk.connection, [alert.fingerprint for alert in ended.known])
            released = _let_go(desk, _unheld(desk, self._seen(desk.policy)))
            rested = _let_go(desk, upkeep.rested(desk))
            held = _tell_groups(desk)
            tidied = self._tidied
            if desk.now - tidied >= _TIDY:
                tidied = desk.now
                upkeep.tidy(desk)
            due = self._due(desk.connection, desk.now, tidied)
        # Only what was committed was looked at: what failed is done again.
        self._looked, self._tidied = _Looked(desk.policy, desk.now), tidied
        for each in (batch, released, rested):
            _log_changes(each)
        for reason, count in held.items():
            self._telemetry.dropped("respond.notify", reason, count)
        return due

    def _seen(self, policy: Policy) -> float | None:
        """Until when the windows of this policy were looked at; None when they were not."""
        return self._looked.at if self._looked is not None and self._looked.policy is policy else None

    def _due(self, connection: Connection, seen: float | None, tidied: float) -> float:
        if seen is None:
            return self._clock.now()
        windows = holding.windows(connection, self.policy.planned)
        ends = (period.end for each in windows if (period := each.holding(seen) or each.following(seen)))
        groups_due, alerts_end = alerting.next_group(connection), alerting.next_end(connection)
        rests = held_store.next_rest(connection)
        times = (tidied + _TIDY, groups_due, alerts_end, rests, min(ends, default=None))
        return min(time for time in times if time is not None)

    def put_silence(self, wanted: Silence, fresh_id: str) -> str:
        """Make a silence, or change the one that has the id of `wanted`; the id it has now. BadInput or NotFound when that
        cannot be."""
        with self.desk() as desk:
            return quiet.put_silence(desk, wanted, fresh_id)

    def end_silence(self, silence_id: str) -> None:
        """End a silence; one that is over stays as it is. NotFound when there is none of that id."""
        with self.desk() as desk:
            quiet.end_silence(desk, silence_id)

    def put_window(self, window: Window) -> Window:
        """Keep a maintenance window, which has an id of its own. Conflict when another one of its name is not over."""
        with self.desk() as desk:
            quiet.put_window(desk, window)
        return window

    def end_window(self, window_id: str) -> Window:
        """End a maintenance window now, by id or name: what fires on is told. NotFound when there is none; Conflict for one
        that stands in maintenance.yml."""
        with self.desk() as desk:
            before, after = quiet.end_window(desk, window_id)
            if after is before:
                return before
            batch = _let_go(desk, upkeep.released(desk, [before] if before.holding(desk.now) else []))
            desk.made_work = True
        _log_changes(batch)
        return after

    def put_override(self, wanted: Override) -> Override:
        """Have others be on call for a time. NotFound or BadInput when that cannot be."""
        with self.desk() as desk:
            return overrides.put(desk.connection, desk.policy.periods.rota, wanted)

    def end_override(self, override_id: str) -> Override:
        """Have an override hold no longer from now on. NotFound when there is none of that id."""
        with self.desk() as desk:
            return overrides.end(desk.connection, override_id, desk.now)

    def holding(self, connection: Connection) -> Holding:
        """What holds alerts back now."""
        return self.policy.holding(connection, self._clock.now())

    def regroup(self) -> None:
        """Put every alert into the groups of the routes there are now; groups of routes that are no more are gone."""
        with self.desk() as desk:
            membership.regroup(desk)
            desk.made_work = True

    def happen(self, incident_id: str, event: Event) -> Incident:
        """Let an event happen to an incident; NotFound or Conflict when it cannot."""
        with self.desk() as desk:
            return desk.happen(incident_id, event)

    def merge(self, into: str, other: str, actor: str, text: str = "") -> Incident:
        """Have one incident take in another (`joining.merge`)."""
        with self.desk() as desk:
            return joining.merge(desk, into, other, actor, text)

    def split(self, incident_id: str, fingerprints: Collection[str], actor: str, text: str = "") -> Incident:
        """Have alerts of an incident be one of their own (`joining.split`)."""
        with self.desk() as desk:
            return joining.split(desk, incident_id, fingerprints, actor, text)

    def check(self) -> None:
        """Let time pass for every open incident: validation periods, deadlines."""
        with self.desk() as desk:
            self._tick(desk, [incident.id for incident in desk.standing.open_incidents(desk.connection)])

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
        store.put_due(desk.connection, {each.id: next_due(each, desk.periods) for each in after})

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection to look at what is kept, beside whoever writes."""
        with self._records.reading() as connection:
            yield connection

    @contextmanager
    def desk(self) -> Iterator[Desk]:
        """A transaction on the response room's state; what it called for is set going after it was committed."""
        # What is seen is judged once the transaction was rolled back.
        with self._lock, self._standing.refusing(), self._records.begin(alone="desk") as connection:
            desk = Desk(connection, self.policy, self._clock.now(), CONSEQUENCES, standing=self._standing)
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


def _tell_groups(desk: Desk) -> Counter[str]:
    """Tell what is due to be told of groups; how many alerts each reason held back."""
    policy = desk.policy
    round_ = notify.gathered(
        desk.connection,
        policy.routing,
        tiers=policy.periods.tiers,
        external_url=policy.external_url,
        buttons=policy.buttons,
        now=desk.now,
        holding=desk.holding,
        standing=lambda: desk.standing.open_incidents(desk.connection),
    )
    for stage in FLUSH:
        round_ = stage(round_, desk.connection)
    desk.made_work = desk.made_work or bool(round_.letters)
    return round_.held


def _unheld(desk: Desk, seen: float | None) -> Batch:
    return upkeep.unheld(desk) if seen is None else upkeep.released(desk, upkeep.windows_ended(desk, seen))


def _let_go(desk: Desk, released: Batch) -> Batch:
    return desk.run(released, RELEASES) if released.alerts else released  # mostly there is nothing, at every flush


def _log_changes(batch: Batch) -> None:
    for change in batch.changes.values():
        for entry in change.entries:
            log.info(f"incident.{entry.event}", incident=change.incident.id, text=entry.text)
