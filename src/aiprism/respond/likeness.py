"""How alike two alerts are (requirement R19), and why: the edge of the graph that `correlate` walks.

The plan's weighted similarity (L2440): time 0.3, service 0.4, kind 0.3, of which 0.7 is enough. In come two alerts and who
calls whom, out goes a `Similarity` with its three parts, the way between the two services and the weights it was made with.
Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache

from aiprism.config import CorrelationConfig
from aiprism.errors import ConfigError
from aiprism.model.alerts import Alert
from aiprism.model.labels import Labels
from aiprism.respond.subject import SYMPTOMS, Kind, kind_of, service_of, words_of
from aiprism.respond.ways import Way, Ways

_SAME_KIND, _SYMPTOMS_OF_ONE = 0.8, 0.5


@dataclass(frozen=True, slots=True)
class Weights:
    """What the parts count, and from when on two alerts are one incident's. The plan's, where it names them."""

    time: float = 0.3
    service: float = 0.4
    kind: float = 0.3
    threshold: float = 0.7
    window: float = 600.0  # seconds after which two onsets have nothing in common
    direct: float = 0.7  # what it is worth that one service calls the other
    # … and that times this for each call more. The plan does not say how far "related" reaches.
    fading: float = 0.95
    # A third that two services call may be what ails them, if it is silent and this part of its callers began to suffer.
    shared: float = 0.3

    def doubt(self) -> str:
        """What is wrong with these numbers, or an empty string."""
        parts = (self.time, self.service, self.kind, self.direct, self.fading, self.shared)
        if any(not 0.0 <= each <= 1.0 for each in parts) or self.window <= 0:
            return "weights and shares are from 0 to 1, and the window is longer than nothing"
        reached = self.time + self.service + self.kind
        if not 0.0 < self.threshold <= round(reached, 6):
            return f"no two alerts reach a threshold of {self.threshold:g}: the weights make {reached:g} at most"
        return ""


def weighed(asked: CorrelationConfig) -> Weights:
    """The weights that are configured; ConfigError when no two alerts could be alike by them."""
    wanted = Weights(**asdict(asked))
    if doubt := wanted.doubt():
        raise ConfigError(f"correlation: {doubt}")
    return wanted


@dataclass(frozen=True, slots=True)
class Subject:
    """What an alert speaks of, as far as likeness goes by it."""

    name: str
    service: str
    kind: Kind
    words: frozenset[str]
    _hash: int = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash((self.name, self.service, self.kind, self.words)))

    def __hash__(self) -> int:
        return self._hash  # kept: each alert of a storm is looked up among hundreds of these


@dataclass(frozen=True, slots=True)
class Similarity:
    """How alike an alert is to another one: three parts from 0 to 1, and their weighted sum."""

    time: float
    service: float
    kind: float
    to: Alert
    way: Way | None = None
    weights: Weights = Weights()

    @property
    def score(self) -> float:
        return scored(self.weights, self.time, self.service, self.kind)

    def evidence(self) -> dict[str, object]:
        """The parts as the timeline keeps them."""
        return {"similarity": {
            "score": self.score,
            "threshold": self.weights.threshold,
            "time": round(self.time, 4),
            "service": round(self.service, 4),
            "kind": round(self.kind, 4),
            "weights": {"time": self.weights.time, "service": self.weights.service, "kind": self.weights.kind},
            "way": _told(self.way),
            "to": {"fingerprint": self.to.fingerprint, "alertname": self.to.name},
        }}  # fmt: skip


def scored(weights: Weights, time: float, service: float, kind: float) -> float:
    """The weighted sum. Rounded, so that 0.3 + 0.4 reaches the threshold of 0.7 whatever the last binary digit says."""
    return round(weights.time * time + weights.service * service + weights.kind * kind, 6)


@lru_cache(maxsize=50_000)  # an alert is looked at again with each one that comes after it
def subject_of(labels: Labels) -> Subject:
    """What an alert with these labels speaks of."""
    name = labels.get("alertname", "")
    return Subject(name, service_of(labels), kind_of(labels), frozenset(words_of(name)))


def similarity(alert: Alert, other: Alert, ways: Ways | None = None, weights: Weights | None = None) -> Similarity:
    """How alike `alert` is to `other`. Times compared are onsets (`active_at`): rules wait for different `for` times."""
    ways, weights = ways or Ways(), weights or Weights()
    mine, theirs = subject_of(alert.labels), subject_of(other.labels)
    known = mine.service and theirs.service  # the plan calls '' and '' the same service: two unknowns are no evidence
    way = ways.between(ways.named(mine.service), ways.named(theirs.service)) if known else None
    return made(alert, other, mine, theirs, way, weights)


def made(alert: Alert, other: Alert, mine: Subject, theirs: Subject, way: Way | None, weights: Weights) -> Similarity:
    """The similarity of two alerts between whose services there is this way."""
    return Similarity(
        time=time_likeness(alert.active_at, other.active_at, weights),
        service=service_likeness(way, weights),
        kind=kind_likeness(mine, theirs),
        to=other,
        way=way,
        weights=weights,
    )


def time_likeness(one: float, other: float, weights: Weights) -> float:
    """1 for onsets at one moment, 0 for those a window apart."""
    return max(0.0, 1 - abs(one - other) / weights.window)


def service_likeness(way: Way | None, weights: Weights) -> float:
    """1 for the same service, less with each call between two, 0 where none leads from one to the other."""
    if way is None:
        return 0.0
    return weights.direct * weights.fading ** (way.hops - 1) if way.hops else 1.0


@lru_cache(maxsize=100_000)
def kind_likeness(mine: Subject, theirs: Subject) -> float:
    """1 for the same alert, 0.8 for the same kind, 0.5 for two symptoms, else by the words their names share."""
    if mine.name == theirs.name:
        return 1.0
    either = mine.words | theirs.words
    shared = len(mine.words & theirs.words) / len(either) if either else 0.0
    if mine.kind is theirs.kind and mine.kind is not Kind.OTHER:
        return max(_SAME_KIND, shared)
    return max(_SYMPTOMS_OF_ONE, shared) if {mine.kind, theirs.kind} <= SYMPTOMS else shared


def _told(way: Way | None) -> Mapping[str, object] | None:
    if way is None:
        return None
    return {"path": list(way.path), "direction": way.direction.value, "known": way.known, "text": str(way)}
