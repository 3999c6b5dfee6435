"""Telemetry for tests of the store: request bodies and label sets, the same at every call."""

from __future__ import annotations

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import SEVERITY_NUMBER_ERROR, SEVERITY_NUMBER_INFO
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from aiprism.model.labels import Labels


def many_traces(traces: int, *, at_ms: int) -> bytes:
    """`traces` traces of two spans each, one a second; every third has failed."""
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "api"
    scoped = resource.scope_spans.add()
    for number in range(traces):
        for part in range(2):
            span = scoped.spans.add(trace_id=trace_id(number), span_id=bytes([1 + number, part] * 4), name="op", kind=2)
            span.start_time_unix_nano = (at_ms + number * 1000 + part) * 1_000_000
            span.end_time_unix_nano = span.start_time_unix_nano + (1 + number) * 1_000_000
            span.parent_span_id = bytes([1 + number, 0] * 4) if part else b""
            span.status.code = Status.STATUS_CODE_ERROR if number % 3 == 0 else Status.STATUS_CODE_UNSET
    return request.SerializeToString()


def trace_id(number: int) -> bytes:
    """The id of trace `number`."""
    return bytes([7, number] * 8)


def logs_body(records: int, *, at_ms: int) -> bytes:
    """`records` records, one a second, the first half of them within the traces of `many_traces`; every other is an error."""
    request = ExportLogsServiceRequest()
    resource = request.resource_logs.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "api"
    scoped = resource.scope_logs.add()
    for number in range(records):
        record = scoped.log_records.add(time_unix_nano=(at_ms + number * 1000) * 1_000_000)
        record.severity_number = SEVERITY_NUMBER_ERROR if number % 2 else SEVERITY_NUMBER_INFO
        record.body.string_value = f"request {number} failed"
        record.trace_id = trace_id(number) if number < records // 2 else b""
    return request.SerializeToString()


def labelled(number: int) -> Labels:
    """Label set `number` of the metric requests_total."""
    return Labels({"__name__": "requests_total", "instance": str(number)})
