"""From the text of an expression to its syntax tree, or to an error that says where: ``line:column: parse error: what``.

The grammar is Prometheus' (documentation, "Querying basics", "Operators"), read by recursive descent; the errors are in its
words, so that what people find about them helps. Types are checked when the whole expression has been read, as there. Every
node keeps the place it stands at. A misspelt function gets a suggestion.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache

from aiprism.errors import BadInput
from aiprism.model.labels import METRIC_NAME, Matcher, MatchOp, compiled
from aiprism.model.timerange import duration_ms
from aiprism.query.promql.aggregate import OPERATORS as AGGREGATIONS
from aiprism.query.promql.durations import MOST_SECONDS, Seconds, computed, whole_milliseconds
from aiprism.query.promql.operators import ARITHMETIC, COMPARISON, SET_OPERATORS, TRIM
from aiprism.query.promql.signatures import SIGNATURES
from aiprism.query.promql.syntax import (
    Aggregation,
    At,
    Binary,
    Call,
    Cardinality,
    Computed,
    Edges,
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
    start_of,
)
from aiprism.query.promql.tokens import Token, parse_error, tokens, unquoted

# Every stage from here on recurses; so deep an expression nobody has written by hand.
MAX_DEPTH = 200
MAX_WORDS = 20_000

_NESTING = frozenset({"(", *ARITHMETIC, *COMPARISON, *TRIM, *SET_OPERATORS})
# From loose to tight; only powers are read from the right. A sign binds as tightly as `*`.
_LOOSE_TO_TIGHT = (
    ("or",),
    ("and", "unless"),
    (*COMPARISON, *TRIM),
    ("+", "-"),
    ("*", "/", "%", "atan2"),
    ("^",),
)
_BINDING = {op: level for level, ops in enumerate(_LOOSE_TO_TIGHT, 1) for op in ops}
_POWER = _BINDING["^"]
_WITH_PARAMETER = {
    **dict.fromkeys(("topk", "bottomk", "quantile", "limitk", "limit_ratio"), Kind.SCALAR),
    "count_values": Kind.STRING,
}
_OPERATOR_WORDS = frozenset({"and", "or", "unless", "atan2"})
_CLAUSES = frozenset({"bool", "by", "group_left", "group_right", "ignoring", "offset", "on", "without"})
_PREPROCESSED = frozenset({"start", "end"})
# Words of the grammar that may be the name of a metric all the same.
_METRIC_WORDS = frozenset({"by", "without", "offset", "and", "or", "unless", *_PREPROCESSED, *AGGREGATIONS})
_NUMBERS = {"inf": math.inf, "nan": math.nan}
_MATCH_OPS = {op.value: op for op in MatchOp}
_FILLS = {"fill": ("fill_left", "fill_right"), "fill_left": ("fill_left",), "fill_right": ("fill_right",)}
_EDGES = {each.value: each for each in Edges}
# Durations are computed by these; min and max are what they were called up to Prometheus 3.12.
_DURATION_FUNCTIONS = {"step": "step", "range": "range", **dict.fromkeys(("min", "min_of"), "min_of")}
_DURATION_FUNCTIONS |= dict.fromkeys(("max", "max_of"), "max_of")


# Texts whose trees are remembered: thousands of rules come again and again. A tree takes one or two kilobytes.
MOST_KNOWN = 8192


@lru_cache(maxsize=MOST_KNOWN)
def parse(text: str) -> Expr:
    """The syntax tree of `text`; BadInput with the position when it is not PromQL."""
    words = tokens(text)
    _refuse_monsters(text, words)
    expr = _Parser(text, words).whole()
    _check(text, expr)
    return expr


def _refuse_monsters(text: str, words: Sequence[Token]) -> None:
    if len(words) > MAX_WORDS:
        raise parse_error(text, words[MAX_WORDS].start, f"more than {MAX_WORDS} words in one expression")
    nested = [word for word in words if word.kind in ("sign", "name") and word.written in _NESTING]
    if len(nested) > MAX_DEPTH:
        raise parse_error(text, nested[-1].start, f"more than {MAX_DEPTH} operators and parentheses in one expression")


class _Parser:
    """Reads words from left to right. Each method leaves the next unread word behind what it gives."""

    def __init__(self, text: str, words: Sequence[Token]) -> None:
        self._text, self._words, self._at = text, words, 0
        self._within: list[str] = []  # what is being read, for errors

    def whole(self) -> Expr:
        if self._word.kind == "end":
            raise self._error(0, "no expression found in input")
        expr = self._expression(0)
        if self._word.kind != "end":
            raise self._unexpected()
        return expr

    # -- operators ---------------------------------------------------------------------------------------------------

    def _expression(self, tightest: int) -> Expr:
        """An expression of operators that bind at least as tightly as that."""
        left = self._signed()
        while (op := self._operator()) and _BINDING[op] >= tightest:
            place = self._take().start
            return_bool, matching = self._modifiers()
            right = self._expression(_BINDING[op] + (op != "^"))
            left = self._binary(Binary(op, left, right, matching, return_bool, place))
        return left

    def _operator(self) -> str:
        word = self._word
        written = word.written.lower() if word.kind == "name" else word.written
        return written if word.kind in ("name", "sign") and written in _BINDING else ""

    def _signed(self) -> Expr:
        if not self._is("+", "-"):
            return self._with_suffixes(self._primary())
        sign = self._take()
        operand = self._expression(_POWER)
        if isinstance(operand, Number):
            return Number(-operand.value if sign.written == "-" else operand.value, sign.start)
        if kind_of(operand) not in (Kind.SCALAR, Kind.VECTOR):
            shown = kind_of(operand).value
            raise self._error(
                sign.start,
                f'unary expression only allowed on expressions of type scalar or instant vector, got "{shown}"',
            )
        return Negation(operand, sign.start) if sign.written == "-" else operand

    def _modifiers(self) -> tuple[bool, Matching | None]:
        return_bool = self._taken("bool")
        matching = self._matching()
        while self._is(*_FILLS) and self._after.written == "(":
            fill = self._take()
            sides = _FILLS[fill.written.lower()]
            matching = matching or Matching()
            if any(getattr(matching, side) is not None for side in sides):
                raise self._error(fill.start, f"unexpected <{fill.written}>")
            value = self._fill_value()
            left, right = (value if side in sides else getattr(matching, side) for side in _FILLS["fill"])
            matching = replace(matching, fill_left=left, fill_right=right)
        return return_bool, matching

    def _fill_value(self) -> float:
        self._expect("(", "fill modifier")
        sign = -1.0 if self._is("-") else 1.0
        if self._is("+", "-"):
            self._take()
        word = self._word
        if word.kind == "name" and word.written.lower() in _NUMBERS:
            value = _NUMBERS[self._take().written.lower()]
        elif word.kind in ("number", "duration"):
            value = self._number()
        else:
            raise self._unexpected("fill modifier", "number")
        self._expect(")", "fill modifier")
        return sign * value

    def _matching(self) -> Matching | None:
        if not self._is("on", "ignoring"):
            return None
        on = self._take().written.lower() == "on"
        labels = self._labels()
        if not self._is("group_left", "group_right"):
            return Matching(Cardinality.ONE_TO_ONE, on, labels)
        left = self._take().written.lower() == "group_left"
        include = self._labels() if self._is("(") else ()
        return Matching(Cardinality.MANY_TO_ONE if left else Cardinality.ONE_TO_MANY, on, labels, include)

    def _binary(self, expr: Binary) -> Binary:
        """`expr` with the matching its sides and operator call for."""
        if kind_of(expr.left) is not Kind.VECTOR or kind_of(expr.right) is not Kind.VECTOR:
            return expr
        matching = expr.matching or Matching()
        if expr.op in SET_OPERATORS and matching.cardinality is Cardinality.ONE_TO_ONE:
            matching = replace(matching, cardinality=Cardinality.MANY_TO_MANY)
        return replace(expr, matching=matching)

    # -- operands ----------------------------------------------------------------------------------------------------

    def _primary(self) -> Expr:
        word = self._word
        match word.kind:
            case "number" | "duration":
                return Number(self._number(), word.start)
            case "text":
                return Text(unquoted(self._take().written), word.start)
            case "name":
                return self._named()
        if self._is("("):
            self._take()
            inner = self._expression(0)
            self._expect(")")
            return Paren(inner, word.start)
        if self._is("{"):
            return self._selector("", word.start)
        raise self._unexpected()

    def _named(self) -> Expr:
        word, lower = self._word, self._word.written.lower()
        if lower in AGGREGATIONS and (self._after.written == "(" or self._after.written.lower() in ("by", "without")):
            return self._aggregation()
        if lower in _NUMBERS:
            self._take()
            return Number(_NUMBERS[lower], word.start)
        if (lower in _CLAUSES or lower in _OPERATOR_WORDS) and lower not in _METRIC_WORDS:
            raise self._unexpected()
        if (
            self._after.written == "("
            and self._after.kind == "sign"
            and (lower not in _METRIC_WORDS or lower in _PREPROCESSED)
            and ":" not in lower
        ):
            return self._call()
        return self._selector(self._take().written, word.start)

    def _aggregation(self) -> Aggregation:
        word = self._take()
        op = word.written.lower()
        with self._reading("aggregation"):
            grouping = self._grouping()
            args = self._arguments()
            if grouping is None:
                grouping = self._grouping()
        wanted = 2 if op in _WITH_PARAMETER else 1
        if not args:
            raise self._error(word.start, "no arguments for aggregate expression provided")
        if len(args) != wanted:
            raise self._error(
                word.start,
                f"wrong number of arguments for aggregate expression provided, expected {wanted}, got {len(args)}",
            )
        without, labels = grouping or (False, ())
        return Aggregation(op, args[-1], args[0] if wanted == 2 else None, labels, without, word.start)

    def _grouping(self) -> tuple[bool, tuple[str, ...]] | None:
        if not self._is("by", "without"):
            return None
        return self._take().written.lower() == "without", self._labels()

    def _call(self) -> Call:
        name = self._take()
        args = self._arguments()
        if name.written not in SIGNATURES:
            raise self._error(name.start, f'unknown function with name "{name.written}"{_suggestion(name.written)}')
        return Call(name.written, args, SIGNATURES[name.written].gives, name.start)

    def _arguments(self) -> tuple[Expr, ...]:
        self._expect("(")
        args: list[Expr] = []
        while not self._is(")"):
            args.append(self._expression(0))
            if not self._is(","):
                break
            comma = self._take()
            if self._is(")"):
                raise self._error(comma.start, "trailing commas not allowed in function call args")
        self._expect(")")
        return tuple(args)

    def _labels(self) -> tuple[str, ...]:
        """A list of label names in parentheses."""
        if not self._is("("):
            raise self._unexpected("grouping opts", '"("')
        self._take()
        found: list[str] = []
        while not self._is(")"):
            word = self._word
            if word.kind not in ("name", "text") or (word.kind == "name" and ":" in word.written):
                raise self._unexpected("grouping opts", "label")
            found.append(unquoted(self._take().written) if word.kind == "text" else self._take().written)
            if not self._is(",", ")"):
                raise self._unexpected("grouping opts", '"," or ")"')
            self._taken(",")
        self._take()
        return tuple(found)

    # -- selectors ---------------------------------------------------------------------------------------------------

    def _selector(self, name: str, place: int) -> VectorSelector:
        names = [Matcher(METRIC_NAME, MatchOp.EQUAL, name)] if name else []
        others = self._matchers(names) if self._is("{") else []
        twice = [each.value for each in (*names, *others) if each.name == METRIC_NAME]
        if names and len(twice) > 1:
            raise self._error(place, f'metric name must not be set twice: "{twice[0]}" or "{twice[1]}"')
        return VectorSelector((*names, *others), place=place)

    def _matchers(self, names: list[Matcher]) -> list[Matcher]:
        """The matchers in braces; a metric name in quotes joins `names`."""
        self._take()
        others: list[Matcher] = []
        while not self._is("}"):
            matcher, is_name = self._matcher()
            (names if is_name else others).append(matcher)
            if not self._is(",", "}"):
                raise self._unexpected("label matching", '"," or "}"')
            self._taken(",")
        self._take()
        return others

    def _matcher(self) -> tuple[Matcher, bool]:
        """One matcher, and whether it is a metric name in quotes."""
        word = self._word
        if word.kind not in ("label", "text"):
            raise self._unexpected("label matching", 'identifier or "}"')
        self._take()
        name = unquoted(word.written) if word.kind == "text" else word.written
        if word.kind == "text" and self._is(",", "}"):
            return Matcher(METRIC_NAME, MatchOp.EQUAL, name), True
        if self._word.kind != "sign" or self._word.written not in _MATCH_OPS:
            raise self._unexpected("label matching", "label matching operator")
        op = _MATCH_OPS[self._take().written]
        if self._word.kind != "text":
            raise self._unexpected("label matching", "string")
        value = unquoted(self._take().written)
        if op in (MatchOp.REGEX, MatchOp.NOT_REGEX):
            self._check_regex(value, word.start)
        return Matcher(name, op, value), False

    def _check_regex(self, pattern: str, place: int) -> None:
        try:
            compiled(pattern)
        except BadInput as error:
            raise self._error(place, str(error)) from error

    def _with_suffixes(self, expr: Expr) -> Expr:
        while self._is("[", "@", "offset", *_EDGES):
            if self._is("["):
                expr = self._ranged(expr)
            elif self._is("@"):
                expr = self._at_time(expr)
            elif self._is("offset"):
                expr = self._offset(expr)
            else:
                expr = self._beyond_edges(expr)
        return expr

    def _beyond_edges(self, expr: Expr) -> Expr:
        word = self._take()
        selector = expr.vector if isinstance(expr, MatrixSelector) else expr
        if isinstance(selector, Subquery):
            raise self._error(word.start, f"{word.written} modifier is not supported for subqueries")
        if not isinstance(selector, VectorSelector) or (word.written.lower() == "anchored" and selector is expr):
            raise self._error(word.start, f"{word.written} modifier must be preceded by a range vector selector")
        if selector.edges:
            raise self._error(word.start, "anchored and smoothed modifiers cannot be used together")
        return _moved(expr, replace(selector, edges=_EDGES[word.written.lower()]))

    def _ranged(self, expr: Expr) -> Expr:
        place = self._take().start
        range_ms = self._duration("subquery selector")
        if self._taken(":"):
            step_ms = None
            if not self._is("]"):
                step_ms = self._duration("subquery selector", ' or "]"')
            self._expect("]", "subquery selector")
            return Subquery(expr, range_ms, step_ms)
        self._expect("]", "subquery or range", '":" or "]"')
        if not isinstance(expr, VectorSelector):
            raise self._error(place, "ranges only allowed for vector selectors")
        if expr.offset_ms:
            raise self._error(place, "no offset modifiers allowed before range")
        if expr.at is not None:
            raise self._error(place, "no @ modifiers allowed before range")
        return MatrixSelector(expr, range_ms)

    def _offset(self, expr: Expr) -> Expr:
        self._take()
        offset_ms = whole_milliseconds(self._signed_duration("offset"))
        moved = self._movable(expr, "offset modifier")
        if moved.offset_ms:
            raise self._error(start_of(expr), "offset may not be set multiple times")
        return _moved(expr, replace(moved, offset_ms=offset_ms))

    def _at_time(self, expr: Expr) -> Expr:
        self._take()
        word = self._word
        if word.kind == "name" and word.written.lower() in _PREPROCESSED:
            self._take()
            self._expect("(", "@", "timestamp")
            self._expect(")", "@", "timestamp")
            at: int | At = At.START if word.written.lower() == "start" else At.END
        else:
            at = self._timestamp(start_of(expr))
        moved = self._movable(expr, "@ modifier")
        if moved.at is not None:
            raise self._error(start_of(expr), "@ <timestamp> may not be set multiple times")
        return _moved(expr, replace(moved, at=at))

    def _timestamp(self, place: int) -> int:
        sign = -1.0 if self._is("-") else 1.0
        if self._is("+", "-"):
            self._take()
        number = self._word.written.lower() in _NUMBERS and self._word.kind == "name"
        if not number and self._word.kind not in ("number", "duration"):
            raise self._unexpected("@", "timestamp")
        seconds = sign * (_NUMBERS[self._take().written.lower()] if number else self._number())
        if not abs(seconds) < MOST_SECONDS:
            shown = f"{seconds:+f}".replace("inf", "Inf").replace("nan", "NaN")
            shown = shown if math.isinf(seconds) else shown.removeprefix("+")
            raise self._error(place, f"timestamp out of bounds for @ modifier: {shown}")
        return round(seconds * 1000)

    def _movable(self, expr: Expr, what: str) -> VectorSelector | Subquery:
        """What of `expr` an offset or a time belongs to."""
        if isinstance(expr, MatrixSelector):
            return expr.vector
        if isinstance(expr, VectorSelector | Subquery):
            return expr
        raise self._error(
            start_of(expr),
            f"{what} must be preceded by an instant vector selector or range vector selector or a subquery",
        )

    # -- numbers and durations -----------------------------------------------------------------------------------------

    def _number(self) -> float:
        word = self._take()
        return _number(word.written) if word.kind == "number" else duration_ms(word.written) / 1000

    def _duration(self, context: str, otherwise: str = "") -> int | Computed:
        """Milliseconds, more than none, of what stands in brackets: arithmetic is allowed there."""
        place = self._word.start
        if self._word.kind not in ("number", "duration") and not self._is("(", "-", "+", *_DURATION_FUNCTIONS):
            raise self._unexpected(context, f"number or duration{otherwise}")
        found = whole_milliseconds(self._sum(context))
        if isinstance(found, Computed):
            return replace(found, place=place)
        if found <= 0:
            raise self._error(place, "duration must be greater than 0")
        return found

    def _sum(self, context: str, tightest: int = 0) -> Seconds:
        """Seconds of an expression of durations."""
        left = self._signed_duration(context, tightest=_BINDING["*"])
        while (op := self._operator()) in ("+", "-", "*", "/", "%", "^") and _BINDING[op] >= tightest:
            place = self._take().start
            right = self._sum(context, _BINDING[op] + (op != "^"))
            try:
                left = computed(op, left, right, place=place)
            except (ArithmeticError, ValueError):
                raise self._error(place, "this duration cannot be computed") from None
        return left

    def _signed_duration(self, context: str, *, tightest: int | None = None) -> Seconds:
        if not self._is("+", "-"):
            return self._one_duration(context)
        sign = self._take()
        seconds = self._one_duration(context) if tightest is None else self._sum(context, tightest)
        return computed("-", seconds, place=sign.start) if sign.written == "-" else seconds

    def _one_duration(self, context: str) -> Seconds:
        word = self._word
        if word.kind in ("number", "duration"):
            return self._number()
        if self._is(*_DURATION_FUNCTIONS) and self._after.written == "(":
            function, args = _DURATION_FUNCTIONS[self._take().written.lower()], []
            self._take()
            if function.endswith("_of"):
                args.append(self._sum(context))
                self._expect(",", context)
                args.append(self._sum(context))
            self._expect(")", context)
            return computed(function, *args, place=word.start)
        if self._is("("):
            self._take()
            seconds = self._sum(context)
            self._expect(")", context)
            return seconds
        raise self._unexpected(context, "number or duration")

    # -- words -------------------------------------------------------------------------------------------------------

    @property
    def _word(self) -> Token:
        """The next word; an error that stands there is raised."""
        word = self._words[self._at]
        if word.kind == "error":
            raise self._error(word.start, word.written)
        return word

    @property
    def _after(self) -> Token:
        """The word after the next."""
        return self._words[min(self._at + 1, len(self._words) - 1)]

    def _take(self) -> Token:
        word = self._word
        self._at += 1
        return word

    def _is(self, *written: str) -> bool:
        word = self._word
        return (
            word.written in written if word.kind == "sign" else word.kind == "name" and word.written.lower() in written
        )

    def _taken(self, written: str) -> bool:
        found = self._is(written)
        self._at += found
        return found

    def _expect(self, written: str, context: str = "", expected: str = "") -> None:
        if not self._is(written):
            raise self._unexpected(context, expected or (f'"{written}"' if context else ""))
        self._take()

    @contextmanager
    def _reading(self, what: str) -> Iterator[None]:
        self._within.append(what)
        yield
        self._within.pop()

    def _unexpected(self, context: str = "", expected: str = "") -> BadInput:
        context = context or (self._within[-1] if self._within else "")
        why = f"unexpected {_described(self._word)}" + (f" in {context}" if context else "")
        return self._error(self._word.start, why + (f", expected {expected}" if expected else ""))

    def _error(self, place: int, why: str) -> BadInput:
        return parse_error(self._text, place, why)


def _moved(expr: Expr, moved: VectorSelector | Subquery) -> Expr:
    if isinstance(expr, MatrixSelector):
        assert isinstance(moved, VectorSelector)
        return replace(expr, vector=moved)
    return moved


def _number(written: str) -> float:
    """As Go reads it: a leading zero makes an octal number where the digits allow."""
    plain = written.replace("_", "")
    if plain[:2] in ("0x", "0X"):
        return float(int(plain, 16))
    if len(plain) > 1 and plain[0] == "0" and all(digit in "01234567" for digit in plain):
        return float(int(plain, 8))
    return float(plain)


def _described(word: Token) -> str:
    """A word as Prometheus' errors name it."""
    lower = word.written.lower()
    match word.kind:
        case "end":
            return "end of input"
        case "text" | "number" | "duration":
            shown = _quoted(word.written)
            return f"{ {'text': 'string'}.get(word.kind, word.kind) } {shown}"
        case "name" if lower in AGGREGATIONS:
            return f"<aggr:{word.written}>"
        case "name" if lower in _OPERATOR_WORDS:
            return f"<op:{word.written}>"
        case "name" if lower in _CLAUSES:
            return f"<{word.written}>"
        case "name" if lower in _NUMBERS:
            return f"number {_quoted(word.written)}"
        case "name" if lower in _PREPROCESSED:
            return _quoted(word.written)
        case "name" | "label":
            return f"{'metric identifier' if ':' in word.written else 'identifier'} {_quoted(word.written)}"
    return f"<op:{word.written}>" if word.written in (*_BINDING, "=~", "!~", "@") else _quoted(word.written)


def _quoted(written: str) -> str:
    cut = written[:10]
    escaped = cut.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"' + ("..." if len(written) > 10 else "")


def _suggestion(name: str) -> str:
    near = difflib.get_close_matches(name.lower(), [*SIGNATURES, *AGGREGATIONS], n=1, cutoff=0.6)
    return f'; did you mean "{near[0]}"?' if near else ""


# -- types -----------------------------------------------------------------------------------------------------------------


def _check(text: str, expr: Expr) -> None:
    """BadInput for the first node whose parts are of the wrong type; what is inside comes first, as in Prometheus."""
    match expr:
        case Paren(expr=inner) | Negation(expr=inner):
            _check(text, inner)
        case Subquery(expr=inner):
            _check(text, inner)
            if kind_of(inner) is not Kind.VECTOR:
                why = f"subquery is only allowed on instant vector, got {_KIND_NAMES[kind_of(inner)]} instead"
                raise parse_error(text, start_of(expr), why)
        case MatrixSelector(vector=vector):
            _check_selector(text, vector)
        case VectorSelector():
            _check_selector(text, expr)
        case Binary():
            _check(text, expr.left)
            _check(text, expr.right)
            _check_operator(text, expr)
        case Aggregation():
            _expect(text, expr.expr, Kind.VECTOR, "aggregation expression")
            if expr.param is not None:
                _expect(text, expr.param, _WITH_PARAMETER[expr.op], "aggregation parameter")
        case Call():
            _check_call(text, expr)


_KIND_NAMES = {Kind.SCALAR: "scalar", Kind.STRING: "string", Kind.MATRIX: "matrix", Kind.VECTOR: "vector"}


def _expect(text: str, expr: Expr, wanted: Kind, where: str) -> None:
    _check(text, expr)
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
