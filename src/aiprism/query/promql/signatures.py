"""What each function takes and gives: the types of its arguments, how many of them may be left out or repeated.

Source: Prometheus documentation, "Query functions"; what each one does is in functions.py and kernels.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aiprism.query.promql.syntax import Kind

_SCALAR, _VECTOR, _MATRIX, _STRING = Kind.SCALAR, Kind.VECTOR, Kind.MATRIX, Kind.STRING


@dataclass(frozen=True, slots=True)
class Signature:
    """`takes` in order; the last `optional` of them may be left out, or with `repeated` the last may come any number of times."""

    takes: tuple[Kind, ...]
    gives: Kind = _VECTOR
    optional: int = 0
    repeated: bool = False

    def argument(self, place: int) -> Kind:
        """The type of the argument at `place`, from 0."""
        return self.takes[min(place, len(self.takes) - 1)]

    def fault(self, name: str, given: int) -> str:
        """What is wrong with that number of arguments; nothing when it is right."""
        least = len(self.takes) - self.optional
        if not self.optional and not self.repeated:
            return "" if given == least else f'expected {least} argument(s) in call to "{name}", got {given}'
        if given < least:
            return f'expected at least {least} argument(s) in call to "{name}", got {given}'
        if not self.repeated and given > len(self.takes):
            return f'expected at most {len(self.takes)} argument(s) in call to "{name}", got {given}'
        return ""


def _alike(names: str, *takes: Kind, gives: Kind = _VECTOR, optional: int = 0) -> dict[str, Signature]:
    return dict.fromkeys(names.split(), Signature(takes, gives, optional))


SIGNATURES: Mapping[str, Signature] = {
    **_alike("abs ceil floor sgn exp ln log2 log10 sqrt deg rad sort sort_desc absent timestamp", _VECTOR),
    **_alike("sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh", _VECTOR),
    **_alike("histogram_count histogram_sum histogram_avg histogram_stddev histogram_stdvar", _VECTOR),
    **_alike("minute hour day_of_week day_of_month day_of_year days_in_month month year", _VECTOR, optional=1),
    **_alike("rate increase irate resets delta idelta deriv changes absent_over_time", _MATRIX),
    **_alike("avg_over_time min_over_time max_over_time sum_over_time count_over_time mad_over_time", _MATRIX),
    **_alike("stddev_over_time stdvar_over_time last_over_time first_over_time present_over_time", _MATRIX),
    **_alike("ts_of_min_over_time ts_of_max_over_time ts_of_first_over_time ts_of_last_over_time", _MATRIX),
    **_alike("time pi start end step range", gives=_SCALAR),
    **_alike("min_of max_of", _SCALAR, _SCALAR, gives=_SCALAR),
    **_alike("clamp_min clamp_max", _VECTOR, _SCALAR),
    **_alike("double_exponential_smoothing holt_winters", _MATRIX, _SCALAR, _SCALAR),
    "clamp": Signature((_VECTOR, _SCALAR, _SCALAR)),
    "round": Signature((_VECTOR, _SCALAR), optional=1),
    "scalar": Signature((_VECTOR,), _SCALAR),
    "vector": Signature((_SCALAR,)),
    "predict_linear": Signature((_MATRIX, _SCALAR)),
    "quantile_over_time": Signature((_SCALAR, _MATRIX)),
    "histogram_quantile": Signature((_SCALAR, _VECTOR)),
    "histogram_fraction": Signature((_SCALAR, _SCALAR, _VECTOR)),
    "histogram_quantiles": Signature((_VECTOR, _STRING, _SCALAR), repeated=True),
    "label_replace": Signature((_VECTOR, _STRING, _STRING, _STRING, _STRING)),
    "label_join": Signature((_VECTOR, _STRING, _STRING, _STRING), optional=1, repeated=True),
    "sort_by_label": Signature((_VECTOR, _STRING), optional=1, repeated=True),
    "sort_by_label_desc": Signature((_VECTOR, _STRING), optional=1, repeated=True),
    "info": Signature((_VECTOR, _VECTOR), optional=1),
}
