"""What the passing of time does to alerts: they end, come to rest, are let go, and are forgotten.

Each function gives the batch of those whose moment has come, for the stages `pipeline` names for them; incidents have
their own time (`Respond.check`), and so have groups (`notify`).
"""

from __future__ import annotations

from collections.abc import Sequence

from aiprism.respond.desk import Batch, Desk
from aiprism.respond.keeping import flap_of, flap_row, known_of, window_of
from aiprism.respond.known import Known
from aiprism.respond.mute import flapping, held, holding
from aiprism.respond.mute.maintenance import Window
from aiprism.respond.mute.silences import RETENTION
from aiprism.respond.oncall import overrides
from aiprism.store import alerting, oncall
from aiprism.store import held as held_store

_OVER = 1800.0  # seconds an alert is known after it was over, as Alertmanager's --alerts.gc-interval
_CHANGES_KEPT = 86_400.0  # seconds an alert's changes are remembered: no window is longer


def ended(desk: Desk) -> Batch:
    """What nobody said again in time: it is over."""
    over = [known_of(row) for row in alerting.ended_alerts(desk.connection, desk.now)]
    return Batch(
        desk.now,
        tuple(desk.as_alert(alert) for alert in over),
        known=tuple(over),
        was_firing={alert.fingerprint: True for alert in over},
    )


def rested(desk: Desk) -> Batch:
    """What does not flap any more, to go to its incident as it is; its groups are looked at now."""
    rows = held_store.flapping_rows(desk.connection, rested_by=desk.now)
    if not rows:
        return Batch(desk.now)
    names = [row["fingerprint"] for row in rows]
    held_store.put_flaps(desk.connection, [flap_row(flapping.rested(flap_of(row)), desk.now) for row in rows])
    alerting.hasten_groups(desk.connection, names, desk.now)
    known = [known_of(row) for row in alerting.alert_rows(desk.connection, names)]
    return _as_batch(known, desk)


def windows_ended(desk: Desk, before: float) -> list[Window]:
    """The maintenance windows that ended after `before`, until now."""
    windows = holding.windows(desk.connection, desk.policy.planned)
    return [each for each in windows if each.ended_between(before, desk.now)]


def released(desk: Desk, over: Sequence[Window]) -> Batch:
    """What fires on after these windows, to go to its incident; its groups are looked at now."""
    if not over:
        return Batch(desk.now)
    lasting = [known_of(row) for row in alerting.unfinished_alerts(desk.connection, desk.now)]
    known = [alert for alert in lasting if any(each.accepts(alert.labels) for each in over)]
    alerting.hasten_groups(desk.connection, [alert.fingerprint for alert in known], desk.now)
    return _as_batch(known, desk)


def unheld(desk: Desk) -> Batch:
    """Everything that fires, to go to its incident if it is in none: who has not looked before, or not at these windows,
    cannot tell which have ended meanwhile. The groups of what maintenance held and does not hold are looked at now."""
    lasting = [known_of(row) for row in alerting.unfinished_alerts(desk.connection, desk.now)]
    held_before = {row["fingerprint"] for row in held_store.held_rows(desk.connection, stage="maintenance")}
    windows = [each for each in holding.windows(desk.connection, desk.policy.planned) if each.holding(desk.now)]
    free = [
        alert.fingerprint
        for alert in lasting
        if alert.fingerprint in held_before and not any(each.accepts(alert.labels) for each in windows)
    ]
    alerting.hasten_groups(desk.connection, free, desk.now)
    return _as_batch(lasting, desk)


def _as_batch(known: Sequence[Known], desk: Desk) -> Batch:
    return Batch(desk.now, tuple(desk.as_alert(alert) for alert in known), known=tuple(known))


def tidy(desk: Desk) -> None:
    """Forget what is empty or old: groups, alerts, silences, what was told, held back or changed, windows, overrides."""
    oncall.drop_overrides(desk.connection, desk.now - overrides.KEPT)
    alerting.drop_empty_groups(desk.connection)
    alerting.drop_ended_alerts(desk.connection, desk.now - _OVER)
    alerting.drop_silences(desk.connection, desk.now - RETENTION)
    alerting.drop_log(desk.connection, desk.now)
    held_store.let_go_of_gone(desk.connection, desk.now)
    held_store.drop_held(desk.connection, desk.now - held.RETENTION, held.MOST)
    held_store.drop_flaps(desk.connection, desk.now - _CHANGES_KEPT)
    windows = [window_of(row) for row in held_store.window_rows(desk.connection)]
    held_store.drop_windows(desk.connection, [each.id for each in windows if each.over(desk.now - held.RETENTION)])
