"""Annotations of parts that are evaluated at grids of their own: what is said never changes what is answered, nor fails it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiprism.errors import AiprismError
from aiprism.model.histograms import CUSTOM_BUCKETS, Buckets, NativeHistogram, ResetHint
from aiprism.model.labels import Labels
from aiprism.query.promql import Notes, PromQL
from aiprism.query.promql.notes import Remarks
from aiprism.query.promql.results import Results
from aiprism.store.engine import Engine
from aiprism.store.schema import migrate
from aiprism.web import prometheus_json
from tests.query.promql.stocked import Points, Sample, Stocked

EVERY = range(0, 1_200_000, 30_000)


def _histogram(of: float, *, bounds: tuple[float, ...] = (), hint: ResetHint = ResetHint.UNKNOWN) -> NativeHistogram:
    schema = CUSTOM_BUCKETS if bounds else 0
    return NativeHistogram(schema, of, of, 0.0, 0.0, Buckets((0,), (1,), (of,)), Buckets(), bounds, hint)


def _series(name: str, values: Sequence[Sample], **labels: str) -> tuple[Labels, Points]:
    """One that takes those values in turn."""
    turns = [(ts, values[number % len(values)]) for number, ts in enumerate(EVERY)]
    return Labels({"__name__": name, **labels}), turns


def _doubtful() -> Iterator[tuple[Labels, Points]]:
    lost = replace(_histogram(4.0), sum=float("nan"), count=8.0)
    yield from (_series("odd_bucket", values, le=le) for le, values in (("1", [5.0] * 9 + [1.0] * 9), ("2", [1.0])))
    yield _series("odd_bucket", [6.0], le="+Inf")
    yield _series("x", [0.0, 3.0, 2.0, -2.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5])
    late = _series("late", [2.0])
    yield late[0], late[1][len(EVERY) // 2 :]
    yield _series("plain", [_histogram(1.0), _histogram(2.0)])
    yield _series("gauges", [_histogram(float(value), hint=ResetHint.GAUGE) for value in (1, 2, 1)])
    yield _series("kinds", [_histogram(1.0), _histogram(5.0, bounds=(1.0,)), 4.0])
    yield _series("bounds", [_histogram(1.0, bounds=(1.0, 2.0)), _histogram(2.0, bounds=(2.0,))])
    yield _series("hints", [_histogram(5.0, hint=ResetHint.NO), _histogram(2.0, hint=ResetHint.YES)])
    yield _series("lost", [lost, _histogram(2.0)])
    yield from (_series("both", [float(le)], le=le) for le in ("1", "2", "+Inf"))
    yield _series("both", [_histogram(2.0)])


class Asked(NamedTuple):
    """Two engines on one store; one keeps results."""

    fresh: PromQL
    kept: PromQL


@pytest.fixture(scope="module")
def asked(chdb_url: str) -> Iterator[Asked]:
    engine = Engine.open(chdb_url, database=f"notes_{uuid.uuid4().hex}")
    migrate(engine)
    stocked = Stocked.on(engine)
    stocked.add(_doubtful())
    yield Asked(stocked.promql, PromQL(stocked.samples, results=Results(1 << 24)))
    engine.command(f"DROP DATABASE {engine.database}")
    engine.close()


# -- how often buckets were raised is counted over all grids -----------------------------------------------------------------

Q = "histogram_quantile(0.5, odd_bucket)"


def _forced(said: Notes) -> str:
    [info] = said.infos
    return info.partition("max diff of ")[2].partition(" (")[0]


@pytest.mark.parametrize("query", [f"max_over_time({Q}[3m:1m]) + {Q}", f"{Q} + max_over_time({Q}[3m:1m])"])
def test_what_is_said_in_a_subquery_and_outside_of_it_is_counted_together(asked: Asked, query: str):
    at_once, of_all = Notes(), Notes()
    asked.fresh.instant(query, 180, notes=at_once)
    assert _forced(at_once) == "4, over 4 samples from 1970-01-01T00:01:00Z to 1970-01-01T00:03:00Z"
    # Of each: 9 half minutes of 18, from the beginning on; the subquery begins before it, where nothing is.
    asked.fresh.range(query, 0, 240, 60, notes=of_all)
    assert _forced(of_all) == "4, over 10 samples from 1970-01-01T00:00:00Z to 1970-01-01T00:04:00Z"


def test_subqueries_of_different_ranges_are_counted_together(asked: Asked):
    for query in ("a[3m:1m]) + max_over_time(a[2m:30s])", "a[2m:30s]) + max_over_time(a[3m:1m])"):
        said = Notes()
        asked.fresh.instant(f"max_over_time({query}".replace("a[", f"{Q}["), 180, notes=said)
        assert _forced(said) == "4, over 7 samples from 1970-01-01T00:01:00Z to 1970-01-01T00:03:00Z"


def test_buckets_are_told_of_in_years_of_five_digits(asked: Asked):
    said = Notes()
    asked.fresh.instant("histogram_quantile(0.5, odd_bucket @ 60)", 300_000_000_000, notes=said)
    assert _forced(said) == "4, over 1 samples from 11476-08-15T05:20:00Z to 11476-08-15T05:20:00Z"


def test_what_is_kept_tells_the_place_of_what_is_doubtful_at_the_steps_asked_for(asked: Asked):
    query = "rate(x[1m]) or\n rate(x[1m] offset 15m)"
    for start, end in ((60, 600), (60, 1200), (60, 600)):
        assert _of_range(asked.kept, query, start, end, 60) == _of_range(asked.fresh, query, start, end, 60)


def test_what_is_said_of_the_argument_of_a_range_is_said_of_its_last_place(asked: Asked):
    said = Notes()
    asked.fresh.instant(" +\n ".join(["quantile_over_time(scalar(quantile(2, x)), x[1m])"] * 2), 300, notes=said)
    assert [each.rpartition(" ")[2] for each in said.warnings] == ["(2:37)", "(2:21)"]


# -- whatever is said of whatever grids --------------------------------------------------------------------------------------

_WHEN = st.sampled_from(("", "", "", " offset 1m", " offset -2m", " @ 300", " @ end()", " @ start() offset -1m"))
# Something is to be said of each; {} stands for when.
_SAID = st.sampled_from((
    "histogram_quantile(0.5, odd_bucket{0})", "histogram_quantile(0.9, odd_bucket{0} * on (le) odd_bucket)",
    'histogram_quantiles(odd_bucket{0}, "q", 0.5, 3)', "histogram_quantile(scalar(x), odd_bucket{0})",
    "histogram_quantile(0.5, x{0})", "histogram_fraction(0, 1, late{0})", "histogram_quantile(0.5, {{__name__='both'}}{0})",
    "histogram_quantile(0.1, lost{0})", "histogram_quantile(0.9, lost{0})", "histogram_fraction(0, 1, lost{0})",
    "rate(x[1m]{0})", "increase(late[2m]{0})", "rate(gauges[1m]{0})", "irate(gauges[1m]{0})", "delta(plain[1m]{0})",
    "idelta(plain[1m]{0})", "rate(kinds[2m]{0})", "sum_over_time(kinds[2m]{0})", "max_over_time(kinds[2m]{0})",
    "delta(bounds[1m]{0})", "avg_over_time(bounds[1m]{0})", "sum_over_time(hints[1m]{0})", "hints{0} - (hints offset 30s)",
    "plain{0} - on () bounds", "bounds{0} + on () (bounds offset 30s)", "plain{0} > on () x", "plain{0} ^ 2",
    'sum({{__name__=~"bounds|plain"}}{0})', 'avg({{__name__=~"x|plain"}}{0})', "topk(1, plain{0})", "max(kinds{0})",
    "quantile(1.5, x{0})", "quantile(scalar(x), late{0})", "quantile(scalar(x{0}), x)", "limit_ratio(-2, x{0})",
    "quantile_over_time(-1, x[1m]{0})", "quantile_over_time(scalar(x), late[1m]{0})", "sort(x{0})",
))  # fmt: skip
_SPANS = st.sampled_from(("3m:1m", "3m:1m", "2m:30s", "1m:", "4m30s:20s", "10s:1m"))
_ABOVE = st.sampled_from((
    "max_over_time(({0})[{1}]{2})", "max_over_time(({0})[{1}]{2})", "rate(({0})[{1}]{2})", "sum_over_time(({0})[{1}]{2})",
    "absent_over_time(({0})[{1}]{2})", "quantile_over_time(-0.5, ({0})[{1}]{2})", "sum({0})", "topk(1, {0})",
    "quantile(2, {0})", "quantile(scalar(max({0})), x)", "-({0})", "sort_desc({0})", "absent({0})", "vector(scalar({0}))",
    "quantile_over_time(scalar({0}), x[1m]{2})", "quantile_over_time(scalar({0}), x[2m:20s]{2})", "({0}) * 2",
    "label_replace({0}, 'a', 'b', '', '')", "clamp({0}, 0, scalar(x))",
))  # fmt: skip
_BETWEEN = st.sampled_from((
    "({0}) + ({1})", "max({0}) + max({1})", "max({0}) == bool max({1})", "({0}) or ({1})", "({0}) and on () ({1})",
    "({0}) unless on () ({1})", "({0}) - on () group_left () max({1})", "max({0}) < max({1})", "sum({0}) / sum({1})",
))  # fmt: skip


def _larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.builds(str.format, _ABOVE, inner, _SPANS, _WHEN) | st.builds(str.format, _BETWEEN, inner, inner)


_QUERIES = st.recursive(st.builds(str.format, _SAID, _WHEN), _larger, max_leaves=4)
# Ends of ranges: with the same beginning later ones extend what is kept, earlier ones are cut out of it.
_STEPS = st.tuples(st.sampled_from((0, 60, 300)), st.sampled_from((60, 60, 100)))
_ENDS = st.lists(st.integers(2, 14), min_size=2, max_size=3)


def _of_instant(engine: PromQL, query: str, at: float) -> tuple[object, list[str]]:
    said = Notes()
    try:
        found: object = prometheus_json.result(engine.instant(query, at, notes=said))
    except AiprismError as error:
        return str(error), []
    return found, sorted(said.warnings + said.infos)


def _of_range(engine: PromQL, query: str, start: float, end: float, step: float) -> tuple[object, list[str]]:
    said = Notes()
    try:
        found: object = prometheus_json.result(engine.range(query, start, end, step, notes=said))
    except AiprismError as error:
        return str(error), []
    return found, sorted(said.warnings + said.infos)


@settings(max_examples=40)
@given(query=_QUERIES, steps=_STEPS, ends=_ENDS)
def test_what_is_said_changes_no_answer_and_is_the_same_of_what_is_kept(
    asked: Asked, query: str, steps: tuple[int, int], ends: list[int]
):
    start, step = steps
    ranges = [(start, start + count * step, step) for count in ends]
    fresh = [_of_range(asked.fresh, query, *each) for each in ranges]
    instants = [_of_instant(asked.fresh, query, end) for _, end, _ in ranges]
    assert [_of_range(asked.kept, query, *each) for each in ranges] == fresh
    with pytest.MonkeyPatch.context() as nothing:
        nothing.setattr(Remarks, "say", lambda *_: None)
        assert [_of_range(asked.fresh, query, *each) for each in ranges] == [(found, []) for found, _ in fresh]
        assert [_of_instant(asked.fresh, query, end) for _, end, _ in ranges] == [(found, []) for found, _ in instants]
