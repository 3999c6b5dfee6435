"""Spans and logs are rewritten seldom: an INSERT makes one file of a part, and a handful of parts is left alone."""

from __future__ import annotations

import pytest

from aiprism.store.engine import Engine
from aiprism.store.logcolumns import log_columns
from aiprism.store.spancolumns import span_columns
from tests.store.making import logs_body, many_traces

AT = 1_790_000_000_000
DERIVED = ("trace_index", "span_red_1m", "log_patterns_1m")


@pytest.fixture
def handful(engine: Engine) -> Engine:
    """A store with a dozen INSERTs of either signal."""
    for number in range(12):
        engine.insert_arrow("spans", span_columns(many_traces(3, at_ms=AT)), token=f"spans-{number}")
        engine.insert_arrow("logs_received", log_columns(logs_body(6, at_ms=AT)), token=f"logs-{number}")
    return engine


@pytest.mark.parametrize("table", ["spans", "logs", *DERIVED])
def test_a_dozen_parts_wait_for_more(handful: Engine, table: str) -> None:
    parts = handful.query(
        "SELECT min_block_number = max_block_number, part_type FROM system.parts "
        "WHERE active AND database = currentDatabase() AND table = {table:String}",
        {"table": table},
    )
    assert parts == [(True, "Compact")] * 12


def test_the_rollups_of_every_insert_add_up(handful: Engine) -> None:
    assert handful.query("SELECT sum(spans), sum(errors), max(root_service), max(root_name) FROM trace_index") == [
        (72, 24, "api", "op")
    ]
    assert handful.query("SELECT service, operation, kind, sum(spans) FROM span_red_1m GROUP BY ALL") == [
        ("api", "op", "server", 72)
    ]
    [(lines, ids)] = handful.query("SELECT sum(lines), groupUniqArray(pattern_id) FROM log_patterns_1m")
    assert lines == 72
    assert sorted(ids) == sorted(known for (known,) in handful.query("SELECT DISTINCT pattern_id FROM logs"))


@pytest.mark.parametrize("table", ["spans", "logs"])
def test_a_part_is_one_file_until_it_is_large(engine: Engine, table: str) -> None:
    [(created,)] = engine.query(
        "SELECT create_table_query FROM system.tables WHERE database = currentDatabase() AND name = {table:String}",
        {"table": table},
    )
    assert "min_bytes_for_wide_part = 150000000" in created
