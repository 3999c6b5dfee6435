"""One call sends three signals, and costs the application nothing when nobody takes them."""  # R2 R14

from __future__ import annotations

import asyncio
import json
import logging
import socket
import threading
import time

import httpx
import pytest
import sqlalchemy
from opentelemetry import trace as otel_trace

import aiprism
from tests.sdk.receiver import eventually, number, plain, run


def nobody_listens() -> str:
    """The URL of a port that refuses connections."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def test_spans_metrics_and_logs_arrive_at_one_endpoint(platform, instrumented, capsys):
    instrumentation = instrumented()
    with aiprism.tracing.api_request(method="GET", url="http://x/documents/1"):
        aiprism.metrics.document_queue_size(7)
        aiprism.logger("app").info("hello")
    assert instrumentation.flush(20)
    assert [span.name for span in platform.spans] == ["api_request"]
    assert platform.metric("ai_prism_document_queue_size").gauge.data_points[0].as_int == 7
    assert [record.body.string_value for record in platform.records] == ["hello"]
    assert json.loads(capsys.readouterr().out)["message"] == "hello"
    assert instrumentation.dropped() == {"traces": 0, "metrics": 0, "logs": 0}


def test_the_resource_names_service_version_environment_and_instance(platform, instrumented):
    instrumentation = instrumented(instance="document-processor-1")
    aiprism.metrics.document_queue_size(1)
    assert instrumentation.flush(20)
    resource = plain(platform.bodies["/v1/metrics"][0].resource_metrics[0].resource.attributes)
    assert {key: value for key, value in resource.items() if not key.startswith("telemetry.")} == {
        "service.name": "document-processor",
        "service.version": "2.1.0",
        "service.instance.id": "document-processor-1",
        "deployment.environment": "demo",
        "deployment.environment.name": "demo",
    }


def test_a_second_call_returns_the_same_instrumentation(instrumented):
    assert instrumented() is instrumented(service="another")


def test_after_a_shutdown_a_new_instrumentation_takes_over(platform, instrumented):
    instrumented().shutdown()
    second = instrumented(service="second")
    with aiprism.tracing.api_request(method="GET", url="/"):
        pass
    assert second.flush(20)
    (body,) = platform.bodies["/v1/traces"]
    assert plain(body.resource_spans[0].resource.attributes)["service.name"] == "second"


def test_spans_of_the_opentelemetry_api_are_sent_too(platform, instrumented):
    instrumentation = instrumented()
    with otel_trace.get_tracer("theirs").start_as_current_span("their span"):
        pass
    assert instrumentation.flush(20)
    assert platform.span("their span")


def test_what_is_not_given_comes_from_opentelemetrys_variables(platform):
    result = run(
        """
        import aiprism
        with aiprism.instrument() as running:
            aiprism.metrics.document_queue_size(1)
            assert running.flush(20)
        """,
        OTEL_SERVICE_NAME="from-env",
        OTEL_RESOURCE_ATTRIBUTES="service.version=9.9,deployment.environment=staging,service.instance.id=i-1,team=red",
        OTEL_EXPORTER_OTLP_ENDPOINT=platform.url,
        OTEL_EXPORTER_OTLP_HEADERS="x-tenant=blue",
        OTEL_EXPORTER_OTLP_COMPRESSION="gzip",
    )
    assert result.stderr == ""
    resource = plain(platform.bodies["/v1/metrics"][0].resource_metrics[0].resource.attributes)
    wanted = {
        "service.name": "from-env",
        "service.version": "9.9",
        "service.instance.id": "i-1",
        "deployment.environment": "staging",
        "deployment.environment.name": "staging",
        "team": "red",
    }
    assert resource.items() >= wanted.items()
    assert {headers.get("x-tenant") for headers in platform.headers} == {"blue"}
    assert {headers.get("Content-Encoding") for headers in platform.headers} == {"gzip"}


def test_a_variable_that_makes_no_sense_is_said_and_not_raised(platform):
    result = run(
        """
        import logging, aiprism
        logging.basicConfig()
        with aiprism.instrument("x", logs_to_stdout=False, log_level="verbose") as running:
            pass
        """,
        OTEL_EXPORTER_OTLP_ENDPOINT=platform.url,
        OTEL_BSP_MAX_QUEUE_SIZE="many",
        OTEL_TRACES_EXPORTER="zipkin",
    )
    assert result.returncode == 0
    assert "Unknown level: 'verbose'" in result.stderr
    assert "OTEL_BSP_MAX_QUEUE_SIZE='many' is not a number of at least 1; using 8192" in result.stderr
    assert "OTEL_TRACES_EXPORTER='zipkin' is not one of otlp, console, none; using otlp" in result.stderr


def test_a_disabled_sdk_sends_nothing_and_keeps_the_log_lines(platform):
    result = run(
        """
        import aiprism
        with aiprism.instrument("x"), aiprism.tracing.api_request(method="GET", url="/"):
            aiprism.metrics.document_queue_size(1)
            aiprism.logger("app").info("still here")
        """,
        OTEL_EXPORTER_OTLP_ENDPOINT=platform.url,
        OTEL_SDK_DISABLED="true",
    )
    assert json.loads(result.stdout)["message"] == "still here"
    assert platform.headers == []


def test_an_exporter_of_none_leaves_its_signal_out(platform):
    run(
        """
        import aiprism
        with aiprism.instrument("x") as running, aiprism.tracing.api_request(method="GET", url="/"):
            aiprism.logger("app").info("sent")
        assert running.dropped() == {"traces": 0, "logs": 0}
        """,
        OTEL_EXPORTER_OTLP_ENDPOINT=platform.url,
        OTEL_METRICS_EXPORTER="none",
    )
    assert (len(platform.spans), len(platform.records), platform.bodies["/v1/metrics"]) == (1, 1, [])


def test_a_bare_import_loads_neither_the_platform_nor_opentelemetry():
    heavy = (
        "chdb clickhouse_connect fastapi starlette sqlalchemy numpy pyarrow httpx uvicorn structlog pydantic re2 xxhash"
    )
    result = run(
        f"""
        import sys, aiprism
        loaded = set(sys.modules)
        print(sorted(set({f"{heavy} opentelemetry requests".split()!r}) & loaded))
        aiprism.instrument("x", endpoint="http://127.0.0.1:9", logs_to_stdout=False)
        print(sorted(set({heavy.split()!r}) & set(sys.modules)))
        """
    )
    assert result.stdout == "[]\n[]\n", result.stderr


# When the platform is away -------------------------------------------------------------------------------------------


def test_what_could_not_be_delivered_arrives_when_the_platform_is_back(platform, instrumented):
    platform.status = 503
    instrumentation = instrumented()
    for request in range(20):
        with aiprism.tracing.api_request(method="GET", url=f"/{request}"):
            pass
    assert not instrumentation.flush(0.5)
    platform.status = 200
    eventually(lambda: len(platform.spans) == 20, "the delivery")
    assert instrumentation.dropped()["traces"] == 0


def test_a_full_queue_loses_the_oldest_and_counts_them(platform, instrumented, monkeypatch):
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "10")
    platform.answering.clear()
    instrumentation = instrumented()
    for request in range(50):
        with aiprism.tracing.api_request(method="GET", url=f"/{request}"):
            pass
    assert instrumentation.dropped()["traces"] == 40
    platform.answering.set()
    eventually(lambda: platform.spans and instrumentation.flush(1), "the delivery")
    arrived = {plain(span.attributes)["http.url"] for span in platform.spans}
    assert len(arrived) == 10
    assert "/49" in arrived
    points = platform.metric("aiprism_sdk_dropped_total").sum.data_points
    counts = {tuple(plain(point.attributes).values()): number(point) for point in points}
    assert counts["traces", "queue_full"] == 40


def test_what_the_receiver_refuses_is_dropped_counted_and_not_sent_again(platform, instrumented):
    platform.status = 400
    instrumentation = instrumented()
    with aiprism.tracing.api_request(method="GET", url="/"):
        pass
    eventually(lambda: instrumentation.dropped()["traces"] == 1, "the refusal")
    platform.status = 200
    assert instrumentation.flush(20)
    assert platform.spans == []


def test_items_turned_down_in_a_partial_success_are_counted(platform, instrumented):
    platform.rejected = 3
    instrumentation = instrumented()
    with aiprism.tracing.api_request(method="GET", url="/"):
        pass
    eventually(lambda: instrumentation.dropped()["traces"] == 3, "the partial success")


@pytest.mark.parametrize("way", ["refuses", "hangs"])
def test_an_absent_platform_neither_holds_up_requests_nor_the_end(platform, instrumented, monkeypatch, way):
    # Whoever waited for the network here would wait for minutes.
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "600")
    platform.answering.clear()
    instrumentation = instrumented(endpoint=nobody_listens() if way == "refuses" else platform.url)
    started = time.monotonic()
    for _ in range(2000):
        with aiprism.tracing.api_request(method="GET", url="/"):
            aiprism.metrics.document_queue_size(1)
    instrumentation.shutdown(1.0)
    assert time.monotonic() - started < 60
    assert instrumentation.dropped()["traces"] == 2000


def test_a_process_ends_promptly_and_quietly_without_its_platform():
    result = run(
        f"""
        import aiprism
        aiprism.instrument("x", endpoint={nobody_listens()!r}, logs_to_stdout=False)
        with aiprism.tracing.api_request(method="GET", url="/"):
            aiprism.logger("app").info("nobody hears")
        """
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_what_is_left_at_exit_is_delivered(platform):
    run(
        f"""
        import aiprism
        aiprism.instrument("x", endpoint={platform.url!r})
        with aiprism.tracing.api_request(method="GET", url="/"):
            aiprism.metrics.document_queue_size(3)
        """
    )
    assert platform.span("api_request")
    assert platform.metric("ai_prism_document_queue_size").gauge.data_points[0].as_int == 3


def test_a_forked_child_reports_as_an_instance_of_its_own(platform):
    result = run(
        f"""
        import os, aiprism
        running = aiprism.instrument("x", endpoint={platform.url!r}, instance="one", logs_to_stdout=False)
        with aiprism.tracing.api_request(method="GET", url="/parent"):
            pass
        child = os.fork()
        if child == 0:
            with aiprism.tracing.api_request(method="GET", url="/child"):
                pass
            running.shutdown()
            os._exit(0)
        os.waitpid(child, 0)
        print(child)
        """
    )
    child = result.stdout.strip()
    seen = {
        plain(span.attributes)["http.url"]: plain(resource.resource.attributes)["service.instance.id"]
        for body in platform.bodies["/v1/traces"]
        for resource in body.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    }
    assert seen == {"/parent": "one", "/child": f"one-{child}"}
    assert len(platform.spans) == 2


def test_many_threads_lose_nothing(platform, instrumented):
    instrumentation = instrumented()

    def work() -> None:
        for _ in range(200):
            with aiprism.tracing.api_request(method="GET", url="/"):
                pass

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert instrumentation.flush(30)
    assert len(platform.spans) + instrumentation.dropped()["traces"] == 1600


# Libraries -----------------------------------------------------------------------------------------------------------


def test_httpx_carries_the_trace_to_the_next_service(platform, instrumented):
    instrumentation = instrumented()
    with aiprism.tracing.api_request(method="GET", url="/") as request, httpx.Client() as client:
        client.post(f"{platform.url}/v1/logs", content=b"")
        trace_id = format(request.span.get_span_context().trace_id, "032x")
    called = next(headers for headers in platform.headers if "traceparent" in headers)
    assert called["traceparent"].split("-")[1] == trace_id
    assert instrumentation.flush(20)
    assert platform.span("POST").parent_span_id == platform.span("api_request").span_id


def test_statements_of_sqlalchemy_become_spans_without_their_parameters(platform, instrumented):
    instrumentation = instrumented()
    engine = sqlalchemy.create_engine("sqlite://")
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("SELECT :secret"), {"secret": "hunter2"})
        with pytest.raises(sqlalchemy.exc.OperationalError):
            connection.execute(sqlalchemy.text("SELECT * FROM nowhere"))
    engine.dispose()
    assert instrumentation.flush(20)
    good, bad = (span for span in platform.spans if span.name.startswith("SELECT"))
    assert plain(good.attributes)["db.system"] == "sqlite"
    assert plain(good.attributes)["db.statement"] == "SELECT ?"
    assert "hunter2" not in str(platform.bodies)
    assert bad.status.code == bad.status.STATUS_CODE_ERROR


def test_a_disabled_library_is_left_alone(platform, instrumented, monkeypatch):
    monkeypatch.setenv("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "sqlalchemy, httpx")
    instrumentation = instrumented()
    engine = sqlalchemy.create_engine("sqlite://")
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("SELECT 1"))
    engine.dispose()
    assert instrumentation.flush(20)
    assert platform.spans == []


def test_the_root_logger_is_given_back_as_it_was(instrumented):
    root = logging.getLogger()
    before = (root.level, list(root.handlers))
    instrumented().shutdown()
    assert (root.level, list(root.handlers)) == before


def test_the_applications_own_instruments_are_exported_with_ours(platform):
    run(
        f"""
        import aiprism
        from opentelemetry import metrics
        with aiprism.instrument("x", endpoint={platform.url!r}):
            metrics.get_meter("theirs").create_counter("their_total").add(2)
        """
    )
    assert number(platform.metric("their_total").sum.data_points[0]) == 2


def test_a_coroutine_keeps_its_identity_while_another_runs():
    async def work(name: str) -> str:
        with aiprism.context(user_id=name):
            await asyncio.sleep(0)
            return aiprism.current().user_id

    async def both() -> list[str]:
        return list(await asyncio.gather(work("ann"), work("bob")))

    assert asyncio.run(both()) == ["ann", "bob"]
    assert aiprism.current().user_id == ""
