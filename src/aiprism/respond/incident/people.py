"""What people say about an incident: seen it, working on it, know the cause, over, not over after all."""

from __future__ import annotations

from dataclasses import replace

from aiprism.errors import Conflict
from aiprism.respond.incident import lateness
from aiprism.respond.incident.effects import Entry, Notice, Remediate, Step, Tell
from aiprism.respond.incident.events import (
    Acknowledged,
    Identified,
    PriorityChanged,
    ReopenedByHand,
    ResolvedByHand,
    Responded,
    Unacknowledged,
)
from aiprism.respond.incident.moves import Move, closed, moved, reopened
from aiprism.respond.incident.rating import Said
from aiprism.respond.incident.values import Incident, Periods


def acknowledged(incident: Incident, event: Acknowledged, now: float, _periods: Periods) -> Step:
    """Somebody has seen it; whoever says so again changes nothing."""
    if not incident.open:
        raise Conflict(f"incident {incident.id} is resolved: there is nothing to acknowledge")
    if incident.acknowledged_at is not None:
        return incident, ()
    text = event.text or f"acknowledged by {event.actor}"
    after = replace(incident, acknowledged_at=now, acknowledged_by=event.actor)
    tell = Tell(Notice.ACKNOWLEDGED, text, occasion=lateness.round_of(incident), origin=event.origin)
    return after, (Entry(now, "acknowledged", event.actor, text), tell)


def unacknowledged(incident: Incident, event: Unacknowledged, now: float, _periods: Periods) -> Step:
    """Nobody takes care of it after all: an acknowledgement is waited for anew."""
    if not incident.open or incident.acknowledged_at is None:
        return incident, ()
    text = event.text or f"acknowledgement withdrawn by {event.actor}"
    since = incident.begun_at if incident.progress.since is None else incident.progress.since
    progress = incident.progress.asked_again(_done_at(event.at, since, now))
    after = replace(incident, acknowledged_at=None, acknowledged_by="", progress=progress)
    tell = Tell(Notice.UNACKNOWLEDGED, text, occasion=lateness.round_of(after), origin=event.origin)
    return after, (Entry(now, "unacknowledged", event.actor, text), tell)


def responded(incident: Incident, event: Responded, now: float, periods: Periods) -> Step:
    """Somebody works on it, and so has seen it."""
    if not incident.open:
        raise Conflict(f"incident {incident.id} is resolved: there is nothing to work on")
    seen, effects = acknowledged(incident, Acknowledged(event.actor), now, periods)
    if incident.responded_at is not None:
        return seen, effects
    entry = Entry(now, "responded", event.actor, event.text or f"{event.actor} works on it")
    return replace(seen, responded_at=now), (*effects, entry)


def identified(incident: Incident, event: Identified, now: float, _periods: Periods) -> Step:
    """The cause is known."""
    began = now if incident.responded_at is None else incident.responded_at
    after = replace(incident, status=moved(incident, Move.IDENTIFY), identified_at=now, responded_at=began)
    return after, (Entry(now, "identified", event.actor, event.text or "the cause is known"),)


def resolved_by_hand(incident: Incident, event: ResolvedByHand, now: float, _periods: Periods) -> Step:
    """It is closed, also while something fires: that is told."""
    still = ", ".join(sorted({alert.name for alert in incident.firing}))
    text = event.text or f"resolved by {event.actor}"
    told = f"{text} (while {still} fires)" if still else text
    return closed(incident, Move.RESOLVE, event.actor, told, now, event.origin)


def reopened_by_hand(incident: Incident, event: ReopenedByHand, now: float, _periods: Periods) -> Step:
    """It is open again."""
    if incident.work.merged_into:
        raise Conflict(f"incident {incident.id} is part of {incident.work.merged_into}: reopen that one")
    text = event.text or f"reopened by {event.actor}"
    return reopened(incident, event.actor, text, now, _done_at(event.at, incident.begun_at, now), event.origin)


def rated(incident: Incident, event: PriorityChanged, now: float, periods: Periods) -> Step:
    """It has the priority that follows from what people say now and, where they are silent, from its alerts."""
    said = Said(event.impact, event.urgency, event.priority)
    said = said if said == Said() else said.over(incident.work.said)
    before, after = incident.priority, said.rated(incident.reach, periods.limits)
    if said == incident.work.said and after is before:
        return incident, ()
    names = {"impact": event.impact, "urgency": event.urgency, "priority": event.priority}
    words = ", ".join(f"{name} {value.value}" for name, value in names.items() if value and value is not after)
    words = words or ("" if event.priority else "as its alerts say")
    text = f"{words}: priority {after.value}" if words else f"priority {after.value}"
    text += f", until now {before.value}" if after is not before else ""
    data = {"from": before.value, "to": after.value, "reason": event.text, **_words(said)}
    changed = replace(incident, priority=after, work=replace(incident.work, said=said))
    entry = Entry(now, "priority_changed", event.actor, f"{text}: {event.text}" if event.text else text, data)
    if after.urgency < before.urgency:
        return changed, (entry, Tell(Notice.ESCALATED, entry.text), Remediate(changed.firing))
    if after.urgency > before.urgency:
        # Whoever makes it less urgent takes back what was promised, and whom it would page.
        return lateness.eased(changed, periods), (entry,)
    return changed, (entry,)


def _words(said: Said) -> dict[str, str | None]:
    each = {"impact": said.impact, "urgency": said.urgency, "priority": said.priority}
    return {name: value.value if value else None for name, value in each.items()}


def _done_at(said: float | None, after: float, now: float) -> float:
    """When a deed was done whose time others tell: by a clock of theirs, so it is not believed beyond what can be."""
    return now if said is None else min(now, max(said, after))
