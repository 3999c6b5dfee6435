"""What rules would have said of incidents: which they catch, how soon, which they miss, and what they cry wolf about.

In: incidents of a period and when alerts would have fired (each with its labels). Out: `Verdict`. An alert is about an
incident when it fires while that lasts, or shortly before, and the services that both name are the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aiprism.respond.incident import Incident
from aiprism.respond.subject import service_of

# An alert so long before an incident was opened may have been its first sign (seconds).
LEAD = 900.0


@dataclass(frozen=True, slots=True)
class Fired:
    """An alert that would have fired from `start` to `end`, Unix seconds."""

    labels: Mapping[str, str]
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Caught:
    """An incident and the alert that would have told of it first; `earlier` is by how many seconds, below zero later."""

    incident: Incident
    by: Fired
    earlier: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """`noise` are the alerts that are about no incident."""

    caught: tuple[Caught, ...]
    missed: tuple[Incident, ...]
    noise: tuple[Fired, ...]


def verdict(incidents: Sequence[Incident], fired: Sequence[Fired], until: float) -> Verdict:
    """How well alerts that would have fired tell of incidents; `until` is the end of those that are open."""
    caught: list[Caught] = []
    missed: list[Incident] = []
    useful: set[int] = set()
    services = [service_of(each.labels) for each in fired]
    for incident in incidents:
        end = until if incident.resolved_at is None else incident.resolved_at
        named = {service for alert in incident.alerts if (service := service_of(alert.labels))}
        about = [
            at
            for at, (each, service) in enumerate(zip(fired, services, strict=True))
            if each.start <= end
            and incident.created_at - LEAD <= each.end
            and (not service or not named or service in named)
        ]
        useful.update(about)
        if not about:
            missed.append(incident)
            continue
        first = min((fired[at] for at in about), key=lambda each: each.start)
        caught.append(Caught(incident, first, incident.created_at - first.start))
    noise = tuple(each for at, each in enumerate(fired) if at not in useful)
    return Verdict(tuple(caught), tuple(missed), noise)
