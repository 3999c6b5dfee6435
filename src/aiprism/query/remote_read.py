"""Prometheus remote read: what other Prometheus servers ask of us, answered with raw samples.

In: the protobuf of a ReadRequest: several queries, each a time range and matchers. Out: the protobuf of a ReadResponse,
series by series with samples, native histograms and staleness markers as they were sent. Of the two response types the
protocol knows we speak SAMPLES, which every client must accept. Samples are written into the message by numpy: one look
at a sample by Python would cost more than reading it from the store.
Source: Prometheus documentation, "Remote Read API".
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from aiprism.errors import BadInput, LimitExceeded
from aiprism.model.histograms import Buckets, NativeHistogram
from aiprism.model.labels import Labels, Matcher, MatchOp, compiled
from aiprism.receive import prometheus_proto as proto
from aiprism.receive.wirebytes import field, header
from aiprism.store.question import Question
from aiprism.store.samples import SampleStore
from aiprism.store.series import Selection

_SAMPLES = 0  # ReadRequest.ResponseType
_OPS = (MatchOp.EQUAL, MatchOp.NOT_EQUAL, MatchOp.REGEX, MatchOp.NOT_REGEX)  # by LabelMatcher.Type
# Times whose varint is six bytes long: 1971 to 2109. Samples of other times are written one by one.
_SIX_BYTES = (1 << 35, 1 << 42)
_LAST_MS = 2**53
# So many series are read and written at a time: the rest waits in the store, not in memory.
_AT_A_TIME = 2_000


class RemoteRead:
    """Answers requests of at most `samples` samples and `series` series, in at most `seconds`."""

    def __init__(self, store: SampleStore, *, samples: int, series: int, seconds: float) -> None:
        self._store, self._samples, self._series, self.seconds = store, samples, series, seconds

    def answer(self, body: bytes, question: Question | None = None) -> bytes:
        """The ReadResponse of the ReadRequest `body`; BadInput when it is none, LimitExceeded when it wants too much."""
        try:
            request = proto.ReadRequest.FromString(body)
        except DecodeError as error:
            raise BadInput(f"the body is not a ReadRequest in protobuf: {error}") from None
        if request.accepted_response_types and _SAMPLES not in request.accepted_response_types:
            raise BadInput("the request accepts no response of type SAMPLES, which is the one there is")
        left, question = self._samples, question or Question(self.seconds)
        written: list[bytes] = []
        for query in request.queries:
            try:
                series, read = self._series_of(query, left, question)
            except LimitExceeded as error:
                raise LimitExceeded(f"{error}; narrow the request in time or labels") from error
            left -= read
            written.append(header(1, sum(map(len, series))))
            written += series
        return b"".join(written)

    def _series_of(self, query: Any, left: int, question: Question) -> tuple[list[bytes], int]:
        """The series of a QueryResult, written, and how many samples are in them."""
        selection, written, read = self._selected(query), list[bytes](), 0
        for start in range(0, len(selection), _AT_A_TIME):
            part = selection.only(np.arange(start, min(start + _AT_A_TIME, len(selection))))
            try:
                series, samples = self._part(part, *_span(query), left - read, question)
            except LimitExceeded as error:
                raise LimitExceeded(
                    f"the request asks for more than {self._samples} samples (query.remote_read_samples)"
                ) from error
            written += series
            read += samples
        return written, read

    def _selected(self, query: Any) -> Selection:
        selection = self._store.select([_matcher(each) for each in query.matchers], *_span(query))
        if len(selection) > self._series:
            raise LimitExceeded(
                f"the request selects {len(selection)} series, more than {self._series} (query.max_series)"
            )
        return selection

    def _part(
        self, selection: Selection, start_ms: int, end_ms: int, left: int, question: Question
    ) -> tuple[list[bytes], int]:
        """The series of a part of a selection, written, and how many samples are in them."""
        raw = self._store.raw(selection, start_ms - 1, end_ms, stale=True, limit=left, question=question, exact=True)
        left -= len(raw.ts_ms)
        native = self._store.histograms(selection, start_ms - 1, end_ms, limit=left, question=question)
        samples = dict(zip(raw.rows.tolist(), itertools.pairwise(raw.offsets.tolist()), strict=True))
        histograms = dict(zip(native.rows.tolist(), itertools.pairwise(native.offsets.tolist()), strict=True))
        rows = np.array(sorted({*samples, *histograms}), dtype=np.int64)
        labels = selection.only(rows).labels()
        parts = []
        for at in sorted(range(len(rows)), key=labels.__getitem__):
            row = int(rows[at])
            series = [_labels(labels[at])]
            if row in samples:
                span = slice(*samples[row])
                series.append(_sample_fields(raw.ts_ms[span], raw.values[span]))
            if row in histograms:
                span = slice(*histograms[row])
                series += _histogram_fields(native.ts_ms[span].tolist(), native.histograms[span])
            parts.append(field(1, b"".join(series)))
        return parts, len(raw.ts_ms) + len(native.ts_ms)


def _span(query: Any) -> tuple[int, int]:
    """From and to in milliseconds, both included."""
    start_ms, end_ms = (
        min(max(edge, -_LAST_MS), _LAST_MS) for edge in (query.start_timestamp_ms, query.end_timestamp_ms)
    )
    return start_ms, end_ms


def _matcher(message: Any) -> Matcher:
    if not 0 <= message.type < len(_OPS):
        raise BadInput(f"matcher of {message.name!r} of the unknown type {message.type}")
    matcher = Matcher(message.name, _OPS[message.type], message.value)
    if matcher.op in (MatchOp.REGEX, MatchOp.NOT_REGEX):
        compiled(matcher.value)  # a bad one is refused even where no series has that label
    return matcher


# -- protobuf, written by hand where it is much ----------------------------------------------------------------------------


def _labels(labels: Labels) -> bytes:
    return b"".join(
        field(1, field(1, name.encode()) + field(2, value.encode("utf-8", "surrogatepass")))
        for name, value in labels.pairs
    )


def _sample_fields(ts_ms: NDArray[np.int64], values: NDArray[np.float64]) -> bytes:
    """The field `samples` of a TimeSeries."""
    if len(ts_ms) and not (_SIX_BYTES[0] <= ts_ms.min() and ts_ms.max() < _SIX_BYTES[1]):
        message = proto.TimeSeries()
        for at, value in zip(ts_ms.tolist(), values.tolist(), strict=True):
            message.samples.add(timestamp=at, value=value)
        written: bytes = message.SerializeToString()
        return written
    rows = np.empty((len(ts_ms), 18), dtype=np.uint8)
    rows[:, :3] = (0x12, 16, 0x09)  # field 2, a message of 16 bytes; its field 1, eight bytes
    rows[:, 3:11] = np.ascontiguousarray(values, dtype="<f8").view(np.uint8).reshape(-1, 8)
    rows[:, 11] = 0x10  # its field 2, a varint
    for byte in range(6):
        rows[:, 12 + byte] = (ts_ms >> (7 * byte)) & 0x7F | (0x80 if byte < 5 else 0)
    return rows.tobytes()


def _histogram_fields(ts_ms: Sequence[int], histograms: Sequence[NativeHistogram]) -> Iterator[bytes]:
    """The field `histograms` of a TimeSeries."""
    for at, histogram in zip(ts_ms, histograms, strict=True):
        yield field(4, _histogram(at, histogram))


def _histogram(ts_ms: int, one: NativeHistogram) -> bytes:
    message = proto.Histogram(
        sum=one.sum,
        schema=one.schema,
        zero_threshold=one.zero_threshold,
        reset_hint=int(one.reset_hint),
        timestamp=ts_ms,
        custom_values=one.custom_values,
    )
    # Prometheus tells histograms of whole numbers from others, and takes deltas from bucket to bucket for the former.
    whole = all(each.is_integer() for each in (one.count, one.zero_count, *one.positive.counts, *one.negative.counts))
    if whole:
        message.count_int, message.zero_count_int = int(one.count), int(one.zero_count)
    else:
        message.count_float, message.zero_count_float = one.count, one.zero_count
    for side, buckets in (("positive", one.positive), ("negative", one.negative)):
        spans = getattr(message, f"{side}_spans")
        for offset, length in zip(buckets.offsets, buckets.lengths, strict=True):
            spans.add(offset=offset, length=length)
        if whole:
            getattr(message, f"{side}_deltas").extend(_deltas(buckets))
        else:
            getattr(message, f"{side}_counts").extend(buckets.counts)
    written: bytes = message.SerializeToString()
    return written


def _deltas(buckets: Buckets) -> Iterable[int]:
    counts = [0, *(int(each) for each in buckets.counts)]
    return (count - before for before, count in itertools.pairwise(counts))
