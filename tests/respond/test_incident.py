"""The state machine of an incident (R21): the table of legal moves, its effects, and properties that always hold."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiprism.errors import Conflict
from aiprism.model.alerts import Priority
from aiprism.model.labels import Labels
from aiprism.respond.incident import (
    MOVES,
    Acknowledged,
    AlertCleared,
    AlertFired,
    Entry,
    Identified,
    Merged,
    Noted,
    Notice,
    Periods,
    Remediate,
    ReopenedByHand,
    ResolvedByHand,
    Status,
    Tell,
    Tick,
    advance,
    next_due,
    opened,
)
from tests.respond.making import T0, again, alert, cleared

PERIODS = Periods(validation=1800)
DOWN = alert("ServiceDown", "document-processor")


def at(status: Status):
    """An incident in `status`, reached by legal moves only."""
    incident, _ = opened(DOWN, T0, PERIODS)
    path: dict[Status, list[Any]] = {
        Status.INVESTIGATING: [],
        Status.IDENTIFIED: [Identified("ann")],
        Status.MONITORING: [AlertCleared(cleared(DOWN, T0))],
        Status.RESOLVED: [AlertCleared(cleared(DOWN, T0)), ResolvedByHand("ann")],
    }
    for event in path[status]:
        incident, _ = advance(incident, event, T0, PERIODS)
    return incident


def entries(effects):
    return [effect for effect in effects if isinstance(effect, Entry)]


def events(effects):
    return [entry.event for entry in entries(effects)]


def notices(effects):
    return [effect.notice for effect in effects if isinstance(effect, Tell)]


REFIRED = AlertFired(again(DOWN, T0 + 60))
REFUSED = "refused"
MOVE_TABLE = [
    # from, event, to
    (Status.INVESTIGATING, Identified("ann"), Status.IDENTIFIED),
    (Status.IDENTIFIED, Identified("ann"), REFUSED),
    (Status.MONITORING, Identified("ann"), REFUSED),
    (Status.RESOLVED, Identified("ann"), REFUSED),
    (Status.INVESTIGATING, AlertCleared(cleared(DOWN, T0)), Status.MONITORING),
    (Status.IDENTIFIED, AlertCleared(cleared(DOWN, T0)), Status.MONITORING),
    (Status.MONITORING, AlertCleared(cleared(DOWN, T0)), Status.MONITORING),
    (Status.RESOLVED, AlertCleared(cleared(DOWN, T0)), Status.RESOLVED),
    (Status.INVESTIGATING, REFIRED, Status.INVESTIGATING),
    (Status.IDENTIFIED, REFIRED, Status.IDENTIFIED),
    (Status.MONITORING, REFIRED, Status.INVESTIGATING),
    (Status.RESOLVED, REFIRED, Status.INVESTIGATING),
    (Status.INVESTIGATING, ResolvedByHand("ann"), Status.RESOLVED),
    (Status.IDENTIFIED, ResolvedByHand("ann"), Status.RESOLVED),
    (Status.MONITORING, ResolvedByHand("ann"), Status.RESOLVED),
    (Status.RESOLVED, ResolvedByHand("ann"), REFUSED),
    (Status.INVESTIGATING, ReopenedByHand("ann"), REFUSED),
    (Status.IDENTIFIED, ReopenedByHand("ann"), REFUSED),
    (Status.MONITORING, ReopenedByHand("ann"), Status.INVESTIGATING),
    (Status.RESOLVED, ReopenedByHand("ann"), Status.INVESTIGATING),
    (Status.INVESTIGATING, Tick(), Status.INVESTIGATING),
    (Status.MONITORING, Tick(), Status.RESOLVED),
    (Status.RESOLVED, Acknowledged("ann"), REFUSED),
    (Status.MONITORING, Acknowledged("ann"), Status.MONITORING),
]


@pytest.mark.parametrize(("start", "event", "end"), MOVE_TABLE)
def test_each_event_moves_an_incident_as_the_table_says(start, event, end):  # R21
    incident = at(start)
    if end is REFUSED:
        with pytest.raises(Conflict, match=incident.id):
            advance(incident, event, T0 + 1800, PERIODS)
    else:
        assert advance(incident, event, T0 + 1800, PERIODS)[0].status is end


def test_a_firing_alert_opens_an_incident_that_people_are_told_about_and_runbooks_look_at():
    incident, effects = opened(DOWN, T0, PERIODS)
    assert incident.id == f"INC_20261123_141500_{DOWN.fingerprint[-4:]}"
    assert (incident.priority, incident.status) == (Priority.P0, Status.INVESTIGATING)
    assert incident.title == "document-processor down since 14:15 UTC"
    assert incident.services == ("document-processor",)
    assert incident.target_at == T0 + 3600
    assert [type(effect) for effect in effects] == [Entry, Tell, Remediate]
    assert events(effects) == ["incident_created"]


def test_the_same_alert_said_again_changes_nothing():
    incident = at(Status.INVESTIGATING)
    assert advance(incident, AlertFired(DOWN), T0 + 60, PERIODS) == (incident, ())


def test_a_more_urgent_alert_raises_the_priority_and_shortens_the_target():
    slow = alert("HighLatency", "document-processor", severity="high")
    incident, _ = opened(slow, T0, PERIODS)
    joined, effects = advance(incident, AlertFired(DOWN, {"similarity": {"score": 0.85}}), T0 + 30, PERIODS)
    assert (joined.priority, joined.target_at) == (Priority.P0, T0 + 3600)
    assert events(effects) == ["alert_joined", "escalated"]
    assert entries(effects)[0].data["similarity"] == {"score": 0.85}
    assert notices(effects) == [Notice.OPENED, Notice.ESCALATED]
    assert effects[-1] == Remediate((slow, DOWN))


def test_a_timeline_says_of_which_service_an_alert_is():
    slow, nobody = alert("HighLatency", "model-server"), replace(DOWN, labels=Labels({"alertname": "Watchdog"}))
    incident, effects = opened(DOWN, T0, PERIODS)
    lines = [entries(effects)[0].text]
    for event in (
        AlertFired(slow),
        AlertCleared(cleared(slow, T0)),
        AlertFired(again(slow, T0 + 60)),
        AlertFired(nobody),
    ):
        incident, effects = advance(incident, event, T0 + 60, PERIODS)
        lines.append(entries(effects)[0].text)
    assert lines == [
        "ServiceDown fires with priority P0 (document-processor)", "HighLatency joined (model-server)",
        "HighLatency is no longer firing (model-server)", "HighLatency fires again (model-server)", "Watchdog joined",
    ]  # fmt: skip


def test_it_is_monitored_only_when_its_last_alert_is_quiet():
    incident, _ = advance(at(Status.INVESTIGATING), AlertFired(alert("HighLatency", "document-processor")), T0, PERIODS)
    incident, effects = advance(incident, AlertCleared(cleared(DOWN, T0 + 60)), T0 + 60, PERIODS)
    assert (incident.status, events(effects)) == (Status.INVESTIGATING, ["alert_cleared"])
    quiet = cleared(alert("HighLatency", "document-processor"), T0 + 90)
    incident, effects = advance(incident, AlertCleared(quiet), T0 + 90, PERIODS)
    assert (incident.status, incident.monitoring_since) == (Status.MONITORING, T0 + 90)
    assert events(effects) == ["alert_cleared", "monitoring"]


@pytest.mark.parametrize("end", ["runbook_succeeded", "runbook_failed", "runbook_rolled_back", "runbook_aborted"])
def test_it_is_not_resolved_by_time_while_a_runbook_is_at_work_on_it(end):
    begun = Noted("runbook_started", "runbook:restart", "started", {"run": "R1"})
    other = Noted("runbook_started", "runbook:reset", "started", {"run": "R2"})
    incident = at(Status.MONITORING)
    for event in (begun, other, Noted("runbook_succeeded", "runbook:reset", "done", {"run": "R2"})):
        incident, _ = advance(incident, event, T0 + 10, PERIODS)
    assert advance(incident, Tick(), T0 + 9000, PERIODS)[0].status is Status.MONITORING
    assert next_due(incident, PERIODS) is None
    ended, _ = advance(incident, Noted(end, "runbook:restart", "ended", {"run": "R1"}), T0 + 9000, PERIODS)
    assert (ended.status, next_due(ended, PERIODS)) == (Status.MONITORING, T0 + 1800)
    assert advance(ended, Tick(), T0 + 9000, PERIODS)[0].status is Status.RESOLVED
    assert advance(incident, ResolvedByHand("ann"), T0 + 9000, PERIODS)[0].status is Status.RESOLVED


def test_a_runbook_at_work_is_at_work_in_the_next_round_and_in_the_incident_that_takes_it_in():
    begun = Noted("runbook_started", "runbook:restart", "started", {"run": "R1"})
    incident, _ = advance(at(Status.MONITORING), begun, T0 + 10, PERIODS)
    again, _ = advance(incident, ReopenedByHand("ann"), T0 + 20, PERIODS)
    assert again.progress.acting == ("R1",)
    other = replace(at(Status.INVESTIGATING), id="INC_other")
    taken, _ = advance(other, Merged(incident), T0 + 30, PERIODS)
    assert taken.progress.acting == ("R1",)


def test_it_is_resolved_when_the_validation_period_passed_quietly_and_not_a_moment_before():
    incident = at(Status.MONITORING)
    assert advance(incident, Tick(), T0 + 1799.9, PERIODS) == (incident, ())
    resolved, effects = advance(incident, Tick(), T0 + 1800, PERIODS)
    assert (resolved.status, resolved.resolved_at) == (Status.RESOLVED, T0 + 1800)
    assert notices(effects) == [Notice.RESOLVED]


def test_firing_again_while_monitored_reopens_it_and_calls_for_runbooks():
    fired = again(DOWN, T0 + 600)
    incident, effects = advance(at(Status.MONITORING), AlertFired(fired), T0 + 610, PERIODS)
    assert (incident.status, incident.reopened, incident.monitoring_since) == (Status.INVESTIGATING, 1, None)
    assert incident.target_at == T0 + 610 + 3600
    assert events(effects) == ["alert_refired", "reopened"]
    assert notices(effects) == [Notice.REOPENED]
    assert effects[-1] == Remediate((fired,))


def test_what_opens_no_incident_reopens_none_and_wakes_nobody_but_has_it_watched_anew():
    disk = alert("DiskFills", "document-processor", at=T0 + 600, severity="info")
    incident, effects = advance(at(Status.MONITORING), AlertFired(disk), T0 + 600, PERIODS)
    assert (incident.status, incident.reopened, incident.firing) == (Status.MONITORING, 0, (disk,))
    assert [effect.text for effect in entries(effects)] == [
        "DiskFills joined (document-processor): as P3 it reopens nothing, and the validation begins anew"
    ]
    assert len(effects) == 1
    assert next_due(incident, PERIODS) == T0 + 600 + 1800
    resolved, effects = advance(incident, Tick(), T0 + 2400, PERIODS)
    assert (resolved.status, notices(effects)) == (Status.RESOLVED, [Notice.RESOLVED])
    assert entries(effects)[0].text.endswith(
        "no recurring alerts of a tier that opens incidents; firing still: DiskFills"
    )
    fired, _ = advance(incident, AlertFired(again(DOWN, T0 + 700)), T0 + 700, PERIODS)
    assert (fired.status, len(fired.firing)) == (Status.INVESTIGATING, 2)


def test_a_late_alert_that_makes_it_worse_reopens_it_whatever_its_tier():
    slow = alert("Slow", "document-processor", severity="high")
    incident, _ = opened(slow, T0, PERIODS)
    incident, _ = advance(incident, AlertCleared(cleared(slow, T0 + 1)), T0 + 1, PERIODS)
    for number in range(20):
        late = alert("DiskFills", f"service-{number}", at=T0 + 60 + number, severity="info")
        before, (incident, effects) = incident, advance(incident, AlertFired(late), T0 + 60 + number, PERIODS)
        if incident.status is not Status.MONITORING:
            break
    assert (before.priority, incident.priority, incident.status) == (Priority.P1, Priority.P0, Status.INVESTIGATING)
    assert Notice.REOPENED in notices(effects)


def test_the_first_acknowledgement_counts_and_a_second_changes_nothing():
    incident, effects = advance(at(Status.INVESTIGATING), Acknowledged("ann"), T0 + 60, PERIODS)
    assert (incident.acknowledged_by, incident.acknowledged_at) == ("ann", T0 + 60)
    assert notices(effects) == [Notice.ACKNOWLEDGED]
    assert advance(incident, Acknowledged("bob"), T0 + 90, PERIODS) == (incident, ())


def test_a_reopened_incident_is_to_be_acknowledged_again():
    incident, _ = advance(at(Status.MONITORING), Acknowledged("ann"), T0 + 60, PERIODS)
    reopened, _ = advance(incident, REFIRED, T0 + 90, PERIODS)
    assert (reopened.acknowledged_at, reopened.acknowledged_by) == (None, "")
    again_seen, effects = advance(reopened, Acknowledged("bob"), T0 + 120, PERIODS)
    assert (again_seen.acknowledged_by, notices(effects)) == ("bob", [Notice.ACKNOWLEDGED])


def test_closing_it_while_an_alert_fires_says_so():
    _, effects = advance(at(Status.INVESTIGATING), ResolvedByHand("ann", "known fault"), T0 + 60, PERIODS)
    assert entries(effects)[0].text == "known fault (while ServiceDown fires)"


@pytest.mark.parametrize(
    ("severity", "acknowledge", "respond", "resolve"),
    [("critical", 300, 900, 3600), ("high", 900, 3600, 4 * 3600), ("info", None, None, None)],
)
def test_each_missed_deadline_is_noted_once(severity, acknowledge, respond, resolve):  # R6
    incident, _ = opened(alert(severity=severity), T0, PERIODS)
    seen = []
    for minute in range(1, 300):
        incident, effects = advance(incident, Tick(), T0 + 60 * minute, PERIODS)
        seen += [(entry.event, entry.at - T0) for entry in entries(effects)]
    wanted = [("acknowledgement_overdue", acknowledge), ("response_overdue", respond), ("target_missed", resolve)]
    assert seen == [(event, due) for event, due in wanted if due is not None]


def test_an_acknowledgement_in_time_is_not_overdue_later():
    incident, _ = advance(at(Status.INVESTIGATING), Acknowledged("ann"), T0 + 299, PERIODS)
    assert advance(incident, Tick(), T0 + 600, PERIODS)[1] == ()


def test_an_acknowledgement_that_came_late_is_noted_as_late():
    _, effects = advance(at(Status.INVESTIGATING), Acknowledged("ann"), T0 + 301, PERIODS)
    assert events(effects) == ["acknowledgement_overdue", "acknowledged"]


# -- properties --------------------------------------------------------------------------------------------------------

NAMES = ("ServiceDown", "HighLatency", "HighErrorRate")
SEVERITIES = ("critical", "high", "warning")


def moments():
    named = st.builds(
        lambda name, severity, onset: alert(name, at=T0 + onset, severity=severity),
        st.sampled_from(NAMES), st.sampled_from(SEVERITIES), st.integers(0, 4000),
    )  # fmt: skip
    people = st.sampled_from([Acknowledged("ann"), Identified("ann"), ResolvedByHand("ann"), ReopenedByHand("ann")])
    event = st.one_of(
        named.map(AlertFired),
        named.map(lambda item: AlertCleared(cleared(item, item.active_at + 5))),
        people,
        st.just(Tick()),
        st.just(Noted("comment", "ann", "hm")),
    )
    return st.lists(st.tuples(st.integers(0, 2000), event), max_size=40)


def lived(life):
    """Each (before, after, effects, now) of a life, refused events left out."""
    incident, effects = opened(alert(), T0, PERIODS)
    steps: list[tuple[Any, ...]] = [(None, incident, effects, T0)]
    now = T0
    for later, event in life:
        now += later
        try:
            after, effects = advance(incident, event, now, PERIODS)
        except Conflict:
            continue
        steps.append((incident, after, effects, now))
        incident = after
    return steps


@settings(max_examples=150, deadline=None)
@given(moments())
def test_no_life_makes_an_illegal_move(life):
    legal = {(start, end) for (start, _), end in MOVES.items()}
    # One event may make two moves (an alert that fires and is the last to clear); each of them stands in the table.
    for before, after, _, _ in lived(life)[1:]:
        assert before.status is after.status or (before.status, after.status) in legal


@settings(max_examples=150, deadline=None)
@given(moments())
def test_what_always_holds_of_an_incident(life):
    for before, after, _, _ in lived(life):
        opening = [each for each in after.firing if each.priority in (Priority.P0, Priority.P1)]
        assert not (after.status is Status.MONITORING and opening)
        assert (after.status is Status.MONITORING) <= (after.monitoring_since is not None)
        assert (after.status is Status.RESOLVED) == (after.resolved_at is not None)
        if before is not None:
            assert after.priority.urgency <= before.priority.urgency
            assert after.updated_at >= before.updated_at
            assert [a.fingerprint for a in after.alerts[: len(before.alerts)]] == [a.fingerprint for a in before.alerts]


@settings(max_examples=150, deadline=None)
@given(moments())
def test_a_timeline_only_grows_and_its_times_never_run_backwards(life):
    times = [effect.at for _, _, effects, _ in lived(life) for effect in effects if isinstance(effect, Entry)]
    assert times == sorted(times)


@settings(max_examples=100, deadline=None)
@given(moments())
def test_every_change_of_status_stands_on_the_timeline(life):
    words = {
        Status.IDENTIFIED: "identified", Status.MONITORING: "monitoring", Status.RESOLVED: "resolved",
        Status.INVESTIGATING: "reopened",
    }  # fmt: skip
    for before, after, effects, _ in lived(life)[1:]:
        if before.status is not after.status:
            assert words[after.status] in events(effects)


@settings(max_examples=100, deadline=None)
@given(moments())
def test_replaying_a_life_gives_the_same_incident_and_timeline(life):
    assert lived(life) == lived(life)


@settings(max_examples=100, deadline=None)
@given(moments(), st.integers(0, 39))
def test_saying_any_firing_alert_twice_is_saying_it_once(life, place):
    steps = lived(life)
    _, incident, _, now = steps[min(place, len(steps) - 1)]
    for held in incident.alerts:
        assert advance(incident, AlertFired(held), now, PERIODS) == (incident, ())
    assert advance(incident, AlertFired(replace(incident.alerts[0], value=9.0)), now, PERIODS) == (incident, ())
