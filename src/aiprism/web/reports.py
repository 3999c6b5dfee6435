"""Reports over HTTP: the weekly review. Decode, call, encode."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response

from aiprism.clock import Clock
from aiprism.errors import BadInput
from aiprism.learn import review
from aiprism.learn.review import WEEK, Past
from aiprism.respond import journal
from aiprism.respond.responder import Responder
from aiprism.store import episodes as episode_store
from aiprism.store import incidents as store


def router(responder: Responder, clock: Clock) -> APIRouter:
    """The routes under /aiprism/v1/reports."""
    routes = APIRouter(prefix="/aiprism/v1/reports", tags=["reports"])

    @routes.get(
        "/weekly",
        summary="The week's times to detect, acknowledge and restore, noise and automation, beside the week before",
    )
    async def weekly(
        end: Annotated[float | None, Query(description="Unix seconds; default now")] = None,
        form: Annotated[Literal["json", "md"], Query(description="json, or md for Markdown")] = "json",
    ) -> Any:
        until = clock.now() if end is None else end
        if not 2 * WEEK <= until < 9e9:
            raise BadInput(f"end={until} is no moment in Unix seconds")
        told = await asyncio.to_thread(_weekly, responder, until)
        return Response(review.markdown(told), media_type="text/markdown; charset=utf-8") if form == "md" else told

    return routes


def _weekly(responder: Responder, end: float) -> dict[str, Any]:
    keeping = [tier.priority.value for tier in responder.policy.periods.tiers.of.values() if tier.digest]
    with responder.pipeline.reading() as connection:
        incidents = journal.during(connection, end - 2 * WEEK, end)
        ids = [incident.id for incident in incidents]
        events, runs = store.event_rows(connection, ids), store.run_rows(connection, ids)
        heard = [
            each for tier in keeping for each in episode_store.episodes_during(connection, tier, end - 2 * WEEK, end)
        ]
    lines, carried_out = defaultdict[str, list[store.EventRow]](list), defaultdict[str, list[store.RunRow]](list)
    for line in events:
        lines[line["incident_id"]].append(line)
    for run in runs:
        carried_out[str(run["incident_id"])].append(run)
    pasts = [Past(incident, lines[incident.id], carried_out[incident.id]) for incident in incidents]
    return review.review(pasts, heard if keeping else None, end)
