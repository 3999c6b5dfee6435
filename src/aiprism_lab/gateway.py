"""api-gateway: the one door of the system, with a web page for people.

In: sign-up, login, uploads, questions of users. Out: the answers of the services behind, called as the user that the
session belongs to. It holds no data of its own.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from importlib.resources import files

import httpx
from fastapi import Depends, FastAPI, Request
from fastapi.responses import HTMLResponse, Response

import aiprism
from aiprism_lab.serving import RefusedError, new_app
from aiprism_lab.wiring import Identity, Peers, Settings, Topology, identity

SESSION_COOKIE = "lab_session"
REMEMBER_SECONDS = 5.0  # how long a session's owner is believed without asking user-service again
REMEMBERED = 5000
MAX_BODY_BYTES = 6 * 1024 * 1024

log = aiprism.logger("api-gateway")


class KnownSessions:
    """Owners of sessions, remembered for a moment so that not every request costs two."""

    def __init__(self) -> None:
        self._owners: OrderedDict[str, tuple[float, dict[str, str]]] = OrderedDict()

    def owner(self, token: str, now: float) -> dict[str, str] | None:
        until, owner = self._owners.get(token, (0.0, {}))
        return owner if now < until else None

    def remember(self, token: str, owner: dict[str, str], now: float) -> None:
        self._owners[token] = (now + REMEMBER_SECONDS, owner)
        self._owners.move_to_end(token)
        while len(self._owners) > REMEMBERED:
            self._owners.popitem(last=False)

    def forget(self, token: str) -> None:
        self._owners.pop(token, None)


class Door:
    """Finds out who asks, and passes requests on to the service that answers them."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers
        self._known = KnownSessions()

    async def signed_in(self, request: Request) -> AsyncIterator[None]:
        """Refuse a request without a session; call everything until the answer is sent as the session's owner."""
        token = _token(request)
        owner = self._known.owner(token, time.monotonic()) or await self._ask(token)
        known = replace(
            identity.get(), user_id=owner["user_id"], organization=owner["organization"], tier=owner["tier"]
        )
        request.state.owner = owner
        with _as(known):
            yield

    async def _ask(self, token: str) -> dict[str, str]:
        if not token:
            raise RefusedError(401, "no_session", "sign in first")
        answer = await self._peers.request("user-service", "GET", "/session", headers={"x-session": token})
        if answer.status_code == 401:
            raise RefusedError(401, "no_session", "this session is over; sign in again")
        answer.raise_for_status()
        owner: dict[str, str] = answer.json()
        self._known.remember(token, owner, time.monotonic())
        return owner

    async def pass_on(self, service: str, request: Request, path: str = "") -> Response:
        """The service's answer to the same request, under `path` when that differs."""
        body = await _body(request)
        headers = {"content-type": request.headers["content-type"]} if body else {}
        answer = await self._peers.request(
            service,
            request.method,
            path or request.url.path,
            content=body or None,
            headers=headers,
            params=dict(request.query_params),
        )
        return _passed(answer)

    async def log_in(self, request: Request) -> Response:
        """A session for the right credentials, as JSON and as a cookie for browsers."""
        answer = await self.pass_on("user-service", request, "/sessions")
        if answer.status_code == 201:
            token = httpx.Response(201, content=bytes(answer.body)).json()["token"]
            answer.set_cookie(SESSION_COOKIE, token, httponly=True, samesite="strict")
        return answer

    async def log_out(self, request: Request) -> Response:
        token = _token(request)
        self._known.forget(token)
        answer = _passed(await self._peers.request("user-service", "DELETE", "/session", headers={"x-session": token}))
        answer.delete_cookie(SESSION_COOKIE)
        return answer


def build(settings: Settings) -> FastAPI:
    """The application of process "api-gateway"."""
    peers = Peers(Topology(settings.topology))
    door = Door(peers)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await peers.aclose()

    app = new_app(settings, lifespan)
    page = files("aiprism_lab").joinpath("web.html").read_text(encoding="utf-8")
    signed_in = [Depends(door.signed_in)]

    @app.get("/")
    async def front() -> HTMLResponse:
        return HTMLResponse(page)

    @app.post("/signup")
    async def sign_up(request: Request) -> Response:
        return await door.pass_on("user-service", request, "/users")

    @app.post("/login")
    async def log_in(request: Request) -> Response:
        return await door.log_in(request)

    @app.post("/logout")
    async def log_out(request: Request) -> Response:
        return await door.log_out(request)

    @app.get("/me", dependencies=signed_in)
    async def me(request: Request) -> dict[str, str]:
        owner: dict[str, str] = request.state.owner
        return owner

    @app.post("/documents", dependencies=signed_in)
    @app.get("/documents", dependencies=signed_in)
    @app.get("/documents/{document_id}", dependencies=signed_in)
    @app.get("/documents/{document_id}/result", dependencies=signed_in)
    async def documents(request: Request) -> Response:
        return await door.pass_on("document-processor", request)

    @app.post("/feedback", dependencies=signed_in)
    async def feedback(request: Request) -> Response:
        return await door.pass_on("feedback-service", request)

    @app.get("/notifications", dependencies=signed_in)
    async def notifications(request: Request) -> Response:
        return await door.pass_on("notification-service", request)

    return app


@contextmanager
def _as(known: Identity) -> Iterator[None]:
    token = identity.set(known)
    try:
        with aiprism.context(
            user_id=known.user_id, organization_id=known.organization, user_tier=known.tier, request_id=known.request_id
        ):
            yield
    finally:
        identity.reset(token)


def _token(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else request.cookies.get(SESSION_COOKIE, "")


async def _body(request: Request) -> bytes:
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise RefusedError(413, "too_large", f"the request is larger than {MAX_BODY_BYTES} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


def _passed(answer: httpx.Response) -> Response:
    if answer.status_code >= 500:
        log.error("a service failed", status_code=answer.status_code, url=str(answer.request.url))
    if answer.status_code == 204:
        return Response(status_code=204)
    return Response(answer.content, answer.status_code, media_type=answer.headers.get("content-type"))
