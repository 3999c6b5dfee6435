"""Soak: send at a steady rate while the server is killed every minute, then count what is stored.

    python bench/ingest/soak.py                   ten minutes at half the target rates
    python bench/ingest/soak.py --seconds 20 …    the short form the test suite runs

Every span, log record and sample has a key of its own, and a sender repeats a body until it is acknowledged. Afterwards
the store is opened and counted. What must hold, or the exit status is 1:

* every item of an acknowledged body is stored: none lost;
* counted by key, no item more than once;
* a body that was sent once and acknowledged is stored exactly once. One whose connection broke may have been stored
  before the kill and once more when it came again: its answer was lost, so this cannot be known to the sender;
* memory does not grow: the peaks after minute 3 stay within a fifth of each other, below 1 GB.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import os
import re
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import psutil
import pyarrow as pa
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from aiprism.receive.prometheus_proto import WriteRequest
from aiprism.store.engine import Engine

RSS_LIMIT = 1_000_000_000
RSS_SPREAD = 1.2
_KEY = 0x5AFE_0000_0000_0000  # marks where a template holds a key
_TIME = 0x11AA_22BB_33CC_44DD  # … and a time
_FIRST_MS = 1_600_000_000_000  # … and, as a varint, a sample's time


# -- bodies ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Template:
    """A body with holes: `keys` and `times` are where its items have theirs."""

    body: np.ndarray
    keys: np.ndarray
    times: np.ndarray
    items: int

    @classmethod
    def of(cls, body: bytes, items: int) -> Template:
        keys = [body.index(struct.pack(">Q", _KEY + at)) for at in range(items)]
        times = [found.start() for found in re.finditer(re.escape(struct.pack("<Q", _TIME)), body)]
        return cls(np.frombuffer(body, np.uint8), np.array(keys), np.array(times), items)

    def filled(self, number: int) -> bytes:
        """The body of that number: item `at` has the key (number, at)."""
        body = self.body.copy()
        keys = (np.uint64(number) << np.uint64(16)) + np.arange(1, self.items + 1, dtype=np.uint64)
        body[self.keys[:, None] + np.arange(8)] = keys.astype(">u8").view(np.uint8).reshape(-1, 8)
        body[self.times[:, None] + np.arange(8)] = np.frombuffer(struct.pack("<Q", time.time_ns()), np.uint8)
        return body.tobytes()


def spans(count: int) -> Template:
    """Spans of eight attributes, ten a trace."""
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "soak"
    scoped = resource.scope_spans.add()
    for at in range(count):
        span = scoped.spans.add(name=f"operation {at % 20}", kind=2, trace_id=struct.pack(">QQ", 7, 1 + at // 10))
        span.span_id = struct.pack(">Q", _KEY + at)
        span.start_time_unix_nano = span.end_time_unix_nano = _TIME
        for name in range(7):
            span.attributes.add(key=f"http.attribute{name}").value.string_value = f"value {at % 50}"
        span.attributes.add(key="http.response.status_code").value.int_value = 200
    return Template.of(request.SerializeToString(), count)


def records(count: int) -> Template:
    """Log records of 200 bytes and five attributes."""
    request = ExportLogsServiceRequest()
    resource = request.resource_logs.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "soak"
    scoped = resource.scope_logs.add()
    for at in range(count):
        record = scoped.log_records.add(time_unix_nano=_TIME, severity_number=9, trace_id=b"\7" * 16)
        record.span_id = struct.pack(">Q", _KEY + at)
        record.body.string_value = f"request {at} of user {at % 97} took {at % 13} ms ".ljust(200, "x")
        for name in range(5):
            record.attributes.add(key=f"attribute{name}").value.string_value = f"value {at % 50}"
    return Template.of(request.SerializeToString(), count)


class SampleBodies:
    """Remote-write requests of always the same series; body `number` has its samples at the `number`th millisecond."""

    def __init__(self, count: int) -> None:
        self.items = count
        self._first_ms = int(time.time() * 1000)
        request = WriteRequest()
        for at in range(count):
            series = request.timeseries.add()
            series.labels.add(name="__name__", value=f"soak_{at % 100}_total")
            series.labels.add(name="instance", value=f"host-{at // 100}")
            series.labels.add(name="job", value="soak")
            series.samples.add(timestamp=_FIRST_MS, value=float(at))
        body = request.SerializeToString()
        self._body = np.frombuffer(body, np.uint8)
        self._times = np.array([found.start() for found in re.finditer(re.escape(_varint(_FIRST_MS)), body)])

    def filled(self, number: int) -> bytes:
        body = self._body.copy()
        encoded = np.frombuffer(_varint(self._first_ms + number), np.uint8)
        body[self._times[:, None] + np.arange(len(encoded))] = encoded
        return bytes(pa.compress(body.tobytes(), codec="snappy", asbytes=True))

    def number_of(self, ts_ms: int) -> int:
        return ts_ms - self._first_ms


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


# -- senders ---------------------------------------------------------------------------------------------------------------


@dataclass
class Stream:
    """One signal: what is sent, where, how fast, and what became of it by body number."""

    name: str
    path: str
    headers: dict[str, str]
    filled: Callable[[int], bytes]
    items: int
    rate: float  # items a second
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    acknowledged: set[int] = field(default_factory=set)
    unsure: set[int] = field(default_factory=set)  # those whose connection broke once: stored or not, nobody knows
    refusals: int = 0
    seconds: list[float] = field(default_factory=list)


class Sender(threading.Thread):
    """Sends bodies of `stream` at its share of the rate; each until it is acknowledged."""

    def __init__(self, stream: Stream, share: int, address: Callable[[], str], stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self._stream, self._address, self._done = stream, address, stop
        self._every = stream.items * share / stream.rate
        self._connection: http.client.HTTPConnection | None = None
        self._at = ""

    def run(self) -> None:
        due = time.monotonic()
        while not self._done.is_set():
            number = next(self._stream.numbers)
            self._until_acknowledged(number, self._stream.filled(number))
            due = max(due + self._every, time.monotonic() - 5 * self._every)  # it catches up a little, not for ever
            self._done.wait(max(0.0, due - time.monotonic()))

    def _until_acknowledged(self, number: int, body: bytes) -> None:
        stream = self._stream
        for attempt in itertools.count():
            begun = time.monotonic()
            try:
                status = self._post(body)
            except (OSError, http.client.HTTPException):
                self._connection = None
                stream.unsure.add(number)
                time.sleep(0.05)
                continue
            if status < 300:
                stream.acknowledged.add(number)
                if not attempt:
                    stream.seconds.append(time.monotonic() - begun)
                return
            stream.refusals += 1
            if status not in (429, 503):
                raise AssertionError(f"{stream.name}: body {number} was answered with {status}")
            time.sleep(0.2)

    def _post(self, body: bytes) -> int:
        address = self._address()
        if self._connection is None or address != self._at:
            self._at, where = address, urlsplit(address)
            self._connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=60)
        self._connection.request("POST", self._stream.path, body, self._stream.headers)
        answer = self._connection.getresponse()
        answer.read()
        return answer.status


# -- the server --------------------------------------------------------------------------------------------------------------


class Server:
    """`aiprism serve` on a free port, killed and started again on the same data."""

    def __init__(self, data: Path) -> None:
        self._data, self.url = data, ""
        self._process: subprocess.Popen[str] | None = None
        self.start_seconds: list[float] = []

    def start(self) -> None:
        begun = time.monotonic()
        command = [sys.executable, "-m", "aiprism", "serve", "--data", str(self._data), "--listen", "127.0.0.1:0"]
        with (self._data.parent / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--otlp-http", "", "--otlp-grpc", ""], stdout=subprocess.PIPE, stderr=log, text=True
            )
        assert self._process.stdout
        for line in self._process.stdout:
            if found := re.search(r"aiprism ready (http://\S+)", line):
                self.url = found[1]
                self.start_seconds.append(time.monotonic() - begun)
                return
        raise AssertionError(f"the server did not start: {(self._data.parent / 'server.log').read_text()[-2000:]}")

    def kill(self) -> None:
        assert self._process
        self._process.kill()
        self._end()

    def stop(self) -> None:
        assert self._process
        self._process.send_signal(signal.SIGTERM)
        self._end()

    def _end(self) -> None:
        assert self._process
        self._process.wait(30)
        assert self._process.stdout
        self._process.stdout.close()

    def rss(self) -> int:
        """Anonymous memory of the process: file pages of the store are the kernel's to drop."""
        assert self._process
        try:
            found = psutil.Process(self._process.pid).memory_info()
        except psutil.NoSuchProcess:
            return 0
        return int(found.rss - found.shared)


# -- counting ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Verdict:
    """What was counted of one stream."""

    lost: int = 0
    duplicates_by_key: int = 0
    twice_without_reason: int = 0
    twice: int = 0  # items of bodies whose answer was lost, stored once more when they came again
    stored: int = 0


def counted(stream: Stream, rows: Sequence[Sequence[int]]) -> Verdict:
    """`rows` are (number of a body, items stored, distinct keys stored)."""
    found = {number: (stored, distinct) for number, stored, distinct in rows}
    lost = sum(max(0, stream.items - found.get(number, (0, 0))[1]) for number in stream.acknowledged)
    surplus = {number: stored - distinct for number, (stored, distinct) in found.items()}
    return Verdict(
        lost=lost,
        duplicates_by_key=sum(max(0, distinct - stream.items) for _, distinct in found.values()),
        twice_without_reason=sum(more for number, more in surplus.items() if number not in stream.unsure),
        twice=sum(more for number, more in surplus.items() if number in stream.unsure),
        stored=sum(stored for stored, _ in found.values()),
    )


_KEYED = (
    "SELECT bitShiftRight(key, 16) AS number, count(), uniqExact(key) FROM "
    "(SELECT reinterpretAsUInt64(reverse(span_id)) AS key FROM {}) GROUP BY number"
)
# Samples that come after newer ones of their series are kept apart.
_BY_TIME = (
    "SELECT toUnixTimestamp64Milli(ts), count(), uniqExact(fp) FROM (SELECT metric, fp, ts FROM samples UNION ALL "
    "SELECT metric, fp, ts FROM corrections) WHERE startsWith(metric, 'soak_') GROUP BY ts"
)


def verdicts(data: Path, streams: Sequence[Stream], samples: SampleBodies) -> dict[str, Verdict]:
    """Open the store and count."""
    engine = Engine.open(f"chdb:///{(data / 'telemetry').resolve()}")
    try:
        by_time = engine.query(_BY_TIME)
        rows = {
            "spans": [tuple(row) for row in engine.query(_KEYED.format("spans"))],
            "records": [tuple(row) for row in engine.query(_KEYED.format("logs"))],
            "samples": [(samples.number_of(ts), stored, distinct) for ts, stored, distinct in by_time],
        }
        return {stream.name: counted(stream, rows[stream.name]) for stream in streams}
    finally:
        engine.close()


# -- the whole -----------------------------------------------------------------------------------------------------------------


def soak(wanted: argparse.Namespace, data: Path) -> bool:
    """Run, print the table, say whether everything held."""
    size, samples = wanted.batch, SampleBodies(wanted.batch)
    otlp, snappy = {"Content-Type": "application/x-protobuf"}, {"Content-Encoding": "snappy"}
    streams = [
        Stream("spans", "/v1/traces", otlp, spans(size).filled, size, wanted.spans),
        Stream("records", "/v1/logs", otlp, records(size).filled, size, wanted.records),
        Stream("samples", "/api/v1/write", otlp | snappy, samples.filled, size, wanted.samples),
    ]
    server, stop = Server(data), threading.Event()
    server.start()
    senders = [
        Sender(each, wanted.senders, lambda: server.url, stop) for each in streams for _ in range(wanted.senders)
    ]
    begun = time.monotonic()
    for sender in senders:
        sender.start()
    peaks = _killed_now_and_then(server, wanted, begun)
    stop.set()
    for sender in senders:
        sender.join(120)
    seconds = time.monotonic() - begun
    assert not any(sender.is_alive() for sender in senders), "a body was never acknowledged"
    server.stop()
    found = verdicts(data, streams, samples)
    _print(streams, found, seconds, server, peaks)
    return _holds(found, peaks)


def _killed_now_and_then(server: Server, wanted: argparse.Namespace, begun: float) -> list[int]:
    """Kill the server every `kill_every` seconds; the peak of its memory in each life."""
    peaks, peak, next_kill = [], 0, begun + wanted.kill_every
    while (now := time.monotonic()) < begun + wanted.seconds:
        peak = max(peak, server.rss())
        if now >= next_kill:
            peaks.append(peak)
            server.kill()
            server.start()
            peak, next_kill = 0, max(next_kill, time.monotonic()) + wanted.kill_every
        time.sleep(0.25)
    return [*peaks, peak] if peak else peaks


def _print(
    streams: Sequence[Stream], found: dict[str, Verdict], seconds: float, server: Server, peaks: Sequence[int]
) -> None:
    print(f"{seconds:.0f} s, killed {len(server.start_seconds) - 1} times, ready again after "
          f"{statistics.median(server.start_seconds):.1f} s (longest {max(server.start_seconds):.1f} s)")  # fmt: skip
    print(f"{'':8} {'sent/s':>9} {'acknowl.':>11} {'p50 ms':>7} {'p99 ms':>7} {'503/429':>7} {'lost':>6} "
          f"{'dup. by key':>11} {'twice, sure':>11} {'twice, unsure':>13}")  # fmt: skip
    for each in streams:
        verdict, times = found[each.name], sorted(each.seconds) or [0.0]
        acknowledged = len(each.acknowledged) * each.items
        print(
            f"{each.name:8} {acknowledged / seconds:9,.0f} {acknowledged:11,} {1000 * times[len(times) // 2]:7.0f} "
            f"{1000 * times[int(len(times) * 0.99)]:7.0f} {each.refusals:7} {verdict.lost:6} "
            f"{verdict.duplicates_by_key:11} {verdict.twice_without_reason:11} {verdict.twice:13,}"
        )
    print("peak memory of each life, MB:", " ".join(f"{peak / 1e6:.0f}" for peak in peaks))


def _holds(found: dict[str, Verdict], peaks: Sequence[int]) -> bool:
    settled = peaks[3:]  # a life a minute: those after minute 3
    faults = [
        f"{name}: {what}"
        for name, verdict in found.items()
        for what, count in (
            ("acknowledged items lost", verdict.lost),
            ("keys too many", verdict.duplicates_by_key),
            ("items stored twice though they were sent once", verdict.twice_without_reason),
            ("nothing stored", not verdict.stored),
        )
        if count
    ]
    if max(peaks) > RSS_LIMIT:
        faults.append(f"memory above {RSS_LIMIT / 1e9:g} GB")
    if len(settled) > 2 and max(settled) > RSS_SPREAD * min(settled[:-1]):
        faults.append("memory grows from life to life")
    for fault in faults:
        print("VIOLATED", fault)
    print("holds" if not faults else f"{len(faults)} violations")
    return not faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--kill-every", type=float, default=60)
    parser.add_argument("--spans", type=float, default=75_000, metavar="PER_SECOND")
    parser.add_argument("--records", type=float, default=75_000, metavar="PER_SECOND")
    parser.add_argument("--samples", type=float, default=100_000, metavar="PER_SECOND")
    parser.add_argument("--batch", type=int, default=2000, help="items a body")
    parser.add_argument("--senders", type=int, default=3, help="connections a signal")
    parser.add_argument("--data", type=Path, help="directory to keep (a temporary one)")
    wanted = parser.parse_args()
    if wanted.data:
        return 0 if soak(wanted, wanted.data) else 1
    with tempfile.TemporaryDirectory() as directory:
        return 0 if soak(wanted, Path(directory) / "data") else 1


if __name__ == "__main__":
    os.environ.setdefault("NO_COLOR", "1")
    sys.exit(main())
