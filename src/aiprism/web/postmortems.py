"""Postmortems and similar incidents over HTTP: generated, read, changed, exported. Decode, call, encode."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Literal

import orjson
from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from aiprism.errors import NotFound
from aiprism.learn import postmortem
from aiprism.learn.chart import svg
from aiprism.learn.postmortems import Postmortem, Postmortems

# Of a page that people have written: it may show itself, and nothing else happens.
_CLOSED = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    "X-Content-Type-Options": "nosniff",
}

Form = Literal["md", "html", "json"]


class Wanted(BaseModel):
    """Who wants one to be generated; `again` when there is one already."""

    model_config = ConfigDict(extra="forbid")

    actor: str = Field(min_length=1, max_length=200)
    again: bool = False


class Changed(BaseModel):
    """What somebody has made of `version`."""

    model_config = ConfigDict(extra="forbid")

    version: int = Field(ge=1)
    author: str = Field(min_length=1, max_length=200)
    text: str = Field(min_length=1, max_length=1_000_000, description="Markdown")


def router(postmortems: Postmortems, external_url: Callable[[], str]) -> APIRouter:
    """The routes under /aiprism/v1/incidents/{id}."""
    routes = APIRouter(prefix="/aiprism/v1/incidents/{incident_id}", tags=["incidents"])

    @routes.post("/postmortem", summary="Generate the postmortem of an incident that is resolved")
    async def generate(incident_id: str, wanted: Wanted) -> dict[str, Any]:
        return asdict(await postmortems.write(incident_id, wanted.actor, again=wanted.again))

    @routes.get("/postmortem", summary="The postmortem as it is now, or a former version, and who wrote which")
    async def one(incident_id: str, version: int | None = Query(None, ge=1)) -> dict[str, Any]:
        found = await asyncio.to_thread(postmortems.read, incident_id, version)
        known = await asyncio.to_thread(postmortems.versions, incident_id)
        told = [{"version": number, "at": at, "author": author} for number, at, author in known]
        return {**asdict(found), "versions": told}

    @routes.put("/postmortem", summary="Change the postmortem; the version before stays")
    async def change(incident_id: str, changed: Changed) -> dict[str, Any]:
        kept = await asyncio.to_thread(postmortems.edit, incident_id, changed.version, changed.author, changed.text)
        return asdict(kept)

    @routes.get(
        "/postmortem.{form}", summary="The postmortem to take away: Markdown, a page, or JSON with all evidence"
    )
    async def export(incident_id: str, form: Form, version: int | None = Query(None, ge=1)) -> Response:
        found = await asyncio.to_thread(postmortems.read, incident_id, version)
        return await asyncio.to_thread(_exported, postmortems, found, form, external_url())

    @routes.get("/postmortem/charts/{number}.svg", summary="A chart of the postmortem")
    async def chart(incident_id: str, number: int, version: int | None = Query(None, ge=1)) -> Response:
        found = await asyncio.to_thread(postmortems.read, incident_id, version)
        charts = await asyncio.to_thread(postmortems.charts, found)
        if not 1 <= number <= len(charts):
            raise NotFound(f"the postmortem of {incident_id} has {len(charts)} charts, no {number}.")
        return Response(svg(charts[number - 1]), media_type="image/svg+xml", headers=_CLOSED)

    @routes.get("/similar", summary="Past incidents that it resembles, and why")
    async def similar(incident_id: str) -> dict[str, Any]:
        found = await asyncio.to_thread(postmortems.similar, incident_id)
        return {"similar": [asdict(each) for each in found]}

    return routes


def _exported(postmortems: Postmortems, found: Postmortem, form: Form, external_url: str) -> Response:
    if form == "html":
        page = postmortem.html(found.text, postmortems.charts(found), found.title)
        return Response(page, media_type="text/html; charset=utf-8", headers=_CLOSED)
    if form == "md":  # read elsewhere, where only whole addresses lead to the charts
        base = f"{external_url.rstrip('/')}/aiprism/v1/incidents/{found.incident_id}/postmortem"
        return Response(found.text.replace("](charts/", f"]({base}/charts/"), media_type="text/markdown; charset=utf-8")
    return Response(orjson.dumps({**asdict(found), **postmortems.frozen(found)}), media_type="application/json")
