"""What becomes of an accepted alert: kept before `accept` returns, repeated without effect, correlated, addressed."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
import sqlalchemy as sa

from aiprism.errors import Conflict, NotFound
from aiprism.model.alerts import Priority
from aiprism.respond import consequences, journal
from aiprism.respond.consequences import letter_row
from aiprism.respond.desk import Policy
from aiprism.respond.incident import Acknowledged, Periods, ResolvedByHand, Status
from aiprism.respond.incident import values as incident_values
from aiprism.respond.pipeline import CONSEQUENCES, FLUSH, STAGES, Respond
from aiprism.respond.ways import Ways
from aiprism.respond.wording import gist_of
from aiprism.store import incidents as store
from aiprism.store.records import Records, notifications
from aiprism.telemetry import Telemetry
from tests.respond.making import T0, again, alert, cleared, everyone, routing, runbooks, telling

URL = "http://receiver.invalid"
RUNBOOK = """
name: restart
match: [alertname="ServiceDown"]
steps: [{process: {service: "${labels.service}", action: restart}}]
"""


@pytest.fixture
def respond(records, clock):
    return Respond(records, clock, telling(everyone(URL), runbooks=runbooks(RUNBOOK)))


def incidents(records):
    with records.reading() as connection:
        return journal.listed(connection, "all", 100)


def timeline(records):
    with records.reading() as connection:
        return [event["event"] for item in incidents(records) for event in store.event_rows(connection, [item.id])]


def letters(records, event=""):
    with records.reading() as connection:
        rows = connection.execute(sa.select(notifications)).mappings().all()
    return sorted((row["channel"], row["event"]) for row in rows if row["event"].startswith(event))


def test_the_way_of_an_alert_is_two_tuples_and_everything_else_enters_the_first_one_later():
    assert [stage.__name__ for stage in STAGES] == [
        "settle", "enrich", "recognise", "steady", "inhibit", "silence", "maintain", "suppress", "correlate", "group",
        "remediate", "address", "record", "open_wanted", "bring_people",
        "tell_pins"
    ]  # fmt: skip
    assert STAGES[-6:] == CONSEQUENCES
    assert [stage.__name__ for stage in FLUSH] == [
        "inhibit", "hours", "silence", "maintain", "suppress", "dedup", "find_homes", "tell_once", "compose", "record"
    ]  # fmt: skip


def test_a_critical_alert_is_an_incident_with_letters_and_a_runbook_run_when_accept_returns(respond, records, tmp_path):
    respond.accept([alert("ServiceDown", "document-processor")])
    records.close()  # as if the process were killed here: only the file is left
    after = Records.open(f"sqlite:///{tmp_path}/control.db")
    [incident] = incidents(after)
    assert (incident.status, incident.priority) == (Status.INVESTIGATING, Priority.P0)
    assert incident.alerts[0].labels == alert("ServiceDown", "document-processor").labels
    assert letters(after) == [("pagerduty", "opened"), ("slack", "opened"), ("webhook", "opened")]
    with after.reading() as connection:
        [run] = store.runs_in(connection, ["planned"])
    assert (run["incident_id"], run["runbook"]) == (incident.id, "restart")
    after.close()


def test_a_repeated_alert_changes_nothing(respond, records, clock):
    for _ in range(3):
        respond.accept([alert("ServiceDown")])
        clock._now += 60
    assert timeline(records) == ["incident_created"]
    assert len(letters(records)) == 3


def test_the_same_alert_twice_in_one_batch_is_one_alert(respond, records):
    respond.accept([alert("ServiceDown"), alert("ServiceDown")])
    assert timeline(records) == ["incident_created"]


def test_a_pending_alert_is_dropped_with_a_count(records, clock):
    telemetry = Telemetry()
    Respond(records, clock, telemetry=telemetry).accept([alert(state="pending")])
    assert incidents(records) == []
    [stage] = [row for row in telemetry.flow() if row["stage"] == "respond.accept"]
    assert stage["dropped"] == {"pending": 1.0}


def test_alerts_that_resemble_each_other_are_one_incident_and_unrelated_ones_two(respond, records):
    respond.accept([
        alert("HighLatency", "api-gateway", at=T0 + 20),
        alert("HighErrorRate", "api-gateway"),
        alert("HighErrorRate", "user-service"),
    ])  # fmt: skip
    found = {incident.services: [alert.name for alert in incident.alerts] for incident in incidents(records)}
    assert found == {("api-gateway",): ["HighErrorRate", "HighLatency"], ("user-service",): ["HighErrorRate"]}
    assert "alert_joined" in timeline(records)


def test_the_parts_of_the_likeness_stay_on_the_timeline(respond, records):
    respond.accept([alert("HighErrorRate"), alert("HighLatency", at=T0 + 60)])
    with records.reading() as connection:
        [joined] = store.event_rows(connection, [incidents(records)[0].id], event="alert_joined")
    parts = joined["data"]["similarity"]
    assert {key: parts[key] for key in ("time", "service", "kind", "score")} == {
        "time": 0.9, "service": 1.0, "kind": 0.5, "score": 0.82
    }  # fmt: skip


def test_services_that_are_known_to_depend_on_each_other_share_an_incident(records, clock):
    policy = Policy(ways=lambda: Ways({("api-gateway", "model-server"): "declared"}))
    Respond(records, clock, policy).accept([
        alert("HighLatency", "model-server"), alert("HighErrorRate", "api-gateway", at=T0 + 30)
    ])  # fmt: skip
    assert [incident.services for incident in incidents(records)] == [("model-server", "api-gateway")]


STORE = Ways({(caller, "store"): "declared" for caller in ("cart", "mail", "c", "d", "e", "f", "g")})
CAUSE_LAST = [alert("HighErrorRate", name, at=T0 + 5 * n) for n, name in enumerate(["cart", "mail", "store"])]


WEB = {("web", "orders"): "seen", ("orders", "db"): "seen", ("mail", "queue"): "seen", ("orders", "queue"): "seen"}


@pytest.mark.parametrize(
    ("services", "told"),
    [
        ("db orders web", "errors in db, orders and web since 14:15 UTC, starting at db"),
        ("web orders db", "errors in web, orders and db since 14:15 UTC, starting at db"),  # who suffers tells first
        ("mail orders", "errors in mail and orders since 14:15 UTC, perhaps starting at queue"),
        ("web", "web errors since 14:15 UTC"),
    ],
)
def test_an_incident_is_known_to_begin_where_all_its_services_suffer_from(services, told, records, clock):
    respond = Respond(records, clock, Policy(ways=lambda: Ways(WEB)))
    for number, name in enumerate(services.split()):
        respond.accept([alert("HighErrorRate", name, at=T0 + number)])
    [incident] = incidents(records)
    assert incident.title == told
    with respond.reading() as connection:
        assert store.incident_rows(connection, ids=[incident.id])[0]["title"] == told


def test_what_is_left_of_a_parted_incident_began_nowhere_until_more_is_known(records, clock):
    respond = Respond(records, clock, Policy(ways=lambda: Ways(WEB)))
    alerts = [alert("HighErrorRate", name, at=T0 + number) for number, name in enumerate(("db", "orders", "web"))]
    respond.accept(alerts)
    [incident] = incidents(records)
    assert incident.origin == "db"
    respond.split(incident.id, [alerts[0].fingerprint], "ann")
    assert {each.origin for each in incidents(records)} == {""}


def everything(records):
    with records.reading() as connection:
        return {each.services[0]: each for each in journal.listed(connection, "all", 10)}


@pytest.mark.parametrize("batches", [[CAUSE_LAST], [CAUSE_LAST[:2], CAUSE_LAST[2:]], [[each] for each in CAUSE_LAST]])
def test_what_ails_two_incidents_makes_them_one(batches, records, clock):
    respond = Respond(records, clock, Policy(ways=lambda: STORE))
    for batch in batches:
        respond.accept(batch)
    found = everything(records)
    merged = found["mail"].work.merged_into or found["cart"].work.merged_into
    survivor = next(each for each in found.values() if each.id == merged)
    assert sorted(survivor.services) == ["cart", "mail", "store"]
    assert [each.id for each in found.values() if each.open] == [survivor.id]
    respond.accept([cleared(each, T0 + 60) for each in CAUSE_LAST])
    assert everything(records)[survivor.services[0]].status is Status.MONITORING


def test_an_edge_stays_on_the_timeline_of_who_took_in_another(records, clock):
    respond = Respond(records, clock, Policy(ways=lambda: STORE))
    for each in CAUSE_LAST:
        respond.accept([each])
        clock.jump(1)
    [survivor] = [each for each in everything(records).values() if each.open]
    with records.reading() as connection:
        lines = store.event_rows(connection, [survivor.id])
    [line] = [each for each in lines if each["text"].startswith("HighErrorRate shows that")]
    assert line["data"]["similarity"]["way"]["text"] in ("cart → store", "mail → store")


def flushed(respond, clock, seconds=0):
    """Let time pass and tell what is due of groups."""
    clock._now += seconds
    respond.flush()


def test_a_warning_opens_no_incident_and_its_group_is_told_when_it_fires_and_when_it_clears(respond, records, clock):
    warning = alert("HighLatency", severity="warning")
    for said in (warning, warning, cleared(warning, T0 + 4), cleared(warning, T0 + 4), again(warning, T0 + 5)):
        respond.accept([said])
    assert incidents(records) == []
    flushed(respond, clock, 30)
    told = [(channel, event.partition("#")[0]) for channel, event in letters(records)]
    assert told == [("pagerduty", "firing"), ("slack", "firing"), ("webhook", "firing")]


def test_a_warning_joins_an_open_incident_it_resembles(respond, records):
    respond.accept([alert("HighLatency", severity="warning", at=T0 + 5), alert("HighErrorRate")])
    [incident] = incidents(records)
    assert (incident.priority, len(incident.alerts)) == (Priority.P0, 2)


def test_the_all_clear_of_an_alert_nobody_heard_of_is_told_to_nobody(respond, records, clock):
    respond.accept([cleared(alert(severity="warning"), T0)])
    flushed(respond, clock, 60)
    assert letters(records) == []


def test_an_incident_that_clears_is_monitored_and_resolved_after_its_validation_period(records, clock):
    respond = Respond(records, clock, telling(everyone(URL), periods=Periods(validation=1800)))
    respond.accept([alert()])
    respond.accept([cleared(alert(), T0 + 60)])
    assert incidents(records)[0].status is Status.MONITORING
    clock._now += 1799
    respond.check()
    assert incidents(records)[0].status is Status.MONITORING
    clock._now += 1
    respond.check()
    assert incidents(records)[0].status is Status.RESOLVED
    assert [event for event in timeline(records) if "overdue" not in event] == [
        "incident_created", "alert_cleared", "monitoring", "resolved"
    ]  # fmt: skip
    assert letters(records, "monitoring") == [("slack", "monitoring"), ("webhook", "monitoring")]
    assert len(letters(records, "resolved")) == 3


def test_each_round_of_a_reopened_incident_is_told_again_and_gets_its_runbook_again(respond, records, clock):
    down = alert("ServiceDown")
    respond.accept([down])
    for round_ in (1, 2):
        respond.accept([cleared(again(down, T0 + 100 * (round_ - 1)) if round_ > 1 else down, clock.now())])
        clock._now += 100
        respond.accept([again(down, T0 + 100 * round_)])
    assert incidents(records)[0].reopened == 2
    told = [event for channel, event in letters(records) if channel == "webhook"]
    assert told == ["monitoring", "monitoring#2", "opened", "reopened", "reopened#2"]
    with records.reading() as connection:
        runs = store.runs_in(connection, ["planned"])
    assert [run["id"].split("restart_")[1] for run in runs] == [
        f"{number}_{down.fingerprint}_{T0 * 1000 + number * 100_000:.0f}" for number in (0, 1, 2)
    ]


def test_an_alert_that_fires_anew_after_its_incident_was_resolved_opens_another(respond, records, clock):
    respond.accept([alert()])
    respond.happen(incidents(records)[0].id, ResolvedByHand("ann"))
    respond.accept([alert()])  # the same firing, said again: a person has closed it
    assert len(incidents(records)) == 1
    clock._now += 600
    respond.accept([again(alert(), T0 + 600)])
    assert [incident.status for incident in incidents(records)] == [Status.INVESTIGATING, Status.RESOLVED]


def test_nothing_joins_an_incident_a_person_closed_even_while_its_alert_clears(respond, records):
    respond.accept([alert()])
    respond.happen(incidents(records)[0].id, ResolvedByHand("ann"))
    respond.accept([cleared(alert(), T0 + 10), alert("HighLatency", at=T0 + 10)])
    assert sorted(incident.status.value for incident in incidents(records)) == ["investigating", "resolved"]


def test_the_late_end_of_an_earlier_episode_does_not_clear_the_present_one(respond, records):
    respond.accept([alert()])
    respond.accept([cleared(alert(), T0 + 50)])
    respond.accept([again(alert(), T0 + 100)])
    respond.accept([cleared(alert(), T0 + 50)])
    assert incidents(records)[0].status is Status.INVESTIGATING


def test_two_incidents_of_one_second_have_different_ids(respond, records, monkeypatch):
    # The last four hex digits, which name an incident, are the same.
    number = property(lambda self: int.from_bytes(self["service"].encode()) << 16)
    monkeypatch.setattr("aiprism.model.labels.Labels.fingerprint", number)
    respond.accept([alert(service="one"), alert(service="two")])
    assert len({incident.id for incident in incidents(records)}) == 2


def test_an_incident_nobody_can_be_told_about_says_so(records, clock):
    Respond(records, clock).accept([alert()])
    assert timeline(records) == ["incident_created", "nobody_told"]


def test_each_alert_of_an_incident_may_bring_its_own_receivers(records, clock):
    policy = telling(
        routing(
            "route: {receiver: a, routes: [{matchers: [alertname=HighLatency], receiver: b}]}\n"
            "receivers: [{name: a, webhook_configs: [{url: 'http://a'}]}, {name: b, webhook_configs: [{url: 'http://b'}]}]"
        )
    )
    respond = Respond(records, clock, policy)
    respond.accept([alert("HighErrorRate"), alert("HighLatency")])
    with records.reading() as connection:
        rows = store.notification_rows(connection, [incidents(records)[0].id])
    assert sorted(row["receiver"] for row in rows) == ["a", "b"]


def test_send_resolved_false_holds_back_the_good_news(records, clock):
    respond = Respond(records, clock, telling(everyone(URL, send_resolved="false")))
    respond.accept([alert()])
    respond.accept([cleared(alert(), T0 + 5)])
    assert letters(records, "monitoring") == [("webhook", "monitoring")]


def test_what_people_do_follows_the_same_way(respond, records):
    respond.accept([alert()])
    [incident] = incidents(records)
    respond.happen(incident.id, Acknowledged("ann"))
    assert len(letters(records, "acknowledged")) == 3
    with pytest.raises(NotFound):
        respond.happen("INC_none", Acknowledged("ann"))
    respond.happen(incident.id, ResolvedByHand("ann"))
    with pytest.raises(Conflict):
        respond.happen(incident.id, ResolvedByHand("ann"))


def test_a_failing_stage_keeps_nothing_of_the_batch_and_tells_the_sender(respond, records, monkeypatch):
    def broken(connection, rows):
        raise RuntimeError("disk full")

    with monkeypatch.context() as patched:
        patched.setattr(store, "enqueue", broken)
        with pytest.raises(RuntimeError):
            respond.accept([alert()])
    assert incidents(records) == []
    respond.accept([alert()])
    assert len(incidents(records)) == 1


def test_alerts_from_many_threads_make_one_incident(respond, records):
    alerts = [alert("HighErrorRate", endpoint=f"/{number}") for number in range(12)]
    threads = [threading.Thread(target=respond.accept, args=([item],)) for item in alerts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [incident] = incidents(records)
    assert len(incident.alerts) == 12


def test_a_value_that_json_cannot_say_is_kept(respond, records):
    respond.accept([replace(alert(), value=float("nan")), replace(alert("HighLatency"), value=float("inf"))])
    values = [str(item.value) for item in incidents(records)[0].alerts]
    assert sorted(values) == ["inf", "nan"]


TWO_RECEIVERS = """
route: {receiver: a, routes: [{matchers: [team=late], receiver: b}]}
receivers: [{name: a, webhook_configs: [{url: "http://a"}]}, {name: b, webhook_configs: [{url: "http://b"}]}]
"""


def test_a_receiver_an_alert_brings_to_an_open_incident_is_told_of_it_and_nobody_twice(records, clock):
    respond = Respond(records, clock, telling(routing(TWO_RECEIVERS)))
    respond.accept([alert("HighLatency", severity="high")])
    respond.accept([alert("HighErrorRate", team="late")])
    respond.accept([alert("HighErrorRate", team="late", instance="2")])
    with records.reading() as connection:
        rows = store.notification_rows(connection, [incidents(records)[0].id])
    assert sorted((row["receiver"], row["event"]) for row in rows) == [
        ("a", "escalated"), ("a", "opened"), ("b", "escalated"), ("b", "opened")
    ]  # fmt: skip


def test_each_instance_and_each_episode_of_an_alert_gets_its_own_repair(respond, records, clock):
    one, two = alert("ServiceDown", instance="1"), alert("ServiceDown", instance="2")
    respond.accept([one, two])
    respond.accept([cleared(one, clock.now())])
    respond.accept([again(one, T0 + 100)])  # the other instance kept the incident open
    respond.accept([again(one, T0 + 100)])
    with records.reading() as connection:
        runs = store.runs_in(connection, ["planned"])
    assert sorted(run["data"]["fingerprint"] for run in runs) == sorted([one.fingerprint] * 2 + [two.fingerprint])


def test_acknowledgements_of_two_rounds_are_two_events(respond, records, clock):
    respond.accept([alert()])
    [incident] = incidents(records)
    respond.happen(incident.id, Acknowledged("ann"))
    respond.accept([cleared(alert(), clock.now())])
    respond.accept([again(alert(), T0 + 100)])
    assert respond.happen(incident.id, Acknowledged("bob")).acknowledged_by == "bob"
    assert {event for _, event in letters(records, "acknowledged")} == {"acknowledged", "acknowledged#2"}


def test_a_channel_that_does_not_want_good_news_is_no_reason_to_say_that_nobody_is_told(records, clock):
    policy = telling(routing(
        "route: {receiver: a}\nreceivers: [{name: a, webhook_configs: [{url: 'http://a', send_resolved: false}]}]"
    ))  # fmt: skip
    respond = Respond(records, clock, policy)
    respond.accept([alert()])
    respond.accept([cleared(alert(), T0 + 5)])
    assert timeline(records) == ["incident_created", "alert_cleared", "monitoring"]


def test_what_a_storm_says_is_gathered_as_its_alerts_join_and_not_from_all_of_them_anew(respond, records, monkeypatch):
    looked_at: list[int] = []

    def counted(alerts):
        looked_at.append(len(alerts))
        return gist_of(alerts)

    monkeypatch.setattr(incident_values, "gist_of", counted)
    for batch in range(5):
        respond.accept([alert("ServiceDown", instance=f"i{batch}-{number}") for number in range(10)])
    assert looked_at == [10]
    assert len(incidents(records)[0].alerts) == 50


def test_what_was_told_is_not_written_out_again_with_each_alert_that_joins(respond, records, monkeypatch):
    written: list[str] = []

    def counted(said, *rest):
        written.append(said.event)
        return letter_row(said, *rest)

    monkeypatch.setattr(consequences, "letter_row", counted)
    for number in range(5):
        respond.accept([alert("ServiceDown", instance=f"i{number}")])
    assert set(written) == {"opened"}
    assert len(written) == len(letters(records)) == 3
