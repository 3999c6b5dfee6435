"""Nobody is told twice: who was told of an incident is not told of the groups of its alerts, too.

In: the alerts of a group, the incidents that hold them, which integrations were told of those, and what the group told
before. Out: the incidents that stand for the group's notification, or none when it must go out. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TypeAlias

from aiprism.respond.group import Told
from aiprism.respond.incident import Incident, Status
from aiprism.respond.known import Known
from aiprism.store.incidents import Address

# Integrations that were, or are being, told of an incident in its present round.
Listeners: TypeAlias = Collection[tuple[str, Address]]


def told_by(
    address: Address,
    firing: Sequence[Known],
    homes: Mapping[str, Incident],
    heard: Listeners,
    told: Told | None,
    *,
    closed_since: float,
) -> tuple[str, ...]:
    """The ids of the incidents by which this integration knows of everything that fires.

    None when anything that fires is in no incident it was told of, when nothing fires, and when the group told it of
    something that is not over yet: what was begun with the group's key is ended with it. An incident that is monitored
    tells nobody of what fires in it, and one that was closed by `closed_since` stands for nothing any more: whatever closed
    it, what still fires is told again after a while.
    """
    if not firing or (told is not None and told.firing):
        return ()
    found = [homes.get(alert.fingerprint) for alert in firing]
    ids = [
        incident.id
        for incident in found
        if incident is not None
        and (incident.id, address) in heard
        and incident.status is not Status.MONITORING
        and (incident.resolved_at is None or incident.resolved_at > closed_since)
    ]
    return tuple(dict.fromkeys(ids)) if len(ids) == len(found) else ()
