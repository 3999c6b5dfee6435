"""What keeps runbooks from acting: how far they may reach, when, how often, and who must say yes."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from aiprism import yamlfile
from aiprism.errors import ConfigError, Conflict, Forbidden, NotFound
from aiprism.respond import journal, permission
from aiprism.respond.guards import Approval, BlastRadius, Guard, Hours, Refusal, Touch, refusal
from aiprism.respond.incident import RoleTaken
from aiprism.respond.mute.hours import Span, TimeInterval
from aiprism.respond.oncall import reading
from aiprism.store import incidents as store
from tests.respond.making import T0, again, alert, cleared, runbooks, settled, threads
from tests.respond.test_remediate import DOWN, Counting, Metrics, live, room, run_of, runs, said, story, written

NOW = 10_000.0


def touch(service="api", instance="", ago=0.0, runbook="restart"):
    return Touch(runbook, service, instance, NOW - ago)


WIDE = [
    # what may be touched, what was, how many instances there are, why not
    (
        BlastRadius(600, services=2),
        [touch("a", ago=5), touch("b", ago=6)],
        None,
        "touched a, b in the last 10m, and may 2",
    ),
    (BlastRadius(600, services=2), [touch("a", ago=5), touch("api", ago=6)], None, ""),
    (BlastRadius(600, services=2), [touch("a", ago=601), touch("b", ago=6)], None, ""),
    (BlastRadius(600, instances=2), [touch(instance=i, ago=9) for i in "12"], None, "3 of instances of api"),
    (BlastRadius(600, instances=2), [touch(instance=i, ago=9) for i in "13"], None, ""),  # number 3 once more
    (BlastRadius(600, instances=2), [touch("b", instance=i, ago=9) for i in "12"], None, ""),
    (
        BlastRadius(600, instances=2),
        [touch(instance="", ago=9)],
        5,
        "5 of 5 instances of api in the last 10m, and may 2",
    ),
    (BlastRadius(600, instances=2), [touch(instance="", ago=9)], None, "how many instances api has is not known"),
    (BlastRadius(600, share=0.5), [touch(instance="1", ago=9)], 4, ""),
    (
        BlastRadius(600, share=0.5),
        [touch(instance="1", ago=9)],
        3,
        "2 of 3 instances of api in the last 10m, and may 1",
    ),
    (BlastRadius(600, share=0.5), [], 1, ""),  # one may always be repaired
    (BlastRadius(600, share=0.5), [], None, "is not known"),
    (BlastRadius(600, share=0.29), [touch(instance=f"i{i}", ago=9) for i in range(28)], 100, ""),
]


@pytest.mark.parametrize(("radius", "past", "instances", "says"), WIDE)
def test_how_much_runbooks_touched_lately_keeps_the_next_from_beginning(radius, past, instances, says):
    found = refusal(Guard(blast_radius=radius), touch(instance="3"), past, instances=instances)
    assert says in found.reason if found else not says
    assert found is None or found.again or (found.until or 0.0) > NOW


def test_a_clock_that_was_set_back_keeps_no_run_from_beginning_that_need_not_rest():
    past = [touch(ago=-3000)]
    assert refusal(Guard(), touch(), past) is None
    assert refusal(Guard(cooldown=60), touch(), past) is not None


def test_a_run_waits_until_what_was_touched_first_is_long_enough_ago():
    past = [touch("a", ago=400), touch("b", ago=30)]
    found = refusal(Guard(blast_radius=BlastRadius(600, services=2)), touch(), past)
    assert found is not None
    assert found.until == NOW + 200


def test_a_server_may_limit_all_its_runbooks_together():
    past = [touch(f"s{at}", ago=at, runbook=f"r{at}") for at in (10, 20, 3700)]
    assert refusal(Guard(), touch(), past, most_per_hour=3) is None
    assert refusal(Guard(), touch(), past, most_per_hour=2) == Refusal(
        "runbooks of this server ran 2 times in the last hour, and may 2 times", NOW - 20 + 3600
    )


def guard_of(text):
    [found] = runbooks(f"name: a\nmatch: [x=y]\nsteps: [{{wait: 1s}}]\nguard: {text}")
    return found.guard


def test_guards_are_read():
    assert guard_of("{approval: required}") == Guard(approval=Approval())
    assert guard_of("{approval: {role: sre, within: 5m, otherwise: go_ahead}}") == Guard(
        approval=Approval("sre", 300.0, True)
    )
    assert guard_of("{blast_radius: {instances: 50%, services: 2}}") == Guard(
        blast_radius=BlastRadius(600.0, None, 0.5, 2)
    )
    assert guard_of("{blast_radius: {instances: 3, within: 1h, of: 'count(up)'}}") == Guard(
        blast_radius=BlastRadius(3600.0, 3, of="count(up)")
    )
    assert guard_of("{hours: {times: [{weekdays: ['monday:friday']}], outside: approval}}") == Guard(
        hours=Hours((TimeInterval(weekdays=(Span(1, 5),), zone=ZoneInfo("UTC")),), "approval")
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{approval: {rol: sre}}", "unknown key 'rol'"),
        ("{approval: {otherwise: skip}}", "give within, too"),
        ("{approval: {within: 5m, otherwise: maybe}}", "expected one of skip, go_ahead"),
        ("{hours: {outside: wait}}", "hours without times would never hold"),
        ("{hours: {times: [{weekdays: [funday]}]}}", "is not a weekday"),
        ("{hours: {times: [{months: [may]}], outside: sleep}}", "expected one of wait, approval, skip"),
        ("{blast_radius: {within: 5m}}", "limits nothing"),
        ("{blast_radius: {instances: 150%}}", "a share is more than 0% and at most 100%"),
        ("{blast_radius: {instances: half}}", "expected a number or a share as in 50%"),
        ("{blast_radius: {instances: 0}}", "at least one instance"),
        ("{blast_radius: {services: 0}}", "write 1 or more"),
        ("{blast_radius: {services: 1, within: 0s}}", "cannot be zero"),
        ("{blast_radius: {services: 1, of: 'rat('}}", "not PromQL"),
    ],
)
def test_a_guard_that_makes_no_sense_is_refused_with_its_line(text, says):
    with pytest.raises(ConfigError, match=r"runbook\.yml:\d+: ") as refused:
        guard_of(text)
    assert says in str(refused.value)


# -- carried out -------------------------------------------------------------------------------------------------------


def test_the_instances_of_a_service_are_counted_over_all_runbooks_and_the_next_one_has_its_turn(records, clock):
    counting = Counting()

    class Four(Metrics):
        def __call__(self, query, at):
            return [({}, 4.0)] if query.startswith("count(") else super().__call__(query, at)

    books = written("guard: {blast_radius: {instances: 50%}}")
    respond, remediation = room(records, clock, books, Four(), actuator=counting)

    async def lives():
        respond.accept([alert("ServiceDown", "document-processor", instance=str(number)) for number in range(3)])
        await live(clock, remediation)
        assert counting.effects["start"] == 2
        [line] = said(records, "runbook_deferred")
        assert "3 of 4 instances of document-processor in the last 10m, and may 2" in line
        for _ in range(10):
            await clock.advance(61)
            await live(clock, remediation)

    asyncio.run(lives())
    assert counting.effects["start"] == 3


WEEKEND = "guard: {{hours: {{times: [{{weekdays: [saturday]}}], outside: {0}}}}}"  # T0 is a Monday


@pytest.mark.parametrize(
    ("outside", "state"), [("wait", "planned"), ("skip", "skipped"), ("approval", "waiting_approval")]
)
def test_outside_its_hours_a_runbook_waits_is_skipped_or_asks(records, clock, outside, state):
    counting = Counting()
    respond, remediation = room(records, clock, written(WEEKEND.format(outside)), actuator=counting)
    respond.accept([DOWN])
    asyncio.run(live(clock, remediation))
    assert (run_of(records)["state"], counting.calls) == (state, [])
    if outside == "wait":
        assert said(records, "runbook_deferred") == [
            "runbook restart waits until 2026-11-28 00:00 UTC: outside its hours"
        ]
    if outside == "approval":
        remediation.approve(run_of(records)["id"], "ann")
        asyncio.run(live(clock, remediation))
        assert run_of(records)["state"] == "succeeded"


def test_a_run_that_waits_says_until_when_and_again_when_it_is_another_moment(records, clock):
    guard = "guard: {cooldown: 1m, max_runs_per_hour: 1}"
    respond, remediation = room(records, clock, written(guard), actuator=Counting())

    async def lives():
        respond.accept([DOWN])
        await live(clock, remediation)
        begun = run_of(records)["started_at"]
        respond.accept([cleared(DOWN, clock.now())])
        await clock.advance(45 - (clock.now() - begun))
        respond.accept([again(DOWN, clock.now())])
        await live(clock, remediation)
        assert [state for state, _ in runs(records)] == ["succeeded", "planned"]
        [planned] = [run for run in story(records)["runs"] if run["state"] == "planned"]
        assert planned["waits"] == {"why": "cooling down: it ran 45 s ago, and rests 60 s", "until": begun + 60}
        for _ in range(3):
            await clock.advance(61)
            await live(clock, remediation)
        return begun

    begun = asyncio.run(lives())
    at = datetime.fromtimestamp(begun + 60, UTC), datetime.fromtimestamp(begun + 3600, UTC)
    assert said(records, "runbook_deferred") == [
        f"runbook restart waits until {at[0]:%H:%M:%S} UTC: cooling down: it ran 45 s ago, and rests 60 s",
        f"runbook restart waits until {at[1]:%H:%M:%S} UTC: it ran 1 times in the last hour, and may 1 times",
    ]


def test_the_same_fault_within_the_cooldown_is_answered_the_moment_it_ends(records, clock):
    respond, remediation = room(records, clock, written("guard: {cooldown: 1m}"), actuator=Counting())

    async def lives():
        with threads() as at_work:
            loop = asyncio.create_task(remediation.run())
            respond.accept([DOWN])
            for second in range(100):
                if second == 45:
                    respond.accept([cleared(DOWN, clock.now())])
                    respond.accept([again(DOWN, clock.now())])
                await settled(at_work)
                await clock.advance(1)
            loop.cancel()
            await asyncio.gather(loop, return_exceptions=True)

    asyncio.run(lives())
    begun = [run["started_at"] for run in story(records)["runs"]]
    assert begun == [T0 + 5, T0 + 65]


def test_in_its_hours_a_runbook_acts(records, clock):
    respond, remediation = room(records, clock, written(WEEKEND.format("skip").replace("saturday", "monday")))
    respond.accept([DOWN])
    asyncio.run(live(clock, remediation))
    assert run_of(records)["state"] == "succeeded"


def test_only_who_has_the_role_lets_a_run_go_ahead_and_anybody_may_end_it(records, clock):
    respond, remediation = room(records, clock, written("guard: {approval: {role: sre}}"))
    respond.policy = replace(respond.policy, roles={"sre": ("ann", "Bob")})
    respond.accept([DOWN])
    asyncio.run(live(clock, remediation))
    run = run_of(records)
    with pytest.raises(
        Forbidden, match=r"carol may not let runbook restart go ahead: .* role 'sre', which ann, Bob has"
    ):
        remediation.approve(run["id"], "carol")
    assert run_of(records)["state"] == "waiting_approval"
    remediation.approve(run["id"], "bob")
    asyncio.run(live(clock, remediation))
    assert (run_of(records)["state"], said(records, "runbook_approved")) == ("succeeded", ["restart: bob approved it"])


def test_who_has_taken_the_role_in_the_incident_or_the_one_it_goes_on_as_lets_a_run_go_ahead(records, clock):
    respond, remediation = room(records, clock, written("guard: {approval: {role: commander}}"))
    respond.accept([alert("Other", "elsewhere")])
    asyncio.run(clock.advance(3600))
    respond.accept([DOWN])
    asyncio.run(live(clock, remediation))
    with records.reading() as connection:
        [younger, older] = [each.id for each in journal.listed(connection, "all", 10)]
        [run] = store.run_rows(connection, [younger])
    respond.happen(younger, RoleTaken("ann", "commander", "Ann"))
    with pytest.raises(Forbidden, match=r"role 'commander', which Ann has now"):
        remediation.approve(run["id"], "bob")
    respond.happen(older, RoleTaken("eve", "commander", "eve"))
    respond.merge(older, younger, "bob")
    with pytest.raises(Forbidden, match=r"which eve has now"):  # the one that goes on has a commander of its own
        remediation.approve(run["id"], "ann")
    remediation.approve(run["id"], "eve")
    asyncio.run(live(clock, remediation))
    with records.reading() as connection:
        [run] = store.run_rows(connection, [older])
    assert run["state"] == "succeeded"


ONCALL = """
people: {ann: {name: Ann Lee, receivers: x}, bob: {receivers: x}, cid: {receivers: x}}
schedules:
  primary: {layers: [{start: 2026-11-22, handoff: "14:30", every: 1d, people: [ann, bob]}]}
  database: {layers: [{start: 2026-11-22, people: cid}]}
"""  # T0 is 14:15: ann hands on to bob a quarter of an hour later


@pytest.mark.parametrize(
    ("role", "now", "later"),
    [("oncall:primary", {"ann", "Ann Lee"}, {"bob"}), ("oncall", {"ann", "Ann Lee", "cid"}, {"bob", "cid"})],
)
def test_who_is_on_call_at_that_moment_lets_a_run_go_ahead_by_id_or_name(records, clock, role, now, later):
    respond, remediation = room(records, clock, written(f"guard: {{approval: {{role: '{role}'}}}}"))
    rota = reading.read(yamlfile.parse(ONCALL, file="oncall.yml"))
    respond.policy = replace(respond.policy, periods=replace(respond.policy.periods, rota=rota))
    respond.accept([DOWN])
    asyncio.run(live(clock, remediation))

    def able():
        with records.reading() as connection:
            people = permission.people_of(connection, respond.policy, incident_of(records), role, clock.now())
        return {name for name in ("ann", "Ann Lee", "bob", "cid", "eve") if name in people}

    assert able() == now
    asyncio.run(clock.advance(900))
    assert able() == later
    with pytest.raises(Forbidden, match=f"role '{role}', which .*bob"):
        remediation.approve(run_of(records)["id"], "ann")
    remediation.approve(run_of(records)["id"], "Bob")
    asyncio.run(live(clock, remediation))
    assert run_of(records)["state"] == "succeeded"


@pytest.mark.parametrize(("otherwise", "state"), [("skip", "skipped"), ("go_ahead", "succeeded")])
def test_a_run_nobody_decides_about_is_ended_or_goes_ahead_as_its_runbook_says(records, clock, otherwise, state):
    guard = f"guard: {{approval: {{within: 5m, otherwise: {otherwise}}}}}"
    respond, remediation = room(records, clock, written(guard))

    async def lives():
        respond.accept([DOWN])
        await live(clock, remediation)
        await clock.advance(299)
        await live(clock, remediation)
        assert run_of(records)["state"] == "waiting_approval"
        await clock.advance(1)
        await live(clock, remediation)

    asyncio.run(lives())
    assert run_of(records)["state"] == state
    told = said(records, "runbook_approved") + said(records, "runbook_skipped")
    assert told[0].startswith("restart: nobody decided within 5m")


def test_a_server_can_make_every_run_a_dry_one(records, clock):
    counting = Counting()
    respond, remediation = room(records, clock, written(), actuator=counting)
    respond.policy = replace(respond.policy, dry_run=True)
    respond.accept([DOWN])
    asyncio.run(live(clock, remediation))
    assert (run_of(records)["state"], counting.calls) == ("dry_run", [])
    assert run_of(records)["outcome"].startswith("would do: one (process)")


def test_a_run_nobody_decides_about_ends_with_its_alert(records, clock):
    respond, remediation = room(records, clock, written("guard: {approval: required}"))

    async def lives():
        respond.accept([DOWN])
        await live(clock, remediation)
        respond.accept([cleared(DOWN, T0 + 5)])
        respond.accept([again(DOWN, T0 + 10)])
        await clock.advance(61)
        await live(clock, remediation)
        assert [state for state, _ in runs(records)] == ["skipped", "waiting_approval"]  # the new one is asked about
        respond.accept([cleared(again(DOWN, T0 + 10), T0 + 90)])
        await clock.advance(61)
        await live(clock, remediation)

    asyncio.run(lives())
    assert [state for state, _ in runs(records)] == ["skipped", "skipped"]


def test_a_run_that_rests_is_looked_at_again_when_the_clock_was_set_back(records, clock):
    counting = Counting()
    respond, remediation = room(records, clock, written(WEEKEND.format("wait")), actuator=counting)

    async def lives():
        respond.accept([DOWN])
        await live(clock, remediation)
        clock.jump(-2 * 86_400)  # T0 is a Monday
        await live(clock, remediation)

    asyncio.run(lives())
    assert (run_of(records)["state"], counting.effects["start"]) == ("succeeded", 1)


# -- by hand -----------------------------------------------------------------------------------------------------------


def incident_of(records):
    return story(records)["id"]


def test_a_person_starts_a_runbook_again_with_a_reason_and_its_guards_apply(records, clock):
    counting = Counting()
    respond, remediation = room(records, clock, written("guard: {cooldown: 10m}"), actuator=counting)

    async def lives():
        respond.accept([DOWN])
        await live(clock, remediation)
        remediation.start(incident_of(records), "restart", "ann", "it hangs again")
        await live(clock, remediation)
        assert [state for state, _ in runs(records)] == ["succeeded", "planned"]
        await clock.advance(600)
        await live(clock, remediation)

    asyncio.run(lives())
    assert ([state for state, _ in runs(records)], counting.effects["start"]) == (["succeeded"] * 2, 2)
    assert said(records, "runbook_asked") == ["ann asked for runbook restart because of ServiceDown: it hangs again"]


def test_who_may_approve_a_runbook_approves_it_by_starting_it_and_nobody_else_starts_it(records, clock):
    books = "runbooks:\n- {name: never, match: [x=y], steps: [{wait: 1s}]}\n- " + "\n  ".join(
        "name: sure\nmatch: [alertname=Other]\nguard: {approval: {role: sre}}\nsteps: [{wait: 1s}]".splitlines()
    )
    respond, remediation = room(records, clock, runbooks(books))
    respond.policy = replace(respond.policy, roles={"sre": ("ann",)})
    respond.accept([DOWN])
    incident = incident_of(records)
    with pytest.raises(Forbidden):
        remediation.start(incident, "sure", "bob", "", DOWN.fingerprint)
    with pytest.raises(Conflict, match="no firing alert that runbook sure matches; name one"):
        remediation.start(incident, "sure", "ann", "")
    with pytest.raises(NotFound, match="no runbook 'nose'; there are never, sure"):
        remediation.start(incident, "nose", "ann", "")
    with pytest.raises(NotFound):
        remediation.start("INC_none", "sure", "ann", "")
    remediation.start(incident, "sure", "ann", "", DOWN.fingerprint)
    asyncio.run(live(clock, remediation))
    assert run_of(records)["state"] == "succeeded"


def test_an_incident_that_was_merged_has_its_runbooks_started_by_the_name_people_know(records, clock):
    counting = Counting()
    respond, remediation = room(records, clock, written(), actuator=counting)
    respond.accept([alert("Other", "elsewhere")])
    asyncio.run(clock.advance(3600))
    respond.accept([DOWN])
    asyncio.run(live(clock, remediation))
    with records.reading() as connection:
        [younger, older] = [each.id for each in journal.listed(connection, "all", 10)]
    respond.merge(older, younger, "ann")
    started = [remediation.start(younger, "restart", "ann", "once more") for _ in range(2)]
    asyncio.run(live(clock, remediation))
    assert (len(set(started)), counting.effects["start"]) == (2, 3)


def test_a_runbook_started_by_hand_for_an_incident_that_is_over_finds_nothing_to_do(records, clock):
    respond, remediation = room(records, clock, written())
    respond.accept([DOWN])
    respond.accept([cleared(DOWN, T0 + 5)])
    with pytest.raises(Conflict, match="has no firing alert"):
        remediation.start(incident_of(records), "restart", "ann", "")


# -- ended by hand -----------------------------------------------------------------------------------------------------


async def until_it_acts(clock, remediation, reached):
    """Let it run until `reached()`, then give it back as a task."""
    task = asyncio.create_task(remediation.carry_out_all())
    for _ in range(2000):
        await asyncio.sleep(0.002)
        if reached():
            return task
        await clock.advance(0.1)
    raise AssertionError("it never came so far")


@pytest.mark.parametrize("state", ["running", "verifying"])
def test_a_person_ends_a_run_that_acts_and_it_is_rolled_back_at_once(records, clock, state):
    counting = Counting()
    books = written(second="wait: 1h") if state == "running" else written()
    respond, remediation = room(records, clock, books, Metrics(false=10**9), actuator=counting)
    if state == "running":

        class Slow(Counting):
            async def act(self, order):
                done = await counting.act(order)
                if "seconds" in order.params:
                    await clock.sleep(3600)
                return done

        respond, remediation = room(records, clock, books, Metrics(false=10**9), actuator=Slow())

    async def lives():
        respond.accept([DOWN])
        reached = (
            (lambda: counting.effects["wait"]) if state == "running" else (lambda: run_of(records)["state"] == state)
        )
        task = await until_it_acts(clock, remediation, reached)
        began = clock.now()
        remediation.abort(run_of(records)["id"], "ann", "wrong host")
        with pytest.raises(Conflict):
            remediation.abort(run_of(records)["id"], "bob", "")
        await asyncio.wait_for(task, 20)
        assert clock.now() == began  # nobody waited for a clock

    asyncio.run(lives())
    run = run_of(records)
    assert (run["state"], counting.effects["rollback"]) == ("aborted", 1)
    assert "ann ended it: wrong host" in run["outcome"]
    assert said(records, "runbook_abort_asked") == ["restart: ann ended it: wrong host"]
    with pytest.raises(Conflict, match="is aborted: there is nothing to end"):
        remediation.abort(run["id"], "ann", "")


def test_a_run_that_has_not_begun_is_ended_without_a_trace(records, clock):
    counting = Counting()
    respond, remediation = room(records, clock, written("guard: {approval: required}"), actuator=counting)
    respond.accept([DOWN])
    asyncio.run(live(clock, remediation))
    remediation.abort(run_of(records)["id"], "ann", "")
    asyncio.run(live(clock, remediation))
    assert (run_of(records)["state"], run_of(records)["outcome"], counting.calls) == ("skipped", "ann ended it", [])


# -- worsening, and taking back ----------------------------------------------------------------------------------------

WORSE = """
name: restart
match: [alertname="ServiceDown"]
steps: [{{name: one, process: {{service: x, action: stop}}}}, {{name: two, process: {{service: x, action: kill}}}}]
verify: {{query: up == 1, within: 60s, every: 5s, worse_when: errors > 5, measures: {{errors: errors}}}}
rollback: [{0}]
"""
UNDO = "{name: back, process: {service: x, action: start}}"


class Errors(Metrics):
    """The errors there are at each question about whether it is worse; the last number stays."""

    def __init__(self, *counts):
        super().__init__(false=10**9)
        self.counts = list(counts)

    def __call__(self, query, at):
        if query == "errors > 5":
            count = self.counts.pop(0) if len(self.counts) > 1 else self.counts[0]
            return [({}, count)] if count > 5 else []
        return [({}, float(self.counts[0]))] if query == "errors" else super().__call__(query, at)


@pytest.mark.parametrize(
    ("counts", "acts", "says"),
    [
        ((0, 0, 0, 0, 9), ["stop", "kill", "start"], "(9); rolled back (0 before, 0 after; errors 0 before, 9 after)"),
        ((0, 0, 9), ["stop", "start"], "it got worse: errors > 5 (9)"),
        ((9,), ["stop", "kill", "start"], "not verified within 60 s"),  # as bad before
        ((9, 0, 0, 9), ["stop", "kill", "start"], "it got worse"),  # better, and then worse again
    ],
)  # fmt: skip
def test_a_run_that_makes_things_worse_is_rolled_back_at_once_and_tells_its_numbers(records, clock, counts, acts, says):
    counting = Counting()
    respond, remediation = room(records, clock, runbooks(WORSE.format(UNDO)), Errors(*counts), actuator=counting)
    respond.accept([DOWN])
    asyncio.run(live(clock, remediation))
    assert [call[0] for call in counting.calls] == acts
    assert (run_of(records)["state"], says in run_of(records)["outcome"]) == ("rolled_back", True)


def test_a_step_that_acts_while_things_get_worse_is_cut_off(records, clock):
    class Hanging(Counting):
        async def act(self, order):
            done = await super().act(order)
            if order.params["action"] == "kill":
                await clock.sleep(10**6)
            return done

    counting = Hanging()
    respond, remediation = room(records, clock, runbooks(WORSE.format(UNDO)), Errors(0, 0, 0, 9), actuator=counting)
    respond.accept([DOWN])
    asyncio.run(live(clock, remediation))
    assert [(step["name"], step["state"]) for step in run_of(records)["steps"]] == [
        ("one", "done"), ("two", "failed"), ("back", "done")
    ]  # fmt: skip
    assert "step 'two': cut off: it got worse: errors > 5 (9)" in run_of(records)["outcome"]


def test_a_rollback_step_undoes_another_as_far_as_it_was_carried_out(records, clock):
    class Undoing(Counting):
        def __init__(self, fails):
            super().__init__(fails=fails)
            self.undone = []

        async def act(self, order):
            self.undone += [(order.params["action"], order.undoes)] if order.undoes else []
            return await super().act(order)

    text = WORSE.format("{undo: one}, {undo: three}").replace(
        "action: kill}}", "action: kill}}, {name: three, process: {service: x, action: start}}"
    )
    counting = Undoing(fails=("kill",))
    respond, remediation = room(records, clock, runbooks(text), Errors(0), actuator=counting)
    respond.accept([DOWN])
    asyncio.run(live(clock, remediation))
    run = run_of(records)
    [(action, past)] = counting.undone
    assert (action, past.key, past.data) == ("stop", run["steps"][0]["idempotency_key"], {"what": "stop"})
    assert [step["result"]["message"] for step in run["steps"]][2:] == [
        "stop done", "nothing to undo: the step was never begun"
    ]  # fmt: skip
    assert run["state"] == "rolled_back"


@pytest.mark.parametrize(
    ("rollback", "says"),
    [
        ("{undo: four}", "0 steps are called 'four'; the steps are one, two"),
        ("{undo: two}", "a process step of this sort cannot be undone"),  # kill
        ("{undo: one, wait: 1s}", "this one is both"),
    ],
)
def test_what_cannot_be_undone_is_refused_when_the_file_is_read(rollback, says):
    with pytest.raises(ConfigError) as refused:
        runbooks(WORSE.format(rollback))
    assert says in str(refused.value)
