"""The metrics that the technical operations dashboard asks for, as its services would send them over OTLP."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

HOUR = 3600
BEFORE = 600  # seconds more: what a rate at the begin of the hour is taken over
SERVICES = ("ai-prism-gateway", "ai-prism-documents", "ai-prism-users")
MODELS = {"claude-sonnet": 1.6, "claude-haiku": 0.3, "embedder": 0.04}  # US cents a request
STATUS = {"200": 40.0, "404": 0.6, "500": 0.15}  # requests a minute
PODS = 6
BOUNDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

Labels = tuple[tuple[str, str], ...]


def operations(now: float, dice: random.Random, *, step: int = 30) -> Iterator[dict[str, Any]]:
    """An hour of them until `now`, a point each `step` seconds: one `resourceMetrics` for each service."""
    times = range(round(now) // step * step - HOUR - BEFORE, round(now), step)
    for service in SERVICES:
        requests: dict[Labels, float] = {
            (("endpoint", path), ("status_code", code)): STATUS[code]
            for path in ("/documents", "/users")
            for code in STATUS
        }
        yield _resource(
            service,
            _gauge("up", times, {(): 1.0}, 0.0, dice),
            _counter("ai_prism_http_requests", times, requests, dice),
            _histogram("ai_prism_http_request_duration_seconds", times, (("endpoint", "/documents"),), -1.5, dice),
        )
    models: dict[Labels, float] = {(("model", name),): 12.0 for name in MODELS}
    pods: dict[Labels, float] = {
        (("pod", f"{SERVICES[at % 3]}-{at}"), ("namespace", "ai-prism-prod")): 1.0 for at in range(PODS)
    }
    yield _resource(
        "ai-prism-models",
        _gauge("up", times, {(): 1.0}, 0.0, dice),
        _counter("ai_prism_ai_model_requests", times, models, dice),
        _histogram("ai_prism_ai_model_latency_seconds", times, (("model", "claude-sonnet"),), 0.2, dice),
        _counter("ai_prism_documents_processed", times, {(("format", "pdf"),): 9.0, (("format", "docx"),): 3.0}, dice),
        _counter(
            "ai_prism_ai_model_cost_usd",
            times,
            {(("model", name),): cents * 0.12 for name, cents in MODELS.items()},
            dice,
        ),
        _counter("container_cpu_usage_seconds", times, {pod: 12.0 + at * 3 for at, pod in enumerate(pods)}, dice),
        _gauge("container_memory_usage_bytes", times, {pod: 3e8 + at * 6e7 for at, pod in enumerate(pods)}, 0.06, dice),
        _gauge("container_spec_memory_limit_bytes", times, dict.fromkeys(pods, 1e9), 0.0, dice),
        _gauge(
            "ai_prism_active_users",
            times,
            {(("user_type", "free"),): 61.0, (("user_type", "premium"),): 23.0},
            0.1,
            dice,
        ),
    )


def _counter(name: str, times: range, a_minute: dict[Labels, float], dice: random.Random) -> dict[str, Any]:
    points = []
    for labels, rate in a_minute.items():
        total = 0.0
        for at in times:
            total += dice.gammavariate(3, rate / 180) * times.step
            points.append(_point(at, total, labels) | {"startTimeUnixNano": f"{times[0]}000000000"})
    return {"name": name, "sum": {"aggregationTemporality": 2, "isMonotonic": True, "dataPoints": points}}


def _gauge(name: str, times: range, about: dict[Labels, float], spread: float, dice: random.Random) -> dict[str, Any]:
    points = []
    for labels, usual in about.items():
        drift = 0.0
        for at in times:
            drift = 0.9 * drift + dice.uniform(-spread, spread) / 2
            points.append(_point(at, usual * (1 + drift), labels))
    return {"name": name, "gauge": {"dataPoints": points}}


def _histogram(name: str, times: range, labels: Labels, about: float, dice: random.Random) -> dict[str, Any]:
    counts, total, points = [0] * (len(BOUNDS) + 1), 0.0, []
    for at in times:
        for _ in range(20):
            value = dice.lognormvariate(about, 0.6)
            counts[sum(value > bound for bound in BOUNDS)] += 1
            total += value
        points.append(
            {
                "timeUnixNano": f"{at}000000000", "startTimeUnixNano": f"{times[0]}000000000", "count": str(sum(counts)),
                "sum": total, "bucketCounts": [str(each) for each in counts], "explicitBounds": list(BOUNDS),
                "attributes": _attributes(labels),
            }
        )  # fmt: skip
    return {"name": name, "histogram": {"aggregationTemporality": 2, "dataPoints": points}}


def _point(at: float, value: float, labels: Labels) -> dict[str, Any]:
    return {"timeUnixNano": f"{at}000000000", "asDouble": value, "attributes": _attributes(labels)}


def _resource(service: str, *metrics: dict[str, Any]) -> dict[str, Any]:
    resource = {"attributes": _attributes((("service.name", service),))}
    return {"resource": resource, "scopeMetrics": [{"metrics": list(metrics)}]}


def _attributes(pairs: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    return [{"key": key, "value": {"stringValue": value}} for key, value in pairs]
