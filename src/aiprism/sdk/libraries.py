"""Auto-instrumentation of the libraries an application uses, at the moment it imports them.

In come the providers; out goes what takes it all back. FastAPI, redis, asyncpg and httpx need their OpenTelemetry
instrumentation package; SQLAlchemy is followed through its own event API when that package is missing or too old for
the SQLAlchemy that is installed. Nothing here is required, and nothing here may break the application.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import SpanKind, StatusCode, TracerProvider

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, ExceptionContext

log = logging.getLogger("aiprism.sdk")

Undo = Callable[[], object]
# The attribute of an execution context that holds its span.
_SPAN = "_aiprism_span"


@dataclass(frozen=True, slots=True)
class Library:
    """A library, and the class that instruments it."""

    name: str
    module: str
    instrumentor: str


LIBRARIES = (
    Library("httpx", "opentelemetry.instrumentation.httpx", "HTTPXClientInstrumentor"),
    Library("redis", "opentelemetry.instrumentation.redis", "RedisInstrumentor"),
    Library("asyncpg", "opentelemetry.instrumentation.asyncpg", "AsyncPGInstrumentor"),
    Library("sqlalchemy", "opentelemetry.instrumentation.sqlalchemy", "SQLAlchemyInstrumentor"),
)
FASTAPI = Library("fastapi", "opentelemetry.instrumentation.fastapi", "FastAPIInstrumentor")


def trace_libraries(
    tracers: TracerProvider, meters: MeterProvider, *, disabled: Collection[str], whole_fastapi: bool
) -> Undo:
    """Have every library traced that is not `disabled`, now or when it is imported; returns what takes it back.

    `whole_fastapi` also has FastAPI applications that are yet to be created traced, by the OpenTelemetry package unless
    FastAPI is new enough to do it natively; an application given to `instrument` needs neither.
    """
    undos: list[Undo] = []
    ended: list[bool] = []

    def follow(library: Library) -> None:
        if ended:
            return
        try:
            if undo := _traced(library, tracers, meters):
                undos.append(undo)
        except Exception as error:
            # Whatever an instrumentation package does, the application must start.
            log.warning("%s is not traced: %s", library.name, error)

    def take_back() -> None:
        ended.append(True)
        for undo in undos:
            undo()

    for library in (*LIBRARIES, FASTAPI) if whole_fastapi else LIBRARIES:
        if library.name not in disabled and "*" not in disabled:
            _when_imported(library.name, partial(follow, library))
    return take_back


def _when_imported(name: str, act: Callable[[], None]) -> None:
    try:
        # Comes with every OpenTelemetry instrumentation package.
        from wrapt import register_post_import_hook
    except ImportError:
        if find_spec(name) is not None:
            act()
        return
    register_post_import_hook(lambda _: act(), name)


def _traced(library: Library, tracers: TracerProvider, meters: MeterProvider) -> Undo | None:
    try:
        return _instrumented(library, tracers, meters)
    except ImportError:
        reason = f"{library.module} is not installed"
    except Exception as error:
        if type(error).__name__ != "DependencyConflictError":
            raise
        reason = str(error)
    if library.name == "sqlalchemy":
        return _follow_sqlalchemy(tracers.get_tracer("aiprism.sqlalchemy"))
    log.debug("%s is not traced: %s", library.name, reason)
    return None


def _instrumented(library: Library, tracers: TracerProvider, meters: MeterProvider) -> Undo | None:
    """What takes the instrumentation back; ImportError without its package, DependencyConflictError when too old."""
    instrumentor = getattr(importlib.import_module(library.module), library.instrumentor)()
    if instrumentor.is_instrumented_by_opentelemetry:
        return None  # by the application itself, or by opentelemetry-instrument
    options: dict[str, object] = {"tracer_provider": tracers, "meter_provider": meters}
    if library is FASTAPI:
        if find_spec("fastapi.telemetry") is not None:
            return None
        # The two inner spans per request tell nothing that the server span does not.
        options["exclude_spans"] = ["receive", "send"]
    instrumentor.instrument(raise_exception_on_conflict=True, **options)
    undo: Undo = instrumentor.uninstrument
    return undo


def _follow_sqlalchemy(tracer: trace.Tracer) -> Undo:
    """A client span for every statement of every engine, with the statement but never its parameters."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    def begin(
        connection: Connection, _cursor: object, statement: str, _parameters: object, context: object, _many: bool
    ) -> None:
        operation = statement.split(None, 1)[0].upper() if statement.strip() else "SQL"
        url = connection.engine.url
        attributes = {"db.system": connection.dialect.name, "db.statement": statement, "db.operation": operation}
        if url.database:
            attributes["db.name"] = url.database
        if url.host:
            attributes["net.peer.name"] = url.host
        if context is not None:
            span = tracer.start_span(operation, kind=SpanKind.CLIENT, attributes=attributes)
            setattr(context, _SPAN, span)

    def end(_connection: Connection, _c: object, _s: str, _p: object, context: object, _many: bool) -> None:
        span = getattr(context, _SPAN, None)
        if span is not None:
            span.end()

    def fail(failure: ExceptionContext) -> None:
        span = getattr(failure.execution_context, _SPAN, None)
        if span is not None and span.is_recording():
            span.record_exception(failure.original_exception)
            span.set_status(StatusCode.ERROR, str(failure.original_exception))
            span.end()

    listeners = (("before_cursor_execute", begin), ("after_cursor_execute", end), ("handle_error", fail))
    for name, listener in listeners:
        event.listen(Engine, name, listener)

    def undo() -> None:
        for name, listener in listeners:
            event.remove(Engine, name, listener)

    return undo
