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
class LogPattern:
    """Lines that differ only in their variable parts, counted over a window."""

    pattern: str
    service: str
    level: str
    lines: int
    first_seen: float
    last_seen: float
    example: str
