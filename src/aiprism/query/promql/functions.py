"""Every PromQL function by name. To add one: a kernel in kernels.py, or an entry in one of the tables below.

Functions over range vectors are kernels; the others take evaluated arguments (a block, one number a step, or a text) and
give a block or one number a step. What needs to look at the expression itself (absent, timestamp, info) is in plan.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cmp_to_key

import numpy as np

from aiprism.errors import BadInput
from aiprism.model.labels import compiled
from aiprism.query.promql import native, notes
from aiprism.query.promql.blocks import Block, stacked
from aiprism.query.promql.histogram import Asked, histogram_fraction, histogram_quantile
from aiprism.query.promql.kernels import KERNELS
from aiprism.query.promql.labelsets import LabelSets
from aiprism.query.promql.native import Histogram
from aiprism.query.promql.notes import Doubt, Doubts, Remarks
from aiprism.query.promql.numbers import exposition_text
from aiprism.query.promql.values import QueryFailed
from aiprism.store.columns import Floats, Ints
from aiprism.store.grids import GridFunction

Operand = Block | Floats | str


@dataclass(frozen=True, slots=True)
class Moment:
    """What a function may know besides its arguments, and where to put what there is to say: `place` is where the call begins
    in the text, `places` where its arguments do. `room` raises when so many series at so many steps are too much."""

    times_ms: Ints
    remarks: Remarks
    place: int
    places: tuple[int, ...]
    room: Callable[[int, int], None] = lambda series, steps: None

    def asked(self, argument: int) -> Asked:
        """What is said is about that argument."""
        return Asked(self.remarks, self.places[argument], self.times_ms)


Evaluate = Callable[[Moment, Sequence[Operand]], Block | Floats]


def _block(operand: Operand) -> Block:
    assert isinstance(operand, Block)
    return operand


def _number(operand: Operand) -> Floats:
    assert isinstance(operand, np.ndarray)
    return operand


def _text(operand: Operand) -> str:
    assert isinstance(operand, str)
    return operand


# -- value by value --------------------------------------------------------------------------------------------------


def _each(function: Callable[[Floats], Floats]) -> Evaluate:
    def evaluate(moment: Moment, args: Sequence[Operand]) -> Block:
        block = _block(args[0])
        return Block(block.labels, function(block.values), block.valid).without_name()

    return evaluate


def _round(moment: Moment, args: Sequence[Operand]) -> Block:
    """Ties go up; the inverse keeps 0.1 and the like exact, as in Prometheus."""
    inverse = 1.0 / (_number(args[1]) if len(args) > 1 else 1.0)
    return _as_block(_each(lambda values: np.floor(values * inverse + 0.5) / inverse)(moment, args))


def _clamp(block: Block, low: Floats, high: Floats) -> Block:
    values = np.maximum(low, np.minimum(high, block.values))
    return Block(block.labels, values, block.valid & ~(high < low)).without_name()


def _as_block(result: Block | Floats) -> Block:
    assert isinstance(result, Block)
    return result


def _scalar(moment: Moment, args: Sequence[Operand]) -> Floats:
    block = _block(args[0])
    alone = block.valid.sum(axis=0) == 1
    return np.where(alone, np.where(block.valid, block.values, -0.0).sum(axis=0, initial=-0.0), np.nan)


def _evaluation_time(moment: Moment, args: Sequence[Operand]) -> Block:
    """timestamp() of anything computed; plan.py has taken out the selectors, whose samples have times of their own."""
    block = _block(args[0])
    times = np.broadcast_to(moment.times_ms / 1000, block.values.shape)
    return Block(block.labels, times, block.valid).without_name()


def _vector(moment: Moment, args: Sequence[Operand]) -> Block:
    values = _number(args[0])[None, :]
    return Block(LabelSets({}, 1), values, np.ones(values.shape, dtype=bool))


# -- dates ---------------------------------------------------------------------------------------------------------------


def _date(function: Callable[[Ints], Ints]) -> Evaluate:
    """A function of Unix seconds (UTC), of the evaluation time without an argument. Times no calendar has are NaN."""

    def of(seconds: Floats) -> Floats:
        usable = np.abs(seconds) < 1e12
        whole = np.where(usable, seconds, 0.0).astype(np.int64)
        return np.where(usable, function(whole).astype(np.float64), np.nan)

    def evaluate(moment: Moment, args: Sequence[Operand]) -> Block:
        if args:
            return _as_block(_each(of)(moment, args))
        now = of((moment.times_ms // 1000).astype(np.float64))
        return _vector(moment, [now])

    return evaluate


def _months(seconds: Ints) -> Ints:
    """Months since 1970."""
    return np.asarray(seconds.astype("datetime64[s]").astype("datetime64[M]").astype(np.int64))


def _first_day(months: Ints) -> Ints:
    """Days from 1970 to the first of a month."""
    return np.asarray(months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64))


def _day_of_year(seconds: Ints) -> Ints:
    return seconds // 86_400 - _first_day(_months(seconds) // 12 * 12) + 1


# -- labels --------------------------------------------------------------------------------------------------------------


def _label_replace(moment: Moment, args: Sequence[Operand]) -> Block:
    block, (target, replacement, source, pattern) = _block(args[0]), map(_text, args[1:])
    _check_label(target, "destination", "label_replace")
    try:
        program = compiled(pattern)
    except BadInput as error:
        raise QueryFailed(f"invalid regular expression in label_replace(): {pattern}") from error

    def replaced(value: str) -> str | None:
        match = program.fullmatch(value)
        return None if match is None else _expanded(replacement, match)

    return block.relabelled(block.labels.with_mapped(target, source, replaced)).merged()


# $1, ${1}, $name, ${name} and $$, with the longest possible name, as Go's Regexp.Expand reads them.
_REFERENCE = re.compile(r"\$(?:(\$)|(\w+)|\{(\w+)\})")


def _expanded(template: str, match: re.Match[str]) -> str:
    def text_of(reference: re.Match[str]) -> str:
        dollar, plain, braced = reference.groups()
        name = plain or braced
        if dollar:
            return "$"
        try:
            return match.group(int(name) if name.isdigit() else name) or ""
        except (IndexError, KeyError):
            return ""

    return _REFERENCE.sub(text_of, template)


def _label_join(moment: Moment, args: Sequence[Operand]) -> Block:
    block, (target, separator, *sources) = _block(args[0]), map(_text, args[1:])
    _check_label(target, "destination", "label_join")
    for source in sources:
        _check_label(source, "source", "label_join")
    texts = [block.labels.texts(source) for source in sources]
    joined = [separator.join(parts) for parts in zip(*texts, strict=True)] if texts else [""] * len(block)
    return block.relabelled(block.labels.with_texts(target, joined)).merged()


def _check_label(name: str, role: str, function: str) -> None:
    if not name:
        raise QueryFailed(f"invalid {role} label name in {function}(): {name}")


# -- order (of an instant query's result; a range query's is by labels) ------------------------------------------------


def _sort(sign: float) -> Evaluate:
    def evaluate(moment: Moment, args: Sequence[Operand]) -> Block:
        block = _block(args[0])
        if block.values.shape[1] != 1:
            return _unsorted(moment, block)
        block = block.compact()
        return block.take(np.argsort(sign * block.values[:, 0], kind="stable"))  # NaN comes last either way

    return evaluate


def _sort_by_label(*, descending: bool) -> Evaluate:
    def evaluate(moment: Moment, args: Sequence[Operand]) -> Block:
        block = _block(args[0])
        if block.values.shape[1] != 1:
            return _unsorted(moment, block)
        block = block.take(block.labels.order())  # equal ones in the order of all their labels
        keys = list(zip(*(block.labels.texts(_text(name)) for name in args[1:]), strict=True))
        naturally = cmp_to_key(_natural_order)
        rows = sorted(range(len(block)), key=lambda row: naturally(keys[row])) if keys else list(range(len(block)))
        return block.take(np.array(rows[::-1] if descending else rows, dtype=np.int64))

    return evaluate


def _unsorted(moment: Moment, block: Block) -> Block:
    moment.remarks.say(notes.SORTED_IN_RANGE, moment.place)
    return block


def _natural_order(first: Sequence[str], second: Sequence[str]) -> int:
    """Text by text, numbers within them as numbers: node2 before node10."""
    for a, b in zip(first, second, strict=True):
        for x, y in zip(_pieces(a), _pieces(b), strict=False):
            if x != y:
                smaller = int(x) < int(y) if x.isdecimal() and y.isdecimal() and int(x) != int(y) else x < y
                return -1 if smaller else 1
        if a != b:
            return -1 if len(_pieces(a)) < len(_pieces(b)) else 1
    return 0


def _pieces(text: str) -> list[str]:
    return re.findall(r"\d+|\D+", text)


# -- histograms ----------------------------------------------------------------------------------------------------------


def _quantile(moment: Moment, args: Sequence[Operand]) -> Block:
    share, block = _number(args[0]), _block(args[1])
    _doubt_share(moment, share, 0)
    of_numbers = histogram_quantile(share, block.numbers(), moment.asked(1))
    return _of_histograms(moment, [share], block, of_numbers, _NATIVE_QUANTILE, (1, 0))


def _fraction(moment: Moment, args: Sequence[Operand]) -> Block:
    lower, upper, block = _number(args[0]), _number(args[1]), _block(args[2])
    of_numbers = histogram_fraction(lower, upper, block.numbers(), moment.asked(2))
    return _of_histograms(moment, [lower, upper], block, of_numbers, _NATIVE_FRACTION, (2, 0))


def _quantiles(moment: Moment, args: Sequence[Operand]) -> Block:
    block, label = _block(args[0]), _text(args[1])
    _check_label(label, "quantile", "histogram_quantiles")
    found = []
    for place, share in enumerate(map(_number, args[2:]), 2):
        _doubt_share(moment, share, place)
        of_numbers = histogram_quantile(share, block.numbers(), moment.asked(0))
        part = _of_histograms(moment, [share], block, of_numbers, _NATIVE_QUANTILE, (0, 0))
        found.append(_by_share(part, share, label, moment.room))
    return stacked(found).merged()


def _by_share(part: Block, shares: Floats, label: str, room: Callable[[int, int], None]) -> Block:
    """Each series once for every share, with that as a label, there where the step has it."""
    different, which = np.unique(shares, return_inverse=True)
    if len(different) == 1:
        return part.relabelled(part.labels.with_texts(label, [_openmetrics(float(different[0]))] * len(part)))
    room(len(part) * len(different), len(shares))
    each = []
    for place, share in enumerate(different.tolist()):
        some = part.where(which == place).compact()
        each.append(some.relabelled(some.labels.with_texts(label, [_openmetrics(share)] * len(some))))
    return stacked(each).merged()


def _openmetrics(value: float) -> str:
    """The text of a number as OpenMetrics wants it in labels: a whole one is told from an integer.

    >>> [_openmetrics(value) for value in (1.0, 0.5, -0.0, 1e-5, float("inf"))]
    ['1.0', '0.5', '0.0', '1e-05', '+Inf']
    """
    text = exposition_text(value)
    return text if "." in text or "e" in text or not np.isfinite(value) else f"{text}.0"


def _doubt_share(moment: Moment, shares: Floats, argument: int) -> None:
    for share, at in notes.no_quantiles(shares):
        moment.remarks.say(notes.no_quantile(share), moment.places[argument], at)


@dataclass(frozen=True, slots=True)
class _OfNative:
    """A number of a native histogram within limits, and what there is to say of it."""

    of: Callable[..., float]
    doubts: Callable[..., list[Doubt]]


def _doubts_of_quantile(share: float, of: Histogram, found: float) -> list[Doubt]:
    if not 0 <= share <= 1 or not native.holds_nan(of):
        return []
    return [notes.NAN_RESULT if np.isnan(found) else notes.NAN_SKEW]


def _doubts_of_fraction(lower: float, upper: float, of: Histogram, found: float) -> list[Doubt]:
    return [notes.NAN_EXCLUDED] if lower < upper and native.holds_nan(of) else []


_NATIVE_QUANTILE = _OfNative(native.quantile, _doubts_of_quantile)
_NATIVE_FRACTION = _OfNative(native.fraction, _doubts_of_fraction)


def _of_histograms(
    moment: Moment, limits: Sequence[Floats], block: Block, of_numbers: Block, one: _OfNative, about: tuple[int, int]
) -> Block:
    """A function of histograms of both kinds, of which `of_numbers` is done; where a classic one has the same labels as a
    native one, neither has a result. What there is to say is about the two arguments: of the kinds, of the histograms."""
    if block.cells is None:
        return of_numbers
    known: dict[
        tuple[object, ...], tuple[float, list[Doubt]]
    ] = {}  # the lookback shows the same histogram at many steps
    doubts = Doubts(block.values.shape)

    def of_one(histogram: Histogram, row: int, step: int) -> float:
        key = (*(float(each[step]) for each in limits), histogram)
        if key not in known:
            found = one.of(*key)
            known[key] = (found, one.doubts(*key, found))
        found, said = known[key]
        doubts.at(row, step, said)
        return found

    of_natives = _of_native(of_one, block)
    moment.remarks.say_all(doubts, moment.places[about[1]])
    both = stacked([of_numbers, of_natives])
    ids = both.labels.groups().ids
    count = int(ids.max(initial=-1)) + 1
    crowd = np.zeros((count, both.valid.shape[1]), dtype=np.int64)
    np.add.at(crowd, ids, both.valid.astype(np.int64))
    moment.remarks.say(notes.MIXED_CLASSIC, moment.places[about[0]], notes.by_step(crowd > 1))
    return both.where(crowd[ids] == 1).merged()


def _of_native(function: Callable[[Histogram, int, int], float], block: Block) -> Block:
    """A number of each histogram, which `function` takes with its row and step; floats have no result."""
    valid, values = block.native(), np.zeros(block.values.shape)
    for row, step in zip(*(places.tolist() for places in np.nonzero(valid)), strict=True):
        assert block.cells is not None
        values[row, step] = function(block.cells[row, step], row, step)
    return Block(block.labels, values, valid).compact().without_name()


def _of_each_native(function: Callable[[Histogram], float]) -> Evaluate:
    return lambda moment, args: _of_native(lambda histogram, row, step: function(histogram), _block(args[0]))


EVALUATED: Mapping[str, Evaluate] = {
    "abs": _each(np.abs),
    "ceil": _each(np.ceil),
    "floor": _each(np.floor),
    "exp": _each(np.exp),
    "sqrt": _each(np.sqrt),
    "ln": _each(np.log),
    "log2": _each(np.log2),
    "log10": _each(np.log10),
    "sin": _each(np.sin),
    "cos": _each(np.cos),
    "tan": _each(np.tan),
    "asin": _each(np.arcsin),
    "acos": _each(np.arccos),
    "atan": _each(np.arctan),
    "sinh": _each(np.sinh),
    "cosh": _each(np.cosh),
    "tanh": _each(np.tanh),
    "asinh": _each(np.arcsinh),
    "acosh": _each(np.arccosh),
    "atanh": _each(np.arctanh),
    "rad": _each(lambda degrees: degrees * np.pi / 180),
    "deg": _each(lambda radians: radians * 180 / np.pi),
    "sgn": _each(np.sign),
    "round": _round,
    "clamp": lambda moment, args: _clamp(_block(args[0]), _number(args[1]), _number(args[2])),
    "clamp_min": lambda moment, args: _clamp(_block(args[0]), _number(args[1]), np.full(1, np.inf)),
    "clamp_max": lambda moment, args: _clamp(_block(args[0]), np.full(1, -np.inf), _number(args[1])),
    "scalar": _scalar,
    "vector": _vector,
    "timestamp": _evaluation_time,
    "min_of": lambda moment, args: np.minimum(*map(_number, args)),
    "max_of": lambda moment, args: np.maximum(*map(_number, args)),
    "time": lambda moment, args: moment.times_ms / 1000,
    "pi": lambda moment, args: np.full(len(moment.times_ms), np.pi),
    "minute": _date(lambda seconds: seconds // 60 % 60),
    "hour": _date(lambda seconds: seconds // 3600 % 24),
    "day_of_week": _date(lambda seconds: (seconds // 86_400 + 4) % 7),
    "day_of_month": _date(lambda seconds: seconds // 86_400 - _first_day(_months(seconds)) + 1),
    "day_of_year": _date(_day_of_year),
    "days_in_month": _date(lambda seconds: _first_day(_months(seconds) + 1) - _first_day(_months(seconds))),
    "month": _date(lambda seconds: _months(seconds) % 12 + 1),
    "year": _date(lambda seconds: _months(seconds) // 12 + 1970),
    "label_replace": _label_replace,
    "label_join": _label_join,
    "sort": _sort(1.0),
    "sort_desc": _sort(-1.0),
    "sort_by_label": _sort_by_label(descending=False),
    "sort_by_label_desc": _sort_by_label(descending=True),
    "histogram_quantile": _quantile,
    "histogram_quantiles": _quantiles,
    "histogram_fraction": _fraction,
    "histogram_count": _of_each_native(lambda histogram: histogram.count),
    "histogram_sum": _of_each_native(lambda histogram: histogram.sum),
    "histogram_avg": _of_each_native(native.mean),
    "histogram_stdvar": _of_each_native(native.variance),
    "histogram_stddev": _of_each_native(lambda histogram: native.variance(histogram) ** 0.5),
}

# The others pass over native histograms.
TAKES_HISTOGRAMS = frozenset(
    {name for name in EVALUATED if name.startswith("histogram_")}
    | {"label_replace", "label_join", "sort_by_label", "sort_by_label_desc", "timestamp"}
)

# Old names of functions, and what they are called now.
RENAMED: Mapping[str, str] = {"holt_winters": "double_exponential_smoothing"}

# Functions that exist in the plan only.
PLANNED = frozenset({"absent", "absent_over_time", "info", "start", "end", "step", "range"})

# Their result changes with the evaluation time even where their arguments do not, so an @ modifier does not fix it.
UNSTEADY = frozenset(
    {"time", "timestamp", "predict_linear", "minute", "hour", "day_of_week", "day_of_month", "day_of_year"}
    | {"days_in_month", "month", "year"}
)

# Functions over a range vector whose result is still the same metric.
KEEP_NAME = frozenset({"last_over_time", "first_over_time"})

# What ClickHouse computes exactly as kernels.py does (tests/query/promql/test_pushdown.py holds them to it).
PUSHED: Mapping[str, GridFunction] = {
    "rate": GridFunction.RATE,
    "increase": GridFunction.INCREASE,
    "delta": GridFunction.DELTA,
    "irate": GridFunction.IRATE,
    "idelta": GridFunction.IDELTA,
    "deriv": GridFunction.DERIV,
    "predict_linear": GridFunction.PREDICT_LINEAR,
    "changes": GridFunction.CHANGES,
    "resets": GridFunction.RESETS,
    "sum_over_time": GridFunction.SUM,
    "min_over_time": GridFunction.MIN,
    "max_over_time": GridFunction.MAX,
    "count_over_time": GridFunction.COUNT,
    "last_over_time": GridFunction.LAST,
}

# What must be computed of buckets by ClickHouse where samples are downsampled: the kernels take each value for a sample.
ROLLED: Mapping[str, GridFunction] = {
    "latest": GridFunction.LATEST,
    "avg_over_time": GridFunction.AVG,
    **{
        name: PUSHED[name]
        for name in (
            *("rate", "increase", "last_over_time"),
            *("sum_over_time", "min_over_time", "max_over_time", "count_over_time"),
        )
    },
}

FUNCTIONS: frozenset[str] = frozenset({*EVALUATED, *KERNELS, *PLANNED, *RENAMED})
