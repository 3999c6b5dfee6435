"""What a log record or span costs at each door, beside plain parsing of the same bytes.

    python bench/ingest/doors.py [--records 50000] [--batch 2000]

Each record has a body of 200 bytes and 5 attributes. Two columns of CPU time per record:

    decode   the door's decoder alone, from the bytes as sent (decompressed) to the request that the store takes
    server   a whole `aiprism serve` in a process of its own: protocol, decoding, INSERT and background work, until the
             last record is acknowledged (for syslog: stored)

`reference` is json.loads, msgpack.unpackb or bytes.split of the same bytes, in this process: what a program pays that does
nothing with a record. CPU seconds, not wall-clock, so that whatever else the machine does counts little; `wall/s` is
records per second as they went, with the sender on the same machine.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path

import httpx
import msgpack
import orjson
import psutil
import pyarrow as pa
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from aiprism.receive import elastic_bulk, fluent, loki_push, ndjson, otlp, syslog_server, zipkin
from aiprism.receive.fluent import Chunk
from aiprism.receive.loglines import Line, LogLines, Severity
from aiprism.receive.syslog import Frames
from aiprism.receive.syslog_server import Packet

LINE = (
    '10.0.0.7 "GET /api/v1/documents/4711/sections?limit=50 HTTP/1.1" 200 5123 "Mozilla/5.0 (X11; Linux x86_64)" '
    "took 12 ms of which 3 ms waiting for the database, 7 sections from cache, 2 read again"
).ljust(200, ".")
FIELDS: dict[str, str | int] = {
    "http.method": "GET",
    "http.status": 200,
    "path": "/documents",
    "user": "u-17",
    "region": "eu",
}
_DEADLINE = 120


@dataclass(frozen=True)
class Door:
    """How a door's bytes look and are read. `send` brings one body to a server, `parse` is the reference."""

    name: str
    body: bytes
    decode: Callable[[bytes], otlp.Accepted]
    parse: Callable[[bytes], object]
    path: str = ""
    kind: str = "application/json"
    sent: Callable[[bytes], bytes] = bytes


@dataclass(frozen=True)
class Server:
    """A running server: its addresses and its process."""

    url: str
    syslog: tuple[str, int]
    fluent: tuple[str, int]
    process: psutil.Process

    def cpu(self) -> float:
        """CPU seconds it has used."""
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def stored(self, table: str) -> float:
        """How many records or spans it has stored."""
        found = re.search(
            rf'aiprism_items_passed_total{{stage="store.{table}"}} (\S+)', httpx.get(f"{self.url}/metrics").text
        )
        return float(found[1]) if found else 0.0


def doors(batch: int, now_ns: int) -> list[Door]:
    """Every door with a body of `batch` records."""
    times = [now_ns - (batch - n) * 1000 for n in range(batch)]
    stream = {"service_name": "web", "level": "info"}
    texts = {key: str(value) for key, value in FIELDS.items()}
    loki = {"streams": [{"stream": stream, "values": [[str(time), LINE, texts] for time in times]}]}
    documents = [
        {"@timestamp": time // 1_000_000, "message": LINE, "log.level": "info", "service.name": "web", **FIELDS}
        for time in times
    ]
    lines = b"".join(orjson.dumps(document) + b"\n" for document in documents)
    action = b'{"create":{"_index":"logs-web-prod"}}\n'
    entries = b"".join(
        msgpack.packb([time // 1_000_000_000, {"message": LINE, "level": "info", "service": "web", **FIELDS}])
        for time in times
    )
    sd = "".join(f' {key}="{value}"' for key, value in FIELDS.items())
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S.000001Z", time.gmtime(now_ns / 1e9))
    message = f"<14>1 {stamp} web-1 web 4711 REQ [http@1{sd}] {LINE}".encode()
    ids = count()
    spans = [
        {"traceId": f"{time:032x}", "id": f"{time:016x}", "name": "get /documents", "kind": "SERVER", "timestamp": time // 1000,
         "duration": 1500, "localEndpoint": {"serviceName": "web"}, "tags": texts}
        for time in times
    ]  # fmt: skip
    split = partial(bytes.split, sep=b"\n")
    return [
        Door("otlp (reference)", _otlp(times), otlp.logs, ExportLogsServiceRequest.FromString, "/v1/logs",
             "application/x-protobuf"),
        Door("loki json", orjson.dumps(loki), partial(loki_push.push, now_ns=now_ns, is_json=True), json.loads,
             "/loki/api/v1/push"),
        Door("loki protobuf", _loki(times, texts), partial(loki_push.push, now_ns=now_ns, is_json=False),
             loki_push._PushRequest.FromString, "/loki/api/v1/push", "application/x-protobuf", _snappy),
        Door("elasticsearch", b"".join(action + line + b"\n" for line in lines.splitlines()),
             partial(elastic_bulk.bulk, now_ns=now_ns, new_id=lambda: str(next(ids))), _json_lines, "/_bulk"),
        Door("ndjson", lines, partial(ndjson.records, now_ns=now_ns), _json_lines, "/aiprism/v1/ingest/ndjson"),
        Door("fluent", entries, lambda body: fluent.records([Chunk("web", body, len(body))], now_ns), _msgpack_stream),
        Door("syslog", (message + b"\n") * batch, partial(_syslog, now_ns=now_ns), split),
        Door("zipkin spans", orjson.dumps(spans), partial(zipkin.spans, now_ns=now_ns), json.loads, "/api/v2/spans"),
    ]  # fmt: skip


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--records", type=int, default=50_000)
    options.add_argument("--batch", type=int, default=2_000)
    asked = options.parse_args()
    print(f"{'door':<18}{'decode µs':>11}{'reference µs':>14}{'ratio':>7}{'server µs':>11}{'wall/s':>10}")
    for door in doors(asked.batch, time.time_ns()):
        repeats = max(1, asked.records // asked.batch)
        decode = _cpu_each(lambda door=door: door.decode(door.body), repeats) / asked.batch * 1e6  # type: ignore[misc]
        parse = _cpu_each(lambda door=door: door.parse(door.body), repeats) / asked.batch * 1e6  # type: ignore[misc]
        with served() as server:
            cpu, wall = _through(server, door, asked.batch, repeats)
        total = repeats * asked.batch
        ratio = decode / parse
        print(
            f"{door.name:<18}{decode:>11.2f}{parse:>14.2f}{ratio:>7.1f}{cpu / total * 1e6:>11.2f}{total / wall:>10,.0f}",
            flush=True,
        )


# -- through a server ------------------------------------------------------------------------------------------------


def _through(server: Server, door: Door, batch: int, repeats: int) -> tuple[float, float]:
    """(CPU seconds of the server, wall seconds) until `repeats` bodies of `door` are stored."""
    table = "spans" if "spans" in door.name else "logs"
    _send(server, door, batch, 1)  # what happens once in the life of a server is not counted
    _until(lambda: server.stored(table) >= batch)
    cpu, started = server.cpu(), time.monotonic()
    _send(server, door, batch, repeats)
    _until(lambda: server.stored(table) >= batch * (repeats + 1))
    return server.cpu() - cpu, time.monotonic() - started


def _send(server: Server, door: Door, batch: int, repeats: int) -> None:
    if door.path:
        body, headers = door.sent(door.body), {"Content-Type": door.kind}
        with httpx.Client(timeout=60) as client:
            for _ in range(repeats):
                client.post(server.url + door.path, content=body, headers=headers).raise_for_status()
        return
    address = server.fluent if door.name == "fluent" else server.syslog
    body = msgpack.packb(["web", door.body, {"size": batch}]) if door.name == "fluent" else door.body
    with socket.create_connection(address) as connection:
        for _ in range(repeats):
            connection.sendall(body)


@contextmanager
def served() -> Iterator[Server]:
    """A server with an empty data directory and every door open."""
    with tempfile.TemporaryDirectory() as place:
        environ = {**os.environ, "AIPRISM_SERVER_SYSLOG_TCP": "127.0.0.1:0", "AIPRISM_SERVER_FLUENT": "127.0.0.1:0"}
        nowhere = ["--listen", "127.0.0.1:0", "--otlp-http", "", "--otlp-grpc", ""]
        command = [sys.executable, "-m", "aiprism", "serve", "--data", str(Path(place) / "data"), *nowhere]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environ)
        try:
            assert process.stdout
            said = ""
            while "aiprism ready" not in said:
                line = process.stdout.readline()
                assert line, "the server ended before it was ready"
                said += line
            yield Server(
                re.findall(r"aiprism ready (\S+)", said)[0],
                _address(said, "syslog tcp"),
                _address(said, "fluent"),
                psutil.Process(process.pid),
            )
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=30)


def _address(said: str, door: str) -> tuple[str, int]:
    host, port = re.findall(rf"{door} (\S+):(\d+)", said)[0]
    return host, int(port)


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _DEADLINE
    while not condition():
        assert time.monotonic() < deadline, "the records were not stored in time"
        time.sleep(0.05)


def _cpu_each(work: Callable[[], object], repeats: int) -> float:
    work()
    started = time.process_time()
    for _ in range(repeats):
        work()
    return (time.process_time() - started) / repeats


# -- bodies ----------------------------------------------------------------------------------------------------------


def _otlp(times: Sequence[int]) -> bytes:
    lines = LogLines(times[-1])
    for each in times:
        lines.add((("service.name", "web"),), Line(LINE, each, Severity(9, "info"), FIELDS.items()))
    return lines.accepted().body


def _loki(times: Sequence[int], metadata: dict[str, str]) -> bytes:
    request = loki_push._PushRequest()
    stream = request.streams.add(labels=b'{service_name="web", level="info"}')
    for each in times:
        entry = stream.entries.add(line=LINE.encode())
        entry.timestamp.seconds, entry.timestamp.nanos = divmod(each, 10**9)
        for name, value in metadata.items():
            entry.metadata.add(name=name.encode(), value=value.encode())
    return bytes(request.SerializeToString())


def _snappy(body: bytes) -> bytes:
    return bytes(pa.Codec("snappy").compress(body, asbytes=True))


def _json_lines(body: bytes) -> object:
    return [json.loads(line) for line in body.splitlines()]


def _msgpack_stream(body: bytes) -> object:
    unpacker = msgpack.Unpacker(max_buffer_size=len(body))
    unpacker.feed(body)
    return list(unpacker)


def _syslog(body: bytes, now_ns: int) -> otlp.Accepted:
    return syslog_server.records([Packet("127.0.0.1", Frames(65_536).feed(body))], now_ns, None)


if __name__ == "__main__":
    main()
