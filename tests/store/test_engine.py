"""The engine and its schema, on the real embedded ClickHouse."""

from __future__ import annotations

import os

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from aiprism.errors import StoreError, Unavailable
from aiprism.store.engine import Engine
from aiprism.store.logcolumns import log_columns
from aiprism.store.schema import migrate
from aiprism.store.spancolumns import span_columns

SECOND = 1_000_000_000
AT = 1_790_000_000 * SECOND


def trace_body(spans: int = 3, service: str = "api") -> bytes:
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = service
    scoped = resource.scope_spans.add()
    scoped.scope.name = "tests"
    for at in range(spans):
        span = scoped.spans.add(trace_id=b"\1" * 16, span_id=os.urandom(8), name="op", kind=2)
        span.start_time_unix_nano, span.end_time_unix_nano = AT + at, AT + at + 5 * SECOND
        span.parent_span_id = b"" if at == 0 else b"\2" * 8
        span.attributes.add(key="http.status_code").value.int_value = 500 + at
        span.attributes.add(key="ok").value.bool_value = False
        span.attributes.add(key="raw").value.bytes_value = b"\0\1"
        span.status.code = Status.STATUS_CODE_ERROR if at == 1 else Status.STATUS_CODE_UNSET
        event = span.events.add(name="exception", time_unix_nano=AT)
        event.attributes.add(key="exception.type").value.string_value = "ValueError"
        span.links.add(trace_id=b"\3" * 16, span_id=b"\4" * 8, flags=1)
    return request.SerializeToString()


def insert_traces(engine: Engine, body: bytes, token: str) -> None:
    engine.insert_arrow("spans", span_columns(body), token=token)


def test_a_trace_body_becomes_spans_with_everything_in_them(engine: Engine) -> None:
    insert_traces(engine, trace_body(), "t")
    [span] = engine.records("SELECT *, attributes_number FROM spans WHERE parent_span_id = toFixedString('', 8)")
    assert span["service"] == "api"
    assert span["kind"] == "server"
    assert span["duration_ns"] == 5 * SECOND
    assert span["attributes"] == {"http.status_code": "500", "ok": "false", "raw": "AAE="}
    assert span["attributes_number"] == {"http.status_code": 500.0}
    assert span["event_name"] == ["exception"]
    assert span["event_attributes"] == [{"exception.type": "ValueError"}]
    assert (span["link_trace_id"], span["link_flags"]) == ([b"\3" * 16], [1])


def test_the_rollups_follow_the_spans(engine: Engine) -> None:
    insert_traces(engine, trace_body(), "t")
    [index] = engine.records("SELECT sum(spans) AS n, sum(errors) AS bad, max(root_name) AS root FROM trace_index")
    assert index == {"n": 3, "bad": 1, "root": "op"}
    assert engine.query("SELECT sum(spans), sum(errors) FROM span_red_1m") == [(3, 1)]


def test_concatenated_bodies_are_one_body(engine: Engine) -> None:
    insert_traces(engine, trace_body(2, "a") + trace_body(3, "b"), "t")
    assert engine.query("SELECT service, count() FROM spans GROUP BY service ORDER BY service") == [("a", 2), ("b", 3)]


def test_the_same_token_stores_once_views_included(engine: Engine) -> None:
    for _ in range(3):
        insert_traces(engine, trace_body(), "same")
    assert engine.query("SELECT count() FROM spans") == [(3,)]
    assert engine.query("SELECT sum(spans) FROM span_red_1m") == [(3,)]


def test_a_truncated_body_stores_nothing(engine: Engine) -> None:
    with pytest.raises(StoreError):
        insert_traces(engine, trace_body()[:-7], "t")
    assert engine.query("SELECT count() FROM spans") == [(0,)]


def test_log_lines_get_level_and_pattern(engine: Engine) -> None:
    request = ExportLogsServiceRequest()
    scoped = request.resource_logs.add().scope_logs.add()
    for at in range(3):
        record = scoped.log_records.add(time_unix_nano=AT, severity_number=17)
        record.body.string_value = f"user {at} from 10.0.0.{at} failed: 5f0c7f3e-1111-2222-3333-44445555666{at}"
    engine.insert_arrow("logs_received", log_columns(request.SerializeToString()), token="t")
    assert engine.query("SELECT DISTINCT level FROM logs") == [("ERROR",)]
    assert engine.query("SELECT pattern, sum(lines) FROM log_patterns_1m GROUP BY pattern") == [
        ("user <num> from <ip> failed: <uuid>", 3)
    ]


def test_migrating_twice_changes_nothing(engine: Engine) -> None:
    assert migrate(engine) == migrate(engine)


def test_a_newer_database_is_refused_in_words(engine: Engine) -> None:
    engine.command("INSERT INTO schema_version (version, name) VALUES (9999, 'future')")
    with pytest.raises(StoreError, match="schema version 9999"):
        migrate(engine)


@pytest.mark.parametrize(
    ("sql", "becomes"),
    [
        ("SELEC 1", StoreError),
        ("SELECT toUInt8('x')", StoreError),
        ("SELECT * FROM no_such_table", Unavailable),
        ("SELECT throwIf(1)", Unavailable),
    ],
)
def test_only_what_is_wrong_with_the_data_is_the_senders_fault(
    engine: Engine, sql: str, becomes: type[Exception]
) -> None:
    with pytest.raises(becomes):
        engine.query(sql)


def test_spans_of_many_days_share_an_insert(engine: Engine) -> None:
    request = ExportTraceServiceRequest()
    scoped = request.resource_spans.add().scope_spans.add()
    for day in range(150):
        at = AT + day * 86_400 * SECOND
        scoped.spans.add(trace_id=b"\1" * 16, span_id=os.urandom(8), start_time_unix_nano=at, end_time_unix_nano=at)
    insert_traces(engine, request.SerializeToString(), "t")
    assert engine.query("SELECT count() FROM spans") == [(150,)]


def test_a_server_that_is_away_is_unavailable_and_keeps_its_password_to_itself() -> None:
    with pytest.raises(Unavailable) as caught:
        Engine.open("http://user:hunter2@127.0.0.1:9")
    assert "hunter2" not in str(caught.value)


def test_values_are_bound_never_spliced(engine: Engine) -> None:
    hostile = "x'; DROP TABLE spans; --"
    assert engine.query("SELECT {v:String}", {"v": hostile}) == [(hostile,)]


def test_time_is_kept_to_the_nanosecond(engine: Engine) -> None:
    insert_traces(engine, trace_body(1), "t")
    assert engine.query("SELECT toUnixTimestamp64Nano(start) FROM spans") == [(AT,)]
