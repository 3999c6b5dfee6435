"""Binary operators between scalars and vectors: arithmetic, comparison, sets, and the matching of series by labels.

Matching pairs rows once for all steps (by integer codes of their matching labels); whether a pair exists at a step is
a matter of the masks. Errors are Prometheus': too many series on a side are an error only at steps where they meet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from aiprism.model.labels import METRIC_NAME
from aiprism.query.promql import native
from aiprism.query.promql.blocks import Block, Cells, natives, stacked
from aiprism.query.promql.labelsets import LabelSets
from aiprism.query.promql.native import Histogram, added, divided, equal, multiplied, subtracted
from aiprism.query.promql.notes import (
    ADDITION,
    SUBTRACTION,
    Doubt,
    Doubts,
    incompatible_layouts,
    incompatible_types,
)
from aiprism.query.promql.syntax import Cardinality, Matching
from aiprism.query.promql.trimming import ABOVE, BELOW, trimmed
from aiprism.query.promql.values import QueryFailed
from aiprism.store.columns import Bools, Floats, Ints

Arithmetic = Callable[[Floats, Floats], Floats]
Comparison = Callable[[Floats, Floats], Bools]
Say = Callable[[Doubts], None]

ARITHMETIC: Mapping[str, Arithmetic] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "%": np.fmod,
    "^": np.power,
    "atan2": np.arctan2,
}
COMPARISON: Mapping[str, Comparison] = {
    "==": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}
SET_OPERATORS = frozenset({"and", "or", "unless"})
TRIM = (ABOVE, BELOW)


def between_scalars(op: str, left: Floats, right: Floats) -> Floats:
    """One number a step; comparisons give 0 or 1."""
    if op in TRIM:
        raise QueryFailed(f'operator "{op}" not allowed for Scalar operations')
    if op in ARITHMETIC:
        return ARITHMETIC[op](left, right)
    return COMPARISON[op](left, right).astype(np.float64)


def with_scalar(
    op: str, block: Block, scalar: Floats, *, scalar_left: bool, return_bool: bool, say: Say | None = None
) -> Block:
    """Every series with the scalar of the step. A comparison without `bool` keeps the vector's values that satisfy it."""
    left, right = (scalar, block.values) if scalar_left else (block.values, scalar)
    if block.cells is not None or op in TRIM:
        sides = (Side(scalar), Side(block.values, block.cells))
        found = of_mixed(op, *(sides if scalar_left else sides[::-1]), block.valid, return_bool=return_bool, say=say)
        result = Block(block.labels, *found)
        return result.without_name() if op in ARITHMETIC or return_bool else result
    if op in ARITHMETIC:
        return Block(block.labels, ARITHMETIC[op](left, right), block.valid).without_name()
    holds = COMPARISON[op](left, right)
    if return_bool:
        return Block(block.labels, holds.astype(np.float64), block.valid).without_name()
    return block.where(holds)


def negated(block: Block) -> Block:
    """Every value times -1."""
    if block.cells is None:
        return Block(block.labels, -block.values, block.valid)
    return Block(
        block.labels,
        *of_mixed("*", Side(block.values, block.cells), Side(np.full(1, -1.0)), block.valid, return_bool=False),
    )


def between_vectors(
    op: str, left: Block, right: Block, matching: Matching, *, return_bool: bool, say: Say | None = None
) -> Block:
    """The operation on every pair of matching series, at the steps where both have a value."""
    if op in SET_OPERATORS:
        return _set_operation(op, left, right, matching)
    if (not len(left) or not len(right)) and not matching.fills:
        return Block.empty(left.values.shape[1])
    swapped = matching.cardinality is Cardinality.ONE_TO_MANY
    many, one = (right, left) if swapped else (left, right)
    keys = _match_keys(many, one, matching)
    _refuse_doubles(one, many, keys, matching)
    if matching.fills:
        many, one, keys = _filled(many, one, keys, matching)
    pairs = _pairs(keys)
    many_values, one_values = many.values[pairs.many], one.values[pairs.one]
    left_values, right_values = (one_values, many_values) if swapped else (many_values, one_values)
    valid = many.valid[pairs.many] & one.valid[pairs.one]
    cells = None
    if left.cells is not None or right.cells is not None or op in TRIM:
        many_side, one_side = Side.of(many, pairs.many), Side.of(one, pairs.one)
        sides = (one_side, many_side) if swapped else (many_side, one_side)
        values, valid, cells = of_mixed(op, *sides, valid, return_bool=return_bool, say=say)
    elif op in ARITHMETIC:
        values = ARITHMETIC[op](left_values, right_values)
    elif return_bool:
        values = COMPARISON[op](left_values, right_values).astype(np.float64)
    else:
        values, valid = left_values, valid & COMPARISON[op](left_values, right_values)
    labels = _result_labels(many, one, pairs, matching, drop_name=op in ARITHMETIC or return_bool)
    result = Block(labels, values, valid, cells)
    _refuse_ambiguous(result, keys.many[pairs.many], matching)
    return result.compact().merged()


# -- where some values are native histograms -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Side:
    """One side of an operator, cell by cell."""

    values: Floats
    cells: Cells | None = None

    @classmethod
    def of(cls, block: Block, rows: Ints) -> Side:
        return cls(block.values[rows], None if block.cells is None else block.cells[rows])

    def spread(self, shape: tuple[int, ...]) -> tuple[Floats, Cells]:
        cells = np.full(shape, None) if self.cells is None else np.broadcast_to(self.cells, shape)
        return np.broadcast_to(self.values, shape), cells


def of_mixed(
    op: str, left: Side, right: Side, valid: Bools, *, return_bool: bool, say: Say | None = None
) -> tuple[Floats, Bools, Cells | None]:
    """The operation where cells may be histograms: those that the operator does not know with their kinds have no result."""
    (ours, our_cells), (theirs, their_cells) = left.spread(valid.shape), right.spread(valid.shape)
    native = natives(our_cells) | natives(their_cells)
    known, cells, doubts = valid & ~native, np.full(valid.shape, None), Doubts(valid.shape)
    if op in TRIM:
        doubts.where(incompatible_types(op, "float", "float"), known)
        values, known = ours.copy(), np.zeros(valid.shape, dtype=bool)
    elif op in ARITHMETIC:
        values = ARITHMETIC[op](ours, theirs)
    elif return_bool:
        values = COMPARISON[op](ours, theirs).astype(np.float64)
    else:
        values, known = ours.copy(), known & COMPARISON[op](ours, theirs)
    done: dict[tuple[object, object], tuple[Histogram | bool | None, list[Doubt]]] = {}
    for row, step in zip(*np.nonzero(valid & native), strict=True):
        one, other = our_cells[row, step], their_cells[row, step]
        pair = (
            float(ours[row, step]) if one is None else one,
            float(theirs[row, step]) if other is None else other,
        )
        if pair not in done:
            found = _of_pair(op, *pair)
            done[pair] = (found, _doubts_of_pair(op, *pair, found))
        found, said = done[pair]
        doubts.at(int(row), int(step), said)
        match found:
            case Histogram():
                known[row, step], cells[row, step] = True, found
            case bool() if return_bool:
                known[row, step], values[row, step] = True, float(found)
            case True:
                known[row, step], cells[row, step] = True, one
    if say:
        say(doubts)
    return values, known, cells


def _of_pair(op: str, one: Histogram | float, other: Histogram | float) -> Histogram | bool | None:
    match (one, op, other):
        case Histogram(), "+", Histogram():
            return added(one, other)
        case Histogram(), "-", Histogram():
            return subtracted(one, other)
        case Histogram(), "==", Histogram():
            return equal(one, other)
        case Histogram(), "!=", Histogram():
            return not equal(one, other)
        case Histogram(), "*", float():
            return multiplied(one, other)
        case float(), "*", Histogram():
            return multiplied(other, one)
        case Histogram(), "/", float():
            return divided(one, other)
        case Histogram(), _, float() if op in TRIM:
            return trimmed(op, one, other)
        case _:
            return None


def _doubts_of_pair(
    op: str, one: Histogram | float, other: Histogram | float, found: Histogram | bool | None
) -> list[Doubt]:
    both = isinstance(one, Histogram) and isinstance(other, Histogram)
    if found is None:
        if both and op in "+-":
            return [incompatible_layouts(op)]
        return [
            incompatible_types(op, *("histogram" if isinstance(each, Histogram) else "float" for each in (one, other)))
        ]
    if isinstance(one, Histogram) and isinstance(other, Histogram) and isinstance(found, Histogram):
        return native.doubts([one, other], ADDITION if op == "+" else SUBTRACTION)
    return []


# -- matching ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Keys:
    """The number of the match group of each row of both sides."""

    many: Ints
    one: Ints
    count: int


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Row numbers of both sides, pair by pair."""

    many: Ints
    one: Ints


def _match_keys(many: Block, one: Block, matching: Matching) -> _Keys:
    groups = _matched(many.labels, matching).followed_by(_matched(one.labels, matching)).groups()
    return _Keys(groups.ids[: len(many)], groups.ids[len(many) :], len(groups))


def _matched(labels: LabelSets, matching: Matching) -> LabelSets:
    return labels.only(matching.labels) if matching.on else labels.without((METRIC_NAME, *matching.labels))


def _pairs(keys: _Keys) -> _Pairs:
    order = np.argsort(keys.one, kind="stable")
    first = np.searchsorted(keys.one[order], keys.many, side="left")
    found = np.searchsorted(keys.one[order], keys.many, side="right") - first
    many = np.repeat(np.arange(len(keys.many)), found)
    within = np.arange(len(many)) - np.repeat(np.cumsum(found) - found, found)
    return _Pairs(many, order[np.repeat(first, found) + within])


def _refuse_doubles(one: Block, many: Block, keys: _Keys, matching: Matching) -> None:
    """Two series of the "one" side in one match group at one step, while the other side has any value at all."""
    crowd = _any_of_group(one, keys.one, keys.count, np.add)
    crowded = (crowd > 1) & (many.valid.any(axis=0) | matching.fills)
    if not crowded.any():
        return
    group = int(np.argwhere(crowded)[0][0])
    rows = np.flatnonzero(keys.one == group)[:2]
    first, second = one.labels.take(rows).labels()
    shared = _matched(one.labels, matching).take(rows[:1]).labels()[0]
    side = "left" if matching.cardinality is Cardinality.ONE_TO_MANY else "right"
    raise QueryFailed(
        f"found duplicate series for the match group {shared} on the {side} hand-side of the operation: "
        f"[{second}, {first}];many-to-many matching not allowed: matching labels must be unique on one side"
    )


def _refuse_ambiguous(result: Block, match_group: Ints, matching: Matching) -> None:
    """Two results for one series: several left sides of a one-to-one match, or labels that group_x made equal."""
    if matching.cardinality is Cardinality.ONE_TO_ONE:
        doubled = _any_of_group(result, match_group, int(match_group.max(initial=-1)) + 1, np.add)
        if (doubled > 1).any():
            raise QueryFailed(
                "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
            )
        return
    groups = result.labels.groups()
    if len(groups) == len(result):
        return
    same = groups.ids * (int(match_group.max(initial=0)) + 1) + match_group
    _, same = np.unique(same, return_inverse=True)
    if (_any_of_group(result, same, int(same.max(initial=-1)) + 1, np.add) > 1).any():
        raise QueryFailed("multiple matches for labels: grouping labels must ensure unique matches")


def _filled(many: Block, one: Block, keys: _Keys, matching: Matching) -> tuple[Block, Block, _Keys]:
    """Both sides with a series of its own for every match group that has none at a step where the other side has one. As in
    Prometheus, fill_left is for the "many" side and fill_right for the "one" side, whichever side group_right makes that."""
    there = [_any_of_group(*side, keys.count, np.maximum) > 0 for side in ((many, keys.many), (one, keys.one))]
    for_many, for_one = (
        _fill(other, ids, missing, value, matching)
        for other, ids, missing, value in (
            (one, keys.one, there[1] & ~there[0], matching.fill_left),
            (many, keys.many, there[0] & ~there[1], matching.fill_right),
        )
    )
    every = _Keys(np.append(keys.many, for_many[1]), np.append(keys.one, for_one[1]), keys.count)
    return stacked([many, for_many[0]]), stacked([one, for_one[0]]), every


def _fill(other: Block, ids: Ints, missing: Bools, value: float | None, matching: Matching) -> tuple[Block, Ints]:
    """A series for each match group of the other side, there where its own side is missing; and their match groups."""
    if value is None or not len(other):
        return Block.empty(other.values.shape[1]), np.empty(0, dtype=np.int64)
    groups, firsts = np.unique(ids, return_index=True)
    valid = missing[groups]
    return Block(_matched(other.labels.take(firsts), matching), np.full(valid.shape, value), valid), groups


def _any_of_group(block: Block, ids: Ints, count: int, fold: np.ufunc) -> Ints:
    """[group, step]: `fold` (add: how many, maximum: whether any) of the masks of each group's rows; 0 for no rows."""
    folded = np.zeros((count, block.valid.shape[1]), dtype=np.int64)
    if len(ids):
        order = np.argsort(ids, kind="stable")
        present, starts = np.unique(ids[order], return_index=True)
        folded[present] = fold.reduceat(block.valid[order].astype(np.int64), starts, axis=0)
    return folded


def _result_labels(many: Block, one: Block, pairs: _Pairs, matching: Matching, *, drop_name: bool) -> LabelSets:
    labels = many.labels.take(pairs.many)
    if drop_name:
        labels = labels.without_name()
    if matching.cardinality is Cardinality.ONE_TO_ONE:
        return labels.only(matching.labels) if matching.on else labels.without(matching.labels)
    given = one.labels.take(pairs.one)
    for name in matching.include:
        labels = labels.with_column(name, given.columns.get(name))
    return labels


# -- sets ----------------------------------------------------------------------------------------------------------------


def _set_operation(op: str, left: Block, right: Block, matching: Matching) -> Block:
    keys = _match_keys(left, right, matching)
    if op == "or":
        taken = _any_of_group(left, keys.many, keys.count, np.maximum)[keys.one] > 0
        rest = right.where(~taken)
        return stacked([left, rest.compact()]).merged()
    there = _any_of_group(right, keys.one, keys.count, np.maximum)[keys.many] > 0
    return left.where(there if op == "and" else ~there)
