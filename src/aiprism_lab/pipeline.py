"""The way of one document: stored, read, cut into sections, analysed, compiled, checked.

In: a `Job` (what was uploaded) and the steps' needs. Out: a `Report`, whose JSON is the user's result. Every step is a
phase or span of the plan, with its attributes; document and organisation travel on as baggage. When a document's turn
comes, and where its report is kept, is `processor`'s business.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from opentelemetry import trace

from aiprism.sdk import tracing
from aiprism_lab.documents import DocumentFormat, ParsedDocument, UnreadableDocumentError, parse
from aiprism_lab.review import SEVERITIES
from aiprism_lab.sections import Outline, Section, outline

PASSING_QUALITY = 0.7

# Takes the sections as ai-analysis-service wants them, gives its answer.
Analyse = Callable[[Mapping[str, object]], Awaitable["Analysis"]]


@dataclass(frozen=True, slots=True)
class Job:
    """A document whose turn has come."""

    document_id: str
    document_format: DocumentFormat
    size_bytes: int
    user_id: str
    organization: str
    tier: str
    upload: Path  # as it was received
    home: Path  # where it is to be kept


@dataclass(frozen=True, slots=True)
class Analysis:
    """What ai-analysis-service answered, read from its JSON."""

    sections: list[dict[str, object]]
    missing: list[dict[str, str]]
    tokens: int
    cost_usd: float
    degraded: bool


@dataclass(frozen=True, slots=True)
class Report:
    """A finished document: what the user gets to see, and what is counted."""

    title: str
    kind: str
    sections: list[dict[str, object]]
    feedback: list[dict[str, str]]
    risk: dict[str, int]
    quality_score: float
    quality_passed: bool
    degraded: bool
    tokens: int
    cost_usd: float


async def process(job: Job, analyse: Analyse, version: str) -> Report:
    """Take the document through all phases; UnreadableDocumentError when there is nothing to read."""
    with tracing.document_processing(
        document_id=job.document_id,
        document_type=job.document_format.value,
        size_bytes=job.size_bytes,
        user_id=job.user_id,
        organization=job.organization,
        user_tier=job.tier,
    ):
        with tracing.phase("document_upload"):
            content = await asyncio.to_thread(_store, job)
        with tracing.document_analysis_pipeline(
            document_id=job.document_id, user_id=job.user_id, organization=job.organization, version=version
        ):
            return await _analysed(job, content, analyse)


async def _analysed(job: Job, content: bytes, analyse: Analyse) -> Report:
    with tracing.document_preprocessing() as preprocessing:
        with tracing.phase("content_extraction"):
            document = await asyncio.to_thread(parse, content, job.document_format)
        with tracing.phase("section_detection"):
            found = outline(document)
        preprocessing.detected(sections=len(found.sections), complexity=found.complexity_score)
    with tracing.ai_analysis_parallel() as parallel, tracing.phase("ai_analysis"):
        analysis = await analyse(_wanted(job, found))
        parallel.processed(sections=len(analysis.sections))
    with tracing.results_compilation() as compilation, tracing.phase("result_compilation"):
        feedback = compiled_feedback(analysis)
        risk = {level: sum(item["severity"] == level for item in feedback) for level in SEVERITIES}
        compilation.compiled(feedback_items=len(feedback), high_risk=risk["high"])
    with tracing.quality_assurance() as assurance:
        quality = quality_score(found, document, analysis)
        passed = quality >= PASSING_QUALITY
        assurance.checked(score=quality, passed=passed)
    return Report(
        title=found.title,
        kind=found.kind,
        sections=analysis.sections,
        feedback=feedback,
        risk=risk,
        quality_score=quality,
        quality_passed=passed,
        degraded=analysis.degraded,
        tokens=analysis.tokens,
        cost_usd=analysis.cost_usd,
    )


def _store(job: Job) -> bytes:
    """The bytes, once they are in their place under the name of their own hash.

    A job that is taken up again after a crash finds its upload already moved.
    """
    if job.upload.exists():
        content = job.upload.read_bytes()
        job.home.parent.mkdir(parents=True, exist_ok=True)
        job.upload.replace(job.home)
    elif job.home.exists():
        content = job.home.read_bytes()
    else:
        raise UnreadableDocumentError("the uploaded file is gone")
    if len(content) != job.size_bytes:
        raise UnreadableDocumentError(f"{len(content)} of {job.size_bytes} bytes arrived")
    span = trace.get_current_span()
    span.set_attribute("document.sha256", hashlib.sha256(content).hexdigest())
    return content


def _wanted(job: Job, found: Outline) -> dict[str, object]:
    return {
        "document_id": job.document_id,
        "kind": found.kind,
        "sections": [
            {
                "name": section.name,
                "section_type": section.section_type,
                "text": section.text,
                "word_count": section.word_count,
                "complexity_score": section.complexity_score,
            }
            for section in found.sections
        ],
    }


def compiled_feedback(analysis: Analysis) -> list[dict[str, str]]:
    """All remarks, most severe first, each one once: what several sections share is told at its first place."""
    everything = [*analysis.missing]
    for section in analysis.sections:
        items = section["feedback"]
        assert isinstance(items, list)
        everything.extend(items)
    seen: set[tuple[str, str]] = set()
    kept = []
    for item in everything:
        key = (item["message"], item["quote"])
        if key not in seen:
            seen.add(key)
            kept.append(item)
    return sorted(kept, key=lambda item: SEVERITIES.index(item["severity"]))


def quality_score(found: Outline, document: ParsedDocument, analysis: Analysis) -> float:
    """How far the result can be relied on, 0…1: the share of the text in analysed sections, times the confidence in each.

    Dense and very short sections are judged less surely, a section that the fallback reviewed counts half, and remarks
    without a suggestion take a little off.
    """
    words = sum(section.word_count for section in found.sections)
    covered = min(1.0, words / max(1, document.word_count * 0.9))  # headings and title are no section text
    confidence = [
        _confidence(section) * (0.5 if result["degraded"] else 1.0)
        for section, result in zip(found.sections, analysis.sections, strict=False)
    ]
    items = compiled_feedback(analysis)
    unhelpful = sum(not item["suggestion"] for item in items) / max(1, len(items))
    return round(max(0.0, covered * sum(confidence) / max(1, len(found.sections)) - 0.2 * unhelpful), 3)


def _confidence(section: Section) -> float:
    unclear = 0.1 * (section.section_type == "general") + 0.15 * (section.word_count < 25)
    return 1.0 - 0.3 * section.complexity_score - unclear
