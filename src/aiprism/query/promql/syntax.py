"""The syntax tree of a PromQL expression: what the text says, frozen, before anything is decided about evaluating it.

`parse.py` makes it, `plan.py` reads it. ``str(node)`` is PromQL again (format_query), `as_json(node)` is the form the
Prometheus API gives for parse_query.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from aiprism.model.labels import METRIC_NAME, Matcher, MatchOp
from aiprism.model.timerange import format_duration
from aiprism.query.promql.numbers import number_text

_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


class Kind(Enum):
    """The four types of an expression, in Prometheus' words."""

    SCALAR = "scalar"
    VECTOR = "instant vector"
    MATRIX = "range vector"
    STRING = "string"


class At(Enum):
    """The two times an @ modifier can name instead of a number."""

    START = "start()"
    END = "end()"


class Edges(Enum):
    """What a selector takes of the samples beyond the edges of its range."""

    ANCHORED = "anchored"  # the last one before the range
    SMOOTHED = "smoothed"  # one on either side, interpolated


class Cardinality(Enum):
    """How many series of each side of an operator may share one set of matching labels."""

    ONE_TO_ONE = "one-to-one"
    MANY_TO_ONE = "many-to-one"
    ONE_TO_MANY = "one-to-many"
    MANY_TO_MANY = "many-to-many"


def _place() -> int:
    """Where a node begins in the text, from 0; it tells nothing of what the node means, so nodes that differ in it are equal."""
    place: int = field(default=0, compare=False, repr=False)
    return place


@dataclass(frozen=True, slots=True)
class Computed:
    """A duration in seconds that is known when the step and the range of a query are: `op` is step, range, min_of, max_of or an
    operator of arithmetic."""

    op: str
    args: tuple[Computed | float, ...] = ()
    place: int = _place()

    def __str__(self) -> str:
        inside = [number_text(each) if isinstance(each, float) else str(each) for each in self.args]
        if self.op in DURATION_FUNCTIONS:
            return f"{self.op}({', '.join(inside)})"
        return f"({f' {self.op} '.join(inside)})" if len(inside) > 1 else f"({self.op}{inside[0]})"


DURATION_FUNCTIONS = frozenset({"step", "range", "min_of", "max_of"})


@dataclass(frozen=True, slots=True)
class Number:
    value: float
    place: int = _place()

    def __str__(self) -> str:
        return number_text(self.value)


@dataclass(frozen=True, slots=True)
class Text:
    value: str
    place: int = _place()

    def __str__(self) -> str:
        return _quoted(self.value)


@dataclass(frozen=True, slots=True)
class VectorSelector:
    """`matchers` holds the metric name too; `at` is Unix milliseconds, one of `At`, or None for the evaluation time."""

    matchers: tuple[Matcher, ...]
    offset_ms: int | Computed = 0
    at: int | At | None = None
    edges: Edges | None = None
    place: int = _place()

    @property
    def name(self) -> str:
        """The metric name when one matcher fixes it, else an empty string."""
        for matcher in self.matchers:
            if matcher.name == METRIC_NAME and matcher.op is MatchOp.EQUAL:
                return matcher.value
        return ""

    def __str__(self) -> str:
        return _selected(self) + _edges(self.edges) + _modifiers(self.offset_ms, self.at)


@dataclass(frozen=True, slots=True)
class MatrixSelector:
    vector: VectorSelector
    range_ms: int | Computed

    def __str__(self) -> str:
        window = f"[{_duration(self.range_ms)}]{_edges(self.vector.edges)}"
        return _selected(self.vector) + window + _modifiers(self.vector.offset_ms, self.vector.at)


@dataclass(frozen=True, slots=True)
class Subquery:
    """`step_ms` None is the default step."""

    expr: Expr
    range_ms: int | Computed
    step_ms: int | Computed | None = None
    offset_ms: int | Computed = 0
    at: int | At | None = None

    def window(self) -> str:
        """What stands behind the expression."""
        step = "" if self.step_ms is None else _duration(self.step_ms)
        return f"[{_duration(self.range_ms)}:{step}]{_modifiers(self.offset_ms, self.at)}"

    def __str__(self) -> str:
        return f"{self.expr}{self.window()}"


@dataclass(frozen=True, slots=True)
class Paren:
    expr: Expr
    place: int = _place()

    def __str__(self) -> str:
        return f"({self.expr})"


@dataclass(frozen=True, slots=True)
class Negation:
    expr: Expr
    place: int = _place()

    def __str__(self) -> str:
        return f"-{self.expr}"


@dataclass(frozen=True, slots=True)
class Matching:
    """Which series of two vectors belong together: by `labels` (`on`) or by all others (ignoring)."""

    cardinality: Cardinality = Cardinality.ONE_TO_ONE
    on: bool = False
    labels: tuple[str, ...] = ()
    include: tuple[str, ...] = ()  # group_left/group_right: labels copied from the one side
    fill_left: float | None = None  # stands for a series that the other side has no match for
    fill_right: float | None = None

    @property
    def fills(self) -> bool:
        """True when one side at least is filled in."""
        return self.fill_left is not None or self.fill_right is not None


@dataclass(frozen=True, slots=True)
class Binary:
    """`matching` is None unless both sides are vectors."""

    op: str
    left: Expr
    right: Expr
    matching: Matching | None = None
    return_bool: bool = False
    place: int = _place()  # of the operator

    def operator(self) -> str:
        """What stands between the sides."""
        flag = " bool" if self.return_bool else ""
        return f"{self.op}{flag}{_matching_text(self.matching)}"

    def __str__(self) -> str:
        return f"{self.left} {self.operator()} {self.right}"


@dataclass(frozen=True, slots=True)
class Aggregation:
    op: str
    expr: Expr
    param: Expr | None = None
    labels: tuple[str, ...] = ()
    without: bool = False
    place: int = _place()

    def operator(self) -> str:
        """What stands before the parentheses."""
        if not self.without and not self.labels:
            return self.op
        return f"{self.op} {'without' if self.without else 'by'} ({', '.join(map(_label_text, self.labels))}) "

    def __str__(self) -> str:
        inside = str(self.expr) if self.param is None else f"{self.param}, {self.expr}"
        return f"{self.operator()}({inside})"


@dataclass(frozen=True, slots=True)
class Call:
    function: str
    args: tuple[Expr, ...]
    kind: Kind
    place: int = _place()

    def __str__(self) -> str:
        return f"{self.function}({', '.join(map(str, self.args))})"


Expr = Number | Text | VectorSelector | MatrixSelector | Subquery | Paren | Negation | Binary | Aggregation | Call


def kind_of(expr: Expr) -> Kind:
    """The type of `expr`."""
    match expr:
        case Number():
            return Kind.SCALAR
        case Text():
            return Kind.STRING
        case MatrixSelector() | Subquery():
            return Kind.MATRIX
        case Call(kind=kind):
            return kind
        case Paren(expr=inner) | Negation(expr=inner):
            return kind_of(inner)
        case Binary(left=left, right=right):
            return Kind.SCALAR if kind_of(left) is kind_of(right) is Kind.SCALAR else Kind.VECTOR
        case _:
            return Kind.VECTOR


def start_of(expr: Expr) -> int:
    """Where `expr` begins in the text."""
    match expr:
        case Binary(left=left):
            return start_of(left)
        case MatrixSelector(vector=vector):
            return vector.place
        case Subquery(expr=inner):
            return start_of(inner)
        case _:
            return expr.place


def selectors(expr: Expr) -> Iterator[VectorSelector]:
    """Every selector in `expr`, from left to right."""
    match expr:
        case VectorSelector():
            yield expr
        case MatrixSelector():
            yield expr.vector
        case Paren() | Negation() | Subquery():
            yield from selectors(expr.expr)
        case Aggregation():
            for each in (expr.param, expr.expr):
                yield from () if each is None else selectors(each)
        case Binary():
            yield from selectors(expr.left)
            yield from selectors(expr.right)
        case Call():
            for arg in expr.args:
                yield from selectors(arg)


def in_order(expr: Expr) -> Expr:
    """The same expression with the matchers of each selector sorted, as Prometheus writes them."""
    match expr:
        case VectorSelector():
            return replace(expr, matchers=tuple(sorted(expr.matchers, key=str)))
        case MatrixSelector():
            return replace(expr, vector=replace(expr.vector, matchers=tuple(sorted(expr.vector.matchers, key=str))))
        case Paren() | Negation() | Subquery():
            return replace(expr, expr=in_order(expr.expr))
        case Aggregation():
            param = None if expr.param is None else in_order(expr.param)
            return replace(expr, expr=in_order(expr.expr), param=param)
        case Binary():
            return replace(expr, left=in_order(expr.left), right=in_order(expr.right))
        case Call():
            return replace(expr, args=tuple(map(in_order, expr.args)))
        case _:
            return expr


# -- as Prometheus' parse_query gives it ---------------------------------------------------------------------------------

Json = dict[str, object]
_TYPE_NAMES = {Kind.SCALAR: "scalar", Kind.VECTOR: "vector", Kind.MATRIX: "matrix", Kind.STRING: "string"}


def as_json(expr: Expr) -> Json:
    """The tree as nested objects with a `type` each."""
    match expr:
        case Number():
            return {"type": "numberLiteral", "val": str(expr)}
        case Text():
            return {"type": "stringLiteral", "val": expr.value}
        case VectorSelector():
            return {"type": "vectorSelector", **_selector_json(expr)}
        case MatrixSelector():
            return {"type": "matrixSelector", "range": _known(expr.range_ms), **_selector_json(expr.vector)}
        case Subquery():
            return {
                "type": "subquery",
                "expr": as_json(expr.expr),
                "range": _known(expr.range_ms),
                "step": _known(expr.step_ms or 0),
                **_time_json(expr.offset_ms, expr.at),
            }
        case Paren():
            return {"type": "parenExpr", "expr": as_json(expr.expr)}
        case Negation():
            return {"type": "unaryExpr", "op": "-", "expr": as_json(expr.expr)}
        case Binary():
            return {
                "type": "binaryExpr",
                "op": expr.op,
                "lhs": as_json(expr.left),
                "rhs": as_json(expr.right),
                "matching": None if expr.matching is None else _matching_json(expr.matching),
                "bool": expr.return_bool,
            }
        case Aggregation():
            return {
                "type": "aggregation",
                "op": expr.op,
                "expr": as_json(expr.expr),
                "param": None if expr.param is None else as_json(expr.param),
                "grouping": list(expr.labels),
                "without": expr.without,
            }
        case Call():
            function = {"name": expr.function, "returnType": _TYPE_NAMES[expr.kind]}
            return {"type": "call", "func": function, "args": [as_json(arg) for arg in expr.args]}


def _selector_json(selector: VectorSelector) -> Json:
    matchers = [
        {"type": matcher.op.value, "name": matcher.name, "value": matcher.value} for matcher in selector.matchers
    ]
    edges = {each.value: selector.edges is each for each in Edges}
    return {"name": selector.name, "matchers": matchers, **_time_json(selector.offset_ms, selector.at), **edges}


def _known(duration: int | Computed) -> int:
    """Milliseconds; of what is computed later, 0."""
    return 0 if isinstance(duration, Computed) else duration


def _time_json(offset_ms: int | Computed, at: int | At | None) -> Json:
    return {
        "offset": _known(offset_ms),
        "timestamp": at if isinstance(at, int) else None,
        "startOrEnd": at.value.removesuffix("()") if isinstance(at, At) else None,
    }


def _matching_json(matching: Matching) -> Mapping[str, object]:
    return {
        "card": matching.cardinality.value,
        "labels": list(matching.labels),
        "on": matching.on,
        "include": list(matching.include),
        "fillValues": {"lhs": matching.fill_left, "rhs": matching.fill_right},
    }


# -- as text ---------------------------------------------------------------------------------------------------------------


def _selected(selector: VectorSelector) -> str:
    name = selector.name
    plain = bool(_METRIC.fullmatch(name))
    rest = []
    for matcher in selector.matchers:
        if matcher.name == METRIC_NAME and matcher.op is MatchOp.EQUAL and matcher.value == name:
            if not plain:
                rest.append(_quoted(name))
            continue
        rest.append(f"{_label_text(matcher.name)}{matcher.op.value}{_quoted(matcher.value)}")
    braces = f"{{{','.join(rest)}}}" if rest else ""
    return (name if plain else "") + braces


def _edges(edges: Edges | None) -> str:
    return f" {edges.value}" if edges else ""


def _duration(duration: int | Computed) -> str:
    return str(duration) if isinstance(duration, Computed) else format_duration(duration / 1000)


def _modifiers(offset_ms: int | Computed, at: int | At | None) -> str:
    text = ""
    if isinstance(at, At):
        text += f" @ {at.value}"
    elif at is not None:
        text += f" @ {at / 1000:.3f}"
    if isinstance(offset_ms, Computed):
        text += f" offset {offset_ms}"
    elif offset_ms:
        text += f" offset {'-' if offset_ms < 0 else ''}{format_duration(abs(offset_ms) / 1000)}"
    return text


def _matching_text(matching: Matching | None) -> str:
    if matching is None:
        return ""
    text = ""
    if matching.on or matching.labels:
        text += f" {'on' if matching.on else 'ignoring'} ({', '.join(map(_label_text, matching.labels))})"
    if matching.cardinality in (Cardinality.MANY_TO_ONE, Cardinality.ONE_TO_MANY):
        side = "left" if matching.cardinality is Cardinality.MANY_TO_ONE else "right"
        text += f" group_{side} ({', '.join(map(_label_text, matching.include))})"
    left, right = matching.fill_left, matching.fill_right
    if left is not None and left == right:
        return f"{text} fill ({number_text(left)})"
    for side, value in (("left", left), ("right", right)):
        text += "" if value is None else f" fill_{side} ({number_text(value)})"
    return text


def _label_text(name: str) -> str:
    return name if _LABEL.fullmatch(name) else _quoted(name)


def _quoted(text: str) -> str:
    escaped = (
        text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")
    )
    return f'"{escaped}"'
