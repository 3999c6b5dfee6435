"""What stands on the board now: alerts and groups with what mutes them, for those who look.

In: a connection, and what holds alerts back at the moment. Out: frozen values. Nothing here decides or changes; what mutes
an alert is asked of the same functions that hold its notifications back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from aiprism.model.labels import Labels
from aiprism.respond import notify
from aiprism.respond.keeping import group_of, known_of, silence_of
from aiprism.respond.known import Known, in_order, label_order
from aiprism.respond.mute.holding import Holding
from aiprism.respond.mute.muting import silenced_by
from aiprism.respond.mute.silences import Silence
from aiprism.store import alerting as store


@dataclass(frozen=True, slots=True)
class Standing:
    """An alert, the receivers it is told to, and who keeps it from being told: silences, an alert, and
    time intervals, maintenance windows and suppression rules by name."""

    alert: Known
    receivers: tuple[str, ...]
    silenced_by: tuple[str, ...] = ()
    inhibited_by: tuple[Labels, ...] = ()
    muted_by: tuple[str, ...] = ()

    @property
    def suppressed(self) -> bool:
        """Whether anything keeps it from being told."""
        return bool(self.silenced_by or self.inhibited_by or self.muted_by)


@dataclass(frozen=True, slots=True)
class StandingGroup:
    """A group of one route with its alerts."""

    labels: Labels
    receiver: str
    alerts: tuple[Standing, ...]

    def only(self, wanted: Callable[[Standing], bool]) -> StandingGroup:
        """The group with those of its alerts that are wanted."""
        return replace(self, alerts=tuple(each for each in self.alerts if wanted(each)))


def _standing(holding: Holding, alert: Known, receivers: Iterable[str], hours: tuple[str, ...]) -> Standing:
    inhibiting = holding.inhibition.by(alert.labels)
    # Alertmanager has no words for these: they stand beside the time intervals.
    ours = (holding.maintained(alert), f"suppressed:{why}" if (why := holding.suppressed(alert)) else "")
    return Standing(
        alert=alert,
        receivers=tuple(receivers),
        silenced_by=silenced_by(alert.labels, holding.silences, holding.now),
        inhibited_by=(inhibiting.labels,) if inhibiting else (),
        muted_by=(*hours, *(each for each in ours if each)),
    )


def alerts(connection: Connection, holding: Holding) -> list[Standing]:
    """Every alert that is not over. Time intervals mute it when they mute all of its routes."""
    routing, now, found = holding.routing, holding.now, []
    for row in store.unfinished_alerts(connection, now):
        alert = known_of(row)
        routes = routing.root.matching(alert.labels)
        muting = [routing.muting(route, now) for route in routes]
        muted_by = tuple(dict.fromkeys(name for names in muting for name in names)) if all(muting) else ()
        found.append(_standing(holding, alert, (route.receiver for route in routes), muted_by))
    return found


def groups(connection: Connection, holding: Holding) -> list[StandingGroup]:
    """Every group that has an alert that is not over, by labels and receiver."""
    routing, now = holding.routing, holding.now
    inside = notify.known_alerts(connection, store.members(connection))
    routes = {route.id: route for route in routing.root.walk()}
    found = []
    for row in store.group_rows(connection):
        group, route = group_of(row), routes.get(row["route"])
        lasting = in_order([alert for alert in inside.get(group.id, ()) if not alert.over(now)])
        if route is None or not lasting:
            continue
        muted_by = routing.muting(route, now)
        standing = [_standing(holding, alert, routing.receivers_for(alert.labels), muted_by) for alert in lasting]
        found.append(StandingGroup(group.labels, route.receiver, tuple(standing)))
    return sorted(found, key=lambda group: (label_order(group.labels), group.receiver))


def silences(connection: Connection) -> list[Silence]:
    """Every silence that is kept."""
    return [silence_of(row) for row in store.silence_rows(connection)]
