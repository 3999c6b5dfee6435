"""OTLP metrics read where they lie, by machine code: cumulative sums, gauges and histograms of streams met before.

In: the protobuf of an ExportMetricsServiceRequest and the table of known streams. Out: their samples in columns, and what
is left for otlp_metrics.py: points of unknown streams, deltas, exponential histograms, summaries, staleness, new start
times, faults. What is left is put together as a smaller request of the same shape (`rest`). A stream is known by
a 64-bit hash of every byte that names it: resource, scope, metric, attributes, bounds; salted so that nobody can aim.
Importing this module imports numba.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from aiprism.receive import wirebytes
from aiprism.receive.otlppointscan import FORGOTTEN, read
from aiprism.receive.otlpwalk import (
    DATA,
    FULL,
    HEADERS,
    METRIC,
    METRICS,
    OTHER,
    POINTS,
    RESOURCE,
    RESOURCES,
    SCOPE,
    SCOPES,
    TABLES,
    walk,
)
from aiprism.store.batches import description_turns
from aiprism.store.columns import FingerprintTable, Growing

Ints = NDArray[np.int64]

N = TypeVar("N", bound=np.generic)


class Known:
    """The streams met before, by hash: where in `positions` the positions of their series begin, how many they are, and
    the start time of the newest point."""

    def __init__(self) -> None:
        self.table = FingerprintTable()
        self.firsts, self.sizes = Growing(np.int64), Growing(np.int64)
        self.starts = Growing(np.uint64)
        self.positions = Growing(np.int64)

    def __len__(self) -> int:
        return len(self.firsts)

    def put(self, hashes: NDArray[np.uint64], streams: list[tuple[list[int], int]]) -> None:
        """Remember streams, each as the positions of its series and its start time, under distinct hashes."""
        found = self.table.find(hashes)
        for at, (_, start_ns) in zip(found.tolist(), streams, strict=True):
            if at >= 0:
                self.starts.view()[at] = start_ns
        fresh = np.flatnonzero(found < 0)
        first = len(self.firsts)
        for at in fresh.tolist():
            positions, start_ns = streams[at]
            self.firsts.append(len(self.positions))
            self.sizes.append(len(positions))
            self.starts.append(start_ns)
            self.positions.extend(np.array(positions, dtype=np.int64))
        self.table.put(hashes[fresh], np.arange(first, first + len(fresh)))

    def forget_start(self, hashes: NDArray[np.uint64]) -> None:
        """The next points of those streams are to be looked at as if they were the first."""
        found = self.table.find(hashes)
        self.starts.view()[found[found >= 0]] = FORGOTTEN

    def describe_again(self, since: float, now: float) -> None:
        """The next points of streams whose turn has come since then go the way that brings their metadata, too."""
        hashes = self.table.keys[self.table.places >= 0]
        self.forget_start(hashes[description_turns(hashes, now) > description_turns(hashes, since)])


@dataclass(frozen=True, slots=True)
class Scanned:
    """A request. `points` are in the columns; `resources` says for each resource which samples are its (from, to).

    `left` are the points that are left, as (metric, start, end) in the body, and `hashes` their streams', 0 for none.
    """

    points: int
    positions: Ints
    ts_ms: Ints
    values: NDArray[np.float64]
    resources: Ints
    resource_hashes: NDArray[np.uint64]
    left: Ints
    hashes: NDArray[np.uint64]
    exemplars: (
        Ints  # of the points: (where the stream's positions begin, start and end, start and number of the bounds)
    )
    _scopes: Ints  # the resource of each scope
    _metrics: Ints  # the scope and the kind of each metric, and more
    _headers: Ints  # (level, number there, start, end) of every field that is not read here

    def rest(self, body: bytes) -> bytes:
        """What is left, as a request of its own; empty when nothing is."""
        if not len(self.left):
            return b""
        headers = _Headers(body, self._headers)
        resources: dict[int, dict[int, list[bytes]]] = {}
        for metric, points in self._points(body):
            scope, kind = self._metrics[metric, :2].tolist()
            data = wirebytes.field(kind, headers.of(DATA, metric) + points) if kind else b""
            scopes = resources.setdefault(int(self._scopes[scope]), {})
            scopes.setdefault(scope, []).append(wirebytes.field(2, headers.of(METRIC, metric) + data))
        return b"".join(
            wirebytes.field(
                1,
                headers.of(RESOURCE, resource)
                + b"".join(
                    wirebytes.field(2, headers.of(SCOPE, scope) + b"".join(metrics))
                    for scope, metrics in scopes.items()
                ),
            )
            for resource, scopes in resources.items()
        )

    def resource(self, body: bytes, number: int) -> bytes:
        """The ResourceMetrics of that number without what is in it."""
        return _Headers(body, self._headers).of(RESOURCE, number)

    def _points(self, body: bytes) -> Iterator[tuple[int, bytes]]:
        edges = np.flatnonzero(np.diff(self.left[:, 0], prepend=-1, append=-1))
        for start, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            rows = self.left[start:end].tolist()
            yield rows[0][0], b"".join(body[first:last] for _, first, last in rows)


class _Headers:
    """The fields of resources, scopes, metrics and their data that are neither of these."""

    def __init__(self, body: bytes, headers: Ints) -> None:
        self._body = body
        self._levels = [headers[headers[:, 0] == level] for level in range(4)]

    def of(self, level: int, number: int) -> bytes:
        rows = self._levels[level]
        start, end = np.searchsorted(rows[:, 1], (number, number + 1))
        return b"".join(self._body[first:last] for _, _, first, last in rows[start:end].tolist())


def scan(body: bytes, known: Known, salt: int, times: tuple[int, int], *, histograms: bool) -> Scanned | None:
    """What `body` holds; None when it is not well formed, or formed as nobody does.

    Points outside of `times` (Unix nanoseconds, inclusive) are left, and histograms unless `histograms`.
    """
    buf, salted = np.frombuffer(body, dtype=np.uint8), np.uint64(salt)
    around = _Around(room := len(body) // 48 + 64)  # messages take two bytes or more, but hardly ever so few
    while (answer := around.walk(buf, salted)) == FULL:
        around = _Around(room := 8 * room)
    if answer == OTHER:
        return None
    # One block: freed in one piece it stays with the process, three would go back to the system with every body.
    columns = np.empty((3, len(body) // 8 + 16), np.int64)  # a sample takes eight bytes or more
    series, ts_ms, bits = columns[0], columns[1], columns[2].view(np.uint64)
    resources, points = around.rows(around.resources, RESOURCES), around.rows(around.points, POINTS)
    edges, exemplars = np.empty((len(resources), 2), np.int64), np.empty((room, 5), np.int64)
    left, hashes = np.empty((len(points), 3), np.int64), np.empty(len(points), np.uint64)
    earliest, latest = np.uint64(max(1, times[0])), np.uint64(min(times[1], 2**63 - 1))
    while True:
        counts = read(
            buf, salted, resources, points, around.metrics, around.metric_hashes, histograms, earliest, latest,
            known.table.keys, known.table.places, known.firsts.view(), known.sizes.view(), known.starts.view(),
            known.positions.view(), series, ts_ms, bits, edges, left, hashes, exemplars,
        )  # fmt: skip
        if counts[0] != FULL:
            break
        exemplars = np.empty((8 * len(exemplars), 5), np.int64)
    n_points, m, n_left, n_exemplars = counts
    return Scanned(
        points=n_points,
        positions=series[:m],
        ts_ms=ts_ms[:m],
        values=bits[:m].view(np.float64),
        resources=edges,
        resource_hashes=around.rows(around.resource_hashes, RESOURCES),
        left=left[:n_left],
        hashes=hashes[:n_left],
        exemplars=exemplars[:n_exemplars],
        _scopes=around.rows(around.scopes, SCOPES),
        _metrics=around.rows(around.metrics, METRICS),
        _headers=around.rows(around.headers, HEADERS),
    )


class _Around:
    """Room for the messages around the points; see `otlpwalk.walk` for what a row is."""

    def __init__(self, room: int) -> None:
        self.resources, self.resource_hashes = np.empty(room, np.int64), np.empty(room, np.uint64)
        self.scopes = np.empty(room, np.int64)
        self.metrics, self.metric_hashes = np.empty((room, 4), np.int64), np.empty(room, np.uint64)
        self.headers, self.points = np.empty((room, 4), np.int64), np.empty((room, 4), np.int64)
        self.used = np.zeros(TABLES, np.int64)

    def walk(self, buf: NDArray[np.uint8], salt: np.uint64) -> int:
        """Note what is there: an answer of `otlpwalk.walk`."""
        return int(
            walk(
                buf, salt, self.resources, self.resource_hashes, self.scopes, self.metrics, self.metric_hashes,
                self.headers, self.points, self.used,
            )
        )  # fmt: skip

    def rows(self, table: NDArray[N], counted: int) -> NDArray[N]:
        """The rows of a table that are in use."""
        return table[: self.used[counted]]
