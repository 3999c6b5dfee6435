"""Evaluates a plan: every node once, for all steps and series at once.

In: a plan and the steps. Out: a block, one number a step, or a text. Leaves are read through the SampleStore, computed
there where ClickHouse gives exactly what the kernels give, and otherwise here from raw samples. An instant query is one
step; a subquery is the same evaluation on a grid of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace

import numpy as np

from aiprism.model.labels import METRIC_NAME
from aiprism.model.samples import STALE_NAN_BITS
from aiprism.query.promql import edges, histogram_kernels, notes
from aiprism.query.promql.account import Account
from aiprism.query.promql.aggregate import aggregate, doubts_of_parameter
from aiprism.query.promql.blocks import Block, stacked
from aiprism.query.promql.functions import EVALUATED, PUSHED, ROLLED, TAKES_HISTOGRAMS, Moment, Operand
from aiprism.query.promql.info import with_info_labels
from aiprism.query.promql.labelsets import LabelSets
from aiprism.query.promql.limits import Watch
from aiprism.query.promql.mixing import one_after_the_other, with_histograms, without_hints
from aiprism.query.promql.notes import Doubts, Remarks
from aiprism.query.promql.operators import between_scalars, between_vectors, negated, with_scalar
from aiprism.query.promql.plan import (
    LATEST,
    LATEST_TIME,
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
    Samples,
    Words,
    children,
    steady,
)
from aiprism.query.promql.syntax import Edges
from aiprism.query.promql.values import QueryFailed
from aiprism.query.promql.windows import Windows
from aiprism.store.columns import Bools, Floats, Ints
from aiprism.store.grids import Combine, GridFunction, Steps
from aiprism.store.rollups import Shape, Source
from aiprism.store.samples import RawHistograms, RawSamples, SampleStore, one_after_another
from aiprism.store.series import Selection

# Folding all series inside ClickHouse spares moving their grids here; below this many cells that saves nothing.
COMBINE_CELLS = 100_000
# What one native histogram counts for where samples are counted: about as much memory.
HISTOGRAM_SAMPLES = 50
# Of leaves with no more samples it is worth while to fold several at once.
_LITTLE = 10_000
# What is in memory is folded here sooner than ClickHouse finds it, by kernels that need no sample twice.
_QUICK = frozenset({
    LATEST, "last_over_time", "first_over_time", "present_over_time", "count_over_time", "min_over_time", "max_over_time",
    "rate", "increase", "delta", "irate", "idelta", "changes", "resets",
})  # fmt: skip
_COMBINED = {"min": Combine.MIN, "max": Combine.MAX, "count": Combine.COUNT, "group": Combine.GROUP}
# ClickHouse adds plainly: only where all terms have one sign are its sums as exact as ours.
_COMBINED_SUMS = {"sum": Combine.SUM, "avg": Combine.AVG}
_ONE_SIGN = frozenset({"rate", "increase", "irate", "changes", "resets", "count_over_time"})


# What leaves are, and what was said of them at which place.
Leaves = dict[tuple[Leaf, Steps], tuple[Block, Remarks, int]]


class Evaluator:
    """One evaluation of one query. `pushdown` False computes everything here, from raw samples; `leaves` are known already,
    and those that are read are added."""

    def __init__(
        self,
        store: SampleStore,
        watch: Watch,
        *,
        pushdown: bool = True,
        account: Account | None = None,
        leaves: Leaves | None = None,
    ) -> None:
        self._store, self._watch, self._pushdown, self._account = store, watch, pushdown, account
        self._remarks = Remarks(0)
        self._leaves: Leaves = {} if leaves is None else leaves
        self._counted: dict[tuple[Leaf, Steps], Ints] = {}  # for an account: how many samples a leaf looked at
        self._at_hand: dict[tuple[Leaf, Steps], RawSamples] = {}  # until they are used

    def value(self, node: Node, steps: Steps) -> Operand:
        """What `node` is at `steps`."""
        self._watch.question.left()
        if self._account is None:
            return self._value(node, steps)
        with self._account.visiting(node) as visit:
            value = self._value(node, steps)
        if isinstance(value, Block):
            visit.series, visit.cells = len(value), value.values.size
            self._account.held(value.values.size)
        return value

    def _value(self, node: Node, steps: Steps) -> Operand:
        match node:
            case Constant():
                return np.full(steps.count, node.value)
            case Words():
                return node.value
            case Leaf():
                return self._leaf(node, steps)
            case OverSubquery():
                return self._over_subquery(node, steps)
            case Apply():
                args = [self.value(arg, steps) for arg in node.args]
                if node.function not in TAKES_HISTOGRAMS:
                    args = [arg.numbers() if isinstance(arg, Block) else arg for arg in args]
                return EVALUATED[node.function](self._moment(node, steps), args)
            case Aggregate():
                return self._aggregate(node, steps)
            case Operate():
                sides = (self.value(node.left, steps), self.value(node.right, steps))
                return _operate(node, *sides, self._remarks)
            case Negate():
                return _negated(self.value(node.expr, steps))
            case Fixed():
                with self._once_for_all(steps.count):
                    return _repeated(self.value(node.expr, Steps(steps.start_ms, steps.step_ms, 1)), steps.count)
            case Absent():
                return _absent(node, self.block(node.expr, steps))
            case Info():
                return with_info_labels(
                    self.block(node.expr, steps), self.block(node.infos, steps).numbers(), node.matchers
                )
            case Samples():
                raise AssertionError("a range vector has no value at steps")

    def _moment(self, node: Apply, steps: Steps) -> Moment:
        return Moment(steps.times_ms(), self._remarks, node.place, node.places, self._watch.check_cells)

    def block(self, node: Node, steps: Steps) -> Block:
        """The instant vectors `node` is at `steps`."""
        value = self.value(node, steps)
        assert isinstance(value, Block)
        return value

    def samples(self, node: Samples, at: Steps) -> tuple[LabelSets, Windows]:
        """The samples of a range vector at one time."""
        labels, windows = self._samples(node.leaf, at)
        self._count(windows.sizes)
        return labels, windows

    def _samples(self, leaf: Leaf | OverSubquery, at: Steps) -> tuple[LabelSets, Windows]:
        if isinstance(leaf, OverSubquery):
            return self._subquery_windows(leaf, at)
        ends = _ends(leaf, at)
        if leaf.edges:
            selection, raw, reach = self._reach(leaf, leaf.edges, ends)
            shown = edges.shown(leaf.edges, raw, reach)
            # Both edges are shown.
            windows = Windows.of(shown, ends, self._window_ms(leaf) + 1, at.times_ms())
            return LabelSets.of_selection(selection, shown.rows), windows
        selection = self._selection(leaf, ends)
        histograms = self._histograms(leaf, ends, selection)
        if histograms is None:
            return self._leaf_windows(leaf, at, selection)
        held = np.isin(np.arange(len(selection)), histograms.rows)
        parts = (
            self._mixed_windows(leaf, at, selection, histograms),
            self._leaf_windows(leaf, at, selection.only(np.flatnonzero(~held))),
        )
        return parts[0][0].followed_by(parts[1][0]), one_after_the_other(parts[0][1], parts[1][1])

    def sources(self, node: Node, steps: Steps) -> list[Source]:
        """Where the leaves of `node` would be read from, those of subqueries excepted."""
        if isinstance(node, Leaf):
            return [self.source(node, _ends(node, steps))]
        if isinstance(node, OverSubquery):
            return []
        return [source for child in children(node) for source in self.sources(child, steps)]

    def as_sent(self, node: Node, steps: Steps) -> bool:
        """True when every sample is read as it was sent, none downsampled."""
        match node:
            case Leaf(edges=Edges()):
                return True
            case Leaf():
                own = self._store.as_sent(node.function, _ends(node, steps), self._window_ms(node))
                return own and all(self.as_sent(arg, steps) for arg in node.args)
            case OverSubquery():
                inner = self._subquery_steps(node, _ends(node, steps))
                own = not inner.count or self.as_sent(node.expr, inner)
                return own and all(self.as_sent(arg, steps) for arg in node.args)
            case _:
                return all(self.as_sent(child, steps) for child in children(node))

    def planned(self, node: Node, steps: Steps) -> Iterator[tuple[Node, str]]:
        """How the leaves of `node` are to be answered, those of subqueries excepted; what is kept in memory comes first."""
        if isinstance(node, Leaf):
            source = self.source(node, _ends(node, steps))
            function = self._pushed(node, source)
            yield node, f"samples of {source}" if function is None else f"{function.value} of {source}"
        elif not isinstance(node, OverSubquery):
            for child in children(node):
                yield from self.planned(child, steps)

    # -- leaves --------------------------------------------------------------------------------------------------

    def read_together(self, leaves: Iterable[Leaf], steps: Steps) -> None:
        """Fold at once the samples that are kept of leaves with the same function and window: rules look at a few series each,
        and what a computation costs then hardly depends on how many they are."""
        alike: dict[tuple[str, int | None, int], list[Leaf]] = {}
        for leaf in dict.fromkeys(leaves):
            if leaf.function in _QUICK and not leaf.args and not leaf.edges and leaf.at_ms is None:
                alike.setdefault((leaf.function, leaf.window_ms, leaf.offset_ms), []).append(leaf)
        for some in alike.values():
            if len(some) > 1:
                self._read_alike(some, steps)

    def _read_alike(self, leaves: Sequence[Leaf], steps: Steps) -> None:
        some: list[tuple[Leaf, Selection, RawSamples]] = []
        ends = _ends(leaves[0], steps)
        for leaf in leaves:
            selection = self._selection(leaf, ends)
            raw = None if selection.native is not None else self._recent(leaf, ends, selection, self.source(leaf, ends))
            if raw is not None and len(raw.ts_ms) <= _LITTLE:
                some.append((leaf, selection, raw))
        if not some:
            return
        every = one_after_another([raw for _, _, raw in some])
        windows = _windows(every, ends, self._window_ms(leaves[0]), steps, fixed=False)
        values, valid, _ = self._folded(leaves[0], LabelSets({}, len(every.rows)), windows, steps)
        first = 0
        for leaf, selection, raw in some:
            rows = slice(first, first := first + len(raw.rows))
            block = Block(LabelSets.of_selection(selection, raw.rows), values[rows], valid[rows])
            with self.remarking(steps.count) as said:
                self._leaves[leaf, steps] = self._as_result(leaf, block.compact()), said, leaf.place

    def _leaf(self, leaf: Leaf, steps: Steps) -> Block:
        known = self._leaves.get((leaf, steps))
        # What is said of an argument is said of its place in the text, which only evaluating it anew knows.
        if known is not None and known[1].only_of(known[2]):
            if self._account:
                self._account.count(self._counted[leaf, steps])
            block, said, _ = known
            self._remarks.add(said.moved(leaf.place))
            return block
        before = self._account.samples_per_step if self._account else None
        with self.remarking(steps.count) as said:
            block = self._read(leaf, steps)
        self._leaves[leaf, steps] = (block, said, leaf.place)
        self._remarks.add(said)
        if self._account and before is not None:
            self._counted[leaf, steps] = self._account.samples_per_step - before
        return block

    def _read(self, leaf: Leaf, steps: Steps) -> Block:
        if leaf.at_ms is not None and not leaf.args and steps.count > 1:
            with self._once_for_all(steps.count):
                return _repeated_block(self._leaf(leaf, Steps(steps.start_ms, steps.step_ms, 1)), steps.count)
        ends = _ends(leaf, steps)
        if leaf.edges:
            return self._as_result(leaf, self._beyond_edges(leaf, leaf.edges, ends))
        selection = self._selection(leaf, ends)
        histograms = self._histograms(leaf, ends, selection)
        if histograms is None:
            return self._as_result(leaf, self._of_numbers(leaf, steps, selection))
        held = np.isin(np.arange(len(selection)), histograms.rows)
        mixed = self._from_windows(leaf, steps, *self._mixed_windows(leaf, steps, selection, histograms))
        others = self._of_numbers(leaf, steps, selection.only(np.flatnonzero(~held)))
        return self._as_result(leaf, stacked([mixed, others]))

    def _beyond_edges(self, leaf: Leaf, which: Edges, ends: Steps) -> Block:
        selection, raw, reach = self._reach(leaf, which, ends)
        self._answered("samples")
        self._count(reach.windows(raw).sizes)
        found = edges.latest(raw, reach) if leaf.window_ms is None else edges.fold(leaf.function, which, raw, reach)
        return Block(LabelSets.of_selection(selection, raw.rows), *found).compact()

    def _reach(self, leaf: Leaf, which: Edges, ends: Steps) -> tuple[Selection, RawSamples, edges.Reach]:
        """The samples a leaf sees that looks beyond its edges."""
        limits, question = self._watch.limits, self._watch.question
        reach = edges.Reach(ends, leaf.window_ms or 0, round(limits.lookback * 1000), which is Edges.SMOOTHED)
        selection = self._store.select(leaf.matchers, reach.begin_ms, reach.until_ms)
        self._watch.check_series(len(selection))
        self._watch.check_cells(len(selection), ends.count)
        if selection.native is not None:
            natives = selection.only(np.flatnonzero(selection.native))
            most = limits.samples // HISTOGRAM_SAMPLES
            if len(self._store.histograms(natives, reach.begin_ms, reach.until_ms, limit=most, question=question).rows):
                raise QueryFailed("smoothed and anchored modifiers do not work with native histograms")
        raw = self._store.raw(
            selection,
            reach.begin_ms,
            reach.until_ms,
            stale=False,
            limit=limits.samples,
            question=question,
        )
        return selection, raw, reach

    def _of_numbers(self, leaf: Leaf, steps: Steps, selection: Selection) -> Block:
        """A leaf over series without histograms."""
        ends = _ends(leaf, steps)
        source = self.source(leaf, ends)
        function = self._pushed(leaf, source)
        at_hand = self._at_hand.pop((leaf, steps), None)
        if at_hand is None and leaf.function in _QUICK:
            at_hand = self._recent(leaf, ends, selection, source)
        if function is None or at_hand is not None:
            return self._from_raw(leaf, steps, selection, at_hand)
        found = self._store.grid(
            selection,
            function,
            ends,
            source.window_ms,
            question=self._watch.question,
            argument=_constant_argument(leaf),
            source=source,
        )
        block = Block(LabelSets.of_selection(selection, found.rows), found.values, found.valid)
        self._count_on_grid(leaf, ends, selection, source, found.valid if function is GridFunction.LATEST else None)
        self._answered(f"{function.value} of {source}")
        if found.doubtful.any():
            sure = block.take(~found.doubtful)
            with self._apart(steps):
                rest = self._from_raw(leaf, steps, selection.only(found.rows[found.doubtful]))
            block = stacked([sure, rest])
        return block

    def _histograms(self, leaf: Leaf, ends: Steps, selection: Selection) -> RawHistograms | None:
        """The native histograms in the windows of a leaf, None when there are none: mostly known without asking."""
        if selection.native is None:
            return None
        rows = np.flatnonzero(selection.native)
        found = self._store.histograms(
            selection.only(rows),
            ends.start_ms - self._window_ms(leaf),
            ends.end_ms,
            limit=self._watch.limits.samples // HISTOGRAM_SAMPLES,
            question=self._watch.question,
        )
        return replace(found, rows=rows[found.rows]) if len(found.rows) else None

    def _mixed_windows(
        self, leaf: Leaf, steps: Steps, selection: Selection, histograms: RawHistograms
    ) -> tuple[LabelSets, Windows]:
        """The samples of the series that have histograms: these and their numbers."""
        ends, window_ms = _ends(leaf, steps), self._window_ms(leaf)
        part = selection.only(histograms.rows)
        numbers = self._store.raw(
            part,
            ends.start_ms - window_ms,
            ends.end_ms,
            stale=True,
            limit=self._watch.limits.samples,
            question=self._watch.question,
            exact=True,
        )
        raw, cells = with_histograms(
            numbers, replace(histograms, rows=np.arange(len(part))), stale=leaf.function in (LATEST, LATEST_TIME)
        )
        windows = _windows(raw, ends, window_ms, steps, fixed=leaf.at_ms is not None)
        return LabelSets.of_selection(part, raw.rows), replace(windows, cells=cells)

    def source(self, leaf: Leaf, ends: Steps) -> Source:
        """Where the samples of a leaf come from, for windows that end at `ends`."""
        return self._store.source(leaf.function, ends, self._window_ms(leaf))

    def _pushed(self, leaf: Leaf, source: Source) -> GridFunction | None:
        """What ClickHouse is to compute, None when it cannot."""
        if leaf.edges:
            return None
        if source.rolled and leaf.function in ROLLED:
            return ROLLED[leaf.function]
        if not self._pushdown:
            return None
        if leaf.function == LATEST:
            return GridFunction.LATEST
        # Where the window does not end at the step (ClickHouse predicts from its end), or the argument changes, only the
        # kernels know.
        if leaf.args and (leaf.at_ms is not None or leaf.offset_ms or _constant_argument(leaf) is None):
            return None
        return PUSHED.get(leaf.function)

    def _from_raw(self, leaf: Leaf, steps: Steps, selection: Selection, at_hand: RawSamples | None = None) -> Block:
        return self._from_windows(leaf, steps, *self._leaf_windows(leaf, steps, selection, at_hand))

    def _from_windows(self, leaf: Leaf, steps: Steps, labels: LabelSets, windows: Windows) -> Block:
        return Block(labels, *self._folded(leaf, labels, windows, steps)).compact()

    def _folded(self, leaf: Leaf, labels: LabelSets, windows: Windows, steps: Steps) -> histogram_kernels.Mixed:
        if leaf.function not in (LATEST, LATEST_TIME):
            self._count(windows.sizes)
            return self._kernel(leaf, labels, windows, steps)
        name = "last_over_time" if leaf.function == LATEST else "ts_of_last_over_time"
        values, valid, cells = histogram_kernels.fold(name, windows, ())
        valid = valid & (np.ascontiguousarray(windows.last(windows.values)).view(np.uint64) != STALE_NAN_BITS)
        self._count(valid)
        return values, valid, cells

    def _leaf_windows(
        self, leaf: Leaf, steps: Steps, selection: Selection, at_hand: RawSamples | None = None
    ) -> tuple[LabelSets, Windows]:
        ends = _ends(leaf, steps)
        source = self.source(leaf, ends)
        window_ms = source.window_ms
        kept = at_hand or self._recent(leaf, ends, selection, source)
        self._answered("kept samples" if kept else f"samples of {source}")
        raw = kept or self._store.raw(
            selection,
            ends.start_ms - window_ms,
            ends.end_ms,
            stale=leaf.function in (LATEST, LATEST_TIME),
            limit=self._watch.limits.samples,
            question=self._watch.question,
            source=source,
        )
        windows = _windows(raw, ends, window_ms, steps, fixed=leaf.at_ms is not None)
        return LabelSets.of_selection(selection, raw.rows), windows

    def _kept(self, leaf: Leaf, steps: Steps, selection: Selection, source: Source) -> bool:
        """True when the kernels have the samples at hand, and are quick."""
        raw = self._recent(leaf, _ends(leaf, steps), selection, source) if leaf.function in _QUICK else None
        if raw is not None:
            self._at_hand[leaf, steps] = raw
        return raw is not None

    def _recent(self, leaf: Leaf, ends: Steps, selection: Selection, source: Source) -> RawSamples | None:
        if source.rolled:
            return None
        return self._store.recent(
            selection,
            ends.start_ms - source.window_ms,
            ends.end_ms,
            stale=leaf.function in (LATEST, LATEST_TIME),
            limit=self._watch.limits.samples,
            question=self._watch.question,
        )

    def _selection(self, leaf: Leaf, ends: Steps) -> Selection:
        selection = self._store.select(leaf.matchers, ends.start_ms - self._window_ms(leaf), ends.end_ms)
        self._watch.check_series(len(selection))
        self._watch.check_cells(len(selection), ends.count)
        return selection

    def _window_ms(self, leaf: Leaf) -> int:
        return round(self._watch.limits.lookback * 1000) if leaf.window_ms is None else leaf.window_ms

    def _kernel(
        self, node: Leaf | OverSubquery, labels: LabelSets, windows: Windows, steps: Steps
    ) -> histogram_kernels.Mixed:
        args = [_numbers(self.value(arg, steps)) for arg in node.args]
        if node.function == "double_exponential_smoothing":
            _check_factors(args)
        self._watch.check_cells(len(windows.lo), steps.count)
        windows = replace(windows, look=self._watch.question.left)
        if node.function == "quantile_over_time":
            self._doubt_quantiles(args[0], windows, node.place)
        if windows.cells is None:
            return histogram_kernels.fold(node.function, windows, args)
        doubts = Doubts(windows.lo.shape)
        found = histogram_kernels.fold(node.function, windows, args, doubts)
        self._remarks.say_all(doubts, node.place, labels.texts(METRIC_NAME))
        return found

    def _doubt_quantiles(self, shares: Floats, windows: Windows, place: int) -> None:
        for share, at in notes.no_quantiles(shares):
            self._remarks.say(notes.no_quantile(share), place, at & notes.by_step(windows.numbers().filled))

    def _as_result(self, node: Leaf | OverSubquery, block: Block) -> Block:
        """What a function gave, under the names it leaves."""
        self._doubt_counters(
            node, block.labels, block.valid & ~block.native() if block.cells is not None else block.valid
        )
        return _named(node, block)

    def _doubt_counters(self, node: Leaf | OverSubquery, labels: LabelSets, valid: Bools) -> None:
        """Says of rates that they may be of what is no counter."""
        if node.function not in ("rate", "increase"):
            return
        for metric, rows in _no_counters(labels):
            doubt = notes.of_metric(notes.PERHAPS_NO_COUNTER, metric)
            self._remarks.say(doubt, node.place, notes.by_step(valid[rows]))

    # -- subqueries ----------------------------------------------------------------------------------------------

    def _over_subquery(self, node: OverSubquery, steps: Steps) -> Block:
        labels, windows = self._subquery_windows(node, steps)
        self._count(windows.sizes)
        return self._as_result(node, Block(labels, *self._kernel(node, labels, windows, steps)).compact())

    def _subquery_windows(self, node: OverSubquery, steps: Steps) -> tuple[LabelSets, Windows]:
        ends = _ends(node, steps)
        inner = self._subquery_steps(node, ends)
        with self._apart(inner), self.remarking(inner.count) as said:
            block = self.block(node.expr, inner) if inner.count else Block.empty(0)
        self._remarks.add(_seen_through(said, inner, ends, node.window_ms, steps))
        sizes = block.valid.sum(axis=1)
        raw = RawSamples(
            rows=np.arange(len(block)),
            offsets=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
            ts_ms=np.broadcast_to(inner.times_ms(), block.values.shape)[block.valid],
            values=block.values[block.valid],
        )
        windows = _windows(raw, ends, node.window_ms, steps, fixed=node.at_ms is not None)
        if block.cells is not None:
            windows = replace(windows, cells=without_hints(block.cells[block.valid]))
        return block.labels, windows

    def _subquery_steps(self, node: OverSubquery, ends: Steps) -> Steps:
        """The multiples of the subquery's step in (first end - range, last end]."""
        step_ms = node.step_ms or round(self._watch.limits.subquery_step * 1000)
        start_ms = ((ends.start_ms - node.window_ms) // step_ms + 1) * step_ms
        count = max(0, (ends.end_ms - start_ms) // step_ms + 1)
        self._watch.check_cells(1, count)
        return Steps(start_ms, step_ms, count)

    # -- aggregation ---------------------------------------------------------------------------------------------

    def _aggregate(self, node: Aggregate, steps: Steps) -> Block:
        combined = self._combined(node, steps)
        if combined is not None:
            return combined
        block = self.block(node.expr, steps)
        param = None if node.param is None else self.value(node.param, steps)
        assert not isinstance(param, Block)
        if isinstance(param, np.ndarray) and node.param is not None and not steady(node.param):
            # Other steps may have a farther one, also where there is nothing to aggregate here.
            self._remarks.lasting &= not doubts_of_parameter(node.op, param)
        return aggregate(
            node.op,
            block,
            node.grouping,
            param,
            self._remarks,
            place=node.place,
            param_place=node.param_place,
            room=self._watch.check_cells,
        ).compact()

    def _combined(self, node: Aggregate, steps: Steps) -> Block | None:
        """The aggregation of all series to one, computed by ClickHouse where that pays and is exact; else None."""
        leaf = node.expr
        if (
            not isinstance(leaf, Leaf)
            or leaf.edges
            or node.grouping.without
            or node.grouping.labels
            or (leaf, steps) in self._leaves
        ):
            return None
        ends = _ends(leaf, steps)
        source = self.source(leaf, ends)
        function, combine = self._pushed(leaf, source), _COMBINED.get(node.op)
        if leaf.function in _ONE_SIGN:
            combine = combine or _COMBINED_SUMS.get(node.op)
        if combine is None or function in (None, GridFunction.LATEST, GridFunction.AVG) or leaf.at_ms is not None:
            return None
        selection = self._selection(leaf, ends)
        if len(selection) * steps.count < COMBINE_CELLS or len(selection.metrics) != 1 or selection.native is not None:
            return None
        if self._kept(leaf, steps, selection, source):
            return None
        assert function is not None
        found = self._store.combined_grid(
            selection,
            function,
            combine,
            ends,
            source.window_ms,
            question=self._watch.question,
            argument=_constant_argument(leaf),
            source=source,
        )
        if found.doubtful.any() or np.isinf(found.values).any():
            return None  # an overflow inside, or an infinite sample: let the careful way decide
        self._count_on_grid(leaf, ends, selection, source)
        self._answered(f"{combine.name.lower()} of {function.value} of {source}")
        of_all = LabelSets.of_selection(selection, np.arange(1))  # they are of one metric
        self._doubt_counters(leaf, of_all, notes.by_step(found.valid)[None, :])
        return Block(LabelSets({}, len(found.rows)), found.values, found.valid)

    @contextmanager
    def remarking(self, count: int) -> Iterator[Remarks]:
        """What is said inside, of `count` steps."""
        before, self._remarks = self._remarks, Remarks(count)
        try:
            yield self._remarks
        finally:
            self._remarks = before

    # -- for the account -----------------------------------------------------------------------------------------

    def _count(self, samples: Ints | Bools) -> None:
        if self._account:
            self._account.held(samples.size)
            self._account.count(samples.sum(axis=0, dtype=np.int64))

    def _count_on_grid(
        self, leaf: Leaf, ends: Steps, selection: Selection, source: Source, newest: Bools | None = None
    ) -> None:
        """The samples ClickHouse looked at: counted by it, too, as nobody else has seen them."""
        if self._account is None or not self._account.counting:
            return
        if newest is not None:
            self._count(newest)
            return
        counted = self._store.combined_grid(
            selection,
            GridFunction.COUNT,
            Combine.SUM,
            ends,
            source.window_ms,
            question=self._watch.question,
            source=source.with_shape(Shape.COUNT) if source.rolled else source,
        )
        self._count(np.where(counted.valid, counted.values, 0.0))

    def _answered(self, how: str) -> None:
        if self._account:
            self._account.answered(how)

    def _apart(self, steps: Steps) -> AbstractContextManager[None]:
        return self._account.apart(steps.count) if self._account else nullcontext()

    @contextmanager
    def _once_for_all(self, count: int) -> Iterator[None]:
        """What is counted and said inside is so at each of `count` steps."""
        with self._account.once_for_all() if self._account else nullcontext(), self.remarking(1) as said:
            yield
        self._remarks.add(said.repeated(count))


# -- small steps ---------------------------------------------------------------------------------------------------------


def _ends(node: Leaf | OverSubquery, steps: Steps) -> Steps:
    """The right edges of the windows: a single one when an @ modifier fixes it."""
    if node.at_ms is not None:
        return Steps(node.at_ms - node.offset_ms, steps.step_ms, 1)
    return Steps(steps.start_ms - node.offset_ms, steps.step_ms, steps.count)


def _named(node: Leaf | OverSubquery, block: Block) -> Block:
    if node.named:
        return block
    if node.function == LATEST_TIME:
        return block.without_name()
    nameless = block.relabelled(block.labels.without_name())
    # Series of one metric differ in their other labels: nothing to look for.
    return nameless if isinstance(node, Leaf) and _of_one_metric(block.labels) else nameless.distinct()


def _seen_through(said: Remarks, inner: Steps, ends: Steps, window_ms: int, steps: Steps) -> Remarks:
    """What was said of the steps of a subquery, of the steps that see it."""
    times, until = inner.times_ms(), ends.times_ms()
    lo, hi = (np.searchsorted(times, edge, side="right") for edge in (until - window_ms, until))
    seen = said.seen_through(lo, hi)
    return seen if ends.count == steps.count else seen.repeated(steps.count)


_OF_COUNTERS = ("_total", "_sum", "_count", "_bucket")


def _no_counters(labels: LabelSets) -> Iterator[tuple[str, Ints]]:
    """The names that no counter should have, and the rows that have them."""
    names = labels.columns.get(METRIC_NAME)
    if names is None or not len(labels):
        return
    for code in np.unique(names.codes).tolist():
        metric = names.values[code]
        if metric and not metric.endswith(_OF_COUNTERS):
            yield metric, np.flatnonzero(names.codes == code)


def _of_one_metric(labels: LabelSets) -> bool:
    names = labels.columns.get(METRIC_NAME)
    return names is None or len(labels) == 0 or names.codes.min() == names.codes.max()


def _windows(raw: RawSamples, ends: Steps, window_ms: int, steps: Steps, *, fixed: bool) -> Windows:
    at_ms = steps.times_ms()
    windows = Windows.of(raw, ends, window_ms, at_ms[:1] if fixed else at_ms)
    return windows.for_each(at_ms) if fixed else windows


def _constant_argument(leaf: Leaf) -> float | None:
    return leaf.args[0].value if len(leaf.args) == 1 and isinstance(leaf.args[0], Constant) else None


def _numbers(value: Operand) -> Floats:
    assert isinstance(value, np.ndarray)
    return value


def _check_factors(args: list[Floats]) -> None:
    for name, factors in zip(("smoothing", "trend"), args, strict=True):
        wrong = ~((factors > 0) & (factors < 1))
        if wrong.any():
            short = "sf" if name == "smoothing" else "tf"
            raise QueryFailed(f"invalid {name} factor. Expected: 0 < {short} < 1, got: {float(factors[wrong][0]):f}")


def _operate(node: Operate, left: Operand, right: Operand, remarks: Remarks) -> Operand:
    if not isinstance(left, Block) and not isinstance(right, Block):
        return between_scalars(node.op, _numbers(left), _numbers(right))

    def say(doubts: Doubts) -> None:
        remarks.say_all(doubts, node.place)

    if isinstance(left, Block) and isinstance(right, Block):
        assert node.matching is not None
        return between_vectors(node.op, left, right, node.matching, return_bool=node.return_bool, say=say)
    if isinstance(left, Block):
        return with_scalar(node.op, left, _numbers(right), scalar_left=False, return_bool=node.return_bool, say=say)
    assert isinstance(right, Block)
    return with_scalar(node.op, right, _numbers(left), scalar_left=True, return_bool=node.return_bool, say=say)


def _negated(value: Operand) -> Operand:
    if isinstance(value, Block):
        return negated(value).relabelled(value.labels.without_name()).compact().distinct()
    return -_numbers(value)


def _absent(node: Absent, block: Block) -> Block:
    nothing = ~np.any(block.valid, axis=0, keepdims=True)
    return Block(LabelSets.of([node.labels]), np.ones(nothing.shape), nothing).compact()


def _repeated(value: Operand, count: int) -> Operand:
    if isinstance(value, Block):
        return _repeated_block(value, count)
    return value if isinstance(value, str) else np.repeat(value, count)


def _repeated_block(block: Block, count: int) -> Block:
    cells = None if block.cells is None else np.repeat(block.cells, count, axis=1)
    return Block(block.labels, np.repeat(block.values, count, axis=1), np.repeat(block.valid, count, axis=1), cells)
