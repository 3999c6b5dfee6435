"""OTLP requests, from bytes as sent to what the store takes; the same for HTTP and gRPC.

In: a protobuf or OTLP/JSON body. Out: `Traces`/`Logs`, whose `body` is protobuf ready for the raw insert, and for
metrics a `SampleBatch` (otlp_metrics.py). An item the data model forbids is taken out and counted, so that its
neighbours are stored and the sender learns of it by `partial_success`. Arrays and maps in attributes become JSON text.
"""

from __future__ import annotations

import base64
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from aiprism.errors import BadInput
from aiprism.receive.items import ANYTHING, Bounds, Fault, record_fault, resource_fault, span_fault

M = TypeVar("M", bound=Message)

# A KeyValue's value (field 2, up to five length bytes) that opens with array_value (5) or kvlist_value (6). Random bytes
# may look the same, so a hit only means "look closer"; a miss is certain and spares walking the whole message.
_MAY_NEST = re.compile(rb"\x12[\x80-\xff]{0,4}[\x00-\x7f][\x2a\x32]")
# The same for a log body, which is an AnyValue in field 5 itself.
_MAY_NEST_BODY = re.compile(rb"\x2a[\x80-\xff]{0,4}[\x00-\x7f][\x2a\x32]")

# Nanoseconds are kept as Int64.
_TIME_LIMIT = 2**63

_ID_KEYS = frozenset({"traceId", "spanId", "parentSpanId", "trace_id", "span_id", "parent_span_id"})


@dataclass(frozen=True, slots=True)
class Accepted:
    """What of a request goes on: protobuf `body` with `items`; `rejected` items stayed behind because of `reason`."""

    body: bytes
    items: int
    rejected: int = 0
    reason: str = ""
    causes: Mapping[str, int] = field(default_factory=dict, kw_only=True)  # rejected items by the code of their fault
    is_bounded: bool = field(default=False, kw_only=True)  # what is out of bounds has been taken out


def traces(body: bytes, *, is_json: bool = False, within: Bounds = ANYTHING) -> Accepted:
    """The spans of an ExportTraceServiceRequest that are `within` bounds; BadInput when it is none."""
    request = _parsed(ExportTraceServiceRequest, body, is_json)
    left_out, look = _LeftOut(), len(body) > within.value_bytes
    for resource in request.resource_spans:
        for scoped in resource.scope_spans:
            group = resource_fault(resource.resource, scoped.scope, len(scoped.spans), within)
            left_out.take_from(
                scoped.spans, [group or _span_fault(span) or span_fault(span, within, look) for span in scoped.spans]
            )
    flattened = (is_json or _MAY_NEST.search(body)) and _flatten(_trace_attributes(request))
    changed = is_json or left_out.count or flattened
    return left_out.accepted(request.SerializeToString() if changed else body)


def logs(body: bytes, *, is_json: bool = False, within: Bounds = ANYTHING) -> Accepted:
    """The records of an ExportLogsServiceRequest that are `within` bounds; BadInput when it is none."""
    request = _parsed(ExportLogsServiceRequest, body, is_json)
    left_out, look = _LeftOut(), len(body) > within.value_bytes
    for resource in request.resource_logs:
        for scoped in resource.scope_logs:
            group = resource_fault(resource.resource, scoped.scope, len(scoped.log_records), within)
            left_out.take_from(
                scoped.log_records,
                [group or _record_fault(record) or record_fault(record, within, look) for record in scoped.log_records],
            )
    may_nest = is_json or _MAY_NEST.search(body) or _MAY_NEST_BODY.search(body)
    changed = is_json or left_out.count or (may_nest and _flatten(_log_values(request)))
    return left_out.accepted(request.SerializeToString() if changed else body)


def metrics_request(body: bytes, *, is_json: bool = False) -> ExportMetricsServiceRequest:
    """A parsed ExportMetricsServiceRequest; BadInput when it is none."""
    return _parsed(ExportMetricsServiceRequest, body, is_json)


def json_value(value: AnyValue) -> Any:
    """`value` as JSON would hold it: maps as objects, bytes as base64 text (OTLP/JSON encoding)."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [json_value(each) for each in value.array_value.values]
    if kind == "kvlist_value":
        return {pair.key: json_value(pair.value) for pair in value.kvlist_value.values}
    if kind == "bytes_value":
        return base64.b64encode(value.bytes_value).decode()
    return getattr(value, kind) if kind else None


def text_value(value: AnyValue) -> str:
    """`value` as one attribute text, the same text the SQL of the raw insert makes."""
    kind = value.WhichOneof("value")
    if kind == "string_value":
        return str(value.string_value)
    if kind == "bool_value":
        return "true" if value.bool_value else "false"
    if kind is None:
        return ""
    if kind == "bytes_value":
        return base64.b64encode(value.bytes_value).decode()
    if kind in ("array_value", "kvlist_value"):
        return _as_json(value)
    return str(getattr(value, kind))


# -- faults the data model names -------------------------------------------------------------------------------------


def _span_fault(span: Any) -> Fault | None:
    if len(span.trace_id) != 16 or not any(span.trace_id):
        return _NO_TRACE_ID
    if len(span.span_id) != 8 or not any(span.span_id):
        return _NO_SPAN_ID
    if span.parent_span_id and len(span.parent_span_id) != 8:
        return _BAD_PARENT
    if not 0 < span.start_time_unix_nano < _TIME_LIMIT or span.end_time_unix_nano >= _TIME_LIMIT:
        return _BAD_SPAN_TIME
    if span.links and any(len(link.trace_id) > 16 or len(link.span_id) > 8 for link in span.links):
        return _BAD_LINK
    return None


_NO_TRACE_ID = Fault("invalid", "span without a valid trace_id: 16 bytes, not all zero")
_NO_SPAN_ID = Fault("invalid", "span without a valid span_id: 8 bytes, not all zero")
_BAD_PARENT = Fault("invalid", "span whose parent_span_id is not 8 bytes long")
_BAD_SPAN_TIME = Fault(
    "invalid", "span whose start_time_unix_nano is missing, or a time of which lies after the year 2262"
)
_BAD_LINK = Fault("invalid", "span with a link whose trace_id or span_id is too long")


def _record_fault(record: Any) -> Fault | None:
    if record.trace_id and len(record.trace_id) != 16:
        return Fault("invalid", "log record whose trace_id is not 16 bytes long")
    if record.span_id and len(record.span_id) != 8:
        return Fault("invalid", "log record whose span_id is not 8 bytes long")
    if not record.time_unix_nano and not record.observed_time_unix_nano:
        return Fault("invalid", "log record without time_unix_nano and observed_time_unix_nano")
    if record.time_unix_nano >= _TIME_LIMIT or record.observed_time_unix_nano >= _TIME_LIMIT:
        return Fault("invalid", "log record with a time after the year 2262")
    return None


class _LeftOut:
    """The items that stay behind, by fault, and how many go on."""

    def __init__(self) -> None:
        self.kept, self.codes, self.reason = 0, Counter[str](), ""

    @property
    def count(self) -> int:
        return sum(self.codes.values())

    def take_from(self, items: Any, faults: Sequence[Fault | None]) -> None:
        """Take out of `items` those that have a fault."""
        for at in reversed(range(len(faults))):
            if fault := faults[at]:
                del items[at]
                self.codes[fault.code] += 1
        self.reason = self.reason or next((fault.message for fault in faults if fault), "")
        self.kept += len(items)

    def accepted(self, body: bytes) -> Accepted:
        return Accepted(body, self.kept, self.count, self.reason, causes=dict(self.codes), is_bounded=True)


# -- arrays and maps to text -----------------------------------------------------------------------------------------


def _trace_attributes(request: ExportTraceServiceRequest) -> Iterable[KeyValue]:
    for resource in request.resource_spans:
        yield from resource.resource.attributes
        for scoped in resource.scope_spans:
            yield from scoped.scope.attributes
            for span in scoped.spans:
                yield from span.attributes
                for event in span.events:
                    yield from event.attributes
                for link in span.links:
                    yield from link.attributes


@dataclass(slots=True)
class _Body:
    """A log body, seen as a KeyValue so that one loop serves both."""

    value: AnyValue


def _log_values(request: ExportLogsServiceRequest) -> Iterable[KeyValue | _Body]:
    for resource in request.resource_logs:
        yield from resource.resource.attributes
        for scoped in resource.scope_logs:
            yield from scoped.scope.attributes
            for record in scoped.log_records:
                yield from record.attributes
                if record.HasField("body"):
                    yield _Body(record.body)


def _flatten(values: Iterable[KeyValue | _Body]) -> bool:
    """Rewrite nested values as JSON text, in place; True when there was one."""
    found = False
    for holder in values:
        if holder.value.WhichOneof("value") in ("array_value", "kvlist_value"):
            holder.value.string_value = _as_json(holder.value)
            found = True
    return found


def _as_json(value: AnyValue) -> str:
    return json.dumps(json_value(value), ensure_ascii=False, separators=(",", ":"))


# -- decoding --------------------------------------------------------------------------------------------------------


def _parsed(kind: type[M], body: bytes, is_json: bool) -> M:
    if is_json:
        return _from_json(kind, body)
    try:
        return kind.FromString(body)
    except DecodeError as error:
        raise BadInput(f"the body is not an {kind.DESCRIPTOR.name} in protobuf: {error}") from None


def _from_json(kind: type[M], body: bytes) -> M:
    try:
        document = json.loads(body)
    except ValueError as error:  # not UTF-8, not JSON, a number of thousands of digits
        raise BadInput(f"the body is not JSON: {error}") from None
    except RecursionError:
        raise BadInput("the body is JSON nested too deeply") from None
    if not isinstance(document, dict):
        raise BadInput(f"the body is not an {kind.DESCRIPTOR.name} in OTLP/JSON: expected an object")
    try:
        return json_format.ParseDict(_with_base64_ids(document), kind(), ignore_unknown_fields=True)
    except (json_format.ParseError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise BadInput(f"the body is not an {kind.DESCRIPTOR.name} in OTLP/JSON: {error}") from None


def _with_base64_ids(value: Any) -> Any:
    # OTLP/JSON writes trace and span ids in hex where protobuf's JSON mapping expects base64.
    if isinstance(value, list):
        return [_with_base64_ids(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        key: _hex_to_base64(key, each) if key in _ID_KEYS and isinstance(each, str) else _with_base64_ids(each)
        for key, each in value.items()
    }


def _hex_to_base64(key: str, text: str) -> str:
    try:
        return base64.b64encode(bytes.fromhex(text)).decode()
    except ValueError:
        raise BadInput(f"{key} {text[:40]!r} is not hexadecimal") from None
