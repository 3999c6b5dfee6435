"""A condition as SQL: what logs and spans have in common.

In: a `model.search.Condition`. Out: an expression and what is bound in it; no text of a search is ever part of the SQL. Which
columns, times and ids there are, what is the line that bare words are looked for in, and where a field lies that is no column,
say `logsearch` and `spansearch`.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from aiprism.model.search import All, Any, Between, Condition, Exists, Is, Like, Matches, Not, Wild

SEPARATORS = re.compile(r"[\x00-\x2f\x3a-\x40\x5b-\x60\x7b-\x7f]+")  # between words, as the text index has them
_SPECIAL = re.compile(r"[\\.+*?()|\[\]{}^$]")
_IN_WORD = r"[0-9A-Za-z\x{80}-\x{10FFFF}]"
_NO_WORD = r"[^0-9A-Za-z\x{80}-\x{10FFFF}]"
_PLAIN = re.compile(r"-?[0-9]{1,30}(?:\.[0-9]+)?")  # what is a number also where it might be a name (1e5 might)
_NUMBER = re.compile(rf"{_PLAIN.pattern}(?:[eE][-+]?[0-9]{{1,3}})?")

Predicate = Callable[[str], str]  # SQL that says something of an expression


@dataclass(frozen=True, slots=True)
class Where:
    """An expression that is true for rows that fit, and what is bound to the names in it."""

    sql: str
    bound: Mapping[str, object]


class ConditionWriter(ABC):
    """Writes expressions over one table, and hands out names for what is bound in them: `prefix` and a number."""

    line: ClassVar[tuple[str, ...]] = ("",)  # names of what bare words are looked for in
    columns: ClassVar[Mapping[str, str]]  # fields that are columns, as text
    ids: ClassVar[Mapping[str, tuple[str, int]]]  # fields that are ids: the column and its bytes
    times: ClassVar[tuple[str, ...]] = ("timestamp", "@timestamp", "ts", "time")
    moment: ClassVar[str]  # the column of time

    def __init__(self, prefix: str) -> None:
        self.bound: dict[str, object] = {}
        self._prefix = prefix

    def where(self, asked: Condition) -> Where:
        """The condition, with everything that is bound so far."""
        return Where(self.written(asked), self.bound)

    def written(self, asked: Condition) -> str:
        """The condition as an expression that is true or false, never NULL."""
        match asked:
            case All(parts):
                return f"({' AND '.join(map(self.written, parts))})" if parts else "true"
            case Any(parts):
                return f"({' OR '.join(map(self.written, parts))})"
            case Not(part):
                return f"NOT {self.written(part)}"
            case Is(name, value) if name in self.line:
                return self.words(value)
            case Like(name, form) if name in self.line:
                return self.like_word(form)
            case Matches(name, expression) if name in self.line:
                return self.matches(expression)
            case Exists(name):
                return self.exists(name)
            case Between():
                return self._between(asked)
            case Is(name, value):
                return self.equals(name, value)
            case Like(name, form):
                return self._fits(name, f"(?s)^{expression_of(form, '.')}$")
            case Matches(name, expression):
                return self._fits(name, expression)

    # -- what tables differ in -------------------------------------------------------------------------------------

    @abstractmethod
    def words(self, value: str) -> str:
        """The line has these words, one after the other."""

    @abstractmethod
    def like_word(self, form: Sequence[str | Wild]) -> str:
        """A word of the line has this form."""

    @abstractmethod
    def matches(self, expression: str) -> str:
        """The regular expression matches somewhere in the line."""

    @abstractmethod
    def elsewhere(self, name: str, predicate: Predicate) -> str:
        """The predicate holds of the text of a field that is no column."""

    @abstractmethod
    def exists_elsewhere(self, name: str) -> str:
        """The row has this field, which is no column."""

    # -- what they share -------------------------------------------------------------------------------------------

    def bind(self, value: object, kind: str = "String") -> str:
        """A placeholder for `value`."""
        name = f"{self._prefix}{len(self.bound)}"
        self.bound[name] = value
        return f"{{{name}:{kind}}}"

    def column(self, name: str) -> str | None:
        """The column of a field as text, None when it is none."""
        if name in self.ids:
            column, size = self.ids[name]
            return f"if({column} = toFixedString('', {size}), '', lower(hex({column})))"
        if name in self.times:
            return f"toString({self.moment})"
        return f"toString({self.columns[name]})" if name in self.columns else None

    def holds(self, name: str, predicate: Predicate) -> str:
        """The predicate holds of the text of a field."""
        column = self.column(name)
        return predicate(column) if column else self.elsewhere(name, predicate)

    def equals(self, name: str, value: str) -> str:
        """The field has this value; a number has it when it is the same number."""
        if name in self.ids:
            column, size = self.ids[name]
            if not re.fullmatch(f"[0-9a-fA-F]{{{2 * size}}}", value):
                return "false"
            return f"{column} = toFixedString(unhex({self.bind(value)}), {size})"
        bound = self.bind(value)
        if name in self.columns:
            return f"{self.columns[name]} = {bound}"
        if not _PLAIN.fullmatch(value):
            return self.holds(name, lambda text: f"ifNull({text} = {bound}, false)")
        same = self._as_number("=", value, exact=_is_long(value))
        return self.holds(name, lambda text: f"ifNull({text} = {bound} OR {same(text)}, false)")

    def exists(self, name: str) -> str:
        """The row has this field, and a column says something."""
        column = self.column(name)
        return f"notEmpty({column})" if column else self.exists_elsewhere(name)

    def compared(self, name: str, bound: str, sign: str, bounds: Sequence[str]) -> str:
        """The field compares so with a bound: as a number when all `bounds` are numbers, else as text."""
        if name in self.times:
            return f"{self.moment} {sign} toDateTime64({self.bind(bound)}, 9, 'UTC')"
        if all(map(_NUMBER.fullmatch, bounds)):
            number = self._as_number(sign, bound, exact=any(map(_is_long, bounds)))
            return self.holds(name, lambda text: f"ifNull({number(text)}, false)")
        other = self.bind(bound)
        return self.holds(name, lambda text: f"ifNull({text} {sign} {other}, false)")

    def _as_number(self, sign: str, number: str, *, exact: bool) -> Predicate:
        """A comparison of numbers; `exact`: of whole ones with more digits than a Float64 has."""
        bound = self.bind(int(number), "Int128") if exact else self.bind(float(number), "Float64")
        kind = "Int128" if exact else "Float64"
        return lambda text: f"to{kind}OrNull({text}) {sign} {bound}"

    def _fits(self, name: str, expression: str) -> str:
        bound = self.bind(expression)
        return self.holds(name, lambda text: f"ifNull(match({text}, {bound}), false)")

    def _between(self, asked: Between) -> str:
        bounds = [
            (bound, sign + ("=" if included else ""))
            for bound, sign, included in ((asked.low, ">", asked.with_low), (asked.high, "<", asked.with_high))
            if bound is not None
        ]
        if not bounds:
            return self.exists(asked.field)
        texts = [bound for bound, _ in bounds]
        return f"({' AND '.join(self.compared(asked.field, *each, texts) for each in bounds)})"


def _is_long(text: str) -> bool:
    return "." not in text and "e" not in text.lower() and abs(int(text)) >= 1 << 53


def words_expression(value: str) -> str:
    """A regular expression for a text whose first and last word are whole words, in any case."""
    before = f"(?:^|{_NO_WORD})" if not SEPARATORS.match(value) else ""
    after = f"(?:{_NO_WORD}|$)" if not SEPARATORS.match(value[-1:]) else ""
    return "(?is)" + before + escaped(value) + after


def word_expression(form: Sequence[str | Wild]) -> str:
    """A regular expression for a word of this form, in any case."""
    return f"(?i)(?:^|{_NO_WORD}){expression_of(form, _IN_WORD)}(?:{_NO_WORD}|$)"


def escaped(text: str) -> str:
    """The text as a regular expression for itself."""
    return _SPECIAL.sub(r"\\\g<0>", text)


def expression_of(form: Sequence[str | Wild], any_character: str) -> str:
    """A form as a regular expression in which a wildcard stands for `any_character`."""
    meant = {Wild.MANY: f"{any_character}*", Wild.ONE: any_character}
    return "".join(meant[part] if isinstance(part, Wild) else escaped(part) for part in form)
