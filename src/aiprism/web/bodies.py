"""Request bodies at the HTTP rim: never larger, slower or, all together, heavier than allowed.

Plain ASGI around the whole application, so that no route can forget it. What is refused here is raised where the route
reads its body, and so gets the answer form of that route. `body_of` gives a door its body decompressed.
"""

from __future__ import annotations

import asyncio
import io
import math

from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aiprism import jsontext
from aiprism.config import IngestConfig
from aiprism.errors import BadInput, Refused, TooLarge, TooSlow
from aiprism.receive.admission import inflated
from aiprism.receive.inflight import InFlight, Lease, unbounded

# Compressed bytes from which on inflating moves to a thread. Few, since what is inside shows only then: half a kilobyte of
# zstd may hold 16 MiB, which take the event loop some 30 ms.
_LARGE = 512
_LEASE = "aiprism.lease"  # where the scope of a request keeps its share of the memory


async def body_of(request: Request, config: IngestConfig, *, assumed: str = "") -> bytes:
    """The request's body, decompressed; TooLarge, TooSlow or Unavailable as soon as it passes a limit.

    `assumed` is the encoding of a body that names none.
    """
    body, encoding = await _as_sent(request), request.headers.get("content-encoding", "") or assumed
    if encoding.strip().lower() in ("", "identity"):
        return inflated(body, encoding, config.inflated_bytes)
    lease = lease_of(request)
    if len(body) > _LARGE:
        whole = await asyncio.to_thread(inflated, body, encoding, config.inflated_bytes, lease.grow)
    else:
        whole = inflated(body, encoding, config.inflated_bytes, lease.grow)
    lease.shrink(len(body))
    return whole


async def writable(request: Request) -> None:
    """Return when the JSON that FastAPI has read of this request can be written again; BadInput when it cannot. A dependency of
    every route, so that no answer, row or letter fails on what it was given."""
    route = request.scope.get("route")
    if getattr(route, "body_field", None) is None or "json" not in request.headers.get("content-type", ""):
        return
    body = await request.body()  # which FastAPI has kept
    if body:
        try:
            jsontext.whole(await request.json(), body)
        except ValueError as error:
            raise BadInput(f"the body is not JSON: {error}") from None


def lease_of(request: Request) -> Lease:
    """The share of the memory that `request` has, for what is made of its body."""
    lease: Lease = request.scope.get(_LEASE) or unbounded()
    return lease


async def _as_sent(request: Request) -> bytes:
    whole = io.BytesIO()
    try:
        async for part in request.stream():
            whole.write(part)
    except ClientDisconnect:
        raise BadInput("the sender hung up before its body was whole") from None
    return whole.getvalue()


class BoundedBodies:
    """Gives each request a lease on `in_flight`, and ends bodies that are too large or too slow."""

    def __init__(self, app: ASGIApp, config: IngestConfig, in_flight: InFlight) -> None:
        self._app, self._config, self._in_flight = app, config, in_flight

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _has_no_body(scope):
            await self._app(scope, receive, send)
            return
        with self._in_flight.lease() as lease:
            scope[_LEASE] = lease
            body = _Body(receive, self._config, lease, Headers(scope=scope).get("content-length", ""))

            async def send_and_close(message: Message) -> None:
                # A sender too slow for us would keep the connection busy with the rest of its body.
                if message["type"] == "http.response.start" and body.late:
                    MutableHeaders(scope=message)["Connection"] = "close"
                await send(message)

            await self._app(scope, body.receive, send_and_close)


class _Body:
    """One request's body as it arrives."""

    def __init__(self, receive: Receive, config: IngestConfig, lease: Lease, declared: str) -> None:
        self._receive, self._config, self._lease = receive, config, lease
        self._declared = int(declared) if declared.isdecimal() else 0
        self._deadline = asyncio.get_running_loop().time() + config.body_timeout
        self._size = 0
        self._whole = False
        self.late = False

    async def receive(self) -> Message:
        """The next part of the body; once it is whole, the end of the connection."""
        if self._whole:
            return await self._receive()
        self._check(self._declared)
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            self.late = True
            raise TooSlow(
                f"the body did not arrive within {self._config.body_timeout:g} s (ingest.body_timeout); "
                f"{self._size} bytes of it did"
            ) from None
        if message["type"] == "http.request":
            part = message.get("body", b"")
            self._check(self._size + len(part))
            self._lease.grow(len(part))
            self._size += len(part)
            self._whole = not message.get("more_body", False)
        return message

    def _check(self, size: int) -> None:
        if size > self._config.body_bytes:
            raise TooLarge(
                f"the body is larger than {self._config.body_bytes} bytes (ingest.body_bytes); send smaller batches"
            )


def _has_no_body(scope: Scope) -> bool:
    return not any(name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"])


def retry_headers(refused: Refused) -> dict[str, str]:
    """Retry-After, when coming again may help."""
    return {} if refused.retry_after is None else {"Retry-After": str(max(1, math.ceil(refused.retry_after)))}
