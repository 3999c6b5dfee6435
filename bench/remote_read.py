"""Remote read beside Debian's Prometheus: the same samples in both, the same requests to both, SAMPLES as the answer.

Prints for each server the CPU seconds and the time of a request for all samples, its peak of memory, and the ratios; then
the same for a request of one series.

    python bench/remote_read.py [--series 1000] [--samples 1000]
"""

from __future__ import annotations

import argparse
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pyarrow as pa

from aiprism.receive.prometheus_proto import ReadRequest, WriteRequest

START_MS = int(time.time() // 3600 - 6) * 3_600_000
STEP_MS = 15_000
RUNS = 5
HEADERS = {"Content-Encoding": "snappy", "Content-Type": "application/x-protobuf"}
EQUAL = 0


@dataclass(frozen=True, slots=True)
class Server:
    name: str
    url: str
    process: psutil.Process

    def cpu(self) -> float:
        """Seconds, user and system, so far."""
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def post(self, path: str, body: bytes) -> bytes:
        """The answer to a snappy body, as sent."""
        packed = pa.Codec("snappy").compress(body, asbytes=True)
        request = urllib.request.Request(self.url + path, data=packed, headers=HEADERS)
        with urllib.request.urlopen(request, timeout=120) as answer:
            return bytes(answer.read())


@contextmanager
def started(name: str, command: list[str], port: int, ready: str) -> Iterator[Server]:
    """A server once it answers."""
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + 120
            while True:
                try:
                    with urllib.request.urlopen(url + ready, timeout=5):
                        break
                except OSError:
                    if process.poll() is not None or time.monotonic() > deadline:
                        raise SystemExit(f"{name} does not start") from None
                    time.sleep(0.2)
            yield Server(name, url, psutil.Process(process.pid))
        finally:
            process.terminate()
            process.wait(timeout=60)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def serving_aiprism(directory: Path) -> AbstractContextManager[Server]:
    port = free_port()
    command = [sys.executable, "-m", "aiprism", "serve", "--data", str(directory), "--listen", f"127.0.0.1:{port}"]
    return started("aiprism", [*command, "--otlp-http", "127.0.0.1:0", "--otlp-grpc", "127.0.0.1:0"], port, "/-/ready")


def serving_prometheus(directory: Path) -> AbstractContextManager[Server]:
    port = free_port()
    (directory / "prometheus.yml").write_text("global: {}\n", encoding="utf-8")
    command = [
        "prometheus",
        f"--config.file={directory / 'prometheus.yml'}",
        f"--storage.tsdb.path={directory / 'tsdb'}",
    ]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--web.enable-remote-write-receiver"]
    return started("Prometheus 2.42", command, port, "/-/ready")


def fill(server: Server, series: int, samples: int) -> None:
    """The same counters in every server."""
    for first in range(0, samples, 100):
        body = WriteRequest()
        for number in range(series):
            one = body.timeseries.add()
            labels = {
                "__name__": "node_cpu_seconds_total",
                "cpu": str(number % 64),
                "instance": f"10.0.{number // 64}.1:9100",
            }
            for name, value in labels.items():
                one.labels.add(name=name, value=value)
            for at in range(first, min(first + 100, samples)):
                one.samples.add(timestamp=START_MS + at * STEP_MS, value=at * 0.25 + number)
        server.post("/api/v1/write", body.SerializeToString())


def asked(instance: str = "") -> bytes:
    request = ReadRequest()
    query = request.queries.add(start_timestamp_ms=START_MS, end_timestamp_ms=START_MS + 86_400_000)
    query.matchers.add(type=EQUAL, name="__name__", value="node_cpu_seconds_total")
    if instance:
        query.matchers.add(type=EQUAL, name="instance", value=instance)
        query.matchers.add(type=EQUAL, name="cpu", value="0")
    return bytes(request.SerializeToString())


def measured(server: Server, request: bytes, runs: int) -> tuple[float, float, int]:
    """(CPU seconds, seconds, bytes of the answer) of a request: medians."""
    cpu, wall, size = [], [], 0
    server.post("/api/v1/read", request)
    for _ in range(runs):
        before, begun = server.cpu(), time.monotonic()
        size = len(server.post("/api/v1/read", request))
        wall.append(time.monotonic() - begun)
        cpu.append(server.cpu() - before)
    return statistics.median(cpu), statistics.median(wall), size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, default=1000)
    parser.add_argument("--samples", type=int, default=1000)
    options = parser.parse_args()
    with ExitStack() as stack:
        kinds = [serving_aiprism] + [serving_prometheus] * bool(shutil.which("prometheus"))
        servers = []
        for kind in kinds:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            servers.append(stack.enter_context(kind(directory)))
            fill(servers[-1], options.series, options.samples)
        time.sleep(5)
        cases = (
            (f"{options.series * options.samples:,} samples", asked(), RUNS),
            ("one series", asked("10.0.0.1:9100"), 40),
        )
        for name, request, runs in cases:
            print(name)
            figures = [measured(server, request, runs) for server in servers]
            for server, (cpu, wall, size) in zip(servers, figures, strict=True):
                print(f"  {server.name:16} {cpu * 1e3:9.1f} ms CPU {wall * 1e3:9.1f} ms   {size / 2**20:.2f} MiB")
            if len(figures) == 2:
                (cpu, wall, _), (their_cpu, their_wall, _) = figures
                print(f"  time: {wall / their_wall:.2f} × Prometheus", end="")
                print(f", CPU: {cpu / their_cpu:.2f} ×" if their_cpu else "")
        for server in servers:
            print(f"{server.name}: RSS {server.process.memory_info().rss / 2**20:,.0f} MB")


if __name__ == "__main__":
    main()
