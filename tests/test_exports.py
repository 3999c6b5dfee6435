"""The public surface: what a user imports. Adding a name is a changelog line; removing one breaks somebody."""

from __future__ import annotations

import inspect
from types import ModuleType

import pytest

import aiprism
from aiprism import metrics, tracing
from aiprism.sdk.metrics import FAMILIES


def test_the_names_of_the_package():
    assert aiprism.__all__ == [
        "CircuitOpen",
        "InjectedFault",
        "Instrumentation",
        "LogEvent",
        "ServerTelemetry",
        "StructuredLogger",
        "__version__",
        "api_request",
        "context",
        "controls",
        "current",
        "document_analysis_pipeline",
        "document_processing",
        "instrument",
        "logger",
        "metrics",
        "normalize_endpoint",
        "phase",
        "structlog_processor",
        "tracing",
    ]


@pytest.mark.parametrize("name", aiprism.__all__)
def test_every_name_can_be_had(name: str):
    assert getattr(aiprism, name) is not None
    assert name in dir(aiprism)


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'aiprism' has no attribute 'instrumment'"):
        aiprism.instrumment  # noqa: B018


def test_the_version_is_that_of_the_distribution():
    from importlib.metadata import version

    assert aiprism.__version__ == version("aiprism")


def test_the_arguments_of_instrument():
    assert list(inspect.signature(aiprism.instrument).parameters) == [
        "service",
        "version",
        "environment",
        "endpoint",
        "control_endpoint",
        "control_token",
        "control_allow_plaintext",
        "app",
        "instance",
        "logs_to_stdout",
        "log_level",
        "libraries",
    ]


def public_functions(module: ModuleType) -> set[str]:
    return {
        name
        for name, value in inspect.getmembers(module, inspect.isfunction)
        if value.__module__ == module.__name__ and not name.startswith("_")
    }


def test_the_functions_of_metrics():
    assert public_functions(metrics) == {
        "active_users",
        "ai_analysis_duration",
        "ai_model_cost",
        "ai_model_latency",
        "ai_model_requests",
        "analysis_quality_score",
        "bind",
        "business_kpi",
        "business_metrics",
        "database_connections_failed",
        "deployment",
        "document_queue_size",
        "documents_processed",
        "exposition",
        "forget_observed",
        "http_request_duration",
        "http_requests",
        "resource_utilization",
        "settle",
        "system_health",
        "user_engagement_score",
        "user_satisfaction_score",
    }
    assert len(FAMILIES) == 17


def test_the_spans_of_tracing():
    assert public_functions(tracing) == {
        "ai_analysis_parallel",
        "ai_model_invocation",
        "api_request",
        "bind",
        "document_analysis_pipeline",
        "document_preprocessing",
        "document_processing",
        "model_selection",
        "phase",
        "post_processing",
        "quality_assurance",
        "results_compilation",
        "section_analysis",
        "tracer",
    }


def test_the_controls():
    public = {name for name in dir(aiprism.controls) if not name.startswith("_")}
    assert public >= {"circuit_breaker", "traffic_weight", "pool", "fault_point"}
