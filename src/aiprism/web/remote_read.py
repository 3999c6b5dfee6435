"""The door of Prometheus remote read: POST /api/v1/read, snappy in and out; errors are plain text, as Prometheus' are."""

from __future__ import annotations

import pyarrow as pa
from fastapi import APIRouter, Request
from fastapi.responses import Response

from aiprism.config import IngestConfig
from aiprism.errors import Refused
from aiprism.query.remote_read import RemoteRead
from aiprism.store.question import Question
from aiprism.web.bodies import body_of, retry_headers
from aiprism.web.turns import Turns


def router(remote_read: RemoteRead, turns: Turns, config: IngestConfig) -> APIRouter:
    """POST /api/v1/read."""
    routes = APIRouter(tags=["prometheus"])

    @routes.post("/api/v1/read", summary="Prometheus remote read: raw samples", response_class=Response)
    async def read(request: Request) -> Response:
        try:
            body = await body_of(request, config, assumed="snappy")
            packed = await turns.answer(
                request,
                lambda question: _answer(remote_read, body, question),
                remote_read.seconds,
                stage="query.remote_read",
            )
        except Refused as refused:
            return Response(f"{refused}\n", refused.status, retry_headers(refused), media_type="text/plain")
        return Response(packed, headers={"Content-Encoding": "snappy"}, media_type="application/x-protobuf")

    return routes


def _answer(remote_read: RemoteRead, body: bytes, question: Question) -> bytes:
    packed: bytes = pa.Codec("snappy").compress(remote_read.answer(body, question), asbytes=True)
    return packed
