"""The examples of docs/incidents.md, docs/runbooks.md and docs/actuators.md do what the pages say."""

from __future__ import annotations

import asyncio
import re
from importlib import resources
from pathlib import Path

import pytest

import aiprism_lab
from aiprism import yamlfile
from aiprism.model.alerts import Priority
from aiprism.respond import runbook, tiers
from aiprism.respond.actions.act import Done
from aiprism.respond.actions.control import ACTIONS
from aiprism.respond.actions.kinds import KINDS
from aiprism.respond.desk import Policy
from aiprism.respond.incident import MOVES
from aiprism.respond.pipeline import Respond
from aiprism.respond.remediate import Remediation
from tests.respond.making import alert, routing, runbooks
from tests.respond.test_remediate import live, run_of, said

DOCS = Path(__file__).parents[2] / "docs"


def examples(page):
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(r"<!-- tests/respond/test_examples.py runs this block -->\n```yaml\n(.*?)```", text, re.DOTALL)


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        ({"severity": "critical", "service": "ai-analysis-service"}, ("on-call", "observers")),
        ({"severity": "critical", "service": "user-service"}, ("observers",)),
        ({"severity": "info"}, ("observers",)),
    ],
)
def test_the_routing_of_the_page_tells_whom_the_page_says(labels, receivers):
    [text] = examples("incidents.md")
    found = routing(text)
    assert found.receivers_for(labels) == receivers
    assert found.warnings == ()


class Willing:
    async def act(self, order):
        return Done(True, "done")


def test_the_breaker_example_writes_the_line_the_page_quotes(records, clock):
    text = examples("runbooks.md")[0]
    answers = iter([41.2, 2.3])

    def ask(query, at):
        return [({}, next(answers))] if query.startswith("histogram_quantile") and "< 5" not in query else [({}, 1.0)]

    respond = Respond(records, clock, Policy(runbooks=runbooks(text)))
    respond.accept([alert("AIModelPerformanceDegraded", "ai-analysis-service")])
    asyncio.run(live(clock, Remediation(respond, {"control": Willing()}, ask, clock)))
    assert run_of(records)["state"] == "succeeded"
    assert said(records, "runbook_succeeded") == ["runbook open-ai-breaker: verified: 41.2 before, 2.3 after"]


def test_the_guards_of_the_page_are_read():
    [found] = runbooks(examples("runbooks.md")[2])
    assert found.guard.hours.outside == "approval"
    assert (found.guard.blast_radius.share, found.guard.blast_radius.services) == (0.5, 2)
    assert list(found.verify.measures) == ["errors"]


def test_the_steps_of_the_page_can_be_carried_out(records, clock):
    found = runbooks(examples("runbooks.md")[1])
    assert [book.name for book in found] == ["restart-crashed-service", "shift-traffic"]
    everywhere = (*found, *(book for text in examples("actuators.md") for book in runbooks(text)))
    assert {step.kind for book in everywhere for step in (*book.steps, *book.rollback)} == set(KINDS)
    respond = Respond(records, clock, Policy(runbooks=found))
    actuators = dict.fromkeys(KINDS, Willing())
    remediation = Remediation(respond, actuators, lambda query, at: [({}, 1.0)], clock)
    respond.accept([alert("AIModelLatencyHigh", "ai-analysis-service", model="claude-sonnet")])
    asyncio.run(live(clock, remediation))
    remediation.approve(run_of(records)["id"], "ann")
    asyncio.run(live(clock, remediation))
    assert [step["state"] for step in run_of(records)["steps"]] == ["done"] * 4


def test_the_pages_name_every_action_move_and_deadline_there_is():
    incidents, books = ((DOCS / page).read_text(encoding="utf-8") for page in ("incidents.md", "runbooks.md"))
    assert [action for action in ACTIONS if f"`{action}`" not in books] == []
    assert [end for end in {status.value for status in MOVES.values()} if end not in incidents] == []
    for priority in (Priority.P0, Priority.P1, Priority.P2):
        row = next(line for line in incidents.splitlines() if line.startswith(f"| {priority.value} "))
        tier = tiers.usual().of[priority]
        within = [tier.acknowledge_within, tier.respond_within, tier.resolve_within]
        assert [60 * _minutes(cell) for cell in row.split("|")[3:6]] == within


def test_the_tiers_of_the_page_do_what_it_says():
    text, daily = examples("tiers.md")
    known = tiers.Named(("on-call", "team", "team-lead", "management"))
    found = tiers.read(yamlfile.parse(text, file="tiers.yml"), known)
    digest = tiers.read(yamlfile.parse(daily, file="tiers.yml"), known).of[Priority.P3].digest
    assert digest is not None
    assert (digest.receivers, digest.at.isoformat(), str(digest.zone), digest.when_quiet) == (
        ("team",), "09:00:00", "Europe/Berlin", False
    )  # fmt: skip
    assert [found.priority_of(labels).value for labels in (
        {"alertname": "DataBreachDetected", "severity": "info"}, {"severity": "high", "service": "payments"},
        {"severity": "high"}, {},
    )] == ["P0", "P0", "P1", "P2"]  # fmt: skip
    assert [(step.key, step.receivers) for step in found.of[Priority.P0].escalate] == [
        ("acknowledgement", ("team-lead",)), ("acknowledgement+600", ("management",)), ("response", ("management",))
    ]  # fmt: skip


def test_the_page_shows_the_usual_tiers_as_they_are():
    page = (DOCS / "tiers.md").read_text(encoding="utf-8")
    shown = page.partition("## The usual tiers")[2].partition("```yaml\n")[2].partition("```")[0]
    usual = resources.files("aiprism.respond").joinpath("tiers.yml").read_text(encoding="utf-8")
    assert shown == usual.partition("\n")[2]


def _minutes(cell):
    number, unit = cell.split()
    return float(number) * (60 if unit.startswith("hour") else 1)


def test_every_event_a_timeline_can_have_is_on_the_page():
    page = (DOCS / "incidents.md").read_text(encoding="utf-8")
    room = Path(__file__).parents[2] / "src/aiprism/respond"
    source = "".join(file.read_text(encoding="utf-8") for file in room.rglob("*.py"))
    written = set(re.findall(r'(?:Entry\(\s*[\w.]+, |Noted\(\s*)"(\w+)"', source))
    written |= set(re.findall(r'"(runbook_(?!url)\w+)"', source)) | {"alert_joined", "alert_refired"}
    assert [event for event in sorted(written) if f"`{event}`" not in page] == []


def test_a_command_a_shipped_runbook_gives_ends_by_itself():
    """`close` without an end holds a breaker closed whatever its service sees, for ever."""
    folder = Path(aiprism_lab.__file__).parent / "demo" / "runbooks"
    steps = [step for book in runbook.load(sorted(folder.glob("*.yml"))) for step in (*book.steps, *book.rollback)]
    overriding = [step for step in steps if step.kind == "control" and step.params["action"] in ("open", "close")]
    assert overriding
    assert all(step.params["ttl_seconds"] for step in overriding)
