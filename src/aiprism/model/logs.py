"""Log records as the store gives them back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One stored record. `ts_ns` is Unix nanoseconds, ids are hex (empty when the record has none).

    `body_kind` says what the body was: string, bool, int, double, bytes, none, or array and map, whose body is JSON.
    """

    ts_ns: int
    service: str
    level: str
    body: str
    trace_id: str
    span_id: str
    attributes: Mapping[str, str]
    resource: Mapping[str, str]
    body_kind: str = "string"


@dataclass(frozen=True, slots=True)
class PatternCount:
    """Lines that differ only in their variable parts, of one service and level, counted over a window in whole minutes.

    `counts` are (number of the step of the window, lines) of the steps that have any.
    """

    pattern_id: int
    pattern: str
    service: str
    level: str
    lines: int
    first_seen: int  # the minutes, in Unix seconds
    last_seen: int
    example: str
    counts: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class PatternLine:
    """A line of a pattern. `ts_ns` is Unix nanoseconds, `trace_id` hex or empty."""

    pattern_id: int
    ts_ns: int
    service: str
    level: str
    body: str
    trace_id: str
