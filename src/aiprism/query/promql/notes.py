"""What a query's author should know of its answer though it is one: Prometheus' annotations, with the place in the text."""

from __future__ import annotations

from dataclasses import dataclass, field

from aiprism.query.promql.tokens import line_and_column

_MOST = 10  # of each kind are told


@dataclass(slots=True)
class Notes:
    """Collected while one query is evaluated, each once, in the order in which they came up. `text` is the query; `place` is
    where in it the part begins that is being evaluated."""

    text: str = ""
    place: int = 0
    _warnings: dict[str, None] = field(default_factory=dict)
    _infos: dict[str, None] = field(default_factory=dict)

    @property
    def warnings(self) -> list[str]:
        """Where samples had to be left out."""
        return list(self._warnings)[:_MOST]

    @property
    def infos(self) -> list[str]:
        """What may not be what was meant."""
        return list(self._infos)[:_MOST]

    @property
    def some(self) -> bool:
        """True when there are any."""
        return bool(self._warnings or self._infos)

    def add(self, others: Notes) -> None:
        """Those of another collection after these."""
        self._warnings.update(others._warnings)
        self._infos.update(others._infos)

    def mixed_range(self, metric: str) -> None:
        self._warn(f'encountered a mix of histograms and floats for metric name "{metric}"')

    def mixed_aggregation(self) -> None:
        self._warn("encountered a mix of histograms and floats for aggregation")

    def ignored_in_range(self, metric: str) -> None:
        self._inform(f'ignored histograms in a range containing both floats and histograms for metric name "{metric}"')

    def ignored_in_aggregation(self, op: str) -> None:
        self._inform(f"ignored histogram in {op} aggregation")

    def incompatible(self, op: str, left: str, right: str) -> None:
        self._inform(f'incompatible sample types encountered for binary operator "{op}": {left} {op} {right}')

    def _warn(self, said: str) -> None:
        self._warnings[f"PromQL warning: {said}{self._where()}"] = None

    def _inform(self, said: str) -> None:
        self._infos[f"PromQL info: {said}{self._where()}"] = None

    def _where(self) -> str:
        return " ({}:{})".format(*line_and_column(self.text, self.place)) if self.text else ""
