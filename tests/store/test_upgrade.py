"""A database of every former schema version opens and answers the same, also one whose migration was cut off midway."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from aiprism.config import RetentionConfig
from aiprism.store.engine import Engine
from aiprism.store.retention import apply_ttls
from aiprism.store.samples import SampleStore
from aiprism.store.schema import migrate, migrations
from aiprism.store.series import SeriesIndex

FORMER = [migration.version for migration in migrations()[:-1]]
# What the oldest schema and every later one can be asked, of rows written by plain inserts into the oldest.
QUESTIONS = (
    "SELECT count(), sum(value), uniqExact(fp), max(ts) FROM samples",
    "SELECT metric, fp, min(first_ts), max(last_ts) FROM series GROUP BY metric, fp ORDER BY fp",
    "SELECT hex(trace_id), service, name, duration_ns, toString(status), start FROM spans ORDER BY start",
    "SELECT hex(trace_id), min(start), max(end), sum(spans), sum(errors) FROM trace_index GROUP BY trace_id ORDER BY 1",
    "SELECT service, operation, sum(spans), sum(errors) FROM span_red_1m GROUP BY service, operation ORDER BY 1, 2",
    "SELECT ts, service, level, body, pattern_id FROM logs ORDER BY ts",
    "SELECT service, level, pattern_id, sum(lines) FROM log_patterns_1m GROUP BY service, level, pattern_id ORDER BY 3",
)
_START = "toDateTime64('2026-11-01 00:00:00', {}, 'UTC')"
ROWS = (
    f"INSERT INTO samples SELECT 'up', number % 5, {_START.format(3)} + number, number FROM numbers(100)",
    "INSERT INTO series (metric, fp, labels, first_ts, last_ts) "
    "SELECT 'up', number, map('__name__', 'up', 'i', toString(number)), "
    f"{_START.format(3)}, {_START.format(3)} + 99 FROM numbers(5)",
    "INSERT INTO spans (trace_id, span_id, service, name, kind, start, duration_ns, status) "
    "SELECT toFixedString(toString(1000000000000000 + intDiv(number, 2)), 16), "
    "toFixedString(toString(10000000 + number), 8), 'api', 'op', 'server', "
    f"{_START.format(9)} + number, number * 1000, if(number % 3 = 0, 'error', 'ok') FROM numbers(20)",
    "INSERT INTO logs (ts, observed, service, level, severity_number, body, pattern_id) "
    f"SELECT {_START.format(9)} + number, {_START.format(9)}, 'api', 'ERROR', 17, "
    "concat('failed ', toString(number)), 7 FROM numbers(20)",
)


@pytest.fixture
def old(chdb_url: str) -> Iterator[Engine]:
    """An engine on a database that has no tables yet."""
    opened = Engine.open(chdb_url, database=f"test_{uuid.uuid4().hex}")
    yield opened
    opened.command(f"DROP DATABASE {opened.database}")
    opened.close()


def answers(engine: Engine) -> list[object]:
    return [engine.query(question) for question in QUESTIONS]


@pytest.mark.parametrize("version", FORMER)
def test_a_database_of_a_former_version_answers_the_same(old: Engine, version: int) -> None:
    assert migrate(old, to=1) == 1
    for row in ROWS:
        old.command(row)
    migrate(old, to=version)
    before = answers(old)
    assert migrate(old) == migrations()[-1].version
    assert answers(old) == before


@pytest.mark.parametrize("version", [migration.version for migration in migrations()[1:]])
def test_a_migration_that_a_crash_cut_off_is_carried_through(old: Engine, version: int) -> None:
    """Once for each statement: those before it are done, nothing says so, and the process is gone."""
    [cut] = [migration for migration in migrations() if migration.version == version]
    for done in range(1, len(cut.statements) + 1):
        old.command(f"DROP DATABASE {old.database} SYNC")
        old.command(f"CREATE DATABASE {old.database}")
        migrate(old, to=1)
        for row in ROWS:
            old.command(row)
        migrate(old, to=version - 1)
        before = answers(old)
        for step in cut.steps(None)[:done]:
            if not step.done or not old.query(step.done):
                old.command(step.statement)
        migrate(old, to=version)
        assert answers(old) == before, f"after statement {done}"


def test_metadata_of_a_former_version_is_kept_from_the_upgrade_on_newest_word_first(old: Engine) -> None:
    migrate(old, to=11)
    old.command(
        "INSERT INTO metric_metadata VALUES ('m', 'counter', 'old words', '', '2020-01-01 00:00:00'), "
        "('m', 'counter', 'new words', '', '2020-01-02 00:00:00'), ('n', 'gauge', 'other', '', '2020-01-01 00:00:00')"
    )
    migrate(old)
    apply_ttls(old, RetentionConfig(metrics=86_400, metrics_5m=86_400, metrics_1h=86_400))
    old.command("OPTIMIZE TABLE metric_metadata FINAL")
    said = [(each.metric, each.help) for each in SampleStore(old, SeriesIndex()).metadata()]
    assert said == [("m", "new words"), ("m", "old words"), ("n", "other")]
    assert old.query("SELECT count() FROM metric_metadata") == [(3,)]
