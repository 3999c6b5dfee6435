"""The whole room: alerts in, incident answered, people told, repair proven, resolved; and taken up after a restart."""

from __future__ import annotations

import asyncio

from aiprism.clock import FakeClock
from aiprism.respond import dossier, journal
from aiprism.respond.actions.act import Done
from aiprism.respond.desk import Policy
from aiprism.respond.incident import Acknowledged, Periods
from aiprism.respond.responder import Responder
from aiprism.store.records import Records
from tests.respond.making import T0, alert, cleared, everyone, receiver, runbooks, settled, telling, threads, until

DOWN = alert("ServiceDown", "document-processor", at=T0 - 10)
BOOK = """
name: restart
match: [alertname="ServiceDown"]
guard: {approval: none}
steps: [{process: {service: "${labels.service}", action: restart}}]
verify: {query: 'up{service="${labels.service}"} == 1', within: 60s, every: 5s}
"""


class Supervisor:
    def __init__(self):
        self.restarted = []

    async def act(self, order):
        self.restarted.append((order.text("service"), order.key))
        return Done(True, "restarted")


def room(records, clock, url, supervisor, text=BOOK):
    policy = telling(everyone(url), runbooks=runbooks(text), periods=Periods(validation=1800))
    return Responder(
        records, policy=policy, actuators={"process": supervisor}, ask=lambda query, at: [({}, 1.0)], clock=clock
    )


def story(records):
    with records.reading() as connection:
        found = journal.listed(connection, "all", 10)
        return dossier.dossier(connection, found[0].id) if found else None


def of_incidents(there):
    """The events of incidents that the webhook was told, without those of alert groups."""
    return [got.body["incident"]["event"] for got in there.at("webhook") if "incident" in got.body["groupLabels"]]


def to_pagerduty(there):
    """What PagerDuty was told of incidents."""
    told = (got.body for got in there.at("pagerduty"))
    return [each["event_action"] for each in told if each["dedup_key"].startswith("INC_")]


async def passing(clock, true, what):
    """Let time pass, a second in a few milliseconds and none during work, until `true()`."""

    async def run():
        with threads() as at_work:
            while True:
                await asyncio.sleep(0.002)
                await settled(at_work)
                await clock.advance(1)

    ticking = asyncio.create_task(run())
    try:
        await until(true, what, deadline=60)
    finally:
        ticking.cancel()
        await asyncio.gather(ticking, return_exceptions=True)


def test_an_alert_is_answered_from_firing_to_resolved(records, clock):  # R8, R21
    supervisor = Supervisor()

    async def live(there):
        responder = room(records, clock, there.url, supervisor)
        await responder.start()
        await asyncio.to_thread(responder.accept, [DOWN])
        await passing(clock, lambda: story(records)["status"] == "identified", "the repair")
        responder.happen(story(records)["id"], Acknowledged("ann"))
        responder.accept([cleared(DOWN, clock.now())])
        await passing(clock, lambda: "resolved" in of_incidents(there), "the resolution to be told")
        await until(lambda: to_pagerduty(there)[-1] == "resolve", "the resolution to be told there, too")
        await responder.stop()

    with receiver() as there:
        asyncio.run(live(there))
        # Of the incident; its alert's group may be told meanwhile, too.
        assert of_incidents(there) == ["opened", "acknowledged", "monitoring", "resolved"]
        assert to_pagerduty(there) == ["trigger", "acknowledge", "resolve"]
    assert [service for service, _ in supervisor.restarted] == ["document-processor"]
    told = story(records)
    moves = [entry["event"] for entry in told["timeline"] if not entry["event"].startswith("notification")]
    assert moves == [
        "incident_created", "runbook_started", "runbook_step", "runbook_succeeded", "identified", "acknowledged",
        "alert_cleared", "monitoring", "resolved",
    ]  # fmt: skip
    assert told["resolved_at"] - told["monitoring_since"] >= 1800
    assert set(told["durations"]) == {"detect", "notify", "acknowledge", "respond", "remediate", "resolve"}
    assert told["durations"]["detect"] == 15.0


def test_a_room_that_was_stopped_after_accepting_is_taken_up_by_the_next(records, clock, tmp_path):
    supervisor = Supervisor()

    async def next_life(there, again):
        responder = room(again, clock, there.url, supervisor)
        await responder.start()
        await passing(clock, lambda: story(again)["status"] == "identified", "the repair")
        await passing(clock, lambda: len(there.got) == 3, "the letters")
        await responder.stop()

    with receiver() as there:
        room(records, clock, there.url, supervisor).accept([DOWN])  # its loops never ran
        records.close()
        again = Records.open(f"sqlite:///{tmp_path}/control.db")
        asyncio.run(next_life(there, again))
        again.close()
    assert len(supervisor.restarted) == 1


def test_stopping_and_starting_anywhere_loses_nothing_and_repeats_nothing(records):
    supervisor = Supervisor()
    clock = FakeClock(T0)

    async def lives(there):
        responder = room(records, clock, there.url, supervisor)
        responder.accept([DOWN])
        for turns in range(12):
            responder = room(records, clock, there.url, supervisor)
            await responder.start()
            for _ in range(turns):
                await asyncio.sleep(0.003)
            await responder.stop()
        responder = room(records, clock, there.url, supervisor)
        await responder.start()
        await passing(clock, lambda: story(records)["status"] == "identified", "the repair")
        await passing(
            clock, lambda: {row["state"] for row in story(records)["notifications"]} == {"sent"}, "the letters"
        )
        await responder.stop()

    with receiver() as there:
        asyncio.run(lives(there))
        for part in ("webhook", "slack", "pagerduty"):  # a stop between send and mark repeats the key, never the letter
            assert len({got.headers["idempotency-key"] for got in there.at(part)}) == 1
    assert len({key for _, key in supervisor.restarted}) == 1
    assert [run["state"] for run in story(records)["runs"]] == ["succeeded"]


def test_a_reloaded_policy_holds_from_the_next_alert_on(records, clock):
    responder = room(records, clock, "http://x.invalid", Supervisor())
    responder.reload(Policy())
    responder.accept([DOWN])
    assert [entry["event"] for entry in story(records)["timeline"]] == ["incident_created", "nobody_told"]
