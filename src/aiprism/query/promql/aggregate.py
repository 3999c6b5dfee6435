"""Aggregation over series: sum by (…), topk, quantile and the rest, at all steps at once.

In: a block, the grouping, the parameter (one a step) where the operator has one. Out: a block with one series a group,
or some of the series themselves (topk, bottomk, limitk, limit_ratio). Sums are compensated where digits would be lost.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np

from aiprism.model.labels import METRIC_NAME
from aiprism.query.promql import native, notes
from aiprism.query.promql.blocks import Block, Cells, natives
from aiprism.query.promql.kernels import compensated, quantile_of_rows
from aiprism.query.promql.labelsets import Groups, LabelSets
from aiprism.query.promql.notes import AGGREGATION, Doubt, Doubts, Remarks
from aiprism.query.promql.numbers import number_text
from aiprism.query.promql.values import QueryFailed
from aiprism.query.promql.windows import Windows
from aiprism.store.columns import Bools, Floats, Ints

# As in kernels.py: a sum this much smaller than its terms has lost digits.
_CANCELLED = 1e-3


@dataclass(frozen=True, slots=True)
class Grouping:
    """`by (labels)` or `without (labels)`."""

    labels: tuple[str, ...] = ()
    without: bool = False

    def keep(self, labels: LabelSets) -> LabelSets:
        """What the grouping leaves of label sets."""
        return labels.without((METRIC_NAME, *self.labels)) if self.without else labels.only(self.labels)


def aggregate(
    op: str,
    block: Block,
    grouping: Grouping,
    param: Floats | str | None,
    remarks: Remarks | None = None,
    *,
    place: int = 0,
    param_place: int = 0,
    room: Callable[[int, int], None] = lambda series, steps: None,
) -> Block:
    """`op` over the groups of `block`; QueryFailed for a parameter the operator cannot take. `room` raises when there is none
    for so many series and steps: a value of its own at each step makes as many series. What there is to say of it is
    said of the `place` of what is aggregated, or of the parameter's."""
    if remarks is None:
        remarks = Remarks(block.values.shape[1])
    if not len(block):
        return block
    if isinstance(param, np.ndarray):
        for doubt in doubts_of_parameter(op, param):
            remarks.say(doubt, param_place, notes.by_step(block.valid))
    if block.cells is not None and op not in _OF_EITHER_KIND:
        remarks.say(notes.ignored_in_aggregation(op), place, notes.by_step(block.native()))
        block = block.numbers()
    if op == "count_values":
        assert isinstance(param, str)
        return _count_values(block, grouping, param, room)
    if op in _CHOICES:
        assert isinstance(param, np.ndarray)
        return _CHOICES[op](block, grouping, param)
    rows = _Rows.of(block, grouping)
    if rows.cells is not None and op in ("sum", "avg"):
        return _of_mixed(op, rows, remarks, place)
    if op == "quantile":
        assert isinstance(param, np.ndarray)
        return rows.result(_quantiles(rows, param))
    return rows.result(FOLDS[op](rows))


def doubts_of_parameter(op: str, param: Floats) -> list[Doubt]:
    """Of all steps the farthest parameter is told, which is not known step by step where it changes."""
    least, greatest = float(np.fmin.reduce(param)), float(np.fmax.reduce(param))
    if op == "limit_ratio":
        return [notes.no_ratio(far, cap) for far, cap in ((greatest, 1.0), (least, -1.0)) if far * cap > 1]
    if op != "quantile":
        return []
    far = [np.nan] if np.isnan(param).any() else []
    far += [each for each, wrong in ((greatest, greatest > 1), (least, least < 0)) if wrong]
    return list(map(notes.no_quantile, far))


@dataclass(frozen=True, slots=True)
class _Rows:
    """The rows of a block sorted by group; group g begins at ``starts[g]``. `series` are the labels of the rows where some
    have histograms."""

    labels: LabelSets
    values: Floats
    valid: Bools
    starts: Ints
    cells: Cells | None = None
    series: LabelSets | None = None

    @classmethod
    def of(cls, block: Block, grouping: Grouping) -> _Rows:
        kept = grouping.keep(block.labels)
        groups = kept.groups()
        labels = kept.take(groups.firsts)
        if len(groups) == 1:
            return cls(labels, block.values, block.valid, np.zeros(1, dtype=np.int64), block.cells, block.labels)
        order = groups.order()
        starts = np.searchsorted(groups.ids[order], np.arange(len(groups)))
        values, valid = block.values[order], block.valid[order]
        if block.cells is None:
            return cls(labels, values, valid, starts)
        return cls(labels, values, valid, starts, block.cells[order], block.labels.take(order))

    def fold(self, ufunc: np.ufunc, of: Floats) -> Floats:
        """[group, step]: `ufunc` (not a sum) over each group's rows."""
        folded: Floats = ufunc.reduceat(of, self.starts, axis=0)
        return folded

    def total(self, of: Floats) -> Floats:
        """[group, step]: the sum over each group's rows, one row after the other: those that have `NOTHING` change no bit.
        The sums have 64 bits of mantissa where the processor offers them, for Prometheus' are compensated."""
        sizes, of = np.diff(np.append(self.starts, len(of))), np.ascontiguousarray(of)
        if len(sizes) <= int(sizes.max(initial=0)):
            ends = (self.starts + sizes).tolist()
            return np.array([_added(of[start:end]) for start, end in zip(self.starts.tolist(), ends, strict=True)])
        totals = of[self.starts].astype(np.longdouble)
        for place in range(1, int(sizes.max(initial=0))):
            longer = np.flatnonzero(sizes > place)
            totals[longer] += of[self.starts[longer] + place]
        return totals.astype(np.float64)

    def counts(self) -> Ints:
        return np.asarray(np.add.reduceat(self.valid, self.starts, axis=0, dtype=np.int64))

    def filled(self, gap: float) -> Floats:
        """The values, with `gap` where there is none."""
        return self.values if self.valid.all() else np.where(self.valid, self.values, gap)

    def spread(self, of: Floats) -> Floats:
        """A value a group, for each of its rows."""
        sizes = np.diff(np.append(self.starts, len(self.values)))
        return np.repeat(of, sizes, axis=0)

    def result(self, values: Floats) -> Block:
        return Block(self.labels, values, self.counts() > 0)


# What changes no sum: 0 would make -0 a 0.
NOTHING = -0.0


def _added(rows: Floats) -> Floats:
    added: Floats = np.add.reduce(rows, axis=0, dtype=np.longdouble, initial=NOTHING).astype(np.float64)
    return added


# -- one value a group ---------------------------------------------------------------------------------------------------


def _sum(rows: _Rows) -> Floats:
    return _summed(rows, rows.filled(NOTHING))


def _summed(rows: _Rows, terms: Floats) -> Floats:
    total = rows.total(terms)
    if terms.min(initial=0.0) >= 0:
        return total
    doubtful = np.abs(total) < _CANCELLED * rows.total(np.abs(terms))
    ends = np.append(rows.starts[1:], len(terms))
    for group in np.flatnonzero(doubtful.any(axis=1)).tolist():
        steps = np.flatnonzero(doubtful[group])
        part = terms[rows.starts[group] : ends[group], steps].T
        exact, lost = compensated(part, np.ones(part.shape, dtype=bool))
        total[group, steps] = exact + lost
    return total


def _avg(rows: _Rows) -> Floats:
    count = np.maximum(rows.counts(), 1)
    terms = rows.filled(NOTHING)
    total = _summed(rows, terms)
    mean = total / count
    overflown = np.isinf(total)
    if overflown.any():
        mean = np.where(overflown, _summed(rows, terms * 2.0**-64) / count * 2.0**64, mean)
    return mean


def _stdvar(rows: _Rows) -> Floats:
    count = np.maximum(rows.counts(), 1)
    # Relative to the smallest value: equal values then have a variance of exactly zero.
    shifted = rows.filled(np.nan) - rows.spread(rows.fold(np.fmin, rows.filled(np.nan)))
    shifted = np.where(rows.valid, shifted, 0.0)
    apart = np.where(rows.valid, shifted - rows.spread(rows.total(shifted) / count), 0.0)
    return rows.total(apart * apart) / count


def _quantiles(rows: _Rows, share: Floats) -> Floats:
    """Each group at each step as one window over the values laid out step by step."""
    groups, steps = len(rows.starts), rows.values.shape[1]
    there = rows.valid.T.reshape(-1)
    before = np.concatenate([[0], np.cumsum(there)])
    edges = np.arange(steps) * len(rows.values) + np.append(rows.starts, len(rows.values))[:, None]
    values = rows.values.T.reshape(-1)[there]
    nothing = np.zeros(steps, dtype=np.int64)
    windows = Windows(
        np.zeros(len(values), dtype=np.int64), values, before[edges[:-1]], before[edges[1:]], nothing, nothing, 0
    )
    result = np.zeros(groups * steps)
    for block in windows.padded(windows.filled):
        result[block.windows] = quantile_of_rows(values[block.samples], block.filled, share[block.windows % steps])
    return result.reshape(groups, steps)


FOLDS: Mapping[str, Callable[[_Rows], Floats]] = {
    "sum": _sum,
    "avg": _avg,
    "min": lambda rows: rows.fold(np.fmin, rows.filled(np.nan)),
    "max": lambda rows: rows.fold(np.fmax, rows.filled(np.nan)),
    "count": lambda rows: rows.counts().astype(np.float64),
    "group": lambda rows: np.ones(rows.counts().shape),
    "stdvar": _stdvar,
    "stddev": lambda rows: np.sqrt(_stdvar(rows)),
}


def _of_mixed(op: str, rows: _Rows, remarks: Remarks, place: int) -> Block:
    """Sum or mean where some values are histograms; a group with both kinds at a step has none there."""
    assert rows.cells is not None
    assert rows.series is not None
    there = natives(rows.cells) & rows.valid
    numbers = replace(rows, valid=rows.valid & ~there, cells=None)
    held, counts = np.add.reduceat(there, rows.starts, axis=0, dtype=np.int64), rows.counts()
    remarks.say(notes.MIXED_AGGREGATION, place, notes.by_step((held > 0) & (held < counts)))
    doubts = Doubts(held.shape)
    values, cells = FOLDS[op](numbers), np.full(held.shape, None)
    ends, metrics = np.append(rows.starts[1:], len(rows.values)), rows.series.texts(METRIC_NAME)
    for group, step in zip(*np.nonzero((held > 0) & (held == counts)), strict=True):
        part = slice(rows.starts[group], ends[group])
        run = rows.cells[part, step][there[part, step]].tolist()
        cells[group, step] = found = native.summed(run) if op == "sum" else native.averaged(run)
        if found is None:
            odd = next(place for place, each in enumerate(run) if each.custom != run[0].custom)
            metric = metrics[int(rows.starts[group] + np.flatnonzero(there[part, step])[odd])]
            doubts.at(int(group), int(step), [notes.of_metric(notes.MIXED_SCHEMAS, metric)])
        else:
            doubts.at(int(group), int(step), native.doubts(run, AGGREGATION))
    remarks.say_all(doubts, place)
    return Block(rows.labels, values, ((held == 0) & (counts > 0)) | natives(cells), cells)


_TEXTS = 0xFFF8_0000_0000_0001  # from here on stand histograms among the bits of numbers


def _count_values(block: Block, grouping: Grouping, label: str, room: Callable[[int, int], None]) -> Block:
    """How many series of a group have each value; the value becomes `label`."""
    base = grouping.keep(block.labels.without((label,)))
    dropped = grouping.without and label in grouping.labels
    groups = base.groups()
    row, step = np.nonzero(block.valid)
    seen = block.values[row, step]
    seen = np.where(np.isnan(seen), np.nan, seen).view(np.uint64)  # one NaN for all of them
    told: dict[str, int] = {}
    if block.cells is not None:
        for place, cell in enumerate(block.cells[row, step].tolist()):
            if cell is not None:  # a NaN of its own for each text
                seen[place] = _TEXTS + told.setdefault(native.text(cell), len(told))
    bits, code = np.unique(np.zeros_like(seen) if dropped else seen, return_inverse=True)
    pairs, pair = np.unique(groups.ids[row] * max(1, len(bits)) + code, return_inverse=True)
    steps = block.values.shape[1]
    room(len(pairs), steps)
    counts = np.bincount(pair * steps + step, minlength=len(pairs) * steps).reshape(len(pairs), steps)
    labels = base.take(groups.firsts[pairs // max(1, len(bits))])
    if not dropped:
        known = {_TEXTS + place: text for text, place in told.items()}
        numbers = zip(bits.tolist(), bits.view(np.float64).tolist(), strict=True)
        texts = [known.get(pattern) or number_text(value) for pattern, value in numbers]
        labels = labels.with_texts(label, [texts[place] for place in (pairs % max(1, len(bits))).tolist()])
    return Block(labels, counts.astype(np.float64), counts > 0)


# -- some of the series themselves ---------------------------------------------------------------------------------------


def _ranked(block: Block, grouping: Grouping, param: Floats, *, ascending: bool) -> Block:
    """topk and bottomk. With one step the rows come out in the order of their values, group by group."""
    block = block.take(block.labels.order())  # equal values: the first by labels wins
    limit = _limit(param, len(block))
    groups = grouping.keep(block.labels).groups()
    sign = 1.0 if ascending else -1.0
    # NaN ranks after every number, what is not there after that.
    order = np.argsort(sign * block.values, axis=0, kind="stable")
    order = np.take_along_axis(
        order, np.argsort(~np.take_along_axis(block.valid, order, axis=0), axis=0, kind="stable"), axis=0
    )
    place = _place_in_group(order, groups)
    chosen = Block(block.labels, block.values, block.valid & (place < limit))
    if block.values.shape[1] > 1:
        return chosen.compact()
    in_order = np.lexsort([place[:, 0], groups.ids])
    return chosen.take(in_order).compact()


def _place_in_group(order: Ints, groups: Groups) -> Ints:
    """For each row and step its place among the rows of its group, when `order` sorts the rows of each step."""
    by_group = np.take_along_axis(order, np.argsort(groups.ids[order], axis=0, kind="stable"), axis=0)
    starts = np.concatenate([[0], np.cumsum(np.bincount(groups.ids, minlength=len(groups)))[:-1]])
    place = np.empty_like(order)
    np.put_along_axis(place, by_group, np.arange(len(order))[:, None], axis=0)
    return np.asarray(place - starts[groups.ids][:, None])


def _first_rows(block: Block, grouping: Grouping, param: Floats) -> Block:
    """limitk: at each step the first series of each group, by labels."""
    block = block.take(block.labels.order())
    limit = _limit(param, len(block))
    groups = grouping.keep(block.labels).groups()
    order = np.argsort(~block.valid, axis=0, kind="stable")
    place = _place_in_group(order, groups)
    return block.where(place < limit).compact()


def _sampled(block: Block, grouping: Grouping, ratio: Floats) -> Block:
    """limit_ratio: the series whose hash falls into the share; a negative share takes exactly the others."""
    if np.isnan(ratio).any():
        raise QueryFailed("Ratio value is NaN")
    ratio = np.clip(ratio, -1.0, 1.0)
    place = np.array([labels.fingerprint / 2.0**64 for labels in block.labels.labels()])[:, None]
    chosen = np.where(ratio >= 0, place < ratio, place >= 1.0 + ratio)
    return block.where(chosen).compact()


def _limit(param: Floats, most: int) -> Ints:
    if np.isnan(param).any():
        raise QueryFailed("Parameter value is NaN")
    if (np.abs(param) >= 2.0**63).any():
        raise QueryFailed(f"Scalar value {number_text(float(np.abs(param).max()))} overflows int64")
    return np.clip(np.trunc(param), 0, most).astype(np.int64)


_CHOICES: Mapping[str, Callable[[Block, Grouping, Floats], Block]] = {
    "topk": lambda block, grouping, param: _ranked(block, grouping, param, ascending=False),
    "bottomk": lambda block, grouping, param: _ranked(block, grouping, param, ascending=True),
    "limitk": _first_rows,
    "limit_ratio": _sampled,
}

# The others pass over histograms.
_OF_EITHER_KIND = frozenset({"sum", "avg", "count", "group", "count_values", "limitk", "limit_ratio"})

OPERATORS: Collection[str] = frozenset({*FOLDS, *_CHOICES, "quantile", "count_values"})
