"""OTLP metrics: data points a second and CPU a point, kind by kind, at the decoder and at a whole server.

No peer that speaks OTLP metrics can be installed from Debian (its VictoriaMetrics, 1.79, and Prometheus, 2.42, are older
than their OTLP doors). So the lines to compare with are: "parse only", what Google's protobuf takes to build the messages
of the same bodies, and VictoriaMetrics taking the same samples by remote write, which is a lighter protocol.

    python bench/ingest/otlp_metrics.py [--points 10000] [--exports 30] [--server]
"""

from __future__ import annotations

import argparse
import http.client
import queue
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from aiprism.receive.otlp_bodies import MetricBodies
from aiprism.receive.prometheus_proto import WriteRequest
from aiprism.store.series import SeriesIndex
from aiprism.store.writing import Admitted

S = 1_000_000_000
EXPORT_SECONDS = 15
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
SENDERS = 20
PER_BODY = 2_000


# -- load: what SDKs with HTTP instrumentation send ----------------------------------------------------------------------


def body(kind: str, first: int, points: int, export: int, start_ns: int) -> bytes:
    """One export of `points` streams, numbered from `first`."""
    made = ExportMetricsServiceRequest()
    resource = made.resource_metrics.add()
    for key, value in (("service.name", "shop"), ("service.instance.id", f"shop-{first}"), ("host.name", "node-7")):
        resource.resource.attributes.add(key=key).value.string_value = value
    metrics = resource.scope_metrics.add().metrics
    end_ns = start_ns + (export + 1) * EXPORT_SECONDS * S
    begin_ns = end_ns - EXPORT_SECONDS * S if kind.startswith("delta") else start_ns
    add = KINDS[kind](metrics)
    for number in range(first, first + points):
        point = add(number, export, begin_ns, end_ns)
        for key, value in (
            ("http.request.method", ("GET", "POST")[number % 2]),
            ("http.route", f"/api/v1/item/{number}"),
            ("http.response.status_code", "200"),
            ("server.address", "shop.example"),
        ):
            point.attributes.add(key=key).value.string_value = value
    return made.SerializeToString()


def _numbers(temporality: int) -> Callable[[Any], Callable[..., Any]]:
    def begin(metrics: Any) -> Callable[..., Any]:
        families = []
        for number in range(20):
            data = metrics.add(name=f"http.server.active.{number}", unit="By").sum
            data.aggregation_temporality, data.is_monotonic = temporality, True
            families.append(data.data_points)

        def add(number: int, export: int, begin_ns: int, end_ns: int) -> Any:
            of = families[number % 20]
            return of.add(start_time_unix_nano=begin_ns, time_unix_nano=end_ns, as_int=number * (export + 1))

        return add

    return begin


def _histograms(temporality: int) -> Callable[[Any], Callable[..., Any]]:
    def begin(metrics: Any) -> Callable[..., Any]:
        data = metrics.add(name="http.server.request.duration", unit="s").histogram
        data.aggregation_temporality = temporality

        def add(number: int, export: int, begin_ns: int, end_ns: int) -> Any:
            counts = [export * each for each in range(15)]
            return data.data_points.add(
                start_time_unix_nano=begin_ns, time_unix_nano=end_ns, count=sum(counts), sum=export * 3.5,
                explicit_bounds=BOUNDS, bucket_counts=counts,
            )  # fmt: skip

        return add

    return begin


def _exponentials(temporality: int) -> Callable[[Any], Callable[..., Any]]:
    def begin(metrics: Any) -> Callable[..., Any]:
        data = metrics.add(name="http.server.request.size", unit="By").exponential_histogram
        data.aggregation_temporality = temporality

        def add(number: int, export: int, begin_ns: int, end_ns: int) -> Any:
            counts = [export + each for each in range(60)]
            point = data.data_points.add(
                start_time_unix_nano=begin_ns, time_unix_nano=end_ns, count=sum(counts), sum=export * 3.5, scale=4
            )
            point.positive.offset, point.positive.bucket_counts[:] = -20, counts
            return point

        return add

    return begin


KINDS: dict[str, Callable[[Any], Callable[..., Any]]] = {
    "sums": _numbers(2),
    "histograms of 15 buckets": _histograms(2),
    "exponential histograms of 60 buckets": _exponentials(2),
    "delta sums": _numbers(1),
    "delta histograms of 15 buckets": _histograms(1),
    "delta exponential histograms of 60 buckets": _exponentials(1),
}


# -- the decoder alone ---------------------------------------------------------------------------------------------------


def decoder(points: int, exports: int) -> None:
    """CPU of one thread, after a first export that meets the streams."""
    print(f"decoder: {exports} exports of {points} streams in bodies of {min(points, PER_BODY)}, CPU of one thread")
    for kind in KINDS:
        index = SeriesIndex()
        reader = MetricBodies(lambda sets, index=index: Admitted(index.admit(sets, 0.0)), compiled=True)  # type: ignore[misc]
        bodies = [
            body(kind, first, min(PER_BODY, points), export, 1_790_000_000 * S)
            for export in range(exports)
            for first in range(0, points, PER_BODY)
        ]
        once = len(bodies) // exports
        for each in bodies[:once]:
            reader.decode(each, 0.0)
        samples, took, parse = 0, 0.0, 0.0
        for each in bodies[once:]:
            begun = time.process_time()
            samples += len(reader.decode(each, 0.0).batch)
            took += time.process_time() - begun
            begun = time.process_time()
            ExportMetricsServiceRequest.FromString(each)
            parse += time.process_time() - begun
        read = points * (exports - 1)
        print(
            f"  {kind:43} {took / read * 1e6:7.2f} µs a point   {took / samples * 1e6:7.3f} µs a sample"
            f"   {read / took:12,.0f} points/s   parse only {parse / read * 1e6:5.2f} µs a point ({took / parse:.1f} ×)"
        )


# -- whole servers -------------------------------------------------------------------------------------------------------


@contextmanager
def process(command: Sequence[str], ready: str) -> Iterator[psutil.Process]:
    """A server that answers at the URL `ready`."""
    with tempfile.TemporaryFile() as log:
        started = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + 120
        try:
            while True:
                try:
                    with urllib.request.urlopen(ready, timeout=5):
                        break
                except OSError:
                    if started.poll() is not None or time.monotonic() > deadline:
                        raise SystemExit(f"{command[0]} does not answer at {ready}") from None
                    time.sleep(0.2)
            yield psutil.Process(started.pid)
        finally:
            started.terminate()
            started.wait(timeout=60)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def send(port: int, path: str, headers: dict[str, str], bodies: Sequence[bytes]) -> float:
    """Seconds it took; every body must be accepted. A stream always goes through the same sender."""
    waiting: list[queue.SimpleQueue[bytes | None]] = [queue.SimpleQueue() for _ in range(SENDERS)]
    faults: list[str] = []
    for number, each in enumerate(bodies):
        waiting[number % SENDERS].put(each)

    def work(mine: queue.SimpleQueue[bytes | None]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        while each := mine.get():
            connection.request("POST", path, each, headers)
            answer = connection.getresponse()
            text = answer.read()
            if answer.status >= 300 or (answer.status == 200 and text):
                faults.append(f"{answer.status} {text[:200]!r}")

    threads = [threading.Thread(target=work, args=(mine,)) for mine in waiting]
    begun = time.monotonic()
    for thread, mine in zip(threads, waiting, strict=True):
        mine.put(None)
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise SystemExit(f"{len(faults)} bodies were not taken whole, first: {faults[0]}")
    return time.monotonic() - begun


def cpu(server: psutil.Process) -> float:
    times = server.cpu_times()
    return float(times.user + times.system)


def quiet(server: psutil.Process) -> float:
    """CPU seconds so far, once the server has been still for some seconds."""
    calm, before = 0, cpu(server)
    for _ in range(90):
        time.sleep(1)
        now = cpu(server)
        calm, before = (calm + 1 if now - before < 0.05 else 0), now
        if calm == 3:
            break
    return before


def servers(points: int, exports: int) -> None:
    """The first export warms up; CPU is counted until the server is quiet."""
    begun = time.time_ns() - exports * EXPORT_SECONDS * S
    bodies = [
        body("sums", first, PER_BODY, export, begun)
        for export in range(exports)
        for first in range(0, points, PER_BODY)
    ]
    headers = {"Content-Type": "application/x-protobuf"}
    with tempfile.TemporaryDirectory() as directory:
        port = free_port()
        command = [sys.executable, "-m", "aiprism", "serve", "--data", directory, "--listen", f"127.0.0.1:{port}"]
        command += ["--otlp-http", "127.0.0.1:0", "--otlp-grpc", "127.0.0.1:0"]
        with process(command, f"http://127.0.0.1:{port}/-/ready") as server:
            ours = _measured(
                "aiprism, OTLP", server, lambda some: send(port, "/v1/metrics", headers, some), bodies, points
            )
    if not shutil.which("victoria-metrics"):
        print("  VictoriaMetrics is not there: apt-get install victoria-metrics")
        return
    writes = [_as_write(each) for each in bodies]
    headers |= {"Content-Encoding": "snappy"}
    with tempfile.TemporaryDirectory() as directory:
        port = free_port()
        command = [
            "victoria-metrics",
            f"-storageDataPath={Path(directory) / 'data'}",
            f"-httpListenAddr=127.0.0.1:{port}",
        ]
        with process(command, f"http://127.0.0.1:{port}/health") as server:
            theirs = _measured(
                "VictoriaMetrics, remote write",
                server,
                lambda some: send(port, "/api/v1/write", headers, some),
                writes,
                points,
            )
    print(f"  CPU a point: aiprism by OTLP takes {ours / theirs:.2f} × VictoriaMetrics by remote write")


def _measured(
    name: str, server: psutil.Process, push: Callable[[Sequence[bytes]], float], bodies: Sequence[bytes], points: int
) -> float:
    once = points // PER_BODY
    push(bodies[:once])
    before = quiet(server)
    seconds = push(bodies[once:])
    used = quiet(server) - before
    sent = (len(bodies) - once) * PER_BODY
    print(
        f"  {name:31} {sent / seconds:12,.0f} points/s   {used / sent * 1e6:6.2f} µs CPU a point"
        f"   RSS {server.memory_info().rss / 2**20:,.0f} MB"
    )
    return used / sent


def _as_write(sent: bytes) -> bytes:
    """The same samples as a remote write."""
    made = WriteRequest()
    for resource in ExportMetricsServiceRequest.FromString(sent).resource_metrics:
        job = [(each.key.replace(".", "_"), each.value.string_value) for each in resource.resource.attributes]
        for metric in resource.scope_metrics[0].metrics:
            for point in metric.sum.data_points:
                series = made.timeseries.add()
                named = [(each.key.replace(".", "_"), each.value.string_value) for each in point.attributes]
                for name, value in sorted([("__name__", metric.name.replace(".", "_")), *job[:2], *named]):
                    series.labels.add(name=name, value=value)
                series.samples.add(value=point.as_int, timestamp=point.time_unix_nano // 1_000_000)
    packed: bytes = pa.Codec("snappy").compress(made.SerializeToString(), asbytes=True)
    return packed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=10_000)
    parser.add_argument("--exports", type=int, default=30)
    parser.add_argument("--server", action="store_true", help="whole servers only")
    asked = parser.parse_args()
    if not asked.server:
        decoder(min(asked.points, PER_BODY), min(asked.exports, 6))
    print(f"servers: {asked.exports} exports of {asked.points} sums, {SENDERS} senders")
    servers(asked.points, asked.exports)


if __name__ == "__main__":
    main()
