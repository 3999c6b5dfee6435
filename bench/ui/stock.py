"""What the pages are measured on: one large thing of each kind, sent as services would send it.

In: the address of a server that already has the hour of `tests/ui/seeding.py`. Out: where each thing is. One chart has a hundred
series of a thousand points, one trace five thousand spans, one service fifty thousand log lines, one war room two thousand lines
(which are written into the control database: over HTTP people may say a hundred in ten seconds).
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from aiprism.store import warroom
from aiprism.store.records import Records

SERIES, POINTS, STEP = 100, 1000, 15
SPANS, LINES = 5_000, 50_000
WORDS = (
    "the pool",
    "of orders",
    "is at its limit",
    "since",
    "the deployment",
    "and p95",
    "rises again",
    "on two nodes",
)
SAID = 2_000  # as many as a page holds
PEOPLE = tuple(f"{name}{number}" for number in range(3) for name in ("ann", "bob", "cara", "dan"))
SERVICES = ("ai-prism-gateway", "ai-prism-documents", "ai-prism-models", "ai-prism-users")
WAVES = "bench-waves"


@dataclass(frozen=True, slots=True)
class Stock:
    """Addresses of what was sent."""

    chart: str
    trace: str
    lines: str
    incident: str  # whose room it is


def stocked(url: str, control: Path, now: float) -> Stock:
    """Send all of it to the server at `url`, whose control database is the file `control`; returns once it is stored."""
    dice = random.Random(11)
    trace = f"{dice.getrandbits(128):032x}"
    with httpx.Client(base_url=url, timeout=120) as client:
        _send(client, "/v1/metrics", "resourceMetrics", [_waves(now)])
        _send(client, "/v1/traces", "resourceSpans", list(_spans(trace, now, dice)))
        _send(client, "/v1/logs", "resourceLogs", list(_lines(now, dice)))
        client.post("/aiprism/v1/dashboards", json={"dashboard": _dashboard(), "overwrite": True}).raise_for_status()
        incident = client.get("/aiprism/v1/incidents").raise_for_status().json()["incidents"][-1]["id"]
        client.post(f"/aiprism/v1/incidents/{incident}/room/open", json={"actor": PEOPLE[0]}).raise_for_status()
    talked(control, incident, now, dice)
    ends = f"from={round(now - POINTS * STEP)}&to={round(now)}"
    return Stock(f"/dashboards/{WAVES}?{ends}", f"/explore/traces/{trace}", "/explore/logs?q=service:bench", incident)


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


# -- a war room ---------------------------------------------------------------------------------------------------------


def talked(control: Path, incident: str, now: float, dice: random.Random) -> None:
    """Write what people say who look for a fault for two hours: short and long, a command and its answer now and then."""
    records = Records.open(f"sqlite:///{control}")
    with records.begin() as connection:
        for at in range(SAID):
            text = " ".join(dice.choices(WORDS, k=dice.choice((2, 4, 6, 20))))
            line = {"incident_id": incident, "at": now - 7200 + at * 3.5, "kind": "said", "author": dice.choice(PEOPLE)}
            if at % 25 == 24:
                line |= {"kind": "answered", "data": {"done": True}}
            warroom.append_line(connection, {"data": {}, **line, "text": text})
    records.close()
