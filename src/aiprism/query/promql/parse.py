"""From the text of an expression to its syntax tree, or to an error that says where: ``line:column: parse error: what``.

The grammar is Prometheus' (documentation, "Querying basics", "Operators"), read by recursive descent; the errors are in its
words, so that what people find about them helps. Types are checked when the whole expression has been read, as there. Every
node keeps the place it stands at. A misspelt function gets a suggestion.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from aiprism.errors import BadInput
from aiprism.model.labels import METRIC_NAME, Matcher, MatchOp, compiled
from aiprism.model.timerange import duration_ms
from aiprism.query.promql.aggregate import OPERATORS as AGGREGATIONS
from aiprism.query.promql.durations import MOST_SECONDS, Seconds, computed, whole_milliseconds
from aiprism.query.promql.operators import ARITHMETIC, COMPARISON, SET_OPERATORS, TRIM
from aiprism.query.promql.reader import CLAUSES, OPERATOR_WORDS, PREPROCESSED, Reader
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
from aiprism.query.promql.typecheck import PARAMETERS, check_types

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
# Words of the grammar that may be the name of a metric all the same.
_METRIC_WORDS = frozenset({"by", "without", "offset", "and", "or", "unless", *PREPROCESSED, *AGGREGATIONS})
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
    check_types(text, expr)
    return expr


def _refuse_monsters(text: str, words: Sequence[Token]) -> None:
    if len(words) > MAX_WORDS:
        raise parse_error(text, words[MAX_WORDS].start, f"more than {MAX_WORDS} words in one expression")
    nested = [word for word in words if word.kind in ("sign", "name") and word.written in _NESTING]
    if len(nested) > MAX_DEPTH:
        raise parse_error(text, nested[-1].start, f"more than {MAX_DEPTH} operators and parentheses in one expression")


class _Parser(Reader):
    """Each method leaves the next unread word behind what it gives."""

    def whole(self) -> Expr:
        if self.word.kind == "end":
            raise self.error(0, "no expression found in input")
        expr = self._expression(0)
        if self.word.kind != "end":
            raise self.unexpected()
        return expr

    # -- operators ---------------------------------------------------------------------------------------------------

    def _expression(self, tightest: int) -> Expr:
        """An expression of operators that bind at least as tightly as that."""
        left = self._signed()
        while (op := self._operator()) and _BINDING[op] >= tightest:
            place = self.take().start
            return_bool, matching = self._modifiers()
            right = self._expression(_BINDING[op] + (op != "^"))
            left = self._binary(Binary(op, left, right, matching, return_bool, place))
        return left

    def _operator(self) -> str:
        word = self.word
        written = word.written.lower() if word.kind == "name" else word.written
        return written if word.kind in ("name", "sign") and written in _BINDING else ""

    def _signed(self) -> Expr:
        if not self.next_is("+", "-"):
            return self._with_suffixes(self._primary())
        sign = self.take()
        operand = self._expression(_POWER)
        if isinstance(operand, Number):
            return Number(-operand.value if sign.written == "-" else operand.value, sign.start)
        if kind_of(operand) not in (Kind.SCALAR, Kind.VECTOR):
            shown = kind_of(operand).value
            raise self.error(
                sign.start,
                f'unary expression only allowed on expressions of type scalar or instant vector, got "{shown}"',
            )
        return Negation(operand, sign.start) if sign.written == "-" else operand

    def _modifiers(self) -> tuple[bool, Matching | None]:
        return_bool = self.taken("bool")
        matching = self._matching()
        while self.next_is(*_FILLS) and self.after.written == "(":
            fill = self.take()
            sides = _FILLS[fill.written.lower()]
            matching = matching or Matching()
            if any(getattr(matching, side) is not None for side in sides):
                raise self.error(fill.start, f"unexpected <{fill.written}>")
            value = self._fill_value()
            left, right = (value if side in sides else getattr(matching, side) for side in _FILLS["fill"])
            matching = replace(matching, fill_left=left, fill_right=right)
        return return_bool, matching

    def _fill_value(self) -> float:
        self.expect("(", "fill modifier")
        sign = -1.0 if self.next_is("-") else 1.0
        if self.next_is("+", "-"):
            self.take()
        word = self.word
        if word.kind == "name" and word.written.lower() in _NUMBERS:
            value = _NUMBERS[self.take().written.lower()]
        elif word.kind in ("number", "duration"):
            value = self._number()
        else:
            raise self.unexpected("fill modifier", "number")
        self.expect(")", "fill modifier")
        return sign * value

    def _matching(self) -> Matching | None:
        if not self.next_is("on", "ignoring"):
            return None
        on = self.take().written.lower() == "on"
        labels = self._labels()
        if not self.next_is("group_left", "group_right"):
            return Matching(Cardinality.ONE_TO_ONE, on, labels)
        left = self.take().written.lower() == "group_left"
        include = self._labels() if self.next_is("(") else ()
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
        word = self.word
        match word.kind:
            case "number" | "duration":
                return Number(self._number(), word.start)
            case "text":
                return Text(unquoted(self.take().written), word.start)
            case "name":
                return self._named()
        if self.next_is("("):
            self.take()
            inner = self._expression(0)
            self.expect(")")
            return Paren(inner, word.start)
        if self.next_is("{"):
            return self._selector("", word.start)
        raise self.unexpected()

    def _named(self) -> Expr:
        word, lower = self.word, self.word.written.lower()
        if lower in AGGREGATIONS and (self.after.written == "(" or self.after.written.lower() in ("by", "without")):
            return self._aggregation()
        if lower in _NUMBERS:
            self.take()
            return Number(_NUMBERS[lower], word.start)
        if (lower in CLAUSES or lower in OPERATOR_WORDS) and lower not in _METRIC_WORDS:
            raise self.unexpected()
        if (
            self.after.written == "("
            and self.after.kind == "sign"
            and (lower not in _METRIC_WORDS or lower in PREPROCESSED)
            and ":" not in lower
        ):
            return self._call()
        return self._selector(self.take().written, word.start)

    def _aggregation(self) -> Aggregation:
        word = self.take()
        op = word.written.lower()
        with self.reading("aggregation"):
            grouping = self._grouping()
            args = self._arguments()
            if grouping is None:
                grouping = self._grouping()
        wanted = 2 if op in PARAMETERS else 1
        if not args:
            raise self.error(word.start, "no arguments for aggregate expression provided")
        if len(args) != wanted:
            raise self.error(
                word.start,
                f"wrong number of arguments for aggregate expression provided, expected {wanted}, got {len(args)}",
            )
        without, labels = grouping or (False, ())
        return Aggregation(op, args[-1], args[0] if wanted == 2 else None, labels, without, word.start)

    def _grouping(self) -> tuple[bool, tuple[str, ...]] | None:
        if not self.next_is("by", "without"):
            return None
        return self.take().written.lower() == "without", self._labels()

    def _call(self) -> Call:
        name = self.take()
        args = self._arguments()
        if name.written not in SIGNATURES:
            raise self.error(name.start, f'unknown function with name "{name.written}"{_suggestion(name.written)}')
        return Call(name.written, args, SIGNATURES[name.written].gives, name.start)

    def _arguments(self) -> tuple[Expr, ...]:
        self.expect("(")
        args: list[Expr] = []
        while not self.next_is(")"):
            args.append(self._expression(0))
            if not self.next_is(","):
                break
            comma = self.take()
            if self.next_is(")"):
                raise self.error(comma.start, "trailing commas not allowed in function call args")
        self.expect(")")
        return tuple(args)

    def _labels(self) -> tuple[str, ...]:
        """A list of label names in parentheses."""
        if not self.next_is("("):
            raise self.unexpected("grouping opts", '"("')
        self.take()
        found: list[str] = []
        while not self.next_is(")"):
            word = self.word
            if word.kind not in ("name", "text") or (word.kind == "name" and ":" in word.written):
                raise self.unexpected("grouping opts", "label")
            found.append(unquoted(self.take().written) if word.kind == "text" else self.take().written)
            if not self.next_is(",", ")"):
                raise self.unexpected("grouping opts", '"," or ")"')
            self.taken(",")
        self.take()
        return tuple(found)

    # -- selectors ---------------------------------------------------------------------------------------------------

    def _selector(self, name: str, place: int) -> VectorSelector:
        names = [Matcher(METRIC_NAME, MatchOp.EQUAL, name)] if name else []
        others = self._matchers(names) if self.next_is("{") else []
        twice = [each.value for each in (*names, *others) if each.name == METRIC_NAME]
        if names and len(twice) > 1:
            raise self.error(place, f'metric name must not be set twice: "{twice[0]}" or "{twice[1]}"')
        return VectorSelector((*names, *others), place=place)

    def _matchers(self, names: list[Matcher]) -> list[Matcher]:
        """The matchers in braces; a metric name in quotes joins `names`."""
        self.take()
        others: list[Matcher] = []
        while not self.next_is("}"):
            matcher, is_name = self._matcher()
            (names if is_name else others).append(matcher)
            if not self.next_is(",", "}"):
                raise self.unexpected("label matching", '"," or "}"')
            self.taken(",")
        self.take()
        return others

    def _matcher(self) -> tuple[Matcher, bool]:
        """One matcher, and whether it is a metric name in quotes."""
        word = self.word
        if word.kind not in ("label", "text"):
            raise self.unexpected("label matching", 'identifier or "}"')
        self.take()
        name = unquoted(word.written) if word.kind == "text" else word.written
        if word.kind == "text" and self.next_is(",", "}"):
            return Matcher(METRIC_NAME, MatchOp.EQUAL, name), True
        if self.word.kind != "sign" or self.word.written not in _MATCH_OPS:
            raise self.unexpected("label matching", "label matching operator")
        op = _MATCH_OPS[self.take().written]
        if self.word.kind != "text":
            raise self.unexpected("label matching", "string")
        value = unquoted(self.take().written)
        if op in (MatchOp.REGEX, MatchOp.NOT_REGEX):
            self._check_regex(value, word.start)
        return Matcher(name, op, value), False

    def _check_regex(self, pattern: str, place: int) -> None:
        try:
            compiled(pattern)
        except BadInput as error:
            raise self.error(place, str(error)) from error

    def _with_suffixes(self, expr: Expr) -> Expr:
        while self.next_is("[", "@", "offset", *_EDGES):
            if self.next_is("["):
                expr = self._ranged(expr)
            elif self.next_is("@"):
                expr = self._at_time(expr)
            elif self.next_is("offset"):
                expr = self._offset(expr)
            else:
                expr = self._beyond_edges(expr)
        return expr

    def _beyond_edges(self, expr: Expr) -> Expr:
        word = self.take()
        selector = expr.vector if isinstance(expr, MatrixSelector) else expr
        if isinstance(selector, Subquery):
            raise self.error(word.start, f"{word.written} modifier is not supported for subqueries")
        if not isinstance(selector, VectorSelector) or (word.written.lower() == "anchored" and selector is expr):
            raise self.error(word.start, f"{word.written} modifier must be preceded by a range vector selector")
        if selector.edges:
            raise self.error(word.start, "anchored and smoothed modifiers cannot be used together")
        return _moved(expr, replace(selector, edges=_EDGES[word.written.lower()]))

    def _ranged(self, expr: Expr) -> Expr:
        place = self.take().start
        range_ms = self._duration("subquery selector")
        if self.taken(":"):
            step_ms = None
            if not self.next_is("]"):
                step_ms = self._duration("subquery selector", ' or "]"')
            self.expect("]", "subquery selector")
            return Subquery(expr, range_ms, step_ms)
        self.expect("]", "subquery or range", '":" or "]"')
        if not isinstance(expr, VectorSelector):
            raise self.error(place, "ranges only allowed for vector selectors")
        if expr.offset_ms:
            raise self.error(place, "no offset modifiers allowed before range")
        if expr.at is not None:
            raise self.error(place, "no @ modifiers allowed before range")
        return MatrixSelector(expr, range_ms)

    def _offset(self, expr: Expr) -> Expr:
        self.take()
        offset_ms = whole_milliseconds(self._signed_duration("offset"))
        moved = self._movable(expr, "offset modifier")
        if moved.offset_ms:
            raise self.error(start_of(expr), "offset may not be set multiple times")
        return _moved(expr, replace(moved, offset_ms=offset_ms))

    def _at_time(self, expr: Expr) -> Expr:
        self.take()
        word = self.word
        if word.kind == "name" and word.written.lower() in PREPROCESSED:
            self.take()
            self.expect("(", "@", "timestamp")
            self.expect(")", "@", "timestamp")
            at: int | At = At.START if word.written.lower() == "start" else At.END
        else:
            at = self._timestamp(start_of(expr))
        moved = self._movable(expr, "@ modifier")
        if moved.at is not None:
            raise self.error(start_of(expr), "@ <timestamp> may not be set multiple times")
        return _moved(expr, replace(moved, at=at))

    def _timestamp(self, place: int) -> int:
        sign = -1.0 if self.next_is("-") else 1.0
        if self.next_is("+", "-"):
            self.take()
        number = self.word.written.lower() in _NUMBERS and self.word.kind == "name"
        if not number and self.word.kind not in ("number", "duration"):
            raise self.unexpected("@", "timestamp")
        seconds = sign * (_NUMBERS[self.take().written.lower()] if number else self._number())
        if not abs(seconds) < MOST_SECONDS:
            shown = f"{seconds:+f}".replace("inf", "Inf").replace("nan", "NaN")
            shown = shown if math.isinf(seconds) else shown.removeprefix("+")
            raise self.error(place, f"timestamp out of bounds for @ modifier: {shown}")
        return round(seconds * 1000)

    def _movable(self, expr: Expr, what: str) -> VectorSelector | Subquery:
        """What of `expr` an offset or a time belongs to."""
        if isinstance(expr, MatrixSelector):
            return expr.vector
        if isinstance(expr, VectorSelector | Subquery):
            return expr
        raise self.error(
            start_of(expr),
            f"{what} must be preceded by an instant vector selector or range vector selector or a subquery",
        )

    # -- numbers and durations -----------------------------------------------------------------------------------------

    def _number(self) -> float:
        word = self.take()
        return _number(word.written) if word.kind == "number" else duration_ms(word.written) / 1000

    def _duration(self, context: str, otherwise: str = "") -> int | Computed:
        """Milliseconds, more than none, of what stands in brackets: arithmetic is allowed there."""
        place = self.word.start
        if self.word.kind not in ("number", "duration") and not self.next_is("(", "-", "+", *_DURATION_FUNCTIONS):
            raise self.unexpected(context, f"number or duration{otherwise}")
        found = whole_milliseconds(self._sum(context))
        if isinstance(found, Computed):
            return replace(found, place=place)
        if found <= 0:
            raise self.error(place, "duration must be greater than 0")
        return found

    def _sum(self, context: str, tightest: int = 0) -> Seconds:
        """Seconds of an expression of durations."""
        left = self._signed_duration(context, tightest=_BINDING["*"])
        while (op := self._operator()) in ("+", "-", "*", "/", "%", "^") and _BINDING[op] >= tightest:
            place = self.take().start
            right = self._sum(context, _BINDING[op] + (op != "^"))
            try:
                left = computed(op, left, right, place=place)
            except (ArithmeticError, ValueError):
                raise self.error(place, "this duration cannot be computed") from None
        return left

    def _signed_duration(self, context: str, *, tightest: int | None = None) -> Seconds:
        if not self.next_is("+", "-"):
            return self._one_duration(context)
        sign = self.take()
        seconds = self._one_duration(context) if tightest is None else self._sum(context, tightest)
        return computed("-", seconds, place=sign.start) if sign.written == "-" else seconds

    def _one_duration(self, context: str) -> Seconds:
        word = self.word
        if word.kind in ("number", "duration"):
            return self._number()
        if self.next_is(*_DURATION_FUNCTIONS) and self.after.written == "(":
            function, args = _DURATION_FUNCTIONS[self.take().written.lower()], []
            self.take()
            if function.endswith("_of"):
                args.append(self._sum(context))
                self.expect(",", context)
                args.append(self._sum(context))
            self.expect(")", context)
            return computed(function, *args, place=word.start)
        if self.next_is("("):
            self.take()
            seconds = self._sum(context)
            self.expect(")", context)
            return seconds
        raise self.unexpected(context, "number or duration")


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


def _suggestion(name: str) -> str:
    near = difflib.get_close_matches(name.lower(), [*SIGNATURES, *AGGREGATIONS], n=1, cutoff=0.6)
    return f'; did you mean "{near[0]}"?' if near else ""
