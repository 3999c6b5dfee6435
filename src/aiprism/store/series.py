"""The series index: which series exist and which of them a set of matchers selects, in memory.

In: (fingerprint, labels, first seen) of every new series, and when series were seen again. Out: selections, that is
fingerprints with their labels as integer codes, and the names and values of labels. Labels are kept in columns, one
table a metric, each value coded by a dictionary its label shares over all metrics: a matcher is a truth table over a
dictionary, a selection is that table looked up by a column of codes. The samples themselves are left to samples.py.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from aiprism.model.labels import METRIC_NAME, Labels, Matcher, MatchOp, compiled
from aiprism.store.engine import Engine

# `series` rows are written anew about once an hour, and samples may arrive late: a selection errs on the side of more.
SEEN_SLACK_MS = 2 * 3_600_000
_TRUTH_TABLES = 256  # regular expressions remembered per label
_REGEX_SYNTAX = frozenset(r"\.+*?()[]{}^$")


@dataclass(frozen=True, slots=True)
class Column:
    """One label of n series: series i has the value ``values[codes[i]]``; code 0 is the empty string, label absent.

    `values` may grow behind the reader's back; the codes below its present length never change meaning.
    """

    codes: NDArray[np.int32]
    values: Sequence[str]


@dataclass(frozen=True, slots=True)
class Selection:
    """Series that may have samples in the time asked for: aligned fingerprints and label columns."""

    fps: NDArray[np.uint64]
    columns: Mapping[str, Column]
    metrics: tuple[str, ...]
    of: int  # how many series the index holds of these metrics

    def __len__(self) -> int:
        return len(self.fps)

    def only(self, rows: NDArray[np.int64]) -> Selection:
        """The series of those rows."""
        columns = {name: Column(column.codes[rows], column.values) for name, column in self.columns.items()}
        return Selection(self.fps[rows], columns, self.metrics, self.of)

    def labels(self) -> list[Labels]:
        """The label sets, aligned with `fps`."""
        names = list(self.columns)
        texts = [[column.values[code] for code in column.codes.tolist()] for column in self.columns.values()]
        return [Labels(zip(names, row, strict=True)) for row in zip(*texts, strict=True)]


class SeriesIndex:
    """Every series of one database. All methods may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._dictionaries: dict[str, _Dictionary] = {}
        self._metrics: dict[str, _Metric] = {}
        self._metric_names = _Dictionary()
        self._positions: dict[int, int] = {}
        self._fps = _Growing(np.uint64)
        self._first_ms = _Growing(np.int64)
        self._last_ms = _Growing(np.int64)
        self._sorted: tuple[NDArray[np.uint64], NDArray[np.int64]] | None = None

    @classmethod
    def load(cls, engine: Engine) -> SeriesIndex:
        """The index of what `engine` has in its table `series`."""
        index = cls()
        rows = engine.arrow(
            "SELECT fp, mapKeys(l) AS names, mapValues(l) AS texts, toUnixTimestamp64Milli(f) AS first_ms, "
            "toUnixTimestamp64Milli(t) AS last_ms FROM "
            "(SELECT fp, anyLast(labels) AS l, min(first_ts) AS f, max(last_ts) AS t FROM series GROUP BY metric, fp)"
        )
        names, texts = (_lists(rows.column(column)) for column in ("names", "texts"))
        fps, first, last = (rows.column(column).to_pylist() for column in ("fp", "first_ms", "last_ms"))
        for fp, keys, values, first_ms, last_ms in zip(fps, names, texts, first, last, strict=True):
            index._append(fp, zip(keys, values, strict=True), first_ms, last_ms)
        return index

    # -- what ingest tells ---------------------------------------------------------------------------------------

    def add(self, entries: Iterable[tuple[int, Labels, int]]) -> None:
        """Make series known: (fingerprint, labels with the metric name, first seen in Unix ms). Known ones are passed over."""
        with self._lock:
            for fp, labels, first_ms in entries:
                if fp not in self._positions:
                    self._append(fp, labels.pairs, first_ms, first_ms)

    def touch(self, fps: NDArray[np.uint64], last_ms: int, first_ms: int | None = None) -> None:
        """Samples of the series `fps` came in, of times `first_ms` (default `last_ms`) to `last_ms`; unknown ones are ignored."""
        with self._lock:
            positions = self._positions_of(fps)
            last, first = self._last_ms.view(), self._first_ms.view()
            last[positions] = np.maximum(last[positions], last_ms)
            first[positions] = np.minimum(first[positions], last_ms if first_ms is None else first_ms)

    def __contains__(self, fp: object) -> bool:
        return fp in self._positions

    def __len__(self) -> int:
        return len(self._positions)

    # -- what queries ask ----------------------------------------------------------------------------------------

    def select(self, matchers: Iterable[Matcher], start_ms: int, end_ms: int) -> Selection:
        """The series all `matchers` accept that may have samples from `start_ms` to `end_ms`."""
        named, others = _split(matchers)
        with self._lock:
            parts = []
            for metric in self._candidates(named):
                rows = self._rows(metric, others, start_ms, end_ms)
                if len(rows):
                    parts.append((metric, rows))
            return self._selection(parts)

    def metric_names(self) -> list[str]:
        """The names of all metrics, sorted."""
        with self._lock:
            return sorted(self._metrics)

    def label_names(
        self, matchers: Iterable[Matcher] = (), start_ms: int | None = None, end_ms: int | None = None
    ) -> list[str]:
        """The label names of the series selected (without times: of all times), sorted."""
        named, others = _split(matchers)
        found: set[str] = set()
        with self._lock:
            for metric in self._candidates(named):
                rows = self._rows(metric, others, start_ms, end_ms)
                if len(rows):
                    found.add(METRIC_NAME)
                    found.update(name for name in metric.columns if metric.codes(name)[rows].any())
        return sorted(found)

    def label_values(
        self, name: str, matchers: Iterable[Matcher] = (), start_ms: int | None = None, end_ms: int | None = None
    ) -> list[str]:
        """The values label `name` has in the series selected (without times: of all times), sorted."""
        named, others = _split(matchers)
        found: set[str] = set()
        with self._lock:
            values = self._dictionaries[name].values if name in self._dictionaries else []
            for metric in self._candidates(named):
                if name != METRIC_NAME and name not in metric.columns:
                    continue
                rows = self._rows(metric, others, start_ms, end_ms)
                if name == METRIC_NAME and len(rows):
                    found.add(metric.name)
                elif name != METRIC_NAME:
                    found.update(values[code] for code in np.unique(metric.codes(name)[rows]).tolist() if code)
        return sorted(found)

    # -- inside --------------------------------------------------------------------------------------------------

    def _append(self, fp: int, pairs: Iterable[tuple[str, str]], first_ms: int, last_ms: int) -> None:
        labels = dict(pairs)
        name = labels.pop(METRIC_NAME, "")
        metric = self._metrics.get(name)
        if metric is None:
            metric = self._metrics[name] = _Metric(name, self._metric_names.code(name))
        position = len(self._fps)
        self._fps.append(fp)
        self._first_ms.append(first_ms)
        self._last_ms.append(last_ms)
        self._positions[fp] = position
        row = len(metric.positions)
        metric.positions.append(position)
        for label, value in labels.items():
            dictionary = self._dictionaries.get(label)
            if dictionary is None:
                dictionary = self._dictionaries[label] = _Dictionary()
            metric.put(label, row, dictionary.code(value))

    def _candidates(self, named: Sequence[Matcher]) -> list[_Metric]:
        for matcher in named:
            if matcher.op is MatchOp.EQUAL:
                metric = self._metrics.get(matcher.value)
                return [metric] if metric and all(other.matches(metric.name) for other in named) else []
        if not named:
            return list(self._metrics.values())
        truth = self._metric_names.truth(named[0])
        for matcher in named[1:]:
            truth = truth & self._metric_names.truth(matcher)
        return [metric for metric in self._metrics.values() if truth[metric.code]]

    def _rows(
        self, metric: _Metric, matchers: Sequence[Matcher], start_ms: int | None, end_ms: int | None
    ) -> NDArray[np.int64]:
        mask = np.ones(len(metric.positions), dtype=bool)
        for matcher in matchers:
            if matcher.name not in metric.columns:
                if not matcher.matches(""):
                    return np.empty(0, dtype=np.int64)
                continue
            mask &= self._dictionaries[matcher.name].accepts(matcher, metric.codes(matcher.name))
        positions = metric.positions.view()
        if start_ms is not None:
            mask &= self._last_ms.view()[positions] >= start_ms - SEEN_SLACK_MS
        if end_ms is not None:
            mask &= self._first_ms.view()[positions] <= end_ms + SEEN_SLACK_MS
        return np.flatnonzero(mask)

    def _selection(self, parts: Sequence[tuple[_Metric, NDArray[np.int64]]]) -> Selection:
        fps = self._fps.view()
        chosen = [fps[metric.positions.view()[rows]] for metric, rows in parts]
        sizes = [len(rows) for _, rows in parts]
        columns = {METRIC_NAME: Column(_repeat([metric.code for metric, _ in parts], sizes), self._metric_names.values)}
        for label in sorted({name for metric, _ in parts for name in metric.columns}):
            codes = [
                metric.codes(label)[rows] if label in metric.columns else np.zeros(len(rows), dtype=np.int32)
                for metric, rows in parts
            ]
            columns[label] = Column(np.concatenate(codes), self._dictionaries[label].values)
        return Selection(
            fps=np.concatenate(chosen) if chosen else np.empty(0, dtype=np.uint64),
            columns=columns,
            metrics=tuple(metric.name for metric, _ in parts),
            of=sum(len(metric.positions) for metric, _ in parts),
        )

    def _positions_of(self, fps: NDArray[np.uint64]) -> NDArray[np.int64]:
        if len(fps) < 1000:  # below this the dictionary is faster than keeping the sorted copy fresh
            found = (self._positions.get(fp) for fp in fps.tolist())
            return np.array([position for position in found if position is not None], dtype=np.int64)
        if self._sorted is None or len(self._sorted[0]) != len(self._fps):
            order = np.argsort(self._fps.view(), kind="stable")
            self._sorted = (self._fps.view()[order], order)
        ordered, order = self._sorted
        slots = np.minimum(np.searchsorted(ordered, fps), max(0, len(ordered) - 1))
        return order[slots[ordered[slots] == fps]] if len(ordered) else np.empty(0, dtype=np.int64)


class _Growing:
    """An array that grows at its end in amortised constant time. A view stays valid, and stays as long as it was."""

    __slots__ = ("_array", "_size")

    def __init__(self, dtype: type[np.generic]) -> None:
        self._array: NDArray[Any] = np.zeros(16, dtype=dtype)
        self._size = 0

    def append(self, value: int) -> None:
        self.put(self._size, value)

    def put(self, at: int, value: int) -> None:
        """Set place `at`; places never set are zero."""
        self.reach(at + 1)
        self._array[at] = value

    def reach(self, size: int) -> None:
        if size > len(self._array):
            bigger = np.zeros(max(size, 2 * len(self._array)), dtype=self._array.dtype)
            bigger[: len(self._array)] = self._array
            self._array = bigger
        self._size = max(self._size, size)

    def view(self) -> NDArray[Any]:
        return self._array[: self._size]

    def __len__(self) -> int:
        return self._size


class _Metric:
    """The series of one metric: where each stands in the index, and its labels as columns of codes."""

    __slots__ = ("code", "columns", "name", "positions")

    def __init__(self, name: str, code: int) -> None:
        self.name, self.code = name, code
        self.positions = _Growing(np.int64)
        self.columns: dict[str, _Growing] = {}

    def put(self, label: str, row: int, code: int) -> None:
        column = self.columns.get(label)
        if column is None:
            column = self.columns[label] = _Growing(np.int32)
        column.put(row, code)

    def codes(self, label: str) -> NDArray[np.int32]:
        column = self.columns[label]
        column.reach(len(self.positions))
        return column.view()


class _Dictionary:
    """The values of one label, coded 0, 1, 2 … in order of appearance; code 0 is the empty string."""

    __slots__ = ("_codes", "_truths", "values")

    def __init__(self) -> None:
        self.values: list[str] = [""]
        self._codes: dict[str, int] = {"": 0}
        self._truths: dict[tuple[bool, str], NDArray[np.bool_]] = {}

    def code(self, value: str) -> int:
        code = self._codes.get(value)
        if code is None:
            code = self._codes[value] = len(self.values)
            self.values.append(value)
        return code

    def accepts(self, matcher: Matcher, codes: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Which of `codes` stand for values the matcher accepts."""
        if matcher.op is MatchOp.EQUAL:
            return np.equal(codes, self._codes.get(matcher.value, -1))
        if matcher.op is MatchOp.NOT_EQUAL:
            return np.not_equal(codes, self._codes.get(matcher.value, -1))
        return self.truth(matcher)[codes]

    def truth(self, matcher: Matcher) -> NDArray[np.bool_]:
        """For every code whether the matcher accepts its value. Regular expressions are evaluated once per value ever."""
        if matcher.op in (MatchOp.EQUAL, MatchOp.NOT_EQUAL):
            return self.accepts(matcher, np.arange(len(self.values), dtype=np.int32))
        found = self._regex_truth(matcher.value)
        return found if matcher.op is MatchOp.REGEX else ~found

    def _regex_truth(self, pattern: str) -> NDArray[np.bool_]:
        key = (True, pattern)
        known = self._truths.pop(key, None)
        seen = 0 if known is None else len(known)
        if known is None or seen < len(self.values):
            fresh = _full_matches(pattern, self.values[seen:])
            known = fresh if known is None else np.concatenate([known, fresh])
        self._truths[key] = known  # put back last: the first in the dictionary is the one longest unused
        while len(self._truths) > _TRUTH_TABLES:
            del self._truths[next(iter(self._truths))]
        return known


def _full_matches(pattern: str, values: Sequence[str]) -> NDArray[np.bool_]:
    """For each value whether `pattern` (RE2, anchored at both ends) matches it; BadInput when it is no regex."""
    program = compiled(pattern)
    if not _REGEX_SYNTAX.intersection(pattern):
        # What dashboards send for a multi-select: a|b|c, no syntax but the alternation.
        wanted = set(pattern.split("|"))
        return np.fromiter((value in wanted for value in values), dtype=bool, count=len(values))
    if len(values) < 64:
        return np.fromiter((program.fullmatch(value) is not None for value in values), dtype=bool, count=len(values))
    # Arrow runs the same RE2 over all values in one call, about ten times faster than one call a value.
    matched = pc.match_substring_regex(pa.array(values, type=pa.string()), rf"\A(?s:{pattern})\z")
    return np.asarray(matched.to_numpy(zero_copy_only=False), dtype=bool)


def _split(matchers: Iterable[Matcher]) -> tuple[list[Matcher], list[Matcher]]:
    """Matchers of the metric name, and the others with the cheap ones first."""
    given = list(matchers)
    others = [matcher for matcher in given if matcher.name != METRIC_NAME]
    others.sort(key=lambda matcher: matcher.op not in (MatchOp.EQUAL, MatchOp.NOT_EQUAL))
    return [matcher for matcher in given if matcher.name == METRIC_NAME], others


def _repeat(codes: Sequence[int], sizes: Sequence[int]) -> NDArray[np.int32]:
    return np.repeat(np.array(codes, dtype=np.int32), sizes)


def _lists(column: pa.ChunkedArray) -> list[list[str]]:
    """A column of lists of strings as Python lists; flattened first, which is several times faster than to_pylist."""
    lists = column.combine_chunks()
    texts = lists.flatten().to_pylist()
    ends = np.cumsum(pc.list_value_length(lists).to_numpy(zero_copy_only=False)).tolist()
    return [texts[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)] if ends else []
