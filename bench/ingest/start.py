"""How soon a server with data is ready, and what it takes while nobody sends.

    python bench/ingest/start.py [--gigabytes 10] [--idle 60] [--data DIR]

Fills a data directory with logs (an attribute that does not compress), spans and samples over thirty days, starts
`aiprism serve` on it cold and again with a warm page cache, and watches each for a while. With --data the directory is
kept and used again. Targets: ready below 5 s with 10 GB, idle at most 2 % of a core and 400 MB of memory.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from aiprism.store.engine import Engine
from aiprism.store.schema import migrate

DAYS = 30
_DAY = f"toDateTime64(now(), 9, 'UTC') - toIntervalSecond(number % {DAYS} * 86400 + rand(1) % 3600)"

LOGS = f"""
INSERT INTO logs (ts, observed, service, level, severity_number, body, attributes)
SELECT {_DAY}, now(), concat('service-', toString(rand(2) % 20)), 'INFO', 9, concat('read document ', toString(number)),
       map('http.route', concat('/documents/', toString(rand(3) % 50)), 'payload', randomPrintableASCII(20000))
FROM numbers({{rows:UInt64}})
"""
SPANS = f"""
INSERT INTO spans (trace_id, span_id, service, name, kind, start, duration_ns, attributes)
SELECT toFixedString(randomString(16), 16), toFixedString(randomString(8), 8), concat('service-', toString(rand(2) % 20)),
       concat('GET /', toString(rand(3) % 50)), 'server', {_DAY}, rand(4) % 1000000000,
       map('http.method', 'GET', 'http.status_code', '200')
FROM numbers({{rows:UInt64}})
"""
SERIES = """
INSERT INTO series (metric, fp, labels, first_ts, last_ts)
SELECT concat('metric_', toString(number % 200)), number, map('__name__', concat('metric_', toString(number % 200)),
       'job', concat('job-', toString(number % 20)), 'instance', toString(number)), now() - 2592000, now()
FROM numbers({series:UInt64})
"""
SAMPLES = """
INSERT INTO samples (metric, fp, ts, unscaled)
SELECT concat('metric_', toString(number % 200)), number % {series:UInt64},
       now() - intDiv(number, {series:UInt64}) * 60, rand(1)
FROM numbers({rows:UInt64})
"""


@dataclass(frozen=True)
class Watched:
    """One start: seconds until ready, then what it took."""

    ready_s: float
    ready_cpu_s: float
    rss_mb: float
    own_mb: float
    cpu_percent: float


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=10.0)
    parser.add_argument("--series", type=int, default=100_000)
    parser.add_argument("--idle", type=float, default=60.0, help="seconds to watch")
    parser.add_argument("--data", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        data = asked.data or Path(temporary)
        if size(data) < asked.gigabytes * 1e9:
            fill(data, asked.gigabytes, asked.series)
        report("empty directory", watch(Path(temporary) / "empty", asked.idle))
        report(f"{size(data) / 1e9:.1f} GB, cold", watch(data, asked.idle, cold=True))
        report(f"{size(data) / 1e9:.1f} GB, warm", watch(data, asked.idle))


def fill(data: Path, gigabytes: float, series: int) -> None:
    """Nearly all bytes are in log attributes; spans and samples bring the parts and the rows."""
    engine = Engine.open(f"chdb:///{data.resolve() / 'telemetry'}")
    migrate(engine)
    engine.command(SERIES, {"series": series})
    engine.command(SAMPLES, {"series": series, "rows": series * 100})
    engine.command(SPANS, {"rows": 1_000_000})
    while size(data) < gigabytes * 1e9:
        engine.command(LOGS, {"rows": 50_000})
        print(f"\rfilling: {size(data) / 1e9:5.1f} GB", end="", file=sys.stderr)
    print(file=sys.stderr)
    engine.close()


def watch(data: Path, seconds: float, *, cold: bool = False) -> Watched:
    """Start a server on `data`, leave it alone for `seconds`, stop it."""
    if cold:
        forget_pages(data)
    command = [sys.executable, "-m", "aiprism", "serve", "--data", str(data), "--listen", "127.0.0.1:0"]
    command += ["--otlp-http", "127.0.0.1:0", "--otlp-grpc", "127.0.0.1:0"]
    began = time.monotonic()
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert running.stdout is not None
    try:
        while "aiprism ready" not in (line := running.stdout.readline()):
            assert line, "the server ended before it was ready"
        ready = time.monotonic() - began
        process = psutil.Process(running.pid)
        starting = sum(process.cpu_times()[:2])
        time.sleep(min(10.0, seconds))  # what starting leaves to do is not idleness
        before, since = sum(process.cpu_times()[:2]), time.monotonic()
        time.sleep(seconds)
        used = (sum(process.cpu_times()[:2]) - before) / (time.monotonic() - since)
        memory = process.memory_full_info()
        return Watched(ready, starting, memory.rss / 1e6, memory.uss / 1e6, used * 100)
    finally:
        running.send_signal(signal.SIGTERM)
        running.wait()
        running.stdout.close()


def forget_pages(data: Path) -> None:
    """Ask the kernel to drop what it has cached of the files."""
    for file in data.rglob("*"):
        if file.is_file():
            descriptor = os.open(file, os.O_RDONLY)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


def size(data: Path) -> int:
    """Bytes of all files below `data`."""
    return sum(file.stat().st_size for file in data.rglob("*") if file.is_file()) if data.exists() else 0


def report(name: str, found: Watched) -> None:
    """One line."""
    print(
        f"{name:<18} ready {found.ready_s:5.2f} s (CPU {found.ready_cpu_s:4.1f} s)   "
        f"RSS {found.rss_mb:6.0f} MB (own {found.own_mb:4.0f} MB)   idle {found.cpu_percent:4.1f} % of a core",
        flush=True,
    )


if __name__ == "__main__":
    main()
