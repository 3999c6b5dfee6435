"""/api/v1/status/…: what a Prometheus says of itself, said of aiprism. Grafana and people with habits ask for it.

`runtimeinfo`, `flags` and `config` give our settings under Prometheus' names or in our own file's form, secrets covered.
There is no write-ahead log to replay, so `walreplay` is always done. Cardinality (`tsdb`) is left to tsdb.py.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import Response

from aiprism import config as configuration
from aiprism.clock import Clock
from aiprism.config import Config
from aiprism.model.timerange import format_duration
from aiprism.web.parameters import Parameters
from aiprism.web.prometheus import Answer, served


@dataclass(slots=True)
class Loaded:
    """The configuration that was taken last, when (Unix seconds), and whether the last attempt to read one anew was taken."""

    config: Config
    at: float
    taken: bool = True


def router(loaded: Loaded, clock: Clock) -> APIRouter:
    """The routes; `loaded` is changed by whoever reloads."""
    routes = APIRouter(prefix="/api/v1/status", tags=["prometheus"])
    started = clock.now()

    def route(name: str, said: Callable[[], object], summary: str) -> None:
        async def answer(asked: Parameters) -> Answer:
            return Answer(orjson.dumps(said()))

        async def serve(request: Request) -> Response:
            return await served(request, answer)

        routes.add_api_route(f"/{name}", serve, methods=["GET"], name=name, summary=summary)

    def runtime() -> Mapping[str, object]:
        return {
            "startTime": _moment(started),
            "CWD": str(Path.cwd()),
            "hostname": socket.gethostname(),
            "serverTime": _moment(clock.now()),
            "reloadConfigSuccess": loaded.taken,
            "lastConfigTime": _moment(loaded.at),
            "corruptionCount": 0,
            "goroutineCount": threading.active_count(),
            "GOMAXPROCS": os.cpu_count() or 1,
            "GOMEMLIMIT": 0,
            "GOGC": "",
            "GODEBUG": "",
            "storageRetention": format_duration(loaded.config.retention.metrics),
        }

    route("runtimeinfo", runtime, "When this process started, and what it runs with")
    route(
        "config", lambda: {"yaml": configuration.as_yaml(loaded.config)}, "The configuration in force, secrets covered"
    )
    route("flags", lambda: flags(loaded.config), "Settings under the names of Prometheus' flags")
    route("walreplay", lambda: {"min": 0, "max": 0, "current": 0}, "Nothing is replayed here")
    return routes


def flags(config: Config) -> Mapping[str, str]:
    """What of our settings has a flag in Prometheus."""
    return {
        "query.lookback-delta": format_duration(config.query.lookback),
        "query.max-concurrency": str(config.query.concurrency),
        "query.max-samples": str(config.query.max_samples),
        "query.timeout": format_duration(config.query.timeout),
        "storage.tsdb.path": str(config.data),
        "storage.tsdb.retention.time": format_duration(config.retention.metrics),
        "web.enable-admin-api": "false",
        "web.enable-lifecycle": "true",
        "web.enable-remote-write-receiver": "true",
        "web.external-url": config.server.external_url,
        "web.listen-address": config.server.listen,
        "web.max-connections": str(config.server.connections),
    }


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")
