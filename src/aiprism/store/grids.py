"""Values of series on a grid of steps, as ClickHouse computes them: what it can, the statements, and what they answer.

The statements are made of ClickHouse's ``timeSeries…ToGrid`` functions, whose windows are open on the left as in Prometheus
3. A stored NaN is a value; "no value" is told apart by a mask, and the staleness marker ends a series. Sending the
statements is left to samples.py, what the numbers mean to query/promql.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
import pyarrow as pa

from aiprism.model.samples import STALE_NAN_BITS
from aiprism.store.columns import Bools, Floats, Ints
from aiprism.store.conditions import relation, rows_of, rows_where
from aiprism.store.rollups import Source
from aiprism.store.series import Selection


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
class GridValues:
    """Values on a grid of some series of a selection: ``values[i, k]`` of series ``rows[i]``, meaningless where not `valid`.

    Rows that are `doubtful` must be computed from raw samples instead.
    """

    rows: Ints
    values: Floats
    valid: Bools
    doubtful: Bools


def statement(
    selection: Selection,
    function: GridFunction,
    steps: Steps,
    window_ms: int,
    argument: float | None,
    source: Source,
    *,
    always_list: bool = False,
) -> tuple[str, dict[str, Any]]:
    """SQL for `function` of each series over (step - window, step] at each step, and its parameters; see `of_each`."""
    after_ms, until_ms = steps.start_ms - window_ms, steps.end_ms
    stale = function is GridFunction.LATEST
    where, parameters = rows_where(selection, after_ms, until_ms, stale=stale, always_list=always_list)
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
    samples = relation(selection, source, after_ms, until_ms, always_list=always_list)
    grid = f"{name}({{start:Decimal64(3)}}, {{end:Decimal64(3)}}, {{step:Decimal64(3)}}, {{window:Decimal64(3)}}{more})"
    resets = ""
    if function in _RESET_CORRECTED:
        parameters["range"] = _seconds(steps.end_ms - steps.start_ms + window_ms)
        resets = ", timeSeriesResetsToGrid({end:Decimal64(3)}, {end:Decimal64(3)}, 1, {range:Decimal64(3)})(ts, value)[1] AS resets"
    return f"SELECT fp, {grid}(ts, value) AS g{resets} FROM {samples} WHERE {where} GROUP BY fp", parameters


def folded_statement(
    selection: Selection,
    function: GridFunction,
    combine: Combine,
    steps: Steps,
    window_ms: int,
    argument: float | None,
    source: Source,
) -> tuple[str, dict[str, Any]]:
    """As `statement`, folded over all series by `combine`; see `of_all`."""
    each, parameters = statement(selection, function, steps, window_ms, argument, source, always_list=True)
    resets = ", max(resets) AS resets" if function in _RESET_CORRECTED else ""
    return f"SELECT {combine.value} AS g{resets} FROM ({each})", parameters


def of_each(selection: Selection, function: GridFunction, steps: Steps, table: pa.Table) -> GridValues:
    """What a `statement` answered; series without any value are left out."""
    values, valid = _matrix(table.column("g"), steps.count)
    if function is GridFunction.LATEST:
        valid &= values.view(np.uint64) != STALE_NAN_BITS
    rows = rows_of(selection, table.column("fp").to_numpy())
    doubtful = _doubtful(function, table, values, valid)
    kept = (rows >= 0) & valid.any(axis=1)
    if kept.all():
        return GridValues(rows, values, valid, doubtful)
    return GridValues(rows[kept], values[kept], valid[kept], doubtful[kept])


def of_all(function: GridFunction, steps: Steps, table: pa.Table) -> GridValues:
    """What a `folded_statement` answered: one row (number 0), or none without any value."""
    values, valid = _matrix(table.column("g"), steps.count)
    doubtful = _doubtful(function, table, values, valid)
    kept = valid.any(axis=1)
    return GridValues(np.zeros(int(kept.sum()), dtype=np.int64), values[kept], valid[kept], doubtful[kept])


def averages(sums: GridValues, counts: GridValues) -> GridValues:
    """Sum by count; a series has both or neither."""
    by_row, among = np.argsort(sums.rows), np.argsort(counts.rows)
    values = sums.values[by_row] / counts.values[among]
    return GridValues(sums.rows[by_row], values, sums.valid[by_row], sums.doubtful[by_row])


def nothing(steps: Steps) -> GridValues:
    """The values of no series."""
    empty = np.empty((0, steps.count), dtype=np.float64)
    return GridValues(np.empty(0, dtype=np.int64), empty, empty.astype(bool), np.empty(0, dtype=bool))


def _doubtful(function: GridFunction, table: pa.Table, values: Floats, valid: Bools) -> Bools:
    if function not in _RESET_CORRECTED:
        return np.zeros(len(values), dtype=bool)
    many: Bools = table.column("resets").to_numpy() > 1
    return many | (valid & ~np.isfinite(values)).any(axis=1)


def _seconds(ms: int) -> str:
    sign = "-" if ms < 0 else ""
    return f"{sign}{abs(ms) // 1000}.{abs(ms) % 1000:03d}"


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
