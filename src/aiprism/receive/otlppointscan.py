"""Points of OTLP metrics as samples, by machine code: cumulative sums, gauges and histograms of streams met before.

In: where points lie in a body and what their metrics are (otlpwalk.py), and the streams that are known. Out: samples in
columns; which points these are of, and of each the hash of its stream; where their exemplars lie.
"""

from __future__ import annotations

import numpy as np

from aiprism.receive.bytehash import finished, hashed, mixed, multiplier, position
from aiprism.receive.otlpwalk import FULL, HISTOGRAMS, NUMBERS
from aiprism.store.wire import field, fixed64, inlined, kernel

NO_STREAM = 0  # hash of a point that is of no known kind of stream
FORGOTTEN = np.uint64(2**64 - 1)  # start time of a stream whose next point is looked at as if it were the first


@kernel
def read(
    buf, salt, resources, points, metrics, metric_hashes, histograms, earliest, latest,
    keys, places, firsts, sizes, starts, positions,
    series, ts_ms, bits, edges, left, hashes, exemplars,
):  # fmt: skip
    """Write the samples of the points that can be read here. (points, samples, points left, exemplars), or FULL in front.

    `edges` has the first sample of each resource and the one after its last; `left` the rows of `points` that are left,
    and `hashes` their streams. A row of `exemplars` says where the positions of the stream begin, start and end of the
    exemplar, start and number of the bounds. Numbers and histograms in functions of their own cost a seventh more: what
    they find is many values.
    """
    by, m, n_left, n = multiplier(salt), 0, 0, 0
    for resource in range(len(resources)):
        edges[resource, 0] = m
        last = resources[resource + 1] if resource + 1 < len(resources) else len(points)
        for point in range(resources[resource], last):
            metric, end, start = points[point, 0], points[point, 2], points[point, 3]
            reading, state = metrics[metric, 2], metric_hashes[metric]
            key, stream, rows, begun, time = np.uint64(NO_STREAM), -1, 0, np.uint64(0), np.uint64(0)
            bounds, n_bounds = 0, 0
            if end == 0:
                pass
            elif reading == NUMBERS:
                key, begun, time, value, plain = _number(buf, start, end, state, by)
                stream = position(keys, places, key) if plain else -1
                if stream >= 0 and sizes[stream] == 1:
                    series[m], bits[m] = positions[firsts[stream]], value
                    rows = 1
            elif reading == HISTOGRAMS and histograms:
                key, begun, time, count, total, summed, counts, n_counts, bounds, plain = _histogram(
                    buf, start, end, state, by
                )
                n_bounds = n_counts - 1
                stream = position(keys, places, key) if plain else -1
                if stream >= 0 and sizes[stream] == n_counts + (2 if summed else 1):
                    rows = _buckets(
                        buf, counts, n_counts, count, total, summed, firsts[stream], positions, series, bits, m
                    )
            timely = earliest <= time <= latest
            if rows == 0 or not timely or not _goes_on(starts[stream], begun, metrics[metric, 3] != 0):
                left[n_left, 0], left[n_left, 1], left[n_left, 2] = metric, points[point, 1], end
                hashes[n_left] = key
                n_left += 1
                continue
            ms = np.int64(time // np.uint64(1_000_000))
            for row in range(m, m + rows):
                ts_ms[row] = ms
            m += rows
            wanted = 42 if reading == NUMBERS else 66
            n = _note_exemplars(buf, start, end, wanted, exemplars, n, firsts[stream], bounds, n_bounds)
            if n < 0:
                return FULL, 0, 0, 0
        edges[resource, 1] = m
    return len(points) - n_left, m, n_left, n


@inlined
def _goes_on(known, begun, begins):
    """True when a point that began then is one more of a stream known to have begun at `known`."""
    return known == begun if begins else known != FORGOTTEN


@inlined
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


@inlined
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


@inlined
def _buckets(buf, counts, n_counts, count, total, summed, first, positions, series, bits, m):
    """Write a histogram from row m on: buckets up to each bound, count, sum. How many rows, 0 when it does not add up."""
    so_far = np.uint64(0)
    for bucket in range(n_counts):
        so_far += fixed64(buf, counts + 8 * bucket)
        series[m + bucket] = positions[first + bucket]
        bits[m + bucket] = np.float64(so_far).view(np.uint64)
    if so_far != count:
        return 0
    series[m + n_counts] = positions[first + n_counts]
    bits[m + n_counts] = np.float64(count).view(np.uint64)
    if not summed:
        return n_counts + 1
    series[m + n_counts + 1] = positions[first + n_counts + 1]
    bits[m + n_counts + 1] = total
    return n_counts + 2


@inlined
def _note_exemplars(buf, at, end, wanted, exemplars, n, first, bounds, n_bounds):
    """Note each exemplar (a field `wanted`) of a point that is well formed. How many are noted, or an answer."""
    while at < end:
        tag, _, start, at = field(buf, at, end)
        if tag == wanted:
            if n == len(exemplars):
                return FULL
            exemplars[n, 0], exemplars[n, 1], exemplars[n, 2] = first, start, at
            exemplars[n, 3], exemplars[n, 4] = bounds, n_bounds
            n += 1
    return n
