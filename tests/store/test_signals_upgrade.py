"""Spans and logs stored under version 1 of the schema are all there under the present one."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from aiprism.model.timerange import TimeRange
from aiprism.store import schema
from aiprism.store.engine import Engine
from aiprism.store.logs import LogSearch, LogStore
from aiprism.store.spans import SpanStore

AT = 1_790_000_000
TRACE = "0af7651916cd43dd8448eb211c80319c"

OLD_SPAN = f"""
INSERT INTO spans (trace_id, span_id, service, name, kind, start, duration_ns, status, attributes, attributes_number, resource,
    scope_name, scope_attributes, event_time, event_name, event_attributes, event_dropped,
    link_trace_id, link_span_id, link_trace_state, link_attributes, link_flags)
SELECT unhex('{TRACE}'), unhex('b7ad6b7169203331'), 'shop', 'pay', 'server', toDateTime64({AT}, 9, 'UTC'), 5000000, 'error',
    map('http.status_code', '500'), map('http.status_code', 500.), map('service.name', 'shop', 'path', '/a "b"'),
    'tests', map('k', 'v'), [toDateTime64({AT}, 9, 'UTC')], ['exception'], [map('exception.type', 'E')], [0],
    [unhex('{TRACE}')], [unhex('b7ad6b7169203331')], [''], [map('l', 'm')], [1]
"""
OLD_LOG = f"""
INSERT INTO logs (ts, observed, service, level, severity_number, body, pattern_id, trace_id, attributes, resource)
SELECT toDateTime64({AT}, 9, 'UTC'), toDateTime64({AT}, 9, 'UTC'), 'shop', 'ERROR', 17, 'card declined', 7, unhex('{TRACE}'),
    map('k', 'v'), map('service.name', 'shop')
"""


@pytest.fixture
def old(chdb_url: str) -> Iterator[Engine]:
    engine = Engine.open(chdb_url, database=f"test_{uuid.uuid4().hex}")
    schema.migrate(engine, to=1)
    engine.command(OLD_SPAN)
    engine.command(OLD_LOG)
    yield engine
    engine.command(f"DROP DATABASE {engine.database}")
    engine.close()


def test_old_spans_and_logs_survive_the_migration(old: Engine) -> None:
    schema.migrate(old)
    [span] = SpanStore(old).trace(TRACE)
    assert (span.name, span.status, span.duration_ns) == ("pay", "error", 5_000_000)
    assert span.resource == {"service.name": "shop", "path": '/a "b"'}
    assert span.attributes == {"http.status_code": "500"}
    assert [event.name for event in span.events] == ["exception"]
    [sent] = SpanStore(old).export(TRACE).resource_spans[0].scope_spans[0].spans
    assert (sent.links[0].flags, sent.links[0].attributes[0].key) == (1, "l")
    assert old.query("SELECT attributes_number FROM spans") == [({"http.status_code": 500.0},)]
    [record] = LogStore(old).search(LogSearch(TimeRange(AT - 1, AT + 1), text="card"))
    assert (record.body, record.body_kind, record.resource) == ("card declined", "string", {"service.name": "shop"})


@pytest.mark.parametrize(
    "behind", ["INSERT INTO spans_3", "EXCHANGE TABLES spans", "CREATE MATERIALIZED VIEW", "EXCHANGE TABLES logs"]
)
def test_a_migration_that_a_crash_cut_short_is_finished(old: Engine, behind: str) -> None:
    schema.migrate(old, to=2)
    [third] = [each for each in schema.migrations() if each.version == 3]
    for step in third.steps(None):
        old.command(step.statement)
        if step.statement.startswith(behind):
            break
    schema.migrate(old)
    assert old.query("SELECT count() FROM spans") == [(1,)]
    assert old.query("SELECT count() FROM logs") == [(1,)]
