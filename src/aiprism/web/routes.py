"""The HTTP application: every router under one roof, errors in one form, life signs, and safe headers.

In: routers that app.py has built from their parts. Out: an ASGI application. Refused errors become our JSON error form;
the compatible APIs (Prometheus, OTLP …) answer in their own forms inside their routers.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from ipaddress import ip_address
from typing import Any

import structlog
from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aiprism import __version__
from aiprism.config import IngestConfig
from aiprism.errors import Refused, StoreError
from aiprism.receive.inflight import InFlight
from aiprism.telemetry import Telemetry
from aiprism.web import pages
from aiprism.web.bodies import BoundedBodies, retry_headers, writable

log = structlog.get_logger()

# Each readiness check says None when well, or what is wrong.
Check = Callable[[], Awaitable[str | None]]
# Something an operator should know that keeps nobody from working; None when there is nothing.
Note = Callable[[], str | None]
# Reads the configuration anew, or raises BadInput and keeps the old one.
Reload = Callable[[], Awaitable[None]]

_SAFE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'",
}

# What only asks: Prometheus' query API. Writing and our own API stay closed to other pages.
_QUESTIONS = re.compile(
    r"/api/v1/(query|query_range|query_exemplars|format_query|parse_query|series|labels|label/[^/]+/values|metadata"
    r"|rules|alerts|targets|targets/metadata|alertmanagers|scrape_pools|features|notifications|status/\w+|status/tsdb/blocks)"
)
_SHARED_HEADERS = {
    "Access-Control-Allow-Headers": "Accept, Authorization, Content-Type, Origin",
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    "Access-Control-Expose-Headers": "Date",
}


def build(
    routers: Sequence[APIRouter],
    telemetry: Telemetry,
    checks: Mapping[str, Check],
    reload: Reload,
    *,
    names: Sequence[str] = (),
    origins: re.Pattern[str] | None = None,
    at_root: pages.AtRoot = lambda request: None,
    bodies: IngestConfig | None = None,
    in_flight: InFlight | None = None,
    notes: Mapping[str, Note] | None = None,
) -> FastAPI:
    """The application. Besides addresses and localhost it answers only to the host `names`; pages of `origins` may ask what
    /api/v1 answers.

    Request bodies are bounded by `bodies`, all of those under way by `in_flight`.
    """
    bodies = bodies or IngestConfig()
    app = FastAPI(
        title="aiprism",
        version=__version__,
        description="Self-hosted observability: receive, store, query, detect, respond, learn.",
        docs_url=None,  # its page would load scripts from another origin; /docs is ours
        redoc_url=None,
    )
    for each in (*routers, _life(telemetry, checks, reload, notes or {}), pages.router(at_root)):
        app.include_router(each, dependencies=[Depends(writable)])
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(StoreError, _misasked)
    app.add_exception_handler(Exception, _failed)
    app.add_middleware(BoundedBodies, config=bodies, in_flight=in_flight or InFlight(bodies.in_flight_bytes, telemetry))
    app.add_middleware(_Guard, names=frozenset({"localhost", *names}), origins=origins)
    return app


def error_body(code: str, message: str, details: Mapping[str, object] | None = None) -> dict[str, Any]:
    """The JSON error form of our own API."""
    return {"error": {"code": code, "message": message, "details": dict(details or {})}}


def _life(telemetry: Telemetry, checks: Mapping[str, Check], reload: Reload, notes: Mapping[str, Note]) -> APIRouter:
    routes = APIRouter(tags=["life"])

    @routes.head("/-/healthy", include_in_schema=False)
    @routes.get("/-/healthy", response_class=PlainTextResponse)
    async def healthy() -> str:
        return "aiprism is healthy.\n"

    @routes.head("/-/ready", include_in_schema=False)
    @routes.get("/-/ready", response_class=Response)
    async def ready(request: Request) -> Response:
        states = {name: await check() for name, check in checks.items()}
        wrong = {name: reason for name, reason in states.items() if reason}
        status, headers = (503, {"Retry-After": "5"}) if wrong else (200, {})
        if "application/json" in request.headers.get("accept", ""):
            body = {
                "ready": not wrong,
                "checks": {name: reason or "ok" for name, reason in states.items()},
                **_said(notes),
            }
            return JSONResponse(body, status, headers)
        text = "\n".join(f"{name}: {reason}" for name, reason in wrong.items()) if wrong else "aiprism is ready."
        return PlainTextResponse(f"{text}\n", status, headers)

    @routes.put("/-/reload", include_in_schema=False)
    @routes.post("/-/reload", response_class=PlainTextResponse)
    async def reload_configuration() -> str:
        await reload()
        return "reloaded\n"

    @routes.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        return Response(telemetry.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @routes.get("/aiprism/v1/status", summary="Version, readiness and the counts of every stage")
    async def status() -> dict[str, Any]:
        states = {name: await check() for name, check in checks.items()}
        return {
            "version": __version__,
            "ready": not any(states.values()),
            "checks": {name: reason or "ok" for name, reason in states.items()},
            **_said(notes),
            "flow": telemetry.flow(),
        }

    return routes


def _said(notes: Mapping[str, Note]) -> dict[str, dict[str, str]]:
    said = {name: text for name, note in notes.items() if (text := note())}
    return {"notes": said} if said else {}


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return JSONResponse(error_body(error.code, str(error), error.details), error.status, retry_headers(error))


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    faults = [f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}" for fault in error.errors()]
    return JSONResponse(error_body("bad_data", "; ".join(faults)), 400)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    # What is said while a body is read FastAPI takes for a body that it cannot parse.
    if isinstance(error.__cause__, Refused):
        return await _refused(request, error.__cause__)
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "error")
    message = f"nothing at {request.url.path}; see /docs" if error.status_code == 404 else str(error.detail)
    return JSONResponse(error_body(code, message), error.status_code, dict(error.headers or {}))


async def _misasked(request: Request, error: Exception) -> Response:
    log.warning("web.store_refused", path=request.url.path, error=str(error))
    return JSONResponse(error_body("bad_data", "the store cannot evaluate this with these values"), 400)


async def _failed(request: Request, error: Exception) -> Response:
    log.error("web.failed", path=request.url.path, error=repr(error))
    return JSONResponse(error_body("internal", "aiprism failed to answer; its log says why"), 500)


class _Guard:
    """Keeps other web pages out, and adds the safe headers; plain ASGI, so that streams stay streams.

    A page of another origin could otherwise reach a server on loopback through the browser of whoever visits it: by
    a name that resolves to 127.0.0.1 (so names nobody configured are refused), or by a form that posts across origins.
    Pages of the origins somebody configured may ask the query API.
    """

    def __init__(self, app: ASGIApp, names: frozenset[str], origins: re.Pattern[str] | None) -> None:
        self._app, self._names, self._origins = app, names, origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        asked = Headers(scope=scope)
        welcome = self._shared(scope["path"], asked.get("origin", ""))
        fault = self._fault("GET" if welcome else scope["method"], asked)
        if fault:
            await JSONResponse(error_body("forbidden", fault), 403)(scope, receive, send)
            return
        if scope["method"] == "OPTIONS" and scope["path"].startswith("/api/v1/"):  # any path there, as in Prometheus
            await Response(status_code=204, headers={**welcome, "Vary": "Origin"})(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in {**_SAFE_HEADERS, **welcome}.items():
                    headers.setdefault(name, value)
                if welcome:
                    headers.add_vary_header("Origin")
            await send(message)

        await self._app(scope, receive, send_with_headers)

    def _shared(self, path: str, origin: str) -> Mapping[str, str]:
        """What tells a browser that a page of `origin` may have the answer at `path`; nothing when it may not."""
        if not self._origins or not _QUESTIONS.fullmatch(path) or not self._origins.fullmatch(origin):
            return {}
        return {**_SHARED_HEADERS, "Access-Control-Allow-Origin": origin}

    def _fault(self, method: str, headers: Headers) -> str:
        host = headers.get("host", "")
        if not self._is_known(host):
            return f"the host name {host[:80]!r} is not ours; set server.external_url if people reach aiprism by it"
        origin = headers.get("origin", "")
        if method in ("GET", "HEAD", "OPTIONS") or not origin or origin.partition("//")[2] == host:
            return ""
        return f"a page of {origin[:80]!r} may not change anything here"

    def _is_known(self, host: str) -> bool:
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        if not name or name in self._names:
            return True
        try:
            ip_address(name.strip("[]"))
        except ValueError:
            return False
        return True
