"""What one query may use, and the watch that stops it when it wants more."""

from __future__ import annotations

from dataclasses import dataclass

from aiprism.errors import LimitExceeded
from aiprism.store.question import Question


@dataclass(frozen=True, slots=True)
class Limits:
    """`samples`: read from the store, or cells of one intermediate result. `points`: steps of a range query."""

    samples: int = 50_000_000
    series: int = 500_000
    points: int = 11_000
    seconds: float = 120.0
    lookback: float = 300.0
    subquery_step: float = 60.0  # of a subquery that names none


class Watch:
    """Watches one query. Every `check` raises when the query is over a limit, naming it."""

    def __init__(self, limits: Limits, question: Question | None = None) -> None:
        self.limits = limits
        self.question = question or Question(limits.seconds)
        self.question.within(limits.seconds)

    def check_steps(self, count: int) -> None:
        if count - 1 > self.limits.points:  # Prometheus counts what lies between the steps
            raise LimitExceeded(
                f"the query asks for {count} points a series, more than {self.limits.points} (limit max_points); "
                "use a longer step or a shorter range"
            )

    def check_series(self, count: int) -> None:
        if count > self.limits.series:
            raise LimitExceeded(
                f"a selector matches {count} series, more than {self.limits.series} (limit max_series); add label matchers"
            )

    def check_cells(self, series: int, steps: int) -> None:
        if series * steps > self.limits.samples:
            raise LimitExceeded(
                f"the query holds {series} series at {steps} steps, more than {self.limits.samples} values "
                "(limit max_samples); use a longer step or fewer series"
            )
