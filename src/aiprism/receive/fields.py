"""A log record that is a map of fields, in the names the world uses for them, as one line of loglines.py.

Elasticsearch documents, Fluent records and NDJSON lines all pass here, so that a field means the same at every door.
In: a decoded map. Out: resource and `Line`. Every field is kept: the ones that became time, text, level, trace or span
as that, the ones that describe the sender as resource, the others as attributes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from aiprism.receive.loglines import (
    Line,
    Resource,
    Severity,
    Value,
    flattened,
    id_bytes,
    json_text,
    nanoseconds,
    severity,
)

# In order of precedence: our own export, ECS, OpenTelemetry, then what loggers and agents write.
TIME = ("ts_ns", "@timestamp", "timestamp", "time", "ts", "datetime", "date")
BODY = ("message", "body", "msg", "log", "MESSAGE", "short_message", "text", "line", "event.original")
LEVEL = (
    "log.level", "level", "severity_text", "severity", "SeverityText", "levelname", "lvl", "loglevel", "log_level",
    "syslog.severity.name", "log.syslog.severity.name", "severity_label", "level_name", "Level", "Severity",
)  # fmt: skip
TRACE = ("trace.id", "trace_id", "traceId", "traceid", "traceID", "TraceId", "otelTraceID", "otel.trace_id")
SPAN = ("span.id", "span_id", "spanId", "spanid", "spanID", "SpanId", "otelSpanID", "otel.span_id")
SERVICE = (
    "service.name", "service_name", "service", "app", "application", "app_name", "appname", "app.name",
    "kubernetes.labels.app.kubernetes.io/name", "kubernetes.labels.app", "kubernetes.container_name",
    "kubernetes.container.name", "container_name", "container.name", "programname", "program", "job",
    "SYSLOG_IDENTIFIER", "process.name", "event.dataset", "data_stream.dataset",
)  # fmt: skip
HOST = ("host.name", "host.hostname", "host", "hostname", "agent.hostname", "_HOSTNAME")

# Objects that say who sent a record, not what happened.
_SENDER = frozenset(
    {"service", "host", "agent", "cloud", "container", "kubernetes", "k8s", "orchestrator", "deployment", "telemetry",
     "data_stream"}
)  # fmt: skip
_NUMBERS_OF_OTEL = ("severity_number", "severityNumber", "SeverityNumber")


def record_of(
    document: dict[str, object], *, service: str = "", extra: Mapping[str, Value] | None = None, time_ns: int = 0
) -> tuple[Resource, Line]:
    """Resource and line of `document`.

    `service` is the name of a sender whose record names none; `extra` are attributes that the door knows, and `time_ns`
    the time, when it knows that better than the record.
    Raises BadInput for a value that cannot be kept.
    """
    sender, fields = _unwrapped(document)
    time_ns = time_ns or _taken_time(fields)
    body = _taken_body(fields, document)
    level = _taken_severity(fields)
    trace_id, span_id = _taken_id(fields, TRACE, 16), _taken_id(fields, SPAN, 8)
    resource = _resource(sender, fields, service)
    if extra:
        fields.update(extra)
    return resource, Line(body, time_ns, level, fields.items(), trace_id, span_id)


def first_text(fields: Mapping[str, Value], names: Sequence[str]) -> str:
    """The first of `names` that has a text or number in `fields`; empty when none has."""
    for name in names:
        value = fields.get(name)
        if value is not None and value != "" and not isinstance(value, bool):
            return str(value)
    return ""


def _unwrapped(document: dict[str, object]) -> tuple[dict[str, Value], dict[str, Value]]:
    """(resource fields, other fields). What our own export writes has objects for both; their names carry no prefix."""
    resource, attributes = document.get("resource"), document.get("attributes")
    if isinstance(resource, dict) or isinstance(attributes, dict):
        document = dict(document)
        if isinstance(resource, dict):
            del document["resource"]
        document.pop("body_kind", None)
        if _are_ours(document.get("links")):
            del document["links"]
        if isinstance(attributes, dict):
            del document["attributes"]
            document = {**attributes, **document}
    return flattened(resource) if isinstance(resource, dict) else {}, flattened(document)


def _are_ours(links: object) -> bool:
    """Whether our own API put these beside a record: where it leads is no part of what it says."""
    return isinstance(links, dict) and all(str(each).startswith("/aiprism/v1/") for each in links.values())


def _taken_time(fields: dict[str, Value]) -> int:
    for name in TIME:
        if name in fields:
            found = nanoseconds(fields[name])
            if found is not None:
                del fields[name]
                return found
    return 0


def _taken_body(fields: dict[str, Value], document: Mapping[str, object]) -> str:
    for name in BODY:
        value = fields.get(name)
        if isinstance(value, str):
            del fields[name]
            return value
    # Nothing in it is a text to read: the whole record is, so that a search for words finds it.
    return json_text(document)


def _taken_severity(fields: dict[str, Value]) -> Severity:
    text = ""
    for name in LEVEL:
        if name in fields:
            found = severity(fields[name])
            if found.number:
                del fields[name]
                return _numbered(fields, found)
            text = text or (found.text if isinstance(fields[name], str) else "")
    return _numbered(fields, Severity(0, text))


def _numbered(fields: dict[str, Value], found: Severity) -> Severity:
    for name in _NUMBERS_OF_OTEL:
        number = fields.get(name)
        if isinstance(number, int) and 0 < number <= 24:
            del fields[name]
            return Severity(number, found.text)
    return found


def _taken_id(fields: dict[str, Value], names: Sequence[str], length: int) -> bytes:
    for name in names:
        if name in fields:
            found = id_bytes(fields[name], length)
            if found or fields[name] == "":
                del fields[name]
            if found:
                return found
    return b""


def _resource(sender: dict[str, Value], fields: dict[str, Value], service: str) -> Resource:
    name, host = first_text(fields, SERVICE), first_text(fields, HOST)
    for key in [key for key in fields if _is_of_sender(key)]:
        sender.setdefault(key, fields.pop(key))
    name = first_text(sender, ("service.name",)) or name or service
    # `service: shop` and `host: web-1` are names; what is an object has its name inside.
    for key, said in (("service", name), ("host", host)):
        if said and sender.get(key) == said:
            del sender[key]
    if name:
        sender["service.name"] = name
    if host:
        sender.setdefault("host.name", host)
    return tuple((key, _text(value)) for key, value in sender.items())


@lru_cache(maxsize=4096)
def _is_of_sender(key: str) -> bool:
    return key.partition(".")[0] in _SENDER


def _text(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
