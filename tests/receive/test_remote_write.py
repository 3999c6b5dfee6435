"""Remote-write bodies → batches: what the specification allows is stored, what it forbids is refused, one series at a time."""

from __future__ import annotations

import contextlib
import math
import struct
import tracemalloc
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiprism.errors import BadInput, Refused, TooLarge, TooMany, Unavailable
from aiprism.model.histograms import CUSTOM_BUCKETS, Buckets, NativeHistogram, ResetHint
from aiprism.model.labels import Labels
from aiprism.model.samples import STALE_NAN, is_stale
from aiprism.receive import wirescan
from aiprism.receive.inflight import InFlight, Lease, unbounded
from aiprism.receive.items import Bounds, Fault
from aiprism.receive.prometheus_proto import Request, WriteRequest
from aiprism.receive.remote_write import Decoded, RemoteWriteDecoder
from aiprism.store.batches import MetricMetadata
from aiprism.store.columns import FingerprintTable
from aiprism.store.series import SeriesIndex
from aiprism.store.writing import Admitted
from aiprism.telemetry import Telemetry
from tests.receive.room import Room

AT = 1_790_000_000_000

Pairs = dict[str, str] | Sequence[tuple[str, str]]


class Decoding:
    """A decoder with an index of its own."""

    def __init__(self, room: int = 10**9) -> None:
        self.room = Room(room)
        self.index = self.room.index
        self.decoder = RemoteWriteDecoder(self.room.admit)

    @property
    def asked(self) -> int:
        return sum(self.room.asked)

    def decode(self, message: Any, version: int = 0, now: float = 0.0) -> Decoded:
        body = message if isinstance(message, bytes) else message.SerializeToString()
        return self.decoder.decode(body, version or (2 if isinstance(message, Request) else 1), now=now)

    def samples(self, decoded: Decoded) -> list[tuple[str, int, float]]:
        labels = [repr(Labels(pairs)) for pairs in self.index.labels(decoded.batch.positions)]
        return list(zip(labels, decoded.batch.ts_ms.tolist(), decoded.batch.values.tolist(), strict=True))


def write(*series: tuple[Pairs, Sequence[tuple[int, float]]]) -> Any:
    request = WriteRequest()
    for labels, samples in series:
        message = request.timeseries.add()
        for name, value in labels.items() if isinstance(labels, dict) else labels:
            message.labels.add(name=name, value=value)
        for ts_ms, number in samples:
            message.samples.add(timestamp=ts_ms, value=number)
    return request


class Symbols:
    """A 2.0 request under construction."""

    def __init__(self) -> None:
        self.request = Request(symbols=[""])

    def ref(self, text: str) -> int:
        symbols = self.request.symbols
        if text not in symbols:
            symbols.append(text)
        return list(symbols).index(text)

    def add(self, labels: dict[str, str], *samples: tuple[int, float]):
        message = self.request.timeseries.add(labels_refs=[self.ref(part) for pair in labels.items() for part in pair])
        for ts_ms, value in samples:
            message.samples.add(timestamp=ts_ms, value=value)
        return message


def test_samples_of_both_versions_come_out_as_they_went_in() -> None:
    decoding = Decoding()
    sent = [({"__name__": "m", "a": "1"}, [(AT, 1.5), (AT + 1, -2.0)]), ({"__name__": "m", "a": "2"}, [(0, math.inf)])]
    symbols = Symbols()
    for labels, samples in sent:
        symbols.add(labels, *samples)
    wanted = [
        ('Labels(__name__="m", a="1")', AT, 1.5),
        ('Labels(__name__="m", a="1")', AT + 1, -2.0),
        ('Labels(__name__="m", a="2")', 0, math.inf),
    ]
    for request in (write(*sent), symbols.request, write(*sent), symbols.request):
        assert decoding.samples(decoding.decode(request)) == wanted
    assert len(decoding.index) == 2
    assert decoding.asked == 4  # once for each form


def test_a_series_met_before_is_known_by_its_bytes_and_by_its_labels_in_any_order() -> None:
    decoding = Decoding()
    first = decoding.decode(write(([("__name__", "m"), ("a", "1"), ("b", "")], [(AT, 1.0)])))
    again = decoding.decode(write(([("a", "1"), ("__name__", "m")], [(AT, 1.0)])))
    assert first.batch.positions.tolist() == again.batch.positions.tolist() == [0]
    assert first.written.error is None


def test_labels_and_samples_may_be_mixed_as_protobuf_allows() -> None:
    one, two = write(([("__name__", "m")], [(AT, 1.0)])), write(([("a", "x")], [(AT, 2.0)]))
    mixed = b"".join(each.timeseries[0].SerializeToString() for each in (one, two))
    body = b"\x0a" + bytes([len(mixed)]) + mixed
    decoding = Decoding()
    for _ in range(2):
        decoded = decoding.decode(body)
        assert decoding.samples(decoded) == [
            ('Labels(__name__="m", a="x")', AT, 1.0),
            ('Labels(__name__="m", a="x")', AT, 2.0),
        ]


def test_the_staleness_marker_keeps_its_bits() -> None:
    decoded = Decoding().decode(write(({"__name__": "m"}, [(AT, STALE_NAN), (AT, math.nan)])))
    assert [is_stale(value) for value in decoded.batch.values.tolist()] == [True, False]


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ([("a", "1")], "without a metric name"),
        ([], "without a metric name"),
        ([("__name__", "")], "without a metric name"),
        ([("__name__", "m"), ("", "x")], "no name"),
        ([("__name__", "m"), ("a", "1"), ("a", "2")], "'a' twice"),
    ],
)
def test_a_series_the_specification_forbids_is_refused_alone(labels: Sequence[tuple[str, str]], reason: str) -> None:
    decoding = Decoding()
    decoded = decoding.decode(write((labels, [(AT, 1.0), (AT, 2.0)]), ({"__name__": "good"}, [(AT, 3.0)])))
    assert [value for _, _, value in decoding.samples(decoded)] == [3.0]
    assert (decoded.written.samples, decoded.written.refused) == (1, 2)
    assert isinstance(decoded.written.error, BadInput)
    assert reason in str(decoded.written.error)


def test_times_that_are_none_are_refused_alone() -> None:
    decoded = Decoding().decode(write(({"__name__": "m"}, [(-1, 1.0), (AT, 2.0), (2**62, 3.0)])))
    assert decoded.batch.values.tolist() == [2.0]
    assert (decoded.written.refused, "1970" in str(decoded.written.error)) == (2, True)


def test_when_a_tenant_has_too_many_series_those_it_has_go_on_and_the_answer_is_429() -> None:
    decoding = Decoding()
    known = ({"__name__": "m"}, [(AT, 1.0)])
    decoding.decode(write(known))

    decoding.room.left = 0
    decoded = decoding.decode(write(known, ({"__name__": "n"}, [(AT, 2.0)]), ({"x": "y"}, [(AT, 2.0)])))
    assert decoded.batch.values.tolist() == [1.0]
    assert isinstance(decoded.written.error, TooMany)
    assert (decoded.written.error.retry_after, decoded.written.refused, len(decoding.index)) == (7, 2, 1)
    assert dict(decoded.written.causes) == {"max_series": 1, "bad_data": 1}
    decoding.room.left = 1
    assert len(decoding.decode(write(({"__name__": "n"}, [(AT, 2.0)]))).batch) == 1


def test_at_the_series_limit_what_exists_goes_on_and_others_come_in_while_there_is_room() -> None:
    room = Room(4)

    def written(*names: str) -> tuple[int, int]:
        body = write(*[({"__name__": name}, [(AT, 1.0)]) for name in names]).SerializeToString()
        found = RemoteWriteDecoder(room.admit).decode(bytes(body), 1).written  # as after a restart
        assert isinstance(found.error, TooMany) or not found.refused
        return found.samples, found.refused

    assert written("a", "b") == (2, 0)
    assert written("a", "n1", "b", "n2", "n3", "n4", "n5") == (4, 3)
    assert len(room.index) == 4
    assert written("a", "n1", "n5") == (2, 1)


def test_what_is_no_text_refuses_the_whole_body() -> None:
    body = write(({"__name__": "mmmm"}, [(AT, 1.0)])).SerializeToString().replace(b"mmmm", b"m\xff\xfem")
    with pytest.raises(BadInput, match="well-formed"):
        Decoding().decode(body)


SOUND = write(
    ({"__name__": "m", "a": "1", "long": "x" * 300}, [(AT, 1.0), (AT + 15_000, 2.0)]), ({"__name__": "n"}, [(AT, 1.0)])
)
SYMBOLS = Symbols()
SYMBOLS.add({"__name__": "m", "a": "1", "long": "x" * 300}, (AT, 1.0), (AT + 15_000, 2.0)).metadata.type = 1
BODIES = {1: SOUND.SerializeToString(), 2: SYMBOLS.request.SerializeToString()}


@pytest.mark.parametrize("version", [1, 2])
def test_every_cut_of_a_body_is_refused_or_is_a_body(version: int) -> None:
    message = {1: WriteRequest, 2: Request}[version]
    for size in range(len(BODIES[version])):
        cut, decoding = BODIES[version][:size], Decoding()
        try:
            parsed = message.FromString(cut)
        except Exception:  # whatever protobuf calls it
            with pytest.raises(BadInput):
                decoding.decode(cut, version)
            continue
        assert len(decoding.decode(cut, version).batch) == sum(len(each.samples) for each in parsed.timeseries)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([1, 2]), st.data())
def test_no_damage_to_a_body_is_more_than_bad_input(version: int, data: st.DataObject) -> None:
    body = bytearray(BODIES[version])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at] = data.draw(st.integers(0, 255))
    decoding = Decoding()
    try:
        batch = decoding.decode(bytes(body), version).batch
    except BadInput:
        return
    assert all(0 <= position < len(decoding.index) for position in batch.positions.tolist())


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([1, 2]), st.binary(max_size=60))
def test_no_rubbish_is_more_than_bad_input(version: int, body: bytes) -> None:
    try:
        Decoding().decode(body, version)
    except BadInput:
        return


NAMES = st.text(st.characters(codec="utf-8"), max_size=4)
SERIES = st.tuples(
    st.dictionaries(NAMES, NAMES, max_size=4),
    st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), st.floats(width=64)), max_size=3),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(SERIES, max_size=6))
def test_the_two_versions_say_the_same_and_twice_the_same(
    series: list[tuple[dict[str, str], list[tuple[int, float]]]],
) -> None:
    decoding, symbols = Decoding(), Symbols()
    for labels, samples in series:
        symbols.add(labels, *samples)
    answers = []
    for request in (write(*series), symbols.request) * 2:
        decoded = decoding.decode(request)
        bits = [struct.pack("<d", value) for value in decoded.batch.values.tolist()]
        answers.append((decoded.batch.positions.tolist(), decoded.batch.ts_ms.tolist(), bits, decoded.written.refused))
    assert answers == [answers[0]] * 4
    kept = [
        (repr(Labels(labels)), ts_ms)
        for labels, samples in series
        for ts_ms, _ in samples
        if "" not in labels and Labels(labels).name and 0 <= ts_ms < 2**43
    ]
    assert [(labels, ts_ms) for labels, ts_ms, _ in decoding.samples(decoding.decode(write(*series)))] == kept


def histogram_message(request: Any, **fields: object) -> Any:
    return request.timeseries[0].histograms.add(timestamp=AT, **fields)


def test_native_histograms_of_integers_floats_and_custom_buckets() -> None:
    request = write(({"__name__": "h"}, []))
    integers = histogram_message(
        request, count_int=21, sum=1.5, schema=3, zero_threshold=0.1, zero_count_int=2, reset_hint=2
    )
    integers.positive_spans.add(offset=-2, length=2)
    integers.positive_spans.add(offset=3, length=1)
    integers.positive_deltas.extend([4, 1, 1])
    integers.negative_spans.add(offset=0, length=1)
    integers.negative_deltas.append(4)
    floats = histogram_message(request, count_float=2.5, sum=1.0, schema=-4, zero_count_float=0.5)
    floats.positive_spans.add(offset=0, length=1)
    floats.positive_counts.append(2.0)
    custom = histogram_message(request, count_int=3, sum=1.0, schema=-53, custom_values=[0.5, 1.0])
    custom.positive_spans.add(offset=0, length=2)
    custom.positive_deltas.extend([1, 1])
    decoding = Decoding()
    decoded = decoding.decode(request)
    assert [each.histogram for each in decoded.batch.histograms] == [
        NativeHistogram(
            3, 21.0, 1.5, 0.1, 2.0, Buckets((-2, 3), (2, 1), (4.0, 5.0, 6.0)), Buckets((0,), (1,), (4.0,)),
            reset_hint=ResetHint.NO,
        ),
        NativeHistogram(-4, 2.5, 1.0, 0.0, 0.5, Buckets((0,), (1,), (2.0,))),
        NativeHistogram(CUSTOM_BUCKETS, 3.0, 1.0, positive=Buckets((0,), (2,), (1.0, 2.0)), custom_values=(0.5, 1.0)),
    ]  # fmt: skip
    assert (decoded.written.histograms, decoded.written.samples) == (3, 0)
    assert {each.position for each in decoded.batch.histograms} == {0}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"schema": 9}, "schema 9"),
        ({"positive_deltas": [1]}, "1 bucket counts for spans of 0"),
        ({"schema": -53, "custom_values": [1.0, 1.0]}, "ascend"),
        ({"schema": -53, "custom_values": [math.nan]}, "no numbers"),
        ({"schema": -53, "custom_values": [math.inf]}, "ascend"),
        ({"schema": -53, "custom_values": [1.0], "zero_count_int": 1, "count_int": 1}, "zero bucket"),
        (
            {"schema": -53, "custom_values": [1.0], "spans": [(1, 2)], "positive_deltas": [1, 0], "count_int": 2},
            "beyond",
        ),
        ({"custom_values": [1.0]}, "beside exponential"),
        ({"zero_threshold": math.nan}, "width nan"),
        ({"count_float": math.nan}, "no number"),
        ({"count_float": 1.0, "zero_count_float": math.nan}, "no number"),
        ({"count_float": 1.0, "spans": [(0, 1)], "positive_counts": [math.nan]}, "no number"),
        ({"count_float": math.inf}, "no number"),
        ({"count_int": 1, "spans": [(0, 2)], "positive_deltas": [2**62, 2**62]}, "of 1 values whose buckets hold"),
        ({"count_int": 5, "spans": [(0, 1)], "positive_deltas": [-1]}, "below zero"),
        ({"count_int": 5, "sum": 1.0, "spans": [(0, 1)], "positive_deltas": [4]}, "of 5 values whose buckets hold 4"),
        ({"count_int": 3, "spans": [(0, 1), (-1, 1)], "positive_deltas": [1, 1]}, "begins before"),
    ],
)
def test_a_histogram_that_contradicts_itself_is_refused_alone(fields: dict[str, Any], reason: str) -> None:
    request = write(({"__name__": "h"}, [(AT, 1.0)]))
    spans = fields.pop("spans", [])
    message = histogram_message(request, **fields)
    for offset, length in spans:
        message.positive_spans.add(offset=offset, length=length)
    decoded = Decoding().decode(request)
    assert (decoded.written.samples, decoded.written.histograms, decoded.written.refused) == (1, 0, 1)
    assert reason in str(decoded.written.error)


def test_exemplars_carry_their_ids_as_bytes_and_their_other_labels() -> None:
    trace, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    request = write(({"__name__": "m"}, [(AT, 1.0)]))
    exemplar = request.timeseries[0].exemplars.add(value=0.5, timestamp=AT)
    for name, value in (("trace_id", trace), ("span_id", span), ("user", "x")):
        exemplar.labels.add(name=name, value=value)
    symbols = Symbols()
    series = symbols.add({"__name__": "m"}, (AT, 1.0))
    pairs = ("trace_id", trace, "span_id", span, "user", "x")
    series.exemplars.add(value=0.5, timestamp=AT, labels_refs=[symbols.ref(part) for part in pairs])
    series.exemplars.add(value=0.5, timestamp=AT, labels_refs=[77, 78])
    for message in (request, symbols.request):
        decoded = Decoding().decode(message)
        [found] = decoded.batch.exemplars
        assert (found.trace_id, found.span_id, found.labels) == (
            bytes.fromhex(trace),
            bytes.fromhex(span),
            {"user": "x"},
        )
        assert (decoded.written.exemplars, decoded.written.error) == (1, None)


def test_metadata_of_both_versions_2_0_only_until_it_is_stored() -> None:
    request = WriteRequest()
    request.metadata.add(type=1, metric_family_name="m_total", help="Words.", unit="s")
    decoded = Decoding().decode(request)
    assert list(decoded.batch.metadata) == [MetricMetadata("m_total", "counter", "Words.", "s")]
    assert not decoded.batch.is_empty

    symbols, decoding = Symbols(), Decoding()
    metadata = symbols.add({"__name__": "h_bucket", "le": "1"}, (AT, 1.0)).metadata
    metadata.type, metadata.help_ref, metadata.unit_ref = 3, symbols.ref("Words."), symbols.ref("s")
    for _ in range(2):
        decoded = decoding.decode(symbols.request)
        assert list(decoded.batch.metadata) == [MetricMetadata("h", "histogram", "Words.", "s")]
    decoding.decoder.remember(decoded)
    assert list(decoding.decode(symbols.request).batch.metadata) == []
    assert len(decoding.decode(symbols.request, now=2 * 86_400).batch.metadata) == 1
    metadata.help_ref = symbols.ref("Other words.")
    assert [each.help for each in decoding.decode(symbols.request).batch.metadata] == ["Other words."]


def test_a_counter_that_began_shortly_before_has_a_zero_where_it_began() -> None:
    symbols, decoding = Symbols(), Decoding()
    symbols.add({"__name__": "young_total"}, (AT, 5.0)).created_timestamp = AT - 10_000
    symbols.add({"__name__": "old_total"}, (AT, 5.0)).created_timestamp = AT - 86_400_000
    decoded = decoding.decode(symbols.request)
    young, old = 'Labels(__name__="young_total")', 'Labels(__name__="old_total")'
    assert decoding.samples(decoded) == [(young, AT - 10_000, 0.0), (young, AT, 5.0), (old, AT, 5.0)]
    assert decoded.written.samples == 2
    decoding.decoder.remember(decoded)
    assert decoding.samples(decoding.decode(symbols.request)) == [(young, AT, 5.0), (old, AT, 5.0)]


def test_a_zero_where_a_counter_began_keeps_to_the_times_a_tenant_may_send() -> None:
    symbols, decoding = Symbols(), Decoding()
    symbols.add({"__name__": "m_total"}, (AT, 5.0)).created_timestamp = AT - 10_000
    within = Bounds(earliest_ns=(AT - 5000) * 1_000_000)
    decoded = decoding.decoder.decode(symbols.request.SerializeToString(), 2, within)
    assert decoding.samples(decoded) == [('Labels(__name__="m_total")', AT, 5.0)]
    assert decoded.written.error is None


def test_observed_nan_is_counted_and_in_no_bucket() -> None:
    request = write(({"__name__": "h"}, []))
    histogram_message(request, count_int=3, sum=math.nan, zero_count_int=2)
    histogram_message(request, count_int=0, sum=STALE_NAN)
    assert Decoding().decode(request).written.histograms == 2


@pytest.mark.parametrize(("references", "reason"), [([0, 1, 2], "odd number"), ([1, 99], "symbol 99")])
def test_references_that_lead_nowhere_are_refused_alone(references: list[int], reason: str) -> None:
    symbols, decoding = Symbols(), Decoding()
    symbols.add({"__name__": "good"}, (AT, 1.0))
    bad = symbols.request.timeseries.add(labels_refs=references)
    bad.samples.add(timestamp=AT, value=2.0)
    decoded = decoding.decode(symbols.request)
    assert [value for _, _, value in decoding.samples(decoded)] == [1.0]
    assert reason in str(decoded.written.error)


def test_references_may_come_unpacked() -> None:
    series = b"\x08\x01\x08\x02" + b"\x12\x02\x10\x07"
    body = b"\x22\x00\x22\x08__name__\x22\x01m" + b"\x2a" + bytes([len(series)]) + series
    decoding = Decoding()
    assert decoding.samples(decoding.decode(body, 2)) == [('Labels(__name__="m")', 7, 0.0)]


def test_a_body_of_many_tiny_messages_is_read() -> None:
    decoded = Decoding().decode(b"\x0a\x00" * 5000, 1)
    assert (len(decoded.batch), decoded.written.refused) == (0, 0)
    series = write(({"__name__": "m"}, [])).timeseries[0].SerializeToString() + b"\x12\x00" * 3000
    body = WriteRequest.FromString(b"")
    body.timeseries.add().MergeFromString(series)
    assert len(Decoding().decode(body).batch) == 3000
    assert np.all(Decoding().decode(body).batch.values == 0.0)


def test_a_body_of_nothing_but_broken_series_is_refused_as_a_whole() -> None:
    decoding = Decoding()
    with pytest.raises(BadInput, match="more than 1000 series of the request break the specification"):
        decoding.decode(b"\x0a\x02\x12\x00" * 5000, 1)
    assert len(decoding.index) == 0


@pytest.mark.parametrize(
    ("body", "version", "what"),
    [
        (b"\x0a\x00" * 10_000_000, 1, "1000000 series"),
        (b"\x2a\x00" * 10_000_000, 2, "1000000 series"),
        (b"\x22\x00" * 10_000_000, 2, "1000000 symbols"),
        (b"\x1a\x00" * 10_000_000, 1, "1000000 symbols or metadata"),
    ],
)
def test_a_body_of_nothing_but_empty_messages_takes_no_more_memory_than_it_may(
    body: bytes, version: int, what: str
) -> None:
    with pytest.raises(BadInput, match=f"more than {what}.*send smaller batches"):
        Decoding().decode(body, version)


def test_a_large_body_of_short_samples_is_read() -> None:
    sample = b"\x12\x07\x10\xff\xff\xff\xff\xff\x1f"  # a time and the value zero
    series = b"\x0a\x0d\x0a\x08__name__\x12\x01m" + sample * 300_000
    size = len(series)
    prefix = b"\x0a" + bytes([size & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size >> 14 & 0x7F | 0x80, size >> 21])
    assert len(Decoding().decode((prefix + series) * 4, 1).batch) == 1_200_000


def test_a_body_of_more_new_series_than_can_be_looked_at_is_refused_before_any_is() -> None:
    decoding = Decoding()
    within = Bounds(tenant="acme", new_series=1000, signal="samples")
    with pytest.raises(TooLarge, match=r"1001 series not met before.*'acme' .*limits\.new_series_per_request"):
        decoding.decoder.decode(b"\x0a\x02\x12\x00" * 1001, 1, within)
    assert decoding.asked == 0


def test_one_series_written_in_ever_new_ways_does_not_fill_the_memory() -> None:
    decoding = Decoding()
    for start in range(0, 40_000, 10_000):
        names = [f"empty{number}" for number in range(start, start + 10_000)]
        body = write(*[([("__name__", "up"), (name, "")], [(AT, 1.0)]) for name in names])
        decoding.decode(body)
    assert len(decoding.index) == 1
    assert len(decoding.decoder._known) <= 20_000


def test_a_series_long_known_that_is_written_in_a_new_way_makes_nobody_forget_the_others() -> None:
    decoding, many = Decoding(), [({"__name__": "m", "a": str(at)}, [(AT, 1.0)]) for at in range(5000)]
    for _ in range(2):
        decoding.decode(write(*many, ({"__name__": "first"}, [])))
        decoding.decode(write(([("a", "1"), ("__name__", "m")], [(AT, 1.0)])))
    assert decoding.asked == 5001


def test_what_was_said_of_many_series_is_not_forgotten_with_a_request_of_one() -> None:
    many, one, decoding = Symbols(), Symbols(), Decoding()
    for at in range(5000):
        many.request.symbols.append(str(at))
        many.request.timeseries.add(labels_refs=[1, 2, 3, 4 + at])
    many.request.symbols[1:1] = ["__name__", "m_total", "a"]
    for series in many.request.timeseries:
        series.samples.add(timestamp=AT, value=1.0)
        series.created_timestamp = AT - 1000
    one.add({"__name__": "m_total", "a": "0"}, (AT, 1.0)).created_timestamp = AT - 2000
    for request in (many.request, one.request):
        decoding.decoder.remember(decoding.decode(request))
    assert len(decoding.decode(many.request).batch) == 5000


def test_who_brings_more_new_series_than_ever_fit_at_once_gets_in_part_by_part() -> None:
    decoding, stored = Decoding(), list[int]()
    body = write(*[({"__name__": "m", "a": str(at)}, [(AT, 1.0)]) for at in range(10)])
    for _ in range(3):
        decoding.room.left = 4
        stored.append(decoding.decode(body).written.samples)
    assert stored == [4, 8, 10]


def test_metadata_is_cut_where_it_is_too_long_refused_where_its_metric_is_and_counted_in_full() -> None:
    def fault(labels: Mapping[str, str]) -> Fault | None:
        return Fault("label_value", "too long") if len(labels["__name__"]) > 100 else None

    request, index = WriteRequest(), SeriesIndex()
    request.metadata.add(type=1, metric_family_name="m", help="x" * 1_000_000, unit="s" * 1000)
    request.metadata.add(type=1, metric_family_name="n" * 101, help="Words.")
    decoded = RemoteWriteDecoder(lambda sets: Admitted(index.admit(sets, 0.0)), fault).decode(
        request.SerializeToString(), 1
    )
    [said] = decoded.batch.metadata
    assert (said.help, said.unit) == ("x" * 1023 + "…", "s" * 63 + "…")
    assert (decoded.written.refused, decoded.written.causes) == (1, {"label_value": 1})
    assert decoded.batch.size > 1024 + 64


def test_a_request_does_not_describe_metrics_without_end() -> None:
    request = WriteRequest()
    for at in range(20_001):
        request.metadata.add(type=1, metric_family_name=f"m{at}")
    with pytest.raises(TooLarge, match="describes more than 20000 metrics"):
        Decoding().decode(request)


def test_labels_cannot_be_made_whose_hash_collides_whatever_the_salt() -> None:
    def body(first: int, second: int) -> bytes:
        # The words that are hashed of this label: its size, tag and name, then two of the value.
        value = struct.pack("<QQ", first, second)
        label = b"\x0a\x04name\x12\x10" + value
        series = b"\x0a" + bytes([len(label)]) + label
        return b"\x0a" + bytes([len(series)]) + series

    def hash_of(message: bytes, salt: int) -> int:
        scanned = wirescan.scan(message, FingerprintTable(), salt, unbounded(), version=1)
        assert scanned is not None
        return int(scanned.hashes[0])

    # Turning bit 63 of a word and bits 63 and 34 of the next undid itself while the multiplier was a constant.
    for shift in range(8):
        one = body(0x4141414141414141, 0x4141414141414141)
        other = bytearray(one)
        end = len(other) - shift
        other[end - 9] ^= 0x80
        other[end - 1] ^= 0x80
        other[end - 4] ^= 0x04
        for salt in (0, 1, 0x0123456789ABCDEF):
            assert hash_of(one, salt) != hash_of(bytes(other), salt)


class Counting(Lease):
    """Remembers the most it ever held."""

    def __init__(self) -> None:
        self.most = 0
        super().__init__(self._moved, lambda: Unavailable("no room"))

    def _moved(self, size: int, own: int) -> bool:
        self.most = max(self.most, own + size)
        return True


SHORT = b"\x12\x02\x10\x01"
LARGE = {
    "many new series": bytes(
        write(*[({"__name__": "m", "a": str(at)}, [(AT, 1.0)]) for at in range(20_000)]).SerializeToString()
    ),
    "many samples": bytes(write(({"__name__": "m"}, [(AT + at, 1.0) for at in range(200_000)])).SerializeToString()),
    "tiny messages": b"\x0a\x00" * 900_000,
    "tiny samples": (b"\x0a\x14" + SHORT * 5) * 40_000,
}


@pytest.mark.parametrize("kind", LARGE)
def test_what_decoding_takes_is_held_by_the_lease(kind: str) -> None:
    decoder = Decoding().decoder
    decoder.decode(write(({"__name__": "loaded"}, [(AT, 1.0)])).SerializeToString(), 1)
    lease = Counting()
    tracemalloc.start()
    try:
        with contextlib.suppress(Refused):
            decoder.decode(LARGE[kind], 1, lease=lease)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak <= 1.25 * lease.most + 2 * 1024 * 1024  # masks over the columns come and go


def test_a_body_for_which_there_is_no_memory_comes_again() -> None:
    budget, decoding = InFlight(1_000_000, Telemetry()), Decoding()
    with budget.lease() as other, budget.lease() as lease:
        other.grow(500_000)
        with pytest.raises(Unavailable, match=r"ingest\.in_flight_bytes"):
            decoding.decoder.decode(LARGE["many samples"], 1, lease=lease)
        assert len(decoding.decode(write(({"__name__": "m"}, [(AT, 1.0)]))).batch) == 1
    assert budget.held == 0
