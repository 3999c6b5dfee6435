"""Every notification that nobody got, with the stage that held it, since when and until when.

In: what the stages of a flush held back of each group. Out: rows that are open while that lasts and kept for a while
after, and what is shown of them together with what holds alerts back at this moment.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from aiprism.model.labels import Labels
from aiprism.respond import group as groups
from aiprism.respond.keeping import known_of
from aiprism.respond.known import Known
from aiprism.respond.mute.holding import HOLDS, Holding
from aiprism.respond.route import Route
from aiprism.store import alerting
from aiprism.store import held as store

RETENTION = 5 * 86_400.0  # as long as Alertmanager remembers what it told
MOST = 20_000  # of the past
_STANDING = frozenset(name for name, _ in HOLDS)  # stages whose word is good at any moment, not at flushes only


@dataclass(frozen=True, slots=True)
class Held:
    """A firing alert that one receiver is not told of."""

    group_id: str
    fingerprint: str
    labels: Labels
    receiver: str
    route: str  # its key
    stage: str
    reason: str
    since: float
    until: float | None = None

    @property
    def place(self) -> tuple[str, str, str, str]:
        """Alert, group, receiver and stage: one notification is held once by each."""
        return self.group_id, self.fingerprint, self.receiver, self.stage


def note(connection: Connection, group_ids: Sequence[str], kept_back: Iterable[Held], now: float) -> None:
    """Write what is held back of these groups now: what was held before goes on, what is not held any more is let go."""
    before = {_held(row).place: row for row in store.held_now(connection, group_ids)}
    now_held = {each.place: each for each in kept_back}
    store.let_go(connection, [row["id"] for place, row in before.items() if place not in now_held], now)
    changed = [
        _row(replace(each, since=before[place]["since"] if place in before else each.since))
        for place, each in now_held.items()
        if place not in before or before[place]["reason"] != each.reason
    ]
    store.put_held(connection, changed)


def current(connection: Connection, holding: Holding) -> list[Held]:
    """What is held back at this moment, the latest first: also of groups that wait for their first flush."""
    noted = {each.place: each for each in map(_held, store.held_rows(connection))}
    rows = alerting.unfinished_alerts(connection, holding.now)
    lasting = {row["fingerprint"]: known_of(row) for row in rows}
    standing = {each.place: each for alert in lasting.values() for each in _standing(alert, holding)}
    found = [replace(each, since=noted[place].since) if place in noted else each for place, each in standing.items()]
    # What only a flush can say, of alerts that nothing else holds back meanwhile.
    taken = {place[:3] for place in standing}
    found += [
        each
        for place, each in noted.items()
        if each.stage not in _STANDING and place[:3] not in taken
        # One that flaps may be over at the moment.
        if each.fingerprint in lasting or each.stage == "flapping"
    ]
    return sorted(found, key=lambda each: (-each.since, each.place))


def past(connection: Connection, *, stage: str = "", receiver: str = "", limit: int) -> list[Held]:
    """What was held back and is no longer, the latest first."""
    return [_held(row) for row in store.held_rows(connection, past=True, stage=stage, receiver=receiver, limit=limit)]


def first_hold(alert: Known, route: Route, holding: Holding) -> tuple[str, str] | None:
    """The stage that holds an alert back on its route, and why; None when it passes all of `HOLDS`."""
    return next(((name, why) for name, hold in HOLDS if (why := hold(holding, alert, route))), None)


def _standing(alert: Known, holding: Holding) -> Iterable[Held]:
    for route in holding.routing.root.matching(alert.labels):
        held = first_hold(alert, route, holding)
        if held:
            group_id = groups.group_id(route, groups.labels_of(route, alert.labels))
            yield Held(
                group_id, alert.fingerprint, alert.labels, route.receiver, route.key, *held, since=alert.starts_at
            )


# -- rows ------------------------------------------------------------------------------------------------------------


def _row(held: Held) -> store.HeldRow:
    name = hashlib.sha256("\0".join(map(str, (*held.place, held.since))).encode()).hexdigest()[:32]
    return {
        "id": name,
        "group_id": held.group_id,
        "fingerprint": held.fingerprint,
        "labels": held.labels.to_dict(),
        "receiver": held.receiver,
        "route": held.route,
        "stage": held.stage,
        "reason": held.reason,
        "since": held.since,
        "until": held.until,
    }


def _held(row: store.HeldRow) -> Held:
    plain: Mapping[str, object] = {name: value for name, value in row.items() if name not in ("id", "labels")}
    return Held(labels=Labels(row["labels"]), **plain)  # type: ignore[arg-type]
