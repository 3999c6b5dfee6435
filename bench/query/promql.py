"""PromQL beside Debian's Prometheus and VictoriaMetrics (its cache off): the same remote-written series, over HTTP.

Every server gets two hours at 15 s; then each question goes to one after the other, so that what else the machine does
falls on all of them. *Cold* questions ask for another time each; *repeated* ones move on by a step, as a dashboard does.
Prints medians and CPU a question, the ratios, and what eight clients at once get.

    PYTHONPATH=. python bench/query/promql.py [--series 30000] [--repeat 9] [--only aiprism] [--match 'one series']
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import psutil
from bench.ingest.metrics import (
    SCRAPE_MS,
    TARGET_SERIES,
    Load,
    aiprism_server,
    cpu_of,
    prometheus_server,
    quiet,
    send,
    victoria_server,
)
from numpy.typing import NDArray

from aiprism.model.labels import Labels
from aiprism.query.promql import Matrix
from aiprism.query.promql.values import Series
from aiprism.web import prometheus_json

SCRAPES = 480
CLIENTS, ASKED_BY_EACH = 8, 12
HOUR, TWO_HOURS = 3600, SCRAPES * SCRAPE_MS // 1000
ENDPOINTS, SHARDS = 33, 10
CODES = ("200", "201", "204", "301", "400", "404", "429", "500", "502", "503")
BOUNDS = ("0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "5", "+Inf")


# -- load: targets of a thousand series, a third counters, a third buckets, a third gauges ------------------------------


def labels(number: int) -> dict[str, str]:
    """The label set of a series."""
    target, place = divmod(number, TARGET_SERIES)
    kind, rest = divmod(place, ENDPOINTS * SHARDS)
    endpoint, shard = divmod(rest, SHARDS)
    of_target = {"instance": f"host-{target}", "job": "api", "region": f"eu-{target % 3}"}
    match kind:
        case 0:
            return {"__name__": "http_requests_total", "code": CODES[shard], "endpoint": f"/{endpoint}", **of_target}
        case 1:
            name = "http_request_duration_seconds_bucket"
            return {"__name__": name, "endpoint": f"/{endpoint}", "le": BOUNDS[shard], **of_target}
        case 2:
            return {"__name__": "queue_depth", "endpoint": f"/{endpoint}", "shard": str(shard), **of_target}
        case _:
            return {"__name__": "node_load1", "cpu": str(rest), **of_target}


def values(series: int) -> NDArray[np.float64]:
    """Values [series, scrape]: counters restart once in a while, buckets hold all of the smaller ones."""
    chance = np.random.default_rng(7)
    grown = np.cumsum(chance.poisson(chance.exponential(20, (series, 1)), (series, SCRAPES)), axis=1).astype(np.float64)
    place = np.arange(series) % TARGET_SERIES
    kind = place // (ENDPOINTS * SHARDS)
    for target in range(0, series // TARGET_SERIES, 10):  # one restart in ten targets
        rows = np.flatnonzero((np.arange(series) // TARGET_SERIES == target) & (kind == 0))
        grown[rows, 300:] -= grown[rows, 300:301]
    buckets = np.flatnonzero(kind == 1)
    buckets = buckets[: len(buckets) // SHARDS * SHARDS]
    grown[buckets] = np.cumsum(grown[buckets].reshape(-1, SHARDS, SCRAPES), axis=1).reshape(-1, SCRAPES)
    gauges = np.flatnonzero(kind == 2)
    grown[gauges] = np.abs(np.cumsum(chance.integers(-5, 6, (len(gauges), SCRAPES)), axis=1))
    floats = np.flatnonzero(kind == 3)
    grown[floats] = chance.normal(2, 0.5, (len(floats), SCRAPES))
    return grown


# -- questions -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: `step` 0 is an instant query of /query, a path that is not a query names the API instead.

    `target` is what issue and docs hold it to: milliseconds, or a ratio to Prometheus' median.
    """

    name: str
    text: str
    step: int = 0
    span: int = HOUR
    path: str = ""
    ms: float | None = None
    ratio: float | None = None
    repeated: bool = False

    def url(self, end: float) -> str:
        """The path to ask at, for data up to `end`."""
        if self.path:
            match = {"match[]": self.text} if self.text else {}
            return f"{self.path}?{urlencode({**match, 'start': end - self.span, 'end': end})}"
        if not self.step:
            return f"/api/v1/query?{urlencode({'query': self.text, 'time': end})}"
        return f"/api/v1/query_range?{urlencode({'query': self.text, 'start': end - self.span, 'end': end, 'step': self.step})}"


ONE = 'http_requests_total{instance="host-3",endpoint="/5",code="200"}'
HUNDRED = 'http_requests_total{instance=~"host-[0-9]",endpoint=~"/[0-9]",code="200"}'
RATE = "rate(http_requests_total[5m])"
QUANTILE = "histogram_quantile(0.95, sum by (endpoint, le) (rate(http_request_duration_seconds_bucket[5m])))"
RATIO = f'sum(rate(http_requests_total{{code!~"5.."}}[5m])) / sum({RATE})'
ENOUGH, AGGREGATE = 1.5, 0.4

QUESTIONS = (
    Question("one series, instant", ONE, ms=3),
    Question("one series, instant rate", f"rate({ONE}[5m])", ms=3),
    Question("one series, range rate", f"rate({ONE}[5m])", 60, ms=3),
    Question("100 series, instant", HUNDRED, ratio=ENOUGH),
    Question("100 series, range", HUNDRED, 60, ratio=ENOUGH),
    Question("100 series, range rate", f"rate({HUNDRED}[5m])", 60, ratio=ENOUGH),
    Question("100 series × 480 points", HUNDRED, 15, TWO_HOURS - 15, ratio=ENOUGH),
    Question("all counters, instant sum(rate)", f"sum({RATE})", ratio=AGGREGATE),
    Question("all counters, range sum(rate)", f"sum({RATE})", 60, ratio=AGGREGATE),
    Question("all counters, instant sum by (rate)", f"sum by (endpoint) ({RATE})", ratio=AGGREGATE),
    Question("all counters, range sum by (rate)", f"sum by (endpoint) ({RATE})", 60, ratio=AGGREGATE),
    Question("all gauges, range avg by", "avg by (instance) (queue_depth)", 60, ratio=AGGREGATE),
    Question("all gauges, range max by (max_over_time)", "max by (shard) (max_over_time(queue_depth[5m]))", 60, ratio=AGGREGATE),
    Question("histogram_quantile by endpoint, instant", QUANTILE, ratio=AGGREGATE),
    Question("histogram_quantile by endpoint, range", QUANTILE, 60, ratio=AGGREGATE),
    Question("SLO ratio, instant", RATIO, ratio=AGGREGATE),
    Question("SLO ratio, range", RATIO, 60, ratio=AGGREGATE),
    Question("topk, instant", f"topk(10, {RATE})", ratio=AGGREGATE),
    Question("topk, range", "topk(5, sum by (instance) (queue_depth))", 60, ratio=AGGREGATE),
    Question("regex, instant", 'count(queue_depth{instance=~"host-.*[13579]",endpoint=~"/[12].*"})', ratio=ENOUGH),
    Question("label values", "", path="/api/v1/label/instance/values", ms=3),
    Question("label values, matched", "queue_depth", path="/api/v1/label/endpoint/values", ms=3),
    Question("label names", "", path="/api/v1/labels", ms=3),
    Question("series of one target's endpoint", 'queue_depth{instance="host-3",endpoint="/5"}', path="/api/v1/series", ms=3),
    Question("dashboard again: sum by (rate)", f"sum by (endpoint) ({RATE})", 15, ms=5, repeated=True),
    Question("dashboard again: histogram_quantile", QUANTILE, 15, ms=5, repeated=True),
    Question("dashboard again: 100 series, rate", f"rate({HUNDRED}[5m])", 15, ms=5, repeated=True),
)  # fmt: skip


def ends(question: Question, last: float) -> Iterator[float]:
    """When each asking ends: further back each time, or, repeated, a step later."""
    if question.repeated:
        first = (last - 60 * question.step) // question.step * question.step
        return (first + number * question.step for number in itertools.count())
    room = max(0, TWO_HOURS - 15 - question.span - 300)  # windows of five minutes find their samples
    return (last - (number * 7.3) % (room + 1) for number in itertools.count())


# -- asking --------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Server:
    """A server under test, and one connection to it that is kept."""

    name: str
    process: psutil.Process
    port: int
    connection: http.client.HTTPConnection

    def ask(self, url: str) -> bytes:
        """The body of the answer, which must be a success."""
        return asked(self.connection, url)


def asked(connection: http.client.HTTPConnection, url: str) -> bytes:
    connection.request("GET", url)
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise SystemExit(f"{answer.status} for {url}: {body[:300]!r}")
    return body


@dataclass(frozen=True, slots=True)
class Taken:
    """Of one question at one server: milliseconds and CPU milliseconds of the median asking, and of all on average."""

    ms: float
    cpu_ms: float


def measured(servers: Sequence[Server], question: Question, last: float, repeat: int) -> dict[str, Taken]:
    """Every server asked `repeat` times in turn, the first asking of each aside."""
    moments = list(itertools.islice(ends(question, last), repeat + 1))
    check(question, {server.name: server.ask(question.url(moments[0])) for server in servers})
    seconds: dict[str, list[float]] = {server.name: [] for server in servers}
    cpu = dict.fromkeys(seconds, 0.0)
    for moment in moments[1:]:
        url = question.url(moment)
        for server in servers:
            before, started = cpu_of(server.process), time.perf_counter()
            server.ask(url)
            seconds[server.name].append(time.perf_counter() - started)
            cpu[server.name] += cpu_of(server.process) - before
    return {name: Taken(statistics.median(each) * 1000, cpu[name] / len(each) * 1000) for name, each in seconds.items()}


def check(question: Question, bodies: Mapping[str, bytes]) -> None:
    """Say so when a server gives another number of series than Prometheus, or sums that are apart by a thousandth."""
    found = {name: _size(json.loads(body)["data"]) for name, body in bodies.items()}
    peer = found.get("prometheus")
    for name, size in found.items():
        if not size[0] or (
            peer and name == "aiprism" and (size[0] != peer[0] or abs(size[1] - peer[1]) > 1e-3 * abs(peer[1]))
        ):
            print(f"  {question.name}: {name} answers {size}, prometheus {peer}")


def _size(data: object) -> tuple[int, float]:
    if isinstance(data, list):
        return len(data), 0.0
    assert isinstance(data, dict)
    points = [pair for each in data["result"] for pair in (each.get("values") or [each["value"]])]
    return len(data["result"]), sum(float(text) for _, text in points)


def stormed(server: Server, last: float) -> tuple[float, float, float]:
    """(questions a second, median s, p99 s) of clients at once that all ask for something different."""
    mix = [each for each in QUESTIONS if not each.path and not each.repeated]
    taken: list[float] = []

    def client(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
        for turn in range(ASKED_BY_EACH):
            question = mix[(turn * CLIENTS + number) % len(mix)]
            url = question.url(last - 11 - number * 1.7 - turn * 13.1)
            started = time.perf_counter()
            asked(connection, url)
            taken.append(time.perf_counter() - started)
        connection.close()

    threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    started = time.perf_counter()
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return len(taken) / (time.perf_counter() - started), statistics.median(taken), float(np.percentile(taken, 99))


def encoded() -> float:
    """Milliseconds to write 100 series × 480 points as JSON, in this process."""
    chance, times = np.random.default_rng(3), 1_700_000_000_000 + np.arange(480) * 15_000
    matrix = Matrix(tuple(Series(Labels({"number": str(row)}), times, chance.random(480)) for row in range(100)))
    taken = []
    for _ in range(15):
        started = time.perf_counter()
        prometheus_json.result(matrix)
        taken.append(time.perf_counter() - started)
    return statistics.median(taken) * 1000


# -- the run ---------------------------------------------------------------------------------------------------------------


def report(question: Question, taken: Mapping[str, Taken], names: Sequence[str]) -> None:
    """A row: milliseconds of each, aiprism's as a multiple of the others', CPU milliseconds of each, the target."""
    cells = [f"{taken[name].ms:.1f}" for name in names]
    ours = taken.get("aiprism")
    cells += [f"{ours.ms / taken[name].ms:.2f}" for name in names if ours and name != "aiprism"]
    cells += [f"{taken[name].cpu_ms:.1f}" for name in names]
    cells.append(_verdict(question, taken))
    print(f"| {question.name} | {' | '.join(cells)} |", flush=True)


def _verdict(question: Question, taken: Mapping[str, Taken]) -> str:
    ours, peer = taken.get("aiprism"), taken.get("prometheus")
    if question.ms is not None:
        return f"≤ {question.ms:g} ms" + ("" if ours is None else " ✓" if ours.ms <= question.ms else " ✗")
    if question.ratio is None or ours is None or peer is None:
        return ""
    return f"≤ {question.ratio:g} × {'✓' if ours.ms <= question.ratio * peer.ms else '✗'}"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--series", type=int, default=10_000, help="10 000 at least: 100 series come of ten targets")
    arguments.add_argument("--repeat", type=int, default=9)
    arguments.add_argument("--only", choices=("aiprism", "prometheus", "victoria-metrics"))
    arguments.add_argument("--match", default="", help="only questions whose name holds this")
    options = arguments.parse_args()
    start_ms = (int(time.time()) // 15 * 15 - TWO_HOURS - 60) * 1000
    load = Load(values(options.series), start_ms, labels)
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        servers = list(_started(stack, Path(directory), options.only))
        for server in servers:
            started, before = time.monotonic(), cpu_of(server.process)
            samples, _ = send(server.port, load, 0, SCRAPES)
            quiet(server.process, 45)
            print(
                f"{server.name}: {samples:,} samples stored, quiet after {time.monotonic() - started:.0f} s, "
                f"CPU {cpu_of(server.process) - before:.0f} s",
                flush=True,
            )
        _ask_all(servers, start_ms / 1000 + TWO_HOURS - 15, options.repeat, options.match)


def _started(stack: ExitStack, directory: Path, only: str | None) -> Iterator[Server]:
    for name in ("aiprism", "prometheus", "victoria-metrics"):
        if only not in (None, name):
            continue
        if name != "aiprism" and shutil.which(name) is None:
            print(f"{name} is not installed: apt-get install {name}")
            continue
        home = directory / name
        home.mkdir()
        opened = {
            "aiprism": lambda home=home: aiprism_server(home),
            "prometheus": lambda home=home: prometheus_server(home),
            "victoria-metrics": lambda home=home: victoria_server(home, "-search.disableCache", "-search.latencyOffset=0s"),
        }[name]()  # fmt: skip
        process, port = stack.enter_context(opened)
        yield Server(name, process, port, http.client.HTTPConnection("127.0.0.1", port, timeout=120))


def _ask_all(servers: Sequence[Server], last: float, repeat: int, match: str) -> None:
    names = [server.name for server in servers]
    others = [name for name in names if name != "aiprism"]
    heads = [f"{name} ms" for name in names] + [f"× {name}" for name in others if "aiprism" in names]
    heads += [f"{name} CPU ms" for name in names]
    print(f"\n| question | {' | '.join(heads)} | target |\n|---|{'---:|' * len(heads)}---|")
    for question in QUESTIONS:
        if match in question.name:
            report(question, measured(servers, question, last, repeat), names)
    if match:
        return
    print(f"\nwriting 100 series × 480 points as JSON: {encoded():.1f} ms (target ≤ 5)")
    print(f"\n| {CLIENTS} clients, distinct questions | a second | median ms | p99 ms |\n|---|---:|---:|---:|")
    for server in servers:
        rate, median, slow = stormed(server, last)
        print(f"| {server.name} | {rate:.1f} | {median * 1000:.0f} | {slow * 1000:.0f} |", flush=True)


if __name__ == "__main__":
    main()
