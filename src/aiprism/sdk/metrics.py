"""The plan's metric families as typed functions: `metrics.documents_processed(document_type=…, …)`.

`FAMILIES` is the one list of names, labels and buckets. Values go to OpenTelemetry instruments of exactly those names;
inside a sampled span a histogram keeps the trace id as exemplar. Without `instrument` they go to whatever meter provider
the application set up, or nowhere. Active users are counted from a Redis session store (`ActiveUsers`).
"""

from __future__ import annotations

import enum
import logging
import threading
import time
from collections import Counter, deque
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

from opentelemetry import metrics as otel
from opentelemetry.context import Context, get_current

log = logging.getLogger("aiprism.sdk")


class Kind(enum.Enum):
    """How the values of a family add up."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


# Beyond this many unsettled values the next one is recorded where it is observed.
MOST_OBSERVED = 20_000
_HTTP_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_ANALYSIS_SECONDS = (1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
_SCORES = (0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0)


@dataclass(frozen=True, slots=True)
class Family:
    """One metric family. `unit` is set only where the name ends in it, so that no translation appends it again."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...]
    buckets: tuple[float, ...] = ()
    unit: str = ""


def _families(*families: Family) -> Mapping[str, Family]:
    return {family.name: family for family in families}


# The plan declares `ai_prism_active_users` twice with different labels: this is the union. It names a counter
# `ai_prism_ai_model_cost_usd`: counters end in `_total`.
FAMILIES = _families(
    Family(
        "ai_prism_documents_processed_total",
        Kind.COUNTER,
        "Total documents processed",
        ("document_type", "processing_status", "user_type"),
    ),
    Family(
        "ai_prism_ai_analysis_duration_seconds",
        Kind.HISTOGRAM,
        "AI analysis processing time",
        ("model_name", "section_type", "complexity"),
        _ANALYSIS_SECONDS,
        "s",
    ),
    Family(
        "ai_prism_user_satisfaction_score",
        Kind.HISTOGRAM,
        "User satisfaction with AI analysis",
        ("feedback_type", "user_segment"),
        _SCORES,
    ),
    Family(
        "ai_prism_active_users",
        Kind.GAUGE,
        "Current number of active users",
        ("user_type", "organization", "time_window"),
    ),
    Family(
        "ai_prism_http_requests_total",
        Kind.COUNTER,
        "Total HTTP requests",
        ("method", "endpoint", "status_code", "user_tier"),
    ),
    Family(
        "ai_prism_http_request_duration_seconds",
        Kind.HISTOGRAM,
        "HTTP request duration",
        ("method", "endpoint", "status_code"),
        _HTTP_SECONDS,
        "s",
    ),
    Family("ai_prism_business_kpi", Kind.GAUGE, "Business KPI metrics", ("kpi_name", "organization", "time_period")),
    Family(
        "ai_prism_ai_model_requests_total",
        Kind.COUNTER,
        "Total AI model requests",
        ("model_name", "request_type", "status"),
    ),
    Family(
        "ai_prism_ai_model_latency_seconds",
        Kind.HISTOGRAM,
        "AI model response latency",
        ("model_name", "complexity"),
        (*_ANALYSIS_SECONDS, 600.0),
        "s",
    ),
    Family("ai_prism_ai_model_cost_usd_total", Kind.COUNTER, "AI model usage cost", ("model_name", "organization")),
    Family(
        "ai_prism_analysis_quality_score",
        Kind.HISTOGRAM,
        "Analysis quality score from user feedback",
        ("section_type", "model_name"),
        _SCORES,
    ),
    Family("ai_prism_user_engagement_score", Kind.GAUGE, "User engagement score", ("organization", "time_period")),
    Family(
        "ai_prism_system_health",
        Kind.GAUGE,
        "System health status (1=healthy, 0=unhealthy)",
        ("component", "check_type"),
    ),
    Family(
        "ai_prism_resource_utilization_percent",
        Kind.GAUGE,
        "Resource utilization percentage",
        ("resource_type", "service_name"),
        unit="%",
    ),
    Family("ai_prism_document_queue_size", Kind.GAUGE, "Documents waiting for processing", ()),
    Family("ai_prism_database_connections_failed_total", Kind.COUNTER, "Failed database connections", ("database",)),
    Family("ai_prism_deployment_timestamp", Kind.GAUGE, "Unix time of the last deployment", ("service", "version")),
)


def documents_processed(
    *, document_type: str, processing_status: str, user_type: str = "standard", count: int = 1
) -> None:
    """Count documents whose processing ended as `processing_status`."""
    _add(
        "ai_prism_documents_processed_total",
        count,
        {"document_type": document_type, "processing_status": processing_status, "user_type": user_type},
    )


def ai_analysis_duration(seconds: float, *, model_name: str, section_type: str, complexity: str) -> None:
    """Record how long the analysis of one section took."""
    _record(
        "ai_prism_ai_analysis_duration_seconds",
        seconds,
        {"model_name": model_name, "section_type": section_type, "complexity": complexity},
    )


def user_satisfaction_score(score: float, *, feedback_type: str, user_segment: str = "general") -> None:
    """Record a user's satisfaction, 0 to 1."""
    _record("ai_prism_user_satisfaction_score", score, {"feedback_type": feedback_type, "user_segment": user_segment})


def active_users(count: float, *, user_type: str, organization: str, time_window: str = "current") -> None:
    """Set how many users are active; `ActiveUsers` does it from the session store."""
    _set(
        "ai_prism_active_users",
        count,
        {"user_type": user_type, "organization": organization, "time_window": time_window},
    )


def http_requests(
    *, method: str, endpoint: str, status_code: str | int, user_tier: str = "standard", count: int = 1
) -> None:
    """Count served requests; `endpoint` normalised. The server hook does it for the application it is given."""
    _add(
        "ai_prism_http_requests_total",
        count,
        {"method": method, "endpoint": endpoint, "status_code": str(status_code), "user_tier": user_tier},
    )


def http_request_duration(seconds: float, *, method: str, endpoint: str, status_code: str | int) -> None:
    """Record how long a request took."""
    _record(
        "ai_prism_http_request_duration_seconds",
        seconds,
        {"method": method, "endpoint": endpoint, "status_code": str(status_code)},
    )


def business_kpi(value: float, *, kpi_name: str, organization: str = "all", time_period: str = "current") -> None:
    """Set a business figure."""
    _set(
        "ai_prism_business_kpi",
        value,
        {"kpi_name": kpi_name, "organization": organization, "time_period": time_period},
    )


def ai_model_requests(*, model_name: str, request_type: str, status: str, count: int = 1) -> None:
    """Count calls of a model by outcome."""
    _add(
        "ai_prism_ai_model_requests_total",
        count,
        {"model_name": model_name, "request_type": request_type, "status": status},
    )


def ai_model_latency(seconds: float, *, model_name: str, complexity: str) -> None:
    """Record how long a model took to answer."""
    _record("ai_prism_ai_model_latency_seconds", seconds, {"model_name": model_name, "complexity": complexity})


def ai_model_cost(usd: float, *, model_name: str, organization: str) -> None:
    """Add US dollars spent on a model."""
    _add("ai_prism_ai_model_cost_usd_total", usd, {"model_name": model_name, "organization": organization})


def analysis_quality_score(score: float, *, section_type: str, model_name: str) -> None:
    """Record the quality of an analysis as users judged it, 0 to 1."""
    _record("ai_prism_analysis_quality_score", score, {"section_type": section_type, "model_name": model_name})


def user_engagement_score(score: float, *, organization: str, time_period: str = "daily") -> None:
    """Set the engagement of an organisation's users."""
    _set("ai_prism_user_engagement_score", score, {"organization": organization, "time_period": time_period})


def system_health(healthy: bool, *, component: str, check_type: str) -> None:
    """Set whether a component passed its check."""
    _set("ai_prism_system_health", 1.0 if healthy else 0.0, {"component": component, "check_type": check_type})


def resource_utilization(percent: float, *, resource_type: str, service_name: str) -> None:
    """Set how much of a resource is used, 0 to 100."""
    _set(
        "ai_prism_resource_utilization_percent",
        percent,
        {"resource_type": resource_type, "service_name": service_name},
    )


def document_queue_size(documents: float) -> None:
    """Set how many documents wait for processing."""
    _set("ai_prism_document_queue_size", documents, {})


def database_connections_failed(*, database: str, count: int = 1) -> None:
    """Count connections that could not be made."""
    _add("ai_prism_database_connections_failed_total", count, {"database": database})


def deployment(*, service: str, version: str, timestamp: float | None = None) -> None:
    """Record that `version` of `service` was deployed, now or at `timestamp` (Unix seconds)."""
    when = time.time() if timestamp is None else timestamp
    _set("ai_prism_deployment_timestamp", when, {"service": service, "version": version})


def business_metrics(
    *,
    engagement: Mapping[str, float],
    documents_processed_24h: float,
    ai_accuracy: Mapping[str, float],
    cost_per_document: float,
) -> dict[str, object]:
    """Set the plan's business figures in one go and return them as its report: engagement by organisation, documents
    of the last 24 h, accuracy by model (0 to 1), US dollars per document.
    """
    report: dict[str, float] = {}
    for organization, score in engagement.items():
        user_engagement_score(score, organization=organization, time_period="daily")
        report[f"engagement_{organization}"] = score
    business_kpi(documents_processed_24h, kpi_name="documents_processed_24h", time_period="daily")
    report["processing_volume_24h"] = documents_processed_24h
    for model, accuracy in ai_accuracy.items():
        business_kpi(accuracy, kpi_name=f"ai_accuracy_{model}", time_period="weekly")
        report[f"ai_accuracy_{model}"] = accuracy
    business_kpi(cost_per_document, kpi_name="cost_per_document", time_period="daily")
    report["cost_per_document"] = cost_per_document
    return {"collection_timestamp": datetime.now(UTC).isoformat(), "metrics": report}


def exposition() -> str:
    """All metrics as Prometheus text; empty before `instrument`."""
    return _bound.exposition()


Session = Mapping[str, str]


class ActiveUsers:
    """Counts active users by user type, organisation and time window, and sets `ai_prism_active_users`.

    A session is a mapping with `user_type` (default standard), `organization` (unknown) and, when the application keeps
    them, `user_id` (two sessions of one user count once) and `last_seen` (Unix seconds). Window `current` takes every
    session there is; the others those seen within their seconds, and none that does not say when it was seen.
    """

    WINDOWS: Mapping[str, float | None] = {"current": None, "5m": 300.0, "1h": 3600.0, "24h": 86400.0}
    FIELDS = ("user_type", "organization", "user_id", "last_seen")

    def __init__(self, windows: Mapping[str, float | None] = WINDOWS) -> None:
        self._windows = dict(windows)
        self._shown: set[tuple[str, str, str]] = set()

    def record(self, sessions: Iterable[Session], now: float) -> None:
        """Set the gauges from `sessions`; a group that had users before and has none now is set to 0."""
        counts = self.tally(sessions, now)
        for user_type, organization, window in self._shown | counts.keys():
            active_users(
                counts[user_type, organization, window],
                user_type=user_type,
                organization=organization,
                time_window=window,
            )
        self._shown = set(counts)

    def tally(self, sessions: Iterable[Session], now: float) -> Counter[tuple[str, str, str]]:
        """Users by (user type, organisation, window)."""
        users: set[tuple[str, str, str, str]] = set()
        for number, session in enumerate(sessions):
            user_type = session.get("user_type") or "standard"
            organization = session.get("organization") or "unknown"
            user = session.get("user_id") or f"session {number}"
            for window, seconds in self._windows.items():
                if seconds is None or now - _seconds(session.get("last_seen")) <= seconds:
                    users.add((user_type, organization, window, user))
        return Counter((user_type, organization, window) for user_type, organization, window, _ in users)

    def refresh(self, client: RedisClient, *, now: float | None = None, match: str = "session:*") -> None:
        """Read the session hashes of a Redis store and `record` them. SCAN, never KEYS, so the store keeps answering."""
        sessions = [_session(self.FIELDS, client.hmget(key, self.FIELDS)) for key in client.scan_iter(match=match)]
        self.record([session for session in sessions if session], time.time() if now is None else now)

    async def refresh_async(
        self, client: AsyncRedisClient, *, now: float | None = None, match: str = "session:*"
    ) -> None:
        """`refresh` for a `redis.asyncio` client."""
        sessions = []
        async for key in client.scan_iter(match=match):
            sessions.append(_session(self.FIELDS, await client.hmget(key, self.FIELDS)))
        self.record([session for session in sessions if session], time.time() if now is None else now)


class RedisClient(Protocol):
    """What `refresh` needs of a `redis.Redis`."""

    def scan_iter(self, *, match: str) -> Iterable[bytes | str]: ...

    def hmget(self, name: bytes | str, keys: Iterable[str], /) -> Iterable[bytes | str | None]: ...


class AsyncRedisClient(Protocol):
    """What `refresh_async` needs of a `redis.asyncio.Redis`."""

    def scan_iter(self, *, match: str) -> AsyncIterable[bytes | str]: ...

    def hmget(self, name: bytes | str, keys: Iterable[str], /) -> Awaitable[Iterable[bytes | str | None]]: ...


def _session(fields: Iterable[str], values: Iterable[bytes | str | None]) -> dict[str, str]:
    texts = (value.decode("utf-8", "replace") if isinstance(value, bytes) else value for value in values)
    return {field: text for field, text in zip(fields, texts, strict=True) if text is not None}


def _seconds(text: str | None) -> float:
    try:
        return float(text or "-inf")
    except ValueError:
        return float("-inf")


def bind(meter: otel.Meter, exposition: Callable[[], str] = str) -> None:
    """Let every function of this module write to `meter`, and `exposition` return what the given one does."""
    _bound.instruments, _bound.exposition = _Instruments(meter), exposition


class _Tally:
    """The running totals of one counter, handed to OpenTelemetry when it collects.

    A synchronous OpenTelemetry counter costs 20 to 45 µs per `add`; this one costs 1, and requests are counted in it.
    """

    def __init__(self, labels: tuple[str, ...]) -> None:
        self._labels = labels
        self._totals: dict[tuple[str, ...], float] = {}
        # RLock: a signal handler that counts may come back in the same thread.
        self._lock = threading.RLock()

    def add(self, value: float, labels: Mapping[str, str]) -> None:
        """Count `value` more; what a counter cannot take (negative, not a number) is left out, as OpenTelemetry does."""
        if not value >= 0:
            log.warning("a counter cannot grow by %r; labels: %s", value, dict(labels))
            return
        key = tuple(map(labels.__getitem__, self._labels))
        with self._lock:
            self._totals[key] = self._totals.get(key, 0) + value

    def observe(self, _: otel.CallbackOptions) -> Iterable[otel.Observation]:
        """The totals, for the collector."""
        settle()
        with self._lock:
            totals = list(self._totals.items())
        return [otel.Observation(total, dict(zip(self._labels, key, strict=True))) for key, total in totals]


def settle() -> None:
    """Hand the histogram values observed so far to OpenTelemetry.

    Recording one takes 20 to 100 µs, which the work that is being measured should not wait for: the thread that sends
    spans does it every second, and every collection does it first.
    """
    while _bound.observed:
        try:
            observed = _bound.observed.popleft()
        except IndexError:
            return  # another thread settles too
        observed.histogram.record(observed.value, observed.labels, observed.context)


def forget_observed() -> None:
    """Drop what a forked child has inherited: the parent records it."""
    _bound.observed.clear()


class _Instruments:
    """The instruments of every family on one meter."""

    def __init__(self, meter: otel.Meter) -> None:
        of = {kind: [family for family in FAMILIES.values() if family.kind is kind] for kind in Kind}
        self.counters = {family.name: _Tally(family.labels) for family in of[Kind.COUNTER]}
        for f in of[Kind.COUNTER]:
            meter.create_observable_counter(f.name, [self.counters[f.name].observe], f.unit, f.help)
        self.gauges = {f.name: meter.create_gauge(f.name, f.unit, f.help) for f in of[Kind.GAUGE]}
        self.histograms = {
            f.name: meter.create_histogram(f.name, f.unit, f.help, explicit_bucket_boundaries_advisory=f.buckets)
            for f in of[Kind.HISTOGRAM]
        }


class _Observed(NamedTuple):
    """One histogram value that has yet to reach its instrument, with the context that makes it an exemplar."""

    histogram: otel.Histogram
    value: float
    labels: Mapping[str, str]
    context: Context


class _Bound:
    """What this process's metrics are bound to; the application's own meter provider until `bind`."""

    def __init__(self) -> None:
        self.instruments: _Instruments | None = None
        self.exposition: Callable[[], str] = str
        self.observed: deque[_Observed] = deque()

    def get(self) -> _Instruments:
        if self.instruments is None:
            self.instruments = _Instruments(otel.get_meter("aiprism"))
        return self.instruments


_bound = _Bound()


def _add(name: str, value: float, labels: Mapping[str, str]) -> None:
    _bound.get().counters[name].add(value, labels)


def _set(name: str, value: float, labels: Mapping[str, str]) -> None:
    _bound.get().gauges[name].set(value, labels)


def _record(name: str, value: float, labels: Mapping[str, str]) -> None:
    histogram = _bound.get().histograms[name]
    if len(_bound.observed) < MOST_OBSERVED:
        _bound.observed.append(_Observed(histogram, value, labels, get_current()))
    else:
        histogram.record(value, labels)
