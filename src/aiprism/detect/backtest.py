"""Rules against the past: when would each alert have fired on what is stored.

In: rules, a period, and the answers to range queries over it. Out: the firings of each alert. The moves are those of
`evaluation.py`, at every interval of the period; expressions are asked in long ranges, not once an interval. Nothing is
known from before the period: an alert that held then begins to be pending where it begins.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from aiprism.detect.annotations import Surroundings
from aiprism.detect.evaluation import RuleFailed, Setting, evaluate
from aiprism.detect.rules import AlertingRule, Group, RecordingRule
from aiprism.detect.signals import RuleQuestion
from aiprism.model.alerts import Alert, AlertState
from aiprism.model.labels import Labels
from aiprism.query.promql.values import Matrix, Vector, VectorItem
from aiprism.store.alertstates import KeptAlert

# (question, start, end, step) in Unix seconds → its values.
Ask = Callable[[RuleQuestion, float, float, float], Matrix]

_CHUNK = 4_000  # steps asked at once
MOST_STEPS = 500_000  # of one rule
# A firing of the same alert that begins so soon after the last one has ended makes it flap (seconds).
FLAPPING_WITHIN = 600.0


@dataclass(frozen=True, slots=True)
class Stretch:
    """From when to when, Unix seconds, both included."""

    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Firing:
    """One alert from when its expression held: `ended_at` is None when it fired until the end of the period."""

    labels: Labels
    annotations: Labels
    active_at: float
    fired_at: float
    ended_at: float | None = None

    def seconds(self, until: float) -> float:
        """How long it fired, up to the end of the period."""
        return (until if self.ended_at is None else self.ended_at) - self.fired_at


@dataclass(frozen=True, slots=True)
class RulePast:
    """What an alerting rule would have done. `pending` counts alerts that were over before they fired."""

    group: Group
    rule: AlertingRule
    evaluations: int
    firings: tuple[Firing, ...]
    pending: int = 0
    failed: int = 0
    notes: tuple[str, ...] = ()

    @property
    def flapping(self) -> int:
        """How many firings began soon after the same alert had ended."""
        ended: dict[Labels, float] = {}
        count = 0
        for firing in self.firings:
            last = ended.get(firing.labels)
            count += last is not None and firing.fired_at - last <= FLAPPING_WITHIN
            if firing.ended_at is not None:
                ended[firing.labels] = firing.ended_at
        return count


def pasts(groups: Sequence[Group], period: Stretch, ask: Ask, around: Surroundings) -> list[RulePast]:
    """The past of every alerting rule, in the order of the files."""
    recorded = {rule.name for group in groups for rule in group.rules if isinstance(rule, RecordingRule)}
    return [
        past(group, rule, period, ask, around, recorded)
        for group in groups
        for rule in group.rules
        if isinstance(rule, AlertingRule)
    ]


def steps_of(group: Group, period: Stretch) -> int:
    """How often the rules of a group are evaluated in the period."""
    return int((period.end - _first(group, period)) // group.interval) + 1


def past(
    group: Group,
    rule: AlertingRule,
    period: Stretch,
    ask: Ask,
    around: Surroundings,
    recorded: Iterable[str] = (),
) -> RulePast:
    """What one rule would have done; `recorded` are the metrics that rules of the same files record."""
    replay = _Replay(rule, Setting(now=0.0, limit=group.limit, around=around))
    count = steps_of(group, period)
    for first in range(0, count, _CHUNK):
        start = _first(group, period) + first * group.interval
        end = start + (min(count - first, _CHUNK) - 1) * group.interval
        matrix = ask(rule.question, start - group.query_offset, end - group.query_offset, group.interval)
        replay.follow(start, end, group.interval, _vectors(matrix, group.query_offset))
    notes = tuple(
        f"reads {name}, which these rules record: it counts only as far as it was recorded then"
        for name in sorted(set(recorded) & (rule.reads or set()))
    )
    return RulePast(group, rule, count, replay.firings(), replay.pending, replay.failed, (*notes, *replay.notes))


def _first(group: Group, period: Stretch) -> float:
    return -(-period.start // group.interval) * group.interval


def _vectors(matrix: Matrix, offset: float) -> Mapping[float, Vector]:
    """What an expression gave at each time it gave anything."""
    items: dict[float, list[VectorItem]] = defaultdict(list)
    for series in matrix:
        for at, value in series.points():
            items[round(at + offset, 3)].append(VectorItem(series.labels, at, value))
    return {at: Vector(tuple(found)) for at, found in items.items()}


class _Replay:
    """One rule on its way through the period."""

    def __init__(self, rule: AlertingRule, setting: Setting) -> None:
        self._rule, self._setting = rule, setting
        self._states: Mapping[str, KeptAlert] = {}
        self._open: dict[str, Firing] = {}
        self._closed: list[Firing] = []
        self.pending = self.failed = 0
        self.notes: list[str] = []

    def follow(self, start: float, end: float, step: float, vectors: Mapping[float, Vector]) -> None:
        """Evaluate from `start` to `end`; where nothing held and nothing is alive there is nothing to do."""
        count = round((end - start) / step) + 1
        at = 0
        moments = iter(sorted(vectors))
        following = next(moments, None)
        while at < count:
            now = round(start + at * step, 3)
            while following is not None and following < now:
                following = next(moments, None)
            if not self._states and following is not None and following > now:
                at += max(1, int((following - now) // step))
                continue
            if not self._states and following is None:
                return
            self._evaluate(now, vectors.get(now, Vector(())))
            at += 1

    def firings(self) -> tuple[Firing, ...]:
        """All firings, by when they began."""
        return tuple(sorted((*self._closed, *self._open.values()), key=lambda firing: firing.fired_at))

    def _evaluate(self, now: float, vector: Vector) -> None:
        try:
            outcome = evaluate(self._rule, vector, self._states, replace(self._setting, now=now))
        except RuleFailed as error:
            self.failed += 1
            if str(error) not in self.notes:
                self.notes.append(str(error))
            return
        for name in self._states.keys() - outcome.states.keys():
            self.pending += self._states[name].alert.state is AlertState.PENDING
        for name, kept in outcome.states.items():
            self._note(name, kept.alert)
        # What is over is told at once here, so nothing of it need be remembered.
        self._states = {name: kept for name, kept in outcome.states.items() if kept.alert.resolved_at is None}

    def _note(self, name: str, alert: Alert) -> None:
        if alert.state is AlertState.FIRING and name not in self._open:
            fired_at = alert.active_at if alert.fired_at is None else alert.fired_at
            self._open[name] = Firing(alert.labels, alert.annotations, alert.active_at, fired_at)
        elif alert.state is AlertState.RESOLVED and name in self._open:
            self._closed.append(replace(self._open.pop(name), ended_at=alert.resolved_at))


def all_firings(found: Iterable[RulePast]) -> Iterator[tuple[RulePast, Firing]]:
    """Every firing with the rule it is of."""
    for each in found:
        for firing in each.firings:
            yield each, firing
