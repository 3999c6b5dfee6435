"""War rooms over HTTP: read, written in, followed live. Decode, call, encode."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, Literal

from fastapi import APIRouter, Header, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from aiprism.clock import Clock
from aiprism.errors import BadInput
from aiprism.respond.incident import Evidence
from aiprism.respond.rooms import SHOWN, News, Rooms
from aiprism.respond.warroom import MOST_CHARACTERS, Place
from aiprism.web.following import Streams

_LISTENERS = 200
_LOOK, _HEARTBEAT = 2.0, 15.0  # seconds; another process may have written, which rings no bell here


class Actor(BaseModel):
    """Who does something."""

    model_config = ConfigDict(extra="forbid")

    actor: str = Field(min_length=1, max_length=200)


class Message(Actor):
    """What somebody says; a command begins with a slash."""

    text: str = Field(min_length=1, max_length=MOST_CHARACTERS)


class Pinned(Actor):
    """What somebody pins: of an entry or a message its id as `ref`, of all else a text."""

    evidence: Evidence = Evidence.LINK
    text: str = Field(default="", max_length=MOST_CHARACTERS)
    ref: str = Field(default="", max_length=200)
    url: str = Field(default="", max_length=2000)


def router(rooms: Rooms, clock: Clock) -> APIRouter:
    """The routes under /aiprism/v1/incidents/{id}/room."""
    routes = APIRouter(prefix="/aiprism/v1/incidents/{incident_id}/room", tags=["incidents"])

    @routes.get("", summary="The war room: who is in it, what is pinned, the last messages and the timeline")
    async def one(incident_id: str) -> dict[str, Any]:
        return await asyncio.to_thread(rooms.read, incident_id)

    @routes.post("/open", summary="Open a room for an incident of whatever tier; one that there is stays")
    async def opened(incident_id: str, said: Actor) -> dict[str, Any]:
        await asyncio.to_thread(rooms.open, incident_id, said.actor)
        return await asyncio.to_thread(rooms.read, incident_id)

    @routes.get("/messages", summary="Messages in the order of their ids: the last before one, or the first after one")
    async def messages(
        incident_id: str,
        before: int = Query(0, ge=0),
        after: int = Query(0, ge=0),
        limit: int = Query(SHOWN, ge=1, le=1000),
    ) -> dict[str, Any]:
        found = await asyncio.to_thread(rooms.messages, incident_id, before=before, after=after, limit=limit)
        return {"messages": found}

    @routes.post("/messages", summary="Say something; what begins with a slash is a command")
    async def say(incident_id: str, said: Message) -> dict[str, Any]:
        return await asyncio.to_thread(rooms.say, incident_id, said.actor, said.text)

    @routes.post(
        "/pins", summary="Pin evidence: a line of the timeline, a message, a query, a log line, a trace, a link"
    )
    async def pin(incident_id: str, said: Pinned) -> dict[str, Any]:
        return await asyncio.to_thread(
            rooms.pin, incident_id, said.actor, said.evidence, text=said.text, ref=said.ref, url=said.url
        )

    @routes.delete("/pins/{pin_id}", summary="Take evidence away; that it was pinned stays in the room")
    async def unpin(incident_id: str, pin_id: int, actor: str = Query(min_length=1, max_length=200)) -> dict[str, Any]:
        await asyncio.to_thread(rooms.unpin, incident_id, actor, pin_id)
        return await asyncio.to_thread(rooms.read, incident_id)

    _coming_and_going(routes, rooms)
    _live(routes, rooms, clock)
    return routes


def _coming_and_going(routes: APIRouter, rooms: Rooms) -> None:
    @routes.post("/join", summary="Somebody comes into the room")
    async def join(incident_id: str, said: Actor) -> dict[str, Any]:
        await asyncio.to_thread(rooms.join, incident_id, said.actor)
        return await asyncio.to_thread(rooms.read, incident_id)

    @routes.post("/leave", summary="Somebody leaves the room")
    async def leave(incident_id: str, said: Actor) -> dict[str, Any]:
        await asyncio.to_thread(rooms.leave, incident_id, said.actor)
        return await asyncio.to_thread(rooms.read, incident_id)


def _live(routes: APIRouter, rooms: Rooms, clock: Clock) -> None:
    streams = Streams("listeners of war rooms", _LISTENERS)

    @routes.get("/events", summary="What happens in the room and on the timeline, live (server-sent events)")
    async def events(
        incident_id: str,
        after: str = Query("", description="the `place` up to which all is known; without one, from now on"),
        last_event_id: str = Header("", description="as browsers send it: goes before `after`"),
    ) -> StreamingResponse:
        end = await asyncio.to_thread(rooms.end, incident_id)
        parts = await streams.begun(_followed(rooms, incident_id, _place(last_event_id or after, end), clock))
        return StreamingResponse(parts, media_type="text/event-stream", headers={"Cache-Control": "no-store"})


def _place(text: str, end: Place) -> Place:
    if not text:
        return end
    found = Place.of(text)
    if found is None:
        raise BadInput(f"{text[:40]!r} is no place in a room: give `place` of the room, or the id of an event")
    return found


async def _followed(rooms: Rooms, incident_id: str, place: Place, clock: Clock) -> AsyncIterator[bytes]:
    """Events, for ever: what is new is told in portions, so that a long backlog is never held as a whole."""
    heard = clock.monotonic()
    yield b": here is the room\n\n"
    with rooms.listening() as bell:
        while True:
            news = await asyncio.to_thread(rooms.news, incident_id, place)
            if news.place != place:
                yield _events(news, place)
                place, heard = news.place, clock.monotonic()
                continue
            if clock.monotonic() - heard >= _HEARTBEAT:
                heard = clock.monotonic()
                yield b": still here\n\n"
            await bell.wait(clock, _LOOK)


def _events(news: News, before: Place) -> bytes:
    """The id of each event says how far who has it has read."""
    place, parts = before, list[bytes]()
    for line in news.lines:
        place = Place(line["id"], place.event)
        parts.append(_event("line", place, line))
    for entry in news.timeline:
        place = Place(place.line, entry["id"])
        parts.append(_event("timeline", place, entry))
    if news.incident is not None:
        parts.append(_event("incident", place, news.incident))
    return b"".join(parts)


def _event(kind: Literal["line", "timeline", "incident"], place: Place, body: dict[str, Any]) -> bytes:
    return f"id: {place}\nevent: {kind}\ndata: {json.dumps(body, ensure_ascii=False)}\n\n".encode()
