"""Samples out of the store: what stands behind every PromQL leaf.

In: a selection of series, a time window or a grid of steps. Out: raw samples and native histograms as arrays, one value a
series and step, and what goes with samples: exemplars and metadata. Which rows are read is conditions.py's, what
ClickHouse computes of them grids.py's; which series exist is left to series.py.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from aiprism.errors import LimitExceeded, TimedOut, Unavailable
from aiprism.model.histograms import Buckets, NativeHistogram, ResetHint
from aiprism.model.labels import Labels, Matcher
from aiprism.model.samples import STALE_NAN_BITS
from aiprism.store import grids
from aiprism.store.columns import Floats, Ints
from aiprism.store.conditions import relation, rows_of, rows_where, series_where
from aiprism.store.decimals import joined
from aiprism.store.engine import Engine
from aiprism.store.grids import Combine, GridFunction, GridValues, Steps
from aiprism.store.question import Question, Statement
from aiprism.store.recent import Recent, Whose
from aiprism.store.rollups import Rollups, Shape, Source
from aiprism.store.runs import Runs
from aiprism.store.series import Selection, SeriesIndex

# Samples are kept of whole metrics when a query wants this share of their series, or when they have no more than so many;
# otherwise of just the series it wants.
_KEPT_SHARE, _KEPT_ANYWAY = 8, 256
# Of a metric that is asked for in many parts all of it is kept when that is about so many samples at most.
_KEPT_WHOLE, _USUAL_INTERVAL_MS = 1_000_000, 15_000
_HISTOGRAM = (
    "schema", "count", "sum", "zero_threshold", "zero_count", "positive_offsets", "positive_lengths", "positive_counts",
    "negative_offsets", "negative_lengths", "negative_counts", "custom_values", "reset_hint",
)  # fmt: skip
SENT = Source((), Shape.POINTS, 0)  # samples as they were sent
_TIMEOUT_EXCEEDED = 159  # ClickHouse's number for a statement that ran longer than max_execution_time


@dataclass(frozen=True, slots=True)
class RawSamples:
    """Samples of some series of a selection: series ``rows[i]`` has those from ``offsets[i]`` up to ``offsets[i + 1]``."""

    rows: Ints
    offsets: Ints
    ts_ms: Ints
    values: Floats
    clock: Ints | None = None  # of each series the first one with exactly the same times, where that is known


@dataclass(frozen=True, slots=True)
class RawHistograms:
    """Native histograms of some series of a selection, laid out as `RawSamples`."""

    rows: Ints
    offsets: Ints
    ts_ms: Ints
    histograms: Sequence[NativeHistogram]


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a sender said of a metric."""

    metric: str
    type: str
    help: str
    unit: str


@dataclass(frozen=True, slots=True)
class Exemplar:
    """One example measurement of a series, usually with the trace it was taken in."""

    row: int
    labels: Labels
    value: float
    ts_ms: int


class SampleStore:
    """Reads samples. Every method blocks and may be called from any thread; a `question` bounds the run time of its
    statements and may be given up."""

    def __init__(
        self, engine: Engine, index: SeriesIndex, rollups: Rollups | None = None, recent: Recent | None = None
    ) -> None:
        self.engine, self.index, self._rollups, self.kept = engine, index, rollups, recent
        if recent:
            index.keep(recent)

    def select(self, matchers: Iterable[Matcher], start_ms: int, end_ms: int) -> Selection:
        """The series all `matchers` accept that may have samples from `start_ms` to `end_ms`."""
        return self.index.select(matchers, start_ms, end_ms)

    def source(self, function: str, steps: Steps, window_ms: int) -> Source:
        """Where samples for a PromQL function over windows that end at `steps` are to be read from."""
        if self._rollups is None:
            return Source((), Shape.POINTS, window_ms)
        return self._rollups.source(function, steps.start_ms, steps.step_ms, steps.count, window_ms)

    def as_sent(self, function: str, steps: Steps, window_ms: int) -> bool:
        """True when `source` would give nothing that is downsampled."""
        if self._rollups is None:
            return True
        return not self._rollups.choice(function, steps.start_ms, steps.step_ms, steps.count, window_ms).rolled

    def raw(
        self,
        selection: Selection,
        after_ms: int,
        until_ms: int,
        *,
        stale: bool,
        limit: int,
        question: Question,
        source: Source = SENT,
        exact: bool = False,
    ) -> RawSamples:
        """The samples in (after, until], a time at most once a series; staleness markers only when `stale`.

        Raises LimitExceeded when more than `limit` are read: of these series alone when `exact`, else perhaps of a few
        other ones of their metrics, which is faster than a long list of series.
        """
        if not len(selection) or after_ms >= until_ms:
            nothing = np.empty(0, dtype=np.int64)
            return RawSamples(nothing, np.zeros(1, dtype=np.int64), nothing, np.empty(0, dtype=np.float64))
        where, parameters = rows_where(selection, after_ms, until_ms, stale=stale, always_list=exact)
        samples = relation(selection, source, after_ms, until_ms)
        table = self._arrow(
            f"SELECT fp, toUnixTimestamp64Milli(ts) AS t, value FROM {samples} WHERE {where} "
            f"ORDER BY metric, fp, ts LIMIT {int(limit) + 1}",
            parameters,
            question,
        )
        if table.num_rows > limit:
            raise LimitExceeded(
                f"the query reads more than {limit} samples (limit max_samples); narrow it in time or labels"
            )
        return _grouped(selection, *(_column(table, name) for name in ("fp", "t", "value")))

    def recent(
        self, selection: Selection, after_ms: int, until_ms: int, *, stale: bool, limit: int, question: Question
    ) -> RawSamples | None:
        """As `raw`, of what is kept in memory, with samples before and after that time; None when nothing is kept of it."""
        if self.kept is None or not len(selection) or len(selection.metrics) != 1 or after_ms >= until_ms:
            return None
        first, last = selection.corrected_ms or (until_ms, after_ms)
        if last > after_ms and first <= until_ms:
            return None
        whole = Whose(selection.metrics[0])
        few = len(selection) * _KEPT_SHARE < selection.of and selection.of > _KEPT_ANYWAY
        most = min(limit, self.kept.most_samples)

        def kept(part: Selection | None) -> Runs | None:
            assert self.kept is not None
            return self.kept.fetch(
                whole if part is None else Whose(whole.metric, part.fps.tobytes()),
                after_ms,
                until_ms,
                most=most,
                read=lambda *span: self._runs(whole.metric, part, span, most, question),
            )

        if not few:
            runs = kept(None)
        else:
            # What is kept of all series serves those of whom few are asked for, too.
            runs = self.kept.get(whole, after_ms, until_ms)
            samples = selection.of * (until_ms - after_ms) // _USUAL_INTERVAL_MS
            if runs is None and samples <= _KEPT_WHOLE and self.kept.asked_in_parts(whole.metric):
                runs = kept(None)
            if runs is None:
                runs = kept(selection)
        found = None if runs is None else _of_runs(selection, runs, after_ms, until_ms, stale=stale)
        return None if found is None or len(found.ts_ms) > limit else found

    def _runs(
        self, metric: str, chosen: Selection | None, span: tuple[int, int], most: int, question: Question
    ) -> Runs | None:
        """The samples in (after, until] of some series of a metric, or of all; None when they are more than `most`."""
        where, parameters = "metric = {metric:String}", {"metric": metric, "after": span[0], "until": span[1]}
        if chosen is not None:
            where, listed = series_where(chosen, always_list=True)
            parameters |= listed
        # Few rows: threads would take longer to begin than to read. Two columns make a value; the alias is slow to plan.
        table = self._arrow(
            f"SELECT fp, toUnixTimestamp64Milli(ts) AS t, scaled, unscaled FROM samples WHERE {where} "
            "AND ts > fromUnixTimestamp64Milli({after:Int64}, 'UTC') AND ts <= fromUnixTimestamp64Milli({until:Int64}, 'UTC') "
            f"ORDER BY metric, fp, ts LIMIT {most + 1}",
            parameters,
            question,
            threads=0 if chosen is None else 1,
        )
        if table.num_rows > most:
            return None
        fps, ts_ms, scaled, unscaled = (_column(table, name) for name in ("fp", "t", "scaled", "unscaled"))
        return Runs.of(*_distinct(fps, ts_ms, joined(scaled, unscaled)))

    def grid(
        self,
        selection: Selection,
        function: GridFunction,
        steps: Steps,
        window_ms: int,
        *,
        question: Question,
        argument: float | None = None,
        source: Source = SENT,
    ) -> GridValues:
        """`function` of each series over (step - window, step] at each step; series without any value are left out."""
        if not len(selection):
            return grids.nothing(steps)
        if source.rolled and function is GridFunction.AVG:
            return self._rolled_average(selection, steps, window_ms, question, source)
        sql, parameters = grids.statement(selection, function, steps, window_ms, argument, source)
        return grids.of_each(selection, function, steps, self._arrow(sql, parameters, question))

    def combined_grid(
        self,
        selection: Selection,
        function: GridFunction,
        combine: Combine,
        steps: Steps,
        window_ms: int,
        *,
        question: Question,
        argument: float | None = None,
        source: Source = SENT,
    ) -> GridValues:
        """As `grid`, folded over all series by `combine` into at most one row (number 0)."""
        if not len(selection):
            return grids.nothing(steps)
        sql, parameters = grids.folded_statement(selection, function, combine, steps, window_ms, argument, source)
        return grids.of_all(function, steps, self._arrow(sql, parameters, question))

    def histograms(
        self, selection: Selection, after_ms: int, until_ms: int, *, limit: int, question: Question
    ) -> RawHistograms:
        """The native histograms in (after, until], staleness markers too. Raises LimitExceeded when more than `limit`."""
        nothing = np.empty(0, dtype=np.int64)
        if not len(selection) or after_ms >= until_ms:
            return RawHistograms(nothing, np.zeros(1, dtype=np.int64), nothing, ())
        where, parameters = rows_where(selection, after_ms, until_ms, stale=True, always_list=True)
        table = self._arrow(
            f"SELECT fp, toUnixTimestamp64Milli(ts) AS t, {', '.join(_HISTOGRAM)} FROM histograms FINAL WHERE {where} "
            f"ORDER BY metric, fp, ts LIMIT {int(limit) + 1}",
            parameters,
            question,
        )
        if table.num_rows > limit:
            raise LimitExceeded(
                f"the query reads more than {limit} histograms (limit max_samples); narrow it in time or labels"
            )
        if not table.num_rows:
            return RawHistograms(nothing, np.zeros(1, dtype=np.int64), nothing, ())
        fps = _column(table, "fp")
        starts = np.flatnonzero(np.concatenate([[True], fps[1:] != fps[:-1]]))
        offsets = np.append(starts, len(fps)).astype(np.int64)
        return RawHistograms(rows_of(selection, fps[starts]), offsets, _column(table, "t"), _histograms(table))

    def newest_histograms(self, selection: Selection, after_ms: int, until_ms: int, *, question: Question) -> Ints:
        """When the newest native histogram of each series in (after, until] was, staleness markers too; `after` where there
        is none."""
        newest = np.full(len(selection), after_ms, dtype=np.int64)
        if selection.native is None or after_ms >= until_ms:
            return newest
        places = np.flatnonzero(selection.native)
        some = selection.only(places)
        where, parameters = rows_where(some, after_ms, until_ms, stale=True, always_list=True)
        table = self._arrow(
            f"SELECT fp, max(toUnixTimestamp64Milli(ts)) AS t FROM histograms WHERE {where} GROUP BY fp ORDER BY fp",
            parameters,
            question,
        )
        newest[places[rows_of(some, _column(table, "fp"))]] = _column(table, "t")
        return newest

    def last_values(self, series: Sequence[tuple[str, int]], since_ms: int) -> dict[int, float]:
        """The newest value since then, staleness markers aside, of each series given as (metric, fingerprint)."""
        rows = self.engine.query(
            "SELECT fp, argMax(value, ts) FROM samples WHERE metric IN {metrics:Array(String)} "
            "AND fp IN {fps:Array(UInt64)} AND ts > fromUnixTimestamp64Milli({since:Int64}, 'UTC') "
            f"AND reinterpretAsUInt64(value) != {STALE_NAN_BITS} GROUP BY fp",
            {
                "metrics": sorted({metric for metric, _ in series}),
                "fps": f"[{','.join(str(fp) for _, fp in series)}]",
                "since": since_ms,
            },
        )
        return {row[0]: row[1] for row in rows}

    def _rolled_average(
        self, selection: Selection, steps: Steps, window_ms: int, question: Question, source: Source
    ) -> GridValues:
        sums, counts = (
            self.grid(selection, function, steps, window_ms, question=question, source=source.with_shape(shape))
            for function, shape in ((GridFunction.SUM, Shape.SUM), (GridFunction.COUNT, Shape.COUNT))
        )
        return grids.averages(sums, counts)

    def metadata(self, metric: str = "") -> list[Metadata]:
        """What is known of `metric`, or of every metric, newest word first."""
        rows = self.engine.query(
            "SELECT metric, type, help, unit FROM metric_metadata WHERE {metric:String} IN ('', metric) "
            "GROUP BY metric, type, help, unit ORDER BY metric, max(seen) DESC",
            {"metric": metric},
        )
        return [Metadata(*row) for row in rows]

    def exemplars(self, selection: Selection, start_ms: int, end_ms: int, *, limit: int = 10_000) -> list[Exemplar]:
        """Exemplars of the selected series from `start_ms` to `end_ms`, by series and time."""
        if not len(selection):
            return []
        where, parameters = rows_where(selection, start_ms - 1, end_ms, stale=True, always_list=True)
        rows = self.engine.query(
            "SELECT fp, toUnixTimestamp64Milli(ts), value, lower(hex(trace_id)), lower(hex(span_id)), labels "
            f"FROM exemplars WHERE {where} ORDER BY metric, fp, ts LIMIT {int(limit)}",
            parameters,
        )
        row_of = {fp: row for row, fp in enumerate(selection.fps.tolist())}
        return [
            Exemplar(row_of[fp], _exemplar_labels(labels, trace_id, span_id), value, ts_ms)
            for fp, ts_ms, value, trace_id, span_id, labels in rows
        ]

    def _arrow(self, sql: str, parameters: Mapping[str, Any], question: Question, *, threads: int = 0) -> pa.Table:
        seconds = question.left()
        # ClickHouse takes no parameter in SETTINGS; these are numbers and words of ours.
        bounded = f"{sql} SETTINGS max_execution_time = {max(seconds, 0.001):.3f}"
        if question.mark:
            bounded += f", log_comment = '{question.mark}'"
        if threads:
            bounded += f", max_threads = {threads}"
        began = time.perf_counter()
        try:
            table = self.engine.arrow(bounded, parameters)
        except Unavailable as error:
            if getattr(error.__cause__, "code", None) == _TIMEOUT_EXCEEDED:
                raise TimedOut(
                    f"reading samples took longer than the {seconds:.1f} s left to the query (limit timeout)"
                ) from error
            question.left()  # Cancelled, when that is why the statement was ended
            raise
        if question.noted:
            question.noted(Statement(sql, parameters, table.num_rows, table.nbytes, time.perf_counter() - began))
        return table

    def estimate(self, statement: Statement) -> tuple[int, int] | None:
        """About how many rows of how many parts `statement` reads: those of the granules its keys lead to. None on a cluster,
        where the node that is asked knows only its own."""
        if self.engine.cluster:
            return None
        rows = self.engine.query(f"EXPLAIN ESTIMATE {statement.sql}", statement.parameters)
        return sum(row[3] for row in rows), sum(row[2] for row in rows)


def one_after_another(parts: Sequence[RawSamples]) -> RawSamples:
    """All those series, numbered on."""
    series, samples = (np.cumsum([0, *(len(getattr(part, each)) for part in parts)]) for each in ("rows", "ts_ms"))
    clocks = [part.clock for part in parts if part.clock is not None]
    return RawSamples(
        np.arange(series[-1]),
        np.concatenate([[0], *(part.offsets[1:] + at for part, at in zip(parts, samples, strict=False))]),
        np.concatenate([part.ts_ms for part in parts]),
        np.concatenate([part.values for part in parts]),
        np.concatenate([clock + at for clock, at in zip(clocks, series, strict=False)])
        if len(clocks) == len(parts)
        else None,
    )


def _of_runs(selection: Selection, runs: Runs, after_ms: int, until_ms: int, *, stale: bool) -> RawSamples:
    """The series of a selection out of those of its metric."""
    order, fps = selection.ascending()
    places = np.searchsorted(runs.fps, fps)
    there = np.flatnonzero(runs.fps.take(places, mode="clip") == fps) if len(runs.fps) else order[:0]
    part = runs.part(places[there], after_ms, until_ms)
    part = part if stale else part.without_markers()
    rows = order[there[np.searchsorted(fps[there], part.fps)]]
    return RawSamples(rows, part.offsets, part.ts_ms, part.values, part.clock)


def _distinct(fps: NDArray[np.uint64], ts_ms: Ints, values: Floats) -> tuple[NDArray[np.uint64], Ints, Floats]:
    """Samples ordered by series and time, one a time: the greatest value."""
    repeated = (ts_ms[1:] == ts_ms[:-1]) & (fps[1:] == fps[:-1])
    if not repeated.any():
        return fps, ts_ms, values
    # Sent twice; the grid functions choose the same, NaN loses to any number.
    distinct = np.flatnonzero(np.concatenate([[True], ~repeated]))
    return fps[distinct], ts_ms[distinct], np.fmax.reduceat(values, distinct)


def _grouped(selection: Selection, fps: NDArray[np.uint64], ts_ms: Ints, values: Floats) -> RawSamples:
    """Samples ordered by series and time, as series of the selection; of samples with one time the greatest value."""
    fps, ts_ms, values = _distinct(fps, ts_ms, values)
    starts = np.flatnonzero(np.concatenate([[True], fps[1:] != fps[:-1]])) if len(fps) else np.empty(0, dtype=np.int64)
    sizes = np.diff(np.append(starts, len(fps)))
    rows = rows_of(selection, fps[starts])
    wanted = rows >= 0
    if not wanted.all():
        keep = np.repeat(wanted, sizes)
        ts_ms, values, rows, sizes = ts_ms[keep], values[keep], rows[wanted], sizes[wanted]
    return RawSamples(rows, np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64), ts_ms, values)


def _histograms(table: pa.Table) -> list[NativeHistogram]:
    # Sums through numpy, which keeps the bits of the staleness marker.
    columns = [
        _column(table, name).tolist() if name == "sum" else table.column(name).to_pylist() for name in _HISTOGRAM
    ]
    made = []
    for schema, count, total, threshold, zeros, *sides, custom, hint in zip(*columns, strict=True):
        positive, negative = (Buckets(*(tuple(column) for column in sides[at : at + 3])) for at in (0, 3))
        made.append(
            NativeHistogram(schema, count, total, threshold, zeros, positive, negative, tuple(custom), ResetHint(hint))
        )
    return made


def _column(table: pa.Table, name: str) -> NDArray[Any]:
    found: NDArray[Any] = table.column(name).to_numpy()
    return found


def _exemplar_labels(labels: Sequence[tuple[str, str]] | Mapping[str, str], trace_id: str, span_id: str) -> Labels:
    known = dict(labels)
    for name, text in (("trace_id", trace_id), ("span_id", span_id)):
        if text.strip("0"):
            known.setdefault(name, text)
    return Labels(known)
