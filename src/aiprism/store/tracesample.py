"""Which traces stay when their first days are over, and the thinning of a day of spans to them.

In: days of spans that are old enough. Out: the same days with whole traces less: those with an error, the slowest of
each operation and a share of the rest, by the hash of the trace id, stay. What stays is written to `trace_sample` first,
so that a trace that runs over midnight is whole in both days and a run that was broken off decides the same again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import structlog

from aiprism.config import RetentionConfig
from aiprism.store.engine import Engine
from aiprism.store.schema import change
from aiprism.store.usage import Marks, Partition

log = structlog.get_logger()

DAY = 86_400
THINNED = "traces_thinned"  # a mark: Unix seconds up to which days are thinned

_CHOOSE = """
INSERT INTO trace_sample (day, trace_id, why)
SELECT toDate(began), trace_id, multiIf(failed > 0, 'error', slowness <= of_them * {slowest:Float64}, 'slow', 'share') AS why
FROM
(
    SELECT trace_id, began, failed,
        row_number() OVER (PARTITION BY service, operation ORDER BY took DESC, trace_id) AS slowness,
        count() OVER (PARTITION BY service, operation) AS of_them
    FROM
    (
        SELECT trace_id, min(start) AS began, max(end) - began AS took, sum(errors) AS failed,
            max(root_service) AS service, max(root_name) AS operation
        FROM trace_index
        GROUP BY trace_id
        HAVING began >= fromUnixTimestamp({day:Int64}) AND began < fromUnixTimestamp({day:Int64} + 86400)
    )
)
WHERE why != 'share' OR cityHash64(trace_id) % 1000000 < {share:Float64} * 1000000
"""


def due(partitions: Sequence[Partition], config: RetentionConfig, thinned: int, now: float) -> Sequence[Partition]:
    """The days of spans to thin now, oldest first: all of a day must be older than `retention.traces`."""
    if not config.traces:
        return ()
    days = [each for each in partitions if each.table == "spans" and each.newest]
    wanted = [each for each in days if thinned <= _begin(each) and _begin(each) + DAY <= now - config.traces]
    return sorted(wanted, key=_begin)


def thin(engine: Engine, day: Partition, config: RetentionConfig) -> Iterator[None]:
    """Leave of a day of spans the sample; to do so again changes nothing."""
    begin = _begin(day)
    share, slowest = config.traces_keep_share, config.traces_keep_slowest
    engine.command(_CHOOSE, {"day": begin, "share": share, "slowest": slowest})
    yield
    change(
        engine,
        f"ALTER TABLE spans DELETE IN PARTITION ID '{day.id}' "
        f"WHERE trace_id NOT IN (SELECT trace_id FROM {engine.database}.trace_sample) SETTINGS mutations_sync = 2",
    )
    Marks(engine).set(THINNED, begin + DAY)
    log.info("housekeeping.thinned", day=day.id, spans=day.rows)
    yield


def _begin(day: Partition) -> int:
    return day.newest // DAY * DAY
