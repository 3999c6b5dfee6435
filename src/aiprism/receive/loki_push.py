"""Loki's push API, as Promtail, Alloy, Fluent Bit, Vector and the Loki handlers of logging libraries speak it.

In: the body of POST /loki/api/v1/push, protobuf in snappy or JSON. Out: `Accepted` log records. Stream labels become
resource attributes, structured metadata attributes; the service is found as Loki finds its `service_name`, the level
in labels, metadata, then in the line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress

import orjson
from google.protobuf.message import DecodeError

from aiprism.errors import BadInput
from aiprism.receive.items import Bounds, OutOfBounds
from aiprism.receive.loglines import (
    TIME_LIMIT,
    Line,
    LogLines,
    Resource,
    Severity,
    id_bytes,
    json_text,
    nanoseconds,
    severity,
)
from aiprism.receive.otlp import Accepted
from aiprism.receive.protomessages import messages

# As Loki's push.proto numbers them. Texts are bytes: files hold lines that are not UTF-8.
_PushRequest = messages(
    "aiprism.loki",
    {
        "PushRequest": ("1 streams *Stream",),
        "Stream": ("1 labels bytes", "2 entries *Entry"),
        "Entry": ("1 timestamp Timestamp", "2 line bytes", "3 metadata *Label"),
        "Timestamp": ("1 seconds int64", "2 nanos int32"),
        "Label": ("1 name bytes", "2 value bytes"),
    },
)("PushRequest")

# Loki's own order (its limits_config.discover_service_name).
SERVICE_LABELS = (
    "service_name", "service", "app", "application", "name", "app_kubernetes_io_name", "container", "container_name",
    "component", "workload", "job",
)  # fmt: skip
UNKNOWN_SERVICE = "unknown_service"
# What OTLP resource attributes are called once they are Loki labels; they get their names back.
_OTEL_NAMES = {
    name.replace(".", "_"): name
    for name in (
        "service.namespace", "service.instance.id", "service.version", "deployment.environment",
        "deployment.environment.name", "cloud.region", "cloud.availability_zone", "k8s.cluster.name",
        "k8s.namespace.name", "k8s.pod.name", "k8s.container.name", "k8s.deployment.name", "k8s.statefulset.name",
        "k8s.daemonset.name", "k8s.cronjob.name", "k8s.job.name", "k8s.node.name", "host.name",
    )
}  # fmt: skip
_LEVEL_NAMES = ("level", "severity", "detected_level", "severity_text", "lvl", "loglevel")
_TRACE_NAMES, _SPAN_NAMES = ("trace_id", "traceid", "traceID", "traceId"), ("span_id", "spanid", "spanID", "spanId")

# {job="nginx", path="C:\\logs"}: Prometheus label syntax with Go's escapes, in double quotes or backticks.
_LABEL = re.compile(r'\s*([a-zA-Z_][\w.:]*)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|`([^`]*)`)\s*(,|\})')
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|x[0-9a-fA-F]{2}|[0-7]{3}|.)")
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


def push(body: bytes, now_ns: int, *, is_json: bool, within: Bounds | None = None) -> Accepted:
    """The records of a PushRequest, already out of its snappy or gzip; BadInput when it is none."""
    lines = LogLines(now_ns, within)
    return _from_json(body, lines) if is_json else _from_protobuf(body, lines)


def labels_of(text: str) -> dict[str, str]:
    r"""The labels that ``{name="value", …}`` holds; BadInput when it is no such text.

    >>> labels_of('{job="nginx", path="C:\\\\logs"}')
    {'job': 'nginx', 'path': 'C:\\logs'}
    """
    if not text.startswith("{"):
        raise BadInput(f'error parsing labels {text[:80]!r}: expected {{name="value", …}}')
    labels: dict[str, str] = {}
    at = 1
    if text[1:].strip() in ("}", ",}"):
        return labels
    while True:
        found = _LABEL.match(text, at)
        if found is None:
            raise BadInput(f'error parsing labels {text[:80]!r}: expected name="value" at position {at}')
        labels[found[1]] = _unescaped(found[2]) if found[2] is not None else found[3]
        at = found.end()
        if found[4] == "}" or text[at:].strip() == "}":
            return labels


def service_of(labels: Mapping[str, str]) -> str:
    """The service a stream belongs to, by Loki's rules."""
    return next((labels[name] for name in SERVICE_LABELS if labels.get(name)), UNKNOWN_SERVICE)


# -- the two forms ---------------------------------------------------------------------------------------------------


def _from_protobuf(body: bytes, lines: LogLines) -> Accepted:
    try:
        request = _PushRequest.FromString(body)
    except DecodeError as error:
        raise BadInput(f"the body is not a PushRequest in protobuf: {error}") from None
    for stream in request.streams:
        labels = labels_of(stream.labels.decode(errors="replace"))
        source = _Stream(labels)
        for entry in stream.entries:
            metadata = {
                pair.name.decode(errors="replace"): pair.value.decode(errors="replace") for pair in entry.metadata
            }
            time_ns = entry.timestamp.seconds * 1_000_000_000 + entry.timestamp.nanos
            if not 0 < time_ns < TIME_LIMIT:
                raise BadInput(f"an entry of {stream.labels[:80]!r} has no timestamp between 1970 and 2262")
            with suppress(OutOfBounds):  # counted there; the others are taken
                lines.add(source.resource, source.line(entry.line.decode(errors="replace"), time_ns, metadata))
    return lines.accepted()


def _from_json(body: bytes, lines: LogLines) -> Accepted:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadInput(f"the body is not JSON: {error}") from None
    streams = document.get("streams") if isinstance(document, dict) else None
    if not isinstance(streams, list):
        raise BadInput(
            'the body has no "streams": expected {"streams": [{"stream": {…}, "values": [["<ns>", "<line>"]]}]}'
        )
    for at, stream in enumerate(streams):
        where = f"streams[{at}]"
        if not isinstance(stream, dict):
            raise BadInput(f"{where} is not an object")
        source = _Stream(_json_labels(stream, where))
        for time_ns, line, metadata in _json_entries(stream, where):
            with suppress(OutOfBounds):
                lines.add(source.resource, source.line(line, time_ns, metadata))
    return lines.accepted()


def _json_labels(stream: Mapping[str, object], where: str) -> dict[str, str]:
    labels = stream.get("stream")
    if labels is None and isinstance(stream.get("labels"), str):  # the form of Loki before 0.4, still sent by some
        return labels_of(str(stream["labels"]))
    if not isinstance(labels, dict):
        raise BadInput(f"{where}.stream is not an object of labels")
    # Loki wants text here; handlers of logging libraries send numbers too, and nothing is gained by losing their lines.
    return {name: value if isinstance(value, str) else json_text(value) for name, value in labels.items()}


def _json_entries(stream: Mapping[str, object], where: str) -> Iterable[tuple[int, str, Mapping[str, str]]]:
    entries = stream.get("values", stream.get("entries"))
    if not isinstance(entries, list):
        raise BadInput(f"{where}.values is not a list")
    for at, given in enumerate(entries):
        # The objects are the form before 0.4.
        entry = [given.get("ts", given.get("timestamp")), given.get("line")] if isinstance(given, dict) else given
        if not isinstance(entry, list) or not 2 <= len(entry) <= 3 or not isinstance(entry[1], str):
            raise BadInput(f'{where}.values[{at}] is not ["<Unix nanoseconds>", "<line>", {{metadata}}]')
        metadata = entry[2] if len(entry) == 3 else {}
        if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
            raise BadInput(f"{where}.values[{at}][2] is not an object of texts (structured metadata)")
        time_ns = nanoseconds(entry[0])
        if time_ns is None:
            raise BadInput(
                f"{where}.values[{at}][0] is no time: {str(entry[0])[:40]!r}; expected Unix nanoseconds as text"
            )
        yield time_ns, entry[1], metadata


class _Stream:
    """What the labels of a stream say about each of its lines."""

    def __init__(self, labels: Mapping[str, str]) -> None:
        service = service_of(labels)
        self._severity = _level(labels)
        self.resource: Resource = (
            ("service.name", service),
            *((_OTEL_NAMES.get(name, name), value) for name, value in labels.items() if name != "service_name"),
        )

    def line(self, text: str, time_ns: int, metadata: Mapping[str, str]) -> Line:
        if not metadata:
            return Line(text, time_ns, self._severity)
        trace_id, span_id = _id(metadata, _TRACE_NAMES, 16), _id(metadata, _SPAN_NAMES, 8)
        used = (*(_TRACE_NAMES if trace_id else ()), *(_SPAN_NAMES if span_id else ()))
        attributes = [pair for pair in metadata.items() if pair[0] not in used] if used else metadata.items()
        level = _level(metadata)
        return Line(text, time_ns, level if level.number else self._severity, attributes, trace_id, span_id)


def _level(labels: Mapping[str, str]) -> Severity:
    for name, value in labels.items():
        if name.lower() in _LEVEL_NAMES:
            found = severity(value)
            if found.number:
                return found
    return Severity()


def _id(metadata: Mapping[str, str], names: Iterable[str], length: int) -> bytes:
    return next((found for name in names if (found := id_bytes(metadata.get(name), length))), b"")


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    return _ESCAPE.sub(lambda found: _escaped(found[1]), text)


def _escaped(code: str) -> str:
    if code[0] in "uUx" and len(code) > 1:
        number = int(code[1:], 16)
    elif len(code) == 3:
        number = int(code, 8)
    else:
        return _ESCAPED.get(code, code)
    return chr(number) if number < 0x110000 and not 0xD800 <= number < 0xE000 else "\N{REPLACEMENT CHARACTER}"
