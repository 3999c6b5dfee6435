"""The page of a scrape, made samples.

In: the body a target answered with, its format, and what the target's series become: its labels, relabelling, limits. Out:
a batch, with markers where series ended, and the counts of the `scrape_…` series.

    body → rows → met before: places ───────────────────────────────────┐
                → new: labels → the target's laid over → relabelled     │
                          → within the target's limits → admitted ──────┴→ samples, ended series marked → Scraped

A page that is not well formed, or over a limit of its target, is refused whole as Prometheus does: half a page would look
like a change. What a line becomes is decided once, and remembered under a hash of its bytes.
"""

from __future__ import annotations

import math
import secrets
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from aiprism.errors import BadInput
from aiprism.model.histograms import (
    CUSTOM_BUCKETS,
    LARGEST_SCHEMA,
    SMALLEST_SCHEMA,
    STALE_HISTOGRAM,
    NativeHistogram,
)
from aiprism.model.labels import Labels
from aiprism.model.samples import STALE_NAN
from aiprism.receive.exposition.custombuckets import Plan, converted, planned
from aiprism.receive.exposition.rows import NO_TIME, Format, Ints, RawExemplar, Rows
from aiprism.receive.items import ANYTHING, Bounds, SeriesFault, cause_of, no_fault
from aiprism.receive.relabel import is_label_name
from aiprism.receive.writerequests import id_of
from aiprism.store.batches import Exemplar, HistogramSample, MetricMetadata, SampleBatch, description_turns
from aiprism.store.columns import FingerprintTable
from aiprism.store.writing import Admit

_NOT_WANTED = 2**31 - 1  # the place of a row that relabelling drops
# Rows remembered for each of the last pages, and in any case: series come and go, and not all of that is kept for ever.
_MOST_WAYS, _FEW = 4, 100_000

Bools = NDArray[np.bool_]
Said = tuple[int, float, int | None]  # an exemplar's position, value and time


def as_they_are(labels: Mapping[str, str]) -> Mapping[str, str]:
    return labels


@dataclass(frozen=True, slots=True)
class Treatment:
    """What a target's series become. Limits of 0 are none.

    `relabelled` gives the labels after `metric_relabel_configs`, None when the series is dropped; with `legacy_names` their
    names may have letters, digits and underscores only. `native` takes native histograms, `custom_buckets` makes the classic
    ones native, `classic` keeps the classic series of both. Native ones are made as coarse as `finest_schema`, and coarser as
    long as one has more than `bucket_limit` buckets.
    """

    labels: Mapping[str, str]
    relabelled: Callable[[Mapping[str, str]], Mapping[str, str] | None] = as_they_are
    honor_labels: bool = False
    honor_timestamps: bool = True
    track_timestamps: bool = False
    legacy_names: bool = False
    native: bool = True
    custom_buckets: bool = False
    classic: bool = False
    finest_schema: int = LARGEST_SCHEMA
    bucket_limit: int = 0
    sample_limit: int = 0
    label_limit: int = 0
    label_name_length_limit: int = 0
    label_value_length_limit: int = 0


def finest_schema(factor: float) -> int:
    """The finest schema whose buckets grow by `factor` at least (Prometheus' native_histogram_min_bucket_factor).

    >>> finest_schema(0.0), finest_schema(1.1), finest_schema(2.0), finest_schema(1e9)
    (8, 2, 0, -4)
    """
    if factor <= 1.0:
        return LARGEST_SCHEMA
    return max(SMALLEST_SCHEMA, min(LARGEST_SCHEMA, math.floor(-math.log2(math.log2(factor)))))


class Memory:
    """What is remembered of one target from scrape to scrape. `seen` are the positions that get a marker once they are gone,
    ascending; those of native histograms are in `histograms`, too."""

    __slots__ = ("exemplars", "histograms", "plan", "rows", "said", "seen", "whose")

    def __init__(self, whose: int) -> None:
        self.whose = whose  # keeps its rows apart from those of others
        self.seen: Ints = np.empty(0, np.int64)
        self.histograms: Ints = np.empty(0, np.int64)
        self.said = (0, 0)  # the hash of the metadata that was stored, and the turn of that
        self.exemplars: Mapping[Said, RawExemplar] = {}
        self.rows = 0
        self.plan: Plan | None = None


@dataclass(frozen=True, slots=True)
class Scraped:
    """What to store of a scrape, and its counts: samples on the page, those that relabelling left, series that are new.

    `causes` counts what was left out by what it is over; `refusal` says why in words. `after` is what the memory of the
    target becomes once the batch is stored.
    """

    batch: SampleBatch
    scraped: int
    kept: int
    added: int
    causes: Mapping[str, int]
    refusal: str
    after: Callable[[], None]


class Pages:
    """Reads the pages of all targets. May be called from any thread; one page is read at a time."""

    def __init__(self, admit: Admit, fault: SeriesFault = no_fault) -> None:
        self._admit, self._fault = admit, fault
        self._salt = secrets.randbits(64)
        self._known = FingerprintTable()
        self._lock = threading.Lock()
        self._targets = self._rows = 0

    def memory(self) -> Memory:
        """The memory of a target that was not scraped before."""
        self._targets += 1
        return Memory(self._targets)

    def forget(self, memory: Memory) -> None:
        """A target is gone."""
        self._rows -= memory.rows

    def read(
        self, body: bytes, form: Format, treatment: Treatment, memory: Memory, at_ms: int, within: Bounds = ANYTHING
    ) -> Scraped:
        """What a page says that was scraped at `at_ms`, its new series admitted; BadInput when it is not well formed or over a
        limit of its target."""
        with self._lock:
            rows = self._read(body, form, treatment, memory)
            if treatment.custom_buckets:
                memory.plan = planned(rows, memory.plan)
                rows = converted(rows, memory.plan, self._known, classic=treatment.classic)
            rows = _bounded(rows, treatment)
            causes: Counter[str] = Counter()
            refusal = self._placed(rows, treatment, causes)
            self._rows += len(rows) - memory.rows
            memory.rows = len(rows)
        return _scraped(rows, treatment, memory, at_ms, within, causes, refusal)

    def _read(self, body: bytes, form: Format, treatment: Treatment, memory: Memory) -> Rows:
        # Imported with the first page: who scrapes nothing should not pay for the compiler.
        if form is Format.PROTOBUF:
            from aiprism.receive.exposition import proto

            native, classic = treatment.native, treatment.classic
            return proto.rows(body, self._known, self._salt, memory.whose, native=native, classic=classic)
        from aiprism.receive.exposition import text

        openmetrics = form is Format.OPENMETRICS
        return text.rows(body, self._known, self._salt, memory.whose, openmetrics=openmetrics)

    def _placed(self, rows: Rows, treatment: Treatment, causes: Counter[str]) -> str:
        """Give new rows their places. Those the tenant has no room for stay below zero and are counted; why is the answer."""
        unmet = np.flatnonzero(rows.places < 0)
        wanted: dict[int, Labels] = {}
        refusal = ""
        for at in unmet.tolist():
            labels = _treated(rows.labels(at), treatment)
            if labels is None:
                rows.places[at] = _NOT_WANTED
            elif fault := self._fault(labels):
                causes[fault.code] += 1
                refusal = fault.message
            else:
                wanted[at] = labels
        if wanted:
            ats = np.fromiter(wanted, np.int64, len(wanted))
            rows.places[ats], late = self._admit(list(wanted.values()))
            if late:
                causes[cause_of(late)] += int((rows.places[ats] < 0).sum())
                refusal = str(late)
        met = unmet[rows.places[unmet] >= 0]
        if len(self._known) + len(met) > _FEW + _MOST_WAYS * self._rows:
            self._known = FingerprintTable()
        self._known.put(rows.hashes[met], rows.places[met])
        return refusal


def ended(memory: Memory, at_ms: int) -> SampleBatch:
    """The markers of all series of a target that is gone or did not answer."""
    return _marked(SampleBatch(), memory.seen, memory.histograms, at_ms)


# -- one series ------------------------------------------------------------------------------------------------------


def _treated(scraped: dict[str, str], treatment: Treatment) -> Labels | None:
    """The labels of a series as it is stored, None when it is not wanted; BadInput when it is over a limit of its target."""
    kept = treatment.relabelled(_joined(scraped, treatment))
    if kept is None:
        return None
    labels = Labels(kept)
    if not labels.name:
        raise BadInput(f"relabelling leaves a series without a metric name: {labels!r:.200}")
    if treatment.legacy_names:
        _check_names(labels)
    _check_limits(labels, treatment)
    return labels


def _joined(scraped: dict[str, str], treatment: Treatment) -> dict[str, str]:
    """What the page says of a series, and what is said of its target.

    >>> _joined({"__name__": "m", "job": "theirs"}, Treatment({"job": "ours"}))
    {'__name__': 'm', 'job': 'ours', 'exported_job': 'theirs'}
    """
    if treatment.honor_labels:
        return {**treatment.labels, **scraped}
    joined = {**scraped, **treatment.labels}
    for name in sorted(scraped.keys() & treatment.labels.keys(), key=len):
        if value := scraped[name]:
            aside = f"exported_{name}"
            while aside in joined:
                aside = f"exported_{aside}"
            joined[aside] = value
    return joined


def _check_names(labels: Labels) -> None:
    # A colon may stand in the name of a metric, not in that of a label.
    for name in (labels.name.replace(":", "_"), *labels):
        if not is_label_name(name, legacy=True):
            raise BadInput(
                f"{name!r:.100} of {labels!r:.200} is no name that the job's metric_name_validation_scheme: legacy allows; "
                "rename it with metric_relabel_configs, or allow utf8"
            )


def _check_limits(labels: Labels, treatment: Treatment) -> None:
    if treatment.label_limit and len(labels) > treatment.label_limit:
        raise BadInput(
            f"label_limit exceeded (metric: {labels.name:.50}, number of labels: {len(labels)}, "
            f"limit: {treatment.label_limit})"
        )
    longest, most = treatment.label_name_length_limit, treatment.label_value_length_limit
    if not (longest or most):
        return
    for name, value in labels.items():
        for limit, what, said in ((longest, "name", name), (most, "value", value)):
            if limit and len(said.encode()) > limit:
                raise BadInput(
                    f"label_{what}_length_limit exceeded (metric: {labels.name:.50}, label name: {name:.50}, "
                    f"length: {len(said.encode())}, limit: {limit})"
                )


# -- the page --------------------------------------------------------------------------------------------------------


def _bounded(rows: Rows, treatment: Treatment) -> Rows:
    """The page with native histograms no finer and no larger than its target may send; BadInput when that cannot be."""
    if not rows.histograms or (treatment.finest_schema == LARGEST_SCHEMA and not treatment.bucket_limit):
        return rows
    return replace(rows, histograms={at: _coarse(each, treatment) for at, each in rows.histograms.items()})


def _coarse(histogram: NativeHistogram, treatment: Treatment) -> NativeHistogram:
    limit = treatment.bucket_limit
    exponential = histogram.schema != CUSTOM_BUCKETS
    if exponential and histogram.schema > treatment.finest_schema:
        histogram = histogram.coarser(treatment.finest_schema)
    while limit and histogram.buckets > limit:
        if not exponential or histogram.schema <= SMALLEST_SCHEMA:
            raise BadInput(
                f"a native histogram has {histogram.buckets} buckets, more than the job's native_histogram_bucket_limit of {limit}"
            )
        histogram = histogram.coarser(histogram.schema - 1)
    return histogram


def _scraped(
    rows: Rows,
    treatment: Treatment,
    memory: Memory,
    at_ms: int,
    within: Bounds,
    causes: Counter[str],
    refusal: str,
) -> Scraped:
    wanted = rows.places != _NOT_WANTED
    kept = int(wanted.sum())
    if treatment.sample_limit and kept > treatment.sample_limit:
        raise BadInput(f"sample limit exceeded (limit: {treatment.sample_limit}, samples after relabelling: {kept})")
    own_time = rows.ts_ms != NO_TIME if treatment.honor_timestamps else np.zeros(len(rows), bool)
    ts_ms = np.where(own_time, rows.ts_ms, at_ms)
    stored = wanted & (rows.places >= 0)
    stored &= ~_out_of_time(ts_ms, own_time & stored, within, causes)
    stored &= ~_repeated(rows.places, stored & ~own_time, causes)
    held = np.zeros(len(rows), bool)
    held[list(rows.histograms)] = True
    numbers, natives = np.flatnonzero(stored & ~held), np.flatnonzero(stored & held)
    followed = stored if treatment.track_timestamps else stored & ~own_time
    seen = np.unique(rows.places[followed])
    histograms = np.unique(rows.places[followed & held])
    gone = np.setdiff1d(memory.seen, rows.places[stored])
    said, metadata = _metadata(rows, memory, at_ms)
    exemplars, fresh = _exemplars(rows, stored, memory, at_ms)
    samples = SampleBatch(
        rows.places[numbers],
        ts_ms[numbers],
        rows.values[numbers],
        [HistogramSample(int(rows.places[at]), int(ts_ms[at]), rows.histograms[at]) for at in natives.tolist()],
        fresh,
        metadata,
    )

    def after() -> None:
        memory.seen, memory.histograms, memory.said = seen, histograms, said
        memory.exemplars = exemplars

    return Scraped(
        _marked(samples, gone, memory.histograms, at_ms),
        scraped=len(rows),
        kept=kept,
        added=len(np.setdiff1d(seen, memory.seen, assume_unique=True)),
        causes=causes,
        refusal=refusal,
        after=after,
    )


def _marked(batch: SampleBatch, gone: Ints, histograms: Ints, at_ms: int) -> SampleBatch:
    """`batch`, and the markers of what is gone."""
    if not len(gone):
        return batch
    native = np.isin(gone, histograms)
    plain = gone[~native]
    return SampleBatch(
        np.concatenate([batch.positions, plain]),
        np.concatenate([batch.ts_ms, np.full(len(plain), at_ms)]),
        np.concatenate([batch.values, np.full(len(plain), STALE_NAN)]),
        [*batch.histograms, *(HistogramSample(int(each), at_ms, STALE_HISTOGRAM) for each in gone[native])],
        batch.exemplars,
        batch.metadata,
    )


def _out_of_time(ts_ms: Ints, own_time: Bools, within: Bounds, causes: Counter[str]) -> Bools:
    """Which rows have a time of their own that the tenant may not send."""
    early, late = within.earliest_ns // 1_000_000, within.latest_ns // 1_000_000
    out = own_time & ((ts_ms < early) | (ts_ms > late))
    if count := int(out.sum()):
        causes["time"] += count
    return out


def _repeated(places: Ints, candidates: Bools, causes: Counter[str]) -> Bools:
    """Which rows say once more what one before them said: of those of one time the first counts, as in Prometheus."""
    at = np.flatnonzero(candidates)
    again = np.zeros(len(places), bool)
    _, firsts = np.unique(places[at], return_index=True)
    if len(firsts) < len(at):
        again[at] = True
        again[at[firsts]] = False
        causes["duplicate"] += len(at) - len(firsts)
    return again


def _metadata(rows: Rows, memory: Memory, at_ms: int) -> tuple[tuple[int, int], list[MetricMetadata]]:
    """What the page says of its metrics, unless that was stored in this turn."""
    turn = int(description_turns(np.array([rows.metadata_hash], np.uint64), at_ms / 1000)[0])
    said = (rows.metadata_hash, turn)
    return said, [] if said == memory.said else list(rows.metadata())


def _exemplars(rows: Rows, stored: Bools, memory: Memory, at_ms: int) -> tuple[dict[Said, RawExemplar], list[Exemplar]]:
    """The exemplars of stored rows, and of these the new ones: a page repeats each until there is another."""
    said = {(int(rows.places[raw.row]), raw.value, raw.ts_ms): raw for raw in rows.exemplars if stored[raw.row]}
    return said, [_exemplar(key[0], raw, at_ms) for key, raw in said.items() if memory.exemplars.get(key) != raw]


def _exemplar(position: int, raw: RawExemplar, at_ms: int) -> Exemplar:
    labels = dict(raw.labels)
    trace, span = (id_of(labels, name, size) for name, size in (("trace_id", 16), ("span_id", 8)))
    return Exemplar(position, at_ms if raw.ts_ms is None else raw.ts_ms, raw.value, trace, span, labels)
