"""What rules ask of logs and spans, computed: measures of the records of a window, one row for each group of them.

In: a `Selection`, the measures wanted of it, and a moment or evenly spaced ones. Out: groups with their values. Measures of
one selection share one statement. Blocking; run in the engine's pool.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from aiprism.errors import LimitExceeded
from aiprism.model.search import Condition
from aiprism.model.signals import Kind, Measure, Selection, Signal
from aiprism.store import logsearch, spansearch
from aiprism.store.conditionsql import Where
from aiprism.store.engine import Engine

# Groups of all moments that are asked for at once.
_MOST_ROWS = 1_000_000
_START, _END, _OVER, _STEP = "{start:Int64}", "{end:Int64}", "{over:Int64}", "{step:Int64}"
# A span counts when it has ended, since it is told of no earlier; those that began longer ago than this are not looked at.
LONGEST_SPAN = 3600.0
_FROM, _TO = f"fromUnixTimestamp64Milli({_START} - {_OVER})", f"fromUnixTimestamp64Milli({_END})"
_SPAN_ENDS = "(toUnixTimestamp64Nano(spans.start) + toInt64(spans.duration_ns))"
_DURATION = "duration"

# Reasons are those of `logs._LAZILY`, and: of more groups than there may be, no more are counted than tell so.
_SETTINGS = (
    "SETTINGS short_circuit_function_evaluation = 'force_enable', "
    "max_rows_to_group_by = {rows:UInt64}, group_by_overflow_mode = 'any'"
)


@dataclass(frozen=True, slots=True)
class Measured:
    """Values of the measures in one group at one moment (the number of its step); None where nothing can be said."""

    step: int
    group: tuple[str, ...]
    values: tuple[float | None, ...]


class _Field(Protocol):
    """The value of a field of a table, as text."""

    def __call__(self, name: str, *, prefix: str) -> Where: ...


@dataclass(frozen=True, slots=True)
class _Table:
    """Where the records of a signal are: the nanosecond at which one counts, and when that is in the time that is asked for."""

    name: str
    moment: str
    within: str
    where: Callable[[Condition], Where]
    field: _Field

    def number(self, name: str, prefix: str) -> Where:
        """The value of a field as a number, NULL where it is none: a word such as `inf` is no measurement."""
        if self.name == "spans" and name == _DURATION:
            return Where("spans.duration_ns / 1e9", {})
        found = self.field(name, prefix=prefix)
        number = f"toFloat64OrNull({found.sql})"
        return Where(f"if(isFinite({number}), {number}, NULL)", found.bound)


_TABLES: Mapping[Signal, _Table] = {
    Signal.LOGS: _Table(
        "logs", "toUnixTimestamp64Nano(ts)", f"ts >= {_FROM} AND ts < {_TO}", logsearch.where, logsearch.field
    ),
    Signal.TRACES: _Table(
        "spans",
        _SPAN_ENDS,
        f"spans.start >= {_FROM} - toIntervalSecond({LONGEST_SPAN:.0f}) AND spans.start < {_TO} "
        f"AND {_SPAN_ENDS} >= ({_START} - {_OVER}) * 1000000 AND {_SPAN_ENDS} < {_END} * 1000000",
        spansearch.where,
        spansearch.field,
    ),
}


class SignalStore:
    """Counts records of one tenant; a measure may have at most `most_series` groups at a time."""

    def __init__(self, engine: Engine, most_series: int = 1000) -> None:
        self._engine, self._most = engine, most_series

    def at(self, selection: Selection, measures: Sequence[Measure], at: float) -> list[Measured]:
        """The groups of the window that ends at `at` (Unix seconds)."""
        return self.steps(selection, measures, at, 1.0, 1)

    def steps(
        self, selection: Selection, measures: Sequence[Measure], start: float, step: float, count: int
    ) -> list[Measured]:
        """The groups of `count` windows, the first of which ends at `start` and each other `step` seconds after the one before.

        LimitExceeded when one of them has more groups than there may be.
        """
        rows = self._most + 1 if count == 1 else _MOST_ROWS + 1
        table = _TABLES[selection.signal]
        asked = table.where(selection.asked)
        groups = [table.field(name, prefix=f"g{at}_") for at, name in enumerate(selection.by)]
        values = [_value(measure, table, at) for at, measure in enumerate(measures)]
        names = ["step", *(f"group_{at}" for at in range(len(groups)))]
        columns = [
            f"{_steps(table, count)} AS step",
            *(f"ifNull({group.sql}, '') AS group_{at}" for at, group in enumerate(groups)),
            *(value.sql for value in values),
        ]
        bound: dict[str, object] = {
            "start": round(start * 1000),
            "end": round((start + (count - 1) * step) * 1000),
            "over": round(selection.over * 1000),
            "step": round(step * 1000),
            "rows": rows,
        }
        for part in (asked, *groups, *values):
            bound.update(part.bound)
        found = self._engine.query(
            f"SELECT {', '.join(columns)} FROM {table.name} "
            f"WHERE {table.within} AND {asked.sql} "
            f"GROUP BY {', '.join(names)} ORDER BY {', '.join(names)} LIMIT {{rows:UInt64}} {_SETTINGS}",
            bound,
        )
        return list(self._within(selection, found, len(groups)))

    def _within(self, selection: Selection, found: Sequence[Sequence[object]], width: int) -> Iterator[Measured]:
        by, last, seen = ", ".join(selection.by), None, 0
        if len(found) > _MOST_ROWS:
            raise LimitExceeded(f"more than {_MOST_ROWS} values by {by}: ask for a shorter time, or by less")
        for step, *rest in found:
            seen = seen + 1 if step == last else 1
            last = step
            if seen > self._most:
                raise LimitExceeded(
                    f"more than {self._most} series by {by} (limit rules.signal_series): search for less, or leave out a field"
                )
            values = tuple(None if value is None else float(str(value)) for value in rest[width:])
            yield Measured(int(str(step)), tuple(map(str, rest[:width])), values)


def _steps(table: _Table, count: int) -> str:
    """SQL: the numbers of the windows that a record is in, one row for each."""
    if count == 1:
        return "0"
    after = f"({table.moment} - {_START} * 1000000)"  # nanoseconds since the end of the first window
    width = f"({_STEP} * 1000000)"
    first = f"if({after} < 0, 0, intDiv({after}, {width}) + 1)"
    last = f"least(intDiv({after} + {_OVER} * 1000000, {width}), intDiv({_END} - {_START}, {_STEP}))"
    return f"arrayJoin(range(toInt64({first}), toInt64({last}) + 1))"


def _value(measure: Measure, table: _Table, at: int) -> Where:
    """SQL of a measure."""
    match measure.kind:
        case Kind.COUNT:
            return Where("count()", {})
        case Kind.RATE:
            return Where(f"count() * 1000 / {_OVER}", {})
        case Kind.ERROR_SHARE:
            return Where("avg(spans.status = 'error')", {})
        case Kind.DISTINCT:
            found = table.field(measure.field, prefix=f"v{at}_")
            return Where(f"uniq({found.sql})", found.bound)
        case _:
            number = table.number(measure.field, f"v{at}_")
            sql = _AGGREGATES[measure.kind].format(number=number.sql, quantile=repr(measure.quantile))
            return Where(sql, number.bound)


_AGGREGATES: Mapping[Kind, str] = {
    Kind.SUM: "ifNull(sum({number}), 0)",
    Kind.AVG: "avg({number})",
    Kind.MIN: "min({number})",
    Kind.MAX: "max({number})",
    Kind.QUANTILE: "quantileTDigest({quantile})({number})",  # of bounded size, where exact ones would keep every value
}
