"""A process learns of the series another writes into the same store."""

from __future__ import annotations

import uuid

import numpy as np
import pyarrow as pa
import pytest

from aiprism.clock import FakeClock
from aiprism.model.histograms import NativeHistogram
from aiprism.model.labels import Labels, Matcher, MatchOp
from aiprism.store.batches import HistogramSample, SampleBatch
from aiprism.store.engine import Engine
from aiprism.store.following import ALL_EVERY, Following
from aiprism.store.metricwriting import MetricWriter
from aiprism.store.question import Question
from aiprism.store.samples import SampleStore
from aiprism.store.series import SeriesIndex
from aiprism.store.seriesload import load_series

pytestmark = pytest.mark.anyio

NOW = 1_790_000_000.0
LABELS = Labels({"__name__": "up", "job": "api"})


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def written(engine: Engine, labels: Labels, first: float, last: float) -> None:
    """What another process's ingest does to `series`."""
    rows = {
        "metric": pa.array([labels.name]),
        "fp": pa.array([labels.fingerprint], pa.uint64()),
        "labels": pa.array([list(labels.pairs)], pa.map_(pa.string(), pa.string())),
        "first_ts": pa.array([round(first * 1000)], pa.timestamp("ms")),
        "last_ts": pa.array([round(last * 1000)], pa.timestamp("ms")),
    }
    engine.insert_arrow("series", pa.table(rows), token=uuid.uuid4().hex)


def found(index: SeriesIndex, at: float) -> list[Labels]:
    named = Matcher("__name__", MatchOp.EQUAL, "up")
    return index.select([named], round(at * 1000) - 300_000, round(at * 1000)).labels()


async def test_a_series_of_now_is_known_after_the_next_look(engine: Engine) -> None:
    index, clock = load_series(engine), FakeClock(NOW)
    following = Following(engine, index, clock)
    assert following.look() == 0
    written(engine, LABELS, NOW, NOW)
    assert following.look() == 1
    assert found(index, NOW) == [LABELS]
    assert following.look() == 0
    assert index.active(NOW - 1) == 1


async def test_one_of_long_ago_is_known_after_the_next_look_at_all(engine: Engine) -> None:
    index, clock = load_series(engine), FakeClock(NOW)
    following = Following(engine, index, clock)
    following.look()
    written(engine, LABELS, NOW - 86_400, NOW - 86_400)
    assert following.look() == 0
    await clock.advance(ALL_EVERY)
    assert following.look() == 1
    assert found(index, NOW - 86_400) == [LABELS]
    assert index.active(NOW) == 1  # admitted now, though its samples are old


async def test_what_is_written_elsewhere_need_not_be_registered_here(engine: Engine) -> None:
    index, clock = load_series(engine), FakeClock(NOW)
    written(engine, LABELS, NOW, NOW)
    Following(engine, index, clock).look()
    positions = index.admit([LABELS], NOW)
    assert index.fps(positions).tolist() == [LABELS.fingerprint]
    assert len(index) == 1


async def test_a_correction_another_process_writes_counts_here(engine: Engine) -> None:
    index, theirs, clock = load_series(engine), load_series(engine), FakeClock(NOW)
    following, writer, ts_ms = Following(engine, index, clock), MetricWriter(engine, theirs), round(NOW * 1000)

    def write(value: float) -> None:
        batch = SampleBatch(theirs.admit([LABELS], NOW), np.array([ts_ms]), np.array([value]))
        writer.insert([batch], uuid.uuid4().hex, NOW)

    def read() -> list[float]:
        store = SampleStore(engine, index)
        selection = store.select([Matcher("__name__", MatchOp.EQUAL, "up")], ts_ms, ts_ms)
        found = store.raw(selection, ts_ms - 1, ts_ms, stale=False, limit=10, question=Question(60))
        return [float(value) for value in found.values]

    write(9.0)
    following.look()
    assert read() == [9.0]
    write(1.0)
    following.look()
    assert read() == [1.0]


async def test_native_histograms_another_process_writes_are_looked_for_here(engine: Engine) -> None:
    index, theirs = load_series(engine), load_series(engine)
    following = Following(engine, index, FakeClock(NOW))
    sample = HistogramSample(int(theirs.admit([LABELS], NOW)[0]), round(NOW * 1000), NativeHistogram(0, 1.0, 1.0))
    MetricWriter(engine, theirs).insert([SampleBatch(histograms=[sample])], uuid.uuid4().hex, NOW)
    following.look()
    native = index.select([Matcher("__name__", MatchOp.EQUAL, "up")], round(NOW * 1000), round(NOW * 1000)).native
    assert native is not None
    assert native.tolist() == [True]
