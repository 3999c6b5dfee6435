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

import numpy as np
from numpy.typing import NDArray

from aiprism.receive import wirebytes
from aiprism.receive.bytehash import finished, hashed, mixed, multiplier, position
from aiprism.store.batches import description_turns
from aiprism.store.columns import FingerprintTable, Growing
from aiprism.store.wire import field, fixed64, kernel

Ints = NDArray[np.int64]

_FULL, _OTHER = -1, -2  # answers of a scan instead of counts: more room, and "not for this code"
_RESOURCE, _SCOPE, _METRIC, _DATA = range(4)  # whose fields a header is
_GAUGE, _SUM, _HISTOGRAM = 5, 7, 9  # fields of Metric
_CUMULATIVE = 2
_FORGOTTEN = np.uint64(2**64 - 1)  # start time of a stream whose next point is looked at as if it were the first
_NO_STREAM = 0  # hash of a point that is no known kind of stream


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
        self.starts.view()[found[found >= 0]] = _FORGOTTEN

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
    _metrics: Ints  # the scope and the kind of each metric
    _headers: Ints  # (level, number there, start, end) of every field that is not read here

    def rest(self, body: bytes) -> bytes:
        """What is left, as a request of its own; empty when nothing is."""
        if not len(self.left):
            return b""
        headers = _Headers(body, self._headers)
        resources: dict[int, dict[int, list[bytes]]] = {}
        for metric, points in self._points(body):
            scope, kind = self._metrics[metric].tolist()
            data = wirebytes.field(kind, headers.of(_DATA, metric) + points) if kind else b""
            scopes = resources.setdefault(int(self._scopes[scope]), {})
            scopes.setdefault(scope, []).append(wirebytes.field(2, headers.of(_METRIC, metric) + data))
        return b"".join(
            wirebytes.field(
                1,
                headers.of(_RESOURCE, resource)
                + b"".join(
                    wirebytes.field(2, headers.of(_SCOPE, scope) + b"".join(metrics))
                    for scope, metrics in scopes.items()
                ),
            )
            for resource, scopes in resources.items()
        )

    def resource(self, body: bytes, number: int) -> bytes:
        """The ResourceMetrics of that number without what is in it."""
        return _Headers(body, self._headers).of(_RESOURCE, number)

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
    earliest, latest = np.uint64(max(1, times[0])), np.uint64(min(times[1], 2**63 - 1))
    buf = np.frombuffer(body, dtype=np.uint8)
    # A sample takes eight bytes or more; the others two, but hardly ever.
    samples, room = len(body) // 8 + 16, len(body) // 16 + 64
    positions, ts_ms, bits = np.empty(samples, np.int64), np.empty(samples, np.int64), np.empty(samples, np.uint64)
    while True:
        resources, hashes_of = np.empty((room, 2), np.int64), np.empty(room, np.uint64)
        scopes, metrics, headers = (np.empty(shape, np.int64) for shape in (room, (room, 2), (room, 4)))
        left, hashes = np.empty((room, 3), np.int64), np.empty(room, np.uint64)
        exemplars = np.empty((room, 5), np.int64)
        counts = _scan(
            buf, np.uint64(salt), known.table.keys, known.table.places, known.firsts.view(), known.sizes.view(),
            known.starts.view(), known.positions.view(), earliest, latest, histograms, positions, ts_ms, bits,
            resources, hashes_of, scopes, metrics, headers, left, hashes, exemplars,
        )  # fmt: skip
        if counts[0] != _FULL:
            break
        room *= 8
    if counts[0] == _OTHER:
        return None
    points, m, n_resources, n_scopes, n_metrics, n_headers, n_left, n_exemplars = counts
    return Scanned(
        points, positions[:m], ts_ms[:m], bits[:m].view(np.float64), resources[:n_resources], hashes_of[:n_resources],
        left[:n_left], hashes[:n_left], exemplars[:n_exemplars], scopes[:n_scopes], metrics[:n_metrics],
        headers[:n_headers],
    )  # fmt: skip


# -- compiled ------------------------------------------------------------------------------------------------------------


@kernel
def _header(buf, at, end, child, state, by, headers, n, level, number):
    """Stir every field but the repeated message `child` (a tag) into `state`, and note it. (state, headers or an answer)."""
    while at < end:
        start = at
        tag, _, _, at = field(buf, at, end)
        if at < 0:
            return state, _OTHER
        if tag == child:
            continue
        if n == len(headers):
            return state, _FULL
        headers[n, 0], headers[n, 1], headers[n, 2], headers[n, 3] = level, number, start, at
        n += 1
        state = hashed(buf, start, at, state, by)
    return state, n


@kernel
def _metric_header(buf, at, end, state, by, headers, n, number):
    """As `_header`, of a Metric: (state, headers or an answer, kind, start and end of its data)."""
    kind, first, last = 0, 0, 0
    while at < end:
        start = at
        tag, _, content, at = field(buf, at, end)
        if at < 0:
            return state, _OTHER, 0, 0, 0
        if tag == 42 or tag == 58 or tag == 74 or tag == 82 or tag == 90:
            if kind:
                return state, _OTHER, 0, 0, 0  # two of a oneof are merged: legal, and never seen
            kind, first, last = tag >> 3, content, at
            continue
        if n == len(headers):
            return state, _FULL, 0, 0, 0
        headers[n, 0], headers[n, 1], headers[n, 2], headers[n, 3] = _METRIC, number, start, at
        n += 1
        state = hashed(buf, start, at, state, by)
    return mixed(state, np.uint64(kind), by), n, kind, first, last


@kernel
def _data_header(buf, at, end, state, by, headers, n, number):
    """As `_header`, of the data of a metric: (state, headers or an answer, temporality, is monotonic)."""
    temporality, monotonic = np.uint64(0), np.uint64(0)
    while at < end:
        start = at
        tag, value, _, at = field(buf, at, end)
        if at < 0:
            return state, _OTHER, temporality, monotonic
        if tag == 10:
            continue
        if tag == 16:
            temporality = value
        elif tag == 24:
            monotonic = value
        if n == len(headers):
            return state, _FULL, temporality, monotonic
        headers[n, 0], headers[n, 1], headers[n, 2], headers[n, 3] = _DATA, number, start, at
        n += 1
        state = hashed(buf, start, at, state, by)
    return state, n, temporality, monotonic


@kernel
def _number(buf, at, end, state, by):
    """A NumberDataPoint: (state or 0 when it is nothing for this code, start, time, bits of the value, plain)."""
    begun, time, bits = np.uint64(0), np.uint64(0), np.uint64(0)
    plain, valued = True, False
    while at < end:
        first = at
        tag, value, start, at = field(buf, at, end)
        if at < 0:
            return np.uint64(0), begun, time, bits, False
        if tag == 58:
            state = hashed(buf, first, at, state, by)
        elif tag == 25:
            time = fixed64(buf, start)
        elif tag == 49:
            bits = np.float64(np.int64(fixed64(buf, start))).view(np.uint64)
            valued = True
        elif tag == 33:
            bits = fixed64(buf, start)
            valued = True
        elif tag == 17:
            begun = fixed64(buf, start)
        elif tag == 64:
            if value != 0:
                return np.uint64(0), begun, time, bits, False
        elif tag != 42:  # exemplars are noted later; of anything else this code has not heard
            plain = False
    return finished(state), begun, time, bits, plain and valued


@kernel
def _histogram(buf, at, end, state, by):
    """A HistogramDataPoint: (state or 0, start, time, count, bits of the sum, has a sum, start of the counts, how many,
    start of the bounds, plain)."""
    begun, time, count, total = np.uint64(0), np.uint64(0), np.uint64(0), np.uint64(0)
    plain, summed = True, False
    counts, n_counts, bounds, n_bounds, infinite = 0, 0, 0, 0, False
    nothing = np.uint64(0), begun, time, count, total, False, 0, 0, 0, False
    while at < end:
        first = at
        tag, value, start, at = field(buf, at, end)
        if at < 0:
            return nothing
        if tag == 74:
            state = hashed(buf, first, at, state, by)
        elif tag == 17:
            begun = fixed64(buf, start)
        elif tag == 25:
            time = fixed64(buf, start)
        elif tag == 33:
            count = fixed64(buf, start)
        elif tag == 41:
            total = fixed64(buf, start)
            summed = True
        elif tag == 50:
            if n_counts or (at - start) % 8:
                return nothing
            counts, n_counts = start, (at - start) // 8
        elif tag == 58:
            state = hashed(buf, first, at, state, by)
            if n_bounds or (at - start) % 8 or at == start:
                return nothing
            bounds, n_bounds = start, (at - start) // 8
            infinite = fixed64(buf, at - 8) == np.uint64(0x7FF0000000000000)
        elif tag == 80:
            if value != 0:
                return nothing
        elif (
            tag != 66 and tag != 89 and tag != 97
        ):  # exemplars are noted later; min and max have no place in Prometheus
            plain = False
    if n_counts != n_bounds + 1 or infinite:
        return nothing
    state = mixed(state, np.uint64(1 if summed else 2), by)
    return finished(state), begun, time, count, total, summed, counts, n_counts, bounds, plain


@kernel
def _note_exemplars(buf, at, end, wanted, exemplars, n, first, bounds, n_bounds):
    """Note each exemplar (a field `wanted`) of a point that is well formed. How many are noted, or an answer."""
    while at < end:
        tag, _, start, at = field(buf, at, end)
        if tag == wanted:
            if n == len(exemplars):
                return _FULL
            exemplars[n, 0], exemplars[n, 1], exemplars[n, 2] = first, start, at
            exemplars[n, 3], exemplars[n, 4] = bounds, n_bounds
            n += 1
    return n


@kernel
def _buckets(buf, counts, n_counts, count, total, summed, firsts, series, ts_ms, bits, m, stream, positions):
    """Write a histogram from row m on: buckets up to each bound, count, sum. The row after it, -1 when it does not add up."""
    so_far = np.uint64(0)
    first = firsts[stream]
    for bucket in range(n_counts):
        so_far += fixed64(buf, counts + 8 * bucket)
        series[m + bucket] = positions[first + bucket]
        bits[m + bucket] = np.float64(so_far).view(np.uint64)
    if so_far != count:
        return -1
    series[m + n_counts] = positions[first + n_counts]
    bits[m + n_counts] = np.float64(count).view(np.uint64)
    size = n_counts + 1
    if summed:
        series[m + size] = positions[first + size]
        bits[m + size] = total
        size += 1
    return m + size


@kernel
def _scan(
    buf, salt, keys, places, firsts, sizes, starts, positions, earliest, latest, histograms,
    series, ts_ms, bits, resources, resource_hashes, scopes, metrics, headers, left, hashes, exemplars,
):  # fmt: skip
    """(points, samples, resources, scopes, metrics, headers, points left, exemplars) found, or an answer in the first place."""
    m, points, n_resources, n_scopes, n_metrics, n_headers, n_left, n_exemplars = 0, 0, 0, 0, 0, 0, 0, 0
    full = _FULL, 0, 0, 0, 0, 0, 0, 0
    other = _OTHER, 0, 0, 0, 0, 0, 0, 0
    at, size = 0, len(buf)
    by = multiplier(salt)
    while at < size:
        tag, _, at, resource_end = field(buf, at, size)
        if resource_end < 0 or tag != 10:
            return other
        if n_resources == len(resources):
            return full
        of_resource, n_headers = _header(buf, at, resource_end, 18, salt, by, headers, n_headers, 0, n_resources)
        if n_headers < 0:
            return n_headers, 0, 0, 0, 0, 0, 0, 0
        resources[n_resources, 0] = m
        resource_hashes[n_resources] = finished(of_resource)
        while at < resource_end:
            tag, _, start_of, scope_end = field(buf, at, resource_end)
            if tag != 18:
                at = scope_end
                continue
            at = start_of
            if n_scopes == len(scopes):
                return full
            scopes[n_scopes] = n_resources
            of_scope, n_headers = _header(buf, at, scope_end, 18, of_resource, by, headers, n_headers, 1, n_scopes)
            if n_headers < 0:
                return n_headers, 0, 0, 0, 0, 0, 0, 0
            while at < scope_end:
                tag, _, start_of, metric_end = field(buf, at, scope_end)
                if tag != 18:
                    at = metric_end
                    continue
                at = start_of
                if n_metrics == len(metrics):
                    return full
                state, n_headers, kind, first, last = _metric_header(
                    buf, at, metric_end, of_scope, by, headers, n_headers, n_metrics
                )
                at = metric_end
                if n_headers < 0:
                    return n_headers, 0, 0, 0, 0, 0, 0, 0
                metrics[n_metrics, 0], metrics[n_metrics, 1] = n_scopes, kind
                temporality, monotonic = np.uint64(0), np.uint64(0)
                if kind:
                    state, n_headers, temporality, monotonic = _data_header(
                        buf, first, last, state, by, headers, n_headers, n_metrics
                    )
                    if n_headers < 0:
                        return n_headers, 0, 0, 0, 0, 0, 0, 0
                before = points + n_left
                number = kind == 5 or (kind == 7 and temporality == 2)
                histogram = kind == 9 and temporality == 2 and histograms
                begins = histogram or (number and monotonic != 0)
                while first < last:
                    start_of = first
                    tag, _, content, end = field(buf, first, last)
                    if tag != 10:
                        first = end
                        continue
                    first = content
                    key, after = np.uint64(0), -1
                    start, time = np.uint64(0), np.uint64(0)
                    stream, bounds, n_bounds = -1, 0, 0
                    if number:
                        key, start, time, value, plain = _number(buf, first, end, state, by)
                        if plain and key != np.uint64(0):
                            stream = position(keys, places, key)
                            if stream >= 0 and sizes[stream] == 1:
                                series[m] = positions[firsts[stream]]
                                bits[m] = value
                                after = m + 1
                    elif histogram:
                        key, start, time, count, total, summed, counts, n_counts, bounds, plain = _histogram(
                            buf, first, end, state, by
                        )
                        n_bounds = n_counts - 1
                        if plain and key != np.uint64(0):
                            stream = position(keys, places, key)
                            if stream >= 0 and sizes[stream] == n_counts + (2 if summed else 1):
                                after = _buckets(
                                    buf, counts, n_counts, count, total, summed, firsts, series, ts_ms, bits, m,
                                    stream, positions,
                                )  # fmt: skip
                    timely = earliest <= time <= latest
                    known = after > 0 and (starts[stream] != _FORGOTTEN if not begins else starts[stream] == start)
                    if known and timely:
                        ms = np.int64(time // np.uint64(1_000_000))
                        for row in range(m, after):
                            ts_ms[row] = ms
                        n_exemplars = _note_exemplars(
                            buf, first, end, 66 if histogram else 42, exemplars, n_exemplars,
                            firsts[stream], bounds, n_bounds,
                        )  # fmt: skip
                        if n_exemplars < 0:
                            return full
                        m = after
                        points += 1
                    else:
                        if n_left == len(left):
                            return full
                        left[n_left, 0], left[n_left, 1], left[n_left, 2] = n_metrics, start_of, end
                        hashes[n_left] = key
                        n_left += 1
                    first = end
                if points + n_left == before:  # without points: left as it is, for a look at its other fields
                    if n_left == len(left):
                        return full
                    left[n_left, 0], left[n_left, 1], left[n_left, 2] = n_metrics, 0, 0
                    hashes[n_left] = np.uint64(0)
                    n_left += 1
                n_metrics += 1
            if n_metrics == 0 or metrics[n_metrics - 1, 0] != n_scopes:
                return other  # a scope without metrics; nobody would look at it
            n_scopes += 1
        if n_scopes == 0 or scopes[n_scopes - 1] != n_resources:
            return other
        resources[n_resources, 1] = m
        n_resources += 1
    return points, m, n_resources, n_scopes, n_metrics, n_headers, n_left, n_exemplars
