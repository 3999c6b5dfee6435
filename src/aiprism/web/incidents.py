"""Incidents over HTTP: list, look at, and what people do with them. Decode, call, encode; `respond` decides."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from aiprism.errors import NotFound
from aiprism.respond import deadlines, dossier, graph, journal
from aiprism.respond.incident import (
    Acknowledged,
    Event,
    Identified,
    Noted,
    ReopenedByHand,
    ResolvedByHand,
    Responded,
    Unacknowledged,
    next_due,
)
from aiprism.respond.responder import Responder
from aiprism.respond.tiers import Deadline
from aiprism.store import incidents as store
from aiprism.web import incidentwork


class Said(BaseModel):
    """Who does something to an incident, and what they say with it."""

    actor: str = Field(min_length=1, max_length=200)
    text: str = Field(default="", max_length=10_000)


class Comment(Said):
    """A comment says something."""

    text: str = Field(min_length=1, max_length=10_000)


class Decider(BaseModel):
    """Who approves or refuses a runbook."""

    actor: str = Field(min_length=1, max_length=200)


class Ended(Decider):
    """Who ends a run, and why."""

    reason: str = Field(default="", max_length=10_000)


class Wanted(Decider):
    """Which runbook somebody starts, why, and for which of the incident's alerts, if not the first it matches."""

    runbook: str = Field(min_length=1, max_length=63)
    reason: str = Field(min_length=1, max_length=10_000)
    fingerprint: str = Field(default="", max_length=64)


Listed = Literal["open", "all", "investigating", "identified", "monitoring", "resolved"]


def router(responder: Responder) -> APIRouter:
    """The routes under /aiprism/v1/incidents."""
    routes = APIRouter(prefix="/aiprism/v1/incidents", tags=["incidents"])

    @routes.get("", summary="Incidents, newest first")
    async def listed(status: Listed = "open", limit: int = Query(100, ge=1, le=1000)) -> dict[str, Any]:
        return {"incidents": await asyncio.to_thread(_listed, responder, status, limit)}

    @routes.get("/{incident_id}", summary="One incident with its timeline, notifications and runbook runs")
    async def one(incident_id: str) -> dict[str, Any]:
        return await asyncio.to_thread(shown, responder, incident_id)

    @routes.get("/{incident_id}/correlation", summary="Why its alerts are one incident: nodes, edges, changes before")
    async def correlation(incident_id: str) -> dict[str, Any]:
        return await asyncio.to_thread(_graph, responder, incident_id)

    _people(routes, responder)
    _runbooks(routes, responder)
    routes.include_router(incidentwork.router(responder.pipeline, partial(shown, responder)))
    return routes


_SAID: Mapping[str, tuple[str, Callable[[str, str], Event]]] = {
    "acknowledge": ("Someone has seen it", Acknowledged),
    "unacknowledge": ("Nobody takes care of it after all", Unacknowledged),
    "respond": ("Someone begins to work on it", Responded),
    "identify": ("The cause is known", Identified),
    "resolve": ("Close it without waiting for the validation period", ResolvedByHand),
    "reopen": ("Open it again", ReopenedByHand),
}


def _people(routes: APIRouter, responder: Responder) -> None:
    """What people say about an incident."""

    async def happened(incident_id: str, event: Event) -> dict[str, Any]:
        after = await asyncio.to_thread(responder.happen, incident_id, event)
        return await asyncio.to_thread(shown, responder, after.id)

    def said_with(word: str, summary: str, event: Callable[[str, str], Event]) -> None:
        @routes.post(f"/{{incident_id}}/{word}", summary=summary, name=word)
        async def say(incident_id: str, said: Said) -> dict[str, Any]:
            return await happened(incident_id, event(said.actor, said.text))

    for word, (summary, event) in _SAID.items():
        said_with(word, summary, event)

    @routes.post("/{incident_id}/comment", summary="Say something on its timeline")
    async def comment(incident_id: str, said: Comment) -> dict[str, Any]:
        return await happened(incident_id, Noted("comment", said.actor, said.text))


def _runbooks(routes: APIRouter, responder: Responder) -> None:
    """What people decide about runbooks: start one, let one go ahead, end one."""

    @routes.post("/{incident_id}/runs", summary="Start a runbook by hand; its guards apply", status_code=201)
    async def start(incident_id: str, wanted: Wanted) -> dict[str, Any]:
        begin = responder.remediation.start
        run = await asyncio.to_thread(
            begin, incident_id, wanted.runbook, wanted.actor, wanted.reason, wanted.fingerprint
        )
        return {**await asyncio.to_thread(_shown_now, responder, incident_id), "run": run}

    @routes.post("/{incident_id}/runs/{run_id}/abort", summary="End a run: what it did is rolled back")
    async def abort(incident_id: str, run_id: str, ended: Ended) -> dict[str, Any]:
        holder = await asyncio.to_thread(_holder, responder, incident_id, run_id)
        await asyncio.to_thread(responder.remediation.abort, run_id, ended.actor, ended.reason)
        return await asyncio.to_thread(shown, responder, holder)

    @routes.post("/{incident_id}/runs/{run_id}/approve", summary="Let a runbook that waits for approval go ahead")
    async def approve(incident_id: str, run_id: str, decider: Decider) -> dict[str, Any]:
        return await decided(incident_id, run_id, decider, responder.remediation.approve)

    @routes.post("/{incident_id}/runs/{run_id}/refuse", summary="End a runbook run that waits for approval")
    async def refuse(incident_id: str, run_id: str, decider: Decider) -> dict[str, Any]:
        return await decided(incident_id, run_id, decider, responder.remediation.refuse)

    async def decided(
        incident_id: str, run_id: str, decider: Decider, decide: Callable[[str, str], None]
    ) -> dict[str, Any]:
        holder = await asyncio.to_thread(_holder, responder, incident_id, run_id)
        await asyncio.to_thread(decide, run_id, decider.actor)
        return await asyncio.to_thread(shown, responder, holder)


def _listed(responder: Responder, status: str, limit: int) -> list[dict[str, Any]]:
    with responder.records.reading() as connection:
        limits = responder.policy.periods.limits
        return [dossier.summary(incident, limits) for incident in journal.listed(connection, status, limit)]


def _graph(responder: Responder, incident_id: str) -> dict[str, Any]:
    with responder.records.reading() as connection:
        return graph.read(connection, incident_id)


def _holder(responder: Responder, incident_id: str, run_id: str) -> str:
    """The incident that a run is of: this one, or the one it goes on as part of, which took its runs over; NotFound when it
    is neither's."""
    with responder.records.reading() as connection:
        run = store.run_row(connection, run_id)
        mine = {incident_id, journal.current_id(connection, incident_id)}
    holder = run["incident_id"] if run else None
    if holder is None or holder not in mine:
        raise NotFound(f"incident {incident_id!r} has no runbook run {run_id!r}")
    return holder


def _shown_now(responder: Responder, incident_id: str) -> dict[str, Any]:
    """As `shown`, of the incident that this one goes on as part of."""
    with responder.records.reading() as connection:
        now = journal.current_id(connection, incident_id)
    return shown(responder, now)


def shown(responder: Responder, incident_id: str) -> dict[str, Any]:
    """Everything about one incident, as its own page tells it."""
    periods = responder.policy.periods
    with responder.records.reading() as connection:
        told = dossier.dossier(connection, incident_id, periods.limits)
        incident = journal.read(connection, incident_id)
    tier = periods.tiers.of[incident.priority]
    waited = {each.value: deadlines.due_at(incident, tier, each) for each in Deadline if incident.working}
    paging = [
        {"policy": each.policy, "next_at": each.next_due}
        for each in (incident.progress.climbs if incident.acknowledgeable else ())
        if each.next_due is not None
    ]
    return {**told, "deadlines": waited, "paging": paging, "next_due": next_due(incident, periods)}
