"""From a syntax tree to a plan: what is read from the store, what is computed of it, and what need be computed only once.

`plan(expr, start_ms, end_ms)` resolves the @ modifiers, makes every selector a `Leaf` together with the function right
above it (which is what the store may compute), marks what is the same at every step (`Fixed`), and folds constants.
Nodes are frozen and comparable, so equal leaves are evaluated once. Evaluation is left to evaluate.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from aiprism.model.labels import METRIC_NAME, Labels, Matcher, MatchOp
from aiprism.query.promql import syntax
from aiprism.query.promql.aggregate import Grouping
from aiprism.query.promql.durations import milliseconds, seconds_of
from aiprism.query.promql.functions import KEEP_NAME, RENAMED, UNSTEADY
from aiprism.query.promql.kernels import KERNELS
from aiprism.query.promql.operators import between_scalars
from aiprism.query.promql.syntax import (
    At,
    Computed,
    Edges,
    Expr,
    Kind,
    Matching,
    MatrixSelector,
    Subquery,
    VectorSelector,
    kind_of,
)
from aiprism.query.promql.tokens import parse_error

# The functions of an instant selector: its newest sample, and when that was taken.
LATEST, LATEST_TIME = "latest", "timestamp"
INFO_METRIC = "target_info"
# The range of a query is its end less its start; an instant query has none, and no step.
_OF_THE_QUERY = frozenset({"start", "end", "step", "range"})


def _place() -> int:
    """Where in the text notes about a node point to; nodes that differ in it are equal."""
    place: int = field(default=0, compare=False, repr=False)
    return place


@dataclass(frozen=True, slots=True)
class Constant:
    """One number at every step."""

    value: float


@dataclass(frozen=True, slots=True)
class Words:
    """A text argument."""

    value: str


@dataclass(frozen=True, slots=True)
class Leaf:
    """`function` (a kernel, LATEST or LATEST_TIME) of stored samples. `window_ms` None is the lookback of the engine;
    `at_ms` is the time an @ modifier fixes. `named`: the result is still that metric."""

    function: str
    matchers: tuple[Matcher, ...]
    window_ms: int | None
    offset_ms: int
    at_ms: int | None
    args: tuple[Node, ...] = ()
    named: bool = False
    edges: Edges | None = None
    place: int = _place()


@dataclass(frozen=True, slots=True)
class OverSubquery:
    """A kernel over the values `expr` has on a grid of its own; `step_ms` None is the default step."""

    function: str
    expr: Node
    window_ms: int
    step_ms: int | None
    offset_ms: int
    at_ms: int | None
    args: tuple[Node, ...] = ()
    named: bool = False
    place: int = _place()


@dataclass(frozen=True, slots=True)
class Samples:
    """A range vector as the result of an instant query."""

    leaf: Leaf | OverSubquery


@dataclass(frozen=True, slots=True)
class Apply:
    """A function of functions.EVALUATED. `places` are those of its arguments."""

    function: str
    args: tuple[Node, ...]
    place: int = _place()
    places: tuple[int, ...] = field(default=(), compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Absent:
    """1 with `labels` at the steps where `expr` has no value."""

    expr: Node
    labels: Labels


@dataclass(frozen=True, slots=True)
class Info:
    """`expr` with the labels of the info series of the same instance and job. `matchers` select those by name and tell
    which labels are wanted (all when none is named)."""

    expr: Node
    infos: Leaf
    matchers: tuple[Matcher, ...]


@dataclass(frozen=True, slots=True)
class Aggregate:
    op: str
    expr: Node
    grouping: Grouping
    param: Node | None = None
    place: int = _place()
    param_place: int = _place()


@dataclass(frozen=True, slots=True)
class Operate:
    """A binary operator; `matching` is None unless both sides are vectors."""

    op: str
    left: Node
    right: Node
    matching: Matching | None
    return_bool: bool
    place: int = _place()


@dataclass(frozen=True, slots=True)
class Negate:
    expr: Node


@dataclass(frozen=True, slots=True)
class Fixed:
    """The same at every step: evaluated at the first one."""

    expr: Node


Node = Constant | Words | Leaf | OverSubquery | Samples | Apply | Absent | Info | Aggregate | Operate | Negate | Fixed


def plan(expr: Expr, start_ms: int, end_ms: int, step_ms: int = 0, text: str = "") -> Node:
    """The plan of `expr`, which is what `text` says, for a query from `start_ms` to `end_ms` (the same for an instant query) by
    `step_ms`. BadInput for a duration that there is not in such a query."""
    planner = _Planner(start_ms, end_ms, step_ms, text)
    if kind_of(expr) is Kind.MATRIX:
        return Samples(planner.matrix("last_over_time", _bare(expr), ()))
    return planner.fixed(planner.node(expr))


def leaves(node: Node) -> Iterator[Leaf]:
    """The leaves that are evaluated at the steps of `node`: not those of subqueries."""
    if isinstance(node, Leaf):
        yield node
    elif not isinstance(node, OverSubquery):
        for child in children(node):
            yield from leaves(child)


def keeps_order(expr: Expr) -> bool:
    """True when the rows of an instant query come out in an order of the query's own (sort, topk)."""
    match _bare(expr):
        case syntax.Call(function=name):
            return name.startswith("sort")
        case syntax.Aggregation(op=op):
            return op in ("topk", "bottomk")
        case _:
            return False


def explained(node: Node, depth: int = 0) -> Iterator[str]:
    """The plan as indented lines, one a node."""
    yield f"{'  ' * depth}{described(node)}"
    for child in children(node):
        yield from explained(child, depth + 1)


def described(node: Node) -> str:
    """What kind of node it is, and its fields; not what is below it."""
    fields = [
        f"{key}={_shown(getattr(node, key))}"
        for key in node.__dataclass_fields__
        if key not in ("expr", "args", "left", "right", "place", "places", "param_place")
    ]
    return f"{type(node).__name__} {' '.join(field for field in fields if not field.endswith('='))}".rstrip()


def steady(node: Node) -> bool:
    """True when `node` has the same value at every step."""
    match node:
        case Constant() | Words() | Fixed():
            return True
        case Leaf() | OverSubquery():
            own = node.at_ms is not None and node.function not in UNSTEADY
            return own and all(steady(arg) for arg in node.args)
        case Apply(function=function):
            return function not in UNSTEADY and all(steady(child) for child in node.args)
        case Info():
            return False
        case _:
            return all(steady(child) for child in children(node))


def children(node: Node) -> Sequence[Node]:
    """The nodes right below."""
    match node:
        case Leaf() | Apply():
            return node.args
        case OverSubquery():
            return (node.expr, *node.args)
        case Absent() | Negate() | Fixed():
            return (node.expr,)
        case Samples():
            return (node.leaf,)
        case Info():
            return (node.expr, node.infos)
        case Aggregate():
            return (node.expr,) if node.param is None else (node.expr, node.param)
        case Operate():
            return (node.left, node.right)
        case _:
            return ()


def _shown(value: object) -> str:
    if value is None or value == ():
        return ""
    if isinstance(value, tuple):
        return f"{{{', '.join(map(str, value))}}}"
    if isinstance(value, Grouping):
        return f"{'without' if value.without else 'by'}({','.join(value.labels)})"
    if isinstance(value, Matching):
        return f"{value.cardinality.value}/{'on' if value.on else 'ignoring'}({','.join(value.labels)})"
    if isinstance(value, Edges):
        return value.value
    return "" if isinstance(value, Leaf | OverSubquery | Constant | Apply) else str(value)


class _Planner:
    def __init__(self, start_ms: int, end_ms: int, step_ms: int, text: str) -> None:
        self._start_ms, self._end_ms, self._step_ms, self._text = start_ms, end_ms, step_ms, text

    def node(self, expr: Expr) -> Node:
        match expr:
            case syntax.Number(value=value):
                return Constant(value)
            case syntax.Text(value=value):
                return Words(value)
            case syntax.Paren(expr=inner):
                return self.node(inner)
            case VectorSelector():
                return self._latest(LATEST, expr)
            case syntax.Negation(expr=inner):
                return self._negation(self.node(inner))
            case syntax.Binary():
                return self._binary(expr)
            case syntax.Aggregation():
                return self._aggregation(expr)
            case syntax.Call():
                return self._call(expr)
            case _:
                raise AssertionError(f"a range vector outside of a function: {expr}")

    def fixed(self, node: Node) -> Node:
        """`node`, marked when it need be evaluated only once."""
        return Fixed(node) if steady(node) and not isinstance(node, Constant | Words | Fixed) else node

    def matrix(self, function: str, over: Expr, args: tuple[Node, ...]) -> Leaf | OverSubquery:
        """`function` over a range vector."""
        named = function in KEEP_NAME
        if isinstance(over, Subquery):
            return OverSubquery(
                function,
                self.fixed(self.node(over.expr)),
                self._window_ms(over.range_ms),
                None if over.step_ms is None else self._window_ms(over.step_ms),
                self._known_ms(over.offset_ms),
                self._at_ms(over.at),
                args,
                named,
                syntax.start_of(over),
            )
        assert isinstance(over, MatrixSelector)
        vector = over.vector
        window_ms, offset_ms = self._window_ms(over.range_ms), self._known_ms(vector.offset_ms)
        at_ms = self._at_ms(vector.at)
        return Leaf(
            function, vector.matchers, window_ms, offset_ms, at_ms, args, named, vector.edges, place=vector.place
        )

    def _latest(self, function: str, selector: VectorSelector) -> Leaf:
        at_ms = self._at_ms(selector.at)
        return Leaf(
            function,
            selector.matchers,
            None,
            self._known_ms(selector.offset_ms),
            at_ms,
            named=function == LATEST,
            edges=selector.edges if function == LATEST else None,
            place=selector.place,
        )

    def _window_ms(self, duration: int | Computed) -> int:
        window_ms = self._known_ms(duration)
        if window_ms <= 0 and isinstance(duration, Computed):
            raise parse_error(self._text, duration.place, "duration must be greater than 0")
        return window_ms

    def _known_ms(self, duration: int | Computed) -> int:
        if not isinstance(duration, Computed):
            return duration
        try:
            span = (self._end_ms - self._start_ms) / 1000
            return milliseconds(seconds_of(duration, self._step_ms / 1000, span))
        except (ArithmeticError, ValueError):
            raise parse_error(self._text, duration.place, "this duration cannot be computed") from None

    def _at_ms(self, at: int | At | None) -> int | None:
        if at is At.START:
            return self._start_ms
        if at is At.END:
            return self._end_ms
        return None if at is None else int(at)

    def _negation(self, node: Node) -> Node:
        return Constant(-node.value) if isinstance(node, Constant) else Negate(node)

    def _binary(self, expr: syntax.Binary) -> Node:
        left, right = self.node(expr.left), self.node(expr.right)
        if isinstance(left, Constant) and isinstance(right, Constant):
            with np.errstate(all="ignore"):
                return Constant(float(between_scalars(expr.op, np.array([left.value]), np.array([right.value]))[0]))
        return self._with_fixed(
            (left, right),
            lambda sides: Operate(expr.op, sides[0], sides[1], expr.matching, expr.return_bool, syntax.start_of(expr)),
        )

    def _aggregation(self, expr: syntax.Aggregation) -> Node:
        inner, grouping = self.node(expr.expr), Grouping(expr.labels, expr.without)
        # What topk leaves out is said of the whole, as in Prometheus.
        place = expr.place if expr.op in ("topk", "bottomk") else syntax.start_of(_bare(expr.expr))
        if expr.param is None:
            return Aggregate(expr.op, inner, grouping, place=place)
        children, param_place = (inner, self.node(expr.param)), syntax.start_of(_bare(expr.param))
        return self._with_fixed(
            children, lambda parts: Aggregate(expr.op, parts[0], grouping, parts[1], place, param_place)
        )

    def _call(self, expr: syntax.Call) -> Node:
        function = RENAMED.get(expr.function, expr.function)
        if function == "absent":
            return Absent(self.node(expr.args[0]), _absent_labels(_bare(expr.args[0])))
        if function == "absent_over_time":
            over = _bare(expr.args[0])
            return Absent(self.matrix("present_over_time", over, ()), _absent_labels(over))
        if function == "info":
            return self._info(expr)
        if function in _OF_THE_QUERY:
            times = {"start": self._start_ms, "end": self._end_ms, "step": self._step_ms}
            return Constant(times.get(function, self._end_ms - self._start_ms) / 1000)
        if function == "timestamp":
            selector = _bare(expr.args[0])
            if isinstance(selector, VectorSelector):
                return self._latest(LATEST_TIME, selector)
        if function in KERNELS:
            return self._over_range(function, expr)
        args = tuple(self.node(arg) for arg in expr.args)
        places = tuple(syntax.start_of(_bare(arg)) for arg in expr.args)
        return self._with_fixed(args, lambda parts: Apply(function, tuple(parts), expr.place, places))

    def _over_range(self, function: str, expr: syntax.Call) -> Node:
        over = next(_bare(arg) for arg in expr.args if kind_of(arg) is Kind.MATRIX)
        args = tuple(self.fixed(self.node(arg)) for arg in expr.args if kind_of(arg) is not Kind.MATRIX)
        node = self.matrix(function, over, args)
        # What there is to say of a function over ranges is said of its first argument, whatever that is.
        return replace(node, place=syntax.start_of(_bare(expr.args[0])))

    def _with_fixed(self, parts: Sequence[Node], build: Callable[[Sequence[Node]], Node]) -> Node:
        """A node of `parts`; those that are the same at every step are marked unless the whole is (it is marked above)."""
        whole = build(parts)
        return whole if steady(whole) else build([self.fixed(part) for part in parts])

    def _info(self, expr: syntax.Call) -> Node:
        matchers: tuple[Matcher, ...] = ()
        if len(expr.args) > 1:
            selector = _bare(expr.args[1])
            assert isinstance(selector, VectorSelector)
            matchers = selector.matchers
        if not any(matcher.name == METRIC_NAME for matcher in matchers):
            matchers = (Matcher(METRIC_NAME, MatchOp.EQUAL, INFO_METRIC), *matchers)
        first = next(syntax.selectors(expr.args[0]), None)
        offset_ms, at_ms = (0, None) if first is None else (self._known_ms(first.offset_ms), self._at_ms(first.at))
        return Info(
            self.fixed(self.node(expr.args[0])),
            Leaf(LATEST_TIME, matchers, None, offset_ms, at_ms, named=True),
            matchers,
        )


def _bare(expr: Expr) -> Expr:
    while isinstance(expr, syntax.Paren):
        expr = expr.expr
    return expr


def _absent_labels(expr: Expr) -> Labels:
    """The labels a selector fixes by exactly one equality."""
    if not isinstance(expr, VectorSelector | MatrixSelector):
        return Labels()
    matchers = expr.matchers if isinstance(expr, VectorSelector) else expr.vector.matchers
    found: dict[str, str] = {}
    seen: set[str] = set()
    for matcher in matchers:
        if matcher.name == METRIC_NAME:
            continue
        if matcher.op is MatchOp.EQUAL and matcher.name not in seen:
            found[matcher.name] = matcher.value
            seen.add(matcher.name)
        else:
            found.pop(matcher.name, None)
    return Labels(found)
