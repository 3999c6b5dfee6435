"""user-service: organisations, users, sessions, and who is active right now.

In: sign-up, login, the session of each request. Out: who a session belongs to. Sessions live in Redis (`session:*`
hashes) when LAB_REDIS_URL is given, otherwise in this process, which then cannot be scaled.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import secrets
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Literal, Protocol

import redis.asyncio as redis
import sqlalchemy as sa
from fastapi import FastAPI, Header
from pydantic import BaseModel, Field
from sqlalchemy.engine import Engine, RowMapping

import aiprism
from aiprism.sdk.metrics import ActiveUsers
from aiprism_lab.database import insert_once, open_database, organizations, users
from aiprism_lab.serving import RefusedError, new_app
from aiprism_lab.wiring import Settings, untraced

SESSION_SECONDS = 3600.0
COUNT_SECONDS = 5.0

log = aiprism.logger("user-service")


@dataclass(frozen=True, slots=True)
class Session:
    """Who is signed in; `last_seen` is the last request's time."""

    user_id: str
    email: str
    organization: str
    user_type: str
    last_seen: float


class Sessions(Protocol):
    """Keeps sessions by token and forgets them `SESSION_SECONDS` after their last use."""

    async def put(self, token: str, session: Session) -> None: ...

    async def touch(self, token: str, now: float) -> Session | None:
        """The session, now last seen at `now`; None when it is unknown or over."""
        ...

    async def remove(self, token: str) -> None: ...

    async def count(self, active: ActiveUsers, now: float) -> None:
        """Record who is active."""
        ...

    async def aclose(self) -> None: ...


class LocalSessions:
    """Sessions of this process; gone when it ends, as users then notice by having to sign in again."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}

    async def put(self, token: str, session: Session) -> None:
        self._sessions[token] = session

    async def touch(self, token: str, now: float) -> Session | None:
        session = self._sessions.get(token)
        if session is None or now - session.last_seen > SESSION_SECONDS:
            return None
        self._sessions[token] = replace(session, last_seen=now)
        return self._sessions[token]

    async def remove(self, token: str) -> None:
        self._sessions.pop(token, None)

    async def count(self, active: ActiveUsers, now: float) -> None:
        over = [token for token, each in self._sessions.items() if now - each.last_seen > SESSION_SECONDS]
        for token in over:
            del self._sessions[token]
        active.record([_fields(each) for each in self._sessions.values()], now)

    async def aclose(self) -> None:
        return None


class RedisSessions:
    """Sessions as hashes `session:<token>`, shared by all replicas; Redis itself forgets them."""

    def __init__(self, url: str) -> None:
        self._redis = redis.Redis.from_url(url, decode_responses=True)

    async def put(self, token: str, session: Session) -> None:
        async with self._redis.pipeline() as commands:
            commands.hset(f"session:{token}", mapping={name: str(value) for name, value in asdict(session).items()})
            commands.expire(f"session:{token}", int(SESSION_SECONDS))
            await commands.execute()

    async def touch(self, token: str, now: float) -> Session | None:
        found = await self._read(f"session:{token}")
        if found is None:
            return None
        session = replace(found, last_seen=now)
        await self.put(token, session)
        return session

    async def remove(self, token: str) -> None:
        await self._redis.delete(f"session:{token}")

    async def count(self, active: ActiveUsers, now: float) -> None:
        # SCAN, not KEYS: KEYS would stop Redis for everybody while it walks through all keys.
        found = [await self._read(key) async for key in self._redis.scan_iter(match="session:*", count=500)]
        active.record([_fields(session) for session in found if session is not None], now)

    async def aclose(self) -> None:
        await self._redis.aclose()

    async def _read(self, key: str) -> Session | None:
        fields = await self._redis.hgetall(key)
        if not fields:
            return None
        user_id, email, organization, user_type = (
            str(fields[name]) for name in ("user_id", "email", "organization", "user_type")
        )
        return Session(user_id, email, organization, user_type, float(fields["last_seen"]))


def _fields(session: Session) -> dict[str, str]:
    return {name: str(value) for name, value in asdict(session).items()}


class SignUp(BaseModel):
    email: str = Field(pattern=r"^[^@\s]+@[^@\s]+$", max_length=200)
    password: str = Field(min_length=8, max_length=200)
    organization: str = Field(min_length=1, max_length=80)
    tier: Literal["standard", "premium", "enterprise"] = "standard"


class LogIn(BaseModel):
    email: str
    password: str


class Accounts:
    """Users and organisations in the database. Blocking; called in threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def sign_up(self, wanted: SignUp, now: float) -> str | None:
        """The new user's id, or None when the address is taken. The first user of an organisation sets its tier."""
        insert_once(self._engine, organizations, {"name": wanted.organization, "tier": wanted.tier, "created_at": now})
        salt, user_id = os.urandom(16), str(uuid.uuid4())
        row = {
            "id": user_id,
            "email": wanted.email.lower(),
            "organization": wanted.organization,
            "password_salt": salt,
            "password_hash": _hashed(wanted.password, salt),
            "created_at": now,
        }
        return user_id if insert_once(self._engine, users, row) else None

    def log_in(self, wanted: LogIn) -> RowMapping | None:
        """The user with the tier of their organisation, when the password is right."""
        joined = sa.select(users, organizations.c.tier).join(
            organizations, users.c.organization == organizations.c.name
        )
        with self._engine.connect() as connection:
            row = connection.execute(joined.where(users.c.email == wanted.email.lower())).mappings().first()
        if row is None or not hmac.compare_digest(_hashed(wanted.password, row["password_salt"]), row["password_hash"]):
            return None
        return row


def _hashed(password: str, salt: bytes) -> bytes:
    # 2^12 rounds take about 10 ms: enough for a system that holds generated documents on loopback.
    return hashlib.scrypt(password.encode(), salt=salt, n=2**12, r=8, p=1)


def build(settings: Settings) -> FastAPI:
    """The application of process "user-service"."""
    engine = open_database(settings.database_url)
    accounts = Accounts(engine)
    sessions: Sessions = RedisSessions(settings.redis_url) if settings.redis_url else LocalSessions()
    aiprism.controls.pool("database", reset=engine.dispose)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        counting = asyncio.create_task(_count_active(sessions))
        yield
        counting.cancel()
        await asyncio.gather(counting, return_exceptions=True)
        await sessions.aclose()
        engine.dispose()

    app = new_app(settings, lifespan)

    @app.post("/users", status_code=201)
    async def sign_up(wanted: SignUp) -> dict[str, str]:
        user_id = await asyncio.to_thread(accounts.sign_up, wanted, time.time())
        if user_id is None:
            raise RefusedError(409, "taken", "there is an account with this address already")
        return {"id": user_id}

    @app.post("/sessions", status_code=201)
    async def log_in(wanted: LogIn) -> dict[str, str]:
        row = await asyncio.to_thread(accounts.log_in, wanted)
        if row is None:
            log.warning("login refused", email=wanted.email)
            raise RefusedError(401, "wrong_credentials", "address or password is wrong")
        token = secrets.token_urlsafe(24)
        session = Session(row["id"], row["email"], row["organization"], row["tier"], time.time())
        await sessions.put(token, session)
        return {"token": token, **_public(session)}

    @app.get("/session")
    async def whose(x_session: Annotated[str, Header()] = "") -> dict[str, str]:
        session = await sessions.touch(x_session, time.time())
        if session is None:
            raise RefusedError(401, "no_session", "sign in first")
        return _public(session)

    @app.delete("/session", status_code=204)
    async def log_out(x_session: Annotated[str, Header()] = "") -> None:
        await sessions.remove(x_session)

    return app


def _public(session: Session) -> dict[str, str]:
    return {
        "user_id": session.user_id,
        "email": session.email,
        "organization": session.organization,
        "tier": session.user_type,
    }


async def _count_active(sessions: Sessions) -> None:
    """Keep the gauge of active users up to date, until cancelled."""
    active = ActiveUsers()
    while True:
        try:
            with untraced():
                await sessions.count(active, time.time())
        except Exception as error:
            log.error("the sessions cannot be counted", error=error)
        await asyncio.sleep(COUNT_SECONDS)
