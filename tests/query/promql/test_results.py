"""Results kept from refresh to refresh: always those of a fresh evaluation, to the bit, whatever is stored meanwhile."""

from __future__ import annotations

import random
import uuid
from collections import Counter
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest

from aiprism.clock import FakeClock
from aiprism.config import RetentionConfig
from aiprism.errors import AiprismError, Unavailable
from aiprism.model.histograms import NativeHistogram
from aiprism.model.labels import Labels
from aiprism.query.promql import Notes, PromQL
from aiprism.query.promql.blocks import Block
from aiprism.query.promql.labelsets import LabelSets
from aiprism.query.promql.notes import MIXED_AGGREGATION, Remarks
from aiprism.query.promql.parse import parse
from aiprism.query.promql.plan import Node, plan
from aiprism.query.promql.results import Computed, Read, Results, reads
from aiprism.store.batches import HistogramSample, SampleBatch
from aiprism.store.columns import Bools, Ints
from aiprism.store.engine import Engine
from aiprism.store.grids import Steps
from aiprism.store.housekeeping import Housekeeping
from aiprism.store.metricwriting import MetricWriter
from aiprism.store.recent import Recent
from aiprism.store.rollups import Rollups
from aiprism.store.samples import SampleStore
from aiprism.store.series import SeriesIndex
from aiprism.telemetry import Telemetry
from aiprism.web import prometheus_json
from tests.query.promql.dataset import END, START, dataset
from tests.query.promql.queries import BY_HAND, generated
from tests.query.promql.script import same
from tests.query.promql.stocked import Points, Sample

MINUTE = 60_000
ALWAYS = (
    "sum by (status) (rate(requests_total[2m]))",
    "sum(temperature)",
    "avg without (instance) (temperature offset 2m)",
    "temperature offset -3m",
    f"temperature - on (job, instance) group_left () (queue @ {START + 900})",
    "max_over_time(sum(queue)[3m:30s])",
    "topk(2, temperature)",
    "stddev(odd) or sparse",
    "sum_over_time(temperature[1m] offset 30s)",
    "histogram_quantile(0.9, sum by (le) (rate(latency_seconds_bucket[3m])))",
    "absent(sparse)",
    "-temperature",
    "sum(mixed)",
    "rate(mixed[2m])",
    "scalar(steady{kind='five'}) + time()",
    # Of these there is something to say, of some steps or of all.
    "rate(temperature[2m])",
    "sum by (job) (increase(queue[1m] offset 1m)) / sum by (job) (increase(queue[1m]))",
    "max_over_time(rate(temperature[1m])[2m:1m])",
    "max(mixed)",
    "mixed * mixed",
    "delta(mixed[2m])",
    "quantile(1.5, temperature)",
    "quantile_over_time(-1, temperature[1m])",
    "histogram_quantile(time() / 3, latency_seconds_bucket)",
    "histogram_quantile(0.5, rate(latency_seconds_bucket[3m]) * on (job, instance, le) group_left () (temperature > bool 20))",
    "sort(temperature)",
)


class Growing:
    """A store that samples come into as they do in life, and two engines on it: one keeps results, one does not."""

    def __init__(self, engine: Engine, *, pushdown: bool) -> None:
        self.index, self.telemetry = SeriesIndex(), Telemetry()
        self._writer = MetricWriter(engine, self.index)
        store = SampleStore(engine, self.index, recent=Recent(1 << 26))
        self.results = Results(1 << 26, telemetry=self.telemetry)
        self.fresh = PromQL(store, pushdown=pushdown)
        self.kept = PromQL(store, pushdown=pushdown, results=self.results)
        self.index.tell(self.results)

    def add(self, samples: list[tuple[Labels, int, Sample]]) -> None:
        """Store one batch."""
        if not samples:
            return
        positions = self.index.admit([labels for labels, _, _ in samples], 0.0)
        plain = [number for number, (_, _, value) in enumerate(samples) if isinstance(value, float)]
        histograms = [
            HistogramSample(int(position), ts, value)
            for position, (_, ts, value) in zip(positions, samples, strict=True)
            if not isinstance(value, float)
        ]
        batch = SampleBatch(
            positions[plain],
            np.array([samples[number][1] for number in plain], dtype=np.int64),
            np.array([samples[number][2] for number in plain], dtype=np.float64),
            histograms=histograms,
        )
        self._writer.insert([batch], uuid.uuid4().hex, 0.0)

    def outcomes(self) -> Counter[str]:
        """How often the results were asked with which outcome."""
        [family] = [each for each in self.telemetry.registry.collect() if each.name == "aiprism_query_cache_requests"]
        return Counter(
            {each.labels["outcome"]: int(each.value) for each in family.samples if each.name.endswith("_total")}
        )


def _shown(engine: PromQL, query: str, start: float, end: float, step: float) -> object:
    """The answer and what is said of it, as it goes out: every bit of a number shows but for the sign of NaN."""
    notes = Notes()
    try:
        found = engine.range(query, start, end, step, notes=notes)
    except AiprismError as error:
        return str(error)
    return prometheus_json.result(found), notes.warnings, notes.infos


class _Senders:
    """Targets that lag, hold some samples back, and now and then send another value for one they sent before."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        histograms: list[tuple[int, Sample]] = [
            (ts, NativeHistogram(0, ts / 60_000 % 97, 1.0)) for ts in range(START * 1000, END * 1000, 40_000)
        ]
        numbers: list[tuple[int, Sample]] = [(ts, ts / 1000 % 89) for ts in range(START * 1000, END * 1000, 15_000)]
        mixed: list[tuple[Labels, Points]] = [
            (Labels({"__name__": "mixed", "kind": "native"}), histograms),
            (Labels({"__name__": "mixed", "kind": "float"}), numbers),
        ]
        self._waiting: list[tuple[int, Labels, int, Sample]] = []  # when it is sent, what is sent
        for labels, points in [*dataset(), *mixed]:
            lag, begins = chance.choice((0, 0, 0, 20, 45)) * 1000, START * 1000 + chance.choice((0, 0, 0, 900_000))
            ends = chance.choice((END, END, END, START + 1200)) * 1000
            self._waiting += [
                (ts + (chance.randrange(400_000) if chance.random() < 0.01 else lag), labels, ts, value)
                for ts, value in points
                if begins <= ts <= ends
            ]

    def sent(self, until_ms: int) -> list[tuple[Labels, int, Sample]]:
        """What is sent up to that time and was not before."""
        due = [each for each in self._waiting if each[0] <= until_ms]
        self._waiting = [each for each in self._waiting if each[0] > until_ms]
        again = [
            (until_ms + self._chance.randrange(300_000), labels, ts, value + 1)
            for _, labels, ts, value in due
            if isinstance(value, float) and self._chance.random() < 0.0005
        ]
        self._waiting += again
        return [(labels, ts, value) for _, labels, ts, value in due]


def test_what_is_kept_is_what_would_be_computed(engine: Engine):
    growing, chance = Growing(engine, pushdown=False), random.Random(8)
    senders = _Senders(chance)
    hand = [query for queries in BY_HAND.values() for query in queries]
    pool = [*ALWAYS, *chance.sample(hand, 12), *generated(chance, 12)]
    for turn in range(14):
        now = START + 700 + turn * 90
        if turn % 4:
            growing.add(senders.sent(now * 1000))
        for query in chance.sample(pool, 12):
            asked = (query, *_times(chance, now))
            assert _shown(growing.kept, *asked) == _shown(growing.fresh, *asked), f"{query} in turn {turn}: {asked}"
    outcomes = growing.outcomes()
    assert outcomes["partial"] > 40, outcomes


def test_what_the_store_computes_differs_by_rounding_only(engine: Engine):
    growing, chance = Growing(engine, pushdown=True), random.Random(9)
    senders = _Senders(chance)
    for turn in range(5):
        now = START + 900 + turn * 75
        growing.add(senders.sent(now * 1000))
        for query in (*ALWAYS, "sum(rate(requests_total[2m]))", "deriv(temperature[2m])", "sum_over_time(odd[2m])"):
            asked = (query, *_times(chance, now))
            kept, fresh = growing.kept.range(*asked), growing.fresh.range(*asked)
            assert [each.labels for each in kept] == [each.labels for each in fresh], asked
            for mine, theirs in zip(kept, fresh, strict=True):
                assert mine.ts_ms.tolist() == theirs.ts_ms.tolist(), asked
                assert all(same(a, b, 1e-9) for a, b in zip(mine.values, theirs.values, strict=True)), asked


def _times(chance: random.Random, now: float) -> tuple[float, float, int]:
    """Start, end and step of a question about the last minutes, mostly such that another one continues it."""
    step = chance.choice((15, 15, 15, 15, 30))
    end = (now - chance.choice((0, 0, 0, 90))) // step * step + (chance.random() < 0.1) / 2
    return end - chance.choice((450, 600)), end, step


@pytest.mark.parametrize(
    ("query", "read"),
    [
        ("x", {Read("x", 0)}),
        ("rate(x[5m] offset 1m) / on () group_left () sum(y offset -1m)", {Read("x", MINUTE), Read("y", -MINUTE)}),
        ("max_over_time((x offset 1m)[1h:1m] offset 2m)", {Read("x", 3 * MINUTE)}),
        ("x @ 60", {Read("x", 0, MINUTE)}),
        ("x @ 180 offset 1m + x", {Read("x", 0, 2 * MINUTE), Read("x", 0)}),
        ("x @ end()", {Read("x", 0, 100 * MINUTE)}),
        ("max_over_time((x offset 1m)[1h:1m] @ 600)", {Read("x", 0, 9 * MINUTE)}),
        ("quantile_over_time(scalar(y), x[1m] offset 1m)", {Read("x", MINUTE), Read("y", 0)}),
        ("-sum(x)", {Read("x", 0)}),
        ('{"x", a="b"}', {Read("x", 0)}),
        ("time()", set()),
        # Of any metrics, or of series that differ in their names only.
        ('{a="b"}', None),
        ('rate({__name__=~"x|y"}[5m])', None),
        ("-(x or y)", None),
        ("rate((x or y)[5m:])", None),
        ('-label_replace(x, "__name__", "$1", "a", "(.*)")', None),
        ("sum(rate((x and y)[5m:]))", {Read("x", 0), Read("y", 0)}),
        ("last_over_time((x or y)[5m:])", {Read("x", 0), Read("y", 0)}),
        ("info(x)", None),
    ],
)
def test_what_a_query_reads_is_known(query: str, read: set[Read] | None):
    assert reads(plan(parse(query), 0, 100 * MINUTE)) == read


def test_samples_end_what_is_known_at_the_first_step_that_sees_them():
    assert Read("x", 0).last_without(MINUTE) == MINUTE - 1
    assert Read("x", 30_000).last_without(MINUTE) == MINUTE + 30_000 - 1
    assert Read("x", 0, MINUTE - 1).last_without(MINUTE) > 10**15
    assert Read("x", 0, MINUTE).last_without(MINUTE) < 0


class _Computing:
    """A query with one series whose value is the step; remembers what it was asked to compute."""

    def __init__(self, *, lasting: bool = True, said_of: Callable[[Ints], Bools] | None = None) -> None:
        self.asked: list[tuple[int, int]] = []
        self._lasting, self._said_of = lasting, said_of

    def __call__(self, steps: Steps) -> Computed:
        self.asked.append((steps.start_ms, steps.count))
        values = steps.times_ms()[None, :].astype(np.float64)
        remarks = Remarks(steps.count, self._lasting)
        if self._said_of:
            remarks.say(MIXED_AGGREGATION, 4, self._said_of(steps.times_ms()))
        return Computed(Block(LabelSets({}, 1), values, np.ones(values.shape, dtype=bool)), remarks)


NODE = plan(parse("x"), 0, 0)


def _values(results: Results, steps: Steps, compute: _Computing, node: Node = NODE) -> list[float]:
    found: list[float] = results.get(node, steps, compute).block.values[0].tolist()
    return found


def test_a_refresh_computes_the_new_steps_only_and_two_at_least():
    results, compute = Results(1 << 20), _Computing()
    for start in (0, 5, 6, 6, 4):
        assert _values(results, Steps(start, 1, 10), compute) == list(range(start, start + 10))
    assert compute.asked == [(0, 10), (10, 5), (14, 2)]


def test_other_phases_other_steps_and_single_steps_are_other_questions():
    results, compute = Results(1 << 20), _Computing()
    for steps in (Steps(0, 10, 5), Steps(5, 10, 5), Steps(0, 20, 5), Steps(0, 10, 1), Steps(0, 10, 1)):
        _values(results, steps, compute)
    assert compute.asked == [(0, 5), (5, 5), (0, 5), (0, 1), (0, 1)]


def test_a_batch_during_the_computation_ends_what_it_may_have_missed():
    results, compute = Results(1 << 20), _Computing()

    def disturbed(steps: Steps) -> Computed:
        results.stored("x", 7)
        return compute(steps)

    results.get(NODE, Steps(0, 1, 10), disturbed)
    _values(results, Steps(0, 1, 10), compute)
    assert compute.asked == [(0, 10), (7, 3)]


def test_where_others_store_samples_the_last_steps_are_computed_every_time():
    results, compute = Results(1 << 20, late_ms=4, now=lambda: 0.012), _Computing()
    for _ in range(2):
        _values(results, Steps(0, 1, 12), compute)
    _values(results, Steps(0, 1, 12), compute, plan(parse("x offset -2ms"), 0, 0))
    _values(results, Steps(0, 1, 12), compute, plan(parse("x offset -2ms"), 0, 0))
    assert compute.asked == [(0, 12), (9, 3), (0, 12), (7, 5)]


def test_a_panel_of_which_something_is_said_is_kept(engine: Engine):
    growing = Growing(engine, pushdown=True)
    growing.add([(Labels({"__name__": "gauge"}), (START + at) * 1000, float(at)) for at in range(0, 600, 15)])
    shown = [_shown(growing.kept, "rate(gauge[1m])", START, START + 600, 15) for _ in range(2)]
    assert shown[0] == shown[1] == _shown(growing.fresh, "rate(gauge[1m])", START, START + 600, 15)
    assert "metric might not be a counter" in str(shown[0])
    assert growing.outcomes()["hit"] == 1


def test_what_is_said_of_a_result_is_kept_with_the_steps_it_is_said_of():
    results, compute = Results(1 << 20), _Computing(said_of=lambda times: times < 3)

    def told(start: int, text: str) -> list[str]:
        notes = Notes()
        notes.tell(text, results.get(NODE, Steps(start, 1, 5), compute, text).remarks)
        return notes.warnings

    said = "PromQL warning: encountered a mix of histograms and floats for aggregation"
    assert [told(start, "sum(x)") for start in (0, 2, 3)] == [[f"{said} (1:5)"], [f"{said} (1:5)"], []]
    assert compute.asked == [(0, 5), (5, 2), (6, 2)]
    # The place is one in the text of whoever asks.
    assert told(2, "sum(\nx)") == [f"{said} (1:5)"]
    assert told(2, "\n\n sum(x)") == [f"{said} (3:3)"]


def test_what_is_said_of_all_steps_together_is_not_kept():
    results, compute = Results(1 << 20), _Computing(lasting=False)
    for _ in range(2):
        _values(results, Steps(0, 1, 5), compute)
    assert compute.asked == [(0, 5), (0, 5)]
    assert results.metrics() == set()


def test_a_query_that_fails_leaves_nothing_behind():
    def failing(steps: Steps) -> Computed:
        raise AiprismError("no")

    results = Results(1 << 20)
    with pytest.raises(AiprismError):
        results.get(NODE, Steps(0, 1, 5), failing)
    assert results.metrics() == set()


def test_the_result_nobody_asked_for_longest_leaves_first():
    results, compute, steps = Results(4000), _Computing(), Steps(0, 1, 50)
    nodes = {name: plan(parse(name), 0, 0) for name in "abcde"}
    for name in "abcdae":
        _values(results, steps, compute, nodes[name])
    assert results.metrics() == {"c", "d", "a", "e"}
    _values(results, Steps(0, 1, 500), compute, plan(parse("large"), 0, 0))
    assert results.metrics() == {"c", "d", "a", "e"}


def test_what_is_kept_of_samples_does_not_outlive_them(engine: Engine):
    """With the results and the samples of the last query in memory, as in a server; nothing is downsampled."""
    growing, clock = Growing(engine, pushdown=False), FakeClock(START + 40 * 86_400)
    name = Labels({"__name__": "x"})
    growing.add([(name, (START + at) * 1000, float(at)) for at in range(0, 300, 15)])
    asked = ("x", START, START + 285, 15)
    assert _shown(growing.kept, *asked) == _shown(growing.kept, *asked) == _shown(growing.fresh, *asked)
    assert growing.outcomes()["hit"] == 1
    Housekeeping(
        engine,
        RetentionConfig(metrics=30 * 86_400, downsample=False),
        clock,
        Telemetry(),
        rollups=Rollups(engine, clock.now),
        free_bytes=lambda: 10**12,
        samples_gone=growing.index.samples_gone,
    ).run_once()
    assert engine.query("SELECT count() FROM samples") == [(0,)]
    for promql in (growing.kept, growing.fresh):
        assert len(promql.range(*asked)) == 0


def test_what_is_computed_while_samples_go_is_not_kept():
    results, compute = Results(1 << 20), _Computing()

    def disturbed(steps: Steps) -> Computed:
        results.forget()
        return compute(steps)

    for ask in (disturbed, compute):
        results.get(NODE, Steps(0, 1, 10), ask)
    assert compute.asked == [(0, 10), (0, 10)]


def test_what_an_insert_stored_that_failed_is_seen(engine: Engine, monkeypatch: pytest.MonkeyPatch):
    """Even by who asked between the word of it and the INSERT."""
    growing, labels, insert = Growing(engine, pushdown=False), Labels({"__name__": "x"}), engine.insert_arrow

    def seen() -> list[float]:
        [series] = growing.kept.range("x", START, START + 60, 30)
        found: list[float] = series.values.tolist()
        return found

    def carried_out_but_failed(table: str, rows: pa.Table, *, token: str) -> None:
        if table == "samples":
            assert seen() == [1.0, 1.0, 1.0]
        insert(table, rows, token=token)
        if table == "samples":
            raise Unavailable("the answer was lost")

    growing.add([(labels, START * 1000, 1.0)])
    monkeypatch.setattr(engine, "insert_arrow", carried_out_but_failed)
    with pytest.raises(Unavailable):
        growing.add([(labels, (START + 30) * 1000, 2.0)])
    assert seen() == [1.0, 2.0, 2.0]
