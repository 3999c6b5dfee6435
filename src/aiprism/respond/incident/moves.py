"""The one table of legal moves, and what each move from status to status writes and whom it makes us tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from enum import Enum

from aiprism.errors import Conflict
from aiprism.model.alerts import AlertState
from aiprism.respond.incident.effects import Entry, Notice, Remediate, Step, Tell
from aiprism.respond.incident.events import Origin
from aiprism.respond.incident.values import MACHINE, Incident, Status


class Move(Enum):
    """What takes an incident from one status to the next."""

    IDENTIFY = "identify"  # the cause is known
    CLEAR = "clear"  # the last firing alert went quiet
    VALIDATE = "validate"  # it stayed quiet for the validation period
    REOPEN = "reopen"  # an alert fired again, or a person says so
    RESOLVE = "resolve"  # a person closes it
    MERGE = "merge"  # another incident takes it in


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
    (Status.INVESTIGATING, Move.MERGE): Status.RESOLVED,
    (Status.IDENTIFIED, Move.MERGE): Status.RESOLVED,
    (Status.MONITORING, Move.MERGE): Status.RESOLVED,
}


def moved(incident: Incident, move: Move) -> Status:
    """Where `move` takes it; Conflict when it is not legal."""
    status = MOVES.get((incident.status, move))
    if status is None:
        raise Conflict(f"incident {incident.id} is {incident.status.value}: cannot {move.value} it")
    return status


def settled(incident: Incident, now: float) -> Step:
    """Into monitoring when nothing fires any more."""
    if _fires(incident) or (incident.status, Move.CLEAR) not in MOVES:
        return incident, ()
    text = "All underlying alerts have been resolved"
    after = replace(incident, status=moved(incident, Move.CLEAR), monitoring_since=now)
    return after, (Entry(now, "monitoring", MACHINE, text), Tell(Notice.MONITORING, text))


def _fires(incident: Incident) -> bool:
    return any(alert.state is AlertState.FIRING for alert in incident.alerts)


def closed(incident: Incident, move: Move, actor: str, text: str, now: float, origin: Origin | None = None) -> Step:
    """It is over, by `move`."""
    after = replace(incident, status=moved(incident, move), resolved_at=now)
    return after, (Entry(now, "resolved", actor, text), Tell(Notice.RESOLVED, text, origin=origin))


def reopened(incident: Incident, actor: str, text: str, now: float, at: float, origin: Origin | None = None) -> Step:
    """`at` is when that was done: whose deed is told late is answered by deeds that are told late as well."""
    after = replace(
        incident,
        status=moved(incident, Move.REOPEN),
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
