"""When people outside are to hear again how an incident stands, and who is reminded of it.

How often is said for each priority in war-room.yml. What was told is a line of the timeline, from which the time runs anew; so
is each reminder, so that it comes once in a period, whatever crashes in between.
"""

from __future__ import annotations

from dataclasses import replace

from aiprism.model.timerange import format_duration
from aiprism.respond.incident import lateness
from aiprism.respond.incident.effects import Entry, Notice, Step, Tell
from aiprism.respond.incident.values import MACHINE, Incident, Periods

TOLD = "status_update"  # on the timeline, when an audience was told


def due_at(incident: Incident, periods: Periods) -> float | None:
    """When somebody is to be reminded next; None when nobody will be: it is quiet, or nothing is told of its priority."""
    every = periods.updates.get(incident.priority)
    if every is None or not incident.working:
        return None
    progress = incident.progress
    known = (incident.begun_at, progress.update_told, progress.update_asked)
    return max(at for at in known if at is not None) + every


def reminded(incident: Incident, now: float, periods: Periods) -> Step:
    """The incident once who is to write the update was reminded, once, however many periods have passed meanwhile."""
    due = due_at(incident, periods)
    if due is None or now < due:
        return incident, ()
    progress, every = incident.progress, periods.updates[incident.priority]
    people = responsible(incident, now, periods)
    since = incident.begun_at if progress.update_told is None else progress.update_told
    names = ", ".join(periods.rota.name_of(each) for each in people)
    text = f"{names or 'somebody'} is to tell how it stands: nobody was told for {_lasting(now - since)}"
    number = progress.update_asks + 1
    after = replace(incident, progress=replace(progress, update_asked=now, update_asks=number))
    receivers = _receivers(people, periods)
    occasion = f"{lateness.round_of(incident)}.{number}"
    return after, (
        Entry(now, "update_due", MACHINE, text, {"people": list(people), "every": every}),
        Tell(Notice.UPDATE_DUE, text, occasion, receivers, good_for=every, only=bool(receivers)),
    )


def told(incident: Incident, now: float) -> Incident:
    """It when an audience was told a moment ago."""
    return replace(incident, progress=replace(incident.progress, update_told=now))


def responsible(incident: Incident, now: float, periods: Periods) -> tuple[str, ...]:
    """Who is to tell: the commander, else who it is assigned to, else whoever is on call for it."""
    work = incident.work
    named = work.roles.get("commander") or work.assignee
    if named:
        return (named,)
    policy = periods.rota.escalation(lateness.policy_of(incident, periods))
    level = policy.levels[0] if policy and policy.levels else None
    if level is None:
        return ()
    on_call = (who for schedule in level.schedules for who in periods.rota.on_call(schedule, now))
    return tuple(dict.fromkeys((*on_call, *level.people)))


def _receivers(people: tuple[str, ...], periods: Periods) -> tuple[str, ...]:
    """What reaches them; nothing for names that oncall.yml does not know."""
    known = [periods.rota.people[each] for each in people if each in periods.rota.people]
    return tuple(dict.fromkeys(contact.receiver for each in known for contact in each.contacts))


def _lasting(seconds: float) -> str:
    return format_duration(max(1, round(seconds)))
