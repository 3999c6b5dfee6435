"""Samples out of the store: the SQL behind every PromQL leaf.

In: a selection of series, a time window or a grid of steps. Out: raw samples as arrays, or one value a series and step
computed by ClickHouse's ``timeSeries…ToGrid`` functions, whose windows are open on the left as in Prometheus 3. A stored
NaN is a value; "no value" is told apart by a mask, and the staleness marker ends a series. What the numbers mean is
left to query/promql; which series exist to series.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from aiprism.errors import LimitExceeded, TimedOut, Unavailable
from aiprism.model.histograms import Buckets, NativeHistogram, ResetHint
from aiprism.model.labels import Labels, Matcher
from aiprism.model.samples import STALE_NAN_BITS
from aiprism.store.corrections import corrected
from aiprism.store.decimals import joined
from aiprism.store.engine import Engine
from aiprism.store.recent import Recent, Runs, Whose, places
from aiprism.store.rollups import Rollups, Shape, Source
from aiprism.store.series import Selection, SeriesIndex

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

# A list of fingerprints in the statement costs about 3 µs each; reading a metric's other series costs more beyond these.
_LIST_AT_MOST = 64
_LIST_SHARE = 8
# Samples are kept of whole metrics when a query wants this share of their series, or when they have no more than so many;
# otherwise of just the series it wants.
_KEPT_SHARE, _KEPT_ANYWAY = 8, 256
_HISTOGRAM = (
    "schema", "count", "sum", "zero_threshold", "zero_count", "positive_offsets", "positive_lengths", "positive_counts",
    "negative_offsets", "negative_lengths", "negative_counts", "custom_values", "reset_hint",
)  # fmt: skip
SENT = Source((), Shape.POINTS, 0)  # samples as they were sent
_TIMEOUT_EXCEEDED = 159  # ClickHouse's number for a statement that ran longer than max_execution_time


@dataclass(frozen=True, slots=True)
class Steps:
    """Evaluation times: `count` of them from `start_ms`, `step_ms` apart, Unix milliseconds."""

    start_ms: int
    step_ms: int
    count: int

    @property
    def end_ms(self) -> int:
        return self.start_ms + (self.count - 1) * self.step_ms

    def times_ms(self) -> Ints:
        return np.arange(self.count, dtype=np.int64) * self.step_ms + self.start_ms


class GridFunction(Enum):
    """What ClickHouse can compute of each series on a grid; the value is its function's name."""

    LATEST = "timeSeriesLastToGrid"  # the newest sample, nothing once the series has been marked stale
    LAST = "timeSeriesResampleToGridWithStaleness"
    RATE = "timeSeriesRateToGrid"
    INCREASE = "timeSeriesIncreaseToGrid"
    DELTA = "timeSeriesDeltaToGrid"
    IRATE = "timeSeriesInstantRateToGrid"
    IDELTA = "timeSeriesInstantDeltaToGrid"
    DERIV = "timeSeriesDerivToGrid"
    PREDICT_LINEAR = "timeSeriesPredictLinearToGrid"
    CHANGES = "timeSeriesChangesToGrid"
    RESETS = "timeSeriesResetsToGrid"
    SUM = "timeSeriesSumToGrid"
    AVG = "timeSeriesAvgToGrid"
    MIN = "timeSeriesMinToGrid"
    MAX = "timeSeriesMaxToGrid"
    COUNT = "timeSeriesCountToGrid"


# ClickHouse takes the correction for counter resets as the difference of two running sums. That is exact up to one reset
# in the whole range; with more, a great reset swallows the digits of a small one, and an infinite one everything.
_RESET_CORRECTED = frozenset({GridFunction.RATE, GridFunction.INCREASE})


class Combine(Enum):
    """How ClickHouse may fold the grids of all selected series into one; the value is SQL over the array column `g`."""

    SUM = "sumForEach(g)"
    AVG = "arrayMap((s, n) -> s / n, sumForEach(g), countForEach(g))"
    MIN = "minForEach(g)"
    MAX = "maxForEach(g)"
    COUNT = "arrayMap(n -> if(n = 0, NULL, toFloat64(n)), countForEach(g))"
    GROUP = "arrayMap(n -> if(n = 0, NULL, 1.0), countForEach(g))"


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
class GridValues:
    """Values on a grid of some series of a selection: ``values[i, k]`` of series ``rows[i]``, meaningless where not `valid`.

    Rows that are `doubtful` must be computed from raw samples instead.
    """

    rows: Ints
    values: Floats
    valid: Bools
    doubtful: Bools


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
    """Reads samples. Every method blocks and may be called from any thread; `seconds` bounds a statement's run time."""

    def __init__(
        self, engine: Engine, index: SeriesIndex, rollups: Rollups | None = None, recent: Recent | None = None
    ) -> None:
        self.engine, self.index, self._rollups, self.kept = engine, index, rollups, recent
        if recent:
            index.tell(recent)

    def select(self, matchers: Iterable[Matcher], start_ms: int, end_ms: int) -> Selection:
        """The series all `matchers` accept that may have samples from `start_ms` to `end_ms`."""
        return self.index.select(matchers, start_ms, end_ms)

    def source(self, function: str, steps: Steps, window_ms: int) -> Source:
        """Where samples for a PromQL function over windows that end at `steps` are to be read from."""
        if self._rollups is None:
            return Source((), Shape.POINTS, window_ms)
        return self._rollups.source(function, steps.start_ms, steps.step_ms, steps.count, window_ms)

    def raw(
        self,
        selection: Selection,
        after_ms: int,
        until_ms: int,
        *,
        stale: bool,
        limit: int,
        seconds: float,
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
        where, parameters = _where(selection, after_ms, until_ms, stale=stale, always_list=exact)
        relation = _relation(selection, source, after_ms, until_ms)
        table = self._arrow(
            f"SELECT fp, toUnixTimestamp64Milli(ts) AS t, value FROM {relation} WHERE {where} "
            f"ORDER BY metric, fp, ts LIMIT {int(limit) + 1}",
            parameters,
            seconds,
        )
        if table.num_rows > limit:
            raise LimitExceeded(
                f"the query reads more than {limit} samples (limit max_samples); narrow it in time or labels"
            )
        return _grouped(selection, *(_column(table, name) for name in ("fp", "t", "value")))

    def recent(
        self, selection: Selection, after_ms: int, until_ms: int, *, stale: bool, limit: int, seconds: float
    ) -> RawSamples | None:
        """As `raw`, of what is kept in memory, with samples before and after that time; None when nothing is kept of it."""
        if self.kept is None or not len(selection) or len(selection.metrics) != 1 or after_ms >= until_ms:
            return None
        first, last = selection.corrected_ms or (until_ms, after_ms)
        if last > after_ms and first <= until_ms:
            return None
        whole = Whose(selection.metrics[0])
        few = len(selection) * _KEPT_SHARE < selection.of and selection.of > _KEPT_ANYWAY
        runs = self.kept.get(whole, after_ms, until_ms, stale=stale)
        if runs is None:
            whose = Whose(whole.metric, selection.fps.tobytes()) if few else whole
            most = min(limit, self.kept.most_samples)
            runs = self.kept.fetch(
                whose,
                after_ms,
                until_ms,
                stale=stale,
                read=lambda *span: self._runs(whole.metric, selection if few else None, span, most, seconds),
            )
        return None if runs is None or len(runs.ts_ms) > limit else _of_runs(selection, runs)

    def _runs(
        self, metric: str, chosen: Selection | None, span: tuple[int, int], most: int, seconds: float
    ) -> Runs | None:
        """The samples in (after, until] of some series of a metric, or of all; None when they are more than `most`."""
        where, parameters = "metric = {metric:String}", {"metric": metric, "after": span[0], "until": span[1]}
        if chosen is not None:
            where, listed = _whose(chosen, always_list=True)
            parameters |= listed
        # Few rows: threads would take longer to begin than to read. Two columns make a value; the alias is slow to plan.
        table = self._arrow(
            f"SELECT fp, toUnixTimestamp64Milli(ts) AS t, scaled, unscaled FROM samples WHERE {where} "
            "AND ts > fromUnixTimestamp64Milli({after:Int64}, 'UTC') AND ts <= fromUnixTimestamp64Milli({until:Int64}, 'UTC') "
            f"ORDER BY metric, fp, ts LIMIT {most + 1}",
            parameters,
            seconds,
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
        seconds: float,
        argument: float | None = None,
        source: Source = SENT,
    ) -> GridValues:
        """`function` of each series over (step - window, step] at each step; series without any value are left out."""
        if not len(selection):
            return _no_grid(steps)
        if source.rolled and function is GridFunction.AVG:
            return self._rolled_average(selection, steps, window_ms, seconds, source)
        sql, parameters = _grid_sql(selection, function, steps, window_ms, argument, source)
        table = self._arrow(sql, parameters, seconds)
        values, valid = _matrix(table.column("g"), steps.count)
        if function is GridFunction.LATEST:
            valid &= values.view(np.uint64) != STALE_NAN_BITS
        rows = _rows_of(selection, _column(table, "fp"))
        doubtful = _doubtful(function, table, values, valid)
        kept = (rows >= 0) & valid.any(axis=1)
        if kept.all():
            return GridValues(rows, values, valid, doubtful)
        return GridValues(rows[kept], values[kept], valid[kept], doubtful[kept])

    def combined_grid(
        self,
        selection: Selection,
        function: GridFunction,
        combine: Combine,
        steps: Steps,
        window_ms: int,
        *,
        seconds: float,
        argument: float | None = None,
        source: Source = SENT,
    ) -> GridValues:
        """As `grid`, folded over all series by `combine` into at most one row (number 0)."""
        if not len(selection):
            return _no_grid(steps)
        each, parameters = _grid_sql(selection, function, steps, window_ms, argument, source, always_list=True)
        resets = ", max(resets) AS resets" if function in _RESET_CORRECTED else ""
        table = self._arrow(f"SELECT {combine.value} AS g{resets} FROM ({each})", parameters, seconds)
        values, valid = _matrix(table.column("g"), steps.count)
        doubtful = _doubtful(function, table, values, valid)
        kept = valid.any(axis=1)
        return GridValues(np.zeros(int(kept.sum()), dtype=np.int64), values[kept], valid[kept], doubtful[kept])

    def histograms(
        self, selection: Selection, after_ms: int, until_ms: int, *, limit: int, seconds: float
    ) -> RawHistograms:
        """The native histograms in (after, until], staleness markers too. Raises LimitExceeded when more than `limit`."""
        nothing = np.empty(0, dtype=np.int64)
        if not len(selection) or after_ms >= until_ms:
            return RawHistograms(nothing, np.zeros(1, dtype=np.int64), nothing, ())
        where, parameters = _where(selection, after_ms, until_ms, stale=True, always_list=True)
        table = self._arrow(
            f"SELECT fp, toUnixTimestamp64Milli(ts) AS t, {', '.join(_HISTOGRAM)} FROM histograms FINAL WHERE {where} "
            f"ORDER BY metric, fp, ts LIMIT {int(limit) + 1}",
            parameters,
            seconds,
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
        return RawHistograms(_rows_of(selection, fps[starts]), offsets, _column(table, "t"), _histograms(table))

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
        self, selection: Selection, steps: Steps, window_ms: int, seconds: float, source: Source
    ) -> GridValues:
        """Sum by count; a series has both or neither."""
        sums, counts = (
            self.grid(selection, function, steps, window_ms, seconds=seconds, source=source.with_shape(shape))
            for function, shape in ((GridFunction.SUM, Shape.SUM), (GridFunction.COUNT, Shape.COUNT))
        )
        by_row, among = np.argsort(sums.rows), np.argsort(counts.rows)
        values = sums.values[by_row] / counts.values[among]
        return GridValues(sums.rows[by_row], values, sums.valid[by_row], sums.doubtful[by_row])

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
        where, parameters = _where(selection, start_ms - 1, end_ms, stale=True, always_list=True)
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

    def _arrow(self, sql: str, parameters: Mapping[str, Any], seconds: float, *, threads: int = 0) -> pa.Table:
        # ClickHouse takes no parameter in SETTINGS; these are numbers of ours.
        bounded = f"{sql} SETTINGS max_execution_time = {max(seconds, 0.001):.3f}"
        if threads:
            bounded += f", max_threads = {threads}"
        try:
            return self.engine.arrow(bounded, parameters)
        except Unavailable as error:
            if getattr(error.__cause__, "code", None) == _TIMEOUT_EXCEEDED:
                raise TimedOut(
                    f"reading samples took longer than the {seconds:.1f} s left to the query (limit timeout)"
                ) from error
            raise


def _relation(selection: Selection, source: Source, after_ms: int, until_ms: int, *, always_list: bool = False) -> str:
    """What stands after FROM; binds what `_where` binds, for the same times."""
    whose, _ = _whose(selection, always_list=always_list)
    first, last = selection.corrected_ms or (until_ms, after_ms)
    if last <= after_ms or first > until_ms:
        return source.relation(whose)
    where, _ = _where(selection, after_ms, until_ms, stale=True, always_list=always_list)
    return source.relation(whose, corrected(where))


def _where(
    selection: Selection, after_ms: int, until_ms: int, *, stale: bool, always_list: bool = False
) -> tuple[str, dict[str, Any]]:
    """The condition that finds the samples, and its parameters. It may let other series of the same metrics through
    (see `_rows_of`), unless `always_list`."""
    whose, parameters = _whose(selection, always_list=always_list)
    parts = [
        whose,
        "ts > fromUnixTimestamp64Milli({after:Int64}, 'UTC')",
        "ts <= fromUnixTimestamp64Milli({until:Int64}, 'UTC')",
    ]
    if not stale:
        parts.append(f"reinterpretAsUInt64(value) != {STALE_NAN_BITS}")
    return " AND ".join(parts), parameters | {"after": after_ms, "until": until_ms}


def _whose(selection: Selection, *, always_list: bool = False) -> tuple[str, dict[str, Any]]:
    """As `_where`, without times."""
    parameters: dict[str, Any] = {}
    if len(selection.metrics) == 1:
        whose, parameters["metric"] = "metric = {metric:String}", selection.metrics[0]
    else:
        whose, parameters["metric"] = "metric IN {metric:Array(String)}", list(selection.metrics)
    chosen = len(selection)
    if chosen < selection.of and (always_list or chosen <= max(_LIST_AT_MOST, selection.of // _LIST_SHARE)):
        whose += " AND fp IN {fps:Array(UInt64)}"
        # As text: the client would write each number on its own, at ten times the cost.
        parameters["fps"] = f"[{','.join(map(str, selection.fps.tolist()))}]"
    return whose, parameters


def _grid_sql(
    selection: Selection,
    function: GridFunction,
    steps: Steps,
    window_ms: int,
    argument: float | None,
    source: Source,
    *,
    always_list: bool = False,
) -> tuple[str, dict[str, Any]]:
    after_ms, until_ms = steps.start_ms - window_ms, steps.end_ms
    stale = function is GridFunction.LATEST
    where, parameters = _where(selection, after_ms, until_ms, stale=stale, always_list=always_list)
    parameters |= {
        "start": _seconds(steps.start_ms),
        "end": _seconds(steps.end_ms),
        "step": _seconds(max(1, steps.step_ms)),
        "window": _seconds(window_ms),
    }
    more = ""
    if argument is not None:
        more, parameters["argument"] = ", {argument:Float64}", argument
    # Buckets bring how many samples they stand for: those are added up.
    name = GridFunction.SUM.value if source.rolled and function is GridFunction.COUNT else function.value
    relation = _relation(selection, source, after_ms, until_ms, always_list=always_list)
    grid = f"{name}({{start:Decimal64(3)}}, {{end:Decimal64(3)}}, {{step:Decimal64(3)}}, {{window:Decimal64(3)}}{more})"
    resets = ""
    if function in _RESET_CORRECTED:
        parameters["range"] = _seconds(steps.end_ms - steps.start_ms + window_ms)
        resets = ", timeSeriesResetsToGrid({end:Decimal64(3)}, {end:Decimal64(3)}, 1, {range:Decimal64(3)})(ts, value)[1] AS resets"
    return f"SELECT fp, {grid}(ts, value) AS g{resets} FROM {relation} WHERE {where} GROUP BY fp", parameters


def _doubtful(function: GridFunction, table: pa.Table, values: Floats, valid: Bools) -> Bools:
    if function not in _RESET_CORRECTED:
        return np.zeros(len(values), dtype=bool)
    return (_column(table, "resets") > 1) | (valid & ~np.isfinite(values)).any(axis=1)


def _seconds(ms: int) -> str:
    sign = "-" if ms < 0 else ""
    return f"{sign}{abs(ms) // 1000}.{abs(ms) % 1000:03d}"


def _rows_of(selection: Selection, fps: NDArray[np.uint64]) -> Ints:
    """For each fingerprint its row in the selection, -1 for one that is not in it."""
    order = np.argsort(selection.fps, kind="stable")
    ordered = selection.fps[order]
    slots = np.minimum(np.searchsorted(ordered, fps), len(ordered) - 1)
    return np.where(ordered[slots] == fps, order[slots], -1)


def _of_runs(selection: Selection, runs: Runs) -> RawSamples:
    """The series of a selection out of all of its metric."""
    rows = _rows_of(selection, runs.fps)
    if (rows >= 0).all():
        return RawSamples(rows, runs.offsets, runs.ts_ms, runs.values, runs.clock)
    chosen = np.flatnonzero(rows >= 0)
    at, offsets = places(runs.offsets, chosen)
    _, firsts, of = np.unique(runs.clock[chosen], return_index=True, return_inverse=True)
    return RawSamples(rows[chosen], offsets, runs.ts_ms[at], runs.values[at], firsts[of])


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
    rows = _rows_of(selection, fps[starts])
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


def _matrix(column: pa.ChunkedArray, width: int) -> tuple[Floats, Bools]:
    """A column of equally long lists of nullable numbers as values and their mask."""
    numbers = (
        pa.concat_arrays([chunk.flatten() for chunk in column.chunks])
        if column.num_chunks
        else pa.array([], pa.float64())
    )
    valid = np.ones(len(numbers), dtype=bool)
    if numbers.null_count:
        valid = numbers.is_valid().to_numpy(zero_copy_only=False)
    values = numbers.to_numpy(zero_copy_only=False).astype(np.float64, copy=False)
    return values.reshape(-1, width), valid.reshape(-1, width)


def _no_grid(steps: Steps) -> GridValues:
    empty = np.empty((0, steps.count), dtype=np.float64)
    return GridValues(np.empty(0, dtype=np.int64), empty, empty.astype(bool), np.empty(0, dtype=bool))


def _exemplar_labels(labels: Sequence[tuple[str, str]] | Mapping[str, str], trace_id: str, span_id: str) -> Labels:
    known = dict(labels)
    for name, text in (("trace_id", trace_id), ("span_id", span_id)):
        if text.strip("0"):
            known.setdefault(name, text)
    return Labels(known)
