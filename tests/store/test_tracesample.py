"""After the first days a sample of whole traces stays: errors, the slowest, and a share of the rest."""

from __future__ import annotations

from dataclasses import replace

from aiprism.clock import FakeClock
from aiprism.config import RetentionConfig
from aiprism.store import tracesample
from aiprism.store.engine import Engine
from aiprism.store.housekeeping import Housekeeping
from aiprism.store.rollups import Rollups
from aiprism.store.usage import Partition
from aiprism.telemetry import Telemetry

DAY = 86_400
MIDNIGHT = 1_699_920_000


def spans(engine: Engine, offset: float = 0.0, traces: int = 400) -> None:
    """Two spans a trace, the second an hour after the first; every 100th trace fails in it."""
    engine.command(
        "INSERT INTO spans (trace_id, span_id, service, name, start, duration_ns, status) "
        "SELECT reinterpretAsFixedString(toUInt128(intDiv(number, 2) + 1)), reinterpretAsFixedString(number + 1), 'api', 'work', "
        f"toDateTime64({MIDNIGHT + offset}, 9, 'UTC') + 3600 * (number % 2), 1000 + intDiv(number, 2), "
        f"if(number % 200 = 1, 'error', 'ok') FROM numbers({2 * traces})"
    )


def run(engine: Engine, days: float, **settings: float) -> None:
    clock, config = FakeClock(MIDNIGHT + days * DAY), replace(RetentionConfig(), **settings)  # type: ignore[arg-type]
    rollups = Rollups(engine, clock.now)
    Housekeeping(engine, config, clock, Telemetry(), rollups=rollups, free_bytes=lambda: 10**12).run_once()


def kept(engine: Engine) -> dict[int, int]:
    """Spans of each trace, by its number."""
    rows = engine.query(
        "SELECT reinterpretAsUInt64(substring(trace_id, 1, 8)) AS t, count() FROM spans GROUP BY t ORDER BY t"
    )
    return {int(trace): int(count) for trace, count in rows}


def test_after_a_week_errors_the_slowest_and_a_share_stay_whole(engine: Engine):
    spans(engine)
    run(engine, 7.9)
    assert len(kept(engine)) == 400
    run(engine, 8.1)
    left = kept(engine)
    assert set(left.values()) == {2}
    assert {1, 101, 201, 301, 398, 399, 400} <= left.keys()
    assert 10 < len(left) < 60
    run(engine, 8.2)
    assert kept(engine) == left


def test_a_trace_over_midnight_is_whole_in_both_days(engine: Engine):
    spans(engine, offset=DAY - 1800)
    run(engine, 8.1)
    run(engine, 9.1)
    left = kept(engine)
    assert set(left.values()) == {2}
    assert {1, 101, 201, 301} <= left.keys() != set(range(1, 401))


def test_the_shares_are_settings(engine: Engine):
    spans(engine)
    run(engine, 8.1, traces_keep_share=0.0, traces_keep_slowest=0.0)
    assert list(kept(engine)) == [1, 101, 201, 301]


def test_days_are_due_once_all_of_them_is_old_enough():
    days = [Partition("spans", str(day), 0, MIDNIGHT + day * DAY + 5, 1, 1, 1, 1) for day in range(4)]
    now = MIDNIGHT + 9.5 * DAY
    assert [each.id for each in tracesample.due(days, RetentionConfig(), 0, now)] == ["0", "1"]
    assert [each.id for each in tracesample.due(days, RetentionConfig(), MIDNIGHT + DAY, now)] == ["1"]
    assert tracesample.due(days, RetentionConfig(traces=0), 0, now) == ()
