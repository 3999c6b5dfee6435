"""What the series index begins with and goes on to learn from the database: series, how new their samples are, which of them
were corrected, which metrics have native histograms.

In: an engine. Out: an index, or more that one knows. What is sent to this process the index is told by who stores it.
"""

from __future__ import annotations

from aiprism.store.corrections import version_at
from aiprism.store.engine import Engine
from aiprism.store.series import Seen, SeriesIndex

_SERIES = """
SELECT metric, fp, mapKeys(l) AS names, mapValues(l) AS texts, toUnixTimestamp64Milli(f) AS first_ms,
    toUnixTimestamp64Milli(t) AS last_ms
FROM (SELECT metric, fp, anyLast(labels) AS l, min(first_ts) AS f, max(last_ts) AS t FROM series GROUP BY metric, fp)
"""
_NEWEST = "SELECT toUnixTimestamp64Milli(max(ts)) FROM samples"
_CORRECTED = """
SELECT fp, toUnixTimestamp64Milli(min(ts)) AS first_ms, toUnixTimestamp64Milli(max(ts)) AS last_ms
FROM corrections WHERE version >= {version:UInt64} GROUP BY metric, fp
"""
_NATIVE = "SELECT DISTINCT metric FROM histograms WHERE ts >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')"


def load_series(engine: Engine) -> SeriesIndex:
    """The index of what `engine` has in its table `series`."""
    index = SeriesIndex()
    rows = engine.arrow(_SERIES)
    if rows.num_rows:
        [(newest,)] = engine.query(_NEWEST)
        index.begin(rows, int(newest))
        learn_corrections(index, engine)
        learn_native(index, engine)
    return index


def learn_corrections(index: SeriesIndex, engine: Engine, since: float = 0.0) -> None:
    """`index` knows which series have rows in `corrections` that came since then (Unix seconds), and of when."""
    rows = engine.arrow(_CORRECTED, {"version": version_at(since)})
    if rows.num_rows:
        fps, first, last = (rows.column(name).to_numpy() for name in ("fp", "first_ms", "last_ms"))
        found = index.find(fps)
        index.corrected(Seen(found, first, last).only(found >= 0))


def learn_native(index: SeriesIndex, engine: Engine, since_ms: int = 0) -> None:
    """`index` knows which metrics have native histograms of that time or later."""
    index.native_metrics([metric for (metric,) in engine.query(_NATIVE, {"since": since_ms})])
