"""What the pages are measured on: one large thing of each kind, sent as services would send it.

In: the address of a server that already has the hour of `tests/ui/seeding.py`. Out: where each thing is. All ten panels of the
technical operations dashboard have an hour at 15 s, one chart has a hundred series of a thousand points, one trace five thousand
spans, one service fifty thousand log lines.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

SERIES, POINTS, STEP = 100, 1000, 15
SPANS, LINES = 5_000, 50_000
HOUR = 3600
SERVICES = ("ai-prism-gateway", "ai-prism-documents", "ai-prism-models", "ai-prism-users")
MODELS = ("claude-sonnet", "claude-haiku", "embedder")
PODS = 8
BOUNDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
WAVES = "bench-waves"


@dataclass(frozen=True, slots=True)
class Stock:
    """Addresses of what was sent."""

    chart: str
    trace: str
    lines: str


def stocked(url: str, now: float) -> Stock:
    """Send all of it to the server at `url`; returns once it is stored."""
    dice = random.Random(11)
    trace = f"{dice.getrandbits(128):032x}"
    with httpx.Client(base_url=url, timeout=120) as client:
        _send(client, "/v1/metrics", "resourceMetrics", [*_operations(now, dice), _waves(now)])
        _send(client, "/v1/traces", "resourceSpans", list(_spans(trace, now, dice)))
        _send(client, "/v1/logs", "resourceLogs", list(_lines(now, dice)))
        client.post("/aiprism/v1/dashboards", json={"dashboard": _dashboard(), "overwrite": True}).raise_for_status()
    ends = f"from={round(now - POINTS * STEP)}&to={round(now)}"
    return Stock(f"/dashboards/{WAVES}?{ends}", f"/explore/traces/{trace}", "/explore/logs?q=service:bench")


def _send(client: httpx.Client, path: str, field: str, resources: Sequence[object]) -> None:
    for each in resources:
        client.post(path, json={field: [each]}).raise_for_status()


def _dashboard() -> dict[str, Any]:
    panel = {
        "id": 1, "type": "timeseries", "title": "a hundred waves", "gridPos": {"x": 0, "y": 0, "w": 24, "h": 18},
        "maxDataPoints": POINTS, "interval": f"{STEP}s",
        "targets": [{"refId": "A", "expr": "bench_wave", "legendFormat": "{{wave}}"}],
    }  # fmt: skip
    return {"uid": WAVES, "title": "Waves", "schemaVersion": 39, "panels": [panel]}


# -- metrics ------------------------------------------------------------------------------------------------------------


def _waves(now: float) -> dict[str, Any]:
    end = round(now) // STEP * STEP
    points = [
        _point(end - (POINTS - at) * STEP, 50 + wave + 20 * math.sin(at / 40 + wave / 7) + wave * at % 7, {"wave": str(wave)})
        for wave in range(SERIES)
        for at in range(POINTS + 1)
    ]  # fmt: skip
    return _resource("bench", "scopeMetrics", {"metrics": [{"name": "bench_wave", "gauge": {"dataPoints": points}}]})


def _operations(now: float, dice: random.Random) -> Iterator[dict[str, Any]]:
    times = range(round(now) // STEP * STEP - HOUR, round(now), STEP)
    codes = ("200", "200", "404", "500")
    for service in SERVICES:
        requests = [{"endpoint": f"/v1/{path}", "status_code": code} for path in "abc" for code in set(codes)]
        yield _resource(
            service,
            "scopeMetrics",
            {
                "metrics": [
                    {"name": "up", "gauge": {"dataPoints": [_point(at, 1.0, {}) for at in times]}},
                    _counter("ai_prism_http_requests", times, requests, dice),
                    _histogram("ai_prism_http_request_duration_seconds", times, {"endpoint": "/v1/a"}, dice),
                ]
            },
        )
    models = [{"model": name} for name in MODELS]
    pods = [{"pod": f"pod-{at}", "namespace": "ai-prism-prod"} for at in range(PODS)]
    yield _resource(
        "ai-prism-models",
        "scopeMetrics",
        {
            "metrics": [
                _counter("ai_prism_ai_model_requests", times, models, dice),
                _histogram("ai_prism_ai_model_latency_seconds", times, models[0], dice),
                _counter("ai_prism_documents_processed", times, [{"format": "pdf"}], dice),
                _counter("ai_prism_ai_model_cost_usd", times, models, dice),
                _counter("container_cpu_usage_seconds", times, pods, dice),
                _gauge("container_memory_usage_bytes", times, pods, 5e8, dice),
                _gauge("container_spec_memory_limit_bytes", times, pods, 1e9, dice),
                _gauge("ai_prism_active_users", times, [{"user_type": each} for each in ("free", "paid")], 40, dice),
            ]
        },
    )


def _counter(name: str, times: range, series: Sequence[dict[str, str]], dice: random.Random) -> dict[str, Any]:
    points = []
    for labels in series:
        total = 0.0
        for at in times:
            total += dice.random() * 20
            points.append(_point(at, total, labels) | {"startTimeUnixNano": f"{times[0]}000000000"})
    return {"name": name, "sum": {"aggregationTemporality": 2, "isMonotonic": True, "dataPoints": points}}


def _gauge(
    name: str, times: range, series: Sequence[dict[str, str]], about: float, dice: random.Random
) -> dict[str, Any]:
    points = [_point(at, about * dice.uniform(0.9, 1.1), labels) for labels in series for at in times]
    return {"name": name, "gauge": {"dataPoints": points}}


def _histogram(name: str, times: range, labels: dict[str, str], dice: random.Random) -> dict[str, Any]:
    counts, total, points = [0] * (len(BOUNDS) + 1), 0.0, []
    for at in times:
        for _ in range(20):
            value = dice.lognormvariate(-1.5, 1)
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


def _point(at: float, value: float, labels: dict[str, str]) -> dict[str, Any]:
    return {"timeUnixNano": f"{at}000000000", "asDouble": value, "attributes": _attributes(labels)}


# -- a trace, and lines -------------------------------------------------------------------------------------------------


def _spans(trace: str, now: float, dice: random.Random) -> Iterator[dict[str, Any]]:
    """A request that fans out: each span is called by one of the forty before it and ends within it."""
    begin = round((now - 600) * 1e9)
    starts, ends = [begin], [begin + 60_000_000_000]
    spans: list[list[dict[str, Any]]] = [[] for _ in SERVICES]
    for at in range(SPANS):
        caller = dice.randrange(max(0, at - 40), at) if at else 0
        if at:
            length = ends[caller] - starts[caller]
            starts.append(starts[caller] + round(length * dice.uniform(0, 0.3)))
            ends.append(starts[at] + max(1000, round((ends[caller] - starts[at]) * dice.uniform(0.5, 0.98))))
        span = {
            "traceId": trace, "spanId": f"{at + 1:016x}", "parentSpanId": f"{caller + 1:016x}" if at else "",
            "name": f"step {at % 30}", "kind": 2 if at % 4 else 1, "startTimeUnixNano": str(starts[at]),
            "endTimeUnixNano": str(ends[at]), "status": {"code": 2} if at % 97 == 50 else {},
            "attributes": _attributes({"http.request.method": "POST", "document.id": f"d{at % 300}", "attempt": "1"}),
        }  # fmt: skip
        spans[at % len(SERVICES)].append(span)
    for service, own in zip(SERVICES, spans, strict=True):
        yield _resource(service, "scopeSpans", {"spans": own})


def _lines(now: float, dice: random.Random) -> Iterator[dict[str, Any]]:
    begin, size = now - 3000, 5_000
    for first in range(0, LINES, size):
        records = [
            {
                "timeUnixNano": str(round((begin + at * 2900 / LINES) * 1e9)), "severityNumber": (9, 9, 9, 13, 17)[at % 5],
                "body": {"stringValue": f"request {at} of user u{at % 90} took {dice.randint(3, 900)} ms at /v1/documents"},
                "attributes": _attributes({"component": "pipeline", "request.id": f"{dice.getrandbits(64):016x}"}),
            }
            for at in range(first, first + size)
        ]  # fmt: skip
        yield _resource("bench", "scopeLogs", {"logRecords": records})


def _resource(service: str, scopes: str, scope: dict[str, Any]) -> dict[str, Any]:
    return {"resource": {"attributes": _attributes({"service.name": service})}, scopes: [scope]}


def _attributes(pairs: dict[str, str]) -> list[dict[str, Any]]:
    return [{"key": key, "value": {"stringValue": value}} for key, value in pairs.items()]
