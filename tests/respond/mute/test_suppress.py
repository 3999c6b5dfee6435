"""Suppression rules: what they hold back, for how long, and the reason they give."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from aiprism import yamlfile
from aiprism.model.labels import Labels
from aiprism.respond import pipeline
from aiprism.respond.desk import Policy
from aiprism.respond.known import Known, label_text, reported
from aiprism.respond.mute import holding
from aiprism.respond.mute.suppress import Suppress, Suppression
from aiprism.respond.pipeline import Respond
from aiprism.services import Catalogue, Service
from aiprism.store import alerting
from tests.respond.making import T0, alert, routing
from tests.respond.mute.test_maintenance import incidents
from tests.respond.test_group import Room, one, there  # noqa: F401 - a fixture

TREE = Catalogue([
    Service("web", dependencies=("shop",)), Service("shop", dependencies=("db", "mail")), Service("db"), Service("mail"),
])  # fmt: skip
DOWN = Suppress("below", (), "the cause is told", dependency_down=True)


def rules(text):
    return holding.read(yamlfile.parse(text, file="maintenance.yml")).rules


def known(name, service, at=T0, ends_at=float("inf")):
    return Known(Labels({"alertname": name, "service": service}), Labels(), at, ends_at, at)


def why(rule, subject, *firing, now=T0 + 60, tree=TREE):
    return Suppression([rule], [subject, *firing], tree, now).why(subject)


def test_a_rule_holds_what_it_matches_until_its_last_day():
    [rule] = rules("suppress: [{name: night, matchers: [job=batch], reason: OPS-12, until: 2026-11-23T14:20Z}]")
    batch = Known(Labels({"alertname": "Slow", "job": "batch"}), Labels(), T0, T0 + 9e9, T0)
    assert why(rule, batch, now=T0) == "night: OPS-12"
    assert why(rule, batch, now=T0 + 300) == ""
    assert why(rule, known("Slow", "batch"), now=T0) == ""


def test_an_alert_that_must_be_older_first_is_held_until_it_is():
    [rule] = rules("suppress: [{name: young, matchers: [alertname=Slow], reason: it passes, younger_than: 10m}]")
    slow = known("Slow", "web")
    assert why(rule, slow, now=T0 + 599) == "young: it passes (younger than 10m)"
    assert why(rule, slow, now=T0 + 600) == ""


def test_an_alert_of_a_service_whose_dependency_is_down_is_held_and_the_reason_names_the_root():
    slow = known("HighLatency", "web", T0 + 9)
    assert why(DOWN, slow) == ""
    assert why(DOWN, slow, known("DbSlow", "db")) == ""  # slow is not down
    assert why(DOWN, slow, known("DbDown", "db", ends_at=T0 + 50)) == ""  # it was
    assert why(DOWN, slow, known("OtherDown", "unknown")) == ""
    told = "below: the cause is told (db is down: DbDown fires since 14:15:00 UTC)"
    assert why(DOWN, slow, known("DbDown", "db")) == told
    # The shop is down because of its database: that is the root.
    assert why(DOWN, slow, known("ShopDown", "shop", T0 - 30), known("DbDown", "db")) == told
    assert why(DOWN, known("DbDown", "db"), slow) == ""


def test_which_alerts_say_that_a_service_is_down_can_be_said():
    [rule] = rules(
        "suppress: [{name: a, matchers: [alertname!=X], reason: b, dependency_down: true, down: [alertname=PodsGone]}]"
    )
    slow = known("HighLatency", "web")
    assert why(rule, slow, known("DbDown", "db")) == ""
    assert why(rule, slow, known("PodsGone", "db")).startswith("a: b (db is down: PodsGone")


@given(
    edges=st.sets(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=14),
    down=st.sets(st.integers(0, 5), min_size=1),
)
def test_however_services_depend_on_each_other_one_that_is_down_is_told(edges, down):
    tree = Catalogue([
        Service(str(n), dependencies=tuple(str(b) for a, b in sorted(edges) if a == n)) for n in range(6)
    ])  # fmt: skip
    firing = [known("Down", str(n)) for n in sorted(down)]
    suppression = Suppression([DOWN], firing, tree, T0 + 1)
    assert [alert for alert in firing if not suppression.why(alert)] != []


def test_what_a_rule_holds_opens_no_incident_and_is_told_when_the_reason_is_gone(records, clock, there):  # noqa: F811
    room = Room(records, clock, there)
    text = "suppress: [{name: young, matchers: [alertname=Down], reason: it passes, younger_than: 90s}]"
    room.respond.policy = Policy(
        routing=room.respond.policy.routing, planned=holding.read(yamlfile.parse(text, file="maintenance.yml"))
    )
    critical = one("1", severity="critical")
    room.respond.accept([critical])
    assert room.passing(80) == []  # flushed after 10 and 70 seconds
    assert incidents(room.respond) == []
    assert room.held() == {"suppressed": 2.0}
    assert room.passing(60) == [(50, "firing", [("1", "firing")])]
    room.respond.accept([critical])  # as its detector says every minute
    assert incidents(room.respond) == ["investigating"]


def test_every_way_asks_what_holds_an_alert_back_in_the_same_order():
    words = {"inhibit": "inhibited", "hours": "hours", "silence": "silenced", "maintain": "maintenance",
             "suppress": "suppressed"}  # fmt: skip
    order = [name for name, _ in holding.HOLDS]
    for way in (pipeline.STAGES, pipeline.RELEASES, pipeline.FLUSH):
        names = [words[stage.__name__] for stage in way if stage.__name__ in words]
        assert names == [name for name in order if name != "hours" or way is pipeline.FLUSH]


def test_of_all_that_fires_only_what_may_hold_back_a_batch_is_looked_at(records, clock):
    config = """
route: {receiver: a}
receivers: [{name: a}]
inhibit_rules:
  - {source_matchers: [severity="critical", dc="1"], target_matchers: [severity="warning"], equal: [zone]}
  - {source_matchers: [alertname="Off"], target_matchers: [alertname="Never"]}
"""
    respond = Respond(records, clock, Policy(routing=routing(config)))
    source = alert("Root", dc="1", zone="a")
    respond.accept([source, alert("Off"), alert("Elsewhere", dc="2", zone="a"), alert("Other", severity="info")])
    selected = []
    sa.event.listen(records._engine, "after_cursor_execute", lambda *args: selected.append(args[2]))
    coming = [reported(alert("Late", severity="warning", zone=zone), T0) for zone in "ab"]
    with records.reading() as connection:
        found = respond.policy.holding(connection, T0, coming)
        assert [found.inhibited(each) for each in coming] == [f"inhibited by {label_text(source.labels)}", ""]
        rows = alerting.unfinished_alerts(connection, T0, having=[{"severity": "critical", "dc": "1"}])
        assert [row["fingerprint"] for row in rows] == [source.fingerprint]
        selected.clear()
        respond.policy.holding(connection, T0, [reported(alert("Info", severity="info"), T0)])
    assert not any("FROM alerts" in text for text in selected)


@pytest.mark.parametrize("service", ["web", "db"])
def test_only_the_root_of_an_outage_opens_an_incident(records, clock, service):
    respond = Respond(records, clock, Policy(services=TREE, planned=holding.Planned(rules=(DOWN,))))
    respond.accept([alert("ShopDown", "shop"), alert("DbDown", "db"), alert("WebDown", "web")])
    respond.accept([alert("HighErrorRate", service)])
    with respond.reading() as connection:
        standing = {
            each.labels["alertname"]: respond.holding(connection).suppressed(each)
            for each in (known("ShopDown", "shop"), known("WebDown", "web"), known("DbDown", "db"))
        }
    assert [bool(standing[name]) for name in ("ShopDown", "WebDown", "DbDown")] == [True, True, False]
    assert incidents(respond) == ["investigating"]
