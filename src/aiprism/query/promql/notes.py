"""What a query's author should know of its answer though it is one: Prometheus' annotations, in its words.

A `Doubt` is what can be said of some cells of a computation; `Remarks` are what was said of which steps, so that they can be
kept, cut and put together as results are; `Notes` are the sentences for whoever asked, with the place in the text.
Source: Prometheus 3 (util/annotations); users search for these sentences.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from aiprism.query.promql.numbers import exposition_text
from aiprism.query.promql.tokens import line_and_column
from aiprism.store.columns import Bools, Floats, Ints

_MOST = 10  # of each kind are told


@dataclass(frozen=True, slots=True)
class Doubt:
    """Something to be said; `{metric}` in it stands for the name of the metric that it is said of."""

    warning: bool
    said: str


def _warning(said: str) -> Doubt:
    return Doubt(True, said)


def _info(said: str) -> Doubt:
    return Doubt(False, said)


_OF_METRIC = "for metric name {metric}"
MIXED_RANGE = _warning(f"encountered a mix of histograms and floats {_OF_METRIC}")
MIXED_AGGREGATION = _warning("encountered a mix of histograms and floats for aggregation")
MIXED_CLASSIC = _warning("vector contains a mix of classic and native histograms")
MIXED_SCHEMAS = _warning(
    f"vector contains a mix of histograms with exponential and custom buckets schemas {_OF_METRIC}"
)
NOT_COUNTER = _warning("this native histogram metric is not a counter: {metric}")
NOT_GAUGE = _warning("this native histogram metric is not a gauge: {metric}")
IGNORED_IN_RANGE = _info(f"ignored histograms in a range containing both floats and histograms {_OF_METRIC}")
PERHAPS_NO_COUNTER = _info("metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {metric}")
NAN_RESULT = _info("input to histogram_quantile has NaN observations, result is NaN")
NAN_SKEW = _info("input to histogram_quantile has NaN observations, result is skewed higher")
NAN_EXCLUDED = _info("input to histogram_fraction has NaN observations, which are excluded from all fractions")
SORTED_IN_RANGE = _warning("sort is ineffective for range queries since results are always ordered by labels")
FORCED_MONOTONICITY = _info(
    "input to histogram_quantile needed to be fixed for monotonicity (see "
    "https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)"
)
ADDITION, SUBTRACTION, AGGREGATION = "addition", "subtraction", "aggregation"


def reconciled(during: str) -> Doubt:
    """Histograms of different custom bounds met."""
    return _info(f"mismatched custom buckets were reconciled during {during}")


def collided(during: str) -> Doubt:
    """A histogram that began anew met one that says that it did not."""
    return _warning(f"conflicting counter resets during histogram {during}")


def ignored_in_aggregation(op: str) -> Doubt:
    return _info(f"ignored histogram in {op} aggregation")


def incompatible_types(op: str, left: str, right: str) -> Doubt:
    return _info(f'incompatible sample types encountered for binary operator "{op}": {left} {op} {right}')


def incompatible_layouts(op: str) -> Doubt:
    return _warning(f"incompatible bucket layout encountered for binary operator {op}")


def bad_bucket_label(value: str) -> Doubt:
    return _warning(f'bucket label "le" is missing or has a malformed value of {_quoted(value)}')


def no_quantile(share: float) -> Doubt:
    return _warning(f"quantile value should be between 0 and 1, got {exposition_text(share)}")


def no_quantiles(shares: Floats) -> Iterator[tuple[float, Bools]]:
    """Those of `shares` that are no quantile, each with the steps that have it."""
    wrong = ~((shares >= 0) & (shares <= 1))
    for share in np.unique(shares[wrong]).tolist() if wrong.any() else ():
        yield share, np.isnan(shares) if np.isnan(share) else shares == share


def no_ratio(ratio: float, capped: float) -> Doubt:
    return _warning(
        f"ratio value should be between -1 and 1, got {exposition_text(ratio)}, capping to {exposition_text(capped)}"
    )


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


# -- said of cells ---------------------------------------------------------------------------------------------------------


class Doubts:
    """Which cells (series by steps) of a computation something is to be said of."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._shape = shape
        self._at: dict[Doubt, Bools] = {}

    def at(self, row: int, step: int, doubts: Collection[Doubt]) -> None:
        """All that is to be said of one cell."""
        for doubt in doubts:
            self._cells(doubt)[row, step] = True

    def where(self, doubt: Doubt, cells: Bools) -> None:
        """One thing that is to be said of many."""
        if cells.any():
            self._cells(doubt)[...] |= cells

    def __iter__(self) -> Iterator[tuple[Doubt, Bools]]:
        return iter(self._at.items())

    def _cells(self, doubt: Doubt) -> Bools:
        return self._at.setdefault(doubt, np.zeros(self._shape, dtype=bool))


def by_step(cells: Bools) -> Bools:
    """The steps at which any series has one of those cells."""
    return np.asarray(np.any(cells, axis=0))


# -- said of steps ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Forced:
    """Buckets whose counts had to be raised: an entry for each step of an evaluation in which some were, with their bounds,
    the greatest difference, how many histograms they are of, and the time. `step` says with which of the steps of a `Remark`
    an entry goes: those of a subquery, or of a part that is evaluated once, have no other tie to the steps around them."""

    step: Ints
    least: Floats
    greatest: Floats
    difference: Floats
    count: Ints
    times_ms: Ints

    def and_others(self, others: Forced) -> Forced:
        """All of these and those: what was evaluated twice is told twice, as in Prometheus."""
        pairs = ((getattr(self, name), getattr(others, name)) for name in Forced.__dataclass_fields__)
        return Forced(*map(np.concatenate, pairs))

    def part(self, first: int, end: int) -> Forced:
        """Those that go with the steps from number `first` up to `end`, which are then the only ones."""
        inside = (self.step >= first) & (self.step < end)
        kept = Forced(*(getattr(self, name)[inside] for name in Forced.__dataclass_fields__))
        return replace(kept, step=kept.step - first)

    def later(self, steps: int) -> Forced:
        """The same behind so many other steps."""
        return replace(self, step=self.step + steps)

    def together(self, step: int) -> Forced:
        """All of them with one step."""
        return replace(self, step=np.full(len(self.step), step))

    def size(self) -> int:
        """How many bytes they take."""
        return 8 * len(Forced.__dataclass_fields__) * len(self.step)

    def told(self) -> str:
        """In words."""
        begin, end = (np.datetime64(int(ts), "ms") for ts in (self.times_ms.min(), self.times_ms.max()))
        return (
            f", from buckets {exposition_text(float(self.least.min()))} to {exposition_text(float(self.greatest.max()))}"
            f", with a max diff of {self.difference.max():.2g}, over {self.count.sum()} samples"
            f" from {_second(begin)} to {_second(end)}"
        )


def _second(time: np.datetime64) -> str:
    """In UTC. Not by way of datetime: a query may be of a year that has five digits."""
    return str(np.datetime_as_string(time, unit="s", timezone="UTC"))


@dataclass(frozen=True, slots=True)
class Remark:
    """What was said of the steps `at`, and where in the text that begins which it is about."""

    doubt: Doubt
    place: int
    at: Bools
    forced: Forced | None = None

    def and_again(self, other: Remark, place: int) -> Remark:
        """The same said again, maybe of other steps."""
        forced = self.forced.and_others(other.forced) if self.forced and other.forced else None
        return Remark(self.doubt, place, self.at | other.at, forced)


@dataclass(slots=True)
class Remarks:
    """What was said while one part of a query was evaluated at `count` steps, each thing once of a place. `lasting` False:
    what was said depends on all of the steps together."""

    count: int
    lasting: bool = True
    _said: dict[tuple[Doubt, int], Remark] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._said)

    def __iter__(self) -> Iterator[Remark]:
        return iter(self._said.values())

    def say(self, doubt: Doubt, place: int, at: Bools | None = None, forced: Forced | None = None) -> None:
        """`at` is by step; None is every one."""
        every = np.ones(self.count, dtype=bool)
        self._add(Remark(doubt, place, every if at is None else at, forced))

    def say_all(self, doubts: Doubts, place: int, metrics: Sequence[str] = ()) -> None:
        """Of cells whose rows are series of `metrics`."""
        for doubt, cells in doubts:
            if "{metric}" not in doubt.said:
                self.say(doubt, place, by_step(cells))
                continue
            for metric in dict.fromkeys(metrics):
                rows = np.array([each == metric for each in metrics])
                self.say(of_metric(doubt, metric), place, by_step(cells[rows]))

    def add(self, others: Remarks) -> None:
        """What was said of the same steps."""
        self.lasting &= others.lasting
        for each in others:
            self._add(each)

    def only_of(self, place: int) -> bool:
        """True when nothing is said of any other place."""
        return all(each.place == place for each in self)

    def moved(self, place: int) -> Remarks:
        """The same of another place."""
        found = Remarks(self.count, self.lasting)
        for each in self:
            found._add(replace(each, place=place))
        return found

    def at_one_place(self) -> Iterator[Remark]:
        """Each thing once: of the last place that it is said of, as in Prometheus, but counts of the first one."""
        found: dict[Doubt, Remark] = {}
        for each in self:
            before, choose = found.get(each.doubt), min if each.forced else max
            found[each.doubt] = each if before is None else before.and_again(each, choose(before.place, each.place))
        return iter(found.values())

    def part(self, first: int, end: int) -> Remarks:
        """Of the steps from number `first` up to `end`."""
        found = Remarks(end - first, self.lasting)
        for each in self:
            found._add(replace(each, at=each.at[first:end], forced=each.forced and each.forced.part(first, end)))
        return found

    def then(self, later: Remarks) -> Remarks:
        """Of these steps, and of those of `later` after them."""
        found = Remarks(self.count + later.count, self.lasting and later.lasting)
        ours, theirs = (np.zeros(each.count, dtype=bool) for each in (self, later))
        for each in self:
            found._add(replace(each, at=np.concatenate([each.at, theirs])))
        for each in later:
            forced = each.forced and each.forced.later(self.count)
            found._add(replace(each, at=np.concatenate([ours, each.at]), forced=forced))
        return found

    def repeated(self, count: int) -> Remarks:
        """What was said of one step, of so many."""
        found = Remarks(count, self.lasting)
        for each in self:
            found._add(replace(each, at=np.repeat(each.at, count)))
            found.lasting &= each.forced is None  # counted once for all
        return found

    def seen_through(self, lo: Ints, hi: Ints) -> Remarks:
        """Of steps that each see those from number `lo` up to `hi` of these."""
        found = Remarks(len(lo), self.lasting)
        for each in self:
            before = np.concatenate([[0], np.cumsum(each.at)])
            at = before[hi] > before[lo]
            forced = each.forced and each.forced.together(int(np.argmax(at)))
            found._add(replace(each, at=at, forced=forced))
            found.lasting &= each.forced is None  # it is about the steps of the subquery
        return found

    def size(self) -> int:
        """About how many bytes they take."""
        return sum(len(each.doubt.said) + self.count + (each.forced.size() if each.forced else 0) for each in self)

    def _add(self, remark: Remark) -> None:
        if not remark.at.any():
            return
        key = remark.doubt, remark.place
        before = self._said.get(key)
        self._said[key] = remark if before is None else before.and_again(remark, remark.place)


def of_metric(doubt: Doubt, metric: str) -> Doubt:
    """With the name of the metric in it."""
    return replace(doubt, said=doubt.said.replace("{metric}", _quoted(metric)))


# -- told ------------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Notes:
    """The sentences for whoever asked a query: what it had to leave out (warnings), what may not be what was meant (infos)."""

    _warnings: dict[str, None] = field(default_factory=dict)
    _infos: dict[str, None] = field(default_factory=dict)

    @property
    def warnings(self) -> list[str]:
        """Where samples had to be left out."""
        return _few(self._warnings, "warning")

    @property
    def infos(self) -> list[str]:
        """What may not be what was meant."""
        return _few(self._infos, "info")

    def tell(self, text: str, remarks: Remarks) -> None:
        """What was said of the query `text`."""
        for each in remarks.at_one_place():
            line, column = line_and_column(text, each.place)
            said = f"{each.doubt.said}{each.forced.told() if each.forced else ''} ({line}:{column})"
            if each.doubt.warning:
                self._warnings[f"PromQL warning: {said}"] = None
            else:
                self._infos[f"PromQL info: {said}"] = None


def _few(said: Collection[str], kind: str) -> list[str]:
    more = len(said) - _MOST
    return [*said][:_MOST] + ([f"{more} more {kind} annotations omitted"] if more > 0 else [])
