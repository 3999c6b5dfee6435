"""The plan's metric families, with exactly its names, labels and buckets."""  # R2 R3

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
from typing import Any

import pytest
import redis
import redis.asyncio
from prometheus_client.parser import text_string_to_metric_families

from aiprism import metrics, tracing
from aiprism.sdk.metrics import FAMILIES, ActiveUsers, Kind
from tests.sdk.receiver import eventually, plain

HTTP = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
SCORES = (0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 1)
# The plan's declarations (L212–L258, L497–L573) and what its rules and dashboards ask for besides.
PLAN = {
    "ai_prism_documents_processed_total": ("counter", {"document_type", "processing_status", "user_type"}, ()),
    "ai_prism_ai_analysis_duration_seconds": (
        "histogram",
        {"model_name", "section_type", "complexity"},
        (1, 5, 10, 30, 60, 120, 300),
    ),
    "ai_prism_user_satisfaction_score": ("histogram", {"feedback_type", "user_segment"}, SCORES),
    "ai_prism_active_users": ("gauge", {"user_type", "organization", "time_window"}, ()),
    "ai_prism_http_request_duration_seconds": ("histogram", {"method", "endpoint", "status_code"}, HTTP),
    "ai_prism_business_kpi": ("gauge", {"kpi_name", "organization", "time_period"}, ()),
    "ai_prism_http_requests_total": ("counter", {"method", "endpoint", "status_code", "user_tier"}, ()),
    "ai_prism_ai_model_requests_total": ("counter", {"model_name", "request_type", "status"}, ()),
    "ai_prism_ai_model_latency_seconds": (
        "histogram",
        {"model_name", "complexity"},
        (1, 5, 10, 30, 60, 120, 300, 600),
    ),
    "ai_prism_ai_model_cost_usd_total": ("counter", {"model_name", "organization"}, ()),
    "ai_prism_analysis_quality_score": ("histogram", {"section_type", "model_name"}, SCORES),
    "ai_prism_user_engagement_score": ("gauge", {"organization", "time_period"}, ()),
    "ai_prism_system_health": ("gauge", {"component", "check_type"}, ()),
    "ai_prism_resource_utilization_percent": ("gauge", {"resource_type", "service_name"}, ()),
    "ai_prism_document_queue_size": ("gauge", set(), ()),
    "ai_prism_database_connections_failed_total": ("counter", {"database"}, ()),
    "ai_prism_deployment_timestamp": ("gauge", {"service", "version"}, ()),
}


def record_one_of_each() -> None:
    metrics.documents_processed(document_type="pdf", processing_status="completed", user_type="premium")
    metrics.ai_analysis_duration(2, model_name="sonnet", section_type="summary", complexity="high")
    metrics.user_satisfaction_score(0.85, feedback_type="rating", user_segment="legal")
    metrics.active_users(4, user_type="premium", organization="acme")
    metrics.http_request_duration(0.02, method="GET", endpoint="/documents/{id}", status_code=200)
    metrics.business_kpi(12, kpi_name="revenue", organization="acme", time_period="daily")
    metrics.http_requests(method="GET", endpoint="/documents/{id}", status_code=200, user_tier="premium")
    metrics.ai_model_requests(model_name="sonnet", request_type="analysis", status="success")
    metrics.ai_model_latency(2, model_name="sonnet", complexity="high")
    metrics.ai_model_cost(0.02, model_name="sonnet", organization="acme")
    metrics.analysis_quality_score(0.9, section_type="summary", model_name="sonnet")
    metrics.user_engagement_score(0.7, organization="acme")
    metrics.system_health(True, component="database", check_type="http")
    metrics.resource_utilization(55, resource_type="cpu", service_name="document-processor")
    metrics.document_queue_size(3)
    metrics.database_connections_failed(database="postgresql")
    metrics.deployment(service="document-processor", version="2.1.0", timestamp=1_700_000_000)


def data_of(metric) -> Any:
    return getattr(metric, metric.WhichOneof("data"))


def test_the_families_are_those_of_the_plan():
    declared = {f.name: (f.kind.value, set(f.labels), f.buckets) for f in FAMILIES.values()}
    assert declared == PLAN


def test_every_function_writes_its_family_with_the_plans_labels_and_buckets(platform, instrumented):
    instrumentation = instrumented()
    record_one_of_each()
    assert instrumentation.flush(20)
    written = {}
    for name in PLAN:
        metric = platform.metric(name)
        (point,) = data_of(metric).data_points
        kind = {"sum": "counter"}.get(metric.WhichOneof("data"), metric.WhichOneof("data"))
        written[name] = (kind, set(plain(point.attributes)), tuple(getattr(point, "explicit_bounds", ())))
    assert written == PLAN


def test_counters_are_cumulative_and_monotonic(platform, instrumented):
    instrumentation = instrumented()
    for _ in range(2):
        metrics.documents_processed(document_type="pdf", processing_status="completed")
        assert instrumentation.flush(20)
    total = platform.metric("ai_prism_documents_processed_total").sum
    assert (total.is_monotonic, total.aggregation_temporality, total.data_points[0].as_int) == (True, 2, 2)


def test_an_observation_inside_a_span_keeps_its_trace_as_exemplar(platform, instrumented):
    instrumentation = instrumented()
    with tracing.api_request(method="GET", url="/") as request:
        metrics.ai_analysis_duration(2, model_name="sonnet", section_type="summary", complexity="high")
        trace_id = request.span.get_span_context().trace_id
    assert instrumentation.flush(20)
    (point,) = platform.metric("ai_prism_ai_analysis_duration_seconds").histogram.data_points
    assert [exemplar.trace_id for exemplar in point.exemplars] == [trace_id.to_bytes(16, "big")]


def test_values_observed_faster_than_they_are_settled_are_all_there(platform, instrumented, monkeypatch):
    monkeypatch.setattr(metrics, "MOST_OBSERVED", 3)
    instrumentation = instrumented()
    for _ in range(10):
        metrics.user_satisfaction_score(0.8, feedback_type="rating")
    assert instrumentation.flush(20)
    (point,) = platform.metric("ai_prism_user_satisfaction_score").histogram.data_points
    assert (point.count, round(point.sum, 6)) == (10, 8.0)


def test_a_counter_does_not_go_down(platform, instrumented):
    instrumentation = instrumented()
    metrics.ai_model_cost(2.0, model_name="sonnet", organization="acme")
    metrics.ai_model_cost(-1.0, model_name="sonnet", organization="acme")
    metrics.ai_model_cost(float("nan"), model_name="sonnet", organization="acme")
    assert instrumentation.flush(20)
    (point,) = platform.metric("ai_prism_ai_model_cost_usd_total").sum.data_points
    assert point.as_double == 2.0


def test_the_exposition_is_prometheus_text_with_the_plans_names(instrumented):
    instrumented()
    record_one_of_each()
    families = {family.name: family for family in text_string_to_metric_families(metrics.exposition())}
    # The parser takes `_total` off a counter's name; a doubled suffix would leave one behind.
    expected = {name.removesuffix("_total") if PLAN[name][0] == "counter" else name for name in PLAN}
    assert expected <= families.keys()
    samples = {sample.name: sample for family in families.values() for sample in family.samples}
    assert samples["ai_prism_ai_model_cost_usd_total"].labels == {"model_name": "sonnet", "organization": "acme"}
    bounds = [
        sample.labels["le"]
        for sample in families["ai_prism_ai_model_latency_seconds"].samples
        if sample.name.endswith("_bucket")
    ]
    assert bounds == ["1.0", "5.0", "10.0", "30.0", "60.0", "120.0", "300.0", "600.0", "+Inf"]


def test_business_figures_are_set_together_and_returned_as_the_plans_report(platform, instrumented):
    instrumentation = instrumented()
    report = metrics.business_metrics(
        engagement={"acme": 0.7}, documents_processed_24h=120, ai_accuracy={"sonnet": 0.93}, cost_per_document=0.04
    )
    assert report["metrics"] == {
        "engagement_acme": 0.7,
        "processing_volume_24h": 120,
        "ai_accuracy_sonnet": 0.93,
        "cost_per_document": 0.04,
    }
    assert instrumentation.flush(20)
    kpis = [
        tuple(plain(point.attributes).values()) for point in platform.metric("ai_prism_business_kpi").gauge.data_points
    ]
    assert kpis == [
        ("documents_processed_24h", "all", "daily"),
        ("ai_accuracy_sonnet", "all", "weekly"),
        ("cost_per_document", "all", "daily"),
    ]


def test_only_counters_end_in_total():
    assert {f.name for f in FAMILIES.values() if f.name.endswith("_total")} == {
        f.name for f in FAMILIES.values() if f.kind is Kind.COUNTER
    }


def test_functions_may_be_called_before_instrument():
    record_one_of_each()


# Active users --------------------------------------------------------------------------------------------------------

NOW = 1_700_000_000.0
SESSIONS = [
    {"user_type": "premium", "organization": "acme", "user_id": "ann", "last_seen": str(NOW - 10)},
    {"user_type": "premium", "organization": "acme", "user_id": "ann", "last_seen": str(NOW - 4000)},
    {"user_type": "premium", "organization": "acme", "user_id": "bob", "last_seen": str(NOW - 2000)},
    {"organization": "initech"},
    {},
]


def test_users_are_counted_by_type_organisation_and_window():
    assert ActiveUsers().tally(SESSIONS, NOW) == {
        ("premium", "acme", "current"): 2,
        ("premium", "acme", "5m"): 1,
        ("premium", "acme", "1h"): 2,
        ("premium", "acme", "24h"): 2,
        ("standard", "initech", "current"): 1,
        ("standard", "unknown", "current"): 1,
    }


def test_a_group_whose_users_have_left_is_shown_as_zero(platform, instrumented):
    instrumentation = instrumented()
    users = ActiveUsers({"current": None})
    users.record(SESSIONS[:1], NOW)
    users.record([], NOW)
    assert instrumentation.flush(20)
    (point,) = platform.metric("ai_prism_active_users").gauge.data_points
    assert (plain(point.attributes), point.as_int) == (
        {"user_type": "premium", "organization": "acme", "time_window": "current"},
        0,
    )


@pytest.fixture
def redis_port(tmp_path):
    """A Redis of this test's own."""
    server = shutil.which("redis-server")
    if server is None:
        pytest.skip("needs a Redis server: apt-get install redis-server")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [server, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)],
        stdout=subprocess.DEVNULL,
    )
    try:
        with redis.Redis(port=port) as client:
            eventually(lambda: _answers(client), "the Redis server")
            for number, session in enumerate(SESSIONS[:4]):
                client.hset(f"session:{number}", mapping=session)
            client.set("other", "not a session")
        yield port
    finally:
        process.terminate()
        process.wait()


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def current_users(platform) -> dict[tuple[str, ...], float]:
    points = platform.metric("ai_prism_active_users").gauge.data_points
    return {tuple(plain(point.attributes).values()): point.as_int for point in points}


EXPECTED = {("premium", "acme", "current"): 2, ("standard", "initech", "current"): 1}


def test_active_users_are_read_from_a_redis_session_store(platform, instrumented, redis_port):
    instrumentation = instrumented()
    with redis.Redis(port=redis_port) as client:
        ActiveUsers({"current": None}).refresh(client, now=NOW)
        assert client.info("commandstats").get("cmdstat_keys") is None
    assert instrumentation.flush(20)
    assert current_users(platform) == EXPECTED


def test_active_users_are_read_through_an_async_redis_client(platform, instrumented, redis_port):
    async def refresh() -> None:
        async with redis.asyncio.Redis(port=redis_port, decode_responses=True) as client:
            await ActiveUsers({"current": None}).refresh_async(client, now=NOW)

    instrumentation = instrumented()
    asyncio.run(refresh())
    assert instrumentation.flush(20)
    assert current_users(platform) == EXPECTED
