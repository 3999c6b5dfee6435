"""Which log records of a batch fit a search: the conditions of `model/search.py` on columns in memory, before they are stored.

In: a condition and the columns of `store/logcolumns.py`. Out: a mask of the rows. It means what `store/logsearch.py` makes SQL
of, and a test holds the two against each other: a field that is no column is looked for in the attributes, in the resource,
and then in the line, as JSON or key=value. Times and pattern ids are not asked for: a pipeline takes a record whenever it comes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from aiprism.errors import BadInput
from aiprism.model.labels import compiled
from aiprism.model.search import All, Any, Between, Condition, Exists, Is, Like, Matches, Not
from aiprism.receive.redaction import column_of
from aiprism.store.conditionsql import SEPARATORS, escaped, expression_of, word_expression, words_expression
from aiprism.store.logsearch import LEVELS

Mask: TypeAlias = NDArray[np.bool_]

LINE = ("", "body", "message", "msg")

_COLUMNS = {
    "service": "service", "service.name": "service", "level": "level", "event_name": "event_name",
    "severity_text": "severity_text", "severity_number": "severity_number", "scope": "scope_name",
    "scope_name": "scope_name", "trace_id": "trace_id", "span_id": "span_id",
}  # fmt: skip
_NOT_YET = ("timestamp", "@timestamp", "ts", "time", "pattern_id")
_PLAIN = re.compile(r"-?[0-9]{1,30}(?:\.[0-9]+)?")  # what is a number also where it might be a name (1e5 might)
_NUMBER = re.compile(r"-?[0-9]{1,30}(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,3})?")


def askable(asked: Condition) -> None:
    """Return when records can be asked this before they are stored; BadInput names the field that is known only then."""
    match asked:
        case All(parts) | Any(parts):
            for part in parts:
                askable(part)
        case Not(part):
            askable(part)
        case Is("saved", name):
            raise BadInput(
                f"a saved search ({name!r}) cannot be asked of records on their way in; write out what it asks"
            )
        case _ if asked.field in _NOT_YET:
            raise BadInput(f"{asked.field!r} cannot be asked of records that are not stored yet; leave it out")


def fits(asked: Condition, rows: pa.Table) -> Mask:
    """Which of the rows fit."""
    match asked:
        case All(parts):
            found = np.ones(rows.num_rows, np.bool_)
            for part in parts:
                found &= fits(part, rows)
            return found
        case Any(parts):
            found = np.zeros(rows.num_rows, np.bool_)
            for part in parts:
                found |= fits(part, rows)
            return found
        case Not(part):
            return ~fits(part, rows)
        case Is(name, value) if name in LINE:
            has_words = any(SEPARATORS.split(value))
            return _line(rows, words_expression(value) if has_words else f"(?is){escaped(value)}")
        case Like(name, form) if name in LINE:
            return _line(rows, word_expression(form))
        case Matches(name, expression) if name in LINE:
            return _line(rows, f"(?s){expression}")
        case _:
            return _of_values(value_of(rows, asked.field), _test(asked))


def value_of(rows: pa.Table, name: str) -> pa.Array:
    """The value of a field of each row, as text; null where it is not there."""
    if name in LINE:
        return column_of(rows, "body")
    if name in _COLUMNS:
        return _column(rows, _COLUMNS[name])
    prefix, _, rest = name.partition(".")
    if rest and prefix == "attributes":
        return pa.array(_attribute(rows, rest), pa.string())
    if rest and prefix in ("resource", "scope"):
        return pa.array(_told(column_of(rows, f"{prefix}_json"), rest), pa.string())
    found = _attribute(rows, name)
    said = _told(column_of(rows, "resource_json"), name)
    found = [one if one is not None else other for one, other in zip(found, said, strict=True)]
    lines = column_of(rows, "body")
    for row in [row for row, value in enumerate(found) if value is None]:
        found[row] = _in_line(lines[row].as_py(), name)
    return pa.array(found, pa.string())


# -- the line ----------------------------------------------------------------------------------------------------------


def _line(rows: pa.Table, expression: str) -> Mask:
    found = pc.match_substring_regex(column_of(rows, "body"), expression)
    return np.asarray(found.to_numpy(zero_copy_only=False), np.bool_)


def _in_line(line: str, name: str) -> str | None:
    """A field of a line that is JSON or key=value."""
    if line.startswith("{"):
        try:
            document = orjson.loads(line)
        except orjson.JSONDecodeError:
            return None
        return _at(document, name)
    if f"{name}=" not in line:
        return None
    return next((value for key, value in pairs_of(line) if key == name and value), None)


def _at(document: object, name: str) -> str | None:
    if isinstance(document, dict) and name in document:
        return _text(document[name])
    for part in name.split("."):
        if not isinstance(document, dict) or part not in document:
            return None
        document = document[part]
    return _text(document)


def _text(value: object) -> str | None:
    try:
        return value if isinstance(value, str) else orjson.dumps(value).decode()
    except orjson.JSONEncodeError:  # it reads deeper than it writes; nobody looks for a text like that
        return None


# A name begins where its word does, and none is given back: trying each letter of a megabyte without a = would take hours.
_PAIR = re.compile(r"""(?<![^\s=,;"'])([^\s=,;"']++)=(?:"((?:[^"\\]|\\.)*+)"|([^\s,;"]*))""")


def pairs_of(line: str) -> Iterator[tuple[str, str]]:
    """The key=value pairs of a line (logfmt).

    >>> list(pairs_of('level=warn msg="two words" n=3'))
    [('level', 'warn'), ('msg', 'two words'), ('n', '3')]
    """
    for found in _PAIR.finditer(line):
        quoted = found[2]
        yield found[1], re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else found[3]


# -- fields ------------------------------------------------------------------------------------------------------------


def _column(rows: pa.Table, name: str) -> pa.Array:
    column = column_of(rows, name)
    if name in ("trace_id", "span_id"):
        texts = [value.hex() if any(value) else "" for value in column.to_pylist()]
        return pa.array(texts, pa.string())
    return column.cast(pa.string())


def _attribute(rows: pa.Table, name: str) -> list[str | None]:
    maps = column_of(rows, "attributes")
    found: list[str | None] = [None] * rows.num_rows
    offsets = np.array(maps.offsets)
    first, last = int(offsets[0]), int(offsets[-1])
    keys, values = maps.keys[first:last], maps.items[first:last]
    code = keys.dictionary.to_pylist().index(name) if name in keys.dictionary.to_pylist() else -1
    places = np.flatnonzero(keys.indices.to_numpy(zero_copy_only=False) == code)
    owners = np.searchsorted(offsets - first, places, side="right") - 1
    for row, value in zip(owners.tolist(), values.take(pa.array(places)).to_pylist(), strict=True):
        found[row] = value
    return found


def _told(column: pa.DictionaryArray, name: str) -> list[str | None]:
    distinct = [_member(text, name) for text in column.dictionary.to_pylist()]
    return [distinct[code] for code in column.indices.to_pylist()]


@lru_cache(maxsize=4096)
def _member(text: str, name: str) -> str | None:
    found: str | None = json.loads(text).get(name) if text else None
    return found


def _of_values(values: pa.Array, test: Callable[[str], bool]) -> Mask:
    """The rows whose value passes: each different value is tested once."""
    coded = values.dictionary_encode()
    passed = np.array([test(value) for value in coded.dictionary.to_pylist()] + [False], np.bool_)
    codes = coded.indices.fill_null(len(passed) - 1).to_numpy(zero_copy_only=False)
    found: Mask = passed[codes]
    return found


def _test(asked: Condition) -> Callable[[str], bool]:
    match asked:
        case Exists(name):
            return bool if name in LINE or name in _COLUMNS else lambda value: True
        case Is("level", value):
            return lambda said: said == value.upper()
        case Is("trace_id" | "span_id", value):
            return lambda said: said == value.lower() != ""
        case Is(name, value):
            is_number = name not in _COLUMNS and _PLAIN.fullmatch(value) is not None
            return lambda said: said == value or (is_number and _equal(said, value))
        case Like(_, form):
            whole = compiled(f"(?s)^{expression_of(form, '.')}$")
            return lambda said: whole.search(said) is not None
        case Matches(_, expression):
            part = compiled(expression)
            return lambda said: part.search(said) is not None
        case Between():
            return _between(asked)
    raise AssertionError(asked)  # the others are no questions about one field


def _between(asked: Between) -> Callable[[str], bool]:
    bounds = [bound for bound in (asked.low, asked.high) if bound is not None]
    key: Callable[[str], float | str | None] = str
    if asked.field == "level":
        key = _rank
    elif all(map(_NUMBER.fullmatch, bounds)):
        key = _number
    low, high = (key(bound) if bound is not None else None for bound in (asked.low, asked.high))

    def test(said: str) -> bool:
        value = key(said)
        if value is None:
            return False
        above = low is None or value > low or (asked.with_low and value == low)  # type: ignore[operator]
        below = high is None or value < high or (asked.with_high and value == high)  # type: ignore[operator]
        return above and below

    return test


def _rank(level: str) -> int | None:
    return LEVELS.index(level.upper()) if level.upper() in LEVELS else None


def _equal(one: str, other: str) -> bool:
    first, second = _number(one), _number(other)
    return first is not None and first == second


def _number(text: str) -> float | None:
    """As a number: whole ones to the last digit."""
    if not _NUMBER.fullmatch(text):
        return None
    return int(text) if text.lstrip("-").isdigit() else float(text)
