"""Stands for Slack, PagerDuty and a webhook: checks and records the notifications that real clients send.

In: POST /slack/…, /pagerduty/v2/enqueue, /webhook/… in the forms those services document. Out: GET /received, oldest
first. Everything received is also appended to received.jsonl in the data directory.
"""

from __future__ import annotations

import json
import time
import uuid
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qs

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from aiprism_lab.serving import new_app
from aiprism_lab.wiring import Settings

KEPT = 5000
Kind = Literal["slack", "pagerduty", "webhook"]


class Received:
    """The newest `KEPT` notifications, and a file with all of them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries: deque[dict[str, object]] = deque(maxlen=KEPT)

    def add(self, kind: Kind, request: Request, body: object) -> None:
        entry = {
            "kind": kind,
            "path": request.url.path,
            "at": time.time(),
            "headers": dict(request.headers),
            "body": body,
        }
        self._entries.append(entry)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    def of(self, kind: str | None) -> list[dict[str, object]]:
        return [entry for entry in self._entries if kind in (None, entry["kind"])]

    def clear(self) -> None:
        self._entries.clear()


def build(settings: Settings) -> FastAPI:
    """The application of process "receivers"."""
    settings.data.mkdir(parents=True, exist_ok=True)
    received = Received(settings.data / "received.jsonl")
    app = new_app(settings)

    @app.post("/slack/{path:path}")
    async def slack(request: Request, path: str) -> Response:
        message = _slack_message(await request.body(), request.headers.get("content-type", ""))
        if message is None:
            return PlainTextResponse("invalid_payload", 400)
        if not any(message.get(part) for part in ("text", "blocks", "attachments")):
            return PlainTextResponse("no_text", 400)
        received.add("slack", request, message)
        return PlainTextResponse("ok")

    @app.post("/pagerduty/v2/enqueue")
    async def pagerduty(request: Request) -> Response:
        event = _json_object(await request.body())
        errors = list(event_errors(event)) if event is not None else ["the body is not a JSON object"]
        if event is None or errors:
            invalid = {"status": "invalid event", "message": "Event object is invalid", "errors": errors}
            return JSONResponse(invalid, 400)
        dedup_key = event.setdefault("dedup_key", uuid.uuid4().hex)
        received.add("pagerduty", request, event)
        return JSONResponse({"status": "success", "message": "Event processed", "dedup_key": dedup_key}, 202)

    @app.post("/webhook/{path:path}")
    async def webhook(request: Request, path: str) -> dict[str, bool]:
        raw = await request.body()
        try:
            body: object = json.loads(raw)
        except ValueError:
            body = raw.decode(errors="replace")
        received.add("webhook", request, body)
        return {"ok": True}

    @app.get("/received")
    async def all_received(kind: Kind | None = None) -> dict[str, list[dict[str, object]]]:
        return {"received": received.of(kind)}

    @app.delete("/received", status_code=204)
    async def clear() -> None:
        received.clear()

    return app


def urls(port: int) -> dict[str, str]:
    """Where to send each kind of notification, and where to read what came."""
    base = f"http://127.0.0.1:{port}"
    return {
        "slack": f"{base}/slack/services/T0LAB/B0LAB/alerts",
        "pagerduty": f"{base}/pagerduty/v2/enqueue",
        "webhook": f"{base}/webhook/alerts",
        "received": f"{base}/received",
    }


def event_errors(event: Mapping[str, object]) -> Iterator[str]:
    """What PagerDuty's Events API v2 would refuse in the event, in its words."""
    if not isinstance(event.get("routing_key"), str) or len(str(event["routing_key"])) != 32:
        yield "'routing_key' is missing or not 32 characters long"
    action = event.get("event_action")
    if action not in ("trigger", "acknowledge", "resolve"):
        yield "'event_action' is missing or invalid (must be 'trigger', 'acknowledge' or 'resolve')"
    if action in ("acknowledge", "resolve") and not event.get("dedup_key"):
        yield "'dedup_key' is missing or blank"
    if len(str(event.get("dedup_key") or "")) > 255:
        yield "'dedup_key' is longer than 255 characters"
    if action == "trigger":
        yield from _payload_errors(event.get("payload"))


def _payload_errors(payload: object) -> Iterator[str]:
    if not isinstance(payload, Mapping):
        yield "'payload' is missing"
        return
    for field in ("summary", "source", "severity"):
        if not payload.get(field):
            yield f"'payload.{field}' is missing or blank"
    if len(str(payload.get("summary") or "")) > 1024:
        yield "'payload.summary' is longer than 1024 characters"
    if payload.get("severity") not in (None, "", "critical", "error", "warning", "info"):
        yield "'payload.severity' is invalid (must be one of 'critical', 'error', 'warning', 'info')"


def _slack_message(raw: bytes, content_type: str) -> dict[str, object] | None:
    """The message of an incoming webhook, sent as JSON or as the form field "payload"."""
    if content_type.startswith("application/x-www-form-urlencoded"):
        payload = parse_qs(raw.decode(errors="replace")).get("payload", [""])[0]
        return _json_object(payload.encode())
    return _json_object(raw)


def _json_object(raw: bytes) -> dict[str, object] | None:
    try:
        found = json.loads(raw)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
