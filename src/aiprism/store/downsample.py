"""Fills `samples_5m` from `samples`, and `samples_1h` from `samples_5m`.

In: whole hours that are over, and hours that got late samples since. Out: one row a series and bucket. The work is cut
into slices of a bounded number of series and hours, each one INSERT … SELECT that streams in the tables' order; how far it
has come is marked after each window of hours. A slice done twice writes the same rows, which replace themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import structlog

from aiprism.model.samples import STALE_NAN_BITS
from aiprism.store import usage
from aiprism.store.corrections import corrected
from aiprism.store.engine import Engine
from aiprism.store.rollups import DOWNSAMPLED, HOUR_MS, RAW, Rollups
from aiprism.store.schema import change

log = structlog.get_logger()

HOUR = HOUR_MS // 1000
# An hour is downsampled this long after its end. It must exceed the ten minutes after which `samples_late` takes notes by
# more than an INSERT can take (120 s).
GRACE = 900
# Late samples rarely come alone: wait until an hour has been quiet for this long.
SETTLE = 300
# Series × hours of one slice: 12 million samples of a 15 s scrape, about 2.5 s of one core, 60 MB.
SLICE = 50_000
_LONGEST_HOURS = 24
_LATE_ROWS = 10_000  # hours of a metric that one run takes up

_THESE = (
    "WHOSE AND ts > fromUnixTimestamp64Milli({after:Int64}, 'UTC') "
    "AND ts <= fromUnixTimestamp64Milli({until:Int64}, 'UTC')"
)
_CORRECTIONS = f"SELECT count() FROM (SELECT 1 FROM corrections WHERE {_THESE} LIMIT 1)"

# SENT becomes the table of samples, WHOSE a condition on metric and fp. The samples of a bucket in order; of several with
# one time the greatest, as the grid functions take it.
_FINE = f"""
INSERT INTO samples_5m (metric, fp, bucket, count, sum, min, max, first, first_ts, last, last_ts, lost, stale_ts)
SELECT metric, fp, bucket, length(v), arrayReduce('sumKahan', v),
    if(empty(n), nan, arrayMin(n)), if(empty(n), nan, arrayMax(n)),
    v[1], t[1], v[-1], t[-1],
    arraySum(arrayMap((now, before) -> if(now < before, before, 0.), arrayPopFront(v), arrayPopBack(v))),
    if(reinterpretAsUInt64(s[-1].2) = {STALE_NAN_BITS}, s[-1].1, fromUnixTimestamp64Milli(toInt64(0), 'UTC'))
FROM
(
    SELECT metric, fp, bucket, s, arrayFilter(each -> reinterpretAsUInt64(each.2) != {STALE_NAN_BITS}, s) AS r,
        r.1 AS t, r.2 AS v, arrayFilter(each -> NOT isNaN(each), v) AS n
    FROM
    (
        SELECT metric, fp,
            toStartOfInterval(ts - toIntervalMillisecond(1), toIntervalMinute(5)) + toIntervalMinute(5) AS bucket,
            timeSeriesGroupArray(ts, value) AS s
        FROM SENT
        WHERE {_THESE}
        GROUP BY metric, fp, bucket
    )
)
SETTINGS max_threads = 1, optimize_aggregation_in_order = 1
"""

_COARSE = """
INSERT INTO samples_1h (metric, fp, bucket, count, sum, min, max, first, first_ts, last, last_ts, lost, stale_ts)
SELECT metric, fp, hour, arraySum(r.2), arrayReduce('sumKahan', r.3),
    if(empty(low), nan, arrayMin(low)), if(empty(high), nan, arrayMax(high)),
    r[1].6, r[1].7, r[-1].8, r[-1].9,
    arraySum(r.10) + arraySum(arrayMap(
        (now, before) -> if(now < before, before, 0.), arrayPopFront(r.6), arrayPopBack(r.8))),
    s[-1].11
FROM
(
    SELECT metric, fp, hour, s, arrayFilter(each -> each.2 > 0, s) AS r,
        arrayFilter(each -> NOT isNaN(each), r.4) AS low, arrayFilter(each -> NOT isNaN(each), r.5) AS high
    FROM
    (
        SELECT metric, fp, toStartOfHour(bucket - 1) + toIntervalHour(1) AS hour,
            arraySort(each -> each.1, groupArray(
                (bucket, count, sum, min, max, first, first_ts, last, last_ts, lost, stale_ts))) AS s
        FROM samples_5m FINAL
        WHERE WHOSE AND bucket > fromUnixTimestamp(intDiv({after:Int64}, 1000))
            AND bucket <= fromUnixTimestamp(intDiv({until:Int64}, 1000))
        GROUP BY metric, fp, hour
    )
)
SETTINGS max_threads = 1, optimize_aggregation_in_order = 1
"""

_SERIES = "SELECT metric, uniqExact(fp) FROM series GROUP BY metric ORDER BY metric"

_PENDING = """
SELECT hour, arraySort(groupArray(metric)) FROM
(
    SELECT toUnixTimestamp(hour) AS hour, metric FROM samples_late
    WHERE seen <= {until:DateTime64(6, 'UTC')} AND hour <= fromUnixTimestamp({downsampled:Int64})
    GROUP BY hour, metric ORDER BY hour, metric LIMIT {rows:UInt32}
)
GROUP BY hour ORDER BY hour
"""

_FORGET = """ALTER TABLE samples_late DELETE
WHERE seen <= {until:DateTime64(6, 'UTC')} AND hour > fromUnixTimestamp({after:Int64})
    AND hour <= fromUnixTimestamp({upto:Int64}) AND metric IN {metrics:Array(String)}
SETTINGS mutations_sync = 2"""


@dataclass(frozen=True, slots=True)
class Pack:
    """The series of metrics in (after, upto] of which fingerprints lie in share `part` of `parts`; upto None: the rest."""

    after: str
    upto: str | None
    part: int = 0
    parts: int = 1


@dataclass(frozen=True, slots=True)
class Redo:
    """Hours (after, until], Unix seconds, of some metrics, to be downsampled again."""

    after: int
    until: int
    metrics: tuple[str, ...]


def packs(sizes: Sequence[tuple[str, int]], at_most: int = SLICE) -> Sequence[Pack]:
    """All series, cut into slices of about `at_most`; `sizes` are the metrics in order and how many series each has."""
    made: list[Pack] = []
    after, held, previous = "", 0, ""
    for metric, count in sizes:
        if held and held + count > at_most:
            made.append(Pack(after, previous))
            after, held = previous, 0
        if count > at_most:
            parts = -(-count // at_most)
            made += [Pack(after, metric, part, parts) for part in range(parts)]
            after, held = metric, 0
        else:
            held += count
        previous = metric
    return [*made, Pack(after, None)]


def redos(pending: Sequence[tuple[int, Sequence[str]]], longest_hours: int = _LONGEST_HOURS) -> Sequence[Redo]:
    """Hours that follow each other and concern the same metrics, together; `pending` are (end of the hour, metrics)."""
    made: list[Redo] = []
    for hour, metrics in pending:
        last = made[-1] if made else None
        joins = last and last.until == hour - HOUR and last.metrics == tuple(metrics)
        if last and joins and hour - last.after <= longest_hours * HOUR:
            made[-1] = Redo(last.after, hour, last.metrics)
        else:
            made.append(Redo(hour - HOUR, hour, tuple(metrics)))
    return made


class Downsampling:
    """Keeps both tables up with `samples`. `settle` is how long late samples must have been stored."""

    def __init__(self, engine: Engine, rollups: Rollups, *, settle: float = SETTLE) -> None:
        self._engine, self._rollups, self._settle = engine, rollups, settle
        self._marks = usage.Marks(engine)

    def advance(self, now: float) -> Iterator[None]:
        """Downsample the hours that are over; yields after each slice."""
        target = int(now - GRACE) // HOUR * HOUR
        at = self._marks.get(DOWNSAMPLED)
        while (begin := self._next(at)) is not None and begin < target:
            sizes = [(str(metric), int(count)) for metric, count in self._engine.query(_SERIES)]
            hours = max(1, min(_LONGEST_HOURS, SLICE // max(1, sum(count for _, count in sizes))))
            until = min(begin + hours * HOUR, target)
            for pack in packs(sizes):
                self._fill(begin, until, *_of(pack))
                yield
            at = until
            self._mark(at)
        if at is not None and at < target:
            self._mark(target)

    def redo(self) -> Iterator[None]:
        """Downsample again the hours that got samples too late; yields after each slice."""
        [[until]] = self._engine.query(
            "SELECT now64(6, 'UTC') - toIntervalMillisecond({settle:Int64})", {"settle": round(self._settle * 1000)}
        )
        bound = {"until": until, "downsampled": self._rollups.reach.downsampled // 1000, "rows": _LATE_ROWS}
        pending = [(int(hour), list(metrics)) for hour, metrics in self._engine.query(_PENDING, bound)]
        raw_from = self._rollups.reach.raw_from // 1000
        for each in redos(pending):
            # Where the samples before these are gone, the buckets know more than the latecomers.
            if each.after >= raw_from:
                self._fill(each.after, each.until, "metric IN {metrics:Array(String)}", {"metrics": list(each.metrics)})
            done = {"until": until, "after": each.after, "upto": each.until, "metrics": list(each.metrics)}
            change(self._engine, _FORGET, done)
            yield
        if pending:
            log.info("housekeeping.downsampled_again", hours=len(pending))

    def _fill(self, after: int, until: int, whose: str, bound: Mapping[str, object]) -> None:
        parameters = {**bound, "after": after * 1000, "until": until * 1000}
        [(some,)] = self._engine.query(_CORRECTIONS.replace("WHOSE", whose), parameters)
        sent = corrected(_THESE) if some else RAW
        for statement in (_FINE, _COARSE):
            self._engine.command(statement.replace("SENT", sent).replace("WHOSE", whose), parameters)

    def _next(self, at: int | None) -> int | None:
        """The beginning of the first hour after `at` that has samples, None when there is none."""
        first = usage.first_after(self._engine, RAW, at or 0)
        if first is None:
            return None
        hour = (first - 1) // HOUR * HOUR  # an hour ends with its last moment: 12:00:00 belongs to (11:00, 12:00]
        return hour if at is None else max(at, hour)

    def _mark(self, at: int) -> None:
        self._marks.set(DOWNSAMPLED, at)
        self._rollups.reread()


def _of(pack: Pack) -> tuple[str, Mapping[str, object]]:
    """The condition on metric and fp of a pack, and its parameters."""
    parts, bound = ["metric > {low:String}"], {"low": pack.after}
    if not pack.after:
        parts = ["metric >= {low:String}"]
    if pack.upto is not None:
        parts.append("metric <= {high:String}")
        bound["high"] = pack.upto
    if pack.parts > 1:
        edges = [(1 << 64) * part // pack.parts for part in (pack.part, pack.part + 1)]
        parts.append(f"fp >= {edges[0]} AND fp <= {edges[1] - 1}")
    return " AND ".join(parts), bound
