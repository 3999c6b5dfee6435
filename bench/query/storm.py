"""A query storm: two hundred heavy PromQL queries at once, while samples go on coming in.

Every query reads all series over two hours, each about other times. Printed: how the queries ended, the highest memory of the
server, and how long senders waited for their acknowledgement before, during and after the storm.

    PYTHONPATH=. python bench/query/storm.py [--series 10000] [--clients 200] [--timeout 30]
"""

from __future__ import annotations

import argparse
import http.client
import json
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import psutil
from bench.ingest.metrics import HEADERS, Load, aiprism_server, quiet, send
from bench.query.promql import SCRAPES, TWO_HOURS, labels, values

QUERIES = (
    'quantile_over_time(0.9, {{__name__=~".+"}}[1h] offset {late}s)',
    'sum by (instance) (deriv({{__name__=~".+"}}[30m] offset {late}s))',
    'topk(5, stddev_over_time({{__name__=~".+"}}[1h] offset {late}s)) + on () group_left () count({{__name__=~".+"}})',
)
SENDS_BEFORE = 10
PAUSE = 0.5


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--series", type=int, default=10_000)
    arguments.add_argument("--clients", type=int, default=200)
    arguments.add_argument("--timeout", type=int, default=30, help="seconds each query may take, its wait included")
    options = arguments.parse_args()
    start_ms = (int(time.time()) // 15 * 15 - TWO_HOURS - 60) * 1000
    load = Load(values(options.series), start_ms, labels)
    with tempfile.TemporaryDirectory() as directory, aiprism_server(Path(directory)) as (server, port):
        samples, _ = send(port, load, 0, SCRAPES)
        quiet(server, 20)
        print(f"{samples:,} samples stored, {server.memory_info().rss / 2**20:.0f} MB")
        sender = Sender(port, load)
        before = [sender.send() for _ in range(SENDS_BEFORE)]
        with watching(server) as peak:
            during: list[float] = []
            endings, seconds = storm(
                port, options.clients, options.timeout, start_ms / 1000 + TWO_HOURS, sender, during
            )
        after = [sender.send() for _ in range(SENDS_BEFORE)]
        for ending, count in endings.most_common():
            print(f"{count:5} {ending}")
        print(
            f"over after {seconds:.1f} s; highest memory {max(peak) / 2**20:.0f} MB, now {server.memory_info().rss / 2**20:.0f} MB"
        )
        for name, waits in (("before", before), ("during", during), ("after", after)):
            print(f"{name}: all of {len(waits)} bodies acknowledged, {told(waits)}")
        print(metrics(port))


class Sender:
    """Sends the last scrapes of a load again and again: no sample is new, but each is taken in, looked up and stored."""

    def __init__(self, port: int, load: Load) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self._bodies = [body for body, _ in load.bodies(SCRAPES - 2, SCRAPES)]
        self._next = 0

    def send(self) -> float:
        """Seconds until one body was acknowledged; SystemExit when it was not."""
        began = time.monotonic()
        self._connection.request("POST", "/api/v1/write", self._bodies[self._next % len(self._bodies)], HEADERS)
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise SystemExit(f"not acknowledged: {answer.status} {text[:200]!r}")
        self._next += 1
        time.sleep(PAUSE)
        return time.monotonic() - began - PAUSE


def storm(
    port: int, clients: int, timeout: int, at: float, sender: Sender, waits: list[float]
) -> tuple[Counter[str], float]:
    """How the queries of all clients ended, and after how many seconds the last of them did; `sender` goes on meanwhile."""
    endings: Counter[str] = Counter()
    lock = threading.Lock()

    def ask(number: int) -> None:
        query = QUERIES[number % len(QUERIES)].format(late=number)
        asked = {"query": query, "start": at - 1800, "end": at, "step": 30, "timeout": f"{timeout}s"}
        ending = answered(port, f"/api/v1/query_range?{urlencode(asked)}")
        with lock:
            endings[ending] += 1

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(clients)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        waits.append(sender.send())
    return endings, time.monotonic() - began


def answered(port: int, path: str) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
    except OSError as error:
        return f"no answer: {error!r}"
    if answer.status == 200:
        return "200"
    said = json.loads(body)
    kind, reason = said.get("errorType", "?"), str(said.get("error", ""))
    return f"{answer.status} {kind}: {''.join(sign for sign in reason if not sign.isdigit())[:90]}"


@contextmanager
def watching(server: psutil.Process, look: Callable[[float], None] = time.sleep) -> Iterator[Sequence[int]]:
    """The resident memory of `server`, five times a second."""
    seen, over = [server.memory_info().rss], threading.Event()

    def watch() -> None:
        while not over.is_set():
            seen.append(server.memory_info().rss)
            look(0.2)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def told(waits: Sequence[float]) -> str:
    middle, late, most = (1000 * float(np.quantile(waits, share)) for share in (0.5, 0.99, 1.0))
    return f"median {middle:.0f} ms, p99 {late:.0f} ms, longest {most:.0f} ms"


def metrics(port: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/metrics")
    lines = connection.getresponse().read().decode().splitlines()
    return "\n".join(line for line in lines if "query.promql" in line and "_total" in line)


if __name__ == "__main__":
    main()
