"""Which aggregation groups alerts are in: those of the routes that take them.

`group` puts the alerts of a batch into them, `regroup` all alerts there are when the routes have changed. When a group is
told, and whether, is `group.py`'s and `notify`'s.
"""

from __future__ import annotations

from dataclasses import replace

from aiprism.respond import group as groups
from aiprism.respond.desk import Batch, Desk
from aiprism.respond.keeping import group_of, group_row, known_of
from aiprism.store import alerting


def group(batch: Batch, desk: Desk) -> Batch:
    """Each alert into the group of each route that takes it, also one that repeats what it said."""
    routing = desk.policy.routing
    places = [
        (groups.group_id(route, labels), route, labels, alert)
        for alert in batch.known
        for route in routing.root.matching(alert.labels)
        for labels in [groups.labels_of(route, alert.labels)]
    ]
    rows = alerting.group_rows(desk.connection, sorted({group_id for group_id, *_ in places}))
    before = {row["id"]: group_of(row) for row in rows}
    after = dict(before)
    for group_id, route, labels, alert in places:
        begun = after.get(group_id) or groups.begun(route, labels, batch.now)
        after[group_id] = groups.joined(begun, alert, route, batch.now)
    return replace(
        batch,
        groups=tuple(each for each in after.values() if before.get(each.id) != each),
        members=tuple(alerting.Member(group_id, alert.fingerprint) for group_id, _, _, alert in places),
    )


def regroup(desk: Desk) -> None:
    """As if every alert that is known came in anew; what a group waits for goes on where there is still such a group."""
    inside = alerting.members(desk.connection)
    lasting = {row["fingerprint"] for row in alerting.unfinished_alerts(desk.connection, desk.now)}
    rows = alerting.alert_rows(desk.connection, sorted(lasting | {member.fingerprint for member in inside}))
    batch = group(Batch(desk.now, known=tuple(known_of(row) for row in rows)), desk)
    alerting.put_groups(desk.connection, [group_row(each) for each in batch.groups])
    fitting = set(batch.members)
    alerting.join(desk.connection, [member for member in batch.members if member.fingerprint in lasting])
    alerting.leave(desk.connection, [member for member in inside if member not in fitting])
    alerting.drop_empty_groups(desk.connection)
