"""Phase 1: which metrics of the services of an incident, and of those near them, are otherwise since its onset.

In: samples as they were sent, one reading for all. Out: `MetricChange`s, the most telling first. The time before the onset is cut
into bins; what a bin holds is the rate of a counter, the mean of a histogram, the level of a gauge. What came since is one
bin more, and is off by so many times what bins before are usually off their median (robust z: 1.4826 × MAD, which one outlier
does not move). A counter also counts as uncertain by one event and by the root of as many as were expected, so that two errors
are no storm; and nothing is more certain than a tenth of what is usual.

Right before the onset lies a time that counts neither as before nor as since: a condition of a rule holds only some time after
what it watches has changed. It is looked through for the moment of the change.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from aiprism.learn.findings import Case, Family, Findings, MetricChange
from aiprism.learn.look import Look, SeriesRead
from aiprism.model.labels import METRIC_NAME, Labels, Matcher, MatchOp
from aiprism.model.timerange import TimeRange
from aiprism.respond.subject import SERVICE_LABELS

BEFORE = 1800.0  # seconds looked at before the onset
LEAD = 120.0  # seconds before the onset that are neither; at most a third of what there is
MOST = 15  # changes told
_LEAST_Z, _LEAST_SHARE = 4.0, 0.25  # off by so much, in z and of the larger value
_MOST_Z = 50.0
_BINS = 60
_WIDEST = 300.0
_FEWEST_BINS = 3
_OWN = 0.1  # of what is usual: nothing is more certain

# Which replica it was is no matter: counters of all of them are one.
_REPLICAS = frozenset(
    ("instance", "pod", "pod_name", "host", "host_name", "hostname", "node", "container", "container_id", "replica",
     "service_instance_id", "process_pid", "pid", "id", "uid", "endpoint_ip")
)  # fmt: skip
# They tell of the rules, of the scrape, or of time itself.
_SAYS_NOTHING = re.compile(
    r"ALERTS.*|scrape_.*|.*_(bucket|created|info|timestamp|timestamp_seconds|start_time_seconds|uptime|uptime_seconds|"
    r"last_success_seconds)|log_records:.*|ai_prism_deployment_.*"
)
_FAMILIES = (
    (Family.ERRORS, r"error|fail|exception|5xx|reject|dropped|timeout|retr(y|ies)"),
    (Family.AVAILABILITY, r"^up$|health|available|availability|breaker|ready"),
    (Family.SATURATION, r"cpu|memory|heap|disk|queue|backlog|pool|connections|utili[sz]ation|usage|saturation|in_?flight|thread|"
     r"fds|pending|lag|resident|in_use|capacity|throttl"),
    (Family.LATENCY, r"duration|latency|response_time|_seconds$|_milliseconds$|_ms$|wait"),
    (Family.TRAFFIC, r"requests|calls|messages|records|processed|bytes|_count$|_total$"),
)  # fmt: skip
_WEIGHTS = {
    Family.ERRORS: 1.3, Family.LATENCY: 1.3, Family.AVAILABILITY: 1.3, Family.SATURATION: 1.1, Family.TRAFFIC: 0.6,
    Family.OTHER: 0.5,
}  # fmt: skip
_FAILED = re.compile(r"(?i)5\d\d|.*(error|fail|exception|timeout|reject).*")


def metric_changes(case: Case, look: Look, found: Findings) -> Findings:
    """The phase: `found` with the metrics that changed."""
    read = look.series(tuple(case.names), TimeRange(case.onset - BEFORE, case.now))
    return replace(found, metrics=tuple(changed(read, case))) if read.labels else found


def changed(read: SeriesRead, case: Case) -> Sequence[MetricChange]:
    """What changed among these series, the most telling first, one of each metric of a service."""
    groups = _groups(read, case)
    grid = _Grid(read, case.onset)
    if not groups or not grid.bins:
        return ()
    found = [*_ended(groups, grid), *_off(groups, grid)]
    best: dict[tuple[str, str], _Found] = {}
    for change, numbers in sorted(found, key=lambda each: _rank(each[0], case)):
        best.setdefault((change.service, change.metric.removesuffix("_count")), (change, numbers))
    return [
        replace(change, matcher=_matcher([read.labels[number] for number in numbers], case))
        for change, numbers in list(best.values())[:MOST]
    ]


def _rank(each: MetricChange, case: Case) -> tuple[float, float, str, str]:
    weight = _WEIGHTS[each.family] * case.nearness(each.service)
    # Fewer errors, less latency and less load are what follows from trouble elsewhere, rather than why.
    if each.z < 0 and each.measure != "ended" and each.family is not Family.AVAILABILITY:
        weight *= 0.4
    return -weight * min(abs(each.z), _MOST_Z), each.changed_at, each.service, each.metric


def family_of(metric: str, labels: Mapping[str, str]) -> Family:
    """What a metric measures.

    >>> family_of("http_requests_total", {"status_code": "503"}), family_of("process_resident_memory_bytes", {})
    (<Family.ERRORS: 'errors'>, <Family.SATURATION: 'saturation'>)
    """
    if any(_FAILED.fullmatch(value) for name, value in labels.items() if re.search("status|code|outcome|result", name)):
        return Family.ERRORS
    return next((family for family, words in _FAMILIES if re.search(words, metric)), Family.OTHER)


# -- series that are looked at together ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Group:
    """Series of one metric of one service; `of` are their numbers, and `per` those of a histogram's counts."""

    service: str
    metric: str
    labels: Mapping[str, str]
    measure: str
    of: tuple[int, ...]
    per: tuple[int, ...] = ()


def _groups(read: SeriesRead, case: Case) -> list[_Group]:
    alike: dict[_Key, list[int]] = defaultdict(list)
    for number, labels in enumerate(read.labels):
        said = labels.to_dict()
        metric, service = said.pop(METRIC_NAME, ""), _owner(labels, case)
        if service and not _SAYS_NOTHING.fullmatch(metric):
            is_counter = metric.endswith(("_total", "_count", "_sum"))
            kept = (
                (name, value)
                for name, value in said.items()
                if name not in SERVICE_LABELS and not (is_counter and name in _REPLICAS)
            )
            alike[service, metric, tuple(sorted(kept))].append(number)
    return [_group(key, numbers, alike) for key, numbers in alike.items()]


_Found: TypeAlias = tuple[MetricChange, Sequence[int]]  # and the numbers of its series
_Key: TypeAlias = tuple[str, str, tuple[tuple[str, str], ...]]


def _group(key: _Key, numbers: Sequence[int], alike: Mapping[_Key, Sequence[int]]) -> _Group:
    service, metric, labels = key
    if metric.endswith("_sum") and (counts := alike.get((service, f"{metric[:-4]}_count", labels))):
        return _Group(service, metric[:-4], dict(labels), "mean", tuple(numbers), tuple(counts))
    measure = "rate" if metric.endswith(("_total", "_count", "_sum")) else "level"
    return _Group(service, metric, dict(labels), measure, tuple(numbers))


def _owner(labels: Labels, case: Case) -> str:
    """The service a series is of; nothing for none we look at."""
    _, value = _naming(labels, case)
    return case.names.get(value) or case.names.get(value.rpartition("/")[2], "")


def _naming(labels: Labels, case: Case) -> tuple[str, str]:
    """The most telling label that names a service we look at, and what it says."""
    for name in SERVICE_LABELS:
        value = labels.get(name, "")
        if value in case.names or value.rpartition("/")[2] in case.names:
            return name, value
    return "", ""


def _matcher(series: Sequence[Labels], case: Case) -> str:
    """What finds these series by the name of their service; by the label most of them have it in."""
    named = [_naming(labels, case) for labels in series]
    [(label, _)] = Counter(name for name, _ in named).most_common(1)
    values = sorted({value for name, value in named if name == label})
    if len(values) == 1:
        return str(Matcher(label, MatchOp.EQUAL, values[0]))
    return str(Matcher(label, MatchOp.REGEX, "|".join(map(re.escape, values))))


# -- what they were before, and are since ----------------------------------------------------------------------------


class _Grid:
    """All samples, and the bins they are put into."""

    def __init__(self, read: SeriesRead, onset: float) -> None:
        sizes = np.diff(read.offsets)
        finite = np.isfinite(read.values)
        self.series = np.repeat(np.arange(len(sizes)), sizes)[finite]
        self.times, self.values = read.times[finite], read.values[finite]
        self.number = len(sizes)
        self.onset = onset
        self.bins = 0
        if len(self.times) and self.begin < onset:
            self._divide()

    def _divide(self) -> None:
        self.quiet = self.onset - min(LEAD, (self.onset - self.begin) / 3)
        # Of what has only just begun there are too few samples: what came right before counts as since.
        self.since = min(self.onset, self.last - 2 * self.interval)
        self.quiet = min(self.quiet, self.since)
        length, usual = self.last - self.since, self.quiet - self.begin
        width = min(max(length, 2 * self.interval), _WIDEST)
        if usual < _FEWEST_BINS * width:
            width = max(usual / _FEWEST_BINS, self.interval)
        self.bins = min(int(usual / width + 1e-9), _BINS)
        self.width = width
        self.edges = np.array(
            [self.quiet - (self.bins - at) * width for at in range(self.bins + 1)] + [self.since, self.last]
        )

    @cached_property
    def interval(self) -> float:
        """The usual time between two samples of a series."""
        steps = np.diff(self.times)[np.diff(self.series) == 0]
        return float(np.median(steps)) if len(steps) else 1.0

    @cached_property
    def begin(self) -> float:
        return float(self.times.min())

    @cached_property
    def last(self) -> float:
        return float(self.times.max())

    @cached_property
    def first_of(self) -> NDArray[np.float64]:
        """When each series has its first sample; infinity without any."""
        found = np.full(self.number, np.inf)
        np.minimum.at(found, self.series, self.times)
        return found

    @cached_property
    def last_of(self) -> NDArray[np.float64]:
        found = np.full(self.number, -np.inf)
        np.maximum.at(found, self.series, self.times)
        return found

    @cached_property
    def increments(self) -> NDArray[np.float64]:
        """By how much each sample is more than the one before, as of counters: one that is less began anew at zero, and so did one
        that was not there while others already were."""
        found = np.zeros(len(self.values))
        is_first = np.concatenate([[True], np.diff(self.series) != 0])
        more = np.diff(self.values, prepend=0.0)
        found[:] = np.where(more >= 0, more, self.values)
        born_late = self.first_of[self.series] > self.begin + 3 * self.interval
        found[is_first] = np.where(born_late[is_first], self.values[is_first], 0.0)
        return found

    def summed(
        self, groups: Sequence[Sequence[int]], edges: NDArray[np.float64], weights: NDArray[np.float64] | None
    ) -> NDArray[np.float64]:
        """Of each group of series the sum of its samples' weights in each bin; without weights their number."""
        of = np.full(self.number, -1)
        for number, members in enumerate(groups):
            of[list(members)] = number
        group = of[self.series]
        place = np.searchsorted(edges, self.times, side="left") - 1
        inside = (group >= 0) & (place >= 0) & (place < len(edges) - 1)
        width = len(edges) - 1
        flat = np.bincount(
            group[inside] * width + place[inside],
            weights=None if weights is None else weights[inside],
            minlength=len(groups) * width,
        )
        return flat.reshape(len(groups), width).astype(np.float64)

    def measured(self, groups: Sequence[_Group], edges: NDArray[np.float64]) -> NDArray[np.float64]:
        """What each group was in each bin, by its measure; NaN where nobody knows."""
        found = np.full((len(groups), len(edges) - 1), np.nan)
        lengths = np.maximum(np.diff(edges), 1e-9)
        for measure in ("rate", "mean", "level"):
            rows = [number for number, each in enumerate(groups) if each.measure == measure]
            if not rows:
                continue
            of = [groups[row].of for row in rows]
            if measure == "rate":
                part = self.summed(of, edges, self.increments) / lengths
            elif measure == "mean":
                counts = self.summed([groups[row].per for row in rows], edges, self.increments)
                part = _divided(self.summed(of, edges, self.increments), counts)
            else:
                part = _divided(self.summed(of, edges, self.values), self.summed(of, edges, None))
            found[rows] = part
        return found


def _divided(one: NDArray[np.float64], by: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(one, by, out=np.full_like(one, np.nan), where=by > 0)


def _off(groups: Sequence[_Group], grid: _Grid) -> list[_Found]:
    """The groups that are off since the onset."""
    values = grid.measured(groups, grid.edges)
    _blank_unknown(values, groups, grid)
    before, after = values[:, : grid.bins], values[:, -1]
    known = np.isfinite(before).sum(axis=1) >= min(2, grid.bins)
    known &= np.isfinite(after)
    rows = np.flatnonzero(known)
    if not len(rows):
        return []
    median = np.nanmedian(before[rows], axis=1)
    z = (after[rows] - median) / _scale(before[rows], median, [groups[row].measure for row in rows.tolist()], grid)
    larger = np.maximum(np.maximum(np.abs(after[rows]), np.abs(median)), 1e-12)
    telling = (np.abs(z) >= _LEAST_Z) & (np.abs(after[rows] - median) / larger >= _LEAST_SHARE)
    chosen = np.flatnonzero(telling)
    chosen = chosen[np.argsort(-np.abs(z[chosen]), kind="stable")][: 20 * MOST]
    some = [groups[int(rows[at])] for at in chosen]
    times = _changed_at(some, grid, median[chosen], after[rows][chosen])
    return [
        (
            MetricChange(
                group.service, group.metric, group.labels, group.measure, family_of(group.metric, group.labels),
                float(median[at]), float(after[rows[at]]), float(np.clip(z[at], -_MOST_Z, _MOST_Z)), when,
            ),
            group.of,
        )
        for group, at, when in zip(some, chosen, times, strict=True)
    ]  # fmt: skip


def _blank_unknown(values: NDArray[np.float64], groups: Sequence[_Group], grid: _Grid) -> None:
    """No rate is known of the time before anything of its service was: it is not zero."""
    begun: dict[str, float] = defaultdict(lambda: np.inf)
    for each in groups:
        begun[each.service] = min(begun[each.service], *(grid.first_of[number] for number in each.of))
    for row, each in enumerate(groups):
        if each.measure == "rate":
            values[row, : grid.bins][grid.edges[: grid.bins] < begun[each.service] - grid.interval] = np.nan


def _scale(
    before: NDArray[np.float64], median: NDArray[np.float64], measures: Sequence[str], grid: _Grid
) -> NDArray[np.float64]:
    """What each is usually off by, and cannot be more certain than."""
    low, high = np.nanquantile(before, [0.1, 0.9], axis=1)
    usual = np.maximum(1.4826 * np.nanmedian(np.abs(before - median[:, None]), axis=1), (high - low) / 2.56)
    length = grid.last - grid.since
    counted = np.array([measure == "rate" for measure in measures])
    by_chance = np.where(counted, np.sqrt(np.maximum(median, 0) * length + 1) / length, 1e-9)
    scale: NDArray[np.float64] = np.maximum(np.maximum(usual, _OWN * np.abs(median)), by_chance)
    return scale


def _changed_at(
    groups: Sequence[_Group], grid: _Grid, before: NDArray[np.float64], after: NDArray[np.float64]
) -> list[float]:
    """When each left what it was: from then on it is mostly more than half way to what it became."""
    if not groups:
        return []
    width = max(2 * grid.interval, (grid.last - grid.quiet) / 60)
    number = max(1, int(np.ceil((grid.last - grid.quiet) / width)))
    edges = (grid.last - width * np.arange(number, -1, -1)).astype(np.float64)
    over = (grid.measured(groups, edges) - before[:, None]) / (after - before)[:, None] > 0.5
    times = []
    for row in over:
        from_here = np.cumsum(row[::-1])[::-1] / np.arange(number, 0, -1)
        fitting = np.flatnonzero(row & (from_here >= 0.6))
        times.append(float(edges[fitting[0]]) if len(fitting) else grid.onset)
    return times


def _ended(groups: Sequence[_Group], grid: _Grid) -> list[_Found]:
    """Services of which a share of series has stopped while others are sent on: a process that is gone stops sending."""
    found: list[_Found] = []
    by_service: dict[str, list[int]] = defaultdict(list)
    for each in groups:
        by_service[each.service] += each.of
    patience = max(4 * grid.interval, 5.0)
    for service, numbers in by_service.items():
        there = [at for at in numbers if grid.begin <= grid.first_of[at] <= grid.quiet]
        lately = [at for at in there if grid.last_of[at] >= grid.quiet - patience]
        gone = [at for at in lately if grid.last_of[at] < grid.last - patience]
        if len(lately) >= _FEWEST_BINS and len(gone) >= len(lately) / 2:
            when = float(np.median([grid.last_of[at] for at in gone]))
            left = float(len(lately) - len(gone))
            change = MetricChange(
                service, "series", {}, "ended", Family.AVAILABILITY, float(len(lately)), left, -_MOST_Z, when
            )
            found.append((change, lately))
    return found
