"""Stored spans and log records as the OTLP requests they came in: with every field a sender set, values of their own kind.

In: rows of `spans` and `logs`. Out: ExportTraceServiceRequest and ExportLogsServiceRequest, one resource and scope each for
the items that share them. What cannot be told apart any more: bytes within arrays and maps come back as base64 text, kinds
and status codes that OTLP does not know as unspecified, a value without anything in it as no value.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from google.protobuf.json_format import MessageToDict, ParseDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

Row = Mapping[str, Any]
Group = TypeVar("Group")

# What both tables have; maps as two lists, because a sender may give a key twice.
_ORIGIN = """
    mapKeys(attributes) AS keys, mapValues(attributes) AS texts, attribute_kinds AS kinds, dropped_attributes,
    resource_json, resource_kinds, resource_entities, resource_dropped, resource_schema_url,
    scope_name, scope_version, scope_json, scope_kinds, scope_dropped, scope_schema_url"""

SPAN_COLUMNS = f"""
    trace_id AS trace, span_id AS span, parent_span_id AS parent, trace_state, flags, name, toInt32(kind) AS kind_number,
    toUnixTimestamp64Nano(start) AS start_ns, duration_ns, ended_before_ns, toInt32(status) AS code, status_message,
    arrayMap(at -> toUnixTimestamp64Nano(at), event_time) AS event_ns, event_name,
    arrayMap(pairs -> mapKeys(pairs), event_attributes) AS event_keys,
    arrayMap(pairs -> mapValues(pairs), event_attributes) AS event_texts, event_kinds, event_dropped,
    link_trace_id, link_span_id, link_trace_state, link_flags, link_dropped,
    arrayMap(pairs -> mapKeys(pairs), link_attributes) AS link_keys,
    arrayMap(pairs -> mapValues(pairs), link_attributes) AS link_texts, link_kinds,
    dropped_events, dropped_links, {_ORIGIN}
"""

LOG_COLUMNS = f"""
    toUnixTimestamp64Nano(ts) AS ts_ns, timed, toUnixTimestamp64Nano(observed) AS observed_ns, severity_number, severity_text,
    body, toInt32(body_kind) AS body_number, event_name, trace_id AS trace, span_id AS span, flags, {_ORIGIN}
"""

_NO_TRACE, _NO_SPAN = bytes(16), bytes(8)
_IDS = frozenset(("traceId", "spanId", "parentSpanId"))
_LETTER_OF_NUMBER = "nsbidamy"


def traces_request(rows: Iterable[Row]) -> ExportTraceServiceRequest:
    """The spans of `rows`, read with SPAN_COLUMNS."""
    request, scopes = ExportTraceServiceRequest(), {}
    for row in rows:
        key = _origin(row)
        if key not in scopes:
            group = request.resource_spans.add(schema_url=row["resource_schema_url"])
            _describe(group.resource, row)
            scopes[key] = group.scope_spans.add(schema_url=row["scope_schema_url"])
            _name(scopes[key].scope, row)
        _put_span(scopes[key].spans.add(), row)
    return request


def logs_request(rows: Iterable[Row]) -> ExportLogsServiceRequest:
    """The records of `rows`, read with LOG_COLUMNS."""
    request, scopes = ExportLogsServiceRequest(), {}
    for row in rows:
        key = _origin(row)
        if key not in scopes:
            group = request.resource_logs.add(schema_url=row["resource_schema_url"])
            _describe(group.resource, row)
            scopes[key] = group.scope_logs.add(schema_url=row["scope_schema_url"])
            _name(scopes[key].scope, row)
        _put_record(scopes[key].log_records.add(), row)
    return request


def otlp_json(request: ExportTraceServiceRequest | ExportLogsServiceRequest) -> dict[str, Any]:
    """A request as OTLP's JSON encoding has it: ids are hexadecimal and enums are numbers, other than in protobuf's own."""
    found: dict[str, Any] = MessageToDict(request, use_integers_for_enums=True)
    _write_ids(found)
    return found


def _write_ids(node: object) -> None:
    if isinstance(node, list):
        for each in node:
            _write_ids(each)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key in _IDS and isinstance(value, str):
                node[key] = base64.b64decode(value).hex()
            else:
                _write_ids(value)


def _origin(row: Row) -> tuple[object, ...]:
    return tuple(row[name] for name in row if name.startswith(("resource_", "scope_")))


def _describe(resource: Resource, row: Row) -> None:
    _put_pairs(resource.attributes, *_object(row["resource_json"]), row["resource_kinds"])
    resource.dropped_attributes_count = row["resource_dropped"]
    for entity in json.loads(row["resource_entities"] or "[]"):
        ParseDict(entity, resource.entity_refs.add())


def _name(scope: InstrumentationScope, row: Row) -> None:
    scope.name, scope.version = row["scope_name"], row["scope_version"]
    _put_pairs(scope.attributes, *_object(row["scope_json"]), row["scope_kinds"])
    scope.dropped_attributes_count = row["scope_dropped"]


def _object(text: str) -> tuple[Sequence[str], Sequence[str]]:
    pairs = json.loads(text, object_pairs_hook=list) if text else []
    return [key for key, _ in pairs], [value for _, value in pairs]


def _put_span(span: Any, row: Row) -> None:
    span.trace_id, span.span_id = row["trace"], row["span"]
    span.parent_span_id = b"" if row["parent"] == _NO_SPAN else row["parent"]
    span.trace_state, span.flags, span.name, span.kind = (
        row["trace_state"], row["flags"], row["name"], row["kind_number"],
    )  # fmt: skip
    span.start_time_unix_nano = row["start_ns"]
    span.end_time_unix_nano = row["start_ns"] + row["duration_ns"] - row["ended_before_ns"]
    span.status.message, span.status.code = row["status_message"], row["code"]
    _put_pairs(span.attributes, row["keys"], row["texts"], row["kinds"])
    span.dropped_attributes_count, span.dropped_events_count, span.dropped_links_count = (
        row["dropped_attributes"], row["dropped_events"], row["dropped_links"],
    )  # fmt: skip
    for at, name in enumerate(row["event_name"]):
        event = span.events.add(time_unix_nano=row["event_ns"][at], name=name)
        _put_pairs(event.attributes, row["event_keys"][at], row["event_texts"][at], _at(row["event_kinds"], at, ""))
        event.dropped_attributes_count = row["event_dropped"][at]
    for at, trace_id in enumerate(row["link_trace_id"]):
        link = span.links.add(trace_id=trace_id, span_id=row["link_span_id"][at], flags=row["link_flags"][at])
        link.trace_state = row["link_trace_state"][at]
        _put_pairs(link.attributes, row["link_keys"][at], row["link_texts"][at], _at(row["link_kinds"], at, ""))
        link.dropped_attributes_count = _at(row["link_dropped"], at, 0)


def _put_record(record: Any, row: Row) -> None:
    record.time_unix_nano, record.observed_time_unix_nano = row["ts_ns"] if row["timed"] else 0, row["observed_ns"]
    record.severity_number, record.severity_text = row["severity_number"], row["severity_text"]
    record.event_name, record.flags = row["event_name"], row["flags"]
    record.trace_id = b"" if row["trace"] == _NO_TRACE else row["trace"]
    record.span_id = b"" if row["span"] == _NO_SPAN else row["span"]
    if row["body_number"]:
        _put_value(record.body, row["body"], _LETTER_OF_NUMBER[row["body_number"]])
    _put_pairs(record.attributes, row["keys"], row["texts"], row["kinds"])
    record.dropped_attributes_count = row["dropped_attributes"]


def _at(values: Sequence[Any], at: int, otherwise: Any) -> Any:
    # Rows of before version 3 of the schema lack what was not kept then.
    return values[at] if at < len(values) else otherwise


def _put_pairs(repeated: Any, keys: Sequence[str], texts: Sequence[str], kinds: str) -> None:
    for at, (key, text) in enumerate(zip(keys, texts, strict=True)):
        pair = repeated.add(key=key)
        letter = _at(kinds, at, "s")
        if letter != "n":
            _put_value(pair.value, text, letter)


def _put_value(value: AnyValue, text: str, letter: str) -> None:
    if letter == "s":
        value.string_value = text
    elif letter == "b":
        value.bool_value = text == "true"
    elif letter == "i":
        value.int_value = int(text)
    elif letter == "d":
        value.double_value = float(text)
    elif letter == "y":
        value.bytes_value = base64.b64decode(text)
    else:
        _put_json(value, json.loads(text, object_pairs_hook=_Pairs))


class _Pairs(list[tuple[str, object]]):
    """A JSON object, as its pairs."""


def _put_json(value: AnyValue, document: object) -> None:
    if isinstance(document, _Pairs):
        value.kvlist_value.SetInParent()
        for key, each in document:
            pair = value.kvlist_value.values.add(key=key)
            pair.value.SetInParent()
            _put_json(pair.value, each)
    elif isinstance(document, list):
        value.array_value.SetInParent()
        for each in document:
            _put_json(value.array_value.values.add(), each)
    elif isinstance(document, bool):
        value.bool_value = document
    elif isinstance(document, int):
        value.int_value = document
    elif isinstance(document, float):
        value.double_value = document
    elif isinstance(document, str):
        value.string_value = document
