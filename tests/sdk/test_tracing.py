"""The plan's spans: names, nesting, attribute keys, baggage."""  # R2 R3 R14

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from opentelemetry import baggage

import aiprism
from aiprism import tracing
from tests.sdk.receiver import plain


def tree(spans) -> dict[str, str]:
    """Span name → name of its parent."""
    names = {span.span_id: span.name for span in spans}
    return {span.name: names.get(span.parent_span_id, "") for span in spans}


def attributes(platform, name: str) -> dict[str, Any]:
    return plain(platform.span(name).attributes)


def without_durations(attributes: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in attributes.items() if not key.endswith("_seconds")}


def test_document_processing_has_five_phases_below_it(platform, instrumented):
    instrumentation = instrumented()
    with aiprism.document_processing(
        document_id="d1", document_type="pdf", size_bytes=2048, user_id="u1", organization="acme", user_tier="premium"
    ):
        for name in tracing.PHASES:
            with aiprism.phase(name):
                pass
    assert instrumentation.flush(20)
    assert tree(platform.spans) == {
        "document_upload": "document_processing",
        "content_extraction": "document_processing",
        "section_detection": "document_processing",
        "ai_analysis": "document_processing",
        "result_compilation": "document_processing",
        "document_processing": "",
    }
    assert attributes(platform, "document_processing") == {
        "document.id": "d1",
        "document.type": "pdf",
        "document.size_bytes": 2048,
        "user.id": "u1",
        "user.organization": "acme",
        "user.tier": "premium",
    }
    phase = attributes(platform, "ai_analysis")
    assert phase["ai_analysis.status"] == "completed"
    assert phase["ai_analysis.duration_seconds"] >= 0


def test_a_phase_that_raises_is_failed_and_holds_the_exception(platform, instrumented):
    instrumentation = instrumented()
    with pytest.raises(ZeroDivisionError), aiprism.phase("ai_analysis"):
        1 / 0  # noqa: B018
    assert instrumentation.flush(20)
    span = platform.span("ai_analysis")
    assert plain(span.attributes)["ai_analysis.status"] == "failed"
    assert span.status.code == span.status.STATUS_CODE_ERROR
    assert plain(span.events[0].attributes)["exception.type"] == "ZeroDivisionError"


def test_a_phase_the_plan_does_not_know_is_an_error_of_the_program():
    unknown: Any = "upload"
    with pytest.raises(ValueError, match=r"unknown phase 'upload'; the phases are document_upload, "):
        aiprism.phase(unknown).__enter__()


def test_an_api_request_outside_of_http_has_the_plans_attributes(platform, instrumented):
    instrumentation = instrumented()
    with aiprism.api_request(method="POST", url="queue://uploads", user_id="u1", document_id="d1") as request:
        request.answered(202)
    assert instrumentation.flush(20)
    assert attributes(platform, "api_request") == {
        "http.method": "POST",
        "http.url": "queue://uploads",
        "http.status_code": 202,
        "user.id": "u1",
        "document.id": "d1",
    }


async def analyse(name: str) -> None:
    with tracing.section_analysis(name=name, section_type="prose", word_count=120, complexity="high"):
        with tracing.model_selection() as selection:
            selection.selected("sonnet", reason="complex section")
        with tracing.ai_model_invocation("sonnet") as invocation:
            await asyncio.sleep(0)
            invocation.answered(tokens_used=900, cost_usd=0.012, feedback_items=4)
        with tracing.post_processing() as post:
            post.validated(True, feedback_items=3)


async def analyse_document() -> dict[str, object]:
    with aiprism.document_analysis_pipeline(document_id="d1", user_id="u1", organization="acme"):
        with tracing.document_preprocessing() as preprocessing:
            preprocessing.detected(sections=2, complexity=0.6)
        with tracing.ai_analysis_parallel() as analysis:
            await asyncio.gather(analyse("summary"), analyse("risks"))
            analysis.processed(sections=2)
        with tracing.results_compilation() as compilation:
            compilation.compiled(feedback_items=6, high_risk=1)
        with tracing.quality_assurance() as quality:
            quality.checked(score=0.92, passed=True)
        return dict(baggage.get_all())


def test_the_pipeline_is_the_plans_tree_with_the_plans_attributes(platform, instrumented):
    instrumentation = instrumented()
    travelling = asyncio.run(analyse_document())
    assert instrumentation.flush(20)
    assert tree(platform.spans) == {
        "document_analysis_pipeline": "",
        "document_preprocessing": "document_analysis_pipeline",
        "ai_analysis_parallel": "document_analysis_pipeline",
        "section_analysis": "ai_analysis_parallel",
        "model_selection": "section_analysis",
        "ai_model_invocation": "section_analysis",
        "post_processing": "section_analysis",
        "results_compilation": "document_analysis_pipeline",
        "quality_assurance": "document_analysis_pipeline",
    }
    assert {name: without_durations(attributes(platform, name)) for name in tree(platform.spans)} == {
        "document_analysis_pipeline": {
            "document.id": "d1",
            "user.id": "u1",
            "user.organization": "acme",
            "pipeline.version": "2.1.0",
            "pipeline.status": "completed",
            "pipeline.quality_score": 0.92,
        },
        "document_preprocessing": {"sections.detected": 2, "document.complexity_score": 0.6},
        "ai_analysis_parallel": {"ai_analysis.sections_processed": 2, "ai_analysis.parallel_execution": True},
        "section_analysis": {
            "section.name": "summary",
            "section.type": "prose",
            "section.word_count": 120,
            "section.complexity": "high",
        },
        "model_selection": {"selected_model": "sonnet", "selection_reason": "complex section"},
        "ai_model_invocation": {
            "ai_model.name": "sonnet",
            "ai_model.tokens_used": 900,
            "ai_model.cost_usd": 0.012,
            "feedback_items.generated": 4,
        },
        "post_processing": {"post_processing.validation_passed": True, "post_processing.feedback_items": 3},
        "results_compilation": {"feedback_items.total": 6, "risk_assessment.high": 1},
        "quality_assurance": {"quality_score": 0.92, "quality_passed": True},
    }
    durations = {key for span in platform.spans for key in plain(span.attributes) if key.endswith("_seconds")}
    assert durations == {
        "preprocessing.duration_seconds",
        "ai_analysis.total_duration_seconds",
        "ai_model.response_time_seconds",
        "compilation.duration_seconds",
        "pipeline.total_duration_seconds",
    }
    assert travelling == {"document.id": "d1", "user.organization": "acme"}


def test_the_baggage_ends_with_the_pipeline(instrumented):
    instrumented()
    asyncio.run(analyse_document())
    assert dict(baggage.get_all()) == {}


def test_spans_may_be_opened_before_instrument():
    asyncio.run(analyse_document())
