"""An OTLP/HTTP receiver of a few lines: keeps every request, every span and the latest value of every metric point it is sent."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Span:
    service: str
    name: str
    trace: str
    id: str
    parent: str
    attributes: dict[str, Any]


class OtlpSink:
    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.points: dict[tuple[str, str, frozenset[tuple[str, str]]], float] = {}
        self.logs: list[tuple[str, str, dict[str, Any]]] = []
        self.bodies: dict[str, list[bytes]] = {"traces": [], "metrics": [], "logs": []}
        self.lock = threading.Lock()
        self.url = ""

    def take(self, path: str, body: bytes) -> None:
        with self.lock:
            self.bodies[path.rpartition("/")[2]].append(body)
            if path.endswith("/traces"):
                self._take_spans(ExportTraceServiceRequest.FromString(body))
            elif path.endswith("/metrics"):
                self._take_points(ExportMetricsServiceRequest.FromString(body))
            else:
                self._take_logs(ExportLogsServiceRequest.FromString(body))

    def spans_of(self, trace: str) -> list[Span]:
        with self.lock:
            return [span for span in self.spans if span.trace == trace]

    def named(self, name: str, **attributes: str) -> list[Span]:
        wanted = {key.replace("__", "."): value for key, value in attributes.items()}
        with self.lock:
            return [
                span
                for span in self.spans
                if span.name == name and all(span.attributes.get(key) == value for key, value in wanted.items())
            ]

    def value(self, metric: str, **labels: str) -> float:
        """The sum of the latest values of the metric's points that have these labels (count for histograms)."""
        with self.lock:
            return sum(
                value
                for (name, _, have), value in self.points.items()
                if name == metric and set(labels.items()) <= have
            )

    def metrics(self) -> set[str]:
        with self.lock:
            return {name for name, _, _ in self.points}

    def _take_spans(self, request: ExportTraceServiceRequest) -> None:
        for resource in request.resource_spans:
            service = _attributes(resource.resource.attributes)["service.name"]
            for scope in resource.scope_spans:
                self.spans.extend(
                    Span(
                        service,
                        span.name,
                        span.trace_id.hex(),
                        span.span_id.hex(),
                        span.parent_span_id.hex(),
                        _attributes(span.attributes),
                    )
                    for span in scope.spans
                )

    def _take_points(self, request: ExportMetricsServiceRequest) -> None:
        for resource in request.resource_metrics:
            instance = _attributes(resource.resource.attributes)["service.instance.id"]
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    data = getattr(metric, str(metric.WhichOneof("data")))
                    for point in data.data_points:
                        labels = frozenset(_attributes(point.attributes).items())
                        value = point.count if hasattr(point, "bucket_counts") else point.as_double or point.as_int
                        self.points[metric.name, instance, labels] = value

    def _take_logs(self, request: ExportLogsServiceRequest) -> None:
        for resource in request.resource_logs:
            service = _attributes(resource.resource.attributes)["service.name"]
            for scope in resource.scope_logs:
                self.logs.extend(
                    (service, record.body.string_value, _attributes(record.attributes)) for record in scope.log_records
                )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "string_value") for pair in pairs}


@contextmanager
def otlp_sink() -> Iterator[OtlpSink]:
    sink = OtlpSink()

    class Receiver(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            sink.take(self.path, gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body)
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    sink.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield sink
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


if __name__ == "__main__":
    import sys
    import time

    with otlp_sink() as running:
        print(running.url, flush=True)
        while True:
            time.sleep(5)
            print(len(running.spans), len(running.points), len(running.logs), flush=True, file=sys.stderr)
