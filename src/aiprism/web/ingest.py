"""OTLP over HTTP: protobuf and JSON, gzip/zstd/deflate, answers in the sender's own encoding (OTLP/HTTP specification)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Request
from fastapi.responses import Response
from google.protobuf.json_format import MessageToJson
from google.rpc.status_pb2 import Status

from aiprism.config import IngestConfig
from aiprism.errors import Refused, Unsupported
from aiprism.receive.doors import OtlpDoors, Signal
from aiprism.receive.otlp_grpc import response
from aiprism.web.bodies import body_of, retry_headers

_PROTOBUF, _JSON = "application/x-protobuf", "application/json"
# google.rpc codes for the Status message that OTLP/HTTP wants in the body of a refusal
_RPC_CODES = {400: 3, 408: 4, 413: 8, 415: 3, 429: 8, 503: 14}


def router(doors: OtlpDoors, config: IngestConfig) -> APIRouter:
    """POST /v1/traces, /v1/metrics and /v1/logs."""
    routes = APIRouter(tags=["receive"])
    for signal in Signal:
        routes.add_api_route(
            f"/v1/{signal.value}",
            _export(doors, config, signal),
            methods=["POST"],
            summary=f"OTLP/HTTP {signal.value}: protobuf or JSON; answered once stored",
            response_class=Response,
        )
    return routes


def _export(doors: OtlpDoors, config: IngestConfig, signal: Signal) -> Callable[[Request], Awaitable[Response]]:
    async def export(request: Request) -> Response:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        try:
            if kind not in (_PROTOBUF, _JSON):
                raise Unsupported(f"Content-Type {kind!r} is not OTLP; send {_PROTOBUF} or {_JSON}")
            body = await body_of(request, config)
            receipt = await doors.receive(signal, body, is_json=kind == _JSON)
        except Refused as refused:
            return _refusal(refused, kind)
        answer = response(signal, receipt)
        if kind == _JSON:
            return Response(MessageToJson(answer, indent=None), media_type=_JSON)
        return Response(answer.SerializeToString(), media_type=_PROTOBUF)

    return export


def _refusal(refused: Refused, kind: str) -> Response:
    status = Status(code=_RPC_CODES.get(refused.status, 3), message=str(refused))
    headers = retry_headers(refused)
    if kind == _PROTOBUF:
        return Response(status.SerializeToString(), refused.status, headers, media_type=_PROTOBUF)
    return Response(MessageToJson(status, indent=None), refused.status, headers, media_type=_JSON)
