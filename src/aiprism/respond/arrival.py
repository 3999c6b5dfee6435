"""What alerts that come in say, and what keeps them from an incident.

In: a batch as a detector or a sender gave it. Out: the batch settled with what is known of its alerts and enriched from
the catalogue, without those that flap or that something holds back. All of them stay in `known`: their groups hear of
them, and hold them back by themselves (`notify`). Which incident the others go to is `homes`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import structlog

from aiprism.model.alerts import Alert, AlertState
from aiprism.respond.desk import Batch, Change, Desk
from aiprism.respond.enrich import enriched
from aiprism.respond.incident import MACHINE, Entry, Notice, Tell
from aiprism.respond.keeping import flap_of, known_of
from aiprism.respond.known import Known, reported
from aiprism.respond.mute import flapping
from aiprism.respond.mute.holding import Holding
from aiprism.store import alerting
from aiprism.store import held as held_store

log = structlog.get_logger()


def settle(batch: Batch, desk: Desk) -> Batch:
    """Drop what is not for us and merge the rest with what is known; the most urgent and earliest come first, what fires
    before what clears."""
    ours = [alert for alert in batch.alerts if alert.state is not AlertState.PENDING]
    pending = [(alert, "pending") for alert in batch.alerts if alert.state is AlertState.PENDING]
    rows = alerting.alert_rows(desk.connection, sorted({alert.fingerprint for alert in ours}))
    known, settled = {row["fingerprint"]: known_of(row) for row in rows}, []
    for alert in ours:
        after = reported(alert, batch.now).after(known.get(alert.fingerprint), batch.now)
        known[alert.fingerprint] = after
        # A detector knows the onset of its alert better; for others it is what is known from all they said.
        said = alert if alert.ends_at is None else after.as_alert(batch.now)
        settled.append(desk.policy.periods.tiers.placed(said))

    def order(alert: Alert) -> tuple[bool, int, float, str]:
        return alert.state is AlertState.RESOLVED, alert.priority.urgency, alert.active_at, alert.fingerprint

    return replace(
        batch,
        alerts=tuple(sorted(settled, key=order)),
        known=tuple(known.values()),
        was_firing={row["fingerprint"]: row["open"] for row in rows},
        dropped=(*batch.dropped, *pending),
    )


def enrich(batch: Batch, desk: Desk) -> Batch:
    """Write beside each alert what its service's entry in the catalogue says and its sender did not."""
    services = desk.policy.services
    if not len(services):
        return batch
    return replace(
        batch,
        alerts=tuple(
            replace(alert, annotations=enriched(alert.labels, alert.annotations, services)) for alert in batch.alerts
        ),
        known=tuple(
            replace(alert, annotations=enriched(alert.labels, alert.annotations, services)) for alert in batch.known
        ),
    )


def steady(batch: Batch, desk: Desk) -> Batch:
    """Drop what an alert says that flaps: its incident has it firing until it comes to rest. When it begins to, that is
    told, and stands on the timeline."""
    _doubt(batch)
    limits = {alert.fingerprint: desk.policy.flapping.of(alert) for alert in batch.known}
    if not any(each.changes for each in limits.values()):
        return batch
    before = {row["fingerprint"]: flap_of(row) for row in held_store.flap_rows(desk.connection, sorted(limits))}
    after: dict[str, flapping.Flap] = {}
    for known in batch.known:
        name, firing = known.fingerprint, not known.over(batch.now)
        was = batch.was_firing.get(name, firing)
        seen = flapping.changed(
            before.get(name), name, was_firing=was, firing=firing, limits=limits[name], now=batch.now
        )
        after |= {name: seen} if seen else {}
    flaps = {name: each for name, each in after.items() if each.flaps(batch.now)}
    began = {name for name in flaps if name not in before or not before[name].flaps(batch.now)}
    kept, dropped = [], list(batch.dropped)
    for alert in batch.alerts:
        passes = alert.fingerprint not in flaps or (alert.fingerprint in began and alert.state is AlertState.FIRING)
        kept += [alert] if passes else []
        dropped += [] if passes else [(alert, "flapping")]
    return replace(
        batch,
        alerts=tuple(kept),
        dropped=tuple(dropped),
        flaps=tuple(each for name, each in after.items() if before.get(name) != each),
        changes=_told_as_flapping(batch, [flaps[name] for name in sorted(began)]),
    )


def _doubt(batch: Batch) -> None:
    """Say once of a new alert that nobody can read what its rule says about flapping: the settings hold for it."""
    for alert in batch.known:
        said = alert.annotations.get(flapping.ANNOTATION, "")
        if said and alert.fingerprint not in batch.was_firing and flapping.written(said) is None:
            why = 'write off, or for example "4 in 30m, stable 10m"; the settings hold until then'
            log.warning("flap_detection.unreadable", alert=alert.labels.get("alertname", ""), said=said, why=why)


def _told_as_flapping(batch: Batch, began: Sequence[flapping.Flap]) -> Mapping[str, Change]:
    """A line for each alert on the timeline, and one letter for those of an incident: in a storm hundreds begin at once."""
    changes = dict(batch.changes)
    names = {alert.fingerprint: alert.labels.get("alertname", "") for alert in batch.known}
    entries: dict[str, list[Entry]] = {}
    for flap in began:
        home = changes.get(batch.homes.get(flap.fingerprint, ""))
        if home is None or not home.incident.open:
            continue
        text = f"{names[flap.fingerprint]} flaps: {flap.said()}"
        entries.setdefault(home.incident.id, []).append(
            Entry(batch.now, "alert_flapping", MACHINE, text, {"fingerprint": flap.fingerprint, "changes": flap.count})
        )
    for incident, lines in entries.items():
        home = changes[incident]
        more = f", and {len(lines) - 1} more of its alerts flap" if len(lines) > 1 else ""
        tell = Tell(Notice.FLAPPING, lines[0].text + more, occasion=f"{home.incident.reopened}@{batch.now:.0f}")
        changes[incident] = home.then((home.incident, (*lines, tell)))
    return changes


def inhibit(batch: Batch, desk: Desk) -> Batch:
    """Drop alerts that fire while another one inhibits them: they open no incident and join none."""
    return _held(batch, desk, "inhibited", Holding.inhibited)


def silence(batch: Batch, desk: Desk) -> Batch:
    """Drop alerts that fire while they are silenced, likewise."""
    return _held(batch, desk, "silenced", Holding.silenced)


def maintain(batch: Batch, desk: Desk) -> Batch:
    """Drop alerts that fire about what is worked on, likewise."""
    return _held(batch, desk, "maintenance", Holding.maintained)


def suppress(batch: Batch, desk: Desk) -> Batch:
    """Drop alerts that fire and that a suppression rule has a reason for, likewise."""
    return _held(batch, desk, "suppressed", Holding.suppressed)


def _held(batch: Batch, desk: Desk, stage: str, why: Callable[[Holding, Known], str]) -> Batch:
    """The batch without what fires and is held; what is in an open incident already stays with it."""
    if not any(alert.state is AlertState.FIRING for alert in batch.alerts):
        return batch
    now_held = batch.holding or desk.holding(batch.known)
    known = {alert.fingerprint: alert for alert in batch.known}
    kept, dropped = [], list(batch.dropped)
    for alert in batch.alerts:
        home = batch.changes.get(batch.homes.get(alert.fingerprint, ""))
        settled = alert.state is AlertState.RESOLVED or (home is not None and home.incident.open)
        if not settled and why(now_held, known[alert.fingerprint]):
            dropped.append((alert, stage))
        else:
            kept.append(alert)
    return replace(batch, alerts=tuple(kept), dropped=tuple(dropped), holding=now_held)
