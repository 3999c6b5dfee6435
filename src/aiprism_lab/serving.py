"""How a process of the lab becomes an HTTP server: the application's frame, its instrumentation, its end.

In: `Settings`, the routes of a service, a listening socket. Out: a running server until SIGTERM. What the routes do is
their module's business.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from types import FrameType

import httpx
import sqlalchemy as sa
import uvicorn
from fastapi import FastAPI
from fastapi.responses import JSONResponse, PlainTextResponse
from fastapi.telemetry import TelemetryConfig
from opentelemetry import trace
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import aiprism
from aiprism_lab.wiring import Identity, PeerUnavailableError, ReleaseBug, Settings, identity

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]

# The users and the receivers are the world around the system; only the system itself is observed.
UNOBSERVED = frozenset({"load", "receivers"})
# What a platform asks a process about itself: no request of a user, so no release has a bug in it and no fault lies before it.
ABOUT_ITSELF = ("/healthz", "/metrics")
EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"
KEEP_ALIVE_SECONDS = 20  # longer than the callers keep an idle connection, so that they close it first


log = aiprism.logger("aiprism_lab.serving")


class RefusedError(Exception):
    """A request that a service will not do: becomes an answer of that status with a code and a sentence."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


def new_app(settings: Settings, lifespan: Lifespan | None = None) -> FastAPI:
    """An application with health probe, request context and the lab's form of errors, still without routes of its own."""
    # The SDK opens the server span; FastAPI's own telemetry would say everything twice.
    quiet: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False}
    app = FastAPI(
        title=settings.service, version=settings.version, lifespan=lifespan, openapi_url=None, telemetry=quiet
    )
    app.add_middleware(RequestContext, bug=settings.bug, trusting=settings.service != "api-gateway")

    @app.get("/healthz")
    async def healthz() -> dict[str, object]:
        return {"status": "ok", "service": settings.service, "instance": settings.instance, "version": settings.version}

    @app.get("/metrics")
    def metrics() -> PlainTextResponse:
        """The metrics that are pushed, for whoever would rather scrape them."""
        return PlainTextResponse(aiprism.metrics.exposition(), media_type=EXPOSITION)

    app.add_exception_handler(RefusedError, _refused)
    app.add_exception_handler(PeerUnavailableError, _peer_unavailable)
    app.add_exception_handler(sa.exc.TimeoutError, _no_connection)
    app.add_exception_handler(httpx.TimeoutException, _peer_timed_out)
    app.add_exception_handler(httpx.HTTPError, _peer_failed)
    return app


class RequestContext:
    """ASGI middleware: puts the identity of the headers into the context, and runs the release's bug if it has one.

    Only a service behind the gateway trusts the headers. The fault point "http.request" lies before every request.
    """

    def __init__(self, app: ASGIApp, bug: ReleaseBug | None, trusting: bool) -> None:
        self._app, self._bug, self._trusting = app, bug, trusting
        self._fault = aiprism.controls.fault_point("http.request")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in ABOUT_ITSELF:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        # The SDK's server hook has given a request without an id one.
        with aiprism.context() as labelled:
            given = Identity.of(headers) if self._trusting else Identity()
            token = identity.set(replace(given, request_id=labelled.request_id or headers.get("x-request-id", "")))
            try:
                await self._answered(scope, headers, receive, send)
            finally:
                identity.reset(token)

    async def _answered(self, scope: Scope, headers: Headers, receive: Receive, send: Send) -> None:
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            if self._bug is not None:
                self._bug.check(identity.get().request_id, headers)
            await self._fault.strike()
            await self._app(scope, receive, watched)
        except Exception as error:
            # Answered here, because uvicorn drops the connection of a request that raised, and with it the next one.
            log.error("request failed", error=error, method=scope["method"], path=scope["path"])
            trace.get_current_span().record_exception(error)
            if begun:
                raise
            await error_answer(500, "internal", f"{type(error).__name__} in {scope['path']}")(scope, receive, send)


def error_answer(status: int, code: str, message: str) -> JSONResponse:
    """The one form of error that every service of the lab answers with."""
    return JSONResponse({"error": {"code": code, "message": message}}, status)


async def _refused(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RefusedError)
    return error_answer(error.status, error.code, str(error))


async def _peer_unavailable(_request: Request, error: Exception) -> JSONResponse:
    return error_answer(503, "unavailable", str(error))


async def _no_connection(_request: Request, _error: Exception) -> JSONResponse:
    aiprism.metrics.database_connections_failed(database="pool")
    log.error("no connection to the database is free")
    return error_answer(503, "database_busy", "no connection to the database was free in time")


async def _peer_timed_out(_request: Request, error: Exception) -> JSONResponse:
    return error_answer(504, "timeout", f"a service did not answer in time ({type(error).__name__})")


async def _peer_failed(_request: Request, error: Exception) -> JSONResponse:
    return error_answer(502, "bad_gateway", f"a service broke off the connection ({type(error).__name__})")


def listening_socket(host: str, port: int) -> socket.socket:
    """A socket bound to the port (0 picks a free one) and already listening."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((host, port))
    sock.listen(256)
    return sock


def serve(app: FastAPI, settings: Settings, sock: socket.socket, log_file: Path | None = None) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is under way and send the last telemetry.

    Logs go to standard output as JSON lines, or to `log_file` when one is given.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn raises the signal again after its shutdown; the default would end us before the telemetry is sent.
        signal.signal(number, _leave)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it would log every call; the spans tell that already
    with _observed(app, settings, log_file):
        server = uvicorn.Server(_server_config(app))
        app.state.server = server
        server.run(sockets=[sock])


def _leave(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def _server_config(app: FastAPI) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_config=None,  # its own would keep the stack traces of failed requests from the SDK
        log_level="warning",
        access_log=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=5,
    )


@contextlib.contextmanager
def _observed(app: FastAPI, settings: Settings, log_file: Path | None) -> Iterator[None]:
    if settings.service in UNOBSERVED:
        yield
        return
    handle = aiprism.instrument(
        service=settings.service,
        version=settings.version,
        environment=settings.environment,
        endpoint=settings.otlp,
        control_endpoint=settings.platform,
        control_token=settings.control_token,
        app=app,
        instance=settings.instance,
        logs_to_stdout=log_file is None,
    )
    if log_file is not None:
        logging.getLogger().addHandler(logging.FileHandler(log_file))
    try:
        yield
    finally:
        handle.shutdown(3.0)
