"""What alerts make of an incident: they join, fire again, go quiet, and may raise its priority.

Which alert belongs to which incident is decided in `correlate`.
"""

from __future__ import annotations

import math
from dataclasses import replace

from aiprism.model.alerts import Alert, AlertState
from aiprism.respond.incident import lateness
from aiprism.respond.incident.effects import Entry, Notice, Remediate, Step, Tell
from aiprism.respond.incident.events import AlertCleared, AlertFired, OriginSeen
from aiprism.respond.incident.moves import reopened, settled
from aiprism.respond.incident.rating import Said
from aiprism.respond.incident.values import MACHINE, Incident, Periods, Status


def fired(incident: Incident, event: AlertFired, now: float, periods: Periods) -> Step:
    """It joins, or fires again, which opens a quiet incident anew where it may open one, or makes it worse; one that fires already
    changes nothing."""
    alert, known = event.alert, incident.alert(event.alert.fingerprint)
    if known is not None and same_episode(known, alert):
        return incident, ()
    word = "alert_joined" if known is None else "alert_refired"
    text = f"{alert.name} {'joined' if known is None else 'fires again'}{whose(alert)}"
    entry = Entry(now, word, MACHINE, text, {**alert_data(alert), **event.evidence})
    held = with_alert(incident, alert)
    grown, effects = escalated(held, incident, now, periods)
    worse = grown.priority is not incident.priority
    if grown.status is Status.MONITORING and not worse and not opens(alert, periods):
        # It wakes nobody for what is over: its routes tell of it, and how long it is to be quiet begins anew.
        text = f"{text}: as {alert.priority.value} it reopens nothing, and the validation begins anew"
        return replace(grown, monitoring_since=now), (replace(entry, text=text),)
    if not grown.open or grown.status is Status.MONITORING:
        again, more = reopened(grown, MACHINE, f"{text} during {grown.status.value}", now, now)
        return again, (entry, *effects, *more)
    # A higher tier may call for runbooks that the alerts before did not.
    considered = grown.firing if worse else (alert,)
    # A new alert may bring receivers of its own. The outbox keeps from telling anyone twice that it is open.
    welcome = (Tell(Notice.OPENED, text),) if known is None else ()
    return grown, (entry, *welcome, *effects, Remediate(considered))


def opens(alert: Alert, periods: Periods) -> bool:
    """Whether an alert of its tier opens an incident, and so one anew."""
    return periods.tiers.of[alert.priority].opens_incident


def traced(incident: Incident, event: OriginSeen, _now: float, _periods: Periods) -> Step:
    """It began there: nobody is told, but its title says so from now on."""
    return (incident if event.service == incident.origin else replace(incident, origin=event.service)), ()


def escalated(incident: Incident, before: Incident, now: float, periods: Periods) -> Step:
    """The incident in the priority its alerts say, if that is more urgent than its own and than what they said `before`:
    what people said about it holds until it gets worse."""
    highest, said = (each.reach.priority(periods.limits) for each in (incident, before))
    if highest.urgency >= min(incident.priority.urgency, said.urgency):
        return incident, ()
    was, target = incident.priority, lateness.target(incident, periods)
    raised = replace(incident, priority=highest, work=replace(incident.work, said=Said()))
    # Who was promised a time keeps it, should the higher tier allow more of it.
    if target is not None and target < (lateness.target(raised, periods) or math.inf):
        raised = replace(raised, progress=replace(incident.progress, no_later=target))
    text = f"priority raised from {was.value} to {highest.value}"
    data = {"from": was.value, "to": highest.value, "impact": incident.reach.impact(periods.limits).value}
    return raised, (Entry(now, "escalated", MACHINE, text, data), Tell(Notice.ESCALATED, text))


def cleared(incident: Incident, event: AlertCleared, now: float, _periods: Periods) -> Step:
    """It is quiet; with the last one the incident is monitored."""
    known = incident.alert(event.alert.fingerprint)
    if known is None or known.state is AlertState.RESOLVED:
        return incident, ()
    quiet = replace(
        known, state=AlertState.RESOLVED, value=event.alert.value, resolved_at=event.alert.resolved_at or now
    )
    held = with_alert(incident, quiet)
    entry = Entry(now, "alert_cleared", MACHINE, f"{known.name} is no longer firing{whose(known)}", alert_data(quiet))
    after, effects = settled(held, now)
    return after, (entry, *effects)


def whose(alert: Alert) -> str:
    """Of which service an alert is, behind what is told of it: one rule fires for many."""
    service = alert.labels.get("service", "")
    return f" ({service})" if service else ""


def same_episode(known: Alert, alert: Alert) -> bool:
    """True when `alert` is `known` said again, not a new firing after a quiet time.

    A detector repeats what fires. Only an `active_at` after the known one had fired is a new episode: what is known of an alert
    without its rule (after a restart, after maintenance) begins when it fired, not when its `for` began. A resolved episode that
    is merely repeated late stays resolved.
    """
    return alert.active_at <= max(known.active_at, known.fired_at or known.active_at)


def with_alert(incident: Incident, alert: Alert) -> Incident:
    """The incident holding `alert`, in place of what it knew of it."""
    place, reach = incident.places.get(alert.fingerprint), incident.reach.grown(alert)
    if place is None:
        places = {**incident.places, alert.fingerprint: len(incident.alerts)}
        gist = None if incident.gist is None else incident.gist.grown(alert)
        return replace(incident, alerts=(*incident.alerts, alert), places=places, reach=reach, gist=gist)
    alerts = (*incident.alerts[:place], alert, *incident.alerts[place + 1 :])
    gist = incident.gist if _says_the_same(incident.alerts[place], alert) else None
    return replace(incident, alerts=alerts, reach=reach, gist=gist)


def _says_the_same(known: Alert, alert: Alert) -> bool:
    return known.active_at == alert.active_at and known.annotations == alert.annotations


def alert_data(alert: Alert) -> dict[str, object]:
    """What a line of the timeline keeps of an alert."""
    return {
        "fingerprint": alert.fingerprint,
        "alertname": alert.name,
        "labels": alert.labels.to_dict(),
        "value": alert.value,
        "active_at": alert.active_at,
        "fired_at": alert.fired_at,
    }
