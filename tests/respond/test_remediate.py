"""Runbooks carried out: guards, verification, rollback, and a platform killed at every boundary of a step."""

from __future__ import annotations

import asyncio
import re
import threading
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest

from aiprism.errors import Conflict, NotFound, Unavailable
from aiprism.respond import dossier, journal
from aiprism.respond.actions.act import Done
from aiprism.respond.desk import Policy
from aiprism.respond.incident import Periods, ReopenedByHand, ResolvedByHand, Status
from aiprism.respond.pipeline import Respond
from aiprism.respond.remediate import Remediation
from aiprism.store import incidents as store
from tests.respond.making import T0, again, alert, cleared, runbooks, settled, threads, until

DOWN = alert("ServiceDown", "document-processor")
PLAIN = """
name: restart
match: [alertname="ServiceDown"]
{guard}
steps:
  - {{name: one, process: {{service: "${{labels.service}}", action: stop}}}}
  - {{name: two, {second}}}
  - {{name: three, process: {{service: "${{labels.service}}", action: start}}}}
verify: {{query: 'up{{service="${{labels.service}}"}} == 1', within: 30s, every: 5s}}
rollback:
  - {{name: undo, process: {{service: "${{labels.service}}", action: rollback}}}}
"""


def written(guard="", second="wait: 1s"):
    return runbooks(PLAIN.format(guard=guard, second=second))


class Counting:
    """An actuator whose other side counts what it does; `knows_keys`: a repeated key has no second effect there."""

    def __init__(self, knows_keys=True, fails=()):
        self.knows_keys, self.fails = knows_keys, fails
        self.calls: list[tuple[str, str]] = []
        self.effects: Counter[str] = Counter()
        self.keys: set[str] = set()

    async def act(self, order):
        what = str(order.params.get("action") or order.params.get("name") or "wait")
        self.calls.append((what, order.key))
        if what in self.fails:
            return Done(False, f"{what} did not work")
        if not (self.knows_keys and order.key in self.keys):
            self.effects[what] += 1
        self.keys.add(order.key)
        return Done(True, f"{what} done", {"what": what})


class Metrics:
    """What PromQL answers: false for the first `false` questions of the verify query, true after."""

    def __init__(self, false=0, never=()):
        self.false, self.never, self.asked = false, never, []

    def __call__(self, query, at):
        self.asked.append(query)
        if any(part in query for part in self.never):
            return []
        if query.endswith("== 1"):
            self.false -= 1
            return [({}, 1.0)] if self.false < 0 else []
        return [({}, 1.0 if self.false < 0 else 0.0)]


def room(records, clock, books, ask=None, **kinds):
    respond = Respond(records, clock, Policy(runbooks=books, periods=Periods(validation=600)))
    actuator = kinds.pop("actuator", Counting())
    actuators = dict.fromkeys(("process", "control", "webhook", "command", "wait"), actuator)
    return respond, Remediation(respond, actuators, ask or Metrics(), clock)


async def live(clock, remediation, seconds=120):
    """Carry out what there is, time passing whenever there is nothing to do but to wait for it."""
    with threads() as at_work:
        task = asyncio.create_task(remediation.carry_out_all())
        for _ in range(seconds * 2):
            await settled(at_work)
            if task.done():
                break
            await clock.advance(0.5)
        await asyncio.wait_for(task, 20)


def story(records):
    with records.reading() as connection:
        [incident] = journal.listed(connection, "all", 10)
        return dossier.dossier(connection, incident.id)


def run_of(records):
    [run] = story(records)["runs"]
    return run


def said(records, event):
    return [entry["text"] for entry in story(records)["timeline"] if entry["event"] == event]


def test_a_runbook_repairs_and_proves_it_with_numbers_before_and_after(records, clock):  # R8
    counting = Counting()
    respond, remediation = room(records, clock, written(), Metrics(false=2), actuator=counting)
    respond.accept([DOWN])
    asyncio.run(live(clock, remediation))
    assert [call[0] for call in counting.calls] == ["stop", "wait", "start"]
    run = run_of(records)
    assert (run["state"], run["before"], run["after"]) == ("succeeded", [0.0], [1.0])
    assert [(step["name"], step["state"], step["result"]["data"]) for step in run["steps"]] == [
        ("one", "done", {"what": "stop"}), ("two", "done", {"what": "wait"}), ("three", "done", {"what": "start"})
    ]  # fmt: skip
    assert said(records, "runbook_succeeded") == ["runbook restart: verified: 0 before, 1 after"]
    assert len(said(records, "runbook_step")) == 3
    assert story(records)["status"] == "identified"
    assert story(records)["durations"]["remediate"] > 0
    respond.happen(story(records)["id"], ResolvedByHand("ann"))
    respond.happen(story(records)["id"], ReopenedByHand("ann"))
    assert story(records)["durations"]["respond"] == run["started_at"] - story(records)["created_at"]


def test_a_step_that_fails_ends_the_run_and_rolls_it_back(records, clock):
    counting = Counting(fails=("start",))
    respond, remediation = room(records, clock, written(), actuator=counting)
    respond.accept([DOWN])
    asyncio.run(live(clock, remediation))
    assert [call[0] for call in counting.calls] == ["stop", "wait", "start", "rollback"]
    assert run_of(records)["state"] == "rolled_back"
    assert said(records, "runbook_rolled_back") == [
        "runbook restart: step 'three': start did not work; rolled back (0 before, 0 after)"
    ]
    assert story(records)["status"] == "investigating"


def test_a_repair_that_is_not_verified_in_time_is_rolled_back(records, clock):
    counting = Counting()
    respond, remediation = room(records, clock, written(), Metrics(false=1000), actuator=counting)
    respond.accept([DOWN])
    asyncio.run(live(clock, remediation))
    assert counting.effects["rollback"] == 1
    assert run_of(records)["outcome"] == (
        'not verified within 30 s: up{service="document-processor"} == 1; rolled back (0 before, 0 after)'
    )


@pytest.mark.parametrize(("slow", "state"), [(1, "succeeded"), (2, "rolled_back")])
def test_a_repair_has_failed_when_it_is_asked_for_at_the_end_of_its_time_not_when_answers_are_slow(
    records, clock, slow, state
):
    metrics = Metrics(false=slow)

    def ask(query, at):
        if query.endswith("== 1"):
            clock.jump(40)  # an answer takes longer than the whole verification
        return metrics(query, at)

    respond, remediation = room(records, clock, written(), ask)
    respond.accept([DOWN])
    asyncio.run(live(clock, remediation))
    assert run_of(records)["state"] == state


def test_a_rollback_that_fails_says_so_and_its_other_steps_are_still_tried(records, clock):
    text = PLAIN.format(guard="", second="wait: 1s") + "  - {name: more, process: {service: x, action: kill}}\n"
    counting = Counting(fails=("stop", "rollback"))
    respond, remediation = room(records, clock, runbooks(text), actuator=counting)
    respond.accept([DOWN])
    asyncio.run(live(clock, remediation))
    assert [call[0] for call in counting.calls] == ["stop", "rollback", "kill"]
    assert run_of(records)["state"] == "failed"
    assert "rollback failed too" in run_of(records)["outcome"]


def test_a_query_that_cannot_be_asked_is_not_true(records, clock):
    def away(query, at):
        raise Unavailable("the store is away")

    respond, remediation = room(records, clock, written(), away)
    respond.accept([DOWN])
    asyncio.run(live(clock, remediation))
    assert "(last answer: the store is away)" in run_of(records)["outcome"]


@pytest.mark.parametrize(
    ("guard", "never", "says"),
    [
        ("guard: {precondition: 'spare_capacity > 0'}", ("spare",), "precondition does not hold: spare_capacity > 0"),
        ("guard: {precondition: 'up{pod=\"${labels.pod}\"}'}", (), "the alert has no such value"),
    ],
)
def test_a_guard_that_does_not_hold_keeps_the_runbook_from_acting(records, clock, guard, never, says):
    counting = Counting()
    respond, remediation = room(records, clock, written(guard), Metrics(never=never), actuator=counting)
    respond.accept([DOWN])
    asyncio.run(live(clock, remediation))
    assert counting.calls == []
    assert says in run_of(records)["outcome"]
    assert run_of(records)["started_at"] is None


def test_a_precondition_that_cannot_be_asked_is_tried_again_before_the_run_is_skipped(records, clock):
    answers = iter([Unavailable("away"), Unavailable("away"), [({}, 1.0)]])

    def ask(query, at):
        if query != "spare":
            return [({}, 1.0)]
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    respond, remediation = room(records, clock, written("guard: {precondition: spare}"), ask)
    respond.accept([DOWN])
    asyncio.run(live(clock, remediation))
    assert run_of(records)["state"] == "succeeded"


def runs(records):
    """Every run's state and outcome, oldest incident first."""
    with records.reading() as connection:
        found = [dossier.dossier(connection, item.id)["runs"] for item in journal.listed(connection, "all", 10)]
    return [(run["state"], run["outcome"]) for of_one in reversed(found) for run in of_one]


def test_a_run_that_comes_too_soon_for_its_service_waits_and_has_its_turn(records, clock):
    counting = Counting()
    respond, remediation = room(records, clock, written("guard: {cooldown: 10m}"), actuator=counting)

    async def lives():
        respond.accept([DOWN])
        await live(clock, remediation)
        respond.accept([alert("ServiceDown", "document-processor", instance="2")])
        respond.accept([alert("ServiceDown", "another")])
        for _ in range(3):  # it is looked at each minute, and said once
            await live(clock, remediation)
            await clock.advance(61)
        assert (counting.effects["start"], [state for state, _ in runs(records)].count("planned")) == (2, 1)
        await clock.advance(600)
        await live(clock, remediation)

    asyncio.run(lives())
    assert counting.effects["start"] == 3
    with records.reading() as connection:
        [first] = [item for item in journal.listed(connection, "all", 9) if item.services == ("document-processor",)]
        [line] = store.event_rows(connection, [first.id], event="runbook_deferred")
    assert re.match(r"runbook restart waits until [\d:]{8} UTC: cooling down: it ran ", line["text"])


def test_an_hourly_limit_is_kept_across_incidents_and_a_run_that_waits_for_it_ends_with_its_alert(records, clock):
    counting = Counting()
    respond, remediation = room(records, clock, written("guard: {max_runs_per_hour: 2}"), actuator=counting)
    down = [alert("ServiceDown", service) for service in ("a", "b", "c", "d")]

    async def lives():
        respond.accept(down[:2])
        await live(clock, remediation)
        respond.accept(down[2:])
        await live(clock, remediation)
        assert counting.effects["start"] == 2
        respond.accept([cleared(down[3], clock.now())])
        await clock.advance(61)
        await live(clock, remediation)
        assert [state for state, _ in runs(records)].count("skipped") == 1
        await clock.advance(3600)
        await live(clock, remediation)

    asyncio.run(lives())
    assert sorted(state for state, _ in runs(records)) == ["skipped", "succeeded", "succeeded", "succeeded"]
    assert counting.effects["start"] == 3


def test_a_run_that_waited_while_its_alert_cleared_and_fired_anew_leaves_it_to_the_new_one(records, clock):
    counting = Counting()
    respond, remediation = room(records, clock, written("guard: {cooldown: 10m}"), actuator=counting)

    async def lives():
        respond.accept([DOWN])
        await live(clock, remediation)
        for _ in range(2):  # twice in less than a minute: the second time nobody looked in between
            respond.accept([cleared(again(DOWN, clock.now()), clock.now())])
            await clock.advance(1)
            respond.accept([again(DOWN, clock.now())])
        await clock.advance(700)
        await live(clock, remediation)

    asyncio.run(lives())
    assert counting.effects["start"] == 2
    assert ("skipped", "ServiceDown fires anew, and called for another run") in runs(records)


def test_a_precondition_nobody_could_answer_is_asked_again_later(records, clock):
    away = [True]

    def ask(query, at):
        if query == "spare" and away[0]:
            raise Unavailable("away")
        return [({}, 1.0)]

    respond, remediation = room(records, clock, written("guard: {precondition: spare}"), ask)

    async def lives():
        respond.accept([DOWN])
        await live(clock, remediation)
        assert run_of(records)["state"] == "planned"
        away[0] = False
        await clock.advance(61)
        await live(clock, remediation)

    asyncio.run(lives())
    assert run_of(records)["state"] == "succeeded"
    assert said(records, "runbook_deferred") == ["runbook restart waits: precondition cannot be asked: away"]


def test_of_two_incidents_that_ask_at_the_same_moment_only_one_begins(records, clock):
    counting, waiting = Counting(), threading.Barrier(2, timeout=20)

    def ask(query, at):
        if query == "spare":
            waiting.wait()  # both have passed the first look at the limit
        return [({}, 1.0)]

    books = written("guard: {precondition: spare, max_runs_per_hour: 1}")
    respond, remediation = room(records, clock, books, ask, actuator=counting)
    respond.accept([alert("ServiceDown", "a"), alert("ServiceDown", "b")])
    asyncio.run(live(clock, remediation))
    assert counting.effects["start"] == 1
    assert sorted(state for state, _ in runs(records)) == ["planned", "succeeded"]


def test_a_dry_run_says_what_it_would_do_and_does_nothing(records, clock):
    counting = Counting()
    respond, remediation = room(records, clock, written("guard: {dry_run: true}"), actuator=counting)
    respond.accept([DOWN])
    asyncio.run(live(clock, remediation))
    assert counting.calls == []
    assert said(records, "runbook_dry_run") == ["runbook restart: would do: one (process), two (wait), three (process)"]


def test_a_run_that_needs_approval_waits_for_a_person(records, clock):
    counting = Counting()
    respond, remediation = room(records, clock, written("guard: {approval: required}"), actuator=counting)
    respond.accept([DOWN])
    asyncio.run(live(clock, remediation))
    run = run_of(records)
    assert (run["state"], counting.calls) == ("waiting_approval", [])
    remediation.approve(run["id"], "ann")
    with pytest.raises(Conflict):
        remediation.approve(run["id"], "bob")
    with pytest.raises(NotFound):
        remediation.approve("RUN_none", "ann")
    asyncio.run(live(clock, remediation))
    assert run_of(records)["state"] == "succeeded"
    assert said(records, "runbook_approved") == ["restart: ann approved it"]


def test_a_run_that_cooled_down_before_it_waits_for_approval_waits_in_peace(records, clock):
    respond, remediation = room(records, clock, written("guard: {cooldown: 10m, approval: required}"))

    async def lives():
        respond.accept([DOWN])
        await live(clock, remediation)
        remediation.approve(run_of(records)["id"], "ann")
        await live(clock, remediation)
        respond.accept([cleared(DOWN, T0 + 5)])
        respond.accept([again(DOWN, T0 + 10)])
        await live(clock, remediation)
        assert [state for state, _ in runs(records)] == ["succeeded", "planned"]
        await clock.advance(600)
        await live(clock, remediation)
        await live(clock, remediation)  # a run that were looked at over and over would never let it return
        [waiting] = [run for run in story(records)["runs"] if run["state"] == "waiting_approval"]
        remediation.approve(waiting["id"], "ann")
        [approved] = [run for run in story(records)["runs"] if run["state"] == "planned"]
        assert approved["waits"] is None  # its cooldown is over
        await live(clock, remediation)

    asyncio.run(lives())
    assert [state for state, _ in runs(records)] == ["succeeded", "succeeded"]


def test_a_run_under_way_that_goes_on_in_another_incident_is_carried_out_once(records, clock):
    class Slow(Counting):
        async def act(self, order):
            done = await super().act(order)
            await acted.wait()
            return done

    counting, acted = Slow(), asyncio.Event()
    books = written(second="webhook: {url: 'http://x/'}")
    respond, remediation = room(records, clock, books, actuator=counting)

    async def lives():
        respond.accept([alert("ServiceUp", "elsewhere")])
        await clock.advance(3600)
        respond.accept([DOWN])
        with records.reading() as connection:
            [younger, older] = [each.id for each in journal.listed(connection, "all", 10)]
        task = asyncio.create_task(remediation.run())
        await until(lambda: counting.calls, "its first step")
        respond.merge(older, younger, "ann")
        with threads() as at_work:
            for _ in range(5):
                respond.ring()
                await settled(at_work)
        assert [call[0] for call in counting.calls] == ["stop"]
        acted.set()
        while not (finished := await asyncio.to_thread(succeeded, older)):
            await clock.advance(0.5)
            await asyncio.sleep(0.002)
        task.cancel()
        return finished

    def succeeded(incident):
        with records.reading() as connection:
            return [row["outcome"] for row in store.run_rows(connection, [incident]) if row["finished_at"] is not None]

    assert asyncio.run(asyncio.wait_for(lives(), 30)) == ["verified: 0 before, 1 after"]
    assert [call[0] for call in counting.calls] == ["stop", "wait", "start"]


def test_a_run_that_is_refused_is_over(records, clock):
    respond, remediation = room(records, clock, written("guard: {approval: required}"))
    respond.accept([DOWN])
    asyncio.run(live(clock, remediation))
    remediation.refuse(run_of(records)["id"], "ann")
    asyncio.run(live(clock, remediation))
    assert (run_of(records)["state"], run_of(records)["outcome"]) == ("skipped", "ann did not approve it")


def test_a_runbook_does_not_act_when_its_alert_has_cleared_meanwhile(records, clock):
    counting = Counting()
    respond, remediation = room(records, clock, written(), actuator=counting)
    respond.accept([DOWN])
    respond.accept([cleared(DOWN, T0 + 5)])
    asyncio.run(live(clock, remediation))
    assert (run_of(records)["outcome"], counting.calls) == ("the incident is monitoring already", [])


def test_each_alert_and_each_episode_of_it_is_repaired_once(records, clock):
    counting = Counting()
    respond, remediation = room(records, clock, written(), actuator=counting)

    async def twice():
        respond.accept([DOWN])
        respond.accept([alert("ServiceDown", "document-processor", instance="2")])
        await live(clock, remediation)
        respond.accept([DOWN])
        await live(clock, remediation)
        assert counting.effects["start"] == 2
        for pod in (DOWN, alert("ServiceDown", "document-processor", instance="2")):
            respond.accept([cleared(pod, clock.now())])
        respond.accept([again(DOWN, clock.now())])
        await live(clock, remediation)

    asyncio.run(twice())
    assert counting.effects["start"] == 3


def test_an_alert_that_waited_for_its_time_is_not_repaired_again_after_a_restart(records, clock):
    counting = Counting()
    respond, remediation = room(records, clock, written(), actuator=counting)
    respond.accept([replace(DOWN, active_at=T0 - 60, fired_at=T0)])
    asyncio.run(live(clock, remediation))
    respond, remediation = room(records, clock, written(), actuator=counting)
    respond.flush()  # what fires is looked at anew, in case maintenance ended meanwhile
    asyncio.run(live(clock, remediation))
    assert counting.effects["start"] == 1
    assert said(records, "alert_refired") == []


def test_a_reload_has_the_next_step_carried_out_by_the_new_actuators(records, clock):
    before, after = Counting(), Counting()
    respond, remediation = room(records, clock, written(), Metrics(), actuator=before)

    class Reloading:
        async def act(self, order):
            remediation.reload(dict.fromkeys(("process", "wait"), after))
            return await before.act(order)

    remediation.reload({name: Reloading() for name in ("process", "wait")})
    respond.accept([DOWN])
    asyncio.run(live(clock, remediation))
    assert ([call[0] for call in before.calls], [call[0] for call in after.calls]) == (["stop"], ["wait", "start"])
    assert run_of(records)["state"] == "succeeded"


def test_an_actuator_that_is_missing_fails_or_hangs_makes_the_step_fail(records, clock):
    class Broken:
        async def act(self, order):
            raise ZeroDivisionError

    class Hanging:
        cancelled = False

        async def act(self, order):
            try:
                await asyncio.Event().wait()
            finally:
                Hanging.cancelled = True

    book = runbooks(
        "name: a\nmatch: [alertname=ServiceDown]\nsteps: [{webhook: {url: 'http://x'}}]\n"
        "rollback: [{name: hangs, timeout: 7s, command: {name: x}}, {name: gone, process: {service: x, action: stop}}]"
    )
    respond = Respond(records, clock, Policy(runbooks=book))
    remediation = Remediation(respond, {"webhook": Broken(), "command": Hanging()}, Metrics(), clock)
    respond.accept([DOWN])
    asyncio.run(live(clock, remediation))
    assert [step["result"]["message"] for step in run_of(records)["steps"]] == [
        "the webhook actuator failed: ZeroDivisionError", "no answer within 7 s",
        "this server has no process actuator",
    ]  # fmt: skip
    assert Hanging.cancelled


def test_a_runbook_that_was_changed_while_it_ran_is_not_continued_by_the_other_recipe(records, clock):
    respond, _ = room(records, clock, written())
    respond.accept([DOWN])
    counting = Counting()
    _, remediation = room(records, clock, written(second="wait: 2s"), actuator=counting)
    asyncio.run(live(clock, remediation))
    assert (run_of(records)["state"], counting.calls) == ("failed", [])
    assert "changed or removed" in run_of(records)["outcome"]


def test_runs_of_one_incident_happen_one_after_the_other_in_the_order_of_the_files(records, clock):
    text = "{{name: {0}, match: [alertname=ServiceDown], steps: [{{name: x, process: {{service: {0}, action: {1}}}}}]}}"
    books = runbooks("runbooks:\n- " + text.format("zz", "stop") + "\n- " + text.format("aa", "start"))
    counting = Counting()
    respond, remediation = room(records, clock, books, actuator=counting)
    respond.accept([DOWN])
    asyncio.run(live(clock, remediation))
    assert [call[0] for call in counting.calls] == ["stop", "start"]


# -- killed at every boundary ------------------------------------------------------------------------------------------


class Killed(BaseException):
    """kill -9, as far as a test can say it: nothing after it runs."""


class Mortal:
    """A control database that dies with the process at its nth transaction, before or just after the commit."""

    def __init__(self, records, at, after_commit):
        self._records, self._left, self._after_commit = records, at, after_commit
        self.died = False

    @contextmanager
    def begin(self, *, alone=""):
        self._left -= 1
        if self.died or (self._left == 0 and not self._after_commit):
            self.died = True
            raise Killed
        with self._records.begin(alone=alone) as connection:
            yield connection
        if self._left == 0:
            self.died = True
            raise Killed

    def reading(self):
        if self.died:
            raise Killed
        return self._records.reading()


def first_life(records, clock, books, actuator, ask, at, after_commit):
    """Carry out until the nth transaction kills the process; True when it lived to the end."""
    mortal = Mortal(records, at, after_commit)
    _, remediation = room(mortal, clock, books, ask, actuator=actuator)
    with suppress(Killed):
        asyncio.run(live(clock, remediation))
    return not mortal.died


def deaths():
    return [(at, after_commit) for at in range(1, 14) for after_commit in (False, True)]


@pytest.mark.parametrize(("at", "after_commit"), deaths())
def test_killed_anywhere_each_idempotent_step_has_its_effect_exactly_once(records, clock, at, after_commit):
    counting, ask = Counting(), Metrics(false=2)
    respond, _ = room(records, clock, written())
    respond.accept([DOWN])
    lived = first_life(records, clock, written(), counting, ask, at, after_commit)
    _, second = room(records, clock, written(), ask, actuator=counting)
    asyncio.run(live(clock, second))
    run = run_of(records)
    assert run["state"] == "succeeded"
    assert counting.effects == {"stop": 1, "wait": 1, "start": 1}
    assert [step["state"] for step in run["steps"]] == ["done"] * 3
    assert len(said(records, "runbook_succeeded")) == 1
    assert lived is (at > 9)  # start, three steps before and after, watch, close: nine transactions


COMMAND = "command: {name: migrate}"


@pytest.mark.parametrize(("at", "after_commit"), deaths())
def test_killed_anywhere_a_step_that_cannot_be_repeated_is_never_repeated(records, clock, at, after_commit):
    counting, ask = Counting(knows_keys=False), Metrics(false=2)
    respond, _ = room(records, clock, written(second=COMMAND))
    respond.accept([DOWN])
    first_life(records, clock, written(second=COMMAND), counting, ask, at, after_commit)
    _, second = room(records, clock, written(second=COMMAND), ask, actuator=counting)
    asyncio.run(live(clock, second))
    run = run_of(records)
    assert counting.effects["migrate"] <= 1
    states = {step["name"]: step["state"] for step in run["steps"]}
    if states["two"] == "unknown":
        assert (run["state"], states["undo"]) == ("rolled_back", "done")
        assert "three" not in states
    else:
        assert (run["state"], counting.effects["migrate"]) == ("succeeded", 1)


@pytest.mark.parametrize(("at", "after_commit"), [(at, late) for at in range(5, 14) for late in (False, True)])
def test_killed_during_rollback_the_rollback_is_finished(records, clock, at, after_commit):
    counting, ask = Counting(fails=("start",)), Metrics()
    respond, _ = room(records, clock, written())
    respond.accept([DOWN])
    first_life(records, clock, written(), counting, ask, at, after_commit)
    _, second = room(records, clock, written(), ask, actuator=counting)
    asyncio.run(live(clock, second))
    assert run_of(records)["state"] == "rolled_back"
    assert counting.effects == {"stop": 1, "wait": 1, "rollback": 1}


def test_the_incident_is_left_to_people_when_a_runbook_failed(records, clock):
    respond, remediation = room(records, clock, written(), actuator=Counting(fails=("stop", "rollback")))
    respond.accept([DOWN])
    asyncio.run(live(clock, remediation))
    with records.reading() as connection:
        assert journal.open_incidents(connection)[0].status is Status.INVESTIGATING
