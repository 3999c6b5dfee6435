"""Steps change, drop and parse the records they are for, leave the others, and say what they did."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiprism import yamlfile
from aiprism.query.lucene import condition
from aiprism.receive.items import Bounds
from aiprism.receive.logpipeline import Outcome, Pipeline, Record, Step, tally
from aiprism.receive.logtreatment import Treatment, tried
from aiprism.receive.pipelinefile import read
from aiprism.receive.redaction import MOST
from aiprism.store.logcolumns import sent_columns, with_patterns
from tests.receive.test_redaction import PIECES, request

NOW = 1_790_000_000 * 10**9


def pipeline(text: str, most: int = 1024) -> Pipeline:
    return read(yamlfile.parse(f"pipelines:\n{text}", file="pipelines.yml"), condition, most)


def ran(text: str, *records: object) -> list[dict[str, Any]]:
    """Each record before and after, with what was done to it; nothing is redacted."""
    how = Treatment(pipeline(text))
    found: list[dict[str, Any]] = tried(how, records, NOW)["records"]
    return found


def after(text: str, record: object) -> dict[str, Any]:
    [only] = ran(text, record)
    return dict(only["after"])


def test_records_that_fit_are_dropped() -> None:
    found = ran("- {name: health, match: 'path:/healthz level:INFO', drop: true}",
                {"message": "GET", "path": "/healthz", "level": "info"},
                {"message": "GET", "path": "/healthz", "level": "error"})  # fmt: skip
    assert [each["after"] is None for each in found] == [True, False]
    assert [each["steps"] for each in found] == [[{"step": "health", "outcome": "dropped"}], []]


def test_json_becomes_attributes_and_level_time_and_line_are_taken() -> None:
    line = '{"ts": "2026-09-21T13:00:05.5Z", "severity": "warn", "msg": "no stock", "item": {"id": 7}, "ok": false, "x": null}'
    found = after("- {name: json, parse: {as: json, prefix: app., level: severity, time: ts, body: msg}}", line)
    assert found["time"] == "2026-09-21T13:00:05.500000000Z"
    assert (found["level"], found["body"]) == ("WARN", "no stock")
    assert found["attributes"] == {"app.item.id": "7", "app.ok": "false"}


def test_the_kinds_of_parsed_values_are_kept() -> None:
    rows = sent_columns(request(['{"s": "x", "b": true, "i": 3, "d": 0.5, "w": 2.0, "l": [1]}']))
    run = pipeline("- {name: json, parse: {as: json}}").run(rows)
    assert dict(run.rows["attributes"].to_pylist()[0]) == {
        "s": "x",
        "b": "true",
        "i": "3",
        "d": "0.5",
        "w": "2",
        "l": "[1]",
    }
    assert run.rows["attribute_kinds"].to_pylist() == ["sbidds"]


def test_logfmt_and_regular_expressions_are_parsed_too() -> None:
    assert after("- {name: f, parse: {as: logfmt, level: lvl}}", 'lvl=error msg="two words" n=3')["attributes"] == {
        "msg": "two words", "n": "3",
    }  # fmt: skip
    text = r"- {name: r, parse: {as: regex, pattern: 'took (?P<ms>\d+) ?ms', field: note}}"
    assert after(text, {"message": "x", "note": "it took 17 ms"})["attributes"] == {"note": "it took 17 ms", "ms": "17"}


@pytest.mark.parametrize(
    ("step", "line", "why"),
    [
        ("parse: {as: json}", "plain", "no JSON"),
        ("parse: {as: json}", "[1]", "no JSON object"),
        ("parse: {as: logfmt}", "plain words", "no key=value"),
        ("parse: {as: regex, pattern: '(?P<n>[0-9]+)'}", "none", "no match"),
        ("parse: {as: json}", '{"a":' * 400 + "1" + "}" * 400, "a value is nested too deeply"),
        ("parse: {as: logfmt}", " ".join(f"k{n}=1" for n in range(11)), "more than 10 attributes"),
    ],
)
def test_a_step_that_fails_leaves_the_record_and_says_why(step: str, line: str, why: str) -> None:
    rows = sent_columns(request([line]))
    run = pipeline(f"- {{name: s, {step}}}", most=10).run(rows)
    assert run.rows.equals(rows)
    assert [(each.outcome, each.why, each.rows.tolist()) for each in run.done] == [(Outcome.FAILED, why, [0])]


def test_a_long_name_is_not_repeated_for_each_field_beneath_it() -> None:
    long, fields = "k" * 100_000, '{"x":1,"y":2}'
    steps = "- {name: json, parse: {as: json}}"
    assert after(steps, f'{{"{long}":{fields},"a":{fields}}}')["attributes"] == {long: fields, "a.x": "1", "a.y": "2"}


def test_no_record_gets_a_time_that_the_door_would_refuse() -> None:
    steps, within = pipeline("- {name: json, parse: {as: json, time: t}}"), Bounds(earliest_ns=NOW, latest_ns=NOW + 9)
    lines = [json.dumps({"t": at}) for at in (NOW - 1, NOW + 1, NOW + 10)]
    run = steps.run(sent_columns(request(lines)), within)
    assert run.rows["ts"].cast(pa.int64()).to_pylist() == [1, NOW + 1, 1]
    whys = [each.why for each in run.done if each.outcome is Outcome.FAILED]
    assert ["limits._past" in whys[0], "limits._future" in whys[1]] == [True, True]


def test_a_text_with_more_to_redact_than_anybody_writes_is_replaced_as_a_whole() -> None:
    steps = f"- {{name: r, redact: {{pattern: a, with: {'x' * 1000}}}}}"
    assert len(after(steps, "a" * MOST)["body"]) == MOST * 1000
    assert after(steps, "a" * (MOST + 1))["body"] == "x" * 1000


def test_an_unforeseen_failure_is_one_of_its_record_alone() -> None:
    def breaks(record: Record) -> Record:
        raise RuntimeError(record.body)

    rows = sent_columns(request(["one", "two"]))
    run = Pipeline([Step("s", condition("two"), breaks)]).run(rows)
    assert run.rows.equals(rows)
    assert [(each.outcome, each.why, each.rows.tolist()) for each in run.done] == [
        (Outcome.FAILED, "RuntimeError", [1])
    ]


def test_attributes_are_renamed_set_and_removed() -> None:
    record = {"message": "m", "usr": "ada", "debug.a": "1", "debug.b": "2", "keep": "k"}
    steps = """
    - {name: a, rename: {usr: user.id, absent: x}}
    - {name: b, set: {team: shop, level: fatal}}
    - {name: c, remove: [debug.*, none]}"""
    found = after(steps, record)
    assert found["attributes"] == {"user.id": "ada", "keep": "k", "team": "shop"}
    assert found["level"] == "FATAL"
    assert after("- {name: b, set: {body: other}}", record)["body"] == "other"


def test_names_can_be_swapped_and_an_older_attribute_of_the_name_is_replaced() -> None:
    record = {"message": "m", "a": "1", "b": "2", "c": "3"}
    assert after("- {name: r, rename: {a: b, b: a}}", record)["attributes"] == {"a": "2", "b": "1", "c": "3"}
    assert after("- {name: r, rename: {a: b, b: c}}", record)["attributes"] == {"b": "1", "c": "2"}


def test_own_expressions_and_kinds_are_redacted_where_they_are_asked_for() -> None:
    record = {"message": "ORD-12345678 of ada@example.com", "ref": "ORD-87654321"}
    found = after("- {name: r, redact: {pattern: 'ORD-[0-9]{8}', with: '[order]'}}", record)
    assert (found["body"], found["attributes"]["ref"]) == ("[order] of [redacted:email]", "[order]")
    found = after("- {name: r, redact: {pattern: 'ORD-[0-9]{8}', fields: [body]}}", record)
    assert (found["body"], found["attributes"]["ref"]) == ("[redacted] of [redacted:email]", "ORD-87654321")


def test_a_step_sees_what_the_steps_before_it_left() -> None:
    steps = """
    - {name: json, parse: {as: json, level: severity}}
    - {name: quiet, match: 'level:DEBUG', drop: true}
    - {name: mark, match: 'item:>5', set: {big: "yes"}}"""
    found = ran(steps, '{"severity": "debug"}', '{"severity": "info", "item": 6}', '{"severity": "info", "item": 4}')
    assert [each["after"] and each["after"]["attributes"] for each in found] == [
        None,
        {"item": "6", "big": "yes"},
        {"item": "4"},
    ]
    assert [step["step"] for step in found[1]["steps"]] == ["json", "mark"]


def test_redaction_comes_last() -> None:
    [found] = ran("- {name: f, parse: {as: logfmt}}", "mail=ada@example.com password=x1")
    assert found["after"]["attributes"] == {"mail": "[redacted:email]", "password": "[redacted:password]"}
    assert [step["step"] for step in found["steps"]] == ["f", "redaction"]


def test_records_come_back_in_the_order_they_were_given_whoever_sent_them() -> None:
    records = [
        {"message": "a", "service": "x"},
        {"message": "b", "service": "y"},
        {"message": "c", "service": "x"},
        "d",
    ]
    assert [each["before"]["body"] for each in ran("- {name: s, set: {a: b}}", *records)] == ["a", "b", "c", "d"]


STEPS = """
    - {name: drop, match: 'eyJ OR level:ERROR', drop: true}
    - {name: json, match: '/^.{0,40}$/', parse: {as: logfmt, prefix: p., level: p}}
    - {name: set, match: 'bearer OR token', set: {seen: "yes"}}
    - {name: redact, redact: {pattern: '4+', kinds: [email]}}"""


@settings(max_examples=40, deadline=None)
@given(st.lists(PIECES, min_size=1, max_size=8), st.data())
def test_where_batches_are_split_changes_nothing(lines: list[str], data: st.DataObject) -> None:
    at, steps = data.draw(st.integers(0, len(lines))), pipeline(STEPS)
    columns = ["body", "attributes", "attribute_kinds", "level", "severity_text", "ts"]

    def through(part: list[str]) -> tuple[list[Any], Any]:
        run = steps.run(sent_columns(request(part, a="b")))
        with_patterns(run.rows)
        return run.rows.select(columns).to_pylist(), tally(run.done)

    whole, counts = through(lines)
    halves = [through(part) for part in (lines[:at], lines[at:])]
    assert whole == halves[0][0] + halves[1][0]
    assert counts == {**halves[0][1], **{key: halves[0][1].get(key, 0) + n for key, n in halves[1][1].items()}}


@settings(max_examples=40, deadline=None)
@given(st.lists(PIECES, max_size=6))
def test_a_record_that_no_step_is_for_is_the_same(lines: list[str]) -> None:
    rows = sent_columns(request(lines, {"service.name": "api"}))
    run = pipeline("- {name: s, match: 'service:other', set: {a: b}}").run(rows)
    assert run.rows.equals(rows)
    assert run.done == []
