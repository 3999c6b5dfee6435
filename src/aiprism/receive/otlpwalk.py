"""The messages around the points of an OTLP metrics body, by machine code: where they lie, and a hash of what they say.

In: the protobuf of an ExportMetricsServiceRequest. Out, as rows of tables: its resources, scopes and metrics, the fields of
these that are no such message (their headers), and where each point lies. The points are read by otlppointscan.py.
"""

from __future__ import annotations

import numpy as np

from aiprism.receive.bytehash import finished, hashed, mixed, multiplier
from aiprism.store.wire import field, kernel

DONE, FULL, OTHER = 0, -1, -2  # answers: all is noted, a table is full, and "not for this code"
RESOURCE, SCOPE, METRIC, DATA = range(4)  # whose fields a header is
RESOURCES, SCOPES, METRICS, HEADERS, POINTS, TABLES = range(6)  # of which table the rows are counted
NOTHING, NUMBERS, HISTOGRAMS = range(3)  # how the points of a metric are read
_GAUGE, _SUM, _HISTOGRAM = 5, 7, 9  # fields of Metric
_CUMULATIVE = 2

# A tag in these functions is number·8 + wire type: 10 is field 1 with a length, 18 is field 2.


@kernel
def walk(buf, salt, resources, resource_hashes, scopes, metrics, metric_hashes, headers, points, used):
    """Note all of a request, and in `used` how many rows of each table. An answer.

    Rows: of `resources` the first point; of `scopes` the resource; of `metrics` the scope, the kind (its field number),
    how the points are read and whether a new start time matters; of `headers` the level, the number there, start and
    end; of `points` the metric, start and end of the field and start of its content, 0 for a metric without points.
    """
    by, at = multiplier(salt), 0
    while at < len(buf):
        tag, _, start, at = field(buf, at, len(buf))
        if at < 0 or tag != 10:
            return OTHER
        number = used[RESOURCES]
        if number == len(resources):
            return FULL
        state, answer = _header(buf, start, at, 18, salt, by, headers, used, RESOURCE, number)
        if answer != DONE:
            return answer
        resources[number], resource_hashes[number] = used[POINTS], finished(state)
        answer = _scopes(buf, start, at, state, by, scopes, metrics, metric_hashes, headers, points, used)
        if answer != DONE:
            return answer
        used[RESOURCES] += 1
    return DONE


@kernel
def _scopes(buf, at, end, of_resource, by, scopes, metrics, metric_hashes, headers, points, used):
    """The ScopeMetrics of a resource whose fields are sound."""
    before = used[SCOPES]
    while at < end:
        tag, _, start, at = field(buf, at, end)
        if tag != 18:
            continue
        number = used[SCOPES]
        if number == len(scopes):
            return FULL
        scopes[number] = used[RESOURCES]
        state, answer = _header(buf, start, at, 18, of_resource, by, headers, used, SCOPE, number)
        if answer == DONE:
            answer = _metrics(buf, start, at, state, by, metrics, metric_hashes, headers, points, used)
        if answer != DONE:
            return answer
        used[SCOPES] += 1
    return DONE if used[SCOPES] > before else OTHER  # nobody would look at a resource without scopes


@kernel
def _metrics(buf, at, end, of_scope, by, metrics, metric_hashes, headers, points, used):
    """The metrics of a scope whose fields are sound."""
    before = used[METRICS]
    while at < end:
        tag, _, start, at = field(buf, at, end)
        if tag != 18:
            continue
        number = used[METRICS]
        if number == len(metrics):
            return FULL
        state, answer, kind, first, last = _metric_header(buf, start, at, of_scope, by, headers, used, number)
        if answer != DONE:
            return answer
        state, answer, temporality, monotonic = _data_header(buf, first, last, state, by, headers, used, number)
        if answer != DONE:
            return answer
        read = _reading(kind, temporality)
        metrics[number, 0], metrics[number, 1], metrics[number, 2] = used[SCOPES], kind, read
        metrics[number, 3] = read == HISTOGRAMS or monotonic
        metric_hashes[number] = state
        if not _note_points(buf, first, last, number, points, used):
            return FULL
        used[METRICS] += 1
    return DONE if used[METRICS] > before else OTHER


@kernel
def _reading(kind, temporality):
    if kind == _GAUGE or (kind == _SUM and temporality == _CUMULATIVE):
        return NUMBERS
    if kind == _HISTOGRAM and temporality == _CUMULATIVE:
        return HISTOGRAMS
    return NOTHING


@kernel
def _note_points(buf, at, end, metric, points, used):
    """Note the points of a metric whose data are sound, or that it has none. False when there is no room."""
    n, before = used[POINTS], used[POINTS]
    while at < end:
        start = at
        tag, _, content, at = field(buf, at, end)
        if tag != 10:
            continue
        if n == len(points):
            return False
        points[n, 0], points[n, 1], points[n, 2], points[n, 3] = metric, start, at, content
        n += 1
    if n == before:  # left as it is, for a look at its other fields
        if n == len(points):
            return False
        points[n, 0], points[n, 1], points[n, 2], points[n, 3] = metric, 0, 0, 0
        n += 1
    used[POINTS] = n
    return True


# -- headers -------------------------------------------------------------------------------------------------------------


@kernel
def _header(buf, at, end, child, state, by, headers, used, level, number):
    """Stir every field but the repeated message `child` (a tag) into `state`, and note it. (state, answer)."""
    while at < end:
        start = at
        tag, _, _, at = field(buf, at, end)
        if at < 0:
            return state, OTHER
        if tag == child:
            continue
        if not _note(headers, used, level, number, start, at):
            return state, FULL
        state = hashed(buf, start, at, state, by)
    return state, DONE


@kernel
def _metric_header(buf, at, end, state, by, headers, used, number):
    """As `_header`, of a Metric: (state, answer, kind, start and end of its data)."""
    kind, first, last = 0, 0, 0
    while at < end:
        start = at
        tag, _, content, at = field(buf, at, end)
        if at < 0:
            return state, OTHER, 0, 0, 0
        if tag == 42 or tag == 58 or tag == 74 or tag == 82 or tag == 90:
            if kind:
                return state, OTHER, 0, 0, 0  # two of a oneof are merged: legal, and never seen
            kind, first, last = tag >> 3, content, at
            continue
        if not _note(headers, used, METRIC, number, start, at):
            return state, FULL, 0, 0, 0
        state = hashed(buf, start, at, state, by)
    return mixed(state, np.uint64(kind), by), DONE, kind, first, last


@kernel
def _data_header(buf, at, end, state, by, headers, used, number):
    """As `_header`, of the data of a metric: (state, answer, temporality, is monotonic)."""
    temporality, monotonic = np.uint64(0), False
    while at < end:
        start = at
        tag, value, _, at = field(buf, at, end)
        if at < 0:
            return state, OTHER, temporality, monotonic
        if tag == 10:
            continue
        if tag == 16:
            temporality = value
        elif tag == 24:
            monotonic = value != 0
        if not _note(headers, used, DATA, number, start, at):
            return state, FULL, temporality, monotonic
        state = hashed(buf, start, at, state, by)
    return state, DONE, temporality, monotonic


@kernel
def _note(headers, used, level, number, start, end):
    n = used[HEADERS]
    if n == len(headers):
        return False
    headers[n, 0], headers[n, 1], headers[n, 2], headers[n, 3] = level, number, start, end
    used[HEADERS] = n + 1
    return True
