"""Incidents over HTTP: list, look at, and what people do with them. Decode, call, encode; `respond` decides."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from aiprism.errors import NotFound
from aiprism.respond import deadlines, dossier, journal
from aiprism.respond.desk import Policy
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
from aiprism.respond.tiers import Deadline, Tier
from aiprism.store import incidents as store


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


Listed = Literal["open", "all", "investigating", "identified", "monitoring", "resolved"]


def router(responder: Responder) -> APIRouter:
    """The routes under /aiprism/v1/incidents."""
    routes = APIRouter(prefix="/aiprism/v1/incidents", tags=["incidents"])

    @routes.get("", summary="Incidents, newest first")
    async def listed(status: Listed = "open", limit: int = Query(100, ge=1, le=1000)) -> dict[str, Any]:
        return {"incidents": await asyncio.to_thread(_listed, responder, status, limit)}

    @routes.get("/{incident_id}", summary="One incident with its timeline, notifications and runbook runs")
    async def one(incident_id: str) -> dict[str, Any]:
        return await asyncio.to_thread(_one, responder, incident_id)

    async def happened(incident_id: str, event: Event) -> dict[str, Any]:
        await asyncio.to_thread(responder.happen, incident_id, event)
        return await one(incident_id)

    @routes.post("/{incident_id}/acknowledge", summary="Someone has seen it")
    async def acknowledge(incident_id: str, said: Said) -> dict[str, Any]:
        return await happened(incident_id, Acknowledged(said.actor, said.text))

    @routes.post("/{incident_id}/unacknowledge", summary="Nobody takes care of it after all")
    async def unacknowledge(incident_id: str, said: Said) -> dict[str, Any]:
        return await happened(incident_id, Unacknowledged(said.actor, said.text))

    @routes.post("/{incident_id}/respond", summary="Someone begins to work on it")
    async def respond(incident_id: str, said: Said) -> dict[str, Any]:
        return await happened(incident_id, Responded(said.actor, said.text))

    @routes.post("/{incident_id}/identify", summary="The cause is known")
    async def identify(incident_id: str, said: Said) -> dict[str, Any]:
        return await happened(incident_id, Identified(said.actor, said.text))

    @routes.post("/{incident_id}/resolve", summary="Close it without waiting for the validation period")
    async def resolve(incident_id: str, said: Said) -> dict[str, Any]:
        return await happened(incident_id, ResolvedByHand(said.actor, said.text))

    @routes.post("/{incident_id}/reopen", summary="Open it again")
    async def reopen(incident_id: str, said: Said) -> dict[str, Any]:
        return await happened(incident_id, ReopenedByHand(said.actor, said.text))

    @routes.post("/{incident_id}/comment", summary="Say something on its timeline")
    async def comment(incident_id: str, said: Comment) -> dict[str, Any]:
        return await happened(incident_id, Noted("comment", said.actor, said.text))

    @routes.post("/{incident_id}/runs/{run_id}/approve", summary="Let a runbook that waits for approval go ahead")
    async def approve(incident_id: str, run_id: str, decider: Decider) -> dict[str, Any]:
        return await decided(incident_id, run_id, decider, responder.remediation.approve)

    @routes.post("/{incident_id}/runs/{run_id}/refuse", summary="End a runbook run that waits for approval")
    async def refuse(incident_id: str, run_id: str, decider: Decider) -> dict[str, Any]:
        return await decided(incident_id, run_id, decider, responder.remediation.refuse)

    async def decided(
        incident_id: str, run_id: str, decider: Decider, decide: Callable[[str, str], None]
    ) -> dict[str, Any]:
        await asyncio.to_thread(_check_run, responder, incident_id, run_id)
        await asyncio.to_thread(decide, run_id, decider.actor)
        return await one(incident_id)

    return routes


def tiers_router(responder: Responder) -> APIRouter:
    """The route /aiprism/v1/tiers."""
    routes = APIRouter(prefix="/aiprism/v1/tiers", tags=["incidents"])

    @routes.get("", summary="What holds for each tier: alerts, receivers, deadlines, steps; periods are seconds")
    async def listed() -> dict[str, Any]:
        policy = responder.policy
        tiers = policy.periods.tiers
        return {
            "otherwise": tiers.otherwise.value,
            "tiers": [_tier(tier, policy) for tier in tiers.of.values()],
        }

    return routes


def _tier(tier: Tier, policy: Policy) -> dict[str, Any]:
    severities = policy.periods.tiers.severities
    return {
        "tier": tier.priority.value,
        "severities": sorted(name for name, priority in severities.items() if priority is tier.priority),
        "match": [[str(each) for each in matchers] for matchers in tier.match],
        "opens_incident": tier.opens_incident,
        "receivers": list(policy.receivers_of(tier.priority)),
        "acknowledge_within": tier.acknowledge_within,
        "respond_within": tier.respond_within,
        "resolve_within": tier.resolve_within,
        "repeat": tier.repeat,
        "escalate": [
            {"missed": step.missed.value, "after": step.after, "receivers": list(step.receivers)}
            for step in tier.escalate
        ],
        "digest": {
            "receivers": list(tier.digest.receivers),
            "at": tier.digest.at.strftime("%H:%M"),
            "zone": str(tier.digest.zone),
            "when_quiet": tier.digest.when_quiet,
        }
        if tier.digest
        else None,
    }


def _listed(responder: Responder, status: str, limit: int) -> list[dict[str, Any]]:
    with responder.records.reading() as connection:
        return [dossier.summary(incident) for incident in journal.listed(connection, status, limit)]


def _check_run(responder: Responder, incident_id: str, run_id: str) -> None:
    """NotFound unless the run is one of this incident: a run is of one incident for ever, so this cannot change."""
    with responder.records.reading() as connection:
        run = store.run_row(connection, run_id)
    if run is None or run["incident_id"] != incident_id:
        raise NotFound(f"incident {incident_id!r} has no runbook run {run_id!r}")


def _one(responder: Responder, incident_id: str) -> dict[str, Any]:
    periods = responder.policy.periods
    with responder.records.reading() as connection:
        told = dossier.dossier(connection, incident_id)
        incident = journal.read(connection, incident_id)
    tier = periods.tiers.of[incident.priority]
    waited = {each.value: deadlines.due_at(incident, tier, each) for each in Deadline if incident.working}
    return {**told, "deadlines": waited, "next_due": next_due(incident, periods)}
