"""What ClickHouse computes is what the kernels compute: on regular data, and on what real senders produce."""

from __future__ import annotations

import math
import random

import pytest

from aiprism.model.labels import Labels
from aiprism.model.samples import STALE_NAN
from aiprism.query.promql import Matrix, PromQL, evaluate
from aiprism.query.promql.functions import PUSHED
from aiprism.store.engine import Engine
from tests.query.promql.script import same
from tests.query.promql.stocked import Points, Stocked

START = 1_700_000_000


@pytest.fixture
def stocked(engine: Engine) -> Stocked:
    store = Stocked.on(engine)
    store.add(_series(random.Random(7)))
    return store


@pytest.mark.parametrize("function", sorted(PUSHED))
@pytest.mark.parametrize("window", ["25s", "1m", "7m"])
def test_a_pushed_function_agrees_with_its_kernel(function: str, window: str, stocked: Stocked):
    argument = ", 300" if function == "predict_linear" else ""
    for modifier in ("", " offset 90s", " offset -90s") if window == "1m" else ("",):
        query = f"{function}(data[{window}]{modifier}{argument})"
        for step in (7, 333.25):
            _agree(stocked, query, step)


@pytest.mark.parametrize("selector", ["data", "data offset 3m", 'data{kind="counter"}', f"data @ {START + 700}"])
def test_a_pushed_selector_agrees_with_the_samples(selector: str, stocked: Stocked):
    for step in (7, 60, 333.25):
        _agree(stocked, selector, step)


@pytest.mark.parametrize("op", ["sum", "avg", "min", "max", "count", "group"])
@pytest.mark.parametrize("function", ["rate", "increase", "count_over_time", "changes", "max_over_time", "delta"])
def test_a_pushed_aggregation_agrees_with_ours(
    op: str, function: str, stocked: Stocked, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(evaluate, "COMBINE_CELLS", 0)
    for selector in ("data", 'data{kind="counter"}', "nothing"):
        _agree(stocked, f"{op}({function}({selector}[3m]))", 60)


def _agree(stocked: Stocked, query: str, step: float) -> None:
    asked = (query, START - 200, START + 1900, step)
    plain = stocked.plain.range(*asked)
    for given in (stocked.promql.range(*asked), stocked.kept.range(*asked)):
        _same(given, plain, query, step)


def _same(pushed: Matrix, plain: Matrix, query: str, step: float) -> None:
    assert [each.labels for each in pushed] == [each.labels for each in plain], query
    for mine, theirs in zip(pushed, plain, strict=True):
        assert mine.ts_ms.tolist() == theirs.ts_ms.tolist(), f"{query}: {mine.labels}"
        pairs = zip(mine.ts_ms.tolist(), mine.values.tolist(), theirs.values.tolist(), strict=True)
        wrong = [(ts, a, b) for ts, a, b in pairs if not same(a, b, 1e-9)]
        assert not wrong, f"{query}, step {step}: {mine.labels}: {wrong[:3]}"


def _series(chance: random.Random) -> list[tuple[Labels, Points]]:
    """Several kinds of series, each a few times: sample times in whole seconds, so that many lie exactly on edges."""
    makers = {
        "counter": lambda value, place: value + chance.randrange(5),
        "restarting": lambda value, place: (
            value + chance.randrange(500) if chance.random() < 0.97 else chance.randrange(3)
        ),
        "collapsing": lambda value, place: value * 30 + 1 if chance.random() < 0.8 else 1.0,
        "gauge": lambda value, place: chance.uniform(-50, 50),
        "constant": lambda value, place: 5.0,
        "whole": lambda value, place: float(chance.randrange(-3, 4)),
        "holes": lambda value, place: chance.choice((math.nan, STALE_NAN, 1.0, 2.5)),
        "endless": lambda value, place: chance.choice((math.inf, -math.inf, 1.0, 2.0, 3.0, 4.0, 5.0)),
    }
    series: list[tuple[Labels, Points]] = []
    for kind, make in makers.items():
        for number in range(3):
            value = 1.0
            points: list[tuple[int, float]] = []
            ts = START * 1000 + chance.randrange(15) * 1000
            while ts < (START + 1800) * 1000:
                value = float(make(value, len(points)))
                if chance.random() < 0.95:
                    points.append((ts, value))
                if not math.isfinite(value) or abs(value) > 1e200:
                    value = 1.0
                ts += chance.choice((15_000, 15_000, 15_000, 14_999, 30_000, 200_000 if number == 2 else 15_000))
            series.append((Labels({"__name__": "data", "kind": kind, "number": str(number)}), points))
    return series


def test_of_samples_sent_twice_the_greatest_counts(engine: Engine):
    stocked = Stocked.on(engine)
    labels = Labels({"__name__": "twice"})
    stocked.add([(labels, [(0, 1.0), (15_000, 2.0), (30_000, 9.0)])])
    stocked.add([(labels, [(15_000, 5.0), (30_000, math.nan)])])
    for engine_ in (stocked.promql, stocked.plain):
        assert _points(engine_, "twice[1m]") == [(0.0, 1.0), (15.0, 5.0), (30.0, 9.0)]
        assert _points(engine_, "sum_over_time(twice[1m:15s])") == [(30.0, 15.0)]
        assert [item.value for item in engine_.vector("sum_over_time(twice[1m])", 30)] == [15.0]
        assert [item.value for item in engine_.vector("twice", 30)] == [9.0]


def _points(engine: PromQL, query: str) -> list[tuple[float, float]]:
    got = engine.instant(query, 30)
    if isinstance(got, Matrix):
        return got.series[0].points()
    return [(item.ts, item.value) for item in engine.vector(query, 30)]
