"""The life of an incident (requirement R21), as a function without I/O.

Knows the four states, the one table of legal moves, what each move writes on the timeline, whom it makes us tell, and
the deadlines of each tier. In comes (incident, event, now), out go the next incident and its effects: `advance`. Which
alert belongs to which incident is decided in `correlate`, storing in `journal`, telling in `deliver`.

    values      what an incident is            events    what may happen to it          effects   what follows beside it
    machine     the function                   moves     from status to status
    alerts      what alerts make of it         people    what people say about it       lateness  what time asks of people
"""

from __future__ import annotations

from aiprism.respond.incident.alerts import same_episode
from aiprism.respond.incident.effects import Effect, Entry, Notice, Remediate, Step, Tell
from aiprism.respond.incident.events import (
    Acknowledged,
    AlertCleared,
    AlertFired,
    Event,
    Identified,
    Noted,
    Origin,
    ReopenedByHand,
    ResolvedByHand,
    Responded,
    Tick,
    Unacknowledged,
)
from aiprism.respond.incident.machine import advance, incident_id, next_due, opened
from aiprism.respond.incident.moves import MOVES, Move
from aiprism.respond.incident.values import MACHINE, Incident, Periods, Status

__all__ = [
    "MACHINE",
    "MOVES",
    "Acknowledged",
    "AlertCleared",
    "AlertFired",
    "Effect",
    "Entry",
    "Event",
    "Identified",
    "Incident",
    "Move",
    "Noted",
    "Notice",
    "Origin",
    "Periods",
    "Remediate",
    "ReopenedByHand",
    "ResolvedByHand",
    "Responded",
    "Status",
    "Step",
    "Tell",
    "Tick",
    "Unacknowledged",
    "advance",
    "incident_id",
    "next_due",
    "opened",
    "same_episode",
]
