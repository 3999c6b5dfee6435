"""OTLP spans and log records through the front door, beside two reference lines: parsing alone, and appending to a file.

A server of its own, a sender of its own process with keep-alive connections and bodies encoded beforehand. Prints for each
signal: items acknowledged a second, CPU of the server per item, time to the acknowledgement, resident memory, and (from a
second server that gets every body once) bytes an item on disk once merged.

    python -m bench.ingest.otlp [--items 100000] [--seconds 15] [--connections 8]
"""

from __future__ import annotations

import argparse
import http.client
import multiprocessing
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import psutil
from bench.ingest import payloads
from bench.ingest.payloads import Payload
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from aiprism.store.engine import Engine

HEADERS = {"Content-Type": "application/x-protobuf"}
# What is sent is this old at the start, as spans are when an exporter hands them on; what is late costs more.
AGE_NS = 5_000_000_000


@dataclass(frozen=True, slots=True)
class Sent:
    """What a sender saw: items acknowledged, seconds it took, how long each request waited."""

    items: int
    seconds: float
    waits: Sequence[float]
    refused: int


@dataclass(frozen=True, slots=True)
class Server:
    """A running `aiprism serve`."""

    address: str
    process: psutil.Process
    data: Path

    def cpu(self) -> float:
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def rss_mb(self) -> float:
        return float(self.process.memory_info().rss) / 1e6


@contextmanager
def server() -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="aiprism-bench-") as directory:
        data = Path(directory)
        doors = [part for door in ("listen", "otlp-grpc", "otlp-http") for part in (f"--{door}", "127.0.0.1:0")]
        running = subprocess.Popen(
            [sys.executable, "-m", "aiprism", "serve", "--data", directory, *doors],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            yield Server(_address(running.stdout), psutil.Process(running.pid), data)
        finally:
            running.terminate()
            running.wait()


def _address(output: IO[str] | None) -> str:
    assert output
    for line in output:
        if line.startswith("aiprism ready"):
            threading.Thread(target=output.read, daemon=True).start()
            return line.split("//")[1].strip()
    raise SystemExit("the server did not start")


def send(address: str, path: str, bodies: Sequence[Payload], connections: int, seconds: float) -> Sent:
    """Send `bodies` over and over for `seconds`, or once when that is 0; in a process of its own."""
    receiving, sending = multiprocessing.Pipe(duplex=False)
    child = multiprocessing.Process(target=_send, args=(sending, address, path, bodies, connections, seconds))
    child.start()
    sent: Sent = receiving.recv()
    child.join()
    return sent


def _send(
    result: multiprocessing.connection.Connection,
    address: str,
    path: str,
    bodies: Sequence[Payload],
    connections: int,
    seconds: float,
) -> None:
    waits: list[float] = []
    taken, refused = [0] * connections, [0] * connections
    started = time.monotonic()

    def run(number: int) -> None:
        connection = http.client.HTTPConnection(address)
        at = number
        while at < len(bodies) or (seconds and time.monotonic() < started + seconds):
            body = bodies[at % len(bodies)]
            begun = time.monotonic()
            connection.request("POST", path, body.body, HEADERS)
            answer = connection.getresponse()
            answer.read()
            if answer.status == 200:
                waits.append(time.monotonic() - begun)
                taken[number] += body.items
                at += connections
            else:
                refused[number] += 1
                time.sleep(0.2)
            if seconds and time.monotonic() >= started + seconds:
                return

    threads = [threading.Thread(target=run, args=(number,)) for number in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    result.send(Sent(sum(taken), time.monotonic() - started, waits, sum(refused)))


def settled(running: Server) -> None:
    """Wait until the server has merged what it wants to merge."""
    before = running.cpu()
    for _ in range(60):
        time.sleep(1)
        now = running.cpu()
        if now - before < 0.03:
            return
        before = now


def measure(path: str, bodies: Sequence[Payload], connections: int, seconds: float) -> None:
    with server() as running:
        send(running.address, path, bodies[: 2 * connections], connections, 0)  # what only the first request pays
        settled(running)
        cpu = running.cpu()
        sent = send(running.address, path, bodies, connections, seconds)
        busy = running.cpu() - cpu
        peak = running.rss_mb()
        settled(running)
        merged = running.cpu() - cpu
    p50, p99 = np.percentile(sent.waits, [50, 99])
    print(
        f"  {'aiprism':24} {sent.items / sent.seconds:>10,.0f} items/s   {busy / sent.items * 1e6:5.2f} µs CPU an item "
        f"({merged / sent.items * 1e6:.2f} with all merges)   ack p50 {p50 * 1000:.0f} ms p99 {p99 * 1000:.0f} ms   "
        f"{peak:.0f} MB   {sent.refused} refused"
    )


def stored_size(path: str, bodies: Sequence[Payload], tables: Sequence[str]) -> None:
    """Bytes an item of `tables` after every body was sent once and all parts were merged."""
    with server() as running:
        sent = send(running.address, path, bodies, 8, 0)
        data = running.data
        running.process.terminate()
        running.process.wait()
        engine = Engine.open(f"chdb:///{data / 'telemetry'}")
        for table in tables:
            engine.command(f"OPTIMIZE TABLE {table} FINAL")
            [(size,)] = engine.query(
                "SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = currentDatabase() "
                "AND table = {table:String}",
                {"table": table},
            )
            print(f"  {table:24} {size / sent.items:>10.1f} bytes an item on disk")
        engine.close()


def reference(kind: type[Message], bodies: Sequence[Payload]) -> None:
    items = sum(body.items for body in bodies)
    begun = time.process_time()
    for body in bodies:
        kind.FromString(body.body)
    parse = time.process_time() - begun
    with tempfile.TemporaryFile() as file:
        begun = time.process_time()
        for body in bodies:
            file.write(body.body)
        file.flush()
        append = time.process_time() - begun
    print(
        f"  {'parse only (FromString)':24} {items / parse:>10,.0f} items/s   {parse / items * 1e6:5.2f} µs CPU an item"
    )
    print(f"  {'append to file':24} {items / append:>10,.0f} items/s   {append / items * 1e6:5.2f} µs CPU an item")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--connections", type=int, default=8)
    asked = parser.parse_args()
    start_ns = time.time_ns() - AGE_NS
    spans = payloads.traces(asked.items, start_ns=start_ns)
    records = payloads.logs(asked.items, start_ns=start_ns)
    for name, path, bodies, kind, tables in (
        ("spans", "/v1/traces", spans, ExportTraceServiceRequest, ("spans", "trace_index", "span_red_1m")),
        ("log records", "/v1/logs", records, ExportLogsServiceRequest, ("logs", "log_patterns_1m")),
    ):
        wire = sum(len(body.body) for body in bodies) / sum(body.items for body in bodies)
        print(
            f"{name}: {wire:.0f} bytes each on the wire, {payloads.PER_REQUEST} a request, {asked.connections} connections"
        )
        reference(kind, bodies)
        measure(path, bodies, asked.connections, asked.seconds)
        stored_size(path, bodies, tables)
        if raw := sum(body.raw_json for body in bodies):
            print(f"  {'the same as JSON lines':24} {raw / sum(body.items for body in bodies):>10.1f} bytes a record")


if __name__ == "__main__":
    main()
