"""The HTTP doors of logging agents and libraries that do not speak OTLP: Loki push, Zipkin spans, plain NDJSON.

In: requests in each protocol's own form. Out: answers in the form its clients expect. What a body means is left to
receive/loki_push.py, zipkin.py and ndjson.py; Elasticsearch has elastic.py to itself.
"""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import PlainTextResponse, Response

from aiprism.clock import Clock
from aiprism.config import IngestConfig
from aiprism.errors import Refused, Unsupported
from aiprism.receive import loki_push, ndjson, zipkin
from aiprism.receive.doors import OtlpDoors, Signal
from aiprism.web.bodies import body_of, retry_headers

_PROTOBUF = ("application/x-protobuf", "application/protobuf", "application/vnd.google.protobuf")


def router(doors: OtlpDoors, config: IngestConfig, clock: Clock) -> APIRouter:
    """POST /loki/api/v1/push, /api/v2/spans and /aiprism/v1/ingest/ndjson."""
    routes = APIRouter(tags=["receive"])
    _loki(routes, doors, config, clock)
    _zipkin(routes, doors, config, clock)
    _ndjson(routes, doors, config, clock)
    return routes


def kind_of(request: Request) -> str:
    """The media type of a request's body, without parameters, in lower case."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def in_words(refused: Refused) -> Response:
    """A refusal as plain text, which is what the clients of Loki and Zipkin log."""
    return PlainTextResponse(f"{refused}\n", refused.status, retry_headers(refused))


def _now_ns(clock: Clock) -> int:
    return int(clock.now() * 1e9)


def _loki(routes: APIRouter, doors: OtlpDoors, config: IngestConfig, clock: Clock) -> None:
    @routes.post("/loki/api/v1/push", summary="Loki push: JSON, or protobuf in snappy", response_class=Response)
    @routes.post("/api/prom/push", include_in_schema=False)
    async def push(request: Request) -> Response:
        kind = kind_of(request)
        try:
            if kind not in ("application/json", *_PROTOBUF):
                raise Unsupported(f"Content-Type {kind!r}: Loki push is application/json or application/x-protobuf")
            is_json = kind == "application/json"
            body = await body_of(request, config, assumed="" if is_json else "snappy")
            decode = partial(loki_push.push, now_ns=_now_ns(clock), is_json=is_json, within=doors.bounds(Signal.LOGS))
            taken = await doors.take(Signal.LOGS, "loki", body, decode)
        except Refused as refused:
            return in_words(refused)
        if taken.causes:  # Loki's own answer for lines over a limit; the others are stored
            return PlainTextResponse(f"{sum(taken.causes.values())} lines were not taken: {taken.reason}\n", 400)
        return Response(status_code=204)


def _zipkin(routes: APIRouter, doors: OtlpDoors, config: IngestConfig, clock: Clock) -> None:
    # Below Alertmanager's prefix, which has nothing of this name.
    @routes.post("/api/v2/spans", summary="Zipkin spans, API v2 in JSON", status_code=202, response_class=Response)
    async def spans(request: Request) -> Response:
        kind = kind_of(request)
        try:
            if kind != "application/json":
                raise Unsupported(f"Content-Type {kind!r}: Zipkin spans are taken as application/json (API v2)")
            body = await body_of(request, config)
            await doors.take(Signal.TRACES, "zipkin", body, partial(zipkin.spans, now_ns=_now_ns(clock)))
        except Refused as refused:
            return in_words(refused)
        return Response(status_code=202)


def _ndjson(routes: APIRouter, doors: OtlpDoors, config: IngestConfig, clock: Clock) -> None:
    @routes.post("/aiprism/v1/ingest/ndjson", summary="One JSON object a line, each a log record")
    async def ingest(
        request: Request,
        service: Annotated[str, Query(description="sender of records that name none", max_length=256)] = "",
    ) -> dict[str, Any]:
        body = await body_of(request, config)
        decode = partial(ndjson.records, now_ns=_now_ns(clock), service=service, within=doors.bounds(Signal.LOGS))
        taken = await doors.take(Signal.LOGS, "ndjson", body, decode)
        return {
            "accepted": taken.items,
            "rejected": taken.rejected,
            "errors": [asdict(fault) for fault in taken.faults],
        }
