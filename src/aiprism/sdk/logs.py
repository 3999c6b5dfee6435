"""Structured logs: one handler that turns Python log records into the plan's `LogEvent`.

In come records of the standard library's logging, of `StructuredLogger` and of structlog (`structlog_processor`); out go
JSON lines on a stream and OpenTelemetry log records with the ids of the present trace. Queueing and delivery are
`outbox.py`'s.
"""

from __future__ import annotations

import json
import logging
import math
import sys
import traceback
from collections.abc import Callable, Mapping, MutableMapping
from contextvars import ContextVar
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from types import TracebackType
from typing import TextIO

from opentelemetry import trace
from opentelemetry._logs import LogRecord, SeverityNumber

from aiprism.sdk.context import current

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]
Plain = str | bool | int | float

# True in a thread that is sending telemetry: what is logged there must not become telemetry again.
exporting: ContextVar[bool] = ContextVar("aiprism_exporting", default=False)

_FIELDS = "aiprism_fields"
_OWN_FIELDS = ("request_id", "user_id", "organization_id", "duration_ms", "error_type")
_RESERVED = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", _FIELDS}
_SEVERITY = (
    (logging.CRITICAL, "FATAL", SeverityNumber.FATAL),
    (logging.ERROR, "ERROR", SeverityNumber.ERROR),
    (logging.WARNING, "WARN", SeverityNumber.WARN),
    (logging.INFO, "INFO", SeverityNumber.INFO),
    (logging.DEBUG, "DEBUG", SeverityNumber.DEBUG),
)


@dataclass(frozen=True, slots=True)
class LogEvent:
    """One log line, with the fields and names of the plan. `timestamp` is UTC, ISO 8601 with `Z`."""

    timestamp: str
    level: str
    logger: str
    message: str
    service: str
    version: str
    environment: str
    request_id: str | None = None
    user_id: str | None = None
    organization_id: str | None = None
    trace_id: str | None = None
    span_id: str | None = None
    duration_ms: float | None = None
    error_type: str | None = None
    stack_trace: str | None = None
    custom_fields: Mapping[str, object] | None = None


_NAMES = tuple(field.name for field in fields(LogEvent))


class LogEvents(logging.Handler):
    """Writes each record as a JSON line and hands it to OpenTelemetry.

    `stream` "stdout" is whatever `sys.stdout` is when the line is written; `send` takes the logger's name and the
    OpenTelemetry record. None leaves out that half.
    """

    def __init__(
        self,
        *,
        service: str,
        version: str,
        environment: str,
        stream: TextIO | str | None = "stdout",
        send: Callable[[str, LogRecord], None] | None = None,
    ) -> None:
        super().__init__()
        self._service, self._version, self._environment = service, version, environment
        self._stream, self._send = stream, send

    def emit(self, record: logging.LogRecord) -> None:
        try:
            event = self.event(record)
            if self._stream is not None:
                stream = sys.stdout if isinstance(self._stream, str) else self._stream
                stream.write(_line(event) + "\n")
                stream.flush()
            if self._send is not None and not exporting.get():
                self._send(record.name, _otel_record(record, event))
        except Exception:
            self.handleError(record)

    def event(self, record: logging.LogRecord) -> LogEvent:
        """The record as a `LogEvent`; a field given with the record outranks the context's."""
        identity, span = current(), trace.get_current_span().get_span_context()
        given = _given(record)
        error = record.exc_info if record.exc_info and record.exc_info[0] is not None else None
        own = {name: given.pop(name, None) for name in _OWN_FIELDS}
        extra = given.pop("custom_fields", None)
        custom = {
            **given,
            **(extra if isinstance(extra, Mapping) else {} if extra is None else {"custom_fields": extra}),
        }
        return LogEvent(
            timestamp=datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds")[:-6] + "Z",
            level=record.levelname,
            logger=record.name,
            message=_message(record),
            service=_optional(custom.pop("service", None)) or self._service,
            version=_optional(custom.pop("version", None)) or self._version,
            environment=_optional(custom.pop("environment", None)) or self._environment,
            request_id=_optional(own["request_id"] or identity.request_id),
            user_id=_optional(own["user_id"] or identity.user_id),
            organization_id=_optional(own["organization_id"] or identity.organization_id),
            trace_id=format(span.trace_id, "032x") if span.is_valid else None,
            span_id=format(span.span_id, "016x") if span.is_valid else None,
            duration_ms=_milliseconds(own["duration_ms"]),
            error_type=_optional(own["error_type"] or (error[0].__name__ if error and error[0] else None)),
            stack_trace="".join(traceback.format_exception(*error)) if error else record.exc_text,
            custom_fields={_text(name): value for name, value in custom.items()} if custom else None,
        )


# An exporter says at every attempt that it failed; the outbox says it once.
_CHATTY = (
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.exporter.otlp.proto.http.metric_exporter",
    "opentelemetry.exporter.otlp.proto.http._log_exporter",
    "urllib3.connectionpool",
)


def hush_exporters() -> None:
    """Keep what the exporters log in our own threads out of every handler of the application."""
    for name in _CHATTY:
        logging.getLogger(name).addFilter(_not_exporting)


def _not_exporting(_: logging.LogRecord) -> bool:
    return not exporting.get()


class StructuredLogger:
    """A logger whose keyword arguments become fields of the event.

    What `LogEvent` names goes to its own field, everything else to `custom_fields`. `service_name` is the name of the
    standard logger behind it; `version` and `environment` outrank those given to `instrument`.
    """

    def __init__(self, service_name: str, version: str | None = None, environment: str | None = None) -> None:
        self.logger = logging.getLogger(service_name)
        given = {"version": version, "environment": environment}
        self._bound: dict[str, object] = {name: value for name, value in given.items() if value is not None}

    def bind(self, **fields: object) -> StructuredLogger:
        """The same logger with `fields` on every event."""
        bound = StructuredLogger(self.logger.name)
        bound._bound = {**self._bound, **fields}
        return bound

    def debug(self, message: str, **fields: object) -> None:
        self._log(logging.DEBUG, message, fields)

    def info(self, message: str, **fields: object) -> None:
        self._log(logging.INFO, message, fields)

    def warning(self, message: str, error: BaseException | None = None, **fields: object) -> None:
        self._log(logging.WARNING, message, fields, error)

    def error(self, message: str, error: BaseException | None = None, **fields: object) -> None:
        """An event with the stack trace of `error`."""
        self._log(logging.ERROR, message, fields, error)

    def critical(self, message: str, error: BaseException | None = None, **fields: object) -> None:
        self._log(logging.CRITICAL, message, fields, error)

    def exception(self, message: str, **fields: object) -> None:
        """`error` with the exception that is being handled."""
        self._log(logging.ERROR, message, fields, sys.exception())

    def _log(self, level: int, message: str, fields: dict[str, object], error: BaseException | None = None) -> None:
        if not self.logger.isEnabledFor(level):
            return
        exc_info: ExcInfo | None = None if error is None else (type(error), error, error.__traceback__)
        # One field under a name of ours: a keyword called "name" or "args" would make the standard library raise.
        extra = {_FIELDS: {**self._bound, **fields}}
        self.logger.log(level, "%s", message, exc_info=exc_info, extra=extra, stacklevel=3)


def logger(name: str) -> StructuredLogger:
    """The structured logger of that name."""
    return StructuredLogger(name)


def structlog_processor(_: object, __: str, event_dict: MutableMapping[str, object]) -> Mapping[str, object]:
    """The last processor of a structlog chain over `structlog.stdlib.LoggerFactory()`.

    The event and its fields go to the standard logger behind it, and from there the way of every other record.
    """
    fields = dict(event_dict)
    message, exc_info = fields.pop("event", ""), fields.pop("exc_info", None)
    # Added by common processors; the record has them already.
    for name in ("level", "logger", "timestamp"):
        fields.pop(name, None)
    return {"msg": _text(message), "exc_info": exc_info, "extra": {_FIELDS: fields}}


def _given(record: logging.LogRecord) -> dict[str, object]:
    fields = getattr(record, _FIELDS, None)
    if isinstance(fields, Mapping):
        return dict(fields)
    return {name: value for name, value in vars(record).items() if name not in _RESERVED}


def _line(event: LogEvent) -> str:
    try:
        # Not dataclasses.asdict: it deep-copies, and what an application logs need not survive that.
        return json.dumps({name: getattr(event, name) for name in _NAMES}, default=_text, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        custom = {name: _text(value) for name, value in (event.custom_fields or {}).items()}
        return _line(replace(event, custom_fields=custom or None))


def _message(record: logging.LogRecord) -> str:
    try:
        return _text(record.getMessage())
    except Exception:
        # A wrong format string must not lose the line.
        return f"{_text(record.msg)} {_text(record.args)}"


def _otel_record(record: logging.LogRecord, event: LogEvent) -> LogRecord:
    text, severity = next(
        ((text, number) for least, text, number in _SEVERITY if record.levelno >= least),
        ("TRACE", SeverityNumber.TRACE),
    )
    return LogRecord(
        timestamp=int(record.created * 1e9),
        severity_text=text,
        severity_number=severity,
        body=event.message,
        attributes=dict(_attributes(record, event)),
    )


def _attributes(record: logging.LogRecord, event: LogEvent) -> dict[str, Plain]:
    # The event's own fields come last: when there are more than OpenTelemetry's limit, the first ones go.
    fields = {name: _plain(value) for name, value in (event.custom_fields or {}).items() if value is not None}
    fields.update({name: value for name in _OWN_FIELDS if (value := getattr(event, name)) is not None})
    fields["code.file.path"] = record.pathname
    fields["code.function.name"] = record.funcName or ""
    fields["code.line.number"] = record.lineno
    if record.exc_info and record.exc_info[1] is not None:
        fields["exception.type"] = type(record.exc_info[1]).__name__
        fields["exception.message"] = _text(record.exc_info[1])
    if event.stack_trace:
        fields["exception.stacktrace"] = event.stack_trace
    return fields


def _plain(value: object) -> Plain:
    if isinstance(value, bool | float):
        return value
    if isinstance(value, int) and -(2**63) <= value < 2**63:  # OTLP has 64 bits
        return value
    if isinstance(value, Mapping | list | tuple):
        try:
            return json.dumps(value, default=_text)
        except (TypeError, ValueError, RecursionError):
            return _text(value)
    return _text(value)


def _milliseconds(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _optional(value: object) -> str | None:
    return None if value is None or value == "" else _text(value)


def _text(value: object) -> str:
    try:
        text = str(value)
        # A lone surrogate cannot be sent as UTF-8, and would cost the whole batch it is in.
        return text if text.isascii() else text.encode("utf-8", "replace").decode()
    except Exception:
        return f"<{type(value).__name__} that cannot be printed>"
