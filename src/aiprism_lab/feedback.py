"""feedback-service: what users think of the results, and the figures that follow from it.

In: POST /feedback with a score between 0 and 1. Out: satisfaction and quality metrics, engagement of each organisation,
accuracy of each model as its users see it.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

import sqlalchemy as sa
from fastapi import FastAPI
from pydantic import BaseModel, Field, TypeAdapter
from sqlalchemy.engine import Engine

import aiprism
from aiprism_lab.database import feedback, insert_once, open_database
from aiprism_lab.serving import RefusedError, new_app
from aiprism_lab.wiring import Identity, Peers, Settings, Topology, identity, untraced

DAY, WEEK = 86_400.0, 7 * 86_400.0
SUMMARY_SECONDS = 15.0

log = aiprism.logger("feedback-service")


class FeedbackIn(BaseModel):
    document_id: str
    feedback_type: Literal["rating", "survey", "correction"] = "rating"
    score: float = Field(ge=0, le=1)
    comment: str = Field(default="", max_length=2000)


class AnalysedSection(BaseModel):
    section_type: str
    model: str


class AnalysedResult(BaseModel):
    """The part of a result that a score is attributed to."""

    sections: list[AnalysedSection]


class CompletedCount(BaseModel):
    organization: str
    completed: int


_COUNTS = TypeAdapter(dict[Literal["organizations"], list[CompletedCount]])


class Scores:
    """Feedback in the database. Blocking; called in threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, given: FeedbackIn, by: Identity, models: list[str], now: float) -> bool:
        """Keep the score; False when this user has given one of this type already."""
        row = {
            "id": str(uuid.uuid4()),
            "document_id": given.document_id,
            "user_id": by.user_id,
            "organization": by.organization,
            "feedback_type": given.feedback_type,
            "score": given.score,
            "comment": given.comment,
            "models": models,
            "created_at": now,
        }
        return insert_once(self._engine, feedback, row)

    def rated(self, since: float) -> dict[str, int]:
        """How many documents have been rated since then, for each organisation."""
        count = sa.func.count(sa.distinct(feedback.c.document_id))
        grouped = sa.select(feedback.c.organization, count).where(feedback.c.created_at >= since)
        with self._engine.connect() as connection:
            rows = connection.execute(grouped.group_by(feedback.c.organization))
            return dict(row.tuple() for row in rows)

    def mean_by_model(self, since: float) -> dict[str, float]:
        """The mean score of the results that each model had a part in."""
        recent = sa.select(feedback.c.models, feedback.c.score).where(feedback.c.created_at >= since)
        scores: dict[str, list[float]] = {}
        with self._engine.connect() as connection:
            for models, score in connection.execute(recent.order_by(feedback.c.created_at.desc()).limit(2000)):
                for model in models:
                    scores.setdefault(model, []).append(score)
        return {model: sum(given) / len(given) for model, given in scores.items()}


def build(settings: Settings) -> FastAPI:
    """The application of process "feedback-service"."""
    engine = open_database(settings.database_url)
    scores = Scores(engine)
    peers = Peers(Topology(settings.topology))
    aiprism.controls.pool("database", reset=engine.dispose)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        summing = asyncio.create_task(_sum_up(scores, peers))
        yield
        summing.cancel()
        await asyncio.gather(summing, return_exceptions=True)
        await peers.aclose()
        engine.dispose()

    app = new_app(settings, lifespan)

    @app.post("/feedback", status_code=201)
    async def give(given: FeedbackIn) -> dict[str, bool]:
        by = identity.get()
        sections = await _analysed_sections(peers, given.document_id)
        models = sorted({section.model for section in sections})
        if not await asyncio.to_thread(scores.add, given, by, models, time.time()):
            raise RefusedError(409, "already_rated", "you have rated this document already")
        segment = by.tier or "standard"
        aiprism.metrics.user_satisfaction_score(given.score, feedback_type=given.feedback_type, user_segment=segment)
        for section in sections:
            aiprism.metrics.analysis_quality_score(
                given.score, section_type=section.section_type, model_name=section.model
            )
        return {"ok": True}

    @app.get("/feedback/summary")
    async def summary() -> dict[str, object]:
        now = time.time()
        return {
            "rated_24h": await asyncio.to_thread(scores.rated, now - DAY),
            "mean_by_model_7d": await asyncio.to_thread(scores.mean_by_model, now - WEEK),
        }

    return app


async def _analysed_sections(peers: Peers, document_id: str) -> list[AnalysedSection]:
    """Who analysed what in that document; refused when the caller's organisation has no such result."""
    response = await peers.request("document-processor", "GET", f"/documents/{document_id}/result")
    if response.status_code in (404, 409):
        raise RefusedError(404, "not_found", f"document {document_id} has no result that could be rated")
    response.raise_for_status()
    return AnalysedResult.model_validate_json(response.content).sections


async def _sum_up(scores: Scores, peers: Peers) -> None:
    """Keep engagement and model accuracy up to date, until cancelled."""
    while True:
        await asyncio.sleep(SUMMARY_SECONDS)
        try:
            with untraced():
                await _sum_up_once(scores, peers)
        except Exception as error:
            log.error("engagement cannot be computed", error=error)


async def _sum_up_once(scores: Scores, peers: Peers) -> None:
    now = time.time()
    response = await peers.request("document-processor", "GET", "/statistics", params={"seconds": str(DAY)})
    response.raise_for_status()
    rated = await asyncio.to_thread(scores.rated, now - DAY)
    for count in _COUNTS.validate_json(response.content)["organizations"]:
        share = min(1.0, rated.get(count.organization, 0) / max(1, count.completed))
        aiprism.metrics.user_engagement_score(share, organization=count.organization, time_period="daily")
    for model, mean in (await asyncio.to_thread(scores.mean_by_model, now - WEEK)).items():
        aiprism.metrics.business_kpi(mean, kpi_name=f"ai_accuracy_{model}", organization="all", time_period="weekly")
