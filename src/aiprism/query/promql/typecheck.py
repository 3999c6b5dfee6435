"""Whether the parts of an expression are of the types they must be: BadInput for the first that is not, in Prometheus' words.

In: an expression that has been read to its end, and its text. What is inside is looked at first, as there, so of several
faults the same one is told.
"""

from __future__ import annotations

from aiprism.query.promql.operators import COMPARISON, SET_OPERATORS
from aiprism.query.promql.signatures import SIGNATURES
from aiprism.query.promql.syntax import (
    Aggregation,
    Binary,
    Call,
    Cardinality,
    Edges,
    Expr,
    Kind,
    MatrixSelector,
    Negation,
    Paren,
    Subquery,
    VectorSelector,
    kind_of,
    start_of,
)
from aiprism.query.promql.tokens import parse_error

# The parameters of aggregations that have one.
PARAMETERS = {
    **dict.fromkeys(("topk", "bottomk", "quantile", "limitk", "limit_ratio"), Kind.SCALAR),
    "count_values": Kind.STRING,
}


def check_types(text: str, expr: Expr) -> None:
    """BadInput for the first node whose parts are of the wrong type; what is inside comes first, as in Prometheus."""
    match expr:
        case Paren(expr=inner) | Negation(expr=inner):
            check_types(text, inner)
        case Subquery(expr=inner):
            check_types(text, inner)
            if kind_of(inner) is not Kind.VECTOR:
                why = f"subquery is only allowed on instant vector, got {_KIND_NAMES[kind_of(inner)]} instead"
                raise parse_error(text, start_of(expr), why)
        case MatrixSelector(vector=vector):
            _check_selector(text, vector)
        case VectorSelector():
            _check_selector(text, expr)
        case Binary():
            check_types(text, expr.left)
            check_types(text, expr.right)
            _check_operator(text, expr)
        case Aggregation():
            _expect(text, expr.expr, Kind.VECTOR, "aggregation expression")
            if expr.param is not None:
                _expect(text, expr.param, PARAMETERS[expr.op], "aggregation parameter")
        case Call():
            _check_call(text, expr)


_KIND_NAMES = {Kind.SCALAR: "scalar", Kind.STRING: "string", Kind.MATRIX: "matrix", Kind.VECTOR: "vector"}


def _expect(text: str, expr: Expr, wanted: Kind, where: str) -> None:
    check_types(text, expr)
    got = kind_of(expr)
    if got is not wanted:
        raise parse_error(text, start_of(expr), f"expected type {wanted.value} in {where}, got {got.value}")


def _check_call(text: str, call: Call) -> None:
    signature = SIGNATURES[call.function]
    if fault := signature.fault(call.function, len(call.args)):
        raise parse_error(text, call.place, fault)
    for place, arg in enumerate(call.args):
        _check_edges(text, call, arg)
        if call.function == "info" and place == 1 and isinstance(arg, VectorSelector):
            if text[arg.place] != "{":
                raise parse_error(text, arg.place, "expected label selectors only, got vector selector instead")
            continue
        _expect(text, arg, signature.argument(place), f'call to function "{call.function}"')


def _check_edges(text: str, call: Call, arg: Expr) -> None:
    while isinstance(arg, Paren):
        arg = arg.expr
    edges = arg.vector.edges if isinstance(arg, MatrixSelector) else None
    if edges and call.function not in _WITH_EDGES[edges]:
        allowed = ", ".join(_WITH_EDGES[edges])
        why = f"{edges.value} modifier can only be used with: {allowed} - not with {call.function}"
        raise parse_error(text, start_of(arg), why)


_WITH_EDGES = {
    Edges.ANCHORED: ("changes", "delta", "increase", "rate", "resets"),
    Edges.SMOOTHED: ("delta", "increase", "rate"),
}


def _check_selector(text: str, selector: VectorSelector) -> None:
    if all(each.matches("") for each in selector.matchers):
        raise parse_error(text, selector.place, "vector selector must contain at least one non-empty matcher")


def _check_operator(text: str, expr: Binary) -> None:
    kinds = (kind_of(expr.left), kind_of(expr.right))
    why, place = "", start_of(expr)
    scalar = Kind.SCALAR in kinds
    if expr.return_bool and expr.op not in COMPARISON:
        why, place = "bool modifier can only be used on comparison operators", expr.place
    elif expr.op in COMPARISON and not expr.return_bool and kinds == (Kind.SCALAR, Kind.SCALAR):
        why, place = "comparisons between scalars must use BOOL modifier", expr.place
    elif expr.matching and expr.matching.on and set(expr.matching.labels) & set(expr.matching.include):
        twice = next(label for label in expr.matching.labels if label in expr.matching.include)
        why, place = f'label "{twice}" must not occur in ON and GROUP clause at once', expr.place
    elif wrong := [side for side, kind in zip((expr.left, expr.right), kinds, strict=True) if kind not in _OPERANDS]:
        why, place = "binary expression must contain only scalar and instant vector types", start_of(wrong[0])
    elif scalar and expr.matching and expr.matching.fills:
        why = "filling in missing series only allowed between instant vectors"
    elif expr.op in SET_OPERATORS and expr.matching and expr.matching.fills:
        why = "filling in missing series not allowed for set operators"
    elif scalar and expr.matching and expr.matching.labels:
        why = "vector matching only allowed between instant vectors"
    elif not scalar and expr.op in SET_OPERATORS and expr.matching and expr.matching.cardinality in _GROUPED:
        why = f'no grouping allowed for "{expr.op}" operation'
    elif scalar and expr.op in SET_OPERATORS:
        why = f'set operator "{expr.op}" not allowed in binary scalar expression'
    if why:
        raise parse_error(text, place, why)


_OPERANDS = (Kind.SCALAR, Kind.VECTOR)
_GROUPED = (Cardinality.MANY_TO_ONE, Cardinality.ONE_TO_MANY)
