"""What people say about an incident: seen it, working on it, know the cause, over, not over after all."""

from __future__ import annotations

from dataclasses import replace

from aiprism.errors import Conflict
from aiprism.respond.incident.effects import Entry, Notice, Step, Tell
from aiprism.respond.incident.events import (
    Acknowledged,
    Identified,
    ReopenedByHand,
    ResolvedByHand,
    Responded,
    Unacknowledged,
)
from aiprism.respond.incident.lateness import round_of
from aiprism.respond.incident.moves import Move, closed, moved, reopened
from aiprism.respond.incident.values import Incident, Periods


def acknowledged(incident: Incident, event: Acknowledged, now: float, _periods: Periods) -> Step:
    """Somebody has seen it; whoever says so again changes nothing."""
    if not incident.open:
        raise Conflict(f"incident {incident.id} is resolved: there is nothing to acknowledge")
    if incident.acknowledged_at is not None:
        return incident, ()
    text = event.text or f"acknowledged by {event.actor}"
    after = replace(incident, acknowledged_at=now, acknowledged_by=event.actor)
    tell = Tell(Notice.ACKNOWLEDGED, text, occasion=round_of(incident), origin=event.origin)
    return after, (Entry(now, "acknowledged", event.actor, text), tell)


def unacknowledged(incident: Incident, event: Unacknowledged, now: float, _periods: Periods) -> Step:
    """Nobody takes care of it after all: an acknowledgement is waited for anew."""
    if not incident.open or incident.acknowledged_at is None:
        return incident, ()
    text = event.text or f"acknowledgement withdrawn by {event.actor}"
    since = incident.begun_at if incident.progress.since is None else incident.progress.since
    progress = incident.progress.asked_again(_done_at(event.at, since, now))
    after = replace(incident, acknowledged_at=None, acknowledged_by="", progress=progress)
    tell = Tell(Notice.UNACKNOWLEDGED, text, occasion=round_of(after), origin=event.origin)
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
    text = event.text or f"reopened by {event.actor}"
    return reopened(incident, event.actor, text, now, _done_at(event.at, incident.begun_at, now), event.origin)


def _done_at(said: float | None, after: float, now: float) -> float:
    """When a deed was done whose time others tell: by a clock of theirs, so it is not believed beyond what can be."""
    return now if said is None else min(now, max(said, after))
