"""Traces counted: rate, errors and duration by time, latency by time, and what a sample of slow and other traces is made of.

In: a `TraceSearch` or a window. Out: rows. Blocking; run in the engine's pool. What the counts mean is said in
`query/traceexplain.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiprism.model.timerange import TimeRange
from aiprism.store.engine import Engine
from aiprism.store.tracesearch import LAZILY, TraceSearch, within

SAMPLED = 1000  # traces of each side that are looked at
_LEAST_TRACES = 5  # that have a value which is counted
_MOST_VALUES = 20_000
_LONGEST_VALUE = 200

# By whole minutes, from the rollup.
_RED = """
SELECT
    if({step:Int64} = 0, 0, intDiv(toUnixTimestamp(minute), greatest({step:Int64}, 1)) * {step:Int64}) AS at, service,
    if({by_operation:Bool}, span_red_1m.operation, '') AS named, if({by_operation:Bool}, span_red_1m.kind, '') AS its_kind,
    sum(span_red_1m.spans) AS spans, sum(span_red_1m.errors) AS errors,
    arrayMap(seconds -> round(seconds * 1000, 3), quantilesTDigestMerge(0.5, 0.95, 0.99)(duration)) AS ms
FROM span_red_1m
WHERE minute >= toStartOfMinute(fromUnixTimestamp64Milli({start:Int64})) AND minute <= fromUnixTimestamp64Milli({end:Int64})
    AND ({service:String} = '' OR service = {service:String})
    AND ({operation:String} = '' OR span_red_1m.operation = {operation:String})
    AND (has({kinds:Array(String)}, span_red_1m.kind) OR empty({kinds:Array(String)}))
GROUP BY at, service, named, its_kind
ORDER BY at, service, named, its_kind
LIMIT {limit:UInt32}
"""

# Two buckets to each doubling.
_HEATMAP = """
SELECT
    intDiv(toUnixTimestamp64Nano(spans.start), {step:Int64}) * {step:Int64} / 1e9 AS at,
    toInt32(floor(log2(greatest(spans.duration_ns, 1)) * 2)) AS bucket, count() AS spans, countIf(spans.status = 'error') AS errors
"""

_SIDES = """
SELECT is_bad, count() AS traces, arrayMap(each -> each.2, groupArraySorted([most])((cityHash64(id), id))) AS ids
FROM
(
    SELECT lower(hex(spans.trace_id)) AS id,
        max(if({failed:Bool}, spans.status = 'error', spans.duration_ns >= {bad_ns:UInt64})) AS is_bad
    [within]
    GROUP BY spans.trace_id
)
GROUP BY is_bad
"""

# The spans of the sample, and of each whether it is bad itself: failed, or longer than nine of ten of its operation in the
# other traces.
_MEMBERS = """
WITH lies AS
(
    SELECT trace_id, min(start) AS first, max(end) AS last, groupUniqArrayArray(services) AS names
    FROM trace_index WHERE trace_id IN (SELECT toFixedString(unhex(arrayJoin({all:Array(String)})), 16)) GROUP BY trace_id
),
members AS
(
    SELECT *, trace_id IN (SELECT toFixedString(unhex(arrayJoin({slow:Array(String)})), 16)) AS slow
    FROM spans
    WHERE spans.trace_id IN (SELECT trace_id FROM lies)
        AND spans.service IN (SELECT arrayJoin(names) FROM lies)
        AND spans.start BETWEEN (SELECT min(first) FROM lies) - toIntervalSecond(1)
            AND (SELECT max(last) FROM lies) + toIntervalSecond(1)
        AND toStartOfMinute(spans.start) BETWEEN toStartOfMinute((SELECT min(first) FROM lies) - toIntervalSecond(1))
            AND toStartOfMinute((SELECT max(last) FROM lies) + toIntervalSecond(1))
),
judged AS
(
    SELECT members.*, if({failed:Bool}, status = 'error', duration_ns >= limit_ns) AS bad
    FROM members
    INNER JOIN
    (
        SELECT service, name, quantileIf(0.9)(duration_ns, NOT slow) AS limit_ns FROM members GROUP BY service, name
    ) AS usual USING (service, name)
)
"""
_COUNTS = """
    uniqExactIf(trace_id, slow) AS slow_traces, uniqExactIf(trace_id, NOT slow) AS other_traces,
    uniqExactIf(trace_id, slow AND bad) AS slow_bad, uniqExactIf(trace_id, NOT slow AND bad) AS other_bad,
    countIf(bad) AS bad_spans, countIf(NOT bad) AS good_spans
"""
_OPERATIONS = f"{_MEMBERS} SELECT service, name AS operation, {_COUNTS} FROM judged GROUP BY service, name"
# What a span says of itself, its attributes and those of its resource; large numbers by the power of two they lie above, too,
# as each by itself is rare.
_PAIRS = """
    arrayConcat(
        arrayZip(mapKeys(attributes), mapValues(attributes)),
        JSONExtractKeysAndValues(resource_json, 'String'),
        if(status_message = '', [], [('status_message', status_message)]),
        arrayMap(event -> ('exception.type', event['exception.type']),
            arrayFilter(event -> mapContains(event, 'exception.type'), event_attributes)))
"""
_VALUES = f"""
{_MEMBERS}
SELECT service, name AS operation, pair.1 AS key, pair.2 AS value, {_COUNTS}
FROM
(
    SELECT service, name, trace_id, slow, bad, arrayJoin(arrayDistinct(arrayConcat(pairs,
        arrayMap(each -> (each.1, concat(toString(exp2(floor(log2(toFloat64OrZero(each.2))))), ' … ',
                toString(exp2(floor(log2(toFloat64OrZero(each.2))) + 1)))),
            arrayFilter(each -> toFloat64OrZero(each.2) >= 16 AND toFloat64OrZero(each.2) < 1e15, pairs))))) AS pair
    FROM (SELECT service, name, trace_id, slow, bad, {_PAIRS} AS pairs FROM judged)
)
WHERE length(pair.2) <= {_LONGEST_VALUE}
GROUP BY service, name, key, value
HAVING slow_traces + other_traces >= {_LEAST_TRACES}
ORDER BY slow_traces DESC, service, operation, key, value
LIMIT {_MOST_VALUES}
"""


@dataclass(frozen=True, slots=True)
class Sides:
    """Slow (or failed) traces and the others: how many there are, and the ids of a sample, chosen by a hash of the id."""

    slow: int
    other: int
    slow_ids: Sequence[str]
    other_ids: Sequence[str]


def red(
    engine: Engine, window: TimeRange, *, service: str, operation: str, kinds: Sequence[str], step: int, by_operation: bool,
    limit: int,
) -> Sequence[Mapping[str, Any]]:  # fmt: skip
    """Spans, errors and durations (p50, p95, p99 in ms) of each service, or operation, in each step."""
    rows = engine.records(
        _RED,
        {
            "start": window.start_ms, "end": window.end_ms, "service": service, "operation": operation,
            "kinds": list(kinds), "step": step, "by_operation": by_operation, "limit": limit,
        },
    )  # fmt: skip
    return [
        {
            "at": row["at"] if step else window.start, "service": row["service"],
            **({"operation": row["named"], "kind": row["its_kind"]} if by_operation else {}),
            "spans": row["spans"], "errors": row["errors"], "rate": row["spans"] / (step or window.end - window.start or 1),
            **dict(zip(("p50_ms", "p95_ms", "p99_ms"), row["ms"], strict=True)),
        }
        for row in rows
    ]  # fmt: skip


def heatmap(engine: Engine, wanted: TraceSearch, step: float) -> Sequence[Mapping[str, Any]]:
    """How many of the spans that fit lie in each step of time and each half of a doubling of their duration."""
    found, bound = within(wanted)
    rows = engine.records(
        f"{_HEATMAP} {found} GROUP BY at, bucket ORDER BY at, bucket {LAZILY}", {**bound, "step": round(step * 1e9)}
    )
    return [
        {
            "at": row["at"], "from_ns": round(2 ** (row["bucket"] / 2)), "to_ns": round(2 ** ((row["bucket"] + 1) / 2)),
            "spans": row["spans"], "errors": row["errors"],
        }
        for row in rows
    ]  # fmt: skip


def sides(engine: Engine, wanted: TraceSearch, *, least_ns: int, failed: bool) -> Sides:
    """The traces that fit, by whether one of the spans that fit took `least_ns` (or, with `failed`, failed)."""
    found, bound = within(wanted)
    statement = _SIDES.replace("[within]", found).replace("[most]", str(SAMPLED))
    rows = engine.query(f"{statement} {LAZILY}", {**bound, "failed": failed, "bad_ns": min(least_ns, (1 << 64) - 1)})
    by = {bool(is_bad): (int(traces), [str(each) for each in ids]) for is_bad, traces, ids in rows}
    (slow, slow_ids), (other, other_ids) = by.get(True, (0, [])), by.get(False, (0, []))
    return Sides(slow, other, slow_ids, other_ids)


def counted(
    engine: Engine, sampled: Sides, *, failed: bool
) -> tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]]:
    """Of the spans of sampled traces: counts of each operation, and of each value of an attribute in it."""
    bound = {"all": [*sampled.slow_ids, *sampled.other_ids], "slow": list(sampled.slow_ids), "failed": failed}
    return engine.records(_OPERATIONS, bound), engine.records(_VALUES, bound)
