"""Debian's Prometheus beside us: started on an empty directory, fed by remote write, asked over HTTP."""

from __future__ import annotations

import json
import os
import shutil
import socket
import struct
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from aiprism.model.histograms import NativeHistogram
from aiprism.model.labels import Labels
from aiprism.query.remote_read import _histogram as written_histogram
from tests.query.promql.stocked import Points, Sample

Json = dict[str, Any]
HINT = "needs Prometheus to compare with: apt-get install prometheus"


def installed() -> bool:
    """True when there is a peer. In CI its absence is an error, elsewhere the tests are skipped."""
    found = shutil.which("prometheus") is not None
    if not found and os.environ.get("CI"):
        pytest.fail(HINT)
    return found


class Peer:
    """A running Prometheus."""

    def __init__(self, url: str) -> None:
        self.url = url

    def write(self, series: Sequence[tuple[Labels, Points]]) -> None:
        """Store samples; sent in the order of time, as it refuses what is much older than the newest it has."""
        slots: dict[int, list[tuple[Labels, Points]]] = {}
        for labels, points in series:
            parts: dict[int, list[tuple[int, Sample]]] = {}
            for ts_ms, value in points:
                parts.setdefault(ts_ms // 600_000, []).append((ts_ms, value))
            for slot, part in parts.items():
                slots.setdefault(slot, []).append((labels, part))
        for _, entries in sorted(slots.items()):
            self.write_body(b"".join(_field(1, _time_series(labels, points)) for labels, points in entries))

    def write_body(self, body: bytes) -> None:
        """Store the WriteRequest `body`."""
        headers = {"Content-Encoding": "snappy", "Content-Type": "application/x-protobuf"}
        self._call("/api/v1/write", _snappy(body), headers)

    def instant(self, query: str, at: float) -> Json:
        """The `data` of an instant query, or {"error": …}."""
        return self._ask("/api/v1/query", query=query, time=at)

    def range(self, query: str, start: float, end: float, step: float, **more: object) -> Json:
        """The `data` of a range query, or {"error": …}."""
        return self._ask("/api/v1/query_range", query=query, start=start, end=end, step=step, **more)

    def _ask(self, path: str, **parameters: object) -> Json:
        answer = json.loads(self._call(path, urllib.parse.urlencode(parameters).encode()))
        found: Json = answer["data"] if answer["status"] == "success" else {"error": answer["error"]}
        return found

    def _call(self, path: str, body: bytes, headers: dict[str, str] | None = None) -> bytes:
        request = urllib.request.Request(self.url + path, data=body, headers=headers or {})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            text = error.read()
            if path == "/api/v1/write":
                raise AssertionError(f"remote write: {error.code} {text.decode()}") from error
            return text


@contextmanager
def running(
    directory: Path, config: str = "global: {evaluation_interval: 1m}\n", flags: Sequence[str] = ()
) -> Iterator[Peer]:
    """A Prometheus with its data in `directory`, and `config` as its file there."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (directory / "prometheus.yml").write_text(config, encoding="utf-8")
    command = [
        "prometheus",
        f"--config.file={directory / 'prometheus.yml'}",
        f"--storage.tsdb.path={directory / 'tsdb'}",
        "--storage.tsdb.retention.time=100y",
        f"--web.listen-address=127.0.0.1:{port}",
        "--web.enable-remote-write-receiver",
        "--log.level=error",
        *flags,
    ]
    with (directory / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _wait_until_ready(f"http://127.0.0.1:{port}", process, directory)
        yield Peer(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait(30)


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], directory: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/-/ready", timeout=5):
                return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"Prometheus does not start: {(directory / 'prometheus.log').read_text()}")


# -- the wire form of a remote write: protobuf, in snappy blocks of literals ---------------------------------------------


def _time_series(labels: Labels, points: Points) -> bytes:
    pairs = (_field(1, _field(1, name.encode()) + _field(2, value.encode())) for name, value in labels.pairs)
    samples = (
        _field(4, written_histogram(ts_ms, value))
        if isinstance(value, NativeHistogram)
        else _field(2, b"\x09" + struct.pack("<d", value) + b"\x10" + _varint(ts_ms))
        for ts_ms, value in points
    )
    return b"".join((*pairs, *samples))


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _snappy(body: bytes) -> bytes:
    parts = [_varint(len(body))]
    for at in range(0, len(body), 65_536):
        piece = body[at : at + 65_536]
        parts.append(b"\xf4" + struct.pack("<H", len(piece) - 1) + piece)
    return b"".join(parts)
