"""What the messages of remote write mean: label sets, native histograms, exemplars and metadata as values of ours.

In: a request that wirescan.py has been over, and which of its series to read. Out: labels, `NativeHistogram`, `Exemplar`,
`MetricMetadata`; BadInput for what the specification forbids. Both versions are read alike.
Sources: Prometheus Remote-Write 1.0 and 2.0 specifications.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from aiprism.errors import BadInput
from aiprism.model.histograms import (
    CUSTOM_BUCKETS,
    LARGEST_SCHEMA,
    SMALLEST_SCHEMA,
    Buckets,
    NativeHistogram,
    ResetHint,
)
from aiprism.model.labels import METRIC_NAME, Labels
from aiprism.receive import prometheus_proto as proto
from aiprism.receive.items import Bounds, OutOfBounds, time_fault
from aiprism.store.batches import Exemplar, MetricMetadata

if TYPE_CHECKING:
    from aiprism.receive.wirescan import Scanned

# A 64-bit count of milliseconds may say any time; the store knows those from 1970 to 2248.
LAST_MS = 2**43

_ROUNDING = 1e-6  # that counts of buckets may be off their sum, relatively


class Request1:
    """A WriteRequest."""

    def __init__(self, body: bytes, scanned: Scanned) -> None:
        self._body, self._scanned = body, scanned

    def series(self, at: int) -> Any:
        """The message of one time series."""
        start, end = self._scanned.spans[at].tolist()
        return proto.TimeSeries.FromString(self._body[start:end])

    def labels(self, message: Any) -> list[tuple[str, str]]:
        """The label pairs of a time series or an exemplar; BadInput when they lead nowhere."""
        return [(pair.name, pair.value) for pair in message.labels]

    def metadata(self) -> Iterator[MetricMetadata]:
        """What the request says of metrics, apart from its series."""
        for start, end in self._scanned.others.tolist():
            said = proto.MetricMetadata.FromString(self._body[start:end])
            if said.metric_family_name:
                yield MetricMetadata(said.metric_family_name, _type(said.type), said.help, said.unit)

    def metadata_of(self, message: Any) -> list[MetricMetadata]:
        """What a time series says of its metric."""
        return []


class Request2:
    """A Request, whose strings are symbols."""

    def __init__(self, body: bytes, scanned: Scanned) -> None:
        self._body, self._scanned = body, scanned

    def series(self, at: int) -> Any:
        """The message of one time series."""
        start, end = self._scanned.spans[at].tolist()
        return proto.TimeSeries2.FromString(self._body[start:end])

    def labels(self, message: Any) -> list[tuple[str, str]]:
        """The label pairs of a time series or an exemplar; BadInput when they lead nowhere."""
        references = message.labels_refs
        if len(references) % 2:
            raise BadInput(f"series with an odd number of label references ({len(references)})")
        texts = [self._symbol(reference) for reference in references]
        return list(zip(texts[::2], texts[1::2], strict=True))

    def metadata(self) -> Iterator[MetricMetadata]:
        """What the request says of metrics, apart from its series."""
        return iter(())

    def metadata_of(self, message: Any) -> list[MetricMetadata]:
        """What a time series says of its metric."""
        said = message.metadata
        name = dict(self.labels(message)).get(METRIC_NAME, "")
        try:
            help_, unit = self._symbol(said.help_ref), self._symbol(said.unit_ref)
        except BadInput:
            return []  # the series is sound, and stored; what is said of it points nowhere
        if not (name and (said.type or help_ or unit)):
            return []
        return [MetricMetadata(_family(name, _type(said.type)), _type(said.type), help_, unit)]

    def _symbol(self, reference: int) -> str:
        if reference >= len(self._scanned.symbols):
            raise BadInput(
                f"series that refers to symbol {reference}; the request has {len(self._scanned.symbols)} of them"
            )
        start, end = self._scanned.symbols[reference].tolist()
        return self._body[start:end].decode("utf-8")


Request = Request1 | Request2


def label_set(pairs: list[tuple[str, str]]) -> Labels:
    """The labels of a series, in whatever order they came; BadInput when they are none.

    An empty value is an absent label, as everywhere in Prometheus.
    """
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        [(twice, _)] = Counter(names).most_common(1)
        raise BadInput(f"series that has the label {twice!r} twice")
    if "" in names:
        raise BadInput("series with a label that has no name")
    labels = Labels(pairs)
    if not labels.name:
        raise BadInput(f"series without a metric name: {labels!r:.200}")
    return labels


def exemplars_of(position: int, message: Any, request: Request) -> Iterator[Exemplar]:
    """The exemplars of the series at `position`."""
    for each in message.exemplars:
        try:
            labels = dict(request.labels(each))
        except BadInput:  # exemplars are examples: one that points nowhere does not cost its series
            continue
        trace, span = (id_of(labels, name, size) for name, size in (("trace_id", 16), ("span_id", 8)))
        ts_ms = each.timestamp if 0 <= each.timestamp < LAST_MS else 0
        yield Exemplar(position, ts_ms, each.value, trace, span, labels)


def id_of(labels: dict[str, str], name: str, size: int) -> bytes:
    """The id under `name`, taken out of `labels`; nothing when it is no hexadecimal number of `size` bytes."""
    try:
        found = bytes.fromhex(labels.get(name, ""))
    except ValueError:
        return b""
    if len(found) != size:
        return b""
    del labels[name]
    return found


def native_histogram(message: Any) -> NativeHistogram:
    """A Histogram message as a value; BadInput when its buckets do not fit their spans."""
    floats = message.WhichOneof("count") == "count_float"
    schema = message.schema
    if not (schema == CUSTOM_BUCKETS or SMALLEST_SCHEMA <= schema <= LARGEST_SCHEMA):
        raise BadInput(f"histogram of the unknown schema {schema}")
    made = NativeHistogram(
        schema=schema,
        count=float(message.count_float if floats else message.count_int),
        sum=message.sum,
        zero_threshold=message.zero_threshold,
        zero_count=float(getattr(message, message.WhichOneof("zero_count") or "zero_count_int")),
        positive=_buckets(message.positive_spans, message.positive_deltas, message.positive_counts, floats),
        negative=_buckets(message.negative_spans, message.negative_deltas, message.negative_counts, floats),
        custom_values=tuple(message.custom_values),
        reset_hint=ResetHint(message.reset_hint) if 0 <= message.reset_hint <= 3 else ResetHint.UNKNOWN,
    )
    if fault := _bounds_fault(made) or _counts_fault(made, floats):
        raise BadInput(f"histogram {fault}")
    return made


def _bounds_fault(made: NativeHistogram) -> str:
    """What is wrong with where the buckets of a histogram lie. Written so that a NaN, which is in no order, is wrong."""
    custom = made.custom_values
    if not 0 <= made.zero_threshold < math.inf:
        return f"with a zero bucket of the width {made.zero_threshold}"
    if made.schema != CUSTOM_BUCKETS:
        return "with custom bounds beside exponential buckets" if custom else ""
    if not all(low < high for low, high in itertools.pairwise((-math.inf, *custom, math.inf))):
        return "whose custom bounds do not ascend, or are no numbers"
    if made.negative.counts or made.zero_count:
        return "of custom bounds with negative buckets or a zero bucket"
    indices = made.positive.indices()
    if indices and not 0 <= min(indices) <= max(indices) <= len(custom):
        return f"with buckets beyond its {len(custom)} custom bounds"
    return ""


def _counts_fault(made: NativeHistogram, floats: bool) -> str:
    """What is wrong with how many values a histogram holds, as Prometheus sees it (`Histogram.Validate`)."""
    counts = (made.count, made.zero_count, *made.positive.counts, *made.negative.counts)
    if not all(0 <= count < math.inf for count in counts):
        return "with a count that is below zero or no number"
    inside = math.fsum(counts[1:])
    # NaN observed is in the count, in the sum, and in no bucket; integers past 2**53 and floats are not exact.
    if inside > made.count * (1 + _ROUNDING) or (
        not floats and not math.isnan(made.sum) and inside < made.count * (1 - _ROUNDING)
    ):
        return f"of {made.count:g} values whose buckets hold {inside:g}"
    return ""


def _buckets(spans: Any, deltas: Any, counts: Any, floats: bool) -> Buckets:
    # Integer counts are sent as the difference to the bucket before; as Python's integers they do not wrap.
    absolute = tuple(counts) if floats else tuple(map(float, itertools.accumulate(deltas)))
    lengths = tuple(span.length for span in spans)
    if sum(lengths) != len(absolute):
        raise BadInput(f"histogram with {len(absolute)} bucket counts for spans of {sum(lengths)} buckets")
    if any(span.offset < 0 for span in spans[1:]):
        raise BadInput("histogram with a span that begins before the one in front of it ends")
    return Buckets(tuple(span.offset for span in spans), lengths, absolute)


def checked_time(ms: int, within: Bounds) -> int:
    """`ms`, or BadInput when the store knows no such time or a tenant may not send samples of it."""
    if not 0 <= ms < LAST_MS:
        raise out_of_time()
    if fault := time_fault("sample", ms * 1_000_000, within):
        raise OutOfBounds(fault)
    return ms


def out_of_time() -> BadInput:
    """What is said of a time that is none."""
    return BadInput("sample whose timestamp lies before 1970 or after 2248 (milliseconds are expected)")


def _type(number: int) -> str:
    return proto.METRIC_TYPES[number] if 0 <= number < len(proto.METRIC_TYPES) else "unknown"


def _family(name: str, type_: str) -> str:
    """The family that series `name` belongs to: classic histograms and summaries have several series each."""
    if type_ in ("histogram", "gaugehistogram", "summary"):
        for suffix in ("_bucket", "_count", "_sum"):
            if name.endswith(suffix):
                return name.removesuffix(suffix)
    return name
