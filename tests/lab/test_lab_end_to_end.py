"""A document's way through all processes, and what telemetry tells of it."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from aiprism.clock import FakeClock
from aiprism.store.edges import EdgeJoin
from aiprism.store.engine import Engine
from aiprism.store.logcolumns import log_columns
from aiprism.store.spancolumns import span_columns
from aiprism.telemetry import Telemetry
from aiprism.web import explore, logs, routes, services
from aiprism_lab import generate
from aiprism_lab.documents import DocumentFormat
from aiprism_lab.wiring import SERVICES
from tests.journeys.conftest import Server
from tests.lab.conftest import TOKEN, Lab, Visitor, eventually
from tests.lab.control_stub import CONTROL_TOKEN, control_stub
from tests.lab.servers import postgresql, redis_server
from tests.lab.sink import OtlpSink, Span, otlp_sink
from tests.web.serving import serving

# Name, service and the name of the nearest ancestor in this table: the pipeline of the plan across the processes.
TREE = {
    ("document_processing", "document-processor", "POST /documents"),
    ("document_upload", "document-processor", "document_processing"),
    ("document_analysis_pipeline", "document-processor", "document_processing"),
    ("document_preprocessing", "document-processor", "document_analysis_pipeline"),
    ("content_extraction", "document-processor", "document_preprocessing"),
    ("section_detection", "document-processor", "document_preprocessing"),
    ("ai_analysis_parallel", "document-processor", "document_analysis_pipeline"),
    ("ai_analysis", "document-processor", "ai_analysis_parallel"),
    ("POST /analyses", "ai-analysis-service", "ai_analysis"),
    ("section_analysis", "ai-analysis-service", "POST /analyses"),
    ("model_selection", "ai-analysis-service", "section_analysis"),
    ("ai_model_invocation", "ai-analysis-service", "section_analysis"),
    ("POST /v1/chat/completions", "model-server", "ai_model_invocation"),
    ("post_processing", "ai-analysis-service", "section_analysis"),
    ("results_compilation", "document-processor", "document_analysis_pipeline"),
    ("result_compilation", "document-processor", "results_compilation"),
    ("quality_assurance", "document-processor", "document_analysis_pipeline"),
}
PIPELINE = {
    "document.id",
    "user.id",
    "user.organization",
    "pipeline.version",
    "pipeline.status",
    "pipeline.quality_score",
}
ATTRIBUTES = {
    "document_processing": {
        "document.id",
        "document.type",
        "document.size_bytes",
        "user.id",
        "user.organization",
        "user.tier",
    },
    "document_analysis_pipeline": PIPELINE | {"pipeline.total_duration_seconds"},
    "document_preprocessing": {"preprocessing.duration_seconds", "sections.detected", "document.complexity_score"},
    "ai_analysis_parallel": {"ai_analysis.total_duration_seconds", "ai_analysis.sections_processed"},
    "section_analysis": {"section.name", "section.type", "section.word_count", "section.complexity", "document.id"},
    "model_selection": {"selected_model", "selection_reason"},
    "ai_model_invocation": {"ai_model.name", "ai_model.tokens_used", "ai_model.cost_usd", "feedback_items.generated"},
    "post_processing": {"post_processing.validation_passed", "post_processing.feedback_items"},
    "results_compilation": {"compilation.duration_seconds", "feedback_items.total", "risk_assessment.high"},
    "quality_assurance": {"quality_score", "quality_passed"},
}


def tree_of(spans) -> set[tuple[str, str, str]]:
    """(name, service, nearest ancestor that is no mere HTTP or SQL client call) of each span of a trace."""
    by_id = {span.id: span for span in spans}
    names = {name for name, _, _ in TREE} | {"POST /documents"}

    def ancestor(span) -> str:
        parent = by_id.get(span.parent)
        while parent is not None and (parent.name not in names or parent.service == "api-gateway"):
            parent = by_id.get(parent.parent)
        return parent.name if parent else ""

    return {(span.name, span.service, ancestor(span)) for span in spans}


@pytest.mark.parametrize("document_format", [DocumentFormat.WORD, DocumentFormat.PDF])
def test_an_uploaded_document_comes_back_with_feedback_and_leaves_the_plans_trace(lab, sink, document_format):  # R14
    source = generate.draft(4)
    with Visitor(lab) as visitor:
        document_id = visitor.upload(4, document_format)
        result = visitor.result(document_id)
        told = visitor.http.get("/notifications").json()["notifications"]
    assert (result["title"], result["kind"]) == (source.title, source.kind)
    assert [section["name"] for section in result["sections"]] == [passage.heading for passage in source.passages]
    assert result["feedback"]
    assert result["tokens"] > 500
    assert 0.001 < result["cost_usd"] < 0.5
    assert result["quality_passed"]
    assert document_id in {each["document_id"] for each in told}

    def trace():
        roots = sink.named("document_processing", document__id=document_id)
        spans = sink.spans_of(roots[0].trace) if roots else []
        # Every service sends its spans when it is ready to: the gateway's root may well come last.
        complete = tree_of(spans) >= TREE and any(not span.parent for span in spans)
        return spans if complete else None

    spans = eventually(trace, "the whole tree of spans")
    assert sum(span.name == "section_analysis" for span in spans) == len(source.passages)
    for span in spans:
        assert ATTRIBUTES.get(span.name, set()) <= set(span.attributes), span
    [root] = [span for span in spans if not span.parent]
    assert (root.service, root.name) == ("api-gateway", "POST /documents")
    assert {span.attributes["document.id"] for span in spans if span.name == "section_analysis"} == {document_id}


# Who calls whom in the plan, as far as the lab has both (its database is a file here, its model a server of its own).
EDGES = {
    ("api-gateway", "user-service", "request"),
    ("api-gateway", "document-processor", "request"),
    ("api-gateway", "feedback-service", "request"),
    ("document-processor", "ai-analysis-service", "request"),
    ("document-processor", "notification-service", "request"),
    ("ai-analysis-service", "model-server", "request"),
    ("document-processor", "sqlite", "database"),
    ("user-service", "sqlite", "database"),
    ("feedback-service", "sqlite", "database"),
    ("notification-service", "sqlite", "database"),
}
LINES = {("document-processor", "document processing completed"), ("notification-service", "user notified")}


def test_a_platform_shows_the_plans_tree_the_logs_of_its_spans_and_who_calls_whom(lab, sink, engine):  # R1, R14
    with Visitor(lab) as visitor:
        document_id = visitor.upload(7)
        visitor.result(document_id)
        visitor.http.post("/feedback", json={"document_id": document_id, "score": 0.9})

    def arrived() -> bool:
        with sink.lock:
            lines = {(service, line) for service, line, told in sink.logs if told.get("document_id") == document_id}
            stored = {span.service for span in sink.spans if "db.system" in span.attributes}
            passed_on = any(span.service == "api-gateway" and span.name == "POST /feedback" for span in sink.spans)
        return lines >= LINES and stored >= {caller for caller, _, how in EDGES if how == "database"} and passed_on

    eventually(arrived, "logs and calls of every service")
    [root] = eventually(lambda: sink.named("document_processing", document__id=document_id), "the document's span")
    eventually(lambda: tree_of(sink.spans_of(root.trace)) >= TREE, "the whole tree of spans")
    with platform(engine, sink) as client:
        trace = client.get(f"/aiprism/v1/traces/{root.trace}").json()
        spans = [Span(**{field: each[key] for field, key in OF_SPAN.items()}) for each in trace["spans"]]
        assert tree_of(spans) >= TREE
        assert {(each["service"], each["body"]) for each in trace["logs"]} == LINES
        for span in trace["spans"]:
            found = client.get(span["links"]["logs"]).json()["logs"]
            assert [each["body"] for each in found] == [
                each["body"] for each in trace["logs"] if each["span_id"] == span["span_id"]
            ]
        seen = client.get("/aiprism/v1/services/map").json()
    assert {(each["caller"], each["callee"], each["connection"]) for each in seen["edges"]} >= EDGES
    kinds = {each["name"]: each["kind"] for each in seen["nodes"]}
    assert kinds.items() >= (dict.fromkeys(SERVICES, "service") | {"sqlite": "database"}).items()


OF_SPAN = {
    "service": "service", "name": "name", "trace": "trace_id", "id": "span_id", "parent": "parent_span_id",
    "attributes": "attributes",
}  # fmt: skip


@contextmanager
def platform(engine: Engine, sink: OtlpSink) -> Iterator[httpx.Client]:
    """The doors of the platform on everything that the lab has sent, when its calls have been joined."""

    async def nothing() -> None:
        return None

    with sink.lock:
        bodies = {signal: list(each) for signal, each in sink.bodies.items()}
    for table, signal, columns in (("spans", "traces", span_columns), ("logs_received", "logs", log_columns)):
        for number, body in enumerate(bodies[signal]):
            engine.insert_arrow(table, columns(body), token=f"{signal} {number}")
    clock = FakeClock(time.time() + 600)
    for _ in EdgeJoin(engine).advance(clock.now()):
        pass
    doors = [explore.router(engine, clock), logs.router(engine, clock), services.router(engine, clock)]
    with serving(routes.build(doors, Telemetry(), {}, nothing)) as url, httpx.Client(base_url=url) as client:
        yield client


def test_the_plans_metrics_are_fed(lab, sink):  # R2, R3
    with Visitor(lab, "grace@castell.example", "enterprise") as visitor:
        document_id = visitor.upload(5)
        visitor.result(document_id)
        given = {"document_id": document_id, "score": 0.9}
        assert visitor.http.post("/feedback", json=given).status_code == 201
        assert visitor.http.post("/feedback", json=given).status_code == 409
    wanted = {
        "ai_prism_documents_processed_total": {"document_type": "md", "processing_status": "completed"},
        "ai_prism_ai_analysis_duration_seconds": {},
        "ai_prism_ai_model_requests_total": {"request_type": "section_analysis", "status": "success"},
        "ai_prism_ai_model_latency_seconds": {},
        "ai_prism_ai_model_cost_usd_total": {"organization": "castell.example"},
        "ai_prism_user_satisfaction_score": {"feedback_type": "rating", "user_segment": "enterprise"},
        "ai_prism_analysis_quality_score": {},
        "ai_prism_user_engagement_score": {"organization": "castell.example", "time_period": "daily"},
        "ai_prism_active_users": {"user_type": "enterprise", "organization": "castell.example", "time_window": "5m"},
        "ai_prism_business_kpi": {"kpi_name": "documents_processed_24h"},
        "ai_prism_http_requests_total": {"endpoint": "/documents/{id}", "method": "GET", "user_tier": "enterprise"},
        "ai_prism_http_request_duration_seconds": {"endpoint": "/analyses", "status_code": "200"},
        "ai_prism_system_health": {"component": "model-server", "check_type": "http"},
        "ai_prism_resource_utilization_percent": {"resource_type": "memory", "service_name": "model-server"},
    }

    def lacking() -> list[str]:
        return [name for name, labels in wanted.items() if not sink.value(name, **labels) > 0]

    eventually(lambda: not lacking(), f"all of {list(wanted)}")
    assert "ai_prism_document_queue_size" in sink.metrics()


def test_strangers_get_nothing(lab):
    with Visitor(lab) as owner, Visitor(lab, "eve@elsewhere.example") as stranger:
        document_id = owner.upload()
        owner.outcome(document_id)
        assert stranger.http.get(f"/documents/{document_id}").status_code == 404
        assert stranger.http.get(f"/documents/{document_id}/result").status_code == 404
        rated = stranger.http.post("/feedback", json={"document_id": document_id, "score": 1})
        assert rated.status_code == 404
        spoofed = {"x-user-id": "someone", "x-organization-id": "alder.example"}
        assert stranger.http.get(f"/documents/{document_id}", headers=spoofed).status_code == 404
        stranger.http.post("/logout")
        assert stranger.http.get("/documents").status_code == 401
    anonymous = httpx.get(lab.url_of("api-gateway") + "/documents", headers=spoofed)
    assert (anonymous.status_code, anonymous.json()["error"]["code"]) == (401, "no_session")


@pytest.mark.parametrize(
    ("name", "content", "status"),
    [("a.exe", b"MZ", 415), ("a.pdf", b"no pdf", 415), ("big.txt", b"x" * (5 * 1024 * 1024 + 1), 413)],
)
def test_an_upload_that_cannot_be_read_is_refused_at_the_door(lab, name, content, status):
    with Visitor(lab) as visitor:
        assert visitor.http.post("/documents", files={"file": (name, content)}).status_code == status


def test_a_damaged_document_fails_with_its_reason_and_its_user_is_told(lab, sink):
    with Visitor(lab) as visitor:
        answer = visitor.http.post("/documents", files={"file": ("broken.pdf", b"%PDF-1.7 but no more")})
        outcome = visitor.outcome(answer.json()["id"])
        assert (outcome["status"], "damaged" in outcome["reason"]) == ("failed", True)
        assert visitor.http.get(f"/documents/{outcome['id']}/result").status_code == 409

        def told():
            messages = visitor.http.get("/notifications").json()["notifications"]
            return [each for each in messages if each["document_id"] == outcome["id"]]

        [message] = eventually(told, "the notification")
        assert "could not be analysed" in message["text"]
    failed = {"document_type": "pdf", "processing_status": "failed"}
    eventually(lambda: sink.value("ai_prism_documents_processed_total", **failed) == 1, "the failure in the metrics")


def test_the_web_page_is_served_and_a_missing_service_is_said(lab):
    assert "Document analysis" in httpx.get(lab.url_of("api-gateway")).text
    with Visitor(lab) as visitor:
        lab.act("notification-service", "kill")
        answer = visitor.http.get("/notifications")
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
        lab.act("notification-service", "start")
        assert visitor.http.get("/notifications").status_code == 200


SCRAPE_RULES = """
groups:
- name: lab
  interval: 1s
  rules:
  - {alert: TargetDown, expr: 'up{job="lab"} == 0', labels: {severity: critical}}
"""


def test_a_server_with_a_prometheus_yml_scrapes_the_services_and_notices_one_that_dies(lab, tmp_path):
    page = Path("docs/lab.md").read_text(encoding="utf-8")
    [documented] = re.findall(r"```yaml\n(scrape_configs:.*?)```", page, re.DOTALL)
    (tmp_path / "lab.token").write_text(TOKEN)
    scraped = documented.replace("http://127.0.0.1:PORT", lab.url).replace("DIR/", "")
    (tmp_path / "prometheus.yml").write_text(f"rule_files: [rules.yml]\n{scraped}")
    (tmp_path / "rules.yml").write_text(SCRAPE_RULES)
    server = Server(tmp_path / "data", tmp_path / "prometheus.yml").start()
    try:
        _scraped(server, lab)
    finally:
        server.stop()


def _scraped(server: Server, lab: Lab) -> None:
    def up() -> dict[str, str]:
        return {each["metric"]["service"]: each["value"][1] for each in server.instant('up{job="lab"}')}

    eventually(lambda: up() == dict.fromkeys(SERVICES, "1"), "all are up")
    with Visitor(lab, "grace@birch.example") as visitor:
        visitor.result(visitor.upload())
    of_processor = 'ai_prism_documents_processed_total{service="document-processor", processing_status="completed"}'
    eventually(lambda: server.instant(f"{of_processor} > 0"), "the document in what was scraped")
    mine = '{service="notification-service", __name__=~"ai_prism_.*"}'
    eventually(lambda: server.instant(mine), "the series of a service that runs")
    lab.act("notification-service", "kill")
    eventually(lambda: up()["notification-service"] == "0", "it is down")
    assert server.instant(mine) == []

    def incident() -> bool:
        alerts = [alert for each in server.get("/aiprism/v1/incidents")["incidents"] for alert in each["alerts"]]
        return "notification-service" in {alert["labels"].get("service") for alert in alerts}

    eventually(incident, "its incident")
    lab.act("notification-service", "start")
    eventually(lambda: up()["notification-service"] == "1", "it is up again")


def test_a_crash_loses_no_document(lab):
    with Visitor(lab) as visitor:
        uploaded = [visitor.upload(seed) for seed in range(6)]
        lab.act("document-processor", "kill")
        assert visitor.http.get(f"/documents/{uploaded[0]}").status_code == 503
        lab.act("document-processor", "start")
        assert {visitor.outcome(each)["status"] for each in uploaded} == {"completed"}


def test_the_operator_steers_the_running_services(tmp_path):
    with otlp_sink() as sink, control_stub() as control:
        lab = Lab(tmp_path / "lab", sink.url, "--no-load", platform=control.url, control_token=CONTROL_TOKEN)
        try:
            with Visitor(lab) as visitor:
                _steer(control, visitor, sink)
                _take_too_much_memory(control, lab, sink)
        finally:
            lab.stop()


def _steer(control, visitor, sink) -> None:
    def follow(*command, **params) -> str:
        command_id: str = control.command(*command, **params)
        eventually(lambda: control.acks.get(command_id) == "applied", f"{command} applied")
        return command_id

    eventually(lambda: len(control.controls) >= 8, "all services report")
    assert {("circuit_breaker", "ai-model"), ("traffic_weight", "ai-model")} <= control.controls["ai-analysis-service"]
    assert ("pool", "database") in control.controls["document-processor"]
    assert ("fault_point", "model.invoke") in control.controls["model-server"]

    follow(
        "ai-analysis-service", "traffic_weight", "ai-model", "set", weights={"claude-haiku": 1.0, "claude-sonnet": 0.0}
    )
    assert {section["model"] for section in visitor.result(visitor.upload(1))["sections"]} == {"claude-haiku"}

    slow = follow("model-server", "fault_point", "model.invoke", "inject", latency_factor=20.0)
    seconds = [section["seconds"] for section in visitor.result(visitor.upload(2))["sections"]]
    # Twenty times the least a call can take; sleeping is never shorter than asked for.
    assert min(seconds) > 20 * 0.035 * 0.85

    opened = follow("ai-analysis-service", "circuit_breaker", "ai-model", "open")
    degraded = visitor.result(visitor.upload(3))
    assert (degraded["degraded"], degraded["cost_usd"], degraded["quality_passed"]) == (True, 0.0, False)
    assert {section["model"] for section in degraded["sections"]} == {"local-review"}

    control.revoke(slow)
    control.revoke(opened)
    eventually(lambda: control.acks[slow] == control.acks[opened] == "undone", "commands undone")
    follow("document-processor", "pool", "database", "reset")
    assert not visitor.result(visitor.upload(3))["degraded"]

    follow("model-server", "fault_point", "model.invoke", "inject", error_rate=1.0, error_message="model overloaded")
    failed = visitor.outcome(visitor.upload(4))
    assert (failed["status"], "analysis failed" in failed["reason"]) == ("failed", True)
    eventually(
        lambda: sink.value("ai_prism_ai_model_requests_total", status="error") > 0, "model errors in the metrics"
    )
    eventually(lambda: sink.value("ai_prism_ai_model_requests_total", status="rejected") > 0, "rejected calls counted")


def _take_too_much_memory(control, lab, sink) -> None:
    used = {"resource_type": "memory", "service_name": "feedback-service"}
    command = ("feedback-service", "fault_point", "http.request", "inject")
    control.command(*command, memory_bytes=600_000_000, memory_bytes_per_second=200_000_000)
    eventually(lambda: sink.value("ai_prism_resource_utilization_percent", **used) > 45, "the leak in the metrics")
    eventually(lambda: lab.processes("feedback-service")[0]["state"] == "crashed", "the end of who took too much")
    assert {each["state"] for each in lab.processes() if each["service"] != "feedback-service"} == {"running"}


def test_the_load_keeps_a_healthy_lab_busy_without_errors(tmp_path):
    with otlp_sink() as sink:
        lab = Lab(tmp_path / "lab", sink.url, "--users", "6", "--rate", "2")
        try:
            statistics = lab.url_of("load") + "/statistics"

            def seen() -> Any:
                return httpx.get(statistics).json()

            eventually(lambda: seen().get("rated", 0) >= 3, "users that have rated results")
            assert seen()["completed"] >= 3
            assert not [
                name for name in seen() if name in ("answers_5xx", "broken_rounds", "failed", "refused_uploads")
            ]
        finally:
            lab.stop()


def test_the_lab_runs_on_postgresql_and_redis_where_sessions_are_shared(tmp_path):
    with (
        postgresql() as database,
        redis_server(tmp_path / "redis") as sessions,
        otlp_sink() as sink,
    ):
        stores = {"LAB_DATABASE_URL": database, "LAB_REDIS_URL": sessions}
        lab = Lab(tmp_path / "lab", sink.url, "--no-load", **stores)
        try:
            with Visitor(lab) as visitor:
                assert visitor.outcome(visitor.upload(6, DocumentFormat.WORD))["status"] == "completed"
                assert lab.act("user-service", "scale", replicas=2)["ok"]
                assert lab.act("user-service", "restart")["ok"]
                for _ in range(4):  # both replicas know the session, and it outlived their predecessors
                    assert visitor.http.get("/me").json()["organization"] == "alder.example"
            active = {"organization": "alder.example", "time_window": "5m"}
            eventually(lambda: sink.value("ai_prism_active_users", **active) > 0, "the active user in the metrics")
            assert not (tmp_path / "lab" / "lab.db").exists()
        finally:
            lab.stop()
