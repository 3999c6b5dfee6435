"""Spans and what is told about services, as the store gives them back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SpanEvent:
    """Something that happened within a span; `ts_ns` is Unix nanoseconds."""

    ts_ns: int
    name: str
    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Span:
    """One stored span. Ids are hex; `parent_span_id` is empty for a root; times are nanoseconds."""

    trace_id: str
    span_id: str
    parent_span_id: str
    service: str
    name: str
    kind: str
    start_ns: int
    duration_ns: int
    status: str
    status_message: str
    attributes: Mapping[str, str]
    resource: Mapping[str, str]
    events: tuple[SpanEvent, ...]


@dataclass(frozen=True, slots=True)
class TraceSummary:
    """One trace as a search lists it; without a root service its root was not stored, or not yet."""

    trace_id: str
    root_service: str
    root_name: str
    start_ns: int
    duration_ns: int
    spans: int
    errors: int
    services: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ServiceHealth:
    """How a service did in a window: requests per second, share of failed ones, latency in milliseconds."""

    service: str
    rate: float
    error_share: float
    p50_ms: float
    p95_ms: float
    last_seen: float


@dataclass(frozen=True, slots=True)
class ServiceEdge:
    """Calls of one service to another (or to what sends no spans: `virtual`), from `start` (Unix seconds) on for one step.

    `connection` is request, database or messaging; `system` what the caller says the callee is, as `postgresql`. The
    durations are what the caller waited where that is known, else what the callee took.
    """

    start: int
    caller: str
    callee: str
    connection: str
    virtual: bool
    system: str
    calls: int
    errors: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
