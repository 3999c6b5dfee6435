"""What the passing of time asks of an incident's people: deadlines that were missed, reminders, pages.

When a step is due is computed in `deadlines`, how a page climbs in `oncall/escalation`; here stands what each writes on
the timeline and whom it tells. Each step is taken once in a round, whatever crashes in between: how far they have come
is kept with the incident.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

from aiprism.model.alerts import Alert
from aiprism.model.timerange import format_duration
from aiprism.respond import deadlines, tiers
from aiprism.respond.enrich import OWNER, TEAM
from aiprism.respond.incident.effects import Effect, Entry, Notice, Step, Tell
from aiprism.respond.incident.values import MACHINE, Incident, Periods
from aiprism.respond.oncall import escalation
from aiprism.respond.oncall.escalation import OF_INCIDENT
from aiprism.respond.oncall.rota import Rota
from aiprism.respond.tiers import Deadline, Tier


def target(incident: Incident, periods: Periods) -> float | None:
    """By when it is to be resolved."""
    return deadlines.due_at(incident, periods.tiers.of[incident.priority], Deadline.RESOLUTION)


def late(incident: Incident, now: float, periods: Periods) -> Step:
    """The incident once every step that is due by `now` has been taken, each once; nothing is while it is quiet."""
    tier = periods.tiers.of[incident.priority]
    steps, reminded = deadlines.due(incident, tier, now), deadlines.reminders(incident, tier, now)
    if not steps and reminded == incident.progress.reminded:
        return paged(incident, now, periods)
    effects = [effect for step in steps for effect in _taken(incident, step, tier, now)]
    if reminded > incident.progress.reminded:  # once, however many were due while nobody was there to send them
        text = f"nobody has acknowledged it for {_lasting(now - incident.begun_at)}"
        effects.append(Entry(now, "reminded", MACHINE, text))
        effects.append(Tell(Notice.REMINDED, text, occasion=f"{round_of(incident)}.{reminded}", good_for=tier.repeat))
    taken = (*incident.progress.taken, *(step.key for step in steps))
    after = replace(incident, progress=replace(incident.progress, taken=taken, reminded=reminded))
    for step in steps:
        # Its first level is paged also where somebody has acknowledged: the deadline was missed all the same.
        if step.policy:
            after, pages = _climbed(_begun(after, step.key, step.policy, now), (step.key,), now, periods.rota)
            effects += pages
    called, pages = paged(after, now, periods)
    return called, (*effects, *pages)


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
        Tell(Notice.OVERDUE, text, occasion=f"{round_of(incident)}.{step.key}", receivers=step.receivers),
    )


def paged(incident: Incident, now: float, periods: Periods) -> Step:
    """The incident once everybody was paged who is to be by `now`. Nobody is once it was acknowledged, or while it is
    quiet: it stays with whoever took it, whoever is on call then."""
    if not incident.acknowledgeable or not (periods.rota.escalations or incident.progress.climbs):
        return incident, ()
    policy = policy_of(incident, periods)
    before = next((each.origin for each in incident.progress.climbs if each.key == OF_INCIDENT), "")
    if policy and policy != before:  # opened, reopened, given back, or of a higher tier with a policy of its own
        incident = _begun(incident, OF_INCIDENT, policy, now)
    return _climbed(incident, [each.key for each in incident.progress.climbs], now, periods.rota)


def eased(incident: Incident, periods: Periods) -> Incident:
    """It in a less urgent priority: without the targets of the former one, and without its pages where this one has none."""
    progress = replace(incident.progress, no_later=None)
    if not policy_of(incident, periods):
        progress = replace(progress, climbs=tuple(each for each in progress.climbs if each.key != OF_INCIDENT))
    return replace(incident, progress=progress)


def policy_of(incident: Incident, periods: Periods) -> str:
    """The policy of oncall.yml that it is escalated by; empty where there is none."""
    first = incident.alert(incident.progress.first) or incident.alerts[0]  # of what was opened by a version before
    return periods.rota.policy_of(incident.priority, _known_of(first))


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
            occasion = f"{round_of(incident)}.{happened.occasion}"
            yield Tell(Notice.PAGED, happened.letter(rota), occasion, happened.receivers, only=True)
        case escalation.Nobody():
            yield Entry(now, "nobody_on_call", MACHINE, text, data)
        case escalation.HandedOn():
            yield Entry(now, "escalation_handed_on", MACHINE, text, data)
        case escalation.Ended():
            yield Entry(now, "escalation_ended", MACHINE, text, data)
            yield Tell(Notice.OVERDUE, text, occasion=f"{round_of(incident)}.{happened.occasion}")


def round_of(incident: Incident) -> str:
    """What tells the same of one round from that of another."""
    return str(incident.progress.asked)


def _lasting(seconds: float) -> str:
    return format_duration(max(1, round(seconds)))
