"""The tables that SQL of others may read: telemetry, and nothing of what aiprism remembers for itself.

In: an engine. Out: each table with what it holds, its column of time, its columns with their types and what they mean, and
queries to begin with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aiprism.store.engine import Engine


@dataclass(frozen=True, slots=True)
class Column:
    """A column; `about` is empty where name and type say all."""

    name: str
    type: str
    about: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table; `time` is the column of when its rows happened, empty when there is none."""

    name: str
    about: str
    time: str
    columns: Sequence[Column]


@dataclass(frozen=True, slots=True)
class Example:
    """A query to begin with."""

    title: str
    sql: str


@dataclass(frozen=True, slots=True)
class _Telling:
    about: str
    time: str
    columns: Mapping[str, str]


_ATTRIBUTES = "what was said of it, by name: attributes['http.route']"
_IDS = {"trace_id": "16 bytes: lower(hex(trace_id)) is what pages show", "span_id": "8 bytes: lower(hex(span_id))"}
_BUCKETS = {
    "bucket": "its end",
    "count": "samples in it",
    "lost": "what resets of a counter took away: it grew by last - first + lost",
    "fp": "of the series, as in `series`",
}

_TOLD: Mapping[str, _Telling] = {
    "spans": _Telling(
        "spans of traces, one row each",
        "start",
        {
            **_IDS,
            "parent_span_id": "zero bytes for the root",
            "duration_ns": "nanoseconds",
            "attributes": _ATTRIBUTES,
            "attributes_number": "those that are numbers, as numbers",
            "resource": "what was said of the service's process",
            "event_time": "events of the span: as many as event_name and event_attributes",
        },
    ),
    "trace_index": _Telling(
        "traces: when, of how many spans and services; read it with FINAL or aggregate by trace_id",
        "start",
        {**_IDS, "root_service": "empty until the root span has come"},
    ),
    "span_red_1m": _Telling(
        "rate, errors and durations by minute, service and operation; much smaller than spans",
        "minute",
        {
            "spans": "sum it",
            "errors": "sum it",
            "duration": "seconds: quantilesTDigestMerge(0.5, 0.95, 0.99)(duration)[2]",
        },
    ),
    "service_edges_1m": _Telling(
        "who calls whom, by minute; read it with FINAL",
        "minute",
        {
            "virtual": "the callee sends no spans",
            "duration": "seconds: quantilesTDigestMerge(0.5, 0.95, 0.99)(duration)[2]",
        },
    ),
    "logs": _Telling(
        "log records",
        "ts",
        {
            **_IDS,
            "level": "TRACE DEBUG INFO WARN ERROR FATAL",
            "body": "the line; hasToken(lower(body), 'timeout') uses its index",
            "pattern_id": "its template, as in log_patterns_1m",
            "attributes": _ATTRIBUTES,
            "attributes_number": "those that are numbers, as numbers",
            "resource": "what was said of the service's process",
        },
    ),
    "log_patterns_1m": _Telling(
        "templates of log lines, counted by minute, service and level",
        "minute",
        {"pattern": "the line with its variables masked", "lines": "sum it"},
    ),
    "samples": _Telling(
        "samples of metrics; join series by metric and fp for their labels",
        "ts",
        {"fp": "of the series, as in `series`", "value": "a counter's total so far, a gauge's value"},
    ),
    "series": _Telling(
        "series: their labels and when they were seen; read it with FINAL",
        "",
        {"labels": "labels['job']", "fp": "what samples know it by"},
    ),
    "samples_5m": _Telling("samples by five minutes, older ones; read it with FINAL", "bucket", _BUCKETS),
    "samples_1h": _Telling("samples by the hour, older ones; read it with FINAL", "bucket", _BUCKETS),
    "corrections": _Telling(
        "samples that came for a time their series had passed; they count before those of `samples`", "ts", {}
    ),
    "exemplars": _Telling("measurements with the trace they were made in", "ts", {}),
    "metric_metadata": _Telling("type, help and unit of metrics", "", {}),
    "events": _Telling("deployments, changes of configuration and what else was told; read it with FINAL", "ts", {}),
}
NAMES = tuple(_TOLD)

EXAMPLES: Sequence[Example] = (
    Example(
        "errors of each service over time",
        "SELECT toStartOfInterval(start, toIntervalSecond({step:UInt32})) AS time, service,\n"
        "       countIf(status = 'error') AS errors\n"
        "FROM spans\n"
        "WHERE start >= {from:DateTime64} AND start < {to:DateTime64}\n"
        "GROUP BY time, service\n"
        "ORDER BY time",
    ),
    Example(
        "slowest operations",
        "SELECT service, operation, sum(spans) AS calls,\n"
        "       round(quantilesTDigestMerge(0.5, 0.95, 0.99)(duration)[2], 3) AS p95_seconds\n"
        "FROM span_red_1m\n"
        "WHERE minute >= {from:DateTime} AND minute < {to:DateTime}\n"
        "GROUP BY service, operation\n"
        "ORDER BY p95_seconds DESC\n"
        "LIMIT 20",
    ),
    Example(
        "most frequent errors in logs",
        "SELECT service, any(pattern) AS pattern, sum(lines) AS lines\n"
        "FROM log_patterns_1m\n"
        "WHERE level IN ('ERROR', 'FATAL') AND minute >= {from:DateTime} AND minute < {to:DateTime}\n"
        "GROUP BY service, pattern_id\n"
        "ORDER BY lines DESC\n"
        "LIMIT 20",
    ),
    Example(
        "metrics with the most series",
        "SELECT metric, uniq(fp) AS series, max(last_ts) AS last\nFROM series\nGROUP BY metric\nORDER BY series DESC\nLIMIT 20",
    ),
    Example(
        "a metric by its labels",
        "SELECT s.labels['job'] AS job, max(v.value) AS most\n"
        "FROM samples AS v\n"
        "INNER JOIN (SELECT fp, labels FROM series FINAL) AS s ON v.fp = s.fp\n"
        "WHERE v.metric = 'process_memory_bytes' AND v.ts >= {from:DateTime64}\n"
        "GROUP BY job\n"
        "ORDER BY most DESC",
    ),
)


def tables(engine: Engine) -> list[Table]:
    """The tables this store has, with their columns as they are."""
    found = engine.query(
        "SELECT table, name, type FROM system.columns WHERE database = currentDatabase() AND table IN {names:Array(String)} "
        "ORDER BY table, position",
        {"names": list(NAMES)},
    )
    columns: dict[str, list[Column]] = {}
    for table, name, kind in found:
        columns.setdefault(table, []).append(Column(name, kind, _TOLD[table].columns.get(name, "")))
    return [Table(name, told.about, told.time, columns[name]) for name, told in _TOLD.items() if name in columns]
