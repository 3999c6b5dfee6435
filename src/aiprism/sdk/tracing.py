"""The plan's spans as context managers, with exactly its names and attribute keys.

Each opens a span as a child of the present one and times itself; what only the work can know (sections found, tokens
used) is told to the object the block gets. Spans go to the tracer that `instrument` bound, or to the one the application
set up. The pipeline also puts `document.id` and `user.organization` into baggage, which travels to other services.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal, Self, TypeVar

from opentelemetry import baggage, trace
from opentelemetry.context import attach, detach
from opentelemetry.trace import Span, SpanKind

from aiprism.sdk.context import restore

Phase = Literal["document_upload", "content_extraction", "section_detection", "ai_analysis", "result_compilation"]
PHASES: tuple[Phase, ...] = (
    "document_upload",
    "content_extraction",
    "section_detection",
    "ai_analysis",
    "result_compilation",
)
Value = str | bool | int | float
StageT = TypeVar("StageT", bound="Stage")


@contextmanager
def document_processing(
    *,
    document_id: str,
    document_type: str,
    size_bytes: int,
    user_id: str,
    organization: str,
    user_tier: str = "standard",
) -> Iterator[Span]:
    """The span `document_processing`; its phases are `phase` blocks inside."""
    attributes: Mapping[str, Value] = {
        "document.id": document_id,
        "document.type": document_type,
        "document.size_bytes": size_bytes,
        "user.id": user_id,
        "user.organization": organization,
        "user.tier": user_tier,
    }
    with tracer().start_as_current_span("document_processing", attributes=attributes) as span:
        yield span


@contextmanager
def phase(name: Phase) -> Iterator[Span]:
    """One of the five phases of document processing, with `<phase>.duration_seconds` and `<phase>.status`
    (completed, or failed when the block raises).
    """
    if name not in PHASES:
        raise ValueError(f"unknown phase {name!r}; the phases are {', '.join(PHASES)}")
    with tracer().start_as_current_span(name) as span:
        started, status = time.perf_counter(), "failed"
        try:
            yield span
            status = "completed"
        finally:
            span.set_attribute(f"{name}.duration_seconds", time.perf_counter() - started)
            span.set_attribute(f"{name}.status", status)


@contextmanager
def api_request(
    *,
    method: str,
    url: str,
    user_id: str = "anonymous",
    document_id: str | None = None,
    kind: SpanKind = SpanKind.SERVER,
) -> Iterator[ApiRequest]:
    """The span `api_request`, for requests that do not come through the server hook (a queue, another framework)."""
    attributes: dict[str, Value] = {"http.method": method, "http.url": url, "user.id": user_id}
    if document_id is not None:
        attributes["document.id"] = document_id
    with tracer().start_as_current_span("api_request", kind=kind, attributes=attributes) as span:
        yield ApiRequest(span)


class Stage:
    """One span of the pipeline while its block runs."""

    NAME = ""
    DURATION = ""

    def __init__(self, span: Span) -> None:
        self.span = span
        self.started = time.perf_counter()

    def note(self, attributes: Mapping[str, Value]) -> Self:
        """Set attributes on the span."""
        self.span.set_attributes(attributes)
        return self

    @property
    def seconds(self) -> float:
        """How long the block has run."""
        return time.perf_counter() - self.started


class ApiRequest(Stage):
    """What `api_request` yields."""

    def answered(self, status_code: int) -> Self:
        """The request was answered with `status_code`."""
        return self.note({"http.status_code": status_code})


class Pipeline(Stage):
    """What `document_analysis_pipeline` yields; `quality_assurance` tells it the quality score."""

    NAME = "document_analysis_pipeline"

    def scored(self, quality_score: float) -> Self:
        return self.note({"pipeline.quality_score": quality_score})


class Preprocessing(Stage):
    NAME, DURATION = "document_preprocessing", "preprocessing.duration_seconds"

    def detected(self, *, sections: int, complexity: float) -> Self:
        """How many sections the document has, and how complex it is."""
        return self.note({"sections.detected": sections, "document.complexity_score": complexity})


class ParallelAnalysis(Stage):
    NAME, DURATION = "ai_analysis_parallel", "ai_analysis.total_duration_seconds"

    def processed(self, *, sections: int, parallel: bool = True) -> Self:
        """How many sections were analysed."""
        return self.note({"ai_analysis.sections_processed": sections, "ai_analysis.parallel_execution": parallel})


class SectionAnalysis(Stage):
    NAME = "section_analysis"


class ModelSelection(Stage):
    NAME = "model_selection"

    def selected(self, model: str, *, reason: str) -> Self:
        """Which model was chosen, and why."""
        return self.note({"selected_model": model, "selection_reason": reason})


class ModelInvocation(Stage):
    NAME, DURATION = "ai_model_invocation", "ai_model.response_time_seconds"

    def answered(self, *, tokens_used: int, cost_usd: float, feedback_items: int) -> Self:
        """What the answer took and brought."""
        return self.note(
            {
                "ai_model.tokens_used": tokens_used,
                "ai_model.cost_usd": cost_usd,
                "feedback_items.generated": feedback_items,
            }
        )


class PostProcessing(Stage):
    NAME = "post_processing"

    def validated(self, valid: bool, *, feedback_items: int) -> Self:
        """Whether the answer could be used, and what was left of it."""
        return self.note({"post_processing.validation_passed": valid, "post_processing.feedback_items": feedback_items})


class Compilation(Stage):
    NAME, DURATION = "results_compilation", "compilation.duration_seconds"

    def compiled(self, *, feedback_items: int, high_risk: int) -> Self:
        """What the report holds."""
        return self.note({"feedback_items.total": feedback_items, "risk_assessment.high": high_risk})


class QualityAssurance(Stage):
    NAME = "quality_assurance"

    def checked(self, *, score: float, passed: bool) -> Self:
        """How good the report is; the pipeline's span gets the score too."""
        pipeline = _pipeline.get()
        if pipeline is not None:
            pipeline.scored(score)
        return self.note({"quality_score": score, "quality_passed": passed})


@contextmanager
def document_analysis_pipeline(
    *, document_id: str, user_id: str, organization: str, version: str = "2.1.0"
) -> Iterator[Pipeline]:
    """The root span of a document's analysis, with `pipeline.status` completed, or failed when the block raises."""
    bag = baggage.set_baggage("document.id", document_id)
    token = attach(baggage.set_baggage("user.organization", organization, bag))
    attributes: Mapping[str, Value] = {
        "document.id": document_id,
        "user.id": user_id,
        "user.organization": organization,
        "pipeline.version": version,
    }
    try:
        with _stage(Pipeline, attributes) as pipeline:
            outer, status = _pipeline.set(pipeline), "failed"
            try:
                yield pipeline
                status = "completed"
            finally:
                restore(_pipeline, outer)
                pipeline.note({"pipeline.total_duration_seconds": pipeline.seconds, "pipeline.status": status})
    finally:
        detach(token)


@contextmanager
def document_preprocessing() -> Iterator[Preprocessing]:
    """Phase 1 of the pipeline: the document is read and cut into sections."""
    with _stage(Preprocessing) as stage:
        yield stage


@contextmanager
def ai_analysis_parallel() -> Iterator[ParallelAnalysis]:
    """Phase 2: the sections are analysed, each in a `section_analysis` of its own."""
    with _stage(ParallelAnalysis) as stage:
        yield stage


@contextmanager
def section_analysis(
    *, name: str, section_type: str, word_count: int, complexity: str | float
) -> Iterator[SectionAnalysis]:
    """The analysis of one section."""
    attributes: Mapping[str, Value] = {
        "section.name": name,
        "section.type": section_type,
        "section.word_count": word_count,
        "section.complexity": complexity,
    }
    with _stage(SectionAnalysis, attributes) as stage:
        yield stage


@contextmanager
def model_selection() -> Iterator[ModelSelection]:
    """The choice of a model for a section."""
    with _stage(ModelSelection) as stage:
        yield stage


@contextmanager
def ai_model_invocation(model: str) -> Iterator[ModelInvocation]:
    """One call of `model`."""
    with _stage(ModelInvocation, {"ai_model.name": model}) as stage:
        yield stage


@contextmanager
def post_processing() -> Iterator[PostProcessing]:
    """The check and clean-up of a model's answer."""
    with _stage(PostProcessing) as stage:
        yield stage


@contextmanager
def results_compilation() -> Iterator[Compilation]:
    """Phase 3: the sections' results become one report."""
    with _stage(Compilation) as stage:
        yield stage


@contextmanager
def quality_assurance() -> Iterator[QualityAssurance]:
    """Phase 4: the report is judged."""
    with _stage(QualityAssurance) as stage:
        yield stage


def tracer() -> trace.Tracer:
    """The tracer of this module's spans: the one last bound, or the application's own."""
    return _bound[-1] if _bound else trace.get_tracer("aiprism")


def bind(to: trace.Tracer) -> None:
    """Let every span of this module come from `to`."""
    _bound[:] = [to]


_bound: list[trace.Tracer] = []
_pipeline: ContextVar[Pipeline | None] = ContextVar("aiprism_pipeline", default=None)


@contextmanager
def _stage(kind: type[StageT], attributes: Mapping[str, Value] | None = None) -> Iterator[StageT]:
    with tracer().start_as_current_span(kind.NAME, attributes=attributes) as span:
        stage = kind(span)
        try:
            yield stage
        finally:
            if kind.DURATION:
                span.set_attribute(kind.DURATION, stage.seconds)
