"""Doors for what is changed in other tools: webhooks of GitHub, GitLab, Argo CD and Kubernetes. Decode, call, encode.

Each tells change events, which are kept like those that are posted. A door whose secret is not configured is not there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fastapi import APIRouter, Request

from aiprism.clock import Clock
from aiprism.config import LimitsConfig
from aiprism.httpconfig import Secret
from aiprism.model.events import ChangeEvent
from aiprism.respond import changehooks
from aiprism.respond.changehooks import Reader
from aiprism.services import Catalogue
from aiprism.store.engine import Engine
from aiprism.store.events import EventStore
from aiprism.store.writing import Admission
from aiprism.telemetry import Telemetry
from aiprism.web.events import STAGE, check_time
from aiprism.web.hooks import opened

_SUMMARIES = {
    "github": "Deployments, releases and pushes, as GitHub tells them",
    "gitlab": "Deployments and pipelines, as GitLab tells them",
    "argocd": "Syncs of an application, as Argo CD's notifications tell them",
    "kubernetes": "Events of Kubernetes that warn or change something",
}


def router(
    engine: Engine,
    clock: Clock,
    limits: LimitsConfig,
    admission: Admission,
    telemetry: Telemetry,
    *,
    secrets: Callable[[], Mapping[str, Secret]],
    services: Callable[[], Catalogue],
) -> APIRouter:
    """The routes under /aiprism/v1/hooks; `secrets` and `services` are asked for at each request, as a reload may change
    them."""
    routes = APIRouter(prefix="/aiprism/v1/hooks", tags=["hooks"])
    store = EventStore(engine)

    async def taken(name: str, read: Reader, request: Request) -> dict[str, Any]:
        secret, body, now = opened(secrets()[name], name), await request.body(), clock.now()
        try:
            events = changehooks.placed(read(request.headers, body, secret, now), services())
            for number, each in enumerate(events):
                check_time(each, f"events[{number}]", now, limits)
            admission.logs(len(events), len(body))
            if events:
                await engine.write(store.put, events)
        except Exception:
            telemetry.dropped(STAGE, "refused")
            raise
        telemetry.passed(STAGE, len(events))
        return _answer(events)

    def door(name: str, read: Reader) -> None:
        @routes.post(f"/{name}", summary=_SUMMARIES[name], name=f"changes_{name}")
        async def tell(request: Request) -> dict[str, Any]:
            return await taken(name, read, request)

    for name, read in changehooks.READERS.items():
        door(name, read)
    return routes


def _answer(events: list[ChangeEvent]) -> dict[str, Any]:
    return {"ids": [each.id for each in events], "why": "" if events else "nothing in it is a change"}
