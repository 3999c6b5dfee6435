"""Which open incident an alert belongs to (requirement R19), and why.

The plan's weighted similarity (L2440): time 0.3, service 0.4, kind 0.3; an alert joins where 0.7 is reached with one of
the incident's alerts. Pure: alerts come in, a `Similarity` with its three parts goes out. Which services depend on each
other is handed in; here nothing is known about topology.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from aiprism.model.alerts import Alert
from aiprism.respond.incident import Incident
from aiprism.respond.subject import SYMPTOMS, Kind, kind_of, service_of, words_of

Related: TypeAlias = Callable[[str, str], bool]

TIME_WEIGHT, SERVICE_WEIGHT, KIND_WEIGHT = 0.3, 0.4, 0.3
THRESHOLD = 0.7
WINDOW = 600.0  # seconds after which two onsets have nothing in common (the plan's ten minutes)
_RELATED = 0.7  # what a known dependency between two services is worth
_SAME_KIND, _SYMPTOMS_OF_ONE = 0.8, 0.5


@dataclass(frozen=True, slots=True)
class Similarity:
    """How alike two alerts are: three parts from 0 to 1, and their weighted sum."""

    time: float
    service: float
    kind: float
    to: Alert

    @property
    def score(self) -> float:
        # Rounded, so that 0.3 + 0.4 reaches the threshold of 0.7 whatever the last binary digit says.
        return round(TIME_WEIGHT * self.time + SERVICE_WEIGHT * self.service + KIND_WEIGHT * self.kind, 6)

    def evidence(self) -> dict[str, object]:
        """The parts as the timeline keeps them."""
        return {
            "similarity": {
                "score": self.score,
                "threshold": THRESHOLD,
                "time": round(self.time, 4),
                "service": round(self.service, 4),
                "kind": round(self.kind, 4),
                "to": {"fingerprint": self.to.fingerprint, "alertname": self.to.name},
            }
        }


def unrelated(_one: str, _other: str) -> bool:
    """The topology of someone who knows none."""
    return False


def similarity(alert: Alert, other: Alert, related: Related = unrelated) -> Similarity:
    """How alike `alert` is to `other`. Times compared are onsets (`active_at`): rules wait for different `for` times."""
    apart = abs(alert.active_at - other.active_at)
    return Similarity(
        time=max(0.0, 1 - apart / WINDOW),
        service=_service_likeness(service_of(alert.labels), service_of(other.labels), related),
        kind=_kind_likeness(alert, other),
        to=other,
    )


def joined(
    alert: Alert, incidents: Iterable[Incident], related: Related = unrelated, *, threshold: float = THRESHOLD
) -> tuple[Incident, Similarity] | None:
    """The incident `alert` belongs to and the likeness that says so; None when it is like none of them.

    The most alike wins, of equals the older incident.
    """
    likenesses = [
        (incident, similarity(alert, other, related))
        for incident in incidents
        if incident.open
        for other in incident.alerts
    ]
    reaching = [pair for pair in likenesses if pair[1].score >= threshold]
    return min(reaching, key=lambda pair: (-pair[1].score, pair[0].created_at, pair[0].id), default=None)


def _service_likeness(one: str, other: str, related: Related) -> float:
    if not one or not other:  # the plan compares '' == '' as the same service: two unknowns are no evidence
        return 0.0
    if one == other:
        return 1.0
    return _RELATED if related(one, other) or related(other, one) else 0.0


def _kind_likeness(alert: Alert, other: Alert) -> float:
    if alert.name == other.name:
        return 1.0
    one, two = kind_of(alert), kind_of(other)
    shared = _shared_words(alert.name, other.name)
    if one is two and one is not Kind.OTHER:
        return max(_SAME_KIND, shared)
    return max(_SYMPTOMS_OF_ONE, shared) if {one, two} <= SYMPTOMS else shared


def _shared_words(one: str, other: str) -> float:
    mine, theirs = set(words_of(one)), set(words_of(other))
    return len(mine & theirs) / len(mine | theirs) if mine and theirs else 0.0
