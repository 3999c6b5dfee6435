"""What a search asks of log records, as SQL: a condition becomes an expression over the columns of `logs`.

In: a `model.search.Condition`. Out: the expression and its parameters; no text of the search is ever part of the SQL.

Words of the line are found by the text index (`hasAllTokens`), which knows runs of letters and digits in lower case; a
regular expression then says whether they stand as the search has them, on the few lines the index found. A field that is no
column is looked for in the attributes of the record, in those of its resource, and then in the line: JSON or key=value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aiprism.model.search import All, Any, Between, Condition, Exists, Is, Like, Matches, Not, Wild

LINE = ("", "body", "message", "msg")
LEVELS = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")
_TIME = ("timestamp", "@timestamp", "ts", "time")

# Fields that are columns, as text.
_COLUMNS: Mapping[str, str] = {
    "service": "service",
    "service.name": "service",
    "level": "level",
    "event_name": "event_name",
    "severity_text": "severity_text",
    "severity_number": "toString(severity_number)",
    "scope": "scope_name",
    "scope_name": "scope_name",
    "trace_id": "if(logs.trace_id = toFixedString('', 16), '', lower(hex(logs.trace_id)))",
    "span_id": "if(logs.span_id = toFixedString('', 8), '', lower(hex(logs.span_id)))",
    "pattern_id": "toString(pattern_id)",
}

_SEPARATORS = re.compile(r"[\x00-\x2f\x3a-\x40\x5b-\x60\x7b-\x7f]+")  # between the words that the text index knows
_SPECIAL = re.compile(r"[\\.+*?()|\[\]{}^$]")
_IN_WORD = r"[0-9A-Za-z\x{80}-\x{10FFFF}]"
_NO_WORD = r"[^0-9A-Za-z\x{80}-\x{10FFFF}]"
# A LIKE of one word of four letters or more is answered from the dictionary of the text index.
_HINT = re.compile(r"[A-Za-z0-9]{4,}")
_MOST_HINTS = 8


@dataclass(frozen=True, slots=True)
class Where:
    """An expression that is true for records that fit, and what is bound to the names in it."""

    sql: str
    bound: Mapping[str, object]


def where(asked: Condition, *, indexed: bool = True) -> Where:
    """The condition over `logs`; not `indexed`: over rows without its text index, such as archived ones."""
    writer = _Writer(indexed)
    return Where(writer.written(asked), writer.bound)


def words_in(text: str) -> list[str]:
    """The words of a text that a LIKE finds in the dictionary of the text index, in lower case, at most eight."""
    return [word.lower() for word in _HINT.findall(text)[:_MOST_HINTS]]


def field(name: str) -> Where:
    """The value of a field, as text; NULL where there is none. What is bound has names that no condition has."""
    writer = _Writer(indexed=False, prefix="f")
    return Where(writer.field(name), writer.bound)


class _Writer:
    """Writes expressions, and hands out names for what is bound in them."""

    def __init__(self, indexed: bool, prefix: str = "s") -> None:
        self.bound: dict[str, object] = {}
        self._indexed, self._prefix = indexed, prefix

    def _bind(self, value: object, kind: str = "String") -> str:
        name = f"{self._prefix}{len(self.bound)}"
        self.bound[name] = value
        return f"{{{name}:{kind}}}"

    def written(self, asked: Condition) -> str:
        match asked:
            case All(parts):
                return f"({' AND '.join(map(self.written, parts))})" if parts else "true"
            case Any(parts):
                return f"({' OR '.join(map(self.written, parts))})"
            case Not(part):
                return f"NOT {self.written(part)}"
            case Is(name, value) if name in LINE:
                return self._words(value)
            case Like(name, form) if name in LINE:
                return self._like_word(form)
            case Matches(name, expression) if name in LINE:
                return f"match(body, {self._bind(expression)})"
            case Exists(name):
                return self._exists(name)
            case Between():
                return self._between(asked)
            case Is(name, value):
                return self._is(name, value)
            case Like(name, form):
                return self._fits(name, f"(?s)^{_expression(form, '.')}$")
            case Matches(name, expression):
                return self._fits(name, expression)

    # -- the line --------------------------------------------------------------------------------------------------

    def _words(self, value: str) -> str:
        words = [word.lower() for word in _SEPARATORS.split(value) if word]
        if not words:
            return f"positionCaseInsensitiveUTF8(body, {self._bind(value)}) > 0"
        tokens = f"hasAllTokens(body, {self._bind(words, 'Array(String)')})"
        if self._indexed and len(words) == 1 and words[0] == value.lower() and value.isascii():
            return tokens
        before = f"(?:^|{_NO_WORD})" if not _SEPARATORS.match(value) else ""
        after = f"(?:{_NO_WORD}|$)" if not _SEPARATORS.match(value[-1]) else ""
        exact = f"match(body, {self._bind('(?is)' + before + _escaped(value) + after)})"
        # Of letters beyond ASCII the index knows one case only.
        return f"({tokens} AND {exact})" if self._indexed and value.isascii() else exact

    def _like_word(self, form: Sequence[str | Wild]) -> str:
        expression = f"(?i)(?:^|{_NO_WORD}){_expression(form, _IN_WORD)}(?:{_NO_WORD}|$)"
        return self._hinted([part for part in form if isinstance(part, str)], f"match(body, {self._bind(expression)})")

    def _hinted(self, texts: Sequence[str], exact: str) -> str:
        words = [word for text in texts if text.isascii() for word in words_in(text)][:_MOST_HINTS]
        if not self._indexed or not words:
            return exact
        hints = " AND ".join("body ILIKE " + self._bind(f"%{word}%") for word in words)
        return f"({hints} AND {exact})"

    # -- a field ---------------------------------------------------------------------------------------------------

    def field(self, name: str) -> str:
        """The value of a field as text."""
        if name in LINE:
            return "body"
        if name in _TIME:
            return "toString(ts)"
        if name in _COLUMNS:
            return f"toString({_COLUMNS[name]})"
        prefix, _, rest = name.partition(".")
        column = {"attributes": "attributes", "scope": "scope_attributes", "resource": "resource"}.get(prefix)
        if column and rest:
            key = self._bind(rest)
            return f"if(mapContains({column}, {key}), {column}[{key}], NULL)"
        key, path = self._bind(name), ", ".join(self._bind(part) for part in name.split("."))
        return (
            f"multiIf(mapContains(attributes, {key}), attributes[{key}], "
            f"JSONHas(resource_json, {key}), JSONExtractString(resource_json, {key}), "
            f"startsWith(body, '{{'), {_from_json('body', path, key)}, "
            f"position(body, concat({key}, '=')) > 0, nullIf(extractKeyValuePairs(body, '=', ' ,;')[{key}], ''), NULL)"
        )

    def _is(self, name: str, value: str) -> str:
        if name == "level":
            return f"level = {self._bind(value.upper())}"
        if name in ("trace_id", "span_id"):
            size = 16 if name == "trace_id" else 8
            if not re.fullmatch(f"[0-9a-fA-F]{{{2 * size}}}", value):
                return "false"
            return f"logs.{name} = toFixedString(unhex({self._bind(value)}), {size})"
        if name in _COLUMNS:
            return f"{_COLUMNS[name]} = {self._bind(value)}"
        found = self.field(name)
        text = f"{found} = {self._bind(value)}"
        if not _PLAIN.fullmatch(value):
            return f"ifNull({text}, false)"
        return f"ifNull({text} OR {self._as_number(found, '=', value, exact=_is_long(value))}, false)"

    def _as_number(self, text: str, sign: str, number: str, *, exact: bool) -> str:
        """A comparison of numbers; `exact`: of whole ones with more digits than a Float64 has."""
        if exact:
            return f"toInt128OrNull({text}) {sign} {self._bind(int(number), 'Int128')}"
        return f"toFloat64OrNull({text}) {sign} {self._bind(float(number), 'Float64')}"

    def _fits(self, name: str, expression: str) -> str:
        return f"ifNull(match({self.field(name)}, {self._bind(expression)}), false)"

    def _exists(self, name: str) -> str:
        if name in LINE or name in _COLUMNS or name in _TIME:
            return f"notEmpty({self.field(name)})"
        return f"isNotNull({self.field(name)})"

    def _between(self, asked: Between) -> str:
        bounds = [
            (bound, sign + ("=" if included else ""))
            for bound, sign, included in ((asked.low, ">", asked.with_low), (asked.high, "<", asked.with_high))
            if bound is not None
        ]
        if not bounds:
            return self._exists(asked.field)
        return f"({' AND '.join(self._compared(asked.field, *each, bounds) for each in bounds)})"

    def _compared(self, name: str, bound: str, sign: str, bounds: Sequence[tuple[str, str]]) -> str:
        if name in _TIME:
            return f"ts {sign} toDateTime64({self._bind(bound)}, 9, 'UTC')"
        if name == "level":
            ranks = f"{self._bind(list(LEVELS), 'Array(String)')}"
            return f"(has({ranks}, level) AND indexOf({ranks}, level) {sign} indexOf({ranks}, {self._bind(bound.upper())}))"
        texts = [text for text, _ in bounds]
        if all(map(_NUMBER.fullmatch, texts)):
            compared = self._as_number(self.field(name), sign, bound, exact=any(map(_is_long, texts)))
            return f"ifNull({compared}, false)"
        return f"ifNull({self.field(name)} {sign} {self._bind(bound)}, false)"


_PLAIN = re.compile(r"-?[0-9]{1,30}(?:\.[0-9]+)?")  # what is a number also where it might be a name (1e5 might)
_NUMBER = re.compile(rf"{_PLAIN.pattern}(?:[eE][-+]?[0-9]{{1,3}})?")


def _is_long(text: str) -> bool:
    return "." not in text and "e" not in text.lower() and abs(int(text)) >= 1 << 53


def _from_json(text: str, path: str, key: str) -> str:
    """The value at a path of a JSON object, or under the whole name."""

    def at(where: str) -> str:
        return (
            f"if(JSONType({text}, {where}) = 'String', JSONExtractString({text}, {where}), "
            f"nullIf(JSONExtractRaw({text}, {where}), ''))"
        )

    return at(path) if path.count(",") == 0 else f"if(JSONHas({text}, {key}), {at(key)}, {at(path)})"


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\g<0>", text)


def _expression(form: Sequence[str | Wild], any_character: str) -> str:
    """A form as a regular expression in which a wildcard stands for `any_character`."""
    meant = {Wild.MANY: f"{any_character}*", Wild.ONE: any_character}
    return "".join(meant[part] if isinstance(part, Wild) else _escaped(part) for part in form)
