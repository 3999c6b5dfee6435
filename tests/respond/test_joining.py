"""Two incidents become one and one becomes two: what each holds then, who is told, and what stays apart (R21)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aiprism.errors import Conflict, NotFound
from aiprism.model.alerts import AlertState, Priority
from aiprism.respond import journal
from aiprism.respond.incident import (
    Acknowledged,
    Assigned,
    Noted,
    Pinned,
    ReopenedByHand,
    ResolvedByHand,
    RoleTaken,
    Status,
    TaskAdded,
    TaskDone,
)
from aiprism.respond.pipeline import Respond
from aiprism.respond.ways import Ways
from aiprism.store import incidents as store
from tests.respond.making import T0, again, alert, cleared, everyone, runbooks, telling

RUNBOOK = """
name: restart
match: [alertname="ServiceDown"]
steps: [{process: {service: "${labels.service}", action: restart}}]
"""
# Where an alert comes from is not kept with its incident.
SLOW = replace(alert("SlowAnswers", "api-gateway", severity="high"), source="")
DOWN = replace(alert("ServiceDown", "billing", at=T0 + 1), source="")
LATE = alert("QueueGrows", "mailer", at=T0 + 2)


@pytest.fixture
def respond(records, clock):
    return Respond(records, clock, telling(everyone("http://receiver.invalid"), runbooks=runbooks(RUNBOOK)))


@pytest.fixture
def two(respond):
    """Two incidents about two things: the older one of P1, the younger one of P0."""
    for each in (SLOW, DOWN):
        respond.accept([each])
    return kept(respond, SLOW).id, kept(respond, DOWN).id


def kept(respond, one):
    """The incident that holds `one` now."""
    with respond.reading() as connection:
        return journal.last_incidents_of(connection, [one.fingerprint])[one.fingerprint]


def read(respond, incident_id):
    with respond.reading() as connection:
        return journal.read(connection, incident_id)


def events(respond, incident_id):
    with respond.reading() as connection:
        return [row["event"] for row in store.event_rows(connection, [incident_id])]


def told(respond, incident_id):
    with respond.reading() as connection:
        return [row["event"] for row in store.notification_rows(connection, [incident_id]) if row["channel"] == "slack"]


def held(incident):
    return {each.fingerprint for each in incident.alerts}


def test_a_merge_leaves_one_incident_that_holds_everything_and_one_that_points_to_it(respond, two):
    older, younger = two
    respond.happen(younger, TaskAdded("ann", "look at the pool"))
    respond.happen(younger, Pinned("ann", "trace 4bf92f35"))
    after = respond.merge(older, younger, "ann", "one fault")
    gone = read(respond, younger)
    assert read(respond, older) == after
    assert (after.priority, after.status, held(after)) == (Priority.P0, Status.INVESTIGATING, held(gone) | held(after))
    assert [(task.id, task.text) for task in after.work.tasks] == [("T1", "look at the pool")]
    assert [pin.what for pin in after.work.pins] == ["trace 4bf92f35"]
    assert (gone.status, gone.work.merged_into, after.work.absorbed) == (Status.RESOLVED, older, (younger,))
    assert events(respond, older)[-2:] == ["merged", "escalated"]
    assert events(respond, younger)[-1] == "merged_into"
    assert told(respond, younger) == ["opened", "resolved"]


def test_a_merge_said_again_changes_nothing(respond, two):
    after = respond.merge(*two, "ann")
    before = events(respond, two[0])
    assert respond.merge(*two, "ann") == after
    assert events(respond, two[0]) == before


def test_what_is_resolved_is_neither_merged_nor_taken_in_and_nothing_is_merged_with_itself(respond, two):
    older, younger = two
    with pytest.raises(Conflict, match="itself"):
        respond.merge(older, older, "ann")
    respond.happen(younger, ResolvedByHand("ann"))
    with pytest.raises(Conflict, match="resolved"):
        respond.merge(older, younger, "ann")
    with pytest.raises(Conflict, match="resolved"):
        respond.merge(younger, older, "ann")
    assert read(respond, older).open


def test_what_nobody_has_in_the_one_that_goes_on_the_others_people_have(respond, two):
    older, younger = two
    respond.happen(older, RoleTaken("ann", "commander", "ann"))
    for event in (RoleTaken("ben", "commander", "ben"), RoleTaken("ben", "scribe", "cid"), Assigned("ben", "dan")):
        respond.happen(younger, event)
    after = respond.merge(older, younger, "eve")
    assert (after.work.roles, after.work.assignee) == ({"commander": "ann", "scribe": "cid"}, "dan")
    assert events(respond, older)[-4:] == ["merged", "assigned", "role_taken", "escalated"]


def test_alerts_of_one_that_was_merged_come_to_the_one_that_goes_on(respond, clock, two):
    older, younger = two
    respond.merge(older, younger, "ann")
    respond.accept([cleared(DOWN, T0 + 60)])
    respond.accept([again(DOWN, T0 + 90)])
    assert (kept(respond, DOWN).id, read(respond, younger).status) == (older, Status.RESOLVED)
    assert events(respond, older)[-2:] == ["alert_cleared", "alert_refired"]


def test_what_is_said_to_one_that_was_merged_is_said_to_the_one_that_goes_on(respond, two):
    older, younger = two
    respond.merge(older, younger, "ann")
    assert respond.happen(younger, Acknowledged("ben")).id == older
    assert respond.happen(younger, Noted("comment", "ben", "seen")).id == older
    with pytest.raises(Conflict, match=f"part of {older}"):
        respond.happen(younger, ReopenedByHand("ben"))


def test_a_runbook_that_was_called_for_goes_on_for_the_one_that_goes_on(respond, two):
    older, younger = two
    respond.merge(older, younger, "ann")
    with respond.reading() as connection:
        (run,) = store.run_rows(connection, [older])
        assert store.run_rows(connection, [younger]) == []
    assert run["data"]["episode"].startswith(f"0_{DOWN.fingerprint}")


def test_a_quiet_incident_that_takes_in_one_that_fires_is_open_again(respond, two):
    older, younger = two
    respond.accept([cleared(SLOW, T0 + 5)])
    assert read(respond, older).status is Status.MONITORING
    after = respond.merge(older, younger, "ann")
    assert (after.status, after.reopened) == (Status.INVESTIGATING, 1)


def test_a_split_takes_alerts_out_into_an_incident_of_their_own(respond, two):
    older, younger = two
    respond.merge(older, younger, "ann")
    new = respond.split(older, [DOWN.fingerprint], "ann", "two faults after all")
    assert new.id not in two
    assert (held(read(respond, older)), held(new)) == ({SLOW.fingerprint}, {DOWN.fingerprint})
    assert read(respond, new.id) == new
    assert (new.priority, new.work.split_from, kept(respond, DOWN).id) == (Priority.P0, older, new.id)
    assert events(respond, older)[-1] == "alerts_parted"
    assert events(respond, new.id) == ["incident_split"]
    assert new.kept_apart(read(respond, older))
    assert respond.split(older, [DOWN.fingerprint], "ann").id == new.id, "said again"


def test_a_split_names_some_of_the_alerts(respond, two):
    older, _ = two
    with pytest.raises(Conflict, match="not all"):
        respond.split(older, [SLOW.fingerprint], "ann")
    with pytest.raises(NotFound, match="no alert"):
        respond.split(older, [LATE.fingerprint], "ann")


def test_an_alert_that_was_parted_stays_out_however_alike_it_is(respond, clock):
    errors = alert("HighErrorRate", "api-gateway", at=T0 + 1)
    respond.accept([SLOW, errors])
    first = kept(respond, SLOW)
    assert held(first) == {SLOW.fingerprint, errors.fingerprint}
    new = respond.split(first.id, [errors.fingerprint], "ann")
    respond.happen(new.id, ResolvedByHand("ann"))
    respond.accept([cleared(errors, T0 + 20)])
    respond.accept([again(errors, T0 + 30)])
    assert kept(respond, errors).id != first.id
    assert held(read(respond, first.id)) == {SLOW.fingerprint}


STORE = Ways({(caller, "store"): "declared" for caller in "abcdefghijklmnopqrst"})
A, B, C = (alert("HighErrorRate", name, at=T0 + n) for n, name in enumerate("abc"))
BENEATH = alert("HighErrorRate", "store", at=T0 + 60)


@pytest.mark.parametrize("third", ["no third", "an older third", "a younger third"])
def test_what_was_parted_is_not_joined_by_an_alert_beneath_it_nor_over_a_third_nor_after_a_restart(
    records, clock, third
):
    policy = telling(everyone("http://receiver.invalid"), ways=lambda: STORE)
    respond = Respond(records, clock, policy)
    before = {"an older third": [C], "no third": [], "a younger third": []}[third]
    for each in [*before, A, B]:
        respond.accept([each])
        clock._now += 1
    one, other = kept(respond, A).id, kept(respond, B).id
    respond.merge(one, other, "ann")
    respond.split(one, [B.fingerprint], "ann", "two faults after all")
    if third == "a younger third":
        clock._now += 1
        respond.accept([C])
    Respond(records, clock, policy).accept([BENEATH])
    homes = [kept(respond, each).id for each in (A, B)]
    assert homes[0] != homes[1]
    assert kept(respond, BENEATH).id in homes


def test_an_alert_that_was_parted_does_not_join_what_it_was_parted_from_over_another(records, clock):
    respond = Respond(records, clock, telling(everyone("http://receiver.invalid"), ways=lambda: STORE))
    respond.accept([B])
    older = kept(respond, B).id
    respond.happen(older, ResolvedByHand("ann"))
    clock._now += 1
    respond.accept([C, BENEATH])
    home = kept(respond, C).id
    new = respond.split(home, [BENEATH.fingerprint], "ann")
    respond.happen(new.id, ResolvedByHand("ann"))
    respond.accept([cleared(BENEATH, T0 + 100)])
    respond.happen(older, ReopenedByHand("ann"))
    respond.accept([again(BENEATH, T0 + 110)])
    assert (kept(respond, C).id, kept(respond, BENEATH).id) == (home, older)
    respond.accept([cleared(again(BENEATH, T0 + 110), T0 + 120)])
    held_now = read(respond, older).alert(BENEATH.fingerprint)
    assert held_now is not None
    assert held_now.state is AlertState.RESOLVED, "the incident that is over, though younger, has not heard it instead"


def test_what_people_merge_again_is_one_again(respond, two):
    older, younger = two
    respond.merge(older, younger, "ann")
    new = respond.split(older, [DOWN.fingerprint], "ann")
    after = respond.merge(older, new.id, "ann", "one after all")
    assert held(after) == {SLOW.fingerprint, DOWN.fingerprint}
    assert after.work.parted == frozenset()


def test_tasks_keep_whether_they_are_done_and_get_the_next_free_numbers(respond, two):
    older, younger = two
    respond.happen(older, TaskAdded("ann", "one"))
    respond.happen(younger, TaskAdded("ann", "two"))
    respond.happen(younger, TaskDone("ben", "T1"))
    after = respond.merge(older, younger, "ann")
    assert [(task.id, task.text, task.done_by) for task in after.work.tasks] == [
        ("T1", "one", ""),
        ("T2", "two", "ben"),
    ]


def test_an_alert_that_was_parted_goes_to_the_next_one_it_is_like(records, clock):
    calls = Ways({("web", "cart"): "seen", ("web", "mail"): "seen"})
    respond = Respond(records, clock, telling(everyone("http://receiver.invalid"), ways=lambda: calls))
    cart, mail, web = (alert("HighErrorRate", name, at=T0 + n) for n, name in enumerate(("cart", "mail", "web")))
    respond.accept([cart, mail, web])
    most_alike, next_best = (one for one in (mail, cart))
    assert kept(respond, web).id == kept(respond, most_alike).id != kept(respond, next_best).id
    alone = respond.split(kept(respond, most_alike).id, [web.fingerprint], "ann")
    respond.happen(alone.id, ResolvedByHand("ann"))
    respond.accept([cleared(web, T0 + 20)])
    respond.accept([again(web, T0 + 30)])
    assert held(kept(respond, web)) == {next_best.fingerprint, web.fingerprint}
