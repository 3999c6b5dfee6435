"""What arrives, made rows: samples with their series, and when each series was first and last seen."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aiprism.config import IngestConfig
from aiprism.model.labels import Labels, Matcher, MatchOp
from aiprism.model.samples import Sample
from aiprism.store.engine import Engine
from aiprism.store.series import SeriesIndex
from aiprism.store.writing import Writing
from aiprism.telemetry import Telemetry

AT = 1_790_000_000_000
HOUR = 3_600_000
DAY = 24 * HOUR


def write(engine: Engine, *batches: Sequence[Sample]) -> SeriesIndex:
    async def run() -> SeriesIndex:
        index = SeriesIndex.load(engine)
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
    assert len(SeriesIndex.load(engine)) == 30


def test_older_samples_of_a_known_series_are_found_after_a_restart(engine: Engine) -> None:
    write(engine, [sample("m", AT)], [sample("m", AT - 5 * DAY)])
    assert selected(SeriesIndex.load(engine), "m", AT - 6 * DAY, AT - 4 * DAY) == 1


def test_a_neighbour_with_a_clock_ahead_does_not_hide_a_series_after_a_restart(engine: Engine) -> None:
    ahead = sample("ahead", AT + 300 * DAY)
    write(engine, [ahead, sample("m", AT)], *([sample("m", AT + hour * HOUR)] for hour in range(1, 50, 7)))
    index = SeriesIndex.load(engine)
    assert selected(index, "m", AT + 43 * HOUR, AT + 44 * HOUR) == 1
    assert selected(index, "m", AT + 200 * DAY, AT + 201 * DAY) == 0
