"""The door of the room: what callers get, what they are refused, and how the plan looks."""

from __future__ import annotations

import itertools
import math
import threading
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from aiprism.errors import BadInput, Cancelled, LimitExceeded, TimedOut
from aiprism.model.histograms import CUSTOM_BUCKETS, STALE_HISTOGRAM, Buckets, NativeHistogram, ResetHint
from aiprism.model.labels import Labels
from aiprism.query.promql import Limits, Matrix, Notes, PromQL, QueryFailed, Scalar, String, Vector, VectorItem, windows
from aiprism.query.promql.aggregate import Grouping, aggregate
from aiprism.query.promql.blocks import Block
from aiprism.query.promql.labelsets import LabelSets
from aiprism.query.promql.notes import Remarks, ignored_in_aggregation
from aiprism.store.engine import Engine
from aiprism.store.grids import GridValues
from aiprism.store.question import Question
from aiprism.store.samples import SampleStore
from aiprism.store.seriesload import load_series
from tests.query.promql.stocked import Points, Stocked

X = Labels({"__name__": "x", "a": "1"})


@pytest.fixture
def stocked(engine: Engine) -> Stocked:
    store = Stocked.on(engine)
    store.add([(X, [(place * 15_000, float(place)) for place in range(100)])])
    store.add([(X.with_(a=str(number)), [(0, 1.0), (600_000, 2.0)]) for number in range(2, 40)])
    return store


def limited(stocked: Stocked, **limits: Any) -> PromQL:
    return PromQL(stocked.samples, Limits(**limits))


def test_each_kind_of_expression_gives_its_kind_of_value(stocked: Stocked):
    promql = stocked.promql
    assert promql.instant('x{a="1"}', 30) == Vector((VectorItem(X, 30, 2.0),))
    assert promql.instant("1 + 1", 30) == Scalar(30, 2.0)
    assert promql.instant("'text'", 30) == String(30, "text")
    matrix = promql.instant('x{a="1"}[30s]', 30)
    assert isinstance(matrix, Matrix)
    assert [(each.labels, each.points()) for each in matrix] == [(X, [(15.0, 1.0), (30.0, 2.0)])]


def test_a_range_query_gives_series_by_labels_without_steps_that_have_no_value(stocked: Stocked):
    matrix = stocked.promql.range('x{a=~"1|2"}', 270, 330, 30)
    points = [(each.labels["a"], each.points()) for each in matrix]
    assert points == [("1", [(270, 18), (300, 20), (330, 22)]), ("2", [(270, 1)])]


def test_a_number_as_a_vector_is_one_series_without_labels(stocked: Stocked):
    assert stocked.promql.vector("7", 30) == Vector((VectorItem(Labels(), 30, 7.0),))
    with pytest.raises(BadInput, match="gives a string, not an instant vector"):
        stocked.promql.vector("'x'", 30)
    with pytest.raises(BadInput, match="gives a range vector"):
        stocked.promql.vector("x[5m]", 30)


def test_an_error_of_the_text_tells_line_column_and_position(stocked: Stocked):
    with pytest.raises(
        BadInput, match=r'2:3: parse error: unknown function with name "rat"; did you mean "rate"\?'
    ) as caught:
        stocked.promql.instant("1 +\n  rat(x[5m])", 0)
    assert caught.value.details == {"line": 2, "column": 3, "position": 6}


def test_wrong_times_of_a_range_are_refused(stocked: Stocked):
    with pytest.raises(BadInput, match="zero or negative query resolution step"):
        stocked.promql.range("x", 0, 10, 0)
    with pytest.raises(BadInput, match="end timestamp must not be before start time"):
        stocked.promql.range("x", 10, 0, 1)


@pytest.mark.parametrize(
    ("limit", "query", "message"),
    [
        ({"series": 10}, "x", "matches 39 series, more than 10 .limit max_series."),
        ({"points": 3}, "x", "61 points a series, more than 3 .limit max_points."),
        ({"samples": 50}, "x", "39 series at 61 steps, more than 50 values .limit max_samples."),
        ({"samples": 200}, "quantile_over_time(0.5, x{a='1'}[1h])", "more than 200 samples .limit max_samples."),
        (
            {"samples": 3000},
            'count_values("v", vector(time()))',
            "61 series at 61 steps, more than 3000 values .limit max_samples.",
        ),
        ({"samples": 1000}, "max_over_time(x{a='1'}[30m:1s])", "more than 1000 values .limit max_samples."),
    ],
)
def test_a_query_over_a_limit_is_refused_naming_it(stocked: Stocked, limit: dict[str, int], query: str, message: str):
    if "samples" in limit and limit["samples"] == 200:
        stocked.add([(X, [(1_500_000 + place * 1000, 0.0) for place in range(300)])])
    with pytest.raises(LimitExceeded, match=message):
        limited(stocked, **limit).range(query, 0, 1800, 30)


def test_a_query_that_runs_too_long_is_stopped(stocked: Stocked):
    with pytest.raises(TimedOut, match="limit timeout"):
        limited(stocked, seconds=1e-9).instant("x", 30)
    with pytest.raises(TimedOut, match="limit timeout"):
        stocked.promql.instant("x", 30, question=Question(1e-9))


def test_a_query_that_nobody_waits_for_ends_at_its_next_step(stocked: Stocked):
    question = Question(60)
    question.give_up()
    with pytest.raises(Cancelled, match="who asked has hung up"):
        stocked.promql.range("sum(x) + 1", 0, 60, 30, question=question)


def test_a_long_computation_ends_in_its_midst(stocked: Stocked, monkeypatch: pytest.MonkeyPatch):
    ticks = itertools.count()
    asked = partial(stocked.promql.range, "quantile_over_time(0.5, x[5m])", 0, 1800, 30)
    asked(question=Question(20, monotonic=lambda: next(ticks)))  # looked at the clock a few times
    monkeypatch.setattr(windows, "_BLOCK_CELLS", 64)
    with pytest.raises(TimedOut, match="ran longer than 20 s"):
        asked(question=Question(20, monotonic=lambda: next(ticks)))


def test_a_monstrous_expression_is_refused_before_it_can_harm(stocked: Stocked):
    for query in (
        "(" * 5000 + "1" + ")" * 5000,
        "1" + " + 1" * 5000,
        "-" * 5000 + "1",
        "abs(" * 5000 + "x" + ")" * 5000,
    ):
        with pytest.raises(BadInput, match="more than 200 operators and parentheses"):
            stocked.promql.instant(query, 0)
    with pytest.raises(BadInput, match="more than 20000 words"):
        stocked.promql.instant("sum by (" + "a, " * 30_000 + "a) (x)", 0)
    assert stocked.promql.instant(" + ".join(["1"] * 200), 0) == Scalar(0, 200.0)
    assert len(stocked.promql.vector(" or ".join(["x"] * 200), 0)) == 39


def test_a_failure_on_the_data_is_told_from_one_of_the_text(stocked: Stocked):
    with pytest.raises(QueryFailed, match="many-to-many matching not allowed") as caught:
        stocked.promql.instant("x * on () x", 0)
    assert (caught.value.status, caught.value.code) == (422, "execution")


def test_equal_selectors_are_read_once(stocked: Stocked, monkeypatch: pytest.MonkeyPatch):
    read = []
    grid = SampleStore.grid

    def counted(store: SampleStore, *args: Any, **kwargs: Any) -> GridValues:
        read.append(args)
        return grid(store, *args, **kwargs)

    monkeypatch.setattr(SampleStore, "grid", counted)
    stocked.promql.range("rate(x[5m]) / (rate(x[5m]) + 1) > rate(x[5m]) or rate(x[4m])", 0, 600, 60)
    assert len(read) == 2


def test_a_metric_without_native_histograms_costs_no_look_for_them(stocked: Stocked, monkeypatch: pytest.MonkeyPatch):
    asked: list[str] = []
    real = stocked.engine.arrow

    def counting(sql: str, *args: Any, **kwargs: Any) -> Any:
        asked.append(sql)
        return real(sql, *args, **kwargs)

    monkeypatch.setattr(stocked.engine, "arrow", counting)
    stocked.add([(Labels({"__name__": "size"}), [(0, NativeHistogram(0, 1.0, 1.0))])])
    stocked.promql.instant("x", 0)
    assert ["histograms" in sql for sql in asked] == [False]
    [item] = stocked.promql.vector("size", 0)
    assert item.histogram is not None
    assert any("histograms" in sql for sql in asked)


def test_a_staleness_marker_that_is_a_histogram_ends_the_series(stocked: Stocked):
    one = NativeHistogram(0, 1.0, 1.0)
    stocked.add([(Labels({"__name__": "size"}), [(0, one), (15_000, STALE_HISTOGRAM), (30_000, one)])])
    shown = stocked.promql.range("size", 0, 45, 15)
    assert [each.ts_ms.tolist() for each in shown] == [[0, 30_000, 45_000]]
    [count] = stocked.promql.vector("count_over_time(size[1m])", 45)
    assert count.value == 2


def test_a_histogram_weighs_fifty_samples_against_the_limit(stocked: Stocked):
    stocked.add([(Labels({"__name__": "size"}), [(at, NativeHistogram(0, 1.0, 1.0)) for at in range(3)])])
    with pytest.raises(LimitExceeded, match="more than 2 histograms"):
        limited(stocked, samples=149).instant("size", 1)
    assert len(limited(stocked, samples=150).vector("size", 1)) == 1


@pytest.mark.parametrize(
    ("query", "warnings", "infos"),
    [
        ("rate(size[1m])", ['encountered a mix of histograms and floats for metric name "size" (1:6)'], []),
        (
            "max_over_time(size[1m])",
            [],
            ['ignored histograms in a range containing both floats and histograms for metric name "size" (1:15)'],
        ),
        ("count_over_time(size[1m])", [], []),
        ('sum({__name__=~"size|x"})', ["encountered a mix of histograms and floats for aggregation (1:5)"], []),
        ("max(size)", [], ["ignored histogram in max aggregation (1:5)"]),
        ("size + 1", [], ['incompatible sample types encountered for binary operator "+": histogram + float (1:1)']),
        (
            "x or\n 2 / size",
            [],
            ['incompatible sample types encountered for binary operator "/": float / histogram (2:2)'],
        ),
        (
            "size < size",
            [],
            ['incompatible sample types encountered for binary operator "<": histogram < histogram (1:1)'],
        ),
        ("size * 2", [], []),
    ],
)
def test_what_is_left_out_beside_native_histograms_is_noted(
    stocked: Stocked, query: str, warnings: list[str], infos: list[str]
):
    stocked.add([(Labels({"__name__": "size"}), [(0, 1.0), (15_000, NativeHistogram(0, 1.0, 1.0))])])
    for ask in (stocked.promql.instant, lambda text, at, notes: stocked.promql.range(text, at, at, 1, notes=notes)):
        notes = Notes()
        ask(query, 15, notes=notes)
        assert notes.warnings == [f"PromQL warning: {text}" for text in warnings]
        assert notes.infos == [f"PromQL info: {text}" for text in infos]


def _histogram(of: float, *, bounds: tuple[float, ...] = (), hint: ResetHint = ResetHint.UNKNOWN) -> NativeHistogram:
    schema = CUSTOM_BUCKETS if bounds else 0
    return NativeHistogram(schema, of, of, 0.0, 0.0, Buckets((0,), (1,), (of,)), Buckets(), bounds, hint)


def _with_native_histograms() -> list[tuple[Labels, Points]]:
    nan = replace(_histogram(4.0), sum=math.nan, count=8.0)
    told = {
        "plain": [_histogram(1.0), _histogram(2.0), _histogram(4.0)],
        "gauges": [_histogram(float(value), hint=ResetHint.GAUGE) for value in (1, 2, 1)],
        "kinds": [_histogram(1.0), _histogram(5.0, bounds=(1.0,)), _histogram(9.0)],
        "bounds": [_histogram(1.0, bounds=(1.0, 2.0)), _histogram(2.0, bounds=(2.0,)), _histogram(3.0, bounds=(2.0,))],
        "hints": [
            _histogram(5.0, hint=ResetHint.NO),
            _histogram(2.0, hint=ResetHint.YES),
            _histogram(3.0, hint=ResetHint.NO),
        ],
        "lost": [nan, nan, nan],
    }
    return [
        (Labels({"__name__": name}), [(at * 15_000, value) for at, value in enumerate(values)])
        for name, values in told.items()
    ]


_MIXED = "vector contains a mix of histograms with exponential and custom buckets schemas for metric name"
_NO_COUNTER = "metric might not be a counter, name does not end in _total/_sum/_count/_bucket:"
_QUANTILE = "quantile value should be between 0 and 1, got"
_RATIO = "ratio value should be between -1 and 1, got"
_FORCED = (
    "input to histogram_quantile needed to be fixed for monotonicity (see "
    "https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile), from buckets"
)


@pytest.mark.parametrize(
    ("query", "warnings", "infos"),
    [
        ("rate(gauges[1m])", ['this native histogram metric is not a counter: "gauges" (1:6)'], []),
        ("irate(gauges[1m])", ['this native histogram metric is not a counter: "gauges" (1:7)'], []),
        ("delta(plain[1m])", ['this native histogram metric is not a gauge: "plain" (1:7)'], []),
        ("idelta(plain[1m])", ['this native histogram metric is not a gauge: "plain" (1:8)'], []),
        ("rate(plain[1m]) + delta(gauges[1m])", [], []),
        ("rate(kinds[1m])", [f'{_MIXED} "kinds" (1:6)'], []),
        ("irate(kinds[1m])", [], []),
        ("sum_over_time(kinds[1m])", [f'{_MIXED} "kinds" (1:15)'], []),
        ('sum({__name__=~"bounds|plain"})', [f'{_MIXED} "plain" (1:5)'], []),
        ("plain - on () bounds", ["incompatible bucket layout encountered for binary operator - (1:1)"], []),
        (
            "delta(bounds[1m])",
            ['this native histogram metric is not a gauge: "bounds" (1:7)'],
            ["mismatched custom buckets were reconciled during subtraction (1:7)"],
        ),
        ("avg_over_time(bounds[1m])", [], ["mismatched custom buckets were reconciled during aggregation (1:15)"]),
        ("bounds + on () (bounds offset 30s)", [], ["mismatched custom buckets were reconciled during addition (1:1)"]),
        ("sum_over_time(hints[1m])", ["conflicting counter resets during histogram aggregation (1:15)"], []),
        ("hints - (hints offset 15s)", ["conflicting counter resets during histogram subtraction (1:1)"], []),
        ("rate(hints[1m])", [], []),
        (
            "histogram_quantile(0.1, lost)",
            [],
            ["input to histogram_quantile has NaN observations, result is skewed higher (1:20)"],
        ),
        (
            "histogram_quantile(0.9, lost)",
            [],
            ["input to histogram_quantile has NaN observations, result is NaN (1:20)"],
        ),
        (
            "histogram_fraction(0, 1, lost)",
            [],
            ["input to histogram_fraction has NaN observations, which are excluded from all fractions (1:20)"],
        ),
        ("histogram_quantile(2, plain)", [f"{_QUANTILE} 2 (1:20)"], []),
        ("topk(1, plain)", [], ["ignored histogram in topk aggregation (1:1)"]),
    ],
)
def test_what_is_doubtful_about_native_histograms_is_noted(
    stocked: Stocked, query: str, warnings: list[str], infos: list[str]
):
    stocked.add(_with_native_histograms())
    _check_notes(stocked, query, 30, warnings, infos)


_FELL = "2 to +Inf, with a max diff of 4, over 1 samples from 1970-01-01T00:10:00Z to 1970-01-01T00:10:00Z"


@pytest.mark.parametrize(
    ("query", "warnings", "infos"),
    [
        ("rate(x[1m])", [], [f'{_NO_COUNTER} "x" (1:6)']),
        ("sum(increase(x[10m]))", [], [f'{_NO_COUNTER} "x" (1:14)']),
        ("rate(x[1m]) /\n rate(x[2m])", [], [f'{_NO_COUNTER} "x" (2:7)']),
        ("rate(x[1m]) / rate(x[1m])", [], [f'{_NO_COUNTER} "x" (1:20)']),
        ("max_over_time(rate(x[1m])[2m:1m])", [], [f'{_NO_COUNTER} "x" (1:20)']),
        ("rate((x > 0)[2m:30s])", [], [f'{_NO_COUNTER} "x" (1:6)']),
        ("rate(x[1m] @ 300)", [], [f'{_NO_COUNTER} "x" (1:6)']),
        ("irate(x[1m]) or rate(nothing[1m]) or rate(odd_bucket[1m]) or delta(x[1m])", [], []),
        ("quantile(1.5, x)", [f"{_QUANTILE} 1.5 (1:10)"], []),
        ("quantile(NaN, x)", [f"{_QUANTILE} NaN (1:10)"], []),
        ("quantile_over_time(-1, x[1m])", [f"{_QUANTILE} -1 (1:20)"], []),
        ("quantile_over_time(-1, nothing[1m])", [], []),
        ("histogram_quantile(+Inf, odd_bucket)", [f"{_QUANTILE} +Inf (1:20)"], []),
        ("limit_ratio(-2, x)", [f"{_RATIO} -2, capping to -1 (1:13)"], []),
        ("limit_ratio(1.5, x)", [f"{_RATIO} 1.5, capping to 1 (1:13)"], []),
        ("histogram_quantile(0.5, x)", ['bucket label "le" is missing or has a malformed value of "" (1:25)'], []),
        (
            'histogram_fraction(0, 1, label_replace(x, "le", "m\\"1", "", ""))',
            ['bucket label "le" is missing or has a malformed value of "m\\"1" (1:26)'],
            [],
        ),
        (
            "histogram_quantile(0.5, odd_bucket)",
            [],
            [f"{_FORCED} {_FELL} (1:25)"],
        ),
        (
            'histogram_quantiles(odd_bucket, "q", 0.5, 3)',
            [f"{_QUANTILE} 3 (1:43)"],
            [f"{_FORCED} {_FELL} (1:21)"],
        ),
    ],
)
def test_what_is_doubtful_about_numbers_is_noted(stocked: Stocked, query: str, warnings: list[str], infos: list[str]):
    buckets = {"1": 5.0, "2": 1.0, "+Inf": 3.0}
    stocked.add(
        [(Labels({"__name__": "odd_bucket", "le": le}), [(570_000, of), (600_000, of)]) for le, of in buckets.items()]
    )
    _check_notes(stocked, query, 600, warnings, infos)


def _check_notes(stocked: Stocked, query: str, at: int, warnings: list[str], infos: list[str]) -> None:
    for engine in (stocked.promql, stocked.plain):
        for ask in (engine.instant, lambda text, at, notes: engine.range(text, at, at, 1, notes=notes)):  # noqa: B023
            notes = Notes()
            ask(query, at, notes=notes)
            assert notes.warnings == [f"PromQL warning: {text}" for text in warnings]
            assert notes.infos == [f"PromQL info: {text}" for text in infos]


def test_forced_monotonicity_is_told_once_for_all_steps_and_sorting_of_ranges(stocked: Stocked):
    rising = [(at * 60_000, float(at)) for at in range(11)]
    buckets = [("1", rising), ("2", [(at, 5.0) for at, _ in rising]), ("+Inf", [(at, 6.0) for at, _ in rising])]
    stocked.add([(Labels({"__name__": "odd_bucket", "le": le}), points) for le, points in buckets])
    notes = Notes()
    stocked.promql.range("sort_desc(histogram_quantile(0.5, odd_bucket))", 0, 600, 60, notes=notes)
    assert notes.warnings == [
        "PromQL warning: sort is ineffective for range queries since results are always ordered by labels (1:1)"
    ]
    assert notes.infos == [
        f"PromQL info: {_FORCED} 2 to +Inf, with a max diff of 5, over 5 samples"
        " from 1970-01-01T00:06:00Z to 1970-01-01T00:10:00Z (1:35)"
    ]


def test_more_than_ten_annotations_of_a_kind_are_counted():
    remarks, notes = Remarks(1), Notes()
    for number in range(12):
        remarks.say(ignored_in_aggregation(str(number)), 0)
    notes.tell("x", remarks)
    assert (len(notes.infos), notes.infos[-1], notes.warnings) == (11, "2 more info annotations omitted", [])


def test_which_metrics_have_native_histograms_is_known_after_a_restart(stocked: Stocked):
    stocked.add([(Labels({"__name__": "size"}), [(0, NativeHistogram(0, 1.0, 1.0))])])
    again = load_series(stocked.engine)
    [item] = PromQL(SampleStore(stocked.engine, again)).vector("size", 0)
    assert item.histogram is not None


def test_one_engine_serves_many_threads(stocked: Stocked):
    wanted = stocked.promql.vector("sum by (a) (rate(x[10m])) * 2", 900)
    wrong: list[object] = []

    def ask() -> None:
        for _ in range(5):
            try:
                got: object = stocked.promql.vector("sum by (a) (rate(x[10m])) * 2", 900)
            except Exception as error:
                got = error
            if got != wanted:
                wrong.append(got)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_the_plan_shows_what_is_read_and_what_is_fixed(stocked: Stocked):
    shown = stocked.promql.explain('sum by (a) (rate(x{b!="c"}[5m] offset 1m)) / on (a) (y @ end()) + 2 * 3', 0, 600)
    assert shown.splitlines() == [
        "Operate op=+ return_bool=False",
        "  Operate op=/ matching=one-to-one/on(a) return_bool=False",
        "    Aggregate op=sum grouping=by(a)",
        '      Leaf function=rate matchers={__name__="x", b!="c"} window_ms=300000 offset_ms=60000 named=False',
        "    Fixed",
        '      Leaf function=latest matchers={__name__="y"} offset_ms=0 at_ms=600000 named=True',
        "  Constant value=6.0",
    ]


@pytest.mark.parametrize("groups", [1, 3, 1000])
def test_many_small_terms_add_up_to_what_they_are(groups: int):
    """However the groups lie: few large ones, or many small ones."""
    labels = LabelSets.of([Labels({"g": str(row % groups), "row": str(row)}) for row in range(3000)])
    block = Block(labels, np.full((3000, 2), 1 / 15), np.ones((3000, 2), dtype=bool))
    found = aggregate("sum", block, Grouping(("g",)), None)
    assert found.values.tolist() == [[math.fsum([1 / 15] * (3000 // groups))] * 2] * groups
