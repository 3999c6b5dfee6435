"""The steps that log records go through before they are stored: some are dropped, others parsed, renamed, redacted.

In: the columns of a batch (`store/logcolumns.py`). Out: the columns of those that are left, and what each step did to which
record (`Run`). A step looks at the records that fit its `match` as they are after the steps before it. One that cannot do to a
record what it should (no JSON to parse, too many attributes) leaves it as it was; that is counted, too. The file that says
the steps is read by `pipelinefile.py`.

Conditions and drops work on whole columns; what changes records does so one by one, and only those it is for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Protocol, TypeAlias

import numpy as np
import orjson
import pyarrow as pa
import structlog
from numpy.typing import NDArray

from aiprism.errors import BadInput
from aiprism.model.search import ANYTHING, Condition
from aiprism.receive.items import ANYTHING as ANY_BOUNDS
from aiprism.receive.items import Bounds, time_fault
from aiprism.receive.loglines import Severity, Value, flattened, nanoseconds, severity
from aiprism.receive.logmatch import fits, pairs_of
from aiprism.receive.redaction import MOST, Redaction, column_of, with_column

log = structlog.get_logger()

Rows: TypeAlias = NDArray[np.int64]

LEVEL_NAMES = ("", "TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")
BODY, LEVEL = "body", "level"


class Outcome(Enum):
    """What a step did to a record it was for."""

    CHANGED = "changed"
    UNCHANGED = "unchanged"
    DROPPED = "dropped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Record:
    """What of a record a step may change. `attributes`: name → (value as text, letter of its kind)."""

    body: str
    attributes: Mapping[str, tuple[str, str]]
    ts_ns: int
    level: Severity


class CannotDo(Exception):
    """Why a step leaves a record as it is, in a word or two."""


class Action(Protocol):
    """What a step does to one record."""

    def __call__(self, record: Record) -> Record:
        """The record afterwards; CannotDo when it is to stay as it was."""
        ...


@dataclass(frozen=True, slots=True)
class Step:
    """What is done (None: they are dropped) to records that fit `match`."""

    name: str
    match: Condition = ANYTHING
    action: Action | None = None
    said: Mapping[str, Any] = field(default_factory=dict)  # as the file has it, for people


@dataclass(frozen=True, slots=True)
class Done:
    """What one step did to which of the records that were given to the pipeline, by their numbers."""

    step: Step
    outcome: Outcome
    rows: Rows
    why: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """What is left of the records, their numbers among those that were given, and what was done."""

    rows: pa.Table
    numbers: Rows
    done: Sequence[Done]


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Steps, one after the other. No record may have more than `most_attributes`."""

    steps: Sequence[Step] = ()
    most_attributes: int = 1024

    def run(self, rows: pa.Table, within: Bounds = ANY_BOUNDS) -> Run:
        """Take `rows` through all steps; none of them gets a time out of bounds."""
        numbers, done = np.arange(rows.num_rows), list[Done]()
        for step in self.steps:
            if not len(numbers):
                break
            places = np.flatnonzero(fits(step.match, rows))
            if not len(places):
                continue
            if step.action is None:
                done.append(Done(step, Outcome.DROPPED, numbers[places]))
                kept = np.ones(len(numbers), np.bool_)
                kept[places] = False
                rows, numbers = rows.filter(pa.array(kept)), numbers[kept]
                continue
            rows, outcomes = self._changed(step.action, rows, places, within)
            for outcome, why, some in outcomes:
                done.append(Done(step, outcome, numbers[some], why))
        return Run(rows, numbers, done)

    def _changed(
        self, action: Action, rows: pa.Table, places: Rows, within: Bounds
    ) -> tuple[pa.Table, list[tuple[Outcome, str, Rows]]]:
        changed, failed = dict[int, Record](), dict[str, list[int]]()
        for place, record in zip(places.tolist(), records_of(rows.take(pa.array(places))), strict=True):
            try:
                after = action(record)
                if len(after.attributes) > self.most_attributes:
                    raise CannotDo(f"more than {self.most_attributes} attributes")
                # The door asked this of the time that came; a day of its own is a partition of its own in the store.
                if after.ts_ns != record.ts_ns and (fault := time_fault("log record", after.ts_ns, within)):
                    raise CannotDo(fault.message)
            except (CannotDo, BadInput) as why:
                failed.setdefault(str(why), []).append(place)
            except Exception as error:  # the rim: a batch that cannot be treated would be sent again for ever
                # Not its words: they may repeat what the record holds.
                log.warning("pipeline.step_failed", error=type(error).__name__)
                failed.setdefault(type(error).__name__, []).append(place)
            else:
                if after != record:
                    changed[place] = after
        quiet = set(places.tolist()) - changed.keys() - {place for some in failed.values() for place in some}
        outcomes = [(Outcome.CHANGED, "", sorted(changed)), (Outcome.UNCHANGED, "", sorted(quiet))]
        outcomes += [(Outcome.FAILED, why, some) for why, some in failed.items()]
        told = [(outcome, why, np.array(some, np.int64)) for outcome, why, some in outcomes if some]
        return with_records(rows, changed), told


# -- actions -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rename:
    """Attributes get other names, all at once; one that has the new name already is replaced."""

    names: Mapping[str, str]

    def __call__(self, record: Record) -> Record:
        """As `Action`."""
        attributes = dict(record.attributes)
        moved = {new: attributes.pop(old) for old, new in self.names.items() if old in attributes}
        return replace(record, attributes={**attributes, **moved})


@dataclass(frozen=True, slots=True)
class Set:
    """Attributes get values; `level` sets the level, `body` the line."""

    values: Mapping[str, str]

    def __call__(self, record: Record) -> Record:
        """As `Action`."""
        attributes = dict(record.attributes)
        for name, value in self.values.items():
            if name == LEVEL:
                record = replace(record, level=severity(value))
            elif name == BODY:
                record = replace(record, body=value)
            else:
                attributes[name] = (value, "s")
        return replace(record, attributes=attributes)


@dataclass(frozen=True, slots=True)
class Remove:
    """Attributes go; a name that ends in * means all that begin so."""

    names: Sequence[str]

    def __call__(self, record: Record) -> Record:
        """As `Action`."""
        kept = {
            key: said for key, said in record.attributes.items() if not any(_named(key, each) for each in self.names)
        }
        return replace(record, attributes=kept)


def _named(key: str, name: str) -> bool:
    return key.startswith(name[:-1]) if name.endswith("*") else key == name


@dataclass(frozen=True, slots=True)
class Redact:
    """What a regular expression (RE2) matches in the body and in attributes is replaced, and secrets of some kinds."""

    expression: Any = None  # of re2
    instead: str = "[redacted]"
    kinds: Redaction | None = None
    fields: Sequence[str] = ()  # the body and all attributes when there are none

    def __call__(self, record: Record) -> Record:
        """As `Action`."""
        body = self._text(record.body) if not self.fields or BODY in self.fields else record.body
        attributes = {
            key: self._value(value, letter) if not self.fields or key in self.fields else (value, letter)
            for key, (value, letter) in record.attributes.items()
        }
        return replace(record, body=body, attributes=attributes)

    def _text(self, text: str) -> str:
        if self.expression is not None:
            text, many = self.expression.subn(lambda _: self.instead, text, MOST + 1)
            text = self.instead if many > MOST else text
        return self.kinds.text(text)[0] if self.kinds else text

    def _value(self, value: str, letter: str) -> tuple[str, str]:
        text = self._text(value)
        return (value, letter) if text == value else (text, letter if letter in "am" else "s")


@dataclass(frozen=True, slots=True)
class Parse:
    """What a text holds becomes attributes: `read` gives fields by name, or raises CannotDo.

    `field` is the text (the body, or an attribute); `level`, `time` and `body` name fields that become those of the record.
    """

    read: Any  # Callable[[str], Mapping[str, Value]]
    field: str = BODY
    prefix: str = ""
    level: str = ""
    time: str = ""
    body: str = ""

    def __call__(self, record: Record) -> Record:
        """As `Action`."""
        text = record.body if self.field == BODY else record.attributes.get(self.field, ("", ""))[0]
        found: dict[str, Value] = dict(self.read(text))
        if self.level and (said := found.get(self.level)) is not None and (level := severity(said)).number:
            record = replace(record, level=level)
            del found[self.level]
        if self.time and (moment := nanoseconds(found.get(self.time))) is not None:
            record = replace(record, ts_ns=moment)
            del found[self.time]
        if self.body and isinstance(line := found.get(self.body), str):
            record = replace(record, body=line)
            del found[self.body]
        named = {f"{self.prefix}{key}": _attribute(value) for key, value in found.items()}
        return replace(record, attributes={**record.attributes, **named})


def json_fields(text: str) -> Mapping[str, Value]:
    """The fields of a JSON object, with dotted names for what is nested."""
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise CannotDo("no JSON") from None
    if not isinstance(document, dict):
        raise CannotDo("no JSON object")
    return flattened(document)


def logfmt_fields(text: str) -> Mapping[str, Value]:
    """The key=value pairs of a line."""
    found = dict(pairs_of(text))
    if not found:
        raise CannotDo("no key=value")
    return found


@dataclass(frozen=True, slots=True)
class RegexFields:
    """The named groups of a regular expression (RE2) where it first matches."""

    expression: Any

    def __call__(self, text: str) -> Mapping[str, Value]:
        """The fields of `text`."""
        found = self.expression.search(text)
        if found is None:
            raise CannotDo("no match")
        return {name: value for name, value in found.groupdict().items() if value is not None}


def _attribute(value: Value) -> tuple[str, str]:
    if isinstance(value, bool):
        return ("true" if value else "false"), "b"
    if isinstance(value, str):
        return value, "s"
    if isinstance(value, int):
        return str(value), "i" if -(2**63) <= value < 2**63 else "s"
    return (f"{value:.0f}" if value.is_integer() and abs(value) < 1e17 else repr(value)), "d"


# -- records and columns -----------------------------------------------------------------------------------------------


def records_of(rows: pa.Table) -> Iterator[Record]:
    """The rows as records."""
    letters = column_of(rows, "attribute_kinds").to_pylist()
    times = column_of(rows, "ts").cast(pa.int64()).to_pylist()
    levels = zip(
        column_of(rows, "severity_number").to_pylist(), column_of(rows, "severity_text").to_pylist(), strict=True
    )
    for body, pairs, kinds, ts_ns, (number, text) in zip(
        column_of(rows, "body").to_pylist(),
        column_of(rows, "attributes").to_pylist(),
        letters,
        times,
        levels,
        strict=True,
    ):
        attributes = {key: (value, kind) for (key, value), kind in zip(pairs, kinds, strict=True)}
        yield Record(body, attributes, ts_ns, Severity(number, text))


def with_records(rows: pa.Table, changed: Mapping[int, Record]) -> pa.Table:
    """The rows with other records at some places."""
    if not changed:
        return rows
    order = np.arange(rows.num_rows)
    order[list(changed)] = rows.num_rows + np.arange(len(changed))
    before, others = rows.take(pa.array(list(changed))), list(changed.values())
    letters = ["".join(kind for _, kind in each.attributes.values()) for each in others]
    pairs = [[(key, value) for key, (value, _) in each.attributes.items()] for each in others]
    times = np.array([each.ts_ns for each in others], np.int64)
    levels = _levels_of(others, before)
    timed = (times != column_of(before, "ts").cast(pa.int64()).to_numpy()) | column_of(before, "timed").to_numpy(False)
    # A text now, if it was another kind of value: what a step wrote is one.
    bodies = column_of(before, BODY).to_pylist()
    kinds = column_of(before, "body_kind").to_pylist()
    columns = {
        "ts": pa.array(times, pa.timestamp("ns")),
        "timed": pa.array(timed),
        "body": pa.array([each.body for each in others], pa.string()),
        "body_kind": pa.array(
            [kind if each.body == old else 1 for each, old, kind in zip(others, bodies, kinds, strict=True)],
            column_of(rows, "body_kind").type,
        ),
        "severity_number": pa.array([each.level.number for each in others], pa.uint8()),
        "severity_text": _coded([each.level.text for each in others]),
        "level": _coded(levels),
        "attribute_kinds": _coded(letters),
        "attributes": _maps(pairs),
    }
    for name, column in columns.items():
        both = pa.concat_arrays([column_of(rows, name), column])
        rows = with_column(rows, name, both.take(pa.array(order)))
    return rows


def _levels_of(records: Sequence[Record], before: pa.Table) -> list[str]:
    """The level by its number; without one it is as it was, by the sender's word."""
    was = column_of(before, LEVEL).to_pylist()
    return [
        LEVEL_NAMES[min((each.level.number + 3) // 4, 6)] if each.level.number else old
        for each, old in zip(records, was, strict=True)
    ]


def _coded(texts: Sequence[str]) -> pa.Array:
    return pa.array(texts, pa.string()).dictionary_encode()


def _maps(rows: Sequence[Sequence[tuple[str, str]]]) -> pa.Array:
    offsets = np.concatenate(([0], np.cumsum([len(pairs) for pairs in rows]))).astype(np.int32)
    keys = _coded([key for pairs in rows for key, _ in pairs])
    return pa.MapArray.from_arrays(
        pa.array(offsets), keys, pa.array([value for pairs in rows for _, value in pairs], pa.string())
    )


def tally(done: Sequence[Done]) -> Mapping[tuple[str, Outcome], int]:
    """How many records each step did what to."""
    counts = Counter[tuple[str, Outcome]]()
    for each in done:
        counts[each.step.name, each.outcome] += len(each.rows)
    return counts
