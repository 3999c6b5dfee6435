"""Every request of an application is measured by route, traced and given an id."""  # R2 R14

from __future__ import annotations

import asyncio
import json
from typing import Any

import fastapi
import httpx
import pytest
from opentelemetry.trace import SpanKind
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import aiprism
from aiprism.sdk.asgi import ServerTelemetry
from tests.sdk.receiver import eventually, plain, run


def application() -> fastapi.FastAPI:
    app = fastapi.FastAPI()
    documents = fastapi.APIRouter(prefix="/documents")

    @documents.get("/{document_id}")
    async def document(document_id: str) -> dict[str, str]:
        aiprism.logger("app").info("read")
        return {"request_id": aiprism.current().request_id}

    @documents.post("/{document_id}/sections/{number}")
    async def section(document_id: str, number: int, request: fastapi.Request) -> None:
        with aiprism.context(user_id="ann", organization_id="acme", user_tier="premium"):
            await asyncio.sleep(0)

    @app.get("/broken")
    async def broken() -> None:
        raise ZeroDivisionError

    @app.get("/healthz")
    async def health() -> None:
        pass

    app.include_router(documents)
    inner = fastapi.FastAPI()

    @inner.get("/things/{thing}")
    async def thing(thing: str) -> None:
        pass

    app.mount("/inner", inner)
    return app


def call(app, *requests: tuple[str, str], **headers: str) -> list[httpx.Response]:
    async def all_of_them() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://documents.test") as client:
            return [await client.request(method, path, headers=headers) for method, path in requests]

    return asyncio.run(all_of_them())


def counted(platform) -> dict[tuple[str, ...], int]:
    metric = platform.metric("ai_prism_http_requests_total")
    keys = ("method", "endpoint", "status_code", "user_tier")
    return {tuple(plain(p.attributes)[key] for key in keys): p.as_int for p in metric.sum.data_points}


def test_requests_are_counted_and_timed_by_normalised_route(platform, instrumented):
    app = application()
    instrumentation = instrumented(app=app)
    call(
        app,
        ("GET", "/documents/42"),
        ("GET", "/documents/report-7"),
        ("POST", "/documents/42/sections/3"),
        ("GET", "/broken"),
        ("GET", "/inner/things/x"),
        ("GET", "/wp-admin/1"),
        ("GET", "/wp-admin/2"),
        ("BREW", "/documents/42"),
        ("GET", "/healthz"),
    )
    assert instrumentation.flush(20)
    assert counted(platform) == {
        ("GET", "/documents/{id}", "200", "standard"): 2,
        ("POST", "/documents/{id}/sections/{id}", "200", "premium"): 1,
        ("GET", "/broken", "500", "standard"): 1,
        ("GET", "/inner/things/{id}", "200", "standard"): 1,
        ("GET", "unmatched", "404", "standard"): 2,
        ("_OTHER", "/documents/{id}", "405", "standard"): 1,
    }
    timed = platform.metric("ai_prism_http_request_duration_seconds").histogram.data_points
    assert {plain(point.attributes)["endpoint"] for point in timed} == {
        "/documents/{id}",
        "/documents/{id}/sections/{id}",
        "/broken",
        "/inner/things/{id}",
        "unmatched",
    }
    assert all(point.exemplars for point in timed)


def test_the_server_span_has_the_attributes_of_api_request(platform, instrumented):
    app = application()
    instrumentation = instrumented(app=app)
    call(app, ("POST", "/documents/42/sections/3?token=secret"), **{"X-Request-ID": "req_7"})
    assert instrumentation.flush(20)
    span = platform.span("POST /documents/{document_id}/sections/{number}")
    assert span.kind == span.SPAN_KIND_SERVER
    assert plain(span.attributes) == {
        "http.method": "POST",
        "http.url": "http://documents.test/documents/42/sections/3",
        "http.status_code": 200,
        "http.route": "/documents/{document_id}/sections/{number}",
        "user.id": "ann",
        "user.organization": "acme",
        "document.id": "42",
        "request.id": "req_7",
    }


def test_a_request_continues_the_trace_of_its_caller(platform, instrumented):
    app = application()
    instrumentation = instrumented(app=app)
    call(app, ("GET", "/documents/42"), traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    assert instrumentation.flush(20)
    span = platform.span("GET /documents/{document_id}")
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")


def test_a_failed_request_is_an_error_with_its_exception(platform, instrumented):
    app = application()
    instrumentation = instrumented(app=app)
    call(app, ("GET", "/broken"))
    assert instrumentation.flush(20)
    span = platform.span("GET /broken")
    assert plain(span.attributes)["user.id"] == "anonymous"
    assert span.status.code == span.status.STATUS_CODE_ERROR
    assert plain(span.events[0].attributes)["exception.type"] == "ZeroDivisionError"


def test_the_request_id_is_taken_from_the_caller_or_made_and_given_back(instrumented):
    app = application()
    instrumented(app=app)
    (given,) = call(app, ("GET", "/documents/1"), **{"X-Request-ID": "req_7"})
    (made,) = call(app, ("GET", "/documents/1"))
    (bad,) = call(app, ("GET", "/documents/1"), **{"X-Request-ID": "x" * 500})
    assert given.headers["x-request-id"] == given.json()["request_id"] == "req_7"
    assert made.headers["x-request-id"] == made.json()["request_id"] != "req_7"
    assert len(bad.headers["x-request-id"]) < 64


def test_log_lines_carry_the_identity_of_their_request(instrumented, capsys):
    app = application()
    instrumented(app=app)
    call(app, ("GET", "/documents/1"), **{"X-Request-ID": "req_7", "X-User-ID": "ann", "X-Organization-ID": "acme"})
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (line,) = [line for line in lines if line["message"] == "read"]
    assert (line["request_id"], line["user_id"], line["organization_id"]) == ("req_7", "ann", "acme")
    assert line["trace_id"]


def test_the_organisation_of_the_callers_baggage_is_taken_over(instrumented, capsys):
    app = application()
    instrumented(app=app)
    call(app, ("GET", "/documents/1"), baggage="user.organization=acme,document.id=d1")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["organization_id"] for line in lines if line["message"] == "read"] == ["acme"]


def test_labels_a_caller_can_choose_are_bounded(platform, instrumented):
    async def anything(scope, receive, send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b""})

    instrumentation = instrumented()
    app = ServerTelemetry(anything)
    for number in range(300):
        call(app, ("GET", f"/page-{number}"), **{"X-User-Tier": f"tier-{number}"})
    assert instrumentation.flush(20)
    endpoints = {key[1] for key in counted(platform)}
    tiers = {key[3] for key in counted(platform)}
    assert (len(endpoints), len(tiers)) == (201, 21)
    assert "other" in endpoints & tiers


def test_a_client_that_goes_away_is_counted_as_499(platform, instrumented):
    async def nothing(*_) -> Any:
        raise AssertionError("nobody receives or sends")

    async def never(scope, receive, send) -> None:
        await asyncio.Event().wait()

    async def give_up() -> None:
        scope = {"type": "http", "method": "GET", "path": "/slow", "headers": []}
        task = asyncio.create_task(ServerTelemetry(never)(scope, nothing, nothing))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

    instrumentation = instrumented()
    asyncio.run(give_up())
    assert instrumentation.flush(20)
    assert list(counted(platform)) == [("GET", "/slow", "499", "standard")]


def test_the_span_of_a_telemetry_set_up_on_purpose_is_used(platform, instrumented):
    app = fastapi.FastAPI(telemetry={"operation_spans": False})

    @app.get("/documents/{document_id}")
    async def document(document_id: str) -> None:
        pass

    instrumentation = instrumented(app=app)
    call(app, ("GET", "/documents/42"))
    assert instrumentation.flush(20)
    (span,) = platform.spans
    assert plain(span.attributes).items() >= {"document.id": "42", "server.address": "documents.test"}.items()


def test_without_an_app_fastapi_is_traced_by_its_own_means(platform):
    result = run(
        f"""
        import asyncio, fastapi, httpx, aiprism
        running = aiprism.instrument("x", endpoint={platform.url!r}, logs_to_stdout=False)
        app = fastapi.FastAPI()

        async def call() -> None:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
                await client.get("/openapi.json")

        asyncio.run(call())
        running.shutdown()
        """
    )
    assert result.stderr == ""
    assert [span.name for span in platform.spans if span.kind == span.SPAN_KIND_SERVER] == ["GET /openapi.json"]


def test_an_unhandled_exception_is_logged_inside_its_trace(platform, instrumented):
    app = application()
    instrumentation = instrumented(app=app)
    call(app, ("GET", "/broken"))
    assert instrumentation.flush(20)
    (record,) = [record for record in platform.records if record.severity_text == "ERROR"]
    assert record.body.string_value == "unhandled exception in GET /broken"
    assert plain(record.attributes)["exception.type"] == "ZeroDivisionError"
    assert record.trace_id == platform.span("GET /broken").trace_id


def test_a_starlette_application_is_measured_by_its_paths(platform, instrumented):
    app = Starlette(routes=[Route("/documents/{name}", lambda request: PlainTextResponse("ok"))])
    instrumentation = instrumented(app=app)
    call(app, ("GET", "/documents/42"))
    assert instrumentation.flush(20)
    assert list(counted(platform)) == [("GET", "/documents/{id}", "200", "standard")]


def test_an_application_is_hooked_once_and_even_when_it_serves_already(platform, instrumented):
    app = application()
    call(app, ("GET", "/documents/42"))
    instrumentation = instrumented(app=app)
    instrumented(app=app)
    call(app, ("GET", "/documents/42"))
    assert instrumentation.flush(20)
    assert list(counted(platform).values()) == [1]


def test_what_is_no_application_is_told_how_to_be_wrapped(instrumented):
    with pytest.raises(TypeError, match=r"wrap it: app = aiprism.ServerTelemetry\(app\)"):
        instrumented(app=object())


def test_excluded_paths_can_be_chosen(platform, instrumented, monkeypatch):
    monkeypatch.setenv("OTEL_PYTHON_EXCLUDED_URLS", "documents/.*, nothing")
    app = application()
    instrumentation = instrumented(app=app)
    call(app, ("GET", "/documents/42"), ("GET", "/healthz"))
    assert instrumentation.flush(20)
    assert list(counted(platform)) == [("GET", "/healthz", "200", "standard")]


def test_a_span_kind_other_than_server_is_not_mistaken_for_one(platform, instrumented):
    app = application()
    instrumentation = instrumented(app=app)
    with aiprism.tracing.tracer().start_as_current_span("outside", kind=SpanKind.INTERNAL):
        call(app, ("GET", "/documents/42"))
    assert instrumentation.flush(20)
    assert eventually(lambda: {span.name for span in platform.spans} == {"outside", "GET /documents/{document_id}"})
