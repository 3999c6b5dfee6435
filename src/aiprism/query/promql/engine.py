"""PromQL: the one door of this room. Text in, values out; parser, plan, SQL, kernels and limits are behind it."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from functools import lru_cache
from itertools import chain, repeat

import numpy as np

from aiprism.errors import BadInput
from aiprism.model.labels import Labels
from aiprism.query.promql.account import Account
from aiprism.query.promql.blocks import Block, Cells, natives
from aiprism.query.promql.evaluate import Evaluator, Leaves
from aiprism.query.promql.explained import Explained
from aiprism.query.promql.functions import Operand
from aiprism.query.promql.labelsets import LabelSets
from aiprism.query.promql.limits import Limits, Watch
from aiprism.query.promql.notes import Notes
from aiprism.query.promql.parse import MOST_KNOWN, parse
from aiprism.query.promql.plan import Node, Samples, explained, keeps_order, plan
from aiprism.query.promql.plan import leaves as leaves_of
from aiprism.query.promql.results import Computed, Result, Results
from aiprism.query.promql.syntax import Expr, Kind, kind_of
from aiprism.query.promql.values import Answer, Matrix, Scalar, Series, String, Value, Vector, VectorItem
from aiprism.store.grids import Steps
from aiprism.store.question import Question
from aiprism.store.samples import SampleStore

_DEFAULT_LIMITS = Limits()


class PromQL:
    """Evaluates PromQL as Prometheus 3 does. Every method blocks and may be called from any thread.

    Times are Unix seconds. Raises BadInput (not PromQL; the message begins with line:column), QueryFailed (no answer on
    this data), LimitExceeded, TimedOut, Unavailable.
    """

    def __init__(
        self,
        samples: SampleStore,
        limits: Limits = _DEFAULT_LIMITS,
        *,
        pushdown: bool = True,
        results: Results | None = None,
    ) -> None:
        self.samples, self.limits = samples, limits
        self._pushdown, self._results = pushdown, results

    def instant(
        self,
        text: str,
        at: float,
        *,
        question: Question | None = None,
        notes: Notes | None = None,
        account: Account | None = None,
        lookback: float | None = None,
        leaves: Leaves | None = None,
    ) -> Value:
        """The value of `text` at one time; `question` bounds it and may be given up, `notes` collects annotations, `account`
        what it took; `lookback` seconds stand instead of the limit of that name. What is in `leaves` is not read again."""
        with _spending(account, "prepared"):
            steps = Steps(round(at * 1000), 1, 1)
            node = _planned(text, steps.start_ms, steps.end_ms)
            evaluator = self._evaluator(question, steps, account, lookback, leaves)
        with _spending(account, "evaluated"), np.errstate(all="ignore"), evaluator.remarking(steps.count) as remarks:
            if isinstance(node, Samples):
                value: Operand | Matrix = _matrix_of_samples(evaluator, node, steps)
            else:
                value = evaluator.value(node, steps)
        if notes is not None:
            notes.tell(text, remarks)
        with _spending(account, "sorted"):
            return value if isinstance(value, Matrix) else _at_one_time(text, value, at)

    def vector(self, text: str, at: float) -> Vector:
        """As `instant`, with a number as the one series without labels. BadInput when `text` is neither."""
        return _as_vector(text, self.instant(text, at))

    def vectors(self, texts: Sequence[str], at: float) -> list[Answer]:
        """As `vector` for each of `texts`, one after the other. What several of them read is read once, and together."""
        began, answers = time.perf_counter(), list[Answer]()
        steps, leaves = Steps(round(at * 1000), 1, 1), Leaves()
        with suppress(Exception):  # whatever is wrong with one of them shows when it is its turn
            nodes = [_planned(text, steps.start_ms, steps.end_ms) for text in texts]
            with np.errstate(all="ignore"):
                self._evaluator(None, steps, leaves=leaves).read_together(chain(*map(leaves_of, nodes)), steps)
        share = (time.perf_counter() - began) / max(1, len(texts))
        for text in texts:
            began = time.perf_counter()
            try:
                value: Vector | Exception = _as_vector(text, self.instant(text, at, leaves=leaves))
            except Exception as error:  # the one whose answer fails must not take its neighbours' with it
                value = error
            answers.append(Answer(value, time.perf_counter() - began + share))
        return answers

    def range(
        self,
        text: str,
        start: float,
        end: float,
        step: float,
        *,
        question: Question | None = None,
        notes: Notes | None = None,
        account: Account | None = None,
        lookback: float | None = None,
    ) -> Matrix:
        """The values of `text` from `start` to at most `end`, every `step` seconds, series by labels; the rest as for
        `instant`. Computed anew for whoever wants an account of it, or another lookback than everybody's."""
        with _spending(account, "prepared"):
            steps = _steps(parse(text), start, end, step)
            evaluator = self._evaluator(question, steps, account, lookback)
            node = _planned(text, steps.start_ms, round(end * 1000), steps.step_ms)

        def compute(some: Steps) -> Computed:
            with evaluator.remarking(some.count) as remarks:
                return Computed(_block(evaluator, node, some), remarks)

        results = self._results if account is None and lookback is None else None
        with _spending(account, "evaluated"), np.errstate(all="ignore"):
            if results and evaluator.as_sent(node, steps):
                result = results.get(node, steps, compute, text)
            else:
                result = Result.of(compute(steps))
        if notes is not None:
            notes.tell(text, result.remarks)
        with _spending(account, "sorted"):
            return _matrix(result, steps)

    def explain(self, text: str, start: float, end: float, step: float | None = None) -> str:
        """The plan of a query over that time, one node a line; with a `step` (0: at one time) which tables it reads, too."""
        expr = parse(text)
        node = plan(expr, round(start * 1000), round(end * 1000), round((step or 0) * 1000), text)
        lines = list(explained(node))
        if step is not None:
            steps = _steps(expr, start, end, step) if step else Steps(round(start * 1000), 1, 1)
            lines += [f"reads {source}" for source in self._evaluator(None, steps).sources(node, steps)]
        return "\n".join(lines)

    def explained(
        self,
        text: str,
        start: float,
        end: float,
        step: float,
        *,
        question: Question | None = None,
        analyze: bool = True,
    ) -> Explained:
        """The plan of a query from `start` to `end`, with a `step` of 0 at one time; what each node took when it was run to
        find out (`analyze`)."""
        expr = parse(text)
        steps = _steps(expr, start, end, step) if step else Steps(round(start * 1000), 1, 1)
        node, account = plan(expr, steps.start_ms, round(end * 1000), round(step * 1000), text), None
        evaluator = self._evaluator(question, steps)
        planned = dict(evaluator.planned(node, steps))
        if analyze:
            account, question = Account(counting=False), question or Question(self.limits.seconds)
            if step:
                self.range(text, start, end, step, question=question, account=account)
            else:
                self.instant(text, start, question=question, account=account)
        return Explained(text, node, planned, account, self.samples)

    def _evaluator(
        self,
        question: Question | None,
        steps: Steps,
        account: Account | None = None,
        lookback: float | None = None,
        leaves: Leaves | None = None,
    ) -> Evaluator:
        limits = self.limits if lookback is None else replace(self.limits, lookback=lookback)
        watch = Watch(limits, question)
        watch.check_steps(steps.count)
        if account is not None:
            account.begin(steps.times_ms())
            watch.question.noted = account.note
        return Evaluator(self.samples, watch, pushdown=self._pushdown, account=account, leaves=leaves)


def _spending(account: Account | None, stage: str) -> AbstractContextManager[None]:
    return nullcontext() if account is None else account.spending(stage)


def _planned(text: str, start_ms: int, end_ms: int, step_ms: int = 0) -> Node:
    if _OF_THE_QUERY.search(text):
        return plan(parse(text), start_ms, end_ms, step_ms, text)
    return _planned_for_good(text)


# The functions that stand for times of the query itself, or anything that is called so.
_OF_THE_QUERY = re.compile(r"\b(start|end|step|range)\b", re.IGNORECASE)


@lru_cache(maxsize=MOST_KNOWN)
def _planned_for_good(text: str) -> Node:
    return plan(parse(text), 0, 0, 0, text)


def _at_one_time(text: str, value: Operand, at: float) -> Value:
    if isinstance(value, Block):
        return _vector(value, at, in_order=keeps_order(parse(text)))
    return String(at, value) if isinstance(value, str) else Scalar(at, float(value[0]))


def _as_vector(text: str, value: Value) -> Vector:
    if isinstance(value, Scalar):
        return Vector((VectorItem(Labels(), value.ts, value.value),))
    if not isinstance(value, Vector):
        raise BadInput(f"{text!r} gives a {kind_of(parse(text)).value}, not an instant vector or a scalar")
    return value


def _steps(expr: Expr, start: float, end: float, step: float) -> Steps:
    kind = kind_of(expr)
    if kind not in (Kind.SCALAR, Kind.VECTOR):
        raise BadInput(f'invalid expression type "{kind.value}" for range query, must be Scalar or instant Vector')
    start_ms, end_ms, step_ms = round(start * 1000), round(end * 1000), round(step * 1000)
    if step_ms <= 0:
        raise BadInput("zero or negative query resolution step widths are not accepted. Try a positive integer")
    if end_ms < start_ms:
        raise BadInput("end timestamp must not be before start time")
    return Steps(start_ms, step_ms, (end_ms - start_ms) // step_ms + 1)


def _vector(block: Block, at: float, *, in_order: bool) -> Vector:
    block = block.compact()
    if not len(block):  # as most alerting rules answer
        return Vector(())
    rows = np.arange(len(block)) if in_order else block.labels.order()
    block = block.take(rows)
    values = block.values[:, 0].tolist()
    cells = repeat(None) if block.cells is None else block.cells[:, 0].tolist()
    items = zip(block.labels.labels(), values, cells, strict=False)
    return Vector(tuple(VectorItem(labels, at, value, cell) for labels, value, cell in items))


def _block(evaluator: Evaluator, node: Node, steps: Steps) -> Block:
    """The value of a query at `steps`; one number a step is a series without labels."""
    value = evaluator.value(node, steps)
    if isinstance(value, Block):
        return value
    assert isinstance(value, np.ndarray)
    return Block(LabelSets({}, 1), value[None, :], np.ones((1, len(value)), dtype=bool))


def _matrix(result: Result, steps: Steps) -> Matrix:
    block, times = result.block, steps.times_ms()
    if block.cells is not None:
        return Matrix(
            tuple(
                Series(labels, times[valid], values[valid], _some(cells[valid]))
                for labels, values, valid, cells in zip(
                    result.labels, block.values, block.valid, block.cells, strict=True
                )
            )
        )
    whole: list[bool] = np.all(block.valid, axis=1).tolist()
    return Matrix(
        tuple(
            Series(labels, times, values) if complete else Series(labels, times[valid], values[valid])
            for labels, values, valid, complete in zip(result.labels, block.values, block.valid, whole, strict=True)
        )
    )


def _some(cells: Cells) -> Cells | None:
    return cells if natives(cells).any() else None


def _matrix_of_samples(evaluator: Evaluator, node: Samples, steps: Steps) -> Matrix:
    labels, windows = evaluator.samples(node, steps)
    order = labels.order()
    order = order[windows.filled[order, 0]]
    edges = zip(windows.lo[order, 0].tolist(), windows.hi[order, 0].tolist(), strict=True)
    return Matrix(
        tuple(
            Series(
                each,
                windows.ts_ms[lo:hi],
                windows.values[lo:hi],
                None if windows.cells is None else _some(windows.cells[lo:hi]),
            )
            for each, (lo, hi) in zip(labels.take(order).labels(), edges, strict=True)
        )
    )
