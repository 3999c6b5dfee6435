"""Classic histograms of a page made native ones with custom buckets, where a job asks for that.

In: what a page says. Out: the same with one row for each classic histogram, and its `_bucket`, `_sum` and `_count` rows gone
unless they are to be kept.

Which rows belong together is found out once and holds as long as the page has the same lines: after that a histogram costs its
arithmetic. One that is not sound stays as it is: nothing of it is lost, and who looks at it sees what the target said.
Source: Prometheus documentation, `convert_classic_histograms_to_nhcb` of scrape_config; "Native Histograms".
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import xxhash
from numpy.typing import NDArray

from aiprism.model.histograms import NativeHistogram
from aiprism.model.labels import METRIC_NAME
from aiprism.receive.exponential import custom_buckets
from aiprism.receive.exposition.rows import Rows
from aiprism.store.columns import FingerprintTable

_BUCKET, _SUM, _COUNT = "_bucket", "_sum", "_count"
_LE = "le"
_NONE = -1  # the row of a sum or count that is not on the page


@dataclass(frozen=True, slots=True)
class Classic:
    """A classic histogram by the rows of its page: `buckets` ascend by their `bounds`; `rows` are all of them."""

    labels: Mapping[str, str]  # without le, the name that of the family
    bounds: tuple[float, ...]
    buckets: tuple[int, ...]
    sum: int
    count: int
    rows: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """The classic histograms of a page, and the hash each is known by once it is native. `page` is the same as long as they are."""

    page: bytes
    classics: tuple[Classic, ...]
    hashes: NDArray[np.uint64]


def planned(rows: Rows, last: Plan | None) -> Plan:
    """Which rows of a page make up classic histograms: `last` again if nothing but values has changed since."""
    page = xxhash.xxh3_128_digest(rows.hashes.tobytes(), rows.metadata_hash & (2**64 - 1))
    if last and last.page == page:
        return last
    classics = tuple(_classics(rows))
    # Of hashes that nobody outside can foresee comes another one.
    hashes = [xxhash.xxh3_64_intdigest(rows.hashes[list(each.rows)].tobytes()) for each in classics]
    return Plan(page, classics, np.array(hashes, np.uint64))


def converted(rows: Rows, plan: Plan, known: FingerprintTable, *, classic: bool) -> Rows:
    """The page with native histograms for the classic ones of `plan` that are sound; `classic` keeps the rows of those, too."""
    made = {at: found for at, each in enumerate(plan.classics) if (found := _native(each, rows))}
    if not made:
        return rows
    natives = [plan.classics[at] for at in made]
    kept = np.ones(len(rows), bool)
    if not classic:
        kept[[row for each in natives for row in each.rows]] = False
    left = np.flatnonzero(kept)
    moved = np.cumsum(kept) - 1
    first = len(left)
    native_row = {row: first + at for at, each in enumerate(natives) for row in each.rows}
    hashes = plan.hashes[list(made)]

    def labels(at: int) -> dict[str, str]:
        return rows.labels(int(left[at])) if at < first else dict(natives[at - first].labels)

    return Rows(
        np.concatenate([rows.hashes[left], hashes]),
        np.concatenate([rows.places[left], known.find(hashes)]),
        np.concatenate([rows.values[left], np.zeros(len(made))]),
        np.concatenate([rows.ts_ms[left], rows.ts_ms[[each.rows[0] for each in natives]]]),
        labels,
        rows.metadata_hash,
        rows.metadata,
        [replace(each, row=int(moved[each.row])) for each in rows.exemplars if kept[each.row]]
        + [replace(each, row=native_row[each.row]) for each in rows.exemplars if each.row in native_row],
        {int(moved[at]): each for at, each in rows.histograms.items()}
        | {first + at: each for at, each in enumerate(made.values())},
    )


# -- which rows belong together --------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Series:
    """What was found of one histogram so far."""

    labels: dict[str, str]
    buckets: dict[float, int] = field(default_factory=dict)
    sum: int = _NONE
    count: int = _NONE
    rows: list[int] = field(default_factory=list)


def _classics(rows: Rows) -> Iterable[Classic]:
    types = {each.metric: each.type for each in rows.metadata()}
    found: dict[frozenset[tuple[str, str]], _Series] = {}
    if "histogram" in types.values():
        for at in range(len(rows)):
            _take(at, rows.labels(at), types, found)
    for at in rows.histograms:  # is native already: the classic rows beside it are what the job keeps of it
        found.pop(frozenset(rows.labels(at).items()), None)
    for each in found.values():
        bounds = sorted(each.buckets)
        ended = each.count != _NONE or (bounds and bounds[-1] == math.inf)
        if ended and not any(math.isnan(bound) or bound == -math.inf for bound in bounds):
            buckets = tuple(each.buckets[bound] for bound in bounds)
            yield Classic(each.labels, tuple(bounds), buckets, each.sum, each.count, tuple(each.rows))


def _take(
    at: int, labels: dict[str, str], types: Mapping[str, str], found: dict[frozenset[tuple[str, str]], _Series]
) -> None:
    """Add row `at` to its histogram, if it is of one. Of rows that say the same the first counts, as in Prometheus."""
    name = labels[METRIC_NAME]
    family, suffix = _parted(name)
    if types.get(family) != "histogram" or name in types or (suffix == _BUCKET) != (_LE in labels):
        return
    bound = _number(labels.pop(_LE)) if suffix == _BUCKET else math.nan
    labels[METRIC_NAME] = family
    series = found.setdefault(frozenset(labels.items()), _Series(labels))
    series.rows.append(at)
    if suffix == _BUCKET:
        series.buckets.setdefault(bound, at)
    elif suffix == _SUM and series.sum == _NONE:
        series.sum = at
    elif suffix == _COUNT and series.count == _NONE:
        series.count = at


def _parted(name: str) -> tuple[str, str]:
    """The name of a family and how that of its series goes on; ("", "") of what is none of a histogram's series.

    >>> _parted("took_seconds_bucket"), _parted("took_seconds_created")
    (('took_seconds', '_bucket'), ('', ''))
    """
    for suffix in (_BUCKET, _SUM, _COUNT):
        if name.endswith(suffix):
            return name.removesuffix(suffix), suffix
    return "", ""


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


# -- what they say ---------------------------------------------------------------------------------------------------


def _native(classic: Classic, rows: Rows) -> NativeHistogram | None:
    """The histogram, None when it is not sound: counts that fall from bucket to bucket, are below zero or no number, or are
    not the count of all; rows of several times. Without a last bucket all that is in none is above the last bound."""
    if len({int(rows.ts_ms[row]) for row in classic.rows}) > 1:
        return None
    held = [float(rows.values[row]) for row in classic.buckets]
    bounds = classic.bounds
    count = float(rows.values[classic.count]) if classic.count != _NONE else held[-1]
    if bounds and bounds[-1] == math.inf:
        bounds = bounds[:-1]
    else:
        held.append(count)
    cumulative = (0.0, *held)
    if held[-1] != count or not all(low <= high < math.inf for low, high in itertools.pairwise(cumulative)):
        return None
    counts = [high - low for low, high in itertools.pairwise(cumulative)]
    total = float(rows.values[classic.sum]) if classic.sum != _NONE else 0.0
    return custom_buckets(bounds, counts, count, total)
