"""The life of an incident (requirement R21), as a function without I/O.

Knows the four states, the one table of legal moves, what each move writes on the timeline, whom it makes us tell, and
the deadlines of each tier. In comes (incident, event, now), out go the next incident and its effects. Which alert
belongs to which incident is decided in `correlate`, storing in `journal`, telling in `deliver`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import Enum
from typing import TypeAlias

from aiprism.errors import Conflict
from aiprism.model.alerts import Alert, AlertState, Priority
from aiprism.model.labels import Labels
from aiprism.model.timerange import format_duration
from aiprism.respond import deadlines, tiers
from aiprism.respond.deadlines import Progress
from aiprism.respond.enrich import OWNER, TEAM
from aiprism.respond.oncall import escalation
from aiprism.respond.oncall.escalation import OF_INCIDENT
from aiprism.respond.oncall.rota import Rota
from aiprism.respond.subject import description_of, service_of, title_of
from aiprism.respond.tiers import Deadline, Tier, Tiers, usual

_BEGUN = "runbook_started"  # with which a runbook has begun to work on an incident
MACHINE = "automated_system"  # the plan's name for "nobody in particular did this" (L2595)


class Status(Enum):
    """Where an incident stands. A reopened one is investigating again."""

    INVESTIGATING = "investigating"
    IDENTIFIED = "identified"
    MONITORING = "monitoring"
    RESOLVED = "resolved"


class Move(Enum):
    """What takes an incident from one status to the next."""

    IDENTIFY = "identify"  # the cause is known
    CLEAR = "clear"  # the last firing alert went quiet
    VALIDATE = "validate"  # it stayed quiet for the validation period
    REOPEN = "reopen"  # an alert fired again, or a person says so
    RESOLVE = "resolve"  # a person closes it


# The whole of what is legal: (from, move) → to. Whatever does not stand here is a Conflict.
MOVES: Mapping[tuple[Status, Move], Status] = {
    (Status.INVESTIGATING, Move.IDENTIFY): Status.IDENTIFIED,
    (Status.INVESTIGATING, Move.CLEAR): Status.MONITORING,
    (Status.INVESTIGATING, Move.RESOLVE): Status.RESOLVED,
    (Status.IDENTIFIED, Move.CLEAR): Status.MONITORING,
    (Status.IDENTIFIED, Move.RESOLVE): Status.RESOLVED,
    (Status.MONITORING, Move.VALIDATE): Status.RESOLVED,
    (Status.MONITORING, Move.RESOLVE): Status.RESOLVED,
    (Status.MONITORING, Move.REOPEN): Status.INVESTIGATING,
    (Status.RESOLVED, Move.REOPEN): Status.INVESTIGATING,
}

# Where people are expected to be at work on it.
_WORKING = frozenset({Status.INVESTIGATING, Status.IDENTIFIED})


@dataclass(frozen=True, slots=True)
class Periods:
    """How long things may take: seconds of quiet before an incident is over, what each tier expects of people, and who of
    them is on call.

    The usual deadlines to acknowledge and respond are the plan's (L712). It asks for resolution targets (L2595) without
    giving them; the usual ones are four times its response deadlines.
    """

    validation: float = 1800.0
    tiers: Tiers = field(default_factory=usual)
    rota: Rota = field(default_factory=Rota)


@dataclass(frozen=True, slots=True)
class Incident:
    """One incident. Times are Unix seconds; `alerts` stand in the order they joined, each with its latest state.

    `places` says where in `alerts` each fingerprint stands, so that the thousandth alert of a storm is found as quickly
    as the first; title and description are made when someone reads them, not at every alert.
    """

    id: str
    priority: Priority
    status: Status
    created_at: float
    updated_at: float
    alerts: tuple[Alert, ...]
    target_at: float | None = None  # as its tier had it when it changed last; `deadlines` knows what holds now
    identified_at: float | None = None
    monitoring_since: float | None = None
    resolved_at: float | None = None
    acknowledged_at: float | None = None
    acknowledged_by: str = ""
    reopened: int = 0
    reopened_at: float | None = None
    responded_at: float | None = None  # when a person or a runbook began to work on it, in this round
    progress: Progress = field(default_factory=Progress)
    places: Mapping[str, int] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        if len(self.places) != len(self.alerts):
            places = {alert.fingerprint: place for place, alert in enumerate(self.alerts)}
            object.__setattr__(self, "places", places)

    @property
    def title(self) -> str:
        """One line over its alerts."""
        return title_of(self.alerts)

    @property
    def description(self) -> str:
        """What the rules say about its alerts."""
        return description_of(self.alerts)

    @property
    def open(self) -> bool:
        return self.status is not Status.RESOLVED

    @property
    def working(self) -> bool:
        """Whether people are expected to be at work on it: something fires."""
        return self.status in _WORKING

    @property
    def acknowledgeable(self) -> bool:
        """Whether somebody has yet to say that they have seen it."""
        return self.working and self.acknowledged_at is None

    @property
    def begun_at(self) -> float:
        """When its round began: opened, or reopened the last time."""
        return self.created_at if self.reopened_at is None else self.reopened_at

    @property
    def firing(self) -> tuple[Alert, ...]:
        """The alerts that still fire."""
        return tuple(alert for alert in self.alerts if alert.state is AlertState.FIRING)

    @property
    def services(self) -> tuple[str, ...]:
        """The services its alerts speak of, first seen first."""
        named = (service_of(alert.labels) for alert in self.alerts)
        return tuple(dict.fromkeys(service for service in named if service))

    @property
    def labels(self) -> Labels:
        """The labels all its alerts share."""
        shared = set.intersection(*(set(alert.labels.pairs) for alert in self.alerts)) if self.alerts else set()
        return Labels(shared)

    def alert(self, fingerprint: str) -> Alert | None:
        """Its alert of that fingerprint, if it holds one."""
        place = self.places.get(fingerprint)
        return None if place is None else self.alerts[place]


# -- what comes in ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AlertFired:
    """An alert that belongs here fires; `evidence` says why it belongs (empty for one that was here before)."""

    alert: Alert
    evidence: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AlertCleared:
    """An alert of this incident went quiet."""

    alert: Alert


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed: the progress check."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The channel a person spoke through, and receiver and number of the integration if they are known: it need not be
    told what it told us."""

    channel: str
    receiver: str = ""
    integration: int | None = None


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A person has seen it."""

    actor: str
    text: str = ""
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class Unacknowledged:
    """Whoever acknowledged it does not take care of it after all."""

    actor: str
    text: str = ""
    origin: Origin | None = None
    at: float | None = None  # when they did so, where that is not now


@dataclass(frozen=True, slots=True)
class Responded:
    """A person begins to work on it; who does so has seen it."""

    actor: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Identified:
    """The cause is known, to a person or to a runbook whose repair was verified."""

    actor: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class ResolvedByHand:
    """A person closes it."""

    actor: str
    text: str = ""
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class ReopenedByHand:
    """A person opens it again."""

    actor: str
    text: str = ""
    origin: Origin | None = None
    at: float | None = None  # as of Unacknowledged


@dataclass(frozen=True, slots=True)
class Noted:
    """Something to keep on the timeline that moves nothing: a comment, a step of a runbook, a delivery that failed."""

    event: str
    actor: str
    text: str
    data: Mapping[str, object] = field(default_factory=dict)


Event: TypeAlias = (
    AlertFired
    | AlertCleared
    | Tick
    | Acknowledged
    | Unacknowledged
    | Responded
    | Identified
    | ResolvedByHand
    | ReopenedByHand
    | Noted
)


# -- what goes out ---------------------------------------------------------------------------------------------------


class Notice(Enum):
    """What people are told about."""

    OPENED = "opened"
    ESCALATED = "escalated"
    ACKNOWLEDGED = "acknowledged"
    MONITORING = "monitoring"
    REOPENED = "reopened"
    RESOLVED = "resolved"
    OVERDUE = "overdue"  # a deadline was missed, or a step after one is due
    REMINDED = "reminded"  # nobody has acknowledged it yet
    UNACKNOWLEDGED = "unacknowledged"
    FLAPPING = "flapping"  # an alert of it comes and goes
    PAGED = "paged"  # somebody is on call and is to acknowledge it


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the timeline."""

    at: float
    event: str
    actor: str
    text: str
    data: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tell:
    """Tell the receivers of this incident: those of its tier, those who heard of it, and `receivers` beside them; or `only`
    those.

    `occasion` tells one notice from another of the same kind in one round; `origin` is who knows it already.
    """

    notice: Notice
    text: str
    occasion: str = ""
    receivers: tuple[str, ...] = ()
    origin: Origin | None = None
    good_for: float | None = None  # seconds until it is not worth telling any more
    only: bool = False


@dataclass(frozen=True, slots=True)
class Remediate:
    """Consider runbooks for these alerts."""

    alerts: tuple[Alert, ...]


Effect: TypeAlias = Entry | Tell | Remediate
Step: TypeAlias = tuple[Incident, tuple[Effect, ...]]


# -- the machine -----------------------------------------------------------------------------------------------------


def incident_id(now: float, alert: Alert, *, digits: int = 4) -> str:
    """The id of the incident that `alert` opens at `now`: the same alert and moment give the same id.

    >>> incident_id(1795443300.0, Alert(Labels({"alertname": "Down"}), Labels(), AlertState.FIRING, 1.0, 0.0))[:19]
    'INC_20261123_141500'
    """
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%d_%H%M%S")
    return f"INC_{stamp}_{alert.fingerprint[-digits:]}"


def opened(alert: Alert, now: float, periods: Periods, *, id: str = "") -> Step:  # noqa: A002 - the field's word
    """The incident that a firing `alert` opens."""
    begun = Incident(
        id=id or incident_id(now, alert),
        priority=alert.priority,
        status=Status.INVESTIGATING,
        created_at=now,
        updated_at=now,
        alerts=(alert,),
        progress=Progress(first=alert.fingerprint),
    )
    text = f"{alert.name} fires with priority {alert.priority.value}"
    entry = Entry(now, "incident_created", MACHINE, text, _alert_data(alert))
    paged, pages = _paged(begun, now, periods)
    incident = replace(paged, target_at=_target(paged, periods))
    return incident, (entry, Tell(Notice.OPENED, text), Remediate((alert,)), *pages)


def advance(incident: Incident, event: Event, now: float, periods: Periods) -> Step:
    """The incident after `event` at `now`, and what follows from it; Conflict when the move is not legal.

    A deterministic function: the same three arguments give the same answer, so a timeline can be replayed. Time never
    runs backwards for an incident: a `now` before its last change counts as that change's time.
    """
    now = max(now, incident.updated_at)
    # What was missed comes first: an acknowledgement that comes only now is late.
    late, overdue = _late(incident, now, periods)
    after, effects = _ANSWERS[type(event)](late, event, now, periods)
    raised, more = (after, ()) if after.priority is late.priority else _late(after, now, periods)
    paged, pages = _paged(raised, now, periods)
    if paged == incident and not (effects or overdue or more or pages):
        return incident, ()
    return replace(paged, updated_at=now, target_at=_target(paged, periods)), (*overdue, *effects, *more, *pages)


def next_due(incident: Incident, periods: Periods) -> float | None:
    """When time alone will change this incident or have people told; None when it will not."""
    if incident.status is Status.MONITORING:
        return (incident.monitoring_since or incident.updated_at) + periods.validation
    step = deadlines.next_due(incident, periods.tiers.of[incident.priority])
    climbs = incident.progress.climbs if incident.acknowledgeable else ()
    return min((at for at in (step, *(each.next_due for each in climbs)) if at is not None), default=None)


def _moved(incident: Incident, move: Move) -> Status:
    status = MOVES.get((incident.status, move))
    if status is None:
        raise Conflict(f"incident {incident.id} is {incident.status.value}: cannot {move.value} it")
    return status


def _fired(incident: Incident, event: AlertFired, now: float, periods: Periods) -> Step:
    alert, known = event.alert, incident.alert(event.alert.fingerprint)
    if known is not None and same_episode(known, alert):
        return incident, ()
    word = "alert_joined" if known is None else "alert_refired"
    text = f"{alert.name} {'joined' if known is None else 'fires again'}"
    entry = Entry(now, word, MACHINE, text, {**_alert_data(alert), **event.evidence})
    held = _with_alert(incident, alert)
    grown, effects = _escalated(held, alert.priority, now, periods)
    if not grown.open or grown.status is Status.MONITORING:
        reopened, more = _reopened(grown, MACHINE, f"{text} during {grown.status.value}", now, now)
        return reopened, (entry, *effects, *more)
    # A higher tier may call for runbooks that the alerts before did not.
    considered = grown.firing if grown.priority is not incident.priority else (alert,)
    # A new alert may bring receivers of its own. The outbox keeps from telling anyone twice that it is open.
    welcome = (Tell(Notice.OPENED, text),) if known is None else ()
    return grown, (entry, *welcome, *effects, Remediate(considered))


def _escalated(incident: Incident, highest: Priority, now: float, periods: Periods) -> Step:
    before = incident.priority
    if highest.urgency >= before.urgency:
        return incident, ()
    target, raised = _target(incident, periods), replace(incident, priority=highest)
    # Who was promised a time keeps it, should the higher tier allow more of it.
    if target is not None and target < (_target(raised, periods) or math.inf):
        raised = replace(raised, progress=replace(incident.progress, no_later=target))
    text = f"priority raised from {before.value} to {highest.value}"
    data = {"from": before.value, "to": highest.value}
    return raised, (Entry(now, "escalated", MACHINE, text, data), Tell(Notice.ESCALATED, text))


def _cleared(incident: Incident, event: AlertCleared, now: float, periods: Periods) -> Step:
    known = incident.alert(event.alert.fingerprint)
    if known is None or known.state is AlertState.RESOLVED:
        return incident, ()
    quiet = replace(
        known, state=AlertState.RESOLVED, value=event.alert.value, resolved_at=event.alert.resolved_at or now
    )
    held = _with_alert(incident, quiet)
    entry = Entry(now, "alert_cleared", MACHINE, f"{known.name} is no longer firing", _alert_data(quiet))
    after, effects = _settled(held, now)
    return after, (entry, *effects)


def _settled(incident: Incident, now: float) -> Step:
    """Into monitoring when nothing fires any more."""
    if _fires(incident) or (incident.status, Move.CLEAR) not in MOVES:
        return incident, ()
    text = "All underlying alerts have been resolved"
    after = replace(incident, status=_moved(incident, Move.CLEAR), monitoring_since=now)
    return after, (Entry(now, "monitoring", MACHINE, text), Tell(Notice.MONITORING, text))


def _fires(incident: Incident) -> bool:
    return any(alert.state is AlertState.FIRING for alert in incident.alerts)


def _ticked(incident: Incident, _event: Tick, now: float, periods: Periods) -> Step:
    if incident.status is not Status.MONITORING:
        return _settled(incident, now)
    if now - (incident.monitoring_since or now) < periods.validation:
        return incident, ()
    text = "Monitoring period completed successfully: no recurring alerts"
    return _closed(incident, Move.VALIDATE, MACHINE, text, now)


def _closed(incident: Incident, move: Move, actor: str, text: str, now: float, origin: Origin | None = None) -> Step:
    after = replace(incident, status=_moved(incident, move), resolved_at=now)
    return after, (Entry(now, "resolved", actor, text), Tell(Notice.RESOLVED, text, origin=origin))


def _reopened(incident: Incident, actor: str, text: str, now: float, at: float, origin: Origin | None = None) -> Step:
    """`at` is when that was done: whose deed is told late is answered by deeds that are told late as well."""
    after = replace(
        incident,
        status=_moved(incident, Move.REOPEN),
        reopened=incident.reopened + 1,
        reopened_at=now,
        identified_at=None,
        monitoring_since=None,
        resolved_at=None,
        acknowledged_at=None,  # whoever saw the last round need not have seen this one
        acknowledged_by="",
        responded_at=None,
        progress=incident.progress.anew(at),
    )
    tell = Tell(Notice.REOPENED, text, origin=origin)
    return after, (Entry(now, "reopened", actor, text), tell, Remediate(after.firing))


def _acknowledged(incident: Incident, event: Acknowledged, now: float, _periods: Periods) -> Step:
    if not incident.open:
        raise Conflict(f"incident {incident.id} is resolved: there is nothing to acknowledge")
    if incident.acknowledged_at is not None:
        return incident, ()
    text = event.text or f"acknowledged by {event.actor}"
    after = replace(incident, acknowledged_at=now, acknowledged_by=event.actor)
    tell = Tell(Notice.ACKNOWLEDGED, text, occasion=_round(incident), origin=event.origin)
    return after, (Entry(now, "acknowledged", event.actor, text), tell)


def _unacknowledged(incident: Incident, event: Unacknowledged, now: float, _periods: Periods) -> Step:
    if not incident.open or incident.acknowledged_at is None:
        return incident, ()
    text = event.text or f"acknowledgement withdrawn by {event.actor}"
    since = incident.begun_at if incident.progress.since is None else incident.progress.since
    progress = incident.progress.asked_again(_done_at(event.at, since, now))
    after = replace(incident, acknowledged_at=None, acknowledged_by="", progress=progress)
    tell = Tell(Notice.UNACKNOWLEDGED, text, occasion=_round(after), origin=event.origin)
    return after, (Entry(now, "unacknowledged", event.actor, text), tell)


def _responded(incident: Incident, event: Responded, now: float, periods: Periods) -> Step:
    if not incident.open:
        raise Conflict(f"incident {incident.id} is resolved: there is nothing to work on")
    seen, effects = _acknowledged(incident, Acknowledged(event.actor), now, periods)
    if incident.responded_at is not None:
        return seen, effects
    entry = Entry(now, "responded", event.actor, event.text or f"{event.actor} works on it")
    return replace(seen, responded_at=now), (*effects, entry)


def _identified(incident: Incident, event: Identified, now: float, _periods: Periods) -> Step:
    began = now if incident.responded_at is None else incident.responded_at
    after = replace(incident, status=_moved(incident, Move.IDENTIFY), identified_at=now, responded_at=began)
    return after, (Entry(now, "identified", event.actor, event.text or "the cause is known"),)


def _resolved_by_hand(incident: Incident, event: ResolvedByHand, now: float, _periods: Periods) -> Step:
    still = ", ".join(sorted({alert.name for alert in incident.firing}))
    text = event.text or f"resolved by {event.actor}"
    told = f"{text} (while {still} fires)" if still else text
    return _closed(incident, Move.RESOLVE, event.actor, told, now, event.origin)


def _reopened_by_hand(incident: Incident, event: ReopenedByHand, now: float, _periods: Periods) -> Step:
    text = event.text or f"reopened by {event.actor}"
    return _reopened(incident, event.actor, text, now, _done_at(event.at, incident.begun_at, now), event.origin)


def _done_at(said: float | None, after: float, now: float) -> float:
    """When a deed was done whose time others tell: by a clock of theirs, so it is not believed beyond what can be."""
    return now if said is None else min(now, max(said, after))


def _noted(incident: Incident, event: Noted, now: float, _periods: Periods) -> Step:
    if event.event == _BEGUN and incident.responded_at is None:
        incident = replace(incident, responded_at=now)
    return incident, (Entry(now, event.event, event.actor, event.text, event.data),)


_ANSWERS: Mapping[type, Callable[..., Step]] = {
    AlertFired: _fired,
    AlertCleared: _cleared,
    Tick: _ticked,
    Acknowledged: _acknowledged,
    Unacknowledged: _unacknowledged,
    Responded: _responded,
    Identified: _identified,
    ResolvedByHand: _resolved_by_hand,
    ReopenedByHand: _reopened_by_hand,
    Noted: _noted,
}


# -- deadlines -------------------------------------------------------------------------------------------------------


def _target(incident: Incident, periods: Periods) -> float | None:
    return deadlines.due_at(incident, periods.tiers.of[incident.priority], Deadline.RESOLUTION)


def _late(incident: Incident, now: float, periods: Periods) -> Step:
    """The incident once every step that is due by `now` has been taken, each once; nothing is while it is quiet."""
    tier = periods.tiers.of[incident.priority]
    steps, reminded = deadlines.due(incident, tier, now), deadlines.reminders(incident, tier, now)
    if not steps and reminded == incident.progress.reminded:
        return _paged(incident, now, periods)
    effects = [effect for step in steps for effect in _taken(incident, step, tier, now)]
    if reminded > incident.progress.reminded:  # once, however many were due while nobody was there to send them
        text = f"nobody has acknowledged it for {_lasting(now - incident.begun_at)}"
        effects.append(Entry(now, "reminded", MACHINE, text))
        effects.append(Tell(Notice.REMINDED, text, occasion=f"{_round(incident)}.{reminded}", good_for=tier.repeat))
    taken = (*incident.progress.taken, *(step.key for step in steps))
    after = replace(incident, progress=replace(incident.progress, taken=taken, reminded=reminded))
    for step in steps:
        # Its first level is paged also where somebody has acknowledged: the deadline was missed all the same.
        if step.policy:
            after, pages = _climbed(_begun(after, step.key, step.policy, now), (step.key,), now, periods.rota)
            effects += pages
    paged, pages = _paged(after, now, periods)
    return paged, (*effects, *pages)


_LATE = {
    Deadline.ACKNOWLEDGEMENT: ("acknowledgement_overdue", "not acknowledged within {allowed}"),
    Deadline.RESPONSE: ("response_overdue", "nobody began to work on it within {allowed}"),
    Deadline.RESOLUTION: ("target_missed", "resolution target of {priority} missed: {allowed}"),
}


def _taken(incident: Incident, step: tiers.Step, tier: Tier, now: float) -> tuple[Effect, ...]:
    event, words = _LATE[step.missed]
    text = words.format(allowed=_lasting(tier.within(step.missed) or 0.0), priority=tier.priority.value)
    if step.after:
        event, text = "escalation_step", f"{text}, and {_lasting(step.after)} have passed since"
    told = f"; also told: {', '.join(step.receivers)}" if step.receivers else ""
    data: dict[str, object] = {"step": step.key, "receivers": list(step.receivers)}
    return (
        Entry(now, event, MACHINE, text + told, data),
        Tell(Notice.OVERDUE, text, occasion=f"{_round(incident)}.{step.key}", receivers=step.receivers),
    )


# -- pages -----------------------------------------------------------------------------------------------------------


def _paged(incident: Incident, now: float, periods: Periods) -> Step:
    """The incident once everybody was paged who is to be by `now`. Nobody is once it was acknowledged, or while it is
    quiet: it stays with whoever took it, whoever is on call then."""
    if not incident.acknowledgeable or not (periods.rota.escalations or incident.progress.climbs):
        return incident, ()
    first = incident.alert(incident.progress.first) or incident.alerts[0]  # of what was opened by a version before
    policy = periods.rota.policy_of(incident.priority, _known_of(first))
    before = next((each.origin for each in incident.progress.climbs if each.key == OF_INCIDENT), "")
    if policy and policy != before:  # opened, reopened, given back, or of a higher tier with a policy of its own
        incident = _begun(incident, OF_INCIDENT, policy, now)
    return _climbed(incident, [each.key for each in incident.progress.climbs], now, periods.rota)


def _known_of(alert: Alert) -> dict[str, str]:
    """What a policy may match: labels, and what services.yml knows of the service (`enrich`)."""
    return {**{name: alert.annotations.get(name, "") for name in (OWNER, TEAM)}, **alert.labels.to_dict()}


def _begun(incident: Incident, key: str, policy: str, now: float) -> Incident:
    progress, number = incident.progress, incident.progress.climbed + 1
    others = (each for each in progress.climbs if each.key != key)
    climbs = (*others, escalation.begun(number, key, policy, now))
    return replace(incident, progress=replace(progress, climbs=climbs, climbed=number))


def _climbed(incident: Incident, keys: Collection[str], now: float, rota: Rota) -> Step:
    """The incident once the climbs of these keys are where they are to be."""
    climbs, effects = [], list[Effect]()
    for climb in incident.progress.climbs:
        after, happened = escalation.climbed(climb, rota, now) if climb.key in keys else (climb, ())
        climbs.append(after)
        effects += [effect for each in happened for effect in _told(incident, each, now, rota)]
    if not effects:
        return incident, ()
    return replace(incident, progress=replace(incident.progress, climbs=tuple(climbs))), tuple(effects)


def _told(incident: Incident, happened: escalation.Happening, now: float, rota: Rota) -> Iterator[Effect]:
    """What a page, or that there is none, writes on the timeline, and whom it tells."""
    text, data = happened.text(rota), happened.evidence()
    match happened:
        case escalation.Paged():
            yield Entry(now, "paged", MACHINE, text, data)
            occasion = f"{_round(incident)}.{happened.occasion}"
            yield Tell(Notice.PAGED, happened.letter(rota), occasion, happened.receivers, only=True)
        case escalation.Nobody():
            yield Entry(now, "nobody_on_call", MACHINE, text, data)
        case escalation.HandedOn():
            yield Entry(now, "escalation_handed_on", MACHINE, text, data)
        case escalation.Ended():
            yield Entry(now, "escalation_ended", MACHINE, text, data)
            yield Tell(Notice.OVERDUE, text, occasion=f"{_round(incident)}.{happened.occasion}")


def _round(incident: Incident) -> str:
    """What tells the same of one round from that of another."""
    return str(incident.progress.asked)


def _lasting(seconds: float) -> str:
    return format_duration(max(1, round(seconds)))


# -- alerts ----------------------------------------------------------------------------------------------------------


def same_episode(known: Alert, alert: Alert) -> bool:
    """True when `alert` is `known` said again, not a new firing after a quiet time.

    A detector repeats what fires. Only a later `active_at` is a new episode; a resolved episode that is merely
    repeated late (same `active_at`) stays resolved.
    """
    return alert.active_at <= known.active_at


def _with_alert(incident: Incident, alert: Alert) -> Incident:
    place = incident.places.get(alert.fingerprint)
    if place is None:
        places = {**incident.places, alert.fingerprint: len(incident.alerts)}
        return replace(incident, alerts=(*incident.alerts, alert), places=places)
    return replace(incident, alerts=(*incident.alerts[:place], alert, *incident.alerts[place + 1 :]))


def _alert_data(alert: Alert) -> dict[str, object]:
    return {
        "fingerprint": alert.fingerprint,
        "alertname": alert.name,
        "labels": alert.labels.to_dict(),
        "value": alert.value,
        "active_at": alert.active_at,
        "fired_at": alert.fired_at,
    }
