"""Prometheus remote write over HTTP, 1.0 and 2.0: content negotiation in, status codes and written counts out."""

from __future__ import annotations

from email.message import Message

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response

from aiprism.config import IngestConfig
from aiprism.errors import Refused, Unsupported
from aiprism.receive.remote_write import RemoteWriteDoor, Written
from aiprism.web.bodies import body_of, lease_of, retry_headers

_TYPES = ("application/x-protobuf", "application/protobuf")
# The `proto` parameter of the Content-Type, and the version of remote write it belongs to; without one it is 1.0.
_VERSIONS = {"": 1, "prometheus.WriteRequest": 1, "io.prometheus.write.v2.Request": 2}


def router(door: RemoteWriteDoor, config: IngestConfig) -> APIRouter:
    """POST /api/v1/write and /api/v1/push."""
    routes = APIRouter(tags=["receive"])

    @routes.post("/api/v1/write", summary="Prometheus remote write 1.0 and 2.0", response_class=Response)
    @routes.post("/api/v1/push", include_in_schema=False)
    async def write(request: Request) -> Response:
        try:
            version = _version(request)
            body = await body_of(request, config, assumed="snappy")
            written = await door.receive(body, version=version, lease=lease_of(request))
        except Refused as refused:
            return _answer(Written(error=refused))
        return _answer(written)

    return routes


def _version(request: Request) -> int:
    """Which message the body is; Unsupported when we do not know it."""
    header = Message()
    header["Content-Type"] = request.headers.get("content-type", "")
    kind, proto = header.get_content_type(), header.get_param("proto", "")
    if kind not in _TYPES:
        raise Unsupported(f"Content-Type {header['Content-Type']!r} is not remote write; send {_TYPES[0]}")
    version = _VERSIONS.get(str(proto))
    if version is None:
        known = ", ".join(name for name in _VERSIONS if name)
        raise Unsupported(f"the message {proto!r} (Content-Type) is not known here; send one of {known}")
    return version


def _answer(written: Written) -> Response:
    """What the sender is told: what is stored is counted in headers, what is not in words (2.0, "Response")."""
    headers = {
        "X-Prometheus-Remote-Write-Samples-Written": str(written.samples),
        "X-Prometheus-Remote-Write-Histograms-Written": str(written.histograms),
        "X-Prometheus-Remote-Write-Exemplars-Written": str(written.exemplars),
    }
    if written.error is None:
        return Response(status_code=204, headers=headers)
    return PlainTextResponse(f"{written.error}\n", written.error.status, headers | retry_headers(written.error))
