"""notification-service: tells users that an analysis is done, in their inbox.

In: POST /notifications from document-processor. Out: GET /notifications, the reader's own, newest first.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from pydantic import BaseModel, Field
from sqlalchemy.engine import Engine

import aiprism
from aiprism_lab.database import insert_once, notifications, open_database
from aiprism_lab.serving import new_app
from aiprism_lab.wiring import Identity, Settings, identity

log = aiprism.logger("notification-service")


class NotificationIn(BaseModel):
    document_id: str
    text: str = Field(max_length=1000)


class Inbox:
    """Notifications in the database. Blocking; called in threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def put(self, message: NotificationIn, to: Identity, now: float) -> bool:
        """Keep the message; False when the same one is there already (a document finished twice after a crash)."""
        row = {
            "id": str(uuid.uuid4()),
            "user_id": to.user_id,
            "document_id": message.document_id,
            "text": message.text,
            "created_at": now,
        }
        return insert_once(self._engine, notifications, row)

    def read(self, user_id: str, now: float, limit: int = 50) -> list[dict[str, object]]:
        """The user's newest messages, which count as read from now on."""
        mine = notifications.c.user_id == user_id
        newest = notifications.select().where(mine).order_by(notifications.c.created_at.desc()).limit(limit)
        unread = notifications.update().where(mine, notifications.c.read_at.is_(None)).values(read_at=now)
        with self._engine.begin() as connection:
            rows = [dict(row) for row in connection.execute(newest).mappings()]
            connection.execute(unread)
        return rows


def build(settings: Settings) -> FastAPI:
    """The application of process "notification-service"."""
    engine = open_database(settings.database_url)
    inbox = Inbox(engine)
    aiprism.controls.pool("database", reset=engine.dispose)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        engine.dispose()

    app = new_app(settings, lifespan)

    @app.post("/notifications", status_code=202)
    async def put(message: NotificationIn) -> dict[str, bool]:
        new = await asyncio.to_thread(inbox.put, message, identity.get(), time.time())
        log.info("user notified", document_id=message.document_id, repeated=not new)
        return {"ok": True}

    @app.get("/notifications")
    async def read() -> dict[str, list[dict[str, object]]]:
        found = await asyncio.to_thread(inbox.read, identity.get().user_id, time.time())
        return {"notifications": found}

    return app
