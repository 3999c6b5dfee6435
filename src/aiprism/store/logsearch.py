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
from typing import ClassVar

from aiprism.model.search import Condition, Wild
from aiprism.store.conditionsql import (
    SEPARATORS,
    ConditionWriter,
    Predicate,
    Where,
    word_expression,
    words_expression,
)

LINE = ("", "body", "message", "msg")  # names of the line that bare words are looked for in
LEVELS = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")

# A LIKE of one word of four letters or more is answered from the dictionary of the text index.
_HINT = re.compile(r"[A-Za-z0-9]{4,}")
_MOST_HINTS = 8


def where(asked: Condition, *, indexed: bool = True) -> Where:
    """The condition over `logs`; not `indexed`: over rows without its text index, such as archived ones."""
    return _LogWriter(indexed).where(asked)


@dataclass(frozen=True, slots=True)
class Wheres:
    """Several expressions, and what is bound to the names in all of them."""

    sql: Sequence[str]
    bound: Mapping[str, object]


def where_any(asked: Sequence[Condition]) -> Wheres:
    """Conditions over `logs` that stand in one statement, without its text index."""
    writer = _LogWriter(indexed=False)
    return Wheres([writer.written(each) for each in asked], writer.bound)


def words_in(text: str) -> list[str]:
    """The words of a text that a LIKE finds in the dictionary of the text index, in lower case, at most eight."""
    return [word.lower() for word in _HINT.findall(text)[:_MOST_HINTS]]


def field(name: str, *, prefix: str = "f") -> Where:
    """The value of a field, as text; NULL where there is none. What is bound has names that no condition has, and that begin
    with `prefix`."""
    writer = _LogWriter(indexed=False, prefix=prefix)
    return Where(writer.field(name), writer.bound)


class _LogWriter(ConditionWriter):
    line: ClassVar[tuple[str, ...]] = LINE
    columns: ClassVar[Mapping[str, str]] = {
        "service": "service",
        "service.name": "service",
        "level": "level",
        "event_name": "event_name",
        "severity_text": "severity_text",
        "severity_number": "toString(severity_number)",
        "scope": "scope_name",
        "scope_name": "scope_name",
        "pattern_id": "toString(pattern_id)",
    }
    ids: ClassVar[Mapping[str, tuple[str, int]]] = {
        "trace_id": ("logs.trace_id", 16),
        "span_id": ("logs.span_id", 8),
    }
    moment: ClassVar[str] = "ts"

    def __init__(self, indexed: bool, prefix: str = "s") -> None:
        super().__init__(prefix)
        self._indexed = indexed

    # -- the line --------------------------------------------------------------------------------------------------

    def words(self, value: str) -> str:
        words = [word.lower() for word in SEPARATORS.split(value) if word]
        if not words:
            return f"positionCaseInsensitiveUTF8(body, {self.bind(value)}) > 0"
        tokens = f"hasAllTokens(body, {self.bind(words, 'Array(String)')})"
        if self._indexed and len(words) == 1 and words[0] == value.lower() and value.isascii():
            return tokens
        exact = self.matches(words_expression(value))
        # Of letters beyond ASCII the index knows one case only.
        return f"({tokens} AND {exact})" if self._indexed and value.isascii() else exact

    def like_word(self, form: Sequence[str | Wild]) -> str:
        return self._hinted([part for part in form if isinstance(part, str)], self.matches(word_expression(form)))

    def matches(self, expression: str) -> str:
        return f"match(body, {self.bind(expression)})"

    def _hinted(self, texts: Sequence[str], exact: str) -> str:
        words = [word for text in texts if text.isascii() for word in words_in(text)][:_MOST_HINTS]
        if not self._indexed or not words:
            return exact
        hints = " AND ".join("body ILIKE " + self.bind(f"%{word}%") for word in words)
        return f"({hints} AND {exact})"

    # -- a field ---------------------------------------------------------------------------------------------------

    def field(self, name: str) -> str:
        """The value of a field as text; NULL where there is none."""
        if name in self.line:
            return "body"
        column = self.column(name)
        if column:
            return column
        prefix, _, rest = name.partition(".")
        attributes = {"attributes": "attributes", "scope": "scope_attributes", "resource": "resource"}.get(prefix)
        if attributes and rest:
            key = self.bind(rest)
            return f"if(mapContains({attributes}, {key}), {attributes}[{key}], NULL)"
        key, path = self.bind(name), ", ".join(self.bind(part) for part in name.split("."))
        return (
            f"multiIf(mapContains(attributes, {key}), attributes[{key}], "
            f"JSONHas(resource_json, {key}), JSONExtractString(resource_json, {key}), "
            f"startsWith(body, '{{'), {_from_json('body', path, key)}, "
            f"position(body, concat({key}, '=')) > 0, nullIf(extractKeyValuePairs(body, '=', ' ,;')[{key}], ''), NULL)"
        )

    def elsewhere(self, name: str, predicate: Predicate) -> str:
        return predicate(self.field(name))

    def exists_elsewhere(self, name: str) -> str:
        return "notEmpty(body)" if name in self.line else f"isNotNull({self.field(name)})"

    def equals(self, name: str, value: str) -> str:
        if name == "pattern_id" and value.isascii() and value.isdigit() and int(value) < 1 << 64:
            return f"pattern_id = {self.bind(int(value), 'UInt64')}"  # making a text of each record's takes longer
        return f"level = {self.bind(value.upper())}" if name == "level" else super().equals(name, value)

    def compared(self, name: str, bound: str, sign: str, bounds: Sequence[str]) -> str:
        if name != "level":
            return super().compared(name, bound, sign, bounds)
        ranks = self.bind(list(LEVELS), "Array(String)")
        return f"(has({ranks}, level) AND indexOf({ranks}, level) {sign} indexOf({ranks}, {self.bind(bound.upper())}))"


def _from_json(text: str, path: str, key: str) -> str:
    """The value at a path of a JSON object, or under the whole name."""

    def at(where: str) -> str:
        return (
            f"if(JSONType({text}, {where}) = 'String', JSONExtractString({text}, {where}), "
            f"nullIf(JSONExtractRaw({text}, {where}), ''))"
        )

    return at(path) if path.count(",") == 0 else f"if(JSONHas({text}, {key}), {at(key)}, {at(path)})"
