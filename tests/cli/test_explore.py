"""`aiprism logs`, `traces` and `trace`."""

from __future__ import annotations

import json
import re
from typing import Any

from aiprism.cli import waterfall
from aiprism.model.logs import LogRecord
from aiprism.model.spans import Span
from aiprism.query.traces import story
from aiprism.web import traces
from tests.cli.conftest import NOW, Run
from tests.cli.pretended import pretended

NS = 1_000_000_000
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


def span(name: str, span_id: str, parent: str, service: str, start_ms: float, took_ms: float, **more: str) -> Any:
    return {
        "trace_id": TRACE_ID,
        "span_id": span_id,
        "parent_span_id": parent,
        "service": service,
        "name": name,
        "kind": "server",
        "start_ns": int(NOW * NS + start_ms * 1e6),
        "duration_ns": int(took_ms * 1e6),
        "status": "unset",
        "status_message": "",
        "attributes": {},
        "resource": {},
        "events": [],
        **more,
    }


def record(body: str, level: str = "INFO", trace_id: str = "", at: float = NOW) -> dict[str, Any]:
    return {"ts_ns": int(at * NS), "service": "api", "level": level, "body": body, "trace_id": trace_id, "span_id": ""}


def told(spans: list[Any], logs: list[Any] | None = None) -> dict[str, Any]:
    """A trace as the server tells it."""
    found = [Span(**each) for each in spans]
    records = [LogRecord(**each, attributes={}, resource={}) for each in logs or []]
    analysis = traces.told(story(found), found, records)
    return {"trace_id": TRACE_ID, "spans": spans, "logs": logs or [], "analysis": analysis}


def test_logs_read_from_old_to_new(aiprism: Run) -> None:
    newest_first = [record("second", "ERROR", TRACE_ID, NOW + 1), record("first")]
    with pretended({"/aiprism/v1/logs": {"logs": newest_first}}) as server:
        _, out, _ = aiprism("logs", "so", "--level", "ERROR", "--level", "INFO", "--server", server.url)
    assert out.splitlines() == [
        "14:16:40.000 INFO  api                  first",
        f"14:16:41.000 ERROR api                  second  trace={TRACE_ID}",
    ]
    asked = server.asked[0][2]
    assert (asked["query"], asked["level"], asked["limit"]) == (["so"], ["ERROR", "INFO"], ["100"])
    assert (asked["start"], asked["end"]) == ([f"{NOW - 3600:.3f}"], [f"{NOW:.3f}"])


def test_a_long_log_line_is_neither_wrapped_nor_cut_in_a_pipe(aiprism: Run) -> None:
    with pretended({"/aiprism/v1/logs": {"logs": [record("x" * 5000)]}}) as server:
        _, out, _ = aiprism("logs", "--server", server.url)
    assert out.count("\n") == 1
    assert "x" * 5000 in out


def test_traces_are_listed_with_their_errors(aiprism: Run) -> None:
    row = {
        "trace_id": TRACE_ID,
        "root_service": "api",
        "root_name": "POST /documents",
        "start_ns": int(NOW * NS),
        "duration_ns": 2_300_000_000,
        "spans": 23,
        "errors": 1,
        "services": ["api", "worker"],
    }
    with pretended({"/aiprism/v1/traces": {"traces": [row]}}) as server:
        _, out, _ = aiprism("traces", "--errors", "--attribute", "a=b", "--min-duration", "2s", "--server", server.url)
    assert re.split(r" {2,}", out.splitlines()[2]) == [
        TRACE_ID, "14:16:40.000", "api POST /documents", "2.3 s", "23", "1", "api, worker",
    ]  # fmt: skip
    asked = server.asked[0][2]
    assert (asked["errors"], asked["attribute"], asked["min_duration"]) == (["true"], ["a=b"], ["2s"])


def test_logs_are_followed_each_record_once_and_what_is_missing_is_said(aiprism: Run) -> None:
    first, second = record("first"), record("second", at=NOW + 1)
    said = [("log", first), ("dropped", {"why": "too many"}), ("log", second)]
    events = "".join(f"event: {event}\ndata: {json.dumps(data)}\n\n" for event, data in said)
    answers = {"/aiprism/v1/logs": {"logs": [first]}, "/aiprism/v1/logs/tail": events.encode()}
    with pretended(answers) as server:
        _, out, err = aiprism("logs", "level:INFO", "--follow", "--server", server.url)
    assert ([line.split()[-1] for line in out.splitlines()], err) == (["first", "second"], "aiprism: too many\n")
    [(_, _, searched, _), (_, _, followed, _)] = server.asked
    assert (searched["query"], followed["query"], followed["start"]) == (
        ["level:INFO"], ["level:INFO"], [str(first["ts_ns"] / 1e9)],
    )  # fmt: skip


def test_a_trace_is_a_waterfall_with_its_error_and_its_logs(aiprism: Run) -> None:
    spans = [
        span("POST /documents", "aa", "", "api", 0, 100),
        span("work", "bb", "aa", "worker", 50, 50, status="error", status_message="ValueError: bad\nTraceback …"),
        span("lost", "cc", "not-stored", "worker", 60, 1),
    ]
    logs = [record("it failed", "ERROR", TRACE_ID, NOW + 0.06)]
    with pretended({f"/aiprism/v1/traces/{TRACE_ID}": told(spans, logs)}) as server:
        _, out, _ = aiprism("trace", TRACE_ID, "--server", server.url)
    lines = out.splitlines()
    root = next(line for line in lines if line.startswith("api ") and "━" in line)
    heavy, light = root.count("━"), root.count("─")
    assert abs(heavy - light) <= 1
    assert [" ".join(line.split()) for line in lines] == [
        f"trace {TRACE_ID}",
        "api POST /documents 2026-11-23 14:16:40 100 ms 3 spans 2 services 1 error",
        "critical path api POST /documents 50 ms (50 %), worker work 50 ms (50 %)",
        "error began in worker work ValueError: bad",
        "",
        f"api POST /documents 100 ms {'━' * heavy}{'─' * light}",
        f"worker ✗ work 50 ms {'━' * light}",
        "ValueError: bad",
        "worker ? lost 1 ms ─",
        "",
        "logs",
        "+60 ms ERROR api it failed",
    ]


def test_metrics_that_were_measured_in_a_trace_are_named_once(aiprism: Run) -> None:
    names = ("took_seconds_bucket", "took_seconds_bucket", "tokens", "cost", "size")
    exemplars = [{"series": {"__name__": name}, "value": at + 0.5} for at, name in enumerate(names)]
    answer = told([span("one", "aa", "", "api", 0, 1)]) | {"exemplars": exemplars}
    with pretended({f"/aiprism/v1/traces/{TRACE_ID}": answer}) as server:
        _, out, _ = aiprism("trace", TRACE_ID, "--server", server.url)
    assert [" ".join(line.split()) for line in out.splitlines()[-3:]] == [
        "measured in it took_seconds 0.5", "measured in it tokens 2.5", "measured in it cost 3.5 and 1 metric more",
    ]  # fmt: skip


def test_what_is_sent_commands_no_terminal(aiprism: Run) -> None:
    evil = "\x1b]0;owned\x07\x1b[2J\nwork\x9b"
    spans = [span(evil, "aa", "", f"api{evil}", 0, 1, status="error", status_message=evil)]
    with pretended({f"/aiprism/v1/traces/{TRACE_ID}": told(spans)}) as server:
        _, out, _ = aiprism("trace", TRACE_ID, "--server", server.url)
    assert not {*out} & {"\x1b", "\x07", "\x9b"}
    assert out.splitlines()[-2].startswith("api␛]0;owned␛[2J work")


def test_an_error_that_travelled_and_a_clock_that_is_wrong_are_said(aiprism: Run) -> None:
    spans = [
        span("GET", "aa", "", "api", 0, 100, status="error"),
        span("call", "bb", "aa", "api", 10, 80, kind="client", status="error"),
        span("work", "cc", "bb", "worker", 5000, 60, status="error", status_message="no disk"),
    ]
    with pretended({f"/aiprism/v1/traces/{TRACE_ID}": told(spans)}) as server:
        _, out, _ = aiprism("trace", TRACE_ID, "--server", server.url)
    said = [" ".join(line.split()) for line in out.splitlines()]
    assert said[3] == "error began in worker work no disk and reached api GET"
    assert said[-1] == "its clock is 4.98 s ahead of its caller's"


def test_spans_that_name_each_other_as_parents_are_all_drawn(aiprism: Run) -> None:
    spans = [span("one", "aa", "bb", "api", 0, 1), span("two", "bb", "aa", "api", 0, 1)]
    with pretended({f"/aiprism/v1/traces/{TRACE_ID}": told(spans)}) as server:
        status, out, _ = aiprism("trace", TRACE_ID, "--server", server.url)
    assert status == 0
    _, _, drawn = out.partition("\n\n")
    assert [word for word in drawn.split() if word in ("↻", "one", "two")] == ["↻", "one", "two"]


def test_a_service_is_named_where_a_call_enters_it_and_eighty_columns_hold_every_line() -> None:
    spans = [
        span("POST /documents", "01", "", "api-gateway", 0, 100),
        span("document_upload", "02", "01", "document-processor", 10, 80),
        *(span(f"step {depth}", f"{depth:02}", f"{depth - 1:02}", "document-processor", 12, 70) for depth in range(3, 30)),
        span("model_invocation_of_a_section", "30", "29", "ai-analysis-service", 15, 60),
    ]  # fmt: skip
    drawn = [line.plain for line in waterfall.drawn(told(spans), 80)]
    assert max(map(len, drawn)) <= 80
    assert drawn[2:5] == [
        "critical path  ai-analysis-service model_invocation_of_a_section 60 ms (60 %)",
        "               api-gateway POST /documents 20 ms (20 %)",
        "               document-processor document_upload 10 ms (10 %)",
    ]
    labels = [line[:36].rstrip() for line in drawn[6:]]
    assert (*labels[:3], *labels[-2:]) == (
        "api-gateway POST /documents", " document-processor document_upload", "  step 3",
        "            step 29", "            ai-an…rvice model_…ction",
    )  # fmt: skip


def test_a_trace_of_an_older_server_is_refused_in_words(aiprism: Run) -> None:
    answer = {key: value for key, value in told([span("one", "aa", "", "api", 0, 1)]).items() if key != "analysis"}
    with pretended({f"/aiprism/v1/traces/{TRACE_ID}": answer}) as server:
        status, _, err = aiprism("trace", TRACE_ID, "--server", server.url)
    assert (status, err) == (
        1,
        f"aiprism: the server at {server.url} is older than this aiprism: it does not say what the spans of a trace mean "
        "together. Upgrade it, or read the spans with --output json\n",
    )


def test_a_trace_that_is_not_there_is_the_servers_word(aiprism: Run) -> None:
    with pretended({}) as server:
        status, _, err = aiprism("trace", "abc", "--server", server.url)
    assert (status, err) == (1, "aiprism: nothing at /aiprism/v1/traces/abc; see /docs\n")


def test_what_slow_traces_have_in_common_is_a_table(aiprism: Run) -> None:
    reason = {
        "key": "model.name", "value": "large", "service": "ai", "operation": "call", "evidence": "span", "explained": 0.4,
        "odds": 30.1, "odds_low": 4.0, "slow_share": 0.92, "other_share": 0.6, "also": [],
    }  # fmt: skip
    sampled = {"slow": 40, "other": 1000, "most": 1000}
    spent = {"service": "ai", "operation": "call", "slow_ns": 4e9, "other_ns": 2e8, "share": 0.97}
    operations = [spent, spent | {"operation": "idle", "share": 0.01}]
    answer = {"slow": 40, "other": 5000, "sampled": sampled, "reasons": [reason], "operations": operations}
    with pretended({"/aiprism/v1/traces/explain": answer}) as server:
        _, out, _ = aiprism("traces", "--service", "api", "--min-duration", "2s", "--explain", "--server", server.url)
    lines = out.splitlines()
    assert lines[0] == "40 slow, 5000 others  sample of 40 and 1000"
    assert re.split(r" {2,}", lines[3]) == ["ai call", "97 %", "4 s", "200 ms"]
    assert re.split(r" {2,}", lines[7]) == ["model.name=large", "40 %", "92 %", "60 %", "×30.1", "spans ai call"]
    assert (server.asked[0][2]["service"], server.asked[0][2]["min_duration"]) == (["api"], ["2s"])
    with pretended({"/aiprism/v1/traces/explain": answer | {"reasons": [], "operations": []}}) as server:
        _, out, _ = aiprism("traces", "--errors", "--explain", "--server", server.url)
    assert out.splitlines()[1] == "no value of an attribute tells failed traces from the others"
    assert server.asked[0][2]["failed"] == ["true"]


def test_two_traces_are_compared_call_by_call(aiprism: Run) -> None:
    def did(spans: int, ms: float) -> dict[str, int]:
        return {"spans": spans, "duration_ns": int(ms * 1e6), "self_ns": 0, "critical_ns": 0, "errors": 0}

    paths = [
        {"path": [["api", "GET"]], "first": did(1, 10), "second": did(1, 90), "change": "slower", "slower_ns": 2_000_000},
        {"path": [["api", "GET"], ["db", "SELECT"]], "first": did(1, 5), "second": did(3, 80), "change": "slower",
         "slower_ns": 75_000_000},
        {"path": [["api", "GET"], ["db", "BEGIN"]], "first": did(1, 1), "second": did(0, 0), "change": "missing",
         "slower_ns": -1_000_000},
    ]  # fmt: skip
    with pretended({"/aiprism/v1/traces/compare": {"a": "aa", "b": "bb", "paths": paths}}) as server:
        _, out, _ = aiprism("trace", "aa", "--compare", "bb", "--server", server.url)
    assert [re.split(r" {2,}", line.strip()) for line in out.splitlines()[3:]] == [
        ["slower", "api GET", "10 ms", "90 ms", "+2 ms", "1"],
        ["slower", "db SELECT", "5 ms", "80 ms", "+75 ms", "1 → 3"],
        ["missing", "db BEGIN", "1 ms", "-", "-1 ms", "1 → 0"],
    ]


def test_traces_are_followed_a_line_each_and_what_is_missing_is_said(aiprism: Run) -> None:
    row = {
        "trace_id": TRACE_ID, "root_service": "api", "root_name": "POST", "start_ns": int(NOW * NS), "duration_ns": 2_300_000_000,
        "spans": 23, "errors": 1, "services": ["api"], "has_root": True,
    }  # fmt: skip
    said = [("trace", row), ("dropped", {"why": "too many"})]
    events = "".join(f"event: {event}\ndata: {json.dumps(data)}\n\n" for event, data in said)
    with pretended({"/aiprism/v1/traces/tail": events.encode()}) as server:
        _, out, err = aiprism("traces", "status:error", "--follow", "--server", server.url)
    assert out.split() == ["14:16:40.000", TRACE_ID, "2.3", "s", "api", "POST", "23", "spans", "1", "failed"]
    assert err == "aiprism: too many\n"
    assert (server.asked[0][2]["query"], "start" in server.asked[0][2]) == (["status:error"], False)
