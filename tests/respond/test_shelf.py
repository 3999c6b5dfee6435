"""The runbooks as people and editors see them: the published schema, those that come with aiprism, lists and rehearsals."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from aiprism import yamlfile
from aiprism.config import Config
from aiprism.errors import ConfigError, NotFound
from aiprism.model.alerts import Priority
from aiprism.respond import runbook, shelf
from aiprism.respond.actions.kinds import KINDS
from aiprism.store import incidents as store
from tests.query.promql import script
from tests.query.promql.stocked import Stocked
from tests.respond.making import alert, runbooks
from tests.respond.test_guards import WORSE
from tests.respond.test_remediate import DOWN, Counting, live, room, run_of, written
from tests.respond.test_runbook import WHOLE, one

SHIPPED = sorted(Path(runbook.__file__).parent.joinpath("books").glob("*.yml"))
DEMO = sorted(Path(__file__).parents[2].joinpath("src/aiprism_lab/demo/runbooks").glob("*.yml"))
SCHEMA = Draft202012Validator(runbook.SCHEMA)


def reader_takes(text):
    try:
        runbook.read(yamlfile.parse(text, file="runbook.yml"))
    except ConfigError:
        return False
    return True


def schema_takes(text):
    return SCHEMA.is_valid(yaml.safe_load(text))


def step(text):
    return one(steps=f"[{{{text}}}]")


TAKEN = [
    WHOLE,
    WORSE.format("{undo: one}, {process: {service: x, action: start}}"),
    "runbooks: [{name: a, match: [x=y], steps: [{wait: 1s}]}, {name: b, match: [x=y], steps: [{wait: 1s}]}]",
    one(description="~", priorities="[P3]", guard="~", verify="~", rollback="[]"),
    one(guard="{precondition: up, cooldown: 1h30m, max_runs_per_hour: 0, dry_run: false, approval: none}"),
    one(guard="{approval: {role: sre, within: 5m, otherwise: go_ahead}}"),
    one(guard="{hours: {times: [{weekdays: ['monday:friday'], times: [{start_time: '08:00', end_time: '18:00'}]}]}}"),
    one(guard="{blast_radius: {instances: 50%, services: 2, within: 10m, of: count(up)}}"),
    one(guard="{blast_radius: {instances: 3}}"),
    one(verify="{query: up == 1, within: 0, every: 500ms, measures: {a: up}, worse_when: 'x > 1'}"),
    step("control: {service: a, control: b, action: set, params: {weights: {x: 1}}, ttl: 5m}"),
    step("process: {service: a, action: deploy, version: 1.10}, timeout: 1m, idempotent: true"),
    step("webhook: {url: 'https://x/y', method: PUT, headers: {A: b}, body: [1], token_file: f}"),
    step("command: {name: x, args: [-v, 3]}, wait: ~"),
]
REFUSED = [
    one(nmae="b"),
    one(name="Not Good"),
    one(match=None),
    one(match="[]"),
    one(match="x=y"),
    one(steps="[]"),
    one(priorities="[P9]"),
    one(guard="{approval: maybe}"),
    one(guard="{approval: {rol: sre}}"),
    one(guard="{cooldown: soon}"),
    one(guard="{max_runs_per_hour: -1}"),
    one(guard="{dry_run: 'yes'}"),
    one(guard="{hours: {outside: wait}}"),
    one(guard="{hours: {times: [{location: Mars, day: 1}]}}"),
    one(guard="{blast_radius: {instances: half}}"),
    one(guard="{blast_radius: {services: 0}}"),
    one(verify="{within: 1m}"),
    one(verify="{query: up, wurse_when: up}"),
    one(rollback="[{undo: ''}]"),
    one(rollback="[{undo: wait, wait: 1s}]"),
    step("name: x"),
    step("wait: 1s, command: {name: x}"),
    step("undo: x"),
    step("wait: soon"),
    step("wait: {seconds: 3}"),
    step("process: {service: x, action: explode}"),
    step("process: {service: x, action: scale}"),
    step("process: {service: x, action: stop, replicas: 3}"),
    step("process: {service: x, action: scale, replicas: many}"),
    step("process: {action: stop}"),
    step("control: {service: x, control: y, action: fly}"),
    step("control: {service: x, control: y, action: open, params: [1]}"),
    step("webhook: {url: 'file:///etc/passwd'}"),
    step("webhook: {url: 'https://x', method: BREW}"),
    step("command: {name: x, shell: 'rm -rf'}"),
]


@pytest.mark.parametrize("text", TAKEN)
def test_what_the_reader_takes_the_schema_takes(text):
    assert (reader_takes(text), list(SCHEMA.iter_errors(yaml.safe_load(text)))) == (True, [])


@pytest.mark.parametrize("text", REFUSED)
def test_what_the_reader_refuses_the_schema_refuses(text):
    assert (reader_takes(text), schema_takes(text)) == (False, False)


@pytest.mark.parametrize("path", [*SHIPPED, *DEMO], ids=lambda path: path.name)
def test_every_runbook_that_comes_with_aiprism_is_taken_by_both(path):
    text = path.read_text(encoding="utf-8")
    assert (reader_takes(text), list(SCHEMA.iter_errors(yaml.safe_load(text)))) == (True, [])


def test_the_schema_is_one_and_every_kind_of_step_is_in_it():
    Draft202012Validator.check_schema(runbook.SCHEMA)
    assert set(KINDS) <= set(runbook.SCHEMA["$defs"]["step"]["properties"])
    assert "undo" not in runbook.SCHEMA["$defs"]["step"]["properties"]


# -- those that come with aiprism --------------------------------------------------------------------------------------

PLANNED = [
    # What the plan does for which alert, in its order.
    ("ServiceDown", ["restart-unhealthy-pods", "emergency-scale-up"]),
    ("HighErrorRate", ["enable-circuit-breaker", "reroute-traffic"]),
    ("DatabaseConnectionFailure", ["reset-connection-pools"]),
]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
@pytest.mark.parametrize(("name", "answers"), PLANNED)
def test_the_emergency_remediations_answer_the_alerts_of_the_plan(path, name, answers):
    books = runbook.load([path])
    assert [book.name for book in books if book.answers(alert(name, namespace="shop"), Priority.P0)] == answers
    assert [book.name for book in books if book.answers(alert(name), Priority.P1)] == []


def test_they_are_named_in_the_configuration_and_carried_out(records, clock, tmp_path):
    config = Config(data=tmp_path, base=tmp_path)
    books = runbook.load(config.resolved(("builtin:emergency",)))
    counting = Counting()
    respond, remediation = room(records, clock, books, lambda query, at: [({}, 1.0)], actuator=counting)
    respond.accept([DOWN])
    asyncio.run(live(clock, remediation))
    assert counting.effects == {"restart": 1, "scale": 1}
    with pytest.raises(ConfigError, match="there are emergency, emergency-kubernetes"):
        config.resolved(("builtin:emergancy",))


SCALED = """
load 30s
  up{job="two",instance="a"} 1x4
  up{job="two",instance="b"} 0x4
  up{job="three",instance="a"} 1x4
  up{job="three",instance="b"} 1x4
  up{job="three",instance="c"} 0x4
  up{job="off",instance="a"} 0x4
"""


def test_the_emergency_scale_up_is_for_few_processes_of_which_one_is_up(engine, tmp_path):
    [query] = [each.guard.precondition for each in runbook.load(SHIPPED[-1:]) if each.name == "emergency-scale-up"]
    asked = [" ".join(query.replace("${labels.service}", job).split()) for job in ("two", "three", "off")]
    evals = "".join(
        f"\neval instant at 60s {each}\n{holds}" for each, holds in zip(asked, ("  {} 1\n", "", ""), strict=True)
    )
    (tmp_path / "scaled.test").write_text(SCALED + evals)
    assert script.run(tmp_path / "scaled.test", Stocked.on(engine)) == 3


# -- lists and rehearsals ----------------------------------------------------------------------------------------------


def looked_at(records, respond, clock, look, *more):
    with records.reading() as connection:
        return look(connection, respond.policy, *more, clock.now())


def test_a_list_tells_what_each_answers_and_how_its_runs_ended(records, clock):
    respond, remediation = room(records, clock, written(), actuator=Counting(fails=("start",)))
    respond.accept([DOWN])
    asyncio.run(live(clock, remediation))
    _, remediation = room(records, clock, written())
    respond.accept([alert("ServiceDown", "other"), alert("ServiceDown", "third")])
    asyncio.run(live(clock, remediation))
    [told] = looked_at(records, respond, clock, shelf.listed)
    assert (told["name"], told["match"], told["priorities"]) == ("restart", ['alertname="ServiceDown"'], ["P0", "P1"])
    assert (told["runs"], round(told["success_rate"], 2)) == (3, 0.67)
    assert sorted(run["state"] for run in told["last_runs"]) == ["rolled_back", "succeeded", "succeeded"]
    clock.jump(31 * 86_400)
    [told] = looked_at(records, respond, clock, shelf.listed)
    assert (told["runs"], told["success_rate"], told["last_runs"]) == (0, None, [])


def test_one_is_shown_with_its_steps_and_an_unknown_one_with_those_there_are(records, clock):
    respond, _ = room(records, clock, written())
    told = looked_at(records, respond, clock, shelf.one, "restart")
    assert [(each["name"], each["kind"]) for each in told["steps"]] == [
        ("one", "process"), ("two", "wait"), ("three", "process")
    ]  # fmt: skip
    with pytest.raises(NotFound, match="no runbook 'nose'; there are restart"):
        looked_at(records, respond, clock, shelf.one, "nose")


def test_a_rehearsal_says_what_would_run_with_which_values_and_why_the_others_would_not(records, clock):
    books = (*runbook.load(SHIPPED[-1:]), *runbooks(one(match='[alertname="ServiceDown"]', priorities="[P3]")))
    respond, remediation = room(records, clock, books)
    labels = {"alertname": "ServiceDown", "severity": "critical", "service": "api"}
    told = shelf.rehearsed(respond.policy, labels, None, clock.now())
    assert told["priority"] == "P0"
    verdicts = {each["name"]: (each["runs"], each["why_not"]) for each in told["runbooks"]}
    assert verdicts["restart-unhealthy-pods"] == (True, "")
    assert verdicts["reset-connection-pools"] == (False, 'alertname=~".*Database.*" does not hold')
    assert verdicts["a"] == (False, "it is for P3, not P0")
    first = told["runbooks"][0]
    assert first["steps"][0]["params"] == {"service": "api", "action": "restart"}
    assert first["guards"][0] == "cooldown of 120 s"
    asyncio.run(live(clock, remediation))
    assert records_are_empty(records)


def records_are_empty(records):
    with records.reading() as connection:
        return store.runs_since(connection, 0.0) == []


def test_a_rehearsal_names_the_value_an_alert_lacks(records, clock):
    respond, _ = room(
        records, clock, runbooks(one(match="[alertname=Down]", steps="[{command: {name: '${labels.pod}'}}]"))
    )
    [told] = shelf.rehearsed(respond.policy, {"alertname": "Down"}, Priority.P0, clock.now())["runbooks"]
    assert (told["runs"], "labels.pod" in told["why_not"]) == (False, True)


@pytest.mark.parametrize(
    ("more", "why_not"),
    [
        (
            {"verify": "{query: 'up{job=\"${labels.job}\"} == 1'}"},
            "a query: ${labels.job}: the alert has no such value",
        ),
        ({"rollback": "[{command: {name: '${labels.pod}'}}]"}, "step 'command': ${labels.pod}: the alert has no such"),
        ({"steps": "[{command: {name: '${annotations.summary}'}}]"}, ""),
        ({"guard": "{hours: {times: [{weekdays: [saturday]}], outside: skip}}"}, "outside its hours"),  # T0 is a Monday
        ({"guard": "{hours: {times: [{weekdays: [saturday]}], outside: wait}}"}, ""),
    ],
)
def test_a_rehearsal_finds_what_would_keep_a_run_from_its_first_step(records, clock, more, why_not):
    respond, _ = room(records, clock, runbooks(one(match="[alertname=Down]", **more)))
    [told] = shelf.rehearsed(respond.policy, {"alertname": "Down"}, Priority.P0, clock.now())["runbooks"]
    assert (told["runs"], bool(told["why_not"])) == (not why_not, bool(why_not))
    assert told["why_not"].startswith(why_not)


def test_a_run_that_never_began_does_not_count(records, clock):
    respond, remediation = room(records, clock, written("guard: {dry_run: true}"))
    respond.accept([DOWN])
    asyncio.run(live(clock, remediation))
    assert run_of(records)["state"] == "dry_run"
    [told] = looked_at(records, respond, clock, shelf.listed)
    assert (told["runs"], told["success_rate"], told["last_runs"][0]["state"]) == (0, None, "dry_run")
