"""OTLP bodies → columns → stored rows → OTLP again: nothing a sender sent is dropped."""

from __future__ import annotations

import contextlib
import json
import uuid

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from aiprism.errors import StoreError
from aiprism.store import anyvalue
from aiprism.store.engine import Engine
from aiprism.store.logcolumns import log_columns
from aiprism.store.otlpexport import LOG_COLUMNS, SPAN_COLUMNS, logs_request, traces_request
from aiprism.store.spancolumns import span_columns
from tests.otlpmaking import log_requests, record_set, span_set, trace_requests, values

REAL_STORE = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


@REAL_STORE
@given(st.lists(trace_requests(), min_size=1, max_size=2))
def test_spans_come_back_with_every_field(engine: Engine, requests: list[ExportTraceServiceRequest]) -> None:
    joined = ExportTraceServiceRequest.FromString(b"".join(each.SerializeToString() for each in requests))
    engine.command("TRUNCATE TABLE spans")
    engine.insert_arrow("spans", span_columns(joined.SerializeToString()), token=uuid.uuid4().hex)
    back = traces_request(engine.records(f"SELECT {SPAN_COLUMNS} FROM spans"))
    assert span_set(back) == span_set(joined)


@REAL_STORE
@given(st.lists(log_requests(), min_size=1, max_size=2))
def test_records_come_back_with_every_field(engine: Engine, requests: list[ExportLogsServiceRequest]) -> None:
    joined = ExportLogsServiceRequest.FromString(b"".join(each.SerializeToString() for each in requests))
    engine.command("TRUNCATE TABLE logs")
    engine.insert_arrow("logs_received", log_columns(joined.SerializeToString()), token=uuid.uuid4().hex)
    back = logs_request(engine.records(f"SELECT {LOG_COLUMNS} FROM logs"))
    assert record_set(back) == record_set(joined)


def body_of(value: AnyValue) -> bytes:
    request = ExportLogsServiceRequest()
    request.resource_logs.add().scope_logs.add().log_records.add(time_unix_nano=1, body=value)
    return request.SerializeToString()


@given(values)
def test_compiled_text_of_a_value_is_the_text_of_python(value: AnyValue) -> None:
    [compiled] = log_columns(body_of(value))["body"].to_pylist()
    expected = anyvalue.text_value(value)
    if value.WhichOneof("value") == "double_value":
        assert float(compiled) == float(expected)
    elif value.WhichOneof("value") in ("array_value", "kvlist_value"):
        assert anyvalue.json_text(json.loads(compiled)) == expected
    else:
        assert compiled == expected


@pytest.mark.parametrize(
    ("number", "text"),
    [(0.0, "0"), (-0.0, "-0"), (42.0, "42"), (0.2, "0.2"), (-1.5, "-1.5"), (0.1 + 0.2, "0.30000000000000004"), (1e300, "1e+300"),
     (1.7976931348623157e308, "1.7976931348623157e+308"), (5e-324, "4.94065645841247e-324"), (123456.789, "123456.789"),
     (float("nan"), "nan"), (float("-inf"), "-inf")],
)  # fmt: skip
def test_a_double_is_written_as_short_as_it_reads_back(number: float, text: str) -> None:
    assert log_columns(body_of(AnyValue(double_value=number)))["body"].to_pylist() == [text]


def test_arrays_and_maps_are_json_and_known_as_such(engine: Engine) -> None:
    value = AnyValue()
    value.kvlist_value.values.add(key="event").value.string_value = 'paid "in full"\n'
    inner = value.kvlist_value.values.add(key="items").value.array_value.values
    inner.add().double_value = 2.0
    inner.add().kvlist_value.values.add(key="n").value.int_value = 7
    engine.insert_arrow("logs_received", log_columns(body_of(value)), token="t")
    assert engine.query("SELECT body, toString(body_kind) FROM logs") == [
        ('{"event":"paid \\"in full\\"\\n","items":[2.0,{"n":7}]}', "map")
    ]


@settings(max_examples=300)
@given(st.binary(max_size=80) | trace_requests().map(lambda each: each.SerializeToString()[:-3]))
def test_no_bytes_hurt(body: bytes) -> None:
    for columns in (span_columns, log_columns):
        with contextlib.suppress(StoreError):
            columns(body)
