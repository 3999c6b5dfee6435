"""Jaeger's query API under /jaeger: what its UI and Grafana's Jaeger data source ask, answered in its JSON.

Source: Jaeger's HTTP JSON of version 1 and how Jaeger shows OTLP (span kind, status, events, links and scope as tags, logs and
references). Times are microseconds; ids are hexadecimal.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from aiprism import jsontext
from aiprism.clock import Clock
from aiprism.errors import BadInput
from aiprism.model.search import All, Condition, Is, Not
from aiprism.model.search import Any as OneOf
from aiprism.model.timerange import TimeRange
from aiprism.store.anyvalue import letter, text_value
from aiprism.store.edges import service_edges
from aiprism.store.engine import Engine
from aiprism.store.spans import SpanStore
from aiprism.store.tracesearch import TraceSearch
from aiprism.web.asking import SECONDS, answering, check_attributes
from aiprism.web.turns import Turns

MOST_TRACES = 1500
_LOOK_BACK = (
    2 * 86_400.0
)  # seconds a search goes back that names no start, and for which services and operations are told
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_KINDS = {
    Span.SPAN_KIND_INTERNAL: "internal", Span.SPAN_KIND_SERVER: "server", Span.SPAN_KIND_CLIENT: "client",
    Span.SPAN_KIND_PRODUCER: "producer", Span.SPAN_KIND_CONSUMER: "consumer",
}  # fmt: skip
# Tags that OTLP has fields for, and those in the language of searches.
_TOLD_AS_TAGS = {
    "span.kind": "kind", "otel.status_code": "status", "otel.status_description": "status_message", "otel.scope.name": "scope",
    "event": "event",
}  # fmt: skip
_TYPES = {"s": "string", "b": "bool", "i": "int64", "d": "float64", "y": "binary"}

Micros = Annotated[int | None, Query(description="Unix microseconds")]


def router(engine: Engine, clock: Clock, *, turns: Turns | None = None, seconds: float = SECONDS) -> APIRouter:
    """GET services, services/{service}/operations, operations, traces, traces/{id}, dependencies below /jaeger/api."""
    routes = APIRouter(prefix="/jaeger/api", tags=["jaeger"])
    spans = SpanStore(engine)
    answer = answering(turns or Turns(engine), seconds)

    async def told(request: Request, compute: Callable[[], Sequence[Any]]) -> JSONResponse:
        """The data in Jaeger's envelope, mistakes too."""
        try:
            return _answer(await answer(request, compute))
        except BadInput as error:
            return _failed(400, str(error))

    @routes.get("/services", summary="Services that have sent spans")
    async def services(request: Request) -> JSONResponse:
        return await told(request, lambda: spans.names(clock.now() - _LOOK_BACK))

    @routes.get("/services/{service}/operations", summary="Names of the operations of a service")
    async def operation_names(request: Request, service: str) -> JSONResponse:
        return await told(
            request, lambda: _once(name for name, _ in spans.operations(service, clock.now() - _LOOK_BACK))
        )

    @routes.get("/operations", summary="Operations of a service with the kind of their spans")
    async def operations(request: Request, service: str = "", spanKind: str = "") -> JSONResponse:  # noqa: N803 - Jaeger's
        def compute() -> Sequence[Mapping[str, str]]:
            if not service:
                raise BadInput("parameter 'service' is required")
            found = spans.operations(service, clock.now() - _LOOK_BACK)
            return [_operation(name, kind) for name, kind in found if spanKind in ("", _kind(kind))]

        return await told(request, compute)

    @routes.get("/traces", summary="Traces that fit, or those with the ids that are named")
    async def traces(request: Request) -> JSONResponse:
        asked = request.query_params

        def compute() -> Sequence[Any]:
            ids = [_padded(each) for each in asked.getlist("traceID")]
            if not ids:
                ids = [each.trace_id for each in spans.search(_search(asked, clock.now()))]
            order = {trace_id: at for at, trace_id in enumerate(ids)}
            return sorted(traces_of(spans.exported(ids)), key=lambda trace: order[trace["traceID"]])

        return await told(request, compute)

    @routes.get("/traces/{trace_id}", summary="One trace")
    async def trace(request: Request, trace_id: str) -> JSONResponse:
        found = await told(request, lambda: list(traces_of(spans.export(_padded(trace_id), limit=100_000))))
        empty = found.status_code == 200 and not json.loads(bytes(found.body))["data"]
        return _failed(404, "trace not found", traceID=trace_id) if empty else found

    @routes.get("/dependencies", summary="Which service calls which, and how often")
    async def dependencies(request: Request, endTs: int = 0, lookback: int = 86_400_000) -> JSONResponse:  # noqa: N803
        end = endTs / 1000 if endTs else clock.now()
        window = TimeRange(max(0.0, end - lookback / 1000), end)
        return await told(request, lambda: _dependencies(engine, window))

    return routes


def _answer(data: Sequence[Any]) -> JSONResponse:
    return JSONResponse({"data": data, "total": len(data), "limit": 0, "offset": 0, "errors": None})


def _failed(status: int, message: str, **more: str) -> JSONResponse:
    error = {"code": status, "msg": message, **more}
    return JSONResponse({"data": None, "total": 0, "limit": 0, "offset": 0, "errors": [error]}, status)


def _once(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _kind(kind: str) -> str:
    return "" if kind == "unspecified" else kind


def _operation(name: str, kind: str) -> Mapping[str, str]:
    return {"name": name, "spanKind": _kind(kind)}


def _dependencies(engine: Engine, window: TimeRange) -> Sequence[Mapping[str, Any]]:
    calls: dict[tuple[str, str], int] = defaultdict(int)
    for edge in service_edges(engine, window):
        if not edge.virtual:
            calls[edge.caller, edge.callee] += edge.calls
    return [
        {"parent": caller, "child": callee, "callCount": count} for (caller, callee), count in sorted(calls.items())
    ]


# -- what is asked -----------------------------------------------------------------------------------------------------


def _search(asked: Any, now: float) -> TraceSearch:
    if not asked.get("service"):
        raise BadInput("parameter 'service' is required")
    limit = _whole(asked, "limit", 20)
    if not 0 < limit <= MOST_TRACES:
        raise BadInput(f"parameter 'limit': {limit} is not between 1 and {MOST_TRACES}")
    end = _whole(asked, "end", round(now * 1e6)) / 1e6
    # The UI sends its choice of a time as well, which may be `custom`; it only counts for who names no start.
    back = "" if asked.get("start") or asked.get("lookback") == "custom" else "lookback"
    start = _whole(asked, "start", round((end - (_seconds(asked, back) or _LOOK_BACK)) * 1e6)) / 1e6
    if not 0 <= start <= end < 9e9:
        raise BadInput(f"parameter 'start': {start:g} is no time before 'end' ({end:g}); microseconds are expected")
    tags = dict(_tags(asked))
    check_attributes("parameter 'tags'", len(tags))
    return TraceSearch(
        TimeRange(start, end),
        service=asked["service"],
        operation="" if asked.get("operation") == "all" else asked.get("operation", ""),
        min_duration=_seconds(asked, "minDuration"),
        max_duration=_seconds(asked, "maxDuration"),
        asked=All(tuple(_condition(key, value) for key, value in tags.items())),
        limit=limit,
    )


def _condition(key: str, value: str) -> Condition:
    """What a tag asks of a span: what Jaeger tells as a tag is asked for as one."""
    if key == "error" and value in ("true", "false"):
        failed = Is("status", "error")
        return failed if value == "true" else Not(failed)
    if key in _TOLD_AS_TAGS:
        return Is(_TOLD_AS_TAGS[key], value.lower() if key == "otel.status_code" else value)
    return OneOf(tuple(Is(f"{place}.{key}", value) for place in ("attributes", "resource", "event")))


def _tags(asked: Any) -> Iterator[tuple[str, str]]:
    """`tags={"key": "value"}` as the UI sends them, and `tag=key:value` as people write them."""
    for text in asked.getlist("tags"):
        try:
            given = jsontext.loads(text)
        except ValueError:
            given = None
        if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
            raise BadInput(f"malformed 'tags' parameter, expecting a JSON object of strings, got {text[:200]!r}")
        yield from given.items()
    for text in asked.getlist("tag"):
        key, found, value = text.partition(":")
        if not found or not key:
            raise BadInput(f"malformed 'tag' parameter, expecting key:value, got {text[:200]!r}")
        yield key, value


def _whole(asked: Any, name: str, default: int) -> int:
    text = asked.get(name) or str(default)
    if not re.fullmatch(r"-?\d{1,18}", text):
        raise BadInput(f"cannot parse {name}: {text[:100]!r} is no whole number")
    return int(text)


def _seconds(asked: Any, name: str) -> float:
    """Seconds of a duration as Go writes it (1.2s, 100ms, 1h30m), 0 when it is not given."""
    text = asked.get(name, "")
    if text and not re.fullmatch(f"(?:{_DURATION.pattern})+", text):
        raise BadInput(f"cannot parse {name}: {text[:100]!r} is no duration; write for example 1.2s, 100ms, 500us")
    return sum(float(count) * _SECONDS[unit] for count, unit in _DURATION.findall(text))


def _padded(trace_id: str) -> str:
    """An id of 64 bits is one of 128 that begins with zeros."""
    if not re.fullmatch("[0-9a-fA-F]{1,32}", trace_id):
        raise BadInput(f"malformed trace id {trace_id[:100]!r}: up to 32 hexadecimal digits are expected")
    return trace_id.lower().rjust(32, "0")


# -- what is answered --------------------------------------------------------------------------------------------------


def traces_of(request: ExportTraceServiceRequest) -> Iterator[Mapping[str, Any]]:
    """The traces of an OTLP request as Jaeger writes them. What is from one resource is one process of each trace."""
    spans: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    processes: dict[str, dict[str, Mapping[str, Any]]] = defaultdict(dict)
    for number, part in enumerate(request.resource_spans, 1):
        process = _process(part.resource)
        for scoped in part.scope_spans:
            for span in scoped.spans:
                trace_id = span.trace_id.hex()
                processes[trace_id][f"p{number}"] = process
                spans[trace_id].append(_span(span, scoped.scope, f"p{number}"))
    for trace_id, members in spans.items():
        yield {"traceID": trace_id, "spans": members, "processes": processes[trace_id], "warnings": None}


def _process(resource: Resource) -> Mapping[str, Any]:
    names = [pair.value.string_value for pair in resource.attributes if pair.key == "service.name"]
    return {
        "serviceName": names[0] if names else "OTLPResourceNoServiceName",
        "tags": [_tag(pair) for pair in resource.attributes if pair.key != "service.name"],
    }


def _span(span: Span, scope: InstrumentationScope, process: str) -> Mapping[str, Any]:
    return {
        "traceID": span.trace_id.hex(),
        "spanID": span.span_id.hex(),
        "flags": span.flags & 0xFF or 1,
        "operationName": span.name,
        "references": list(_references(span)),
        "startTime": span.start_time_unix_nano // 1000,
        "duration": max(0, span.end_time_unix_nano - span.start_time_unix_nano) // 1000,
        "tags": [*map(_tag, span.attributes), *_told_as_tags(span, scope)],
        "logs": [_log(event) for event in span.events],
        "processID": process,
        "warnings": None,
    }


def _references(span: Span) -> Iterator[Mapping[str, str]]:
    if span.parent_span_id:
        yield _reference("CHILD_OF", span.trace_id, span.parent_span_id)
    for link in span.links:
        yield _reference("FOLLOWS_FROM", link.trace_id, link.span_id)


def _reference(kind: str, trace_id: bytes, span_id: bytes) -> Mapping[str, str]:
    return {"refType": kind, "traceID": trace_id.hex(), "spanID": span_id.hex()}


def _told_as_tags(span: Span, scope: InstrumentationScope) -> Iterator[Mapping[str, Any]]:
    """What OTLP has fields for and Jaeger tags."""
    if scope.name:
        yield _text("otel.scope.name", scope.name)
    if scope.version:
        yield _text("otel.scope.version", scope.version)
    if span.kind in _KINDS:
        yield _text("span.kind", _KINDS[span.kind])
    if span.status.code == Status.STATUS_CODE_ERROR:
        yield {"key": "error", "type": "bool", "value": True}
        yield _text("otel.status_code", "ERROR")
    elif span.status.code == Status.STATUS_CODE_OK:
        yield _text("otel.status_code", "OK")
    if span.status.message:
        yield _text("otel.status_description", span.status.message)
    if span.trace_state:
        yield _text("w3c.tracestate", span.trace_state)


def _text(key: str, value: str) -> Mapping[str, Any]:
    return {"key": key, "type": "string", "value": value}


def _tag(pair: KeyValue) -> Mapping[str, Any]:
    kind = letter(pair.value)
    value: Any = text_value(pair.value)
    if kind in "bid":
        value = getattr(pair.value, {"b": "bool_value", "i": "int_value", "d": "double_value"}[kind])
        if isinstance(value, float) and value - value != 0:  # JSON has no NaN and no infinity
            kind, value = "s", str(value)
    return {"key": pair.key, "type": _TYPES.get(kind, "string"), "value": value}


def _log(event: Span.Event) -> Mapping[str, Any]:
    named = [_text("event", event.name)] if event.name else []
    return {"timestamp": event.time_unix_nano // 1000, "fields": [*named, *map(_tag, event.attributes)]}
