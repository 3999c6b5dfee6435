"""ai-analysis-service: has the sections of a document reviewed by a model, all at once.

In: POST /analyses with the sections. Out: one result for each section, and the sections that are missing. While the
circuit breaker "ai-model" is open a smaller local review answers instead, marked degraded; the traffic weight "ai-model"
says which model gets how much. How a model is asked is `modelclient`'s business.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal

from fastapi import FastAPI
from opentelemetry import baggage
from pydantic import BaseModel

import aiprism
from aiprism.sdk import tracing
from aiprism_lab.modelclient import ModelClient, ModelFailedError, ModelReply, outline_prompt, section_prompt
from aiprism_lab.review import QUICK_CHECKS, FeedbackItem, review_outline, review_section
from aiprism_lab.sections import complexity_level
from aiprism_lab.serving import RefusedError, new_app
from aiprism_lab.wiring import Peers, Settings, Topology, identity

FALLBACK_MODEL = "local-review"
MAIN_SHARE = 0.75  # of the first model while nobody steers; the second gets the rest

log = aiprism.logger("ai-analysis-service")


class SectionIn(BaseModel):
    name: str
    section_type: str
    text: str
    word_count: int
    complexity_score: float


class AnalysisIn(BaseModel):
    document_id: str
    kind: str
    sections: list[SectionIn]


class SectionOut(BaseModel):
    name: str
    section_type: str
    complexity: str
    word_count: int
    model: str
    degraded: bool
    tokens: int
    cost_usd: float
    seconds: float
    feedback: list[dict[str, str]]


class AnalysisOut(BaseModel):
    sections: list[SectionOut]
    missing: list[dict[str, str]]
    tokens: int
    cost_usd: float
    degraded: bool


@dataclass(frozen=True, slots=True)
class Question:
    """Something to ask a model, and what answers it when the model is cut off."""

    prompt: str
    section: str
    request_type: Literal["section_analysis", "structure_review"]
    complexity: str
    fallback: Callable[[], tuple[FeedbackItem, ...]]


def build(settings: Settings) -> FastAPI:
    """The application of process "ai-analysis-service"."""
    peers = Peers(Topology(settings.topology))
    client = ModelClient(settings, peers)
    analyst = Analyst(client, random.Random(settings.seed))

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await client.aclose()
        await peers.aclose()

    app = new_app(settings, lifespan)

    @app.post("/analyses")
    async def analyse(wanted: AnalysisIn) -> AnalysisOut:
        try:
            return await analyst.analyse(wanted)
        except ModelFailedError as error:
            log.error("analysis failed", error=error, document_id=wanted.document_id)
            raise RefusedError(502, "model_failed", str(error)) from error

    return app


class Analyst:
    """Reviews sections: chooses a model, asks it unless the breaker is open, checks what came back."""

    def __init__(self, client: ModelClient, chance: random.Random) -> None:
        self._client, self._chance = client, chance
        self._breaker = aiprism.controls.circuit_breaker("ai-model", failure_threshold=None)
        self._weights = aiprism.controls.traffic_weight("ai-model", _shares(client.models))

    async def analyse(self, wanted: AnalysisIn) -> AnalysisOut:
        """Every section's review and the missing sections; ModelFailedError when one of the answers cannot be had."""
        headings = [section.name for section in wanted.sections]
        try:
            async with asyncio.TaskGroup() as group:
                reviews = [group.create_task(self._review(section)) for section in wanted.sections]
                structure = group.create_task(self._missing(wanted.kind, headings))
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from failed
        missing, replies = structure.result(), [review.result() for review in reviews]
        sections = [_section_out(section, reply) for section, reply in zip(wanted.sections, replies, strict=True)]
        replies.append(missing)
        return AnalysisOut(
            sections=sections,
            missing=[item.to_json() for item in missing.feedback],
            tokens=sum(reply.tokens for reply in replies),
            cost_usd=sum(reply.cost_usd for reply in replies),
            degraded=any(reply.degraded for reply in replies),
        )

    async def _review(self, section: SectionIn) -> ModelReply:
        complexity = complexity_level(section.complexity_score)
        question = Question(
            section_prompt(section.name, section.section_type, section.text),
            section.name,
            "section_analysis",
            complexity,
            lambda: review_section(section.name, section.section_type, section.text, QUICK_CHECKS),
        )
        with tracing.section_analysis(
            name=section.name,
            section_type=section.section_type,
            word_count=section.word_count,
            complexity=section.complexity_score,
        ) as stage:
            stage.note(_carried())
            reply = await self._answer(question)
            stage.note({"section.degraded": reply.degraded})
            aiprism.metrics.ai_analysis_duration(
                stage.seconds, model_name=reply.model, section_type=section.section_type, complexity=complexity
            )
        return reply

    async def _missing(self, kind: str, headings: list[str]) -> ModelReply:
        question = Question(
            outline_prompt(kind, headings),
            "Document",
            "structure_review",
            "low",
            lambda: review_outline(kind, headings),
        )
        return await self._answer(question)

    async def _answer(self, question: Question) -> ModelReply:
        with tracing.model_selection() as selection:
            model = self._weights.pick(self._chance)
            selection.selected(model, reason=f"weight {self._weights.weights[model]:g} of traffic weight ai-model")
        try:
            with self._breaker:
                reply = await self._invoke(model, question)
        except aiprism.CircuitOpen:
            aiprism.metrics.ai_model_requests(model_name=model, request_type=question.request_type, status="rejected")
            reply = ModelReply(FALLBACK_MODEL, question.fallback(), degraded=True)
        with tracing.post_processing() as checked:
            checked.validated(reply.refused == 0, feedback_items=len(reply.feedback))
        return reply

    async def _invoke(self, model: str, question: Question) -> ModelReply:
        """Ask the model, and count request, latency and cost whatever comes of it."""
        status = "error"
        with tracing.ai_model_invocation(model) as invocation:
            try:
                reply = await self._client.ask(model, question.prompt, question.section)
                status = "success"
            finally:
                aiprism.metrics.ai_model_requests(model_name=model, request_type=question.request_type, status=status)
                aiprism.metrics.ai_model_latency(invocation.seconds, model_name=model, complexity=question.complexity)
            invocation.answered(tokens_used=reply.tokens, cost_usd=reply.cost_usd, feedback_items=len(reply.feedback))
        organization = identity.get().organization or "unknown"
        aiprism.metrics.ai_model_cost(reply.cost_usd, model_name=model, organization=organization)
        return reply


def _shares(models: tuple[str, ...]) -> dict[str, float]:
    if len(models) == 1:
        return {models[0]: 1.0}
    main, second, *others = models
    return {main: MAIN_SHARE, second: 1.0 - MAIN_SHARE} | dict.fromkeys(others, 0.0)


def _carried() -> dict[str, str]:
    """What document-processor sent along as baggage."""
    return {name: str(baggage.get_baggage(name) or "") for name in ("document.id", "user.organization")}


def _section_out(section: SectionIn, reply: ModelReply) -> SectionOut:
    return SectionOut(
        name=section.name,
        section_type=section.section_type,
        complexity=complexity_level(section.complexity_score),
        word_count=section.word_count,
        model=reply.model,
        degraded=reply.degraded,
        tokens=reply.tokens,
        cost_usd=reply.cost_usd,
        seconds=round(reply.seconds, 4),
        feedback=[item.to_json() for item in reply.feedback],
    )
