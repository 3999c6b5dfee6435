"""The server hook: what every HTTP request of an ASGI application leaves behind.

In comes a request; out go the plan's `api_request` attributes on its server span, `ai_prism_http_requests_total`,
`ai_prism_http_request_duration_seconds`, and the request id in the context variables and the answer. The hook opens the
server span itself, one a request: what FastAPI and its OpenTelemetry package do by default costs twice as much (see
`bench/sdk_overhead.py`). When one of them is set up on purpose, its span is used.
"""

from __future__ import annotations

import logging
import random
import re
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from functools import cache
from typing import Any

from opentelemetry import baggage, trace
from opentelemetry.context import Context, attach, detach, get_current
from opentelemetry.propagate import extract, get_global_textmap
from opentelemetry.trace import Span, SpanKind, StatusCode

from aiprism.sdk import metrics
from aiprism.sdk.context import Identity, ServedRequest, Serving, normalize_endpoint
from aiprism.sdk.settings import EXCLUDED_PATHS
from aiprism.sdk.tracing import tracer

log = logging.getLogger("aiprism.sdk")

# The ASGI specification's own types: what travels in them is any JSON-like value or a framework's object.
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"})
_PARAMETER = re.compile(r"\{[^{}]*\}")
_HEADER_VALUE = re.compile(rb"[\x21-\x7e][\x20-\x7e]{0,127}")
_MOST_VALUES = 200
# The status written for a request whose client went away before there was one (nginx's convention).
_CLIENT_GONE = 499


class ServerTelemetry:
    """ASGI middleware that measures and traces `app`. `excluded` are regular expressions of paths left alone.

    Identity headers (X-User-ID, X-Organization-ID, X-User-Tier) are taken as labels of telemetry, never as proof of
    anything; a gateway sets them, and should strip them from outside.
    """

    def __init__(self, app: Application, *, excluded: Iterable[str] = EXCLUDED_PATHS) -> None:
        self.app = app
        self._excluded = re.compile("|".join(f"(?:{pattern})" for pattern in excluded) or r"(?!)")
        self._endpoints, self._tiers = _Bounded(_MOST_VALUES), _Bounded(20)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._excluded.search(scope["path"]):
            await self.app(scope, receive, send)
            return
        served = _Served(scope)
        present = trace.get_current_span()
        if present.is_recording() and getattr(present, "kind", None) is SpanKind.SERVER:
            await self._serve(served, present, receive, send)
            return
        # By hand what `start_as_current_span` does: one context to enter instead of three saves 20 µs a request.
        context = served.context()
        span = tracer().start_span(served.method, context, SpanKind.SERVER, served.asked())
        token = attach(trace.set_span_in_context(span, context))
        try:
            await self._serve(served, span, receive, send)
        except Exception as error:
            span.record_exception(error)
            span.set_status(StatusCode.ERROR, f"{type(error).__name__}: {error}")
            raise
        finally:
            detach(token)
            span.end()

    async def _serve(self, served: _Served, span: Span, receive: Receive, send: Send) -> None:
        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                served.answered(message)
            await send(message)

        served.request = ServedRequest(span, served.identity())
        with Serving(served.request):
            try:
                await self.app(served.scope, receive, answer)
            except Exception as error:
                served.failed(error)
                raise
            finally:
                # Also when the task is cancelled. Inside the span, so that the histogram gets its exemplar.
                served.ended()
                self._measure(served)

    def _measure(self, served: _Served) -> None:
        method = served.method
        if served.template is not None:
            endpoint = normalize_endpoint(_PARAMETER.sub("{id}", served.template))
        elif served.status == 404:
            # Whoever tries random paths must not make a time series of each.
            endpoint = "unmatched"
        else:
            endpoint = self._endpoints.admit(normalize_endpoint(served.path))
        tier = self._tiers.admit(served.request.identity.user_tier or "standard")
        metrics.http_requests(method=method, endpoint=endpoint, status_code=served.status, user_tier=tier)
        metrics.http_request_duration(served.seconds, method=method, endpoint=endpoint, status_code=served.status)


class _Served:
    """One request while it is served."""

    def __init__(self, scope: Scope) -> None:
        self.scope, self._root = scope, scope.get("root_path", "")
        self._started = time.perf_counter()
        # ASGI has the names in lower case; what is not asked for is never decoded.
        self._headers: dict[bytes, bytes] = dict(scope["headers"])
        self.method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
        self.path = str(scope["path"])
        self.request = ServedRequest(trace.INVALID_SPAN)
        self.status = 0
        # The path template of the route that took it, with the prefix of a mounted application; known with the answer.
        self.template: str | None = None

    @property
    def seconds(self) -> float:
        """How long it has taken."""
        return time.perf_counter() - self._started

    def context(self) -> Context:
        """The context of the caller's trace and baggage; the present one when the caller has none."""
        carrier = {
            field: self._headers[name].decode("latin-1") for name, field in _carried_fields() if name in self._headers
        }
        return extract(carrier) if carrier else get_current()

    def asked(self) -> dict[str, str]:
        """What is known of it from the start."""
        host = self._headers.get(b"host", b"").decode("latin-1")
        if not host:
            name, port = self.scope.get("server") or ("", None)
            host = f"{name}:{port}" if port else name
        # No query: it may hold what must not be stored.
        return {
            "http.method": self.scope["method"],
            "http.url": f"{self.scope.get('scheme', 'http')}://{host}{self.path}",
        }

    def identity(self) -> Identity:
        """Whom it is for, as far as the caller says."""
        organization = self._clean(b"x-organization-id")
        if not organization and b"baggage" in self._headers:
            organization = str(baggage.get_baggage("user.organization") or "")[:128]
        return Identity(
            request_id=self._clean(b"x-request-id") or f"req_{random.getrandbits(128):032x}",
            user_id=self._clean(b"x-user-id"),
            organization_id=organization,
            user_tier=self._clean(b"x-user-tier"),
        )

    def _clean(self, name: bytes) -> str:
        value = self._headers.get(name)
        return value.decode("latin-1") if value and _HEADER_VALUE.fullmatch(value) else ""

    def answered(self, message: Message) -> None:
        """The answer begins: all that the span shall say is known, and its end may be near."""
        self.status = message["status"]
        sent = message.get("headers", ())
        if not any(name.lower() == b"x-request-id" for name, _ in sent):
            request_id = self.request.identity.request_id.encode("latin-1")
            message["headers"] = [*sent, (b"x-request-id", request_id)]
        self._describe()

    def ended(self) -> None:
        """Nothing more will come; without an answer the client was the one who left."""
        if self.status == 0:
            self.status = _CLIENT_GONE
            self._describe()

    def failed(self, error: Exception) -> None:
        """The application raised `error`; the server will answer 500 in its place."""
        if self.status == 0:
            self.status = 500
            self._describe()
        # The server's own line about it is written outside of the trace, and often outside of our handler.
        log.error("unhandled exception in %s %s", self.method, self.template or self.path, exc_info=error)

    def _describe(self) -> None:
        path = getattr(self.scope.get("route"), "path", None)
        if isinstance(path, str):
            self.template = str(self.scope.get("root_path", "")).removeprefix(self._root) + path
        span, identity, template = self.request.span, self.request.identity, self.template
        if not span.is_recording():
            return
        attributes: dict[str, str | int] = {
            "http.status_code": self.status,
            "user.id": identity.user_id or "anonymous",
            "request.id": identity.request_id,
        }
        if identity.organization_id:
            attributes["user.organization"] = identity.organization_id
        if template is not None:
            attributes["http.route"] = template
            span.update_name(f"{self.method} {template}")
        document = (self.scope.get("path_params") or {}).get("document_id")
        if document is not None:
            attributes["document.id"] = str(document)
        span.set_attributes(attributes)
        if self.status >= 500:
            span.set_status(StatusCode.ERROR)


@cache
def _carried_fields() -> tuple[tuple[bytes, str], ...]:
    """The headers that OTEL_PROPAGATORS read."""
    return tuple((field.lower().encode("latin-1"), field) for field in sorted(get_global_textmap().fields))


class _Bounded:
    """Lets the first `most` values through; later ones become "other", so that no label grows without end."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._seen: set[str] = set()

    def admit(self, value: str) -> str:
        if value in self._seen:
            return value
        if len(self._seen) >= self._most:
            return "other"
        self._seen.add(value)
        return value


def must_be_hookable(app: object) -> None:
    """TypeError unless `app` is a Starlette or FastAPI application."""
    if not hasattr(app, "add_middleware"):
        raise TypeError(f"{type(app).__name__} has no add_middleware; wrap it: app = aiprism.ServerTelemetry(app)")


def hook(app: object, excluded: Sequence[str]) -> None:
    """Put `ServerTelemetry` around a Starlette or FastAPI application, once; TypeError for anything else."""
    must_be_hookable(app)
    if getattr(app, "_aiprism_hooked", False):
        return
    _quieten_fastapi(app)
    running = getattr(app, "middleware_stack", None)
    if running is None:
        app.add_middleware(ServerTelemetry, excluded=excluded)  # type: ignore[attr-defined]
    else:
        # Starlette takes no middleware once it serves; the finished stack can still be wrapped.
        app.middleware_stack = ServerTelemetry(running, excluded=excluded)  # type: ignore[attr-defined]
    app._aiprism_hooked = True  # type: ignore[attr-defined]


def _quieten_fastapi(app: object) -> None:
    """Switch off FastAPI's native telemetry where it is as FastAPI set it up; what the application chose stays."""
    config = getattr(app, "_telemetry", None)
    parts = ("tracing", "metrics", "logs", "operation_spans")
    if not isinstance(config, dict) or not all(config.get(part) is True for part in parts):
        return
    if not any(value for key, value in config.items() if key not in parts):
        config.update(dict.fromkeys(parts, False))
