"""What follows from what people did in another tool: the same as if they had done it here, once, and not told back.

In: a `Spoken`. Out: what became of it, in a word, and the incident. It is noted in the same transaction, so that what is
told again changes nothing; what was done before the present round of an incident is not about this round.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from aiprism.errors import Conflict, NotFound
from aiprism.respond.desk import Desk
from aiprism.respond.hooks import Deed, Spoken
from aiprism.respond.incident import (
    Acknowledged,
    Event,
    Incident,
    Noted,
    ReopenedByHand,
    ResolvedByHand,
    Unacknowledged,
)
from aiprism.respond.pipeline import Respond
from aiprism.store import hooks as store

_REMEMBERED = 7 * 86_400.0  # seconds; what is older is not taken, so that nothing is taken again once it was forgotten
_SKEW = 5.0  # seconds their clocks may differ from ours; Slack's times are whole seconds besides
# Of an aggregation group the other side has one thing, which may hold alerts of several incidents and is closed when they
# clear: its being closed is not the end of an incident.
_OF_GROUPS = frozenset({Deed.ACKNOWLEDGE, Deed.UNACKNOWLEDGE, Deed.COMMENT, Deed.NOTHING})
_SAID_ONLY = frozenset({Deed.COMMENT, Deed.LAPSE})  # which change nothing but the timeline

_EVENTS: Mapping[Deed, Callable[[Spoken], Event]] = {
    Deed.ACKNOWLEDGE: lambda said: Acknowledged(said.actor, said.text, said.origin),
    Deed.UNACKNOWLEDGE: lambda said: Unacknowledged(said.actor, said.text, said.origin, said.at),
    Deed.RESOLVE: lambda said: ResolvedByHand(said.actor, said.text, said.origin),
    Deed.REOPEN: lambda said: ReopenedByHand(said.actor, said.text, said.origin, said.at),
    Deed.COMMENT: lambda said: Noted("comment", said.actor, said.text),
    Deed.LAPSE: lambda said: Noted("comment", said.actor, said.text),
}


@dataclass(frozen=True, slots=True)
class Heard:
    """`outcome` is done, unchanged, refused, repeated, outdated or unknown; `why` says more where there is more to say."""

    outcome: str
    incident: Incident | None = None
    why: str = ""


def hear(respond: Respond, spoken: Spoken) -> Heard:
    """Let what was done there happen here. Thread-safe; it is kept when this returns."""
    with respond.desk() as desk:
        if spoken.at < desk.now - _REMEMBERED:
            return Heard("outdated", why="it was done more than a week ago")
        incident_id = store.subject_of(desk.connection, spoken.subject, spoken.theirs)
        if not store.remember(desk.connection, spoken.id, desk.now, spoken.theirs, incident_id, desk.now - _REMEMBERED):
            return Heard("repeated")
        if incident_id is None:
            return Heard("unknown", why="it is about no incident of ours")
        return _happened(desk, spoken, incident_id)


def _happened(desk: Desk, spoken: Spoken, incident_id: str) -> Heard:
    try:
        before = desk.incident(incident_id, itself=True)
    except NotFound as error:
        return Heard("unknown", why=str(error))
    if before.work.merged_into and spoken.deed is not Deed.ACKNOWLEDGE:  # it was closed because it goes on elsewhere
        return Heard("unchanged", before)
    if spoken.deed is Deed.LAPSE and not before.open:  # as we closed it here
        return Heard("unchanged", before)
    if spoken.deed is Deed.NOTHING or (spoken.subject not in ("", incident_id) and spoken.deed not in _OF_GROUPS):
        return Heard("unchanged", before)
    if outdated(before, spoken.at):
        return Heard("outdated", before, "it was done before the incident was opened again")
    try:
        after = desk.happen(incident_id, _EVENTS[spoken.deed](spoken))
    except Conflict as error:
        return Heard("refused", before, str(error))
    return Heard("done" if after != before or spoken.deed in _SAID_ONLY else "unchanged", after)


def outdated(incident: Incident, at: float) -> bool:
    """Whether what was done at `at` is about a former round of the incident."""
    return at < _round_began(incident) - _SKEW


def _round_began(incident: Incident) -> float:
    """When what it waits for now began to be waited for. The first round has no former one whose deeds could come late."""
    if incident.progress.since is not None:
        return incident.progress.since
    return -1.0
