"""What people do about an incident beside moving it: its priority, who has it, roles, tasks, evidence, merging and splitting.

Decode, call, encode. Every request may be sent again: what is so already changes nothing, and a task is known by its `key`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Literal, TypeAlias

from fastapi import APIRouter
from pydantic import BaseModel, Field, model_validator

from aiprism.model.alerts import Priority
from aiprism.respond.incident import (
    Assigned,
    Event,
    Impact,
    Pinned,
    PriorityChanged,
    RoleReleased,
    RoleTaken,
    TaskAdded,
    TaskAssigned,
    TaskDone,
    TaskReopened,
    Urgency,
)
from aiprism.respond.pipeline import Respond

Role = Literal["commander", "scribe", "communications", "operations", "expert"]
Show: TypeAlias = Callable[[str], dict[str, Any]]


class By(BaseModel):
    """Who does it."""

    actor: str = Field(min_length=1, max_length=200)


class Remark(By):
    """Who does it, and what they say with it."""

    text: str = Field(default="", max_length=10_000)


class Rated(By):
    """How much is affected, how soon it must be answered, or the priority itself; nothing of it gives it back to the alerts."""

    text: str = Field(min_length=1, max_length=10_000, description="why")
    impact: Impact | None = None
    urgency: Urgency | None = None
    priority: Priority | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Rated:
        if self.priority and (self.impact or self.urgency):
            raise ValueError("say the priority itself, or impact and urgency, not both")
        return self


class Assignment(Remark):
    """Who is to take care of it; empty for nobody."""

    to: str = Field(max_length=200)


class RoleOf(By):
    """Who has a role from now on; empty for nobody."""

    role: Role
    person: str = Field(max_length=200)


class NewTask(By):
    """Something to be done. One of a `key` that is there already is not added again."""

    text: str = Field(min_length=1, max_length=1000)
    assignee: str = Field(default="", max_length=200)
    due: float | None = Field(default=None, allow_inf_nan=False, description="Unix seconds")
    key: str = Field(default="", max_length=200)


class TaskTerms(By):
    """Who does it, and by when (Unix seconds); what is left out stays."""

    assignee: str | None = Field(default=None, max_length=200)
    due: float | None = Field(default=None, allow_inf_nan=False)


class Evidence(Remark):
    """A link, a query, a trace id, or any words worth coming back to."""

    what: str = Field(min_length=1, max_length=2000)


class TakingIn(Remark):
    """The incident that goes on as a part of this one."""

    other: str = Field(min_length=1, max_length=100)


class Parting(Remark):
    """The fingerprints of alerts that are an incident of their own."""

    alerts: list[str] = Field(min_length=1, max_length=10_000)


def router(respond: Respond, show: Show) -> APIRouter:
    """The routes under an incident; `show` tells an incident as its own page does."""
    routes = APIRouter(prefix="/{incident_id}")

    async def happened(incident_id: str, event: Event) -> dict[str, Any]:
        after = await asyncio.to_thread(respond.happen, incident_id, event)
        return await asyncio.to_thread(show, after.id)

    _people(routes, happened)
    _tasks(routes, happened)

    @routes.post("/merge", summary="Take in another incident, which goes on as a part of this one")
    async def merge(incident_id: str, said: TakingIn) -> dict[str, Any]:
        after = await asyncio.to_thread(respond.merge, incident_id, said.other, said.actor, said.text)
        return await asyncio.to_thread(show, after.id)

    @routes.post("/split", summary="Make some of its alerts an incident of their own, and answer with that")
    async def split(incident_id: str, said: Parting) -> dict[str, Any]:
        after = await asyncio.to_thread(respond.split, incident_id, said.alerts, said.actor, said.text)
        return await asyncio.to_thread(show, after.id)

    return routes


_Happened: TypeAlias = Callable[[str, Event], Awaitable[dict[str, Any]]]


def _people(routes: APIRouter, happened: _Happened) -> None:
    """Who has it, how urgent it is, and what to keep at hand."""

    @routes.post("/priority", summary="Say how much is affected, how soon it must be answered, or the priority itself")
    async def rate(incident_id: str, said: Rated) -> dict[str, Any]:
        return await happened(
            incident_id, PriorityChanged(said.actor, said.text, said.impact, said.urgency, said.priority)
        )

    @routes.post("/assign", summary="Say who is to take care of it")
    async def assign(incident_id: str, said: Assignment) -> dict[str, Any]:
        return await happened(incident_id, Assigned(said.actor, said.to, said.text))

    @routes.post("/roles", summary="Give a role to somebody, or to nobody")
    async def take_role(incident_id: str, said: RoleOf) -> dict[str, Any]:
        released, taken = RoleReleased(said.actor, said.role), RoleTaken(said.actor, said.role, said.person)
        return await happened(incident_id, taken if said.person else released)

    @routes.post("/pin", summary="Keep a piece of evidence at hand")
    async def pin(incident_id: str, said: Evidence) -> dict[str, Any]:
        return await happened(incident_id, Pinned(said.actor, said.what, said.text))


def _tasks(routes: APIRouter, happened: _Happened) -> None:
    """What is to be done."""

    @routes.post("/tasks", summary="Add a task")
    async def add(incident_id: str, said: NewTask) -> dict[str, Any]:
        return await happened(incident_id, TaskAdded(said.actor, said.text, said.assignee, said.due, said.key))

    @routes.post("/tasks/{task}/assign", summary="Say who does a task, and by when")
    async def hand(incident_id: str, task: str, said: TaskTerms) -> dict[str, Any]:
        return await happened(incident_id, TaskAssigned(said.actor, task, said.assignee, said.due))

    @routes.post("/tasks/{task}/done", summary="Say that a task is done")
    async def done(incident_id: str, task: str, said: Remark) -> dict[str, Any]:
        return await happened(incident_id, TaskDone(said.actor, task, said.text))

    @routes.post("/tasks/{task}/reopen", summary="Say that a task is not done after all")
    async def reopen(incident_id: str, task: str, said: Remark) -> dict[str, Any]:
        return await happened(incident_id, TaskReopened(said.actor, task, said.text))
