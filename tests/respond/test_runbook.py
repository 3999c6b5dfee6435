"""What a runbook file may say, and what is said about a wrong one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiprism.errors import BadInput, ConfigError
from aiprism.model.alerts import Priority
from aiprism.query.promql.parse import parse
from aiprism.query.promql.syntax import Binary, VectorSelector
from aiprism.respond import runbook
from aiprism.respond.actions.kinds import KINDS
from aiprism.respond.guards import Approval, Guard
from aiprism.respond.placeholders import Subject, filled, filled_query
from aiprism.respond.runbook import Verify, filled_params
from tests.respond.making import alert, runbooks

WHOLE = """
name: open-ai-breaker
description: The model is slow
match: ['alertname=~"AIModel.*"', service!=""]
priorities: [P0]
guard:
  precondition: up{service="${labels.service}"} == 1
  cooldown: 10m
  max_runs_per_hour: 3
  dry_run: true
  approval: required
steps:
  - name: open
    timeout: 10s
    control: {service: "${labels.service}", control: ai-model, action: open, ttl: 5m}
  - wait: 2s
  - process: {service: "${labels.service}", action: scale, replicas: 3}
  - name: tell
    webhook: {url: "https://x/${labels.service}", method: POST, body: {n: 1, who: "${incident.id}"}}
  - name: clean
    idempotent: true
    command: {name: clean, args: ["${alert.name}"]}
verify:
  query: sum(rate(errors_total{service="${labels.service}"}[1m])) / 2 < 0.05
  within: 90s
  every: 3s
rollback:
  - control: {service: "${labels.service}", control: ai-model, action: close}
"""
WHO = Subject({"service": 'api"1'}, {"summary": "s"}, "INC_1", "Down", "ab")


def test_a_whole_runbook_is_read():
    [found] = runbooks(WHOLE)
    assert (found.name, found.priorities) == ("open-ai-breaker", frozenset({Priority.P0}))
    assert found.guard == Guard('up{service="${labels.service}"} == 1', 600.0, 3, True, Approval())
    assert [(step.name, step.kind, step.timeout, step.idempotent) for step in found.steps] == [
        ("open", "control", 10.0, True),
        ("wait", "wait", 30.0, True),
        ("process", "process", 30.0, True),
        ("tell", "webhook", 30.0, False),
        ("clean", "command", 30.0, True),
    ]
    assert found.verify == Verify(
        'sum(rate(errors_total{service="${labels.service}"}[1m])) / 2 < 0.05',
        90.0,
        3.0,
        'sum(rate(errors_total{service="${labels.service}"}[1m])) / 2',
    )
    assert [step.kind for step in found.rollback] == ["control"]


def test_a_file_may_hold_several_and_defaults_are_plain():
    one, two = runbooks(
        "runbooks:\n- {name: a, match: [x=y], steps: [{wait: 1s}]}\n- {name: b, match: [x=z], steps: [{wait: 1s}]}"
    )
    assert (one.guard, one.verify, one.rollback) == (Guard(), None, ())
    assert one.priorities == frozenset({Priority.P0, Priority.P1})
    assert one.digest != two.digest


def test_it_answers_the_alerts_it_matches_in_the_tiers_it_is_for():
    [found] = runbooks(WHOLE)
    slow = alert("AIModelSlow")
    assert found.answers(slow, Priority.P0)
    assert not found.answers(slow, Priority.P1)
    assert not found.answers(alert("HighLatency"), Priority.P0)
    assert not found.answers(alert("AIModelSlow", ""), Priority.P0)


def one(**parts):
    given = {"name": "a", "match": '[x="y"]', "steps": "[{wait: 1s}]", **parts}
    return "\n".join(f"{key}: {value}" for key, value in given.items() if value is not None)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (one(nmae="b"), "unknown key 'nmae'; did you mean 'name'"),
        (one(name="Not Good"), "is no runbook name"),
        (one(match=None), "matches every alert"),
        (one(match="[x]"), "bad matcher format"),
        (one(steps="[]"), "has no steps"),
        (one(steps="[{name: x}]"), f"exactly one of {', '.join(KINDS)}; this one has 0"),
        (one(steps="[{wait: 1s, command: {name: x}}]"), "this one has 2"),
        (one(steps="[{wait: soon}]"), "not a duration"),
        (one(steps="[{process: {service: x, action: explode}}]"), "expected one of start, stop"),
        (one(steps="[{process: {service: x, action: scale}}]"), "replicas belongs to action scale"),
        (one(steps="[{control: {service: x, control: y, action: fly}}]"), "expected one of open, close"),
        (one(steps="[{webhook: {url: 'file:///etc/passwd'}}]"), "expected an http(s) URL"),
        (one(steps="[{command: {name: x, shell: 'rm -rf'}}]"), "unknown key 'shell'"),
        (
            one(steps="[{process: {service: '${label.service}', action: restart}}]"),
            "unknown placeholder ${label.service}",
        ),
        (one(steps="[{process: {service: '${labels.}', action: restart}}]"), "unknown placeholder ${labels.}"),
        (one(priorities="[P9]"), "expected one of P0, P1, P2, P3"),
        (one(guard="{precondition: 'rat(x'}"), "not PromQL"),
        (one(guard="{precondition: '(a > bool 1)'}"), "with `bool` the query gives 0 or 1, never nothing"),
        (one(guard="{approval: maybe}"), "expected one of none, required"),
        (one(guard="{max_runs_per_hour: -1}"), "cannot be negative"),
        (one(verify="{within: 1m}"), "is required"),
        (one(verify="{query: 'up{x=\"${incident.name}\"}'}"), "unknown placeholder ${incident.name}"),
        (one(verify="{query: up, every: 0}"), "cannot be zero"),
    ],
)
def test_a_wrong_runbook_is_refused_with_its_line(text, says):
    with pytest.raises(ConfigError, match=r"^runbook\.yml:\d+: ") as refused:
        runbooks(text)
    assert says in str(refused.value)


def test_a_name_that_stands_in_two_files_is_refused(tmp_path):
    for name in ("one.yml", "two.yml"):
        (tmp_path / name).write_text(one(), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"two\.yml:1: runbook 'a' stands also in .*one\.yml:1"):
        runbook.load([tmp_path / "one.yml", tmp_path / "two.yml"])


def test_placeholders_are_filled_in_texts_however_deep_and_nowhere_else():
    assert filled({"a": ["${labels.service}-${incident.id}", 3, None, True]}, WHO) == {
        "a": ['api"1-INC_1', 3, None, True]
    }
    assert filled("$${labels.service} costs $5 ${alert.name}", WHO) == "${labels.service} costs $5 Down"


def test_a_value_the_alert_does_not_have_is_an_error_that_says_what_it_has():
    with pytest.raises(BadInput, match=r"\$\{labels\.pod\}: the alert has no such value; it has alert\.fingerprint"):
        filled("${labels.pod}", WHO)


@given(st.text())
def test_a_label_value_cannot_leave_its_quotes_in_a_query(value):
    who = Subject({"v": value}, {}, "INC_1", "Down", "ab")
    text = filled_query('up{v="${labels.v}"} == 1', who)
    tree = parse(text)
    assert isinstance(tree, Binary)
    assert isinstance(tree.left, VectorSelector)
    [value_matcher] = [matcher for matcher in tree.left.matchers if matcher.name == "v"]
    assert value_matcher.value == value


def test_a_label_value_cannot_become_another_path_in_an_address():
    [found] = runbooks(one(steps="[{webhook: {url: 'https://x/${labels.service}/restart'}}]"))
    params = filled_params(found.steps[0], Subject({"service": "../admin?x=1"}, {}, "INC_1", "Down", "ab"))
    assert params["url"] == "https://x/..%2Fadmin%3Fx%3D1/restart"


def test_any_change_changes_the_digest():
    [before], [after] = runbooks(WHOLE), runbooks(WHOLE.replace("90s", "91s"))
    assert before.digest != after.digest
    assert runbooks(WHOLE)[0].digest == before.digest


BEHIND = "a placeholder may stand behind the first / after the host only"


@pytest.mark.parametrize(
    ("part", "says"),
    [
        ("steps: [{webhook: {url: 'http://${labels.host}/x'}}]", BEHIND),
        ("steps: [{webhook: {url: 'http://u:${labels.p}@h/x'}}]", BEHIND),
        ("steps: [{webhook: {url: 'http://h/x', token_file: '${labels.service}'}}]", "may not hold a placeholder"),
        ("steps: [{wait: 1s}]\nverify: {query: 'up > ${labels.limit}'}", "inside double quotes only"),
        ("steps: [{wait: 1s}]\nverify: {query: \"up{job='${labels.job}'} > 1\"}", "inside double quotes only"),
        ("steps: [{wait: 1s}]\nguard: {precondition: 'up{a=\"b\"} + ${labels.c}'}", "inside double quotes only"),
    ],
)
def test_a_placeholder_stands_only_where_its_value_can_do_no_harm(part, says):
    with pytest.raises(ConfigError, match=says):
        runbooks(f"name: a\nmatch: [x=y]\n{part}")


@pytest.mark.parametrize("service", [".", "..", "a/b", "../kill"])
def test_a_label_value_cannot_name_another_process_or_leave_a_path(service):
    who = Subject({"service": service}, {}, "INC_1", "Down", "ab")
    [book] = runbooks(
        "name: a\nmatch: [x=y]\nsteps:\n- process: {service: '${labels.service}', action: stop}\n"
        "- webhook: {url: 'http://h/a/${labels.service}/b?q=${labels.service}'}"
    )
    with pytest.raises(BadInput, match="cannot be the name"):
        filled_params(book.steps[0], who)
    if "/" in service:
        assert "%2F" in str(filled_params(book.steps[1], who)["url"])
    else:
        with pytest.raises(BadInput, match=r"would be \. or \.\."):
            filled_params(book.steps[1], who)
