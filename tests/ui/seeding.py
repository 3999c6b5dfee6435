"""An hour of a small document-analysis system, sent as its services would send it: over OTLP and Alertmanager's API.

Three services call each other; in the last ten minutes the model is slow, documents fail, and an alert says so.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import httpx

from tests.ui.operations import operations

MINUTE = 60
LENGTH = 60 * MINUTE
SLOW_SINCE = 10 * MINUTE  # before now
SERVICES = ("api-gateway", "document-processor", "model-server")
ALERT = "AIModelLatencyHigh"


def seed(url: str, *, traces_a_minute: int = 6, step: int = 30) -> float:
    """Send all of it to the server at `url`, `step` seconds between points of the dashboard's; returns once it is stored, with
    when the hour began."""
    dice, now = random.Random(7), time.time()
    with httpx.Client(base_url=url, timeout=60) as client:
        starts = [
            now - LENGTH + number * MINUTE / traces_a_minute for number in range(LENGTH // MINUTE * traces_a_minute)
        ]
        _documents(client, enumerate(starts), slow_since=now - SLOW_SINCE, dice=dice)
        for each in _cut([*_metrics(now - LENGTH, range(0, LENGTH, 15)), *operations(now, dice, step=step)], 400):
            _send(client, "/v1/metrics", {"resourceMetrics": list(each)})
        event = {"title": "model-server 2.2.0 rolled out", "kind": "deployment", "service": "model-server"}
        _send(client, "/aiprism/v1/events", {"events": [{**event, "ts": now - SLOW_SINCE - 60, "id": "d1"}]})
        labels = {"alertname": ALERT, "severity": "critical", "service": "model-server"}
        notes = {"summary": "The model answers slowly", "description": "p95 above 5 s"}
        when = {"startsAt": _stamp(now - SLOW_SINCE + 60), "endsAt": _stamp(now + 24 * LENGTH)}
        _send(client, "/api/v2/alerts", [{"labels": labels, "annotations": notes, **when}])
    return now - LENGTH


def go_on(url: str, begun: float, number: int | None = None) -> None:
    """What the metrics of the hour that began at `begun` are by now: an hour is over before the last page was looked at. With a
    `number` another slow document of that number comes through."""
    now = time.time()
    with httpx.Client(base_url=url, timeout=60) as client:
        _send(client, "/v1/metrics", {"resourceMetrics": list(_metrics(begun, [round(now - begun)]))})
        if number is not None:
            _documents(client, [(number, now - 10)], slow_since=begun, dice=random.Random(number))


def _stamp(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


def _send(client: httpx.Client, path: str, body: object) -> None:
    answer = client.post(path, json=body)
    assert answer.status_code in (200, 201, 202), f"{path}: {answer.status_code} {answer.text}"


def _cut(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _documents(
    client: httpx.Client, begun: Iterable[tuple[int, float]], *, slow_since: float, dice: random.Random
) -> None:
    """Send the spans and lines of documents: their numbers, and when each began."""
    spans, records = [], []
    for number, start in begun:
        trace, lines = _document(number, start, slow=start > slow_since, dice=dice)
        spans += trace
        records += lines
    for each in _cut(spans, 1000):
        _send(client, "/v1/traces", {"resourceSpans": list(_by_service(each, "scopeSpans", "spans"))})
    for each in _cut(records, 1000):
        _send(client, "/v1/logs", {"resourceLogs": list(_by_service(each, "scopeLogs", "logRecords"))})


def _document(number: int, start: float, *, slow: bool, dice: random.Random) -> tuple[list[Any], list[Any]]:
    """The spans of one document on its way through the services, and what they log; (service, item) each."""
    trace = f"{dice.getrandbits(128) or 1:032x}"
    model = dice.uniform(4, 8) if slow else dice.uniform(0.1, 0.4)
    failed = slow and number % 3 == 0
    ids = ["", *(f"{'a' * 15}{place}" for place in range(1, 5))]
    hops = (
        ("api-gateway", "POST /documents", 2, {"http.request.method": "POST"}),
        ("document-processor", "document_processing", 2, {"document.type": "pdf"}),
        ("document-processor", "ai_model_invocation", 3, {"peer.service": "model-server"}),
        ("model-server", "POST /v1/chat/completions", 2, {"model": "claude-sonnet"}),
    )
    spans = [
        (
            service,
            _span(trace, ids[at + 1], ids[at], name, kind, start + at / 100, model + (3 - at) / 50, failed, attributes),
        )
        for at, (service, name, kind, attributes) in enumerate(hops)
    ]
    lines = [("document-processor", _record(trace, start, 9, f"document {number} accepted from user u{number % 9}"))]
    if failed:
        text = f"model claude-sonnet did not answer within {dice.randint(4000, 8000)} ms for document {number}"
        lines.append(("document-processor", _record(trace, start + model, 17, text)))
    return spans, lines


def _span(
    trace: str,
    span: str,
    parent: str,
    name: str,
    kind: int,
    start: float,
    lasts: float,
    failed: bool,
    attributes: dict[str, str],
) -> dict[str, Any]:
    return {
        "traceId": trace, "spanId": span, "parentSpanId": parent, "name": name, "kind": kind,
        "startTimeUnixNano": str(round(start * 1e9)), "endTimeUnixNano": str(round((start + lasts) * 1e9)),
        "attributes": _attributes(attributes), "status": {"code": 2, "message": "timeout"} if failed else {},
    }  # fmt: skip


def _record(trace: str, at: float, severity: int, body: str) -> dict[str, Any]:
    return {
        "timeUnixNano": str(round(at * 1e9)), "severityNumber": severity, "traceId": trace, "spanId": "a" * 15 + "2",
        "body": {"stringValue": body}, "attributes": _attributes({"component": "pipeline"}),
    }  # fmt: skip


def _attributes(pairs: dict[str, str]) -> list[dict[str, Any]]:
    return [{"key": key, "value": {"stringValue": value}} for key, value in pairs.items()]


def _by_service(items: Sequence[tuple[str, Any]], scopes: str, name: str) -> Iterator[dict[str, Any]]:
    for service in SERVICES:
        own = [item for of, item in items if of == service]
        if own:
            yield {"resource": _resource(service), scopes: [{"scope": {"name": "seed"}, name: own}]}


def _resource(service: str) -> dict[str, Any]:
    return {"attributes": _attributes({"service.name": service, "service.instance.id": f"{service}-1"})}


def _metrics(begun: float, offsets: Sequence[int]) -> Iterator[dict[str, Any]]:
    """A counter of requests and a gauge of memory, a point at each of `offsets`, seconds since `begun`."""
    for number, service in enumerate(SERVICES):
        counts, sizes = [], []
        for at in offsets:
            time_ns = str(round((begun + at) * 1e9))
            counts.append(
                {
                    "startTimeUnixNano": str(round(begun * 1e9)), "timeUnixNano": time_ns, "asDouble": at * (number + 1.0),
                    "attributes": _attributes({"method": "POST", "endpoint": "/documents", "status_code": "200"}),
                }
            )  # fmt: skip
            sizes.append({"timeUnixNano": time_ns, "asDouble": 2e8 + 1e5 * at})
        yield {
            "resource": _resource(service),
            "scopeMetrics": [
                {
                    "scope": {"name": "seed"},
                    "metrics": [
                        {
                            "name": "ai_prism_http_requests", "description": "Requests answered.",
                            "sum": {"aggregationTemporality": 2, "isMonotonic": True, "dataPoints": counts},
                        },
                        {"name": "process_memory_bytes", "unit": "By", "gauge": {"dataPoints": sizes}},
                    ],
                }
            ],
        }  # fmt: skip
