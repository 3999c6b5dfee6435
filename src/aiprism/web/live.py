"""What has changed, as server-sent events: `incidents`, `alerts`, `silences`, for pages that would else ask again and again.

One look a second serves every listener, and nobody looks while nobody listens. An event says that something is new and not
what: whoever shows it asks for it. A listener that is too slow misses none of the topics, only how often they changed.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager

import structlog
from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from aiprism.clock import Clock
from aiprism.errors import Unavailable
from aiprism.store import freshness
from aiprism.store.records import Records

log = structlog.get_logger()

_LOOK, _HEARTBEAT = 1.0, 15.0
_MOST = 200  # listeners, of the connections a server has; a browser needs one however many tabs it has


class Live:
    """Tells its listeners which topics of the control database have changed."""

    def __init__(self, records: Records, clock: Clock) -> None:
        self._records, self._clock = records, clock
        self._listeners: set[_Listener] = set()
        self._looking: asyncio.Task[None] | None = None
        self.looks = 0

    @property
    def is_looking(self) -> bool:
        """Whether somebody listens, or did a moment ago."""
        return self._looking is not None and not self._looking.done()

    def changes(self) -> AsyncGenerator[bytes, None]:
        """The events of one listener, for ever; Unavailable when there are too many."""
        if len(self._listeners) >= _MOST:
            raise Unavailable(f"{_MOST} listeners follow changes already, which is as many as may")
        return self._told()

    async def _told(self) -> AsyncGenerator[bytes, None]:
        async with self._listening() as listener:
            yield b"retry: 2000\n: following\n\n"
            while True:
                topics = await listener.changed(_HEARTBEAT)
                yield b"".join(map(_event, topics)) or b": still here\n\n"

    @asynccontextmanager
    async def _listening(self) -> AsyncIterator[_Listener]:
        listener = _Listener()
        self._listeners.add(listener)
        if not self.is_looking:
            self._looking = asyncio.create_task(self._look(), name="live")
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    async def _look(self) -> None:
        known: Mapping[str, str] | None = None
        while self._listeners:
            try:
                found = await asyncio.to_thread(self._tokens)
            except Exception as error:  # the database may be away for a while; listeners wait
                log.warning("live.failed", error=repr(error))
            else:
                changed = [topic for topic, token in found.items() if known and known[topic] != token]
                for listener in self._listeners:
                    listener.tell(changed)
                known, self.looks = found, self.looks + 1
            await self._clock.sleep(_LOOK)

    def _tokens(self) -> Mapping[str, str]:
        with self._records.reading() as connection:
            return freshness.tokens(connection)


class _Listener:
    """The topics that changed since it was told last."""

    def __init__(self) -> None:
        self._topics: dict[str, None] = {}
        self._any = asyncio.Event()

    def tell(self, topics: list[str]) -> None:
        if topics:
            self._topics.update(dict.fromkeys(topics))
            self._any.set()

    async def changed(self, seconds: float) -> list[str]:
        """The topics, once there are any; none after so many seconds without."""
        try:
            async with asyncio.timeout(seconds):
                await self._any.wait()
        except TimeoutError:
            return []
        topics, self._topics = list(self._topics), {}
        self._any.clear()
        return topics


def _event(topic: str) -> bytes:
    return f"event: {topic}\ndata: {json.dumps({'topic': topic})}\n\n".encode()


def router(records: Records, clock: Clock) -> APIRouter:
    """GET /aiprism/v1/live."""
    routes = APIRouter(prefix="/aiprism/v1", tags=["live"])
    live = Live(records, clock)

    @routes.get("/live", summary="Which topics changed, as server-sent events", response_class=StreamingResponse)
    async def changes() -> StreamingResponse:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(live.changes(), media_type="text/event-stream", headers=headers)

    return routes
