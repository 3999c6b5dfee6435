"""The machine code reads what the decoder would, and leaves to it whatever is not plain."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AggregationTemporality,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
)

from aiprism.config import OtlpConfig
from aiprism.errors import BadInput, TooMany
from aiprism.model.labels import Labels
from aiprism.receive import otlpscan
from aiprism.receive.items import Bounds
from aiprism.receive.otlp import metrics_request
from aiprism.receive.otlp_bodies import WORTH_COMPILING, MetricBodies
from aiprism.receive.otlp_metrics import Decoded, MetricDecoder
from aiprism.store.batches import SampleBatch
from aiprism.store.series import SeriesIndex
from aiprism.store.writing import Admitted

S = 1_000_000_000
AT = 1_790_000_000 * S


class Reading:
    """Bodies read by machine code, or message by message, into an index of its own."""

    def __init__(self, *, compiled: bool, **settings: Any) -> None:
        self.index = SeriesIndex()
        self.full = False
        config = OtlpConfig(**settings)
        self._reader = MetricBodies(self._admit, config, compiled=compiled)
        self._compiled = compiled
        self._plain = MetricDecoder(self._admit, config)

    def decode(self, body: bytes) -> Decoded:
        if self._compiled:
            return self._reader.decode(body, 0.0)
        return self._plain.decode(metrics_request(body), 0.0)

    def undo(self, decoded: Decoded) -> None:
        (self._reader if self._compiled else self._plain).undo(decoded)

    def _admit(self, sets: Any) -> Any:
        room = (lambda fresh: 0) if self.full else None
        return Admitted(self.index.admit(sets, 0.0, room), TooMany("enough") if self.full else None)

    def rows(self, batch: SampleBatch) -> set[tuple[str, int, int]]:
        """(series, time, bits of the value), each once."""
        names = [repr(Labels(pairs)) for pairs in self.index.labels(batch.positions)]
        bits = batch.values.view(np.uint64)
        return set(zip(names, batch.ts_ms.tolist(), bits.tolist(), strict=True))

    def shown(self, batch: SampleBatch) -> list[tuple[str, int, float, bytes]]:
        """(series, time, value, trace) of the exemplars."""
        names = self.index.labels(np.array([each.position for each in batch.exemplars], dtype=np.int64))
        rows = zip(names, batch.exemplars, strict=True)
        return sorted((repr(name), each.ts_ms, each.value, each.trace_id) for name, each in rows)


def body(*metrics: Metric, service: str = "api", at: int = 0) -> bytes:
    made = ExportMetricsServiceRequest()
    resource = made.resource_metrics.add()
    for key, value in (("service.name", service), ("host.name", "h")):
        resource.resource.attributes.add(key=key).value.string_value = value
    resource.scope_metrics.add(metrics=metrics, schema_url="https://scope").scope.name = "lib"
    resource.schema_url = "https://resource"
    return made.SerializeToString()


def with_attributes(point: Any, attributes: dict[str, str]) -> Any:
    for key, value in attributes.items():
        point.attributes.add(key=key).value.string_value = value
    return point


def counter(value: int = 5, start: int = AT - 10 * S, end: int = AT, name: str = "jobs", count: int = 1) -> Any:
    made: Any = Metric(name=name)
    made.sum.aggregation_temporality, made.sum.is_monotonic = 2, True
    for at in range(count):
        point = made.sum.data_points.add(as_int=value, start_time_unix_nano=start, time_unix_nano=end)
        with_attributes(point, {"at": str(at)})
    return made


def latency(end: int = AT) -> Any:
    made: Any = Metric(name="latency", unit="s")
    made.histogram.aggregation_temporality = 2
    point = made.histogram.data_points.add(
        time_unix_nano=end, count=6, sum=12.5, bucket_counts=[1, 2, 3], explicit_bounds=[1, 5]
    )
    point.exemplars.add(time_unix_nano=AT, as_double=3.0, trace_id=b"\1" * 16, span_id=b"\2" * 8)
    with_attributes(point, {"route": "/"})
    return made


SENT: bytes = body(counter(count=2), latency())


ATTRIBUTES = st.dictionaries(st.sampled_from(["a", "b", "le"]), st.sampled_from(["", "x", "y"]), max_size=3)
TIMES = st.sampled_from([0, AT, AT + 10 * S, AT + 400 * S, 2**63])
STARTS = st.sampled_from([0, AT - 20 * S, AT - 10 * S])


@st.composite
def numbers(draw: st.DrawFn) -> Any:
    made = NumberDataPoint(
        time_unix_nano=draw(TIMES), start_time_unix_nano=draw(STARTS), flags=draw(st.sampled_from([0, 0, 0, 1]))
    )
    kind = draw(st.sampled_from(["int", "double", "none"]))
    if kind == "int":
        made.as_int = draw(st.integers(-(2**63), 2**63 - 1))
    elif kind == "double":
        made.as_double = draw(st.floats(allow_nan=False))
    if draw(st.integers(0, 5)) == 0:
        made.exemplars.add(time_unix_nano=AT, as_int=1, trace_id=b"\1" * 16)
    return with_attributes(made, draw(ATTRIBUTES))


@st.composite
def histograms(draw: st.DrawFn) -> Any:
    bounds = draw(st.sampled_from([[], [1.0], [1.0, 5.0], [5.0, 1.0], [1.0, float("inf")]]))
    counts = draw(st.lists(st.integers(0, 9), min_size=len(bounds) + 1, max_size=len(bounds) + 1))
    made = HistogramDataPoint(
        time_unix_nano=draw(TIMES),
        start_time_unix_nano=draw(STARTS),
        explicit_bounds=bounds,
        bucket_counts=draw(st.sampled_from([counts, counts, counts, []])),
        count=sum(counts) + draw(st.sampled_from([0, 0, 0, 1])),
        flags=draw(st.sampled_from([0, 0, 0, 1])),
        min=1.0,
        max=2.0,
    )
    for value in draw(st.lists(st.sampled_from([0.5, 1.0, 3.0, 9.0]), max_size=2)):
        made.exemplars.add(time_unix_nano=AT, as_double=value)
    if draw(st.booleans()):
        made.sum = 2.5
    return with_attributes(made, draw(ATTRIBUTES))


@st.composite
def metrics(draw: st.DrawFn) -> Any:
    made: Any = Metric(name=draw(st.sampled_from(["m", "n", "!", ""])), unit=draw(st.sampled_from(["", "s"])))
    kind = draw(st.sampled_from(["gauge", "sum", "sum", "histogram", "histogram", "summary", "none"]))
    if kind == "gauge":
        made.gauge.data_points.extend(draw(st.lists(numbers(), max_size=3)))
    elif kind == "sum":
        made.sum.data_points.extend(draw(st.lists(numbers(), max_size=3)))
        made.sum.is_monotonic = draw(st.booleans())
        made.sum.aggregation_temporality = draw(st.sampled_from([2, 2, 2, 0]))
    elif kind == "histogram":
        made.histogram.data_points.extend(draw(st.lists(histograms(), max_size=3)))
        made.histogram.aggregation_temporality = 2
    elif kind == "summary":
        made.summary.data_points.add(time_unix_nano=AT, count=1, sum=2)
    return made


@pytest.mark.parametrize("scope", [False, True])
@settings(max_examples=150, deadline=None)
@given(bodies=st.lists(st.lists(metrics(), max_size=3), min_size=1, max_size=3))
def test_both_ways_give_the_same(scope: bool, bodies: list[list[Metric]]) -> None:
    ways = [Reading(compiled=compiled, promote_scope_metadata=scope) for compiled in (True, False)]
    stored = set()
    for each in [*bodies, *bodies]:  # the second time everything is known
        sent = body(*each)
        fast, slow = (way.decode(sent) for way in ways)
        assert (fast.points, fast.rejected, fast.reason) == (slow.points, slow.rejected, slow.reason)
        rows = [way.rows(decoded.batch) for way, decoded in zip(ways, (fast, slow), strict=True)]
        info = [{row for row in of if "target_info" in row[0]} for of in rows]
        # Of a stream that names two start times one way may bring a zero again that is stored already.
        repeated = (rows[0] - info[0]) ^ (rows[1] - info[1])
        assert {row for row in repeated if row not in stored or row[2] != 0} == set()
        stored |= rows[0] & rows[1]
        assert info[0] >= info[1]  # where both ways had part, both bring it
        shown = [way.shown(decoded.batch) for way, decoded in zip(ways, (fast, slow), strict=True)]
        assert shown[0] == shown[1]


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=60)
    | st.builds(
        lambda at, octet: b"".join((SENT[: at % len(SENT)], bytes([octet]), SENT[at % len(SENT) + 1 :])),
        st.integers(0, 10_000),
        st.integers(0, 255),
    )
)
def test_damaged_bodies_are_refused_or_read_as_protobuf_reads_them(damaged: bytes) -> None:
    ways = [Reading(compiled=compiled) for compiled in (True, False)]
    for way in ways:
        way.decode(SENT)
    try:
        slow = ways[1].decode(damaged)
    except BadInput:
        with pytest.raises(BadInput):
            ways[0].decode(damaged)
        return
    fast = ways[0].decode(damaged)
    assert (fast.points, fast.rejected) == (slow.points, slow.rejected)
    assert ways[0].rows(fast.batch) == ways[1].rows(slow.batch)


def test_a_body_of_many_tiny_messages_is_read_as_any_other() -> None:
    gauge: Any = Metric(name="g")
    gauge.gauge.data_points.add(time_unix_nano=AT, as_int=1).exemplars.add(
        time_unix_nano=AT, as_int=1, trace_id=b"1" * 16
    )
    for _ in range(2000):
        gauge.gauge.data_points[0].exemplars.add()
    sent = body(*[Metric()] * 2000, gauge)
    ways = [Reading(compiled=compiled) for compiled in (True, False)]
    for _ in range(2):  # the second time the point is read where it lies, and its exemplars are noted
        fast, slow = (way.decode(sent) for way in ways)
        assert (fast.points, fast.rejected, fast.reason) == (slow.points, slow.rejected, slow.reason)
        assert ways[0].shown(fast.batch) == ways[1].shown(slow.batch) != []
    assert left(ways[0], sent) == 2000


def left(reading: Reading, sent: bytes) -> int:
    """How many points of `sent` the machine code leaves to the decoder."""
    known = reading._reader._known
    assert known is not None
    scanned = otlpscan.scan(sent, known, reading._reader._salt, (0, 2**63), histograms=True)
    assert scanned
    return len(scanned.left)


def test_what_was_met_once_is_read_by_machine_code() -> None:
    reading = Reading(compiled=True)
    assert left(reading, SENT) == 3
    first, second = reading.decode(SENT), reading.decode(SENT)
    assert left(reading, SENT) == 0
    assert (first.points, second.points) == (3, 3)
    zeros = {row for row in reading.rows(first.batch) if row[2] == 0}
    assert reading.rows(first.batch) - reading.rows(second.batch) == zeros
    assert len(zeros) == 2


def test_one_new_stream_does_not_slow_its_neighbours() -> None:
    reading = Reading(compiled=True)
    reading.decode(body(counter(count=50)))
    assert left(reading, body(counter(count=51))) == 1


def test_a_new_start_time_is_looked_at_once() -> None:
    reading = Reading(compiled=True)
    reading.decode(body(counter()))
    restarted = body(counter(start=AT + S, end=AT + 5 * S))
    rows = reading.rows(reading.decode(restarted).batch)
    assert {
        (ts_ms - AT // 1_000_000, np.uint64(bits).view(np.float64)) for name, ts_ms, bits in rows if "jobs" in name
    } == {
        (1001, 0.0),
        (5000, 5.0),
    }
    assert left(reading, restarted) == 0


def test_a_batch_that_was_not_stored_is_read_anew() -> None:
    reading = Reading(compiled=True)
    first = reading.decode(body(counter()))
    reading.undo(first)
    assert reading.rows(reading.decode(body(counter())).batch) == reading.rows(first.batch)


def test_nothing_is_remembered_of_a_request_that_was_not_admitted() -> None:
    reading = Reading(compiled=True)
    reading.full = True
    decoded = reading.decode(SENT)
    assert (decoded.points, decoded.rejected, decoded.batch.is_empty) == (0, 3, True)
    reading.full = False
    assert reading.decode(SENT).points == 3


def test_what_was_met_goes_on_when_there_is_no_room_for_more() -> None:
    reading = Reading(compiled=True)
    reading.decode(body(counter(count=2)))
    reading.full = True
    for _ in range(2):
        decoded = reading.decode(body(counter(count=5)))
        assert (decoded.points, decoded.rejected, decoded.reason) == (2, 3, "enough")
        assert decoded.batch.positions.min() >= 0
    reading.full = False
    assert reading.decode(body(counter(count=5))).points == 5


def test_a_target_info_for_which_there_is_no_room_costs_no_point_and_is_asked_for_again() -> None:
    def both(second: int, value: int) -> bytes:
        jobs = Metric(name="jobs")
        jobs.sum.aggregation_temporality = AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA
        jobs.sum.is_monotonic = True
        end = AT + second * S
        jobs.sum.data_points.add(start_time_unix_nano=end - S, time_unix_nano=end, as_int=value)
        level = Metric(name="level")
        level.gauge.data_points.add(time_unix_nano=end, as_double=1.0)
        return body(jobs) + body(level, service="other")

    reading = Reading(compiled=True)
    reading.decode(both(1, 1))
    streams = reading._reader._decoder._streams
    streams._targets = {raw: target for raw, target in streams._targets.items() if b"other" not in raw}
    reading.full = True
    # The name of the sender's second resource is forgotten here, and unknown to the index.
    reading.index, known = SeriesIndex(), reading.index
    reading.index.admit(
        [Labels(pairs) for pairs in known.labels(np.arange(len(known))) if "other" not in str(pairs)], 0.0
    )
    decoded = reading.decode(both(2, 10))
    assert (decoded.points, decoded.rejected, decoded.reason) == (2, 0, "enough")
    assert 11.0 in decoded.batch.values
    reading.full = False
    decoded = reading.decode(both(3, 100))
    assert (decoded.points, decoded.reason, 111.0 in decoded.batch.values) == (2, "", True)


def test_custom_buckets_are_left_to_the_decoder() -> None:
    reading = Reading(compiled=True, convert_histograms_to_nhcb=True)
    for _ in range(2):
        assert len(reading.decode(SENT).batch.histograms) == 1


def test_streams_read_fast_are_described_again_once_in_18_hours_not_all_at_once() -> None:
    index = SeriesIndex()
    reader = MetricBodies(lambda sets: Admitted(index.admit(sets, 0.0)), compiled=True)
    gauge: Any = Metric(name="gauge", description="Words.")
    gauge.gauge.data_points.add(as_int=1, time_unix_nano=AT)
    sent, now = body(gauge, latency(), *(counter(name=f"jobs_{at}") for at in range(30))), 1_790_000_000.0
    said = [len(reader.decode(sent, now + hour * 3600).batch.metadata) for hour in range(38)]
    assert said[0] == 32
    assert sum(said[1:20]) in range(32, 40)
    assert sum(said[19:]) in range(32, 40)
    assert max(said[1:]) < 12
    assert len(reader.decode(sent, now).batch) == len(reader.decode(sent, now + 50 * 86_400).batch)


def loading(reader: MetricBodies) -> Any:
    return reader._loading


def test_a_large_body_is_read_at_once_and_the_next_ones_fast() -> None:
    index = SeriesIndex()
    reader = MetricBodies(lambda sets: Admitted(index.admit(sets, 0.0)))
    large = body(counter(count=WORTH_COMPILING // 40))
    assert len(large) > WORTH_COMPILING
    assert reader.decode(body(counter()), 0.0).points == 1
    assert not loading(reader)
    assert reader.decode(large, 0.0).points == WORTH_COMPILING // 40
    loading(reader).join(timeout=120)
    assert reader.decode(large, 0.0).points == WORTH_COMPILING // 40
    assert reader.decode(large, 0.0).points == WORTH_COMPILING // 40


def test_points_out_of_bounds_are_left_to_the_decoder_which_says_so() -> None:
    index = SeriesIndex()
    reader = MetricBodies(lambda sets: Admitted(index.admit(sets, 0.0)), compiled=True)
    reader.decode(SENT, 0.0)
    assert reader.decode(SENT, 0.0, Bounds(earliest_ns=AT, latest_ns=AT, signal="samples")).points == 3
    for bounds in (Bounds(earliest_ns=AT + 1, signal="samples"), Bounds(latest_ns=AT - 1, signal="samples")):
        decoded = reader.decode(SENT, 0.0, bounds)
        assert (decoded.points, decoded.rejected) == (0, 3)
