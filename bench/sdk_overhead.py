"""What the SDK adds to a request: the same FastAPI application bare, with aiprism, and with FastAPI's own OpenTelemetry.

    python bench/sdk_overhead.py [--requests 1500] [--work-ms 5]

Each application is served by uvicorn in a process of its own and asked over one kept connection, in short turns (bare,
aiprism, peer, bare, …), so that whatever else the machine does falls on all alike. Telemetry really goes to a sink
process over OTLP/HTTP. Two endpoints: `trivial` answers at once; `realistic` reads a document for a few milliseconds and,
where the application is instrumented, also writes one log line, one phase span and two metrics, as a service would.

Printed: median latency, what was added to the bare median, and the median of the turn-by-turn ratios. The target is an
added latency below 5 % for `realistic`.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import http.server
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

KINDS = ("bare", "aiprism", "opentelemetry")
ENDPOINTS = ("/trivial", "/documents/42")
TURN = 25
TARGET = 1.05
_WORDS = re.compile(r"[a-z]+")
_DOCUMENT = "The quick brown fox was asked to review the quarterly risk report of the department. " * 40


@dataclass
class Latencies:
    """Seconds per request of one application and endpoint: all of them, and the median of each turn."""

    all: list[float] = field(default_factory=list)
    turns: list[float] = field(default_factory=list)

    def add(self, turn: list[float]) -> None:
        self.all += turn
        self.turns.append(statistics.median(turn))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--requests", type=int, default=1500, help="requests per application and endpoint")
    parser.add_argument("--work-ms", type=float, default=5.0, help="work of the realistic handler")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", choices=(*KINDS, "sink"), help=argparse.SUPPRESS)
    parser.add_argument("--sink", default="", help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve == "sink":
        serve_sink()
    elif options.serve:
        serve(options.serve, options.sink, options.rounds)
    else:
        measure(options.requests, options.work_ms, as_json=options.json)


def measure(requests: int, work_ms: float, *, as_json: bool) -> None:
    """Start the processes, ask them in turns, print what came out."""
    rounds = rounds_for(work_ms / 1000)
    measured = {(kind, path): Latencies() for kind in KINDS for path in ENDPOINTS}
    with contextlib.ExitStack() as stack:
        sink = stack.enter_context(process("sink"))
        ports = {
            kind: stack.enter_context(process(kind, f"--sink=http://127.0.0.1:{sink}", f"--rounds={rounds}"))
            for kind in KINDS
        }
        connections = {kind: http.client.HTTPConnection("127.0.0.1", port) for kind, port in ports.items()}
        for kind in KINDS:
            for path in ENDPOINTS:
                ask(connections[kind], path, 4 * TURN)  # warm up
        for _ in range(max(1, requests // TURN)):
            for path in ENDPOINTS:
                for kind in KINDS:
                    measured[kind, path].add(ask(connections[kind], path, TURN))
        for connection in connections.values():
            connection.close()
    report(measured, as_json=as_json)


def report(measured: dict[tuple[str, str], Latencies], *, as_json: bool) -> None:
    """Print the table; ratios are medians over turns that stood next to each other."""
    rows = []
    for path in ENDPOINTS:
        bare = measured["bare", path]
        for kind in KINDS:
            latencies = measured[kind, path]
            ratio = statistics.median(mine / theirs for mine, theirs in zip(latencies.turns, bare.turns, strict=True))
            median = statistics.median(latencies.all)
            rows.append(
                {
                    "endpoint": path,
                    "application": kind,
                    "median_ms": round(median * 1000, 3),
                    "added_ms": round((median - statistics.median(bare.all)) * 1000, 3),
                    "ratio": round(ratio, 4),
                    "requests": len(latencies.all),
                }
            )
    if as_json:
        print(json.dumps(rows))
        return
    print(f"{'endpoint':<16}{'application':<16}{'median ms':>10}{'added ms':>10}{'ratio':>8}")
    for row in rows:
        print("{endpoint:<16}{application:<16}{median_ms:>10.3f}{added_ms:>10.3f}{ratio:>8.3f}".format(**row))
    got = next(row["ratio"] for row in rows if row["application"] == "aiprism" and row["endpoint"] == ENDPOINTS[1])
    print(f"\naiprism on the realistic endpoint: x{got:.3f} (target below x{TARGET})")


def ask(connection: http.client.HTTPConnection, path: str, times: int) -> list[float]:
    """Seconds of each of `times` requests."""
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        connection.request("GET", path, headers={"X-User-ID": "u1", "X-User-Tier": "premium"})
        connection.getresponse().read()
        seconds.append(time.perf_counter() - started)
    return seconds


@contextlib.contextmanager
def process(kind: str, *arguments: str) -> Iterator[int]:
    """A serving process of this file; yields its port."""
    command = [sys.executable, __file__, f"--serve={kind}", *arguments]
    source = str(Path(__file__).parent.parent / "src")
    environment = {**os.environ, "PYTHONPATH": source}
    running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert running.stdout is not None
    try:
        yield int(running.stdout.readline())
    finally:
        running.terminate()
        running.stdout.close()
        running.wait()


def read_document(rounds: int) -> int:
    """Work like that of a document service: count distinct words, again and again."""
    found = 0
    for _ in range(rounds):
        found = len(set(_WORDS.findall(_DOCUMENT.lower())))
    return found


def rounds_for(seconds: float) -> int:
    """How many rounds of `read_document` take about that long on this machine."""
    best = min(_timed(20) for _ in range(10)) / 20
    return max(1, round(seconds / best))


def _timed(rounds: int) -> float:
    started = time.perf_counter()
    read_document(rounds)
    return time.perf_counter() - started


def serve(kind: str, sink: str, rounds: int) -> None:
    """Serve the application as `kind` on a free port, which is printed."""
    import uvicorn
    from fastapi import FastAPI

    app = FastAPI(telemetry={"tracing": False, "metrics": False, "logs": False}) if kind == "bare" else FastAPI()
    if kind == "aiprism":
        import aiprism

        aiprism.instrument("bench", version="1", environment="bench", endpoint=sink, app=app, logs_to_stdout=False)
        log = aiprism.logger("bench")
    elif kind == "opentelemetry":
        instrument_as_opentelemetry_says(sink)

    @app.get("/trivial")
    async def trivial() -> dict[str, bool]:
        return {"ok": True}

    @app.get("/documents/{document_id}")
    async def realistic(document_id: str) -> dict[str, int]:
        if kind != "aiprism":
            return {"words": read_document(rounds)}
        with aiprism.phase("content_extraction"):
            words = read_document(rounds)
        aiprism.metrics.documents_processed(document_type="txt", processing_status="completed", user_type="premium")
        aiprism.metrics.document_queue_size(0)
        log.info("document read", document_id=document_id, duration_ms=1.0)
        return {"words": words}

    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    print(listening.getsockname()[1], flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False)).run([listening])


def instrument_as_opentelemetry_says(sink: str) -> None:
    """The providers of OpenTelemetry's own documentation; FastAPI uses them by itself."""
    from opentelemetry import metrics, trace
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    tracers = TracerProvider()
    tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{sink}/v1/traces")))
    trace.set_tracer_provider(tracers)
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(f"{sink}/v1/metrics"), 10_000)
    metrics.set_meter_provider(MeterProvider([reader]))


def serve_sink() -> None:
    """Take OTLP and forget it."""

    class Sink(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
