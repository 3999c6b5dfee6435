"""What one evaluation took: samples by step, time by stage, and of every node of the plan where and how it was answered.

In: what the evaluator does, as it does it. Out: the statistics Prometheus gives for `stats`, and the figures of an explained
plan. Kept only for a query that asks for it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from aiprism.query.promql.plan import Node
from aiprism.store.columns import Ints
from aiprism.store.question import Statement


@dataclass(slots=True)
class Visit:
    """A node of the plan as it was evaluated: `seconds` with all below it, statements of its own."""

    series: int | None = None  # None: no vector
    cells: int = 0
    seconds: float = 0.0
    answered: list[str] = field(default_factory=list)
    statements: list[Statement] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds, in Prometheus' words."""

    queued: float
    prepared: float
    evaluated: float
    sorted: float

    @property
    def total(self) -> float:
        """Without the wait for its turn."""
        return self.prepared + self.evaluated + self.sorted


class Account:
    """Filled while one query is evaluated. Without `counting`, samples that only ClickHouse sees are not counted: that costs a
    statement a leaf."""

    def __init__(self, *, counting: bool = True) -> None:
        self.counting = counting
        self.visits: dict[Node, Visit] = {}
        self.peak = 0
        self.times_ms: Ints = np.empty(0, dtype=np.int64)
        self._samples: Ints = np.empty(0, dtype=np.int64)
        self._spent: dict[str, float] = {}
        self._open: list[Visit] = []

    def begin(self, times_ms: Ints) -> None:
        """The query is about these times."""
        self.times_ms, self._samples = times_ms, np.zeros(len(times_ms), dtype=np.int64)

    @property
    def samples_per_step(self) -> Ints:
        """How many samples each step looked at: those of overlapping windows count in each of them."""
        return self._samples

    def count(self, samples: Ints) -> None:
        """So many samples more at each step; one number stands for every step."""
        self._samples = self._samples + samples

    def held(self, values: int) -> None:
        """So many values were in memory for one node."""
        self.peak = max(self.peak, values)

    @contextmanager
    def visiting(self, node: Node) -> Iterator[Visit]:
        """What happens inside happens for `node`, save what happens for the nodes below it."""
        visit = self.visits.setdefault(node, Visit())
        self._open.append(visit)
        began = time.perf_counter()
        try:
            yield visit
        finally:
            visit.seconds += time.perf_counter() - began
            self._open.pop()

    def answered(self, how: str) -> None:
        """The node that is visited is answered thus."""
        if self._open and how not in self._open[-1].answered:
            self._open[-1].answered.append(how)

    def note(self, statement: Statement) -> None:
        """The node that is visited took this statement."""
        if self._open:
            self._open[-1].statements.append(statement)

    @contextmanager
    def apart(self, steps: int) -> Iterator[None]:
        """What is counted inside is about `steps` times of its own, and forgotten afterwards."""
        before, self._samples = self._samples, np.zeros(steps, dtype=np.int64)
        try:
            yield
        finally:
            self._samples = before

    @contextmanager
    def once_for_all(self) -> Iterator[None]:
        """What is counted inside is looked at once, and holds for every step."""
        before, self._samples = self._samples, np.zeros(1, dtype=np.int64)
        try:
            yield
        finally:
            self._samples = before + self._samples

    @contextmanager
    def spending(self, stage: str) -> Iterator[None]:
        """The time inside belongs to `stage`: prepared, evaluated, sorted."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._spent[stage] = self._spent.get(stage, 0.0) + time.perf_counter() - began

    def timings(self, queued: float) -> Timings:
        return Timings(queued, *(self._spent.get(stage, 0.0) for stage in ("prepared", "evaluated", "sorted")))
