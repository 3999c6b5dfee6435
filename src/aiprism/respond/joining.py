"""Two incidents one, and one two, in the control database: what `incident/merging` decides, and all that hangs on an incident.

In: a desk, ids, who says so. Out: both incidents after it, written in one transaction with everything that follows. Runbooks
that are under way go on for the incident that goes on. A machine that merges asks `Incident.kept_apart` first.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from aiprism.errors import Conflict
from aiprism.model.alerts import Alert
from aiprism.respond import journal
from aiprism.respond.desk import Batch, Change, Desk
from aiprism.respond.incident import (
    MACHINE,
    Incident,
    Merged,
    MergedInto,
    Parted,
    advance,
    incident_id,
    split_off,
)
from aiprism.respond.runs import OVER, episode_of
from aiprism.store import incidents as store


def merge(desk: Desk, into: str, other: str, actor: str, text: str = "") -> Incident:
    """Have the incident `into` take in `other`; the one that goes on. Said again it changes nothing. NotFound when there is
    none of either, Conflict when one is resolved, or part of a third."""
    survivor, given = desk.incident(into), desk.incident(other, itself=True)
    if given.work.merged_into:
        if desk.incident(other).id == survivor.id:
            return survivor
        raise Conflict(f"incident {other} is part of {given.work.merged_into} already: merge that one")
    changes = merged(Change.of(survivor), Change.of(given), desk, actor=actor, text=text)
    desk.run(Batch(desk.now, changes={each.incident.id: each for each in changes}), desk.consequences)
    return changes[0].incident


def merged(
    into: Change,
    other: Change,
    desk: Desk,
    *,
    actor: str = MACHINE,
    text: str = "",
    evidence: Mapping[str, object] | None = None,
) -> tuple[Change, Change]:
    """What happens to `into` and to `other` when the first takes in the second, to be recorded in one batch."""
    told = store.receivers_told(desk.connection, [other.incident.id]).get(other.incident.id, [])
    event = Merged(other.incident, actor, text, evidence or {}, tuple(told))
    survivor = into.then(advance(into.incident, event, desk.now, desk.periods))
    given = other.then(advance(other.incident, MergedInto(into.incident.id, actor), desk.now, desk.periods))
    _move_runs(other.incident, survivor.incident, desk)
    return survivor, replace(given, remediate=())


def _move_runs(given: Incident, into: Incident, desk: Desk) -> None:
    """What was called for and has not ended is called for by the one that goes on."""
    for row in store.run_rows(desk.connection, [given.id]):
        alert = into.alert(row["data"].get("fingerprint", ""))
        if row["finished_at"] is None and row["state"] not in OVER:
            episode = {"episode": episode_of(into, alert)} if alert is not None and "episode" in row["data"] else {}
            store.mark_run(desk.connection, row["id"], incident_id=into.id, data={**row["data"], **episode})


def split(desk: Desk, source_id: str, fingerprints: Collection[str], actor: str, text: str = "") -> Incident:
    """Have these alerts of an incident be one of their own; that one. Said again it changes nothing. NotFound when it has no
    such alert, Conflict when it is resolved or would be left without any."""
    source, wanted = desk.incident(source_id), frozenset(fingerprints)
    before = _split_before(desk, source, wanted)
    if before is not None:
        return before
    first = next((alert for alert in source.alerts if alert.fingerprint in wanted), None)
    event = Parted(wanted, _free_id(first, desk) if first is not None else "", actor, text)
    rest = Change.of(source).then(advance(source, event, desk.now, desk.periods))
    # Of the source as it was, but for what the time up to now made of it.
    new, effects = split_off(source, event, desk.now, desk.periods)
    changes = {source.id: rest, new.id: Change(new).then((new, effects))}
    desk.run(Batch(desk.now, changes=changes), desk.consequences)
    store.drop_alerts(desk.connection, source.id, sorted(wanted))
    return new


def _split_before(desk: Desk, source: Incident, wanted: frozenset[str]) -> Incident | None:
    """The incident that these alerts were made when they were parted from `source`."""
    if wanted & source.places.keys():
        return None
    homes = journal.last_incidents_of(desk.connection, sorted(wanted))
    found = next(iter(homes.values()), None)
    if found is None or found.work.split_from != source.id or not wanted <= found.places.keys():
        return None
    return found


def _free_id(alert: Alert, desk: Desk) -> str:
    """As that of an incident which the alert opens; the one it is parted from may be as old as that."""
    names = [incident_id(desk.now, alert, digits=digits) for digits in (4, 8, 16)]
    taken = store.incidents_at(desk.connection, names[0].rpartition("_")[0])
    return next((name for name in names if name not in taken), names[-1])
