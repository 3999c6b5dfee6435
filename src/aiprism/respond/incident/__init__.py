"""The life of an incident (requirement R21), as a function without I/O.

Knows the four states, the one table of legal moves, what each move writes on the timeline, whom it makes us tell, and
the deadlines of each tier. In comes (incident, event, now), out go the next incident and its effects: `advance`. Which
alert belongs to which incident is decided in `correlate`, storing in `journal`, telling in `deliver`.

    values      what an incident is            events    what may happen to it          effects   what follows beside it
    work        roles, tasks, evidence of it   rating    impact × urgency → priority
    machine     the function                   moves     from status to status
    alerts      what alerts make of it         people    what people say about it       lateness  what time asks of people
    tasks       who does what                  merging   two become one, one becomes two
"""

from __future__ import annotations

from aiprism.respond.incident.alerts import same_episode
from aiprism.respond.incident.effects import Effect, Entry, Notice, Remediate, Step, Tell
from aiprism.respond.incident.events import (
    Acknowledged,
    AlertCleared,
    AlertFired,
    Assigned,
    Event,
    Identified,
    Merged,
    MergedInto,
    Noted,
    Origin,
    OriginSeen,
    Parted,
    Pinned,
    PriorityChanged,
    ReopenedByHand,
    ResolvedByHand,
    Responded,
    RoleReleased,
    RoleTaken,
    TaskAdded,
    TaskAssigned,
    TaskDone,
    TaskReopened,
    Tick,
    Unacknowledged,
    Unpinned,
)
from aiprism.respond.incident.machine import advance, incident_id, next_due, opened
from aiprism.respond.incident.merging import split_off
from aiprism.respond.incident.moves import MOVES, Move
from aiprism.respond.incident.rating import MATRIX, Impact, Limits, Said, Urgency
from aiprism.respond.incident.values import MACHINE, Incident, Periods, Status
from aiprism.respond.incident.work import ROLES, Evidence, Pin, Task, Work

__all__ = [
    "MACHINE",
    "MATRIX",
    "MOVES",
    "ROLES",
    "Acknowledged",
    "AlertCleared",
    "AlertFired",
    "Assigned",
    "Effect",
    "Entry",
    "Event",
    "Evidence",
    "Identified",
    "Impact",
    "Incident",
    "Limits",
    "Merged",
    "MergedInto",
    "Move",
    "Noted",
    "Notice",
    "Origin",
    "OriginSeen",
    "Parted",
    "Periods",
    "Pin",
    "Pinned",
    "PriorityChanged",
    "Remediate",
    "ReopenedByHand",
    "ResolvedByHand",
    "Responded",
    "RoleReleased",
    "RoleTaken",
    "Said",
    "Status",
    "Step",
    "Task",
    "TaskAdded",
    "TaskAssigned",
    "TaskDone",
    "TaskReopened",
    "Tell",
    "Tick",
    "Unacknowledged",
    "Unpinned",
    "Urgency",
    "Work",
    "advance",
    "incident_id",
    "next_due",
    "opened",
    "same_episode",
    "split_off",
]
