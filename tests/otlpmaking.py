"""OTLP requests as hypothesis makes them: every field of the specification, as senders may and as they should not set them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

NOW = 1_790_000_000_000_000_000

texts = st.text(st.characters(codec="utf-8"), max_size=12)
counts = st.integers(0, 2**32 - 1)
times = st.integers(NOW, NOW + 10**12)
trace_ids = st.binary(min_size=16, max_size=16).filter(any)
span_ids = st.binary(min_size=8, max_size=8).filter(any)


def _scalars(*, with_bytes: bool) -> st.SearchStrategy[AnyValue]:
    kinds = [
        texts.map(lambda text: AnyValue(string_value=text)),
        st.booleans().map(lambda flag: AnyValue(bool_value=flag)),
        st.integers(-(2**63), 2**63 - 1).map(lambda number: AnyValue(int_value=number)),
        st.floats(allow_nan=False).map(lambda number: AnyValue(double_value=number)),
    ]
    if with_bytes:
        kinds.append(st.binary(max_size=8).map(lambda data: AnyValue(bytes_value=data)))
    return st.one_of(kinds)


def _nested(inner: st.SearchStrategy[AnyValue]) -> st.SearchStrategy[AnyValue]:
    return st.lists(inner, max_size=3).map(_array) | st.dictionaries(texts, inner, max_size=3).map(_map)


def _array(values: Sequence[AnyValue]) -> AnyValue:
    value = AnyValue()
    value.array_value.SetInParent()
    value.array_value.values.extend(values)
    return value


def _map(values: dict[str, AnyValue]) -> AnyValue:
    value = AnyValue()
    value.kvlist_value.SetInParent()
    for key, each in values.items():
        value.kvlist_value.values.add(key=key).value.CopyFrom(each)
    return value


# Bytes within arrays and maps become base64 text in JSON, so they cannot come back as bytes.
_inner = _scalars(with_bytes=False) | st.just(AnyValue())
values = _scalars(with_bytes=True) | _nested(st.recursive(_inner, _nested, max_leaves=6))


@st.composite
def pairs(draw: st.DrawFn, most: int = 3) -> list[KeyValue]:
    """Attributes with different keys; now and then one without a value."""
    made = []
    for key in draw(st.lists(texts, unique=True, max_size=most)):
        pair = KeyValue(key=key)
        if draw(st.integers(0, 9)):
            pair.value.CopyFrom(draw(values))
        made.append(pair)
    return made


@st.composite
def resources(draw: st.DrawFn) -> Resource:
    """A resource, with a service name or without."""
    resource = Resource(attributes=draw(pairs()), dropped_attributes_count=draw(counts))
    if draw(st.booleans()):
        resource.attributes.add(key="service.name").value.string_value = draw(texts)
    if draw(st.booleans()):
        resource.entity_refs.add(schema_url=draw(texts), type="host", id_keys=draw(st.lists(texts, max_size=2)))
    return resource


@st.composite
def scopes(draw: st.DrawFn) -> InstrumentationScope:
    """An instrumentation scope."""
    return InstrumentationScope(
        name=draw(texts), version=draw(texts), attributes=draw(pairs()), dropped_attributes_count=draw(counts)
    )


@st.composite
def spans(draw: st.DrawFn) -> Span:
    """A span that the data model allows, with every field."""
    span = Span(
        trace_id=draw(trace_ids),
        span_id=draw(span_ids),
        parent_span_id=draw(st.just(b"") | span_ids),
        trace_state=draw(texts),
        flags=draw(counts),
        name=draw(texts),
        kind=draw(st.integers(0, 5)),  # type: ignore[arg-type]
        start_time_unix_nano=draw(times),
        end_time_unix_nano=draw(times | st.just(0)),
        attributes=draw(pairs()),
        dropped_attributes_count=draw(counts),
        dropped_events_count=draw(counts),
        dropped_links_count=draw(counts),
    )
    span.status.message, span.status.code = draw(texts), draw(st.integers(0, 2))  # type: ignore[assignment]
    for _ in range(draw(st.integers(0, 2))):
        span.events.add(
            time_unix_nano=draw(times),
            name=draw(texts),
            attributes=draw(pairs()),
            dropped_attributes_count=draw(counts),
        )
    for _ in range(draw(st.integers(0, 2))):
        span.links.add(
            trace_id=draw(trace_ids),
            span_id=draw(span_ids),
            trace_state=draw(texts),
            attributes=draw(pairs()),
            dropped_attributes_count=draw(counts),
            flags=draw(counts),
        )
    return span


@st.composite
def records(draw: st.DrawFn) -> LogRecord:
    """A log record that the data model allows, with a body of every kind."""
    record = LogRecord(
        time_unix_nano=draw(times | st.just(0)),
        observed_time_unix_nano=draw(times),
        severity_number=draw(st.integers(0, 24)),  # type: ignore[arg-type]
        severity_text=draw(texts),
        attributes=draw(pairs()),
        dropped_attributes_count=draw(counts),
        flags=draw(counts),
        trace_id=draw(st.just(b"") | trace_ids),
        span_id=draw(st.just(b"") | span_ids),
        event_name=draw(texts),
    )
    if draw(st.integers(0, 9)):
        record.body.CopyFrom(draw(values))
    return record


@st.composite
def trace_requests(draw: st.DrawFn) -> ExportTraceServiceRequest:
    """A request with up to two resources of up to two scopes each."""
    request = ExportTraceServiceRequest()
    for _ in range(draw(st.integers(1, 2))):
        group = request.resource_spans.add(resource=draw(resources()), schema_url=draw(texts))
        for _ in range(draw(st.integers(0, 2))):
            group.scope_spans.add(
                scope=draw(scopes()), spans=draw(st.lists(spans(), max_size=2)), schema_url=draw(texts)
            )
    return request


@st.composite
def log_requests(draw: st.DrawFn) -> ExportLogsServiceRequest:
    """A request with up to two resources of up to two scopes each."""
    request = ExportLogsServiceRequest()
    for _ in range(draw(st.integers(1, 2))):
        group = request.resource_logs.add(resource=draw(resources()), schema_url=draw(texts))
        for _ in range(draw(st.integers(0, 2))):
            group.scope_logs.add(
                scope=draw(scopes()), log_records=draw(st.lists(records(), max_size=2)), schema_url=draw(texts)
            )
    return request


def span_set(request: ExportTraceServiceRequest) -> list[tuple[str, ...]]:
    """Every span with its resource and scope, in an order of its own, to compare requests by."""
    return sorted(
        (str(group.resource), group.schema_url, str(scoped.scope), scoped.schema_url, str(_plain(span)))
        for group in request.resource_spans
        for scoped in group.scope_spans
        for span in scoped.spans
    )


def record_set(request: ExportLogsServiceRequest) -> list[tuple[str, ...]]:
    """Every record with its resource and scope."""
    return sorted(
        (str(group.resource), group.schema_url, str(scoped.scope), scoped.schema_url, str(record))
        for group in request.resource_logs
        for scoped in group.scope_logs
        for record in scoped.log_records
    )


def _plain(span: Any) -> Any:
    # An empty status is the same as none.
    if not span.status.message and not span.status.code:
        span.ClearField("status")
    return span
