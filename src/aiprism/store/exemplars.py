"""The exemplars that point to a trace: which series had a value measured in it.

In: an id and the time the trace lies in. Out: exemplars with the labels of their series, by time. Blocking; run in the engine's
pool. The exemplars of series are read by samples.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aiprism.model.timerange import TimeRange
from aiprism.store.engine import Engine

# A page that is scraped shows an exemplar until the next one comes: told each time, it is one.
_FOUND = """
SELECT metric, fp, toUnixTimestamp64Milli(ts) AS ts_ms, value, lower(hex(span_id)) AS span, labels
FROM exemplars
WHERE trace_id = toFixedString(unhex({trace_id:String}), 16)
    AND ts BETWEEN fromUnixTimestamp64Milli({start:Int64}) AND fromUnixTimestamp64Milli({end:Int64})
ORDER BY ts, metric, fp
LIMIT 1 BY metric, fp, ts, value
LIMIT {limit:UInt32}
"""
_SERIES = """
SELECT metric, fp, anyLast(labels)
FROM series
WHERE metric IN {metrics:Array(String)} AND fp IN {fps:Array(UInt64)}
GROUP BY metric, fp
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """A value of a series that was measured in a trace. `labels` are those of the exemplar, `span_id` is empty when unknown."""

    series: Mapping[str, str]
    value: float
    ts_ms: int
    span_id: str
    labels: Mapping[str, str]


def measured_in(engine: Engine, trace_id: str, within: TimeRange, *, limit: int) -> Sequence[Measured]:
    """The first `limit` exemplars of a time that point to the trace."""
    bound = {"trace_id": trace_id, "start": within.start_ms, "end": within.end_ms, "limit": limit}
    rows = engine.records(_FOUND, bound)
    if not rows:
        return ()
    asked = {"metrics": sorted({row["metric"] for row in rows}), "fps": sorted({row["fp"] for row in rows})}
    series = {(metric, fp): dict(labels) for metric, fp, labels in engine.query(_SERIES, asked)}
    return [
        Measured(
            series.get((row["metric"], row["fp"]), {"__name__": row["metric"]}), row["value"], row["ts_ms"],
            row["span"] if row["span"].strip("0") else "", dict(row["labels"]),
        )
        for row in rows
    ]  # fmt: skip
