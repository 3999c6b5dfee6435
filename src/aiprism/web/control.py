"""The control channel over HTTP: instrumented services poll, people and programs issue commands.

Whoever gets or gives commands shows the control token; looking at services and at one command needs none.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Request
from pydantic import BaseModel, Field

from aiprism.errors import Refused, Unavailable
from aiprism.respond.actions.control import MAX_WAIT_SECONDS, Ack, ControlHub, Instance, Poll, Wanted

_NAME = Field(min_length=1, max_length=200)


class Unauthorized(Refused):
    """The control token is missing or wrong."""

    status, code = 401, "unauthorized"


class ControlState(BaseModel):
    """A control an instance registered."""

    name: str = _NAME
    kind: Literal["circuit_breaker", "traffic_weight", "pool", "fault_point"]
    state: dict[str, Any] = Field(default_factory=dict)


class Acknowledgement(BaseModel):
    """What an instance says about a command."""

    command_id: str = _NAME
    status: Literal["applied", "failed", "undone", "expired"]
    message: str = Field(default="", max_length=10_000)
    at: float


class PollRequest(BaseModel):
    """One poll of an instance."""

    service: str = _NAME
    instance: str = _NAME
    version: str = ""
    environment: str = ""
    pid: int = 0
    controls: list[ControlState] = Field(default_factory=list, max_length=1000)
    acks: list[Acknowledgement] = Field(default_factory=list, max_length=10_000)
    wait_seconds: float = Field(default=25.0, ge=0, le=MAX_WAIT_SECONDS)


class CommandRequest(BaseModel):
    """A command to be issued."""

    service: str = _NAME
    instance: str = Field(default="", max_length=200)
    control: str = _NAME
    action: str = _NAME
    params: dict[str, Any] = Field(default_factory=dict)
    ttl_seconds: float | None = Field(default=None, gt=0)
    reason: str = Field(default="", max_length=10_000)
    actor: str = Field(default="", max_length=200)


def knows(token: str) -> Callable[..., Awaitable[None]]:
    """A dependency of routes that lets only those in who show `token`; with an empty one nobody."""

    async def known(authorization: Annotated[str, Header()] = "") -> None:
        scheme, _, shown = authorization.partition(" ")
        # compare_digest takes as long for a token that is wrong at the start as for one wrong at the end.
        right = hmac.compare_digest(shown.strip().encode(), token.encode())
        if not token or scheme.lower() != "bearer" or not right:
            raise Unauthorized("show the control token: Authorization: Bearer <token>")

    return known


def router(hub: ControlHub, token: str, leads: Callable[[], bool] = lambda: True) -> APIRouter:
    """The routes under /aiprism/v1/control; with an empty `token` nobody is let in.

    Only the process that `leads` the response serves them: it must know which instances are there.
    """
    routes = APIRouter(prefix="/aiprism/v1/control", tags=["control"])

    known = knows(token)

    async def here() -> None:
        if not leads():
            raise Unavailable("another process leads the response and has the control channel; ask it", retry_after=1)

    guarded = [Depends(known), Depends(here)]

    @routes.post("/poll", dependencies=guarded, summary="A service asks for its commands (long poll)")
    async def poll(asked: PollRequest, request: Request) -> dict[str, Any]:
        instance = Instance(
            service=asked.service,
            instance=asked.instance,
            version=asked.version,
            environment=asked.environment,
            pid=asked.pid,
            controls=tuple(control.model_dump() for control in asked.controls),
            last_seen=0.0,
        )
        acks = tuple(Ack(ack.command_id, ack.status, ack.message, ack.at) for ack in asked.acks)
        return await _unless_hung_up(hub, Poll(instance, acks, asked.wait_seconds), request)

    @routes.get("/services", summary="Instances that can be steered, and their controls")
    async def services() -> dict[str, Any]:
        return {"services": [_service(instance) for instance in hub.live()]}

    @routes.post("/commands", dependencies=guarded, summary="Issue a command")
    async def issue(request: CommandRequest) -> dict[str, Any]:
        return await asyncio.to_thread(hub.issue, Wanted(**request.model_dump()))

    @routes.get("/commands/{command_id}", summary="A command, its acknowledgements and its state")
    async def command(command_id: str) -> dict[str, Any]:
        return await asyncio.to_thread(hub.command, command_id)

    @routes.delete("/commands/{command_id}", dependencies=guarded, summary="Undo a command everywhere")
    async def revoke(command_id: str) -> dict[str, Any]:
        return await asyncio.to_thread(hub.revoke, command_id)

    return routes


async def _unless_hung_up(hub: ControlHub, poll: Poll, request: Request) -> dict[str, Any]:
    """The hub's answer; when the service hangs up before it, the hub is told, and nobody reads what is returned."""
    answering = asyncio.ensure_future(hub.poll(poll))
    hanging_up = asyncio.ensure_future(_hung_up(request))
    try:
        await asyncio.wait((answering, hanging_up), return_when=asyncio.FIRST_COMPLETED)
        if answering.done():
            return answering.result()
        hub.hung_up(poll.instance)
        return {}
    finally:
        answering.cancel()
        hanging_up.cancel()


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        continue


def _service(instance: Instance) -> dict[str, Any]:
    return {
        "service": instance.service,
        "instance": instance.instance,
        "version": instance.version,
        "environment": instance.environment,
        "pid": instance.pid,
        "last_seen": instance.last_seen,
        "controls": list(instance.controls),
    }
