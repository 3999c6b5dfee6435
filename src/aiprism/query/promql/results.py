"""Results of range queries, kept for the next refresh of a dashboard: only steps that are new, or not true any more, are
computed.

In: a plan, the steps wanted, how to compute some of them, and word of every batch that is stored. Out: what a computation
of all steps would give, to the bit. A step is computed of samples up to a time of its own and of nothing else, so a batch
ends what is known of the queries that read its metrics at the first step that sees its first sample. Where other processes
store samples, too, nobody tells of them: there the steps of the last `late` seconds are computed every time.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from aiprism.model.labels import METRIC_NAME, Labels, MatchOp
from aiprism.query.promql.blocks import Block, Cells
from aiprism.query.promql.labelsets import LabelSets
from aiprism.query.promql.notes import Remarks
from aiprism.query.promql.plan import (
    Absent,
    Aggregate,
    Apply,
    Constant,
    Fixed,
    Info,
    Leaf,
    Negate,
    Node,
    Operate,
    OverSubquery,
    children,
)
from aiprism.query.promql.syntax import Edges
from aiprism.store.columns import Bools, Ints
from aiprism.store.grids import Steps
from aiprism.telemetry import Telemetry

CACHE = "results"

_MOST_ENTRIES = 10_000
# What one result may take of the memory for all.
_LARGEST_SHARE = 4
# A result that has grown to this many times what is asked for loses what nobody asks for any more.
_TOO_LONG = 2
_ROW_BYTES, _CELL_BYTES = 500, 400
_EARLIEST, _LATEST = np.iinfo(np.int64).min, np.iinfo(np.int64).max


# -- what a result depends on ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Read:
    """The samples of `metric` up to `offset_ms` before the step; up to `at_ms`, whatever the step, where that is fixed."""

    metric: str
    offset_ms: int
    at_ms: int | None = None

    def last_without(self, first_ms: int) -> int:
        """The last step that does not see samples of that time or later."""
        if self.at_ms is None:
            return first_ms + self.offset_ms - 1
        return _LATEST if self.at_ms < first_ms else _EARLIEST


def reads(node: Node) -> frozenset[Read] | None:
    """What a step of `node` depends on. None when that cannot be said, or when what other steps hold matters, too."""
    try:
        return frozenset(_reads(node, 0, None))
    except _Unknown:
        return None


class _Unknown(Exception):
    pass


def _reads(node: Node, offset_ms: int, at_ms: int | None) -> Iterator[Read]:
    """`node` is evaluated `offset_ms` before the step, or at `at_ms`."""
    match node:
        case Leaf(edges=Edges.SMOOTHED):
            raise _Unknown  # it looks beyond its range, as far as the lookback of the engine
        case Leaf():
            yield Read(_metric(node), *_moved(node, offset_ms, at_ms))
            inside: Sequence[Node] = node.args
        case OverSubquery():
            if not node.named and not _apart(node.expr):
                raise _Unknown
            yield from _reads(node.expr, *_moved(node, offset_ms, at_ms))
            inside = node.args
        case Info():
            raise _Unknown
        case Negate() if not _apart(node.expr):
            raise _Unknown
        case _:
            inside = children(node)
    for child in inside:
        yield from _reads(child, offset_ms, at_ms)


def _moved(node: Leaf | OverSubquery, offset_ms: int, at_ms: int | None) -> tuple[int, int | None]:
    fixed = at_ms if node.at_ms is None else node.at_ms
    return (offset_ms + node.offset_ms, None) if fixed is None else (0, fixed - node.offset_ms)


def _metric(leaf: Leaf) -> str:
    """The one metric a leaf reads."""
    for matcher in leaf.matchers:
        if matcher.name == METRIC_NAME and matcher.op is MatchOp.EQUAL and matcher.value:
            return matcher.value
    raise _Unknown


def _apart(node: Node) -> bool:
    """True when no two series of `node` differ in the metric name only. Where such series lose it, the query fails even if
    they never meet at a step: then steps do not stand for themselves."""
    match node:
        case Leaf() | Absent() | Constant():
            return True
        case OverSubquery():
            return not node.named or _apart(node.expr)
        case Aggregate():
            nameless = METRIC_NAME not in node.grouping.labels or node.grouping.without
            return nameless if node.op in _FOLDED else node.op != "count_values" and _apart(node.expr)
        case Apply():
            return node.function not in ("label_replace", "label_join") and all(_apart(each) for each in node.args)
        case Operate():
            # What a comparison fills in has no name, what it compares has one.
            filled = node.matching is not None and node.matching.fills and not node.return_bool
            return node.op != "or" and not filled and all(_apart(each) for each in (node.left, node.right))
        case Fixed() | Negate():
            return _apart(node.expr)
        case _:
            return False


_FOLDED = frozenset({"sum", "avg", "min", "max", "count", "group", "stddev", "stdvar", "quantile"})


# -- results -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """Series in the order of their labels, each with a value at some step at least, and what there is to say of the steps."""

    labels: Sequence[Labels]
    block: Block
    remarks: Remarks

    @classmethod
    def of(cls, computed: Computed) -> Result:
        """The series of a block, whose labels differ."""
        block = computed.block.compact()
        block = block.take(block.labels.order())
        return cls(block.labels.labels(), block, computed.remarks)

    def part(self, first: int, end: int) -> Result:
        """The steps from number `first` up to `end`."""
        block = self.block
        if (first, end) == (0, block.valid.shape[1]):
            return self
        cells = None if block.cells is None else block.cells[:, first:end]
        block = Block(block.labels, block.values[:, first:end], block.valid[:, first:end], cells)
        remarks = self.remarks.part(first, end)
        some: Bools = np.any(block.valid, axis=1)
        if some.all():
            return Result(self.labels, block, remarks)
        return Result([self.labels[row] for row in np.flatnonzero(some).tolist()], block.take(some), remarks)

    def then(self, later: Result) -> Result:
        """These steps and those of `later` after them."""
        ours, theirs, remarks = self.block, later.block, self.remarks.then(later.remarks)
        if _same(ours.labels, theirs.labels):
            block = _side_by_side(ours, theirs, ours.labels, np.arange(len(ours)), slice(None))
            return Result(self.labels, block, remarks)
        both = ours.labels.followed_by(theirs.labels)
        groups = both.groups()
        labels = both.take(groups.firsts)
        block = _side_by_side(ours, theirs, labels, groups.ids[: len(ours)], groups.ids[len(ours) :])
        order = labels.order()
        every = [*self.labels, *later.labels]
        return Result([every[row] for row in groups.firsts[order].tolist()], block.take(order), remarks)

    def size(self) -> int:
        """About how many bytes it takes."""
        cells = 0 if self.block.cells is None else _CELL_BYTES * self.block.cells.size
        return self.block.values.size * 9 + len(self.labels) * _ROW_BYTES + cells + self.remarks.size()


def _same(ours: LabelSets, theirs: LabelSets) -> bool:
    return (
        len(ours) == len(theirs)
        and ours.columns.keys() == theirs.columns.keys()
        and all(
            (column.values is other.values or column.values == other.values)
            and np.array_equal(column.codes, other.codes)
            for column, other in ((column, theirs.columns[name]) for name, column in ours.columns.items())
        )
    )


def _side_by_side(ours: Block, theirs: Block, labels: LabelSets, at: Ints, their_at: Ints | slice) -> Block:
    """Both in one block under `labels`, of which those rows are theirs."""
    width = ours.valid.shape[1]
    shape = (len(labels), width + theirs.valid.shape[1])
    values, valid = np.zeros(shape), np.zeros(shape, dtype=bool)
    cells: Cells | None = None
    if ours.cells is not None or theirs.cells is not None:
        cells = np.full(shape, None)
    for block, rows, columns in ((ours, at, slice(0, width)), (theirs, their_at, slice(width, None))):
        values[rows, columns], valid[rows, columns] = block.values, block.valid
        if cells is not None and block.cells is not None:
            cells[rows, columns] = block.cells
    return Block(labels, values, valid, cells)


class Computed(NamedTuple):
    """Some steps, and what was said of them."""

    block: Block
    remarks: Remarks


Compute = Callable[[Steps], Computed]


class _Key(NamedTuple):
    node: Node
    step_ms: int
    phase_ms: int


@dataclass(slots=True, eq=False)
class _Kept:
    """A result at `steps`, true up to `until_ms`; None while it is computed."""

    reads: frozenset[Read]
    steps: Steps
    until_ms: int
    text: str
    result: Result | None = None

    def cut(self, metric: str, first_ms: int) -> None:
        """Samples of `metric` from that time on are new."""
        for read in self.reads:
            if read.metric == metric:
                self.until_ms = min(self.until_ms, read.last_without(first_ms))

    def known(self, steps: Steps, text: str) -> int:
        """How many of `steps`, which fall on the same times, are known from the first one on, to who asks with that text:
        what there is to say points to places in it."""
        if (
            self.result is None
            or steps.start_ms < self.steps.start_ms
            or (len(self.result.remarks) and text != self.text)
        ):
            return 0
        return max(0, min(steps.count, (self.until_ms - steps.start_ms) // steps.step_ms + 1))

    def part(self, start_ms: int, count: int) -> Result:
        assert self.result is not None
        first = (start_ms - self.steps.start_ms) // self.steps.step_ms
        return self.result.part(first, first + count)

    def size(self) -> int:
        return 0 if self.result is None else self.result.size()


@dataclass(slots=True)
class Results:
    """The results kept, at most `most_bytes` of them. `late_ms` is None where every batch is told of. All methods may be
    called from any thread."""

    most_bytes: int
    late_ms: int | None = None
    now: Callable[[], float] = lambda: 0.0
    telemetry: Telemetry | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _kept: OrderedDict[_Key, _Kept] = field(default_factory=OrderedDict)
    _readers: dict[str, set[_Kept]] = field(default_factory=dict)
    _bytes: int = 0

    def __post_init__(self) -> None:
        if self.telemetry:
            self.telemetry.cache_bytes(CACHE, lambda: self._bytes)

    def metrics(self) -> set[str]:
        """The metrics that anything which is kept or being computed was read from."""
        with self._lock:
            return set(self._readers)

    def stored(self, metric: str, first_ms: int) -> None:
        """Samples of `metric` from that time on are, or will be, stored."""
        with self._lock:
            for each in self._readers.get(metric, ()):
                each.cut(metric, first_ms)

    def forget(self) -> None:
        """Samples are stored no longer: nothing is true but what is computed from now on."""
        with self._lock:
            for each in {entry for readers in self._readers.values() for entry in readers}:
                each.until_ms = _EARLIEST
            while self._kept:
                self._drop(self._kept.popitem()[1])

    def get(self, node: Node, steps: Steps, compute: Compute, text: str = "") -> Result:
        """The values of `node`, as the plan of `text`, at `steps`; `compute` gives those of some of them, two at least."""
        needs = reads(node) if steps.count > 1 else None
        if not needs:
            return self._answer("bypass", Result.of(compute(steps)))
        key = _Key(node, steps.step_ms, steps.start_ms % steps.step_ms)
        fresh = _Kept(needs, steps, steps.end_ms, text)
        with self._lock:
            before = self._kept.get(key)
            known = before.known(steps, text) if before else 0
            if before and known == steps.count:
                self._kept.move_to_end(key)
            else:
                self._follow(fresh)
        if before and known == steps.count:
            return self._answer("hit", before.part(steps.start_ms, steps.count))
        try:
            return self._extended(key, before, known, fresh, compute)
        finally:
            with self._lock:
                if self._kept.get(key) is not fresh:
                    self._unfollow(fresh)

    def _extended(self, key: _Key, before: _Kept | None, known: int, fresh: _Kept, compute: Compute) -> Result:
        """The steps of `fresh`, of which `known` are in `before`; they are kept if they may."""
        steps = fresh.steps
        if self.late_ms is not None:
            for each in fresh.reads:
                fresh.cut(each.metric, int(self.now() * 1000) - self.late_ms + 1)
        # A single step is an instant query, which has its own ways (the order of topk).
        known = min(known, steps.count - 2)
        if before is None or known <= 0:
            fresh.result = Result.of(compute(steps))
            self._keep(key, fresh)
            return self._answer("miss", fresh.result)
        unknown = Steps(steps.start_ms + known * steps.step_ms, steps.step_ms, steps.count - known)
        found = Result.of(compute(unknown))
        if not found.remarks.lasting:
            return self._answer("bypass", Result.of(compute(steps)))
        begin_ms = before.steps.start_ms
        if (steps.end_ms - begin_ms) // steps.step_ms + 1 > _TOO_LONG * steps.count:
            begin_ms = steps.start_ms
        whole = Steps(begin_ms, steps.step_ms, (steps.end_ms - begin_ms) // steps.step_ms + 1)
        head = before.part(begin_ms, whole.count - unknown.count)
        fresh.steps, fresh.result = whole, head.then(found)
        self._keep(key, fresh)
        return self._answer("partial", fresh.part(steps.start_ms, steps.count))

    def _keep(self, key: _Key, fresh: _Kept) -> None:
        lasting = fresh.result is not None and fresh.result.remarks.lasting
        if not lasting or fresh.size() * _LARGEST_SHARE > self.most_bytes:
            return
        with self._lock:
            self._drop(self._kept.pop(key, None))
            self._kept[key] = fresh
            self._bytes += fresh.size()
            while self._bytes > self.most_bytes or len(self._kept) > _MOST_ENTRIES:
                self._drop(self._kept.popitem(last=False)[1])

    def _drop(self, entry: _Kept | None) -> None:
        if entry:
            self._bytes -= entry.size()
            self._unfollow(entry)

    def _follow(self, entry: _Kept) -> None:
        for read in entry.reads:
            self._readers.setdefault(read.metric, set()).add(entry)

    def _unfollow(self, entry: _Kept) -> None:
        for metric in {read.metric for read in entry.reads}:
            readers = self._readers.get(metric, set())
            readers.discard(entry)
            if not readers:
                self._readers.pop(metric, None)

    def _answer(self, outcome: str, result: Result) -> Result:
        if self.telemetry:
            self.telemetry.cached(CACHE, outcome)
        return result
