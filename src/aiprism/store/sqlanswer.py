"""Answers to SQL that somebody wrote: read-only, of telemetry alone, within limits.

In: text, a range of time, limits. Out: columns and rows as JSON takes them; BadInput that says what is wrong, LimitExceeded
that names the limit. What may be asked is `sqlgate`'s, of which tables `sqlcatalogue`'s.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from typing import Any, TypeAlias

from aiprism.errors import BadInput, LimitExceeded, StoreError
from aiprism.store import sqlcatalogue
from aiprism.store.engine import Answered, Engine, quoted

Json: TypeAlias = Any

# What becomes a value of Python holds up every other thread meanwhile, ingestion's too: four million empty lists, which are few
# bytes in ClickHouse, had done so for nine seconds.
_ANSWER_BYTES = 16 * 2**20
_ANSWER_VALUES = 1_000_000  # lists and maps counted with what is in them
_ANSWER_CHARACTERS = 32 * 2**20  # a column of few distinct texts is small in ClickHouse, and writes each again
_RANGE_ELEMENTS = 1_000_000
# Nodes of a query once its names are replaced by what they stand for. Nothing ends that work: of WITHs that name each other twice
# the usual half million took 14 s and 400 MB.
_TREE_NODES = 20_000
_EXACT = 2**53  # integers of JavaScript end here
_DESCRIBE = re.compile(r"\s*(?:DESCRIBE|DESC)\s+(?:TABLE\s+)?(\w+)\s*;?\s*", re.IGNORECASE)
_SHOW = re.compile(r"\s*SHOW\s+TABLES\s*;?\s*", re.IGNORECASE)
_TYPE = re.compile(r"(\w+)\s*(\(.*\))?", re.DOTALL)
# Of ClickHouse's errors those that say a limit was met, and whose it is.
_LIMITS: Mapping[int, str] = {
    158: "query.sql_read_rows",
    241: "query.sql_memory_bytes",
    307: "query.sql_read_rows",
    396: f"{_ANSWER_BYTES} bytes of an answer",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """What one query may use: rows of its answer and of what it reads, bytes of memory."""

    rows: int
    read_rows: int
    memory: int


@dataclass(frozen=True, slots=True)
class Asked:
    """A question in SQL; times in Unix seconds are what `from`, `to` and `step` stand for in it."""

    text: str
    start: float
    end: float
    step: float


@dataclass(frozen=True, slots=True)
class Found:
    """An answer; `cut` when there was more, `sql` is what was executed."""

    names: Sequence[str]
    types: Sequence[str]
    rows: Sequence[Sequence[Json]]
    cut: bool
    sql: str
    seconds: float


def answer(engine: Engine, asked: Asked, limits: Limits, *, monotonic: Callable[[], float] = time.monotonic) -> Found:
    """What was asked. Raises BadInput when it may not be asked or cannot be answered, LimitExceeded when it needs too much."""
    if _SHOW.fullmatch(asked.text):
        return _tables(engine)
    if described := _DESCRIBE.fullmatch(asked.text):
        return _columns(engine, described[1])
    began = monotonic()
    # 0.2 s and some 20 MB, which a server that is never asked in SQL need not spend.
    from aiprism.store import sqlgate

    statement = sqlgate.admitted(asked.text, database=engine.database, tables=sqlcatalogue.NAMES, values=_values(asked))
    sqlgate.confirm(statement, engine.database, _second_reading(engine, statement.sql))
    sql = f"EXPLAIN indexes = 1 {statement.sql}" if statement.explain else statement.sql
    given = _executed(engine, sql, limits)
    rows = _Wire().rows(given.rows[: limits.rows])
    return Found(given.names, given.types, rows, len(given.rows) > limits.rows, sql, monotonic() - began)


def _second_reading(engine: Engine, sql: str) -> list[str]:
    """How ClickHouse reads `sql`."""
    try:
        return engine.parsed(sql)
    except StoreError as error:
        raise BadInput(_plain(str(error))) from error


def _executed(engine: Engine, sql: str, limits: Limits) -> Answered:
    settings: dict[str, object] = {
        "limit": limits.rows + 1,  # of the whole answer, whatever LIMIT it has
        "max_memory_usage": limits.memory,
        "max_rows_to_read": limits.read_rows,
        "read_overflow_mode": "throw",  # half of the rows would be a wrong answer
        "max_result_bytes": _ANSWER_BYTES,
        "result_overflow_mode": "throw",
        "function_range_max_elements_in_block": _RANGE_ELEMENTS,
        "max_expanded_ast_elements": _TREE_NODES,
    }
    if not engine.embedded:
        settings["readonly"] = 2  # of this request; a connection of chDB would stay so
    try:
        return engine.answered(sql, settings)
    except StoreError as error:
        raise _refusal(error, limits) from error


def _refusal(error: StoreError, limits: Limits) -> BadInput | LimitExceeded:
    said = _plain(str(error))
    if error.code not in _LIMITS:
        return BadInput(said, details={"clickhouse": error.code})
    return LimitExceeded(
        f"{said}. Ask for less time, fewer columns or groups; the limit is {_LIMITS[error.code]}",
        details={"clickhouse": error.code, "rows": limits.read_rows, "bytes": limits.memory},
    )


def _plain(said: str) -> str:
    """ClickHouse's words without its numbers and the whole query."""
    text = re.sub(r"^.*?DB::Exception: ", "", said, flags=re.DOTALL)
    return (
        re.split(r":? In scope | \(version |\. \([A-Z_]+\)|: While processing ", text, maxsplit=1)[0]
        .strip()
        .rstrip(".")
    )


# -- values ----------------------------------------------------------------------------------------------------------------


def _values(asked: Asked) -> Mapping[str, Callable[[str], str]]:
    return {
        "from": partial(_moment, asked.start),
        "to": partial(_moment, asked.end),
        "step": lambda kind: str(max(1, round(asked.step))),
    }


def _moment(at: float, kind: str) -> str:
    """SQL: a time as a value of the type `kind` says."""
    found = _TYPE.fullmatch(kind)
    name = found[1].casefold() if found else ""
    text = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    if name == "datetime64":
        return f"toDateTime64({quoted(text)}, 3, 'UTC')"
    if name in ("datetime", "timestamp"):
        return f"toDateTime({quoted(text[:19])}, 'UTC')"
    if name == "date":
        return f"toDate({quoted(text[:10])})"
    if name in ("int64", "uint64", "bigint", "ubigint", "uint32", "uint"):
        return str(int(at))
    if name in ("float64", "double"):
        return f"{at:.3f}"
    raise BadInput(f"a time cannot be {kind}: write DateTime64, DateTime, Date, UInt64 or Float64")


class _Wire:
    """Values as JSON takes them without losing any: large integers and bytes as text, times in UTC. LimitExceeded where an answer
    becomes larger than anybody reads."""

    def __init__(self) -> None:
        self._values = self._characters = 0

    def rows(self, rows: Sequence[Sequence[Any]]) -> list[list[Json]]:
        """All of them."""
        return [[self._told(value) for value in row] for row in rows]

    def _told(self, value: Any) -> Json:
        self._values += 1
        told = self._plain(value)
        if isinstance(told, str):
            self._characters += len(told)
        if self._values > _ANSWER_VALUES or self._characters > _ANSWER_CHARACTERS:
            raise LimitExceeded(
                f"the answer has more than {_ANSWER_VALUES} values or {_ANSWER_CHARACTERS} characters. "
                "Ask for fewer rows or columns, or aggregate",
                details={"values": _ANSWER_VALUES, "characters": _ANSWER_CHARACTERS},
            )
        return told

    def _plain(self, value: Any) -> Json:
        match value:
            case None | bool() | str():
                return value
            case int():
                return value if -_EXACT <= value <= _EXACT else str(value)
            case float():
                return value if math.isfinite(value) else str(value)
            case bytes():
                return value.hex()
            case datetime():
                moment = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
                return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
            case date():
                return value.isoformat()
            case Decimal():
                return str(value)
            case dict():
                return {str(self._told(key)): self._told(each) for key, each in value.items()}
            case list() | tuple():
                return [self._told(each) for each in value]
            case _:
                return str(value)


# -- what there is ---------------------------------------------------------------------------------------------------------


def _tables(engine: Engine) -> Found:
    rows = [[each.name, each.about] for each in sqlcatalogue.tables(engine)]
    return Found(("table", "about"), ("String", "String"), rows, cut=False, sql="SHOW TABLES", seconds=0.0)


def _columns(engine: Engine, name: str) -> Found:
    for table in sqlcatalogue.tables(engine):
        if table.name == name:
            rows = [[each.name, each.type, each.about] for each in table.columns]
            names = ("column", "type", "about")
            return Found(names, ("String",) * 3, rows, cut=False, sql=f"DESCRIBE {name}", seconds=0.0)
    raise BadInput(f"there is no table {name!r} to read; tables: {', '.join(sqlcatalogue.NAMES)}")
