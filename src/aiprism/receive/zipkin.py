"""Zipkin's spans (API v2, JSON), as Zipkin's own tracers and OpenTelemetry's Zipkin exporters send them.

In: the body of POST /api/v2/spans. Out: `Accepted` spans of an ExportTraceServiceRequest. Endpoints become
`service.name`, `peer.service` and `network.*`, annotations become events, and what an OpenTelemetry exporter had to put in
tags gets its place back (OpenTelemetry specification, "Zipkin").
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import orjson
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from aiprism.errors import BadInput
from aiprism.receive.loglines import TIME_LIMIT, Value, flattened, json_text, put_attributes
from aiprism.receive.otlp import Accepted

UNKNOWN_SERVICE = "unknown_service"
_KINDS = {None: 1, "": 1, "SERVER": 2, "CLIENT": 3, "PRODUCER": 4, "CONSUMER": 5}
_STATUS = {"OK": 1, "ERROR": 2}
_SAMPLED = 1
_HEX = frozenset("0123456789abcdefABCDEF")
# Tags that are no attributes but parts of an OpenTelemetry span.
_SCOPE_NAME, _SCOPE_VERSION = ("otel.scope.name", "otel.library.name"), ("otel.scope.version", "otel.library.version")
_STATE = "w3c.tracestate"

# (service, scope name, scope version) → the message that holds the spans
_Places = Callable[[tuple[str, str, str]], Any]


def spans(body: bytes, now_ns: int) -> Accepted:
    """The spans of `body`, a JSON list; BadInput, which Zipkin means for the whole list, when one of them is none."""
    try:
        listed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadInput(f"the body is not JSON: {error}") from None
    if not isinstance(listed, list):
        raise BadInput("the body is not a list of spans")
    request = ExportTraceServiceRequest()
    places = _grouped(request)
    read = [_Span(span, f"spans[{at}]") for at, span in enumerate(listed)]
    moved = {each.key: each.own_id for each in read if each.shared}
    for each in read:
        each.write(places, moved, now_ns)
    return Accepted(request.SerializeToString(), len(read))


def _grouped(request: ExportTraceServiceRequest) -> _Places:
    known: dict[tuple[str, str, str], Any] = {}

    def place(of: tuple[str, str, str]) -> Any:
        if of not in known:
            resource = request.resource_spans.add()
            put_attributes(resource.resource.attributes, [("service.name", of[0])])
            known[of] = resource.scope_spans.add()
            known[of].scope.name, known[of].scope.version = of[1:]
        return known[of].spans

    return place


class _Span:
    """One span of the list, its parts checked."""

    def __init__(self, span: object, where: str) -> None:
        if not isinstance(span, dict):
            raise BadInput(f"{where} is not an object")
        self._span: dict[str, Any] = span
        self._where = where
        self._trace_id = self._id("traceId", 16)
        self._id_sent = self._id("id", 8)
        self._parent = self._id("parentId", 8) if span.get("parentId") else b""
        self._local, self._remote = self._object("localEndpoint"), self._object("remoteEndpoint")
        self._tags = {name: _text(value) for name, value in self._object("tags").items()}
        self._service = _text(self._local.get("serviceName") or "") or UNKNOWN_SERVICE
        self.shared = span.get("shared") is True

    @property
    def key(self) -> tuple[bytes, bytes, str]:
        """What the children of a shared span name it by, if they are of the same service."""
        return self._trace_id, self._id_sent, self._service

    @property
    def own_id(self) -> bytes:
        """The span id. In Zipkin a server may share its client's; here the server's side is a child with an id of its own."""
        if not self.shared:
            return self._id_sent
        return hashlib.blake2b(self._trace_id + self._id_sent + b"server", digest_size=8).digest()

    def write(self, places: _Places, moved: Mapping[tuple[bytes, bytes, str], bytes], now_ns: int) -> None:
        """Add this span to its place; `moved` are the shared spans of the same request, which had to get other ids."""
        kind = self._span.get("kind")
        if not isinstance(kind, str | None) or kind not in _KINDS:
            raise BadInput(f"{self._where}.kind is {str(kind)[:40]!r}; expected CLIENT, SERVER, PRODUCER or CONSUMER")
        scope, version = self._taken(_SCOPE_NAME), self._taken(_SCOPE_VERSION)
        events = self._events()
        start = self._micros("timestamp") * 1000 or min((time for time, _ in events), default=0)
        attributes = self._attributes(has_start=start > 0)
        parent = (
            self._id_sent if self.shared else moved.get((self._trace_id, self._parent, self._service), self._parent)
        )
        end = (start or now_ns) + self._micros("duration") * 1000
        if end >= TIME_LIMIT:
            raise BadInput(f"{self._where} ends after the year 2262: timestamp and duration are microseconds")
        span = places((self._service, scope, version)).add(
            trace_id=self._trace_id,
            span_id=self.own_id,
            parent_span_id=parent,
            name=_text(self._span.get("name") or ""),
            kind=_KINDS[kind],
            start_time_unix_nano=start or now_ns,
            end_time_unix_nano=end,
            trace_state=self._tags.pop(_STATE, ""),
            flags=_SAMPLED if self._span.get("debug") is True else 0,
        )
        self._write_status(span.status)
        put_attributes(span.attributes, [*attributes, *self._tags.items()])
        for time, annotation in events:
            event = span.events.add(time_unix_nano=time)
            event.name, found = _named(annotation)
            put_attributes(event.attributes, found.items())

    def _write_status(self, status: Any) -> None:
        said = self._tags.get("otel.status_code", "").upper()
        if said in _STATUS:
            del self._tags["otel.status_code"]
            status.code = _STATUS[said]
            status.message = self._tags.pop("otel.status_description", "")
        if "error" in self._tags and status.code != _STATUS["OK"]:
            text = self._tags["error"]
            status.code = _STATUS["ERROR"]
            status.message = status.message or ("" if text.lower() in ("", "true") else text)

    def _attributes(self, *, has_start: bool) -> list[tuple[str, Value]]:
        found: list[tuple[str, Value]] = []
        if self._remote.get("serviceName"):
            found.append(("peer.service", _text(self._remote["serviceName"])))
        for side, endpoint in (("local", self._local), ("peer", self._remote)):
            address, port = endpoint.get("ipv4") or endpoint.get("ipv6"), endpoint.get("port")
            if address:
                found.append((f"network.{side}.address", _text(address)))
            if port:
                found.append((f"network.{side}.port", port if isinstance(port, int) else _text(port)))
        found += [(f"zipkin.{flag}", True) for flag in ("debug", "shared") if self._span.get(flag) is True]
        if not has_start:
            found.append(("zipkin.without_timestamp", True))
        return found

    def _events(self) -> list[tuple[int, str]]:
        annotations = self._span.get("annotations") or []
        if not isinstance(annotations, list) or not all(isinstance(each, dict) for each in annotations):
            raise BadInput(f"{self._where}.annotations is not a list of objects")
        return [
            (
                _micros(each.get("timestamp"), f"{self._where}.annotations.timestamp") * 1000,
                _text(each.get("value", "")),
            )
            for each in annotations
        ]

    def _micros(self, name: str) -> int:
        return _micros(self._span.get(name), f"{self._where}.{name}")

    def _taken(self, names: tuple[str, ...]) -> str:
        return next((self._tags.pop(name) for name in names if name in self._tags), "")

    def _object(self, name: str) -> dict[str, Any]:
        value = self._span.get(name) or {}
        if not isinstance(value, dict):
            raise BadInput(f"{self._where}.{name} is not an object")
        return value

    def _id(self, name: str, length: int) -> bytes:
        text = self._span.get(name)
        if not isinstance(text, str) or not 0 < len(text) <= 2 * length or not _HEX.issuperset(text):
            raise BadInput(f"{self._where}.{name} is {str(text)[:40]!r}; expected 1 to {2 * length} hexadecimal digits")
        found = bytes.fromhex(text.rjust(2 * length, "0"))
        if not any(found):
            raise BadInput(f"{self._where}.{name} is all zero")
        return found


def _micros(value: object, where: str) -> int:
    if value is None:
        return 0
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < TIME_LIMIT // 1000:
        raise BadInput(f"{where} is {str(value)[:40]!r}; expected microseconds")
    return value


def _text(value: object) -> str:
    return value if isinstance(value, str) else json_text(value)


def _named(annotation: str) -> tuple[str, dict[str, Value]]:
    """(name, attributes) of an event; an OpenTelemetry exporter writes both as ``{"name": {…}}``, or without the braces."""
    for text in (annotation, f"{{{annotation}}}") if annotation[:1] in ('"', "{") else ():
        try:
            read = orjson.loads(text)
        except orjson.JSONDecodeError:
            continue
        if isinstance(read, dict) and len(read) == 1:
            [(name, attributes)] = read.items()
            if isinstance(attributes, dict):
                return name, flattened(attributes)
    return annotation, {}
