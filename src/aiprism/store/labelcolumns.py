"""The labels of series in columns: one table a metric, each value coded by a dictionary its label shares over all metrics.

In: the label sets of series, one by one or many at once; each gets the next position. Out: metrics that a matcher of names
accepts, with a truth table over a dictionary looked up by a column of codes for every other matcher, and label sets. When a
series was seen, and who may see it, is left to series.py; none of this locks.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from aiprism.model.labels import METRIC_NAME, Matcher, MatchOp
from aiprism.store.cardinality import LabelCounts
from aiprism.store.columns import Bools, Dictionary, Growing, Ints


@dataclass(frozen=True, slots=True)
class Column:
    """One label of n series: series i has the value ``values[codes[i]]``; code 0 is the empty string, label absent.

    `values` may grow behind the reader's back; the codes below its present length never change meaning.
    """

    codes: NDArray[np.int32]
    values: Sequence[str]


class MetricLabels:
    """The series of one metric: where each stands in the index, and its labels as columns of codes."""

    __slots__ = ("code", "columns", "name", "positions")

    def __init__(self, name: str, code: int) -> None:
        self.name, self.code = name, code
        self.positions = Growing(np.int64)
        self.columns: dict[str, Growing] = {}

    def put(self, label: str, row: int, code: int) -> None:
        column = self.columns.get(label)
        if column is None:
            column = self.columns[label] = Growing(np.int32)
        column.put(row, code)

    def fill(self, label: str, rows: NDArray[np.int32], codes: NDArray[np.int32]) -> None:
        column = self.columns[label] = Growing(np.int32)
        column.reach(len(self.positions))
        column.view()[rows] = codes

    def codes(self, label: str) -> NDArray[np.int32]:
        column = self.columns[label]
        column.reach(len(self.positions))
        return column.view()


class LabelColumns:
    """The label sets of series, by position."""

    def __init__(self) -> None:
        self.names = Dictionary()  # of metrics
        self._dictionaries: dict[str, Dictionary] = {}
        self._metrics: dict[str, MetricLabels] = {}
        self._codes = Growing(np.int32)  # of the metric
        self._rows = Growing(np.int32)  # where in its metric's columns

    # -- in ------------------------------------------------------------------------------------------------------

    def append(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Add one series at the end."""
        labels = dict(pairs)
        name = labels.pop(METRIC_NAME, "")
        metric = self._metrics.get(name)
        if metric is None:
            metric = self._metrics[name] = MetricLabels(name, self.names.code(name))
        self.names.use(name)
        row = len(metric.positions)
        metric.positions.append(len(self._codes))
        self._codes.append(metric.code)
        self._rows.append(row)
        for label, value in labels.items():
            dictionary = self._dictionaries.get(label)
            if dictionary is None:
                dictionary = self._dictionaries[label] = Dictionary()
            metric.put(label, row, dictionary.use(value))

    def append_all(self, rows: pa.Table) -> None:
        """Add all series when there are none yet: no Python object is made but for each distinct value.

        `rows` holds the metric and lists of names and texts; a million series take about two seconds, one by one half a minute.
        """
        coded = rows.column("metric").combine_chunks().dictionary_encode()
        of_metric = coded.indices.to_numpy()
        order = np.argsort(of_metric, kind="stable")
        row_in_metric = np.empty(len(order), dtype=np.int32)
        for at, name in _groups(of_metric[order], coded.dictionary):
            metric = self._metrics[name] = MetricLabels(name, self.names.code(name))
            self.names.use(name, len(order[at]))
            metric.positions.extend(order[at])
            row_in_metric[order[at]] = np.arange(len(order[at]))
        codes = np.array([self._metrics[name].code for name in coded.dictionary.to_pylist()], dtype=np.int32)
        self._codes.extend(codes[of_metric])
        self._rows.extend(row_in_metric)
        lists = rows.column("names").combine_chunks()
        owners = np.repeat(np.arange(len(lists)), pc.list_value_length(lists).to_numpy())
        labels = lists.flatten().dictionary_encode()
        texts = rows.column("texts").combine_chunks().flatten()
        of_label = labels.indices.to_numpy()
        by_label = np.lexsort((of_metric[owners], of_label))
        for at, label in _groups(of_label[by_label], labels.dictionary):
            if label != METRIC_NAME:
                self._fill(label, owners[by_label[at]], texts.take(pa.array(by_label[at])), of_metric, coded.dictionary)

    def _fill(self, label: str, owners: Ints, texts: pa.Array, of_metric: NDArray[np.int32], metrics: pa.Array) -> None:
        """Set `label` of the series `owners`, which come ordered by metric, to `texts`."""
        dictionary = self._dictionaries[label] = Dictionary()
        coded = texts.dictionary_encode()
        uses = np.bincount(coded.indices.to_numpy(), minlength=len(coded.dictionary))
        codes = dictionary.use_all(coded.dictionary, uses)[coded.indices.to_numpy()]
        for at, name in _groups(of_metric[owners], metrics):
            self._metrics[name].fill(label, self._rows.view()[owners[at]], codes[at])

    # -- out -----------------------------------------------------------------------------------------------------

    def candidates(self, named: Sequence[Matcher]) -> list[MetricLabels]:
        """The metrics whose name all of `named` accept."""
        for matcher in named:
            if matcher.op is MatchOp.EQUAL:
                metric = self._metrics.get(matcher.value)
                return [metric] if metric and all(other.matches(metric.name) for other in named) else []
        if not named:
            return list(self._metrics.values())
        truth = self.names.truth(named[0])
        for matcher in named[1:]:
            truth = truth & self.names.truth(matcher)
        return [metric for metric in self._metrics.values() if truth[metric.code]]

    def accepted(self, metric: MetricLabels, matchers: Sequence[Matcher], first: int = 0) -> Bools | None:
        """Which series of `metric`, from its row `first` on, all `matchers` accept; None when none can be."""
        mask = np.ones(len(metric.positions) - first, dtype=bool)
        for matcher in matchers:
            if matcher.name in metric.columns:
                mask &= self._dictionaries[matcher.name].accepts(matcher, metric.codes(matcher.name)[first:])
            elif not matcher.matches(""):
                return None
        return mask

    def columns(self, parts: Sequence[tuple[MetricLabels, Ints]]) -> Mapping[str, Column]:
        """The labels of some series of some metrics, given by their rows, one part after the other."""
        sizes = [len(rows) for _, rows in parts]
        columns = {METRIC_NAME: Column(_repeat([metric.code for metric, _ in parts], sizes), self.names.values)}
        for label in sorted({name for metric, _ in parts for name in metric.columns}):
            codes = [
                metric.codes(label)[rows] if label in metric.columns else np.zeros(len(rows), dtype=np.int32)
                for metric, rows in parts
            ]
            columns[label] = Column(np.concatenate(codes), self._dictionaries[label].values)
        return columns

    def values(self, label: str) -> Sequence[str]:
        """The values of a label by code."""
        return self._dictionaries[label].values if label in self._dictionaries else []

    def metric(self, name: str) -> MetricLabels | None:
        """The metric of that name, None where no series is of it."""
        return self._metrics.get(name)

    def codes(self, positions: Ints) -> NDArray[np.int32]:
        """The metrics of those series, by code."""
        found: NDArray[np.int32] = self._codes.view()[positions]
        return found

    def metrics(self, positions: Ints) -> pa.DictionaryArray:
        """Their metric names, coded by a dictionary of just these."""
        codes = self.codes(positions)
        used = np.zeros(len(self.names.values), dtype=bool)
        used[codes] = True
        place = np.cumsum(used, dtype=np.int32) - 1
        names = [self.names.values[code] for code in np.flatnonzero(used).tolist()]
        return pa.DictionaryArray.from_arrays(pa.array(place[codes]), pa.array(names, pa.string()))

    def labels(self, positions: Ints) -> list[tuple[tuple[str, str], ...]]:
        """Their label sets as sorted (name, value) pairs."""
        found: list[tuple[tuple[str, str], ...]] = [()] * len(positions)
        for metric, at in self._by_metric(positions):
            rows = self._rows.view()[positions[at]]
            names = sorted([*metric.columns, METRIC_NAME])
            texts = [
                [metric.name] * len(at)
                if name == METRIC_NAME
                else list(map(self._dictionaries[name].values.__getitem__, metric.codes(name)[rows].tolist()))
                for name in names
            ]
            for place, row in zip(at.tolist(), zip(*texts, strict=True), strict=True):
                found[place] = tuple(pair for pair in zip(names, row, strict=True) if pair[1])
        return found

    def counts(self) -> list[LabelCounts]:
        """How often each value of each label is used."""
        dictionaries = {METRIC_NAME: self.names, **self._dictionaries}
        return [
            LabelCounts(name, each.values, each.uses.view().copy(), each.used_bytes)
            for name, each in dictionaries.items()
        ]

    def _by_metric(self, positions: Ints) -> Iterator[tuple[MetricLabels, Ints]]:
        """Each metric of those series with where in `positions` its series are."""
        codes = self.codes(positions)
        order = np.argsort(codes, kind="stable")
        edges = np.flatnonzero(np.diff(codes[order], prepend=-1, append=-1))
        for start, end in itertools.pairwise(edges.tolist()):
            yield self._metrics[self.names.values[codes[order[start]]]], order[start:end]


def _repeat(codes: Sequence[int], sizes: Sequence[int]) -> NDArray[np.int32]:
    return np.repeat(np.array(codes, dtype=np.int32), sizes)


def _groups(ordered: NDArray[np.int32], names: pa.Array) -> Iterator[tuple[slice, str]]:
    """Where in `ordered` the places of each code are, and what the code stands for."""
    edges = np.flatnonzero(np.diff(ordered, prepend=-1, append=-1))
    for start, end in itertools.pairwise(edges.tolist()):
        yield slice(start, end), names[int(ordered[start])].as_py()
