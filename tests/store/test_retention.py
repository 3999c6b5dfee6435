"""Which partitions go: by age, and by age over all tables when the disk is full."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from aiprism.clock import FakeClock
from aiprism.config import RetentionConfig, load
from aiprism.store import retention, usage
from aiprism.store.batches import MetricMetadata, SampleBatch
from aiprism.store.engine import Engine
from aiprism.store.housekeeping import Housekeeping
from aiprism.store.metricwriting import MetricWriter
from aiprism.store.rollups import Rollups
from aiprism.store.samples import Metadata, SampleStore
from aiprism.store.series import SeriesIndex
from aiprism.store.usage import Partition
from aiprism.telemetry import Telemetry

DAY = 86_400
NOW = 1_700_000_000  # 2023-11-14T22:13:20Z
DEFAULTS = RetentionConfig()
RULES = retention.rules(DEFAULTS)


def partition(table: str, days_old: float, *, size: int = 100, id_: str = "") -> Partition:
    newest = round(NOW - days_old * DAY)
    return Partition(table, id_ or f"{table}-{days_old}", newest - 3600, newest, 10, size, 10 * size, 1)


def names(found: object) -> list[str]:
    assert isinstance(found, list | tuple)
    return [each.id for each in found]


def test_a_partition_goes_once_its_newest_row_is_older_than_its_table_keeps():
    held = [partition("logs", 89.9), partition("logs", 90.1), partition("spans", 30.1), partition("spans", 7.1)]
    assert names(retention.expired(held, RULES, NOW)) == ["logs-90.1", "spans-30.1"]


def test_nothing_goes_of_a_table_that_is_kept_for_ever_or_that_has_no_rule():
    held = [partition("logs", 9000), partition("schema_version", 9000)]
    assert retention.expired(held, retention.rules(replace(DEFAULTS, logs=0)), NOW) == []


def test_series_are_remembered_as_long_as_any_of_their_samples():
    assert RULES["series"].seconds == DEFAULTS.metrics_1h
    assert retention.rules(replace(DEFAULTS, metrics_5m=0))["series"].seconds == 0


def test_a_full_disk_is_relieved_of_the_oldest_first_over_all_tables_sent_data_before_rollups():
    held = [partition("samples_5m", 300), partition("samples", 40), partition("logs", 60), partition("spans", 2)]
    assert names(retention.relief(held, RULES, NOW, 1)) == ["logs-60"]
    assert names(retention.relief(held, RULES, NOW, 150)) == ["logs-60", "samples-40"]
    assert names(retention.relief(held, RULES, NOW, 350)) == ["logs-60", "samples-40", "spans-2", "samples_5m-300"]


def test_a_full_disk_is_never_relieved_of_today_nor_of_what_has_no_rule():
    held = [partition("logs", 0.1), partition("schema_version", 100), partition("samples", 0)]
    assert retention.relief(held, RULES, NOW, 10**12) == []


def test_metadata_stays_two_days_longer_for_it_is_renewed_once_a_day():
    assert RULES["metric_metadata"].seconds == RULES["series"].seconds + 2 * DAY
    assert retention.rules(replace(DEFAULTS, metrics_5m=0))["metric_metadata"].seconds == 0


# -- on the store --------------------------------------------------------------------------------------------------------


def a_log_record(engine: Engine, days_old: float) -> None:
    engine.command(
        "INSERT INTO logs (ts, service, body) SELECT fromUnixTimestamp64Milli({ms:Int64}, 'UTC'), 'api', 'hello'",
        {"ms": round((NOW - days_old * DAY) * 1000)},
    )


def ages(engine: Engine, clock: FakeClock) -> list[int]:
    rows = engine.query("SELECT toUnixTimestamp64Milli(ts) / 1000 FROM logs ORDER BY ts")
    return [round((clock.now() - at) / DAY) for (at,) in rows]


def housekeeping(
    engine: Engine,
    clock: FakeClock,
    *,
    free: int = 10**12,
    free_bytes: Callable[[], int] | None = None,
    telemetry: Telemetry | None = None,
    **periods: float,
) -> Housekeeping:
    config = replace(DEFAULTS, **periods)  # type: ignore[arg-type]
    rollups = Rollups(engine, clock.now)
    return Housekeeping(
        engine,
        config,
        clock,
        telemetry or Telemetry(),
        rollups=rollups,
        free_bytes=free_bytes or (lambda: free),
        settle=0,
    )


def test_as_days_go_by_old_records_leave_and_are_counted(engine: Engine):
    clock, telemetry = FakeClock(NOW), Telemetry()
    for days in (1, 5, 80, 95):
        a_log_record(engine, days)
    keeping = housekeeping(engine, clock, telemetry=telemetry)
    keeping.run_once()
    assert ages(engine, clock) == [80, 5, 1]
    clock._now += 15 * DAY
    keeping.run_once()
    assert ages(engine, clock) == [20, 16]
    keeping.reload(replace(DEFAULTS, logs=18 * DAY))
    keeping.run_once()
    assert ages(engine, clock) == [16]
    assert 'dropped_total{reason="expired",stage="store.logs"} 3.0' in telemetry.exposition().decode()
    assert keeping.note() is None


def test_a_full_disk_loses_its_oldest_day_and_says_so(engine: Engine):
    clock, telemetry = FakeClock(NOW), Telemetry()
    for days in (0, 1, 5, 80):
        a_log_record(engine, days)
    keeping = housekeeping(engine, clock, free=DEFAULTS.min_free_bytes - 1, telemetry=telemetry)
    keeping.run_once()
    assert ages(engine, clock) == [5, 1, 0]
    assert "1 partition(s) of logs" in (keeping.note() or "")
    full = housekeeping(engine, clock, free_bytes=lambda: -sum(each.bytes for each in usage.partitions(engine)))
    full.run_once()
    assert ages(engine, clock) == [0]
    assert 'dropped_total{reason="disk_full",stage="store.logs"} 1.0' in telemetry.exposition().decode()


def test_when_no_room_comes_of_a_drop_no_more_is_dropped_for_ten_minutes(engine: Engine):
    clock = FakeClock(NOW)
    for days in (0, 1, 5, 80):
        a_log_record(engine, days)
    keeping = housekeeping(engine, clock, free=0)  # something else fills the disk
    keeping.run_once()
    keeping.run_once()
    assert ages(engine, clock) == [5, 1, 0]
    clock._now += 601
    keeping.run_once()
    assert ages(engine, clock) == [1, 0]


def test_a_duty_that_fails_leaves_the_others_to_theirs(engine: Engine):
    clock, telemetry = FakeClock(NOW), Telemetry()
    a_log_record(engine, 100)

    def broken() -> int:
        raise OSError("the disk is gone")

    rollups = Rollups(engine, clock.now)
    Housekeeping(engine, DEFAULTS, clock, telemetry, rollups=rollups, free_bytes=broken).run_once()
    assert ages(engine, clock) == []
    assert 'reason="relieve_disk",stage="store.housekeeping"} 1.0' in telemetry.exposition().decode()


def test_a_ttl_is_changed_only_when_it_is_another(engine: Engine):
    assert sorted(retention.apply_ttls(engine, DEFAULTS)) == ["events", "metric_metadata", "series", "trace_index"]
    assert retention.apply_ttls(engine, DEFAULTS) == []
    assert retention.apply_ttls(engine, replace(DEFAULTS, traces_sampled=5 * DAY)) == ["trace_index"]
    for_ever = replace(DEFAULTS, metrics=0, traces_sampled=5 * DAY)
    assert sorted(retention.apply_ttls(engine, for_ever)) == ["metric_metadata", "series"]
    assert retention.apply_ttls(engine, for_ever) == []


@pytest.mark.parametrize(("days_old", "left"), [(3000, 0), (10, 1)])
def test_a_series_whose_data_is_gone_is_forgotten(engine: Engine, days_old: int, left: int):
    retention.apply_ttls(engine, DEFAULTS)
    engine.command(
        f"INSERT INTO series SELECT 'm', 1, map('__name__', 'm'), now() - {days_old * DAY}, now() - {days_old * DAY}"
    )
    engine.command("OPTIMIZE TABLE series FINAL")
    assert engine.query("SELECT count() FROM series") == [(left,)]


def test_usage_tells_rows_bytes_and_times_of_each_table(engine: Engine):
    for days in (1, 2, 2):
        a_log_record(engine, days)
    found = {each.table: each for each in usage.by_table(usage.partitions(engine))}
    logs = found["logs"]
    assert (logs.rows, logs.partitions, logs.parts, logs.oldest, logs.newest) == (3, 2, 3, NOW - 2 * DAY, NOW - DAY)
    assert logs.bytes > 0
    assert logs.uncompressed > 0


def test_the_example_of_the_documentation_is_what_holds_by_default(tmp_path: Path):
    page = (Path(__file__).parents[2] / "docs" / "retention.md").read_text(encoding="utf-8")
    file = tmp_path / "aiprism.yml"
    file.write_text(page.partition("```yaml\n")[2].partition("```")[0], encoding="utf-8")
    assert load(file, {}).retention == DEFAULTS


def test_a_mark_is_remembered(engine: Engine):
    marks = usage.Marks(engine)
    assert marks.get("downsampled_5m") is None
    marks.set("downsampled_5m", 5)
    marks.set("downsampled_5m", 7)
    assert (marks.get("downsampled_5m"), marks.all()) == (7, {"downsampled_5m": 7})


def test_metadata_leaves_once_nobody_has_sent_it_for_as_long_as_its_samples_are_kept(engine: Engine):
    index, now = SeriesIndex(), time.time()  # which is what the store goes by
    writer, clock = MetricWriter(engine, index), FakeClock(now - 12 * DAY)
    gone, sent = (MetricMetadata(name, "gauge", "Words.", "") for name in ("gone", "sent"))
    for day in range(12):
        batch = SampleBatch(metadata=[sent] if day else [gone, sent])
        writer.insert([batch], f"{day}", clock.now())
        asyncio.run(clock.advance(DAY))
    retention.apply_ttls(engine, replace(DEFAULTS, metrics=8 * DAY, metrics_5m=8 * DAY, metrics_1h=8 * DAY))
    engine.command("OPTIMIZE TABLE metric_metadata FINAL")
    assert SampleStore(engine, index).metadata() == [Metadata("sent", "gauge", "Words.", "")]
