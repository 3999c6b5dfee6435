"""Days of logs and spans that leave for Parquet: whole, verified, once, and found again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from aiprism.clock import FakeClock
from aiprism.config import Config, RetentionConfig
from aiprism.errors import BadInput, ConfigError, StoreError
from aiprism.model.timerange import TimeRange
from aiprism.store import archive as archives
from aiprism.store import usage
from aiprism.store.archive import Archive
from aiprism.store.engine import Engine
from aiprism.store.housekeeping import Housekeeping
from aiprism.store.logs import LogSearch, LogStore
from aiprism.store.place import Access, Place, archive_place
from aiprism.store.rollups import Rollups
from aiprism.store.spans import SpanStore
from aiprism.telemetry import Telemetry

DAY = 86_400
MIDNIGHT = 1_699_920_000  # 2023-11-14
NOW = MIDNIGHT + 100 * DAY
TRACE = "0123456789abcdef0123456789abcdef"
RANGE = TimeRange(MIDNIGHT, NOW)


@pytest.fixture(params=["directory", "bucket"])
def archive(request: pytest.FixtureRequest, engine: Engine, tmp_path: Path) -> Archive:
    if request.param == "directory":
        return Archive(engine, Place.of(str(tmp_path / "archive"), Access()))
    name = request.getfixturevalue("bucket")()
    return Archive(engine, Place.of(f"s3://{name}/kept here", request.getfixturevalue("s3")))


def stock(engine: Engine, days: int = 2) -> None:
    """Ten log records and a trace of two spans on each day, from midnight on."""
    engine.command(
        "INSERT INTO logs (ts, service, level, body, trace_id, attributes) "
        f"SELECT toDateTime64({MIDNIGHT}, 9, 'UTC') + number * 8640, 'api', 'INFO', concat('line ', toString(number)), "
        f"unhex('{TRACE}'), map('n', toString(number)) FROM numbers({10 * days})"
    )
    engine.command(
        "INSERT INTO spans (trace_id, span_id, service, name, start, duration_ns, status) "
        f"SELECT unhex('{TRACE}'), reinterpretAsFixedString(number), 'api', 'work', "
        f"toDateTime64({MIDNIGHT}, 9, 'UTC') + number * 43200, 5000, 'error' FROM numbers({2 * days})"
    )


def keeping(engine: Engine, archive: Archive, now: float = NOW, **periods: float) -> Housekeeping:
    clock = FakeClock(now)
    config = replace(RetentionConfig(), **periods)  # type: ignore[arg-type]
    return Housekeeping(
        engine,
        config,
        clock,
        Telemetry(),
        rollups=Rollups(engine, clock.now),
        free_bytes=lambda: 10**12,
        archive=archive,
    )


def test_old_days_leave_for_the_archive_and_are_found_there(engine: Engine, archive: Archive):
    stock(engine)
    keeping(engine, archive).run_once()
    assert engine.query("SELECT (SELECT count() FROM logs), (SELECT count() FROM spans)") == [(0, 0)]
    assert [(each.table, each.day, each.rows, each.files) for each in archive.listed()] == [
        ("logs", "2023-11-14", 10, 1), ("logs", "2023-11-15", 10, 1),
        ("spans", "2023-11-14", 2, 1), ("spans", "2023-11-15", 2, 1),
    ]  # fmt: skip
    logs, spans = LogStore(engine, archive), SpanStore(engine, archive)
    assert logs.search(LogSearch(RANGE)) == []
    [found] = logs.search(LogSearch(RANGE, text="LINE 13", archived=True))
    assert (found.body, found.trace_id, found.attributes) == ("line 13", TRACE, {"n": "13"})
    one_day = TimeRange(MIDNIGHT, MIDNIGHT + DAY - 1)
    assert len(logs.search(LogSearch(one_day, archived=True))) == 10
    assert spans.trace(TRACE) == []
    assert [span.status for span in spans.archived_trace(TRACE, RANGE)] == ["error"] * 4


def test_a_search_reads_archive_and_store_as_one(engine: Engine, archive: Archive):
    stock(engine)
    keeping(engine, archive, now=MIDNIGHT + 91.5 * DAY).run_once()
    assert engine.query("SELECT count() FROM logs") == [(10,)]
    bodies = [each.body for each in LogStore(engine, archive).search(LogSearch(RANGE, archived=True))]
    assert bodies == [f"line {number}" for number in reversed(range(20))]


@pytest.mark.parametrize("broken_off", ["before the first file", "before it was complete", "before the drop"])
def test_what_was_broken_off_is_done_again_and_nothing_is_there_twice(
    engine: Engine, archive: Archive, broken_off: str, monkeypatch: pytest.MonkeyPatch
):
    stock(engine, days=1)
    [logs] = [each for each in usage.partitions(engine) if each.table == "logs"]
    if broken_off == "before the drop":
        list(archive.export(logs, NOW))
    else:
        where = "_write" if broken_off == "before the first file" else "_complete"
        with monkeypatch.context() as patch:
            patch.setattr(Archive, where, _killed)
            with pytest.raises(KeyboardInterrupt):
                list(archive.export(logs, NOW))
        assert archive.listed() == []
    keeping(engine, archive).run_once()
    assert [(each.number, each.rows) for each in archive.listed("logs")] == [(0, 10)]
    assert len(LogStore(engine, archive).search(LogSearch(RANGE, archived=True))) == 10


def _killed(*args: object) -> None:
    raise KeyboardInterrupt


def test_rows_that_come_for_an_archived_day_are_archived_beside_it(engine: Engine, archive: Archive):
    stock(engine, days=1)
    keeping(engine, archive).run_once()
    engine.command(f"INSERT INTO logs (ts, body) SELECT toDateTime64({MIDNIGHT + 5}, 9, 'UTC'), 'late'")
    keeping(engine, archive).run_once()
    assert [(each.number, each.rows) for each in archive.listed("logs")] == [(0, 10), (1, 1)]
    assert len(LogStore(engine, archive).search(LogSearch(RANGE, archived=True))) == 11


def test_a_day_whose_files_do_not_hold_it_is_not_dropped(
    engine: Engine, archive: Archive, monkeypatch: pytest.MonkeyPatch
):
    stock(engine, days=1)
    monkeypatch.setattr(Archive, "_written", lambda *args: (9, 1))
    keeping(engine, archive).run_once()
    assert engine.query("SELECT count() FROM logs") == [(10,)]
    assert archive.listed() == []
    [logs] = [each for each in usage.partitions(engine) if each.table == "logs"]
    with pytest.raises(StoreError, match="9 rows were written and 10 are stored"):
        list(archive.export(logs, NOW))


def test_days_leave_the_archive_when_they_are_too_old_there(engine: Engine, archive: Archive):
    stock(engine)
    keeping(engine, archive).run_once()
    keeping(engine, archive, now=MIDNIGHT + 731.5 * DAY).run_once()
    assert [(each.table, each.day) for each in archive.listed()] == [("logs", "2023-11-15"), ("spans", "2023-11-15")]
    keeping(engine, archive, now=MIDNIGHT + 731.5 * DAY, logs_archived=0, traces_archived=DAY).run_once()
    assert [(each.table, each.day) for each in archive.listed()] == [("logs", "2023-11-15")]


def test_a_day_of_many_rows_becomes_several_files(engine: Engine, archive: Archive, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(archives, "_FILE_ROWS", 4)
    stock(engine, days=1)
    keeping(engine, archive).run_once()
    assert [(each.table, each.files) for each in archive.listed()] == [("logs", 3), ("spans", 1)]
    assert len(LogStore(engine, archive).search(LogSearch(RANGE, archived=True))) == 10


def test_an_archive_that_is_not_there_is_said():
    with pytest.raises(BadInput, match=r"there is no archive \(retention.archive is none\)"):
        archives.reading(None)


def test_where_the_archive_lies_is_a_setting():
    def root(archive: str) -> str:
        asked = RetentionConfig(archive=archive, archive_key="k", archive_secret="geheim")
        place = archive_place(Config(data=Path("/data"), base=Path("/etc/aiprism"), retention=asked))
        assert "geheim" not in repr(place)
        return place.root if place else ""

    assert [root(each) for each in ("none", "", "kept", "s3://bucket/a/")] == [
        *("", "/data/archive", "/etc/aiprism/kept", "bucket/a"),
    ]
    with pytest.raises(ConfigError, match="names no bucket"):
        root("s3://")
    with pytest.raises(ConfigError, match="go together"):
        Place.of("s3://bucket", Access(key="k"))


def test_the_last_half_second_of_a_day_is_archived(engine: Engine, tmp_path: Path) -> None:
    engine.command(
        f"INSERT INTO logs (ts, service, body) SELECT toDateTime64('{MIDNIGHT + DAY - 0.5}', 9, 'UTC'), 'api', 'late'"
    )
    archive = Archive(engine, Place.of(str(tmp_path / "archive"), Access()))
    [day] = [each for each in usage.partitions(engine) if each.table == "logs"]
    list(archive.export(day, NOW))
    assert [each.rows for each in archive.listed("logs")] == [1]
