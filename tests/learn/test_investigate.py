"""Investigations name what is wrong, from real telemetry; what was not looked at is said."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from dataclasses import replace

import pytest

from aiprism.errors import Conflict, NotFound, Unavailable
from aiprism.learn.findings import Family
from aiprism.learn.investigate import PHASES, case_of, conclusion, investigated
from aiprism.learn.investigations import STAGE
from aiprism.learn.metricchanges import family_of
from aiprism.learn.similar import Likeness
from aiprism.model.events import ChangeEvent
from aiprism.model.labels import Labels
from aiprism.respond import changes, journal
from aiprism.respond.incident import ReopenedByHand, ResolvedByHand
from aiprism.store.records import Records
from tests.learn.trouble import CATALOGUE, NOW, ONSET, Trouble
from tests.respond.making import T0, alert

SLOW = alert("HighLatency", "gateway", at=ONSET)
FAILS = alert("HighErrorRate", "orders", at=ONSET)
FULL = alert("MemoryHigh", "orders", at=ONSET)


@pytest.fixture
def records(tmp_path):
    records = Records.open(f"sqlite:///{tmp_path}/control.db")
    yield records
    records.close()


@pytest.fixture
def trouble(records, engine):
    return Trouble(records, engine)


def findings(trouble, incident, sources=None, seconds=30.0):
    with trouble.respond.reading() as connection:
        read = journal.read(connection, incident)
    case = case_of(read, trouble.survey.known, CATALOGUE, trouble.clock.now())
    return investigated(case, sources or trouble.sources, seconds, trouble.clock.monotonic)


def test_the_phases_stand_in_the_order_of_the_plan():
    assert [name for name, _ in PHASES] == ["metrics", "logs", "traces", "hypotheses"]


def test_of_a_slow_model_two_calls_away_the_model_is_named(trouble):
    trouble.metrics(slow=("gateway", "orders", "model"))
    trouble.traces(slow=2.0)
    trouble.logs()
    found = findings(trouble, trouble.open(SLOW))
    first = found.hypotheses[0]
    assert (first.kind, first.service) == ("failing_service", "model")
    assert first.confidence >= 0.8
    assert any(
        line.startswith("model complete accounts for ") and "added time of slow requests" in line
        for line in first.evidence
    )
    assert "it is called by gateway, orders, in trouble too" in first.evidence
    assert "ask mona, who owns model" in first.next_steps
    slower = {each.service for each in found.metrics if each.metric == "http_request_duration_seconds"}
    assert slower == {"gateway", "orders", "model"}
    assert all(abs(each.changed_at - ONSET) <= 45 for each in found.metrics)
    [kind] = found.traces.slower
    assert (kind.service, kind.operation, round(kind.before, 1)) == ("gateway", "POST /orders", 0.3)
    assert [each.why for each in found.traces.examples] == ["slow"] * 3
    assert found.missed == ()


def test_of_a_bad_deployment_the_deployment_is_named_with_its_new_error(trouble):
    trouble.metrics(failing=("orders",))
    trouble.traces(failed="KeyError: 'build'")
    trouble.logs(error="order cannot be placed")
    trouble.change("orders", before=90)
    trouble.change("stock", before=5000, kind="config")
    found = findings(trouble, trouble.open(FAILS))
    first = found.hypotheses[0]
    assert (first.kind, first.service) == ("change", "orders")
    assert first.statement == "deployment of orders, 1m30s before the first sign: orders 2.0"
    assert first.next_steps[0].startswith("take back the deployment of orders")
    assert "stock" not in {each.service for each in found.hypotheses}
    [line] = found.logs
    assert (line.service, line.level, line.change, line.before) == ("orders", "ERROR", "new", 0)
    assert all(each.body.startswith("order cannot be placed ") for each in line.examples)
    [origin] = found.traces.origins
    assert (origin.service, origin.operation, origin.message, origin.before) == (
        "orders",
        "place",
        "KeyError: 'build'",
        0,
    )
    errors = [each for each in found.metrics if each.family is Family.ERRORS]
    assert [each.matcher for each in errors] == ['job="shop/orders"']
    assert [(each.service, each.before, each.labels["status_code"]) for each in errors] == [("orders", 0.0, "500")]


def test_of_a_resource_that_is_used_up_the_resource_is_named(trouble):
    trouble.metrics(level=0.97)
    trouble.traces()
    trouble.logs()
    found = findings(trouble, trouble.open(FULL))
    assert (found.hypotheses[0].kind, found.hypotheses[0].service) == ("saturation", "orders")
    assert "memory_utilization_ratio is 0.97, usually 0.4" in found.hypotheses[0].statement
    assert conclusion(found).startswith("orders runs out of a resource")


@pytest.mark.parametrize(
    ("label", "matcher"), [("job", 'job=~"orders|shop/orders"'), ("service_name", 'service_name="orders"')]
)
def test_of_a_service_that_stops_that_is_said_with_what_finds_its_series(trouble, label, matcher):
    trouble.metrics()
    trouble.stocked.add(_levels(label, "orders", until=ONSET - 5))
    found = findings(trouble, trouble.open(FULL))
    assert found.hypotheses[0].kind == "stopped"
    assert [each.matcher for each in found.metrics if each.measure == "ended"] == [matcher]


def _levels(label, service, until):
    times = [round((NOW - 1200 + at) * 1000) for at in range(0, 1200, 15) if NOW - 1200 + at < until]
    for number in range(30):
        yield Labels({"__name__": f"gauge_{number}", label: service}), [(ms, 1.0) for ms in times]


def test_when_nothing_is_otherwise_that_is_said_and_no_cause_is_made_up(trouble):
    trouble.metrics()
    trouble.traces()
    trouble.logs()
    incident = trouble.open(SLOW)
    found = findings(trouble, incident)
    assert (found.metrics, found.logs, found.traces.slower, found.hypotheses) == ((), (), (), ())
    assert conclusion(found) == "nothing found: no metric, log or trace of its services differs from before"


def test_when_nothing_is_known_at_all_nothing_is_found(trouble):
    found = findings(trouble, trouble.open(alert("Odd", "ghost", at=ONSET)))
    assert (found.hypotheses, found.missed) == ((), ())


def test_a_past_incident_that_is_alike_is_a_hypothesis_with_what_repaired_it(trouble):
    trouble.alike = (Likeness("INC_1", "slow gateway", T0 - 9000, 0.8, {}, ("the same alerts: HighLatency",)),)
    sources = replace(trouble.sources, repairs=lambda ids: {"INC_1": ["restart-gateway"]})
    [told] = findings(trouble, trouble.open(SLOW), sources).hypotheses
    assert told.kind == "recurrence"
    assert told.statement == "it may be what INC_1 was (slow gateway), which restart-gateway repaired"
    assert told.next_steps[0] == "see whether restart-gateway repairs it again"


def test_a_source_that_fails_leaves_the_others_and_is_named(trouble):
    trouble.metrics(failing=("orders",))
    trouble.logs(error="order cannot be placed")

    def broken(*_):
        raise Unavailable("the store is away")

    found = findings(trouble, trouble.open(FAILS), replace(trouble.sources, patterns=broken, traces=broken))
    assert found.metrics
    assert "log patterns: the store is away" in found.missed
    assert any(each.startswith("traces of orders: ") for each in found.missed)
    assert conclusion(found).endswith("questions without an answer")


def test_a_phase_that_cannot_understand_what_it_read_is_named_and_the_next_one_begins(trouble):
    sources = replace(trouble.sources, series=lambda names, window, seconds: None)
    found = findings(trouble, trouble.open(FAILS), sources)
    assert [each.phase for each in found.phases] == [name for name, _ in PHASES]
    assert "the metrics: what was read could not be understood (AttributeError)" in found.missed


def test_when_the_time_is_over_what_was_not_looked_at_is_said(trouble):
    trouble.logs(error="order cannot be placed")

    def slow(*asked):
        trouble.clock._now += 31.0
        return trouble.sources.series(*asked)

    sources = replace(trouble.sources, series=slow, bounded=lambda seconds: nullcontext())
    found = findings(trouble, trouble.open(FAILS), sources)
    assert "log patterns: the time for it was over" in found.missed
    assert found.logs == ()


@pytest.mark.parametrize(
    ("metric", "labels", "family"),
    [
        ("http_requests_total", {"status_code": "200"}, Family.TRAFFIC),
        ("http_requests_total", {"status_code": "503"}, Family.ERRORS),
        ("jobs_total", {"outcome": "TimeoutError"}, Family.ERRORS),
        ("up", {}, Family.AVAILABILITY),
        ("db_pool_connections", {}, Family.SATURATION),
        ("process_cpu_seconds_total", {}, Family.SATURATION),
        ("request_duration_seconds", {}, Family.LATENCY),
        ("temperature", {}, Family.OTHER),
    ],
)
def test_the_name_of_a_metric_tells_what_it_measures(metric, labels, family):
    assert family_of(metric, labels) is family


# -- the desk of investigations --------------------------------------------------------------------------------------


def test_an_incident_is_investigated_when_it_opens_and_its_timeline_says_what_was_found(trouble):
    trouble.metrics(failing=("orders",))
    trouble.logs(error="order cannot be placed")
    incident = trouble.open(FAILS)
    with pytest.raises(NotFound, match="one begins when it is opened"):
        trouble.investigations.read(incident)
    assert asyncio.run(trouble.investigations.work()) == 1
    found = trouble.investigations.read(incident)
    assert (found["number"], found["state"], found["reason"]) == (1, "done", "opened")
    assert found["findings"]["logs"][0]["pattern"] == "order cannot be placed <*>"
    assert [each["number"] for each in found["all"]] == [1]
    [line] = trouble.timeline(incident, "investigated")
    assert (line["text"], line["data"]["number"]) == (found["conclusion"], 1)
    assert line["text"].startswith("orders fails")
    assert asyncio.run(trouble.investigations.work()) == 0


def test_it_is_investigated_again_when_it_is_reopened_and_when_somebody_asks(trouble):
    incident = trouble.open(FAILS)
    asyncio.run(trouble.investigations.work())
    trouble.respond.happen(incident, ResolvedByHand("ann"))
    trouble.clock._now += 60
    trouble.respond.happen(incident, ReopenedByHand("ann"))
    assert asyncio.run(trouble.investigations.work()) == 1
    assert trouble.investigations.ask(incident, "ann") == 3
    assert trouble.investigations.ask(incident, "bob") == 3  # it waits already
    assert asyncio.run(trouble.investigations.work()) == 1
    told = trouble.investigations.read(incident)["all"]
    assert [(each["reason"], each["actor"]) for each in told] == [
        ("asked for", "ann"), ("reopened", "automated_system"), ("opened", "automated_system"),
    ]  # fmt: skip
    with pytest.raises(NotFound):
        trouble.investigations.ask("INC_1", "ann")
    with pytest.raises(NotFound, match="investigation 9"):
        trouble.investigations.read(incident, 9)


def test_a_change_of_before_that_is_told_once_it_has_ended_has_it_investigated_again(trouble):
    incident = trouble.open(FAILS)
    asyncio.run(trouble.investigations.work())

    def told(number, ts):
        with trouble.respond.desk() as desk:
            change = ChangeEvent(str(number), ts, "deployment", "model-server", "2.2.0 rolled out", "", {}, "argo")
            desk.happen(incident, changes.line(journal.read(desk.connection, incident), change))
        return asyncio.run(trouble.investigations.work())

    trouble.clock._now += 10
    assert told(1, ONSET - 30) == 0  # it was known, and told by the next look
    trouble.clock._now += 60
    assert told(2, trouble.clock._now) == 0  # a repair explains nothing
    trouble.clock._now += 60
    assert told(3, ONSET - 30) == 1
    assert trouble.investigations.read(incident)["reason"] == "a change was told"
    assert asyncio.run(trouble.investigations.work()) == 0


def test_what_a_killed_platform_had_begun_is_done_again(trouble):
    incident = trouble.open(FAILS)
    assert trouble.investigations._take() == (incident, 1)
    assert trouble.investigations._take() is None
    assert trouble.investigations.read(incident)["state"] == "running"
    assert trouble.investigations.resume() == 1
    assert asyncio.run(trouble.investigations.work()) == 1
    assert trouble.investigations.read(incident)["number"] == 1


def test_in_a_storm_the_most_urgent_come_first_and_those_that_wait_too_long_are_skipped_and_counted(trouble):
    names = [f"service-{number}" for number in range(5)]
    for number, name in enumerate(names):
        trouble.respond.accept([alert("Down", name, at=ONSET, severity="critical" if number == 3 else "high")])
    first = trouble.investigations._take()
    assert "service-3" in str(_services(trouble, first[0]))
    trouble.clock._now += 3600
    assert trouble.investigations._take() is None
    assert (
        f'aiprism_items_dropped_total{{reason="late",stage="{STAGE}"}} 4.0' in trouble.telemetry.exposition().decode()
    )
    assert trouble.investigations._take() is None


def _services(trouble, incident):
    with trouble.respond.reading() as connection:
        return journal.read(connection, incident).services


def test_one_that_fails_says_so_and_is_not_tried_for_ever(trouble):
    incident = trouble.open(FAILS)
    trouble.investigations._topology = lambda: None
    assert asyncio.run(trouble.investigations.work()) == 1
    found = trouble.investigations.read(incident)
    assert found["state"] == "failed"
    assert "AttributeError" in found["conclusion"]
    assert asyncio.run(trouble.investigations.work()) == 0


def test_none_begins_where_none_are_wanted(records, engine):
    trouble = Trouble(records, engine, at_once=0)
    incident = trouble.open(FAILS)
    with pytest.raises(Conflict, match=r"learn\.investigations is 0"):
        trouble.investigations.ask(incident, "ann")
