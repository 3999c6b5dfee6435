"""Runs test scripts in the notation of Prometheus' own (promqltest): load, clear, eval instant, eval range.

    load 1m
      requests{job="api"} 0+10x5 _ stale
    eval instant at 5m rate(requests[5m])
      {job="api"} 0.16666666666666666
    eval range from 0 to 2m step 1m requests
      requests{job="api"} 0 10 20
    eval instant at 0 1 +
      expect fail msg: unexpected end of input

How series are written is said in query/promql/notation.py. Also `expect ordered`, `expect string "…"`,
`expect fail regex: …`. Every instant evaluation is done four ways, which must agree: by the store's functions and by ours, at
once and as one step of a range query.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from aiprism.errors import AiprismError
from aiprism.model.histograms import NativeHistogram
from aiprism.model.labels import Labels
from aiprism.model.timerange import duration_ms
from aiprism.query.promql import Matrix, PromQL, Scalar, Series, String, Value, Vector, notation
from aiprism.query.promql.native import Histogram
from aiprism.query.promql.parse import parse
from aiprism.query.promql.syntax import Kind, kind_of
from tests.query.promql.stocked import Points, Sample, Stocked

EPSILON = 1e-6  # hand-written expectations have few digits


@dataclass
class Evaluation:
    """One eval command and what must come of it."""

    line: int
    expr: str
    start_ms: int
    end_ms: int
    step_ms: int | None = None
    ordered: bool = False
    fails: bool = False
    message: str = ""
    pattern: str = ""
    string: str | None = None
    scalar: float | None = None
    series: list[tuple[Labels, list[Sample | None]]] = field(default_factory=list)


def run(path: Path, stocked: Stocked) -> int:
    """Run a script; the number of evaluations."""
    count = 0
    for command in _commands(path):
        if isinstance(command, Evaluation):
            count += 1
            try:
                _check(command, stocked)
            except (AssertionError, AiprismError) as error:
                pytest.fail(
                    f"{path.name}:{command.line}: {command.expr}\n{type(error).__name__}: {error}", pytrace=False
                )
        elif isinstance(command, str):
            stocked.clear()
        else:
            stocked.add(command)
    return count


# -- reading -------------------------------------------------------------------------------------------------------------


def _commands(path: Path) -> Iterator[Evaluation | str | list[tuple[Labels, Points]]]:
    lines = path.read_text(encoding="utf-8").splitlines()
    at = 0
    while at < len(lines):
        line = lines[at].partition("#")[0].rstrip() if not lines[at].lstrip().startswith("eval") else lines[at].rstrip()
        at += 1
        if not line.strip():
            continue
        body = []
        first = at
        while at < len(lines) and lines[at].strip() and lines[at][0] in " \t":
            if not lines[at].lstrip().startswith("#"):
                body.append(lines[at].strip())
            at += 1
        word = line.split()[0]
        if word == "clear":
            yield "clear"
        elif word == "load":
            yield [_loaded(entry, duration_ms(line.split()[1])) for entry in body]
        elif word == "eval":
            yield _evaluation(line, body, first)
        else:
            raise ValueError(f"{path.name}:{first}: unknown command {word!r}")


def _evaluation(line: str, body: list[str], number: int) -> Evaluation:
    instant = re.fullmatch(r"eval instant at (\S+)\s+(.*)", line)
    ranged = re.fullmatch(r"eval range from (\S+) to (\S+) step (\S+)\s+(.*)", line)
    if instant:
        at = _time_ms(instant.group(1))
        found = Evaluation(number, instant.group(2), at, at)
    elif ranged:
        start, end, step = map(_time_ms, ranged.groups()[:3])
        found = Evaluation(number, ranged.group(4), start, end, step)
    else:
        raise ValueError(f"line {number}: {line}")
    for entry in body:
        if entry.startswith("expect "):
            _expect(found, entry.removeprefix("expect "))
        elif re.fullmatch(r"[-+\w.]+", entry) and _number(entry) is not None:
            found.scalar = _number(entry)
        else:
            labels, text = notation.series(entry)
            found.series.append((labels, notation.values(text)))
    return found


def _expect(found: Evaluation, what: str) -> None:
    if what == "ordered":
        found.ordered = True
    elif what.startswith("string "):
        found.string = what.removeprefix("string ")[1:-1]
    elif what.startswith("fail"):
        found.fails = True
        found.message = what.partition("msg: ")[2]
        found.pattern = what.partition("regex: ")[2]
    else:
        raise ValueError(f"line {found.line}: expect {what}")


def _time_ms(text: str) -> int:
    sign, text = (-1, text[1:]) if text.startswith("-") else (1, text)
    return sign * (round(float(text) * 1000) if re.fullmatch(r"[\d.]+", text) else duration_ms(text))


def _loaded(entry: str, step_ms: int) -> tuple[Labels, Points]:
    labels, text = notation.series(entry)
    return labels, [(place * step_ms, value) for place, value in enumerate(notation.values(text)) if value is not None]


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


# -- checking ------------------------------------------------------------------------------------------------------------


def _check(wanted: Evaluation, stocked: Stocked) -> None:
    for engine, how in ((stocked.promql, "pushed down"), (stocked.plain, "from raw samples")):
        if wanted.fails:
            _check_failure(wanted, engine)
        elif wanted.step_ms is not None:
            got = engine.range(wanted.expr, wanted.start_ms / 1000, wanted.end_ms / 1000, wanted.step_ms / 1000)
            _compare(_range_points(wanted), _points(got), how)
        else:
            _check_instant(wanted, engine, how)


def _check_failure(wanted: Evaluation, engine: PromQL) -> None:
    start, end = wanted.start_ms / 1000, wanted.end_ms / 1000
    step = None if wanted.step_ms is None else wanted.step_ms / 1000
    with pytest.raises(AiprismError) as caught:
        engine.instant(wanted.expr, start) if step is None else engine.range(wanted.expr, start, end, step)
    assert wanted.message in str(caught.value)
    assert re.search(wanted.pattern, str(caught.value)), str(caught.value)


def _check_instant(wanted: Evaluation, engine: PromQL, how: str) -> None:
    at = wanted.start_ms / 1000
    got = engine.instant(wanted.expr, at)
    if wanted.string is not None:
        assert got == String(at, wanted.string)
        return
    expected = _instant_points(wanted)
    if isinstance(got, Matrix):
        _compare({labels: dict(enumerate(values)) for labels, values in wanted.series}, _ordinals(got), how)
        return
    _compare(expected, _points(got), how)
    if wanted.ordered:
        assert isinstance(got, Vector)
        assert [item.labels for item in got] == [labels for labels, _ in wanted.series], f"{how}: wrong order"
    if kind_of(parse(wanted.expr)) in (Kind.VECTOR, Kind.SCALAR) and not re.search(
        r"\b(start|end|step|range)\(\)", wanted.expr.lower()
    ):
        around = engine.range(wanted.expr, at - 60, at + 60, 60)
        here = {
            labels: {ts: v for ts, v in points.items() if ts == wanted.start_ms}
            for labels, points in _points(around).items()
        }
        _compare(expected, {labels: points for labels, points in here.items() if points}, f"{how}, as a range")


def _instant_points(wanted: Evaluation) -> dict[Labels, dict[int, Sample]]:
    if wanted.scalar is not None:
        return {Labels(): {wanted.start_ms: wanted.scalar}}
    return {
        labels: {wanted.start_ms: values[0]} for labels, values in wanted.series if values and values[0] is not None
    }


def _range_points(wanted: Evaluation) -> dict[Labels, dict[int, Sample]]:
    assert wanted.step_ms is not None
    step = wanted.step_ms
    return {
        labels: {wanted.start_ms + place * step: value for place, value in enumerate(values) if value is not None}
        for labels, values in wanted.series
    }


def _points(got: Value) -> dict[Labels, dict[int, float | Histogram]]:
    match got:
        case Scalar():
            return {Labels(): {round(got.ts * 1000): got.value}}
        case Vector():
            return {item.labels: {round(item.ts * 1000): item.histogram or item.value} for item in got}
        case Matrix():
            return {each.labels: dict(zip(each.ts_ms.tolist(), _samples(each), strict=True)) for each in got}
        case String():
            raise AssertionError(f"a string: {got.value!r}")


def _samples(series: Series) -> list[float | Histogram]:
    values: list[float | Histogram] = series.values.tolist()
    if series.histograms is None:
        return values
    return [value if cell is None else cell for value, cell in zip(values, series.histograms.tolist(), strict=True)]


def _ordinals(got: Matrix) -> dict[Labels, dict[int, float | Histogram]]:
    return {each.labels: dict(enumerate(_samples(each))) for each in got}


def _compare(expected: Mapping[Labels, Mapping[int, Any]], got: Mapping[Labels, Mapping[int, Any]], how: str) -> None:
    assert got.keys() == expected.keys(), f"{how}: series {sorted(got)} instead of {sorted(expected)}"
    for labels, points in expected.items():
        assert got[labels].keys() == points.keys(), (
            f"{how}: {labels} has values at {list(got[labels])}, not at {list(points)}"
        )
        for ts, value in points.items():
            assert alike(value, got[labels][ts], EPSILON), (
                f"{how}: {labels} at {ts}: {got[labels][ts]!r} instead of {value!r}"
            )


def alike(wanted: Sample, got: float | Histogram, epsilon: float) -> bool:
    """The same number, or histograms of the same layout with the same numbers."""
    if isinstance(wanted, NativeHistogram) and isinstance(got, Histogram):
        ours, theirs = map(_flat, (Histogram.of(wanted), got))
        return ours.keys() == theirs.keys() and all(same(ours[key], theirs[key], epsilon) for key in ours)
    return isinstance(wanted, float) and isinstance(got, float) and same(wanted, got, epsilon)


def _flat(of: Histogram) -> dict[object, float]:
    return {
        "schema": of.schema,
        "count": of.count,
        "sum": of.sum,
        "threshold": of.zero_threshold,
        "zero": of.zero_count,
        **dict(enumerate(of.bounds)),
        **{("+", at): count for at, count in of.positive.items()},
        **{("-", at): count for at, count in of.negative.items()},
    }


def same(a: float, b: float, epsilon: float) -> bool:
    """Equal, both NaN, or apart by less than `epsilon` of the greater (or 1e-12, where what is left is rounding)."""
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    return a == b or abs(a - b) <= max(epsilon * max(abs(a), abs(b)), 1e-12)
