"""Which value of an attribute tells slow (or failed) traces from the others, and where slow ones spend their time.

In: counts over a sample of both, and some of each that were understood. Out: values, the most telling first; operations, by
what they have of the difference. Pure.

A value is looked at in two ways, and the better one counts:

    trace   traces that have a span of an operation with this value, slow ones against others (a region, a kind of document)
    span    of one operation the spans that are slow themselves against those that are not, by their value (a model, a host);
            weighted by how well such a span tells slow traces from others, so that a detour that costs nothing explains nothing

`explained` is the share of the entropy of slow against other that is gone once the value is known (information gain over
entropy, from 0 to 1): what is everywhere gains nothing, what is rare little. `odds_low` is the lower bound of the odds
ratio at 99.9 % (logit method, Haldane's correction): where it does not exceed 1, the difference may be chance and the value is
left out. The bound is that strict because many values are looked at. Spans of one trace are no independent witnesses: together
they count as the traces they are of.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from aiprism.query.traces import Story

_Z = 3.29  # two-sided 99.9 %
_LEAST_ODDS = 1.0


@dataclass(frozen=True, slots=True)
class Fourfold:
    """Of slow ones and of others, how many have something and how many have not."""

    slow_with: float
    slow_without: float
    other_with: float
    other_without: float

    def scaled(self, factor: float) -> Fourfold:
        """The same shares of so much less evidence."""
        return Fourfold(*(each * factor for each in self._cells))

    @property
    def _cells(self) -> tuple[float, float, float, float]:
        return self.slow_with, self.slow_without, self.other_with, self.other_without

    @property
    def odds(self) -> float:
        a, b, c, d = (each + 0.5 for each in self._cells)
        return a * d / (b * c)

    @property
    def odds_low(self) -> float:
        """The lower bound of the odds ratio."""
        return math.exp(math.log(self.odds) - _Z * math.sqrt(sum(1 / (each + 0.5) for each in self._cells)))

    @property
    def explained(self) -> float:
        """Information gain over entropy.

        >>> Fourfold(10, 0, 0, 10).explained, Fourfold(5, 5, 5, 5).explained
        (1.0, 0.0)
        """
        a, b, c, d = self._cells
        whole = a + b + c + d
        before = _entropy(a + b, c + d)
        after = ((a + c) * _entropy(a, c) + (b + d) * _entropy(b, d)) / whole if whole else 0.0
        return max(0.0, 1 - after / before) if before else 0.0


def _entropy(one: float, other: float) -> float:
    whole = one + other
    return -sum(part / whole * math.log2(part / whole) for part in (one, other) if part) if whole else 0.0


@dataclass(frozen=True, slots=True)
class Counted:
    """Of an operation, or of those of its spans with a value: slow and other traces that have one, those that have one that is bad
    (slow or failed itself), and its spans, bad and good."""

    service: str
    operation: str
    slow_traces: int
    other_traces: int
    slow_bad: int
    other_bad: int
    bad_spans: int
    good_spans: int
    key: str = ""
    value: str = ""


@dataclass(frozen=True, slots=True)
class Reason:
    """A value that tells slow traces from others. Shares are of what `evidence` looks at: traces, or spans of the operation;
    `also` are further operations whose spans have the value and tell less."""

    key: str
    value: str
    service: str
    operation: str
    evidence: str
    explained: float
    odds: float
    odds_low: float
    slow_share: float
    other_share: float
    also: tuple[str, ...] = ()


def reasons(
    operations: Sequence[Counted], values: Sequence[Counted], slow: int, other: int, *, limit: int = 20
) -> Sequence[Reason]:
    """The most telling values among `slow` and `other` traces; none when there is nothing to compare.

    Values are counted after operations, and spans come in meanwhile: there may be more of a value than of its operation.
    """
    if not slow or not other:
        return []
    known = {(each.service, each.operation): each for each in operations}
    found = [_of_trace(replace(each, key="operation", value=each.operation), slow, other) for each in operations]
    for each in values:
        found.append(_of_trace(each, slow, other))
        if operation := known.get((each.service, each.operation)):
            found.append(_of_span(each, operation, slow, other))
    telling = [each for each in found if each.odds_low > _LEAST_ODDS and each.explained > 0]
    telling.sort(key=lambda each: (-each.explained, "…" in each.value, each.key, each.value))
    return _merged(telling)[:limit]


def _of_trace(counted: Counted, slow: int, other: int) -> Reason:
    table = Fourfold(
        counted.slow_traces, slow - counted.slow_traces, counted.other_traces, other - counted.other_traces
    )
    return _reason(counted, "trace", table, table.explained)


def _of_span(counted: Counted, operation: Counted, slow: int, other: int) -> Reason:
    table = Fourfold(
        counted.bad_spans,
        max(0, operation.bad_spans - counted.bad_spans),
        counted.good_spans,
        max(0, operation.good_spans - counted.good_spans),
    )
    spans = operation.bad_spans + operation.good_spans
    traces = operation.slow_traces + operation.other_traces
    decides = Fourfold(operation.slow_bad, slow - operation.slow_bad, operation.other_bad, other - operation.other_bad)
    weight = decides.explained if decides.odds > 1 else 0.0
    return _reason(counted, "span", table.scaled(min(1.0, traces / spans) if spans else 0.0), table.explained * weight)


def _reason(counted: Counted, evidence: str, table: Fourfold, explained: float) -> Reason:
    slow, other = table.slow_with + table.slow_without, table.other_with + table.other_without
    return Reason(
        counted.key, counted.value, counted.service, counted.operation, evidence, explained, table.odds, table.odds_low,
        table.slow_with / slow if slow else 0.0, table.other_with / other if other else 0.0,
    )  # fmt: skip


def _merged(telling: Iterable[Reason]) -> list[Reason]:
    """One reason for each value: the best one, with the other operations that have it."""
    best: dict[tuple[str, str], Reason] = {}
    for each in telling:
        first = best.setdefault((each.key, each.value), each)
        where = f"{each.service} {each.operation}"
        if where != f"{first.service} {first.operation}" and where not in first.also:
            best[each.key, each.value] = replace(first, also=(*first.also, where))
    return list(best.values())


@dataclass(frozen=True, slots=True)
class Spent:
    """How much of the critical path an operation has itself, in a slow trace and in another, on average. `share` is its part of
    what slow traces take longer; of an operation that takes less in them it is negative."""

    service: str
    operation: str
    slow_ns: float
    other_ns: float
    share: float


def spent(slow: Sequence[Story], other: Sequence[Story], *, limit: int = 10) -> Sequence[Spent]:
    """Where slow traces spend the time that others do not, most of it first; nothing when there is nothing to compare.

    On the critical path, because time that nobody waits for makes no trace slow, and by the operation itself, because whoever
    calls a slow one is slow, too.
    """
    if not slow or not other:
        return []
    took, usual = _critical(slow), _critical(other)
    longer = sum(took.values()) - sum(usual.values())
    if longer <= 0:
        return []
    found = [
        Spent(
            *which, took.get(which, 0.0), usual.get(which, 0.0), (took.get(which, 0.0) - usual.get(which, 0.0)) / longer
        )
        for which in {*took, *usual}
    ]
    return sorted(found, key=lambda each: (-each.share, each.service, each.operation))[:limit]


def _critical(told: Sequence[Story]) -> Mapping[tuple[str, str], float]:
    """Of each operation its mean time on the critical path of a trace."""
    found: dict[tuple[str, str], float] = defaultdict(float)
    for story in told:
        for node in story.nodes:
            found[node.span.service, node.span.name] += node.critical_ns / len(told)
    return found
