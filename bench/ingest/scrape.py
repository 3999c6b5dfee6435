"""Scraping beside Debian's Prometheus and VictoriaMetrics: the same targets, one server after the other.

Many targets on one address, each with a page of its own (`--targets`, `--series`), scraped every `--interval` seconds.
After a minute to settle each server is watched for `--seconds`: CPU seconds, memory, samples that arrived. `--parse` instead
measures the reading of pages alone, in lines a second on one core: those that came before, and new ones.

    python bench/ingest/scrape.py [--targets 1000] [--series 500] [--seconds 60] [--only aiprism]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from bench.ingest.metrics import cpu_of, free_port

from aiprism.receive.exposition.pages import Pages, Treatment
from aiprism.receive.exposition.rows import Format
from aiprism.store.series import SeriesIndex
from aiprism.store.writing import Admitted

VARIANTS = 8  # pages prepared of each target: between two scrapes a fifth of its values change
_FAMILIES = ("http_requests_total", "http_request_duration_seconds_bucket", "process_cpu_seconds_total", "queue_length")


def page(target: int, variant: int, series: int) -> bytes:
    """A page of so many lines; those of another variant have other values and the same series."""
    lines = []
    for at in range(series):
        if at % 100 == 0:
            family = _FAMILIES[at // 100 % len(_FAMILIES)]
            lines.append(f"# HELP {family}_{at // 100} What there is of {family}.\n# TYPE {family}_{at // 100} counter")
        value = at * 7 + (variant * 13 if at % 5 == 0 else 0)
        number = f"{value}" if at % 3 else f"{value * 1.0001:.6f}"
        labels = f'method="GET",path="/api/v1/documents/{at % 50}",status="{200 + at % 4}",zone="z{target % 5}"'
        lines.append(f"{family}_{at // 100}{{{labels}}} {number}")
    return ("\n".join(lines) + "\n").encode()


# -- targets ---------------------------------------------------------------------------------------------------------


def serve(port: int, targets: int, series: int) -> None:
    """Answer for all targets, as cheaply as may be: GET /<number>/metrics."""
    import asyncio

    import uvloop

    pages = [[page(number, variant, series) for variant in range(VARIANTS)] for number in range(min(targets, 50))]

    class Answering(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport: Any = transport
            self.rest = b""

        def data_received(self, data: bytes) -> None:
            self.rest += data
            while b"\r\n\r\n" in self.rest:
                head, self.rest = self.rest.split(b"\r\n\r\n", 1)
                number = int(head.split(b"/", 2)[1])
                body = pages[number % len(pages)][int(time.time()) % VARIANTS]
                self.transport.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: %d\r\n\r\n"
                    % len(body)
                    + body
                )

    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", port, backlog=4096)
        await server.serve_forever()

    uvloop.run(run())


@contextmanager
def target_server(targets: int, series: int) -> Iterator[int]:
    port = free_port()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(port, targets, series), daemon=True)
    process.start()
    _until(lambda: _answers(port), 60)
    try:
        yield port
    finally:
        process.kill()
        process.join()


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def configuration(port: int, targets: int, interval: int) -> str:
    """The prometheus.yml of all servers."""
    static = "\n".join(
        f"  - {{targets: ['127.0.0.1:{port}'], labels: {{instance: 'host{at}:80', __metrics_path__: /{at}/metrics}}}}"
        for at in range(targets)
    )
    return f"""global: {{scrape_interval: {interval}s, scrape_timeout: {interval}s}}
scrape_configs:
- job_name: bench
  static_configs:
{static}
"""


# -- servers ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Figures:
    """What one server took."""

    name: str
    cpu_share: float  # of one core
    cpu_us: float  # a sample
    rss_mb: float
    up: int
    samples: int


COMMANDS: Mapping[str, Callable[[Path, int], list[str]]] = {
    "aiprism": lambda directory, port: [
        sys.executable, "-m", "aiprism", "serve", f"--config={directory}/prometheus.yml", f"--data={directory}/data",
        f"--listen=127.0.0.1:{port}", "--otlp-grpc=", "--otlp-http=",
    ],
    "prometheus": lambda directory, port: [
        "prometheus", f"--config.file={directory}/prometheus.yml", f"--storage.tsdb.path={directory}/tsdb",
        f"--web.listen-address=127.0.0.1:{port}",
    ],
    "victoria-metrics": lambda directory, port: [
        "victoria-metrics", f"-promscrape.config={directory}/prometheus.yml", f"-storageDataPath={directory}/vm",
        f"-httpListenAddr=127.0.0.1:{port}",
    ],
}  # fmt: skip


def measured(name: str, targets: int, series: int, interval: int, seconds: int) -> Figures:
    """Scrape all targets with one server."""
    with tempfile.TemporaryDirectory() as place, target_server(targets, series) as served:
        directory, port = Path(place), free_port()
        (directory / "prometheus.yml").write_text(configuration(served, targets, interval))
        with (directory / "log").open("wb") as log:
            process = subprocess.Popen(COMMANDS[name](directory, port), stdout=log, stderr=log)
        try:
            server = psutil.Process(process.pid)
            _until(lambda: _asked(port, "count(up == 1)") >= targets, 180)
            time.sleep(max(30, 2 * interval))
            before, started = cpu_of(server), time.monotonic()
            time.sleep(seconds)
            cpu, took = cpu_of(server) - before, time.monotonic() - started
            samples = _asked(port, f"sum(sum_over_time(scrape_samples_scraped[{seconds}s]))")
            up = int(_asked(port, "count(up == 1)"))
            return Figures(name, cpu / took, cpu / samples * 1e6, server.memory_info().rss / 1e6, up, int(samples))
        finally:
            process.terminate()
            process.wait(60)


def _asked(port: int, query: str) -> float:
    url = f"http://127.0.0.1:{port}/api/v1/query?query={urllib.request.quote(query)}"  # type: ignore[attr-defined]
    with (
        contextlib.suppress(OSError, ValueError, IndexError, KeyError),
        urllib.request.urlopen(url, timeout=30) as answer,
    ):
        return float(json.load(answer)["data"]["result"][0]["value"][1])
    return 0.0


def _until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("it does not come up")
        time.sleep(0.5)


# -- reading alone ---------------------------------------------------------------------------------------------------


def parse(series: int) -> None:
    """Lines a second of one core, for pages of so many lines."""
    index = SeriesIndex()
    pages = Pages(lambda sets: Admitted(index.admit(sets, 0.0)))
    treatment = Treatment({"job": "bench", "instance": "host:80"})
    pages.read(page(0, 0, 10), Format.TEXT, treatment, pages.memory(), 0)  # compiled
    fresh: list[float] = []
    known: list[float] = []
    for target in range(100):
        memory = pages.memory()
        for times, variant in ((fresh, 0), (known, 1), (known, 2), (known, 3)):
            body = page(target, variant, series)
            began = time.process_time()
            pages.read(body, Format.TEXT, treatment, memory, 1000 * variant).after()
            times.append(time.process_time() - began)
    for what, times in (("that came before", known), ("of new series, admitted", fresh)):
        print(f"{series / float(np.median(times)):>12,.0f} lines/s {what}")


def main() -> None:
    asked = argparse.ArgumentParser(description=re.split(r"\n\n", __doc__ or "")[0])
    asked.add_argument("--targets", type=int, default=1000)
    asked.add_argument("--series", type=int, default=500)
    asked.add_argument("--interval", type=int, default=15)
    asked.add_argument("--seconds", type=int, default=60)
    asked.add_argument("--only", choices=COMMANDS)
    asked.add_argument("--parse", action="store_true")
    wanted = asked.parse_args()
    parse(wanted.series)
    if wanted.parse:
        return
    names = [wanted.only] if wanted.only else list(COMMANDS)
    print(f"{'':<18}{'of a core':>10}{'µs/sample':>11}{'RSS MB':>8}{'targets up':>12}{'samples':>12}")
    for name in names:
        each = measured(name, wanted.targets, wanted.series, wanted.interval, wanted.seconds)
        print(
            f"{each.name:<18}{each.cpu_share:>10.2f}{each.cpu_us:>11.2f}{each.rss_mb:>8.0f}{each.up:>12}{each.samples:>12,}",
            flush=True,
        )


if __name__ == "__main__":
    main()
