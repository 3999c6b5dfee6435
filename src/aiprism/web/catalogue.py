"""The declared services over HTTP. Decode, call, encode; `services` knows them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter

from aiprism.errors import NotFound
from aiprism.services import Catalogue, Service


def router(catalogue: Callable[[], Catalogue]) -> APIRouter:
    """The routes under /aiprism/v1/catalogue; `catalogue` gives the one in force."""
    routes = APIRouter(prefix="/aiprism/v1/catalogue", tags=["services"])

    @routes.get("", summary="The services of services.yml")
    async def listed() -> dict[str, Any]:
        return {"services": [_service(each) for each in catalogue()]}

    @routes.get("/{name}", summary="One service, by name or alias, with everything it depends on")
    async def one(name: str) -> dict[str, Any]:
        known = catalogue()
        service = known.named(name)
        if service is None:
            raise NotFound(f"no service {name!r} is declared in services.yml")
        return {**_service(service), "beneath": sorted(known.beneath(name))}

    return routes


def _service(service: Service) -> dict[str, Any]:
    return {
        **asdict(service),
        "aliases": list(service.aliases),
        "dependencies": list(service.dependencies),
        "channels": dict(service.channels),
    }
