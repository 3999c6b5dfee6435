"""Where samples are read from: as they were sent, downsampled to 5 minutes or 1 hour, or stitched together.

In: what a query wants (a function, steps, a window) and how far downsampling and retention have come. Out: a `Source`,
and the SQL that stands for `samples` in the statement. A bucket appears there as a few *virtual samples* with the same
columns, so that the same grid functions answer: the first and last sample of a counter at their times (and between them
a reset that takes as much as the real ones did), or a total at the bucket's end. Who fills the tables is downsample.py.

The sources are exchanged only where the answer stays the same: steps and windows of whole buckets, or one window whose
ragged ends are read raw. Where the samples are gone, the buckets answer as well as they can (docs/retention.md).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from aiprism.model.samples import STALE_NAN_BITS
from aiprism.store.engine import Engine
from aiprism.store.usage import Marks
from aiprism.telemetry import Telemetry

HOUR_MS = 3_600_000
FINE, COARSE = ("samples_5m", 300_000), ("samples_1h", HOUR_MS)
RAW = "samples"

# Names of marks. Everything up to DOWNSAMPLED is in both tables; before RAW_FROM there are no samples, before FINE_FROM
# no buckets of 5 minutes. Unix seconds.
DOWNSAMPLED, RAW_FROM, FINE_FROM = "downsampled", "raw_from", "fine_from"

# Fewer buckets than this are not worth it: raw samples are as quick and as fresh as can be.
_WORTH_BUCKETS = 24
_REREAD_SECONDS = 15.0

_ZERO = "fromUnixTimestamp64Milli(toInt64(0), 'UTC')"
_STALE = f"reinterpretAsFloat64(toUInt64({STALE_NAN_BITS}))"
_ENDS = "if(count > 1, [(first_ts, first), (last_ts, last)], if(count = 1, [(first_ts, first)], []))"
_MARKER = f"if(stale_ts > {_ZERO}, [(stale_ts, {_STALE})], [])"
_RESET = (
    "[(first_ts, first), (last_ts - toIntervalMillisecond(2), lost), (last_ts - toIntervalMillisecond(1), 0.), "
    "(last_ts, last)]"
)


class Shape(Enum):
    """What a bucket is replaced by; the value is SQL for an array of (ts, value)."""

    POINTS = f"arrayConcat({_ENDS}, {_MARKER})"
    COUNTER = f"if(lost > 0 AND last_ts > first_ts + toIntervalMillisecond(2), {_RESET}, {_ENDS})"
    SUM = "if(count > 0, [(toDateTime64(bucket, 3, 'UTC'), sum)], [])"
    COUNT = "if(count > 0, [(toDateTime64(bucket, 3, 'UTC'), toFloat64(count))], [])"
    MIN = "if(count > 0, [(toDateTime64(bucket, 3, 'UTC'), min)], [])"
    MAX = "if(count > 0, [(toDateTime64(bucket, 3, 'UTC'), max)], [])"


# Where a series begins, ends or pauses within a window, Prometheus extrapolates by the mean gap between samples, which
# virtual samples overstate. In a window of twelve buckets that is 5 % at most, and nothing where samples are regular.
_LEAST_BUCKETS = {Shape.COUNTER: 12}

# PromQL functions (and the planner's names of plain selectors) that whole buckets answer, and how; these at any window.
_LAST = frozenset({"latest", "timestamp", "last_over_time"})
SHAPES = {
    "rate": Shape.COUNTER,
    "increase": Shape.COUNTER,
    "sum_over_time": Shape.SUM,
    "avg_over_time": Shape.SUM,
    "count_over_time": Shape.COUNT,
    "min_over_time": Shape.MIN,
    "max_over_time": Shape.MAX,
    "first_over_time": Shape.POINTS,
    **dict.fromkeys(_LAST, Shape.POINTS),
}


@dataclass(frozen=True, slots=True)
class Segment:
    """Samples of (after, until], Unix ms, out of one table."""

    table: str
    after_ms: int
    until_ms: int


@dataclass(frozen=True, slots=True)
class Source:
    """The segments of a read in order of time; no segments means `samples` alone. `window_ms` is the window to use."""

    segments: Sequence[Segment]
    shape: Shape
    window_ms: int

    @property
    def rolled(self) -> bool:
        """True when any of it is downsampled."""
        return bool(self.segments)

    def with_shape(self, shape: Shape) -> Source:
        """The same segments, buckets replaced otherwise."""
        return Source(self.segments, shape, self.window_ms)

    def relation(self, whose: str, sent: str = RAW) -> str:
        """What stands after FROM: a table with the columns metric, fp, ts, value. `whose` is a condition on metric and fp,
        `sent` what stands for `samples`."""
        if not self.segments:
            return sent
        return f"({' UNION ALL '.join(self._part(segment, whose, sent) for segment in self.segments)})"

    def _part(self, segment: Segment, whose: str, sent: str) -> str:
        after, until = segment.after_ms, segment.until_ms
        if segment.table == RAW:
            value = "1." if self.shape is Shape.COUNT else "value"
            return (
                f"SELECT metric, fp, ts, {value} AS value FROM {sent} WHERE {whose} "  # the marker counts for nothing:
                + ("" if self.shape is Shape.POINTS else f"AND reinterpretAsUInt64({RAW}.value) != {STALE_NAN_BITS} ")
                + f"AND ts > fromUnixTimestamp64Milli(toInt64({after}), 'UTC') "
                f"AND ts <= fromUnixTimestamp64Milli(toInt64({until}), 'UTC')"
            )
        return (
            f"SELECT metric, fp, point.1 AS ts, point.2 AS value FROM (SELECT metric, fp, arrayJoin({self.shape.value}) AS point "
            f"FROM {segment.table} FINAL WHERE {whose} AND bucket > fromUnixTimestamp({after // 1000}) "
            f"AND bucket <= fromUnixTimestamp({until // 1000}))"
        )

    def __str__(self) -> str:
        return " + ".join(segment.table for segment in self.segments) or RAW


@dataclass(frozen=True, slots=True)
class Reach:
    """How far everything goes, Unix ms: downsampled up to, samples from, buckets of 5 minutes from."""

    downsampled: int = 0
    raw_from: int = 0
    fine_from: int = 0


def choose(function: str, start_ms: int, step_ms: int, count: int, window_ms: int, reach: Reach) -> Source:
    """The source for `function` over windows (t - window, t] that end at `count` times from `start_ms`.

    The coarsest buckets that give the same answer as raw samples, if they are many; raw samples where there are any; and
    buckets where there are not.
    """
    first_ms, last_ms = start_ms - window_ms, start_ms + (count - 1) * step_ms
    shape = SHAPES.get(function, Shape.POINTS)
    if function in SHAPES:
        for table, size in (COARSE, FINE):
            few = last_ms - first_ms < _WORTH_BUCKETS * size or window_ms < _LEAST_BUCKETS.get(shape, 0) * size
            if few or (table == FINE[0] and first_ms < reach.fine_from):
                continue
            found = _exact(function, table, size, start_ms, step_ms, count, window_ms, reach)
            if found:
                return Source(found, shape, window_ms)
    if first_ms < reach.raw_from:
        return _remains(shape, first_ms, last_ms, step_ms, window_ms, reach)
    return Source((), shape, window_ms)


def _exact(
    function: str, table: str, size: int, start_ms: int, step_ms: int, count: int, window_ms: int, reach: Reach
) -> Sequence[Segment]:
    """Segments that answer as raw samples would, none if these buckets cannot."""
    first_ms, last_ms = start_ms - window_ms, start_ms + (count - 1) * step_ms
    whole_steps = start_ms % size == 0 and (count == 1 or step_ms % size == 0)
    if whole_steps and (window_ms % size == 0 or function in _LAST):
        edge = min(last_ms, reach.downsampled)
        return _stitched(Segment(table, first_ms // size * size, edge), Segment(RAW, edge, last_ms))
    if count == 1 and first_ms >= reach.raw_from:
        # One window: its ragged ends raw, what lies between in buckets.
        begin, end = -(-first_ms // size) * size, min(last_ms // size * size, reach.downsampled)
        return _stitched(Segment(RAW, first_ms, begin), Segment(table, begin, end), Segment(RAW, end, last_ms))
    return ()


def _remains(shape: Shape, first_ms: int, last_ms: int, step_ms: int, window_ms: int, reach: Reach) -> Source:
    """The samples are gone: buckets up to where there are samples again, and windows no smaller than a bucket."""
    edge = min(-(-reach.raw_from // HOUR_MS) * HOUR_MS, reach.downsampled)
    edge = min(edge, -(-last_ms // HOUR_MS) * HOUR_MS)
    coarse_until = edge if min(step_ms, window_ms) >= 24 * HOUR_MS else min(edge, reach.fine_from)
    size = COARSE[1] if first_ms < coarse_until else FINE[1]
    begin = (first_ms - max(0, size - window_ms)) // size * size
    segments = _stitched(
        Segment(COARSE[0], begin, coarse_until),
        Segment(FINE[0], max(begin, coarse_until), edge),
        Segment(RAW, max(begin, edge), last_ms),
    )
    return Source(segments or (Segment(RAW, first_ms, last_ms),), shape, max(window_ms, size))


def _stitched(*segments: Segment) -> Sequence[Segment]:
    some = tuple(each for each in segments if each.after_ms < each.until_ms)
    return some if any(each.table != RAW for each in some) else ()


class Rollups:
    """How far downsampling has come, as readers know it; read anew now and then, and at once where it is this process's."""

    def __init__(self, engine: Engine, now: Callable[[], float], telemetry: Telemetry | None = None) -> None:
        self._marks, self._now, self._telemetry = Marks(engine), now, telemetry
        self._reach = Reach()
        self._read_at: float | None = None

    @property
    def reach(self) -> Reach:
        """How far everything goes, a few seconds old at most."""
        if self._read_at is None or not 0 <= self._now() - self._read_at < _REREAD_SECONDS:
            self.reread()
        return self._reach

    def reread(self) -> None:
        """Take notice of what has changed."""
        marks = self._marks.all()
        self._reach = Reach(*(marks.get(name, 0) * 1000 for name in (DOWNSAMPLED, RAW_FROM, FINE_FROM)))
        self._read_at = self._now()

    def choice(self, function: str, start_ms: int, step_ms: int, count: int, window_ms: int) -> Source:
        """See `choose`; nothing is read."""
        return choose(function, start_ms, step_ms, count, window_ms, self.reach)

    def source(self, function: str, start_ms: int, step_ms: int, count: int, window_ms: int) -> Source:
        """See `choose`; what is read is counted, as the stages `query.samples`, `query.samples_5m`, `query.samples_1h`."""
        chosen = self.choice(function, start_ms, step_ms, count, window_ms)
        if self._telemetry:
            for table in {segment.table for segment in chosen.segments} or {RAW}:
                self._telemetry.passed(f"query.{table}")
        return chosen
