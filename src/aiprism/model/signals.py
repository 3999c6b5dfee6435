"""What a rule asks of logs or traces: which records, what of them is measured, and what it is compared with.

Written by a reader of rule files (`detect/signals.py`), computed by a store (`store/signals.py`).
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

from aiprism.model.search import Condition
from aiprism.model.timerange import format_duration


class Signal(Enum):
    """Where the records are."""

    LOGS = "logs"
    TRACES = "traces"


class Kind(Enum):
    """What is computed of the records of a window."""

    COUNT = "count"
    RATE = "rate"  # records a second
    DISTINCT = "distinct"
    SUM = "sum"
    AVG = "avg"
    MIN = "min"
    MAX = "max"
    QUANTILE = "quantile"
    ERROR_SHARE = "error_share"  # of spans: those with status ERROR through all

    @property
    def of_nothing(self) -> float | None:
        """What it is where there is no record; None: nothing can be said."""
        return 0.0 if self in (Kind.COUNT, Kind.RATE, Kind.DISTINCT, Kind.SUM) else None


@dataclass(frozen=True, slots=True)
class Measure:
    """What is computed, of which field, at which quantile."""

    kind: Kind
    field: str = ""
    quantile: float = 0.0

    def __str__(self) -> str:
        """As rule files write it.

        >>> str(Measure(Kind.QUANTILE, "wait", 0.99)), str(Measure(Kind.COUNT))
        ('quantile(0.99, wait)', 'count')
        """
        given = [f"{self.quantile:g}"] * (self.kind is Kind.QUANTILE) + [self.field] * bool(self.field)
        return f"{self.kind.value}({', '.join(given)})" if given else self.kind.value


@dataclass(frozen=True, slots=True)
class Selection:
    """The records of a search in the `over` seconds before a moment, told apart by the values of the fields `by`.

    A window holds the records from its first moment on and none of its last one, so that windows that follow each other hold
    every record once.
    """

    signal: Signal
    asked: Condition
    by: tuple[str, ...]
    over: float


COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}


@dataclass(frozen=True, slots=True)
class Threshold:
    """A comparison that a value passes or not; `sign` is one of `COMPARISONS`."""

    sign: str
    number: float

    def passed_by(self, value: float) -> bool:
        """Whether the comparison holds."""
        return COMPARISONS[self.sign](value, self.number)

    def __str__(self) -> str:
        return f"{self.sign} {self.number:g}"


@dataclass(frozen=True, slots=True)
class SignalQuestion:
    """A measure of a selection; of the groups only those whose value passes `when`. `query` is the search as it was written,
    `saved` are the names of the saved searches it is made of."""

    selection: Selection
    measure: Measure
    when: Threshold | None
    query: str
    saved: frozenset[str] = frozenset()

    def __str__(self) -> str:
        """For people, in the manner of PromQL: ``count by (service) (logs{level:ERROR}[5m]) > 10``."""
        by = f" by ({', '.join(self.selection.by)})" if self.selection.by else ""
        window = f"{self.selection.signal.value}{{{self.query}}}[{format_duration(self.selection.over)}]"
        return f"{self.measure}{by} ({window})" + (f" {self.when}" if self.when else "")
