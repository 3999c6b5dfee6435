"""Fuzzing of every receiving door of a running server: valid bodies, broken in all ways that occur to a random number.

    python -m bench.fuzz.doors --seconds 600 [--seed N] [--door otlp.traces.json]

Each door has a good request. It is broken (bytes flipped, cut, repeated, put elsewhere; JSON values exchanged; headers that
lie) and sent. What must hold:

* no answer is a 5xx (gRPC: UNKNOWN, INTERNAL), none takes longer than 30 s, the server does not end;
* nothing of a refused request is stored, unless its protocol says that the sound part is;
* the good request is stored afterwards.

What it finds is printed with the seed that makes it again. The test suite runs a bounded form.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import re
import socket
import struct
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import grpc
import httpx
import msgpack
import pyarrow as pa
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from aiprism.receive import prometheus_proto as proto

PROTOBUF, JSON, NDJSON = "application/x-protobuf", "application/json", "application/x-ndjson"
STORED = re.compile(rb'^aiprism_items_passed_total\{stage="store\.(spans|logs|samples)"\} (\S+)$', re.MULTILINE)
SERVICE = "/opentelemetry.proto.collector.{}.v1.{}Service/Export"


@dataclass(frozen=True)
class Request:
    """What is sent to an HTTP door."""

    path: str
    body: bytes
    headers: dict[str, str]


@dataclass(frozen=True)
class Door:
    """One door with a good request; `wrapped` is what its protocol does to a body (snappy), `partial` whether a 4xx may
    leave the sound part stored."""

    name: str
    good: Callable[[], Request]
    wrapped: Callable[[bytes], bytes] = field(default=lambda body: body)
    partial: bool = False


def snappy(body: bytes) -> bytes:
    return bytes(pa.compress(body, codec="snappy", asbytes=True))


# -- good requests ---------------------------------------------------------------------------------------------------------


def traces() -> bytes:
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "fuzz"
    scoped, now = resource.scope_spans.add(), time.time_ns()
    for _ in range(3):
        span = scoped.spans.add(trace_id=os.urandom(16), span_id=os.urandom(8), name="op", kind=2)
        span.start_time_unix_nano, span.end_time_unix_nano = now, now + 1000
        span.attributes.add(key="size").value.int_value = 7
        nested = span.attributes.add(key="nested").value.kvlist_value.values.add(key="a")
        nested.value.array_value.values.add().double_value = 0.5
        span.events.add(time_unix_nano=now, name="event").attributes.add(key="x").value.bool_value = True
        span.links.add(trace_id=os.urandom(16), span_id=os.urandom(8))
    return request.SerializeToString()


def logs() -> bytes:
    request = ExportLogsServiceRequest()
    scoped = request.resource_logs.add().scope_logs.add()
    for at in range(3):
        record = scoped.log_records.add(time_unix_nano=time.time_ns(), severity_number=9 + at, trace_id=os.urandom(16))
        record.body.string_value = f"line {at}"
        record.attributes.add(key="at").value.int_value = at
    return request.SerializeToString()


def metrics() -> bytes:
    request = ExportMetricsServiceRequest()
    added = request.resource_metrics.add().scope_metrics.add().metrics
    now: Any = {"time_unix_nano": time.time_ns(), "start_time_unix_nano": time.time_ns() - 10**9}
    added.add(name="fuzz.gauge").gauge.data_points.add(as_double=1.5, time_unix_nano=now["time_unix_nano"])
    total: Any = added.add(name="fuzz.sum").sum
    total.aggregation_temporality, total.is_monotonic = 2, True
    total.data_points.add(as_int=3, **now).attributes.add(key="code").value.string_value = "200"
    histogram: Any = added.add(name="fuzz.histogram").histogram
    histogram.aggregation_temporality = 2
    histogram.data_points.add(count=3, sum=2.0, bucket_counts=[1, 2], explicit_bounds=[1.0], **now)
    exponential: Any = added.add(name="fuzz.exponential").exponential_histogram
    exponential.aggregation_temporality = 2
    exponential.data_points.add(count=3, sum=2.0, scale=3, **now).positive.bucket_counts.extend([1, 2])
    return request.SerializeToString()


def otlp_json(signal: str) -> bytes:
    now = str(time.time_ns())
    attributes = [{"key": "service.name", "value": {"stringValue": "fuzz"}}]
    span = {"traceId": os.urandom(16).hex(), "spanId": os.urandom(8).hex(), "name": "op", "kind": 2,
            "startTimeUnixNano": now, "endTimeUnixNano": now, "attributes": attributes}  # fmt: skip
    record = {"timeUnixNano": now, "severityNumber": 9, "body": {"stringValue": "line"}, "attributes": attributes}
    point = {"timeUnixNano": now, "asDouble": 1.5, "attributes": attributes}
    documents: dict[str, Any] = {
        "traces": {
            "resourceSpans": [{"resource": {"attributes": attributes}, "scopeSpans": [{"spans": [span, span]}]}]
        },
        "logs": {"resourceLogs": [{"scopeLogs": [{"logRecords": [record, record]}]}]},
        "metrics": {
            "resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "g", "gauge": {"dataPoints": [point]}}]}]}]
        },
    }
    return json.dumps(documents[signal]).encode()


def write1() -> bytes:
    request: Any = proto.WriteRequest()
    for at in range(3):
        series = request.timeseries.add()
        series.labels.add(name="__name__", value="fuzz_total")
        series.labels.add(name="at", value=str(at))
        series.samples.add(timestamp=int(time.time() * 1000), value=at)
        series.exemplars.add(timestamp=int(time.time() * 1000), value=1).labels.add(name="trace_id", value="ab" * 16)
    request.metadata.add(metric_family_name="fuzz_total", type=1, help="help")
    return bytes(request.SerializeToString())


def write2() -> bytes:
    request: Any = proto.Request(symbols=["", "__name__", "fuzz2", "at", "0"])
    series = request.timeseries.add(labels_refs=[1, 2, 3, 4])
    series.samples.add(timestamp=int(time.time() * 1000), value=1)
    histogram = series.histograms.add(timestamp=int(time.time() * 1000), count_int=3, sum=2, schema=0, zero_count_int=1)
    histogram.positive_spans.add(offset=0, length=2)
    histogram.positive_deltas.extend([1, 0])
    return bytes(request.SerializeToString())


def loki_json() -> bytes:
    values = [[str(time.time_ns()), f"line {at}"] for at in range(3)]
    return json.dumps({"streams": [{"stream": {"service": "fuzz"}, "values": values}]}).encode()


def bulk() -> bytes:
    documents = [{"@timestamp": _now(), "message": f"line {at}", "log": {"level": "info"}} for at in range(3)]
    return "".join(f'{{"create": {{}}}}\n{json.dumps(document)}\n' for document in documents).encode()


def zipkin() -> bytes:
    us = time.time_ns() // 1000
    span = {"traceId": os.urandom(16).hex(), "id": os.urandom(8).hex(), "name": "get", "kind": "SERVER", "timestamp": us,
            "duration": 1000, "localEndpoint": {"serviceName": "fuzz", "ipv4": "127.0.0.1"}, "tags": {"a": "b"},
            "annotations": [{"timestamp": us, "value": "x"}]}  # fmt: skip
    return json.dumps([span, {**span, "id": os.urandom(8).hex()}]).encode()


def ndjson() -> bytes:
    return "".join(json.dumps({"time": _now(), "level": "info", "message": f"{at}"}) + "\n" for at in range(3)).encode()


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _posting(path: str, body: Callable[[], bytes], kind: str, **headers: str) -> Callable[[], Request]:
    return lambda: Request(path, body(), {"content-type": kind, **headers})


WRITE2 = f"{PROTOBUF};proto=io.prometheus.write.v2.Request"
HTTP_DOORS = (
    *(Door(f"otlp.{name}.protobuf", _posting(f"/v1/{name}", make, PROTOBUF))
      for name, make in (("traces", traces), ("logs", logs), ("metrics", metrics))),
    *(Door(f"otlp.{name}.json", _posting(f"/v1/{name}", lambda name=name: otlp_json(name), JSON))  # type: ignore[misc]
      for name in ("traces", "logs", "metrics")),
    Door("remote_write.1", _posting("/api/v1/write", write1, PROTOBUF, **{"content-encoding": "snappy"}), snappy, True),
    Door("remote_write.2", _posting("/api/v1/write", write2, WRITE2, **{"content-encoding": "snappy"}), snappy, True),
    Door("loki.json", _posting("/loki/api/v1/push", loki_json, JSON), partial=True),
    Door("elastic.bulk", _posting("/logs/_bulk", bulk, NDJSON)),
    Door("zipkin", _posting("/api/v2/spans", zipkin, JSON)),
    Door("ndjson", _posting("/aiprism/v1/ingest/ndjson", ndjson, NDJSON)),
)  # fmt: skip
GRPC_DOORS = (
    ("grpc.traces", SERVICE.format("trace", "Trace"), traces),
    ("grpc.logs", SERVICE.format("logs", "Logs"), logs),
    ("grpc.metrics", SERVICE.format("metrics", "Metrics"), metrics),
)
GRPC_ANSWERS = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED}


# -- breaking --------------------------------------------------------------------------------------------------------------


def broken(body: bytes, chance: random.Random) -> bytes:
    """`body` after one to four edits."""
    for _ in range(chance.randint(1, 4)):
        body = chance.choice(_EDITS)(body, chance)
    return body


def _flip(body: bytes, chance: random.Random) -> bytes:
    changed = bytearray(body or b"\0")
    for _ in range(chance.choice((1, 1, 1, 8))):
        changed[chance.randrange(len(changed))] = chance.choice((0, 0x7F, 0x80, 0xFF, chance.randrange(256)))
    return bytes(changed)


def _cut(body: bytes, chance: random.Random) -> bytes:
    start, end = sorted(chance.randint(0, len(body)) for _ in range(2))
    return chance.choice((body[:start], body[start:], body[:start] + body[end:]))


def _insert(body: bytes, chance: random.Random) -> bytes:
    at = chance.randint(0, len(body))
    what = chance.choice(
        (chance.randbytes(4), b"\xff" * 11, b"\0" * 40, b"\x0b" * 200, struct.pack("<Q", 2**63), body[:99])
    )
    return body[:at] + what + body[at:]


def _double(body: bytes, chance: random.Random) -> bytes:
    return (body * chance.choice((2, 3, 20)))[: 2**20]


def _json_value(body: bytes, chance: random.Random) -> bytes:
    """One value of a JSON document exchanged; documents on lines are done one by one."""
    lines = body.split(b"\n") if body.count(b"\n") > 1 else [body]
    at = chance.randrange(len(lines))
    try:
        lines[at] = json.dumps(_exchanged(json.loads(lines[at]), chance)).encode("utf-8", "surrogatepass")
    except (ValueError, RecursionError):
        return _flip(body, chance)
    return b"\n".join(lines)


def _exchanged(value: Any, chance: random.Random) -> Any:
    if isinstance(value, dict) and value and chance.random() < 0.85:
        key = chance.choice(sorted(value))
        if chance.random() < 0.1:
            return {**value, chance.choice(("", "\0", "k" * 5000, "__name__")): value[key]}
        return {**value, key: _exchanged(value[key], chance)}
    if isinstance(value, list) and value and chance.random() < 0.85:
        at = chance.randrange(len(value))
        return [*value[:at], _exchanged(value[at], chance), *value[at + 1 :]]
    return chance.choice(_STRANGE)(chance)


def _deep(chance: random.Random) -> Any:
    value: Any = 1
    for _ in range(chance.choice((10, 90, 300))):
        value = chance.choice(([value], {"a": value}))
    return value


_STRANGE: Sequence[Callable[[random.Random], Any]] = (
    lambda chance: None, lambda chance: True, lambda chance: -1, lambda chance: 2**64, lambda chance: 10**400,
    lambda chance: 1e308, lambda chance: float("nan"), lambda chance: "", lambda chance: "\0", lambda chance: "\ud800",
    lambda chance: "9" * 400, lambda chance: "-1", lambda chance: "é" * 3000, lambda chance: [], lambda chance: {},
    lambda chance: [[]], lambda chance: {"stringValue": 1}, lambda chance: {"a": {"b": None}}, _deep,
    lambda chance: "2026-02-30T25:61:61Z", lambda chance: "1e999", lambda chance: chance.randint(-(2**70), 2**70),
)  # fmt: skip
_EDITS = (_flip, _flip, _cut, _insert, _double, _json_value, _json_value)


def requests_of(door: Door, chance: random.Random) -> Request:
    """The good request of `door`, broken."""
    good = door.good()
    if chance.random() < 0.2:
        body = broken(door.wrapped(good.body), chance)
    else:
        body = door.wrapped(broken(good.body, chance) if chance.random() < 0.9 else good.body)
    request = replace(good, body=body)
    return _lying(request, chance) if chance.random() < 0.25 else request


def _lying(request: Request, chance: random.Random) -> Request:
    pack = chance.choice(("gzip", "deflate", "zstd", "snappy", "br", "identity", "gzip, gzip", "\x7f"))
    packers: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "deflate": zlib.compress, "snappy": snappy}
    body = packers.get(pack, bytes)(request.body)
    headers = dict(request.headers)
    match chance.randrange(5):
        case 0:
            headers["content-encoding"] = pack
            return Request(request.path, body, headers)
        case 1:
            headers["content-encoding"] = pack
        case 2:
            headers["content-type"] = chance.choice(
                (PROTOBUF, JSON, "text/plain", "", "a/b; proto=x", "application/json; charset=utf-7")
            )
        case 3:
            headers[chance.choice(("accept", "x-scope-orgid", "authorization", "traceparent"))] = chance.choice(
                ("é", "x" * 4000, "")
            )
        case 4:
            return Request(
                request.path + chance.choice(("?pretty", "?service=%00", "/", "?a=%ff", "//", "%00")), body, headers
            )
    return Request(request.path, request.body, headers)


# -- sending ---------------------------------------------------------------------------------------------------------------


class Violation(AssertionError):
    """What must hold does not."""


class Target:
    """A running server. `alive()` says whether it is."""

    def __init__(self, url: str, grpc_address: str, alive: Callable[[], bool]) -> None:
        self._client = httpx.Client(base_url=url, timeout=30)
        # What is broken may cost its connection, which the next request must not notice.
        self._once = httpx.Client(base_url=url, timeout=30, limits=httpx.Limits(max_keepalive_connections=0))
        self._channel = grpc.insecure_channel(grpc_address) if grpc_address else None
        self._alive = alive

    def close(self) -> None:
        self._client.close()
        self._once.close()
        if self._channel:
            self._channel.close()

    def stored(self) -> Counter[str]:
        """How many items of each kind are stored so far."""
        found = STORED.findall(self._client.get("/metrics").content)
        return Counter({kind.decode(): int(float(count)) for kind, count in found})

    def settle(self) -> None:
        """Return once nothing more is stored: what a door without answers was told is stored some time later."""
        before, after = Counter[str]({"": 1}), self.stored()
        while after != before:
            time.sleep(1)
            before, after = after, self.stored()

    def post(self, request: Request) -> httpx.Response:
        headers = [(name.encode(), value.encode("utf-8")) for name, value in request.headers.items()]
        try:
            return self._once.post(request.path, content=request.body, headers=headers)
        except httpx.InvalidURL:
            return httpx.Response(400)
        except httpx.HTTPError as error:
            raise Violation(f"{request.path}: {error!r}, the server is {'up' if self._alive() else 'gone'}") from error

    def try_broken(self, door: Door, chance: random.Random) -> int:
        """Send a broken request; the status. Violation when it is answered or stored as it must not be."""
        request, before = requests_of(door, chance), self.stored()
        answer = self.post(request)
        if answer.status_code >= 500:
            raise Violation(f"{door.name}: {answer.status_code} {answer.text[:300]!r} to {request}")
        if answer.status_code >= 400 and not door.partial and (more := self.stored() - before):
            raise Violation(f"{door.name}: refused with {answer.status_code} and yet {dict(more)} stored of {request}")
        return answer.status_code

    def try_good(self, door: Door) -> None:
        """Send the good request; Violation when it is not stored."""
        request, before = door.good(), self.stored()
        answer = self.post(replace(request, body=door.wrapped(request.body)))
        if not answer.is_success:
            raise Violation(f"{door.name}: the good request got {answer.status_code} {answer.text[:300]!r}")
        if not (self.stored() - before):
            raise Violation(f"{door.name}: the good request was acknowledged and not stored")

    def call(self, method: str, body: bytes) -> grpc.StatusCode:
        assert self._channel
        try:
            self._channel.unary_unary(method, None, None)(body, timeout=30)
        except grpc.RpcError as error:
            code: grpc.StatusCode = error.code()
            return code
        return grpc.StatusCode.OK

    def try_broken_call(self, name: str, method: str, body: bytes) -> grpc.StatusCode:
        """Send a broken gRPC message; Violation when it is answered or stored as it must not be."""
        before, code = self.stored(), self.call(method, body)
        if code is not grpc.StatusCode.OK and code not in GRPC_ANSWERS:
            raise Violation(f"{name}: {code} to {body!r}")
        if code is not grpc.StatusCode.OK and (more := self.stored() - before):
            raise Violation(f"{name}: refused with {code} and yet {dict(more)} stored of {body!r}")
        return code

    def try_good_call(self, name: str, method: str, body: bytes) -> None:
        """Send the good message; Violation when it is not stored."""
        before, code = self.stored(), self.call(method, body)
        if code is not grpc.StatusCode.OK or not (self.stored() - before):
            raise Violation(f"{name}: the good message got {code} or was not stored")


# -- doors without answers ---------------------------------------------------------------------------------------------------


def syslog_frames() -> bytes:
    line = f'<13>1 {_now()} host app 7 ID [x@1 a="b"] message\n'
    octets = f"<13>1 {_now()} host app 7 ID - counted".encode()
    return (
        line.encode()
        + b"%d %b" % (len(octets), octets)
        + f"<13>{time.strftime('%b %d %H:%M:%S')} host app: old\n".encode()
    )


def fluent_chunk() -> bytes:
    now = int(time.time())
    one = msgpack.packb(["tag", now, {"message": "one", "level": "info"}])
    forward = msgpack.packb(["tag", [[now, {"message": "two"}], [now, {"message": "three", "n": {"a": [1, None]}}]]])
    entries = msgpack.packb([now, {"message": "four"}])
    return bytes(one + forward + msgpack.packb(["tag", entries, {"size": 1}]))


def talk(address: tuple[str, int], body: bytes, *, datagram: bool = False) -> None:
    """Say `body` to a door that need not answer, and hang up."""
    kind = socket.SOCK_DGRAM if datagram else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as connection:
        connection.settimeout(30)
        connection.connect(address)
        try:
            connection.sendall(body[:60_000] if datagram else body)
            if not datagram:
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65_536):
                    pass
        except (ConnectionError, BrokenPipeError):
            return  # hung up on: its right


# -- the long form -----------------------------------------------------------------------------------------------------------


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    parser.add_argument("--door", default="", help="only doors whose name holds this")
    wanted = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from tests.journeys.conftest import Server  # the server as the journeys start it

    print(f"seed {wanted.seed}")
    with tempfile.TemporaryDirectory() as directory:
        config = Path(directory) / "aiprism.yml"
        config.write_text(CONFIG, encoding="utf-8")
        server = Server(Path(directory) / "data", config).start(by_command=True)
        target = Target(server.url, server.grpc, server.is_running)
        try:
            found = _run(target, server.doors, wanted)
        finally:
            target.close()
            server.stop()
        failed = [line for line in server.log if "Traceback" in line or "web.failed" in line]
    for line in [*found, *failed]:
        print("VIOLATED", line[:1000])
    return 1 if found or failed else 0


CONFIG = """
server: {syslog_udp: '127.0.0.1:0', syslog_tcp: '127.0.0.1:0', fluent: '127.0.0.1:0'}
ingest: {linger: 10ms}
"""


def _run(target: Target, streams: dict[str, tuple[str, int]], wanted: argparse.Namespace) -> list[str]:
    until, statuses, found = time.monotonic() + wanted.seconds, Counter[str](), list[str]()
    doors = [door for door in HTTP_DOORS if wanted.door in door.name]
    calls = [call for call in GRPC_DOORS if wanted.door in call[0]]
    talks = [(name, good) for name, good in TALKS if name in streams and wanted.door in name]
    for at in range(2**40):
        if time.monotonic() > until or len(found) > 20:
            break
        chance = random.Random(wanted.seed + at)
        try:
            for door in doors:
                statuses[f"{door.name} {target.try_broken(door, chance)}"] += 1
            for name, method, good in calls:
                statuses[f"{name} {target.try_broken_call(name, method, broken(good(), chance)).name}"] += 1
            if at % 50 == 0:
                for name, said in talks * 20:
                    talk(streams[name], broken(said(), chance), datagram="udp" in name)
                target.settle()
                for door in doors:
                    target.try_good(door)
                for name, method, good in calls:
                    target.try_good_call(name, method, good())
        except Violation as violation:
            found.append(f"seed {wanted.seed + at}: {violation}")
    for name, count in sorted(statuses.items()):
        print(f"{count:8} {name}")
    return found


TALKS = (("syslog tcp", syslog_frames), ("syslog udp", syslog_frames), ("fluent", fluent_chunk))

if __name__ == "__main__":
    sys.exit(main())
