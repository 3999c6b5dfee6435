"""Plain NDJSON: one JSON object a line is one log record, whatever its fields are called (fields.py knows the names).

In: lines. Out: `Accepted`, and which lines were not taken and why. What our own export writes comes back whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import orjson

from aiprism.errors import BadInput
from aiprism.receive import fields
from aiprism.receive.items import Bounds
from aiprism.receive.loglines import LogLines
from aiprism.receive.otlp import Accepted

# An answer names this many bad lines; the others are in its count.
MAX_FAULTS = 100


@dataclass(frozen=True, slots=True)
class LineFault:
    """Line `line` (from 1) was not stored, because of `reason`."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class AcceptedLines(Accepted):
    """`Accepted` with the first faults; `rejected` counts all of them."""

    faults: tuple[LineFault, ...] = ()


def records(body: bytes, now_ns: int, *, service: str = "", within: Bounds | None = None) -> AcceptedLines:
    """The records of `body`. `service` names the sender of those that name none. Blank lines are no records.

    Raises BadInput when not one line is a record.
    """
    lines, faults, rejected = LogLines(now_ns, within), list[LineFault](), 0
    for number, line in _numbered(body):
        try:
            lines.add(*fields.record_of(_object(line), service=service))
        except BadInput as fault:
            rejected += 1
            if len(faults) < MAX_FAULTS:
                faults.append(LineFault(number, str(fault)))
    reason = f"line {faults[0].line}: {faults[0].reason}" if faults else ""
    if rejected and not lines.count:
        raise BadInput(f"no line of the body is a record; {reason}")
    accepted = lines.accepted(rejected, reason)
    return AcceptedLines(
        accepted.body,
        accepted.items,
        rejected,
        reason,
        tuple(faults),
        causes=accepted.causes,
        is_bounded=accepted.is_bounded,
    )


def _numbered(body: bytes) -> Iterator[tuple[int, bytes]]:
    for number, line in enumerate(body.split(b"\n"), start=1):
        if line.strip():
            yield number, line


def _object(line: bytes) -> dict[str, object]:
    try:
        document = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise BadInput(f"not JSON: {error}") from None
    if not isinstance(document, dict):
        raise BadInput(f"not an object but {type(document).__name__}")
    return document
