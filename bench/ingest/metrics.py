"""Remote write beside Debian's Prometheus and VictoriaMetrics: the same pre-encoded bodies to each, one after the other.

Prints for each server: samples a second, CPU seconds (user + system, merges included: the clock runs until the server is
quiet), resident memory, bytes a sample on disk once merged; and the ratios. `--million` instead sends a million series to
aiprism alone and says what it holds in memory and whether they can be queried. `--real` sends what a node exporter and a
Prometheus said of themselves, scraped twice a second for the occasion: for bytes a sample, as it is little.

    python bench/ingest/metrics.py [--series 10000] [--scrapes 240] [--only aiprism]
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import queue
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
from numpy.typing import NDArray
from prometheus_client.parser import text_string_to_metric_families

from aiprism.receive.prometheus_proto import WriteRequest
from aiprism.store.engine import Engine

SCRAPE_MS = 15_000
SENDERS = 50  # at most; one for each part of a scrape
PER_REQUEST = 2_000  # what Prometheus 3 sends at most
TARGET_SERIES = 1_000
HEADERS = {
    "Content-Type": "application/x-protobuf",
    "Content-Encoding": "snappy",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}


@dataclass(frozen=True, slots=True)
class Figures:
    """What one server took and left."""

    name: str
    samples: int
    seconds: float
    cpu: float
    rss_mb: float
    bytes_a_sample: float

    @property
    def cpu_us(self) -> float:
        """CPU microseconds a sample."""
        return self.cpu / self.samples * 1e6


# -- load: what targets of a node exporter look like --------------------------------------------------------------------


def values(series: int, scrapes: int) -> NDArray[np.float64]:
    """Values [series, scrape]: constants, counters of events, of bytes and of seconds, gauges, in the mix of a node."""
    chance = np.random.default_rng(7)
    kind = chance.choice(6, series, p=(0.45, 0.22, 0.08, 0.10, 0.10, 0.05))
    found = np.empty((series, scrapes))
    for number, of_kind in enumerate((_constants, _events, _bytes, _seconds, _memory, _floats)):
        rows = np.flatnonzero(kind == number)
        found[rows] = of_kind(chance, len(rows), scrapes)
    return found


def _constants(chance: np.random.Generator, rows: int, scrapes: int) -> NDArray[np.float64]:
    return np.repeat(chance.integers(0, 1000, (rows, 1)).astype(float), scrapes, axis=1)


def _events(chance: np.random.Generator, rows: int, scrapes: int) -> NDArray[np.float64]:
    grown = np.cumsum(chance.poisson(chance.exponential(20, (rows, 1)), (rows, scrapes)), axis=1)
    return np.asarray(grown + chance.integers(0, 10**6, (rows, 1)), dtype=np.float64)


def _bytes(chance: np.random.Generator, rows: int, scrapes: int) -> NDArray[np.float64]:
    grown = np.cumsum(chance.poisson(300, (rows, scrapes)) * chance.integers(60, 1400, (rows, scrapes)), axis=1)
    return np.asarray(grown + chance.integers(0, 10**10, (rows, 1)), dtype=np.float64)


def _seconds(chance: np.random.Generator, rows: int, scrapes: int) -> NDArray[np.float64]:
    return np.round(np.cumsum(chance.gamma(2, 2, (rows, scrapes)), axis=1) + chance.uniform(0, 1e5, (rows, 1)), 2)


def _memory(chance: np.random.Generator, rows: int, scrapes: int) -> NDArray[np.float64]:
    return (
        np.cumsum(chance.integers(-200, 200, (rows, scrapes)), axis=1) * 4096.0
        + chance.integers(10**5, 10**6, (rows, 1)) * 4096.0
    )


def _floats(chance: np.random.Generator, rows: int, scrapes: int) -> NDArray[np.float64]:
    return chance.normal(0.5, 0.1, (rows, scrapes))


class Load:
    """Bodies of remote write 1.0; each series' bytes are encoded once, then only time and value are written anew."""

    def __init__(
        self, numbers: NDArray[np.float64], start_ms: int, label_set: Callable[[int], Mapping[str, str]]
    ) -> None:
        self.series, self.scrapes, self.start_ms = *numbers.shape, start_ms
        series, self._values = self.series, numbers
        self._jitter = np.random.default_rng(8).integers(0, 1000, series // TARGET_SERIES + 1)
        self._templates = [
            _template([label_set(number) for number in range(first, min(first + PER_REQUEST, series))])
            for first in range(0, series, PER_REQUEST)
        ]

    @property
    def parts(self) -> int:
        """How many bodies a scrape is cut into."""
        return len(self._templates)

    def bodies(self, first: int, last: int) -> Iterator[tuple[bytes, int]]:
        """(compressed body, samples) of the scrapes from `first` up to `last`."""
        codec = pa.Codec("snappy")
        for scrape in range(first, last):
            for number, (body, places) in enumerate(self._templates):
                rows = np.arange(number * PER_REQUEST, number * PER_REQUEST + len(places))
                times = self.start_ms + scrape * SCRAPE_MS + self._jitter[rows // TARGET_SERIES]
                yield codec.compress(_patched(body, places, self._values[rows, scrape], times), asbytes=True), len(rows)


def labels(number: int) -> dict[str, str]:
    """The label set of a series, shaped as those of a node exporter behind service discovery."""
    target, metric = divmod(number, TARGET_SERIES)
    return {
        "__name__": f"node_{_FAMILIES[metric % len(_FAMILIES)]}_{metric // 40}_total",
        "cluster": f"prod-{target % 3}",
        "cpu": str(metric % 40),
        "device": f"eth{metric % 7}",
        "instance": f"10.{target // 250}.{target % 250}.17:9100",
        "job": "node-exporter",
        "mode": ("idle", "user", "system", "iowait")[metric % 4],
        "region": "eu-central-1",
    }


_FAMILIES = ("cpu_seconds", "network_receive_bytes", "disk_io_time_seconds", "filesystem_avail_bytes", "netstat_Tcp")


def _template(sets: Sequence[Mapping[str, str]]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """A body, and where in it each value begins (its time follows: one byte of tag, six of number)."""
    parts, places, at = [], [], 0
    for each in sets:
        request = WriteRequest()
        series = request.timeseries.add()
        for name, value in each.items():
            series.labels.add(name=name, value=value)
        series.samples.add(value=1.0, timestamp=1_700_000_000_000)
        part = request.SerializeToString()
        parts.append(part)
        at += len(part)
        places.append(at - 15)
    return np.frombuffer(b"".join(parts), np.uint8).copy(), np.array(places)


def _patched(
    body: NDArray[np.uint8], places: NDArray[np.int64], numbers: NDArray[np.float64], times: NDArray[np.int64]
) -> bytes:
    made = body.copy()
    made[places[:, None] + np.arange(8)] = np.ascontiguousarray(numbers).view(np.uint8).reshape(-1, 8)
    for octet in range(6):
        made[places + 9 + octet] = (times >> (7 * octet) & 0x7F) | (0x80 if octet < 5 else 0)
    return made.tobytes()


def made(series: int, scrapes: int, start_ms: int) -> Load:
    """A load of any size."""
    return Load(values(series, scrapes), start_ms, labels)


def scraped(scrapes: int, start_ms: int) -> Load:
    """What two real programs expose, as if scraped every 15 s."""
    ports = [free_port(), free_port()]
    with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as stack:
        (Path(directory) / "prometheus.yml").write_text(
            f"scrape_configs: [{{job_name: self, scrape_interval: 1s, static_configs: [{{targets: ['127.0.0.1:{ports[1]}']}}]}}]"
        )
        commands = (
            ["prometheus-node-exporter", f"--web.listen-address=127.0.0.1:{ports[0]}"],
            ["prometheus", f"--config.file={directory}/prometheus.yml", f"--storage.tsdb.path={directory}/tsdb",
             f"--web.listen-address=127.0.0.1:{ports[1]}"],
        )  # fmt: skip
        for command, port in zip(commands, ports, strict=True):
            stack.enter_context(process(command, f"http://127.0.0.1:{port}/metrics"))
        rounds = []
        for _ in range(scrapes):
            rounds.append(_exposed(ports))
            time.sleep(0.5)
    sets = sorted(set.intersection(*(set(each) for each in rounds)))
    print(f"{len(sets)} series of two real programs, {scrapes} scrapes")
    return Load(
        np.array([[each[pairs] for each in rounds] for pairs in sets]), start_ms, lambda number: dict(sets[number])
    )


def _exposed(ports: Sequence[int]) -> dict[tuple[tuple[str, str], ...], float]:
    found = {}
    for port in ports:
        text = call(f"http://127.0.0.1:{port}/metrics").decode()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                full = {"__name__": sample.name, "instance": f"127.0.0.1:{port}", "job": "real", **sample.labels}
                found[tuple(sorted(full.items()))] = float(sample.value)
    return found


# -- servers ------------------------------------------------------------------------------------------------------------


@contextmanager
def process(command: Sequence[str], ready: str) -> Iterator[psutil.Process]:
    """A server that answers 200 at the URL `ready`."""
    with tempfile.TemporaryFile() as log:
        started = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            _wait(ready, started)
            yield psutil.Process(started.pid)
        finally:
            started.terminate()
            started.wait(timeout=60)


def _wait(url: str, started: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if started.poll() is not None:
            raise SystemExit(f"{started.args!r} ended")
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.2)
    raise SystemExit(f"{url} does not answer")


def free_port() -> int:
    """A port nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def send(port: int, load: Load, first: int, last: int) -> tuple[int, float]:
    """Samples sent and the seconds it took; every body must be accepted."""
    senders = min(SENDERS, load.parts)
    # A series always goes through the same sender: Prometheus refuses what comes out of order.
    waiting: list[queue.Queue[tuple[bytes, int] | None]] = [queue.Queue(16) for _ in range(senders)]
    sent, faults = [0] * senders, list[str]()

    def work(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        while item := waiting[number].get():
            connection.request("POST", "/api/v1/write", item[0], HEADERS)
            answer = connection.getresponse()
            text = answer.read()
            if answer.status >= 300:
                faults.append(f"{answer.status} {text[:200]!r}")
            sent[number] += item[1]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(senders)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for number, body in enumerate(load.bodies(first, last)):
        waiting[number % load.parts % senders].put(body)
    for each in waiting:
        each.put(None)
    for thread in threads:
        thread.join()
    if faults:
        raise SystemExit(f"{len(faults)} bodies were refused, first: {faults[0]}")
    return sum(sent), time.monotonic() - started


def cpu_of(server: psutil.Process) -> float:
    """CPU seconds, user and system, of the server so far."""
    times = server.cpu_times()
    return float(times.user + times.system)


def quiet(server: psutil.Process, patience: int = 120) -> float:
    """CPU seconds once the server has done nothing much for some seconds, or at the end of `patience` seconds."""
    calm, before = 0, cpu_of(server)
    for _ in range(patience):
        time.sleep(1)
        now = cpu_of(server)
        calm = calm + 1 if now - before < 0.05 else 0
        before = now
        if calm == 4:
            break
    return before


def measured(name: str, server: psutil.Process, port: int, load: Load) -> tuple[int, float, float, float]:
    """(samples, seconds, CPU seconds, RSS MB) of everything after the first two scrapes, with which series come to be."""
    send(port, load, 0, 2)
    before = quiet(server)
    samples, seconds = send(port, load, 2, load.scrapes)
    cpu = quiet(server) - before
    return samples, seconds, cpu, server.memory_info().rss / 2**20


def size_of(directory: Path) -> int:
    """Bytes of all files below."""
    return sum(file.stat().st_size for file in directory.rglob("*") if file.is_file())


def call(url: str, method: str = "GET") -> bytes:
    """The answer's body."""
    with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=300) as answer:
        return bytes(answer.read())


@contextmanager
def aiprism_server(directory: Path) -> Iterator[tuple[psutil.Process, int]]:
    port = free_port()
    command = [sys.executable, "-m", "aiprism", "serve", "--data", str(directory), "--listen", f"127.0.0.1:{port}"]
    command += ["--otlp-http", "", "--otlp-grpc", ""]
    with process(command, f"http://127.0.0.1:{port}/-/ready") as server:
        yield server, port


def aiprism(directory: Path, load: Load) -> Figures:
    with aiprism_server(directory) as (server, port):
        samples, seconds, cpu, rss = measured("aiprism", server, port, load)
    engine = Engine.open(f"chdb:///{directory}/telemetry")
    engine.command("OPTIMIZE TABLE samples FINAL")
    columns = engine.query(
        "SELECT column, sum(column_data_compressed_bytes), count() FROM system.parts_columns WHERE active AND "
        "table = 'samples' AND database = currentDatabase() GROUP BY column"
    )
    [(size, rows)] = engine.query(
        "SELECT sum(bytes_on_disk), sum(rows) FROM system.parts WHERE active AND table = 'samples' "
        "AND database = currentDatabase()"
    )
    print("  aiprism, bytes a sample by column:", {name: round(bytes_ / rows, 3) for name, bytes_, _ in columns})
    engine.close()
    assert rows == load.series * load.scrapes, f"{rows} rows for {load.series * load.scrapes} samples"
    return Figures("aiprism", samples, seconds, cpu, rss, size / rows)


@contextmanager
def prometheus_server(directory: Path) -> Iterator[tuple[psutil.Process, int]]:
    port = free_port()
    (directory / "prometheus.yml").write_text("{}", encoding="utf-8")
    command = ["prometheus", f"--config.file={directory}/prometheus.yml", f"--storage.tsdb.path={directory}/tsdb"]
    command += [
        f"--web.listen-address=127.0.0.1:{port}",
        "--web.enable-remote-write-receiver",
        "--web.enable-admin-api",
    ]
    with process(command, f"http://127.0.0.1:{port}/-/ready") as server:
        yield server, port


def prometheus(directory: Path, load: Load) -> Figures:
    with prometheus_server(directory) as (server, port):
        samples, seconds, cpu, rss = measured("prometheus", server, port, load)
        call(f"http://127.0.0.1:{port}/api/v1/admin/tsdb/snapshot", "POST")
        size = size_of(directory / "tsdb" / "snapshots")
    return Figures("prometheus", samples, seconds, cpu, rss, size / (load.series * load.scrapes))


@contextmanager
def victoria_server(directory: Path, *options: str) -> Iterator[tuple[psutil.Process, int]]:
    port = free_port()
    command = ["victoria-metrics", f"-storageDataPath={directory}/vm", f"-httpListenAddr=127.0.0.1:{port}", *options]
    with process(command, f"http://127.0.0.1:{port}/health") as server:
        yield server, port


def victoria(directory: Path, load: Load) -> Figures:
    with victoria_server(directory) as (server, port):
        samples, seconds, cpu, rss = measured("victoria-metrics", server, port, load)
        call(f"http://127.0.0.1:{port}/internal/force_flush")
        call(f"http://127.0.0.1:{port}/internal/force_merge")
        quiet(server)
        size = size_of(directory / "vm" / "data")
    return Figures("victoria-metrics", samples, seconds, cpu, rss, size / (load.series * load.scrapes))


SERVERS = {"aiprism": aiprism, "prometheus": prometheus, "victoria-metrics": victoria}


def report(found: Sequence[Figures]) -> None:
    """A table, and aiprism's ratios to its peers: greater is better for aiprism."""
    print(f"{'':18}{'samples/s':>12}{'CPU s':>9}{'CPU µs/sample':>15}{'RSS MB':>9}{'bytes/sample':>14}")
    for each in found:
        print(
            f"{each.name:18}{each.samples / each.seconds:12,.0f}{each.cpu:9.2f}{each.cpu_us:15.3f}"
            f"{each.rss_mb:9.0f}{each.bytes_a_sample:14.3f}"
        )
    ours = [each for each in found if each.name == "aiprism"]
    for each in found:
        if ours and each.name != "aiprism":
            print(
                f"aiprism to {each.name}: samples per CPU second {each.cpu_us / ours[0].cpu_us:.2f} ×, "
                f"bytes a sample {ours[0].bytes_a_sample / each.bytes_a_sample:.2f} ×"
            )


def million(series: int) -> None:
    """Send two scrapes of many series to aiprism, say what it takes, and ask for them."""
    load = made(series, 3, int(time.time() * 1000) - 2 * SCRAPE_MS - 1000)
    with tempfile.TemporaryDirectory() as directory:
        with aiprism_server(Path(directory)) as (server, port):
            for scrape in range(3):
                before = cpu_of(server)
                samples, seconds = send(port, load, scrape, scrape + 1)
                cpu = (quiet(server) - before) / samples * 1e6
                print(
                    f"scrape {scrape}: {samples:,} samples in {seconds:.1f} s, CPU {cpu:.2f} µs a sample, {_rss(server)}"
                )
            _ask(port)
            print(_rss(server))
        started = time.monotonic()
        with aiprism_server(Path(directory)) as (server, port):
            print(f"started again in {time.monotonic() - started:.1f} s, {_rss(server)}")
            _ask(port)


def _rss(server: psutil.Process) -> str:
    status = Path(f"/proc/{server.pid}/status").read_text(encoding="utf-8")
    peak = re.search(r"VmHWM:\s+(\d+)", status)
    return f"RSS {server.memory_info().rss / 2**20:,.0f} MB, at most {int(peak.group(1)) / 1024 if peak else 0:,.0f} MB"


def _ask(port: int) -> None:
    # All of it in parts: one selector may match half a million series (query.max_series).
    families = [f"count({{__name__=~'node_{family}_.*'}})" for family in _FAMILIES]
    for query in (*families, "sum by (region) (rate(node_cpu_seconds_0_total[15m]))"):
        started = time.monotonic()
        answer = call(f"http://127.0.0.1:{port}/api/v1/query?query={urllib.parse.quote(query)}").decode()
        found = re.search(r'"([\d.]+)"\]', answer)
        print(f"{query} = {found and found.group(1)} in {time.monotonic() - started:.2f} s")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--series", type=int, default=10_000)
    arguments.add_argument("--scrapes", type=int, default=240)
    arguments.add_argument("--only", choices=SERVERS)
    arguments.add_argument("--million", action="store_true")
    arguments.add_argument(
        "--real", action="store_true", help="what a node exporter and a Prometheus say of themselves"
    )
    asked = arguments.parse_args()
    if asked.million:
        million(max(asked.series, 1_000_000))
        return
    start_ms = int(time.time() * 1000) - 300_000
    load = scraped(asked.scrapes, start_ms) if asked.real else made(asked.series, asked.scrapes, start_ms)
    found = []
    for name, run in SERVERS.items():
        if asked.only not in (None, name):
            continue
        if name != "aiprism" and shutil.which(name) is None:
            print(f"{name} is not installed: apt-get install {name}")
            continue
        with tempfile.TemporaryDirectory() as directory:
            found.append(run(Path(directory), load))
    report(found)


if __name__ == "__main__":
    main()
