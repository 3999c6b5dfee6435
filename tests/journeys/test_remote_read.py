"""A plain OpenTelemetry SDK sends deltas and exponential histograms; a real Prometheus reads them from us and reckons."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import httpx
import pyarrow as pa
import pytest

from aiprism.receive import prometheus_proto as proto
from aiprism.receive.admission import inflated
from tests.journeys.conftest import Server, eventually
from tests.query.promql import peer

PAGE = (Path(__file__).parents[2] / "docs" / "remote-read.md").read_text(encoding="utf-8")
[EXAMPLE] = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)

CLIENT = """
import time
from opentelemetry.exporter.otlp.proto.{kind}.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider, UpDownCounter
from opentelemetry.sdk.metrics.export import AggregationTemporality, PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource

DELTA = AggregationTemporality.DELTA
exporter = OTLPMetricExporter(preferred_temporality={{Counter: DELTA, Histogram: DELTA, UpDownCounter: DELTA}})
provider = MeterProvider(
    resource=Resource.create({{"service.name": "py-shop", "service.instance.id": "py-1"}}),
    metric_readers=[PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)],
    views=[View(instrument_name="order.value", aggregation=ExponentialBucketHistogramAggregation())],
)
meter = provider.get_meter("shop")
placed, queue = meter.create_counter("orders.placed"), meter.create_up_down_counter("orders.waiting")
took, value = meter.create_histogram("order.time", "s"), meter.create_histogram("order.value", "USD")
for turn in range(3):
    placed.add(5, {{"region": "eu"}})
    queue.add(2 - turn)
    took.record(0.3)
    for amount in (1, 10, 100, 1000):
        value.record(amount)
    assert provider.force_flush(20_000)
    time.sleep(0.05)  # the next delta begins a few milliseconds later
provider.shutdown()
"""


def sent(server: Server, kind: str, directory: Path) -> None:
    script = directory / "client.py"
    script.write_text(CLIENT.format(kind=kind), encoding="utf-8")
    endpoint = server.url if kind == "http" else f"http://{server.grpc}"
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_EXPORTER_OTLP_INSECURE": "true",
        "PATH": "/usr/bin:/bin",
    }
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", str(script)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.parametrize("kind", ["http", "grpc"])
def test_prometheus_reads_what_an_sdk_has_sent_as_deltas(kind: str, server: Server, tmp_path: Path) -> None:
    if not peer.installed():
        pytest.skip(peer.HINT)
    sent(server, kind, tmp_path)
    [orders] = eventually(lambda: server.instant('orders_placed_total{region="eu"}'), what="the counter")
    assert (orders["value"][1], orders["metric"]["job"]) == ("15", "py-shop")
    config = EXAMPLE.replace("http://127.0.0.1:9090", server.url)
    with peer.running(tmp_path, config, ["--enable-feature=native-histograms"]) as prometheus:
        value = partial(asked, prometheus)
        assert value('orders_placed_total{region=~"e.",region!="us"}') == 15
        assert value("increase(orders_placed_total[10m]) > bool 0") == 1
        assert value("orders_waiting") == 3
        assert value('order_time_seconds_bucket{le="5"}') == 3
        assert value("order_time_seconds_sum") == pytest.approx(0.9)
        # Prometheus reads native histograms from 2.44 on; Debian's 2.42 takes them by remote write, in the same message.
        prometheus.write_body(as_a_write(read(server, "order_value_USD")))
        assert value("histogram_count(order_value_USD)") == 12
        assert value("histogram_sum(order_value_USD)") == 3333
        assert value("histogram_quantile(0.75, order_value_USD)") == pytest.approx(
            100, rel=0.1
        )  # buckets of this range are 9 % wide
        assert value("histogram_count(increase(order_value_USD[10m])) > bool 0") == 1


def asked(prometheus: peer.Peer, query: str) -> float:
    [sample] = prometheus.instant(query, time.time())["result"]
    return float(sample["value"][1])


def read(server: Server, metric: str) -> bytes:
    """The ReadResponse for `metric`, of all time."""
    request = proto.ReadRequest()
    query = request.queries.add(start_timestamp_ms=0, end_timestamp_ms=2**53)
    query.matchers.add(name="__name__", value=metric)
    body = pa.Codec("snappy").compress(request.SerializeToString(), asbytes=True)
    answer = httpx.post(f"{server.url}/api/v1/read", content=body, headers={"Content-Encoding": "snappy"})
    assert answer.status_code == 200, answer.text
    return inflated(answer.content, "snappy", 1_000_000)


def as_a_write(response: bytes) -> bytes:
    [result] = proto.ReadResponse.FromString(response).results
    assert len(result.timeseries) == 1
    return bytes(proto.WriteRequest(timeseries=result.timeseries).SerializeToString())
