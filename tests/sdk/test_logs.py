"""Log events: the plan's fields on stdout and over OTLP, whatever the application logs with."""  # R12

from __future__ import annotations

import json
import logging
import threading
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

import aiprism
from aiprism.sdk.logs import LogEvents, StructuredLogger
from tests.sdk.receiver import plain

FIELDS = [
    "timestamp",
    "level",
    "logger",
    "message",
    "service",
    "version",
    "environment",
    "request_id",
    "user_id",
    "organization_id",
    "trace_id",
    "span_id",
    "duration_ms",
    "error_type",
    "stack_trace",
    "custom_fields",
]


def lines(capsys) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_line_has_all_fields_of_the_plan(instrumented, capsys):
    instrumented()
    with (
        aiprism.context(request_id="req_1", user_id="u1", organization_id="acme"),
        aiprism.api_request(method="GET", url="/") as request,
    ):
        aiprism.logger("document-processor").info(
            "done", duration_ms=12.5, document_id="d1", custom_fields={"sections_processed": 5}
        )
    (line,) = lines(capsys)
    span = request.span.get_span_context()
    when = datetime.fromisoformat(line.pop("timestamp"))
    assert abs((datetime.now(UTC) - when).total_seconds()) < 60
    assert line == {
        "level": "INFO",
        "logger": "document-processor",
        "message": "done",
        "service": "document-processor",
        "version": "2.1.0",
        "environment": "demo",
        "request_id": "req_1",
        "user_id": "u1",
        "organization_id": "acme",
        "trace_id": format(span.trace_id, "032x"),
        "span_id": format(span.span_id, "016x"),
        "duration_ms": 12.5,
        "error_type": None,
        "stack_trace": None,
        "custom_fields": {"document_id": "d1", "sections_processed": 5},
    }


def test_timestamps_are_utc_and_end_in_z(instrumented, capsys):
    instrumented()
    aiprism.logger("app").info("now")
    (line,) = lines(capsys)
    assert list(line) == FIELDS
    assert line["timestamp"].endswith("Z")


def test_the_otlp_record_says_the_same_and_belongs_to_its_trace(platform, instrumented):
    instrumentation = instrumented()
    with aiprism.context(request_id="req_1"), aiprism.api_request(method="GET", url="/") as request:
        aiprism.logger("app").warning("slow", duration_ms=12.5, document_id="d1", sections=[1, 2])
    assert instrumentation.flush(20)
    (record,) = platform.records
    span = request.span.get_span_context()
    assert (record.severity_text, record.severity_number, record.body.string_value) == ("WARN", 13, "slow")
    assert (record.trace_id, record.span_id) == (span.trace_id.to_bytes(16, "big"), span.span_id.to_bytes(8, "big"))
    sent = plain(record.attributes)
    assert (
        sent.items() >= {"request_id": "req_1", "duration_ms": 12.5, "document_id": "d1", "sections": "[1, 2]"}.items()
    )
    assert sent["code.file.path"] == __file__
    assert platform.bodies["/v1/logs"][0].resource_logs[0].scope_logs[0].scope.name == "app"


def test_an_error_carries_its_type_and_stack_trace(platform, instrumented, capsys):
    instrumentation = instrumented()
    try:
        raise KeyError("section")
    except KeyError as error:
        aiprism.logger("app").error("failed", error=error, custom_fields={"failure_reason": "missing"})
    (line,) = lines(capsys)
    assert (line["error_type"], line["custom_fields"]) == ("KeyError", {"failure_reason": "missing"})
    assert line["stack_trace"].startswith("Traceback (most recent call last):")
    assert instrumentation.flush(20)
    sent = plain(platform.records[0].attributes)
    assert (sent["exception.type"], sent["exception.message"]) == ("KeyError", "'section'")
    assert sent["exception.stacktrace"] == line["stack_trace"]


def test_exception_logs_what_is_being_handled(instrumented, capsys):
    instrumented()
    try:
        raise KeyError("section")
    except KeyError:
        aiprism.logger("app").exception("failed")
    assert lines(capsys)[0]["error_type"] == "KeyError"


def test_fields_of_a_standard_logger_are_kept(instrumented, capsys):
    instrumented()
    logging.getLogger("lib").info("%d of %d", 1, 2, extra={"document_id": "d1", "duration_ms": 3})
    (line,) = lines(capsys)
    assert (line["message"], line["duration_ms"], line["custom_fields"]) == ("1 of 2", 3.0, {"document_id": "d1"})


def test_bound_fields_are_on_every_event(instrumented, capsys):
    instrumented()
    bound = aiprism.logger("app").bind(document_id="d1")
    bound.info("one")
    bound.info("two", document_id="d2")
    assert [line["custom_fields"]["document_id"] for line in lines(capsys)] == ["d1", "d2"]


def test_a_logger_may_have_a_version_and_environment_of_its_own(instrumented, capsys):
    instrumented()
    StructuredLogger(service_name="plugin", version="0.3", environment="canary").info("loaded")
    (line,) = lines(capsys)
    assert (line["service"], line["version"], line["environment"]) == ("document-processor", "0.3", "canary")


def test_what_is_given_with_the_event_outranks_the_context(instrumented, capsys):
    instrumented()
    with aiprism.context(user_id="u1"):
        aiprism.logger("app").info("on behalf of", user_id="u2")
    assert lines(capsys)[0]["user_id"] == "u2"


def test_names_the_standard_library_reserves_are_fields_like_any_other(instrumented, capsys):
    instrumented()
    aiprism.logger("app").info("hello", name="n", args=(1,), msg="m", module="x")
    assert lines(capsys)[0]["custom_fields"] == {"name": "n", "args": [1], "msg": "m", "module": "x"}


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("no")


def test_what_cannot_be_printed_does_not_lose_the_line(platform, instrumented, capsys):
    instrumentation = instrumented()
    odd = {"what": Unprintable(), "lock": threading.Lock(), "nan": float("nan"), "big": 2**80, "keys": {(1, 2): 3}}
    record = logging.makeLogRecord({"name": "app", "levelno": 20, "msg": "odd \ud800", "aiprism_fields": odd})
    (handler,) = (handler for handler in logging.getLogger().handlers if isinstance(handler, LogEvents))
    handler.handle(record)
    (line,) = lines(capsys)
    assert line["message"] == "odd ?"
    assert line["custom_fields"]["what"] == "<Unprintable that cannot be printed>"
    assert instrumentation.flush(20)
    assert [record.body.string_value for record in platform.records] == ["odd ?"]
    assert instrumentation.dropped()["logs"] == 0


def test_a_wrong_format_string_does_not_lose_the_line():
    handler = LogEvents(service="s", version="v", environment="e")
    record = logging.makeLogRecord({"name": "app", "msg": "%d documents", "args": ("many",)})
    assert handler.event(record).message == "%d documents ('many',)"


def test_more_fields_than_opentelemetry_takes_are_counted_and_the_events_own_stay(platform, instrumented):
    instrumentation = instrumented()
    aiprism.logger("app").info("wide", duration_ms=1, **{f"field_{number}": number for number in range(130)})
    assert instrumentation.flush(20)
    (record,) = platform.records
    sent = plain(record.attributes)
    assert (len(sent), record.dropped_attributes_count) == (128, 130 + 4 - 128)
    assert sent.keys() >= {"duration_ms", "code.file.path", "field_129"}


def test_opentelemetrys_limits_are_kept(platform, instrumented, monkeypatch):
    monkeypatch.setenv("OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", "5")
    instrumentation = instrumented()
    aiprism.logger("app").info("long", text="abcdefgh")
    assert instrumentation.flush(20)
    assert plain(platform.records[0].attributes)["text"] == "abcde"


@pytest.mark.parametrize(
    ("level", "text", "number"),
    [(5, "TRACE", 1), (10, "DEBUG", 5), (20, "INFO", 9), (30, "WARN", 13), (40, "ERROR", 17), (50, "FATAL", 21)],
)
def test_levels_map_to_opentelemetrys_severities(platform, instrumented, level, text, number):
    instrumentation = instrumented(log_level=1)
    logging.getLogger("app").log(level, "x")
    assert instrumentation.flush(20)
    record = next(record for record in platform.records if record.body.string_value == "x")
    assert (record.severity_text, record.severity_number) == (text, number)


def test_structlog_goes_the_same_way(platform, instrumented, capsys):
    instrumentation = instrumented()
    log = structlog.wrap_logger(
        structlog.stdlib.LoggerFactory()("shop"),
        processors=[aiprism.structlog_processor],
        wrapper_class=structlog.stdlib.BoundLogger,
    ).bind(document_id="d1")
    log.info("processed %", duration_ms=4)
    try:
        raise KeyError("x")
    except KeyError:
        log.exception("failed")
    first, second = lines(capsys)
    assert (first["message"], first["logger"], first["duration_ms"]) == ("processed %", "shop", 4.0)
    assert first["custom_fields"] == {"document_id": "d1"}
    assert second["error_type"] == "KeyError"
    assert instrumentation.flush(20)
    assert len(platform.records) == 2


def test_logging_while_telemetry_cannot_be_sent_does_not_feed_itself(platform, instrumented):
    platform.status = 503
    instrumentation = instrumented()
    aiprism.logger("app").info("one")
    assert not instrumentation.flush(1)
    platform.status = 200
    assert instrumentation.flush(20)
    assert [record.body.string_value for record in platform.records] == ["one"]


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(message=st.text(), fields=st.dictionaries(st.text(), values, max_size=4))
def test_whatever_is_logged_is_one_line_of_valid_json(message, fields):
    stream = StringIO()
    handler = LogEvents(service="s", version="v", environment="e", stream=stream)
    record = logging.makeLogRecord({"name": "app", "levelname": "INFO", "msg": message, "aiprism_fields": fields})
    handler.emit(record)
    assert stream.getvalue().count("\n") == 1

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    assert list(json.loads(stream.getvalue(), parse_constant=refuse)) == FIELDS
