"""What arrives, made rows: samples with their series, and when each series was first and last seen."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiprism.clock import FakeClock
from aiprism.config import IngestConfig
from aiprism.errors import LimitExceeded, StoreError, TooMany, Unavailable
from aiprism.model.histograms import CUSTOM_BUCKETS, STALE_HISTOGRAM, Buckets, NativeHistogram, ResetHint
from aiprism.model.labels import Labels, Matcher, MatchOp
from aiprism.model.samples import STALE_NAN, Sample
from aiprism.store.batches import Exemplar, HistogramSample, MetricMetadata, SampleBatch
from aiprism.store.downsample import Downsampling
from aiprism.store.engine import Engine
from aiprism.store.grids import Combine, GridFunction, Steps
from aiprism.store.metricwriting import MetricWriter
from aiprism.store.question import Question
from aiprism.store.rollups import Rollups
from aiprism.store.samples import SampleStore
from aiprism.store.series import SeriesIndex
from aiprism.store.seriesload import load_series
from aiprism.store.writing import Writing
from aiprism.telemetry import Telemetry

AT = 1_790_000_000_000
HOUR = 3_600_000
DAY = 24 * HOUR


def write(engine: Engine, *batches: Sequence[Sample]) -> SeriesIndex:
    async def run() -> SeriesIndex:
        index = load_series(engine)
        writing = Writing(engine, index, IngestConfig(linger=0.01), Telemetry())
        writing.start()
        for batch in batches:
            await writing.append(batch)
        await writing.stop()
        return index

    return asyncio.run(run())


def sample(name: str, ts_ms: int, value: float = 1.0, **labels: str) -> Sample:
    return Sample(Labels({"__name__": name, **labels}), ts_ms, value)


def selected(index: SeriesIndex, name: str, start_ms: int, end_ms: int) -> int:
    return len(index.select([Matcher("__name__", MatchOp.EQUAL, name)], start_ms, end_ms))


def test_many_series_of_few_metrics_are_stored_each_with_its_name(engine: Engine) -> None:
    batch = [sample(f"m{at % 3}", AT + at, at, series=str(at)) for at in range(30)]
    index = write(engine, batch)
    assert engine.query("SELECT metric, count(), sum(value) FROM samples GROUP BY metric ORDER BY metric") == [
        ("m0", 10, 135.0),
        ("m1", 10, 145.0),
        ("m2", 10, 155.0),
    ]
    assert len(index) == 30
    assert len(load_series(engine)) == 30


def test_older_samples_of_a_known_series_are_found_after_a_restart(engine: Engine) -> None:
    write(engine, [sample("m", AT)], [sample("m", AT - 5 * DAY)])
    assert selected(load_series(engine), "m", AT - 6 * DAY, AT - 4 * DAY) == 1


def test_a_neighbour_with_a_clock_ahead_does_not_hide_a_series_after_a_restart(engine: Engine) -> None:
    ahead = sample("ahead", AT + 300 * DAY)
    write(engine, [ahead, sample("m", AT)], *([sample("m", AT + hour * HOUR)] for hour in range(1, 50, 7)))
    index = load_series(engine)
    assert selected(index, "m", AT + 43 * HOUR, AT + 44 * HOUR) == 1
    assert selected(index, "m", AT + 200 * DAY, AT + 201 * DAY) == 0


HISTOGRAM = NativeHistogram(
    schema=3,
    count=21.0,
    sum=12.5,
    zero_threshold=0.001,
    zero_count=2.0,
    positive=Buckets((-2, 3), (2, 1), (4.0, 5.0, 6.0)),
    negative=Buckets((0,), (1,), (4.0,)),
    reset_hint=ResetHint.NO,
)
CUSTOM = NativeHistogram(CUSTOM_BUCKETS, 3.0, 1.0, positive=Buckets((0,), (2,), (1.0, 2.0)), custom_values=(0.5, 1.0))


def stored(engine: Engine, batches: Callable[[Writing], Sequence[SampleBatch]]) -> SampleStore:
    """What a store reads after `batches` were written one after the other."""

    async def run() -> SampleStore:
        index = load_series(engine)
        writing = Writing(engine, index, IngestConfig(linger=0.01), Telemetry())
        writing.start()
        try:
            for batch in batches(writing):
                await writing.samples(batch)
        finally:
            await writing.stop()
        return SampleStore(engine, index)

    return asyncio.run(run())


def test_native_histograms_are_read_back_as_they_were_written_the_last_of_one_time_alone(engine: Engine) -> None:
    def batches(writing: Writing) -> list[SampleBatch]:
        one, two = writing.admit(
            [Labels({"__name__": "h", "a": "1"}), Labels({"__name__": "h", "a": "2"})]
        ).positions.tolist()
        wrong = replace(HISTOGRAM, count=1.0)
        return [
            SampleBatch(histograms=[HistogramSample(one, AT, wrong), HistogramSample(two, AT, CUSTOM)]),
            SampleBatch(
                histograms=[HistogramSample(one, AT, HISTOGRAM), HistogramSample(one, AT + 1, STALE_HISTOGRAM)]
            ),
        ]

    store = stored(engine, batches)
    selection = store.select([Matcher("__name__", MatchOp.EQUAL, "h")], AT, AT)
    found = store.histograms(selection, AT - 1, AT + 1, limit=10, question=Question(60))
    labels = selection.labels()
    edges = itertools.pairwise(found.offsets.tolist())
    by_series = {
        labels[row]["a"]: list(zip(found.ts_ms[lo:hi].tolist(), found.histograms[lo:hi], strict=True))
        for row, (lo, hi) in zip(found.rows.tolist(), edges, strict=True)
    }
    [first, (_, last)] = by_series["1"]
    assert (first, by_series["2"]) == ((AT, HISTOGRAM), [(AT, CUSTOM)])
    assert last.is_stale
    assert len(store.histograms(selection, AT, AT + 1, limit=10, question=Question(60)).histograms) == 1
    with pytest.raises(LimitExceeded, match="histograms"):
        store.histograms(selection, AT - 1, AT + 1, limit=2, question=Question(60))
    assert len(load_series(engine)) == 2


def test_a_batch_of_metadata_alone_is_stored(engine: Engine) -> None:
    store = stored(engine, lambda _: [SampleBatch(metadata=[MetricMetadata("m", "counter", "Words.", "")])])
    assert [each.help for each in store.metadata("m")] == ["Words."]


def test_a_tenant_over_its_active_series_is_told_limit_and_name_and_gets_room_when_series_end(engine: Engine) -> None:
    clock = FakeClock(AT / 1000)
    index = SeriesIndex()
    writing = Writing(engine, index, IngestConfig(max_series=2, active_window=60), Telemetry(), clock=clock)
    sets = [Labels({"__name__": "m", "a": str(at)}) for at in range(4)]
    assert writing.admit(sets[:1]) == (np.array([0]), None)
    positions, refusal = writing.admit(sets)
    assert positions.tolist() == [0, 1, -1, -1]
    assert refusal is not None
    assert f"'{engine.database}' has 1 active metric series and this request brings 3 more" in str(refusal)
    assert "limit of 2 (ingest.max_series)" in str(refusal)
    assert refusal.details == {"limit": "ingest.max_series", "tenant": engine.database}
    assert refusal.retry_after == 60
    assert writing.admit(sets[:2]).positions.tolist() == [0, 1]
    asyncio.run(clock.advance(61))
    assert writing.admit(sets[2:]).positions.tolist() == [2, 3]


def test_what_a_rule_records_may_be_a_histogram(engine: Engine) -> None:
    index = write(engine, [sample("n", AT), Sample(Labels({"__name__": "h"}), AT, 0.0, HISTOGRAM)])
    store = SampleStore(engine, index)
    selection = store.select([Matcher("__name__", MatchOp.EQUAL, "h")], AT, AT)
    found = store.histograms(selection, AT - 1, AT, limit=10, question=Question(60))
    assert list(found.histograms) == [HISTOGRAM]
    assert not len(store.raw(selection, AT - 1, AT, stale=True, limit=10, question=Question(60)).ts_ms)


def test_of_samples_of_our_own_those_of_known_series_are_stored_at_the_limit(engine: Engine) -> None:
    async def story(writing: Writing) -> None:
        await writing.append([Sample(Labels({"__name__": "known"}), AT, 1.0)])
        both = [Sample(Labels({"__name__": name}), AT + 1, 2.0) for name in ("known", "new")]
        with pytest.raises(TooMany, match=r"ingest\.max_series"):
            await writing.append(both)

    async def run() -> None:
        writing = Writing(engine, SeriesIndex(), IngestConfig(max_series=1), Telemetry())
        writing.start()
        await story(writing)
        await writing.stop()

    asyncio.run(run())
    assert engine.query("SELECT metric, value FROM samples ORDER BY ts") == [("known", 1.0), ("known", 2.0)]


def test_a_series_whose_row_could_not_be_written_is_written_with_the_next_batch(engine: Engine) -> None:
    index = SeriesIndex()
    writer = MetricWriter(engine, index)
    positions = index.admit([Labels({"__name__": "m"})], 0.0)
    batch = SampleBatch(positions, np.array([AT]), np.array([1.0]))
    engine.command("RENAME TABLE series TO away")
    with pytest.raises(Unavailable):
        writer.insert([batch], "one", 0.0)
    engine.command("RENAME TABLE away TO series")
    assert engine.query("SELECT count() FROM samples") == [(0,)]
    writer.insert([batch], "two", 0.0)
    assert engine.query("SELECT metric, count() FROM series GROUP BY metric") == [("m", 1)]
    assert engine.query("SELECT count() FROM samples") == [(1,)]


# -- of samples of one series and time the one that came last counts ----------------------------------------------------

ONE, TWO = Labels({"__name__": "m", "a": "1"}), Labels({"__name__": "m", "a": "2"})
Points = Sequence[tuple[Labels, int, float]]


class Kept:
    """A store written to batch by batch, which may be closed and opened again."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.written = engine, 0
        self.reopen()

    def reopen(self) -> None:
        self.index = load_series(self.engine)
        self.writer = MetricWriter(self.engine, self.index)

    def write(self, points: Points, token: str = "") -> None:
        self.written += 1
        positions = self.index.admit([labels for labels, _, _ in points], 0.0)
        times, values = (np.array([point[at] for point in points]) for at in (1, 2))
        batch = SampleBatch(positions, times.astype(np.int64), values.astype(np.float64))
        self.writer.insert([batch], token or f"{self.written}", float(self.written))

    def read(self) -> dict[tuple[str, int], float]:
        """Every sample, read raw, and read again on a grid and on a combined grid to be sure that they agree."""
        store = SampleStore(self.engine, self.index)
        selection = store.select([Matcher("__name__", MatchOp.EQUAL, "m")], 0, 2**40)
        found = store.raw(selection, -1, 2**40, stale=False, limit=10_000, question=Question(60))
        labels = selection.labels()
        owners = np.repeat(found.rows, np.diff(found.offsets)).tolist()
        points = zip(owners, found.ts_ms.tolist(), found.values.tolist(), strict=True)
        kept = {(labels[row]["a"], ts_ms): value for row, ts_ms, value in points}
        assert len(kept) == len(found.ts_ms)
        for ts_ms in {ts_ms for _, ts_ms in kept}:
            steps = Steps(ts_ms, 1, 1)
            at = {name: value for (name, ms), value in kept.items() if ms == ts_ms}
            for function in (GridFunction.LAST, GridFunction.LATEST):
                grid = store.grid(selection, function, steps, 1, question=Question(60))
                assert {labels[row]["a"]: value[0] for row, value in zip(grid.rows, grid.values, strict=True)} == at
            total = store.combined_grid(selection, GridFunction.SUM, Combine.SUM, steps, 1, question=Question(60))
            assert total.values.tolist() == [[sum(at.values())]]
        return kept


def test_a_corrected_sample_counts_and_the_table_of_samples_holds_each_once(engine: Engine) -> None:
    kept = Kept(engine)
    kept.write([(ONE, 1000, 9.0), (TWO, 1000, 2.0), (ONE, 2000, 3.0)])
    kept.write([(ONE, 1000, 1.0), (TWO, 3000, 4.0)])
    kept.write([(ONE, 500, 0.5), (ONE, 1000, -1.0)])
    wanted = {("1", 500): 0.5, ("1", 1000): -1.0, ("1", 2000): 3.0, ("2", 1000): 2.0, ("2", 3000): 4.0}
    assert kept.read() == wanted
    assert engine.query("SELECT count() FROM samples") == [(4,)]
    kept.reopen()
    assert kept.read() == wanted


def test_what_is_sent_again_after_a_restart_is_stored_once(engine: Engine) -> None:
    kept = Kept(engine)
    points = [(labels, ts_ms, float(ts_ms)) for ts_ms in (1000, 2000, 3000) for labels in (ONE, TWO)]
    kept.write(points[:2])
    kept.write(points[2:])
    kept.reopen()
    kept.write(points)
    kept.write([(ONE, 4000, 4000.0)])
    assert len(kept.read()) == 7
    assert engine.query("SELECT count() FROM samples") == [(7,)]


def test_within_one_batch_the_last_of_one_time_counts(engine: Engine) -> None:
    kept = Kept(engine)
    kept.write([(ONE, 1000, 1.0), (TWO, 1000, 5.0), (ONE, 1000, 2.0), (ONE, 3000, 3.0), (ONE, 2000, 7.0)])
    assert kept.read() == {("1", 1000): 2.0, ("1", 2000): 7.0, ("1", 3000): 3.0, ("2", 1000): 5.0}


def test_a_correction_may_mark_an_end_or_take_the_mark_away(engine: Engine) -> None:
    kept = Kept(engine)
    kept.write([(ONE, 1000, 1.0), (ONE, 2000, STALE_NAN)])
    kept.write([(ONE, 1000, STALE_NAN), (ONE, 2000, 2.0)])
    assert kept.read() == {("1", 2000): 2.0}


def test_an_insert_that_failed_but_was_carried_out_is_not_doubled_when_it_is_sent_again(engine: Engine) -> None:
    kept = Kept(engine)
    kept.write([(ONE, 1000, 1.0)])
    insert = engine.insert_arrow

    def carried_out_but_failed(table: str, rows: pa.Table, *, token: str) -> None:
        insert(table, rows, token=token)
        if table == "samples":
            raise Unavailable("the answer was lost")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "insert_arrow", carried_out_but_failed)
        with pytest.raises(Unavailable):
            kept.write([(ONE, 2000, 2.0)], "same")
    kept.write([(ONE, 2000, 2.0)], "same")
    kept.write([(ONE, 2000, 2.0)], "another")
    assert kept.read() == {("1", 1000): 1.0, ("1", 2000): 2.0}
    assert engine.query("SELECT count() FROM samples") == [(2,)]


def test_a_later_table_that_fails_doubles_nothing_of_those_before_it(engine: Engine) -> None:
    index = SeriesIndex()
    writer = MetricWriter(engine, index)
    position = int(index.admit([ONE], 0.0)[0])
    batch = SampleBatch(
        np.array([position]),
        np.array([AT]),
        np.array([1.0]),
        histograms=[HistogramSample(position, AT + 1, HISTOGRAM)],
        exemplars=[Exemplar(position, AT, 1.0, b"", b"", {})],
    )
    engine.command("RENAME TABLE histograms TO away")
    with pytest.raises(Unavailable):
        writer.insert([batch], "one", 0.0)
    engine.command("RENAME TABLE away TO histograms")
    writer.insert([batch], "two", 0.0)
    assert engine.query("SELECT count() FROM samples") == [(1,)]
    assert engine.query("SELECT count() FROM exemplars") == [(1,)]


def test_what_cannot_be_made_a_row_is_refused_before_anything_is_stored(engine: Engine) -> None:
    index = SeriesIndex()
    writer = MetricWriter(engine, index)
    positions = index.admit([ONE], 0.0)
    bad = SampleBatch(positions, np.array([AT]), np.array([1.0]), metadata=[MetricMetadata("m", "gauge", "\ud800", "")])
    with pytest.raises(StoreError, match="cannot be made rows"):
        writer.insert([bad], "one", 0.0)
    assert engine.query("SELECT count() FROM samples") == engine.query("SELECT count() FROM series") == [(0,)]


def test_metadata_is_written_once_a_day_while_it_is_sent(engine: Engine) -> None:
    index, clock = SeriesIndex(), FakeClock()
    writer = MetricWriter(engine, index)
    said = MetricMetadata("m", "gauge", "Words.", "")
    written: list[tuple[float, int]] = []

    def sent(*metadata: MetricMetadata, hours: float = 0) -> None:
        asyncio.run(clock.advance(hours * 3600))
        batch = SampleBatch(index.admit([ONE], 0.0), np.array([AT]), np.array([1.0]), metadata=metadata)
        writer.insert([batch], f"{clock.now()}", clock.now())
        rows = engine.query("SELECT toUnixTimestamp(max(seen)), count() FROM metric_metadata WHERE metric = 'm'")
        written.append((rows[0][0] - FakeClock().now(), rows[0][1]))

    sent(said)
    sent(said, hours=1)
    sent(said, replace(said, metric="other"), hours=22)
    sent(said, hours=1)
    sent(said, hours=1)
    sent(hours=48)
    sent(said)
    assert written == [(at * 3600, rows) for at, rows in ((0, 1), (0, 1), (0, 1), (24, 2), (24, 2), (24, 2), (73, 3))]


POINTS = st.lists(
    st.tuples(st.sampled_from([ONE, TWO]), st.integers(1, 6).map(lambda n: n * 1000), st.integers(0, 9).map(float)),
    min_size=1,
    max_size=6,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(POINTS, st.just("reopen")), max_size=5))
def test_the_last_word_counts_in_any_order(engine: Engine, story: list[Points | str]) -> None:
    for table in ("samples", "corrections", "series"):
        engine.command(f"TRUNCATE TABLE {table}")
    kept, wanted = Kept(engine), dict[tuple[str, int], float]()
    for chapter in story:
        if isinstance(chapter, str):
            kept.reopen()
        else:
            kept.write(chapter, uuid.uuid4().hex)
            wanted.update({(labels["a"], ts_ms): value for labels, ts_ms, value in chapter})
    assert kept.read() == wanted
    [(rows,)] = engine.query("SELECT count() - uniqExact(fp, ts) FROM samples")
    assert rows == 0


def test_what_is_downsampled_is_what_counts(engine: Engine) -> None:
    kept = Kept(engine)
    hour = AT // HOUR * HOUR
    kept.write([(ONE, hour + minute * 60_000, 100.0) for minute in range(1, 6)])
    kept.write([(ONE, hour + minute * 60_000, float(minute)) for minute in range(1, 4)])
    downsampling = Downsampling(engine, Rollups(engine, lambda: hour / 1000 + 5 * 3600), settle=0)
    for _ in downsampling.advance(hour / 1000 + 5 * 3600):
        pass
    assert engine.query("SELECT count, sum, min FROM samples_5m FINAL") == [(5, 206.0, 1.0)]
    kept.write([(ONE, hour + 4 * 60_000, 4.0)])
    for _ in downsampling.redo():
        pass
    assert engine.query("SELECT count, sum, min FROM samples_5m FINAL") == [(5, 110.0, 1.0)]
