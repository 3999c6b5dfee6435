"""The data points of OTLP metrics, kind by kind, made samples.

In: the data of one Metric message. Out: rows in `Columns`. Cumulative values go on as they are; deltas are added up
(delta.py); exponential histograms become native ones (exponential.py); a point that says "no recorded value" becomes the
staleness marker; a counter or histogram that has just begun gets a zero after its start time. A point's series are found
by its identity: what is left of the message when its values are taken out, which is cheaper than building a key.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Hashable, Iterable, Mapping, Sequence
from functools import partial
from operator import add
from typing import Any, NamedTuple, TypeVar

from aiprism.config import OtlpConfig
from aiprism.errors import BadInput
from aiprism.model.histograms import STALE_HISTOGRAM, NativeHistogram
from aiprism.model.samples import STALE_NAN
from aiprism.receive import explicit, exponential
from aiprism.receive.delta import Deltas
from aiprism.receive.explicit import Explicit
from aiprism.receive.exponential import Exponential
from aiprism.receive.items import ANYTHING, Bounds, OutOfBounds, time_fault
from aiprism.receive.otlp_batch import Columns
from aiprism.receive.otlp_names import bucket_edge
from aiprism.receive.otlp_series import ONE, Family, Stream, Streams
from aiprism.store.anyvalue import text_value
from aiprism.store.batches import Exemplar

T = TypeVar("T")

DELTA, CUMULATIVE = 1, 2  # AggregationTemporality

_NO_RECORDED_VALUE = 1  # DataPointFlags.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK
_LATEST_NS = 2**63  # times are kept as Int64
_MS = 1_000_000

# What of a data point is a value and not part of its identity.
_OF_ALL = ("start_time_unix_nano", "time_unix_nano", "flags", "count", "sum")
_OF_HISTOGRAM = (*_OF_ALL, "bucket_counts", "exemplars", "min", "max")
_OF_EXPONENTIAL = (
    *_OF_ALL, "scale", "zero_count", "zero_threshold", "positive", "negative", "exemplars", "min", "max",
)  # fmt: skip
_OF_SUMMARY = (*_OF_ALL, "quantile_values")
_WITH_TEMPORALITY = ("sum", "histogram", "exponential_histogram")


class _Moment(NamedTuple):
    """The interval of a data point, and when its request arrived (Unix seconds)."""

    start_ns: int
    end_ns: int
    now: float
    earliest_ns: int = 0  # what samples may not be older than

    @property
    def ms(self) -> int:
        return self.end_ns // _MS


class Points:
    """Reads data points; remembers what deltas have added up to. Not thread-safe."""

    def __init__(self, streams: Streams, config: OtlpConfig, *, alone: bool = True) -> None:
        self._streams, self._config = streams, config
        limit, idle = config.delta_streams, config.delta_idle
        # A histogram takes the memory of about ten sums, an exponential one that of twenty.
        self._numbers_so_far: Deltas[float] = Deltas(add, limit=limit, idle=idle, alone=alone)
        self._explicit_so_far: Deltas[Explicit] = Deltas(explicit.added, limit=-(-limit // 10), idle=idle, alone=alone)
        self._exponential_so_far: Deltas[Exponential] = Deltas(
            exponential.added, limit=-(-limit // 20), idle=idle, alone=alone
        )
        self._levels: dict[int, float] = {}
        self._zero_ns = round(config.start_zeros * 1e9)

    def seed(self, levels: Mapping[int, float]) -> None:
        """The last stored values of series that `Columns.levels` asked for, by fingerprint, for the next request alone."""
        self._levels = dict(levels)

    def read(self, columns: Columns, family: Family, data: Any, now: float, within: Bounds = ANYTHING) -> None:
        """Add every data point of `data` to `columns`, or reject it there."""
        delta = family.kind in _WITH_TEMPORALITY and data.aggregation_temporality == DELTA
        if family.kind in ("gauge", "sum"):
            self._numbers(columns, family, data.data_points, now, within, delta=delta)
            return
        reader = {
            "histogram": self._histogram,
            "exponential_histogram": self._exponential,
            "summary": self._summary,
        }[family.kind]
        for point in data.data_points:
            moment = _Moment(point.start_time_unix_nano, point.time_unix_nano, now, within.earliest_ns)
            try:
                _check_time(moment.end_ns, within)
                columns.streams.append(reader(columns, family, point, moment, delta))
            except BadInput as refused:
                columns.reject(family.sent_name, str(refused), code=refused.code)
                columns.streams.append(None)
            else:
                columns.points += 1

    # -- numbers -------------------------------------------------------------------------------------------------

    def _numbers(
        self, columns: Columns, family: Family, points: Iterable[Any], now: float, within: Bounds, *, delta: bool
    ) -> None:
        # One straight loop: most points go through here.
        streams, counter, earliest_ns = family.streams, family.counter, within.earliest_ns
        for point in points:
            start_ns, end_ns = point.start_time_unix_nano, point.time_unix_nano
            which, stale = point.WhichOneof("value"), point.flags & _NO_RECORDED_VALUE
            value: float = STALE_NAN if stale else point.as_int if which == "as_int" else point.as_double
            exemplars = list(point.exemplars)
            point.start_time_unix_nano = point.time_unix_nano = point.flags = 0
            if which:
                point.ClearField(which)
            if exemplars:
                point.ClearField("exemplars")
            raw = point.SerializeToString()
            try:
                _check_time(end_ns, within)
                if not which and not stale:
                    raise BadInput("data point without a value")
                stream = streams.get(raw) or self._streams.stream(family, raw, point.attributes)
                if delta and not stale:
                    value = self._number_so_far(
                        columns, family, stream, _Moment(start_ns, end_ns, now, earliest_ns), value
                    )
                elif counter and start_ns != stream.start_ns:
                    self._begin_number(columns, stream, _Moment(start_ns, end_ns, now, earliest_ns))
            except BadInput as refused:
                columns.reject(family.sent_name, str(refused), code=refused.code)
                columns.streams.append(None)
                continue
            columns.streams.append(stream)
            columns.positions.append(stream.positions[0])
            columns.ts_ms.append(end_ns // _MS)
            columns.values.append(value)
            columns.points += 1
            if exemplars:
                _add_exemplars(columns, exemplars, stream.positions)

    def _begin_number(self, columns: Columns, stream: Stream, moment: _Moment) -> None:
        if zero_ms := self._begins(columns, stream, moment):
            columns.add(stream.positions, zero_ms, (0.0,))

    def _number_so_far(self, columns: Columns, family: Family, stream: Stream, moment: _Moment, value: float) -> float:
        if not math.isfinite(value):
            raise BadInput(f"delta point whose value is {value}")
        since = None
        if not family.counter and not self._numbers_so_far.continues(stream.identity, moment.start_ns):
            # A level that goes up and down is what it was before it came to this process, plus what comes.
            if stream.identity not in self._levels:
                columns.levels.append((family.name, stream.identity))
            since = self._levels.get(stream.identity, 0.0)
        total, zero_ms = _so_far(self._numbers_so_far, columns, stream, moment, value, since=since)
        if since is not None:
            self._levels[stream.identity] = total  # should the next point of the request not continue this one
        if zero_ms and family.counter:
            columns.add(stream.positions, zero_ms, (0.0,))
        return total

    # -- histograms and summaries --------------------------------------------------------------------------------

    def _histogram(self, columns: Columns, family: Family, point: Any, moment: _Moment, delta: bool) -> Stream:
        stale, exemplars = bool(point.flags & _NO_RECORDED_VALUE), list(point.exemplars)
        bounds = explicit.bounds_of(point)
        one = explicit.of_point(point, bounds)
        native = self._config.convert_histograms_to_nhcb
        has_sum = stale or one.sum is not None
        if not bounds:  # of no buckets, whatever bounds it names: it must not be taken for a stream that has them
            point.ClearField("explicit_bounds")
        raw = _identity(point, _OF_HISTOGRAM) + (b"s" if has_sum else b"")
        stream = family.streams.get(raw)
        if stream is None:
            layout = ONE if native else _bucket_layout(bounds, has_sum=has_sum)
            stream = self._streams.stream(family, raw, point.attributes, layout)
        if stale:
            _add_stale(columns, stream, moment, native=native)
            return stream
        if delta:
            one, zero_ms = _so_far(self._explicit_so_far, columns, stream, moment, one, shape=(bounds, has_sum))
        else:
            zero_ms = self._begins(columns, stream, moment)
        _add_explicit(columns, stream, moment.ms, zero_ms, one, native=native)
        _add_exemplars(columns, exemplars, stream.positions, () if native else bounds)
        return stream

    def _exponential(self, columns: Columns, family: Family, point: Any, moment: _Moment, delta: bool) -> Stream:
        stale, exemplars = bool(point.flags & _NO_RECORDED_VALUE), list(point.exemplars)
        one = exponential.of_point(point)
        raw = _identity(point, _OF_EXPONENTIAL)
        stream = family.streams.get(raw) or self._streams.stream(family, raw, point.attributes)
        if stale:
            _add_stale(columns, stream, moment, native=True)
            return stream
        if delta:
            one, zero_ms = _so_far(self._exponential_so_far, columns, stream, moment, one)
        else:
            zero_ms = self._begins(columns, stream, moment)
        if zero_ms:
            columns.add_histogram(stream, zero_ms, NativeHistogram(one.scale, 0.0, 0.0, one.zero_threshold))
        columns.add_histogram(stream, moment.ms, exponential.native(one))
        _add_exemplars(columns, exemplars, stream.positions)
        return stream

    def _summary(self, columns: Columns, family: Family, point: Any, moment: _Moment, delta: bool) -> Stream:
        quantiles = [each.quantile for each in point.quantile_values]
        values = [*(each.value for each in point.quantile_values), point.count, point.sum]
        stale = bool(point.flags & _NO_RECORDED_VALUE)
        raw = _identity(point, _OF_SUMMARY) + array("d", quantiles).tobytes()
        stream = family.streams.get(raw)
        if stream is None:
            layout = [("", "quantile", bucket_edge(each)) for each in quantiles]
            stream = self._streams.stream(
                family, raw, point.attributes, [*layout, ("_count", "", ""), ("_sum", "", "")]
            )
        if stale:
            _add_stale(columns, stream, moment, native=False)
            return stream
        if zero_ms := self._begins(columns, stream, moment):
            columns.add(stream.positions[-2:], zero_ms, (0.0, 0.0))
        columns.add(stream.positions, moment.ms, values)
        return stream

    def _begins(self, columns: Columns, stream: Stream, moment: _Moment) -> int:
        """Where a zero belongs before this cumulative point, in Unix ms: the first of its start time, which is not long
        ago. 0 when nowhere."""
        if moment.start_ns in (0, stream.start_ns):  # 0 says nothing, and so nothing new
            return 0
        columns.undo.append((stream, partial(setattr, stream, "start_ns", stream.start_ns)))
        stream.start_ns = moment.start_ns
        # A point that starts when it ends says that its start is unknown: its value is where counting begins from.
        recent = 0 < moment.end_ns - moment.start_ns <= self._zero_ns
        return _zero_ms(moment) if recent else 0


# -- what all kinds share ------------------------------------------------------------------------------------------------


def _check_time(end_ns: int, within: Bounds) -> None:
    if not 0 < end_ns < _LATEST_NS:
        raise BadInput("data point whose time_unix_nano is missing or lies after the year 2262")
    if fault := time_fault("data point", end_ns, within):
        raise OutOfBounds(fault)


def _identity(point: Any, values: Iterable[str]) -> bytes:
    """What is left of a data point without `values`."""
    for name in values:
        point.ClearField(name)
    raw: bytes = point.SerializeToString()
    return raw


def _so_far(
    known: Deltas[T],
    columns: Columns,
    stream: Stream,
    moment: _Moment,
    value: T,
    *,
    shape: Hashable = None,
    since: T | None = None,
) -> tuple[T, int]:
    """What a stream has added up to with this delta, and where a zero belongs before it (Unix ms; 0: nowhere)."""
    total = known.add(
        stream.identity,
        moment.start_ns,
        moment.end_ns,
        value,
        now=moment.now,
        shape=shape,
        since=since,
        undo=lambda step: columns.undo.append((stream, step)),
    )
    return total.value, _zero_ms(moment) if total.begins else 0


def _zero_ms(moment: _Moment) -> int:
    """Just after the start of a point's interval, which is open on that side: the sample at the start is another's."""
    known = moment.start_ns and moment.start_ns >= moment.earliest_ns
    return min(moment.start_ns // _MS + 1, moment.ms - 1) if known else moment.ms - 1


def _bucket_layout(bounds: Sequence[float], *, has_sum: bool) -> list[tuple[str, str, str]]:
    buckets = [("_bucket", "le", bucket_edge(bound)) for bound in (*bounds, math.inf)]
    return [*buckets, ("_count", "", ""), *([("_sum", "", "")] if has_sum else [])]


def _add_explicit(columns: Columns, stream: Stream, ts_ms: int, zero_ms: int, one: Explicit, *, native: bool) -> None:
    if native:
        if zero_ms:
            columns.add_histogram(stream, zero_ms, explicit.native(explicit.nothing(one)))
        columns.add_histogram(stream, ts_ms, explicit.native(one))
        return
    if zero_ms:
        columns.add(stream.positions, zero_ms, [0.0] * len(stream.positions))
    columns.add(stream.positions, ts_ms, one.cumulative())


def _add_stale(columns: Columns, stream: Stream, moment: _Moment, *, native: bool) -> None:
    if native:
        columns.add_histogram(stream, moment.ms, STALE_HISTOGRAM)
    else:
        columns.add(stream.positions, moment.ms, [STALE_NAN] * len(stream.positions))


def _add_exemplars(
    columns: Columns, exemplars: Iterable[Any], positions: Sequence[int], bounds: Sequence[float] = ()
) -> None:
    columns.exemplars += [exemplar_of(each, positions, bounds) for each in exemplars]


def exemplar_of(message: Any, positions: Sequence[int], bounds: Sequence[float]) -> Exemplar:
    """An Exemplar message, of the bucket that its value is in where there are several."""
    value = float(message.as_int) if message.HasField("as_int") else message.as_double
    labels = {pair.key: text_value(pair.value) for pair in message.filtered_attributes}
    position = positions[bisect_left(bounds, value)] if value == value else positions[len(bounds)]  # NaN: the last
    ts_ms = message.time_unix_nano // _MS
    # An id of another length leads nowhere; what was measured is still an example.
    trace_id = message.trace_id if len(message.trace_id) == 16 else b""
    span_id = message.span_id if len(message.span_id) == 8 else b""
    return Exemplar(position, ts_ms, value, trace_id, span_id, labels)
