"""From the text of an expression to its syntax tree.

The grammar is promql-parser's (decision D4); here its tree becomes ours, and an expression it refuses gets an error that
says where: `line:column: parse error: what`, with a suggestion when a function is misspelt.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from datetime import timedelta
from functools import lru_cache
from itertools import pairwise

import promql_parser as grammar

from aiprism.errors import BadInput
from aiprism.model.labels import METRIC_NAME, Matcher, MatchOp, compiled
from aiprism.query.promql.aggregate import OPERATORS as AGGREGATIONS
from aiprism.query.promql.functions import FUNCTIONS
from aiprism.query.promql.operators import ARITHMETIC, COMPARISON, SET_OPERATORS
from aiprism.query.promql.syntax import (
    Aggregation,
    At,
    Binary,
    Call,
    Cardinality,
    Expr,
    Kind,
    Matching,
    MatrixSelector,
    Negation,
    Number,
    Paren,
    Subquery,
    Text,
    VectorSelector,
    kind_of,
)
from aiprism.query.promql.tokens import MARK, Rewritten, Token, parse_error, rewritten, tokens

# promql-parser recurses in native code and would take the process with it; so does every later stage, in Python.
MAX_DEPTH = 200
MAX_WORDS = 20_000

_NESTING = frozenset({"(", "{", "[", *ARITHMETIC, *COMPARISON, *SET_OPERATORS})
_MATCH_OPS = {"Equal": MatchOp.EQUAL, "NotEqual": MatchOp.NOT_EQUAL, "Re": MatchOp.REGEX, "NotRe": MatchOp.NOT_REGEX}
_CARDINALITIES = {
    "OneToOne": Cardinality.ONE_TO_ONE,
    "ManyToOne": Cardinality.MANY_TO_ONE,
    "OneToMany": Cardinality.ONE_TO_MANY,
    "ManyToMany": Cardinality.MANY_TO_MANY,
}
_KINDS = {"Vector": Kind.VECTOR, "Scalar": Kind.SCALAR, "Matrix": Kind.MATRIX, "String": Kind.STRING}


@lru_cache(maxsize=2048)
def parse(text: str) -> Expr:
    """The syntax tree of `text`; BadInput with the position when it is not PromQL."""
    words = tokens(text)
    if not words:
        raise parse_error(text, 0, "no expression found in input")
    _refuse_monsters(text, words)
    source = rewritten(text, words)
    try:
        tree = _grammar(source.expression())
    except ValueError as error:
        raise _located(text, words, source, str(error)) from error
    return _Reader(text, words, source).read(tree)


def _grammar(expression: str) -> grammar.Expr:
    _register_extra_functions()
    return grammar.parse(expression)


@lru_cache(maxsize=1)
def _register_extra_functions() -> None:
    """What promql-parser does not know, once a process: the name `double_exponential_smoothing` had before 3.0."""
    vector, scalar, matrix = grammar.ValueType.Vector, grammar.ValueType.Scalar, grammar.ValueType.Matrix
    grammar.register_extra_functions([grammar.Function("holt_winters", [matrix, scalar, scalar], vector)])


def _refuse_monsters(text: str, words: Sequence[Token]) -> None:
    if len(words) > MAX_WORDS:
        raise parse_error(text, words[MAX_WORDS].start, f"more than {MAX_WORDS} words in one expression")
    nested = [word for word in words if word.written in _NESTING and word.kind in ("sign", "name")]
    selectors = sum(word.written in "{[" for word in nested)
    if len(nested) - selectors > MAX_DEPTH:
        raise parse_error(text, nested[-1].start, f"more than {MAX_DEPTH} operators and parentheses in one expression")


class _Reader:
    """Turns promql-parser's nodes into ours, placeholders resolved, and checks what it could not see behind them."""

    def __init__(self, text: str, words: Sequence[Token], source: Rewritten) -> None:
        self._text, self._words, self._source = text, words, source

    def read(self, node: grammar.Expr) -> Expr:
        match node:
            case grammar.NumberLiteral():
                return Number(node.val)
            case grammar.StringLiteral():
                return Text(self._source.text(node.val))
            case grammar.ParenExpr():
                return Paren(self.read(node.expr))
            case grammar.UnaryExpr():
                return Negation(self.read(node.expr))
            case grammar.VectorSelector():
                return self._vector(node)
            case grammar.MatrixSelector():
                return MatrixSelector(self._vector(node.vector_selector), _ms(node.range))
            case grammar.SubqueryExpr():
                step = None if node.step is None else _ms(node.step)
                return Subquery(self.read(node.expr), _ms(node.range), step, _ms(node.offset), self._at(node.at))
            case grammar.AggregateExpr():
                return self._aggregation(node)
            case grammar.BinaryExpr():
                return self._binary(node)
            case grammar.Call():
                return self._call(node)
        raise self._error(f"cannot read {type(node).__name__}")

    def _vector(self, node: grammar.VectorSelector) -> VectorSelector:
        if node.matchers.or_matchers:
            raise self._error("'or' between matchers is not PromQL; write (… or …) between selectors", "or")
        matchers = [
            Matcher(
                self._source.text(each.name), _MATCH_OPS[str(each.op).rpartition(".")[2]], self._source.text(each.value)
            )
            for each in node.matchers.matchers
            if each.name != MARK
        ]
        if node.name:
            matchers.insert(0, Matcher(METRIC_NAME, MatchOp.EQUAL, self._source.text(node.name)))
        for matcher in matchers:
            if matcher.op in (MatchOp.REGEX, MatchOp.NOT_REGEX):
                self._check_regex(matcher.value)
        if all(matcher.matches("") for matcher in matchers):
            raise self._error("vector selector must contain at least one non-empty matcher", "{")
        return VectorSelector(tuple(matchers), _ms(node.offset), self._at(node.at))

    def _aggregation(self, node: grammar.AggregateExpr) -> Aggregation:
        modifier = node.modifier
        return Aggregation(
            op=str(node.op),
            expr=self.read(node.expr),
            param=None if node.param is None else self.read(node.param),
            labels=() if modifier is None else self._names(modifier.labels),
            without=modifier is not None and str(modifier.type).endswith("Without"),
        )

    def _binary(self, node: grammar.BinaryExpr) -> Binary:
        left, right = self.read(node.lhs), self.read(node.rhs)
        op, modifier = str(node.op), node.modifier
        return_bool = modifier is not None and modifier.return_bool
        scalars = [kind_of(side) is Kind.SCALAR for side in (left, right)]
        if all(scalars) and op in ("==", "!=", "<", "<=", ">", ">=") and not return_bool:
            raise self._error("comparisons between scalars must use BOOL modifier", op)
        if any(scalars):
            if modifier is not None and modifier.matching is not None:
                raise self._error("vector matching only allowed between instant vectors", "on", "ignoring")
            return Binary(op, left, right, None, return_bool)
        return Binary(op, left, right, self._matching(modifier, op), return_bool)

    def _matching(self, modifier: grammar.BinModifier | None, op: str) -> Matching:
        many = op in ("and", "or", "unless")
        if modifier is None:
            return Matching(Cardinality.MANY_TO_MANY if many else Cardinality.ONE_TO_ONE)
        if modifier.fill_values.lhs is not None or modifier.fill_values.rhs is not None:
            raise self._error("the fill modifiers are experimental in Prometheus and not offered here", "fill")
        matching = modifier.matching
        return Matching(
            cardinality=Cardinality.MANY_TO_MANY if many else _CARDINALITIES[str(modifier.card).rpartition(".")[2]],
            on=matching is not None and str(matching.type).endswith("Include"),
            labels=() if matching is None else self._names(matching.labels),
            include=self._names(modifier.group_labels or ()),
        )

    def _call(self, node: grammar.Call) -> Call:
        if node.func.name not in FUNCTIONS:
            raise _unknown_function(self._text, self._words, node.func.name)
        args = tuple(self.read(arg) for arg in node.args)
        return Call(node.func.name, args, _KINDS[str(node.func.return_type).rpartition(".")[2]])

    def _at(self, node: grammar.AtModifier | None) -> int | At | None:
        if node is None:
            return None
        if str(node.type).endswith("Start"):
            return At.START
        if str(node.type).endswith("End"):
            return At.END
        assert node.at is not None
        return self._source.times_ms[round(node.at.timestamp())]

    def _names(self, names: Iterable[str]) -> tuple[str, ...]:
        return tuple(self._source.text(name) for name in names)

    def _check_regex(self, pattern: str) -> None:
        try:
            compiled(pattern)
        except BadInput as error:
            at = next((i for i, text in enumerate(self._source.texts) if text == pattern), 0)
            place = [word for word in self._words if word.kind == "text"][at].start
            raise parse_error(self._text, place, str(error)) from error

    def _error(self, why: str, *near: str) -> BadInput:
        place = next((word.start for word in self._words if word.written in near), self._words[0].start)
        return parse_error(self._text, place, why)


def _ms(duration: timedelta | None) -> int:
    return 0 if duration is None else round(duration.total_seconds() * 1000)


# -- where an expression is wrong ------------------------------------------------------------------------------------------

# Ways to go on from the middle of an expression, tried before and after its open brackets are closed.
_FILLERS = (
    *("", "x", "1", "x[5m]", "1, x", "x[5m], 1", "x[5m], 1, 1", "[5m]", ", x", ", 1", ", 1, 1", ", x[5m]", ", 1, x"),
    *("5m", "5m:1m", ":1m", '="v"', '"v"', 'l="v"', "(x)", "(l) (x)", "(l) x", "1 - 1"),
    *("x" * first + ',"a"' * count for first in (0, 1) for count in (1, 2, 3, 4)),
    *('"a"' + ',"a"' * count for count in (1, 2, 3)),
    *('"a", x', ", x"),
)
_TAILS = ("", " x", "(x)", "[5m:1m]", "(l) x")
_CLOSERS = {"(": ")", "{": "}", "[": "]"}
_LOOK_BACK = 80


def _located(text: str, words: Sequence[Token], source: Rewritten, why: str) -> BadInput:
    unknown = re.fullmatch(r"unknown function with name '(.+)'", why)
    if unknown:
        return _unknown_function(text, words, unknown.group(1))
    why = _in_prometheus_words(why, source)
    stray = _unbalanced(words)
    if stray is not None:
        place, what = stray
        return parse_error(text, words[place].start, what)
    place = _first_hopeless(source)
    if why.startswith("comparisons between scalars"):
        place = max((at for at, word in enumerate(words[:place]) if word.written in COMPARISON), default=place)
    if place >= len(words):
        return parse_error(
            text, len(text.rstrip()), "unexpected end of input" if why == "invalid promql query" else why
        )
    if why == "invalid promql query":
        why = f"unexpected {_described(words[place])}"
    return parse_error(text, words[place].start, why)


def _unknown_function(text: str, words: Sequence[Token], name: str) -> BadInput:
    calls = (word.start for word, after in pairwise(words) if word.written == name and after.written == "(")
    place = next(calls, 0)
    near = difflib.get_close_matches(name.lower(), [*FUNCTIONS, *AGGREGATIONS], n=1, cutoff=0.6)
    suggestion = f"; did you mean {near[0]!r}?" if near else ""
    return parse_error(text, place, f"unknown function with name {name!r}{suggestion}")


def _unbalanced(words: Sequence[Token]) -> tuple[int, str] | None:
    """The first bracket that closes nothing, or the last that is never closed."""
    names = {"(": "parenthesis", "{": "brace", "[": "bracket"}
    open_at: list[int] = []
    for at, word in enumerate(words):
        if word.kind != "sign":
            continue
        if word.written in _CLOSERS:
            open_at.append(at)
        elif word.written in _CLOSERS.values():
            if not open_at or _CLOSERS[words[open_at[-1]].written] != word.written:
                return at, f"unexpected right {word.written!r}"
            open_at.pop()
    if open_at:
        return open_at[-1], f"unclosed left {names[words[open_at[-1]].written]}"
    return None


def _first_hopeless(source: Rewritten) -> int:
    """The number of words of the longest beginning that could still become an expression."""
    total = len(source.words)
    for count in range(total, max(0, total - _LOOK_BACK), -1):
        if _hopeful(source.expression(count)):
            return count
    return 0


def _hopeful(beginning: str) -> bool:
    closers = ""
    for sign in re.sub(r'"[^"]*"', "", beginning):
        if sign in _CLOSERS:
            closers = _CLOSERS[sign] + closers
        elif closers.startswith(sign):
            closers = closers[1:]
    ways = [(filler, closers, tail) for filler in _FILLERS for tail in _TAILS]
    if closers:
        ways += [(filler, closers[0], tail + closers[1:]) for filler in ("", "x", "l", "5m") for tail in _TAILS]
    for filler, closing, tail in ways:
        try:
            _grammar(f"{beginning} {filler}{closing}{tail}")
        except ValueError:
            continue
        return True
    return False


def _in_prometheus_words(why: str, source: Rewritten) -> str:
    why = re.sub(rf"{MARK}(\d+)", lambda match: source.texts[int(match.group(1))], why)
    why = re.sub(r"\bmatrix\b", Kind.MATRIX.value, why)
    return re.sub(r"(?<!instant )(?<!range )\bvector\b(?! selector)(?! matching)", Kind.VECTOR.value, why)


def _described(word: Token) -> str:
    kind = {"text": "string ", "number": "number ", "name": "identifier "}.get(word.kind, "")
    return f"{kind}{word.written!r}"
