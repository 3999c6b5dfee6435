"""OTLP requests, from bytes as sent to what the store takes; the same for HTTP and gRPC.

In: a protobuf or OTLP/JSON body. Out: `Accepted`, whose `body` is protobuf that the store takes as it is, and for metrics the
parsed request (otlp_metrics.py). A body that compiled code finds good (otlpwire.py) goes on byte for byte. Any other is
parsed: an item the data model forbids is taken out and counted, so that its neighbours are stored and the sender learns of
it by `partial_success`.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from aiprism import jsontext
from aiprism.errors import BadInput
from aiprism.receive.items import ANYTHING, Bounds, Fault, record_fault, resource_fault, span_fault

M = TypeVar("M", bound=Message)


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
    if not is_json and (good := _good_spans(body, within)) >= 0:
        return Accepted(body, good, is_bounded=True)
    request = _parsed(ExportTraceServiceRequest, body, is_json)
    left_out, look = _LeftOut(), len(body) > within.value_bytes
    for resource in request.resource_spans:
        for scoped in resource.scope_spans:
            group = resource_fault(resource.resource, scoped.scope, len(scoped.spans), within)
            left_out.take_from(
                scoped.spans, [group or _span_fault(span) or span_fault(span, within, look) for span in scoped.spans]
            )
    return left_out.accepted(_plain(request))


def logs(body: bytes, *, is_json: bool = False, within: Bounds = ANYTHING) -> Accepted:
    """The records of an ExportLogsServiceRequest that are `within` bounds; BadInput when it is none."""
    if not is_json and (good := _good_records(body, within)) >= 0:
        return Accepted(body, good, is_bounded=True)
    request = _parsed(ExportLogsServiceRequest, body, is_json)
    left_out, look = _LeftOut(), len(body) > within.value_bytes
    for resource in request.resource_logs:
        for scoped in resource.scope_logs:
            group = resource_fault(resource.resource, scoped.scope, len(scoped.log_records), within)
            left_out.take_from(
                scoped.log_records,
                [group or _record_fault(record) or record_fault(record, within, look) for record in scoped.log_records],
            )
    return left_out.accepted(_plain(request))


def _good_spans(body: bytes, within: Bounds) -> int:
    # Imported with the first body: compiled code costs memory that a server without senders need not have.
    from aiprism.receive.otlpwire import spans_of

    return spans_of(body, within)


def _good_records(body: bytes, within: Bounds) -> int:
    from aiprism.receive.otlpwire import records_of

    return records_of(body, within)


def _plain(request: Message) -> bytes:
    """The request in protobuf's own plain form: each field once, nothing unknown."""
    request.DiscardUnknownFields()
    return request.SerializeToString()


def metrics_request(body: bytes, *, is_json: bool = False) -> ExportMetricsServiceRequest:
    """A parsed ExportMetricsServiceRequest; BadInput when it is none."""
    return _parsed(ExportMetricsServiceRequest, body, is_json)


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
    if span.events and any(event.time_unix_nano >= _TIME_LIMIT for event in span.events):
        return _BAD_EVENT
    return None


_NO_TRACE_ID = Fault("invalid", "span without a valid trace_id: 16 bytes, not all zero")
_NO_SPAN_ID = Fault("invalid", "span without a valid span_id: 8 bytes, not all zero")
_BAD_PARENT = Fault("invalid", "span whose parent_span_id is not 8 bytes long")
_BAD_SPAN_TIME = Fault(
    "invalid", "span whose start_time_unix_nano is missing, or a time of which lies after the year 2262"
)
_BAD_EVENT = Fault("invalid", "span with an event after the year 2262")
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
        document = jsontext.loads(body.decode("utf-8-sig"))
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
