"""Which open incident an alert belongs to (requirement R19), and why.

The plan's weighted similarity (L2440): time 0.3, service 0.4, kind 0.3; an alert joins where 0.7 is reached with one of
the incident's alerts. Pure: alerts come in, a `Similarity` with its three parts goes out. Which services depend on each
other is handed in; here nothing is known about topology.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from aiprism.model.alerts import Alert
from aiprism.model.labels import Labels
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
    mine, theirs = _subject(alert.labels), _subject(other.labels)
    return Similarity(
        time=max(0.0, 1 - abs(alert.active_at - other.active_at) / WINDOW),
        service=_service_likeness(mine.service, theirs.service, related),
        kind=_kind_likeness(mine, theirs),
        to=other,
    )


class Neighbourhood:
    """The alerts of open incidents, so arranged that a new one meets each (service, alert name) once: at the onset
    nearest to its own. Ten thousand alerts of one storm are then compared with a few hundred each, not with all."""

    def __init__(self, incidents: Iterable[Incident], related: Related = unrelated) -> None:
        self._related = related
        self._onsets: dict[str, dict[_Subject, list[_Onset]]] = {}
        for incident in incidents:
            for alert in incident.alerts if incident.open else ():
                self.add(incident, alert)

    def add(self, incident: Incident, alert: Alert) -> None:
        """From now on `alert` is known to be in `incident`."""
        subject = _subject(alert.labels)
        onsets = self._onsets.setdefault(subject.service, {}).setdefault(subject, [])
        insort(onsets, _Onset(alert.active_at, incident.created_at, incident.id, alert), key=_Onset.order)

    def joined(self, alert: Alert) -> tuple[str, Similarity] | None:
        """The id of the incident `alert` belongs to and the likeness that says so; None when it is like none.

        The most alike wins, of equals the older incident.
        """
        likenesses = ((onset, similarity(alert, onset.alert, self._related)) for onset in self._nearest(alert))
        reaching = [(onset, likeness) for onset, likeness in likenesses if likeness.score >= THRESHOLD]
        if not reaching:
            return None
        onset, likeness = min(reaching, key=lambda pair: (-pair[1].score, pair[0].created_at, pair[0].incident_id))
        return onset.incident_id, likeness

    def _nearest(self, alert: Alert) -> Iterator[_Onset]:
        mine = _subject(alert.labels).service
        for service, subjects in self._onsets.items():
            # Time and kind alone cannot reach the threshold: 0.3 + 0.3.
            if _service_likeness(mine, service, self._related) == 0.0:
                continue
            for onsets in subjects.values():
                place = bisect_left(onsets, (alert.active_at, 0.0), key=_Onset.order)
                yield from onsets[max(0, place - 1) : place + 1]


@dataclass(frozen=True, slots=True)
class _Onset:
    at: float
    created_at: float
    incident_id: str
    alert: Alert

    def order(self) -> tuple[float, float]:
        # Of onsets at one moment the oldest incident's stands first, where `_nearest` finds it.
        return self.at, self.created_at


@dataclass(frozen=True, slots=True)
class _Subject:
    name: str
    service: str
    kind: Kind
    words: frozenset[str]


@lru_cache(maxsize=20_000)  # an alert is looked at again with each one that comes after it
def _subject(labels: Labels) -> _Subject:
    name = labels.get("alertname", "")
    return _Subject(name, service_of(labels), kind_of(labels), frozenset(words_of(name)))


def _service_likeness(one: str, other: str, related: Related) -> float:
    if not one or not other:  # the plan compares '' == '' as the same service: two unknowns are no evidence
        return 0.0
    if one == other:
        return 1.0
    return _RELATED if related(one, other) or related(other, one) else 0.0


def _kind_likeness(mine: _Subject, theirs: _Subject) -> float:
    if mine.name == theirs.name:
        return 1.0
    either = mine.words | theirs.words
    shared = len(mine.words & theirs.words) / len(either) if either else 0.0
    if mine.kind is theirs.kind and mine.kind is not Kind.OTHER:
        return max(_SAME_KIND, shared)
    return max(_SYMPTOMS_OF_ONE, shared) if {mine.kind, theirs.kind} <= SYMPTOMS else shared
