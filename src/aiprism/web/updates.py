"""Status updates over HTTP: posted, previewed, the communication log, and the feed that everybody may read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree as Xml

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from aiprism.respond.updates import MOST_CHARACTERS, Updates, Wanted
from aiprism.store.updates import UpdateRow

_ATOM = "http://www.w3.org/2005/Atom"


class Draft(BaseModel):
    """What is to be told, and whom: a text, or the name of a template."""

    model_config = ConfigDict(extra="forbid")

    audience: str = Field(min_length=1, max_length=200)
    status: str = Field(default="", max_length=40, description="investigating, identified …; that of the incident")
    text: str = Field(default="", max_length=MOST_CHARACTERS)
    template: str = Field(default="", max_length=200)
    title: str = Field(default="", max_length=200)

    def wanted(self) -> Wanted:
        """The same as the room knows it."""
        return Wanted(self.audience, self.status, self.text, self.template, self.title)


class Update(Draft):
    """An update somebody posts."""

    actor: str = Field(min_length=1, max_length=200)


def router(updates: Updates, external_url: Callable[[], str]) -> APIRouter:
    """The routes under /aiprism/v1/incidents/{id}/updates, the audiences, and the public feed."""
    routes = APIRouter(prefix="/aiprism/v1", tags=["incidents"])

    @routes.get("/incidents/{incident_id}/updates", summary="The communication log: what was told whom, and if it came")
    async def log(incident_id: str) -> dict[str, Any]:
        return {"updates": await asyncio.to_thread(updates.log, incident_id)}

    @routes.post("/incidents/{incident_id}/updates", summary="Tell an audience how it stands")
    async def post(incident_id: str, update: Update) -> dict[str, Any]:
        return await asyncio.to_thread(updates.post, incident_id, update.actor, update.wanted())

    @routes.post("/incidents/{incident_id}/updates/preview", summary="What would be told, and whom; nothing is")
    async def preview(incident_id: str, draft: Draft) -> dict[str, Any]:
        return await asyncio.to_thread(updates.preview, incident_id, draft.wanted())

    @routes.get("/audiences", summary="Who can be told how incidents stand, and the templates of what they are told")
    async def audiences() -> dict[str, Any]:
        return await asyncio.to_thread(updates.choices)

    @routes.get("/feed/status.json", summary="What public audiences were told, newest first")
    async def feed() -> dict[str, Any]:
        return {"updates": [_public(row) for row in await asyncio.to_thread(updates.feed)]}

    @routes.get("/feed/status.atom", summary="The same as an Atom feed", response_class=Response)
    async def atom() -> Response:
        text = _atom(await asyncio.to_thread(updates.feed), f"{external_url().rstrip('/')}/aiprism/v1/feed/status.atom")
        return Response(text, media_type="application/atom+xml; charset=utf-8")

    return routes


def _public(row: UpdateRow) -> dict[str, Any]:
    """Of an update what everybody may know: neither who wrote it nor which incident it is of."""
    return {name: value for name, value in row.items() if name in ("id", "at", "status", "title", "text")}


def _atom(rows: list[UpdateRow], address: str) -> bytes:
    """An Atom feed (RFC 4287)."""
    Xml.register_namespace("", _ATOM)
    feed = Xml.Element(f"{{{_ATOM}}}feed")
    _put(feed, "id", address)
    _put(feed, "title", "Status")
    _put(feed, "updated", _time(rows[0]["at"] if rows else 0.0))
    _put(_put(feed, "author"), "name", "Status")
    _put(feed, "link").attrib.update({"rel": "self", "href": address})
    for row in rows:
        entry = _put(feed, "entry")
        _put(entry, "id", f"{address}#{row['id']}")
        _put(entry, "title", f"{row['status'].capitalize()}: {row['title']}")
        _put(entry, "updated", _time(row["at"]))
        _put(entry, "content", row["text"]).set("type", "text")
    written: bytes = Xml.tostring(feed, encoding="utf-8", xml_declaration=True)
    return written


def _put(parent: Xml.Element, name: str, text: str | None = None) -> Xml.Element:
    child = Xml.SubElement(parent, f"{{{_ATOM}}}{name}")
    child.text = text
    return child


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
