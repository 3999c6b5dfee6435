"""What the stages of the pipeline work with: a batch of alerts, and the desk it is worked on at.

A `Stage` takes a `Batch` and gives the batch after it; what becomes of each incident gathers in its `Change`s, and nothing
is written before the last stage. The `Desk` is one transaction under the `Policy` in force. Which stages there are, and in
which order, is `pipeline`'s to say: the desk is handed what follows from a change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from sqlalchemy import Connection

from aiprism.model.alerts import Alert, Priority
from aiprism.respond import audience, journal
from aiprism.respond import group as groups
from aiprism.respond.incident import (
    Entry,
    Event,
    Incident,
    Periods,
    Remediate,
    ReopenedByHand,
    ResolvedByHand,
    Step,
    Tell,
    Tick,
    Unacknowledged,
    advance,
)
from aiprism.respond.known import Known
from aiprism.respond.likeness import Weights
from aiprism.respond.mute import flapping, holding
from aiprism.respond.mute.holding import Holding, Planned
from aiprism.respond.oncall import overrides
from aiprism.respond.roomplan import RoomPlan
from aiprism.respond.route import Routing, nobody
from aiprism.respond.runbook import Runbook
from aiprism.respond.standing import Standing
from aiprism.respond.ways import Ways
from aiprism.services import Catalogue
from aiprism.store import alerting
from aiprism.store import incidents as store

# What an incident that was merged is not asked for the one it is part of.
_OF_ITSELF = (ResolvedByHand, ReopenedByHand, Unacknowledged, Tick)


@dataclass(frozen=True, slots=True)
class Policy:
    """Everything configured that decides what follows from an alert; replaced as a whole on reload."""

    routing: Routing = field(default_factory=nobody)
    runbooks: tuple[Runbook, ...] = ()
    dry_run: bool = False  # runbooks say what they would do, and do nothing
    max_runs_per_hour: int = 0  # of all runbooks together; 0: any number
    roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # role → people who have it always
    periods: Periods = field(default_factory=Periods)
    ways: Callable[[], Ways] = Ways  # who calls whom, as known now
    weights: Weights = field(default_factory=Weights)
    services: Catalogue = field(default_factory=Catalogue)
    flapping: flapping.Limits = field(default_factory=flapping.Limits)
    planned: Planned = field(default_factory=Planned)  # maintenance windows and suppression rules of maintenance.yml
    rooms: RoomPlan = field(default_factory=RoomPlan)  # war-room.yml
    external_url: str = ""
    incident_receivers: tuple[str, ...] = ()  # who is told how incidents go, of tiers that name nobody
    buttons: bool = False  # whether messages may carry buttons: somebody hears when one is pressed

    def receivers_of(self, priority: Priority) -> tuple[str, ...]:
        """Who is told how incidents of this tier go."""
        return audience.receivers(self.periods.tiers.of[priority], self.incident_receivers)

    def holding(self, connection: Connection, now: float, coming: Sequence[Known] = ()) -> Holding:
        """What holds alerts back at `now`; `coming`, if there are some, are alerts that are not written yet: only they are
        asked about."""
        return holding.gathered(connection, self.routing, self.planned, self.services, now, coming=coming)


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to one incident in one batch."""

    incident: Incident
    entries: tuple[Entry, ...] = ()
    before: Incident | None = None  # as it is kept; None for one that is new
    tells: tuple[Tell, ...] = ()
    remediate: tuple[Alert, ...] = ()

    @classmethod
    def of(cls, incident: Incident) -> Change:
        """Nothing yet, to an incident that is kept like this."""
        return cls(incident, before=incident)

    def then(self, step: Step) -> Change:
        """This change with one more step of the state machine after it."""
        incident, effects = step
        return Change(
            incident,
            (*self.entries, *(effect for effect in effects if isinstance(effect, Entry))),
            self.before,
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
    consequences: Sequence[Stage]  # what follows from a change of an incident
    made_work: bool = False
    standing: Standing = field(default_factory=Standing)
    _periods: Periods | None = None

    @property
    def periods(self) -> Periods:
        """What is expected of people, and who of them is on call by the overrides that hold now."""
        if self._periods is None:
            said = self.policy.periods
            rota = overrides.in_force(self.connection, said.rota, self.now)
            self._periods = said if rota is said.rota else replace(said, rota=rota)
        return self._periods

    def happen(self, incident_id: str, *events: Event) -> Incident:
        """Let `events` happen to an incident, with all that follows; NotFound or Conflict when one cannot. What is said to one
        that was merged is said to the one it is part of, as people answer to the name they were told, but for whether it is
        over."""
        itself = any(isinstance(event, _OF_ITSELF) for event in events)
        change = Change.of(self.incident(incident_id, itself=itself))
        effects = 0
        for event in events:
            step = advance(change.incident, event, self.now, self.periods)
            if step[1]:
                change, effects = change.then(step), effects + 1
        if effects:
            self.run(Batch(self.now, changes={change.incident.id: change}), self.consequences)
        return change.incident

    def incident(self, incident_id: str, *, itself: bool = False) -> Incident:
        """An incident as it is now, or the one that it goes on as, unless it is meant `itself`. NotFound when there is none."""
        found = self.standing.incident(self.connection, incident_id) or journal.read(self.connection, incident_id)
        return found if itself or not found.work.merged_into else self.incident(found.work.merged_into)

    def run(self, batch: Batch, stages: Sequence[Stage]) -> Batch:
        """The batch after these stages."""
        for stage in stages:
            batch = stage(batch, self)
        told = any(change.tells for change in batch.changes.values())
        self.made_work = self.made_work or told or bool(batch.letters or batch.runs or batch.groups)
        return batch

    def as_alert(self, known: Known) -> Alert:
        """What is known of an alert as the alert it is now, in its tier."""
        return self.policy.periods.tiers.placed(known.as_alert(self.now))

    def holding(self, coming: Sequence[Known] = ()) -> Holding:
        """What holds alerts back now; `coming` are alerts that are not written yet."""
        return self.policy.holding(self.connection, self.now, coming)


Stage: TypeAlias = Callable[[Batch, Desk], Batch]
