"""Reminders that a status update is due: whom they reach, how often, and after a restart."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from aiprism.clock import FakeClock
from aiprism.errors import ConfigError
from aiprism.model.alerts import Priority
from aiprism.respond import journal, roomplan
from aiprism.respond.desk import Policy
from aiprism.respond.incident import Acknowledged, Assigned, Noted, Periods, ReopenedByHand, ResolvedByHand, RoleTaken
from aiprism.respond.incident.updating import TOLD
from aiprism.respond.oncall.rota import Contact, Escalation, Level, Person, Rota
from aiprism.respond.responder import Responder
from aiprism.store import incidents as store
from aiprism.store.records import Records
from aiprism.yamlfile import parse
from tests.respond.making import T0, alert, routing

PAGE = (Path(__file__).parents[2] / "docs" / "war-room.md").read_text(encoding="utf-8")
[SAID] = re.findall(r"test_update_due.py runs this block -->\n```yaml\n(.*?)```", PAGE, re.DOTALL)
MINUTE = 60.0
PEOPLE = {name: Person(name, name.title(), contacts=(Contact(f"{name}-mail"),)) for name in ("ann", "bob")}
ROTA = Rota(
    people=PEOPLE,
    escalations={"platform": Escalation("platform", (Level(people=("bob",)),), tiers=frozenset(Priority))},
)
ROUTING = routing("""
route: {receiver: tier}
receivers:
  - {name: tier, webhook_configs: [{url: "http://127.0.0.1:1/"}]}
  - {name: ann-mail, webhook_configs: [{url: "http://127.0.0.1:1/"}]}
  - {name: bob-mail, webhook_configs: [{url: "http://127.0.0.1:1/"}]}
""")
PLAN = roomplan.read(parse("audiences: {leads: {receivers: [tier]}}"))


class World:
    """A room on a database that outlives it."""

    def __init__(self, folder):
        self.clock = FakeClock(T0)
        self._url = f"sqlite:///{folder}/control.db"
        self.restart()
        self.responder.accept([alert()])
        with self.records.reading() as connection:
            [found] = journal.open_incidents(connection)
        self.id = found.id
        self.happen(Acknowledged("ann"))

    def restart(self):
        self.records = Records.open(self._url)
        periods = Periods(rota=ROTA, updates=PLAN.updates_every)
        policy = Policy(routing=ROUTING, rooms=PLAN, periods=periods, incident_receivers=("tier",))
        self.responder = Responder(
            self.records, policy=policy, actuators={}, ask=lambda query, at: [], clock=self.clock
        )

    def happen(self, event):
        return self.responder.happen(self.id, event)

    def wait(self, seconds):
        asyncio.run(self.clock.advance(seconds))

    def pass_until(self, at):
        """Let time pass, as the watch does: whenever something is due, and at the end."""
        while (due := self.responder.pipeline.check_due()) is not None and due <= at:
            self.wait(max(0.0, due - self.clock.now()))
        self.wait(max(0.0, at - self.clock.now()))
        self.responder.pipeline.check_due()

    def reminders(self):
        with self.records.reading() as connection:
            rows = store.notification_rows(connection, [self.id])
            lines = store.event_rows(connection, [self.id], event="update_due")
        told = [row["receiver"] for row in rows if row["event"].startswith("update_due")]
        return [row["at"] - T0 for row in lines], told


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    yield made
    made.records.close()


def test_who_is_on_call_is_reminded_once_in_a_period_through_restarts(world):
    world.pass_until(T0 + 29 * MINUTE)
    assert world.reminders() == ([], [])
    world.pass_until(T0 + 31 * MINUTE)
    world.records.close()
    world.restart()
    world.responder.pipeline.check()
    assert world.reminders() == ([30 * MINUTE], ["bob-mail"])
    world.pass_until(T0 + 60 * MINUTE)
    assert world.reminders() == ([30 * MINUTE, 60 * MINUTE], ["bob-mail", "bob-mail"])


def test_many_periods_without_a_process_are_one_reminder(world):
    world.wait(5 * 60 * MINUTE)
    world.responder.pipeline.check()
    assert world.reminders() == ([300 * MINUTE], ["bob-mail"])


@pytest.mark.parametrize(
    ("events", "told"),
    [
        ([RoleTaken("bob", "commander", "ann"), Assigned("ann", "bob")], ["ann-mail"]),
        ([Assigned("bob", "ann")], ["ann-mail"]),
        ([Assigned("bob", "somebody else")], ["tier", "bob-mail"]),
    ],
)
def test_the_commander_is_reminded_then_whose_it_is_then_all_who_hear_of_it(world, events, told):
    for event in events:
        world.happen(event)
    world.pass_until(T0 + 31 * MINUTE)
    assert world.reminders()[1] == told


def test_an_update_begins_the_time_anew_and_a_resolved_incident_has_none(world):
    world.pass_until(T0 + 20 * MINUTE)
    world.happen(Noted(TOLD, "ann", "leads is told"))
    world.pass_until(T0 + 49 * MINUTE)
    assert world.reminders() == ([], [])
    world.pass_until(T0 + 50 * MINUTE)
    assert world.reminders()[0] == [50 * MINUTE]
    world.happen(ResolvedByHand("ann"))
    world.pass_until(T0 + 300 * MINUTE)
    assert world.reminders()[0] == [50 * MINUTE]
    world.happen(ReopenedByHand("ann"))
    world.happen(Acknowledged("ann"))
    world.pass_until(T0 + 330 * MINUTE)
    assert world.reminders() == ([50 * MINUTE, 330 * MINUTE], ["bob-mail", "bob-mail"])


def test_how_often_is_said_for_each_priority_and_not_without_an_audience():
    assert roomplan.read(parse(SAID)).updates_every == {Priority.P0: 30 * MINUTE, Priority.P2: 120 * MINUTE}
    assert roomplan.read(parse("updates_every: {P0: 10m}")).updates_every == {}
    with pytest.raises(ConfigError, match="more often than once in a minute"):
        roomplan.read(parse("updates_every: {P0: 5s}"))
