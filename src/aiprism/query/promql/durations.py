"""Durations in expressions: numbers of seconds, computed at once where they can be, else when a query is planned.

In: numbers, operators, and words for what only a query knows, its step and its range. Out: seconds, or whole milliseconds.
Source: Prometheus documentation, "PromQL arithmetic expressions in time durations".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from aiprism.query.promql.syntax import Computed

Seconds = float | Computed
MOST_SECONDS = 2.0**53 / 1000

_OPERATIONS: Mapping[str, Callable[..., float]] = {
    "+": lambda left, right: left + right,
    "-": lambda first, *second: first - second[0] if second else -first,
    "*": lambda left, right: left * right,
    "/": lambda left, right: left / right,
    "%": math.fmod,
    "^": math.pow,
    "min_of": min,
    "max_of": max,
}


def computed(op: str, *args: Seconds, place: int) -> Seconds:
    """`op` of durations, a number where all of them are; ArithmeticError or ValueError when there is no such number."""
    known = [each for each in args if isinstance(each, float)]
    return _OPERATIONS[op](*known) if len(known) == len(args) > 0 else Computed(op, args, place)


def seconds_of(duration: Seconds, step: float, span: float) -> float:
    """A duration in a query that takes `step` seconds from one of its times to the next, `span` from the first to the last."""
    if isinstance(duration, float):
        return duration
    if duration.op in ("step", "range"):
        return step if duration.op == "step" else span
    return _OPERATIONS[duration.op](*(seconds_of(each, step, span) for each in duration.args))


def milliseconds(seconds: float) -> int:
    """The nearest whole number of them, within bounds."""
    return round(min(max(seconds, -MOST_SECONDS), MOST_SECONDS) * 1000) if not math.isnan(seconds) else 0


def whole_milliseconds(seconds: Seconds) -> int | Computed:
    """As `milliseconds`; what is computed later stays what it is."""
    return seconds if isinstance(seconds, Computed) else milliseconds(seconds)
